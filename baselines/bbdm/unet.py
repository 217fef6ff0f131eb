"""BBDM's own network: diffusers' UNet2DModel in the make of Dhariwal and Nichol (2021)."""

from typing import Any

from torch import nn

from baselines.bbdm import ResidualUNet
from semflow.errors import SemFlowError
from semflow.method.autoencoder import Autoencoder
from semflow.method.unet import UNet


def make_unet(settings: ResidualUNet, autoencoder: Autoencoder, size: tuple[int, int]) -> UNet:
    """A fresh network of timesteps and latents of pictures of `size` (height, width); weights come from torch's global generator.

    SemFlowError if the latents cannot be halved as often as the network wants to.
    """
    from diffusers import UNet2DModel  # imported here, because it takes seconds

    whole, levels = autoencoder.factor * settings.reduction, len(settings.block_out_channels)
    if any(side % whole for side in size):
        raise SemFlowError(f"data.size {list(size)} must be multiples of {whole} with BBDM's autoencoder and network")
    unet = UNet2DModel(
        sample_size=(size[0] // autoencoder.factor, size[1] // autoencoder.factor),
        in_channels=autoencoder.channels,
        out_channels=autoencoder.channels,
        block_out_channels=settings.block_out_channels,
        layers_per_block=settings.layers_per_block,
        down_block_types=("ResnetDownsampleBlock2D",) * (levels - 1) + ("DownBlock2D",),
        up_block_types=("ResnetUpsampleBlock2D",) * (levels - 1) + ("UpBlock2D",),
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=settings.norm_num_groups,
        attn_norm_num_groups=settings.norm_num_groups,
        attention_head_dim=settings.attention_head_dim,
    )
    _begin(unet, settings.init_std)
    return UNet(unet, time_scale=1)


def _begin(unet: nn.Module, std: float) -> None:
    """Weights of convolutions and of linear layers ~ N(0, std^2). As in BBDM's code, those of the attention are left out: its
    queries, keys and values begin as torch's do, and its output at zero."""
    for name, module in unet.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and ".attentions." not in name:
            nn.init.normal_(module.weight, 0, std)
    attention: Any = unet.mid_block.attentions[0]  # type: ignore[union-attr, index]
    nn.init.zeros_(attention.to_out[0].weight)
    nn.init.zeros_(attention.to_out[0].bias)
