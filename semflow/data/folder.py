"""Pictures and label maps of one's own: a folder of images, one of label maps of the same names, and a list of classes.

It is the layout of mmsegmentation's data sets. A label map is a PNG of one channel, whose ids count the classes from 0 in their
order. A split is a folder in both, or a list of names without suffix, one a line.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import BeforeValidator, Field, model_validator

from semflow.data.colours import voc_palette
from semflow.data.folders import Found, PairedFiles, apart, holding, inside, listed, once, paired, pairs_of, read_lines
from semflow.data.info import DatasetInfo, Official
from semflow.data.label_maps import class_ids, read_label_map
from semflow.data.sample import IGNORE_INDEX
from semflow.data.settings import PaperSettings
from semflow.errors import SemFlowError, did_you_mean
from semflow.section import Section

Byte = Annotated[int, Field(ge=0, le=255)]
Pair = Annotated[tuple[str, str], Field(strict=False)]
SPLITS = ("train", "val", "test")
PICTURES = (".jpg", ".jpeg", ".png")
LIST = ".txt"
COLUMNS = re.compile("[,;:=\t]")  # what stands between those of a table
COMMENTS = ("#", "//", "%")
TITLES = {"id", "ids", "index", "name", "names", "class", "classes", "class_name", "label", "labels", "category", "categories"}
SHOWN = 256  # pixels of a picture's sides on a contact sheet, if no section says another size
# Names that are in use; of what lies in a folder, exactly one of each must.
USUAL = {
    "images": ("images", "imgs", "img_dir", "JPEGImages"),
    "labels": ("labels", "annotations", "masks", "ann_dir", "SegmentationClass"),
    "classes": ("classes.txt", "labels.txt", "class_names.txt"),
}
USUAL_SPLITS = {"train": ("train", "training"), "val": ("val", "validation"), "test": ("test", "testing")}
USUAL_LISTS = ("", "splits", "ImageSets/Segmentation")  # where lists of names lie


def _file_or_names(value: Any) -> str | tuple[str, ...]:
    """ValueError if it is neither."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) and name.strip() for name in value):
        raise ValueError("it must be a file or a list of names, as words")
    return tuple(value)


class Splits(Section):
    """Of each split, a list of names (.txt), or a folder within those of images and labels."""

    train: str
    val: str | None = None
    test: str | None = None


class Settings(PaperSettings):
    """A folder of one's own. Paths are relative to `root`, which is relative to where a command runs; SEMFLOW_DATA, where the
    published data sets lie, does not apply.

    classes: their names, or a file with one a line, in the order of the ids.  splits: null: each is a folder of its name.
    palette: of the classes; null: colours that differ.  ignore_index: the id of ignored pixels (255 is ignored too).
    left_right: pairs of classes that a mirrored picture exchanges.  image_suffix: what the names of images end in after the part
    that their label maps share; null: .jpg, .jpeg or .png.
    """

    name: Literal["folder"]
    root: str = "."
    images: str = "images"
    labels: str = "labels"
    classes: Annotated[str | tuple[str, ...], BeforeValidator(_file_or_names)]
    splits: Splits | None = None
    palette: Annotated[tuple[Annotated[tuple[Byte, Byte, Byte], Field(strict=False)], ...], Field(strict=False)] | None = None
    ignore_index: Byte = IGNORE_INDEX
    left_right: Annotated[tuple[Pair, ...], Field(strict=False)] = ()
    image_suffix: Annotated[str, Field(min_length=1)] | None = None
    label_suffix: str = ".png"
    view: Literal["resize", "crop"] = "resize"
    masks: Literal["labels", "rgb"] = "labels"

    @model_validator(mode="after")
    def _label_maps_are_lossless(self) -> "Settings":
        if not self.label_suffix.lower().endswith(".png"):
            raise ValueError(f"label_suffix is {self.label_suffix!r}; label maps must be PNG, so it must end in .png")
        return self

    @property
    def elsewhere(self) -> str | None:
        return None

    def list_of(self, split: str) -> str:
        """The list or folder of a split."""
        if self.splits is None:
            return split
        named = getattr(self.splits, split, None) if split in SPLITS else None
        if named is None:
            had = ", ".join(name for name in SPLITS if getattr(self.splits, name))
            raise SemFlowError(f"data.splits has no {split} split; it has {had}; add it there or set evaluation.split to another")
        return named


