"""What a study takes, said before anything starts: jobs, hours, wall time, disk, memory."""

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

from semflow.data import OFFICIAL
from semflow.report import PRODUCTS, evaluation_jobs, notebooks, records
from semflow.suite.reading import Study
from semflow.suite.runs import Evaluation, evaluations
from semflow.tools.plan import storage, workload
from semflow.tools.plan.rates import Rates, rates_of
from semflow.tools.plan.workload import Job

__all__ = ["Plan", "Row", "make_plan", "rates_of"]

HOUR, DAY = 3600, 24
SOURCES = {"files": "images that are here", "official": "images as officially counted, since their files are not here"}
Timed = tuple[Job, float]  # and its seconds on one device


@dataclass(frozen=True)
class Row:
    """Jobs of one kind. records: of evaluations.  device_hours: of one device."""

    data: str
    stage: str
    jobs: int
    records: int = 0
    images: int = 0
    flops: float = 0
    device_hours: float = 0.0

    def cells(self) -> list[str]:
        counts = [f"{n:,}" if n else "" for n in (self.jobs, self.records, self.images)]
        return [self.data, self.stage, *counts, *(_number(x) if x else "" for x in (self.flops / 1e15, self.device_hours))]


@dataclass(frozen=True)
class Plan:
    """unit: what a device is.  images: (data set, split, number, source).  wall_hours: least and most.

    disk_bytes, memory_bytes: by what takes them.  notes: what was measured, stated or assumed.
    """

    suite: str
    devices: int
    unit: str
    images: tuple[tuple[str, str, int, str], ...]
    flops_per_s: dict[str, float]
    rows: tuple[Row, ...]
    wall_hours: tuple[float, float]
    disk_bytes: dict[str, int]
    memory_bytes: dict[str, int]
    notes: tuple[str, ...]

    @property
    def total(self) -> Row:
        return Row("total", "", *map(sum, zip(*(astuple(row)[2:] for row in self.rows), strict=True)))

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"total": asdict(self.total)}

    def text(self) -> str:
        """For people, in Markdown."""
        head = ["data set", "what", "jobs", "records", "images", "PFLOP", f"{self.unit}-hours"]
        table = [head, *(row.cells() for row in (*self.rows, self.total))]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        table.insert(1, ["-" * width for width in widths[:2]] + ["-" * (width - 1) + ":" for width in widths[2:]])
        lines = [[f"{cell:{side}{width}}" for cell, side, width in zip(row, "<<>>>>>", widths, strict=True)] for row in table]
        least, most = self.wall_hours
        days = f" ({least / DAY:,.1f} to {most / DAY:,.1f} days)" if most > 2 * DAY else ""
        return "\n".join(
            [
                f"{self.suite}, from nothing to the report, on {self.devices} {self.unit}{'s' * (self.devices > 1)}\n",
                *(f"| {' | '.join(cells)} |" for cells in lines),
                "\nwall time: " + " to ".join(dict.fromkeys(map(_number, self.wall_hours))) + f" hours{days}",
                f"disk: {_bytes(sum(self.disk_bytes.values()))}, besides data and pretrained weights: {_listed(self.disk_bytes)}",
                f"memory of weights and of what trains them, besides what layers hold in between: {_listed(self.memory_bytes)}\n",
                *(f"- {note}" for note in self.notes),
            ]
        )


def make_plan(study: Study, devices: int, rates: Rates, efficiency: float) -> Plan:
    """The whole of a study from its start, on so many devices. SemFlowError if its images cannot be counted.

    efficiency: of several devices that share a training, in (0, 1].
    """
    suites = study.suites
    wanted = {name: evaluations(suite) for name, suite in suites.items()}
    splits = [(name, split) for name, suite in suites.items() for split in ("train", suite.evaluation.split)]
    processes = evaluation_jobs(study)
    timed = [
        (job, rates.seconds(job, suite))
        for suite in suites.values()
        for job in workload.work(suite, [one for one in processes if one.suite is suite])
    ]
    prepared = [Row(name, "prepare data", 1) for name in wanted if name in OFFICIAL]
    reports = Row("all", "tables, figures, pages", sum(bool(records(name, study)) for name in PRODUCTS) + len(notebooks(study)))
    return Plan(
        study.name,
        devices,
        rates.unit,
        tuple((name, split, *workload.count(suites[name].data, split)) for name, split in splits),
        {"bf16": rates.bf16, "fp32": rates.fp32},
        (*prepared, *_rows(timed), reports),
        wall_hours(timed, devices, efficiency),
        storage.disk(study, wanted),
        storage.memory(study, wanted, rates.unit),
        (*rates.notes, *_notes(study, wanted, devices, rates.unit, efficiency)),
    )


