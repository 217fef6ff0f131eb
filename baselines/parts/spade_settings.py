"""What SPADE and SC-GAN are told by a suite. Imports no torch."""

from itertools import pairwise

from pydantic import model_validator

from baselines.parts.gan_settings import LayoutToPictureSettings, Weight
from semflow.section import Many, Positive, Section


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


class LayoutGANSettings(LayoutToPictureSettings):
    """widths, shrink: of each block of the generator its channels, and how many times smaller its pictures are than the last's.

    hidden: channels between a layout and the scale and shift that it gives.
    style: what pictures are drawn from beside their layouts; null: from these alone, and nothing is random.
    calibration: label maps, the last ones seen, on which batch-norm statistics are worked out for the averaged weights, which
    have less noise than those that were averaged; null: statistics are training's, averaged as the weights are.
    """

    widths: Many[Positive]
    shrink: Many[Positive]
    hidden: Positive
    style: Style | None = None
    calibration: Positive | None = None

    @model_validator(mode="after")
    def _blocks_agree(self) -> "LayoutGANSettings":
        if len(self.widths) != len(self.shrink):
            raise ValueError("widths and shrink must have one entry for each block")
        if self.shrink[-1] != 1 or any(before % after for before, after in pairwise(self.shrink)):
            raise ValueError(f"shrink {list(self.shrink)} must end in 1, and each entry divide the one before it")
        return self
