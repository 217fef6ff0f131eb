"""From a suite's settings to a model."""

from typing import Any

import torch
from diffusers import UNet2DModel

from baselines import class_of
from semflow.autoencoder import make_autoencoder
from semflow.errors import SemFlowError
from semflow.model import Model
from semflow.networks import UNet, make_unet
from semflow.pseudo_mask import PseudoMask
from semflow.seeds import seed_of
from semflow.suite import CLASSES, Suite


def make_pseudo_mask(suite: Suite) -> PseudoMask:
    """The suite's code between labels and colours."""
    return PseudoMask(len(CLASSES[suite.data.name]), suite.pseudo_mask.k, suite.pseudo_mask.s)


def settings_of(suite: Suite, method: str) -> dict[str, Any]:
    """A method's own section of the suite; a control has none."""
    section = getattr(suite.methods, method, None)
    return section.model_dump() if section else {}


def make_model(suite: Suite, method: str, seed: int = 0, unet: UNet2DModel | None = None) -> Model:
    """A method's model: around `unet` if one is given, else around a fresh one initialised from `seed`."""
    kind = class_of(method)
    autoencoder = make_autoencoder(suite.autoencoder)
    if unet is None:
        torch.manual_seed(seed_of("weights", seed))
        whole = autoencoder.factor * 2 ** (len(suite.network.block_out_channels) - 1)
        if any(side % whole for side in suite.data.size):
            raise SemFlowError(
                f"data.size {list(suite.data.size)} must be multiples of {whole} with this autoencoder and network"
            )
        h, w = (side // autoencoder.factor for side in suite.data.size)
        channels = autoencoder.channels
        unet = make_unet(suite.network, kind.image_copies * channels, channels, (h, w))
    settings = settings_of(suite, method)
    if method == "semflow":
        settings["amplitude"] = suite.pseudo_mask.amplitude
    return kind(UNet(unet, kind.time_scale), make_pseudo_mask(suite), autoencoder, **settings)
