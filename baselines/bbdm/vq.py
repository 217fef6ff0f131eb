"""Pixels to the latents of a frozen VQModel and back."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from baselines.bbdm import VQ as Settings
from semflow.errors import SemFlowError
from semflow.method.autoencoder import Autoencoder
from semflow.method.pretrained import Pretrained
from semflow.seeds import Source, seed_of

KEY = "methods.bbdm.autoencoder"


class VQ(Autoencoder):
    """As BBDM uses it: latents are what the encoder gives before it is quantised, unscaled; decoding quantises first.

    SemFlowError if there is none where the settings say, or another one.
    """

    vq: Any

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        shapes_alone = torch.empty(0).is_meta  # a plan, which opens no weights
        self.vq = _random(settings) if settings.pretrained is None or shapes_alone else _opened(settings)
        self.vq.requires_grad_(False).eval()
        self.channels, self.factor = settings.latent_channels, settings.factor

    def encode(self, pixels: Tensor, source: Source = None) -> Tensor:
        with torch.autocast(pixels.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext():
            latents = self.vq.encode(pixels).latents
        return latents.float()

    def decode(self, latents: Tensor) -> Tensor:
        return self.vq.decode(latents).sample


def _shape(settings: Settings) -> dict[str, Any]:
    """The keys of a VQModel that the settings say something of."""
    return {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": settings.latent_channels,
        "block_out_channels": settings.block_out_channels,
        "layers_per_block": settings.layers_per_block,
        "norm_num_groups": settings.norm_num_groups,
        "num_vq_embeddings": settings.codes,
    }


def _opened(settings: Settings) -> Any:
    from diffusers import VQModel  # imported here, because it takes seconds

    weights = Pretrained(f"{KEY}.pretrained", str(settings.pretrained), settings.parts, "the diffusers folder of a VQModel")
    vq = weights.open(settings.parts[0], VQModel, _shape(settings) | {"lookup_from_codebook": False, "norm_type": "group"})
    if (width := vq.quantize.vq_embed_dim) != settings.latent_channels:
        raise SemFlowError(f"{KEY}.latent_channels: the codes of {settings.pretrained} have {width} channels; give as many")
    return vq


def _random(settings: Settings) -> Any:
    """Of that size, at random weights that are always the same."""
    from diffusers import VQModel

    levels = len(settings.block_out_channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("autoencoder"))
        return VQModel(
            **_shape(settings),
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
        )
