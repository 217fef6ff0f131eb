"""The modified DSM: Eq. 1 of scaled masks, and preconditioning as Karras et al. (2022) derive it, worked out in float64."""

import math

import pytest
import torch
from given import Given
from noising import ABAR, loss_of, noise_of, seeded

from baselines.dsm import CARD as PUBLISHED
from baselines.dsm.model import DSM
from baselines.dsm_modified import CARD
from baselines.dsm_modified.model import ModifiedDSM
from semflow.data.scenes import NAMES
from semflow.method.autoencoder import Autoencoder
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import Sampler
from semflow.training.build import make_model

CODE = PseudoMask(len(NAMES))
SCALES = [1.0, 0.1]


def modified(network, scale: float) -> ModifiedDSM:
    return ModifiedDSM(Given(network), CODE, Autoencoder(), "leading", scale)


def correct(x0, scale: float, off: float = 0.0):
    """The network whose output, preconditioned, is the noise of x0; `off` is added to the output."""

    def output(z, t):
        a = torch.from_numpy(ABAR)[t].view(-1, 1, 1, 1)
        variance = a * scale**2 + 1 - a
        x = z[:, :3].double() * variance.sqrt()
        guess = (1 - a).sqrt() / variance * x
        return ((noise_of(x, x0.double(), t) - guess) / (scale * (a / variance).sqrt()) + off).float()

    return output


@pytest.mark.parametrize("scale", SCALES)
def test_masks_are_scaled_before_noise_is_added_and_back_before_they_are_read(images, labels, scale):
    model = modified(correct(scale * CODE.paint(labels), scale), scale)
    torch.testing.assert_close(model.encode_labels(labels, seeded()), scale * CODE.paint(labels))
    assert loss_of(model, images, labels).item() == pytest.approx(0, abs=1e-6)
    assert torch.equal(model.segment(images, Sampler("ddim", 5), seeded()), labels)


@pytest.mark.parametrize("t", [0, 100, 500, 999])
@pytest.mark.parametrize("scale", SCALES)
def test_preconditioning_starts_from_the_best_linear_guess_at_unit_variance(t, scale):
    # For latents of variance scale^2 the guess leaves an error that is uncorrelated with x (the normal equation of
    # least squares) and that the network's output, at unit variance, makes up for.
    seen = []
    model = modified(lambda z, t: seen.append(z) or torch.zeros_like(z[:, :3]), scale)
    x0, noise = (torch.randn(1, 3, 300, 300, generator=seeded(seed)) for seed in (1, 2))
    x = math.sqrt(ABAR[t]) * scale * x0 + math.sqrt(1 - ABAR[t]) * noise
    for shape in ((), (1,)):
        error = noise - model.predict_noise(x, torch.zeros_like(x), torch.full(shape, t))
        tolerance = 5 / math.sqrt(x.numel())
        assert (x * error).mean().item() / (x.std() * error.std()).item() == pytest.approx(0, abs=tolerance)
        assert seen[-1][:, :3].var().item() == pytest.approx(1, abs=2 * tolerance)
    model.network = lambda z, t: torch.ones_like(z[:, :3])
    output = model.predict_noise(torch.zeros_like(x), torch.zeros_like(x), torch.tensor(t))
    torch.testing.assert_close(output, error.std().expand_as(output), rtol=0.02, atol=0)


@pytest.mark.parametrize("t", [0, 100, 500, 999])
def test_the_networks_error_is_weighed_alike_at_every_timestep(images, labels, t, monkeypatch):
    monkeypatch.setattr(torch, "randint", lambda high, size, **_: torch.full(size, t))
    loss = loss_of(modified(correct(0.1 * CODE.paint(labels), 0.1, off=1.0), 0.1), images, labels)
    assert loss.item() == pytest.approx(1, rel=1e-3)


def test_at_scale_1_an_error_of_variance_a_is_divided_by_its_root():
    t = torch.tensor([0, 100, 500, 999])
    weight = modified(None, 1.0).weight(t, torch.zeros(1)).flatten().double()
    torch.testing.assert_close(weight, torch.from_numpy(ABAR)[t].rsqrt(), rtol=1e-4, atol=0)


def test_it_is_dsm_in_all_else_and_its_card_says_that_it_is_modified(tiny_suite):
    model = make_model(tiny_suite, "dsm_modified")
    assert isinstance(model, DSM)
    assert model.mask_scale == tiny_suite.methods["dsm_modified"].mask_scale
    assert model.timestep_spacing == tiny_suite.methods["dsm_modified"].timestep_spacing
    same = ("default", "reads", "seeded", "steps_divide", "perturbed")
    assert [name for name in same if getattr(CARD, name) != getattr(PUBLISHED, name)] == []
    assert CARD.title != PUBLISHED.title
    assert CARD.colour != PUBLISHED.colour
    assert "scaled" in CARD.modified
    assert "preconditioned" in CARD.modified
