"""Data sets: one module each, and here one line; all yield (uint8 image, uint8 labels). Imports no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from semflow.data.info import DatasetInfo, Official
from semflow.data.sample import IGNORE_INDEX, Dataset, Sample
from semflow.data.settings import DataSettings

__all__ = ["DATASETS", "IGNORE_INDEX", "OFFICIAL", "Data", "Dataset", "Sample", "info_of", "open_dataset", "swaps_of"]

DATASETS: dict[str, DatasetInfo] = {
    name: import_module(f"semflow.data.{name}").INFO
    for name in (
        "scenes",
        "camvid",
        "coco_stuff",
        "celebamask_hq",
        "cityscapes",
        "folder",
    )
}
OFFICIAL: dict[str, Official] = {name: info.official for name, info in DATASETS.items() if info.official}  # that we prepare

if TYPE_CHECKING:
    Data = DataSettings
else:  # the section `data` of a suite
    Data = Annotated[Union[tuple(info.Settings for info in DATASETS.values())], Field(discriminator="name")]  # noqa: UP007


def open_dataset(data: Data, split: str) -> Dataset:
    """A split of the data set that a suite's section `data` names. SemFlowError if a file of it is missing."""
    return DATASETS[data.name].open(data, split)


def info_of(data: Data) -> DatasetInfo:
    """The data set that a section names, with its classes. SemFlowError if the section's own are not as they should be."""
    info = DATASETS[data.name]
    return info if info.described is None else info.described(data)


def swaps_of(data: Data) -> tuple[tuple[int, int], ...]:
    """Classes that a mirrored training image exchanges."""
    return info_of(data).swaps if getattr(data, "swap_left_right", True) else ()
