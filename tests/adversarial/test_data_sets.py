"""Data sets as people have them: other places, names, encodings, lists, archives. Each is read right, or refused."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from preparing import complaint as complaint_of_prepare
from preparing import zipped

from semflow import cli, files
from semflow.data import open_dataset
from semflow.data.camvid import CamVid
from semflow.data.celebamask_hq import CelebAMaskHQ
from semflow.data.cityscapes import LABEL_IDS, Cityscapes
from semflow.data.coco_stuff import CocoStuff
from semflow.data.folder import Settings, described, facts, find, opened, reader_of
from semflow.data.folders import pairs_of
from semflow.data.sample import check_split
from semflow.errors import SemFlowError
from semflow.suite import reading
from semflow.tools.check import check
from semflow.tools.init import Machine, init
from semflow.tools.prepare import prepare

ROOT, SIZE = Path(__file__).resolve().parents[2], (16, 16)
NAMES = ("sky", "left arm", "right arm")
LAPTOP, SERVER = Machine(2, 8 * 10**9, 0), Machine(16, 64 * 10**9, 80 * 10**9)


def refusal(act, *named: object) -> str:
    """The sentence that an act ends in; it names all of these."""
    with pytest.raises(SemFlowError) as error:
        act()
    text = str(error.value)
    assert "\n" not in text
    assert [str(word) for word in named if str(word) not in text] == []
    return text


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


# Lists


FRAMES = [f"Seq05VD_f{number:05d}" for number in range(10)]


@pytest.fixture
def camvid(tmp_path) -> Path:
    """Ten frames, road below sky."""
    root, labels = tmp_path / "CamVid", np.repeat([0, 3], 8)[:, None].repeat(16, 1).astype(np.uint8)
    for number, frame in enumerate(FRAMES):
        save(root / f"train/{frame}.png", np.full((16, 16, 3), number, np.uint8))
        save(root / f"trainannot/{frame}.png", labels)
    (root / "train.txt").write_text(lines_of())
    return root


def lines_of(frames=FRAMES, start="/SegNet/CamVid/", end="\n") -> str:
    return "".join(f"{start}train/{frame}.png {start}trainannot/{frame}.png{end}" for frame in frames)


ODD_LISTS = {
    "a byte order mark": "\ufeff" + lines_of(),
    "lines as in DOS": lines_of(end="\r\n"),
    "no end of the last line": lines_of().rstrip("\n"),
    "empty lines and spaces": lines_of(end="  \n\n \n"),
    "the slashes of Windows": lines_of(start="C:/SegNet/").replace("/", "\\"),
    "relative names": lines_of(start=""),
    "names from above": lines_of(start="../../data/CamVid/"),
}


@pytest.mark.parametrize("kind", ODD_LISTS)
def test_a_list_written_another_way_names_the_same_pictures(camvid, kind):
    expected = CamVid(camvid, SIZE, "train").pairs
    (camvid / "train.txt").write_bytes(ODD_LISTS[kind].encode())
    assert CamVid(camvid, SIZE, "train").pairs == expected


@pytest.mark.parametrize("share", np.linspace(0.02, 0.98, 20))
@pytest.mark.parametrize("whole", [0, 4, 9])
def test_a_list_cut_off_within_a_line_is_refused_with_that_line(camvid, whole, share):
    lines = lines_of().splitlines(keepends=True)
    (camvid / "train.txt").write_text("".join(lines[:whole]) + lines[whole][: int(share * len(lines[whole]))])
    refusal(lambda: CamVid(camvid, SIZE, "train"), f"train.txt, line {whole + 1}")


@pytest.mark.parametrize(("first", "again"), [(0, 1), (0, 9), (4, 4)])
def test_a_picture_listed_twice_is_refused_with_both_lines(camvid, first, again):
    frames = [*FRAMES[:again], FRAMES[first], *FRAMES[again:]]
    (camvid / "train.txt").write_text(lines_of(frames))
    lines = [number for number, frame in enumerate(frames, 1) if frame == FRAMES[first]]
    refusal(lambda: CamVid(camvid, SIZE, "train"), f"{FRAMES[first]}.png is listed twice, in lines {lines[0]} and {lines[1]}")


def test_labels_listed_for_two_pictures_are_refused(camvid):
    text = lines_of().replace(f"trainannot/{FRAMES[1]}", f"trainannot/{FRAMES[0]}")
    (camvid / "train.txt").write_text(text)
    refusal(
        lambda: CamVid(camvid, SIZE, "train"), "train.txt, line 2", f"trainannot/{FRAMES[0]}.png has another name than its image"
    )


@pytest.mark.parametrize("name", ["train/..", "../secret.png", "..\\secret.png", "/a/../secret.png", "x/\0.png", "C:secret.png"])
def test_a_list_that_leads_out_of_its_folder_is_refused(camvid, name):
    save(camvid.parent / "secret.png", np.zeros((16, 16, 3), np.uint8))
    (camvid / "train.txt").write_text(f"{name} trainannot/{FRAMES[0]}.png\n")
    refusal(lambda: CamVid(camvid, SIZE, "train"), "train.txt, line 1", "leads out")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_list_in_another_encoding_is_refused(camvid, encoding):
    (camvid / "train.txt").write_bytes(lines_of(start="/ä/").encode(encoding))
    refusal(lambda: CamVid(camvid, SIZE, "train"), "train.txt", "UTF-8")


@pytest.mark.parametrize("how_many", [1, 10])
def test_camvid_counted_from_1_is_refused(camvid, how_many):
    for frame in FRAMES[:how_many]:
        rows = [0, 1, 1, 2, 2, 2, 4, 4]  # void, sky, building, road, which count from 1
        save(camvid / f"trainannot/{frame}.png", np.repeat(rows, 2)[:, None].repeat(16, 1).astype(np.uint8))
    (camvid / "train.txt").write_text(lines_of(FRAMES[:how_many]))
    refusal(lambda: CamVid(camvid, SIZE, "train"), "count from 1", "pole", "road")


@pytest.mark.parametrize("first", [0, 3, 8])
def test_a_list_that_pairs_images_with_one_anothers_labels_is_refused(camvid, first):
    swapped = [*FRAMES]
    swapped[first : first + 2] = swapped[first + 1], swapped[first]
    pairs = zip(FRAMES, swapped, strict=True)
    (camvid / "train.txt").write_text("".join(f"train/{image}.png trainannot/{labels}.png\n" for image, labels in pairs))
    refusal(lambda: CamVid(camvid, SIZE, "train"), f"line {first + 1}", f"{swapped[first]}.png has another name than its image")


def test_labels_may_have_the_ending_that_they_were_first_published_with(camvid):
    for frame in FRAMES:
        (camvid / f"trainannot/{frame}.png").rename(camvid / f"trainannot/{frame}_L.png")
    (camvid / "train.txt").write_text("".join(f"train/{frame}.png trainannot/{frame}_L.png\n" for frame in FRAMES))
    assert len(CamVid(camvid, SIZE, "train")) == len(FRAMES)


# What is evaluated on must not be what was trained on


def camvid_val(root: Path) -> None:
    (root / "val.txt").write_text((root / "train.txt").read_text())


def camvid_copies(root: Path) -> None:
    for kind in ("", "annot"):
        shutil.copytree(root / f"train{kind}", root / f"val{kind}")
    (root / "val.txt").write_text((root / "train.txt").read_text().replace("train", "val"))


def replaced(*folders: tuple[str, str], link: bool = False):
    """A change that puts copies of folders, or links to them, in the place of others."""

    def change(root: Path) -> None:
        for old, new in folders:
            shutil.rmtree(root / new)
            if link:
                (root / new).symlink_to(root / old)
            else:
                shutil.copytree(root / old, root / new)

    return change


def one_link(old: str, new: str):
    def change(root: Path) -> None:
        (root / new).unlink()
        (root / new).symlink_to(root / old)

    return change


COCO_FOLDERS = ("train2017", "val2017"), ("annotations/train2017", "annotations/val2017")
CITY_FOLDERS = ("leftImg8bit/train", "leftImg8bit/val"), ("gtFine/train", "gtFine/val")
OWN_FOLDERS = ("images/train", "images/val"), ("labels/train", "labels/val")
SHARED = {
    "camvid, one list": ("camvid", camvid_val, 10),
    "camvid, copies": ("camvid", camvid_copies, 10),
    "coco, copies": ("coco_stuff", replaced(*COCO_FOLDERS), 2),
    "coco, linked folders": ("coco_stuff", replaced(*COCO_FOLDERS, link=True), 2),
    "coco, a link": ("coco_stuff", one_link("train2017/000000000139.jpg", "val2017/000000000140.jpg"), 1),
    "cityscapes, copies": ("cityscapes", replaced(*CITY_FOLDERS), 2),
    "cityscapes, linked folders": ("cityscapes", replaced(*CITY_FOLDERS, link=True), 2),
    "faces, a link": ("celebamask_hq", one_link("CelebA-HQ-img/0.jpg", "CelebA-HQ-img/28000.jpg"), 1),
    "own, linked folders": ("own", replaced(*OWN_FOLDERS, link=True), 6),
    "own, a link": ("own", one_link("images/train/0.jpg", "images/val/1.jpg"), 1),
}
OPENED = {
    "camvid": lambda root: CamVid(root, SIZE, "val"),
    "coco_stuff": lambda root: CocoStuff(root, SIZE, "val"),
    "cityscapes": lambda root: Cityscapes(root, SIZE, "val"),
    "celebamask_hq": lambda root: CelebAMaskHQ(root, SIZE, "val", "official"),
    "own": lambda root: opened(section(root), "val"),
}


@pytest.mark.parametrize("kind", SHARED)
def test_an_evaluation_on_images_that_are_trained_on_too_does_not_open(request, trees, tmp_path, kind):
    name, change, shared = SHARED[kind]
    root = request.getfixturevalue(name) if name in ("camvid", "own") else getattr(trees, f"{name}_tree")(tmp_path / name, 2)
    change(root)
    said = refusal(lambda: OPENED[name](root), f"val: {shared} of", "in the train split too, the first is")
    assert said in check({"own": "folder"}.get(name, name), root, subset=True).problems


def test_images_of_one_name_in_two_folders_of_ones_own_may_be_two_images(own):
    assert len(OPENED["own"](own)) == 3


def test_a_split_is_evaluated_on_where_that_to_train_with_is_not_there(trees, tmp_path):
    root = trees.coco_stuff_tree(tmp_path / "coco", 2)
    for folder, _ in COCO_FOLDERS:
        shutil.rmtree(root / folder)
    assert len(OPENED["coco_stuff"](root)) == 2


# Places and names


def moved(root: Path, moves: dict[str, str]) -> Path:
    """The tree with folders in other places, all of them at once."""
    for number, old in enumerate(moves):
        (root / old).rename(root / f"moving-{number}")
    for number, new in enumerate(moves.values()):
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        if (root / new).exists():
            shutil.copytree(root / f"moving-{number}", root / new, dirs_exist_ok=True)
            shutil.rmtree(root / f"moving-{number}")
        else:
            (root / f"moving-{number}").rename(root / new)
    if (root / "annotations").is_dir() and not any((root / "annotations").iterdir()):
        (root / "annotations").rmdir()
    return root


COCO_PLACES = {
    "maps unpacked in place": {f"annotations/{split}2017": f"{split}2017" for split in ("train", "val")},
    "maps in stuffthingmaps": {f"annotations/{split}2017": f"stuffthingmaps/{split}2017" for split in ("train", "val")},
    "maps beside the JSON of instances": {
        f"annotations/{split}2017": f"annotations/stuffthingmaps/{split}2017" for split in ("train", "val")
    },
    "images in images": {f"{split}2017": f"images/{split}2017" for split in ("train", "val")},
    "images one folder deeper": {f"{split}2017": f"{split}2017/{split}2017" for split in ("train", "val")},
    "images deeper, in images": {f"{split}2017": f"images/{split}2017/{split}2017" for split in ("train", "val")},
}


@pytest.mark.parametrize("kind", COCO_PLACES)
def test_coco_is_found_where_its_archives_put_it(trees, tmp_path, kind):
    root = trees.coco_stuff_tree(tmp_path / "coco", 2)
    expected = [CocoStuff(root, SIZE, split).fingerprint() for split in ("train", "val")]
    moved(root, COCO_PLACES[kind])
    assert [CocoStuff(root, SIZE, split).fingerprint() for split in ("train", "val")] == expected


@pytest.mark.parametrize("kind", ["leftImg8bit", "gtFine"])
def test_cityscapes_is_found_in_a_folder_named_after_its_archive(trees, tmp_path, kind):
    root = trees.cityscapes_tree(tmp_path / "city", 2)
    expected = Cityscapes(root, SIZE, "val").fingerprint()
    (root / "one").mkdir()
    (root / kind).rename(root / "one" / kind)
    zipped(root / f"{kind}_trainvaltest.zip", root / "one")
    (root / "one").rename(root / f"{kind}_trainvaltest")
    prepare("cityscapes", root)
    assert not (root / kind).exists()
    assert Cityscapes(root, SIZE, "val").fingerprint() == expected


@pytest.mark.parametrize("above", ["CelebAMask-HQ", "CelebAMask-HQ/CelebAMask-HQ"])
def test_faces_are_found_in_the_folder_of_their_archive(trees, tmp_path, above):
    trees.celebamask_hq_tree(tmp_path / "faces" / above, 2, merged=True)
    assert len(CelebAMaskHQ(tmp_path / "faces", SIZE, "val", "official")) == 2


def test_maps_in_two_places_are_refused_with_both(trees, tmp_path):
    root = trees.coco_stuff_tree(tmp_path / "coco", 2)
    shutil.copytree(root / "annotations/train2017", root / "stuffthingmaps/train2017")
    refusal(lambda: CocoStuff(root, SIZE, "train"), root / "annotations/train2017", root / "stuffthingmaps/train2017")


def test_one_place_under_two_names_is_one_place(trees, tmp_path):
    root = trees.coco_stuff_tree(tmp_path / "coco", 2)
    (root / "images").symlink_to(root)
    assert len(CocoStuff(root, SIZE, "train")) == 2


def test_an_archive_of_maps_that_were_unpacked_in_place_is_not_unpacked_again(trees, tmp_path):
    root = trees.coco_stuff_tree(tmp_path / "coco", 2)
    zipped(root / "stuffthingmaps_trainval2017.zip", root / "annotations")
    moved(root, COCO_PLACES["maps unpacked in place"])
    prepare("coco_stuff", root)
    assert not (root / "annotations").exists()


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".JPEG", ".Jpg"])
@pytest.mark.parametrize("name", ["coco_stuff", "celebamask_hq"])
def test_a_photograph_is_one_however_its_suffix_is_written(trees, tmp_path, name, suffix):
    root = getattr(trees, f"{name}_tree")(tmp_path / name, 2)
    for path in [*root.rglob("*.jpg")]:
        path.rename(path.with_suffix(suffix))
    if name == "celebamask_hq":
        prepare(name, root)
    report = check(name, root, subset=True)
    assert report.problems == []
    assert "train: 2 images, 2 annotations, 2 pairs" in "\n".join(report.lines)


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg"])
def test_two_files_of_one_name_are_refused_with_both(trees, tmp_path, suffix):
    root = trees.coco_stuff_tree(tmp_path / "coco", 2)
    path = sorted((root / "train2017").iterdir())[0]
    shutil.copy(path, path.with_suffix(suffix))
    refusal(lambda: CocoStuff(root, SIZE, "train"), path, path.with_suffix(suffix))


@pytest.mark.parametrize("name", ["coco_stuff", "celebamask_hq", "cityscapes"])
def test_images_of_another_format_are_named_where_none_is_found(trees, tmp_path, name):
    root = getattr(trees, f"{name}_tree")(tmp_path / name, 2)
    for path in [path for path in root.rglob("*") if path.suffix in (".jpg", ".png") and "anno" not in str(path.parent)]:
        if "gtFine" not in str(path):
            path.rename(path.with_suffix(".webp"))
    found = " ".join(check(name, root, subset=True).problems)
    assert ".webp" in found or ("aachen/" in found and "_leftImg8bit.png" in found)


def test_what_lies_one_folder_deeper_is_named(trees, tmp_path):
    trees.cityscapes_tree(tmp_path / "data/Cityscapes", 2)
    refusal(lambda: Cityscapes(tmp_path / "data", SIZE, "train"), f"{tmp_path / 'data'} holds Cityscapes/", "<city>/")


@pytest.mark.parametrize("name", ["camvid", "coco_stuff", "celebamask_hq", "cityscapes", "folder"])
def test_a_missing_folder_is_said_to_be_missing_and_nothing_is_counted(capsys, tmp_path, name):
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "check", name, str(tmp_path / "nowhere")])
    said = capsys.readouterr()
    assert end.value.code in (1, 2)
    assert f"there is no folder {tmp_path / 'nowhere'}" in said.err
    assert not re.search(r"\b0 (images|pairs)", said.out)


# Where data lie


def camvid_suite(root: str) -> dict:
    return {"name": "camvid", "root": root, "size": [16, 16]}


@pytest.mark.parametrize("written", ["~/CamVid", "$HOME/CamVid", "${HOME}/CamVid", "$DATA/CamVid"])
def test_a_root_may_begin_at_home(camvid, monkeypatch, mini, written):
    monkeypatch.delenv("SEMFLOW_DATA", raising=False)
    for name in ("HOME", "DATA"):
        monkeypatch.setenv(name, str(camvid.parent))
    suite = reading.check(mini | {"data": camvid_suite(written)}, "suite")
    assert len(open_dataset(suite.data, "train")) == 10


def test_a_variable_that_is_not_set_is_named_as_it_stands(monkeypatch, mini):
    monkeypatch.delenv("NO_SUCH_PLACE", raising=False)
    monkeypatch.delenv("SEMFLOW_DATA", raising=False)
    suite = reading.check(mini | {"data": camvid_suite("$NO_SUCH_PLACE/CamVid")}, "suite")
    refusal(lambda: open_dataset(suite.data, "train"), "data.root", "$NO_SUCH_PLACE/CamVid")


@pytest.mark.parametrize("wrong", ["nowhere", "~/nowhere", "a_file"])
def test_an_environment_that_names_no_folder_is_refused_when_a_suite_is_read(monkeypatch, tmp_path, mini, wrong):
    (tmp_path / "a_file").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEMFLOW_DATA", wrong)
    refusal(lambda: reading.check(mini | {"data": camvid_suite("x")}, "suite"), "SEMFLOW_DATA", wrong)


# Faces


@pytest.fixture
def faces(trees, tmp_path) -> Path:
    return trees.celebamask_hq_tree(tmp_path / "faces", 2)


@pytest.fixture
def mapping(faces) -> Path:
    return faces / "CelebA-HQ-to-CelebA-mapping.txt"


def numbers(root: Path, split: str) -> list[int]:
    return [int(Path(image).stem) for image, _ in CelebAMaskHQ(root, SIZE, split, "official").pairs]


@pytest.mark.parametrize("name", ["00000_Hair.png", "00000_hairs.png", "00000_background.png", "0_hair.png", "Thumbs.png"])
def test_a_png_that_is_no_part_is_noted_and_changes_nothing(faces, name):
    parts, before = faces / "CelebAMask-HQ-mask-anno/0", numbers(faces, "train")
    (parts / "00000_hair.png").unlink(missing_ok=True)
    Image.new("L", (8, 8), 255).save(parts / name)
    (note,) = [line for line in check("celebamask_hq", faces, subset=True).lines if "no part by their names" in line]
    assert f"the first is {name}" in note
    assert numbers(faces, "train") == before


@pytest.mark.parametrize("end", ["_Hair.png", "_hair.PNG", "_hair (1).png", "_hair - Copy.png"])
def test_a_part_that_is_there_twice_is_refused_with_both(faces, end):
    parts = faces / "CelebAMask-HQ-mask-anno/0"
    for name in ("00000_hair.png", f"00000{end}"):
        Image.new("L", (8, 8), 255).save(parts / name)
    refusal(lambda: numbers(faces, "train"), f"00000{end}", "00000_hair.png", "one part of one face")
    assert any("one part of one face" in problem for problem in check("celebamask_hq", faces, subset=True).problems)


def test_a_mapping_without_face_0_is_refused(faces, mapping):
    lines = mapping.read_text().splitlines()
    mapping.write_text("\n".join([lines[0], *lines[2:]]))
    refusal(lambda: numbers(faces, "train"), mapping, "no face 0")


SAME_MAPPINGS = {
    "no line of titles": lambda text: text.partition("\n")[2],
    "a byte order mark": lambda text: "\ufeff" + text,
    "a byte order mark, no titles": lambda text: "\ufeff" + text.partition("\n")[2],
    "lines as in DOS": lambda text: text.replace("\n", "\r\n"),
    "tabulators": lambda text: re.sub(" +", "\t", text),
    "another order": lambda text: text.splitlines()[0] + "\n" + "\n".join(text.splitlines()[:0:-1]),
}


@pytest.mark.parametrize("kind", SAME_MAPPINGS)
def test_a_mapping_written_another_way_makes_the_same_splits(faces, mapping, kind):
    expected = [numbers(faces, split) for split in ("train", "val", "test")]
    assert 0 in expected[0]
    mapping.write_bytes(SAME_MAPPINGS[kind](mapping.read_text()).encode())
    assert [numbers(faces, split) for split in ("train", "val", "test")] == expected


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()[1:]]


def table(lines: list[list[str]]) -> str:
    return "idx orig_idx orig_file\n" + "".join(" ".join(line) + "\n" for line in lines)


WRONG_MAPPINGS = {
    "faces counted from 1": (lambda text: table([[str(int(a) + 1), b, c] for a, b, c in rows(text)]), "face 0"),
    "CelebA counted from 1": (lambda text: table([[a, str(int(b) + 1), c] for a, b, c in rows(text)]), "line 2"),
    "a line twice": (lambda text: text + " ".join(rows(text)[1]) + "\n", "face 1 is there twice, in lines 3 and 8"),
    "the first line lost": (lambda text: table(rows(text)[1:]), "face 0"),
    "a column lost": (lambda text: table([[a, b] for a, b, _ in rows(text)]), "line 2"),
    "commas": (lambda text: "\n".join(",".join(line) for line in rows(text)), "line 2"),
}


@pytest.mark.parametrize("kind", WRONG_MAPPINGS)
def test_a_mapping_that_says_something_else_is_refused(faces, mapping, kind):
    change, named = WRONG_MAPPINGS[kind]
    mapping.write_text(change(mapping.read_text()))
    refusal(lambda: numbers(faces, "train"), mapping, named)


@pytest.mark.parametrize("tenth", range(10))
def test_a_mapping_cut_off_anywhere_is_refused(faces, mapping, tenth):
    text = mapping.read_text()
    mapping.write_text(text[: len(text) * tenth // 10])
    refusal(lambda: numbers(faces, "train"), mapping)


def test_images_with_zeros_before_their_numbers_are_the_same_faces(faces):
    expected = [numbers(faces, split) for split in ("train", "val", "test")]
    for path in [*(faces / "CelebA-HQ-img").iterdir()]:
        path.rename(path.with_name(f"{int(path.stem):05d}.jpg"))
    prepare("celebamask_hq", faces)
    assert [numbers(faces, split) for split in ("train", "val", "test")] == expected
    assert check("celebamask_hq", faces, subset=True).problems == []


def test_one_face_with_and_without_zeros_is_refused_with_both(faces):
    images = faces / "CelebA-HQ-img"
    shutil.copy(images / "1.jpg", images / "00001.jpg")
    refusal(lambda: numbers(faces, "train"), images / "1.jpg", images / "00001.jpg")


# Ids that are not what the files' names say


@pytest.fixture
def streets(trees, tmp_path) -> Path:
    return trees.cityscapes_tree(tmp_path / "streets", 2)


def as_train_ids(root: Path, ignored: bool) -> None:
    """Write train ids under the names of label ids. ignored: whether some pixels are 255."""
    to_train = np.full(256, 255 if ignored else 0, np.uint8)
    to_train[list(LABEL_IDS)] = np.arange(19)
    for path in root.rglob("*_labelIds.png"):
        save(path, to_train[np.asarray(Image.open(path))])


@pytest.mark.parametrize("ignored", [True, False])
def test_cityscapes_train_ids_under_the_names_of_label_ids_are_said_to_be_that(streets, ignored):
    as_train_ids(streets, ignored)
    refusal(lambda: Cityscapes(streets, SIZE, "train")[0], "train ids")
    found = check("cityscapes", streets, subset=True).problems
    assert found
    assert all("train ids" in sentence for sentence in found)


def test_one_map_of_train_ids_among_others_is_named(streets):
    path = sorted(streets.rglob("*_labelIds.png"))[0]
    whole = path.read_bytes()
    as_train_ids(streets, True)
    wrong = path.read_bytes()
    for other in streets.rglob("*_labelIds.png"):
        other.write_bytes(whole)
    path.write_bytes(wrong)
    (sentence,) = check("cityscapes", streets, subset=True).problems
    assert str(path) in sentence
    assert "train ids" in sentence


def changed(root: Path, change) -> list[str]:
    """What a check says when every label map of COCO-Stuff is changed so."""
    for path in root.rglob("*.png"):
        save(path, change(np.asarray(Image.open(path))).astype(np.uint8))
    return check("coco_stuff", root, subset=True).problems


def test_coco_counted_from_1_is_refused(trees, tmp_path):
    root = trees.coco_stuff_tree(tmp_path / "coco", 8)
    found = changed(root, lambda labels: np.where(labels == 255, 0, labels + 1))
    assert found
    assert all("count from 1, or without gaps" in sentence for sentence in found if "more pairs" not in sentence)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda labels: np.where(labels == 255, 0, labels), "unlabelled pixel"),
        (lambda labels: labels * (labels != 181), "id above 170"),
    ],
    ids=["nothing unlabelled", "no late id"],
)
def test_many_maps_of_coco_without_what_all_its_parts_have_are_doubted(trees, tmp_path, change, named):
    found = changed(trees.coco_stuff_tree(tmp_path / "coco", 60), change)
    assert ["60 label maps have not one " + named in sentence for sentence in found] == [True, True]


# Archives


def with_member(root: Path, name: str, link: bool = False) -> Path:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777 if link else stat.S_IFREG | 0o644) << 16
    with zipfile.ZipFile(root / "train2017.zip", "a") as file:
        file.writestr(info, "../../secret" if link else "x")
    return root / "train2017.zip"


@pytest.fixture
def zips(trees, tmp_path) -> Path:
    """A tree of COCO whose training images are in an archive."""
    root = trees.coco_stuff_tree(tmp_path / "coco", 2)
    (root / "one").mkdir()
    (root / "train2017").rename(root / "one/train2017")
    zipped(root / "train2017.zip", root / "one")
    shutil.rmtree(root / "one")
    return root


OUT = (
    "/train2017/1.jpg",
    "../train2017/1.jpg",
    "train2017/../../1.jpg",
    "C:\\train2017\\1.jpg",
    "train2017\\..\\..\\1.jpg",
    "\\1.jpg",
)


@pytest.mark.parametrize("name", OUT)
def test_an_archive_that_leads_out_of_its_folder_writes_nothing(zips, name):
    path, before = with_member(zips, name), content(zips.parent)
    complaint_of_prepare("coco_stuff", zips, path, "leads out")
    assert {**before, "coco/train2017.zip": b""} == {**content(zips.parent), "coco/train2017.zip": b""}


@pytest.mark.parametrize("name", ["train2017/link.jpg", "other", "train2017\\link.jpg"])
def test_an_archive_with_a_link_writes_nothing(zips, name):
    path = with_member(zips, name, link=True)
    complaint_of_prepare("coco_stuff", zips, path, "link")
    assert not (zips / "train2017").exists()


@pytest.mark.parametrize("slash", ["/", "\\"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_a_file_twice_is_refused_with_both_names(zips, slash):
    path = with_member(zips, f"train2017{slash}000000000139.jpg")
    complaint_of_prepare("coco_stuff", zips, path, "train2017/000000000139.jpg", "one file")


@pytest.mark.parametrize("name", ["train2017/a.jpg/b.jpg", "train2017\\a.jpg\\b\\c.jpg"])
def test_an_archive_whose_member_is_both_a_file_and_a_folder_is_called_that(zips, name):
    with_member(zips, "train2017/a.jpg")
    said = complaint_of_prepare("coco_stuff", zips, with_member(zips, name), "'train2017/a.jpg' as a file and as a folder")
    assert "free space" not in said
    assert not (zips / "train2017").exists()


@pytest.mark.parametrize(("place", "value", "reason"), [(8, 1, "password"), (10, 9, "compression")])
def test_an_archive_that_is_packed_in_a_way_that_is_not_read_is_not_called_damaged(zips, place, value, reason):
    """place: in the archive's own list of members, of the flags (1: encrypted) and of the compression (9: deflate64)."""
    packed = bytearray((zips / "train2017.zip").read_bytes())
    for entry in re.finditer(rb"PK\x01\x02", bytes(packed)):
        packed[entry.start() + place] = value
    (zips / "train2017.zip").write_bytes(packed)
    said = complaint_of_prepare("coco_stuff", zips, zips / "train2017.zip", "cannot be unpacked here", reason)
    assert "damaged" not in said
    assert "fetch it again" not in said


