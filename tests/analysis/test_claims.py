"""Verdicts on records made by hand, whose effects are known; and what the claims' file may hold."""

import json
import re
from collections import Counter

import numpy as np
import pytest

from semflow import published
from semflow.analysis import claims, contrasts, parts, verdicts
from semflow.analysis.claims_file import load
from semflow.analysis.contrasts import Where
from semflow.analysis.judging import VERDICTS
from semflow.errors import SemFlowError
from semflow.published.claims import Anchors

HEAD = """
version: 1
scale: {n_parameters: 1000000, datasets: {coco_stuff: [4, 6]}}
anchors: {k: 6, s: 50}
assays:
  segmentation:
    words: no better than another image's labels
    parts: [{of: semflow segmentation euler-25 miou, minus: floor segmentation none miou, at_least: 5}]
points: []
findings: []
claims:
"""
ABOVE = """
  - id: above
    place: Table 2
    words: SemFlow is above DSM.
    kind: ordering
    dsm: against
    least: {images: 20}
    reason: none
    parts: [{of: semflow segmentation euler-N miou, minus: dsm segmentation ddpm-N miou, at_least: 2}]
"""
N = 40


def document(*entries):
    return load(HEAD + "".join(entries))


def matrices(share, n=N, seed=0):
    """Per-image confusions with this share of 100 pixels right in the mean, other from image to image."""
    right = np.random.default_rng(seed).binomial(50, share, (n, 2))
    return np.array([[[a, 50 - a], [50 - b, b]] for a, b in right])


def verdict_of(runs, *entries):
    (claim,) = claims.judge(runs, document(*entries))["claims"]
    return claim


def pair(make_run, ours, theirs, steps=25, **fields):
    seed = 2 * fields.get("training_seed", 0)
    dsm = make_run("dsm", "ddpm", steps, matrices(theirs, seed=seed + 1), **fields)
    return [make_run("semflow", "euler", steps, matrices(ours, seed=seed), **fields), dsm]


def test_an_ordering_far_beyond_its_margin_is_reproduced_at_proxy_scale(make_run):
    claim = verdict_of(pair(make_run, 0.9, 0.7), ABOVE)
    assert (claim["verdict"], claim["scale"]) == ("reproduced", "proxy")
    (part,) = claim["parts"]
    assert part["what"] == "SemFlow Euler-25 mIoU - DSM DDPM-25 mIoU"
    assert part["low"] < part["effect"] < part["high"]
    assert part["records"] == [
        "semflow-b6-segmentation-euler-25-b0-train0-sample0", "dsm-b6-segmentation-ddpm-25-b0-train0-sample0",
    ]  # fmt: skip
    assert claim["p"] == claim["p_holm"] <= 0.05


def test_an_ordering_the_other_way_round_is_not_reproduced(make_run):
    claim = verdict_of(pair(make_run, 0.7, 0.9), ABOVE)
    assert claim["verdict"] == "not reproduced"
    assert "outside what the claim says" in claim["why"]


def test_equals_are_inconclusive_where_the_margin_lies_in_the_interval_and_say_how_many_images_would_settle_it(make_run):
    claim = verdict_of(pair(make_run, 0.715, 0.7), ABOVE)
    assert claim["verdict"] == "inconclusive"
    assert re.fullmatch(r"About [\d,]+ images, which would (confirm|refute) it if the effect stays what it is.", claim["needs"])


def test_a_claim_holds_only_where_every_number_of_steps_does(make_run):
    runs = [*pair(make_run, 0.9, 0.7), *pair(make_run, 0.7, 0.9, steps=5)]
    claim = verdict_of(runs, ABOVE)
    assert claim["verdict"] == "not reproduced"
    assert [part["holds"] for part in claim["parts"]] == [False, True]  # what decides comes first
    assert claim["why"].startswith("1 of 2 parts lies outside")


