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


def paper_url() -> str:
    """Where the paper can be read."""
    return str(_read("paper.yaml")["url"])


def titles() -> dict[str, str]:
    """Of methods that the paper compares with: their titles, where they have no card in `baselines`."""
    figures = {name: method["title"] for name, method in _read("paper.yaml")["in_figures"].items()}
    return {row["method"]: row["title"] for row in table(1)["rows"] if "title" in row} | figures


def in_figures() -> list[str]:
    """Methods that no table has, but a figure."""
    return list(_read("paper.yaml")["in_figures"])


def samplers() -> dict[str, list[str]]:
    """Of every method that the paper's tables and figures have, its samplers."""
    found: dict[str, list[str]] = {}
    for row in (*table(1)["rows"], *table(2)["rows"]):
        found.setdefault(row["method"], []).append(row["sampler"])
    return found | {name: [method["sampler"]] for name, method in _read("paper.yaml")["in_figures"].items()}


@cache
def _read(name: str) -> dict[str, Any]:
    return yaml.safe_load(resources.files(__name__).joinpath(name).read_text(encoding="utf-8"))
