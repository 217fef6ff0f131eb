"""Confusion matrices of label maps: integer counts, so that a sum over images is exact in any order."""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from semflow.data.sample import IGNORE_INDEX
from semflow.evaluation.metrics import scores

PIXELS_AT_ONCE = 1 << 24  # bounds the memory of `confusions`: some 50 bytes each


def confusion(predicted: Tensor, labels: Tensor, n_classes: int, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """int64 (n_classes, n_classes) of pixel counts, rows ground truth, columns prediction.

    predicted, labels: integer tensors of one shape. Pixels whose label is `ignore_index` are not counted.
    ValueError if the shapes differ or another value lies outside the classes.
    """
    return confusions(predicted[None], labels[None], n_classes, ignore_index)[0]


def confusions(predicted: Tensor, labels: Tensor, n_classes: int, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """As `confusion`, one matrix an image: (B, ...) and (B, ...) to int64 (B, n_classes, n_classes)."""
    if predicted.shape != labels.shape:
        raise ValueError(f"prediction and labels must have one shape, not {tuple(predicted.shape)} and {tuple(labels.shape)}")
    n_images = len(labels)
    at_once = max(1, PIXELS_AT_ONCE // max(1, labels[:1].numel()))
    if n_images > at_once:
        parts = zip(predicted.split(at_once), labels.split(at_once), strict=True)
        return torch.cat([confusions(guess, truth, n_classes, ignore_index) for guess, truth in parts])
    truth, guess = labels.reshape(n_images, -1).long(), predicted.reshape(n_images, -1).long()
    counted = truth != ignore_index
    outside = counted & ((truth < 0) | (truth >= n_classes) | (guess < 0) | (guess >= n_classes))
    if outside.any():
        raise ValueError(f"a label or a prediction lies outside 0..{n_classes - 1}")
    image = torch.arange(n_images, device=labels.device)[:, None]
    cell = (image * n_classes + truth) * n_classes + guess
    counts = torch.bincount(cell[counted], minlength=n_images * n_classes**2)
    return counts.view(n_images, n_classes, n_classes)


def sparse_rows(confusions: Tensor) -> sparse.csr_array:
    """int64 (B, n, n) to sparse int64 (B, n * n), a row an image, as records keep them."""
    return sparse.csr_array(confusions.flatten(1).numpy())


def miou(confusion: Tensor | np.ndarray) -> float:
    """Mean IoU in [0, 1] over the classes present in ground truth; confusion (n, n), rows ground truth."""
    return float(scores.mean_iou(np.asarray(confusion)))
