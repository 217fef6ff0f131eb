"""Effects from records: a metric of one cell, alone or held against another's, with their draws paired.

`semflow/published/claims.yaml` writes a cell as "METHOD TASK SAMPLER METRIC", with "b=" and "b'=" where a perturbation is not
the suite's own; see its head.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from semflow.claims.collect import Run, only, own, primary, title
from semflow.claims.document import Anchors
from semflow.data.sample import IGNORE_INDEX
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.catalogue import KINDS, filling
from semflow.evaluation.metrics.intervals import bootstrap_mean
from semflow.method.samplers import DIRECT, Sampler

EVERY = "N"  # stands for each number of steps that was measured
CHOSEN = ("best", "most", "fewest")  # of the steps that were measured
REACHED = 0.95  # share of a method's best that counts as having reached it
NEVER = 2  # times its most evaluations is what a method is charged with that does not reach a level
DRAWS, DRAWS_SEED = 1000, 0  # of what is worked out here from the kept examples


class Where(NamedTuple):
    """A cell as it is written.

    steps: a number, 0 for none, "N", or one of `CHOSEN`.  b: of the training, in 0..255 units; None for the suite's own.
    drawn: b' in units of b; None for 1.
    """

    method: str
    task: str
    sampler: str
    steps: int | str
    metric: str
    b: float | None = None
    drawn: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Where":
        """SemFlowError names what is not understood."""
        words, amplitudes = list[str](), dict[str, float]()
        for word in text.split():
            if match := re.fullmatch(r"(b'?)=(\d+(?:\.\d+)?)", word):
                amplitudes[match[1]] = float(match[2])
            else:
                words.append(word)
        if len(words) != 4:
            raise SemFlowError(f"cell {text!r} is not METHOD TASK SAMPLER METRIC, with b= and b'= after it if need be")
        method, task, sampler, metric = words
        name, _, ending = sampler.rpartition("-")
        steps: int | str = ending
        if steps not in (EVERY, *CHOSEN):
            name, steps = DIRECT if sampler == DIRECT.name else Sampler.parse(sampler)
        return cls(method, task, name, steps, metric, amplitudes.get("b"), amplitudes.get("b'"))


class Effect(NamedTuple):
    """A number with its draws (n_samples,), each by training seed; means over sampling seeds.

    n_units: what the draws resample: images, blocks of frames, or layouts.  n_seeds: sampling seeds a training.
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

    @property
    def evaluations(self) -> float:
        """Of the network, for one image."""
        return float(np.mean([run.record.evaluations for run in self.runs]))


def measured(runs: list[Run], where: Where, anchors: Anchors) -> dict[int, Effect]:
    """What was measured of a cell, by number of steps, lowest first; empty where nothing was. What is `CHOSEN` stands under 0."""
    groups: dict[int, list[Run]] = {}
    for run in _candidates(runs, where):
        if not isinstance(where.steps, int) or run.record.steps == where.steps:
            groups.setdefault(run.record.steps, []).append(run)
    found = ((steps, _measure(group, where, anchors)) for steps, group in sorted(groups.items()))
    by_steps = {steps: effect for steps, effect in found if effect is not None}
    if where.steps not in CHOSEN or not by_steps:
        return by_steps
    return {0: best(by_steps) if where.steps == "best" else by_steps[(max if where.steps == "most" else min)(by_steps)]}


def _candidates(runs: list[Run], where: Where) -> list[Run]:
    """Runs of the cell's method, task, sampler and perturbation."""
    fields = {"method": where.method, "task": where.task, "sampler": where.sampler}
    if where.method != "semflow" or (where.b is None and where.drawn is None):
        return only(own(runs), **fields)
    b = where.b
    if b is None:
        b = next((run.record.amplitude for run in own(runs) if run.record.method == "semflow"), 0.0)
    factor = 1.0 if where.drawn is None else where.drawn
    return only(runs, **fields, amplitude=b, sampling_amplitude=factor * b if where.task == "synthesis" else 0.0)


def _measure(group: list[Run], where: Where, anchors: Anchors) -> Effect | None:
    """The mean over the sampling seeds of a cell; None where a training has no such metric."""
    record, values, draws, units = group[0].record, dict[int, float](), dict[int, np.ndarray](), (0, 0)
    for training in sorted({run.record.training_seed for run in group}):
        found = [known for run in only(group, training_seed=training) if (known := _value(run, where.metric, anchors))]
        if not found:
            return None
        values[training] = float(np.mean([value for value, _, _ in found]))
        draws[training] = np.mean([drawn for _, drawn, _ in found], axis=0)
        units = found[0][2]
    name = _name(where.metric, group[0])
    kind = DERIVED[name][1:] if name in DERIVED else (KINDS[name].title, KINDS[name].unit, KINDS[name].digits)
    drawn = {None: "", 0.0: " b' = 0", 1.0: " b' = b"}.get(where.drawn, f" b' = {where.drawn}b".replace(".0b", "b"))
    perturbed = ("" if where.b is None else f" b = {where.b:g}") + drawn
    words, seeds = title(where.method, record.sampler, record.steps) + perturbed, {run.record.sampling_seed for run in group}
    return Effect(f"{words} {kind[0]}", kind[1], kind[2], values, draws, *units, len(seeds), tuple(group))


