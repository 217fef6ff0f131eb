"""pix2pixHD: synthesis by a conditional adversarial network (Wang et al., 2018)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from semflow.method.contract import Card, Recipe, Settings
from semflow.section import Positive

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Pix2PixHDSettings(Settings):
    """width, downs, residuals: of the generator: channels at full size, halvings, and residual blocks at the smallest size.

    discriminator_width, discriminator_layers, scales: channels of a patch discriminator's first layer, its layers that halve the
    picture, and how many there are, each at half the size of the one before.
    feature_matching, perceptual: weights of the discriminators' features and of VGG19's; 0: without.
    vgg19: torchvision's file of weights, where `perceptual` is not 0.
    """

    width: Positive
    downs: Positive
    residuals: Positive
    discriminator_width: Positive
    discriminator_layers: Positive
    scales: Positive
    feature_matching: Weight
    perceptual: Weight
    vgg19: Annotated[Path | None, Field(strict=False)] = None
    generator: Recipe
    discriminator: Recipe

    @model_validator(mode="after")
    def _weights_are_there_for_a_term_that_is(self) -> "Pix2PixHDSettings":
        if bool(self.perceptual) != bool(self.vgg19):
            held = f"perceptual is {self.perceptual:g} and vgg19 is {self.vgg19 or 'null'}"
            raise ValueError(f"{held}; name VGG19's file, or set perceptual to 0 and leave vgg19 out")
        return self


CARD = Card(
    title="pix2pixHD",
    colour="tab:brown",
    model="baselines.pix2pixhd.model:Pix2PixHD",
    tasks={"synthesis": {"direct": 1}},
    default={"synthesis": "direct"},
    Settings=Pix2PixHDSettings,
    reads=("data",),
)
