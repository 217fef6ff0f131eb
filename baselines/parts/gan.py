"""What the adversarial methods share: patch discriminators, their losses, the pool of past pictures, and VGG19's distance.

Sources: PatchGAN, Isola et al., 2017; least squares, Mao et al., 2017; hinge, Lim and Ye, 2017; two scales and feature
matching, Wang et al., 2018 (pix2pixHD); the pool, Shrivastava et al., 2017; VGG19's distance, Johnson et al., 2016.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, l1_loss, one_hot
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from semflow import files
from semflow.errors import SemFlowError
from semflow.method.network import Network
from semflow.seeds import Source, integers, uniform

WIDEST = 512  # channels of a discriminator
SLOPE = 0.2  # of its leaky rectifiers
VGG19 = "dcbb9e9d"  # what the SHA-256 of torchvision's file begins with
VGG19_FILE = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
VGG19_LAYERS = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0}  # the first rectifier at each size, and its weight

Norm = Literal["instance", "spectral"]  # spectral: a spectral norm of the weights before the instance norm
Scales = list[list[Tensor]]  # what a discriminator gives: of every scale its layers' features, the scores last


def one_hot_of(labels: Tensor, n_classes: int) -> Tensor:
    """Labels uint8 (B, H, W) to float (B, n_classes, H, W); ignored pixels are of no class, all zeros."""
    return one_hot(labels.long().clamp(max=n_classes), n_classes + 1)[..., :-1].movedim(-1, 1).float()


class SpectralNorm(_SpectralNorm):
    """PyTorch's, worked out in float32 where the network around it computes in bfloat16."""

    def forward(self, weight: Tensor) -> Tensor:
        with nullcontext() if weight.is_meta else torch.autocast(weight.device.type, enabled=False):
            return super().forward(weight)


def spectral_norm(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with a spectral norm of its weights, of one power iteration a forward pass in training (Miyato et al., 2018)."""
    register_parametrization(layer, "weight", SpectralNorm(layer.weight))
    return layer


class PatchDiscriminator(nn.Module):
    """Pictures (B, C, H, W) to the features of every layer, of which the last are scores, one channel, of patches that overlap.

    layers: convolutions that halve the picture; one that does not and the scores come after them. padding: 2 in pix2pixHD and
    SPADE, 1 in CycleGAN, of kernels 4 wide. The first layer and the scores have no norm.
    """

    def __init__(self, channels: int, width: int, layers: int, padding: int, norm: Norm) -> None:
        super().__init__()
        widths = [channels, *(min(width * 2**n, WIDEST) for n in range(layers + 1))]
        self.layers = nn.ModuleList()
        for number, (inside, outside) in enumerate(zip(widths, widths[1:], strict=False)):
            stride, first, spectral = 2 if number < layers else 1, number == 0, norm == "spectral" and number > 0
            convolution = nn.Conv2d(inside, outside, 4, stride, padding, bias=not spectral)
            normalized = [] if first else [nn.InstanceNorm2d(outside)]
            self.layers.append(
                nn.Sequential(spectral_norm(convolution) if spectral else convolution, *normalized, nn.LeakyReLU(SLOPE))
            )
        self.layers.append(nn.Conv2d(widths[-1], 1, 4, 1, padding))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features


class Discriminator(Network):
    """Patch discriminators of one make, the first at full size and each other at half the size of the one before it."""

    def __init__(self, channels: int, width: int, layers: int, padding: int, norm: Norm, scales: int) -> None:
        super().__init__()
        self.config = {
            "channels": channels, "width": width, "layers": layers, "padding": padding, "norm": norm, "scales": scales,
        }  # fmt: skip
        self.scales = nn.ModuleList(PatchDiscriminator(channels, width, layers, padding, norm) for _ in range(scales))

    def forward(self, x: Tensor) -> Scales:
        """Pictures (B, channels, H, W) to what every scale gives of them."""
        found = []
        for number, scale in enumerate(self.scales):
            x = avg_pool2d(x, 3, 2, 1, count_include_pad=False) if number else x
            found.append(scale(x))
        return found


def check_side(key: str, side: int, layers: int, padding: int, scales: int) -> None:
    """SemFlowError if instance norms of a discriminator would see less than 2 x 2 pixels of pictures `side` wide.

    key: where the number of its layers stands, such as methods.cyclegan.discriminator_layers.
    """
    seen = side
    for _ in range(scales - 1):
        seen = (seen + 1) // 2
    for number, stride in enumerate((*(2,) * layers, 1)):
        seen = (seen + 2 * padding - 4) // stride + 1
        if seen < 2 and number:
            coarsest = f" at the coarsest of {scales} scales" if scales > 1 else ""
            raise SemFlowError(f"{key} is {layers}, which leaves one pixel of a side of {side}{coarsest}; lower it")


def scores(of: Scales) -> list[Tensor]:
    """Every scale's scores."""
    return [features[-1] for features in of]


def least_squares(found: Sequence[Tensor], real: bool) -> Tensor:
    """LSGAN: the mean of (score - 1)^2 where pictures should pass as real, of score^2 where not; summed over scales."""
    return sum_of((score - float(real)).square().mean() for score in found)


def hinge_generator(found: Sequence[Tensor]) -> Tensor:
    """The mean of -score, averaged over scales."""
    return sum_of(-score.mean() for score in found) / len(found)


def hinge_discriminator(found: Sequence[Tensor], real: bool) -> Tensor:
    """The mean of max(0, 1 - score) of real pictures, of max(0, 1 + score) of others; averaged over scales."""
    sign = -1.0 if real else 1.0
    return sum_of((1 + sign * score).relu().mean() for score in found) / len(found)


def feature_matching(fake: Scales, real: Scales) -> Tensor:
    """L1 between a discriminator's features of fake and of real pictures, without the scores: the sum over layers, averaged over
    scales. No gradient reaches the real ones'.
    """
    pairs = [(a, b) for one, other in zip(fake, real, strict=True) for a, b in zip(one[:-1], other[:-1], strict=True)]
    return sum_of(l1_loss(a, b.detach()) for a, b in pairs) / len(fake)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, variance) from N(0, 1), summed over all elements, the batch's too."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()


