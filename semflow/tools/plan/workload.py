"""What a study computes, job by job: images, times FLOPs an image, counted from its settings before anything runs."""

from collections.abc import Iterable, Sequence
from functools import cache
from math import comb
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from baselines import METHODS
from semflow.data import DATASETS, Data, open_dataset
from semflow.errors import SemFlowError
from semflow.evaluation import records
from semflow.method.contract import Task
from semflow.suite import Suite
from semflow.suite.jobs import Job as Process
from semflow.suite.measurements import doing
from semflow.suite.runs import (
    Checkpoint,
    Evaluation,
    amplitude_of,
    evaluations,
    judges,
    main_sampler,
    record_path,
    trainings,
)
from semflow.suite.variants import variant
from semflow.training import budget
from semflow.training.build import unpretrained

ADAPTIVE: dict[Task, float] = {"segmentation": 692, "synthesis": 761}  # evaluations by samplers that choose their steps, on mini
FEATURES = {"inception-v3": (11.4e9, 2048), "efficientnet-lite0": (0.77e9, 1280)}  # FLOPs an image, and features
PERCEPTUAL = {"alexnet": 26e3, "efficientnet-lite0": 0}  # FLOPs a pixel of an image; 0: it is brought to a size
RESIZED = 0.73e9  # FLOPs of an image there


class Job(NamedTuple):
    """A training, an evaluation, or a share of the trainings' work, which is of no process of its own.

    process: that it is part of, which evaluations share (suite/jobs.py).  images: that are trained on, or sampled.
    batch: global, of a training; 0 of an evaluation.
    """

    data: str
    stage: str
    process: str
    images: int
    flops: float
    batch: int = 0


class Count(NamedTuple):
    """Images of a split, and whether its files were counted (`files`) or the official number is taken (`official`)."""

    n: int
    source: Literal["files", "official"]


def work(suite: Suite, processes: Sequence[Process]) -> list[Job]:
    """All that is computed for the evaluations of a suite, by what they are shared out to."""
    chosen = [(one, process.name) for process in processes for one in process.evaluations]
    first = {process: one for one, process in reversed(chosen) if one.task == "synthesis"}
    n, trained = count(suite.data, suite.evaluation.split).n, trainings(suite, [one for one, _ in chosen])
    return [
        *_caching(suite, trained, count(suite.data, "train").n),
        *(_training(suite, checkpoint) for checkpoint in trained if not suite.checkpoints),
        *(
            (_control if one.is_control else _evaluation)(suite, one, n, process, first.get(process) == one)
            for one, process in chosen
        ),
    ]


def cached(suite: Suite, trained: Iterable[Checkpoint]) -> tuple[int, int]:
    """How many encodings a training image has of itself, for all trainings, and of its mask, perturbed in whatever ways; in both
    views where it is mirrored.
    """
    encoded = [one for one in trained if "autoencoder" in METHODS[one.method].reads]
    kinds = {(one.method, one.amplitude, one.variant) for one in encoded}  # trainings from several seeds share those of a mask
    views = 1 + suite.training.flip
    return views * (suite.run.cache_latents and bool(encoded)), views * suite.training.cached_perturbations * len(kinds)


@cache
def count(data: Data, split: str) -> Count:
    """How many images a split has. SemFlowError if there are neither its files nor an official number."""
    try:
        return Count(len(open_dataset(data, split)), "files")
    except SemFlowError:
        if not (counts := DATASETS[data.name].official_counts(data)):
            raise
    if split not in counts:
        raise SemFlowError(f"evaluation.split: {data.name} has no {split} split with labels; it has {', '.join(counts)}")
    return Count(counts[split], "official")


