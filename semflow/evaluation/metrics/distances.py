"""Distances between two sets of feature vectors, in NumPy: Frechet (FID's) and kernel (KID's), and how sure they are; and which
vectors lie among the others, as precision and recall count them.

Values are for torch-fidelity to give (metrics/fidelity.py); these functions say how they vary with the images, and a
test holds them against it.
"""

from collections.abc import Iterable

import numpy as np
from scipy.spatial.distance import cdist


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


def frechet_draws(x: np.ndarray, y: np.ndarray, counts: Iterable[np.ndarray]) -> np.ndarray:
    """`frechet_distance` of resampled rows, one draw for each of `counts`: int (n,), how often row i of x and y is taken.

    Repeated rows lower the rank of a covariance, so the draws lie higher than the distance itself: use their spread.
    Where rows are fewer than features it is too wide, by four tenths in the case that the tests have: never too sure.
    """
    return np.array([frechet_distance(np.repeat(x, times, 0), np.repeat(y, times, 0)) for times in counts])


def kernel_draws(x: np.ndarray, y: np.ndarray, counts: Iterable[np.ndarray]) -> np.ndarray:
    """Unbiased squared maximum mean discrepancy of resampled rows under the kernel (x'y / d + 1)^3 (Binkowski et al., 2018); may
    be negative; NaN where `counts` take one row alone.

    The mean of the kernel over pairs of different x, plus of different y, less twice over x and y; a row is never paired with
    itself. `counts` as in `frechet_draws`.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    k_xx, k_yy, k_xy = ((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))

    def within(kernel: np.ndarray, times: np.ndarray) -> float:
        pairs = times.sum() ** 2 - (times**2).sum()
        return float((times @ kernel @ times - times**2 @ kernel.diagonal()) / pairs) if pairs else np.nan

    return np.array([within(k_xx, n) + within(k_yy, n) - 2 * float(n @ k_xy @ n / (n.sum() * n.sum())) for n in counts])


def among(x: np.ndarray, y: np.ndarray, neighbours: int) -> np.ndarray:
    """Which rows of x (n, d) lie no farther from some row of y (m, d) than its k-th nearest neighbour in y, k = `neighbours`
    < m, does; bool (n,).

    The share among them is precision where x was drawn and y is real, recall where it is the other way round (Kynkaanniemi et
    al., 2019).
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    radii = np.sort(cdist(y, y), 1)[:, neighbours]  # a row's own distance, 0, comes first
    return (cdist(x, y) <= radii).any(1)
