"""How MaskFormer's training pictures are changed: colours as in SSD (Liu et al., 2016), and scale.

Images are float (B, 3, H, W), 0..255.
"""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from semflow.data.sample import IGNORE_INDEX
from semflow.seeds import Source, uniform

BRIGHTNESS = 32.0  # at most so much is added
CONTRAST = SATURATION = 0.5  # a factor from 1 less to 1 more of it
HUE = 0.1  # of the circle, to either side: 36 degrees
GREY = 127.5


def jitter_colours(images: Tensor, source: Source) -> Tensor:
    """Brightness, contrast, saturation and hue, each changed with probability 1/2; contrast before or after the last two."""
    draws = uniform((len(images), 9), source, images.device).view(-1, 9, 1, 1, 1)
    change = torch.where(draws[:, :4] < 0.5, 2 * draws[:, 4:8] - 1, 0.0)  # in [-1, 1)
    brightness, contrast, saturation, hue = change.unbind(1)
    first = draws[:, 8] < 0.5
    images = (images + BRIGHTNESS * brightness).clamp(0, 255)
    images = (images * (1 + CONTRAST * torch.where(first, contrast, 0.0))).clamp(0, 255)
    h, s, v = to_hsv(images / 255).split(1, 1)
    images = 255 * to_rgb(torch.cat([(h + HUE * hue) % 1, (s * (1 + SATURATION * saturation)).clamp(0, 1), v], 1))
    return (images * (1 + CONTRAST * torch.where(first, 0.0, contrast))).clamp(0, 255)


def jitter_scale(images: Tensor, labels: Tensor, scales: tuple[float, float], source: Source) -> tuple[Tensor, Tensor]:
    """Each picture scaled by a factor drawn between two, then cropped to its size at a random place; where it is smaller, it lies
    at a random place in grey that is ignored. Images bilinearly, labels uint8 (B, H, W) by nearest neighbour.
    """
    low, high = scales
    draws = uniform((len(images), 3), source, images.device)
    scale = low + (high - low) * draws[:, 0]
    across = (2 * draws[:, 1:] - 1) * (1 - 1 / scale).abs()[:, None]  # of the view's middle, where the picture is from -1 to 1
    eye = torch.eye(2, device=images.device).expand(len(images), 2, 2)
    grid = affine_grid(torch.cat([eye / scale.view(-1, 1, 1), across[:, :, None]], 2), list(images.shape), align_corners=False)
    images = grid_sample(images - GREY, grid, "bilinear", "zeros", align_corners=False) + GREY
    shifted = labels[:, None].float() - IGNORE_INDEX  # so that what lies outside is ignored
    return images, (grid_sample(shifted, grid, "nearest", "zeros", align_corners=False)[:, 0] + IGNORE_INDEX).round().byte()


def to_hsv(images: Tensor) -> Tensor:
    """RGB (B, 3, H, W) in 0..1 to hue, saturation and value, each in 0..1 (Smith, 1978)."""
    r, g, b = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    chroma = value - least
    span = chroma.clamp(min=1e-12)
    hue = torch.where(value == r, (g - b) / span, torch.where(value == g, 2 + (b - r) / span, 4 + (r - g) / span))
    return torch.stack([hue / 6 % 1, chroma / value.clamp(min=1e-12), value], 1)


def to_rgb(images: Tensor) -> Tensor:
    """Hue, saturation and value (B, 3, H, W) in 0..1 to RGB: of each channel, value less its share of the chroma."""
    hue, saturation, value = images.unbind(1)
    places = [(n + 6 * hue) % 6 for n in (5, 3, 1)]
    return torch.stack([value * (1 - saturation * torch.minimum(k, 4 - k).clamp(0, 1)) for k in places], 1)
