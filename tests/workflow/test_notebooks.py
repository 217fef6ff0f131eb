"""The notebooks as they lie in git; tests/workflow/test_dag.py runs those of the workflow."""

import ast
import json
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"review": ROOT / "workflow/notebooks", "explore": ROOT / "workflow/notebooks", "two_dimensions": ROOT / "examples"}
NAMES = tuple(FOLDERS)
PARAMETERS = {"review": ["records", "claims"], "explore": ["checkpoint", "config"], "two_dimensions": ["steps, batch_size, seed"]}


def read(name: str) -> dict:
    return json.loads((FOLDERS[name] / f"{name}.ipynb").read_text(encoding="utf-8"))


def code(name: str) -> str:
    return "\n\n".join("".join(cell["source"]) for cell in read(name)["cells"] if cell["cell_type"] == "code")


def test_these_are_all_of_them():
    assert {path.stem for folder in FOLDERS.values() for path in folder.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_is_a_valid_notebook_for_any_python_kernel(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_the_example_is_shown_with_its_pictures():
    outputs = [output for cell in read("two_dimensions")["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert not any(output["output_type"] == "error" for output in outputs)


@pytest.mark.parametrize("name", ["review", "explore"])
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
    assert given == PARAMETERS[name]


def test_the_review_needs_numpy_alone_and_little_code():
    nodes = list(ast.walk(ast.parse(code("review"))))
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert modules == {"hashlib", "json", "os", "pathlib", "numpy"}
    assert len([line for line in code("review").splitlines() if line.strip()]) <= 65


def test_in_two_dimensions_one_step_segments_and_perturbation_alone_makes_many_pictures(monkeypatch):
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    names: dict = {}
    exec(code("two_dimensions").replace("steps, batch_size, seed = 2000", "steps, batch_size, seed = 600"), names)
    torch, lines = names["torch"], names["paths"](names["fields"][0.4], names["start"], 1)
    right = torch.cdist(lines[-1], names["ANCHORS"]).argmin(1) == names["classes"]
    assert right.float().mean() > 0.9
    spread = {}
    for b, velocity in names["fields"].items():
        drawn = names["paths"](velocity, names["masks"](names["classes"], b, names["generator"]), reverse=True)[-1]
        spread[b] = drawn[names["classes"] == 0].std(0).norm().item()
    assert spread[0.4] > 0.5
    assert spread[0.0] < 1e-4
