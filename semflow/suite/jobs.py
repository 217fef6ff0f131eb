"""How evaluations are shared out to processes, each of which opens a model and the data once. Imports no torch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from baselines import METHODS
from semflow.provenance import content_hash
from semflow.suite import Suite, keys
from semflow.suite.reading import Study
from semflow.suite.runs import Checkpoint, Evaluation, amplitude_of, checkpoint_of, evaluations, judges, record_path, variant_path
from semflow.suite.variants import trained_as, variant


@dataclass(frozen=True)
class Job:
    """Evaluations that one process measures: of a checkpoint, or controls where there is none."""

    name: str
    suite: Suite
    checkpoint: Checkpoint | None
    evaluations: tuple[Evaluation, ...]

    @property
    def records(self) -> list[str]:
        return [record_path(evaluation, self.suite) for evaluation in self.evaluations]

    @property
    def judges(self) -> tuple[Checkpoint, ...]:
        """Whose weights read what is drawn."""
        return judges(self.suite) if any(evaluation.task == "consistency" for evaluation in self.evaluations) else ()

    @property
    def variant(self) -> str:
        """Of the training, where it is not as the suite says."""
        return "" if self.checkpoint is None else variant_path(self.checkpoint, self.suite)

    @property
    def options(self) -> str:
        """Of `semflow evaluate`: what is evaluated."""
        if self.checkpoint is None:
            return "--method controls"
        return f"--method {self.checkpoint.method}{options(self.checkpoint, self.suite)} --training-seed {self.checkpoint.seed}"

    @property
    def key(self) -> str:
        """Hash of all that determines its records, but the weights."""
        suite = self.suite if self.checkpoint is None else trained_by(self.checkpoint, self.suite)
        own = [keys.scores_key(suite, evaluation) for evaluation in self.evaluations]
        return own[0] if len(own) == 1 else content_hash({"scores": own})[:16]


def jobs(study: Study, apart: Mapping[str, Collection[str]]) -> list[Job]:
    """Every evaluation of a study, in one job a checkpoint and one for a data set's controls, or in as many as the suite says.

    apart: records that are wanted before others, by the name of what is made of them. They have jobs of their own, so that a
    table does not wait for what it does not show.
    """
    grouped: dict[tuple[str, Checkpoint | None, str], list[Evaluation]] = {}
    for name, suite in study.suites.items():
        for evaluation in evaluations(suite):
            place = record_path(evaluation, suite)
            wanted = next((product for product, records in apart.items() if place in records), "rest")
            wanted += "-consistency" * (evaluation.task == "consistency")  # which waits for the judges' trainings
            of = None if evaluation.is_control else checkpoint_of(evaluation)
            grouped.setdefault((name, of, wanted), []).append(evaluation)
    found = []
    for (name, of, wanted), chosen in grouped.items():
        suite = study.suites[name]
        what = "controls" if of is None else f"{of.method}{variant_path(of, suite)}-seed{of.seed}"
        size = suite.run.evaluations_per_job or len(chosen)
        parts = [tuple(chosen[start : start + size]) for start in range(0, len(chosen), size)]
        for number, part in enumerate(parts):
            words = [*([name] if study.several else []), what, wanted, *([str(number)] if len(parts) > 1 else [])]
            found.append(Job("-".join(words), suite, of, part))
    return found


def trained_by(of: Checkpoint, suite: Suite) -> Suite:
    """The suite by which a checkpoint is trained."""
    return trained_as(suite, of.variant, of.amplitude if METHODS[of.method].perturbed else None)


def options(of: Checkpoint, suite: Suite) -> str:
    """Of `semflow train` and `semflow evaluate`: what is not as the suite says."""
    own = amplitude_of(variant(suite, of.variant), of.method)
    said = f" --variant {of.variant}" if of.variant else ""
    return said + (f" --amplitude {of.amplitude:g}" if of.amplitude != own else "")
