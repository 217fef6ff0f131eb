"""CelebAMask-HQ from its raw download: faces in `CelebA-HQ-img/`, a mask for each part of each face in
`CelebAMask-HQ-mask-anno/`. `semflow data prepare` merges the parts into `CelebAMask-HQ-labels/<face>.png`.

Images are 1024 x 1024 and label maps 512 x 512: the two agree if they are of one shape. The official partition goes by a
face's number in CelebA; the other common one takes the first 28,000 faces to train with, and has the last 2,000 as both
`val` and `test`.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from semflow import files
from semflow.data.folders import (
    Found,
    PairedFiles,
    apart,
    ask,
    by_stem,
    check_root,
    holding,
    listed,
    names_and_sizes,
    pairs_of,
    read_lines,
)
from semflow.data.info import Archive, DatasetInfo, Official
from semflow.data.label_maps import class_ids, read_label_map, read_mask
from semflow.data.sample import Colour
from semflow.data.settings import PaperSettings
from semflow.errors import SemFlowError

NAMES = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip",
    "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
PALETTE = (
    (0, 0, 0), (204, 0, 0), (76, 153, 0), (204, 204, 0), (51, 51, 255), (204, 0, 204), (0, 255, 255), (255, 204, 204),
    (102, 51, 0), (255, 0, 0), (102, 204, 0), (255, 255, 0), (0, 0, 153), (0, 0, 204), (255, 51, 153), (0, 204, 204),
    (0, 51, 0), (255, 153, 51), (0, 204, 0),
)  # fmt: skip
IDS = class_ids(len(NAMES))
SWAPS = ((4, 5), (6, 7), (8, 9))  # eyes, brows, ears
IMAGES, PARTS, MERGED = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno", "CelebAMask-HQ-labels"
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
TOP = "CelebAMask-HQ"  # the folder that the official archive has everything in
SPLITS = ("train", "val", "test")
FACES_A_FOLDER = 2000
FIRST_VAL, FIRST_TEST = 162_771, 182_638  # numbers in CelebA
FIRST_LEFT_OUT = 28_000  # number here
PNG_END = b"IEND\xaeB`\x82"
PART = re.compile(rf"\d{{5}}_({'|'.join(NAMES[1:])})\.(png|PNG)")
COPY = re.compile(r"( \(\d+\)| - copy| copy)+$")  # what systems put at the end of a copy's name
MERGED_OF = "parts"  # the text in a label map that says of which parts it was merged


class Settings(PaperSettings):
    """partition: by the images' numbers in CelebA (24,183 / 2,993 / 2,824), or the first 28,000 and the rest.

    swap_left_right: a mirror exchanges left and right eyes, brows and ears.
    """

    name: Literal["celebamask_hq"]
    partition: Literal["official", "first_28000"]
    swap_left_right: bool


class CelebAMaskHQ(PairedFiles):
    """One split, train, val or test, of a partition, `official` or `first_28000`."""

    name = "celebamask_hq"
    names: tuple[str, ...] = NAMES
    palette: tuple[Colour, ...] = PALETTE

    def __init__(self, root: Path, size: tuple[int, int], split: str, partition: str) -> None:
        check_root(root, self.name, f"{IMAGES}, {PARTS} and {MAPPING}")
        root = home(Path(root))
        names = part_names(root)
        super().__init__(pairs_of(find(root, split, partition, names), ask(self.name, root)), size)
        faces = {f"{int(Path(image).stem):05d}" for image, _ in self.pairs}
        self._parts = hashlib.sha256("\n".join(name for name in names if name[:5] in faces).encode()).hexdigest()

    def read_labels(self, path: str) -> Image.Image:
        if not Path(path).is_file():
            mend = f"run `semflow data prepare {self.name} {Path(path).parent.parent}`"
            raise SemFlowError(f"the parts of a face are not merged to {path} yet; {mend}")
        return read_label_map(Path(path), IDS, PALETTE)

    def agree(self, image: tuple[int, int], labels: tuple[int, int]) -> bool:
        return image[0] * labels[1] == image[1] * labels[0]

    @cached_property
    def parts(self) -> dict[str, list[str]]:
        """Paths of the masks of each face's parts."""
        return part_files(Path(self.pairs[0][0]).parent.parent)

    def verify(self, index: int, labels: Image.Image) -> None:
        image, path = self.pairs[index]
        if not np.array_equal(np.asarray(labels), np.asarray(merge(self.parts[_number(image)]))):
            raise SemFlowError(f"{path} is not what the parts of its face merge to; delete it and prepare the data set again")

    def files(self) -> Iterable[str]:
        """The raw files, which are the same whether they are merged already or not."""
        return (path for image, _ in self.pairs for path in (image, *self.parts[_number(image)]))

    def stamp(self) -> str:
        """SHA-256 over the names and sizes of the images and the names of their parts, of which there are too many to ask
        each for its size; `fingerprint` sees what is in them.
        """
        return names_and_sizes((image for image, _ in self.pairs), self.size, self._parts)


