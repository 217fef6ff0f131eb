"""Effects that are worked out from records made by hand: shares, costs, what is chosen, and what is read from kept states."""

import numpy as np
import pytest

from semflow.claims import effects
from semflow.claims.document import Anchors, Term
from semflow.errors import SemFlowError

N = 40  # images


RATIO = """
  - id: one-step
    place: Table 2
    words: One step keeps 73 %.
    kind: shape
    min_samples: {images: 20}
    reason: none
    conditions: [{of: semflow segmentation euler-1 miou, over: semflow segmentation euler-best miou, at_least: 0.733}]
"""


def test_a_share_of_the_best_counts_the_best_anew_in_every_draw(make_run, matrices, verdict_of):
    shares = {1: 0.8, 5: 0.9, 25: 0.901}
    runs = [make_run("semflow", "euler", n, matrices(share, seed=n)) for n, share in shares.items()]
    claim = verdict_of(runs, RATIO)
    (part,) = claim["conditions"]
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
    min_samples: {images: 20}
    reason: none
    conditions: [{of: semflow segmentation euler-N miou, cost_against: dsm segmentation ddpm-N miou, at_most: 0.5}]
"""


def test_cost_at_equal_miou_is_that_of_reaching_95_per_cent_of_the_others_best(make_run, matrices, verdict_of):
    runs = [make_run("semflow", "euler", n, matrices(share)) for n, share in ((1, 0.6), (2, 0.9), (25, 0.9))]
    runs += [make_run("dsm", "ddpm", n, matrices(share)) for n, share in ((2, 0.3), (25, 0.6), (100, 0.8))]
    (part,) = verdict_of(runs, COST)["conditions"]
    assert part["effect"] == 2 / 100
    short = [make_run("semflow", "euler", 3, matrices(0.77)), *runs[3:]]  # 0.63 of mIoU, 94 % of 0.67
    assert verdict_of(short, COST)["conditions"][0]["effect"] == 2 * 3 / 100
    few = [*runs[:1], *runs[3:]]
    assert verdict_of(few, COST)["conditions"][0]["effect"] == 2 * 1 / 100  # never reached: twice its most


def test_sampling_seeds_are_averaged_and_models_of_other_perturbations_left_out(make_synthesis):
    runs = [make_synthesis(10.0), make_synthesis(14.0, sampling_seed=1), make_synthesis(99.0, b=0.0, drawn_with=0.0)]
    runs += [make_synthesis(50.0, drawn_with=12.0), make_synthesis(11.0, steps=5), make_synthesis(11.0, steps=1)]
    anchors = Anchors(k=6, s=50)

    def value(text):
        (effect,) = effects.measured(runs, Term.parse(text), anchors).values()
        return effect.values

    assert value("semflow synthesis euler-25 frechet") == {0: 12.0}
    (effect,) = effects.measured(runs, Term.parse("semflow synthesis euler-25 frechet"), anchors).values()
    assert effect.draws[0].mean() == pytest.approx(12, abs=0.1)
    assert value("semflow synthesis euler-25 frechet b=0") == {0: 99.0}
    assert value("semflow synthesis euler-25 frechet b'=2") == {0: 50.0}
    assert value("semflow synthesis euler-fewest frechet") == {0: 11.0}
    assert effects.measured(runs, Term.parse("semflow synthesis euler-25 frechet b=3"), anchors) == {}


def test_distance_is_mmd2_below_2048_images(make_synthesis):
    term, anchors = Term.parse("semflow synthesis euler-25 distance"), Anchors(k=6, s=50)
    (effect,) = effects.measured([make_synthesis()], term, anchors).values()
    assert effect.words == "SemFlow Euler-25 MMD² (EfficientNet-Lite0)"
    many = [make_synthesis(n_images=5000)]
    (effect,) = effects.measured(many, term, anchors).values()
    assert effect.words == "SemFlow Euler-25 Fréchet distance (EfficientNet-Lite0)"


def test_anchors_are_kept_where_every_channel_lies_within_half_the_spacing(make_synthesis):
    run = make_synthesis()
    labels = np.array([[[7, 7], [0, 255]]], np.uint8)  # 7 = 0 * 36 + 1 * 6 + 1: drawn as (0, 50, 50)
    start = np.array([[[24, 26], [0, 9]], [[50, 50], [10, 9]], [[30, 50], [0, 9]]], np.uint8)  # second pixel: 26 from 0
    states = np.stack([start, start])[None]
    arrays = type(run.arrays)(**(vars(run.arrays) | {"labels": labels, "states": states}))
    kept = effects.label_recovery(run._replace(arrays=arrays), Anchors(k=6, s=50))
    assert kept == pytest.approx([100 * 2 / 3])  # the ignored pixel is not counted


def test_a_path_along_two_sides_of_a_square_is_41_per_cent_longer_than_its_chord(make_synthesis):
    states = np.zeros((1, 3, 3, 1, 1), np.uint8)
    states[0, 1, 0], states[0, 2, 0], states[0, 2, 1] = 10, 10, 10
    run = make_synthesis()
    arrays = type(run.arrays)(**(vars(run.arrays) | {"states": states}))
    assert effects.path_length_excess(run._replace(arrays=arrays), Anchors(k=6, s=50)) == pytest.approx([100 * (2**0.5 - 1)])


@pytest.mark.parametrize(
    ("text", "message"),
    [("semflow euler-25 miou", "is not METHOD TASK SAMPLER METRIC"), ("semflow segmentation euler miou", "NAME-STEPS")],
)
def test_a_cell_that_is_not_understood_is_named(text, message):
    with pytest.raises(SemFlowError, match=message):
        Term.parse(text)
