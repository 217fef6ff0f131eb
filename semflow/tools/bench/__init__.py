"""Speed of our loops: against a plain loop, against the least work that they could do, against what feeds them.

Sides are measured in turn on the same machine, so that a noisy one is noisy to all; on an accelerator, whose memory may hold
one network alone, one after the other.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map_only

from baselines import METHODS
from semflow import published
from semflow.data import info_of, open_dataset, scenes
from semflow.loading.batches import Batch, in_memory
from semflow.method.contract import DOES
from semflow.method.samplers import Sampler
from semflow.seeds import generator
from semflow.suite import Suite
from semflow.tools.bench.plain import PlainLoop
from semflow.training import devices
from semflow.training.budget import training_flops
from semflow.training.build import make_model, place, unpretrained
from semflow.training.loop import Trainer, make_accelerator, training_batches
from semflow.training.optimizers import length

STEPS = 10  # of training a repeat
SAMPLER_STEPS = 25  # the paper's number
MATMUL = {"cpu": 2048, "cuda": 16384, "mps": 4096}  # side of a matrix product that shows what a device can do
ENOUGH = 64  # batches that are loaded a repeat

Side = Callable[[], None]


class Call(NamedTuple):
    """Of a network, with its arguments; learning: whether a gradient was to come back through it."""

    network: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    learning: bool

    def again(self) -> Any:
        with torch.set_grad_enabled(self.learning):
            return self.network(*self.args, **self.kwargs)


class Bench(NamedTuple):
    """What was measured: lines for people, numbers for `semflow plan`."""

    text: str
    numbers: dict[str, Any]


def synthetic(suite: Suite) -> Suite:
    """The suite with drawn scenes of its size in place of files and with random weights, to measure speed alone."""
    n_train = max(2 * suite.training.batch_size, 64)
    drawn = scenes.Settings(name="scenes", version=2, size=suite.data.size, n_train=n_train, n_test=4, seed=0)
    return unpretrained(suite).model_copy(update={"data": drawn, "run": suite.run.model_copy(update={"in_memory": True})})


def train(suite: Suite, method: str, repeats: int) -> Bench:
    """The training loop against the bare steps of the same networks, and for the paper's method against a plain loop."""
    suite = _with_steps(suite, STEPS * (repeats + 2))
    with tempfile.TemporaryDirectory() as state:
        accelerator = make_accelerator(suite)
        device, bf16 = accelerator.device, accelerator.mixed_precision == "bf16"
        seen: dict[str, Any] = {}

        def ours() -> Side:
            trainer = seen["trainer"] = Trainer(accelerator, suite, method, 0, Path(state))
            batches = training_batches(open_dataset(suite.data, "train"), trainer, Path(state))
            seen["batch"], progress = next(batches), trainer.progress("bench")

            def loop() -> None:
                for _ in range(STEPS):
                    scalars = trainer.advance(next(batches))
                    progress.update(trainer.batch_size)
                trainer.log(scalars, progress)
                seen["micro_batch"] = trainer.micro_batch

            return loop

        def plain() -> Side:
            dataset: Any = open_dataset(suite.data, "train")
            held = in_memory(dataset, "load training images") if suite.run.in_memory else dataset
            script = _plain_loop(suite, held, device, bf16, seen.get("micro_batch") or suite.training.batch_size)

            def loop() -> None:
                for _ in range(STEPS):
                    script.step()

            return loop

        def matmul() -> Side:
            if device.type != "cpu":  # two networks of full size may not fit side by side
                seen.pop("trainer")
                accelerator.free_memory()
            return _matmul(device, bf16)

        def bare() -> Side:
            trainer = Trainer(accelerator, suite, method, 0, Path(state) / "bare")
            trainer.micro_batch, trainer.fits = seen.get("micro_batch", trainer.micro_batch), True
            return _bare_steps(trainer, seen["batch"])

        sides = {"loop": ours, "saving": lambda: seen["trainer"].save, "matmul": matmul}
        sides |= {"plain": plain} if method == published.subject() else {}
        sides |= {"bare": bare}
        seconds = _measured(sides, repeats, device, seen.setdefault("peak_gib", {}))
    _, batch_size = length(suite, method)
    return _report(suite, batch_size, training_flops(suite, method), seconds, seen, device)


