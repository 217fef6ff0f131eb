"""A suite's `data:` section opens the data set that it names, where SEMFLOW_DATA says it lies."""

from pathlib import Path

import pytest

from semflow.data import camvid, celebamask_hq, cityscapes, coco_stuff, open_dataset

KEYS = {"root": "nowhere", "size": (32, 64), "view": "resize", "masks": "labels"}
SECTIONS = (
    coco_stuff.Settings(name="coco_stuff", **KEYS),
    celebamask_hq.Settings(name="celebamask_hq", partition="official", swap_left_right=True, **KEYS),
    celebamask_hq.Settings(name="celebamask_hq", partition="first_28000", swap_left_right=True, **KEYS),
    cityscapes.Settings(name="cityscapes", **KEYS),
)
CAMVID = camvid.Settings(name="camvid", root="data/CamVid", size=(192, 256))


def test_data_lies_at_its_root_unless_the_environment_says_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("SEMFLOW_DATA", raising=False)
    assert CAMVID.folder == Path("data/CamVid")
    monkeypatch.setenv("SEMFLOW_DATA", str(tmp_path))
    assert CAMVID.folder == tmp_path


def test_the_environment_may_name_a_folder_of_many_data_sets(monkeypatch, tmp_path):
    (tmp_path / "camvid").mkdir()
    monkeypatch.setenv("SEMFLOW_DATA", str(tmp_path))
    assert CAMVID.folder == tmp_path / "camvid"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_the_papers_data_sets_open_side_by_side_under_one_root(section, trees, tmp_path, monkeypatch):
    merged = {"merged": True} if section.name == "celebamask_hq" else {}
    getattr(trees, f"{section.name}_tree")(tmp_path / section.name, 2, **merged)
    monkeypatch.setenv("SEMFLOW_DATA", str(tmp_path))
    train, val = open_dataset(section, "train"), open_dataset(section, "val")
    assert train.name == val.name == section.name
    assert len(train) == 2
    assert train[0].image.shape == (3, 32, 64)
    assert len({train.stamp(), val.stamp(), train.fingerprint(), val.fingerprint()}) == 4
    assert train.groups is None
