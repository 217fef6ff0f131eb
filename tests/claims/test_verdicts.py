"""Verdicts on records made by hand, whose effects are known."""

import json
import re
import subprocess
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from record_fixtures import changed
from scipy import stats

from baselines import METHODS
from semflow import provenance
from semflow.claims import effects, verdicts
from semflow.claims.document import load
from semflow.evaluation.metrics.intervals import resamples
from semflow.report import claims_text

N = 40  # images


def test_an_ordering_far_beyond_its_margin_is_reproduced_at_proxy_scale(above, verdict_of, pair):
    claim = verdict_of(pair(0.9, 0.7), above)
    assert (claim["verdict"], claim["scale"]) == ("reproduced", "proxy")
    (part,) = claim["conditions"]
    assert part["what"] == "SemFlow Euler-25 mIoU - DSM DDPM-25 mIoU"
    assert part["low"] < part["effect"] < part["high"]
    assert part["records"] == [
        "semflow-b6-segmentation-euler-25-b0-train0-sample0", "dsm-b6-segmentation-ddpm-25-b0-train0-sample0",
    ]  # fmt: skip
    assert claim["p"] <= 0.01 < claim["p_against"]
    assert not claim["knife_edge"]


def test_an_ordering_the_other_way_round_is_not_reproduced(above, verdict_of, pair):
    claim = verdict_of(pair(0.7, 0.9), above)
    assert claim["verdict"] == "not reproduced"
    assert claim["why"].startswith("The condition is violated: SemFlow Euler-25 mIoU - DSM DDPM-25 mIoU = ")
    assert claim["why"].endswith(", required >= 2.0.")


def test_equals_are_inconclusive_where_the_margin_lies_in_the_interval_and_say_how_many_images_would_settle_it(
    above, verdict_of, pair
):
    claim = verdict_of(pair(0.715, 0.7), above)
    assert claim["verdict"] == "inconclusive"
    assert re.fullmatch(r"About [\d,]+ images would (confirm|refute) it, .*", claim["needs"])


def test_a_claim_holds_only_where_every_number_of_steps_does(above, verdict_of, pair):
    runs = [*pair(0.9, 0.7), *pair(0.7, 0.9, steps=5)]
    claim = verdict_of(runs, above)
    assert claim["verdict"] == "not reproduced"
    assert [part["holds"] for part in claim["conditions"]] == [False, True]  # what decides comes first
    assert claim["why"].startswith("1 of 2 conditions is violated; farthest off: SemFlow Euler-5 mIoU")


def test_steps_below_those_named_are_left_out(above, verdict_of, pair):
    runs = [*pair(0.9, 0.7), *pair(0.7, 0.9, steps=5)]
    assert verdict_of(runs, above.replace("at_least: 2", "at_least: 2, from_steps: 10"))["verdict"] == "reproduced"


def test_too_few_images_are_inconclusive_whatever_the_effect(make_run, above, matrices, verdict_of):
    runs = [make_run("semflow", "euler", 25, matrices(0.9, 10)), make_run("dsm", "ddpm", 25, matrices(0.5, 10, 1))]
    claim = verdict_of(runs, above)
    assert (claim["verdict"], claim["why"], claim["needs"]) == ("inconclusive", "Measured on 10 images.", "At least 20 images.")
    assert claim["p"] is None


def test_too_few_trainings_are_inconclusive(above, verdict_of, pair):
    claim = verdict_of(pair(0.9, 0.7), above.replace("images: 20", "images: 20, trainings: 3"))
    assert (claim["verdict"], claim["needs"]) == ("inconclusive", "At least 3 training seeds.")


def test_what_was_not_measured_is_not_run_and_named(make_run, above, matrices, verdict_of):
    claim = verdict_of([make_run("semflow", "euler", 25, matrices(0.9))], above)
    assert (claim["verdict"], claim["scale"]) == ("not run", None)
    assert claim["why"] == "There is no record of DSM DDPM segmentation."


