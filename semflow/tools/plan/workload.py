"""What a study computes, job by job: images, times FLOPs an image, counted from its settings before anything runs."""

from collections.abc import Iterable, Sequence
from functools import cache
from math import comb
from typing import Any, Literal, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from baselines import METHODS
from semflow.data import DATASETS, Data, open_dataset
from semflow.errors import SemFlowError
from semflow.evaluation.synthesis import DISTANCE_DRAWS
from semflow.method.autoencoder import make_autoencoder
from semflow.method.contract import Task
from semflow.method.samplers import Sampler
from semflow.suite import Suite
from semflow.suite.jobs import Job as Process
from semflow.suite.runs import Checkpoint, Evaluation, amplitude_of, checkpoints, main_sampler
from semflow.training import budget
from semflow.training.build import unpretrained

ADAPTIVE: dict[Task, int] = {"segmentation": 692, "synthesis": 761}  # evaluations by samplers that choose their steps, on mini
FEATURES = {"inception-v3": (11.4e9, 2048), "efficientnet-lite0": (0.77e9, 1280)}  # FLOPs an image, and features
PERCEPTUAL = {"alexnet": 26e3, "efficientnet-lite0": 0}  # FLOPs a pixel of an image; 0: it is brought to a size
RESIZED = 0.73e9  # FLOPs of an image there
RESAMPLING = 10  # operations of a draw of the Frechet distance, a product of images, features and the smaller of both

META = torch.device("meta")
Where = Literal["training", "sampling", "cpu"]  # at which rate work goes; sampling is in float32


class Job(NamedTuple):
    """A training, an evaluation, or a share of the trainings' work, which is of no process of its own.

    process: that it is part of, which evaluations share (suite/jobs.py).  images: that are trained on, or sampled.
    flops: at the rate of `where`.  cpu_flops: on the CPU afterwards, while a GPU is held.  batch: global, of a training.
    """

    data: str
    stage: str
    process: str
    where: Where
    images: int
    flops: float
    cpu_flops: float = 0
    batch: int = 0


class Count(NamedTuple):
    """Images of a split, and whether its files were counted (`files`) or the official number is taken (`official`)."""

    n: int
    source: Literal["files", "official"]


def work(suite: Suite, processes: Sequence[Process]) -> list[Job]:
    """All that is computed for the evaluations of a suite, by what they are shared out to."""
    chosen = [(one, process.name) for process in processes for one in process.evaluations]
    n, trained = count(suite.data, suite.evaluation.split).n, list(checkpoints([one for one, _ in chosen]))
    return [
        *_caching(suite, trained, count(suite.data, "train").n),
        *(_training(suite, checkpoint) for checkpoint in trained),
        *((_control if one.is_control else _evaluation)(suite, one, n, process) for one, process in chosen),
    ]


def cached(suite: Suite, trained: Iterable[Checkpoint]) -> tuple[int, int]:
    """How many encodings a training image has of itself, for all trainings, and of its mask, perturbed in whatever ways; in both
    views where it is mirrored.
    """
    encoded = [one for one in trained if "autoencoder" in METHODS[one.method].reads]
    kinds = {(one.method, one.amplitude) for one in encoded}  # trainings from several seeds share those of a mask
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
def coding_flops(autoencoder: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Of encoding a picture and of decoding it."""
    with torch.no_grad(), META:
        model = make_autoencoder(autoencoder)
        with FlopCounterMode(display=False) as encoding:
            z = model.encode(torch.empty(1, 3, *size))
        with FlopCounterMode(display=False) as decoding:
            model.decode(z)
    return encoding.get_total_flops(), decoding.get_total_flops()


def _caching(suite: Suite, trained: list[Checkpoint], n: int) -> list[Job]:
    """What trainings encode before their first step."""
    if not (images := n * sum(cached(suite, trained))):
        return []
    flops = images * coding_flops(unpretrained(suite).autoencoder, suite.data.size)[0]
    return [Job(suite.data.name, "cache latents", "", "training", images, flops, batch=suite.training.batch_size)]


def _training(suite: Suite, checkpoint: Checkpoint) -> Job:
    method, b = checkpoint.method, checkpoint.amplitude
    images = suite.training.steps * suite.training.batch_size
    stage = f"train {method}" + (f", b = {b:g}" if b != amplitude_of(suite, method) else "")
    flops = images * budget.training_flops(suite, method)
    return Job(suite.data.name, stage, f"train {checkpoint}", "training", images, flops, batch=suite.training.batch_size)


def _evaluation(suite: Suite, one: Evaluation, n: int, process: str) -> Job:
    images, again, resampled = n, 0.0, 0.0
    if one.task == "seed_agreement":
        settings = suite.evaluation.seed_agreement
        images = min(settings.images, n) * settings.seeds
    elif one.task == "synthesis":
        resampled = _resampling_flops(suite, n)
        again = _comparing_flops(suite, n)
        if "segmentation" in METHODS[one.method].tasks:  # of what was drawn
            again += n * _output_flops(suite, one.method, "segmentation", main_sampler(suite, one.method, "segmentation"))
        if one.sampler == main_sampler(suite, one.method, "synthesis"):
            layouts, samples = min(suite.synthesis.diversity.layouts, n), suite.synthesis.diversity.samples
            images += layouts * samples
            again += 2 * layouts * comb(samples, 2) * _perceptual_flops(suite)
    task: Task = "synthesis" if one.task == "synthesis" else "segmentation"
    flops = images * _output_flops(suite, one.method, task, one.sampler) + again
    return Job(suite.data.name, f"evaluate {one.task}", process, "sampling", images, flops, resampled)


def _control(suite: Suite, one: Evaluation, n: int, process: str) -> Job:
    """What evaluates a control: on the CPU, but where a large autoencoder has to be run."""
    where: Where = "cpu"
    flops = _comparing_flops(suite, n) + _resampling_flops(suite, n) if one.task == "synthesis" else 0.0
    if one.method == "oracle":
        where = "sampling" if suite.autoencoder.kind == "kl" else "cpu"
        flops = n * sum(coding_flops(unpretrained(suite).autoencoder, suite.data.size))
    return Job(suite.data.name, f"control {one.task}", process, where, n, flops)


def _output_flops(suite: Suite, method: str, task: Task, sampler: Sampler) -> int:
    adaptive = METHODS[method].tasks[task][sampler.name] is None
    return budget.sampling_flops(suite, method, task, sampler, ADAPTIVE[task] if adaptive else None)


def _comparing_flops(suite: Suite, n: int) -> float:
    """Of n drawn images against the real ones, whose features are kept."""
    return n * (FEATURES[suite.synthesis.features.network][0] + 2 * _perceptual_flops(suite))


def _perceptual_flops(suite: Suite) -> float:
    h, w = suite.data.size
    return PERCEPTUAL[suite.synthesis.perceptual.network] * h * w or RESIZED


def _resampling_flops(suite: Suite, n: int) -> float:
    """Of all draws of the Frechet distance (metrics/distances.py)."""
    d = FEATURES[suite.synthesis.features.network][1]
    return DISTANCE_DRAWS * RESAMPLING * n * d * min(n, d)
