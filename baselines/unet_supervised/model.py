"""Segmentation as classification of every pixel by one pass of the suite's UNet (Ronneberger et al., 2015)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from semflow.data.sample import IGNORE_INDEX
from semflow.errors import SemFlowError
from semflow.loading.batches import Batch
from semflow.loading.pixels import to_unit_range
from semflow.method.contract import Blueprint, Phase
from semflow.method.samplers import Sampler
from semflow.method.unet import UNet, make_prompt, make_unet
from semflow.seeds import Source


class SupervisedUNet:
    """The network that SemFlow and DSM have, with pixels in, a logit a class out, and the time held at 0."""

    sampling = ("unet",)
    phases = (Phase("training", ("unet",)),)
    rowwise = True

    def __init__(self, network: UNet) -> None:
        self.networks, self.beside = nn.ModuleDict({"unet": network}), nn.ModuleList()

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "SupervisedUNet":
        """SemFlowError if the suite's network is a pretrained one, which knows latents and no pixels."""
        if getattr(blueprint.network, "pretrained", None):
            raise SemFlowError(
                "methods.unet_supervised trains the suite's network on pixels, but network.pretrained was trained on latents; "
                "leave unet_supervised out, or set network.pretrained to null"
            )
        unet = make_unet(blueprint.network, 3, blueprint.n_classes, blueprint.size)
        return cls(UNet(unet, 1, make_prompt(blueprint.network)))

    def look(self, batch: Batch, source: Source) -> tuple[Tensor, Tensor]:
        """Pixels float (B, 3, H, W) in [-1, 1] and labels uint8 (B, H, W)."""
        return to_unit_range(batch.image), batch.mask

    def losses(self, phase: str, x: tuple[Tensor, Tensor], source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """Cross-entropy, averaged over all pixels, of which ignored ones count as 0: so it is a mean over pictures, and finite
        where all of a batch is ignored."""
        pixels, labels = x
        return {"class": cross_entropy(self.logits(pixels), labels.long(), ignore_index=IGNORE_INDEX, reduction="none").mean()}

    def segment(self, images: Tensor, sampler: Sampler, generator: torch.Generator) -> Tensor:
        """The most likely class of every pixel; nothing is drawn."""
        return self.logits(images).argmax(1).byte()

    def logits(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [-1, 1] to (B, n_classes, H, W)."""
        return self.networks["unet"](pixels, torch.zeros((), device=pixels.device))
