"""The paper's Figures 2 to 12: pictures and label maps of the same few examples, by one training of each method."""

import numpy as np
from matplotlib.figure import Figure

from semflow.claims.collect import Run, by_cell, only, title
from semflow.data.sample import IGNORE_INDEX
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.evaluation.records import Record
from semflow.report.figures.captions import joined, papers_data, setting, tolerance
from semflow.report.figures.choice import first_of_each, needed, place
from semflow.report.figures.panels import BLACK, WHITE, Column, colours, draw

PAPER_AMPLITUDE = 6  # the paper's b, of 255
SEEDS = 3  # a layout in Figure 11
ROWS_OF_TWO = 3  # rows of each block where there are two, so that both are seen at once
NUMBERS = "A row's number is the same example in every figure."


def figure02(runs: list[Run]) -> tuple[Figure, str]:
    """Image, ground truth, SemFlow, and DSM under each of its seeds, on the same pictures (the paper's Figure 2)."""
    cells = by_cell(_of_one_training(needed(runs, "figure 2", task="segmentation")))
    several = {cell: cells[cell] for cell in sorted(cells, key=place) if len(cells[cell]) > 1}
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
            columns.append(_segmented(run, f"{name}\n{seed}".replace(" ", "\n", 1)))
    return draw(columns), joined(
        f"Segmentation. {setting(shown)} The same to the bit under every sampling seed: {', '.join(alike[True]) or 'none'}; "
        f"look for what changes from seed to seed in {', '.join(alike[False]) or 'none'}. Ignored pixels are white.",
        papers_data(shown[0].record, 2),
        NUMBERS,
    )


def figure03(runs: list[Run]) -> tuple[Figure, str]:
    """Both directions of one model: image, ground truth, its labels of the image, its picture of the ground truth."""
    segmented = _by_semflow(runs, "figure 3", "segmentation")[0]
    drawn = _by_semflow(runs, "figure 3", "synthesis")[0]
    columns = [_image(segmented), _truth(segmented, BLACK), _scored(segmented, "segmented"), _drawn(drawn, "drawn")]
    return draw(columns), joined(
        f"One model both ways: image to labels, and ground truth to picture. {setting([segmented, drawn])} Look for label maps "
        "that match the ground truth, and for pictures that keep its layout. Ignored pixels are black. The paper's Figure 3 "
        "shows CycleGAN too, which is not among our methods.",
        papers_data(drawn.record, 3),
        NUMBERS,
    )


def figure04(runs: list[Run]) -> tuple[Figure, str]:
    """Pictures by a model trained without perturbation and by one trained with it, each under several seeds."""
    drawn = _by_semflow(runs, "figure 4", "synthesis")
    without = needed(drawn, "figure 4", amplitude=0)
    amplitudes = sorted({run.record.amplitude for run in drawn} - {0})
    if not amplitudes:
        raise SemFlowError("figure 4 needs synthesis by a model that was trained with perturbation; train one, and evaluate it")
    nearest = min(amplitudes, key=lambda b: abs(b - PAPER_AMPLITUDE))
    shown = [*without, *only(drawn, amplitude=nearest)]
    columns = [_drawn(run, f"b = {run.record.amplitude:g}\nseed {run.record.sampling_seed}") for run in shown]
    return draw([*_given(shown[0]), *columns]), joined(
        f"Synthesis without (b = 0) and with perturbation of the pseudo masks (b = {nearest:g}, Eq. 14), sampled as trained. "
        f"{setting(shown)} Look for whether pictures of one layout differ between seeds, and whether b = 0 loses detail.",
        papers_data(shown[0].record, 4),
        NUMBERS,
    )


def figure05(runs: list[Run]) -> tuple[Figure, str]:
    """Pictures by number of steps."""
    drawn = _by_semflow(runs, "figure 5", "synthesis")
    shown = list(first_of_each(drawn, "steps").values())
    return draw([*_given(shown[0]), *(_drawn(run, _sampler(run.record)) for run in shown)]), joined(
        f"Synthesis by number of steps, from the same perturbed masks. {setting(shown)} Look for what few steps keep of "
        "the detail of many, and for whether they are smoother.",
        papers_data(shown[0].record, 5),
        NUMBERS,
    )


