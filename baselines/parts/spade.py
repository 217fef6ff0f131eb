"""What SPADE and SC-GAN share: layers that a layout steers, the encoder of styles, and the game of two networks.

Sources: SPADE, Park et al., 2019; styles, Kingma and Welling, 2014, as in SPADE; losses: gan.py.
"""

from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu
from torch.nn.modules.batchnorm import _BatchNorm

from baselines.parts import gan
from semflow.errors import SemFlowError
from semflow.loading.batches import Batch
from semflow.loading.pixels import to_unit_range
from semflow.method.contract import Blueprint, Phase
from semflow.method.network import Network
from semflow.method.samplers import Sampler
from semflow.seeds import Source, normal

GAIN = 0.02  # of Glorot's normal distribution, from which weights begin
PADDING = 2  # of the discriminators
CALIBRATED = 32  # label maps at once


class Spade(nn.Module):
    """Batch norm without parameters, then the scale and shift that each pixel has from the layout around it (Park et al., Eq. 1).

    Features (B, channels, h, w) and a layout (B, classes, H, W), which is resized to them by nearest neighbour.
    """

    def __init__(self, channels: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Conv2d(classes, hidden, 3, padding=1)
        self.scale = nn.Conv2d(hidden, channels, 3, padding=1)
        self.shift = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, layout: Tensor) -> Tensor:
        hidden = self.shared(interpolate(layout, x.shape[2:])).relu()
        return self.norm(x) * (1 + self.scale(hidden)) + self.shift(hidden)


class Start(nn.Module):
    """What a generator begins with, (B, width, h, w): a style (B, z) mapped there, or without one the layout shrunk to it.

    sides: h and w.
    """

    def __init__(self, z: int | None, classes: int, width: int, sides: tuple[int, int]) -> None:
        super().__init__()
        self.shape, self.styled = (width, *sides), z is not None
        self.layer = nn.Linear(z, width * sides[0] * sides[1]) if z else nn.Conv2d(classes, width, 3, padding=1)

    def forward(self, layout: Tensor, z: Tensor | None) -> Tensor:
        return self.layer(z).unflatten(1, self.shape) if self.styled else self.layer(interpolate(layout, self.shape[1:]))


class Encoder(Network):
    """Pictures (B, 3, H, W) in [-1, 1] to mean and log-variance, each (B, z), of their style."""

    def __init__(self, z: int, widths: tuple[int, ...], side: int) -> None:
        super().__init__()
        self.config = {"z": z, "widths": list(widths), "side": side}
        self.side, cells = side, (side >> len(widths)) ** 2
        self.layers = nn.ModuleList(
            nn.Sequential(gan.spectral_norm(nn.Conv2d(a, b, 3, 2, 1, bias=False)), nn.InstanceNorm2d(b), nn.LeakyReLU(gan.SLOPE))
            for a, b in zip((3, *widths), widths, strict=False)
        )
        self.mean, self.log_variance = (nn.Linear(widths[-1] * cells, z) for _ in range(2))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        x = interpolate(pictures, (self.side, self.side), mode="bilinear")
        for layer in self.layers:
            x = layer(x)
        return self.mean(x.flatten(1)), self.log_variance(x.flatten(1))


class Layouts(Network):
    """The last label maps seen, uint8 (size, H, W), in buffers, so that they survive a kill."""

    def __init__(self, size: int, sides: tuple[int, int]) -> None:
        super().__init__()
        self.config = {"size": size, "sides": list(sides)}
        self.register_buffer("labels", torch.zeros(size, *sides, dtype=torch.uint8))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.labels: Tensor
        self.seen: Tensor

    @torch.no_grad()
    def forward(self, labels: Tensor) -> None:
        """Keep label maps uint8 (B, H, W) in the place of the oldest."""
        size = len(self.labels)
        kept = labels[-size:]
        at = (self.seen + len(labels) - len(kept) + torch.arange(len(kept), device=self.seen.device)) % size
        self.labels.index_copy_(0, at, kept)
        self.seen += len(labels)

    def held(self) -> Tensor:
        """Those that are there; on the meta device, where there are none, none."""
        return self.labels[: 0 if self.seen.is_meta else int(self.seen)]


class LayoutGenerator(Network):
    """Base of generators: layouts (B, classes, H, W) and styles (B, z), or None, to pictures (B, 3, H, W) in [-1, 1].

    past: label maps on which `save` works batch-norm statistics out for the weights as they are then, averages of those that
    training's statistics are of; in a tuple, so that they are no part of this network.
    """

    classes: int
    z: int | None
    past: tuple[Layouts, ...] = ()

    def save(self, folder: Path) -> None:
        for layouts in self.past:
            self.calibrate(layouts.held())
        super().save(folder)

    @torch.no_grad()
    def calibrate(self, labels: Tensor) -> None:
        """Set batch-norm statistics to their means over label maps uint8 (N, H, W), with styles of a seed of their own; where
        there are none the statistics stay.
        """
        if not len(labels):
            return
        source = torch.Generator(labels.device).manual_seed(0)
        self.eval()
        for norm in (module for module in self.modules() if isinstance(module, _BatchNorm)):
            norm.reset_running_stats()
            norm.train().momentum = None  # the mean over all batches
        for some in labels.split(CALIBRATED):
            self(gan.one_hot_of(some, self.classes), normal((len(some), self.z), source, some.device) if self.z else None)
        self.eval()


def check_size(method: str, shrink: int, size: tuple[int, int]) -> None:
    """SemFlowError if pictures cannot be as many times smaller as a generator's first block has them."""
    if any(side % shrink for side in size):
        raise SemFlowError(
            f"methods.{method}.shrink begins with {shrink}, of which the sides of data.size {list(size)} are no multiples; lower "
            "it or change data.size"
        )


