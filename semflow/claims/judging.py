"""How a verdict is reached from the parts of a claim."""

import math
from typing import Literal, get_args

from semflow.claims.collect import listed
from semflow.claims.document import Least
from semflow.claims.parts import Tested, deciding_first, said
from semflow.claims.statistics import ALPHA

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not comparable", "not run"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
JUDGED = VERDICTS[:3]  # those that say something of the claim
Reasoned = tuple[Verdict, str, str]  # a verdict, why, and what it needs
SETTLES = 1_000_000  # units; an effect that needs more lies on the bound


def by_p_value(parts: list[Tested], p_holm: float | None, n_tests: int) -> Reasoned:
    """By the corrected p-value of the parts."""
    if p_holm is not None and p_holm <= ALPHA:
        return "reproduced", as_measured(parts), ""
    settled = [part.settled(len(parts)) for part in parts]
    if False in settled:
        return "not reproduced", as_measured(parts), ""
    corrected = f" Among {n_tests} claims that is not sure enough (p = {p_holm:.2f})." if all(settled) else ""
    return "inconclusive", as_measured(parts) + corrected, _settling(parts, n_tests)


def as_measured(parts: list[Tested]) -> str:
    """Where the parts lie, whatever becomes of the verdict."""
    n, first = len(parts), deciding_first(parts)[0]
    if outside := [part for part in parts if part.settled(n) is False]:
        return f"{_how_many(len(outside), n)} outside what the claim says{':' if n == 1 else '; farthest is'} {said(first)}."
    if all(part.settled(n) for part in parts):
        return f"{_how_many(n, n)} where the claim has it{':' if n == 1 else '; least sure is'} {said(first)}."
    return f"The data cannot tell{':' if n == 1 else '; least sure is'} {said(first)}."


def _how_many(some: int, n: int) -> str:
    if some < n:
        return f"{some} of {n} parts lie{'s' if some == 1 else ''}"
    return {1: "It lies", 2: "Both parts lie"}.get(n, f"All {n} parts lie")


def not_run(missing: list[str], why_needed: str = "") -> Reasoned:
    """Where cells were not measured."""
    them = "it" if len(missing) == 1 else "them"
    return "not run", f"There is no record of {listed(missing)}{why_needed}.", f"Train and evaluate {them}."


def short_of(least: Least, parts: list[Tested], missing: list[str]) -> Reasoned | None:
    """Where there is too little to judge by."""
    if missing:
        return not_run(missing)
    n_images, n_trainings = min(part.effect.n_images for part in parts), min(len(part.effect.values) for part in parts)
    if n_images < least.images:
        return "inconclusive", f"Measured on {n_images} images.", f"At least {least.images} images."
    if n_trainings < least.trainings:
        return "inconclusive", f"Measured with {n_trainings} training seeds.", f"At least {least.trainings} training seeds."
    if unknown := [part.effect.words for part in parts if not part.known]:
        return "inconclusive", f"{listed(unknown)} cannot be worked out: a value is zero or not a number.", "Other records."
    return None


def _settling(parts: list[Tested], n_tests: int) -> str:
    """How many images or trainings would settle a claim: as few as refute it, or as many as confirm all of its parts."""
    against = [part for part in parts if not part.region.holds(part.value)]
    wanted = [part.needed(ALPHA / len(parts) / 2 if against else ALPHA / n_tests) for part in against or parts]
    wanted = [needed for needed in wanted if needed]
    if against:
        wanted = [min(wanted, key=lambda needed: max(needed.values()))]
    most = {what: max(needed.get(what, 0.0) for needed in wanted) for what in ("images", "trainings")}
    if max(most.values()) > SETTLES:
        return "No number of images or trainings within reason: the effect lies on the bound."
    counts = listed(f"{_rounded_up(number):,} {what}" for what, number in most.items() if number)
    return f"About {counts}, which would {'refute' if against else 'confirm'} it if the effect stays what it is."


def _rounded_up(number: float) -> int:
    """To two digits."""
    unit = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
    return math.ceil(number / unit) * unit
