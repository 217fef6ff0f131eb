"""Has a number changed for the worse? Records against a reference that was accepted before.

Every metric is held against the reference, paired by test image: both sides draw the same bootstrap resamples, and the
standard error is that of the draws' differences. A metric with a better direction is tested one-sided in the bad direction,
one with none (brightness, straightness, ...) two-sided. p-values are Holm's over all metrics of a check, at `ALPHA`, and a
change too small to show in the metric's digits is none.

Error rates, by simulation (tests/analysis/test_drift.py: 20 cells of 128 images), hold for one case each:
- The same weights, answers drawn anew: a check raises a false alarm in at most 1 % of cases, and a loss of 2 points of mIoU in
  one cell is caught in at least 95 %.
- Other weights, three trainings a side, 0.8 points apart: false alarms in at most 1 %. So few trainings tell little: it takes
  a loss of 10 points to be caught in 95 %.
- Other weights, one training on a side: its chance cannot be told. The test is on images alone, so that a bug in training is
  caught, and its sentence says so. On one machine trainings are the same to the bit; a check after training on another may
  raise an alarm though nothing is wrong.
"""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from semflow.claims import statistics
from semflow.claims.collect import Run
from semflow.claims.reference import read, reference_of, write
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.provenance import commit

ALPHA = 0.01  # of a whole check
ADAPTIVE_SLACK = 0.05  # by which share the evaluations of a solver that chooses its steps may differ between machines

FEWER_IS_WORSE = ("seed_agreement",)  # not a quality, yet what a change should not lower
UNTOLD = "; the weights are others, and one training cannot tell this model's drift from the chance of a training"

Cell = dict[str, Any]  # what a reference keeps of a cell, see `reference.KeptCell`


class Change(NamedTuple):
    """One metric of one cell, then and now. worse: by how much, in its unit; negative is better; where neither way is better, by
    how much it is off.  p: before correction.  untold: whether weights are others and a side has one training only."""

    cell: str
    metric: str
    was: float
    now: float
    worse: float
    p: float
    untold: bool

    @property
    def shows(self) -> bool:
        """Whether it is more than half of the last digit that is shown."""
        return self.worse > 0.5 * 10 ** -KINDS[self.metric].digits

    def sentence(self, p: float) -> str:
        kind, how = KINDS[self.metric], "off" if _either_way(self.metric) else "worse"
        was, now, worse = (f"{value:.{kind.digits}f}" for value in (self.was, self.now, self.worse))
        told = f"{self.cell}: {kind.title} was {was}, is {now}, {worse} {how} (p = {p:.2g}, Holm over all metrics)"
        return told + (UNTOLD if self.untold else "")


class Check(NamedTuple):
    """changes: every metric that was tested.  drifted: a sentence on each that drifted.  unlike: one on each that is not the same
    metric, that one side lacks, or whose change cannot be told.  same: how many cells are the same to the bit, and of how many.
    retrained: how many have other weights."""

    changes: list[Change]
    drifted: list[str]
    unlike: list[str]
    same: tuple[int, int]
    retrained: int

    @property
    def status(self) -> int:
        """Exit status: 1 for drift, 3 where something could not be held against the reference, else 0."""
        return 1 if self.drifted else 3 if self.unlike else 0

    def text(self) -> str:
        """One line a metric that drifted or could not be compared, then a summary."""
        (same, of), n = self.same, len(self.changes)
        end = f"{n} metrics of {of} cells held against the reference, {same} cells the same bits"
        end += f", {self.retrained} with other weights" if self.retrained else ""
        end += f"; {len(self.drifted)} drifted" if self.drifted else "; no drift"
        end += f"; {len(self.unlike)} not compared: if they are meant, make a new reference" if self.unlike else ""
        return "\n".join([*(f"DRIFT {line}" for line in self.drifted), *self.unlike, f"{end}."])


class Side(NamedTuple):
    """A metric then or now. means: of every training, over its sampling seeds.  draws: (n,), of the mean over trainings."""

    means: list[float]
    draws: np.ndarray
    n_units: int

    @property
    def mean(self) -> float:
        return float(np.mean(self.means))


def check(measured: dict[str, Any], reference: dict[str, Any]) -> Check:
    """Hold what was measured now, in the form of a reference, against one. SemFlowError if they are of two suites."""
    suites = reference["suite"], measured["suite"]
    if suites[0] != suites[1]:
        raise SemFlowError(f"the reference is of suite {suites[0]}, the records are of {suites[1]}; give both of one suite")
    now, protocols = measured["cells"], reference["protocols"] | measured["protocols"]
    told, exact, unlike, same, retrained = list[Change | str](), list[str](), list[str](), list[bool](), 0
    for name, then in reference["cells"].items():
        if name not in now:
            unlike.append(f"{name}: not measured, but in the reference")
        elif now[name]["protocol"] != then["protocol"]:
            changed = _differing(protocols[then["protocol"]], protocols[now[name]["protocol"]])
            unlike.append(f"{name}: not the same metric, since its protocol changed in {changed}")
        else:
            same.append((now[name]["outputs"], now[name]["matrices"]) == (then["outputs"], then["matrices"]))
            retrained += _retrained(then, now[name])
            exact += _effort(name, then, now[name])
            told += [_held(name, metric, then, now[name]) for metric in {**then["metrics"], **now[name]["metrics"]}]
    unlike += [sentence for sentence in told if isinstance(sentence, str)]
    unlike += [f"{name}: measured, but not in the reference" for name in now if name not in reference["cells"]]
    changes = [change for change in told if isinstance(change, Change)]
    adjusted = statistics.holm([change.p for change in changes])
    drifted = [change.sentence(p) for change, p in zip(changes, adjusted, strict=True) if change.shows and p <= ALPHA]
    return Check(changes, exact + drifted, unlike, (sum(same), len(same)), retrained)


