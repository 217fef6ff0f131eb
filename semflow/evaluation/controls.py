"""Controls: what the protocol gives to a perfect and to a blind method. Nothing is trained."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semflow.data import open_dataset
from semflow.data.sample import IGNORE_INDEX, Dataset
from semflow.evaluation.common import Measurement
from semflow.evaluation.metrics.appearance import box_mean
from semflow.loading.batches import Batches
from semflow.method.autoencoder import Autoencoder, make_autoencoder
from semflow.method.pseudo_mask import PseudoMask
from semflow.seeds import generator
from semflow.training.build import make_pseudo_mask

GREY = 128


class Oracle:
    """Ground truth, encoded and decoded: the most that the representation allows."""

    def __init__(self, pseudo_mask: PseudoMask, autoencoder: Autoencoder) -> None:
        self.pseudo_mask, self.autoencoder = pseudo_mask, autoencoder

    def predict(self, labels: Tensor) -> Tensor:
        """labels uint8 (B, H, W), 255 ignored, to labels uint8 (B, H, W)."""
        with torch.inference_mode():
            return self.pseudo_mask.decode(self.autoencoder.decode(self.autoencoder.encode(self.pseudo_mask.encode(labels))))


class ShuffledLabels:
    """Ground truth of another image: what layout statistics alone give. Ignored pixels there count as class 0."""

    def predict(self, labels: Tensor) -> Tensor:
        """labels uint8 (n, H, W), at least two of them, to the labels of the image half the set away."""
        other = labels.roll(max(len(labels) // 2, 1), 0)
        return torch.where(other == IGNORE_INDEX, 0, other)


def repainted(dataset: Any, labels: Tensor) -> Tensor:
    """Label maps uint8 (n, H, W) painted as the data set's pictures are, in colours drawn anew, uint8 (n, 3, H, W): what a
    synthesiser that has learnt everything would draw.
    """
    return torch.stack([torch.from_numpy(dataset.repaint(rows, index)) for index, rows in enumerate(labels.numpy())])


def blurred(images: Tensor) -> Tensor:
    """Means over 3 x 3 pixels, edges repeated, of images uint8 (n, 3, H, W): right colours, no texture."""
    return box_mean(images.float()).round().to(torch.uint8)


def white_noise(n: int, size: tuple[int, int]) -> Tensor:
    """Independent uniform bytes, uint8 (n, 3, H, W)."""
    return torch.randint(256, (n, 3, *size), generator=generator("cpu", "white noise"), dtype=torch.uint8)


class RealImages:
    """Training images: as real as pictures get, of other layouts."""

    def sample(self, train: Dataset, n: int) -> Tensor:
        """`n` images spread over the training split, uint8 (n, 3, H, W); again from the start where it has fewer."""
        positions = np.linspace(0, len(train), n, endpoint=False).astype(int) % len(train)
        return Batches(train)[positions.tolist()][0]


def _oracle(run: Measurement) -> Tensor:
    """Labels uint8 (n, H, W)."""
    control = Oracle(make_pseudo_mask(run.suite), make_autoencoder(run.suite.autoencoder).to(run.device))
    parts = run.batches(np.arange(len(run.dataset)), "segment")
    return torch.cat([control.predict(run.labels[positions].to(run.device)).cpu() for _, positions in parts])


OUTPUTS: dict[str, Callable[[Measurement], Tensor]] = {  # of each control: what a method in its place would give
    "test_images": lambda run: run.images,
    "oracle": _oracle,
    "shuffled_labels": lambda run: ShuffledLabels().predict(run.labels),
    "repainted": lambda run: repainted(run.dataset, run.labels),
    "blurred": lambda run: blurred(repainted(run.dataset, run.labels)),
    "grey_card": lambda run: torch.full_like(run.images, GREY),
    "white_noise": lambda run: white_noise(len(run.dataset), run.suite.data.size),
    "real_images": lambda run: RealImages().sample(open_dataset(run.suite.data, "train"), len(run.dataset)),
}
