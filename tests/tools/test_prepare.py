"""Archives unpacked, faces merged, pairs counted: from the official archives in small, killed and damaged in every way."""

import hashlib
import json
import resource
import shutil
import threading
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from preparing import N, complaint, content

from semflow import files
from semflow.data import OFFICIAL
from semflow.data.celebamask_hq import CelebAMaskHQ, merge
from semflow.data.coco_stuff import CocoStuff
from semflow.tools import prepare as module
from semflow.tools.prepare import MANIFEST, prepare

SIZE = (32, 32)


@pytest.mark.parametrize("name", OFFICIAL)
def test_archives_become_the_tree_that_they_were_made_of(archives, tmp_path, name):
    root = archives(name)
    manifest = prepare(name, root)
    source = tmp_path / f"{name}-source"
    made = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for path in source.rglob("*"):
        if path.is_file() and path.name != "README":
            assert made[path.relative_to(source)] == path.read_bytes()
    assert manifest == json.loads((root / MANIFEST).read_text())
    assert {split: facts["pairs"] for split, facts in manifest["splits"].items()} == dict.fromkeys(OFFICIAL[name].counts, N)
    assert manifest["official"] is False
    for entry in manifest["archives"]:
        assert entry["sha256"] == hashlib.sha256((root / entry["file"]).read_bytes()).hexdigest()
    assert len(manifest["archives"]) == len(OFFICIAL[name].archives)


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_second_run_changes_nothing(archives, name):
    root = archives(name)
    prepare(name, root)
    before = content(root)
    prepare(name, root)
    assert content(root) == before


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_killed_run_goes_on_where_it_stopped(archives, name, monkeypatch, tmp_path):
    root, done = archives(name), []
    real = module.Progress.update

    def update(self, n_images, note=""):
        done.append(self.what)
        if len(done) == 5 or done.count("make label maps") == 2:
            raise KeyboardInterrupt
        real(self, n_images, note)

    monkeypatch.setattr(module.Progress, "update", update)
    for _ in range(2):  # of the faces, in unpacking and in merging
        try:
            prepare(name, root)
        except KeyboardInterrupt:
            half = content(root)
    monkeypatch.undo()
    prepare(name, root)
    whole = content(root)
    assert {path: whole[path] for path in half} == half
    assert not [path for path in whole if ".part" in path]
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for path in root.glob("*.zip"):
        shutil.copy(path, fresh)
    assert prepare(name, fresh) == prepare(name, root)


def test_a_file_of_another_size_is_unpacked_again_and_one_of_its_size_is_left_alone(archives):
    root = archives("coco_stuff")
    prepare("coco_stuff", root)
    first, second, *_ = sorted((root / "train2017").iterdir())
    whole = first.read_bytes()
    first.write_bytes(whole[:50])
    second.write_bytes(bytes(second.stat().st_size))
    prepare("coco_stuff", root)
    assert first.read_bytes() == whole
    assert not any(second.read_bytes())


def test_annotations_unpacked_elsewhere_are_not_unpacked_twice(archives):
    root = archives("coco_stuff")
    (root / "stuffthingmaps").mkdir()
    with zipfile.ZipFile(root / "stuffthingmaps_trainval2017.zip") as file:
        file.extractall(root / "stuffthingmaps")
    prepare("coco_stuff", root)
    assert not (root / "annotations").exists()
    assert len(CocoStuff(root, SIZE, "train")) == N


def test_a_tree_without_archives_is_counted_and_the_manifest_goes_where_asked(trees, tmp_path):
    root, out = trees.cityscapes_tree(tmp_path / "tree", N), tmp_path / "deep/manifest.json"
    before = content(root)
    manifest = prepare("cityscapes", root, out)
    assert json.loads(out.read_text()) == manifest
    assert manifest["archives"] == []
    assert content(root) == before


def test_the_manifest_says_whether_the_numbers_are_the_official_ones(trees, tmp_path, monkeypatch):
    monkeypatch.setitem(OFFICIAL, "cityscapes", replace(OFFICIAL["cityscapes"], counts={"train": N, "val": N}))
    assert prepare("cityscapes", trees.cityscapes_tree(tmp_path / "tree", N))["official"] is True


