"""The three files that say what to install agree."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]
PLUGINS = [Requirement(line) for line in PROJECT["optional-dependencies"]["cluster"]]  # `make cluster` installs them
FOR_PLUGINS = {
    *("cryptography", "durationpy", "google-auth", "kubernetes", "oauthlib", "pyasn1", "pyasn1-modules", "requests-oauthlib"),
    *("reretry", "snakemake-executor-plugin-slurm-jobstep", "sysrsync", "toml"),
}


def constraints() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_every_requirement_is_constrained_to_a_version_that_it_admits():
    pinned = constraints()
    for requirement in REQUIREMENTS + PLUGINS:
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_the_installed_versions_are_the_constrained_ones():
    pinned = constraints()
    for requirement in REQUIREMENTS:
        assert metadata.version(requirement.name) == pinned[canonicalize_name(requirement.name)]


def test_nothing_is_constrained_that_is_not_installed():
    installed = {canonicalize_name(distribution.name) for distribution in metadata.distributions()}
    plugins = FOR_PLUGINS | {canonicalize_name(requirement.name) for requirement in PLUGINS}
    linux_only = {name for name in constraints() if name.startswith(("nvidia-", "cuda-")) or name == "triton"}
    assert constraints().keys() - installed - plugins - (set() if sys.platform == "linux" else linux_only) == set()


def test_make_setup_has_nothing_to_do_when_nothing_changed():
    done = ROOT / ".venv/.done"
    if not done.exists():
        pytest.skip("set up by other means than make")
    assert subprocess.run(["make", "--question", "setup"], cwd=ROOT).returncode == 0


def test_the_conda_environment_installs_this_package_with_the_same_constraints_and_python():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip = environment["dependencies"][0], environment["dependencies"][-1]["pip"]
    assert pip == ["--constraint constraints.txt", "--editable .[dev]"]
    assert re.fullmatch(r"python=3\.\d+", python)
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python.partition("=")[2] + ".0")


def test_make_gives_snakemake_a_cache_where_the_home_cannot_be_written(tmp_path):
    (tmp_path / "show.mk").write_text(f"include {ROOT}/Makefile\nshow:\n\t@echo $$XDG_CACHE_HOME\n")
    nowhere = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"} | {"HOME": "/proc/nothing"}
    words = ["make", "--silent", "-f", tmp_path / "show.mk", "show"]
    made = subprocess.run(words, cwd=tmp_path, env=nowhere, capture_output=True, text=True)
    assert made.stdout == f"{tmp_path}/results/.cache\n"
    there = nowhere | {"XDG_CACHE_HOME": made.stdout.strip()}
    planned = ["snakemake", "-n", "reproduce_table2", "--directory", tmp_path]
    assert subprocess.run(planned, cwd=ROOT, env=there, capture_output=True).returncode == 0
    assert subprocess.run(planned, cwd=ROOT, env=nowhere, capture_output=True).returncode != 0


def test_make_targets_are_one_line_each():
    lines = (ROOT / "Makefile").read_text().splitlines()
    recipes = [before.startswith("\t") and after.startswith("\t") for before, after in zip(lines, lines[1:], strict=False)]
    assert not any(recipes)


@pytest.mark.parametrize("package", ["semflow", "baselines"])
def test_both_packages_are_installed_with_the_mark_that_their_types_may_be_relied_on(package):
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert (ROOT / package / "py.typed").exists()
    assert "py.typed" in data[package]


def made_by(text: str) -> set[str]:
    """Targets of make that a script asks for."""
    return set(re.findall(r"^\s*(?:- run: |run: )?make ([a-z-]+)", text, re.MULTILINE))


def test_the_three_jobs_on_github_make_what_the_one_script_makes():
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    assert set(jobs) == {"check", "fast", "slow"}
    script = made_by((ROOT / ".ci/run").read_text())
    assert made_by(text) == script - {"test"} | {"coverage"}  # which runs the same tests
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.compile(r"^(?:test|coverage): setup\n\t(.*?)(?: --cov .*)?$", re.MULTILINE)
    assert len(set(recipe.findall(makefile))) == 1


def test_the_fast_tests_run_on_every_python_that_is_supported():
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["fast"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    admitted = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert admitted.contains("3.11.0") and not admitted.contains("3.10.9")


def test_before_a_commit_the_tools_of_make_check_run_in_their_installed_versions():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {Path(hook["entry"].split()[0]).name: hook for hook in repository["hooks"]}
    (recipe,) = re.findall(r"^check: setup\n\t(.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    tools = {command.split()[0] for command in recipe.split(" && ")}
    assert hooks.keys() == tools - {"snakemake"}  # whose lint takes too long for each commit
    assert all(hook["entry"].startswith(".venv/bin/") for hook in hooks.values())
    snakefiles = re.compile(hooks["snakefmt"]["files"])
    assert all(snakefiles.search(name) for name in ("Snakefile", "workflow/Snakefile", "workflow/rules/train.smk"))


@pytest.mark.parametrize("name", ["bug", "verdict", "addition"])
def test_an_issue_template_is_a_form_that_github_reads(name):
    form = yaml.safe_load((ROOT / f".github/ISSUE_TEMPLATE/{name}.yml").read_text())
    assert form["name"] and form["description"]
    kinds, ids = {part["type"] for part in form["body"]}, [part["id"] for part in form["body"]]
    assert kinds <= {"input", "textarea", "dropdown", "checkboxes"}
    assert len(ids) == len(set(ids))
    assert all(part["attributes"]["label"] for part in form["body"])


def test_an_issue_on_a_verdict_shows_the_id_of_a_claim_that_there_is():
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/verdict.yml").read_text())
    (example,) = [part["attributes"]["placeholder"] for part in form["body"] if "placeholder" in part["attributes"]]
    assert example in (ROOT / "semflow/published/claims.yaml").read_text().split()
