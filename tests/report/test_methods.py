"""A page for every method, from its records and its own words."""

import pytest
import yaml
from record_fixtures import changed

from semflow.errors import SemFlowError
from semflow.report import methods
from semflow.report.write import write
from semflow.tools.publish import write_readmes


@pytest.fixture
def page_of(runs):
    """page_of(method, record fields) -> its page as text."""

    def make(method, **fields):
        chosen = [changed(run, **fields) if run.record.method == method else run for run in runs]
        (page,) = [page for page in methods.pages(chosen) if page.name == method]
        return methods.markdown(page, chosen)

    return make


def test_a_page_says_what_the_methods_model_says_of_itself(page_of):
    page = page_of("dsm")
    assert page.startswith("# DSM\n\nDSM: segmentation as image-conditioned denoising diffusion (Eq. 1 to 6), by DDPM (SDE) or")
    assert "timestep_spacing: diffusers' name for which N timesteps of 1000 are visited" in page


def test_settings_are_yaml_that_a_suite_takes(page_of):
    page = page_of("dsm", settings={"timestep_spacing": "leading"})
    block = page.partition("```yaml\n")[2].partition("```")[0]
    assert yaml.safe_load(block) == {"timestep_spacing": "leading"}


def test_losses_are_those_of_the_records_budget(runs, page_of):
    budget = next(run.record.budget for run in runs if run.record.method == "semflow")
    kept = budget.model_copy(update={"losses": {"flow": tuple(range(25, 0, -1))}})
    row = next(line for line in page_of("semflow", budget=kept).splitlines() if line.startswith("| flow"))
    assert row == "| flow | 25 | 19 | 13 | 7 | 1 |"
    assert "How its losses fell" not in page_of("semflow")


def test_numbers_stand_with_their_intervals(runs, page_of):
    run = next(run for run in runs if (run.record.method, run.record.steps) == ("semflow", 25))
    assert f"{run.record.metrics['miou'].value:.1f} [{run.record.metrics['miou'].low:.1f}" in page_of("semflow")


def test_the_command_trains_that_method_of_that_suite(page_of):
    command = "snakemake --cores all --configfile config/hand.yaml results/hand/checkpoints/dsm/seed0"
    assert f"```\n{command}\n```" in page_of("dsm")


def test_pages_become_the_readmes_of_their_folders(runs, store, tmp_path, monkeypatch):
    write("methods", store(runs), [tmp_path / "methods.md"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SemFlowError, match="has a page for baselines/semflow, but there is no such folder here"):
        write_readmes(tmp_path / "methods.md")
    for name in ("semflow", "dsm"):
        (tmp_path / "baselines" / name).mkdir(parents=True)
    write_readmes(tmp_path / "methods.md")
    page = (tmp_path / "baselines/dsm/README.md").read_text()
    assert page.startswith("# DSM\n")
    assert "# SemFlow" not in page
