"""Velocity and noise networks: diffusers UNets behind one call. Owns the time scale."""

from pathlib import Path

from diffusers import UNet2DModel
from torch import Tensor, nn

from semflow.suite import Network as Settings


class UNet(nn.Module):
    """network(z, t): z (B, in_channels, h, w) and t, a scalar or (B,), to (B, out_channels, h, w).

    time_scale: what t is multiplied by on its way into the time embedding; 1000 where t lies in [0, 1], 1 where t
    counts timesteps already.
    """

    def __init__(self, unet: UNet2DModel, time_scale: float) -> None:
        super().__init__()
        self.unet, self.time_scale = unet, time_scale

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        t = (t * self.time_scale).to(z.dtype).to(z.device)  # in this order: MPS has no float64
        return self.unet(z, t.expand(len(z))).sample

    def save(self, folder: Path) -> None:
        """Write a folder that `UNet2DModel.from_pretrained` opens."""
        self.unet.save_pretrained(folder, safe_serialization=True)


def make_unet(settings: Settings, in_channels: int, out_channels: int, sample_size: tuple[int, int]) -> UNet2DModel:
    """A fresh UNet2DModel; weights come from torch's global generator."""
    blocks = [("Attn" if attention else "") for attention in settings.attention]
    return UNet2DModel(
        sample_size=sample_size,
        in_channels=in_channels,
        out_channels=out_channels,
        block_out_channels=settings.block_out_channels,
        layers_per_block=settings.layers_per_block,
        down_block_types=tuple(f"{prefix}DownBlock2D" for prefix in blocks),
        up_block_types=tuple(f"{prefix}UpBlock2D" for prefix in reversed(blocks)),
        norm_num_groups=settings.norm_num_groups,
        attention_head_dim=settings.attention_head_dim,
    )