def test_an_archive_with_the_slashes_of_windows_is_unpacked(zips):
    with zipfile.ZipFile(zips / "train2017.zip") as file:
        members = {info.filename: file.read(info) for info in file.infolist()}
    with zipfile.ZipFile(zips / "train2017.zip", "w") as file:
        for name, data in members.items():
            info = zipfile.ZipInfo("x")
            info.filename = name.replace("/", "\\")
            file.writestr(info, data)
    prepare("coco_stuff", zips)
    assert len(CocoStuff(zips, SIZE, "train")) == 2


# Own data


@pytest.fixture
def own(tmp_path, trees) -> Path:
    return trees.own_tree(tmp_path / "My data", NAMES)


def section(root: Path, **keys) -> Settings:
    return Settings.model_validate({"name": "folder", "root": str(root), "size": [24, 32], "classes": "classes.txt"} | keys)


def test_a_folder_of_ones_own_yields_its_files_as_they_lie_on_disk(own):
    dataset = opened(section(own), "train")
    assert len(dataset) == 6
    assert dataset.names == NAMES
    assert np.array_equal(dataset[2].labels, np.asarray(Image.open(own / "labels/train/2.png")))
    assert np.array_equal(dataset[2].image, np.asarray(Image.open(own / "images/train/2.jpg")).transpose(2, 0, 1))


