"""Every number of the paper's tables as a claim."""

from typing import Any, NamedTuple

from semflow import published
from semflow.claims.collect import Run, title
from semflow.claims.contrasts import Where, measured
from semflow.claims.datasets import Names, in_table
from semflow.claims.document import Document, Points
from semflow.claims.judging import JUDGED, Reasoned, by_p_value, not_run, short_of
from semflow.claims.parts import Tested
from semflow.claims.scale import comparable
from semflow.claims.statistics import Region
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.report.tables import help_for_dsm

TASK_OF = {"miou": "segmentation", "fid": "synthesis", "lpips": "synthesis"}  # of the paper's metrics
PAPERS_DSM = "A DSM as the paper has it: mask_scale 1, no preconditioning, a pretrained network."


class Point(NamedTuple):
    """One number of a table."""

    table: Points
    method: str
    sampler: str
    steps: int
    metric: str
    value: float
    dataset: str

    @property
    def task(self) -> str:
        return TASK_OF[self.metric]


def numbers(table: Points) -> list[Point]:
    """Every number of a table, in its order."""
    if table.table == 2:
        dataset = published.table(2)["dataset"]
        return [Point(table, *cell, "miou", value, dataset) for cell, value in published.table2().items()]
    sets = published.table(1)["datasets"]
    return [
        Point(table, *cell, metric, value, sets[TASK_OF[metric]])
        for cell, values in published.table1().items()
        for metric, value in values.items()
    ]


def judge_point(point: Point, sets: dict[str, list[Run]], document: Document) -> dict[str, Any]:
    """A number as a claim: the same within its margin, where the two can be held against each other at all.

    sets: runs by data set.
    """
    kind = KINDS[point.metric]
    data, parts = _measured(point, sets, document)
    verdict, why, needs = _reasoned(point, parts, sets[data] if data else [], document)
    judged, method = verdict in JUDGED, title(point.method, point.sampler, point.steps)
    name = f"{point.method}-{point.sampler}-{point.steps}" if point.steps else point.method
    names = Names(len(sets) > 1)
    return {
        "id": f"table{point.table.table}-{name}-{point.metric}", "place": point.table.place,
        "words": f"{method}: {kind.title} {point.value:.{kind.digits}f}.", "kind": "point", "tier": point.table.tier,
        "verdict": verdict, "scale": "paper" if judged else None, **names.data(data), "why": why, "needs": needs,
        "reason": point.table.reason, "p": parts[0].p if judged and parts[0].known else None, "p_holm": None,
        "parts": [part.as_json(1, names) for part in parts],
    }  # fmt: skip


def _measured(point: Point, sets: dict[str, list[Run]], document: Document) -> tuple[str | None, list[Tested]]:
    """What was measured in place of a number, and on which data set: on that of the table, where the suite has it, else on the
    first that has the cell."""
    margin = point.table.margins[point.metric]
    role = {"fid": "frechet", "lpips": "perceptual"}.get(point.metric, point.metric)
    where = Where(point.method, point.task, point.sampler, point.steps, role)
    for name in [name for name in sets if in_table(name, point.dataset)] or sets:
        if effects := measured(sets[name], where, document.anchors).values():
            return name, [Tested.of(effect, Region(point.value - margin, point.value + margin)) for effect in effects]
    return None, []


def _reasoned(point: Point, parts: list[Tested], runs: list[Run], document: Document) -> Reasoned:
    """The verdict on a number, its reason, and what it needs. runs: on the data set that it was measured on."""
    kind, paper = KINDS[point.metric], published.table(point.table.table)
    if not parts:
        return not_run([f"{title(point.method, point.sampler, point.steps)} {point.task}"])
    record, effect = parts[0].effect.runs[0].record, parts[0].effect
    if not comparable(runs, point.dataset, document.scale):
        size = "no network" if record.n_parameters is None else f"a network of {record.n_parameters:,} parameters"
        wanted = f"{kind.title} on {point.dataset}, {paper['size']}, with the {paper['network']}."
        return "not comparable", f"Measured on {record.dataset} with {size}: {effect.words}.", wanted
    if point.metric not in record.metrics:
        return "not comparable", f"Measured as {effect.words}.", f"{kind.title}, through its own network."
    if point.method == "dsm" and (helped := help_for_dsm(runs)):
        return "not comparable", helped, PAPERS_DSM
    return short_of(point.table.least, parts, []) or by_p_value(parts, parts[0].p, 1)
