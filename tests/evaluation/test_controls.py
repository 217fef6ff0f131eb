"""Controls: the perfect and the blind."""

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from semflow.data.scenes import Scenes
from semflow.evaluation import evaluate
from semflow.evaluation.controls import OUTPUTS, Oracle, ShuffledLabels, blurred, repainted, white_noise
from semflow.method.autoencoder import Autoencoder, Patchify
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import DIRECT
from semflow.suite import reading as config
from semflow.suite.runs import CONTROL_TITLES, CONTROLS, Evaluation


@pytest.mark.parametrize("autoencoder", [Autoencoder(), Patchify(2)], ids=["identity", "patchify"])
@pytest.mark.parametrize("n_classes", [11, 171])
def test_the_oracle_of_a_lossless_code_is_the_truth(autoencoder, n_classes):
    labels = torch.randint(n_classes, (3, 8, 8), dtype=torch.uint8)
    assert torch.equal(Oracle(PseudoMask(n_classes), autoencoder).predict(labels), labels)


def test_the_oracle_shows_what_the_autoencoder_loses():
    class Blur(Autoencoder):
        def decode(self, latents):
            return latents.mean((2, 3), keepdim=True).expand_as(latents)

    # Classes 0 and 2 in equal parts average to the colour of class 1.
    labels = torch.tensor([[[0, 2], [2, 0]]], dtype=torch.uint8)
    assert Oracle(PseudoMask(11), Blur()).predict(labels).flatten().tolist() == [1, 1, 1, 1]


def test_the_oracle_reads_ignored_pixels_as_some_class():
    labels = torch.full((1, 2, 2), 255, dtype=torch.uint8)
    assert Oracle(PseudoMask(171), Autoencoder()).predict(labels).max() < 171


@pytest.mark.parametrize(("n", "order"), [(2, [1, 0]), (4, [2, 3, 0, 1]), (5, [3, 4, 0, 1, 2])])
def test_shuffled_labels_are_the_truth_of_the_image_half_the_set_away(n, order):
    labels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1).expand(n, 2, 2)
    assert ShuffledLabels().predict(labels)[:, 0, 0].tolist() == order


@pytest.mark.parametrize("n", [2, 3, 4, 5, 9])
def test_shuffled_labels_never_see_its_own_image(n):
    labels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1)
    assert not (ShuffledLabels().predict(labels) == labels).any()


def test_shuffled_labels_call_ignored_pixels_class_0():
    labels = torch.tensor([[[255, 3]], [[4, 5]]], dtype=torch.uint8)
    predicted = ShuffledLabels().predict(labels)
    assert predicted.tolist() == [[[4, 5]], [[0, 3]]]
    assert predicted.dtype == torch.uint8


def test_repainted_layouts_are_the_data_sets_own_one_drawing_each():
    scenes = Scenes(3, (16, 16), 0, "test", 2)
    labels = torch.stack([torch.from_numpy(scenes[index].labels) for index in (0, 1, 1)])
    drawn = repainted(scenes, labels)
    assert drawn.shape == (3, 3, 16, 16)
    assert all(np.array_equal(drawn[index], scenes.repaint(labels[index].numpy(), index)) for index in range(3))
    assert not torch.equal(drawn[1], drawn[2])  # one layout, painted twice


def test_blurring_is_the_mean_over_3_by_3_pixels_edges_repeated():
    images = torch.randint(256, (2, 3, 9, 7), dtype=torch.uint8)
    theirs = uniform_filter(images.numpy().astype(float), size=(1, 1, 3, 3), mode="nearest")
    assert blurred(images).dtype == torch.uint8
    assert abs(blurred(images).numpy() - theirs).max() <= 0.5 + 1e-4


def test_white_noise_is_uniform_independent_and_the_same_every_time():
    noise = white_noise(40, (16, 24))
    assert noise.shape == (40, 3, 16, 24)
    assert torch.equal(noise, white_noise(40, (16, 24)))
    counts = torch.bincount(noise.flatten().int(), minlength=256).double()
    expected = noise.numel() / 256
    assert ((counts - expected) ** 2 / expected).sum() < 330.5  # chi-squared with 255 degrees of freedom, p = 0.001
    pixels = noise.double() - 127.5
    assert abs((pixels[..., 1:] * pixels[..., :-1]).mean() / pixels.var()) < 5 / noise.numel() ** 0.5


def test_controls_of_synthesis_are_ordered_by_what_they_lack(tiny, tmp_path):
    """Repainted layouts lack nothing, real images of other layouts only the layout, a grey card all."""
    tiny["data"]["n_test"] = 24
    suite, found = config.check(tiny, "tiny"), {}
    for name in CONTROLS["synthesis"]:
        record = evaluate(suite, Evaluation(name, "synthesis", DIRECT), None, tmp_path / "r.json", tmp_path / "cache")
        found[name] = {metric.removesuffix("_efficientnet_lite0"): value.value for metric, value in record.metrics.items()}
    real = found.pop("test_images")
    assert (real["perceptual"], real["detail_gap"], real["precision"], real["recall"]) == (0, 0, 100, 100)
    assert real["brightness"] == pytest.approx(found["repainted"]["brightness"], rel=0.2)
    mmd2, perceptual, gap, detail = (
        {name: values[metric] for name, values in found.items()} for metric in ("mmd2", "perceptual", "detail_gap", "detail")
    )
    assert min(perceptual, key=perceptual.get) == min(gap, key=gap.get) == "repainted"
    assert max(mmd2["repainted"], mmd2["real_images"]) < min(mmd2[name] for name in ("blurred", "grey_card", "white_noise"))
    assert detail["grey_card"] == 0 < 2 * detail["blurred"] < detail["repainted"] < detail["white_noise"] / 4
    assert (found["grey_card"]["brightness"], found["grey_card"]["clipped"]) == (128, 0)


def test_every_control_has_its_outputs():
    assert OUTPUTS.keys() == CONTROL_TITLES.keys()
