"""The contract of a method: a card, read before anything runs, and a model. Imports no torch.

CONTRIBUTING.md says how to add one. `training` knows phases and named losses, `evaluation` knows tasks; neither knows a method.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import Field

from semflow.errors import SemFlowError
from semflow.method.samplers import STEPLESS, Sampler, has_no
from semflow.section import Fraction, Positive, Section

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from semflow.loading.batches import Batch
    from semflow.method.autoencoder import Autoencoder
    from semflow.method.pseudo_mask import PseudoMask
    from semflow.method.settings import Network
    from semflow.seeds import Source

Task = Literal["segmentation", "synthesis"]
DOES = {"segmentation": "segment", "synthesis": "synthesize"}  # the function of a model that does a task
Schedule = Literal["constant", "linear", "half_linear", "cosine", "poly"]


class Recipe(Section):
    """How one phase is optimized, where that is not as the suite's `training` says.

    lr_multipliers: by a network's key, what its learning rate is multiplied by; 1 for all others.
    decay_norms: false: weights of norms and of embeddings do not decay.
    """

    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    lr_schedule: Schedule | None = None
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    betas: Annotated[tuple[Fraction, Fraction], Field(strict=False)] | None = None
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    grad_clip: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    lr_multipliers: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = None
    decay_norms: bool | None = None


class Settings(Section):
    """What stands under `methods.<name>`; a method's own are a subclass, with a `Recipe` under the name of a phase that has one.

    batch_size: where it is not the suite's, of which it must be a divisor: the same images are seen, in more steps.
    ema_decay: where it is not the suite's.
    """

    batch_size: Positive | None = None
    ema_decay: Fraction | None = None


@dataclass(frozen=True)
class Card:
    """What is known of a method before its model is imported.

    title, colour: in tables and figures; the colour as matplotlib takes it.
    model: where its class is, "package.module:Class".
    tasks: for each task that it does, its samplers with the evaluations of its network that a step takes (of `direct`: that it
        takes in all); None where a sampler chooses its own steps.
    default: the sampler that each task is known by, such as "euler-25".
    reads: sections of a suite that decide its weights, besides `training` and its own: data, pseudo_mask, autoencoder, network.
    seeded: tasks whose results depend on a sampling seed.
    trajectory: whether the states between image and labels can be shown (its class is a `Trajectory`).
    velocities: samplers whose steps go along the network's own velocity, so that the states tell how straight paths are.
    perturbed: whether its masks are perturbed (Eq. 14), in training and, where it synthesizes, in sampling.
    steps_divide: what every number of steps must divide; 0: any number will do.  most_steps: that there are; 0: no end of them.
    modified: how it differs from the published method, a phrase; "" where it does not.
    """

    title: str
    colour: str
    model: str
    tasks: Mapping[str, Mapping[str, int | None]]
    default: Mapping[str, str]
    reads: tuple[str, ...]
    Settings: type[Settings] = Settings
    seeded: frozenset[str] = frozenset()
    trajectory: bool = False
    velocities: frozenset[str] = frozenset()
    perturbed: bool = False
    steps_divide: int = 0
    most_steps: int = 0
    modified: str = ""

    @property
    def module(self) -> str:
        return self.model.partition(":")[0]

    def load(self) -> type["Method"]:
        """The class of its model."""
        module, _, name = self.model.partition(":")
        return getattr(import_module(module), name)

    def check(self, task: str, sampler: Sampler) -> None:
        """SemFlowError if the method does not do a task, or not by a sampler."""
        if task not in self.tasks:
            raise SemFlowError(f"{self.title} cannot do {task}; it does {', '.join(self.tasks)}")
        if sampler.name not in self.tasks[task]:
            raise SemFlowError(has_no(self.title, sampler.name, task, self.tasks[task]))
        if not sampler.steps and sampler.name not in STEPLESS:
            raise SemFlowError(f"sampler {sampler} needs steps, such as 25")
        if sampler.steps and sampler.name in STEPLESS:
            raise SemFlowError(f"sampler {sampler.name} takes no steps ({STEPLESS[sampler.name]}); leave them out")
        if self.steps_divide and sampler.steps and self.steps_divide % sampler.steps:
            raise SemFlowError(
                f"sampler {sampler}: {self.title} takes steps that divide its {self.steps_divide} timesteps, such as 25"
            )
        if self.most_steps and sampler.steps > self.most_steps:
            raise SemFlowError(f"sampler {sampler}: {self.title} has {self.most_steps} timesteps; take at most so many steps")


@dataclass(frozen=True)
class Blueprint:
    """What a suite says of a model that is to be built. size: height and width of pictures.

    pseudo_mask, autoencoder, network: None where a checkpoint's card has none, since its method reads none.
    """

    n_classes: int
    size: tuple[int, int]
    amplitude: float
    pseudo_mask: "PseudoMask | Any"
    autoencoder: "Autoencoder | Any"
    network: "Network"


class Phase(NamedTuple):
    """One optimizer's turn within every step. moves: keys of `networks` that it trains; all others are frozen meanwhile."""

    name: str
    moves: tuple[str, ...]


