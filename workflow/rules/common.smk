# The checked suite, its paths, and the keys that make a result stale.
import ast
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

import semflow
from semflow import files, provenance, published
from semflow.data import OFFICIAL
from semflow.errors import SemFlowError
from semflow.method import pretrained
from semflow.report import FIGURES as DRAWINGS
from semflow.report import PRODUCTS, WITH_INTERVALS, check_outputs, needs
from semflow.suite import keys
from semflow.suite import reading as configuration
from semflow.suite import runs as cells

try:
    if config and config != STATED:  # a dictionary, from the workflow that this one is a module of
        raw = configuration.on_base(configuration.Resolved(dict(config), {}), Path("config")).raw
    else:  # files, which Snakemake reads without `base`, and 1e-3 as a word; the default only where there are none
        paths = workflow.overwrite_configfiles or [workflow.source_path("../../config/mini.yaml")]
        changes = {key: value for key, value in workflow.config_settings.config.items() if key != "reason"}
        raw = configuration.given(paths, changes)
    STUDY = configuration.check_study(raw, "the configuration")
    check_outputs(STUDY)
except SemFlowError as error:
    raise WorkflowError(str(error)) from None
if isinstance(raw, dict):
    config.clear()
    config.update(raw)  # resolved

STARTED = time.time()
RESULTS = f"results/{STUDY.name}"
REPORTS = f"reports/{STUDY.name}"
CONFIG = f"{RESULTS}/config.json"  # what every command reads: the merged configuration, written when a run starts
STATE = f"{RESULTS}/state"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
FIRST = next(
    iter(STUDY.suites.values())
)  # whose `run` and seeds are those of all parts
BY_DATA = (
    "{data}/" if STUDY.several else ""
)  # what a suite of one data set need not say of a training
SPLIT = (
    "{data}-{split}" if STUDY.several else f"{FIRST.data.name}-{FIRST.evaluation.split}"
)
TRAINED = "{method}{variant}"
CHECKPOINT = f"{RESULTS}/checkpoints/{BY_DATA}{TRAINED}/seed{{seed}}"
WEIGHTS = ["config.json", "diffusion_pytorch_model.safetensors", "semflow.json"]
if FIRST.network.kind == "stable_diffusion":
    WEIGHTS.append("prompt.safetensors")
RECORD = f"{RESULTS}/records/{SPLIT}/{TRAINED}/{{task}}/{{sampler}}{{drawn}}/train{{seed}}-sample{{sample}}.json"
MEASURED = (
    f"{SPLIT}/" if STUDY.several else ""
) + f"{TRAINED}-{{task}}-{{sampler}}{{drawn}}-train{{seed}}-sample{{sample}}"
MANIFEST = f"{RESULTS}/data/{{data}}.json"  # what `semflow data prepare` found
PREPARED = tuple(OFFICIAL)  # data sets that it prepares
ABSENT = [
    name
    for name, suite in STUDY.suites.items()
    if name in PREPARED and "missing" in keys.data_stamps(suite)
]
# Weights as well, or the first training would miss them after hours of unpacking.
ABSENT += sorted(
    {
        f"pretrained: {name} ({mend})"
        for suite in STUDY.suites.values()
        for section in (suite.autoencoder, suite.network)
        if (name := getattr(section, "pretrained", None))
        and (mend := pretrained.absent(name))
    }
)
FEATURES = "results/features"  # of real images, kept by content
METHODS = sorted(
    {
        entry.method
        for suite in STUDY.suites.values()
        for entry in suite.runs
    }
)
CONTROLS = sorted(cells.CONTROL_TITLES)

# Those that the suite's runs hold; of a file of several data sets, those that one names.
FIGURES = {
    name: f"{REPORTS}/figures/{name}"
    for name in DRAWINGS
    if (name in STUDY.outputs if STUDY.several else needs(name, FIRST))
}
DRAWN = [f"{path}.{suffix}" for path in FIGURES.values() for suffix in ("png", "svg")]
BUDGET = f"{RESULTS}/budget.csv"
TABLE1 = [
    BUDGET,
    f"{RESULTS}/table1.csv",
    *(f"{REPORTS}/table1.{suffix}" for suffix in ("md", "tex", "html")),
]
TABLE2 = [
    f"{RESULTS}/table2.csv",
    *(f"{REPORTS}/table2.{suffix}" for suffix in ("md", "tex", "html")),
    *(
        f"{REPORTS}/figures/{name}.{suffix}"
        for name in ("figure_table2", "figure02")
        if name in FIGURES
        for suffix in ("png", "svg")
    ),
]
PAGE_FIGURES = {
    "table1": [],
    "table2": [name for name in ("figure_table2", "figure02") if name in FIGURES],
}
ABLATIONS = f"{RESULTS}/ablations.csv"
CLAIMS = f"{RESULTS}/claims.json"
INDEX = f"{REPORTS}/index.html"
NOTEBOOKS = ("table1", "table2", "ablations", "review")
EXECUTED = [
    f"{REPORTS}/notebooks/{name}.{suffix}"
    for name in NOTEBOOKS
    for suffix in ("ipynb", "html")
]


wildcard_constraints:
    data="|".join(STUDY.suites),
    split="val|test",
    method="[a-z0-9_]+",
    variant=r"(-b[\d.]+)?",  # of the training, where its perturbation is not the suite's
    task="|".join(cells.TASKS),
    sampler=r"[a-z0-9]+(-\d+)?",
    drawn=r"(-b[\d.]+)?",  # of the sampling, where its perturbation is not that of the training
    seed=r"\d+",
    sample=r"\d+",
    figure="|".join(FIGURES),
    notebook="|".join(NOTEBOOKS),