def home(root: Path) -> Path:
    """`root`, or the folder in it that the official archive makes, perhaps in one of the archive's name."""
    places = [root, root / TOP, root / TOP / TOP]
    return next((place for place in places if (place / IMAGES).is_dir()), root / TOP if (root / TOP).is_dir() else root)


def find(root: Path, split: str, partition: str, names: Sequence[str]) -> Found:
    """What lies of a split under `root`, of whose `part_names` are these.

    A face without any part is wrong, and one of another split than `train` that is in that too; one without some is not, since
    few wear a hat. `survey` notes those without skin.
    """
    if split not in SPLITS:
        raise SemFlowError(f"CelebAMask-HQ has no {split} split; it has {', '.join(SPLITS)}")
    everyone, annotated = faces(root), {name[:5] for name in names}
    if not everyone:
        return Found({}, {}, missing=(f"there are no images (<number>.jpg) in {root / IMAGES}{holding(root / IMAGES)}",))
    chosen, problems = _members(root, everyone, split, partition)
    images = {name: everyone[name] for name in chosen}
    labels = {name: f"{root / MERGED}/{name}.png" for name in chosen if name.zfill(5) in annotated}
    bare = [name for name in images if name not in labels]
    if not names:
        sentence = f"there are images in {root / IMAGES} but no annotations in {root / PARTS}{holding(root / PARTS)}"
        return Found(images, labels, tuple(problems), missing=(sentence,))
    if bare:
        problems.append(
            f"{split}: {count_of(bare, images)} not one part in {root / PARTS}, the first is {bare[0]}; "
            "fetch their parts or remove their images"
        )

    def images_of(other: str) -> dict[str, str]:
        return {name: everyone[name] for name in _members(root, everyone, other, partition)[0]}

    return apart(Found(images, labels, tuple(problems)), split, images_of, str)


def survey(root: Path, split: str) -> Found:
    """What lies of a split of the official partition. That a face has parts but no skin, which is background then, is noted."""
    root = home(root)
    pngs = _pngs(root)
    names = [name for name in pngs if PART.fullmatch(name)]
    found = find(root, split, "official", names)
    lacking = {name[:5] for name in names} - {name[:5] for name in names if name[6:-4] == "skin"}
    bare = [face for face in found.images if face.zfill(5) in lacking]
    notes = []
    if bare:
        notes.append(f"{split}: {count_of(bare, found.images)} parts but no skin, the first is {bare[0]}; theirs is background")
    if unknown := [name for name in pngs if not PART.fullmatch(name)]:
        notes.append(
            f"{len(unknown):,} PNGs in {root / PARTS} are no part by their names and are left out, the first is {unknown[0]}; "
            "a part is <five digits>_<name>.png"
        )
    return found._replace(notes=(*found.notes, *notes))


def count_of(some: Sized, everyone: Sized) -> str:
    """The beginning of a sentence on what some faces have."""
    return f"{len(some):,} of {len(everyone):,} faces {'has' if len(some) == 1 else 'have'}"


