"""What every method costs: weights, training, and an output by the sampler that the method is known by."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from baselines import METHODS
from semflow.claims.collect import Run, by_dataset, listed, only, own
from semflow.method.samplers import Sampler
from semflow.report import selection
from semflow.report.products import Beside, Forms, csv, product, text
from semflow.report.selection import Evaluations
from semflow.report.tables import Column, Entry, Grid, framed, markdown_table, name_of, names_of, shown

if TYPE_CHECKING:
    from pandas import DataFrame

TASKS = ("segmentation", "synthesis")


class Cost(NamedTuple):
    """Of a method on a data set: what its training took, and an output of each task."""

    dataset: str
    method: str
    training: dict[str, Any]
    outputs: dict[str, dict[str, Any]]


class Output(NamedTuple):
    """A row of what an output takes."""

    dataset: str
    method: str
    task: str
    values: dict[str, Any]


def main(evaluations: Evaluations) -> Evaluations:
    """Of every method and task those by the sampler that it is known by, or else by that at the most steps."""
    chosen = []
    for method in dict.fromkeys(one.method for one in evaluations if one.method in METHODS):
        for task, default in METHODS[method].default.items():
            known, sampler = selection.only(evaluations, method=method, task=task), Sampler.parse(default)
            named = [one for one in known if one.sampler.name == sampler.name]
            chosen += selection.only(named, sampler=sampler) or selection.most_steps(named)
    return selection.once(chosen)


@product("budget", lambda evaluations, suite: main(selection.own(evaluations, suite)))
def forms(runs: list[Run], beside: Beside) -> Forms:
    """Budget: what every method costs, in training and an output."""
    return {".csv": csv(lambda: budget(runs)), ".md": text(lambda: markdown(runs) + "\n")}


def budget(runs: list[Run]) -> "DataFrame":
    """One row a method; where records are of several data sets, one a method and data set."""
    costs, outputs = _costs(runs), names_of(OUTPUT)
    tasks = [task for task in TASKS if any(task in cost.outputs for cost in costs)]
    names = [*names_of(_whose(runs)), *names_of(TRAINING), *(f"{task}_{name}" for task in tasks for name in outputs)]
    rows = [
        [
            *(getattr(cost, name) for name in names_of(_whose(runs))),
            *(cost.training.get(name) for name in names_of(TRAINING)),
            *(cost.outputs.get(task, {}).get(name) for task in tasks for name in outputs),
        ]
        for cost in costs
    ]
    return framed(rows, names)


def grids(runs: list[Run]) -> list[Grid]:
    """The same for readers: what training took, and what an output takes."""
    costs = _costs(runs)
    outputs = [Output(cost.dataset, cost.method, task, values) for cost in costs for task, values in cost.outputs.items()]
    return [
        shown([*_whose(runs), *TRAINING], "What training a method takes", costs),
        shown([*_whose(runs), *OUTPUT], "What an output takes, by the sampler that a method is known by", outputs),
    ]


def markdown(runs: list[Run]) -> str:
    """The same as Markdown, with what its speeds were measured on."""
    return "\n\n".join([*(markdown_table(grid.header, grid.texts) for grid in grids(runs)), speed_note(runs)])


def speed_note(runs: list[Run]) -> str:
    """What images a second were measured on."""
    sources = [run.record.provenance for run in runs if run.record.method in METHODS]
    where = listed(dict.fromkeys(f"{source.device} (threads: {source.threads})" for source in sources)) or "nothing"
    return f"Images a second: of one evaluation on {where}, others running beside it where the workflow ran several."


def _costs(runs: list[Run]) -> list[Cost]:
    costs = []
    for dataset, of in by_dataset(own(runs)).items():
        for method in sorted({run.record.method for run in of if run.record.method in METHODS}, key=selection.place):
            chosen = selection.among(only(of, method=method), main)
            outputs = {task: _output(only(chosen, task=task)) for task in TASKS if only(chosen, task=task)}
            costs.append(Cost(dataset, method, _training(chosen), outputs))
    return costs


def _training(runs: list[Run]) -> dict[str, Any]:
    """Sizes are the same for all trainings, wall time is their mean; of weights trained elsewhere little is known."""
    by_training = {run.record.training_seed: run.record.budget for run in runs if run.record.budget is not None}
    if not by_training:
        return {}
    first, *_ = budgets = list(by_training.values())
    wall_s = [one.training_wall_s for one in budgets if one.training_wall_s is not None]
    known = {
        "parameters_sampling": first.parameters_sampling, "parameters_training": first.parameters_training,
        "images_seen": first.images_seen, "optimizer_steps": first.optimizer_steps,
        "training_tflop": None if first.training_flops is None else first.training_flops / 1e12,
        "training_wall_s": float(np.mean(wall_s)) if wall_s else None,
        "training_device": listed(dict.fromkeys(one.training_device or "unknown" for one in budgets)),
    }  # fmt: skip
    return {name: value for name, value in known.items() if value is not None}


def _output(runs: list[Run]) -> dict[str, Any]:
    """Of runs of one task by one sampler."""
    record, flops = runs[0].record, [run.record.budget.flops_per_output for run in runs if run.record.budget is not None]
    return {
        "sampler": str(Sampler(record.sampler, record.steps)),
        "evaluations": float(np.mean([run.record.evaluations for run in runs])),
        "gflop": float(np.mean(flops)) / 1e9 if flops else None,
        "images_per_s": float(np.mean([run.record.provenance.images_per_s for run in runs])),
    }


def _whose(runs: list[Run]) -> list[Column]:
    """The data set is named where there are several."""
    dataset = [Column("dataset", "data", lambda row: Entry(row.dataset))] if len(by_dataset(runs)) > 1 else []
    return [*dataset, Column("method", "method", lambda row: Entry(name_of(row.method), kind="head"))]


def _number(name: str, head: str, form: str, values: Callable[[Any], dict[str, Any]]) -> Column:
    def show(row: Any) -> Entry:
        value = values(row).get(name)
        return Entry("-" if value is None else format(value, form), sort=value, kind="number")

    return Column(name, head, show)


def _trained(cost: Cost) -> dict[str, Any]:
    return cost.training


def _put_out(row: Output) -> dict[str, Any]:
    return row.values


TRAINING = (
    _number("parameters_sampling", "weights in sampling", ",d", _trained),
    _number("parameters_training", "weights in training", ",d", _trained),
    _number("images_seen", "images seen", ",d", _trained),
    _number("optimizer_steps", "optimizer steps", ",d", _trained),
    _number("training_tflop", "training TFLOP", ",.4g", _trained),
    _number("training_wall_s", "wall s", ",.0f", _trained),
    Column("training_device", "device", lambda cost: Entry(cost.training.get("training_device", "-"))),
)
OUTPUT = (
    Column("", "task", lambda row: Entry(row.task)),
    Column("sampler", "sampler", lambda row: Entry(Sampler.parse(row.values["sampler"]).title or "-")),
    _number("evaluations", "network evaluations", "g", _put_out),
    _number("gflop", "GFLOP", ",.3g", _put_out),
    _number("images_per_s", "images/s", ".1f", _put_out),
)
