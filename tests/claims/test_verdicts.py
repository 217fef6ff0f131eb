"""Verdicts on records made by hand, whose effects are known."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from record_fixtures import changed

from baselines import METHODS
from semflow.claims import effects, verdicts
from semflow.report import claims_text

N = 40  # images
MODIFIED = {"mask_scale": 0.1, "preconditioning": True}


def test_an_ordering_far_beyond_its_margin_is_reproduced_at_proxy_scale(above, verdict_of, pair):
    claim = verdict_of(pair(0.9, 0.7), above)
    assert (claim["verdict"], claim["scale"]) == ("reproduced", "proxy")
    (part,) = claim["conditions"]
    assert part["what"] == "SemFlow Euler-25 mIoU - DSM DDPM-25 mIoU"
    assert part["low"] < part["effect"] < part["high"]
    assert part["records"] == [
        "semflow-b6-segmentation-euler-25-b0-train0-sample0", "dsm-b6-segmentation-ddpm-25-b0-train0-sample0",
    ]  # fmt: skip
    assert claim["p"] == claim["p_holm"] <= 0.05


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


def test_a_modified_dsm_can_confirm_a_claim_but_not_refute_it(above, verdict_of, pair):
    def stronger(runs):
        return [changed(run, settings=MODIFIED) if run.record.method == "dsm" else run for run in runs]

    assert verdict_of(stronger(pair(0.9, 0.7)), above)["verdict"] == "reproduced"
    refuted = verdict_of(stronger(pair(0.7, 0.9)), above)
    assert refuted["verdict"] == "not comparable"
    assert "DSM is modified here (stronger than the paper's)" in refuted["why"]
    assert refuted["needs"].startswith("DSM as published")


def test_how_a_modified_method_is_read_follows_from_its_card_whatever_the_method(above, verdict_of, pair, monkeypatch):
    """The same verdicts for a method that the claims' code has never heard of."""
    card = replace(METHODS["dsm"], title="Toy", modified=lambda settings: "Toy is modified here." if settings else "")
    monkeypatch.setitem(METHODS, "toy", card)
    runs = [changed(run, method="toy", settings={"x": 1}) if run.record.method == "dsm" else run for run in pair(0.7, 0.9)]
    claim = verdict_of(runs, above.replace("minus: dsm", "minus: toy"))
    assert (claim["verdict"], claim["needs"]) == ("not comparable", "Toy as published, without modifications.")
    assert claim["why"].endswith("Toy is modified here.")
    assert claim["conditions"][0]["what"] == "SemFlow Euler-25 mIoU - Toy DDPM-25 mIoU"


def test_a_modified_dsm_says_nothing_of_dsm_itself(above, verdict_of, pair):
    runs = pair(0.9, 0.7)
    runs[1] = changed(runs[1], settings=MODIFIED)
    claim = verdict_of(runs, above.replace("modified: against", "modified: own"))
    assert (claim["verdict"], claim["p"]) == ("not comparable", None)
    assert verdict_of(pair(0.9, 0.7), above.replace("modified: against", "modified: own"))["verdict"] == "reproduced"


def test_a_claim_at_the_papers_scale_is_not_judged_by_a_proxy(above, verdict_of, pair):
    claim = verdict_of(pair(0.9, 0.7), above.replace("kind: ordering", "kind: ordering\n    min_scale: paper"))
    assert (claim["verdict"], claim["min_scale"]) == ("not comparable", "paper")


def test_several_trainings_must_agree_however_sure_the_images_are(above, verdict_of, pair):
    """Better by 20, by 20, and worse by 20: the images of the mean effect are sure, the trainings are not."""
    three = ((0.9, 0.7), (0.9, 0.7), (0.7, 0.9))
    runs = [run for seed, (ours, theirs) in enumerate(three) for run in pair(ours, theirs, training_seed=seed)]
    claim = verdict_of(runs, above)
    assert claim["verdict"] == "inconclusive"
    (part,) = claim["conditions"]
    assert part["low"] > 2
    assert part["seed_low"] < 0 < part["seed_high"]
    assert "trainings" in claim["needs"]
    assert part["n_trainings"] == 3


