"""Evaluations of one checkpoint, measured one after another, and kept as they are made."""

import os
import shutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from semflow import files
from semflow.errors import SemFlowError
from semflow.evaluation import records
from semflow.evaluation.common import Measurement, check
from semflow.evaluation.records import Record
from semflow.evaluation.session import Session
from semflow.provenance import content_hash
from semflow.suite import Suite
from semflow.suite.keys import scores_key
from semflow.suite.runs import Evaluation
from semflow.training.card import CARD


def evaluate(
    suite: Suite, evaluation: Evaluation, checkpoint: Path | None, out: Path, cache: Path, judged_by: Sequence[Path] = ()
) -> Record:
    """Measure an evaluation on the suite's evaluation split; write the record to `out` and its arrays beside it.

    checkpoint: what `train` wrote; a control has none.  cache: folder for features of real images.  judged_by: checkpoints of the
    suite's judges, of whose task it is.
    """
    return _measure(Session(suite, evaluation, checkpoint, cache, judged_by), evaluation, out)


def evaluate_all(
    suite: Suite,
    wanted: Mapping[Evaluation, Path],
    checkpoint: Path | None,
    store: Path,
    cache: Path,
    judged_by: Sequence[Path] = (),
) -> None:
    """Measure evaluations of one checkpoint, or controls, each to its own file; model and data are opened once.

    store: folder where each record is kept as soon as it is there, under a hash of all that determines it. From it goes on what
    was stopped, and what is there already is not measured again.
    """
    session = Session(suite, next(iter(wanted)), checkpoint, cache, judged_by)
    for evaluation in wanted:
        check(evaluation, session)
    own, read_by = _weights_of(checkpoint), [_weights_of(folder) for folder in judged_by]
    for evaluation, out in wanted.items():
        folder = store / _folder_of(evaluation)
        weights = [own, *read_by] if evaluation.task == "consistency" else own
        kept = folder / f"{content_hash({'scores': scores_key(suite, evaluation), 'weights': weights})[:16]}.json"
        if not _whole(kept):
            _measure(session, evaluation, kept)
        _copy(records.arrays_path(kept), records.arrays_path(out))
        made = records.read(kept)
        if made.suite == suite.suite:
            _copy(kept, out)
        else:  # of the suite whose store it is
            records.write(out, made.model_copy(update={"suite": suite.suite}))
        for older in folder.iterdir():
            if older.stem != kept.stem:
                older.unlink()


def _measure(session: Session, evaluation: Evaluation, out: Path) -> Record:
    measure = import_module(f"semflow.evaluation.{evaluation.task}").measure
    record: Record = measure(Measurement(session, evaluation), out)
    return record


def _folder_of(evaluation: Evaluation) -> str:
    """By which an evaluation is told from others."""
    e = evaluation
    trained, amplitudes = e.method + f"-{e.variant}" * bool(e.variant), f"b{e.amplitude:g}-b{e.sampling_amplitude:g}"
    return f"{trained}-{e.task}-{e.sampler}-{amplitudes}-train{e.training_seed}-sample{e.sampling_seed}"


def _weights_of(checkpoint: Path | None) -> object:
    return None if checkpoint is None else files.read_json(Path(checkpoint) / CARD, "checkpoint card").get("weights")


def _whole(path: Path) -> bool:
    """Whether a record and its arrays are there and undamaged."""
    try:
        return files.file_hash(records.arrays_path(path)) == records.read(path).arrays_sha256
    except (SemFlowError, OSError):
        return False


def _copy(source: Path, target: Path) -> None:
    files.write_atomically(target, lambda part: _link(source, part))


def _link(source: Path, target: Path) -> None:
    """The same file under a second name, of which Snakemake may do what it likes; a copy where there are no links."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    os.utime(target)  # it is new to whoever compares times
