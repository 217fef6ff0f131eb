# The checked suite, its paths, and the keys that make a result stale.
import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from snakemake.exceptions import WorkflowError

from baselines import METHODS
from semflow import files, provenance, published
from semflow import report as products
from semflow.data import OFFICIAL
from semflow.errors import SemFlowError
from semflow.report.methods import docstrings
from semflow.report.tables import WITH_INTERVALS
from semflow.suite import jobs, keys, runs
from semflow.suite import reading as configuration

try:
    if (
        workflow.modifier.parent_modifier
    ):  # a module's: a dictionary, from the workflow that has this one
        # Of keys given twice Snakemake took the last, and it reads 010 as 8.
        for path in workflow.configfiles:
            files.read_yaml(Path(path), "configuration")
        default = {"base": workflow.source_path("../../config/mini.yaml")}
        raw = configuration.on_base(
            configuration.Resolved(dict(config) or default, {}), Path("config")
        ).raw
    else:  # files, which Snakemake would read without `base` and with 1e-3 as a word; the default only where there are none
        paths = workflow.overwrite_configfiles or [
            workflow.source_path("../../config/mini.yaml")
        ]
        changes = {
            key: value
            for key, value in workflow.config_settings.config.items()
            if key not in ("reason", "records")
        }
        given = configuration.given(paths, changes)
        # A job that runs elsewhere, with copies of the sources, needs those that the named ones build on too.
        workflow.configfiles += [path for path in given.files if path not in paths]
        raw = given.raw
    STUDY = configuration.check_study(raw, "the configuration")
    products.check_outputs(STUDY)
except SemFlowError as error:
    raise WorkflowError(str(error)) from None
config.clear()
config.update(raw)

STARTED = time.time()
SOURCES = os.path.relpath(Path(str(workflow.current_basedir)).parent)
RESULTS = f"results/{STUDY.name}"
REPORTS = f"{RESULTS}/report"
# What every command reads, with all that it builds on. It lies outside the prefix of a module, of which there may be several.
OWN = (
    f"-{provenance.content_hash(raw)[:12]}" if workflow.modifier.parent_modifier else ""
)
CONFIG = f"{RESULTS}/config{OWN}.json"
LOGS = f"{RESULTS}/logs"
REFERENCES = "results/reference"
BENCHMARKS = f"{RESULTS}/benchmarks"
FIRST = next(iter(STUDY.suites.values()))  # whose `run` and seeds are those of all
STORE = f"results/{FIRST.shares or STUDY.name}"  # of what is under way and was made, by keys that say all that determines it
BY_DATA = (
    "{data}/" if STUDY.several else ""
)  # which a suite of one data set need not say
CHECKPOINT = f"{RESULTS}/checkpoints/{BY_DATA}{{method}}{{variant}}/seed{{seed}}"
TRAINING = f"{BY_DATA}train-{{method}}{{variant}}-seed{{seed}}"
MANIFEST = f"{RESULTS}/data/{{data}}.json"  # what `semflow data prepare` found
FEATURES = "results/features"  # of real images, kept by content


def preparable(suite):
    """Whether a data set may be prepared by a rule; where SEMFLOW_DATA says that it lies, of archives."""
    facts = OFFICIAL.get(suite.data.name)
    return facts and (not suite.data.elsewhere or facts.archives_in(suite.data.folder))


def said_of(lacking):
    """Which data sets are not in place, and what is wrong with the first."""
    mend = (
        "; put the data or their archives there and run `snakemake prepare_data`"
        if OFFICIAL.keys() & lacking
        else ""
    )
    return f"the files of {', '.join(lacking)} are not in place: {next(iter(lacking.values()))}{mend}"


