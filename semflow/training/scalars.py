"""What a training logs, in the files that TensorBoard shows."""

import io
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from semflow import files


class Scalars:
    """Scalars by step, in a file of its own for each run of a training.

    TensorBoard's own writer hands them to a thread, in which a full disk is a traceback; here they are written when they are
    given, and no file stays open.
    """

    def __init__(self, folder: Path) -> None:
        self.path = Path(folder) / f"events.out.tfevents.{time.time_ns() // 1000}.{socket.gethostname()}.{os.getpid()}"
        self.size = 0  # bytes written

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Append the values of a step. SemFlowError if that cannot be; what was written before stays whole."""
        summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])
        events = [Event(wall_time=time.time(), step=step, summary=summary)]
        if not self.size:  # a file begins with the version of its format
            events.insert(0, Event(wall_time=time.time(), file_version="brain.Event:2"))
        records = io.BytesIO()
        for event in events:
            RecordWriter(records).write(event.SerializeToString())
        with files.writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with self.path.open("ab") as file:
                    file.write(records.getvalue())
            except OSError:
                self._forget_half()
                raise
        self.size += len(records.getvalue())

    def _forget_half(self) -> None:
        """Cut off what a full disk let through of a record, which would hide all that follow; leave no empty file."""
        with suppress(OSError):
            os.truncate(self.path, self.size)
            if not self.size:
                self.path.unlink()
