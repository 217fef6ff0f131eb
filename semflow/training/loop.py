"""One training loop for every method: phases, clock, checkpoints, logs. Knows no loss.

Step k is a function of (seed, k) and the state before it: the data order, the flips and the noise are drawn anew from
named seeds at every step. So a run that is killed and started again ends in the same bits as one that is not; and however
many processes share a batch, and however many images one takes at once, the numbers drawn are the same, so that only the
order of sums differs.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from semflow import provenance
from semflow.data import Dataset, open_dataset
from semflow.errors import Interrupted, SemFlowError
from semflow.loading.batches import Batch, load
from semflow.loading.latents import FOLDER, Stop
from semflow.loading.steps import Augmentation, Rank, Steps, noise
from semflow.method.autoencoder import Autoencoder
from semflow.method.contract import Method, Phase
from semflow.progress import Progress
from semflow.seeds import Stream, seed_of
from semflow.suite import RunSettings, Suite, keys
from semflow.training import checkpoints, devices, optimizers
from semflow.training.build import make_model
from semflow.training.scalars import Scalars
from semflow.training.spent import FIRST, PARTS, Spent, part_of
from semflow.training.training_set import training_set

NO_ROOM = ("ALLOC_FAILED", "out of memory", "unable to find an engine")  # what CUDA's libraries say near a full card
BUCKET = 1 << 24  # gradients that processes sum at once


def train(suite: Suite, method: str, seed: int, state: Path, out: Path) -> None:
    """Train `method` from `seed`, keeping state in the folder `state`, and write the finished weights to `out`.

    Starts where `state` left off. SemFlowError if a loss is not finite; Interrupted after Ctrl-C, state saved.
    """
    run = suite.run
    accelerator = make_accelerator(suite)
    alone = checkpoints.only_trainer(state) if accelerator.is_main_process else nullcontext()
    with alone, _stop_signals() as signalled:
        trainer = Trainer(accelerator, suite, method, seed, state)
        batches = training_batches(open_dataset(suite.data, "train"), trainer, FOLDER, signalled)
        with trainer.progress(f"train {method} seed {seed}") as progress:
            for batch in batches:
                scalars = trainer.advance(batch)
                progress.update(trainer.batch_size)
                if trainer.step % run.log_every == 0:
                    trainer.log(scalars, progress)
                stop = trainer.agree_to_stop(signalled())
                if trainer.step % run.checkpoint_every == 0 or trainer.step == trainer.steps or stop:
                    trainer.save()
                if stop and trainer.step < trainer.steps:
                    trainer.end()
                    raise Interrupted(f"stopped at step {trainer.step} of {trainer.steps}; the same command goes on from there")
        trainer.export(out)


class Trainer:
    """What a training carries from step to step: networks, averages, optimizers, and the number of the step."""

    def __init__(self, accelerator: Accelerator, suite: Suite, method: str, seed: int, state: Path) -> None:
        self.accelerator, self.suite, self.method, self.seed, self.state = accelerator, suite, method, seed, state
        self.augmentation, self.steps, self.batch_size = augmentation_of(suite), *optimizers.length(suite, method)
        self.rank = Rank(accelerator.process_index, accelerator.num_processes)
        self.rows = self.rank.rows(self.batch_size)
        self.scalars = Scalars(state / f"{suite.suite}-{method}-seed{seed}")
        # A package's kernels make the bits: another training with others. How many processes share the work does not.
        versions = provenance.content_hash({"versions": provenance.versions()})[:16]
        self.key = f"{keys.weights_key(suite, method, seed)}-{versions}"
        self.model = make_model(suite, method, seed)
        self.networks = self.model.networks
        prepare(self.model, suite.run, accelerator)
        self.turns = [
            optimizers.Turn(phase, self.networks, optimizers.recipe(suite, method, phase.name)) for phase in self.model.phases
        ]
        self.average = self._average()
        self.spent = checkpoints.load_state(state, self.key, self.networks, self.turns, self.average)
        self.step, self.started = self.spent.step, time.monotonic() - self.spent.wall_s
        self.first_losses = [torch.tensor(loss) for loss in self.spent.first_losses]
        self.sums = {name: torch.tensor(of, device=accelerator.device) for name, of in (self.spent.sums or {}).items()}
        self.networks.train()
        self.check_buffers()
        self.first_bad_step = torch.full((), -1, device=accelerator.device)  # read now and then: looking stalls an accelerator
        cut = suite.run.micro_batch if self.model.rowwise else None
        self.micro_batch = min(cut or len(self.rows), len(self.rows))
        self.fits = accelerator.device.type == "cpu" or cut is not None or not self.model.rowwise

    def check_buffers(self) -> None:
        """SemFlowError if processes would each keep a state of their own, of which a saved state could hold one only.

        The vectors of spectral norms are the same in all: they follow from the weights and from how they began.
        """
        shared = {
            id(buffer) for module in self.networks.modules() if isinstance(module, _BatchNorm) for buffer in module.buffers()
        }
        own = [name for name, buffer in self.networks.named_buffers() if id(buffer) not in shared]
        kept = [name for name in own if name in self.networks.state_dict() and not name.endswith(("._u", "._v"))]
        if kept and self.rank.processes > 1:
            raise SemFlowError(
                f"{self.method} keeps {kept[0]} in every process, which cannot be shared; train it with one process"
            )

    def _average(self) -> optimizers.Average | None:
        decay = optimizers.ema_decay(self.suite, self.method)
        averaged = {f"{key}.{name}": value for key in self.model.sampling for name, value in _averaged(self.networks[key])}
        return optimizers.Average(averaged, decay) if decay else None

    def advance(self, batch: Batch) -> dict[str, Tensor]:
        """One step on this process's share of a batch: every phase takes its turn. Returns scalars to log: of each phase its
        losses by name, their sum (`loss`) and the gradient's norm before clipping (`grad_norm`).
        """
        batch = batch.on(self.accelerator.device)
        if not self.fits:
            self.micro_batch, self.fits = self.find_micro_batch(batch), True
        parts, scalars, total = self.parts(batch), dict[str, Tensor](), list[Tensor]()
        for turn in self.turns:
            self.freeze_all_but(turn)
            losses = self.accumulate(turn, parts)
            self.sum_gradients(turn)
            total.append(losses["loss"])
            losses["grad_norm"] = turn.take(self.step)
            prefix = f"{turn.phase.name}/" if len(self.turns) > 1 else ""
            scalars |= {f"{prefix}{name}": value for name, value in losses.items()}
            newly_bad = ~torch.isfinite(losses["loss"] + losses["grad_norm"]) & (self.first_bad_step < 0)
            self.first_bad_step = torch.where(newly_bad, self.step, self.first_bad_step)
        if self.average is not None:
            self.average.step()
        if self.step < FIRST:
            self.first_losses.append(sum_of(total))
        for name, value in scalars.items():
            if not name.endswith(("grad_norm", "/loss")) and name != "loss":
                of = self.sums.setdefault(name, torch.zeros(PARTS, device=value.device))
                of[part_of(self.step, self.steps)] += value
        self.step += 1
        return scalars

    def parts(self, batch: Batch) -> list["MicroBatch"]:
        """A batch cut into micro-batches."""
        firsts = range(0, len(batch), self.micro_batch)
        return [MicroBatch(self, batch, first, min(first + self.micro_batch, len(batch))) for first in firsts]

    def freeze_all_but(self, turn: optimizers.Turn) -> None:
        """Let a phase move its own networks alone."""
        self.networks.requires_grad_(False)
        for weight in turn.parameters.values():
            weight.requires_grad_(True)

    def accumulate(self, turn: optimizers.Turn, parts: list["MicroBatch"]) -> dict[str, Tensor]:
        """Leave the gradient of the mean loss over a batch, a micro-batch at a time; the losses by name, and their sum."""
        n, sums = sum(len(part) for part in parts), dict[str, Tensor]()
        for part in parts:
            losses = part.losses(turn.phase)
            assert "loss" not in losses, "a method's losses have names of their own; `loss` is their sum"
            losses["loss"] = sum_of(list(losses.values()))
            if len(part) < n:
                losses = {name: loss * (len(part) / n) for name, loss in losses.items()}
            losses["loss"].backward()
            for name, loss in losses.items():
                sums[name] = sums[name] + loss.detach() if name in sums else loss.detach()
        return sums

    def sum_gradients(self, turn: optimizers.Turn) -> None:
        """Average the gradients of a phase over all processes, many at once; between them nothing else is summed."""
        if self.rank.processes == 1:
            return
        gradients, bucket = [weight.grad for weight in turn.parameters.values() if weight.grad is not None], list[Tensor]()
        for number, gradient in enumerate(gradients, 1):
            bucket.append(gradient)
            if number == len(gradients) or sum(map(Tensor.numel, bucket)) >= BUCKET:
                whole = self.accelerator.reduce(torch.cat([one.flatten() for one in bucket]), "mean")
                for one, part in zip(bucket, whole.split([one.numel() for one in bucket]), strict=True):
                    one.copy_(part.view_as(one))
                bucket = []

    def find_micro_batch(self, batch: Batch) -> int:
        """As many images at once as fit into memory in every process, found by halving until all gradients can be worked out.

        What the networks keep in buffers is as before when it is found.
        """
        size, buffers = self.micro_batch, [(buffer, buffer.clone()) for buffer in self.networks.buffers()]
        while True:
            reserve, fits = [], True
            try:
                for turn in self.turns:
                    if not turn.optimizer.state:  # its two moments will want room as well
                        reserve += [torch.empty_like(weight) for weight in turn.parameters.values() for _ in range(2)]
                part = MicroBatch(self, batch, 0, size)
                for turn in self.turns:
                    self.freeze_all_but(turn)
                    with torch.compiler.set_stance("force_eager"):
                        sum_of(list(part.losses(turn.phase).values())).backward()
            except RuntimeError as error:
                if size == 1 or not (should_reduce_batch_size(error) or any(words in str(error) for words in NO_ROOM)):
                    raise
                fits = False
            del reserve
            for turn in self.turns:
                turn.optimizer.zero_grad(set_to_none=True)
            for buffer, before in buffers:
                buffer.copy_(before)
            if self.accelerator.device.type == "cuda":
                torch.cuda.empty_cache()
            if self.accelerator.reduce(torch.tensor(float(fits), device=self.accelerator.device), "sum") == self.rank.processes:
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
        sums = {name: of.tolist() for name, of in self.sums.items()}
        self.spent = Spent(self.step, time.monotonic() - self.started, tuple(map(float, self.first_losses)), sums)
        if self.accelerator.is_main_process:
            checkpoints.save_state(self.state, self.key, self.spent, self.networks, self.turns, self.average)

    def export(self, out: Path) -> None:
        """End, and write the averaged weights, or without an average the last ones, as a finished checkpoint."""
        self.end()
        if self.accelerator.is_main_process:
            if self.average is not None:
                self.average.apply()
            device = devices.name_of(self.accelerator.device)
            if self.rank.processes > 1:
                device = f"{self.rank.processes} x {device}"
            checkpoints.export(out, self.suite, self.method, self.seed, self.model, self.spent, device)

    def end(self) -> None:
        """Part from the other processes."""
        self.accelerator.end_training()

    def log(self, scalars: dict[str, Tensor], progress: Progress) -> None:
        """Scalars of the last step to TensorBoard, each phase's loss to the progress line too."""
        self.check_finite()
        told = {name: self.accelerator.reduce(value, "mean").item() for name, value in scalars.items()}
        for turn in self.turns:
            told[f"{turn.phase.name}/lr" if len(self.turns) > 1 else "lr"] = turn.rate(self.step - 1)
        if self.accelerator.is_main_process:
            self.scalars.write(told | {"images_per_s": progress.images_per_s}, self.step)
        progress.update(0, ", ".join(f"{name} {value:.4f}" for name, value in told.items() if name.split("/")[-1] == "loss"))

    def progress(self, what: str) -> Progress:
        """Counts images from where the state left off; silent on all processes but one."""
        if self.step and self.accelerator.is_main_process:
            print(f"{what}: goes on from step {self.step}", file=sys.stderr)
        size, silent = self.batch_size, not self.accelerator.is_main_process
        return Progress(what, self.steps * size, self.step * size, silent=silent)

    def agree_to_stop(self, signalled: bool) -> bool:
        """Whether any process was asked to stop; several ask each other only where they wait for one another anyway."""
        if self.accelerator.num_processes == 1:
            return signalled
        if self.step % self.suite.run.log_every:
            return False
        votes = torch.tensor(float(signalled), device=self.accelerator.device)
        return bool(self.accelerator.reduce(votes, "sum"))