@cache
def coding_flops(settings: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Of encoding a picture and of decoding it."""
    autoencoder, pixels = budget.autoencoder(settings), torch.empty(1, 3, *size, device="meta")
    with torch.no_grad():
        z = autoencoder.encode(pixels)
        return budget.count(lambda: autoencoder.encode(pixels)), budget.count(lambda: autoencoder.decode(z))


def adaptive(suite: Suite, one: Evaluation) -> tuple[float, bool] | None:
    """Evaluations of the network for an output where a sampler chooses its own steps, and whether the suite's records say so.

    It is their mean over what there is of the same method, task and sampler.
    """
    if one.is_control or METHODS[one.method].tasks[doing(one.task)][one.sampler.name] is not None:
        return None
    alike = {Path(record_path(other, suite)) for other in evaluations(suite) if other[:3] == one[:3]}
    known = [records.read(path).evaluations for path in alike if path.exists()]
    return (sum(known) / len(known), True) if known else (ADAPTIVE[doing(one.task)], False)


def _caching(suite: Suite, trained: list[Checkpoint], n: int) -> list[Job]:
    """What trainings encode before their first step."""
    if not (images := n * sum(cached(suite, trained))):
        return []
    flops = images * coding_flops(unpretrained(suite).autoencoder, suite.data.size)[0]
    return [Job(suite.data.name, "cache latents", "", images, flops, suite.training.batch_size)]


def _training(suite: Suite, checkpoint: Checkpoint) -> Job:
    method, b, changed = checkpoint.method, checkpoint.amplitude, variant(suite, checkpoint.variant)
    training = changed.training
    images = training.steps * training.batch_size
    stage = f"train {method}" + (f", {checkpoint.variant}" if checkpoint.variant else "")
    stage += f", b = {b:g}" if b != amplitude_of(changed, method) else ""
    flops = images * budget.training_flops(changed, method)
    return Job(suite.data.name, stage, f"train {checkpoint}", images, flops, training.batch_size)


def _evaluation(suite: Suite, one: Evaluation, n: int, process: str, first: bool) -> Job:
    images, again = n, 0.0
    if one.task == "seed_agreement":
        settings = suite.evaluation.seed_agreement
        images = min(settings.images, n) * settings.seeds
    elif one.task == "consistency":
        again = _reading_flops(suite, n)
    elif one.task == "synthesis":
        again = _comparing_flops(suite, n, first)
        if "segmentation" in METHODS[one.method].tasks:  # of what was drawn
            sampler = main_sampler(one.method, "segmentation")
            again += n * _output_flops(suite, one._replace(task="segmentation", sampler=sampler))
        if one.sampler == main_sampler(one.method, "synthesis"):
            layouts, samples = min(suite.synthesis.diversity.layouts, n), suite.synthesis.diversity.samples
            images += layouts * samples
            looks = samples if _looks_once(suite) else 2 * comb(samples, 2)
            again += layouts * looks * _perceptual_flops(suite)
    return Job(suite.data.name, f"evaluate {one.task}", process, images, images * _output_flops(suite, one) + again)


def _control(suite: Suite, one: Evaluation, n: int, process: str, first: bool) -> Job:
    flops = _comparing_flops(suite, n, first) if one.task == "synthesis" else 0.0
    if one.task == "consistency":
        flops = _reading_flops(suite, n)
    if one.method == "oracle":
        flops = n * sum(coding_flops(unpretrained(suite).autoencoder, suite.data.size))
    return Job(suite.data.name, f"control {one.task}", process, n, flops)


def _output_flops(suite: Suite, one: Evaluation) -> int:
    known = adaptive(suite, one)
    return budget.sampling_flops(suite, one.method, doing(one.task), one.sampler, known and known[0])


def _reading_flops(suite: Suite, n: int) -> float:
    """Of n drawn images, segmented by the judges."""
    samplers = [(of.method, main_sampler(of.method, "segmentation")) for of in judges(suite)]
    return float(n * sum(budget.sampling_flops(suite, method, "segmentation", sampler, None) for method, sampler in samplers))


def _comparing_flops(suite: Suite, n: int, first: bool) -> float:
    """Of n drawn images against the real ones, whose features are kept. first: of its process, which looks at the real ones."""
    looks, features = 2, suite.synthesis.features.network
    if _looks_once(suite):  # and gives features of the same look
        looks = first + (features != suite.synthesis.perceptual.network)
    return n * (FEATURES[features][0] + looks * _perceptual_flops(suite))


def _looks_once(suite: Suite) -> bool:
    """Whether the perceptual network looks at a picture once, however many it is compared with; LPIPS's does not."""
    return not PERCEPTUAL[suite.synthesis.perceptual.network]


def _perceptual_flops(suite: Suite) -> float:
    h, w = suite.data.size
    return PERCEPTUAL[suite.synthesis.perceptual.network] * h * w or RESIZED
