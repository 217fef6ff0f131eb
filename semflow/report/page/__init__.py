"""The web pages around tables and figures. Everything that comes from data is escaped; nothing is fetched."""

import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from semflow import files
from semflow.claims import starved
from semflow.claims.collect import Names, Run, by_dataset, images_of, listed, only, size_of, sizes_of_networks
from semflow.claims.document import load
from semflow.claims.verdicts import orderings, read, table_entries
from semflow.errors import SemFlowError
from semflow.report import selection, table1, table2
from semflow.report.ablations import ablations_grid
from semflow.report.budget import grids as budget_grids
from semflow.report.budget import speed_note
from semflow.report.claims_text import committed
from semflow.report.page import explorer, sections
from semflow.report.page.claim_rows import MEANING, claim_rows, count
from semflow.report.page.details import details
from semflow.report.products import Beside, Forms, product
from semflow.report.selection import everything
from semflow.report.tables import Grid

Captioned = list[tuple[str, str]]  # (path relative to the page, caption)
SENTENCE = re.compile(r"((?:Figure \d+\. )?.+?[.?!])(?= [A-Z]|$)", re.DOTALL)


@product("table1_page", table1.needs)
def table1_page(runs: list[Run], beside: Beside) -> Forms:
    """Table 1 as a web page, with what its methods cost."""
    runs, weak = selection.among(runs, table1.rows_of), starved.among(runs, load())
    grids, notes = [table1.grid(runs, starving=weak), *budget_grids(runs)], [*table1.notes(runs, weak), speed_note(runs)]
    return _one_table("Table 1", grids, notes, runs, beside)


@product("table2_page", table2.needs)
def table2_page(runs: list[Run], beside: Beside) -> Forms:
    """Table 2 as a web page, with its figures."""
    return _one_table("Table 2", [table2.grid(runs)], table2.notes(runs), runs, beside)


def _one_table(name: str, grids: list[Grid], notes: list[str], runs: list[Run], beside: Beside) -> Forms:
    title = f"{name}, suite {runs[0].record.suite}"

    def write(path: Path) -> None:
        files.write_text(path, page(title, grids, notes, _captioned(beside.captions, path), runs))

    return {".html": write}


@product("index", everything)
def index(runs: list[Run], beside: Beside) -> Forms:
    """Report of a suite: verdicts, tables, examples, figures and provenance."""
    if beside.claims is None:
        raise SemFlowError("report index needs --claims, the JSON that `semflow report claims` wrote")
    claims = read(beside.claims)
    suite = runs[0].record.suite
    if claims["suite"] != suite:
        raise SemFlowError(f"{beside.claims} is of suite {claims['suite']}, the records are of {suite}; judge these")
    return {".html": lambda path: site(runs, claims, _captioned(beside.captions, path), path)}


def _captioned(captions: Sequence[Path], page_path: Path) -> Captioned:
    """Every figure, and its caption."""
    if missing := [caption for caption in captions if not caption.exists()]:
        raise SemFlowError(f"there is no {missing[0]}; draw the figure first")
    pictures = [os.path.relpath(caption.with_suffix(".svg"), page_path.parent) for caption in captions]
    return [(path, caption.read_text(encoding="utf-8").strip()) for path, caption in zip(pictures, captions, strict=True)]


def page(title: str, tables: list[Grid], notes: list[str], figures: Captioned, runs: list[Run]) -> str:
    """One HTML page: tables, notes, figures, and the provenance of every run."""
    return _render(runs, title, figures=_figures(figures, None), tables=tables, notes=notes)


def site(runs: list[Run], claims: dict[str, Any], figures: Captioned, out: Path) -> None:
    """Write the whole report of a suite: the page `out`, and `pictures/` beside it.

    claims: what claims.json holds; may be empty.
    """
    out, names = Path(out), Names.among(runs)
    with files.new_folder(out.parent / explorer.FOLDER) as folder:
        entries = explorer.explorer(runs, folder)
        words = _render(
            runs,
            f"SemFlow, replicated: suite {runs[0].record.suite}",
            report=_report(runs, claims, names) | {"explorer": bool(entries)},
            figures=_figures(figures, out.parent),
            data={"records": {names.identity(run.record): details(run.record, names) for run in runs}, "explorer": entries},
        )
    files.write_text(out, words)


