"""The plain UNet: cross-entropy by hand, ignored pixels, and what it learns."""

import math

import pytest
import torch
from given import Given
from noising import seeded

from baselines.unet_supervised.model import SupervisedUNet
from semflow.data.scenes import NAMES, Scenes
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.segmentation import confusion, miou
from semflow.loading.batches import Batch, Batches
from semflow.loading.pixels import to_unit_range
from semflow.method.samplers import DIRECT
from semflow.suite import configured
from semflow.suite import reading as config
from semflow.training.build import make_model
from semflow.training.checkpoints import open_checkpoint
from semflow.training.loop import train

SMALL: dict = {}  # the suite's network and recipe


@pytest.fixture
def suite(tiny):
    tiny["methods"] |= {"unet_supervised": SMALL}
    return config.check(tiny, "tiny")


def model_of(logits: torch.Tensor) -> SupervisedUNet:
    return SupervisedUNet(Given(lambda x, t: logits))


def loss_of(model, images, labels) -> torch.Tensor:
    (loss,) = model.losses("training", (images, labels), seeded(), {}).values()
    return loss


def test_the_loss_is_cross_entropy_by_hand_and_ignored_pixels_count_as_0():
    logits = torch.tensor([[[[2.0, 0.0, 5.0]], [[0.0, 0.0, -5.0]]]])  # two classes, three pixels
    labels = torch.tensor([[[0, 1, 255]]], dtype=torch.uint8)
    by_hand = (math.log(1 + math.exp(-2)) + math.log(2) + 0) / 3
    assert loss_of(model_of(logits), torch.zeros(1, 3, 1, 3), labels).item() == pytest.approx(by_hand)


def test_ignored_pixels_get_no_gradient_and_a_batch_of_them_is_finite():
    logits = torch.randn(2, 4, 6, 6, requires_grad=True)
    labels = torch.randint(4, (2, 6, 6), dtype=torch.uint8)
    labels[0], labels[1, :3] = 255, 255
    loss_of(model_of(logits), torch.zeros(2, 3, 6, 6), labels).backward()
    touched = logits.grad.abs().sum(1) > 0
    assert torch.equal(touched, labels != 255)
    assert loss_of(model_of(logits), torch.zeros(2, 3, 6, 6), torch.full_like(labels, 255)) == 0


def test_the_loss_is_a_mean_over_pictures(suite, images, labels):
    model = make_model(suite, "unet_supervised")
    labels[0, :8] = 255
    parts = [loss_of(model, images[[row]], labels[[row]]) for row in (0, 1)]
    torch.testing.assert_close(loss_of(model, images, labels), sum(parts) / 2)


def test_the_network_sees_pixels_and_time_0(images):
    seen = []
    model = SupervisedUNet(Given(lambda x, t: seen.append((x, t)) or torch.eye(16)[:, None].expand(2, 16, 16, 16)))
    labels = model.segment(images, DIRECT, seeded())
    ((x, t),) = seen
    assert torch.equal(x, images)
    assert t == 0
    assert (labels.shape, labels.dtype) == ((2, 16, 16), torch.uint8)
    assert torch.equal(labels, torch.arange(16, dtype=torch.uint8).expand(2, 16, 16))


def test_it_looks_at_pixels_in_the_range_that_it_segments(suite):
    model = make_model(suite, "unet_supervised")
    image, mask = Batches(Scenes(2, suite.data.size, 0, "train", 2))[range(2)]
    pixels, labels = model.look(Batch(image, mask), seeded())
    assert torch.equal(pixels, to_unit_range(image))
    assert torch.equal(labels, mask)


def test_it_overfits_four_scenes_and_opens_again(suite, tmp_path):
    training = suite.training.model_copy(update={"steps": 100, "batch_size": 4, "lr": 5e-3, "flip": False, "ema_decay": 0.9})
    network = suite.network.model_copy(update={"block_out_channels": (16, 32)})
    suite = suite.model_copy(
        update={"training": training, "network": network, "data": suite.data.model_copy(update={"n_train": 4})}
    )
    train(suite, "unet_supervised", 0, tmp_path / "state", tmp_path / "out")
    model, card = open_checkpoint(tmp_path / "out")
    assert (card.pseudo_mask, card.autoencoder) == (None, None)
    images, labels = Batches(Scenes(4, suite.data.size, suite.data.seed, "train", 2))[range(4)]
    with torch.inference_mode():
        predicted = model.segment(to_unit_range(images), DIRECT, seeded())
    assert miou(confusion(predicted, labels, len(NAMES))) > 0.8


def test_a_pretrained_network_is_refused(sd_suite):
    suite = sd_suite.model_copy(update={"methods": configured({"unet_supervised": SMALL})})
    with pytest.raises(SemFlowError, match="network.pretrained was trained on latents; leave unet_supervised out"):
        make_model(suite, "unet_supervised")
