"""Curves and bars: Table 2 by number of steps, and what perturbation, solvers and seeds change."""

from collections.abc import Iterable, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semflow import published
from semflow.claims.collect import Estimate, Run, by_cell, check_one, comparable, estimate, only, title
from semflow.evaluation.metrics.catalogue import KINDS, filling
from semflow.method.samplers import Sampler
from semflow.report import CONSISTENCY
from semflow.report.figures.captions import intervals, joined, papers_data, setting, tolerance
from semflow.report.figures.choice import needed, place

COLOURS = {("semflow", "euler"): "#0072b2", ("dsm", "ddpm"): "#d55e00", ("dsm", "ddim"): "#009e73"}  # Okabe and Ito's
SPARE_COLOURS = ("#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")  # for methods that the paper does not have
SOLVERS = {
    "euler": (COLOURS["semflow", "euler"], "o"), "midpoint": ("#cc79a7", "s"), "heun": ("#e69f00", "^"),
    "rk4": ("#56b4e9", "v"), "rk45": ("#000000", "D"),
}  # fmt: skip
EVALUATIONS = (1, 3, 10, 30, 100, 300, 1000)
STEPS = (1, 2, 5, 10, 25, 50, 100, 200)  # the paper's
DISTANCES = ("frechet", "mmd2", "perceptual", "diversity")
APPEARANCE = ("brightness", "high_frequency_energy")
PICTURES = "The paper shows pictures instead."
OTHER_DATA = ", on other data and at another scale; compare shapes and orderings, not values"
REAL = (
    "Dashed: real training images in place of drawn ones, which are the floor of distances between sets, and what brightness and "
    "detail should be; as they are of other layouts, their perceptual distance is that of unrelated pictures."
)


def table2(frame: pd.DataFrame, runs: list[Run]) -> tuple[Figure, str]:
    """mIoU over steps: measured with 95 % intervals on the left, published on the right, one scale. runs: any of its records."""
    check_one(runs, "Table 2 as curves")
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    measured, paper = figure.subplots(1, 2, sharey=True, sharex=True)
    known = published.table(2)
    miou = frame[(frame.metric == "miou") & (frame.steps > 0)]
    colours = _coloured(key for key, _ in miou.groupby(["method", "sampler"]))
    for row in known["rows"]:
        key = row["method"], row["sampler"]
        paper.plot(list(row["values"]), list(row["values"].values()), "o-", color=colours[key], ms=3.5, label=title(*key))
    for key, rows in miou.groupby(["method", "sampler"], sort=False):
        ours = rows.sort_values("steps")
        points = [Estimate(row.value, row.low, row.high, row.n_seeds) for row in ours.itertuples()]
        _plot(measured, ours.steps, points, fmt="o-", color=colours[key], ms=3.5, label=title(*key))
    record = runs[0].record
    how = f", with the {known['network']}" if comparable(runs, known["dataset"]) else OTHER_DATA
    measured.set_title(f"measured: {record.dataset}, {' x '.join(map(str, record.protocol.evaluation_size))}")
    paper.set_title(f"published: {known['dataset']}, {known['size']}")
    for axes in (measured, paper):
        _log_axis(axes, "steps N")
    measured.set(ylabel="mIoU (%)", ylim=(0, None))
    (measured if colours.keys() > COLOURS.keys() else paper).legend(frameon=False)
    return figure, (
        f"Table 2 as curves. Left: suite {record.suite}, {record.n_images} {record.split} images; bars: "
        f"{record.protocol.interval}. Right: the paper's numbers{how}."
    )


def training_amplitudes(runs: list[Run]) -> tuple[Figure, str]:
    """Both tasks by the perturbation b that models were trained with."""
    name = "the figure of training amplitudes"
    drawn = needed(runs, name, task="synthesis", method="semflow")
    segmented = needed(runs, name, task="segmentation", method="semflow")
    real = needed(runs, name, task="synthesis", method="real_images")
    panels = [(role, drawn) for role in (*DISTANCES, "round_trip_miou")] + [("miou", segmented)]
    panels += [(role, drawn) for role in APPEARANCE]
    figure = _over_amplitudes(panels, real, "amplitude", "training amplitude b, of 255")
    return figure, joined(
        f"Models trained with other perturbations b (Eq. 14), each sampled as trained. {setting([*drawn, *segmented])} "
        "Look for whether some perturbation draws better and more varied pictures than none (b = 0), and what it costs "
        f"segmentation. Points are means over all seeds. {REAL} {CONSISTENCY} {intervals([*drawn, *segmented])} {PICTURES}",
        papers_data(drawn[0].record, 4),
    )


