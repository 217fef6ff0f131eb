"""Table 1 and the ablations from records made by hand, whose values are known."""

import math

import pytest

from semflow import published
from semflow.report import table1
from semflow.report.ablations import ablations
from semflow.report.page import page
from semflow.report.products import Beside

PERFECT = [[[4, 0], [0, 4]]] * 3
FRECHET, MMD2 = "frechet_efficientnet_lite0", "mmd2_efficientnet_lite0"


@pytest.fixture
def runs(make_run, make_synthesis):
    return [
        make_run("semflow", "euler", 25, PERFECT),
        make_run("dsm", "ddpm", 200, PERFECT),
        make_synthesis(10.0),
        make_synthesis(12.0, sampling_seed=1, digest="b"),
        make_synthesis(3.0, "direct", 0, method="real_images", n_parameters=None, evaluations=0),
        make_run("oracle", "direct", 0, PERFECT),
    ]


@pytest.fixture
def frame(runs):
    return table1.table1(runs)


def row(frame, method, metric, sampler=None):
    chosen = (frame.method == method) & (frame.metric == metric) & ((frame.sampler == sampler) if sampler else True)
    (found,) = frame[chosen].itertuples()
    return found


def test_all_eight_rows_of_the_paper_stand_first_and_in_its_order(frame):
    rows = list(dict.fromkeys(zip(frame.method, frame.sampler, frame.steps, strict=True)))
    assert rows[:8] == list(published.table1())
    assert [name for name, _, _ in rows[8:]] == ["oracle", "real_images"]


def test_published_numbers_are_the_papers(frame):
    assert row(frame, "maskformer", "miou").published == 41.9
    assert (row(frame, "spade", "fid").published, row(frame, "spade", "lpips").published) == (42.2, 0.487)
    assert row(frame, "semflow", "miou").published == 38.6
    assert row(frame, "dsm", "miou", "ddim").published == 16.1


def test_a_proxy_never_stands_beside_a_published_number(frame):
    assert math.isnan(row(frame, "semflow", FRECHET).published)
    assert math.isnan(row(frame, "semflow", "fid").value)
    assert row(frame, "semflow", "fid").published == 32.6


def test_a_value_is_the_mean_over_sampling_seeds(frame):
    found = row(frame, "semflow", FRECHET)
    assert (found.value, found.n_seeds) == (11, 2)
    assert found.low < 11 < found.high


def test_the_spread_between_sampling_seeds_stands_beside(frame, runs):
    assert row(frame, "semflow", f"{FRECHET}_seed_sd").value == pytest.approx(2**0.5)
    assert "MMD² (EfficientNet-Lite0) standard deviation 0.0000" in " ".join(table1.notes(runs))


def test_a_row_without_a_value_of_ours_is_published_only(frame):
    for method in ("maskformer", "pix2pixhd", "spade", "scgan", "bbdm"):
        assert frame[frame.method == method].value.isna().all()


def test_the_wide_table_names_the_proxy_and_says_what_other_real_images_get(runs):
    grid = table1.grid(runs)
    header, rows = grid.header, grid.texts
    assert "Fréchet distance (EfficientNet-Lite0); other real images 3.00" in header
    assert "FID, published" in header
    assert "FID" not in header
    by_method = {row[0] + row[1]: dict(zip(header, row, strict=True)) for row in rows}
    semflow = by_method["SemFlowEuler-25"]
    assert semflow["Fréchet distance (EfficientNet-Lite0); other real images 3.00"].startswith("11.00 [")
    assert (semflow["FID, published"], semflow["LPIPS, published"]) == ("32.6", "0.393")
    assert by_method["BBDMBBDM-200"]["mIoU"] == "-"


def test_the_notes_say_which_distance_to_read_and_whether_seeds_differ(runs):
    notes = " ".join(table1.notes(runs))
    assert "fewer than 2,048, MMD² (EfficientNet-Lite0) is the one to read" in notes
    assert "under sampling seeds 0, 1: different pictures" in notes
    assert "not comparable" in notes


def test_with_the_networks_of_the_field_fid_stands_beside_fid(runs, make_synthesis):
    def renamed(run):
        metrics = {name.replace("frechet_efficientnet_lite0", "fid"): metric for name, metric in run.record.metrics.items()}
        draws = {name.replace("frechet_efficientnet_lite0", "fid"): values for name, values in run.arrays.draws.items()}
        object.__setattr__(run.arrays, "draws", draws)
        return run._replace(record=run.record.model_copy(update={"metrics": metrics}))

    frame = table1.table1([renamed(run) if run.record.task == "synthesis" else run for run in runs])
    assert (row(frame, "semflow", "fid").value, row(frame, "semflow", "fid").published) == (11, 32.6)


def test_text_forms_escape_what_is_theirs(runs, tmp_path):
    table1.forms(runs, Beside())[".tex"](tmp_path / "table1.tex")
    tex = (tmp_path / "table1.tex").read_text()
    assert tex.count(r"\\") == 11  # the head, eight rows of the paper, two controls
    html = page("T", [table1.grid(runs)], table1.notes(runs), [], runs)
    assert "scenes &lt;b&gt;" in html
    assert "<b>" not in html


def test_ablations_tell_cells_apart_by_both_perturbations(make_synthesis):
    runs = [make_synthesis(10.0), make_synthesis(20.0, b=0.0, drawn_with=0.0), make_synthesis(30.0, drawn_with=12.0)]
    frame = ablations(runs)
    values = {(r.amplitude, r.sampling_amplitude): r.value for r in frame[frame.metric == FRECHET].itertuples()}
    assert values == {(6, 6): 10, (0, 0): 20, (6, 12): 30}
