"""How a phase is optimized: its recipe, its schedule, and the moving average of what sampling needs."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from semflow.errors import SemFlowError
from semflow.method.contract import Phase
from semflow.suite import Suite

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.Embedding)  # and embeddings: what may not decay
POWER = 0.9  # of the schedule `poly`
WARM_UP = 10  # the average's decay after n steps is at most (1 + n) / (WARM_UP + n)


class Recipe(NamedTuple):
    """Of one phase. steps: of the whole training."""

    steps: int
    lr: float
    lr_schedule: str
    warmup_steps: int
    betas: tuple[float, float]
    weight_decay: float
    grad_clip: float
    lr_multipliers: Mapping[str, float] = {}
    decay_norms: bool = True


def length(suite: Suite, method: str) -> tuple[int, int]:
    """(steps, images a step) of a method's training, in which it sees as many images as every other of the suite."""
    whole, own = suite.training.batch_size, suite.methods[method].batch_size
    return suite.training.steps * (whole // (own or whole)), own or whole


def ema_decay(suite: Suite, method: str) -> float:
    """Of the average of a method's weights; 0: there is none."""
    own = suite.methods[method].ema_decay
    return suite.training.ema_decay if own is None else own


def recipe(suite: Suite, method: str, phase: str) -> Recipe:
    """The suite's recipe, with what the method's settings say of the phase in its place."""
    steps, size = length(suite, method)
    shared = suite.training.model_dump(include=set(Recipe._fields)) | {"steps": steps}
    shared["warmup_steps"] *= suite.training.batch_size // size  # of as many images
    own = getattr(suite.methods[method], phase, None)
    return Recipe(**shared | (own.model_dump(exclude_none=True) if own else {}))


def optimizer_of(groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.AdamW:
    """AdamW, fused into one kernel; without weight decay it is Adam."""
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, fused=True)


def groups_of(parameters: dict[str, nn.Parameter], networks: nn.ModuleDict, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by name, beginning with their network's key, as AdamW takes them: together where they share a multiplier of the
    learning rate and a weight decay. SemFlowError if a multiplier is of a network that is not among them."""
    moved = {name.partition(".")[0] for name in parameters}
    if foreign := sorted(recipe.lr_multipliers.keys() - moved):
        raise SemFlowError(f"lr_multipliers: {foreign[0]} is no network that the phase moves; name {' or '.join(sorted(moved))}")
    of_norms = {id(w) for module in networks.modules() if isinstance(module, NORMS) for w in module.parameters(recurse=False)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, weight in parameters.items():
        multiplier = recipe.lr_multipliers.get(name.partition(".")[0], 1.0)
        decays = recipe.decay_norms or id(weight) not in of_norms
        groups.setdefault((multiplier, recipe.weight_decay if decays else 0.0), []).append(weight)
    return [{"params": some, "multiplier": by, "weight_decay": decay} for (by, decay), some in groups.items()]


def schedule(recipe: Recipe) -> Callable[[int], float]:
    """Learning rate as a function of the step alone, so that a resumed run needs no scheduler's state.

    It rises from 0 over `warmup_steps`, whose last step has all of it; then it is constant, or falls to 0: linearly, linearly
    over the second half of the training (`half_linear`), as half a cosine (Loshchilov and Hutter, 2017, without restarts), or as
    what is left to the power .9 (`poly`; Chen et al., 2017).
    """
    warmup, after = recipe.warmup_steps, max(1, recipe.steps - recipe.warmup_steps)

    def factor(step: int) -> float:
        if step < warmup - 1:
            return (step + 1) / warmup
        if step < warmup or recipe.lr_schedule == "constant":
            return 1.0
        if recipe.lr_schedule == "half_linear":
            return max(0.0, min(1.0, 2 * (recipe.steps - step) / recipe.steps))
        if recipe.lr_schedule in ("linear", "poly"):
            left = max(0.0, (recipe.steps - step) / after)
            return left if recipe.lr_schedule == "linear" else left**POWER
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * ((step - warmup) / after))))

    return lambda step: recipe.lr * factor(step)


class Average:
    """Exponential moving average of tensors, by name; its decay warms up as diffusers' does (WARM_UP)."""

    def __init__(self, parameters: dict[str, Tensor], decay: float) -> None:
        self.parameters, self.decay, self.steps = parameters, decay, 0
        self.values = {name: value.detach().clone() for name, value in parameters.items()}

    @torch.no_grad()
    def step(self) -> None:
        """Take them in as they are now; the first time they are all of it."""
        n, self.steps = self.steps, self.steps + 1
        decay = min((1 + n) / (WARM_UP + n), self.decay) if n else 0.0
        averages: list[Tensor] = list(self.values.values())
        torch._foreach_sub_(averages, torch._foreach_sub(averages, list(self.parameters.values())), alpha=1 - decay)

    @torch.no_grad()
    def apply(self) -> None:
        """Put the averages in the parameters' place."""
        for name, value in self.values.items():
            self.parameters[name].copy_(value)


class Turn:
    """A phase with its optimizer: the parameters that it moves, by name, and its learning rate at every step."""

    def __init__(self, phase: Phase, networks: nn.ModuleDict, recipe: Recipe) -> None:
        self.phase, self.recipe = phase, recipe
        self.parameters = {f"{key}.{name}": weight for key in phase.moves for name, weight in networks[key].named_parameters()}
        self.optimizer = optimizer_of(groups_of(self.parameters, networks, recipe), recipe)
        self.rate = schedule(recipe)

    def take(self, step: int) -> Tensor:
        """Clip the gradient, make the optimizer's step, and clear the gradient; returns its norm before clipping."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(step) * group["multiplier"]
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.recipe.grad_clip or math.inf)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm
