"""Reads images and label maps, and resizes them. What is wrong with a file is said in one sentence."""

from pathlib import Path

import numpy as np
from PIL import Image

from semflow.data.sample import IGNORE_INDEX
from semflow.errors import SemFlowError

UNKNOWN = 254  # in a table from ids in a file to classes: stands for nothing


def open_picture(path: Path) -> Image.Image:
    """An image of any mode, decoded."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except FileNotFoundError:
        raise SemFlowError(f"there is no picture at {path}") from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as error:  # what Pillow raises for truncated and foreign files
        raise SemFlowError(f"{path} is damaged or not a picture ({error}); fetch it again") from None


def read_image(path: Path, grey: bool = False) -> Image.Image:
    """An 8-bit RGB image; palette and RGBA files are refused, since guessing a conversion changes results.

    grey: whether the data set has 8-bit grey images too, which become RGB; they are refused elsewhere.
    """
    picture = open_picture(path)
    if grey and picture.mode == "L":
        return picture.convert("RGB")
    if picture.mode != "RGB":
        raise SemFlowError(f"{path} has mode {picture.mode}, not 8-bit RGB; convert it to RGB")
    return picture


def read_labels(path: Path, n_classes: int, void: int = IGNORE_INDEX) -> Image.Image:
    """A single-channel label map with ids below `n_classes`, `void` turned into 255."""
    labels = _ids(path)
    labels[labels == void] = IGNORE_INDEX
    wrong = labels[(labels >= n_classes) & (labels != IGNORE_INDEX)]
    if wrong.size:
        raise SemFlowError(f"{path} holds label {wrong.min()}, but the classes are 0 to {n_classes - 1} and {void} for void")
    return Image.fromarray(labels)


def read_ids(path: Path, to_class: np.ndarray, legend: str) -> Image.Image:
    """A single-channel label map whose ids become classes by a table, uint8 (256,), with UNKNOWN where an id has none.

    legend: the ids that there are, in words.
    """
    ids = _ids(path)
    labels = to_class[ids]
    wrong = ids[labels == UNKNOWN]
    if wrong.size:
        raise SemFlowError(f"{path} holds label id {wrong.min()}, but the ids are {legend}; fetch it again")
    return Image.fromarray(labels)


def _ids(path: Path) -> np.ndarray:
    picture = open_picture(path)
    if picture.mode not in ("L", "P"):
        raise SemFlowError(f"{path} has mode {picture.mode}, not a single channel of label ids; save it as 8-bit grey or palette")
    return np.array(picture)


def read_layout(path: Path, palette: tuple[tuple[int, int, int], ...], void: int = IGNORE_INDEX) -> Image.Image:
    """As `read_labels`, or from an RGB image in the colours of `palette`, white or black where ignored.

    A palette PNG is such an image if any colour in it is a class's, whatever its number in the file. Black is a class's
    colour where one has it.
    """
    picture = open_picture(path)
    found = {colour for _, colour in picture.convert("RGB").getcolors() or []} if picture.mode == "P" else set()
    if picture.mode != "RGB" and not found & ({*palette} - {(255, 255, 255), (0, 0, 0)}):  # those two are any grey palette's
        return read_labels(path, len(palette), void)
    pixels = np.array(picture.convert("RGB"))
    labels, known = np.full(pixels.shape[:2], IGNORE_INDEX, np.uint8), (pixels == 255).all(-1) | (pixels == 0).all(-1)
    for number, colour in enumerate(palette):
        here = (pixels == colour).all(-1)
        labels[here], known = number, known | here
    if not known.all():
        stranger = pixels[~known][0].tolist()
        raise SemFlowError(f"{path} has the colour {stranger}, which stands for no class; use the data set's colours or ids")
    return Image.fromarray(labels)


def resize_image(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """To uint8 (3, h, w): area average where it shrinks, bicubic where it grows."""
    h, w = size
    kernel = Image.Resampling.BOX if h <= picture.height and w <= picture.width else Image.Resampling.BICUBIC
    if (picture.height, picture.width) != (h, w):
        picture = picture.resize((w, h), kernel)
    return np.ascontiguousarray(np.array(picture).transpose(2, 0, 1))


def resize_labels(labels: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """To uint8 (h, w), nearest neighbour: labels are never mixed."""
    h, w = size
    return np.array(labels.resize((w, h), Image.Resampling.NEAREST))
