"""DSM: segmentation as image-conditioned denoising diffusion (Eq. 1 to 6), by DDPM (SDE) or DDIM (ODE)."""

from typing import Any

import torch
from torch import Tensor, nn

from semflow.loading.batches import Batch
from semflow.method.autoencoder import Autoencoder, Pair, latents_of
from semflow.method.contract import Blueprint, Phase, Settings
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
    """

    sampling = ("unet",)
    phases = (Phase("denoising", ("unet",)),)
    rowwise = True

    def __init__(self, network: UNet, pseudo_mask: PseudoMask, autoencoder: Autoencoder, timestep_spacing: str) -> None:
        self.networks, self.beside = nn.ModuleDict({"unet": network}), nn.ModuleList([autoencoder])
        self.network, self.pseudo_mask, self.autoencoder = network, pseudo_mask, autoencoder
        self.timestep_spacing = timestep_spacing
        self.forward_process = _scheduler("DDPMScheduler")

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "DSM":
        network = make_network(blueprint.network, 1, 2, blueprint.autoencoder, blueprint.size)  # it sees noise and image
        own = settings.model_dump(exclude=set(Settings.model_fields))
        return cls(network, blueprint.pseudo_mask, blueprint.autoencoder, **own)

    def look(self, batch: Batch, source: Source) -> Pair:
        """Latents of images and of their masks."""
        return latents_of(batch, self.autoencoder, self.encode_labels, source)

    def encode_labels(self, labels: Tensor, source: Source) -> Tensor:
        """Labels uint8 (B, H, W) to the latents of their pseudo mask, (B, C, h, w); nothing is drawn."""
        return self.autoencoder.encode(self.pseudo_mask.encode(labels))

    def losses(self, phase: str, x: Pair, source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """Eq. 2, averaged over all elements, with t uniform over the 1000 timesteps."""
        image, x0 = x
        noise = normal(tuple(x0.shape), source, x0.device)
        t = integers(TRAIN_TIMESTEPS, (len(x0),), source, x0.device)
        predicted = self.predict_noise(self.forward_process.add_noise(x0, noise, t), image, t)
        return {"noise": (self.weight(t, x0) * (predicted - noise)).square().mean()}

    def segment(self, images: Tensor, sampler: Sampler, generator: torch.Generator) -> Tensor:
        """Eq. 6: images to labels, from Gaussian noise drawn with the generator."""
        image = self.autoencoder.encode(images)
        scheduler = self.scheduler(sampler)
        x = torch.randn(image.shape, generator=generator, device=image.device)
        for t in scheduler.timesteps:
            x = scheduler.step(self.predict_noise(x, image, t), t, x, generator=generator).prev_sample
        return self.decode_labels(x)

    def decode_labels(self, x0: Tensor) -> Tensor:
        """Latents of pseudo masks (B, C, h, w) to labels uint8 (B, H, W)."""
        return self.pseudo_mask.decode(self.autoencoder.decode(x0))

    def predict_noise(self, x: Tensor, image: Tensor, t: Tensor) -> Tensor:
        """eps_theta(x_t, t, I) of Eq. 2 and 3; t int, a scalar or (B,)."""
        return self.network(torch.cat([x, image], 1), t)

    def weight(self, t: Tensor, like: Tensor) -> Tensor | float:
        """What Eq. 2's difference is multiplied by at timesteps t (B,)."""
        return 1.0

    def scheduler(self, sampler: Sampler) -> Any:
        """diffusers' scheduler for Eq. 3, with the s_t of Eq. 5, set to the sampler's steps, which divide 1000."""
        kind = {"ddim": "DDIMScheduler", "ddpm": "DDPMScheduler"}[sampler.name]
        scheduler = _scheduler(kind, timestep_spacing=self.timestep_spacing)
        scheduler.set_timesteps(sampler.steps)
        return scheduler


def _scheduler(kind: str, **options: Any) -> Any:
    import diffusers  # imported here, because it takes seconds

    return getattr(diffusers, kind)(**SCHEDULE, **options)
