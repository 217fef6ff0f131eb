"""Has a number changed for the worse? Records against a reference that was accepted before, and the file of that reference.

What is compared depends on what is the same:
- The same weights: every metric must be the same to `TOLERANCE`, however it was made.
- The same settings and seed, trained anew: the first losses must be the same to `TOLERANCE` where platform and versions are.
- Other weights: the numbers that claims.yaml watches, against the trainings that the reference keeps, in the bad direction only
  where a metric has one: a t-test of the new trainings among the old, `ALPHA` over all of them, half of it for the first.

tests/claims/test_drift.py simulates the errors: with eight trainings in the reference a check of one new training raises a false
alarm in at most 1 % of cases. It finds a loss, in the first watched number, of five standard deviations of a training in 84 %,
and one of six in 95 %; of two new trainings five are found in 98 %.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy import special

from semflow import files
from semflow.claims.collect import Names, Run, by_dataset, method_title, number, only, own, row_of, title
from semflow.claims.document import Document, Term, perturbed
from semflow.errors import SemFlowError, sentence
from semflow.evaluation.metrics.catalogue import KINDS, filling
from semflow.method.samplers import Sampler
from semflow.provenance import commit, content_hash
from semflow.suite.measurements import draws

ALPHA = 0.01  # of a whole check
TOLERANCE = 1e-4  # of values: relative, or absolute below 1; of what is in per cent, as a share of 1
ENOUGH = 3  # trainings in a reference, to tell another one from them
ADAPTIVE_SLACK = 0.05  # by which share the evaluations of a solver that chooses its steps may differ between machines
FEWER_IS_WORSE = ("round_trip_miou",)  # roles that have no better direction, yet a change should not lower them
Status = Literal["no drift", "drift", "not the same metric", "cannot be told"]
STATUS: dict[Status, int] = {"no drift": 0, "drift": 1, "not the same metric": 3, "cannot be told": 4}  # exit statuses
NEXT: dict[Status, str] = {
    "no drift": "Nothing is to be done.",
    "drift": (
        "What to do: check out the reference's commit here, run it and check again. If it drifts as well, the difference is "
        "this machine's or its versions'. If it does not, the change lies in the commits between; if it is meant, accept a new "
        "reference."
    ),
    "not the same metric": "What to do: if it is meant, accept a new reference: `semflow regression accept --reason ...`.",
    "cannot be told": (
        f"What to do: train under at least {ENOUGH} seeds (training.seeds) at the reference's commit and accept that as the "
        "reference, or evaluate the reference's own weights (`make verify_table2`)."
    ),
}

T = TypeVar("T")
Seeds = Annotated[dict[str, T], Field(min_length=1)]  # by training seed, or by sampling seed


# What a reference keeps.


def _known(metric: str) -> str:
    if metric not in KINDS:
        raise ValueError(f"there is no metric {metric}")
    return metric


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
    """What made the records. versions: of every package, each that occurs."""

    commits: list[str]
    versions: dict[str, list[str]]
    devices: list[str]
    hosts: list[str]


class FirstLosses(_Part):
    """Of a training. platform: hash of host, device and versions, without whose like the last bits are others."""

    platform: str
    losses: list[float]


class ReferenceEntry(_Part):
    """Evaluations that differ in seeds alone. protocol: its hash.  network_evaluations: for one image.  adaptive: whether the
    sampler chooses its own steps.  weights: SHA-256 by training seed.  metrics: by training and sampling seed.

    of: method, task and sampler, such as "dsm segmentation ddim-25".  own: whether it is of the suite's own models, sampled as
    they were trained.
    """

    of: str
    own: bool
    protocol: str
    network_evaluations: Annotated[float, Field(ge=0)]
    adaptive: bool
    weights: Seeds[str | None]
    metrics: dict[Annotated[str, AfterValidator(_known)], Seeds[Seeds[float]]]

    @model_validator(mode="after")
    def _same_seeds(self) -> Self:
        for metric, by_seed in self.metrics.items():
            if by_seed.keys() != self.weights.keys():
                raise ValueError(f"{metric} has training seeds {', '.join(by_seed)}, but weights {', '.join(self.weights)}")
        return self


class Reference(_Part):
    """history: empty of what was only just measured.  protocols: by their hash.  evaluations: by their name.

    first_losses: by the name of a training, such as "SemFlow, b = 6", and its seed.
    """

    format: Literal[4]
    suite: str
    history: Annotated[list[Accepted], Field(min_length=1)]
    origin: Origin
    protocols: dict[str, dict[str, Any]]
    first_losses: dict[str, Seeds[FirstLosses]]
    evaluations: dict[str, ReferenceEntry]


def read(path: Path) -> Reference:
    """A reference; SemFlowError names the file and what is wrong in it."""
    mend = "restore it from git, or delete it and make it again with `semflow regression accept`"
    try:
        reference = Reference.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise SemFlowError(f"there is no reference at {path}; make one with `semflow regression accept`") from None
    except OSError as error:
        raise files.unreadable(error, path) from None
    except ValidationError as error:
        raise SemFlowError(f"{path} is not a reference of format 4: {sentence(error)}; {mend}") from None
    if lost := {kept.protocol for kept in reference.evaluations.values()} - reference.protocols.keys():
        raise SemFlowError(f"{path} is not a reference of format 4: protocol {min(lost)} is not among protocols; {mend}")
    return reference


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
    reason, if the old one is damaged or has more trainings of an evaluation, or if a record holds what none can keep."""
    if not reason.strip():
        raise SemFlowError("a new reference needs its reason; give --reason '...'")
    made, old = reference_of(runs), read(path) if path.exists() else None
    if old and (lost := _fewer(made, old)):
        raise SemFlowError(f"{lost}, and what is accepted would lose them; run them too, or delete {path} if that is meant")
    today = datetime.now(UTC).date().isoformat()
    entry = Accepted(date=today, reason=reason.strip(), commit=commit()[0], records=made.origin.commits)
    write(path, made.model_copy(update={"history": [*(old.history if old else []), entry]}))
    kept = f"{len(made.evaluations)} evaluations"
    if not old:
        return f"{kept}, the first reference"
    pairs = (made.evaluations, old.evaluations), (old.evaluations, made.evaluations)
    new, dropped = (", ".join(sorted({*one} - {*other})) or "none" for one, other in pairs)
    return f"{kept}; new: {new}; dropped: {dropped}"


