"""Data sets to prepare, and prepared."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from preparing import N, archives_of

from semflow.tools.prepare import prepare


@pytest.fixture
def archives(tmp_path) -> Callable[[str], Path]:
    """Makes the official archives of a data set, and nothing else, in a folder."""
    return partial(archives_of, place=tmp_path)


@pytest.fixture
def faces(trees, tmp_path) -> Path:
    """CelebAMask-HQ, its parts merged."""
    return trees.celebamask_hq_tree(tmp_path / "faces", N, merged=True)


@pytest.fixture
def streets(trees, tmp_path) -> Path:
    """Cityscapes, prepared."""
    root = trees.cityscapes_tree(tmp_path / "streets", N)
    prepare("cityscapes", root)
    return root
