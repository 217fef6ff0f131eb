"""The house: no method is named where all are served alike, rooms keep their order, plans are made without torch."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from baselines import METHODS
from semflow.data import DATASETS
from semflow.method.samplers import STEPLESS

ROOT = Path(__file__).resolve().parents[1]
# Where a method, a data set or a sampler is at home.
REVIEW = "workflow/notebooks/review.ipynb"  # which computes the numbers of the paper's main claims again
METHODS_OWN = ("semflow/published", REVIEW, *(card.module.replace(".", "/") + ".py" for card in METHODS.values()))
OTHERS_OWN = ("semflow/published", REVIEW, "semflow/data", "semflow/method/samplers.py", "semflow/method/solvers.py")
OTHERS_OWN += ("semflow/tools/bench/__init__.py",)  # which draws scenes where files would be in the way
SAMPLERS = {name for card in METHODS.values() for samplers in card.tasks.values() for name in samplers} | set(STEPLESS)


def code() -> list[str]:
    found = [path for folder in ("semflow", "workflow") for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    kinds = (".py", ".smk", ".js", ".html", ".ipynb")
    chosen = [path for path in found if path.suffix in kinds or path.name == "Snakefile"]
    return [str(path.relative_to(ROOT)) for path in chosen]


@pytest.mark.parametrize("path", code())
def test_no_method_data_set_or_sampler_is_named_where_all_are_served_alike(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".py"):
        words = {
            node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
    else:
        words = set(re.findall(r"[\"']([a-z0-9_]+)\\?[\"']", text))
    foreign = set() if path.startswith(METHODS_OWN) else set(METHODS)
    foreign |= set() if path.startswith(OTHERS_OWN) else {*DATASETS, *SAMPLERS}
    assert words & foreign == set()


# What talks to who typed a command. The last two are progress of work, and training's key counts them, so that a change would
# train everything anew.
PRINTS = ("semflow/cli.py", "semflow/tools/", "semflow/progress.py", "semflow/training/launch.py")
PRINTS += ("semflow/training/loop.py", "semflow/loading/latents.py")


@pytest.mark.parametrize("path", [path for path in code() if path.endswith(".py") and not path.startswith(PRINTS)])
def test_the_library_logs_and_prints_nothing(path):
    calls = [node.func for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.Call)]
    assert not any(isinstance(called, ast.Name) and called.id == "print" for called in calls)


def test_every_rule_of_the_workflow_says_what_it_is_for(tmp_path):
    words = ["--list-rules", "--snakefile", ROOT / "Snakefile", "--configfile", ROOT / "config/smoke.yaml"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "snakemake", *words, "--directory", tmp_path]
    listed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    said = dict(re.findall(r"^(\w+)(?: \((.*)\))?$", listed.stdout, re.MULTILINE))
    assert {"all", "train", "figure", "claims", "evaluate_semflow_seed0_table2"} <= said.keys()
    assert [name for name, words in said.items() if not words] == []
    assert len({said[name] for name in ("table", "figure", "claims", "page", "site", "methods", "long_table")}) == 7


def test_rooms_keep_their_order():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


PLAN = """
import sys
from snakemake.cli import main
HEAVY = {"torch", "diffusers", "transformers", "torchvision", "accelerate", "matplotlib"}
try:
    main([*sys.argv[1:], "--cores", "1", "--dry-run"])
except SystemExit as end:
    print("\\nended with", end.code, *sorted(HEAVY & set(sys.modules)))
"""


def test_a_dry_run_of_the_workflow_imports_neither_torch_nor_diffusers_nor_transformers(tmp_path):
    words = ["--snakefile", ROOT / "Snakefile", "--configfile", ROOT / "config/smoke.yaml", "--directory", tmp_path]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PLAN, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "train" in done.stdout + done.stderr
    assert re.findall("^ended with (.*)$", done.stdout, re.MULTILINE) == ["0"], done.stdout + done.stderr


def test_the_public_names_of_the_method_are_the_modules_where_they_lie():
    code = (
        "import semflow.metrics.segmentation as public, semflow.evaluation.metrics.segmentation as own\n"
        "from semflow import flow, pseudo_mask, solvers\n"
        "from semflow.method import flow as here\n"
        "assert public is own and flow is here, (public, own)\n"
        "assert public.confusion and public.miou and flow.interpolate and flow.loss and solvers.euler and solvers.time_grid\n"
        "code = pseudo_mask.PseudoMask(n_classes=19, k=6, s=50)\n"
        "assert code.paint.__func__ is code.encode.__func__ and code.read.__func__ is code.decode.__func__\n"
        "assert code.anchors.shape == (19, 3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
