"""What a picture looks like, in numbers: how bright, how detailed, how straight the path that led to it."""

from collections.abc import Sequence

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def luma(images: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) RGB to float32 (B, H, W) in 0..255."""
    weights = torch.tensor(LUMA, device=images.device)
    return (images.movedim(1, -1).float() * weights).sum(-1)


def brightness(images: Tensor) -> Tensor:
    """Mean luma of each picture, (B,), in 0..255; uint8 (B, 3, H, W). Dim pictures are low, overexposed ones high."""
    return luma(images).mean((1, 2))


def high_frequency_energy(images: Tensor) -> Tensor:
    """Mean squared luma beyond a quarter of a cycle a pixel (half the Nyquist frequency), (B,); uint8 (B, 3, H, W).

    In squared grey levels: by Parseval, the part of the variance of a picture that waves shorter than four pixels in
    the direction they run make up. Over-smooth pictures are low.
    """
    pixels = luma(images)
    h, w = pixels.shape[1:]
    y, x = torch.fft.fftfreq(h, device=pixels.device), torch.fft.fftfreq(w, device=pixels.device)
    high = (y[:, None] ** 2 + x[None, :] ** 2).sqrt() > 0.25
    power = torch.fft.fft2(pixels, norm="forward").abs().square()
    return (power * high).sum((1, 2))


def straightness(states: Sequence[Tensor], grid: Tensor) -> Tensor:
    """Integral over the path of norm((z_end - z_start) - v)^2, mean over elements, (B,); 0 for a straight path.

    Liu et al. (2023), section 2.2, with v between two states the speed that a step took, in latent units.

    states: len(grid) of (B, C, h, w), the first at grid[0].  grid: times from one end of [0, 1] to the other.
    """
    whole = (states[-1] - states[0]) / (grid[-1] - grid[0]).item()
    total = torch.zeros(len(whole), device=whole.device)
    for before, after, t, t_next in zip(states[:-1], states[1:], grid[:-1], grid[1:], strict=True):
        step = (t_next - t).item()
        total += abs(step) * (whole - (after - before) / step).square().flatten(1).mean(1)
    return total
