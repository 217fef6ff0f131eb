"""Where training batches come from: memory, the disk, or latents that were encoded once."""

from pathlib import Path
from typing import Any

from accelerate import Accelerator

from baselines import METHODS
from semflow.data import Dataset, swaps_of
from semflow.loading.batches import TrainingSet, Views, in_memory
from semflow.loading.latents import Encoder, Latents, Stop
from semflow.provenance import code_hash
from semflow.suite import Suite, keys
from semflow.training.build import make_pseudo_mask


def training_set(
    dataset: Dataset, suite: Suite, method: str, model: Any, accelerator: Accelerator, cache: Path, stop: Stop
) -> TrainingSet:
    """Training images by their views: held in memory, read anew at every step, or, for a method that sees latents, as those
    encoded once. cache: folder for latents.  stop: whether to end as they are encoded.
    """
    reads = METHODS[method].reads
    rgb = "pseudo_mask" in reads and suite.data.rgb_masks
    held = suite.run.in_memory and not rgb and not suite.data.cropped
    samples = in_memory(dataset, "load training images") if held else dataset
    views = Views(samples, swaps_of(suite.data), make_pseudo_mask(suite).colours().numpy() if rgb else None)
    perturbations, precision = suite.training.cached_perturbations, accelerator.mixed_precision
    if "autoencoder" not in reads or not (suite.run.cache_latents or perturbations):
        return views
    flips = (False, True) if suite.training.flip else (False,)
    encoder, moments, masks = Encoder(views, len(dataset), flips, accelerator, suite.run.workers, cache, stop), None, None
    if suite.run.cache_latents:
        moments = encoder.moments(model.autoencoder.moments, moments_made_of(suite, precision))
    if perturbations:
        masks = encoder.masks(model.encode_labels, perturbations, masks_made_of(suite, method, precision))
    return Latents(views, moments, masks)


def moments_made_of(suite: Suite, precision: str) -> dict[str, Any]:
    """All that cached moments of images are determined by, but flips."""
    code = ("semflow.method.autoencoder", "semflow.loading.batches", "semflow.loading.pixels", keys.data_module(suite))
    return {
        "data": suite.data.model_dump(mode="json", exclude={"root", "masks", "swap_left_right"}),
        "files": keys.stamp(suite.data, "train"),
        "autoencoder": keys.autoencoder_key(suite.autoencoder),
        "precision": precision,
        "code": code_hash(code, keys.other_data(suite))[:16],
    }


def masks_made_of(suite: Suite, method: str, precision: str) -> dict[str, Any]:
    """All that cached latents of masks are determined by, but flips and how many there are."""
    return moments_made_of(suite, precision) | {
        "data": suite.data.model_dump(mode="json", exclude={"root"}),
        "pseudo mask": suite.pseudo_mask.model_dump(mode="json"),
        "method": method,
        "swaps": [list(pair) for pair in swaps_of(suite.data)],
        "method's code": code_hash((METHODS[method].module, "semflow.method.pseudo_mask"))[:16],
    }
