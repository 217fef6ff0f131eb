"""What a study computes, job by job: counted before anything runs, from its settings alone."""

from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Literal, NamedTuple

from semflow.data import DATASETS, Data, open_dataset
from semflow.errors import SemFlowError
from semflow.evaluation.common import STATES
from semflow.evaluation.synthesis import DISTANCE_DRAWS
from semflow.method.samplers import Sampler
from semflow.suite import Suite
from semflow.suite import runs as cells
from semflow.suite.reading import Study
from semflow.suite.registry import CONTROLS, class_of
from semflow.suite.runs import Evaluation, amplitude_of, main_sampler
from semflow.tools.plan.costs import FEATURES, Passes, costs

EVALUATIONS = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4, "ddim": 1, "ddpm": 1}  # of the network, in a step
RK45 = {"segmentation": 692, "synthesis": 761, "seed_agreement": 692}  # evaluations that mini's model took; another takes others
BACKWARD = 2  # passes that a backward one costs
DOUBLE = 2  # times that a float64 operation takes of a float32 one, on a CPU

Where = Literal["training", "sampling", "cpu"]  # at which rate work goes; sampling is in float32


@dataclass(frozen=True)
class Job:
    """One job, or, where `jobs` is 0, a share of another's work.

    images: that are trained on, or sampled.  passes: of an image through the UNet, a backward one counting as two.
    flops: at the rate of `where`.  cpu_flops: on the CPU afterwards, while a GPU is held.  batch: global, of a training.
    """

    data: str
    stage: str
    where: Where
    images: int
    passes: int
    flops: int
    cpu_flops: int = 0
    batch: int = 0
    jobs: int = 1


class Count(NamedTuple):
    """Images of a split, and whether its files were counted (`files`) or the official number is taken (`official`)."""

    n: int
    source: Literal["files", "official"]


class Training(NamedTuple):
    """What is trained: a method, its masks perturbed by `amplitude` (Eq. 14), from a seed."""

    method: str
    amplitude: float
    seed: int


def wanted(study: Study) -> dict[str, list[Evaluation]]:
    """Every evaluation of each data set, once, controls included."""
    return {name: cells.evaluations(suite) for name, suite in study.suites.items()}


def trainings(chosen: list[Evaluation]) -> list[Training]:
    """Every training that a cell needs, each once."""
    return list(dict.fromkeys(Training(c.method, c.amplitude, c.training_seed) for c in chosen if c.method not in CONTROLS))


def kinds_of_masks(needed: list[Training]) -> set[tuple[str, float]]:
    """Of which trainings from several seeds share the cached ones."""
    return {(training.method, training.amplitude) for training in needed}


def jobs(suite: Suite, chosen: list[Evaluation]) -> list[Job]:
    """All that is computed for the cells of a suite."""
    n_train, n = count(suite.data, "train").n, count(suite.data, suite.evaluation.split).n
    return [
        *_caching(suite, trainings(chosen), n_train),
        *(_training(suite, training) for training in trainings(chosen)),
        *(_control(suite, cell, n) if cell.method in CONTROLS else _evaluation(suite, cell, n) for cell in chosen),
    ]


@cache
def count(data: Data, split: str) -> Count:
    """How many images a split has. SemFlowError if there are neither its files nor an official number."""
    try:
        return Count(len(open_dataset(data, split)), "files")
    except SemFlowError:
        if not (counts := DATASETS[data.name].official_counts(data)):
            raise
    if split not in counts:
        raise SemFlowError(f"evaluation.split: {data.name} has no {split} split with labels; it has {', '.join(counts)}")
    return Count(counts[split], "official")


def evaluations_of(sampler: Sampler, task: str) -> int:
    """How often a sampler evaluates the network for an image; of rk45 what it took on mini."""
    return sampler.steps * EVALUATIONS[sampler.name] if sampler.steps else RK45[task]


