"""The model card of a checkpoint, with what records say of its weights."""

from collections.abc import Sequence
from pathlib import Path

from baselines import METHODS
from semflow import files
from semflow.errors import SemFlowError
from semflow.evaluation import records
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.evaluation.records import Record
from semflow.method.samplers import Sampler
from semflow.suite.measurements import draws
from semflow.training import model_card
from semflow.training.card import read_card
from semflow.training.model_card import Result


def write_card(checkpoint: Path, paths: Sequence[Path]) -> Path:
    """Write README.md into a checkpoint's folder, with the results in records; its path. SemFlowError if it is no checkpoint of a
    method that there is, or if a record is of other weights."""
    card, results = read_card(checkpoint), list[Result]()
    if card.method not in METHODS:
        raise SemFlowError(f"{checkpoint} holds the method {card.method!r}; this version has {', '.join(METHODS)}")
    for path in sorted(paths):
        record = records.read(path)
        if record.provenance.checkpoint_sha256 != card.weights_sha256:
            raise SemFlowError(f"{path} was measured on other weights than {checkpoint} holds; leave it out")
        results += _results(record)
    target = checkpoint / model_card.NAME
    files.write_text(target, model_card.text(card, results))
    return target


def _results(record: Record) -> list[Result]:
    """What a record measured, but for what has no value."""
    sampler = str(Sampler(record.sampler, record.steps))
    if draws(record.task) and record.sampling_amplitude != record.amplitude:
        sampler += f", b' = {record.sampling_amplitude:g}"
    return [
        Result(
            record.task, sampler, name, KINDS[name].title, metric.value, metric.low, metric.high, metric.unit, KINDS[name].digits,
            record.dataset, record.split, record.n_images, record.sampling_seed,
        )
        for name, metric in record.metrics.items()
        if metric.value is not None
    ]  # fmt: skip
