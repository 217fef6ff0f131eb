"""SPADE and SC-GAN in training: state that survives a kill, statistics of averaged weights, a discriminator that cannot tell."""

import pytest
import torch
from safetensors.torch import load_file

from baselines import METHODS
from baselines.parts import gan
from semflow.data import open_dataset
from semflow.loading.batches import Batch, Batches
from semflow.method.network import WEIGHTS
from semflow.method.samplers import DIRECT
from semflow.suite import Suite
from semflow.suite import reading as config
from semflow.tools.convert import convert
from semflow.training import budget, checkpoints
from semflow.training.build import make_model
from semflow.training.loop import Trainer, make_accelerator, train, training_batches

ADAM = {"betas": [0.0, 0.9], "weight_decay": 0.0, "grad_clip": 0.0, "lr_schedule": "linear", "warmup_steps": 0}
SPADE = {
    "batch_size": 4,
    "widths": [8, 8, 4],
    "shrink": [4, 2, 1],
    "hidden": 4,
    "style": {"z": 8, "widths": [4, 8], "side": 16, "divergence": 0.05},
    "discriminator_width": 4,
    "discriminator_layers": 1,
    "scales": 2,
    "feature_matching": 10.0,
    "perceptual": 0.0,
    "calibration": 16,
    "generator": ADAM | {"lr": 1.0e-3},
    "discriminator": ADAM | {"lr": 4.0e-3},
}
SCGAN = {
    "first": 6,
    "routing": [8, 4, 4],
    "kernels": 3,
    "affines": 2,
    "temperature": 0.5,
    "blur": {"window": 3, "sigma": 0.75, "levels": 2},
    "coarse": 1.0,
}
METHODS_HERE = {"spade": SPADE, "scgan": SPADE | SCGAN}


@pytest.fixture(params=sorted(METHODS_HERE))
def method(request) -> str:
    return request.param


@pytest.fixture
def suite(tiny, method) -> Suite:
    tiny["training"] |= {"steps": 6, "batch_size": 8, "warmup_steps": 0, "ema_decay": 0.9}
    tiny["run"] |= {"device": "cpu", "checkpoint_every": 4}
    return config.check(tiny | {"methods": tiny["methods"] | {method: METHODS_HERE[method]}}, "tiny")


def test_stopped_and_resumed_in_the_middle_ends_in_the_same_bits(suite, method, tmp_path):
    train(suite, method, 0, tmp_path / "whole", tmp_path / "whole-out")
    trainer = Trainer(make_accelerator(suite), suite, method, 0, tmp_path / "cut")
    for number, batch in enumerate(training_batches(open_dataset(suite.data, "train"), trainer)):
        if number == 5:
            break
        trainer.advance(batch)
    trainer.save()
    trainer.end()
    train(suite, method, 0, tmp_path / "cut", tmp_path / "cut-out")
    for name in (f"state/{checkpoints.STATE}", f"out/{WEIGHTS}"):
        place, file = name.split("/")
        whole, cut = (load_file(tmp_path / f"{one}{'' if place == 'state' else '-out'}" / file) for one in ("whole", "cut"))
        assert whole.keys() == cut.keys()
        assert [key for key in whole if not torch.equal(whole[key], cut[key])] == []


