"""Eq. 1 written out, and DSM's loss of given draws."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

# The cumulative a_t of Eq. 1 under Stable Diffusion's scaled-linear betas.
ABAR = np.cumprod(1 - np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000) ** 2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise_of(x: Tensor, x0: Tensor, t: Tensor) -> Tensor:
    """The noise by which Eq. 1 made x of x0; t a scalar or (B,)."""
    abar = torch.from_numpy(ABAR)[t].view(-1, 1, 1, 1)
    return ((x - abar.sqrt() * x0) / (1 - abar).sqrt()).to(x.dtype)


def perfect(x0: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The network of Eq. 2 that cannot be mistaken in masks x0."""
    return lambda z, t: noise_of(z[:, :3], x0, t)


def loss_of(model, images: Tensor, labels: Tensor) -> Tensor:
    """The training loss of images and labels, as a step works it out."""
    draws = seeded()
    pair = model.autoencoder.encode(images, draws), model.encode_labels(labels, draws)
    (loss,) = model.losses("denoising", pair, draws, {}).values()
    return loss
