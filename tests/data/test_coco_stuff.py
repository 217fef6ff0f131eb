"""COCO-Stuff-164k from a tree in the official layout."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semflow.data.coco_stuff import ABSENT, NAMES, PALETTE, RAW_IDS, CocoStuff
from semflow.errors import SemFlowError

OFFICIAL = Path(__file__).with_name("coco_stuff_labels.txt")  # the data set's own labels.txt, whose ids are one higher
SIZE = (48, 64)


@pytest.fixture
def root(trees, tmp_path):
    return trees.coco_stuff_tree(tmp_path / "coco", 4)


def complaint(root, *named, split="train") -> str:
    """The sentence that opening and reading every sample ends in."""
    with pytest.raises(SemFlowError) as error:
        dataset = CocoStuff(root, SIZE, split)
        [dataset[index] for index in range(len(dataset))]
    text = str(error.value)
    assert "\n" not in text
    assert [str(name) for name in named if str(name) not in text] == []
    return text


def label_files(root, split="train"):
    return sorted((root / "annotations" / f"{split}2017").glob("*.png"))


def test_every_one_of_the_171_names_is_the_official_one_in_order():
    lines = OFFICIAL.read_text(encoding="utf-8").splitlines()
    official = {int(line.split(": ")[0]) - 1: line.split(": ")[1] for line in lines}
    assert len(NAMES) == 171
    assert list(NAMES) == [official[raw] for raw in range(182) if raw not in ABSENT]
    never_drawn = "street sign, hat, shoe, eye glasses, plate, mirror, window, desk, door, blender, hair brush"
    assert ", ".join(official[raw] for raw in ABSENT) == never_drawn


def test_each_of_the_171_raw_ids_becomes_its_class_and_255_stays_ignored(root):
    for image in (root / "train2017").glob("*.jpg"):
        Image.new("RGB", (172, 1)).save(image)
    for path in label_files(root):
        Image.fromarray(np.array([[*RAW_IDS, 255]], np.uint8)).save(path)
    sample = CocoStuff(root, (1, 172), "train")[0]
    assert sample.labels.tolist() == [[*range(171), 255]]


def test_the_tree_has_the_classes_that_were_written_into_it(root, trees):
    seen = set()
    for split in ("train", "val"):
        dataset = CocoStuff(root, SIZE, split)
        assert len(dataset) == 4
        assert len(dataset.names) == len(dataset.palette) == 171
        for index, path in enumerate(label_files(root, split)):
            raw = np.asarray(Image.open(path))
            labels = np.asarray(dataset.native(index)[1])
            for raw_id in np.unique(raw):  # class c is the raw id with as many used ones below it
                below = raw_id - sum(absent < raw_id for absent in ABSENT) if raw_id != 255 else 255
                assert (labels[raw == raw_id] == below).all()
                seen.add(int(below))
    assert len(seen) == len(trees.COCO_IDS)


def test_the_colours_are_the_anchors_of_the_pseudo_mask():
    assert len(set(PALETTE)) == 171
    assert PALETTE[0] == (0, 0, 0)
    assert PALETTE[36 + 2 * 6 + 3] == (50, 100, 150)


def test_a_sample_is_the_whole_picture_squeezed(root):
    sample = CocoStuff(root, SIZE, "train")[1]
    assert sample.image.shape == (3, *SIZE)
    assert sample.labels.shape == SIZE
    assert sample.image.dtype == sample.labels.dtype == np.uint8


def test_grey_photographs_become_rgb(root):
    grey = sorted((root / "train2017").glob("*.jpg"))[-1]
    assert Image.open(grey).mode == "L"
    image = CocoStuff(root, SIZE, "train").native(3)[0]
    assert image.mode == "RGB"
    assert (np.asarray(image) == np.asarray(Image.open(grey))[..., None]).all()


@pytest.mark.parametrize("place", ["stuffthingmaps", "stuffthingmaps_trainval2017"])
def test_unpacked_stuffthingmaps_and_an_images_folder_do_as_well(root, place):
    stamp = CocoStuff(root, SIZE, "val").stamp()
    (root / "annotations").rename(root / place)
    (root / "images").mkdir()
    (root / "val2017").rename(root / "images/val2017")
    assert CocoStuff(root, SIZE, "val").stamp() == stamp


def test_label_files_of_another_toolbox_beside_ours_are_not_looked_at(root):
    path = label_files(root)[0]
    path.with_name(f"{path.stem}_labelTrainIds.png").write_bytes(b"")
    assert len(CocoStuff(root, SIZE, "train")) == 4


def test_stamp_sees_names_and_sizes_and_fingerprint_bytes(root):
    dataset, path = CocoStuff(root, SIZE, "train"), label_files(root)[0]
    stamp, fingerprint = dataset.stamp(), dataset.fingerprint()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    assert (CocoStuff(root, SIZE, "train").stamp(), dataset.stamp()) == (stamp, stamp)
    assert dataset.fingerprint() != fingerprint
    path.write_bytes(content + b"x")
    assert dataset.stamp() != stamp


def test_a_missing_root_is_named(tmp_path):
    complaint(tmp_path / "nowhere", tmp_path / "nowhere", "data.root", "SEMFLOW_DATA", "semflow data check coco_stuff")


def test_the_test_split_has_no_annotations(root):
    complaint(root, "test", "evaluation.split", "val", split="test")


def test_images_without_annotations_are_named(root):
    for path in label_files(root):
        path.unlink()
    complaint(root, root / "train2017", root / "annotations/train2017", "no annotations")


def test_annotations_without_images_are_named(root):
    for path in (root / "train2017").iterdir():
        path.unlink()
    complaint(root, root / "train2017", root / "annotations/train2017", "no images")


def test_annotations_of_another_split_are_named(root):
    for number, path in enumerate(label_files(root)):
        path.rename(path.with_name(f"{number:012d}.png"))
    complaint(root, root / "annotations/train2017", "another split", "000000000139", "000000000000")


def test_some_images_without_annotations_are_counted_and_the_first_is_named(root):
    label_files(root)[1].unlink()
    complaint(root, "1 of 4 images", "000000000278")


def test_some_annotations_without_images_are_counted_and_the_first_is_named(root):
    (root / "train2017/000000000417.jpg").unlink()
    complaint(root, "1 of 4 annotations", "000000000417")


@pytest.mark.parametrize("raw", [182, 254, *ABSENT])
def test_a_label_id_outside_the_classes_is_named_with_its_file(root, raw):
    path = label_files(root)[0]
    size = Image.open(path).size
    Image.new("L", size, raw).save(path)
    complaint(root, path, f"label id {raw}", "0 to 181")


def test_sizes_that_differ_are_named(root):
    path = label_files(root)[0]
    Image.new("L", (5, 7)).save(path)
    complaint(root, path, path.stem + ".jpg", "5 x 7", "must agree")


@pytest.mark.parametrize("folder", ["train2017", "annotations/train2017"])
def test_a_truncated_file_is_named(root, folder):
    path = sorted((root / folder).iterdir())[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    complaint(root, path, "damaged")
