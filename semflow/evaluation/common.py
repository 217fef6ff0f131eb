"""What every task's evaluation shares: sampling in batches, counting the work, and writing down where numbers come from."""

import hashlib
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

import semflow
from baselines import METHODS
from semflow.data.sample import check_split
from semflow.errors import SemFlowError
from semflow.evaluation import records
from semflow.evaluation.metrics.intervals import bootstrap
from semflow.evaluation.metrics.scores import SCORES, class_iou
from semflow.evaluation.session import Session
from semflow.loading.pixels import to_bytes
from semflow.method.solvers import TOLERANCE
from semflow.progress import Progress
from semflow.provenance import commit, host, versions
from semflow.suite.keys import scores_key
from semflow.suite.measurements import doing, draws
from semflow.suite.reading import result_hash
from semflow.suite.runs import CONTROLS, Evaluation, main_sampler
from semflow.training import budget, devices

BOOTSTRAP_SEED = 0  # the same resamples for every record of a data set, so that methods are paired
NO_VALUE = "a value of it is not finite"
NO_INTERVAL = "the images are so few that it cannot be worked out of some resamples of them"
STATES = 11  # kept of a trajectory, its ends included


class Measurement:
    """An evaluation being measured: its data, its model, and what the record will say about how."""

    def __init__(self, session: Session, evaluation: Evaluation) -> None:
        self.session, self.suite, self.evaluation = session, session.suite, evaluation
        check(self.evaluation, session)
        self.is_control = evaluation.is_control
        self.card = METHODS.get(evaluation.method)  # a control has none
        self.doing = doing(evaluation.task)
        self.model, self.device, self.dataset, self.units = session.model, session.device, session.dataset, session.units
        self.images, self.labels = session.pictures
        self.evaluations, self.wall_s = 0.0, 0.0

    def examples(self, n: int) -> np.ndarray:
        """Positions of `n` images, spread over the split; int (n,) or fewer."""
        return np.linspace(0, len(self.dataset) - 1, min(n, len(self.dataset))).astype(int)

    @property
    def shown(self) -> np.ndarray:
        """The images that figures show, the same in every record."""
        return self.examples(self.suite.evaluation.examples)

    @property
    def is_main(self) -> bool:
        """Whether the method is known by this sampler, so that what is costly is measured here alone."""
        evaluation = self.evaluation
        return not self.is_control and evaluation.sampler == main_sampler(evaluation.method, evaluation.task)

    @property
    def keeps_states(self) -> bool:
        """Whether a figure shows states of this evaluation along its way."""
        return self.card is not None and self.card.trajectory and self.is_main

    def batches(self, positions: np.ndarray, what: str) -> Iterator[tuple[int, np.ndarray]]:
        """(number, positions) of every batch, with progress; times them (seconds), and counts how often the network was
        evaluated for an image, in the mean; of several networks, the one that was evaluated most often.
        """
        size = self.suite.evaluation.batch_size
        parts = [positions[start : start + size] for start in range(0, len(positions), size)]
        networks = [self.model.networks[key] for key in self.model.sampling] if self.model is not None else []
        calls, weighted = [0] * len(networks), np.zeros(len(networks))

        def counting(number: int) -> Any:
            def count(*_: Any) -> None:
                calls[number] += 1

            return count

        hooks = [network.register_forward_hook(counting(number)) for number, network in enumerate(networks)]
        started = time.perf_counter()
        try:
            with Progress(f"{what} {self}", len(positions)) as progress:
                for number, part in enumerate(parts):
                    before = np.array(calls)
                    yield number, part
                    weighted += (np.array(calls) - before) * len(part)
                    progress.update(len(part))
        finally:
            for hook in hooks:
                hook.remove()
        self.wall_s, self.evaluations = time.perf_counter() - started, float(max(weighted, default=0)) / len(positions)

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
        reasons: Mapping[str, str] = MappingProxyType({}),
    ) -> records.Record:
        """Write the record to `out` and the arrays beside it.

        values: by metric; those without draws have no interval, those that are not finite are null, and their draws are dropped.
        reasons: why, where more can be said of it.
        """
        suite, evaluation, dataset = self.suite, self.evaluation, self.dataset
        metrics = {name: records.Metric.of(name, value, arrays.draws.get(name)) for name, value in values.items()}
        without = [name for name, one in metrics.items() if one.value is None or (one.low is None and name in arrays.draws)]
        arrays = replace(arrays, draws={name: drawn for name, drawn in arrays.draws.items() if name not in without})
        record = records.Record(
            suite=suite.suite,
            dataset=dataset.name,
            split=suite.evaluation.split,
            method=evaluation.method,
            task=evaluation.task,
            sampler=evaluation.sampler.name,
            steps=evaluation.sampler.steps,
            variant=evaluation.variant,
            amplitude=evaluation.amplitude,
            sampling_amplitude=evaluation.sampling_amplitude,
            settings=self._settings(),
            training_seed=evaluation.training_seed,
            sampling_seed=evaluation.sampling_seed,
            n_images=n_images,
            budget=self._budget(),
            evaluations=self.evaluations,
            classes=dataset.names,
            palette=dataset.palette,
            metrics=metrics,
            reasons={name: reasons.get(name) or (NO_VALUE if metrics[name].value is None else NO_INTERVAL) for name in without},
            class_iou={} if arrays.confusions is None else self.class_iou(arrays.confusions),
            outputs_sha256=hashlib.sha256(outputs.cpu().numpy().tobytes()).hexdigest(),
            arrays_sha256=arrays.save(records.arrays_path(out)),
            protocol=protocol,
            provenance=self._provenance(n_images),
        )
        records.write(out, record)
        return record

    def _settings(self) -> dict[str, Any]:
        """The method's own, and a tolerance where the sampler chooses its own steps."""
        if self.card is None:
            return {}
        adaptive = self.card.tasks[self.doing][self.evaluation.sampler.name] is None
        own = self.suite.methods[self.evaluation.method].model_dump(mode="json", exclude_none=True)
        return own | ({"tolerance": TOLERANCE} if adaptive else {})

    def _budget(self) -> records.Budget | None:
        """What the training took, and what an output takes."""
        trained = self.session.card
        if trained is None:
            return None
        suite, evaluation = self.suite, self.evaluation
        flops = budget.sampling_flops(suite, evaluation.method, self.doing, evaluation.sampler, self.evaluations)
        weights = budget.parameters(suite, evaluation.method)
        spent = trained.budget.model_dump() if trained.budget else {}
        return records.Budget(
            **{"parameters_sampling": weights.sampling, "parameters_training": weights.training} | spent,
            flops_per_output=float(flops),
        )

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
            if not self.suite.data.resized
            else "images by area (bicubic where they grow), labels by nearest neighbour",
            mean_over=mean_over,
            networks=networks,
            interval=f"{interval} over {unit}",
            bootstrap_samples=self.n_samples,
            bootstrap_seed=BOOTSTRAP_SEED,
        )

    def _provenance(self, n_images: int) -> records.Provenance:
        head, dirty = commit()
        trained = self.session.card
        return records.Provenance(
            command=shlex.join([semflow.__name__, *sys.argv[1:]]),
            commit=head,
            dirty=dirty,
            config_sha256=result_hash(self.suite),
            data_sha256=self.dataset.fingerprint(),
            checkpoint_sha256=None if trained is None else trained.weights_sha256,
            code_sha256=scores_key(self.suite, self.evaluation),
            versions=versions(),
            device=devices.name_of(self.device),
            host=host(),
            threads=torch.get_num_threads(),
            wall_s=round(self.wall_s, 3),
            images_per_s=round(n_images / max(self.wall_s, 1e-9), 3),
        )

    def __str__(self) -> str:
        evaluation = self.evaluation
        perturbed = f" b {evaluation.amplitude:g} b' {evaluation.sampling_amplitude:g}" if draws(evaluation.task) else ""
        trained = f" {evaluation.variant}" if evaluation.variant else ""
        return f"{evaluation.method}{trained} {evaluation.sampler}{perturbed} seed {evaluation.sampling_seed}"


