"""The Brownian bridge between a picture x_0 and its mask y: marginals, training target, and the way back (Li et al., 2023).

x_t has, given both ends, the mean (1 - m_t) x_0 + m_t y and the variance d_t = 2 (m_t - m_t^2). The paper writes m_t = t / T; as
in its released code, m_t goes in equal steps from 0.001 to 0.999 over the 1000 timesteps.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from semflow.method.settings import TRAIN_TIMESTEPS
from semflow.seeds import Source, normal

FIRST, LAST = 0.001, 0.999  # m_t at the first and at the last timestep

Network = Callable[[Tensor, Tensor], Tensor]


def share(t: Any) -> Any:
    """m_t, the mask's share in the mean of x_t, of timesteps from 0 to 999; a number, or a tensor of any shape."""
    return FIRST + (LAST - FIRST) / (TRAIN_TIMESTEPS - 1) * t


def target(x0: Tensor, y: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """What the network learns, m_t (y - x_0) + sqrt(d_t) noise, which is x_t - x_0.

    x0, y, noise: (B, C, h, w).  t: timesteps (B,).  Returns (B, C, h, w).
    """
    m = share(t).view(-1, 1, 1, 1)
    return m * (y - x0) + (2 * (m - m**2)).sqrt() * noise


def errors(network: Network, x0: Tensor, y: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Mean absolute error of the network at x_t, of every row, (B,). Shapes as in `target`."""
    wanted = target(x0, y, t, noise)
    return (network(x0 + wanted, t) - wanted).abs().mean((1, 2, 3))


def posterior(x: Tensor, x0: Tensor, m: float, m_next: float) -> tuple[Tensor, float]:
    """Mean and standard deviation of x_s given x_t and x_0, where m_s = `m_next` <= m_t = `m`.

    By Bayes from the bridge's marginals. The paper's coefficients, which are those of its code at eta 1, come to this: m_s / m_t
    of x_t, the rest of x_0, nothing of y, and the variance 2 m_s (1 - m_s / m_t). y is where the chain starts, and no more.
    """
    kept = m_next / m
    return x0 + kept * (x - x0), (2 * m_next * (1 - kept)) ** 0.5


def timesteps(n: int) -> list[int]:
    """n timesteps, at most 1000, from 999 down to 0, as equally spaced as whole numbers are; 999 alone where n is 1.

    The released code's 200 steps are 202 evaluations: 999, 994, ... 4, then 1 and 0.
    """
    return [round((TRAIN_TIMESTEPS - 1) * (1 - step / max(1, n - 1))) for step in range(n)]


def walk(network: Network, y: Tensor, n: int, source: Source) -> Iterator[Tensor]:
    """Every state of a chain of n steps, (B, C, h, w), from x_T = y on; the last is the network's x_0 at its last timestep.

    network: (x, t) -> x_t - x_0 with x (B, C, h, w) and t a scalar tensor.
    """
    x, grid = y, timesteps(n)
    yield x
    for t, m, m_next in [(t, share(t), share(t_next)) for t, t_next in pairwise(grid)]:
        mean, deviation = posterior(x, x - network(x, torch.tensor(t)), m, m_next)
        x = mean + deviation * normal(tuple(y.shape), source, y.device)
        yield x
    yield x - network(x, torch.tensor(grid[-1]))
