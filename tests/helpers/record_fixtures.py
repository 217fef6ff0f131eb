"""Records made by hand."""

import numpy as np
import pytest
from scipy import sparse

from semflow.claims import verdicts
from semflow.claims.collect import Run
from semflow.claims.document import load
from semflow.evaluation.metrics.intervals import bootstrap
from semflow.evaluation.metrics.scores import SCORES, mean_iou
from semflow.evaluation.records import Arrays, Budget, Metric, Protocol, Provenance, Record, arrays_path, write

PICTURES = np.random.default_rng(0).integers(256, size=(2, 3, 4, 6), dtype=np.uint8)
LABELS = np.zeros((2, 4, 6), np.uint8)
TASK_PROTOCOL = {"segmentation": {}, "seed_agreement": {}, "synthesis": {"features": "EfficientNet-Lite0, SHA-256 5"}}


def budget_of(n_parameters):
    """A budget with so many weights, all else made up; None for a control."""
    if n_parameters is None:
        return None
    return Budget(
        parameters_sampling=n_parameters, parameters_training=n_parameters, images_seen=64, optimizer_steps=8, training_flops=1e9,
        training_wall_s=10.0, training_device="cpu", flops_per_output=1e6,
    )  # fmt: skip


def translated(fields):
    """A record's fields, where `n_parameters` stands for a budget with so many."""
    n_parameters = {"budget": budget_of(fields["n_parameters"])} if "n_parameters" in fields else {}
    return {name: value for name, value in fields.items() if name != "n_parameters"} | n_parameters


def record_of(task, metrics, draws, **fields):
    """A record of a task with these metrics, all else made up."""
    return Record(
        **{
            "suite": "hand", "dataset": "scenes <b>", "split": "test", "method": "semflow", "task": task, "sampler": "euler",
            "steps": 25, "variant": "", "amplitude": 6, "sampling_amplitude": 6 if task == "synthesis" else 0,
            "settings": {}, "training_seed": 0, "sampling_seed": 0, "n_images": 3, "budget": budget_of(1000), "evaluations": 25,
            "classes": ("a", "b"), "palette": ((255, 0, 0), (0, 0, 255)),
            "metrics": {name: Metric.of(name, value, draws[name]) for name, value in metrics.items()},
            "class_iou": {}, "outputs_sha256": "a", "arrays_sha256": "0",
            "protocol": Protocol(
                evaluation_size=(4, 6), resize="none", mean_over={}, networks=TASK_PROTOCOL[task], interval="over frames",
                bootstrap_samples=400, bootstrap_seed=0,
            ),
            "provenance": Provenance(
                command="semflow", commit="c" * 40, dirty=False, config_sha256="1", data_sha256="2", checkpoint_sha256=None,
                code_sha256="3", versions={}, device="cpu", host="a", threads=1, wall_s=1.0, images_per_s=1.0,
            ),
        } | translated(fields)
    )  # fmt: skip


def changed(run, **fields):
    """A run whose record has other values in some fields; `n_parameters` gives it a budget."""
    return run._replace(record=run.record.model_copy(update=translated(fields)))


@pytest.fixture
def make_run():
    """make_run(method, sampler, steps, confusions (n_images, 2, 2), sampling_seed=0, digest="a") -> Run of segmentation."""

    def make(method, sampler, steps, confusions, sampling_seed=0, digest="a", dataset="scenes <b>", training_seed=0):
        confusions = np.asarray(confusions)
        matrices = sparse.csr_array(confusions.reshape(len(confusions), 4))
        units, total = np.arange(len(confusions)), confusions.sum(0)
        metrics = {name: 100 * float(score(total)) for name, score in SCORES.items()}
        draws = {name: 100 * bootstrap(matrices, units, score, 400, 0) for name, score in SCORES.items()}
        record = record_of(
            "segmentation", metrics, draws, method=method, sampler=sampler, steps=steps, evaluations=steps, dataset=dataset,
            training_seed=training_seed, sampling_seed=sampling_seed, outputs_sha256=digest, n_images=len(confusions),
            n_parameters=1000 if steps else None,
        )  # fmt: skip
        states = np.repeat(PICTURES[:, None], 3, 1) if method == "semflow" else None
        return Run(record, Arrays(units, draws, PICTURES, LABELS, LABELS, confusions=matrices, states=states))

    return make


