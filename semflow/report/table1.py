"""Table 1: both tasks, measured beside published, as a long data frame and as text."""

import math
from typing import Any

import numpy as np
import pandas as pd

from semflow import published
from semflow.claims.collect import (
    ENOUGH_FOR_FRECHET,
    Run,
    by_cell,
    check_one_each,
    comparable,
    estimate,
    listed,
    only,
    primary,
    seed_sd,
    title,
    with_interval,
)
from semflow.evaluation.metrics.catalogue import KINDS, filling
from semflow.report import CONSISTENCY
from semflow.report.tables import COLUMNS, CONTROLS, help_for_dsm, latex_table, markdown_table, measured_on

PAPER = {"miou": "miou", "mmd2": None, "frechet": "fid", "perceptual": "lpips"}  # our role: the paper's column, if it has one
OF_TASK = {"segmentation": ("miou",), "synthesis": ("fid", "lpips")}  # the paper's columns
OURS = ("diversity", "round_trip_miou", "straightness")
COST = ("evaluations", "segmentation_images_per_s", "synthesis_images_per_s", "n_parameters")


def table1(runs: list[Run]) -> pd.DataFrame:
    """Long form, one row a (method, sampler, steps, metric), in the columns of Table 2.

    A value is the mean over the cell's seeds; [low, high] is its 95 % interval. The paper's numbers stand in rows of their
    own metric, so that FID never stands beside a stand-in's distance; a row that is published only has no value.
    The two tasks may be on two data sets, as the paper's are; SemFlowError where one of them is.
    """
    check_one_each(runs, "Table 1")
    known = published.table1()
    rows: list[list[Any]] = []
    for cell, group in by_cell(runs).items():
        values = {}
        for task in ("segmentation", "synthesis"):
            if of_task := only(group, task=task):
                measured = {metric: estimate(of_task, metric) for metric in of_task[0].record.metrics}
                images_per_s = float(np.mean([run.record.provenance.images_per_s for run in of_task]))
                n_images, n_seeds = of_task[0].record.n_images, len(of_task)
                for metric, (value, low, high, _) in measured.items():
                    paper = known.get(cell, {}).get(metric, math.nan)
                    rows.append([*cell, metric, value, low, high, paper, n_images, n_seeds])
                    if task == "synthesis" and (spread := seed_sd(of_task, metric)) is not None:
                        rows.append([*cell, f"{metric}_seed_sd", spread, math.nan, math.nan, math.nan, n_images, n_seeds])
                if of_task[0].record.n_parameters:
                    values[f"{task}_images_per_s"] = images_per_s
                    values["evaluations"] = float(np.mean([run.record.evaluations for run in of_task]))
                    n = of_task[0].record.n_parameters
                    same = values.get("n_parameters", n) == n  # each data set may have its own network
                    values["n_parameters"] = n if same else math.nan
        rows += [[*cell, name, value, math.nan, math.nan, math.nan, 0, 0] for name, value in values.items()]
    measured_already = {tuple(row[:4]) for row in rows}
    for cell, numbers in known.items():
        for metric, value in numbers.items():
            if (*cell, metric) not in measured_already:
                rows.append([*cell, metric, math.nan, math.nan, math.nan, value, 0, 0])
    order = {cell: place for place, cell in enumerate(known)}
    rows.sort(key=lambda row: (order.get((row[0], row[1], row[2]), len(order)), row[0] in CONTROLS, row[0], row[1], row[2]))
    return pd.DataFrame(rows, columns=COLUMNS)


