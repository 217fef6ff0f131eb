"""Label maps as pictures: the one place where labels become a data set's colours. Imports no torch."""

from collections.abc import Sequence

import numpy as np

from semflow.data.sample import IGNORE_INDEX

Palette = Sequence[tuple[int, int, int]]
CITYSCAPES = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70),
    (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip


def voc_palette() -> np.ndarray:
    """PASCAL VOC's colours by number, int (256, 3): bit 3 j + c of a number is bit 7 - j of its channel c."""
    numbers, channels, j = np.arange(256)[:, None, None], np.arange(3)[:, None], np.arange(3)
    return ((numbers >> (3 * j + channels) & 1) << (7 - j)).sum(-1)


def to_rgb(labels: np.ndarray, palette: Palette) -> np.ndarray:
    """Labels uint8 (..., H, W) to uint8 (..., H, W, 3), white where a label has no colour. palette: RGB by label."""
    table = np.full((IGNORE_INDEX + 1, 3), 255, np.uint8)
    table[: len(palette)] = palette
    return table[labels]
