"""The web pages around tables and figures. Everything that comes from data is escaped; nothing is fetched."""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from semflow import files, published
from semflow.claims import starved
from semflow.claims.collect import Names, Run, by_dataset, images_of, listed, only, size_of, sizes_of_networks
from semflow.claims.document import load
from semflow.claims.verdicts import orderings, read, table_entries
from semflow.errors import SemFlowError
from semflow.provenance import repository
from semflow.report import methods, selection, table1, table2
from semflow.report.ablations import ablations, ablations_grid
from semflow.report.budget import grids as budget_grids
from semflow.report.budget import speed_note
from semflow.report.claims_text import committed
from semflow.report.page import explorer, sections
from semflow.report.page.claim_rows import MEANING, by_verdict, conclusion
from semflow.report.page.details import details
from semflow.report.page.forest import WIDTH, forest
from semflow.report.page.pictures import Captioned, captioned, figure, inlined, relative
from semflow.report.products import Beside, Forms, product
from semflow.report.selection import everything
from semflow.report.tables import Grid

if TYPE_CHECKING:
    from pandas import DataFrame


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
        files.write_text(path, page(title, grids, notes, captioned(beside.captions, path), runs))

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
    links, records = ({}, ()) if beside.single_file else ({"claims.json": beside.claims}, beside.records)

    def write(path: Path) -> None:
        site(runs, claims, captioned(beside.captions, path), path, links, records, beside.single_file)

    return {".html": write}


def page(title: str, tables: list[Grid], notes: list[str], figures: Captioned, runs: list[Run]) -> str:
    """One HTML page: tables, notes, figures, and the provenance of every run."""
    return _render(runs, title, figures=[figure(path, caption, None) for path, caption in figures], tables=tables, notes=notes)


def site(
    runs: list[Run], claims: dict[str, Any], figures: Captioned, out: Path, beside: Mapping[str, Path] | None = None,
    records: Sequence[Path] = (), single_file: bool = False,
) -> None:  # fmt: skip
    """Write the whole report of a suite: the page `out`, and `pictures/` beside it.

    claims: what claims.json holds; may be empty.  beside: files that the page links, by name.  records: files of `runs`, in their
    order, which it links too.  single_file: pictures and figures go into the page, and no folder is written.
    """
    out = Path(out)
    with TemporaryDirectory() if single_file else files.new_folder(out.parent / explorer.FOLDER) as folder:
        entries = explorer.explorer(runs, Path(folder))
        pictures = (
            {f"{explorer.FOLDER}/{path.name}": inlined(path) for path in sorted(Path(folder).iterdir())} if single_file else {}
        )
        shown = [figure(path, caption, out.parent, single_file) for path, caption in figures]
        data = {"records": _records(runs, records, out.parent), "explorer": entries, "pictures": pictures}
        report = _report(runs, claims) | {"explorer": bool(entries), "files": relative((beside or {}).items(), out.parent)}
        words = _render(runs, f"SemFlow, replicated: suite {runs[0].record.suite}", report=report, figures=shown, data=data)
    files.write_text(out, words)


def _records(runs: list[Run], paths: Sequence[Path], folder: Path) -> dict[str, Any]:
    """What the dialog says of every record, and where its file lies. Each text stands once: most records have most in common."""
    names, texts = Names.among(runs), dict[str, int]()
    known = [names.identity(run.record) for run in runs]
    said = {name: numbered(details(run.record, names), texts) for name, run in zip(known, runs, strict=True)}
    where = relative(zip(known, paths, strict=True), folder) if paths else {}
    return {"texts": list(texts), "records": said, "files": where}


def numbered(value: Any, texts: dict[str, int]) -> Any:
    """Lists with every text in them replaced by its number in `texts`, which grows."""
    return texts.setdefault(value, len(texts)) if isinstance(value, str) else [numbered(one, texts) for one in value]


