"""How a verdict is reached from the conditions of a claim, and said."""

import math
from typing import Literal, get_args

from semflow.claims.collect import listed, with_interval
from semflow.claims.document import MinSamples
from semflow.claims.statistics import ALPHA, Region
from semflow.claims.terms import Tested

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not comparable", "not run"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
JUDGED = VERDICTS[:3]  # those that say something of the claim
Reasoned = tuple[Verdict, str, str]  # a verdict, why, and what it needs
SETTLES = 1_000_000  # units; an effect that needs more lies on the bound


def short_of(least: MinSamples, conditions: list[Tested], missing: list[str]) -> Reasoned | None:
    """Where there is too little to judge by."""
    if missing:
        return not_run(missing)
    n_images, n_trainings = min(c.effect.n_images for c in conditions), min(len(c.effect.values) for c in conditions)
    if n_images < least.images:
        return "inconclusive", f"Measured on {n_images} images.", f"At least {least.images} images."
    if n_trainings < least.trainings:
        return "inconclusive", f"Measured with {n_trainings} training seeds.", f"At least {least.trainings} training seeds."
    if unknown := [condition.effect.words for condition in conditions if not condition.known]:
        return "inconclusive", f"{listed(unknown)} cannot be computed: a value is zero or not a number.", "Other records."
    return None


def not_run(missing: list[str], needed: str = "") -> Reasoned:
    them = "it" if len(missing) == 1 else "them"
    return "not run", f"There is no record of {listed(missing)}{needed}.", f"Train and evaluate {them}."


def by_p_value(conditions: list[Tested], p_holm: float | None, n_tests: int) -> Reasoned:
    """By the corrected p-value."""
    why = as_measured(conditions)
    if p_holm is not None and p_holm <= ALPHA:
        return "reproduced", why, ""
    settled = [condition.settled(len(conditions)) for condition in conditions]
    if False in settled:
        return "not reproduced", why, ""
    corrected = f" Not significant after Holm's correction over {n_tests} claims (p = {p_holm:.2f})." if all(settled) else ""
    return "inconclusive", why + corrected, _settling(conditions, n_tests)


def _settling(conditions: list[Tested], n_tests: int) -> str:
    """How many images or trainings would settle a claim: as few as refute it, or as many as confirm all of its conditions."""
    against = [condition for condition in conditions if not condition.region.holds(condition.value)]
    alpha = ALPHA / len(conditions) / 2 if against else ALPHA / n_tests
    wanted = [needed for condition in against or conditions if (needed := condition.needed(alpha))]
    if against:
        wanted = [min(wanted, key=lambda needed: max(needed.values()))]
    most = {what: max(needed.get(what, 0.0) for needed in wanted) for what in ("images", "trainings")}
    if max(most.values()) > SETTLES:
        return "No feasible number of images or trainings would settle it: the effect lies on the bound."
    counts = listed(f"{_rounded_up(number):,} {what}" for what, number in most.items() if number)
    return f"About {counts} would {'refute' if against else 'confirm'} it, if the effect stays as measured."


def _rounded_up(number: float) -> int:
    """To two digits."""
    unit = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
    return math.ceil(number / unit) * unit


# In words and numbers.


def as_measured(conditions: list[Tested]) -> str:
    """What the conditions show, whatever becomes of the verdict."""
    n, first = len(conditions), deciding_first(conditions)[0]
    settled = [condition.settled(n) for condition in conditions]
    if n_violated := settled.count(False):
        how = f"{n_violated} of {n} conditions {'is' if n_violated == 1 else 'are'} violated; farthest off"
        return f"{how if n > 1 else 'The condition is violated'}: {said(first)}."
    if all(settled):
        how = {1: "The condition holds", 2: "Both conditions hold; weakest"}.get(n, f"All {n} conditions hold; weakest")
        return f"{how}: {said(first)}."
    return f"Not settled{'; weakest condition' if n > 1 else ''}: {said(first)}."


def deciding_first(conditions: list[Tested]) -> list[Tested]:
    """What decides a claim before the rest: the condition that lies farthest outside, or else the one that is weakest."""

    def place(condition: Tested) -> tuple[bool, float]:
        outside = condition.settled(len(conditions)) is False
        return not outside, -condition.region.distance(condition.value) if outside else -condition.p

    return sorted(conditions, key=place)


def said(condition: Tested) -> str:
    """WHAT = 1.2 [0.5, 1.9], required >= 1.0"""
    return f"{condition.effect.words} = {in_numbers(condition)}"


def in_numbers(condition: Tested) -> str:
    """1.2 [0.5, 1.9], required >= 1.0; of what shows no spread, how many exceptions there may still be."""
    chance, value, region = condition.chances[0], condition.value, condition.region
    low, high = map(finite, chance.interval(value, 0.95))
    d, n = condition.effect.digits, condition.effect.n_units
    text = f"{with_interval(finite(value), low, high, d)}, required {_required(region, d)}"
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


def finite(number: float) -> float | None:
    """JSON has no infinity."""
    return number if math.isfinite(number) else None
