"""Every claim of the paper, judged from records, and claims.json, the file of verdicts.

A claim holds where all of its conditions hold, so that its p-value is the largest of theirs (an intersection-union test) and
needs no correction for their number; it fails where any condition fails, for which its p-value is the smallest of theirs times
their number (Bonferroni). Six claims are primary: over them both p-values are Holm's. The others are secondary and uncorrected.
All of a claim is judged on one data set. Verdicts:

- reproduced: the p-value of the claim's failing is at most 5 %; a table entry's 90 % interval lies within the margin.
- not reproduced: the p-value of the claim's holding is at most 5 %.
- inconclusive: neither, or too few images or trainings; with how many would settle it.
- not comparable: a table entry on other data, scale or protocol; a proxy too weak to tell.
- not run: there is no record of something that it is about, or no number could judge it.
- true by construction: it holds of any implementation that is right, and the records agree; no evidence, and counted apart.
"""

import math
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from semflow import files, provenance, published
from semflow.claims import starved
from semflow.claims.chance import ALPHA, Region, holm
from semflow.claims.collect import (
    Names,
    Run,
    by_dataset,
    comparable,
    in_table,
    listed,
    modified,
    network_of,
    scale,
    title,
    with_interval,
)
from semflow.claims.document import Claim, Discrepancy, Document, MinSamples, ScaleName, TableEntries, Term
from semflow.claims.effects import Tested, measured, tested
from semflow.errors import SemFlowError, sentence
from semflow.evaluation.metrics.catalogue import KINDS

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not comparable", "not run", "true by construction"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
JUDGED = VERDICTS[:3]  # those that say something of the claim
Reasoned = tuple[Verdict, str, str]  # a verdict, why, and what it needs
SETTLES = 1_000_000  # units; an effect that needs more lies on the bound
FIRM = 0.01  # a decision with a larger p-value is flagged: another such study might not reach it
OF_ENTRY = {  # of the tables' metrics: task, and our role
    "miou": ("segmentation", "miou"), "fid": ("synthesis", "frechet"), "lpips": ("synthesis", "perceptual"),
}  # fmt: skip


# The form of claims.json.


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class JudgedCondition(_Part):
    """An effect with its intervals over images and trainings (95 % and 90 %), and the region that it must lie in.

    sd_trainings: standard deviation between trainings.  p, p_against: of the hypotheses that it lies outside, and inside.
    """

    what: str
    unit: str
    digits: int
    effect: float | None
    low: float | None
    high: float | None
    low90: float | None
    high90: float | None
    sd_trainings: float | None
    at_least: float | None
    at_most: float | None
    p: float | None
    p_against: float | None
    n_images: int
    n_trainings: int
    n_seeds: int
    holds: bool | None
    records: list[str]


class JudgedClaim(_Part):
    """data: the data set that it was judged on, where the suite has several.  conditions: the one that decides first.

    p, p_against: of the hypotheses that the claim fails, and that it holds; of a primary claim corrected over all of those.
    knife_edge: whether it was decided at 5 % and would not have been at 1 %.
    """

    id: str
    place: str
    words: str
    kind: Literal["table_entry", "ordering", "shape"]
    primary: bool
    min_scale: ScaleName
    verdict: Verdict
    scale: ScaleName | None
    data: str | None
    why: str
    needs: str
    reason: str
    p: float | None
    p_against: float | None
    knife_edge: bool
    conditions: list[JudgedCondition]


class JudgedDiscrepancy(_Part):
    """quoted: what the tables have in place of what the text quotes."""

    id: str
    place: str
    words: str
    reading: str
    quoted: str


class Fixed(_Part):
    """A commit in which something of what decides verdicts was fixed. before: whether every record was made by code that had it;
    None if git cannot tell."""

    commit: str
    what: str
    before: bool | None


class Judged(_Part):
    """The whole file.

    fixed: the commits in which what decides verdicts became what it is; nothing outside git.
    """

    format: Literal[4] = 4
    suite: str
    scale: ScaleName
    fixed: list[Fixed]
    counts: dict[Verdict, int]
    notes: list[str]
    claims: list[JudgedClaim]
    discrepancies: list[JudgedDiscrepancy]


