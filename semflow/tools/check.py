"""Looks one of the paper's data sets over: counts, pairs, sizes, classes, licence, and where to get what is missing."""

import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from semflow.data import celebamask_hq
from semflow.data.folders import Found, Pictures, listed
from semflow.data.official import OFFICIAL, where_to_get
from semflow.data.sample import IGNORE_INDEX
from semflow.errors import SemFlowError
from semflow.progress import Progress
from semflow.tools.sheet import write_sheet
from semflow.tools.survey import READERS, problems, survey

LOOKED_INTO = 200  # pairs of a split
ON_THE_SHEET = 4  # pairs of a split
NAMED = 12  # of a list that may be long
ASK = re.compile(r"; `semflow data check [^`]*` says where to get it")  # no help to who just did


class Report(NamedTuple):
    """What there is, in lines; what is wrong, in sentences."""

    lines: list[str]
    problems: list[str]


def check(
    name: str,
    root: Path,
    size: tuple[int, int] | None = None,
    everything: bool = False,
    subset: bool = False,
    out: Path | None = None,
) -> Report:
    """Look the data set over, reading some pairs of each split or all.

    size: of the pictures on the contact sheet, which is written to `out`; None: the paper's.  subset: whether other than
    the official numbers of pictures are meant.  SemFlowError if the sheet cannot be written.
    """
    facts, found = OFFICIAL[name], survey(name, root)
    report = Report([f"{facts.title} in {root}"], [ASK.sub("; the lines above say where to get it", s) for s in problems(found)])
    shown: list[Pictures] = []
    for split, here in found.items():
        report.lines.append(_counted(split, here, facts.counts[split]))
        if not subset and here.images and len(here.images) != facts.counts[split]:
            report.problems.append(
                f"{split}: there are {len(here.images):,} images, officially {facts.counts[split]:,}; fetch them all, or "
                "give --subset if these are meant"
            )
        pairs = _readable(name, split, here, report)
        _look(READERS[name].over(pairs, size or facts.size), split, everything, report)
        shown.append(READERS[name].over(_spread(pairs, ON_THE_SHEET), size or facts.size))
    for split, expected in facts.unlabelled.items():
        report.lines.append(f"{split}: officially {expected:,} images, whose annotations are not public; not needed")
    for path in [root / archive.file for archive in facts.archives if (root / archive.file).exists()]:
        if zipfile.is_zipfile(path):
            report.lines.append(f"{path.name} lies there; `semflow data prepare {name} {root}` unpacks what is not yet")
        else:
            report.problems.append(f"{path} is damaged or only half downloaded; fetch it again")
    report.lines.append(where_to_get(name))
    if out is not None:
        write_sheet(shown, out, report.problems)
    return report


def _counted(split: str, found: Found, expected: int) -> str:
    pairs = len(found.images.keys() & found.labels.keys())
    says = "as officially" if len(found.images) == pairs == expected else f"officially {expected:,}"
    return f"{split}: {len(found.images):,} images, {len(found.labels):,} annotations, {pairs:,} pairs; {says}"


def _readable(name: str, split: str, found: Found, report: Report) -> list[tuple[str, str]]:
    """Pairs of files; what of CelebAMask-HQ is not merged yet is a problem and left out."""
    pairs = [(path, found.labels[stem]) for stem, path in found.images.items() if stem in found.labels]
    if name != "celebamask_hq" or not pairs:
        return pairs
    folder = Path(pairs[0][1]).parent
    merged = set(listed(folder, ".png"))
    there = [pair for pair in pairs if Path(pair[1]).name in merged]
    if len(there) < len(pairs):
        report.problems.append(
            f"{split}: the parts of {len(pairs) - len(there):,} of {len(pairs):,} faces are not merged to {folder} yet; run "
            f"`semflow data prepare {name} {folder.parent}`"
        )
    return there


def _look(pictures: Pictures, split: str, everything: bool, report: Report) -> None:
    """Read pairs: sizes, classes, and what is wrong with a file."""
    pictures.pairs = pictures.pairs if everything else _spread(pictures.pairs, LOOKED_INTO)
    if not pictures.pairs:
        return
    sizes, seen, wrong = Counter[str](), np.zeros(IGNORE_INDEX + 1, int), list[str]()
    parts = celebamask_hq.part_files(Path(pictures.pairs[0][1]).parent.parent) if pictures.name == "celebamask_hq" else None
    with Progress(f"check {split}", len(pictures)) as progress:
        for index, (_, labels_path) in enumerate(pictures.pairs):
            try:
                image, labels = pictures.native(index)
                sizes[f"{image.height} x {image.width}"] += 1
                seen[np.unique(np.asarray(labels))] += 1
                if parts is not None:
                    _check_merged(labels, labels_path, parts[Path(labels_path).stem])
            except SemFlowError as error:
                wrong.append(str(error))
            progress.update(1)
    report.problems.extend(wrong[:NAMED])
    if wrong[NAMED:]:
        report.problems.append(f"{split}: {len(wrong) - NAMED} more pairs like these are wrong")
    report.lines.extend([f"  sizes: {_largest(sizes)}", f"  classes: {_classes(pictures, seen)}"])


def _check_merged(labels: Image.Image, path: str, parts: list[str]) -> None:
    if not np.array_equal(np.asarray(labels), np.asarray(celebamask_hq.merge(parts))):
        raise SemFlowError(f"{path} is not what the parts of its face merge to; delete it and prepare the data set again")


def _largest(sizes: Counter[str]) -> str:
    most = ", ".join(f"{size} ({count:,})" for size, count in sizes.most_common(NAMED))
    rest = f", and {len(sizes) - NAMED} more" if len(sizes) > NAMED else ""
    return f"{most}{rest} in {sizes.total():,} pictures"


def _classes(pictures: Pictures, seen: np.ndarray) -> str:
    absent = [name for name, count in zip(pictures.names, seen, strict=False) if not count]
    most = ", ".join(absent[:NAMED]) + (f" and {len(absent) - NAMED} more" if len(absent) > NAMED else "")
    found = f"{len(pictures.names) - len(absent)} of {len(pictures.names)} in {len(pictures):,} label maps"
    return found + (f"; not in these: {most}" if absent else "")


def _spread(pairs: list[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """At most so many, evenly spread."""
    return [pairs[int(at)] for at in np.linspace(0, len(pairs) - 1, min(len(pairs), most))]
