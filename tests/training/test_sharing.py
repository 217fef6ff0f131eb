"""One training shared: by processes, by micro-batches, by what a machine has room for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils._python_dispatch import TorchDispatchMode

from semflow.data.scenes import Scenes
from semflow.files import write_json
from semflow.loading.batches import Batch, Batches
from semflow.method.network import WEIGHTS
from semflow.method.semflow import SemFlow
from semflow.training import checkpoints
from semflow.training.loop import Trainer, make_accelerator, train


def changed(suite, **sections):
    """The suite with keys of its sections changed."""
    return suite.model_copy(update={name: getattr(suite, name).model_copy(update=keys) for name, keys in sections.items()})


def batch_of(suite, n: int) -> Batch:
    return Batch(*Batches(Scenes(n, suite.data.size, 0, "train", 2))[range(n)])


def losses_of(state: Path) -> dict[int, float]:
    """The loss at every logged step, over all that a training's runs wrote."""
    found = {}
    for folder in sorted({path.parent for path in state.rglob("events.out.tfevents*")}):
        for event in EventAccumulator(str(folder)).Reload().Scalars("loss"):
            found[event.step] = event.value
    return found


def step_of(state: Path) -> int:
    with safe_open(state / checkpoints.STATE, framework="pt") as file:
        return int(file.metadata()["step"])


def processes(n: int, path: Path, folder: Path) -> list[Any]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", n] if n > 1 else []
    options = ["--config", path, "--method", "semflow", "--threads", "1", "--state", folder / "state", "--out", folder / "out"]
    return [str(word) for word in (sys.executable, *launcher, "-m", "semflow", "train", *options)]


def weights_of(folder: Path) -> torch.Tensor:
    return torch.cat([value.flatten() for _, value in sorted(load_file(folder / WEIGHTS).items())])


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one_and_each_goes_on_where_the_other_stopped(tiny_suite, tmp_path, start):
    """At one global batch; the order of sums differs, nothing else."""
    suite = changed(
        tiny_suite, training={"steps": 60, "batch_size": 8}, run={"device": "cpu", "log_every": 1, "checkpoint_every": 5}
    )
    path = tmp_path / "suite.json"
    write_json(path, suite.model_dump(mode="json"))
    train(suite, "semflow", 0, tmp_path / "one/state", tmp_path / "one/out")
    done = start(processes(2, path, tmp_path / "two"), stderr=subprocess.PIPE, text=True)
    _, said = done.communicate(timeout=300)
    assert done.returncode == 0, said
    one, two = losses_of(tmp_path / "one/state"), losses_of(tmp_path / "two/state")
    assert list(one) == list(two) == list(range(1, 61))
    assert [two[step] for step in two] == pytest.approx([one[step] for step in one], rel=1e-3)
    assert one[60] < one[1]

    cut = start(processes(2, path, tmp_path / "cut"), stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "cut/state" / checkpoints.STATE).exists() and cut.poll() is None:
        time.sleep(0.01)
    os.kill(cut.pid, signal.SIGTERM)  # the launcher hands it on to both
    _, said = cut.communicate(timeout=60)
    assert "stopped at step" in said
    stopped = step_of(tmp_path / "cut/state")
    assert 0 < stopped < 60
    alone = start(processes(1, path, tmp_path / "cut"), stderr=subprocess.PIPE, text=True)
    _, said = alone.communicate(timeout=300)
    assert alone.returncode == 0, said
    assert f"goes on from step {stopped}" in said
    mixed = losses_of(tmp_path / "cut/state")
    assert [mixed[step] for step in sorted(mixed)] == pytest.approx([one[step] for step in one], rel=1e-3)
    for name in ("two", "cut"):
        torch.testing.assert_close(weights_of(tmp_path / name / "out"), weights_of(tmp_path / "one/out"), rtol=0, atol=2e-4)


