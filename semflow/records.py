"""The result record: what was measured, on what, by what. Checked at writing and at reading. Imports no torch."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy import sparse

from semflow import files
from semflow.errors import SemFlowError


class Part(BaseModel):
    """Strict and closed, like the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Metric(Part):
    """A value with its 95 % interval over test images; in the unit named."""

    value: float
    low: float
    high: float
    unit: Literal["percent"]
    direction: Literal["higher", "lower"]


class Protocol(Part):
    """How it was measured; numbers under different protocols are different metrics."""

    evaluation_size: tuple[int, int]
    resize: str
    mean_over: dict[str, str]
    interval: str
    bootstrap_samples: int
    bootstrap_seed: int


class Provenance(Part):
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
    threads: int
    wall_s: float
    images_per_s: float


class Record(Part):
    """One evaluation."""

    format: Literal[1] = 1
    suite: str
    dataset: str
    split: str
    method: str
    task: Literal["segmentation"]
    sampler: str
    steps: Annotated[int, Field(ge=0)]
    amplitude: float
    settings: dict[str, str | float | bool]
    training_seed: int
    sampling_seed: int
    n_images: Annotated[int, Field(ge=1)]
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    metrics: dict[str, Metric]
    class_iou: dict[str, float | None]
    predictions_sha256: str
    arrays_sha256: str
    protocol: Protocol
    provenance: Provenance


class Arrays:
    """What lies beside a record as npz: per-image confusion matrices (sparse), their units, and a few examples.

    confusions: sparse int64 (n_images, n * n), rows ground truth.  units: int (n_images,), resampling units.
    images: uint8 (k, 3, H, W).  labels, predictions: uint8 (k, H, W).
    """

    def __init__(self, confusions, units, images, labels, predictions) -> None:
        self.confusions, self.units = confusions, units
        self.images, self.labels, self.predictions = images, labels, predictions

    def save(self, path: Path) -> str:
        """Write atomically; returns the file's SHA-256."""
        matrix = self.confusions.tocoo()
        arrays = {
            "image": matrix.row.astype(np.int32), "cell": matrix.col.astype(np.int32), "count": matrix.data.astype(np.int64),
            "shape": np.array(matrix.shape), "units": self.units,
            "images": self.images, "labels": self.labels, "predictions": self.predictions,
        }  # fmt: skip
        files.write_atomically(path, lambda part: np.savez_compressed(part, **arrays))
        return hashlib.sha256(path.read_bytes()).hexdigest()

    @classmethod
    def load(cls, path: Path) -> "Arrays":
        try:
            with np.load(path, allow_pickle=False) as file:
                matrix = sparse.csr_array((file["count"], (file["image"], file["cell"])), shape=tuple(file["shape"]))
                return cls(matrix, file["units"], file["images"], file["labels"], file["predictions"])
        except FileNotFoundError:
            raise SemFlowError(f"there are no arrays at {path}; run the evaluation again") from None
        except Exception as error:  # zip, zlib and NumPy each raise their own for a damaged file
            raise SemFlowError(f"{path} is damaged ({error}); delete it and run the evaluation again") from None


def arrays_path(record: Path) -> Path:
    """The npz beside a record."""
    return Path(record).with_suffix(".npz")


def write(path: Path, record: Record) -> None:
    """Write a record as JSON, atomically."""
    files.write_json(path, record.model_dump(mode="json"))


def read(path: Path) -> Record:
    """Read and check a record; SemFlowError names the file and what is wrong in it."""
    raw = files.read_json(path, "record")
    try:
        return Record.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise SemFlowError(f"{path} is not a record of format 1: {where}: {first['msg']}; run the evaluation again") from None
