"""What every task's evaluation shares: opening the model, counting its work, and writing down where numbers come from."""

import hashlib
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from semflow.data import Dataset, open_dataset
from semflow.errors import SemFlowError
from semflow.evaluation import records
from semflow.evaluation.metrics.intervals import blocks, bootstrap
from semflow.evaluation.metrics.scores import SCORES, class_iou
from semflow.loading.batches import Batches, in_memory
from semflow.loading.pixels import to_bytes
from semflow.method.samplers import STEPLESS as ADAPTIVE
from semflow.method.semflow import place
from semflow.method.solvers import TOLERANCE
from semflow.progress import Progress
from semflow.provenance import commit, versions
from semflow.suite import Suite
from semflow.suite.keys import scores_key
from semflow.suite.reading import result_hash, without_places
from semflow.suite.registry import CONTROLS, TASKS
from semflow.suite.runs import Evaluation, main_sampler
from semflow.training import devices
from semflow.training.build import settings_of
from semflow.training.checkpoints import load_model

BOOTSTRAP_SEED = 0  # the same resamples for every record of a data set, so that methods are paired
STATES = 11  # kept of a trajectory, its ends included


DOES = {"segmentation": "segment", "synthesis": "synthesize", "seed_agreement": "segment"}  # what a task asks of a model


