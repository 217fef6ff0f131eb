"""Every claim of the paper, judged from records.

A claim holds where all of its parts hold, so that its p-value is the largest of theirs (an intersection-union test) and needs
no correction for their number; over claims, p-values are Holm's. Verdicts:

- reproduced: an ordering's or a shape's corrected p-value is at most 5 %; a point's 90 % interval lies within the margin (TOST).
- not reproduced: some part's 95 % interval lies outside where the claim has it (simultaneous over the claim's parts).
- inconclusive: neither, or too few images or trainings, or a suite too weak to tell; with what would settle it.
- not comparable: a point on other data, scale or protocol; a claim on DSM refuted by a DSM that has what the paper's has not.
- not run: there is no record of a cell that it is about.
"""

import math
from collections import Counter
from typing import Any, Literal, NamedTuple

from semflow import published
from semflow.analysis import statistics
from semflow.analysis.collect import Run, listed, title
from semflow.analysis.contrasts import Anchors, Where, measured
from semflow.analysis.parts import Tested, deciding_first, in_numbers, said, tested
from semflow.analysis.scale import same_data
from semflow.analysis.scale import scale as scale_of
from semflow.analysis.statistics import ALPHA, Region
from semflow.analysis.tables import help_for_dsm
from semflow.errors import SemFlowError
from semflow.metrics.catalogue import KINDS
from semflow.published.claims import Claim, Document, Finding, Least, Points

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not comparable", "not run"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "not reproduced", "inconclusive", "not comparable", "not run")
PAPERS_DSM = "A DSM as the paper has it: mask_scale 1, no preconditioning, a pretrained network."
SETTLES = 1_000_000  # units; an effect that needs more lies on the bound


def judge(runs: list[Run], document: Document) -> dict[str, Any]:
    """Every claim with its verdict; the form of claims.json."""
    judged = [_Judged.of(claim, runs, document) for claim in document.claims]
    tests = [claim for claim in judged if claim.p is not None]
    corrected = statistics.holm([claim.p for claim in tests if claim.p is not None])
    by_id = {claim.entry.id: p for claim, p in zip(tests, corrected, strict=True)}
    helped = help_for_dsm(runs)
    claims = [claim.as_json(by_id.get(claim.entry.id), len(tests), helped) for claim in judged]
    claims += [_point(point, runs, document) for table in document.points for point in _numbers(table)]
    counts = Counter(claim["verdict"] for claim in claims)
    return {
        "format": 1,
        "suite": runs[0].record.suite,
        "scale": scale_of(runs, document.scale),
        "counts": {verdict: counts[verdict] for verdict in VERDICTS},
        "notes": _notes(runs, document, len(tests)),
        "claims": claims,
        "findings": [_finding(finding) for finding in document.findings],
    }


class _Judged(NamedTuple):
    """A claim before its p-value is corrected. stop: a verdict that needs no p-value, and why."""

    entry: Claim
    parts: list[Tested]
    scale: str
    stop: tuple[Verdict, str, str] | None

    @classmethod
    def of(cls, claim: Claim, runs: list[Run], document: Document) -> "_Judged":
        parts, missing = tested(claim.parts, runs, document)
        scale = scale_of([run for part in parts for run in part.effect.runs], document.scale)
        stop = _short_of(claim.least, parts, missing) or _too_weak(claim, scale, runs, document)
        return cls(claim, parts, scale, stop)

    @property
    def p(self) -> float | None:
        return None if self.stop else max(part.p for part in self.parts)

    def as_json(self, p_holm: float | None, n_tests: int, helped: str) -> dict[str, Any]:
        verdict, why, needs = self.stop or _verdict(self.parts, p_holm or 0.0, n_tests)
        if verdict == "not reproduced" and self.entry.dsm and helped:
            verdict, why, needs = "not comparable", f"{why} {helped}", PAPERS_DSM
        return {
            "id": self.entry.id, "place": self.entry.place, "words": self.entry.words, "kind": self.entry.kind,
            "verdict": verdict, "scale": None if verdict == "not run" else self.scale, "why": why, "needs": needs,
            "reason": self.entry.reason, "p": self.p, "p_holm": p_holm,
            "parts": [part.as_json(len(self.parts)) for part in deciding_first(self.parts)],
        }  # fmt: skip


