"""The phases of a method with several networks: whose turn it is, what stays as it was, what is kept."""

import pytest
import torch
from safetensors.torch import load_file

from baselines import METHODS
from semflow.data import open_dataset
from semflow.data.scenes import Scenes
from semflow.errors import SemFlowError
from semflow.loading.batches import Batch, Batches
from semflow.loading.steps import Rank
from semflow.training import budget, checkpoints
from semflow.training.loop import Trainer, make_accelerator, train, training_batches
from semflow.training.optimizers import length, recipe


def changed(suite, **sections):
    return suite.model_copy(update={name: getattr(suite, name).model_copy(update=keys) for name, keys in sections.items()})


def trainer_of(suite, folder) -> Trainer:
    return Trainer(make_accelerator(suite), suite, "toy_gan", 0, folder)


def batch_of(suite, n: int = 4) -> Batch:
    return Batch(*Batches(Scenes(n, suite.data.size, 0, "train", 2))[range(n)])


def test_every_phase_moves_its_own_networks_and_the_others_are_frozen_meanwhile(toy_suite, tmp_path, monkeypatch):
    trainer, seen = trainer_of(toy_suite, tmp_path), []
    losses = trainer.model.losses

    def watched(phase, *more):
        trainable = {key for key, network in trainer.networks.items() if any(w.requires_grad for w in network.parameters())}
        seen.append(
            (phase, trainable, {key: [w.detach().clone() for w in net.parameters()] for key, net in trainer.networks.items()})
        )
        return losses(phase, *more)

    monkeypatch.setattr(trainer.model, "losses", watched)
    trainer.advance(batch_of(toy_suite))
    assert [(phase, trainable) for phase, trainable, _ in seen] == [
        ("generator", {"generator"}), ("discriminator", {"discriminator"})
    ]  # fmt: skip
    (_, _, before), (_, _, between) = seen
    same = {key: all(map(torch.equal, before[key], between[key])) for key in before}
    assert same == {"generator": False, "discriminator": True}
    after = [w.detach() for w in trainer.networks["discriminator"].parameters()]
    assert not all(map(torch.equal, between["discriminator"], after))


def test_what_a_phase_does_not_move_gets_no_gradient(toy_suite, tmp_path):
    """Though the generator's loss goes through the discriminator."""
    trainer, with_gradient = trainer_of(toy_suite, tmp_path), {}
    trainer.networks["beside"] = torch.nn.Linear(2, 2)
    parts = trainer.parts(batch_of(toy_suite))
    for turn in trainer.turns:
        trainer.freeze_all_but(turn)
        trainer.accumulate(turn, parts)
        weights = {key: [weight.grad for weight in network.parameters()] for key, network in trainer.networks.items()}
        with_gradient[turn.phase.name] = {key for key, gradients in weights.items() if any(g is not None for g in gradients)}
        assert all(gradient is not None for gradient in weights[turn.phase.name])
        turn.take(0)
    assert with_gradient == {"generator": {"generator"}, "discriminator": {"discriminator"}}


def test_losses_are_named_and_logged_one_by_one(toy_suite, tmp_path):
    scalars = trainer_of(toy_suite, tmp_path).advance(batch_of(toy_suite))
    assert set(scalars) == {
        *(f"generator/{name}" for name in ("adversarial", "pixels", "loss", "grad_norm")),
        *(f"discriminator/{name}" for name in ("real", "fake", "loss", "grad_norm")),
    }
    assert scalars["generator/loss"] == scalars["generator/adversarial"] + scalars["generator/pixels"]


def test_a_phases_recipe_takes_the_place_of_the_suites_where_it_says_something(toy_suite):
    generator, discriminator = (recipe(toy_suite, "toy_gan", phase) for phase in ("generator", "discriminator"))
    assert (generator.lr, generator.betas) == (1e-3, (0.5, 0.9))
    assert (discriminator.lr, discriminator.betas) == (4e-3, toy_suite.training.betas)
    assert generator.grad_clip == toy_suite.training.grad_clip


def test_a_smaller_batch_takes_more_steps_over_the_same_images(toy_suite, tmp_path):
    toy = toy_suite.methods["toy_gan"].model_copy(update={"batch_size": 2})
    suite = toy_suite.model_copy(update={"methods": {"toy_gan": toy}})
    assert length(suite, "toy_gan") == (12, 2)
    assert recipe(suite, "toy_gan", "generator").warmup_steps == 4
    train(suite, "toy_gan", 0, tmp_path / "state", tmp_path / "out")
    card = checkpoints.read_card(tmp_path / "out")
    assert (card.budget.images_seen, card.budget.optimizer_steps) == (24, 24)


def test_a_method_whose_losses_are_no_mean_over_rows_is_not_cut(toy_suite, tmp_path):
    trainer = trainer_of(changed(toy_suite, run={"micro_batch": 1}), tmp_path)
    assert [len(part) for part in trainer.parts(batch_of(toy_suite))] == [4]


def test_state_holds_statistics_spectral_vectors_pools_and_every_optimizer(toy_suite, tmp_path):
    train(toy_suite, "toy_gan", 0, tmp_path / "state", tmp_path / "out")
    state = load_file(tmp_path / "state" / checkpoints.STATE)
    assert {
        "networks.generator.norm.running_mean", "networks.discriminator.pool", "ema.generator.first.weight",
        "networks.discriminator.first.parametrizations.weight.0._u",
        "optimizers.generator.generator.first.weight.exp_avg",
        "optimizers.discriminator.discriminator.last.parametrizations.weight.original.exp_avg_sq",
    } <= set(state)  # fmt: skip
    assert state["networks.discriminator.pool"].abs().sum() > 0
    assert not [name for name in state if name.startswith(("ema.discriminator", "optimizers.generator.discriminator"))]


