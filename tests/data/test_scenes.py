"""Drawn scenes: the same bits everywhere, every class in them, colours of version 1 that tell nothing, of 2 as in nature."""

import colorsys
import hashlib
import math
import time

import numpy as np
import pytest

from semflow.data.sample import Sample
from semflow.data.scenes import COLOURS, LIGHTS, NAMES, PALETTE, Scenes

# SHA-256 of the first 16 training scenes at 32 x 32 under seed 0, image then labels, by version; none may ever change.
FIRST_SCENES = {
    1: "f5c6c5a7290d96736eeeac3d3858d79fe156abeb86198ce748ca52a435ee9050",
    2: "54a83b96d81c5b46ca668bf32b41abdfa843f4e3b79e882e5c567b8b7355e424",
}


@pytest.fixture(scope="module")
def of_version() -> dict[int, list[Sample]]:
    """The first 500 training scenes, by version."""
    return {version: [Scenes(500, (32, 32), 0, "train", version)[index] for index in range(500)] for version in FIRST_SCENES}


@pytest.fixture(scope="module")
def many(of_version) -> list[Sample]:
    return of_version[2]


def same(first, second) -> bool:
    return np.array_equal(first.image, second.image) and np.array_equal(first.labels, second.labels)


def means_of(samples: list[Sample], name: str) -> np.ndarray:
    """Mean red, green and blue of a class in every picture that has 4 pixels of it."""
    inside = [(sample.image, sample.labels == NAMES.index(name)) for sample in samples]
    return np.array([image[:, where].mean(1) for image, where in inside if where.sum() >= 4])


@pytest.mark.parametrize("version", FIRST_SCENES)
def test_pictures_are_frozen(of_version, version):
    digest = hashlib.sha256()
    for sample in of_version[version][:16]:
        digest.update(sample.image.tobytes() + sample.labels.tobytes())
    assert digest.hexdigest() == FIRST_SCENES[version]


def test_versions_differ_in_colours_alone(of_version):
    for first, second in zip(of_version[1], of_version[2], strict=True):
        assert np.array_equal(first.labels, second.labels)
        assert not np.array_equal(first.image, second.image)


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (40, 24), (64, 64), (64, 16), (17, 33)])
def test_any_size_from_16_on_can_be_drawn(size):
    scenes = Scenes(40, size, 3, "test", 2)
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
    few, more = Scenes(5, (32, 32), 0, "train", 2), Scenes(5000, (32, 32), 0, "train", 2)
    assert all(same(few[index], more[index]) for index in range(5))


def test_a_scene_does_not_depend_on_what_was_drawn_before():
    scenes = Scenes(5, (32, 32), 0, "train", 2)
    first = scenes[3]
    scenes[1]
    assert same(scenes[3], first)


@pytest.mark.parametrize("other", [("test", 0), ("val", 0), ("train", 1)])
def test_splits_and_seeds_have_no_scene_in_common(many, other):
    split, seed = other
    scenes = Scenes(500, (32, 32), seed, split, 2)
    ours = {sample.image.tobytes() for sample in many}
    assert len(ours) == 500
    assert not ours & {scenes[index].image.tobytes() for index in range(500)}


@pytest.mark.parametrize("index", [5, -1])
def test_there_is_no_scene_outside_the_split(index):
    with pytest.raises(IndexError):
        Scenes(5, (32, 32), 0, "train", 2)[index]


def test_iterating_ends_after_the_last_scene():
    assert len(list(Scenes(5, (16, 16), 0, "train", 2))) == len(Scenes(5, (16, 16), 0, "train", 2)) == 5


@pytest.mark.parametrize("name", NAMES)
def test_the_colour_of_a_class_is_free_in_version_1(of_version, name):
    means = means_of(of_version[1], name)
    low, high = np.quantile(means, [0.1, 0.9], axis=0)
    assert len(means) >= 50
    assert (high - low > 80).all(), f"{name} spans {high - low} of 255 in red, green and blue"