@pytest.fixture
def make_synthesis():
    """make_synthesis(frechet, sampler="euler", steps=25, ...) -> Run of synthesis with one value for every metric."""

    def make(frechet=10.0, sampler="euler", steps=25, b=6.0, drawn_with=6.0, sampling_seed=0, digest="a", **fields):
        values = {
            "frechet_efficientnet_lite0": frechet, "mmd2_efficientnet_lite0": 0.1, "perceptual_efficientnet_lite0": 2.0,
            "diversity_efficientnet_lite0": 0.5, "round_trip_miou": 40.0, "brightness": 120.0, "clipped": 3.0, "detail": 300.0,
            "detail_gap": 0.7, "straightness": 0.01,
        }  # fmt: skip
        draws = {name: value + np.random.default_rng(0).normal(0, 0.1, 400) for name, value in values.items()}
        fields = {"evaluations": steps or 38.0, **fields}
        record = record_of(
            "synthesis", values, draws, sampler=sampler, steps=steps, amplitude=b, sampling_amplitude=drawn_with,
            sampling_seed=sampling_seed, outputs_sha256=digest, **fields,
        )  # fmt: skip
        states = np.repeat(PICTURES[:, None], 3, 1)
        return Run(record, Arrays(np.arange(3), draws, PICTURES, LABELS, PICTURES, states=states))

    return make


PERFECT = [[[4, 0], [0, 4]]] * 3
HALF = [[[4, 0], [4, 4]]] * 3  # class a: 4 / 8, class b: 4 / 8


@pytest.fixture
def runs(make_run):
    """SemFlow perfect twice with the same bits; DSM at 50 % under one seed and at 100 % under the other; controls."""
    return [
        make_run("semflow", "euler", 25, PERFECT),
        make_run("semflow", "euler", 25, PERFECT, sampling_seed=1),
        make_run("semflow", "euler", 1, HALF),
        make_run("dsm", "ddpm", 25, HALF),
        make_run("dsm", "ddpm", 25, PERFECT, sampling_seed=1, digest="b"),
        make_run("oracle", "direct", 0, PERFECT),
        make_run("shuffled_labels", "direct", 0, HALF),
    ]


@pytest.fixture
def store(tmp_path):
    """store(runs) -> the paths of their records."""

    def save(runs):
        paths = [tmp_path / f"{number}.json" for number in range(len(runs))]
        for path, run in zip(paths, runs, strict=True):
            digest = run.arrays.save(arrays_path(path))
            write(path, run.record.model_copy(update={"arrays_sha256": digest}))
        return paths

    return save


@pytest.fixture
def stored(runs, store):
    return store(runs)


@pytest.fixture
def real(make_synthesis):
    """The control: real images score 4.0, and have neither diversity nor round_trip_miou."""
    run = make_synthesis(4.0, "direct", 0, b=0.0, drawn_with=0.0, method="real_images", n_parameters=None, evaluations=0.0)
    kept = {name: metric for name, metric in run.record.metrics.items() if not name.startswith(("diversity", "round_trip_miou"))}
    return changed(run, metrics=kept)


@pytest.fixture
def make_seed_agreement():
    """make_seed_agreement(method, sampler, agreement) -> Run of seed_agreement, draws within 2 of it, 100 at most."""

    def make(method, sampler, agreement):
        draws = {"seed_agreement": np.linspace(agreement - 2, agreement + 2, 400).clip(max=100)}
        record = record_of("seed_agreement", {"seed_agreement": agreement}, draws, method=method, sampler=sampler)
        protocol = record.protocol.model_copy(update={"mean_over": {"seed_agreement": "images, and pairs of 3 seeds"}})
        return changed(Run(record, Arrays(np.arange(3), draws, PICTURES, LABELS, LABELS)), protocol=protocol)

    return make


PAPERS_SIZE = {"coco_stuff": (512, 512), "celebamask_hq": (512, 512), "cityscapes": (512, 1024)}


@pytest.fixture
def on_dataset():
    """on_dataset(run, dataset, papers=False, **fields) -> the run on another data set; papers: at the paper's scale there."""

    def move(run, dataset, papers=False, **fields):
        record = run.record
        if papers:
            size = {"evaluation_size": PAPERS_SIZE[dataset]}
            network = None if record.n_parameters is None else 860_000_000
            fields = {"protocol": record.protocol.model_copy(update=size), "n_parameters": network} | fields
        fields["provenance"] = record.provenance.model_copy(update={"data_sha256": f"images of {dataset}"})
        return changed(run, dataset=dataset, **fields)

    return move


@pytest.fixture
def mixed(runs, real, make_run, make_synthesis, make_seed_agreement, on_dataset):
    """Segmentation on COCO-Stuff; both on CelebAMask-HQ, of three classes, segmented worse; seed agreement on Cityscapes."""
    drawn = [make_synthesis(), make_synthesis(12.0, sampling_seed=1, digest="b"), make_synthesis(20.0, steps=1)]
    others = [make_run("semflow", "euler", 25, HALF), make_run("shuffled_labels", "direct", 0, HALF), real, *drawn]
    faces = {"classes": ("a", "b", "c"), "palette": ((255, 0, 0), (0, 0, 255), (0, 9, 0)), "split": "val"}
    return [
        *(on_dataset(run, "celebamask_hq", **faces) for run in others),
        *(on_dataset(run, "coco_stuff") for run in runs),
        on_dataset(make_seed_agreement("semflow", "euler", 100.0), "cityscapes"),
    ]


