"""What `semflow report` writes: one function a product, from records alone, each file in the form its suffix says."""

import os
from pathlib import Path

from semflow import files
from semflow.analysis import figures, page, tables
from semflow.analysis.collect import Run, read_runs
from semflow.errors import SemFlowError


def write(what: str, records: list[Path], table: Path | None, captions: list[Path], out: list[Path]) -> None:
    """Write `what` (see semflow.analysis.PRODUCTS) to the files `out`.

    table: the CSV that `table2` made, for the products drawn from it.  captions: for the page, the .txt beside each figure.
    """
    runs = read_runs(records)
    if what == "table2":
        _write_table2(runs, out)
    elif what == "figure02":
        _write_figure(*figures.figure02(runs), out)
    elif table is None:
        raise SemFlowError(f"report {what} needs --table, the CSV that `report table2` wrote")
    elif what == "figure_table2":
        _write_figure(*figures.table2(tables.read_csv(table), runs), out)
    else:
        _write_page(runs, table, captions, out)


def _write_table2(runs: list[Run], out: list[Path]) -> None:
    frame = tables.table2(runs)
    text = {
        ".csv": lambda: frame.to_csv(index=False, lineterminator="\n"),
        ".md": lambda: tables.markdown(frame, runs),
        ".tex": lambda: tables.latex(frame, runs),
    }
    for path in out:
        files.write_text(path, _choose(text, path)())


def _write_figure(figure: figures.Figure, caption: str, out: list[Path]) -> None:
    kinds = {
        ".png": lambda path: figures.save(figure, path),
        ".svg": lambda path: figures.save(figure, path),
        ".txt": lambda path: files.write_text(path, caption + "\n"),
    }
    for path in out:
        _choose(kinds, path)(path)


def _write_page(runs: list[Run], table: Path, captions: list[Path], out: list[Path]) -> None:
    frame = tables.read_csv(table)
    for path in out:
        pictures = []
        for caption in captions:
            if not caption.exists():
                raise SemFlowError(f"there is no {caption}; draw the figure first")
            picture = os.path.relpath(caption.with_suffix(".svg"), path.parent)
            pictures.append((picture, caption.read_text(encoding="utf-8").strip()))
        files.write_text(path, page.table2(frame, runs, pictures))


def _choose(kinds: dict, path: Path):
    if path.suffix not in kinds:
        raise SemFlowError(f"{path}: the suffix must be one of {', '.join(kinds)}")
    return kinds[path.suffix]
