"""Which baselines were not trained well enough to be compared with, by what the claims' file asked of them beforehand."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from semflow.claims.collect import Run, listed, method_title, title
from semflow.claims.document import Claim, Condition, Document, Term
from semflow.claims.effects import candidates, name_in
from semflow.evaluation.metrics.catalogue import KINDS


def among(runs: list[Run], document: Document, of: Claim | None = None) -> dict[str, str]:
    """By method, a sentence on what it does not show, of those that were measured at all. of: the claim that is about them; None:
    whichever claim is."""
    about = None if of is None else {term.method for condition in of.conditions for term in condition.terms}
    found = {}
    for method, asked in document.not_starved.items():
        measured = any(run.record.method == method for run in runs)
        if measured and (about is None or method in about) and (lacking := [*_lacking(asked.conditions, runs)]):
            found[method] = f"{method_title(method)} is not trained well enough to be compared with: {listed(lacking)}."
    return found


def _lacking(conditions: Iterable[Condition], runs: list[Run]) -> Iterable[str]:
    """What does not hold, in words, as measured: means over trainings and sampling seeds, without tests."""
    for condition in conditions:
        sides = [mean(runs, term) for term in condition.terms]
        words = " over ".join(words for words, _ in sides) if condition.over else " less ".join(words for words, _ in sides)
        values = [value for _, value in sides]
        if any(value is None for value in values):
            yield f"{words} was not measured"
            continue
        a, *b = (value for value in values if value is not None)
        effect = a if not b else a - b[0] if condition.minus else a / b[0] if b[0] else np.inf
        if condition.at_least is not None and not effect >= condition.at_least:
            yield f"{words} is {effect:.3g}, at least {condition.at_least:g} is asked"
        if condition.at_most is not None and not effect <= condition.at_most:
            yield f"{words} is {effect:.3g}, at most {condition.at_most:g} is asked"


def mean(runs: list[Run], term: Term) -> tuple[str, float | None]:
    """(what a term is, its value); None where nothing was measured. Of several numbers of steps the best is taken."""
    by_steps = defaultdict[int, list[float]](list)
    name = term.metric
    for run in candidates(runs, term):
        if isinstance(term.steps, int) and run.record.steps != term.steps:
            continue
        name = name_in(term.metric, run)
        metric = run.record.metrics.get(name)
        if metric is not None and metric.value is not None:
            by_steps[run.record.steps].append(metric.value)
    steps = term.steps if isinstance(term.steps, int) else 0
    words = f"{title(term.method, term.sampler, steps)} {KINDS[name].title if name in KINDS else name}"
    return words, max((float(np.mean(values)) for values in by_steps.values()), default=None)
