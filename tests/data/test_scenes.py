"""Drawn scenes: the same bits everywhere, every class in them, no colour that tells the class."""

import hashlib
import time

import numpy as np
import pytest

from semflow.data.sample import Sample
from semflow.data.scenes import NAMES, PALETTE, Scenes

# SHA-256 of the first 16 training scenes at 32 x 32 under seed 0, image then labels. It changes with scenes.VERSION only.
FIRST_SCENES = "f5c6c5a7290d96736eeeac3d3858d79fe156abeb86198ce748ca52a435ee9050"


@pytest.fixture(scope="module")
def many() -> list[Sample]:
    scenes = Scenes(500, (32, 32), 0, "train")
    return [scenes[index] for index in range(500)]


def same(first, second) -> bool:
    return np.array_equal(first.image, second.image) and np.array_equal(first.labels, second.labels)


def test_pictures_are_frozen(many):
    digest = hashlib.sha256()
    for sample in many[:16]:
        digest.update(sample.image.tobytes() + sample.labels.tobytes())
    assert digest.hexdigest() == FIRST_SCENES


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (40, 24), (64, 64), (64, 16), (17, 33)])
def test_any_size_from_16_on_can_be_drawn(size):
    scenes = Scenes(40, size, 3, "test")
    for index in range(40):
        image, labels = scenes[index]
        assert image.shape == (3, *size)
        assert labels.shape == size
        assert image.dtype == labels.dtype == np.uint8
        assert labels.max() < len(NAMES)


def test_every_class_occurs(many):
    pixels = np.bincount(np.concatenate([sample.labels.ravel() for sample in many]), minlength=len(NAMES))
    assert pixels.shape == (len(NAMES),)
    assert [name for name, n in zip(NAMES, pixels, strict=True) if n < 500] == []


def test_a_scene_does_not_depend_on_how_many_there_are():
    few, more = Scenes(5, (32, 32), 0, "train"), Scenes(5000, (32, 32), 0, "train")
    assert all(same(few[index], more[index]) for index in range(5))


def test_a_scene_does_not_depend_on_what_was_drawn_before():
    scenes = Scenes(5, (32, 32), 0, "train")
    first = scenes[3]
    scenes[1]
    assert same(scenes[3], first)


@pytest.mark.parametrize("other", [("test", 0), ("val", 0), ("train", 1)])
def test_splits_and_seeds_have_no_scene_in_common(many, other):
    split, seed = other
    scenes = Scenes(500, (32, 32), seed, split)
    ours = {sample.image.tobytes() for sample in many}
    assert len(ours) == 500
    assert not ours & {scenes[index].image.tobytes() for index in range(500)}


@pytest.mark.parametrize("index", [5, -1])
def test_there_is_no_scene_outside_the_split(index):
    with pytest.raises(IndexError):
        Scenes(5, (32, 32), 0, "train")[index]


def test_iterating_ends_after_the_last_scene():
    assert len(list(Scenes(5, (16, 16), 0, "train"))) == len(Scenes(5, (16, 16), 0, "train")) == 5


@pytest.mark.parametrize("name", NAMES)
def test_the_colour_of_a_class_is_free(many, name):
    means = [sample.image[:, inside].mean(1) for sample in many if (inside := sample.labels == NAMES.index(name)).sum() >= 4]
    low, high = np.quantile(means, [0.1, 0.9], axis=0)
    assert len(means) >= 50
    assert (high - low > 80).all(), f"{name} spans {high - low} of 255 in red, green and blue"


def test_every_class_has_a_name_and_a_colour_of_its_own():
    assert len(set(NAMES)) == len(set(PALETTE)) == len(NAMES)
    assert np.array(PALETTE).shape == (len(NAMES), 3)
    assert all(0 <= value <= 255 for colour in PALETTE for value in colour)


def test_the_fingerprint_tells_data_sets_apart():
    settings = [(5, (32, 32), 0, "train"), (6, (32, 32), 0, "train"), (5, (32, 40), 0, "train"), (5, (32, 32), 1, "train"),
                (5, (32, 32), 0, "test")]  # fmt: skip
    assert len({Scenes(*setting).fingerprint() for setting in settings}) == len(settings)
    assert Scenes(*settings[0]).fingerprint() == Scenes(*settings[0]).fingerprint()


def test_drawing_keeps_up_with_training():
    scenes = Scenes(300, (32, 32), 1, "train")
    started = time.process_time()
    for index in range(300):
        scenes[index]
    assert 300 / (time.process_time() - started) > 300