def read(path: Path) -> dict[str, Any]:
    """claims.json as `judge` gave it; SemFlowError if it is missing or of another form."""
    raw = files.read_json(path, "file of claims")
    try:
        return Judged.model_validate(raw).model_dump()
    except ValidationError as error:
        mend = "make it again with `semflow report claims`"
        raise SemFlowError(f"{path} is not a file of claims of format 4: {sentence(error, raw)}; {mend}") from None


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
    # All of them count, also those that cannot be tested: which these are depends on the data.
    primary = {claim.entry.id: claim.ps or (1.0, 1.0) for claim in weighed if claim.entry.primary}
    corrected = dict(zip(primary, zip(*map(holm, zip(*primary.values(), strict=True)), strict=True), strict=True))
    claims = [claim.judged(claim.ps and corrected.get(claim.entry.id, claim.ps), len(primary)) for claim in weighed]
    claims += [_judged_entry(entry, sets, document) for table in document.table_entries for entry in _entries(table)]
    counts = Counter(claim.verdict for claim in claims)
    return Judged(
        suite=runs[0].record.suite,
        scale=scale(runs, document.scale),
        fixed=_fixed(document, sorted({run.record.provenance.commit for run in runs})),
        counts={verdict: counts[verdict] for verdict in VERDICTS},
        notes=_notes(sets, document, len(primary)),
        claims=claims,
        discrepancies=[_told(discrepancy) for discrepancy in document.discrepancies],
    ).model_dump()


def _fixed(document: Document, commits: list[str]) -> list[Fixed]:
    found = ((provenance.introduced(decided.hash), decided.what) for decided in document.decides)
    return [Fixed(commit=commit, what=what, before=provenance.had(commit, commits)) for commit, what in found if commit]


class _Weighed(NamedTuple):
    """A claim before its p-values are corrected.

    data: the data set that it is judged on.  stop: a verdict that needs no p-value.  names: of its records.
    """

    entry: Claim
    data: str | None
    conditions: list[Tested]
    scale: ScaleName
    stop: Reasoned | None
    names: Names

    @classmethod
    def of(cls, claim: Claim, sets: dict[str, list[Run]], document: Document) -> "_Weighed":
        names = Names(len(sets) > 1)
        if claim.untested:
            return cls(claim, None, [], "proxy", ("not run", claim.untested, ""), names)
        data = _data_for(claim, sets, document)
        runs = sets[data] if data else []
        conditions, missing = tested(claim.conditions, runs)
        at = scale([run for condition in conditions for run in condition.effect.runs], document.scale)
        stop = _short_of(claim.min_samples, conditions, missing) or _elsewhere(claim, conditions, at)
        stop = stop or _too_weak(claim, conditions, at, runs, document) or _contradicted(claim, conditions, runs)
        stop = stop or _constructed(claim, conditions)
        return cls(claim, data, conditions, at, stop, names)

    @property
    def ps(self) -> tuple[float, float] | None:
        """p-values of the hypotheses that the claim fails, and that it holds."""
        if self.stop:
            return None
        return max(condition.p for condition in self.conditions), min(condition.p_against for condition in self.conditions)

    def judged(self, ps: tuple[float, float] | None, n_primary: int) -> JudgedClaim:
        """ps: corrected, for a primary claim."""
        family = n_primary if self.entry.primary else 1
        p, p_against = ps or (None, None)
        verdict, why, needs = self.stop or _by_p_values(self.conditions, p, p_against, family)
        deciding = {"reproduced": p, "not reproduced": p_against}.get(verdict)
        return JudgedClaim(
            verdict=verdict, why=why, needs=needs, scale=None if verdict == "not run" else self.scale,
            data=self.data if self.names.several else None, p=p, p_against=p_against,
            knife_edge=deciding is not None and deciding > FIRM,
            conditions=[_judged_condition(condition, self.names) for condition in _deciding_first(self.conditions)],
            **self.entry.model_dump(include={"id", "place", "words", "kind", "primary", "min_scale", "reason"}),
        )  # fmt: skip


