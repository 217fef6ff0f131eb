"""What the paper's data sets are officially: how many pictures, under which licence, from where, in which archives.

Nothing here is downloaded by us: each has terms that a user has to agree to.
"""

from typing import NamedTuple


class Archive(NamedTuple):
    """A zip file as it is published. folders: what it has at its top that we need.  top: a folder around those.

    under: where they belong, from the root; of several places, the first that is there already, or else the first.
    """

    file: str
    folders: tuple[str, ...]
    top: str = ""
    under: tuple[str, ...] = ("",)


class Official(NamedTuple):
    """Facts of a data set. counts: pictures a split; `unlabelled` splits have no public annotations and are not needed.

    size: the paper's.
    """

    title: str
    counts: dict[str, int]
    unlabelled: dict[str, int]
    size: tuple[int, int]
    archives: tuple[Archive, ...]
    licence: str
    sources: tuple[str, ...]


OFFICIAL = {
    "coco_stuff": Official(
        title="COCO-Stuff-164k",
        counts={"train": 118_287, "val": 5_000},
        unlabelled={},
        size=(512, 512),
        archives=(
            Archive("train2017.zip", ("train2017",), under=("", "images")),
            Archive("val2017.zip", ("val2017",), under=("", "images")),
            Archive(
                "stuffthingmaps_trainval2017.zip",
                ("train2017", "val2017"),
                under=("annotations", "stuffthingmaps", "stuffthingmaps_trainval2017"),
            ),
        ),
        licence="annotations CC BY 4.0; the photographs are under Flickr's terms of use, each with a licence of its own",
        sources=(
            "http://images.cocodataset.org/zips/train2017.zip (18 GB)",
            "http://images.cocodataset.org/zips/val2017.zip (1 GB)",
            "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/stuffthingmaps_trainval2017.zip (659 MB)",
            "https://github.com/nightrome/cocostuff (what they are)",
        ),
    ),
    "celebamask_hq": Official(
        title="CelebAMask-HQ",
        counts={"train": 24_183, "val": 2_993, "test": 2_824},
        unlabelled={},
        size=(512, 512),
        archives=(
            Archive(
                "CelebAMask-HQ.zip",
                ("CelebA-HQ-img", "CelebAMask-HQ-mask-anno", "CelebA-HQ-to-CelebA-mapping.txt"),
                top="CelebAMask-HQ",
                under=("", "CelebAMask-HQ"),
            ),
        ),
        licence="non-commercial research only; neither the images nor what is derived from them may be passed on",
        sources=("https://github.com/switchablenorms/CelebAMask-HQ (the terms, and links to CelebAMask-HQ.zip)",),
    ),
    "cityscapes": Official(
        title="Cityscapes",
        counts={"train": 2_975, "val": 500},
        unlabelled={"test": 1_525},
        size=(512, 1024),
        archives=(Archive("leftImg8bit_trainvaltest.zip", ("leftImg8bit",)), Archive("gtFine_trainvaltest.zip", ("gtFine",))),
        licence="non-commercial; a free account, in which the licence is accepted, gives access",
        sources=(
            "https://www.cityscapes-dataset.com/downloads/: leftImg8bit_trainvaltest.zip (11 GB)",
            "https://www.cityscapes-dataset.com/downloads/: gtFine_trainvaltest.zip (241 MB)",
        ),
    ),
}


def where_to_get(name: str) -> str:
    """Licence and sources of a data set, as lines of text."""
    facts = OFFICIAL[name]
    return "\n".join([f"licence: {facts.licence}", "where to get it:", *(f"  {source}" for source in facts.sources)])
