"""Scores of confusion matrices, in NumPy, over any leading dimensions."""

import numpy as np


def class_iou(confusion: np.ndarray) -> np.ndarray:
    """IoU of every class, (..., n, n) to (..., n), rows ground truth; NaN where a class is in neither."""
    confusion = np.asarray(confusion, dtype=np.float64)
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    union = confusion.sum(-1) + confusion.sum(-2) - hit
    with np.errstate(invalid="ignore"):
        return hit / union


def mean_iou(confusion: np.ndarray, present: str = "truth") -> np.ndarray:
    """Mean IoU in [0, 1] over the classes present in ground truth ("truth", detectron2's way) or in ground truth or
    prediction ("either", mmsegmentation's way); (..., n, n) to (...), NaN where no class is present.
    """
    confusion = np.asarray(confusion)
    counted = confusion.sum(-1) > 0
    if present == "either":
        counted = counted | (confusion.sum(-2) > 0)
    elif present != "truth":
        raise ValueError(f"present is {present!r}; it is 'truth' or 'either'")
    iou = np.where(counted, class_iou(confusion), 0.0)
    with np.errstate(invalid="ignore"):
        return iou.sum(-1) / counted.sum(-1)


def pixel_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of counted pixels with the right label, in [0, 1]; (..., n, n) to (...)."""
    confusion = np.asarray(confusion, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum((-2, -1))


SCORES = {
    "miou": lambda confusion: mean_iou(confusion, "truth"),
    "miou_either": lambda confusion: mean_iou(confusion, "either"),
    "pixel_accuracy": pixel_accuracy,
}
