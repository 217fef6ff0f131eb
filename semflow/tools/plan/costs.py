"""What an image's way through each network costs, in FLOPs, and how many weights there are.

Counted on networks of the suite's own size without weights (torch's meta device), as torch's `FlopCounterMode` counts:
products of matrices and convolutions, a multiplication and an addition as two.
"""

import operator
from functools import cache
from typing import Any, NamedTuple, cast

import torch
from torch.utils.flop_counter import FlopCounterMode

from semflow.method.autoencoder import Autoencoder, make_autoencoder
from semflow.method.settings import Network
from semflow.method.unet import UNet, make_network
from semflow.suite import Suite
from semflow.suite.registry import class_of

FEATURES = {"inception-v3": (299, 2048), "efficientnet-lite0": (224, 1280)}  # pixels a side, and features


class Passes(NamedTuple):
    """How many images go through each network; or, as a cost, the FLOPs of an image's way through each.

    perceptual: pictures that are looked at, two for each distance.
    """

    encoder: int = 0
    network: int = 0
    decoder: int = 0
    features: int = 0
    perceptual: int = 0

    def plus(self, other: "Passes") -> "Passes":
        return Passes(*map(operator.add, self, other))

    def times(self, cost: "Passes") -> int:
        """FLOPs, each pass at its cost."""
        return sum(map(operator.mul, self, cost))


def costs(suite: Suite, method: str) -> Passes:
    """FLOPs of an image's way forward through each network of a method."""
    h, w = suite.data.size
    encoder, decoder = _autoencoder_flops(suite.autoencoder, (h, w))
    return Passes(
        encoder,
        _flops_of_network(suite.network, *_shape(suite, method)),
        decoder,
        _flops_of_features(suite.synthesis.features.network),
        _flops_of_perceptual(suite.synthesis.perceptual.network, (h, w)),
    )


class Parameters(NamedTuple):
    """Weights of a method's UNet, and of the autoencoder."""

    network: int
    autoencoder: int


def parameters(suite: Suite, method: str) -> Parameters:
    return Parameters(_weights(_network(suite.network, *_shape(suite, method))), _weights(_autoencoder(suite.autoencoder)))


def latent_shape(suite: Suite) -> tuple[int, int, int]:
    """(C, h, w) of an image's latents."""
    autoencoder = _autoencoder(suite.autoencoder)
    h, w = (side // autoencoder.factor for side in suite.data.size)
    return autoencoder.channels, h, w


def _shape(suite: Suite, method: str) -> tuple[int, int, tuple[int, int]]:
    channels, h, w = latent_shape(suite)
    return class_of(method).image_copies, channels, (h, w)


@cache
def _network(settings: Network, copies: int, channels: int, size: tuple[int, int]) -> UNet:
    """The network at random weights that are nowhere."""
    with torch.device("meta"):
        return make_network(_random(settings), 1, copies, channels, size).eval()


@cache
def _autoencoder(settings: Any) -> Autoencoder:
    with torch.device("meta"):
        return make_autoencoder(_random(settings)).eval()


def _random(settings: Any) -> Any:
    return settings.model_copy(update={"pretrained": None}) if hasattr(settings, "pretrained") else settings


def _weights(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@cache
def _flops_of_network(settings: Network, copies: int, channels: int, size: tuple[int, int]) -> int:
    return _flops(_network(settings, copies, channels, size), _empty(copies * channels, *size), _empty())


@cache
def _autoencoder_flops(settings: Any, size: tuple[int, int]) -> tuple[int, int]:
    if settings.kind != "kl":
        return 0, 0
    autoencoder = _autoencoder(settings)
    latents, vae = _empty(autoencoder.channels, *(side // autoencoder.factor for side in size)), cast(Any, autoencoder).vae
    return _flops(vae.encode, _empty(3, *size)), _flops(vae.decode, latents)


@cache
def _flops_of_features(name: str) -> int:
    """Of Inception-v3, torchvision's, which has the layers of FID's."""
    side = FEATURES[name][0]
    if name == "efficientnet-lite0":
        return _flops(_lite0().extract_features, _empty(3, side, side))
    from torchvision.models import inception_v3

    with torch.device("meta"):
        network = inception_v3(weights=None, aux_logits=False, init_weights=False, transform_input=False).eval()
    return _flops(network, _empty(3, side, side))


@cache
def _flops_of_perceptual(name: str, size: tuple[int, int]) -> int:
    if name == "efficientnet-lite0":  # its stages, without the layer that is pooled to features
        lite0, side = _lite0(), FEATURES[name][0]
        return _flops(torch.nn.Sequential(lite0._conv_stem, *lite0._blocks), _empty(3, side, side))
    from torchvision.models import alexnet

    with torch.device("meta"):
        network = alexnet(weights=None).features
    return _flops(network, _empty(3, *size))


def _lite0() -> Any:
    from efficientnet_lite_pytorch import EfficientNet

    with torch.device("meta"):
        return EfficientNet.from_name("efficientnet-lite0").eval()


def _empty(*shape: int) -> torch.Tensor:
    """One image of this shape on the meta device."""
    return torch.empty(1, *shape, device="meta")


def _flops(run: Any, *inputs: torch.Tensor) -> int:
    with torch.no_grad(), torch.device("meta"), FlopCounterMode(display=False) as counter:
        run(*inputs)
    return int(counter.get_total_flops())
