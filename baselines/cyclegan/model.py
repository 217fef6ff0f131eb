"""CycleGAN: two generators, from images to masks and back, each against a patch discriminator, on unpaired scenes."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from baselines.cyclegan.delay import Delay
from baselines.parts import gan
from baselines.parts.resnet import ResnetGenerator, check_size
from semflow.loading.batches import Batch
from semflow.loading.pixels import to_unit_range
from semflow.method.contract import Blueprint, Phase
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import Sampler
from semflow.seeds import Source

SPREAD = 0.02  # of weights before training
PADDING = 1  # of the discriminators


class Unpaired(NamedTuple):
    """Images and masks of other scenes, each (B, 3, H, W) in [-1, 1]. apart: whether they are of others, a bool scalar."""

    images: Tensor
    masks: Tensor
    apart: Tensor


class CycleGAN:
    """Masks are pictures in the colours of the pseudo mask (Eq. 7), ignored pixels white, and read by the nearest. The paper
    does not say in which colours its CycleGAN sees Cityscapes; the nearest of these are 50 grey levels apart, of the data set's
    own 20.

    Unpaired: a step sees the images of its own scenes and the masks of the step before, whose scenes are others within an epoch;
    where one epoch ends and the next begins, one scene may come twice by chance, as in the authors' draws. The first step has
    no masks of others yet, and its losses count nothing.
    """

    sampling = ("to_mask", "to_image")
    phases = (
        Phase("generators", ("to_mask", "to_image")),
        Phase("discriminators", ("mask_discriminator", "image_discriminator")),
    )
    rowwise = False  # the pools, and the masks that wait
    chance: ClassVar = {  # of scores of 1/2
        f"discriminator_lead{of}": {f"discriminators/{real}_{kind}": 0.125 for real in ("real", "fake")}
        for of, kind in (("", "image"), ("_masks", "mask"))
    }

    def __init__(self, networks: dict[str, nn.Module], pseudo_mask: PseudoMask, cycle: float, identity: float) -> None:
        self.networks, self.beside = nn.ModuleDict(networks), nn.ModuleList()
        self.pseudo_mask, self.cycle, self.identity = pseudo_mask, cycle, identity * cycle

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "CycleGAN":
        """SemFlowError if pictures are too small for the networks, or cannot be halved as often as the generators do."""
        check_size("cyclegan", settings.downs, blueprint.size)
        gan.check_side("methods.cyclegan.discriminator_layers", min(blueprint.size), settings.discriminator_layers, PADDING, 1)
        networks: dict[str, nn.Module] = {
            name: ResnetGenerator(3, settings.width, settings.downs, settings.residuals) for name in cls.sampling
        }
        for name in ("mask_discriminator", "image_discriminator"):
            networks[name] = gan.Discriminator(
                3, settings.discriminator_width, settings.discriminator_layers, PADDING, "instance", 1
            )
        for network in networks.values():
            gan.initialize(network, lambda weight: nn.init.normal_(weight, 0, SPREAD))
        for name in ("mask_pool", "image_pool"):
            networks[name] = gan.Pool(settings.pool, 3, blueprint.size)
        networks["delay"] = Delay(settings.batch_size, 3, blueprint.size)
        return cls(networks, blueprint.pseudo_mask, settings.cycle, settings.identity)

    def look(self, batch: Batch, source: Source) -> Unpaired:
        return Unpaired(to_unit_range(batch.image), *self.networks["delay"](self.pseudo_mask.encode(batch.mask)))

    def losses(self, phase: str, x: Unpaired, source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """Zhu et al., equations 1 (with least squares) and 2, and the identity loss of their section 5.2; the discriminators'
        turn sees translations that were made before the generators' step, through the pools.
        """
        losses = self.generator_losses(x, carry) if phase == "generators" else self.discriminator_losses(x, source, carry)
        return {name: x.apart * loss for name, loss in losses.items()}

    def generator_losses(self, x: Unpaired, carry: dict[str, Any]) -> dict[str, Tensor]:
        """Each generator's losses, named after what it gives, and both cycles', named after where they begin."""
        to_mask, to_image = (self.networks[name] for name in self.sampling)
        masks, images = to_mask(x.images), to_image(x.masks)
        carry["masks"], carry["images"] = masks.detach(), images.detach()
        losses = {
            "adversarial_mask": gan.least_squares(self.scores("mask", masks), True),
            "adversarial_image": gan.least_squares(self.scores("image", images), True),
            "cycle_image": self.cycle * l1_loss(to_image(masks), x.images),
            "cycle_mask": self.cycle * l1_loss(to_mask(images), x.masks),
        }
        if self.identity:
            losses["identity_mask"] = self.identity * l1_loss(to_mask(x.masks), x.masks)
            losses["identity_image"] = self.identity * l1_loss(to_image(x.images), x.images)
        return losses

    def discriminator_losses(self, x: Unpaired, source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """Each discriminator's losses, half of what they are for a generator."""
        losses = {}
        for kind, real, fake in (("mask", x.masks, carry["masks"]), ("image", x.images, carry["images"])):
            past = self.networks[f"{kind}_pool"](fake, source)
            losses[f"real_{kind}"] = gan.least_squares(self.scores(kind, real), True) / 2
            losses[f"fake_{kind}"] = gan.least_squares(self.scores(kind, past), False) / 2
        return losses

    def scores(self, kind: str, pictures: Tensor) -> list[Tensor]:
        """What the discriminator of masks or of images makes of pictures."""
        return gan.scores(self.networks[f"{kind}_discriminator"](pictures))

    def diagnose(self, images: Tensor, labels: Tensor, generator: Source) -> dict[str, Tensor]:
        """How far images float (B, 3, H, W) and the masks of labels uint8 (B, H, W), both in [-1, 1], are from themselves after
        going there and back: the mean over each, (B,).
        """
        to_mask, to_image = (self.networks[name] for name in self.sampling)
        masks = self.pseudo_mask.encode(labels)
        return {
            "cycle_images": (to_image(to_mask(images)) - images).abs().mean((1, 2, 3)),
            "cycle_masks": (to_mask(to_image(masks)) - masks).abs().mean((1, 2, 3)),
        }

    def segment(self, images: Tensor, sampler: Sampler, generator: torch.Generator) -> Tensor:
        """Images to labels uint8 (B, H, W), at every pixel the class of the nearest colour. The generator is not used."""
        return self.pseudo_mask.decode(self.networks["to_mask"](images))

    def synthesize(self, labels: Tensor, sampler: Sampler, generator: torch.Generator, amplitude: float | None = None) -> Tensor:
        """Labels uint8 (B, H, W), 255 ignored, to images float (B, 3, H, W) in [-1, 1]. The generator is not used."""
        return self.networks["to_image"](self.pseudo_mask.encode(labels))
