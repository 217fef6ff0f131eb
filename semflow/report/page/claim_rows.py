"""The claims of claims.json as rows of the page's first table."""

from typing import Any, NamedTuple

from semflow.claims.judging import JUDGED, VERDICTS
from semflow.claims.verdicts import SCALES, p_value
from semflow.report.tables import Entry, Grid, Row

MEANING = {
    "reproduced": "its test is passed",
    "not reproduced": "the measurements contradict it",
    "inconclusive": "too few images or trainings to tell",
    "not comparable": "other data, scale or baseline than the paper's, or a proxy that fails its sanity check",
    "not run": "what it is about was not measured",
}
HOLDS = {True: "yes", False: "no", None: "not settled"}
PARTS = (
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
    parts: Grid | None
    order: int  # of its verdict


def claim_rows(claims: list[dict[str, Any]]) -> list[Claim]:
    """Claims as claims.json has them, in the order given."""
    return [_claim(raw) for raw in claims]


def count(claims: list[Claim]) -> dict[str, int]:
    """How many claims have each verdict, in the page's order, those that none has left out."""
    found = [claim.verdict for claim in claims]
    return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}


def _claim(raw: dict[str, Any]) -> Claim:
    part = next(iter(raw["conditions"]), None)  # that on which the verdict hangs stands first
    return Claim(
        id=raw["id"], words=raw["words"], place=raw["place"], verdict=raw["verdict"],
        scale=", ".join(filter(None, [_scale(raw), f"on {raw['data']}" if raw.get("data") else ""])),
        effect=_effect(part) if part else Entry.of("-"), p=_p(raw["p_holm"]),
        size=Entry.of(f"{part['n_images']} / {part['n_trainings']}" if part else "-"),
        why=raw["why"], needs=raw["needs"], reason=raw["reason"],
        parts=_parts(raw) if raw["conditions"] else None, order=VERDICTS.index(raw["verdict"]),
    )  # fmt: skip


def _scale(raw: dict[str, Any]) -> str:
    return f"at {SCALES[raw['scale']]}" if raw["scale"] and raw["verdict"] in JUDGED else ""


def _parts(raw: dict[str, Any]) -> Grid:
    return Grid(f"Parts of “{raw['words']}”", list(PARTS), [[Row(_part(part))] for part in raw["conditions"]], name="parts")


def _part(part: dict[str, Any]) -> list[Entry]:
    unit = "" if part["unit"] == "none" else f" ({part['unit']})"
    return [
        Entry(part["what"] + unit, kind="head"),
        _effect(part),
        Entry.of(_interval(part, "low90", "high90")),
        Entry.of(_interval(part, "seed_low", "seed_high")),
        Entry(_bounds(part)),
        Entry(HOLDS[part["holds"]]),
        _p(part["p"]),
        *(Entry.of(str(part[name])) for name in ("n_images", "n_trainings", "n_seeds")),
    ]


def _effect(part: dict[str, Any]) -> Entry:
    if part["effect"] is None:
        return Entry("-", records=tuple(part["records"]), kind="number")
    value = f"{part['effect']:.{part['digits']}f}"
    return Entry(value, _interval(part, "low", "high"), tuple(part["records"]), part["effect"], "number")


def _interval(part: dict[str, Any], *ends: str) -> str:
    """[1.0, 2.0], with a dash for an end that there is none of; a dash alone for no interval."""
    known = [f"{part[end]:.{part['digits']}f}" if part[end] is not None else "-" for end in ends]
    return f"[{', '.join(known)}]" if set(known) != {"-"} else "-"


def _bounds(part: dict[str, Any]) -> str:
    words = {"at_least": "at least", "at_most": "at most"}
    return " and ".join(f"{words[name]} {part[name]:g}" for name in words if part[name] is not None) or "-"


def _p(p: float | None) -> Entry:
    return Entry(p_value(p), sort=p, kind="number")
