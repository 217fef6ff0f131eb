"""The web pages around tables and figures. Everything that comes from data is escaped; nothing is fetched."""

import json
import re
import xml.etree.ElementTree as ET
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from semflow import files, published
from semflow.claims.collect import Names, Run, by_dataset, comparable, listed, only
from semflow.claims.verdicts import orderings, table_entries
from semflow.evaluation.records import Record
from semflow.report import table1, tables
from semflow.report.page import explorer, sections
from semflow.report.page.claim_rows import MEANING, claim_rows, count
from semflow.report.page.details import details
from semflow.report.page.grid import plain

Table = tuple[list[str], list[list[str]]]  # header, rows
Captioned = list[tuple[str, str]]  # (path relative to the page, caption)
SENTENCE = re.compile(r"((?:Figure \d+\. )?.+?[.?!])(?= [A-Z]|$)", re.DOTALL)


def page(title: str, tables: list[Table], notes: list[str], figures: Captioned, runs: list[Run]) -> str:
    """One HTML page: tables, notes, figures, and the provenance of every run."""
    return _render(
        title=title,
        report=None,
        tables=[plain(title if not number else "", *table) for number, table in enumerate(tables)],
        notes=notes,
        figures=_figures(figures, None),
        runs=sections.runs_grid(runs),
        versions=sections.versions(runs),
        data={},
    )


def site(runs: list[Run], claims: dict[str, Any], figures: Captioned, out: Path) -> None:
    """Write the whole report of a suite: the page `out`, and `pictures/` beside it.

    claims: what claims.json holds; may be empty.
    """
    out = Path(out)
    with files.new_folder(out.parent / explorer.FOLDER) as folder:
        text = _site(runs, claims, _figures(figures, out.parent), explorer.explorer(runs, folder))
    files.write_text(out, text)


def _site(runs: list[Run], claims: dict[str, Any], figures: list[dict[str, Any]], entries: list[dict[str, Any]]) -> str:
    at_paper_scale = claims.get("scale") == "paper"
    known = claims or {"claims": []}
    others, numbers = claim_rows(orderings(known)), claim_rows(table_entries(known))
    first, second, ablations = sections.of_table1(runs), sections.of_table2(runs), sections.ablations_grid(runs)
    names = Names.among(runs)
    report = {
        "stand_in": not at_paper_scale,
        "facts": facts(runs, at_paper_scale),
        "claims": others,
        "points": numbers,
        "counts": count(others),
        "point_counts": count(numbers),
        "verdicts": MEANING,
        "notes": claims.get("notes", []),
        "findings": claims.get("discrepancies", []),
        "table1": sections.table1_grid(first, table1.comparable_metrics(first), names) if first else None,
        "table1_notes": table1.notes(first) if first else [],
        "table2": sections.table2_grid(second, comparable(second, published.table(2)["dataset"]), names) if second else None,
        "table2_notes": _table2_notes(second),
        "ablations": ablations,
        "metrics": sections.metrics_of(ablations),
        "explorer": bool(entries),
        "legends": explorer.legends(runs),
        "cost": sections.cost_grids(runs, first, names),
    }
    return _render(
        title=f"SemFlow, replicated: suite {runs[0].record.suite}",
        report=report,
        tables=[],
        notes=[],
        figures=figures,
        runs=sections.runs_grid(runs),
        versions=sections.versions(runs),
        data={"records": {names.identity(run.record): details(run.record, names) for run in runs}, "explorer": entries},
    )


def _table2_notes(runs: list[Run]) -> list[str]:
    if not runs:
        return []
    seeds = tables.seeds(tables.table2(runs), runs)
    return [tables.stand_in(runs), seeds, f"Intervals: {runs[0].record.protocol.interval}."]


def facts(runs: list[Run], at_paper_scale: bool) -> dict[str, str]:
    """What was measured on, in words: scale, data, network."""
    sizes = sorted({run.record.n_parameters for run in runs if run.record.n_parameters is not None})
    parameters = listed(dict.fromkeys(_millions(size) for size in sizes)) or "no"
    return {
        "scale": "at the paper's scale" if at_paper_scale else "on a stand-in (proxy scale)",
        "data": "; ".join(_data(_typical(of)) for of in by_dataset(runs).values()),
        "network": f"{parameters} parameters",
        "commit": listed(dict.fromkeys(run.record.provenance.commit[: sections.SHORT] for run in runs)),
    }


def _data(record: Record) -> str:
    h, w = record.protocol.evaluation_size
    return f"{record.n_images:,} {record.split} images of {record.dataset}, {h} x {w}, {len(record.classes)} classes"


def _typical(runs: list[Run]) -> Record:
    """A record of segmentation, where there is one: other tasks may be on a part of the images."""
    return (only(runs, task="segmentation") or runs)[0].record


def _millions(n: int) -> str:
    return f"{n / 1e6:.1f} million" if n >= 1e5 else f"{n:,}"


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


def _render(**content: Any) -> str:
    environment = Environment(
        loader=FunctionLoader(_own), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("template.html")
    data = {name: embedded(value) for name, value in content.pop("data").items()}
    return template.render(**content, data=data, style=Markup(_own("style.css")), script=Markup(_own("script.js"))) + "\n"


def _own(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def embedded(value: Any) -> Markup:
    """JSON for a script element: no text in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup("".join(f"\\u{ord(letter):04x}" if letter in "<>&" else letter for letter in text))