ABSENT = [
    name
    for name, suite in STUDY.suites.items()
    if not KEPT and name in OFFICIAL and "missing" in keys.data_stamps(suite)
]
# What no rule can prepare. A plan can be shown without, unless SEMFLOW_DATA says that it is there.
LACKING = {
    name: reason
    for name, suite in STUDY.suites.items()
    if not KEPT and (reason := keys.missing(suite)) and not preparable(suite)
}
if (
    any(STUDY.suites[name].data.elsewhere for name in LACKING)
    and "--unlock" not in sys.argv
):
    raise WorkflowError(said_of(LACKING))
# Weights as well, or the first training would miss them after hours of unpacking.
ABSENT += dict.fromkeys(
    name
    for suite in STUDY.suites.values()
    if not KEPT
    for name in keys.absent_weights(suite)
)
GPUS = int(
    FIRST.run.device == "cuda"
    or (FIRST.run.device == "auto" and shutil.which("nvidia-smi") is not None)
)


def write_config():
    """What every command reads; only under the lock, or a second run would change it under the first."""
    if not Path(CONFIG).exists() or json.loads(Path(CONFIG).read_text()) != raw:
        files.write_json(Path(CONFIG), raw)


# A module's `onstart` is not called, and Snakemake does not know yet that a run is dry; a job on another machine has no `onstart`.
DRY = any(
    re.fullmatch("--dry-?run|-[Fiknpqv]*n[Fiknpqv]*", word) for word in sys.argv[1:]
)
if workflow.is_main_process:
    if workflow.modifier.parent_modifier and not (DRY or ABSENT or LACKING):
        write_config()
elif not Path(CONFIG).exists():
    write_config()


def records(name):
    """Record files that a table or figure is made from; none where the suite does not measure what it shows, or the committed
    records do not hold it and it was not asked for by its target.
    """
    return kept(products.records(name, STUDY), f"reproduce_{name}" in sys.argv)


def kept(paths, asked=True):
    """The same, or those of them that are among the committed ones, where products are made from these. asked: whether it is a
    mistake that there is none."""
    if not KEPT:
        return paths
    there = [path.replace(f"{RESULTS}/records", KEPT.rstrip("/"), 1) for path in paths]
    found = [path for path in there if Path(path).exists()]
    if asked and paths and not found:
        raise WorkflowError(
            f"records={KEPT}: there is no record of suite {STUDY.name} that is asked for, such as {there[0]}"
        )
    if len(found) < len(there) and "publish_report" in sys.argv:
        lost = next(path for path in there if path not in found)
        raise WorkflowError(
            f"records={KEPT}: {len(there) - len(found)} of {len(there)} records are missing, such as {lost}; a part of a suite is not"
            " published as the whole"
        )
    return found


def holds(name):
    """Whether committed records hold what a figure shows; how losses fell stands in newer ones alone."""
    if not KEPT or name != "losses":
        return True
    found = [json.loads(Path(path).read_text())["budget"] for path in records(name)]
    return any(budget and budget.get("losses") for budget in found)


ALL_RECORDS = kept(
    [
        runs.record_path(evaluation, suite)
        for suite in STUDY.suites.values()
        for evaluation in runs.evaluations(suite)
    ]
)
SHIPPED = {  # weights that the reference keeps: of the methods of Table 2, from the first training seed
    row["method"]: CHECKPOINT.format(
        data=next(iter(STUDY.suites)),
        method=row["method"],
        variant="",
        seed=FIRST.training.seeds[0],
    )
    for row in published.table(2)["rows"]
    if row["method"] in FIRST.methods
}
TABLES = [name for name in ("table1", "table2") if records(name)]
FIGURES = [name for name in products.FIGURES if records(name) and holds(name)]
LEFT_OUT = [
    name
    for name in ("table1", "table2", *products.FIGURES)
    if name not in (*TABLES, *FIGURES) and not STUDY.several
]
PAGE_FIGURES = {
    "table1": [],
    "table2": [name for name in ("figure_table2", "figure02") if name in FIGURES],
}


def drawn(*names, suffixes=("png", "svg", "pdf")):
    """Files of figures."""
    return [
        f"{REPORTS}/figures/{name}.{suffix}" for name in names for suffix in suffixes
    ]