def _averaged(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """By name, all that is averaged over steps: weights, and the batch-norm statistics that go with them."""
    yield from network.named_parameters()
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm):
            yield from ((f"{name}.{key}", value) for key, value in module.named_buffers() if value.is_floating_point())


class MicroBatch:
    """Some rows of this process's share of a step: what all phases see of them, and what these hand on to one another."""

    def __init__(self, trainer: Trainer, batch: Batch, first: int, last: int) -> None:
        self.trainer, self.batch, self.carry = trainer, batch.rows(first, last), dict[str, Any]()
        self.rows = range(trainer.rows.start + first, trainer.rows.start + first + len(self.batch))
        self.seen: Any = None

    def __len__(self) -> int:
        return len(self.batch)

    def losses(self, phase: Phase) -> dict[str, Tensor]:
        """A phase's mean losses over these rows. The first phase draws on where looking at the batch stopped, the others from
        streams of their own.
        """
        trainer, model, opening = self.trainer, self.trainer.model, phase == self.trainer.model.phases[0]
        names = () if opening else (phase.name,)
        draws = self.draws(*names)
        if opening:
            with torch.no_grad():
                self.seen = model.look(self.batch, draws)
        torch.manual_seed(seed_of("dropout", trainer.seed, trainer.step, phase.name, self.rows.start))  # which draws from there
        return dict(model.losses(phase.name, self.seen, draws, self.carry))

    def draws(self, *names: str) -> list[Stream]:
        """Streams of random numbers for these rows at this step."""
        trainer = self.trainer
        return noise(
            trainer.accelerator.device, trainer.seed, trainer.step, self.rows, trainer.batch_size, trainer.augmentation, *names
        )


