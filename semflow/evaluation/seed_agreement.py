"""The same images segmented under many seeds: how many pixels agree."""

from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from semflow.evaluation.common import BOOTSTRAP_SEED, Measurement
from semflow.evaluation.metrics.intervals import bootstrap_mean
from semflow.evaluation.records import Arrays, Record
from semflow.loading.pixels import to_unit_range
from semflow.seeds import generator


def measure(run: Measurement, out: Path) -> Record:
    """Segment some of the evaluation split under several seeds. The evaluation's sampling seed is not used."""
    settings = run.suite.evaluation.seed_agreement
    chosen, n_seeds = run.examples(settings.images), settings.seeds
    by_seed = []
    for seed in range(n_seeds):
        rows = []
        for number, positions in run.batches(chosen, f"segment under seed {seed} of {n_seeds}:"):
            source = generator(run.device, "sample", seed, number)
            with torch.inference_mode():
                images = to_unit_range(run.images[positions].to(run.device))
                rows.append(run.model.segment(images, run.evaluation.sampler, source).cpu())
        by_seed.append(torch.cat(rows))
    predictions = torch.stack(by_seed)  # (n_seeds, n, H, W)
    alike = [(a == b).float().mean((1, 2)) for a, b in combinations(predictions, 2)]
    agreement = 100 * torch.stack(alike).mean(0).numpy()
    units = np.unique(run.units[chosen], return_inverse=True)[1]
    name = "seed_agreement"
    arrays = Arrays(
        units, {name: bootstrap_mean(agreement, units, run.n_samples, BOOTSTRAP_SEED)},
        run.images[chosen].numpy(), run.labels[chosen].numpy(), predictions[0].numpy(), {name: agreement},
    )  # fmt: skip
    protocol = run.protocol({name: f"images, and pairs of {n_seeds} sampling seeds"}, {}, "95 % percentile bootstrap")
    return run.write(out, {name: float(agreement.mean())}, arrays, predictions, protocol, len(chosen))