def load(suite: Suite, method: str, repeats: int) -> Bench:
    """What the loaders give against what the training step eats."""
    suite = _with_steps(suite, 1000 * ENOUGH * (repeats + 2))
    with tempfile.TemporaryDirectory() as state:
        trainer = Trainer(make_accelerator(suite), suite, method, 0, Path(state))
        batches = training_batches(open_dataset(suite.data, "train"), trainer, Path(state))
        batch = next(batches)

        def loading() -> None:
            for _ in range(ENOUGH):
                next(batches)

        def eating() -> None:
            for _ in range(STEPS):
                trainer.advance(batch)

        seconds = _measured({"load": lambda: loading, "eat": lambda: eating}, repeats, trainer.accelerator.device)
    size = trainer.batch_size
    given, eaten = (n * size / statistics.median(seconds[name]) for n, name in ((ENOUGH, "load"), (STEPS, "eat")))
    lines = [
        f"loaders        {given:8.1f} images/s with {suite.run.workers} workers (median of {repeats})",
        f"training step  {eaten:8.1f} images/s on a batch at hand: the loaders give {given / eaten:.2f} of it",
    ]
    return Bench("\n".join(lines), {"loaded_per_s": given, "eaten_per_s": eaten})


def sample(suite: Suite, method: str, repeats: int) -> Bench:
    """A sampler against the bare calls of the networks that it makes."""
    model, card, size = make_model(suite, method), METHODS[method], suite.evaluation.batch_size
    device = place(model, devices.pick(suite.run.device))
    task, known_by = next(iter(card.default.items()))
    sampler = Sampler.parse(known_by)
    sampler = sampler._replace(steps=SAMPLER_STEPS) if sampler.steps else sampler
    if task == "segmentation":
        inputs = torch.rand(size, 3, *suite.data.size, device=device) * 2 - 1
    else:
        inputs = torch.randint(len(info_of(suite.data).names), (size, *suite.data.size), dtype=torch.uint8, device=device)

    @torch.inference_mode()
    def sampling() -> None:
        getattr(model, DOES[task])(inputs, sampler, generator(device, "bench"))

    with _recorded([model.networks[key] for key in model.sampling]) as calls:
        sampling()

    @torch.inference_mode()
    def bare() -> None:
        for call in calls:
            call.network(*call.args, **call.kwargs)

    seconds = _measured({"sampler": lambda: sampling, "bare": lambda: bare}, repeats, device)
    sampling_s, bare_s = (statistics.median(times) for times in seconds.values())
    lines = [
        f"sampler        {size / sampling_s:8.2f} images/s with {sampler} (median of {repeats})",
        f"bare forwards  {size / bare_s:8.2f} images/s: the sampler reaches {_faster(seconds, 'sampler', 'bare'):.2f} of it",
    ]
    return Bench("\n".join(lines), {"images_per_s": size / sampling_s})


def _with_steps(suite: Suite, steps: int) -> Suite:
    return suite.model_copy(update={"training": suite.training.model_copy(update={"steps": steps})})


def _report(
    suite: Suite, batch_size: int, flops: int, seconds: dict[str, list[float]], seen: dict[str, Any], device: torch.device
) -> Bench:
    """Lines and numbers of what was measured. flops: of an image in our loop.  seen: how many images were taken at once, and
    what memory that held.
    """
    micro_batch = seen["micro_batch"]
    median = {name: statistics.median(times) for name, times in seconds.items()}
    n_images = STEPS * batch_size
    side = MATMUL[device.type]
    achieved, best = n_images * flops / median["loop"], 2 * side**3 / median["matmul"]
    saving = median["saving"] / (suite.run.checkpoint_every / STEPS * median["loop"])
    repeats, rate, bare = len(seconds["loop"]), n_images / median["loop"], _faster(seconds, "loop", "bare")
    lines = [
        f"training loop  {rate:8.1f} images/s (median of {repeats}), and {saving:.1%} more for saving the state",
        f"bare step      {n_images / median['bare']:8.1f} images/s: the loop reaches {bare:.2f} of it",
        f"arithmetic     {achieved / 1e9:8.1f} GFLOP/s, {achieved / best:.2f} of the {best / 1e9:.1f} of a product of "
        f"{side} x {side} matrices",
    ]
    numbers = {
        "suite": suite.suite,
        "size": list(suite.data.size),
        "device": devices.name_of(device),
        "images_per_s": rate,
        "flops_per_s": achieved,
        "peak_flops_per_s": best,
        "micro_batch": micro_batch,
        "of_bare": bare,
    }
    if "plain" in seconds:
        gain = numbers["times_plain"] = _faster(seconds, "loop", "plain")
        lines.insert(1, f"plain loop     {n_images / median['plain']:8.1f} images/s: ours is {gain:.2f} times as fast")
    if "loop" in seen["peak_gib"]:
        gib = numbers["peak_gib"] = seen["peak_gib"]["loop"]
        lines.append(f"memory         {gib:8.1f} GiB at most in our loop, {micro_batch} images at once")
    return Bench("\n".join(lines), numbers)


