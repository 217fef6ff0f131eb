"""What a training and an output cost: weights, and FLOPs as torch counts them on its meta device; no formula a method.

FLOPs are products of matrices and convolutions, a multiplication and an addition as two (torch's `FlopCounterMode`).
"""

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from baselines import METHODS
from semflow.data import info_of
from semflow.loading.batches import Batch
from semflow.method.autoencoder import Autoencoder, make_autoencoder
from semflow.method.contract import DOES, Method
from semflow.method.samplers import DIRECT, Sampler
from semflow.provenance import content_hash
from semflow.suite import Suite
from semflow.training import optimizers
from semflow.training.build import make_shape, unpretrained
from semflow.training.spent import Spent, TrainingBudget, means

META = torch.device("meta")
IMAGES = 2  # that FLOPs are counted of: batch norm has no statistics of one


class Counter(TorchDispatchMode):
    """Counts what torch's `FlopCounterMode` counts of all that runs under it on the meta device, several times as fast.

    There an operation's result is its shape alone, so one that has been met at the same shapes is not run again.
    """

    known: ClassVar[dict[Any, tuple[int, Any]]] = {}  # FLOPs and results

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not _makes_anew(operation):
            return operation(*args, **kwargs)
        key = operation, _shapes(args), _shapes(tuple(kwargs.items()))
        if key not in self.known:
            with FlopCounterMode(display=False) as counter:
                result = operation(*args, **kwargs)
            if not all(one is None or (isinstance(one, Tensor) and one.is_meta) for one in tree_leaves(result)):
                self.flops += counter.get_total_flops()
                return result
            self.known[key] = counter.get_total_flops(), result
        flops, result = self.known[key]
        self.flops += flops
        return tree_map_only(Tensor, _like, result)


class Parameters(NamedTuple):
    """Weights of the networks that sampling needs, and of all that are trained."""

    sampling: int
    training: int


def of_training(suite: Suite, method: str, spent: Spent | None, device: str | None) -> TrainingBudget:
    """Of a whole training. spent: what it took, if that is known.  device: on what."""
    steps, batch_size = optimizers.length(suite, method)
    weights, images = parameters(suite, method), steps * batch_size
    return TrainingBudget(
        parameters_sampling=weights.sampling,
        parameters_training=weights.training,
        images_seen=images,
        optimizer_steps=steps * len(_model(suite, method).phases),
        training_flops=float(images * training_flops(suite, method)),
        training_wall_s=None if spent is None else round(spent.wall_s, 1),
        training_device=device,
        first_losses=() if spent is None else spent.first_losses,
        losses={} if spent is None else means(spent.sums or {}, steps),
    )


def parameters(suite: Suite, method: str) -> Parameters:
    """How many weights a method's networks have."""
    model = _model(suite, method)
    count = {key: sum(weight.numel() for weight in network.parameters()) for key, network in model.networks.items()}
    return Parameters(sum(count[key] for key in model.sampling), sum(count.values()))


def training_flops(suite: Suite, method: str) -> int:
    """FLOPs of an image seen in training: looking at it, and every phase forward and backward."""
    return _once("training", suite, method, lambda: count(lambda: _step(suite, method)) // IMAGES)


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


@cache
def autoencoder(settings: Any) -> Autoencoder:
    """What a suite's `autoencoder:` section asks for, without weights."""
    with META:
        return make_autoencoder(settings)


def latent_shape(suite: Suite) -> tuple[int, int, int]:
    """(C, h, w) of an image's latents."""
    from_pixels = autoencoder(unpretrained(suite).autoencoder)
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
        with torch.no_grad(), Counter() as counter:

            def note(*_: Any) -> None:
                counts.append(counter.flops)

            networks = [model.networks[key] for key in model.sampling]
            hooks = [one.register_forward_pre_hook(note) for one in networks]
            hooks += [one.register_forward_hook(note) for one in networks]
            try:
                getattr(model, DOES[task])(inputs, sampler, None)
            finally:
                for hook in hooks:
                    hook.remove()
        calls = [after - before for before, after in zip(counts[::2], counts[1::2], strict=True)]
        return counter.flops // IMAGES, [call // IMAGES for call in calls]

    known: tuple[int, list[int]] = _once(f"{task} {sampler}", suite, method, run)
    return known


def count(run: Callable[[], Any]) -> int:
    """FLOPs of what runs on the meta device."""
    with Counter() as counter:
        run()
    return counter.flops


@cache
def _makes_anew(operation: Any) -> bool:
    """Whether an operation's result is no view of its inputs, and it changes none of them."""
    schema = operation._schema
    return not schema.is_mutable and not any(result.alias_info for result in schema.returns)


def _like(x: Tensor) -> Tensor:
    """Another of the same shape; torch's own `empty_like` takes ten times as long on the meta device."""
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device)


def _shapes(x: Any) -> Any:
    """All that a result's shape depends on, in a form that can be looked up."""
    if isinstance(x, Tensor):
        return x.shape, x.stride(), x.dtype, x.device
    return tuple(map(_shapes, x)) if isinstance(x, list | tuple) else (type(x), x)


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
        own["n_classes"] = len(info_of(suite.data).names)
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