def _fewer(made: Reference, old: Reference) -> str:
    """The first evaluation that a new reference would keep of fewer trainings than the old one; "" if there is none."""
    for name, kept in made.evaluations.items():
        n, before = len(kept.weights), len(old.evaluations[name].weights) if name in old.evaluations else 0
        if n < before:
            return f"the reference has {before} trainings of {name}, these records {n}"
    return ""


def reference_of(runs: list[Run]) -> Reference:
    """What a reference keeps of records, without a history, and not checked: values may be infinite or NaN."""
    sources = [run.record.provenance for run in runs]
    usual = {id(run.record) for of in by_dataset(runs).values() for run in own(of)}
    packages = sorted({name for source in sources for name in source.versions})
    return Reference.model_construct(
        format=4,
        suite=runs[0].record.suite,
        history=[],
        origin=Origin(
            commits=sorted({source.commit + "-dirty" * source.dirty for source in sources}),
            versions={name: sorted({s.versions[name] for s in sources if name in s.versions}) for name in packages},
            devices=sorted({source.device for source in sources}),
            hosts=sorted({source.host for source in sources}),
        ),
        protocols={content_hash(protocol): protocol for protocol in map(_protocol, runs)},
        first_losses=_first_losses(runs),
        evaluations={name: _kept(group, id(group[0].record) in usual) for name, group in sorted(_grouped(runs).items())},
    )


def _trained(run: Run, names: Names) -> str:
    """The name of a training, such as "SemFlow, double, b = 6"."""
    record = run.record
    words = [method_title(record.method) + names.on(record), *filter(None, [record.variant])]
    return ", ".join([*words, *([f"b = {record.amplitude:g}"] if perturbed(record.method) else [])])


def _grouped(runs: list[Run]) -> dict[str, list[Run]]:
    """Runs by the name of their evaluation, seeds together; where there are several data sets, it says which."""
    names = Names.among(runs)
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in only(runs):
        record = run.record
        drawn = f", b' = {record.sampling_amplitude:g}" if draws(record.task) and perturbed(record.method) else ""
        groups[f"{_trained(run, names)}: {title(*row_of(record))} {record.task}{drawn}"].append(run)
    return dict(groups)


def _first_losses(runs: list[Run]) -> dict[str, dict[str, FirstLosses]]:
    names, found = Names.among(runs), defaultdict[str, dict[str, FirstLosses]](dict)
    for run in only(runs):
        source, budget = run.record.provenance, run.record.budget
        if budget and budget.first_losses:
            platform = content_hash(source.model_dump(include={"host", "device", "versions"}))
            kept = FirstLosses.model_construct(platform=platform, losses=list(budget.first_losses))
            found[_trained(run, names)].setdefault(str(run.record.training_seed), kept)
    return dict(found)


