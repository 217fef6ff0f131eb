"""Tables as values: arranged once, and written as CSV, as Markdown, as LaTeX or on the page."""

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from semflow.claims.collect import (
    Names,
    Run,
    by_dataset,
    estimate,
    listed,
    method_title,
    network_of,
    only,
    row_of,
    seed_sd,
    size_of,
    split_of,
    with_interval,
)
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.evaluation.records import Record
from semflow.suite.runs import CONTROL_TITLES as CONTROLS

if TYPE_CHECKING:
    from pandas import DataFrame

WITH_INTERVALS = "With intervals"  # heads the second half of table2.md
NUMBER = re.compile(r"[-+]?\d|-$")
THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")


class Entry(NamedTuple):
    """What stands in a row below one head. Value and interval are apart, so that a page may set them one below the other.

    records: identities of the records behind a measured number.  sort: what to sort by where the text is not enough.
    """

    text: str
    interval: str = ""
    records: tuple[str, ...] = ()
    sort: float | None = None
    kind: str = "text"  # or number, head, code

    @classmethod
    def of(cls, text: str, records: tuple[str, ...] = ()) -> "Entry":
        """An entry from text such as "41.2 [38.0, 44.1]", "-" or "DDIM-25"."""
        value, bracket, interval = text.partition(" [")
        if not NUMBER.match(text):
            return cls(text)
        grouped = float(value.replace(",", "")) if THOUSANDS.fullmatch(value) else None
        return cls(value, bracket.strip() + interval, records, grouped, "number")

    @classmethod
    def measured(cls, row: Any, records: tuple[str, ...] = ()) -> "Entry":
        """The value of a row with its interval, in the digits of its metric; a dash for none."""
        if row is None or math.isnan(row.value):
            return cls("-", kind="number")
        text = with_interval(row.value, row.low, row.high, KINDS[row.metric].digits)
        return cls.of(text, records)._replace(sort=row.value)

    @classmethod
    def published(cls, row: Any) -> "Entry":
        """The paper's number."""
        known = row is not None and not math.isnan(row.published)
        return cls.of(f"{row.published:.{KINDS[row.metric].digits}f}" if known else "-")

    @classmethod
    def difference(cls, row: Any) -> "Entry":
        """Measured less published, where the metric is the paper's own."""
        gap = math.nan if row is None else row.value - row.published
        return cls.of("-" if math.isnan(gap) else f"{gap:+z.{KINDS[row.metric].digits}f}")

    def __str__(self) -> str:
        return f"{self.text} {self.interval}".strip()


class Value(NamedTuple):
    """A row of table1.csv and of table2.csv: one metric of a method, a sampler and a number of steps.

    value: the mean over seeds; [low, high]: its 95 % interval.  published: the paper's; either may be NaN.
    """

    method: str
    sampler: str
    steps: int
    metric: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    published: float = math.nan
    n_images: int = 0
    n_seeds: int = 0

    @classmethod
    def of(cls, group: list[Run], metric: str, published: float = math.nan) -> "Value":
        """A metric over the seeds of a row."""
        value, low, high, n_seeds = estimate(group, metric)
        return cls(*row_of(group[0].record), metric, value, low, high, published, group[0].record.n_images, n_seeds)

    @classmethod
    def spread(cls, group: list[Run], metric: str) -> "list[Value]":
        """The standard deviation of a metric between sampling seeds, where there are several."""
        if (sd := seed_sd(group, metric)) is None:
            return []
        record = group[0].record
        return [cls(*row_of(record), f"{metric}_seed_sd", sd, n_images=record.n_images, n_seeds=len(group))]


class Row(NamedTuple):
    """key: what a filter knows the row by."""

    entries: list[Entry]
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
        return any(group[0].entries[column].kind == "number" for group in self.groups)

    @property
    def texts(self) -> list[list[str]]:
        """The rows as text."""
        return [[str(entry) for entry in row.entries] for group in self.groups for row in group]

    @property
    def values(self) -> list[list[str]]:
        """The rows as text without intervals."""
        return [[entry.text for entry in row.entries] for group in self.groups for row in group]


def plain(caption: str, header: list[str], rows: Iterable[list[str]]) -> Grid:
    """A grid of bare text."""
    return Grid(caption, header, [[Row([Entry.of(text) for text in row])] for row in rows])


def framed(rows: list[Any], columns: Iterable[str]) -> "DataFrame":
    """Rows in long form. pandas is imported here, so that planning does without it."""
    from pandas import DataFrame

    return DataFrame(rows, columns=list(columns))


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def latex_table(header: list[str], rows: list[list[str]], caption: str) -> str:
    """A table for booktabs, its first two columns text."""
    columns = "ll" + "r" * (len(header) - 2)
    body = [" & ".join(map(_tex, row)) + r" \\" for row in [header, *rows]]
    head = [r"\begin{table}", rf"\caption{{{_tex(caption)}}}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    return "\n".join([*head, body[0], r"\midrule", *body[1:], r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _tex(text: str) -> str:
    """Text with what TeX reads as its own escaped."""
    return "".join(f"\\{letter}" if letter in "%&_#$" else letter for letter in text)


def behind(runs: list[Run], key: tuple[str, str, int], metric: str, names: Names) -> tuple[str, ...]:
    """The records that hold a metric of a row."""
    chosen = [run.record for run in only(runs) if row_of(run.record) == key]
    return tuple(names.identity(record) for record in chosen if metric in record.metrics)


# What notes say alike.


def name_of(method: str) -> str:
    """A method's title, a control's with what it is."""
    return CONTROLS.get(method) or method_title(method)


def words_of(task: str) -> str:
    """Such as "seed agreement"."""
    return task.replace("_", " ")


def measured_on(runs: list[Run]) -> str:
    """Data, size and network of records; what was done on which data set, where there are several."""
    sets = by_dataset(runs)
    tasks = {name: dict.fromkeys(run.record.task for run in of) if len(sets) > 1 else () for name, of in sets.items()}
    data = [f"{name} ({', '.join([*tasks[name], _data(of[0].record)])})" for name, of in sets.items()]
    return f"Measured on {listed(data)} with {network_of(runs)}"


def _data(record: Record) -> str:
    return f"{split_of(record)}, {size_of(record)}, {len(record.classes)} classes"


def intervals(runs: list[Run]) -> str:
    """A sentence on how the intervals of the runs were made."""
    return f"Intervals: {'; '.join(dict.fromkeys(run.record.protocol.interval for run in runs))}."


def same_for_every_seed(group: list[Run]) -> bool:
    """Whether each training predicted the same, to the bit, under all sampling seeds."""
    trainings = {run.record.training_seed for run in group}
    return len({(run.record.training_seed, run.record.outputs_sha256) for run in group}) == len(trainings)
