"""Table 2 at the end of a run: what was measured, what the reference's trainings gave, and what the paper has."""

from semflow import published
from semflow.claims.collect import Run, by_row, estimate, only, own, title, with_interval
from semflow.claims.document import Term
from semflow.claims.drift import Reference, band
from semflow.report.tables import markdown_table


def beside_reference(runs: list[Run], reference: Reference) -> str:
    """Table 2 as Markdown: measured here, the mean and range of the reference's trainings, and the paper's."""
    numbers, rows = published.table2(), list[list[str]]()
    for (method, sampler, steps), group in by_row(only(own(runs), task="segmentation")).items():
        if not steps:
            continue
        known = band(reference, Term(method, "segmentation", sampler, steps, "miou"), group[0].record.dataset)
        theirs = "-" if known is None else with_interval(*known, 1)
        ours, paper = estimate(group, "miou").value, numbers.get((method, sampler, steps))
        rows.append([title(method, sampler, steps), f"{ours:.1f}", theirs, "-" if paper is None else f"{paper:.1f}"])
    counts = {len(kept.weights) for kept in reference.evaluations.values()}
    header = ["mIoU in percent", "here", f"reference: mean [range] of up to {max(counts, default=0)} trainings", "published"]
    return markdown_table(header, rows) + "\n"
