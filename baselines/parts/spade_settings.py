"""What SPADE and SC-GAN are told by a suite. Imports no torch."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from semflow.method.contract import Recipe, Settings
from semflow.section import Many, Positive, Section

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Style(Section):
    """A variational encoder of pictures (Kingma and Welling, 2014).

    z: how many numbers a style is.  widths: channels of the encoder's layers, each of which halves the picture.
    side: to which pictures are resized before it.  divergence: weight of its loss.
    """

    z: Positive
    widths: Many[Positive]
    side: Positive
    divergence: Weight

    @model_validator(mode="after")
    def _halves(self) -> "Style":
        if self.side % 2 ** len(self.widths) or self.side < 2 ** (len(self.widths) + 1):
            raise ValueError(
                f"side {self.side} cannot be halved {len(self.widths)} times, once a width, to 2 or more; give another side"
            )
        return self


class LayoutGANSettings(Settings):
    """widths, shrink: of each block of the generator its channels, and how many times smaller its pictures are than the last's.

    hidden: channels between a layout and the scale and shift that it gives.
    style: what pictures are drawn from beside their layouts; null: from these alone, and nothing is random.
    discriminator_width, discriminator_layers, scales: channels of a patch discriminator's first layer, its layers that halve the
    picture, and how many there are, each at half the size of the one before.
    feature_matching, perceptual: weights of the discriminators' features and of VGG19's; 0: without.
    vgg19: torchvision's file of weights, where `perceptual` is not 0.
    calibration: label maps, the last ones seen, on which batch-norm statistics are worked out for the averaged weights, which
    have less noise than those that were averaged; null: statistics are training's, averaged as the weights are.
    """

    widths: Many[Positive]
    shrink: Many[Positive]
    hidden: Positive
    style: Style | None = None
    discriminator_width: Positive
    discriminator_layers: Positive
    scales: Positive
    feature_matching: Weight
    perceptual: Weight
    vgg19: Annotated[Path | None, Field(strict=False)] = None
    calibration: Positive | None = None
    generator: Recipe
    discriminator: Recipe

    @model_validator(mode="after")
    def _blocks_agree(self) -> "LayoutGANSettings":
        if len(self.widths) != len(self.shrink):
            raise ValueError("widths and shrink must have one entry for each block")
        if self.shrink[-1] != 1 or any(before % after for before, after in pairwise(self.shrink)):
            raise ValueError(f"shrink {list(self.shrink)} must end in 1, and each entry divide the one before it")
        return self

    @model_validator(mode="after")
    def _weights_are_there_for_a_term_that_is(self) -> "LayoutGANSettings":
        if bool(self.perceptual) != bool(self.vgg19):
            raise ValueError(
                f"perceptual is {self.perceptual:g} and vgg19 is {self.vgg19 or 'null'}; name VGG19's file, or set perceptual to "
                "0 and leave vgg19 out"
            )
        return self
