"""Pictures in rows and columns."""

from collections.abc import Iterable, Mapping
from math import ceil
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semflow.report.figures.canvas import empty

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_ROWS = 6  # at most, the same examples in every figure
DPI = 150  # at least; more where a picture's pixels would not all be shown
SIDE, GAP, MARGIN, NUMBER, LINE = 1.1, 0.04, 0.06, 0.16, 0.14  # in inches: a picture's width, ..., a line of a head
SIZE, SWATCH, LETTER = 7.5, 0.09, 0.068  # of all words, in points; of the legend, in inches


class Column(NamedTuple):
    """head: the words above.  pictures: uint8 (k, H, W, 3), one an example.  classes: of label maps, colours by name."""

    head: str
    pictures: np.ndarray
    classes: Mapping[str, tuple[int, ...]] = MappingProxyType({})


def draw(*blocks: list[Column], n_rows: int = N_ROWS) -> "Figure":
    """Blocks of columns, one below the other: heads on top, and the number of the example before each of `n_rows` rows.

    Pictures are whole and all of one size, which only a figure laid out in inches can promise, and none of their pixels is lost.
    """
    from matplotlib.patches import Rectangle

    h, w = blocks[0][0].pictures.shape[1:3]
    n_rows, side = min(n_rows, *(len(column.pictures) for block in blocks for column in block)), SIDE * h / w
    heads = [LINE * max(1 + column.head.count("\n") for column in block) + MARGIN for block in blocks]
    body = n_rows * side + (n_rows - 1) * GAP
    width = NUMBER + max(map(len, blocks)) * (SIDE + GAP) - GAP + MARGIN
    classes = {name: colour for block in blocks for column in block for name, colour in column.classes.items()}
    legend = _lines(classes, width)
    height = sum(heads) + len(blocks) * (body + MARGIN) + len(legend) * LINE + MARGIN * bool(legend)
    figure, bottom = empty(figsize=(width, height), dpi=max(DPI, ceil(w / SIDE))), height
    for block, head in zip(blocks, heads, strict=True):
        top, bottom = bottom - head, bottom - head - body
        right = NUMBER + len(block) * (SIDE + GAP) - GAP
        grid = figure.add_gridspec(
            n_rows, len(block), left=NUMBER / width, right=right / width, bottom=bottom / height, top=top / height,
            wspace=GAP / SIDE, hspace=GAP / side,
        ).subplots(squeeze=False)  # fmt: skip
        bottom -= MARGIN
        for number, row in enumerate(grid):
            row[0].text(-0.05, 0.5, str(number + 1), transform=row[0].transAxes, ha="right", va="center", fontsize=SIZE)
            for axes, column in zip(row, block, strict=True):
                axes.imshow(column.pictures[number], interpolation="nearest")
                axes.set_axis_off()
        for axes, column in zip(grid[0], block, strict=True):
            axes.set_title(column.head, fontsize=SIZE, pad=3)
    for line in legend:
        bottom -= LINE
        for name, x in line.items():
            box = Rectangle((x, bottom), SWATCH, SWATCH, figure=figure, facecolor=[part / 255 for part in classes[name]])
            box.set(edgecolor="0.5", linewidth=0.4, transform=figure.dpi_scale_trans)
            figure.add_artist(box)
            figure.text(
                x + SWATCH + 0.04, bottom + SWATCH / 2, name, fontsize=SIZE, va="center", transform=figure.dpi_scale_trans
            )
    return figure


def _lines(names: Iterable[str], width: float) -> list[dict[str, float]]:
    """The legend's lines: where each name begins, in inches from the left."""
    lines, x = list[dict[str, float]](), width
    for name in names:
        wide = SWATCH + 0.12 + LETTER * len(name)
        if x + wide > width or not lines:
            lines.append({})
            x = NUMBER
        lines[-1][name] = x
        x += wide
    return lines
