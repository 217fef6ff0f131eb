"""Which of the records given a figure shows."""

from semflow.claims.collect import Run, only
from semflow.errors import SemFlowError


def needed(runs: list[Run], figure: str, **wanted: object) -> list[Run]:
    """The runs whose records have these values, ordered by seeds; SemFlowError where there is none."""
    chosen = only(runs, **wanted)
    if not chosen:
        values = ", ".join(f"{name} {value}" for name, value in wanted.items())
        raise SemFlowError(f"{figure} needs a record with {values}, and was given none; evaluate one")
    return chosen


def first_of_each(runs: list[Run], field: str) -> dict[float, Run]:
    """For every value of a number in the records, lowest first, the run with the lowest seeds."""
    values = sorted({getattr(run.record, field) for run in runs})
    return {value: only(runs, **{field: value})[0] for value in values}
