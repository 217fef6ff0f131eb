"""Makes one of the paper's data sets ready: unpacks its archives, merges CelebAMask-HQ's parts, counts, writes a manifest.

It can be killed and run again at any time: files appear whole, and what is there already stays. Nothing is locked or written
in the data set's folder unless something is left to unpack or to merge, so that a finished one may be read-only.
"""

import hashlib
import json
import os
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from semflow import files
from semflow.data import celebamask_hq
from semflow.data.folders import Found, names_and_sizes
from semflow.data.official import OFFICIAL, Archive
from semflow.errors import SemFlowError
from semflow.progress import Progress
from semflow.tools.survey import problems, survey

MANIFEST = "semflow-manifest.json"
PNG_END = b"IEND\xaeB`\x82"
MERGED_OF = "parts"  # the text in a label map that says of which parts it was merged


def prepare(name: str, root: Path, out: Path | None = None) -> dict[str, Any]:
    """The manifest of the data set, which is written to `out`, or to `semflow-manifest.json` in `root`.

    SemFlowError if something is missing or damaged, or is not what it was when either manifest was written. That there are
    other than the official numbers of pairs is no mistake; the manifest says so.
    """
    root, out = Path(root), Path(out or Path(root) / MANIFEST)
    earlier = {path: known for path in (out, root / MANIFEST) if (known := _read(path, name))}
    archives = [_unpacked(archive, root, earlier) for archive in OFFICIAL[name].archives if (root / archive.file).exists()]
    found, home = survey(name, root), celebamask_hq.home(root)
    if wrong := problems(found):
        raise SemFlowError(
            wrong[0] + (f" (and {len(wrong) - 1} more, see `semflow data check {name} {root}`)" if wrong[1:] else "")
        )
    parts, unmerged = parts_and_unmerged(home) if name == "celebamask_hq" else (None, [])
    manifest = _manifest(name, found, archives, parts)
    _compare(earlier, manifest, root)  # before faces are merged anew, so that what is wrong with their parts spoils nothing
    if parts is not None:
        if unmerged:
            merge_all(home)
        manifest["merged_labels"] = _content(path for here in found.values() for path in here.labels.values())
        if not unmerged:  # another version of Pillow writes other bytes
            _compare(earlier, manifest, root)
    if manifest != earlier.get(out):
        text = json.dumps(manifest, indent=2) + "\n"
        files.write_atomically(out, lambda part: part.write_text(text, encoding="utf-8"), shared=True)
    return manifest


