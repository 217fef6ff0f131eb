"""Weights that BBDM's authors released, under the names of our networks."""

import re

from torch import Tensor

from semflow.errors import SemFlowError

LAYERS = 2  # residual blocks a resolution of the released networks
HEAD = 64  # channels of a head of their attention
OURS = "denoise_fn."  # before the names of the network that sampling needs
# The autoencoder, which is a file of its own here; coefficients of the bridge, which are worked out.
UNUSED = re.compile(r"vqgan\..*|m_t|m_tminus|variance_t|variance_tminus|variance_t_tminus|posterior_variance_t")
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
NAME = re.compile(r"((?:in|out)put_blocks\.\d+\.\d+|middle_block\.\d+|time_embed\.\d+|out\.\d+)\.?(.*)\.(weight|bias)")


def convert(state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """State dicts by key of `networks`, of one that BBDM's authors released (xuekt98/BBDM; `ema` or `model` of a file).

    Their UNet has the names of OpenAI's guided-diffusion. Queries, keys and values, which are one layer there, head after head,
    are three here. SemFlowError names a tensor that belongs nowhere.
    """
    unet: dict[str, Tensor] = {}
    for name, value in state.items():
        if not UNUSED.fullmatch(name):
            unet |= _placed(name, value)
    return {"unet": unet}


def _placed(name: str, value: Tensor) -> dict[str, Tensor]:
    found = NAME.fullmatch(name.removeprefix(OURS))
    outer = found and (OUTER.get(found[1]) or _block(*found[1].split(".")))
    if not found or not outer or found[2] not in (*INNER, "qkv"):
        raise SemFlowError(f"BBDM's weights have no place for {name}; give those of an LBBDM-f4 under `ema` or `model`")
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