def test_steps_below_those_named_are_left_out(make_run):
    runs = [*pair(make_run, 0.9, 0.7), *pair(make_run, 0.7, 0.9, steps=5)]
    assert verdict_of(runs, ABOVE.replace("at_least: 2", "at_least: 2, from_steps: 10"))["verdict"] == "reproduced"


def test_too_few_images_are_inconclusive_whatever_the_effect(make_run):
    runs = [make_run("semflow", "euler", 25, matrices(0.9, 10)), make_run("dsm", "ddpm", 25, matrices(0.5, 10, 1))]
    claim = verdict_of(runs, ABOVE)
    assert (claim["verdict"], claim["why"], claim["needs"]) == ("inconclusive", "Measured on 10 images.", "At least 20 images.")
    assert claim["p"] is None


def test_too_few_trainings_are_inconclusive(make_run):
    claim = verdict_of(pair(make_run, 0.9, 0.7), ABOVE.replace("images: 20", "images: 20, trainings: 3"))
    assert (claim["verdict"], claim["needs"]) == ("inconclusive", "At least 3 training seeds.")


def test_what_was_not_measured_is_not_run_and_named(make_run):
    claim = verdict_of([make_run("semflow", "euler", 25, matrices(0.9))], ABOVE)
    assert (claim["verdict"], claim["scale"]) == ("not run", None)
    assert claim["why"] == "There is no record of DSM DDPM segmentation."


def test_a_helped_dsm_can_confirm_a_claim_but_not_refute_it(make_run):
    def helped(runs):
        settings = {"mask_scale": 0.1, "preconditioning": True}
        return [
            run if run.record.method != "dsm" else run._replace(record=run.record.model_copy(update={"settings": settings}))
            for run in runs
        ]

    assert verdict_of(helped(pair(make_run, 0.9, 0.7)), ABOVE)["verdict"] == "reproduced"
    refuted = verdict_of(helped(pair(make_run, 0.7, 0.9)), ABOVE)
    assert refuted["verdict"] == "not comparable"
    assert "DSM is helped here" in refuted["why"]
    assert "mask_scale 1" in refuted["needs"]


def test_a_helped_dsm_says_nothing_of_dsm_itself(make_run):
    runs = pair(make_run, 0.9, 0.7)
    settings = {"mask_scale": 0.1, "preconditioning": True}
    runs[1] = runs[1]._replace(record=runs[1].record.model_copy(update={"settings": settings}))
    claim = verdict_of(runs, ABOVE.replace("dsm: against", "dsm: own"))
    assert (claim["verdict"], claim["p"]) == ("not comparable", None)
    assert verdict_of(pair(make_run, 0.9, 0.7), ABOVE.replace("dsm: against", "dsm: own"))["verdict"] == "reproduced"


def test_a_claim_of_the_papers_tier_is_not_judged_by_a_stand_in(make_run):
    claim = verdict_of(pair(make_run, 0.9, 0.7), ABOVE.replace("kind: ordering", "kind: ordering\n    tier: paper"))
    assert (claim["verdict"], claim["tier"]) == ("not comparable", "paper")


def test_several_trainings_must_agree_however_sure_the_images_are(make_run):
    """Better by 20, by 20, and worse by 20: the images of the mean effect are sure, the trainings are not."""
    three = ((0.9, 0.7), (0.9, 0.7), (0.7, 0.9))
    runs = [run for seed, (ours, theirs) in enumerate(three) for run in pair(make_run, ours, theirs, training_seed=seed)]
    claim = verdict_of(runs, ABOVE)
    assert claim["verdict"] == "inconclusive"
    (part,) = claim["parts"]
    assert part["low"] > 2
    assert part["seed_low"] < 0 < part["seed_high"]
    assert "trainings" in claim["needs"]
    assert part["n_trainings"] == 3