def _read(path: Path, name: str) -> dict[str, Any]:
    """What an earlier run wrote of this data set; empty if there is nothing. SemFlowError if it is no manifest."""
    if not path.is_file():
        return {}
    known: Any = files.read_json(path, "manifest")
    try:
        if known["name"] != name:
            return {}
        archives = [{key: entry[key] for key in ("file", "bytes", "sha256")} for entry in known["archives"]]
        splits = {split: {**facts, "pairs": int(facts["pairs"])} for split, facts in known["splits"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SemFlowError(
            f"{path} is not a manifest of `semflow data prepare`; delete it and run the same command again"
        ) from None
    return {**known, "archives": archives, "splits": splits}


def _manifest(name: str, found: dict[str, Found], archives: list[dict[str, Any]], parts: dict[str, str] | None) -> dict[str, Any]:
    """Facts of each split, its files by a hash over their names and sizes. parts: of each face, where faces have parts."""
    counts, splits = {split: len(here.images) for split, here in found.items()}, {}
    for split, here in found.items():
        if parts is None:
            annotations = names_and_sizes(here.labels.values())
        else:
            annotations = hashlib.sha256("".join(parts.get(face, "") for face in here.labels).encode()).hexdigest()
        splits[split] = {"pairs": counts[split], "images": names_and_sizes(here.images.values()), "annotations": annotations}
    return {"name": name, "official": counts == OFFICIAL[name].counts, "splits": splits, "archives": archives}


def _compare(earlier: dict[Path, dict[str, Any]], now: dict[str, Any], root: Path) -> None:
    """SemFlowError if the files are others than when a manifest was written. What a manifest does not hold is not compared."""
    for path, then in earlier.items():
        changed = []
        for split, facts in now["splits"].items():
            before = then["splits"].get(split, {})
            if before.get("pairs", facts["pairs"]) != facts["pairs"]:
                changed.append(f"{split}: {before['pairs']:,} pairs then and {facts['pairs']:,} now")
                continue
            for what in ("images", "annotations"):
                if before.get(what, facts[what]) != facts[what]:
                    changed.append(f"{split}: {what} of other names or sizes")
        merged = now.get("merged_labels")
        if merged and then.get("merged_labels", merged) != merged:
            labels = celebamask_hq.home(root) / celebamask_hq.MERGED
            changed.append(f"other label maps in {labels}, which are merged again if that folder is deleted")
        if changed:
            more = f" (and {len(changed) - 1} more)" if changed[1:] else ""
            raise SemFlowError(
                f"what is in {root} is not what it was when {path} was written: {changed[0]}{more}; fetch again what changed, or "
                f"delete {path} to accept what is there"
            )


def _content(paths: Iterable[str]) -> str:
    """SHA-256 over the bytes of files. SemFlowError if one is not there."""
    digest = hashlib.sha256()
    try:
        for path in sorted(paths):
            digest.update(Path(path).read_bytes())
    except OSError as error:
        raise SemFlowError(
            f"{error.filename} cannot be read ({error.strerror}); delete it and prepare the data set again"
        ) from None
    return digest.hexdigest()


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the folder, in which two runs would write the same scratch files; say so if another run has it, and wait."""
    with files.held(root, lambda: print(f"waiting for another `semflow data prepare` of {root}", file=sys.stderr, flush=True)):
        yield


def _unpacked(archive: Archive, root: Path, earlier: dict[Path, dict[str, Any]]) -> dict[str, Any]:
    """Unpack an archive; its name, size and SHA-256, which is not worked out again if nothing is left to unpack.

    SemFlowError, with nothing unpacked, if it is not the archive that it was when a manifest was written.
    """
    path = root / archive.file
    then = {at: entry for at, known in earlier.items() for entry in known["archives"] if entry["file"] == archive.file}
    if not then:
        unpack(archive, root)
        return _described(path)
    now = next((entry for entry in then.values() if entry["bytes"] == path.stat().st_size), None)
    if now is None or _left(_members(archive, root)):
        now = _described(path)
    for at, entry in then.items():
        if entry != now:
            raise SemFlowError(
                f"{path} is not what it was when {at} was written: {entry['bytes']:,} bytes of SHA-256 {entry['sha256'][:12]} "
                f"then, {now['bytes']:,} of {now['sha256'][:12]} now; fetch it again, or delete {at} to accept it"
            )
    unpack(archive, root)
    return now


def _described(path: Path) -> dict[str, Any]:
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": files.remembered_hash(path)}


def unpack(archive: Archive, root: Path) -> None:
    """Unpack what is not there at its right size yet. SemFlowError if the archive is damaged."""
    members, path = _members(archive, root), root / archive.file
    if not _left(members):
        return
    with _alone(root):
        waiting = _left(members)  # another run may have been at it
        with (
            _reading(path),
            zipfile.ZipFile(path) as zipped,
            Progress(f"unpack {archive.file}", len(members), len(members) - len(waiting)) as progress,
        ):
            for info, place in waiting:
                _extract(zipped, info, place)
                progress.update(1)


def _members(archive: Archive, root: Path) -> list[tuple[zipfile.ZipInfo, Path]]:
    """What of an archive is needed, and where it belongs. SemFlowError if it is not the official archive, or damaged."""
    path = root / archive.file
    places = [root / place for place in archive.under]
    target = next((place for place in places if any((place / folder).exists() for folder in archive.folders)), places[0])
    with _reading(path), zipfile.ZipFile(path) as zipped:
        members = [(info, target / inside) for info in zipped.infolist() if (inside := _inside(info, archive, path))]
    if not members:
        raise SemFlowError(f"{path} holds no {archive.folders[0]}, so it is not the official archive; fetch that")
    return members


def _left(members: Iterable[tuple[zipfile.ZipInfo, Path]]) -> list[tuple[zipfile.ZipInfo, Path]]:
    """What is not there at its right size."""
    return [(info, place) for info, place in members if _size(place) != info.file_size]


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
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise SemFlowError(f"{path} is damaged or only half downloaded ({error}); fetch it again") from None


def _size(path: Path) -> int:
    """Bytes of a file; -1 if there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return -1


def merge_all(root: Path) -> None:
    """Label maps of all faces that have none, or one of other parts than they have now."""
    with _alone(root):
        parts, waiting = parts_and_unmerged(root)  # another run may have been at it
        folder, paths = root / celebamask_hq.MERGED, celebamask_hq.part_files(root)
        palette = [channel for colour in celebamask_hq.PALETTE for channel in colour]

        def write(name: str) -> None:
            labels = celebamask_hq.merge(paths[name])
            labels.putpalette(palette)
            _save(labels, folder / f"{name}.png", parts[name])

        with files.writing(folder):
            folder.mkdir(exist_ok=True)
        with Progress("merge", len(parts), len(parts) - len(waiting)) as progress, ThreadPoolExecutor() as pool:
            for _ in pool.map(write, waiting):
                progress.update(1)


def parts_and_unmerged(root: Path) -> tuple[dict[str, str], list[str]]:
    """A hash over the names and sizes of each face's parts, and the faces whose label map was not merged of these.

    A label map holds the hash itself, as a text, so that the two appear together, and stay together where they are copied.
    """
    folder, paths = root / celebamask_hq.MERGED, celebamask_hq.part_files(root)
    able = [name for name in celebamask_hq.faces(root) if name in paths]

    def look(name: str) -> tuple[str, bool]:
        parts = names_and_sizes(paths[name])
        return parts, _merged_of(folder / f"{name}.png", parts)

    with ThreadPoolExecutor() as pool:
        looked = dict(zip(able, pool.map(look, able), strict=True))
    return {name: parts for name, (parts, _) in looked.items()}, [name for name, (_, done) in looked.items() if not done]


def _merged_of(place: Path, parts: str) -> bool:
    """Whether there is a whole label map of these parts. It is not decoded: that would take minutes for all faces."""
    try:
        data = place.read_bytes()
    except OSError:
        return False
    return parts.encode() in data and data.endswith(PNG_END)


def _save(picture: Image.Image, place: Path, parts: str) -> None:
    part, told = place.with_name(f".{place.stem}.part"), PngInfo()
    told.add_text(MERGED_OF, parts)
    with files.writing(place):
        try:
            picture.save(part, format="PNG", pnginfo=told)
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
