"""What each training step sees: which images, how each is augmented, and where its noise comes from.

All of it is a function of (seed, step, row of the global batch), never of how many processes share the batch or how
many images one takes at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from semflow.errors import SemFlowError
from semflow.seeds import Stream, generator, seed_of

STREAM = 16  # images that share a generator: few enough that no process generates much for others, enough to be generated at once
Crop = tuple[float, float]  # where a crop starts, down and right, as a share of the pixels that it may start at, in [0, 1)


class View(NamedTuple):
    """An image of a data set and how it is augmented. perturbation: which of its mask's cached latents."""

    image: int
    mirrored: bool = False
    crop: Crop | None = None
    perturbation: int = 0


class Augmentation(NamedTuple):
    """What is chosen at random for every view. perturbations: cached latents of a mask; 0 or 1: nothing to choose."""

    flip: bool
    crop: bool
    perturbations: int


class Rank(NamedTuple):
    """Which of the processes that share a training this one is."""

    number: int = 0
    processes: int = 1

    def rows(self, batch_size: int) -> range:
        """Its rows of every global batch. SemFlowError if the processes cannot share it evenly."""
        if batch_size % self.processes:
            raise SemFlowError(f"training.batch_size {batch_size} must be a multiple of the {self.processes} processes")
        size = batch_size // self.processes
        return range(self.number * size, (self.number + 1) * size)


ALONE = Rank()


class Steps:
    """The views of one process at every step from `start` to `stop`; each epoch is a fresh permutation by a named seed, and
    batches run on across epochs.
    """

    def __init__(
        self, n: int, batch_size: int, seed: int, start: int, stop: int, augmentation: Augmentation, rank: Rank = ALONE
    ) -> None:
        self.n, self.batch_size, self.seed, self.start, self.stop = n, batch_size, seed, start, stop
        self.augmentation, self.rows = augmentation, rank.rows(batch_size)

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[View]]:
        epoch, order = -1, np.empty(0, int)
        for step in range(self.start, self.stop):
            views = []
            for row, chosen in zip(self.rows, self._chosen(step), strict=True):
                wanted, position = divmod(step * self.batch_size + row, self.n)
                if wanted != epoch:
                    epoch = wanted
                    order = np.random.RandomState(seed_of("order", self.seed, epoch) % 2**32).permutation(self.n)
                views.append(View(int(order[position]), *chosen))
            yield views

    def _chosen(self, step: int) -> list[tuple[bool, Crop | None, int]]:
        """How each row of this process is augmented."""
        chosen = []
        for number, size, rows in _streams(self.rows, self.batch_size):
            chosen += choose(self.augmentation, size, generator("cpu", "train", self.seed, step, number))[rows]
        return chosen


def choose(augmentation: Augmentation, n: int, source: torch.Generator) -> list[tuple[bool, Crop | None, int]]:
    """(mirrored, crop, perturbation) of `n` images, from a generator on the CPU."""
    flip, crop, most = augmentation
    mirrored = (torch.rand(n, generator=source) < 0.5).tolist() if flip else [False] * n
    crops = [tuple(place) for place in torch.rand(n, 2, generator=source).tolist()] if crop else [None] * n
    perturbations = torch.randint(most, (n,), generator=source).tolist() if most > 1 else [0] * n
    return list(zip(mirrored, crops, perturbations, strict=True))


def noise(
    device: torch.device, seed: int, step: int, rows: range, batch_size: int, augmentation: Augmentation, *names: str
) -> list[Stream]:
    """Streams of random numbers on `device` for some consecutive rows of a step's global batch.

    On the CPU they go on where `choose` stopped; an accelerator has generators of its own, and so has whatever else is named.
    """
    streams = []
    for number, size, part in _streams(rows, batch_size):
        source = generator(device, "train", seed, step, number, *names)
        if device.type == "cpu" and not names:
            choose(augmentation, size, source)
        streams.append(Stream(source, size, part))
    return streams


def _streams(rows: range, batch_size: int) -> Iterator[tuple[int, int, slice]]:
    """(number of the stream, its size, rows of it) for consecutive rows of a batch."""
    for number in range(rows.start // STREAM, -(-rows.stop // STREAM)):
        first, last = number * STREAM, min((number + 1) * STREAM, batch_size)
        yield number, last - first, slice(max(rows.start - first, 0), min(rows.stop, last) - first)
