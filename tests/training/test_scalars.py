"""Scalars as TensorBoard reads them, and what becomes of them where they cannot be written."""

import math
import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from semflow.errors import SemFlowError
from semflow.training.scalars import Scalars


def read(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in EventAccumulator(str(folder)).Reload().Scalars(name)]


def test_tensorboard_reads_what_was_written_step_by_step(tmp_path):
    log = Scalars(tmp_path / "log")
    log.write({"loss": 0.5, "lr": 1.0}, 10)
    log.write({"loss": 0.25}, 20)
    assert read(tmp_path / "log", "loss") == [(10, 0.5), (20, 0.25)]
    assert read(tmp_path / "log", "lr") == [(10, 1.0)]
    assert EventAccumulator(str(tmp_path / "log")).Reload().file_version == 2.0


def test_a_value_that_is_not_finite_is_told_as_it_is(tmp_path):
    Scalars(tmp_path).write({"loss": math.inf}, 1)
    assert read(tmp_path, "loss") == [(1, math.inf)]


def test_two_runs_of_a_training_are_read_as_one(tmp_path):
    for step in (1, 2):
        Scalars(tmp_path).write({"loss": float(step)}, step)
    assert len([*tmp_path.iterdir()]) == 2
    assert read(tmp_path, "loss") == [(1, 1.0), (2, 2.0)]


def test_nothing_is_written_and_no_thread_runs_until_there_is_something_to_log(tmp_path):
    before = threading.active_count()
    log = Scalars(tmp_path / "log")
    assert not (tmp_path / "log").exists()
    log.write({"loss": 1.0}, 1)
    assert threading.active_count() == before


@pytest.mark.parametrize("written", [0, 1])
def test_where_a_disk_is_full_what_was_written_before_stays_whole(tmp_path, monkeypatch, written):
    """The disk takes 20 bytes of the last record."""
    log = Scalars(tmp_path)
    for step in range(written):
        log.write({"loss": 1.0}, step)
    real = Path.open

    class Full:
        def __init__(self, path: Path) -> None:
            self.file = real(path, "ab", buffering=0)

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            self.file.write(data[:20])
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "open", lambda path, *_: Full(path))
        with pytest.raises(SemFlowError, match=r"cannot write .*events.*No space left on device; free space"):
            log.write({"loss": 2.0}, 8)
    log.write({"loss": 3.0}, 9)
    assert read(tmp_path, "loss") == [(step, 1.0) for step in range(written)] + [(9, 3.0)]