def test_three_trainings_that_agree_reproduce_a_claim(above, verdict_of, pair):
    runs = [run for seed in range(3) for run in pair(0.9 - seed / 100, 0.7, training_seed=seed)]
    claim = verdict_of(runs, above)
    assert claim["verdict"] == "reproduced"
    effects = [
        a.record.metrics["miou"].value - b.record.metrics["miou"].value for a, b in zip(runs[::2], runs[1::2], strict=True)
    ]
    reach = 4.303 * np.std(effects, ddof=1) / 3**0.5  # t of 2 degrees of freedom, from the table
    (part,) = claim["conditions"]
    assert part["seed_low"] == pytest.approx(np.mean(effects) - reach, rel=1e-3)
    draws = [a.arrays.draws["miou"] - b.arrays.draws["miou"] for a, b in zip(runs[::2], runs[1::2], strict=True)]
    expected = np.std(np.mean(draws, axis=0), ddof=1) * (N / (N - 1)) ** 0.5  # each training paired with its own
    assert (part["high"] - part["low"]) / 2 == pytest.approx(2.023 * expected, rel=1e-3)


def test_trainings_that_do_not_agree_refute_nothing_however_sure_the_images_are(above, verdict_of, pair):
    three = ((0.7, 0.9), (0.7, 0.9), (0.9, 0.7))
    runs = [run for seed, (ours, theirs) in enumerate(three) for run in pair(ours, theirs, training_seed=seed)]
    claim = verdict_of(runs, above)
    assert claim["conditions"][0]["high"] < 2
    assert claim["verdict"] == "inconclusive"


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
    assert claims_text.p_value(claim["p_holm"]) == "exact"


def test_the_interval_that_refutes_is_simultaneous_over_a_claims_conditions(above, verdict_of, pair):
    """One condition just outside at 95 %: alone it refutes, among ten it does not."""
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
    near, far = pair(0.72, 0.71, steps=1), pair(0.70, 0.71, steps=2)
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

    entries = document(above)
    ((part,), missing) = effects.tested(entries.claims[0].conditions, list(map(blocks, pair(0.72, 0.7))), entries)
    assert not missing
    (chance,) = part.chances
    assert part.needed(0.05)["images"] == pytest.approx(4 * chance.needed(part.value, part.region, 0.05))


def test_p_values_are_corrected_for_the_number_of_claims(make_run, above, document, matrices, pair):
    runs = [*pair(0.9, 0.7), make_run("shuffled_labels", "direct", 0, matrices(0.5, seed=2))]
    many = [above.replace("id: above", f"id: above-{i}") for i in range(3)]
    judged = verdicts.judge(runs, document(*many))["claims"]
    assert all(claim["p_holm"] == pytest.approx(min(1, 3 * claim["p"])) for claim in judged)


def test_a_suite_that_is_no_better_than_chance_judges_nothing(make_run, above, matrices, verdict_of, pair):
    runs = [*pair(0.55, 0.2), make_run("shuffled_labels", "direct", 0, matrices(0.55, seed=2))]
    claim = verdict_of(runs, above.replace("modified: against", "sanity_check: segmentation"))
    assert (claim["verdict"], claim["p"], claim["needs"]) == ("not comparable", None, "A better trained model.")
    assert claim["why"].startswith("The sanity check fails: no better than another image's labels (")
    assert "Indicative only: for the claim, SemFlow Euler-25 mIoU - DSM DDPM-25 mIoU = " in claim["why"]
    runs = [*pair(0.2, 0.55), runs[-1]]
    against = verdict_of(runs, above.replace("modified: against", "sanity_check: segmentation"))
    assert "Indicative only: against the claim, " in against["why"]


def test_at_the_papers_scale_a_weak_model_is_a_result(make_run, above, matrices, verdict_of, pair):
    def papers(run):
        controls = run.record.n_parameters is None
        return changed(run, dataset="coco_stuff", n_parameters=None if controls else 2_000_000)

    runs = [*pair(0.55, 0.2), make_run("shuffled_labels", "direct", 0, matrices(0.55, seed=2))]
    claim = verdict_of([papers(run) for run in runs], above.replace("modified: against", "sanity_check: segmentation"))
    assert (claim["verdict"], claim["scale"]) == ("reproduced", "paper")
