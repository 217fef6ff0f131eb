"""Splits on which little or nothing can be measured: known before any work, or null with its reason."""

from pathlib import Path

import numpy as np
import pytest

from semflow import files
from semflow.claims.collect import read_runs, with_interval
from semflow.cli import main
from semflow.data.sample import IGNORE_INDEX
from semflow.data.scenes import Scenes
from semflow.errors import SemFlowError
from semflow.evaluation import evaluate
from semflow.evaluation.metrics.appearance import PathLength
from semflow.evaluation.metrics.distances import kernel_draws
from semflow.evaluation.records import Arrays
from semflow.method.samplers import DIRECT, Sampler
from semflow.report.write import write
from semflow.suite.runs import Evaluation

EULER = Evaluation("semflow", "segmentation", Sampler("euler", 1), 6.0)
DRAWN = EULER._replace(task="synthesis", sampling_amplitude=6.0)
CONTROLS = [Evaluation("oracle", "segmentation", DIRECT), Evaluation("real_images", "synthesis", DIRECT)]
NAMES = ("mmd2_efficientnet_lite0", "precision_efficientnet_lite0", "recall_efficientnet_lite0")


def of_images(suite, n):
    return suite.model_copy(update={"data": suite.data.model_copy(update={"n_test": n})})


@pytest.fixture
def void(monkeypatch):
    """Scenes of which no pixel has a label."""
    whole = Scenes.__getitem__
    monkeypatch.setattr(
        Scenes, "__getitem__", lambda self, index: whole(self, index)._replace(labels=np.full((16, 16), IGNORE_INDEX, np.uint8))
    )


def refused(suite, evaluation, tmp_path) -> str:
    with pytest.raises(SemFlowError) as error:
        evaluate(suite, evaluation, tmp_path / "no checkpoint", tmp_path / "r.json", tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []
    return str(error.value)


@pytest.mark.parametrize("evaluation", [EULER, DRAWN, *CONTROLS], ids=lambda one: f"{one.method} {one.task}")
def test_one_image_is_refused_before_a_checkpoint_is_opened(tiny_suite, tmp_path, evaluation):
    assert "has 1 images; at least 2" in refused(of_images(tiny_suite, 1), evaluation, tmp_path)


@pytest.mark.parametrize("evaluation", [EULER, DRAWN, *CONTROLS], ids=lambda one: f"{one.method} {one.task}")
def test_a_split_without_a_label_is_refused_before_a_checkpoint_is_opened(tiny_suite, tmp_path, void, evaluation):
    assert "no pixel of the test split of scenes has a label" in refused(tiny_suite, evaluation, tmp_path)


def test_what_evaluation_will_refuse_is_refused_before_a_training(tiny_suite, tmp_path, void, capsys):
    files.write_json(tmp_path / "suite.json", tiny_suite.model_dump(mode="json"))
    words = f"train --config {tmp_path}/suite.json --method semflow --state {tmp_path}/state --out {tmp_path}/out"
    with pytest.raises(SystemExit) as stop:
        main(words.split())
    assert stop.value.code == 2
    assert "test split" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["suite.json"]


@pytest.mark.parametrize("n_images", [2, 3])
def test_of_two_or_three_images_what_cannot_be_had_is_null_with_its_reason(tiny_suite, weights_of, tmp_path, n_images):
    record = evaluate(of_images(tiny_suite, n_images), DRAWN, weights_of("semflow"), tmp_path / "r.json", tmp_path / "cache")
    distance, precision, recall = (record.metrics[name] for name in NAMES)
    assert distance.value is not None
    assert (distance.low, distance.high, precision.value, recall.value) == (None,) * 4
    assert set(record.reasons) == set(NAMES)
    assert record.reasons["recall_efficientnet_lite0"] == "it needs more than 3 images"
    assert not set(NAMES) & Arrays.load(tmp_path / "r.npz").draws.keys()


@pytest.mark.parametrize("n_images", [2, 3])
def test_tables_and_verdicts_are_made_of_such_records_with_a_dash(tiny_suite, tmp_path, n_images):
    suite, paths = of_images(tiny_suite, n_images), [tmp_path / "s.json", tmp_path / "d.json"]
    for evaluation, path in zip(CONTROLS, paths, strict=True):
        evaluate(suite, evaluation, None, path, tmp_path / "cache")
    write("claims", paths, [tmp_path / "claims.json"])
    write("index", paths, [tmp_path / "index.html"], claims=tmp_path / "claims.json")
    write("table1", paths, [tmp_path / "t.csv", tmp_path / "t.md"])
    (row,) = [line for line in (tmp_path / "t.csv").read_text().splitlines() if "real_images,direct,0,precision_eff" in line]
    assert row.split(",")[4:7] == ["", "", ""]
    assert "nan" not in (tmp_path / "t.md").read_text()
    assert "it needs more than 3 images" in (tmp_path / "index.html").read_text()


def test_a_path_that_is_not_finite_is_null_with_its_reason(tiny_suite, weights_of, tmp_path, monkeypatch):
    whole = PathLength.value
    monkeypatch.setattr(PathLength, "value", lambda self: whole(self) * np.nan)
    evaluation = Evaluation("semflow", "segmentation", Sampler("euler", 5), 6.0)
    record = evaluate(tiny_suite, evaluation, weights_of("semflow"), tmp_path / "r.json", tmp_path / "cache")
    assert record.metrics["path_length_excess"].value is None
    assert record.reasons == {"path_length_excess": "a value of it is not finite"}
    assert record.metrics["miou"].value is not None


def test_a_resample_of_one_row_has_no_distance():
    features = np.random.RandomState(0).rand(3, 4)
    (draw,) = kernel_draws(features, features + 1, [np.array([3, 0, 0])])
    assert np.isnan(draw)


@pytest.mark.parametrize(
    ("numbers", "text"), [((None, None, None), "-"), ((1.5, None, None), "1.5"), ((1.5, 1, 2), "1.5 [1.0, 2.0]")]
)
def test_a_null_is_a_dash(numbers, text):
    assert with_interval(*numbers, 1) == text


def test_records_with_nulls_are_read_together(tiny_suite, tmp_path):
    evaluate(of_images(tiny_suite, 2), CONTROLS[1], None, Path(tmp_path / "r.json"), tmp_path / "cache")
    (run,) = read_runs([tmp_path / "r.json"])
    assert run.record.metrics["precision_efficientnet_lite0"].value is None
