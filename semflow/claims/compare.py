"""Two evaluations of the same images: the difference of each metric, paired by image, with its 95 % interval.

The resamples are those that the records keep (of images, or of blocks of consecutive frames), the same on both sides; where both
sides have several trainings, these are paired by seed and their variance is added, as in claims.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from semflow.claims.chance import Region
from semflow.claims.collect import Run, check_one, listed, only, read_runs, row_of, title, with_interval
from semflow.claims.document import perturbed
from semflow.claims.effects import Effect, Tested, difference, effect_of
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.catalogue import KINDS, Direction, Unit
from semflow.evaluation.records import Record
from semflow.suite.measurements import draws

LEVEL = 0.95
RECORDS = "records"  # the folder of records within that of a suite


class Difference(NamedTuple):
    """A metric of two evaluations. a, b: means over seeds.  low, high: of the difference a - b; None where it has no interval.

    n_units: what is resampled.  n_trainings: pairs of trainings.  better: where the interval leaves no doubt.
    """

    metric: str
    title: str
    unit: Unit
    direction: Direction
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    n_units: int
    n_trainings: int
    better: Literal["A", "B"] | None


class Pair(NamedTuple):
    """Two evaluations of a task. a, b: what each is.  resampled: what the bootstrap draws.  missing: by metric, why there is no
    difference."""

    task: str
    a: str
    b: str
    resampled: str
    n_images: int
    metrics: list[Difference]
    missing: dict[str, str]


class Comparison(NamedTuple):
    """left_out: evaluations of one side that the other has no like of."""

    dataset: str
    split: str
    pairs: list[Pair]
    left_out: list[str]

    def text(self) -> str:
        """A table a pair, and what was left out."""
        left = ["\n".join(["Not compared:", *(f"- {what}" for what in self.left_out)])] if self.left_out else []
        return "\n\n".join([*map(self._table, self.pairs), *left])

    def _table(self, pair: Pair) -> str:
        head = ("", "A", "B", f"A - B [{100 * LEVEL:.0f} % interval]", "")
        rows = [head, *map(_row, pair.metrics)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        n = max((one.n_trainings for one in pair.metrics), default=1)
        chance = f"{n} pairs of trainings" if n > 1 else "one training a side, so the variance between trainings is not in them"
        return "\n".join(
            [
                f"{pair.task.replace('_', ' ')}, {pair.n_images:,} {self.split} images of {self.dataset}, paired",
                f"A: {pair.a}",
                f"B: {pair.b}",
                f"Intervals: Student's t on the paired bootstrap over {pair.resampled}; {chance}; each metric by itself.",
                *lines,
                *(f"{KINDS[name].title}: not compared, {why}" for name, why in pair.missing.items()),
            ]
        )

    def plain(self) -> dict[str, Any]:
        """The same for JSON."""
        pairs = [pair._asdict() | {"metrics": [one._asdict() for one in pair.metrics]} for pair in self.pairs]
        return {"format": 1, "level": LEVEL} | self._asdict() | {"pairs": pairs}


def _row(one: Difference) -> tuple[str, ...]:
    digits, unit = KINDS[one.metric].digits, "" if one.unit == "none" else f" ({one.unit})"
    low, high = (math.nan if end is None else end for end in (one.low, one.high))
    verdict = f"{one.better} is better" if one.better else ""
    values = (f"{value:.{digits}f}" for value in (one.a, one.b))
    return f"{one.title}{unit}", *values, with_interval(one.difference, low, high, digits), verdict


def compare(a: list[Run], b: list[Run]) -> Comparison:
    """Runs of each side: one evaluation, its seeds together, or several, which are paired by sampler or by steps.

    SemFlowError if the sides are of several data sets, have nothing in common, or were measured otherwise or on other images.
    """
    for name, runs in (("A", a), ("B", b)):
        check_one(runs, name)
    pairs, left = list[Pair](), list[str]()
    for task in dict.fromkeys(run.record.task for run in (*a, *b)):
        ours, theirs = only(a, task=task), only(b, task=task)
        if ours and theirs:
            found, alone = _rows(ours, theirs)
            pairs += [_compared(*groups) for groups in found]
            alone += [said for groups in found for said in _unpaired(*groups)]
            left += [f"{task.replace('_', ' ')}: {said}" for said in alone]
        else:
            left.append(_alone(task.replace("_", " "), "A" if ours else "B"))
    if not pairs:
        tasks = (listed(dict.fromkeys(run.record.task.replace("_", " ") for run in side)) for side in (a, b))
        raise SemFlowError("A has records of {}, B of {}; name evaluations of one task".format(*tasks))
    return Comparison(a[0].record.dataset, a[0].record.split, pairs, left)


def compare_paths(a: Path, b: Path) -> Comparison:
    """Of two record files, or folders of them. SemFlowError as `compare` says, or if both are the same or hold no records."""
    ours, theirs = (_records_in(path) for path in (a, b))
    if [path.resolve() for path in ours] == [path.resolve() for path in theirs]:
        raise SemFlowError(f"{a} and {b} are the same records; name two evaluations")
    return compare(read_runs(ours), read_runs(theirs))


def _records_in(path: Path) -> list[Path]:
    """A record, or all that lie in a folder: of a suite's folder, those in its folder of records."""
    if not path.exists():
        raise SemFlowError(f"there is no record and no folder at {path}; evaluate first, or name another")
    if path.is_file():
        return [path]
    folder = path / RECORDS if (path / RECORDS).is_dir() else path
    if found := sorted(folder.rglob("*.json")):
        return found
    raise SemFlowError(f"{path} holds no record (*.json); name a folder that `semflow evaluate` or the workflow wrote records in")


