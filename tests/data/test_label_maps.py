"""Which class each pixel of a file is read as, and what is refused since it can be read in two ways."""

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from png_by_hand import png

from semflow.data.coco_stuff import INFO as COCO
from semflow.data.colours import voc_palette
from semflow.data.label_maps import MARK, UNKNOWN, Ids, class_ids, marked, read_label_map, read_layout, read_mask
from semflow.errors import SemFlowError

PALETTE = ((10, 20, 30), (200, 0, 0), (0, 200, 0), (90, 90, 90))
IDS = class_ids(len(PALETTE))
VOC = ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128))  # the first of its devkit
CITYSCAPES = ((128, 64, 128), (244, 35, 232), (70, 70, 70))


def palette_png(path, numbers, colours):
    """A PNG of these numbers, whose palette has these colours."""
    return png(path, numbers, 8, colours)


def greys(*values):
    return [(value,) * 3 for value in values]


def labels_of(path, ids=IDS, palette=PALETTE):
    return np.asarray(read_label_map(path, ids, palette)).tolist()


def layout_of(path, told=None, raw=None, palette=PALETTE):
    labels, how = read_layout(path, "stripes", "abcdef"[: len(palette)], palette, 255, raw, told)
    return np.asarray(labels).tolist(), how


def test_the_palette_of_voc_is_that_of_its_devkit():
    voc = voc_palette()
    assert voc[:6].tolist() == [list(colour) for colour in VOC]
    assert (voc[15].tolist(), voc[20].tolist(), voc[255].tolist()) == ([192, 128, 128], [0, 64, 128], [224, 224, 192])


def test_a_grey_palette_gives_the_greys_that_it_shows(tmp_path):
    path = palette_png(tmp_path / "optimized.png", [[0, 1, 2, 3]], greys(0, 3, 2, 255))
    assert labels_of(path) == [[0, 3, 2, 255]]


@pytest.mark.parametrize("colours", [VOC, CITYSCAPES, PALETTE], ids=["VOC", "Cityscapes", "own"])
def test_a_known_palette_gives_the_numbers(tmp_path, colours):
    assert labels_of(palette_png(tmp_path / "a.png", [[0, 1, 2]], colours)) == [[0, 1, 2]]


@pytest.mark.parametrize("colour", [(), ((0, 0, 0),), ((255, 255, 255),), ((224, 224, 192),)])
def test_ignored_pixels_of_a_known_palette_may_have_any_colour_or_none(tmp_path, colour):
    path = palette_png(tmp_path / "a.png", [[0, 1, 11]], (*PALETTE, *[(0, 0, 0)] * 7 * bool(colour), *colour))
    assert labels_of(path, class_ids(len(PALETTE), 11)) == [[0, 1, 255]]


@pytest.mark.parametrize(
    ("numbers", "colours"),
    [
        ([[0, 1, 2]], [(1, 2, 3), (4, 5, 6), (7, 8, 9)]),
        ([[0, 1, 2]], [PALETTE[1], PALETTE[0], PALETTE[2]]),
        ([[0, 1, 2]], greys(0, 0, 0)),
        ([[0, 1, 2]], greys(0)),
        ([[0, 1]], greys(0, 255)),
        ([[0, 1]], greys(255, 0)),
    ],
    ids=["unknown", "shuffled", "all black", "too short", "black and white", "white and black"],
)
def test_a_palette_whose_numbers_may_be_ids_or_not_is_refused(tmp_path, numbers, colours):
    path = palette_png(tmp_path / "a.png", numbers, colours)
    with pytest.raises(SemFlowError, match=r"a\.png .*as 8-bit grey$"):
        labels_of(path)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_greys_of_few_bits_are_refused_where_they_can_stand_for_two_numbers(tmp_path, bits):
    with pytest.raises(SemFlowError, match=rf"{bits}-bit greys.*8-bit grey"):
        labels_of(png(tmp_path / "a.png", [[0, 1]], bits))
    assert labels_of(png(tmp_path / "b.png", [[0, 0]], bits)) == [[0, 0]]


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tif", "pgm"])
def test_every_format_without_loss_gives_the_ids(tmp_path, suffix):
    Image.fromarray(np.array([[0, 1], [3, 255]], np.uint8)).save(tmp_path / f"a.{suffix}")
    assert labels_of(tmp_path / f"a.{suffix}") == [[0, 1], [3, 255]]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "JPEG2000"])
def test_a_lossy_format_is_refused_whatever_its_name(tmp_path, kind):
    Image.new("L", (8, 8)).save(tmp_path / "a.png", format=kind)
    with pytest.raises(SemFlowError, match=rf"a\.png is {kind}, which may change labels"):
        labels_of(tmp_path / "a.png")


def test_a_tiff_with_a_jpeg_inside_is_refused(tmp_path):
    Image.new("L", (16, 16)).save(tmp_path / "a.tif", compression="jpeg")
    with pytest.raises(SemFlowError, match="a JPEG inside"):
        labels_of(tmp_path / "a.tif")


