"""The page that links the reports of all suites."""

import json

import pytest

from semflow import cli
from semflow.claims import document, verdicts
from semflow.errors import SemFlowError
from semflow.report.suites import suites


@pytest.fixture
def results(runs, tmp_path):
    """A suite with claims, one with a table alone, one without a report; the first as a run makes it, the second published."""
    root = tmp_path / "results"
    for page in ("hand/report/index.html", "hand/report/table2.html", "other/table2.html", "empty/records/r.json"):
        (root / page).parent.mkdir(parents=True, exist_ok=True)
        (root / page).write_text("page")
    (root / "hand/claims.json").write_text(json.dumps(verdicts.judge(runs, document.load())))
    return root


def test_every_report_is_linked_with_the_counts_of_its_claims(results):
    cli.main(["suites", str(results), "--out", str(results / "index.html")])
    page = (results / "index.html").read_text()
    assert [part.partition('"')[0] for part in page.split('<a href="')[1:]] == [
        "hand/report/index.html", "hand/report/table2.html", "other/table2.html",
    ]  # fmt: skip
    judged = json.loads((results / "hand/claims.json").read_text())["claims"]
    n = sum(claim["verdict"] == "not run" for claim in judged if claim["kind"] != "table_entry")
    assert f"{n} not run" in page
    assert page.count("No claims were judged.") == 1
    assert "empty" not in page


def test_without_any_report_it_is_said_how_to_make_one(tmp_path):
    with pytest.raises(SemFlowError, match="holds no suite's report; make one"):
        suites(tmp_path, tmp_path / "index.html")
    with pytest.raises(SemFlowError, match="nowhere cannot be read"):
        suites(tmp_path / "nowhere", tmp_path / "index.html")


def test_a_damaged_file_of_claims_is_named(results):
    (results / "hand/claims.json").write_text("{}")
    with pytest.raises(SemFlowError, match="hand/claims.json is not a file of claims"):
        suites(results, results / "index.html")
    assert not (results / "index.html").exists()