Key = Callable[[Record], Hashable]


def _drawn(record: Record) -> float | None:
    """b' where it is not the b of the training."""
    as_trained = not draws(record.task) or record.sampling_amplitude == record.amplitude
    return None if as_trained else record.sampling_amplitude


ALIKE: tuple[Key, ...] = (  # by what evaluations of two sides are paired, the first that they share
    lambda record: (record.sampler, record.steps, _drawn(record)),
    lambda record: (record.steps, _drawn(record)),
)


def _rows(a: list[Run], b: list[Run]) -> tuple[list[tuple[list[Run], list[Run]]], list[str]]:
    """Pairs of evaluations of one task, each with all of its seeds, and what has no like on the other side."""
    ours, theirs = _by(a, _whole), _by(b, _whole)
    if len(ours) == len(theirs) == 1:
        return [(a, b)], []
    for key in ALIKE:
        ours, theirs = _by(a, key), _by(b, key)
        if shared := [kind for kind in ours if kind in theirs]:
            break
    else:
        held = [listed(sorted({title(*row_of(run.record)) for run in side})) for side in (a, b)]
        raise SemFlowError("A has {}, B has {}, of which none are alike; name one evaluation of each".format(*held))
    for name, side in (("A", ours), ("B", theirs)):
        for group in (side[kind] for kind in shared):
            if len(several := _by(group, _whole)) > 1:
                said = listed(_called(runs, seeds=False) for runs in several.values())
                raise SemFlowError(f"{name} has several evaluations that could be compared, {said}; name a folder that holds one")
    alone = [(name, group) for name, side in (("A", ours), ("B", theirs)) for kind, group in side.items() if kind not in shared]
    return [(ours[kind], theirs[kind]) for kind in shared], [_alone(_called(group, seeds=False), name) for name, group in alone]


def _alone(what: str, side: str) -> str:
    return f"{what}, which {side} alone has"


def _whole(record: Record) -> Hashable:
    """All that tells evaluations of one task from each other but their seeds."""
    return *row_of(record), record.amplitude, record.sampling_amplitude, record.variant


def _by(runs: Iterable[Run], key: Key) -> dict[Hashable, list[Run]]:
    groups: dict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        groups[key(run.record)].append(run)
    return dict(groups)


def _compared(a: list[Run], b: list[Run]) -> Pair:
    ours, theirs = a[0], b[0]
    _check_alike(ours, theirs)
    found, missing = list[Difference](), dict[str, str]()
    for name in dict.fromkeys([*ours.record.metrics, *theirs.record.metrics]):
        sides = [effect_of(group, name) for group in (a, b)]
        if reason := next((run.record.reasons[name] for run in (*a, *b) if name in run.record.reasons), ""):
            missing[name] = reason
        elif lacking := [side for side, effect in zip("AB", sides, strict=True) if effect is None]:
            missing[name] = f"{listed(lacking)} {'has' if len(lacking) == 1 else 'have'} no interval of it"
        elif not np.isfinite([value for effect in sides if effect for value in effect.values.values()]).all():
            missing[name] = "a value is null"
        else:
            found.append(_difference(name, *[effect for effect in sides if effect]))
    resampled = ours.record.protocol.interval.partition("over ")[2]
    return Pair(ours.record.task, _called(a), _called(b), resampled, ours.record.n_images, found, missing)


