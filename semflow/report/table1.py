"""Table 1: both tasks, measured beside published."""

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from baselines import METHODS
from semflow import published
from semflow.claims import starved
from semflow.claims.collect import (
    Names,
    Run,
    by_row,
    check_one_each,
    comparable,
    listed,
    modified,
    only,
    primary,
    seed_sd,
    title,
)
from semflow.claims.document import load
from semflow.evaluation.metrics.catalogue import ENOUGH_FOR_FRECHET, KINDS, filling
from semflow.report import budget, selection
from semflow.report.products import Beside, Forms, csv, product, text
from semflow.report.selection import Evaluations
from semflow.report.tables import (
    Entry,
    Grid,
    Row,
    Value,
    behind,
    framed,
    intervals,
    latex_table,
    markdown_table,
    measured_on,
    name_of,
    same_for_every_seed,
)
from semflow.suite import Suite

if TYPE_CHECKING:
    from pandas import DataFrame

PAPER = {"miou": "miou", "mmd2": None, "frechet": "fid", "perceptual": "lpips"}  # our role: the paper's column, if it has one
OF_TASK = {"segmentation": ("miou",), "synthesis": ("fid", "lpips")}  # the paper's columns
TASKS = (*OF_TASK, "consistency")
OURS = ("precision", "recall", "diversity", "consistency_miou", "round_trip_miou", "straightness")
IF_MEASURED = ("consistency_miou",)  # the second judge's reading is in the CSV
ROUND_TRIP = (
    "Round-trip mIoU runs the same ODE back, which returns to its start for any smooth velocity, trained or not: alone it says "
    "nothing of quality."
)


def rows_of(evaluations: Evaluations) -> Evaluations:
    """Of a suite's own models those of the paper's rows, at the paper's steps or else at the most that there are; methods that
    the paper's tables do not have, by their main samplers; and the controls."""
    chosen = [one for task in TASKS for one in selection.controls(evaluations, task)]
    rows, newer = published.table(1)["rows"], selection.newer(evaluations)
    for task in TASKS:
        of_task = selection.only(evaluations, task=task)
        for row in rows:
            known = [one for one in of_task if (one.method, one.sampler.name) == (row["method"], row["sampler"])]
            chosen += [one for one in known if one.sampler.steps == row["steps"]] or selection.most_steps(known)
        chosen += [one for one in of_task if one.sampler in newer.get(one.method, ())]
    return selection.once(chosen)


