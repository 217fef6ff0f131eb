"""The data sets of a suite's records: their order, and which of them a product is made from.

A suite may have records of several, each with its own images, classes and protocol. Nothing is averaged, paired or drawn across
them.
"""

from typing import NamedTuple

from semflow.claims.collect import Run, identity, listed, only
from semflow.data import OFFICIAL
from semflow.errors import SemFlowError
from semflow.evaluation.records import Record

PAPERS = tuple(OFFICIAL)  # in which order they are asked; others follow by name


class Names(NamedTuple):
    """What records are called beside each other: their data set belongs to it where there are several."""

    several: bool = False

    @classmethod
    def among(cls, runs: list[Run]) -> "Names":
        return cls(len({run.record.dataset for run in runs}) > 1)

    def identity(self, record: Record) -> str:
        """One word, and no other record's, such as "cityscapes:semflow-b6-synthesis-euler-25-b6-train0-sample1"."""
        return f"{'_'.join(record.dataset.split())}:{identity(record)}" if self.several else identity(record)

    def on(self, record: Record) -> str:
        """ " on cityscapes", or nothing."""
        return f" on {record.dataset}" if self.several else ""

    def data(self, dataset: str | None) -> dict[str, str]:
        """The entry of claims.json that says on which data set a claim was judged, or nothing."""
        return {"data": dataset} if self.several and dataset else {}


def by_dataset(runs: list[Run]) -> dict[str, list[Run]]:
    """Runs by the name of their data set, in the order of `PAPERS`."""
    return {name: only_on(runs, name) for name in sorted({run.record.dataset for run in runs}, key=_place)}


def only_on(runs: list[Run], dataset: str) -> list[Run]:
    """The runs on a data set, in the order given."""
    return [run for run in runs if run.record.dataset == dataset]


def _place(name: str) -> tuple[int, str]:
    return next((place for place, known in enumerate(PAPERS) if same_data(name, known)), len(PAPERS)), name


def same_data(name: str, known: str) -> bool:
    """Whether a data set's name begins with another, however either is spelt: `coco_stuff_164k` with COCO-Stuff."""
    return _squeezed(name).startswith(_squeezed(known))


def in_table(name: str, published: str) -> bool:
    """Whether a data set is the one that a table of the paper names: `coco_stuff` is COCO-Stuff-164k."""
    return same_data(name, published.removesuffix("-164k"))


def _squeezed(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def for_table(runs: list[Run], published: str) -> str:
    """Which of the runs' data sets a table of the paper is made from: the one that it names, or else the first; "" of no runs."""
    sets = by_dataset(runs)
    return next((name for name in sets if in_table(name, published)), next(iter(sets), ""))


def check_one(runs: list[Run], what: str) -> None:
    """SemFlowError if runs are of several data sets. what: the product that would mix them."""
    if len(sets := by_dataset(runs)) > 1:
        raise SemFlowError(f"{what} was given records of {listed(sets)}, which it would mix; give those of one data set")


def check_one_each(runs: list[Run], what: str) -> None:
    """SemFlowError if runs of one task are of several data sets."""
    for task in dict.fromkeys(run.record.task for run in runs):
        check_one(only(runs, task=task), f"the {task} of {what}")
