"""Bootstrap intervals for scores of a whole data set."""

from collections.abc import Callable

import numpy as np
from scipy import sparse


def blocks(groups: tuple[str, ...] | None, n_images: int, length: int) -> np.ndarray:
    """The resampling unit of every image, int (n_images,).

    Where `groups` names sequences, up to `length` consecutive images of one sequence are one unit, since neighbouring
    frames are not independent; without groups every image is its own.
    """
    if groups is None:
        return np.arange(n_images)
    units, seen = np.empty(n_images, int), dict[str, int]()
    names: dict[tuple[str, int], int] = {}
    for image, group in enumerate(groups):
        place = seen[group] = seen.get(group, -1) + 1
        units[image] = names.setdefault((group, place // length), len(names))
    return units


def bootstrap(
    confusions: sparse.csr_array, units: np.ndarray, score: Callable[[np.ndarray], np.ndarray], n_samples: int, seed: int
) -> np.ndarray:
    """`n_samples` draws of score(sum of confusion matrices), units drawn with replacement; float (n_samples,).

    confusions: sparse (n_images, n * n), one flattened matrix an image.  units: (n_images,) from `blocks`.
    score: maps (B, n, n) to (B,).  The same seed draws the same units, so that two methods can be paired.
    """
    n = round(confusions.shape[1] ** 0.5)
    n_units = int(units.max()) + 1
    member = sparse.csr_array((np.ones(len(units)), (units, np.arange(len(units)))), shape=(n_units, len(units)))
    per_unit = member @ confusions.astype(np.float64)
    rng = np.random.default_rng(seed)
    draws = []
    for start in range(0, n_samples, 50):  # 50 dense matrices at a time: 12 MB with COCO-Stuff's 171 classes
        times = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=min(50, n_samples - start))
        draws.append(score(np.asarray(times @ per_unit).reshape(-1, n, n)))
    return np.concatenate(draws)


def percentile_interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The central `level` of bootstrap draws."""
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