def _plain_loop(suite: Suite, dataset: Any, device: torch.device, bf16: bool, most: int) -> PlainLoop:
    """A plain loop that made its first step, with as many images at once as fit: it may need more memory than ours."""
    size = _dividing(suite.training.batch_size, most)
    script = PlainLoop(suite, dataset, device, bf16, size)
    try:
        script.step()
        return script
    except torch.OutOfMemoryError:
        if size == 1:
            raise
    del script  # the error is gone by now, and with it what its traceback kept in memory
    if device.type != "cpu":
        torch.accelerator.empty_cache()
    return _plain_loop(suite, dataset, device, bf16, size // 2)


def _bare_steps(trainer: Trainer, batch: Batch) -> Side:
    """Forward and backward of what each phase calls, of what it does not move too, on what that is called with in a real step,
    kept, and the optimizer's step: no data, no noise, no encoder, no losses, no clipping, no average.
    """
    parts, recorded = trainer.parts(batch.on(trainer.accelerator.device)), []
    for turn in trainer.turns:
        trainer.freeze_all_but(turn)
        with _recorded(list(trainer.networks.values())) as calls:
            parts[0].losses(turn.phase)
        recorded.append((turn, calls))

    def steps() -> None:
        for _ in range(STEPS):
            for turn, calls in recorded:
                trainer.freeze_all_but(turn)
                for _ in parts:
                    outputs = [one for call in calls for one in tree_leaves(call.again()) if call.learning]
                    sum(one.square().mean() for one in outputs if one.requires_grad).backward()
                turn.optimizer.step()
                turn.optimizer.zero_grad(set_to_none=True)

    return steps


def _copy(one: torch.Tensor) -> torch.Tensor:
    return one.detach().clone().requires_grad_(one.requires_grad)


@contextmanager
def _recorded(networks: list[nn.Module]) -> Iterator[list[Call]]:
    """The calls of some networks, in turn, with copies of their arguments, which want a gradient where these did."""
    calls: list[Call] = []

    def note(network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        args, kwargs = tree_map_only(torch.Tensor, _copy, (args, kwargs))
        calls.append(Call(network, args, kwargs, torch.is_grad_enabled()))

    hooks = [network.register_forward_pre_hook(note, with_kwargs=True) for network in networks]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _dividing(batch: int, most: int) -> int:
    """The largest number of images at once, of at most so many, that a batch is a multiple of."""
    return next(size for size in range(min(most, batch), 0, -1) if batch % size == 0)


def _matmul(device: torch.device, bf16: bool) -> Side:
    side = MATMUL[device.type]
    a, b = torch.rand(2, side, side, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    product = torch.empty_like(a)

    def multiply() -> None:
        torch.mm(a, b, out=product)

    return multiply


def _measured(
    sides: dict[str, Callable[[], Side]], repeats: int, device: torch.device, peak_gib: dict[str, float] | None = None
) -> dict[str, list[float]]:
    """Seconds of each side in every repeat. On a CPU all sides are made, then run in turn; elsewhere one after the other, and
    the memory that each held at most goes into `peak_gib`.
    """
    peak_gib = {} if peak_gib is None else peak_gib
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    if device.type == "cpu":
        made = {name: make() for name, make in sides.items()}
        for side in made.values():
            side()
        for _ in range(repeats):
            for name, side in made.items():
                seconds[name].append(_timed(side, device))
        return seconds
    for name, make in sides.items():
        side = make()
        side()  # which finds a micro-batch and compiles
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds[name] = [_timed(side, device) for _ in range(repeats)]
        if device.type == "cuda":
            peak_gib[name] = torch.cuda.max_memory_allocated() / 2**30
        del side
        torch.accelerator.empty_cache()
    return seconds


def _timed(side: Side, device: torch.device) -> float:
    if device.type != "cpu":
        torch.accelerator.synchronize()
    started = time.perf_counter()
    side()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - started


def _faster(seconds: dict[str, list[float]], ours: str, other: str) -> float:
    """How many times as fast one side is as another: the median of the repeats' ratios."""
    return statistics.median(theirs / own for own, theirs in zip(seconds[ours], seconds[other], strict=True))