def _verdict(parts: list[Tested], p_holm: float, n_tests: int) -> tuple[Verdict, str, str]:
    """(verdict, why, what it needs)."""
    n, first = len(parts), deciding_first(parts)[0]
    if p_holm <= ALPHA:
        return "reproduced", f"{_all(n)} the claim has it; least sure is {said(first)}.", ""
    if outside := [part for part in parts if part.settled(n) is False]:
        how_many = {1: "It lies", 2: "Both parts lie"}.get(n if len(outside) == n else 0, f"{len(outside)} of {n} parts lie")
        return "not reproduced", f"{how_many} outside what the claim says; farthest is {said(first)}.", ""
    return "inconclusive", f"The data cannot tell; least sure is {said(first)}.", _settling(parts, n_tests)


def _all(n: int) -> str:
    return {1: "It lies where", 2: "Both parts lie where"}.get(n, f"All {n} parts lie where")


def _short_of(least: Least, parts: list[Tested], missing: list[str]) -> tuple[Verdict, str, str] | None:
    """Where there is too little to judge by."""
    if missing:
        return (
            "not run",
            f"There is no record of {listed(missing)}.",
            f"Train and evaluate {'it' if len(missing) == 1 else 'them'}.",
        )
    n_images, n_trainings = min(part.effect.n_images for part in parts), min(len(part.effect.values) for part in parts)
    if n_images < least.images:
        return "inconclusive", f"Measured on {n_images} images.", f"At least {least.images} images."
    if n_trainings < least.trainings:
        return "inconclusive", f"Measured with {n_trainings} training seeds.", f"At least {least.trainings} training seeds."
    return None


def _too_weak(claim: Claim, scale: str, runs: list[Run], document: Document) -> tuple[Verdict, str, str] | None:
    """Where a stand-in cannot tell, whatever the claim. At the paper's scale a weak model is a result, not an excuse."""
    if claim.assay is None or scale == "paper":
        return None
    assay = document.assays[claim.assay]
    parts, missing = tested(assay.parts, runs, document)
    if missing:
        return (
            "not run",
            f"There is no record of {listed(missing)}, which says whether the suite can tell.",
            "Train and evaluate it.",
        )
    if all(part.settled(len(parts)) for part in parts):
        return None
    weakest = deciding_first(parts)[0]
    return "inconclusive", f"This suite is too weak to tell: {assay.words} ({in_numbers(weakest)}).", "A better trained model."


def _settling(parts: list[Tested], n_tests: int) -> str:
    """How many images or trainings would settle every part that is open."""
    needed = {"images": 0.0, "trainings": 0.0}
    for part in parts:
        if part.settled(len(parts)) is None or part.p > ALPHA / n_tests:
            for what, chance in zip(needed, part.chances, strict=False):
                if not chance.outside(part.value, part.region, 1 - ALPHA / len(parts)):
                    needed[what] = max(needed[what], chance.needed(part.value, part.region, ALPHA / n_tests))
    if max(needed.values()) > SETTLES:
        return "No number of images or trainings within reason: the effect lies on the bound."
    counts = [f"{_rounded_up(number):,} {what}" for what, number in needed.items() if number]
    return f"About {listed(counts)}, if the effect stays what it is."


def _rounded_up(number: float) -> int:
    """To two digits."""
    unit = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
    return math.ceil(number / unit) * unit


class _Point(NamedTuple):
    """One number of a table."""

    table: Points
    method: str
    sampler: str
    steps: int
    metric: str
    value: float
    dataset: str


def _numbers(table: Points) -> list[_Point]:
    if table.table == 2:
        dataset = published.table(2)["dataset"]
        return [_Point(table, *cell, "miou", value, dataset) for cell, value in published.table2().items()]
    sets = published.table(1)["datasets"]
    return [
        _Point(table, *cell, metric, value, sets["segmentation" if metric == "miou" else "synthesis"])
        for cell, values in published.table1().items()
        for metric, value in values.items()
    ]


