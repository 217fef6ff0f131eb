"""CelebAMask-HQ from a tree in the layout of its raw download."""

import numpy as np
import pytest
from PIL import Image

from semflow.data.celebamask_hq import NAMES, SWAPS, CelebAMaskHQ, merge
from semflow.errors import SemFlowError
from semflow.tools.prepare import prepare

SIZE = (32, 32)
ORDER = (  # in which the authors' script merges
    "skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat ear_r neck_l neck cloth"
)


@pytest.fixture
def raw(trees, tmp_path):
    return trees.celebamask_hq_tree(tmp_path / "celeba", 3)


@pytest.fixture
def root(trees, tmp_path):
    return trees.celebamask_hq_tree(tmp_path / "celeba", 3, merged=True)


def numbers(root, split, partition="official"):
    return [int(image.rpartition("/")[2][:-4]) for image, _ in CelebAMaskHQ(root, SIZE, split, partition).pairs]


def complaint(root, *named, split="train", partition="official") -> str:
    with pytest.raises(SemFlowError) as error:
        dataset = CelebAMaskHQ(root, SIZE, split, partition)
        [dataset[index] for index in range(len(dataset))]
    text = str(error.value)
    assert "\n" not in text
    assert [str(name) for name in named if str(name) not in text] == []
    return text


def part(folder, name, rows):
    """A mask that fills some rows of four, RGB as the authors' are."""
    mask = np.zeros((4, 4, 3), np.uint8)
    mask[rows] = 255
    path = folder / f"00007_{name}.png"
    Image.fromarray(mask).save(path)
    return str(path)


def test_the_classes_are_background_and_the_parts_in_the_order_of_merging():
    assert list(NAMES) == ["background", *ORDER.split()]


def test_a_later_part_covers_an_earlier_one_and_what_no_part_covers_is_background(tmp_path):
    parts = [part(tmp_path, "hair", slice(0, 2)), part(tmp_path, "skin", slice(1, 3)), part(tmp_path, "nose", slice(2, 3))]
    assert np.asarray(merge(parts))[:, 0].tolist() == [13, 13, 2, 0]
    assert np.asarray(merge(parts[::-1]))[:, 0].tolist() == [13, 13, 2, 0]


def test_each_part_alone_becomes_its_class(tmp_path):
    for label, name in enumerate(ORDER.split(), 1):
        assert np.asarray(merge([part(tmp_path, name, slice(0, 1))]))[:, 0].tolist() == [label, 0, 0, 0]


def test_parts_of_different_sizes_are_named(tmp_path):
    one = part(tmp_path, "skin", slice(0, 2))
    other = tmp_path / "00007_nose.png"
    Image.new("L", (5, 5), 255).save(other)
    with pytest.raises(SemFlowError, match=r"00007_nose\.png differs in size"):
        merge([one, str(other)])


@pytest.mark.parametrize(
    ("save", "named"),
    [
        (lambda mask, path: mask.save(path, format="JPEG", quality=60), "is JPEG"),
        (lambda mask, path: mask.resize((61, 61), Image.Resampling.BILINEAR).save(path), "not black and white alone"),
    ],
    ids=["a JPEG named .png", "enlarged with grey edges"],
)
def test_a_part_that_is_not_as_it_was_drawn_is_named_and_not_merged(tmp_path, save, named):
    path = tmp_path / "00007_skin.png"
    save(Image.fromarray(np.uint8(255) * (np.indices((40, 40)).sum(0) < 37)), path)
    with pytest.raises(SemFlowError, match=rf"00007_skin\.png .*{named}"):
        merge([str(path)])


def test_merged_labels_are_those_of_the_parts(root, trees):
    dataset = CelebAMaskHQ(root, SIZE, "train", "official")
    for index, face in enumerate(numbers(root, "train")):
        expected = np.zeros((64, 64), np.uint8)
        for label, name in enumerate(ORDER.split(), 1):
            path = root / f"CelebAMask-HQ-mask-anno/{face // 2000}/{face:05d}_{name}.png"
            if path.exists():
                expected = np.where(np.asarray(Image.open(path))[..., 0] != 0, label, expected)
        assert np.array_equal(np.asarray(dataset.native(index)[1]), expected)


def test_the_tree_has_the_classes_that_were_written_into_it(root, trees):
    for split in ("train", "val", "test"):
        dataset = CelebAMaskHQ(root, SIZE, split, "official")
        assert len(dataset) == 3
        assert len(dataset.names) == len(set(dataset.palette)) == 19
        seen = {NAMES[label] for index in range(3) for label in np.unique(np.asarray(dataset.native(index)[1]))}
        assert seen == {"background", *trees.PARTS}


def test_pictures_may_be_larger_than_their_label_maps_but_not_of_another_shape(root):
    image, labels = CelebAMaskHQ(root, SIZE, "train", "official").native(0)
    assert (image.size, labels.size) == ((128, 128), (64, 64))
    Image.new("RGB", (128, 64)).save(root / "CelebA-HQ-img/0.jpg")
    complaint(root, "0.jpg", "0.png", "must agree")


