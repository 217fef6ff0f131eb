"""The tables of the page: frames of numbers turned into grids, each measured number with the records behind it."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

import pandas as pd

from semflow import published
from semflow.claims.collect import (
    Names,
    Run,
    by_dataset,
    for_table,
    listed,
    method_title,
    only,
    only_on,
    own,
    primary,
    title,
    with_interval,
)
from semflow.evaluation.metrics.catalogue import KINDS, filling
from semflow.evaluation.records import Record
from semflow.method.samplers import Sampler
from semflow.report import table1, tables
from semflow.report.ablations import CELL, ablations
from semflow.report.page.grid import Cell, Grid, Row, plain

HEADLINES = ("miou", "seed_agreement")  # what a run is known by, where it draws nothing
SHORT = 10  # letters of a hash that are enough to tell two apart; the whole stands in the record


def of_table1(runs: list[Run]) -> list[Run]:
    """The runs of Table 1: controls, DSM at its most steps, SemFlow at the suite's main sampler, segmenting under one seed.

    Each task on one data set: the paper's own for it, where it was measured on that.
    """
    known = own(runs)
    sets = {task: for_table(only(known, task=task), name) for task, name in published.table(1)["datasets"].items()}
    chosen = [run for run in known if run.record.dataset == sets.get(run.record.task)]
    ours, theirs = at_main_sampler(chosen), only(chosen, method="dsm")
    first = min((run.record.sampling_seed for run in only(ours, task="segmentation")), default=0)
    most = {run.record.sampler: max(r.record.steps for r in only(theirs, sampler=run.record.sampler)) for run in theirs}
    return [
        *(run for run in chosen if run.record.method not in ("semflow", "dsm")),
        *(run for run in theirs if run.record.steps == most[run.record.sampler]),
        *(run for run in ours if run.record.task == "synthesis" or run.record.sampling_seed == first),
    ]


def of_table2(runs: list[Run]) -> list[Run]:
    """The runs of Table 2: segmentation by Euler, by both DSMs and by the controls; other solvers are ablations.

    On one data set: the paper's, where segmentation was measured on that.
    """
    segmented = [
        run for run in only(own(runs), task="segmentation") if run.record.method != "semflow" or run.record.sampler == "euler"
    ]
    return only_on(segmented, for_table(segmented, published.table(2)["dataset"]))


def at_main_sampler(runs: list[Run]) -> list[Run]:
    """SemFlow's runs by the sampler that everything else is varied around, which alone has the diversity of what it draws.

    On a data set without synthesis, by that of the others; without any, by the sampler with the most records.
    """
    ours = only(own(runs), method="semflow")
    elsewhere = {_sampler(run) for run in ours if _varied(run)}
    main = {name: _main_sampler(of, elsewhere) for name, of in by_dataset(ours).items()}
    return [run for run in ours if _sampler(run) == main[run.record.dataset]]


def _main_sampler(runs: list[Run], elsewhere: set[tuple[str, int]]) -> tuple[str, int]:
    chosen = list(filter(_varied, runs)) or [run for run in runs if _sampler(run) in elsewhere] or runs
    counted = Counter(map(_sampler, chosen))
    return max(counted, key=lambda sampler: counted[sampler])


def _sampler(run: Run) -> tuple[str, int]:
    return run.record.sampler, run.record.steps


def _varied(run: Run) -> bool:
    """Whether its pictures were held against each other's."""
    return filling("diversity", run.record.metrics) in run.record.metrics


def table1_grid(runs: list[Run], comparable: Collection[str], names: Names) -> Grid:
    """Table 1 in the paper's arrangement. comparable: the paper's metrics of which to give differences, where ours are those."""
    frame = table1.table1(runs)
    header, texts = table1.wide(frame)
    columns = _columns(frame)
    keys = [key for key, _ in frame.groupby(["method", "sampler", "steps"], sort=False)]
    rows = []
    for key, (name, how, *numbers) in zip(keys, texts, strict=True):
        cells = [Cell(name, kind="head"), Cell(how)]
        for (metric, is_papers), text in zip(columns, numbers, strict=True):
            cells.append(Cell.of(text, () if is_papers else _behind(runs, key, metric, names)))
            if is_papers and metric in comparable:
                cells.append(_difference(frame, key, metric))
        rows.append([Row(cells)])
    header = header[:2] + [
        head
        for text, (metric, is_papers) in zip(header[2:], columns, strict=True)
        for head in ([text, f"{text.removesuffix(', published')}, difference"] if is_papers and metric in comparable else [text])
    ]
    tasks = dict.fromkeys(f"{run.record.task}{names.on(run.record)}" for run in runs)
    measured_on = f"; {listed(tasks)}" if names.several else ""
    return Grid(f"Table 1: both tasks, measured and published{measured_on}", header, rows)


def _columns(frame: pd.DataFrame) -> list[tuple[str, bool]]:
    """The metric of every number column of the wide Table 1, and whether it holds the paper's."""
    metrics, columns = dict.fromkeys(frame[frame.value.notna()].metric), []
    for role in (*table1.PAPER, *table1.OURS):
        columns.append((filling(role, metrics), False))
        if paper := table1.PAPER.get(role):
            columns.append((paper, True))
    return columns


