"""DSM against Eq. 1 to 6 written out in float64."""

import math
from pathlib import Path
from typing import get_args

import pytest
import torch
from given import Given
from noising import ABAR, loss_of, perfect, seeded

from baselines.dsm import CARD, DSMSettings
from baselines.dsm.model import DSM
from semflow.data import open_dataset
from semflow.data.scenes import NAMES
from semflow.errors import SemFlowError
from semflow.loading.batches import Batches
from semflow.loading.pixels import to_unit_range
from semflow.method.autoencoder import Autoencoder
from semflow.method.contract import Settings
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import Sampler
from semflow.suite import reading as config
from semflow.training import budget
from semflow.training.build import make_model
from semflow.training.checkpoints import open_checkpoint

CONFIG = Path(__file__).resolve().parents[2] / "config"
SPACINGS = get_args(DSMSettings.model_fields["timestep_spacing"].annotation)
STEPS = [1, 2, 5, 25, 40, 200, 1000]
CODE = PseudoMask(len(NAMES))


def dsm(network, spacing: str = "leading") -> DSM:
    return DSM(network and Given(network), CODE, Autoencoder(), spacing)


def reverse_step(x, eps, abar, abar_next, noise, sampler: str):
    """Eq. 3 with the s_t of Eq. 5."""
    s = math.sqrt((1 - abar_next) / (1 - abar)) * math.sqrt(1 - abar / abar_next) if sampler == "ddpm" else 0.0
    x0 = (x - math.sqrt(1 - abar) * eps) / math.sqrt(abar)
    return math.sqrt(abar_next) * x0 + math.sqrt(max(1 - abar_next - s**2, 0)) * eps + s * noise


@pytest.fixture
def model(tiny_suite) -> DSM:
    model = make_model(tiny_suite, "dsm")
    model.network.eval()
    return model


@pytest.mark.parametrize("t", [0, 100, 500, 999])
def test_forward_process_has_the_mean_and_variance_of_eq_1(t):
    x0 = torch.full((1, 3, 200, 200), 0.8)
    noise = torch.randn(x0.shape, generator=seeded())
    xt = dsm(None).forward_process.add_noise(x0, noise, torch.tensor([t])).double()
    n = xt.numel()
    assert xt.mean().item() == pytest.approx(0.8 * math.sqrt(ABAR[t]), abs=5 * math.sqrt((1 - ABAR[t]) / n))
    assert xt.var().item() == pytest.approx(1 - ABAR[t], rel=5 * math.sqrt(2 / n))


def test_training_predicts_the_noise_of_eq_1(images, labels):
    assert loss_of(dsm(perfect(CODE.paint(labels))), images, labels).item() == pytest.approx(0, abs=1e-6)


def test_training_noise_is_standard_normal():
    labels = torch.zeros(64, 8, 8, dtype=torch.uint8)
    loss = loss_of(dsm(lambda z, t: torch.zeros_like(z[:, :3])), torch.zeros(64, 3, 8, 8), labels)
    assert loss.item() == pytest.approx(1, abs=5 * math.sqrt(2 / (64 * 3 * 64)))


