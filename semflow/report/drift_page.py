"""A drift check as a page: the verdict, what was compared, what made both sides, and what to do."""

from semflow.claims.collect import Run
from semflow.claims.drift import NEXT, Check
from semflow.report.page import page
from semflow.report.tables import Entry, Grid, Row


def drift_page(check: Check, runs: list[Run]) -> str:
    """HTML. runs: that were checked."""
    notes = [f"Verdict: {check.verdict}. {NEXT[check.verdict]}"]
    notes += [f"Drift: {line}." for line in check.drifted] + [f"{line}." for line in (*check.unlike, *check.untold)]
    notes.append(f"Compared: {check.compared}.")
    grids = [*([_watched(check)] if check.watched else []), _origins(check)]
    return page(f"Drift check: {check.verdict}", grids, notes, [], runs)


def _watched(check: Check) -> Grid:
    header = ["number", "reference", "trainings", "here", "worse by", "may be", "p", "drifted"]
    rows = [
        Row(
            [
                Entry(one.name, kind="head"),
                Entry.of(f"{min(one.was):.4g} to {max(one.was):.4g}"),
                *map(Entry.of, (str(len(one.was)), f"{sum(one.now) / len(one.now):.4g}", f"{one.worse:.3g}")),
                *map(Entry.of, (f"{one.limit:.3g}", f"{one.p:.2g}", "yes" if one.drifted else "no")),
            ]
        )
        for one in check.watched
    ]
    return Grid("Watched numbers among the reference's trainings", header, [[row] for row in rows])


def _origins(check: Check) -> Grid:
    rows = [
        Row([Entry(name, kind="head"), Entry(was), Entry(now), Entry("no" if name in check.differs else "yes")])
        for name, was, now in check.origins
    ]
    return Grid("What made the two sides", ["what", "reference", "here", "the same"], [[row] for row in rows])
