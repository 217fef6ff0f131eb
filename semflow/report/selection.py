"""Which of a suite's evaluations a table or a figure is made from, and the same of records. No method is named here."""

from collections.abc import Callable, Hashable

from baselines import METHODS
from semflow import published
from semflow.claims.collect import Run
from semflow.evaluation.records import Record
from semflow.method.samplers import Sampler
from semflow.suite import Suite
from semflow.suite.measurements import Task, draws
from semflow.suite.runs import CONTROL_TITLES, Evaluation, amplitude_of, main_sampler

Evaluations = list[Evaluation]


def everything(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """All that a suite measures."""
    return evaluations


def only(evaluations: Evaluations, **wanted: object) -> Evaluations:
    """Those that have these values."""
    return [one for one in evaluations if all(getattr(one, name) == value for name, value in wanted.items())]


def own(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Those of no variant, at the perturbation that a suite trains with, and sampled as trained; controls have none."""
    known = only(as_trained(evaluations), variant="")
    return [one for one in known if one.method not in METHODS or one.amplitude == amplitude_of(suite, one.method)]


def of_table(rows_of: Callable[[Evaluations], Evaluations]) -> Callable[[Evaluations, Suite], Evaluations]:
    """The rows of a table of the suite's own models; none where no method of the suite has one."""

    def needs(evaluations: Evaluations, suite: Suite) -> Evaluations:
        chosen = rows_of(own(evaluations, suite))
        return chosen if any(one.method in METHODS for one in chosen) else []

    return needs


def as_trained(evaluations: Evaluations) -> Evaluations:
    """Those whose masks are perturbed in sampling as they were in training."""
    return [one for one in evaluations if not draws(one.task) or one.sampling_amplitude == one.amplitude]


def ours(evaluations: Evaluations, task: Task, **wanted: object) -> Evaluations:
    """Those of the paper's own method and of no variant, by the sampler that the task is known by."""
    subject = published.subject()
    if task not in METHODS[subject].tasks:
        return []
    return once(only(evaluations, method=subject, task=task, sampler=main_sampler(subject, task), variant="", **wanted))


def by_any_sampler(evaluations: Evaluations, suite: Suite, task: str) -> Evaluations:
    """Those of the paper's own method at the suite's own perturbation, by whichever sampler."""
    return once(only(own(evaluations, suite), method=published.subject(), task=task))


def controls(evaluations: Evaluations, task: str) -> Evaluations:
    """What a perfect and a blind method reach in a task."""
    return [one for one in only(evaluations, task=task) if one.method not in METHODS]


def varied(evaluations: Evaluations, of: Callable[[Evaluation], Hashable]) -> Evaluations:
    """All of them where they differ in something, else none: a comparison takes two."""
    return evaluations if len({of(one) for one in evaluations}) > 1 else []


def together(*groups: Evaluations) -> Evaluations:
    """All of them, or none where a group is empty: what shows both needs both."""
    return [one for group in groups for one in group] if all(groups) else []


def once(evaluations: Evaluations) -> Evaluations:
    """Without what is the same under every sampling seed: there the lowest of a training stands for all."""
    lowest: dict[Evaluation, int] = {}
    for one in evaluations:
        place = one._replace(sampling_seed=0)
        lowest[place] = min(one.sampling_seed, lowest.get(place, one.sampling_seed))
    return [one for one in evaluations if _seeded(one) or one.sampling_seed == lowest[one._replace(sampling_seed=0)]]


def _seeded(one: Evaluation) -> bool:
    return one.method in METHODS and one.task in METHODS[one.method].seeded


def first_training(evaluations: Evaluations) -> Evaluations:
    """Those of the lowest training seed: pictures are of one training."""
    return only(evaluations, training_seed=min((one.training_seed for one in evaluations), default=0))


def most_steps(evaluations: Evaluations) -> Evaluations:
    """Of every sampler of a method those at the most steps."""
    most: dict[tuple[str, str], int] = {}
    for one in evaluations:
        key = one.method, one.sampler.name
        most[key] = max(one.sampler.steps, most.get(key, 0))
    return [one for one in evaluations if one.sampler.steps == most[one.method, one.sampler.name]]


def newer(evaluations: Evaluations) -> dict[str, set[Sampler]]:
    """Methods that no table of the paper has, each with the samplers that it is known by."""
    papers = {row["method"] for number in (1, 2) for row in published.table(number)["rows"]}
    methods = {one.method for one in evaluations if one.method in METHODS} - papers
    return {name: {Sampler.parse(text) for text in METHODS[name].default.values()} for name in methods}


def of_record(record: Record) -> Evaluation:
    """What a record is of."""
    return Evaluation(
        record.method, record.task, Sampler(record.sampler, record.steps), record.amplitude, record.sampling_amplitude,
        record.training_seed, record.sampling_seed, record.variant,
    )  # fmt: skip


def among(runs: list[Run], choose: Callable[[Evaluations], Evaluations]) -> list[Run]:
    """The runs of the evaluations that a table chooses."""
    chosen = set(choose([of_record(run.record) for run in runs]))
    return [run for run in runs if of_record(run.record) in chosen]


def place(method: str, sampler: str = "", steps: int = 0) -> tuple:
    """Where a method, or one of its samplers, stands among others, as a sort key: as the registry and the cards have them."""
    methods = [*METHODS, *CONTROL_TITLES]
    samplers = [name for names in METHODS[method].tasks.values() for name in names] if method in METHODS else []
    return *_index(methods, method), *_index(samplers, sampler), steps


def _index(known: list[str], name: str) -> tuple[int, str]:
    return (known.index(name), name) if name in known else (len(known), name)