def test_three_trainings_that_agree_reproduce_a_claim(make_run):
    runs = [run for seed in range(3) for run in pair(make_run, 0.9 - seed / 100, 0.7, training_seed=seed)]
    claim = verdict_of(runs, ABOVE)
    assert claim["verdict"] == "reproduced"
    effects = [
        a.record.metrics["miou"].value - b.record.metrics["miou"].value for a, b in zip(runs[::2], runs[1::2], strict=True)
    ]
    reach = 4.303 * np.std(effects, ddof=1) / 3**0.5  # t of 2 degrees of freedom, from the table
    (part,) = claim["parts"]
    assert part["seed_low"] == pytest.approx(np.mean(effects) - reach, rel=1e-3)
    draws = [a.arrays.draws["miou"] - b.arrays.draws["miou"] for a, b in zip(runs[::2], runs[1::2], strict=True)]
    expected = np.std(np.mean(draws, axis=0), ddof=1) * (N / (N - 1)) ** 0.5  # each training paired with its own
    assert (part["high"] - part["low"]) / 2 == pytest.approx(2.023 * expected, rel=1e-3)


def test_trainings_that_do_not_agree_refute_nothing_however_sure_the_images_are(make_run):
    three = ((0.7, 0.9), (0.7, 0.9), (0.9, 0.7))
    runs = [run for seed, (ours, theirs) in enumerate(three) for run in pair(make_run, ours, theirs, training_seed=seed)]
    claim = verdict_of(runs, ABOVE)
    assert claim["parts"][0]["high"] < 2
    assert claim["verdict"] == "inconclusive"


def test_models_without_a_common_training_seed_are_not_compared(make_run):
    runs = [make_run("semflow", "euler", 25, matrices(0.9)), make_run("dsm", "ddpm", 25, matrices(0.7), training_seed=1)]
    claim = verdict_of(runs, ABOVE)
    assert claim["verdict"] == "not run"
    assert claim["why"] == "There is no record of SemFlow Euler segmentation and DSM DDPM segmentation under one training seed."


def test_a_control_goes_with_every_training(make_run):
    runs = [run for seed in range(3) for run in pair(make_run, 0.9, 0.7, training_seed=seed)]
    runs += [
        make_run("floor", "none", 0, matrices(0.5, seed=9)),
        make_run("floor", "none", 0, matrices(0.5, seed=9), training_seed=1),
    ]
    above_floor = ABOVE.replace("dsm segmentation ddpm-N miou", "floor segmentation none miou")
    claim = verdict_of(runs, above_floor.replace("euler-N", "euler-25"))
    assert (claim["verdict"], claim["parts"][0]["n_trainings"]) == ("reproduced", 3)


SHARE = ABOVE.replace("minus: dsm segmentation ddpm-N miou, at_least: 2", "over: dsm segmentation ddpm-N miou, at_least: 1")


def test_what_cannot_be_worked_out_is_inconclusive_and_leaves_other_claims_alone(make_run):
    nothing = np.array([[[0, 50], [50, 0]]] * N)
    runs = [make_run("semflow", "euler", 25, matrices(0.9)), make_run("dsm", "ddpm", 25, nothing)]
    share, above = claims.judge(runs, document(SHARE.replace("id: above", "id: share"), ABOVE))["claims"]
    assert share["verdict"] == "inconclusive"
    assert "cannot be worked out" in share["why"]
    assert above["verdict"] == "reproduced"
    json.dumps(share, allow_nan=False)


def test_no_spread_at_all_says_how_many_exceptions_there_may_be(make_determinism):
    run = make_determinism("semflow", "euler", 100.0)
    draws = {"pixel_agreement": np.full(400, 100.0)}
    run = run._replace(arrays=type(run.arrays)(**(vars(run.arrays) | {"draws": draws})))
    old = "segmentation euler-N miou, minus: dsm segmentation ddpm-N miou, at_least: 2"
    exact = ABOVE.replace(old, "determinism euler-25 pixel_agreement, at_least: 100")
    claim = verdict_of([run], exact.replace("images: 20", "images: 3"))
    assert claim["verdict"] == "reproduced"
    assert "no exception in 3, so that at 95 % at most 63% of all are one" in claim["why"]  # 1 - 0.05^(1/3)
    assert verdicts.p_value(claim["p_holm"]) == "exact"


