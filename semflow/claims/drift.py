"""Has a number changed for the worse? Records against a reference that was accepted before, and the file of that reference.

Every metric is compared with the reference, paired by test image: both sides draw the same bootstrap resamples, and the standard
error is that of the draws' differences. A metric with a better direction is tested one-sided in the bad direction, one with none
(brightness, straightness, ...) two-sided. p-values are Holm's over all metrics of a check, at `ALPHA`, and a change too small to
show in the metric's digits is none.

Error rates, by simulation (tests/claims/test_drift.py: 20 evaluations of 128 images), hold for one case each:
- The same weights, sampled anew: a check raises a false alarm in at most 1 % of cases, and a loss of 2 points of mIoU in one
  evaluation is caught in at least 95 %.
- Other weights, three trainings a side, 0.8 points apart: false alarms in at most 1 %. So few trainings tell little: it takes
  a loss of 10 points to be caught in 95 %.
- Other weights, one training on a side: the variance between trainings is unknown. The test is on images alone, so that a bug
  in training is caught, and its sentence says so. On one machine trainings are the same to the bit; a check after training on
  another may raise an alarm though nothing is wrong, so that it says what else differs, and what to do.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy import special

from semflow import files
from semflow.claims.chance import holm, of_images
from semflow.claims.collect import Names, Run, only, row_of, title
from semflow.errors import SemFlowError, sentence
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.provenance import commit, content_hash

ALPHA = 0.01  # of a whole check
ADAPTIVE_SLACK = 0.05  # by which share the evaluations of a solver that chooses its steps may differ between machines
N_DRAWS = 100  # kept of each metric in a reference
DIGITS = 6  # significant, of a kept draw
FEWER_IS_WORSE = ("seed_agreement",)  # not a quality, yet what a change should not lower
UNTOLD = "; other weights, and a single training cannot tell drift from the variance between trainings"
NEXT = (
    "What to do: check out the reference's commit here, run it and check again. If it drifts as well, the difference is this "
    "machine's or its versions': train under several seeds (training.seeds), or accept a reference made here with "
    "`semflow regression accept --reason ...`. If it does not, the change lies in the commits between."
)

T = TypeVar("T")
Seeds = Annotated[dict[str, T], Field(min_length=1)]  # by training seed, or by sampling seed


# What a reference keeps.


def _known(metric: str) -> str:
    if metric not in KINDS:
        raise ValueError(f"there is no metric {metric}")
    return metric


def _as_many(draws: list[float]) -> list[float]:
    if len(draws) != N_DRAWS:
        raise ValueError(f"{len(draws)} draws, not {N_DRAWS}")
    return draws


class _Part(BaseModel):
    """Strict and closed, and every number finite, in a file; what was only just measured is not checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Accepted(_Part):
    """Why the numbers were accepted. commit: of the code that wrote the file.  records: of the code that made the records."""

    date: str
    reason: str
    commit: str
    records: list[str]


class Origin(_Part):
    """What made the records. versions: of every package, each that occurs; none where they are not known."""

    commits: list[str]
    versions: dict[str, list[str]]
    devices: list[str]


class ReferenceMetric(_Part):
    """values: by training and sampling seed.  n_units: that a bootstrap resamples.  draws: by training seed, the first draws of
    the mean over sampling seeds."""

    values: Seeds[Seeds[float]]
    n_units: Annotated[int, Field(ge=1)]
    draws: Seeds[Annotated[list[float], AfterValidator(_as_many)]]


class ReferenceEntry(_Part):
    """Evaluations that differ in seeds alone. protocol: its hash.  network_evaluations: for one image.  adaptive: whether the
    sampler chooses its own steps.  weights, outputs, matrices: SHA-256 by training and sampling seed."""

    protocol: str
    network_evaluations: Annotated[float, Field(ge=0)]
    adaptive: bool
    weights: Seeds[Seeds[str | None]]
    outputs: Seeds[Seeds[str]]
    matrices: Seeds[Seeds[str | None]]
    metrics: dict[Annotated[str, AfterValidator(_known)], ReferenceMetric]

    @model_validator(mode="after")
    def _of_the_same_trainings(self) -> "ReferenceEntry":
        trainings: dict[str, dict[str, Any]] = {"outputs": self.outputs, "matrices": self.matrices}
        for name, metric in self.metrics.items():
            trainings |= {f"metrics.{name}.values": metric.values, f"metrics.{name}.draws": metric.draws}
        for field, seeds in trainings.items():
            if seeds.keys() != self.weights.keys():
                raise ValueError(f"{field} has training seeds {', '.join(seeds)}, but weights {', '.join(self.weights)}")
        return self


