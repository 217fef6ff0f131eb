"""Every claim of the paper, judged from records, and claims.json, the file of verdicts.

A claim holds where all of its conditions hold, so that its p-value is the largest of theirs (an intersection-union test) and
needs no correction for their number; over claims, p-values are Holm's. All of a claim is judged on one data set. Verdicts:

- reproduced: an ordering's or a shape's corrected p-value is at most 5 %; a table entry's 90 % interval lies within the margin.
- not reproduced: the 95 % interval of a condition lies outside its region (simultaneous over the claim's conditions).
- inconclusive: neither, or too few images or trainings; with how many would settle it.
- not comparable: a table entry on other data, scale or protocol; a proxy too weak to tell; a method that is not as published.
- not run: there is no record of something that it is about.
"""

from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from semflow import files, published
from semflow.claims import judging, statistics
from semflow.claims.collect import Names, Run, by_dataset, comparable, in_table, listed, method_title, modified, scale, title
from semflow.claims.document import Claim, Discrepancy, Document, ScaleName, TableEntries, Term
from semflow.claims.judging import JUDGED, VERDICTS, Reasoned, Verdict
from semflow.claims.statistics import ALPHA, Region
from semflow.claims.terms import Tested, measured, tested
from semflow.errors import SemFlowError, sentence
from semflow.evaluation.metrics.catalogue import KINDS

OF_ENTRY = {  # of the tables' metrics: task, and our role
    "miou": ("segmentation", "miou"), "fid": ("synthesis", "frechet"), "lpips": ("synthesis", "perceptual"),
}  # fmt: skip


# The form of claims.json.


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class JudgedCondition(_Part):
    """An effect with its intervals over images (95 % and 90 %) and over trainings, and the region that it must lie in."""

    what: str
    unit: str
    digits: int
    effect: float | None
    low: float | None
    high: float | None
    low90: float | None
    high90: float | None
    seed_low: float | None
    seed_high: float | None
    at_least: float | None
    at_most: float | None
    p: float | None
    n_images: int
    n_trainings: int
    n_seeds: int
    holds: bool | None
    records: list[str]


class JudgedClaim(_Part):
    """data: the data set that it was judged on, where the suite has several.  conditions: the one that decides first."""

    id: str
    place: str
    words: str
    kind: Literal["table_entry", "ordering", "shape"]
    min_scale: ScaleName
    verdict: Verdict
    scale: ScaleName | None
    data: str | None
    why: str
    needs: str
    reason: str
    p: float | None
    p_holm: float | None
    conditions: list[JudgedCondition]


class ToldDiscrepancy(_Part):
    """quoted: what the tables have in place of what the text quotes."""

    id: str
    place: str
    words: str
    reading: str
    quoted: str


class Judged(_Part):
    """The whole file."""

    format: Literal[2] = 2
    suite: str
    scale: ScaleName
    counts: dict[Verdict, int]
    notes: list[str]
    claims: list[JudgedClaim]
    discrepancies: list[ToldDiscrepancy]


def write(path: Path, judged: dict[str, Any]) -> None:
    """Write what `judge` gave as claims.json."""
    files.write_json(path, Judged.model_validate(judged).model_dump())


def read(path: Path) -> dict[str, Any]:
    """claims.json as it was written; SemFlowError if it is missing or of another form."""
    raw = files.read_json(path, "file of claims")
    try:
        return Judged.model_validate(raw).model_dump()
    except ValidationError as error:
        mend = "make it again with `semflow report claims`"
        raise SemFlowError(f"{path} is not a file of claims of format 2: {sentence(error, raw)}; {mend}") from None


