"""What a picture looks like, in numbers: how bright, how detailed, how straight the path that led to it."""

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


class Straightness:
    """Integral over a path of norm((z_end - z_start) - v)^2, mean over elements; 0 for a straight path.

    Liu et al. (2023), section 2.2, in squared latent units, with v between two states the speed that the step took: the
    field's own under Euler, as long as there are many steps (one step is straight whatever the field). As the steps add up to
    z_end - z_start, it is the sum of dt norm(v)^2 less norm(z_end - z_start)^2, which needs one pass.
    """

    def __init__(self, grid: Tensor) -> None:
        """grid: the times of the states, from one end of [0, 1] to the other."""
        self.steps = iter(grid.diff().abs().tolist())
        self.first: Tensor | None = None
        self.last = self.total = torch.empty(0)

    def add(self, state: Tensor) -> None:
        """The state (B, C, h, w) at the next time of the grid."""
        state = state.double().flatten(1) if state.device.type != "mps" else state.cpu().double().flatten(1)
        if self.first is None:
            self.first, self.total = state, torch.zeros(len(state), dtype=torch.float64, device=state.device)
        else:
            self.total += (state - self.last).square().mean(1) / next(self.steps)
        self.last = state

    def value(self) -> Tensor:
        """(B,), after all states were added."""
        assert self.first is not None and next(self.steps, None) is None, "add one state for every time of the grid"
        return (self.total - (self.last - self.first).square().mean(1)).clamp(min=0)
