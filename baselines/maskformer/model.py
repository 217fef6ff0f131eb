"""MaskFormer: a transformer decoder predicts a set of masks, each with a class; together they segment the picture.

From "Per-Pixel Classification is Not All You Need for Semantic Segmentation" (Cheng et al., 2021), with its ResNets. Pictures are
scaled after the suite's crop, by a factor drawn evenly; the paper's code scales first, by one of eleven factors.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from baselines.maskformer.augment import jitter_colours, jitter_scale
from baselines.maskformer.losses import losses
from baselines.maskformer.networks import Backbone, Head
from semflow.loading.batches import Batch
from semflow.method.contract import Blueprint, Phase
from semflow.method.samplers import Sampler
from semflow.seeds import Source

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # ImageNet's, of R, G, B in 0..255


class MaskFormer:
    """Two networks that one optimizer moves, so that the backbone can have a learning rate of its own.

    Losses are means over the masks of a batch, not over its pictures, and the backbone has batch norms: a batch is not cut.
    """

    sampling = ("backbone", "head")
    phases = (Phase("training", ("backbone", "head")),)
    rowwise = False

    def __init__(self, backbone: Backbone, head: Head, settings: Any) -> None:
        self.networks, self.beside = nn.ModuleDict({"backbone": backbone, "head": head}), nn.ModuleList()
        self.settings = settings

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "MaskFormer":
        """SemFlowError if the backbone's pretrained weights are not there; without weights, on the meta device, none are read."""
        backbone = Backbone(settings)
        if settings.pretrained and not next(backbone.parameters()).is_meta:
            backbone.begin_with(settings.pretrained)
        return cls(backbone, Head(blueprint.n_classes, settings), settings)

    def look(self, batch: Batch, source: Source) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, H, W) as ImageNet's are normalized, and labels uint8 (B, H, W)."""
        images, labels = batch.image.float(), batch.mask
        if self.settings.colour_jitter:
            images = jitter_colours(images, source)
        if self.settings.scale_jitter:
            images, labels = jitter_scale(images, labels, self.settings.scale_jitter, source)
        return normalized(images), labels

    def losses(self, phase: str, x: tuple[Tensor, Tensor], source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """Of the classes, the masks' pixels and their overlap, each summed over the decoder's layers, which are matched one by
        one."""
        pixels, labels = x
        layers = [losses(classes, masks, labels) for classes, masks in zip(*self.predictions(pixels), strict=True)]
        return {name: torch.stack([layer[name] for layer in layers]).sum() for name in layers[0]}

    def segment(self, images: Tensor, sampler: Sampler, generator: torch.Generator) -> Tensor:
        """Semantic inference: of each pixel the class with the largest sum over queries of class times mask probability, "no
        object" left out."""
        classes, masks = (layers[-1] for layers in self.predictions(normalized((images + 1) * 127.5)))
        masks = interpolate(masks, images.shape[2:], mode="bilinear").sigmoid()
        return torch.einsum("bqk,bqhw->bkhw", classes.softmax(2)[..., :-1], masks).argmax(1).byte()

    def predictions(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of classes (L, B, Q, n_classes + 1) and masks (L, B, Q, h, w) after every layer."""
        return self.networks["head"](self.networks["backbone"](pixels))


def normalized(images: Tensor) -> Tensor:
    """Images (B, 3, H, W), 0..255, less ImageNet's mean, over its standard deviation."""
    mean, std = (torch.tensor(each, device=images.device).view(3, 1, 1) for each in (MEAN, STD))
    return (images - mean) / std
