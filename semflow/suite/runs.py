"""Which cells a suite measures: method, task, sampler, perturbation and seeds, and what each table and figure needs.

Imports no torch, so that the workflow can plan without it.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from semflow.errors import SemFlowError
from semflow.method.samplers import DIRECT, Sampler
from semflow.suite import Suite

Task = Literal["segmentation", "synthesis", "seed_agreement"]


CONTROLS = {  # what the protocol gives to a perfect and to a blind method: titles, by task
    "segmentation": {
        "oracle": "oracle (ground truth, encoded and decoded)",
        "shuffled_labels": "shuffled labels (another image's ground truth)",
    },
    "synthesis": {"real_images": "real images (training set, other layouts)"},
    "seed_agreement": {},
}
TASKS = {task: tuple(names) for task, names in CONTROLS.items()}


class Evaluation(NamedTuple):
    """One evaluation.

    amplitude: of the perturbation in training (Eq. 14), in 0..255 units.  sampling_amplitude: of that in sampling (b').
    """

    method: str
    task: Task
    sampler: Sampler
    amplitude: float = 0.0
    sampling_amplitude: float = 0.0
    training_seed: int = 0
    sampling_seed: int = 0


def table2(suite: Suite) -> list[Evaluation]:
    """Segmentation by number of steps, under several sampling seeds at one of them."""
    return [
        Evaluation(
            sweep.method, "segmentation", Sampler(sweep.sampler, n), amplitude_of(suite, sweep.method), 0.0, training, sampling
        )
        for sweep in suite.evaluation.sweeps
        for n, sampling in sweep.runs()
        for training in suite.training.seeds
    ]


def synthesis_steps(suite: Suite) -> list[Evaluation]:
    """Synthesis by number of steps (Figures 5 and 9)."""
    return [cell for n in suite.synthesis.steps for cell in _synthesis(suite, Sampler(suite.synthesis.solver, n))]


def solvers(suite: Suite) -> list[Evaluation]:
    """Every other solver, both ways (Figure 10)."""
    cells = []
    for solver in suite.ablations.solvers:
        for n in solver.steps or (0,):
            cells += _segmentation(suite, Sampler(solver.name, n))
            cells += _synthesis(suite, Sampler(solver.name, n))
    return cells


def solvers_and_main(suite: Suite) -> list[Evaluation]:
    """Every solver that is varied, and the one that it is held against."""
    return list(dict.fromkeys([*_both_ways(suite), *solvers(suite)]))


def training_amplitudes(suite: Suite) -> list[Evaluation]:
    """Models trained with other perturbations, both ways (Figure 4)."""
    cells = []
    for amplitude in suite.ablations.training_amplitudes:
        cells += _segmentation(suite, main_sampler(suite), amplitude)
        cells += _synthesis(suite, main_sampler(suite), amplitude)
    return cells


def sampling_amplitudes(suite: Suite) -> list[Evaluation]:
    """The suite's model, sampled with b' times its own perturbation (Figure 8)."""
    b = suite.pseudo_mask.amplitude
    return [
        cell for factor in suite.ablations.sampling_amplitudes for cell in _synthesis(suite, main_sampler(suite), b, factor * b)
    ]


def determinism(suite: Suite) -> list[Evaluation]:
    """The same images under many seeds, for every sampler that Table 2 repeats."""
    return [
        Evaluation(
            sweep.method,
            "seed_agreement",
            Sampler(sweep.sampler, sweep.repeat_at),
            amplitude_of(suite, sweep.method),
            0.0,
            training,
        )
        for sweep in suite.evaluation.sweeps
        for training in suite.training.seeds
    ]


def controls(task: Task) -> list[Evaluation]:
    """What a perfect and a blind method reach."""
    return [Evaluation(name, task, DIRECT) for name in TASKS[task]]


def table1_segmentation(suite: Suite) -> list[Evaluation]:
    """Segmentation at the numbers of steps of the paper's Table 1: SemFlow where it repeats, DSM at its most."""
    most = {sweep.sampler: Sampler(sweep.sampler, max(sweep.steps)) for sweep in suite.evaluation.sweeps if sweep.method == "dsm"}
    return [*(cell for cell in table2(suite) if cell.sampler in most.values()), *_segmentation(suite, main_sampler(suite))]


def table1_synthesis(suite: Suite) -> list[Evaluation]:
    """Synthesis at the number of steps of the paper's Table 1."""
    return _synthesis(suite, main_sampler(suite))


def figure02(suite: Suite) -> list[Evaluation]:
    """Every method that Table 2 repeats, under each of its seeds."""
    return [cell for cell in table2(suite) if cell.sampler in {Sampler(s.sampler, s.repeat_at) for s in suite.evaluation.sweeps}]


def _both_ways(suite: Suite) -> list[Evaluation]:
    return [*_segmentation(suite, main_sampler(suite)), *_synthesis(suite, main_sampler(suite))]


def _segmented(suite: Suite) -> list[Evaluation]:
    return _segmentation(suite, main_sampler(suite))


def _drawn(suite: Suite) -> list[Evaluation]:
    return _synthesis(suite, main_sampler(suite))


def _one_step(suite: Suite) -> list[Evaluation]:
    return _synthesis(suite, Sampler(suite.synthesis.solver, min(suite.synthesis.steps)))


def _by_evaluations(suite: Suite) -> list[Evaluation]:
    """Every solver at every number of steps, both ways."""
    first = {Sampler(sweep.sampler, n): sweep.seeds[0] for sweep in suite.evaluation.sweeps for n in sweep.steps}
    euler = [cell for cell in table2(suite) if cell.method == "semflow" and cell.sampling_seed == first[cell.sampler]]
    return [*euler, *synthesis_steps(suite), *solvers(suite), *controls("synthesis")]


def main_sampler(suite: Suite) -> Sampler:
    """The solver and the number of steps that everything else is varied around; the paper's is Euler-25."""
    return Sampler(suite.synthesis.solver, suite.synthesis.repeat_at)


def amplitude_of(suite: Suite, method: str) -> float:
    """How far a method's masks are perturbed in training (Eq. 14); only SemFlow's are."""
    return suite.pseudo_mask.amplitude if method == "semflow" else 0.0


def _segmentation(suite: Suite, sampler: Sampler, amplitude: float | None = None) -> list[Evaluation]:
    b = suite.pseudo_mask.amplitude if amplitude is None else amplitude
    return [Evaluation("semflow", "segmentation", sampler, b, 0.0, training) for training in suite.training.seeds]


def _synthesis(suite: Suite, sampler: Sampler, amplitude: float | None = None, sampled: float | None = None) -> list[Evaluation]:
    """Synthesis under every seed at the main sampler, elsewhere under the first."""
    b = suite.pseudo_mask.amplitude if amplitude is None else amplitude
    seeds = suite.synthesis.seeds if sampler == main_sampler(suite) else suite.synthesis.seeds[:1]
    return [
        Evaluation("semflow", "synthesis", sampler, b, b if sampled is None else sampled, training, sampling)
        for training in suite.training.seeds
        for sampling in seeds
    ]


# What each figure is drawn from.
FIGURES: dict[str, Callable[[Suite], list[Evaluation]]] = {
    "figure02": figure02,
    "figure03": _both_ways,
    "figure04": training_amplitudes,
    "figure05": synthesis_steps,
    "figure06": _drawn,
    "figure07": _segmented,
    "figure08": sampling_amplitudes,
    "figure09": _one_step,
    "figure10": solvers_and_main,
    "figure11": _drawn,
    "figure12": _segmented,
    "training_amplitudes": lambda suite: [*training_amplitudes(suite), *controls("synthesis")],
    "sampling_amplitudes": lambda suite: [*sampling_amplitudes(suite), *controls("synthesis")],
    "evaluations": _by_evaluations,
    "seed_agreement": determinism,
}

# What is made of the records of one data set.
PRODUCTS = ("table1_segmentation", "table1_synthesis", "table2", *FIGURES)


def check(suite: Suite) -> None:
    """SemFlowError if a figure could not be drawn from what the suite measures; better known before hours of training."""
    amplitudes = suite.ablations.training_amplitudes
    if not (0 in amplitudes and any(amplitudes)):
        raise SemFlowError(
            f"ablations.training_amplitudes {list(amplitudes)} must hold 0 and one above it, which Figure 4 compares"
        )
    if not suite.pseudo_mask.amplitude:
        raise SemFlowError("pseudo_mask.amplitude must be above 0, since Figure 8 varies it; 0 belongs to the ablations")


def of_product(product: str, suite: Suite) -> list[Evaluation]:
    """What a product is made of, its controls included."""
    tables = {
        "table1_segmentation": lambda: [*table1_segmentation(suite), *controls("segmentation")],
        "table1_synthesis": lambda: [*table1_synthesis(suite), *controls("synthesis")],
        "table2": lambda: [*table2(suite), *controls("segmentation")],
    }
    return tables[product]() if product in tables else FIGURES[product](suite)