def _differing(then: dict[str, Any], now: dict[str, Any]) -> str:
    return ", ".join(name for name in sorted({*then, *now}) if then.get(name) != now.get(name))


def _effort(cell: str, then: Cell, now: Cell) -> list[str]:
    """A sentence where the network is evaluated another number of times than before, be it more or less."""
    was, slack = then["evaluations"], ADAPTIVE_SLACK if now["adaptive"] else 1e-9
    if abs(now["evaluations"] - was) <= slack * was:
        return []
    return [f"{cell}: evaluations of the network were {was:g}, are {now['evaluations']:g}, and must be the same"]


def _held(cell: str, metric: str, then: Cell, now: Cell) -> Change | str:
    """The change of a metric, or a sentence on why there is none to tell."""
    name = f"{cell}: {KINDS[metric].title}"
    if metric not in now["metrics"]:
        return f"{name} not measured, but in the reference"
    if metric not in then["metrics"]:
        return f"{name} measured, but not in the reference"
    retrained = _retrained(then, now)
    was, new = (_side(one["metrics"][metric], list(one["weights"]) if retrained else _shared(then, now)) for one in (then, now))
    if why := _untellable(was, new):
        return f"{name} cannot be told: {why}"
    alone = min(len(was.means), len(new.means)) < 2
    se, df = _chance(was, new, retrained and not alone)
    if not math.isfinite(se):
        return f"{name} cannot be told: its standard error is not finite"
    sides, worse = 1, (new.mean - was.mean) * (1 if KINDS[metric].direction == "lower" else -1)
    if _either_way(metric):
        sides, worse = 2, abs(worse)
    p = sides * float(stats.t.sf(worse / se, df)) if se > 0 else float(worse <= 0)
    return Change(cell, metric, was.mean, new.mean, worse, p, retrained and alone)


def _untellable(was: Side, new: Side) -> str | None:
    if len(was.draws) != len(new.draws):
        return f"the reference keeps {len(was.draws)} bootstrap draws, the records {len(new.draws)}"
    if not np.isfinite([*was.means, *new.means, *was.draws, *new.draws]).all():
        return "a value or a bootstrap draw is not finite"
    return "it is measured over fewer than two units" if min(was.n_units, new.n_units) < 2 else None


def _chance(was: Side, new: Side, retrained: bool) -> tuple[float, float]:
    """Standard error of a change and its degrees of freedom: from images, paired, and from trainings if these are others.

    Trainings have one variance, pooled, and the whole no more degrees of freedom than they. Welch-Satterthwaite's would be too
    many where trainings happen to lie close, and raise several times `ALPHA` alarms.
    """
    images = statistics.of_images(was.draws - new.draws, min(was.n_units, new.n_units))
    if not retrained:
        return images.se, images.df
    n = len(was.means), len(new.means)
    variance = sum(float(np.var(side.means)) * len(side.means) for side in (was, new)) / (df := sum(n) - 2)
    return math.hypot(images.se, math.sqrt(variance * (1 / n[0] + 1 / n[1]))), min(images.df, df)


def _side(kept: dict[str, Any], trainings: list[str]) -> Side:
    means = [float(np.mean([*kept["values"][seed].values()])) for seed in trainings]
    return Side(means, np.mean([kept["draws"][seed] for seed in trainings], axis=0), kept["n_units"])


def _either_way(metric: str) -> bool:
    return KINDS[metric].direction == "neither" and metric not in FEWER_IS_WORSE


def _shared(then: Cell, now: Cell) -> list[str]:
    """Training seeds that both sides have."""
    return [seed for seed in then["weights"] if seed in now["weights"]]


def _retrained(then: Cell, now: Cell) -> bool:
    """Whether weights differ in a training that both sides have, or no training is on both."""
    weights = [[{*side["weights"][seed].values()} for seed in _shared(then, now)] for side in (then, now)]
    return not weights[0] or weights[0] != weights[1]


def accept(runs: list[Run], path: Path, reason: str) -> str:
    """Write a new reference from records, its history one entry longer, and say in a line what it holds. SemFlowError without a
    reason, or if the old one is damaged or of another suite."""
    if not reason.strip():
        raise SemFlowError("a new reference needs its reason; give --reason '...'")
    made, old = reference_of(runs), read(path) if path.exists() else None
    if old is not None and old["suite"] != made["suite"]:
        raise SemFlowError(f"{path} is the reference of suite {old['suite']}, not of {made['suite']}; name another file")
    entry = {"date": datetime.now(UTC).date().isoformat(), "reason": reason.strip(), "commit": commit()[0]}
    history, cells = [*(old["history"] if old else []), entry | {"records": _commits(runs)}], made["cells"]
    write(path, {"format": 1, "suite": made["suite"], "history": history, **made})
    if old is None:
        return f"{len(cells)} cells, the first reference"
    new, dropped = (", ".join(sorted({*one} - {*other})) for one, other in ((cells, old["cells"]), (old["cells"], cells)))
    return f"{len(cells)} cells; new: {new or 'none'}; dropped: {dropped or 'none'}"


def _commits(runs: list[Run]) -> list[str]:
    """That records were made at, each once; "-dirty" after one whose code or configuration was changed."""
    return sorted({source.commit + "-dirty" * source.dirty for source in (run.record.provenance for run in runs)})
