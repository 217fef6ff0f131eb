"""Every claim of the paper, judged from records.

A claim holds where all of its parts hold, so that its p-value is the largest of theirs (an intersection-union test) and needs
no correction for their number; over claims, p-values are Holm's. All of a claim is judged on one data set. Verdicts:

- reproduced: an ordering's or a shape's corrected p-value is at most 5 %; a point's 90 % interval lies within the margin (TOST).
- not reproduced: some part's 95 % interval lies outside where the claim has it (simultaneous over the claim's parts).
- inconclusive: neither, or too few images or trainings; with how many would settle it.
- not comparable: a point on other data, scale or protocol; a stand-in too weak to tell; a DSM that has what the paper's has not.
- not run: there is no record of a cell that it is about.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from semflow import published
from semflow.claims import statistics
from semflow.claims.collect import Run, listed, title
from semflow.claims.datasets import Names, by_dataset
from semflow.claims.document import Claim, Document, Finding
from semflow.claims.judging import VERDICTS, Reasoned, as_measured, by_p_value, not_run, short_of
from semflow.claims.parts import Tested, data_for, deciding_first, in_numbers, tested
from semflow.claims.points import PAPERS_DSM, judge_point, numbers
from semflow.claims.scale import scale as scale_of
from semflow.claims.statistics import ALPHA
from semflow.report.tables import help_for_dsm

PAPERS_SCALE = "The paper's data, size and network, which no suite here has yet."


def judge(runs: list[Run], document: Document) -> dict[str, Any]:
    """Every claim with its verdict; the form of claims.json."""
    sets = by_dataset(runs)
    judged = [_Judged.of(claim, sets, document) for claim in document.claims]
    tests = [claim for claim in judged if claim.p is not None]
    corrected = statistics.holm([claim.p for claim in tests if claim.p is not None])
    by_id = {claim.entry.id: p for claim, p in zip(tests, corrected, strict=True)}
    names = Names(len(sets) > 1)
    claims = [claim.as_json(by_id.get(claim.entry.id), len(tests), names) for claim in judged]
    claims += [judge_point(point, sets, document) for table in document.points for point in numbers(table)]
    counts = Counter(claim["verdict"] for claim in claims)
    return {
        "format": 1,
        "suite": runs[0].record.suite,
        "scale": scale_of(runs, document.scale),
        "counts": {verdict: counts[verdict] for verdict in VERDICTS},
        "notes": _notes(sets, document, len(tests)),
        "claims": claims,
        "findings": [_finding(finding) for finding in document.findings],
    }


class _Judged(NamedTuple):
    """A claim before its p-value is corrected.

    data: the data set that it is judged on.  helped: what DSM has there that the paper's has not.  stop: a verdict that needs no
    p-value, why, and what it needs.
    """

    entry: Claim
    data: str | None
    parts: list[Tested]
    scale: str
    helped: str
    stop: Reasoned | None

    @classmethod
    def of(cls, claim: Claim, sets: dict[str, list[Run]], document: Document) -> "_Judged":
        data = data_for(claim, sets, document)
        runs = sets[data] if data else []
        helped = help_for_dsm(runs)
        parts, missing = tested(claim.parts, runs, document)
        scale = scale_of([run for part in parts for run in part.effect.runs], document.scale)
        stop = short_of(claim.least, parts, missing) or _elsewhere(claim, parts, scale, helped)
        return cls(claim, data, parts, scale, helped, stop or _too_weak(claim, parts, scale, runs, document))

    @property
    def p(self) -> float | None:
        return None if self.stop else max(part.p for part in self.parts)

    def as_json(self, p_holm: float | None, n_tests: int, names: Names) -> dict[str, Any]:
        verdict, why, needs = self.stop or by_p_value(self.parts, p_holm, n_tests)
        if verdict == "not reproduced" and self.entry.dsm and self.helped:
            verdict, why, needs = "not comparable", f"{why} {self.helped}", PAPERS_DSM
        return {
            "id": self.entry.id, "place": self.entry.place, "words": self.entry.words, "kind": self.entry.kind,
            "tier": self.entry.tier, "verdict": verdict, "scale": None if verdict == "not run" else self.scale,
            **names.data(self.data), "why": why, "needs": needs, "reason": self.entry.reason, "p": self.p, "p_holm": p_holm,
            "parts": [part.as_json(len(self.parts), names) for part in deciding_first(self.parts)],
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


def _notes(sets: dict[str, list[Run]], document: Document, n_tests: int) -> list[str]:
    """How it was judged. sets: runs by data set."""
    names = Names(len(sets) > 1)
    n_images = "; ".join(
        f"{listed(f'{n:,}' for n in sorted({run.record.n_images for run in of}))}{names.on(of[0].record)}" for of in sets.values()
    )
    notes = [
        f"Claims of version {document.version}. An ordering or a shape is reproduced where its p-value, the largest of its "
        f"parts', is at most {ALPHA:.0%} after Holm's correction over the {n_tests} claims that were tested; it is not "
        "reproduced where the 95 % interval of a part, simultaneous over the claim's parts, lies outside. A number of a table is "
        f"reproduced where its 90 % interval lies within the margin (TOST at {ALPHA:.0%}).",
        f"Pairs are test images ({n_images}), of which every record draws the same bootstrap "
        "resamples; what is measured on some of them only (diversity by layouts, states by examples) is not paired with it. "
        "Standard errors are the draws', tests and intervals Student's t."
    ]  # fmt: skip
    if names.several:
        notes.append(
            f"A claim is judged on one data set, the first of {listed(sets)} on which all of it was measured; a number of "
            "a table on the one that the table names."
        )
    notes += _by_dataset(sets, _trainings)
    proxies = [name for name, of in sets.items() if scale_of(of, document.scale) == "proxy"]
    if proxies:
        which = "The suite" if len(proxies) == len(sets) else f"What was measured on {listed(proxies)}"
        notes.append(f"{which} is a stand-in: it judges orderings and shapes, never values.")
    return [*notes, *_by_dataset(sets, help_for_dsm)]


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
            "One training a model: no interval covers the chance of training, for which the margins between models allow; claims "
            "within one model need none."
        )
    return f"{len(trainings)} training seeds: their chance is tested apart from that of the images, and both must agree."


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