def figure06(runs: list[Run]) -> tuple[Figure, str]:
    """States on the way from layout to picture."""
    run, states, along = _path(runs, "figure 6", "synthesis")
    columns = [_state(states, number, 1 - time) for number, time in enumerate(along)]
    return draw([_truth(run, head="layout"), *columns]), joined(
        "Synthesis on its way: decoded states from z1 (t = 1, the perturbed pseudo mask in the colours of its anchors) to z0 "
        f"(t = 0, the drawn picture). {setting([run])} Look for a smooth passage.",
        papers_data(run.record, 6),
        NUMBERS,
    )


def figure07(runs: list[Run]) -> tuple[Figure, str]:
    """States on the way from picture to labels."""
    run, states, along = _path(runs, "figure 7", "segmentation")
    columns = [_state(states, number, time) for number, time in enumerate(along)]
    return draw([*columns, _segmented(run, "labels read"), _truth(run)]), joined(
        "Segmentation on its way: decoded states from z0 (t = 0, the image) to z1 (t = 1, the pseudo mask in the colours of its "
        f"anchors); then the labels read from it by the nearest anchor, and the ground truth. {setting([run])} Look for a smooth "
        "passage, and for colours at t = 1 that lie between anchors.",
        papers_data(run.record, 7),
        NUMBERS,
    )


def figure08(runs: list[Run]) -> tuple[Figure, str]:
    """Pictures sampled with other perturbations b' than the b of training, and their mean brightness."""
    drawn = _by_semflow(runs, "figure 8", "synthesis")
    if not all(run.record.amplitude for run in drawn):
        raise SemFlowError("figure 8 needs a model trained with perturbation; set pseudo_mask.amplitude above 0 and train it")
    shown = list(first_of_each(drawn, "sampling_amplitude").values())
    columns = [
        _drawn(run, f"b' = {run.record.sampling_amplitude / run.record.amplitude:g} b\nbrightness {_brightness(run.record)}")
        for run in shown
    ]
    return draw([*_given(shown[0]), *columns]), joined(
        f"Synthesis sampled with another perturbation b' than the b of training. {setting(shown)} Under each head the mean "
        f"brightness of all {shown[0].record.n_images} pictures, in grey levels of 255. Look for whether pictures are dim for "
        "b' below b and overexposed above, as the paper says.",
        papers_data(shown[0].record, 8),
        NUMBERS,
    )


def figure09(runs: list[Run]) -> tuple[Figure, str]:
    """Pictures in one step, or in as few as there are."""
    drawn = _by_semflow(runs, "figure 9", "synthesis")
    fewest = next(iter(first_of_each(drawn, "steps").values()))
    return draw([*_given(fewest), _drawn(fewest, _sampler(fewest.record))]), joined(
        f"Synthesis in the fewest steps. {setting([fewest])} Look for whether a picture is complete after so little work.",
        papers_data(fewest.record, 9),
        NUMBERS,
    )


def figure10(runs: list[Run]) -> tuple[Figure, str]:
    """Pictures by solver, each at the most steps among the runs; below them segmentations, where there are any."""
    drawn = _by_solver(_by_semflow(runs, "figure 10", "synthesis"))
    blocks = [[*_given(drawn[0]), *(_drawn(run, _cost(run.record)) for run in drawn)]]
    if segmented := _by_solver(_of_one_training(only(runs, method="semflow", task="segmentation"))):
        columns = [_segmented(run, _cost(run.record)) for run in segmented]
        blocks.append([_image(segmented[0]), _truth(segmented[0]), *columns])
    return draw(*blocks, n_rows=ROWS_OF_TWO), joined(
        "Solvers, each at the most steps that it is compared at: synthesis from the same perturbed masks above, segmentation "
        f"below. {setting([*drawn, *segmented])} Evaluations are those of the network, for one image. Look for whether a "
        "stronger solver draws or labels better, and whether it takes more evaluations to do so.",
        tolerance(runs),
        papers_data(drawn[0].record, 10),
        NUMBERS,
    )


