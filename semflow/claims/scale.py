"""Whether records are at the paper's scale, or of a stand-in."""

from typing import Literal

from semflow.claims.collect import Run
from semflow.claims.datasets import in_table, same_data
from semflow.claims.document import Scale, load


def scale(runs: list[Run], papers: Scale | None = None) -> Literal["proxy", "paper"]:
    """ "paper" where every record is on a data set of the paper's, at its size, by a network of its size; else "proxy".

    papers: what is the paper's; that of claims.yaml by default.
    """
    papers = load().scale if papers is None else papers
    return "paper" if runs and all(_is_papers(run, papers) for run in runs) else "proxy"


def comparable(runs: list[Run], published: str, papers: Scale | None = None) -> bool:
    """Whether values can be held against those of a table: at the paper's scale, and on the data set that it names."""
    return all(in_table(run.record.dataset, published) for run in runs) and scale(runs, papers) == "paper"


def _is_papers(run: Run, papers: Scale) -> bool:
    record = run.record
    sizes = [size for name, size in papers.datasets.items() if same_data(record.dataset, name)]
    large = record.n_parameters is None or record.n_parameters >= papers.n_parameters
    return bool(sizes) and record.protocol.evaluation_size == sizes[0] and large
