"""What is kept of records, to hold later ones against (see `drift`), and the file of it, checked at reading and at writing."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from semflow import files
from semflow.claims.collect import Run, title
from semflow.claims.datasets import Names
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.provenance import content_hash

N_DRAWS = 100  # kept of each metric in a reference
DIGITS = 6  # significant, of a kept draw

T = TypeVar("T")
Seeds = Annotated[dict[str, T], Field(min_length=1)]  # by training seed, or by sampling seed


def _known(metric: str) -> str:
    if metric not in KINDS:
        raise ValueError(f"there is no metric {metric}")
    return metric


class Part(BaseModel):
    """Strict and closed, and every number finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Entry(Part):
    """Why the numbers were accepted. commit: of the code that wrote the file.  records: of the code that made the records."""

    date: str
    reason: str
    commit: str
    records: list[str]


class KeptMetric(Part):
    """values: by training and sampling seed.  n_units: that a bootstrap resamples.  draws: by training seed, its first ones."""

    values: Seeds[Seeds[float]]
    n_units: Annotated[int, Field(ge=1)]
    draws: Seeds[Annotated[list[float], Field(min_length=2)]]


class KeptCell(Part):
    """protocol: its hash.  weights, outputs, matrices: SHA-256 by training and sampling seed."""

    protocol: str
    evaluations: Annotated[float, Field(ge=0)]
    adaptive: bool
    weights: Seeds[Seeds[str | None]]
    outputs: Seeds[Seeds[str]]
    matrices: Seeds[Seeds[str | None]]
    metrics: dict[Annotated[str, AfterValidator(_known)], KeptMetric]

    @model_validator(mode="after")
    def _of_the_same_trainings(self) -> "KeptCell":
        trainings = {"outputs": self.outputs.keys(), "matrices": self.matrices.keys()}
        for name, metric in self.metrics.items():
            trainings |= {f"metrics.{name}.values": metric.values.keys(), f"metrics.{name}.draws": metric.draws.keys()}
        for field, seeds in trainings.items():
            if seeds != self.weights.keys():
                raise ValueError(f"{field} has training seeds {', '.join(seeds)}, but weights {', '.join(self.weights)}")
        return self


class Reference(Part):
    """protocols: by their hash.  cells: by their name."""

    format: Literal[1]
    suite: str
    history: Annotated[list[Entry], Field(min_length=1)]
    protocols: dict[str, dict[str, Any]]
    cells: dict[str, KeptCell]

    @model_validator(mode="after")
    def _whole(self) -> "Reference":
        """Every protocol is there, and all draws are as many."""
        for name, cell in self.cells.items():
            if cell.protocol not in self.protocols:
                raise ValueError(f"cells.{name}.protocol is not among protocols")
        lengths = {
            f"cells.{name}.metrics.{metric}.draws.{seed}": len(draws)
            for name, cell in self.cells.items()
            for metric, kept in cell.metrics.items()
            for seed, draws in kept.draws.items()
        }
        usual = max(counted, key=counted.__getitem__) if (counted := Counter(lengths.values())) else 0
        for field, length in lengths.items():
            if length != usual:
                raise ValueError(f"{field} has {length} draws, the rest {usual}")
        return self


def read(path: Path) -> dict[str, Any]:
    """A reference; SemFlowError names the file and what is wrong in it."""
    mend = "restore it from git, or delete it and make it again with `semflow accept_reference`"
    try:
        return Reference.model_validate_json(path.read_bytes()).model_dump(mode="json")
    except FileNotFoundError:
        raise SemFlowError(f"there is no reference at {path}; make one with `semflow accept_reference`") from None
    except OSError as error:
        raise SemFlowError(f"{path} is not a readable reference ({error.strerror}); {mend}") from None
    except ValidationError as error:
        raise SemFlowError(f"{path} is not a reference of format 1: {_first(error)}; {mend}") from None


def write(path: Path, reference: dict[str, Any]) -> None:
    """Write a reference, a cell a line, for git to compare; SemFlowError names what in the records it cannot keep."""
    try:
        Reference.model_validate(reference)
    except ValidationError as error:
        raise SemFlowError(f"these records make no reference: {_first(error)}; evaluate them again") from None
    head = {field: value for field, value in reference.items() if field != "cells"}
    lines = ",\n".join(f"  {json.dumps(cell)}: {json.dumps(kept)}" for cell, kept in reference["cells"].items())
    files.write_text(path, f'{json.dumps(head, indent=1)[:-2]},\n "cells": {{\n{lines}\n }}\n}}\n')