def figure11(runs: list[Run]) -> tuple[Figure, str]:
    """Pictures of one layout under several seeds."""
    shown = _by_semflow(runs, "figure 11", "synthesis")[:SEEDS]
    if len(shown) < 2:
        raise SemFlowError("figure 11 needs synthesis under several sampling seeds; evaluate another")
    return draw([*_given(shown[0]), *(_drawn(run, f"seed {run.record.sampling_seed}") for run in shown)]), joined(
        f"Synthesis of each layout under several seeds. {setting(shown)} Look for pictures that differ in colour and texture, "
        "and keep the layout.",
        papers_data(shown[0].record, 11),
        NUMBERS,
    )


def figure12(runs: list[Run]) -> tuple[Figure, str]:
    """Segmentation beside ground truth."""
    run = _by_semflow(runs, "figure 12", "segmentation")[0]
    return draw([_image(run), _truth(run, BLACK), _scored(run, _sampler(run.record))]), joined(
        f"Segmentation. {setting([run])} Look for missing objects and ragged edges. Ignored pixels are black, in the prediction "
        "too, as nothing there is scored.",
        papers_data(run.record, 12),
        NUMBERS,
    )


def _by_semflow(runs: list[Run], figure: str, task: str) -> list[Run]:
    """SemFlow's runs of a task, of the lowest training seed, by sampling seed; SemFlowError where there is none."""
    return _of_one_training(needed(runs, figure, method="semflow", task=task))


def _of_one_training(runs: list[Run]) -> list[Run]:
    """Those of the lowest training seed, by sampling seed."""
    return only(runs, training_seed=min((run.record.training_seed for run in runs), default=0))


def _by_solver(runs: list[Run]) -> list[Run]:
    """For every solver the run at its most steps, the plainest solver first."""
    cells = by_cell(runs)
    most = {sampler: cells[method, sampler, steps][0] for method, sampler, steps in sorted(cells, key=place)}
    return list(most.values())


def _path(runs: list[Run], figure: str, task: str) -> tuple[Run, np.ndarray, np.ndarray]:
    """A run, its states uint8 (k, n_states, 3, H, W), and how far along its path each is, from 0 to 1, (n_states,)."""
    for run in _by_semflow(runs, figure, task):
        if (states := run.arrays.states) is not None:
            n = states.shape[1]
            steps = run.record.steps or n - 1
            return run, states, np.linspace(0, steps, n).round() / steps  # states are kept after whole steps, not quite evenly
    raise SemFlowError(f"{figure} needs a {task} that kept the states on its way; evaluate it at the main sampler's first seed")


def _image(run: Run) -> Column:
    return Column("image", run.arrays.images.transpose(0, 2, 3, 1))


def _truth(run: Run, ignored: int = WHITE, head: str = "ground truth") -> Column:
    return Column(head, colours(run.arrays.labels, run.record.palette, ignored))


def _given(run: Run) -> list[Column]:
    """What a picture is drawn from, and the real one of that layout."""
    return [_truth(run, head="layout"), _image(run)._replace(head="real image")]


def _drawn(run: Run, head: str) -> Column:
    return Column(head, run.arrays.outputs.transpose(0, 2, 3, 1))


def _segmented(run: Run, head: str) -> Column:
    return Column(head, colours(run.arrays.outputs, run.record.palette, WHITE))


def _scored(run: Run, head: str) -> Column:
    """What was predicted, black where there is no ground truth."""
    labels = np.where(run.arrays.labels == IGNORE_INDEX, IGNORE_INDEX, run.arrays.outputs)
    return Column(head, colours(labels, run.record.palette, BLACK))


def _state(states: np.ndarray, number: int, time: float) -> Column:
    return Column(f"t = {time:.2f}", states[:, number].transpose(0, 2, 3, 1))


def _sampler(record: Record) -> str:
    return title("", record.sampler, record.steps)


def _cost(record: Record) -> str:
    return f"{_sampler(record)}\n{round(record.evaluations, 1):g} evaluations"


def _brightness(record: Record) -> str:
    return f"{record.metrics['brightness'].value:.{KINDS['brightness'].digits}f}"
