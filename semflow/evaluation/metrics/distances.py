"""Distances between two sets of feature vectors, in NumPy: Frechet (FID's) and kernel (KID's), and how sure they are.

Values are for torch-fidelity to give (metrics/fidelity.py); these functions say how they vary with the images, and a
test holds them against it.
"""

from collections.abc import Iterable

import numpy as np


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """norm(mu_x - mu_y)^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)) of the Gaussians fitted to x and y (Heusel et al., 2017).

    x, y: (n, d) and (m, d) features, n and m at least 2.  With A, B the centred features over sqrt(n - 1), sqrt(m - 1),
    C_x C_y has the eigenvalues of (A B')(A B')', so that the last trace is the sum of the singular values of A B' (n, m).
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    a, b = ((z - z.mean(0)) / np.sqrt(len(z) - 1) for z in (x, y))
    a, b = (np.asarray(np.linalg.qr(z, mode="r")) if len(z) > z.shape[1] else z for z in (a, b))  # d rows will do
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * cross)


def kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy under the kernel (x'y / d + 1)^3 (Binkowski et al., 2018); may be negative.

    x, y: (n, d) and (m, d) features, n and m at least 2.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return _weighted_mmd(*_kernels(x, y), np.ones(len(x)), np.ones(len(y)))


def frechet_draws(x: np.ndarray, y: np.ndarray, counts: Iterable[np.ndarray]) -> np.ndarray:
    """`frechet_distance` of resampled rows, one draw for each of `counts`: int (n,), how often row i of x and y is taken.

    Repeated rows lower the rank of a covariance, so the draws lie higher than the distance itself: use their spread.
    Where rows are fewer than features it is too wide, by four tenths in the case that the tests have: never too sure.
    """
    return np.array([frechet_distance(np.repeat(x, times, 0), np.repeat(y, times, 0)) for times in counts])


def kernel_draws(x: np.ndarray, y: np.ndarray, counts: Iterable[np.ndarray]) -> np.ndarray:
    """`kernel_distance` of resampled rows, a row never paired with itself; `counts` as in `frechet_draws`."""
    kernels = _kernels(np.asarray(x, np.float64), np.asarray(y, np.float64))
    return np.array([_weighted_mmd(*kernels, times, times) for times in counts])


def _kernels(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / x.shape[1] + 1) ** 3

    return kernel(x, x), kernel(y, y), kernel(x, y)


def _weighted_mmd(k_xx: np.ndarray, k_yy: np.ndarray, k_xy: np.ndarray, w: np.ndarray, v: np.ndarray) -> float:
    """Mean of k over pairs of different x, plus of different y, less twice over x and y; rows counted w and v times."""

    def within(kernel: np.ndarray, weights: np.ndarray) -> float:
        pairs = weights.sum() ** 2 - (weights**2).sum()
        return float((weights @ kernel @ weights - weights**2 @ kernel.diagonal()) / pairs)

    return within(k_xx, w) + within(k_yy, v) - 2 * float(w @ k_xy @ v / (w.sum() * v.sum()))
