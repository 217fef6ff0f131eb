"""SC-GAN: synthesis by an adversarial network whose kernels are mixed for every pixel, by its layout (Wang et al., 2021)."""

from typing import Annotated

from pydantic import Field, model_validator

from baselines.parts.gan_settings import Weight
from baselines.parts.spade_settings import LayoutGANSettings
from semflow.method.contract import Card
from semflow.section import Many, Positive, Section


class Blur(Section):
    """How labels are blurred within their class.

    window, sigma: of the Gaussian, pixels.  levels: of the pyramid, the finest, that are blurred.
    """

    window: Positive
    sigma: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    levels: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _has_a_middle(self) -> "Blur":
        if self.window % 2 == 0:
            raise ValueError(f"window {self.window} has no middle pixel; take an odd number")
        return self


class SCGANSettings(LayoutGANSettings):
    """first: channels that the first block is given.  routing: of the network of semantic vectors, the coarsest level first.

    kernels, affines: how many kernels, and how many scales and shifts, are mixed.
    temperature: what semantic vectors are multiplied by before their softmax.
    coarse: weight of L1 between the real picture and the one that the semantic vectors give.
    """

    first: Positive
    routing: Many[Positive]
    kernels: Positive
    affines: Positive
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    blur: Blur
    coarse: Weight

    @model_validator(mode="after")
    def _levels_agree(self) -> "SCGANSettings":
        wanted = {2**n for n in range(len(self.routing))}
        if set(self.shrink) != wanted:
            raise ValueError(
                f"routing has {len(self.routing)} levels, each half the size of the next, so that shrink must hold "
                f"{sorted(wanted, reverse=True)}, not {list(self.shrink)}"
            )
        if not self.kernels <= min(self.routing) >= self.affines:
            raise ValueError(f"routing of {min(self.routing)} channels cannot mix more than as many kernels or affines")
        return self


CARD = Card(
    title="SC-GAN",
    colour="tab:pink",
    model="baselines.scgan.model:SCGAN",
    tasks={"synthesis": {"direct": 1}},
    default={"synthesis": "direct"},
    Settings=SCGANSettings,
    reads=("data",),
    seeded=frozenset({"synthesis"}),  # with a style
)
