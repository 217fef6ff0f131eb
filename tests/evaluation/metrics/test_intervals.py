"""Bootstrap intervals, against closed forms, SciPy and a simulation of coverage."""

import numpy as np
import pytest
from scipy import sparse, stats

from semflow.evaluation.metrics.intervals import blocks, bootstrap, bootstrap_mean, interval
from semflow.evaluation.metrics.scores import mean_iou, pixel_accuracy

PIXELS = 100


def two_class_images(hits: np.ndarray) -> sparse.csr_array:
    """One image an entry, `hits` of its 100 pixels right: pixel accuracy is the mean of `hits`, in percent."""
    zero = np.zeros_like(hits)
    return sparse.csr_array(np.stack([hits, PIXELS - hits, zero, zero], 1))


def binomial(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.binomial(PIXELS, rng.beta(6, 4, n))


def quantiles(draws):
    return interval(0, draws, resampled=True)


def test_images_without_sequences_are_their_own_units():
    assert blocks(None, 4, 30).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("groups", "length", "units"),
    [
        ("aaaaa", 2, [0, 0, 1, 1, 2]),
        ("aaabb", 2, [0, 0, 1, 2, 2]),
        ("ababa", 2, [0, 1, 0, 1, 2]),
        ("aabbaa", 3, [0, 0, 1, 1, 0, 2]),
        ("abc", 5, [0, 1, 2]),
        ("aaa", 1, [0, 1, 2]),
    ],
)
def test_consecutive_images_of_a_sequence_share_a_unit(groups, length, units):
    assert blocks(tuple(groups), len(groups), length).tolist() == units


def test_spread_of_a_mean_is_its_standard_error():
    hits = binomial(80)
    draws = bootstrap(two_class_images(hits), np.arange(80), pixel_accuracy, 4000, 0)
    assert draws.shape == (4000,)
    assert draws.mean() == pytest.approx(hits.mean() / PIXELS, abs=0.002)
    assert draws.std() == pytest.approx(hits.std() / PIXELS / 80**0.5, rel=0.05)


def test_interval_of_a_mean_equals_scipy_s():
    hits = binomial(60)
    low, high = quantiles(bootstrap(two_class_images(hits), np.arange(60), pixel_accuracy, 5000, 0))
    theirs = stats.bootstrap((hits / PIXELS,), np.mean, n_resamples=5000, method="percentile", random_state=1).confidence_interval
    assert (low, high) == pytest.approx(tuple(theirs), abs=0.1 * (theirs.high - theirs.low))


def test_interval_of_mean_iou_equals_scipy_s():
    matrices = np.random.default_rng(0).integers(0, 20, (30, 3, 3)) + 30 * np.eye(3, dtype=int)

    def over_chosen(index, axis):
        return mean_iou(matrices[index].sum(-3))

    ours = quantiles(bootstrap(sparse.csr_array(matrices.reshape(30, 9)), np.arange(30), mean_iou, 4000, 0))
    theirs = stats.bootstrap(
        (np.arange(30),), over_chosen, n_resamples=4000, method="percentile", random_state=1
    ).confidence_interval
    assert ours == pytest.approx(tuple(theirs), abs=0.1 * (theirs.high - theirs.low))


def test_draws_of_one_unit_do_not_vary():
    draws = bootstrap(two_class_images(binomial(10)), np.zeros(10, int), pixel_accuracy, 100, 0)
    assert np.ptp(draws) == 0


def test_copies_of_an_image_in_one_unit_add_no_certainty():
    hits = binomial(20)
    once = bootstrap(two_class_images(hits), np.arange(20), pixel_accuracy, 200, 0)
    copied = bootstrap(two_class_images(hits.repeat(5)), np.arange(20).repeat(5), pixel_accuracy, 200, 0)
    np.testing.assert_allclose(copied, once, rtol=1e-12)


def test_the_same_seed_draws_the_same():
    images = two_class_images(binomial(20))
    first, again, other = (bootstrap(images, np.arange(20), pixel_accuracy, 120, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_two_methods_are_drawn_on_the_same_images():
    hits = binomial(40)
    better = bootstrap(two_class_images(hits), np.arange(40), pixel_accuracy, 120, 0)
    worse = bootstrap(two_class_images(hits - 5), np.arange(40), pixel_accuracy, 120, 0)
    np.testing.assert_allclose(better - worse, 0.05, rtol=1e-9)


def test_fewer_draws_are_the_first_of_more():
    images = two_class_images(binomial(20))
    few, more = (bootstrap(images, np.arange(20), pixel_accuracy, n, 0) for n in (100, 150))
    assert np.array_equal(more[:100], few)


def test_an_interval_of_quantiles_is_the_central_share():
    assert quantiles(np.arange(1001.0)) == pytest.approx((25, 975))
    assert interval(0, np.arange(1001.0), True, 0.5) == pytest.approx((250, 750))


def test_an_interval_leaves_out_draws_without_a_score():
    assert quantiles(np.append(np.arange(1001.0), np.nan)) == pytest.approx((25, 975))


def test_an_interval_of_spread_lies_around_the_value_wherever_the_draws_lie():
    draws = np.array([100.0, 104.0])  # standard deviation 2 sqrt(2)
    assert interval(7.0, draws, False) == pytest.approx((7 - 1.959964 * 8**0.5, 7 + 1.959964 * 8**0.5))


def test_draws_of_a_mean_are_those_of_the_share_that_it_is():
    hits = binomial(20)
    units = np.array([0, 0, 1, 1, 1, *range(2, 17)])
    as_share = bootstrap(two_class_images(hits), units, pixel_accuracy, 120, 0)
    np.testing.assert_allclose(bootstrap_mean(hits / PIXELS, units, 120, 0), as_share, rtol=1e-12)


def test_nominal_95_percent_intervals_cover_the_truth_about_as_often():
    truth, covered = 0.6, 0
    for repeat in range(400):
        images = two_class_images(binomial(60, seed=repeat))
        low, high = quantiles(bootstrap(images, np.arange(60), pixel_accuracy, 300, repeat))
        covered += low <= truth <= high
    assert 0.92 <= covered / 400 <= 0.98
