"""What `semflow report` writes: one function a product, from records alone, each file in the form its suffix says."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from semflow import files
from semflow.claims import document, verdicts
from semflow.claims.collect import Run, read_runs
from semflow.errors import SemFlowError
from semflow.report import FIGURES, claims_text, figures, table1, tables
from semflow.report.ablations import ablations
from semflow.report.page import page, site

Forms = dict[str, Callable[[Path], None]]  # by suffix, what writes a product to a path


def write(
    what: str,
    records: list[Path],
    out: list[Path],
    *,
    table: Path | None = None,
    claims: Path | None = None,
    captions: Sequence[Path] = (),
) -> None:
    """Write `what` (see semflow.report.PRODUCTS) to the files `out`.

    table: the CSV of a table, for the products drawn from it.  claims: claims.json, for the index.  captions: for a page, the
    .txt beside each figure.
    """
    forms = _forms(what, read_runs(records), table, claims, captions)
    for path in out:
        if path.suffix not in forms:
            raise SemFlowError(f"{path}: the suffix must be one of {', '.join(forms)}")
        forms[path.suffix](path)


def _forms(what: str, runs: list[Run], table: Path | None, claims: Path | None, captions: Sequence[Path]) -> Forms:
    if what in FIGURES:
        figure, caption = figures.DRAW[what](runs)
        number = what.removeprefix("figure")
        return _figure(figure, f"Figure {int(number)}. {caption}" if number != what else caption)
    if what == "figure_table2":
        return _figure(*figures.table2(_read(table, what), runs))
    if what == "table1":
        return _table(table1.table1(runs), lambda frame: table1.markdown(frame, runs), lambda frame: table1.latex(frame, runs))
    if what == "table2":
        return _table(tables.table2(runs), lambda frame: tables.markdown(frame, runs), lambda frame: tables.latex(frame, runs))
    if what == "ablations":
        return {".csv": _text(lambda: _csv(ablations(runs)))}
    if what == "claims":
        return _claims(verdicts.judge(runs, document.load()))
    if what == "index":
        judged = _read_claims(claims, runs)
        return {".html": lambda path: site(runs, judged, _captioned(captions, path), path)}
    assert what in ("table1_page", "table2_page"), what
    return {".html": lambda path: files.write_text(path, _page(what, runs, table, _captioned(captions, path)))}


def _page(what: str, runs: list[Run], table: Path | None, pictures: list[tuple[str, str]]) -> str:
    suite = runs[0].record.suite
    frame = _read(table, what)
    if what == "table1_page":
        return page(f"Table 1, suite {suite}", [table1.wide(frame), table1.cost(frame)], table1.notes(runs), pictures, runs)
    notes = [tables.stand_in(runs), tables.seeds(frame, runs), f"Intervals: {runs[0].record.protocol.interval}."]
    return page(f"Table 2, suite {suite}", [tables.wide(frame, tables.with_interval)], notes, pictures, runs)


def _table(frame: pd.DataFrame, markdown: Callable[[pd.DataFrame], str], latex: Callable[[pd.DataFrame], str]) -> Forms:
    return {".csv": _text(lambda: _csv(frame)), ".md": _text(lambda: markdown(frame)), ".tex": _text(lambda: latex(frame))}


def _claims(judged: dict[str, Any]) -> Forms:
    return {
        ".json": lambda path: verdicts.write(path, judged),
        ".md": _text(lambda: claims_text.markdown(judged)),
        ".svg": _text(lambda: claims_text.badge(judged)),
    }


def _read_claims(path: Path | None, runs: list[Run]) -> dict[str, Any]:
    """claims.json of the suite that the records are of."""
    if path is None:
        raise SemFlowError("report index needs --claims, the JSON that `semflow report claims` wrote")
    claims = verdicts.read(path)
    if claims["suite"] != runs[0].record.suite:
        raise SemFlowError(f"{path} is of suite {claims['suite']}, the records are of {runs[0].record.suite}; judge these")
    return claims


def _figure(figure: figures.Figure, caption: str) -> Forms:
    def draw(path: Path) -> None:
        figures.save(figure, path)

    return {".png": draw, ".svg": draw, ".txt": _text(lambda: caption + "\n")}


def _text(make: Callable[[], str]) -> Callable[[Path], None]:
    return lambda path: files.write_text(path, make())


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, lineterminator="\n")


def _read(table: Path | None, what: str) -> pd.DataFrame:
    if table is None:
        raise SemFlowError(f"report {what} needs --table, the CSV that `semflow report` wrote for the table")
    return tables.read_csv(table)


def _captioned(captions: Sequence[Path], page_path: Path) -> list[tuple[str, str]]:
    """(relative path, caption) of every figure."""
    pictures = []
    for caption in captions:
        if not caption.exists():
            raise SemFlowError(f"there is no {caption}; draw the figure first")
        picture = os.path.relpath(caption.with_suffix(".svg"), page_path.parent)
        pictures.append((picture, caption.read_text(encoding="utf-8").strip()))
    return pictures
