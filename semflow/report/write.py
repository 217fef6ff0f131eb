"""What `semflow report` writes: a product from records alone, each file in the form that its suffix says."""

from collections.abc import Sequence
from pathlib import Path

from semflow.claims.collect import read_runs
from semflow.errors import SemFlowError
from semflow.report import ablations, budget, claims_text, figures, methods, page, table1, table2  # noqa: F401 (registers products)
from semflow.report.products import Beside, find


def write(
    what: str, records: list[Path], out: list[Path], *, claims: Path | None = None, captions: Sequence[Path] = (),
    single_file: bool = False,
) -> None:  # fmt: skip
    """Write a product to the files `out`.

    claims: claims.json, for the index.  captions: for a page, the .txt beside each figure.  single_file: an index holds its
    pictures. SemFlowError for that with another product.
    """
    if single_file and what != "index":
        raise SemFlowError(f"--single-file is for the index, not for {what}; leave it out")
    forms = find(what).make(read_runs(records), Beside(claims, captions, records, single_file))
    for path in out:
        if path.suffix not in forms:
            raise SemFlowError(f"{path}: the suffix must be one of {', '.join(forms)}")
    for path in out:
        forms[path.suffix](path)
