"""Samples gathered into tensors."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from semflow.data.sample import Dataset, Sample
from semflow.progress import Progress


class Batches(torch.utils.data.Dataset):
    """Indexed by a list of positions: uint8 images (B, 3, H, W) and labels (B, H, W)."""

    def __init__(self, samples: Sequence[Sample] | Dataset) -> None:
        self.samples = samples

    def __getitem__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        images, labels = zip(*(self.samples[int(index)] for index in indices), strict=True)
        return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))


def in_memory(dataset: Dataset, what: str) -> list[Sample]:
    """Every sample, drawn or decoded once."""
    with Progress(what, len(dataset)) as progress:
        samples = []
        for index in range(len(dataset)):
            samples.append(dataset[index])
            progress.update(1)
    return samples


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 [-1, 1]."""
    return images.float() / 127.5 - 1
