"""The README says what the committed reports say."""

import re
from pathlib import Path

import pytest

from semflow.claims import drift
from semflow.claims.document import load

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


def test_its_verdicts_are_those_of_the_report():
    report = (ROOT / "reports/mini/claims.md").read_text(encoding="utf-8")
    judged = dict(
        re.findall(r"^\| (.+?) \| (reproduced|not reproduced|inconclusive|not comparable|not run)\b", report, re.MULTILINE)
    )
    assert len(judged) == len(load().claims)
    told = {}
    for verdict, count, claims in re.findall(r"^\| \*\*(.+?)\*\* \((\d+)\)[^|]*\| (.+) \|$", README, re.MULTILINE):
        words = claims.split(" <br> ")
        assert len(words) == int(count)
        told |= dict.fromkeys(words, verdict)
    assert told == judged


def test_its_numbers_are_those_of_the_reference():
    """Every measured mIoU of Table 2, and Table 1's distances, from the records that drift is held against."""
    evaluations = drift.read(ROOT / "results/reference/mini.json").evaluations

    def value(name, metric):
        seeds = [value for by_seed in evaluations[name].metrics[metric].values.values() for value in by_seed.values()]
        return sum(seeds) / len(seeds)

    for name, evaluation in (("DSM DDIM", "DSM DDIM-{}"), ("DSM DDPM", "DSM DDPM-{}"), ("SemFlow Euler", "SemFlow Euler-{}")):
        row = re.search(rf"^\| {name} \| measured \| (.+) \|$", README, re.MULTILINE)[1].split(" | ")
        for steps, number in zip((1, 2, 5, 10, 25, 50, 100, 200), row, strict=True):
            trained = ", b = 6" if name.startswith("SemFlow") else ""
            if number != "-":
                assert number == f"{value(evaluation.format(steps) + ' segmentation' + trained, 'miou'):.1f}"
    (row,) = re.findall(r"^\| SemFlow \| Euler-25 \| (.+) \|$", README, re.MULTILINE)
    synthesis, numbers = "SemFlow Euler-25 synthesis, b = 6", row.split(" | ")
    assert numbers[2] == f"{value(synthesis, 'mmd2_efficientnet_lite0'):.4f}"
    assert numbers[3] == f"{value(synthesis, 'frechet_efficientnet_lite0'):.2f}"
    assert numbers[5] == f"{value(synthesis, 'perceptual_efficientnet_lite0'):.3f}"
    assert numbers[7] == f"{value(synthesis, 'diversity_efficientnet_lite0'):.3f}"


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
