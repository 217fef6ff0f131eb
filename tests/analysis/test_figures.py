"""Figures from records made by hand."""

import pytest

from semflow.analysis import figures, tables
from semflow.analysis.report import write
from semflow.errors import SemFlowError
from semflow.records import arrays_path
from semflow.records import read as read_record
from semflow.records import write as write_record


def test_curves_draw_measured_and_published_in_two_panels_with_one_scale(runs):
    figure, caption = figures.table2(tables.table2(runs), runs)
    measured, paper = figure.axes
    assert len(paper.lines) == 3
    assert len(measured.containers) == 2
    assert measured.get_ylim() == paper.get_ylim()
    assert measured.get_ylim()[0] == 0
    assert "not values" in caption


def test_a_method_that_the_paper_does_not_have_is_drawn_too(runs):
    other = [run._replace(record=run.record.model_copy(update={"method": "other"})) for run in runs if run.record.steps]
    figure, _ = figures.table2(tables.table2([*runs, *other]), runs)
    measured, paper = figure.axes
    assert len(measured.containers) == 4
    assert {"other Euler", "other DDPM"} <= {container.get_label() for container in measured.containers}
    assert len(paper.lines) == 3


def test_figure_2_shows_image_truth_semflow_once_and_dsm_under_every_seed(runs):
    figure, _ = figures.figure02(runs)
    titles = [axes.get_title() for axes in figure.axes[:5]]
    assert titles == ["image", "ground truth", "SemFlow\nEuler-25\nevery seed", "DSM\nDDPM-25\nseed 0", "DSM\nDDPM-25\nseed 1"]
    assert len(figure.axes) == 2 * 5  # two stored examples


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_records_give_the_same_file(runs, tmp_path, suffix):
    for name in ("a", "b"):
        figure, _ = figures.figure02(runs)
        figures.save(figure, tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.fixture
def stored(runs, tmp_path):
    paths = []
    for number, run in enumerate(runs):
        paths.append(tmp_path / f"{number}.json")
        digest = run.arrays.save(arrays_path(paths[-1]))
        write_record(paths[-1], run.record.model_copy(update={"arrays_sha256": digest}))
    return paths


def test_every_product_is_written_from_stored_records_alone(stored, tmp_path):
    table, curves = tmp_path / "table2.csv", tmp_path / "figures/table2.svg"
    write("table2", stored, None, [], [table, tmp_path / "table2.md", tmp_path / "table2.tex"])
    write("figure_table2", stored, table, [], [curves, curves.with_suffix(".txt")])
    write("figure02", stored, None, [], [tmp_path / "figures/figure02.png"])
    write("page", stored, table, [curves.with_suffix(".txt")], [tmp_path / "page.html"])
    assert 'src="figures/table2.svg"' in (tmp_path / "page.html").read_text()


def test_records_of_different_data_are_not_mixed(stored, tmp_path):
    record = read_record(stored[0])
    elsewhere = record.provenance.model_copy(update={"data_sha256": "other"})
    write_record(stored[0], record.model_copy(update={"provenance": elsewhere}))
    with pytest.raises(SemFlowError, match="other data"):
        write("table2", stored, None, [], [tmp_path / "table2.csv"])


def test_an_unknown_suffix_is_refused(stored, tmp_path):
    with pytest.raises(SemFlowError, match=r"table2\.xls: the suffix must be one of \.csv, \.md, \.tex"):
        write("table2", stored, None, [], [tmp_path / "table2.xls"])


def test_figure_2_without_several_seeds_is_refused(runs, tmp_path):
    with pytest.raises(SemFlowError, match="several sampling seeds"):
        figures.figure02(runs[2:3])
