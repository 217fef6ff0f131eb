"""Which evaluations a suite asks for, where their records lie, and how they are shared out to jobs."""

from collections import Counter
from types import SimpleNamespace

import pytest

from baselines import METHODS
from semflow.data import DATASETS
from semflow.errors import SemFlowError
from semflow.method.samplers import DIRECT, Sampler
from semflow.method.settings import PseudoMask
from semflow.suite import reading as config
from semflow.suite import runs
from semflow.suite.jobs import jobs, options, trained_by
from semflow.suite.runs import Evaluation, checkpoints, evaluations, main_sampler, record_path

SEGMENTATION = [Evaluation("oracle", "segmentation", DIRECT), Evaluation("shuffled_labels", "segmentation", DIRECT)]


@pytest.fixture
def asked(mini):
    """asked(entry, ...) -> the evaluations of mini, perturbed as the paper's, with these `runs`, without controls."""

    def ask(*entries, variants=None, **training):
        mini["training"] |= training
        mini["pseudo_mask"] = {"k": 6, "s": 50, "amplitude": 6}
        suite = config.check(mini | {"runs": list(entries), "variants": variants or {}}, "mini")
        return [e for e in evaluations(suite) if not e.is_control]

    return ask


def entry(**values):
    return {"method": "semflow", "task": "segmentation", "sampler": "euler", "steps": [1]} | values


def test_an_entry_is_every_combination_of_its_lists_under_each_training_seed(asked):
    found = asked(entry(task=["segmentation", "synthesis"], steps=[1, 2], seeds=[7, 8]), seeds=[0, 1])
    assert Counter((e.task, e.sampler.steps, e.sampling_seed, e.training_seed) for e in found) == Counter(
        (task, n, sampled, trained)
        for task in ("segmentation", "synthesis")
        for n in (1, 2)
        for sampled in (7, 8)
        for trained in (0, 1)
    )


def test_pictures_are_drawn_with_multiples_of_the_perturbation_of_training(asked):
    found = asked(entry(task="synthesis", amplitudes=[2, 6], sampling_amplitudes=[0, 1, 1.5]))
    assert [(e.amplitude, e.sampling_amplitude) for e in found] == [(2, 0), (2, 2), (2, 3), (6, 0), (6, 6), (6, 9)]


def test_segmentation_draws_nothing_whatever_its_entry_says_of_synthesis(asked):
    found = asked(entry(task=["segmentation", "synthesis"], sampling_amplitudes=[0, 1]))
    assert [(e.task, e.sampling_amplitude) for e in found] == [("segmentation", 0), ("synthesis", 0), ("synthesis", 6)]


def test_what_two_entries_name_is_evaluated_once(asked):
    assert len(asked(entry(steps=[1, 2]), entry(steps=[2, 3]), entry(steps=[2], amplitudes=[6]))) == 3


def test_masks_that_are_not_perturbed_have_no_amplitude(asked):
    (found,) = asked(entry(method="dsm", sampler="ddim", steps=[25]))
    assert (found.amplitude, found.sampling_amplitude) == (0, 0)


def test_seed_agreement_has_seeds_of_its_own(asked):
    assert asked(entry(task=["segmentation", "seed_agreement"], seeds=[3, 4])) == [
        Evaluation("semflow", "segmentation", Sampler("euler", 1), 6.0, 0.0, 0, 3),
        Evaluation("semflow", "segmentation", Sampler("euler", 1), 6.0, 0.0, 0, 4),
        Evaluation("semflow", "seed_agreement", Sampler("euler", 1), 6.0, 0.0, 0, 0),
    ]


def test_an_entry_may_have_fewer_training_seeds_than_the_suite(asked):
    found = asked(entry(steps=[1]), entry(steps=[2], training_seeds=[2, 0]), seeds=[0, 1, 2])
    assert [(e.sampler.steps, e.training_seed) for e in found] == [(1, 0), (1, 1), (1, 2), (2, 2), (2, 0)]


COARSE = {"coarse": {"pseudo_mask": {"k": 3, "s": 120, "amplitude": 30}}, "short": {"training": {"steps": 1}}}


