"""Table 2: measured beside published, as a long data frame and as text."""

import math
from pathlib import Path

import pandas as pd

from semflow import published
from semflow.claims import collect
from semflow.claims.collect import Run, by_cell, by_dataset, check_one, comparable, estimate, listed, only, seed_sd, title
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.scores import SCORES
from semflow.evaluation.records import Record
from semflow.report import WITH_INTERVALS

CONTROLS = {
    "oracle": "oracle (ground truth, encoded and decoded)",
    "shuffled_labels": "shuffled labels (another image's ground truth)",
    "real_images": "real images (training set, other layouts)",
}
COLUMNS = ["method", "sampler", "steps", "metric", "value", "low", "high", "published", "n_images", "n_seeds"]


def table2(runs: list[Run]) -> pd.DataFrame:
    """Long form, one row a (method, sampler, steps, metric), values in percent.

    A value is the mean over the cell's seeds; [low, high] is the 95 % bootstrap interval of that mean.
    `miou_seed_sd` is the standard deviation of the mIoU between sampling seeds, where a cell has several.
    """
    check_one(runs, "Table 2")
    numbers = published.table2()
    rows = []
    segmented = only(runs, task="segmentation")
    if not segmented:
        raise SemFlowError("table 2 needs records of segmentation, and was given none; evaluate a method")
    for cell, group in by_cell(segmented).items():
        for metric in SCORES:
            value, low, high, n_seeds = estimate(group, metric)
            known = numbers.get(cell, math.nan) if metric == "miou" else math.nan
            rows.append([*cell, metric, value, low, high, known, group[0].record.n_images, n_seeds])
        spread = seed_sd(group, "miou")
        if spread is not None:
            rows.append([*cell, "miou_seed_sd", spread, math.nan, math.nan, math.nan, group[0].record.n_images, len(group)])
    order = {(row["method"], row["sampler"]): place for place, row in enumerate(published.table(2)["rows"])}
    rows.sort(key=lambda row: (order.get((row[0], row[1]), len(order)), row[0], row[2]))
    return pd.DataFrame(rows, columns=COLUMNS)


def read_csv(path: Path) -> pd.DataFrame:
    """A table that `semflow report` wrote as CSV; SemFlowError if it is missing or of another form."""
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise SemFlowError(f"{path} is not a readable table ({error}); make it with `semflow report`") from None
    if list(frame.columns) != COLUMNS:
        raise SemFlowError(f"{path} has other columns than {', '.join(COLUMNS)}; make it again with `semflow report`")
    return frame


def determinism(runs: list[Run]) -> dict[tuple[str, str, int], bool]:
    """For every cell with several sampling seeds: does each training predict the same label maps, to the bit, under all?"""
    same = {}
    for cell, group in by_cell(runs).items():
        if len({run.record.sampling_seed for run in group}) > 1:
            trainings = {run.record.training_seed for run in group}
            digests = {(run.record.training_seed, run.record.outputs_sha256) for run in group}
            same[cell] = len(digests) == len(trainings)
    return same


def stand_in(runs: list[Run]) -> str:
    """A few sentences on how far the measured numbers are from the paper's setting. SemFlowError for several data sets."""
    check_one(runs, "Table 2")
    paper = published.table(2)
    sentence = f"{measured_on(runs)}; published on {paper['dataset']}, {paper['size']}, with the {paper['network']}."
    if not comparable(runs, paper["dataset"]):
        sentence += " The two are shown side by side to compare orderings and shapes; their values are not comparable."
    return " ".join([sentence, help_for_dsm(runs)]).strip()


def measured_on(runs: list[Run]) -> str:
    """Data, size and network of records; what was done on which data set, where there are several."""
    sizes = sorted({run.record.n_parameters for run in runs if run.record.n_parameters is not None})
    network = f"a network of {listed(f'{size:,}' for size in sizes)} parameters" if sizes else "no network"
    sets = by_dataset(runs)
    tasks = {name: dict.fromkeys(run.record.task for run in of) if len(sets) > 1 else () for name, of in sets.items()}
    data = [f"{name} ({', '.join([*tasks[name], _images(of[0].record)])})" for name, of in sets.items()]
    return f"Measured on {listed(data)} with {network}"


