"""BBDM: pictures from label maps by a Brownian bridge diffusion from the mask to the picture (Li et al., 2023)."""

from typing import Annotated, ClassVar

from pydantic import Field, field_validator, model_validator

from semflow.data import DATASETS
from semflow.errors import did_you_mean
from semflow.method.contract import Card, Recipe, Settings
from semflow.method.settings import TRAIN_TIMESTEPS
from semflow.section import Many, Positive, Section

PALETTES = [name for name, info in DATASETS.items() if info.described is None]  # data sets whose classes are known beforehand


class VQ(Section):
    """A diffusers VQModel, frozen, such as VQ-f4 of Rombach et al. (2022).

    pretrained: a diffusers folder (the `vqvae` folder itself or one that holds it), or OWNER/NAME@COMMIT on the hub; null: random
    weights, for measuring speed.  The other keys say what it must be; another one is refused.
    codes: vectors in its codebook.
    """

    parts: ClassVar = ("vqvae",)
    pretrained: str | None
    latent_channels: Positive
    block_out_channels: Many[Positive]
    layers_per_block: Positive
    norm_num_groups: Positive
    codes: Positive

    @property
    def factor(self) -> int:
        """Pixels a latent, along each side."""
        return 2 ** (len(self.block_out_channels) - 1)


class ResidualUNet(Section):
    """The UNet of Dhariwal and Nichol (2021): residual blocks resize, time scales and shifts, the middle alone has attention.

    init_std: of the normal distribution that weights begin with.
    """

    block_out_channels: Many[Positive]
    layers_per_block: Positive
    norm_num_groups: Positive
    attention_head_dim: Positive
    init_std: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _agree(self) -> "ResidualUNet":
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                raise ValueError(f"norm_num_groups {self.norm_num_groups} must divide every one of block_out_channels")
        if self.block_out_channels[-1] % self.attention_head_dim:
            raise ValueError(f"attention_head_dim {self.attention_head_dim} must divide the last of block_out_channels")
        return self

    @property
    def reduction(self) -> int:
        """By how much it shrinks its input on its way down; the sides must be multiples of it."""
        return 2 ** (len(self.block_out_channels) - 1)


class BBDMSettings(Settings):
    """palette: the data set whose colours masks are painted in; null: those of the suite's pseudo masks (Eq. 7), unperturbed.

    autoencoder: null: the bridge is one of pixels.  network: null: the suite's own, from scratch.
    """

    palette: str | None = None
    autoencoder: VQ | None = None
    network: ResidualUNet | None = None
    bridge: Recipe | None = None

    @field_validator("palette")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in PALETTES:
            known = did_you_mean(name, PALETTES, f"; there are {', '.join(PALETTES)}")
            raise ValueError(f"no data set {name} has a palette{known}")
        return name


CARD = Card(
    title="BBDM",
    colour="tab:purple",
    model="baselines.bbdm.model:BBDM",
    tasks={"synthesis": {"bbdm": 1}},
    default={"synthesis": "bbdm-200"},
    Settings=BBDMSettings,
    reads=("data", "pseudo_mask", "network"),
    seeded=frozenset({"synthesis"}),
    most_steps=TRAIN_TIMESTEPS,
)
