"""Every measured cell of every task, as a long data frame."""

import pandas as pd

from semflow.claims.collect import Run, by_dataset, estimate

CELL = ("method", "task", "sampler", "steps", "amplitude", "sampling_amplitude")
COLUMNS = [*CELL, "evaluations", "metric", "value", "low", "high", "n_images", "n_seeds"]


def ablations(runs: list[Run]) -> pd.DataFrame:
    """One row a (cell, metric): the mean over the cell's seeds and its 95 % interval. amplitudes in 0..255 units.

    Where runs are of several data sets, `dataset` stands before all other columns.
    """
    frames = {name: _of_one(of) for name, of in by_dataset(runs).items()}
    if len(frames) == 1:
        return frames.popitem()[1]
    return pd.concat([frame.assign(dataset=name)[["dataset", *COLUMNS]] for name, frame in frames.items()], ignore_index=True)


def _of_one(runs: list[Run]) -> pd.DataFrame:
    groups: dict[tuple, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.record.training_seed, run.record.sampling_seed)):
        groups.setdefault(tuple(getattr(run.record, name) for name in CELL), []).append(run)
    rows = []
    for cell, group in sorted(groups.items()):
        evaluations = sum(run.record.evaluations for run in group) / len(group)
        for metric in group[0].record.metrics:
            value, low, high, n_seeds = estimate(group, metric)
            rows.append([*cell, evaluations, metric, value, low, high, group[0].record.n_images, n_seeds])
    return pd.DataFrame(rows, columns=COLUMNS)
