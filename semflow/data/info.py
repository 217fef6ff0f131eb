"""What is known of a data set before a file of it is read: the entry of the registry, and the official facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from semflow.data.folders import Found, PairedFiles
from semflow.data.label_maps import Ids
from semflow.data.sample import IGNORE_INDEX, Colour, Dataset
from semflow.data.settings import DataSettings
from semflow.errors import SemFlowError


class Archive(NamedTuple):
    """A zip file as it is published. folders: what it has at its top that we need.  top: a folder around those.

    under: where they belong, from the root; of several places, the first that is there already, or else the first.
    """

    file: str
    folders: tuple[str, ...]
    top: str = ""
    under: tuple[str, ...] = ("",)


class LabelMaps(Protocol):
    """Label maps that are made from raw annotations before a data set can be read.

    folder: where they lie.  sources: a hash of the raw annotations of each image.  missing: images whose label map was not made
    from these.
    """

    folder: Path
    sources: dict[str, str]
    missing: list[str]

    def make(self, name: str) -> None:
        """Write the label map of an image."""
        ...


@dataclass(frozen=True)
class Official:
    """Facts of a published data set, by which `semflow data check` and `semflow data prepare` go.

    We download nothing: each has terms that a user has to agree to.

    counts: images of each split, 0 where there is no official number; those of `unlabelled` splits have no public annotations
    and are not needed.
    partitions: counts of other partitions into splits, by their names.
    size: the paper's.
    find: what lies of a split under a root.
    reader: what reads its files.
    label_maps: of a root, where label maps have to be made.
    """

    title: str
    counts: Mapping[str, int]
    size: tuple[int, int]
    archives: tuple[Archive, ...]
    licence: str
    sources: tuple[str, ...]
    find: Callable[[Path, str], Found]
    reader: type[PairedFiles]
    unlabelled: Mapping[str, int] = field(default_factory=dict)
    partitions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    label_maps: Callable[[Path], LabelMaps] | None = None

    def survey(self, root: Path) -> dict[str, Found]:
        """What lies of each labelled split under a root, however incomplete."""
        if not root.is_dir():
            return dict.fromkeys(self.counts, Found({}, {}, missing=(f"there is no folder {root}, so there are no images",)))
        return {split: self._found(root, split) for split in self.counts}

    def _found(self, root: Path, split: str) -> Found:
        try:
            return self.find(root, split)
        except SemFlowError as error:
            return Found({}, {}, (str(error),))

    def archives_in(self, root: Path) -> list[Path]:
        """Archives that lie under a root."""
        return [root / archive.file for archive in self.archives if (root / archive.file).exists()]

    def where_to_get(self) -> str:
        """Licence and sources, as lines of text; nothing of what has none."""
        if not self.sources:
            return ""
        return "\n".join([f"licence: {self.licence}", "where to get it:", *(f"  {source}" for source in self.sources)])


def problems_of(found: Mapping[str, Found], mend: str = "") -> list[str]:
    """What is wrong with any split, each sentence once. mend: as in `Found.wrong`."""
    return list(dict.fromkeys(problem for split in found.values() for problem in split.wrong(mend)))


def notes_of(found: Mapping[str, Found]) -> list[str]:
    """What is odd in any split, each sentence once."""
    return list(dict.fromkeys(note for split in found.values() for note in split.notes))


@dataclass(frozen=True)
class DatasetInfo:
    """A data set.

    Settings: the section `data` of a suite.
    open: of a section, a split. SemFlowError if a file is missing.
    names, palette: of the classes.
    swaps: classes that a mirror exchanges, such as left and right eye.
    void: the id of ignored pixels in a label map on disk.
    raw: the ids in its label maps on disk, where they are not the classes' numbers.
    official: None where a data set has nothing to prepare.
    repaints: whether it can paint a label map in fresh colours, by a method `repaint` of what it opens.
    described: of a section, the entry with the classes that it names, where those are a user's; `info_of` asks it.
    facts: of a section, or None, and a root, what `semflow data check` goes by, where nothing is official.
    """

    Settings: type[DataSettings]
    open: Callable[[Any, str], Dataset]
    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    swaps: tuple[tuple[int, int], ...] = ()
    void: int = IGNORE_INDEX
    raw: Ids | None = None
    official: Official | None = None
    repaints: bool = False
    described: "Callable[[Any], DatasetInfo] | None" = None
    facts: Callable[[Any, Path], Official] | None = None

    def facts_of(self, data: DataSettings | None, root: Path) -> Official:
        """What is checked of it. SemFlowError if nothing is known, or nothing tells how the files of a root are to be read."""
        if self.official:
            return self.official
        if self.facts is None:
            raise SemFlowError("data.name: nothing is known of this data set's files that could be checked")
        return self.facts(data, root)

    def official_counts(self, settings: DataSettings) -> Mapping[str, int]:
        """Images of each split, whether its files are there or not; empty where there is no official number."""
        if self.official is None:
            return {}
        return self.official.partitions.get(getattr(settings, "partition", ""), self.official.counts)