def _protocol(run: Run) -> dict[str, Any]:
    """What must be the same for two values to be of one metric."""
    record = run.record
    what = {"dataset": record.dataset, "split": record.split, "data": record.provenance.data_sha256, "n_images": record.n_images}
    return record.protocol.model_dump(mode="json") | what | {"settings": record.settings, "classes": list(record.classes)}


def _kept(group: list[Run], usual: bool) -> ReferenceEntry:
    record = group[0].record
    return ReferenceEntry.model_construct(
        of=f"{record.method} {record.task} {Sampler(record.sampler, record.steps)}",
        own=usual,
        protocol=content_hash(_protocol(group[0])),
        network_evaluations=float(np.mean([run.record.evaluations for run in group])),
        adaptive=bool(record.evaluations and not record.steps),
        weights={str(run.record.training_seed): run.record.provenance.checkpoint_sha256 for run in group},
        metrics={name: _by_seeds(group, name) for name in record.metrics if all(_has(run, name) for run in group)},
    )


def _has(run: Run, metric: str) -> bool:
    return metric in run.record.metrics and run.record.metrics[metric].value is not None


def _by_seeds(group: list[Run], metric: str) -> dict[str, dict[str, float]]:
    by_training: dict[str, dict[str, float]] = defaultdict(dict)
    for run in group:
        by_training[str(run.record.training_seed)][str(run.record.sampling_seed)] = number(run, metric)
    return dict(by_training)


# The check.


class Watched(NamedTuple):
    """One watched number among the reference's trainings. was, now: of every training.  worse: by how much, in its unit, negative
    is better.  limit: by how much it may be worse.  p: one-sided, or two-sided where neither way is better."""

    name: str
    was: list[float]
    now: list[float]
    worse: float
    limit: float
    p: float
    alpha: float

    @property
    def drifted(self) -> bool:
        return self.p <= self.alpha


class Check(NamedTuple):
    """drifted, unlike, untold: a sentence on each number that drifted, is not the same metric, or cannot be told.

    exact: how many metrics of the same weights were compared, trainings: how many first losses, elsewhere: how many could not be,
    being of another platform.  watched: of other weights.
    origins: what made the two sides, such as ("commit", "abc", "def").  differs: the names of those that are not the same.
    """

    drifted: list[str]
    unlike: list[str]
    untold: list[str]
    exact: int
    trainings: int
    elsewhere: int
    watched: list[Watched]
    origins: list[tuple[str, str, str]]
    differs: list[str]

    @property
    def verdict(self) -> Status:
        if self.drifted:
            return "drift"
        return "not the same metric" if self.unlike else "cannot be told" if self.untold else "no drift"

    @property
    def status(self) -> int:
        return STATUS[self.verdict]

    @property
    def compared(self) -> str:
        """How many of what, in words."""
        parts = [f"{self.exact} metrics of the same weights", f"{self.trainings} trainings by their first losses"]
        parts += [f"{self.elsewhere} not, being of another platform"] * bool(self.elsewhere)
        return ", ".join([*parts, f"{len(self.watched)} watched numbers of other weights"])

    def text(self) -> str:
        """One line a number that drifted or could not be compared, both sides, then a summary and what to do."""
        lines = [f"DRIFT {line}" for line in self.drifted] + self.unlike + self.untold
        lines += [f"{what}: {was} in the reference, {now} here" for what, was, now in self.origins]
        lines.append(f"Not the same on both sides: {', '.join(self.differs) or 'nothing'}.")
        lines.append(f"Compared: {self.compared}. Verdict: {self.verdict}.")
        return "\n".join([*lines, NEXT[self.verdict]])

    def plain(self) -> dict[str, Any]:
        """As drift.json has it."""
        told = self._asdict() | {"watched": [one._asdict() | {"drifted": one.drifted} for one in self.watched]}
        return {"format": 1, "verdict": self.verdict, "status": self.status, "next": NEXT[self.verdict]} | told


