"""Numbers in texts: README and docs keep them between markers, which are filled from the committed records and verdicts.

`<!-- begin WHAT -->...<!-- end -->`, where WHAT is `table1`, `table2`, `variants` (main numbers by the suite's variants),
`counts` (of verdicts), `claims ID ...` (a line each), or `number TERM` with a term as in claims.yaml, whose mean over trainings
and sampling seeds is given.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from semflow import files
from semflow.claims.collect import Run, number, only, own, read_runs, row_of, title
from semflow.claims.document import Term
from semflow.claims.effects import name_in
from semflow.claims.starved import mean
from semflow.claims.verdicts import orderings
from semflow.claims.verdicts import read as read_claims
from semflow.errors import SemFlowError, did_you_mean
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.report import figures, table1, table2  # noqa: F401 (figures registers the one of variants)
from semflow.report.claims_text import effect, summary
from semflow.report.products import chosen
from semflow.report.tables import Grid, markdown_table

BLOCK = re.compile(r"<!-- begin (?P<what>.+?) -->(?P<old>.*?)<!-- end -->", re.DOTALL)
BEGIN = re.compile(r"<!-- begin ")


def fill(paths: list[Path], records: list[Path], claims: Path, check: bool = False) -> None:
    """Write into each text what its markers ask for. check: only compare, a SemFlowError names the first that differs."""
    runs, judged = read_runs(records), read_claims(claims)
    for path in paths:
        with files.reading(path):
            text = path.read_text(encoding="utf-8")
        made = filled(text, runs, judged, str(path))
        if check and made != text:
            raise SemFlowError(f"{path} does not say what the records say; run `make readme`")
        if made != text:
            files.write_text(path, made)


def filled(text: str, runs: list[Run], judged: dict[str, Any], name: str) -> str:
    """A text with every block made anew. SemFlowError for a marker that is not understood or not closed."""
    if len(BEGIN.findall(text)) != len(BLOCK.findall(text)):
        raise SemFlowError(f"{name}: a `<!-- begin ... -->` has no `<!-- end -->`")

    def block(match: re.Match[str]) -> str:
        try:
            content = _content(match["what"], runs, judged)
        except SemFlowError as error:
            raise SemFlowError(f"{name}: marker {match['what']!r}: {error}") from None
        inside = f"\n\n{content}\n\n" if "\n" in content else content
        return f"<!-- begin {match['what']} -->{inside}<!-- end -->"

    return BLOCK.sub(block, text)


def _content(what: str, runs: list[Run], judged: dict[str, Any]) -> str:
    kind, _, of = what.partition(" ")
    makers = {
        "table1": lambda: _plain(table1.grid(chosen("table1", runs))),
        "table2": lambda: _plain(table2.grid(chosen("table2", runs))),
        "variants": lambda: _variants(chosen("variants", runs)),
        "counts": lambda: summary(orderings(judged)),
        "claims": lambda: "\n".join(_claim(known, judged) for known in of.split()),
        "number": lambda: _number(of, runs),
    }
    if kind not in makers:
        raise SemFlowError(f"there is no {kind!r}{did_you_mean(kind, list(makers))}; there are {', '.join(makers)}")
    return makers[kind]()


def _plain(grid: Grid) -> str:
    """A table without intervals, and without columns and rows that are empty."""
    rows = grid.values
    full = [column for column in range(len(grid.header)) if any(row[column] not in ("-", "") for row in rows)]
    kept = [row for row in rows if any(entry not in ("-", "published", "measured") for entry in row[1:])]
    return markdown_table([grid.header[column] for column in full], [[row[column] for column in full] for row in kept])


def _variants(runs: list[Run]) -> str:
    """mIoU and MMD² of each method by the suite's variants, the shortest training first: a mean, and of how many trainings."""
    trained, rows = [run for run in runs if run.record.budget], []
    seen = {run.record.variant: run.record.budget.images_seen or 0 for run in trained if run.record.budget}
    names = sorted(seen, key=lambda name: (seen[name], name))
    for method, sampler, steps in dict.fromkeys(row_of(run.record) for run in trained):
        for task, role in (("segmentation", "miou"), ("synthesis", "mmd2")):
            of = only(trained, method=method, sampler=sampler, steps=steps, task=task)
            if of:
                metric = name_in(role, of[0])
                groups = [only(of, variant=name) for name in names]
                cells = [_mean(group, metric) if group else "-" for group in groups]
                rows.append([f"{title(method, sampler, steps)}, {KINDS[metric].title}", *cells])
    return markdown_table(["", *(f"{name or 'as it is'}, {seen[name]:,} images" for name in names)], rows)


def _mean(group: list[Run], metric: str) -> str:
    """Over trainings, each a mean over its sampling seeds; in brackets how many."""
    seeds = {run.record.training_seed for run in group}
    means = [np.mean([number(run, metric) for run in only(group, training_seed=seed)]) for seed in seeds]
    return f"{np.mean(means):.{KINDS[metric].digits}f} ({len(means)})"


def _claim(known: str, judged: dict[str, Any]) -> str:
    by_id = {claim["id"]: claim for claim in orderings(judged)}
    if known not in by_id:
        raise SemFlowError(f"there is no claim {known!r}{did_you_mean(known, list(by_id))}")
    claim = by_id[known]
    said = f"- **{claim['verdict']}**: {claim['words']}"
    if not claim["conditions"]:
        return said
    first = claim["conditions"][0]  # that by which it is decided
    bounds = [f"{sign} {first[key]:g}" for key, sign in (("at_least", ">="), ("at_most", "<=")) if first[key] is not None]
    return f"{said[:-1]}: {effect(first)}, required {' and '.join(bounds)}."


def _number(of: str, runs: list[Run]) -> str:
    term = Term.parse(of)
    _, value = mean(runs, term)
    if value is None:
        raise SemFlowError("it was not measured")
    (run, *_) = only(own(runs), method=term.method, task=term.task)
    return f"{value:.{KINDS[name_in(term.metric, run)].digits}f}"