class Method(Protocol):
    """A model that is trained and evaluated.

    networks: an nn.ModuleDict of `Network`s, all that must survive a kill: weights; in buffers statistics, spectral vectors,
        pools.
    sampling: keys of those that inference needs: they are averaged, exported and counted.
    beside: an nn.ModuleList of frozen networks that are no part of a checkpoint, such as the autoencoder.
    phases: in the order in which they take their turns.
    rowwise: whether losses are means over rows, so that a batch may be cut into micro-batches.
    """

    networks: Any
    sampling: tuple[str, ...]
    beside: Any
    phases: tuple[Phase, ...]
    rowwise: bool

    # Two more a method may have, by which it is told whether it was trained well enough: `chance`, by metric the losses
    # ("phase/name") of a discriminator that cannot tell, and `diagnose(images, labels, generator)`, by metric one value an image.

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "Method":
        """With fresh weights, or pretrained ones where the blueprint's network has them; draws from torch's global generator."""
        ...

    def look(self, batch: "Batch", source: "Source") -> Any:
        """What all phases of a step see of a batch, worked out without gradient: latents, or pixels and labels."""
        ...

    def losses(self, phase: str, x: Any, source: "Source", carry: dict[str, Any]) -> "dict[str, Tensor]":
        """A phase's losses by name, weighted scalars whose sum is minimised. carry: lives for a step, empty at its beginning."""
        ...


class Segments(Method, Protocol):
    """Does segmentation."""

    def segment(self, images: "Tensor", sampler: Sampler, generator: "torch.Generator") -> "Tensor":
        """images float (B, 3, H, W) in [-1, 1] to labels uint8 (B, H, W)."""
        ...


class Synthesizes(Method, Protocol):
    """Does synthesis. amplitude: of the perturbation, if not that of training; given to methods alone that are `perturbed`."""

    def synthesize(
        self, labels: "Tensor", sampler: Sampler, generator: "torch.Generator", amplitude: float | None = None
    ) -> "Tensor":
        """labels uint8 (B, H, W), 255 ignored, to images float (B, 3, H, W) in [-1, 1]."""
        ...


class Trajectory(Method, Protocol):
    """Goes from images to labels and back on paths whose states are latents (B, C, h, w)."""

    def encode_images(self, images: "Tensor") -> "Tensor":
        """images float (B, 3, H, W) in [-1, 1] to the latents that segmentation begins with."""
        ...

    def encode_labels(self, labels: "Tensor", source: "Source", amplitude: float | None = None) -> "Tensor":
        """labels uint8 (B, H, W), 255 ignored, to the latents that synthesis begins with."""
        ...

    def path(self, z: "Tensor", sampler: Sampler, reverse: bool = False, points: int = 10) -> "Iterator[Tensor]":
        """Every state from z on, z itself the first; reverse: towards the image. points: where the sampler chooses its steps."""
        ...

    def to_labels(self, z: "Tensor") -> "Tensor":
        """The last state of a segmentation to labels uint8 (B, H, W)."""
        ...

    def to_images(self, z: "Tensor") -> "Tensor":
        """The last state of a synthesis to images float (B, 3, H, W) in [-1, 1]."""
        ...

    def decode(self, z: "Tensor") -> "Tensor":
        """Any state to a picture, float (B, 3, H, W), about [-1, 1], not clipped."""
        ...