def faces(root: Path) -> dict[str, str]:
    """Paths of all images, by number, in order; zeros before a number count for nothing. SemFlowError if one has two images."""
    found: dict[str, str] = {}
    for stem, path in by_stem(root / IMAGES, listed(root / IMAGES, ".jpg", ".jpeg")).items():
        if stem.isdecimal() and (other := found.setdefault(str(int(stem)), path)) != path:
            raise SemFlowError(f"{other} and {path} are images of one face; remove one of them")
    return dict(sorted(found.items(), key=lambda face: int(face[0])))


def _number(image: str) -> str:
    """The number of an image's face, as `faces` has it."""
    return str(int(Path(image).stem))


def part_names(root: Path) -> list[str]:
    """Names of the masks of known parts, such as 00017_nose.png, in order. SemFlowError if one is there twice."""
    return [name for name in _pngs(root) if PART.fullmatch(name)]


def _pngs(root: Path) -> list[str]:
    """Names of all PNGs among the parts, in order. SemFlowError if two name one part: in capitals or not, or as a copy."""
    folder, found, seen = root / PARTS, list[str](), dict[str, str]()
    numbers = sorted({int(path.name) for path in folder.iterdir() if path.name.isdecimal()}) if folder.is_dir() else []
    for at in (folder / str(number) for number in numbers):
        for name in listed(at, ".png"):
            part = COPY.sub("", name[:-4].lower())
            path = f"{at}/{name}"
            if (other := seen.setdefault(part, path)) != path:
                raise SemFlowError(f"{other} and {path} are one part of one face; remove one of them")
            found.append(name)
    return found


def part_files(root: Path) -> dict[str, list[str]]:
    """Paths of the masks of each face's parts."""
    found: dict[str, list[str]] = {}
    for name in part_names(root):
        if name[:5].isdecimal():
            face = int(name[:5])
            found.setdefault(str(face), []).append(f"{root / PARTS}/{face // FACES_A_FOLDER}/{name}")
    return found


def merge(parts: Iterable[str]) -> Image.Image:
    """The label map (mode L) of a face from the masks of its parts; where they overlap, the class of the higher id has it."""
    by_name = {os.path.basename(path)[6:-4]: path for path in parts}  # noqa: PTH119
    labels: np.ndarray | None = None
    for label, name in enumerate(NAMES):
        if name not in by_name:
            continue
        mask = read_mask(Path(by_name[name]))
        if labels is None:
            labels = np.zeros(mask.shape, np.uint8)
        if labels.shape != mask.shape:
            raise SemFlowError(f"{by_name[name]} differs in size from the face's other parts; fetch it again")
        labels[mask] = label
    if labels is None:
        raise SemFlowError(f"{', '.join(by_name.values())}: no known part of a face; fetch CelebAMask-HQ again")
    return Image.fromarray(labels)


class LabelMaps:
    """Label maps of all faces, each merged of the face's parts.

    A label map holds a hash over the names and sizes of its parts, as a text, so that the two appear together, and stay together
    where they are copied.
    """

    def __init__(self, root: Path) -> None:
        root = home(root)
        self.folder, self._parts = root / MERGED, part_files(root)
        able = [name for name in faces(root) if name in self._parts]
        with ThreadPoolExecutor() as pool:
            self.sources = dict(zip(able, pool.map(lambda name: names_and_sizes(self._parts[name]), able), strict=True))
            self.missing = [name for name, done in zip(able, pool.map(self._is_made, able), strict=True) if not done]

    def _is_made(self, name: str) -> bool:
        """Whether there is a whole label map of these parts. It is not decoded: that would take minutes for all faces.

        SemFlowError if it may not be read.
        """
        path = self.folder / f"{name}.png"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise files.unreadable(error, path) from None
        return self.sources[name].encode() in data and data.endswith(PNG_END)

    def make(self, name: str) -> None:
        """Merge the parts of a face. Not forced to the disk one by one: what a crash cut off has no end, and is made again."""
        labels, told = merge(self._parts[name]), PngInfo()
        labels.putpalette([channel for colour in PALETTE for channel in colour])
        told.add_text(MERGED_OF, self.sources[name])
        files.write_atomically(self.folder / f"{name}.png", lambda part: labels.save(part, pnginfo=told), forced=False)