def test_lists_of_names_make_the_same_splits_as_folders(own):
    for split in ("train", "val"):
        names = [f"{split}/{number}" for number in range(6 if split == "train" else 3)]
        (own / f"{split}.txt").write_text("\ufeff" + "\r\n".join(names))
    lists = section(own, splits={"train": "train.txt", "val": "val.txt"})
    for split in ("train", "val"):
        assert opened(lists, split).pairs == opened(section(own), split).pairs


WRONG_SECTIONS = {
    "a class twice": ({"classes": ["sky", "arm", "sky"]}, "'sky' twice"),
    "numbers before names": ({"classes": ["0 sky", "1 left arm", "2 right arm"]}, "begins with a number"),
    "too few colours": ({"palette": [[0, 0, 0]]}, "1 colours, but there are 3 classes"),
    "a colour twice": ({"palette": [[0, 0, 0], [1, 1, 1], [0, 0, 0]]}, "[0, 0, 0] twice"),
    "a class as ignored": ({"ignore_index": 0}, "'sky'"),
    "a pair of no class": ({"left_right": [["left arm", "right am"]]}, "did you mean right arm"),
    "a class in two pairs": ({"left_right": [["left arm", "right arm"], ["sky", "left arm"]]}, "two pairs"),
    "a class with itself": ({"left_right": [["sky", "sky"]]}, "two pairs"),
    "no list of classes": ({"classes": "klasses.txt"}, "klasses.txt"),
}


