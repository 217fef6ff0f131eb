"""Curves and bars: Table 2 by number of steps, and what perturbation, solvers and seeds change."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from baselines import METHODS
from semflow import published
from semflow.claims.collect import Estimate, Run, by_row, comparable, estimate, method_title, only, row_of, size_of, title
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.catalogue import KINDS, filling
from semflow.evaluation.records import Record
from semflow.method.samplers import DIRECT, Sampler
from semflow.report import selection, table1, table2
from semflow.report.figures.canvas import empty, styles
from semflow.report.figures.captions import joined, papers_data, setting, tolerance
from semflow.report.figures.choice import needed
from semflow.report.figures.pictures import sampled_otherwise
from semflow.report.products import Drawn, figure
from semflow.report.selection import Evaluations
from semflow.report.tables import CONTROLS, intervals
from semflow.suite import Suite
from semflow.suite.runs import main_sampler

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CROWDED = 50  # percent; of lines above it the name stands below
EVALUATIONS = (1, 3, 10, 30, 100, 300, 1000)
STEPS = (1, 2, 5, 10, 25, 50, 100, 200)  # the paper's
DISTANCES = ("frechet", "mmd2", "perceptual", "diversity")
APPEARANCE = ("brightness", "clipped", "detail")
PICTURES = "The paper shows pictures instead."
OTHER_DATA = ", on other data and at another scale; compare shapes and orderings, not values"
MEANS = "Points are means over the trainings that all points of a panel have."
REAL = (
    "Dashed: for distances, real training images of other layouts: the least that distances between sets can be expected to be, "
    "and the perceptual distance of unrelated pictures. For brightness, clipped pixels and detail, real images of these layouts."
)


def _under_several_steps(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Table 2, where it has several numbers of steps."""
    known = table2.needs(evaluations, suite)
    return known if selection.varied([one for one in known if one.sampler.steps], lambda one: one.sampler.steps) else []


def _beside_real(evaluations: Evaluations, *groups: Evaluations) -> Evaluations:
    return selection.together(*groups, selection.controls(evaluations, "synthesis"))


