"""A suite as one of its trainings has it: in a variant, and perturbed otherwise. Imports no torch."""

from semflow.errors import SemFlowError, did_you_mean
from semflow.suite import Suite


def variant(suite: Suite, name: str) -> Suite:
    """The suite as its variant `name` changes it; "" for none. SemFlowError if there is none of that name."""
    if not name:
        return suite
    if name not in suite.variants:
        known = did_you_mean(name, suite.variants, f"; there are {', '.join(suite.variants) or 'none'}")
        raise SemFlowError(f"suite {suite.suite} has no variant {name}{known}")
    sections = {key: (getattr(suite, key), changes) for key, changes in suite.variants[name].items()}
    return suite.model_copy(
        update={key: type(old).model_validate(old.model_dump(mode="json") | new) for key, (old, new) in sections.items()}
    )


def trained_as(suite: Suite, name: str, amplitude: float | None) -> Suite:
    """The suite by which a checkpoint is trained: a variant, its masks perturbed by `amplitude`; None: by what it says."""
    changed = variant(suite, name)
    return changed if amplitude is None else with_amplitude(changed, amplitude)


def with_amplitude(suite: Suite, amplitude: float) -> Suite:
    """The suite, its masks perturbed by `amplitude` in training. SemFlowError if it is out of range (Eq. 14)."""
    if not 0 <= amplitude < suite.pseudo_mask.s / 2:
        raise SemFlowError(f"amplitude {amplitude:g} must be at least 0 and below pseudo_mask.s/2 = {suite.pseudo_mask.s / 2:g}")
    return suite.model_copy(update={"pseudo_mask": suite.pseudo_mask.model_copy(update={"amplitude": float(amplitude)})})