def _members(root: Path, everyone: Iterable[str], split: str, partition: str) -> tuple[list[str], list[str]]:
    """Faces of a split, and a sentence for each thing that is wrong."""
    if partition == "first_28000":
        chosen = [name for name in everyone if (int(name) < FIRST_LEFT_OUT) == (split == "train")]
    else:
        original = _read_mapping(root / MAPPING)
        if missing := [name for name in everyone if int(name) not in original]:
            return [], [f"{root / MAPPING} lacks the face {missing[0]} ({len(missing)} in all); fetch it again"]
        first = {"train": 0, "val": FIRST_VAL, "test": FIRST_TEST}[split]
        end = {"train": FIRST_VAL, "val": FIRST_TEST, "test": float("inf")}[split]
        chosen = [name for name in everyone if first <= original[int(name)] < end]
    return chosen, [] if chosen else [f"none of the faces in {root / IMAGES} is of the {split} split; fetch all of them"]


def _read_mapping(path: Path) -> dict[int, int]:
    """A face's number in CelebA, by its number here: lines of number, number in CelebA, file (whose name counts from 1).

    The official file has a line of titles above, which may be missing. SemFlowError if a face is there twice, if face 0 is not
    there, or if a number and a file's name disagree, as where either counts from another number.
    """
    if not path.exists():
        raise SemFlowError(f"there is no {path}, which the official partition goes by; it comes with CelebAMask-HQ.zip")
    lines = [(number, line.split()) for number, line in read_lines(path, "table of faces")]
    original, seen = dict[int, int](), dict[int, int]()
    for number, row in lines[bool(lines and not lines[0][1][0].isdecimal()) :]:
        if len(row) < 3 or not (row[0].isdecimal() and row[1].isdecimal()):
            raise SemFlowError(f"{path}, line {number}: expected a face, its number in CelebA and its file; fetch it again")
        face, in_celeba, stem = int(row[0]), int(row[1]), row[2].partition(".")[0]
        if face in seen:
            raise SemFlowError(f"{path}: face {face} is there twice, in lines {seen[face]} and {number}; fetch it again")
        if stem.isdecimal() and int(stem) != in_celeba + 1:
            file = f"{in_celeba + 1:06d}.jpg"
            raise SemFlowError(f"{path}, line {number}: number {in_celeba} in CelebA is {file}, not {row[2]}; fetch it again")
        original[face], seen[face] = in_celeba, number
    if original and 0 not in original:
        raise SemFlowError(f"{path} has no face 0: its first line is missing, or it counts from 1; fetch it again")
    return original


OFFICIAL = Official(
    title="CelebAMask-HQ",
    counts={"train": 24_183, "val": 2_993, "test": 2_824},
    partitions={"first_28000": {"train": 28_000, "val": 2_000, "test": 2_000}},
    size=(512, 512),
    archives=(Archive(f"{TOP}.zip", (IMAGES, PARTS, MAPPING), top=TOP, under=("", TOP, f"{TOP}/{TOP}")),),
    licence="non-commercial research only; neither the images nor what is derived from them may be passed on",
    sources=("https://github.com/switchablenorms/CelebAMask-HQ (the terms, and links to CelebAMask-HQ.zip)",),
    find=survey,
    reader=CelebAMaskHQ,
    label_maps=LabelMaps,
)
INFO = DatasetInfo(
    Settings,
    lambda data, split: CelebAMaskHQ(data.folder, data.size, split, data.partition),
    NAMES,
    PALETTE,
    SWAPS,
    official=OFFICIAL,
)
