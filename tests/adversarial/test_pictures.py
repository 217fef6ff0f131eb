"""Bad and odd pictures and label maps, made by rule: each gives the right value, or one sentence that names the file."""

import io
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from png_by_hand import RGB, png
from users import another_user

from semflow.data.camvid import CamVid
from semflow.data.coco_stuff import IDS as COCO_IDS
from semflow.data.coco_stuff import PALETTE as COCO_PALETTE
from semflow.data.colours import voc_palette
from semflow.data.images import MARK, orientation, read_image
from semflow.data.label_maps import class_ids, read_label_map, read_layout, read_mask
from semflow.errors import SemFlowError

COLOURS = ((10, 20, 30), (200, 0, 0), (0, 200, 0), (0, 0, 200))
CLASSES = ("a", "b", "c", "d", "e", "f")
IDS = class_ids(len(COLOURS))
LABELS = np.array([[0, 1, 2, 3, 255], [3, 2, 1, 0, 0]], np.uint8)
LOSSLESS = {"png": "PNG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "ppm": "PPM"}
LOSSY = {"jpg": "JPEG", "webp": "WEBP", "jp2": "JPEG2000"}
MODES = {"PNG": "1 L LA P RGB RGBA I;16", "GIF": "L P RGB", "BMP": "1 L P RGB", "TIFF": "1 L LA P RGB RGBA CMYK I;16 YCbCr",
         "PPM": "1 L RGB", "JPEG": "L RGB CMYK", "WEBP": "RGB RGBA", "JPEG2000": "L RGB RGBA"}  # fmt: skip


def sentence(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(SemFlowError) as error:
        read(path)
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def labels(path: Path) -> np.ndarray:
    return np.asarray(read_label_map(path, IDS, COLOURS))


def layout(path: Path) -> np.ndarray:
    return np.asarray(read_layout(path, "stripes", CLASSES, COLOURS, 255, None, None)[0])


def noise(h: int = 9, w: int = 7) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (h, w, 3)).astype(np.uint8)


# Format and mode: what viewers show as black and white is black and white, everywhere


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes.split()])
def test_black_and_white_of_every_format_and_mode_are_black_and_white(tmp_path, kind, mode):
    expected = np.zeros((16, 32, 3), np.uint8)
    expected[:, 16:] = 255
    if mode == "I;16":
        picture = Image.fromarray(expected[..., 0].astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(expected).convert(mode)
    picture.save(tmp_path / "a", format=kind)
    assert np.abs(np.asarray(read_image(tmp_path / "a")).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_data_set_has_the_picture_that_segment_has(tmp_path, mode):
    Image.fromarray(noise()).convert(mode).save(tmp_path / "a.png")
    Image.new("L", (7, 9)).save(tmp_path / "labels.png")
    dataset = CamVid.over([(str(tmp_path / "a.png"), str(tmp_path / "labels.png"))], (9, 7))
    assert np.array_equal(dataset[0].image, np.asarray(read_image(tmp_path / "a.png", upright=True)).transpose(2, 0, 1))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_greys_of_every_depth_run_from_black_to_white(tmp_path, bits):
    most = 2**bits - 1
    row = sorted({round(share * most) for share in np.linspace(0, 1, 9)})
    shown = np.asarray(read_image(png(tmp_path / "a.png", [row], bits)))[0, :, 0]
    assert np.abs(shown - 255 * np.array(row) / most).max() <= 1


# Wrong names


@pytest.mark.parametrize("suffix", [*LOSSLESS, *LOSSY, "txt", "npy"])
@pytest.mark.parametrize("kind", [*LOSSLESS.values(), *LOSSY.values()])
def test_a_name_does_not_decide_what_a_file_is(tmp_path, kind, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(LABELS).convert("RGB" if kind == "WEBP" else "L").save(path, format=kind)
    assert read_image(path).size == (5, 2)
    if kind in LOSSLESS.values():
        assert np.array_equal(labels(path), LABELS)
    else:
        for read in (labels, layout, read_mask):
            assert f"is {kind}, which may change labels" in sentence(read, path)


# Palettes


def shuffled(seed: int) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """The labels as a lossless optimizer may store them: numbers in any order, greys beside them."""
    values = [0, 1, 2, 3, 255]
    random.Random(seed).shuffle(values)
    return np.vectorize(values.index)(LABELS), [(value,) * 3 for value in values]


@pytest.mark.parametrize("seed", range(8))
def test_an_optimized_grey_label_map_gives_its_greys_in_whatever_order_they_are_stored(tmp_path, seed):
    numbers, palette = shuffled(seed)
    path = png(tmp_path / "a.png", numbers.tolist(), 8, palette)
    assert np.array_equal(labels(path), LABELS)
    assert np.array_equal(layout(path), LABELS)


@pytest.mark.parametrize("seed", range(8))
def test_a_painting_with_a_palette_is_read_by_colour_in_whatever_order_it_is_stored(tmp_path, seed):
    stored, numbers = list(range(5)), np.where(LABELS == 255, 4, LABELS)
    random.Random(seed).shuffle(stored)
    colours = [(*COLOURS, (255, 255, 255))[label] for label in stored]
    path = png(tmp_path / "a.png", np.vectorize(stored.index)(numbers).tolist(), 8, colours)
    assert np.array_equal(layout(path), LABELS)
    if stored[:4] != [0, 1, 2, 3]:
        assert "palette" in sentence(labels, path)


@pytest.mark.parametrize("seed", range(8))
def test_an_unknown_palette_is_never_read_without_a_word(tmp_path, seed):
    colours = [tuple(colour) for colour in np.random.RandomState(seed).randint(1, 255, (4, 3)).tolist()]
    path = png(tmp_path / "a.png", [[0, 1, 2, 3]], 8, colours)
    for read in (labels, layout, lambda p: read_label_map(p, COCO_IDS, COCO_PALETTE)):
        sentence(read, path)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("ids", [IDS, COCO_IDS], ids=["four classes", "COCO"])
def test_ids_of_few_bits_are_never_read_as_brighter_ones(tmp_path, bits, ids):
    path = png(tmp_path / "a.png", [[0, 1]], bits)
    sentence(lambda p: read_label_map(p, ids, COCO_PALETTE[: len(COLOURS)] if ids is IDS else COCO_PALETTE), path)


POOL = [*map(tuple, voc_palette()[:6].tolist()), (255, 255, 255), *((grey,) * 3 for grey in range(1, 6)), (9, 8, 7), (50, 60, 70)]


@settings(max_examples=300)
@given(st.data())
def test_a_layout_in_whatever_form_is_read_as_it_was_meant_or_refused(tmp_path_factory, data):
    """Palettes that share colours with each other, with greys and with black and white, so that forms are easily mistaken."""
    palette = data.draw(st.lists(st.sampled_from(POOL), min_size=2, max_size=6, unique=True), "palette")
    n, path = len(palette), tmp_path_factory.getbasetemp() / "layout.png"
    truth = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=6), "labels"))[None]
    form = data.draw(st.sampled_from(["ids", "grey palette", "VOC", "own palette", "painting", "painting's palette"]), "form")
    order = data.draw(st.permutations(range(n)), "order")
    stored = np.vectorize(order.index)(truth).tolist()
    match form:
        case "ids":
            png(path, truth.tolist(), 8)
        case "grey palette":
            png(path, stored, 8, [(value,) * 3 for value in order])
        case "VOC":
            png(path, truth.tolist(), 8, voc_palette()[: max(n, 2)].tolist())
        case "own palette":
            png(path, truth.tolist(), 8, palette)
        case "painting":
            Image.fromarray(np.array(palette, np.uint8)[truth]).save(path)
        case "painting's palette":
            png(path, stored, 8, [palette[label] for label in order])
    try:
        found, _ = read_layout(path, "stripes", CLASSES[:n], palette, 255, None, None)
    except SemFlowError as error:
        assert str(path) in str(error)
    else:
        assert np.asarray(found).tolist() == truth.tolist()


