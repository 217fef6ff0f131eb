"""Records of one suite, read together and grouped into cells."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semflow.errors import SemFlowError
from semflow.evaluation import records
from semflow.evaluation.metrics.catalogue import KINDS, filling
from semflow.evaluation.metrics.intervals import interval
from semflow.evaluation.records import Arrays, Record

NAMES = {
    "semflow": "SemFlow", "dsm": "DSM", "oracle": "oracle", "shuffled_labels": "shuffled labels", "real_images": "real images", "maskformer": "MaskFormer",
    "pix2pixhd": "pix2pixHD", "spade": "SPADE", "scgan": "SC-GAN", "bbdm": "BBDM",
}  # fmt: skip
SAMPLERS = {
    "euler": "Euler", "midpoint": "midpoint", "heun": "Heun", "rk4": "RK4", "rk45": "RK45", "ddim": "DDIM", "ddpm": "DDPM",
    "bbdm": "BBDM", "direct": "",
}  # fmt: skip


def title(method: str, sampler: str, steps: int = 0) -> str:
    """A name such as "SemFlow Euler-25" or "SemFlow RK45"; what is not listed above goes by its own name."""
    return f"{NAMES.get(method, method)} {SAMPLERS.get(sampler, sampler)}".strip() + (f"-{steps}" if steps else "")


def listed(words: Iterable[object]) -> str:
    """a, b and c"""
    *others, last = map(str, words)
    return f"{', '.join(others)} and {last}" if others else last


def with_interval(value: float | None, low: float | None, high: float | None, digits: int) -> str:
    """1.2 [0.5, 1.9]; a dash for what there is none of."""
    text, *ends = ("-" if number is None else f"{number:.{digits}f}" for number in (value, low, high))
    return f"{text} [{', '.join(ends)}]"


CONSISTENCY = (
    "Consistency runs the same ODE back, which returns to its start for any smooth velocity, trained or not: alone it says "
    "nothing of quality."
)
ENOUGH_FOR_FRECHET = 2048  # images; below it the Frechet distance is much biased, the kernel distance is not


class Run(NamedTuple):
    """A record and the arrays beside it."""

    record: Record
    arrays: Arrays


Cells = dict[tuple[str, str, int], list[Run]]


def identity(record: Record) -> str:
    """A record's name among those of its suite and data set, such as "semflow-b6-synthesis-euler-25-b6-train0-sample1"."""
    sampler = f"{record.sampler}-{record.steps}" if record.steps else record.sampler
    trained, drawn = f"{record.method}-b{record.amplitude:g}", f"b{record.sampling_amplitude:g}"
    return f"{trained}-{record.task}-{sampler}-{drawn}-train{record.training_seed}-sample{record.sampling_seed}"


def read_runs(paths: list[Path]) -> list[Run]:
    """Read records with their arrays. SemFlowError if one is damaged, if they are of two suites, if those of one data set are of
    other splits or images of it, or if those of a task on it were not measured the same way.
    """
    runs = [_read(path) for path in paths]
    if not runs:
        raise SemFlowError("no records were given; run the evaluation first")
    data: dict[str, tuple[Path, Record]] = {}
    tasks: dict[tuple[str, str], tuple[Path, Record]] = {}
    for path, (record, _) in zip(paths, runs, strict=True):
        if record.suite != runs[0].record.suite:
            raise SemFlowError(f"{path} is of another suite than {paths[0]}; give records of one suite")
        first, other = data.setdefault(record.dataset, (path, record))
        if (record.split, record.provenance.data_sha256) != (other.split, other.provenance.data_sha256):
            raise SemFlowError(f"{path} is on other data than {first}, though both are on {record.dataset}; evaluate one again")
        first, other = tasks.setdefault((record.task, record.dataset), (path, record))
        if record.protocol != other.protocol:
            raise SemFlowError(f"{path} was measured under another protocol than {first}; evaluate it again")
    return runs


def _read(path: Path) -> Run:
    record, beside = records.read(path), records.arrays_path(path)
    arrays = Arrays.load(beside)
    if hashlib.sha256(beside.read_bytes()).hexdigest() != record.arrays_sha256:
        raise SemFlowError(f"{beside} is not what {path} was written with; evaluate it again")
    return Run(record, arrays)


