"""Figures from records; each function draws one and returns it with its caption."""

from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from semflow import files
from semflow.claims.collect import Run, check_one
from semflow.report.figures.curves import determinism, evaluations, sampling_amplitudes, table2, training_amplitudes
from semflow.report.figures.pictures import (
    figure02,
    figure03,
    figure04,
    figure05,
    figure06,
    figure07,
    figure08,
    figure09,
    figure10,
    figure11,
    figure12,
)

matplotlib.use("Agg")
matplotlib.rcParams.update(
    {"font.size": 9, "svg.hashsalt": "semflow", "figure.dpi": 150, "axes.spines.top": False, "axes.spines.right": False}
)

Draw = Callable[[list[Run]], tuple[Figure, str]]


def _of_one_data_set(draw: Draw, name: str) -> Draw:
    @wraps(draw)
    def checked(runs: list[Run]) -> tuple[Figure, str]:
        number = name.removeprefix("figure")
        check_one(runs, f"figure {int(number)}" if number != name else f"the figure of {name.replace('_', ' ')}")
        return draw(runs)

    return checked


# By the names of semflow.suite.runs.FIGURES, which says from which cells each is drawn. None mixes data sets.
DRAW: dict[str, Draw] = {
    draw.__name__: _of_one_data_set(draw, draw.__name__)
    for draw in (
        *(figure02, figure03, figure04, figure05, figure06, figure07, figure08, figure09, figure10, figure11, figure12),
        *(training_amplitudes, sampling_amplitudes, evaluations, determinism),
    )
}
__all__ = ["DRAW", "Figure", "save", "table2", *DRAW]


def save(figure: Figure, path: Path) -> None:
    """Write PNG or SVG by suffix, without dates, so that the same records give the same file."""
    metadata = {".png": {"Software": None}, ".svg": {"Date": None}}[path.suffix]
    files.write_atomically(path, partial(figure.savefig, metadata=metadata))
