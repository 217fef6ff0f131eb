"""The paper's numbers, as YAML with the place they stand in the paper."""

from importlib import resources
from typing import Any

import yaml


def table(number: int) -> dict[str, Any]:
    """A table of the paper: dataset, metric, and rows of {method, sampler, values by steps}."""
    return yaml.safe_load(resources.files(__name__).joinpath(f"table{number}.yaml").read_text(encoding="utf-8"))


def cells(number: int) -> dict[tuple[str, str, int], float]:
    """The same numbers by (method, sampler, steps)."""
    return {(row["method"], row["sampler"], n): value for row in table(number)["rows"] for n, value in row["values"].items()}