def by_cell(runs: list[Run]) -> Cells:
    """Runs by (method, sampler, steps), each list ordered by (training seed, sampling seed).

    SemFlowError if a task of a cell was measured with several perturbations or on several data sets, which one row would mix.
    """
    cells: Cells = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.record.training_seed, run.record.sampling_seed)):
        cells[run.record.method, run.record.sampler, run.record.steps].append(run)
    for cell, group in cells.items():
        sets = {(run.record.task, run.record.dataset) for run in group}
        if len(sets) > len({task for task, _ in sets}):
            found = listed(sorted({dataset for _, dataset in sets}))
            raise SemFlowError(f"the records of {title(*cell)} are of several data sets ({found}); give those of one")
        models = {(run.record.task, run.record.amplitude, run.record.sampling_amplitude) for run in group}
        if len(models) > len({task for task, _, _ in models}):
            found = ", ".join(sorted({f"b = {b:g} b' = {drawn:g}" for _, b, drawn in models}))
            raise SemFlowError(f"the records of {title(*cell)} have several perturbations ({found}); give those of one")
    return dict(cells)


def only(runs: list[Run], **wanted: object) -> list[Run]:
    """The runs whose records have these values, ordered by (training seed, sampling seed)."""
    chosen = [run for run in runs if all(getattr(run.record, name) == value for name, value in wanted.items())]
    return sorted(chosen, key=lambda run: (run.record.training_seed, run.record.sampling_seed))


def own(runs: list[Run]) -> list[Run]:
    """The runs at the suite's own perturbation, b' = b where pictures are drawn, and everything that is not SemFlow's.

    A suite varies b around its own, so that most of SemFlow's records on a data set have that one; the lower of two that are as
    frequent.
    """
    amplitudes = own_amplitudes(runs)
    return [run for run in runs if run.record.method != "semflow" or _as_usual(run.record, amplitudes)]


def own_amplitudes(runs: list[Run]) -> dict[str, float]:
    """The suite's own perturbation b by data set, of those that SemFlow was measured on."""
    trained: dict[str, Counter[float]] = defaultdict(Counter)
    for record in (run.record for run in runs if run.record.method == "semflow"):
        trained[record.dataset][record.amplitude] += 1
    return {name: min(counts, key=lambda b: (-counts[b], b)) for name, counts in trained.items()}


def _as_usual(record: Record, amplitudes: dict[str, float]) -> bool:
    b = amplitudes[record.dataset]
    return (record.amplitude, record.sampling_amplitude) == (b, b if record.task == "synthesis" else 0.0)


class Estimate(NamedTuple):
    """A metric over the seeds of a cell, with its 95 % interval."""

    value: float
    low: float
    high: float
    n_seeds: int


def primary(n_images: int) -> str:
    """The role of the distance between sets to read first."""
    return "frechet" if n_images >= ENOUGH_FOR_FRECHET else "mmd2"


def seed_sd(group: list[Run], metric: str) -> float | None:
    """Standard deviation of a metric between sampling seeds, pooled over trainings; None where no training has several."""
    variances = []
    for training in {run.record.training_seed for run in group}:
        values = [run.record.metrics[metric].value for run in group if run.record.training_seed == training]
        if len(values) > 1:
            variances.append(np.var(values, ddof=1))
    return float(np.sqrt(np.mean(variances))) if variances else None


def estimate(group: list[Run], metric: str) -> Estimate:
    """The mean of a metric over runs, and the interval of that mean from their paired bootstrap draws.

    metric: by name or by role; SemFlowError if the runs do not have it.
    """
    name = filling(metric, group[0].record.metrics)
    if name not in group[0].record.metrics:
        record = group[0].record
        cell = title(record.method, record.sampler, record.steps)
        raise SemFlowError(f"the records of {cell} ({record.task}) hold no {metric}; give those of the suite's main sampler")
    value = float(np.mean([run.record.metrics[name].value for run in group]))
    low, high = interval(value, np.mean([run.arrays.draws[name] for run in group], axis=0), KINDS[name].resampled)
    return Estimate(value, low, high, len(group))
