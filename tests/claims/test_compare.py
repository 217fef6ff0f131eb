"""Two evaluations of the same images: differences and intervals that other statistics give too, and what is not comparable."""

import json
from dataclasses import replace

import numpy as np
import pytest
from record_fixtures import changed, record_of
from scipy import stats

from semflow import cli
from semflow.claims.collect import Run
from semflow.claims.compare import compare, compare_paths
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.intervals import bootstrap_mean
from semflow.evaluation.records import Arrays

METRIC = "perceptual_efficientnet_lite0"  # a mean of one value an image
N = 60
PICTURES = np.zeros((0, 3, 4, 6), np.uint8)


@pytest.fixture
def scored():
    """scored(values (n_images,), units, **fields) -> a run of synthesis whose metric is the mean of these values."""

    def make(values, units=None, **fields):
        units = np.arange(len(values)) if units is None else units
        draws = {METRIC: bootstrap_mean(values, units, 4000, 0)}
        fields = {"n_images": len(values), "method": "semflow"} | fields
        record = record_of("synthesis", {METRIC: float(np.mean(values))}, draws, **fields)
        return Run(record, Arrays(units, draws, PICTURES, PICTURES[:, 0], PICTURES, {METRIC: values}))

    return make


@pytest.fixture
def values():
    """Of two methods on the same images, hard and easy for both."""
    rng = np.random.default_rng(0)
    hard = rng.normal(5, 2, N)
    return hard + rng.normal(0, 0.3, N), hard + rng.normal(0.2, 0.3, N)


def test_one_value_an_image_gives_the_interval_of_the_paired_t_test(scored, values):
    one, other = values
    ((found,),) = [pair.metrics for pair in compare([scored(one)], [scored(other)]).pairs]
    low, high = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert found.difference == pytest.approx(np.mean(one - other))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.005)
    assert high - low < 0.3 < np.std(one)  # unpaired it would be far wider
    assert (found.a, found.b, found.better) == (pytest.approx(one.mean()), pytest.approx(other.mean()), "A")


def test_blocks_of_frames_are_resampled_as_the_records_say(scored):
    units = np.repeat(np.arange(12), 5)
    drives = np.random.default_rng(1).normal(0, 1, 12)[units]  # frames of a drive are alike
    ((found,),) = [pair.metrics for pair in compare([scored(drives, units)], [scored(np.zeros(N), units)]).pairs]
    low, high = stats.ttest_1samp(drives[::5], 0).confidence_interval(0.95)
    assert found.n_units == 12
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05)


def test_trainings_are_paired_by_seed_and_their_variance_counts(scored):
    theirs = np.array([1.0, 3.0, 7.0, 2.0])
    gains = np.array([0.5, 0.1, 0.4, 0.2])
    sides = theirs + gains, theirs
    a, b = ([scored(np.full(N, level), training_seed=seed) for seed, level in enumerate(levels)] for levels in sides)
    ((found,),) = [pair.metrics for pair in compare(a, b).pairs]
    low, high = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert (found.low, found.high, found.n_trainings) == (pytest.approx(low), pytest.approx(high), 4)


def test_no_side_is_called_better_where_the_interval_holds_zero(scored, values):
    one, _ = values
    noise = np.random.default_rng(2).normal(0, 0.3, N)
    ((found,),) = [pair.metrics for pair in compare([scored(one)], [scored(one + noise - noise.mean())]).pairs]
    assert found.low < 0 < found.high
    assert found.better is None


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("split (test; val)", {"split": "val"}),
        ("data set (scenes <b>; camvid)", {"dataset": "camvid"}),
        ("classes (a and b; a and c)", {"classes": ("a", "c")}),
        ("number of images (60; 9)", {"n_images": 9}),
    ],
)
def test_records_of_other_data_are_refused_by_what_differs(scored, values, what, change):
    one, other = (scored(side) for side in values)
    with pytest.raises(SemFlowError) as error:
        compare([one], [changed(other, **change)])
    assert f"differ in {what}" in str(error.value)