def table(name):
    """Files of a table, its page and its figures."""
    if name not in TABLES:
        return []
    forms = [f"{REPORTS}/{name}.{suffix}" for suffix in ("md", "tex", "html")]
    return [f"{RESULTS}/{name}.csv", *forms, *drawn(*PAGE_FIGURES[name])]


def captions(paths):
    """The option that says which figures a page shows, of the files beside it."""
    found = [path for path in paths if path.endswith(".txt")]
    return f"--captions {' '.join(found)}" if found else ""


ABLATIONS, BUDGET = f"{RESULTS}/ablations.csv", f"{RESULTS}/budget.csv"
CLAIMS = f"{RESULTS}/claims.json"
METHODS_PAGE = f"{REPORTS}/methods.md"
METHODS_WORDS = provenance.content_hash({name: docstrings(name) for name in METHODS})[
    :16
]
INDEX = f"{REPORTS}/index.html"


NOTEBOOKS = products.notebooks(STUDY)
PLACE = FIRST.checkpoints or (f"{REFERENCES}/weights" if KEPT else None)
OPENED = published.subject()  # whose weights a notebook opens
SHOWN = f"{PLACE}/{OPENED}" if PLACE else SHIPPED.get(OPENED)
EXECUTED = [
    f"{REPORTS}/notebooks/{name}.{suffix}"
    for name in NOTEBOOKS
    for suffix in ("ipynb", "html")
]


wildcard_constraints:
    data="|".join(STUDY.suites),
    method="|".join(
        sorted(
            {
                one.method
                for suite in STUDY.suites.values()
                for one in runs.trainings(suite, runs.evaluations(suite))
            }
        )
    ),
    variant=r"(-[a-z][a-z0-9_]*)?(-b[\d.]+)?",  # of the training, where it is not as the suite says
    seed=r"\d+",
    table="|".join(TABLES) or "none",
    long="ablations|budget",
    figure="|".join(FIGURES) or "none",
    notebook="|".join(NOTEBOOKS),


def checkpoint_of(job):
    """The finished weights that a job's records are measured on."""
    return [] if job.checkpoint is None else checkpoint_path(job.suite, job.checkpoint)


def checkpoint_path(suite, of):
    """Where the finished weights of a training lie."""
    if suite.checkpoints:
        return str(suite.checkpoints / of.method)
    return CHECKPOINT.format(
        data=suite.data.name,
        method=of.method,
        variant=runs.variant_path(of, suite),
        seed=of.seed,
    )


def fetched_checkpoint(wildcards, input):
    """Where a storage put it, which is not where it is declared; of controls nothing."""
    return f"--checkpoint {input.checkpoint}" if input.checkpoint else ""


def dataset_of(wildcards):
    """The suite of the data set that a job is about."""
    return STUDY.suites[getattr(wildcards, "data", next(iter(STUDY.suites)))]


def trained(wildcards):
    """The checkpoint that a training rule gives, of those that the suite's runs need."""
    suite = dataset_of(wildcards)
    return next(
        one
        for one in runs.trainings(suite, runs.evaluations(suite))
        if (one.method, one.seed) == (wildcards.method, int(wildcards.seed))
        and runs.variant_path(one, suite) == wildcards.variant
    )


def suite_of(wildcards):
    """The suite by which a training goes."""
    return jobs.trained_by(trained(wildcards), dataset_of(wildcards))


def of_suite(data):
    """Options of every command that say which suite it is about."""
    return f"--config {CONFIG}" + (f" --dataset {data}" if STUDY.several else "")


def configured(wildcards):
    """The same of a training."""
    own = jobs.options(trained(wildcards), dataset_of(wildcards))
    return of_suite(getattr(wildcards, "data", "")) + own


def manifest_of(suite):
    """What says that a data set's files are whole, where they are prepared."""
    name = suite.data.name
    return [MANIFEST.format(data=name)] if name in OFFICIAL else []


