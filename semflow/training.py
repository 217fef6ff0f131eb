"""One training loop for every model: steps, clock, checkpoints, logs. Knows no loss.

Step k is a function of (seed, k) and the state before it: the data order, the flips and the noise are drawn anew from
named seeds at every step. So a run that is killed and started again ends in the same bits as one that is not.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor

from baselines.build import make_model
from semflow import checkpoints, devices, files, provenance
from semflow.config import content_hash
from semflow.data import Dataset, open_dataset
from semflow.data.batches import in_memory, load, to_unit_range
from semflow.errors import Interrupted, SemFlowError
from semflow.model import Model
from semflow.progress import Progress
from semflow.seeds import generator, seed_of
from semflow.suite import SWAPS, Suite, Training


def train(suite: Suite, method: str, seed: int, state: Path, out: Path) -> None:
    """Train `method` from `seed`, keeping state in the folder `state`, and write the finished weights to `out`.

    Starts where `state` left off. SemFlowError if a loss is not finite; Interrupted after Ctrl-C, state saved.
    """
    settings, run = suite.training, suite.run
    accelerator = make_accelerator(suite, state)
    alone = checkpoints.only_trainer(state) if accelerator.is_main_process else nullcontext()
    with alone, _stop_signals() as signalled:
        trainer = Trainer(accelerator, suite, method, seed, state)
        batches = training_batches(open_dataset(suite.data, "train"), suite, seed, trainer.step, trainer.accelerator)
        with trainer.progress(f"train {method} seed {seed}") as progress:
            for images, labels in batches:
                loss, norm = trainer.advance(images, labels)
                progress.update(settings.batch_size)
                if trainer.step % run.log_every == 0:
                    trainer.log(loss, norm, progress)
                stop = trainer.agree_to_stop(signalled())
                if trainer.step % run.checkpoint_every == 0 or trainer.step == settings.steps or stop:
                    trainer.save()
                if stop and trainer.step < settings.steps:
                    trainer.end()
                    raise Interrupted(f"stopped at step {trainer.step} of {settings.steps}; the same command goes on from there")
        trainer.export(out)


class Trainer:
    """What a training carries from step to step: network, average, optimizer, and the number of the step."""

    def __init__(self, accelerator: Accelerator, suite: Suite, method: str, seed: int, state: Path) -> None:
        self.accelerator, self.suite, self.method, self.seed, self.state = accelerator, suite, method, seed, state
        self.settings = suite.training
        with files.writing(state):
            self.accelerator.init_trackers(f"{suite.suite}-{method}-seed{seed}")
        # Each process has its own stream of noise, and a package's kernels make the bits: another training with others.
        made_by = {"processes": accelerator.num_processes, "versions": provenance.versions()}
        self.key = f"{provenance.weights_key(suite, method, seed)}-{content_hash(made_by)[:16]}"
        self.model = make_model(suite, method, seed)
        self.optimizer: Any = make_optimizer(self.model, self.settings)
        self.ema = EMAModel(self.model.network.parameters(), decay=self.settings.ema_decay, foreach=True)
        self.step = checkpoints.load_state(state, self.key, self.model.network, self.ema, self.optimizer)
        device = self.accelerator.device
        self.model.autoencoder.to(device)
        self.ema.to(device)
        self.model.network, self.optimizer = self.accelerator.prepare(self.model.network.train(), self.optimizer)
        self.learning_rate = schedule(self.settings)
        self.first_bad_step = torch.full((), -1, device=device)  # read now and then: looking stalls an accelerator

    def advance(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One optimizer step on uint8 images and labels. Returns the loss and the gradient's norm, before clipping."""
        device = self.accelerator.device
        draws = generator(device, "train", self.seed, self.step, self.accelerator.process_index)
        images, labels = images.to(device), labels.to(device)
        if self.settings.flip:
            images, labels = flip(images, labels, draws, SWAPS[self.suite.data.name])
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step)
        loss = self.model.loss(to_unit_range(images), labels, draws)  # `prepare` made the network compute in bf16, nothing else
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.model.network.parameters(), self.settings.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.step(self.model.network.parameters())
        newly_bad = ~torch.isfinite(loss.detach() + norm) & (self.first_bad_step < 0)
        self.first_bad_step = torch.where(newly_bad, self.step, self.first_bad_step)
        self.step += 1
        return loss.detach(), norm

    def check_finite(self) -> None:
        """SemFlowError if a loss or a gradient since the start was not finite."""
        if (step := int(self.first_bad_step)) >= 0:
            raise SemFlowError(
                f"the loss or its gradient is not finite at step {step}; the last good checkpoint stays in {self.state}: "
                "lower training.lr or look at the data, then start again"
            )

    def save(self) -> None:
        """Write the state, unless it is spoilt."""
        self.check_finite()
        if self.accelerator.is_main_process:
            network = self.accelerator.unwrap_model(self.model.network)
            checkpoints.save_state(self.state, self.key, self.step, network, self.ema, self.optimizer.optimizer)

    def export(self, out: Path) -> None:
        """End, and write the averaged weights as a finished checkpoint."""
        self.end()
        if self.accelerator.is_main_process:
            unet = self.model.network.unet
            self.ema.copy_to(unet.parameters())
            checkpoints.export(out, self.suite, self.method, self.seed, unet)

    def end(self) -> None:
        """Close the log and leave the other processes.

        The wrapper that sums gradients has to go before the process group: were its reference the group's last, the group
        would be torn down with Python's lock held and wait for a thread that may need that lock (PyTorch issue 56297).
        """
        self.model.network = self.accelerator.unwrap_model(self.model.network)
        self.accelerator.free_memory()
        with files.writing(self.state):
            self.accelerator.end_training()

    def log(self, loss: Tensor, norm: Tensor, progress: Progress) -> None:
        """Scalars of the last step to TensorBoard, the loss to the progress line too."""
        self.check_finite()
        scalars = {"loss": loss.item(), "grad_norm": norm.item(), "lr": self.learning_rate(self.step - 1)}
        with files.writing(self.state):
            self.accelerator.log(scalars | {"images_per_s": progress.images_per_s}, self.step)
        progress.update(0, f"loss {scalars['loss']:.4f}")

    def progress(self, what: str) -> Progress:
        """Counts images from where the state left off; silent on all processes but one."""
        if self.step and self.accelerator.is_main_process:
            print(f"{what}: goes on from step {self.step}", file=sys.stderr)
        size = self.settings.batch_size
        return Progress(what, self.settings.steps * size, self.step * size, silent=not self.accelerator.is_main_process)

    def agree_to_stop(self, signalled: bool) -> bool:
        """Whether any process was asked to stop; several ask each other only where they wait for one another anyway."""
        if self.accelerator.num_processes == 1:
            return signalled
        if self.step % self.suite.run.log_every:
            return False
        votes = torch.tensor(float(signalled), device=self.accelerator.device)
        return bool(self.accelerator.reduce(votes, "sum"))


