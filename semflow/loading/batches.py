"""Samples gathered into tensors."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from semflow.data.sample import Dataset, Sample
from semflow.errors import SemFlowError
from semflow.loading.steps import View
from semflow.loading.views import training_labels, training_sample
from semflow.progress import Progress


class Batch(NamedTuple):
    """What a training step sees: pixels and labels, or the latents that they were encoded to before.

    image: uint8 (B, 3, H, W), or float32 (B, 2, C, h, w), mean and standard deviation of their latents.
    mask: uint8 (B, H, W) labels, uint8 (B, 3, H, W) labels as RGB, or float32 (B, C, h, w) latents.
    """

    image: Tensor
    mask: Tensor

    def on(self, device: torch.device) -> "Batch":
        """On `device`, without waiting for pinned memory."""
        return Batch(*(part.to(device, non_blocking=True) for part in self))

    def rows(self, first: int, last: int) -> "Batch":
        """Rows `first` to before `last`."""
        return Batch(*(part[first:last] for part in self))

    def __len__(self) -> int:
        return len(self.image)


class Batches:
    """Indexed by a list of positions: uint8 images (B, 3, H, W) and labels (B, H, W)."""

    def __init__(self, samples: Sequence[Sample] | Dataset) -> None:
        self.samples = samples

    def __getitem__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        return _stacked([self.samples[int(index)] for index in indices])


class Views:
    """Training images as pixels: indexed by a list of views, a Batch of uint8.

    swaps: classes that a mirror exchanges.  colours: uint8 (256, 3) where masks are RGB, else None.
    """

    def __init__(
        self, samples: Sequence[Sample] | Dataset, swaps: tuple[tuple[int, int], ...] = (), colours: np.ndarray | None = None
    ) -> None:
        self.samples, self.swaps, self.colours = samples, swaps, colours

    def __getitem__(self, views: Sequence[View]) -> Batch:
        read = partial(training_sample, self.samples, swaps=self.swaps, colours=self.colours)
        return Batch(*_stacked([read(view.image, mirrored=view.mirrored, crop=view.crop) for view in views]))

    def labels(self, views: Sequence[View]) -> Tensor:
        """The masks of a batch alone, where nothing is cropped; images on disk are not read for them."""
        read = partial(training_labels, self.samples, swaps=self.swaps, colours=self.colours)
        return torch.from_numpy(np.stack([read(view.image, mirrored=view.mirrored) for view in views]))


class TrainingSet(Protocol):
    """Batches by their views."""

    def __getitem__(self, views: Sequence[View]) -> Batch: ...


class _ErrorsAsValues(torch.utils.data.Dataset):
    """Returns a mistake in a file as a value: DataLoader would add a worker's traceback to its sentence."""

    def __init__(self, images: TrainingSet) -> None:
        self.images = images

    def __getitem__(self, views: Sequence[View]) -> Batch | SemFlowError:
        try:
            return self.images[views]
        except SemFlowError as error:
            return error


def load(images: TrainingSet, order: Iterable[list[View]], workers: int, pinned: bool = False) -> Iterator[Batch]:
    """Batches in the order of their views, read ahead by so many processes. SemFlowError for a mistake in a file.

    pinned: into memory that an accelerator copies from while it computes.
    """
    for batch in DataLoader(_ErrorsAsValues(images), batch_size=None, sampler=order, num_workers=workers, pin_memory=pinned):
        if isinstance(batch, SemFlowError):
            raise batch
        yield batch


def in_memory(dataset: Dataset, what: str) -> list[Sample]:
    """Every sample, rendered or decoded once."""
    with Progress(what, len(dataset)) as progress:
        samples = []
        for index in range(len(dataset)):
            samples.append(dataset[index])
            progress.update(1)
    return samples


def _stacked(samples: list[Sample]) -> tuple[Tensor, Tensor]:
    images, labels = zip(*samples, strict=True)
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))
