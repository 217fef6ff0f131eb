"""The notebooks as they lie in git; tests/workflow/test_dag.py runs them."""

import ast
import json
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "workflow/notebooks"
NAMES = ("table1", "table2", "ablations", "review")


def read(name: str) -> dict:
    return json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))


def code(name: str) -> str:
    return "\n\n".join("".join(cell["source"]) for cell in read(name)["cells"] if cell["cell_type"] == "code")


def test_these_are_all_of_them():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_is_a_valid_notebook_for_any_python_kernel(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("name", NAMES)
def test_holds_no_output_and_no_count_of_executions(name):
    cells = [cell for cell in read(name)["cells"] if cell["cell_type"] == "code"]
    assert cells
    for cell in cells:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        assert set(cell["metadata"]) <= {"tags"}


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_has_a_name_of_its_own_for_an_id(name):
    ids = [cell["id"] for cell in read(name)["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(identifier.replace("-", "").isalpha() for identifier in ids)


@pytest.mark.parametrize("name", NAMES)
def test_begins_with_a_title_and_a_sentence_then_its_parameters(name):
    title, parameters = read(name)["cells"][:2]
    heading, blank, sentence = "".join(title["source"]).splitlines()
    assert heading.startswith("# ")
    assert not blank
    assert sentence.endswith(".")
    assert parameters["metadata"]["tags"] == ["parameters"]
    given = [line.split(":")[0].split(" =")[0] for line in parameters["source"]]
    assert given == (["records", "claims"] if name == "review" else ["records"])


@pytest.mark.parametrize("name", NAMES)
def test_takes_its_numbers_from_the_analysis_in_little_code(name):
    nodes = list(ast.walk(ast.parse(code(name))))
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    ours = {module for module in modules if module.startswith(("semflow", "baselines"))}
    assert ours
    assert all(module.startswith(("semflow.report", "semflow.claims.")) for module in ours)
    assert len(code(name).splitlines()) < 80
