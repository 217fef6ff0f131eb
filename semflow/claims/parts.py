"""The parts of a claim: an effect, where it must lie, and how sure it is that it does."""

import math
from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from semflow.claims import statistics
from semflow.claims.collect import Run, listed, title, with_interval
from semflow.claims.contrasts import EVERY, Effect, Where, cost, difference, measured, ratio
from semflow.claims.datasets import Names
from semflow.claims.document import Claim, Document, Part
from semflow.claims.statistics import ALPHA, Chance, Region


class Tested(NamedTuple):
    """A part of a claim with its effect and its chances: over images, and over trainings where there are several."""

    effect: Effect
    region: Region
    chances: tuple[Chance, ...]

    @classmethod
    def of(cls, effect: Effect, region: Region) -> "Tested":
        images = statistics.of_images(np.mean(list(effect.draws.values()), axis=0), effect.n_units)
        trainings = statistics.of_trainings(list(effect.values.values()))
        return cls(effect, region, (images,) if trainings is None else (images, trainings))

    @property
    def value(self) -> float:
        return sum(self.effect.values.values()) / len(self.effect.values)

    @property
    def p(self) -> float:
        """Both chances must be ruled out."""
        return max(chance.p(self.value, self.region) for chance in self.chances)

    @property
    def known(self) -> bool:
        """Whether it can be worked out: nothing was divided by zero, no value is NaN, and there is more than one unit."""
        return math.isfinite(self.value) and all(math.isfinite(chance.se) for chance in self.chances)

    def outside(self, level: float) -> bool:
        """Whether no chance can bring it inside."""
        return all(chance.outside(self.value, self.region, level) for chance in self.chances)

    def needed(self, alpha: float) -> dict[str, float]:
        """How many images, and trainings where there are several, would settle it, those of them that are open."""
        scale = {"images": self.effect.n_images / self.effect.n_units, "trainings": 1.0}
        return {
            what: chance.needed(self.value, self.region, alpha) * scale[what]
            for what, chance in zip(scale, self.chances, strict=False)
            if chance.p(self.value, self.region) > alpha and not chance.outside(self.value, self.region, 1 - 2 * alpha)
        }

    def settled(self, n_parts: int) -> bool | None:
        """Whether it holds; None where that is open."""
        return True if self.p <= ALPHA else False if self.outside(1 - ALPHA / n_parts) else None

    def as_json(self, n_parts: int, names: Names) -> dict[str, Any]:
        effect, images = self.effect, self.chances[0]
        low, high, low90, high90 = map(_finite, (*images.interval(self.value, 0.95), *images.interval(self.value, 0.9)))
        seeds = self.chances[1].interval(self.value, 0.95) if len(self.chances) > 1 else (None, None)
        return {
            "what": effect.words, "unit": effect.unit, "digits": effect.digits,
            "effect": _finite(self.value), "low": low, "high": high,
            "low90": low90, "high90": high90, "seed_low": seeds[0], "seed_high": seeds[1], "at_least": self.region.at_least,
            "at_most": self.region.at_most, "p": _finite(self.p), "n_images": effect.n_images, "n_trainings": len(effect.values),
            "n_seeds": effect.n_seeds, "holds": self.settled(n_parts),
            "records": list(dict.fromkeys(names.identity(run.record) for run in effect.runs)),
        }  # fmt: skip


def data_for(claim: Claim, sets: dict[str, list[Run]], document: Document) -> str | None:
    """The data set that a claim is judged on, of those in `sets`; None where nothing of the claim was measured on any.

    All of its cells come from one: the first on which they were all measured, and those of its assay; else the first on which
    they were, and else the first on which any was.
    """
    assay = document.assays[claim.assay].parts if claim.assay else ()
    cells = [Where.parse(cell) for part in claim.parts for cell in _cells(part)]

    def whole(name: str, parts: Iterable[Part]) -> bool:
        return not tested(parts, sets[name], document)[1]

    if len(sets) == 1:
        return next(iter(sets))
    fitting = (name for name in sets if whole(name, (*claim.parts, *assay)))
    without_assay = (name for name in sets if whole(name, claim.parts))
    some = (name for name in sets if any(measured(sets[name], cell, document.anchors) for cell in cells))
    return next(chain(fitting, without_assay, some), None)


