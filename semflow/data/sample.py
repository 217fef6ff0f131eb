"""What every data set yields."""

from typing import NamedTuple, Protocol

import numpy as np

IGNORE_INDEX = 255
Colour = tuple[int, int, int]  # R, G, B in 0..255


class Sample(NamedTuple):
    """One image: `image` uint8 (3, H, W) RGB, `labels` uint8 (H, W) with 255 where ignored."""

    image: np.ndarray
    labels: np.ndarray


class Dataset(Protocol):
    """A sized, indexable collection of samples of one size that knows its classes.

    names, palette: one entry a class.
    groups: one sequence name an image where neighbours are not independent (video), else None.
    """

    name: str
    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    groups: tuple[str, ...] | None

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def stamp(self) -> str:
        """A cheap SHA-256 (names and sizes of files) that tells a workflow that the data changed."""
        ...

    def fingerprint(self) -> str:
        """SHA-256 of the content, so that a record can say what it was measured on."""
        ...