class Seen(NamedTuple):
    """Pictures (B, 3, H, W) in [-1, 1], their labels uint8 (B, H, W), and these one-hot (B, classes, H, W)."""

    real: Tensor
    labels: Tensor
    layout: Tensor


class LayoutGAN:
    """A generator that draws pictures of layouts, and patch discriminators that see pictures beside their layouts.

    With an encoder, pictures are drawn in training from the style of the real picture; in sampling from one drawn from N(0, I),
    never from a test image's. Batch norm makes losses no means over rows. The generator's turn goes back to it through the
    discriminators' features too; theirs sees pictures that are drawn anew, after its step.
    """

    sampling = ("generator",)
    rowwise = False
    chance: ClassVar = {"discriminator_lead": {"discriminator/real": 1.0, "discriminator/fake": 1.0}}  # of scores of 0

    def __init__(
        self, generator: LayoutGenerator, discriminator: gan.Discriminator, settings: Any, size: tuple[int, int]
    ) -> None:
        networks: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
        if settings.style:
            networks["encoder"] = Encoder(**settings.style.model_dump(exclude={"divergence"}))
        for network in networks.values():
            gan.initialize(network, partial(nn.init.xavier_normal_, gain=GAIN))
        if settings.calibration:
            networks["layouts"] = layouts = Layouts(settings.calibration, size)
            generator.past = (layouts,)
        self.networks = nn.ModuleDict(networks)
        self.beside = nn.ModuleList([gan.Vgg19(settings.vgg19)] if settings.vgg19 else [])
        drawing = ("generator", "encoder") if settings.style else ("generator",)
        self.phases = (Phase("generator", drawing), Phase("discriminator", ("discriminator",)))
        self.settings, self.generator, self.n_classes = settings, generator, generator.classes

    def look(self, batch: Batch, source: Source) -> Seen:
        return Seen(to_unit_range(batch.image), batch.mask, gan.one_hot_of(batch.mask, self.n_classes))

    def losses(self, phase: str, x: Seen, source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """Hinge losses; of the generator also feature matching, VGG19's distance and the divergence of styles from N(0, I)."""
        if phase == "generator":
            return self.of_drawing(x, source, carry)
        with torch.no_grad():
            fake = self.draw(x.layout, self.style(x.real, source)[0], {})
        of_fake, of_real = (gan.scores(self.judge(x.layout, pictures)) for pictures in (fake, x.real))
        return {"real": gan.hinge_discriminator(of_real, True), "fake": gan.hinge_discriminator(of_fake, False)}

    def of_drawing(self, x: Seen, source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """The generator's losses."""
        z, divergence = self.style(x.real, source)
        fake = self.draw(x.layout, z, carry)
        of_fake = self.judge(x.layout, fake)
        losses = {"adversarial": gan.hinge_generator(gan.scores(of_fake))}
        if self.settings.feature_matching:
            with torch.no_grad():
                of_real = self.judge(x.layout, x.real)
            losses["features"] = self.settings.feature_matching * gan.feature_matching(of_fake, of_real)
        for distance in self.beside:
            losses["perceptual"] = self.settings.perceptual * distance(fake, x.real)
        if divergence is not None:
            losses["divergence"] = self.settings.style.divergence * divergence
        for layouts in self.generator.past:
            layouts(x.labels)
        return losses

    def draw(self, layout: Tensor, z: Tensor | None, carry: dict[str, Any]) -> Tensor:
        """Pictures of layouts. carry: takes what a method's further losses are of."""
        return self.networks["generator"](layout, z)

    def style(self, pictures: Tensor, source: Source) -> tuple[Tensor | None, Tensor | None]:
        """Styles (B, z) drawn for pictures, and the divergence, over the whole batch, of what they are drawn from."""
        if "encoder" not in self.networks:
            return None, None
        mean, log_variance = self.networks["encoder"](pictures)
        z = mean + (log_variance / 2).exp() * normal(tuple(mean.shape), source, mean.device)
        return z, gan.divergence(mean, log_variance)

    def judge(self, layout: Tensor, pictures: Tensor) -> gan.Scales:
        """What the discriminators make of pictures beside their layouts."""
        return self.networks["discriminator"](torch.cat([layout, pictures], 1))

    def synthesize(self, labels: Tensor, sampler: Sampler, generator: torch.Generator, amplitude: float | None = None) -> Tensor:
        """Labels uint8 (B, H, W), 255 ignored, to pictures float (B, 3, H, W) in [-1, 1], of styles drawn with the generator."""
        z = normal((len(labels), self.generator.z), generator, labels.device) if self.generator.z else None
        return self.draw(gan.one_hot_of(labels, self.n_classes), z, {})


def discriminator_of(method: str, blueprint: Blueprint, settings: Any) -> gan.Discriminator:
    """Patch discriminators with spectral and instance norm. SemFlowError if pictures are too small for them."""
    layers, scales = settings.discriminator_layers, settings.scales
    gan.check_side(f"methods.{method}.discriminator_layers", min(blueprint.size), layers, PADDING, scales)
    return gan.Discriminator(blueprint.n_classes + 3, settings.discriminator_width, layers, PADDING, "spectral", scales)


def up(x: Tensor, times: int) -> Tensor:
    """Features made so many times as large by nearest neighbour."""
    return interpolate(x, scale_factor=times) if times > 1 else x


def finished(x: Tensor, layer: nn.Module) -> Tensor:
    """The last layer, behind the rectifier that all blocks leave to what follows."""
    return layer(leaky_relu(x, gan.SLOPE))