def test_an_entry_of_variants_has_each_and_is_perturbed_as_each_says(asked):
    drawn = entry(task="synthesis", variants=["coarse", "short"], sampling_amplitudes=[0, 1])
    other = entry(variants=["coarse"], amplitudes=[9], steps=[2])
    found = asked(entry(), drawn, other, entry(method="dsm", sampler="ddim", steps=[25], variants=["short"]), variants=COARSE)
    assert [(e.variant, e.amplitude, e.sampling_amplitude) for e in found] == [
        ("", 6, 0), ("coarse", 30, 0), ("coarse", 30, 30), ("short", 6, 0), ("short", 6, 6), ("coarse", 9, 0), ("short", 0, 0),
    ]  # fmt: skip
    trained = [
        ("semflow", 6, ""),
        ("semflow", 30, "coarse"),
        ("semflow", 6, "short"),
        ("semflow", 9, "coarse"),
        ("dsm", 0, "short"),
    ]
    assert [(of.method, of.amplitude, of.variant) for of in checkpoints(found)] == trained


def test_controls_are_evaluated_where_their_task_is(mini):
    def controls(*entries):
        return [e for e in evaluations(config.check(mini | {"runs": list(entries)}, "mini")) if e.is_control]

    drawn = ["repainted", "blurred", "grey_card", "white_noise", "real_images"]
    assert controls(entry(task="seed_agreement")) == []
    assert controls(entry()) == SEGMENTATION
    assert controls(entry(task=["synthesis", "segmentation"])) == [
        *(Evaluation(name, "synthesis", DIRECT) for name in drawn),
        *SEGMENTATION,
    ]


@pytest.mark.parametrize("name", DATASETS)
def test_controls_that_repaint_are_for_data_sets_that_can(tiny_suite, name):
    suite = tiny_suite.model_copy(update={"data": SimpleNamespace(name=name)})
    found = {control.method for control in runs.controls(suite, "synthesis")}
    assert found == {"grey_card", "white_noise", "real_images"} | ({"repainted", "blurred"} if name == "scenes" else set())


@pytest.fixture(scope="module")
def suite(config_folder):
    return config.load(config_folder / "mini.yaml")


def test_minis_runs_are_those_of_the_paper_and_its_ablations(suite):
    found = evaluations(suite)
    counted = Counter((e.method, e.task) for e in found)
    assert counted == {
        ("semflow", "segmentation"): 9 + 13 + 4,  # Table 2 with two seeds at 25 steps, other solvers, other amplitudes
        ("semflow", "synthesis"): 10 + 13 + 4 + 4 * 3,  # the same, and other amplitudes of sampling with three seeds
        ("dsm", "segmentation"): 2 * (6 + 3), ("dsm_modified", "segmentation"): 2 * 7,
        ("semflow", "seed_agreement"): 1, ("dsm", "seed_agreement"): 2,
        ("maskformer", "segmentation"): 1, ("unet_supervised", "segmentation"): 1, ("cyclegan", "segmentation"): 1,
        ("pix2pixhd", "synthesis"): 1, ("cyclegan", "synthesis"): 1,
        **{(name, "synthesis"): 3 for name in ("spade", "scgan", "bbdm")},
        **{(name, "consistency"): 1 for name in ("semflow", "pix2pixhd", "spade", "scgan", "bbdm", "cyclegan")},
        ("oracle", "segmentation"): 1, ("shuffled_labels", "segmentation"): 1,
        **{(name, task): 1 for task in ("synthesis", "consistency") for name in runs.CONTROLS[task]},
    }  # fmt: skip
    b, share = suite.pseudo_mask.amplitude, suite.pseudo_mask.s / 50
    assert sorted({e.amplitude / share for e in found if e.method == "semflow"} - {b / share}) == pytest.approx([0, 2, 12, 20])
    assert {e.sampling_amplitude / b for e in found if e.amplitude == b and e.task == "synthesis"} == {0, 0.5, 1, 1.5, 2}
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("name", ["smoke", "mini", "camvid", "camvid_cpu"])
def test_every_suite_has_its_own_model_and_one_without_perturbation(name, config_folder):
    suite = config.load(config_folder / f"{name}.yaml")
    assert {0, suite.pseudo_mask.amplitude} <= {one.amplitude for one in evaluations(suite) if one.method == "semflow"}


def test_the_main_sampler_is_the_cards():
    assert main_sampler("semflow", "synthesis") == Sampler("euler", 25)
    assert main_sampler("dsm", "seed_agreement") == Sampler.parse(METHODS["dsm"].default["segmentation"])
    assert main_sampler("oracle", "segmentation") == DIRECT
    with pytest.raises(SemFlowError, match="DSM cannot do synthesis; it does segmentation"):
        main_sampler("dsm", "synthesis")


