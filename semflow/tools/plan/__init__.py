"""What a study takes, said before anything starts: jobs, hours, wall time, disk, memory."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from baselines import METHODS
from semflow import files
from semflow.data import OFFICIAL
from semflow.report import PRODUCTS, evaluation_jobs, records
from semflow.suite.reading import Study
from semflow.suite.runs import Evaluation, evaluations
from semflow.tools.plan import storage, workload
from semflow.tools.plan.rates import Rates, rates_of
from semflow.tools.plan.workload import ADAPTIVE, Job

__all__ = ["Plan", "Row", "make_plan", "rates_of"]

NOTEBOOKS = 4
HOUR, DAY = 3600, 24
Timed = tuple[Job, float]  # and its seconds on one device


@dataclass(frozen=True)
class Row:
    """Jobs of one kind. records: of evaluations.  device_hours: of a device.  core_hours: of a CPU core instead of a GPU."""

    data: str
    stage: str
    jobs: int
    records: int = 0
    images: int = 0
    flops: float = 0
    device_hours: float = 0.0
    core_hours: float = 0.0


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
        sums = ("jobs", "records", "images", "flops", "device_hours", "core_hours")
        return Row("total", "", **{name: sum(getattr(row, name) for row in self.rows) for name in sums})

    def write(self, out: Path) -> None:
        """As JSON."""
        files.write_json(out, asdict(self) | {"total": asdict(self.total)})

    def text(self) -> str:
        """For people, in Markdown."""
        both = any(row.core_hours for row in self.rows)
        head = ["data set", "what", "jobs", "records", "images", "PFLOP", f"{self.unit}-hours", *["core-hours"] * both]
        rows = [_cells(row)[: len(head)] for row in (*self.rows, self.total)]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [" | ".join(_aligned(row, widths)) for row in (head, *rows)]
        rule = "|".join("-" * (width + 1) + ("-" if number < 2 else ":") for number, width in enumerate(widths))
        return "\n".join(
            [
                f"{self.suite}, from nothing to the report, on {self.devices} {self.unit}{'s' * (self.devices > 1)}\n",
                *(f"| {line} |" for line in lines[:1]),
                f"|{rule}|",
                *(f"| {line} |" for line in lines[1:]),
                f"\nwall time: {_hours(self.wall_hours)}",
                f"disk: {_bytes(sum(self.disk_bytes.values()))}, besides the data sets: {_listed(self.disk_bytes)}",
                f"memory of a job, besides its program and what its layers hold in between: {_listed(self.memory_bytes)}\n",
                *(f"- {note}" for note in self.notes),
            ]
        )


def make_plan(study: Study, devices: int, rates: Rates, efficiency: float) -> Plan:
    """The whole of a study from its start, on so many devices. SemFlowError if its images cannot be counted.

    efficiency: of several devices that share a training, in (0, 1].
    """
    suites = study.suites
    wanted = {name: evaluations(suite) for name, suite in suites.items()}
    images = [
        (name, split, *workload.count(suite.data, split))
        for name, suite in suites.items()
        for split in ("train", suite.evaluation.split)
    ]
    processes = evaluation_jobs(study)
    timed = [
        (job, rates.seconds(job, suite))
        for suite in suites.values()
        for job in workload.work(suite, [one for one in processes if one.suite is suite])
    ]
    prepared = [Row(name, "prepare data", 1) for name in wanted if name in OFFICIAL]
    reports = Row("all", "tables, figures, pages", sum(bool(records(name, study)) for name in PRODUCTS) + NOTEBOOKS)
    return Plan(
        study.name,
        devices,
        rates.unit,
        tuple(images),
        {"bf16": rates.bf16, "fp32": rates.fp32, "core": rates.core},
        (*prepared, *_rows(timed, rates), reports),
        wall_hours(timed, devices, rates, efficiency),
        storage.disk(study, wanted),
        storage.memory(study, wanted, rates),
        (
            *rates.notes,
            *_notes(study, wanted, devices, rates, efficiency),
            *_image_notes(images),
            *_longest(timed, devices, rates),
        ),
    )


def wall_hours(timed: Sequence[Timed], devices: int, rates: Rates, efficiency: float) -> tuple[float, float]:
    """Least and most hours of jobs and their seconds on one device.

    Least: the work is shared evenly, and no job that one device does takes longer.  Most: trainings first, each on as many
    devices as divide its batch, at `efficiency` where these are several; then evaluations, in whatever order.
    """
    trained = [(shared_by(job.batch, devices), time) for job, time in timed if job.where == "training"]
    alone = _by_process([(job, time) for job, time in timed if rates.alone(job)])
    sampled = _by_process([(job, time) for job, time in timed if job.where != "training" and not rates.alone(job)])
    widest = max((width for width, _ in trained), default=1)
    slowed = [time / width / (efficiency if width > 1 else 1) for width, time in trained]
    least = (sum(time for _, time in trained) + sum(sampled)) / devices
    most = at_most(slowed, devices // widest) + at_most(sampled, devices)
    return max([least, *alone, *sampled]) / HOUR, max([most, *alone]) / HOUR


def _by_process(timed: Sequence[Timed]) -> list[float]:
    """Seconds of each process."""
    sums: dict[tuple[str, str], float] = {}
    for job, time in timed:
        sums[job.data, job.process] = sums.get((job.data, job.process), 0.0) + time
    return list(sums.values())


def at_most(times: Sequence[float], places: int) -> float:
    """After which jobs are done that are begun in any order, each as soon as a place is free (Graham, 1966)."""
    return sum(times) / places + (1 - 1 / places) * max(times, default=0.0)


def shared_by(batch: int, devices: int) -> int:
    """How many of the devices can share a batch evenly."""
    return max(width for width in range(1, min(batch, devices) + 1) if batch % width == 0)


def _rows(timed: Sequence[Timed], rates: Rates) -> list[Row]:
    """One for each data set and stage; a process of several stages is counted with its first."""
    kinds: dict[tuple[str, str], list[Timed]] = {}
    for job, time in timed:
        kinds.setdefault((job.data, job.stage), []).append((job, time))
    rows, counted = [], set[tuple[str, str]]()
    for (data, stage), those in kinds.items():
        processes = {(data, job.process) for job, _ in those if job.process} - counted
        counted |= processes
        rows.append(
            Row(
                data,
                stage,
                jobs=len(processes),
                records=sum(job.where != "training" for job, _ in those),
                images=sum(job.images for job, _ in those),
                flops=sum(job.flops for job, _ in those),
                device_hours=sum(time for job, time in those if not rates.alone(job)) / HOUR,
                core_hours=sum(time for job, time in those if rates.alone(job)) / HOUR,
            )
        )
    return rows


def _notes(study: Study, wanted: dict[str, list[Evaluation]], devices: int, rates: Rates, efficiency: float) -> list[str]:
    """How the work is shared, and what was taken for granted of it."""
    notes = []
    if devices > 1:
        shared = {part: shared_by(study.suites[part].training.batch_size, devices) for part in wanted}
        told = ", ".join(f"{n} ({part})" for part, n in shared.items()) if set(shared.values()) != {devices} else f"all {devices}"
        notes.append(f"assumed: a training is shared by {told} {rates.unit}s at {efficiency:.0%} of their speed")
        notes.append(
            f"wall time: from all work shared evenly, to all trainings before the evaluations, which take a {rates.unit} each"
        )
    for task, n in ADAPTIVE.items():
        if names := sorted({one.sampler.name for those in wanted.values() for one in those if one.task == task and _adapts(one)}):
            notes.append(f"assumed: {', '.join(names)} evaluates a network {n} times for an output of {task}, as on mini")
    if rates.unit == "GPU" and any(study.suites[part].run.micro_batch is None for part in wanted):
        notes.append("how many images a GPU takes at once in training is found by trying when it starts")
    return [*notes, "not counted: reading pictures, starting programs, writing states; records are counted before compression"]


def _image_notes(images: Iterable[tuple[str, str, int, str]]) -> list[str]:
    words = {"files": "images that are here", "official": "images as officially counted, since their files are not here"}
    told = {source: ", ".join(f"{name} {split} {n:,}" for name, split, n, known in images if known == source) for source in words}
    return [f"{words[source]}: {those}" for source, those in told.items() if those]


def _adapts(one: Evaluation) -> bool:
    """Whether its sampler chooses its own steps."""
    return not one.is_control and METHODS[one.method].tasks[one.task][one.sampler.name] is None


def _longest(timed: Sequence[Timed], devices: int, rates: Rates) -> list[str]:
    """The process that more devices do not help, if that is what the wall time is."""
    times = _by_process([(job, time) for job, time in timed if job.where != "training"])
    if max(times, default=0.0) < sum(time for job, time in timed if not rates.alone(job)) / devices:
        return []
    return [f"the longest evaluation of a checkpoint decides the wall time: {_number(max(times) / HOUR)} hours"]


def _cells(row: Row) -> list[str]:
    counts = [f"{n:,}" if n else "" for n in (row.jobs, row.records, row.images)]
    return [
        row.data,
        row.stage,
        *counts,
        *(_number(x) if x else "" for x in (row.flops / 1e15, row.device_hours, row.core_hours)),
    ]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The first two to the left, numbers to the right."""
    pairs = enumerate(zip(cells, widths, strict=True))
    return [text.ljust(width) if number < 2 else text.rjust(width) for number, (text, width) in pairs]


def _number(x: float) -> str:
    """Three digits at least where it is large, two where it is small."""
    return f"{x:,.0f}" if x >= 10 else f"{x:.1f}" if x >= 1 else f"{x:.2f}" if x >= 0.005 else "< 0.01"


def _hours(span: tuple[float, float]) -> str:
    """From the least to the most."""
    least, most = map(_number, span)
    days = [f"{hours / DAY:,.1f}" for hours in span]
    in_days = f" ({' to '.join(dict.fromkeys(days))} days)" if span[1] > 2 * DAY else ""
    return f"about {most} hours{in_days}" if least == most else f"{least} to {most} hours{in_days}"


def _bytes(n: int) -> str:
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if n >= size:
            return f"{_number(n / size)} {unit}"
    return f"{_number(n / 1e3)} kB"


def _listed(sizes: dict[str, int]) -> str:
    return ", ".join(f"{what} {_bytes(n)}" for what, n in sizes.items() if n)