def test_training_timesteps_are_uniform_over_all_thousand():
    seen = []
    images, labels = torch.zeros(20000, 3, 1, 1), torch.zeros(20000, 1, 1, dtype=torch.uint8)
    loss_of(dsm(lambda z, t: seen.append(t) or z[:, :3]), images, labels)
    (t,) = seen
    assert (t.min(), t.max()) == (0, 999)
    counts = torch.bincount(t // 50, minlength=20).double()
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # chi-squared with 19 degrees of freedom, p = 0.001


def test_the_network_sees_the_noise_and_then_the_image(images, labels):
    seen = []
    model = dsm(lambda z, t: seen.append(z) or z[:, :3])
    loss_of(model, images, labels)
    model.segment(images, Sampler("ddim", 2), seeded())
    assert len(seen) == 3
    for z in seen:
        assert z.shape == (2, 6, 16, 16)
        assert torch.equal(z[:, 3:], images)


def test_one_ddim_step_worked_by_hand():
    # Two steps, leading: 500 to 0. abar_500 = 0.276333 and abar_0 = 0.99915; x = 1 and eps = 0.5 give
    # x0 = (1 - 0.850686 * 0.5) / 0.525674 = 1.093182, and 0.999575 * 1.093182 + 0.029155 * 0.5 = 1.107295.
    scheduler = dsm(None).scheduler(Sampler("ddim", 2))
    assert scheduler.timesteps.tolist() == [500, 0]
    stepped = scheduler.step(torch.tensor([0.5]), scheduler.timesteps[0], torch.tensor([1.0])).prev_sample
    assert stepped.item() == pytest.approx(1.107295, abs=3e-6)


@pytest.mark.parametrize("n", STEPS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_every_step_is_that_of_eq_3(sampler, spacing, n):
    scheduler = dsm(None, spacing).scheduler(Sampler(sampler, n))
    timesteps = scheduler.timesteps.tolist()
    abar = [*ABAR[timesteps], 1.0]
    x = torch.linspace(-2, 2, 48).view(1, 3, 4, 4)
    eps = torch.cos(3 * x)
    for number, t in enumerate(scheduler.timesteps):
        ours = scheduler.step(eps, t, x, generator=seeded(number)).prev_sample
        noise = torch.randn(x.shape, generator=seeded(number)).double()
        by_hand = reverse_step(x.double(), eps.double(), abar[number], abar[number + 1], noise, sampler)
        torch.testing.assert_close(ours.double(), by_hand, rtol=0, atol=1e-4, msg=lambda text, t=t: f"at timestep {t}: {text}")


@pytest.mark.parametrize("n", STEPS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_n_steps_visit_n_timesteps_from_noisy_to_clean(sampler, spacing, n):
    timesteps = dsm(None, spacing).scheduler(Sampler(sampler, n)).timesteps
    assert len(timesteps) == n
    assert (timesteps.diff() < 0).all()
    assert 0 <= timesteps.min() <= timesteps.max() <= 999


@pytest.mark.parametrize("n", [1, 2, 25, 40])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_perfect_network_gives_the_labels(images, labels, sampler, spacing, n):
    model = dsm(perfect(CODE.paint(labels)), spacing)
    assert torch.equal(model.segment(images, Sampler(sampler, n), seeded()), labels)


@torch.no_grad()
@pytest.mark.parametrize("sampler", ["ddim-4", "ddpm-4"])
def test_samples_vary_with_the_seed_and_only_with_it(model, images, sampler):
    same, again, other = (model.segment(images, Sampler.parse(sampler), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


@torch.no_grad()
def test_the_global_generator_is_neither_read_nor_moved(model, images):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = model.segment(images, Sampler("ddpm", 4), seeded())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(model.segment(images, Sampler("ddpm", 4), seeded()), first)


@torch.no_grad()
def test_segmentation_gives_labels_of_the_classes(model, images):
    labels = model.segment(images, Sampler("ddim", 2), seeded())
    assert labels.shape == (2, 16, 16)
    assert labels.dtype == torch.uint8
    assert labels.max() < len(NAMES)


def test_the_network_is_told_whole_timesteps(images):
    seen = []
    dsm(lambda z, t: seen.append(t) or z[:, :3]).segment(images, Sampler("ddim", 4), seeded())
    assert [t.item() for t in seen] == [750, 500, 250, 0]


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIG.glob("*.yaml")))
def test_its_network_has_the_size_of_semflows_within_2_percent(name):
    suite = next(iter(config.load_study(CONFIG / name).suites.values()))
    both = [method for method in ("semflow", "dsm", "dsm_modified") if method in suite.methods]
    ours, *theirs = (budget.parameters(suite, method).training for method in both)
    assert all(abs(other / ours - 1) < 0.02 for other in theirs)


@pytest.mark.parametrize("n", [7, 30, 1001])
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_steps_that_do_not_divide_the_timesteps_are_refused(sampler, n):
    with pytest.raises(SemFlowError, match=f"{sampler}-{n}: DSM takes steps that divide"):
        CARD.check("segmentation", Sampler(sampler, n))


def test_an_unknown_sampler_is_named():
    with pytest.raises(SemFlowError, match="'euler'"):
        CARD.check("segmentation", Sampler("euler", 2))


def test_dsm_offers_no_synthesis():
    with pytest.raises(SemFlowError, match="DSM cannot do synthesis; it does segmentation"):
        CARD.check("synthesis", Sampler("ddpm", 25))


def test_nothing_of_eq_2_can_be_set(tiny):
    assert set(DSMSettings.model_fields) - set(Settings.model_fields) == {"timestep_spacing"}
    assert CARD.modified == ""
    for name in ("mask_scale", "preconditioning"):
        raw = tiny | {"methods": tiny["methods"] | {"dsm": {"timestep_spacing": "leading", name: 1}}}
        with pytest.raises(SemFlowError, match=f"unknown key methods.dsm.{name}"):
            config.check(raw, "tiny")


def test_minis_dsm_looks_at_its_image_where_nothing_else_can_tell():
    """At the last timestep x_t is all but noise: the error of the reference's weights on validation scenes is at least 20 % lower
    with a scene's own image than with another's."""
    data, n = open_dataset(config.load(CONFIG / "mini.yaml").data, "val"), 128
    images, labels = Batches([data[i] for i in range(n)])[range(n)]
    model, _ = open_checkpoint(CONFIG.parent / "results/reference/weights/dsm")
    noise, t = torch.randn(n, 3, 32, 32, generator=seeded(0)), torch.full((n,), 999)
    with torch.inference_mode():
        x = model.forward_process.add_noise(model.encode_labels(labels, None), noise, t)
        own = model.autoencoder.encode(to_unit_range(images))
        error, of_others = ((model.predict_noise(x, image, t) - noise).square().mean() for image in (own, own.roll(1, 0)))
    assert error < 0.8 * of_others
