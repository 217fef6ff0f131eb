"""Changing the size of pictures and label maps, and gathering samples."""

import numpy as np
import pytest
import torch
from PIL import Image

from semflow.data.images import resize_image, resize_labels
from semflow.data.sample import Sample
from semflow.data.scenes import Scenes
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