def _difference(frame: pd.DataFrame, key: tuple, metric: str) -> Cell:
    """Measured less published, where the metric is the paper's own."""
    method, sampler, steps = key
    found = frame[(frame.method == method) & (frame.sampler == sampler) & (frame.steps == steps) & (frame.metric == metric)]
    gap = float((found.value - found.published).iloc[0]) if len(found) else math.nan
    return Cell.of("-" if math.isnan(gap) else f"{gap:+.{KINDS[metric].digits}f}")


def _behind(runs: list[Run], key: tuple, metric: str, names: Names) -> tuple[str, ...]:
    """The records of a cell that hold a metric."""
    method, sampler, steps = key
    chosen = only(runs, method=method, sampler=sampler, steps=steps)
    return tuple(names.identity(run.record) for run in chosen if metric in run.record.metrics)


def table2_grid(runs: list[Run], comparable: bool, names: Names) -> Grid:
    """Table 2 in the paper's arrangement: mIoU by number of steps, measured over published. comparable: whether to give
    differences."""
    frame = tables.table2(runs)
    header, texts = tables.wide(frame, tables.with_interval)
    miou = frame[frame.metric == "miou"]
    keys = list(dict.fromkeys(zip(miou.method, miou.sampler, strict=True)))
    keys = [key for key in keys if key[0] not in tables.CONTROLS] + [key for key in keys if key[0] in tables.CONTROLS]
    groups: list[list[Row]] = []
    for name, what, *numbers in texts:
        if name:
            groups.append([])
        key = keys[len(groups) - 1]
        steps = [0 if key[0] in tables.CONTROLS else int(head) for head in header[2:]]
        behind = [() if what == "published" else _behind(runs, (*key, n), "miou", names) for n in steps]
        cells = [Cell.of(text, records) for text, records in zip(numbers, behind, strict=True)]
        groups[-1].append(Row([Cell(name, kind="head"), Cell(what), *cells]))
        if comparable and what == "published":
            gaps = [_difference(frame, (*key, n), "miou") for n in steps]
            groups[-1].append(Row([Cell("", kind="head"), Cell("difference"), *gaps]))
    head = ["method", "", *(f"{n} step{'s' * (n != '1')}" for n in header[2:])]
    return Grid(f"Table 2: mIoU in percent by number of steps{names.on(runs[0].record)}", head, groups, grouped=True)


def ablations_grid(runs: list[Run]) -> Grid:
    """Every measured cell of every task; a row's key is its metric."""
    names = Names.among(runs)
    fields = ("dataset", *CELL) if names.several else CELL
    behind: dict[tuple, list[str]] = defaultdict(list)
    for run in only(runs):
        behind[tuple(getattr(run.record, name) for name in fields)].append(names.identity(run.record))
    rows = []
    for row in ablations(runs).itertuples(index=False):
        kind, key = KINDS[row.metric], tuple(row[: len(fields)])
        value = Cell.of(with_interval(row.value, row.low, row.high, kind.digits), tuple(behind[key]))
        b, drawn = (f"{row.amplitude:g}", f"{row.sampling_amplitude:g}") if row.method == "semflow" else ("-", "-")
        cells = [
            *([Cell(row.dataset)] if names.several else []),
            Cell(row.task),
            Cell(method_title(row.method), kind="head"),
            Cell(Sampler(row.sampler).title or "-"),
            *map(Cell.of, (str(row.steps or "-"), b, drawn, f"{row.evaluations:g}")),
            Cell(kind.title),
            value._replace(sort=row.value),
            *map(Cell.of, (str(row.n_images), str(row.n_seeds))),
        ]
        rows.append([Row(cells, kind.title)])
    header = ["task", "method", "sampler", "steps", "b", "b'", "network evaluations", "metric", "value", "images", "records"]
    header = ["data", *header] if names.several else header
    return Grid("Every measured cell, with 95 % intervals", header, rows, name="ablations")


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
        cells = [
            Cell(f"{record.task}{names.on(record)}: {title(record.method, record.sampler, record.steps)}", kind="head"),
            Cell(f"{record.amplitude:g}, {record.sampling_amplitude:g}"),
            Cell(headline(record), records=(names.identity(record),)),
            Cell(f"{record.training_seed}, {record.sampling_seed}"),
            Cell(source.commit[:SHORT] + (" (modified)" if source.dirty else ""), kind="code"),
            *(Cell(digest[:SHORT], kind="code") for digest in hashes),
            Cell(f"{source.device}, {source.threads} thread{'s' * (source.threads != 1)}"),
            *map(Cell.of, (f"{source.wall_s:.1f}", speed(record))),
            Cell(source.command, kind="code"),
        ]
        rows.append([Row(cells)])
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


def cost_grids(runs: list[Run], of_first: list[Run], names: Names) -> list[Grid]:
    """What each row of Table 1 costs, and what measuring took in all."""
    grids = [plain("What the rows of Table 1 cost", *table1.cost(table1.table1(of_first)))] if of_first else []
    spent: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for run in runs:
        spent[method_title(run.record.method), f"{run.record.task}{names.on(run.record)}"].append(run.record)
    rows = [
        [method, task, str(len(group)), f"{sum(record.n_images for record in group):,}", _seconds(group)]
        for (method, task), group in spent.items()
    ]
    whole = f"What the records took to measure: {len(runs)} records, {_seconds([run.record for run in runs])} s in all"
    return [*grids, plain(whole, ["method", "task", "records", "images", "wall s"], rows)]


def _seconds(group: list[Record]) -> str:
    return f"{sum(record.provenance.wall_s for record in group):.1f}"
