"""Label maps as pictures: the one place where labels become a data set's colours. Imports no torch."""

from collections.abc import Sequence

import numpy as np

from semflow.data.sample import IGNORE_INDEX

Palette = Sequence[tuple[int, int, int]]
WHITE, BLACK = 255, 0  # of ignored pixels


def to_rgb(labels: np.ndarray, palette: Palette, ignored: int = WHITE) -> np.ndarray:
    """Labels uint8 (..., H, W) to uint8 (..., H, W, 3). palette: RGB by label. ignored: grey of every label without a colour."""
    table = np.full((IGNORE_INDEX + 1, 3), ignored, np.uint8)
    table[: len(palette)] = palette
    return table[labels]
