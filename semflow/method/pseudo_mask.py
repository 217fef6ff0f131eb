"""Pseudo masks: labels encoded as colours, decoded again, and perturbed (Eq. 7 and 14). Knows no network."""

import torch
from torch import Tensor

from semflow.data.sample import IGNORE_INDEX
from semflow.errors import SemFlowError
from semflow.loading.pixels import to_unit_range
from semflow.seeds import Source, uniform

WHITE = 255.0  # the paper's colour for ignored pixels (Figure 2)
PIXELS_AT_ONCE = 1 << 18  # bounds the memory of `decode`


class PseudoMask:
    """The code between `n_classes` labels and colours on a lattice of k^3 anchors with spacing s.

    n_classes: 1 to k^3.  k: levels a channel.  s: spacing in 0..255 units, with s (k - 1) < 255.
    anchors: float64 (n_classes, 3) in 0..255, class c at s (c // k^2, c // k mod k, c mod k) (Eq. 7).
    """

    def __init__(self, n_classes: int, k: int = 6, s: float = 50) -> None:
        if k < 1 or s <= 0 or s * (k - 1) >= 255:
            raise ValueError(f"k = {k} and s = {s}: Eq. 7 needs k >= 1, s > 0 and s (k - 1) < 255")
        if not 1 <= n_classes <= min(k**3, IGNORE_INDEX):
            raise ValueError(f"{n_classes} classes: k = {k} has anchors for 1 to {min(k**3, IGNORE_INDEX)}")
        self.n_classes, self.k, self.s = n_classes, k, s
        c = torch.arange(n_classes)
        self.anchors = s * torch.stack([c // k**2, c // k % k, c % k], dim=1).double()
        self._colours: dict[torch.device, Tensor] = {}

    def encode(self, labels: Tensor) -> Tensor:
        """Integer labels (B, H, W) to float32 (B, 3, H, W) in [-1, 1]; 255 (ignored) becomes white.

        Labels that are RGB already, uint8 (B, 3, H, W) in `colours`, are only brought to that range.

        ValueError on a label outside the classes. On an accelerator, where looking would stall it, such a label
        becomes NaN, which training reports as a loss that is not finite.
        """
        if labels.ndim == 4:
            return to_unit_range(labels)
        if labels.device.type == "cpu":
            self.check(labels)
        if labels.device not in self._colours:  # copied once: a copy would stall an accelerator
            self._colours[labels.device] = (self._exact_colours() / 127.5 - 1).float().to(labels.device)
        return self._colours[labels.device][labels.long()].movedim(-1, -3)

    def check(self, labels: Tensor) -> None:
        """ValueError on a label outside the classes."""
        outside = (labels < 0) | ((labels >= self.n_classes) & (labels != IGNORE_INDEX))
        if outside.any():
            raise ValueError(f"a label is neither in 0..{self.n_classes - 1} nor {IGNORE_INDEX}")

    def colours(self) -> Tensor:
        """uint8 (256, 3): the colour of every label, rounded to whole numbers; black where a label is none."""
        return self._exact_colours().nan_to_num(0).round().byte()

    def _exact_colours(self) -> Tensor:
        """float64 (256, 3) in 0..255, NaN where a label is none."""
        colours = torch.full((IGNORE_INDEX + 1, 3), torch.nan, dtype=torch.float64)
        colours[: self.n_classes] = self.anchors
        colours[IGNORE_INDEX] = WHITE
        return colours

    def decode(self, pseudo_mask: Tensor) -> Tensor:
        """Float (B, 3, H, W) in [-1, 1] to uint8 (B, H, W): the nearest anchor in L2, the lowest class on a tie.

        SemFlowError if a value is not finite: no anchor is nearest to what a diverged network gives.
        """
        if pseudo_mask.device.type == "meta":  # where there are shapes alone, to count FLOPs
            return pseudo_mask[:, 0].to(torch.uint8)
        if not torch.isfinite(pseudo_mask).all():
            raise SemFlowError("the network gave values that are not finite; its training diverged, train it again")
        if pseudo_mask.device.type == "mps":  # has no float64
            pseudo_mask = pseudo_mask.cpu()
        pixels = pseudo_mask.movedim(-3, -1)
        parts = [self._nearest(part) for part in pixels.reshape(-1, 3).split(PIXELS_AT_ONCE)]
        return torch.cat(parts).view(pixels.shape[:-1])

    def _nearest(self, pixels: Tensor) -> Tensor:
        """(N, 3) in [-1, 1] to uint8 (N,).

        The nearest point of the whole lattice is the nearest level a channel. Where that point stands for no class
        (45 of 216 with COCO-Stuff's 171), every anchor is tried. float64, so that it equals brute force.
        """
        position = (pixels.double() + 1) * 127.5
        level = torch.ceil(position / self.s - 0.5).clamp(0, self.k - 1).long()  # halves go down: the lower class
        label = (level[:, 0] * self.k + level[:, 1]) * self.k + level[:, 2]
        missing = torch.nonzero(label >= self.n_classes).squeeze(1)
        anchors = self.anchors.to(pixels.device)
        for rows in missing.split(PIXELS_AT_ONCE // 16):
            distance = (position[rows, None] - anchors).square().sum(-1)
            label[rows] = distance.argmin(1)
        return label.to(torch.uint8)

    paint, read = encode, decode  # their names in version 0.1

    def perturb(self, pseudo_mask: Tensor, amplitude: float, source: Source) -> Tensor:
        """Add U(-amplitude, amplitude) to every pixel and channel (Eq. 14).

        pseudo_mask: (B, 3, H, W) in [-1, 1]; amplitude in 0..255 units, below s/2 so that no label changes.
        """
        if not 0 <= amplitude < self.s / 2:
            raise ValueError(f"amplitude {amplitude} must be at least 0 and below s/2 = {self.s / 2} (Eq. 14)")
        if amplitude == 0:
            return pseudo_mask
        noise = uniform(tuple(pseudo_mask.shape), source, pseudo_mask.device, pseudo_mask.dtype)
        return pseudo_mask + (2 * noise - 1) * (amplitude / 127.5)