def sampling_amplitudes(runs: list[Run]) -> tuple[Figure, str]:
    """Synthesis by the perturbation b' that one model is sampled with."""
    name = "the figure of sampling amplitudes"
    drawn = needed(runs, name, task="synthesis", method="semflow")
    real = needed(runs, name, task="synthesis", method="real_images")
    panels = [(role, drawn) for role in (*DISTANCES, "round_trip_miou", *APPEARANCE)]
    figure = _over_amplitudes(panels, real, "sampling_amplitude", "sampling amplitude b', of 255")
    for axes in figure.axes:
        axes.axvline(drawn[0].record.amplitude, color="0.7", lw=0.8, ls=":", zorder=0)
    return figure, joined(
        f"One model sampled with other perturbations b' than the b of its training, which is dotted. {setting(drawn)} "
        "Look for whether distances are lowest at b' = b, and whether brightness rises with b', as the paper's Figure 8 says. "
        f"Points are means over all seeds. {REAL} {CONSISTENCY} {intervals(drawn)} {PICTURES}",
        papers_data(drawn[0].record, 8),
    )


def evaluations(runs: list[Run]) -> tuple[Figure, str]:
    """Both tasks by how often the network is evaluated, one curve a solver."""
    name = "the figure of evaluations"
    segmented = needed(runs, name, task="segmentation", method="semflow")
    drawn = needed(runs, name, task="synthesis", method="semflow")
    real = needed(runs, name, task="synthesis", method="real_images")
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    panels = figure.subplots(1, 4)
    roles = (("miou", segmented), ("frechet", drawn), ("mmd2", drawn), ("perceptual", drawn))
    for axes, (role, of_task) in zip(panels, roles, strict=True):
        for solver, (colour, marker) in SOLVERS.items():
            if groups := sorted(by_cell(only(of_task, sampler=solver)).values(), key=_cost):
                points = [estimate(group, role) for group in groups]
                _plot(axes, map(_cost, groups), points, fmt=f"{marker}-", color=colour, ms=4, label=Sampler(solver).title)
        if role in ("frechet", "mmd2"):
            _draw_real(axes, real, role)
        _log_axis(axes, "network evaluations an image", EVALUATIONS)
        _entitle(axes, of_task, role)
    _legend(figure, panels)
    return figure, joined(
        f"Solvers by the work they do. {setting([*segmented, *drawn])} Look for whether a solver of higher order is better at "
        "as many evaluations, and from where on more of them change nothing. Points are means over the seeds that a cell has. "
        "Dashed: real training images, the floor of that distance.",
        tolerance(runs),
        intervals([*segmented, *drawn]),
        PICTURES,
        papers_data(drawn[0].record, 10),
    )


def determinism(runs: list[Run]) -> tuple[Figure, str]:
    """How many pixels of an image get the same label under two sampling seeds, by method and sampler."""
    measured = needed(runs, "the figure of determinism", task="seed_agreement")
    cells = dict(sorted(by_cell(measured).items(), key=lambda item: place(item[0])))
    colours = _coloured((method, sampler) for method, sampler, _ in cells)
    figure = Figure(figsize=(6, 0.7 + 0.4 * len(cells)), layout="constrained")
    axes = figure.subplots()
    for row, ((method, sampler, _), group) in enumerate(cells.items()):
        value, low, high, _ = estimate(group, "seed_agreement")
        axes.barh(row, value, color=colours[method, sampler], height=0.65)
        axes.errorbar(value, row, xerr=_reach([value], [low], [high]), fmt="none", ecolor="0.2", capsize=3)
        axes.text(101, row, "every pixel" if value == 100 else f"{min(value, 99.99):.2f}", va="center")
    names = [title(*cell) for cell in cells]
    axes.set(xlim=(0, 100), xlabel=f"{KINDS['seed_agreement'].title} (percent)", ylim=(len(cells) - 0.5, -0.5))
    axes.set_yticks(range(len(cells)), names)
    record = measured[0].record
    return figure, joined(
        f"The same images segmented under several sampling seeds. {setting(measured)} Mean over "
        f"{record.protocol.mean_over['seed_agreement']}. Look for whether a method gives every pixel one label whatever the "
        f"seed. {intervals(measured)} {PICTURES}",
        papers_data(record, 2),
    )


