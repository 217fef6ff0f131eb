"""Reads label maps: the class of every pixel of a file. What can be read in two ways is refused, in one sentence.

Numbers of a grey file are its grey values, of a palette of greys those that it shows, since a lossless optimizer turns grey files
into such palettes. A palette of colours holds numbers only if it is a known one: PASCAL VOC's, Cityscapes' or the data set's own.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from semflow.data.colours import CITYSCAPES, to_rgb, voc_palette
from semflow.data.images import DEEP, MARK, MOST, RAW_MODE, as_rgb, hides_pixels, open_picture, turned_upright
from semflow.data.sample import IGNORE_INDEX, Colour
from semflow.errors import SemFlowError

UNKNOWN = 254  # in a table from ids to classes: stands for nothing
LOSSLESS = ("PNG", "GIF", "BMP", "TIFF", "PPM")
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
ONE_CHANNEL = "1LPIF"  # first letters of modes that can hold numbers
REFETCH = "fetch it again"
WAYS = ("classes", "raw", "colours")
BLACK_AND_WHITE = ((0, 0, 0), (255, 255, 255))  # of ignored pixels, where no class has them


class Ids(NamedTuple):
    """What the numbers in a label map stand for.

    to_class: uint8 (256,), the class of each, 255 where it is ignored, UNKNOWN where there is no such number.
    legend: the numbers that there are, in words.
    """

    to_class: np.ndarray
    legend: str

    @property
    def plain(self) -> bool:
        """Whether they are the classes' own numbers."""
        classes = self.to_class[self.to_class < UNKNOWN]
        return bool((self.to_class[: len(classes)] == np.arange(len(classes))).all())


def class_ids(n_classes: int, void: int = IGNORE_INDEX) -> Ids:
    """The classes' own numbers; `void` and 255 are ignored."""
    to_class = np.full(256, UNKNOWN, np.uint8)
    to_class[:n_classes] = np.arange(n_classes)
    to_class[[void, IGNORE_INDEX]] = IGNORE_INDEX
    return Ids(to_class, f"0 to {n_classes - 1} and {void} for void")


def read_label_map(path: Path, ids: Ids, palette: Sequence[Colour], mend: str = REFETCH, or_else: str = "") -> Image.Image:
    """A data set's file of label ids, as it is stored: mode L, a class each pixel, 255 where ignored.

    palette: the classes' colours, by which the data set's own palette files are known.  mend: of an id that there is not.
    or_else: what may be done about a palette that is not known, beside saving the file without.
    """
    picture = _open(path)
    if picture.info.get(MARK) and not ids.plain:
        raise SemFlowError(f"{path} says that it holds {_said(picture)}, not the ids of the data set's own files; fetch it again")
    return Image.fromarray(_classes(_numbers(picture, path, _known_palettes(ids, palette), or_else), path, ids, mend))


def read_mask(path: Path) -> np.ndarray:
    """A black and white picture as bool (H, W), true where it is not black. SemFlowError if it has more than two colours."""
    picture = as_rgb(_open(path), path)
    colours = {colour for _, colour in picture.getcolors(2) or []}
    if not colours or (len(colours) == 2 and (0, 0, 0) not in colours):
        raise SemFlowError(f"{path} is not black and white alone, as the mask of a part is; fetch the original file again")
    r, g, b = np.moveaxis(np.asarray(picture), -1, 0)
    return (r | g | b) != 0


def marked(dataset: str, classes: Sequence[str]) -> str:
    """The text in a label map that says that it holds the numbers of these classes of a data set.

    It has a hash of their names, since all data of one's own has one name.
    """
    digest = hashlib.sha256("\n".join(classes).encode()).hexdigest()[:12]
    return f"classes of {dataset} ({len(classes)}, hash {digest})"


def _said(picture: Image.Image) -> str:
    return " ".join(str(picture.info[MARK]).split())[:60]


