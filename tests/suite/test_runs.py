"""What each table and figure is made from."""

from collections import Counter

import pytest

from semflow import report as analysis
from semflow.errors import SemFlowError
from semflow.method.samplers import Sampler
from semflow.suite import reading as config
from semflow.suite import runs as cells
from semflow.suite.runs import Evaluation


@pytest.fixture
def suite(config_folder):
    return config.load(config_folder / "mini.yaml")


def how(wanted, *fields):
    return Counter(tuple(str(getattr(cell, field)) for field in fields) for cell in wanted)


def test_table_2_is_the_papers_22_cells_with_seeds_at_25_steps(suite):
    counted = how(cells.table2(suite), "method", "sampler")
    assert len(counted) == 22
    assert {key: n for key, n in counted.items() if n > 1} == {
        ("semflow", "euler-25"): 2, ("dsm", "ddim-25"): 3, ("dsm", "ddpm-25"): 3,
    }  # fmt: skip


def test_table_1_has_what_the_paper_measures_of_what_we_have(suite):
    wanted = [*cells.table1_segmentation(suite), *cells.table1_synthesis(suite)]
    counted = how(wanted, "method", "task", "sampler")
    assert counted == {
        ("semflow", "segmentation", "euler-25"): 1, ("semflow", "synthesis", "euler-25"): 3,
        ("dsm", "segmentation", "ddim-200"): 1, ("dsm", "segmentation", "ddpm-200"): 1,
    }  # fmt: skip


def test_steps_of_synthesis_are_the_papers(suite):
    wanted = [f"euler-{n}" for n in (1, 2, 5, 10, 25, 50, 100, 200)]
    assert list(dict.fromkeys(str(cell.sampler) for cell in cells.synthesis_steps(suite))) == wanted


def test_every_solver_goes_both_ways(suite):
    both = how(cells.solvers(suite), "sampler", "task")
    samplers = {sampler for sampler, _ in both}
    assert {sampler.partition("-")[0] for sampler in samplers} == {"midpoint", "heun", "rk4", "rk45"}
    assert set(both) == {(sampler, task) for sampler in samplers for task in ("segmentation", "synthesis")}


def test_five_models_differ_in_the_perturbation_of_training_and_are_drawn_with_their_own(suite):
    wanted = cells.training_amplitudes(suite)
    assert {cell.amplitude for cell in wanted} == {0, 2, 6, 12, 20}
    assert all(cell.sampling_amplitude == cell.amplitude for cell in wanted if cell.task == "synthesis")


def test_one_model_is_drawn_with_five_perturbations(suite):
    wanted = cells.sampling_amplitudes(suite)
    assert {cell.sampling_amplitude for cell in wanted} == {0, 3, 6, 9, 12}
    assert {cell.amplitude for cell in wanted} == {6}


def test_every_figure_of_the_paper_that_shows_a_result_has_cells_and_a_name_on_the_command_line(suite):
    assert tuple(cells.FIGURES) == analysis.FIGURES
    assert {f"figure{number:02}" for number in range(2, 13)} <= set(cells.FIGURES)
    for wanted in cells.FIGURES.values():
        assert wanted(suite)


@pytest.mark.parametrize("name", ["smoke", "mini", "camvid", "camvid_cpu"])
def test_every_suite_has_the_papers_model_and_one_without_perturbation(name, config_folder):
    assert {0, 6} <= {cell.amplitude for cell in cells.training_amplitudes(config.load(config_folder / f"{name}.yaml"))}


@pytest.mark.parametrize("amplitudes", [(6,), (0,)])
def test_a_suite_that_figure_4_could_not_compare_is_refused(suite, amplitudes):
    ablations = suite.ablations.model_copy(update={"training_amplitudes": amplitudes})
    with pytest.raises(SemFlowError, match="must hold 0 and one above it"):
        cells.check(suite.model_copy(update={"ablations": ablations}))


def test_a_suite_whose_perturbation_figure_8_could_not_vary_is_refused(suite):
    cells.check(suite)
    with pytest.raises(SemFlowError, match=r"pseudo_mask\.amplitude must be above 0"):
        cells.check(suite.model_copy(update={"pseudo_mask": suite.pseudo_mask.model_copy(update={"amplitude": 0.0})}))


def test_curves_over_evaluations_have_every_step_whatever_the_first_seed(suite):
    sweeps = tuple(sweep.model_copy(update={"seeds": (5, 6, 7)}) for sweep in suite.evaluation.sweeps)
    other = suite.model_copy(update={"evaluation": suite.evaluation.model_copy(update={"sweeps": sweeps})})
    found = [cell for cell in cells.FIGURES["evaluations"](other) if (cell.task, cell.sampler.name) == ("segmentation", "euler")]
    assert [cell.sampler.steps for cell in found] == [1, 2, 5, 10, 25, 50, 100, 200]
    assert {cell.sampling_seed for cell in found} == {5}


@pytest.mark.parametrize("product", cells.PRODUCTS)
def test_a_product_names_each_cell_once(suite, product):
    wanted = cells.of_product(product, suite)
    assert wanted
    assert len(wanted) == len(set(wanted))


def test_tables_and_ablations_are_held_against_their_controls(suite):
    wanted = {product: set(cells.of_product(product, suite)) for product in cells.PRODUCTS}
    for name in ("table1_synthesis", "training_amplitudes", "sampling_amplitudes", "evaluations"):
        assert Evaluation("real_images", "synthesis", cells.DIRECT) in wanted[name]
    for name in ("table1_segmentation", "table2"):
        assert Evaluation("shuffled_labels", "segmentation", cells.DIRECT) in wanted[name]


@pytest.mark.parametrize(
    ("text", "name", "steps"), [("euler-25", "euler", 25), ("ddim-200", "ddim", 200), ("a-b-1", "a-b", 1), ("rk45", "rk45", 0)]
)
def test_a_sampler_is_its_name_and_steps(text, name, steps):
    assert Sampler.parse(text) == (name, steps)
    assert str(Sampler.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "euler", "euler-", "-25", "euler-0", "euler-2.5", "euler-x", "25", "euler 25", "euler-²", "rk45-25"]
)
def test_a_sampler_that_is_not_name_and_steps_is_refused(text):
    with pytest.raises(SemFlowError) as error:
        Sampler.parse(text)
    assert repr(text) in str(error.value)