def test_the_interval_that_refutes_is_simultaneous_over_a_claims_parts(make_run):
    """One part just outside at 95 %: alone it refutes, among ten it does not."""
    edge = pair(make_run, 0.705, 0.7, steps=1)
    others = [run for steps in range(2, 11) for run in pair(make_run, 0.95, 0.7, steps=steps)]
    (part,) = verdict_of(edge, ABOVE)["parts"]
    bound = part["high"] + 0.05 * (part["high"] - part["low"])
    claim = ABOVE.replace("at_least: 2", f"at_least: {bound:.3f}")
    assert verdict_of(edge, claim)["verdict"] == "not reproduced"
    assert verdict_of([*edge, *others], claim)["verdict"] == "inconclusive"


def images_in(needs: str) -> int:
    return int(re.search(r"About ([\d,]+) images", needs)[1].replace(",", ""))


def test_as_few_images_as_refute_one_part_settle_a_claim(make_run):
    near, far = pair(make_run, 0.72, 0.71, steps=1), pair(make_run, 0.70, 0.71, steps=2)
    alone = [images_in(verdict_of(runs, ABOVE)["needs"]) for runs in (near, far)]
    together = verdict_of([*near, *far], ABOVE)["needs"]
    assert "which would refute it" in together
    assert images_in(together) == pytest.approx(min(alone), rel=0.35)  # more for two parts than for one
    assert images_in(together) > min(alone)
    assert images_in(together) < max(alone)


def test_images_needed_are_images_where_blocks_of_them_are_drawn(make_run):
    def blocks(run):
        units = np.arange(N) // 4
        arrays = type(run.arrays)(**(vars(run.arrays) | {"units": units}))
        return run._replace(arrays=arrays)

    entries = document(ABOVE)
    ((part,), missing) = parts.tested(entries.claims[0].parts, list(map(blocks, pair(make_run, 0.72, 0.7))), entries)
    assert not missing
    (chance,) = part.chances
    assert part.needed(0.05)["images"] == pytest.approx(4 * chance.needed(part.value, part.region, 0.05))


def test_p_values_are_corrected_for_the_number_of_claims(make_run):
    runs = [*pair(make_run, 0.9, 0.7), make_run("floor", "none", 0, matrices(0.5, seed=2))]
    many = [ABOVE.replace("id: above", f"id: above-{i}") for i in range(3)]
    judged = claims.judge(runs, document(*many))["claims"]
    assert all(claim["p_holm"] == pytest.approx(min(1, 3 * claim["p"])) for claim in judged)


def test_a_suite_that_is_no_better_than_chance_judges_nothing(make_run):
    runs = [*pair(make_run, 0.55, 0.2), make_run("floor", "none", 0, matrices(0.55, seed=2))]
    claim = verdict_of(runs, ABOVE.replace("dsm: against", "assay: segmentation"))
    assert (claim["verdict"], claim["p"], claim["needs"]) == ("not comparable", None, "A better trained model.")
    assert claim["why"].startswith("This suite is too weak to tell: no better than another image's labels")
    assert "For what it is worth, it lies where the claim has it: SemFlow Euler-25 mIoU - DSM DDPM-25 mIoU" in claim["why"]


def test_at_the_papers_scale_a_weak_model_is_a_result(make_run):
    def papers(run):
        controls = run.record.n_parameters is None
        fields = {"dataset": "coco_stuff", "n_parameters": None if controls else 2_000_000}
        return run._replace(record=run.record.model_copy(update=fields))

    runs = [*pair(make_run, 0.55, 0.2), make_run("floor", "none", 0, matrices(0.55, seed=2))]
    claim = verdict_of([papers(run) for run in runs], ABOVE.replace("dsm: against", "assay: segmentation"))
    assert (claim["verdict"], claim["scale"]) == ("reproduced", "paper")


