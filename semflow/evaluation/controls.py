"""Controls: what the protocol gives to a perfect and to a blind method. Nothing is trained."""

import numpy as np
import torch
from torch import Tensor

from semflow.data.sample import IGNORE_INDEX, Dataset
from semflow.loading.batches import Batches
from semflow.method.autoencoder import Autoencoder
from semflow.method.pseudo_mask import PseudoMask


class Oracle:
    """Ground truth painted, encoded, decoded and read: the most that the representation allows."""

    def __init__(self, pseudo_mask: PseudoMask, autoencoder: Autoencoder) -> None:
        self.pseudo_mask, self.autoencoder = pseudo_mask, autoencoder

    def predict(self, labels: Tensor) -> Tensor:
        """labels uint8 (B, H, W), 255 ignored, to labels uint8 (B, H, W)."""
        with torch.inference_mode():
            return self.pseudo_mask.read(self.autoencoder.decode(self.autoencoder.encode(self.pseudo_mask.paint(labels))))


class ShuffledLabels:
    """Ground truth of another image: what layout statistics alone give. Ignored pixels there count as class 0."""

    def predict(self, labels: Tensor) -> Tensor:
        """labels uint8 (n, H, W), at least two of them, to the labels of the image half the set away."""
        other = labels.roll(max(len(labels) // 2, 1), 0)
        return torch.where(other == IGNORE_INDEX, 0, other)


class RealImages:
    """Training images: as real as pictures get, of other layouts."""

    def draw(self, train: Dataset, n: int) -> Tensor:
        """`n` images spread over the training split, uint8 (n, 3, H, W); again from the start where it has fewer."""
        positions = np.linspace(0, len(train), n, endpoint=False).astype(int) % len(train)
        return Batches(train)[positions.tolist()][0]
