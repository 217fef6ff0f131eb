"""The result record: what was measured, on what, by what. Checked at writing and at reading. Imports no torch."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy import sparse

from semflow import files
from semflow.errors import SemFlowError, sentence
from semflow.evaluation.metrics.catalogue import KINDS, Direction, Unit
from semflow.evaluation.metrics.intervals import interval
from semflow.suite.runs import Task


class Fields(BaseModel):
    """Strict and closed, like the configuration; every number is finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Metric(Fields):
    """A value with its 95 % interval over test images, each where it has one; in the unit named."""

    value: float | None
    low: float | None
    high: float | None
    unit: Unit
    direction: Direction

    @classmethod
    def of(cls, name: str, value: float, draws: np.ndarray | None) -> "Metric":
        """The metric `name` of the catalogue, its interval made from its bootstrap draws, if there are any; None for what is not
        finite."""
        kind = KINDS[name]
        ends = () if draws is None or not np.isfinite(value) else interval(value, draws, kind.resampled)
        low, high = ends if ends and np.isfinite(ends).all() else (None, None)
        return cls(value=value if np.isfinite(value) else None, low=low, high=high, unit=kind.unit, direction=kind.direction)


class Protocol(Fields):
    """How it was measured; numbers under different protocols are different metrics.

    networks: what pictures are compared through, by role, with the SHA-256 of its weights.
    """

    evaluation_size: tuple[int, int]
    resize: str
    mean_over: dict[str, str]
    networks: dict[str, str]
    interval: str
    bootstrap_samples: int
    bootstrap_seed: int


class Provenance(Fields):
    """Where it came from."""

    command: str
    commit: str
    dirty: bool
    config_sha256: str
    data_sha256: str
    checkpoint_sha256: str | None
    code_sha256: str
    versions: dict[str, str]
    device: str
    host: str
    threads: int
    wall_s: float
    images_per_s: float


class Budget(Fields):
    """What the method's training took, and what an output takes.

    parameters_sampling, parameters_training: weights of the networks that sampling needs, and of all that are trained.
    training_flops: of all phases, forward and backward, and of the encoders that ran in its steps.  Of weights that were trained
    elsewhere it is not known what their training took.  first_losses: of its first steps.  losses: by name, over equal parts.
    """

    parameters_sampling: int
    parameters_training: int
    images_seen: int | None = None
    optimizer_steps: int | None = None
    training_flops: float | None = None
    training_wall_s: float | None = None
    training_device: str | None = None
    first_losses: tuple[float, ...] = ()
    losses: dict[str, tuple[float, ...]] = {}
    flops_per_output: float


class Record(Fields):
    """One evaluation.

    variant: of the suite, by which the method was trained, "" for the suite as it is.
    amplitude, sampling_amplitude: of the perturbation in training and in sampling (Eq. 14), in 0..255 units.
    budget: None for a control.  evaluations: of the network, for one image.
    reasons: by metric, why it, or an interval that others of its kind have, is null.
    class_iou: of segmentation, and of a synthesized image's own segmentation.  outputs_sha256: of all that was predicted.
    """

    format: Literal[4] = 4
    suite: str
    dataset: str
    split: str
    method: str
    task: Task
    sampler: str
    steps: Annotated[int, Field(ge=0)]
    variant: str
    amplitude: Annotated[float, Field(ge=0)]
    sampling_amplitude: Annotated[float, Field(ge=0)]
    settings: dict[str, Any]
    training_seed: int
    sampling_seed: int
    n_images: Annotated[int, Field(ge=1)]
    budget: Budget | None
    evaluations: Annotated[float, Field(ge=0)]
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    metrics: dict[str, Metric]
    reasons: dict[str, str] = {}
    class_iou: dict[str, float | None]
    outputs_sha256: str
    arrays_sha256: str
    protocol: Protocol
    provenance: Provenance

    @property
    def n_parameters(self) -> int | None:
        """Weights that sampling needs; None for a control."""
        return None if self.budget is None else self.budget.parameters_sampling


@dataclass(frozen=True)
class Arrays:
    """What lies beside a record as npz.

    units: int (n_images,), resampling units.  draws: by metric, float (n_samples,), its bootstrap draws, paired between
    records of one data set.  values: by metric, float (n_images or n_layouts,).
    confusions: sparse int64 (n_images, n * n), rows ground truth, or None.
    images: uint8 (k, 3, H, W), labels: uint8 (k, H, W) of a few examples; outputs: what was predicted for them, label maps
    (k, H, W) or images (k, 3, H, W).  states: uint8 (k, n_states, 3, H, W), decoded, along the way, or None.
    """

    units: np.ndarray
    draws: dict[str, np.ndarray]
    images: np.ndarray
    labels: np.ndarray
    outputs: np.ndarray
    values: dict[str, np.ndarray] = field(default_factory=dict)
    confusions: sparse.csr_array | None = None
    states: np.ndarray | None = None

    def save(self, path: Path) -> str:
        """Write atomically; returns the file's SHA-256."""
        arrays: dict[str, Any] = {"units": self.units, "images": self.images, "labels": self.labels, "outputs": self.outputs}
        arrays |= {f"draws.{name}": draws for name, draws in self.draws.items()}
        arrays |= {f"values.{name}": values for name, values in self.values.items()}
        arrays |= {} if self.states is None else {"states": self.states}
        if self.confusions is not None:
            matrix = self.confusions.tocoo()
            arrays |= {"image": matrix.row.astype(np.int32), "cell": matrix.col.astype(np.int32)}
            arrays |= {"count": matrix.data.astype(np.int64), "shape": np.array(matrix.shape)}
        files.write_atomically(path, lambda part: np.savez_compressed(part, **arrays))
        return hashlib.sha256(path.read_bytes()).hexdigest()

    @classmethod
    def load(cls, path: Path) -> "Arrays":
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            plain = {name: arrays[name] for name in ("units", "images", "labels", "outputs")}
            plain |= {"states": arrays.get("states")}
            plain |= {group: _group(arrays, group) for group in ("draws", "values")}
            if "shape" in arrays:
                entries = arrays["count"], (arrays["image"], arrays["cell"])
                plain["confusions"] = sparse.csr_array(entries, shape=tuple(arrays["shape"]))
            return cls(**plain)
        except FileNotFoundError:
            raise SemFlowError(f"there are no arrays at {path}; run the evaluation again") from None
        except PermissionError as error:
            raise files.unreadable(error, path) from None
        except Exception as error:  # zip, zlib and NumPy each raise their own for a damaged file
            raise SemFlowError(f"{path} is damaged ({error}); delete it and run the evaluation again") from None


def _group(arrays: dict[str, np.ndarray], group: str) -> dict[str, np.ndarray]:
    return {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(f"{group}.")}


def arrays_path(record: Path) -> Path:
    """The npz beside a record."""
    return Path(record).with_suffix(".npz")


def write(path: Path, record: Record) -> None:
    """Write a record as JSON, atomically."""
    files.write_json(path, record.model_dump(mode="json"))


def read(path: Path) -> Record:
    """Read and check a record; SemFlowError names the file and what is wrong in it."""
    raw = files.read_json(path, "record")
    if isinstance(raw, dict) and raw.get("format") != 4:
        raise SemFlowError(f"{path} is a record of format {raw.get('format')}, not 4; evaluate again")
    try:
        return Record.model_validate(raw)
    except ValidationError as error:
        raise SemFlowError(f"{path} is not a record of format 4: {sentence(error, raw)}; run the evaluation again") from None
