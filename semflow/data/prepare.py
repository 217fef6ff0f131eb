"""Makes one of the paper's data sets ready: unpacks its archives, merges CelebAMask-HQ's parts, counts, writes a manifest.

It can be killed and run again at any time: files appear whole, and what is there already stays.
"""

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from semflow import files
from semflow.data import celebamask_hq
from semflow.data.folders import Found, names_and_sizes
from semflow.data.official import OFFICIAL, Archive
from semflow.data.survey import problems, survey
from semflow.errors import SemFlowError
from semflow.progress import Progress

MANIFEST = "semflow-manifest.json"


def prepare(name: str, root: Path, out: Path | None = None) -> dict[str, Any]:
    """The manifest of the data set, which is written to `out`, or to `semflow-manifest.json` in `root`.

    SemFlowError if something is missing or damaged. That there are other than the official numbers of pairs is no mistake;
    the manifest says so.
    """
    root, out = Path(root), out or Path(root) / MANIFEST
    known = files.read_json(out, "manifest") if out.is_file() else {}
    archives = [_unpacked(archive, root, known) for archive in OFFICIAL[name].archives if (root / archive.file).exists()]
    if name == "celebamask_hq":
        merge_all(celebamask_hq.home(root))
    found = survey(name, root)
    if wrong := problems(found):
        raise SemFlowError(
            wrong[0] + (f" (and {len(wrong) - 1} more, see `semflow data check {name} {root}`)" if wrong[1:] else "")
        )
    manifest = _manifest(name, found, archives)
    if manifest != known:
        files.write_json(out, manifest)
    return manifest


def _manifest(name: str, found: dict[str, Found], archives: list[dict[str, Any]]) -> dict[str, Any]:
    counts = {split: len(here.images) for split, here in found.items()}
    splits = {
        split: {"pairs": counts[split], "names_and_sizes": names_and_sizes([*here.images.values(), *here.labels.values()])}
        for split, here in found.items()
    }
    manifest: dict[str, Any] = {"name": name, "official": counts == OFFICIAL[name].counts, "splits": splits, "archives": archives}
    if name == "celebamask_hq":
        digest = hashlib.sha256()
        for path in sorted(path for here in found.values() for path in here.labels.values()):
            digest.update(Path(path).read_bytes())
        manifest["merged_labels"] = digest.hexdigest()
    return manifest


def _unpacked(archive: Archive, root: Path, known: dict[str, Any]) -> dict[str, Any]:
    """Unpack an archive; its name, size and SHA-256, which is not worked out again if nothing was left to unpack."""
    path = root / archive.file
    wrote, size = unpack(archive, root), path.stat().st_size
    for entry in known.get("archives", []):
        if not wrote and (entry["file"], entry["bytes"]) == (archive.file, size):
            return entry
    return {"file": archive.file, "bytes": size, "sha256": files.remembered_hash(path)}


def unpack(archive: Archive, root: Path) -> bool:
    """Unpack what is not there at its right size yet; whether that was anything. SemFlowError if the archive is damaged."""
    path = root / archive.file
    places = [root / place for place in archive.under]
    target = next((place for place in places if any((place / folder).exists() for folder in archive.folders)), places[0])
    with _reading(path), zipfile.ZipFile(path) as zipped:
        members = [(info, target / inside) for info in zipped.infolist() if (inside := _inside(info, archive, path))]
        if not members:
            raise SemFlowError(f"{path} holds no {archive.folders[0]}, so it is not the official archive; fetch that")
        waiting = [(info, place) for info, place in members if _size(place) != info.file_size]
        if waiting:
            with Progress(f"unpack {archive.file}", len(members), len(members) - len(waiting)) as progress:
                for info, place in waiting:
                    _extract(zipped, info, place)
                    progress.update(1)
    return bool(waiting)


def _inside(info: zipfile.ZipInfo, archive: Archive, path: Path) -> PurePosixPath | None:
    """Where a member belongs; None for what is not needed. SemFlowError if its name leads out of the folder."""
    name = PurePosixPath(info.filename)
    if name.is_absolute() or ".." in name.parts or "\\" in info.filename or ":" in info.filename:
        raise SemFlowError(f"{path} holds {info.filename!r}, which leads out of its folder; this is not the official archive")
    if archive.top and name.parts[:1] == (archive.top,):
        name = PurePosixPath(*name.parts[1:])
    needed = name.parts[:1] and name.parts[0] in archive.folders and not name.name.startswith(".")
    return name if needed and not info.is_dir() else None


def _extract(zipped: zipfile.ZipFile, info: zipfile.ZipInfo, place: Path) -> None:
    """One member, its CRC checked. Not forced to the disk one by one: a file that a crash cut off has another size."""
    part = place.with_name(".unpacking.part")
    with files.writing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with zipped.open(info) as source, part.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns what a damaged archive raises into one sentence."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SemFlowError(f"{path} is damaged or only half downloaded ({error}); fetch it again") from None


def _size(path: Path) -> int:
    """Bytes of a file; -1 if there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return -1


def merge_all(root: Path) -> None:
    """Label maps of all faces that have none yet."""
    folder = root / celebamask_hq.MERGED
    everyone, parts = celebamask_hq.faces(root), celebamask_hq.part_files(root)
    there = {entry.name for entry in os.scandir(folder) if entry.stat().st_size} if folder.is_dir() else set()
    able = [name for name in everyone if name in parts]
    waiting = [name for name in able if f"{name}.png" not in there]
    if not waiting:
        return
    palette = [channel for colour in celebamask_hq.PALETTE for channel in colour]

    def write(name: str) -> None:
        labels = celebamask_hq.merge(parts[name])
        labels.putpalette(palette)
        _save(labels, folder / f"{name}.png")

    with files.writing(folder):
        folder.mkdir(exist_ok=True)
    with Progress("merge", len(able), len(able) - len(waiting)) as progress, ThreadPoolExecutor() as pool:
        for _ in pool.map(write, waiting):
            progress.update(1)


def _save(picture: Image.Image, place: Path) -> None:
    part = place.with_name(f".{place.stem}.part")
    with files.writing(place):
        try:
            picture.save(part, format="PNG")
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
