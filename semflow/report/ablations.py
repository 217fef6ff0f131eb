"""Every evaluation of every task: all that was measured, one row a metric."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from semflow.claims.collect import Names, Run, by_dataset, estimate, only
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.method.samplers import Sampler
from semflow.report import selection
from semflow.report.products import Beside, Forms, csv, product
from semflow.report.tables import Column, Entry, Grid, framed, names_of, shown, words_of
from semflow.report.tables import name_of as method_of

if TYPE_CHECKING:
    from pandas import DataFrame

KEY = ("method", "task", "sampler", "steps", "amplitude", "sampling_amplitude")


class Ablation(NamedTuple):
    """A metric of an evaluation: the mean over its seeds and its 95 % interval. amplitudes in 0..255 units."""

    dataset: str
    method: str
    task: str
    sampler: str
    steps: int
    amplitude: float
    sampling_amplitude: float
    evaluations: float
    metric: str
    value: float
    low: float
    high: float
    n_images: int
    n_seeds: int
    runs: list[Run]


@product("ablations", selection.everything)
def forms(runs: list[Run], beside: Beside) -> Forms:
    """Ablations: every evaluation by steps, solver, perturbation and task, and seed agreement."""
    return {".csv": csv(lambda: ablations(runs))}


def ablations(runs: list[Run]) -> "DataFrame":
    """One `Ablation` a row. Where runs are of several data sets, `dataset` stands before all other columns."""
    names = names_of(_columns(Names.among(runs)))
    return framed([[getattr(row, name) for name in names] for row in _rows(runs)], names)


def ablations_grid(runs: list[Run]) -> Grid:
    """The same for readers; a row's key is its metric."""
    return shown(
        _columns(Names.among(runs)),
        "Every evaluation, with 95 % intervals",
        _rows(runs),
        key=lambda row: KINDS[row.metric].title,
    )._replace(name="ablations")


def _rows(runs: list[Run]) -> list[Ablation]:
    return [row for name, of in by_dataset(runs).items() for row in _of_one(name, of)]


def _of_one(dataset: str, runs: list[Run]) -> list[Ablation]:
    groups: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in only(runs):
        groups[tuple(getattr(run.record, name) for name in KEY)].append(run)
    rows = []
    for key, group in sorted(groups.items()):
        evaluations = sum(run.record.evaluations for run in group) / len(group)
        for metric in group[0].record.metrics:
            value, low, high, n_seeds = estimate(group, metric)
            rest = evaluations, metric, value, low, high, group[0].record.n_images, n_seeds, group
            rows.append(Ablation._make((dataset, *key, *rest)))
    return rows


def _columns(names: Names) -> list[Column]:
    def perturbation(name: str, head: str) -> Column:
        return Column(name, head, lambda row: Entry.of(f"{getattr(row, name):g}" if selection.perturbed(row.method) else "-"))

    def records(row: Ablation) -> tuple[str, ...]:
        return tuple(names.identity(run.record) for run in row.runs)

    return [
        *([Column("dataset", "data", lambda row: Entry(row.dataset))] if names.several else []),
        Column("method", "method", lambda row: Entry(method_of(row.method), kind="head")),
        Column("task", "task", lambda row: Entry(words_of(row.task))),
        Column("sampler", "sampler", lambda row: Entry(Sampler(row.sampler).title or "-")),
        Column("steps", "steps", lambda row: Entry.of(str(row.steps or "-"))),
        perturbation("amplitude", "b"),
        perturbation("sampling_amplitude", "b'"),
        Column("evaluations", "network evaluations", lambda row: Entry.of(f"{row.evaluations:g}")),
        Column("metric", "metric", lambda row: Entry(KINDS[row.metric].title)),
        Column("value", "value", lambda row: Entry.measured(row, records(row))),
        Column("low", ""),
        Column("high", ""),
        Column("n_images", "images", lambda row: Entry.of(str(row.n_images))),
        Column("n_seeds", "records", lambda row: Entry.of(str(row.n_seeds))),
    ]