def _data_for(claim: Claim, sets: dict[str, list[Run]], document: Document) -> str | None:
    """The data set that a claim is judged on, of those in `sets`; None where nothing of the claim was measured on any.

    All of its terms come from one: the first on which they were all measured, and those of its sanity check; else the first on
    which they were, and else the first on which any was.
    """
    if len(sets) == 1:
        return next(iter(sets))
    check = document.sanity_checks[claim.sanity_check].conditions if claim.sanity_check else ()
    terms = [term for condition in claim.conditions for term in condition.terms]
    asked = ((*claim.conditions, *check), claim.conditions)
    whole = (name for conditions in asked for name, runs in sets.items() if not tested(conditions, runs)[1])
    some = (name for name, runs in sets.items() if any(measured(runs, term) for term in terms))
    return next(chain(whole, some), None)


def _elsewhere(claim: Claim, conditions: list[Tested], at: ScaleName) -> Reasoned | None:
    """Where what was measured is not what the claim is about."""
    if claim.min_scale != "paper" or at == "paper":
        return None
    why = f"{_as_measured(conditions)} It can be judged at the paper's scale only."
    return "not comparable", why, "The paper's data, image size and network, which no suite here has yet."


def _too_weak(claim: Claim, conditions: list[Tested], at: ScaleName, runs: list[Run], document: Document) -> Reasoned | None:
    """Where a proxy cannot tell, either way. At the paper's scale a weak model is a result, not an excuse."""
    if at == "paper":
        return None
    if weak := starved.among(runs, document, claim):
        return "not comparable", " ".join(weak.values()), "A baseline that is trained well enough."
    if claim.sanity_check is None:
        return None
    check = document.sanity_checks[claim.sanity_check]
    shown, missing = tested(check.conditions, runs)
    if not shown or (missing and check.passes == "all"):
        return _not_run(missing, ", which the sanity check needs")
    passed = [condition.known and condition.settled is True for condition in shown]
    if all(passed) if check.passes == "all" else any(passed):
        return None
    speaks = {True: "for the claim", False: "against the claim", None: "undecided"}[_settled(conditions)]
    fails = f"The sanity check fails: {check.words} ({_said(_deciding_first(shown)[0])})."
    indicative = f"Indicative only: {speaks}, {_said(_deciding_first(conditions)[0])}."
    return "not comparable", f"{fails} {indicative}", "A model that passes the check."


def _contradicted(claim: Claim, conditions: list[Tested], runs: list[Run]) -> Reasoned | None:
    """Where other means of measuring say otherwise."""
    if not claim.witnesses:
        return None
    shown, missing = tested(claim.witnesses, runs)
    if missing:
        return _not_run(missing, ", which must say the same")
    holds, theirs = (all(one.region.holds(one.value) for one in some) for some in (conditions, shown))
    if holds == theirs:
        return None
    other = next(one for one in shown if one.region.holds(one.value) != holds)
    return "inconclusive", f"{_said(conditions[0])}, but {_said(other)}.", "Means of measuring that agree."


def _constructed(claim: Claim, conditions: list[Tested]) -> Reasoned | None:
    """Where evidence cannot decide, as a right implementation has it anyway."""
    if not claim.by_construction:
        return None
    against = [condition for condition in conditions if not condition.region.holds(condition.value)]
    if against:
        return "not reproduced", f"{claim.by_construction} The records disagree, so look for a mistake: {_said(against[0])}.", ""
    return "true by construction", f"{claim.by_construction} The records agree: {_said(conditions[0])}.", ""


