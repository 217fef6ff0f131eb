"""MaskFormer (Cheng et al., 2021): segmentation as a set of masks, each with a class."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from semflow.method.contract import Card, Recipe, Settings
from semflow.section import Fraction, Many, Positive

IMAGENET_STEM = (7, 2, True)  # kernel, stride, pooling
GROUPS = 32  # of channels that the pixel decoder normalizes together
STAGES = 4


class MaskFormerSettings(Settings):
    """The network and its recipe.

    pretrained: a transformers folder of a ResNet that classifies, or OWNER/NAME@COMMIT on the hub; null: random weights.
    stem_channels, stem_kernel, stem_stride, stem_pooling: of the backbone's first convolution, and whether maxima are pooled
        after it; a ResNet for ImageNet has 64, 7, 2, true.
    block, channels, blocks: kind of the residual blocks, and channels and number of them in each of the four stages.
    frozen_batch_norm: the backbone's batch norms stay as they were before training, for pretrained ones.
    width: channels of the pixel decoder, the queries and the masks' embeddings.
    layers, heads, hidden, dropout, queries: of the transformer decoder; hidden: the width of its feed-forward layers.
    colour_jitter: brightness, contrast, saturation and hue, each in every other picture, as in SSD (Liu et al., 2016).
    scale_jitter: smallest and largest factor by which a picture is scaled before it is cropped; null: not at all.
    """

    parts: ClassVar = ("backbone",)
    what: ClassVar = "a transformers folder of a ResNet"

    pretrained: str | None = None
    stem_channels: Positive
    stem_kernel: Positive
    stem_stride: Positive
    stem_pooling: bool
    block: Literal["basic", "bottleneck"]
    channels: Many[Positive]
    blocks: Many[Positive]
    frozen_batch_norm: bool = False
    width: Positive
    layers: Positive
    heads: Positive
    hidden: Positive
    dropout: Fraction
    queries: Positive
    colour_jitter: bool = False
    scale_jitter: Annotated[tuple[float, float], Field(strict=False)] | None = None
    training: Recipe | None = None

    @model_validator(mode="after")
    def _agree(self) -> "MaskFormerSettings":
        for name in ("channels", "blocks"):
            if len(getattr(self, name)) != STAGES:
                raise ValueError(f"{name} must have one entry for each of the {STAGES} stages")
        if self.width % GROUPS:
            raise ValueError(f"width {self.width} must be a multiple of {GROUPS}, the groups of its norms")
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} must divide width {self.width}")
        if self.block == "bottleneck" and any(channels % 4 for channels in self.channels):
            raise ValueError("channels of bottleneck blocks must be multiples of 4")
        if self.pretrained and (self.stem_kernel, self.stem_stride, self.stem_pooling) != IMAGENET_STEM:
            raise ValueError("a pretrained ResNet has stem_kernel 7, stem_stride 2 and stem_pooling true; set these")
        if self.scale_jitter and not 0 < self.scale_jitter[0] <= self.scale_jitter[1]:
            raise ValueError(f"scale_jitter {list(self.scale_jitter)} must be two factors above 0, the smaller one first")
        return self


CARD = Card(
    title="MaskFormer",
    colour="tab:red",
    model="baselines.maskformer.model:MaskFormer",
    tasks={"segmentation": {"direct": 1}},
    default={"segmentation": "direct"},
    Settings=MaskFormerSettings,
    reads=("data",),
)