class Reference(_Part):
    """history: empty of what was only just measured.  protocols: by their hash.  evaluations: by their name."""

    format: Literal[2]
    suite: str
    history: Annotated[list[Accepted], Field(min_length=1)]
    origin: Origin
    protocols: dict[str, dict[str, Any]]
    evaluations: dict[str, ReferenceEntry]

    @model_validator(mode="after")
    def _every_protocol_is_there(self) -> "Reference":
        for name, kept in self.evaluations.items():
            if kept.protocol not in self.protocols:
                raise ValueError(f"evaluations.{name}.protocol is not among protocols")
        return self


def read(path: Path) -> Reference:
    """A reference; SemFlowError names the file and what is wrong in it."""
    mend = "restore it from git, or delete it and make it again with `semflow regression accept`"
    try:
        return Reference.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise SemFlowError(f"there is no reference at {path}; make one with `semflow regression accept`") from None
    except OSError as error:
        raise SemFlowError(f"{path} is not a readable reference ({error.strerror}); {mend}") from None
    except ValidationError as error:
        raise SemFlowError(f"{path} is not a reference of format 2: {sentence(error)}; {mend}") from None


def write(path: Path, reference: Reference) -> None:
    """An evaluation a line, for git to compare. SemFlowError if it holds what none can keep."""
    plain = reference.model_dump()
    try:
        Reference.model_validate(plain)
    except ValidationError as error:
        raise SemFlowError(f"these records make no reference: {sentence(error)}; evaluate them again") from None
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(kept)}" for name, kept in plain.pop("evaluations").items())
    files.write_text(path, f'{json.dumps(plain, indent=1)[:-2]},\n "evaluations": {{\n{lines}\n }}\n}}\n')


def accept(runs: list[Run], path: Path, reason: str) -> str:
    """Write a new reference from records, its history one entry longer, and say in a line what it holds. SemFlowError without a
    reason, if the old one is damaged or of another suite, or if a record holds what none can keep."""
    if not reason.strip():
        raise SemFlowError("a new reference needs its reason; give --reason '...'")
    made, old = reference_of(runs), read(path) if path.exists() else None
    if old and old.suite != made.suite:
        raise SemFlowError(f"{path} is the reference of suite {old.suite}, not of {made.suite}; name another file")
    today = datetime.now(UTC).date().isoformat()
    entry = Accepted(date=today, reason=reason.strip(), commit=commit()[0], records=made.origin.commits)
    write(path, made.model_copy(update={"history": [*(old.history if old else []), entry]}))
    kept = f"{len(made.evaluations)} evaluations"
    if not old:
        return f"{kept}, the first reference"
    pairs = (made.evaluations, old.evaluations), (old.evaluations, made.evaluations)
    new, dropped = (", ".join(sorted({*one} - {*other})) or "none" for one, other in pairs)
    return f"{kept}; new: {new}; dropped: {dropped}"


def reference_of(runs: list[Run]) -> Reference:
    """What a reference keeps of records, without a history, and not checked: values may be infinite or NaN."""
    sources = [run.record.provenance for run in runs]
    packages = sorted({name for source in sources for name in source.versions})
    return Reference.model_construct(
        format=2,
        suite=runs[0].record.suite,
        history=[],
        origin=Origin(
            commits=sorted({source.commit + "-dirty" * source.dirty for source in sources}),
            versions={name: sorted({s.versions[name] for s in sources if name in s.versions}) for name in packages},
            devices=sorted({source.device for source in sources}),
        ),
        protocols={content_hash(protocol): protocol for protocol in map(_protocol, runs)},
        evaluations={name: _kept(group) for name, group in sorted(_grouped(runs).items())},
    )


def _grouped(runs: list[Run]) -> dict[str, list[Run]]:
    """Runs by the name of their evaluation, seeds together; where there are several data sets, it says which."""
    names = Names.among(runs)
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in only(runs):
        record = run.record
        trained = f", b = {record.amplitude:g}" if record.amplitude else ""
        drawn = f", b' = {record.sampling_amplitude:g}" if record.sampling_amplitude != record.amplitude else ""
        name = f"{title(*row_of(record))} {record.task}{names.on(record)}"
        groups[name + trained + (drawn if record.task == "synthesis" else "")].append(run)
    return dict(groups)


def _protocol(run: Run) -> dict[str, Any]:
    """What must be the same for two values to be of one metric."""
    record = run.record
    what = {"dataset": record.dataset, "split": record.split, "data": record.provenance.data_sha256, "n_images": record.n_images}
    return record.protocol.model_dump(mode="json") | what | {"settings": record.settings, "classes": list(record.classes)}


