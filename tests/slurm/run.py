"""`make test-slurm`: the smoke suite's Table 2 through SLURM on this machine, with a training that is killed on its way.

Installs Debian's slurm-wlm and munge if they are missing, runs their daemons with files and ports of their own, and stops them.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONF = Path("/etc/slurm/slurm.conf")  # SLURM_CONF would not do: the plugin takes SLURM's variables out of its jobs
KILLED = "semflow"  # the training that is ended by SIGKILL, as where a node dies
STEPS = 200
TARGETS = ["reproduce_table2", "--configfile", "config/slurm.yaml"]
# What profiles/slurm says of its cluster does not hold here; jobs of seconds share one, as starting one takes longer.
HERE = [
    *("--default-resources", "slurm_partition=main"),
    *("--set-resources", "train:gpu=0", "evaluate:gpu=0", "evaluate_control:gpu=0"),
    *("--set-threads", "train=1", "evaluate=1", "evaluate_control=1"),
    *("--groups", *(f"{name}=report" for name in ("table", "figure", "page"))),
    *("--cores", "2", "--jobs", "2", "--latency-wait", "10"),
    *("--slurm-status-command", "squeue", "--slurm-no-account"),
    *("--slurm-init-seconds-before-status-checks", "2"),
]


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("make test-slurm installs and starts SLURM, which needs root: sudo make test-slurm")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the daemons are stopped then too
    started = time.monotonic()
    install()
    with tempfile.TemporaryDirectory(prefix="semflow-slurm-") as folder:
        place = Path(folder)
        place.chmod(0o755)  # munged runs as a user of its own
        with slurm(place / "slurm"):
            tree = copy_of_the_tree(place / "tree")
            run_with_a_kill(tree)
        tell("the same without SLURM")
        plain = copy_of_the_tree(place / "plain")
        command = [sys.executable, "-m", "snakemake", *TARGETS, "--cores", "2", "--quiet", "all"]
        done = subprocess.run(command, cwd=plain, env=environment(plain), capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{done.stdout}{done.stderr}FAILED: the workflow fails without SLURM")
        if (tree / "results/smoke/table2.csv").read_bytes() != (plain / "results/smoke/table2.csv").read_bytes():
            sys.exit("FAILED: Table 2 differs from the one made without SLURM")
    tell(f"passed in {time.monotonic() - started:.0f} s: killed, submitted again, resumed, and the same table as without SLURM")


def install() -> None:
    """Debian's SLURM, unless it is there."""
    if all(shutil.which(name) for name in ("slurmctld", "slurmd", "munged")):
        return
    if not shutil.which("apt-get"):
        sys.exit("make test-slurm needs slurmctld, slurmd and munged; install them, since there is no apt-get here")
    tell("installing slurm-wlm and munge")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    packages = ["slurm-wlm", "munge"]
    subprocess.run(["apt-get", "install", "-qq", "--yes", "--no-install-recommends", *packages], env=quiet, check=True)


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """munged, slurmctld and slurmd for one node, this one."""
    if CONF.exists():
        sys.exit(
            f"make test-slurm starts a SLURM of its own, but {CONF} says that this machine has one; remove it or go elsewhere"
        )
    folder.mkdir()
    munge = folder / "munge"
    munge.mkdir(mode=0o755)
    (munge / "key").write_bytes(os.urandom(128))
    (munge / "key").chmod(0o400)
    for path in (munge, munge / "key"):
        shutil.chown(path, "munge", "munge")
    CONF.parent.mkdir(exist_ok=True)
    CONF.write_text(configuration(folder))
    files = [f"--{name}-file={munge / name}" for name in ("key", "log", "pid", "seed")]
    daemons = [
        ["runuser", "-u", "munge", "--", "munged", "--foreground", f"--socket={munge / 'socket'}", *files],
        ["slurmctld", "-D"],
        ["slurmd", "-D"],
    ]
    running = []
    try:
        for daemon in daemons:
            running.append(subprocess.Popen(daemon, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(1)
        wait_for("a node", lambda: "idle" in said("sinfo", "--noheader", "--format=%t"), 30)
        yield
    finally:
        for daemon in reversed(running):
            daemon.terminate()
            daemon.wait()
        CONF.unlink()


def configuration(folder: Path) -> str:
    """slurm.conf: no cgroups, no accounting; ports that are free now."""
    host, ports = socket.gethostname(), free_ports(2)
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    lines = {
        "ClusterName": "semflow",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": ports[0],
        "SlurmdPort": ports[1],
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder / 'munge/socket'}",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_CPU_Memory",
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        "SlurmctldLogFile": folder / "slurmctld.log",
        "SlurmdLogFile": folder / "slurmd.log",
        # Two jobs at once on any machine; none of them asks for more than a quarter of what a laptop has.
        "NodeName": f"{host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory={memory_mb - 512}",
        "PartitionName": "main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def run_with_a_kill(tree: Path) -> None:
    """Table 2 through profiles/slurm; the job of one training is killed once it has saved a state."""
    started = time.monotonic()
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *TARGETS, *HERE]
    story = tree / "story.log"
    workflow = subprocess.Popen(command, cwd=tree, env=environment(tree), stderr=story.open("w"))
    try:
        saved = f"results/smoke/state/{KILLED}-*/state.safetensors"
        wait_for("a saved state", lambda: any(tree.glob(saved)) or workflow.poll() is not None, 300)
        if workflow.poll() is not None:
            fail("no training had a state", tree, story)
        jobs = dict(line.split(maxsplit=1) for line in said("squeue", "--noheader", "--format=%i %k").splitlines())
        (job,) = [number for number, comment in jobs.items() if f"train_wildcards_{KILLED}" in comment]
        tell(f"{time.monotonic() - started:.0f} s: killing job {job}, {jobs[job]}")
        for line in said("scontrol", "listpids", job).splitlines()[1:]:
            with suppress(ProcessLookupError):  # no warning to any of them, so that nothing is saved on the way out
                os.kill(int(line.split()[0]), signal.SIGKILL)
        wait_for("Table 2", lambda: workflow.poll() is not None, 1200)
    finally:
        if workflow.poll() is None:
            workflow.terminate()
            workflow.wait()
    log = (tree / f"results/smoke/logs/train-{KILLED}-seed0.log").read_text()
    text = story.read_text()
    resumed = re.search(r"goes on from step (\d+)", log)
    if workflow.returncode or resumed is None or not 0 < int(resumed[1]) < STEPS or "Trying to restart job" not in text:
        fail("the training was not resumed, or the workflow failed", tree, story)
    count = len(re.findall("has been submitted with SLURM jobid", text))
    tell(f"{time.monotonic() - started:.0f} s, {count} SLURM jobs: the training {resumed[0]} of {STEPS}, and Table 2 is made")


def fail(what: str, tree: Path, story: Path) -> None:
    """End with what the workflow said, and what SLURM's jobs and the trainings did."""
    logs = [story, *sorted(tree.glob(".snakemake/slurm_logs/**/*.log")), *sorted(tree.glob("results/smoke/logs/train-*.log"))]
    sys.exit("\n".join([*(f"== {log}\n{log.read_text()}" for log in logs), f"FAILED: {what}"]))


def copy_of_the_tree(place: Path) -> Path:
    """What git tracks or would, with a suite whose trainings are long enough to be killed on their way."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")):
        if (ROOT / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    suite = {"base": "smoke.yaml", "training": {"steps": STEPS}, "run": {"device": "cpu", "checkpoint_every": 10}}
    (place / "config/slurm.yaml").write_text(yaml.safe_dump(suite))
    return place


def environment(tree: Path) -> dict[str, str]:
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "PATH": tools}


def free_ports(n: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(what: str, there, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not there():
        if time.monotonic() > until:
            sys.exit(f"FAILED: no {what} within {seconds:.0f} s")
        time.sleep(0.2)


def said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True).stdout


def tell(text: str) -> None:
    print(f"test-slurm: {text}", flush=True)


if __name__ == "__main__":
    main()
