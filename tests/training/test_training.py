"""The loop: what it learns, what survives a kill, and how it stops."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from semflow import provenance
from semflow.data.scenes import NAMES, Scenes
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.segmentation import confusion, miou
from semflow.files import write_json
from semflow.loading import batches
from semflow.loading.pixels import to_unit_range
from semflow.method.network import WEIGHTS
from semflow.method.samplers import Sampler
from semflow.method.semflow import SemFlow
from semflow.suite import reading as config
from semflow.training import checkpoints, devices, spent
from semflow.training.build import make_model
from semflow.training.loop import Trainer, make_accelerator, train
from semflow.training.optimizers import recipe, schedule


def with_training(suite, **changes):
    return suite.model_copy(update={"training": suite.training.model_copy(update=changes)})


def with_run(suite, **changes):
    return suite.model_copy(update={"run": suite.run.model_copy(update=changes)})


def weights_of(folder: Path) -> str:
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def step_of(state: Path) -> int:
    with safe_open(state / checkpoints.STATE, framework="pt") as file:
        return int(file.metadata()["step"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "steps", "sampler"),
    [("semflow", 300, Sampler("euler", 5)), ("dsm_modified", 1200, Sampler("ddpm", 10))],  # DSM learns slowly near pure noise
)
def test_overfits_four_images(tiny_suite, tmp_path, method, steps, sampler):
    suite = tiny_suite.model_copy(
        update={
            "data": tiny_suite.data.model_copy(update={"n_train": 4}),
            "network": tiny_suite.network.model_copy(update={"block_out_channels": (32, 32)}),
        }
    )
    suite = with_training(suite, steps=steps, batch_size=4, lr=3e-3, flip=False, warmup_steps=20, ema_decay=0.95)
    train(suite, method, 0, tmp_path / "state", tmp_path / "out")
    model, _ = checkpoints.open_checkpoint(tmp_path / "out")
    images, labels = batches.Batches(Scenes(4, suite.data.size, suite.data.seed, "train", 2))[range(4)]
    with torch.inference_mode():
        predicted = model.segment(to_unit_range(images), sampler, torch.Generator().manual_seed(0))
    assert miou(confusion(predicted, labels, len(NAMES))) > 0.8


def four_scenes(suite) -> batches.Batch:
    return batches.Batch(*batches.Batches(Scenes(4, suite.data.size, 0, "train", 2))[range(4)])


def one_process(path: Path, folder: Path) -> list[Any]:
    command = [sys.executable, "-m", "semflow", "train", "--config", path, "--method", "semflow", "--threads", "1"]
    return [*command, "--state", folder / "state", "--out", folder / "out"]


def wait_for_progress(process: subprocess.Popen, state: Path, beyond: int) -> None:
    """Until the saved step is past `beyond`, or the process ends."""
    while process.poll() is None:
        if (state / checkpoints.STATE).exists() and step_of(state) > beyond:
            return
        time.sleep(0.01)


def test_a_mistake_in_a_file_is_one_sentence_from_a_worker_too(tiny_suite, tmp_path, monkeypatch):
    def spoilt(self, index):
        raise SemFlowError("0001.png is truncated; copy it again")

    monkeypatch.setattr(Scenes, "__getitem__", spoilt)
    suite = with_run(tiny_suite, workers=1, in_memory=False)
    with pytest.raises(SemFlowError) as error:
        train(suite, "semflow", 0, tmp_path / "state", tmp_path / "out")
    assert str(error.value) == "0001.png is truncated; copy it again"


def test_workers_change_no_bit(tiny_suite, tmp_path):
    for name, changes in (("here", {"workers": 0}), ("there", {"workers": 2, "in_memory": False})):
        suite = with_run(with_training(tiny_suite, steps=3), **changes)
        train(suite, "semflow", 0, tmp_path / name / "state", tmp_path / name / "out")
    assert weights_of(tmp_path / "here/out") == weights_of(tmp_path / "there/out")


@pytest.mark.slow
def test_killed_three_times_and_interrupted_once_ends_in_the_bits_of_an_uninterrupted_run(tiny_suite, tmp_path, start):
    suite = with_run(with_training(tiny_suite, steps=300, batch_size=8), checkpoint_every=7)
    path = tmp_path / "suite.json"
    write_json(path, suite.model_dump(mode="json"))
    train(suite, "semflow", 0, tmp_path / "whole/state", tmp_path / "whole/out")
    moments = random.Random(0)
    stops, step = [], 0
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        process = start(one_process(path, tmp_path / "cut"), stderr=subprocess.PIPE, text=True)
        wait_for_progress(process, tmp_path / "cut/state", step)
        time.sleep(0.15 * moments.random())
        assert process.poll() is None, "the run ended before it could be stopped"
        os.killpg(process.pid, number)
        _, said = process.communicate()
        stops.append(process.returncode)
        step = step_of(tmp_path / "cut/state")
        assert 0 < step < 300
        assert "Traceback" not in said
    assert stops == [-9, -9, 130, -9]
    process = start(one_process(path, tmp_path / "cut"), stderr=subprocess.PIPE, text=True)
    process.communicate()
    assert process.returncode == 0
    assert weights_of(tmp_path / "cut/out") == weights_of(tmp_path / "whole/out")
    cut, whole = (load_file(tmp_path / run / "state" / checkpoints.STATE) for run in ("cut", "whole"))
    assert cut.keys() == whole.keys()
    assert [name for name in cut if not cut[name].equal(whole[name])] == []


def test_same_seed_same_bits_other_seed_other_bits(tiny_suite, tmp_path):
    suite = with_training(tiny_suite, steps=3)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(suite, "dsm", seed, tmp_path / name / "state", tmp_path / name / "out")
    first, second, other = (weights_of(tmp_path / name / "out") for name in "abc")
    assert first == second != other


def test_a_loss_that_is_not_finite_stops_names_the_step_and_keeps_the_good_state(tiny_suite, tmp_path, monkeypatch):
    suite = with_run(with_training(tiny_suite, steps=9), checkpoint_every=3, log_every=100)
    whole, calls = SemFlow.losses, []

    def spoilt(self, *inputs):
        calls.append(1)
        return {name: loss * (float("inf") if len(calls) == 5 else 1.0) for name, loss in whole(self, *inputs).items()}

    monkeypatch.setattr(SemFlow, "losses", spoilt)
    with pytest.raises(SemFlowError, match=r"not finite at step 4; the last good checkpoint stays in"):
        train(suite, "semflow", 0, tmp_path / "state", tmp_path / "out")
    assert step_of(tmp_path / "state") == 3
    assert not (tmp_path / "out").exists()
    train(suite, "semflow", 0, tmp_path / "state", tmp_path / "out")
    train(suite, "semflow", 0, tmp_path / "other", tmp_path / "whole")
    assert weights_of(tmp_path / "out") == weights_of(tmp_path / "whole")


def test_finished_weights_are_the_moving_average_of_the_steps(tiny_suite, tmp_path, monkeypatch):
    suite = with_training(tiny_suite, steps=4, ema_decay=0.25)
    seen = []
    advance = Trainer.advance

    def watched(self, *batch):
        result = advance(self, *batch)
        seen.append([weight.detach().clone() for weight in self.model.network.parameters()])
        return result

    monkeypatch.setattr(Trainer, "advance", watched)
    train(suite, "semflow", 0, tmp_path / "state", tmp_path / "out")
    average = seen[0]  # diffusers' average starts at the first step, then decays by min((1 + n) / (10 + n), decay)
    for n, weights in enumerate(seen[1:], 1):
        decay = min((1 + n) / (10 + n), 0.25)
        average = [decay * old + (1 - decay) * new for old, new in zip(average, weights, strict=True)]
    model, _ = checkpoints.open_checkpoint(tmp_path / "out")
    for ours, by_hand in zip(model.network.parameters(), average, strict=True):
        torch.testing.assert_close(ours, by_hand)


@pytest.fixture
def fresh_accelerator():
    """accelerate keeps one precision a process; forget it before and after."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("fresh_accelerator")
