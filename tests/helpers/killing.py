"""Work killed at random moments and started again, in processes forked from one that has imported everything.

python killing.py KIND PLACE KILLS: PLACE has what the work needs; says as JSON how often it was killed and how often it ended.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from semflow.evaluation.measuring import evaluate_all
from semflow.files import file_hash
from semflow.loading import latents
from semflow.suite import reading, runs
from semflow.tools.prepare import prepare
from semflow.training.checkpoints import STATE
from semflow.training.loop import train

Facts = dict[str, Any]  # of files, by name


class Work(NamedTuple):
    """run: in a folder, which it may find half done.  done: what of it is done for good, by name.  product: what must be the same
    bits in the end."""

    run: Callable[[Path], object]
    done: Callable[[Path], Facts]
    product: Callable[[Path], Facts]


def _suite(folder: Path) -> Any:
    return reading.load(folder.parent / "suite.json")


def _hashes(folder: Path, *patterns: str) -> Facts:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    whole = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return {str(path.relative_to(folder)): file_hash(path) for path in whole}


def _train(folder: Path) -> None:
    train(_suite(folder), "semflow", 0, folder / "state", folder / "out")


def _steps(folder: Path) -> Facts:
    if not (folder / "state" / STATE).exists():
        return {}
    with safe_open(folder / "state" / STATE, framework="pt") as file:
        return {f"step {step}": True for step in range(int(json.loads(file.metadata()["step"])) + 1)}


def _weights(folder: Path) -> Facts:
    state = {name: value.numpy().tobytes() for name, value in load_file(folder / "state" / STATE).items()}
    return _hashes(folder, "out/*.safetensors") | state


def _evaluate(folder: Path) -> None:
    suite = _suite(folder)
    wanted = [one for one in runs.evaluations(suite) if one.method == "semflow"]
    places = {one: folder / runs.record_path(one, suite) for one in wanted}
    evaluate_all(suite, places, folder.parent / "checkpoint", folder / "store", folder / "features")


def _records(folder: Path) -> Facts:
    arrays, records = _hashes(folder, "results/**/*.npz"), {}
    for path in folder.glob("results/**/*.json"):
        record = json.loads(path.read_text())
        timed = {name: value for name, value in record["provenance"].items() if name not in ("wall_s", "images_per_s", "command")}
        records[str(path.relative_to(folder))] = record | {"provenance": timed}
    return arrays | records


def _encode(folder: Path) -> None:
    latents.SHARD, latents.AT_ONCE = 4, 2
    os.chdir(folder)
    _train(folder)


WORKS = {
    "training": Work(_train, _steps, _weights),
    "evaluation": Work(_evaluate, lambda folder: _hashes(folder, "store/**/*.json", "store/**/*.npz"), _records),
    "latents": Work(
        _encode,
        lambda folder: _hashes(folder, "results/latents/*/*.sha256"),
        lambda folder: _hashes(folder, "results/latents/*/*", "out/*.safetensors"),
    ),
    "prepare": Work(
        lambda folder: prepare("celebamask_hq", folder),
        lambda folder: _hashes(folder, "**/*.png", "**/*.jpg", "**/*.txt"),
        lambda folder: _hashes(folder, "**/*"),
    ),
}


def _forked(run: Callable[[Path], object], folder: Path) -> int:
    """The process that does a work in a folder."""
    if process := os.fork():
        return process
    status = 1
    try:
        torch.set_num_threads(1)
        run(folder)
        status = 0
    finally:
        os._exit(status)


def campaign(kind: str, place: Path, kills: int) -> dict[str, float]:
    """Kill a work so often, at moments spread over its length, and compare with one that was left alone. AssertionError if
    anything that was done is lost, or the bits are others.
    """
    work, moments = WORKS[kind], random.Random(0)

    def begun(name: str) -> Path:
        if (place / "given").is_dir():
            shutil.copytree(place / "given", place / name)
        else:
            (place / name).mkdir()
        return place / name

    started = time.monotonic()
    whole = begun("whole")
    assert os.waitpid(_forked(work.run, whole), 0)[1] == 0
    length, wanted = time.monotonic() - started, work.product(whole)
    assert wanted
    killed, ended, done, cut = 0, 0, Facts(), begun("cut")
    while killed < kills:
        process = _forked(work.run, cut)
        time.sleep(length * moments.uniform(0.05, 0.8))
        os.kill(process, signal.SIGKILL)
        status = os.waitpid(process, 0)[1]
        if os.WIFSIGNALED(status):
            killed += 1
            now = work.done(cut)
            assert {name: now.get(name) for name in done} == done, f"lost after {killed} kills"
            done = now
        else:
            assert os.WEXITSTATUS(status) == 0
            assert work.product(cut) == wanted
            ended, done = ended + 1, Facts()
            shutil.rmtree(cut)
            begun("cut")
    assert os.waitpid(_forked(work.run, cut), 0)[1] == 0
    assert work.product(cut) == wanted
    return {"killed": killed, "ended": ended + 1, "length_s": length}


if __name__ == "__main__":
    print(json.dumps(campaign(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