def check(evaluation: Evaluation, session: Session) -> None:
    """SemFlowError if an evaluation cannot be measured, known before its model is opened."""
    method, task, s = evaluation.method, evaluation.task, session.suite.pseudo_mask.s
    if evaluation.is_control:
        if method not in CONTROLS[task]:
            raise SemFlowError(f"{method} is no control of {task}")
    else:
        METHODS[method].check(doing(task), evaluation.sampler)
    if not 0 <= evaluation.sampling_amplitude < s / 2:
        raise SemFlowError(
            f"sampling amplitude {evaluation.sampling_amplitude:g} must be at least 0 and below pseudo_mask.s/2 = "
            f"{s / 2:g} (Eq. 14)"
        )
    check_split(session.dataset, session.suite.evaluation.split)


class ShownStates:
    """Decoded states of the images that figures show, gathered batch by batch."""

    def __init__(self, model: Any, shown: np.ndarray) -> None:
        self.model, self.shown, self.rows = model, set(shown.tolist()), list[np.ndarray]()

    def add(self, positions: np.ndarray, states: list[Tensor]) -> None:
        """states: latents (B, C, h, w) of a batch, from one end to the other, of which `STATES` are kept."""
        rows = [row for row, position in enumerate(positions.tolist()) if position in self.shown]
        if rows:
            kept = np.linspace(0, len(states) - 1, min(STATES, len(states))).round().astype(int)
            pictures = [to_bytes(self.model.decode(states[number][rows])).cpu() for number in kept]
            self.rows.append(torch.stack(pictures, 1).numpy())

    def arrays(self) -> np.ndarray:
        """uint8 (k, n_states, 3, H, W)."""
        return np.concatenate(self.rows)
