"""Processes killed at any moment: nothing that was done is lost, and in the end the bits are those of one that was left alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from preparing import archives_of

from semflow.files import write_json
from semflow.suite import reading
from semflow.training import checkpoints
from semflow.training.build import make_model

SCRIPT = Path(__file__).resolve().parents[1] / "helpers/killing.py"
KILLS = 20


def killed(kind: str, place: Path) -> dict[str, float]:
    """What became of a work that was killed so often."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, SCRIPT, kind, place, str(KILLS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_training_killed_twenty_times_loses_no_step_and_ends_in_the_same_bits(tiny, tmp_path):
    tiny["training"] |= {"steps": 24, "batch_size": 4}
    tiny["run"] |= {"checkpoint_every": 2, "device": "cpu"}
    write_json(tmp_path / "suite.json", tiny)
    assert killed("training", tmp_path)["killed"] == KILLS


@pytest.mark.slow
def test_an_evaluation_killed_twenty_times_loses_no_record_and_ends_in_the_same_bits(tiny, tmp_path):
    tiny["run"] |= {"device": "cpu"}
    tiny["runs"] = [
        {"method": "semflow", "task": "segmentation", "sampler": "euler", "steps": [1, 2, 3]},
        {"method": "semflow", "task": "synthesis", "sampler": "euler", "steps": [1]},
    ]
    suite = reading.check(tiny, "tiny")
    write_json(tmp_path / "suite.json", tiny)
    checkpoints.export(tmp_path / "checkpoint", suite, "semflow", 0, make_model(suite, "semflow"))
    assert killed("evaluation", tmp_path)["killed"] == KILLS


@pytest.mark.slow
def test_an_encoding_of_latents_killed_twenty_times_loses_no_shard_and_ends_in_the_same_bits(tiny, kl_section, tmp_path):
    tiny["autoencoder"] = kl_section
    tiny["data"]["n_train"] = 24
    tiny["training"] |= {"steps": 1, "batch_size": 4, "cached_perturbations": 2}
    tiny["run"] |= {"cache_latents": True, "device": "cpu"}
    write_json(tmp_path / "suite.json", tiny)
    assert killed("latents", tmp_path)["killed"] == KILLS


@pytest.mark.slow
def test_a_preparation_killed_twenty_times_loses_no_file_and_ends_in_the_same_bits(tmp_path):
    archives_of("celebamask_hq", tmp_path).rename(tmp_path / "given")
    assert killed("prepare", tmp_path)["killed"] == KILLS
