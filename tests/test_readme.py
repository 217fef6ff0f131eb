"""The README says what the committed reports say."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("suite", ["camvid_cpu", "mini"])
def test_its_tables_are_those_of_the_reports(suite):
    report = (ROOT / f"reports/{suite}/table2.md").read_text(encoding="utf-8")
    table = re.search(r"^\| mIoU at N steps.*?(?=\n\n)", report, re.MULTILINE | re.DOTALL)
    assert table[0] in README


def test_its_table_1_is_that_of_the_report_without_intervals():
    report = (ROOT / "reports/mini/table1.md").read_text(encoding="utf-8")
    table = re.search(r"^\| method \| sampler.*?(?=\n\n)", report, re.MULTILINE | re.DOTALL)
    assert re.sub(r" \[[^\]]*\]", "", table[0]) in README


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


def test_its_python_runs():
    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert names["predicted"].shape == names["labels"].shape
