"""SemFlow: one velocity network between images and masks, in both directions."""

from collections import deque
from collections.abc import Iterator
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from semflow import flow, solvers
from semflow.autoencoder import Autoencoder
from semflow.config import ADAPTIVE, SAMPLERS, TRAIN_TIMESTEPS
from semflow.errors import SemFlowError
from semflow.networks import UNet
from semflow.pseudo_mask import PseudoMask


class Sampler(NamedTuple):
    """How to integrate: a name and a number of steps, written `euler-25` or `ddim-200`; `rk45` has 0: it chooses its own."""

    name: str
    steps: int

    @classmethod
    def parse(cls, text: str) -> "Sampler":
        if text in ADAPTIVE:
            return cls(text, 0)
        name, _, steps = text.rpartition("-")
        if name in ADAPTIVE:
            raise SemFlowError(f"sampler {text!r}: {name} chooses its own steps; write {name}")
        if not name or not steps.isdecimal() or int(steps) < 1:
            raise SemFlowError(f"sampler {text!r} is not NAME-STEPS with at least one step, such as euler-25")
        return cls(name, int(steps))

    def __str__(self) -> str:
        return self.name if self.name in ADAPTIVE else f"{self.name}-{self.steps}"


class Model(Protocol):
    """What training.py trains and evaluation.py scores. A method that cannot do a task lacks its function."""

    samplers: ClassVar[tuple[str, ...]]
    time_scale: ClassVar[int]  # see networks.UNet
    image_copies: ClassVar[int]  # how many latents of an image's size the network takes in

    network: UNet
    autoencoder: Autoencoder

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Training loss, a scalar. images: float (B, 3, H, W) in [-1, 1].  labels: uint8 (B, H, W), 255 ignored."""
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

    samplers: ClassVar = SAMPLERS["semflow"]
    time_scale: ClassVar = TRAIN_TIMESTEPS
    image_copies: ClassVar = 1  # z alone

    def __init__(self, network: UNet, pseudo_mask: PseudoMask, autoencoder: Autoencoder, amplitude: float) -> None:
        self.network, self.pseudo_mask, self.autoencoder, self.amplitude = network, pseudo_mask, autoencoder, amplitude

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Eq. 10 on perturbed masks, with t ~ U(0, 1) drawn in float32."""
        with torch.no_grad():
            z0 = self.autoencoder.encode(images, generator)
            z1 = self._encode_labels(labels, generator)
        t = torch.rand(len(images), generator=generator, device=images.device)
        return flow.loss(self.network, z0, z1, t)

    def segment(self, images: Tensor, sampler: Sampler, generator: torch.Generator) -> Tensor:
        """Eq. 12: images to labels. The generator is not used. Of a batch, each result is a function of its image alone,
        but with rk45, whose steps suit the whole batch.
        """
        z1 = self._integrate(self.autoencoder.encode(images), sampler, reverse=False)
        return self.pseudo_mask.read(self.autoencoder.decode(z1))

    def synthesize(self, labels: Tensor, sampler: Sampler, generator: torch.Generator) -> Tensor:
        """Eq. 13: labels uint8 (B, H, W) to images float (B, 3, H, W) in [-1, 1]; the perturbation makes them vary."""
        z0 = self._integrate(self._encode_labels(labels, generator), sampler, reverse=True)
        return self.autoencoder.decode(z0).clamp(-1, 1)

    def states(self, images: Tensor, sampler: Sampler, n: int = 10) -> Iterator[Tensor]:
        """Decoded states on the way from images to pseudo masks, float (B, 3, H, W) in about [-1, 1], the first at t = 0.

        One a step; `n` after the first where the sampler chooses its own steps.
        """
        z = self.autoencoder.encode(images)
        yield self.autoencoder.decode(z)
        for state in self._solve(z, sampler, solvers.time_grid(sampler.steps or n)):
            yield self.autoencoder.decode(state)

    def _encode_labels(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        mask = self.pseudo_mask.perturb(self.pseudo_mask.paint(labels), self.amplitude, generator)
        return self.autoencoder.encode(mask)

    def _integrate(self, z: Tensor, sampler: Sampler, reverse: bool) -> Tensor:
        return deque(self._solve(z, sampler, solvers.time_grid(sampler.steps or 1, reverse)), maxlen=1).pop()

    def _solve(self, z: Tensor, sampler: Sampler, grid: Tensor) -> Iterator[Tensor]:
        if sampler.name not in self.samplers:
            raise SemFlowError(f"semflow has no sampler {sampler.name!r}; it has {', '.join(self.samplers)}")
        return solvers.solve(sampler.name, self.network, z, grid)
