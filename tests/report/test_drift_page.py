"""A drift check as a page, and Table 2 beside a reference."""

import html
import re

import pytest
from record_fixtures import changed

from semflow.claims import drift
from semflow.claims.document import load
from semflow.report.beside_reference import beside_reference
from semflow.report.drift_page import drift_page

EULER = "SemFlow, b = 6: SemFlow Euler-25 segmentation"


def weighing(run, weights):
    return changed(run, provenance=run.record.provenance.model_copy(update={"checkpoint_sha256": weights}))


@pytest.fixture
def trained(make_run, matrices):
    """trained(weights, {training seed: share of pixels right}, method="semflow", ...) -> Runs."""

    def make(weights, shares, method="semflow", sampler="euler", steps=25):
        of_seeds = {seed: make_run(method, sampler, steps, matrices(share), training_seed=seed) for seed, share in shares.items()}
        return [weighing(run, f"{weights} {seed}") for seed, run in of_seeds.items()]

    return make


@pytest.fixture
def reference(trained, tmp_path):
    drift.accept(trained("a", {0: 0.90, 1: 0.91, 2: 0.89, 3: 0.90}), tmp_path / "r.json", "first")
    return drift.read(tmp_path / "r.json")


def told(runs, reference):
    """The check, its page, and the cells of every row of the page's tables, by their first."""
    check = drift.check(drift.reference_of(runs), reference, load())
    page = drift_page(check, runs)
    rows = [re.findall(r"<t[hd]\b[^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in re.findall(r"<tr\b.*?</tr>", page, re.DOTALL)]
    cells = [[html.unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in row] for row in rows]
    return check, page, {name: rest for name, *rest in filter(None, cells)}


def test_a_page_has_the_verdict_what_to_do_and_every_watched_number(trained, reference):
    check, page, rows = told(trained("b", {0: 0.5}), reference)
    assert check.verdict == "drift"
    assert f"Verdict: drift. {drift.NEXT['drift']}" in html.unescape(page)
    assert "0 metrics of the same weights, 0 trainings by their first losses, 1 watched numbers of other weights" in page
    (one,) = check.watched
    band, trainings, here, worse, limit, p, drifted = rows[f"{EULER}: mIoU"]
    assert (band, trainings, drifted) == (f"{min(one.was):.4g} to {max(one.was):.4g}", "4", "yes")
    assert [float(x) for x in (here, worse, limit, p)] == pytest.approx([one.now[0], one.worse, one.limit, one.p], rel=0.02)
    assert rows["host"][:3] == ["a", "a", "yes"]


def test_a_page_says_what_differs_between_the_two_sides(trained, reference):
    runs = trained("a", {0: 0.90})
    moved = [changed(run, provenance=run.record.provenance.model_copy(update={"host": "b <i>"})) for run in runs]
    check, page, rows = told(moved, reference)
    assert check.verdict == "no drift"
    assert (rows["host"], rows["device"]) == (["a", "b <i>", "no"], ["cpu", "cpu", "yes"])
    assert "b <i>" not in page


def test_a_page_names_what_is_not_the_same_metric_and_what_cannot_be_told(trained, reference):
    few = reference.evaluations[EULER]
    lone = few.model_copy(update={"weights": {"0": "a 0"}, "metrics": {name: {"0": of["0"]} for name, of in few.metrics.items()}})
    check, page, _ = told(
        [*trained("b", {0: 0.9}), *trained("b", {0: 0.9}, steps=5)], reference.model_copy(update={"evaluations": {EULER: lone}})
    )
    assert check.verdict == "not the same metric"
    assert "SemFlow Euler-5 segmentation: measured, but not in the reference." in page
    assert "mIoU cannot be told: the reference has 1 training, and at least 3 are needed." in page


def test_table_2_beside_a_reference_has_a_dash_for_what_reference_or_paper_lack(trained, make_run, reference):
    runs = [*trained("b", {0: 0.5}), *trained("b", {0: 0.5}, "dsm", "ddpm", 25), *trained("b", {0: 0.5}, "semflow", "heun", 5)]
    table = beside_reference([*runs, make_run("oracle", "direct", 0, [[[4, 0], [0, 4]]] * 3)], reference)
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    assert header == ["mIoU in percent", "here", "reference: mean [range] of up to 4 trainings", "published"]
    cells = {row[0]: row[1:] for row in rows}
    mean, low, high = drift.band(reference, load().watched[0], runs[0].record.dataset)
    assert cells["SemFlow Euler-25"][1:] == [f"{mean:.1f} [{low:.1f}, {high:.1f}]", "38.6"]
    assert cells["DSM DDPM-25"][1] == "-"
    assert cells["SemFlow Heun-5"][1:] == ["-", "-"]
    assert "oracle" not in table
    assert cells["DSM DDPM-25"][0] == f"{runs[1].record.metrics['miou'].value:.1f}"