class Folder(PairedFiles):
    """One split of a folder of one's own."""

    name = "folder"
    void = IGNORE_INDEX
    void_given = False  # whether the section says which id is ignored

    def read_labels(self, path: str) -> Image.Image:
        mend, or_else = "ids count from 0 in the order of data.classes", ", or give the palette as data.palette"
        return read_label_map(Path(path), class_ids(len(self.names), self.void), self.palette, mend, or_else)

    def doubts(self, counts: Sequence[int], n_maps: int) -> str:
        if self.void_given or len(self.names) < 2 or not (counts[0] and counts[IGNORE_INDEX]) or any(counts[1:IGNORE_INDEX]):
            return ""
        return (
            f"{n_maps:,} label maps hold 0 and 255 alone: 255 may stand for ignored pixels or for the class 1, {self.names[1]}; "
            "save it as 1 if it does, else give data.ignore_index: 255"
        )

    def hint(self, counts: Sequence[int]) -> str:
        if counts[0] or not any(counts[1 : len(self.names)]):
            return ""
        return f"id 0, {self.names[0]}, is in no label map that was read; see that ids count from 0 and not from 1"


def described(data: Settings) -> DatasetInfo:
    """What is known of the data set that a section describes: its classes. SemFlowError if they contradict one another."""
    names = _class_names(data)
    n = len(names)
    palette = data.palette or tuple((r, g, b) for r, g, b in voc_palette()[:n].tolist())
    if len(palette) != n:
        raise SemFlowError(f"data.palette has {len(palette)} colours, but there are {n} classes; give each class one")
    if twice := [colour for number, colour in enumerate(palette) if colour in palette[:number]]:
        raise SemFlowError(f"data.palette has the colour {list(twice[0])} twice; give each class its own")
    if data.ignore_index < n:
        raise SemFlowError(
            f"data.ignore_index {data.ignore_index} is the id of the class {names[data.ignore_index]!r}; classes have ids 0 to "
            f"{n - 1} and ignored pixels one above, so shift ids that count from 1"
        )
    for name in [name for both in data.left_right for name in both if name not in names]:
        raise SemFlowError(f"data.left_right names {name!r}, which is no class{did_you_mean(name, names)}")
    swaps = tuple((names.index(one), names.index(other)) for one, other in data.left_right)
    mixed = [label for swap in swaps for label in swap]
    if len(set(mixed)) < len(mixed):
        raise SemFlowError("data.left_right has a class in two pairs, or twice in one; a mirror exchanges each with one other")
    return DatasetInfo(Settings, opened, names, palette, swaps, data.ignore_index)


def opened(data: Settings, split: str) -> Folder:
    """A split. SemFlowError if a file is missing."""
    dataset = reader_of(data)(pairs_of(find(data, data.folder, split)), data.size)
    dataset.look_into_some()
    return dataset


def reader_of(data: Settings) -> type[Folder]:
    """What reads the files of such a data set."""
    info, given = described(data), "ignore_index" in data.model_fields_set
    return type("Folder", (Folder,), {"names": info.names, "palette": info.palette, "void": info.void, "void_given": given})


def facts(given: Settings | None, root: Path) -> Official:
    """What `semflow data check` goes by, without a section as `guessed`. There are no official numbers of images."""
    data = given or guessed(root, (SHOWN, SHOWN))
    splits = [split for split in SPLITS if (data.splits is None and (root / data.images / split).is_dir())
              or (data.splits and getattr(data.splits, split))]  # fmt: skip
    return Official(
        title="Data of one's own",
        counts=dict.fromkeys(splits or ["train"], 0),
        size=data.size,
        archives=(),
        licence="",
        sources=(),
        find=lambda at, split: survey(data, at, split),
        reader=reader_of(data),
    )


def find(data: Settings, root: Path, split: str) -> Found:
    """What lies of a split under `root`. An image of another split than `train` must not be in that too."""
    if not root.is_dir():
        raise _no_root(root)
    images, labels, places = _files(data, root, split)
    suffixes = data.image_suffix or " ".join(PICTURES), data.label_suffix
    found = paired(split, images, labels, places, suffixes)
    if images and labels and not images.keys() & labels.keys():
        sentence = (
            f"{split}: no image in {places[0]} has its label map in {places[1]} (the first are {next(iter(images))} and "
            f"{next(iter(labels))}); their names must be the same but for data.image_suffix and data.label_suffix"
        )
        found = found._replace(problems=(sentence,))
    return apart(found, split, lambda other: _files(data, root, other)[0])


