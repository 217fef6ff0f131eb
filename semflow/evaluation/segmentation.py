"""Images to labels, scored against ground truth."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import sparse
from torch import Tensor

from semflow.data.folders import PairedFiles
from semflow.data.images import resize_labels
from semflow.evaluation.common import BOOTSTRAP_SEED, Measurement, ShownStates
from semflow.evaluation.controls import OUTPUTS
from semflow.evaluation.metrics.appearance import PathLength
from semflow.evaluation.metrics.intervals import bootstrap_mean
from semflow.evaluation.metrics.scores import SCORES
from semflow.evaluation.metrics.segmentation import confusion, confusions, sparse_rows
from semflow.evaluation.records import Arrays, Record
from semflow.loading.pixels import to_unit_range
from semflow.progress import Progress
from semflow.seeds import generator

MEAN_OVER = {  # the same for all of a task, whether or not a record has the metric
    "miou": "classes present in ground truth",
    "miou_either": "classes present in ground truth or prediction",
    "path_length_excess": "all steps of the main sampler, in latents",
}
NATIVE = f"{MEAN_OVER['miou']}; predictions brought by nearest neighbour to each label map's own size, and scored there"


def measure(run: Measurement, out: Path) -> Record:
    """Segment the suite's evaluation split and score it."""
    control = run.is_control
    predictions, states, excess = (OUTPUTS[run.evaluation.method](run), None, None) if control else _predict(run)
    matrices = sparse_rows(confusions(predictions, run.labels, len(run.dataset.names)))
    scored = {name: run.score(name, matrices) for name in SCORES}
    mean_over = dict(MEAN_OVER)
    if isinstance(run.dataset, PairedFiles):
        scored["miou_native"] = run.score("miou", _native(run.dataset, predictions))
        mean_over["miou_native"] = NATIVE
    per_image = {} if excess is None else {"path_length_excess": excess}
    for name, value in per_image.items():
        scored[name] = float(value.mean()), bootstrap_mean(value, run.units, run.n_samples, BOOTSTRAP_SEED)
    values, draws = {name: value for name, (value, _) in scored.items()}, {name: drawn for name, (_, drawn) in scored.items()}
    arrays = Arrays(
        run.units, draws, run.images[run.shown].numpy(), run.labels[run.shown].numpy(), predictions[run.shown].numpy(),
        values=per_image, confusions=matrices, states=states,
    )  # fmt: skip
    protocol = run.protocol(mean_over, {}, "95 % percentile bootstrap")
    return run.write(out, values, arrays, predictions, protocol, len(run.dataset))


def _native(dataset: PairedFiles, predictions: Tensor) -> sparse.csr_array:
    """Confusion matrices, sparse int64 (n_images, n * n), of labels uint8 (n, h, w) brought to the size on disk."""
    rows = []
    with Progress("score at the labels' own size", len(dataset)) as progress:
        for index, predicted in enumerate(predictions.numpy()):
            labels = np.array(dataset.label_map(index))
            brought = resize_labels(Image.fromarray(predicted), labels.shape)
            rows.append(sparse_rows(confusion(torch.from_numpy(brought), torch.from_numpy(labels), len(dataset.names))[None]))
            progress.update(1)
    return sparse.vstack(rows, format="csr")


def _predict(run: Measurement) -> tuple[Tensor, np.ndarray | None, np.ndarray | None]:
    """Labels uint8 (n, H, W); at the main sampler, the states on the way to those that are shown, and every path's length beyond
    its chord (n,)."""
    model, rows, kept, excess = run.model, [], ShownStates(run.model, run.shown), list[Tensor]()
    for number, positions in run.batches(np.arange(len(run.dataset)), "segment"):
        source = generator(run.device, "sample", run.evaluation.sampling_seed, number)
        with torch.inference_mode():
            images = to_unit_range(run.images[positions].to(run.device))
            if run.keeps_states:
                states = list(model.path(model.encode_images(images), run.evaluation.sampler))
                kept.add(positions, states)
                length = PathLength()
                for state in states:
                    length.add(state)
                excess.append(length.value().cpu())
                rows.append(model.to_labels(states[-1]).cpu())
            else:
                rows.append(model.segment(images, run.evaluation.sampler, source).cpu())
    keeps = run.keeps_states
    return torch.cat(rows), kept.arrays() if keeps else None, torch.cat(excess).numpy() if keeps else None
