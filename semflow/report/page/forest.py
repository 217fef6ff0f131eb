"""Effects against their margins on one scale, whatever their units: in half-widths of their 95 % intervals.

An effect x with the interval [low, high] and the margin m lies at (x - m) / ((high - low) / 2), with its sign turned where it
must not exceed m. So it lies right of 0 where the claim holds, its bar is 1 long to either side, and a bar that does not touch
0 is an effect whose interval leaves the margin out. The axis is asinh: linear near 0, logarithmic further out.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

WIDTH, MARGIN = 240.0, 6.0  # of the drawing, and what is left free at its sides
TICKS = (1, 3, 10, 30, 100, 300, 1000)  # half-widths, on either side of 0


class Bar(NamedTuple):
    """An effect and the ends of its interval, in half-widths from its margin or, once it is placed, in units of the drawing."""

    effect: float
    low: float
    high: float


class Forest(NamedTuple):
    """Bars by the name of what they are of, and (place, label) of ticks; all between 0 and WIDTH."""

    bars: dict[str, list[Bar]]
    ticks: list[tuple[float, str]]


def standardised(condition: dict[str, Any]) -> Bar | None:
    """A condition of claims.json, to the margin that it is nearest to violating; None without a margin or an interval."""
    effect, low, high = (condition[name] for name in ("effect", "low", "high"))
    signs = {"at_least": 1.0, "at_most": -1.0}
    bounds = [(sign, condition[name]) for name, sign in signs.items() if condition[name] is not None]
    if None in (effect, low, high) or not bounds or high <= low:
        return None
    sign, bound = min(bounds, key=lambda known: known[0] * (effect - known[1]))
    half = (high - low) / 2
    first, last = sorted(sign * (end - bound) / half for end in (low, high))
    return Bar(sign * (effect - bound) / half, first, last)


def forest(claims: Iterable[dict[str, Any]]) -> Forest:
    """Of every claim the conditions that can be drawn, the one that decides first, by the claim's id."""
    bars = {claim["id"]: [bar for one in claim["conditions"] if (bar := standardised(one))] for claim in claims}
    edge = max((abs(end) for of in bars.values() for bar in of for end in bar), default=1.0)

    def place(value: float) -> float:
        return round(WIDTH / 2 + (WIDTH / 2 - MARGIN) * math.asinh(value) / math.asinh(max(edge, 1.0)), 1)

    known = [tick for tick in TICKS if tick <= edge]
    ticks = [(place(sign * tick), f"{sign * tick}") for tick in known for sign in (-1, 1)]
    return Forest({name: [Bar(*map(place, bar)) for bar in of] for name, of in bars.items()}, [(place(0), "0"), *ticks])