def test_a_modified_dsm_is_a_method_of_its_own_and_says_nothing_of_dsm(above, verdict_of, document, pair):
    ours, theirs = pair(0.9, 0.7)
    runs = [ours, changed(theirs, method="dsm_modified")]
    claim = verdict_of(runs, above)
    assert (claim["verdict"], claim["why"]) == ("not run", "There is no record of DSM DDPM segmentation.")
    against = above.replace("minus: dsm", "minus: dsm_modified")
    assert verdict_of(runs, against)["verdict"] == "reproduced"
    notes = verdicts.judge(runs, document(against))["notes"]
    assert f"DSM, modified: {METHODS['dsm_modified'].modified}." in notes


def test_a_claim_at_the_papers_scale_is_not_judged_by_a_proxy(above, verdict_of, pair):
    claim = verdict_of(pair(0.9, 0.7), above.replace("kind: ordering", "kind: ordering\n    min_scale: paper"))
    assert (claim["verdict"], claim["min_scale"]) == ("not comparable", "paper")


def trained(pair, *shares):
    """SemFlow and DSM by training, and the differences of their mIoU."""
    runs = [run for seed, (ours, theirs) in enumerate(shares) for run in pair(ours, theirs, training_seed=seed)]
    values = [run.record.metrics["miou"].value for run in runs]
    return runs, np.subtract(values[::2], values[1::2])


def test_several_trainings_must_agree_however_sure_the_images_are(above, verdict_of, pair):
    """Better by 20, by 20, and worse by 20: each training is sure by its images, and all three are not."""
    runs, effects = trained(pair, (0.9, 0.7), (0.9, 0.7), (0.7, 0.9))
    assert {verdict_of(runs[place : place + 2], above)["verdict"] for place in (0, 2, 4)} == {"reproduced", "not reproduced"}
    claim = verdict_of(runs, above)
    assert claim["verdict"] == "inconclusive"
    (part,) = claim["conditions"]
    assert part["low"] < 2 < part["high"]
    assert part["sd_trainings"] == pytest.approx(np.std(effects, ddof=1))
    assert re.fullmatch(r"About [\d,]+ trainings would confirm it, .*", claim["needs"])
    assert part["n_trainings"] == 3


def test_three_trainings_that_agree_reproduce_a_claim(above, verdict_of, pair):
    runs, effects = trained(pair, *((0.9 - seed / 100, 0.7) for seed in range(3)))
    claim = verdict_of(runs, above)
    assert claim["verdict"] == "reproduced"
    draws = [a.arrays.draws["miou"] - b.arrays.draws["miou"] for a, b in zip(runs[::2], runs[1::2], strict=True)]
    images = np.var(np.mean(draws, axis=0), ddof=1) * N / (N - 1)  # each training paired with its own
    trainings = stats.sem(effects) ** 2
    (part,) = claim["conditions"]
    reach = np.array([part["effect"] - part["low"], part["high"] - part["effect"]]) / (images + trainings) ** 0.5
    above_it = (images * stats.t.sf(reach, N - 1) + trainings * stats.t.sf(reach, 2)) / (images + trainings)
    assert above_it == pytest.approx([0.025] * 2)
    assert part["effect"] == pytest.approx(np.mean(effects))


def test_trainings_that_do_not_agree_refute_nothing_however_sure_the_images_are(above, verdict_of, pair):
    runs, _ = trained(pair, (0.7, 0.9), (0.7, 0.9), (0.9, 0.7))
    assert verdict_of(runs, above)["verdict"] == "inconclusive"


def test_models_without_a_common_training_seed_are_not_compared(make_run, above, matrices, verdict_of):
    runs = [make_run("semflow", "euler", 25, matrices(0.9)), make_run("dsm", "ddpm", 25, matrices(0.7), training_seed=1)]
    claim = verdict_of(runs, above)
    assert claim["verdict"] == "not run"
    assert claim["why"] == "There is no record of SemFlow Euler segmentation and DSM DDPM segmentation under one training seed."


