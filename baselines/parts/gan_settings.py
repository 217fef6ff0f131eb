"""What the adversarial methods are told by a suite alike. Imports no torch."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from semflow.method.contract import Recipe, Settings
from semflow.section import Positive

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LayoutToPictureSettings(Settings):
    """Of a generator from layouts to pictures against patch discriminators at several scales.

    discriminator_width, discriminator_layers, scales: channels of a patch discriminator's first layer, its layers that halve the
    picture, and how many there are, each at half the size of the one before.
    feature_matching, perceptual: weights of the discriminators' features and of VGG19's; 0: without.
    vgg19: torchvision's file of weights, where `perceptual` is not 0.
    """

    discriminator_width: Positive
    discriminator_layers: Positive
    scales: Positive
    feature_matching: Weight
    perceptual: Weight
    vgg19: Annotated[Path | None, Field(strict=False)] = None
    generator: Recipe
    discriminator: Recipe

    @model_validator(mode="after")
    def _weights_are_there_for_a_term_that_is(self) -> "LayoutToPictureSettings":
        if bool(self.perceptual) != bool(self.vgg19):
            held = f"perceptual is {self.perceptual:g} and vgg19 is {self.vgg19 or 'null'}"
            raise ValueError(f"{held}; name VGG19's file, or set perceptual to 0 and leave vgg19 out")
        return self