def _kept(group: list[Run]) -> ReferenceEntry:
    record = group[0].record
    return ReferenceEntry.model_construct(
        protocol=content_hash(_protocol(group[0])),
        network_evaluations=float(np.mean([run.record.evaluations for run in group])),
        adaptive=bool(record.evaluations and not record.steps),
        weights=_by_seeds(group, lambda run: run.record.provenance.checkpoint_sha256),
        outputs=_by_seeds(group, lambda run: run.record.outputs_sha256),
        matrices=_by_seeds(group, _digest),
        metrics={name: _metric(group, name) for name in record.metrics if all(name in run.record.metrics for run in group)},
    )


def _metric(group: list[Run], name: str) -> ReferenceMetric:
    arrays, draws = group[0].arrays, _by_seeds(group, lambda run: run.arrays.draws[name][:N_DRAWS])
    return ReferenceMetric.model_construct(
        values=_by_seeds(group, lambda run: run.record.metrics[name].value),
        n_units=min(int(arrays.units.max()) + 1, len(arrays.values.get(name, arrays.units))),
        draws={
            training: [float(f"{draw:.{DIGITS}g}") for draw in np.mean([*by_seed.values()], axis=0)]
            for training, by_seed in draws.items()
        },
    )


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


# The check.


class Change(NamedTuple):
    """One metric of one evaluation, then and now. worse: by how much, in its unit; negative is better; where neither way is
    better, by how much it is off.  p: before correction.  untold: whether weights are others and a side has one training only."""

    evaluation: str
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
        told = f"{self.evaluation}: {kind.title} was {was}, is {now}, {worse} {how} (p = {p:.2g}, Holm over all metrics)"
        return told + (UNTOLD if self.untold else "")


class Check(NamedTuple):
    """changes: every metric that was tested.  drifted: a sentence on each that drifted.  unlike: one on each that is not the same
    metric, that one side lacks, or whose change cannot be told.  same: how many evaluations are the same to the bit, and of how
    many.  retrained: how many have other weights.  hint: what else differs, and what to do, where a drift cannot be told from
    another training."""

    changes: list[Change]
    drifted: list[str]
    unlike: list[str]
    same: tuple[int, int]
    retrained: int
    hint: list[str]

    @property
    def status(self) -> int:
        """Exit status: 1 for drift, 3 where something could not be compared with the reference, else 0."""
        return 1 if self.drifted else 3 if self.unlike else 0

    def text(self) -> str:
        """One line a metric that drifted or could not be compared, what else differs, then a summary."""
        (same, of), n = self.same, len(self.changes)
        end = f"{n} metrics of {of} evaluations compared with the reference, {same} evaluations the same to the bit"
        end += f", {self.retrained} with other weights" if self.retrained else ""
        end += f"; {len(self.drifted)} drifted" if self.drifted else "; no drift"
        end += f"; {len(self.unlike)} not compared: if that is meant, accept a new reference" if self.unlike else ""
        return "\n".join([*(f"DRIFT {line}" for line in self.drifted), *self.unlike, *self.hint, f"{end}."])


class Side(NamedTuple):
    """A metric then or now. means: of every training, over its sampling seeds.  draws: (n,), of the mean over trainings."""

    means: list[float]
    draws: np.ndarray
    n_units: int

    @classmethod
    def of(cls, kept: ReferenceMetric, trainings: list[str]) -> "Side":
        means = [float(np.mean([*kept.values[seed].values()])) for seed in trainings]
        return cls(means, np.mean([kept.draws[seed] for seed in trainings], axis=0), kept.n_units)

    @property
    def mean(self) -> float:
        return float(np.mean(self.means))