@pytest.mark.parametrize(("name", "channel"), [("grass", 1), ("sea", 2), ("roof", 0)])
def test_nature_has_its_colours_in_version_2(many, name, channel):
    assert (means_of(many, name).argmax(1) == channel).mean() > 0.85  # in all lights; by chance it would be a third


@pytest.mark.parametrize("name", ["car", "person", "boat", "parasol"])
def test_what_people_paint_has_any_hue_in_version_2(many, name):
    hues = [colorsys.rgb_to_hsv(*mean / 255)[0] for mean in means_of(many, name)]
    counts, _ = np.histogram(hues, 6, (0, 1))
    assert (counts > 0.07 * len(hues)).all(), counts


def test_the_whole_of_a_scene_is_in_one_light_as_often_as_lights_are_probable(many):
    (day, _), (dusk, _), (night, _) = LIGHTS
    red, _, blue = means_of(many, "cloud").T  # clouds are grey of themselves
    shares = [np.mean(found) for found in (blue < 0.75 * red, blue > 1.3 * red)]
    assert day + dusk + night == pytest.approx(1)
    assert shares == pytest.approx([dusk, night], abs=4 * math.sqrt(0.25 * 0.75 / len(red)))


def test_ranges_of_colours_are_in_the_order_of_the_classes():
    assert tuple(COLOURS) == NAMES


def test_every_class_has_a_name_and_a_colour_of_its_own():
    assert len(set(NAMES)) == len(set(PALETTE)) == len(NAMES)
    assert np.array(PALETTE).shape == (len(NAMES), 3)
    assert all(0 <= value <= 255 for colour in PALETTE for value in colour)


def test_the_fingerprint_tells_data_sets_apart():
    settings = [(5, (32, 32), 0, "train", 2), (6, (32, 32), 0, "train", 2), (5, (32, 40), 0, "train", 2),
                (5, (32, 32), 1, "train", 2), (5, (32, 32), 0, "test", 2), (5, (32, 32), 0, "train", 1)]  # fmt: skip
    assert len({Scenes(*setting).fingerprint() for setting in settings}) == len(settings)
    assert Scenes(*settings[0]).fingerprint() == Scenes(*settings[0]).fingerprint()


@pytest.mark.parametrize("version", FIRST_SCENES)
def test_a_layout_is_painted_again_in_colours_that_its_number_decides(of_version, version):
    scenes, sample = Scenes(5, (32, 32), 0, "train", version), of_version[version][0]
    kept, pictures = sample.labels.copy(), [scenes.repaint(sample.labels, index) for index in range(20)]
    assert np.array_equal(sample.labels, kept)
    assert len({picture.tobytes() for picture in (*pictures, sample.image)}) == 21
    assert np.array_equal(Scenes(9, (16, 16), 0, "test", version).repaint(sample.labels, 3), pictures[3])
    assert not np.array_equal(Scenes(5, (32, 32), 1, "train", version).repaint(sample.labels, 3), pictures[3])


def test_repainted_pictures_have_the_colours_of_drawn_ones(many):
    again = [Sample(Scenes(500, (32, 32), 0, "test", 2).repaint(sample.labels, index), sample.labels)
             for index, sample in enumerate(many)]  # fmt: skip
    for name in NAMES:
        drawn, painted = (means_of(samples, name) for samples in (many, again))
        spread = np.sqrt((drawn.var(0) + painted.var(0)) / len(drawn))
        assert (abs(drawn.mean(0) - painted.mean(0)) < 4 * spread).all(), name


@pytest.mark.parametrize("label", [len(NAMES), 255])
def test_labels_that_are_no_class_are_not_painted(label):
    with pytest.raises(ValueError, match=f"label {label} is no class of scenes"):
        Scenes(5, (32, 32), 0, "train", 2).repaint(np.full((32, 32), label, np.uint8), 0)


@pytest.mark.parametrize("version", FIRST_SCENES)
def test_drawing_keeps_up_with_training(version):
    scenes = Scenes(300, (32, 32), 1, "train", version)
    started = time.process_time()
    for index in range(300):
        scenes[index]
    assert 300 / (time.process_time() - started) > 300