def sum_of(losses: list[Tensor]) -> Tensor:
    """The sum of losses; one alone stays itself."""
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return total


def prepare(model: Method, run: RunSettings, accelerator: Accelerator) -> None:
    """Move a model to its device, laid out and compiled as `run` says; where the precision is bf16, networks and the autoencoder
    compute in it, and what networks give is float32 again. SemFlowError if batch-norm statistics cannot be shared by processes.
    """
    device, bf16 = accelerator.device, accelerator.mixed_precision == "bf16"
    model.beside.to(device)
    for frozen in model.beside:
        if isinstance(frozen, Autoencoder):
            frozen.precision = "bf16" if bf16 else "fp32"
    for key, network in model.networks.items():
        if accelerator.num_processes > 1 and any(isinstance(m, _BatchNorm) for m in network.modules()):
            if device.type != "cuda":
                raise SemFlowError("batch-norm statistics are shared by processes on GPUs alone; train with one process")
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        if run.activation_checkpointing:
            network.checkpoint_activations()
        if run.compile:  # in place: names of weights stay as they are
            network.compile(dynamic=False)
        model.networks[key] = accelerator.prepare_model(network, evaluation_mode=True)  # no wrapper: `sum_gradients` is ours
    if run.channels_last:
        for part in (model.networks, model.beside):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # of which PyTorch's types do not know
    if run.compile:
        torch.use_deterministic_algorithms(True, warn_only=True)  # the compiler's kernels too
        for module in (part for name, part in model.beside.named_modules() if name.endswith("vae.encoder")):
            module.compile(dynamic=False)


