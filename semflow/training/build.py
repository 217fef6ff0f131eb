"""From a suite's settings to a model."""

from typing import Any

import torch

from semflow.errors import SemFlowError
from semflow.method.autoencoder import Autoencoder, make_autoencoder
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.semflow import Model
from semflow.method.unet import UNet, make_network
from semflow.seeds import seed_of
from semflow.suite import Suite
from semflow.suite.datasets import CLASSES
from semflow.suite.registry import class_of


def make_pseudo_mask(suite: Suite) -> PseudoMask:
    """The suite's code between labels and colours."""
    return PseudoMask(len(CLASSES[suite.data.name]), suite.pseudo_mask.k, suite.pseudo_mask.s)


def settings_of(suite: Suite, method: str) -> dict[str, Any]:
    """A method's own section of the suite; a control has none."""
    section = suite.methods.get(method)
    return section.model_dump(exclude_none=True) if section else {}


def latent_size(suite: Suite, autoencoder: Autoencoder) -> tuple[int, int]:
    """Height and width of the latents. SemFlowError if the network cannot halve them as often as it wants to."""
    whole = autoencoder.factor * suite.network.reduction
    if any(side % whole for side in suite.data.size):
        raise SemFlowError(f"data.size {list(suite.data.size)} must be multiples of {whole} with this autoencoder and network")
    h, w = (side // autoencoder.factor for side in suite.data.size)
    return h, w


def make_model(suite: Suite, method: str, seed: int = 0, network: UNet | None = None) -> Model:
    """A method's model: around `network` if one is given, else around one as a training from `seed` begins with."""
    kind = class_of(method)
    autoencoder = make_autoencoder(suite.autoencoder)
    if network is None:
        torch.manual_seed(seed_of("weights", seed))
        size = latent_size(suite, autoencoder)
        network = make_network(suite.network, kind.time_scale, kind.image_copies, autoencoder.channels, size)
    settings = settings_of(suite, method)
    if method == "semflow":
        settings["amplitude"] = suite.pseudo_mask.amplitude
    return kind(network, make_pseudo_mask(suite), autoencoder, **settings)
