"""Samples gathered into tensors."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from semflow.data.sample import Dataset, Sample
from semflow.errors import SemFlowError
from semflow.progress import Progress


class Batches(torch.utils.data.Dataset):
    """Indexed by a list of positions: uint8 images (B, 3, H, W) and labels (B, H, W)."""

    def __init__(self, samples: Sequence[Sample] | Dataset) -> None:
        self.samples = samples

    def __getitem__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        images, labels = zip(*(self.samples[int(index)] for index in indices), strict=True)
        return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))


class _Told(Batches):
    """Hands a mistake in a file on as a value: DataLoader would add a worker's traceback to its sentence."""

    def __getitem__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor] | SemFlowError:  # type: ignore[override]
        try:
            return super().__getitem__(indices)
        except SemFlowError as error:
            return error


def load(samples: Sequence[Sample] | Dataset, order: Iterable[np.ndarray], workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches in the order of their positions, read ahead by so many processes. SemFlowError for a mistake in a file."""
    for batch in DataLoader(_Told(samples), batch_size=None, sampler=order, num_workers=workers):
        if isinstance(batch, SemFlowError):
            raise batch
        images, labels = batch
        yield images, labels


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
