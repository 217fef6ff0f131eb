"""The systems beside each other: how their losses fell, and what they draw and segment of the same examples."""

from math import ceil

from semflow.claims.collect import Run, method_title, only
from semflow.errors import SemFlowError
from semflow.report import budget, selection
from semflow.report.figures.canvas import empty
from semflow.report.figures.captions import setting
from semflow.report.figures.choice import needed
from semflow.report.figures.panels import Column, draw
from semflow.report.figures.pictures import given, of_one_training, picture, predicted
from semflow.report.products import Drawn, figure
from semflow.report.selection import Evaluations
from semflow.report.tables import name_of
from semflow.suite import Suite

ACROSS = 3  # panels of losses
LEGEND = 0.11  # of a panel's height, for each line of its legend
SHOWN = ("repainted",)  # controls among what is drawn


def _main(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """Of every method and task those by the sampler that it is known by, of the lowest training seed."""
    return selection.first_training(budget.main(selection.own(evaluations, suite)))


@figure("losses", needs=_main)
def losses(runs: list[Run]) -> Drawn:
    """How each loss of every method fell over its training."""
    trained = sorted((run for run in runs if run.record.budget), key=lambda run: selection.place(run.record.method))
    needed(trained, "the figure of losses", **({} if trained else {"task": "segmentation"}))
    curves = {run.record.method: run.record.budget.losses for run in trained if run.record.budget and run.record.budget.losses}
    if not curves:
        drawing = empty(figsize=(5, 0.6))
        drawing.text(0.5, 0.5, "no losses were kept", ha="center", va="center")
        return drawing, "Of trainings by versions before 0.2, and of weights from elsewhere, no losses were kept."
    methods = sorted(curves, key=selection.place)
    drawing = empty(figsize=(8, 2.3 * ceil(len(methods) / ACROSS)), layout="constrained")
    panels = drawing.subplots(ceil(len(methods) / ACROSS), ACROSS, squeeze=False).flat
    for axes, method in zip(panels, methods, strict=False):
        for name, values in curves[method].items():
            parts = [100 * (number + 1) / len(values) for number in range(len(values))]
            axes.plot(parts, values, label=name.rpartition("/")[2].replace("_", " "), lw=1.2)
        axes.set_title(method_title(method))
        low, high = axes.get_ylim()
        lines = ceil(len(curves[method]) / 2)
        axes.set(xlim=(0, 100), ylim=(min(0, low), high * (1 + LEGEND * lines)))
        axes.legend(frameon=False, fontsize=6, loc="upper center", ncols=2, columnspacing=1, handlelength=1.2)
    for axes in list(panels)[len(methods) :]:
        axes.set_visible(False)
    drawing.supxlabel("training (percent of its steps)", fontsize=9)
    drawing.supylabel("loss, weighted", fontsize=9)
    trained = [run for run in trained if run.record.method in curves]
    return drawing, (
        "Losses as they are weighted in training, means over equal parts of it; real and fake are the discriminators'. "
        f"{setting(trained)} Losses of different methods are different numbers; look for whether each still falls at the end, "
        "and, of adversarial ones, for whether neither side has won."
    )


def _systems(evaluations: Evaluations, suite: Suite) -> Evaluations:
    """What every method draws and segments by the sampler that it is known by, and what layouts look like repainted."""
    own = _main(evaluations, suite)
    by_task = {task: selection.once(selection.only(own, task=task)) for task in ("synthesis", "segmentation")}
    several = [one for of in by_task.values() if len({one.method for one in of}) > 1 for one in of]
    controls = [one for one in selection.controls(evaluations, "synthesis") if one.method in SHOWN]
    return [*several, *(controls if several else ())]


@figure("systems", needs=_systems)
def systems(runs: list[Run]) -> Drawn:
    """What every method draws of the same layouts, and how it segments the same images."""
    blocks, words, shown = list[list[Column]](), list[str](), list[Run]()
    for task in ("synthesis", "segmentation"):
        of_task = only(runs, task=task)
        methods = sorted({run.record.method for run in of_task}, key=selection.place)
        first = [of_one_training(only(of_task, method=name))[0] for name in methods]
        if sum(run.record.budget is not None for run in first) > 1:
            show = picture if task == "synthesis" else predicted
            before = given(first[0]) if task == "synthesis" else [*reversed(given(first[0]))]
            names = [name_of(run.record.method).partition(" (")[0].partition(" in ")[0] for run in first]
            blocks.append([*before, *(show(run, name.replace(" ", "\n", 1)) for run, name in zip(first, names, strict=True))])
            words.append("pictures of the same layouts" if task == "synthesis" else "label maps of the same images")
            shown += first
    if not blocks:
        needed([run for run in runs if run.record.budget], "the figure of systems", task="segmentation")
        raise SemFlowError("the figure of systems needs a second method of one task; evaluate one")
    return draw(*blocks, n_rows=4), (
        f"{'. Below: '.join(words).capitalize()}. {setting(shown)} Look for whether objects are where the layout has them, and "
        "for the colours and textures of real images. Ignored pixels are white."
    )