def _point(point: _Point, runs: list[Run], document: Document) -> dict[str, Any]:
    """A number of the paper as a claim: the same within its margin, where the two can be held against each other at all."""
    margin, kind = point.table.margins[point.metric], KINDS[point.metric]
    task = "segmentation" if point.metric == "miou" else "synthesis"
    role = {"fid": "frechet", "lpips": "perceptual"}.get(point.metric, point.metric)
    where = Where(point.method, task, point.sampler, point.steps, role)
    effects = list(measured(runs, where, Anchors(document.anchors.k, document.anchors.s)).values())
    parts = [Tested.of(effect, Region(point.value - margin, point.value + margin)) for effect in effects]
    on_its_data = same_data(runs[0].record.dataset, point.dataset.removesuffix("-164k"))
    paper = published.table(point.table.table)
    if not parts:
        name = title(point.method, point.sampler, point.steps)
        verdict: tuple[Verdict, str, str] = ("not run", f"There is no record of {name} ({task}).", "Train and evaluate it.")
    elif (
        not on_its_data or scale_of(runs, document.scale) != "paper" or point.metric not in parts[0].effect.runs[0].record.metrics
    ):
        made = parts[0].effect
        verdict = (
            "not comparable",
            f"Measured on {runs[0].record.dataset} with a network of {_parameters(list(made.runs))} parameters, in {made.words}.",
            f"{kind.title} on {point.dataset}, {paper['size']}, with the {paper['network']}: config/paper.yaml on a cluster.",
        )
    else:
        verdict = _short_of(point.table.least, parts, []) or _verdict(parts, parts[0].p, 1)
    name = f"{point.method}-{point.sampler}-{point.steps}" if point.steps else point.method
    return {
        "id": f"table{point.table.table}-{name}-{point.metric}", "place": point.table.place,
        "words": f"{title(point.method, point.sampler, point.steps)}: {kind.title} {point.value:.{kind.digits}f}.",
        "kind": "point", "verdict": verdict[0], "scale": "paper" if verdict[0] in VERDICTS[:3] else None, "why": verdict[1],
        "needs": verdict[2],
        "reason": point.table.reason, "p": parts[0].p if verdict[0] in VERDICTS[:3] else None, "p_holm": None,
        "parts": [part.as_json(1) for part in parts],
    }  # fmt: skip


def _parameters(runs: list[Run]) -> str:
    return listed(sorted({f"{run.record.n_parameters or 0:,}" for run in runs}))


def _notes(runs: list[Run], document: Document, n_tests: int) -> list[str]:
    """How it was judged."""
    n_images = {run.record.n_images for run in runs if run.record.task != "determinism"}
    trainings = {run.record.training_seed for run in runs if run.record.n_parameters is not None}
    notes = [
        f"Claims of version {document.version}. An ordering or a shape is reproduced where its p-value, the largest of its "
        f"parts', is at most {ALPHA:.0%} after Holm's correction over the {n_tests} claims that were tested; it is not "
        "reproduced where the 95 % interval of a part, simultaneous over the claim's parts, lies outside. A number of a table is "
        f"reproduced where its 90 % interval lies within the margin (TOST at {ALPHA:.0%}).",
        f"Pairs are test images ({listed(f'{n:,}' for n in sorted(n_images))}): every record draws the same bootstrap resamples. "
        "Standard errors are the draws', tests and intervals Student's t."
    ]  # fmt: skip
    if len(trainings) == 1:
        notes.append(
            "One training a model: no interval covers the chance of training, for which the margins between models allow; claims "
            "within one model need none."
        )
    else:
        notes.append(
            f"{len(trainings)} training seeds: their chance is tested apart from that of the images, and both must agree."
        )
    if scale_of(runs, document.scale) == "proxy":
        notes.append("The suite is a stand-in: it judges orderings and shapes, never values.")
    return [*notes, helped] if (helped := help_for_dsm(runs)) else notes


def _finding(finding: Finding) -> dict[str, Any]:
    """With what the tables have in place of what the text quotes."""
    numbers, parts = published.table2(), []
    for quote in finding.quoted:
        in_table = numbers[quote.method, quote.sampler, quote.steps]
        elsewhere = [
            n for (method, sampler, n), value in numbers.items()
            if (method, sampler, value) == (quote.method, quote.sampler, quote.miou)
        ]  # fmt: skip
        stands = f", {quote.miou:.1f} stands at {elsewhere[0]}" if elsewhere else ""
        name = title(quote.method, quote.sampler)
        parts.append(f"{name}: {quote.miou:.1f} at {quote.steps} steps in the text; Table 2 has {in_table:.1f} there{stands}")
    entry = finding.model_dump(include={"id", "place", "words", "reading"})
    return entry | {"quoted": "; ".join(parts) + "." if parts else ""}


def check(claims: Any) -> dict[str, Any]:
    """What claims.json holds, if it is in its form; SemFlowError otherwise."""
    wanted_keys = {"format", "suite", "scale", "counts", "notes", "claims", "findings"}
    if not isinstance(claims, dict) or set(claims) != wanted_keys or claims["format"] != 1:
        raise SemFlowError("the claims are not of format 1; make them again with `semflow report claims`")
    return claims


def orderings(claims: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims but for the tables' numbers, by verdict in the order of VERDICTS."""
    chosen = [claim for claim in claims["claims"] if claim["kind"] != "point"]
    return sorted(chosen, key=lambda claim: VERDICTS.index(claim["verdict"]))


def points(claims: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables' numbers."""
    return [claim for claim in claims["claims"] if claim["kind"] == "point"]
