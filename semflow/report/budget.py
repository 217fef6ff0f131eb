"""What every method costs: weights, training, and an output by the sampler that the method is known by."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from baselines import METHODS
from semflow.claims.collect import Run, by_dataset, listed, only, own
from semflow.method.samplers import Sampler
from semflow.report import selection
from semflow.report.products import Beside, Forms, csv, product, text
from semflow.report.selection import Evaluations
from semflow.report.tables import Column, Entry, Grid, markdown_table, name_of, names_of, shown

TASKS = ("segmentation", "synthesis")


class Cost(NamedTuple):
    """Of a method on a data set. known: its records' budget, and by task what an output takes."""

    dataset: str
    method: str
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
    known = budget_grid(runs)
    return {
        ".csv": csv(lambda: budget(runs)),
        ".md": text(lambda: f"{markdown_table(known.header, known.texts)}\n\n{speed_note(runs)}\n"),
    }


def budget(runs: list[Run]) -> pd.DataFrame:
    """One row a method; where records are of several data sets, one a method and data set."""
    columns = _columns(runs)
    return pd.DataFrame([[_value(cost, name) for name in names_of(columns)] for cost in _costs(runs)], columns=names_of(columns))


def budget_grid(runs: list[Run]) -> Grid:
    """The same for readers."""
    return shown(_columns(runs), "What every method costs", _costs(runs))


def markdown(runs: list[Run]) -> str:
    """The same as Markdown, with what its speeds were measured on."""
    known = budget_grid(runs)
    return f"{markdown_table(known.header, known.texts)}\n\n{speed_note(runs)}"


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
            costs.append(Cost(dataset, method, _training(chosen) | _outputs(chosen)))
    return costs


def _training(runs: list[Run]) -> dict[str, Any]:
    """Sizes are the same for all trainings, wall time is their mean."""
    by_training = {run.record.training_seed: run.record.budget for run in runs if run.record.budget is not None}
    if not by_training:
        return {}
    first, *_ = budgets = list(by_training.values())
    return {
        "parameters_sampling": first.parameters_sampling, "parameters_training": first.parameters_training,
        "images_seen": first.images_seen, "optimizer_steps": first.optimizer_steps,
        "training_tflop": first.training_flops / 1e12,
        "training_wall_s": float(np.mean([known.training_wall_s for known in budgets])),
        "training_device": listed(dict.fromkeys(known.training_device for known in budgets)),
    }  # fmt: skip


def _outputs(runs: list[Run]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for task in TASKS:
        if of_task := only(runs, task=task):
            record = of_task[0].record
            values[f"{task}_sampler"] = str(Sampler(record.sampler, record.steps))
            values[f"{task}_evaluations"] = _mean(run.record.evaluations for run in of_task)
            values[f"{task}_images_per_s"] = _mean(run.record.provenance.images_per_s for run in of_task)
            if record.budget is not None:
                values[f"{task}_gflop"] = _mean(run.record.budget.flops_per_output for run in of_task if run.record.budget) / 1e9
    return values


def _mean(numbers: Iterable[float]) -> float:
    return float(np.mean(list(numbers)))


def _value(cost: Cost, name: str) -> Any:
    return {"dataset": cost.dataset, "method": cost.method}.get(name, cost.values.get(name))


def _columns(runs: list[Run]) -> list[Column]:
    """Data sets and tasks are there where records are of them."""
    several = len(by_dataset(runs)) > 1
    known = [task for task in TASKS if only(runs, task=task)]
    outputs = [column for task in known for column in _of_outputs(task, f"{task}: " if len(known) > 1 else "")]
    return [*([Column("dataset", "data", lambda cost: Entry(cost.dataset))] if several else []), *COLUMNS, *outputs]


def _number(name: str, head: str, form: str) -> Column:
    def show(cost: Cost) -> Entry:
        value = cost.values.get(name)
        return Entry("-" if value is None else format(value, form), sort=value, kind="number")

    return Column(name, head, show)


def _word(name: str, head: str) -> Column:
    return Column(name, head, lambda cost: Entry(cost.values.get(name, "-")))


COLUMNS = (
    Column("method", "method", lambda cost: Entry(name_of(cost.method), kind="head")),
    _number("parameters_sampling", "weights in sampling", ",d"),
    _number("parameters_training", "weights in training", ",d"),
    _number("images_seen", "images seen", ",d"),
    _number("optimizer_steps", "optimizer steps", ",d"),
    _number("training_tflop", "training TFLOP", ",.4g"),
    _number("training_wall_s", "training wall s", ",.0f"),
    _word("training_device", "device"),
)


def _of_outputs(task: str, prefix: str) -> tuple[Column, ...]:
    return (
        Column(f"{task}_sampler", f"{prefix}sampler", lambda cost: Entry(_sampler(cost.values.get(f"{task}_sampler")))),
        _number(f"{task}_evaluations", f"{prefix}network evaluations an output", "g"),
        _number(f"{task}_gflop", f"{prefix}GFLOP an output", ",.3g"),
        _number(f"{task}_images_per_s", f"{prefix}images/s", ".1f"),
    )


def _sampler(text: str | None) -> str:
    return "-" if text is None else Sampler.parse(text).title or "direct"