@pytest.mark.parametrize(
    ("evaluation", "place"),
    [
        (Evaluation("semflow", "segmentation", Sampler("euler", 25), 6.0), "semflow/segmentation/euler-25/train0-sample0"),
        (Evaluation("semflow", "synthesis", Sampler("rk45"), 6.0, 6.0, 1, 2), "semflow/synthesis/rk45/train1-sample2"),
        (Evaluation("semflow", "synthesis", Sampler("euler", 1), 0.5, 0.5), "semflow-b0.5/synthesis/euler-1/train0-sample0"),
        (Evaluation("semflow", "synthesis", Sampler("euler", 1), 6.0, 9.0), "semflow/synthesis/euler-1-b9/train0-sample0"),
        (
            Evaluation("semflow", "synthesis", Sampler("rk45"), 30.0, 15.0, 1, 2, "coarse"),
            "semflow-coarse/synthesis/rk45-b15/train1-sample2",
        ),
        (
            Evaluation("semflow", "segmentation", Sampler("rk45"), 9.0, variant="coarse"),
            "semflow-coarse-b9/segmentation/rk45/train0-sample0",
        ),
        (
            Evaluation("semflow", "segmentation", Sampler("rk45"), 6.0, variant="short"),
            "semflow-short/segmentation/rk45/train0-sample0",
        ),
        (
            Evaluation("dsm", "segmentation", Sampler("ddim", 2), variant="coarse"),
            "dsm-coarse/segmentation/ddim-2/train0-sample0",
        ),
        (Evaluation("dsm", "segmentation", Sampler("ddim", 2)), "dsm/segmentation/ddim-2/train0-sample0"),
        (Evaluation("oracle", "segmentation", DIRECT), "oracle/segmentation/direct/train0-sample0"),
    ],
)
def test_a_record_lies_where_its_evaluation_says(mini, evaluation, place):
    mini |= {"pseudo_mask": {"k": 6, "s": 50, "amplitude": 6}, "runs": [entry(variants=["coarse", "short"])], "variants": COARSE}
    assert record_path(evaluation, config.check(mini, "mini")) == f"results/mini/records/scenes-test/{place}.json"


@pytest.mark.parametrize("name", ["smoke", "mini", "study", "camvid", "paper"])
def test_no_two_evaluations_have_one_record(name, config_folder):
    study = config.load_study(config_folder / f"{name}.yaml")
    places = [record_path(e, suite) for suite in study.suites.values() for e in evaluations(suite)]
    assert len(set(places)) == len(places)


def test_a_checkpoint_is_one_job_with_what_is_wanted_first_apart(config_folder):
    study = config.load_study(config_folder / "smoke.yaml")
    (suite,) = study.suites.values()
    first = {record_path(e, suite) for e in evaluations(suite) if e.task == "segmentation"}
    first -= {record_path(e, suite) for e in evaluations(suite) if e.method == "semflow" and (e.amplitude == 0 or e.variant)}
    found = jobs(study, {"table2": first})
    assert {job.name for job in found} == {
        "semflow-seed0-table2", "semflow-seed0-rest", "semflow-b0-seed0-rest", "semflow-longer-seed0-rest",
        "dsm-seed0-table2", "dsm-seed0-rest", "dsm_modified-seed0-table2", "controls-table2", "controls-rest",
    }  # fmt: skip
    assert sorted(record for job in found for record in job.records) == sorted(record_path(e, suite) for e in evaluations(suite))
    assert all(len({(e.amplitude, e.training_seed) for e in job.evaluations}) == 1 for job in found)
    options = {job.name: job.options for job in found}
    assert options["semflow-b0-seed0-rest"] == "--method semflow --amplitude 0 --training-seed 0"
    assert options["dsm-seed0-rest"] == "--method dsm --training-seed 0"