def _no_root(root: Path) -> SemFlowError:
    return SemFlowError(f"data.root: there is no folder {root}; correct data.root, which is relative to where a command runs")


def survey(data: Settings, root: Path, split: str) -> Found:
    """What lies of a split, with a note on files that are left out."""
    found, places = find(data, root, split), _places(data, root, split)
    everything = [[*found.images.values()], [*found.labels.values()]]
    if places[0] == places[1] or data.list_of(split).endswith(LIST):  # what one place holds of the other, or of another split
        everything = [[f"{at}/{name}" for at in _folders(place) for name in listed(at, *_endings(data))] for place in places]
    notes = (note for place, taken in zip(places, everything, strict=True) for note in _left_out(place, taken))
    return found._replace(notes=(*found.notes, *(f"{split}: {note}" for note in notes)))


def _files(data: Settings, root: Path, split: str) -> tuple[dict[str, str], dict[str, str], tuple[Path, Path]]:
    """Paths of a split's images and label maps by their common name, and the folders of both."""
    named, places = data.list_of(split), _places(data, root, split)
    suffixes = (data.image_suffix,) if data.image_suffix else PICTURES
    images, labels = _by_name(places[0], *suffixes), _by_name(places[1], data.label_suffix)
    if not named.endswith(LIST):
        return images, labels, places
    chosen = _listed(root / named, images, suffixes)
    return {name: images[name] for name in chosen}, {name: labels[name] for name in chosen if name in labels}, places


def _places(data: Settings, root: Path, split: str) -> tuple[Path, Path]:
    """The folders that a split's images and label maps are looked for in."""
    named = data.list_of(split)
    below = "" if named.endswith(LIST) else named
    return root / data.images / below, root / data.labels / below


def _endings(data: Settings) -> tuple[str, ...]:
    """What the names of all files that are read end in."""
    return (*((data.image_suffix,) if data.image_suffix else PICTURES), data.label_suffix)


def _by_name(folder: Path, *suffixes: str) -> dict[str, str]:
    """Paths of files that end so, in a folder and those in it, by their names from there without that ending."""
    found: dict[str, str] = {}
    for at in sorted(_folders(folder)):
        for name in listed(at, *suffixes):
            suffix = next(suffix for suffix in suffixes if name.lower().endswith(suffix.lower()))
            key = (at / name[: -len(suffix)]).relative_to(folder).as_posix()
            if key in found:
                raise SemFlowError(f"{found[key]} and {at}/{name} have one name; remove one of them")
            found[key] = f"{at}/{name}"
    return found


def _folders(folder: Path) -> Iterator[Path]:
    """A folder and those in it, linked or not, but no hidden ones. SemFlowError if one is there twice, as in a circle."""
    seen: dict[str, str] = {}
    for at, below, _ in os.walk(folder, followlinks=True):
        below[:] = [name for name in below if name[0] != "."]
        if (other := seen.setdefault(os.path.realpath(at), at)) != at:
            raise SemFlowError(f"{at} is a link to {other}, which is read already; remove one of them")
        yield Path(at)


def _left_out(folder: Path, taken: Iterable[str]) -> Iterator[str]:
    """A sentence on the files in a folder and those in it that are not among `taken`, and one on hidden folders."""
    known, inside = {*taken}, [path for at in _folders(folder) for path in sorted(at.iterdir())]
    hidden = [path for path in inside if path.is_dir() and path.name[0] == "."]
    files = [f"{path.parent}/{path.name}" for path in inside if not path.is_dir()]
    if others := [path for path in files if path not in known]:
        yield f"{len(others):,} of {len(files):,} files in {folder} are left out by their names, the first is {others[0]}"
    if hidden:
        yield f"hidden folders are left out, the first is {hidden[0]}"


