"""From records to effects: a term of a claim, alone or compared with another, its bootstrap draws paired; and how sure it is.

All of it is on one data set. `semflow/published/claims.yaml` says how terms are written. An effect has one or two sources of
chance: the test images (a bootstrap that is paired over methods, as every record draws the same resamples) and, where there are
several, the trainings (paired by seed). Their variances are added, and a tail's probability is the mean of those of the two t
distributions, weighted by the variances. Student's t throughout, so that few seeds or images widen an interval.
"""

import math
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from semflow.claims.chance import ALPHA, Chance, Region, of_images, of_trainings, together
from semflow.claims.collect import Run, listed, number, only, own, own_amplitudes, primary, title
from semflow.claims.document import CHOSEN, EVERY, Condition, Term, perturbed
from semflow.evaluation.metrics.catalogue import KINDS, filling
from semflow.suite.measurements import draws

POWER = 0.8  # with which a number of images would settle a claim
REACHED = 0.95  # share of a method's best that counts as having reached it
NEVER = 2  # times the most that it was given is what a method is charged with that does not reach a level


class Effect(NamedTuple):
    """A number with its draws (n_samples,), each by training seed; means over sampling seeds.

    n_units: what the draws resample: images, blocks of frames, or layouts.  n_seeds: sampling seeds a training.
    lowest: that it can be, which an interval ends at.
    """

    words: str
    unit: str
    digits: int
    values: dict[int, float]
    draws: dict[int, np.ndarray]
    n_images: int
    n_units: int
    n_seeds: int
    runs: tuple[Run, ...]
    lowest: float = -math.inf

    @property
    def evaluations(self) -> float:
        """Of the network, for one image."""
        return float(np.mean([run.record.evaluations for run in self.runs]))

    @property
    def trained(self) -> bool:
        """Whether a training is part of it."""
        return any(run.record.n_parameters is not None for run in self.runs)

    @property
    def seconds(self) -> float:
        """For one image, on the machines that the records were made on."""
        return float(np.mean([1 / run.record.provenance.images_per_s for run in self.runs]))


# One term.


def measured(runs: list[Run], term: Term) -> dict[int, Effect]:
    """What was measured of a term, by number of steps, lowest first; empty where nothing was. A chosen number stands under 0."""
    groups: dict[int, list[Run]] = {}
    for run in candidates(runs, term):
        if not isinstance(term.steps, int) or run.record.steps == term.steps:
            groups.setdefault(run.record.steps, []).append(run)
    found = ((steps, _measure(group, term)) for steps, group in sorted(groups.items()))
    by_steps = {steps: effect for steps, effect in found if effect is not None}
    if term.steps not in CHOSEN or not by_steps:
        return by_steps
    return {0: best(by_steps) if term.steps == "best" else by_steps[(max if term.steps == "most" else min)(by_steps)]}


def candidates(runs: list[Run], term: Term) -> list[Run]:
    """Runs of the term's method, task, sampler and perturbation, of no variant."""
    fields = {"method": term.method, "task": term.task, "sampler": term.sampler}
    runs = only(runs, variant="")
    if not perturbed(term.method) or (term.b is None and term.drawn is None):
        return only(own(runs), **fields)
    b = next(iter(own_amplitudes(runs).values()), 0.0) if term.b is None else term.b
    factor = 1.0 if term.drawn is None else term.drawn
    return only(runs, **fields, amplitude=b, sampling_amplitude=factor * b if draws(term.task) else 0.0)


def _measure(group: list[Run], term: Term) -> Effect | None:
    """The mean over the sampling seeds of a group; None where a training has no such metric."""
    trained = "" if term.b is None else f" b = {term.b:g}"
    drawn = "" if term.drawn is None else f" b' = {'' if term.drawn == 1 else f'{term.drawn:g}'}{'b' if term.drawn else ''}"
    return effect_of(group, term.metric, trained + drawn)