@pytest.mark.parametrize("kind", WRONG_SECTIONS)
def test_a_section_that_contradicts_itself_is_refused(own, kind):
    keys, named = WRONG_SECTIONS[kind]
    refusal(lambda: described(section(own, **keys)), named)


@pytest.mark.parametrize("text", ["sky\nsky\n", "", "\n \n", "sky\n" * 300, "\n".join(map(str, range(300)))])
def test_a_list_of_classes_that_cannot_be_one_is_refused(own, text):
    (own / "classes.txt").write_text(text)
    refusal(lambda: described(section(own)), own / "classes.txt")


ROWS = ("0{}{}", "1{}{}", "2{}{}")
TITLED = {
    **{f"a title, {title}": [title, *NAMES] for title in ("name", "Names", "class", "label", "id,name", "index\tclass")},
    **{f"a comment, {mark}": [f"{mark} classes", *NAMES] for mark in ("#", "//", "%")},
    "a comment below": [*NAMES, "# the end"],
    **{f"numbers before {mark!r}": [row.format(mark, name) for row, name in zip(ROWS, NAMES, strict=True)] for mark in ",;:=\t"},
    "numbers from 1": [f"{number}\t{name}" for number, name in enumerate(NAMES, 1)],
    "numbers behind": [f"{name},{number}" for number, name in enumerate(NAMES)],
    "colours behind": [f"{name}\t{number}\t0\t0" for number, name in enumerate(NAMES)],
    "a number before one name": [*NAMES[:2], f"2,{NAMES[2]}"],
}


