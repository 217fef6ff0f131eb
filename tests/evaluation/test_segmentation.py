"""From a model and a data set to a record of segmentation."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from trees import coco_stuff_tree

from semflow.data.scenes import Scenes
from semflow.errors import SemFlowError
from semflow.evaluation import evaluate, evaluate_all, records, segmentation, session
from semflow.evaluation.common import ShownStates
from semflow.loading.pixels import to_unit_range
from semflow.method.samplers import DIRECT, Sampler
from semflow.suite import reading as config
from semflow.suite.runs import Evaluation
from semflow.training import checkpoints
from semflow.training.build import make_model


def test_the_oracle_of_a_lossless_representation_is_100_percent(tiny_suite, tmp_path):
    record = evaluate(tiny_suite, Evaluation("oracle", "segmentation", DIRECT), None, tmp_path / "r.json", tmp_path)
    assert {metric.value for metric in record.metrics.values()} == {100}
    assert set(record.class_iou.values()) <= {100, None}


def test_shuffled_labels_give_the_agreement_of_pictures_half_the_set_apart(tiny_suite, tmp_path):
    record = evaluate(tiny_suite, Evaluation("shuffled_labels", "segmentation", DIRECT), None, tmp_path / "r.json", tmp_path)
    labels = [Scenes(4, (16, 16), 0, "test", 2)[index].labels for index in range(4)]
    agreement = np.mean([labels[index] == labels[(index + 2) % 4] for index in range(4)])
    assert record.metrics["pixel_accuracy"].value == pytest.approx(100 * agreement)


def test_labels_on_disk_are_scored_at_their_own_size_too(tiny, tmp_path):
    data = {"name": "coco_stuff", "root": str(coco_stuff_tree(tmp_path / "coco", 4)), "size": [16, 16]}
    tiny["data"] = data | {"view": "crop", "masks": "labels"}
    tiny |= {"pseudo_mask": {"k": 6, "s": 50, "amplitude": 6}, "runs": tiny["runs"][:1]}  # 171 classes
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
    assert record.provenance.checkpoint_sha256 == checkpoints.read_card(checkpoint).weights_sha256
    assert record.provenance.data_sha256 == Scenes(4, (16, 16), 0, "test", 2).fingerprint()
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
    evaluation = Evaluation("semflow", "segmentation", Sampler("euler", 1), 6.0)
    with pytest.raises(SemFlowError, match=r"another pseudo_mask\.amplitude than tiny's; give --amplitude 12"):
        evaluate(tiny_suite, evaluation, weights_of("semflow", 12.0), tmp_path / "r.json", tmp_path)


def test_a_checkpoint_of_other_settings_of_the_method_is_refused(tiny, checkpoint, tmp_path):
    tiny["methods"]["dsm"]["timestep_spacing"] = "trailing"
    with pytest.raises(SemFlowError, match=r"trained with another methods\.dsm\.timestep_spacing than tiny's"):
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
    checkpoints.export(tmp_path / "weights", suite(old), "dsm", 0, make_model(suite(old), "dsm"))
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


def test_paths_of_the_main_sampler_are_measured(tiny_suite, weights_of, tmp_path, monkeypatch):
    b = tiny_suite.pseudo_mask.amplitude
    found = {}
    for sampler in ("euler-5", "euler-2"):
        evaluation = Evaluation("semflow", "segmentation", Sampler.parse(sampler), b)
        found[sampler] = evaluate(tiny_suite, evaluation, weights_of("semflow"), tmp_path / "r.json", tmp_path).metrics
        if sampler == "euler-5":
            model, images = checkpoints.open_checkpoint(weights_of("semflow"))[0], records.Arrays.load(tmp_path / "r.npz").images
    with torch.inference_mode():
        states = torch.stack(list(model.path(model.encode_images(to_unit_range(torch.from_numpy(images))), Sampler("euler", 5))))
    steps = states.diff(dim=0).flatten(2).norm(dim=2).sum(0)
    excess = steps / (states[-1] - states[0]).flatten(1).norm(dim=1) - 1
    assert found["euler-5"]["path_length_excess"].value == pytest.approx(100 * excess.mean().item(), rel=1e-4)
    assert "path_length_excess" not in found["euler-2"]


def test_of_many_states_eleven_are_kept_its_ends_included(tiny_suite):
    kept = ShownStates(make_model(tiny_suite, "semflow"), np.array([0, 3]))
    states = [torch.full((2, 3, 4, 4), step / 100 - 1) for step in range(101)]
    kept.add(np.array([0, 1]), states)
    kept.add(np.array([2, 3]), states)
    assert kept.arrays().shape == (2, 11, 3, 4, 4)
    assert kept.arrays()[1, :, 0, 0, 0].tolist() == pytest.approx([25.5 / 2 * step for step in range(11)], abs=0.5)


def test_evaluations_of_the_network_are_counted(tiny_suite, weights_of, tmp_path):
    for method, sampler, wanted in (("semflow", "midpoint", 6), ("semflow", "rk4", 12), ("dsm", "ddim", 4)):
        steps = 4 if method == "dsm" else 3
        evaluation = Evaluation(method, "segmentation", Sampler(sampler, steps), 6.0 if method == "semflow" else 0.0)
        assert evaluate(tiny_suite, evaluation, weights_of(method), tmp_path / "r.json", tmp_path).evaluations == wanted


def test_a_task_that_a_method_cannot_do_is_refused(tiny_suite, weights_of, tmp_path):
    with pytest.raises(SemFlowError, match="DSM cannot do synthesis; it does segmentation"):
        evaluate(tiny_suite, Evaluation("dsm", "synthesis", Sampler("ddim", 1)), weights_of("dsm"), tmp_path / "r.json", tmp_path)
    with pytest.raises(SemFlowError, match="shuffled_labels is no control of synthesis"):
        evaluate(tiny_suite, Evaluation("shuffled_labels", "synthesis", DIRECT), None, tmp_path / "r.json", tmp_path)


def every(record):
    """What does not say when, how or for how long a record was made."""
    return record.model_copy(update={"provenance": None})


@pytest.fixture
def all_of(tiny, weights_of, tmp_path):
    """all_of() -> measures two evaluations of DSM to r/one.json and r/two.json, with a store in s."""
    suite, wanted = config.check(tiny, "tiny"), {}
    for name, steps in (("one", 1), ("two", 2)):
        wanted[Evaluation("dsm", "segmentation", Sampler("ddim", steps))] = tmp_path / f"r/{name}.json"

    def run(**changes):
        evaluate_all(suite.model_copy(update=changes), wanted, weights_of("dsm"), tmp_path / "s", tmp_path)
        return [records.read(path) for path in wanted.values()]

    run.wanted = wanted
    return run


def test_evaluations_of_one_checkpoint_give_the_records_that_each_would_alone(all_of, tiny_suite, checkpoint, tmp_path):
    for evaluation, record in zip(all_of.wanted, all_of(), strict=True):
        alone = evaluate(tiny_suite, evaluation, checkpoint, tmp_path / "alone.json", tmp_path)
        assert every(record) == every(alone)
        assert records.Arrays.load(tmp_path / "r/one.npz").units.shape == (4,)


def test_a_model_and_the_data_are_opened_once(all_of, monkeypatch):
    opened, loaded = [], []
    monkeypatch.setattr(session, "open_checkpoint", lambda *words, do=session.open_checkpoint: opened.append(words) or do(*words))
    monkeypatch.setattr(session, "in_memory", lambda *words, do=session.in_memory: loaded.append(words) or do(*words))
    all_of()
    assert (len(opened), len(loaded)) == (1, 1)


def test_what_is_stopped_goes_on_from_the_records_that_are_there(all_of, monkeypatch):
    def stop_at_the_second(run, out, do=segmentation.measure):
        if run.evaluation.sampler.steps == 2:
            raise KeyboardInterrupt
        return do(run, out)

    with monkeypatch.context() as patch:
        patch.setattr(segmentation, "measure", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            all_of()
    one, two = all_of.wanted.values()
    assert one.exists()
    assert not two.exists()
    for path in (one, one.with_suffix(".npz")):  # as Snakemake does with the outputs of a job that failed
        path.unlink()
    measured = []
    monkeypatch.setattr(segmentation, "measure", lambda run, out, do=segmentation.measure: measured.append(run) or do(run, out))
    all_of()
    assert [run.evaluation.sampler.steps for run in measured] == [2]
    assert one.exists()


def test_nothing_is_measured_or_opened_where_all_records_are_there(all_of, monkeypatch):
    first = all_of()
    monkeypatch.setattr(session, "open_checkpoint", lambda *_: pytest.fail("opened again"))
    assert all_of() == first


def test_a_suite_that_takes_anothers_records_has_them_under_its_own_name(all_of, monkeypatch):
    first = all_of()
    monkeypatch.setattr(session, "open_checkpoint", lambda *_: pytest.fail("opened again"))
    assert all_of(suite="other", shares="tiny") == [record.model_copy(update={"suite": "other"}) for record in first]
    assert all_of() == first


def test_a_damaged_record_or_one_of_other_settings_is_measured_again(all_of, tmp_path, tiny_suite):
    first = all_of()
    (kept,) = (tmp_path / "s/dsm-segmentation-ddim-1-b0-b0-train0-sample0").glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    assert every(all_of()[0]) == every(first[0])
    settings = tiny_suite.evaluation.model_copy(update={"bootstrap_samples": 200})
    assert all_of(evaluation=settings)[0].protocol.bootstrap_samples == 200
    names = {path.stem for path in kept.parent.iterdir()}
    assert len(names) == 1  # and the older one is gone


def test_a_record_has_a_budget(all_of):
    one, two = all_of()
    assert one.budget.images_seen == 2600 * 16
    assert one.budget.optimizer_steps == 2600
    assert one.budget.parameters_sampling == one.budget.parameters_training == one.n_parameters
    assert 0 < one.budget.flops_per_output < two.budget.flops_per_output
    assert one.budget.training_flops > 2600 * 16 * 2 * one.budget.flops_per_output
