"""Makes a published data set ready: unpacks its archives, makes label maps where it has none, counts, writes a manifest.

It can be killed and run again at any time: files appear whole, and what is there already stays. Nothing is locked or written
in the data set's folder unless something is left to unpack or to merge, so that a finished one may be read-only.
"""

import hashlib
import json
import logging
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any

from semflow import files
from semflow.data import OFFICIAL
from semflow.data.folders import Found, ask, names_and_sizes
from semflow.data.info import Archive, LabelMaps, notes_of, problems_of
from semflow.errors import SemFlowError
from semflow.progress import Progress
from semflow.tools.zips import name_inside, opened

log = logging.getLogger(__name__)
MANIFEST = "semflow-manifest.json"
ARCHIVE = {"file": str, "bytes": int, "sha256": str}  # what a manifest says of one
SOME_LOOKED_FOR = 100  # members of an archive, by which it is told where it was unpacked before


def prepare(name: str, root: Path, out: Path | None = None) -> dict[str, Any]:
    """The manifest of the data set, which is written to `out`, or to `semflow-manifest.json` in `root`.

    SemFlowError if something is missing or damaged, or is not what it was when either manifest was written. That there are
    other than the official numbers of pairs is no mistake; the manifest says so.
    """
    root, out, facts = Path(root), Path(out or Path(root) / MANIFEST), OFFICIAL[name]
    earlier = {path: known for path in (out, root / MANIFEST) if (known := _read(path, name))}
    archives = [_unpacked(archive, root, earlier) for archive in facts.archives if (root / archive.file).exists()]
    found = facts.survey(root)
    if wrong := problems_of(found, ask(name, root)):
        raise SemFlowError(
            wrong[0] + (f" (and {len(wrong) - 1} more, see `semflow data check {name} {root}`)" if wrong[1:] else "")
        )
    maps = facts.label_maps and facts.label_maps(root)
    manifest = _manifest(name, found, archives, maps)
    _compare(earlier, manifest, root, maps)  # before label maps are made anew, so that wrong annotations spoil nothing
    if facts.label_maps and maps:
        if maps.missing:
            _make_all(facts.label_maps, root, maps.folder)
        manifest["merged_labels"] = _content(path for here in found.values() for path in here.labels.values())
        if not maps.missing:  # another version of Pillow writes other bytes
            _compare(earlier, manifest, root, maps)
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
        archives = [{key: kind(entry[key]) for key, kind in ARCHIVE.items()} for entry in known["archives"]]
        splits = {split: {**facts, "pairs": int(facts["pairs"])} for split, facts in known["splits"].items()}
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        raise SemFlowError(
            f"{path} is not a manifest of `semflow data prepare`; delete it and run the same command again"
        ) from None
    return {**known, "archives": archives, "splits": splits}


def _manifest(name: str, found: dict[str, Found], archives: list[dict[str, Any]], maps: LabelMaps | None) -> dict[str, Any]:
    """Facts of each split, its files by a hash over their names and sizes."""
    counts, splits = {split: len(here.images) for split, here in found.items()}, {}
    for split, here in found.items():
        if maps is None:
            annotations = names_and_sizes(here.labels.values())
        else:
            annotations = hashlib.sha256("".join(maps.sources.get(image, "") for image in here.labels).encode()).hexdigest()
        splits[split] = {"pairs": counts[split], "images": names_and_sizes(here.images.values()), "annotations": annotations}
    notes = notes_of(found)
    whole = {"name": name, "official": counts == OFFICIAL[name].counts, "splits": splits, "archives": archives}
    return whole | ({"notes": notes} if notes else {})


def _compare(earlier: dict[Path, dict[str, Any]], now: dict[str, Any], root: Path, maps: LabelMaps | None) -> None:
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
        if maps and merged and then.get("merged_labels", merged) != merged:
            changed.append(f"other label maps in {maps.folder}, which are made again if that folder is deleted")
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


def _alone(root: Path) -> AbstractContextManager[None]:
    """Hold the folder, in which two runs would write the same scratch files; say so if another run has it, and wait."""
    return files.held(root, lambda: log.warning("waiting for another `semflow data prepare` of %s", root))


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
            opened(path) as zipped,
            Progress(f"unpack {archive.file}", len(members), len(members) - len(waiting), unit="files") as progress,
        ):
            for info, place in waiting:
                _extract(zipped, info, place)
                progress.update(1)


def _members(archive: Archive, root: Path) -> list[tuple[zipfile.ZipInfo, Path]]:
    """What of an archive is needed, and where it belongs. SemFlowError if it is not the official archive, or damaged."""
    path = root / archive.file
    members = dict[PurePosixPath, zipfile.ZipInfo]()
    with opened(path) as zipped:
        for info in zipped.infolist():
            if (place := _needed(info, archive, path)) and members.setdefault(place, info) is not info:
                raise SemFlowError(
                    f"{path} holds {members[place].filename!r} and {info.filename!r}, which are one file; this is not the "
                    "official archive"
                )
    if both := next((above for inside in members for above in inside.parents if above in members), None):
        raise SemFlowError(f"{path} holds {str(both)!r} as a file and as a folder; this is not the official archive")
    if not members:
        raise SemFlowError(f"{path} holds no {archive.folders[0]}, so it is not the official archive; fetch that")
    places, some = [root / place for place in archive.under], [*members][:: max(1, len(members) // SOME_LOOKED_FOR)]
    target = next((place for place in places if any((place / inside).exists() for inside in some)), places[0])
    return [(info, target / inside) for inside, info in members.items()]


def _left(members: Iterable[tuple[zipfile.ZipInfo, Path]]) -> list[tuple[zipfile.ZipInfo, Path]]:
    """What is not there at its right size."""
    return [(info, place) for info, place in members if _size(place) != info.file_size]


def _needed(info: zipfile.ZipInfo, archive: Archive, path: Path) -> PurePosixPath | None:
    """Where a member belongs, whichever slash its name has; None for what is not needed. SemFlowError if its name leads out of
    the folder, or if it is a link.
    """
    name = name_inside(info, path, "this is not the official archive")
    if archive.top and name.parts[:1] == (archive.top,):
        name = PurePosixPath(*name.parts[1:])
    needed = name.parts[:1] and name.parts[0] in archive.folders and not name.name.startswith(".")
    return name if needed and not info.filename.endswith(("/", "\\")) else None


def _extract(zipped: zipfile.ZipFile, info: zipfile.ZipInfo, place: Path) -> None:
    """One member, its CRC checked. Not forced to the disk one by one: a file that a crash cut off has another size."""

    def copy(part: Path) -> None:
        with zipped.open(info) as source, part.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)

    files.write_atomically(place, copy, forced=False)


def _size(path: Path) -> int:
    """Bytes of a file; -1 if there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return -1


def _make_all(label_maps: Callable[[Path], LabelMaps], root: Path, folder: Path) -> None:
    """Label maps of all images that have none, or one of other annotations than they have now."""
    with _alone(folder.parent):
        maps = label_maps(root)  # another run may have been at it
        with files.writing(folder):
            folder.mkdir(exist_ok=True)
        total = len(maps.sources)
        with Progress("make label maps", total, total - len(maps.missing)) as progress, ThreadPoolExecutor() as pool:
            for _ in pool.map(maps.make, maps.missing):
                progress.update(1)
