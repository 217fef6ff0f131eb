"""From a model and a data set to a record."""

import shutil

import numpy as np
import pytest

from baselines.build import make_model
from semflow import checkpoints, config, provenance, records
from semflow.data.scenes import Scenes
from semflow.errors import SemFlowError
from semflow.evaluation import Cell, evaluate
from semflow.model import Sampler

CONTROL = Sampler("none", 0)


@pytest.fixture
def checkpoint(tiny_suite, tmp_path):
    checkpoints.export(tmp_path / "dsm", tiny_suite, "dsm", 0, make_model(tiny_suite, "dsm").network.unet)
    return tmp_path / "dsm"


def test_the_ceiling_of_a_lossless_representation_is_100_percent(tiny_suite, tmp_path):
    record = evaluate(tiny_suite, Cell("ceiling", CONTROL, 0, 0), None, tmp_path / "r.json")
    assert {metric.value for metric in record.metrics.values()} == {100}
    assert set(record.class_iou.values()) <= {100, None}


def test_the_floor_is_the_agreement_of_pictures_half_the_set_apart(tiny_suite, tmp_path):
    record = evaluate(tiny_suite, Cell("floor", CONTROL, 0, 0), None, tmp_path / "r.json")
    labels = [Scenes(4, (16, 16), 0, "test")[index].labels for index in range(4)]
    agreement = np.mean([labels[index] == labels[(index + 2) % 4] for index in range(4)])
    assert record.metrics["pixel_accuracy"].value == pytest.approx(100 * agreement)


def test_a_record_counts_every_pixel_and_carries_where_it_came_from(tiny_suite, checkpoint, tmp_path):
    record = evaluate(tiny_suite, Cell("dsm", Sampler("ddim", 2), 0, 5), checkpoint, tmp_path / "r.json")
    arrays = records.Arrays.load(tmp_path / "r.npz")
    assert arrays.confusions.sum() == 4 * 16 * 16
    assert records.read(tmp_path / "r.json") == record
    assert record.sampling_seed == 5
    assert record.provenance.checkpoint_sha256 == checkpoints.read_card(checkpoint)["weights_sha256"]
    assert record.provenance.data_sha256 == Scenes(4, (16, 16), 0, "test").fingerprint()
    assert record.metrics["miou"].low <= record.metrics["miou"].value <= record.metrics["miou"].high


def test_a_sampling_seed_repeats_its_bits(tiny_suite, checkpoint, tmp_path):
    digests = [
        evaluate(tiny_suite, Cell("dsm", Sampler("ddpm", 2), 0, seed), checkpoint, tmp_path / "r.json").predictions_sha256
        for seed in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_checkpoint_of_another_method_is_refused(tiny_suite, checkpoint, tmp_path):
    with pytest.raises(SemFlowError, match="holds dsm of training seed 0, not semflow"):
        evaluate(tiny_suite, Cell("semflow", Sampler("euler", 1), 0, 0), checkpoint, tmp_path / "r.json")
    assert not (tmp_path / "r.json").exists()


def test_a_checkpoint_of_another_training_seed_is_refused(tiny_suite, checkpoint, tmp_path):
    with pytest.raises(SemFlowError, match="not dsm of training seed 7"):
        evaluate(tiny_suite, Cell("dsm", Sampler("ddim", 1), 7, 0), checkpoint, tmp_path / "r.json")


def test_a_checkpoint_trained_on_other_data_is_refused(tiny_suite, checkpoint, tmp_path, config_folder):
    other = config.load(config_folder / "camvid_cpu.yaml")
    scenes_with_other_code = tiny_suite.model_copy(update={"pseudo_mask": other.pseudo_mask.model_copy(update={"s": 40})})
    with pytest.raises(SemFlowError, match="trained with another pseudo_mask than tiny's"):
        evaluate(scenes_with_other_code, Cell("dsm", Sampler("ddim", 1), 0, 0), checkpoint, tmp_path / "r.json")


def test_a_checkpoint_of_other_settings_of_the_method_is_refused(tiny, checkpoint, tmp_path):
    tiny["methods"]["dsm"]["timestep_spacing"] = "trailing"
    with pytest.raises(SemFlowError, match=r"trained with another methods\.dsm than tiny's"):
        evaluate(config.check(tiny, "tiny"), Cell("dsm", Sampler("ddim", 1), 0, 0), checkpoint, tmp_path / "r.json")


def test_only_semflows_records_claim_a_perturbation(tiny_suite, checkpoint, tmp_path):
    assert evaluate(tiny_suite, Cell("ceiling", CONTROL, 0, 0), None, tmp_path / "c.json").amplitude == 0
    assert evaluate(tiny_suite, Cell("dsm", Sampler("ddim", 1), 0, 0), checkpoint, tmp_path / "d.json").amplitude == 0


def test_an_autoencoder_may_move_but_not_change(tiny, kl_folder, tmp_path):
    def suite(folder):
        tiny["autoencoder"] = {"kind": "kl", "path": str(folder)}
        return config.check(tiny, "tiny")

    def score(folder):
        provenance._weights_of.cache_clear()
        return evaluate(suite(folder), Cell("dsm", Sampler("ddim", 1), 0, 0), tmp_path / "weights", tmp_path / "r.json")

    old, new = (shutil.copytree(kl_folder, tmp_path / name) for name in ("old", "new"))
    checkpoints.export(tmp_path / "weights", suite(old), "dsm", 0, make_model(suite(old), "dsm").network.unet)
    shutil.rmtree(old)
    assert score(new).n_images == 4
    (new / "config.json").write_text((new / "config.json").read_text() + " ")
    with pytest.raises(SemFlowError, match=f"trained with another autoencoder than the kl at {new}; restore"):
        score(new)