def wall_hours(timed: Sequence[Timed], devices: int, efficiency: float) -> tuple[float, float]:
    """Least and most hours of jobs and their seconds on one device.

    Least: all work shared evenly, but no process of evaluations takes more than one device.  Most: first one training after the
    other, on as many devices as divide its batch, at `efficiency` where these are several; then evaluations, the longest last.
    """
    sampled: dict[tuple[str, str], float] = {}
    trained = 0.0
    for job, time in timed:
        if job.batch:
            width = shared_by(job.batch, devices)
            trained += time / width / (efficiency if width > 1 else 1)
        else:
            sampled[job.data, job.process] = sampled.get((job.data, job.process), 0.0) + time
    longest = max(sampled.values(), default=0.0)
    least = max(sum(time for _, time in timed) / devices, longest)
    return least / HOUR, (trained + sum(sampled.values()) / devices + (1 - 1 / devices) * longest) / HOUR


def shared_by(batch: int, devices: int) -> int:
    """How many of the devices can share a batch evenly."""
    return max(width for width in range(1, min(batch, devices) + 1) if batch % width == 0)


def _rows(timed: Sequence[Timed]) -> list[Row]:
    """One for each data set and stage; a process of several stages is counted with its first."""
    kinds: dict[tuple[str, str], list[Timed]] = {}
    for job, time in timed:
        kinds.setdefault((job.data, job.stage), []).append((job, time))
    rows, counted = [], {""}
    for (data, stage), those in kinds.items():
        processes = {job.process and f"{data} {job.process}" for job, _ in those} - counted
        counted |= processes
        records, images = sum(not job.batch for job, _ in those), sum(job.images for job, _ in those)
        flops, hours = sum(job.flops for job, _ in those), sum(time for _, time in those) / HOUR
        rows.append(Row(data, stage, len(processes), records, images, flops, hours))
    return rows


def _notes(study: Study, wanted: dict[str, list[Evaluation]], devices: int, unit: str, efficiency: float) -> list[str]:
    """How the work is shared, and what was taken for granted of it."""
    notes = []
    if devices > 1:
        shared = {part: shared_by(study.suites[part].training.batch_size, devices) for part in wanted}
        told = ", ".join(f"{n} ({part})" for part, n in shared.items()) if set(shared.values()) != {devices} else f"all {devices}"
        notes.append(f"assumed: a training is shared by {told} {unit}s at {efficiency:.0%} of their speed")
        notes.append(f"wall time: from all work shared evenly, to all trainings before the evaluations, which take a {unit} each")
    if unit == "GPU" and any(study.suites[part].run.micro_batch is None for part in wanted):
        notes.append("how many images a GPU takes at once in training is found by trying when it starts")
    notes.append("not counted: reading pictures, starting programs, writing states, resampling of distances")
    grouped: dict[str, dict[str, None]] = {}  # what is told in one line, by where it comes from
    for name, those in wanted.items():
        suite = study.suites[name]
        for one in those:
            if known := workload.adaptive(suite, one):
                source = f"in records of {name}" if known[1] else "assumed, as on mini"
                source += f": {one.sampler.name} evaluates a network "
                grouped.setdefault(source, {})[f"{known[0]:,.0f} times for an output of {one.task}"] = None
    for name, suite in study.suites.items():
        for split in ("train", suite.evaluation.split):
            n, source = workload.count(suite.data, split)
            grouped.setdefault(f"{SOURCES[source]}: ", {})[f"{name} {split} {n:,}"] = None
    return notes + [source + ", ".join(those) for source, those in grouped.items()]


def _number(x: float) -> str:
    """Three digits at least where it is large, two where it is small."""
    return f"{x:,.0f}" if x >= 10 else f"{x:.1f}" if x >= 1 else f"{x:.2f}" if x >= 0.005 else "< 0.01"


def _bytes(n: int) -> str:
    size, unit = next(((size, unit) for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")) if n >= size), (1e3, "kB"))
    return f"{_number(n / size)} {unit}"


def _listed(sizes: dict[str, int]) -> str:
    return ", ".join(f"{what} {_bytes(n)}" for what, n in sizes.items() if n)
