"""The check on numbers that became worse: what it says of planted changes, and how often it errs."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
from record_fixtures import changed

from semflow.claims import drift
from semflow.claims.collect import Run
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.intervals import resamples
from semflow.evaluation.records import Metric

N_IMAGES, N_EVALUATIONS, N_REPEATS, N_DRAWS = 128, 20, 1000, 100
GOOD, WORSE = [[[3, 1], [1, 3]]] * 3, [[[2, 2], [2, 2]]] * 3
STILL, NOISE = np.zeros(100), 0.99 * np.tile([1.0, -1.0], 50)  # over 100 units NOISE has the standard error 1: 0.99 * 100 / 99
MINI = Path(__file__).parents[2] / "results/reference/mini.json"
UNTOLD = "; other weights, and a single training cannot tell drift from the variance between trainings"


ORIGIN = drift.Origin(commits=["c" * 40], versions={"torch": ["2.12.1"]}, devices=["cpu"], hosts=["a"])


def accepted(runs, path):
    drift.accept(runs, path, "first")
    return drift.read(path)


def held(runs, reference):
    return drift.check(drift.reference_of(runs), reference)


def kept(*values, draws=STILL, metric="miou", weights="a", n_units=100, of="dsm segmentation ddpm-25"):
    """An evaluation in a reference: one metric, one value a training. Not checked, so that it may hold what no file can."""
    seeds = [str(seed) for seed in range(len(values))]
    of_metric = {seed: {"0": value} for seed, value in zip(seeds, values, strict=True)}
    what = {
        "of": of,
        "own": True,
        "protocol": "p",
        "network_evaluations": 25.0,
        "adaptive": False,
        "metrics": {metric: of_metric},
    }
    return drift.ReferenceEntry.model_construct(**what, weights={seed: f"{weights}{seed}" for seed in seeds})


def side(*evaluations):
    """What a reference keeps of such evaluations."""
    named = {f"evaluation {n}": one for n, one in enumerate(evaluations)}
    return drift.Reference.model_construct(
        suite="hand", history=[], origin=ORIGIN, protocols={"p": {}}, first_losses={}, evaluations=named
    )


def lost(*points, **fields):
    """A check of evaluations at 60, each of which lost so many points; the standard error is 1, of 99 degrees of freedom."""
    return drift.check(
        side(*(kept(60 - by, draws=NOISE, **fields) for by in points)), side(*(kept(60, **fields) for _ in points))
    )


def test_the_same_records_have_not_drifted(runs, make_synthesis, real, tmp_path):
    runs = [*runs, make_synthesis(), real]
    found = held(runs, accepted(runs, tmp_path / "r.json"))
    assert found.status == 0
    assert found.same == (7, 7)  # seeds of an evaluation together
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
    assert (
        "Fréchet distance (EfficientNet-Lite0) was 10.00, is 12.00, 2.00 worse" in held([make_synthesis(12.0)], reference).text()
    )
    assert held([make_synthesis(8.0)], reference).status == 0


def test_what_does_not_show_in_a_metric_s_digits_is_no_drift(make_synthesis, tmp_path):
    reference = accepted([make_synthesis(10.0)], tmp_path / "r.json")
    assert held([make_synthesis(10.004)], reference).status == 0  # draws differ by exactly that: no spread, two digits
    assert held([make_synthesis(10.006)], reference).status == 1


def test_a_changed_protocol_is_not_the_same_metric_and_no_drift(make_run, tmp_path):
    reference = accepted([make_run("semflow", "euler", 25, GOOD)], tmp_path / "r.json")
    run = make_run("semflow", "euler", 25, WORSE)
    protocol = run.record.protocol.model_copy(update={"resize": "bilinear"})
    found = held([changed(run, protocol=protocol)], reference)
    assert found.status == 3
    assert not found.drifted
    assert found.unlike == ["SemFlow Euler-25 segmentation, b = 6: not the same metric, since its protocol changed in resize"]


def test_other_test_images_are_not_the_same_metric(make_run, tmp_path):
    reference = accepted([make_run("semflow", "euler", 25, GOOD)], tmp_path / "r.json")
    run = make_run("semflow", "euler", 25, WORSE)
    source = run.record.provenance.model_copy(update={"data_sha256": "other"})
    (line,) = held([changed(run, provenance=source)], reference).unlike
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
    found = held([changed(run, evaluations=24.0)], reference)
    assert found.status == 1
    assert "evaluations of the network were 25, are 24, and must be the same" in found.text()


def test_an_adaptive_solver_may_take_a_few_more_evaluations(make_synthesis, tmp_path):
    reference = accepted([make_synthesis(sampler="rk45", steps=0, evaluations=700.0)], tmp_path / "r.json")
    assert held([make_synthesis(sampler="rk45", steps=0, evaluations=720.0)], reference).status == 0
    assert held([make_synthesis(sampler="rk45", steps=0, evaluations=740.0)], reference).status == 1  # 5 % of 700 are 35


def test_agreement_between_seeds_may_not_fall(make_seed_agreement, tmp_path):
    reference = accepted([make_seed_agreement("semflow", "euler", 100.0)], tmp_path / "r.json")
    assert held([make_seed_agreement("semflow", "euler", 90.0)], reference).status == 1


@pytest.mark.parametrize(("points", "status"), [(2.3, 0), (2.45, 1)])
def test_of_one_metric_1_in_100_is_the_limit(points, status):
    assert lost(points).status == status  # t of 99 degrees of freedom reaches 2.365 with 1 % above it, 1.66 with 5 %


@pytest.mark.parametrize(("points", "status"), [(2.5, 0), (2.7, 1), (-2.5, 0), (-2.7, 1)])
def test_where_no_way_is_better_a_change_of_either_is_drift(points, status):
    assert lost(points, metric="brightness").status == status  # t reaches 2.626 with 1 % on both sides of it


def test_a_change_where_no_way_is_better_says_how_far_off_it_is():
    found = drift.check(side(kept(74.04, metric="brightness")), side(kept(86.9, metric="brightness")))
    (line,) = found.drifted
    assert line == "evaluation 0: brightness was 86.9, is 74.0, 12.9 off (p = 0, Holm over all metrics)"


def test_more_agreement_is_no_drift():
    assert lost(-9, metric="seed_agreement").status == 0
    assert lost(9, metric="seed_agreement").status == 1


def test_many_metrics_need_more_each_and_the_strongest_leave_the_rest_the_limit():
    assert lost(2.8).status == 1
    assert lost(*[2.8] * 20).status == 0  # 20 * 0.003
    assert len(lost(9, 9, 2.7).drifted) == 3  # 1 * 0.004, where three times that would be none


@pytest.mark.parametrize(
    ("draws", "points", "status"),
    [(STILL, 9.8, 0), (STILL, 9.9, 1), (NOISE, 12.0, 0), (NOISE, 12.1, 1)],
)
def test_models_trained_anew_may_differ_as_trainings_do(draws, points, status):
    """Two trainings a side, all 2 points apart: variance 2, standard error of the change sqrt(2), and sqrt(3) with NOISE; t of 2
    degrees of freedom reaches 6.965 with 1 % above it."""
    found = drift.check(side(kept(60 - points, 62 - points, draws=draws, weights="b")), side(kept(60, 62)))
    assert found.status == status
    assert found.retrained == 1
    assert not any(UNTOLD in line for line in found.drifted)


@pytest.mark.parametrize("trained", [1, 3])
def test_one_training_anew_is_tested_on_images_and_the_sentence_says_what_that_cannot_tell(trained):
    def drifted(weights):
        return drift.check(side(kept(57, draws=NOISE, weights=weights)), side(kept(*[60] * trained))).drifted

    assert drifted("b")[0].endswith(f"Holm over all metrics){UNTOLD}")
    assert drifted("a")[0].endswith("Holm over all metrics)")


def made_by(reference, **origin):
    return reference.model_copy(update={"origin": ORIGIN.model_copy(update=origin)})


def test_where_drift_cannot_be_told_from_another_training_the_text_says_what_else_differs_and_what_to_do():
    now = made_by(
        side(kept(57, weights="b")), commits=["d" * 40 + "-dirty"], versions={"torch": ["2.13.0"]}, devices=["NVIDIA H100"]
    )
    lines = drift.check(now, side(kept(60))).text().splitlines()
    assert "  commit: cccccccccc in the reference, dddddddddd-dirty here" in lines
    assert "  torch: 2.12.1 in the reference, 2.13.0 here" in lines
    assert "  device: cpu in the reference, NVIDIA H100 here" in lines
    (advice,) = [line for line in lines if line.startswith("What to do: ")]
    assert "semflow regression accept" in advice
    unknown = drift.check(now, made_by(side(kept(60)), versions={})).text()
    assert "  torch: unknown in the reference, 2.13.0 here" in unknown
    alike = drift.check(side(kept(57, weights="b")), side(kept(60))).text()
    assert "the same on both sides" in alike
    assert "What to do: " in alike


def test_nothing_is_said_of_machines_where_drift_can_be_told_or_there_is_none():
    elsewhere = {"commits": ["d" * 40], "devices": ["NVIDIA H100"]}
    for now in (side(kept(57)), side(kept(60, weights="b")), side(kept(40, 41, weights="b"))):
        reference = side(kept(60, 61)) if len(now.evaluations["evaluation 0"].weights) > 1 else side(kept(60))
        assert drift.check(made_by(now, **elsewhere), reference).hint == []


def test_one_more_training_beside_the_same_weights_is_not_a_model_trained_anew():
    found = drift.check(side(kept(60, 50)), side(kept(60)))
    assert (found.status, found.retrained) == (0, 0)
    assert drift.check(side(kept(60)), side(kept(60, 70))).status == 0


def test_one_more_sampling_seed_is_not_a_model_trained_anew(make_run, tmp_path):
    runs = [make_run("semflow", "euler", 25, GOOD, sampling_seed=seed) for seed in range(3)]
    reference = accepted(runs[:1], tmp_path / "r.json")
    assert held(runs, reference).retrained == 0
    weights = runs[2].record.provenance.model_copy(update={"checkpoint_sha256": "other"})
    assert held([changed(runs[2], provenance=weights)], reference).retrained == 1


def test_trainings_under_other_seeds_are_other_models(make_run, tmp_path):
    reference = accepted([make_run("semflow", "euler", 25, GOOD)], tmp_path / "r.json")
    found = held([make_run("semflow", "euler", 25, WORSE, training_seed=1, digest="b")], reference)
    assert found.retrained == 1
    assert found.drifted[0].endswith(UNTOLD)


@pytest.mark.parametrize(
    ("then", "now", "why"),
    [
        (kept(60), kept(math.nan), "a value or a bootstrap draw is not finite"),
        (kept(60), kept(-math.inf), "a value or a bootstrap draw is not finite"),
        (kept(60), kept(50, draws=[math.nan, *STILL[1:]]), "a value or a bootstrap draw is not finite"),
        (kept(60), kept(50, n_units=1), "it is measured over fewer than two units"),
        (kept(60), kept(50, draws=1e200 * NOISE), "its standard error is not finite"),
        (kept(60), kept(50, draws=STILL[:50]), "the reference keeps 100 bootstrap draws, the records 50"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_what_cannot_be_told_is_neither_drift_nor_none(then, now, why):
    found = drift.check(side(now, kept(60)), side(then, kept(60)))
    assert found.status == 3
    assert found.unlike == [f"evaluation 0: mIoU cannot be told: {why}"]
    assert len(found.changes) == 1


def test_a_metric_that_only_one_side_has_is_named():
    found = drift.check(side(kept(60, metric="miou_either")), side(kept(60)))
    assert found.unlike == [
        "evaluation 0: mIoU not measured, but in the reference",
        "evaluation 0: mIoU over classes in truth or prediction measured, but not in the reference",
    ]


def test_a_reference_of_another_suite_is_refused():
    with pytest.raises(SemFlowError, match="the reference is of suite mini, the records are of hand"):
        drift.check(side(kept(60)), side(kept(60)).model_copy(update={"suite": "mini"}))


def test_other_confusions_are_not_the_same_bits(make_run, tmp_path):
    reference = accepted([make_run("semflow", "euler", 25, WORSE)], tmp_path / "r.json")
    assert held([make_run("semflow", "euler", 25, WORSE)], reference).same == (1, 1)
    assert held([make_run("semflow", "euler", 25, GOOD)], reference).same == (0, 1)


def test_other_settings_are_not_the_same_metric(make_run, tmp_path):
    run = make_run("semflow", "euler", 25, GOOD)
    reference = accepted([run], tmp_path / "r.json")
    (line,) = held([changed(run, settings={"scale": 0.1})], reference).unlike
    assert line.endswith("its protocol changed in settings")


def test_draws_are_of_the_mean_over_sampling_seeds_in_every_training(make_run):
    uneven = [[[3, 1], [0, 4]], [[1, 3], [4, 0]], [[4, 0], [1, 3]]]
    runs = [make_run("semflow", "euler", 25, c, sampling_seed=seed) for seed, c in enumerate([uneven, GOOD])]
    other = make_run("semflow", "euler", 25, WORSE, training_seed=1)
    (found,) = drift.reference_of([*runs, other]).evaluations.values()
    draws = found.metrics["miou"].draws
    assert draws["0"] == pytest.approx((runs[0].arrays.draws["miou"][:100] + runs[1].arrays.draws["miou"][:100]) / 2, rel=1e-5)
    assert draws["1"] == pytest.approx(other.arrays.draws["miou"][:100], rel=1e-5)


def test_accepting_keeps_every_reason_with_date_and_commits(runs, tmp_path):
    path, source = tmp_path / "r.json", runs[0].record.provenance
    dirty = changed(runs[0], provenance=source.model_copy(update={"commit": "a" * 40, "dirty": True}))
    drift.accept(runs, path, "first")
    drift.accept([dirty, *runs[1:]], path, " a better loss ")
    history = drift.read(path).history
    assert [entry.reason for entry in history] == ["first", "a better loss"]
    assert [entry.records for entry in history] == [["c" * 40], ["a" * 40 + "-dirty", "c" * 40]]
    assert all(len(entry.date) == 10 and entry.commit for entry in history)


def test_what_is_read_is_what_was_accepted(runs, make_synthesis, real, tmp_path):
    runs = [*runs, make_synthesis(), real]
    reference = accepted(runs, tmp_path / "r.json")
    assert reference.model_dump() == json.loads((tmp_path / "r.json").read_text())
    assert reference.model_copy(update={"history": []}) == drift.reference_of(runs)


def test_the_accepted_reference_is_written_as_it_was_read(tmp_path):
    drift.write(tmp_path / "r.json", drift.read(MINI))
    assert (tmp_path / "r.json").read_bytes() == MINI.read_bytes()


def test_accepting_says_which_evaluations_are_new_or_dropped(make_run, tmp_path):
    runs = [make_run("semflow", "euler", steps, GOOD) for steps in (1, 5, 25)]
    assert drift.accept(runs[:2], tmp_path / "r.json", "first") == "2 evaluations, the first reference"
    assert drift.accept(runs[:2], tmp_path / "r.json", "again") == "2 evaluations; new: none; dropped: none"
    assert drift.accept(runs[1:], tmp_path / "r.json", "more steps") == (
        "2 evaluations; new: SemFlow Euler-25 segmentation, b = 6; dropped: SemFlow Euler-1 segmentation, b = 6"
    )


def test_accepting_needs_a_reason_and_the_same_suite(runs, tmp_path):
    path = tmp_path / "r.json"
    with pytest.raises(SemFlowError, match="needs its reason; give --reason"):
        drift.accept(runs, path, "  ")
    assert not path.exists()
    drift.accept(runs, path, "first")
    others = [changed(run, suite="other") for run in runs]
    with pytest.raises(SemFlowError, match="is the reference of suite hand, not of other"):
        drift.accept(others, path, "second")


def test_what_is_not_finite_is_not_accepted(make_synthesis, tmp_path):
    with pytest.raises(
        SemFlowError, match=r"make no reference: .*frechet_efficientnet_lite0\.values\.0\.0 .*finite.*evaluate them again"
    ):
        drift.accept([make_synthesis(math.nan)], tmp_path / "r.json", "first")
    assert not (tmp_path / "r.json").exists()


def test_a_reference_that_is_missing_or_no_json_is_named(tmp_path):
    with pytest.raises(SemFlowError, match="there is no reference at .*make one with"):
        drift.read(tmp_path / "r.json")
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(SemFlowError, match="r.json is not a reference of format 2: invalid JSON"):
        drift.read(tmp_path / "r.json")
    with pytest.raises(SemFlowError, match="is not a readable reference"):
        drift.read(tmp_path)


def damaged(path, *where, **fields):
    """A reference with these fields of a place changed, or taken out where None is given."""
    reference = json.loads(path.read_text())
    place = reference
    for name in where:
        place = place[name]
    for name, value in fields.items():
        if value is None:
            del place[name]
        else:
            place[name] = copy.deepcopy(value)
    path.write_text(json.dumps(reference))


EVALUATION = ("evaluations", "SemFlow Euler-25 segmentation, b = 6")
MIOU = (*EVALUATION, "metrics", "miou")


@pytest.mark.parametrize(
    ("where", "fields", "field"),
    [
        ((), {"format": 1}, "format is 1"),
        ((), {"suite": None}, "suite is missing"),
        ((), {"more": 1}, "unknown key more"),
        ((), {"history": []}, "history is []"),
        (("history", 0), {"reason": None}, "history.0.reason is missing"),
        (("history", 0), {"records": "c"}, "history.0.records is 'c'; input should be a valid array"),
        ((), {"origin": {"commits": [], "devices": []}}, "origin.versions is missing"),
        ((), {"protocols": {}}, "protocol is not among protocols"),
        (EVALUATION, {"weights": None}, "weights is missing"),
        (EVALUATION, {"network_evaluations": "25"}, "network_evaluations is '25'; input should be a valid number"),
        (EVALUATION, {"weights": {"1": {"0": "a"}}}, "outputs has training seeds 0, but weights 1"),
        ((*EVALUATION, "metrics"), {"beauty": {}}, "there is no metric beauty"),
        (MIOU, {"draws": None}, "miou.draws is missing"),
        (MIOU, {"values": {}}, "miou.values is {}"),
        (MIOU, {"values": {"0": {"0": math.nan}}}, "miou.values.0.0 is nan; input should be a finite number"),
        (MIOU, {"draws": {"0": [50.0, 51.0]}}, "miou.draws.0: 2 draws, not 100"),
    ],
)
def test_a_damaged_reference_is_one_sentence_with_file_field_and_mend(runs, tmp_path, where, fields, field):
    path = tmp_path / "r.json"
    drift.accept(runs, path, "first")
    damaged(path, *where, **fields)
    before = path.read_bytes()
    for ask in (lambda: drift.read(path), lambda: drift.accept(runs, path, "second")):
        with pytest.raises(SemFlowError) as error:
            ask()
        assert f"{path} is not a reference of format 2: " in str(error.value)
        assert field in str(error.value)
        assert str(error.value).endswith("; restore it from git, or delete it and make it again with `semflow regression accept`")
        assert "\n" not in str(error.value)
    assert path.read_bytes() == before  # its history is not lost


class Evaluations:
    """Records of `N_EVALUATIONS` samplers of one stochastic model on one set of images, and the same model asked again."""

    def __init__(self, make_run, world) -> None:
        self.template, self.world = make_run("dsm", "ddpm", 25, GOOD), world
        self.times = np.concatenate(list(resamples(np.arange(N_IMAGES), N_DRAWS, 0)))
        self.blocks, ease = world.images(N_IMAGES)
        self.p = 0.7 * ease
        self.answers = [world.answers(self.blocks, self.p) for _ in range(N_EVALUATIONS)]

    def first(self) -> list[Run]:
        return [self.run(steps, right) for steps, right in enumerate(self.answers, 1)]

    def again(self, loss: float = 0.0) -> list[Run]:
        """Five in a hundred blocks are answered anew; the first evaluation loses so many points of mIoU."""
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
        run = Run(self.template.record, type(self.template.arrays)(**(vars(self.template.arrays) | arrays)))
        return changed(run, steps=steps, evaluations=steps, metrics={"miou": metric})


@pytest.mark.slow
def test_a_model_that_did_not_change_raises_an_alarm_in_at_most_1_of_100_checks(make_run, make_world):
    world, alarms = make_world(0), 0
    for _ in range(N_REPEATS):
        evaluations = Evaluations(make_run, world)
        alarms += held(evaluations.again(), drift.reference_of(evaluations.first())).status != 0
    assert alarms <= 0.01 * N_REPEATS


@pytest.mark.slow
def test_a_loss_of_2_points_in_one_evaluation_is_caught_in_at_least_95_of_100_checks(make_run, make_world):
    world, caught, repeats = make_world(1), 0, 200
    for _ in range(repeats):
        evaluations = Evaluations(make_run, world)
        found = held(evaluations.again(loss=2.0), drift.reference_of(evaluations.first()))
        caught += any(line.startswith("DSM DDPM-1 segmentation") for line in found.drifted)
    assert caught >= 0.95 * repeats


def trained_anew(rng, loss=0.0):
    """A check of 20, three new trainings against three old: 0.8 points between trainings, 0.3 of chance from the images."""
    old = [kept(*rng.normal(60, 0.8, 3)) for _ in range(N_EVALUATIONS)]
    new = [
        kept(*rng.normal(60 - loss * (n == 0), 0.8, 3) + rng.normal(0, 0.3), draws=rng.normal(0, 0.3, 100), weights="b")
        for n in range(N_EVALUATIONS)
    ]
    return drift.check(side(*new), side(*old))


@pytest.mark.slow
def test_models_trained_anew_raise_an_alarm_in_at_most_1_of_100_checks():
    rng = np.random.default_rng(2)
    assert sum(trained_anew(rng).status != 0 for _ in range(N_REPEATS)) <= 0.01 * N_REPEATS


@pytest.mark.slow
def test_a_loss_of_10_points_in_one_evaluation_is_caught_in_at_least_95_of_100_checks_of_models_trained_anew():
    rng, repeats = np.random.default_rng(3), 200
    assert sum(bool(trained_anew(rng, 10.0).drifted) for _ in range(repeats)) >= 0.95 * repeats