def tested(parts: Iterable[Part], runs: list[Run], document: Document) -> tuple[list[Tested], list[str]]:
    """Every part at every number of steps that it stands for, and the cells that were not measured. runs: on one data set."""
    found: list[Tested] = []
    missing: list[str] = []
    for part in parts:
        cells = _cells(part)
        sides = [measured(runs, Where.parse(cell), document.anchors) for cell in cells]
        effects = _effects(part, sides) if all(sides) else []
        paired = [effect for effect in effects if effect.values]
        found += [Tested.of(effect, Region(part.at_least, part.at_most)) for effect in paired]
        absent = [_plain(cell) for cell, side in zip(cells, sides, strict=True) if not side]
        if not absent and len(paired) < max(1, len(effects)):
            what = "under one training seed" if effects else "at one number of steps"
            absent = [f"{listed(map(_plain, cells))} {what}"]
        missing += absent
    return found, list(dict.fromkeys(missing))


def _cells(part: Part) -> list[str]:
    """One cell, or the two that are held against each other."""
    return [cell for cell in (part.of, part.minus or part.over or part.cost_against) if cell]


def _plain(cell: str) -> str:
    """Such as "DSM DDPM-25 segmentation, b = 0"."""
    where = Where.parse(cell)
    steps = "" if where.steps in (0, EVERY) else f"-{where.steps}" if isinstance(where.steps, int) else f" ({where.steps} N)"
    trained = "" if where.b is None else f", b = {where.b:g}"
    drawn = "" if where.drawn is None else f", b' = {where.drawn:g} b"
    return f"{title(where.method, where.sampler)}{steps} {where.task}{trained}{drawn}"


def _effects(part: Part, sides: list[dict[int, Effect]]) -> list[Effect]:
    """One effect for each number of steps that "N" stands for; one alone where there is no "N"."""
    if len(sides) == 1:
        return [effect for steps, effect in sides[0].items() if steps >= part.from_steps or not steps]
    a, b = sides
    if part.cost_against:
        return [cost(a, b)]
    join = difference if part.minus else ratio
    every = [Where.parse(cell).steps == EVERY for cell in (part.of, part.minus or part.over) if cell]
    if not any(every):
        return [join(*a.values(), *b.values())]
    pairs = []
    for steps in a if every[0] else b:
        x, y = (side.get(steps) if each else next(iter(side.values())) for side, each in zip(sides, every, strict=True))
        if steps >= part.from_steps and x is not None and y is not None and x.words != y.words:
            pairs.append(join(x, y))
    return pairs


def _finite(number: float) -> float | None:
    """JSON has no infinity."""
    return number if math.isfinite(number) else None


def deciding_first(parts: list[Tested]) -> list[Tested]:
    """What decides a claim before the rest: the part that lies farthest outside, or else the one that is least sure to hold."""

    def place(part: Tested) -> tuple[bool, float]:
        outside = part.settled(len(parts)) is False
        return not outside, -part.region.distance(part.value) if outside else -part.p

    return sorted(parts, key=place)


def said(part: Tested) -> str:
    """WHAT: 1.2 [0.5, 1.9], to be at least 1.0"""
    return f"{part.effect.words}: {in_numbers(part)}"


def in_numbers(part: Tested) -> str:
    """1.2 [0.5, 1.9], to be at least 1.0; of what shows no spread, how many exceptions there may still be."""
    low, high = map(_finite, part.chances[0].interval(part.value, 0.95))
    d, n = part.effect.digits, part.effect.n_units
    text = f"{with_interval(_finite(part.value), low, high, d)}, to be {wanted(part.region, d)}"
    if part.chances[0].se == 0 and 0 in (part.region.distance(part.value), part.value):
        text += f"; no exception in {n}, so that at 95 % at most {1 - 0.05 ** (1 / n):.0%} of all are one"
    return text


def wanted(region: Region, digits: int) -> str:
    """at least 1.0 and at most 2.0; a bound of more digits keeps them."""
    bounds = []
    for words, bound in (("at least", region.at_least), ("at most", region.at_most)):
        if bound is not None:
            short = f"{bound:.{digits}f}"
            bounds.append(f"{words} {short if float(short) == bound else f'{bound:g}'}")
    return " and ".join(bounds)
