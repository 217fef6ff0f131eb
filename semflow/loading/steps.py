"""What each training step sees: which images, how they are looked at, and where its noise comes from.

All of it is a function of (seed, step, place in the global batch), never of how many processes share the batch or how
many images one takes at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from semflow.errors import SemFlowError
from semflow.seeds import Stream, generator, seed_of

STREAM = 16  # images that share a generator: few enough that no process draws much for others, enough to draw at once


class Look(NamedTuple):
    """One image of a data set, and how to look at it. place: of a crop, each in [0, 1).  mode: which of its mask's latents."""

    image: int
    mirrored: bool = False
    place: tuple[float, float] | None = None
    mode: int = 0


class Choices(NamedTuple):
    """What is chosen at random for every look."""

    flip: bool
    crop: bool
    modes: int  # cached latents of a mask; 0 or 1: nothing to choose


class Share(NamedTuple):
    """The part of every global batch that a process takes."""

    rank: int = 0
    ranks: int = 1

    def rows(self, batch_size: int) -> range:
        """Rows of the global batch. SemFlowError if the processes cannot share it evenly."""
        if batch_size % self.ranks:
            raise SemFlowError(f"training.batch_size {batch_size} must be a multiple of the {self.ranks} processes")
        size = batch_size // self.ranks
        return range(self.rank * size, (self.rank + 1) * size)


WHOLE = Share()


class Steps:
    """The looks of one process at every step from `start` to `stop`; each epoch is a fresh permutation by a named seed, and
    batches run on across epochs.
    """

    def __init__(self, n: int, batch_size: int, seed: int, start: int, stop: int, choices: Choices, share: Share = WHOLE) -> None:
        self.n, self.batch_size, self.seed, self.start, self.stop = n, batch_size, seed, start, stop
        self.choices, self.rows = choices, share.rows(batch_size)

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[Look]]:
        epoch, order = -1, np.empty(0, int)
        for step in range(self.start, self.stop):
            looks = []
            for row, (mirrored, place, mode) in zip(self.rows, self._chosen(step), strict=True):
                wanted, position = divmod(step * self.batch_size + row, self.n)
                if wanted != epoch:
                    epoch = wanted
                    order = np.random.RandomState(seed_of("order", self.seed, epoch) % 2**32).permutation(self.n)
                looks.append(Look(int(order[position]), mirrored, place, mode))
            yield looks

    def _chosen(self, step: int) -> list[tuple[bool, tuple[float, float] | None, int]]:
        """How each row of this process is looked at."""
        chosen = []
        for number, size, rows in _cut(self.rows, self.batch_size):
            draws = generator("cpu", "train", self.seed, step, number)
            chosen += choose(self.choices, size, draws)[rows]
        return chosen


def choose(choices: Choices, n: int, draws: torch.Generator) -> list[tuple[bool, tuple[float, float] | None, int]]:
    """(mirrored, place, mode) of `n` images, from a generator on the CPU."""
    mirrored = (torch.rand(n, generator=draws) < 0.5).tolist() if choices.flip else [False] * n
    places = [tuple(place) for place in torch.rand(n, 2, generator=draws).tolist()] if choices.crop else [None] * n
    modes = torch.randint(choices.modes, (n,), generator=draws).tolist() if choices.modes > 1 else [0] * n
    return list(zip(mirrored, places, modes, strict=True))


def noise(
    device: torch.device, seed: int, step: int, rows: range, batch_size: int, choices: Choices, *names: str
) -> list[Stream]:
    """Streams of random numbers on `device` for some consecutive rows of a step's global batch.

    On the CPU they go on where `choose` stopped; an accelerator has generators of its own, and so has whatever else is named.
    """
    streams = []
    for number, size, part in _cut(rows, batch_size):
        draws = generator(device, "train", seed, step, number, *names)
        if device.type == "cpu" and not names:
            choose(choices, size, draws)
        streams.append(Stream(draws, size, part))
    return streams


def _cut(rows: range, batch_size: int) -> Iterator[tuple[int, int, slice]]:
    """(number of the stream, its size, rows of it) for consecutive rows of a batch."""
    for number in range(rows.start // STREAM, -(-rows.stop // STREAM)):
        first, last = number * STREAM, min((number + 1) * STREAM, batch_size)
        yield number, last - first, slice(max(rows.start - first, 0), min(rows.stop, last) - first)
