"""Pixels to latents and back (Eq. 8). Owns the scaling factor; knows no task."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from semflow.errors import SemFlowError
from semflow.suite import Autoencoder as Settings


class Autoencoder(nn.Module):
    """The interface, and the identity: latents are the pixels.

    channels: of the latents.  factor: pixels a latent, along each side.
    """

    channels, factor = 3, 1

    def encode(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to (B, channels, H / factor, W / factor).

        With a generator a stochastic encoder draws from its posterior; without one it takes the mode.
        """
        return pixels

    def decode(self, latents: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, 3, h factor, w factor), about [-1, 1], not clipped."""
        return latents


class Patchify(Autoencoder):
    """Lossless: every factor x factor patch becomes 3 factor^2 channels."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.channels, self.factor = 3 * factor**2, factor

    def encode(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return pixel_unshuffle(pixels, self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        return pixel_shuffle(latents, self.factor)


class KL(Autoencoder):
    """A frozen diffusers AutoencoderKL (Stable Diffusion's VAE), latents scaled by its own factor."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        from diffusers import AutoencoderKL

        if not folder.is_dir():
            raise SemFlowError(f"autoencoder.path: {folder} is not a folder; put Stable Diffusion's `vae` folder there")
        try:
            self.vae = AutoencoderKL.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        except Exception as error:  # diffusers raises a different kind for every way a folder can be wrong
            reason = str(error).splitlines()[0]
            raise SemFlowError(f"autoencoder.path: {folder} is not a diffusers AutoencoderKL folder ({reason})") from None
        self.vae.requires_grad_(False).eval()
        self.channels = self.vae.config.latent_channels
        self.factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.scale = self.vae.config.scaling_factor

    def encode(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        posterior = self.vae.encode(pixels).latent_dist
        return self.scale * (posterior.mode() if generator is None else posterior.sample(generator))

    def decode(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents / self.scale).sample


def make_autoencoder(settings: Settings) -> Autoencoder:
    """The autoencoder that a suite's `autoencoder:` section asks for."""
    if settings.kind == "patchify":
        return Patchify(settings.factor)
    if settings.kind == "kl":
        return KL(settings.path)
    return Autoencoder()
