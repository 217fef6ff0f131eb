"""The sections `pseudo_mask`, `autoencoder` and `network`: what is trained. Imports no torch."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from semflow.section import Many, Positive, Section

TRAIN_TIMESTEPS = 1000  # of the diffusion schedule, and the range that Stable Diffusion's time embedding was made for


class PseudoMask(Section):
    """Eq. 7 and 14: k levels a channel, spacing s, perturbation amplitude; s and amplitude in 0..255 units."""

    k: Positive
    s: Annotated[float, Field(gt=0)]
    amplitude: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _fits(self) -> "PseudoMask":
        if self.s * (self.k - 1) >= 255:
            raise ValueError(f"s (k - 1) = {self.s * (self.k - 1):g} must be below 255 (Eq. 7); lower k or s")
        if self.amplitude >= self.s / 2:
            raise ValueError(f"amplitude {self.amplitude:g} must be below s/2 = {self.s / 2:g} (Eq. 14)")
        return self


class Identity(Section):
    """Latents are pixels."""

    learned: ClassVar = False  # whether it is a network, which a GPU is faster at
    kind: Literal["identity"]


class Patchify(Section):
    """Lossless pixel-unshuffle by `factor`."""

    learned: ClassVar = False
    kind: Literal["patchify"]
    factor: Annotated[int, Field(ge=2)]


class KL(Section):
    """A diffusers AutoencoderKL, frozen.

    pretrained: a diffusers folder (the `vae` folder itself or one that holds it), or OWNER/NAME@COMMIT on the hub; null:
    random weights, for measuring speed.  The other keys say what it must be; another one is refused.
    """

    learned: ClassVar = True
    kind: Literal["kl"]
    pretrained: str | None
    latent_channels: Positive
    block_out_channels: Many[Positive]
    scaling_factor: Annotated[float, Field(gt=0)]

    @property
    def factor(self) -> int:
        """Pixels a latent, along each side."""
        return 2 ** (len(self.block_out_channels) - 1)


Autoencoder = Annotated[Identity | Patchify | KL, Field(discriminator="kind")]


class Blocks(Section):
    """What UNets have in common; `attention` says which resolutions have it."""

    block_out_channels: Many[Positive]
    attention: Many[bool]
    layers_per_block: Positive
    norm_num_groups: Positive
    attention_head_dim: Positive

    @model_validator(mode="after")
    def _agree(self) -> "Blocks":
        if len(self.attention) != len(self.block_out_channels):
            raise ValueError("attention and block_out_channels must have one entry for each resolution")
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                raise ValueError(f"norm_num_groups {self.norm_num_groups} must divide every one of block_out_channels")
        attended = [channels for channels, has in zip(self.block_out_channels, self.attention, strict=True) if has]
        if self.attention_head_dim > min([*attended, self.block_out_channels[-1]]):  # the middle block always attends
            raise ValueError(f"attention_head_dim {self.attention_head_dim} is wider than a resolution with attention")
        return self

    @property
    def reduction(self) -> int:
        """By how much the network shrinks latents on its way down; their sides must be multiples of it."""
        return 2 ** (len(self.block_out_channels) - 1)


class UNet2D(Blocks):
    """diffusers' UNet2DModel, from scratch."""

    kind: Literal["unet2d"]


class StableDiffusion(Blocks):
    """diffusers' UNet2DConditionModel under the empty prompt.

    pretrained: a diffusers folder with `unet`, `text_encoder` and `tokenizer`, or OWNER/NAME@COMMIT on the hub; null: random
    weights and a prompt of zeros, for measuring speed.  The other keys say what it must be; another one is refused.
    attention_head_dim: under the name that Stable Diffusion 1.5's file gives to its number of heads.
    """

    kind: Literal["stable_diffusion"]
    pretrained: str | None
    cross_attention_dim: Positive


Network = Annotated[UNet2D | StableDiffusion, Field(discriminator="kind")]