def test_a_control_goes_with_every_training(make_run, above, matrices, verdict_of, pair):
    runs = [run for seed in range(3) for run in pair(0.9, 0.7, training_seed=seed)]
    runs += [
        make_run("shuffled_labels", "direct", 0, matrices(0.5, seed=9)),
        make_run("shuffled_labels", "direct", 0, matrices(0.5, seed=9), training_seed=1),
    ]
    above_shuffled = above.replace("dsm segmentation ddpm-N miou", "shuffled_labels segmentation direct miou")
    claim = verdict_of(runs, above_shuffled.replace("euler-N", "euler-25"))
    assert (claim["verdict"], claim["conditions"][0]["n_trainings"]) == ("reproduced", 3)


def test_what_cannot_be_worked_out_is_inconclusive_and_leaves_other_claims_alone(make_run, above, document, matrices):
    share_of = above.replace(
        "minus: dsm segmentation ddpm-N miou, at_least: 2", "over: dsm segmentation ddpm-N miou, at_least: 1"
    )
    nothing = np.array([[[0, 50], [50, 0]]] * N)
    runs = [make_run("semflow", "euler", 25, matrices(0.9)), make_run("dsm", "ddpm", 25, nothing)]
    share, above = verdicts.judge(runs, document(share_of.replace("id: above", "id: share"), above))["claims"]
    assert share["verdict"] == "inconclusive"
    assert "cannot be computed" in share["why"]
    assert above["verdict"] == "reproduced"
    json.dumps(share, allow_nan=False)


def test_no_spread_at_all_says_how_many_exceptions_there_may_be(make_seed_agreement, above, verdict_of):
    run = make_seed_agreement("semflow", "euler", 100.0)
    draws = {"seed_agreement": np.full(400, 100.0)}
    run = run._replace(arrays=type(run.arrays)(**(vars(run.arrays) | {"draws": draws})))
    old = "segmentation euler-N miou, minus: dsm segmentation ddpm-N miou, at_least: 2"
    exact = above.replace(old, "seed_agreement euler-25 seed_agreement, at_least: 100")
    claim = verdict_of([run], exact.replace("images: 20", "images: 3"))
    assert claim["verdict"] == "reproduced"
    assert "no exception in 3, so at most 63% exceptions" in claim["why"]  # 1 - 0.05^(1/3)
    assert claim["p"] == 1 / 401  # of 400 draws


def test_what_refutes_is_corrected_for_the_number_of_a_claims_conditions(above, verdict_of, pair):
    """One condition just outside: alone it refutes, among ten it does not."""
    edge = pair(0.705, 0.7, steps=1)
    others = [run for steps in range(2, 11) for run in pair(0.95, 0.7, steps=steps)]
    (part,) = verdict_of(edge, above)["conditions"]
    bound = part["high"] + 0.05 * (part["high"] - part["low"])
    claim = above.replace("at_least: 2", f"at_least: {bound:.3f}")
    assert verdict_of(edge, claim)["verdict"] == "not reproduced"
    assert verdict_of([*edge, *others], claim)["verdict"] == "inconclusive"


def images_in(needs: str) -> int:
    return int(re.search(r"About ([\d,]+) images", needs)[1].replace(",", ""))


def test_as_few_images_as_refute_one_condition_settle_a_claim(above, verdict_of, pair):
    near, far = pair(0.72, 0.71, steps=1), pair(0.705, 0.71, steps=2)
    alone = [images_in(verdict_of(runs, above)["needs"]) for runs in (near, far)]
    together = verdict_of([*near, *far], above)["needs"]
    assert "would refute it" in together
    assert images_in(together) == pytest.approx(min(alone), rel=0.35)  # more for two conditions than for one
    assert images_in(together) > min(alone)
    assert images_in(together) < max(alone)


def test_images_needed_are_images_where_blocks_of_them_are_drawn(above, document, pair):
    def blocks(run):
        units = np.arange(N) // 4
        arrays = type(run.arrays)(**(vars(run.arrays) | {"units": units}))
        return run._replace(arrays=arrays)

    ((part,), missing) = effects.tested(document(above).claims[0].conditions, list(map(blocks, pair(0.72, 0.7))))
    assert not missing
    assert part.images.df == N / 4 - 1
    reach = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    needed = part.needed(0.05)["images"]
    assert part.images.se * (N / needed) ** 0.5 * reach == pytest.approx(abs(part.value - 2))