def test_what_judges_read_waits_in_a_job_of_its_own_for_their_trainings(mini):
    mini["synthesis"]["judges"] = {"first": "dsm", "second": "dsm_modified", "seed": 9}
    runs_of = [
        entry(task=["synthesis", "consistency"]),
        {"method": "dsm", "task": "segmentation", "sampler": "ddpm", "steps": [2]},
    ]
    suite = config.check(mini | {"runs": runs_of}, "mini")
    found = {job.name: job for job in jobs(config.Study({"scenes": suite}, {}, False), {})}
    judges = tuple(runs.Checkpoint(name, 0.0, 9) for name in ("dsm", "dsm_modified"))
    assert {name: job.judges for name, job in found.items() if job.judges} == {
        "semflow-seed0-rest-consistency": judges, "controls-rest-consistency": judges,
    }  # fmt: skip
    needed = [(of.method, of.seed) for of in runs.trainings(suite, evaluations(suite))]
    assert needed == [("semflow", 0), ("dsm", 0), ("dsm", 9), ("dsm_modified", 9)]


def test_judges_that_nothing_is_asked_of_are_not_trained(mini):
    mini["synthesis"]["judges"] = {"first": "dsm", "second": "dsm_modified", "seed": 9}
    suite = config.check(mini | {"runs": [entry(task="synthesis")]}, "mini")
    assert [of.method for of in runs.trainings(suite, evaluations(suite))] == ["semflow"]


def test_a_variant_is_a_job_of_its_own_that_says_it(mini):
    mini |= {"pseudo_mask": {"k": 6, "s": 50, "amplitude": 6}, "variants": COARSE}
    coarse = entry(variants=["coarse", "short"])
    mini["runs"] = [entry(), coarse, coarse | {"amplitudes": [6]}, coarse | {"method": "dsm", "sampler": "ddim", "steps": [25]}]
    found = {job.name: job for job in jobs(config.check_study(mini, "mini"), {}) if job.checkpoint}
    assert {name: job.options.removesuffix(" --training-seed 0") for name, job in found.items()} == {
        "semflow-seed0-rest": "--method semflow",
        "semflow-coarse-seed0-rest": "--method semflow --variant coarse",
        "semflow-short-seed0-rest": "--method semflow --variant short",
        "semflow-coarse-b6-seed0-rest": "--method semflow --variant coarse --amplitude 6",
        "dsm-coarse-seed0-rest": "--method dsm --variant coarse",
        "dsm-short-seed0-rest": "--method dsm --variant short",
    }
    assert len({job.key for job in found.values()}) == len(found)
    assert all(f"--method {job.checkpoint.method}{options(job.checkpoint, job.suite)}" in job.options for job in found.values())
    trained = {name: trained_by(job.checkpoint, job.suite) for name, job in found.items()}
    assert trained["semflow-coarse-b6-seed0-rest"].pseudo_mask == PseudoMask(k=3, s=120, amplitude=6)
    assert trained["dsm-coarse-seed0-rest"].pseudo_mask.amplitude == 30  # which it ignores
    assert trained["semflow-short-seed0-rest"].training.steps == 1


def test_the_smoke_suite_is_evaluated_by_ten_processes_at_most(config_folder):
    from semflow.report import needs

    study = config.load_study(config_folder / "smoke.yaml")
    (suite,) = study.suites.values()
    apart = {name: [record_path(e, suite) for e in needs(name, suite)] for name in ("table2", "table1")}
    assert len(jobs(study, apart)) <= 10


@pytest.mark.parametrize(("size", "wanted"), [(1, [1] * 5), (2, [2, 2, 1]), (9, [5])])
def test_a_suite_may_share_a_checkpoints_evaluations_out(tiny, size, wanted):
    tiny["run"]["evaluations_per_job"] = size
    tiny["runs"] = [entry(steps=[1, 2, 3, 4, 5])]
    found = [job for job in jobs(config.check_study(tiny, "tiny"), {}) if job.checkpoint]
    assert [len(job.evaluations) for job in found] == wanted
    assert len({job.name for job in found}) == len(found)


def test_a_jobs_key_sees_what_it_evaluates_and_no_other_run(tiny):
    def key(*entries, **changes):
        study = config.check_study(tiny | {"runs": list(entries)} | changes, "tiny")
        return next(job.key for job in jobs(study, {}) if job.checkpoint and job.name.startswith("semflow-seed0"))

    assert key(entry()) == key(entry(), entry(method="dsm", sampler="ddim", steps=[25]), entry(amplitudes=[2]))
    assert key(entry()) != key(entry(steps=[2]))
    assert key(entry()) != key(entry(), evaluation=tiny["evaluation"] | {"bootstrap_samples": 200})


def test_titles_of_controls_are_those_of_their_tasks():
    assert runs.CONTROL_TITLES["oracle"] == runs.CONTROLS["segmentation"]["oracle"]


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
