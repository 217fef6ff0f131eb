"""What a training took, as its checkpoint's card and every record measured on it say. Imports no torch."""

from pydantic import BaseModel, ConfigDict


class TrainingBudget(BaseModel):
    """training_flops: of all phases, forward and backward, and of the encoders that ran in its steps.

    parameters_sampling, parameters_training: weights that sampling needs, and all that are trained.
    training_wall_s, training_device: None where they are not known, as of weights that were trained elsewhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters_sampling: int
    parameters_training: int
    images_seen: int
    optimizer_steps: int
    training_flops: float
    training_wall_s: float | None
    training_device: str | None