def wide(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows in the paper's arrangement, our other measures after it; every measured number with its interval.

    A distance between sets has its floor in the head: what other real images get.
    """
    metrics = dict.fromkeys(frame[frame.value.notna()].metric)
    roles = {role: filling(role, metrics) for role in (*PAPER, *OURS)}
    real = frame[frame.method == "real_images"].set_index("metric").value.to_dict()
    header = ["method", "sampler"]
    for role, metric in roles.items():
        if metric in metrics:
            kind = KINDS[metric]
            floor = (
                f"; other real images {real[metric]:.{kind.digits}f}" if metric in real and role in ("frechet", "mmd2") else ""
            )
            header.append(f"{kind.title}{floor}")
        else:
            header.append(role)
        if paper := PAPER.get(role):
            header.append(f"{KINDS[paper].title}, published")
    rows = []
    for (method, sampler, steps), group in frame.groupby(["method", "sampler", "steps"], sort=False):
        by_metric = {row.metric: row for row in group.itertuples()}
        how = title("", sampler, steps)
        cells = []
        for role, metric in roles.items():
            cells.append(_measured(by_metric.get(metric)))
            if paper := PAPER.get(role):
                cells.append(_published(by_metric.get(paper)))
        rows.append([CONTROLS.get(method, title(method, "direct")), how, *cells])
    return header, rows


def cost(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of what each measured row costs."""
    rows = []
    for (method, sampler, steps), group in frame.groupby(["method", "sampler", "steps"], sort=False):
        values = group.set_index("metric").value.to_dict()
        if "n_parameters" in values:
            speeds = [f"{values[name]:.1f}" if name in values else "-" for name in COST[1:3]]
            rows.append(
                [
                    title(method, "direct"),
                    title("", sampler, steps),
                    f"{values['evaluations']:g}",
                    *speeds,
                    "-" if math.isnan(values["n_parameters"]) else f"{values['n_parameters']:,.0f}",
                ]
            )
    return ["method", "sampler", "network evaluations", "segmented images/s", "synthesised images/s", "parameters"], rows


def notes(runs: list[Run]) -> list[str]:
    """What to know about the numbers. SemFlowError where a task is on several data sets."""
    check_one_each(runs, "Table 1")
    paper = published.table(1)
    sets = paper["datasets"]
    drawn = only(runs, task="synthesis", method="semflow")
    lines = [
        f"{measured_on(runs)}; published on {sets['segmentation']} (mIoU) and {sets['synthesis']} (FID, LPIPS), {paper['size']}, "
        f"with the {paper['network']}. {_incomparable(runs)}Rows without a value of ours are published only."
    ]
    lines += [helped] if (helped := help_for_dsm(runs)) else []
    if drawn:
        protocol, n = drawn[0].record.protocol, drawn[0].record.n_images
        lines += ["; ".join(f"{KINDS[name].title}: {words}" for name, words in protocol.mean_over.items()) + "."]
        lines += ["Networks: " + "; ".join(f"{role}: {network}" for role, network in protocol.networks.items()) + "."]
        if primary(n) == "mmd2":
            kernel, frechet = (KINDS[filling(role, drawn[0].record.metrics)].title for role in ("mmd2", "frechet"))
            lines.append(
                f"With {n} images, fewer than {ENOUGH_FOR_FRECHET:,}, {kernel} is the one to read: {frechet} is biased upwards."
            )
        lines.append(CONSISTENCY)
        seeds = sorted({run.record.sampling_seed for run in drawn})
        outputs = {(run.record.training_seed, run.record.outputs_sha256) for run in drawn}
        alike = "the same bits" if len(outputs) == len({run.record.training_seed for run in drawn}) else "different pictures"
        lead = filling(primary(n), drawn[0].record.metrics)
        spread = seed_sd(drawn, lead)
        between = "" if spread is None else f", {KINDS[lead].title} standard deviation {spread:.{KINDS[lead].digits}f}"
        lines.append(f"SemFlow's synthesis under sampling seeds {', '.join(map(str, seeds))}: {alike}{between}.")
    lines.append("Intervals: " + "; ".join(dict.fromkeys(run.record.protocol.interval for run in runs)) + ".")
    sources = [run.record.provenance for run in runs if run.record.n_parameters is not None]
    where = listed(dict.fromkeys(f"{source.device} (threads: {source.threads})" for source in sources))
    lines.append(f"Images a second: of one evaluation on {where}, others running beside it where the workflow ran several.")
    return lines


def comparable_metrics(runs: list[Run]) -> list[str]:
    """The paper's metrics whose values can be held against ours: those of the tasks on its own data set and scale."""
    sets = published.table(1)["datasets"]
    return [name for task, names in OF_TASK.items() if comparable(only(runs, task=task), sets[task]) for name in names]


def _incomparable(runs: list[Run]) -> str:
    """A sentence on which values are not comparable, if any."""
    measured = [name for task, names in OF_TASK.items() if only(runs, task=task) for name in names]
    known = comparable_metrics(runs)
    others = [KINDS[name].title for name in measured if name not in known]
    if not others:
        return ""
    return f"Values {f'of {listed(others)} ' if known else ''}are not comparable. "


def markdown(frame: pd.DataFrame, runs: list[Run]) -> str:
    """The table, its notes, and what the rows cost."""
    parts = [f"# Table 1, suite {runs[0].record.suite}", markdown_table(*wide(frame)), *notes(runs), markdown_table(*cost(frame))]
    return "\n\n".join(parts) + "\n"


def latex(frame: pd.DataFrame, runs: list[Run]) -> str:
    """A tabular for booktabs, with the notes as a caption."""
    return latex_table(*wide(frame), " ".join(notes(runs)))


def _measured(row) -> str:
    """41.2 [38.0, 44.1]"""
    if row is None or math.isnan(row.value):
        return "-"
    return with_interval(row.value, row.low, row.high, KINDS[row.metric].digits)


def _published(row) -> str:
    return "-" if row is None or math.isnan(row.published) else f"{row.published:.{KINDS[row.metric].digits}f}"
