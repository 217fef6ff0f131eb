"""Model + data set + metrics -> record."""

import hashlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from baselines import CONTROLS
from baselines.build import amplitude_of, make_pseudo_mask, settings_of
from baselines.controls import Ceiling, Floor
from semflow import devices, records
from semflow.autoencoder import make_autoencoder
from semflow.checkpoints import load_model
from semflow.config import Suite, result_hash
from semflow.data import Dataset, Sample, open_dataset
from semflow.data.batches import Batches, in_memory, to_unit_range
from semflow.errors import SemFlowError
from semflow.metrics import segmentation
from semflow.metrics.intervals import blocks, bootstrap, percentile_interval
from semflow.metrics.scores import SCORES, class_iou
from semflow.model import Sampler, place
from semflow.progress import Progress
from semflow.provenance import commit, scores_key, versions
from semflow.seeds import generator

Predict = Callable[[int, Tensor, Tensor], Tensor]
BOOTSTRAP_SEED = 0  # the same resamples for every record of a data set, so that methods are paired


class Cell(NamedTuple):
    """What is evaluated: a method, how it samples, and the seeds."""

    method: str
    sampler: Sampler
    training_seed: int
    sampling_seed: int


def evaluate(suite: Suite, cell: Cell, checkpoint: Path | None, out: Path) -> records.Record:
    """Segment the suite's evaluation split, score it, and write the record to `out` and its arrays beside it."""
    dataset = open_dataset(suite.data, suite.evaluation.split)
    device = torch.device("cpu") if cell.method in CONTROLS else devices.pick(suite.run.device)
    samples = in_memory(dataset, f"load {suite.evaluation.split} images")
    predict, weights = _predictor(suite, cell, checkpoint, samples, device)
    started = time.perf_counter()
    images, labels, predictions = _run(
        samples, suite, predict, f"evaluate {cell.method} {cell.sampler} seed {cell.sampling_seed}"
    )
    wall_s = time.perf_counter() - started
    matrices = segmentation.confusions(predictions, labels, len(dataset.names)).flatten(1)
    shown = np.linspace(0, len(dataset) - 1, min(suite.evaluation.examples, len(dataset))).astype(int)
    arrays = records.Arrays(
        sparse.csr_array(matrices.numpy()),
        blocks(dataset.groups, len(dataset), suite.evaluation.block_length),
        images[shown].numpy(), labels[shown].numpy(), predictions[shown].numpy(),
    )  # fmt: skip
    record = records.Record(
        suite=suite.suite,
        dataset=dataset.name,
        split=suite.evaluation.split,
        method=cell.method,
        task="segmentation",
        sampler=cell.sampler.name,
        steps=cell.sampler.steps,
        amplitude=amplitude_of(suite, cell.method),
        settings=settings_of(suite, cell.method),
        training_seed=cell.training_seed,
        sampling_seed=cell.sampling_seed,
        n_images=len(dataset),
        classes=dataset.names,
        palette=dataset.palette,
        metrics=score(arrays, suite.evaluation.bootstrap_samples),
        class_iou=_per_class(arrays, dataset),
        predictions_sha256=hashlib.sha256(predictions.numpy().tobytes()).hexdigest(),
        arrays_sha256=arrays.save(records.arrays_path(out)),
        protocol=_protocol(suite, dataset),
        provenance=_provenance(suite, cell, dataset, weights, device, wall_s),
    )
    records.write(out, record)
    return record


def score(arrays: records.Arrays, n_samples: int) -> dict[str, records.Metric]:
    """Every score in percent, with its 95 % bootstrap interval over images or blocks of frames."""
    total = np.asarray(arrays.confusions.sum(0), dtype=np.int64)
    n = round(total.size**0.5)
    metrics = {}
    for name, function in SCORES.items():
        draws = 100 * bootstrap(arrays.confusions, arrays.units, function, n_samples, BOOTSTRAP_SEED)
        low, high = percentile_interval(draws)
        value = 100 * float(function(total.reshape(n, n)))
        metrics[name] = records.Metric(value=value, low=low, high=high, unit="percent", direction="higher")
    return metrics