def read_layout(
    path: Path,
    dataset: str,
    classes: Sequence[str],
    palette: Sequence[Colour],
    void: int,
    raw: Ids | None,
    told: str | None,
) -> tuple[Image.Image, str]:
    """A single layout, upright, as `read_label_map` has it; and in words what it was read as.

    raw: the ids of the data set's own files, where they are not the classes' numbers.
    told: which of WAYS it is; None: the only one that is possible. SemFlowError if none is, or if two differ.
    """
    picture = turned_upright(_open(path))
    if picture.info.get(MARK) and not told and picture.mode in ("L", "P"):
        if picture.info[MARK] != (own := marked(dataset, classes)):
            raise SemFlowError(
                f"{path} says that it holds {_said(picture)}, but the checkpoint was trained on {own}; give a layout of that, or "
                "say by --labels what it holds"
            )
        told = "classes"
    by_number = {"classes": class_ids(len(palette), void), **({"raw": raw} if raw else {})}
    if told == "raw":
        told = "raw" if raw else "classes"
    readings, wrong = dict[str, np.ndarray](), dict[str, str]()
    for way in [told] if told else [*by_number, "colours"]:
        try:
            if way == "colours":
                readings[way] = _of_colours(picture, path, palette, bool(told))
            else:
                known = _known_palettes(by_number[way], palette)
                numbers = _numbers(picture, path, known, ", or say by --labels what they are", bool(told))
                readings[way] = _classes(numbers, path, by_number[way], "see --labels in `semflow synthesize --help`")
        except SemFlowError as error:
            wrong[way] = str(error)
    if not readings:
        raise SemFlowError(wrong[told or ("classes" if picture.mode[:1] in ONE_CHANNEL else "colours")])
    way, labels = next(iter(readings.items()))
    differing = [other for other, reading in readings.items() if not np.array_equal(reading, labels)]
    if differing:
        ways = ", ".join(f"`--labels {name}` ({_words(name, dataset)})" for name in (way, *differing))
        raise SemFlowError(f"{path} can be read in more than one way, which give different labels; say which: {ways}")
    if not told and _one_class_and_ignored(picture, path, labels, len(classes)):
        raise SemFlowError(
            f"{path} holds 0 and 255 (black and white) alone: 255 may stand for ignored pixels or for the class 1, {classes[1]}; "
            "save it as 1 if it does, else say --labels classes"
        )
    return Image.fromarray(labels), _words(way, dataset)


def _words(way: str, dataset: str) -> str:
    return {"classes": "class numbers", "raw": f"the ids of {dataset}'s own files", "colours": f"the colours of {dataset}"}[way]


def _one_class_and_ignored(picture: Image.Image, path: Path, labels: np.ndarray, n_classes: int) -> bool:
    """Whether black and white were read as a class and as ignored: masks of two classes are often saved as 0 and 255."""
    shown = {colour for _, colour in as_rgb(picture, path).getcolors(2) or ()}
    return n_classes > 1 and shown == {*BLACK_AND_WHITE} and 0 < int((labels == IGNORE_INDEX).sum()) < labels.size


def _open(path: Path) -> Image.Image:
    """A picture whose pixels are as they were saved. SemFlowError if its format, whatever its name, may have changed them."""
    picture = open_picture(path)
    if picture.format not in LOSSLESS or picture.info.get("compression") in LOSSY_TIFF:
        lossy = "a JPEG inside" if picture.format == "TIFF" else picture.format
        raise SemFlowError(f"{path} is {lossy}, which may change labels when it is saved; take the original, as PNG")
    if picture.mode[:1] in "IF" or DEEP in picture.info.get(RAW_MODE, ""):  # of which eight bits would be taken
        raise SemFlowError(
            f"{path} has more than 8 bits a channel (mode {picture.mode}), and label maps have 8; save the same numbers as 8-bit "
            "grey, or the colours as 8-bit RGB"
        )
    if picture.info.get(MOST, 255) != 255:
        raise SemFlowError(
            f"{path} has the maxval {picture.info[MOST]}, which scales its numbers; save it with maxval 255 or as PNG"
        )
    return picture


def _numbers(picture: Image.Image, path: Path, known: Sequence[np.ndarray], or_else: str, told: bool = False) -> np.ndarray:
    """The numbers uint8 (H, W) that a picture holds. known: int (256, 3), palettes whose numbers are the file's.

    or_else: as in `read_label_map`.  told: whether it is said that they are numbers, whatever the palette.
    """
    if picture.mode == "P":
        return _of_palette(picture, path, known, or_else, told)
    if picture.mode == "LA" and not hides_pixels(picture):
        picture = picture.getchannel("L")
    if picture.mode in ("1", "L"):
        numbers = np.array(picture.convert("L"))
        bits = "1" if picture.mode == "1" else picture.info.get(RAW_MODE, "").partition(";")[2][:1]
        if bits in ("1", "2", "4") and numbers.any():  # 4 bits of 3 show the grey 51
            raise SemFlowError(
                f"{path} has {bits}-bit greys, which can stand for small numbers or for the greys 0 to 255; save it as 8-bit grey"
            )
        return numbers
    raise SemFlowError(f"{path} has mode {picture.mode}: it holds colours, not label ids; make a map of 8-bit ids from them")


