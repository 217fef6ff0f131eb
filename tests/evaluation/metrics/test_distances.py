"""Distances between feature sets against closed forms, brute force and torch-fidelity."""

import numpy as np
import pytest
import torch
from scipy import linalg
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from semflow.evaluation.metrics.distances import among, frechet_distance, frechet_draws, kernel_draws
from semflow.evaluation.metrics.fidelity import NEIGHBOURS, compare_sets


def whitened(rng, n: int, d: int) -> np.ndarray:
    """n rows whose sample mean is exactly 0 and whose sample covariance is exactly the identity."""
    x = rng.normal(size=(n, d))
    x -= x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T


def kernel_distance(x, y) -> float:
    """Of every row once."""
    (value,) = kernel_draws(x, y, [np.ones(len(x))])
    return value


def two_sets(n=40, m=40, d=5, shift=0.5):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), shift + 1.5 * rng.normal(size=(m, d))


def test_frechet_distance_of_two_gaussians_is_the_closed_form():
    # Equal directions: norm(mu)^2 + sum (sigma_x - sigma_y)^2.
    rng = np.random.default_rng(1)
    sigma, mu = np.array([0.5, 1.0, 3.0]), np.array([1.0, -2.0, 0.5])
    x, y = whitened(rng, 50, 3), whitened(rng, 70, 3) * sigma + mu
    assert frechet_distance(x, y) == pytest.approx((mu**2).sum() + ((1 - sigma) ** 2).sum(), rel=1e-10)


@pytest.mark.parametrize("shape", [(40, 30, 6), (12, 9, 30)], ids=["more images than features", "fewer"])
def test_frechet_distance_is_the_matrix_square_roots(shape):
    n, m, d = shape
    x, y = two_sets(n, m, d)
    c_x, c_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(linalg.sqrtm(c_x) @ c_y @ linalg.sqrtm(c_x)).real
    by_hand = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c_x + c_y - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(by_hand, rel=1e-5)


def test_a_set_has_no_frechet_distance_to_itself():
    x, _ = two_sets()
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("d", [5, 60])
def test_both_are_torch_fidelitys(d):
    x, y = two_sets(d=d)
    first, second = torch.from_numpy(x), torch.from_numpy(y)
    fid = fid_statistics_to_metric(fid_features_to_statistics(first), fid_features_to_statistics(second), False)
    kid = kid_features_to_metric(first, second, kid_subsets=1, kid_subset_size=40, verbose=False)
    assert frechet_distance(x, y) == pytest.approx(fid["frechet_inception_distance"], rel=1e-5)
    assert kernel_distance(x, y) == pytest.approx(kid["kernel_inception_distance_mean"], rel=1e-10)


@pytest.mark.parametrize("sizes", [(40, 40), (31, 57)])
@pytest.mark.parametrize("shift", [0.0, 0.5, 50.0])
def test_precision_and_recall_are_torch_fidelitys(sizes, shift):
    x, y = (z.astype(np.float32) for z in two_sets(*sizes, shift=shift))
    theirs = prc_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), prc_neighborhood=NEIGHBOURS, verbose=False)
    precision, recall = among(x, y, NEIGHBOURS), among(y, x, NEIGHBOURS)
    assert (precision.shape, recall.shape, precision.dtype) == ((sizes[0],), (sizes[1],), bool)
    assert precision.mean() == pytest.approx(theirs["precision"], abs=1e-6)
    assert recall.mean() == pytest.approx(theirs["recall"], abs=1e-6)
    scores = compare_sets(x, y, 30)
    assert (scores.precision, scores.recall) == pytest.approx((precision.mean(), recall.mean()), abs=1e-6)


def test_a_row_is_among_others_where_it_is_no_farther_than_a_neighbours_kth_neighbour():
    x, y = two_sets(12, 9, 2)

    def distance(a, b):
        return ((a - b) ** 2).sum() ** 0.5

    for k in (1, 3, 8):
        radii = [sorted(distance(a, b) for j, b in enumerate(y) if j != i)[k - 1] for i, a in enumerate(y)]
        wanted = [any(distance(row, a) <= radius for a, radius in zip(y, radii, strict=True)) for row in x]
        assert among(x, y, k).tolist() == wanted


