"""Checks a data set: counts, pairs, sizes, classes, licence, and where to get what is missing."""

import os
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semflow import files
from semflow.data import DATASETS, OFFICIAL
from semflow.data.folders import Found, PairedFiles, listed
from semflow.data.images import open_picture, orientation
from semflow.data.info import Official, notes_of, problems_of
from semflow.data.sample import IGNORE_INDEX, few, unlabelled
from semflow.data.settings import DataSettings, FileSettings
from semflow.errors import SemFlowError
from semflow.progress import Progress
from semflow.tools.sheet import write_sheet

PAIRS_READ = 200  # pairs of a split
PAIRS_SHOWN = 4  # pairs of a split
NOTE = "note: "  # the beginning of a line on what is odd
MOST_NAMED = 12  # of a list that may be long


class Report(NamedTuple):
    """What there is, in lines; what is wrong, in sentences; numbers by split.

    Of a split: images, label_maps, pairs; official: as many as there should be, None if that is not known; looked_into: pairs
    that could be read; sizes: pictures by "height x width"; classes: label maps by the class found in them.
    """

    lines: list[str]
    problems: list[str]
    splits: dict[str, dict[str, Any]]


def check_of_suite(data: DataSettings, **options: Any) -> Report:
    """Check the data set that a suite's section names, where it lies."""
    if not isinstance(data, FileSettings):
        raise SemFlowError(f"data.name: {data.name} has no files to check; they are drawn")
    return check(data.name, data.folder, facts=DATASETS[data.name].facts_of(data, data.folder), **options)


def check(
    name: str,
    root: Path,
    size: tuple[int, int] | None = None,
    everything: bool = False,
    subset: bool = False,
    out: Path | None = None,
    facts: Official | None = None,
) -> Report:
    """Check a data set, reading some pairs of each split or all.

    facts: what is known of it; None: what its registry's entry says.
    size: of the images on the contact sheet, which is written to `out`; None: the paper's.  subset: whether other than
    the official numbers of images are meant.  SemFlowError if the sheet cannot be written.
    """
    facts = facts or OFFICIAL.get(name) or DATASETS[name].facts_of(None, root)
    found = facts.survey(root)
    wrong = problems_of(found, "the lines above say where to get it" if facts.sources else "")
    report = Report([f"{facts.title} in {root}"], wrong, {})
    if [*facts.counts] == ["train"] and found["train"].images:
        report.problems.append(f"there is no split to evaluate on in {root}; make a val or test split")
    shown: list[PairedFiles] = []
    report.lines.extend(f"{NOTE}{note}" for note in notes_of(found))
    for split, here in found.items() if root.is_dir() else ():
        report.lines.append(_counted(split, here, facts.counts[split]))
        report.splits[split] = {
            "images": len(here.images),
            "label_maps": len(here.labels),
            "pairs": len(here.images.keys() & here.labels.keys()),
            "official": facts.counts[split] or None,
            "looked_into": 0,
            "sizes": {},
            "classes": {},
        }
        if not subset and here.images and facts.counts[split] not in (0, len(here.images)):
            report.problems.append(
                f"{split}: there are {len(here.images):,} images, officially {facts.counts[split]:,}; fetch them all, or "
                "give --subset if these are meant"
            )
        pairs = [(path, here.labels[image]) for image, path in here.images.items() if image in here.labels]
        if facts.label_maps is not None:
            pairs = _made(pairs, split, name, report)
        if pairs and split != "train" and (wrong_with := few(len(pairs), split, facts.reader.name)):
            report.problems.append(wrong_with)
        _read(facts.reader.over(pairs, size or facts.size), split, everything, report)
        shown.append(facts.reader.over(_spread(pairs, PAIRS_SHOWN), size or facts.size))
    for split, expected in facts.unlabelled.items():
        report.lines.append(f"{split}: officially {expected:,} images, whose annotations are not public; not needed")
    for path in facts.archives_in(root):
        try:
            files.check_readable(path)
        except SemFlowError as error:
            report.problems.append(str(error))
            continue
        if zipfile.is_zipfile(path):
            report.lines.append(f"{path.name} lies there; `semflow data prepare {name} {root}` unpacks what is not yet")
        else:
            report.problems.append(f"{path} is damaged or only half downloaded; fetch it again")
    report.lines.extend(filter(None, [facts.where_to_get()]))
    if out is not None:
        write_sheet(shown, out, report.problems)
    return report


def _counted(split: str, found: Found, expected: int) -> str:
    pairs = len(found.images.keys() & found.labels.keys())
    says = "" if not expected else "; as officially" if len(found.images) == pairs == expected else f"; officially {expected:,}"
    return f"{split}: {len(found.images):,} images, {len(found.labels):,} annotations, {pairs:,} pairs{says}"


