"""Training views, against examples worked by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semflow.data.coco_stuff import CocoStuff
from semflow.data.folders import PairedFiles
from semflow.data.scenes import Scenes
from semflow.loading.views import training_labels, training_sample

PLAIN = {"mirrored": False, "crop": None, "swaps": (), "colours": None}


class OnePicture(PairedFiles):
    """A picture and its labels from arrays, (H, W, 3) and (H, W), brought to `size`."""

    name, names, palette = "one", (), ()

    def __init__(self, image, labels, size):
        super().__init__([("image", "labels")], size)
        self.both = Image.fromarray(np.array(image, np.uint8)), Image.fromarray(np.array(labels, np.uint8))

    def read_picture(self, path):
        return self.both[0]

    def read_labels(self, path):
        return self.both[1]


def counted(h, w, size):
    """A picture whose red channel counts its pixels, row by row, labels alike."""
    numbers = np.arange(h * w).reshape(h, w)
    return OnePicture(np.stack([numbers] * 3, -1), numbers, size), numbers


def view(dataset, **options):
    return training_sample(dataset, 0, **{**PLAIN, **options})


def test_a_resized_view_is_the_sample():
    dataset, _ = counted(6, 9, (2, 3))
    for seen, expected in zip(view(dataset), dataset[0], strict=True):
        assert np.array_equal(seen, expected)


def test_a_mirrored_view_runs_backwards():
    dataset, numbers = counted(3, 4, (3, 4))
    sample = view(dataset, mirrored=True)
    assert np.array_equal(sample.image[0], numbers[:, ::-1])
    assert np.array_equal(sample.labels, numbers[:, ::-1])
    assert sample.image.flags.c_contiguous
    assert sample.labels.flags.c_contiguous


def test_a_mirror_exchanges_classes_and_a_plain_view_does_not():
    dataset = OnePicture(np.zeros((1, 4, 3)), [[4, 5, 6, 255]], (1, 4))
    assert view(dataset, swaps=((4, 5),)).labels.tolist() == [[4, 5, 6, 255]]
    assert view(dataset, mirrored=True, swaps=((4, 5),)).labels.tolist() == [[255, 6, 4, 5]]


@pytest.mark.parametrize(
    ("crop", "top", "left"),
    [((0.0, 0.0), 0, 0), ((0.999, 0.999), 2, 1), ((0.34, 0.49), 1, 0), ((0.66, 0.5), 1, 1), ((0.67, 0.51), 2, 1)],
)
def test_a_crop_starts_at_each_pixel_that_it_can_with_the_same_share(crop, top, left):
    # Where no scaling is due, in a 2 x 4 window of a 4 x 5 picture, rows 0 to 2 and columns 0 to 1 are starts. Scale is 1 only
    # if a side fits, so it is tried along each side on its own.
    tall, rows = counted(4, 4, (2, 4))
    wide, columns = counted(2, 5, (2, 4))
    assert np.array_equal(view(tall, crop=crop).labels, rows[top : top + 2])
    assert np.array_equal(view(wide, crop=crop).labels, columns[:, left : left + 4])
    assert np.array_equal(view(wide, crop=crop).image[2], columns[:, left : left + 4])


def test_the_tighter_side_of_a_picture_is_brought_to_the_crop():
    labels = np.arange(4 * 12).reshape(4, 12) // 2 % 6
    dataset = OnePicture(np.zeros((4, 12, 3)), labels, (2, 2))  # half as large it is 2 x 6, with 5 starts
    whole = np.asarray(Image.fromarray(labels.astype(np.uint8)).resize((6, 2), Image.Resampling.NEAREST))
    for number in range(5):
        assert np.array_equal(view(dataset, crop=(0.9, number / 5 + 0.01)).labels, whole[:, number : number + 2])


def test_a_picture_smaller_than_the_crop_grows_to_it():
    dataset, _ = counted(2, 3, (4, 4))  # twice as large it is 4 x 6
    sample = view(dataset, crop=(0.5, 0.99))
    assert sample.image.shape == (3, 4, 4)
    assert sample.labels.tolist() == [[1, 1, 2, 2]] * 2 + [[4, 4, 5, 5]] * 2


@pytest.mark.parametrize("shape", [(333, 500), (500, 333), (97, 1000), (480, 640), (511, 513)])
def test_a_crop_always_has_its_size(shape):
    dataset = OnePicture(np.zeros((*shape, 3)), np.zeros(shape), (64, 48))
    for crop in ((0.0, 0.0), (1 - 1e-9, 1 - 1e-9)):
        sample = view(dataset, crop=crop)
        assert (sample.image.shape, sample.labels.shape) == ((3, 64, 48), (64, 48))


def test_labels_of_another_size_than_their_picture_are_cropped_at_the_same_place():
    labels = np.arange(16).reshape(4, 4)
    image = np.kron(labels, np.ones((2, 2)))[..., None].repeat(3, -1)
    dataset = OnePicture(image, labels, (4, 2))
    dataset.agree = lambda *_: True
    sample = view(dataset, crop=(0.0, 0.5))
    assert sample.labels.tolist() == labels[:, 1:3].tolist()
    assert sample.image[0].tolist() == labels[:, 1:3].tolist()


def colour_table(**colours):
    table = np.zeros((256, 3), np.uint8)
    for label, colour in colours.items():
        table[int(label[1:])] = colour
    return table


def test_rgb_masks_are_mixed_where_labels_meet():
    colours = colour_table(c0=(0, 0, 0), c1=(200, 100, 40))
    dataset = OnePicture(np.zeros((1, 4, 3)), [[0, 0, 0, 1]], (1, 2))
    # Halving by the triangle kernel: of the second pixel 1/8, 3/8, 3/8, 1/8 of columns 0 to 4, that beyond the edge left out.
    sample = view(dataset, colours=colours)
    assert sample.labels.shape == (3, 1, 2)
    assert sample.labels[:, 0, 0].tolist() == [0, 0, 0]
    assert np.abs(sample.labels[:, 0, 1] - np.array([200, 100, 40]) * 3 / 7).max() <= 1


def test_rgb_masks_of_their_own_size_have_their_colours_and_a_mirror_exchanges_classes_first():
    colours = colour_table(c4=(50, 0, 0), c5=(0, 50, 0), c255=(255, 255, 255))
    dataset = OnePicture(np.zeros((1, 3, 3)), [[4, 5, 255]], (1, 3))
    plain = view(dataset, colours=colours, swaps=((4, 5),)).labels
    assert plain[:, 0].T.tolist() == [[50, 0, 0], [0, 50, 0], [255, 255, 255]]
    mirrored = view(dataset, colours=colours, swaps=((4, 5),), mirrored=True).labels
    assert mirrored[:, 0].T.tolist() == [[255, 255, 255], [50, 0, 0], [0, 50, 0]]


def test_a_crop_of_an_rgb_mask_is_cut_where_the_picture_is():
    dataset, numbers = counted(2, 5, (2, 2))
    colours = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    sample = view(dataset, crop=(0.0, 0.6), colours=colours)
    assert np.array_equal(sample.labels[1], numbers[:, 2:4])
    assert np.array_equal(sample.image[1], numbers[:, 2:4])


def test_drawn_scenes_are_resized_and_mirrored_alone():
    scenes = Scenes(2, (16, 16), 0, "train", 2)
    sample = training_sample(scenes, 1, **{**PLAIN, "mirrored": True})
    assert np.array_equal(sample.image, scenes[1].image[..., ::-1])
    with pytest.raises(ValueError, match="on disk"):
        training_sample(scenes, 1, **{**PLAIN, "crop": (0.0, 0.0)})
    with pytest.raises(ValueError, match="on disk"):
        training_sample(scenes, 1, **{**PLAIN, "colours": np.zeros((256, 3), np.uint8)})


def test_samples_held_in_memory_do_as_well():
    held = [Scenes(2, (16, 16), 0, "train", 2)[0]]
    assert np.array_equal(view(held, mirrored=True).labels, held[0].labels[:, ::-1])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("colours", [None, np.arange(768, dtype=np.uint8).reshape(256, 3)], ids=["labels", "rgb"])
def test_labels_alone_are_those_of_the_sample_and_need_no_picture(trees, tmp_path, mirrored, colours):
    dataset = CocoStuff(trees.coco_stuff_tree(tmp_path / "coco", 2), (40, 56), "train")
    options = {"mirrored": mirrored, "swaps": [(1, 2), (16, 60)], "colours": colours}
    whole = training_sample(dataset, 1, crop=None, **options).labels
    for image, _ in dataset.pairs:
        Path(image).write_bytes(b"")
    assert np.array_equal(training_labels(dataset, 1, **options), whole)
