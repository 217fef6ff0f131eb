"""The web page around Table 2; everything that comes from data is escaped."""

import html

import pandas as pd

from semflow.analysis.collect import Run, title
from semflow.analysis.tables import seeds, stand_in, wide, with_interval

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #8886; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; } img { max-width: 100%; background: white; }
"""


def table2(frame: pd.DataFrame, runs: list[Run], figures: list[tuple[str, str]]) -> str:
    """One HTML page: table, notes, figures as (relative path, caption), and the provenance of every run."""
    title = f"Table 2, suite {runs[0].record.suite}"
    notes = "".join(
        f"<p>{html.escape(text)}</p>"
        for text in (stand_in(runs), seeds(frame, runs), f"Intervals: {runs[0].record.protocol.interval}.")
    )
    pictures = "".join(
        f'<figure><img src="{html.escape(path)}" alt="{html.escape(caption)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for path, caption in figures
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><main><h1>{html.escape(title)}</h1>"
        f"{_html_table(*wide(frame, with_interval))}{notes}{pictures}"
        f"<h2>Runs</h2>{_html_table(*_provenance(runs))}</main></body></html>\n"
    )


def _provenance(runs: list[Run]) -> tuple[list[str], list[list[str]]]:
    header = ["run", "commit", "mIoU", "seeds (train, sample)", "wall s", "images/s", "device", "weights SHA-256", "data SHA-256"]
    rows = []
    for record, _ in runs:
        source = record.provenance
        rows.append([
            title(record.method, record.sampler) + (f"-{record.steps}" if record.steps else ""),
            source.commit[:10] + (" (modified)" if source.dirty else ""),
            f"{record.metrics['miou'].value:.2f}",
            f"{record.training_seed}, {record.sampling_seed}",
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
