"""BBDM against a Brownian bridge conditioned by brute force, and against its published sampler written out."""

import math

import numpy as np
import pytest
import torch
from given import Given
from noising import seeded
from sd_folder import sd_sections
from sizes import papers, small

from baselines.bbdm import CARD, BBDMSettings, bridge
from baselines.bbdm.model import BBDM
from baselines.bbdm.palette import Palette
from semflow.data.celebamask_hq import PALETTE
from semflow.data.scenes import NAMES, Scenes
from semflow.errors import SemFlowError
from semflow.loading.batches import Batch, Batches
from semflow.method.autoencoder import Autoencoder
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import Sampler
from semflow.seeds import normal
from semflow.suite import Suite, reading
from semflow.training import budget
from semflow.training.build import make_model, make_shape
from semflow.training.loop import Trainer, make_accelerator

PAPER = papers("bbdm")
SMALL = small("bbdm")

CODE = PseudoMask(len(NAMES), 3, 120)
M = np.linspace(0.001, 0.999, 1000)  # m_t as the released code has it


def bbdm(network) -> BBDM:
    return BBDM(network and Given(network), CODE, Autoencoder())


def small_suite(raw, **own) -> Suite:
    return reading.check(raw | {"methods": raw["methods"] | {"bbdm": SMALL | own}}, "small")


@pytest.fixture
def small(tiny) -> Suite:
    return small_suite(tiny)


@pytest.fixture
def model(small) -> BBDM:
    model = make_model(small, "bbdm")
    model.networks.eval()
    return model


def conditioned(mean, covariance, given, values):
    """Mean and covariance of the others of jointly normal numbers, `given` some of them (Schur complement)."""
    others = [i for i in range(len(mean)) if i not in given]
    between = covariance[np.ix_(others, given)]
    gain = between @ np.linalg.inv(covariance[np.ix_(given, given)])
    return mean[others] + gain @ (values - mean[given]), covariance[np.ix_(others, others)] - gain @ between.T


def brownian(times, start: float):
    """Mean and covariance of a Brownian motion of variance 2 a unit of time from `start` on."""
    return np.full(len(times), start), 2 * np.minimum.outer(times, times)


@pytest.mark.parametrize("t", [0, 1, 250, 500, 998, 999])
def test_marginals_are_those_of_a_brownian_motion_that_ends_at_the_mask(t):
    x0, y = -0.3, 0.9
    (mean,), ((variance,),) = conditioned(*brownian(np.array([M[t], 1.0]), x0), [1], np.array([y]))
    ends = [torch.full((1, 1, 1, 1), value, dtype=torch.float64) for value in (x0, y)]
    when = torch.tensor([t], dtype=torch.float64)
    ours = [x0 + bridge.target(*ends, when, torch.full((1, 1, 1, 1), noise)).item() for noise in (0.0, 1.0)]
    assert ours[0] == pytest.approx(mean, abs=1e-12)
    assert (ours[1] - ours[0]) ** 2 == pytest.approx(variance, abs=1e-12)


@pytest.mark.parametrize(("s", "t"), [(0, 1), (0, 999), (499, 500), (994, 999), (300, 700), (998, 999)])
@pytest.mark.parametrize("y", [0.9, -5.0])
def test_a_step_back_is_the_bridge_conditioned_on_where_it_is(s, t, y):
    x0, x = -0.3, 0.4
    times = np.array([M[s], M[t], 1.0])
    (mean,), ((variance,),) = conditioned(*brownian(times, x0), [1, 2], np.array([x, y]))
    ours, deviation = bridge.posterior(torch.tensor(x).double(), torch.tensor(x0).double(), bridge.share(t), bridge.share(s))
    assert ours.item() == pytest.approx(mean, abs=1e-7)
    assert deviation**2 == pytest.approx(variance, abs=1e-12)


