"""SemFlow on an untrained network: what holds whatever the weights are."""

import pytest
import torch
from given import Given

from baselines.semflow import CARD
from semflow.data.scenes import NAMES
from semflow.errors import SemFlowError
from semflow.method.autoencoder import Autoencoder
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import Sampler
from semflow.method.semflow import SemFlow
from semflow.suite import reading as config
from semflow.training.build import make_model

EULER = Sampler("euler", 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model(tiny_suite) -> SemFlow:
    model = make_model(tiny_suite, "semflow")
    model.network.eval()
    return model


@torch.no_grad()
def test_segmentation_ignores_the_generator(model, images):
    assert torch.equal(model.segment(images, EULER, seeded(1)), model.segment(images, EULER, seeded(2)))


@torch.no_grad()
def test_segmentation_draws_nothing(model, images):
    draws = seeded()
    before = draws.get_state()
    model.segment(images, EULER, draws)
    assert torch.equal(draws.get_state(), before)


@torch.no_grad()
def test_segmentation_gives_labels_of_the_classes(model, images):
    labels = model.segment(images, EULER, seeded())
    assert labels.shape == (2, 16, 16)
    assert labels.dtype == torch.uint8
    assert labels.max() < len(NAMES)


@torch.no_grad()
def test_synthesis_varies_with_the_seed(model, labels):
    same, again, other = (model.synthesize(labels, EULER, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


@torch.no_grad()
def test_synthesis_without_perturbation_does_not_vary(tiny, labels):
    tiny["pseudo_mask"]["amplitude"] = 0
    model = make_model(config.check(tiny, "tiny"), "semflow")
    assert torch.equal(model.synthesize(labels, EULER, seeded(1)), model.synthesize(labels, EULER, seeded(2)))


@torch.no_grad()
def test_synthesis_gives_pictures_in_the_unit_range(model, labels):
    pictures = model.synthesize(labels, EULER, seeded())
    assert pictures.shape == (2, 3, 16, 16)
    assert pictures.abs().max() <= 1


@pytest.mark.parametrize("task", ["segmentation", "synthesis"])
def test_an_unknown_sampler_is_named(task):
    with pytest.raises(SemFlowError, match="'ddim'"):
        CARD.check(task, Sampler("ddim", 5))


def exact(amplitude: float, velocity) -> SemFlow:
    return SemFlow(Given(velocity), PseudoMask(len(NAMES)), Autoencoder(), amplitude)


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
def test_the_true_velocity_segments_without_an_error(images, labels, steps):
    difference = PseudoMask(len(NAMES)).paint(labels) - images
    model = exact(6, lambda z, t: difference)
    assert torch.equal(model.segment(images, Sampler("euler", steps), seeded()), labels)


@pytest.mark.parametrize("sampler", ["midpoint-2", "heun-2", "rk4-1", "rk45"])
def test_every_solver_goes_both_ways(images, labels, sampler):
    difference = PseudoMask(len(NAMES)).paint(labels) - images
    model, sampler = exact(0, lambda z, t: difference), Sampler.parse(sampler)
    assert torch.equal(model.segment(images, sampler, seeded()), labels)
    torch.testing.assert_close(model.synthesize(labels, sampler, seeded()), images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
def test_the_true_velocity_paints_the_picture_back(images, labels, steps):
    difference = PseudoMask(len(NAMES)).paint(labels) - images
    model = exact(0, lambda z, t: difference)
    torch.testing.assert_close(model.synthesize(labels, Sampler("euler", steps), seeded()), images)


def test_synthesis_starts_within_the_amplitude_of_the_painted_mask(labels):
    seen = []
    exact(6, lambda z, t: seen.append((z, t)) or torch.zeros_like(z)).synthesize(labels, Sampler("euler", 1), seeded())
    ((start, t),) = seen
    distance = (start - PseudoMask(len(NAMES)).paint(labels)).abs().max().item()
    assert t == 1
    assert 5.9 / 127.5 < distance <= 6 / 127.5 + 1e-6


def loss_of(model, images, labels) -> torch.Tensor:
    """The training loss of images and labels, as a step works it out."""
    draws = seeded()
    pair = model.autoencoder.encode(images, draws), model.encode_labels(labels, draws)
    (loss,) = model.losses("flow", pair, draws, {}).values()
    return loss


def test_training_asks_for_the_way_from_image_to_perturbed_mask(images, labels):
    seen = []
    model = exact(6, lambda z, t: seen.append((z, t)) or torch.zeros_like(z))
    loss_of(model, images, labels)
    ((z, t),) = seen
    t = t.view(-1, 1, 1, 1)
    ends = (z - (1 - t) * images) / t
    assert (ends - PseudoMask(len(NAMES)).paint(labels)).abs().max() <= 6 / 127.5 + 1e-4


def test_training_times_are_uniform_and_float32(images, labels):
    seen = []
    model = exact(6, lambda z, t: seen.append(t) or torch.zeros_like(z))
    loss_of(model, images[:1, :, :1, :1].expand(4096, -1, -1, -1), labels[:1, :1, :1].expand(4096, -1, -1))
    (t,) = seen
    assert t.dtype == torch.float32
    counts = torch.histc(t, 16, 0, 1)
    assert counts.sum() == 4096
    assert ((counts - 256) ** 2 / 256).sum() < 37.7  # chi-squared with 15 degrees of freedom, p = 0.001


def test_loss_is_a_scalar_with_a_gradient_for_every_weight(model, images, labels):
    loss = loss_of(model, images, labels)
    loss.backward()
    assert loss.ndim == 0
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.network.parameters())


def test_a_seed_makes_the_same_network_every_time(tiny_suite):
    first, again, other = (make_model(tiny_suite, "semflow", seed).network.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
