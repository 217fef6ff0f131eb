"""What a training took, as its checkpoint's card and every record measured on it say. Imports no torch."""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

FIRST = 20  # steps whose losses are kept


class Spent(NamedTuple):
    """A training up to some step. wall_s: seconds.  first_losses: of the first steps."""

    step: int = 0
    wall_s: float = 0.0
    first_losses: tuple[float, ...] = ()


class TrainingBudget(BaseModel):
    """training_flops: of all phases, forward and backward, and of the encoders that ran in its steps.

    parameters_sampling, parameters_training: weights that sampling needs, and all that are trained.
    training_wall_s, training_device: None where they are not known, as of weights that were trained elsewhere.
    first_losses: of the first steps, summed over phases, as the first process saw them; by them a training is compared with
    another of the same settings.
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
