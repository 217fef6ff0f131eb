"""Every number of the paper's tables as a claim."""

from typing import Any, NamedTuple

from semflow import published
from semflow.analysis.collect import Run, title
from semflow.analysis.contrasts import Where, measured
from semflow.analysis.judging import JUDGED, Reasoned, by_p_value, not_run, short_of
from semflow.analysis.parts import Tested
from semflow.analysis.scale import same_data, scale
from semflow.analysis.statistics import Region
from semflow.metrics.catalogue import KINDS
from semflow.published.claims import Document, Points

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


def judge_point(point: Point, runs: list[Run], document: Document, helped: str) -> dict[str, Any]:
    """A number as a claim: the same within its margin, where the two can be held against each other at all."""
    margin, kind = point.table.margins[point.metric], KINDS[point.metric]
    role = {"fid": "frechet", "lpips": "perceptual"}.get(point.metric, point.metric)
    where = Where(point.method, point.task, point.sampler, point.steps, role)
    effects = measured(runs, where, document.anchors).values()
    parts = [Tested.of(effect, Region(point.value - margin, point.value + margin)) for effect in effects]
    verdict, why, needs = _reasoned(point, parts, runs, document, helped)
    judged, method = verdict in JUDGED, title(point.method, point.sampler, point.steps)
    name = f"{point.method}-{point.sampler}-{point.steps}" if point.steps else point.method
    return {
        "id": f"table{point.table.table}-{name}-{point.metric}", "place": point.table.place,
        "words": f"{method}: {kind.title} {point.value:.{kind.digits}f}.", "kind": "point", "tier": point.table.tier,
        "verdict": verdict, "scale": "paper" if judged else None, "why": why, "needs": needs, "reason": point.table.reason,
        "p": parts[0].p if judged and parts[0].known else None, "p_holm": None, "parts": [part.as_json(1) for part in parts],
    }  # fmt: skip


def _reasoned(point: Point, parts: list[Tested], runs: list[Run], document: Document, helped: str) -> Reasoned:
    """The verdict on a number, its reason, and what it needs."""
    kind, paper = KINDS[point.metric], published.table(point.table.table)
    if not parts:
        return not_run([f"{title(point.method, point.sampler, point.steps)} {point.task}"])
    record, effect = parts[0].effect.runs[0].record, parts[0].effect
    if not same_data(record.dataset, point.dataset.removesuffix("-164k")) or scale(runs, document.scale) != "paper":
        size = "no network" if record.n_parameters is None else f"a network of {record.n_parameters:,} parameters"
        wanted = f"{kind.title} on {point.dataset}, {paper['size']}, with the {paper['network']}."
        return "not comparable", f"Measured on {record.dataset} with {size}: {effect.words}.", wanted
    if point.metric not in record.metrics:
        return "not comparable", f"Measured as {effect.words}.", f"{kind.title}, through its own network."
    if point.method == "dsm" and helped:
        return "not comparable", helped, PAPERS_DSM
    return short_of(point.table.least, parts, []) or by_p_value(parts, parts[0].p, 1)