def check(measured: Reference, reference: Reference, document: Document) -> Check:
    """Compare what was measured now, in the form of a reference, with one."""
    drifted, unlike, exact = list[str](), list[str](), 0
    protocols, others = reference.protocols | measured.protocols, list[str]()
    for name, now in measured.evaluations.items():
        if (then := reference.evaluations.get(name)) is None:
            unlike.append(f"{name}: measured, but not in the reference")
            continue
        if now.protocol != then.protocol:
            was, new = protocols[then.protocol], protocols[now.protocol]
            changed = ", ".join(field for field in sorted({*was, *new}) if was.get(field) != new.get(field))
            unlike.append(f"{name}: not the same metric, since its protocol changed in {changed}")
            continue
        drifted += _effort(name, then, now)
        seeds = _same(then, now)
        n, gone, lost = _compared(name, then, now, seeds)
        exact, drifted, unlike = exact + n, drifted + gone, unlike + lost
        if len(seeds) < len(now.weights):
            others.append(name)
    if measured.suite == reference.suite:
        unlike += [f"{name}: not measured, but in the reference" for name in reference.evaluations.keys() - measured.evaluations]
    watched, untold = _watched(document.watched, measured, reference, others)
    drifted += [_sentence(one) for one in watched if one.drifted]
    n_trainings, n_elsewhere, gone = _losses(measured, reference)
    if not (exact or watched or drifted or unlike or untold):
        untold = ["no metric was compared: weights or sampling seeds are others than the reference's, and no number is watched"]
    origins, differs = _origins(reference.origin, measured.origin)
    return Check(drifted + gone, sorted(unlike), untold, exact, n_trainings, n_elsewhere, watched, origins, differs)


def _same(then: ReferenceEntry, now: ReferenceEntry) -> list[str]:
    """The training seeds whose weights are the same."""
    return [seed for seed in now.weights if seed in then.weights and now.weights[seed] == then.weights[seed]]


def _effort(name: str, then: ReferenceEntry, now: ReferenceEntry) -> list[str]:
    """A sentence where the network is evaluated another number of times than before, be it more or less."""
    was, new = then.network_evaluations, now.network_evaluations
    if abs(new - was) <= (ADAPTIVE_SLACK if now.adaptive else 1e-9) * was:
        return []
    return [f"{name}: evaluations of the network were {was:g}, are {new:g}, and must be the same"]


def _compared(name: str, then: ReferenceEntry, now: ReferenceEntry, seeds: list[str]) -> tuple[int, list[str], list[str]]:
    """How many metrics of the same weights were compared, and a sentence on each that drifted or that one side lacks."""
    drifted, unlike, n = list[str](), list[str](), 0
    for metric in {**then.metrics, **now.metrics}:
        kind = KINDS[metric]
        if metric not in now.metrics or metric not in then.metrics:
            where = "not measured, but in the reference" if metric in then.metrics else "measured, but not in the reference"
            unlike.append(f"{name}: {kind.title} {where}")
            continue
        for seed in seeds:
            for sampling in then.metrics[metric][seed].keys() & now.metrics[metric][seed]:
                was, new = then.metrics[metric][seed][sampling], now.metrics[metric][seed][sampling]
                allowed, n = TOLERANCE * (100 if kind.unit == "percent" else max(1.0, abs(was))), n + 1
                if not abs(new - was) <= allowed:  # NaN too
                    seen = f"training seed {seed}, sampling seed {sampling}"
                    drifted.append(
                        f"{name}: {kind.title} of the same weights was {was:.6g}, is {new:.6g} ({seen}); "
                        f"it may differ by {allowed:g}"
                    )
    return n, drifted, unlike


def _watched(
    terms: Iterable[Term], measured: Reference, reference: Reference, others: list[str]
) -> tuple[list[Watched], list[str]]:
    """The watched numbers of evaluations whose weights are others; and a sentence on each that cannot be told."""
    found, untold, terms = list[Watched](), list[str](), list(terms)
    for place, term in enumerate(terms):
        names, alpha = _of(reference, term), ALPHA / 2 if place == 0 else ALPHA / 2 / (len(terms) - 1)
        for name in filter(others.__contains__, names):
            then, now = reference.evaluations[name], measured.evaluations[name]
            metric = filling(term.metric, then.metrics)
            if metric not in then.metrics or metric not in now.metrics:
                continue  # said already
            was, new = _means(then, metric, then.weights), _means(now, metric, now.weights.keys() - _same(then, now))
            called = f"{name}: {KINDS[metric].title}"
            if len(was) < ENOUGH:
                why = f"the reference has {len(was)} training{'s' * (len(was) != 1)}, and at least {ENOUGH} are needed"
                untold.append(f"{called} cannot be told: {why}")
            elif not np.isfinite([*was, *new]).all():
                untold.append(f"{called} cannot be told: a value is no number")
            else:
                found.append(_among(called, term.metric, metric, was, new, alpha / len(names)))
    return found, untold


