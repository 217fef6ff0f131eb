"""Cityscapes from a tree in the official layout."""

import numpy as np
import pytest
from PIL import Image

from semflow.data.cityscapes import NAMES, Cityscapes
from semflow.errors import SemFlowError

SIZE = (32, 64)
# Name and id of each class in order, from the data set's table of labels.
CLASSES = (
    "road 7, sidewalk 8, building 11, wall 12, fence 13, pole 17, traffic light 19, traffic sign 20, vegetation 21, terrain 22, "
    "sky 23, person 24, rider 25, car 26, truck 27, bus 28, train 31, motorcycle 32, bicycle 33"
)


@pytest.fixture
def root(trees, tmp_path):
    return trees.cityscapes_tree(tmp_path / "cityscapes", 4)


@pytest.fixture
def labels(root):
    return root / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"


def complaint(root, *named, split="train") -> str:
    with pytest.raises(SemFlowError) as error:
        dataset = Cityscapes(root, SIZE, split)
        [dataset[index] for index in range(len(dataset))]
    text = str(error.value)
    assert "\n" not in text
    assert [str(name) for name in named if str(name) not in text] == []
    return text


def test_label_ids_become_the_19_classes_and_the_rest_is_ignored(root, labels):
    Image.fromarray(np.arange(34, dtype=np.uint8)[None].repeat(17, 0)).save(labels)
    Image.new("RGB", (34, 17)).save(root / "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png")
    found = np.asarray(Cityscapes(root, SIZE, "train").native(0)[1])[0]
    expected = np.full(34, 255)
    for train_id, entry in enumerate(CLASSES.split(", ")):
        name, _, label_id = entry.rpartition(" ")
        expected[int(label_id)] = train_id
        assert NAMES[train_id] == name
    assert found.tolist() == expected.tolist()


def test_licence_plates_are_ignored(root, labels):
    size = Image.open(labels).size
    Image.new("L", size, 255).save(labels)
    assert (Cityscapes(root, SIZE, "train")[0].labels == 255).all()


def test_the_tree_has_the_classes_that_were_written_into_it(root, trees):
    for split in ("train", "val"):
        dataset = Cityscapes(root, SIZE, split)
        assert len(dataset) == 4
        assert len(dataset.names) == len(set(dataset.palette)) == 19
        seen = {int(label) for index in range(4) for label in np.unique(dataset[index].labels)}
        assert seen == {0, 1, 2, 5, 8, 10, 11, 13, 18, 255}  # of label ids 7, 8, 11, 17, 21, 23, 24, 26, 33 and the others


def test_frames_of_all_cities_are_found_in_order(root):
    frames = [image.rpartition("/")[2] for image, _ in Cityscapes(root, SIZE, "val").pairs]
    assert [frame.split("_")[0] for frame in frames] == ["frankfurt", "frankfurt", "munster", "munster"]


def test_polygons_alone_are_not_enough(root):
    for path in (root / "gtFine/train").rglob("*_labelIds.png"):
        path.unlink()
    complaint(root, root / "gtFine/train", "polygons", "gtFine_trainvaltest.zip", "cityscapesscripts")


def test_the_test_split_has_no_public_annotations(root):
    complaint(root, "test", "evaluation.split", split="test")


def test_an_empty_folder_is_named(root):
    complaint(root / "gtFine", "leftImg8bit/train", "no images", "no annotations")


def test_annotations_of_another_split_are_named(root):
    folder = root / "gtFine"
    (folder / "train").rename(folder / "x")
    (folder / "val").rename(folder / "train")
    complaint(root, folder / "train", "another split")


def test_a_missing_annotation_is_counted_and_named(root, labels):
    labels.unlink()
    complaint(root, "1 of 4 images", "aachen/aachen_000000_000019")


@pytest.mark.parametrize("label", [34, 254])
def test_a_label_id_that_stands_for_nothing_is_named(root, labels, label):
    Image.new("L", Image.open(labels).size, label).save(labels)
    complaint(root, labels, f"label id {label}", "0 to 33")


def test_sizes_that_differ_are_named(root, labels):
    Image.new("L", (10, 10)).save(labels)
    complaint(root, labels, "10 x 10", "must agree")


def test_grey_stills_become_rgb(root):
    path = root / "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"
    Image.new("L", (128, 64), 9).save(path)
    assert (Cityscapes(root, SIZE, "train")[0].image == 9).all()


def test_a_palette_of_colours_by_training_id_is_not_taken_for_label_ids(root, labels):
    picture = Image.fromarray(np.arange(8, dtype=np.uint8).reshape(1, 8).repeat(64, 0).repeat(16, 1))
    picture.putpalette([channel for colour in Cityscapes.palette for channel in colour])
    picture.save(labels)
    complaint(root, labels, "palette")
