"""The command line: each verb's words beside what it does.

A verb is one function that adds its arguments to a parser and returns what runs. Only the verb that is asked for is called: help
comes at once, and choices (methods, data sets, products) are those of the registries.
"""

import argparse
import io
import logging
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TextIO

from semflow import __version__
from semflow.errors import Interrupted, SemFlowError, did_you_mean
from semflow.training import launch

if TYPE_CHECKING:
    from semflow.suite import Suite

Arguments = argparse.Namespace
Command = Callable[[Arguments], None]


class Verb(NamedTuple):
    """help, example: one line each.  define: adds arguments, returns what runs.  computes: on a GPU where there is one."""

    help: str
    example: str
    define: "Callable[[Parser], Command]"
    computes: bool


VERBS: dict[str, Verb] = {}  # in the order of the help
GROUPS = {
    "config": "Show what a suite's file says.",
    "data": "Check a data set, or prepare one of the paper's.",
    "regression": "Compare records with a reference, or accept them as the reference.",
}
RENAMED = {"--gpus": "--devices", "--configfile": "--config", "--part": "--dataset"}  # options by their former names, still taken
MOVED = {"check_drift": "regression check", "accept_reference": "regression accept"}


def verb(example: str, computes: bool = False) -> Callable[[Any], Any]:
    """Register a verb by the name of its function, its help by the docstring; the second of two words is one of a group."""

    def register(define: Any) -> Any:
        VERBS[define.__name__.strip("_").replace("_", " ")] = Verb(define.__doc__, example, define, computes)
        return define

    return register


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb. Exit status 0, 2 for a mistake that is named in one sentence, 130 when interrupted, 141 when nobody
    reads what is printed."""
    words = sys.argv[1:] if argv is None else list(argv)
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()  # None where a shell closed it: `>&-`
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for names of files that have no letters there
    said = logging.StreamHandler(sys.stderr)
    said.setFormatter(logging.Formatter("semflow: %(message)s"))
    logging.getLogger(__package__).addHandler(said)
    try:
        try:
            a = parser(words).parse_args(words)  # which prints help
            _check_apart(a)
            if getattr(a, "threads", None) and launch.LAUNCHED not in os.environ:
                os.environ["OMP_NUM_THREADS"] = str(a.threads)  # read by torch when it is imported
            if not (a.computes and launch.prepare(words, *_devices(a))):
                a.run(a)
        finally:
            logging.getLogger(__package__).removeHandler(said)
            sys.stdout.flush()
    except BrokenPipeError:  # who read has enough, as `head` has; nothing more can be said, nor at the interpreter's end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Interrupted as stop:
        sys.exit(_say(str(stop), 130))
    except SemFlowError as error:
        sys.exit(_say(str(error), 2))
    except KeyboardInterrupt:
        sys.exit(_say("interrupted", 130))
    except OSError as error:  # a folder that may not be entered, a disk that went away
        what, why = error.filename or "a file", error.strerror or error
        sys.exit(_say(f"{what} cannot be used ({why}); see to its permissions or its disk", 2))
    except RuntimeError as error:  # torch's, of which only its last words say what happened
        if not any(sign in str(error) for sign in ("out of memory", "allocate memory")):
            raise
        mend = "take a smaller --size, run.micro_batch, evaluation.batch_size or network"
        sys.exit(_say(f"there is not enough memory for this; {mend}", 2))


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command in one sentence, with the nearest right word."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._subparsers is None:  # a verb's own parser, which gets what follows the verb
            args = [self._current(word) for word in args]
        return super().parse_known_args(args, namespace)

    def _current(self, word: str) -> str:
        """The word, or the option that it was renamed to. Exits if there is no such option."""
        known = [option for option in self._option_string_actions if option.startswith("--")]
        name, equals, value = word.partition("=")
        if not re.fullmatch(r"--[a-z][a-z-]*", name) or any(option.startswith(name) for option in known):
            return word
        if RENAMED.get(name) not in known:
            self.error(f"there is no option {name}{did_you_mean(name, known)}")
        return f"{RENAMED[name]}{equals}{value}"

    def error(self, message: str) -> NoReturn:
        if wrong := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            word = wrong[1]
            message += did_you_mean(MOVED.get(word, word), [*re.findall(r"[\w-]+", wrong[2]), *MOVED.values()])
        print(f"semflow: {message}; see `{self.prog} --help`", file=sys.stderr)
        sys.exit(2)


def parser(words: Sequence[str] = ()) -> Parser:
    """The parser of every verb, with the arguments of the one that `words` begin with; what it parses has `run`, `computes`."""
    chosen = next((name for name in VERBS if [*words[:2]][: len(name.split())] == name.split()), None)
    raw, said = argparse.RawDescriptionHelpFormatter, "Train, evaluate and report SemFlow and its baselines."
    root = Parser(__package__, description=said, epilog=_examples(""), formatter_class=raw)
    root.add_argument("--version", action="version", version=f"semflow {__version__}")
    groups = {"": root.add_subparsers(required=True, metavar="VERB")}
    for name, one in VERBS.items():
        group, _, last = name.rpartition(" ")
        if group not in groups:
            said = GROUPS[group]
            inner = groups[""].add_parser(group, help=said, description=said, epilog=_examples(group), formatter_class=raw)
            groups[group] = inner.add_subparsers(required=True, metavar="VERB")
        p = groups[group].add_parser(last, help=one.help, description=one.help, epilog=f"example: semflow {one.example}")
        if name == chosen:
            p.set_defaults(computes=one.computes, run=one.define(p))
    return root


def _examples(group: str) -> str:
    return "examples:\n" + "\n".join(f"  semflow {one.example}" for name, one in VERBS.items() if name.startswith(group))


WRITTEN = ("out", "json", "page")  # arguments that name what is written
APART = ("image", "layout", "state")  # arguments of verbs that keep what they write apart from these themselves


def _check_apart(a: Arguments) -> None:
    """SemFlowError if what is to be written is something that is read, or is written twice."""
    named = [
        (name, path, os.path.realpath(path))
        for name, value in vars(a).items()
        for path in (value if isinstance(value, list) else [value])
        if isinstance(path, Path) and name not in APART
    ]
    times = Counter(place for *_, place in named)
    for name, path, place in named:
        if name in WRITTEN and times[place] > 1:
            raise SemFlowError(f"--{name} {path} is read by this command as well, or written twice; give another name")


def _say(sentence: str, status: int) -> int:
    if not launch.tell(sentence, status):
        print(f"semflow: {sentence}", file=sys.stderr)
    return status


# The method: training it, evaluating it


@verb("train --config config/mini.yaml --method semflow --state state --out checkpoint", computes=True)
def _train(p: Parser) -> Command:
    """Train a method, or go on with a training."""
    _of_suite(p)
    _method(p)
    p.add_argument("--seed", type=whole, default=0, help="training seed (default 0)")
    _variant(p)
    p.add_argument("--amplitude", type=amplitude, help="perturb masks by this (Eq. 14), 0..255 units, in place of the suite's")
    p.add_argument("--state", type=Path, required=True, help="folder that keeps the state of an unfinished training")
    p.add_argument("--out", type=Path, required=True, help="folder for the finished weights")
    p.add_argument("--devices", type=whole, default=1, help="GPUs that share the training, over all nodes of a job (default 1)")

    def run(a: Arguments) -> None:
        from semflow.data import open_dataset
        from semflow.data.folders import check_labelled
        from semflow.data.sample import check_split
        from semflow.training.loop import checkpoints, train

        suite = _suite(a)
        checkpoints.check_target(a.out, a.state)
        # What evaluation will miss is better known before hours of training.
        check_split(open_dataset(suite.data, suite.evaluation.split), suite.evaluation.split)
        check_labelled(open_dataset(suite.data, "train"), "train")
        train(suite, a.method, a.seed, a.state, a.out)

    return run


@verb(
    "evaluate --config config/mini.yaml --method semflow --checkpoint checkpoint --sampler euler-25 --out r.json", computes=True
)
def _evaluate(p: Parser) -> Command:
    """Evaluate a method on a split and write a record."""
    from semflow.suite.runs import CONTROL_TITLES, TASKS

    _of_suite(p)
    _method(p, *CONTROL_TITLES, "controls")
    controls = ", ".join(CONTROL_TITLES)
    p.add_argument(
        "--checkpoint", type=Path, help=f"folder that `train` wrote; not for controls ({controls}, or `controls`: all)"
    )
    p.add_argument("--task", choices=TASKS, default="segmentation", help="default segmentation")
    _sampler(p, " (default: the method's own)")
    _variant(p)
    p.add_argument("--amplitude", type=amplitude, help="perturbation that it was trained with, if not the suite's")
    p.add_argument("--sampling-amplitude", type=amplitude, help="perturbation to draw with, if not that of the training")
    p.add_argument(
        "--judges",
        type=Path,
        nargs=2,
        default=(),
        metavar="FOLDER",
        help="checkpoints of the suite's judges (synthesis.judges), which read what is drawn for --task consistency",
    )
    p.add_argument("--cache", type=Path, default=Path("results/features"), help="folder for features of real images")
    p.add_argument("--training-seed", type=whole, default=0)
    p.add_argument("--sampling-seed", type=whole, default=0)
    p.add_argument("--all", action="store_true", help="every evaluation of the checkpoint in the suite's `runs`")
    p.add_argument(
        "--store", type=Path, help="with --all: where records are kept, to go on from (default: results/SUITE/evaluated)"
    )
    _json(p)
    out = "the record's JSON file, its arrays go beside it; with --all: the records that are wanted (default: all)"
    p.add_argument("--out", type=new_file, nargs="+", default=[], help=out)
    return lambda a: _evaluate_all(a) if a.all or a.method == "controls" else _evaluate_one(a)


def _evaluate_one(a: Arguments) -> None:
    from baselines import METHODS
    from semflow.claims.collect import with_interval
    from semflow.evaluation import evaluate
    from semflow.evaluation.metrics.catalogue import KINDS
    from semflow.method.samplers import DIRECT, Sampler
    from semflow.suite.measurements import draws
    from semflow.suite.runs import Evaluation, amplitude_of, main_sampler

    if len(a.out) != 1:
        raise SemFlowError("--out: give one file for the record, or --all for all evaluations of the checkpoint")
    if a.out[0].suffix == ".npz":
        raise SemFlowError(f"--out {a.out[0]} is where the record's arrays would go; name a .json, they go beside it")
    if a.method in METHODS and not a.checkpoint:
        raise SemFlowError(f"--checkpoint is needed to evaluate {a.method}")
    if a.method not in METHODS and (a.checkpoint or a.sampler):
        raise SemFlowError(f"{a.method} is a control: it takes neither --checkpoint nor --sampler; leave them out")
    if a.sampling_amplitude is not None and not draws(a.task):
        raise SemFlowError(f"--sampling-amplitude is for --task synthesis; {a.task} draws nothing")
    suite, sampler = _suite(a), DIRECT
    if a.method in METHODS:
        sampler = Sampler.parse(a.sampler) if a.sampler else main_sampler(a.method, a.task)
    trained = amplitude_of(suite, a.method)
    drawn = 0.0 if not draws(a.task) else trained if a.sampling_amplitude is None else a.sampling_amplitude
    evaluation = Evaluation(a.method, a.task, sampler, trained, drawn, a.training_seed, a.sampling_seed, a.variant)
    record = evaluate(suite, evaluation, a.checkpoint, a.out[0], a.cache, a.judges)
    lines, plain = list[str](), dict[str, Any]()
    for name, metric in record.metrics.items():
        kind = KINDS[name]
        unit = "" if kind.unit == "none" else f" {kind.unit}"
        why = f" ({record.reasons[name]})" if name in record.reasons else ""
        lines.append(f"{kind.title} {with_interval(metric.value, metric.low, metric.high, kind.digits)}{unit}{why}")
        plain[name] = metric.model_dump() | ({"reason": record.reasons[name]} if why else {})
    _tell(a, "\n".join(lines), plain)


def _evaluate_all(a: Arguments) -> None:
    from semflow.evaluation import evaluate_all
    from semflow.suite import reading, runs

    controls = a.method == "controls"
    if a.json:
        raise SemFlowError("--json is for one evaluation; the records that --all writes are JSON themselves")
    if controls and (a.variant or a.amplitude is not None):
        raise SemFlowError("controls are no training's: they take neither --variant nor --amplitude; leave them out")
    suite, trained = reading.load(a.config, a.dataset), _suite(a)
    of = runs.Checkpoint(a.method, runs.amplitude_of(trained, a.method), a.training_seed, a.variant)
    own = [e for e in runs.evaluations(suite) if (e.is_control if controls else runs.checkpoint_of(e) == of)]
    if not own:
        asked = f"{a.method} of training seed {of.seed} and amplitude {of.amplitude:g}"
        asked += f" in variant {of.variant}" if of.variant else ""
        raise SemFlowError(f"{a.config} runs no {asked}; add it to `runs`")
    places = {e: Path(runs.record_path(e, suite)) for e in own}
    wanted = {e: out for out in a.out for e, place in places.items() if out.parts[-5:] == place.parts[-5:]}
    if lost := set(a.out) - set(wanted.values()):
        first = next(iter(places.values()))
        raise SemFlowError(f"--out {min(lost)} is the record of no run of this checkpoint; {first} would be")
    store = a.store or Path(f"results/{suite.suite}/evaluated", suite.data.name)
    evaluate_all(trained, wanted or places, a.checkpoint, store, a.cache, a.judges)


@verb("convert face.pt --config config/paper.yaml --dataset celebamask_hq --out checkpoint")
def _convert(p: Parser) -> Command:
    """Make a checkpoint of weights that were trained elsewhere."""
    said = "state dict that torch.save wrote, or .safetensors; no code in it is run; of a network a file, NAME=FILE of each"
    p.add_argument("file", nargs="+", help=said)
    _of_suite(p)
    _method(p, default=True)
    p.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")

    def run(a: Arguments) -> None:
        from semflow.tools.convert import convert
        from semflow.training import checkpoints

        suite = _suite(a)
        checkpoints.check_target(a.out)
        convert(_one_or_named(a.file), suite, a.method, a.out)
        print(a.out)

    return run


def _one_or_named(words: list[str]) -> Path | dict[str, Path]:
    """A file, or several as NAME=FILE by their names."""
    if len(words) == 1 and ("=" not in words[0] or Path(words[0]).exists()):
        return Path(words[0])
    named = {name: Path(path) for name, _, path in (word.partition("=") for word in words) if path}
    if len(named) < len(words):
        raise SemFlowError("of several files each is given as NAME=FILE, under another name, such as G_A=photo2label.pth")
    return named


# The suite: what it says, what it takes


@verb("bench train --config config/mini.yaml", computes=True)
def _bench(p: Parser) -> Command:
    """Measure the speed of training, of sampling, or of what loads training images."""
    p.add_argument("what", choices=("train", "sample", "load"))
    p.add_argument("--synthetic", action="store_true", help="drawn scenes of the suite's size and random weights, no files")
    p.add_argument("--out", type=new_file, help="JSON file for the numbers, which `plan` reads")
    _of_suite(p)
    _method(p, default=True)
    p.add_argument("--repeats", type=positive, default=5, help="repeats of each side, taken in turn (default 5)")

    def run(a: Arguments) -> None:
        from semflow import files
        from semflow.tools import bench

        suite = bench.synthetic(_suite(a)) if a.synthetic else _suite(a)
        measured = {"train": bench.train, "sample": bench.sample, "load": bench.load}[a.what](suite, a.method, a.repeats)
        print(measured.text)
        if a.out:
            files.write_json(a.out, measured.numbers)

    return run


@verb("plan --config config/paper.yaml --devices 8")
def _plan(p: Parser) -> Command:
    """Say what a suite takes before anything starts: jobs, GPU-hours, disk, memory."""
    _config(p)
    p.add_argument("--devices", type=positive, default=1, help="GPUs, or CPU cores of a small suite (default 1)")
    rate = p.add_mutually_exclusive_group()
    rate.add_argument("--measured", type=Path, metavar="JSON", help="how fast training goes: what `bench train --out` wrote")
    rate.add_argument("--tflops", type=above_zero, help="TFLOP/s of a GPU in training")
    p.add_argument("--fp32-tflops", type=above_zero, help="TFLOP/s of a GPU in float32, in which evaluations sample")
    p.add_argument("--efficiency", type=share, default=0.9, help="of several GPUs that share a training (default 0.9)")
    _json(p)

    def run(a: Arguments) -> None:
        from semflow import report
        from semflow.suite import reading
        from semflow.tools import plan

        study = reading.load_study(a.config)
        report.check_outputs(study)
        made = plan.make_plan(study, a.devices, plan.rates_of(study, a.tflops, a.measured, a.fp32_tflops), a.efficiency)
        _tell(a, made.text(), made.plain())

    return run


@verb("config show config/camvid.yaml")
def _config_show(p: Parser) -> Command:
    """Show the whole of a suite's file, and where each key comes from."""
    p.add_argument("config", type=Path, metavar="FILE", help="the suite's YAML file")

    def run(a: Arguments) -> None:
        from semflow import report
        from semflow.suite import reading

        report.check_outputs(reading.load_study(a.config))
        print(reading.show(a.config), end="")

    return run


