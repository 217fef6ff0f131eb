"""The generator of pix2pixHD and CycleGAN, and where a weight of the officially released ones belongs in it.

Sources: Johnson et al., 2016; with instance norms and reflection padding, Zhu et al., 2017 (CycleGAN), and Wang et al., 2018
(pix2pixHD's global generator).
"""

import re
from itertools import pairwise

from torch import Tensor, nn

from semflow.errors import SemFlowError
from semflow.method.network import Network

STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")  # of instance norms, saved by PyTorch before 0.4
OFFICIAL = re.compile(r"model\.(?P<layer>\d+)(\.conv_block\.(?P<within>[15]))?\.(?P<kind>weight|bias)")


class ResnetGenerator(Network):
    """Pictures or layouts (B, channels, H, W) to pictures (B, 3, H, W) in [-1, 1]; H and W are multiples of 2^downs.

    width: channels at full size, twice as many each of the `downs` times that sides are halved. residuals: blocks at the
    smallest size.
    """

    def __init__(self, channels: int, width: int, downs: int, residuals: int) -> None:
        super().__init__()
        self.config = {"channels": channels, "width": width, "downs": downs, "residuals": residuals}
        widths = [width * 2**n for n in range(downs + 1)]
        layers = _rectified(_reflecting(channels, width, 7))
        for narrow, wide in pairwise(widths):
            layers += _rectified(nn.Conv2d(narrow, wide, 3, stride=2, padding=1))
        layers += [Residual(widths[-1]) for _ in range(residuals)]
        for wide, narrow in pairwise(reversed(widths)):
            layers += _rectified(nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1))
        self.layers = nn.Sequential(*layers, _reflecting(width, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Residual(nn.Module):
    """Features (B, width, h, w), and what two convolutions add to them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        second = _reflecting(width, width, 3)
        self.layers = nn.Sequential(*_rectified(_reflecting(width, width, 3)), second, nn.InstanceNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def check_size(method: str, downs: int, size: tuple[int, int]) -> None:
    """SemFlowError if pictures of a size (height, width) cannot be halved so often and come back at that size."""
    whole = 2**downs
    if any(side % whole or side < 2 * whole for side in size):
        raise SemFlowError(
            f"methods.{method}.downs is {downs}, so both sides of data.size {list(size)} must be multiples of {whole} and at "
            f"least {2 * whole}; lower methods.{method}.downs or change data.size"
        )


def place_of(name: str, last: int) -> str | None:
    """Where a weight of an official generator belongs in ours, whose convolutions pad by themselves where the official one has a
    layer for that; None for statistics that its norms keep and never use.

    last: number of its last convolution. SemFlowError for a name that it does not have.
    """
    if name.endswith(STATISTICS):
        return None
    if not (match := OFFICIAL.fullmatch(name)) or (layer := int(match["layer"])) > last:
        raise SemFlowError(f"{name} is no weight of the official generator with {last + 2} layers; get that one's weights")
    ours = f"layers.{layer - 1 - (layer == last)}"
    within = {None: "", "1": ".layers.0", "5": ".layers.3"}[match["within"]]
    return f"{ours}{within}.{match['kind']}"


def _reflecting(inside: int, outside: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, kernel, padding=kernel // 2, padding_mode="reflect")


def _rectified(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]