def _run(samples: list[Sample], suite: Suite, predict: Predict, what: str) -> tuple[Tensor, Tensor, Tensor]:
    """All images, labels and predicted labels, uint8, on the CPU."""
    rows = []
    with Progress(what, len(samples)) as progress:
        for number, (images, labels) in enumerate(_in_batches(samples, suite.evaluation.batch_size)):
            rows.append((images, labels, predict(number, images, labels).cpu()))
            progress.update(len(images))
    images, labels, predictions = (torch.cat(parts) for parts in zip(*rows, strict=True))
    return images, labels, predictions


def _in_batches(samples: list[Sample], batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    batches = Batches(samples)
    for start in range(0, len(samples), batch_size):
        yield batches[range(start, min(start + batch_size, len(samples)))]


def _predictor(
    suite: Suite, cell: Cell, checkpoint: Path | None, samples: list[Sample], device: torch.device
) -> tuple[Predict, str | None]:
    """(what turns a batch into labels, SHA-256 of the weights behind it)."""
    if cell.method in CONTROLS:
        return _control(suite, cell.method, samples), None
    if checkpoint is None:
        raise SemFlowError(f"a checkpoint is needed to evaluate {cell.method}")
    model, trained, card = load_model(checkpoint, suite.autoencoder)
    if (card["method"], card["seed"]) != (cell.method, cell.training_seed):
        asked = f"{cell.method} of training seed {cell.training_seed}"
        raise SemFlowError(f"{checkpoint} holds {card['method']} of training seed {card['seed']}, not {asked}")
    parts = ("data.name", "pseudo_mask", f"methods.{cell.method}")
    if differing := [part for part in parts if attrgetter(part)(trained) != attrgetter(part)(suite)]:
        raise SemFlowError(f"{checkpoint} was trained with another {', '.join(differing)} than {suite.suite}'s; train it again")
    place(model, device)

    def predict(number: int, images: Tensor, labels: Tensor) -> Tensor:
        draws = generator(device, "sample", cell.sampling_seed, number)
        with torch.inference_mode():
            return model.segment(to_unit_range(images.to(device)), cell.sampler, draws)

    return predict, card["weights_sha256"]


def _control(suite: Suite, method: str, samples: list[Sample]) -> Predict:
    if method == "ceiling":
        control = Ceiling(make_pseudo_mask(suite), make_autoencoder(suite.autoencoder))
        return lambda number, images, labels: control.predict(labels)
    everything = Batches(samples)[range(len(samples))][1]
    shuffled, size = Floor().predict(everything), suite.evaluation.batch_size
    return lambda number, images, labels: shuffled[number * size : number * size + len(labels)]


def _per_class(arrays: records.Arrays, dataset: Dataset) -> dict[str, float | None]:
    """IoU of every class in percent; None where a class is in neither ground truth nor prediction."""
    n = len(dataset.names)
    iou = class_iou(np.asarray(arrays.confusions.sum(0)).reshape(n, n))
    return {name: None if np.isnan(value) else 100 * float(value) for name, value in zip(dataset.names, iou, strict=True)}


def _provenance(
    suite: Suite, cell: Cell, dataset: Dataset, weights: str | None, device: torch.device, wall_s: float
) -> records.Provenance:
    head, dirty = commit()
    return records.Provenance(
        command=shlex.join(["semflow", *sys.argv[1:]]),
        commit=head,
        dirty=dirty,
        config_sha256=result_hash(suite),
        data_sha256=dataset.fingerprint(),
        checkpoint_sha256=weights,
        code_sha256=scores_key(suite, cell.method),
        versions=versions(),
        device=devices.name_of(device),
        threads=torch.get_num_threads(),
        wall_s=round(wall_s, 3),
        images_per_s=round(len(dataset) / wall_s, 3),
    )


def _protocol(suite: Suite, dataset: Dataset) -> records.Protocol:
    unit = (
        f"{suite.evaluation.split} images"
        if dataset.groups is None
        else f"blocks of {suite.evaluation.block_length} consecutive frames"
    )
    return records.Protocol(
        evaluation_size=suite.data.size,
        resize="none"
        if dataset.name == "scenes"
        else "images by area (bicubic where they grow), labels by nearest neighbour, scored at the network's size",
        mean_over={"miou": "classes present in ground truth", "miou_either": "classes present in ground truth or prediction"},
        interval=f"95 % percentile bootstrap over {unit}",
        bootstrap_samples=suite.evaluation.bootstrap_samples,
        bootstrap_seed=BOOTSTRAP_SEED,
    )
