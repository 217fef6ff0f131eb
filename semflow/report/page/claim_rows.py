"""The claims of claims.json as rows of the page's first table."""

from typing import Any

from semflow.claims.verdicts import JUDGED, VERDICTS
from semflow.report.claims_text import SCALES, decisive, marks, p_value
from semflow.report.tables import Entry, Grid, Row

MEANING = {
    "reproduced": "its test is passed",
    "not reproduced": "the measurements contradict it",
    "inconclusive": "too few images or trainings to tell",
    "not comparable": "other data or scale than the paper's, or a proxy that fails its sanity check",
    "not run": "what it is about was not measured",
    "true by construction": "it holds of any right implementation; no evidence",
}
HOLDS = {True: "yes", False: "no", None: "not settled"}
CONDITIONS = (
    *("what", "effect and 95 % interval", "90 % interval", "SD of trainings"),
    *("holds where", "holds", "p", "images", "trainings", "seeds"),
)


def claim_rows(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Claims as claims.json has them, in the order given, with their entries of the table; order: of its verdict."""
    return [claim | _shown(claim) for claim in claims]


def count(claims: list[dict[str, Any]]) -> dict[str, int]:
    """How many claims have each verdict, in the page's order, those that none has left out."""
    found = [claim["verdict"] for claim in claims]
    return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}


def _shown(claim: dict[str, Any]) -> dict[str, Any]:
    condition = next(iter(claim["conditions"]), None)  # the one that decides stands first
    scale = f"at {SCALES[claim['scale']]}" if claim["scale"] and claim["verdict"] in JUDGED else ""
    return {
        "scale": ", ".join(filter(None, [scale, f"on {claim['data']}" if claim.get("data") else "", *marks(claim)])),
        "effect": _effect(condition) if condition else Entry.of("-"), "p": _p(decisive(claim)),
        "size": f"{condition['n_images']} / {condition['n_trainings']}" if condition else "-",
        "conditions": _conditions(claim) if condition else None, "order": VERDICTS.index(claim["verdict"]),
    }  # fmt: skip


def _conditions(raw: dict[str, Any]) -> Grid:
    groups = [[Row(_condition(condition))] for condition in raw["conditions"]]
    return Grid(f"Conditions of “{raw['words']}”", list(CONDITIONS), groups, name="conditions")


def _condition(condition: dict[str, Any]) -> list[Entry]:
    unit = "" if condition["unit"] == "none" else f" ({condition['unit']})"
    return [
        Entry(condition["what"] + unit, kind="head"),
        _effect(condition),
        Entry.of(_interval(condition, "low90", "high90")),
        Entry.of(_number(condition, "sd_trainings")),
        Entry(_bounds(condition)),
        Entry(HOLDS[condition["holds"]]),
        _p(condition["p"]),
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


def _bounds(condition: dict[str, Any]) -> str:
    words = {"at_least": "at least", "at_most": "at most"}
    return " and ".join(f"{words[name]} {condition[name]:g}" for name in words if condition[name] is not None) or "-"


def _p(p: float | None) -> Entry:
    return Entry(p_value(p), sort=p, kind="number")
