"""Records of one suite, read together: what they are called, how they are grouped, and which data set a product is made of.

A suite may have records of several data sets, each with its own images, classes and protocol. Nothing is averaged, paired or
drawn across them.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baselines import METHODS
from semflow import published
from semflow.claims import document
from semflow.claims.chance import of_images, of_trainings, together
from semflow.claims.document import Scale, ScaleName, perturbed
from semflow.data import OFFICIAL
from semflow.errors import SemFlowError
from semflow.evaluation import records
from semflow.evaluation.metrics.catalogue import ENOUGH_FOR_FRECHET, KINDS, filling
from semflow.evaluation.metrics.intervals import interval
from semflow.evaluation.records import Arrays, Record
from semflow.method.samplers import Sampler
from semflow.suite.measurements import draws

PAPERS = tuple(OFFICIAL)  # data sets in the order in which they are asked; others follow by name


class Run(NamedTuple):
    """A record and the arrays beside it."""

    record: Record
    arrays: Arrays


# What things are called.


def method_title(method: str) -> str:
    """Such as "SemFlow"; the name itself where it has no card and no title in the paper's tables."""
    return METHODS[method].title if method in METHODS else published.titles().get(method, method.replace("_", " "))


def title(method: str, sampler: str, steps: int = 0) -> str:
    """Such as "SemFlow Euler-25" or "SemFlow RK45"."""
    return f"{method_title(method)} {Sampler(sampler, steps).title}".strip()


def identity(record: Record) -> str:
    """A record's name among those of its suite and data set, such as "semflow-b6-synthesis-euler-25-b6-train0-sample1"."""
    sampler = Sampler(record.sampler, record.steps)
    variant = f"-{record.variant}" if record.variant else ""
    trained, drawn = f"{record.method}{variant}-b{record.amplitude:g}", f"b{record.sampling_amplitude:g}"
    return f"{trained}-{record.task}-{sampler}-{drawn}-train{record.training_seed}-sample{record.sampling_seed}"


def listed(words: Iterable[object]) -> str:
    """a, b and c; "" of none"""
    *others, last = list(map(str, words)) or [""]
    return f"{', '.join(others)} and {last}" if others else last


def with_interval(value: float | None, low: float | None, high: float | None, digits: int) -> str:
    """1.2 [0.5, 1.9]; a dash for what there is none of (None or NaN), and no interval where both ends are that."""
    numbers = (value, low, high)
    text, *ends = ("-" if number is None or math.isnan(number) else f"{number:z.{digits}f}" for number in numbers)
    return text if ends == ["-", "-"] else f"{text} [{', '.join(ends)}]"


def images_of(record: Record) -> str:
    """Such as "128 test images"."""
    return f"{record.n_images:,} {record.split} images"


def split_of(record: Record) -> str:
    """The same beside a data set's name: "test split, 128 images"."""
    return f"{record.split} split, {record.n_images:,} images"


def size_of(record: Record) -> str:
    """Height and width of what is compared, such as "32 x 64"."""
    return " x ".join(map(str, record.protocol.evaluation_size))


def sizes_of_networks(runs: Iterable[Run]) -> list[int]:
    """Numbers of weights, each once; controls have none."""
    return sorted({run.record.n_parameters for run in runs if run.record.n_parameters is not None})


def network_of(runs: Iterable[Run]) -> str:
    """Such as "a network of 1,000 parameters"."""
    sizes = sizes_of_networks(runs)
    return f"a network of {listed(f'{size:,}' for size in sizes)} parameters" if sizes else "no network"


class Names(NamedTuple):
    """What records are called beside each other: their data set belongs to it where there are several."""

    several: bool = False

    @classmethod
    def among(cls, runs: list[Run]) -> "Names":
        return cls(len({run.record.dataset for run in runs}) > 1)

    def identity(self, record: Record) -> str:
        """One word, and no other record's, such as "cityscapes:semflow-b6-synthesis-euler-25-b6-train0-sample1"."""
        return f"{'_'.join(record.dataset.split())}:{identity(record)}" if self.several else identity(record)

    def on(self, record: Record) -> str:
        """ " on cityscapes", or nothing."""
        return f" on {record.dataset}" if self.several else ""


# Reading.