def orderings(claims: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims but for the tables' entries, by verdict in the order of VERDICTS."""
    chosen = [claim for claim in claims["claims"] if claim["kind"] != "table_entry"]
    return sorted(chosen, key=lambda claim: VERDICTS.index(claim["verdict"]))


def table_entries(claims: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of the tables."""
    return [claim for claim in claims["claims"] if claim["kind"] == "table_entry"]


# Judging.


def judge(runs: list[Run], document: Document) -> dict[str, Any]:
    """Every claim with its verdict, in the form of claims.json."""
    sets = by_dataset(runs)
    weighed = [_Weighed.of(claim, sets, document) for claim in document.claims]
    ps = {claim.entry.id: claim.p for claim in weighed if claim.p is not None}
    corrected = dict(zip(ps, statistics.holm(list(ps.values())), strict=True))
    claims = [claim.judged(corrected.get(claim.entry.id), len(ps)) for claim in weighed]
    claims += [_judged_entry(entry, sets, document) for table in document.table_entries for entry in _entries(table)]
    counts = Counter(claim.verdict for claim in claims)
    return Judged(
        suite=runs[0].record.suite,
        scale=scale(runs, document.scale),
        counts={verdict: counts[verdict] for verdict in VERDICTS},
        notes=_notes(sets, document, len(ps)),
        claims=claims,
        discrepancies=[_told(discrepancy) for discrepancy in document.discrepancies],
    ).model_dump()


class _Weighed(NamedTuple):
    """A claim before its p-value is corrected.

    data: the data set that it is judged on.  modified: what this suite modifies of its methods, other than the paper's own.
    stop: a verdict that needs no p-value.  names: of its records.
    """

    entry: Claim
    data: str | None
    conditions: list[Tested]
    scale: ScaleName
    modified: str
    stop: Reasoned | None
    names: Names

    @classmethod
    def of(cls, claim: Claim, sets: dict[str, list[Run]], document: Document) -> "_Weighed":
        data = _data_for(claim, sets, document)
        runs = sets[data] if data else []
        methods = {term.method for condition in claim.conditions for term in condition.terms} - {published.subject()}
        changed = modified([run for run in runs if run.record.method in methods]) if claim.modified else ""
        conditions, missing = tested(claim.conditions, runs, document)
        at = scale([run for condition in conditions for run in condition.effect.runs], document.scale)
        stop = judging.short_of(claim.min_samples, conditions, missing) or _elsewhere(claim, conditions, at, changed)
        stop = stop or _too_weak(claim, conditions, at, runs, document)
        return cls(claim, data, conditions, at, changed, stop, Names(len(sets) > 1))

    @property
    def p(self) -> float | None:
        return None if self.stop else max(condition.p for condition in self.conditions)

    def judged(self, p_holm: float | None, n_tests: int) -> JudgedClaim:
        verdict, why, needs = self.stop or judging.by_p_value(self.conditions, p_holm, n_tests)
        if verdict == "not reproduced" and self.modified:
            verdict, why, needs = "not comparable", f"{why} {self.modified}", _as_published(self.conditions)
        return JudgedClaim(
            verdict=verdict, why=why, needs=needs, scale=None if verdict == "not run" else self.scale,
            data=self.data if self.names.several else None, p=self.p, p_holm=p_holm,
            conditions=_judged_conditions(judging.deciding_first(self.conditions), self.names),
            **self.entry.model_dump(include={"id", "place", "words", "kind", "min_scale", "reason"}),
        )  # fmt: skip


def _data_for(claim: Claim, sets: dict[str, list[Run]], document: Document) -> str | None:
    """The data set that a claim is judged on, of those in `sets`; None where nothing of the claim was measured on any.

    All of its terms come from one: the first on which they were all measured, and those of its sanity check; else the first on
    which they were, and else the first on which any was.
    """
    check = document.sanity_checks[claim.sanity_check].conditions if claim.sanity_check else ()
    terms = [term for condition in claim.conditions for term in condition.terms]
    if len(sets) == 1:
        return next(iter(sets))
    fitting = (name for name in sets if not tested((*claim.conditions, *check), sets[name], document)[1])
    without_check = (name for name in sets if not tested(claim.conditions, sets[name], document)[1])
    some = (name for name in sets if any(measured(sets[name], term, document.anchors) for term in terms))
    return next(chain(fitting, without_check, some), None)


def _elsewhere(claim: Claim, conditions: list[Tested], at: ScaleName, changed: str) -> Reasoned | None:
    """Where what was measured is not what the claim is about."""
    if claim.min_scale == "paper" and at != "paper":
        needs = "The paper's data, image size and network, which no suite here has yet."
        return "not comparable", f"{judging.as_measured(conditions)} It can be judged at the paper's scale only.", needs
    if claim.modified == "own" and changed:
        return "not comparable", f"{judging.as_measured(conditions)} {changed}", _as_published(conditions)
    return None


def _as_published(conditions: list[Tested]) -> str:
    """What a claim needs whose methods are modified."""
    runs = {run.record.method: run for condition in conditions for run in condition.effect.runs}
    return f"{listed(method_title(name) for name, run in runs.items() if modified([run]))} as published, without modifications."


def _too_weak(claim: Claim, conditions: list[Tested], at: ScaleName, runs: list[Run], document: Document) -> Reasoned | None:
    """Where a proxy cannot tell, either way. At the paper's scale a weak model is a result, not an excuse."""
    if claim.sanity_check is None or at == "paper":
        return None
    check = document.sanity_checks[claim.sanity_check]
    shown, missing = tested(check.conditions, runs, document)
    if missing:
        return judging.not_run(missing, ", which the sanity check needs")
    if all(condition.known and condition.settled(len(shown)) for condition in shown):
        return None
    settled = [condition.settled(len(conditions)) for condition in conditions]
    speaks = "against the claim" if False in settled else "for the claim" if all(settled) else "undecided"
    fails = f"The sanity check fails: {check.words} ({judging.in_numbers(judging.deciding_first(shown)[0])})."
    indicative = f"Indicative only: {speaks}, {judging.said(judging.deciding_first(conditions)[0])}."
    return "not comparable", f"{fails} {indicative}", "A better trained model."


def _judged_conditions(conditions: list[Tested], names: Names) -> list[JudgedCondition]:
    """Those of a claim, all of them."""
    return [_judged_condition(condition, len(conditions), names) for condition in conditions]


def _judged_condition(condition: Tested, n: int, names: Names) -> JudgedCondition:
    effect, value, images = condition.effect, condition.value, condition.chances[0]
    low, high, low90, high90 = map(judging.finite, (*images.interval(value, 0.95), *images.interval(value, 0.9)))
    seeds = condition.chances[1].interval(value, 0.95) if len(condition.chances) > 1 else (None, None)
    return JudgedCondition(
        what=effect.words, unit=effect.unit, digits=effect.digits, effect=judging.finite(value), low=low, high=high, low90=low90,
        high90=high90, seed_low=seeds[0], seed_high=seeds[1], **condition.region._asdict(), p=judging.finite(condition.p),
        n_images=effect.n_images, n_trainings=len(effect.values), n_seeds=effect.n_seeds, holds=condition.settled(n),
        records=list(dict.fromkeys(names.identity(run.record) for run in effect.runs)),
    )  # fmt: skip


# The tables' entries.


class _TableEntry(NamedTuple):
    """One number of a table."""

    table: TableEntries
    method: str
    sampler: str
    steps: int
    metric: str
    value: float
    dataset: str


def _entries(table: TableEntries) -> list[_TableEntry]:
    """Every number of a table, in its order."""
    if table.table == 2:
        dataset = published.table(2)["dataset"]
        return [_TableEntry(table, *cell, "miou", value, dataset) for cell, value in published.table2().items()]
    sets = published.table(1)["datasets"]
    return [
        _TableEntry(table, *cell, metric, value, sets[OF_ENTRY[metric][0]])
        for cell, values in published.table1().items()
        for metric, value in values.items()
    ]


def _judged_entry(entry: _TableEntry, sets: dict[str, list[Run]], document: Document) -> JudgedClaim:
    """A number as a claim: the same within its margin, where the two can be compared at all. sets: runs by data set.

    It is judged on the data set of the table, where the suite has it, else on the first that has such records.
    """
    kind, margin, (task, role) = KINDS[entry.metric], entry.table.margins[entry.metric], OF_ENTRY[entry.metric]
    term, region = Term(entry.method, task, entry.sampler, entry.steps, role), Region(entry.value - margin, entry.value + margin)
    named = [name for name in sets if in_table(name, entry.dataset)] or sets
    found = ((name, effects) for name in named if (effects := measured(sets[name], term, document.anchors)))
    data, effects = next(found, (None, {}))
    conditions = [Tested.of(effect, region) for effect in effects.values()]
    name, names = title(entry.method, entry.sampler, entry.steps), Names(len(sets) > 1)
    verdict, why, needs = _reasoned(entry, conditions, sets[data], document) if data else judging.not_run([f"{name} {task}"])
    judged = verdict in JUDGED
    sampled = f"-{entry.sampler}-{entry.steps}" if entry.steps else ""
    return JudgedClaim(
        id=f"table{entry.table.table}-{entry.method}{sampled}-{entry.metric}", kind="table_entry",
        words=f"{name}: {kind.title} {entry.value:.{kind.digits}f}.", verdict=verdict, why=why, needs=needs,
        scale="paper" if judged else None, data=data if names.several else None,
        p=conditions[0].p if judged and conditions[0].known else None, p_holm=None,
        conditions=_judged_conditions(conditions, names),
        **entry.table.model_dump(include={"place", "min_scale", "reason"}),
    )  # fmt: skip


def _reasoned(entry: _TableEntry, conditions: list[Tested], runs: list[Run], document: Document) -> Reasoned:
    """The verdict on a number that was measured, its reason, and what it needs. runs: on the data set that it was measured on."""
    kind, paper = KINDS[entry.metric], published.table(entry.table.table)
    effect = conditions[0].effect
    record = effect.runs[0].record
    if not comparable(runs, entry.dataset, document.scale):
        size = "no network" if record.n_parameters is None else f"a network of {record.n_parameters:,} parameters"
        wanted = f"{kind.title} on {entry.dataset}, {paper['size']}, with the {paper['network']}."
        return "not comparable", f"Measured on {record.dataset} with {size}: {effect.words}.", wanted
    if entry.metric not in record.metrics:
        return "not comparable", f"Measured as {effect.words}.", f"{kind.title}, with its own network."
    if changed := modified(list(effect.runs)):
        return "not comparable", changed, _as_published(conditions)
    return judging.short_of(entry.table.min_samples, conditions, []) or judging.by_p_value(conditions, conditions[0].p, 1)


# How it was judged.


def _notes(sets: dict[str, list[Run]], document: Document, n_tests: int) -> list[str]:
    """sets: runs by data set."""
    names = Names(len(sets) > 1)
    n_images = "; ".join(
        f"{listed(f'{n:,}' for n in sorted({run.record.n_images for run in of}))}{names.on(of[0].record)}" for of in sets.values()
    )
    notes = [
        f"Claims of version {document.version}. An ordering or a shape is reproduced if its p-value (the largest over its "
        f"conditions) is at most {ALPHA:.0%} after Holm's correction over the {n_tests} claims that were tested; it is not "
        "reproduced if the 95 % interval of a condition, simultaneous over the claim's conditions, lies outside the required "
        f"range. A table entry is reproduced if its 90 % interval lies within the margin (TOST at {ALPHA:.0%}).",
        f"Comparisons are paired by test image ({n_images}): all records use the same bootstrap resamples. Metrics that are "
        "measured on some images only (diversity by layouts, states by examples) are not paired with the others. Standard errors "
        "come from the bootstrap; tests and intervals use Student's t."
    ]  # fmt: skip
    if names.several:
        notes.append(
            f"A claim is judged on one data set, the first of {listed(sets)} on which all of it was measured; a table entry on "
            "the data set that the table names."
        )
    notes += _by_dataset(sets, _trainings)
    proxies = [name for name, of in sets.items() if scale(of, document.scale) == "proxy"]
    if proxies:
        which = "The suite" if len(proxies) == len(sets) else f"What was measured on {listed(proxies)}"
        notes.append(f"{which} is a proxy: it can confirm or refute orderings and shapes, but not values.")
    return [*notes, *_by_dataset(sets, modified)]


def _by_dataset(sets: dict[str, list[Run]], note: Callable[[list[Run]], str]) -> list[str]:
    """A note on every data set; said once where it is the same for all, and left out where there is nothing to say."""
    notes = {name: note(of) for name, of in sets.items()}
    if len(set(notes.values())) == 1:
        notes = {"": next(iter(notes.values()))}
    return [f"{name}: {text}" if name else text for name, text in notes.items() if text]


def _trainings(runs: list[Run]) -> str:
    """What is known of the chance of training."""
    trainings = {run.record.training_seed for run in runs if run.record.n_parameters is not None}
    if not trainings:
        return ""
    if len(trainings) == 1:
        return (
            "One training a model: intervals do not include the variance between trainings. Margins between models allow for it; "
            "claims within one model do not need to."
        )
    return (
        f"{len(trainings)} training seeds: the variance between trainings is tested apart from that of images; they must agree."
    )


def _told(discrepancy: Discrepancy) -> ToldDiscrepancy:
    rows, quoted = {(row["method"], row["sampler"]): row["values"] for row in published.table(2)["rows"]}, []
    for quote in discrepancy.quoted:
        values = rows[quote.method, quote.sampler]
        there = [
            f"{values[quote.steps]:.1f} there",
            *(f"{value:.1f} at {n}" for n, value in values.items() if value == quote.miou),
        ]
        name = title(quote.method, quote.sampler)
        quoted.append(f"{name}: {quote.miou:.1f} at {quote.steps} steps in the text; Table 2 has {listed(there)}")
    entry = discrepancy.model_dump(include={"id", "place", "words", "reading"})
    return ToldDiscrepancy(**entry, quoted="; ".join(quoted) + "." if quoted else "")