# Data sets


@verb("data check cityscapes data/cityscapes --out sheet.png")
def _data_check(p: Parser) -> Command:
    """Count pairs, look into some, say what is missing and where it is: exit status 1."""
    from semflow.data import DATASETS

    p.add_argument("name", nargs="?", choices=[name for name, info in DATASETS.items() if info.official or info.facts])
    p.add_argument("root", nargs="?", type=Path, metavar="ROOT", help="folder that holds it")
    p.add_argument("--config", type=Path, help="a suite's YAML file, whose data set is checked, in place of NAME ROOT")
    p.add_argument("--dataset", help="which of its data sets, where it has several")
    p.add_argument("--size", type=positive, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of pictures on the sheet")
    p.add_argument(
        "--all",
        action="store_true",
        help="look into every pair, not 200 of each split; ordinary pictures are seen to be whole, not decoded",
    )
    p.add_argument("--subset", action="store_true", help="other than the official numbers of pictures are meant")
    p.add_argument("--out", type=new_file, help="contact sheet (PNG)")
    _json(p)

    def run(a: Arguments) -> None:
        from semflow.suite import reading
        from semflow.tools.check import check, check_of_suite

        options = {"size": _size(a), "everything": a.all, "subset": a.subset, "out": a.out}
        if (a.config is None) == (a.root is None):
            raise SemFlowError("data check takes a data set and its folder, or --config with a suite's file; give one of the two")
        if a.config:
            report = check_of_suite(reading.load(a.config, a.dataset).data, **options)
        else:
            report = check(a.name, a.root, **options)
        _tell(a, "\n".join(report.lines), report._asdict())
        for problem in report.problems:
            _say(problem, 1)
        sys.exit(1 if report.problems else 0)

    return run


@verb("data prepare celebamask_hq data/celebamask_hq")
def _data_prepare(p: Parser) -> Command:
    """Unpack its archives, merge the parts of faces, count, write a manifest."""
    _data_set(p)
    p.add_argument("--out", type=new_file, help="the manifest (default: semflow-manifest.json in ROOT)")

    def run(a: Arguments) -> None:
        from semflow.tools.prepare import prepare

        manifest = prepare(a.name, a.root, a.out)
        print("".join(f"note: {note}\n" for note in manifest.get("notes", ())), end="")
        counts = ", ".join(f"{split} {facts['pairs']:,}" for split, facts in manifest["splits"].items())
        how_many = "as" if manifest["official"] else "not as many as"
        print(f"{a.name} is in place: {counts} pairs, {how_many} officially; counted, not read: `semflow data check` reads some")

    return run


@verb("init my_pictures")
def _init(p: Parser) -> Command:
    """Write a suite for a folder of images, labels and classes.txt, sized to this machine."""
    p.add_argument("root", type=Path, metavar="DIR", help="folder that holds them")
    p.add_argument("--out", type=new_file, help="the suite's YAML file (default: suite.yaml in DIR)")

    def run(a: Arguments) -> None:
        from semflow.tools.init import SNAKEFILE, init, this_machine

        path = init(a.root, a.out, this_machine())
        there, workflow = shlex.quote(str(path)), shlex.quote(str(SNAKEFILE))
        print(f"{path}\nsemflow data check --config {there}")
        print(f"snakemake --cores all reproduce_table2 --snakefile {workflow} --configfile {there}")

    return run


# Records


@verb("report table2 --records r1.json r2.json --out table2.csv table2.md")
def _report(p: Parser) -> Command:
    """Make a table or a figure from records."""
    from semflow.report import PRODUCTS

    p.add_argument("what", choices=list(PRODUCTS))
    _records(p)
    p.add_argument("--claims", type=Path, help="claims.json, for the index")
    p.add_argument("--captions", type=Path, nargs="*", default=[], help="for the page: the .txt beside each figure")
    p.add_argument("--single-file", action="store_true", help="for the index: put pictures and figures into the page")
    p.add_argument("--out", type=new_file, nargs="+", required=True, help="files to write, each in the form its suffix says")

    def run(a: Arguments) -> None:
        from semflow.report.write import write

        write(a.what, a.records, a.out, claims=a.claims, captions=a.captions, single_file=a.single_file)

    return run


@verb("suites results --out results/index.html")
def _suites(p: Parser) -> Command:
    """Link the reports of all suites on one page, with how their claims stand."""
    p.add_argument("root", type=Path, metavar="DIR", help="folder with a folder a suite, such as results or reports")
    p.add_argument("--out", type=Path, required=True, help="the page")

    def run(a: Arguments) -> None:
        from semflow.report.suites import suites

        suites(a.root, a.out)
        print(a.out)

    return run


@verb("readme README.md docs/*.md --records reports/study/records/*/*/*/*/*.json --claims reports/study/claims.json")
def _readme(p: Parser) -> Command:
    """Fill the numbers of texts, between their markers, from records and verdicts."""
    p.add_argument("texts", type=Path, nargs="+", metavar="TEXT", help="Markdown with `<!-- begin ... -->` and `<!-- end -->`")
    _records(p)
    p.add_argument("--claims", type=Path, required=True, help="claims.json, the verdicts on them")
    p.add_argument("--check", action="store_true", help="write nothing; fail where a text says other than the records")

    def run(a: Arguments) -> None:
        from semflow.report.filled import fill

        fill(a.texts, a.records, a.claims, a.check)

    return run


@verb("compare results/mini/records/scenes-test/semflow/segmentation/euler-25 results/mini/records/scenes-test/oracle")
def _compare(p: Parser) -> Command:
    """Compare two evaluations of the same images: paired differences of all metrics, with their intervals."""
    for side in ("a", "b"):
        what = "record, or folder of records: several seeds are taken together, several samplers are paired"
        p.add_argument(side, type=Path, metavar=side.upper(), help=what if side == "a" else "the same; differences are A - B")
    _json(p)

    def run(a: Arguments) -> None:
        from semflow.claims.compare import compare_paths

        comparison = compare_paths(a.a, a.b)
        _tell(a, comparison.text(), comparison.plain())

    return run


@verb("publish --records results/mini/records/*/*/*/*/*.json --report results/mini/report --out reports/mini")
def _publish(p: Parser) -> Command:
    """Copy a report and the records behind it to where they are committed."""
    p.add_argument("--records", type=Path, nargs="+", required=True, help="records, their arrays beside them")
    p.add_argument("--report", type=Path, help="folder of the report")
    p.add_argument("--tables", type=Path, nargs="*", default=[], help="CSV and JSON files that belong to it")
    p.add_argument("--methods", type=Path, help="what `report methods` wrote, for the README of each method's folder")
    p.add_argument("--out", type=Path, required=True, help="folder for all of it; records that are there of other runs stay")

    def run(a: Arguments) -> None:
        from semflow.tools.publish import publish

        publish(a.records, a.out, a.report, a.tables, a.methods)

    return run


@verb("pack results/mini --out mini.zip")
def _pack(p: Parser) -> Command:
    """Write a suite's records, weights, tables, configuration and environment to one archive, with hashes and an RO-Crate."""
    p.add_argument("results", type=Path, metavar="FOLDER", help="results/SUITE, in which the workflow ran")
    p.add_argument("--out", type=Path, required=True, help="the archive (zip); the same results give the same bytes")
    p.add_argument("--date", default="", help="of publication, YYYY-MM-DD (default: of the commit that made the records)")
    p.add_argument("--license", default="MIT", help="of the archive, an SPDX name or a sentence (default MIT, as the code)")

    def run(a: Arguments) -> None:
        from semflow.tools.pack import pack

        packed = pack(a.results, a.out, a.date, a.license)
        print("".join(f"note: {note}\n" for note in packed.notes), end="")
        what = f"{packed.n_records} records, {packed.n_checkpoints} checkpoints, {packed.n_files} files"
        print(f"{a.out}: {what}; SHA-256 {packed.sha256}")

    return run


@verb("unpack mini.zip --out mini")
def _unpack(p: Parser) -> Command:
    """Check an archive that `pack` wrote, every file by its SHA-256, and write its files to a new folder."""
    p.add_argument("file", type=Path, metavar="FILE", help="the archive")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or an empty folder")

    def run(a: Arguments) -> None:
        from semflow.tools.pack import CONFIG, unpack
        from semflow.tools.publish import RECORDS

        n_files = unpack(a.file, a.out)
        config, records = (shlex.quote(str(a.out / name)) for name in (CONFIG, RECORDS))
        print(f"{a.out}: {n_files} files, as they were packed. Reports from these records, without training:")
        print(f"snakemake --cores all reproduce_all --configfile {config} --config records={records}")

    return run


@verb("regression check --records results/mini/records/*/*/*/*/*.json --reference results/reference/mini.json")
def _regression_check(p: Parser) -> Command:
    """Compare records with a reference: exit status 1 if a number drifted, 3 if one is not the same metric, 4 if none can be
    told, else 0."""
    _reference(p)
    _json(p, "--out")
    p.add_argument("--page", type=new_file, help="HTML file for the same")

    def run(a: Arguments) -> None:
        from semflow import files
        from semflow.claims import document, drift
        from semflow.claims.collect import read_runs
        from semflow.report.drift_page import drift_page

        runs, reference = read_runs(a.records), drift.read(a.reference)
        check = drift.check(drift.reference_of(runs), reference, document.load())
        _tell(a, check.text(), check.plain())
        if a.page:
            files.write_text(a.page, drift_page(check, runs))
        sys.exit(check.status)

    return run


@verb("regression table --records results/mini/records/*/*/*/*/*.json --reference results/reference/mini.json")
def _regression_table(p: Parser) -> Command:
    """Print Table 2: yours, the reference's trainings, and the paper's."""
    _reference(p)

    def run(a: Arguments) -> None:
        from semflow.claims import drift
        from semflow.claims.collect import read_runs
        from semflow.report.beside_reference import beside_reference

        print(beside_reference(read_runs(a.records), drift.read(a.reference)), end="")

    return run


@verb("regression accept --records r1.json r2.json --reference results/reference/mini.json --reason 'new split'")
def _regression_accept(p: Parser) -> Command:
    """Make records the reference, and say why."""
    _reference(p)
    p.add_argument("--reason", required=True, help="why the numbers may change; kept in the reference's history")

    def run(a: Arguments) -> None:
        from semflow.claims import drift
        from semflow.claims.collect import read_runs

        print(drift.accept(read_runs(a.records), a.reference, a.reason))

    return run


# Pictures of one's own

PICTURE = "picture of any size and mode without transparent pixels, taken upright"
FOLDER = "of several pictures a folder, in which each has its name"


@verb("segment photo.png --checkpoint checkpoint --out labels.png", computes=True)
def _segment(p: Parser) -> Command:
    """Segment pictures: label map and overlay of each."""
    p.add_argument("image", type=Path, nargs="+", help=f"{PICTURE}; several, or folders of them")
    _of_checkpoint(p, f"label map (PNG of class numbers), its overlay beside it as NAME.overlay.png; {FOLDER}")
    _seed(p)
    return lambda a: _inference().segment(a.image, a.checkpoint, _sampler_of(a), a.seed, _size(a), a.out)


@verb("synthesize labels.png --checkpoint checkpoint --seeds 4 --sampler euler-25 --out sheet.png", computes=True)
def _synthesize(p: Parser) -> Command:
    """Draw pictures from label maps."""
    from semflow.data.label_maps import WAYS

    p.add_argument("layout", type=Path, nargs="+", help="label map (PNG), 255 where ignored; several, or folders of them")
    ways = "numbers of classes, as `segment` writes them; raw ids, as in the data set's own files; or its colours"
    p.add_argument("--labels", choices=WAYS, help=f"what label maps hold: {ways} (default: the only one that is possible)")
    out = "picture (PNG); with several seeds the contact sheet, the pictures beside it as NAME.seed0.png, ...;"
    _of_checkpoint(p, f"{out} {FOLDER}")
    p.add_argument("--seeds", type=positive, default=1, help="how many pictures, under seeds 0, 1, ... (default 1)")
    p.add_argument("--amplitude", type=amplitude, help="perturb masks by this (Eq. 14), 0..255 units, not as in training")

    def run(a: Arguments) -> None:
        _inference().synthesize(a.layout, a.checkpoint, _sampler_of(a), a.seeds, _size(a), a.out, a.labels, a.amplitude)

    return run


@verb("trajectory photo.png --checkpoint checkpoint --out states.png", computes=True)
def _trajectory(p: Parser) -> Command:
    """Show the states between a picture and its pseudo mask."""
    p.add_argument("image", type=Path, help=PICTURE)
    _of_checkpoint(p, "ten states side by side (PNG); all of them go beside it as GIF")
    return lambda a: _inference().trajectory(a.image, a.checkpoint, _sampler_of(a), _size(a), a.out)


@verb("roundtrip photo.png --checkpoint checkpoint --out sheet.png", computes=True)
def _roundtrip(p: Parser) -> Command:
    """Segment a picture, draw a picture from that, and segment it again."""
    p.add_argument("image", type=Path, help=PICTURE)
    _of_checkpoint(p, "picture, labels, drawn picture, its labels, side by side (PNG)")
    _seed(p)
    return lambda a: _inference().roundtrip(a.image, a.checkpoint, _sampler_of(a), a.seed, _size(a), a.out)


@verb("info checkpoint")
def _info(p: Parser) -> Command:
    """Say what a checkpoint is."""
    p.add_argument("checkpoint", type=Path)
    _json(p)

    def run(a: Arguments) -> None:
        from semflow.training.card import describe, read_card

        card = read_card(a.checkpoint)
        _tell(a, describe(card), card.model_dump(mode="json"))

    return run


@verb("card checkpoint --records results/mini/records/scenes-test/semflow/*/*/train0-*.json")
def _card(p: Parser) -> Command:
    """Write a checkpoint's model card (README.md), as the Hugging Face hub reads it, with results from records."""
    p.add_argument("checkpoint", type=Path, help="folder that `train` wrote")
    p.add_argument("--records", type=Path, nargs="+", default=[], help="of these weights; others are refused")

    def run(a: Arguments) -> None:
        from semflow.tools.card import write_card

        print(write_card(a.checkpoint, a.records))

    return run


# Arguments that several verbs have, and what they mean


def _config(p: Parser) -> None:
    p.add_argument("--config", type=Path, required=True, help="the suite's YAML file")


def _json(p: Parser, *former: str) -> None:
    """former: other names of the option."""
    p.add_argument(
        "--json", *former, type=new_file, metavar="FILE", help="JSON file for the same; -: print that in place of the words"
    )


def _tell(a: Arguments, words: str, plain: Any) -> None:
    """Print what was found, in words or as JSON, and write the file that was asked for."""
    from semflow import files

    if a.json == Path("-"):
        print(files.json_text(plain), end="")
        return
    print(words)
    if a.json:
        files.write_json(a.json, plain)


def _of_suite(p: Parser) -> None:
    _config(p)
    p.add_argument("--dataset", help="which of its data sets, where it has several")
    p.add_argument("--threads", type=positive, help="CPU threads (default: all)")


def _method(p: Parser, *others: str, default: bool = False) -> None:
    """default: the paper's, where none is named."""
    from baselines import METHODS
    from semflow import published

    name = published.subject() if default else None
    said = "which method" + (f" (default {name})" if default else "")
    p.add_argument("--method", required=not default, default=name, choices=(*METHODS, *others), help=said)


def _data_set(p: Parser) -> None:
    from semflow.data import OFFICIAL

    p.add_argument("name", choices=tuple(OFFICIAL))
    p.add_argument("root", type=Path, metavar="ROOT", help="folder that holds it, or its archives as they were downloaded")


def _records(p: Parser) -> None:
    p.add_argument("--records", type=Path, nargs="+", required=True)


def _reference(p: Parser) -> None:
    _records(p)
    p.add_argument("--reference", type=Path, required=True, help="JSON file of what is held to be right")


def _seed(p: Parser) -> None:
    p.add_argument("--seed", type=whole, default=0, help="sampling seed (default 0)")


def _variant(p: Parser) -> None:
    p.add_argument("--variant", default="", help="of the suite's `variants` (default: the suite as it is)")


def _sampler(p: Parser, default: str = "") -> None:
    p.add_argument("--sampler", help=f"NAME-STEPS, such as euler-25 or ddim-200; or the name alone: rk45, direct{default}")


def _of_checkpoint(p: Parser, out: str) -> None:
    size = "what the network works at, to which the picture is resized (default: the size it was trained at)"
    p.add_argument("--checkpoint", type=Path, required=True, help="folder that `train` wrote")
    _sampler(p, " (default: the method's own)")
    for former, kind in (("--solver", str), ("--steps", positive)):
        p.add_argument(former, type=kind, help=argparse.SUPPRESS)
    p.add_argument("--size", type=positive, nargs=2, metavar=("HEIGHT", "WIDTH"), help=size)
    p.add_argument("--out", type=Path, required=True, help=out)


def _devices(a: Arguments) -> tuple[int, str]:
    """How many devices the verb works on, and the suite's run.device."""
    n = getattr(a, "devices", 1)
    if "config" not in a:
        return n, "auto"
    from baselines import METHODS
    from semflow.suite import reading

    suite = reading.load(a.config, a.dataset)
    if a.method not in METHODS and not suite.autoencoder.learned:  # a control, with nothing to compute
        return 1, "cpu"
    return n, suite.run.device


def _suite(a: Arguments) -> "Suite":
    """The suite, in the variant and with masks perturbed as asked for."""
    from semflow.suite import reading
    from semflow.suite.variants import trained_as

    return trained_as(reading.load(a.config, a.dataset), getattr(a, "variant", ""), getattr(a, "amplitude", None))


def _inference() -> Any:
    """What runs a checkpoint on single pictures, imported when a verb runs: it brings in torch."""
    from semflow.tools import inference

    return inference


def _sampler_of(a: Arguments) -> str | None:
    """The sampler asked for, perhaps by its former options; None: the method's own."""
    if a.solver is None and a.steps is None:
        return a.sampler
    from baselines import METHODS
    from semflow import published
    from semflow.method.samplers import STEPLESS, Sampler

    own = Sampler.parse(METHODS[published.subject()].default["segmentation"])
    name = a.solver or own.name
    return name if name in STEPLESS and a.steps is None else f"{name}-{a.steps or own.steps}"


def _size(a: Arguments) -> tuple[int, int] | None:
    return tuple(a.size) if a.size else None


def new_file(text: str) -> Path:
    """A file to write, which is no folder; `-` is a name like others."""
    path = Path(text)
    if not path.name or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; name a file")
    return path


def whole(text: str) -> int:
    return _at_least(0, text)


def positive(text: str) -> int:
    return _at_least(1, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def amplitude(text: str) -> float:
    return _within(text, lambda value: 0 <= value < 255, "from 0 to 255")


def above_zero(text: str) -> float:
    return _within(text, lambda value: 0 < value < float("inf"), "above 0")


def share(text: str) -> float:
    return _within(text, lambda value: 0 < value <= 1, "above 0 and up to 1")


def _within(text: str, holds: Callable[[float], bool], words: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not holds(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number {words}")
    return value
