"""Records of one suite, read together and grouped into cells."""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from semflow import records
from semflow.errors import SemFlowError
from semflow.records import Arrays, Record

NAMES = {"semflow": "SemFlow", "dsm": "DSM", "ceiling": "ceiling", "floor": "floor"}
SAMPLERS = {"euler": "Euler", "ddim": "DDIM", "ddpm": "DDPM", "none": ""}


def title(method: str, sampler: str) -> str:
    """A row's name, such as "SemFlow Euler"; what is not listed above goes by its own name."""
    return f"{NAMES.get(method, method)} {SAMPLERS.get(sampler, sampler)}".strip()


class Run(NamedTuple):
    """A record and the arrays beside it."""

    record: Record
    arrays: Arrays


Cells = dict[tuple[str, str, int], list[Run]]


def read_runs(paths: list[Path]) -> list[Run]:
    """Read records with their arrays. SemFlowError if one is damaged, or if they were not measured the same way."""
    runs = [_read(path) for path in paths]
    if not runs:
        raise SemFlowError("no records were given; run the evaluation first")
    first = runs[0].record
    for path, run in zip(paths, runs, strict=True):
        record = run.record
        if (record.protocol, record.provenance.data_sha256) != (first.protocol, first.provenance.data_sha256):
            raise SemFlowError(f"{path} was measured under another protocol or on other data than {paths[0]}; evaluate it again")
    return runs


def _read(path: Path) -> Run:
    record, beside = records.read(path), records.arrays_path(path)
    arrays = Arrays.load(beside)
    if hashlib.sha256(beside.read_bytes()).hexdigest() != record.arrays_sha256:
        raise SemFlowError(f"{beside} is not what {path} was written with; evaluate it again")
    return Run(record, arrays)


def by_cell(runs: list[Run]) -> Cells:
    """Runs by (method, sampler, steps), each list ordered by (training seed, sampling seed)."""
    cells: Cells = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.record.training_seed, run.record.sampling_seed)):
        cells[run.record.method, run.record.sampler, run.record.steps].append(run)
    return dict(cells)
