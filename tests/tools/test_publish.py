"""Records and a report, copied to where they are committed."""

import json
from pathlib import Path

import numpy as np
import pytest

from semflow.claims.collect import read_runs
from semflow.errors import SemFlowError
from semflow.evaluation.records import arrays_path, write
from semflow.report.page import site
from semflow.tools.publish import publish


@pytest.fixture
def results(tmp_path, runs, make_run):
    """A suite's folder with records of two training seeds; returns it and the records' paths."""
    folder, paths = tmp_path / "results/hand", []
    again = make_run("semflow", "euler", 25, [[[4, 0], [0, 4]]] * 3, training_seed=1)
    for number, run in enumerate([*runs, again]):
        path = folder / f"records/scenes-test/{run.record.method}/segmentation/{run.record.steps}/{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, run.record.model_copy(update={"arrays_sha256": run.arrays.save(arrays_path(path))}))
        paths.append(path)
    return folder, paths


def test_published_records_read_back_with_the_same_numbers(results, tmp_path):
    _, paths = results
    publish(paths, tmp_path / "reports/hand")
    there = [tmp_path / "reports/hand" / path.relative_to(tmp_path / "results/hand") for path in paths]
    for before, after in zip(read_runs(paths), read_runs(there), strict=True):
        assert after.record.metrics == before.record.metrics
        for name, draws in before.arrays.draws.items():
            np.testing.assert_allclose(after.arrays.draws[name], draws, rtol=1e-6)


def test_pictures_stay_with_the_first_training_alone_and_confusions_with_the_main_sampler(results, tmp_path):
    _, paths = results
    publish(paths, tmp_path / "out")
    published = read_runs(sorted((tmp_path / "out").rglob("*.json")))
    assert {(run.record.training_seed, len(run.arrays.images) > 0) for run in published} == {(0, True), (1, False)}
    kept = {(run.record.method, run.record.sampler, run.record.steps) for run in published if run.arrays.confusions is not None}
    assert kept == {("semflow", "euler", 25)}


def test_records_of_another_run_stay_and_the_report_comes_beside_them(results, tmp_path):
    folder, paths = results
    (folder / "report/figures").mkdir(parents=True)
    (folder / "report/index.html").write_text("page")
    (folder / "report/figures/a.svg").write_text("drawing")
    (folder / "table2.csv").write_text("numbers")
    publish(paths[:2], tmp_path / "out")
    publish(paths[2:], tmp_path / "out", folder / "report", [folder / "table2.csv"])
    assert len(list((tmp_path / "out/records").rglob("*.json"))) == len(paths)
    made = {name: (tmp_path / "out" / name).read_text() for name in ("index.html", "figures/a.svg", "table2.csv")}
    assert made == {"index.html": "page", "figures/a.svg": "drawing", "table2.csv": "numbers"}


def test_a_published_page_links_the_records_that_lie_beside_it(results, tmp_path):
    folder, paths = results
    links = {"claims.json": folder / "claims.json"}
    site(read_runs(paths), {}, [], folder / "report/index.html", links, paths)
    (folder / "claims.json").write_text("{}")
    publish(paths, tmp_path / "out", folder / "report", [folder / "claims.json"])
    page = (tmp_path / "out/index.html").read_text()
    known = json.loads(page.partition('id="data-records">')[2].partition("</script>")[0])["files"]
    assert len(known) == len(paths)
    assert all((tmp_path / "out" / path).is_file() for path in known.values())
    assert 'href="claims.json"' in page


def test_a_report_replaces_the_one_that_was_there_and_nothing_else(results, tmp_path):
    folder, paths = results
    (folder / "report").mkdir()
    (folder / "report/index.html").write_text("page")
    publish(paths, tmp_path / "out", folder / "report")
    (tmp_path / "out/figures").mkdir()
    (tmp_path / "out/figures/old.svg").write_text("an older drawing")
    (tmp_path / "out/old.html").write_text("an older page")
    publish(paths[:1], tmp_path / "out", folder / "report")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"records", "index.html"}
    assert len(list((tmp_path / "out/records").rglob("*.json"))) == len(paths)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("dear")
    with pytest.raises(SemFlowError, match="is no published report"):
        publish(paths, tmp_path / "home", folder / "report")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_a_published_notebook_opens_what_a_clone_has(results, tmp_path, monkeypatch):
    _, paths = results
    monkeypatch.chdir(tmp_path)
    report = Path("results/hand/report")
    (report / "notebooks").mkdir(parents=True)
    names = ("config.json", "claims.json", "records", "checkpoints/semflow/seed0")
    (report / "notebooks/a.ipynb").write_text(" ".join(f"results/hand/{name}" for name in names))
    publish(paths, Path("reports/hand"), report)
    told = (tmp_path / "reports/hand/notebooks/a.ipynb").read_text()
    assert told == "config/hand.yaml reports/hand/claims.json reports/hand/records results/reference/weights/semflow"


@pytest.mark.parametrize("with_report", [True, False])
def test_a_run_is_not_published_over_itself(results, with_report):
    folder, paths = results
    (folder / "report").mkdir()
    (folder / "report/index.html").write_text("page")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(SemFlowError, match="give another folder" if with_report else "publish to another folder"):
        publish(paths, folder, folder / "report" if with_report else None)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_published_records_may_be_published_again_where_they_are(results, tmp_path):
    _, paths = results
    publish(paths, tmp_path / "out")
    there = sorted((tmp_path / "out").rglob("*.json"))
    before = {path: path.read_bytes() for path in there}
    publish(there, tmp_path / "out")
    assert {path: path.read_bytes() for path in there} == before


def test_records_of_two_suites_or_of_no_folder_of_records_are_refused(results, tmp_path, store, runs):
    _, paths = results
    other = store([runs[0]])
    with pytest.raises(SemFlowError, match="lies in no folder 'records'"):
        publish(other, tmp_path / "out")
    write(other[0], runs[0].record.model_copy(update={"suite": "another"}))
    with pytest.raises(SemFlowError, match="are of several suites"):
        publish([*paths, *other], tmp_path / "out")
