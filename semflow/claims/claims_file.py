"""The two files of claims: those of the paper, with every cell understood, and claims.json, in its form."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from semflow import files, published
from semflow.claims import document as paper
from semflow.claims.collect import NAMES, SAMPLERS
from semflow.claims.contrasts import CHOSEN, DERIVED, EVERY, Where
from semflow.claims.document import Document, Part, Points
from semflow.claims.judging import Verdict
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.catalogue import KINDS, ROLES
from semflow.suite.registry import TASKS

OF_TASK = {  # the metrics of the tasks that draw nothing; all others are of synthesis
    "segmentation": {"miou", "miou_either", "miou_native", "pixel_accuracy", *DERIVED},
    "seed_agreement": {"seed_agreement"},
}
METRICS = {*KINDS, *ROLES, *DERIVED, "distance"}


def load(text: str | None = None) -> Document:
    """The paper's claims, or others in the same form; SemFlowError names the entry and what is wrong in it."""
    document = paper.load(text)
    entries = [(f"claim {claim.id}", claim.parts) for claim in document.claims]
    entries += [(f"assay {name}", assay.parts) for name, assay in document.assays.items()]
    for name, parts in entries:
        for part in parts:
            _check_part(name, part)
    for points in document.points:
        _check_points(points)
    known = published.table2()
    for finding in document.findings:
        for quote in finding.quoted:
            if (quote.method, quote.sampler, quote.steps) not in known:
                raise _wrong(f"finding {finding.id}", f"Table 2 has no {quote.method} {quote.sampler}-{quote.steps}")
    return document


def _check_part(entry: str, part: Part) -> None:
    cells = [cell for cell in (part.of, part.minus, part.over, part.cost_against) if cell]
    try:
        where = [Where.parse(cell) for cell in cells]
    except SemFlowError as error:
        raise _wrong(entry, str(error)) from None
    for cell, place in zip(cells, where, strict=True):
        if problem := _unknown(place):
            raise _wrong(entry, f"cell {cell!r}: {problem}")
    if part.cost_against and any(place.steps != EVERY for place in where):
        raise _wrong(entry, f"cost_against compares every number of steps; write NAME-{EVERY} on both sides")


def _unknown(where: Where) -> str:
    """What is wrong with a cell, or nothing."""
    known = {"method": set(NAMES), "task": set(TASKS), "sampler": set(SAMPLERS), "metric": METRICS}
    for what, names in known.items():
        if (word := getattr(where, what)) not in names:
            return f"there is no {what} {word!r}; it is one of {', '.join(sorted(names))}"
    of_others = {metric for task, metrics in OF_TASK.items() if task != where.task for metric in metrics} - {*DERIVED}
    if where.metric not in OF_TASK.get(where.task, METRICS - of_others):
        return f"{where.metric} is no metric of {where.task}"
    if where.b is not None and where.method != "semflow":
        return f"b= is for semflow; {where.method}'s masks are not perturbed"
    if where.drawn is not None and where.task != "synthesis":
        return f"b'= is for synthesis; {where.task} draws nothing"
    if where.steps in (EVERY, *CHOSEN) and where.task == "seed_agreement":
        return "determinism is measured at one number of steps; name it"
    return ""


def _check_points(points: Points) -> None:
    metrics = {"miou"} if points.table == 2 else {metric for values in published.table1().values() for metric in values}
    if set(points.margins) != metrics:
        raise _wrong(f"points of table {points.table}", f"margins must be of {', '.join(sorted(metrics))}, each once")


def _wrong(entry: str, what: str) -> SemFlowError:
    return SemFlowError(f"claims.yaml: {entry}: {what}")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _JudgedPart(_Entry):
    what: str
    unit: str
    digits: int
    effect: float | None
    low: float | None
    high: float | None
    low90: float | None
    high90: float | None
    seed_low: float | None
    seed_high: float | None
    at_least: float | None
    at_most: float | None
    p: float | None
    n_images: int
    n_trainings: int
    n_seeds: int
    holds: bool | None
    records: list[str]


class _JudgedClaim(_Entry):
    id: str
    place: str
    words: str
    kind: Literal["point", "ordering", "shape"]
    tier: Literal["proxy", "paper"]
    verdict: Verdict
    scale: Literal["proxy", "paper"] | None
    data: str = ""  # the data set that it was judged on, where the suite has several
    why: str
    needs: str
    reason: str
    p: float | None
    p_holm: float | None
    parts: list[_JudgedPart]


class _JudgedFinding(_Entry):
    id: str
    place: str
    words: str
    reading: str
    quoted: str


class _Judged(_Entry):
    format: Literal[1]
    suite: str
    scale: Literal["proxy", "paper"]
    counts: dict[Verdict, int]
    notes: list[str]
    claims: list[_JudgedClaim]
    findings: list[_JudgedFinding]


def read(path: Path) -> dict[str, Any]:
    """claims.json as `semflow report claims` wrote it; SemFlowError if it is missing or of another form."""
    raw = files.read_json(path, "file of claims")
    try:
        return _Judged.model_validate(raw).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        mend = "make it again with `semflow report claims`"
        raise SemFlowError(f"{path} is not a file of claims of format 1: {where}: {first['msg']}; {mend}") from None