def _unpaired(a: list[Run], b: list[Run]) -> list[str]:
    """Trainings that the other side has no like of; a control, which has none, goes with any."""
    seeds = [{run.record.training_seed for run in side} for side in (a, b)]
    if any(side[0].record.n_parameters is None for side in (a, b)) or len(seeds[0]) == len(seeds[1]) == 1:
        return []
    alone = {"A": sorted(seeds[0] - seeds[1]), "B": sorted(seeds[1] - seeds[0])}
    return [_alone(f"training seed{'s' * (len(own) > 1)} {listed(own)}", name) for name, own in alone.items() if own]


def _difference(name: str, a: Effect, b: Effect) -> Difference:
    if len(a.values) == len(b.values) == 1:  # two trainings, of whatever seeds
        (seed,), (value,), (drawn,) = a.values, b.values.values(), b.draws.values()
        b = b._replace(values={seed: value}, draws={seed: drawn})
    effect, kind = difference(a, b), KINDS[name]
    if not effect.values:
        seeds = (listed(side.values) for side in (a, b))
        raise SemFlowError("A has training seeds {}, B {}, and none in common; name one training of each".format(*seeds))
    measured = Tested.of(effect, Region(None, None))
    low, high = (end if math.isfinite(end) else None for end in measured.interval(LEVEL))
    better: Literal["A", "B"] | None = None
    if kind.direction != "neither" and low is not None and high is not None and not low <= 0 <= high:
        better = "A" if (low > 0) == (kind.direction == "higher") else "B"
    ours, theirs = (_mean_over(side, effect.values) for side in (a, b))
    n = effect.n_units, len(effect.values)
    return Difference(name, kind.title, kind.unit, kind.direction, ours, theirs, measured.value, low, high, *n, better)


def _mean_over(side: Effect, seeds: Iterable[int]) -> float:
    """Over the trainings that are paired; a control has one value, which goes with all."""
    return float(np.mean([side.values[seed] for seed in seeds] if len(side.values) > 1 else list(side.values.values())))


def _check_alike(a: Run, b: Run) -> None:
    """SemFlowError, with all that differs, if two records are not of the same images, measured the same way."""
    ours, theirs = (_setting(run) for run in (a, b))
    wrong = [f"{name} ({ours[name]}; {theirs[name]})" for name in ours if ours[name] != theirs[name]]
    if not wrong and not np.array_equal(a.arrays.units, b.arrays.units):
        wrong = ["the blocks of images that are resampled"]
    if wrong:
        raise SemFlowError(
            f"{_called([a])} and {_called([b])} cannot be paired: they differ in {listed(wrong)}; evaluate both the same way on "
            "the same images"
        )


def _setting(run: Run) -> dict[str, Any]:
    """What must be the same on both sides, by what it is called."""
    record = run.record
    files = {"files of the data set": f"SHA-256 {record.provenance.data_sha256[:12]}", "number of images": record.n_images}
    protocol = {f"protocol.{name}": value for name, value in record.protocol.model_dump().items()}
    return {"data set": record.dataset, "split": record.split, **files, "classes": listed(record.classes), **protocol}


def _called(group: list[Run], seeds: bool = True) -> str:
    """Such as "SemFlow Euler-25, b = 6 (mini; training seeds 0 and 1, sampling seed 0)"."""
    record = group[0].record
    words = [title(record.method, record.sampler, record.steps), *filter(None, [record.variant])]
    words += [f"b = {record.amplitude:g}"] if perturbed(record.method) else []
    words += [] if (drawn := _drawn(record)) is None else [f"b' = {drawn:g}"]
    if not seeds:
        return ", ".join(words)
    kinds = ["training", "sampling"] if record.n_parameters is not None else ["sampling"]
    found = {kind: sorted({getattr(run.record, f"{kind}_seed") for run in group}) for kind in kinds}
    told = ", ".join(f"{kind} seed{'s' * (len(known) > 1)} {listed(known)}" for kind, known in found.items())
    return f"{', '.join(words)} ({record.suite}; {told})"
