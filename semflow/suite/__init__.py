"""The schema of a suite: every section of its configuration file, strict; little has a default. Imports no torch."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model, model_validator

from baselines import METHODS
from semflow.data import Data, info_of
from semflow.errors import did_you_mean
from semflow.method.contract import Schedule, Settings
from semflow.method.settings import Autoencoder, Network, PseudoMask
from semflow.section import Fraction, Many, Name, Positive, Section
from semflow.suite.measurements import Entry, EvaluationSettings, SynthesisSettings

ALEXNET_SIDE = 31  # of the smallest picture that is not lost in its pooling


class Training(Section):
    """The recipe, the same for every method. A step is one optimizer step of `batch_size` images over all devices.

    grad_clip: the most that a gradient's norm may be; 0: however large.
    cached_perturbations: 0: masks are perturbed and encoded anew at every step (Eq. 14); K: each has K perturbed latents, made
    once.
    """

    seeds: Many[Annotated[int, Field(ge=0)]]
    steps: Positive
    batch_size: Positive
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    lr_schedule: Schedule
    warmup_steps: Annotated[int, Field(ge=0)]
    betas: Annotated[tuple[Fraction, Fraction], Field(strict=False)]
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    grad_clip: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    ema_decay: Fraction
    flip: bool
    precision: Literal["fp32", "bf16"]
    cached_perturbations: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _seeds_differ(self) -> "Training":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} name a training twice")
        return self


class RunSettings(Section):
    """How to run, which is no part of any hash. Whether bf16 is used is the device's to say; it and the keys from micro_batch
    to activation_checkpointing may change the last bits.

    micro_batch: images that a device takes at once; null: as many as fit, found by trying.  cache_latents: encode every
    training image once and keep its moments under results/latents.  evaluations_per_job: of the evaluations of a checkpoint;
    null: one job does them all and opens model and data once; 1: as many jobs as a cluster can run side by side.
    """

    device: Literal["auto", "cpu", "cuda", "mps"]
    in_memory: bool
    workers: Annotated[int, Field(ge=0)]
    log_every: Positive
    checkpoint_every: Positive
    micro_batch: Positive | None
    channels_last: bool
    compile: bool
    activation_checkpointing: bool
    cache_latents: bool
    evaluations_per_job: Positive | None


_fields: dict[str, Any] = {name: (card.Settings | None, None) for name, card in METHODS.items()}
Methods = create_model("Methods", __base__=Section, **_fields)  # what may stand under `methods`


def configured(raw: Any) -> dict[str, Settings]:
    """The methods that a suite may run, each with its settings."""
    sections = Methods.model_validate(raw)
    return {name: settings for name in METHODS if (settings := getattr(sections, name)) is not None}


class Suite(Section):
    """Everything a suite is.

    shares: another suite, whose trainings and records are taken where they are the same.
    checkpoints: a folder of finished checkpoints, each named after its method, that are evaluated in place of trainings.
    variants: by a name, keys of sections that some trainings have otherwise.
    """

    suite: Name
    shares: Name | None = None
    checkpoints: Path | None = Field(default=None, strict=False)
    data: Data
    pseudo_mask: PseudoMask
    autoencoder: Autoencoder
    network: Network
    training: Training
    run: RunSettings
    methods: Annotated[dict[str, Any], BeforeValidator(configured, json_schema_input_type=Methods)]
    evaluation: EvaluationSettings
    synthesis: SynthesisSettings
    variants: dict[Name, dict[Literal["pseudo_mask", "network", "training"], dict[str, Any]]] = {}
    runs: Many[Entry]

    @property
    def is_large(self) -> bool:
        """Whether pictures are too large for any machine: what works with them asks for more memory and time."""
        h, w = self.data.size
        return h * w >= 256**2

    @model_validator(mode="after")
    def _runs_are_of_configured_methods(self) -> "Suite":
        for number, entry in enumerate(self.runs):
            if entry.method not in self.methods:
                raise ValueError(f"runs.{number}: {entry.method} has no settings; give them under methods.{entry.method}")
            for name in entry.variants or ():
                if name not in self.variants:
                    known = did_you_mean(name, self.variants, f"; there are {', '.join(self.variants) or 'none'}")
                    raise ValueError(f"runs.{number}.variants: there is no variant {name}{known}")
            for seed in entry.training_seeds or ():
                if seed not in self.training.seeds:
                    raise ValueError(
                        f"runs.{number}.training_seeds: {seed} is not among training.seeds {list(self.training.seeds)}"
                    )
        return self

    @model_validator(mode="after")
    def _judges_can_be_trained(self) -> "Suite":
        judges = self.synthesis.judges
        if judges is None:
            if any("consistency" in entry.task for entry in self.runs):
                raise ValueError("runs ask for consistency, which is read by synthesis.judges; name them")
            return self
        for name in (judges.first, judges.second):
            if name not in self.methods:
                raise ValueError(f"synthesis.judges: {name} has no settings; give them under methods.{name}")
        if judges.seed in self.training.seeds:
            raise ValueError(f"synthesis.judges.seed {judges.seed} is among training.seeds; a judge must be another training")
        return self

    @model_validator(mode="after")
    def _batch_sizes_divide(self) -> "Suite":
        whole, run = self.training.batch_size, {entry.method for entry in self.runs}
        for name, settings in self.methods.items():
            if name in run and settings.batch_size and not settings.steps and whole % settings.batch_size:
                raise ValueError(f"methods.{name}.batch_size {settings.batch_size} must divide training.batch_size {whole}")
        return self

    @model_validator(mode="after")
    def _amplitudes_fit(self) -> "Suite":
        b, s = self.pseudo_mask.amplitude, self.pseudo_mask.s
        for number, entry in enumerate(self.runs):
            for amplitude in (entry.amplitudes or (b,)) if entry.card.perturbed and not entry.variants else ():
                most = amplitude * max(1, *entry.sampling_amplitudes)
                if most >= s / 2:
                    raise ValueError(f"runs.{number}: an amplitude of {most:g} is not below pseudo_mask.s/2 = {s / 2:g} (Eq. 14)")
        return self

    @model_validator(mode="after")
    def _pictures_fit_perceptual_network(self) -> "Suite":
        if self.synthesis.perceptual.network == "alexnet" and min(self.data.size) < ALEXNET_SIDE:
            raise ValueError(f"synthesis.perceptual: alexnet takes pictures of at least {ALEXNET_SIDE} x {ALEXNET_SIDE} pixels")
        return self

    @model_validator(mode="after")
    def _classes_fit_anchors(self) -> "Suite":
        n_classes = len(info_of(self.data).names)
        if n_classes > self.pseudo_mask.k**3:
            raise ValueError(
                f"pseudo_mask.k = {self.pseudo_mask.k} has {self.pseudo_mask.k**3} anchors, too few for {n_classes} classes"
            )
        return self

    @model_validator(mode="after")
    def _crops_are_not_cached(self) -> "Suite":
        cached = (
            "run.cache_latents"
            if self.run.cache_latents
            else "training.cached_perturbations"
            if self.training.cached_perturbations
            else ""
        )
        if cached and self.data.cropped:
            raise ValueError(f"{cached} needs data.view: resize, since a random crop is another picture every time")
        return self

    @model_validator(mode="after")
    def _network_fits_latents(self) -> "Suite":
        pixels = self.network.reduction * getattr(self.autoencoder, "factor", 1)
        if any(side % pixels for side in self.data.size):
            raise ValueError(f"data.size {list(self.data.size)} must be multiples of {pixels}, the network's whole reduction")
        return self
