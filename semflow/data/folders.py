"""What data sets of image files have in common: listing them, pairing images with annotations, reading, fingerprints.

Paths are plain strings and no file is opened, so that the 118,287 pairs of COCO-Stuff are listed in about a second.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from PIL import Image

from semflow.data.images import orientation, read_image, resize_image, resize_labels
from semflow.data.sample import Colour, Sample
from semflow.errors import SemFlowError


class Found(NamedTuple):
    """What lies of a split: paths of images and of annotations by name, and a sentence for each thing that is wrong."""

    images: dict[str, str]
    labels: dict[str, str]
    problems: tuple[str, ...]


def pairs_of(found: Found) -> list[tuple[str, str]]:
    """Paths of each image and its annotation. SemFlowError if something is wrong."""
    if found.problems:
        raise SemFlowError(found.problems[0])
    return [(path, found.labels[name]) for name, path in found.images.items()]


class PairedFiles:
    """A split at `size` (h, w), an image file and an annotation file a sample.

    A data set's own `read_labels` turns a file into a label map, `read_picture` into an image.
    """

    name: str
    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    groups: tuple[str, ...] | None = None

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

    def native(self, index: int) -> tuple[Image.Image, Image.Image]:
        """Image and label map of a sample, as they lie on disk; SemFlowError if the two differ in shape."""
        image_path, labels_path = self.pairs[index]
        image, labels = self.read_picture(image_path), self.read_labels(labels_path)
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


def listed(folder: Path, suffix: str) -> list[str]:
    """Names in a folder that end so, in order; none if there is no such folder. No file is looked at."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(suffix) and name[0] != ".")  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def first_folder(root: Path, candidates: Sequence[str]) -> Path:
    """The first of `candidates` that is a folder under `root`, else where the first would be."""
    return next((root / name for name in candidates if (root / name).is_dir()), root / candidates[0])


def pair(split: str, images: dict[str, str], labels: dict[str, str], places: tuple[Path, Path], what: str) -> tuple[str, ...]:
    """A sentence for each thing that keeps images and annotations of a split from being pairs.

    places: the folders of both.  what: how a user calls the data set, to ask `semflow data check` about it.
    """
    images_at, labels_at = places
    ask = f"`semflow data check {what}` says where to get it"
    if not images and not labels:
        return (f"{split}: there are no images in {images_at} and no annotations in {labels_at}; {ask}",)
    if not images:
        return (f"{split}: there are annotations in {labels_at} but no images in {images_at}; {ask}",)
    if not labels:
        return (f"{split}: there are images in {images_at} but no annotations in {labels_at}; {ask}",)
    bare, stray = [name for name in images if name not in labels], [name for name in labels if name not in images]
    if len(bare) == len(images):
        return (
            f"{split}: no image in {images_at} has its annotation in {labels_at} (the first are {bare[0]} and {stray[0]}); "
            f"these are annotations of another split: put those of {split} there",
        )
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
    return tuple(problems)


def check_root(root: Path, what: str, holds: str) -> None:
    """SemFlowError if there is no such folder. holds: what should lie in it."""
    if not root.is_dir():
        raise SemFlowError(
            f"data.root: there is no folder {root}; point data.root or SEMFLOW_DATA at the folder with {holds}, or see "
            f"`semflow data check {what} {root}` for where to get it"
        )
