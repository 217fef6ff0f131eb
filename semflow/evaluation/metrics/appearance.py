"""What a picture looks like, in numbers: how bright, how detailed, how straight the path that led to it."""

import torch
from torch import Tensor
from torch.nn import functional

from semflow.data.sample import IGNORE_INDEX

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def luma(images: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) RGB to float32 (B, H, W) in 0..255."""
    weights = torch.tensor(LUMA, device=images.device)
    return (images.movedim(1, -1).float() * weights).sum(-1)


def brightness(images: Tensor) -> Tensor:
    """Mean luma of each picture, (B,), in 0..255; uint8 (B, 3, H, W). Dim pictures are low, overexposed ones high."""
    return luma(images).mean((1, 2))


def clipped(images: Tensor) -> Tensor:
    """Pixels with a channel at the end of its range, 0 or 255, in per cent, (B,); uint8 (B, 3, H, W).

    Overexposed pictures have many.
    """
    at_end = ((images == 0) | (images == 255)).any(1)
    return 100 * at_end.float().mean((1, 2))


def detail(images: Tensor, labels: Tensor) -> Tensor:
    """Mean squared difference of luma from its mean over 3 x 3 pixels, inside regions, in squared grey levels, (B,).

    images: uint8 (B, 3, H, W).  labels: uint8 (B, H, W). A pixel is inside a region if all pixels around it have its label,
    so that borders between regions, which every layout brings, are no detail; the picture's edge is left out. Over-smooth
    pictures are low. 0 where a layout has no such pixel.
    """
    pixels = luma(images)
    residual = (pixels - box_mean(pixels[:, None])[:, 0]).square()[:, 1:-1, 1:-1]
    around = labels.float()[:, None]
    inside = (functional.max_pool2d(around, 3, 1) == -functional.max_pool2d(-around, 3, 1))[:, 0]
    inside &= labels[:, 1:-1, 1:-1] != IGNORE_INDEX
    return (residual * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)


def detail_gap(images: Tensor, real: Tensor, labels: Tensor) -> Tensor:
    """How far the detail of pictures lies from that of real images of the same layouts, in octaves, (B,): 0 where alike, 1
    where it is half or twice. A floor of one squared grey level keeps flat pictures finite. Shapes as in `detail`.
    """
    drawn, wanted = (detail(pictures, labels).clamp(min=1) for pictures in (images, real))
    return (drawn / wanted).log2().abs()


def box_mean(pixels: Tensor) -> Tensor:
    """Means over 3 x 3 pixels, edges repeated; float (B, C, H, W) to the same."""
    return functional.avg_pool2d(functional.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)


class _AlongPath:
    """Adds up what the steps of paths give, (B,), as their states come."""

    def __init__(self) -> None:
        self.first: Tensor | None = None
        self.last = self.total = torch.empty(0)

    def add(self, state: Tensor) -> None:
        """The next state (B, C, h, w)."""
        state = state.double().flatten(1) if state.device.type != "mps" else state.cpu().double().flatten(1)
        if self.first is None:
            self.first, self.total = state, torch.zeros(len(state), dtype=torch.float64, device=state.device)
        else:
            self.total += self.of_step(state - self.last)
        self.last = state

    def of_step(self, step: Tensor) -> Tensor:
        """What a step (B, C h w) adds, (B,)."""
        raise NotImplementedError


class Straightness(_AlongPath):
    """Integral over a path of norm((z_end - z_start) - v)^2, mean over elements; 0 for a straight path.

    Liu et al. (2023), section 2.2, in squared latent units, with v between two states the speed that the step took: the
    field's own under Euler, as long as there are many steps (one step is straight whatever the field). As the steps add up to
    z_end - z_start, it is the sum of dt norm(v)^2 less norm(z_end - z_start)^2, which needs one pass.
    """

    def __init__(self, grid: Tensor) -> None:
        """grid: the times of the states, from one end of [0, 1] to the other."""
        super().__init__()
        self.steps = iter(grid.diff().abs().tolist())

    def of_step(self, step: Tensor) -> Tensor:
        return step.square().mean(1) / next(self.steps)

    def value(self) -> Tensor:
        """(B,), after all states were added."""
        assert self.first is not None and next(self.steps, None) is None, "add one state for every time of the grid"
        return (self.total - (self.last - self.first).square().mean(1)).clamp(min=0)


class PathLength(_AlongPath):
    """By how many per cent the path through its states is longer than its chord; 0 for a straight one."""

    def of_step(self, step: Tensor) -> Tensor:
        return step.norm(dim=1)

    def value(self) -> Tensor:
        """(B,), after all states were added."""
        assert self.first is not None, "add a state"
        return 100 * (self.total / (self.last - self.first).norm(dim=1).clamp(min=1e-12) - 1).clamp(min=0)
