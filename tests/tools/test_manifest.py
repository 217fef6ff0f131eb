"""A data set that was prepared before is held against the manifest which that left."""

import json
import shutil
import zipfile

import pytest
from preparing import N, complaint, content

from semflow import cli
from semflow.errors import SemFlowError
from semflow.tools.prepare import MANIFEST, prepare


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
