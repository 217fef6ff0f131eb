"""Figures from records; each function draws one and returns it with its caption."""

from functools import partial
from itertools import cycle
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from semflow import files, published
from semflow.analysis.collect import Run, by_cell, title
from semflow.data.sample import IGNORE_INDEX
from semflow.errors import SemFlowError

matplotlib.use("Agg")
matplotlib.rcParams.update(
    {"font.size": 9, "svg.hashsalt": "semflow", "figure.dpi": 150, "axes.spines.top": False, "axes.spines.right": False}
)
COLOURS = {("semflow", "euler"): "#0072b2", ("dsm", "ddpm"): "#d55e00", ("dsm", "ddim"): "#009e73"}  # Okabe and Ito's
SPARE_COLOURS = ("#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")  # for methods that the paper does not have


def table2(frame: pd.DataFrame, runs: list[Run]) -> tuple[Figure, str]:
    """mIoU over steps: measured with 95 % intervals on the left, published on the right, one scale."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    measured, paper = figure.subplots(1, 2, sharey=True, sharex=True)
    known = published.table(2)
    miou = frame[(frame.metric == "miou") & (frame.steps > 0)]
    spare = cycle(SPARE_COLOURS)
    colours = COLOURS | {key: next(spare) for key, _ in miou.groupby(["method", "sampler"]) if key not in COLOURS}
    for row in known["rows"]:
        key = row["method"], row["sampler"]
        paper.plot(list(row["values"]), list(row["values"].values()), "o-", color=colours[key], ms=3.5, label=title(*key))
    for key, rows in miou.groupby(["method", "sampler"], sort=False):
        ours = rows.sort_values("steps")
        errors = np.maximum([ours.value - ours.low, ours.high - ours.value], 0)
        measured.errorbar(ours.steps, ours.value, errors, fmt="o-", color=colours[key], ms=3.5, capsize=2, label=title(*key))
    record = runs[0].record
    measured.set_title(f"measured: {record.dataset}, {' x '.join(map(str, record.protocol.evaluation_size))}")
    paper.set_title(f"published: {known['dataset']}, {known['size']}")
    for axes in (measured, paper):
        axes.set(xscale="log", xlabel="steps N")
        axes.set_xticks([1, 2, 5, 10, 25, 50, 100, 200], ["1", "2", "5", "10", "25", "50", "100", "200"])
        axes.minorticks_off()
        axes.grid(alpha=0.25)
    measured.set(ylabel="mIoU (%)", ylim=(0, None))
    (measured if colours.keys() > COLOURS.keys() else paper).legend(frameon=False)
    caption = (
        f"Table 2 as curves. Left: suite {record.suite}, {record.n_images} {record.split} images; bars: "
        f"{record.protocol.interval}. Right: the paper's numbers, on other data and at another scale; compare shapes and "
        "orderings, not values."
    )
    return figure, caption


def figure02(runs: list[Run], n_rows: int = 6) -> tuple[Figure, str]:
    """Image, ground truth, SemFlow, and DSM under each of its seeds, on the same pictures (the paper's Figure 2)."""
    first_training = min(run.record.training_seed for run in runs)
    cells = by_cell([run for run in runs if run.record.training_seed == first_training])
    several = {cell: group for cell, group in cells.items() if len(group) > 1}
    if not several:
        raise SemFlowError("figure 2 needs a method under several sampling seeds; evaluate one")
    first = next(iter(several.values()))[0]
    palette = np.full((IGNORE_INDEX + 1, 3), 255, np.uint8)  # ignored pixels are white, as in the paper
    palette[: len(first.record.palette)] = first.record.palette
    columns = [("image", first.arrays.images.transpose(0, 2, 3, 1)), ("ground truth", palette[first.arrays.labels])]
    alike: dict[bool, list[str]] = {True: [], False: []}
    for (method, sampler, steps), group in sorted(several.items(), key=lambda item: item[0][0] != "semflow"):
        same = len({run.record.predictions_sha256 for run in group}) == 1
        heading = f"{title(method, sampler)}-{steps}"
        alike[same].append(heading)
        for run in group[:1] if same else group:
            seed = "every seed" if same else f"seed {run.record.sampling_seed}"
            columns.append((f"{heading}\n{seed}".replace(" ", "\n", 1), palette[run.arrays.predictions]))
    n_rows = min(n_rows, len(first.arrays.images))
    h, w = first.arrays.labels.shape[1:]
    figure = Figure(figsize=(1.1 * len(columns), 1.1 * n_rows * h / w + 0.5), layout="constrained")
    grid = figure.subplots(n_rows, len(columns), squeeze=False)
    for column, (heading, pictures) in enumerate(columns):
        grid[0, column].set_title(heading, fontsize=8)
        for row in range(n_rows):
            grid[row, column].imshow(pictures[row], interpolation="nearest")
            grid[row, column].set_axis_off()
    record = first.record
    caption = (
        f"Segmentation on {record.dataset} (suite {record.suite}; the paper's Figure 2 shows COCO-Stuff). The same to the bit "
        f"under every sampling seed: {', '.join(alike[True]) or 'none'}; look for what changes from seed to seed in "
        f"{', '.join(alike[False]) or 'none'}. Classes in the data set's colours, ignored pixels white."
    )
    return figure, caption


def save(figure: Figure, path: Path) -> None:
    """Write PNG or SVG by suffix, without dates, so that the same records give the same file."""
    metadata = {".png": {"Software": None}, ".svg": {"Date": None}}[path.suffix]
    files.write_atomically(path, partial(figure.savefig, metadata=metadata))