def test_bf16_computes_in_bf16_and_keeps_weights_and_times_in_float32(tiny_suite, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "has_bf16", lambda device: True)
    suite = with_training(tiny_suite, precision="bf16")
    trainer = Trainer(make_accelerator(suite), suite, "semflow", 0, tmp_path)
    network, seen = trainer.model.network, {}
    network.register_forward_pre_hook(lambda _, inputs: seen.update(t=inputs[1].dtype))
    network.unet.conv_in.register_forward_hook(lambda _, inputs, output: seen.update(features=output.dtype))
    loss = trainer.advance(four_scenes(suite))["loss"]
    assert seen == {"t": torch.float32, "features": torch.bfloat16}
    assert loss.isfinite()
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}


@pytest.mark.usefixtures("fresh_accelerator")
def test_bf16_leaves_latents_and_noise_levels_in_float32(tiny, kl_section, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "has_bf16", lambda device: True)
    tiny["autoencoder"] = kl_section
    suite = with_training(config.check(tiny, "tiny"), precision="bf16")
    trainer = Trainer(make_accelerator(suite), suite, "dsm_modified", 0, tmp_path)
    encode, seen = trainer.model.autoencoder.encode, []

    def watched(*inputs):
        seen.append(encode(*inputs))
        return seen[-1]

    trainer.model.autoencoder.encode = watched
    trainer.advance(four_scenes(suite))
    assert [latents.dtype for latents in seen] == [torch.float32] * 2
    assert trainer.model.weight(torch.tensor(5), torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32


def trained_in_two(suite, folder, first: int, then: int):
    """The losses of a training that stops after some steps and goes on from its state, and what its card says that it took."""
    losses = []
    for steps in (first, then):
        trainer = Trainer(make_accelerator(suite), suite, "semflow", 0, folder)
        losses += [trainer.advance(four_scenes(suite))["loss"].item() for _ in range(steps)]
        trainer.save()
    trainer.export(folder / "out")
    return losses, checkpoints.read_card(folder / "out").budget


def test_a_finished_training_says_its_first_losses_though_it_was_interrupted(tiny_suite, tmp_path, monkeypatch):
    monkeypatch.setattr("semflow.training.loop.FIRST", 3)
    suite = with_run(with_training(tiny_suite, steps=4, batch_size=4), checkpoint_every=100)
    losses, budget = trained_in_two(suite, tmp_path, 2, 2)
    assert budget.first_losses == pytest.approx(losses[:3])


def test_a_finished_training_says_how_its_losses_fell_though_it_was_interrupted(tiny_suite, tmp_path, monkeypatch):
    for module in ("spent", "loop"):
        monkeypatch.setattr(f"semflow.training.{module}.PARTS", 2)
    suite = with_run(with_training(tiny_suite, steps=5, batch_size=4), checkpoint_every=100)
    losses, budget = trained_in_two(suite, tmp_path, 2, 3)
    assert budget.losses == {"flow": pytest.approx((sum(losses[:3]) / 3, sum(losses[3:]) / 2))}


def test_parts_without_a_step_have_no_mean_loss():
    assert spent.means({"flow": [3.0] + [0.0] * 11 + [5.0] + [0.0] * 12}, 2) == {"flow": (3, 5)}


@pytest.mark.parametrize("method", ["semflow", "dsm"])
def test_a_kl_autoencoder_trains_and_segments_in_its_latents(tiny, kl_section, tmp_path, method):
    tiny["autoencoder"] = kl_section
    suite = with_training(config.check(tiny, "tiny"), steps=2, batch_size=2)
    train(suite, method, 0, tmp_path / "state", tmp_path / "out")
    model, _ = checkpoints.open_checkpoint(tmp_path / "out")
    assert model.network.unet.config.in_channels == 5 * (2 if method == "dsm" else 1)
    images, _ = batches.Batches(Scenes(2, suite.data.size, 0, "test", 2))[range(2)]
    with torch.inference_mode():
        predicted = model.segment(
            to_unit_range(images), Sampler({"semflow": "euler", "dsm": "ddim"}[method], 2), torch.Generator()
        )
    assert predicted.shape == (2, 16, 16)


def test_gradients_are_clipped_to_the_norm_asked_for(tiny_suite, tmp_path):
    suite = with_training(tiny_suite, grad_clip=1e-3)
    trainer = Trainer(make_accelerator(suite), suite, "dsm", 0, tmp_path)
    norms = []
    trainer.turns[0].optimizer.register_step_pre_hook(
        lambda optimizer, *_: norms.append(
            torch.cat([weight.grad.flatten() for group in optimizer.param_groups for weight in group["params"]]).norm().item()
        )
    )
    before = trainer.advance(four_scenes(suite))["grad_norm"]
    assert before > 1e-3
    assert norms == [pytest.approx(1e-3, rel=1e-3)]


def test_scalars_go_to_tensorboard(tiny_suite, tmp_path):
    train(with_run(with_training(tiny_suite, steps=4), log_every=2), "semflow", 0, tmp_path / "state", tmp_path / "out")
    (folder,) = {path.parent for path in (tmp_path / "state").rglob("events.out.tfevents*")}
    events = EventAccumulator(str(folder)).Reload()
    assert {"loss", "grad_norm", "lr", "images_per_s"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [2, 4]


def test_a_log_that_cannot_be_written_ends_the_training_with_a_sentence_about_it(tiny_suite, tmp_path):
    suite = with_run(with_training(tiny_suite, steps=2), log_every=1)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / f"{suite.suite}-semflow-seed0").touch()
    with pytest.raises(SemFlowError, match=r"cannot write .*events.out.tfevents.*; free space or permission"):
        train(suite, "semflow", 0, tmp_path / "state", tmp_path / "out")


def test_two_processes_never_train_in_one_folder(tiny_suite, tmp_path):
    with (
        checkpoints.only_trainer(tmp_path / "state"),
        pytest.raises(SemFlowError, match="another process is training in"),
    ):
        train(tiny_suite, "semflow", 0, tmp_path / "state", tmp_path / "out")


def test_a_state_that_is_no_folder_is_named(tiny_suite, tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(SemFlowError, match=str(tmp_path / "state")):
        train(tiny_suite, "semflow", 0, tmp_path / "state", tmp_path / "out")


def test_a_device_that_is_missing_is_named(tiny_suite, tmp_path):
    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(SemFlowError, match=f"run.device is {missing}"):
        train(with_run(tiny_suite, device=missing), "semflow", 0, tmp_path / "state", tmp_path / "out")


@pytest.mark.parametrize("change", [{"seed": 1}, {"method": "dsm"}, {"lr": 0.5}], ids=str)
def test_state_of_another_training_is_refused_with_the_mend(tiny_suite, tmp_path, change):
    suite = with_training(tiny_suite, steps=1)
    train(suite, "semflow", 0, tmp_path / "state", tmp_path / "out")
    other = with_training(suite, lr=change.get("lr", suite.training.lr))
    with pytest.raises(SemFlowError, match="other settings, seed, code or package versions; give"):
        train(other, change.get("method", "semflow"), change.get("seed", 0), tmp_path / "state", tmp_path / "out")


def test_state_made_with_other_package_versions_is_refused(tiny_suite, tmp_path, monkeypatch):
    suite = with_training(tiny_suite, steps=1)
    train(suite, "semflow", 0, tmp_path / "state", tmp_path / "out")
    monkeypatch.setattr(provenance, "versions", lambda: {"torch": "0"})
    with pytest.raises(SemFlowError, match="package versions"):
        train(suite, "semflow", 0, tmp_path / "state", tmp_path / "out")


def test_truncated_state_is_refused_with_the_mend(tiny_suite, tmp_path):
    train(with_training(tiny_suite, steps=1), "semflow", 0, tmp_path / "state", tmp_path / "out")
    path = tmp_path / "state" / checkpoints.STATE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SemFlowError, match="damaged"):
        train(tiny_suite, "semflow", 0, tmp_path / "state", tmp_path / "out")


@pytest.mark.parametrize(("name", "value"), [("first_losses", "1"), ("first_losses", "{}"), ("step", '"x"'), ("sums", "[1]")])
def test_a_state_that_says_what_cannot_be_is_refused_with_the_mend(tiny_suite, tmp_path, name, value):
    networks = make_model(tiny_suite, "semflow").networks
    checkpoints.save_state(tmp_path, "key", spent.Spent(), networks, [], None)
    path = tmp_path / checkpoints.STATE
    with safe_open(path, framework="pt") as file:
        said = file.metadata() | {name: value}
    save_file(load_file(path), path, said)
    with pytest.raises(SemFlowError, match=r"state\.safetensors .*delete it to start again"):
        checkpoints.load_state(tmp_path, "key", networks, [], None)


@pytest.mark.parametrize(
    ("name", "middle", "last"),
    [
        ("constant", 1.0, 1.0),
        ("linear", 0.5, 0.0),
        ("half_linear", 100 / 110, 0.0),
        ("cosine", 0.5, 0.0),
        ("poly", 0.5**0.9, 0.0),
    ],
    ids=lambda value: str(value),
)
def test_schedule_warms_up_then_follows_its_name(tiny_suite, name, middle, last):
    suite = with_training(tiny_suite, lr=2.0, lr_schedule=name, warmup_steps=10, steps=110)
    rate = schedule(recipe(suite, "semflow", "flow"))
    assert rate(0) == pytest.approx(0.2)
    assert rate(10) == pytest.approx(2.0)
    assert rate(60) == pytest.approx(2.0 * middle)
    assert rate(110) == pytest.approx(2.0 * last, abs=1e-9)