# Orientation


def turned(path: Path, number: object) -> Path:
    exif = Image.Exif()
    exif[0x0112] = number
    Image.fromarray(noise()).save(path, exif=exif, lossless=True)
    return path


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_a_turned_picture_is_upright_if_that_is_wanted_and_else_as_stored(tmp_path, number, suffix):
    path = turned(tmp_path / f"a.{suffix}", number)
    with Image.open(path) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(np.asarray(read_image(path, upright=True)), upright)
    assert np.array_equal(np.asarray(read_image(path)), noise())
    assert orientation(read_image(turned(tmp_path / "b.png", number))) == number


@pytest.mark.parametrize("number", range(1, 9))
def test_a_tiff_which_pillow_turns_by_itself_is_not_turned_twice(tmp_path, number):
    path = turned(tmp_path / "a.tif", number)
    with Image.open(path) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(np.asarray(read_image(path, upright=True)), upright)


@pytest.mark.parametrize("number", [0, 9, 300])
def test_an_orientation_that_there_is_not_turns_nothing(tmp_path, number):
    assert np.array_equal(np.asarray(read_image(turned(tmp_path / "a.png", number), upright=True)), noise())


def test_damaged_exif_turns_nothing(tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png", upright=True)), noise())


# Truncation and damage


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("kind", [*LOSSLESS.values(), *LOSSY.values()])
def test_a_picture_cut_off_at_any_tenth_is_called_so(tmp_path, kind, tenth):
    path = tmp_path / "a.png"
    Image.fromarray(noise(64, 64)).save(path, format=kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * tenth // 10])
    assert "damaged" in sentence(read_image, path)
    for read in (labels, layout, read_mask):
        sentence(read, path)


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(8, 8)).save(file, format=kind)
    return file.getvalue()


WHOLE = [encoded(kind) for kind in (*LOSSLESS.values(), *LOSSY.values())]


@pytest.mark.filterwarnings("ignore:::PIL")
@settings(max_examples=300)
@given(st.data())
def test_a_file_with_any_bytes_changed_is_a_picture_or_a_sentence(tmp_path_factory, data):
    mutated = bytearray(data.draw(st.sampled_from(WHOLE)))
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mutated.png"
    path.write_bytes(mutated)
    for read in (lambda p: read_image(p, upright=True), labels, layout, read_mask):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # larger ones cost seconds
            try:
                read(path)
            except SemFlowError as error:
                assert str(path) in str(error)
                assert "\n" not in str(error)


# What is no picture, and the true reason

FOREIGN = {
    "empty": (b"", "empty"),
    "a note": (b"a note\nof two lines", "is text, not a picture: it begins with 'a note of two lines'"),
    "a web page": ("<html>\u00e9 not found".encode(), "is text, not a picture: it begins with '<html>"),
    "a list with a BOM": (b"\xef\xbb\xbfa.png b.png", "begins with 'a.png b.png'"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "begins with 'version https://git-lfs"),
    "a zip": (b"PK\x03\x04" + bytes(40), "not a picture in a format that is read here"),
    "a photograph of a phone": (b"\0\0\0\x18ftypheic" + bytes(40), "not a picture in a format that is read here"),
    "a program for printers": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is text, not a picture"),
    "noise": (np.random.RandomState(1).bytes(500), "not a picture in a format that is read here"),
    "the beginning of a PNG": (b"\x89PNG\r\n\x1a\n", "damaged"),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("suffix", ["png", "jpg", "txt"])
def test_what_is_no_picture_is_called_what_it_is(tmp_path, name, suffix):
    content, reason = FOREIGN[name]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    for read in (read_image, labels, layout, read_mask):
        assert reason in sentence(read, path)


def test_a_folder_a_missing_file_a_circle_and_a_long_name_are_called_what_they_are(tmp_path):
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    (tmp_path / "file").write_text("words")
    for name, reason in {
        "": "is a folder, not a picture",
        "gone.png": "there is no picture at",
        "circle.png": "symbolic links",
        "file/a.png": "Not a directory",
        "n" * 300: "File name too long",
    }.items():
        text = sentence(read_image, tmp_path / name)
        assert reason in text
        assert "damaged" not in text


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (2, 2)).save(path)
    path.chmod(0)
    with another_user():
        text = sentence(read_image, path)
    assert "cannot be read: Permission denied" in text


# Size


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 7)])
def test_the_smallest_and_the_longest_pictures_keep_their_pixels(tmp_path, size):
    pixels = noise(size[1], size[0])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png")), pixels)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_header_that_promises_more_pixels_than_can_be_opened_is_called_large(tmp_path, monkeypatch, kind):
    Image.new("L", (40, 40)).save(tmp_path / "a.png", format=kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    assert "has more than 1,400 pixels" in sentence(read_image, tmp_path / "a.png")


# Numbers that a format scales, and TIFFs that lie in it as their negatives


@pytest.mark.parametrize("kind", ["P5", "P2"])
@pytest.mark.parametrize("most", [1, 5, 100, 254, 256, 65535])
def test_a_label_map_whose_maxval_is_not_255_is_refused(tmp_path, kind, most):
    path, wide = tmp_path / "a.pgm", 2 if most > 255 else 1
    body = (
        b" ".join(b"%d" % (n % 2) for n in range(6))
        if kind == "P2"
        else b"".join((n % 2).to_bytes(wide, "big") for n in range(6))
    )
    path.write_bytes(f"{kind} 3 2 {most}\n".encode() + body + b"\n" * (kind == "P2"))
    for read in (labels, layout):
        sentence(read, path)


@pytest.mark.parametrize("kind", ["P5", "P2"])
def test_a_label_map_with_maxval_255_gives_its_numbers(tmp_path, kind):
    path = tmp_path / "a.pgm"
    path.write_bytes(f"{kind} 3 1 255\n".encode() + (b"0 1 3\n" if kind == "P2" else bytes([0, 1, 3])))
    assert labels(path).tolist() == [[0, 1, 3]]


def test_a_painting_whose_maxval_is_not_255_is_refused(tmp_path):
    (tmp_path / "a.ppm").write_bytes(b"P6 1 1 100\n" + bytes([10, 20, 30]))
    assert "maxval 100" in sentence(layout, tmp_path / "a.ppm")


@pytest.mark.parametrize("order", [1, 2], ids=["", "reversed bits"])
@pytest.mark.parametrize("white", [0, 1], ids=["white is 0", "black is 0"])
@pytest.mark.parametrize("bits", [2, 4])
def test_a_tiff_of_few_bits_is_never_read_as_other_ids(tmp_path, bits, white, order):
    path = tmp_path / "a.tif"
    tags = {256: 4, 257: 1, 258: bits, 259: 1, 262: white, 266: order, 273: 10 + 12 * 10 + 4, 277: 1, 278: 1, 279: 2}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    path.write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + b"\x12\x30")
    assert f"{bits}-bit greys" in sentence(labels, path)