def test_the_official_numbers_are_the_papers():
    assert OFFICIAL["coco_stuff"].counts == {"train": 118_287, "val": 5_000}
    assert OFFICIAL["celebamask_hq"].counts == {"train": 24_183, "val": 2_993, "test": 2_824}
    assert sum(OFFICIAL["celebamask_hq"].counts.values()) == 30_000
    assert OFFICIAL["cityscapes"].counts | OFFICIAL["cityscapes"].unlabelled == {"train": 2_975, "val": 500, "test": 1_525}


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_a_half_downloaded_archive_is_named(archives, share):
    root = archives("coco_stuff")
    path = root / "val2017.zip"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    complaint("coco_stuff", root, path, "half downloaded", "fetch it again")


def test_a_damaged_member_is_named_and_leaves_no_file(archives):
    root = archives("coco_stuff")
    path = root / "val2017.zip"
    with zipfile.ZipFile(path) as file:
        member = next(info for info in file.infolist() if not info.is_dir())
    data = bytearray(path.read_bytes())
    at = member.header_offset + 30 + len(member.filename) + member.compress_size // 2
    data[at] ^= 0xFF
    path.write_bytes(data)
    complaint("coco_stuff", root, path, "damaged")
    assert not (root / member.filename).exists()
    assert not [path for path in root.rglob("*") if ".part" in path.name]


@pytest.mark.parametrize(
    "name", ["../train2017/1.jpg", "/etc/train2017/1.jpg", "train2017/../../1.jpg", "train2017\\..\\..\\1.jpg"]
)
def test_a_member_that_leads_out_of_the_folder_is_refused(archives, name):
    root = archives("coco_stuff")
    with zipfile.ZipFile(root / "train2017.zip", "a") as file:
        file.writestr(name, "x")
    before = set(root.parent.rglob("*"))
    complaint("coco_stuff", root, "train2017.zip", "leads out")
    assert set(root.parent.rglob("*")) == before


def test_an_archive_of_something_else_is_named(archives):
    root = archives("coco_stuff")
    shutil.copy(root / "val2017.zip", root / "train2017.zip")
    complaint("coco_stuff", root, "train2017.zip", "not the official archive")


@pytest.mark.parametrize("name", ["coco_stuff", "celebamask_hq"])
def test_a_full_disk_is_one_sentence_and_nothing_is_lost(archives, name, capsys):  # or the log is a file that may not grow
    root = archives(name)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if name == "celebamask_hq":
        module.unpack(OFFICIAL[name].archives[0], root)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, hard))  # bytes a file may have
    try:
        complaint(name, root, "cannot write", root, "free space")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in root.rglob("*") if ".part" in path.name]
    prepare(name, root)


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_empty_or_missing_folder_says_who_knows_where_to_get_it(tmp_path, name):
    complaint(name, tmp_path, "no images", f"semflow data check {name}")
    complaint(name, tmp_path / "nowhere", "no images", f"semflow data check {name}")
    assert not list(tmp_path.iterdir())


def test_a_missing_split_is_named(archives):
    root = archives("coco_stuff")
    (root / "val2017.zip").unlink()
    complaint("coco_stuff", root, "val: there are annotations", "no images")


def test_several_problems_are_counted(trees, tmp_path):
    root = trees.coco_stuff_tree(tmp_path / "tree", N)
    for split in ("train", "val"):
        next((root / f"annotations/{split}2017").iterdir()).unlink()
    complaint("coco_stuff", root, "1 of 3 images", "and 1 more", "semflow data check")


def test_faces_with_a_damaged_part_are_named_and_the_others_are_kept(trees, tmp_path):
    root = trees.celebamask_hq_tree(tmp_path / "tree", N)
    path = root / "CelebAMask-HQ-mask-anno/0/00001_nose.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    complaint("celebamask_hq", root, path, "damaged")
    assert (root / "CelebAMask-HQ-labels/0.png").exists()
    path.write_bytes(whole)
    prepare("celebamask_hq", root)
    assert len(list((root / "CelebAMask-HQ-labels").iterdir())) == 3 * N