def _of_palette(picture: Image.Image, path: Path, known: Sequence[np.ndarray], or_else: str, told: bool) -> np.ndarray:
    stored, held = np.asarray(picture), np.array(picture.getpalette("RGB") or [], int).reshape(-1, 3)
    used = np.flatnonzero(np.bincount(stored.ravel(), minlength=256))
    colours = np.concatenate([held, np.full((256 - len(held), 3), -2)])[used]  # -2: it has no colour
    apart = len(np.unique(colours, axis=0)) == len(used)
    if apart and (held == held[:, :1]).all() and (colours >= 0).all():
        if used.max() < 2 and colours.any() and set(colours.flat) <= {0, 255}:
            raise SemFlowError(
                f"{path} is black and white, which can stand for 0 and 1 or for 0 and 255 (ignored); save it as 8-bit grey"
            )
        shown = np.zeros(256, np.uint8)
        shown[used] = colours[:, 0]
        return shown[stored]
    if told or any(((one[used] == colours) | (one[used] < 0)).all() for one in known):
        return stored.copy()
    raise SemFlowError(
        f"{path} has a palette that is neither grey nor a known one, so that its numbers may be ids or not; if they are, save "
        f"them as 8-bit grey{or_else}"
    )


def _known_palettes(ids: Ids, palette: Sequence[Colour]) -> list[np.ndarray]:
    """Palettes int (256, 3), by number, -1 where any colour will do: of what is ignored."""
    known, any_colour = [to_rgb(ids.to_class, palette).astype(int), voc_palette()], np.arange(256) == IGNORE_INDEX
    if ids.plain:  # which Cityscapes' colours go by
        known.append(np.concatenate([CITYSCAPES, np.full((256 - len(CITYSCAPES), 3), 256)]))
        any_colour |= ids.to_class == IGNORE_INDEX
    return [np.where(any_colour[:, None], -1, one) for one in known]


def _classes(numbers: np.ndarray, path: Path, ids: Ids, mend: str) -> np.ndarray:
    """The class uint8 (H, W) of each number. SemFlowError if there is no such number."""
    labels = ids.to_class[numbers]
    wrong = numbers[labels == UNKNOWN]
    if wrong.size:
        raise SemFlowError(f"{path} holds label id {wrong.min()}, but the ids are {ids.legend}; {mend}")
    return labels


def _of_colours(picture: Image.Image, path: Path, palette: Sequence[Colour], told: bool) -> np.ndarray:
    """The class uint8 (H, W) of each pixel by its colour; white and black are ignored unless a class has them.

    A file of one channel is a painting only if it has the colour of a class, or if that is told.
    """
    pixels = np.asarray(as_rgb(picture, path)).astype(np.int32)
    packed = pixels @ (1 << 16, 1 << 8, 1)
    found, where = np.unique(packed, return_inverse=True)
    colours = [(int(one) >> 16, int(one) >> 8 & 255, int(one) & 255) for one in found]
    if not told and picture.mode[:1] in ONE_CHANNEL and not {*colours} & {*palette}:
        raise SemFlowError(f"{path} has no class's colour")
    by_colour = dict.fromkeys(BLACK_AND_WHITE, IGNORE_INDEX) | {colour: label for label, colour in enumerate(palette)}
    unknown = [colour not in by_colour for colour in colours]
    if any(unknown):
        share, first = np.array(unknown)[where].mean(), colours[unknown.index(True)]
        raise SemFlowError(
            f"{path} has the colour {list(first)}, which stands for no class ({100 * share:.1f} % of the pixels have such "
            "colours); use the data set's colours, or ids in 8-bit grey"
        )
    if shared := [colour for colour in colours if [*palette].count(colour) > 1]:
        raise SemFlowError(f"{path} has the colour {list(shared[0])}, which several classes have; give a layout of ids")
    return np.array([by_colour[colour] for colour in colours], np.uint8)[where].reshape(packed.shape)
