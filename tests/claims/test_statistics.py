"""Sizes, power and coverage by simulation; closed forms and scipy's own tests where there are any."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy import sparse, stats

from semflow.claims import effects
from semflow.claims.effects import Chance, Region
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
        found.append(Trial(effect, effects.of_images(world.miou(times @ a) - world.miou(times @ b), N_IMAGES)))
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
    needed = Chance(float(spread), N_IMAGES - 1, N_IMAGES).needed(truth, region, 0.05)
    assert needed > N_IMAGES
    assert stats.norm.cdf(distance / (spread * (N_IMAGES / needed) ** 0.5) - stats.norm.ppf(0.95)) == pytest.approx(0.8)


def test_of_means_the_test_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 1, 200)
    b = a + rng.normal(0.1, 0.5, 200)
    times = np.concatenate(list(resamples(np.arange(200), 20_000, 0)))
    chance = effects.of_images(times @ (b - a) / 200, 200)
    known = stats.ttest_rel(b, a, alternative="greater")
    assert chance.p(float((b - a).mean()), Region(0, None)) == pytest.approx(known.pvalue, rel=0.03)
    assert chance.interval(float((b - a).mean()), 0.95) == pytest.approx(stats.ttest_rel(b, a).confidence_interval(), rel=0.03)


def test_over_trainings_it_is_the_t_test_of_their_effects():
    of_seeds = [1.0, 2.5, 1.4]
    chance = effects.of_trainings(of_seeds)
    known = stats.ttest_1samp(of_seeds, 0.5, alternative="greater")
    assert chance.p(float(np.mean(of_seeds)), Region(0.5, None)) == pytest.approx(known.pvalue)
    assert chance.interval(float(np.mean(of_seeds)), 0.95) == pytest.approx(stats.ttest_1samp(of_seeds, 0).confidence_interval())


def test_one_training_says_nothing_of_its_chance():
    assert effects.of_trainings([3.0]) is None


def test_holm_of_a_worked_example():
    assert effects.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert effects.holm([0.5, 0.6]) == [1.0, 1.0]
    assert effects.holm([]) == []


def test_without_any_spread_an_effect_is_in_its_region_or_not():
    exact = Chance(0.0, 10, 11)
    assert exact.p(100, Region(100, None)) == 0
    assert exact.p(99.9, Region(100, None)) == 1
    assert exact.outside(99.9, Region(100, None), 0.95)
    assert not exact.outside(100, Region(100, None), 0.95)


def test_one_unit_settles_nothing():
    chance = effects.of_images(np.ones(100), 1)
    assert chance.p(50, Region(0, None)) == 0.5
    assert not chance.outside(-50, Region(0, None), 0.95)


def test_a_point_outside_on_either_side_is_outside():
    chance = Chance(1.0, 1000, 1001)
    assert chance.outside(5, Region(-1, 1), 0.95)
    assert chance.outside(-5, Region(-1, 1), 0.95)
    assert not chance.outside(2, Region(-1, 1), 0.95)


def test_an_effect_on_the_bound_is_never_settled():
    assert Chance(1.0, 10, 11).needed(2.0, Region(2.0, None), 0.05) == np.inf


def test_simulated_draws_are_those_of_the_bootstrap_that_evaluations_use(make_world):
    world = make_world(0)
    a, _ = world.pair(0.7, 0.6, N_IMAGES)
    times = np.concatenate(list(resamples(np.arange(N_IMAGES), 100, 0)))
    assert world.miou(times @ a) == pytest.approx(100 * bootstrap(sparse.csr_array(a), np.arange(N_IMAGES), mean_iou, 100, 0))
