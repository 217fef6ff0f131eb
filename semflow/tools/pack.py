"""A suite's results in one archive, and back: records, weights, tables, configuration and environment, each with its SHA-256.

The archive is a plain zip, stored: the same files give the same bytes, whenever and wherever they are packed. `sha256sum --check
manifest-sha256.txt` checks what any other tool unpacked.
"""

import hashlib
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import semflow
from semflow import files, provenance
from semflow.claims import drift
from semflow.claims.collect import Run, listed, read_runs
from semflow.errors import SemFlowError
from semflow.evaluation import records
from semflow.progress import Progress
from semflow.suite import reading, runs
from semflow.tools import crate
from semflow.tools.crate import METADATA, Content
from semflow.tools.zips import name_inside, opened
from semflow.training.card import CARD, read_card

MANIFEST, CONFIG, ENVIRONMENT = "manifest-sha256.txt", "config.json", "environment.json"
CHECKPOINTS, WORKFLOW, SNAKEFILE = "checkpoints", "workflow", "workflow/Snakefile"
LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can hold
MODE = 0o100644 << 16
CHUNK = 1 << 20
CHECKOUT = Path(semflow.__file__).resolve().parents[1]
PINNED = ("constraints.txt", "environment.yml")  # of a checkout: versions of every package that was installed
AGAIN = "get the archive again"


class Packed(NamedTuple):
    """What was packed. notes: a sentence on everything that is not in the archive, or not as it should be."""

    n_records: int
    n_checkpoints: int
    n_files: int
    sha256: str
    notes: list[str]


def pack(folder: Path, out: Path, date: str = "", licence: str = "MIT") -> Packed:
    """Write the archive of a suite's folder (`results/<suite>`).

    licence: of the archive.  date: of publication, YYYY-MM-DD; by default that of the latest commit whose code made a record.
    SemFlowError if the folder is no suite's, a record or a checkpoint is damaged, or no date is known.
    """
    if not (folder / CONFIG).is_file():
        raise SemFlowError(f"{folder} has no {CONFIG}, so it is no suite's folder; name results/SUITE, in which the workflow ran")
    if out.resolve().is_relative_to(folder.resolve()):
        raise SemFlowError(f"--out {out} lies in {folder}, which is packed; name a file elsewhere")
    study = reading.load_study(folder / CONFIG)
    wanted = [
        folder / Path(runs.record_path(one, suite)).relative_to(f"results/{study.name}")
        for suite in study.suites.values()
        for one in runs.evaluations(suite)
    ]
    found = [path for path in wanted if path.exists()]
    if not found:
        raise SemFlowError(f"{folder} has none of the records that its {CONFIG} asks for; run the workflow first")
    known = read_runs(found)
    weights = sorted(path.parent for path in _files(folder / CHECKPOINTS) if path.name == CARD)
    packed = {read_card(path).weights_sha256 for path in weights}
    tables = [path for path in sorted(folder.glob("*.csv")) + [folder / "claims.json"] if path.is_file()]
    outputs = [*tables, *found, *map(records.arrays_path, found), *(path for place in weights for path in _files(place))]
    sources = {path.relative_to(folder).as_posix(): path for path in (folder / CONFIG, *outputs)}
    about = {path.relative_to(CHECKOUT).as_posix(): path for path in _workflow()}
    run, environment = _described(known, study.name, licence, date)
    with Progress(f"pack {folder}", len(sources) + len(about), unit="files") as progress:

        def write(part: Path) -> None:
            with zipfile.ZipFile(part, "w") as zipped:
                contents = {ENVIRONMENT: _add_text(zipped, ENVIRONMENT, files.json_text(environment))}
                for name, path in sorted((sources | about).items()):
                    role = "workflow" if name in about else "input" if name == CONFIG else "output"
                    contents[name] = _add(zipped, name, path, role)
                    progress.update(1)
                text = crate.metadata(run, contents, SNAKEFILE)
                contents[METADATA] = _add_text(zipped, METADATA, text)
                lines = "".join(f"{content.sha256}  {name}\n" for name, content in sorted(contents.items()))
                _add_text(zipped, MANIFEST, lines)

        files.write_atomically(out, write)
    notes = _notes(len(wanted) - len(found), known, packed)
    return Packed(len(found), len(weights), len(sources) + len(about) + 3, files.file_hash(out), notes)


def _files(folder: Path) -> list[Path]:
    """All files below a folder, but hidden ones, which are unfinished or Snakemake's. SemFlowError for a link to a folder, which
    would be left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and path.is_dir():
            raise SemFlowError(f"{path} is a link to a folder; put the folder itself there, to be packed")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            found.append(path)
    return found


def _workflow() -> list[Path]:
    """The workflow's own files, and the versions that the checkout pins. SemFlowError outside a checkout."""
    found = [path for path in _files(CHECKOUT / WORKFLOW) if "__pycache__" not in path.parts]
    if CHECKOUT / SNAKEFILE not in found:
        raise SemFlowError(f"there is no {SNAKEFILE} beside the package, and the archive says what ran; pack in a checkout")
    return [*found, *(path for name in PINNED if (path := CHECKOUT / name).is_file())]


