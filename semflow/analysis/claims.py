"""Every claim of the paper, judged from records.

A claim holds where all of its parts hold, so that its p-value is the largest of theirs (an intersection-union test) and needs
no correction for their number; over claims, p-values are Holm's. Verdicts:

- reproduced: an ordering's or a shape's corrected p-value is at most 5 %; a point's 90 % interval lies within the margin (TOST).
- not reproduced: some part's 95 % interval lies outside where the claim has it (simultaneous over the claim's parts).
- inconclusive: neither, or too few images or trainings; with how many would settle it.
- not comparable: a point on other data, scale or protocol; a stand-in too weak to tell; a DSM that has what the paper's has not.
- not run: there is no record of a cell that it is about.
"""

from collections import Counter
from typing import Any, NamedTuple

from semflow import published
from semflow.analysis import statistics
from semflow.analysis.collect import Run, listed, title
from semflow.analysis.judging import VERDICTS, Reasoned, as_measured, by_p_value, not_run, short_of
from semflow.analysis.parts import Tested, deciding_first, in_numbers, tested
from semflow.analysis.points import PAPERS_DSM, judge_point, numbers
from semflow.analysis.scale import scale as scale_of
from semflow.analysis.statistics import ALPHA
from semflow.analysis.tables import help_for_dsm
from semflow.published.claims import Claim, Document, Finding

PAPERS_SCALE = "The paper's data, size and network, which no suite here has yet."


def judge(runs: list[Run], document: Document) -> dict[str, Any]:
    """Every claim with its verdict; the form of claims.json."""
    helped = help_for_dsm(runs)
    judged = [_Judged.of(claim, runs, document, helped) for claim in document.claims]
    tests = [claim for claim in judged if claim.p is not None]
    corrected = statistics.holm([claim.p for claim in tests if claim.p is not None])
    by_id = {claim.entry.id: p for claim, p in zip(tests, corrected, strict=True)}
    claims = [claim.as_json(by_id.get(claim.entry.id), len(tests), helped) for claim in judged]
    claims += [judge_point(point, runs, document, helped) for table in document.points for point in numbers(table)]
    counts = Counter(claim["verdict"] for claim in claims)
    return {
        "format": 1,
        "suite": runs[0].record.suite,
        "scale": scale_of(runs, document.scale),
        "counts": {verdict: counts[verdict] for verdict in VERDICTS},
        "notes": _notes(runs, document, len(tests), helped),
        "claims": claims,
        "findings": [_finding(finding) for finding in document.findings],
    }


class _Judged(NamedTuple):
    """A claim before its p-value is corrected. stop: a verdict that needs no p-value, why, and what it needs."""

    entry: Claim
    parts: list[Tested]
    scale: str
    stop: Reasoned | None

    @classmethod
    def of(cls, claim: Claim, runs: list[Run], document: Document, helped: str) -> "_Judged":
        parts, missing = tested(claim.parts, runs, document)
        scale = scale_of([run for part in parts for run in part.effect.runs], document.scale)
        stop = short_of(claim.least, parts, missing) or _elsewhere(claim, parts, scale, helped)
        return cls(claim, parts, scale, stop or _too_weak(claim, parts, scale, runs, document))

    @property
    def p(self) -> float | None:
        return None if self.stop else max(part.p for part in self.parts)

    def as_json(self, p_holm: float | None, n_tests: int, helped: str) -> dict[str, Any]:
        verdict, why, needs = self.stop or by_p_value(self.parts, p_holm, n_tests)
        if verdict == "not reproduced" and self.entry.dsm and helped:
            verdict, why, needs = "not comparable", f"{why} {helped}", PAPERS_DSM
        return {
            "id": self.entry.id, "place": self.entry.place, "words": self.entry.words, "kind": self.entry.kind,
            "tier": self.entry.tier, "verdict": verdict, "scale": None if verdict == "not run" else self.scale, "why": why,
            "needs": needs, "reason": self.entry.reason, "p": self.p, "p_holm": p_holm,
            "parts": [part.as_json(len(self.parts)) for part in deciding_first(self.parts)],
        }  # fmt: skip


def _elsewhere(claim: Claim, parts: list[Tested], scale: str, helped: str) -> Reasoned | None:
    """Where what was measured is not what the claim is about."""
    if claim.tier == "paper" and scale != "paper":
        return "not comparable", f"{as_measured(parts)} It can be judged at the paper's scale only.", PAPERS_SCALE
    if claim.dsm == "own" and helped:
        return "not comparable", f"{as_measured(parts)} {helped}", PAPERS_DSM
    return None


def _too_weak(claim: Claim, parts: list[Tested], scale: str, runs: list[Run], document: Document) -> Reasoned | None:
    """Where a stand-in cannot tell, either way. At the paper's scale a weak model is a result, not an excuse."""
    if claim.assay is None or scale == "paper":
        return None
    assay = document.assays[claim.assay]
    shown, missing = tested(assay.parts, runs, document)
    if missing:
        return not_run(missing, ", which says whether the suite can tell")
    if all(part.known and part.settled(len(shown)) for part in shown):
        return None
    weak = f"This suite is too weak to tell: {assay.words} ({in_numbers(deciding_first(shown)[0])})."
    measured = as_measured(parts)
    return "not comparable", f"{weak} For what it is worth, {measured[0].lower()}{measured[1:]}", "A better trained model."


def _notes(runs: list[Run], document: Document, n_tests: int, helped: str) -> list[str]:
    """How it was judged."""
    n_images = {run.record.n_images for run in runs}
    trainings = {run.record.training_seed for run in runs if run.record.n_parameters is not None}
    notes = [
        f"Claims of version {document.version}. An ordering or a shape is reproduced where its p-value, the largest of its "
        f"parts', is at most {ALPHA:.0%} after Holm's correction over the {n_tests} claims that were tested; it is not "
        "reproduced where the 95 % interval of a part, simultaneous over the claim's parts, lies outside. A number of a table is "
        f"reproduced where its 90 % interval lies within the margin (TOST at {ALPHA:.0%}).",
        f"Pairs are test images ({listed(f'{n:,}' for n in sorted(n_images))}), of which every record draws the same bootstrap "
        "resamples; what is measured on some of them only (diversity by layouts, states by examples) is not paired with it. "
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
    return [*notes, *filter(None, [helped])]


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


def orderings(claims: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims but for the tables' numbers, by verdict in the order of VERDICTS."""
    chosen = [claim for claim in claims["claims"] if claim["kind"] != "point"]
    return sorted(chosen, key=lambda claim: VERDICTS.index(claim["verdict"]))


def points(claims: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables' numbers."""
    return [claim for claim in claims["claims"] if claim["kind"] == "point"]
