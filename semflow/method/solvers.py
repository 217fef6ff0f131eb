"""ODE solvers over an explicit time grid; synthesis is segmentation's grid flipped (Eq. 12 and 13)."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor
from torchdiffeq import odeint

from semflow.errors import SemFlowError
from semflow.method.flow import Velocity

FIXED_STEP = {"midpoint": "midpoint", "heun": "heun2", "rk4": "rk4"}  # our name: torchdiffeq's
# Relative and absolute, of RK45. The rectified-flow papers take 1e-5; but synthesis drives apart what starts a perturbation
# apart, and there 1e-5 left a trained model one to three percent from the solution, and 1e-6 a seventh of one.
TOLERANCE = 1e-6


def time_grid(n: int, reverse: bool = False) -> Tensor:
    """The n + 1 times 0, 1/n, ..., 1 (Eq. 12), or flipped from 1 to 0 (Eq. 13); float64. Any n >= 1 will do."""
    if n < 1:
        raise ValueError(f"{n} steps: a solver takes at least 1")
    grid = torch.arange(n + 1, dtype=torch.float64) / n
    return grid.flip(0) if reverse else grid


def solve(name: str, velocity: Velocity, z: Tensor, grid: Tensor, tolerance: float = TOLERANCE) -> Iterator[Tensor]:
    """Integrate dz/dt = velocity(z, t) from grid[0] to grid[-1], yielding the state at every later time of the grid.

    name: euler, midpoint, heun or rk4 (the 3/8 rule), which take one step between two times of the grid with 1, 2, 2 and 4
    evaluations of the network; or rk45 (Dormand and Prince, 5(4)), which chooses its own steps until their error, as a root
    mean square over the whole batch, is within `tolerance`, and steps onto the grid's end, so that the network is never asked
    beyond it; states at the grid's other times are interpolated.
    velocity: (z, t) -> dz/dt with z (B, C, h, w) and t a scalar tensor.  grid: (n + 1,) times, rising or falling.
    """
    if name == "euler":
        yield from euler(velocity, z, grid)
    elif name == "rk45":
        yield from _odeint(velocity, z, grid, "dopri5", tolerance, {"step_t": grid[-1:].to(z)})[1:]
    else:
        for interval in grid.unfold(0, 2, 1):
            z = _odeint(velocity, z, interval, FIXED_STEP[name], tolerance)[-1]
            yield z


def euler(velocity: Velocity, z: Tensor, grid: Tensor) -> Iterator[Tensor]:
    """Forward Euler along `grid` (Eq. 12; Eq. 13 with the grid flipped), yielding every state after the first.

    velocity: (z, t) -> dz/dt with z (B, C, h, w) and t a scalar tensor.  grid: (n + 1,) times.
    """
    for t, t_next in pairwise(grid):
        z = z + (t_next - t).item() * velocity(z, t)
        yield z


def _odeint(
    velocity: Velocity, z: Tensor, grid: Tensor, method: str, tolerance: float, options: dict[str, Tensor] | None = None
) -> Tensor:
    """torchdiffeq's odeint, whose function takes (t, z); all states, (n + 1, *z.shape)."""
    try:
        return odeint(lambda t, z: velocity(z, t), z, grid.to(z), method=method, rtol=tolerance, atol=tolerance, options=options)
    except AssertionError as error:  # its way to say that no step is small enough
        raise SemFlowError(f"rk45 finds no step that is small enough ({error}); the network's training diverged") from None
