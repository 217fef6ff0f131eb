"""How sure an effect is: its interval, a test that it lies in a region, and how many images would settle it.

An effect has one or two sources of chance, kept apart: the test images (a bootstrap that is paired over methods, as every
record draws the same resamples) and the trainings (several seeds, paired by seed). Student's t throughout, so that few seeds
or images widen an interval.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

ALPHA = 0.05  # of every test; the 90 % interval in a region is the same as two one-sided tests (TOST) at it
POWER = 0.8  # with which a number of images would settle a claim


class Region(NamedTuple):
    """Where an effect must lie for a claim to hold; None is no bound."""

    at_least: float | None
    at_most: float | None

    def holds(self, effect: float) -> bool:
        return (self.at_least is None or effect >= self.at_least) and (self.at_most is None or effect <= self.at_most)

    def distance(self, effect: float) -> float:
        """To the nearest bound, from either side."""
        return min(abs(effect - bound) for bound in self if bound is not None)


class Chance(NamedTuple):
    """A source of chance: the standard error that it gives an effect, its degrees of freedom, and how many units made it."""

    se: float
    df: int
    n: int

    def interval(self, effect: float, level: float) -> tuple[float, float]:
        """The `level` interval of an effect."""
        reach = float(special.stdtrit(self.df, (1 + level) / 2)) * self.se
        return effect - reach, effect + reach

    def p(self, effect: float, region: Region) -> float:
        """Of the hypothesis that the effect lies outside the region: the larger of the one-sided tests of its bounds."""
        if self.se == 0:
            return 0.0 if region.holds(effect) else 1.0
        above = [] if region.at_least is None else [special.stdtr(self.df, (region.at_least - effect) / self.se)]
        below = [] if region.at_most is None else [special.stdtr(self.df, (effect - region.at_most) / self.se)]
        return float(max(above + below))

    def outside(self, effect: float, region: Region, level: float) -> bool:
        """Whether the whole `level` interval lies outside the region."""
        low, high = self.interval(effect, level)
        too_low = region.at_least is not None and high < region.at_least
        too_high = region.at_most is not None and low > region.at_most
        return too_low or too_high

    def needed(self, effect: float, region: Region, alpha: float) -> float:
        """How many units would settle, on which side of the bound this effect lies, in a one-sided test at `alpha` with
        power `POWER`; infinite for an effect on the bound."""
        distance = region.distance(effect)
        if distance == 0:
            return math.inf
        reach = special.ndtri(1 - alpha) + special.ndtri(POWER)
        return float(self.n * (reach * self.se / distance) ** 2)


def of_images(draws: np.ndarray, n_units: int) -> Chance:
    """From bootstrap draws (n_samples,) of an effect over `n_units` units; anything goes for one unit, or where a draw is NaN.

    A bootstrap's variance is (n - 1) / n of the unbiased one; with that mended, the mean of one value a unit gets the
    standard error of the t-test.
    """
    if n_units < 2 or not np.isfinite(draws).all():
        return Chance(math.inf, 1, n_units)
    se = float(np.std(draws, ddof=1)) * math.sqrt(n_units / (n_units - 1))
    return Chance(se, min(n_units, len(draws)) - 1, n_units)


def of_trainings(effects: Sequence[float]) -> Chance | None:
    """From one effect a training seed; None for a single training, which says nothing of its chance."""
    if len(effects) < 2:
        return None
    return Chance(float(np.std(effects, ddof=1)) / math.sqrt(len(effects)), len(effects) - 1, len(effects))


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family of tests (Holm, 1979): the i-th smallest of m times m - i, never falling, at most 1.

    ValueError for a NaN, which would take every other test's verdict with it.
    """
    if any(math.isnan(p) for p in ps):
        raise ValueError("a p-value is NaN")
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = largest
    return adjusted
