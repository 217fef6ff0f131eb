"""A method added to a copy of the tree: one folder, one line in the registry, one suite; nothing else is touched."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from copies import REPOSITORY, copy_of_the_packages, python, register, run
from safetensors import safe_open
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
SUITE = {
    "base": "smoke.yaml",
    "suite": "toy",
    "training": {"steps": 40, "batch_size": 8},
    "run": {"checkpoint_every": 3},
    "methods": {"toy_gan": {"width": 8, "batch_size": 4, "generator": {"lr": 1.0e-3}, "discriminator": {"betas": [0.0, 0.9]}}},
    "runs": [
        {"method": "toy_gan", "task": "synthesis", "sampler": "direct", "seeds": [0, 1]},
        {"method": "semflow", "task": "synthesis", "sampler": "euler", "steps": [25]},
    ],
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The packages and suites, with the toy added."""
    copy = copy_of_the_packages(tmp_path_factory.mktemp("copy"))
    shutil.copytree(HERE / "toy_gan", copy / "baselines/toy_gan", ignore=shutil.ignore_patterns("__pycache__"))
    register(copy / "baselines/__init__.py", "dsm", "toy_gan")
    (copy / "config/toy.yaml").write_text(yaml.safe_dump(SUITE))
    return copy


TOY = ("--config", "config/toy.yaml", "--method", "toy_gan")


def step_of(state: Path) -> int:
    with safe_open(state, framework="pt") as file:
        return int(file.metadata()["step"])


@pytest.fixture(scope="module")
def trained(copy) -> Path:
    python(copy, "-m", "semflow", "train", *TOY, "--state", "state", "--out", "checkpoint")
    return copy


@pytest.mark.slow
def test_it_is_killed_and_resumed_to_the_bit(trained, start):
    words = ["-m", "semflow", "train", *TOY, "--state", "cut", "--out", "again"]
    process = start(
        [sys.executable, *words], cwd=trained, env=os.environ | {"PYTHONPATH": str(trained)}, stderr=subprocess.PIPE, text=True
    )
    state = trained / "cut/state.safetensors"
    while process.poll() is None and not (state.exists() and step_of(state)):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 0 < step_of(state) < 80
    python(trained, *words)
    for one, other in (("cut/state.safetensors", "state/state.safetensors"), ("again", "checkpoint")):
        name = "" if one.endswith("s") else "diffusion_pytorch_model.safetensors"
        resumed, whole = load_file(trained / one / name), load_file(trained / other / name)
        assert resumed.keys() == whole.keys()
        assert [key for key in whole if not resumed[key].equal(whole[key])] == []


@pytest.mark.slow
def test_it_is_evaluated_and_appears_in_the_tables(trained):
    for seed in (0, 1):
        out = f"r{seed}.json"
        python(trained, "-m", "semflow", "evaluate", *TOY, "--task", "synthesis", "--sampler", "direct",
               "--checkpoint", "checkpoint", "--sampling-seed", seed, "--out", out)  # fmt: skip
    record = json.loads((trained / "r0.json").read_text())
    assert (record["method"], record["sampler"], record["steps"], record["evaluations"]) == ("toy_gan", "direct", 0, 1)
    assert record["budget"]["images_seen"] == 40 * 8
    assert record["budget"]["optimizer_steps"] == 2 * 40 * 2
    python(trained, "-m", "semflow", "report", "table1", "--records", "r0.json", "r1.json", "--out", "t.csv", "t.md")
    rows = pd.read_csv(trained / "t.csv")
    assert {"frechet_efficientnet_lite0", "mmd2_efficientnet_lite0"} <= set(rows[rows.method == "toy_gan"].metric)
    assert "| Toy GAN |" in (trained / "t.md").read_text()


@pytest.mark.slow
def test_commands_and_plans_know_it(copy):
    assert "toy_gan" in python(copy, "-m", "semflow", "train", "--help")
    done = run(copy, "-m", "semflow", "plan", "--config", "config/toy.yaml")
    assert done.returncode == 0, done.stderr
    assert "train toy_gan" in done.stdout or "Toy GAN" in done.stdout
    wrong = run(copy, "-m", "semflow", "evaluate", *TOY, "--sampler", "direct", "--checkpoint", "c", "--out", "r.json")
    assert wrong.returncode == 2
    assert "Toy GAN cannot do segmentation; it does synthesis" in wrong.stderr


KEYS = """
from semflow.suite import keys, reading, runs
suite = reading.load("config/smoke.yaml")
for method in suite.methods:
    print(keys.weights_key(suite, method, 0))
for evaluation in runs.evaluations(suite):
    print(keys.scores_key(suite, evaluation))
"""


def test_it_makes_no_other_training_and_no_other_record_stale(copy):
    assert python(copy, "-c", KEYS) == python(REPOSITORY, "-c", KEYS)