def published_chain(network, y, steps, generator):
    """The published sampler at eta 1, coefficient by coefficient, in float64."""
    variance = 2 * (M - M**2)
    x = y
    for t, s in zip(steps, [*steps[1:], None], strict=True):
        predicted = network(x, torch.tensor(t))
        if s is None:
            return x - predicted
        given_s = variance[t] - variance[s] * ((1 - M[t]) / (1 - M[s])) ** 2
        of_x = variance[s] / variance[t] * (1 - M[t]) / (1 - M[s]) + given_s / variance[t] * (1 - M[s])
        of_y = M[s] - M[t] * (1 - M[t]) / (1 - M[s]) * variance[s] / variance[t]
        of_network = (1 - M[s]) * given_s / variance[t]
        noise = torch.randn(y.shape, generator=generator)
        x = of_x * x + of_y * y - of_network * predicted + math.sqrt(given_s * variance[s] / variance[t]) * noise
    raise AssertionError


@pytest.mark.parametrize("n", [1, 2, 7, 200])
def test_the_chain_is_the_published_one(n):
    def network(x, t):
        return torch.tanh(x.roll(1, 3)) * (0.2 + t / 1000)

    y = torch.linspace(-1, 1, 96, dtype=torch.float64).view(2, 3, 4, 4)
    *_, ours = bridge.walk(network, y, n, seeded(3))
    torch.testing.assert_close(ours, published_chain(network, y, bridge.timesteps(n), seeded(3)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 200, 1000])
def test_timesteps_fall_evenly_from_the_last_to_the_first(n):
    grid = bridge.timesteps(n)
    assert (len(set(grid)), grid[0]) == (n, 999)
    if n > 1:
        assert grid[-1] == 0
        gaps = -np.diff(grid)
        assert gaps.max() - gaps.min() <= 1


def test_more_steps_than_timesteps_are_refused():
    with pytest.raises(SemFlowError, match="bbdm-1001: BBDM has 1000 timesteps"):
        CARD.check("synthesis", Sampler("bbdm", 1001))
    CARD.check("synthesis", Sampler("bbdm", 1000))


@pytest.mark.parametrize("n", [1, 2, 25])
def test_an_oracle_gives_the_picture(images, labels, n):
    drawn = bbdm(lambda x, t: x - images).synthesize(labels, Sampler("bbdm", n), seeded())
    torch.testing.assert_close(drawn, images, rtol=0, atol=1e-6)


def test_the_chain_starts_at_the_unperturbed_mask_and_sees_nothing_else_of_it(labels):
    seen = []
    bbdm(lambda x, t: seen.append((x, t.item())) or 0 * x).synthesize(labels, Sampler("bbdm", 3), seeded())
    assert [t for _, t in seen] == [999, 500, 0]
    assert seen[0][0].shape == (2, 3, 16, 16)
    assert torch.equal(seen[0][0], CODE.encode(labels))


