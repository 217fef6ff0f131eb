"""Disk and memory that a study takes, in bytes, counted from its settings."""

from typing import Any

from baselines import METHODS
from semflow.evaluation.common import STATES
from semflow.evaluation.metrics.segmentation import PIXELS_AT_ONCE
from semflow.method.autoencoder import make_autoencoder
from semflow.method.prompt import TOKENS
from semflow.suite import Suite
from semflow.suite.datasets import CLASSES
from semflow.suite.reading import Study
from semflow.suite.runs import Evaluation, main_sampler
from semflow.tools.plan import workload
from semflow.tools.plan.rates import Rates, computes_in_bf16
from semflow.tools.plan.workload import Training
from semflow.training import budget
from semflow.training.build import unpretrained

WEIGHT = (
    4  # bytes, in float32; a training keeps a gradient and two moments beside it, and an average of those that sampling needs
)
KEPT, STATE, HALF = 4 * WEIGHT, 3 * WEIGHT, 2  # a weight in training and in a state on disk; a copy in bf16
VOCABULARY, LAYERS = 49_408, 12  # of CLIP's text encoder
DRAWN_METRICS = 8  # at most, whose draws are in a record
MIXED, PAIR = 16, 16  # classes that meet in a picture, as a guess; bytes in a record for two of them that are confused
COUNTING = 53  # bytes a pixel that metrics/segmentation.py was seen to hold while it counts


def disk(study: Study, wanted: dict[str, list[Evaluation]]) -> dict[str, int]:
    """All that is read and kept, but the data sets."""
    latents, states, finished, records, known = 0, [0], 0, 0, dict[Any, int]()
    for name, chosen in wanted.items():
        suite, trained = study.suites[name], workload.trainings(chosen)
        known |= _pretrained(suite)
        latents += _latent_bytes(suite, trained)
        states += [_state_bytes(suite, training.method) for training in trained]
        finished += sum(WEIGHT * budget.parameters(suite, training.method).sampling for training in trained)
        records += sum(_record_bytes(suite, one) for one in chosen)
    return {
        "pretrained weights": WEIGHT * sum(known.values()),
        "cached latents": latents,
        "training states": sum(states),
        "a state that replaces one": max(states),
        "finished weights": finished,
        "records": records,
    }


def memory(study: Study, wanted: dict[str, list[Evaluation]], rates: Rates) -> dict[str, int]:
    """The largest job of each kind, without what its layers hold in between."""
    training, evaluation, split, held = [0], [0], [0], [0]
    on_the_host = rates.unit == "GPU"  # where a state passes through on its way to the disk
    for name, chosen in wanted.items():
        suite, (h, w) = study.suites[name], study.suites[name].data.size
        methods = {one.method for one in chosen} & METHODS.keys()
        for method in methods:
            n, frozen = budget.parameters(suite, method), WEIGHT * _frozen(suite, method)
            training.append((KEPT + HALF * computes_in_bf16(suite, rates)) * n.training + _average_bytes(suite, method) + frozen)
            evaluation.append(WEIGHT * n.sampling + frozen)
        n_images = workload.count(suite.data, suite.evaluation.split).n
        drawn = 3 if any(one.task == "synthesis" for one in chosen) else 1
        pictures = 2 * (3 + 1)  # and labels, as they were read and in one tensor
        counting = min(n_images * h * w, PIXELS_AT_ONCE) * COUNTING
        split.append(n_images * (h * w * (pictures + drawn) + 8 * len(CLASSES[suite.data.name]) ** 2) + counting)
        saving = max([0, *(_state_bytes(suite, method) for method in methods)])
        held.append(workload.count(suite.data, "train").n * (3 + 1) * h * w * suite.run.in_memory + on_the_host * saving)
    if not on_the_host:
        return {"training": max(training) + max(held), "evaluation": max(evaluation) + max(split)}
    return {
        "training, on a GPU": max(training),
        "training, on the host": max(held),
        "evaluation, on a GPU": max(evaluation),
        "evaluation, on the host": max(split),
    }


def text_encoder(width: int) -> int:
    """Weights of a CLIP text encoder: embeddings, blocks of attention and an MLP of four times the width, norms."""
    return (VOCABULARY + TOKENS + 2) * width + LAYERS * (12 * width**2 + 13 * width)


def _pretrained(suite: Suite) -> dict[Any, int]:
    """Weights that a suite begins with, by the section that names them; the text encoder's with the network's."""
    found = dict[Any, int]()
    readers = [method for method in suite.methods if "network" in METHODS[method].reads]
    if getattr(suite.autoencoder, "pretrained", None):
        found[suite.autoencoder] = _autoencoder_weights(suite)
    if getattr(suite.network, "pretrained", None) and readers:
        network = min(budget.parameters(suite, method).sampling for method in readers)  # before it is widened
        found[suite.network] = network + text_encoder(suite.network.cross_attention_dim)
    return found


def _frozen(suite: Suite, method: str) -> int:
    return _autoencoder_weights(suite) if "autoencoder" in METHODS[method].reads else 0


def _autoencoder_weights(suite: Suite) -> int:
    with workload.META:
        return sum(weight.numel() for weight in make_autoencoder(unpretrained(suite).autoencoder).parameters())


def _average_bytes(suite: Suite, method: str) -> int:
    return WEIGHT * budget.parameters(suite, method).sampling * bool(suite.training.ema_decay)


def _state_bytes(suite: Suite, method: str) -> int:
    return STATE * budget.parameters(suite, method).training + _average_bytes(suite, method)


def _latent_bytes(suite: Suite, trained: list[Training]) -> int:
    """Mean and deviation of every image, and the modes of every kind of mask."""
    encoded = [training for training in trained if "autoencoder" in METHODS[training.method].reads]
    c, h, w = budget.latent_shape(suite)
    looks = workload.count(suite.data, "train").n * (1 + suite.training.flip)
    of_images = 2 * suite.run.cache_latents * bool(encoded)
    return 4 * c * h * w * looks * (of_images + suite.training.cached_perturbations * len(workload.kinds_of_masks(encoded)))


def _record_bytes(suite: Suite, one: Evaluation) -> int:
    """At most, of the arrays beside a record (records.Arrays), before they are compressed."""
    h, w = suite.data.size
    n = workload.count(suite.data, suite.evaluation.split).n
    synthesis, alone = one.task == "synthesis", one.task == "seed_agreement"
    channels = 3 + 1 + (3 if synthesis else 1)  # of picture, labels, output
    if one.method in METHODS and not alone and one.sampler == main_sampler(suite, one.method, one.task):
        channels += 3 * min(STATES, one.sampler.steps + 1)
    confused = 0 if alone else min(MIXED, len(CLASSES[suite.data.name])) ** 2
    features = workload.FEATURES[suite.synthesis.features.network][1] if synthesis else 0
    draws = 8 * DRAWN_METRICS * suite.evaluation.bootstrap_samples
    return min(suite.evaluation.examples, n) * channels * h * w + draws + n * (PAIR * confused + 4 * features)