RATIO = """
  - id: one-step
    place: Table 2
    words: One step keeps 73 %.
    kind: shape
    least: {images: 20}
    reason: none
    parts: [{of: semflow segmentation euler-1 miou, over: semflow segmentation euler-best miou, at_least: 0.733}]
"""


def test_a_share_of_the_best_counts_the_best_anew_in_every_draw(make_run):
    shares = {1: 0.8, 5: 0.9, 25: 0.901}
    runs = [make_run("semflow", "euler", n, matrices(share, seed=n)) for n, share in shares.items()]
    claim = verdict_of(runs, RATIO)
    (part,) = claim["parts"]
    values = {run.record.steps: run.record.metrics["miou"].value for run in runs}
    assert part["effect"] == pytest.approx(values[1] / max(values.values()))
    draws = {run.record.steps: run.arrays.draws["miou"] for run in runs}
    expected = np.std(draws[1] / np.max([draws[n] for n in draws], axis=0), ddof=1) * (N / (N - 1)) ** 0.5
    assert (part["high"] - part["low"]) / 2 == pytest.approx(2.023 * expected, rel=1e-3)  # t of 39 degrees of freedom
    assert part["what"] == "SemFlow Euler-1 mIoU / SemFlow Euler (best N) mIoU"
    assert len(part["records"]) == 3


COST = """
  - id: cost
    place: Table 2
    words: Cheaper.
    kind: shape
    least: {images: 20}
    reason: none
    parts: [{of: semflow segmentation euler-N miou, cost_against: dsm segmentation ddpm-N miou, at_most: 0.5}]
"""


def test_cost_at_equal_miou_is_that_of_reaching_95_per_cent_of_the_others_best(make_run):
    runs = [make_run("semflow", "euler", n, matrices(share)) for n, share in ((1, 0.6), (2, 0.9), (25, 0.9))]
    runs += [make_run("dsm", "ddpm", n, matrices(share)) for n, share in ((2, 0.3), (25, 0.6), (100, 0.8))]
    (part,) = verdict_of(runs, COST)["parts"]
    assert part["effect"] == 2 / 100
    short = [make_run("semflow", "euler", 3, matrices(0.77)), *runs[3:]]  # 0.63 of mIoU, 94 % of 0.67
    assert verdict_of(short, COST)["parts"][0]["effect"] == 2 * 3 / 100
    few = [*runs[:1], *runs[3:]]
    assert verdict_of(few, COST)["parts"][0]["effect"] == 2 * 1 / 100  # never reached: twice its most


def test_sampling_seeds_are_averaged_and_models_of_other_perturbations_left_out(make_synthesis):
    runs = [make_synthesis(10.0), make_synthesis(14.0, sampling_seed=1), make_synthesis(99.0, b=0.0, drawn_with=0.0)]
    runs += [make_synthesis(50.0, drawn_with=12.0), make_synthesis(11.0, steps=5), make_synthesis(11.0, steps=1)]
    anchors = Anchors(k=6, s=50)

    def value(text):
        (effect,) = contrasts.measured(runs, Where.parse(text), anchors).values()
        return effect.values

    assert value("semflow synthesis euler-25 frechet") == {0: 12.0}
    (effect,) = contrasts.measured(runs, Where.parse("semflow synthesis euler-25 frechet"), anchors).values()
    assert effect.draws[0].mean() == pytest.approx(12, abs=0.1)
    assert value("semflow synthesis euler-25 frechet b=0") == {0: 99.0}
    assert value("semflow synthesis euler-25 frechet b'=2") == {0: 50.0}
    assert value("semflow synthesis euler-fewest frechet") == {0: 11.0}
    assert contrasts.measured(runs, Where.parse("semflow synthesis euler-25 frechet b=3"), anchors) == {}


