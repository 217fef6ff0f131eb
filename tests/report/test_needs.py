"""What each table and figure is made from, before anything is evaluated."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from baselines import METHODS
from semflow import report
from semflow.errors import SemFlowError
from semflow.method.samplers import DIRECT, Sampler
from semflow.report.products import chosen
from semflow.report.selection import of_record
from semflow.suite import reading
from semflow.suite.runs import Evaluation, evaluations
from semflow.suite.variants import with_amplitude

PACKAGE = Path(__file__).resolve().parents[2]
EVERYTHING = ("ablations", "claims", "index")
FIGURES = [name for name in report.PRODUCTS if name in report.FIGURES]


@pytest.fixture(scope="module")
def mini(config_folder):
    return reading.load(config_folder / "mini.yaml")


@pytest.fixture
def running(config_folder):
    """running(*entries, **sections) -> mini with these runs alone, its masks perturbed by 6."""
    raw = reading.given([config_folder / "mini.yaml"], {}).raw
    raw |= {"pseudo_mask": raw["pseudo_mask"] | {"amplitude": 6}}
    return lambda *entries, **sections: reading.check(raw | {"runs": list(entries)} | sections, "here")


def counted(wanted, *fields):
    return Counter(tuple(str(getattr(one, field)) for field in fields) for one in wanted)


SEGMENTED = {"method": "semflow", "task": "segmentation", "sampler": "euler", "steps": [25]}
DRAWN = {"method": "semflow", "task": "synthesis", "sampler": "euler", "steps": [25]}


OTHERS = {  # by method, task and sampler, how many evaluations mini has
    ("maskformer", "segmentation", "direct"): 1, ("unet_supervised", "segmentation", "direct"): 1,
    ("pix2pixhd", "synthesis", "direct"): 1, ("spade", "synthesis", "direct"): 3, ("scgan", "synthesis", "direct"): 3,
    ("bbdm", "synthesis", "bbdm-200"): 3, ("cyclegan", "segmentation", "direct"): 1, ("cyclegan", "synthesis", "direct"): 1,
}  # fmt: skip


# Tables.


def test_table_2_is_the_papers_22_rows_and_steps_with_seeds_at_25(mini):
    methods = [one for one in report.needs("table2", mini) if one.method in ("semflow", "dsm")]
    found = counted(methods, "method", "sampler")
    assert len(found) == 22
    assert {key: n for key, n in found.items() if n > 1} == {
        ("semflow", "euler-25"): 2, ("dsm", "ddim-25"): 3, ("dsm", "ddpm-25"): 3,
    }  # fmt: skip


def test_table_1_has_what_the_paper_measures_of_what_we_have(mini):
    methods = [one for one in report.needs("table1", mini) if not one.is_control]
    assert counted(methods, "method", "task", "sampler") == {
        **{("semflow", "segmentation", f"euler-{n}"): 1 for n in (1, 2, 5, 10, 25, 50, 100, 200)},  # whose best others must beat
        ("semflow", "synthesis", "euler-25"): 3, ("semflow", "consistency", "euler-25"): 1,
        ("dsm", "segmentation", "ddim-200"): 1, ("dsm", "segmentation", "ddpm-200"): 1,
        ("dsm_modified", "segmentation", "ddpm-200"): 1, **OTHERS, ("bbdm", "consistency", "bbdm-200"): 1,
        **{(name, "consistency", "direct"): 1 for name in ("pix2pixhd", "spade", "scgan", "cyclegan")},
    }  # fmt: skip


def test_the_halves_of_table_1_are_those_of_its_tasks(mini):
    halves = [report.needs(f"table1_{task}", mini) for task in ("segmentation", "synthesis")]
    assert [{one.task for one in half} for half in halves] == [{"segmentation"}, {"synthesis", "consistency"}]
    assert {one for half in halves for one in half} == set(report.needs("table1", mini))


def test_a_row_whose_steps_the_suite_has_not_is_at_the_most_that_it_has(running):
    dsm = {"method": "dsm", "task": "segmentation", "sampler": "ddim", "steps": [20, 5]}
    suite = running(SEGMENTED | {"steps": [2, 50, 10]}, dsm)
    methods = [one for one in report.needs("table1", suite) if not one.is_control]
    assert {(one.method, str(one.sampler)) for one in methods} == {("semflow", "euler-50"), ("dsm", "ddim-20")}


def test_other_solvers_and_other_perturbations_are_in_no_table(running):
    others = [SEGMENTED | {"sampler": "heun"}, SEGMENTED | {"amplitudes": [0]}, DRAWN | {"sampling_amplitudes": [2]}]
    suite = running(*others)
    assert report.needs("table1", suite) == report.needs("table2", suite) == []


def test_a_variant_of_the_suite_is_in_no_table_and_in_no_figure_but_its_own(running):
    runs = [SEGMENTED | {"steps": [1, 25]}, DRAWN]
    plain = running(*runs)
    double = {"variants": {"double": {"training": {"steps": 10}}}}
    suite = running(*runs, *(run | {"variants": ["double"]} for run in runs), **double)
    assert {one.variant for one in evaluations(suite)} == {"", "double"}
    for name in report.PRODUCTS:
        if name not in (*EVERYTHING, "variants"):
            assert report.needs(name, suite) == report.needs(name, plain), name
    shown = report.needs("variants", suite)
    assert {(one.task, str(one.sampler), one.variant) for one in shown} == {
        (task, "euler-25", variant) for task in ("segmentation", "synthesis") for variant in ("", "double")
    }
    assert report.needs("variants", plain) == []


def test_tables_and_curves_stand_beside_their_controls(mini):
    for name in ("table1", "training_amplitudes", "sampling_amplitudes", "evaluations"):
        assert Evaluation("real_images", "synthesis", DIRECT) in report.needs(name, mini)
    for name in ("table1", "table2", "figure_table2"):
        assert Evaluation("shuffled_labels", "segmentation", DIRECT) in report.needs(name, mini)


def test_a_method_that_no_table_of_the_paper_has_is_in_ours_by_its_main_sampler(running, monkeypatch):
    suite = running(SEGMENTED, DRAWN)
    more = [Evaluation("newer", "segmentation", Sampler("euler", 10))]
    monkeypatch.setitem(METHODS, "newer", replace(METHODS["dsm"], title="Newer", default={"segmentation": "euler-10"}))
    monkeypatch.setattr("semflow.report.products.evaluations", lambda suite: [*evaluations(suite), *more])
    for name in ("table1", "table2", "budget"):
        assert set(more) <= set(report.needs(name, suite))


def test_the_budget_is_of_every_method_and_task_by_its_main_sampler(mini):
    assert counted(report.needs("budget", mini), "method", "task", "sampler") == {
        ("semflow", "segmentation", "euler-25"): 1, ("semflow", "synthesis", "euler-25"): 3,
        ("dsm", "segmentation", "ddpm-200"): 1, ("dsm_modified", "segmentation", "ddpm-200"): 1, **OTHERS,
    }  # fmt: skip


@pytest.mark.parametrize("name", EVERYTHING)
def test_claims_ablations_and_the_page_are_made_of_everything(mini, name):
    assert report.needs(name, mini) == evaluations(mini)


# Figures.


def test_every_figure_of_the_paper_that_shows_a_result_can_be_drawn_of_mini(mini):
    assert {f"figure{number:02}" for number in range(2, 13)} <= set(FIGURES)
    assert all(report.needs(name, mini) for name in FIGURES if name != "variants")


@pytest.mark.parametrize("name", list(report.PRODUCTS))
def test_a_product_names_each_evaluation_once_and_none_that_the_suite_has_not(mini, name):
    wanted = report.needs(name, mini)
    assert len(wanted) == len(set(wanted))
    assert set(wanted) <= set(evaluations(mini))


def test_steps_of_synthesis_are_the_papers(mini):
    wanted = [f"euler-{n}" for n in (1, 2, 5, 10, 25, 50, 100, 200)]
    assert list(dict.fromkeys(str(one.sampler) for one in report.needs("figure05", mini))) == wanted
    assert {str(one.sampler) for one in report.needs("figure09", mini)} == {"euler-1"}


def test_every_solver_goes_both_ways(mini):
    both = {(str(one.sampler), one.task) for one in report.needs("figure10", mini)}
    assert {sampler.partition("-")[0] for sampler, _ in both} == {"euler", "midpoint", "heun", "rk4", "rk45"}
    assert {sampler for sampler, _ in both if sampler.startswith("euler")} == {"euler-25"}
    samplers = {sampler for sampler, _ in both}
    assert both == {(sampler, task) for sampler in samplers for task in ("segmentation", "synthesis")}


def test_five_models_differ_in_the_perturbation_of_training_and_are_sampled_with_their_own(mini):
    for name in ("figure04", "training_amplitudes"):
        wanted = [one for one in report.needs(name, mini) if not one.is_control]
        assert len({one.amplitude for one in wanted}) == 5
        assert {0, mini.pseudo_mask.amplitude} < {one.amplitude for one in wanted}
        assert all(one.sampling_amplitude == one.amplitude for one in wanted if one.task == "synthesis")


def test_one_model_is_sampled_with_five_perturbations(mini):
    wanted = report.needs("figure08", mini)
    b = mini.pseudo_mask.amplitude
    assert sorted({one.sampling_amplitude / b for one in wanted}) == pytest.approx([0, 0.5, 1, 1.5, 2])
    assert {one.amplitude for one in wanted} == {b}


def test_curves_over_evaluations_have_every_step_whatever_the_first_seed(running):
    real = DRAWN | {"steps": [1, 25]}
    suite = running(SEGMENTED | {"steps": [1, 2, 25], "seeds": [5]}, SEGMENTED | {"seeds": [6, 7]}, real)
    found = [one for one in report.needs("evaluations", suite) if one.task == "segmentation" and not one.is_control]
    assert {(one.sampler.steps, one.sampling_seed) for one in found} == {(1, 5), (2, 5), (25, 5)}


def test_pictures_are_of_the_lowest_training_seed(config_folder):
    raw = reading.given([config_folder / "mini.yaml"], {}).raw
    suite = reading.check(raw | {"training": raw["training"] | {"seeds": [3, 1, 2]}}, "here")
    for number in range(2, 13):
        assert {one.training_seed for one in report.needs(f"figure{number:02}", suite)} == {1}
    assert {one.training_seed for one in report.needs("training_amplitudes", suite) if not one.is_control} == {1, 2, 3}


@pytest.mark.parametrize(
    ("runs", "drawn"),
    [
        ([SEGMENTED], {"figure07", "figure12"}),
        ([DRAWN], {"figure06", "figure09"}),
        ([SEGMENTED, DRAWN], {"figure03", "figure06", "figure07", "figure09", "figure12"}),
        ([SEGMENTED | {"seeds": [0, 1]}], {"figure02", "figure07", "figure12"}),
        ([DRAWN | {"seeds": [0, 1]}], {"figure06", "figure09", "figure11"}),
        ([DRAWN | {"amplitudes": [0, 6]}], {"figure04", "figure06", "figure09"}),
        ([DRAWN | {"amplitudes": [2, 6]}], {"figure06", "figure09"}),
        ([DRAWN | {"sampling_amplitudes": [0, 1]}], {"figure06", "figure08", "figure09", "sampling_amplitudes"}),
        ([{"method": "dsm", "task": "segmentation", "sampler": "ddim", "steps": [25]}], set()),
        ([{"method": "dsm", "task": "seed_agreement", "sampler": "ddim", "steps": [25]}], {"seed_agreement"}),
    ],
)
def test_a_figure_that_the_runs_do_not_hold_is_not_made(running, runs, drawn):
    suite = running(*runs)
    assert {name for name in FIGURES if report.needs(name, suite)} == drawn


def test_figure_3_asks_for_cyclegan_both_ways_if_the_suite_runs_it_so(running):
    cyclegan = {"method": "cyclegan", "sampler": "direct"}
    both = running(SEGMENTED, DRAWN, cyclegan | {"task": ["segmentation", "synthesis"]})
    assert {(one.method, one.task) for one in report.needs("figure03", both)} == {
        (method, task) for method in ("semflow", "cyclegan") for task in ("segmentation", "synthesis")
    }
    one_way = running(SEGMENTED, DRAWN, cyclegan | {"task": "synthesis"})
    assert {one.method for one in report.needs("figure03", one_way)} == {"semflow"}


def test_one_that_is_asked_for_by_name_is_refused_in_a_sentence(running):
    with pytest.raises(
        SemFlowError, match=r"suite mini: its runs do not hold what figure08 shows \(Pictures sampled .*\); add them"
    ):
        report.required("figure08", running(SEGMENTED))


def test_states_on_the_way_need_a_method_that_has_them(mini, monkeypatch):
    monkeypatch.setitem(METHODS, "semflow", replace(METHODS["semflow"], trajectory=False))
    assert report.needs("figure06", mini) == report.needs("figure07", mini) == []
    assert report.needs("figure12", mini)


def test_a_model_without_perturbation_has_none_to_vary_in_sampling(mini):
    assert report.needs("figure08", with_amplitude(mini, 0.0)) == []


@pytest.mark.parametrize("name", [*FIGURES, "table1", "table2", "budget"])
def test_records_are_chosen_as_evaluations_are(mini, name, make_run, make_synthesis):
    """Of all that mini measures: from records alone, without the suite."""

    def run_of(one):
        run = make_synthesis() if one.task == "synthesis" else make_run("semflow", "euler", 25, [[[4, 0], [0, 4]]])
        fields = one._asdict() | {"sampler": one.sampler.name, "steps": one.sampler.steps}
        return run._replace(record=run.record.model_copy(update=fields))

    found = chosen(name, [run_of(one) for one in evaluations(mini)])
    assert {of_record(run.record) for run in found} == set(report.needs(name, mini))


# Planning.


def test_planning_brings_in_neither_torch_nor_what_draws(config_folder):
    code = (
        "import sys\nfrom semflow import report\nfrom semflow.suite.reading import load\n"
        f"suite = load({str(config_folder / 'study.yaml')!r})\n"
        "assert all(report.needs(name, suite) for name in report.PRODUCTS)\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'matplotlib', 'pandas', 'scipy.stats'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


FIGURE = '''"""A figure of its own."""

from semflow.claims.collect import Run
from semflow.report.figures.canvas import empty
from semflow.report.products import Drawn, figure
from semflow.report.selection import everything


@figure("mine", needs=everything)
def mine(runs: list[Run]) -> Drawn:
    """How many records there are."""
    drawing = empty()
    drawing.subplots().bar(["records"], [len(runs)])
    return drawing, f"{len(runs)} records."
'''


def test_a_figure_is_added_in_one_file(stored, tmp_path):
    for name in ("semflow", "baselines"):
        shutil.copytree(PACKAGE / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "semflow/report/figures/mine.py").write_text(FIGURE)
    made = [str(tmp_path / f"mine.{suffix}") for suffix in ("svg", "txt")]
    command = [sys.executable, "-m", "semflow", "report", "mine", "--records", *map(str, stored), "--out", *made]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine.txt").read_text() == f"{len(stored)} records.\n"
    assert "<svg" in (tmp_path / "mine.svg").read_text()
