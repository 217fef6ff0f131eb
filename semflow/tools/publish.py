"""A report and the records behind it, copied to where they are committed: small enough for git, and enough to make it again."""

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from baselines import METHODS
from semflow import files
from semflow.claims.compare import RECORDS
from semflow.errors import SemFlowError
from semflow.evaluation import records
from semflow.evaluation.records import Arrays, Record
from semflow.method.samplers import Sampler
from semflow.progress import Progress

PAGE = re.compile(r"^<!-- (baselines/[a-z0-9_]+) -->\n", re.MULTILINE)


def publish(
    paths: Sequence[Path], out: Path, report: Path | None = None, tables: Iterable[Path] = (), methods: Path | None = None
) -> None:
    """Copy records to `out`/records, without what no product is made from, and put report and tables beside them, in place of
    those that were there. methods: what `semflow report methods` wrote, whose pages become the README of each method's folder.

    Records that are there of other evaluations stay, so that a study may be made on several machines. SemFlowError if a path has
    no folder of records, for records of several suites, or where a report would replace what is none, or itself, or a record one
    that has more.
    """
    if report is not None and report.resolve().is_relative_to(out.resolve()):
        raise SemFlowError(f"--out {out} holds the report {report} itself, which would take its place; give another folder")
    if report is not None and out.exists() and any(out.iterdir()) and not (out / RECORDS).is_dir():
        raise SemFlowError(f"{out} has files but no {RECORDS}, so it is no published report that a new one may replace")
    kept = {path: records.read(path) for path in paths}
    if len({record.suite for record in kept.values()}) > 1:
        raise SemFlowError("--records are of several suites; publish one at a time")
    first = min((record.training_seed for record in kept.values()), default=0)
    targets = {path: _target(path, out) for path in kept}
    there = [path for path, target in targets.items() if target.resolve() == path.resolve()]
    for path in there:  # published already, or it would be written over by less than it has
        if any(draws.dtype != np.float32 for draws in Arrays.load(records.arrays_path(path)).draws.values()):
            raise SemFlowError(f"{path} would be written over by less than it has; publish to another folder than --out {out}")
    with Progress("publish records", len(kept) - len(there), unit="records") as progress:
        for path in (path for path in kept if path not in there):
            record, target = kept[path], targets[path]
            slim = _slim(Arrays.load(records.arrays_path(path)), record.training_seed == first, _main(record))
            digest = slim.save(records.arrays_path(target))
            records.write(target, record.model_copy(update={"arrays_sha256": digest}))
            progress.update(1)
    if report is not None:
        _replace(report, out)
        for notebook in (out / "notebooks").glob("*.ipynb"):  # which opens what a clone has
            files.write_text(notebook, _as_published(notebook.read_text(encoding="utf-8"), report.parent, out))
    for table in tables:
        files.write_atomically(out / table.name, partial(shutil.copyfile, table))
    if methods is not None:
        write_readmes(methods)


def _target(path: Path, out: Path) -> Path:
    """Where a record is copied to. SemFlowError if it lies in no folder of records."""
    if RECORDS not in path.parts:
        raise SemFlowError(f"{path} lies in no folder {RECORDS!r}; publish records where the workflow writes them")
    return Path(out, *path.parts[path.parts.index(RECORDS) :])


def write_readmes(methods: Path) -> None:
    """Each page of a file of methods as the README of the folder that its mark names. SemFlowError if there is no such folder."""
    with files.reading(methods):
        _, *parts = PAGE.split(methods.read_text(encoding="utf-8"))
    for folder, page in zip(parts[::2], parts[1::2], strict=True):
        if not Path(folder).is_dir():
            raise SemFlowError(f"{methods} has a page for {folder}, but there is no such folder here; publish in the repository")
        files.write_text(Path(folder) / "README.md", page)


def _as_published(text: str, run: Path, out: Path) -> str:
    """What a notebook says, with the paths of a run turned into those of what is committed."""
    for there, here in (
        ("config.json", f"config/{run.name}.yaml"),
        ("claims.json", f"{out}/claims.json"),
        (RECORDS, f"{out}/{RECORDS}"),
    ):
        text = text.replace(f"{run}/{there}", here)
    return re.sub(rf"{run}/checkpoints/(?:\w+/)?(\w+)/seed\d+", r"results/reference/weights/\1", text)


def _replace(report: Path, out: Path) -> None:
    """Put a report in place of all in `out` but its records, copied before anything is removed."""
    scratch = out / ".report.part"
    with files.writing(out):
        try:
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.copytree(report, scratch, copy_function=shutil.copyfile)
            for page in scratch.glob("*.html"):  # what lay above a report, records and verdicts, lies beside a published one
                text = page.read_text(encoding="utf-8").replace('href="../', 'href="').replace(f'"../{RECORDS}/', f'"{RECORDS}/')
                page.write_text(text, encoding="utf-8")
            for old in out.iterdir():  # of which a new report may have no like
                if old.name not in (RECORDS, scratch.name):
                    shutil.rmtree(old) if old.is_dir() else old.unlink()
            for new in scratch.iterdir():
                new.replace(out / new.name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _main(record: Record) -> bool:
    """Whether a record is of the sampler that its method is known by in segmentation."""
    card = METHODS.get(record.method)
    return card is not None and card.default.get(record.task) == str(Sampler(record.sampler, record.steps))


def _slim(arrays: Arrays, shown: bool, headline: bool) -> Arrays:
    """Without pictures, unless they are shown, and without per-image confusions but of headlines, from which a reader may make
    them again; draws in float32."""
    draws = {name: values.astype(np.float32) for name, values in arrays.draws.items()}
    slim = replace(arrays, draws=draws, confusions=arrays.confusions if headline else None)
    if shown:
        return slim
    return replace(slim, images=arrays.images[:0], labels=arrays.labels[:0], outputs=arrays.outputs[:0], states=None)