def _made(pairs: list[tuple[str, str]], split: str, name: str, report: Report) -> list[tuple[str, str]]:
    """Pairs whose label map was made already; that others were not is a problem."""
    if not pairs:
        return []
    folder = Path(pairs[0][1]).parent
    there = set(listed(folder, ".png"))
    made = [pair for pair in pairs if Path(pair[1]).name in there]
    if len(made) < len(pairs):
        report.problems.append(
            f"{split}: {len(pairs) - len(made):,} of {len(pairs):,} label maps are not made in {folder} yet; run "
            f"`semflow data prepare {name} {folder.parent}`"
        )
    return made


class _Seen(NamedTuple):
    """Of one pair: height x width, pixels of each label (256,), its path if EXIF turns it alone, and what is wrong with it."""

    size: str
    counts: np.ndarray
    turned: str
    wrong: str


def _read(dataset: PairedFiles, split: str, everything: bool, report: Report) -> None:
    """Read pairs, on all cores: sizes, classes, and what is wrong with a file."""
    dataset.pairs = dataset.pairs if everything else _spread(dataset.pairs, PAIRS_READ)
    if not dataset.pairs:
        return
    sizes, counts, maps = Counter[str](), np.zeros((2, IGNORE_INDEX + 1), int), 0
    wrong, turned = list[str](), list[str]()
    with Progress(f"check {split}", len(dataset)) as progress, ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        for seen in pool.map(partial(_look, dataset, not everything), range(len(dataset))):
            sizes.update([seen.size] if seen.size else [])
            counts += seen.counts, seen.counts > 0
            maps += bool(seen.size)
            wrong += [seen.wrong] if seen.wrong else []
            turned += [seen.turned] if seen.turned else []
            progress.update(1)
    report.problems.extend(wrong[:MOST_NAMED])
    if wrong[MOST_NAMED:]:
        report.problems.append(f"{split}: {len(wrong) - MOST_NAMED} more pairs like these are wrong")
    if maps and (doubt := dataset.doubts(counts[0].tolist(), maps)):
        report.problems.append(f"{split}: {doubt}")
    if maps == len(dataset) and not counts[1, :IGNORE_INDEX].any():
        report.problems.append(unlabelled(split, dataset.name))
    report.splits[split] |= {
        "looked_into": maps,
        "sizes": dict(sizes.most_common()),
        "classes": dict(zip(dataset.names, counts[1].tolist(), strict=False)),
    }
    if hint := dataset.hint(counts[0].tolist()):
        report.lines.append(f"{NOTE}{split}: {hint}")
    if maps:
        report.lines.extend([f"  sizes: {_largest(sizes)}", f"  classes: {_classes(dataset, counts[1], maps)}"])
    if turned:
        report.lines.append(
            f"  orientation: EXIF turns {len(turned):,} pictures and not their labels; all are read as stored, so see that these "
            f"agree: {_few_of(turned)}"
        )


def _look(dataset: PairedFiles, decoded: bool, index: int) -> _Seen:
    size, counts, turned = "", np.zeros(IGNORE_INDEX + 1, int), ""
    image_path, labels_path = dataset.pairs[index]
    try:
        image, labels = dataset.native(index, decoded)
        size, counts = f"{image.height} x {image.width}", np.array(labels.histogram())
        if (told := orientation(image)) != 1 and told != orientation(open_picture(Path(labels_path))):
            turned = image_path
        dataset.verify(index, labels)
    except SemFlowError as error:
        return _Seen(size, counts, turned, str(error))
    return _Seen(size, counts, turned, "")


def _largest(sizes: Counter[str]) -> str:
    return f"{_few_of([f'{size} ({count:,})' for size, count in sizes.most_common()])} in {sizes.total():,} pictures"


def _classes(dataset: PairedFiles, found_in: np.ndarray, maps: int) -> str:
    """found_in: in how many label maps each label is, of so many."""
    absent = [name for name, count in zip(dataset.names, found_in, strict=False) if not count]
    found = f"{len(dataset.names) - len(absent)} of {len(dataset.names)} in {maps:,} label maps"
    return found + (f"; not in these: {_few_of(absent)}" if absent else "")


def _few_of(words: list[str]) -> str:
    return ", ".join(words[:MOST_NAMED]) + (f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else "")


def _spread(pairs: list[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """At most so many, evenly spread."""
    return [pairs[int(at)] for at in np.linspace(0, len(pairs) - 1, min(len(pairs), most))]