def _name(metric: str, run: Run) -> str:
    return filling(primary(run.record.n_images) if metric == "distance" else metric, run.record.metrics)


def _value(run: Run, metric: str, anchors: Anchors) -> tuple[float, np.ndarray, tuple[int, int]] | None:
    """(value, draws, (n_images, n_units)) of a metric of a record; None if it has none."""
    if metric in DERIVED:
        if run.arrays.states is None:
            return None
        per_example = DERIVED[metric][0](run, anchors)
        n = len(per_example)
        return float(per_example.mean()), bootstrap_mean(per_example, np.arange(n), DRAWS, DRAWS_SEED), (n, n)
    name = _name(metric, run)
    if name not in run.record.metrics:
        return None
    n_images = len(run.arrays.values.get(name, run.arrays.units))  # some are of a few layouts only
    n_units = min(int(run.arrays.units.max()) + 1, n_images)
    return run.record.metrics[name].value, run.arrays.draws[name], (n_images, n_units)


def label_recovery(run: Run, anchors: Anchors) -> np.ndarray:
    """Per cent of an example's pixels whose perturbed pseudo mask, encoded and decoded, lies within s/2 of their own anchor in
    every channel, which makes that the nearest; float (k,)."""
    assert run.arrays.states is not None
    start, labels = run.arrays.states[:, 0].astype(float), run.arrays.labels
    painted = anchors.s * np.stack([labels // anchors.k**2, labels // anchors.k % anchors.k, labels % anchors.k], 1)
    counted = labels != IGNORE_INDEX
    near = (np.abs(start - painted).max(1) < anchors.s / 2) & counted
    return 100 * near.sum((1, 2)) / np.maximum(counted.sum((1, 2)), 1)


def path_length_excess(run: Run, anchors: Anchors) -> np.ndarray:
    """By how many per cent the path through an example's kept states is longer than its chord, in decoded pixels; float (k,)."""
    assert run.arrays.states is not None
    states = run.arrays.states.astype(float).reshape(*run.arrays.states.shape[:2], -1)
    path = np.linalg.norm(np.diff(states, axis=1), axis=2).sum(1)
    chord = np.linalg.norm(states[:, -1] - states[:, 0], axis=1)
    return 100 * (path / np.maximum(chord, 1e-9) - 1)


# Worked out here from the states kept of a few examples: function, title, unit, digits.
DERIVED: dict[str, tuple[Callable[[Run, Anchors], np.ndarray], str, str, int]] = {
    "label_recovery": (label_recovery, "pixels nearest to their own anchor", "percent", 1),
    "path_length_excess": (path_length_excess, "path longer than its chord", "percent", 1),
}


def best(by_steps: dict[int, Effect]) -> Effect:
    """The best over the numbers of steps, in every draw anew, so that having looked for it is part of its chance."""
    effects = list(by_steps.values())
    seeds = sorted(set.intersection(*(set(effect.values) for effect in effects)))
    record = effects[0].runs[0].record
    return effects[0]._replace(
        words=effects[0].words.replace(title(record.method, record.sampler, record.steps), _family(effects[0], "best"), 1),
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


def cost(a: dict[int, Effect], b: dict[int, Effect]) -> Effect:
    """Over the evaluations that b needs to reach `REACHED` of its own best, those that a needs to reach as much."""
    first, other, top = next(iter(a.values())), next(iter(b.values())), best(b)
    values, draws = dict[int, float](), dict[int, np.ndarray]()
    for seed, (x, y) in _paired(first, other).items():
        value = _needed(a, x, "values", REACHED * np.array([top.values[y]])) / _needed(
            b, y, "values", REACHED * np.array([top.values[y]])
        )
        values[seed] = float(value[0])
        draws[seed] = _needed(a, x, "draws", REACHED * top.draws[y]) / _needed(b, y, "draws", REACHED * top.draws[y])
    words = f"{_family(first)} evaluations / {_family(other)} evaluations for {REACHED:.0%} of the latter's best"
    runs = tuple(run for side in (a, b) for effect in side.values() for run in effect.runs)
    units = min(first.n_images, other.n_images), min(first.n_units, other.n_units)
    return Effect(words, "none", 2, values, draws, *units, min(first.n_seeds, other.n_seeds), runs)


def _needed(by_steps: dict[int, Effect], seed: int, field: str, level: np.ndarray) -> np.ndarray:
    """The fewest evaluations that reach each level, (n,)."""
    effects = sorted(by_steps.values(), key=lambda effect: -effect.evaluations)
    needed = np.full(len(level), NEVER * effects[0].evaluations)
    for effect in effects:
        needed = np.where(np.atleast_1d(getattr(effect, field)[seed]) >= level, effect.evaluations, needed)
    return needed


def _family(effect: Effect, which: str = "") -> str:
    record = effect.runs[0].record
    return f"{title(record.method, record.sampler)}{f' ({which} N)' if which else ''}"


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
