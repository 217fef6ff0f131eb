"""Masks that wait a step, so that no image is trained beside the mask of its own scene."""

import torch
from torch import Tensor

from semflow.errors import SemFlowError
from semflow.method.network import Network


class Delay(Network):
    """Gives every mask once `size` others have come after it: for a step's masks, where these are as many, those of the step
    before. What waits is in buffers, so that it survives a kill.

    Rolling masks within a batch would not unpair them: CycleGAN's losses are sums of terms that see an image or a mask, so that
    they are the same in whatever order masks come.
    """

    def __init__(self, size: int, channels: int, sides: tuple[int, int]) -> None:
        super().__init__()
        self.config = {"size": size, "channels": channels, "sides": list(sides)}
        self.register_buffer("waiting", torch.zeros(size, channels, *sides))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.waiting: Tensor
        self.seen: Tensor

    @torch.no_grad()
    def forward(self, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Masks (B, channels, H, W) to as many that came before, and whether there were as many, a bool scalar; if not, the masks
        themselves. SemFlowError if B is more than `size`, since some would be of the same step.
        """
        n, size = len(masks), len(self.waiting)
        if n > size and not masks.is_meta:  # where FLOPs are counted, of two images
            raise SemFlowError(
                f"CycleGAN was given {n} scenes, but keeps the masks of {size}; train it by methods.cyclegan.batch_size"
            )
        queue, full = torch.cat([self.waiting, masks]), self.seen >= size
        self.waiting.copy_(queue[n:])
        self.seen += n
        return torch.where(full, queue[:n], masks), full