def effect_of(group: list[Run], metric: str, perturbation: str = "") -> Effect | None:
    """A metric of runs that differ in seeds alone, its mean over sampling seeds; None where a training has no such metric.

    perturbation: in words, where it is not the suite's own.
    """
    record, values, draws, units = group[0].record, dict[int, float](), dict[int, np.ndarray](), (0, 0)
    for training in sorted({run.record.training_seed for run in group}):
        found = [known for run in only(group, training_seed=training) if (known := _value(run, metric))]
        if not found:
            return None
        values[training] = float(np.mean([value for value, _, _ in found]))
        draws[training] = np.mean([drawn for _, drawn, _ in found], axis=0)
        units = found[0][2]
    kind = KINDS[name_in(metric, group[0])]
    words = f"{title(record.method, record.sampler, record.steps)}{perturbation} {kind.title}"
    n_seeds = len({run.record.sampling_seed for run in group})
    return Effect(words, kind.unit, kind.digits, values, draws, *units, n_seeds, tuple(group))


def name_in(metric: str, run: Run) -> str:
    return filling(primary(run.record.n_images) if metric == "distance" else metric, run.record.metrics)


def _value(run: Run, metric: str) -> tuple[float, np.ndarray, tuple[int, int]] | None:
    """(value, draws, (n_images, n_units)) of a metric of a record; None if it has none."""
    name = name_in(metric, run)
    if name not in run.arrays.draws:  # not measured, or so that it has no interval
        return None
    n_images = len(run.arrays.values.get(name, run.arrays.units))  # some are of a few layouts only
    n_units = min(int(run.arrays.units.max()) + 1, n_images)
    return number(run, name), run.arrays.draws[name], (n_images, n_units)


# Two terms.


def best(by_steps: dict[int, Effect]) -> Effect:
    """The best over the numbers of steps, in every draw anew, so that having looked for it is part of its chance."""
    effects = list(by_steps.values())
    seeds = sorted(set.intersection(*(set(effect.values) for effect in effects)))
    record = effects[0].runs[0].record
    return effects[0]._replace(
        words=effects[0].words.replace(
            title(record.method, record.sampler, record.steps), f"{title(record.method, record.sampler)} (best N)", 1
        ),
        values={seed: max(effect.values[seed] for effect in effects) for seed in seeds},
        draws={seed: np.max([effect.draws[seed] for effect in effects], axis=0) for seed in seeds},
        runs=tuple(run for effect in effects for run in effect.runs),
    )


def difference(a: Effect, b: Effect) -> Effect:
    """a - b, paired by image and by training seed."""
    return _joined(a, b, "-", np.subtract)._replace(unit=a.unit, digits=a.digits)


def ratio(a: Effect, b: Effect) -> Effect:
    """a / b, paired by image and by training seed."""
    return _joined(a, b, "/", lambda x, y: np.divide(x, np.where(y == 0, np.nan, y)))


def cost(a: dict[int, Effect], b: dict[int, Effect], of: str = "evaluations") -> Effect:
    """Over the evaluations, or seconds, that b needs to reach `REACHED` of its own best, those that a needs to reach as much."""
    a, b = _of_shared_seeds(a), _of_shared_seeds(b)
    first, other, top = next(iter(a.values())), next(iter(b.values())), best(b)

    def share(field: Literal["values", "draws"], x: int, y: int) -> np.ndarray:
        level = REACHED * np.atleast_1d(getattr(top, field)[y])
        return _needed(a, x, field, level, of) / _needed(b, y, field, level, of)

    pairs = _paired(first, other)
    values = {seed: float(share("values", x, y)[0]) for seed, (x, y) in pairs.items()}
    draws = {seed: share("draws", x, y) for seed, (x, y) in pairs.items()}
    ours, theirs = (title(effect.runs[0].record.method, effect.runs[0].record.sampler) for effect in (first, other))
    words = f"{ours} {of} / {theirs} {of} for {REACHED:.0%} of the latter's best"
    runs = tuple(run for side in (a, b) for effect in side.values() for run in effect.runs)
    units = min(first.n_images, other.n_images), min(first.n_units, other.n_units)
    return Effect(words, "none", 2, values, draws, *units, min(first.n_seeds, other.n_seeds), runs, lowest=0.0)


