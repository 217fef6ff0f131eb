"""Every evaluation of every task: all that was measured, one row a metric."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from semflow.claims.collect import Names, Run, by_dataset, estimate, only
from semflow.claims.document import perturbed
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.method.samplers import Sampler
from semflow.report import selection
from semflow.report.products import Beside, Forms, csv, product
from semflow.report.tables import Entry, Grid, Row, framed, name_of, words_of

if TYPE_CHECKING:
    from pandas import DataFrame

KEY = ("method", "variant", "task", "sampler", "steps", "amplitude", "sampling_amplitude")


class Ablation(NamedTuple):
    """A metric of an evaluation: the mean over its seeds and its 95 % interval.

    variant: of the training, "" for none.  amplitudes: in 0..255 units.
    """

    dataset: str
    method: str
    variant: str
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
    shown = slice(0 if Names.among(runs).several else 1, -1)
    return framed([row[shown] for row in _rows(runs)], Ablation._fields[shown])


def ablations_grid(runs: list[Run]) -> Grid:
    """The same for readers; a row's key is its metric."""
    names = Names.among(runs)
    header = ["data"] * names.several
    header += [
        "method",
        "variant",
        "task",
        "sampler",
        "steps",
        "b",
        "b'",
        "network evaluations",
        "metric",
        "value",
        "images",
        "records",
    ]
    groups = []
    for row in _rows(runs):
        amplitudes = (row.amplitude, row.sampling_amplitude) if perturbed(row.method) else ()
        entries = [
            *[Entry(row.dataset)] * names.several,
            Entry(name_of(row.method), kind="head"),
            *map(Entry, (row.variant or "-", words_of(row.task), Sampler(row.sampler).title or "-")),
            *map(Entry.of, (str(row.steps or "-"), *([f"{b:g}" for b in amplitudes] or "--"), f"{row.evaluations:g}")),
            Entry(KINDS[row.metric].title),
            Entry.measured(row, tuple(names.identity(run.record) for run in row.runs)),
            *map(Entry.of, (str(row.n_images), str(row.n_seeds))),
        ]
        groups.append([Row(entries, KINDS[row.metric].title)])
    return Grid("Every evaluation, with 95 % intervals", header, groups, name="ablations")


def _rows(runs: list[Run]) -> list[Ablation]:
    groups: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    places = {name: place for place, name in enumerate(by_dataset(runs))}
    for run in only(runs):
        groups[places[run.record.dataset], *(getattr(run.record, name) for name in KEY)].append(run)
    rows = []
    for (_, *key), group in sorted(groups.items()):
        evaluations = sum(run.record.evaluations for run in group) / len(group)
        for metric in group[0].record.metrics:
            value, low, high, n_seeds = estimate(group, metric)
            rest = evaluations, metric, value, low, high, group[0].record.n_images, n_seeds, group
            rows.append(Ablation._make((group[0].record.dataset, *key, *rest)))
    return rows
