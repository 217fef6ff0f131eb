"""What every method costs, from records made by hand."""

import pandas as pd
import pytest
from record_fixtures import changed

from semflow.evaluation.records import Budget
from semflow.report import budget
from semflow.report.products import Beside

PERFECT = [[[4, 0], [0, 4]]] * 3
SPENT = {
    "parameters_sampling": 1000, "parameters_training": 3000, "images_seen": 41600, "optimizer_steps": 2600,
    "training_flops": 5 * 10**12, "training_wall_s": 100.0, "training_device": "cpu", "flops_per_output": 2 * 10**9,
}  # fmt: skip


def spending(run, **fields):
    """The same run, whose record holds a budget."""
    return changed(run, budget=Budget(**SPENT | fields))


@pytest.fixture
def spent(make_run, make_synthesis):
    """SemFlow's two trainings and both tasks, DSM by two samplers, and a control."""
    slower = make_run("semflow", "euler", 25, PERFECT, training_seed=1)
    return [
        spending(make_run("semflow", "euler", 25, PERFECT)),
        spending(slower, training_wall_s=300.0, training_device="NVIDIA H100"),
        spending(make_run("semflow", "euler", 200, PERFECT), flops_per_output=16 * 10**9),
        spending(make_synthesis(), flops_per_output=4 * 10**9),
        spending(make_run("dsm", "ddim", 25, PERFECT), flops_per_output=6 * 10**9),
        spending(make_run("dsm", "ddpm", 100, PERFECT), flops_per_output=24 * 10**9),
        make_run("oracle", "direct", 0, PERFECT),
    ]


def rows(frame):
    return {row["method"]: row for row in frame.to_dict("records")}


def test_every_method_has_one_row_and_controls_have_none(spent):
    assert list(budget.budget(spent).method) == ["semflow", "dsm"]


def test_weights_and_work_are_those_of_the_record(spent):
    semflow = rows(budget.budget(spent))["semflow"]
    assert (semflow["parameters_sampling"], semflow["parameters_training"]) == (1000, 3000)
    assert (semflow["images_seen"], semflow["optimizer_steps"], semflow["training_tflop"]) == (41600, 2600, 5.0)


def test_wall_time_is_the_mean_over_trainings_and_every_device_is_named(spent):
    semflow = rows(budget.budget(spent))["semflow"]
    assert (semflow["training_wall_s"], semflow["training_device"]) == (200.0, "cpu and NVIDIA H100")


def test_an_output_is_by_the_main_sampler_or_else_at_the_most_steps(spent):
    found = rows(budget.budget(spent))
    assert (found["semflow"]["segmentation_sampler"], found["semflow"]["segmentation_gflop"]) == ("euler-25", 2.0)
    assert (found["semflow"]["synthesis_evaluations"], found["semflow"]["synthesis_gflop"]) == (25, 4.0)
    assert (found["dsm"]["segmentation_sampler"], found["dsm"]["segmentation_gflop"]) == ("ddpm-100", 24.0)
    assert pd.isna(found["dsm"]["synthesis_gflop"])


def test_csv_markdown_and_page_have_the_same_rows(spent, tmp_path):
    for suffix, write in budget.forms(spent, Beside()).items():
        write(tmp_path / f"budget{suffix}")
    assert pd.read_csv(tmp_path / "budget.csv").method.tolist() == ["semflow", "dsm"]
    written = (tmp_path / "budget.md").read_text()
    training, outputs = budget.grids(spent)
    assert training.header[:3] == ["method", "weights in sampling", "weights in training"]
    assert [row[:3] for row in outputs.texts] == [
        ["SemFlow", "segmentation", "Euler-25"], ["SemFlow", "synthesis", "Euler-25"], ["DSM", "segmentation", "DDPM-100"],
    ]  # fmt: skip
    for row in (*training.texts, *outputs.texts):
        assert f"| {' | '.join(row)} |" in written
    assert "41,600" in written
    assert "of one evaluation on cpu (threads: 1), others running beside it" in written


def test_records_of_several_data_sets_are_never_one_row(spent, on_dataset):
    frame = budget.budget([*(on_dataset(run, "coco_stuff") for run in spent), *(on_dataset(run, "camvid") for run in spent)])
    assert list(zip(frame.dataset, frame.method, strict=True)) == [
        ("coco_stuff", "semflow"), ("coco_stuff", "dsm"), ("camvid", "semflow"), ("camvid", "dsm"),
    ]  # fmt: skip


def test_weights_that_were_trained_elsewhere_leave_dashes(make_run):
    alone = {"parameters_sampling": 1000, "parameters_training": 1000, "flops_per_output": 3e9}
    training, outputs = budget.grids([changed(make_run("semflow", "euler", 25, PERFECT), budget=Budget(**alone))])
    assert training.texts == [["SemFlow", "1,000", "1,000", "-", "-", "-", "-", "unknown"]]
    assert outputs.texts == [["SemFlow", "segmentation", "Euler-25", "25", "3", "1.0"]]
