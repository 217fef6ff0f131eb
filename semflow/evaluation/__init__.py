"""Model + data set + metrics -> record: one module a task."""

from importlib import import_module
from pathlib import Path

from semflow.evaluation.records import Record
from semflow.suite import Suite
from semflow.suite.runs import Evaluation


def evaluate(suite: Suite, cell: Evaluation, checkpoint: Path | None, out: Path, cache: Path) -> Record:
    """Measure a cell on the suite's evaluation split; write the record to `out` and its arrays beside it.

    checkpoint: what `train` wrote; a control has none.  cache: folder for features of real images.
    """
    return import_module(f"semflow.evaluation.{cell.task}").evaluate(suite, cell, checkpoint, out, cache)
