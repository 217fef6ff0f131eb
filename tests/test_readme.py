"""The README says what the committed reports say."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semflow.claims import drift
from semflow.data import info_of, open_dataset
from semflow.suite import reading

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("suite", ["camvid_cpu", "mini"])
def test_its_tables_are_those_of_the_reports(suite):
    report = (ROOT / f"reports/{suite}/table2.md").read_text(encoding="utf-8")
    table = re.search(r"^\| (mIoU at N steps|method) \|  \|.*?(?=\n\n)", report, re.MULTILINE | re.DOTALL)
    assert table[0] in README


def test_its_table_1_is_that_of_the_report_without_intervals():
    report = (ROOT / "reports/mini/table1.md").read_text(encoding="utf-8")
    table = re.search(r"^\| method \| sampler.*?(?=\n\n)", report, re.MULTILINE | re.DOTALL)
    assert re.sub(r" \[[^\]]*\]", "", table[0]) in README


def test_its_count_of_verdicts_is_that_of_the_report():
    report = (ROOT / "reports/mini/claims.md").read_text(encoding="utf-8")
    (counts,) = re.findall(r"^At proxy scale: (.+)\.$", report, re.MULTILINE)
    assert counts in " ".join(README.split())


def test_its_numbers_are_those_of_the_reference():
    """Every measured mIoU of Table 2, and Table 1's distances, from the records that drift is held against."""
    evaluations = drift.read(ROOT / "results/reference/mini.json").evaluations

    def value(what, metric):
        (kept,) = (kept for kept in evaluations.values() if kept.own and kept.of == what)
        return sum(value for by_seed in kept.metrics[metric].values() for value in by_seed.values()) / sum(
            map(len, kept.metrics[metric].values())
        )

    for name, sampler in (("DSM DDIM", "dsm segmentation ddim"), ("DSM DDPM", "dsm segmentation ddpm"),
                          ("SemFlow Euler", "semflow segmentation euler")):  # fmt: skip
        row = re.search(rf"^\| {name} \| measured \| (.+) \|$", README, re.MULTILINE)[1].split(" | ")
        for steps, number in zip((1, 2, 5, 10, 25, 50, 100, 200), row, strict=True):
            if number != "-":
                assert number == f"{value(f'{sampler}-{steps}', 'miou'):.1f}"
    (row,) = re.findall(r"^\| SemFlow \| Euler-25 \| (.+) \|$", README, re.MULTILINE)
    for metric, digits in (
        ("mmd2_efficientnet_lite0", 4),
        ("perceptual_efficientnet_lite0", 3),
        ("diversity_efficientnet_lite0", 3),
    ):
        assert f"{value('semflow synthesis euler-25', metric):.{digits}f}" in row.split(" | ")


def test_its_relative_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_every_suite_and_command_it_names_exists():
    for suite in re.findall(r"config/(\w+)\.yaml", README):
        assert (ROOT / f"config/{suite}.yaml").exists()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^[\w ]*\b{target}\b[\w ]*:", makefile, re.MULTILINE)


def test_its_suite_of_ones_own_is_one(tmp_path, monkeypatch):
    (text,) = re.findall(r"^```yaml\n(base.*?)^```", README, re.MULTILINE | re.DOTALL)
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
