"""Files appear whole or not at all."""

import errno
import json
import os
import threading
import time

import pytest

from semflow import files
from semflow.errors import Interrupted, SemFlowError

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def failing(error: BaseException):
    def write(part):
        part.write_text("half of the new con")
        raise error

    return write


def contents(folder) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "target.json"
    target.write_text("old")
    with pytest.raises(type(error)):
        files.write_atomically(target, failing(error))
    assert contents(tmp_path) == {"target.json": "old"}


def test_a_full_disk_is_one_sentence_about_the_target(tmp_path):
    target = tmp_path / "target.npz"
    target.write_text("old")
    with pytest.raises(SemFlowError) as error:
        files.write_atomically(target, failing(FULL))
    assert f"cannot write {target}: No space left on device" in str(error.value)
    assert "\n" not in str(error.value)
    assert contents(tmp_path) == {"target.npz": "old"}


def test_a_folder_that_is_a_file_is_one_sentence_about_the_target(tmp_path):
    (tmp_path / "taken").write_text("a file")
    target = tmp_path / "taken" / "target.json"
    with pytest.raises(SemFlowError, match="cannot write") as error:
        files.write_text(target, "new")
    assert str(target) in str(error.value)


def test_our_own_sentences_pass_through_unchanged(tmp_path):
    with pytest.raises(Interrupted, match="^stopped$"):
        files.write_atomically(tmp_path / "target", failing(Interrupted("stopped")))


def test_writing_makes_the_folders_above_and_replaces_what_was_there(tmp_path):
    target = tmp_path / "a" / "b" / "target.txt"
    files.write_text(target, "old")
    files.write_text(target, "nëw")
    assert target.read_bytes() == "nëw".encode()
    assert list(target.parent.iterdir()) == [target]


def test_the_writer_sees_a_file_with_the_target_s_suffix(tmp_path):
    seen = []
    files.write_atomically(tmp_path / "arrays.npz", lambda part: (seen.append(part.suffix), part.touch()))
    assert seen == [".npz"]


def test_new_folder_appears_whole(tmp_path):
    target = tmp_path / "checkpoints" / "model"
    with files.new_folder(target) as scratch:
        (scratch / "weights").write_text("new")
        assert not target.exists()
    assert contents(tmp_path) == {"checkpoints/model/weights": "new"}
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_new_folder_takes_the_place_of_an_old_one(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "old weights").write_text("old")
    with files.new_folder(target) as scratch:
        (scratch / "weights").write_text("new")
    assert contents(tmp_path) == {"model/weights": "new"}


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_folder_half_filled_leaves_the_old_one_and_nothing_else(tmp_path, error):
    target = tmp_path / "model"
    target.mkdir()
    (target / "weights").write_text("old")
    with pytest.raises(type(error)), files.new_folder(target) as scratch:
        (scratch / "weights").write_text("half")
        raise error
    assert contents(tmp_path) == {"model/weights": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_full_disk_while_filling_a_folder_is_one_sentence_about_it(tmp_path):
    target = tmp_path / "model"
    with pytest.raises(SemFlowError, match="No space left on device") as error, files.new_folder(target):
        raise FULL
    assert f"cannot write {target}:" in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [1.0, float("-inf")]}])
def test_json_without_a_notation_for_it_is_refused(tmp_path, value):
    target = tmp_path / "target.json"
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(target, value)
    assert list(tmp_path.iterdir()) == []


def test_json_reads_back(tmp_path):
    value = {"b": [1, 2.5, None, "ü"], "a": {"c": True}}
    files.write_json(tmp_path / "x.json", value)
    assert files.read_json(tmp_path / "x.json", "example") == value
    assert json.loads((tmp_path / "x.json").read_text()) == value


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe"])
def test_damaged_json_is_named(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(SemFlowError, match="not a readable example") as error:
        files.read_json(path, "example")
    assert str(path) in str(error.value)


def test_missing_json_is_named(tmp_path):
    with pytest.raises(SemFlowError, match="no example at .*x.json"):
        files.read_json(tmp_path / "x.json", "example")


def test_two_processes_may_write_a_shared_file_at_once(tmp_path, monkeypatch):
    """The other begins and ends in the middle of ours; neither takes the other's half for its own."""
    target = tmp_path / "features.npz"

    def theirs():
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 0)
            files.write_atomically(target, lambda part: part.write_text("the same"), shared=True)

    def ours(part):
        part.write_text("the sa")
        theirs()
        part.write_text("the same")

    files.write_atomically(target, ours, shared=True)
    assert contents(tmp_path) == {"features.npz": "the same"}


def test_a_folder_is_held_by_one_process_and_the_next_is_told_and_waits(tmp_path):
    told = []
    with files.held(tmp_path / "new", lambda: told.append("first")):
        other = threading.Thread(target=lambda: hold(tmp_path / "new", told))
        other.start()
        while not told:
            time.sleep(0.01)
        assert told == ["busy"]
    other.join(timeout=10)
    assert told == ["busy", "held"]


def hold(folder, told):
    with files.held(folder, lambda: told.append("busy")):
        told.append("held")


def test_a_folder_that_is_held_may_be_refused(tmp_path):
    def refuse():
        raise SemFlowError("somebody is there")

    with files.held(tmp_path, refuse), pytest.raises(SemFlowError, match="somebody is there"), files.held(tmp_path, refuse):
        pass


def test_a_folder_that_cannot_be_locked_is_one_sentence(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    with (
        pytest.raises(SemFlowError, match=r"cannot be locked \(No locks available\)"),
        files.held(tmp_path, lambda: pytest.fail("it is not busy")),
    ):
        pass


def test_what_waits_for_a_folder_can_give_up(tmp_path):
    def give_up():
        raise SemFlowError("no longer wanted")

    with (
        files.held(tmp_path, lambda: None),
        pytest.raises(SemFlowError, match="no longer wanted"),
        files.held(tmp_path, lambda: None, give_up),
    ):
        pass
