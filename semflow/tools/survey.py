"""What lies of one of the paper's data sets under a folder, all splits at once, however incomplete."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from semflow.data import celebamask_hq, cityscapes, coco_stuff
from semflow.data.folders import Found, Pictures
from semflow.data.official import OFFICIAL
from semflow.errors import SemFlowError

READERS: dict[str, type[Pictures]] = {
    "coco_stuff": coco_stuff.CocoStuff,
    "celebamask_hq": celebamask_hq.CelebAMaskHQ,
    "cityscapes": cityscapes.Cityscapes,
}


def survey(name: str, root: Path) -> dict[str, Found]:
    """Each labelled split; of CelebAMask-HQ in the official partition, with a sentence if faces have no skin."""
    if name == "celebamask_hq":
        home = celebamask_hq.home(root)
        names = celebamask_hq.part_names(home)
        splits = {split: _found(celebamask_hq.find, home, split, "official", names) for split in OFFICIAL[name].counts}
        return {split: here._replace(problems=here.problems + _skinless(split, here, names)) for split, here in splits.items()}
    find = coco_stuff.find if name == "coco_stuff" else cityscapes.find
    return {split: _found(find, root, split) for split in OFFICIAL[name].counts}


def _skinless(split: str, found: Found, names: list[str]) -> tuple[str, ...]:
    bare = celebamask_hq.without("skin", found.images, names)
    if not bare:
        return ()
    return (
        f"{split}: {celebamask_hq.count_of(bare, found.images)} parts but no skin, the first is {bare[0]}, and would be "
        "background; fetch their parts again or remove their images",
    )


def problems(found: dict[str, Found]) -> list[str]:
    """What is wrong, each sentence once."""
    return list(dict.fromkeys(problem for split in found.values() for problem in split.problems))


def _found(find: Callable[..., Found], *what: Any) -> Found:
    try:
        return find(*what)
    except SemFlowError as error:
        return Found({}, {}, (str(error),))