class Measurement:
    """A cell being measured: its data, its model, and what the record will say about how."""

    def __init__(self, suite: Suite, cell: Evaluation, checkpoint: Path | None) -> None:
        self.suite, self.cell = suite, cell
        if cell.method in CONTROLS and cell.method not in TASKS[cell.task]:
            raise SemFlowError(f"{cell.method} is no control of {cell.task}")
        if not 0 <= cell.sampling_amplitude < suite.pseudo_mask.s / 2:
            raise SemFlowError(
                f"sampling amplitude {cell.sampling_amplitude:g} must be at least 0 and below pseudo_mask.s/2 = "
                f"{suite.pseudo_mask.s / 2:g} (Eq. 14)"
            )
        self.dataset: Dataset = open_dataset(suite.data, suite.evaluation.split)
        self.is_control = cell.method in CONTROLS
        idle = self.is_control and suite.autoencoder.kind != "kl"  # nothing to compute that an accelerator would be faster at
        self.device = devices.pick("cpu" if idle else suite.run.device)
        self.model: Any = None  # a control has none
        self.weights: str | None = None
        if not self.is_control:
            self.model, self.weights = _open_model(suite, cell, checkpoint, self.device)
        self.samples = in_memory(self.dataset, f"load {suite.evaluation.split} images")
        self.images, self.labels = Batches(self.samples)[range(len(self.samples))]  # uint8, all of them
        self.units = blocks(self.dataset.groups, len(self.dataset), suite.evaluation.block_length)
        self.evaluations, self.wall_s = 0.0, 0.0

    def examples(self, n: int) -> np.ndarray:
        """Positions of `n` images, spread over the split; int (n,) or fewer."""
        return np.linspace(0, len(self.dataset) - 1, min(n, len(self.dataset))).astype(int)

    @property
    def shown(self) -> np.ndarray:
        """The images that figures show, the same in every record."""
        return self.examples(self.suite.evaluation.examples)

    @property
    def keeps_states(self) -> bool:
        """Whether a figure shows states of this cell along its way."""
        return self.cell.sampler == main_sampler(self.suite, self.cell.method, self.cell.task) and hasattr(self.model, "path")

    def batches(self, positions: np.ndarray, what: str) -> Iterator[tuple[int, np.ndarray]]:
        """(number, positions) of every batch, with progress; times them (seconds), and counts how often the network was
        evaluated for an image, in the mean."""
        size = self.suite.evaluation.batch_size
        parts = [positions[start : start + size] for start in range(0, len(positions), size)]
        calls, weighted = 0, 0

        def count(*_: Any) -> None:
            nonlocal calls
            calls += 1

        hook = self.model.network.register_forward_hook(count) if self.model is not None else None
        started = time.perf_counter()
        try:
            with Progress(f"{what} {self}", len(positions)) as progress:
                for number, part in enumerate(parts):
                    before = calls
                    yield number, part
                    weighted += (calls - before) * len(part)
                    progress.update(len(part))
        finally:
            if hook is not None:
                hook.remove()
        self.wall_s, self.evaluations = time.perf_counter() - started, weighted / len(positions)

    def score(self, name: str, confusions: sparse.csr_array) -> tuple[float, np.ndarray]:
        """A score of `SCORES`, in percent, and its draws. confusions: sparse int64 (n_images, n * n), one matrix an image."""
        total, function = np.asarray(confusions.sum(0), dtype=np.int64), SCORES[name]
        n = round(total.size**0.5)
        draws = bootstrap(confusions, self.units, function, self.n_samples, BOOTSTRAP_SEED)
        return 100 * float(function(total.reshape(n, n))), 100 * draws

    def class_iou(self, confusions: sparse.csr_array) -> dict[str, float | None]:
        """IoU of every class in percent; None where a class is in neither ground truth nor prediction."""
        n = len(self.dataset.names)
        iou = class_iou(np.asarray(confusions.sum(0)).reshape(n, n))
        return {
            name: None if np.isnan(value) else 100 * float(value) for name, value in zip(self.dataset.names, iou, strict=True)
        }

    @property
    def n_samples(self) -> int:
        return self.suite.evaluation.bootstrap_samples

    def write(
        self,
        out: Path,
        values: dict[str, float],
        arrays: records.Arrays,
        outputs: Tensor,
        protocol: records.Protocol,
        n_images: int,
    ) -> records.Record:
        """Write the record to `out` and the arrays beside it. values: of every metric that has draws in the arrays."""
        suite, cell, dataset = self.suite, self.cell, self.dataset
        record = records.Record(
            suite=suite.suite,
            dataset=dataset.name,
            split=suite.evaluation.split,
            method=cell.method,
            task=cell.task,
            sampler=cell.sampler.name,
            steps=cell.sampler.steps,
            amplitude=cell.amplitude,
            sampling_amplitude=cell.sampling_amplitude,
            settings=settings_of(suite, cell.method) | ({"tolerance": TOLERANCE} if cell.sampler.name in ADAPTIVE else {}),
            training_seed=cell.training_seed,
            sampling_seed=cell.sampling_seed,
            n_images=n_images,
            n_parameters=None if self.model is None else sum(p.numel() for p in self.model.network.parameters()),
            evaluations=self.evaluations,
            classes=dataset.names,
            palette=dataset.palette,
            metrics={name: records.Metric.of(name, value, arrays.draws[name]) for name, value in values.items()},
            class_iou={} if arrays.confusions is None else self.class_iou(arrays.confusions),
            outputs_sha256=hashlib.sha256(outputs.cpu().numpy().tobytes()).hexdigest(),
            arrays_sha256=arrays.save(records.arrays_path(out)),
            protocol=protocol,
            provenance=self._provenance(n_images),
        )
        records.write(out, record)
        return record

    def protocol(self, mean_over: dict[str, str], networks: dict[str, str], interval: str) -> records.Protocol:
        """How it was measured. interval: what is said of how intervals are made, before "over"."""
        unit = (
            f"{self.suite.evaluation.split} images"
            if self.dataset.groups is None
            else f"blocks of {self.suite.evaluation.block_length} consecutive frames"
        )
        return records.Protocol(
            evaluation_size=self.suite.data.size,
            resize="none"
            if self.dataset.name == "scenes"
            else "images by area (bicubic where they grow), labels by nearest neighbour",
            mean_over=mean_over,
            networks=networks,
            interval=f"{interval} over {unit}",
            bootstrap_samples=self.n_samples,
            bootstrap_seed=BOOTSTRAP_SEED,
        )

    def _provenance(self, n_images: int) -> records.Provenance:
        head, dirty = commit()
        return records.Provenance(
            command=shlex.join(["semflow", *sys.argv[1:]]),
            commit=head,
            dirty=dirty,
            config_sha256=result_hash(self.suite),
            data_sha256=self.dataset.fingerprint(),
            checkpoint_sha256=self.weights,
            code_sha256=scores_key(self.suite, self.cell.method, self.cell.task),
            versions=versions(),
            device=devices.name_of(self.device),
            threads=torch.get_num_threads(),
            wall_s=round(self.wall_s, 3),
            images_per_s=round(n_images / max(self.wall_s, 1e-9), 3),
        )

    def __str__(self) -> str:
        cell = self.cell
        perturbed = f" b {cell.amplitude:g} b' {cell.sampling_amplitude:g}" if cell.task == "synthesis" else ""
        return f"{cell.method} {cell.sampler}{perturbed} seed {cell.sampling_seed}"


