"""Reading pictures of every kind, changing the size of pictures and label maps, and gathering samples."""

import numpy as np
import pytest
import torch
from PIL import Image
from png_by_hand import RGB, png

from semflow.data.folders import whole
from semflow.data.images import read_image, resize_image, resize_labels
from semflow.data.sample import Sample
from semflow.data.scenes import Scenes
from semflow.errors import SemFlowError
from semflow.loading.batches import Batches, in_memory
from semflow.loading.pixels import to_unit_range


def test_halving_a_picture_averages_two_by_two():
    pixels = np.random.default_rng(0).integers(0, 64, (4, 6, 3), dtype=np.uint8) * 4
    blocks = pixels.reshape(2, 2, 3, 2, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(resize_image(Image.fromarray(pixels), (2, 3)) - blocks).max() <= 0.5


def test_a_picture_of_the_right_size_is_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(resize_image(Image.fromarray(pixels), (5, 7)), pixels.transpose(2, 0, 1))


def test_a_picture_can_grow_and_keeps_its_colour():
    grown = resize_image(Image.new("RGB", (4, 4), (10, 20, 30)), (8, 6))
    assert grown.shape == (3, 8, 6)
    assert (grown == np.array([10, 20, 30]).reshape(3, 1, 1)).all()


def test_doubling_labels_repeats_each():
    labels = np.random.default_rng(0).integers(0, 256, (4, 5), dtype=np.uint8)
    assert np.array_equal(resize_labels(Image.fromarray(labels), (8, 10)), labels.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("size", [(3, 3), (5, 11), (16, 9)])
def test_resizing_labels_invents_none(size):
    labels = np.random.default_rng(0).choice(np.array([0, 7, 255], dtype=np.uint8), (9, 9))
    assert set(np.unique(resize_labels(Image.fromarray(labels), size))) <= {0, 7, 255}


def test_a_batch_stacks_samples_in_the_order_asked_for():
    scenes = Scenes(4, (16, 16), 0, "train", 2)
    images, labels = Batches(scenes)[[2, 0]]
    assert images.shape == (2, 3, 16, 16)
    assert images.dtype == labels.dtype == torch.uint8
    assert np.array_equal(images[0], scenes[2].image)
    assert np.array_equal(labels[1], scenes[0].labels)


def test_in_memory_holds_every_sample():
    scenes = Scenes(3, (16, 16), 0, "train", 2)
    held = in_memory(scenes, "draw")
    assert len(held) == 3
    assert all(isinstance(sample, Sample) and np.array_equal(sample.image, scenes[i].image) for i, sample in enumerate(held))


def test_bytes_become_floats_from_minus_one_to_one():
    values = to_unit_range(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, torch.tensor([-1, -0.6, 1]))


def colours_of(path):
    return np.asarray(read_image(path)).tolist()


def test_of_sixteen_bits_the_upper_eight_are_taken_be_they_grey_or_colours(tmp_path):
    values = [0, 255, 256, 257 * 90, 65535]
    expected = [[[value // 256] * 3 for value in values]]
    assert colours_of(png(tmp_path / "grey.png", [values], 16)) == expected
    assert colours_of(png(tmp_path / "rgb.png", [[value for value in values for _ in "RGB"]], 16, kind=RGB)) == expected
    Image.fromarray(np.array([values], np.uint16)).save(tmp_path / "grey.tif")
    assert colours_of(tmp_path / "grey.tif") == expected


@pytest.mark.parametrize(("bits", "white"), [(1, 1), (2, 3), (4, 15), (8, 255)])
def test_a_transparent_colour_that_no_pixel_has_hides_nothing(tmp_path, bits, white):
    path = png(tmp_path / "a.png", [[0, white]], bits, transparent=b"\0\1")
    if bits == 1:  # it has no third colour
        path = png(tmp_path / "a.png", [[0, 0]], bits, transparent=b"\0\1")
    assert colours_of(path)[0][0] == [0, 0, 0]
    with pytest.raises(SemFlowError, match="transparent pixels"):
        read_image(png(tmp_path / "b.png", [[0, white]], bits, transparent=b"\0\0"))


def test_a_palettes_transparent_entry_matters_only_where_a_pixel_has_it(tmp_path):
    palette = [(0, 0, 0), (255, 255, 255), (9, 9, 9)]
    assert colours_of(png(tmp_path / "a.png", [[0, 1]], 8, palette, transparent=b"\xff\xff\0")) == [[[0] * 3, [255] * 3]]
    with pytest.raises(SemFlowError, match="transparent pixels"):
        read_image(png(tmp_path / "b.png", [[0, 2]], 8, palette, transparent=b"\xff\xff\0"))


@pytest.mark.parametrize("value", [1, 254])
def test_one_pixel_that_is_partly_transparent_is_enough_to_refuse(tmp_path, value):
    alpha = np.full((3, 3, 4), 255, np.uint8)
    alpha[1, 1, 3] = value
    Image.fromarray(alpha).save(tmp_path / "a.png")
    with pytest.raises(SemFlowError, match=r"a\.png has transparent pixels"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["gif", "tif", "png", "webp"])
def test_a_file_of_several_frames_is_refused(tmp_path, suffix):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second])
    with pytest.raises(SemFlowError, match="has 2 frames"):
        read_image(tmp_path / f"a.{suffix}")


def test_a_phones_jpeg_with_a_preview_is_the_photograph(tmp_path):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("white", "black"))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert colours_of(tmp_path / "a.jpg") == [[[255] * 3] * 8] * 8


def test_numbers_without_a_known_range_are_refused(tmp_path):
    Image.new("F", (2, 2)).save(tmp_path / "a.tif")
    with pytest.raises(SemFlowError, match="mode F, whose range is not known"):
        read_image(tmp_path / "a.tif")


def test_a_picture_beyond_the_pixels_that_pillow_opens_is_called_large_and_not_damaged(tmp_path, monkeypatch):
    Image.new("L", (5, 5)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(SemFlowError, match=r"a\.png has more than 20 pixels, the most that Pillow opens; make it smaller"):
        read_image(tmp_path / "a.png")


def test_a_picture_with_a_transparent_colour_is_not_vouched_for_without_decoding(tmp_path):
    Image.new("RGB", (2, 2), (9, 9, 9)).save(tmp_path / "a.png")
    assert whole(str(tmp_path / "a.png")) is not None
    Image.new("RGB", (2, 2), (9, 9, 9)).save(tmp_path / "b.png", transparency=(9, 9, 9))
    assert whole(str(tmp_path / "b.png")) is None
