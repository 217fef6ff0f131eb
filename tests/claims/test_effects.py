"""Effects that are worked out from records made by hand: shares, costs, what is chosen, and what is read from kept states."""

from dataclasses import replace

import numpy as np
import pytest
from record_fixtures import changed
from scipy import stats

from semflow.claims import effects
from semflow.claims.collect import estimate, with_interval
from semflow.claims.document import Term
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

    def value(text):
        (effect,) = effects.measured(runs, Term.parse(text)).values()
        return effect.values

    assert value("semflow synthesis euler-25 frechet") == {0: 12.0}
    (effect,) = effects.measured(runs, Term.parse("semflow synthesis euler-25 frechet")).values()
    assert effect.draws[0].mean() == pytest.approx(12, abs=0.1)
    assert value("semflow synthesis euler-25 frechet b=0") == {0: 99.0}
    assert value("semflow synthesis euler-25 frechet b'=2") == {0: 50.0}
    assert value("semflow synthesis euler-fewest frechet") == {0: 11.0}
    assert effects.measured(runs, Term.parse("semflow synthesis euler-25 frechet b=3")) == {}


def test_distance_is_mmd2_below_2048_images(make_synthesis):
    term = Term.parse("semflow synthesis euler-25 distance")
    (effect,) = effects.measured([make_synthesis()], term).values()
    assert effect.words == "SemFlow Euler-25 MMD² (EfficientNet-Lite0)"
    many = [make_synthesis(n_images=5000)]
    (effect,) = effects.measured(many, term).values()
    assert effect.words == "SemFlow Euler-25 Fréchet distance (EfficientNet-Lite0)"


def test_an_interval_of_a_cost_does_not_go_below_nothing(make_run, matrices, verdict_of):
    """One training in three needs many more steps than the others."""
    runs = []
    for seed, late in enumerate((0.9, 0.9, 0.6)):
        of = {"training_seed": seed}
        runs += [make_run("semflow", "euler", n, matrices(s), **of) for n, s in ((1, late), (100, 0.9))]
        runs += [make_run("dsm", "ddpm", n, matrices(s), **of) for n, s in ((5, 0.1), (100, 0.9))]
    (part,) = verdict_of(runs, COST)["conditions"]
    assert part["effect"] == pytest.approx((0.01 + 0.01 + 1) / 3)
    assert part["low"] == part["low90"] == 0.0
    assert part["high"] > 1


def test_cost_in_seconds_is_that_of_the_records_own_speeds(make_run, matrices, verdict_of):
    def at(run, images_per_s):
        provenance = run.record.provenance.model_copy(update={"images_per_s": images_per_s})
        return changed(run, provenance=provenance)

    ours = [at(make_run("semflow", "euler", n, matrices(0.9)), 10 / n) for n in (1, 25)]
    theirs = [at(make_run("dsm", "ddpm", n, matrices(share)), 5 / n) for n, share in ((2, 0.3), (100, 0.9))]
    (part,) = verdict_of([*ours, *theirs], COST.replace("at_most", "cost: seconds, at_most"))["conditions"]
    assert part["effect"] == pytest.approx(0.1 / 20)  # one step at 10 images a second, 100 steps at 1 / 20
    assert part["what"].startswith("SemFlow Euler seconds / DSM DDPM seconds")


def test_a_variant_is_no_part_of_a_term(make_synthesis):
    runs = [make_synthesis(10.0), make_synthesis(7.0, variant="double")]
    (effect,) = effects.measured(runs, Term.parse("semflow synthesis euler-25 frechet")).values()
    assert effect.values == {0: 10.0}


def test_a_metric_without_draws_counts_as_not_measured(make_synthesis):
    """It has a value, but nothing says how sure that is."""
    run = make_synthesis()
    draws = {name: drawn for name, drawn in run.arrays.draws.items() if not name.startswith("frechet")}
    bare = run._replace(arrays=replace(run.arrays, draws=draws))
    assert effects.measured([bare], Term.parse("semflow synthesis euler-25 frechet")) == {}
    assert effects.measured([bare], Term.parse("semflow synthesis euler-25 mmd2"))
    assert np.isnan(estimate([bare], "frechet")[1:3]).all()
    assert with_interval(*estimate([bare], "frechet")[:3], 1) == "10.0"


def test_an_estimate_over_trainings_has_the_t_interval_of_both_variances(make_synthesis):
    """Three trainings on three images: both t distributions have two degrees of freedom, and so has what they come to."""
    values = (10.0, 12.0, 15.0)
    runs = [make_synthesis(value, training_seed=seed) for seed, value in enumerate(values)]
    still = [run._replace(arrays=replace(run.arrays, draws={"frechet_efficientnet_lite0": np.zeros(400)})) for run in runs]
    found = estimate(still, "frechet")
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 2, np.mean(values), stats.sem(values)))
    draws = np.mean([run.arrays.draws["frechet_efficientnet_lite0"] for run in runs], axis=0)
    images = np.std(draws, ddof=1) * (3 / 2) ** 0.5  # three images
    found, total = estimate(runs, "frechet"), images**2 + stats.sem(values) ** 2
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 2, np.mean(values), total**0.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [("semflow euler-25 miou", "is not METHOD TASK SAMPLER METRIC"), ("semflow segmentation euler miou", "NAME-STEPS")],
)
def test_a_cell_that_is_not_understood_is_named(text, message):
    with pytest.raises(SemFlowError, match=message):
        Term.parse(text)


def test_costs_are_paired_over_the_seeds_that_every_number_of_steps_has(make_run, document):
    runs = [
        make_run(method, sampler, steps, [[[n, 4 - n], [0, 4]]] * 30, training_seed=seed)
        for method, sampler, by_steps in (("semflow", "euler", {1: 4, 25: 4}), ("dsm", "ddpm", {2: 1, 25: 3}))
        for steps, n in by_steps.items()
        for seed in ((0, 1) if steps == 25 else (0,))
    ]
    claim = (
        "{id: c, place: p, words: w, kind: shape, reason: r, conditions: [{of: semflow segmentation euler-N miou, "
        "cost_against: dsm segmentation ddpm-N miou, at_most: 0.5}]}"
    )
    (known,), missing = effects.tested(document(f"  - {claim}").claims[0].conditions, runs)
    assert (known.effect.values, missing) == ({0: 1 / 25}, [])