def test_distance_is_the_kernel_below_2048_images(make_synthesis):
    (effect,) = contrasts.measured(
        [make_synthesis()], Where.parse("semflow synthesis euler-25 distance"), Anchors(k=6, s=50)
    ).values()
    assert effect.words == "SemFlow Euler-25 KD (EfficientNet-Lite0)"
    many = [make_synthesis(n_images=5000)]
    (effect,) = contrasts.measured(many, Where.parse("semflow synthesis euler-25 distance"), Anchors(k=6, s=50)).values()
    assert effect.words == "SemFlow Euler-25 FD (EfficientNet-Lite0)"


def test_anchors_are_kept_where_every_channel_lies_within_half_the_spacing(make_synthesis):
    run = make_synthesis()
    labels = np.array([[[7, 7], [0, 255]]], np.uint8)  # 7 = 0 * 36 + 1 * 6 + 1: painted (0, 50, 50)
    start = np.array([[[24, 26], [0, 9]], [[50, 50], [10, 9]], [[30, 50], [0, 9]]], np.uint8)  # second pixel: 26 from 0
    states = np.stack([start, start])[None]
    arrays = type(run.arrays)(**(vars(run.arrays) | {"labels": labels, "states": states}))
    kept = contrasts.anchors_kept(run._replace(arrays=arrays), Anchors(k=6, s=50))
    assert kept == pytest.approx([100 * 2 / 3])  # the ignored pixel is not counted


def test_a_path_along_two_sides_of_a_square_is_41_per_cent_longer_than_its_chord(make_synthesis):
    states = np.zeros((1, 3, 3, 1, 1), np.uint8)
    states[0, 1, 0], states[0, 2, 0], states[0, 2, 1] = 10, 10, 10
    run = make_synthesis()
    arrays = type(run.arrays)(**(vars(run.arrays) | {"states": states}))
    assert contrasts.path_excess(run._replace(arrays=arrays), Anchors(k=6, s=50)) == pytest.approx([100 * (2**0.5 - 1)])


@pytest.mark.parametrize(
    ("text", "message"),
    [("semflow euler-25 miou", "is not METHOD TASK SAMPLER METRIC"), ("semflow segmentation euler miou", "NAME-STEPS")],
)
def test_a_cell_that_is_not_understood_is_named(text, message):
    with pytest.raises(SemFlowError, match=message):
        Where.parse(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: ordering", "kind: guess", "claims.0.kind"),
        ("at_least: 2}", "at_lest: 2}", "claims.0.parts.0.at_lest"),
        (", at_least: 2}", "}", "needs at_least, at_most or both"),
        ("dsm: against", "assay: magic", "there is no assay 'magic'; name one of segmentation"),
        ("    reason: none\n", "", "claims.0.reason"),
        ("minus: dsm segmentation ddpm-N miou", "minus: a, over: b", "takes one of minus, over and cost_against"),
        ("at_least: 2}", "at_least: 2, at_most: 1}", "at_least 2 lies above at_most 1"),
        ("images: 20", "images: 0", "claims.0.least.images"),
    ],
)
def test_a_mistake_in_the_claims_file_is_one_sentence_naming_the_entry(old, new, message):
    with pytest.raises(SemFlowError, match="the claims are not in their form: ") as error:
        document(ABOVE.replace(old, new))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("euler-N miou", "euler-N mIoU", "there is no metric 'mIoU'; it is one of"),
        ("semflow segmentation", "semfow segmentation", "there is no method 'semfow'"),
        ("semflow segmentation", "semflow segmentaton", "there is no task 'segmentaton'"),
        ("euler-N miou", "eular-N miou", "there is no sampler 'eular'"),
        ("ddpm-N miou", "ddpm-N miou b=6", "b= is for semflow"),
        ("euler-N miou", "euler-N miou b'=2", "b'= is for synthesis"),
        ("euler-N miou", "euler-N fid", "fid is no metric of segmentation"),
        ("euler-N miou", "euler miou", "is not NAME-STEPS"),
        ("euler-N miou, minus:", "euler-best miou, cost_against:", "write NAME-N on both sides"),
    ],
)
def test_a_cell_that_nothing_measures_is_a_mistake_and_not_a_claim_that_was_not_run(old, new, message):
    with pytest.raises(SemFlowError, match="^claims.yaml: claim above: ") as error:
        document(ABOVE.replace(old, new))
    assert message in str(error.value)


