"""The web pages around tables and figures; everything that comes from data is escaped."""

import html

from semflow.analysis.collect import Run, primary, title
from semflow.metrics.catalogue import KINDS, filling

Table = tuple[list[str], list[list[str]]]  # header, rows
HEADLINES = ("miou", "pixel_agreement")  # what a run is known by, where it draws nothing

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #8886; }
th { white-space: normal; vertical-align: bottom; min-width: 4rem; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; } img { max-width: 100%; background: white; }
"""


def page(title: str, tables: list[Table], notes: list[str], figures: list[tuple[str, str]], runs: list[Run]) -> str:
    """One HTML page: tables, notes, figures as (relative path, caption), and the provenance of every run."""
    words = "".join(f"<p>{html.escape(text)}</p>" for text in notes)
    pictures = "".join(
        f'<figure><img src="{html.escape(path)}" alt="{html.escape(caption)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for path, caption in figures
    )
    first, *others = [_html_table(*table) for table in tables] or [""]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><main><h1>{html.escape(title)}</h1>"
        f"{first}{words}{''.join(others)}{pictures}"
        f"<h2>Runs</h2>{_html_table(*_provenance(runs))}</main></body></html>\n"
    )


def _provenance(runs: list[Run]) -> Table:
    header = ["run", "b, b'", "result", "seeds (train, sample)", "commit", "wall s", "images/s", "device", "weights", "data"]
    rows = []
    for record, _ in runs:
        source = record.provenance
        drawn = filling(primary(record.n_images), record.metrics)
        name = next(metric for metric in (*HEADLINES, drawn) if metric in record.metrics)
        rows.append([
            f"{record.task}: {title(record.method, record.sampler, record.steps)}",
            f"{record.amplitude:g}, {record.sampling_amplitude:g}",
            f"{KINDS[name].title} {record.metrics[name].value:.{KINDS[name].digits}f}",
            f"{record.training_seed}, {record.sampling_seed}",
            source.commit[:10] + (" (modified)" if source.dirty else ""),
            f"{source.wall_s:.1f}",
            f"{source.images_per_s:.1f}",
            f"{source.device}, {source.threads} threads",
            (source.checkpoint_sha256 or "-")[:12],
            source.data_sha256[:12],
        ])  # fmt: skip
    return header, rows


def _html_table(header: list[str], rows: list[list[str]]) -> str:
    def line(tag: str, row: list[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in row) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    return f'<div class="scroll"><table><thead>{line("th", header)}</thead><tbody>{body}</tbody></table></div>'
