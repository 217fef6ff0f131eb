"""DSM: segmentation as image-conditioned denoising diffusion (Eq. 1 to 6), by DDPM (SDE) or DDIM (ODE)."""

from typing import Any

import torch
from torch import Tensor, nn

from semflow.loading.batches import Batch
from semflow.method.autoencoder import Autoencoder, Pair, latents_of
from semflow.method.contract import Blueprint, Phase
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import Sampler
from semflow.method.settings import TRAIN_TIMESTEPS
from semflow.method.unet import UNet, make_network
from semflow.seeds import Source, integers, normal

# Stable Diffusion 1.5's schedule, without clipping, which Eq. 3 does not have.
SCHEDULE = {
    "num_train_timesteps": TRAIN_TIMESTEPS,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
}


class DSM:
    """Noise prediction on mask latents with the image latents concatenated on the channel axis (Eq. 6).

    timestep_spacing: diffusers' name for which N timesteps of 1000 are visited, leading (0, 1000/N, ...: Stable
    Diffusion's way) or trailing (..., 999). N must divide 1000: elsewhere diffusers' DDIM steps past its own list.
    mask_scale: what mask latents are multiplied by before Eq. 1. Below 1 the noise hides them sooner, so that at more
    timesteps they must be read off the image (Chen et al., 2023, scale masks by 0.1).
    preconditioning: give the network x_t at unit variance, add its output to the best linear guess of the noise (both
    as if latents were standard normal before scaling), and
    weigh Eq. 2's error so that this output counts alike at every timestep (Karras et al., 2022, section 5, written for
    Eq. 1). Without it a network that is not pretrained learns to denoise masks long before it looks at the image.
    """

    sampling = ("unet",)
    phases = (Phase("denoising", ("unet",)),)
    rowwise = True

    def __init__(
        self,
        network: UNet,
        pseudo_mask: PseudoMask,
        autoencoder: Autoencoder,
        timestep_spacing: str,
        mask_scale: float,
        preconditioning: bool,
    ) -> None:
        self.networks, self.beside = nn.ModuleDict({"unet": network}), nn.ModuleList([autoencoder])
        self.network, self.pseudo_mask, self.autoencoder = network, pseudo_mask, autoencoder
        self.timestep_spacing, self.mask_scale, self.preconditioning = timestep_spacing, mask_scale, preconditioning
        self.forward_process = _scheduler("DDPMScheduler")
        self.alphas = self.forward_process.alphas_cumprod  # a_t of Eq. 1, (1000,)

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "DSM":
        network = make_network(blueprint.network, 1, 2, blueprint.autoencoder, blueprint.size)  # it sees noise and image
        own = {name: getattr(settings, name) for name in ("timestep_spacing", "mask_scale", "preconditioning")}
        return cls(network, blueprint.pseudo_mask, blueprint.autoencoder, **own)

    def look(self, batch: Batch, source: Source) -> Pair:
        """Latents of images and of their masks."""
        return latents_of(batch, self.autoencoder, self.encode_labels, source)

    def encode_labels(self, labels: Tensor, source: Source) -> Tensor:
        """Labels uint8 (B, H, W) to the latents of their pseudo mask, (B, C, h, w); nothing is drawn."""
        return self.autoencoder.encode(self.pseudo_mask.encode(labels))

    def losses(self, phase: str, x: Pair, source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """Eq. 2, averaged over all elements, with t uniform over the 1000 timesteps."""
        image, mask = x
        x0 = self.mask_scale * mask
        noise = normal(tuple(x0.shape), source, x0.device)
        t = integers(TRAIN_TIMESTEPS, (len(x0),), source, x0.device)
        xt = self.forward_process.add_noise(x0, noise, t)
        _, _, unknown = self._scales(t, xt)
        return {"noise": ((self._predict_noise(xt, image, t) - noise) / unknown).square().mean()}

    def segment(self, images: Tensor, sampler: Sampler, generator: torch.Generator) -> Tensor:
        """Eq. 6: images to labels, from Gaussian noise drawn with the generator."""
        image = self.autoencoder.encode(images)
        scheduler = self.scheduler(sampler)
        x = torch.randn(image.shape, generator=generator, device=image.device)
        for t in scheduler.timesteps:
            noise = self._predict_noise(x, image, t)
            x = scheduler.step(noise, t, x, generator=generator).prev_sample
        return self.pseudo_mask.decode(self.autoencoder.decode(x / self.mask_scale))

    def _predict_noise(self, x: Tensor, image: Tensor, t: Tensor) -> Tensor:
        """eps_theta(x_t, t, I) of Eq. 2 and 3; t int, a scalar or (B,)."""
        unit, guess, unknown = self._scales(t, x)
        return guess * x + unknown * self.network(torch.cat([unit * x, image], 1), t)

    def _scales(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What to multiply x_t by for the network and for the guess, and the network's output; each (B or 1, 1, 1, 1)."""
        self.alphas = self.alphas.to(like.device)  # moves once; looking it up on the CPU would stall an accelerator
        a = self.alphas[t.to(like.device).view(-1)].view(-1, 1, 1, 1)
        if not self.preconditioning:
            return torch.ones_like(a), torch.zeros_like(a), torch.ones_like(a)
        variance = a * self.mask_scale**2 + 1 - a  # of x_t, were the latents standard normal before scaling
        return variance.rsqrt(), (1 - a).sqrt() / variance, self.mask_scale * (a / variance).sqrt()

    def scheduler(self, sampler: Sampler) -> Any:
        """diffusers' scheduler for Eq. 3, with the s_t of Eq. 5, set to the sampler's steps, which divide 1000."""
        kind = {"ddim": "DDIMScheduler", "ddpm": "DDPMScheduler"}[sampler.name]
        scheduler = _scheduler(kind, timestep_spacing=self.timestep_spacing)
        scheduler.set_timesteps(sampler.steps)
        return scheduler


def _scheduler(kind: str, **options: Any) -> Any:
    import diffusers  # imported here, because it takes seconds

    return getattr(diffusers, kind)(**SCHEDULE, **options)
