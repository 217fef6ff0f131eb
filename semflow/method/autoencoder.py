"""Pixels to latents and back (Eq. 8). Owns the scaling factor; knows no task."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from semflow.loading.batches import Batch
from semflow.loading.pixels import to_unit_range
from semflow.method import pretrained
from semflow.method.settings import KL as KLSettings
from semflow.method.settings import Autoencoder as Settings
from semflow.seeds import Source, normal, seed_of

LEAST, MOST = -30.0, 20.0  # of a logarithm of a variance, as in diffusers


class Autoencoder(nn.Module):
    """The interface, and the identity: latents are the pixels.

    channels: of the latents.  factor: pixels a latent, along each side.  precision: bf16,
    in which pixels are encoded then, or any other word of accelerate's for float32, which latents always are.
    """

    channels, factor = 3, 1
    precision: str = "no"

    def encode(self, pixels: Tensor, source: Source = None) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to (B, channels, H / factor, W / factor).

        With a source of random numbers a stochastic encoder draws from its posterior; without one it takes the mode.
        """
        return pixels

    def decode(self, latents: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, 3, h factor, w factor), about [-1, 1], not clipped."""
        return latents

    def moments(self, pixels: Tensor) -> Tensor:
        """Mean and standard deviation of the latents, float32 (B, 2, channels, h, w): all that `sample` needs of the pixels."""
        mean = self.encode(pixels)
        return torch.stack([mean, torch.zeros_like(mean)], 1)

    def sample(self, moments: Tensor, source: Source = None) -> Tensor:
        """What `encode` gives, bit for bit, of the pixels that had these moments."""
        return moments[:, 0]


class Patchify(Autoencoder):
    """Lossless: every factor x factor patch becomes 3 factor^2 channels."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.channels, self.factor = 3 * factor**2, factor

    def encode(self, pixels: Tensor, source: Source = None) -> Tensor:
        return pixel_unshuffle(pixels, self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        return pixel_shuffle(latents, self.factor)


class KL(Autoencoder):
    """A frozen diffusers AutoencoderKL (Stable Diffusion's VAE), latents scaled by its own factor.

    SemFlowError if there is none where the settings say, or another one.
    """

    vae: Any

    def __init__(self, settings: KLSettings) -> None:
        super().__init__()
        self.vae = _random(settings) if settings.pretrained is None else _opened(settings)
        self.vae.requires_grad_(False).eval()
        self.channels, self.factor, self.scale = settings.latent_channels, settings.factor, settings.scaling_factor

    def encode(self, pixels: Tensor, source: Source = None) -> Tensor:
        return self.sample(self.moments(pixels), source)

    def decode(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents / self.scale).sample

    def moments(self, pixels: Tensor) -> Tensor:
        with torch.autocast(pixels.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext():
            parameters = self.vae.encode(pixels).latent_dist.parameters
        mean, logvar = parameters.float().chunk(2, 1)
        return self.scale * torch.stack([mean, torch.exp(logvar.clamp(LEAST, MOST) / 2)], 1)

    def sample(self, moments: Tensor, source: Source = None) -> Tensor:
        mean, deviation = moments.unbind(1)
        return mean if source is None else mean + deviation * normal(tuple(mean.shape), source, mean.device)


Pair = tuple[Tensor, Tensor]  # latents (B, C, h, w) of images and of their masks


def latents_of(batch: Batch, autoencoder: Autoencoder, encode_labels: Callable[[Tensor, Source], Tensor], source: Source) -> Pair:
    """Latents of a batch's images and masks, of whatever it is made: drawn from moments or modes that were cached, or encoded."""
    image, mask = batch
    moments = image.is_floating_point()
    z_image = autoencoder.sample(image, source) if moments else autoencoder.encode(to_unit_range(image), source)
    return z_image, mask if mask.is_floating_point() else encode_labels(mask, source)


def make_autoencoder(settings: Settings) -> Autoencoder:
    """The autoencoder that a suite's `autoencoder:` section asks for."""
    if settings.kind == "patchify":
        return Patchify(settings.factor)
    if settings.kind == "kl":
        return KL(settings)
    return Autoencoder()


def _opened(settings: KLSettings) -> Any:
    from diffusers import AutoencoderKL  # imported here, because it takes seconds

    weights = pretrained.Pretrained("autoencoder.pretrained", str(settings.pretrained), ("vae",))
    expected: dict[str, Any] = {
        "latent_channels": settings.latent_channels,
        "block_out_channels": settings.block_out_channels,
        "scaling_factor": settings.scaling_factor,
        "in_channels": 3,
        "out_channels": 3,
        **dict.fromkeys(("shift_factor", "latents_mean", "latents_std")),  # other models' ways of scaling
    }
    return weights.open("vae", AutoencoderKL, expected)


def _random(settings: KLSettings) -> Any:
    """The size of Stable Diffusion's, at random weights that are always the same."""
    from diffusers import AutoencoderKL

    levels = len(settings.block_out_channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("autoencoder"))
        return AutoencoderKL(
            latent_channels=settings.latent_channels,
            block_out_channels=settings.block_out_channels,
            scaling_factor=settings.scaling_factor,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            layers_per_block=2,
            norm_num_groups=math.gcd(32, *settings.block_out_channels),
        )
