"""What a training and an output cost: weights, and FLOPs as torch counts them on its meta device; no formula a method.

FLOPs are products of matrices and convolutions, a multiplication and an addition as two (torch's `FlopCounterMode`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from baselines import METHODS
from semflow.data import DATASETS
from semflow.loading.batches import Batch
from semflow.method.autoencoder import make_autoencoder
from semflow.method.contract import DOES, Method
from semflow.method.samplers import DIRECT, Sampler
from semflow.provenance import content_hash
from semflow.suite import Suite
from semflow.training import optimizers
from semflow.training.build import make_shape, unpretrained
from semflow.training.spent import TrainingBudget

META = torch.device("meta")
IMAGES = 2  # that FLOPs are counted of: batch norm has no statistics of one


class Parameters(NamedTuple):
    """Weights of the networks that sampling needs, and of all that are trained."""

    sampling: int
    training: int


def of_training(suite: Suite, method: str, wall_s: float | None, device: str | None) -> TrainingBudget:
    """Of a whole training. wall_s, device: what it took, on what."""
    steps, batch_size = optimizers.length(suite, method)
    weights, images = parameters(suite, method), steps * batch_size
    return TrainingBudget(
        parameters_sampling=weights.sampling,
        parameters_training=weights.training,
        images_seen=images,
        optimizer_steps=steps * len(_model(suite, method).phases),
        training_flops=float(images * training_flops(suite, method)),
        training_wall_s=None if wall_s is None else round(wall_s, 1),
        training_device=device,
    )


def parameters(suite: Suite, method: str) -> Parameters:
    """How many weights a method's networks have."""
    model = _model(suite, method)
    count = {key: sum(weight.numel() for weight in network.parameters()) for key, network in model.networks.items()}
    return Parameters(sum(count[key] for key in model.sampling), sum(count.values()))


def training_flops(suite: Suite, method: str) -> int:
    """FLOPs of an image seen in training: looking at it, and every phase forward and backward."""
    return _once("training", suite, method, lambda: _count(lambda: _step(suite, method)) // IMAGES)


def sampling_flops(suite: Suite, method: str, task: str, sampler: Sampler, evaluations: float | None = None) -> int:
    """FLOPs of an output, its encoding and decoding included.

    evaluations: of the network for an output, where the sampler chooses its own steps. ValueError if they are needed.
    """
    samplers = METHODS[method].tasks[task]
    if sampler == DIRECT:
        return _sampled(suite, method, task, sampler)[0]
    pilot, in_a_step = next((name, n) for name, n in samplers.items() if n)
    if evaluations is None:
        own = samplers[sampler.name]
        if own is None:
            raise ValueError(f"{sampler} chooses its own steps; say how many evaluations it took")
        evaluations = sampler.steps * own
    whole, calls = _sampled(suite, method, task, Sampler(pilot, 1))
    alone = len(calls) == in_a_step  # whether its networks compute in steps alone
    a_step = sum(calls) if alone else _sampled(suite, method, task, Sampler(pilot, 2))[0] - whole
    return round(whole - a_step + evaluations * a_step / in_a_step)


def latent_shape(suite: Suite) -> tuple[int, int, int]:
    """(C, h, w) of an image's latents."""
    with META:
        from_pixels = make_autoencoder(unpretrained(suite).autoencoder)
    h, w = (side // from_pixels.factor for side in suite.data.size)
    return from_pixels.channels, h, w


def _step(suite: Suite, method: str) -> None:
    model, carry = _model(suite, method), dict[str, Any]()
    seen = None
    for phase in model.phases:
        if seen is None:
            with torch.no_grad():
                seen = model.look(_batch(suite, method), None)
        for key, network in model.networks.items():
            network.requires_grad_(key in phase.moves)
        sum(model.losses(phase.name, seen, None, carry).values()).backward()  # type: ignore[union-attr]
    model.networks.requires_grad_(True)


def _batch(suite: Suite, method: str) -> Batch:
    """As training loads it: pictures and labels, or the latents that were cached."""
    (h, w), latents = suite.data.size, "autoencoder" in METHODS[method].reads
    image = torch.empty(IMAGES, 3, h, w, dtype=torch.uint8, device=META)
    mask = torch.empty(IMAGES, h, w, dtype=torch.uint8, device=META)
    if latents and suite.run.cache_latents:
        image = torch.empty(IMAGES, 2, *latent_shape(suite), device=META)
    if latents and suite.training.cached_perturbations:
        mask = torch.empty(IMAGES, *latent_shape(suite), device=META)
    return Batch(image, mask)


def _sampled(suite: Suite, method: str, task: str, sampler: Sampler) -> tuple[int, list[int]]:
    """FLOPs of an output by a sampler of so few steps that they are worth running, and of each call of the method's networks."""
    (h, w), model = suite.data.size, _model(suite, method)
    inputs = {
        "segmentation": lambda: torch.empty(IMAGES, 3, h, w, device=META),
        "synthesis": lambda: torch.empty(IMAGES, h, w, dtype=torch.uint8, device=META),
    }[task]()

    def run() -> tuple[int, list[int]]:
        counts: list[int] = []
        with torch.no_grad(), FlopCounterMode(display=False) as counter:

            def note(*_: Any) -> None:
                counts.append(counter.get_total_flops())

            networks = [model.networks[key] for key in model.sampling]
            hooks = [one.register_forward_pre_hook(note) for one in networks]
            hooks += [one.register_forward_hook(note) for one in networks]
            try:
                getattr(model, DOES[task])(inputs, sampler, None)
            finally:
                for hook in hooks:
                    hook.remove()
        calls = [after - before for before, after in zip(counts[::2], counts[1::2], strict=True)]
        return counter.get_total_flops() // IMAGES, [call // IMAGES for call in calls]

    known: tuple[int, list[int]] = _once(f"{task} {sampler}", suite, method, run)
    return known


def _count(run: Callable[[], None]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


_KNOWN: dict[str, Any] = {}


def _once(what: str, suite: Suite, method: str, work_out: Callable[[], Any]) -> Any:
    """A result kept by all of the suite that it depends on; where labels are colours, more classes cost nothing."""
    card = METHODS[method]
    sections = [name for name in ("autoencoder", "network") if name in card.reads]
    own: dict[str, Any] = {name: getattr(suite, name).model_dump(mode="json") for name in sections}
    own |= {name: getattr(suite.run, name) for name in ("cache_latents", "activation_checkpointing")}
    own |= {"cached_perturbations": suite.training.cached_perturbations, "size": suite.data.size, "what": what, "method": method}
    own |= {"settings": suite.methods[method].model_dump(mode="json")}
    if "pseudo_mask" not in card.reads:
        own["n_classes"] = len(DATASETS[suite.data.name].names)
    key = content_hash(own)
    if key not in _KNOWN:
        _KNOWN[key] = work_out()
    return _KNOWN[key]


def _model(suite: Suite, method: str) -> Method:
    """The model without weights: shapes alone."""

    def build() -> Method:
        model = make_shape(suite, method)
        if suite.run.activation_checkpointing:
            for network in model.networks.values():
                network.checkpoint_activations()
        model.networks.train()
        return model

    return _once("model", suite, method, build)
