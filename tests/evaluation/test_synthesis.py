"""From label maps to pictures to a record."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from semflow.data.sample import IGNORE_INDEX
from semflow.data.scenes import Scenes
from semflow.evaluation import common, evaluate, records, session
from semflow.evaluation.features import EfficientNetLite0, extract
from semflow.evaluation.metrics import catalogue
from semflow.evaluation.metrics.appearance import brightness, clipped, detail, detail_gap
from semflow.evaluation.metrics.distances import among, frechet_distance, kernel_draws
from semflow.evaluation.metrics.scores import mean_iou
from semflow.evaluation.metrics.segmentation import confusions
from semflow.evaluation.synthesis import _recovered
from semflow.loading.batches import Batches
from semflow.loading.pixels import to_unit_range
from semflow.method.samplers import DIRECT, Sampler
from semflow.suite import reading as config
from semflow.suite.measurements import AlexNet, InceptionV3
from semflow.suite.runs import Evaluation
from semflow.training import checkpoints, optimizers
from semflow.training.build import make_model
from semflow.training.checkpoints import open_checkpoint
from semflow.training.spent import PARTS, Spent, part_of

CPU = torch.device("cpu")


@pytest.fixture
def measure(tiny_suite, weights_of, tmp_path):
    """measure(sampler, b, b', seed) -> (record, arrays) of a SemFlow that was never trained."""

    def run(sampler="euler-2", b=6.0, drawn_with=None, seed=0):
        evaluation = Evaluation(
            "semflow", "synthesis", Sampler.parse(sampler), b, b if drawn_with is None else drawn_with, 0, seed
        )
        suite = tiny_suite.model_copy(update={"pseudo_mask": tiny_suite.pseudo_mask.model_copy(update={"amplitude": b})})
        record = evaluate(suite, evaluation, weights_of("semflow", b), tmp_path / "r.json", tmp_path / "cache")
        assert records.read(tmp_path / "r.json") == record
        return record, records.Arrays.load(tmp_path / "r.npz")

    return run


@pytest.mark.parametrize("enough", [4, 5])
def test_the_frechet_distance_has_an_interval_from_enough_images_on(measure, monkeypatch, enough):
    assert catalogue.ENOUGH_FOR_FRECHET == 2048
    monkeypatch.setattr("semflow.evaluation.synthesis.ENOUGH_FOR_FRECHET", enough)
    record, arrays = measure()  # of 4 images
    frechet, name = record.metrics["frechet_efficientnet_lite0"], "frechet_efficientnet_lite0"
    assert (name in arrays.draws) == (frechet.low is not None) == (frechet.high is not None) == (enough == 4)
    assert record.metrics["mmd2_efficientnet_lite0"].low is not None
    assert f"fewer than {enough} images" in record.protocol.interval


def test_features_and_distances_of_one_look_are_those_of_two(tiny_suite, tmp_path, monkeypatch):
    control = Evaluation("real_images", "synthesis", DIRECT)
    drawn = torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8)
    looked, look = [], EfficientNetLite0.look
    monkeypatch.setattr(EfficientNetLite0, "look", lambda self, images: looked.append(len(images)) or look(self, images))
    run = session.Session(tiny_suite, control, None, tmp_path)
    features, distances = run.see(drawn)
    run.see(drawn)
    assert looked == [4, 4, 4]  # the real images once, the drawn ones every time
    lite0 = EfficientNetLite0(CPU)
    np.testing.assert_allclose(features, extract(lite0, drawn), rtol=1e-4, atol=1e-5)
    with torch.inference_mode():
        wanted = lite0.between(lite0.look(drawn), lite0.look(run.pictures[0]))
    np.testing.assert_allclose(distances, wanted, rtol=1e-5)


def test_what_is_read_back_of_a_mask_is_the_share_of_its_pixels_that_have_a_label(measure, monkeypatch):
    whole, arrays = measure("euler-5")
    assert whole.metrics["label_recovery"].value == 100  # b = 6 moves no colour past the middle between two
    assert arrays.values["label_recovery"].tolist() == [100] * 4
    assert "label_recovery" not in measure("euler-2")[0].metrics
    read, labels = torch.tensor([[[1, 2], [3, 4]]]), torch.tensor([[[1, 2], [0, IGNORE_INDEX]]])
    assert _recovered(read, labels).tolist() == pytest.approx([100 * 2 / 3])


def test_paths_of_the_main_sampler_alone_are_measured_and_are_no_shorter_than_their_chords(measure):
    record, arrays = measure("euler-5")
    assert len(arrays.values["path_length_excess"]) == 4
    assert (arrays.values["path_length_excess"] > 0).all()
    assert record.metrics["path_length_excess"].unit == "percent"
    assert "path_length_excess" not in measure("euler-2")[0].metrics