def test_margins_and_quotes_fit_the_tables():
    points = "points: [{table: 2, tier: paper, place: P, least: {}, margins: {mIoU: 1}, reason: r}]"
    with pytest.raises(SemFlowError, match="points of table 2: margins must be of miou, each once"):
        load((HEAD + ABOVE).replace("points: []", points))
    quote = "[{id: f, place: P, words: w, reading: r, quoted: [{method: dsm, sampler: ddpm, steps: 7, miou: 1}]}]"
    with pytest.raises(SemFlowError, match="finding f: Table 2 has no dsm ddpm-7"):
        load((HEAD + ABOVE).replace("findings: []", f"findings: {quote}"))


def test_an_id_may_stand_once():
    with pytest.raises(SemFlowError, match="ids must differ; above is there twice"):
        document(ABOVE, ABOVE)


# The file itself.


def test_every_number_of_both_tables_is_a_claim(runs):
    numbers = [claim for claim in claims.judge(runs, load())["claims"] if claim["kind"] == "point"]
    assert len(numbers) == len(published.table2()) + sum(len(values) for values in published.table1().values()) == 22 + 14
    assert len({claim["id"] for claim in numbers}) == len(numbers)


def test_every_claim_is_judged_or_not_run(runs, make_synthesis, real, make_determinism):
    everything = [*runs, make_synthesis(), real, make_determinism("semflow", "euler", 100.0)]
    judged = claims.judge(everything, load())
    assert {claim["verdict"] for claim in judged["claims"]} <= set(VERDICTS)
    assert Counter(claim["verdict"] for claim in judged["claims"]) == Counter(judged["counts"])
    json.dumps(judged, allow_nan=False)


def test_a_stand_in_never_judges_a_value(runs):
    points = [claim for claim in claims.judge(runs, load())["claims"] if claim["kind"] == "point"]
    assert {claim["verdict"] for claim in points} == {"not comparable", "not run"}
    (semflow,) = [claim for claim in points if claim["id"] == "table2-semflow-euler-25-miou"]
    assert semflow["verdict"] == "not comparable"
    assert "COCO-Stuff-164k, 512 x 512" in semflow["needs"]


def number(runs, name):
    """The verdict on one number of a table."""
    return next(claim for claim in claims.judge(runs, load())["claims"] if claim["id"] == name)


def at_paper_scale(make_run, share, n=2500):
    run = make_run("semflow", "euler", 25, matrices(share, n), dataset="coco_stuff_164k")
    protocol = run.record.protocol.model_copy(update={"evaluation_size": (512, 512)})
    return run._replace(record=run.record.model_copy(update={"protocol": protocol, "n_parameters": 860_000_000}))


@pytest.mark.parametrize(
    ("miou", "verdict"), [(38.6, "reproduced"), (39.3, "reproduced"), (36.0, "not reproduced"), (42.0, "not reproduced")]
)
def test_at_the_papers_scale_a_number_is_reproduced_within_its_margin(make_run, miou, verdict):
    share = 2 * miou / (100 + miou)  # IoU = p / (2 - p) where either class is right in a share p
    claim = number([at_paper_scale(make_run, share)], "table2-semflow-euler-25-miou")
    assert (claim["verdict"], claim["scale"]) == (verdict, "paper")
    part = claim["parts"][0]
    assert part["effect"] == pytest.approx(miou, abs=0.2)
    assert (part["at_least"], part["at_most"]) == (37.6, 39.6)
    within = part["low90"] >= 37.6 and part["high90"] <= 39.6
    assert (claim["p"] <= 0.05) == within == (verdict == "reproduced")