def test_a_face_without_skin_is_merged_of_what_it_has_and_noted(trees, tmp_path):
    root = trees.celebamask_hq_tree(tmp_path / "tree", N)
    (root / "CelebAMask-HQ-mask-anno/0/00001_skin.png").unlink()
    manifest = prepare("celebamask_hq", root)
    assert manifest["notes"] == ["train: 1 of 3 faces has parts but no skin, the first is 1; theirs is background"]
    seen = set(np.unique(np.asarray(CelebAMaskHQ(root, SIZE, "train", "official").native(1)[1])))
    assert 0 in seen
    assert 1 not in seen


def test_a_face_is_merged_again_when_its_parts_change_and_no_other_is(faces):
    part, labels = faces / "CelebAMask-HQ-mask-anno/0/00001_nose.png", faces / "CelebAMask-HQ-labels"
    before, whole = content(labels), part.read_bytes()
    changed = str(labels / "1.png")

    def prepared():
        (faces / MANIFEST).unlink()
        prepare("celebamask_hq", faces)
        return content(labels)

    part.unlink()
    without = prepared()
    assert {path for path in before if without[path] != before[path]} == {changed}
    assert np.array_equal(np.asarray(Image.open(changed)), np.asarray(merge(map(str, part.parent.glob("00001_*")))))
    part.write_bytes(whole)
    assert prepared()[changed][1] == before[changed][1]


def test_a_part_of_another_size_is_merged_again(faces):
    part, labels = faces / "CelebAMask-HQ-mask-anno/0/00001_nose.png", faces / "CelebAMask-HQ-labels/1.png"
    before = np.asarray(Image.open(labels))
    Image.new("L", (64, 64), 255).save(part)
    (faces / MANIFEST).unlink()
    prepare("celebamask_hq", faces)
    assert not np.array_equal(np.asarray(Image.open(labels)), before)


def test_label_maps_that_do_not_say_what_they_were_merged_of_are_merged_again(faces):
    place = faces / "CelebAMask-HQ-labels/1.png"
    whole = place.read_bytes()
    with Image.open(place) as old:
        old.load()
    old.info = {}
    old.save(place)
    assert place.read_bytes() != whole
    prepare("celebamask_hq", faces)
    assert place.read_bytes() == whole


def test_a_label_map_that_a_crash_cut_off_is_merged_again(faces):
    place = faces / "CelebAMask-HQ-labels/1.png"
    whole = place.read_bytes()
    place.write_bytes(whole[:-20])
    prepare("celebamask_hq", faces)
    assert place.read_bytes() == whole


def test_stamp_and_fingerprint_do_not_see_what_merging_leaves(faces):
    told = [(data.stamp(), data.fingerprint()) for data in [CelebAMaskHQ(faces, SIZE, "train", "official")]]
    for left in (MANIFEST, ".lock"):
        (faces / left).unlink()
    shutil.rmtree(faces / "CelebAMask-HQ-labels")
    assert [(data.stamp(), data.fingerprint()) for data in [CelebAMaskHQ(faces, SIZE, "train", "official")]] == told


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_second_run_waits_for_the_first_and_says_so(archives, caplog, unpacked):
    root = archives("celebamask_hq")
    if unpacked:
        module.unpack(OFFICIAL["celebamask_hq"].archives[0], root)
    second = threading.Thread(target=prepare, args=("celebamask_hq", root))
    with files.held(root, pytest.fail):
        before = content(root)
        second.start()
        second.join(0.5)
        assert content(root) == before
        assert f"waiting for another `semflow data prepare` of {root}" in caplog.text
    second.join(60)
    assert (root / MANIFEST).exists()


def test_a_finished_data_set_is_neither_locked_nor_written(streets, tmp_path):
    with files.held(streets, pytest.fail):
        assert prepare("cityscapes", streets, tmp_path / "manifest.json")["splits"]["train"]["pairs"] == N
