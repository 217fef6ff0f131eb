"""Weights that BBDM's authors released, under the names of our networks and of diffusers' VQModel.

Their files (repository xuekt98/BBDM) hold a state dict under `ema`, the averaged UNet alone, and one under `model`: UNet,
autoencoder, and the coefficients of the bridge, which are worked out here. The UNet has the names of OpenAI's guided-diffusion,
the autoencoder those of VQ-f4 in CompVis/latent-diffusion.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from semflow.errors import SemFlowError

LAYERS, LEVELS = 2, 3  # residual blocks a resolution on the way down, and resolutions
HEAD = 64  # channels of a head of the UNet's attention
PARTS = ("encoder", "decoder", "quantize", "quant_conv", "post_quant_conv")  # of the autoencoder
UNUSED = re.compile(r"vqgan\..*|m_t|m_tminus|variance_t|variance_tminus|variance_t_tminus|posterior_variance_t")
NAME = re.compile(
    r"(input_blocks\.\d+\.0|output_blocks\.\d+\.[01]|middle_block\.[012]|time_embed\.[02]|out\.[02])\.?(.*)\.(weight|bias)"
)
OUTER = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
INNER = {
    "": "",
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
    "norm": "group_norm",
    "proj_out": "to_out.0",
}
IN_AUTOENCODER = {
    r"mid\.block_1\.": "mid_block.resnets.0.",
    r"mid\.block_2\.": "mid_block.resnets.1.",
    r"mid\.attn_1\.norm\.": "mid_block.attentions.0.group_norm.",
    r"mid\.attn_1\.proj_out\.": "mid_block.attentions.0.to_out.0.",
    r"mid\.attn_1\.": "mid_block.attentions.0.to_",
    r"down\.(\d)\.block\.": r"down_blocks.\1.resnets.",
    r"down\.(\d)\.downsample\.": r"down_blocks.\1.downsamplers.0.",
    r"up\.(\d)\.block\.": r"up_blocks.\1.resnets.",
    r"up\.(\d)\.upsample\.": r"up_blocks.\1.upsamplers.0.",
    r"nin_shortcut\.": "conv_shortcut.",
    r"norm_out\.": "conv_norm_out.",
}


def convert(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """What `ema` or `model` holds of the networks, by their keys.

    Queries, keys and values, which are one layer there, head after head, are three here. SemFlowError names a tensor that belongs
    nowhere.
    """
    unet: dict[str, Tensor] = {}
    for name, value in state.items():
        if not UNUSED.fullmatch(name):
            unet |= _placed(name, value)
    return {"unet": unet}


def autoencoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `model`, or VQ-f4's own file, holds of the autoencoder: the state dict of a VQModel."""
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        inside = name.removeprefix("vqgan.")
        if inside.partition(".")[0] in PARTS:
            for theirs, ours in IN_AUTOENCODER.items():
                inside = re.sub(rf"\b{theirs}", ours, inside)
            # They count upwards from the finest resolution, we from the coarsest.
            inside = re.sub(r"up_blocks\.(\d)", lambda match: f"up_blocks.{LEVELS - 1 - int(match[1])}", inside)
            found[inside] = value.flatten(1) if ".attentions.0.to_" in inside and value.ndim == 4 else value
    return found


def _placed(name: str, value: Tensor) -> dict[str, Tensor]:
    found = NAME.fullmatch(name.removeprefix("denoise_fn."))
    if not found or found[2] not in (*INNER, "qkv"):
        raise SemFlowError(f"BBDM's weights have no place for {name}; give those of an LBBDM-f4 under `ema` or `model`")
    outer = OUTER.get(found[1]) or _block(*found[1].split("."))
    value = value.squeeze(2) if value.ndim == 3 else value  # a convolution of one pixel is a linear layer here
    if found[2] == "qkv":
        parts = value.unflatten(0, (-1, 3, HEAD)).unbind(1)
        return {f"{outer}.to_{part}.{found[3]}": one.flatten(0, 1) for part, one in zip("qkv", parts, strict=True)}
    return {".".join(filter(None, (outer, INNER[found[2]], found[3]))): value}


def _block(side: str, number: str, layer: str) -> str:
    """Where a block of the way down or up belongs: to its resolution, whose last block changes size."""
    if side == "output_blocks":
        level, block = divmod(int(number), LAYERS + 1)
        return f"up_blocks.{level}." + (f"resnets.{block}" if layer == "0" else "upsamplers.0")
    level, block = divmod(int(number) - 1, LAYERS + 1)
    return f"down_blocks.{level}." + (f"resnets.{block}" if block < LAYERS else "downsamplers.0")