def memory_mb(suite):
    """A whole evaluation split is held, and a training's network and average."""
    return 64000 if suite.is_large else 4000


def asked(rule, **own):
    """Resources of a generated rule: its own, but what the profile or the command line says of all rules of its kind."""
    said = workflow.resource_settings.overwrite_resources.get(rule, {})
    return own | {name: getattr(value, "raw", value) for name, value in said.items()}


def asked_threads(rule):
    said = workflow.resource_settings.overwrite_threads.get(rule, 1)
    return getattr(said, "raw", said)


def threads_for_training():
    """Every method trains at once; they share the cores."""
    trained = {
        evaluation.method
        for suite in STUDY.suites.values()
        for evaluation in runs.evaluations(suite)
        if not evaluation.is_control
    }
    cores = workflow.resource_settings.cores
    return max(1, cores // (len(trained) * len(FIRST.training.seeds))) if cores else 1


PACKAGE = Path(files.__file__).parent
WRITERS = ("semflow.report.write", "semflow.report.products")
EVERY = frozenset(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )
    for room in ("claims", "report")
    for path in (PACKAGE / room).rglob("*.py")
) - set(WRITERS)


def code_of(name):
    """Hash of a product's code and of what writes it: a change there makes it stale, a change elsewhere does not."""
    writer = provenance.code_hash(WRITERS, EVERY)
    return (
        f"{provenance.code_hash((products.PRODUCTS[name].module,))[:16]}-{writer[:16]}"
    )


def files_key(*paths):
    """Hash of what files hold."""
    return hashlib.sha256(
        b"".join(Path(path).read_bytes() for path in paths)
    ).hexdigest()[:16]


def notebook_key(path):
    """Hash of a notebook, of the template that it is shown by, and of all of ours that it imports."""
    cells = json.loads(Path(path).read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    imports = [
        node
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
    ]
    modules = {
        node.module
        for node in imports
        if node.module.split(".")[0] in provenance.PACKAGES
    }
    template = sorted(Path(path).with_name("offline").iterdir())
    return f"{files_key(path, *template)}-{provenance.code_hash(tuple(sorted(modules)))[:16]}"


# A correction there makes tables, figures and verdicts stale.
PUBLISHED = {
    f"table{number}": provenance.content_hash(published.table(number))[:16]
    for number in (1, 2)
} | {"claims": files_key(Path(published.__file__).with_name("claims.yaml"))}
PAGE_FILES = files_key(
    *sorted(
        path
        for path in (PACKAGE / "report/page").iterdir()
        if path.suffix in {".css", ".html", ".js"}
    )
)


def print_beside_reference():
    """Table 2: this run's, the reference's trainings', the paper's."""
    made = [path for path in records("table2") if Path(path).exists()]
    if made and any(Path(path).stat().st_mtime >= STARTED for path in made):
        subprocess.run(
            [
                *(sys.executable, *"-m semflow regression table".split()),
                *("--reference", REFERENCE, "--records", *made),
            ]
        )


def print_tables():
    """Every table whose report this run made a part of; an older one is not what was asked for."""
    for name in TABLES:
        made = [Path(path) for path in table(name)]
        if all(path.exists() for path in made) and any(
            path.stat().st_mtime >= STARTED for path in made
        ):
            print(Path(f"{REPORTS}/{name}.md").read_text().partition(WITH_INTERVALS)[0])
            print(f"Report: {Path(REPORTS).resolve() / f'{name}.html'}")
    if "table2" in TABLES and Path(REFERENCE).exists():
        print_beside_reference()
    index = Path(INDEX)
    if index.exists() and index.stat().st_mtime >= STARTED:
        counts = json.loads(Path(CLAIMS).read_text())["counts"]
        print(
            f"Claims: {', '.join(f'{number} {verdict}' for verdict, number in counts.items())}"
        )
        print(f"Report: {index.resolve()}", "All suites:", sep="\n", flush=True)
        reports = "-m semflow suites results --out results/index.html".split()
        subprocess.run([sys.executable, *reports])
