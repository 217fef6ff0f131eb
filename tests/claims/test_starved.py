"""Baselines that were not trained well enough, and claims that other means of measuring contradict."""

import pytest

from semflow.claims import starved, verdicts
from semflow.claims.document import load
from semflow.errors import SemFlowError

ASKED = """not_starved:
  dsm:
    conditions:
      - {of: dsm segmentation ddpm-best miou, minus: shuffled_labels segmentation direct miou, at_least: 10}
      - {of: dsm segmentation ddpm-25 miou, over: semflow segmentation euler-25 miou, at_least: 0.5}
"""


@pytest.fixture
def asking(head, above):
    """The claim on SemFlow and DSM, of which DSM must show something."""
    return load(head.replace("table_entries", ASKED + "table_entries") + above)


@pytest.fixture
def shuffled(make_run, matrices):
    return make_run("shuffled_labels", "direct", 0, matrices(0.5, seed=2))


def judged(runs, document):
    return verdicts.judge(runs, document)["claims"][0]


def test_a_claim_is_judged_on_a_baseline_that_shows_what_it_must(pair, shuffled, asking):
    runs = [*pair(0.9, 0.7), shuffled]
    assert starved.among(runs, asking) == {}
    assert judged(runs, asking)["verdict"] == "reproduced"


def test_no_claim_is_judged_on_one_that_does_not_and_the_sentence_says_by_how_much(pair, shuffled, asking):
    claim = judged([*pair(0.9, 0.53), shuffled], asking)
    assert (claim["verdict"], claim["needs"]) == ("not comparable", "A baseline that is trained well enough.")
    assert claim["why"].startswith("DSM is not trained well enough to be compared with: DSM DDPM mIoU less ")
    assert "at least 10 is asked" in claim["why"]


def test_what_was_not_measured_is_not_shown(pair, asking):
    assert "was not measured" in judged(pair(0.9, 0.7), asking)["why"]


def test_at_its_best_is_the_highest_mean_over_trainings_of_any_number_of_steps(pair, asking):
    runs = [run for steps, shares in ((25, (0.5, 0.7)), (5, (0.65, 0.65))) for seed, share in enumerate(shares)
            for run in pair(0.9, share, steps=steps, training_seed=seed)]  # fmt: skip
    at_5 = [run.record.metrics["miou"].value for run in runs if (run.record.method, run.record.steps) == ("dsm", 5)]
    assert starved.mean(runs, asking.not_starved["dsm"].conditions[0].of)[1] == pytest.approx(sum(at_5) / 2)


def test_a_method_that_was_not_measured_is_not_called_starved(make_run, matrices, asking):
    assert starved.among([make_run("semflow", "euler", 25, matrices(0.9))], asking) == {}


def test_a_method_that_there_is_not_is_refused(head, above):
    with pytest.raises(SemFlowError, match="there is no method 'dsn'; did you mean dsm"):
        load(head.replace("table_entries", ASKED.replace("  dsm:", "  dsn:") + "table_entries") + above)


WITNESS = "witnesses: [{of: semflow segmentation euler-25 pixel_accuracy, minus: dsm segmentation ddpm-25 pixel_accuracy, %s}]"


@pytest.mark.parametrize(("says", "verdict"), [("at_least: 2", "reproduced"), ("at_most: -2", "inconclusive")])
def test_a_claim_that_other_means_of_measuring_contradict_is_inconclusive(pair, verdict_of, above, says, verdict):
    claim = verdict_of(pair(0.9, 0.7), above.replace("kind: ordering", f"kind: ordering\n    {WITNESS % says}"))
    assert claim["verdict"] == verdict
    if verdict == "inconclusive":
        assert ", but SemFlow Euler-25 pixel accuracy" in claim["why"]


def test_a_claim_waits_for_its_witnesses(pair, verdict_of, above):
    other = (WITNESS % "at_least: 2").replace("dsm segmentation ddpm-25", "dsm_modified segmentation ddpm-25")
    claim = verdict_of(pair(0.9, 0.7), above.replace("kind: ordering", f"kind: ordering\n    {other}"))
    assert claim["verdict"] == "not run"
