"""The paper's Figures 2 to 12: pictures and label maps of the same few examples, by one training of each method."""

from collections.abc import Callable

import numpy as np

from baselines import METHODS
from semflow import published
from semflow.claims.collect import Run, by_row, listed, method_title, only, title, with_interval
from semflow.data.colours import to_rgb
from semflow.data.sample import IGNORE_INDEX
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.evaluation.records import Record
from semflow.report import selection
from semflow.report.figures.captions import joined, papers_data, setting, tolerance
from semflow.report.figures.choice import first_of_each, needed
from semflow.report.figures.panels import Column, draw
from semflow.report.products import Drawn, figure
from semflow.report.selection import Evaluations
from semflow.suite import Suite
from semflow.suite.measurements import Task
from semflow.suite.runs import amplitude_of, main_sampler

SEEDS = 3  # a layout in Figure 11
BOTH: tuple[Task, ...] = ("segmentation", "synthesis")
ROWS_OF_TWO = 3  # rows of each block where there are two, so that both are seen at once
ERROR = (200, 0, 40)
IGNORED = "Ignored pixels are white."
NUMBERS = "A row's number is the same example in every figure."


def _under_several_seeds(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Every method and sampler that segments under several seeds."""
    own = selection.only(selection.own(evaluations, suite), task="segmentation")
    known = selection.first_training([one for one in own if not one.is_control])
    groups = ([one for one in known if one[:3] == kind] for kind in dict.fromkeys(one[:3] for one in known))
    return [one for group in groups for one in selection.varied(group, lambda one: one.sampling_seed)]


@figure("figure02", needs=_under_several_seeds)
def figure02(runs: list[Run]) -> Drawn:
    """The same pictures segmented by every method, under each of its sampling seeds."""
    groups = by_row(of_one_training(needed(runs, "figure 2", task="segmentation")))
    several = {key: groups[key] for key in sorted(groups, key=lambda key: selection.place(*key)) if len(groups[key]) > 1}
    if not several:
        raise SemFlowError("figure 2 needs a method under several sampling seeds; evaluate one")
    shown = [run for group in several.values() for run in group]
    columns = [_image(shown[0]), _truth(shown[0])]
    alike: dict[bool, list[str]] = {True: [], False: []}
    for (method, sampler, steps), group in several.items():
        same = len({run.record.outputs_sha256 for run in group}) == 1
        name = title(method, sampler, steps)
        alike[same].append(name)
        for run in group[:1] if same else group:
            seed = "every seed" if same else f"seed {run.record.sampling_seed}"
            columns.append(_labels(run, f"{name}\n{seed}".replace(" ", "\n", 1)))
    return draw(columns), (
        f"Segmentation. {setting(shown)} The same to the bit under every sampling seed: {', '.join(alike[True]) or 'none'}; "
        f"look for what changes from seed to seed in {', '.join(alike[False]) or 'none'}. {IGNORED} "
        f"{_also(shown[0], 2)}"
    )


def _segmented(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Segmentation by the paper's method and the sampler that it is known by."""
    return selection.first_training(selection.ours(selection.own(evaluations, suite), "segmentation"))


def _drawn(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """The same of synthesis, under every seed."""
    return selection.first_training(selection.ours(selection.own(evaluations, suite), "synthesis"))


def _both_ways(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """The paper's method, and others that it shows beside, which go both ways too."""
    own, others = selection.own(evaluations, suite), Evaluations()
    for name in published.in_figures():
        of = [selection.only(own, method=name, task=task, sampler=main_sampler(name, task)) for task in BOTH]
        others += selection.first_training(selection.once(selection.together(*of)))
    both = selection.together(_segmented(evaluations, suite), _drawn(evaluations, suite))
    return [*both, *others] if both else []


@figure("figure03", needs=_both_ways)
def figure03(runs: list[Run]) -> Drawn:
    """One model in both directions: labels of the image, and a picture of the ground truth."""
    segmented = _by_subject(runs, "figure 3", "segmentation")[0]
    drawn = _by_subject(runs, "figure 3", "synthesis")[0]
    columns, shown, lacking = [_image(segmented), _truth(segmented)], [segmented, drawn], []
    pairs = [(published.subject(), segmented, drawn)]
    for name in published.in_figures():
        of = [of_one_training(only(runs, method=name, task=task)) for task in BOTH]
        if all(of):
            pairs.append((name, of[0][0], of[1][0]))
        else:
            lacking.append(method_title(name))
    for name, reads, draws in pairs:
        named = f"{method_title(name)}\n" if len(pairs) > 1 else ""
        columns += [predicted(reads, f"{named}segmented"), _errors(reads), picture(draws, f"{named}drawn")]
        shown += [run for run in (reads, draws) if run not in shown]
    without = f"The paper's Figure 3 shows {listed(lacking)} too, which the suite did not run. " if lacking else ""
    return draw(columns), (
        f"One model both ways: image to labels, and ground truth to picture. {setting(shown)} Look for label maps that match the "
        f"ground truth, and for pictures that keep its layout. Errors are red. {IGNORED} {without}{_also(drawn, 3)}"
    )


def _with_and_without(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Synthesis by a model trained without perturbation, and by others."""
    drawn = selection.first_training(selection.ours(selection.as_trained(evaluations), "synthesis"))
    without = selection.only(drawn, amplitude=0)
    return selection.together(without, [one for one in drawn if one.amplitude])


@figure("figure04", needs=_with_and_without)
def figure04(runs: list[Run]) -> Drawn:
    """Pictures by a model trained without perturbation and by one trained with it, each under several seeds."""
    drawn = _by_subject(runs, "figure 4", "synthesis")
    without = needed(drawn, "figure 4", amplitude=0)
    amplitudes = sorted({run.record.amplitude for run in drawn} - {0})
    if not amplitudes:
        raise SemFlowError("figure 4 needs synthesis by a model that was trained with perturbation; train one, and evaluate it")
    usual = max(amplitudes, key=lambda b: (len(only(drawn, amplitude=b)), -b))  # the suite's own is drawn under most seeds
    shown = [*without, *only(drawn, amplitude=usual)]
    columns = [picture(run, f"b = {run.record.amplitude:g}\nseed {run.record.sampling_seed}") for run in shown]
    return draw([*given(shown[0]), *columns]), (
        f"Synthesis without (b = 0) and with perturbation of the pseudo masks (b = {usual:g}, Eq. 14), sampled as trained. "
        f"{setting(shown)} Look for whether pictures of one layout differ between seeds, and whether b = 0 loses detail. "
        f"{_also(shown[0], 4)}"
    )


def _by_steps(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Synthesis by the sampler that it is known by, at every number of steps."""
    drawn = selection.first_training(selection.by_any_sampler(evaluations, suite, "synthesis"))
    solver = main_sampler(published.subject(), "synthesis").name
    return selection.varied([one for one in drawn if one.sampler.name == solver], lambda one: one.sampler)


@figure("figure05", needs=_by_steps)
def figure05(runs: list[Run]) -> Drawn:
    """Pictures by number of steps."""
    drawn = _by_subject(runs, "figure 5", "synthesis")
    shown = list(first_of_each(drawn, "steps").values())
    return draw([*given(shown[0]), *(picture(run, _sampler(run.record)) for run in shown)]), (
        f"Synthesis by number of steps, from the same perturbed masks. {setting(shown)} Look for what few steps keep of "
        f"the detail of many, and for whether they are smoother. {_also(shown[0], 5)}"
    )


def _on_the_way(choose: Callable[[Evaluations, Suite], Evaluations]) -> Callable[[Evaluations, Suite], Evaluations]:
    """What a method passes through can be shown where it has states between image and labels."""
    return lambda evaluations, suite: choose(evaluations, suite) if METHODS[published.subject()].trajectory else []


@figure("figure06", needs=_on_the_way(_drawn))
def figure06(runs: list[Run]) -> Drawn:
    """States on the way from layout to picture."""
    run, states, along = _path(runs, "figure 6", "synthesis")
    columns = [_state(states, number, 1 - time) for number, time in enumerate(along)]
    return draw([_truth(run, head="layout"), *columns]), (
        "Decoded states from layout to picture: z1 (t = 1, the perturbed pseudo mask in the colours of its anchors) to z0 "
        f"(t = 0, the drawn picture). {setting([run])} Look for a smooth passage. {_also(run, 6)}"
    )


@figure("figure07", needs=_on_the_way(_segmented))
def figure07(runs: list[Run]) -> Drawn:
    """States on the way from picture to labels."""
    run, states, along = _path(runs, "figure 7", "segmentation")
    columns = [_state(states, number, time) for number, time in enumerate(along)]
    return draw([*columns, _labels(run, "labels read"), _truth(run)]), (
        "Decoded states from image to labels: z0 (t = 0, the image) to z1 (t = 1, the pseudo mask in the colours of its "
        f"anchors); then the labels read from it by the nearest anchor, and the ground truth. {setting([run])} Look for a smooth "
        f"passage, and for colours at t = 1 that lie between anchors. {_also(run, 7)}"
    )


def sampled_otherwise(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Synthesis by the suite's own model, whose masks are perturbed, under several perturbations in sampling."""
    b = amplitude_of(suite, published.subject())
    drawn = selection.ours(evaluations, "synthesis", amplitude=b) if b else []
    return selection.varied(drawn, lambda one: one.sampling_amplitude)


@figure("figure08", needs=lambda evaluations, suite: selection.first_training(sampled_otherwise(evaluations, suite)))
def figure08(runs: list[Run]) -> Drawn:
    """Pictures sampled with other perturbations b' than the b of training, and their mean brightness."""
    drawn = _by_subject(runs, "figure 8", "synthesis")
    if not all(run.record.amplitude for run in drawn):
        raise SemFlowError("figure 8 needs a model trained with perturbation; set pseudo_mask.amplitude above 0 and train it")
    shown = list(first_of_each(drawn, "sampling_amplitude").values())
    columns = [
        picture(run, f"b' = {run.record.sampling_amplitude / run.record.amplitude:g} b\nbrightness {_brightness(run.record)}")
        for run in shown
    ]
    return draw([*given(shown[0]), *columns]), (
        f"Synthesis sampled with another perturbation b' than the b of training. {setting(shown)} Under each head the mean "
        f"brightness of all {shown[0].record.n_images} pictures, in grey levels of 255. Look for whether pictures are dim for "
        f"b' below b and overexposed above, as the paper says. {_also(shown[0], 8)}"
    )


def _fewest_steps(evaluations: Evaluations, suite: Suite) -> Evaluations:
    drawn = _by_steps(evaluations, suite) or _drawn(evaluations, suite)
    return [one for one in drawn if one.sampler.steps == min(one.sampler.steps for one in drawn)]


@figure("figure09", needs=_fewest_steps)
def figure09(runs: list[Run]) -> Drawn:
    """Pictures in the fewest steps."""
    drawn = _by_subject(runs, "figure 9", "synthesis")
    fewest = next(iter(first_of_each(drawn, "steps").values()))
    return draw([*given(fewest), picture(fewest, _sampler(fewest.record))]), (
        f"Synthesis in the fewest steps. {setting([fewest])} Look for whether pictures are complete after so few steps. "
        f"{_also(fewest, 9)}"
    )


def _by_solver(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Both tasks by the sampler that each is known by, and by all other samplers."""
    chosen = []
    for task in ("synthesis", "segmentation"):
        known = selection.by_any_sampler(evaluations, suite, task)
        main = main_sampler(published.subject(), task)
        chosen.append([one for one in known if one.sampler == main or one.sampler.name != main.name])
    drawn, segmented = map(selection.first_training, chosen)
    return [*drawn, *segmented] if selection.varied(drawn, lambda one: one.sampler) else []


@figure("figure10", needs=_by_solver)
def figure10(runs: list[Run]) -> Drawn:
    """Pictures by solver, each at its most steps; below them segmentations, where there are any."""
    drawn = _at_most_steps(_by_subject(runs, "figure 10", "synthesis"))
    blocks = [[*given(drawn[0]), *(picture(run, _cost(run.record)) for run in drawn)]]
    if segmented := _at_most_steps(of_one_training(only(runs, method=published.subject(), task="segmentation"))):
        columns = [_labels(run, _cost(run.record)) for run in segmented]
        blocks.append([_image(segmented[0]), _truth(segmented[0]), *columns])
    return draw(*blocks, n_rows=ROWS_OF_TWO), (
        "Solvers, each at the most steps that it is compared at: synthesis from the same perturbed masks above, segmentation "
        f"below. {setting([*drawn, *segmented])} Evaluations are those of the network, for one image. Look for whether a "
        f"stronger solver draws or labels better, and at how many more evaluations. {_also(drawn[0], 10, tolerance(runs))}"
    )


def _of_several_seeds(evaluations: Evaluations, suite: Suite) -> Evaluations:
    return selection.varied(_drawn(evaluations, suite), lambda one: one.sampling_seed)


@figure("figure11", needs=_of_several_seeds)
def figure11(runs: list[Run]) -> Drawn:
    """Pictures of one layout under several seeds."""
    shown = _by_subject(runs, "figure 11", "synthesis")[:SEEDS]
    if len(shown) < 2:
        raise SemFlowError("figure 11 needs synthesis under several sampling seeds; evaluate another")
    return draw([*given(shown[0]), *(picture(run, f"seed {run.record.sampling_seed}") for run in shown)]), (
        f"Synthesis of each layout under several seeds. {setting(shown)} Look for pictures that differ in colour and texture, "
        f"and keep the layout. {_also(shown[0], 11)}"
    )


@figure("figure12", needs=_segmented)
def figure12(runs: list[Run]) -> Drawn:
    """Segmentation beside ground truth."""
    run = _by_subject(runs, "figure 12", "segmentation")[0]
    return draw([_image(run), _truth(run), predicted(run, _sampler(run.record)), _errors(run)]), (
        f"Segmentation. {setting([run])} Look for missing objects and ragged edges: errors are red. {IGNORED} {_also(run, 12)}"
    )


def _also(run: Run, number: int, *before: str) -> str:
    """What the captions of all these figures end with."""
    return joined(*before, papers_data(run.record, number), NUMBERS)


def _by_subject(runs: list[Run], figure: str, task: str) -> list[Run]:
    """The paper's method's runs of a task, of the lowest training seed, by sampling seed; SemFlowError where there is none."""
    return of_one_training(needed(runs, figure, method=published.subject(), task=task))


def of_one_training(runs: list[Run]) -> list[Run]:
    """Those of the lowest training seed, by sampling seed."""
    return only(runs, training_seed=min((run.record.training_seed for run in runs), default=0))


def _at_most_steps(runs: list[Run]) -> list[Run]:
    """For every solver the run at its most steps, the plainest solver first."""
    groups = by_row(runs)
    most = {key[1]: groups[key][0] for key in sorted(groups, key=lambda key: selection.place(*key))}
    return list(most.values())


def _path(runs: list[Run], figure: str, task: str) -> tuple[Run, np.ndarray, np.ndarray]:
    """A run, its states uint8 (k, n_states, 3, H, W), and how far along its path each is, from 0 to 1, (n_states,)."""
    for run in _by_subject(runs, figure, task):
        if (states := run.arrays.states) is not None:
            n = states.shape[1]
            steps = run.record.steps or n - 1
            return run, states, np.linspace(0, steps, n).round() / steps  # states are kept after whole steps, not quite evenly
    raise SemFlowError(f"{figure} needs a {task} that kept the states on its way; evaluate it at the main sampler's first seed")


def _image(run: Run) -> Column:
    return Column("image", run.arrays.images.transpose(0, 2, 3, 1))


def _truth(run: Run, head: str = "ground truth") -> Column:
    return _coloured(run, run.arrays.labels, head)


def given(run: Run) -> list[Column]:
    """What a picture is drawn from, and the real one of that layout."""
    return [_truth(run, head="layout"), _image(run)._replace(head="real image")]


def picture(run: Run, head: str) -> Column:
    return Column(head, run.arrays.outputs.transpose(0, 2, 3, 1))


def _labels(run: Run, head: str) -> Column:
    return _coloured(run, run.arrays.outputs, head)


def _coloured(run: Run, labels: np.ndarray, head: str) -> Column:
    """Label maps (k, H, W) in the data set's colours, white where they are ignored, with the classes that they show."""
    shown = [label for label in np.unique(labels) if label < len(run.record.classes)]
    named = {run.record.classes[label]: run.record.palette[label] for label in shown}
    return Column(
        head, to_rgb(labels, run.record.palette), named | ({"ignored": (255, 255, 255)} if IGNORE_INDEX in labels else {})
    )


def predicted(run: Run, head: str) -> Column:
    """What was predicted, white where there is no ground truth."""
    return _coloured(run, np.where(run.arrays.labels == IGNORE_INDEX, IGNORE_INDEX, run.arrays.outputs), head)


def _errors(run: Run) -> Column:
    """Where it is wrong, in red on the image in pale grey."""
    truth, pale = run.arrays.labels, 160 + run.arrays.images.mean(1).astype(np.uint8)[..., None].repeat(3, -1) // 4
    pale[(run.arrays.outputs != truth) & (truth != IGNORE_INDEX)] = ERROR
    pale[truth == IGNORE_INDEX] = 255
    return Column("errors", pale)


def _state(states: np.ndarray, number: int, time: float) -> Column:
    return Column(f"t = {time:.2f}", states[:, number].transpose(0, 2, 3, 1))


def _sampler(record: Record) -> str:
    return title("", record.sampler, record.steps)


def _cost(record: Record) -> str:
    return f"{_sampler(record)}\n{round(record.evaluations, 1):g} evaluations"


def _brightness(record: Record) -> str:
    return with_interval(record.metrics["brightness"].value, None, None, KINDS["brightness"].digits)