def sum_of(values: Iterable[Tensor]) -> Tensor:
    """The sum of one or more scalars."""
    return torch.stack(list(values)).sum()


class Pool(Network):
    """Past pictures: until it is full it keeps what it is given and gives it back; then, half the time, it gives one of those
    that it keeps instead, and keeps the new one in its place. All of it is in buffers, so that it survives a kill.
    """

    def __init__(self, size: int, channels: int, sides: tuple[int, int]) -> None:
        super().__init__()
        self.config = {"size": size, "channels": channels, "sides": list(sides)}
        self.register_buffer("pictures", torch.zeros(size, channels, *sides))
        self.register_buffer("held", torch.zeros((), dtype=torch.long))
        self.pictures: Tensor
        self.held: Tensor

    @torch.no_grad()
    def forward(self, pictures: Tensor, source: Source) -> Tensor:
        """Pictures (B, channels, H, W), one after another, to as many; nothing is read back from an accelerator."""
        n, device, size = len(pictures), pictures.device, len(self.pictures)
        if not size:
            return pictures
        swaps, places = uniform((n,), source, device) < 0.5, integers(size, (n,), source, device)
        given = []
        for picture, swap, place in zip(pictures, swaps, places, strict=True):
            filling = self.held < size
            at = torch.where(filling, self.held, place).clamp(max=size - 1)
            old = self.pictures.index_select(0, at[None])[0]
            given.append(torch.where(swap & ~filling, old, picture))
            self.pictures.index_copy_(0, at[None], torch.where(swap | filling, picture, old)[None])
            self.held += filling
        return torch.stack(given)


class Vgg19(nn.Module):
    """The distance of pictures by the features of ImageNet's VGG19, frozen; pictures go in as they are, in [-1, 1].

    weights: torchvision's file, opened when a distance is first asked for, since sampling needs none. SemFlowError then, if it is
    not there or another one.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.weights = weights
        self.features: nn.Sequential | None = None

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """L1 between features (B, C, H, W) of five layers, weighted; no gradient reaches the real ones."""
        if self.features is None:
            self.features = vgg19_features(self.weights, real.device)
        with torch.no_grad():
            wanted = looked_at(self.features, real)
        pairs = zip(VGG19_LAYERS.values(), looked_at(self.features, fake), wanted, strict=True)
        return sum_of(weight * l1_loss(a, b) for weight, a, b in pairs)


def vgg19_features(weights: Path, device: torch.device) -> nn.Sequential:
    """The layers of VGG19 up to the last one of `VGG19_LAYERS`; on the meta device, where there are shapes alone, no file is
    opened. SemFlowError if the file is not there or another one.
    """
    from torchvision.models import vgg19

    with torch.device("meta"):
        features = vgg19().features[: 1 + max(VGG19_LAYERS)].requires_grad_(False).eval()
    if device.type != "meta":
        if not weights.is_file():
            raise SemFlowError(f"there are no weights of VGG19 at {weights}; get {VGG19_FILE}, or set the key to null")
        if not files.file_hash(weights).startswith(VGG19):
            raise SemFlowError(f"{weights} is not {VGG19_FILE}: its SHA-256 does not begin with {VGG19}; get it again")
        held = torch.load(weights, device, weights_only=True)
        features.load_state_dict({name: held[f"features.{name}"] for name in features.state_dict()}, assign=True)
    return features


def looked_at(features: nn.Sequential, pictures: Tensor) -> list[Tensor]:
    """What the layers of `VGG19_LAYERS` make of pictures."""
    found = []
    for number, layer in enumerate(features):
        pictures = layer(pictures)
        if number in VGG19_LAYERS:
            found.append(pictures)
    return found


def initialize(network: nn.Module, fill: Callable[[Tensor], object]) -> None:
    """Fill the weights of every convolution and linear layer by `fill`, from torch's global generator, and biases with zeros.

    Under a spectral norm it is the weights before it that are filled.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            parametrized: Any = module.parametrizations if is_parametrized(module, "weight") else None
            fill(parametrized.weight.original if parametrized else module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