def _trained_otherwise(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Both tasks by models trained with several perturbations, each sampled as trained, beside real images."""
    known = selection.as_trained(evaluations)
    tasks = [selection.ours(known, task) for task in ("segmentation", "synthesis")]
    return _beside_real(evaluations, *(selection.varied(of_task, lambda one: one.amplitude) for of_task in tasks))


def _in_variants(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Methods that are trained in variants of the suite, in these and as it is, by their main samplers, sampled as trained."""
    varied = {one.method for one in evaluations if one.variant}
    usual = set(selection.own(evaluations, suite))
    return [
        one
        for one in selection.as_trained(evaluations)
        if one.method in varied
        and one.task in ("segmentation", "synthesis")
        and (one.variant or one in usual)
        and one.sampler == main_sampler(one.method, one.task)
    ]


def _drawn_otherwise(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """What Figure 8 is drawn from, beside real images."""
    return _beside_real(evaluations, sampled_otherwise(evaluations, suite))


def _by_any_sampler(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Both tasks at every number of evaluations, beside real images."""
    tasks = [selection.by_any_sampler(evaluations, suite, task) for task in ("segmentation", "synthesis")]
    return _beside_real(evaluations, *(selection.varied(of_task, lambda one: one.sampler) for of_task in tasks))


def _under_many_seeds(evaluations: Evaluations, suite: Suite) -> Evaluations:
    return selection.only(selection.own(evaluations, suite), task="seed_agreement")


@figure("figure_table2", needs=_under_several_steps)
def curves_of_table2(runs: list[Run]) -> Drawn:
    """Table 2 as curves over the number of steps, measured and published on one scale."""
    segmented = needed(runs, "the figure of table2", task="segmentation")
    frame = table2.table2(segmented)
    drawing = empty(figsize=(8, 3.8), layout="constrained")
    measured, paper = drawing.subplots(1, 2, sharey=True, sharex=True)
    known = published.table(2)
    miou = frame[(frame.metric == "miou") & (frame.steps > 0)]
    papers = {(row["method"], row["sampler"]): row["values"] for row in known["rows"]}
    looks = styles(sorted({*papers, *zip(miou.method, miou.sampler, strict=True)}, key=lambda key: selection.place(*key)))
    for key, values in papers.items():
        paper.plot(list(values), list(values.values()), **looks[key], ms=3.5, label=title(*key))
    for key, rows in miou.groupby(["method", "sampler"], sort=False):
        rows = rows.sort_values("steps")
        measured.plot(rows.steps, rows.value, **looks[key], ms=3.5, label=title(*key))
        measured.fill_between(rows.steps, rows.low, rows.high, color=looks[key]["color"], alpha=0.2, lw=0)
    if miou.empty:
        raise SemFlowError("the figure of table2 needs a method at some number of steps, and was given none; evaluate one")
    record = segmented[0].record
    how = f", with the {known['network']}" if comparable(runs, known["dataset"]) else OTHER_DATA
    measured.set_title(f"measured: {record.dataset}, {size_of(record)}")
    paper.set_title(f"published: {known['dataset']}, {known['size']}")
    for axes in (measured, paper):
        _log_axis(axes, "steps N")
    for control in frame[(frame.metric == "miou") & frame.method.isin(CONTROLS)].itertuples():
        measured.axhline(control.value, color="0.35", lw=1, ls="--")
        side = "bottom" if control.value < CROWDED else "top"
        measured.text(1, control.value, method_title(control.method), color="0.35", fontsize=7, ha="right", va=side,
                      transform=measured.get_yaxis_transform())  # fmt: skip
    measured.set(ylabel="mIoU (%)", ylim=(0, None))
    lines, names = (measured if looks.keys() > papers.keys() else paper).get_legend_handles_labels()
    drawing.legend(lines, names, loc="outside lower center", ncols=3, frameon=False)
    return drawing, (
        f"Table 2 as curves. {setting(segmented)} Left: measured, with 95 % intervals as bands; dashed: controls. Right: the "
        f"paper's numbers{how}. {intervals(segmented)}"
    )


@figure("training_amplitudes", needs=_trained_otherwise)
def training_amplitudes(runs: list[Run]) -> Drawn:
    """Both tasks by the perturbation b that models were trained with."""
    drawn, segmented, real = _needed(runs, "training amplitudes", "synthesis", "segmentation")
    drawn, segmented = (of_shared_trainings(of, lambda record: record.amplitude) for of in (drawn, segmented))
    panels = [(role, drawn) for role in (*DISTANCES, "round_trip_miou")] + [("miou", segmented)]
    panels += [(role, drawn) for role in APPEARANCE]
    drawing = _over_amplitudes(panels, real, "amplitude", "training amplitude b, of 255")
    return drawing, joined(
        f"Models trained with other perturbations b (Eq. 14), each sampled as trained. {setting([*drawn, *segmented])} "
        "Look for whether some perturbation draws better and more varied pictures than none (b = 0), and what it costs "
        f"segmentation. {MEANS} {REAL} {table1.ROUND_TRIP} {intervals([*drawn, *segmented])} {PICTURES}",
        papers_data(drawn[0].record, 4),
    )


@figure("variants", needs=_in_variants)
def variants(runs: list[Run]) -> Drawn:
    """Both tasks by the suite's variants: other lengths of training, other anchors."""
    trained = [run for run in runs if run.record.method in METHODS]
    tasks = [(role, only(trained, task=task)) for role, task in (("miou", "segmentation"), ("mmd2", "synthesis"))]
    alike = [(role, of_shared_trainings(of, lambda record: (record.method, record.variant))) for role, of in tasks]
    panels = [(role, of) for role, of in alike if len({run.record.variant for run in of}) > 1]
    if not panels:
        needed(runs, "the figure of variants", task="segmentation")
        raise SemFlowError("the figure of variants needs a method under several variants; give the records of both")
    drawing = empty(figsize=(4.2 * len(panels), 3.6), layout="constrained")
    for number, (role, of) in enumerate(panels):
        axes = drawing.add_subplot(1, len(panels), number + 1)
        names = sorted({run.record.variant for run in of}, key=lambda name: (_images_seen(only(of, variant=name)), name))
        groups = {(method, sampler): only(of, method=method, sampler=sampler) for method, sampler, _ in _rows_of(of)}
        looks = styles(groups)
        for place, (key, group) in enumerate(groups.items()):
            known = [(x, only(group, variant=name)) for x, name in enumerate(names) if only(group, variant=name)]
            points = [estimate(here, role) for _, here in known]
            shifted = [x + 0.12 * (place - (len(groups) - 1) / 2) for x, _ in known]
            _plot(axes, shifted, points, **looks[key] | {"linestyle": "none"}, ms=5, label=title(*key, group[0].record.steps))
        labels = [f"{name or 'as it is'}\n{_images_seen(only(of, variant=name)):,} images" for name in names]
        axes.set_xticks(range(len(names)), labels, fontsize=8)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.grid(alpha=0.25, axis="y")
        _entitle(axes, of, role)
    _legend(drawing, drawing.axes)
    shown = [run for _, of in panels for run in of]
    return drawing, joined(
        f"Models trained in the variants of the suite's file, by the sampler that each is known by. {setting(shown)} Look for "
        f"what more training gives each method, and for what other anchors change. {MEANS} "
        f"{intervals(shown)} {PICTURES if len(panels) > 1 else ''}".strip()
    )


def _rows_of(runs: list[Run]) -> list[tuple[str, str, int]]:
    """(method, sampler, steps) of runs, each once, in the order of the registry."""
    return sorted({row_of(run.record) for run in runs}, key=lambda key: selection.place(*key))


def _images_seen(runs: list[Run]) -> int:
    return max((run.record.budget.images_seen or 0 for run in runs if run.record.budget), default=0)


@figure("sampling_amplitudes", needs=_drawn_otherwise)
def sampling_amplitudes(runs: list[Run]) -> Drawn:
    """Synthesis by the perturbation b' that one model is sampled with."""
    drawn, real = _needed(runs, "sampling amplitudes", "synthesis")
    drawn = of_shared_trainings(drawn, lambda record: record.sampling_amplitude)
    panels = [(role, drawn) for role in (*DISTANCES, "round_trip_miou", *APPEARANCE)]
    drawing = _over_amplitudes(panels, real, "sampling_amplitude", "sampling amplitude b', of 255")
    for axes in drawing.axes:
        axes.axvline(drawn[0].record.amplitude, color="0.7", lw=0.8, ls=":", zorder=0)
    return drawing, joined(
        f"One model sampled with other perturbations b' than the b of its training, which is dotted. {setting(drawn)} "
        "Look for whether distances are lowest at b' = b, and whether brightness rises with b', as the paper's Figure 8 says. "
        f"{MEANS} {REAL} {table1.ROUND_TRIP} {intervals(drawn)} {PICTURES}",
        papers_data(drawn[0].record, 8),
    )


@figure("evaluations", needs=_by_any_sampler)
def evaluations(runs: list[Run]) -> Drawn:
    """Both tasks by how often the network is evaluated, one curve a solver."""
    segmented, drawn, real = _needed(runs, "evaluations", "segmentation", "synthesis")
    segmented, drawn = (of_shared_trainings(of, lambda record: (record.sampler, record.steps)) for of in (segmented, drawn))
    drawing = empty(figsize=(12, 3.4), layout="constrained")
    panels = drawing.subplots(1, 4)
    roles = (("miou", segmented), ("frechet", drawn), ("mmd2", drawn), ("perceptual", drawn))
    keys = {(run.record.method, run.record.sampler) for run in (*segmented, *drawn)}
    looks = styles(sorted(keys, key=lambda key: selection.place(*key)))
    for axes, (role, of_task) in zip(panels, roles, strict=True):
        for (_, solver), look in looks.items():
            if groups := sorted(by_row(only(of_task, sampler=solver)).values(), key=_cost):
                points = [estimate(group, role) for group in groups]
                _plot(axes, map(_cost, groups), points, **look, ms=4, label=Sampler(solver).title)
        if role in ("frechet", "mmd2"):
            _draw_real(axes, real, role)
        _log_axis(axes, "network evaluations an image", EVALUATIONS)
        _entitle(axes, of_task, role)
    _legend(drawing, panels)
    return drawing, joined(
        f"Solvers by how often they evaluate the network. {setting([*segmented, *drawn])} "
        "Look for whether a solver of higher order is better at "
        f"as many evaluations, and from where on more of them change nothing. {MEANS} "
        "Dashed: real training images of other layouts.",
        tolerance(runs),
        intervals([*segmented, *drawn]),
        PICTURES,
        papers_data(drawn[0].record, 10),
    )


@figure("seed_agreement", needs=_under_many_seeds)
def seed_agreement(runs: list[Run]) -> Drawn:
    """How many pixels of an image get the same label under two sampling seeds, by method and sampler."""
    measured = needed(runs, "the figure of seed agreement", task="seed_agreement")
    groups = dict(sorted(by_row(measured).items(), key=lambda item: selection.place(*item[0])))
    looks = styles((method, sampler) for method, sampler, _ in groups)
    drawing = empty(figsize=(6, 0.7 + 0.4 * len(groups)), layout="constrained")
    axes = drawing.subplots()
    for row, ((method, sampler, _), group) in enumerate(groups.items()):
        value, low, high, _ = estimate(group, "seed_agreement")
        axes.barh(row, value, color=looks[method, sampler]["color"], height=0.65)
        axes.errorbar(value, row, xerr=_reach([value], [low], [high]), fmt="none", ecolor="0.2", capsize=3)
        axes.text(101, row, "every pixel" if value == 100 else f"{min(value, 99.99):.2f}", va="center")
    axes.set(xlim=(0, 100), xlabel=f"{KINDS['seed_agreement'].title} (percent)", ylim=(len(groups) - 0.5, -0.5))
    axes.set_yticks(range(len(groups)), [title(*key) for key in groups])
    record = measured[0].record
    return drawing, joined(
        f"Seed agreement: the same images segmented under several sampling seeds. {setting(measured)} Mean over "
        f"{record.protocol.mean_over['seed_agreement']}. Look for whether a method gives every pixel one label whatever the "
        f"seed. {intervals(measured)} {PICTURES}",
        papers_data(record, 2),
    )


def _needed(runs: list[Run], of: str, *tasks: str) -> list[list[Run]]:
    """The paper's method's runs of every task, then those of real images, of other layouts and, where there are any, of these."""
    wanted = [(task, published.subject()) for task in tasks] + [("synthesis", "real_images")]
    *ours, real = [needed(runs, f"the figure of {of}", task=task, method=method) for task, method in wanted]
    return [*ours, [*real, *only(runs, task="synthesis", method="test_images")]]


def of_shared_trainings(runs: list[Run], point: Callable[[Record], Hashable]) -> list[Run]:
    """Runs of the training seeds that all points have, so that they differ in nothing else; all runs where no seed is shared.

    point: what of a record tells points apart.
    """
    seeds = defaultdict[Hashable, set[int]](set)
    for run in runs:
        seeds[point(run.record)].add(run.record.training_seed)
    shared = set.intersection(*seeds.values()) if seeds else set[int]()
    return [run for run in runs if run.record.training_seed in shared] if shared else runs


def _over_amplitudes(panels: Sequence[tuple[str, list[Run]]], real: list[Run], field: str, label: str) -> "Figure":
    """One panel a (role, runs), over the amplitude `field` of the records."""
    n_columns = (len(panels) + 1) // 2
    drawing = empty(figsize=(2.5 * n_columns, 5), layout="constrained")
    for number, (role, runs) in enumerate(panels):
        axes = drawing.add_subplot(2, n_columns, number + 1)
        amplitudes = sorted({getattr(run.record, field) for run in runs})
        points = [estimate(only(runs, **{field: amplitude}), role) for amplitude in amplitudes]
        record = runs[0].record
        key = record.method, record.sampler
        _plot(axes, amplitudes, points, **styles([key])[key], ms=4, label=title(*key, record.steps))
        _draw_real(axes, real, role)
        axes.set_xticks(amplitudes, [f"{amplitude:g}" for amplitude in amplitudes])
        axes.set_xlabel(label)
        axes.grid(alpha=0.25)
        _entitle(axes, runs, role)
    _legend(drawing, drawing.axes[:1])
    return drawing


def _cost(group: list[Run]) -> float:
    """Evaluations of the network for one image."""
    return float(np.mean([run.record.evaluations for run in group]))


def _plot(axes: "Axes", x: Iterable[float], points: Sequence[Estimate], **style) -> None:
    """Points with their intervals, joined."""
    values, lows, highs, _ = zip(*points, strict=True)
    axes.errorbar(list(x), values, _reach(values, lows, highs), capsize=2, **style)


def _reach(values: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> np.ndarray:
    """How far intervals reach below and above their values, (2, n)."""
    return np.maximum([np.subtract(values, lows), np.subtract(highs, values)], 0)


def _draw_real(axes: "Axes", real: list[Run], role: str) -> None:
    """What real images score, as a dashed line with its interval, where they have such a score: those of the drawn layouts in
    what lies in a single picture, else those of other layouts."""
    same = only(real, method="test_images") if role in APPEARANCE else []
    chosen = same or only(real, method="real_images")
    metrics = chosen[0].record.metrics
    if filling(role, metrics) in metrics:
        value, low, high, _ = estimate(chosen, role)
        axes.axhline(value, color="0.35", lw=1, ls="--", label=title("real_images", str(DIRECT)))
        if low <= high:  # it has an interval
            axes.axhspan(low, high, color="0.35", alpha=0.15, lw=0)


def _entitle(axes: "Axes", runs: list[Run], role: str) -> None:
    """The metric's own name, unit and better direction; from 0 on, unless it has negative values."""
    kind = KINDS[filling(role, runs[0].record.metrics)]
    axes.set_title(kind.title.replace(" (", "\n("), fontsize=9)
    better = "" if kind.direction == "neither" else f"{kind.direction} is better"
    axes.set_ylabel(", ".join(filter(None, ["" if kind.unit == "none" else kind.unit, better])))
    if role == "mmd2":
        axes.axhline(0, color="0.8", lw=0.8, zorder=0)
    else:
        axes.set_ylim(0, 1.06 * axes.get_ylim()[1])  # room for the marks of values that differ little


def _log_axis(axes: "Axes", label: str, ticks: tuple[int, ...] = STEPS) -> None:
    axes.set(xscale="log", xlabel=label)
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.grid(alpha=0.25)


def _legend(drawing: "Figure", panels: Iterable["Axes"]) -> None:
    """One for all panels, below them."""
    handles = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    drawing.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles), frameon=False)