class Kept:
    """Decoded states of the images that figures show, gathered batch by batch."""

    def __init__(self, model: Any, shown: np.ndarray) -> None:
        self.model, self.shown, self.rows = model, set(shown.tolist()), list[np.ndarray]()

    def add(self, positions: np.ndarray, states: list[Tensor]) -> None:
        """states: latents (B, C, h, w) of a batch, from one end to the other, of which `STATES` are kept."""
        rows = [row for row, position in enumerate(positions.tolist()) if position in self.shown]
        if rows:
            kept = np.linspace(0, len(states) - 1, min(STATES, len(states))).round().astype(int)
            pictures = [to_bytes(self.model.autoencoder.decode(states[number][rows])).cpu() for number in kept]
            self.rows.append(torch.stack(pictures, 1).numpy())

    def arrays(self) -> np.ndarray:
        """uint8 (k, n_states, 3, H, W)."""
        return np.concatenate(self.rows)


def _open_model(suite: Suite, cell: Evaluation, checkpoint: Path | None, device: torch.device) -> tuple[Any, str]:
    """(model, SHA-256 of its weights). SemFlowError if the checkpoint is of another training than the cell's."""
    if checkpoint is None:
        raise SemFlowError(f"a checkpoint is needed to evaluate {cell.method}")
    model, trained, card = load_model(checkpoint, suite.autoencoder)
    if (card["method"], card["seed"]) != (cell.method, cell.training_seed):
        asked = f"{cell.method} of training seed {cell.training_seed}"
        raise SemFlowError(f"{checkpoint} holds {card['method']} of training seed {card['seed']}, not {asked}")
    wanted, held = (_decides(of, cell.method) for of in (suite, trained))
    if differing := [part for part in wanted if held.get(part) != wanted[part]]:
        mend = "train it again"
        if differing == ["pseudo_mask.amplitude"]:
            mend = f"give --amplitude {trained.pseudo_mask.amplitude:g}, or train it again"
        raise SemFlowError(f"{checkpoint} was trained with another {', '.join(differing)} than {suite.suite}'s; {mend}")
    if not hasattr(model, DOES[cell.task]):
        raise SemFlowError(f"{cell.method} cannot do {cell.task}: it has no {DOES[cell.task]}")
    place(model, device)
    return model, card["weights_sha256"]


def _decides(suite: Suite, method: str) -> dict[str, Any]:
    """Every setting that decides what a training of `method` gives, but the seed, by dotted key."""
    whole, others = without_places(suite), {"data.n_test", "training.seeds"}
    parts = {
        f"{part}.{key}": value for part in ("data", "pseudo_mask", "network", "training") for key, value in whole[part].items()
    }
    return {name: value for name, value in parts.items() if name not in others} | {f"methods.{method}": whole["methods"][method]}