def record(cell, suite):
    """The record of a cell of a suite."""
    other = (
        cell.amplitude != cells.amplitude_of(suite, cell.method)
        and cell.method not in CONTROLS
    )
    drawn_otherwise = (
        cell.task == "synthesis" and cell.sampling_amplitude != cell.amplitude
    )
    return RECORD.format(
        data=suite.data.name,
        split=suite.evaluation.split,  # these two only where there are several data sets
        method=cell.method,
        variant=f"-b{cell.amplitude:g}" if other else "",
        task=cell.task,
        sampler=str(cell.sampler),
        drawn=f"-b{cell.sampling_amplitude:g}" if drawn_otherwise else "",
        seed=cell.training_seed,
        sample=cell.sampling_seed,
    )


def records(*products):
    """Record files that products are made of, each once: of the data set that names a product, or of all."""
    wanted = [
        record(cell, suite)
        for product in products
        for suite in (
            [STUDY.of(product)] if product in STUDY.outputs else STUDY.suites.values()
        )
        for cell in needs(product, suite)
    ]
    return list(dict.fromkeys(wanted))


def part_of(wildcards):
    """The suite of the data set that a job is about."""
    return STUDY.suites[getattr(wildcards, "data", next(iter(STUDY.suites)))]


def suite_of(wildcards):
    """The suite, with masks perturbed as a training's variant says."""
    suite = part_of(wildcards)
    return (
        configuration.with_amplitude(suite, float(wildcards.variant[2:]))
        if wildcards.variant
        else suite
    )


def configured(wildcards):
    """Options of every command that say which suite it is about."""
    part = f" --dataset {wildcards.data}" if STUDY.several else ""
    perturbed = f" --amplitude {wildcards.variant[2:]}" if wildcards.variant else ""
    return f"--config {CONFIG}{part}{perturbed}"


def checkpoint_of(wildcards):
    """The finished weights that a record is measured on."""
    return [f"{CHECKPOINT}/{name}".format(**wildcards) for name in WEIGHTS]


def manifest_of(wildcards):
    """What says that a data set's files are whole, where they are prepared."""
    name = part_of(wildcards).data.name
    return [MANIFEST.format(data=name)] if name in PREPARED else []


def memory_mb(wildcards):
    """A whole evaluation split is held, and a training's network and average."""
    h, w = part_of(wildcards).data.size
    return 4000 if h * w < 256**2 else 64000


def runtime_min(wildcards):
    """Time that a job may take: a day and a week for large pictures; what is cut off goes on when it is started again."""
    h, w = part_of(wildcards).data.size
    return {"train": (720, 10080), "evaluate": (240, 1440)}[
        "evaluate" if hasattr(wildcards, "task") else "train"
    ][h * w >= 256**2]


def threads_for_training():
    """Every method trains at once; they share the cores."""
    return (
        max(
            1,
            workflow.resource_settings.cores
            // (len(METHODS) * len(FIRST.training.seeds)),
        )
        if workflow.resource_settings.cores
        else 1
    )


PACKAGE = Path(semflow.__file__).parent
WRITER = "semflow.report.write"
OTHERS = frozenset(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )
    for room in ("claims", "report")
    for path in (PACKAGE / room).rglob("*.py")
) - {"semflow.report", WRITER}


def code_of(*modules):
    """Hash of a product's code and of what writes it: a change there makes it stale, a change elsewhere does not."""
    writer = provenance.code_hash((WRITER,), OTHERS)
    return f"{provenance.code_hash(modules)[:16]}-{writer[:16]}"


def files_key(*paths):
    """Hash of what files hold."""
    return hashlib.sha256(
        b"".join(Path(path).read_bytes() for path in paths)
    ).hexdigest()[:16]


def notebook_key(path):
    """Hash of a notebook, of the template that it is shown by, and of all of ours that it imports."""
    sources = [
        "".join(cell["source"])
        for cell in json.loads(Path(path).read_text())["cells"]
        if cell["cell_type"] == "code"
    ]
    modules = {
        node.module
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("semflow.")
    }
    template = sorted(Path(path).with_name("offline").iterdir())
    return f"{files_key(path, *template)}-{provenance.code_hash(tuple(sorted(modules)))[:16]}"


# A correction there makes tables, figures and verdicts stale.
PUBLISHED = {
    number: configuration.content_hash(published.table(number))[:16]
    for number in (1, 2)
} | {"claims": files_key(Path(published.__file__).with_name("claims.yaml"))}
PAGE_FILES = files_key(
    *sorted(
        path
        for path in (PACKAGE / "report/page").iterdir()
        if path.suffix in {".css", ".html", ".js"}
    )
)

GPUS = int(
    FIRST.run.device == "cuda"
    or (FIRST.run.device == "auto" and shutil.which("nvidia-smi") is not None)
)


def print_tables():
    """Every table whose report this run made a part of; an older one is not what was asked for."""
    for name, parts in (("table1", TABLE1), ("table2", TABLE2)):
        made = [Path(path) for path in parts]
        if all(path.exists() for path in made) and any(
            path.stat().st_mtime >= STARTED for path in made
        ):
            print(Path(f"{REPORTS}/{name}.md").read_text().partition(WITH_INTERVALS)[0])
            print(f"Report: {Path(REPORTS).resolve() / f'{name}.html'}")
    index = Path(INDEX)
    if index.exists() and index.stat().st_mtime >= STARTED:
        counts = json.loads(Path(CLAIMS).read_text())["counts"]
        print(
            f"Claims: {', '.join(f'{number} {verdict}' for verdict, number in counts.items())}"
        )
        print(f"Report: {index.resolve()}")