def _judged_condition(condition: Tested, names: Names) -> JudgedCondition:
    effect, value, trainings = condition.effect, condition.value, condition.trainings
    low, high, low90, high90 = map(_finite, (*condition.interval(0.95), *condition.interval(0.9)))
    n_trainings = len(effect.values)
    return JudgedCondition(
        what=effect.words, unit=effect.unit, digits=effect.digits, effect=_finite(value), low=low, high=high, low90=low90,
        high90=high90, sd_trainings=None if trainings is None else trainings.se * math.sqrt(n_trainings),
        **condition.region._asdict(), p=_finite(condition.p), p_against=_finite(condition.p_against),
        n_images=effect.n_images, n_trainings=n_trainings, n_seeds=effect.n_seeds, holds=condition.settled,
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
        return [_TableEntry(table, *row, "miou", value, dataset) for row, value in published.table2().items()]
    sets = published.table(1)["datasets"]
    return [
        _TableEntry(table, *row, metric, value, sets[OF_ENTRY[metric][0]])
        for row, values in published.table1().items()
        for metric, value in values.items()
    ]


def _judged_entry(entry: _TableEntry, sets: dict[str, list[Run]], document: Document) -> JudgedClaim:
    """A number as a claim: the same within its margin, where the two can be compared at all. sets: runs by data set.

    It is judged on the data set of the table, where the suite has it, else on the first that has such records.
    """
    kind, margin, (task, role) = KINDS[entry.metric], entry.table.margins[entry.metric], OF_ENTRY[entry.metric]
    term, region = Term(entry.method, task, entry.sampler, entry.steps, role), Region(entry.value - margin, entry.value + margin)
    named = [name for name in sets if in_table(name, entry.dataset)] or sets
    found = ((name, effects) for name in named if (effects := measured(sets[name], term)))
    data, effects = next(found, (None, {}))
    conditions = [Tested.of(effect, region) for effect in effects.values()]
    name, names = title(entry.method, entry.sampler, entry.steps), Names(len(sets) > 1)
    verdict, why, needs = _reasoned(entry, conditions, sets[data], document) if data else _not_run([f"{name} {task}"])
    judged = verdict in JUDGED
    sampled = f"-{entry.sampler}-{entry.steps}" if entry.steps else ""
    return JudgedClaim(
        id=f"table{entry.table.table}-{entry.method}{sampled}-{entry.metric}", kind="table_entry", primary=False,
        words=f"{name}: {kind.title} {entry.value:.{kind.digits}f}.", verdict=verdict, why=why, needs=needs,
        scale="paper" if judged else None, data=data if names.several else None,
        p=conditions[0].p if judged and conditions[0].known else None,
        p_against=conditions[0].p_against if judged and conditions[0].known else None, knife_edge=False,
        conditions=[_judged_condition(condition, names) for condition in conditions],
        **entry.table.model_dump(include={"place", "min_scale", "reason"}),
    )  # fmt: skip


def _reasoned(entry: _TableEntry, conditions: list[Tested], runs: list[Run], document: Document) -> Reasoned:
    """The verdict on a number that was measured, its reason, and what it needs. runs: on the data set that it was measured on."""
    kind = KINDS[entry.metric]
    effect = conditions[0].effect
    record = effect.runs[0].record
    if not comparable(runs, entry.dataset, document.scale):
        why = f"Measured on {record.dataset} with {network_of(effect.runs)}: {effect.words}."
        return "not comparable", why, f"{kind.title} {published.setting(entry.table.table, entry.dataset)}."
    if entry.metric not in record.metrics:
        return "not comparable", f"Measured as {effect.words}.", f"{kind.title}, with its own network."
    short = _short_of(entry.table.min_samples, conditions, [])
    return short or _by_p_values(conditions, conditions[0].p, conditions[0].p_against, 1)


# From conditions to a verdict.


def _short_of(least: MinSamples, conditions: list[Tested], missing: list[str]) -> Reasoned | None:
    """Where there is too little to judge by."""
    if missing:
        return _not_run(missing)
    n_images, n_trainings = min(c.effect.n_images for c in conditions), min(len(c.effect.values) for c in conditions)
    if n_images < least.images:
        return "inconclusive", f"Measured on {n_images} images.", f"At least {least.images} images."
    if n_trainings < least.trainings:
        return "inconclusive", f"Measured with {n_trainings} training seeds.", f"At least {least.trainings} training seeds."
    if unknown := [condition.effect.words for condition in conditions if not condition.known]:
        return "inconclusive", f"{listed(unknown)} cannot be computed: a value is zero or not a number.", "Other records."
    return None


def _not_run(missing: list[str], needed: str = "") -> Reasoned:
    them = "it" if len(missing) == 1 else "them"
    return "not run", f"There is no record of {listed(missing)}{needed}.", f"Train and evaluate {them}."


def _by_p_values(conditions: list[Tested], p: float | None, p_against: float | None, family: int) -> Reasoned:
    """By the p-values, corrected over `family` claims."""
    why, settled = _as_measured(conditions), _settled(conditions)
    if p is not None and p <= ALPHA:
        return "reproduced", why, ""
    if p_against is not None and p_against <= ALPHA:
        return "not reproduced", why, ""
    if settled is not None and family > 1:
        why += f" Not significant after Holm's correction over {family} primary claims (p = {p if settled else p_against:.2f})."
    return "inconclusive", why, _settling(conditions, family)


def _settled(conditions: list[Tested]) -> bool | None:
    """Whether all of them hold; None where that is open."""
    settled = [condition.settled for condition in conditions]
    return False if False in settled else True if all(settled) else None


def _settling(conditions: list[Tested], family: int) -> str:
    """How many images or trainings would settle a claim: as few as refute it, or as many as confirm all of its conditions."""
    against = [condition for condition in conditions if not condition.region.holds(condition.value)]
    alpha = ALPHA / family / (len(conditions) if against else 1)
    wanted = [condition.needed(alpha) for condition in against or conditions if against or condition.p > alpha]
    if against:
        wanted = [min(wanted, key=lambda needed: max(needed.values()))]
    most = {what: max((needed.get(what, 0.0) for needed in wanted), default=0.0) for what in ("images", "trainings")}
    if max(most.values()) > SETTLES:
        return "No feasible number of images or trainings would settle it: the effect lies on the bound."
    counts = listed(f"{_rounded_up(number):,} {what}" for what, number in most.items() if number)
    told = f"About {counts} would {'refute' if against else 'confirm'} it, if the effect stays as measured."
    if any(condition.trainings is None and condition.effect.trained for condition in conditions):
        told += " The variance between trainings is unknown with one: several may tell more than many images."
    return told


def _rounded_up(number: float) -> int:
    """To two digits."""
    unit = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
    return math.ceil(number / unit) * unit


# In words and numbers.


def _as_measured(conditions: list[Tested]) -> str:
    """What the conditions show, whatever becomes of the verdict."""
    n, violated = len(conditions), sum(condition.settled is False for condition in conditions)
    if violated:
        how = f"{violated} of {n} conditions {'is' if violated == 1 else 'are'} violated; farthest off"
        how = how if n > 1 else "The condition is violated"
    elif _settled(conditions):
        how = {1: "The condition holds", 2: "Both conditions hold; weakest"}.get(n, f"All {n} conditions hold; weakest")
    else:
        how = f"Not settled{'; weakest condition' if n > 1 else ''}"
    return f"{how}: {_said(_deciding_first(conditions)[0])}."


def _deciding_first(conditions: list[Tested]) -> list[Tested]:
    """What decides a claim before the rest: the condition that lies farthest outside, or else the one that is weakest."""

    def place(condition: Tested) -> tuple[bool, float]:
        outside = condition.settled is False
        return not outside, -condition.region.distance(condition.value) if outside else -condition.p

    return sorted(conditions, key=place)


def _said(condition: Tested) -> str:
    """WHAT = 1.2 [0.5, 1.9], required >= 1.0"""
    return f"{condition.effect.words} = {_in_numbers(condition)}"


def _in_numbers(condition: Tested) -> str:
    """1.2 [0.5, 1.9], required >= 1.0; of what shows no spread, how many exceptions there may still be."""
    chance, value, region = condition.chance, condition.value, condition.region
    low, high = map(_finite, condition.interval(0.95))
    d, n = condition.effect.digits, condition.effect.n_units
    text = f"{with_interval(_finite(value), low, high, d)}, required {_required(region, d)}"
    if chance.se == 0 and 0 in (region.distance(value), value):
        text += f"; no exception in {n}, so at most {1 - 0.05 ** (1 / n):.0%} exceptions overall (95 % bound)"
    return text


def _required(region: Region, digits: int) -> str:
    """>= 1.0 and <= 2.0; a bound of more digits keeps them."""
    bounds = []
    for sign, bound in ((">=", region.at_least), ("<=", region.at_most)):
        if bound is not None:
            short = f"{bound:.{digits}f}"
            bounds.append(f"{sign} {short if float(short) == bound else f'{bound:g}'}")
    return " and ".join(bounds)


def _finite(number: float) -> float | None:
    """JSON has no infinity."""
    return number if math.isfinite(number) else None


# How it was judged.


def _notes(sets: dict[str, list[Run]], document: Document, n_primary: int) -> list[str]:
    """sets: runs by data set."""
    names = Names(len(sets) > 1)
    n_images = "; ".join(
        f"{listed(f'{n:,}' for n in sorted({run.record.n_images for run in of}))}{names.on(of[0].record)}" for of in sets.values()
    )
    notes = [
        f"Claims of version {document.version}. An ordering or a shape is reproduced if the p-value of its failing (the largest "
        f"over its conditions) is at most {ALPHA:.0%}, and not reproduced if that of its holding (the smallest over its "
        f"conditions times their number) is. Both are Holm's over the {n_primary} primary claims; the others "
        f"are secondary and uncorrected. A table entry is reproduced if its 90 % interval lies within the margin (TOST at "
        f"{ALPHA:.0%}).",
        f"Comparisons are paired by test image ({n_images}): all records use the same bootstrap resamples. Metrics that are "
        "measured on some images only (diversity by layouts, states by examples) are not paired with the others. Standard errors "
        "come from the bootstrap and, where there are several, from trainings; tests and intervals use Student's t."
    ]  # fmt: skip
    if names.several:
        notes.append(
            f"A claim is judged on one data set, the first of {listed(sets)} on which all of it was measured; a table entry on "
            "the data set that the table names."
        )
    notes += [*_by_dataset(sets, _trainings), *_by_dataset(sets, _in_blocks)]
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
            "One training a model: intervals do not include the variance between trainings, which differences between models "
            "have, and those between samplers of one model too. Margins allow for some of it."
        )
    return (
        f"Up to {len(trainings)} training seeds a model: variances of images and of trainings are added, and a p-value is the "
        "mean of those of the two t-tests, weighted by the variances."
    )


def _in_blocks(runs: list[Run]) -> str:
    """What is known of intervals over frames of few drives."""
    if "consecutive frames" not in runs[0].record.protocol.interval:
        return ""
    return (
        "Frames of a few drives are resampled in blocks: in simulations, intervals of 95 % covered 73 to 91 %, so they are a "
        "lower bound of the uncertainty."
    )


def _told(discrepancy: Discrepancy) -> JudgedDiscrepancy:
    quoted = []
    for quote in discrepancy.quoted:
        row = {n: value for (*known, n), value in published.table2().items() if known == [quote.method, quote.sampler]}
        alike = [f"{value:.1f} at {n}" for n, value in row.items() if value == quote.miou]
        there = [f"{row[quote.steps]:.1f} there", *alike]
        name = title(quote.method, quote.sampler)
        quoted.append(f"{name}: {quote.miou:.1f} at {quote.steps} steps in the text; Table 2 has {listed(there)}")
    entry = discrepancy.model_dump(include={"id", "place", "words", "reading"})
    return JudgedDiscrepancy(**entry, quoted="; ".join(quoted) + "." if quoted else "")
