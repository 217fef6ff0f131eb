"""The README says what the committed reports say."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semflow.data import info_of, open_dataset
from semflow.report.filled import fill
from semflow.suite import reading

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
STUDY = ROOT / "reports/study"


def test_its_numbers_and_those_of_the_docs_are_those_of_the_studys_records():
    fill(TEXTS, sorted((STUDY / "records").rglob("*.json")), STUDY / "claims.json", check=True)


def test_it_is_short():
    assert len(README.splitlines()) <= 115
    assert len(README.split()) <= 1250
    assert "make reproduce_table2" in "\n".join(README.splitlines()[:25])


@pytest.mark.parametrize("text", [*TEXTS, ROOT / "CONTRIBUTING.md", ROOT / "config/README.md"], ids=lambda path: path.name)
def test_relative_links_lead_somewhere(text):
    for link in re.findall(r"\]\(([^)#\s]+)", text.read_text(encoding="utf-8")):
        assert link.startswith("http") or (text.parent / link).exists(), link


def test_every_suite_and_command_it_names_exists():
    for suite in re.findall(r"config/(\w+)\.yaml", README):
        assert (ROOT / f"config/{suite}.yaml").exists()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^[\w ]*\b{target}\b[\w ]*:", makefile, re.MULTILINE)


def test_the_suite_of_ones_own_in_the_docs_is_one(tmp_path, monkeypatch):
    (text,) = re.findall(r"^```yaml\n(base.*?)^```", (ROOT / "docs/data.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(text.splitlines()) == 8
    (tmp_path / "my_pictures").mkdir()
    (tmp_path / "my_pictures/classes.txt").write_text("sky\nroad\n")
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / "own.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    pixels, labels = np.full((72, 96, 3), 90, np.uint8), np.repeat([[0], [1]], 36, 0).repeat(96, 1).astype(np.uint8)
    for name, content in (("images", pixels), ("labels", labels)):
        for split in ("train", "val"):
            (tmp_path / f"my_pictures/{name}/{split}").mkdir(parents=True)
            Image.fromarray(content).save(tmp_path / f"my_pictures/{name}/{split}/{split}0.png")
    suite = reading.load("own.yaml")
    assert info_of(suite.data).names == ("sky", "road")
    (sample,) = open_dataset(suite.data, suite.evaluation.split)
    assert sample.image.shape == (3, 36, 48)
    assert np.array_equal(sample.labels, labels[::2, ::2])


def test_its_python_runs():
    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert names["predicted"].shape == names["labels"].shape