def test_a_suite_that_is_no_better_than_chance_judges_nothing(make_run, checked, matrices, verdict_of, pair):
    runs = [*pair(0.55, 0.2), make_run("shuffled_labels", "direct", 0, matrices(0.55, seed=2))]
    claim = verdict_of(runs, checked)
    assert (claim["verdict"], claim["p"], claim["needs"]) == ("not comparable", None, "A model that passes the check.")
    assert claim["why"].startswith("The sanity check fails: no better than another image's labels (")
    assert "Indicative only: for the claim, SemFlow Euler-25 mIoU - DSM DDPM-25 mIoU = " in claim["why"]
    runs = [*pair(0.2, 0.55), runs[-1]]
    against = verdict_of(runs, checked)
    assert "Indicative only: against the claim, " in against["why"]


def test_at_the_papers_scale_a_weak_model_is_a_result(make_run, checked, matrices, verdict_of, pair):
    def papers(run):
        controls = run.record.n_parameters is None
        return changed(run, dataset="coco_stuff", n_parameters=None if controls else 2_000_000)

    runs = [*pair(0.55, 0.2), make_run("shuffled_labels", "direct", 0, matrices(0.55, seed=2))]
    claim = verdict_of([papers(run) for run in runs], checked)
    assert (claim["verdict"], claim["scale"]) == ("reproduced", "paper")


def test_of_a_check_that_any_condition_passes_what_was_not_measured_fails_none(make_run, head, checked, matrices, pair):
    """A method alone can show that images can be segmented; where all must, that one is missing stops the claim."""
    condition = "{of: semflow segmentation euler-25 miou, minus: shuffled_labels segmentation direct miou, at_least: 5}"
    either = head.replace(f"[{condition}]", f"[{condition}, {condition.replace('semflow', 'dsm').replace('euler', 'ddpm')}]")
    assert either != head
    runs = [*pair(0.9, 0.7), make_run("shuffled_labels", "direct", 0, matrices(0.7, seed=2))]  # DSM is no better
    for passes, other in (("any", "dsm"), ("all", "dsm"), ("any", "dsm_modified"), ("all", "dsm_modified")):
        text = either.replace("dsm segmentation", f"{other} segmentation").replace(
            "words: no", f"passes: {passes}\n    words: no"
        )
        (claim,) = verdicts.judge(runs, load(text + checked))["claims"]
        expected = "reproduced" if passes == "any" else "not comparable" if other == "dsm" else "not run"
        assert (passes, other, claim["verdict"]) == (passes, other, expected)


# What evidence does not decide.


def test_what_any_right_implementation_has_is_true_by_construction_or_a_mistake(above, verdict_of, pair):
    by_construction = above.replace("reason: none", "reason: none\n    by_construction: It cannot be otherwise.")
    agreed = verdict_of(pair(0.9, 0.7), by_construction)
    assert (agreed["verdict"], agreed["p"], agreed["p_against"]) == ("true by construction", None, None)
    assert agreed["why"].startswith("It cannot be otherwise. The records agree: SemFlow Euler-25 mIoU - DSM DDPM-25 mIoU = ")
    assert claims_text.verdict(agreed) == "true by construction"
    denied = verdict_of(pair(0.705, 0.7), by_construction)  # far from significant
    assert (denied["verdict"], denied["p"]) == ("not reproduced", None)
    assert "It cannot be otherwise. The records disagree, so look for a mistake: SemFlow Euler-25" in denied["why"]


def test_a_claim_that_no_number_could_judge_is_not_run_for_that_reason(above, verdict_of, pair):
    conditions = above[above.index("    conditions:") :]
    claim = verdict_of(pair(0.9, 0.7), above.replace(conditions, "    untested: Said of three pictures.\n"))
    assert (claim["verdict"], claim["why"], claim["needs"]) == ("not run", "Said of three pictures.", "")
    assert (claim["scale"], claim["data"], claim["conditions"], claim["p"]) == (None, None, [], None)


