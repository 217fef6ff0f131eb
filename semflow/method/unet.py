"""Velocity and noise networks: diffusers UNets behind one call. Owns the time scale, the prompt, and the wider first layer."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semflow.errors import SemFlowError
from semflow.method import prompt
from semflow.method.autoencoder import Autoencoder
from semflow.method.network import Network
from semflow.method.pretrained import Pretrained, defaults
from semflow.method.settings import Network as Settings
from semflow.method.settings import StableDiffusion

SHAPE_OF_1_5 = {  # as its file says, but for what a suite says
    "act_fn": "silu",
    "norm_eps": 1e-5,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "center_input_sample": False,
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "use_linear_projection": False,
}
Diffusers = Any  # a UNet2DModel or UNet2DConditionModel; diffusers takes seconds to import, so only those who build one do


class UNet(Network):
    """network(z, t): z (B, in_channels, h, w) and t, a scalar or (B,), to (B, out_channels, h, w).

    time_scale: what t is multiplied by on its way into the time embedding; 1000 where t lies in [0, 1], 1 where t
    counts timesteps already.  prompt: what a UNet2DConditionModel attends to, the same for every z; (1, tokens, width).
    """

    unet: Diffusers
    prompt: Tensor | None

    def __init__(self, unet: Diffusers, time_scale: float, prompt: Tensor | None = None) -> None:
        super().__init__()
        self.unet, self.time_scale = unet, time_scale
        self.register_buffer("prompt", prompt, persistent=False)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        t = (t * self.time_scale).to(z.dtype).to(z.device)  # in this order: MPS has no float64
        if self.prompt is None:
            return self.unet(z, t.expand(len(z))).sample
        return self.unet(z, t.expand(len(z)), self.prompt.expand(len(z), -1, -1)).sample

    @property
    def stored(self) -> nn.Module:
        return self.unet

    def save(self, folder: Path) -> None:
        """Write a folder that `from_pretrained` of the UNet's own class opens, with the prompt beside it."""
        self.unet.save_pretrained(folder, safe_serialization=True, max_shard_size="1TB")  # one file, which the card vouches for
        if self.prompt is not None:
            prompt.write(Path(folder) / prompt.FILE, self.prompt)

    def load(self, folder: Path) -> None:
        super().load(folder)
        if self.prompt is not None:
            self.prompt = prompt.read(folder / prompt.FILE, self.prompt.shape[-1])

    def checkpoint_activations(self) -> None:
        self.unet.enable_gradient_checkpointing()


def make_network(settings: Settings, time_scale: float, copies: int, autoencoder: Autoencoder, size: tuple[int, int]) -> UNet:
    """The network at the start of a training: Stable Diffusion's where the settings say so, else fresh.

    It takes `copies` latents of pictures of `size` (height, width), side by side, and gives one. Fresh weights come from torch's
    global generator. SemFlowError if the latents cannot be halved as often as the network wants to.
    """
    whole = autoencoder.factor * settings.reduction
    if any(side % whole for side in size):
        raise SemFlowError(f"data.size {list(size)} must be multiples of {whole} with this autoencoder and network")
    channels, sample_size = autoencoder.channels, (size[0] // autoencoder.factor, size[1] // autoencoder.factor)
    if settings.kind == "unet2d" or settings.pretrained is None:
        unet = make_unet(settings, copies * channels, channels, sample_size)
        return UNet(unet, time_scale, make_prompt(settings))
    from diffusers import UNet2DConditionModel

    shape = _stable_diffusion(settings, channels, channels)
    anything = {"sample_size"}  # the weights are the same at every size
    expected = {key: value for key, value in (defaults(UNet2DConditionModel) | shape).items() if key not in anything}
    weights = _pretrained(settings)
    unet = weights.open("unet", UNet2DConditionModel, expected)
    if (weights.folder / "scheduler").is_dir():
        target = {"prediction_type": "epsilon"}
        weights.check("scheduler", target, target | weights.config("scheduler", "scheduler_config.json"))
    widen(unet, copies)
    unet.register_to_config(sample_size=sample_size)
    return UNet(unet, time_scale, make_prompt(settings))


def make_prompt(settings: Settings) -> Tensor | None:
    """What the network attends to: the empty prompt's embedding, zeros for random weights; None where it attends to nothing."""
    if settings.kind == "unet2d":
        return None
    if settings.pretrained is None:
        return torch.zeros(1, prompt.TOKENS, settings.cross_attention_dim)
    return prompt.empty(_pretrained(settings), settings.cross_attention_dim)


def make_unet(settings: Settings, in_channels: int, out_channels: int, sample_size: tuple[int, int]) -> Diffusers:
    """A fresh UNet2DModel or UNet2DConditionModel; weights come from torch's global generator."""
    from diffusers import UNet2DConditionModel, UNet2DModel

    if settings.kind == "stable_diffusion":
        return UNet2DConditionModel(sample_size=sample_size, **_stable_diffusion(settings, in_channels, out_channels))
    return UNet2DModel(
        sample_size=sample_size,
        in_channels=in_channels,
        out_channels=out_channels,
        **_blocks(settings, "Attn"),
    )


def widen(unet: Diffusers, copies: int) -> None:
    """Let the first layer take `copies` latents side by side: the first as it took its one, the others at weight zero.

    So a network that is widened for the image beside the mask begins as if there were no image.
    """
    first = unet.conv_in
    old = first.weight.detach()
    first.weight = nn.Parameter(torch.cat([old, *[torch.zeros_like(old)] * (copies - 1)], 1))
    first.in_channels = copies * old.shape[1]
    unet.register_to_config(in_channels=first.in_channels)


def _pretrained(settings: StableDiffusion) -> Pretrained:
    return Pretrained("network.pretrained", str(settings.pretrained), ("unet", *prompt.PARTS, "scheduler"))


def _stable_diffusion(settings: StableDiffusion, in_channels: int, out_channels: int) -> dict[str, Any]:
    """The keys of a UNet2DConditionModel of Stable Diffusion 1.5's make, and of the settings' size."""
    return {
        "in_channels": in_channels,
        "out_channels": out_channels,
        **_blocks(settings, "CrossAttn"),
        "cross_attention_dim": settings.cross_attention_dim,
        **SHAPE_OF_1_5,
    }


def _blocks(settings: Settings, attends: str) -> dict[str, Any]:
    prefixes = [attends if attention else "" for attention in settings.attention]
    return {
        "block_out_channels": settings.block_out_channels,
        "layers_per_block": settings.layers_per_block,
        "down_block_types": tuple(f"{prefix}DownBlock2D" for prefix in prefixes),
        "up_block_types": tuple(f"{prefix}UpBlock2D" for prefix in reversed(prefixes)),
        "norm_num_groups": settings.norm_num_groups,
        "attention_head_dim": settings.attention_head_dim,
    }
