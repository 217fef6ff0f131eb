"""Tables as values: what the template draws, and nothing of how."""

import re
from typing import NamedTuple

NUMBER = re.compile(r"[-+]?\d|-$")
THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")


class Cell(NamedTuple):
    """One cell. Its value and its interval stand apart, so that a page may set them one below the other.

    records: identities of the records behind a measured number.  sort: what to sort by where the text is not enough.
    """

    text: str
    interval: str = ""
    records: tuple[str, ...] = ()
    sort: float | None = None
    kind: str = "text"  # or number, head, code

    @classmethod
    def of(cls, text: str, records: tuple[str, ...] = ()) -> "Cell":
        """A cell from text such as "41.2 [38.0, 44.1]", "-" or "DDIM-25"."""
        value, bracket, interval = text.partition(" [")
        if not NUMBER.match(text):
            return cls(text)
        grouped = float(value.replace(",", "")) if THOUSANDS.fullmatch(value) else None
        return cls(value, bracket.strip() + interval, records, grouped, "number")


class Row(NamedTuple):
    """key: what a filter knows the row by."""

    cells: list[Cell]
    key: str = ""


class Grid(NamedTuple):
    """A table. groups: rows that stay together when it is sorted; a table without such rows has one a group.

    name: a style of its own.
    """

    caption: str
    header: list[str]
    groups: list[list[Row]]
    grouped: bool = False
    name: str = ""

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, and its head stands to the right as they do."""
        return any(group[0].cells[column].kind == "number" for group in self.groups)


def plain(caption: str, header: list[str], rows: list[list[str]]) -> Grid:
    """A grid of bare text."""
    return Grid(caption, header, [[Row([Cell.of(text) for text in row])] for row in rows])
