"""Changing the size of pictures and label maps, and gathering samples."""

import numpy as np
import pytest
import torch
from PIL import Image

from semflow.data.images import read_layout, resize_image, resize_labels
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


PALETTE = ((10, 20, 30), (200, 0, 0), (0, 200, 0))


def palette_png(path, indices, colours):
    picture = Image.fromarray(np.array(indices, np.uint8)).convert("P")
    picture.putdata(np.array(indices).ravel().tolist())
    picture.putpalette([channel for colour in colours for channel in colour])
    picture.save(path)
    return path


def test_a_palette_layout_in_the_data_sets_colours_is_read_by_colour(tmp_path):
    colours = [(0, 200, 0), (255, 255, 255), (10, 20, 30), (0, 0, 0)]
    layout = read_layout(palette_png(tmp_path / "a.png", [[0, 1], [2, 3]], colours), PALETTE)
    assert np.array(layout).tolist() == [[2, 255], [0, 255]]


def test_a_palette_layout_with_one_colour_of_no_class_is_refused(tmp_path):
    with pytest.raises(SemFlowError, match=r"colour \[0, 201, 0\], which stands for no class"):
        read_layout(palette_png(tmp_path / "a.png", [[0, 1], [1, 0]], [(0, 201, 0), (200, 0, 0)]), PALETTE)


def test_a_palette_layout_in_other_colours_is_read_by_id(tmp_path):
    colours = [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
    assert np.array(read_layout(palette_png(tmp_path / "a.png", [[0, 1], [2, 2]], colours), PALETTE)).tolist() == [[0, 1], [2, 2]]
    assert np.array(read_layout(palette_png(tmp_path / "b.png", [[0, 0]], colours), PALETTE)).tolist() == [[0, 0]]