def augmentation_of(suite: Suite) -> Augmentation:
    """What is chosen at random for every view of a training image."""
    return Augmentation(suite.training.flip, suite.data.cropped, suite.training.cached_perturbations)


def make_accelerator(suite: Suite) -> Accelerator:
    """accelerate on the device asked for; bf16 only where the device has it. SemFlowError if the device is missing."""
    device = devices.pick(suite.run.device)
    precision = "bf16" if suite.training.precision == "bf16" and devices.has_bf16(device) else "no"
    patient = InitProcessGroupKwargs(timeout=timedelta(hours=24))  # latents may be encoded while the other processes wait
    return Accelerator(cpu=device.type == "cpu", mixed_precision=precision, kwargs_handlers=[patient])


def training_batches(dataset: Dataset, trainer: Trainer, cache: Path = FOLDER, stop: Stop = lambda: False) -> Iterator[Batch]:
    """This process's share of every step that is left. cache: folder for latents.  stop: whether to end as they are encoded."""
    span = (trainer.seed, trainer.step, trainer.steps)
    steps = Steps(len(dataset), trainer.batch_size, *span, trainer.augmentation, trainer.rank)
    images = training_set(dataset, trainer.suite, trainer.method, trainer.model, trainer.accelerator, cache, stop)
    return load(images, steps, trainer.suite.run.workers, trainer.accelerator.device.type == "cuda")


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
