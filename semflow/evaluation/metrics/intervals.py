"""Bootstrap intervals for scores of a whole data set."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import sparse
from scipy.special import ndtri


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


def resamples(units: np.ndarray, n_samples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each unit is drawn in each of `n_samples` resamples with replacement; int (up to 50, n_units) at a time.

    The same seed draws the same units, so that two methods can be paired.
    """
    n_units = int(units.max()) + 1
    rng = np.random.default_rng(seed)
    for start in range(0, n_samples, 50):  # 50 dense confusion matrices at a time: 12 MB with COCO-Stuff's 171 classes
        yield rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=min(50, n_samples - start))


def bootstrap(
    confusions: sparse.csr_array, units: np.ndarray, score: Callable[[np.ndarray], np.ndarray], n_samples: int, seed: int
) -> np.ndarray:
    """`n_samples` draws of score(sum of confusion matrices), units drawn with replacement; float (n_samples,).

    confusions: sparse (n_images, n * n), one flattened matrix an image.  units: (n_images,) from `blocks`.
    score: maps (B, n, n) to (B,).
    """
    n = round(confusions.shape[1] ** 0.5)
    per_unit = _members(units) @ confusions.astype(np.float64)
    draws = [score(np.asarray(times @ per_unit).reshape(-1, n, n)) for times in resamples(units, n_samples, seed)]
    return np.concatenate(draws)


def bootstrap_mean(values: np.ndarray, units: np.ndarray, n_samples: int, seed: int) -> np.ndarray:
    """`n_samples` draws of the mean of one value an image, units drawn with replacement; (n_images,) to (n_samples,)."""
    members = _members(units)
    sums, counts = members @ np.asarray(values, np.float64), members @ np.ones(len(units))
    return np.concatenate([times @ sums / (times @ counts) for times in resamples(units, n_samples, seed)])


def interval(value: float, draws: np.ndarray, resampled: bool, level: float = 0.95) -> tuple[float, float]:
    """The `level` interval of a value from its bootstrap draws: their quantiles, or, where they are not centred on it,
    the value and as many of their standard deviations to either side as a normal distribution has.
    """
    if resampled:
        low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)
    reach = float(ndtri((1 + level) / 2)) * float(np.std(draws, ddof=1))
    return value - reach, value + reach


def _members(units: np.ndarray) -> sparse.csr_array:
    """(n_units, n_images), 1 where an image is of a unit."""
    return sparse.csr_array((np.ones(len(units)), (units, np.arange(len(units)))), shape=(int(units.max()) + 1, len(units)))
