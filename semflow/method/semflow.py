"""SemFlow: one velocity network between images and masks, in both directions."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from semflow.loading.batches import Batch
from semflow.method import flow, solvers
from semflow.method.autoencoder import Autoencoder, Pair, latents_of
from semflow.method.contract import Blueprint, Phase
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import Sampler
from semflow.method.settings import TRAIN_TIMESTEPS
from semflow.method.unet import UNet, make_network
from semflow.seeds import Source, uniform


class SemFlow:
    """Rectified flow from image latents z0 to pseudo-mask latents z1 (Eq. 8 to 14).

    amplitude: b of Eq. 14, in training and synthesis, in grey levels of 255.
    """

    sampling = ("unet",)
    phases = (Phase("flow", ("unet",)),)
    rowwise = True

    def __init__(self, network: UNet, pseudo_mask: PseudoMask, autoencoder: Autoencoder, amplitude: float) -> None:
        self.networks, self.beside = nn.ModuleDict({"unet": network}), nn.ModuleList([autoencoder])
        self.network, self.pseudo_mask, self.autoencoder, self.amplitude = network, pseudo_mask, autoencoder, amplitude

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "SemFlow":
        network = make_network(blueprint.network, TRAIN_TIMESTEPS, 1, blueprint.autoencoder, blueprint.size)
        return cls(network, blueprint.pseudo_mask, blueprint.autoencoder, blueprint.amplitude)

    def look(self, batch: Batch, source: Source) -> Pair:
        """Latents of images and of their perturbed masks, z0 and z1."""
        return latents_of(batch, self.autoencoder, self.encode_labels, source)

    def losses(self, phase: str, x: Pair, source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """Eq. 10, with t ~ U(0, 1) drawn in float32."""
        z0, z1 = x
        return {"flow": flow.loss(self.network, z0, z1, uniform((len(z0),), source, z0.device))}

    def segment(self, images: Tensor, sampler: Sampler, generator: torch.Generator) -> Tensor:
        """Eq. 12: images to labels. The generator is not used. Of a batch, each result is a function of its image alone,
        but with rk45, whose steps suit the whole batch.
        """
        return self.to_labels(_last(self.path(self.encode_images(images), sampler, points=1)))

    def synthesize(self, labels: Tensor, sampler: Sampler, generator: torch.Generator, amplitude: float | None = None) -> Tensor:
        """Eq. 13: labels uint8 (B, H, W) to images float (B, 3, H, W) in [-1, 1]; the perturbation makes them vary.

        amplitude: of the perturbation, in 0..255 units; that of training if it is not given.
        """
        return self.to_images(_last(self.path(self.encode_labels(labels, generator, amplitude), sampler, reverse=True, points=1)))

    def path(self, z: Tensor, sampler: Sampler, reverse: bool = False, points: int = 10) -> Iterator[Tensor]:
        """Latents on the way from z0 to z1, or in reverse, each (B, C, h, w), z itself the first.

        One a step; where the sampler chooses its own steps, `points` after the first, equally spaced in time.
        """
        yield z
        yield from solvers.solve(sampler.name, self.network, z, solvers.time_grid(sampler.steps or points, reverse))

    def encode_images(self, images: Tensor) -> Tensor:
        """images float (B, 3, H, W) in [-1, 1] to their latents z0 (Eq. 8), (B, C, h, w)."""
        return self.autoencoder.encode(images)

    def encode_labels(self, labels: Tensor, source: Source, amplitude: float | None = None) -> Tensor:
        """Labels uint8 (B, H, W) to the latents z1 of their perturbed pseudo mask (Eq. 8 and 14), (B, C, h, w)."""
        b = self.amplitude if amplitude is None else amplitude
        return self.autoencoder.encode(self.pseudo_mask.perturb(self.pseudo_mask.encode(labels), b, source))

    def to_labels(self, z1: Tensor) -> Tensor:
        """Latents of a pseudo mask (B, C, h, w) to labels uint8 (B, H, W)."""
        return self.pseudo_mask.decode(self.autoencoder.decode(z1))

    def to_images(self, z0: Tensor) -> Tensor:
        """Latents of an image (B, C, h, w) to the image, float (B, 3, H, W) in [-1, 1]."""
        return self.decode(z0).clamp(-1, 1)

    def decode(self, z: Tensor) -> Tensor:
        """Latents (B, C, h, w) of whatever time to a picture, float (B, 3, H, W), about [-1, 1]."""
        return self.autoencoder.decode(z)


def _last(states: Iterator[Tensor]) -> Tensor:
    return deque(states, maxlen=1).pop()
