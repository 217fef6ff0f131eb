"""Table 2 from records made by hand, whose scores are known."""

import math
import subprocess
import sys
from types import SimpleNamespace

import pytest
from record_fixtures import changed

from baselines import METHODS
from semflow import published
from semflow.claims.collect import read_runs, with_interval
from semflow.errors import SemFlowError
from semflow.evaluation import records
from semflow.report import selection, table2
from semflow.report.page import page, sections
from semflow.report.products import Beside, chosen
from semflow.report.tables import Entry, same_for_every_seed

PERFECT = [[[4, 0], [0, 4]]] * 3
HALF = [[[4, 0], [4, 4]]] * 3


@pytest.fixture
def frame(runs):
    return table2.table2(runs)


def notes(runs):
    return " ".join(table2.notes(runs))


def row(frame, method, steps, metric="miou"):
    (found,) = frame[(frame.method == method) & (frame.steps == steps) & (frame.metric == metric)].itertuples()
    return found


def test_a_value_is_the_mean_over_seeds(frame):
    assert row(frame, "dsm", 25).value == pytest.approx(75)
    assert row(frame, "dsm", 25).n_seeds == 2
    assert row(frame, "semflow", 25).value == pytest.approx(100)


def test_the_interval_of_equal_images_has_no_width(frame):
    assert (row(frame, "dsm", 25).low, row(frame, "dsm", 25).high) == pytest.approx((75, 75))


def test_the_interval_covers_what_images_differ_by(make_run):
    mixed = [[[4, 0], [0, 4]], [[0, 4], [4, 0]]] * 10
    found = row(table2.table2([make_run("semflow", "euler", 25, mixed)]), "semflow", 25)
    assert found.value == pytest.approx(100 / 3)
    assert found.low < 20
    assert found.high > 50


def test_the_spread_between_seeds_stands_in_a_row_of_its_own(frame):
    assert row(frame, "dsm", 25, "miou_seed_sd").value == pytest.approx(50 / math.sqrt(2))
    assert row(frame, "semflow", 25, "miou_seed_sd").value == 0
    assert len(frame[(frame.metric == "miou_seed_sd") & (frame.steps == 1)]) == 0


def test_published_numbers_stand_beside_measured_ones_and_only_for_miou(frame):
    assert row(frame, "semflow", 25).published == 38.6
    assert row(frame, "dsm", 25).published == 17.5
    assert math.isnan(row(frame, "semflow", 25, "pixel_accuracy").published)
    assert math.isnan(row(frame, "oracle", 0).published)


def test_published_table_is_the_papers():
    numbers = published.table2()
    assert len(numbers) == 22
    assert [numbers["semflow", "euler", n] for n in (1, 2, 5, 10, 25, 50, 100, 200)] == [
        28.3,
        31.0,
        36.9,
        38.4,
        38.6,
        38.4,
        38.3,
        38.3,
    ]
    assert [numbers["dsm", "ddim", n] for n in (2, 5, 10, 25, 50, 100, 200)] == [0.1, 4.0, 9.5, 13.6, 14.9, 15.7, 16.1]
    assert [numbers["dsm", "ddpm", n] for n in (2, 5, 10, 25, 50, 100, 200)] == [0.1, 5.3, 12.3, 17.5, 18.9, 19.6, 20.2]


def test_the_wide_table_keeps_the_papers_order_and_leaves_a_dash_where_nothing_was_run(runs):
    grid = table2.grid(runs)
    assert grid.header == ["method", "", "1 step", "25 steps"]
    assert grid.values == [
        ["DSM DDPM", "measured", "-", "75.0"],
        ["", "published", "-", "17.5"],
        ["SemFlow Euler", "measured", "50.0", "100.0"],
        ["", "published", "28.3", "38.6"],
        ["oracle (ground truth, encoded and decoded)", "measured", "100.0", "100.0"],
        ["shuffled labels (another image's ground truth)", "measured", "50.0", "50.0"],
    ]


def test_at_the_papers_scale_values_are_not_called_incomparable(make_run):
    run = make_run("semflow", "euler", 25, [[[4, 0], [0, 4]]] * 3, dataset="COCO-Stuff-164k")
    protocol = run.record.protocol.model_copy(update={"evaluation_size": (512, 512)})
    large = changed(run, protocol=protocol, n_parameters=859_520_964)
    assert "not comparable" in notes([run])
    assert "not comparable" not in notes([large])
    assert "512 x 512, 2 classes) with a network of 859,520,964 parameters" in notes([large])


