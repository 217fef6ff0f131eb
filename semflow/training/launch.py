"""Which GPUs a command takes, and how one command becomes a process a GPU. Imports no torch before the GPUs are chosen."""

import ctypes
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from semflow.errors import SemFlowError

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

PROGRAM = ("-m", __package__.partition(".")[0])  # that Python is to run
VISIBLE = "CUDA_VISIBLE_DEVICES"
CLAIMED = "SEMFLOW_CLAIMED_GPUS"  # what this process or its parent holds the locks of
LAUNCHED = "SEMFLOW_LAUNCHED"  # set in the processes that share a training, when we started them
MEETING = "SEMFLOW_MEETING"  # HOST:PORT at which the nodes of a training find one another
LOOK_AGAIN_S = 1.0
PROGRAM = ("-m", __name__.partition(".")[0])
TIME_TO_SAVE_S = 600  # after a signal; a process saves its state at the next step that all of them log
SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG in Linux's prctl.h

log = logging.getLogger(__name__)
_held: list[int] = []  # file descriptors of our locks; the system frees them when the process ends, however it ends


def prepare(words: Sequence[str], gpus: int, device: str) -> bool:
    """Claim the GPUs of a command and, for several, run it in a process each. Whether the work is done then.

    words: the command without the program's name.  gpus: over all nodes of a SLURM job.  device: run.device; on `cpu` a process
    counts for a GPU. SemFlowError if this machine has fewer GPUs, or a process fails by a mistake that it names.
    """
    if is_rank():
        if LAUNCHED in os.environ:
            _be_a_rank()
        return False
    nodes = int(os.environ.get("SLURM_JOB_NUM_NODES", 1)) if gpus > 1 else 1
    if gpus % nodes:
        raise SemFlowError(f"--devices {gpus} cannot be shared by the {nodes} nodes of this job; give a multiple of {nodes}")
    if nodes > 1 and MEETING not in os.environ:
        os.environ[MEETING] = meeting_place(os.environ["SLURM_JOB_NODELIST"], os.environ["SLURM_JOB_ID"])
        on_every_node = command(words, gpus, nodes, os.environ)
        os.execvp(on_every_node[0], on_every_node)
    if device in ("auto", "cuda"):
        claim_gpus(gpus // nodes)
    if gpus > 1:
        _run_ranks(words, gpus // nodes, nodes)
    return gpus > 1


def is_rank() -> bool:
    """Whether this process shares its work with others, started by `prepare` or by torchrun."""
    return "WORLD_SIZE" in os.environ


def claim_gpus(n: int) -> None:
    """Make `n` GPUs that no other command of this user holds the only visible ones, for the life of this process.

    Taken from CUDA_VISIBLE_DEVICES if that is set, else from what nvidia-smi lists; where there are none, nothing happens. None
    are visible for 0. Waits while all are held. SemFlowError if there are fewer than `n`.
    """
    if n == 0:
        os.environ[VISIBLE] = ""
    if os.environ.get(CLAIMED, "") == os.environ.get(VISIBLE):
        return
    locks = candidates()
    if n > max(1, len(locks)):
        shown = f"{len(locks)} ({', '.join(locks)})" if locks else "none"
        raise SemFlowError(f"--devices {n} asks for more GPUs than there are: {shown}; ask for fewer, or set run.device to cpu")
    if not locks:
        return
    chosen = _lock(locks, n)
    os.environ[VISIBLE] = os.environ[CLAIMED] = ",".join(chosen)


def candidates() -> dict[str, str]:
    """GPUs that a command may take, by the name that CUDA_VISIBLE_DEVICES knows them by: the names of their locks."""
    listed = _listed()
    chosen = os.environ.get(VISIBLE)
    names = list(listed.values()) if chosen is None else [word.strip() for word in chosen.split(",")]
    names = [name for name in names if name and name not in ("-1", "NoDevFiles")]  # which hide all
    # A job's GPUs are numbered from 0 in every job, and are its own: only its own commands compete for them.
    job = os.environ.get("SLURM_JOB_ID", "")
    return {name: f"{job}-{listed.get(name, name)}".replace("/", "-") for name in names}


def command(words: Sequence[str], gpus: int, nodes: int, environment: Mapping[str, str]) -> list[str]:
    """srun with this command once a node, as a step that may use what the step around it holds."""
    cpus = environment.get("SLURM_CPUS_PER_TASK")
    step = ["srun", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
    step += [f"--cpus-per-task={cpus}"] if cpus else []
    step += [f"--gpus-per-node={gpus // nodes}"] if VISIBLE in environment else []
    return [*step, sys.executable, *PROGRAM, *words]


def meeting_place(nodes: str, job: str) -> str:
    """HOST:PORT, on the first of a SLURM job's nodes; jobs that share a node need ports of their own."""
    hosts = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True).stdout.split()
    return f"{hosts[0]}:{20000 + int(job) % 10000}"


def tell(sentence: str, status: int) -> bool:
    """Leave a mistake to the launcher, which says it once however many processes met it. Whether nothing is left to say."""
    if LAUNCHED not in os.environ or not is_rank():
        return False
    if status == 130:  # all stop together, and the launcher knows
        return os.environ["RANK"] != "0"
    _leave({"message": sentence, "sentence": True})
    return True


def _leave(what: dict[str, Any]) -> None:
    """Write what ended this process where torch's launcher looks for it."""
    text = json.dumps(what | {"timestamp": int(time.time())})
    Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(text, encoding="utf-8")


def _be_a_rank() -> None:
    """End with the launcher, and leave tracebacks to it: where one process fails, the others fail because it is gone."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _leave({"message": "".join(traceback.format_exception(kind, error, trace))})

    sys.excepthook = hook
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _listed() -> dict[str, str]:
    """Names that hold on the whole machine (GPU-...) by the number, of what nvidia-smi lists; empty without it."""
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(line.split(", ") for line in told.splitlines() if line.count(", ") == 1)


def _lock(locks: Mapping[str, str], n: int) -> list[str]:
    """Names of `n` GPUs whose locks we hold from now on: all of them at once, so that no two commands wait for each other."""
    folder, told = _lock_folder(), False
    while True:
        with (folder / "turn").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            taken: dict[str, int] = {}
            for name, lock in locks.items():
                if len(taken) < n and (descriptor := _try(folder / f"{lock}.lock")) is not None:
                    taken[name] = descriptor
            if len(taken) == n:
                _held.extend(taken.values())
                return list(taken)
            for descriptor in taken.values():
                os.close(descriptor)
        if not told:
            which = f"one of the GPUs {', '.join(locks)}" if n == 1 else f"{n} of the GPUs {', '.join(locks)}"
            log.warning("waits for %s, which other commands hold (%s= works on the CPU)", which, VISIBLE)
            told = True
        time.sleep(LOOK_AGAIN_S)


def _lock_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"semflow-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise SemFlowError(f"{folder} keeps the locks of GPUs, but belongs to someone else; remove it or set TMPDIR")
    return folder


def _try(lock: Path) -> int | None:
    """Descriptor of a lock that is ours now; None if another process holds it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _run_ranks(words: Sequence[str], ranks: int, nodes: int) -> None:
    """Run the command in `ranks` processes here, as torchrun does; what one fails with ends this one too, in its words."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    meeting = os.environ.get(MEETING, "localhost:0")
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    os.environ |= {LAUNCHED: "1", "OMP_NUM_THREADS": str(max(1, threads // ranks))}
    logging.disable()  # torch tells its own developers what we say in a sentence
    with tempfile.TemporaryDirectory(prefix="semflow-ranks-") as folder:
        config = LaunchConfig(
            min_nodes=nodes,
            max_nodes=nodes,
            nproc_per_node=ranks,
            run_id=f"semflow-{os.environ.get('SLURM_JOB_ID', os.getpid())}",
            rdzv_backend="c10d",
            rdzv_endpoint=meeting,
            rdzv_configs={"is_host": nodes == 1 or os.environ["SLURM_PROCID"] == "0"},
            max_restarts=0,
            local_addr="localhost" if nodes == 1 else None,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            shutdown_timeout=TIME_TO_SAVE_S,
        )
        try:
            elastic_launch(config, sys.executable)(*PROGRAM, *words)
        except ChildFailedError as error:
            _end_as(error, ranks)
        except SignalException:
            sys.exit(130)  # the first process said what it saved
        except RendezvousError as error:
            raise SemFlowError(f"the {nodes} nodes did not find one another at {meeting}: {error}") from None


def _end_as(error: "ChildFailedError", ranks: int) -> None:
    """End in the words of the process that failed: of those that name a mistake, else of the first."""
    failures = sorted(error.failures.values(), key=lambda one: (not one.error_file_data.get("sentence"), one.timestamp))
    first = failures[0]
    left = first.error_file_data
    if left.get("sentence"):
        raise SemFlowError(first.message) from None
    if first.exitcode < 0:
        ended = f"one of {ranks} processes was ended by {signal.Signals(-first.exitcode).name}"
        raise SemFlowError(f"{ended}; the same command goes on from the last state") from None
    if "message" in left:
        print(first.message, file=sys.stderr)
    sys.exit(first.exitcode)
