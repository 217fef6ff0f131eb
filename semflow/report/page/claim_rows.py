"""The claims of claims.json as lines of the page, and the sentence that they come to."""

from collections import Counter
from typing import Any

from semflow.claims.collect import Names, Run
from semflow.claims.verdicts import JUDGED, VERDICTS
from semflow.report.claims_text import SCALES, decisive, marks, p_value
from semflow.report.tables import Entry, Grid, Row
from semflow.suite.measurements import draws

Claims = list[dict[str, Any]]
MEANING = {
    "reproduced": "its test is passed",
    "not reproduced": "the measurements contradict it",
    "inconclusive": "too few images or trainings to tell",
    "not comparable": "other data or scale than the paper's, or a proxy that fails its sanity check",
    "not run": "what it is about was not measured",
    "true by construction": "it holds of any right implementation; no evidence",
}
HOLDS = {True: "yes", False: "no", None: "not settled"}
SUBJECTS = {frozenset({False}): "Segmentation", frozenset({True}): "Synthesis", frozenset({False, True}): "Both tasks together"}
CONDITIONS = (
    *("what", "effect and 95 % interval", "90 % interval", "SD of trainings"),
    *("holds where", "holds", "p", "images", "trainings", "seeds"),
)


def by_verdict(claims: Claims) -> dict[str, Claims]:
    """Claims by verdict, in the page's order, each with the entries of its line and of what unfolds below it."""
    return {
        verdict: [claim | _shown(claim) for claim in claims if claim["verdict"] == verdict]
        for verdict in VERDICTS
        if any(claim["verdict"] == verdict for claim in claims)
    }


def conclusion(claims: Claims, runs: list[Run]) -> list[str]:
    """How many claims hold of those that could be judged: a sentence for each thing that the records behind them are of."""
    names = Names.among(runs)
    drawn = {names.identity(run.record): draws(run.record.task) for run in runs}
    subjects: dict[frozenset[bool], list[str]] = {key: [] for key in SUBJECTS}
    for claim in claims:
        behind = {name for condition in claim["conditions"] for name in condition["records"]}
        subjects.setdefault(frozenset(drawn[name] for name in behind if name in drawn), []).append(claim["verdict"])
    return [*filter(None, (_told(SUBJECTS.get(key, "Others"), Counter(verdicts)) for key, verdicts in subjects.items()))]


def _told(subject: str, found: Counter[str]) -> str:
    """Such as "Segmentation: 9 of 11 claims hold, 1 does not, 1 is open; 2 more are not comparable."""
    n, holding, failing, is_open, other = (
        sum(found[verdict] for verdict in verdicts)
        for verdicts in (JUDGED, ("reproduced",), ("not reproduced",), ("inconclusive",), ("not comparable",))
    )
    if not n:
        return f"{subject}: none of {other} claim{'s' * (other != 1)} can be judged here." if other else ""
    text = f"{subject}: {holding} of {n} claim{'s' * (n != 1)} hold{'s' * (holding == 1)}"
    text += f", {failing} do{'es' * (failing == 1)} not" if failing else ""
    text += f", {is_open} {_are(is_open)} open" if is_open else ""
    return text + (f"; {other} more {_are(other)} not comparable." if other else ".")


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _shown(claim: dict[str, Any]) -> dict[str, Any]:
    condition = next(iter(claim["conditions"]), None)  # the one that decides stands first
    scale = f"at {SCALES[claim['scale']]}" if claim["scale"] and claim["verdict"] in JUDGED else ""
    return {
        "marks": ", ".join(filter(None, [scale, f"on {claim['data']}" if claim.get("data") else "", *marks(claim)])),
        "effect": _effect(condition) if condition else Entry(""), "p": p_value(decisive(claim)),
        "required": _required(condition) if condition else "", "conditions": _conditions(claim) if condition else None,
        "drawn": claim["kind"] != "table_entry" or claim["verdict"] in JUDGED,
    }  # fmt: skip


def _conditions(raw: dict[str, Any]) -> Grid:
    groups = [[Row(_condition(condition))] for condition in raw["conditions"]]
    return Grid(f"Conditions of “{raw['words']}” ({raw['place']})", list(CONDITIONS), groups, name="conditions")


def _condition(condition: dict[str, Any]) -> list[Entry]:
    unit = "" if condition["unit"] == "none" else f" ({condition['unit']})"
    return [
        Entry(condition["what"] + unit, kind="head"),
        _effect(condition),
        Entry.of(_interval(condition, "low90", "high90")),
        Entry.of(_number(condition, "sd_trainings")),
        Entry(_required(condition) or "-"),
        Entry(HOLDS[condition["holds"]]),
        Entry(p_value(condition["p"]), sort=condition["p"], kind="number"),
        *(Entry.of(str(condition[name])) for name in ("n_images", "n_trainings", "n_seeds")),
    ]


def _effect(condition: dict[str, Any]) -> Entry:
    if condition["effect"] is None:
        return Entry("-", records=tuple(condition["records"]), kind="number")
    value = f"{condition['effect']:.{condition['digits']}f}"
    return Entry(value, _interval(condition, "low", "high"), tuple(condition["records"]), condition["effect"], "number")


def _interval(condition: dict[str, Any], *ends: str) -> str:
    """[1.0, 2.0], with a dash for an end that there is none of; a dash alone for no interval."""
    known = [f"{condition[end]:.{condition['digits']}f}" if condition[end] is not None else "-" for end in ends]
    return f"[{', '.join(known)}]" if set(known) != {"-"} else "-"


def _number(condition: dict[str, Any], name: str) -> str:
    return "-" if condition[name] is None else f"{condition[name]:.{condition['digits']}f}"


def _required(condition: dict[str, Any]) -> str:
    """≥ 1, ≤ 2"""
    signs = {"at_least": "≥", "at_most": "≤"}
    return ", ".join(f"{signs[name]} {condition[name]:g}" for name in signs if condition[name] is not None)