def test_alpha_that_hides_nothing_does_not_matter(tmp_path):
    Image.fromarray(np.array([[0, 3]], np.uint8)).convert("LA").save(tmp_path / "a.png")
    assert labels_of(tmp_path / "a.png") == [[0, 3]]


def test_colours_are_not_to_be_saved_as_grey(tmp_path):
    Image.new("RGBA", (2, 2), (*PALETTE[1], 255)).save(tmp_path / "a.png")
    with pytest.raises(SemFlowError, match="make a map of 8-bit ids from them"):
        labels_of(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_a_mask_is_what_is_not_black(tmp_path, mode):
    pixels = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    Image.fromarray(pixels).convert(mode).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png").tolist() == [[False, True]]


@pytest.mark.parametrize("values", [(0, 254, 255), (1, 255)])
def test_a_mask_of_other_than_two_values_is_refused(tmp_path, values):
    Image.fromarray(np.array([values], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(SemFlowError, match=r"a\.png is not black and white"):
        read_mask(tmp_path / "a.png")


# Single layouts, in which numbers and colours are possible


def test_a_palette_layout_in_the_data_sets_colours_is_read_by_colour(tmp_path):
    colours = [(0, 200, 0), (255, 255, 255), (10, 20, 30), (0, 0, 0)]
    path = palette_png(tmp_path / "a.png", [[0, 1], [2, 3]], colours)
    assert layout_of(path) == ([[2, 255], [0, 255]], "the colours of stripes")


def test_a_palette_layout_with_one_colour_of_no_class_is_refused(tmp_path):
    path = palette_png(tmp_path / "a.png", [[0, 1], [1, 0]], [(0, 201, 0), (200, 0, 0)])
    with pytest.raises(SemFlowError, match=r"colour \[0, 201, 0\], which stands for no class \(50\.0 %"):
        layout_of(path, "colours")


def test_a_palette_layout_in_a_known_palette_is_read_by_number(tmp_path):
    assert layout_of(palette_png(tmp_path / "a.png", [[0, 1], [2, 2]], VOC)) == ([[0, 1], [2, 2]], "class numbers")
    assert layout_of(palette_png(tmp_path / "b.png", [[0, 0]], VOC))[0] == [[0, 0]]


def test_a_palette_layout_in_an_unknown_palette_is_read_by_number_only_if_that_is_said(tmp_path):
    path = palette_png(tmp_path / "a.png", [[0, 1], [2, 2]], [(1, 2, 3), (4, 5, 6), (7, 8, 9)])
    with pytest.raises(SemFlowError, match="palette"):
        layout_of(path)
    assert layout_of(path, "classes")[0] == [[0, 1], [2, 2]]


def test_a_layout_that_is_right_as_numbers_and_as_colours_is_refused_until_it_is_said_which(tmp_path):
    path, palette = palette_png(tmp_path / "a.png", [[0, 1]], VOC), (VOC[1], VOC[0])
    with pytest.raises(SemFlowError, match=r"classes` \(class numbers\), `--labels colours` \(the colours of stripes\)$"):
        layout_of(path, palette=palette)
    assert layout_of(path, "classes", palette=palette)[0] == [[0, 1]]
    assert layout_of(path, "colours", palette=palette)[0] == [[1, 0]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_layout_in_opaque_colours_is_read_by_colour(tmp_path, mode):
    Image.new("RGB", (2, 1), PALETTE[2]).convert(mode).save(tmp_path / "a.png")
    assert layout_of(tmp_path / "a.png") == ([[2, 2]], "the colours of stripes")


def test_a_colour_that_two_classes_have_is_refused(tmp_path):
    Image.new("RGB", (1, 1), PALETTE[1]).save(tmp_path / "a.png")
    with pytest.raises(SemFlowError, match=r"\[200, 0, 0\], which several classes have"):
        layout_of(tmp_path / "a.png", palette=(*PALETTE, PALETTE[1]))


def test_a_painting_in_greys_that_are_no_ids_is_read_by_colour(tmp_path):
    Image.fromarray(np.array([[0, 90]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(SemFlowError, match=r"label id 90, but the ids are 0 to 3"):
        layout_of(tmp_path / "a.png", "classes")
    assert layout_of(tmp_path / "a.png")[0] == [[255, 3]]


def test_black_is_a_number_and_a_class_where_a_class_is_black(tmp_path):
    Image.new("L", (2, 1)).save(tmp_path / "a.png")
    assert layout_of(tmp_path / "a.png")[0] == [[0, 0]]
    assert layout_of(tmp_path / "a.png", palette=((0, 0, 0), (9, 9, 9)))[0] == [[0, 0]]
    with pytest.raises(SemFlowError, match="more than one way"):
        layout_of(tmp_path / "a.png", palette=((9, 9, 9), (0, 0, 0)))


def coco(path, numbers, told=None, mark=None):
    """A layout for a model of COCO-Stuff, whose raw id 12 is the class 11."""
    told_by = PngInfo()
    if mark:
        told_by.add_text(MARK, mark)
    Image.fromarray(np.array([numbers], np.uint8)).save(path, pnginfo=told_by)
    labels, how = read_layout(path, "coco_stuff", COCO.names, COCO.palette, COCO.void, COCO.raw, told)
    return np.asarray(labels)[0].tolist(), how


def test_numbers_that_are_classes_and_raw_ids_are_refused_until_it_is_said_which(tmp_path):
    with pytest.raises(SemFlowError, match=r"`--labels classes` .*, `--labels raw` \(the ids of coco_stuff's own files\)$"):
        coco(tmp_path / "a.png", [12, 255])
    assert coco(tmp_path / "a.png", [12, 255], "raw") == ([11, 255], "the ids of coco_stuff's own files")
    assert coco(tmp_path / "a.png", [12, 255], "classes") == ([12, 255], "class numbers")


def test_numbers_that_can_be_only_one_are_read_as_that(tmp_path):
    assert coco(tmp_path / "a.png", [12, 181])[0] == [11, 170]  # there are 171 classes
    assert coco(tmp_path / "b.png", [12, 11])[0] == [12, 11]  # no file has the raw id 11
    assert coco(tmp_path / "c.png", [3, 7])[0] == [3, 7]  # the same either way


def test_a_label_map_that_says_what_it_holds_is_read_so(tmp_path):
    assert coco(tmp_path / "a.png", [12, 13], mark=marked("coco_stuff", COCO.names))[0] == [12, 13]
    for mark, said in ((marked("camvid", "ab"), "classes of camvid"), ("two\nlines" * 99, "two lines")):
        with pytest.raises(SemFlowError, match=f"says that it holds {said}.*trained on classes of coco_stuff"):
            coco(tmp_path / "b.png", [1, 2], mark=mark)


def test_a_data_sets_file_of_raw_ids_is_not_one_that_segment_wrote(tmp_path):
    told = PngInfo()
    told.add_text(MARK, marked("coco_stuff", COCO.names))
    Image.fromarray(np.array([[1, 2]], np.uint8)).save(tmp_path / "a.png", pnginfo=told)
    assert labels_of(tmp_path / "a.png") == [[1, 2]]
    with pytest.raises(SemFlowError, match=r"says that it holds classes of coco_stuff \(.*\), not the ids of the data set"):
        labels_of(tmp_path / "a.png", COCO.raw, COCO.palette)


def test_raw_ids_of_a_data_set_without_any_are_its_classes(tmp_path):
    Image.fromarray(np.array([[0, 3]], np.uint8)).save(tmp_path / "a.png")
    assert layout_of(tmp_path / "a.png", "raw")[0] == [[0, 3]]


def test_an_id_of_no_class_is_named(tmp_path):
    table = np.full(256, UNKNOWN, np.uint8)
    table[5] = 0
    Image.fromarray(np.array([[6]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(SemFlowError, match=r"a\.png holds label id 6, but the ids are five alone"):
        labels_of(tmp_path / "a.png", Ids(table, "five alone"))


def test_a_label_map_of_other_classes_under_the_same_name_is_refused(tmp_path):
    told = PngInfo()
    told.add_text(MARK, marked("stripes", ("sky", "road", "car", "tree")))
    Image.fromarray(np.array([[0, 3]], np.uint8)).save(tmp_path / "a.png", pnginfo=told)
    with pytest.raises(SemFlowError, match=r"holds classes of stripes \(4, hash .*trained on classes of stripes \(4, hash"):
        layout_of(tmp_path / "a.png")
    assert layout_of(tmp_path / "a.png", "classes")[0] == [[0, 3]]


def exif_png(path, pixels, number):
    exif = Image.Exif()
    exif[0x0112] = number
    Image.fromarray(np.array(pixels, np.uint8)).save(path, exif=exif)
    return path


def test_a_layout_that_exif_turns_is_read_upright_and_a_data_sets_label_map_as_stored(tmp_path):
    path = exif_png(tmp_path / "a.png", [[0, 1, 2], [3, 3, 3]], 6)  # 6: to be turned a quarter clockwise
    assert layout_of(path)[0] == [[3, 0], [3, 1], [3, 2]]
    assert labels_of(path) == [[0, 1, 2], [3, 3, 3]]


def test_every_lossy_compression_of_tiff_is_refused(tmp_path):
    lossy = Image.new("RGB", (16, 16))
    for compression in ("jpeg", "tiff_jpeg", "webp"):
        try:
            lossy.save(tmp_path / "a.tif", compression=compression)
        except (OSError, RuntimeError, KeyError):
            continue  # this Pillow does not write it
        with pytest.raises(SemFlowError, match="a JPEG inside|may change labels"):
            labels_of(tmp_path / "a.tif")


def test_a_label_map_whose_alpha_hides_something_is_refused(tmp_path):
    Image.fromarray(np.array([[[0, 255], [3, 0]]], np.uint8), "LA").save(tmp_path / "a.png")
    with pytest.raises(SemFlowError, match=r"a\.png has mode LA"):
        labels_of(tmp_path / "a.png")
