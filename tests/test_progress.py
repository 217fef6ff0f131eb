"""What long work says of itself."""

import time

import pytest

from semflow import progress
from semflow.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_now_and_then_with_share_speed_time_left_and_note(clock, capsys):
    with Progress("train", total=1000, done=200) as bar:
        clock[0] += progress.LINE_EVERY_S - 1
        bar.update(100)
        assert capsys.readouterr().err == ""
        clock[0] += 2
        bar.update(60, "loss 0.5")
        line = "train: 360/1000 images (36 %), 10.0 images/s, 1:04 left loss 0.5\n"
        assert capsys.readouterr().err == line
    assert capsys.readouterr().err == line  # and one at the end


def test_the_rate_counts_this_run_only(clock):
    bar = Progress("train", total=1000, done=900, silent=True)
    clock[0] += 5
    bar.update(50)
    assert bar.images_per_s == 10


def test_a_silent_one_says_nothing(clock, capsys):
    with Progress("train", total=10, silent=True) as bar:
        clock[0] += 100
        bar.update(5)
    assert capsys.readouterr().err == ""
