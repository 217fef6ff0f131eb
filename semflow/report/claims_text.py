"""The paper's claims, judged: as JSON, as Markdown and as a badge."""

from collections import Counter
from typing import Any
from xml.sax.saxutils import escape

from semflow import files
from semflow.claims import document
from semflow.claims.collect import Run, with_interval
from semflow.claims.verdicts import JUDGED, VERDICTS, judge, orderings, table_entries
from semflow.report.products import Beside, Forms, product, text
from semflow.report.selection import everything
from semflow.report.tables import markdown_table

COLOURS = {
    "reproduced": "#1b7837", "not reproduced": "#a50026", "inconclusive": "#8a6100", "not comparable": "#4d5b6a",
    "not run": "#6b6b6b", "true by construction": "#2c5aa0",
}  # fmt: skip
SCALES = {"proxy": "proxy scale", "paper": "paper scale"}
HEADER = ["claim", "verdict", "effect", "p", "images", "trainings", "why"]
PRIMARY, KNIFE_EDGE = "primary", "knife edge: decided at 5 %, not at 1 %"
DATA = "data"  # a column after the verdict, where a suite has several data sets


@product("claims", everything)
def forms(runs: list[Run], beside: Beside) -> Forms:
    """Claims of the paper, each with its verdict."""
    judged = judge(runs, document.load())
    return {
        ".json": lambda path: files.write_json(path, judged),
        ".md": text(lambda: markdown(judged)),
        ".svg": text(lambda: badge(judged)),
    }


def verdict(claim: dict[str, Any]) -> str:
    """Such as "reproduced at proxy scale (primary)"."""
    scale = claim["scale"] if claim["verdict"] in JUDGED else None
    said = f"{claim['verdict']} at {SCALES[scale]}" if scale else claim["verdict"]
    marked = marks(claim)
    return f"{said} ({'; '.join(marked)})" if marked else said


def marks(claim: dict[str, Any]) -> list[str]:
    """What is said beside a verdict: whether the claim is primary, and whether it was decided on a knife edge."""
    return [PRIMARY] * claim["primary"] + [KNIFE_EDGE] * claim["knife_edge"]


def decisive(claim: dict[str, Any]) -> float | None:
    """The p-value that a verdict goes by: of the hypothesis that it rejects, or that the claim fails."""
    return claim["p_against"] if claim["verdict"] == "not reproduced" else claim["p"]


def effect(condition: dict[str, Any]) -> str:
    """Such as "8.0 [6.1, 9.9]"."""
    return with_interval(condition["effect"], condition["low"], condition["high"], condition["digits"])


def p_value(p: float | None) -> str:
    """To three digits; "< 0.001" below that."""
    return "-" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def summary(claims: list[dict[str, Any]]) -> str:
    """Such as "9 reproduced, 3 not reproduced, 9 inconclusive, 3 not comparable, 2 not run, 3 true by construction"."""
    counts = Counter(claim["verdict"] for claim in claims)
    return ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name]) or "none"


def markdown(claims: dict[str, Any]) -> str:
    """Verdicts, what would settle the open ones, discrepancies and how it was judged."""
    judged, entries = orderings(claims), table_entries(claims)
    several = any(claim["data"] for claim in claims["claims"])
    header = [*HEADER[:2], DATA, *HEADER[2:]] if several else HEADER
    rows = [
        [claim["words"], verdict(claim), *([claim["data"] or "-"] if several else []), *_numbers(claim), claim["why"]]
        for claim in judged
    ]
    open_ones = [f"- {claim['words']} {claim['needs']}" for claim in judged if claim["needs"]]
    found = [
        [entry["place"], f"{entry['words']} {entry['quoted']}".strip(), entry["reading"]] for entry in claims["discrepancies"]
    ]
    parts = [
        f"# The paper's claims, suite {claims['suite']}",
        f"At {SCALES[claims['scale']]}: {summary(judged)}.",
        markdown_table(header, [list(map(_cell, row)) for row in rows]),
        f"The {len(entries)} entries of Tables 1 and 2, each a claim of its own: {summary(entries)}.",
        "What would settle the rest:",
        "\n".join(open_ones) or "Nothing is open.",
        "Discrepancies between the paper, its text and its public code, and the reading taken here:",
        markdown_table(["where", "what", "reading"], [list(map(_cell, row)) for row in found]),
        *claims["notes"],
        *filter(None, [committed(claims)]),
    ]
    return "\n\n".join(parts) + "\n"


def committed(claims: dict[str, Any]) -> str:
    """A sentence on when margins and checks were fixed; nothing outside git, or where nothing was judged."""
    if not claims.get("fixed"):
        return ""
    when = {True: ", before the runs", False: "; some of the records are older", None: ""}
    parts = [f"in commit {fixed['commit'][:10]} {fixed['what']}{when[fixed['before']]}" for fixed in claims["fixed"]]
    return f"What decides verdicts was fixed: {'. Then '.join(parts)}."


def _numbers(claim: dict[str, Any]) -> list[str]:
    if not claim["conditions"]:
        return ["-"] * 4
    first = claim["conditions"][0]
    return [effect(first), p_value(decisive(claim)), f"{first['n_images']:,}", str(first["n_trainings"])]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def badge(claims: dict[str, Any]) -> str:
    """One line of SVG: how many claims have which verdict, the tables' entries aside."""
    counts = Counter(claim["verdict"] for claim in orderings(claims))
    words = [(f"claims at {SCALES[claims['scale']]}", "#333333")]
    words += [(f"{counts[name]} {name}", COLOURS[name]) for name in VERDICTS if counts[name]]
    pieces, x = [], 0.0
    for said, colour in words:
        inner = 6.6 * len(said)  # of DejaVu Sans at 11 px, the widest of the fonts named below
        pieces.append(f'<rect x="{x:g}" width="{inner + 14:g}" height="20" fill="{colour}"/>')
        pieces.append(f'<text x="{x + 7:g}" y="14" textLength="{inner:g}" lengthAdjust="spacingAndGlyphs">{escape(said)}</text>')
        x += inner + 14
    label = escape(", ".join(said for said, _ in words))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{x:g}" height="20" role="img" aria-label="{label}">'
    font = 'fill="#fff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11"'
    return f"{head}<title>{label}</title><g {font}>{''.join(pieces)}</g></svg>\n"