def _report(runs: list[Run], claims: dict[str, Any]) -> dict[str, Any]:
    names, at_paper_scale = Names.among(runs), claims.get("scale") == "paper"
    known = claims or {"claims": []}
    others, numbers = orderings(known), table_entries(known)
    weak = starved.among(runs, load())
    first, second, ablated = sections.of_table1(runs), sections.of_table2(runs), ablations_grid(runs)
    return {
        "proxy": not at_paper_scale,
        "facts": facts(runs, at_paper_scale),
        "paper": published.paper_url(),
        "conclusion": conclusion(others, runs),
        "lists": {"claims": by_verdict(others), "entries": by_verdict(numbers)},
        "forest": forest([*others, *numbers]),
        "verdicts": MEANING,
        "notes": [*claims.get("notes", []), *filter(None, [committed(claims)])],
        "discrepancies": claims.get("discrepancies", []),
        "tables": [
            _table(1, first, lambda of: (table1.grid(of, names, starving=weak), table1.notes(of, weak), table1.table1(of))),
            _table(2, second, lambda of: (table2.grid(of, names), table2.notes(of), table2.table2(of))),
        ],
        "methods": methods.pages(runs),
        "ablations": ablated,
        "ablations_csv": download(ablations(runs)),
        "metrics": sections.metrics_of(ablated),
        "legends": explorer.legends(runs),
        "cost": [*budget_grids(runs), sections.spent_grid(runs, names)],
        "speed": speed_note(runs),
    }


def _table(number: int, runs: list[Run], make: "Callable[[list[Run]], tuple[Grid, list[str], DataFrame]]") -> dict[str, Any]:
    """A table of the page; without a grid where there are no records for it."""
    grid, notes, frame = make(runs) if runs else (None, [], None)
    return {"number": number, "grid": grid, "notes": notes, "csv": "" if frame is None else download(frame)}


def download(frame: "DataFrame") -> str:
    """A table's CSV as an address."""
    return f"data:text/csv;charset=utf-8,{quote(frame.to_csv(index=False, lineterminator=chr(10)))}"


def facts(runs: list[Run], at_paper_scale: bool) -> dict[str, Any]:
    """What was measured on, in words: scale, data, network; and the commits of the records, each with its address."""
    sizes = (f"{n / 1e6:.1f} million" if n >= 1e5 else f"{n:,}" for n in sizes_of_networks(runs))
    parameters = listed(dict.fromkeys(sizes)) or "no"
    return {
        "scale": "at the paper's scale" if at_paper_scale else "at proxy scale",
        "data": "; ".join(map(_data, by_dataset(runs).values())),
        "network": f"{parameters} parameters",
        "commits": {commit: repository(commit) for commit in dict.fromkeys(run.record.provenance.commit for run in runs)},
    }


def _data(runs: list[Run]) -> str:
    """By a record of segmentation, where there is one: other tasks may be on a part of the images."""
    record = (only(runs, task="segmentation") or runs)[0].record
    return f"{images_of(record)} of {record.dataset}, {size_of(record)}, {len(record.classes)} classes"


def _render(
    runs: list[Run], title: str, figures: list[dict[str, Any]], tables: Sequence[Grid] = (), notes: Sequence[str] = (),
    report: dict[str, Any] | None = None, data: dict[str, Any] | None = None,
) -> str:  # fmt: skip
    return rendered(
        "template.html",
        title=title, suite=runs[0].record.suite, figures=figures, tables=tables, notes=notes, report=report, width=WIDTH,
        runs=sections.runs_grid(runs), versions=sections.versions(runs),
        data={name: embedded(value) for name, value in (data or {}).items()}, script=Markup(_own("script.js")),
    )  # fmt: skip


def rendered(name: str, **values: Any) -> str:
    """A template of this folder, with the style that all have."""
    environment = Environment(
        loader=FunctionLoader(_own), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name).render(style=Markup(_own("style.css")), **values) + "\n"


def _own(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def embedded(value: Any) -> Markup:
    """JSON for a script element: no text in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup("".join(f"\\u{ord(letter):04x}" if letter in "<>&" else letter for letter in text))