@pytest.mark.parametrize("kind", TITLED)
def test_a_list_of_classes_with_a_title_or_columns_is_refused_by_its_line(own, kind):
    (own / "classes.txt").write_text("\n".join(TITLED[kind]) + "\n")
    refusal(lambda: described(section(own)), own / "classes.txt, line ")


def test_a_class_may_be_called_what_a_title_is_where_names_are_a_list(own):
    assert described(section(own, classes=["name", "# 1", "2, or 3"])).names == ("name", "# 1", "2, or 3")


def test_a_root_that_is_not_there_is_named_before_the_classes_in_it(tmp_path, mini):
    raw = mini | {"data": {"name": "folder", "root": str(tmp_path / "gone"), "size": [32, 32], "classes": "classes.txt"}}
    refusal(lambda: reading.check(raw, "suite"), "data.root", tmp_path / "gone", "where a command runs")


@pytest.mark.parametrize("kind", ["byte order mark", "DOS", "empty lines"])
def test_a_list_of_classes_written_another_way_names_the_same(own, kind):
    text = {"byte order mark": "\ufeff" + "\n".join(NAMES), "DOS": "\r\n".join(NAMES), "empty lines": "\n\n".join(NAMES) + "\n\n"}
    (own / "classes.txt").write_bytes(text[kind].encode())
    assert described(section(own)).names == NAMES


@pytest.mark.parametrize(
    ("text", "named"),
    [("../secret\n", "leads out"), ("/etc/passwd\n", "leads out"), ("train/0\ntrain/0.jpg\n", "lines 1 and 2"),
     ("train/99\n", "line 1"), ("\n", "lists no images")],
)  # fmt: skip
def test_a_wrong_list_of_ones_own_is_refused(own, text, named):
    save(own.parent / "secret.jpg", np.zeros((24, 32, 3), np.uint8))
    (own / "train.txt").write_text(text)
    refusal(lambda: opened(section(own, splits={"train": "train.txt"}), "train"), own / "train.txt", named)


