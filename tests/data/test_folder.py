"""A folder of one's own: classes, colours and mirrors as its section says."""

import json

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from semflow import cli
from semflow.data import Data, info_of, swaps_of
from semflow.files import write_json
from semflow.suite import keys, reading

SECTION = {"name": "folder", "size": [16, 16], "classes": ["sky", "left arm", "right arm"]}


def section(**keys):
    return TypeAdapter(Data).validate_python(SECTION | keys)


def test_classes_without_a_palette_have_pascal_vocs_colours():
    info = info_of(section(classes=[f"class {number}" for number in range(21)]))
    # Of background, aeroplane, bicycle, bird, person and tvmonitor, from the data set's own table.
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 15: (192, 128, 128), 20: (0, 64, 128)}
    assert {number: info.palette[number] for number in known} == known


@pytest.mark.parametrize("n", [1, 64, 255])
def test_every_class_has_a_colour_of_its_own(n):
    assert len(set(info_of(section(classes=[f"class {number}" for number in range(n)])).palette)) == n


def test_the_sections_own_palette_and_ignored_id_are_taken():
    info = info_of(section(palette=[[1, 2, 3], [4, 5, 6], [7, 8, 9]], ignore_index=3))
    assert info.palette == ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    assert info.void == 3


def test_a_mirror_exchanges_the_pairs_that_the_section_names():
    assert swaps_of(section(left_right=[["right arm", "left arm"]])) == ((2, 1),)
    assert swaps_of(section()) == ()


@pytest.mark.parametrize(
    "wrong", [{"palette": [[256, 0, 0]] * 3}, {"splits": {"val": "val"}}, {"splits": {"train": "a", "dev": "b"}}]
)
def test_a_value_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        section(**wrong)


def test_ignored_pixels_become_255(tmp_path):
    for folder, pixels in (
        ("images", np.zeros((4, 4, 3), np.uint8)),
        ("labels", np.arange(16, dtype=np.uint8).reshape(4, 4) % 4),
    ):
        (tmp_path / folder / "train").mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / folder / "train/a.png")
    info = info_of(data := section(root=str(tmp_path), ignore_index=3, size=[4, 4]))
    assert info.open(data, "train")[0].labels.tolist() == [[0, 1, 2, 255]] * 4


def test_another_name_of_a_class_is_another_training(mini, tmp_path):
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    raw = mini | {"data": {"name": "folder", "size": [16, 16], "root": str(tmp_path), "classes": "classes.txt"}}
    before = keys.weights_key(reading.check(raw, "suite"), "semflow", 0)
    (tmp_path / "classes.txt").write_text("sky\nwater\n")
    assert keys.weights_key(reading.check(raw, "suite"), "semflow", 0) != before


def test_a_model_is_trained_evaluated_and_used_on_it(tiny, tmp_path, trees, monkeypatch):
    rng = np.random.RandomState(0)
    for split in ("train", "test"):
        for number in range(4):
            for folder, made in (("images", trees.photograph(rng, 16, 16)), ("labels", trees.label_map(rng, (0, 1, 2), 16, 16))):
                (tmp_path / folder / split).mkdir(parents=True, exist_ok=True)
                made.save(tmp_path / folder / split / f"{number}.png")
    write_json(tmp_path / "own.json", tiny | {"data": SECTION, "training": tiny["training"] | {"steps": 1}})
    monkeypatch.chdir(tmp_path)
    of = ["--config", "own.json", "--method", "semflow"]
    cli.main(["train", *of, "--state", "state", "--out", "checkpoint"])
    cli.main(["evaluate", *of, "--checkpoint", "checkpoint", "--sampler", "euler-1", "--out", "r.json"])
    assert list(json.loads((tmp_path / "r.json").read_text())["class_iou"]) == SECTION["classes"]
    cli.main(["synthesize", "labels/test/0.png", "--checkpoint", "checkpoint", "--sampler", "euler-1", "--out", "drawn.png"])
    assert Image.open("drawn.png").size == (16, 16)
