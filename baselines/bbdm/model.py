"""BBDM (Li et al., 2023): a diffusion whose last state is the mask in place of noise."""

from collections import deque
from typing import Any

import torch
from torch import Tensor, nn

from baselines.bbdm import bridge
from baselines.bbdm.palette import Palette
from baselines.bbdm.unet import make_unet
from baselines.bbdm.vq import VQ
from semflow.errors import SemFlowError
from semflow.loading.batches import Batch
from semflow.method.autoencoder import Autoencoder, Pair, latents_of
from semflow.method.contract import Blueprint, Phase
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import Sampler
from semflow.method.settings import TRAIN_TIMESTEPS
from semflow.method.unet import UNet, make_network
from semflow.seeds import Source, integers, normal


class BBDM:
    """The network sees x_t and t, and nothing of the mask besides.

    colours: paints label maps, since both ends of the bridge are pictures. At the paper's size these have their data set's own
    palette: BBDM reads masks as colour pictures, and its released weights know no other colours. Elsewhere they have the colours
    of SemFlow's pseudo masks, without perturbation, so that both methods see the same code of the same classes.

    Two schedules of the released recipe are not in the loop. BBDM halves the learning rate whenever the loss stays on a plateau
    (patience and cooldown 3000 steps, down to 5e-7); here it is constant. BBDM averages weights from its step 30,000 on, at every
    8th step of the optimizer with a decay of .995; here it is at every step, with a decay that rises to `ema_decay`, which is
    .995^(1/8) to forget as fast.
    """

    sampling = ("unet",)
    phases = (Phase("bridge", ("unet",)),)
    rowwise = True

    def __init__(self, network: UNet, colours: PseudoMask | Palette, autoencoder: Autoencoder) -> None:
        self.networks, self.beside = nn.ModuleDict({"unet": network}), nn.ModuleList([autoencoder])
        self.network, self.colours, self.autoencoder = network, colours, autoencoder
        if isinstance(colours, Palette):
            self.beside.append(colours)

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "BBDM":
        autoencoder = VQ(settings.autoencoder) if settings.autoencoder else Autoencoder()
        colours = Palette(settings.palette, blueprint.n_classes) if settings.palette else blueprint.pseudo_mask
        if settings.network:
            return cls(make_unet(settings.network, autoencoder, blueprint.size), colours, autoencoder)
        if blueprint.network.kind != "unet2d":
            raise SemFlowError("methods.bbdm.network: the suite's network is not one from scratch; give BBDM its own here")
        return cls(make_network(blueprint.network, 1, 1, autoencoder, blueprint.size), colours, autoencoder)

    def look(self, batch: Batch, source: Source) -> Pair:
        """Latents of images and of their masks, x_0 and y."""
        return latents_of(batch, self.autoencoder, self.encode_labels, source)

    def encode_labels(self, labels: Tensor, source: Source = None) -> Tensor:
        """Labels uint8 (B, H, W) to the latents y of their colours, (B, C, h, w); nothing is drawn."""
        return self.autoencoder.encode(self.colours.encode(labels))

    def losses(self, phase: str, x: Pair, source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """Mean absolute error over all elements, with t uniform over the 1000 timesteps."""
        x0, y = x
        noise = normal(tuple(x0.shape), source, x0.device)
        t = integers(TRAIN_TIMESTEPS, (len(x0),), source, x0.device)
        return {"bridge": bridge.errors(self.network, x0, y, t, noise).mean()}

    def synthesize(self, labels: Tensor, sampler: Sampler, generator: torch.Generator, amplitude: float | None = None) -> Tensor:
        """Labels uint8 (B, H, W) to images float (B, 3, H, W) in [-1, 1]; noise within the chain makes them vary."""
        states = bridge.walk(self.network, self.encode_labels(labels), sampler.steps, generator)
        return self.autoencoder.decode(deque(states, maxlen=1).pop()).clamp(-1, 1)

    def diagnose(self, images: Tensor, labels: Tensor, generator: Source) -> dict[str, Tensor]:
        """What the network reads off the mask: at the last timestep x_t is all but y, and its error should be lower with the
        image's own mask than with that of another image of the batch, under the same noise.

        images: float (B, 3, H, W) in [-1, 1].  labels: uint8 (B, H, W).  Per cent by image, (B,).
        """
        x0 = self.autoencoder.encode(images)
        t = torch.full((len(x0),), TRAIN_TIMESTEPS - 1, device=x0.device)
        noise = normal(tuple(x0.shape), generator, x0.device)
        own, other = (bridge.errors(self.network, x0, self.encode_labels(of), t, noise) for of in (labels, labels.roll(1, 0)))
        return {"own_mask_gain": 100 * (1 - own / other)}
