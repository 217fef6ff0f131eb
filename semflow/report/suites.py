"""Every suite's report on one page, with how its claims stand."""

from pathlib import Path
from typing import Any

from semflow import files
from semflow.claims.verdicts import orderings, read
from semflow.errors import SemFlowError
from semflow.report.claims_text import SCALES, summary
from semflow.report.page import rendered
from semflow.report.page.pictures import relative

PAGES = {"index": "report", "table1": "Table 1", "table2": "Table 2", "drift": "drift"}  # what a report may consist of


def suites(root: Path, out: Path) -> None:
    """Write a page that links the report of every suite under `root`, as a run makes them or as they are published.

    SemFlowError where there is none, or if a file of claims is damaged.
    """
    with files.reading(root):
        found = [suite for folder in sorted(root.iterdir()) if (suite := _suite(folder, out.parent))["pages"]]
    if not found:
        raise SemFlowError(f"{root} holds no suite's report; make one, as with `snakemake --cores all report`")
    files.write_text(out, rendered("suites.html", suites=found))


def _suite(folder: Path, beside: Path) -> dict[str, Any]:
    """Name, pages by what they are called, and what became of the claims, "" where none were judged."""
    report = next((place for place in (folder / "report", folder) if place.is_dir()), folder)
    there = {words: report / f"{name}.html" for name, words in PAGES.items()}
    pages = relative([(words, path) for words, path in there.items() if path.exists()], beside)
    claims = read(folder / "claims.json") if pages and (folder / "claims.json").exists() else None
    verdicts = f"At {SCALES[claims['scale']]}: {summary(orderings(claims))}." if claims else ""
    return {"name": folder.name, "pages": pages, "verdicts": verdicts}
