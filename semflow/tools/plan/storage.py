"""Disk and memory that a study takes, in bytes, counted from its settings."""

from typing import Any

from baselines import METHODS
from semflow.data import DATASETS
from semflow.evaluation.common import STATES
from semflow.evaluation.metrics.segmentation import PIXELS_AT_ONCE
from semflow.method.autoencoder import make_autoencoder
from semflow.method.prompt import TOKENS
from semflow.suite import Suite
from semflow.suite.reading import Study
from semflow.suite.runs import Checkpoint, Evaluation, checkpoints, main_sampler
from semflow.tools.plan import workload
from semflow.tools.plan.rates import Rates, computes_in_bf16
from semflow.training import budget
from semflow.training.build import unpretrained

WEIGHT = (
    4  # bytes, in float32; a training keeps a gradient and two moments beside it, and an average of those that sampling needs
)
KEPT, STATE, HALF = 4 * WEIGHT, 3 * WEIGHT, 2  # a weight in training and in a state on disk; a copy in bf16
VOCABULARY, LAYERS = 49_408, 12  # of CLIP's text encoder
METRICS = {"segmentation": 4, "synthesis": 8, "seed_agreement": 1}  # that have draws in a record
MIXED, PAIR = 16, 16  # classes that meet in a picture, as a guess; bytes in a record for two of them that are confused
COUNTING = 53  # bytes a pixel that metrics/segmentation.py was seen to hold while it counts


def disk(study: Study, wanted: dict[str, list[Evaluation]]) -> dict[str, int]:
    """All that is read and kept, but the data sets."""
    latents, states, finished, records, pretrained = 0, [0], 0, 0, dict[Any, int]()
    for name, chosen in wanted.items():
        suite, trained = study.suites[name], list(checkpoints(chosen))
        pretrained |= _pretrained(suite, {one.method for one in trained})
        latents += _latent_bytes(suite, trained)
        states += [_state_bytes(suite, one.method) for one in trained]
        finished += sum(WEIGHT * budget.parameters(suite, one.method).sampling for one in trained)
        records += sum(_record_bytes(suite, one) for one in chosen)
    return {
        "pretrained weights": WEIGHT * sum(pretrained.values()),
        "cached latents": latents,
        "training states": sum(states),
        "a state that replaces one": max(states),
        "finished weights": finished,
        "records": records,
    }


def memory(study: Study, wanted: dict[str, list[Evaluation]], rates: Rates) -> dict[str, int]:
    """The largest job of each kind, without what its layers hold in between."""
    training, evaluation, images, split = [0], [0], [0], [0]
    for name, chosen in wanted.items():
        suite, (h, w) = study.suites[name], study.suites[name].data.size
        n, saving = workload.count(suite.data, suite.evaluation.split).n, [0]
        for method in {one.method for one in checkpoints(chosen)}:
            weights, frozen = budget.parameters(suite, method), WEIGHT * _frozen(suite, method)
            half = HALF * computes_in_bf16(suite, rates)
            training.append((KEPT + half) * weights.training + _average_bytes(suite, method) + frozen)
            evaluation.append(WEIGHT * weights.sampling + frozen)
            saving.append(_state_bytes(suite, method) * (rates.unit == "GPU"))  # which passes through on its way to the disk
        read = 2 * (3 + 1) + (3 if any(one.task == "synthesis" for one in chosen) else 1)  # twice, and what is drawn
        counting = min(n * h * w, PIXELS_AT_ONCE) * COUNTING
        split.append(n * (h * w * read + 8 * len(DATASETS[suite.data.name].names) ** 2) + counting)
        images.append(workload.count(suite.data, "train").n * (3 + 1) * h * w * suite.run.in_memory + max(saving))
    if rates.unit != "GPU":
        return {"training": max(training) + max(images), "evaluation": max(evaluation) + max(split)}
    return {
        "training, on a GPU": max(training),
        "training, on the host": max(images),
        "evaluation, on a GPU": max(evaluation),
        "evaluation, on the host": max(split),
    }


def text_encoder(width: int) -> int:
    """Weights of a CLIP text encoder: embeddings, blocks of attention and an MLP of four times the width, norms."""
    return (VOCABULARY + TOKENS + 2) * width + LAYERS * (12 * width**2 + 13 * width)


def _pretrained(suite: Suite, methods: set[str]) -> dict[Any, int]:
    """Weights that a suite begins with, by the section that names them; the text encoder's with the network's."""
    found = dict[Any, int]()
    readers = [method for method in methods if "network" in METHODS[method].reads]
    if getattr(suite.autoencoder, "pretrained", None):
        found[suite.autoencoder] = max(_frozen(suite, method) for method in methods)
    if suite.network.kind == "stable_diffusion" and suite.network.pretrained and readers:
        network = min(budget.parameters(suite, method).sampling for method in readers)  # before it is widened
        found[suite.network] = network + text_encoder(suite.network.cross_attention_dim)
    return found


def _frozen(suite: Suite, method: str) -> int:
    """Weights of the autoencoder, where a method reads it."""
    if "autoencoder" not in METHODS[method].reads:
        return 0
    with workload.META:
        return sum(weight.numel() for weight in make_autoencoder(unpretrained(suite).autoencoder).parameters())


def _average_bytes(suite: Suite, method: str) -> int:
    return WEIGHT * budget.parameters(suite, method).sampling * bool(suite.training.ema_decay)


def _state_bytes(suite: Suite, method: str) -> int:
    return STATE * budget.parameters(suite, method).training + _average_bytes(suite, method)


def _latent_bytes(suite: Suite, trained: list[Checkpoint]) -> int:
    """Mean and deviation of every image, and the modes of every kind of mask."""
    c, h, w = budget.latent_shape(suite)
    images, masks = workload.cached(suite, trained)
    return WEIGHT * c * h * w * workload.count(suite.data, "train").n * (2 * images + masks)


def _record_bytes(suite: Suite, one: Evaluation) -> int:
    """At most, of the arrays beside a record (records.Arrays), before they are compressed."""
    h, w = suite.data.size
    n = workload.count(suite.data, suite.evaluation.split).n
    synthesis, alone = one.task == "synthesis", one.task == "seed_agreement"
    channels = 3 + 1 + (3 if synthesis else 1)  # of picture, labels, output
    if not (one.is_control or alone) and one.sampler == main_sampler(suite, one.method, one.task):
        channels += 3 * min(STATES, one.sampler.steps + 1)
    confused = 0 if alone else min(MIXED, len(DATASETS[suite.data.name].names)) ** 2
    features = workload.FEATURES[suite.synthesis.features.network][1] if synthesis else 0
    draws = 8 * METRICS[one.task] * suite.evaluation.bootstrap_samples
    return min(suite.evaluation.examples, n) * channels * h * w + draws + n * (PAIR * confused + 4 * features)