def read_runs(paths: list[Path]) -> list[Run]:
    """Read records with their arrays. SemFlowError if one is damaged or given twice, if they are of two suites, if those of one
    data set are of other splits or images of it, if those of a task on it were not measured the same way, or those of a training
    not on the same weights.
    """
    runs = [_read(path) for path in paths]
    if not runs:
        raise SemFlowError("no records were given; run the evaluation first")
    data: dict[str, tuple[Path, Record]] = {}
    tasks: dict[tuple[str, str], tuple[Path, Record]] = {}
    trained: dict[tuple[object, ...], tuple[Path, Record]] = {}
    seen: dict[tuple[str, str], Path] = {}
    for path, (record, _) in zip(paths, runs, strict=True):
        if record.suite != runs[0].record.suite:
            raise SemFlowError(f"{path} is of another suite than {paths[0]}; give records of one suite")
        if (first := seen.setdefault((record.dataset, identity(record)), path)) is not path:
            raise SemFlowError(f"{path} and {first} are of the same evaluation, which would count twice; give one")
        first, other = data.setdefault(record.dataset, (path, record))
        if (record.split, record.provenance.data_sha256) != (other.split, other.provenance.data_sha256):
            raise SemFlowError(f"{path} is on other data than {first}, though both are on {record.dataset}; evaluate one again")
        first, other = tasks.setdefault((record.task, record.dataset), (path, record))
        if record.protocol != other.protocol:
            raise SemFlowError(f"{path} was measured under another protocol than {first}; evaluate it again")
        training = record.dataset, record.method, record.variant, record.amplitude, record.training_seed
        first, other = trained.setdefault(training, (path, record))
        if record.provenance.checkpoint_sha256 != other.provenance.checkpoint_sha256:
            raise SemFlowError(f"{path} was measured on other weights than {first}, though of one training; evaluate one again")
    return runs


def _read(path: Path) -> Run:
    record, beside = records.read(path), records.arrays_path(path)
    arrays = Arrays.load(beside)
    if hashlib.sha256(beside.read_bytes()).hexdigest() != record.arrays_sha256:
        raise SemFlowError(f"{beside} is not what {path} was written with; evaluate it again")
    return Run(record, arrays)


# Choosing and grouping.


def only(runs: list[Run], **wanted: object) -> list[Run]:
    """The runs whose records have these values, ordered by (training seed, sampling seed)."""
    chosen = (run for run in runs if all(getattr(run.record, name) == value for name, value in wanted.items()))
    return sorted(chosen, key=lambda run: (run.record.training_seed, run.record.sampling_seed))


def row_of(record: Record) -> tuple[str, str, int]:
    """(method, sampler, steps), what a row of a table is known by."""
    return record.method, record.sampler, record.steps


def by_row(runs: list[Run]) -> dict[tuple[str, str, int], list[Run]]:
    """Runs by the row of a table that they belong to; each list ordered by (training seed, sampling seed).

    SemFlowError if a task of a row was measured with several perturbations or on several data sets, which it would mix.
    """
    rows: dict[tuple[str, str, int], list[Run]] = defaultdict(list)
    for run in only(runs):
        rows[row_of(run.record)].append(run)
    for row, group in rows.items():
        sets = {(run.record.task, run.record.dataset) for run in group}
        if len(sets) > len({task for task, _ in sets}):
            found = listed(sorted({dataset for _, dataset in sets}))
            raise SemFlowError(f"the records of {title(*row)} are of several data sets ({found}); give those of one")
        models = {(r.task, r.amplitude, r.sampling_amplitude, r.variant) for r in (run.record for run in group)}
        if len(models) > len(sets):
            found = ", ".join(sorted({f"b = {b:g} b' = {drawn:g}{' ' * bool(name)}{name}" for _, b, drawn, name in models}))
            raise SemFlowError(f"the records of {title(*row)} have several perturbations ({found}); give those of one")
    return dict(rows)


def own(runs: list[Run]) -> list[Run]:
    """The runs of no variant at the suite's own perturbation, b' = b where pictures are drawn; of methods that are not perturbed,
    all of no variant."""
    runs = [run for run in runs if not run.record.variant]
    amplitudes = own_amplitudes(runs)

    def usual(record: Record) -> bool:
        b = amplitudes[record.dataset]
        return (record.amplitude, record.sampling_amplitude) == (b, b if draws(record.task) else 0.0)

    return [run for run in runs if not perturbed(run.record.method) or usual(run.record)]


def own_amplitudes(runs: list[Run]) -> dict[str, float]:
    """The suite's own perturbation b by data set: that of most records of perturbed methods there, as a suite varies b around
    its own; the lower of two that are as frequent."""
    trained: dict[str, Counter[float]] = defaultdict(Counter)
    for record in (run.record for run in runs if perturbed(run.record.method) and not run.record.variant):
        trained[record.dataset][record.amplitude] += 1
    return {name: min(counts, key=lambda b: (-counts[b], b)) for name, counts in trained.items()}


def modified(runs: list[Run]) -> str:
    """A sentence on each method that differs from the published one, from its card; nothing where none does."""
    cards = [METHODS[name] for name in METHODS if any(run.record.method == name for run in runs)]
    return " ".join(f"{card.title}: {card.modified}." for card in cards if card.modified)


# Over seeds.


class Estimate(NamedTuple):
    """A metric over the seeds of a row, with its 95 % interval; NaN for the ends of none."""

    value: float
    low: float
    high: float
    n_seeds: int