HEAD = """
version: 1
scale: {n_parameters: 1000000, datasets: {coco_stuff: [4, 6]}}
sanity_checks:
  segmentation:
    words: no better than another image's labels
    conditions: [{of: semflow segmentation euler-25 miou, minus: shuffled_labels segmentation direct miou, at_least: 5}]
table_entries: []
discrepancies: []
claims:
"""
ABOVE = """
  - id: above
    place: Table 2
    words: SemFlow is above DSM.
    kind: ordering
    min_samples: {images: 20}
    reason: none
    conditions: [{of: semflow segmentation euler-N miou, minus: dsm segmentation ddpm-N miou, at_least: 2}]
"""


@pytest.fixture
def head():
    """A file of claims up to its claims."""
    return HEAD


@pytest.fixture
def above():
    """A claim in it: SemFlow is at least 2 points of mIoU above DSM at every number of steps."""
    return ABOVE


@pytest.fixture
def checked(above):
    """The same claim, which a suite may judge that segments better than another image's labels."""
    return above.replace("kind: ordering", "kind: ordering\n    sanity_check: segmentation")


@pytest.fixture
def document():
    """document(*entries) -> the claims, read and checked."""
    return lambda *entries: load(HEAD + "".join(entries))


@pytest.fixture
def verdict_of(document):
    """verdict_of(runs, entry) -> what is judged of the one claim in it."""

    def judge(runs, *entries):
        (claim,) = verdicts.judge(runs, document(*entries))["claims"]
        return claim

    return judge


@pytest.fixture
def matrices():
    """matrices(share, n=40, seed=0) -> per-image confusions with this share of 100 pixels right in the mean, other by image."""

    def draw(share, n=40, seed=0):
        right = np.random.default_rng(seed).binomial(50, share, (n, 2))
        return np.array([[[a, 50 - a], [50 - b, b]] for a, b in right])

    return draw


@pytest.fixture
def pair(make_run, matrices):
    """pair(ours, theirs, steps=25, **fields) -> SemFlow and DSM that get these shares of pixels right."""

    def make(ours, theirs, steps=25, **fields):
        seed = 2 * fields.get("training_seed", 0)
        dsm = make_run("dsm", "ddpm", steps, matrices(theirs, seed=seed + 1), **fields)
        return [make_run("semflow", "euler", steps, matrices(ours, seed=seed), **fields), dsm]

    return make


class World:
    """Images of six classes, rare and frequent, and segmenters that get a share of the blocks of every image right.

    A block of 4 pixels is right or wrong as a whole, an image is easy or hard for every segmenter, and a class is missed for its
    neighbour, so that per-image confusions are as uneven as real ones.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def pair(self, accuracy: float, other: float, n_images: int) -> tuple[np.ndarray, np.ndarray]:
        """Per-image confusions (n_images, 36) of two segmenters of the same images."""
        blocks, ease = self.images(n_images)
        one, another = (self.confusions(blocks, self.answers(blocks, share * ease)) for share in (accuracy, other))
        return one, another

    def images(self, n_images: int) -> tuple[np.ndarray, np.ndarray]:
        """Blocks of every class in every image (n_images, 6), and how easy each image is (n_images, 1)."""
        blocks = self.rng.multinomial(64, [0.3, 0.25, 0.2, 0.15, 0.07, 0.03], n_images)
        return blocks, self.rng.beta(12, 4, n_images)[:, None] / 0.75

    def answers(self, blocks: np.ndarray, p: np.ndarray) -> np.ndarray:
        """How many blocks of every class are right."""
        return self.rng.binomial(blocks, np.clip(p, 0, 1))

    def again(self, blocks: np.ndarray, right: np.ndarray, p: np.ndarray, share: float) -> np.ndarray:
        """The same segmenter once more, which answers this share of the blocks anew."""
        kept = self.rng.binomial(right, 1 - share)
        return kept + self.answers(right - kept + self.rng.binomial(blocks - right, share), p)

    def confusions(self, blocks: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(n_images, 36) pixel counts, rows ground truth."""
        matrices, c = np.zeros((len(blocks), 6, 6)), np.arange(6)
        matrices[:, c, c] = 4 * right
        matrices[:, c, (c + 1) % 6] = 4 * (blocks - right)
        return matrices.reshape(len(blocks), -1)

    def miou(self, total: np.ndarray) -> np.ndarray:
        """In per cent; (..., 36) to (...)."""
        return 100 * mean_iou(total.reshape(*total.shape[:-1], 6, 6))


@pytest.fixture(scope="session")
def make_world():
    """make_world(seed) -> World"""
    return World