def test_averaged_weights_are_exported_with_statistics_of_their_own(suite, method, tmp_path):
    """Those of their features on the label maps seen last, which training's own statistics are not."""
    train(suite, method, 0, tmp_path / "state", tmp_path / "out")
    state = load_file(tmp_path / "state" / checkpoints.STATE)
    model, _ = checkpoints.open_checkpoint(tmp_path / "out")
    generator, features = model.networks["generator"], {}
    assert torch.equal(generator.last.weight, state["ema.generator.last.weight"])
    assert not [name for name in generator.state_dict() if "parametrizations" in name]
    norms = {name: module for name, module in generator.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    held = generator.state_dict()
    for name, norm in norms.items():
        norm.train()
        norm.register_forward_pre_hook(lambda _, inputs, name=name: features.setdefault(name, inputs[0]))
    layout = gan.one_hot_of(state["networks.layouts.labels"], 16)
    generator(layout, torch.randn(16, 8, generator=torch.Generator().manual_seed(0)))
    for name, x in features.items():
        torch.testing.assert_close(held[f"{name}.running_mean"], x.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(held[f"{name}.running_var"], x.var((0, 2, 3)), rtol=1e-4, atol=1e-6)
        for kept in ("networks", "ema"):
            assert not torch.allclose(held[f"{name}.running_mean"], state[f"{kept}.generator.{name}.running_mean"])
    assert len(features) == len(norms) == 2 * 3 + (1 if method == "spade" else 2)


def test_without_an_average_statistics_stay_as_training_left_them(suite, method, tmp_path):
    own = METHODS[method].Settings.model_validate(METHODS_HERE[method] | {"calibration": None, "ema_decay": 0.0})
    suite = suite.model_copy(update={"methods": suite.methods | {method: own}})
    train(suite, method, 0, tmp_path / "state", tmp_path / "out")
    state, out = load_file(tmp_path / "state" / checkpoints.STATE), load_file(tmp_path / "out" / WEIGHTS)
    statistics = [name for name in out if "running" in name]
    assert statistics
    assert all(torch.equal(out[name], state[f"networks.generator.{name}"]) for name in statistics)


def test_weights_from_elsewhere_keep_their_statistics(suite, method, tmp_path):
    """Those of a state dict under our names, its spectral norms not yet folded."""
    torch.manual_seed(1)
    generator = make_model(suite, method).networks["generator"]
    for name, value in generator.named_buffers():
        if "running" in name:
            value.uniform_(0.5, 2)
    torch.save(generator.state_dict(), tmp_path / "weights.pt")
    convert(tmp_path / "weights.pt", suite, method, tmp_path / "out")
    opened = checkpoints.open_checkpoint(tmp_path / "out")[0].networks["generator"]
    layout, z = torch.rand(2, 16, 16, 16), torch.randn(2, 8)
    for module in generator.modules():
        for _ in range(20 if hasattr(module, "parametrizations") else 0):
            module.weight  # noqa: B018  # a power iteration
    one, other = (network.eval()(layout, z) for network in (generator, opened))
    torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


def test_a_checkpoint_draws_the_same_pictures_of_the_same_seed(suite, method, tmp_path):
    train(suite, method, 0, tmp_path / "state", tmp_path / "out")
    labels = torch.randint(16, (3, 16, 16), dtype=torch.uint8)
    drawn = []
    for seed in (0, 0, 1):
        model, _ = checkpoints.open_checkpoint(tmp_path / "out")
        with torch.inference_mode():
            drawn.append(model.synthesize(labels, DIRECT, torch.Generator().manual_seed(seed)))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_only_the_generator_is_counted_in_sampling(suite, method):
    model = make_model(suite, method)
    count = {key: sum(weight.numel() for weight in network.parameters()) for key, network in model.networks.items()}
    assert budget.parameters(suite, method) == (count["generator"], sum(count.values()))
    assert budget.training_flops(suite, method) > 3 * budget.sampling_flops(suite, method, "synthesis", DIRECT)


def test_a_discriminator_that_cannot_tell_has_the_losses_of_chance(suite, method):
    model, samples = make_model(suite, method), open_dataset(suite.data, "train")
    for scale in model.networks["discriminator"].scales:
        torch.nn.init.zeros_(scale.layers[-1].weight)
    seen = model.look(Batch(*Batches(samples)[range(4)]), None)
    losses = model.losses("discriminator", seen, torch.Generator().manual_seed(0), {})
    expected = model.chance["discriminator_lead"]
    assert {f"discriminator/{name}": value.item() for name, value in losses.items()} == expected
