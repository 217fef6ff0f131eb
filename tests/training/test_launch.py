"""Jobs side by side take different GPUs; one command becomes several processes and ends as one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import safe_open

from semflow.errors import SemFlowError
from semflow.files import write_json
from semflow.training import checkpoints, launch

CLAIM = """
import os, sys, time
from semflow.training import launch
launch.claim_gpus(int(sys.argv[1]))
assert "torch" not in sys.modules
print(os.environ.get("CUDA_VISIBLE_DEVICES", "none"), flush=True)
time.sleep(600 if sys.argv[2:] else 0)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with three GPUs, as far as can be told from the outside; returns a way to change its variables."""

    def change(**variables: str | None) -> None:
        for name, value in variables.items():
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)

    nothing = dict.fromkeys(
        ("SLURM_JOB_ID", "SLURM_JOB_NUM_NODES", "WORLD_SIZE", launch.CLAIMED, launch.LAUNCHED, launch.MEETING)
    )
    change(**nothing, CUDA_VISIBLE_DEVICES="0,1,2", TMPDIR=str(tmp_path), PATH=str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return change


@pytest.fixture
def hold(start):
    """Starts a process that claims `n` GPUs and keeps them; returns it and what it claimed."""

    def claim(n: int = 1) -> tuple[subprocess.Popen, set[str]]:
        process = start([sys.executable, "-c", CLAIM, str(n), "stay"], stdout=subprocess.PIPE, text=True)
        return process, set(process.stdout.readline().strip().split(","))

    return claim


def claimed(n: int = 1) -> str:
    """What a process that ends at once claims."""
    return subprocess.run([sys.executable, "-c", CLAIM, str(n)], capture_output=True, text=True, check=True).stdout.strip()


def test_three_jobs_side_by_side_take_three_gpus(machine, hold):
    taken = [hold()[1] for _ in range(3)]
    assert all(len(gpus) == 1 for gpus in taken)
    assert set.union(*taken) == {"0", "1", "2"}


def test_a_gpu_is_free_again_when_its_job_is_killed(machine, hold):
    _, first = hold(2)
    other, second = hold()
    assert first | second == {"0", "1", "2"}
    other.kill()
    other.wait()
    assert {claimed()} == second


def test_a_job_waits_while_all_gpus_are_held_and_says_so(machine, hold, start):
    holder, _ = hold(2)
    waiting = start([sys.executable, "-c", CLAIM, "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "waits for 2 of the GPUs 0, 1, 2" in waiting.stderr.readline()
    assert claimed() == "2"  # and holds none meanwhile
    holder.kill()
    holder.wait()
    assert waiting.communicate(timeout=30)[0].strip() == "0,1"


def test_processes_of_a_job_that_has_its_gpus_do_not_claim_again(machine, hold):
    machine(CUDA_VISIBLE_DEVICES="0")
    hold()
    machine(SEMFLOW_CLAIMED_GPUS="0")
    assert claimed() == "0"


def test_jobs_of_slurm_do_not_wait_for_each_other_since_each_numbers_its_gpus_from_0(machine, hold):
    machine(CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID="7")
    hold()
    machine(SLURM_JOB_ID="8")
    assert claimed() == "0"


def test_gpus_are_those_that_nvidia_smi_lists_where_nothing_else_says_so(machine, tmp_path, hold):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho '0, GPU-aa'\necho '1, GPU-bb'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    machine(CUDA_VISIBLE_DEVICES=None, PATH=f"{tmp_path}:/bin:/usr/bin")
    assert hold()[1] == {"GPU-aa"}
    machine(CUDA_VISIBLE_DEVICES="0,1")  # the same two by their numbers
    assert claimed() == "1"


@pytest.mark.parametrize("visible", [None, "", "-1"])
def test_without_gpus_nothing_happens(machine, visible):
    machine(CUDA_VISIBLE_DEVICES=visible)
    launch.claim_gpus(1)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible


def test_a_job_that_asked_for_no_gpu_sees_none(machine):
    assert claimed(0) == ""


def test_more_gpus_than_there_are_is_one_sentence(machine):
    with pytest.raises(SemFlowError, match=r"--devices 4 asks for more GPUs than there are: 3 \(0, 1, 2\)"):
        launch.claim_gpus(4)
    machine(CUDA_VISIBLE_DEVICES=None)
    with pytest.raises(SemFlowError, match="--devices 2 asks for more GPUs than there are: none; .*run.device to cpu"):
        launch.prepare(["train"], 2, "auto")


def test_a_process_of_torchrun_is_left_as_it_is(machine):
    machine(WORLD_SIZE="4")
    assert launch.prepare(["train"], 8, "cuda") is False
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1,2"


def test_several_nodes_start_the_command_once_each(machine):
    words = ["train", "--config", "c.yaml", "--devices", "16"]
    job = {"SLURM_JOB_ID": "123", "SLURM_CPUS_PER_TASK": "64", "CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"}
    assert launch.command(words, 16, 2, job) == [
        *("srun", "--overlap", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1"),
        *("--cpus-per-task=64", "--gpus-per-node=8", sys.executable, "-m", "semflow", *words),
    ]
    assert not any("gpus-per-node" in word for word in launch.command(words, 2, 2, {}))  # on the CPU


def test_nodes_meet_on_the_first_of_them_at_a_port_of_the_job(machine, tmp_path):
    (tmp_path / "scontrol").write_text(
        "#!/bin/sh\n[ \"$*\" = 'show hostnames node[7-9]' ] && printf 'node7\\nnode8\\nnode9\\n'\n"
    )
    (tmp_path / "scontrol").chmod(0o755)
    assert launch.meeting_place("node[7-9]", "123") == "node7:20123"
    assert launch.meeting_place("node[7-9]", "30000123") == "node7:20123"


def test_gpus_that_the_nodes_cannot_share_are_named(machine):
    machine(SLURM_JOB_NUM_NODES="2", SLURM_JOB_ID="1")
    with pytest.raises(SemFlowError, match="--devices 3 cannot be shared by the 2 nodes"):
        launch.prepare(["train"], 3, "cuda")


def suite_file(suite, folder: Path, **training: object) -> Path:
    changed = suite.model_copy(
        update={
            "training": suite.training.model_copy(update={"batch_size": 8, **training}),
            "run": suite.run.model_copy(update={"device": "cpu", "log_every": 5, "checkpoint_every": 5}),
        }
    )
    write_json(folder / "suite.json", changed.model_dump(mode="json"))
    return folder / "suite.json"


def trains(start, config: Path, folder: Path) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "semflow",
        "train",
        "--config",
        config,
        "--method",
        "dsm",
        "--devices",
        "2",
        "--threads",
        "2",
    ]
    places = ["--state", folder / "state", "--out", folder / "out"]
    return start([*command, *places], stderr=subprocess.PIPE, text=True)


def wait_for_state(process: subprocess.Popen, folder: Path) -> int:
    """The step that is saved first."""
    state = folder / "state" / checkpoints.STATE
    while not state.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    with safe_open(state, framework="pt") as file:
        return int(file.metadata()["step"])


@pytest.mark.slow
def test_gpus_2_trains_in_two_processes_and_writes_one_checkpoint(tiny_suite, tmp_path, start):
    process = trains(start, suite_file(tiny_suite, tmp_path, steps=10), tmp_path)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert said.count("80/80 images") == 1  # one tells the progress
    assert json.loads((tmp_path / "out/semflow.json").read_text())["method"] == "dsm"


@pytest.mark.slow
def test_two_nodes_train_together(tiny_suite, tmp_path, start, monkeypatch):
    """With a srun that starts its command twice on this machine."""
    tools = {
        "scontrol": "echo localhost",
        "srun": 'while [ "${1#-}" != "$1" ]; do shift; done\n(SLURM_PROCID=1 "$@") & "$@" && wait $!',
    }
    for name, text in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "localhost", "SLURM_PROCID": "0"}
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    process = trains(start, suite_file(tiny_suite, tmp_path, steps=10), tmp_path)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert said.count("80/80 images") == 1
    assert (tmp_path / "out/semflow.json").exists()


@pytest.mark.slow
def test_sigterm_to_the_launcher_saves_the_state_and_ends_all(tiny_suite, tmp_path, start):
    config = suite_file(tiny_suite, tmp_path, steps=5000)
    process = trains(start, config, tmp_path)
    wait_for_state(process, tmp_path)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert said.count("semflow: stopped at step") == 1
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_training_with_one_sentence(tiny_suite, tmp_path, start):
    process = trains(start, suite_file(tiny_suite, tmp_path, steps=5000), tmp_path)
    wait_for_state(process, tmp_path)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    os.kill(int(children.read_text().split()[-1]), signal.SIGKILL)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 2, said
    assert said.strip().splitlines()[-1].startswith("semflow: one of 2 processes was ended by SIGKILL")
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_mistake_that_every_process_meets_is_said_once(tiny_suite, tmp_path, start):
    process = trains(start, suite_file(tiny_suite, tmp_path, steps=20, lr=1e30, grad_clip=1e30), tmp_path)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 2, said
    assert said.count("semflow: the loss or its gradient is not finite") == 1
    assert "Traceback" not in said
