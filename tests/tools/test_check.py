"""What `semflow data check` says of whole, small, partial and damaged trees."""

import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from semflow import cli
from semflow.data import OFFICIAL
from semflow.errors import SemFlowError
from semflow.tools.check import check
from semflow.tools.prepare import prepare

N = 3


@pytest.fixture
def tree(trees, tmp_path):
    """Makes a tree of a data set, faces merged."""

    def make(name):
        options = {"merged": True} if name == "celebamask_hq" else {}
        return getattr(trees, f"{name}_tree")(tmp_path / name, N, **options)

    return make


@pytest.fixture
def run(capsys):
    def call(*words):
        with pytest.raises(SystemExit) as end:
            cli.main([str(word) for word in ("data", *words)])
        said = capsys.readouterr()
        return end.value.code, said.out, [line for line in said.err.splitlines() if line.startswith("semflow: ")]

    return call


def problems(name, root, **options):
    found = check(name, root, subset=True, **options).problems
    assert not any("\n" in sentence for sentence in found)
    return found


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_small_tree_is_right_if_it_is_meant(tree, run, name):
    root = tree(name)
    status, out, wrong = run("check", name, root, "--subset")
    assert (status, wrong) == (0, [])
    for split, official in OFFICIAL[name].counts.items():
        assert f"{split}: 3 images, 3 annotations, 3 pairs; officially {official:,}" in out
    assert all(source in out for source in OFFICIAL[name].sources)
    assert OFFICIAL[name].licence in out


@pytest.mark.parametrize("name", OFFICIAL)
def test_other_than_the_official_numbers_are_a_problem_for_each_split(tree, run, name):
    status, _, wrong = run("check", name, tree(name))
    assert status == 1
    assert len(wrong) == len(OFFICIAL[name].counts)
    assert all("there are 3 images, officially" in sentence and "--subset" in sentence for sentence in wrong)


def test_the_official_numbers_are_said_to_be_so(tree, monkeypatch):
    monkeypatch.setitem(OFFICIAL, "cityscapes", replace(OFFICIAL["cityscapes"], counts={"train": N, "val": N}))
    report = check("cityscapes", tree("cityscapes"))
    assert report.problems == []
    assert "train: 3 images, 3 annotations, 3 pairs; as officially" in report.lines


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_missing_folder_says_where_to_get_the_data(run, tmp_path, name):
    status, out, wrong = run("check", name, tmp_path / "nowhere")
    assert status == 1
    assert wrong
    assert all("no images" in sentence for sentence in wrong)
    assert all(source in out for source in OFFICIAL[name].sources)


@pytest.mark.parametrize("name", OFFICIAL)
def test_no_problem_sends_to_the_command_that_tells_it(tmp_path, name):
    found = problems(name, tmp_path)
    assert found
    assert all("the lines above say where to get it" in sentence for sentence in found)
    assert not any("semflow data check" in sentence for sentence in found)


def test_sizes_and_classes_are_those_of_the_files(tree):
    lines = check("coco_stuff", tree("coco_stuff"), subset=True).lines
    assert "  sizes: 128 x 96 (2), 96 x 128 (1) in 3 pictures" in lines
    assert any(line.startswith("  classes: 10 of 171 in 3 label maps; not in these: car, motorcycle,") for line in lines)


def test_everything_that_is_wrong_is_listed(tree):
    root = tree("coco_stuff")
    labels = sorted((root / "annotations/train2017").iterdir())
    Image.new("L", (1, 1)).save(labels[0])
    Image.new("L", Image.open(labels[1]).size, 200).save(labels[1])
    labels[2].write_bytes(labels[2].read_bytes()[:60])
    (root / "val2017/000000000140.jpg").unlink()
    found = problems("coco_stuff", root)
    assert [
        word in sentence for word, sentence in zip(("1 of 3 annotations", "agree", "200", "damaged"), found, strict=True)
    ] == [True] * 4


def test_pictures_that_exif_turns_and_not_their_labels_are_told_and_counted(tree):
    root, exif = tree("coco_stuff"), Image.Exif()
    exif[0x0112] = 3
    paths = sorted((root / "train2017").iterdir())
    for path in paths[:2]:
        Image.open(path).save(path, exif=exif)
    labels = root / f"annotations/train2017/{paths[1].stem}.png"
    Image.open(labels).save(labels, exif=exif)
    report = check("coco_stuff", root, subset=True)
    (line,) = [line for line in report.lines if "orientation" in line]
    assert line.startswith("  orientation: EXIF turns 1 pictures and not their labels")
    assert line.endswith(str(paths[0]))


def test_a_picture_that_exif_lays_on_its_side_is_said_to_be_so_where_sizes_differ(tree):
    root, exif = tree("coco_stuff"), Image.Exif()
    exif[0x0112] = 6
    path = sorted((root / "train2017").iterdir())[0]
    Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    (sentence,) = problems("coco_stuff", root)
    assert "must agree" in sentence
    assert "EXIF orientation turns" in sentence


def test_odd_files_that_hide_nothing_are_right(tree):
    """Such as COCO's 000000320612.jpg, which is a PNG."""
    root = tree("coco_stuff")
    png, grey = sorted((root / "train2017").iterdir())[:2]
    Image.open(png).convert("RGBA").save(png, format="PNG")
    Image.open(grey).convert("L").save(grey)
    assert problems("coco_stuff", root) == []


def test_label_maps_that_are_jpegs_are_named(tree):
    root = tree("coco_stuff")
    path = sorted((root / "annotations/train2017").iterdir())[0]
    Image.open(path).save(path, format="JPEG")
    (sentence,) = problems("coco_stuff", root)
    assert f"{path} is JPEG, which may change labels" in sentence