def test_without_perturbation_pictures_do_not_vary_at_all_and_with_it_they_do(measure):
    (one, _), (two, _) = measure("euler-5", b=0.0), measure("euler-5", b=0.0, seed=1)
    assert one.metrics["diversity_efficientnet_lite0"].value == two.metrics["diversity_efficientnet_lite0"].value == 0
    assert one.outputs_sha256 == two.outputs_sha256
    (one, _), (two, _) = measure("euler-5"), measure("euler-5", seed=1)
    assert one.metrics["diversity_efficientnet_lite0"].value > 0
    assert one.outputs_sha256 != two.outputs_sha256
    assert one.outputs_sha256 == measure("euler-5")[0].outputs_sha256
    assert "diversity_efficientnet_lite0" not in measure("euler-2")[0].metrics


def test_every_number_is_that_of_the_kept_pictures(measure, tiny_suite, weights_of):
    record, arrays = measure()
    lite0 = EfficientNetLite0(CPU)
    assert len(arrays.outputs) == record.n_images == 4  # all are examples
    drawn, real = torch.from_numpy(arrays.outputs), torch.from_numpy(arrays.images)
    x, y = extract(lite0, drawn), extract(lite0, real)
    value = {name: metric.value for name, metric in record.metrics.items()}
    assert value["frechet_efficientnet_lite0"] == pytest.approx(frechet_distance(x, y), rel=1e-4)
    assert value["mmd2_efficientnet_lite0"] == pytest.approx(kernel_draws(x, y, [np.ones(4)])[0], rel=1e-4)
    with torch.inference_mode():
        pairs = lite0.between(lite0.look(drawn), lite0.look(real))
    assert value["perceptual_efficientnet_lite0"] == pytest.approx(pairs.mean().item(), rel=1e-5)
    assert value["precision_efficientnet_lite0"] == pytest.approx(100 * among(x, y, 3).mean())
    assert value["recall_efficientnet_lite0"] == pytest.approx(100 * among(y, x, 3).mean())
    layouts = torch.from_numpy(arrays.labels)
    for name, values in (
        ("brightness", brightness(drawn)), ("clipped", clipped(drawn)), ("detail", detail(drawn, layouts)),
        ("detail_gap", detail_gap(drawn, real, layouts)),
    ):  # fmt: skip
        assert value[name] == pytest.approx(values.mean().item(), rel=1e-6)
        assert arrays.values[name] == pytest.approx(values.numpy(), rel=1e-6)
    model, _ = open_checkpoint(weights_of("semflow", 6.0))
    with torch.inference_mode():
        read = model.segment(to_unit_range(drawn), Sampler("euler", 5), torch.Generator())
    matrix = confusions(read, torch.from_numpy(arrays.labels), 16).sum(0).numpy()
    assert value["round_trip_miou"] == pytest.approx(100 * mean_iou(matrix))
    for name, metric in record.metrics.items():
        assert name.startswith("frechet") or metric.low <= metric.value <= metric.high, name


def test_what_a_method_says_of_its_training_is_measured_at_its_main_sampler(tiny, tmp_path):
    adam = {"lr": 1e-3, "lr_schedule": "constant"}
    tiny["methods"] = tiny["methods"] | {"cyclegan": {
        "batch_size": 2, "width": 4, "downs": 1, "residuals": 1, "discriminator_width": 4, "discriminator_layers": 1,
        "cycle": 10, "identity": 0, "pool": 1, "generators": adam, "discriminators": adam,
    }}  # fmt: skip
    suite = config.check(tiny, "tiny")
    model, n = make_model(suite, "cyclegan"), optimizers.length(suite, "cyclegan")[0]
    counts = [sum(part_of(step, n) == part for step in range(n)) for part in range(PARTS)]
    ends = dict.fromkeys((f"discriminators/{of}_{kind}" for of in ("real", "fake") for kind in ("image", "mask")), 0.125)
    ends |= {"discriminators/fake_image": 0.025}  # so that real and fake images come to .15, of .25 at chance
    losses = {name: [9.0 * k if part < 20 else end * k for part, k in enumerate(counts)] for name, end in ends.items()}
    checkpoints.export(tmp_path / "c", suite, "cyclegan", 0, model, Spent(n, 1.0, (), losses), "cpu")
    record = evaluate(suite, Evaluation("cyclegan", "synthesis", DIRECT), tmp_path / "c", tmp_path / "r.json", tmp_path)
    told = {name: metric.value for name, metric in record.metrics.items()}
    assert (told["discriminator_lead"], told["discriminator_lead_masks"]) == (pytest.approx(40), pytest.approx(0, abs=1e-6))
    assert record.metrics["discriminator_lead"].low is None
    split = Scenes(suite.data.n_test, suite.data.size, suite.data.seed, "test", suite.data.version)
    images, labels = Batches(split)[range(suite.data.n_test)]
    with torch.inference_mode():
        wanted = model.diagnose(to_unit_range(images), labels, None)
    assert told["cycle_images"] == pytest.approx(wanted["cycle_images"].mean().item(), rel=1e-5)
    assert told["cycle_masks"] == pytest.approx(wanted["cycle_masks"].mean().item(), rel=1e-5)


