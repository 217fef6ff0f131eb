"""Disk and memory that a study takes, in bytes, counted from its settings."""

from typing import Any

from semflow.data import DATASETS
from semflow.evaluation.common import STATES
from semflow.evaluation.metrics.segmentation import PIXELS_AT_ONCE
from semflow.method.prompt import TOKENS
from semflow.suite import Suite
from semflow.suite.reading import Study
from semflow.suite.registry import CONTROLS
from semflow.suite.runs import Evaluation, main_sampler
from semflow.tools.plan import costs, workload
from semflow.tools.plan.rates import Rates, computes_in_bf16
from semflow.tools.plan.workload import Training

KEPT = 16  # bytes a weight in training: weight, gradient, two moments, all float32
AVERAGE = 4  # and where an average of the weights is kept
HALVES = 2  # bytes a weight more, where it is computed with in bf16
STATE, WEIGHT = 12, 4  # bytes a weight in a state (weight, two moments; and the average) and in finished weights
VOCABULARY, LAYERS = 49_408, 12  # of CLIP's text encoder
METRICS = {"segmentation": 4, "synthesis": 8, "seed_agreement": 1}  # that have draws in a record
MIXED, PAIR = 16, 16  # classes that meet in a picture, as a guess; bytes in a record for two of them that are confused
COUNTING = 53  # bytes a pixel that metrics/segmentation.py was seen to hold while it counts


def disk(study: Study, wanted: dict[str, list[Evaluation]]) -> dict[str, int]:
    """All that is read and kept, but the data sets."""
    whats = (
        "pretrained weights",
        "cached latents",
        "training states",
        "a state that replaces one",
        "finished weights",
        "records",
    )
    sums, known = dict.fromkeys(whats, 0), set()
    for part, chosen in wanted.items():
        suite, trained = study.suites[part], workload.trainings(chosen)
        for section, n in _pretrained(suite).items():
            sums["pretrained weights"] += 0 if section in known else WEIGHT * n
            known.add(section)
        sums["cached latents"] += _latent_bytes(suite, trained)
        weights = [costs.parameters(suite, training.method).network for training in trained]
        states = [(STATE + _average(suite)) * n for n in weights]
        sums["training states"] += sum(states)
        sums["a state that replaces one"] = max([sums["a state that replaces one"], *states])
        sums["finished weights"] += WEIGHT * sum(weights)
        sums["records"] += sum(_record_bytes(suite, cell) for cell in chosen)
    return sums


def memory(study: Study, wanted: dict[str, list[Evaluation]], rates: Rates) -> dict[str, int]:
    """The largest job of each kind, without what its layers hold in between."""
    training, evaluation, split, held = [0], [0], [0], [0]
    on_the_host = rates.unit == "GPU"  # where a state passes through on its way to the disk
    for part, chosen in wanted.items():
        suite, (h, w) = study.suites[part], study.suites[part].data.size
        a_weight = KEPT + _average(suite) + HALVES * computes_in_bf16(suite, rates)
        methods = {cell.method for cell in chosen} - set(CONTROLS)
        for method in methods:
            n = costs.parameters(suite, method)
            training.append(a_weight * n.network + WEIGHT * n.autoencoder)
            evaluation.append(WEIGHT * (n.network + n.autoencoder))
        n_images = workload.count(suite.data, suite.evaluation.split).n
        drawn = 3 if any(cell.task == "synthesis" for cell in chosen) else 1
        pictures = 2 * (3 + 1)  # and labels, as they were read and in one tensor
        counting = min(n_images * h * w, PIXELS_AT_ONCE) * COUNTING
        split.append(n_images * (h * w * (pictures + drawn) + 8 * len(DATASETS[suite.data.name].names) ** 2) + counting)
        saving = max([0, *((STATE + _average(suite)) * costs.parameters(suite, method).network for method in methods)])
        held.append(workload.count(suite.data, "train").n * (3 + 1) * h * w * suite.run.in_memory + on_the_host * saving)
    if rates.unit != "GPU":
        return {"training": max(training) + max(held), "evaluation": max(evaluation) + max(split)}
    return {
        "training, on a GPU": max(training),
        "training, on the host": max(held),
        "evaluation, on a GPU": max(evaluation),
        "evaluation, on the host": max(split),
    }


def _average(suite: Suite) -> int:
    return AVERAGE if suite.training.ema_decay else 0


def text_encoder(width: int) -> int:
    """Weights of a CLIP text encoder: embeddings, blocks of attention and an MLP of four times the width, norms."""
    return (VOCABULARY + TOKENS + 2) * width + LAYERS * (12 * width**2 + 13 * width)


def _pretrained(suite: Suite) -> dict[Any, int]:
    """Weights that a suite begins with, by the section that names them; the text encoder's with the network's."""
    n, found = costs.parameters(suite, "semflow"), dict[Any, int]()
    if suite.autoencoder.kind == "kl" and suite.autoencoder.pretrained:
        found[suite.autoencoder] = n.autoencoder
    if suite.network.kind == "stable_diffusion" and suite.network.pretrained:
        found[suite.network] = n.network + text_encoder(suite.network.cross_attention_dim)
    return found


def _latent_bytes(suite: Suite, trained: list[Training]) -> int:
    """Mean and deviation of every image, and the modes of every kind of mask."""
    c, h, w = costs.latent_shape(suite)
    looks = workload.count(suite.data, "train").n * (1 + suite.training.flip)
    of_images = 2 * suite.run.cache_latents * bool(trained)
    return 4 * c * h * w * looks * (of_images + suite.training.cached_perturbations * len(workload.kinds_of_masks(trained)))


def _record_bytes(suite: Suite, cell: Evaluation) -> int:
    """Of the arrays beside a record (records.Arrays), before they are compressed."""
    h, w = suite.data.size
    n = workload.count(suite.data, suite.evaluation.split).n
    channels = 3 + 1 + (3 if cell.task == "synthesis" else 1)  # of picture, labels, output
    if cell.sampler == main_sampler(suite, cell.method, cell.task) and cell.task != "seed_agreement":
        channels += 3 * min(STATES, cell.sampler.steps + 1)
    confuses = cell.task != "seed_agreement" and cell.method != "real_images"
    confused = min(MIXED, len(DATASETS[suite.data.name].names)) ** 2 if confuses else 0
    features = costs.FEATURES[suite.synthesis.features.network][1] if cell.task == "synthesis" else 0
    draws = 8 * METRICS[cell.task] * suite.evaluation.bootstrap_samples
    return min(suite.evaluation.examples, n) * channels * h * w + draws + n * (PAIR * confused + 4 * features)
