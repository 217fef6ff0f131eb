"""What each table and figure is made from, of what a suite's runs hold. Imports no torch."""

from collections.abc import Callable

from semflow import published
from semflow.errors import SemFlowError
from semflow.suite import Suite
from semflow.suite.reading import Study
from semflow.suite.runs import Evaluation, amplitude_of, controls, evaluations, main_sampler

Needs = Callable[[Suite], list[Evaluation]]


def table2(suite: Suite) -> list[Evaluation]:
    """Segmentation by number of steps, of the methods and samplers in the paper's Table 2."""
    rows = {(method, sampler) for method, sampler, _ in published.table2()}
    return [e for e in _own(suite, "segmentation") if (e.method, e.sampler.name) in rows]


def table1_segmentation(suite: Suite) -> list[Evaluation]:
    """The paper's method at its main sampler, every other at its most steps."""
    others = [e for e in table2(suite) if e.method != published.subject()]
    most = {e.sampler.name: max(o.sampler.steps for o in others if o.sampler.name == e.sampler.name) for e in others}
    return [*(e for e in others if e.sampler.steps == most[e.sampler.name]), *_segmented(suite)]


def table1_synthesis(suite: Suite) -> list[Evaluation]:
    return _synthesized(suite)


def figure02(suite: Suite) -> list[Evaluation]:
    """What Table 2 repeats under several sampling seeds."""
    seeds: dict[tuple[object, ...], set[int]] = {}
    for e in table2(suite):
        seeds.setdefault((e.method, e.sampler), set()).add(e.sampling_seed)
    return [e for e in table2(suite) if len(seeds[e.method, e.sampler]) > 1]


def synthesis_steps(suite: Suite) -> list[Evaluation]:
    """Synthesis by number of steps (Figures 5 and 9)."""
    return [e for e in _of_subject(suite, "synthesis") if e.sampler.name == _main(suite).name]


def solvers(suite: Suite) -> list[Evaluation]:
    """Every solver but that of the main sampler, both ways (Figure 10)."""
    both = [*_first_seeds(_of_subject(suite, "segmentation")), *_of_subject(suite, "synthesis")]
    return [e for e in both if e.sampler.name != _main(suite).name]


def training_amplitudes(suite: Suite) -> list[Evaluation]:
    """Models trained with other perturbations, both ways (Figure 4)."""
    every = [e for e in evaluations(suite) if e.method == published.subject() and e.sampler == _main(suite)]
    wanted = [
        *_first_seeds([e for e in every if e.task == "segmentation"]),
        *(e for e in every if e.task == "synthesis" and e.sampling_amplitude == e.amplitude),
    ]
    amplitudes = {e.amplitude for e in wanted}
    return wanted if 0 in amplitudes and any(amplitudes) else []


def sampling_amplitudes(suite: Suite) -> list[Evaluation]:
    """The suite's model, sampled with multiples of its own perturbation (Figure 8)."""
    b = amplitude_of(suite, published.subject())
    drawn = [e for e in evaluations(suite) if (e.method, e.task, e.amplitude) == (published.subject(), "synthesis", b)]
    wanted = [e for e in drawn if e.sampler == _main(suite)]
    return wanted if len({e.sampling_amplitude for e in wanted}) > 1 else []


def seed_agreement(suite: Suite) -> list[Evaluation]:
    return [e for e in evaluations(suite) if e.task == "seed_agreement"]


def every_sampler(suite: Suite) -> list[Evaluation]:
    """Every solver at every number of steps, both ways."""
    wanted = [*_first_seeds(_of_subject(suite, "segmentation")), *_of_subject(suite, "synthesis")]
    return [*wanted, *controls("synthesis")] if wanted else []


def _with_controls(needs: Needs) -> Needs:
    """With those of the tasks that the product is made of."""

    def both(suite: Suite) -> list[Evaluation]:
        wanted = needs(suite)
        return [*wanted, *(control for task in dict.fromkeys(e.task for e in wanted) for control in controls(task))]

    return both


def _own(suite: Suite, task: str) -> list[Evaluation]:
    """Of the suite's own models, perturbed in sampling as in training."""
    own = [e for e in evaluations(suite) if e.task == task and not e.is_control]
    own = [e for e in own if e.amplitude == amplitude_of(suite, e.method)]
    return [e for e in own if task != "synthesis" or e.sampling_amplitude == e.amplitude]


def _of_subject(suite: Suite, task: str) -> list[Evaluation]:
    return [e for e in _own(suite, task) if e.method == published.subject()]


def _main(suite: Suite):  # type: ignore[no-untyped-def]
    return main_sampler(suite, published.subject(), "segmentation")


def _first_seeds(chosen: list[Evaluation]) -> list[Evaluation]:
    first = {(e.sampler, e.amplitude): min(o.sampling_seed for o in chosen if o.sampler == e.sampler) for e in chosen}
    return [e for e in chosen if e.sampling_seed == first[e.sampler, e.amplitude]]


def _segmented(suite: Suite) -> list[Evaluation]:
    return _first_seeds([e for e in _of_subject(suite, "segmentation") if e.sampler == _main(suite)])


def _synthesized(suite: Suite) -> list[Evaluation]:
    return [e for e in _of_subject(suite, "synthesis") if e.sampler == _main(suite)]


def _both_ways(suite: Suite) -> list[Evaluation]:
    return [*_segmented(suite), *_synthesized(suite)]


def _one_step(suite: Suite) -> list[Evaluation]:
    steps = synthesis_steps(suite)
    return [e for e in steps if e.sampler.steps == min(o.sampler.steps for o in steps)]


FIGURES: dict[str, Needs] = {
    "figure02": figure02,
    "figure03": _both_ways,
    "figure04": training_amplitudes,
    "figure05": synthesis_steps,
    "figure06": _synthesized,
    "figure07": _segmented,
    "figure08": sampling_amplitudes,
    "figure09": _one_step,
    "figure10": lambda suite: [*_both_ways(suite), *solvers(suite)] if solvers(suite) else [],
    "figure11": _synthesized,
    "figure12": _segmented,
    "training_amplitudes": _with_controls(training_amplitudes),
    "sampling_amplitudes": _with_controls(sampling_amplitudes),
    "evaluations": every_sampler,
    "seed_agreement": seed_agreement,
}
TABLES: dict[str, Needs] = {
    "table1_segmentation": _with_controls(table1_segmentation),
    "table1_synthesis": _with_controls(table1_synthesis),
    "table2": _with_controls(table2),
}
NEEDS = TABLES | FIGURES
PRODUCTS = tuple(NEEDS)


def needs(product: str, suite: Suite) -> list[Evaluation]:
    """What a table or figure is made from; nothing where the suite's runs do not hold it."""
    return list(dict.fromkeys(NEEDS[product](suite)))


def check_outputs(study: Study) -> None:
    """SemFlowError if a file of several data sets names a product that there is not or that its runs do not hold."""
    for product, name in study.outputs.items():
        if product not in NEEDS:
            raise SemFlowError(f"datasets.{name}.outputs names {product}; there are {', '.join(PRODUCTS)}")
        if not needs(product, study.suites[name]):
            raise SemFlowError(f"datasets.{name}.outputs names {product}, which its runs do not hold; add them or remove it")
