"""What the evaluations of one checkpoint share, each opened once, when it is first needed."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from baselines import METHODS
from semflow.data import Dataset, open_dataset
from semflow.errors import SemFlowError
from semflow.evaluation.features import (
    BATCH,
    EfficientNetLite0,
    Extractor,
    Perceptual,
    cached_features,
    make_extractor,
    make_perceptual,
)
from semflow.evaluation.metrics.intervals import blocks
from semflow.loading.batches import Batches, in_memory
from semflow.method.samplers import Sampler
from semflow.progress import Progress
from semflow.suite import Suite
from semflow.suite.reading import placeless, without_places
from semflow.suite.runs import Checkpoint, Evaluation, checkpoint_of, judges, main_sampler
from semflow.training import devices
from semflow.training.build import place
from semflow.training.card import Card
from semflow.training.checkpoints import open_checkpoint

FEW = 1024  # images; EfficientNet-Lite0's stages of one are 1.4 MB


class Judge(NamedTuple):
    """A segmenter that reads drawn pictures. sha256: of its weights."""

    method: str
    model: Any
    sampler: Sampler
    seed: int
    sha256: str

    @property
    def title(self) -> str:
        return f"{METHODS[self.method].title}, training seed {self.seed}, SHA-256 {self.sha256}"


class Session:
    """A suite's evaluation split, a model and the networks that pictures are compared through.

    of: an evaluation whose model it is; all that are measured in a session have the same, or are controls.
    folder: the model's checkpoint; controls have none.  cache: folder for features of real images.  judged_by: checkpoints of
    the suite's judges.
    """

    def __init__(self, suite: Suite, of: Evaluation, folder: Path | None, cache: Path, judged_by: Sequence[Path] = ()) -> None:
        self.suite, self.folder, self.cache, self.judged_by = suite, folder, cache, judged_by
        self.checkpoint = None if of.is_control else checkpoint_of(of)
        if self.checkpoint is not None and folder is None:
            raise SemFlowError(f"a checkpoint is needed to evaluate {of.method}")

    @cached_property
    def dataset(self) -> Dataset:
        return open_dataset(self.suite.data, self.suite.evaluation.split)

    @cached_property
    def pictures(self) -> tuple[Tensor, Tensor]:
        """All images and labels of the split, uint8 (n, 3, H, W) and (n, H, W)."""
        samples = in_memory(self.dataset, f"load {self.suite.evaluation.split} images")
        return Batches(samples)[range(len(samples))]

    @cached_property
    def units(self) -> np.ndarray:
        """Int (n,), the images that are drawn together in a bootstrap."""
        return blocks(self.dataset.groups, len(self.dataset), self.suite.evaluation.block_length)

    @cached_property
    def device(self) -> torch.device:
        idle = self.checkpoint is None and not self.suite.autoencoder.learned  # nothing that an accelerator would be faster at
        return devices.pick("cpu" if idle else self.suite.run.device)

    @cached_property
    def opened(self) -> tuple[Any, Card]:
        """(model on the device, its card). SemFlowError if the checkpoint is of another training."""
        assert self.checkpoint is not None
        assert self.folder is not None
        return self._open(self.checkpoint, self.folder)

    @property
    def model(self) -> Any:
        """None of a control."""
        return None if self.checkpoint is None else self.opened[0]

    @property
    def card(self) -> Card | None:
        """None of a control."""
        return None if self.checkpoint is None else self.opened[1]

    @cached_property
    def judges(self) -> tuple[Judge, ...]:
        """What reads drawn pictures, on the device. SemFlowError if there is another number of checkpoints, or others."""
        wanted = judges(self.suite)
        if len(wanted) != len(self.judged_by):
            named = " and ".join(f"{of.method} of training seed {of.seed}" for of in wanted) or "none (synthesis.judges)"
            raise SemFlowError(f"--judges: there are {len(self.judged_by)} checkpoints; the suite's judges are {named}")
        found = []
        for of, folder in zip(wanted, self.judged_by, strict=True):
            model, card = self._open(of, folder)
            found.append(Judge(of.method, model, main_sampler(of.method, "segmentation"), of.seed, card.weights_sha256))
        return tuple(found)

    def _open(self, of: Checkpoint, folder: Path) -> tuple[Any, Card]:
        reads = METHODS[of.method].reads
        model, card = open_checkpoint(folder, self.suite.autoencoder if "autoencoder" in reads else None)
        _check(self.suite, of, card, folder)
        place(model, self.device)
        return model, card

    @cached_property
    def extractor(self) -> Extractor:
        return make_extractor(self.suite.synthesis.features, self.device)

    @cached_property
    def perceptual(self) -> Perceptual:
        return make_perceptual(self.suite.synthesis.perceptual, self.device)

    @cached_property
    def kept_looks(self) -> list[list[Tensor]]:
        """What distances need of the split's images, by batches of `BATCH`."""
        return [self.perceptual.look(part) for part in self.pictures[0].split(BATCH)]

    def real_looks(self) -> Iterable[list[Tensor]]:
        """The same: of a few images looked at once for all records, of many, which memory would not hold, anew."""
        images = self.pictures[0]
        return self.kept_looks if len(images) <= FEW else (self.perceptual.look(part) for part in images.split(BATCH))

    def see(self, drawn: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Features of drawn pictures uint8 (n, 3, H, W), float32 (n, d), and the distance of each to the real one of its layout,
        (n,). A network that gives both looks at a picture once.
        """
        extractor, perceptual, rows = self.extractor, self.perceptual, list[tuple[Tensor, Tensor]]()
        with torch.inference_mode(), Progress("compare", len(drawn)) as progress:
            for part, real in zip(drawn.split(BATCH), self.real_looks(), strict=True):
                looks = perceptual.look(part)
                both = isinstance(extractor, EfficientNetLite0) and isinstance(perceptual, EfficientNetLite0)
                features = extractor.pool(looks) if both else extractor.features(part)  # type: ignore[attr-defined]
                rows.append((features.cpu(), perceptual.between(looks, real).cpu()))
                progress.update(len(part))
        features, distances = (torch.cat(column).numpy() for column in zip(*rows, strict=True))
        return features, distances

    @cached_property
    def real_features(self) -> np.ndarray:
        """Of the split's images, float32 (n, d)."""
        return cached_features(self.extractor, self.pictures[0], self.cache)


def _check(suite: Suite, wanted: Checkpoint, card: Card, folder: Path) -> None:
    """SemFlowError if a checkpoint is of another training than the one that is evaluated."""
    if (card.method, card.seed) != (wanted.method, wanted.seed):
        asked = f"{wanted.method} of training seed {wanted.seed}"
        raise SemFlowError(f"{folder} holds {card.method} of training seed {card.seed}, not {asked}")
    asked_for, held = _deciding(without_places(suite), wanted.method), _held(card)
    differing = [key for key, value in asked_for.items() if key in held and held[key] != value]
    if differing:
        mend = "train it again"
        if differing == ["pseudo_mask.amplitude"]:
            mend = f"give --amplitude {held['pseudo_mask.amplitude']:g}, or train it again"
        raise SemFlowError(f"{folder} was trained with another {', '.join(differing)} than {suite.suite}'s; {mend}")


def _deciding(sections: dict[str, Any], method: str) -> dict[str, Any]:
    """Every setting that decides what a training of a method gives, but the seed, by dotted key."""
    names = ("data", "training", *(name for name in ("pseudo_mask", "network") if name in METHODS[method].reads))
    flat = {f"{name}.{key}": value for name in names for key, value in sections[name].items()}
    own = {name: value for name, value in flat.items() if name not in ("data.n_test", "training.seeds")}
    return own | {f"methods.{method}.{key}": value for key, value in sections["methods"][method].items()}


def _held(card: Card) -> dict[str, Any]:
    """The same of a checkpoint. Keys that are younger than it are not in it."""
    sections = {"data": card.data, "training": card.training, "pseudo_mask": card.pseudo_mask or {}}
    sections |= {"network": placeless(card.network or {}), "methods": {card.method: placeless(card.settings)}}
    return _deciding(sections, card.method)