def test_an_image_in_two_splits_is_refused(own):
    (own / "train.txt").write_text("train/0\ntrain/1\n")
    (own / "val.txt").write_text("val/0\ntrain/1\n")
    lists = section(own, splits={"train": "train.txt", "val": "val.txt"})
    refusal(lambda: opened(lists, "val"), "1 of 2 images are in the train split too", "train/1")


@pytest.mark.parametrize(
    ("path", "named"),
    [("images/train/3.jpg", "1 of 6 annotations"), ("labels/train/3.png", "1 of 6 images"), ("images", "no images")],
)
def test_what_has_no_partner_is_counted_and_named(own, path, named):
    shutil.rmtree(own / path) if (own / path).is_dir() else (own / path).unlink()
    refusal(lambda: opened(section(own), "train"), named)


def test_names_that_never_agree_are_named_with_the_keys_that_say_how_they_end(own):
    for path in [*(own / "labels/train").iterdir()]:
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    refusal(lambda: opened(section(own), "train"), "0 and 0_mask", "data.label_suffix")
    assert len(opened(section(own, label_suffix="_mask.png"), "train")) == 6


def test_ids_that_count_from_1_are_refused_where_the_last_occurs(own):
    for path in (own / "labels").rglob("*.png"):
        labels = np.asarray(Image.open(path))
        save(path, np.where(labels == 255, 0, labels + 1).astype(np.uint8))
    refusal(lambda: [*opened(section(own), "train")], "3", "count from 0")
    with pytest.raises(SemFlowError, match="^(?!.*fetch)"):
        [*opened(section(own), "train")]


def test_ids_that_count_from_1_are_noted_where_the_first_class_never_occurs(own):
    for path in (own / "labels").rglob("*.png"):
        save(path, np.where(np.asarray(Image.open(path)) == 0, 1, np.asarray(Image.open(path))))
    assert "\n".join(check("folder", own).lines).count("id 0, " + NAMES[0] + ", is in no label map") == 2


def test_own_label_maps_of_which_none_has_the_sections_ids_do_not_open(own):
    for path in (own / "labels").rglob("*.png"):
        save(path, np.full((24, 32), len(NAMES), np.uint8))
    refusal(lambda: opened(section(own), "train"), "label id 3", "count from 0")


def test_coco_that_looks_like_another_toolboxs_does_not_open(trees, tmp_path):
    root = trees.coco_stuff_tree(tmp_path / "coco", 60)
    changed(root, lambda labels: np.where(labels == 255, 0, labels))
    refusal(lambda: CocoStuff(root, SIZE, "train"), "another toolbox's")


def test_a_list_of_classes_of_labelme_is_refused(own):
    (own / "classes.txt").write_text("\n".join(["__ignore__", *NAMES]))
    refusal(lambda: described(section(own)), "__ignore__", "remove that line")


def test_linked_folders_are_read_and_circles_refused(own, tmp_path):
    for kind in ("images", "labels"):
        (own / kind / "train").rename(tmp_path / kind)
        (own / kind / "train").mkdir()
        (own / kind / "train/more").symlink_to(tmp_path / kind)
    assert len(opened(section(own), "train")) == 6
    (own / "images/train/again").symlink_to(own / "images/train")
    refusal(lambda: opened(section(own), "train"), "again", "is a link to")


def test_hidden_folders_are_no_part_of_own_data(own):
    for kind in ("images", "labels"):
        shutil.copytree(own / kind / "train", own / kind / "train/.trash")
    assert len(opened(section(own), "train")) == 6
    assert [line for line in check("folder", own).lines if "hidden folders" in line] == [
        f"note: train: hidden folders are left out, the first is {own}/{kind}/train/.trash" for kind in ("images", "labels")
    ]


@pytest.mark.parametrize("hidden", [".a.jpg", ".trash/a.jpg"])
def test_what_is_hidden_beside_the_pictures_of_lists_is_named(own, hidden):
    for split in ("train", "val"):
        (own / f"{split}.txt").write_text("".join(f"{split}/{path.stem}\n" for path in (own / "images" / split).iterdir()))
    (own / "images" / hidden).parent.mkdir(exist_ok=True)
    (own / "images" / hidden).write_bytes(b"")
    data = section(own, splits={"train": "train.txt", "val": "val.txt"})
    notes = facts(data, own).survey(own)["train"].notes
    assert len(notes) == 1
    assert f"the first is {own}/images/{hidden.partition('/')[0]}" in notes[0]


def test_files_of_ones_own_that_are_left_out_are_named(own):
    (own / "images/train/a.webp").write_bytes(b"")
    said = "\n".join(check("folder", own).lines)
    assert "train: 1 of 7 files in" in said
    assert "images/train/a.webp" in said


def as_masks(root: Path) -> None:
    """Label maps of two classes, saved as black and white."""
    (root / "classes.txt").write_text("background\nforeground\n")
    for path in (root / "labels").rglob("*.png"):
        save(path, np.where(np.arange(24 * 32).reshape(24, 32) % 3, 0, 255).astype(np.uint8))


def test_masks_of_two_classes_saved_as_0_and_255_are_refused_with_both_readings_and_the_mend(own):
    as_masks(own)
    named = ("hold 0 and 255 alone", "ignored pixels or for the class 1, foreground", "save it as 1", "data.ignore_index: 255")
    refusal(lambda: opened(section(own), "train"), *named)
    refusal(lambda: init(own, None, LAPTOP), *named[:2])
    found = check("folder", own).problems
    assert [said.partition(":")[0] for said in found if named[0] in said] == ["train", "val"]


def test_masks_whose_255_is_said_to_be_ignored_open(own):
    as_masks(own)
    assert opened(section(own, ignore_index=255), "train")[0].labels.max() == 255


def test_masks_of_which_one_shows_the_second_class_open(own):
    as_masks(own)
    save(sorted((own / "labels/train").iterdir())[0], np.eye(24, 32, dtype=np.uint8))
    assert len(opened(section(own), "train")) > 1


def test_an_unknown_palette_of_ones_own_is_refused_with_the_key_that_gives_it(own):
    colours, path = [[120, 120, 120], [180, 120, 120], [6, 230, 230]], sorted((own / "labels/train").iterdir())[0]
    ids = np.asarray(Image.open(path))
    ade = Image.fromarray(ids)
    ade.putpalette([channel for colour in colours for channel in colour] + [0] * 253 * 3)
    ade.save(path)
    refusal(lambda: section_reader(own).label_map(0), "data.palette")
    assert np.array_equal(np.asarray(section_reader(own, palette=colours).label_map(0)), ids)


def section_reader(root: Path, **keys):
    """What reads the train split, not yet opened."""
    settings = section(root, **keys)
    return reader_of(settings).over(pairs_of(find(settings, root, "train")), SIZE)


def test_an_empty_ending_of_names_is_refused(own):
    with pytest.raises(ValueError, match="image_suffix"):
        section(own, image_suffix="")


def test_the_ignored_id_may_not_be_the_last_classs(own):
    refusal(lambda: described(section(own, ignore_index=len(NAMES) - 1)), NAMES[-1])
    assert described(section(own, ignore_index=len(NAMES))).void == len(NAMES)


@pytest.mark.parametrize("wrong", [3, [], ["sky", 3], ["sky", " "], {"sky": 0}, None])
def test_classes_that_are_neither_a_file_nor_names_are_refused(mini, wrong):
    raw = mini | {"data": {"name": "folder", "size": [16, 16], "classes": wrong}}
    refusal(lambda: reading.check(raw, "own.yaml"), "own.yaml: data.classes: it must be a file or a list of names")


