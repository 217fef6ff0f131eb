"""What every method costs: weights, training, and an output by the sampler that the method is known by."""

from typing import TYPE_CHECKING, Any

import numpy as np

from baselines import METHODS
from semflow.claims.collect import Names, Run, by_dataset, listed, only, own
from semflow.method.samplers import Sampler
from semflow.report import selection
from semflow.report.products import Beside, Forms, csv, product, text
from semflow.report.selection import Evaluations
from semflow.report.tables import Entry, Grid, Row, framed, markdown_table, name_of

if TYPE_CHECKING:
    from pandas import DataFrame

TASKS = ("segmentation", "synthesis")
Columns = dict[str, tuple[str, str]]  # by name in the CSV: head for readers, and the format of a number
TRAINING: Columns = {
    "parameters_sampling": ("weights in sampling", ",d"), "parameters_training": ("weights in training", ",d"),
    "images_seen": ("images seen", ",d"), "optimizer_steps": ("optimizer steps", ",d"),
    "training_tflop": ("training TFLOP", ",.4g"), "training_wall_s": ("wall s", ",.0f"), "training_device": ("device", ""),
}  # fmt: skip
OUTPUT: Columns = {  # in the CSV after the name of the task
    "sampler": ("sampler", ""), "evaluations": ("network evaluations", "g"), "gflop": ("GFLOP", ",.3g"),
    "images_per_s": ("images/s", ".1f"),
}  # fmt: skip


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
    costs = _costs(runs)
    tasks = [task for task in TASKS if any(task in cost for cost in costs)]
    rows = [cost | {f"{task}_{name}": value for task in TASKS for name, value in cost.get(task, {}).items()} for cost in costs]
    names = ["dataset"] * Names.among(runs).several + ["method", *TRAINING]
    names += [f"{task}_{name}" for task in tasks for name in OUTPUT]
    return framed([[row.get(name) for name in names] for row in rows], names)


def grids(runs: list[Run]) -> list[Grid]:
    """The same for readers: what training took, and what an output takes."""
    costs = _costs(runs)
    outputs = [cost | cost[task] | {"task": task} for cost in costs for task in TASKS if task in cost]
    outputs = [row | {"sampler": Sampler.parse(row["sampler"]).title} for row in outputs]
    known = [
        ("Cost of training", TRAINING, costs),
        ("Cost of one output, default sampler", {"task": ("task", "")} | OUTPUT, outputs),
    ]
    several = Names.among(runs).several
    grids = []
    for caption, columns, rows in known:
        header = ["data"] * several + ["method", *(head for head, _ in columns.values())]
        groups = []
        for row in rows:
            entries = [_entry(row.get(name), form) for name, (_, form) in columns.items()]
            whose = [Entry(row["dataset"])] * several + [Entry(name_of(row["method"]), kind="head")]
            groups.append([Row([*whose, *entries])])
        grids.append(Grid(caption, header, groups))
    return grids


def _entry(value: Any, form: str) -> Entry:
    if not form:
        return Entry(value or "-")
    return Entry("-" if value is None else format(value, form), sort=value, kind="number")


def markdown(runs: list[Run]) -> str:
    """The same as Markdown, with what its speeds were measured on."""
    return "\n\n".join([*(markdown_table(grid.header, grid.texts) for grid in grids(runs)), speed_note(runs)])


def speed_note(runs: list[Run]) -> str:
    """What images a second were measured on."""
    sources = [run.record.provenance for run in runs if run.record.method in METHODS]
    where = listed(dict.fromkeys(f"{source.device} (threads: {source.threads})" for source in sources)) or "nothing"
    return f"Images a second: of one evaluation on {where}, others running beside it where the workflow ran several."


def _costs(runs: list[Run]) -> list[dict[str, Any]]:
    """Of every method on every data set: what its training took, by name, and an output, by task and name."""
    costs = []
    for dataset, of in by_dataset(own(runs)).items():
        for method in sorted({run.record.method for run in of if run.record.method in METHODS}, key=selection.place):
            chosen = selection.among(only(of, method=method), main)
            outputs = {task: _output(of_task) for task in TASKS if (of_task := only(chosen, task=task))}
            costs.append({"dataset": dataset, "method": method, **_training(chosen), **outputs})
    return costs


def _training(runs: list[Run]) -> dict[str, Any]:
    """Sizes are the same for all trainings, wall time is their mean; of weights trained elsewhere little is known."""
    by_training = {run.record.training_seed: run.record.budget for run in runs if run.record.budget is not None}
    if not by_training:
        return {}
    first, *_ = budgets = list(by_training.values())
    wall_s = [one.training_wall_s for one in budgets if one.training_wall_s is not None]
    return {
        "parameters_sampling": first.parameters_sampling, "parameters_training": first.parameters_training,
        "images_seen": first.images_seen, "optimizer_steps": first.optimizer_steps,
        "training_tflop": None if first.training_flops is None else first.training_flops / 1e12,
        "training_wall_s": float(np.mean(wall_s)) if wall_s else None,
        "training_device": listed(dict.fromkeys(one.training_device or "unknown" for one in budgets)),
    }  # fmt: skip


def _output(runs: list[Run]) -> dict[str, Any]:
    """Of runs of one task by one sampler."""
    record, flops = runs[0].record, [run.record.budget.flops_per_output for run in runs if run.record.budget is not None]
    return {
        "sampler": str(Sampler(record.sampler, record.steps)),
        "evaluations": float(np.mean([run.record.evaluations for run in runs])),
        "gflop": float(np.mean(flops)) / 1e9 if flops else None,
        "images_per_s": float(np.mean([run.record.provenance.images_per_s for run in runs])),
    }
