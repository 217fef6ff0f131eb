"""Cityscapes: `leftImg8bit/<split>/<city>/*_leftImg8bit.png` and `gtFine/<split>/<city>/*_gtFine_labelIds.png`.

Either may lie in a folder named after its archive. The label files' 34 ids become the 19 classes that are scored; the others,
licence plates among them, are ignored. The stills count as independent (no `groups`): they were picked by hand, for variety,
from hours of driving.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from semflow.data.colours import CITYSCAPES as PALETTE
from semflow.data.folders import Found, PairedFiles, apart, ask, check_root, first_place, listed, paired, pairs_of
from semflow.data.info import Archive, DatasetInfo, Official
from semflow.data.label_maps import UNKNOWN, Ids, read_label_map
from semflow.data.sample import IGNORE_INDEX, Colour
from semflow.data.settings import PaperSettings
from semflow.errors import SemFlowError

NAMES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)  # of each class in label files

TO_CLASS = np.full(256, UNKNOWN, np.uint8)
TO_CLASS[:34] = IGNORE_INDEX
TO_CLASS[list(LABEL_IDS)] = np.arange(len(NAMES))
TO_CLASS[255] = IGNORE_INDEX  # -1, a licence plate, in eight bits
IDS = Ids(TO_CLASS, "0 to 33, and 255 for licence plates")
PLATE = 253  # stands for a licence plate until it is known that 255 is one
WITH_PLATES = IDS._replace(to_class=np.where(np.arange(256) == 255, PLATE, TO_CLASS).astype(np.uint8))
IGNORED_PLATES = [IGNORE_INDEX if label == PLATE else label for label in range(256)]
FIRST_LATE = LABEL_IDS.index(19)  # train ids, 0 to 18, would be classes below this or ignored
TRAIN_IDS = (
    "look like train ids (0 to 18, 255 elsewhere), not label ids (0 to 33): none is above 18; put the *_gtFine_labelIds.png of "
    "gtFine_trainvaltest.zip there"
)
IMAGES, MAPS = (tuple(f"{at}{kind}" for at in ("", f"{kind}_trainvaltest/")) for kind in ("leftImg8bit", "gtFine"))
IMAGE, LABELS, POLYGONS = "_leftImg8bit.png", "_gtFine_labelIds.png", "_gtFine_polygons.json"


class Settings(PaperSettings):
    """Fine annotations; those of the test split are not public."""

    name: Literal["cityscapes"]


class Cityscapes(PairedFiles):
    """One split, train or val, of the fine annotations."""

    name = "cityscapes"
    names: tuple[str, ...] = NAMES
    palette: tuple[Colour, ...] = PALETTE

    def __init__(self, root: Path, size: tuple[int, int], split: str) -> None:
        check_root(root, self.name, "leftImg8bit and gtFine")
        super().__init__(pairs_of(find(Path(root), split), ask(self.name, root)), size)
        self.look_into_some()

    def read_labels(self, path: str) -> Image.Image:
        labels = read_label_map(Path(path), WITH_PLATES, PALETTE)
        counts = labels.histogram()
        if not counts[PLATE]:
            return labels
        if sum(counts[: len(NAMES)]) + counts[IGNORE_INDEX] and not any(counts[FIRST_LATE : len(NAMES)]):
            raise SemFlowError(f"the ids in {path} {TRAIN_IDS}")  # a plate, and not one vehicle
        return labels.point(IGNORED_PLATES)

    def doubts(self, counts: Sequence[int], n_maps: int) -> str:
        if any(counts[FIRST_LATE : len(NAMES)]) or not any(counts[:FIRST_LATE]):
            return ""
        return f"the ids in {n_maps:,} label maps {TRAIN_IDS}"


def find(root: Path, split: str) -> Found:
    """What lies of a split under `root`. A still of val must not be in train too."""
    if split not in ("train", "val"):
        raise SemFlowError(f"Cityscapes publishes no annotations of its {split} split; set evaluation.split to val")
    labels_at, _ = first_place(root, [f"{at}/{split}" for at in MAPS], lambda at: [*frames(at, LABELS)])
    (images_at, images), labels = _stills(root, split), frames(labels_at, LABELS)
    kinds = f"<city>/*{IMAGE}", f"<city>/*{LABELS}"
    if not labels and frames(labels_at, POLYGONS):
        sentence = (
            f"{split}: {labels_at} holds polygons but no *{LABELS}; take them from gtFine_trainvaltest.zip, or draw them with "
            "createLabels of cityscapesscripts (csCreateTrainIdLabelImgs draws other ids)"
        )
        return Found(images, labels, (sentence,))
    found = paired(split, images, labels, (images_at, labels_at), kinds)
    return apart(found, split, lambda other: _stills(root, other)[1], lambda name: name.rpartition("/")[2])


def _stills(root: Path, split: str) -> tuple[Path, dict[str, str]]:
    """Where the images of a split lie, and their paths by city and frame."""
    at, _ = first_place(root, [f"{at}/{split}" for at in IMAGES], lambda at: [*frames(at, IMAGE)])
    return at, frames(at, IMAGE)


def frames(folder: Path, suffix: str) -> dict[str, str]:
    """Paths of a split's files of one kind, by city and frame."""
    cities = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    found: dict[str, str] = {}
    for path, frame in (
        (f"{city}/{name}", f"{city.name}/{name[: -len(suffix)]}") for city in cities for name in listed(city, suffix)
    ):
        if (other := found.setdefault(frame, path)) != path:
            raise SemFlowError(f"{other} and {path} have one name; remove one of them")
    return found


OFFICIAL = Official(
    title="Cityscapes",
    counts={"train": 2_975, "val": 500},
    unlabelled={"test": 1_525},
    size=(512, 1024),
    archives=tuple(
        Archive(f"{kind}_trainvaltest.zip", (kind,), under=("", f"{kind}_trainvaltest")) for kind in ("leftImg8bit", "gtFine")
    ),
    licence="non-commercial; a free account, in which the licence is accepted, gives access",
    sources=(
        "https://www.cityscapes-dataset.com/downloads/: leftImg8bit_trainvaltest.zip (11 GB)",
        "https://www.cityscapes-dataset.com/downloads/: gtFine_trainvaltest.zip (241 MB)",
    ),
    find=find,
    reader=Cityscapes,
)
INFO = DatasetInfo(
    Settings, lambda data, split: Cityscapes(data.folder, data.size, split), NAMES, PALETTE, raw=IDS, official=OFFICIAL
)
