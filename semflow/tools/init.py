"""Writes a suite for a folder of one's own pictures, sized to this machine."""

import hashlib
import math
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image

import semflow
from semflow import files
from semflow.data.folder import SPLITS, Settings, described, facts, guessed, opened
from semflow.errors import SemFlowError
from semflow.suite import reading
from semflow.tools.check import NOTE, check

SUITES = Path(semflow.__file__).resolve().parents[1] / "config"
SNAKEFILE = SUITES.with_name("Snakefile")
LONGEST = 40  # letters of a folder's name in its suite's
LOOKED_AT = 50  # pictures, for their size
MOST_CORES = 16
GPU_GB = 24  # of the GPU that camvid.yaml is meant for
SHARE_OF_ANCHORS = 0.12  # of their distance, that masks are perturbed by: the paper's 6 of 50
HELD = 0.25  # share of the memory that pictures may take


class Machine(NamedTuple):
    """cores: that this process may use.  memory, gpu_memory: bytes; gpu_memory 0: no GPU."""

    cores: int
    memory: int
    gpu_memory: int


def this_machine() -> Machine:
    """What there is to compute with."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpu = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else 0
    return Machine(cores, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), gpu)


def init(root: Path, out: Path | None, machine: Machine) -> Path:
    """Write a suite to `out`, or to `suite.yaml` in the folder, and return its path.

    It builds on the suite for CamVid on a laptop, or on one GPU, and says what differs. SemFlowError if the folder does not show
    how it is to be read, if `semflow data check` finds something wrong, or if the file exists; its notes are printed.
    """
    root, target = root.resolve(), (out or root / "suite.yaml").resolve()
    if target.exists():
        raise SemFlowError(f"{target} exists; remove it, or give another name with --out")
    base = SUITES / ("camvid.yaml" if machine.gpu_memory else "camvid_cpu.yaml")
    if not base.is_file():
        raise SemFlowError(
            f"there is no {base}, which the suite would build on; install semflow from its checkout (pip install -e)"
        )
    below = reading.resolve(base)
    data = guessed(root, (1, 1))
    report = check(data.name, root, facts=facts(data, root))
    if report.problems:
        raise SemFlowError(f"{report.problems[0]} ({len(report.problems)} in all; see `semflow data check {data.name} {root}`)")
    print("".join(f"{line}\n" for line in report.lines if line.startswith(NOTE)), end="")
    raw = _sized(data, below.raw, machine, suite_name(root))
    reading.check(reading.merged(below, reading.Resolved(raw, {})).raw, str(target))
    text = yaml.safe_dump(
        {"base": os.path.relpath(base, target.parent)} | raw, sort_keys=False, default_flow_style=None, width=130
    )
    files.write_text(target, f"# Pictures of {_in_one_line(root)}, sized to {_told(machine)}.\n{text}")
    return target


def suite_name(root: Path) -> str:
    """Of the folder's name and of where it lies, so that suites of two folders share no results, and none is one of config/."""
    readable = re.sub(r"[^a-z0-9_]+", "_", root.name.lower()).strip("_")[:LONGEST] or "own"
    return f"{readable}_{hashlib.sha256(os.fsencode(root)).hexdigest()[:6]}"


def _in_one_line(root: Path) -> str:
    """A path whose line ends and the like are escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in str(root))


def _told(machine: Machine) -> str:
    gpu = f" and a GPU of {machine.gpu_memory / 1e9:.0f} GB" if machine.gpu_memory else ""
    return f"{machine.cores} cores, {machine.memory / 1e9:.0f} GB of memory{gpu}"


def _sized(data: Settings, base: dict[str, Any], machine: Machine, name: str) -> dict[str, Any]:
    """What the suite says beside its base."""
    assert data.splits is not None
    split = next((name for name in reversed(SPLITS) if getattr(data.splits, name)), "")
    train, evaluated = opened(data, "train"), opened(data, split)
    h, w = size_for(_median([image for image, _ in train.pairs]), base, machine)
    n = len(described(data).names)
    k = next(k for k in range(1, 8) if k**3 >= n)
    s = 254 // max(1, k - 1)
    held = 3 * h * w * (len(train) + len(evaluated)) < HELD * machine.memory
    splits = {name: place for name in SPLITS if (place := getattr(data.splits, name))}
    section = {"name": data.name, "root": data.root, "size": [h, w], "images": data.images, "labels": data.labels}
    return {
        "suite": name,
        "data": section | {"classes": data.classes, "splits": splits},
        "pseudo_mask": {"k": k, "s": s, "amplitude": round(SHARE_OF_ANCHORS * s, 1)},
        "run": {"in_memory": held, "workers": 0 if held else max(1, machine.cores - 1)},
        "evaluation": {"split": split, "block_length": 1},
    }


def size_for(picture: tuple[int, int], base: dict[str, Any], machine: Machine) -> tuple[int, int]:
    """Height and width to work at: of the pictures' shape and not larger, with as many pixels as the base's for this machine.

    Both are multiples of what the base's network halves; on twice the cores, or the memory of a GPU, there are twice as many
    pixels.
    """
    many = machine.gpu_memory / 1e9 / GPU_GB if machine.gpu_memory else min(machine.cores, MOST_CORES) / 2
    pixels = math.prod(base["data"]["size"]) * many
    multiple = 2 ** (len(base["network"]["block_out_channels"]) - 1) * base["autoencoder"].get("factor", 1)
    scale = min(1.0, math.sqrt(pixels / math.prod(picture)))
    h, w = (multiple * max(1, int(scale * side / multiple)) for side in picture)
    return h, w


def _median(paths: list[str]) -> tuple[int, int]:
    """Height and width of some pictures in the middle."""
    sizes = []
    for path in paths[:: math.ceil(len(paths) / LOOKED_AT)]:
        try:
            with Image.open(path) as picture:
                sizes.append((picture.height, picture.width))
        except OSError as error:
            raise SemFlowError(f"{path} cannot be read as a picture ({error}); `semflow data check` reads them all") from None
    h, w = np.median(sizes, axis=0)
    return int(h), int(w)
