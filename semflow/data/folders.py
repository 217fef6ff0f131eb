"""What data sets of image files have in common: listing them, pairing images with annotations, reading, fingerprints.

Paths are plain strings and no file is opened, so that the 118,287 pairs of COCO-Stuff are listed in about a second.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Self

import numpy as np
from PIL import Image

from semflow.data.images import orientation, read_image, resize_image, resize_labels
from semflow.data.sample import IGNORE_INDEX, Colour, Dataset, Sample, unlabelled
from semflow.errors import SemFlowError

MOST_NAMED = 4  # of what lies in a folder
JPEG_END = b"\xff\xd9"


class Found(NamedTuple):
    """What lies of a split: paths of images and of annotations by name; and a sentence for each thing that is wrong, that is odd
    but can be read, and that is not there at all.
    """

    images: dict[str, str]
    labels: dict[str, str]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def wrong(self, mend: str) -> tuple[str, ...]:
        """All that keeps a split from being read. mend: what the user does about what is not there; "": nothing is said."""
        return (*(f"{sentence}; {mend}" if mend else sentence for sentence in self.missing), *self.problems)


def ask(name: str, root: Path) -> str:
    """What the user of a published data set does about what is not there."""
    return f"`semflow data check {name} {root}` says where to get it"


def pairs_of(found: Found, mend: str = "") -> list[tuple[str, str]]:
    """Paths of each image and its annotation. SemFlowError if something is wrong."""
    for sentence in found.wrong(mend):
        raise SemFlowError(sentence)
    return [(path, found.labels[name]) for name, path in found.images.items()]


def apart(
    found: Found, split: str, images_of: Callable[[str], dict[str, str]], scene: Callable[[str], str] | None = None
) -> Found:
    """What lies of a split; that an image of another split than `train` is in that too is a problem.

    images_of: paths of a split's images by name.  scene: what a name says of what an image shows; None: nothing.
    """
    if split == "train":
        return found
    try:
        learnt = images_of("train")
    except SemFlowError:  # which is said where it is trained on
        return found
    files, scenes = {*real_paths(learnt.values())}, {*map(scene, learnt)} if scene else set()
    shown = zip(found.images, real_paths(found.images.values()), strict=True)
    if seen := [name for name, path in shown if path in files or (scene and scene(name) in scenes)]:
        sentence = f"{split}: {len(seen)} of {len(found.images)} images are in the train split too, the first is {seen[0]}"
        return found._replace(problems=(*found.problems, f"{sentence}; remove them from one of the two"))
    return found


def real_paths(paths: Iterable[str]) -> Iterator[str]:
    """Where files lie when links are followed. Folders are listed, and only the links in them are looked up."""
    folders: dict[str, tuple[str, set[str]]] = {}
    for path in paths:
        folder, slash, name = path.rpartition("/")
        if folder not in folders:
            with os.scandir(folder or slash or ".") as entries:
                folders[folder] = os.path.realpath(folder or slash), {entry.name for entry in entries if entry.is_symlink()}
        place, links = folders[folder]
        yield os.path.realpath(path) if name in links else f"{place}/{name}"


class PairedFiles:
    """A split at `size` (h, w), an image file and an annotation file a sample.

    A data set's own `read_labels` turns a file into a label map, `read_picture` into an image.
    """

    name: str
    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    groups: tuple[str, ...] | None = None
    looked_into = 8  # label maps, when a split is opened
    looked_into_in_doubt = 200

    def __init__(self, pairs: list[tuple[str, str]], size: tuple[int, int]) -> None:
        self.pairs, self.size = pairs, size

    @classmethod
    def over(cls, pairs: list[tuple[str, str]], size: tuple[int, int]) -> Self:
        """These pairs alone, whatever else is wrong where they lie."""
        some = cls.__new__(cls)
        PairedFiles.__init__(some, pairs, size)
        return some

    def read_picture(self, path: str) -> Image.Image:
        """An RGB image as it lies on disk."""
        return read_image(Path(path))

    def read_labels(self, path: str) -> Image.Image:
        """A label map as it lies on disk: mode L, 255 where ignored."""
        raise NotImplementedError

    def files(self) -> Iterable[str]:
        """Every file that the content comes from."""
        return (path for pair in self.pairs for path in pair)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        image, labels = self.native(index)
        return Sample(resize_image(image, self.size), resize_labels(labels, self.size))

    def native(self, index: int, decoded: bool = True) -> tuple[Image.Image, Image.Image]:
        """Image and label map of a sample, as they lie on disk; SemFlowError if the two differ in shape.

        decoded: whether the image's pixels are needed; if not, an image that `whole` vouches for has none.
        """
        image_path, labels_path = self.pairs[index]
        image = (None if decoded else whole(image_path)) or self.read_picture(image_path)
        labels = self.read_labels(labels_path)
        if not self.agree(image.size, labels.size):
            raise SemFlowError(
                f"{image_path} is {image.width} x {image.height} pixels but its labels {labels_path} are "
                f"{labels.width} x {labels.height}; they must agree: fetch both again"
                + (", or save the image upright, which its EXIF orientation turns" if orientation(image) > 4 else "")
            )
        return image, labels

    def label_map(self, index: int) -> Image.Image:
        """The label map alone: the image is not decoded."""
        return self.read_labels(self.pairs[index][1])

    def agree(self, image: tuple[int, int], labels: tuple[int, int]) -> bool:
        """Whether an image and a label map of these sizes belong together."""
        return image == labels

    def doubts(self, counts: Sequence[int], n_maps: int) -> str:
        """What the classes of many label maps show to be wrong with all of them, as a sentence; "" if nothing.

        counts: pixels of each label, (256,).
        """
        return ""

    def hint(self, counts: Sequence[int]) -> str:
        """What those classes make odd, though it may be right, as a sentence; "" if nothing. counts: as in `doubts`."""
        return ""

    def look_into_some(self) -> None:
        """SemFlowError if some label maps show to be wrong alike, or none can be read; one alone is left alone."""
        if self._doubt(self.looked_into) and (doubt := self._doubt(self.looked_into_in_doubt)):
            raise SemFlowError(f"{Path(self.pairs[0][1]).parent}: {doubt}")

    def _doubt(self, most: int) -> str:
        """What so many label maps show to be wrong with all of them. SemFlowError if none can be read."""
        counts, n_maps, wrong = np.zeros(256, int), 0, list[SemFlowError]()
        for index in np.linspace(0, len(self) - 1, min(len(self), most)).astype(int):
            try:
                counts, n_maps = counts + self.label_map(int(index)).histogram(), n_maps + 1
            except SemFlowError as error:
                wrong.append(error)
        if wrong and not n_maps:
            raise wrong[0]
        return self.doubts(counts.tolist(), n_maps) if n_maps else ""

    def verify(self, index: int, labels: Image.Image) -> None:
        """SemFlowError if a label map is not what its raw annotations make, where it was made from such."""

    def stamp(self) -> str:
        """SHA-256 over the names and sizes of every file."""
        return names_and_sizes(self.files(), self.size)

    def fingerprint(self) -> str:
        """SHA-256 over the names and bytes of every file, and the size."""
        digest = hashlib.sha256(repr(self.size).encode())
        for path in self.files():
            digest.update(os.path.basename(path).encode() + _content(path))  # noqa: PTH119
        return digest.hexdigest()


def whole(path: str) -> Image.Image | None:
    """An RGB picture whose file is all there, which is told without decoding it; None where only decoding can tell.

    A JPEG is whole if it ends as one, a PNG if its checksums are right.
    """
    try:
        with Path(path).open("rb") as file, Image.open(file, formats=("JPEG", "PNG")) as picture:
            if picture.mode != "RGB" or picture.has_transparency_data:
                return None
            if picture.format == "PNG":
                picture.verify()
                return picture
            file.seek(-len(JPEG_END), os.SEEK_END)
            return picture if file.read() == JPEG_END else None
    except Exception:  # of a damaged file Pillow raises nearly anything; decoding it will say what is wrong
        return None


def names_and_sizes(paths: Iterable[str], *more: object) -> str:
    """SHA-256 over the names and sizes of files, and whatever else is given."""
    try:
        sizes = [(path.rpartition("/")[2], os.stat(path).st_size) for path in paths]  # noqa: PTH116
    except OSError as error:
        raise SemFlowError(f"{error.filename} cannot be read ({error.strerror}); fetch it again") from None
    return hashlib.sha256(repr((more, sizes)).encode()).hexdigest()


def _content(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise SemFlowError(f"{path} cannot be read ({error.strerror}); fetch it again") from None


def listed(folder: Path, *suffixes: str) -> list[str]:
    """Names in a folder that end so, in capitals or not, in order; none if there is no such folder. No file is looked at."""
    endings = tuple(suffix.lower() for suffix in suffixes)
    return [name for name in _names(folder) if name.lower().endswith(endings)]


def by_stem(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Paths of a folder's files by their names without suffix. SemFlowError if two files have one name."""
    found: dict[str, str] = {}
    for name in names:
        stem = name.rpartition(".")[0]
        if stem in found:
            raise SemFlowError(f"{found[stem]} and {folder}/{name} have one name; remove one of them")
        found[stem] = f"{folder}/{name}"
    return found