# Several claims. Each is that SemFlow reaches 50 mIoU at a number of steps.


@pytest.fixture
def scored(make_run, matrices):
    """scored(p, steps) -> a run with a standard error of 1 whose p-value of reaching 50 is p, by scipy's t."""
    run, still = make_run("semflow", "euler", 1, matrices(0.7)), np.tile([1.0, -1.0], 200)
    draws = still / np.std(still, ddof=1) * ((N - 1) / N) ** 0.5

    def make(p, steps):
        value = 50 + stats.t.isf(p, N - 1)
        metric = run.record.metrics["miou"].model_copy(update={"value": value})
        arrays = replace(run.arrays, draws={"miou": value + draws})
        return changed(run._replace(arrays=arrays), steps=steps, metrics={"miou": metric})

    return make


def reaching(steps, primary=True, metrics=("miou",)):
    of = ", ".join(f"{{of: semflow segmentation euler-{steps} {metric}, at_least: 50}}" for metric in metrics)
    return f"""
  - {{id: at-{steps}{"" if primary else "-too"}, primary: {str(primary).lower()}, place: P, words: W, kind: shape, reason: none,
     min_samples: {{images: 20}}, conditions: [{of}]}}
"""


def test_both_p_values_of_primary_claims_are_holms_and_others_are_as_they_are(scored, document):
    runs = [scored(p, steps) for steps, p in ((1, 0.004), (2, 0.03), (5, 0.992))]
    first, second, third, secondary = verdicts.judge(
        runs, document(*map(reaching, (1, 2, 5)), reaching(2, primary=False))
    )["claims"]  # fmt: skip
    assert [claim["p"] for claim in (first, second, third)] == pytest.approx([3 * 0.004, 2 * 0.03, 0.992])
    assert [claim["p_against"] for claim in (first, second, third)] == pytest.approx([1, 1, 3 * 0.008])
    assert [claim["verdict"] for claim in (first, second, third)] == ["reproduced", "inconclusive", "not reproduced"]
    assert second["why"].endswith(" Not significant after Holm's correction over 3 primary claims (p = 0.06).")
    assert (secondary["verdict"], secondary["p"], secondary["primary"]) == ("reproduced", pytest.approx(0.03), False)


def test_a_primary_claim_that_is_not_tested_counts_for_the_correction_all_the_same(scored, document):
    runs = [scored(p, steps) for steps, p in ((1, 0.004), (2, 0.03))]
    judged = verdicts.judge(runs, document(*map(reaching, (1, 2, 5))))
    first, second, third = judged["claims"]
    assert (first["p"], second["p"], third["verdict"]) == (pytest.approx(0.012), pytest.approx(0.06), "not run")
    assert third["p"] is None
    assert "Both are Holm's over the 3 primary claims" in judged["notes"][0]


@pytest.mark.parametrize(
    ("p", "edge"), [(0.009, False), (0.011, True), (0.049, True), (0.2, False), (0.96, True), (0.995, False)]
)
def test_what_is_decided_at_5_per_cent_and_not_at_1_is_on_a_knife_edge(scored, verdict_of, p, edge):
    claim = verdict_of([scored(p, 1)], reaching(1))
    assert claim["knife_edge"] == edge
    assert (claims_text.KNIFE_EDGE in claims_text.verdict(claim)) == edge
    assert claims_text.PRIMARY in claims_text.verdict(claim)
    assert claims_text.decisive(claim) == pytest.approx(1 - p if p > 0.9 else p)


