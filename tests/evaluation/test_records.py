"""Records and their arrays come back as they were, or not at all."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import sparse

from semflow.errors import SemFlowError
from semflow.evaluation import records

VALUES = {
    "suite": "tiny", "dataset": "scenes", "split": "test", "method": "semflow", "task": "segmentation",
    "sampler": "euler", "steps": 25, "variant": "", "amplitude": 6.0, "sampling_amplitude": 0.0,
    "settings": {}, "training_seed": 0, "sampling_seed": 1,
    "n_images": 3,
    "budget": {
        "parameters_sampling": 1000, "parameters_training": 1200, "images_seen": 64, "optimizer_steps": 4, "training_flops": 1e9,
        "training_wall_s": 2.0, "training_device": "cpu", "first_losses": [1.5, 1.25], "losses": {"flow": [1.0, 0.5]},
        "flops_per_output": 1e6,
    },
    "evaluations": 25.0,
    "classes": ["sky", "sea"], "palette": [[1, 2, 3], [4, 5, 6]],
    "metrics": {"miou": {"value": 41.5, "low": 40.0, "high": 43.25, "unit": "percent", "direction": "higher"}},
    "class_iou": {"sky": 41.5, "sea": None},
    "outputs_sha256": "ab", "arrays_sha256": "cd",
    "protocol": {
        "evaluation_size": [16, 16], "resize": "none", "mean_over": {"miou": "truth"}, "networks": {}, "interval": "bootstrap",
        "bootstrap_samples": 9, "bootstrap_seed": 0,
    },
    "provenance": {
        "command": "semflow evaluate", "commit": "0", "dirty": False, "config_sha256": "1", "data_sha256": "2",
        "checkpoint_sha256": None, "code_sha256": "3", "versions": {"torch": "2"}, "device": "cpu", "host": "Linux", "threads": 1,
        "wall_s": 1.5, "images_per_s": 2.0,
    },
}  # fmt: skip


@pytest.fixture
def record() -> records.Record:
    return records.Record.model_validate(VALUES)


@pytest.fixture
def path(tmp_path, record):
    path = tmp_path / "deep" / "record.json"
    records.write(path, record)
    return path


def change(path, **values) -> None:
    raw = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in raw.items() if value is not KeyError}))


def complaint(path) -> str:
    with pytest.raises(SemFlowError) as error:
        records.read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_record_comes_back_as_it_was(path, record):
    assert records.read(path) == record


def test_a_record_is_plain_json(path):
    assert json.loads(path.read_text()) == VALUES | {"format": 4, "reasons": {}}


def test_a_record_from_before_reasons_were_kept_is_read(path, record):
    change(path, reasons=KeyError)
    assert records.read(path) == record


def test_every_committed_record_is_read():
    committed = sorted((Path(__file__).resolve().parents[2] / "reports").glob("*/records/**/*.json"))
    assert committed
    assert all(records.read(path).metrics for path in committed)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_null_and_has_no_interval(value):
    metric = records.Metric.of("miou", value, np.array([1.0, 2.0]))
    assert (metric.value, metric.low, metric.high) == (None, None, None)


def test_an_interval_that_cannot_be_had_is_null_beside_the_value():
    metric = records.Metric.of("mmd2_efficientnet_lite0", 0.5, np.array([0.4, np.nan, 0.6]))
    assert (metric.value, metric.low, metric.high) == (0.5, None, None)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_refused(path, word):
    path.write_text(path.read_text().replace("41.5", word, 1))
    assert "metrics.miou.value" in complaint(path)


@pytest.mark.parametrize("content", ["", "{", '{"format": 4', "[]", "null", "\0"])
def test_damaged_json_is_named(path, content):
    path.write_text(content)
    complaint(path)


def test_a_missing_record_is_named(tmp_path):
    complaint(tmp_path / "nowhere.json")


@pytest.mark.parametrize("key", sorted(VALUES))
def test_a_missing_key_is_named(path, key):
    change(path, **{key: KeyError})
    assert key in complaint(path)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"format": 3}, "is a record of format 3, not 4; evaluate again"),
        ({"budget": {"parameters_sampling": 1}}, "budget.parameters_training"),
        ({"n_images": 0}, "n_images"),
        ({"steps": -1}, "steps"),
        ({"task": "painting"}, "task"),
        ({"surprise": 1}, "surprise"),
        ({"metrics": {"miou": {"value": 1.0}}}, "metrics.miou.low"),
        ({"provenance": {}}, "provenance.command"),
    ],
)
def test_a_wrong_value_is_named(path, values, named):
    change(path, **values)
    assert named in complaint(path)


def test_a_record_cannot_be_changed(record):
    with pytest.raises(ValidationError):
        record.steps = 1


@pytest.fixture
def arrays() -> records.Arrays:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 2**40, (5, 16)) * (rng.random((5, 16)) < 0.2)
    counts[2] = 0
    counts[:, -1] = 0
    images, states = rng.integers(0, 256, (2, 3, 4, 6), dtype=np.uint8), rng.integers(0, 256, (2, 5, 3, 4, 6), dtype=np.uint8)
    labels, outputs = rng.integers(0, 256, (2, 2, 4, 6), dtype=np.uint8)
    return records.Arrays(
        np.array([0, 0, 1, 1, 2]), {"miou": rng.random(7)}, images, labels, outputs, {"brightness": rng.random(5)},
        sparse.csr_array(counts), states,
    )  # fmt: skip


def test_arrays_come_back_as_they_were(tmp_path, arrays):
    arrays.save(tmp_path / "record.npz")
    back = records.Arrays.load(tmp_path / "record.npz")
    for name in ("units", "images", "labels", "outputs", "states"):
        assert np.array_equal(getattr(back, name), getattr(arrays, name))
        assert getattr(back, name).dtype == getattr(arrays, name).dtype
    for group in ("draws", "values"):
        (name,) = getattr(arrays, group)
        assert getattr(back, group).keys() == {name}
        assert np.array_equal(getattr(back, group)[name], getattr(arrays, group)[name])
    assert back.confusions.dtype == np.int64
    assert np.array_equal(back.confusions.toarray(), arrays.confusions.toarray())


def test_what_a_task_does_not_have_stays_away(tmp_path, arrays):
    dataclasses.replace(arrays, confusions=None, states=None, values={}).save(tmp_path / "record.npz")
    back = records.Arrays.load(tmp_path / "record.npz")
    assert (back.confusions, back.states, back.values) == (None, None, {})


@pytest.mark.parametrize(("name", "reach"), [("miou", None), ("frechet_efficientnet_lite0", 1.96)])
def test_an_interval_is_made_of_draws_as_the_metric_needs(name, reach):
    draws = np.random.default_rng(0).normal(12, 1, 100_000)  # two above the value, as those of a distance between sets lie
    made = records.Metric.of(name, 10.0, draws)
    wanted = (12 - 1.96, 12 + 1.96) if reach is None else (10 - reach, 10 + reach)
    assert (made.low, made.high) == pytest.approx(wanted, abs=0.03)
    assert (made.unit, made.direction) == (("percent", "higher") if reach is None else ("none", "lower"))


def test_a_value_without_draws_has_no_interval(path):
    made = records.Metric.of("fid", 10.0, None)
    assert (made.value, made.low, made.high, made.direction) == (10, None, None, "lower")
    change(path, metrics={"fid": made.model_dump()})
    assert records.read(path).metrics["fid"] == made


def test_saving_returns_the_hash_of_the_file(tmp_path, arrays):
    digest = arrays.save(tmp_path / "record.npz")
    assert digest == hashlib.sha256((tmp_path / "record.npz").read_bytes()).hexdigest()


def test_saving_the_same_arrays_makes_the_same_file(tmp_path, arrays):
    assert arrays.save(tmp_path / "first.npz") == arrays.save(tmp_path / "second.npz")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_truncated_arrays_are_named(tmp_path, arrays, share):
    path = tmp_path / "record.npz"
    arrays.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SemFlowError, match="is damaged") as error:
        records.Arrays.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_arrays_without_a_part_are_named(tmp_path):
    np.savez(tmp_path / "record.npz", units=np.zeros(3))
    with pytest.raises(SemFlowError, match="record.npz is damaged"):
        records.Arrays.load(tmp_path / "record.npz")


def test_missing_arrays_are_named(tmp_path):
    with pytest.raises(SemFlowError, match="no arrays at .*record.npz"):
        records.Arrays.load(tmp_path / "record.npz")


class Payload:
    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return type(self.flag).touch, (self.flag,)


def test_a_pickle_inside_the_arrays_is_not_run(tmp_path):
    flag, path = tmp_path / "flag", tmp_path / "record.npz"
    np.savez(path, count=np.array([Payload(flag)], dtype=object))
    with pytest.raises(SemFlowError, match="is damaged"):
        records.Arrays.load(path)
    assert not flag.exists()


def test_arrays_lie_beside_their_record(tmp_path):
    assert records.arrays_path(tmp_path / "euler-25.json") == tmp_path / "euler-25.npz"
