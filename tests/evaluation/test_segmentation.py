"""From a model and a data set to a record of segmentation."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from trees import coco_stuff_tree

from semflow.data.scenes import Scenes
from semflow.errors import SemFlowError
from semflow.evaluation import evaluate, records
from semflow.evaluation.common import Kept
from semflow.loading.pixels import to_unit_range
from semflow.method.samplers import DIRECT, Sampler
from semflow.suite import reading as config
from semflow.suite.runs import Evaluation
from semflow.training import checkpoints
from semflow.training.build import make_model


def test_the_ceiling_of_a_lossless_representation_is_100_percent(tiny_suite, tmp_path):
    record = evaluate(tiny_suite, Evaluation("oracle", "segmentation", DIRECT), None, tmp_path / "r.json", tmp_path)
    assert {metric.value for metric in record.metrics.values()} == {100}
    assert set(record.class_iou.values()) <= {100, None}


def test_the_floor_is_the_agreement_of_pictures_half_the_set_apart(tiny_suite, tmp_path):
    record = evaluate(tiny_suite, Evaluation("shuffled_labels", "segmentation", DIRECT), None, tmp_path / "r.json", tmp_path)
    labels = [Scenes(4, (16, 16), 0, "test")[index].labels for index in range(4)]
    agreement = np.mean([labels[index] == labels[(index + 2) % 4] for index in range(4)])
    assert record.metrics["pixel_accuracy"].value == pytest.approx(100 * agreement)


def test_labels_on_disk_are_scored_at_their_own_size_too(tiny, tmp_path):
    data = {"name": "coco_stuff", "root": str(coco_stuff_tree(tmp_path / "coco", 4)), "size": [16, 16]}
    tiny["data"] = data | {"view": "crop", "masks": "labels"}
    tiny["evaluation"]["split"] = "val"
    suite = config.check(tiny, "tiny")
    record = evaluate(suite, Evaluation("oracle", "segmentation", DIRECT), None, tmp_path / "r.json", tmp_path)
    truth, guess = [], []
    for path in sorted((tmp_path / "coco/annotations/val2017").iterdir()):
        raw = np.asarray(Image.open(path))
        small = raw[np.ix_(*(((np.arange(16) + 0.5) * side / 16).astype(int) for side in raw.shape))]
        brought = small[np.ix_(*(((np.arange(side) + 0.5) * 16 / side).astype(int) for side in raw.shape))]
        truth.append(raw[raw != 255])
        guess.append(brought[raw != 255])
    truth, guess = np.concatenate(truth), np.concatenate(guess)
    shared = [((truth == c) & (guess == c)).sum() / ((truth == c) | (guess == c)).sum() for c in np.unique(truth)]
    assert record.metrics["miou_native"].value == pytest.approx(100 * np.mean(shared))
    assert record.metrics["miou_native"].value < record.metrics["miou"].value == 100
    assert "own size" in record.protocol.mean_over["miou_native"]


def test_a_record_counts_every_pixel_and_carries_where_it_came_from(tiny_suite, checkpoint, tmp_path):
    record = evaluate(
        tiny_suite,
        Evaluation("dsm", "segmentation", Sampler("ddim", 2), sampling_seed=5),
        checkpoint,
        tmp_path / "r.json",
        tmp_path,
    )
    arrays = records.Arrays.load(tmp_path / "r.npz")
    assert arrays.confusions.sum() == 4 * 16 * 16
    assert records.read(tmp_path / "r.json") == record
    assert record.sampling_seed == 5
    assert record.provenance.checkpoint_sha256 == checkpoints.read_card(checkpoint)["weights_sha256"]
    assert record.provenance.data_sha256 == Scenes(4, (16, 16), 0, "test").fingerprint()
    assert record.metrics["miou"].low <= record.metrics["miou"].value <= record.metrics["miou"].high


def test_a_sampling_seed_repeats_its_bits(tiny_suite, checkpoint, tmp_path):
    digests = [
        evaluate(
            tiny_suite,
            Evaluation("dsm", "segmentation", Sampler("ddpm", 2), sampling_seed=seed),
            checkpoint,
            tmp_path / "r.json",
            tmp_path,
        ).outputs_sha256
        for seed in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_checkpoint_of_another_method_is_refused(tiny_suite, checkpoint, tmp_path):
    with pytest.raises(SemFlowError, match="holds dsm of training seed 0, not semflow"):
        evaluate(
            tiny_suite, Evaluation("semflow", "segmentation", Sampler("euler", 1)), checkpoint, tmp_path / "r.json", tmp_path
        )
    assert not (tmp_path / "r.json").exists()


def test_a_checkpoint_of_another_training_seed_is_refused(tiny_suite, checkpoint, tmp_path):
    with pytest.raises(SemFlowError, match="not dsm of training seed 7"):
        evaluate(
            tiny_suite,
            Evaluation("dsm", "segmentation", Sampler("ddim", 1), training_seed=7, sampling_seed=0),
            checkpoint,
            tmp_path / "r.json",
            tmp_path,
        )


def test_a_checkpoint_trained_on_other_data_is_refused(tiny_suite, checkpoint, tmp_path):
    other = tiny_suite.model_copy(update={"data": tiny_suite.data.model_copy(update={"seed": 1})})
    with pytest.raises(SemFlowError, match=r"trained with another data\.seed than tiny's"):
        evaluate(other, Evaluation("dsm", "segmentation", Sampler("ddim", 1)), checkpoint, tmp_path / "r.json", tmp_path)


def test_a_checkpoint_of_another_suite_is_refused(checkpoint, tmp_path, config_folder):
    with pytest.raises(SemFlowError, match=r"another .*data\.size, .*network\.block_out_channels, .* than mini's"):
        evaluate(
            config.load(config_folder / "mini.yaml"), Evaluation("dsm", "segmentation", Sampler("ddim", 1)), checkpoint,
            tmp_path / "r.json", tmp_path,
        )  # fmt: skip


def test_a_checkpoint_of_another_perturbation_says_how_to_name_it(tiny_suite, weights_of, tmp_path):
    cell = Evaluation("semflow", "segmentation", Sampler("euler", 1), 6.0)
    with pytest.raises(SemFlowError, match=r"another pseudo_mask\.amplitude than tiny's; give --amplitude 12"):
        evaluate(tiny_suite, cell, weights_of("semflow", 12.0), tmp_path / "r.json", tmp_path)


def test_a_checkpoint_of_other_settings_of_the_method_is_refused(tiny, checkpoint, tmp_path):
    tiny["methods"]["dsm"]["timestep_spacing"] = "trailing"
    with pytest.raises(SemFlowError, match=r"trained with another methods\.dsm than tiny's"):
        evaluate(
            config.check(tiny, "tiny"),
            Evaluation("dsm", "segmentation", Sampler("ddim", 1)),
            checkpoint,
            tmp_path / "r.json",
            tmp_path,
        )


def test_only_semflows_records_claim_a_perturbation(tiny_suite, checkpoint, tmp_path):
    assert evaluate(tiny_suite, Evaluation("oracle", "segmentation", DIRECT), None, tmp_path / "c.json", tmp_path).amplitude == 0
    assert (
        evaluate(
            tiny_suite, Evaluation("dsm", "segmentation", Sampler("ddim", 1)), checkpoint, tmp_path / "d.json", tmp_path
        ).amplitude
        == 0
    )


def test_an_autoencoder_may_move_but_not_change(tiny, kl_folder, kl_section, tmp_path):
    def suite(folder):
        tiny["autoencoder"] = kl_section | {"pretrained": str(folder)}
        return config.check(tiny, "tiny")

    def score(folder):
        return evaluate(
            suite(folder),
            Evaluation("dsm", "segmentation", Sampler("ddim", 1)),
            tmp_path / "weights",
            tmp_path / "r.json",
            tmp_path,
        )

    old, new = (shutil.copytree(kl_folder, tmp_path / name) for name in ("old", "new"))
    checkpoints.export(tmp_path / "weights", suite(old), "dsm", 0, make_model(suite(old), "dsm").network)
    shutil.rmtree(old)
    assert score(new).n_images == 4
    (new / "config.json").write_text((new / "config.json").read_text() + " ")
    with pytest.raises(SemFlowError, match=f"trained with another autoencoder than the kl at {new}; restore"):
        score(new)


def test_states_of_what_figures_show_are_kept_from_the_image_to_the_read_labels(tiny_suite, weights_of, tmp_path):
    evaluate(
        tiny_suite,
        Evaluation("semflow", "segmentation", Sampler("euler", 5), 6.0),
        weights_of("semflow"),
        tmp_path / "r.json",
        tmp_path,
    )
    arrays = records.Arrays.load(tmp_path / "r.npz")
    assert arrays.states.shape == (4, 6, 3, 16, 16)
    assert np.array_equal(arrays.states[:, 0], arrays.images)
    last = torch.from_numpy(arrays.states[:, -1])
    read = make_model(tiny_suite, "semflow").pseudo_mask.read(to_unit_range(last)).numpy()
    assert (read == arrays.outputs).mean() > 0.95  # but for rounding to bytes


def test_of_many_states_eleven_are_kept_its_ends_included(tiny_suite):
    kept = Kept(make_model(tiny_suite, "semflow"), np.array([0, 3]))
    states = [torch.full((2, 3, 4, 4), step / 100 - 1) for step in range(101)]
    kept.add(np.array([0, 1]), states)
    kept.add(np.array([2, 3]), states)
    assert kept.arrays().shape == (2, 11, 3, 4, 4)
    assert kept.arrays()[1, :, 0, 0, 0].tolist() == pytest.approx([25.5 / 2 * step for step in range(11)], abs=0.5)


def test_evaluations_of_the_network_are_counted(tiny_suite, weights_of, tmp_path):
    for method, sampler, wanted in (("semflow", "midpoint", 6), ("semflow", "rk4", 12), ("dsm", "ddim", 4)):
        steps = 4 if method == "dsm" else 3
        cell = Evaluation(method, "segmentation", Sampler(sampler, steps), 6.0 if method == "semflow" else 0.0)
        assert evaluate(tiny_suite, cell, weights_of(method), tmp_path / "r.json", tmp_path).evaluations == wanted


def test_a_task_that_a_method_cannot_do_is_refused(tiny_suite, weights_of, tmp_path):
    with pytest.raises(SemFlowError, match="dsm cannot do synthesis: it has no synthesize"):
        evaluate(tiny_suite, Evaluation("dsm", "synthesis", Sampler("ddim", 1)), weights_of("dsm"), tmp_path / "r.json", tmp_path)
    with pytest.raises(SemFlowError, match="shuffled_labels is no control of synthesis"):
        evaluate(tiny_suite, Evaluation("shuffled_labels", "synthesis", DIRECT), None, tmp_path / "r.json", tmp_path)