def check(measured: Reference, reference: Reference) -> Check:
    """Compare what was measured now, in the form of a reference, with one. SemFlowError if they are of two suites."""
    if (suite := measured.suite) != reference.suite:
        raise SemFlowError(f"the reference is of suite {reference.suite}, the records are of {suite}; give both of one suite")
    now, protocols = measured.evaluations, reference.protocols | measured.protocols
    told, exact, unlike, same, retrained = list[Change | str](), list[str](), list[str](), list[bool](), 0
    for name, then in reference.evaluations.items():
        if name not in now:
            unlike.append(f"{name}: not measured, but in the reference")
        elif now[name].protocol != then.protocol:
            was, new = protocols[then.protocol], protocols[now[name].protocol]
            changed = ", ".join(field for field in sorted({*was, *new}) if was.get(field) != new.get(field))
            unlike.append(f"{name}: not the same metric, since its protocol changed in {changed}")
        else:
            same.append((now[name].outputs, now[name].matrices) == (then.outputs, then.matrices))
            retrained += _retrained(then, now[name])
            exact += _effort(name, then, now[name])
            told += [_compared(name, metric, then, now[name]) for metric in {**then.metrics, **now[name].metrics}]
    unlike += [sentence for sentence in told if isinstance(sentence, str)]
    unlike += [f"{name}: measured, but not in the reference" for name in now if name not in reference.evaluations]
    changes = [change for change in told if isinstance(change, Change)]
    adjusted = holm([change.p for change in changes])
    drifted = {change: p for change, p in zip(changes, adjusted, strict=True) if change.shows and p <= ALPHA}
    sentences = [*exact, *(change.sentence(p) for change, p in drifted.items())]
    hint = _hint(reference.origin, measured.origin) if any(change.untold for change in drifted) else []
    return Check(changes, sentences, unlike, (sum(same), len(same)), retrained, hint)


def _hint(then: Origin, now: Origin) -> list[str]:
    """What made the two sides, where it differs, and what to do where a drift cannot be told from another training."""

    def facts(origin: Origin) -> dict[str, list[str]]:
        commits = [commit[:10] + "-dirty" * commit.endswith("-dirty") for commit in origin.commits]
        return {"commit": commits, "device": origin.devices, **origin.versions}

    was, new = facts(then), facts(now)
    lines = []
    for name in {**was, **new}:
        old, here = (", ".join(side.get(name, ())) or "unknown" for side in (was, new))
        lines += [f"  {name}: {old} in the reference, {here} here"] if old != here else []
    what = "What made the two sides differs in:" if lines else "Commit, package versions and device are the same on both sides."
    return [what, *lines, NEXT]


def _effort(name: str, then: ReferenceEntry, now: ReferenceEntry) -> list[str]:
    """A sentence where the network is evaluated another number of times than before, be it more or less."""
    was, new = then.network_evaluations, now.network_evaluations
    if abs(new - was) <= (ADAPTIVE_SLACK if now.adaptive else 1e-9) * was:
        return []
    return [f"{name}: evaluations of the network were {was:g}, are {new:g}, and must be the same"]


def _compared(evaluation: str, metric: str, then: ReferenceEntry, now: ReferenceEntry) -> Change | str:
    """The change of a metric, or a sentence on why there is none to tell."""
    name = f"{evaluation}: {KINDS[metric].title}"
    if metric not in now.metrics:
        return f"{name} not measured, but in the reference"
    if metric not in then.metrics:
        return f"{name} measured, but not in the reference"
    retrained = _retrained(then, now)
    was, new = (Side.of(one.metrics[metric], list(one.weights) if retrained else _shared(then, now)) for one in (then, now))
    if why := _untellable(was, new):
        return f"{name} cannot be told: {why}"
    alone = min(len(was.means), len(new.means)) < 2
    se, df = _chance(was, new, retrained and not alone)
    if not math.isfinite(se):
        return f"{name} cannot be told: its standard error is not finite"
    sides, worse = 1, (new.mean - was.mean) * (1 if KINDS[metric].direction == "lower" else -1)
    if _either_way(metric):
        sides, worse = 2, abs(worse)
    p = sides * float(special.stdtr(df, -worse / se)) if se > 0 else float(worse <= 0)
    return Change(evaluation, metric, was.mean, new.mean, worse, p, retrained and alone)


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
    images = of_images(was.draws - new.draws, min(was.n_units, new.n_units))
    if not retrained:
        return images.se, images.df
    n = len(was.means), len(new.means)
    variance = sum(float(np.var(side.means)) * len(side.means) for side in (was, new)) / (df := sum(n) - 2)
    return math.hypot(images.se, math.sqrt(variance * (1 / n[0] + 1 / n[1]))), min(images.df, df)


def _either_way(metric: str) -> bool:
    return KINDS[metric].direction == "neither" and metric not in FEWER_IS_WORSE


def _shared(then: ReferenceEntry, now: ReferenceEntry) -> list[str]:
    """Training seeds that both sides have."""
    return [seed for seed in then.weights if seed in now.weights]


def _retrained(then: ReferenceEntry, now: ReferenceEntry) -> bool:
    """Whether weights differ in a training that both sides have, or no training is on both."""
    weights = [[{*side.weights[seed].values()} for seed in _shared(then, now)] for side in (then, now)]
    return not weights[0] or weights[0] != weights[1]
