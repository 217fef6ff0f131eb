"""What made a number: hashes of code, configuration and files, the commit, the versions, the machine."""

import ast
import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from semflow.files import file_hash

__all__ = ["code_hash", "commit", "committed", "content_hash", "file_hash", "had", "host", "introduced", "repository"]
__all__ += ["versions"]

PACKAGES = (__package__, "baselines")
MAKES_NUMBERS = tuple(f":(top){name}" for name in (*PACKAGES, "workflow", "config", "Snakefile"))
VERSIONED = (
    *("accelerate", "diffusers", "efficientnet-lite-pytorch", "lpips", "numpy", "pillow", "safetensors", "scipy", "torch"),
    *("torch-fidelity", "torchdiffeq", "torchvision", "transformers"),
)

# Modules that decide how a run is told, stored, placed on a device or read from a file, but no formula of a weight or a
# score. Without this list a better error message would retrain everything. semflow.data lists all data sets, and one more
# must not make every training stale; the one that is used counts by its own module. Pretrained files count by their hashes.
PLUMBING = frozenset(
    {
        *PACKAGES,
        *(f"semflow.{name}" for name in ("errors", "files", "progress", "provenance", "section", "suite")),
        *(f"semflow.{name}" for name in ("data", "data.info", "data.settings")),
        *(f"semflow.suite.{name}" for name in ("keys", "measurements", "jobs", "reading", "runs", "variants")),
        *(f"semflow.method.{name}" for name in ("contract", "hub", "pretrained", "samplers", "settings")),
        *(f"semflow.training.{name}" for name in ("checkpoints", "devices", "scalars")),
        *("semflow.evaluation", "semflow.evaluation.measuring", "semflow.report"),
    }
)


@cache
def code_hash(modules: tuple[str, ...], without: frozenset[str] = frozenset()) -> str:
    """SHA-256 of the syntax trees of `modules` and of all of ours that they import, comments and docstrings aside."""
    pending, seen = list(modules), set[str]()
    while pending:
        name = pending.pop()
        if name not in seen | PLUMBING | without:
            seen.add(name)
            pending += _imports(name)
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(name.encode() + _written(name))
    return digest.hexdigest()


def content_hash(value: BaseModel | dict[str, Any]) -> str:
    """SHA-256 of a section's values, independent of key order and layout."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()


def commit() -> tuple[str, bool]:
    """Commit of the checkout this package lies in, and whether code or config differs; ("unknown", True) outside git."""
    here = Path(__file__).resolve().parent
    try:
        head = _git(here, "rev-parse", "HEAD").strip()
        changed = _git(here, "status", "--porcelain", "--untracked-files=all", "--", *MAKES_NUMBERS)
        return head, bool(changed.strip())
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


def committed(commits: Iterable[str]) -> str:
    """The day of the latest of some commits, such as "2026-05-01"; "" where git knows none of them."""
    days, here = [""], Path(__file__).resolve().parent
    for commit in commits:
        with suppress(OSError, ValueError, subprocess.CalledProcessError):  # a record's commit may be any text
            days.append(_git(here, "show", "--no-patch", "--format=%cs", "--end-of-options", commit).strip())
    return max(days)


@cache
def introduced(text: str) -> str:
    """The first commit in which a text came into any file of this checkout; "" outside git. git reads all of its history."""
    try:
        commits = _git(Path(__file__).resolve().parent, "log", "--reverse", "--format=%H", "-S", text).split()
        return commits[0] if commits else ""
    except (OSError, subprocess.CalledProcessError):
        return ""


def had(wanted: str, commits: Iterable[str]) -> bool | None:
    """Whether all commits have another in their history or are it; None where git cannot tell."""
    here = Path(__file__).resolve().parent
    try:
        return all(not _git(here, "rev-list", "-1", wanted, f"^{commit}") for commit in commits)
    except (OSError, ValueError, subprocess.CalledProcessError):  # of a record's commit that is none: any text
        return None


def repository(commit: str) -> str:
    """The web address of a commit, where this checkout's origin has one; "" elsewhere. A user's name or key is left out."""
    try:
        origin = _git(Path(__file__).resolve().parent, "remote", "get-url", "origin").strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    found = re.fullmatch(r"(?:(?:https|ssh)://(?:[^@/]+@)?|[^@/]+@)([\w.-]+)(?::\d+)?[:/](.+?)(?:\.git)?/?", origin)
    return f"https://{found[1]}/{found[2]}/tree/{commit}" if found else ""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that touch a number."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in VERSIONED}


def host() -> str:
    """The kind of machine, such as "Linux x86_64, AMD EPYC": what may change the last bits of a number, and no name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or "unknown processor"
    return f"{platform.system()} {platform.machine()}, {processor}"


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout


@cache
def _written(name: str) -> bytes:
    """A module's syntax tree as text; most modules are part of many hashes."""
    return ast.dump(_tree(name)).encode()


@cache
def _tree(name: str) -> ast.Module:
    tree = ast.parse(_source(name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Modules of ours that a module imports, wherever in its text."""
    found = []
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(word for word in found if word.split(".")[0] in PACKAGES and _source(word).exists())


def _source(name: str) -> Path:
    """Where a module or package of ours would lie."""
    place = Path(__file__).resolve().parent.parent.joinpath(*name.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
