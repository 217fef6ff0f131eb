"""How much of its layout a drawn picture shows: read by segmenters that are no competitors, trained on real images alone."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from baselines import METHODS
from semflow.evaluation.common import Measurement
from semflow.evaluation.controls import OUTPUTS
from semflow.evaluation.metrics.segmentation import confusions, sparse_rows
from semflow.evaluation.records import Arrays, Record
from semflow.evaluation.session import Judge
from semflow.evaluation.synthesis import pictures_of
from semflow.loading.pixels import to_unit_range
from semflow.seeds import generator

SCORES = ("consistency_miou", "consistency_miou_second")  # by the first judge and by the second
ROLES = ("judge", "second judge")


def measure(run: Measurement, out: Path) -> Record:
    """Draw a picture from every label map of the suite's evaluation split and let the judges segment it."""
    everything = np.arange(len(run.dataset))
    if run.is_control:
        drawn = OUTPUTS[run.evaluation.method](run)
    else:
        drawn = pictures_of(run, everything, "synthesize", "sample", run.evaluation.sampling_seed)
    evaluations, wall_s, judges = run.evaluations, run.wall_s, run.session.judges
    read = [_read(run, judge, drawn) for judge in judges]
    run.evaluations, run.wall_s = evaluations, wall_s  # of drawing each picture
    matrices = [sparse_rows(confusions(labels, run.labels, len(run.dataset.names))) for labels in read]
    scored = {name: run.score("miou", matrix) for name, matrix in zip(SCORES, matrices, strict=True)}
    arrays = Arrays(
        run.units, {name: draws for name, (_, draws) in scored.items()}, run.images[run.shown].numpy(),
        run.labels[run.shown].numpy(), read[0][run.shown].numpy(), confusions=matrices[0],
    )  # fmt: skip
    networks = {role: judge.title for role, judge in zip(ROLES, judges, strict=True)}
    mean_over = dict.fromkeys(SCORES, "classes present in the layouts")
    protocol = run.protocol(mean_over, networks, "95 % percentile bootstrap")
    return run.write(out, {name: value for name, (value, _) in scored.items()}, arrays, drawn, protocol, len(run.dataset))


def _read(run: Measurement, judge: Judge, drawn: Tensor) -> Tensor:
    """A judge's labels of drawn pictures uint8 (n, 3, H, W), uint8 (n, H, W)."""
    rows = []
    for number, positions in run.batches(np.arange(len(drawn)), f"read by {METHODS[judge.method].title} what was drawn by"):
        source = generator(run.device, "judge", number)
        with torch.inference_mode():
            images = to_unit_range(drawn[positions].to(run.device))
            rows.append(judge.model.segment(images, judge.sampler, source).cpu())
    return torch.cat(rows)