def flip(
    images: Tensor, labels: Tensor, draws: torch.Generator, swaps: tuple[tuple[int, int], ...] = ()
) -> tuple[Tensor, Tensor]:
    """Mirror each picture with its labels left to right with probability 1/2, exchanging the classes of each swap."""
    chosen = torch.rand(len(images), generator=draws, device=images.device) < 0.5
    mirrored = labels.flip(-1)
    if swaps:
        partner = torch.arange(256, dtype=labels.dtype, device=labels.device)
        for left, right in swaps:
            partner[left], partner[right] = right, left
        mirrored = partner[mirrored.long()]
    images = torch.where(chosen[:, None, None, None], images.flip(-1), images)
    return images, torch.where(chosen[:, None, None], mirrored, labels)


def make_accelerator(suite: Suite, logs: Path) -> Accelerator:
    """accelerate on the device asked for; bf16 only where the device has it. SemFlowError if the device is missing."""
    device = devices.pick(suite.run.device)
    precision = "bf16" if suite.training.precision == "bf16" and devices.has_bf16(device) else "no"
    return Accelerator(cpu=device.type == "cpu", mixed_precision=precision, log_with="tensorboard", project_dir=logs)


def make_optimizer(model: Model, settings: Training) -> torch.optim.AdamW:
    """AdamW, fused into one kernel."""
    return torch.optim.AdamW(
        model.network.parameters(), lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay, fused=True
    )


def schedule(settings: Training) -> Callable[[int], float]:
    """Learning rate as a function of the step alone, by diffusers' formulas; so a resumed run needs no scheduler state."""
    name = "constant_with_warmup" if settings.lr_schedule == "constant" else settings.lr_schedule
    anything = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = get_scheduler(name, anything, num_warmup_steps=settings.warmup_steps, num_training_steps=settings.steps)
    (factor,) = scheduler.lr_lambdas
    return lambda step: settings.lr * factor(step + 1 if step < settings.warmup_steps else step)


def training_batches(
    dataset: Dataset, suite: Suite, seed: int, start: int, accelerator: Accelerator
) -> Iterator[tuple[Tensor, Tensor]]:
    """uint8 (images, labels) of this process for steps `start` to the last."""
    settings, run = suite.training, suite.run
    source = in_memory(dataset, "load training images") if run.in_memory else dataset
    rank, ranks = accelerator.process_index, accelerator.num_processes
    share = StepIndices(len(dataset), settings.batch_size, seed, start, settings.steps, rank, ranks)
    return load(source, share, run.workers)


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


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM set a flag that the loop reads between steps; the same signal again ends at once."""
    seen: list[int] = []

    def note(number: int, _frame: object) -> None:
        if number in seen:
            sys.exit(128 + number)
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