@torch.no_grad()
def test_pictures_vary_with_the_seed_and_only_with_it(model, labels):
    before = torch.get_rng_state()
    same, again, other = (model.synthesize(labels, Sampler("bbdm", 3), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(same, again)
    assert not torch.equal(same, other)
    assert same.abs().max() <= 1


def loss_of(model, images, labels, seed: int = 0) -> torch.Tensor:
    (loss,) = model.losses("bridge", (images, model.encode_labels(labels)), seeded(seed), {}).values()
    return loss


def test_a_network_that_knows_the_picture_has_no_loss(images, labels):
    assert loss_of(bbdm(lambda x, t: x - images), images, labels).item() == pytest.approx(0, abs=1e-6)


def test_the_loss_is_absolute_and_its_times_are_uniform_over_all_thousand():
    # Where picture and mask are the same, a network that says 0 is off by sqrt(d_t) |noise|, sqrt(2 / pi) sqrt(d_t) in the mean.
    seen, n = [], 20000
    labels = torch.zeros(n, 1, 1, dtype=torch.uint8)
    loss = loss_of(bbdm(lambda x, t: seen.append(t) or 0 * x), CODE.encode(labels), labels)
    deviations = np.sqrt(2 * (M - M**2))
    spread = math.sqrt(((deviations**2).mean() - 2 / math.pi * deviations.mean() ** 2) / n)
    assert loss.item() == pytest.approx(math.sqrt(2 / math.pi) * deviations.mean(), abs=5 * spread)
    (t,) = seen
    assert (t.min(), t.max()) == (0, 999)
    counts = torch.bincount(t // 50, minlength=20).double()
    assert ((counts - n / 20) ** 2 / (n / 20)).sum() < 43.8  # chi-squared with 19 degrees of freedom, p = 0.001


def test_the_loss_at_the_last_time_tells_a_network_that_reads_the_mask(labels):
    images, seen = CODE.encode(labels).flip(1), []

    def reader(x, t):  # of masks; it knows nothing of pictures but that their channels are the mask's, flipped
        seen.append(t)
        return x - x.flip(1)

    gain = bbdm(reader).diagnose(images, labels, seeded())["own_mask_gain"]
    assert all((t == 999).all() for t in seen)
    assert gain.shape == (len(labels),)
    assert gain.min() > 50
    blind = bbdm(lambda x, t: x.mean((2, 3), keepdim=True) * 0).diagnose(images, labels[:1].expand_as(labels), seeded())
    assert blind["own_mask_gain"].abs().max() == 0  # one mask for all is nobody's own


def test_at_the_last_time_the_loss_is_that_of_all_times_there(images, labels, monkeypatch):
    model = bbdm(lambda x, t: x.sin())
    noise = seeded(4)
    x0, y, t = images, model.encode_labels(labels), torch.full((len(labels),), 999)
    last = bridge.errors(model.network, x0, y, t, normal(tuple(x0.shape), noise, x0.device)).mean()
    monkeypatch.setattr(torch, "randint", lambda high, size, **_: torch.full(size, high - 1))
    assert torch.equal(loss_of(model, images, labels, 4), last)


def test_small_it_is_the_suites_network_of_pixels(mini, small):
    suite = small_suite(mini)
    ours, semflows = (budget.parameters(suite, method).training for method in ("bbdm", "semflow"))
    assert ours == semflows
    assert make_shape(suite, "bbdm").network.unet.config.in_channels == 3


def test_it_cannot_begin_with_the_suites_pretrained_network(tiny, sd_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    tiny["data"]["size"] = [32, 32]
    with pytest.raises(SemFlowError, match=r"methods\.bbdm\.network: .* give BBDM its own"):
        make_model(small_suite(tiny | sd_sections(sd_folder)), "bbdm")


def paper_suite(mini) -> Suite:
    """The paper's size in all but the images: faces have 19 classes, as scenes have not."""
    mini["data"] |= {"size": [256, 256]}
    mini["training"] |= {"batch_size": 256}
    return small_suite(mini, **PAPER | {"palette": None})


def test_at_the_papers_size_it_has_its_237_million_weights_on_latents_a_quarter_of_the_side(mini):
    model = make_shape(paper_suite(mini), "bbdm")  # for which no autoencoder is opened
    assert budget.parameters(paper_suite(mini), "bbdm") == (237_091_331, 237_091_331)
    config = model.network.unet.config
    assert (config.in_channels, config.out_channels, tuple(config.sample_size)) == (3, 3, (64, 64))
    assert (model.autoencoder.channels, model.autoencoder.factor) == (3, 4)


def test_one_step_of_the_papers_size_runs(mini):
    assert budget.training_flops(paper_suite(mini), "bbdm") > 3 * 237e6


def test_sides_that_the_network_cannot_halve_are_named(mini):
    mini["data"] |= {"size": [24, 24]}
    mini["network"] |= {"block_out_channels": [16, 32], "attention": [False, True]}
    own = {key: PAPER[key] for key in ("autoencoder", "network")}
    with pytest.raises(SemFlowError, match=r"data\.size \[24, 24\] must be multiples of 16 with BBDM's"):
        make_shape(small_suite(mini, **own), "bbdm")


OWN = {"block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 8, "init_std": 0.02}


def test_weights_begin_as_in_its_code(tiny):
    unet = make_model(small_suite(tiny, network=OWN | {"block_out_channels": [32, 64]}), "bbdm").network.unet
    attention = unet.mid_block.attentions[0]
    assert not attention.to_out[0].weight.any()
    assert not attention.to_out[0].bias.any()
    assert attention.to_q.weight.std().item() == pytest.approx(1 / math.sqrt(3 * 64), rel=0.1)  # uniform within 1 / sqrt(inputs)
    for weight in (unet.mid_block.resnets[0].conv2.weight, unet.conv_out.weight, unet.time_embedding.linear_1.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("palette", "celebahq", "did you mean celebamask_hq"),
        ("palette", "folder", "no data set folder has a palette; there are scenes"),
        ("network", OWN | {"norm_num_groups": 3}, "norm_num_groups 3 must divide"),
        ("network", OWN | {"attention_head_dim": 5}, "attention_head_dim 5 must divide"),
        ("autoencoder", PAPER["autoencoder"] | {"code": 3}, "unknown key methods.bbdm.autoencoder.code"),
    ],
)
def test_a_mistake_in_the_settings_is_one_sentence(tiny, key, value, words):
    with pytest.raises(SemFlowError, match=words):
        small_suite(tiny, **{key: value})


def test_the_papers_settings_are_settings():
    settings = BBDMSettings.model_validate(PAPER)
    assert settings.palette == "celebamask_hq"
    assert CARD.seeded == {"synthesis"}
    CARD.check("synthesis", Sampler.parse(CARD.default["synthesis"]))


def test_a_palette_paints_with_the_data_sets_colours_and_what_is_ignored_white():
    labels = torch.tensor([[[0, 3, 18, 255]]], dtype=torch.uint8)
    painted = Palette("celebamask_hq", 19).encode(labels)
    assert painted.shape == (1, 3, 1, 4)
    colours = [PALETTE[0], PALETTE[3], PALETTE[18], (255, 255, 255)]
    torch.testing.assert_close((painted[0, :, 0].T + 1) * 127.5, torch.tensor(colours).float())
    assert Palette("celebamask_hq", 19).encode(torch.full((1, 1, 1), 19, dtype=torch.uint8)).isnan().all()


def test_a_palette_of_other_classes_and_masks_that_are_colours_are_refused(tiny):
    with pytest.raises(SemFlowError, match="celebamask_hq has 19 colours, but there are 16 classes"):
        make_model(small_suite(tiny, palette="celebamask_hq"), "bbdm")
    with pytest.raises(SemFlowError, match=r"data\.masks is rgb"):
        Palette("celebamask_hq", 19).encode(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))


def test_a_palette_takes_the_place_of_pseudo_masks_and_moves_with_the_model(tiny):
    model = make_model(small_suite(tiny, palette="scenes"), "bbdm")
    assert isinstance(model.colours, Palette)
    assert model.colours in list(model.beside)
    assert not [name for name in model.networks.state_dict() if "table" in name]


@pytest.mark.parametrize("size", [1, 3])
def test_micro_batches_give_the_gradient_of_the_whole_batch(tiny, tmp_path, size):
    def gradient(micro_batch: int | None) -> torch.Tensor:
        suite = small_suite(tiny | {"run": tiny["run"] | {"micro_batch": micro_batch}})
        trainer = Trainer(make_accelerator(suite), suite, "bbdm", 0, tmp_path)
        batch = Batch(*Batches(Scenes(5, suite.data.size, 0, "train", 2))[range(5)])
        trainer.accumulate(trainer.turns[0], trainer.parts(batch))
        return torch.cat([weight.grad.flatten() for weight in trainer.model.network.parameters()])

    tiny["training"] |= {"batch_size": 5}
    torch.testing.assert_close(gradient(size), gradient(None), rtol=1e-4, atol=1e-6)