def _over_amplitudes(panels: Sequence[tuple[str, list[Run]]], real: list[Run], field: str, label: str) -> Figure:
    """One panel a (role, runs), over the amplitude `field` of the records."""
    n_columns = (len(panels) + 1) // 2
    figure = Figure(figsize=(2.5 * n_columns, 5), layout="constrained")
    for number, (role, runs) in enumerate(panels):
        axes = figure.add_subplot(2, n_columns, number + 1)
        amplitudes = sorted({getattr(run.record, field) for run in runs})
        points = [estimate(only(runs, **{field: amplitude}), role) for amplitude in amplitudes]
        record = runs[0].record
        colour, marker = SOLVERS.get(record.sampler, (SPARE_COLOURS[0], "o"))
        name = title(record.method, record.sampler, record.steps)
        _plot(axes, amplitudes, points, fmt=f"{marker}-", color=colour, ms=4, label=name)
        _draw_real(axes, real, role)
        axes.set_xticks(amplitudes, [f"{amplitude:g}" for amplitude in amplitudes])
        axes.set_xlabel(label)
        axes.grid(alpha=0.25)
        _entitle(axes, runs, role)
    _legend(figure, figure.axes[:1])
    return figure


def _cost(group: list[Run]) -> float:
    """Evaluations of the network for one image."""
    return float(np.mean([run.record.evaluations for run in group]))


def _plot(axes: Axes, x: Iterable[float], points: Sequence[Estimate], **style) -> None:
    """Points with their intervals, joined."""
    values, lows, highs, _ = zip(*points, strict=True)
    axes.errorbar(list(x), values, _reach(values, lows, highs), capsize=2, **style)


def _reach(values: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> np.ndarray:
    """How far intervals reach below and above their values, (2, n)."""
    return np.maximum([np.subtract(values, lows), np.subtract(highs, values)], 0)


def _draw_real(axes: Axes, real: list[Run], role: str) -> None:
    """What real images score, as a dashed line with its interval, where they have such a score."""
    metrics = real[0].record.metrics
    if filling(role, metrics) in metrics:
        value, low, high, _ = estimate(real, role)
        axes.axhline(value, color="0.35", lw=1, ls="--", label=title("real_images", "direct"))
        axes.axhspan(low, high, color="0.35", alpha=0.15, lw=0)


def _entitle(axes: Axes, runs: list[Run], role: str) -> None:
    """The metric's own name, unit and better direction; from 0 on, unless it has negative values."""
    kind = KINDS[filling(role, runs[0].record.metrics)]
    axes.set_title(kind.title.replace(" (", "\n("), fontsize=9)
    better = "" if kind.direction == "neither" else f"{kind.direction} is better"
    axes.set_ylabel(", ".join(filter(None, ["" if kind.unit == "none" else kind.unit, better])))
    if role == "mmd2":
        axes.axhline(0, color="0.8", lw=0.8, zorder=0)
    else:
        axes.set_ylim(0, 1.06 * axes.get_ylim()[1])  # room for the marks of values that differ little


def _log_axis(axes: Axes, label: str, ticks: tuple[int, ...] = STEPS) -> None:
    axes.set(xscale="log", xlabel=label)
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.grid(alpha=0.25)


def _legend(figure: Figure, panels: Iterable[Axes]) -> None:
    """One for all panels, below them."""
    handles = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles), frameon=False)


def _coloured(keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A colour for every (method, sampler): the paper's keep theirs."""
    spare = cycle(SPARE_COLOURS)
    return COLOURS | {key: next(spare) for key in keys if key not in COLOURS}