def test_a_tiff_of_16_bits_whose_zero_is_white_is_never_read_as_its_negative(tmp_path):
    deep = Image.fromarray(np.array([[0, 65535]], np.uint16))
    deep.save(tmp_path / "black.tif", tiffinfo={262: 1})
    assert np.asarray(read_image(tmp_path / "black.tif"))[0, :, 0].tolist() == [0, 255]
    deep.save(tmp_path / "white.tif", tiffinfo={262: 0})
    assert "whose 0 is white" in sentence(read_image, tmp_path / "white.tif")


# Numbers of more bits than eight, and greys of fewer


@pytest.mark.parametrize("values", [(0, 255), (0, 255, 513), (0, 1, 3), (0, 65535)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_label_map_a_layout_or_a_mask_of_16_bits_is_refused_whatever_eight_of_them_hold(tmp_path, kind, values):
    path = tmp_path / "a.png"
    Image.fromarray(np.array([values], np.uint16)).save(path, format=kind)
    black = ((0, 0, 0), *COLOURS)  # the colour that the upper eight bits show
    for read in (labels, layout, read_mask, lambda p: read_layout(p, "stripes", CLASSES, black, 255, None, "colours")):
        assert "more than 8 bits" in sentence(read, path)


@pytest.mark.parametrize("read", [layout, read_mask], ids=["layout", "mask"])
def test_a_painting_of_16_bits_a_channel_is_refused(tmp_path, read):
    assert "more than 8 bits" in sentence(read, png(tmp_path / "a.png", [[255, 255, 255, 0, 0, 0]], 16, kind=RGB))


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("kind", ["grey", "colours"])
def test_a_photograph_of_fewer_bits_in_16_is_refused_and_not_made_black(tmp_path, bits, kind):
    row = [0, 2**bits // 2, 2**bits - 1]
    path = png(tmp_path / "a.png", [row], 16, kind=RGB if kind == "colours" else None)
    assert "its range is not known" in sentence(read_image, path)


def test_a_black_grey_of_16_bits_is_black(tmp_path):
    assert not np.asarray(read_image(png(tmp_path / "a.png", [[0, 0]], 16))).any()


@pytest.mark.parametrize(
    ("bits", "kind"), [(1, "grey"), (2, "grey"), (4, "grey"), (8, "grey"), (16, "grey"), (8, "colours"), (16, "colours")]
)
def test_a_transparent_colour_hides_pixels_where_one_has_it_and_only_there(tmp_path, bits, kind):
    most = 2**bits - 1
    samples = 3 if kind == "colours" else 1
    for colour, hides in ((most, True), (0, False)):
        path = png(
            tmp_path / f"{hides}.png",
            [[most] * samples * 2],
            bits,
            kind=RGB if kind == "colours" else None,
            transparent=colour.to_bytes(2, "big") * samples,
        )
        if hides:
            assert "transparent pixels" in sentence(read_image, path)
        else:
            assert read_image(path).size == (2, 1)


# Masks of two classes saved as black and white, and label maps in the place of photographs


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_black_and_white_layout_is_refused_until_it_is_said_what_white_is(tmp_path, mode):
    path, palette = tmp_path / "a.png", ((0, 0, 0), *COLOURS[1:])
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert(mode).save(path)
    said = sentence(lambda p: read_layout(p, "stripes", CLASSES, palette, 255, None, None), path)
    assert "ignored pixels or for the class 1, b" in said
    told = "classes" if mode == "L" else "colours"
    assert np.asarray(read_layout(path, "stripes", CLASSES, palette, 255, None, told)[0]).tolist() == [[0, 255]]


def test_white_that_is_the_colour_of_a_class_is_that_class(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("RGB").save(tmp_path / "a.png")
    read = read_layout(tmp_path / "a.png", "stripes", ("a", "b"), ((0, 0, 0), (255, 255, 255)), 255, None, None)[0]
    assert np.asarray(read).tolist() == [[0, 1]]


def test_a_label_map_of_ours_is_no_photograph(tmp_path):
    told = PngInfo()
    told.add_text(MARK, "classes of stripes")
    Image.fromarray(LABELS).save(tmp_path / "a.png", pnginfo=told)
    assert "label map that `semflow segment` wrote" in sentence(read_image, tmp_path / "a.png")


def test_an_unknown_palette_is_refused_with_what_may_be_said_about_it(tmp_path):
    path = png(tmp_path / "a.png", [[0, 1]], 8, [(120, 120, 120), (180, 120, 120)])
    assert "say by --labels" in sentence(layout, path)
