"""The check on numbers that became worse: what it says of planted changes, and how often it errs."""

import json

import numpy as np
import pytest

from semflow.analysis import drift
from semflow.analysis.collect import Run
from semflow.errors import SemFlowError
from semflow.metrics.intervals import resamples
from semflow.records import Metric

N_IMAGES, N_CELLS, N_REPEATS = 128, 20, 1000
GOOD, WORSE = [[[3, 1], [1, 3]]] * 3, [[[2, 2], [2, 2]]] * 3


def accepted(runs, path):
    drift.accept(runs, path, "first")
    return drift.read(path)


def held(runs, reference):
    return drift.check(drift.reference_of(runs), reference)


def test_the_same_records_have_not_drifted(runs, make_synthesis, real, tmp_path):
    runs = [*runs, make_synthesis(), real]
    found = held(runs, accepted(runs, tmp_path / "r.json"))
    assert found.status == 0
    assert found.same == (7, 7)  # seeds of a cell together
    assert "no drift" in found.text()


def test_a_metric_that_became_worse_is_one_line_with_what_was_is_p_and_how_much(make_run, tmp_path):
    reference = accepted([make_run("semflow", "euler", 25, GOOD)], tmp_path / "r.json")
    found = held([make_run("semflow", "euler", 25, WORSE, digest="b")], reference)
    assert found.status == 1
    line = next(line for line in found.text().splitlines() if " mIoU was " in line)
    assert line.startswith("DRIFT SemFlow Euler-25 segmentation, b = 6: mIoU was 60.0, is 33.3, 26.7 worse (p = ")  # 3/5; 2/6


def test_a_metric_that_became_better_has_not_drifted(make_run, tmp_path):
    reference = accepted([make_run("semflow", "euler", 25, WORSE)], tmp_path / "r.json")
    assert held([make_run("semflow", "euler", 25, GOOD, digest="b")], reference).status == 0


def test_of_a_distance_more_is_worse(make_synthesis, tmp_path):
    reference = accepted([make_synthesis(10.0)], tmp_path / "r.json")
    assert "FD (EfficientNet-Lite0) was 10.00, is 12.00, 2.00 worse" in held([make_synthesis(12.0)], reference).text()
    assert held([make_synthesis(8.0)], reference).status == 0


def test_what_does_not_show_in_a_metric_s_digits_is_no_drift(make_synthesis, tmp_path):
    reference = accepted([make_synthesis(10.0)], tmp_path / "r.json")
    assert held([make_synthesis(10.004)], reference).status == 0  # draws differ by exactly that: no spread, two digits
    assert held([make_synthesis(10.006)], reference).status == 1


def test_a_changed_protocol_is_not_the_same_metric_and_no_drift(make_run, tmp_path):
    reference = accepted([make_run("semflow", "euler", 25, GOOD)], tmp_path / "r.json")
    run = make_run("semflow", "euler", 25, WORSE)
    protocol = run.record.protocol.model_copy(update={"resize": "bilinear"})
    found = held([run._replace(record=run.record.model_copy(update={"protocol": protocol}))], reference)
    assert found.status == 3
    assert not found.drifted
    assert found.unlike == ["SemFlow Euler-25 segmentation, b = 6: not the same metric, since its protocol changed in resize"]


def test_other_test_images_are_not_the_same_metric(make_run, tmp_path):
    reference = accepted([make_run("semflow", "euler", 25, GOOD)], tmp_path / "r.json")
    run = make_run("semflow", "euler", 25, WORSE)
    source = run.record.provenance.model_copy(update={"data_sha256": "other"})
    (line,) = held([run._replace(record=run.record.model_copy(update={"provenance": source}))], reference).unlike
    assert line.endswith("its protocol changed in data")


def test_what_only_one_side_has_is_named(make_run, tmp_path):
    reference = accepted([make_run("semflow", "euler", 25, GOOD)], tmp_path / "r.json")
    found = held([make_run("semflow", "euler", 5, GOOD)], reference)
    assert found.status == 3
    assert found.unlike == [
        "SemFlow Euler-25 segmentation, b = 6: not measured, but in the reference",
        "SemFlow Euler-5 segmentation, b = 6: measured, but not in the reference",
    ]


def test_one_step_fewer_is_drift_whatever_the_numbers(make_run, tmp_path):
    reference = accepted([make_run("semflow", "euler", 25, GOOD)], tmp_path / "r.json")
    run = make_run("semflow", "euler", 25, GOOD)
    found = held([run._replace(record=run.record.model_copy(update={"evaluations": 24.0}))], reference)
    assert found.status == 1
    assert "evaluations of the network were 25, are 24, and must be the same" in found.text()


def test_an_adaptive_solver_may_take_a_few_more_evaluations(make_synthesis, tmp_path):
    reference = accepted([make_synthesis(sampler="rk45", steps=0, evaluations=700.0)], tmp_path / "r.json")
    assert held([make_synthesis(sampler="rk45", steps=0, evaluations=720.0)], reference).status == 0
    assert held([make_synthesis(sampler="rk45", steps=0, evaluations=800.0)], reference).status == 1


def test_agreement_between_seeds_may_not_fall(make_determinism, tmp_path):
    reference = accepted([make_determinism("semflow", "euler", 100.0)], tmp_path / "r.json")
    assert held([make_determinism("semflow", "euler", 90.0)], reference).status == 1


