"""Whether records are at the paper's scale, or of a stand-in."""

from typing import Literal

from semflow.analysis.collect import Run
from semflow.published.claims import Scale, load


def scale(runs: list[Run], papers: Scale | None = None) -> Literal["proxy", "paper"]:
    """ "paper" where every record is on a data set of the paper's, at its size, by a network of its size; else "proxy".

    papers: what is the paper's; that of claims.yaml by default.
    """
    papers = load().scale if papers is None else papers
    return "paper" if runs and all(_is_papers(run, papers) for run in runs) else "proxy"


def _is_papers(run: Run, papers: Scale) -> bool:
    record = run.record
    sizes = [size for name, size in papers.datasets.items() if same_data(record.dataset, name)]
    large = record.n_parameters is None or record.n_parameters >= papers.n_parameters
    return bool(sizes) and record.protocol.evaluation_size == sizes[0] and large


def same_data(name: str, known: str) -> bool:
    """Whether a data set's name begins with another, however either is spelt: `coco_stuff_164k` with COCO-Stuff."""
    return _squeezed(name).startswith(_squeezed(known))


def _squeezed(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