def first_place(root: Path, candidates: Sequence[str], names_in: Callable[[Path], list[str]]) -> tuple[Path, list[str]]:
    """The one folder of `candidates` under `root` in which `names_in` finds something, and what; else where it is expected.

    SemFlowError if there are several, of which only one can be meant.
    """
    there = {place: names for place in candidates if (names := names_in(root / place))}
    folders = {os.path.realpath(root / place): root / place for place in there}
    if len(folders) > 1:
        one, other, *_ = folders.values()
        raise SemFlowError(
            f"there are {len(there[one.relative_to(root).as_posix()]):,} files of a split in {one} and others in "
            f"{other}; remove or rename one of the two folders"
        )
    place = next(iter(there), next((place for place in candidates if (root / place).is_dir()), candidates[0]))
    return root / place, there.get(place, [])


def holding(folder: Path) -> str:
    """What lies in a folder where something else was expected, as the end of a sentence on it."""
    if not folder.is_dir():
        above = next((parent for parent in folder.parents if parent.is_dir()), folder)
        return f" (there is no such folder; {above} holds {_few(above)})"
    return f" (it holds {_few(folder)})"


def _few(folder: Path) -> str:
    """The first names in a folder, folders with a slash."""
    names = _names(folder)
    shown = [name + "/" * (folder / name).is_dir() for name in names[:MOST_NAMED]]
    return (", ".join(shown) + (f" and {len(names) - MOST_NAMED:,} more" if names[MOST_NAMED:] else "")) or "nothing"


