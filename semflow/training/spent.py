"""What a training took and how its losses fell, as checkpoints and the records measured on them say. Imports no torch."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

FIRST = 20  # steps whose losses are kept
PARTS = 25  # of a training, whose mean losses are kept


class Spent(NamedTuple):
    """A training up to some step. wall_s: seconds.  first_losses: of the first steps.  sums: of each loss, over parts."""

    step: int = 0
    wall_s: float = 0.0
    first_losses: tuple[float, ...] = ()
    sums: Mapping[str, Sequence[float]] | None = None


def part_of(step: int, steps: int) -> int:
    """Which part of a training of so many steps a step belongs to, from 0."""
    return step * PARTS // steps


def means(sums: Mapping[str, Sequence[float]], steps: int) -> dict[str, tuple[float, ...]]:
    """Of each loss, its mean over every part that has a step."""
    counts = [0] * PARTS
    for step in range(steps):
        counts[part_of(step, steps)] += 1
    return {name: tuple(total / n for total, n in zip(of, counts, strict=True) if n) for name, of in sums.items()}


class TrainingBudget(BaseModel):
    """training_flops: of all phases, forward and backward, and of the encoders that ran in its steps.

    parameters_sampling, parameters_training: weights that sampling needs, and all that are trained.
    training_wall_s, training_device: None where they are not known, as of weights that were trained elsewhere.
    first_losses: of the first steps, summed over phases, as the first process saw them; by them a training is compared with
    another of the same settings.
    losses: by name, of several phases as "phase/name", the mean over each of `PARTS` equal parts of the training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters_sampling: int
    parameters_training: int
    images_seen: int
    optimizer_steps: int
    training_flops: float
    training_wall_s: float | None
    training_device: str | None
    first_losses: tuple[float, ...] = ()
    losses: dict[str, tuple[float, ...]] = {}
