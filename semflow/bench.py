"""Speed of our loops against the least work that they could do, measured in turn on the same machine."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from baselines.build import make_model
from semflow import devices
from semflow.cells import Sampler
from semflow.data import open_dataset
from semflow.model import place
from semflow.seeds import generator
from semflow.suite import Suite
from semflow.training import Trainer, make_accelerator, make_optimizer, training_batches

STEPS = 10  # of training a repeat
SAMPLER_STEPS = 25  # the paper's number
MATMUL = 2048


def train(suite: Suite, method: str, repeats: int) -> str:
    """The training loop against the bare forward, backward and optimizer step of the same network; a few lines of text."""
    settings = suite.training.model_copy(update={"steps": STEPS * (repeats + 1)})
    suite = suite.model_copy(update={"training": settings})
    with tempfile.TemporaryDirectory() as state:
        trainer = Trainer(make_accelerator(suite, Path(state)), suite, method, 0, Path(state))
        device = trainer.accelerator.device
        batches = training_batches(open_dataset(suite.data, "train"), suite, 0, 0, trainer.accelerator)
        progress = trainer.progress("bench")
        bare_step = _bare_step(suite, method, trainer)

        def loop() -> None:
            for _ in range(STEPS):
                loss, norm = trainer.advance(*next(batches))
                progress.update(settings.batch_size)
            trainer.log(loss, norm, progress)

        def bare() -> None:
            for _ in range(STEPS):
                bare_step()

        flops = _flops(bare_step)
        seconds = _in_turn((loop, bare, _matmul(trainer), trainer.save), repeats, device)
    loop_s, bare_s, peak, save_s = map(statistics.median, seconds)
    n_images = STEPS * settings.batch_size
    saving = save_s / (suite.run.checkpoint_every / STEPS * loop_s)
    achieved, best = STEPS * flops / loop_s, 2 * MATMUL**3 / peak
    product = f"a {MATMUL} x {MATMUL} matrix product's {best / 1e9:.1f}"
    return "\n".join(
        [
            f"training loop  {n_images / loop_s:8.1f} images/s (median of {repeats}), and {saving:.1%} more for saving the state",
            f"bare step      {n_images / bare_s:8.1f} images/s: the loop reaches {_paired(seconds):.2f} of it",
            f"arithmetic     {achieved / 1e9:8.1f} GFLOP/s, {achieved / best:.2f} of {product}",
        ]
    )


def sample(suite: Suite, method: str, repeats: int) -> str:
    """N sampler steps against N bare forwards of the same network; a few lines of text."""
    model = make_model(suite, method)
    device = devices.pick(suite.run.device)
    place(model, device)
    size = suite.evaluation.batch_size
    images = torch.rand(size, 3, *suite.data.size, device=device) * 2 - 1
    z = model.autoencoder.encode(images)
    z = torch.cat([z] * model.image_copies, 1)
    sampler = Sampler(model.samplers[0], SAMPLER_STEPS)

    def sampling() -> None:
        with torch.inference_mode():
            model.segment(images, sampler, generator(device, "bench"))

    def bare() -> None:
        with torch.inference_mode():
            for step in range(SAMPLER_STEPS):
                model.network(z, torch.tensor(step / SAMPLER_STEPS))

    seconds = _in_turn((sampling, bare), repeats, device)
    sampling_s, bare_s = map(statistics.median, seconds)
    return "\n".join(
        [
            f"sampler        {size / sampling_s:8.2f} images/s with {sampler} (median of {repeats})",
            f"bare forwards  {size / bare_s:8.2f} images/s: the sampler reaches {_paired(seconds):.2f} of it",
        ]
    )


def _bare_step(suite: Suite, method: str, trainer: Trainer) -> Callable[[], None]:
    """Forward, backward and optimizer step on constant tensors: no data, no noise, no clipping, no average."""
    model, device = make_model(suite, method), trainer.accelerator.device
    network = model.network.to(device).train()
    optimizer = make_optimizer(model, suite.training)
    h, w = (side // model.autoencoder.factor for side in suite.data.size)
    z = torch.rand(suite.training.batch_size, model.image_copies * model.autoencoder.channels, h, w, device=device)
    t = torch.rand(len(z), device=device)

    def step() -> None:
        with trainer.accelerator.autocast():  # as `prepare` does for the loop's network
            loss = network(z, t).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _matmul(trainer: Trainer) -> Callable[[], None]:
    dtype = torch.bfloat16 if trainer.accelerator.mixed_precision == "bf16" else torch.float32
    a, b = torch.rand(2, MATMUL, MATMUL, device=trainer.accelerator.device, dtype=dtype)
    product = torch.empty_like(a)

    def multiply() -> None:
        torch.mm(a, b, out=product)

    return multiply


def _flops(run: Callable[[], None]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def _in_turn(sides: tuple[Callable[[], None], ...], repeats: int, device: torch.device) -> list[list[float]]:
    """Seconds of each side in every repeat, one after the other, so that a noisy machine is noisy to all."""
    for side in sides:
        side()
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(repeats):
        for number, side in enumerate(sides):
            started = time.perf_counter()
            side()
            if device.type != "cpu":
                torch.accelerator.synchronize()
            seconds[number].append(time.perf_counter() - started)
    return seconds


def _paired(seconds: list[list[float]]) -> float:
    """Speed of the first side over that of the second: the median of the repeats' ratios."""
    return statistics.median(bare / ours for ours, bare in zip(*seconds[:2], strict=True))
