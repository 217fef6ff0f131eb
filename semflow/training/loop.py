"""One training loop for every model: steps, clock, checkpoints, logs. Knows no loss.

Step k is a function of (seed, k) and the state before it: the data order, the flips and the noise are drawn anew from
named seeds at every step. So a run that is killed and started again ends in the same bits as one that is not; and however
many processes share a batch, and however many images one takes at once, the numbers drawn are the same, so that only the
order of sums differs.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.utils.memory import should_reduce_batch_size
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor

from semflow import files, provenance
from semflow.data import Dataset, open_dataset
from semflow.errors import Interrupted, SemFlowError
from semflow.loading.batches import Batch, Source, Views, in_memory, load, to_unit_range
from semflow.loading.latents import FOLDER, Latents, Stop
from semflow.loading.steps import Choices, Share, Steps, noise
from semflow.method.semflow import Model
from semflow.progress import Progress
from semflow.seeds import Stream
from semflow.suite import Run, Suite, Training, swaps_of
from semflow.suite.reading import content_hash
from semflow.training import checkpoints, devices
from semflow.training.build import make_model

NO_ROOM = ("ALLOC_FAILED", "out of memory", "unable to find an engine")  # what CUDA's libraries say near a full card


def train(suite: Suite, method: str, seed: int, state: Path, out: Path) -> None:
    """Train `method` from `seed`, keeping state in the folder `state`, and write the finished weights to `out`.

    Starts where `state` left off. SemFlowError if a loss is not finite; Interrupted after Ctrl-C, state saved.
    """
    settings, run = suite.training, suite.run
    accelerator = make_accelerator(suite, state)
    alone = checkpoints.only_trainer(state) if accelerator.is_main_process else nullcontext()
    with alone, _stop_signals() as signalled:
        trainer = Trainer(accelerator, suite, method, seed, state)
        batches = training_batches(open_dataset(suite.data, "train"), trainer, FOLDER, signalled)
        with trainer.progress(f"train {method} seed {seed}") as progress:
            for batch in batches:
                loss, norm = trainer.advance(batch)
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
        self.settings, self.choices = suite.training, choices_of(suite)
        self.share = Share(accelerator.process_index, accelerator.num_processes)
        self.rows = self.share.rows(self.settings.batch_size)
        with files.writing(state):
            self.accelerator.init_trackers(f"{suite.suite}-{method}-seed{seed}")
        # A package's kernels make the bits: another training with others. How many processes share the work does not.
        self.key = f"{provenance.weights_key(suite, method, seed)}-{content_hash({'versions': provenance.versions()})[:16]}"
        self.model = make_model(suite, method, seed)
        device = self.accelerator.device
        prepare_network(self.model, suite.run, device, accelerator.mixed_precision)
        self.optimizer: Any = make_optimizer(self.model, self.settings)
        decay = self.settings.ema_decay
        self.ema = EMAModel(self.model.network.parameters(), decay=decay, foreach=True) if decay else None
        self.step = checkpoints.load_state(state, self.key, self.model.network, self.ema, self.optimizer)
        if self.ema is not None:
            self.ema.to(device)
        self.model.network, self.optimizer = self.accelerator.prepare(self.model.network.train(), self.optimizer)
        self.learning_rate = schedule(self.settings)
        self.first_bad_step = torch.full((), -1, device=device)  # read now and then: looking stalls an accelerator
        self.micro_batch = min(suite.run.micro_batch or len(self.rows), len(self.rows))
        self.fits = device.type == "cpu" or suite.run.micro_batch is not None

    def advance(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One optimizer step on this process's share of a batch. Returns its loss and the gradient's norm, before clipping."""
        batch = batch.on(self.accelerator.device)
        if not self.fits:
            self.micro_batch, self.fits = self.find_micro_batch(batch), True
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step)
        loss = self.accumulate(batch)
        norm = self.accelerator.clip_grad_norm_(self.model.network.parameters(), self.settings.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.step(self.model.network.parameters())
        newly_bad = ~torch.isfinite(loss + norm) & (self.first_bad_step < 0)
        self.first_bad_step = torch.where(newly_bad, self.step, self.first_bad_step)
        self.step += 1
        return loss, norm

    def accumulate(self, batch: Batch) -> Tensor:
        """Leave the gradient of the mean loss over a batch, a micro-batch at a time; processes are averaged with the last."""
        n, losses = len(batch), []
        for first in range(0, n, self.micro_batch):
            last = min(first + self.micro_batch, n)
            together = nullcontext() if last == n else self.accelerator.no_sync(self.model.network)
            with together:
                loss = self.loss(batch.rows(first, last), first)
                loss = loss if last - first == n else loss * ((last - first) / n)
                self.accelerator.backward(loss)
            losses.append(loss.detach())
        return torch.stack(losses).sum() if len(losses) > 1 else losses[0]

    def loss(self, batch: Batch, first: int) -> Tensor:
        """Mean loss of some rows of this process's share, the first of which is its row `first`."""
        rows = range(self.rows.start + first, self.rows.start + first + len(batch))
        draws = noise(self.accelerator.device, self.seed, self.step, rows, self.settings.batch_size, self.choices)
        with torch.no_grad():
            image, mask = latents_of(self.model, batch, draws)
        return self.model.loss(image, mask, draws)  # `prepare` made the network compute in bf16, nothing else

    def find_micro_batch(self, batch: Batch) -> int:
        """As many images at once as fit into memory in every process, found by halving until a gradient can be worked out."""
        size = self.micro_batch
        while True:
            reserve, fits = [], True
            try:
                if not self.optimizer.state:  # the optimizer's two moments will want room as well
                    reserve = [torch.empty_like(weight) for weight in self.model.network.parameters() for _ in range(2)]
                with self.accelerator.no_sync(self.model.network), torch.compiler.set_stance("force_eager"):
                    self.accelerator.backward(self.loss(batch.rows(0, size), 0))
            except RuntimeError as error:
                if size == 1 or not (should_reduce_batch_size(error) or any(words in str(error) for words in NO_ROOM)):
                    raise
                fits = False
            del reserve
            self.optimizer.zero_grad(set_to_none=True)
            if self.accelerator.device.type == "cuda":
                torch.cuda.empty_cache()
            if self.accelerator.reduce(torch.tensor(float(fits), device=self.accelerator.device), "sum") == self.share.ranks:
                return size
            size = -(-size // 2)

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
        """End, and write the averaged weights, or without an average the last ones, as a finished checkpoint."""
        self.end()
        if self.accelerator.is_main_process:
            if self.ema is not None:
                self.ema.copy_to(self.model.network.parameters())
            checkpoints.export(out, self.suite, self.method, self.seed, self.model.network)

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
        loss = self.accelerator.reduce(loss, "mean")
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


def latents_of(model: Model, batch: Batch, source: list[Stream]) -> tuple[Tensor, Tensor]:
    """Latents (B, C, h, w) of a batch's images and masks, of whatever it is made."""
    image, mask = batch
    moments = image.is_floating_point()
    z_image = model.autoencoder.draw(image, source) if moments else model.autoencoder.encode(to_unit_range(image), source)
    return z_image, mask if mask.is_floating_point() else model.encode_labels(mask, source)


def prepare_network(model: Model, run: Run, device: torch.device, precision: str) -> None:
    """Move a model to `device`, laid out and compiled as `run` says; `precision` bf16: the autoencoder encodes in it."""
    model.autoencoder.to(device).precision = "bf16" if precision == "bf16" else "fp32"
    model.network.to(device)
    if run.channels_last:
        for part in (model.network, model.autoencoder):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # of which PyTorch's types do not know
    if run.activation_checkpointing:
        model.network.unet.enable_gradient_checkpointing()
    if run.compile:  # in place: names of weights stay as they are
        for module in (model.network.unet, *(part for name, part in model.autoencoder.named_modules() if name == "vae.encoder")):
            module.compile(dynamic=False)


def choices_of(suite: Suite) -> Choices:
    """What is drawn for every look at a training image."""
    return Choices(suite.training.flip, getattr(suite.data, "view", "") == "crop", suite.training.cached_perturbations)


def make_accelerator(suite: Suite, logs: Path) -> Accelerator:
    """accelerate on the device asked for; bf16 only where the device has it. SemFlowError if the device is missing."""
    device = devices.pick(suite.run.device)
    precision = "bf16" if suite.training.precision == "bf16" and devices.has_bf16(device) else "no"
    patient = InitProcessGroupKwargs(timeout=timedelta(hours=24))  # latents may be encoded while the other processes wait
    # The one buffer, the prompt, is the same everywhere; and a forward that waits for others could wait for one without memory.
    shared = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=precision,
        log_with="tensorboard",
        project_dir=logs,
        kwargs_handlers=[patient, shared],
    )


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


def training_batches(dataset: Dataset, trainer: Trainer, cache: Path = FOLDER, stop: Stop = lambda: False) -> Iterator[Batch]:
    """This process's share of every step that is left. cache: folder for latents.  stop: whether to end as they are encoded."""
    suite, settings = trainer.suite, trainer.settings
    steps = Steps(len(dataset), settings.batch_size, trainer.seed, trainer.step, settings.steps, trainer.choices, trainer.share)
    return load(_source(dataset, trainer, cache, stop), steps, suite.run.workers, trainer.accelerator.device.type == "cuda")


def _source(dataset: Dataset, trainer: Trainer, cache: Path, stop: Stop) -> Source:
    """Training images: held in memory, read anew at every step, or as latents that were encoded once."""
    suite, model = trainer.suite, trainer.model
    painted = getattr(suite.data, "masks", "labels") == "rgb"
    colours = model.pseudo_mask.colours().numpy() if painted else None
    whole = colours is None and not trainer.choices.crop
    samples = in_memory(dataset, "load training images") if suite.run.in_memory and whole else dataset
    views = Views(samples, swaps_of(suite), colours)
    if not (suite.run.cache_latents or suite.training.cached_perturbations):
        return views
    return Latents(views, len(dataset), suite, model, trainer.method, trainer.accelerator, cache, stop)


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