@pytest.mark.parametrize("method", ["semflow", "dsm", "dsm_modified"])
@pytest.mark.parametrize("size", [1, 3, 16])
def test_micro_batches_give_the_gradient_of_the_whole_batch(tiny_suite, tmp_path, method, size):
    suite = changed(tiny_suite, training={"batch_size": 20})

    def gradient(micro_batch: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        other = changed(suite, run={"micro_batch": micro_batch})
        trainer = Trainer(make_accelerator(other), other, method, 0, tmp_path)
        loss = trainer.accumulate(trainer.turns[0], trainer.parts(batch_of(other, 20)))["loss"]
        return loss, torch.cat([weight.grad.flatten() for weight in trainer.model.network.parameters()])

    for parts, whole in zip(gradient(size), gradient(None), strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)


def test_a_micro_batch_is_found_by_halving_until_memory_suffices(tiny_suite, tmp_path, monkeypatch):
    suite = changed(tiny_suite, training={"batch_size": 20})
    trainer = Trainer(make_accelerator(suite), suite, "semflow", 0, tmp_path)
    whole, sizes = SemFlow.losses, []

    def narrow(self, phase, x, *more):
        sizes.append(len(x[0]))
        if len(x[0]) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole(self, phase, x, *more)

    monkeypatch.setattr(SemFlow, "losses", narrow)
    trainer.fits = False
    trainer.advance(batch_of(suite, 20))
    assert sizes == [20, 10, 5, 5, 5, 5, 5]
    assert trainer.micro_batch == 5


def test_an_error_that_is_not_memory_is_not_tried_again(tiny_suite, tmp_path, monkeypatch):
    trainer = Trainer(make_accelerator(tiny_suite), tiny_suite, "semflow", 0, tmp_path)

    def broken(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(SemFlow, "losses", broken)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        trainer.find_micro_batch(batch_of(tiny_suite, 4))


class _Looks(TorchDispatchMode):
    """Counts how often a tensor's value is read by Python, for which an accelerator would be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", ["semflow", "dsm", "dsm_modified"])
def test_a_step_reads_no_value_back(tiny_suite, tmp_path, method, monkeypatch):
    monkeypatch.setattr("semflow.method.pseudo_mask.PseudoMask.check", lambda self, labels: None)  # which looks on the CPU alone
    trainer = Trainer(make_accelerator(tiny_suite), tiny_suite, method, 0, tmp_path)
    batch = batch_of(tiny_suite, 4)
    trainer.advance(batch)
    with _Looks() as looks:
        trainer.advance(batch)
    assert looks.n == 0


@pytest.mark.parametrize("option", ["channels_last", "activation_checkpointing"])
def test_options_of_a_run_change_no_more_than_rounding(tiny_suite, tmp_path, option):
    for name, value in (("without", False), ("with", True)):
        suite = changed(tiny_suite, training={"steps": 3}, run={option: value})
        train(suite, "semflow", 0, tmp_path / name / "state", tmp_path / name / "out")
    ours, plain = weights_of(tmp_path / "with/out"), weights_of(tmp_path / "without/out")
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-4)


def test_a_state_goes_on_under_another_memory_layout(tiny_suite, tmp_path):
    whole = changed(tiny_suite, training={"steps": 4}, run={"checkpoint_every": 2, "channels_last": True})
    train(whole, "semflow", 0, tmp_path / "whole/state", tmp_path / "whole/out")
    trainer = Trainer(make_accelerator(whole), whole, "semflow", 0, tmp_path / "whole/state")
    for weight in trainer.model.network.parameters():
        moments = trainer.turns[0].optimizer.state[weight]
        assert moments["exp_avg"].stride() == weight.stride()


SHORT_OF_MEMORY = """
import os, sys
from pathlib import Path
import torch
from semflow import cli
from semflow.training.loop import MicroBatch, Trainer

whole, finish = MicroBatch.losses, Trainer.find_micro_batch

def losses(self, phase):
    if not self.trainer.fits and os.environ["RANK"] == "1" and len(self) > 2:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return whole(self, phase)

def start(self, *inputs):
    init(self, *inputs)
    self.fits = False

def find(self, batch):
    found = finish(self, batch)
    Path(__file__).with_name("found-" + os.environ["RANK"]).write_text(str(found))
    return found

init, MicroBatch.losses, Trainer.__init__, Trainer.find_micro_batch = Trainer.__init__, losses, start, find
cli.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_processes_agree_on_a_micro_batch_where_one_alone_runs_out_of_memory(tiny_suite, tmp_path, start):
    suite = changed(tiny_suite, training={"steps": 2, "batch_size": 16}, run={"device": "cpu"})
    path, script = tmp_path / "suite.json", tmp_path / "short.py"
    write_json(path, suite.model_dump(mode="json"))
    script.write_text(SHORT_OF_MEMORY)
    command = [*processes(2, path, tmp_path)]
    place = command.index("-m", 2 + command.index("torch.distributed.run"))
    done = start([*command[:place], str(script), *command[place + 2 :]], stderr=subprocess.PIPE, text=True)
    _, said = done.communicate(timeout=200)
    assert done.returncode == 0, said
    assert [(tmp_path / f"found-{rank}").read_text() for rank in (0, 1)] == ["2", "2"]


def test_without_an_average_the_last_weights_are_written_and_nothing_else_is_kept(tiny_suite, tmp_path):
    suite = changed(tiny_suite, training={"steps": 2, "ema_decay": 0})
    train(suite, "semflow", 0, tmp_path / "state", tmp_path / "out")
    state = load_file(tmp_path / "state" / checkpoints.STATE)
    assert not [name for name in state if name.startswith("ema.")]
    last = load_file(tmp_path / "out" / WEIGHTS)
    assert all(torch.equal(last[name], state[f"networks.unet.unet.{name}"]) for name in last)
    more = changed(suite, training={"steps": 2})
    train(more, "semflow", 0, tmp_path / "state", tmp_path / "again")
    assert torch.equal(weights_of(tmp_path / "again"), weights_of(tmp_path / "out"))