def test_label_maps_must_be_png():
    with pytest.raises(ValueError, match="label maps must be PNG"):
        section(Path(), label_suffix=".jpg")


def test_suffixes_of_their_own_pair_images_with_label_maps_in_one_folder(tmp_path):
    for number in range(2):
        save(tmp_path / f"all/train/{number}_sat.png", np.zeros((24, 32, 3), np.uint8))
        save(tmp_path / f"all/train/{number}_mask.png", np.full((24, 32), number, np.uint8))
    keys = {"images": "all", "labels": "all", "image_suffix": "_sat.png", "label_suffix": "_mask.png", "classes": ["a", "b"]}
    assert [sample.labels.max() for sample in opened(section(tmp_path, **keys), "train")] == [0, 1]


def test_own_data_do_not_go_by_the_environment(own, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMFLOW_DATA", str(tmp_path))
    assert len(opened(section(own), "train")) == 6


# A suite for them


@pytest.mark.parametrize(("machine", "base"), [(LAPTOP, "camvid_cpu.yaml"), (SERVER, "camvid.yaml")])
def test_init_writes_a_suite_that_opens_the_folder(own, machine, base):
    suite = reading.load(init(own, None, machine))
    assert Path(yaml.safe_load((own / "suite.yaml").read_text())["base"]).name == base
    assert suite.evaluation.split == "val"
    assert len(open_dataset(suite.data, "train")) == 6
    assert suite.data.size[0] <= 24
    assert suite.data.size[1] <= 32
    assert check("folder", own).problems == []


def test_init_takes_the_papers_anchors_for_as_many_classes_as_the_paper_has(own):
    (own / "classes.txt").write_text("\n".join(f"class {number}" for number in range(171)))
    suite = reading.load(init(own, None, LAPTOP))
    assert (suite.pseudo_mask.k, suite.pseudo_mask.s, suite.pseudo_mask.amplitude) == (6, 50, 6)


def test_init_takes_pictures_of_ones_own_for_independent_as_frames_of_a_film_are_not(own):
    suite = reading.load(init(own, None, LAPTOP))
    assert suite.evaluation.block_length == 1
    assert reading.load(ROOT / "config/camvid_cpu.yaml").evaluation.block_length > 1


ODD_FOLDERS = (
    "mini", "study", "a/pictures", "b/pictures", "\u56fe\u7247", "\u0444\u043e\u0442\u043e", "d\udce9", "two\nlines",
    "next\x85line", "x$HOME", "~", "a: b #c", "'\"", "-", "n" * 200, "tab\there", "{}", " ",
)  # fmt: skip


@pytest.mark.parametrize("name", ODD_FOLDERS)
def test_init_writes_a_suite_that_opens_a_folder_of_any_name(own, tmp_path, name, monkeypatch):
    root = tmp_path / "odd" / name
    shutil.copytree(own, root)
    monkeypatch.chdir(root.parent)
    suite = reading.load(init(Path(name) if "/" not in name else root, None, LAPTOP))
    assert suite.data.folder == root
    assert len(open_dataset(suite.data, "train")) == 6


def test_suites_of_two_folders_share_no_results_with_one_another_nor_with_ours(own, tmp_path):
    ours, theirs = {path.stem for path in (ROOT / "config").glob("*.yaml")}, set()
    for name in ODD_FOLDERS:
        shutil.copytree(own, tmp_path / "odd" / name)
        theirs.add(reading.load(init(tmp_path / "odd" / name, None, LAPTOP)).suite)
    assert len(theirs) == len(ODD_FOLDERS)
    assert not theirs & ours


def test_a_root_that_can_be_read_in_two_ways_is_refused(own, monkeypatch):
    monkeypatch.setenv("HERE", "own")
    monkeypatch.chdir(own.parent)
    own.rename("own")
    assert section(Path("$HERE")).folder == Path("own")
    Path("$HERE").mkdir()
    refusal(lambda: section(Path("$HERE")).folder, "$HERE", "own")


@pytest.mark.parametrize("words", ["init OWN", "data check folder OWN", "data check --config own.yaml"])
def test_a_wrong_environment_does_not_concern_pictures_of_ones_own(own, tmp_path, words, monkeypatch):
    init(own, tmp_path / "own.yaml", LAPTOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMFLOW_DATA", "/nowhere")
    status = 0
    try:
        cli.main([str(own) if word == "OWN" else word for word in words.split()])
    except SystemExit as end:
        status = end.code
    assert status == 0


def test_a_wrong_environment_does_not_keep_a_plan_for_pictures_of_ones_own(own, tmp_path):
    init(own, tmp_path / "own.yaml", LAPTOP)
    shutil.rmtree(own / "images")  # a plan can be shown without
    command = ["snakemake", "-n", "--cores", "1", "--snakefile", ROOT / "Snakefile", "--configfile", tmp_path / "own.yaml"]
    environment = os.environ | {"SEMFLOW_DATA": "/nowhere", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "rule train" in done.stdout


@pytest.mark.parametrize("words", [["init", "d\udce9"], ["data", "check", "folder", "d\udce9", "--json", "a.json"],
                                   ["data", "check", "folder", "d\udce9", "--json", "-"], ["init", "gone\udce9"],
                                   ["info", "gone\udce9"]])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_a_name_that_is_not_utf_8_is_told_with_an_escape(own, tmp_path, words, encoding):
    shutil.copytree(own, tmp_path / "d\udce9")
    command = [sys.executable, "-m", "semflow", *words]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == (2 if "gone\udce9" in words else 0)
    assert "\\udce9" in done.stdout + done.stderr


def test_a_text_with_a_name_that_is_not_utf_8_is_written_with_an_escape(tmp_path):
    files.write_text(tmp_path / "a.txt", "d\udce9")
    assert (tmp_path / "a.txt").read_text() == r"d\udce9"


def test_more_cores_work_at_larger_pictures(own):
    for path in [*(own / "images").rglob("*.jpg")]:
        save(path, np.zeros((480, 640, 3), np.uint8))
    for path in [*(own / "labels").rglob("*.png")]:
        save(path, np.zeros((480, 640), np.uint8))
    sizes = [reading.load(init(own, own.parent / f"{cores}.yaml", LAPTOP._replace(cores=cores))).data.size for cores in (2, 8)]
    assert sizes == [(36, 48), (72, 96)]  # four times the pixels on four times the cores


def test_pictures_that_memory_cannot_hold_are_read_from_disk(own):
    suite = reading.load(init(own, None, LAPTOP._replace(memory=10_000, cores=4)))
    assert (suite.run.in_memory, suite.run.workers) == (False, 3)


def test_init_overwrites_nothing(own):
    (own / "suite.yaml").write_text("mine")
    refusal(lambda: init(own, None, LAPTOP), own / "suite.yaml", "exists")
    assert (own / "suite.yaml").read_text() == "mine"


UNCLEAR = {
    "no classes": (lambda root: (root / "classes.txt").unlink(), "classes.txt"),
    "two lists of classes": (lambda root: shutil.copy(root / "classes.txt", root / "labels.txt"), "labels.txt"),
    "two folders of labels": (lambda root: (root / "annotations").mkdir(), "annotations"),
    "no images": (lambda root: shutil.rmtree(root / "images"), "there is no folder images"),
    "no split": (lambda root: shutil.rmtree(root / "images/train"), "train"),
    "two train splits": (lambda root: (root / "train.txt").write_text("train/0"), "train.txt"),
}


@pytest.mark.parametrize("kind", UNCLEAR)
def test_init_refuses_a_folder_that_can_be_read_in_two_ways_or_none(own, kind):
    change, named = UNCLEAR[kind]
    change(own)
    refusal(lambda: init(own, None, LAPTOP), named, own)
    assert not (own / "suite.yaml").exists()


@pytest.mark.parametrize("words", [("folder", "ROOT"), ("--config", "SUITE")])
def test_data_check_knows_it(own, capsys, words):
    init(own, own / "suite.yaml", LAPTOP)
    places = {"ROOT": str(own), "SUITE": str(own / "suite.yaml")}
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "check", *(places.get(word, word) for word in words)])
    assert end.value.code == 0
    assert "train: 6 images, 6 annotations, 6 pairs" in capsys.readouterr().out


@pytest.mark.parametrize("words", [(), ("folder",), ("folder", "x", "--config", "y")])
def test_data_check_of_nothing_or_of_two_things_is_refused(capsys, words):
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "check", *words])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def of_one_picture(root: Path) -> None:
    for folder in ("images", "labels"):
        for path in sorted((root / folder / "val").iterdir())[1:]:
            path.unlink()


