"""Copies of the tree to which something is added, and commands in them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def copy_of_the_packages(place: Path) -> Path:
    """The packages and suites, in a new folder."""
    for name in ("semflow", "baselines", "config"):
        shutil.copytree(REPOSITORY / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def register(registry: Path, after: str, name: str) -> None:
    """Add one line to a registry."""
    before, line = registry.read_text(), f'        "{after}",\n'
    assert before.count(line) == 1
    registry.write_text(before.replace(line, f'{line}        "{name}",\n'))


def run(tree: Path, *words: object) -> subprocess.CompletedProcess:
    """A Python command in a tree."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    return subprocess.run([sys.executable, *map(str, words)], cwd=tree, env=environment, capture_output=True, text=True)


def python(tree: Path, *words: object) -> str:
    """What a Python command in a tree prints."""
    done = run(tree, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout
