"""Data sets as they are downloaded, and what is said of them when they are prepared."""

import shutil
import zipfile
from pathlib import Path

import pytest
import trees

from semflow.errors import SemFlowError
from semflow.tools.prepare import prepare

N = 3  # samples in every split


def zipped(target: Path, folder: Path, top: str = "") -> None:
    """A zip of what lies in a folder, as `zip -r` makes it, folders among its members."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, top + str(path.relative_to(folder)))


def archives_of(name: str, place: Path) -> Path:
    """The official archives of a data set, and nothing else, in a folder of its name."""
    root, source = place / name, place / f"{name}-source"
    root.mkdir()
    if name == "celebamask_hq":
        zipped(root / "CelebAMask-HQ.zip", trees.celebamask_hq_tree(source, N), "CelebAMask-HQ/")
    elif name == "cityscapes":
        trees.cityscapes_tree(source, N)
        (source / "README").write_text("in both archives")
        for kind in ("leftImg8bit", "gtFine"):
            shutil.copytree(source / kind, source / "one" / kind)
            shutil.copy(source / "README", source / "one")
            zipped(root / f"{kind}_trainvaltest.zip", source / "one")
            shutil.rmtree(source / "one")
    else:
        trees.coco_stuff_tree(source, N)
        zipped(root / "stuffthingmaps_trainval2017.zip", source / "annotations")
        for split in ("train2017", "val2017"):
            (source / "one").mkdir()
            (source / split).rename(source / "one" / split)
            zipped(root / f"{split}.zip", source / "one")
            (source / "one" / split).rename(source / split)
            (source / "one").rmdir()
    return root


def content(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time and bytes, but for the lock."""
    paths = [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def complaint(name: str, root: Path, *named: object) -> str:
    """What is said where it cannot be prepared: one sentence that holds all these words."""
    with pytest.raises(SemFlowError) as error:
        prepare(name, root)
    text = str(error.value)
    assert "\n" not in text
    assert [str(word) for word in named if str(word) not in text] == []
    return text