def test_text_says_that_it_is_a_proxy_and_what_seeds_and_resamples_did(frame, runs):
    text = table2.markdown(table2.grid(runs), runs)
    assert "not comparable" in text
    assert "SemFlow Euler-25 under 2 seeds: identical to the bit" in text
    assert "DSM DDPM-25 under 2 seeds: mIoU standard deviation 35.36" in text
    assert "With intervals. Intervals: over frames." in text


def test_two_trainings_with_different_weights_are_no_sign_of_a_random_sampler(make_run):
    group = [
        make_run(
            "semflow",
            "euler",
            25,
            HALF if training else PERFECT,
            sampling_seed=seed,
            digest=f"weights {training}",
            training_seed=training,
        )
        for training in (0, 1)
        for seed in (0, 1)
    ]
    assert same_for_every_seed(group)
    assert row(table2.table2(group), "semflow", 25, "miou_seed_sd").value == 0


def latex(runs, folder):
    """table2.tex as it is written."""
    table2.forms(runs, Beside())[".tex"](folder / "table2.tex")
    return (folder / "table2.tex").read_text()


def test_latex_escapes_the_percent_sign(runs, tmp_path):
    assert "%" not in latex(runs, tmp_path).replace(r"\%", "")


def test_the_page_escapes_what_comes_from_data(runs):
    text = page("T", [table2.grid(runs)], [notes(runs)], [("a.svg", 'a "caption" <i>')], runs)
    assert "scenes <b>" not in text
    assert "scenes &lt;b&gt;" in text
    assert "<i>" not in text
    assert "cccccccccc" in text


def test_the_report_needs_no_torch():
    code = "import sys, semflow.report.write; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_the_table_says_which_method_is_modified_and_how(runs):
    assert "modified" not in notes(runs)
    stronger = [changed(run, method="dsm_modified") if run.record.method == "dsm" else run for run in runs]
    assert f"DSM, modified: {METHODS['dsm_modified'].modified}." in notes(stronger)


def test_arrays_of_another_record_are_refused(runs, tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    for path, run in ((first, runs[0]), (second, runs[2])):
        digest = run.arrays.save(records.arrays_path(path))
        records.write(path, run.record.model_copy(update={"arrays_sha256": digest}))
    assert len(read_runs([first, second])) == 2
    records.arrays_path(first).write_bytes(records.arrays_path(second).read_bytes())
    with pytest.raises(SemFlowError, match=r"first\.npz is not what .*first\.json was written with"):
        read_runs([first, second])


def test_a_solver_that_chooses_its_own_steps_is_no_control(runs, make_run):
    rows = table2.grid([*runs, make_run("semflow", "rk45", 0, PERFECT)]).values
    assert [row[0] for row in rows if row[0].startswith(("SemFlow", "oracle", "shuffled labels"))] == [
        "SemFlow Euler",
        "SemFlow RK45",
        "oracle (ground truth, encoded and decoded)",
        "shuffled labels (another image's ground truth)",
    ]


def test_models_with_other_perturbations_are_never_one_row(runs):
    other = runs[0]._replace(record=runs[0].record.model_copy(update={"amplitude": 0.0}))
    with pytest.raises(SemFlowError, match="SemFlow Euler-25 have several perturbations .*b = 6"):
        table2.table2([*runs, other])


def test_a_variant_of_the_suite_is_never_in_a_row_with_the_suites_own(runs):
    other = changed(runs[0], variant="double")
    with pytest.raises(SemFlowError, match=r"SemFlow Euler-25 have several perturbations .*b = 6 b' = 0 double"):
        table2.table2([*runs, other])
    assert chosen("table2", [*runs, other]) == chosen("table2", runs)
    assert sections.of_table2([*runs, other]) == sections.of_table2(runs)


def test_records_of_another_task_are_left_out_of_table_2(runs, make_synthesis):
    assert table2.table2([*runs, make_synthesis()]).equals(table2.table2(runs))
    with pytest.raises(SemFlowError, match="needs records of segmentation"):
        table2.table2([make_synthesis()])


def test_a_number_that_rounds_to_zero_has_no_sign():
    assert with_interval(-0.004, -0.0449, 0.2, 1) == "0.0 [0.0, 0.2]"
    assert str(Entry.difference(SimpleNamespace(value=1.001, published=1.003, metric="miou"))) == "+0.0"


def test_controls_stand_as_the_protocol_lists_them():
    controls = ["white_noise", "repainted", "oracle", "grey_card", "dsm"]
    assert sorted(controls, key=lambda name: selection.place(name)) == ["dsm", "oracle", "repainted", "grey_card", "white_noise"]