def test_a_mirror_exchanges_the_left_and_right_of_eyes_brows_and_ears():
    assert [(NAMES[one], NAMES[other]) for one, other in SWAPS] == [("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear")]


@pytest.mark.parametrize(
    ("original", "split"),
    [(0, "train"), (162_770, "train"), (162_771, "val"), (182_637, "val"), (182_638, "test"), (202_598, "test")],
)
def test_the_official_split_goes_by_a_faces_number_in_celeba(root, original, split):
    path = root / "CelebA-HQ-to-CelebA-mapping.txt"
    lines = path.read_text().splitlines()
    lines[2] = f"1 {original} x.jpg"  # the second face
    path.write_text("\n".join(lines))
    assert 1 in numbers(root, split)


def test_the_other_split_goes_by_a_faces_number_here(root):
    assert numbers(root, "train", "first_28000") == [0, 1, 2]
    assert numbers(root, "val", "first_28000") == numbers(root, "test", "first_28000") == list(range(28_000, 28_006))


def test_faces_come_in_the_order_of_their_numbers(root):
    (root / "CelebA-HQ-img/2.jpg").rename(root / "CelebA-HQ-img/10.jpg")
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text(
        "idx orig_idx orig_file\n" + "".join(f"{k} {k} x\n" for k in range(30_000))
    )
    for path in (root / "CelebAMask-HQ-mask-anno/0").glob("00002_*"):
        path.rename(path.with_name(path.name.replace("00002", "00010")))
    assert numbers(root, "train")[:3] == [0, 1, 10]


def test_labels_that_are_not_merged_yet_are_named_with_the_command(raw):
    complaint(raw, "0.png", "merged", f"semflow data prepare celebamask_hq {raw}")


def test_stamp_and_fingerprint_are_the_same_before_and_after_merging(raw):
    before = CelebAMaskHQ(raw, SIZE, "train", "official")
    told = before.stamp(), before.fingerprint()
    prepare("celebamask_hq", raw)
    after = CelebAMaskHQ(raw, SIZE, "train", "official")
    assert (after.stamp(), after.fingerprint()) == told


def test_stamp_sees_a_part_that_is_gone_and_one_of_another_split_does_not_matter(root):
    train, val = (CelebAMaskHQ(root, SIZE, split, "official").stamp() for split in ("train", "val"))
    (root / "CelebAMask-HQ-mask-anno/0/00001_nose.png").unlink()
    assert CelebAMaskHQ(root, SIZE, "train", "official").stamp() != train
    assert CelebAMaskHQ(root, SIZE, "val", "official").stamp() == val


def test_faces_without_any_part_are_counted_and_the_first_is_named(root):
    for face in (1, 2):
        for path in (root / "CelebAMask-HQ-mask-anno/0").glob(f"{face:05d}_*"):
            path.unlink()
    complaint(root, "2 of 3 faces", "the first is 1", root / "CelebAMask-HQ-mask-anno")


def test_one_face_without_any_part_is_named(root):
    for path in (root / "CelebAMask-HQ-mask-anno/0").glob("00001_*"):
        path.unlink()
    complaint(root, "1 of 3 faces has not one part", "the first is 1")


def test_images_without_annotations_are_named(raw):
    (raw / "CelebAMask-HQ-mask-anno").rename(raw / "elsewhere")
    complaint(raw, raw / "CelebAMask-HQ-mask-anno", "no annotations", "semflow data check celebamask_hq")


def test_the_folder_that_the_archive_makes_is_found(trees, tmp_path):
    trees.celebamask_hq_tree(tmp_path / "CelebAMask-HQ", 2, merged=True)
    assert len(CelebAMaskHQ(tmp_path, SIZE, "train", "official")) == 2


def test_a_missing_mapping_is_named(root):
    (root / "CelebA-HQ-to-CelebA-mapping.txt").unlink()
    complaint(root, "CelebA-HQ-to-CelebA-mapping.txt", "CelebAMask-HQ.zip")
    assert numbers(root, "train", "first_28000") == [0, 1, 2]


@pytest.mark.parametrize("text", ["idx\n0\n", "idx\nzero one two\n", "idx\n\xff\n"])
def test_a_mapping_of_another_form_is_named(root, text):
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_bytes(text.encode("latin-1"))
    complaint(root, "CelebA-HQ-to-CelebA-mapping.txt")


def test_a_mapping_that_lacks_a_face_is_named(root):
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("idx orig_idx orig_file\n0 5 6.jpg\n")
    complaint(root, "CelebA-HQ-to-CelebA-mapping.txt", "lacks the face 1 ")


def test_a_split_without_a_face_is_named(root):
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("i o f\n" + "".join(f"{k} 0 x\n" for k in range(30_000)))
    complaint(root, "none of the faces", "val", split="val")


def test_there_is_no_fourth_split(root):
    complaint(root, "night", "train, val, test", split="night")
