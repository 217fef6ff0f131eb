"""Data sets: one module each, all yielding (uint8 image, uint8 labels)."""

from typing import TYPE_CHECKING

from semflow.data.sample import IGNORE_INDEX, Dataset, Sample

if TYPE_CHECKING:
    from semflow.suite.datasets import Data

__all__ = ["IGNORE_INDEX", "Dataset", "Sample", "open_dataset"]


def open_dataset(data: "Data", split: str) -> Dataset:
    """The data set that a suite's `data:` section names. SemFlowError if a file of it is missing."""
    from semflow.data.camvid import CamVid
    from semflow.data.celebamask_hq import CelebAMaskHQ
    from semflow.data.cityscapes import Cityscapes
    from semflow.data.coco_stuff import CocoStuff
    from semflow.data.scenes import Scenes
    from semflow.suite.reading import data_root

    if data.name == "scenes":
        return Scenes(data.n_train if split == "train" else data.n_test, data.size, data.seed, split)
    root = data_root(data)
    if data.name == "celebamask_hq":
        return CelebAMaskHQ(root, data.size, split, data.partition)
    if data.name == "coco_stuff":
        return CocoStuff(root, data.size, split)
    if data.name == "cityscapes":
        return Cityscapes(root, data.size, split)
    return CamVid(root, data.size, split)
