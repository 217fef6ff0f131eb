"""What `semflow report` writes: one function a product, from records alone."""

from pathlib import Path

from semflow import files
from semflow.analysis import figures, tables
from semflow.analysis.collect import Run, read_runs
from semflow.errors import SemFlowError

BOOTSTRAP_SAMPLES = 1000


def write(what: str, records: list[Path], results: Path, reports: Path) -> None:
    """Make `table2`, `figure_table2`, `figure02` or the `page` that gathers them."""
    {"table2": _table2, "figure_table2": _curves, "figure02": _figure02, "page": _page}[what](
        read_runs(records), results, reports
    )


def _table2(runs: list[Run], results: Path, reports: Path) -> None:
    frame = tables.table2(runs, BOOTSTRAP_SAMPLES)
    files.write_text(results / "table2.csv", frame.to_csv(index=False, lineterminator="\n"))
    files.write_text(reports / "table2.md", tables.markdown(frame, runs))
    files.write_text(reports / "table2.tex", tables.latex(frame, runs))


def _curves(runs: list[Run], results: Path, reports: Path) -> None:
    _save(figures.table2(tables.read_csv(results / "table2.csv"), runs), reports / "figures" / "table2")


def _figure02(runs: list[Run], results: Path, reports: Path) -> None:
    _save(figures.figure02(runs), reports / "figures" / "figure02")


def _save(drawn: tuple, stem: Path) -> None:
    figure, caption = drawn
    figures.save(figure, stem)
    files.write_text(stem.with_suffix(".txt"), caption + "\n")


def _page(runs: list[Run], results: Path, reports: Path) -> None:
    pictures = []
    for name in ("table2", "figure02"):
        caption = reports / "figures" / f"{name}.txt"
        if not caption.exists():
            raise SemFlowError(f"there is no {caption}; draw the figures first")
        pictures.append(
            (f"figures/{name}.svg" if name == "table2" else f"figures/{name}.png", caption.read_text(encoding="utf-8").strip())
        )
    frame = tables.read_csv(results / "table2.csv")
    files.write_text(reports / "table2.html", tables.page(frame, runs, pictures))