def _listed(listing: Path, images: dict[str, str], suffixes: tuple[str, ...]) -> list[str]:
    """Names of the images of a list, in its order."""
    chosen = []
    for number, line in read_lines(listing, "list of names"):
        where = f"{listing}, line {number}"
        name = inside(line, where).as_posix()
        bare = next((name[: -len(suffix)] for suffix in suffixes if name.lower().endswith(suffix.lower())), name)
        if name not in images and bare not in images:
            raise SemFlowError(f"{where}: there is no image {line}; a line is the name of an image without its suffix")
        chosen.append((number, name if name in images else bare))
    if not chosen:
        raise SemFlowError(f"{listing} lists no images; write the name of one a line")
    once(chosen, listing)
    return [name for _, name in chosen]


def _class_names(data: Settings) -> tuple[str, ...]:
    if not isinstance(data.classes, str):
        names, where = data.classes, "data.classes"
    else:
        path = data.folder / data.classes
        if not data.folder.is_dir():
            raise _no_root(data.folder)
        lines = read_lines(path, "list of classes (data.classes)")
        once(lines, path)
        _check_plain_names(lines, path)
        names, where = tuple(name for _, name in lines), str(path)
    if len(set(names)) < len(names):
        raise SemFlowError(f"{where} has the class {next(name for name in names if names.count(name) > 1)!r} twice; remove one")
    if names and names[0] == "__ignore__":
        raise SemFlowError(
            f"{where} begins with {names[0]!r}, which labelme gives the id -1, stored as 255: remove that line, so that ids "
            "count from 0 with the next"
        )
    if not 0 < len(names) <= IGNORE_INDEX:
        raise SemFlowError(f"{where} names {len(names)} classes; there must be 1 to {IGNORE_INDEX}")
    if all(name.partition(" ")[0].rstrip(":,;.)").isdecimal() for name in names):
        raise SemFlowError(f"{where}: every class begins with a number; write their names alone, in the order of the ids from 0")
    return names


def _check_plain_names(lines: Sequence[tuple[int, str]], path: Path) -> None:
    """SemFlowError if a line of a list of classes looks like a title, a comment or a row of a table, since a line is a name."""
    for number, line in lines:
        columns = [column.strip() for column in COLUMNS.split(line)]
        if line.startswith(COMMENTS) or (number == lines[0][0] and {column.lower() for column in columns} & TITLES):
            raise SemFlowError(
                f"{path}, line {number}: {line!r} looks like a title or a comment, but would be the name of a class; remove the "
                "line, or give the names as a list (data.classes)"
            )
        if len(columns) > 1 and any(column.isdecimal() for column in columns):
            raise SemFlowError(
                f"{path}, line {number}: {line!r} has a number beside a name; write the names alone, one a line, in the order of "
                "the ids from 0"
            )


def guessed(root: Path, size: tuple[int, int]) -> Settings:
    """The section that describes a folder, by the names that are in use. SemFlowError if one is missing, or there are two."""
    if not root.is_dir():
        raise SemFlowError(f"there is no folder {root}; give the one that holds images, labels and classes.txt")
    found = {key: _the_one(root, key, names) for key, names in USUAL.items()}
    folders = {
        split: next((name for name in names if (root / found["images"] / name).is_dir()), None)
        for split, names in USUAL_SPLITS.items()
    }
    lists = {
        split: next((place for at in USUAL_LISTS if (root / (place := f"{at}/{split}{LIST}".lstrip("/"))).is_file()), None)
        for split in SPLITS
    }
    if folders["train"] and lists["train"]:
        at = f"{root / found['images'] / folders['train']} and {root / lists['train']}"
        raise SemFlowError(f"{at} may both be the train split; remove or rename one")
    splits = folders if folders["train"] else lists
    if not splits["train"]:
        raise SemFlowError(
            f"there is no train split in {root}: neither a folder {found['images']}/train nor a list train{LIST}; make one, with "
            "val or test beside it"
        )
    return Settings.model_validate({"name": Folder.name, "root": str(root), "size": size, **found, "splits": splits})


def _the_one(root: Path, key: str, names: tuple[str, ...]) -> str:
    there = [name for name in names if (root / name).exists()]
    if len(there) > 1:
        raise SemFlowError(f"{root} holds {' and '.join(there)}, which may both be the {key}; remove or rename one")
    if not there:
        mend = "write the classes' names there, one a line in the order of their ids" if key == "classes" else "make it"
        kind = "file" if key == "classes" else "folder"
        raise SemFlowError(f"there is no {kind} {names[0]} in {root}{holding(root)}; {mend}")
    return there[0]


INFO = DatasetInfo(Settings, opened, (), (), described=described, facts=facts)
