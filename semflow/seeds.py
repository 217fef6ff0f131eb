"""Named seeds: every random number of a run is a function of a name, so that any step can be replayed."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


def seed_of(*names: object) -> int:
    """A 63-bit seed from the words that say what it is for, e.g. ("train", seed, step, stream)."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(device: torch.device | str, *names: object) -> torch.Generator:
    """A generator on `device` seeded by name."""
    return torch.Generator(device).manual_seed(seed_of(*names))


class Stream(NamedTuple):
    """A generator for `size` consecutive images of a batch, of which those in `rows` are asked for."""

    generator: torch.Generator
    size: int
    rows: slice


Source = torch.Generator | list[Stream] | None  # where random numbers come from; None: torch's own generator


def uniform(shape: tuple[int, ...], source: Source, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers in [0, 1); the first axis of `shape` counts images.

    From streams each image gets what it would get were the whole of its stream drawn at once, wherever it is drawn.
    """
    return _drawn(lambda size, g: torch.rand(size, generator=g, device=device, dtype=dtype), shape, source)


def normal(shape: tuple[int, ...], source: Source, device: torch.device) -> Tensor:
    """As `uniform`, standard normal."""
    return _drawn(lambda size, g: torch.randn(size, generator=g, device=device), shape, source)


def integers(high: int, shape: tuple[int, ...], source: Source, device: torch.device) -> Tensor:
    """As `uniform`, whole numbers from 0 to below `high`."""
    return _drawn(lambda size, g: torch.randint(high, size, generator=g, device=device), shape, source)


def _drawn(draw: Callable[[tuple[int, ...], torch.Generator | None], Tensor], shape: tuple[int, ...], source: Source) -> Tensor:
    if not isinstance(source, list):
        return draw(shape, source)
    parts = [draw((stream.size, *shape[1:]), stream.generator)[stream.rows] for stream in source]
    drawn = parts[0] if len(parts) == 1 else torch.cat(parts)
    if len(drawn) != shape[0]:
        raise ValueError(f"streams for {len(drawn)} images were asked for numbers of {shape[0]}")
    return drawn
