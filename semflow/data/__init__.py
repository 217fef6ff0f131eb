"""Data sets: one module each, all yielding (uint8 image, uint8 labels)."""

from typing import TYPE_CHECKING

from semflow.data.sample import IGNORE_INDEX, Dataset, Sample

if TYPE_CHECKING:
    from semflow.suite import CamVidData, ScenesData

__all__ = ["IGNORE_INDEX", "Dataset", "Sample", "open_dataset"]


def open_dataset(data: "ScenesData | CamVidData", split: str) -> Dataset:
    """The data set that a suite's `data:` section names. SemFlowError if a file of it is missing."""
    from semflow.config import data_root
    from semflow.data.camvid import CamVid
    from semflow.data.scenes import Scenes

    if data.name == "camvid":
        return CamVid(data_root(data), data.size, split)
    return Scenes(data.n_train if split == "train" else data.n_test, data.size, data.seed, split)
