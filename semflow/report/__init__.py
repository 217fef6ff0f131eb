"""Tables, figures and the page, from records and verdicts alone. Imports no torch.

PRODUCTS: by name, all that can be made; FIGURES: those that are drawn.  needs(name, suite): the evaluations of a suite that a
product is made from.  required(name, suite): the same, an error where there are none.  records(name, study): where their records
lie.  evaluation_jobs(study): what evaluates them.  notebooks(study): those that are executed.
check_outputs(study): that a file of several data sets names what there is.
They are looked for when asked for, so that a command line starts at once.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name not in ("PRODUCTS", "FIGURES", "needs", "required", "records", "evaluation_jobs", "notebooks", "check_outputs"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from semflow.report import products, write  # noqa: F401 (which brings in every product)

    return getattr(products, name)