def _of_shared_seeds(by_steps: dict[int, Effect]) -> dict[int, Effect]:
    """The same at the training seeds that every number of steps has."""
    shared = set.intersection(*(set(effect.values) for effect in by_steps.values()))
    return {
        steps: effect._replace(
            values={seed: value for seed, value in effect.values.items() if seed in shared},
            draws={seed: draws for seed, draws in effect.draws.items() if seed in shared},
        )
        for steps, effect in by_steps.items()
    }


def _needed(by_steps: dict[int, Effect], seed: int, field: str, level: np.ndarray, of: str) -> np.ndarray:
    """The fewest evaluations, or seconds, that reach each level, (n,)."""
    effects = sorted(by_steps.values(), key=lambda effect: -getattr(effect, of))
    needed = np.full(len(level), NEVER * getattr(effects[0], of))
    for effect in effects:
        needed = np.where(np.atleast_1d(getattr(effect, field)[seed]) >= level, getattr(effect, of), needed)
    return needed


def _joined(a: Effect, b: Effect, sign: str, join: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Effect:
    values, draws = dict[int, float](), dict[int, np.ndarray]()
    for seed, (x, y) in _paired(a, b).items():
        n = min(len(a.draws[x]), len(b.draws[y]))  # the first draws of a longer bootstrap are those of a shorter one
        values[seed] = float(join(np.array(a.values[x]), np.array(b.values[y])))
        draws[seed] = join(a.draws[x][:n], b.draws[y][:n])
    units = min(a.n_images, b.n_images), min(a.n_units, b.n_units)
    return Effect(f"{a.words} {sign} {b.words}", "none", 2, values, draws, *units, min(a.n_seeds, b.n_seeds), (*a.runs, *b.runs))


def _paired(a: Effect, b: Effect) -> dict[int, tuple[int, int]]:
    """By training seed, the seeds of the two sides: the same, but for a control, which has no training and goes with any."""
    for control, other in ((a, b), (b, a)):
        if all(run.record.n_parameters is None for run in control.runs):
            alone = min(control.values)
            return {seed: (alone, seed) if control is a else (seed, alone) for seed in other.values}
    return {seed: (seed, seed) for seed in a.values if seed in b.values}


# A condition: an effect, where it must lie, and how sure it is that it does.


class Tested(NamedTuple):
    """A condition of a claim with its effect and its chances: over images, and over trainings where there are several.

    n_beside: how many conditions the claim has.
    """

    effect: Effect
    region: Region
    images: Chance
    trainings: Chance | None
    n_beside: int = 1

    @classmethod
    def of(cls, effect: Effect, region: Region) -> "Tested":
        images = of_images(np.mean(list(effect.draws.values()), axis=0), effect.n_units)
        return cls(effect, region, images, of_trainings(list(effect.values.values())))

    @property
    def chance(self) -> Chance:
        """All of it."""
        return together(self.images, self.trainings)

    @property
    def value(self) -> float:
        return sum(self.effect.values.values()) / len(self.effect.values)

    def interval(self, level: float) -> tuple[float, float]:
        """Of the effect; no end lies below what it can be."""
        low, high = self.chance.interval(self.value, level)
        return max(low, self.effect.lowest), max(high, self.effect.lowest)

    @property
    def p(self) -> float:
        """Of the hypothesis that the condition does not hold."""
        return self.chance.p(self.value, self.region)

    @property
    def p_against(self) -> float:
        """Of the hypothesis that it holds, Bonferroni's over the claim's conditions."""
        return min(1.0, self.n_beside * self.chance.p_against(self.value, self.region))

    @property
    def known(self) -> bool:
        """Whether it can be worked out: nothing was divided by zero, no value is NaN, and there is more than one unit."""
        return math.isfinite(self.value) and math.isfinite(self.chance.se)

    @property
    def settled(self) -> bool | None:
        """Whether it holds, as one of its claim's conditions; None where that is open."""
        return True if self.p <= ALPHA else False if self.p_against <= ALPHA else None

    def needed(self, alpha: float) -> dict[str, float]:
        """How many images, and trainings where there are several, would settle, on which side of the bound this effect lies, in
        a one-sided test at `alpha` with power `POWER`; more images only where no number of trainings would do. Infinite for an
        effect on the bound. Where all are alike, the trainings of a sign test.
        """
        if self.chance.se == 0:
            return {"trainings": -math.log2(alpha)}
        distance = self.region.distance(self.value)
        reach = float(special.ndtri(1 - alpha) + special.ndtri(POWER))
        allowed = (distance / reach) ** 2  # variance
        n, k = self.effect.n_images, len(self.effect.values)
        if self.trainings is None:
            return {"images": _times(n, self.images.se**2, allowed)}
        if self.images.se**2 < allowed:
            return {"trainings": _times(k, self.trainings.se**2, allowed - self.images.se**2)}
        return {"images": _times(n, self.images.se**2, allowed / 2), "trainings": _times(k, self.trainings.se**2, allowed / 2)}


def _times(n: int, variance: float, allowed: float) -> float:
    """How many units bring a variance that n units have down to what is allowed."""
    return n * variance / allowed if allowed else math.inf


def tested(conditions: Iterable[Condition], runs: list[Run]) -> tuple[list[Tested], list[str]]:
    """Every condition at every number of steps that it stands for, and what was not measured of them. runs: on one data set."""
    found: list[Tested] = []
    missing: list[str] = []
    for condition in conditions:
        sides = [measured(runs, term) for term in condition.terms]
        effects = _effects(condition, sides) if all(sides) else []
        paired = [effect for effect in effects if effect.values]
        found += [Tested.of(effect, Region(condition.at_least, condition.at_most)) for effect in paired]
        absent = [_plain(term) for term, side in zip(condition.terms, sides, strict=True) if not side]
        if not absent and len(paired) < max(1, len(effects)):
            what = "under one training seed" if effects else "at one number of steps"
            absent = [f"{listed(map(_plain, condition.terms))} {what}"]
        missing += absent
    return [condition._replace(n_beside=len(found)) for condition in found], list(dict.fromkeys(missing))


def _plain(term: Term) -> str:
    """Such as "SemFlow Euler-25 segmentation, b = 0"."""
    task = term.task.replace("_", " ")
    steps = "" if term.steps not in CHOSEN else " (best N)" if term.steps == "best" else f" ({term.steps} steps)"
    name = title(term.method, term.sampler, term.steps if isinstance(term.steps, int) else 0)
    trained = "" if term.b is None else f", b = {term.b:g}"
    drawn = "" if term.drawn is None else f", b' = {term.drawn:g} b"
    return f"{name}{steps} {task}{trained}{drawn}"


def _effects(condition: Condition, sides: list[dict[int, Effect]]) -> list[Effect]:
    """One effect for each number of steps that "N" stands for; one alone where there is no "N"."""
    if len(sides) == 1:
        return [effect for steps, effect in sides[0].items() if steps >= condition.from_steps or not steps]
    a, b = sides
    if condition.cost_against:
        return [cost(a, b, condition.cost)]
    join = difference if condition.minus else ratio
    every = [term.steps == EVERY for term in condition.terms]
    if not any(every):
        return [join(*a.values(), *b.values())]
    pairs = []
    for steps in a if every[0] else b:
        x, y = (side.get(steps) if each else next(iter(side.values())) for side, each in zip(sides, every, strict=True))
        if steps >= condition.from_steps and x is not None and y is not None and x.words != y.words:
            pairs.append(join(x, y))
    return pairs
