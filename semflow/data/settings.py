"""What the sections `data` of a suite have in common, and where the files of a data set lie."""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from semflow.errors import SemFlowError
from semflow.section import Section, Size


class DataSettings(Section):
    """A data set and the size that its samples are brought to; each data set's own section names it by a literal."""

    name: str
    size: Size

    @property
    def elsewhere(self) -> str | None:
        """What the environment says in place of `root`, of a data set that goes by it."""
        return None

    @property
    def resized(self) -> bool:
        """Whether samples are pictures of another size, brought to `size`."""
        return False

    @property
    def cropped(self) -> bool:
        """Whether training sees random crops."""
        return False

    @property
    def rgb_masks(self) -> bool:
        """Whether training resizes masks as images, after they are encoded."""
        return False


class FileSettings(DataSettings):
    """Of files on disk. The environment variable SEMFLOW_DATA overrides `root`; `~` and `$NAME` are read in both."""

    root: str

    @model_validator(mode="after")
    def _environment_names_a_folder(self) -> Self:
        if self.elsewhere and not place(self.elsewhere).is_dir():
            raise ValueError(
                f"SEMFLOW_DATA is {self.elsewhere!r}, but there is no such folder; correct it, or unset it to go by root"
            )
        return self

    @property
    def elsewhere(self) -> str | None:
        return os.environ.get("SEMFLOW_DATA") or None

    @property
    def resized(self) -> bool:
        return True

    @property
    def folder(self) -> Path:
        """Where they lie: `SEMFLOW_DATA/<name>`, or `SEMFLOW_DATA` itself if there is no such folder, or `root`."""
        if not self.elsewhere:
            return place(self.root)
        named = place(self.elsewhere) / self.name
        return named if named.is_dir() else place(self.elsewhere)


class PaperSettings(FileSettings):
    """Of data sets whose pictures vary in size: the paper's three, and data of one's own.

    view: what training sees of an image: all of it, resized to `size`, or a random crop of `size` after its tighter side was
    resized to fit.  masks: `labels` are resized by nearest neighbour and encoded afterwards; `rgb` are encoded first and resized
    as images, which invents classes along edges.  Evaluation resizes images and keeps labels either way.
    """

    view: Literal["resize", "crop"]
    masks: Literal["labels", "rgb"]

    @property
    def cropped(self) -> bool:
        return self.view == "crop"

    @property
    def rgb_masks(self) -> bool:
        return self.masks == "rgb"


def place(text: str) -> Path:
    """A path as a shell reads it: a leading `~` and `$NAME` stand for what they do there; what is not known stays, as does the
    whole where it exists as written. SemFlowError if both readings exist.
    """
    written, read = Path(text), Path(os.path.expanduser(os.path.expandvars(text)))  # noqa: PTH111
    if written == read or not written.exists():
        return read
    if read.exists():
        raise SemFlowError(f"{written} exists as written, and as a shell reads it, {read}; rename one of them")
    return written