def test_on_a_line_reach_is_what_the_radii_say():
    y = np.array([[0.0], [1.0], [10.0]])  # radii of the first neighbour: 1, 1, 9
    x = np.array([[-1.0], [-1.1], [2.0], [18.9], [19.1]])
    assert among(x, y, 1).tolist() == [True, False, True, True, False]


def test_pictures_like_real_ones_have_both_a_heap_of_one_picture_no_recall_and_noise_no_precision():
    rng = np.random.default_rng(5)
    real, alike, noise = rng.normal(size=(200, 4)), rng.normal(size=(200, 4)), 20 * rng.normal(size=(200, 4))
    heap = np.zeros((200, 4)) + 1e-6 * rng.normal(size=(200, 4))
    found = {name: compare_sets(drawn, real, 200) for name, drawn in (("alike", alike), ("noise", noise), ("heap", heap))}
    assert min(found["alike"].precision, found["alike"].recall) > 0.8
    assert found["noise"].precision < 0.05
    assert found["heap"].precision > 0.9
    assert found["heap"].recall < 0.05


def test_kernel_distance_is_the_mean_over_pairs():
    x, y = two_sets(4, 4, 2)

    def k(a, b):
        return (a @ b / 2 + 1) ** 3

    within = [np.mean([k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]) for z in (x, y)]
    between = np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(sum(within) - 2 * between)


def test_kernel_distance_of_equal_distributions_is_unbiased():
    rng = np.random.default_rng(2)
    values = [kernel_distance(rng.normal(size=(20, 8)), rng.normal(size=(20, 8))) for _ in range(400)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 3 * np.std(values) / 20


def counts(n: int, n_samples: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(n_samples)]


@pytest.mark.parametrize(("distance", "draws"), [(frechet_distance, frechet_draws), (kernel_distance, kernel_draws)])
def test_draws_spread_as_new_samples_do(distance, draws):
    rng = np.random.default_rng(3)

    def sample():
        return rng.normal(size=(60, 4)), 0.8 + rng.normal(size=(60, 4))

    new = np.std([distance(*sample()) for _ in range(200)])
    resampled = np.median([np.std(draws(*sample(), counts(60, 60, seed))) for seed in range(15)])
    assert resampled == pytest.approx(new, rel=0.35)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("distance", "draws", "least", "most"),
    [(frechet_distance, frechet_draws, 1.0, 1.7), (kernel_distance, kernel_draws, 0.65, 1.35)],
)
def test_draws_spread_no_less_than_new_samples_do_where_images_are_fewer_than_features(distance, draws, least, most):
    """As of small suites: 128 images, 1,280 positive, correlated features, few of them strong."""
    rng = np.random.default_rng(4)
    scale, mix = np.arange(1, 1281) ** -0.5, rng.normal(size=(40, 1280))

    def sample(shift):
        return np.maximum(rng.normal(size=(128, 40)) @ mix / 6 * scale + shift, 0)

    new = np.std([distance(sample(0.0), sample(0.1)) for _ in range(60)])
    resampled = np.median([np.std(draws(sample(0.0), sample(0.1), counts(128, 60, seed))) for seed in range(7)])
    assert least < resampled / new < most


@pytest.mark.parametrize(("distance", "draws"), [(frechet_distance, frechet_draws), (kernel_distance, kernel_draws)])
def test_every_row_once_is_the_distance_itself(distance, draws):
    x, y = two_sets()
    assert draws(x, y, [np.ones(40, int)]) == pytest.approx([distance(x, y)])


def test_a_row_taken_twice_is_never_paired_with_itself():
    x, y = two_sets(4, 4, 2)
    times = np.array([2, 1, 0, 1])

    def k(a, b):
        return (a @ b / 2 + 1) ** 3

    rows = np.repeat(np.arange(4), times)
    within = [np.mean([k(z[i], z[j]) for i in rows for j in rows if i != j]) for z in (x, y)]
    between = np.mean([k(x[i], y[j]) for i in rows for j in rows])
    assert kernel_draws(x, y, [times]) == pytest.approx([sum(within) - 2 * between])


def test_too_few_pictures_for_neighbourhoods_have_distances_and_no_precision_or_recall():
    x, y = np.random.default_rng(0).normal(size=(2, NEIGHBOURS, 8)).astype(np.float32)
    scores = compare_sets(x, y, NEIGHBOURS)
    assert (scores.precision, scores.recall) == (None, None)
    assert np.isfinite([scores.frechet, scores.mmd2]).all()