def test_models_trained_anew_may_differ_as_trainings_do(make_run, tmp_path):
    """Three trainings a side that lie far apart: what one training's images would call drift, trainings do not."""

    def three(*confusions, weights):
        runs = [make_run("semflow", "euler", 25, c, training_seed=seed) for seed, c in enumerate(confusions)]
        return [
            run._replace(record=run.record.model_copy(
                update={"provenance": run.record.provenance.model_copy(update={"checkpoint_sha256": f"{weights}{seed}"})}
            ))
            for seed, run in enumerate(runs)
        ]  # fmt: skip

    perfect, poor = [[[4, 0], [0, 4]]] * 3, [[[2, 2], [2, 2]]] * 3
    reference = accepted(three(perfect, GOOD, poor, weights="old"), tmp_path / "r.json")
    assert held(three(GOOD, poor, poor, weights="new"), reference).status == 0
    assert held(three(GOOD, poor, poor, weights="old"), reference).status == 1


def test_accepting_keeps_every_reason_with_date_and_commit(runs, tmp_path):
    path = tmp_path / "r.json"
    drift.accept(runs, path, "first")
    drift.accept(runs, path, " a better loss ")
    history = drift.read(path)["history"]
    assert [entry["reason"] for entry in history] == ["first", "a better loss"]
    assert all(len(entry["date"]) == 10 and entry["commit"] for entry in history)
    json.loads(path.read_text())


def test_accepting_needs_a_reason_and_the_same_suite(runs, tmp_path):
    path = tmp_path / "r.json"
    with pytest.raises(SemFlowError, match="needs its reason; give --reason"):
        drift.accept(runs, path, "  ")
    assert not path.exists()
    drift.accept(runs, path, "first")
    others = [run._replace(record=run.record.model_copy(update={"suite": "other"})) for run in runs]
    with pytest.raises(SemFlowError, match="is the reference of suite hand, not of other"):
        drift.accept(others, path, "second")


def test_a_reference_that_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(SemFlowError, match="there is no reference at .*make one with"):
        drift.read(tmp_path / "r.json")
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(SemFlowError, match="r.json is not a readable reference"):
        drift.read(tmp_path / "r.json")
    (tmp_path / "r.json").write_text('{"format": 2}')
    with pytest.raises(SemFlowError, match="is not a reference of format 1"):
        drift.read(tmp_path / "r.json")


class Cells:
    """Records of `N_CELLS` samplers of one stochastic model on one set of images, and the same model asked again."""

    def __init__(self, make_run, world) -> None:
        self.template, self.world = make_run("dsm", "ddpm", 25, GOOD), world
        self.times = np.concatenate(list(resamples(np.arange(N_IMAGES), drift.N_DRAWS, 0)))
        self.blocks, ease = world.images(N_IMAGES)
        self.p = 0.7 * ease
        self.answers = [world.answers(self.blocks, self.p) for _ in range(N_CELLS)]

    def first(self) -> list[Run]:
        return [self.run(steps, right) for steps, right in enumerate(self.answers, 1)]

    def again(self, loss: float = 0.0) -> list[Run]:
        """Five in a hundred blocks are answered anew; the first cell loses so many points of mIoU."""
        rights = [self.world.again(self.blocks, right, self.p, 0.05) for right in self.answers]
        runs = [self.run(steps, right) for steps, right in enumerate(rights, 1)]
        if loss:
            (wanted,) = [runs[0].record.metrics["miou"].value - loss]
            share = 0.0
            while self.run(1, lost := self.world.rng.binomial(rights[0], 1 - share)).record.metrics["miou"].value > wanted:
                share += 0.002
            runs[0] = self.run(1, lost)
        return runs

    def run(self, steps: int, right: np.ndarray) -> Run:
        confusions = self.world.confusions(self.blocks, right)
        draws = self.world.miou(self.times @ confusions)
        metric = Metric.of("miou", float(self.world.miou(confusions.sum(0))), draws)
        arrays = {"units": np.arange(N_IMAGES), "draws": {"miou": draws}, "confusions": None}
        record = self.template.record.model_copy(update={"steps": steps, "evaluations": steps, "metrics": {"miou": metric}})
        return Run(record, type(self.template.arrays)(**(vars(self.template.arrays) | arrays)))


@pytest.mark.slow
def test_a_model_that_did_not_change_raises_an_alarm_in_at_most_1_of_100_checks(make_run, make_world):
    world, alarms = make_world(0), 0
    for _ in range(N_REPEATS):
        cells = Cells(make_run, world)
        alarms += held(cells.again(), drift.reference_of(cells.first())).status != 0
    assert alarms <= 0.01 * N_REPEATS


@pytest.mark.slow
def test_a_loss_of_2_points_in_one_cell_is_caught_in_at_least_95_of_100_checks(make_run, make_world):
    world, caught, repeats = make_world(1), 0, 200
    for _ in range(repeats):
        cells = Cells(make_run, world)
        found = held(cells.again(loss=2.0), drift.reference_of(cells.first()))
        caught += any(line.startswith("DSM DDPM-1 segmentation") for line in found.drifted)
    assert caught >= 0.95 * repeats
