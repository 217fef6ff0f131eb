"""Checkpoints that were never trained, evaluated by few steps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from baselines import METHODS
from semflow.suite.variants import with_amplitude
from semflow.training import checkpoints
from semflow.training.build import make_model


@pytest.fixture
def weights_of(tiny_suite, tmp_path) -> Callable[..., Path]:
    """weights_of(method, amplitude=None): a checkpoint of the tiny suite with fresh weights."""

    def make(method: str, amplitude: float | None = None) -> Path:
        suite = tiny_suite if amplitude is None else with_amplitude(tiny_suite, amplitude)
        folder = tmp_path / f"{method}-{amplitude}"
        if not folder.exists():
            checkpoints.export(folder, suite, method, 0, make_model(suite, method))
        return folder

    return make


@pytest.fixture
def checkpoint(weights_of) -> Path:
    return weights_of("dsm")


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch) -> None:
    """The main sampler is one that a test can afford."""
    for task in ("segmentation", "synthesis"):
        monkeypatch.setitem(METHODS["semflow"].default, task, "euler-5")
