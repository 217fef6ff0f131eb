"""The registry of data sets: what all else derives from it."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from semflow.data import DATASETS, OFFICIAL, Data, swaps_of

FOLDER = Path(sys.modules["semflow.data"].__file__).parent


def test_it_names_every_module_that_has_a_data_set():
    assert set(DATASETS) == {path.stem for path in FOLDER.glob("*.py") if "\nINFO = " in path.read_text()}


@pytest.mark.parametrize("name", DATASETS)
def test_a_section_is_told_by_its_name(name):
    assert DATASETS[name].Settings.model_fields["name"].annotation.__args__ == (name,)


@pytest.mark.parametrize("name", DATASETS)
def test_every_class_has_a_colour_of_its_own_and_the_void_id_is_none_of_them(name):
    info = DATASETS[name]
    assert len(set(info.palette)) == len(set(info.names)) == len(info.names)
    assert info.void >= len(info.names)
    assert all(0 <= label < len(info.names) for pair in info.swaps for label in pair)


def test_classes_are_exchanged_by_a_mirror_if_the_suite_says_so():
    section = {"name": "celebamask_hq", "root": "", "size": (8, 8), "view": "resize", "masks": "rgb", "partition": "official"}
    read = TypeAdapter(Data).validate_python
    assert swaps_of(read(section | {"swap_left_right": False})) == ()
    names = DATASETS["celebamask_hq"].names
    pairs = [{names[label] for label in pair} for pair in swaps_of(read(section | {"swap_left_right": True}))]
    assert pairs == [{"l_eye", "r_eye"}, {"l_brow", "r_brow"}, {"l_ear", "r_ear"}]


def test_the_official_numbers_of_a_partition_are_known_before_its_files_are_there():
    section = {"name": "celebamask_hq", "root": "", "size": (8, 8), "view": "resize", "masks": "rgb", "swap_left_right": True}
    read, info = TypeAdapter(Data).validate_python, DATASETS["celebamask_hq"]
    assert info.official_counts(read(section | {"partition": "official"})) == OFFICIAL["celebamask_hq"].counts
    other = info.official_counts(read(section | {"partition": "first_28000"}))
    assert other == {"train": 28_000, "val": 2_000, "test": 2_000}
    assert DATASETS["camvid"].official_counts(read({"name": "camvid", "root": "", "size": (8, 8)})) == {}


def test_it_is_read_without_torch():
    command = "import sys, semflow.data; sys.exit(any(name in sys.modules for name in ('torch', 'diffusers', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0