def _images(record: Record) -> str:
    h, w = record.protocol.evaluation_size
    return f"{record.split} split, {record.n_images:,} images, {h} x {w}, {len(record.classes)} classes"


def help_for_dsm(runs: list[Run]) -> str:
    """One sentence on what DSM has here that the paper's has not, if anything."""
    for settings in (run.record.settings for run in runs if run.record.method == "dsm"):
        scale, preconditioned = settings.get("mask_scale", 1), settings.get("preconditioning", False)
        if scale != 1 or preconditioned:
            how = f"masks scaled by {scale:g}, network {'preconditioned' if preconditioned else 'as it is'}"
            return f"DSM is helped here, as the paper's is not: {how}."
    return ""


def wide(frame: pd.DataFrame, cell) -> tuple[list[str], list[list[str]]]:
    """Header and rows of Table 2 in the paper's arrangement; `cell(row)` writes one measured number."""
    miou = frame[(frame.metric == "miou") & ~frame.method.isin(CONTROLS)]
    steps = sorted(miou.steps.unique())
    rows = []
    for (method, sampler), group in miou.groupby(["method", "sampler"], sort=False):
        by_steps = {row.steps: row for row in group.itertuples()}
        rows.append([title(method, sampler), "measured", *(cell(by_steps[n]) if n in by_steps else "-" for n in steps)])
        known = [by_steps[n].published if n in by_steps else math.nan for n in steps]
        rows.append(["", "published", *("-" if math.isnan(value) else f"{value:.1f}" for value in known)])
    for control in frame[(frame.metric == "miou") & frame.method.isin(CONTROLS)].itertuples():
        rows.append([CONTROLS[control.method], "measured", *[cell(control)] * len(steps)])
    return ["mIoU at N steps", "", *map(str, steps)], rows


def seeds(frame: pd.DataFrame, runs: list[Run]) -> str:
    """One sentence on what a sampling seed changes."""
    same = determinism(runs)
    parts = []
    for row in frame[frame.metric == "miou_seed_sd"].itertuples():
        how = "identical to the bit" if same[row.method, row.sampler, row.steps] else f"mIoU standard deviation {row.value:.2f}"
        parts.append(f"{title(row.method, row.sampler, row.steps)} under {row.n_seeds} seeds: {how}")
    return "Sampling seeds: " + "; ".join(parts) + "."


def plain(row) -> str:
    """41.2"""
    return f"{row.value:.1f}"


def with_interval(row) -> str:
    """41.2 [38.0, 44.1]"""
    return collect.with_interval(row.value, row.low, row.high, 1)


def markdown(frame: pd.DataFrame, runs: list[Run]) -> str:
    """The table twice, plain and with intervals, and what to know about it."""
    parts = [f"# Table 2, suite {runs[0].record.suite}", markdown_table(*wide(frame, plain)), stand_in(runs), seeds(frame, runs)]
    parts += [f"{WITH_INTERVALS} ({runs[0].record.protocol.interval}):", markdown_table(*wide(frame, with_interval))]
    return "\n\n".join(parts) + "\n"


def latex(frame: pd.DataFrame, runs: list[Run]) -> str:
    """A tabular for booktabs, with the same notes as a caption."""
    return latex_table(*wide(frame, plain), f"{stand_in(runs)} {seeds(frame, runs)}")


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def latex_table(header: list[str], rows: list[list[str]], caption: str) -> str:
    """A table for booktabs, its first two columns text."""
    columns = "ll" + "r" * (len(header) - 2)
    body = [" & ".join(map(_tex, row)) + r" \\" for row in [header, *rows]]
    lines = [
        r"\begin{table}",
        rf"\caption{{{_tex(caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        body[0],
        r"\midrule",
    ]
    return "\n".join([*lines, *body[1:], r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _tex(text: str) -> str:
    """Text with what TeX reads as its own escaped."""
    return "".join(f"\\{letter}" if letter in "%&_#$" else letter for letter in text)