def of_void(root: Path) -> None:
    for path in (root / "labels/val").iterdir():
        save(path, np.full_like(np.asarray(Image.open(path)), 255))


@pytest.mark.parametrize(("change", "named"), [(of_one_picture, "has 1 images; at least 2"), (of_void, "no pixel of the val")])
def test_data_check_finds_a_split_that_training_refuses(own, change, named):
    suite = reading.load(init(own, None, LAPTOP))
    change(own)
    said = refusal(lambda: check_split(open_dataset(suite.data, "val"), "val"), named)
    assert check("folder", own).problems == [said]


def without_val(root: Path) -> None:
    for folder in ("images", "labels"):
        shutil.rmtree(root / folder / "val")


def of_an_unknown_class(root: Path) -> None:
    for path in (root / "labels/val").iterdir():
        save(path, np.full_like(np.asarray(Image.open(path)), 3))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (of_one_picture, "has 1 images; at least 2"),
        (of_void, "no pixel of the val"),
        (without_val, "make a val or test split"),
        (of_an_unknown_class, "label id 3"),
    ],
)
def test_init_refuses_what_data_check_finds(own, change, named):
    change(own)
    refusal(lambda: init(own, None, LAPTOP), named)
    assert any(named in problem for problem in check("folder", own).problems)
    assert not (own / "suite.yaml").exists()


def test_init_notes_what_data_check_notes(own, capsys):
    for path in (own / "labels").rglob("*.png"):
        save(path, np.where(np.asarray(Image.open(path)) == 0, 1, np.asarray(Image.open(path))))
    init(own, None, LAPTOP)
    assert "note: train: id 0, sky, is in no label map" in capsys.readouterr().out


def test_init_says_how_to_run_it_from_anywhere(own, capsys):
    cli.main(["init", str(own)])
    command = capsys.readouterr().out.splitlines()[-1]
    assert f"--snakefile {ROOT / 'Snakefile'} --configfile" in command


def test_a_training_on_void_alone_is_refused_before_it_begins(own, capsys):
    suite = init(own, None, LAPTOP)
    for path in (own / "labels/train").iterdir():
        save(path, np.full((24, 32), 255, np.uint8))
    with pytest.raises(SystemExit) as end:
        cli.main(
            ["train", "--config", str(suite), "--method", "semflow", "--state", str(own / "state"), "--out", str(own / "out")]
        )
    assert end.value.code == 2
    assert "no pixel of the train split of folder has a label, so nothing can be learnt from it" in capsys.readouterr().err
    assert not (own / "state").exists()


def test_what_could_not_be_read_is_not_counted(own):
    for path in (own / "labels/val").iterdir():
        path.write_bytes(b"no picture")
    report = check("folder", own)
    val = "\n".join(report.lines).partition("val: ")[2]
    assert "sizes" not in val
    assert "classes" not in val
    assert report.splits["val"]["looked_into"] == 0
    (sorted((own / "labels/train").iterdir())[0]).write_bytes(b"no picture")
    assert any("in 5 label maps" in line for line in check("folder", own).lines)


def test_data_check_as_json_gives_numbers_by_split(own, tmp_path):
    with pytest.raises(SystemExit):
        cli.main(["data", "check", "folder", str(own), "--json", str(tmp_path / "a.json")])
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["problems"] == []
    assert told["splits"]["train"] == {
        "images": 6, "label_maps": 6, "pairs": 6, "official": None, "looked_into": 6, "sizes": {"24 x 32": 6},
        "classes": told["splits"]["train"]["classes"],
    }  # fmt: skip
    labels = [np.unique(np.asarray(Image.open(path))) for path in (own / "labels/train").iterdir()]
    for number, name in enumerate(NAMES):
        assert told["splits"]["train"]["classes"][name] == sum(number in here for here in labels)


# Every pair, quickly


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("name", ["coco_stuff", "cityscapes"])
def test_a_picture_cut_off_anywhere_is_found_where_all_are_looked_into(trees, tmp_path, name, tenth):
    root = getattr(trees, f"{name}_tree")(tmp_path / name, 2)
    path = sorted([*root.rglob("*.jpg"), *root.rglob("*_leftImg8bit.png")])[0]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * tenth // 10])
    (sentence,) = check(name, root, subset=True, everything=True).problems
    assert str(path) in sentence


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_png_with_one_changed_byte_is_found_where_all_are_looked_into(trees, tmp_path, tenth):
    root = trees.cityscapes_tree(tmp_path / "city", 2)
    path = sorted(root.rglob("*_leftImg8bit.png"))[0]
    data = bytearray(path.read_bytes())
    data[len(data) * tenth // 10] ^= 0xFF
    path.write_bytes(data)
    (sentence,) = check("cityscapes", root, subset=True, everything=True).problems
    assert str(path) in sentence


def test_all_of_a_tree_says_what_a_part_of_it_says(trees, tmp_path):
    root = trees.coco_stuff_tree(tmp_path / "coco", 8)
    assert check("coco_stuff", root, subset=True, everything=True) == check("coco_stuff", root, subset=True)


@pytest.mark.parametrize("suite", ["camvid_cpu", "paper"])
@pytest.mark.parametrize(("lies_at", "named"), [("nowhere", "SEMFLOW_DATA"), (".", "are not in place")])
def test_no_job_is_planned_where_the_environment_leads_to_no_data(tmp_path, suite, lies_at, named):
    environment = os.environ | {"SEMFLOW_DATA": str(tmp_path / lies_at), "PYTHONPATH": str(ROOT)}
    command = [
        "snakemake",
        "-n",
        "--cores",
        "1",
        "--snakefile",
        ROOT / "Snakefile",
        "--configfile",
        ROOT / f"config/{suite}.yaml",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert named in said
    assert "Traceback" not in said
    assert "rule train" not in said