def _report(runs: list[Run], claims: dict[str, Any], names: Names) -> dict[str, Any]:
    at_paper_scale = claims.get("scale") == "paper"
    known = claims or {"claims": []}
    others, numbers = claim_rows(orderings(known)), claim_rows(table_entries(known))
    weak = starved.among(runs, load())
    first, second, ablations = sections.of_table1(runs), sections.of_table2(runs), ablations_grid(runs)
    return {
        "proxy": not at_paper_scale,
        "facts": facts(runs, at_paper_scale),
        "claims": others,
        "table_entries": numbers,
        "counts": count(others),
        "entry_counts": count(numbers),
        "verdicts": MEANING,
        "notes": [*claims.get("notes", []), *filter(None, [committed(claims)])],
        "discrepancies": claims.get("discrepancies", []),
        "tables": [
            (1, first and table1.grid(first, names, starving=weak), first and table1.notes(first, weak)),
            (2, second and table2.grid(second, names), second and table2.notes(second)),
        ],
        "ablations": ablations,
        "metrics": sections.metrics_of(ablations),
        "legends": explorer.legends(runs),
        "cost": [*budget_grids(runs), sections.spent_grid(runs, names)],
        "speed": speed_note(runs),
    }


def facts(runs: list[Run], at_paper_scale: bool) -> dict[str, str]:
    """What was measured on, in words: scale, data, network."""
    sizes = (f"{n / 1e6:.1f} million" if n >= 1e5 else f"{n:,}" for n in sizes_of_networks(runs))
    parameters = listed(dict.fromkeys(sizes)) or "no"
    return {
        "scale": "at the paper's scale" if at_paper_scale else "at proxy scale",
        "data": "; ".join(map(_data, by_dataset(runs).values())),
        "network": f"{parameters} parameters",
        "commit": listed(dict.fromkeys(run.record.provenance.commit[: sections.SHORT] for run in runs)),
    }


def _data(runs: list[Run]) -> str:
    """By a record of segmentation, where there is one: other tasks may be on a part of the images."""
    record = (only(runs, task="segmentation") or runs)[0].record
    return f"{images_of(record)} of {record.dataset}, {size_of(record)}, {len(record.classes)} classes"


def _figures(figures: Captioned, folder: Path | None) -> list[dict[str, Any]]:
    """folder: where the page will lie, to find out how large each figure is, so that nothing moves when it loads."""
    return [
        {"path": path, "caption": caption, "alt": first_sentence(caption), "size": _size(folder / path) if folder else None}
        for path, caption in figures
    ]


def first_sentence(caption: str) -> str:
    """The first sentence of a caption, the number of its figure with it."""
    found = SENTENCE.match(caption)
    return found.group(1) if found else caption


def _size(path: Path) -> tuple[float, float] | None:
    """Width and height of an SVG in its own units; None for what is missing or is no SVG."""
    try:
        box = next(ET.iterparse(path, events=["start"]))[1].get("viewBox", "")
        _, _, width, height = map(float, box.split())
    except (OSError, ET.ParseError, ValueError, StopIteration):
        return None
    return width, height


def _render(
    runs: list[Run], title: str, figures: list[dict[str, Any]], tables: Sequence[Grid] = (), notes: Sequence[str] = (),
    report: dict[str, Any] | None = None, data: dict[str, Any] | None = None,
) -> str:  # fmt: skip
    environment = Environment(
        loader=FunctionLoader(_own), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("template.html").render(
        title=title, figures=figures, tables=tables, notes=notes, report=report,
        runs=sections.runs_grid(runs), versions=sections.versions(runs),
        data={name: embedded(value) for name, value in (data or {}).items()},
        style=Markup(_own("style.css")), script=Markup(_own("script.js")),
    )  # fmt: skip
    return page + "\n"


def _own(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def embedded(value: Any) -> Markup:
    """JSON for a script element: no text in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup("".join(f"\\u{ord(letter):04x}" if letter in "<>&" else letter for letter in text))
