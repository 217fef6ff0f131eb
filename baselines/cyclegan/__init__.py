"""CycleGAN: segmentation and synthesis by two generators that learn from unpaired images and masks (Zhu et al., 2017)."""

from typing import Annotated

from pydantic import Field

from baselines.parts.gan_settings import Weight
from semflow.method.contract import Card, Recipe, Settings
from semflow.section import Positive


class CycleGANSettings(Settings):
    """batch_size: its own, always, since the masks of as many scenes are kept for the next step.

    width, downs, residuals: of both generators: channels at full size, halvings, and residual blocks at the smallest size.
    discriminator_width, discriminator_layers: channels of the first layer of both patch discriminators, and layers that halve the
    picture.
    cycle: weight of the cycle losses.  identity: of the identity losses, as a share of `cycle`; 0: without.
    pool: past translations of each kind that the discriminators see again; 0: none.
    """

    batch_size: Positive
    width: Positive
    downs: Positive
    residuals: Positive
    discriminator_width: Positive
    discriminator_layers: Positive
    cycle: Weight
    identity: Weight
    pool: Annotated[int, Field(ge=0)]
    generators: Recipe
    discriminators: Recipe


CARD = Card(
    title="CycleGAN",
    colour="teal",
    model="baselines.cyclegan.model:CycleGAN",
    tasks={"segmentation": {"direct": 1}, "synthesis": {"direct": 1}},
    default={"segmentation": "direct", "synthesis": "direct"},
    Settings=CycleGANSettings,
    reads=("data", "pseudo_mask"),
)