def test_a_proxy_is_labelled_with_its_own_name(measure):
    record, _ = measure()
    assert not {"fid", "kid", "lpips", "diversity_lpips"} & record.metrics.keys()
    assert record.protocol.networks["features"].startswith("EfficientNet-Lite0, SHA-256 57934424")


def test_with_the_networks_of_the_field_the_metrics_have_the_names_of_the_field(tiny_suite, weights_of, tmp_path, monkeypatch):
    monkeypatch.setattr("semflow.evaluation.features.InceptionV3", lambda weights, device: EfficientNetLite0(device))
    monkeypatch.setattr("semflow.evaluation.features.LPIPS", lambda weights, device: EfficientNetLite0(device))
    networks = {
        "features": InceptionV3(network="inception-v3", weights=None),
        "perceptual": AlexNet(network="alexnet", weights=None),
    }
    suite = tiny_suite.model_copy(update={"synthesis": tiny_suite.synthesis.model_copy(update=networks)})
    evaluation = Evaluation("semflow", "synthesis", Sampler("euler", 5), 6.0, 6.0)
    record = evaluate(suite, evaluation, weights_of("semflow"), tmp_path / "r.json", tmp_path)
    networks = {"precision_inception_v3", "recall_inception_v3"}
    assert {"fid", "kid", "lpips", "diversity_lpips"} | networks <= record.metrics.keys()
    assert not [name for name in record.metrics if "lite0" in name]


@pytest.mark.parametrize(("sampler", "wanted"), [("euler-2", 2), ("heun-2", 4), ("rk4-1", 4)])
def test_evaluations_are_those_of_drawing_once(measure, sampler, wanted):
    assert measure(sampler)[0].evaluations == wanted


def test_evaluations_are_a_mean_over_images_not_batches(tiny_suite):
    """Where the solver takes its own steps, a short last batch does not count as much as a whole one."""
    calls = iter([2, 10])
    suite = tiny_suite.model_copy(update={"evaluation": tiny_suite.evaluation.model_copy(update={"batch_size": 3})})
    control = Evaluation("oracle", "segmentation", DIRECT)
    run = common.Measurement(session.Session(suite, control, None, Path("cache")), control)
    network = torch.nn.Identity()
    run.model = SimpleNamespace(networks={"unet": network}, sampling=("unet",))
    for _ in run.batches(np.arange(4), "count"):
        for _ in range(next(calls)):
            network(torch.zeros(1))
    assert run.evaluations == (3 * 2 + 1 * 10) / 4


def test_rk45_says_how_many_evaluations_it_took(measure):
    record, _ = measure("rk45")
    assert record.evaluations >= 7  # one step of Dormand and Prince, with its first derivative
    assert (record.sampler, record.steps) == ("rk45", 0)


def test_sampling_with_another_perturbation_draws_other_pictures_of_the_same_model(measure):
    (as_trained, _), (wider, _) = measure(), measure(drawn_with=12.0)
    assert as_trained.provenance.checkpoint_sha256 == wider.provenance.checkpoint_sha256
    assert (wider.amplitude, wider.sampling_amplitude) == (6, 12)
    assert as_trained.outputs_sha256 != wider.outputs_sha256


def test_states_are_kept_from_the_pseudo_mask_to_the_picture(measure, tiny_suite):
    _, arrays = measure("euler-5")
    assert arrays.states.shape == (4, 6, 3, 16, 16)
    assert np.array_equal(arrays.states[:, -1], arrays.outputs)
    anchors = 120 * np.stack([arrays.labels // 9, arrays.labels // 3 % 3, arrays.labels % 3], axis=1)
    assert np.abs(arrays.states[:, 0].astype(int) - anchors).max() <= 7  # b = 6, clipped and rounded
    assert measure("euler-2")[1].states is None
    assert measure("euler-5", seed=1)[1].states is not None  # whichever seeds a suite names first


def test_only_many_steps_of_euler_tell_how_straight_a_path_is(measure):
    assert measure("euler-5")[0].metrics["straightness"].value > 1e-5
    for few_or_others in ("euler-1", "rk4-1", "rk45"):
        assert "straightness" not in measure(few_or_others)[0].metrics


def test_features_of_real_images_are_computed_once(measure, tmp_path):
    measure()
    (kept,) = (tmp_path / "cache").glob("*.npz")
    stamp = kept.stat().st_mtime_ns
    measure(seed=1)
    assert [path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.npz")] == [stamp]


def test_real_images_of_other_layouts_are_a_control(tiny_suite, tmp_path):
    record = evaluate(tiny_suite, Evaluation("real_images", "synthesis", DIRECT), None, tmp_path / "r.json", tmp_path)
    arrays = records.Arrays.load(tmp_path / "r.npz")
    train = Scenes(8, (16, 16), 0, "train", 2)
    assert np.array_equal(arrays.outputs, np.stack([train[index].image for index in (0, 2, 4, 6)]))
    of_models = {"diversity_efficientnet_lite0", "round_trip_miou", "straightness", "path_length_excess", "label_recovery"}
    assert not of_models & record.metrics.keys()
    assert (record.evaluations, record.n_parameters, record.class_iou) == (0, None, {})
