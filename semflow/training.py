"""One training loop for every model: steps, clock, checkpoints, logs. Knows no loss.

Step k is a function of (seed, k) and the state before it: the data order, the flips and the noise are drawn anew from
named seeds at every step. So a run that is killed and started again ends in the same bits as one that is not.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor
from torch.utils.data import DataLoader

from baselines.build import make_model
from semflow import checkpoints, devices
from semflow.config import Run, Suite, Training
from semflow.data import Dataset, open_dataset
from semflow.data.batches import Batches, in_memory, to_unit_range
from semflow.errors import Interrupted, SemFlowError
from semflow.model import Model
from semflow.progress import Progress
from semflow.seeds import generator, seed_of


def train(suite: Suite, method: str, seed: int, state: Path, out: Path) -> None:
    """Train `method` from `seed`, keeping state in the folder `state`, and write the finished weights to `out`.

    Starts where `state` left off. SemFlowError if a loss is not finite; Interrupted after Ctrl-C, state saved.
    """
    settings, run = suite.training, suite.run
    accelerator = make_accelerator(settings, run, state)
    accelerator.init_trackers(f"{suite.suite}-{method}-seed{seed}")
    model = make_model(suite, method, seed)
    optimizer = make_optimizer(model, settings)
    ema = EMAModel(model.network.parameters(), decay=settings.ema_decay, foreach=True)
    step = checkpoints.load_state(state, model.network, ema, optimizer)
    model.autoencoder.to(accelerator.device)
    ema.to(accelerator.device)
    model.network, optimizer = accelerator.prepare(model.network.train(), optimizer)
    learning_rate = schedule(settings)
    batches = training_batches(open_dataset(suite.data, "train"), settings, run, seed, step, accelerator)
    watch = _FiniteWatch(accelerator.device)

    def save() -> None:
        watch.check(state)
        if accelerator.is_main_process:
            checkpoints.save_state(state, step, accelerator.unwrap_model(model.network), ema, optimizer.optimizer)

    n_images, first = settings.steps * settings.batch_size, step * settings.batch_size
    with Progress(f"train {method} seed {seed}", n_images, first) as progress, _stop_signals() as stopping:
        for images, labels in batches:
            loss, norm = train_step(model, optimizer, accelerator, settings, images, labels, learning_rate(step), (seed, step))
            ema.step(model.network.parameters())
            watch.see(step, loss, norm)
            step += 1
            progress.update(settings.batch_size)
            if step % run.log_every == 0:
                watch.check(state)
                scalars = {
                    "loss": loss.item(),
                    "grad_norm": norm.item(),
                    "lr": learning_rate(step),
                    "images_per_s": progress.images_per_s,
                }
                accelerator.log(scalars, step)
                progress.update(0, f"loss {scalars['loss']:.4f}")
            if step % run.checkpoint_every == 0 or step == settings.steps or stopping():
                save()
            if stopping() and step < settings.steps:
                raise Interrupted(f"stopped at step {step} of {settings.steps}; the same command goes on from there")
    accelerator.end_training()
    if accelerator.is_main_process:
        unet = accelerator.unwrap_model(model.network).unet
        ema.copy_to(unet.parameters())
        checkpoints.export(out, suite, method, seed, unet)


def train_step(
    model: Model,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    settings: Training,
    images: Tensor,
    labels: Tensor,
    lr: float,
    names: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """One optimizer step on uint8 images and labels; names = (seed, step). Returns the loss and the gradient's norm."""
    draws = generator(accelerator.device, "train", *names, accelerator.process_index)
    images, labels = images.to(accelerator.device), labels.to(accelerator.device)
    if settings.flip:
        images, labels = flip(images, labels, draws)
    for group in optimizer.param_groups:
        group["lr"] = lr
    with accelerator.autocast():
        loss = model.loss(to_unit_range(images), labels, draws)
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_(model.network.parameters(), settings.grad_clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach(), norm


def flip(images: Tensor, labels: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror each picture with its labels left to right with probability 1/2."""
    chosen = torch.rand(len(images), generator=draws, device=images.device) < 0.5
    images = torch.where(chosen[:, None, None, None], images.flip(-1), images)
    return images, torch.where(chosen[:, None, None], labels.flip(-1), labels)


def make_accelerator(settings: Training, run: Run, logs: Path) -> Accelerator:
    """accelerate on the device asked for; bf16 only where the device has it. SemFlowError if the device is missing."""
    device = devices.pick(run.device)
    precision = "bf16" if settings.precision == "bf16" and devices.has_bf16(device) else "no"
    return Accelerator(cpu=device.type == "cpu", mixed_precision=precision, log_with="tensorboard", project_dir=logs)


def make_optimizer(model: Model, settings: Training) -> torch.optim.AdamW:
    """AdamW, fused into one kernel."""
    return torch.optim.AdamW(
        model.network.parameters(), lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay, fused=True
    )


def schedule(settings: Training):
    """Learning rate as a function of the step alone, by diffusers' formulas; so a resumed run needs no scheduler state."""
    name = "constant_with_warmup" if settings.lr_schedule == "constant" else settings.lr_schedule
    anything = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    factor = get_scheduler(name, anything, num_warmup_steps=settings.warmup_steps, num_training_steps=settings.steps).lr_lambdas[
        0
    ]
    return lambda step: settings.lr * factor(step + 1 if step < settings.warmup_steps else step)


def training_batches(
    dataset: Dataset, settings: Training, run: Run, seed: int, start: int, accelerator: Accelerator
) -> Iterator[tuple[Tensor, Tensor]]:
    """uint8 (images, labels) of this process for steps `start` to the last."""
    source = in_memory(dataset, "load training images") if run.in_memory else dataset
    share = StepIndices(
        len(dataset), settings.batch_size, seed, start, settings.steps, accelerator.process_index, accelerator.num_processes
    )
    return iter(DataLoader(Batches(source), batch_size=None, sampler=share, num_workers=run.workers))


class StepIndices:
    """Which images each step sees: every epoch a fresh permutation by a named seed, batches running on across epochs."""

    def __init__(self, n: int, batch_size: int, seed: int, start: int, stop: int, rank: int = 0, ranks: int = 1) -> None:
        if batch_size % ranks:
            raise SemFlowError(f"training.batch_size {batch_size} must be a multiple of the {ranks} processes")
        self.n, self.batch_size, self.seed, self.start, self.stop = n, batch_size, seed, start, stop
        self.rank, self.ranks = rank, ranks

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[np.ndarray]:
        epoch, order = -1, np.empty(0, int)
        for step in range(self.start, self.stop):
            chosen = np.empty(self.batch_size, int)
            for slot in range(self.batch_size):
                wanted, place = divmod(step * self.batch_size + slot, self.n)
                if wanted != epoch:
                    epoch = wanted
                    order = np.random.RandomState(seed_of("order", self.seed, epoch) % 2**32).permutation(self.n)
                chosen[slot] = order[place]
            yield chosen[self.rank :: self.ranks]


class _FiniteWatch:
    """Remembers the first step whose loss or gradient was not finite, without waiting for the device at every step."""

    def __init__(self, device: torch.device) -> None:
        self.first_bad = torch.full((), -1, device=device)

    def see(self, step: int, loss: Tensor, norm: Tensor) -> None:
        fine = torch.isfinite(loss + norm) | (self.first_bad >= 0)
        self.first_bad = torch.where(fine, self.first_bad, step)

    def check(self, state: Path) -> None:
        step = int(self.first_bad)
        if step >= 0:
            raise SemFlowError(
                f"the loss or its gradient is not finite at step {step}; the last good checkpoint stays in {state}: "
                "lower training.lr or look at the data, then start again"
            )


@contextmanager
def _stop_signals() -> Iterator:
    """Ctrl-C and SIGTERM set a flag that the loop reads between steps; a second one ends at once."""
    seen: list[int] = []

    def note(number: int, _frame: object) -> None:
        if seen:
            sys.exit(128 + number)
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
