"""The paper's numbers, as YAML with the place they stand in the paper."""

from functools import cache
from importlib import resources
from typing import Any

import yaml


def table(number: int) -> dict[str, Any]:
    """A table of the paper: data sets, sizes, and rows of {method, sampler, values}; see the files."""
    return _read(f"table{number}.yaml")


def table1() -> dict[tuple[str, str, int], dict[str, float]]:
    """Table 1 by (method, sampler, steps): its metrics by name, in the paper's order of rows."""
    return {(row["method"], row["sampler"], row["steps"]): row["values"] for row in table(1)["rows"]}


def table2() -> dict[tuple[str, str, int], float]:
    """Table 2 by (method, sampler, steps)."""
    return {(row["method"], row["sampler"], n): value for row in table(2)["rows"] for n, value in row["values"].items()}


def setting(number: int, data: str) -> str:
    """What a table was made on, such as "on COCO-Stuff, 512 x 512, with the network of Stable Diffusion"."""
    paper = table(number)
    return f"on {data}, {paper['size']}, with the {paper['network']}"


def subject() -> str:
    """The method that the paper proposes."""
    return str(_read("paper.yaml")["subject"])


def titles() -> dict[str, str]:
    """Of methods in the tables: their titles, where they have no card in `baselines`."""
    return {row["method"]: row["title"] for row in table(1)["rows"] if "title" in row}


@cache
def _read(name: str) -> dict[str, Any]:
    return yaml.safe_load(resources.files(__name__).joinpath(name).read_text(encoding="utf-8"))