def _caching(suite: Suite, needed: list[Training], n: int) -> list[Job]:
    """What trainings encode before their first step: images once for all of them, masks for each kind of mask."""
    looks = n * (1 + suite.training.flip)
    n_images = looks * suite.run.cache_latents * bool(needed)
    n_encoded = n_images + looks * suite.training.cached_perturbations * len(kinds_of_masks(needed))
    flops = Passes(encoder=n_encoded).times(costs(suite, "semflow"))
    if not n_encoded:
        return []
    return [Job(suite.data.name, "cache latents", "training", n_encoded, 0, flops, batch=suite.training.batch_size, jobs=0)]


def _training(suite: Suite, training: Training) -> Job:
    """Each look is a pass forward, one backward, and one through the encoder for whatever is not cached."""
    settings, method = suite.training, training.method
    looks = settings.steps * settings.batch_size
    of_network = 1 + BACKWARD + suite.run.activation_checkpointing
    of_encoder = (not suite.run.cache_latents) + (not settings.cached_perturbations)
    passes = Passes(encoder=looks * of_encoder, network=looks * of_network)
    varied = training.amplitude != amplitude_of(suite, method)
    stage = f"train {method}" + (f", b = {training.amplitude:g}" if varied else "")
    flops = passes.times(costs(suite, method))
    return Job(suite.data.name, stage, "training", looks, passes.network, flops, batch=settings.batch_size)


def _evaluation(suite: Suite, cell: Evaluation, n: int) -> Job:
    chosen, evaluations = main_sampler(suite, cell.method, cell.task), evaluations_of(cell.sampler, cell.task)
    keeps_states = cell.sampler == chosen and cell.task != "seed_agreement" and hasattr(class_of(cell.method), "path")
    kept = min(STATES, cell.sampler.steps + 1) * min(suite.evaluation.examples, n) if keeps_states else 0
    cpu_flops = 0
    if cell.task == "seed_agreement":
        settings = suite.evaluation.seed_agreement
        passes = _sampled(min(settings.images, n) * settings.seeds, evaluations)
    elif cell.task == "segmentation":
        passes = _sampled(n, evaluations).plus(Passes(decoder=kept))
    else:
        drawn, read = _sampled(n, evaluations), _sampled(n, evaluations_of(chosen, "segmentation"))
        passes = drawn.plus(read).plus(Passes(decoder=kept)).plus(_compared(n))
        cpu_flops = _distance_flops(suite, n)
        if cell.sampler == chosen:
            layouts, samples = min(suite.synthesis.diversity.layouts, n), suite.synthesis.diversity.samples
            again = Passes(perceptual=2 * layouts * comb(samples, 2))
            passes = passes.plus(_sampled(layouts * samples, evaluations)).plus(again)
    flops = passes.times(costs(suite, cell.method))
    return Job(suite.data.name, f"evaluate {cell.task}", "sampling", passes.encoder, passes.network, flops, cpu_flops)


def _control(suite: Suite, cell: Evaluation, n: int) -> Job:
    """What evaluates a control: on the CPU, but where a large autoencoder has to be run."""
    passes = {"oracle": Passes(encoder=n, decoder=n), "shuffled_labels": Passes(), "real_images": _compared(n)}[cell.method]
    flops = passes.times(costs(suite, "semflow")) + (_distance_flops(suite, n) if cell.task == "synthesis" else 0)
    where: Where = "sampling" if (cell.method, suite.autoencoder.kind) == ("oracle", "kl") else "cpu"
    return Job(suite.data.name, f"control {cell.task}", where, n, 0, flops)


def _sampled(n: int, evaluations: int) -> Passes:
    """Encode n images, integrate, decode."""
    return Passes(encoder=n, network=n * evaluations, decoder=n)


def _compared(n: int) -> Passes:
    """n drawn images against the real ones, whose features are kept."""
    return Passes(features=n, perceptual=2 * n)


def _distance_flops(suite: Suite, n: int) -> int:
    """Of the draws of the Frechet distance (metrics/distances.py): two QR where rows outnumber features, a product, singular
    values; by the counts of Golub and Van Loan, as float32 operations that take as long.
    """
    d = FEATURES[suite.synthesis.features.network][1]
    k = min(n, d)
    factors = 2 * (2 * n * d**2 - 2 * d**3 // 3) if n > d else 0
    return DOUBLE * DISTANCE_DRAWS * (factors + 2 * k**2 * d + 8 * k**3 // 3)
