"""pix2pixHD: a generator from layouts to pictures against patch discriminators at several scales (Wang et al., 2018)."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from baselines.parts import gan
from baselines.parts.resnet import ResnetGenerator, check_size
from semflow.loading.batches import Batch
from semflow.loading.pixels import to_unit_range
from semflow.method.contract import Blueprint, Phase
from semflow.method.samplers import Sampler
from semflow.seeds import Source

SPREAD = 0.02  # of weights before training
PADDING = 2  # of the discriminators
MATCHED = 4  # layers of the published discriminators whose features are matched; where there are fewer, each counts more


class Pair(NamedTuple):
    """Pictures (B, 3, H, W) in [-1, 1] and their layouts, one-hot (B, n_classes, H, W)."""

    real: Tensor
    layout: Tensor


class Pix2PixHD:
    """The global generator; its enhancer for twice the size is left out, as the paper compares at 512 x 512.

    Layouts have no channel for edges between instances: SemFlow's label maps tell classes alone. Pixels that are ignored are of
    no class, all zeros. What is drawn is a function of the layout: nothing is random.
    """

    sampling = ("generator",)
    phases = (Phase("generator", ("generator",)), Phase("discriminator", ("discriminator",)))
    rowwise = True

    def __init__(self, generator: ResnetGenerator, discriminator: gan.Discriminator, settings: Any) -> None:
        self.networks = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
        self.beside = nn.ModuleList([gan.Vgg19(settings.vgg19)] if settings.vgg19 else [])
        self.n_classes: int = generator.config["channels"]
        self.feature_matching = settings.feature_matching * MATCHED / (settings.discriminator_layers + 1)
        self.perceptual = settings.perceptual
        undecided = 0.125 * settings.scales  # of scores of 1/2
        self.chance = {"discriminator_lead": {"discriminator/real": undecided, "discriminator/fake": undecided}}

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "Pix2PixHD":
        """SemFlowError if pictures are too small for either network, or cannot be halved as often as the generator does."""
        check_size("pix2pixhd", settings.downs, blueprint.size)
        patches = settings.discriminator_layers, PADDING
        gan.check_side("methods.pix2pixhd.discriminator_layers", min(blueprint.size), *patches, settings.scales)
        generator = ResnetGenerator(blueprint.n_classes, settings.width, settings.downs, settings.residuals)
        discriminator = gan.Discriminator(
            blueprint.n_classes + 3, settings.discriminator_width, *patches, "instance", settings.scales
        )
        for network in (generator, discriminator):
            gan.initialize(network, lambda weight: nn.init.normal_(weight, 0, SPREAD))
        return cls(generator, discriminator, settings)

    def look(self, batch: Batch, source: Source) -> Pair:
        return Pair(to_unit_range(batch.image), gan.one_hot_of(batch.mask, self.n_classes))

    def losses(self, phase: str, x: Pair, source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """Wang et al., section 3.2, with least squares; the discriminator's turn sees the picture that was drawn
        before the generator's step.
        """
        if phase == "generator":
            fake = self.networks["generator"](x.layout)
            carry["fake"] = fake.detach()
            return self.generator_losses(x, fake)
        of_real, of_fake = (gan.scores(self.judge(x.layout, picture)) for picture in (x.real, carry["fake"]))
        return {"real": gan.least_squares(of_real, True) / 2, "fake": gan.least_squares(of_fake, False) / 2}

    def generator_losses(self, x: Pair, fake: Tensor) -> dict[str, Tensor]:
        """The generator's losses on pictures (B, 3, H, W) that it drew."""
        of_fake = self.judge(x.layout, fake)
        losses = {"adversarial": gan.least_squares(gan.scores(of_fake), True)}
        if self.feature_matching:
            with torch.no_grad():
                of_real = self.judge(x.layout, x.real)
            losses["features"] = self.feature_matching * gan.feature_matching(of_fake, of_real)
        for distance in self.beside:
            losses["perceptual"] = self.perceptual * distance(fake, x.real)
        return losses

    def judge(self, layout: Tensor, pictures: Tensor) -> gan.Scales:
        """What the discriminators make of pictures beside their layouts."""
        return self.networks["discriminator"](torch.cat([layout, pictures], 1))

    def synthesize(self, labels: Tensor, sampler: Sampler, generator: torch.Generator, amplitude: float | None = None) -> Tensor:
        """Labels uint8 (B, H, W), 255 ignored, to pictures float (B, 3, H, W) in [-1, 1]. The generator is not used."""
        return self.networks["generator"](gan.one_hot_of(labels, self.n_classes))