def _names(folder: Path) -> list[str]:
    """Names in a folder, in order, but those of hidden files; none if there is no such folder."""
    try:
        return sorted(name for name in os.listdir(folder) if name[0] != ".")  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SemFlowError(f"{folder} cannot be listed ({error.strerror}); change its permissions") from None


def read_lines(path: Path, what: str) -> list[tuple[int, str]]:
    """Lines of a list that are not empty, with their numbers from 1; a byte order mark is left out.

    what: what the list is. SemFlowError if it is missing, no text, or empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SemFlowError(f"there is no {what} at {path}{holding(path.parent)}") from None
    except UnicodeDecodeError:
        raise SemFlowError(f"{path} is not a text file in UTF-8; fetch it again or save it as UTF-8") from None
    except OSError as error:
        raise SemFlowError(f"{path} cannot be read ({error.strerror}); it should be a {what}") from None
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def inside(name: str, where: str) -> PurePosixPath:
    """A name of a list as a relative path, whichever slash it has. SemFlowError, beginning with `where`, if it leads out."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0] or "\0" in name:
        raise SemFlowError(f"{where}: {name!r} leads out of the data set's folder; name files inside it")
    return path


def once(names: Iterable[tuple[int, str]], listing: Path) -> None:
    """SemFlowError if a list has a name twice. names: with their lines."""
    lines: dict[str, int] = {}
    for number, name in names:
        if name in lines:
            raise SemFlowError(f"{listing}: {name} is listed twice, in lines {lines[name]} and {number}; remove one")
        lines[name] = number


def paired(
    split: str, images: dict[str, str], labels: dict[str, str], places: tuple[Path, Path], kinds: tuple[str, str]
) -> Found:
    """Images and annotations of a split, with all that keeps them from being pairs.

    places: the folders of both.  kinds: what their files end in, in words.
    """
    images_at, labels_at = places
    no_images = f"no images ({kinds[0]}) in {images_at}{'' if images else holding(images_at)}"
    no_labels = f"no annotations ({kinds[1]}) in {labels_at}{'' if labels else holding(labels_at)}"
    if not images and not labels:
        return Found(images, labels, missing=(f"{split}: there are {no_images} and {no_labels}",))
    if not images:
        return Found(images, labels, missing=(f"{split}: there are annotations in {labels_at} but {no_images}",))
    if not labels:
        return Found(images, labels, missing=(f"{split}: there are images in {images_at} but {no_labels}",))
    bare, stray = [name for name in images if name not in labels], [name for name in labels if name not in images]
    if len(bare) == len(images):
        sentence = (
            f"{split}: no image in {images_at} has its annotation in {labels_at} (the first are {bare[0]} and {stray[0]}); "
            f"these are annotations of another split: put those of {split} there"
        )
        return Found(images, labels, (sentence,))
    problems = []
    if bare:
        problems.append(
            f"{split}: {len(bare)} of {len(images)} images in {images_at} have no annotation in {labels_at}, the first is "
            f"{bare[0]}; fetch the annotations or remove the images"
        )
    if stray:
        problems.append(
            f"{split}: {len(stray)} of {len(labels)} annotations in {labels_at} have no image in {images_at}, the first is "
            f"{stray[0]}; fetch the images or remove the annotations"
        )
    return Found(images, labels, tuple(problems))


def check_labelled(dataset: Dataset, split: str) -> None:
    """SemFlowError if no pixel of a split has a label. Reads no further than the first."""
    if not any(bool((dataset[index].labels != IGNORE_INDEX).any()) for index in range(len(dataset))):
        raise SemFlowError(unlabelled(split, dataset.name).replace("measured on", "learnt from"))


def check_root(root: Path, what: str, holds: str) -> None:
    """SemFlowError if there is no such folder. holds: what should lie in it."""
    if not root.is_dir():
        raise SemFlowError(
            f"data.root: there is no folder {root}; point data.root or SEMFLOW_DATA at the folder with {holds}, or see "
            f"`semflow data check {what} {root}` for where to get it"
        )