def estimate(group: list[Run], metric: str) -> Estimate:
    """The mean of a metric over runs, and its interval: from their paired bootstrap draws, and from trainings where there are
    several, each a mean over its sampling seeds.

    metric: by name or by role; SemFlowError if the runs do not have it.
    """
    record = group[0].record
    name = filling(metric, record.metrics)
    if name not in record.metrics:
        raise SemFlowError(
            f"the records of {title(*row_of(record))} ({record.task}) hold no {metric}; give those of the suite's main sampler"
        )
    trainings = sorted({run.record.training_seed for run in group})
    by_training = [only(group, training_seed=seed) for seed in trainings]
    means = [float(np.mean([number(run, name) for run in of])) for of in by_training]
    value = float(np.mean(means))
    if any(name not in run.arrays.draws for run in group):
        return Estimate(value, math.nan, math.nan, len(group))
    draws = np.mean([np.mean([run.arrays.draws[name] for run in of], axis=0) for of in by_training], axis=0)
    if len(trainings) > 1:
        chance = together(of_images(draws, int(group[0].arrays.units.max()) + 1), of_trainings(means))
        low, high = chance.interval(value, 0.95)
        if KINDS[name].unit == "percent":  # of few trainings that differ, it would go on
            low, high = max(low, 0.0), min(high, 100.0)
        return Estimate(value, low, high, len(group))
    low, high = interval(value, draws, KINDS[name].resampled)
    return Estimate(value, low, high, len(group))


def number(run: Run, metric: str) -> float:
    """The value of a metric of a record; NaN where it is null or not there."""
    found = run.record.metrics.get(metric)
    return math.nan if found is None or found.value is None else found.value


def seed_sd(group: list[Run], metric: str) -> float | None:
    """Standard deviation of a metric between sampling seeds, pooled over trainings; None where no training has several, or a
    value is null."""
    variances = []
    for training in {run.record.training_seed for run in group}:
        values = [number(run, metric) for run in group if run.record.training_seed == training]
        if len(values) > 1:
            variances.append(np.var(values, ddof=1))
    return float(np.sqrt(np.mean(variances))) if np.isfinite(variances).all() and variances else None


def primary(n_images: int) -> str:
    """The role of the distance between sets to read first."""
    return "frechet" if n_images >= ENOUGH_FOR_FRECHET else "mmd2"


# Data sets.


def by_dataset(runs: list[Run]) -> dict[str, list[Run]]:
    """Runs by the name of their data set, in the order of `PAPERS`."""

    def place(name: str) -> tuple[int, str]:
        return next((place for place, known in enumerate(PAPERS) if same_data(name, known)), len(PAPERS)), name

    return {name: only_on(runs, name) for name in sorted({run.record.dataset for run in runs}, key=place)}


def only_on(runs: list[Run], dataset: str) -> list[Run]:
    """The runs on a data set, in the order given."""
    return [run for run in runs if run.record.dataset == dataset]


def same_data(name: str, known: str) -> bool:
    """Whether a data set's name begins with another, however either is spelt: `coco_stuff_164k` with COCO-Stuff."""
    plain, beginning = ("".join(filter(str.isalnum, text)).lower() for text in (name, known))
    return plain.startswith(beginning)


def in_table(name: str, published: str) -> bool:
    """Whether a data set is the one that a table of the paper names: `coco_stuff` is COCO-Stuff-164k."""
    return same_data(name, published.removesuffix("-164k"))


def for_table(runs: list[Run], published: str) -> str:
    """Which of the runs' data sets a table of the paper is made from: the one that it names, or else the first; "" of no runs."""
    sets = by_dataset(runs)
    return next((name for name in sets if in_table(name, published)), next(iter(sets), ""))


def check_one(runs: list[Run], what: str) -> None:
    """SemFlowError if runs are of several data sets. what: the product that would mix them."""
    if len(sets := by_dataset(runs)) > 1:
        raise SemFlowError(f"{what} was given records of {listed(sets)}, which it would mix; give those of one data set")


def check_one_each(runs: list[Run], what: str) -> None:
    """SemFlowError if runs of one task are of several data sets."""
    for task in dict.fromkeys(run.record.task for run in runs):
        check_one(only(runs, task=task), f"the {task} of {what}")


# Scale.


def scale(runs: list[Run], papers: Scale | None = None) -> ScaleName:
    """ "paper" where every record is on a data set of the paper's, at its size, by a network of its size; else "proxy".

    papers: what is the paper's; that of claims.yaml by default.
    """
    papers = document.load().scale if papers is None else papers
    return "paper" if runs and all(_is_papers(run.record, papers) for run in runs) else "proxy"


def comparable(runs: list[Run], published: str, papers: Scale | None = None) -> bool:
    """Whether values can be compared with those of a table: at the paper's scale, and on the data set that it names."""
    return all(in_table(run.record.dataset, published) for run in runs) and scale(runs, papers) == "paper"


def _is_papers(record: Record, papers: Scale) -> bool:
    sizes = [size for name, size in papers.datasets.items() if same_data(record.dataset, name)]
    large = record.n_parameters is None or record.n_parameters >= papers.n_parameters
    return bool(sizes) and record.protocol.evaluation_size == sizes[0] and large