def test_stopped_and_resumed_in_the_middle_ends_in_the_same_bits(toy_suite, tmp_path):
    """Dropout, batch norm, the pool and both optimizers among them."""
    suite = changed(toy_suite, run={"checkpoint_every": 1})
    train(suite, "toy_gan", 0, tmp_path / "whole", tmp_path / "whole-out")
    trainer = trainer_of(suite, tmp_path / "cut")
    for number, batch in enumerate(training_batches(open_dataset(suite.data, "train"), trainer)):
        if number == 3:
            break
        trainer.advance(batch)
    trainer.save()
    trainer.end()
    train(suite, "toy_gan", 0, tmp_path / "cut", tmp_path / "cut-out")
    whole, cut = (load_file(tmp_path / name / checkpoints.STATE) for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert [name for name in whole if not torch.equal(whole[name], cut[name])] == []


def test_what_sampling_needs_is_exported_with_plain_weights_and_opens_again(toy_suite, tmp_path):
    train(toy_suite, "toy_gan", 0, tmp_path / "state", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
        "semflow.json",
        "README.md",
    }
    model, card = checkpoints.open_checkpoint(tmp_path / "out")
    assert (card.pseudo_mask, card.autoencoder, card.network) == (None, None, None)
    average = load_file(tmp_path / "state" / checkpoints.STATE)["ema.generator.first.weight"]
    assert torch.equal(model.networks["generator"].first.weight, average)
    assert not model.networks["generator"].training


def test_several_networks_that_sampling_needs_have_a_folder_each(toy_suite, tmp_path, monkeypatch):
    toy = METHODS["toy_gan"].load()
    monkeypatch.setattr(toy, "sampling", ("generator", "discriminator"))
    train(toy_suite, "toy_gan", 0, tmp_path / "state", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"generator", "discriminator", "semflow.json", "README.md"}
    model, _ = checkpoints.open_checkpoint(tmp_path / "out")
    averages = load_file(tmp_path / "state" / checkpoints.STATE)
    assert torch.equal(model.networks["generator"].first.weight, averages["ema.generator.first.weight"])
    assert "ema.discriminator.last.bias" in averages
    assert torch.equal(model.networks["discriminator"].last.bias, averages["ema.discriminator.last.bias"])
    assert budget.parameters(toy_suite, "toy_gan").sampling == budget.parameters(toy_suite, "toy_gan").training
    damaged = tmp_path / "out" / "discriminator" / "diffusion_pytorch_model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    with pytest.raises(SemFlowError, match="discriminator"):
        checkpoints.open_checkpoint(tmp_path / "out")


def test_spectral_norms_are_folded_as_they_are_for_the_weights(toy_suite):
    network = torch.nn.Sequential(torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(5, 7)))
    with torch.no_grad():
        network[0].parametrizations.weight.original.copy_(torch.randn(7, 5))
    original = network[0].parametrizations.weight.original.detach().clone()
    checkpoints.fold_spectral_norms(network)
    assert set(network.state_dict()) == {"0.weight", "0.bias"}
    torch.testing.assert_close(network[0].weight, original / torch.linalg.matrix_norm(original, 2), rtol=1e-3, atol=1e-4)


def test_weights_and_flops_are_counted_over_all_phases(toy_suite):
    sampling, training = budget.parameters(toy_suite, "toy_gan")
    n, width = 16, 8
    generator = (9 * (n + 1) + 1) * width + 2 * width + (9 * width + 1) * 3
    assert sampling == generator
    assert training == generator + (16 * 3 + 1) * width + 9 * width + 1
    pixels, patch = 16 * 16, 8 * 8
    drawn, coloured = (2 * pixels * 9 * maps for maps in ((n + 1) * width, width * 3))  # the generator's two layers
    first, last = 2 * patch * 16 * 3 * width, 2 * patch * 9 * width  # the discriminator's
    # Forward, then back to weights and, but for a first layer whose inputs are given, to inputs. The generator's turn goes back
    # through the frozen discriminator to its inputs alone; in its own it sees an image, a fake, and the pool of 4 for 2 images.
    of_generator = 2 * drawn + 3 * coloured + 2 * (first + last)
    of_discriminator = 4 * (2 * first + 3 * last)
    assert budget.training_flops(toy_suite, "toy_gan") == of_generator + of_discriminator


def test_a_network_that_no_phase_moves_stays_frozen(toy_suite, tmp_path):
    trainer = trainer_of(toy_suite, tmp_path)
    trainer.networks["beside"] = torch.nn.Linear(2, 2)
    for turn in trainer.turns:
        trainer.freeze_all_but(turn)
        moving = {key for key, network in trainer.networks.items() if any(w.requires_grad for w in network.parameters())}
        assert moving == {turn.phase.name}


def test_state_that_every_process_would_keep_for_itself_is_refused_with_several(toy_suite, tmp_path):
    trainer = trainer_of(toy_suite, tmp_path)
    trainer.check_buffers()
    trainer.rank = Rank(0, 2)
    with pytest.raises(SemFlowError, match=r"toy_gan keeps discriminator\.pool in every process.*train it with one process"):
        trainer.check_buffers()
    del trainer.networks["discriminator"].pool
    assert any(name.endswith("._u") for name, _ in trainer.networks.named_buffers())  # the same in every process
    trainer.check_buffers()
