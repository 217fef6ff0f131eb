"""What the page shows of the records: which of them its tables are of, where each came from, and what they took."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from semflow import published
from semflow.claims.collect import Names, Run, for_table, method_title, only, only_on, own, primary, title, with_interval
from semflow.evaluation.metrics.catalogue import KINDS, filling
from semflow.evaluation.records import Record
from semflow.report import table1, table2
from semflow.report.selection import among
from semflow.report.tables import Entry, Grid, Row, plain, words_of

HEADLINES = ("miou", "seed_agreement")  # what a run is known by, where it draws nothing
SHORT = 10  # letters of a hash that are enough to tell two apart; the whole stands in the record


def of_table1(runs: list[Run]) -> list[Run]:
    """The runs of Table 1. Each task on one data set: the paper's own for it, where it was measured on that."""
    known = own(runs)
    papers = published.table(1)["datasets"]
    papers = papers | {"consistency": papers["synthesis"]}
    sets = {task: for_table(only(known, task=task), name) for task, name in papers.items()}
    return among([run for run in known if run.record.dataset == sets.get(run.record.task)], table1.rows_of)


def of_table2(runs: list[Run]) -> list[Run]:
    """The runs of Table 2, on one data set: the paper's, where segmentation was measured on that."""
    segmented = among(own(runs), table2.rows_of)
    return only_on(segmented, for_table(segmented, published.table(2)["dataset"]))


def metrics_of(grid: Grid) -> list[str]:
    """What the rows of a grid can be filtered by, in their order."""
    return list(dict.fromkeys(row.key for group in grid.groups for row in group))


def headline(record: Record) -> str:
    """The metric that a record is known by, such as "mIoU 52.8 [51.4, 54.0]"; bare words for a record without any."""
    drawn = filling(primary(record.n_images), record.metrics)
    name = next((metric for metric in (*HEADLINES, drawn, *record.metrics) if metric in record.metrics), None)
    return "no metric" if name is None else f"{KINDS[name].title} {measured(record, name)}"


def measured(record: Record, name: str) -> str:
    """52.8 [51.4, 54.0]"""
    metric = record.metrics[name]
    return with_interval(metric.value, metric.low, metric.high, KINDS[name].digits)


def runs_grid(runs: list[Run]) -> Grid:
    """Where every record came from."""
    names = Names.among(runs)
    header = ["run", "b, b'", "result", "seeds (train, sample)", "commit", "config", "data", "weights", "device", "wall s"]
    header += ["images/s", "command"]
    rows = []
    for record, _ in runs:
        source = record.provenance
        hashes = (source.config_sha256, source.data_sha256, source.checkpoint_sha256 or "-")
        what = f"{words_of(record.task)}{names.on(record)}: {title(record.method, record.sampler, record.steps)}"
        what += f", {record.variant}" if record.variant else ""
        entries = [
            Entry(what, kind="head"),
            Entry(f"{record.amplitude:g}, {record.sampling_amplitude:g}"),
            Entry(headline(record), records=(names.identity(record),)),
            Entry(f"{record.training_seed}, {record.sampling_seed}"),
            Entry(source.commit[:SHORT] + (" (modified)" if source.dirty else ""), kind="code"),
            *(Entry(digest[:SHORT], kind="code") for digest in hashes),
            Entry(f"{source.device}, {source.threads} thread{'s' * (source.threads != 1)}"),
            *map(Entry.of, (f"{source.wall_s:.1f}", speed(record))),
            Entry(source.command, kind="code"),
        ]
        rows.append([Row(entries)])
    return Grid("Provenance of every record", header, rows, name="runs")


def speed(record: Record) -> str:
    """Images a second; a control has no network that could be fast."""
    return "-" if record.n_parameters is None else f"{record.provenance.images_per_s:.1f}"


def versions(runs: Iterable[Run]) -> list[str]:
    """The package versions in use, one sentence for each set of them."""
    sets = Counter(tuple(run.record.provenance.versions.items()) for run in runs)
    many = len(sets) > 1
    return [
        f"{f'{n} of the runs' if many else 'Every run'}: {', '.join(f'{name} {number}' for name, number in found)}."
        for found, n in sets.items()
        if found
    ]


def spent_grid(runs: list[Run], names: Names) -> Grid:
    """What measuring took in all."""
    spent: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for run in runs:
        spent[method_title(run.record.method), f"{words_of(run.record.task)}{names.on(run.record)}"].append(run.record)
    rows = [
        [method, task, str(len(group)), f"{sum(record.n_images for record in group):,}", _seconds(group)]
        for (method, task), group in spent.items()
    ]
    whole = f"What the records took to measure: {len(runs)} records, {_seconds([run.record for run in runs])} s in all"
    return plain(whole, ["method", "task", "records", "images", "wall s"], rows)


def _seconds(group: list[Record]) -> str:
    return f"{sum(record.provenance.wall_s for record in group):.1f}"