def _first(error: ValidationError) -> str:
    """Field and mistake."""
    first = error.errors()[0]
    where, what = ".".join(map(str, first["loc"])) or "the whole", first["msg"].removeprefix("Value error, ")
    return f"{where}: {what}"


def reference_of(runs: list[Run]) -> dict[str, Any]:
    """What a reference keeps of records: their suite, protocols by their hash, and cells."""
    cells = {cell: _summary(group) for cell, group in sorted(_cells(runs).items())}
    return {"suite": runs[0].record.suite, "protocols": _protocols(runs), "cells": cells}


def _cells(runs: list[Run]) -> dict[str, list[Run]]:
    """Runs by cell, seeds together; where there are several data sets, a cell's name says which."""
    names = Names.among(runs)
    cells: dict[str, list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.record.training_seed, run.record.sampling_seed)):
        record = run.record
        trained = f", b = {record.amplitude:g}" if record.amplitude else ""
        drawn = f", b' = {record.sampling_amplitude:g}" if record.sampling_amplitude != record.amplitude else ""
        name = f"{title(record.method, record.sampler, record.steps)} {record.task}{names.on(record)}"
        cells[name + trained + (drawn if record.task == "synthesis" else "")].append(run)
    return dict(cells)


def _protocol(run: Run) -> dict[str, Any]:
    """What must be the same for two values to be of one metric."""
    record = run.record
    what = {"dataset": record.dataset, "split": record.split, "data": record.provenance.data_sha256, "n_images": record.n_images}
    return record.protocol.model_dump(mode="json") | what | {"settings": record.settings, "classes": list(record.classes)}


def _protocols(runs: list[Run]) -> dict[str, dict[str, Any]]:
    """Every protocol by its hash."""
    return {content_hash(protocol): protocol for protocol in map(_protocol, runs)}


def _summary(group: list[Run]) -> dict[str, Any]:
    """What a reference keeps of a cell: protocol, effort, digests by training and sampling seed, and its metrics."""
    record = group[0].record
    return {
        "protocol": content_hash(_protocol(group[0])),
        "evaluations": float(np.mean([run.record.evaluations for run in group])),
        "adaptive": bool(record.evaluations and not record.steps),
        "weights": _by_seeds(group, lambda run: run.record.provenance.checkpoint_sha256),
        "outputs": _by_seeds(group, lambda run: run.record.outputs_sha256),
        "matrices": _by_seeds(group, _digest),
        "metrics": {name: _metric(group, name) for name in record.metrics if all(name in run.record.metrics for run in group)},
    }


def _metric(group: list[Run], name: str) -> dict[str, Any]:
    """Values by training and sampling seed, what the draws resample, and by training the first draws of the mean over seeds."""
    arrays, draws = group[0].arrays, _by_seeds(group, lambda run: run.arrays.draws[name][:N_DRAWS])
    return {
        "values": _by_seeds(group, lambda run: run.record.metrics[name].value),
        "n_units": min(int(arrays.units.max()) + 1, len(arrays.values.get(name, arrays.units))),
        "draws": {
            training: [float(f"{draw:.{DIGITS}g}") for draw in np.mean([*by_seed.values()], axis=0)]
            for training, by_seed in draws.items()
        },
    }


def _by_seeds(group: list[Run], what: Callable[[Run], Any]) -> dict[str, dict[str, Any]]:
    by_training: dict[str, dict[str, Any]] = defaultdict(dict)
    for run in group:
        by_training[str(run.record.training_seed)][str(run.record.sampling_seed)] = what(run)
    return dict(by_training)


def _digest(run: Run) -> str | None:
    """SHA-256 of the per-image confusion matrices."""
    if run.arrays.confusions is None:
        return None
    matrix = run.arrays.confusions.tocoo()
    order = np.lexsort((matrix.col, matrix.row))
    entries = np.stack([matrix.row[order], matrix.col[order], matrix.data[order]]).astype(np.int64)
    return hashlib.sha256(entries.tobytes()).hexdigest()