def _asked(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """What is asked of baselines before they are compared with, of those that the suite has."""
    methods = {one.method for one in evaluations}
    terms = {
        term[:3] for name, of in load().not_starved.items() if name in methods for one in of.conditions for term in one.terms
    }
    own = selection.once(selection.own(evaluations, suite))
    return [one for one in own if (one.method, one.task, one.sampler.name) in terms]


def needs(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """The rows of the suite's own models, and what tells whether its baselines can be compared with."""
    rows = selection.of_table(rows_of)(evaluations, suite)
    return list(dict.fromkeys([*rows, *_asked(evaluations, suite)])) if rows else []


@product("table1", needs)
def forms(runs: list[Run], beside: Beside) -> Forms:
    """Table 1: both tasks, measured beside published."""
    runs, starving = selection.among(runs, rows_of), starved.among(runs, load())
    known = grid(runs, starving=starving)
    return {
        ".csv": csv(lambda: table1(runs)),
        ".md": text(lambda: markdown(known, runs, starving)),
        ".tex": text(lambda: latex_table(known.header, known.texts, " ".join(notes(runs, starving)))),
    }


def table1(runs: list[Run]) -> "DataFrame":
    """Long form, one `Value` a row.

    The paper's numbers stand in rows of their own metric, so that FID never stands beside a proxy's distance; a row that is
    published only has no value. The two tasks may be on two data sets, as the paper's are; SemFlowError where one of them is.
    """
    check_one_each(runs, "Table 1")
    known = published.table1()
    rows: list[Value] = []
    for key, group in by_row(runs).items():
        for task in TASKS:
            of_task = only(group, task=task)
            for metric in of_task[0].record.metrics if of_task else ():
                rows.append(Value.of(of_task, metric, known.get(key, {}).get(metric, math.nan)))
                rows += Value.spread(of_task, metric) if task == "synthesis" else []
    measured = {row[:4] for row in rows}
    rows += [
        Value(*key, metric, published=value)
        for key, numbers in known.items()
        for metric, value in numbers.items()
        if (*key, metric) not in measured
    ]
    order = {key[:2]: place for place, key in enumerate(known)}
    rows.sort(key=lambda row: (order.get(row[:2], len(order)), row[:3] not in known, selection.place(*row[:3])))
    return framed(rows, Value._fields)


def grid(
    runs: list[Run],
    names: Names | None = None,
    differences: Collection[str] | None = None,
    starving: Collection[str] = (),
) -> Grid:
    """In the paper's arrangement, our other measures after it. A distance between sets has in its head what real images get.

    starving: methods that are marked as such.  names: of records.  differences: the paper's metrics of which to give them; by
    default those that are comparable.
    """
    names = Names.among(runs) if names is None else names
    differences = comparable_metrics(runs) if differences is None else differences
    frame = table1(runs)
    metrics = dict.fromkeys(frame[frame.value.notna()].metric)
    roles = {role: filling(role, metrics) for role in (*PAPER, *OURS) if role not in IF_MEASURED or role in metrics}
    real = frame[frame.method == "real_images"].set_index("metric").value.to_dict()
    header = ["method", "sampler"]
    for role, metric in roles.items():
        header.append(_head(role, metric, real) if metric in metrics else role)
        if paper := PAPER.get(role):
            header.append(f"{KINDS[paper].title}, published")
            header += [f"{KINDS[paper].title}, difference"] if paper in differences else []
    groups = []
    for key, rows in frame.groupby(["method", "sampler", "steps"], sort=False):
        by_metric = {row.metric: row for row in rows.itertuples()}
        entries = [Entry(name_of(key[0]) + " †" * (key[0] in starving), kind="head"), Entry(title("", *key[1:]))]
        for role, metric in roles.items():
            entries.append(Entry.measured(by_metric.get(metric), behind(runs, key, metric, names)))
            if paper := PAPER.get(role):
                entries.append(Entry.published(by_metric.get(paper)))
                entries += [Entry.difference(by_metric.get(paper))] if paper in differences else []
        groups.append([Row(entries)])
    tasks = dict.fromkeys(f"{run.record.task}{names.on(run.record)}" for run in runs)
    return Grid(f"Table 1: both tasks, measured and published{f'; {listed(tasks)}' if names.several else ''}", header, groups)


def _head(role: str, metric: str, real: dict[str, float]) -> str:
    kind = KINDS[metric]
    least = f"; other real images {real[metric]:.{kind.digits}f}" if metric in real and role in ("frechet", "mmd2") else ""
    return f"{kind.title}{least}"


def notes(runs: list[Run], starving: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """What to know about the numbers. SemFlowError where a task is on several data sets. starving: by method, why."""
    check_one_each(runs, "Table 1")
    sets = published.table(1)["datasets"]
    data = f"{sets['segmentation']} (mIoU) and {sets['synthesis']} (FID, LPIPS)"
    drawn = [run for run in only(runs, task="synthesis") if run.record.method in METHODS]
    lines = [
        f"{measured_on(runs)}; published {published.setting(1, data)}. {_incomparable(runs)}"
        "Rows without a value of ours are published only.",
        *filter(None, [modified(runs)]),
        *(f"† {sentence}" for sentence in starving.values()),
    ]
    if drawn:
        protocol, n, metrics = drawn[0].record.protocol, drawn[0].record.n_images, drawn[0].record.metrics
        lines += ["; ".join(f"{KINDS[name].title}: {words}" for name, words in protocol.mean_over.items()) + "."]
        read = [run.record.protocol.networks for run in only(runs, task="consistency")[:1]]
        networks = {role: network for some in (protocol.networks, *read) for role, network in some.items()}
        lines += ["Networks: " + "; ".join(f"{role}: {network}" for role, network in networks.items()) + "."]
        if primary(n) == "mmd2":
            kernel, frechet = (KINDS[filling(role, metrics)].title for role in ("mmd2", "frechet"))
            lines.append(
                f"With {n} images, fewer than {ENOUGH_FOR_FRECHET:,}, {kernel} is the one to read: {frechet} is biased upwards."
            )
        lines += [ROUND_TRIP] if "round_trip_miou" in metrics else []
        lines += [_seeds(group) for group in by_row(drawn).values()]
    return [*lines, intervals(runs)]


def _seeds(drawn: list[Run]) -> str:
    """What a sampling seed changes of one method's pictures."""
    record = drawn[0].record
    seeds = sorted({run.record.sampling_seed for run in drawn})
    alike = "the same bits" if same_for_every_seed(drawn) else "different pictures"
    lead = filling(primary(record.n_images), record.metrics)
    spread = seed_sd(drawn, lead)
    between = "" if spread is None else f", {KINDS[lead].title} standard deviation {spread:.{KINDS[lead].digits}f}"
    how = title(record.method, record.sampler, record.steps)
    return f"Synthesis by {how} under sampling seeds {', '.join(map(str, seeds))}: {alike}{between}."


def comparable_metrics(runs: list[Run]) -> list[str]:
    """The paper's metrics whose values can be compared with ours: those of the tasks on its own data set and scale."""
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


def markdown(known: Grid, runs: list[Run], starving: Mapping[str, str] = MappingProxyType({})) -> str:
    """The table, its notes, and what its methods cost."""
    parts = [f"# Table 1, suite {runs[0].record.suite}", markdown_table(known.header, known.texts), *notes(runs, starving)]
    return "\n\n".join([*parts, budget.markdown(runs)]) + "\n"
