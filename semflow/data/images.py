"""Reads images, and resizes them and label maps. What is wrong with a file is said in one sentence."""

import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from semflow.errors import SemFlowError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000")
BEGINNINGS = (
    b"\x89PNG",
    b"\xff\xd8",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF",
    b"P5",
    b"P6",
    b"\0\0\0\x0cjP",
    b"\xff\x4f\xff\x51",
)
ALSO_RGB = ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # modes that Pillow turns into RGB by themselves
warnings.filterwarnings("ignore", module="PIL")  # of damaged metadata, and of half the size that it refuses
RAW_MODE = "raw mode"  # of a picture's `info`: how pixels lie in the file, such as L;4
MARK = "label map"  # the text in a PNG that says that it is one, and what its numbers are
MOST = "maxval"  # of a picture's `info`: the number of a PGM or PPM that Pillow has made 255
DEEP, UNUSED = ";16", 64  # of a raw mode of 16 bits; of those, what the upper eight are below where 14 or fewer are used
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a TIFF's tag and its value
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def open_picture(path: Path) -> Image.Image:
    """A picture of any mode, decoded, as it is stored. SemFlowError says why it cannot be read, or that it has several frames."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)  # a phone's MPO has previews beside it
            if frames > 1:
                raise SemFlowError(f"{path} has {frames} frames; save the one that is meant by itself")
            packed = picture.tile[0].args if picture.tile else ""
            picture.info[RAW_MODE] = packed if isinstance(packed, str) else str(packed and packed[0])
            if picture.tile and picture.tile[0].codec_name.startswith("ppm") and isinstance(packed, tuple):
                picture.info[MOST] = packed[1]
            if (
                picture.format == "TIFF"
                and picture.mode[:1] in "IF"
                and getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO
            ):
                raise SemFlowError(
                    f"{path} is a TIFF of {picture.mode} whose 0 is white, which Pillow shows inverted; save it as PNG"
                )
            picture.load()
            return picture
    except SemFlowError:
        raise
    except FileNotFoundError:
        raise SemFlowError(f"there is no picture at {path}") from None
    except MemoryError:
        raise SemFlowError(f"there is not enough memory to open {path}; make it smaller") from None
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise SemFlowError(f"{path} has more than {most:,} pixels, the most that Pillow opens; make it smaller") from None
    except Exception as error:  # of a damaged file Pillow raises nearly anything
        raise SemFlowError(_why(path, error)) from None


def _why(path: Path, error: Exception) -> str:
    """Why a file could not be decoded, in a sentence."""
    if isinstance(error, IsADirectoryError):
        return f"{path} is a folder, not a picture"
    if isinstance(error, OSError) and error.strerror:  # the system's, and not Pillow's
        return f"{path} cannot be read: {error.strerror}; it may be intact: correct its permissions or its path"
    with Path(path).open("rb") as file:
        head = file.read(256)
    if not head:
        return f"{path} is damaged: it is empty; fetch it again"
    text = head.decode("utf-8", "replace").lstrip("\ufeff")
    readable = "\ufffd" not in text[:-3] and all(letter.isprintable() or letter.isspace() for letter in text)
    if readable and not head.startswith(BEGINNINGS):
        return f"{path} is text, not a picture: it begins with {' '.join(text.split())[:40]!r}"
    if isinstance(error, UnidentifiedImageError) and not head.startswith(BEGINNINGS):
        return f"{path} is not a picture in a format that is read here ({', '.join(FORMATS)}); save it as PNG"
    reason = str(error) or type(error).__name__
    return f"{path} is damaged or cut off ({reason.splitlines()[0].replace(str(path), 'it')}); fetch it again"


def read_image(path: Path, upright: bool = False) -> Image.Image:
    """A picture of any kind as 8-bit RGB. upright: turned as its EXIF orientation says; else as it is stored.

    SemFlowError if that would hide something: transparent pixels, or numbers without a known range; and of a label map of ours.
    """
    picture = open_picture(path)
    if MARK in picture.info:
        raise SemFlowError(f"{path} is a label map that `semflow segment` wrote, not a photograph; give the picture itself")
    return as_rgb(turned_upright(picture) if upright else picture, path)


def as_rgb(picture: Image.Image, path: Path) -> Image.Image:
    """A picture as 8-bit RGB; of 16 bits the upper eight, as Pillow has it for 16-bit colours. SemFlowError as above."""
    if hides_pixels(picture):
        raise SemFlowError(f"{path} has transparent pixels, which can show anything; save it on a background, as RGB")
    deep = picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM"))  # both have 16 bits
    if _of_unknown_range(picture):
        raise SemFlowError(f"{path} has 16 bits and uses 14 or fewer, so that its range is not known; save it as 8-bit RGB")
    if deep:
        picture = Image.fromarray((np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8))
    elif picture.mode not in ALSO_RGB:
        raise SemFlowError(f"{path} has mode {picture.mode}, whose range is not known; save it as 8-bit RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def hides_pixels(picture: Image.Image) -> bool:
    """Whether a pixel is transparent, be it in part; an alpha channel or a transparent colour alone hides nothing."""
    if not picture.has_transparency_data:
        return False
    colour, (mode, _, bits) = picture.info.get("transparency"), picture.info.get(RAW_MODE, "").partition(";")
    if picture.mode.startswith("I"):
        return bool(np.any(np.asarray(picture) == colour))
    if mode == "L" and bits in ("2", "4") and isinstance(colour, int):  # of which Pillow has scaled the pixels and not this
        return bool(np.any(np.asarray(picture) == colour * (255 // (2 ** int(bits) - 1))))
    if mode == "RGB" and bits.startswith("16") and isinstance(colour, tuple):  # of the pixels the upper eight bits are left
        return bool(np.any((np.asarray(picture) == [channel >> 8 for channel in colour]).all(-1)))
    return bool(np.asarray(picture.convert("RGBA").getchannel("A")).min() < 255)


def _of_unknown_range(picture: Image.Image) -> bool:
    """Whether a picture of 16 bits uses 14 or fewer of them, as cameras do whose white is 4095: it would be nearly black."""
    if picture.mode.startswith("I;16"):
        return 0 < int(np.asarray(picture).max()) < UNUSED << 8
    return DEEP in picture.info.get(RAW_MODE, "") and int(np.asarray(picture.convert("RGB")).max()) < UNUSED


def orientation(picture: Image.Image) -> int:
    """How EXIF says that a picture is turned: 1, upright, to 8; 1 where it says nothing."""
    try:
        said = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF, of a picture that is well
        return 1
    return said if said in TURNS else 1


def turned_upright(picture: Image.Image) -> Image.Image:
    """A picture as viewers show it."""
    turn = TURNS.get(orientation(picture))
    return picture if turn is None else picture.transpose(turn)


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
