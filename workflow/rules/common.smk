# The checked suite, its paths, and the keys that make a result stale.
import shutil
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

from semflow import config as configuration
from semflow import files, provenance, published
from semflow.analysis import WITH_INTERVALS
from semflow.errors import SemFlowError

try:
    SUITE = configuration.check(config, "the configuration")
except SemFlowError as error:
    raise WorkflowError(str(error)) from None

STARTED = time.time()
RESULTS = f"results/{SUITE.suite}"
REPORTS = f"reports/{SUITE.suite}"
CONFIG = f"{RESULTS}/config.json"  # what every command reads: the merged configuration, written when a run starts
STATE = f"{RESULTS}/state"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
CHECKPOINT = f"{RESULTS}/checkpoints/{{method}}/seed{{seed}}"
RECORDS = f"{RESULTS}/records/{SUITE.data.name}-{SUITE.evaluation.split}"
RECORD = f"{RECORDS}/{{method}}/segmentation/{{sampler}}-{{steps}}/train{{seed}}-sample{{sample}}.json"
METHODS = sorted({sweep.method for sweep in SUITE.evaluation.sweeps})
CONTROLS = ["ceiling", "floor"]

TABLE2 = [
    f"{RESULTS}/table2.csv",
    *(f"{REPORTS}/table2.{suffix}" for suffix in ("md", "tex", "html")),
    *(
        f"{REPORTS}/figures/{name}.{suffix}"
        for name in ("table2", "figure02")
        for suffix in ("png", "svg")
    ),
]
SEVERAL_SEEDS = [sweep for sweep in SUITE.evaluation.sweeps if len(sweep.seeds) > 1]


wildcard_constraints:
    method="[a-z0-9]+",
    sampler="[a-z0-9]+",
    steps=r"\d+",
    seed=r"\d+",
    sample=r"\d+",


def records(sweeps, only_repeats=False):
    """Record files of the sweeps, for every training seed."""
    return [
        RECORD.format(
            method=sweep.method,
            sampler=sweep.sampler,
            steps=steps,
            seed=seed,
            sample=sample,
        )
        for sweep in sweeps
        for steps, sample in sweep.runs()
        if not only_repeats or steps == sweep.repeat_at
        for seed in SUITE.training.seeds
    ]


def control_records():
    return [
        RECORD.format(method=name, sampler="none", steps=0, seed=0, sample=0)
        for name in CONTROLS
    ]


def threads_for_training():
    """Every method trains at once; they share the cores."""
    return (
        max(1, workflow.cores // (len(METHODS) * len(SUITE.training.seeds)))
        if workflow.cores
        else 1
    )


def code_of(module):
    """Hash of a product's code and of what writes it: a change there makes it stale, a change elsewhere does not."""
    products = [f"semflow.analysis.{name}" for name in ("tables", "figures", "page")]
    writer = provenance.code_hash(("semflow.analysis.report",), frozenset(products))
    return f"{provenance.code_hash((module,))[:16]}-{writer[:16]}"


PUBLISHED = configuration.content_hash(published.table(2))[
    :16
]  # a correction there makes tables and figures stale

GPUS = int(
    SUITE.run.device == "cuda"
    or (SUITE.run.device == "auto" and shutil.which("nvidia-smi") is not None)
)


def print_table2():
    """The table, if this run made any part of its report; an older one is not what was asked for."""
    table, made = Path(f"{REPORTS}/table2.md"), [Path(path) for path in TABLE2]
    whole = all(path.exists() for path in made)
    if whole and any(path.stat().st_mtime >= STARTED for path in made):
        print(table.read_text().partition(WITH_INTERVALS)[0])
        print(f"Report: {Path(REPORTS).resolve() / 'table2.html'}")
