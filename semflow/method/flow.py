"""Rectified flow between image latents z0 and mask latents z1: the path and the loss (Eq. 10)."""

from collections.abc import Callable

from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]


def interpolate(z0: Tensor, z1: Tensor, t: Tensor) -> Tensor:
    """Point on the straight path from image to mask latents (Eq. 10).

    z0, z1: (B, C, h, w) latents.  t: (B,) in [0, 1].  Returns (B, C, h, w).
    """
    t = t.view(-1, 1, 1, 1)
    return (1 - t) * z0 + t * z1


def loss(velocity: Velocity, z0: Tensor, z1: Tensor, t: Tensor) -> Tensor:
    """Squared error of the velocity at time t against z1 - z0 (Eq. 10), averaged over all elements; a scalar.

    z0, z1: (B, C, h, w) latents of paired images and masks.  t: (B,) in [0, 1].
    """
    return (velocity(interpolate(z0, z1, t), t) - (z1 - z0)).square().mean()
