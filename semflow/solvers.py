"""ODE solvers over an explicit time grid; synthesis is segmentation's grid flipped (Eq. 12 and 13)."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from semflow.flow import Velocity


def time_grid(n: int, reverse: bool = False) -> Tensor:
    """The n + 1 times 0, 1/n, ..., 1 (Eq. 12), or flipped from 1 to 0 (Eq. 13); float64. Any n >= 1 will do."""
    if n < 1:
        raise ValueError(f"{n} steps: a solver takes at least 1")
    grid = torch.arange(n + 1, dtype=torch.float64) / n
    return grid.flip(0) if reverse else grid


def euler(velocity: Velocity, z: Tensor, grid: Tensor) -> Iterator[Tensor]:
    """Forward Euler along `grid` (Eq. 12; Eq. 13 with the grid flipped), yielding every state after the first.

    velocity: (z, t) -> dz/dt with z (B, C, h, w) and t a scalar tensor.  grid: (n + 1,) times.
    """
    for t, t_next in pairwise(grid):
        z = z + (t_next - t).item() * velocity(z, t)
        yield z