@pytest.mark.parametrize(
    "fields", [{"n_parameters": 1_000_000}, {"dataset": "scenes"}, {"evaluation_size": (256, 256)}, {"dataset": "cityscapes"}]
)
def test_a_smaller_network_other_data_or_another_size_are_not_the_papers(make_run, fields):
    run = at_paper_scale(make_run, 0.5)
    if "evaluation_size" in fields:
        fields = {"protocol": run.record.protocol.model_copy(update=fields)}
    claim = number([run._replace(record=run.record.model_copy(update=fields))], "table2-semflow-euler-25-miou")
    assert claim["verdict"] == "not comparable"


def test_numbers_of_a_helped_dsm_are_not_comparable_even_at_the_papers_scale(make_run):
    run = at_paper_scale(make_run, 0.5)
    plain = {"method": "dsm", "sampler": "ddpm", "settings": {"mask_scale": 1.0, "preconditioning": False}}
    dsm = run._replace(record=run.record.model_copy(update=plain))
    assert number([dsm], "table2-dsm-ddpm-25-miou")["verdict"] == "not reproduced"
    helped = dsm._replace(record=dsm.record.model_copy(update={"settings": {"mask_scale": 0.15, "preconditioning": True}}))
    assert number([helped], "table2-dsm-ddpm-25-miou")["verdict"] == "not comparable"


def test_an_interval_that_merely_contains_the_published_value_proves_nothing(make_run):
    """On the margin's edge, and on too few images: neither reproduced nor refuted."""
    on_the_edge = at_paper_scale(make_run, 2 * 39.6 / 139.6)
    few = at_paper_scale(make_run, 2 * 38.6 / 138.6, n=300)
    for run in (on_the_edge, few):
        claim = number([run], "table2-semflow-euler-25-miou")
        assert claim["verdict"] == "inconclusive"
        assert claim["needs"]


def test_a_stand_ins_distance_is_no_fid_even_on_the_papers_data(make_synthesis):
    run = make_synthesis(dataset="celebamask_hq", n_parameters=860_000_000)
    protocol = run.record.protocol.model_copy(update={"evaluation_size": (512, 512)})
    run = run._replace(record=run.record.model_copy(update={"protocol": protocol, "n_images": 3000}))
    claim = number([run], "table1-semflow-euler-25-fid")
    assert claim["verdict"] == "not comparable"


def test_the_papers_inner_contradiction_is_found_in_its_own_table(runs):
    (finding,) = [entry for entry in claims.judge(runs, load())["findings"] if entry["id"] == "steps-of-dsm"]
    assert "DSM DDPM: 12.3 at 5 steps in the text; Table 2 has 5.3 there, 12.3 stands at 10" in finding["quoted"]
    assert "DSM DDIM: 9.5 at 5 steps in the text; Table 2 has 4.0 there, 9.5 stands at 10" in finding["quoted"]


def test_no_seed_variance_is_claimed_from_one_training(runs):
    judged = claims.judge(runs, load())
    assert any("no interval covers the chance of training" in note for note in judged["notes"])
    assert all(part["seed_low"] is None for claim in judged["claims"] for part in claim["parts"])


def test_the_text_has_every_claim_and_finding_and_the_badge_their_counts(make_run):
    judged = claims.judge(pair(make_run, 0.9, 0.7), document(ABOVE))
    text = verdicts.markdown(judged)
    assert "| SemFlow is above DSM. | reproduced at proxy scale |" in text
    assert "1 reproduced" in verdicts.badge(judged)
    whole = verdicts.markdown(claims.judge(pair(make_run, 0.9, 0.7), load()))
    for entry in (*load().claims, *load().findings):
        assert entry.words.replace("|", "\\|") in whole