def _means(kept: ReferenceEntry, metric: str, trainings: Iterable[str]) -> np.ndarray:
    """Of a metric over sampling seeds, (n_trainings,)."""
    return np.array([np.mean([*kept.metrics[metric][seed].values()]) for seed in sorted(trainings)])


def _of(reference: Reference, term: Term) -> list[str]:
    """The names of the evaluations that a term is about, of the suite's own models: one on every data set."""
    sampler = Sampler(term.sampler, term.steps if isinstance(term.steps, int) else 0)
    wanted = f"{term.method} {term.task} {sampler}"
    return [name for name, kept in reference.evaluations.items() if kept.own and kept.of == wanted]


def _among(called: str, role: str, metric: str, was: np.ndarray, new: np.ndarray, alpha: float) -> Watched:
    """A t-test of new trainings among old ones; the spread is the old ones', and the new ones' too where there are several."""
    k, m = len(was), len(new)
    either = KINDS[metric].direction == "neither" and role not in FEWER_IS_WORSE
    df = k - 1 + (m - 1 if m > 1 else 0)
    sums = was.var() * k + (new.var() * m if m > 1 else 0.0)
    se = math.sqrt(sums / df * (1 / k + 1 / m))
    worse = float(new.mean() - was.mean()) * (1 if KINDS[metric].direction == "lower" else -1)
    worse = abs(worse) if either else worse
    sides = 2 if either else 1
    limit = float(special.stdtrit(df, 1 - alpha / sides)) * se
    p = sides * float(special.stdtr(df, -worse / se)) if se > 0 else float(worse <= 0)
    return Watched(called, was.tolist(), new.tolist(), worse, limit, min(1.0, p), alpha)


def _sentence(one: Watched) -> str:
    lowest, highest, now = min(one.was), max(one.was), sum(one.now) / len(one.now)
    return (
        f"{one.name} is {now:.4g}; {len(one.was)} trainings of the reference gave {lowest:.4g} to {highest:.4g}. It is "
        f"{one.worse:.3g} worse than their mean, and may be {one.limit:.3g} (p = {one.p:.2g}, limit {one.alpha:.2g})"
    )


def _losses(measured: Reference, reference: Reference) -> tuple[int, int, list[str]]:
    """How many trainings of both sides were compared, how many could not be, and a sentence on each whose first losses drifted.
    On another platform the last bits are others, and grow from step to step."""
    shared = [
        (name, seed, reference.first_losses[name][seed], now)
        for name, by_seed in measured.first_losses.items()
        for seed, now in by_seed.items()
        if seed in reference.first_losses.get(name, {})
    ]
    here = [(name, seed, was.losses, now.losses) for name, seed, was, now in shared if was.platform == now.platform]
    told = []
    for name, seed, old, new in here:
        off = [not abs(b - a) <= TOLERANCE * max(abs(a), TOLERANCE) for a, b in zip(old, new, strict=False)]  # NaN too
        if any(off) or len(old) != len(new):
            step = off.index(True) if any(off) else min(len(old), len(new))
            told.append(f"training {name}, seed {seed}: its losses differ from step {step} on by more than {TOLERANCE:g} of them")
    return len(here), len(shared) - len(here), told


def _origins(then: Origin, now: Origin) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Commit, host, device and versions of both sides; and the names of those that differ."""

    def facts(origin: Origin) -> dict[str, list[str]]:
        commits = [commit[:10] + "-dirty" * commit.endswith("-dirty") for commit in origin.commits]
        return {"commit": commits, "host": origin.hosts, "device": origin.devices, **origin.versions}

    was, new = facts(then), facts(now)
    words = {name: tuple(", ".join(side.get(name, ())) or "unknown" for side in (was, new)) for name in {**was, **new}}
    both = [(name, old, here) for name, (old, here) in words.items()]
    differs = [name for name, old, here in both if old != here]
    return [one for one in both if one[0] in ("commit", "host", "device", "torch", *differs)], differs


def band(reference: Reference, term: Term, dataset: str) -> tuple[float, float, float] | None:
    """Mean, lowest and highest of a term over the reference's trainings; None where it has none."""
    found = (reference.evaluations[name] for name in _of(reference, term))
    kept = next((one for one in found if reference.protocols[one.protocol].get("dataset") == dataset), None)
    if kept is None or (metric := filling(term.metric, kept.metrics)) not in kept.metrics:
        return None
    values = _means(kept, metric, kept.weights).tolist()
    return float(np.mean(values)), min(values), max(values)