def test_problems_of_one_kind_are_not_listed_without_end(trees, tmp_path):
    root = trees.coco_stuff_tree(tmp_path / "coco", 15)
    for path in (root / "train2017").iterdir():
        path.write_bytes(b"")
    found = problems("coco_stuff", root)
    assert len(found) == 13
    assert found[-1] == "train: 3 more pairs like these are wrong"


def test_only_some_pairs_are_read_unless_all_are_asked_for(trees, tmp_path, monkeypatch):
    monkeypatch.setattr("semflow.tools.check.PAIRS_READ", 2)
    root = trees.cityscapes_tree(tmp_path / "city", N)
    sorted((root / "leftImg8bit/val").rglob("*.png"))[1].write_bytes(b"")
    assert problems("cityscapes", root) == []
    assert len(problems("cityscapes", root, everything=True)) == 1


def test_all_pairs_of_photographs_are_looked_into_at_300_a_second_on_two_cores(trees, tmp_path):
    root, rng = trees.coco_stuff_tree(tmp_path / "coco", 40), np.random.RandomState(0)
    for split in ("train", "val"):
        for path in (root / f"{split}2017").iterdir():
            blobs = np.asarray(trees.photograph(rng, 480, 640)).astype(int) + rng.randint(-12, 13, (480, 640, 3))
            Image.fromarray(blobs.clip(0, 255).astype(np.uint8)).save(path, quality=90)
            trees.label_map(rng, trees.COCO_IDS, 480, 640).save(root / f"annotations/{split}2017/{path.stem}.png")
    started = time.process_time()
    assert problems("coco_stuff", root, everything=True) == []
    assert 80 / (time.process_time() - started) > 300 / 2  # a second of the processor


def test_label_maps_that_are_not_made_are_counted_with_the_command(trees, tmp_path):
    root = trees.celebamask_hq_tree(tmp_path / "celeba", N)
    found = problems("celebamask_hq", root)
    assert len(found) == 3
    assert all("3 of 3 label maps" in sentence and f"semflow data prepare celebamask_hq {root}" in sentence for sentence in found)


@pytest.mark.parametrize(("bare", "counted"), [([1], "1 of 3 faces has"), ([0, 2], "2 of 3 faces have")])
def test_faces_without_skin_are_counted_and_the_first_is_named_but_they_are_no_problem(trees, tmp_path, bare, counted):
    root = trees.celebamask_hq_tree(tmp_path / "celeba", N)
    for face in bare:
        (root / f"CelebAMask-HQ-mask-anno/0/0000{face}_skin.png").unlink()
    prepare("celebamask_hq", root)
    report = check("celebamask_hq", root, subset=True)
    assert f"note: train: {counted} parts but no skin, the first is {bare[0]}; theirs is background" in report.lines
    assert report.problems == []


def test_a_label_map_that_is_not_what_its_parts_merge_to_is_named(tree):
    root = tree("celebamask_hq")
    (root / "CelebAMask-HQ-mask-anno/0/00001_nose.png").unlink()
    (sentence,) = problems("celebamask_hq", root)
    assert "CelebAMask-HQ-labels/1.png" in sentence


def test_a_half_downloaded_archive_is_named_and_a_whole_one_mentioned(tree):
    root = tree("cityscapes")
    (root / "gtFine_trainvaltest.zip").write_bytes(b"PK\x03\x04 half")
    (root / "leftImg8bit_trainvaltest.zip").write_bytes(b"PK\x05\x06" + bytes(18))  # an empty zip
    report = check("cityscapes", root, subset=True)
    assert [("gtFine_trainvaltest.zip" in sentence, "half downloaded" in sentence) for sentence in report.problems] == [
        (True, True)
    ]
    assert any("leftImg8bit_trainvaltest.zip lies there" in line for line in report.lines)


def test_the_contact_sheet_has_a_row_a_split_of_pictures_beside_overlays(tree, run, tmp_path):
    root, out = tree("cityscapes"), tmp_path / "new/sheet.png"
    assert run("check", "cityscapes", root, "--subset", "--size", 20, 30, "--out", out)[0] == 0
    with Image.open(out) as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape[1] == 6 * (30 + 4) - 4
    assert pixels.shape[0] > 2 * (20 + 4)
    first = sorted((root / "leftImg8bit/train").rglob("*.png"))[0]
    squeezed = np.asarray(Image.open(first).resize((30, 20), Image.Resampling.BOX))
    assert np.array_equal(pixels[:20, :30], squeezed)
    assert not np.array_equal(pixels[:20, 34:64], squeezed)


def test_without_a_readable_pair_there_is_no_sheet(trees, tmp_path):
    found = problems("celebamask_hq", trees.celebamask_hq_tree(tmp_path / "celeba", N), out=tmp_path / "sheet.png")
    assert "no contact sheet" in found[-1]
    assert not (tmp_path / "sheet.png").exists()


def test_a_sheet_that_is_no_png_is_refused(tree, tmp_path):
    with pytest.raises(SemFlowError, match=r"sheet\.jpg must end in \.png"):
        check("cityscapes", tree("cityscapes"), subset=True, out=tmp_path / "sheet.jpg")


def test_label_maps_that_cannot_be_read_are_not_counted_among_those_that_were(tree):
    root = tree("coco_stuff")
    damaged = sorted((root / "annotations/train2017").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:60])
    report = check("coco_stuff", root, subset=True)
    assert [line.endswith("in 2 pictures") for line in report.lines if "sizes" in line] == [True, False]
    assert [str(damaged) in problem for problem in report.problems] == [True]
