"""The claims of claims.json as rows of the page's first table."""

from typing import Any, NamedTuple

from semflow.claims.judging import JUDGED, VERDICTS
from semflow.report.claims_text import SCALES, p_value
from semflow.report.tables import Entry, Grid, Row

MEANING = {
    "reproduced": "its test is passed",
    "not reproduced": "the measurements contradict it",
    "inconclusive": "too few images or trainings to tell",
    "not comparable": "other data, scale or baseline than the paper's, or a proxy that fails its sanity check",
    "not run": "what it is about was not measured",
}
HOLDS = {True: "yes", False: "no", None: "not settled"}
CONDITIONS = (
    *("what", "effect and 95 % interval", "90 % interval", "between trainings"),
    *("holds where", "holds", "p", "images", "trainings", "seeds"),
)


class Claim(NamedTuple):
    """What the page says of a claim. scale: with the data set, where the suite has several."""

    id: str
    words: str
    place: str
    verdict: str
    scale: str
    effect: Entry
    p: Entry
    size: Entry
    why: str
    needs: str
    reason: str
    conditions: Grid | None
    order: int  # of its verdict


def claim_rows(claims: list[dict[str, Any]]) -> list[Claim]:
    """Claims as claims.json has them, in the order given."""
    return [_claim(raw) for raw in claims]


def count(claims: list[Claim]) -> dict[str, int]:
    """How many claims have each verdict, in the page's order, those that none has left out."""
    found = [claim.verdict for claim in claims]
    return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}


def _claim(raw: dict[str, Any]) -> Claim:
    condition = next(iter(raw["conditions"]), None)  # the one that decides stands first
    return Claim(
        id=raw["id"], words=raw["words"], place=raw["place"], verdict=raw["verdict"],
        scale=", ".join(filter(None, [_scale(raw), f"on {raw['data']}" if raw.get("data") else ""])),
        effect=_effect(condition) if condition else Entry.of("-"), p=_p(raw["p_holm"]),
        size=Entry.of(f"{condition['n_images']} / {condition['n_trainings']}" if condition else "-"),
        why=raw["why"], needs=raw["needs"], reason=raw["reason"],
        conditions=_conditions(raw) if raw["conditions"] else None, order=VERDICTS.index(raw["verdict"]),
    )  # fmt: skip


def _scale(raw: dict[str, Any]) -> str:
    return f"at {SCALES[raw['scale']]}" if raw["scale"] and raw["verdict"] in JUDGED else ""


def _conditions(raw: dict[str, Any]) -> Grid:
    groups = [[Row(_condition(condition))] for condition in raw["conditions"]]
    return Grid(f"Conditions of “{raw['words']}”", list(CONDITIONS), groups, name="conditions")


def _condition(condition: dict[str, Any]) -> list[Entry]:
    unit = "" if condition["unit"] == "none" else f" ({condition['unit']})"
    return [
        Entry(condition["what"] + unit, kind="head"),
        _effect(condition),
        Entry.of(_interval(condition, "low90", "high90")),
        Entry.of(_interval(condition, "seed_low", "seed_high")),
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


def _bounds(condition: dict[str, Any]) -> str:
    words = {"at_least": "at least", "at_most": "at most"}
    return " and ".join(f"{words[name]} {condition[name]:g}" for name in words if condition[name] is not None) or "-"


def _p(p: float | None) -> Entry:
    return Entry(p_value(p), sort=p, kind="number")
