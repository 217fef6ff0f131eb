"""Which evaluations a suite asks for: method, task, sampler, perturbation and seeds; and where each record lies.

Imports no torch, so that the workflow can plan without it.
"""

from typing import NamedTuple

from baselines import METHODS
from semflow.data import DATASETS
from semflow.errors import SemFlowError
from semflow.method.samplers import DIRECT, Sampler
from semflow.suite import Suite
from semflow.suite.measurements import Entry, Task, doing, draws
from semflow.suite.variants import variant

CONTROLS: dict[str, dict[str, str]] = {  # what the protocol gives to a perfect and to a blind method: titles, by task
    "segmentation": {
        "oracle": "oracle (ground truth, encoded and decoded)",
        "shuffled_labels": "shuffled labels (another image's ground truth)",
    },
    "synthesis": {
        "test_images": "real images of these layouts",
        "repainted": "layouts repainted in fresh colours (oracle)",
        "blurred": "repainted layouts, blurred 3 x 3",
        "grey_card": "grey card",
        "white_noise": "white noise",
        "real_images": "real images (training set, other layouts)",
    },
    "seed_agreement": {},
}
CONTROLS["consistency"] = CONTROLS["synthesis"]
REPAINTING = ("repainted", "blurred")  # controls for data sets that can paint a layout in fresh colours
CONTROL_TITLES = {name: title for titles in CONTROLS.values() for name, title in titles.items()}
TASKS = tuple(CONTROLS)


class Evaluation(NamedTuple):
    """One evaluation.

    amplitude: of the perturbation in training (Eq. 14), in 0..255 units.  sampling_amplitude: of that in sampling (b').
    variant: by which the training differs from the suite's own, "" for that.
    """

    method: str
    task: Task
    sampler: Sampler
    amplitude: float = 0.0
    sampling_amplitude: float = 0.0
    training_seed: int = 0
    sampling_seed: int = 0
    variant: str = ""

    @property
    def is_control(self) -> bool:
        return self.method in CONTROL_TITLES


class Checkpoint(NamedTuple):
    """What a training gives: a method, its masks perturbed by `amplitude` (Eq. 14), from a seed, in a variant of the suite."""

    method: str
    amplitude: float
    seed: int
    variant: str = ""


def evaluations(suite: Suite) -> list[Evaluation]:
    """All that a suite's `runs` say, each once, then the controls of their tasks."""
    chosen = dict.fromkeys(evaluation for entry in suite.runs for evaluation in _of(entry, suite))
    tasks = dict.fromkeys(evaluation.task for evaluation in chosen)
    return [*chosen, *(control for task in tasks for control in controls(suite, task))]


def controls(suite: Suite, task: Task) -> list[Evaluation]:
    """What a perfect and a blind method reach, as far as the suite's data set allows."""
    repaints = DATASETS[suite.data.name].repaints
    return [Evaluation(name, task, DIRECT) for name in CONTROLS[task] if repaints or name not in REPAINTING]


def checkpoints(chosen: list[Evaluation]) -> dict[Checkpoint, list[Evaluation]]:
    """The trainings that evaluations need, each with what is evaluated of it; of controls nothing."""
    found: dict[Checkpoint, list[Evaluation]] = {}
    for evaluation in chosen:
        if not evaluation.is_control:
            found.setdefault(checkpoint_of(evaluation), []).append(evaluation)
    return found


def checkpoint_of(evaluation: Evaluation) -> Checkpoint:
    return Checkpoint(evaluation.method, evaluation.amplitude, evaluation.training_seed, evaluation.variant)


def judges(suite: Suite) -> tuple[Checkpoint, ...]:
    """The trainings of the segmenters that read drawn pictures; the first is the one that claims go by."""
    named = suite.synthesis.judges
    return tuple(Checkpoint(name, amplitude_of(suite, name), named.seed) for name in (named.first, named.second)) if named else ()


def trainings(suite: Suite, chosen: list[Evaluation]) -> list[Checkpoint]:
    """The trainings that evaluations need, those of judges too."""
    read = any(evaluation.task == "consistency" for evaluation in chosen)
    return list(dict.fromkeys([*checkpoints(chosen), *(judges(suite) if read else ())]))


def main_sampler(method: str, task: Task) -> Sampler:
    """The sampler that a method is known by in a task: states, diversity and straightness are measured there.

    A control has `direct`. SemFlowError if the method does not do the task.
    """
    if method in CONTROL_TITLES:
        return DIRECT
    default = METHODS[method].default
    if doing(task) not in default:
        raise SemFlowError(f"{METHODS[method].title} cannot do {task}; it does {', '.join(default)}")
    return Sampler.parse(default[doing(task)])


def amplitude_of(suite: Suite, method: str) -> float:
    """How far a method's masks are perturbed in training (Eq. 14), in the suite's own models."""
    return suite.pseudo_mask.amplitude if method in METHODS and METHODS[method].perturbed else 0.0


def perturbed_otherwise(amplitude: float, own: float) -> str:
    """The part of a path that says an amplitude, where it is not the one to be expected."""
    return "" if amplitude == own else f"-b{amplitude:g}"


def variant_path(checkpoint: Checkpoint, suite: Suite) -> str:
    """The part of a path that says by what a training differs from the suite's own of its method and seed."""
    own = amplitude_of(variant(suite, checkpoint.variant), checkpoint.method)
    return f"-{checkpoint.variant}" * bool(checkpoint.variant) + perturbed_otherwise(checkpoint.amplitude, own)


def record_path(evaluation: Evaluation, suite: Suite) -> str:
    """Where an evaluation's record lies, below the folder in which the workflow runs; its arrays are beside it, as npz."""
    amplitude, trained = evaluation.amplitude, evaluation.method + variant_path(checkpoint_of(evaluation), suite)
    drawn = evaluation.sampling_amplitude if draws(evaluation.task) else amplitude
    folder = f"results/{suite.suite}/records/{suite.data.name}-{suite.evaluation.split}/{trained}/{evaluation.task}"
    sampler = f"{evaluation.sampler}{perturbed_otherwise(drawn, amplitude)}"
    return f"{folder}/{sampler}/train{evaluation.training_seed}-sample{evaluation.sampling_seed}.json"


def _of(entry: Entry, suite: Suite) -> list[Evaluation]:
    """What an entry of `runs` says."""
    return [
        Evaluation(entry.method, task, sampler, amplitude, factor * amplitude, training, sampling, name)
        for name in entry.variants or ("",)
        for amplitude in entry.amplitudes or (amplitude_of(variant(suite, name), entry.method),)
        for task in entry.task
        for factor in (entry.sampling_amplitudes if draws(task) else (0.0,))
        for sampler in entry.samplers
        for training in entry.training_seeds or suite.training.seeds
        for sampling in (entry.seeds if task != "seed_agreement" else (0,))
    ]