@pytest.mark.slow
@pytest.mark.parametrize(("k", "share"), [(1, 0), (3, 0.1), (3, 1), (3, 10), (5, 10), (8, 1)])
def test_of_six_primary_claims_that_are_true_by_a_hair_one_is_refuted_in_at_most_5_of_100_studies(
    k, share, scored, document, monkeypatch
):
    """Two conditions each, all on their margins; were nothing corrected, it would be in about 45. Of k trainings, whose variance
    is `share` of that of images."""
    monkeypatch.setattr(provenance, "introduced", lambda *_: "")  # which asks git
    monkeypatch.setattr(provenance, "had", lambda *_: None)
    steps, metrics, n = (1, 2, 5, 10, 25, 50), ("miou", "pixel_accuracy"), 128
    known, rng = document(*(reaching(number, metrics=metrics) for number in steps)), np.random.default_rng(0)
    times = np.concatenate(list(resamples(np.arange(n), 400, 0))) / n
    base, refuted = scored(0.5, 1), []
    metric = base.record.metrics["miou"]

    def run_of(number, seed, values):
        found = {name: metric.model_copy(update={"value": 50 + of.mean()}) for name, of in zip(metrics, values, strict=True)}
        draws = {name: 50 + times @ of for name, of in zip(metrics, values, strict=True)}
        arrays = replace(base.arrays, draws=draws, units=np.arange(n))
        return changed(base._replace(arrays=arrays), steps=number, training_seed=seed, metrics=found, n_images=n)

    for _ in range(1500):
        images = rng.normal(0, n**0.5, (len(steps), 1, 2, n)) + rng.normal(0, (share * k) ** 0.5, (len(steps), k, 2, 1))
        runs = [run_of(number, seed, of) for number, by in zip(steps, images, strict=True) for seed, of in enumerate(by)]
        refuted.append(verdicts.judge(runs, known)["counts"]["not reproduced"] > 0)
    assert np.mean(refuted) <= 0.06  # 5 %, and two standard errors of the simulation


# When it was fixed how claims are judged.


@pytest.fixture
def dated(head, above):
    """A file of claims with the hashes of what decides."""
    decides = "decides: [{hash: abcd, what: margins}, {hash: ef01, what: checks}]"
    return load((head + above).replace("version: 1", f"version: 1\n{decides}", 1))


def test_the_commits_in_which_what_decides_came_in_are_named_and_whether_records_had_it(pair, dated, tmp_path, monkeypatch):
    git = partial(subprocess.check_output, cwd=tmp_path, text=True)
    git(["git", "init", "-q"])
    file, commits = tmp_path / "claims.yaml", []
    for text in ("hash: 1234\n", "hash: abcd\n", "# Moved.\nhash: abcd  # in other words\n", "hash: abcd\nhash: ef01\n"):
        file.write_text(text)
        git(["git", "add", file.name])
        git(["git", "-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m"])
        commits.append(git(["git", "rev-parse", "HEAD"]).strip())
    monkeypatch.setattr(provenance, "__file__", str(file))

    def judged(*made_by):
        runs = [
            changed(run, provenance=run.record.provenance.model_copy(update={"commit": commit}))
            for run, commit in zip(pair(0.9, 0.7), made_by, strict=True)
        ]
        found = verdicts.judge(runs, dated)
        assert [(fixed["commit"], fixed["what"]) for fixed in found["fixed"]] == [(commits[1], "margins"), (commits[3], "checks")]
        return [fixed["before"] for fixed in found["fixed"]]

    assert judged(commits[3], commits[3]) == [True, True]
    assert judged(commits[1], commits[2]) == [True, False]
    assert judged(commits[0], commits[3]) == [False, False]
    assert judged("c" * 40, commits[3]) == [None, None]
    text = claims_text.markdown(verdicts.judge(pair(0.9, 0.7), dated))
    assert f"was fixed: in commit {commits[1][:10]} margins. Then in commit {commits[3][:10]} checks." in text


def test_outside_git_nothing_is_said_of_when(pair, dated, tmp_path, monkeypatch, request):
    provenance.introduced.cache_clear()
    request.addfinalizer(provenance.introduced.cache_clear)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "claims.yaml"))
    judged = verdicts.judge(pair(0.9, 0.7), dated)
    assert judged["fixed"] == []
    assert "in commit" not in claims_text.markdown(judged)
