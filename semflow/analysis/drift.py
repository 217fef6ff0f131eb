"""Has a number become worse? Records against a reference that was accepted before.

For every metric that has a better direction, the change since the reference is tested one-sided in the bad direction, paired
by test image: both sides draw the same bootstrap resamples, and the standard error is that of the draws' differences. Where
both sides have several trainings and other weights, the spread between trainings is added. p-values are Holm's over all
metrics of a check, at `ALPHA`, and a change too small to show in the metric's digits is none.

Error rates, by simulation (tests/analysis/test_drift.py: 20 cells, 128 images each, a model that answers anew): a check of a
model that did not change raises a false alarm in at most 1 % of cases; a loss of 2 points of mIoU in one of the cells is
caught in at least 95 %.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from semflow import files
from semflow.analysis import statistics
from semflow.analysis.collect import Run, title
from semflow.config import content_hash
from semflow.errors import SemFlowError
from semflow.metrics.catalogue import KINDS
from semflow.provenance import commit

ALPHA = 0.01  # of a whole check
N_DRAWS = 100  # kept of each metric in a reference
DIGITS = 6  # significant, of a kept draw
ADAPTIVE_SLACK = 0.05  # by which share the evaluations of a solver that chooses its steps may differ between machines

FEWER_IS_WORSE = ("pixel_agreement",)  # not a quality, yet what a change should not lower

Cell = dict[str, Any]  # what a reference keeps of a cell, see `_summary`


class Change(NamedTuple):
    """One metric of one cell, then and now. worse: by how much, in its unit; negative is better.  p: before correction."""

    cell: str
    metric: str
    was: float
    now: float
    worse: float
    p: float

    @property
    def shows(self) -> bool:
        """Whether it is more than half of the last digit that is shown."""
        return self.worse > 0.5 * 10 ** -KINDS[self.metric].digits

    def sentence(self, p: float) -> str:
        kind = KINDS[self.metric]
        was, now, worse = (f"{value:.{kind.digits}f}" for value in (self.was, self.now, self.worse))
        return f"{self.cell}: {kind.title} was {was}, is {now}, {worse} worse (p = {p:.2g}, Holm over all metrics)"


class Check(NamedTuple):
    """changes: every metric that was tested.  drifted: a sentence on each that drifted.  unlike: one on each that is not the same
    metric, or that one side lacks.  same: how many cells are the same to the bit, and of how many.  retrained: how many have
    other weights."""

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
        end = (
            f"{len(self.changes)} metrics of {self.same[1]} cells held against the reference, {self.same[0]} cells the same bits"
        )
        end += f", {self.retrained} with other weights" if self.retrained else ""
        end += f"; {len(self.drifted)} drifted" if self.drifted else "; no drift"
        end += f"; {len(self.unlike)} not compared: `accept_reference` takes them as they are" if self.unlike else ""
        return "\n".join([*(f"DRIFT {line}" for line in self.drifted), *self.unlike, f"{end}."])


def check(measured: dict[str, Any], reference: dict[str, Any]) -> Check:
    """Hold what was measured now, in the form of a reference, against one."""
    now, protocols = measured["cells"], reference["protocols"] | measured["protocols"]
    changes, exact, unlike, same, retrained = list[Change](), list[str](), list[str](), list[bool](), 0
    for name, then in reference["cells"].items():
        if name not in now:
            unlike.append(f"{name}: not measured, but in the reference")
        elif now[name]["protocol"] != then["protocol"]:
            changed = _differing(protocols[then["protocol"]], protocols[now[name]["protocol"]])
            unlike.append(f"{name}: not the same metric, since its protocol changed in {changed}")
        else:
            same.append((now[name]["outputs"], now[name]["matrices"]) == (then["outputs"], then["matrices"]))
            retrained += now[name]["weights"] != then["weights"]
            exact += _effort(name, then, now[name])
            changes += [_change(name, metric, then, now[name]) for metric in then["metrics"] if metric in now[name]["metrics"]]
            lost = [metric for metric in then["metrics"] if metric not in now[name]["metrics"]]
            unlike += [f"{name}: {KINDS[metric].title} not measured, but in the reference" for metric in lost]
    unlike += [f"{name}: measured, but not in the reference" for name in now if name not in reference["cells"]]
    adjusted = statistics.holm([change.p for change in changes])
    drifted = [change.sentence(p) for change, p in zip(changes, adjusted, strict=True) if change.shows and p <= ALPHA]
    return Check(changes, exact + drifted, unlike, (sum(same), len(same)), retrained)


def _effort(cell: str, then: Cell, now: Cell) -> list[str]:
    """A sentence where the network is evaluated another number of times than before, be it more or less."""
    was, slack = then["evaluations"], ADAPTIVE_SLACK if now["adaptive"] else 1e-9
    if abs(now["evaluations"] - was) <= slack * was:
        return []
    return [f"{cell}: evaluations of the network were {was:g}, are {now['evaluations']:g}, and must be the same"]


def _change(cell: str, metric: str, then: Cell, now: Cell) -> Change:
    kind, old, new = KINDS[metric], then["metrics"][metric], now["metrics"][metric]
    was, is_now = _mean(old["values"]), _mean(new["values"])
    worse = (was - is_now) * (-1 if kind.direction == "lower" else 1)
    images = statistics.of_images(np.subtract(old["draws"], new["draws"]), new["n_units"])
    trainings = [0.0, 0.0] if then["weights"] == now["weights"] else [_between_trainings(side["values"]) for side in (old, new)]
    se = math.hypot(images.se, *trainings)
    return Change(cell, metric, was, is_now, worse, float(stats.t.sf(worse / se, images.df)) if se > 0 else float(worse <= 0))


def _between_trainings(values: dict[str, dict[str, float]]) -> float:
    """Standard error of a mean over trainings; 0 for one alone, whose chance cannot be told."""
    means = [float(np.mean(list(by_seed.values()))) for by_seed in values.values()]
    return float(np.std(means, ddof=1)) / math.sqrt(len(means)) if len(means) > 1 else 0.0


def _mean(values: dict[str, dict[str, float]]) -> float:
    """Over trainings, of the mean over sampling seeds."""
    return float(np.mean([np.mean(list(by_seed.values())) for by_seed in values.values()]))


def reference_of(runs: list[Run]) -> dict[str, Any]:
    """What a reference keeps of records: protocols by their hash, and cells."""
    return {"protocols": _protocols(runs), "cells": {cell: _summary(group) for cell, group in sorted(_cells(runs).items())}}


def accept(runs: list[Run], path: Path, reason: str) -> None:
    """Write a new reference from records, its history one entry longer. SemFlowError without a reason."""
    if not reason.strip():
        raise SemFlowError("a new reference needs its reason; give --reason '...'")
    suite, old = runs[0].record.suite, read(path) if path.exists() else None
    if old is not None and old["suite"] != suite:
        raise SemFlowError(f"{path} is the reference of suite {old['suite']}, not of {suite}; name another file")
    entry = {"date": datetime.now(UTC).date().isoformat(), "reason": reason.strip(), "commit": commit()[0]}
    made = reference_of(runs)
    head = {"format": 1, "suite": suite, "history": [*(old["history"] if old else []), entry], "protocols": made["protocols"]}
    lines = ",\n".join(f"  {json.dumps(cell)}: {json.dumps(kept, allow_nan=False)}" for cell, kept in made["cells"].items())
    files.write_text(path, f'{json.dumps(head, indent=1)[:-2]},\n "cells": {{\n{lines}\n }}\n}}\n')  # a cell a line, for git diff


def read(path: Path) -> dict[str, Any]:
    """A reference that `accept` wrote; SemFlowError if it is missing or of another form."""
    if not path.exists():
        raise SemFlowError(f"there is no reference at {path}; make one with `semflow accept_reference`")
    reference = files.read_json(path, "reference")
    if not isinstance(reference, dict) or reference.get("format") != 1:
        raise SemFlowError(f"{path} is not a reference of format 1; make it again with `semflow accept_reference`")
    return reference


def _cells(runs: list[Run]) -> dict[str, list[Run]]:
    """Runs by cell, seeds together."""
    cells: dict[str, list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.record.training_seed, run.record.sampling_seed)):
        record = run.record
        trained = f", b = {record.amplitude:g}" if record.amplitude else ""
        drawn = f", b' = {record.sampling_amplitude:g}" if record.sampling_amplitude != record.amplitude else ""
        name = f"{title(record.method, record.sampler, record.steps)} {record.task}"
        cells[name + trained + (drawn if record.task == "synthesis" else "")].append(run)
    return dict(cells)


def _protocol(run: Run) -> dict[str, Any]:
    """What must be the same for two values to be of one metric."""
    record = run.record
    what = {"dataset": record.dataset, "split": record.split, "data": record.provenance.data_sha256, "n_images": record.n_images}
    return record.protocol.model_dump(mode="json") | what | {"settings": record.settings, "classes": list(record.classes)}


def _protocols(runs: list[Run]) -> dict[str, dict[str, Any]]:
    """Every protocol by its hash."""
    return {content_hash(protocol): protocol for protocol in map(_protocol, runs)}


def _differing(then: dict[str, Any], now: dict[str, Any]) -> str:
    return ", ".join(name for name in sorted({*then, *now}) if then.get(name) != now.get(name))


def _summary(group: list[Run]) -> Cell:
    """What a reference keeps of a cell: protocol, effort, digests by training and sampling seed, and its metrics."""
    record = group[0].record
    directed = [name for name in record.metrics if KINDS[name].direction != "neither" or name in FEWER_IS_WORSE]
    return {
        "protocol": content_hash(_protocol(group[0])),
        "evaluations": float(np.mean([run.record.evaluations for run in group])),
        "adaptive": bool(record.evaluations and not record.steps),
        "weights": _by_seeds(group, lambda run: run.record.provenance.checkpoint_sha256),
        "outputs": _by_seeds(group, lambda run: run.record.outputs_sha256),
        "matrices": _by_seeds(group, _digest),
        "metrics": {name: _metric(group, name) for name in directed if all(name in run.record.metrics for run in group)},
    }


def _metric(group: list[Run], name: str) -> dict[str, Any]:
    """Values by training and sampling seed, the first draws of their mean, and what the draws resample."""
    arrays = group[0].arrays
    draws = np.mean([run.arrays.draws[name][:N_DRAWS] for run in group], axis=0)
    return {
        "values": _by_seeds(group, lambda run: run.record.metrics[name].value),
        "n_units": min(int(arrays.units.max()) + 1, len(arrays.values.get(name, arrays.units))),
        "draws": [float(f"{draw:.{DIGITS}g}") for draw in draws],
    }


def _by_seeds(group: list[Run], what: Callable[[Run], Any]) -> dict[str, dict[str, Any]]:
    by_training: dict[str, dict[str, Any]] = defaultdict(dict)
    for run in group:
        by_training[str(run.record.training_seed)][str(run.record.sampling_seed)] = what(run)
    return dict(by_training)


def _digest(run: Run) -> str | None:
    """SHA-256 of the per-image confusion matrices."""
    if run.arrays.confusions is None:
        return None
    matrix = run.arrays.confusions.tocoo()
    order = np.lexsort((matrix.col, matrix.row))
    entries = np.stack([matrix.row[order], matrix.col[order], matrix.data[order]]).astype(np.int64)
    return hashlib.sha256(entries.tobytes()).hexdigest()
