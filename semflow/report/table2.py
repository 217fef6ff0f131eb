"""Table 2: mIoU by number of steps, measured beside published."""

import math
from typing import TYPE_CHECKING

from semflow import published
from semflow.claims.collect import (
    Names,
    Run,
    by_row,
    check_one,
    comparable,
    modified,
    only,
    seed_sd,
    title,
)
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.scores import SCORES
from semflow.report import selection
from semflow.report.products import Beside, Forms, csv, product, text
from semflow.report.selection import Evaluations
from semflow.report.tables import (
    CONTROLS,
    WITH_INTERVALS,
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
    same_for_every_seed,
)

if TYPE_CHECKING:
    from pandas import DataFrame


def rows_of(evaluations: Evaluations) -> Evaluations:
    """Segmentation by a suite's own models: by the samplers of the paper's rows at all numbers of steps; by the same samplers,
    and by their main ones, methods that the paper's tables do not have; and the controls."""
    segmented = selection.only(evaluations, task="segmentation")
    rows = {(row["method"], row["sampler"]) for row in published.table(2)["rows"]}
    papers = {sampler for _, sampler in rows}
    for name, samplers in selection.newer(segmented).items():
        rows |= {(name, sampler) for sampler in papers | {known.name for known in samplers if known.steps}}
    chosen = [one for one in segmented if (one.method, one.sampler.name) in rows]
    return [*chosen, *selection.controls(evaluations, "segmentation")]


needs = selection.of_table(rows_of)


@product("table2", needs)
def forms(runs: list[Run], beside: Beside) -> Forms:
    """Table 2: mIoU by number of steps, measured beside published."""
    known = grid(runs)
    return {
        ".csv": csv(lambda: table2(runs)),
        ".md": text(lambda: markdown(known, runs)),
        ".tex": text(lambda: latex_table(known.header, known.values, " ".join(notes(runs)[:-1]))),
    }


def table2(runs: list[Run]) -> "DataFrame":
    """Long form, one `Value` a row, in percent.

    `miou_seed_sd` is the standard deviation of the mIoU between sampling seeds, where there are several.
    """
    check_one(runs, "Table 2")
    numbers = published.table2()
    rows: list[Value] = []
    segmented = only(runs, task="segmentation")
    if not segmented:
        raise SemFlowError("table 2 needs records of segmentation, and was given none; evaluate a method")
    for key, group in by_row(segmented).items():
        rows += [Value.of(group, metric, numbers.get(key, math.nan) if metric == "miou" else math.nan) for metric in SCORES]
        rows += Value.spread(group, "miou")
    order = {(row["method"], row["sampler"]): place for place, row in enumerate(published.table(2)["rows"])}
    rows.sort(key=lambda row: (order.get(row[:2], len(order)), row.method in CONTROLS, selection.place(*row[:3])))
    return framed(rows, Value._fields)


def grid(runs: list[Run], names: Names | None = None, differences: bool | None = None) -> Grid:
    """In the paper's arrangement: measured over published, and differences where they can be given."""
    names = Names.among(runs) if names is None else names
    differences = comparable(runs, published.table(2)["dataset"]) if differences is None else differences
    frame = table2(runs)
    miou = frame[frame.metric == "miou"]
    methods = miou[~miou.method.isin(CONTROLS)]
    steps = sorted({int(n) for n in methods.steps}) or [0]
    groups = []
    for key, rows in methods.groupby(["method", "sampler"], sort=False):
        at = {row.steps: row for row in rows.itertuples()}
        lines = {
            "measured": [Entry.measured(at.get(n), behind(runs, (*key, n), "miou", names)) for n in steps],
            "published": [Entry.published(at.get(n)) for n in steps],
        }
        lines |= {"difference": [Entry.difference(at.get(n)) for n in steps]} if differences else {}
        heads = [Entry(title(*key), kind="head"), *[Entry("", kind="head")] * (len(lines) - 1)]
        groups.append([Row([head, Entry(what), *entries]) for head, (what, entries) in zip(heads, lines.items(), strict=True)])
    for row in miou[miou.method.isin(CONTROLS)].itertuples():
        entry = Entry.measured(row, behind(runs, (row.method, row.sampler, 0), "miou", names))
        groups.append([Row([Entry(CONTROLS[row.method], kind="head"), Entry("measured"), *[entry] * len(steps)])])
    header = ["method", "", *(f"{n} step{'s' * (n != 1)}" for n in steps)]
    return Grid(f"Table 2: mIoU in percent by number of steps{names.on(runs[0].record)}", header, groups, grouped=True)


def notes(runs: list[Run]) -> list[str]:
    """How far the numbers are from the paper's setting, what a sampling seed changes, and what the intervals are.

    SemFlowError for several data sets.
    """
    check_one(runs, "Table 2")
    dataset, segmented = published.table(2)["dataset"], only(runs, task="segmentation")
    setting = f"{measured_on(runs)}; published {published.setting(2, dataset)}."
    if not comparable(runs, dataset):
        setting += " The two are shown side by side to compare orderings and shapes; their values are not comparable."
    return [*filter(None, [setting, modified(runs), _seeds(segmented)]), intervals(segmented)]


def _seeds(runs: list[Run]) -> str:
    """One sentence on what a sampling seed changes."""
    parts = []
    for key, group in by_row(runs).items():
        if (spread := seed_sd(group, "miou")) is not None:
            how = "identical to the bit" if same_for_every_seed(group) else f"mIoU standard deviation {spread:.2f}"
            seeds = len({run.record.sampling_seed for run in group})
            parts.append(f"{title(*key)} under {seeds} seeds: {how}")
    return f"Sampling seeds: {'; '.join(parts)}." if parts else ""


def markdown(known: Grid, runs: list[Run]) -> str:
    """The table twice, plain and with intervals, and what to know about it."""
    *before, intervals = notes(runs)
    parts = [f"# Table 2, suite {runs[0].record.suite}", markdown_table(known.header, known.values), *before]
    parts += [f"{WITH_INTERVALS}. {intervals}", markdown_table(known.header, known.texts)]
    return "\n\n".join(parts) + "\n"