def _described(known: list[Run], suite: str, licence: str, date: str) -> tuple[crate.Run, dict[str, object]]:
    """What ran, and the environment that it ran in: commits, package versions, devices and kinds of machines of all records."""
    origin = drift.reference_of(known).origin
    day = date or provenance.committed(commit.removesuffix("-dirty") for commit in origin.commits)
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
        raise SemFlowError(f"git does not know the day of {listed(origin.commits)}; give the archive's date: --date YYYY-MM-DD")
    versions = {name: listed(numbers) for name, numbers in origin.versions.items()}
    data = {f"{run.record.dataset}, {run.record.split} split": run.record.provenance.data_sha256 for run in known}
    return crate.Run(suite, licence, listed(origin.commits), day, versions, data), origin.model_dump()


def _notes(n_missing: int, known: list[Run], packed: set[str]) -> list[str]:
    """A sentence on what the archive lacks, or may be doubted."""
    used = {run.record.provenance.checkpoint_sha256 for run in known} - {None}
    commits = {run.record.provenance.commit for run in known}
    dirty = any(run.record.provenance.dirty for run in known)
    notes = [f"{n_missing} of {n_missing + len(known)} records of the suite are not there yet"] if n_missing else []
    notes += [f"the weights behind some records ({len(used - packed)} of {len(used)}) are not there"] if used - packed else []
    notes += ["some records were made with code that was not committed"] if dirty else []
    notes += [f"the records were made with the code of {len(commits)} commits"] if len(commits) > 1 else []
    here = provenance.commit()[0]
    other = f"the workflow's files are of commit {here[:12]}, with whose code no record was made"
    return notes + ([] if here in commits else [other])


def _add(zipped: zipfile.ZipFile, name: str, path: Path, role: str) -> Content:
    with files.reading(path), path.open("rb") as source:
        return _stored(zipped, name, iter(partial(source.read, CHUNK), b""), role, path.stat().st_size)


def _add_text(zipped: zipfile.ZipFile, name: str, text: str) -> Content:
    return _stored(zipped, name, [text.encode()], "about", len(text.encode()))


def _stored(zipped: zipfile.ZipFile, name: str, chunks: Iterable[bytes], role: str, size: int) -> Content:
    """Write a member that says nothing of time, user or mode, and hash what was written."""
    info, digest = zipfile.ZipInfo(name, EPOCH), hashlib.sha256()
    info.external_attr, info.create_system, info.file_size = MODE, 3, size
    with zipped.open(info, "w") as target:
        for chunk in chunks:
            digest.update(chunk)
            target.write(chunk)
    return Content(role, info.file_size, digest.hexdigest())


def unpack(path: Path, out: Path) -> int:
    """Write an archive's files to a new folder, every hash checked; how many. SemFlowError, with nothing written, if a file is
    damaged, not in the manifest or missing, if a name leads out of the folder or is a link, or if the folder holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SemFlowError(f"--out {out} holds something already; name a new or an empty folder")
    with files.reading(path), opened(path) as zipped:
        members = _members(zipped, path)
        hashes = _manifest(zipped, members, path)
        with files.new_folder(out) as scratch, Progress(f"unpack {path}", len(members), unit="files") as progress:
            for name, info in members.items():
                place = scratch / name
                place.parent.mkdir(parents=True, exist_ok=True)
                with zipped.open(info) as source, place.open("wb") as target:
                    digest = _copied(source, target)
                if name != MANIFEST and digest != hashes[name]:
                    raise SemFlowError(f"{path}: {name} is damaged, its SHA-256 is not the manifest's; {AGAIN}")
                progress.update(1)
    return len(members)


def _members(zipped: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive by where they belong; folders are made as they are needed."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in zipped.infolist():
        name = str(name_inside(info, path, f"it was not written by `semflow pack`; {AGAIN}"))
        if not info.is_dir() and members.setdefault(name, info) is not info:
            raise SemFlowError(f"{path} holds {name} twice; {AGAIN}")
    if above := [str(folder) for name in members for folder in Path(name).parents if str(folder) in members]:
        raise SemFlowError(f"{path} holds {above[0]} as a file and as a folder; {AGAIN}")
    return members


def _manifest(zipped: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], path: Path) -> dict[str, str]:
    """SHA-256 of every file but the manifest. SemFlowError if it lists others than there are."""
    if MANIFEST not in members:
        raise SemFlowError(f"{path} has no {MANIFEST}, so it is cut off or not of `semflow pack`; {AGAIN}")
    hashes = dict(_listed(zipped.read(members[MANIFEST]), path))
    if extra := members.keys() - hashes.keys() - {MANIFEST}:
        raise SemFlowError(f"{path} holds {min(extra)}, which its {MANIFEST} does not list{_more(extra)}; {AGAIN}")
    if lost := hashes.keys() - members.keys():
        raise SemFlowError(f"{path} lacks {min(lost)}, which its {MANIFEST} lists{_more(lost)}; {AGAIN}")
    return hashes


def _listed(manifest: bytes, path: Path) -> Iterator[tuple[str, str]]:
    for line in manifest.decode(errors="replace").splitlines():
        if not (found := LINE.fullmatch(line)):
            raise SemFlowError(f"{path}: {MANIFEST} holds {line[:80]!r}, which is not a SHA-256 and a name; {AGAIN}")
        yield found[2], found[1]


def _more(names: set[str]) -> str:
    return f" (and {len(names) - 1} more like it)" if len(names) > 1 else ""


def _copied(source: object, target: BinaryIO) -> str:
    """Copy to the end; SHA-256 of what was copied."""
    digest = hashlib.sha256()
    for chunk in iter(partial(source.read, CHUNK), b""):  # type: ignore[attr-defined]
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()
