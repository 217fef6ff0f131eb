"""Archives unpacked, faces merged, pairs counted: from the official archives in small, killed and damaged in every way."""

import hashlib
import json
import resource
import shutil
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from semflow import cli, files
from semflow.data import prepare as module
from semflow.data.celebamask_hq import CelebAMaskHQ, merge
from semflow.data.coco_stuff import CocoStuff
from semflow.data.official import OFFICIAL
from semflow.data.prepare import MANIFEST, prepare
from semflow.errors import SemFlowError

N = 3
SIZE = (32, 32)


def zipped(target, folder, top=""):
    """A zip of what lies in a folder, as `zip -r` makes it, folders among its members."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, top + str(path.relative_to(folder)))


@pytest.fixture
def archives(trees, tmp_path):
    """Makes the official archives of a data set, and nothing else, in a folder."""

    def make(name):
        root, source = tmp_path / name, tmp_path / f"{name}-source"
        root.mkdir()
        if name == "celebamask_hq":
            zipped(root / "CelebAMask-HQ.zip", trees.celebamask_hq_tree(source, N), "CelebAMask-HQ/")
        elif name == "cityscapes":
            trees.cityscapes_tree(source, N)
            (source / "README").write_text("in both archives")
            for kind in ("leftImg8bit", "gtFine"):
                shutil.copytree(source / kind, source / "one" / kind)
                shutil.copy(source / "README", source / "one")
                zipped(root / f"{kind}_trainvaltest.zip", source / "one")
                shutil.rmtree(source / "one")
        else:
            trees.coco_stuff_tree(source, N)
            zipped(root / "stuffthingmaps_trainval2017.zip", source / "annotations")
            for split in ("train2017", "val2017"):
                (source / "one").mkdir()
                (source / split).rename(source / "one" / split)
                zipped(root / f"{split}.zip", source / "one")
                (source / "one" / split).rename(source / split)
                (source / "one").rmdir()
        return root

    return make


def content(root):
    """Every file with its time and bytes, but for the lock."""
    paths = [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def complaint(name, root, *named) -> str:
    with pytest.raises(SemFlowError) as error:
        prepare(name, root)
    text = str(error.value)
    assert "\n" not in text
    assert [str(word) for word in named if str(word) not in text] == []
    return text


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
        if len(done) == 5 or (self.what == "merge" and done.count("merge") == 2):
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
    monkeypatch.setitem(OFFICIAL, "cityscapes", OFFICIAL["cityscapes"]._replace(counts={"train": N, "val": N}))
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
    assert not [path for path in (root / "val2017").iterdir() if path.name in (member.filename, ".unpacking.part")]


@pytest.mark.parametrize("name", ["../train2017/1.jpg", "/etc/train2017/1.jpg", "train2017/../../1.jpg", "train2017\\1.jpg"])
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
    assert not [path for path in root.rglob("*") if path.name.endswith(".part")]
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


def test_a_face_without_skin_is_named_before_anything_is_merged(trees, tmp_path):
    root = trees.celebamask_hq_tree(tmp_path / "tree", N)
    (root / "CelebAMask-HQ-mask-anno/0/00001_skin.png").unlink()
    complaint("celebamask_hq", root, "train: 1 of 3 faces has parts but no skin, the first is 1")
    assert not (root / "CelebAMask-HQ-labels").exists()


@pytest.fixture
def faces(trees, tmp_path):
    return trees.celebamask_hq_tree(tmp_path / "faces", N, merged=True)


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


@pytest.fixture
def streets(trees, tmp_path):
    """A tree that was prepared."""
    root = trees.cityscapes_tree(tmp_path / "streets", N)
    prepare("cityscapes", root)
    return root


def a_street(root):
    """Picture and annotation of one still to train with."""
    return [sorted((root / kind / "train").rglob(f"*{end}"))[0] for kind, end in (("leftImg8bit", ".png"), ("gtFine", "Ids.png"))]


def test_fewer_pairs_than_the_manifest_says_are_refused_until_it_is_deleted(streets):
    for path in a_street(streets):
        path.unlink()
    told = streets / MANIFEST
    before = told.read_bytes()
    complaint("cityscapes", streets, "train: 3 pairs then and 2 now", "fetch again", f"delete {told}")
    assert told.read_bytes() == before
    told.unlink()
    assert prepare("cityscapes", streets)["splits"]["train"]["pairs"] == N - 1


@pytest.mark.parametrize(("which", "what"), [(0, "images"), (1, "annotations")])
def test_a_file_of_another_size_than_when_the_manifest_was_written_is_refused(streets, which, what):
    with a_street(streets)[which].open("ab") as file:
        file.write(b"more")
    complaint("cityscapes", streets, streets / MANIFEST, f"train: {what} of other names or sizes")


def test_all_that_changed_is_counted(streets):
    for path in a_street(streets):
        with path.open("ab") as file:
            file.write(b"more")
    complaint("cityscapes", streets, "train: images", "and 1 more")


def test_a_changed_part_is_refused_before_its_face_is_merged_again(faces):
    part, labels = faces / "CelebAMask-HQ-mask-anno/0/00001_nose.png", faces / "CelebAMask-HQ-labels"
    before = content(labels)
    part.unlink()
    complaint("celebamask_hq", faces, "train: annotations of other names or sizes")
    assert content(labels) == before


def test_a_label_map_that_changed_since_is_refused_and_deleting_the_folder_mends_it(faces):
    labels = faces / "CelebAMask-HQ-labels"
    data = bytearray((labels / "1.png").read_bytes())
    data[-30] ^= 0xFF
    (labels / "1.png").write_bytes(data)
    complaint("celebamask_hq", faces, labels, "if that folder is deleted")
    shutil.rmtree(labels)
    prepare("celebamask_hq", faces)


def test_label_maps_merged_again_may_have_other_bytes(faces):  # as of another version of Pillow
    told = json.loads((faces / MANIFEST).read_text())
    (faces / MANIFEST).write_text(json.dumps(told | {"merged_labels": "0"}))
    shutil.rmtree(faces / "CelebAMask-HQ-labels")
    assert prepare("celebamask_hq", faces) == told


def test_the_manifest_in_the_folder_counts_when_another_is_asked_for(streets, tmp_path):
    out = tmp_path / "new.json"
    prepare("cityscapes", streets, out)
    a_street(streets)[0].write_bytes(b"")
    out.unlink()  # as Snakemake does
    with pytest.raises(SemFlowError, match=f"when {streets / MANIFEST} was written"):
        prepare("cityscapes", streets, out)
    assert not out.exists()


def test_an_asked_for_manifest_is_compared_with(trees, tmp_path):
    root, out = trees.cityscapes_tree(tmp_path / "tree", N), tmp_path / "manifest.json"
    prepare("cityscapes", root, out)
    a_street(root)[0].write_bytes(b"")
    with pytest.raises(SemFlowError, match=f"when {out} was written"):
        prepare("cityscapes", root, out)


def test_a_change_ends_the_command_with_an_error(streets, capsys):
    a_street(streets)[0].write_bytes(b"")
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "prepare", "cityscapes", str(streets)])
    assert end.value.code
    assert str(streets / MANIFEST) in capsys.readouterr().err


def test_an_archive_of_another_size_than_in_the_manifest_is_refused(archives):
    root = archives("coco_stuff")
    prepare("coco_stuff", root)
    with zipfile.ZipFile(root / "train2017.zip", "a") as file:
        file.writestr("train2017/new.jpg", "x")
    complaint("coco_stuff", root, root / "train2017.zip", "SHA-256", root / MANIFEST)
    assert not (root / "train2017/new.jpg").exists()


def test_an_archive_of_another_checksum_is_refused_before_it_is_unpacked(archives):
    root = archives("coco_stuff")
    prepare("coco_stuff", root)
    path, gone = root / "train2017.zip", next((root / "train2017").iterdir())
    with zipfile.ZipFile(path) as file:
        at = next(info for info in file.infolist() if info.filename.endswith(gone.name)).header_offset
    data = bytearray(path.read_bytes())
    data[at + 12] ^= 1  # a time that nothing reads
    path.write_bytes(data)
    gone.unlink()
    complaint("coco_stuff", root, path, "SHA-256", root / MANIFEST)
    assert not gone.exists()


def test_an_archive_may_be_deleted_once_it_is_unpacked(archives):
    root = archives("coco_stuff")
    prepare("coco_stuff", root)
    (root / "train2017.zip").unlink()
    assert len(prepare("coco_stuff", root)["archives"]) == 2


def test_of_a_manifest_of_an_older_form_the_counts_are_compared(streets):
    told = json.loads((streets / MANIFEST).read_text())
    old = {split: {"pairs": facts["pairs"], "names_and_sizes": "0"} for split, facts in told["splits"].items()}
    (streets / MANIFEST).write_text(json.dumps(told | {"splits": old}))
    assert prepare("cityscapes", streets) == told
    old["val"]["pairs"] = 500
    (streets / MANIFEST).write_text(json.dumps(told | {"splits": old}))
    complaint("cityscapes", streets, "val: 500 pairs then and 3 now")


def test_the_manifest_of_another_data_set_is_not_compared_with(streets):
    told = json.loads((streets / MANIFEST).read_text())
    (streets / MANIFEST).write_text(json.dumps({**told, "name": "coco_stuff", "splits": {}}))
    assert prepare("cityscapes", streets) == told


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"name": "cityscapes", "splits": 3, "archives": []}', "half"])
def test_what_is_no_manifest_is_named(streets, text):
    (streets / MANIFEST).write_text(text)
    complaint("cityscapes", streets, streets / MANIFEST, "delete it")


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_second_run_waits_for_the_first_and_says_so(archives, capsys, unpacked):
    root = archives("celebamask_hq")
    if unpacked:
        module.unpack(OFFICIAL["celebamask_hq"].archives[0], root)
    second = threading.Thread(target=prepare, args=("celebamask_hq", root))
    with files.held(root, pytest.fail):
        before = content(root)
        second.start()
        second.join(0.5)
        assert content(root) == before
        assert f"waiting for another `semflow data prepare` of {root}" in capsys.readouterr().err
    second.join(60)
    assert (root / MANIFEST).exists()


def test_a_finished_data_set_is_neither_locked_nor_written(streets, tmp_path):
    with files.held(streets, pytest.fail):
        assert prepare("cityscapes", streets, tmp_path / "manifest.json")["splits"]["train"]["pairs"] == N
