"""Every method on a page of its own: what it is, how it was trained, what it takes, what it reached, and the command."""

import ast
import importlib.util
from pathlib import Path
from typing import NamedTuple

import yaml

from baselines import METHODS
from semflow.claims import starved
from semflow.claims.collect import Run, estimate, listed, only, own, with_interval
from semflow.claims.document import load
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.method.samplers import Sampler
from semflow.report import budget, selection
from semflow.report.products import Beside, Forms, product, text
from semflow.report.selection import everything
from semflow.report.tables import Grid, markdown_table, measured_on, plain, words_of

MARK = "<!-- baselines/{} -->"  # before each method's page
CURVE = 5  # of the parts of a training, those whose mean losses are listed


class Page(NamedTuple):
    """Of a method. words: what it is, in paragraphs.  settings: as YAML.  tables: what it takes, what it reached, its losses.

    weak: why no claim is judged on it, "" where claims are.
    """

    name: str
    title: str
    words: list[str]
    settings: str
    tables: list[Grid]
    command: str
    weak: str


@product("methods", everything)
def forms(runs: list[Run], beside: Beside) -> Forms:
    """A page for every method: what it is, its settings, budget, losses, numbers, and the command that trains it."""
    return {".md": text(lambda: "\n".join(f"{MARK.format(page.name)}\n{markdown(page, runs)}" for page in pages(runs)))}


def pages(runs: list[Run]) -> list[Page]:
    """Of every method that segments or draws in a record, as the registry has them."""
    usual = own(runs)
    methods = [name for name in METHODS if selection.among(only(usual, method=name), budget.main)]
    weak = starved.among(runs, load())
    return [_page(name, only(usual, method=name), weak.get(name, "")) for name in methods]


def _page(method: str, runs: list[Run], weak: str) -> Page:
    main = selection.among(runs, budget.main)
    record = main[0].record
    settings = {name: value for name, value in record.settings.items() if name != "tolerance"}
    return Page(
        method, METHODS[method].title, docstrings(method),
        yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=110) if settings else "",
        [*budget.grids(main), _numbers(main, runs), *_losses(main)],
        f"snakemake --cores all --configfile config/{record.suite}.yaml results/{record.suite}/checkpoints/{method}/seed"
        f"{record.training_seed}",
        weak,
    )  # fmt: skip


def docstrings(method: str) -> list[str]:
    """What a method's model says of itself, paragraph by paragraph; its module is not imported, since it imports torch."""
    module, _, name = METHODS[method].model.partition(":")
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    (own_class,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    words = [ast.get_docstring(node) or "" for node in (tree, own_class)]
    return [" ".join(paragraph.split()) for text in words for paragraph in text.split("\n\n") if paragraph]


def _numbers(main: list[Run], runs: list[Run]) -> Grid:
    """Every metric by the sampler that the method is known by: means over seeds, with intervals over images and trainings."""
    rows = []
    for task in dict.fromkeys(run.record.task for run in main):
        record = only(main, task=task)[0].record
        group = only(runs, task=task, sampler=record.sampler, steps=record.steps)
        sampler = Sampler(record.sampler, record.steps).title
        for name in record.metrics:
            known = [run for run in group if name in run.record.metrics]  # some are of the first sampling seed alone
            value, low, high, _ = estimate(known, name)
            shown = with_interval(value, low, high, KINDS[name].digits)
            trainings = {run.record.training_seed for run in known}
            rows.append([words_of(task), sampler, KINDS[name].title, shown, str(len(trainings))])
    return plain("What it reached", ["task", "sampler", "metric", "mean and 95 % interval", "trainings"], rows)


def _losses(runs: list[Run]) -> list[Grid]:
    """Mean losses over parts of the first training, where they were kept."""
    record = runs[0].record
    curves = record.budget.losses if record.budget else {}
    if not curves:
        return []
    n = max(map(len, curves.values()))
    chosen = sorted({round(part * (n - 1) / (CURVE - 1)) for part in range(CURVE)})
    head = ["loss, weighted", *(f"{100 * part // n} to {100 * (part + 1) // n} %" for part in chosen)]
    rows = [[name, *(f"{values[part]:.4g}" if part < len(values) else "-" for part in chosen)] for name, values in curves.items()]
    return [plain("How its losses fell, by part of the training", head, rows)]


def markdown(page: Page, runs: list[Run]) -> str:
    """A page, as it stands in `baselines/<name>/README.md`."""
    own_runs = [run for run in own(runs) if run.record.method == page.name]
    seeds = sorted({run.record.training_seed for run in own_runs})
    parts = [f"# {page.title}", *page.words, *([f"**{page.weak}**"] if page.weak else [])]
    parts += [
        f"{measured_on(own_runs)}; training seeds {listed(seeds)}. Made by `snakemake publish_report --cores all"
        f" --configfile config/{own_runs[0].record.suite}.yaml`."
    ]
    if page.settings:
        parts += ["Its settings, beside the suite's own:", f"```yaml\n{page.settings}```"]
    for grid in page.tables:
        parts += [f"## {grid.caption}", markdown_table(grid.header, grid.texts)]
    return "\n\n".join([*parts, "## Train it", f"```\n{page.command}\n```"]) + "\n"