def test_records_of_another_protocol_or_other_files_are_refused_by_what_differs(scored, values):
    one, other = (scored(side) for side in values)
    protocol = other.record.protocol.model_copy(update={"resize": "bicubic", "bootstrap_seed": 7})
    with pytest.raises(SemFlowError, match=r"differ in protocol\.resize \(none; bicubic\) and protocol\.bootstrap_seed \(0; 7\)"):
        compare([one], [changed(other, protocol=protocol)])
    source = other.record.provenance.model_copy(update={"data_sha256": "9"})
    with pytest.raises(SemFlowError, match="differ in files of the data set"):
        compare([one], [changed(other, provenance=source)])
    with pytest.raises(SemFlowError, match="blocks of images"):
        compare([one], [other._replace(arrays=replace(other.arrays, units=np.arange(N) // 2))])


def test_evaluations_of_two_folders_are_paired_by_steps_and_the_rest_is_named(make_run, matrices):
    ours = [make_run("semflow", "euler", steps, matrices(0.9)) for steps in (1, 25)]
    theirs = [make_run("dsm", "ddim", steps, matrices(0.8)) for steps in (25, 50)]
    found = compare(ours, theirs)
    (pair,) = found.pairs
    assert (pair.a.partition(",")[0], pair.b.partition(" (")[0]) == ("SemFlow Euler-25", "DSM DDIM-25")
    assert found.left_out == [
        "segmentation: SemFlow Euler-1, b = 6, which A alone has",
        "segmentation: DSM DDIM-50, which B alone has",
    ]
    twice = [*theirs, make_run("dsm", "ddpm", 25, matrices(0.8))]
    with pytest.raises(SemFlowError, match="B has several evaluations that could be compared, DSM DDIM-25 and DSM DDPM-25"):
        compare(ours, twice)


def test_a_metric_or_a_training_of_one_side_alone_is_named(scored, values, make_synthesis):
    one, other = values
    many = [scored(other, training_seed=seed) for seed in range(3)]
    assert compare([scored(one)], many).left_out == ["synthesis: training seeds 1 and 2, which B alone has"]
    lacking = changed(many[0], metrics=many[0].record.metrics | {"brightness": make_synthesis().record.metrics["brightness"]})
    (pair,) = compare([scored(one)], [lacking]).pairs
    assert pair.missing == {"brightness": "A and B have no interval of it"}
    null = many[0].record.metrics[METRIC].model_copy(update={"value": None, "low": None, "high": None})
    (pair,) = compare([scored(one)], [changed(many[0], metrics={METRIC: null})]).pairs
    assert (pair.metrics, pair.missing) == ([], {METRIC: "a value is null"})


def test_the_command_says_in_words_what_its_json_holds(runs, store, tmp_path, capsys):
    semflow, dsm = store([runs[0], runs[3]])
    cli.main(["compare", str(semflow), str(dsm), "--json", str(tmp_path / "difference.json")])
    said = capsys.readouterr().out
    held = json.loads((tmp_path / "difference.json").read_text())
    (pair,) = held["pairs"]
    miou = next(one for one in pair["metrics"] if one["metric"] == "miou")
    assert (miou["a"], miou["b"], miou["difference"]) == (100, 50, 50)
    assert "mIoU (percent)" in said and "50.0 [50.0, 50.0]" in said and f"A: {pair['a']}" in said and "A is better" in said


def test_paths_that_hold_nothing_to_compare_are_refused(stored, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SemFlowError, match="holds no record"):
        compare_paths(tmp_path / "empty", stored[0])
    with pytest.raises(SemFlowError, match="there is no record and no folder at"):
        compare_paths(stored[0], tmp_path / "nowhere.json")
    with pytest.raises(SemFlowError, match="are the same records"):
        compare_paths(stored[0], stored[0])
