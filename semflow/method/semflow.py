"""SemFlow: one velocity network between images and masks, in both directions."""

from collections import deque
from collections.abc import Iterator
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from baselines.semflow import CARD
from semflow.errors import SemFlowError
from semflow.method import flow, solvers
from semflow.method.autoencoder import Autoencoder
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import Sampler
from semflow.method.settings import TRAIN_TIMESTEPS
from semflow.method.unet import UNet
from semflow.seeds import Source, uniform


class Model(Protocol):
    """What training.py trains and evaluation.py scores. A method that cannot do a task lacks its function."""

    samplers: ClassVar[tuple[str, ...]]
    time_scale: ClassVar[int]  # see networks.UNet
    image_copies: ClassVar[int]  # how many latents of an image's size the network takes in

    network: UNet
    pseudo_mask: PseudoMask
    autoencoder: Autoencoder

    def encode_labels(self, labels: Tensor, source: Source) -> Tensor:
        """Labels uint8 (B, H, W), 255 ignored, or painted before (B, 3, H, W), to latents (B, C, h, w) as training wants them."""
        ...

    def loss(self, image: Tensor, mask: Tensor, source: Source) -> Tensor:
        """Training loss, a scalar, of the latents (B, C, h, w) of images and of their labels."""
        ...

    def segment(self, images: Tensor, sampler: Sampler, generator: torch.Generator) -> Tensor:
        """images float (B, 3, H, W) in [-1, 1] to labels uint8 (B, H, W)."""
        ...


def place(model: Model, device: torch.device) -> torch.device:
    """Move a model's network and autoencoder to `device`, ready to sample; returns it."""
    model.network.to(device).eval()
    model.autoencoder.to(device)
    return device


class SemFlow:
    """Rectified flow from image latents z0 to pseudo-mask latents z1 (Eq. 8 to 14).

    amplitude: of the finite perturbation in training and synthesis (Eq. 14), in 0..255 units.
    """

    samplers: ClassVar = tuple(CARD.tasks["segmentation"])
    time_scale: ClassVar = TRAIN_TIMESTEPS
    image_copies: ClassVar = 1  # z alone

    def __init__(self, network: UNet, pseudo_mask: PseudoMask, autoencoder: Autoencoder, amplitude: float) -> None:
        self.network, self.pseudo_mask, self.autoencoder, self.amplitude = network, pseudo_mask, autoencoder, amplitude

    def loss(self, image: Tensor, mask: Tensor, source: Source) -> Tensor:
        """Eq. 10 from image to perturbed mask latents, with t ~ U(0, 1) drawn in float32."""
        return flow.loss(self.network, image, mask, uniform((len(image),), source, image.device))

    def segment(self, images: Tensor, sampler: Sampler, generator: torch.Generator) -> Tensor:
        """Eq. 12: images to labels. The generator is not used. Of a batch, each result is a function of its image alone,
        but with rk45, whose steps suit the whole batch.
        """
        return self.read(_last(self.path(self.autoencoder.encode(images), sampler, points=1)))

    def synthesize(self, labels: Tensor, sampler: Sampler, generator: torch.Generator, amplitude: float | None = None) -> Tensor:
        """Eq. 13: labels uint8 (B, H, W) to images float (B, 3, H, W) in [-1, 1]; the perturbation makes them vary.

        amplitude: of the perturbation, in 0..255 units; that of training if it is not given.
        """
        return self.draw(_last(self.path(self.encode_labels(labels, generator, amplitude), sampler, reverse=True, points=1)))

    def path(self, z: Tensor, sampler: Sampler, reverse: bool = False, points: int = 10) -> Iterator[Tensor]:
        """Latents on the way from z0 to z1, or in reverse, each (B, C, h, w), z itself the first.

        One a step; where the sampler chooses its own steps, `points` after the first, equally spaced in time.
        """
        if sampler.name not in self.samplers:
            raise SemFlowError(f"semflow has no sampler {sampler.name!r}; it has {', '.join(self.samplers)}")
        yield z
        yield from solvers.solve(sampler.name, self.network, z, solvers.time_grid(sampler.steps or points, reverse))

    def encode_labels(self, labels: Tensor, source: Source, amplitude: float | None = None) -> Tensor:
        """Labels uint8 (B, H, W) to the latents z1 of their perturbed pseudo mask (Eq. 8 and 14), (B, C, h, w)."""
        b = self.amplitude if amplitude is None else amplitude
        return self.autoencoder.encode(self.pseudo_mask.perturb(self.pseudo_mask.paint(labels), b, source))

    def read(self, z1: Tensor) -> Tensor:
        """Latents of a pseudo mask (B, C, h, w) to labels uint8 (B, H, W)."""
        return self.pseudo_mask.read(self.autoencoder.decode(z1))

    def draw(self, z0: Tensor) -> Tensor:
        """Latents of an image (B, C, h, w) to the image, float (B, 3, H, W) in [-1, 1]."""
        return self.autoencoder.decode(z0).clamp(-1, 1)


def _last(states: Iterator[Tensor]) -> Tensor:
    return deque(states, maxlen=1).pop()
