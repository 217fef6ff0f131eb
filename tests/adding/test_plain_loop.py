"""Two phases against a plain loop that knows no phases: two optimizers, gradients asked for by name, nothing frozen."""

import torch
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file

from semflow.data import open_dataset
from semflow.loading.batches import Views, load
from semflow.loading.steps import Steps, noise
from semflow.seeds import seed_of
from semflow.training.build import make_model
from semflow.training.checkpoints import STATE
from semflow.training.loop import augmentation_of, train


def plain_loop(suite) -> dict[str, torch.Tensor]:
    """The toy's networks, and the average of its generator with its batch-norm statistics, after the suite's training."""
    settings, rows, choices = suite.training, range(suite.training.batch_size), augmentation_of(suite)
    model = make_model(suite, "toy_gan", 0)
    generator, discriminator = (model.networks.train()[key] for key in ("generator", "discriminator"))
    common = {"weight_decay": settings.weight_decay, "fused": True}
    turns = [
        ("generator", generator, torch.optim.AdamW(generator.parameters(), lr=1e-3, betas=(0.5, 0.9), **common)),
        ("discriminator", discriminator, torch.optim.AdamW(discriminator.parameters(), lr=4e-3, betas=settings.betas, **common)),
    ]
    rates = [(optimizer.param_groups[0], optimizer.param_groups[0]["lr"]) for _, _, optimizer in turns]
    (factor,) = get_cosine_schedule_with_warmup(turns[0][2], settings.warmup_steps, settings.steps).lr_lambdas
    average, dataset = EMAModel(generator.parameters(), decay=settings.ema_decay, foreach=True), open_dataset(suite.data, "train")
    statistics = {"norm.running_mean": generator.norm.running_mean, "norm.running_var": generator.norm.running_var}
    averages = {f"ema.generator.{name}": value.clone() for name, value in statistics.items()}
    order = Steps(len(dataset), settings.batch_size, 0, 0, settings.steps, choices)
    for step, batch in enumerate(load(Views(dataset), order, 0)):
        draws = noise(torch.device("cpu"), 0, step, rows, len(rows), choices)
        x, carry = model.look(batch, draws), {}
        for (phase, network, optimizer), (group, lr) in zip(turns, rates, strict=True):
            group["lr"] = lr * factor(step + 1 if step < settings.warmup_steps else step)
            torch.manual_seed(seed_of("dropout", 0, step, phase, 0))
            loss = sum(model.losses(phase, x, draws, carry).values())
            for weight, gradient in zip(network.parameters(), torch.autograd.grad(loss, [*network.parameters()]), strict=True):
                weight.grad = gradient
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings.grad_clip)
            optimizer.step()
            draws = noise(torch.device("cpu"), 0, step, rows, len(rows), choices, "discriminator")
        average.step(generator.parameters())
        for name, value in statistics.items():
            mean = averages[f"ema.generator.{name}"]
            mean.sub_(mean - value, alpha=1 - average.cur_decay_value)
    names = [name for name, _ in generator.named_parameters()]
    averages |= {f"ema.generator.{name}": value for name, value in zip(names, average.shadow_params, strict=True)}
    return averages | {f"networks.{name}": value for name, value in model.networks.state_dict().items()}


def test_two_phases_give_the_bits_of_a_plain_loop(toy_suite, tmp_path):
    train(toy_suite, "toy_gan", 0, tmp_path / "state", tmp_path / "out")
    state, plain = load_file(tmp_path / "state" / STATE), plain_loop(toy_suite)
    assert {name for name in state if name.startswith(("ema.", "networks."))} == set(plain)
    assert [name for name, value in plain.items() if not torch.equal(state[name], value)] == []
