"""Disk and memory that a study takes, in bytes, counted from its settings."""

from baselines import METHODS
from semflow.data import info_of
from semflow.evaluation.common import STATES
from semflow.suite import Suite
from semflow.suite.reading import Study
from semflow.suite.runs import Checkpoint, Evaluation, main_sampler, trainings
from semflow.tools.plan import workload
from semflow.tools.plan.rates import Unit, computes_in_bf16
from semflow.training import budget
from semflow.training.build import unpretrained

WEIGHT, HALF = 4, 2  # bytes in float32 and in bf16
KEPT, STATE = 4 * WEIGHT, 3 * WEIGHT  # a weight with its gradient and two moments; a state on disk has no gradient
METRICS = {"segmentation": 4, "synthesis": 8, "seed_agreement": 1, "consistency": 2}  # that have draws in a record
MIXED, PAIR = 16, 16  # classes that meet in a picture, as a guess; bytes in a record for two of them that are confused


def disk(study: Study, wanted: dict[str, list[Evaluation]]) -> dict[str, int]:
    """All that is written, but data sets and pretrained weights."""
    trained = {name: trainings(study.suites[name], chosen) for name, chosen in wanted.items()}
    each = [(study.suites[name], one.method) for name, those in trained.items() for one in those]
    states = [_state_bytes(suite, method) for suite, method in each]
    return {
        "cached latents": sum(_latent_bytes(study.suites[name], those) for name, those in trained.items()),
        "training states": sum(states),
        "a state that replaces one": max(states, default=0),
        "finished weights": sum(WEIGHT * budget.parameters(suite, method).sampling for suite, method in each),
        "records, before compression": sum(_record_bytes(study.suites[name], one) for name in wanted for one in wanted[name]),
    }


def memory(study: Study, wanted: dict[str, list[Evaluation]], unit: Unit) -> dict[str, int]:
    """On the device of the largest training and evaluation, without what their layers hold in between."""
    training, evaluation = [0], [0]
    for suite, chosen in ((study.suites[name], chosen) for name, chosen in wanted.items()):
        kept = KEPT + HALF * computes_in_bf16(suite, unit)
        for method in {one.method for one in trainings(suite, chosen)}:
            weights, frozen = budget.parameters(suite, method), WEIGHT * _frozen(suite, method)
            training.append(kept * weights.training + _average_bytes(suite, method) + frozen)
            evaluation.append(WEIGHT * weights.sampling + frozen)
    return {"training": max(training), "evaluation": max(evaluation)}


def _frozen(suite: Suite, method: str) -> int:
    """Weights of the autoencoder, where a method reads it."""
    if "autoencoder" not in METHODS[method].reads:
        return 0
    return sum(weight.numel() for weight in budget.autoencoder(unpretrained(suite).autoencoder).parameters())


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
    (h, w), n = suite.data.size, workload.count(suite.data, suite.evaluation.split).n
    synthesis, alone = one.task == "synthesis", one.task == "seed_agreement"
    channels = 3 + 1 + (3 if synthesis else 1)  # of picture, labels, output
    if not (one.is_control or alone) and one.sampler == main_sampler(one.method, one.task):
        channels += 3 * min(STATES, one.sampler.steps + 1)
    confused = 0 if alone else min(MIXED, len(info_of(suite.data).names)) ** 2
    features = workload.FEATURES[suite.synthesis.features.network][1] if synthesis else 0
    draws = 8 * METRICS[one.task] * suite.evaluation.bootstrap_samples
    return min(suite.evaluation.examples, n) * channels * h * w + draws + n * (PAIR * confused + 4 * features)
