"""What every data set yields."""

from typing import NamedTuple, Protocol

import numpy as np

from semflow.errors import SemFlowError

IGNORE_INDEX = 255
FEWEST = 2  # images of a split that is measured on
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


def check_split(dataset: Dataset, split: str) -> None:
    """SemFlowError if nothing can be measured on a split: it has fewer than two images, or no pixel with a label. Reads no
    further than the first label."""
    labelled = (bool((dataset[index].labels != IGNORE_INDEX).any()) for index in range(len(dataset)))
    if wrong := few(len(dataset), split, dataset.name) or ("" if any(labelled) else unlabelled(split, dataset.name)):
        raise SemFlowError(wrong)


def few(n: int, split: str, name: str) -> str:
    """What is wrong with a split of n images that is to be measured on, if anything."""
    return "" if n >= FEWEST else f"the {split} split of {name} has {n} images; at least {FEWEST} can be measured on"


def unlabelled(split: str, name: str) -> str:
    """What is wrong with a split whose pixels are all ignored."""
    return f"no pixel of the {split} split of {name} has a label, so nothing can be measured on it"
