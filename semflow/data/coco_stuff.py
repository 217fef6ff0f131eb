"""COCO-Stuff-164k: photographs in `{train,val}2017/`, raw label ids in `annotations/{train,val}2017/`.

Images may lie under `images/` too, annotations under `stuffthingmaps/` or `stuffthingmaps_trainval2017/` or beside the images,
as the official archives and guides have it, and each in one more folder of the same name. The raw ids
are 0 to 181, 255 where unlabelled. Eleven of them never occur; the other 171 are the classes, in order.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from semflow.data.folders import Found, PairedFiles, apart, ask, by_stem, check_root, first_place, listed, paired, pairs_of
from semflow.data.info import Archive, DatasetInfo, Official
from semflow.data.label_maps import UNKNOWN, Ids, read_label_map
from semflow.data.sample import IGNORE_INDEX, Colour
from semflow.data.settings import PaperSettings
from semflow.errors import SemFlowError

_TEXT = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, parking meter,
bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase,
frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle,
wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake,
chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven,
toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier, toothbrush, banner, blanket, branch,
bridge, building-other, bush, cabinet, cage, cardboard, carpet, ceiling-other, ceiling-tile, cloth, clothes, clouds,
counter, cupboard, curtain, desk-stuff, dirt, door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile,
floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house, leaves, light, mat,
metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow, plant-other, plastic, platform,
playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea, shelf, sky-other, skyscraper, snow,
solid-other, stairs, stone, straw, structural-other, table, tent, textile-other, towel, tree, vegetable, wall-brick,
wall-concrete, wall-other, wall-panel, wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind,
window-other, wood
"""
NAMES = tuple(name.strip() for name in _TEXT.replace("\n", " ").split(","))
# Those of COCO's 91 things that were never annotated: street sign, hat, shoe, eye glasses, plate, mirror, window, desk, door,
# blender, hair brush.
ABSENT = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
RAW_IDS = tuple(raw for raw in range(182) if raw not in ABSENT)  # of each class, as label files have it
# The anchors of Eq. 7 at k = 6, s = 50, which the paper's Figure 2 shows.
PALETTE = tuple((50 * (c // 36), 50 * (c // 6 % 6), 50 * (c % 6)) for c in range(len(NAMES)))

TO_CLASS = np.full(256, UNKNOWN, np.uint8)
TO_CLASS[list(RAW_IDS)] = np.arange(len(NAMES))
TO_CLASS[255] = 255
LEGEND = f"0 to 181 without {', '.join(map(str, ABSENT))}, and 255 for unlabelled (other toolboxes count from 1, or without gaps)"
IDS = Ids(TO_CLASS, LEGEND)
ENOUGH = 50  # label maps, among which official ones have unlabelled pixels, and the walls and waters of the last ids
MOST_TRAIN_ID = len(NAMES) - 1  # of toolboxes that count classes without gaps
FIRST_LATE = next(number for number, raw in enumerate(RAW_IDS) if raw > MOST_TRAIN_ID)
UNPACKED = ("annotations", "stuffthingmaps", "stuffthingmaps_trainval2017", "annotations/stuffthingmaps")
IMAGES = ("{0}2017", "images/{0}2017", "{0}2017/{0}2017", "images/{0}2017/{0}2017")
LABELS = (*(f"{above}/{{0}}2017" for above in UNPACKED), "{0}2017", "{0}2017/{0}2017")


class Settings(PaperSettings):
    """COCO-Stuff-164k."""

    name: Literal["coco_stuff"]


class CocoStuff(PairedFiles):
    """One split, train or val."""

    name = "coco_stuff"
    names: tuple[str, ...] = NAMES
    palette: tuple[Colour, ...] = PALETTE
    looked_into = 60

    def __init__(self, root: Path, size: tuple[int, int], split: str) -> None:
        check_root(root, self.name, "train2017, val2017 and annotations")
        super().__init__(pairs_of(find(Path(root), split), ask(self.name, root)), size)
        self.look_into_some()

    def read_labels(self, path: str) -> Image.Image:
        return read_label_map(Path(path), IDS, PALETTE)

    def doubts(self, counts: Sequence[int], n_maps: int) -> str:
        if n_maps < ENOUGH or (counts[IGNORE_INDEX] and any(counts[FIRST_LATE : len(NAMES)])):
            return ""
        lacking = f"id above {MOST_TRAIN_ID}" if counts[IGNORE_INDEX] else "unlabelled pixel (255)"
        return (
            f"{n_maps:,} label maps have not one {lacking}, which any part of COCO-Stuff has: these look like another toolbox's, "
            "which count without gaps, or from 1 with 0 for unlabelled; fetch stuffthingmaps_trainval2017.zip"
        )


def find(root: Path, split: str) -> Found:
    """What lies of a split under `root`. A photograph of val must not be in train too."""
    if split not in ("train", "val"):
        raise SemFlowError(f"COCO-Stuff has no public annotations of its {split} split; set evaluation.split to val")
    labels_at, maps = first_place(root, [place.format(split) for place in LABELS], _raw_maps)
    (images_at, images), labels = _photographs(root, split), by_stem(labels_at, maps)
    found = paired(split, images, labels, (images_at, labels_at), (".jpg", ".png"))
    return apart(found, split, lambda other: _photographs(root, other)[1], str)


def _photographs(root: Path, split: str) -> tuple[Path, dict[str, str]]:
    """Where the images of a split lie, and their paths by name."""
    at, names = first_place(root, [place.format(split) for place in IMAGES], lambda at: listed(at, ".jpg", ".jpeg"))
    return at, by_stem(at, names)


def _raw_maps(folder: Path) -> list[str]:
    """Names of label maps, without the `_labelTrainIds.png` that other toolboxes leave beside the raw ids."""
    return [name for name in listed(folder, ".png") if not name.lower().endswith("trainids.png")]


OFFICIAL = Official(
    title="COCO-Stuff-164k",
    counts={"train": 118_287, "val": 5_000},
    size=(512, 512),
    archives=(
        Archive("train2017.zip", ("train2017",), under=("", "images")),
        Archive("val2017.zip", ("val2017",), under=("", "images")),
        Archive(
            "stuffthingmaps_trainval2017.zip",
            ("train2017", "val2017"),
            under=(*UNPACKED, ""),
        ),
    ),
    licence="annotations CC BY 4.0; the photographs are under Flickr's terms of use, each with a licence of its own",
    sources=(
        "http://images.cocodataset.org/zips/train2017.zip (18 GB)",
        "http://images.cocodataset.org/zips/val2017.zip (1 GB)",
        "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/stuffthingmaps_trainval2017.zip (659 MB)",
        "https://github.com/nightrome/cocostuff (what they are)",
    ),
    find=find,
    reader=CocoStuff,
)
INFO = DatasetInfo(
    Settings, lambda data, split: CocoStuff(data.folder, data.size, split), NAMES, PALETTE, raw=IDS, official=OFFICIAL
)
