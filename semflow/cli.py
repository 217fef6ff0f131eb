"""The command line: one verb a rule. Parses, calls, writes; anything heavy is imported by the verb that needs it."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines import CONTROLS, METHODS, TASKS
from semflow import __version__, launch
from semflow.analysis import PRODUCTS
from semflow.errors import Interrupted, SemFlowError

if TYPE_CHECKING:
    from semflow.suite import Suite

Verb = Callable[[str, Callable[[argparse.Namespace], None], str], argparse.ArgumentParser]  # name, what runs it, words
EXAMPLES = {
    "train": "train --config config/mini.yaml --method semflow --state state --out checkpoint",
    "evaluate": "evaluate --config config/mini.yaml --method semflow --checkpoint checkpoint --sampler euler-25 --out r.json",
    "convert": "convert face.pt --config config/paper.yaml --part celebamask_hq --out checkpoint",
    "data": "data check cityscapes data/cityscapes --out sheet.png",
    "report": "report table2 --records r1.json r2.json --out table2.csv table2.md",
    "check_drift": "check_drift --records results/mini/records/*/*/*/*/*.json --reference results/reference/mini.json",
    "accept_reference": "accept_reference --records r1.json r2.json --reference results/reference/mini.json --reason 'new split'",
    "segment": "segment photo.png --checkpoint checkpoint --out labels.png",
    "synthesize": "synthesize labels.png --checkpoint checkpoint --seeds 4 --steps 25 --solver euler --out sheet.png",
    "trajectory": "trajectory photo.png --checkpoint checkpoint --out states.png",
    "roundtrip": "roundtrip photo.png --checkpoint checkpoint --out sheet.png",
    "info": "info checkpoint",
    "bench": "bench train --config config/mini.yaml",
    "plan": "plan --configfile config/paper.yaml --gpus 8",
}

DATA_SETS = ("coco_stuff", "celebamask_hq", "cityscapes")  # the paper's


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb. Exit status 0, 2 for a mistake that is named in one sentence, 130 when interrupted."""
    words = sys.argv[1:] if argv is None else argv
    arguments = _parser().parse_args(words)
    if getattr(arguments, "threads", None) and launch.LAUNCHED not in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # read by torch when it is imported
    try:
        if not ("gpus" in arguments and launch.prepare(words, *_devices_of(arguments))):
            arguments.run(arguments)
    except Interrupted as stop:
        sys.exit(_say(str(stop), 130))
    except SemFlowError as error:
        sys.exit(_say(str(error), 2))
    except KeyboardInterrupt:
        sys.exit(_say("interrupted", 130))
    except RuntimeError as error:  # torch's, of which only its last words say what happened
        if not any(words in str(error) for words in ("out of memory", "allocate memory")):
            raise
        sys.exit(
            _say(
                "there is not enough memory for this; take a smaller --size, run.micro_batch, evaluation.batch_size or network", 2
            )
        )


def _say(sentence: str, status: int) -> int:
    if not launch.tell(sentence, status):
        print(f"semflow: {sentence}", file=sys.stderr)
    return status


def _devices_of(a: argparse.Namespace) -> tuple[int, str]:
    """How many GPUs the verb works on, and the suite's run.device."""
    if "config" not in a:
        return a.gpus, "auto"
    from semflow import config

    suite = config.load(a.config, getattr(a, "part", None))
    if getattr(a, "method", None) in CONTROLS and suite.autoencoder.kind != "kl":  # nothing to compute
        return 1, "cpu"
    return a.gpus, suite.run.device


def _suite_of(a: argparse.Namespace) -> "Suite":
    """The suite, with masks perturbed as asked for."""
    from semflow import config

    suite = config.load(a.config, a.part)
    return suite if a.amplitude is None else config.with_amplitude(suite, a.amplitude)


def _train(a: argparse.Namespace) -> None:
    from semflow import checkpoints
    from semflow.data import open_dataset
    from semflow.training import train

    suite = _suite_of(a)
    checkpoints.check_target(a.out, a.state)
    open_dataset(suite.data, suite.evaluation.split)  # what evaluation will miss is better known before hours of training
    train(suite, a.method, a.seed, a.state, a.out)


def _evaluate(a: argparse.Namespace) -> None:
    from semflow.analysis.collect import with_interval
    from semflow.cells import NO_SAMPLER, Cell, Sampler, amplitude_of
    from semflow.evaluation import evaluate
    from semflow.metrics.catalogue import KINDS

    if a.method not in CONTROLS and not (a.checkpoint and a.sampler):
        raise SemFlowError(f"--checkpoint and --sampler are needed to evaluate {a.method}")
    suite = _suite_of(a)
    sampler = NO_SAMPLER if a.method in CONTROLS else Sampler.parse(a.sampler)
    trained = amplitude_of(suite, a.method)
    if a.sampling_amplitude is not None and a.task != "synthesis":
        raise SemFlowError(f"--sampling-amplitude is for --task synthesis; {a.task} draws nothing")
    drawn = 0.0 if a.task != "synthesis" else trained if a.sampling_amplitude is None else a.sampling_amplitude
    cell = Cell(a.method, a.task, sampler, trained, drawn, a.training_seed, a.sampling_seed)
    record = evaluate(suite, cell, a.checkpoint, a.out, a.cache)
    for name, metric in record.metrics.items():
        kind = KINDS[name]
        unit = "" if kind.unit == "none" else f" {kind.unit}"
        print(f"{kind.title} {with_interval(metric.value, metric.low, metric.high, kind.digits)}{unit}")


def _convert(a: argparse.Namespace) -> None:
    from semflow import checkpoints, config
    from semflow.convert import convert

    suite = config.load(a.config, a.part)
    checkpoints.check_target(a.out)
    convert(a.file, suite, a.method, a.out)
    print(a.out)


def _data_check(a: argparse.Namespace) -> None:
    from semflow.data.check import check

    report = check(a.name, a.root, _size_of(a), a.all, a.subset, a.out)
    print("\n".join(report.lines))
    for problem in report.problems:
        _say(problem, 1)
    sys.exit(1 if report.problems else 0)


def _data_prepare(a: argparse.Namespace) -> None:
    from semflow.data.prepare import prepare

    manifest = prepare(a.name, a.root, a.out)
    counts = ", ".join(f"{split} {facts['pairs']:,}" for split, facts in manifest["splits"].items())
    how_many = "as" if manifest["official"] else "not as many as"
    print(f"{a.name} is in place: {counts} pairs, {how_many} officially; counted, not read: `semflow data check` reads some")


def _report(a: argparse.Namespace) -> None:
    from semflow.analysis import report

    report.write(a.what, a.records, a.out, table=a.table, claims=a.claims, captions=a.captions)


def _check_drift(a: argparse.Namespace) -> None:
    from semflow.analysis import drift
    from semflow.analysis.collect import read_runs

    reference = drift.read(a.reference)
    check = drift.check(drift.reference_of(read_runs(a.records)), reference)
    print(check.text())
    sys.exit(check.status)


def _accept_reference(a: argparse.Namespace) -> None:
    from semflow.analysis import drift
    from semflow.analysis.collect import read_runs

    print(drift.accept(read_runs(a.records), a.reference, a.reason))


def _segment(a: argparse.Namespace) -> None:
    from semflow.pictures import segment

    segment(a.image, a.checkpoint, a.sampler, a.seed, _size_of(a), a.out)


def _synthesize(a: argparse.Namespace) -> None:
    from semflow.pictures import synthesize

    synthesize(a.labels, a.checkpoint, _solver_of(a), a.seeds, _size_of(a), a.out)


def _trajectory(a: argparse.Namespace) -> None:
    from semflow.pictures import trajectory

    trajectory(a.image, a.checkpoint, _solver_of(a), _size_of(a), a.out)


def _roundtrip(a: argparse.Namespace) -> None:
    from semflow.pictures import roundtrip

    roundtrip(a.image, a.checkpoint, _solver_of(a), a.seed, _size_of(a), a.out)


def _solver_of(a: argparse.Namespace) -> str:
    if a.solver != "rk45":
        return f"{a.solver}-{a.steps or 25}"
    if a.steps:
        raise SemFlowError(f"rk45 chooses its own steps; leave --steps {a.steps} out")
    return str(a.solver)


def _size_of(a: argparse.Namespace) -> tuple[int, int] | None:
    return tuple(a.size) if a.size else None


def _info(a: argparse.Namespace) -> None:
    from semflow.pictures import describe

    print(describe(a.checkpoint))


def _bench(a: argparse.Namespace) -> None:
    from semflow import bench, config, files

    suite = config.load(a.config, a.part)
    suite = bench.synthetic(suite) if a.synthetic else suite
    measured = {"train": bench.train, "sample": bench.sample, "load": bench.load}[a.what](suite, a.method, a.repeats)
    print(measured.text)
    if a.out:
        files.write_json(a.out, measured.numbers)


def _plan(a: argparse.Namespace) -> None:
    from semflow import config, plan

    study = config.load_study(a.config)
    made = plan.make_plan(study, a.devices, plan.rates_of(study, a.tflops, a.measured, a.fp32_tflops), a.efficiency)
    if a.json:
        made.write(a.json)
    print(made.text())


def _parser() -> argparse.ArgumentParser:
    examples = "examples:\n" + "\n".join(f"  semflow {line}" for line in EXAMPLES.values())
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("semflow", description=__doc__, epilog=examples, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"semflow {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Callable[[argparse.Namespace], None], words: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=words, description=words, epilog=f"example: semflow {EXAMPLES[name]}")
        sub.set_defaults(run=run)
        return sub

    _harness_verbs(verb)
    _data_verbs(verb)
    _report_verbs(verb)
    _picture_verbs(verb)
    return parser


def _harness_verbs(verb: Verb) -> None:
    p = verb("train", _train, "train a method, or go on with a training")
    _common(p, METHODS)
    p.add_argument("--seed", type=_whole, default=0, help="training seed (default 0)")
    p.add_argument("--amplitude", type=_amplitude, help="perturb masks by this (Eq. 14), 0..255 units, in place of the suite's")
    p.add_argument("--state", type=Path, required=True, help="folder that keeps the state of an unfinished training")
    p.add_argument("--out", type=Path, required=True, help="folder for the finished weights")
    p.add_argument("--gpus", type=_whole, default=1, help="GPUs that share the training, over all nodes of a job (default 1)")

    p = verb("evaluate", _evaluate, "measure a method on a split and write a record")
    _common(p, (*METHODS, *CONTROLS))
    p.add_argument("--checkpoint", type=Path, help="folder that `train` wrote; not for the controls ceiling, floor and real")
    p.add_argument("--task", choices=TASKS, default="segmentation", help="default segmentation")
    p.add_argument("--sampler", help="NAME-STEPS, such as euler-25 or ddim-200, or rk45")
    p.add_argument("--amplitude", type=_amplitude, help="perturbation that it was trained with, if not the suite's")
    p.add_argument("--sampling-amplitude", type=_amplitude, help="perturbation to draw with, if not that of the training")
    p.add_argument("--cache", type=Path, default=Path("results/features"), help="folder for features of real images")
    p.add_argument("--training-seed", type=_whole, default=0)
    p.add_argument("--sampling-seed", type=_whole, default=0)
    p.add_argument("--out", type=Path, required=True, help="the record's JSON file; its arrays go beside it")

    p = verb("convert", _convert, "make a checkpoint of a UNet's state dict that was trained elsewhere")
    p.add_argument("file", type=Path, help="what torch.save made of it, or .safetensors; no code in it is run")
    _common(p, METHODS, default="semflow")
    p.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")

    p = verb("bench", _bench, "measure the speed of training, of sampling, or of what loads training images")
    p.add_argument("what", choices=("train", "sample", "load"))
    p.add_argument("--synthetic", action="store_true", help="drawn scenes of the suite's size and random weights, no files")
    p.add_argument("--out", type=Path, help="JSON file for the numbers, which `plan` reads")
    _common(p, METHODS, default="semflow")
    p.add_argument("--repeats", type=_positive, default=5, help="repeats of each side, taken in turn (default 5)")

    p = verb("plan", _plan, "say what a suite takes before anything starts: jobs, GPU-hours, disk, memory")
    p.add_argument("--configfile", "--config", dest="config", type=Path, required=True, help="the suite's YAML file")
    p.add_argument("--gpus", dest="devices", type=_positive, default=1, help="GPUs, or CPU cores of a small suite (default 1)")
    rate = p.add_mutually_exclusive_group()
    rate.add_argument("--measured", type=Path, metavar="JSON", help="how fast training goes: what `bench train --out` wrote")
    rate.add_argument("--tflops", type=_above_zero, help="TFLOP/s of a GPU in training")
    p.add_argument("--fp32-tflops", type=_above_zero, help="TFLOP/s of a GPU in float32, in which evaluations sample")
    p.add_argument("--efficiency", type=_share, default=0.9, help="of several GPUs that share a training (default 0.9)")
    p.add_argument("--json", type=Path, help="JSON file for the same")


def _data_verbs(verb: Verb) -> None:
    what = verb("data", _data_check, "look one of the paper's data sets over, or make it ready").add_subparsers(
        required=True, metavar="{check,prepare}"
    )

    p = _on_data(what, "check", _data_check, "count pairs, look into some, say what is missing and where it is: exit status 1")
    p.add_argument("--size", type=_positive, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of pictures on the sheet")
    p.add_argument("--all", action="store_true", help="look into every pair, not 200 of each split")
    p.add_argument("--subset", action="store_true", help="other than the official numbers of pictures are meant")
    p.add_argument("--out", type=Path, help="contact sheet (PNG)")

    p = _on_data(what, "prepare", _data_prepare, "unpack its archives, merge the parts of faces, count, write a manifest")
    p.add_argument("--out", type=Path, help="the manifest (default: semflow-manifest.json in ROOT)")


def _report_verbs(verb: Verb) -> None:
    p = verb("report", _report, "make a table or a figure from records")
    p.add_argument("what", choices=PRODUCTS)
    p.add_argument("--records", type=Path, nargs="+", required=True)
    p.add_argument("--table", type=Path, help="the table's CSV, for what is made from it")
    p.add_argument("--claims", type=Path, help="claims.json, for the index")
    p.add_argument("--captions", type=Path, nargs="*", default=[], help="for the page: the .txt beside each figure")
    p.add_argument("--out", type=Path, nargs="+", required=True, help="files to write, each in the form its suffix says")

    p = verb(
        "check_drift",
        _check_drift,
        "say what became worse than a reference: exit status 1; 3 where it cannot be told",
    )
    _against(p)

    p = verb("accept_reference", _accept_reference, "make the reference of records, and say why")
    _against(p)
    p.add_argument("--reason", required=True, help="why the numbers may change; kept in the reference's history")


def _picture_verbs(verb: Verb) -> None:
    p = verb("segment", _segment, "segment a picture: label map and overlay")
    p.add_argument("image", type=Path, help="RGB picture of any size")
    _sampling(p, "label map (PNG of ids); the overlay goes beside it as NAME.overlay.png")

    p = verb("synthesize", _synthesize, "draw pictures from a label map")
    p.add_argument("labels", type=Path, help="PNG of label ids, 255 where ignored, or painted in the data set's colours")
    _solving(p, "picture (PNG); with several seeds the contact sheet, the pictures beside it as NAME.seed0.png, ...")
    p.add_argument("--seeds", type=_positive, default=1, help="how many pictures, under seeds 0, 1, ... (default 1)")

    p = verb("trajectory", _trajectory, "show the states between a picture and its pseudo mask")
    p.add_argument("image", type=Path, help="RGB picture of any size")
    _solving(p, "ten states side by side (PNG); all of them go beside it as GIF")

    p = verb("roundtrip", _roundtrip, "segment a picture, draw a picture from that, and segment it again")
    p.add_argument("image", type=Path, help="RGB picture of any size")
    _solving(p, "picture, labels, drawn picture, its labels, side by side (PNG)")
    p.add_argument("--seed", type=_whole, default=0, help="sampling seed (default 0)")

    p = verb("info", _info, "say what a checkpoint is")
    p.add_argument("checkpoint", type=Path)


def _on_data(verbs: Any, name: str, run: Callable[[argparse.Namespace], None], words: str) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = verbs.add_parser(name, help=words, description=words)
    p.set_defaults(run=run)
    p.add_argument("name", choices=DATA_SETS)
    p.add_argument("root", type=Path, metavar="ROOT", help="folder that holds it, or its archives as they were downloaded")
    return p


def _common(parser: argparse.ArgumentParser, methods: Iterable[str], default: str | None = None) -> None:
    parser.add_argument("--config", type=Path, required=True, help="the suite's YAML file")
    parser.add_argument("--part", help="which data set's part of it, where it has several")
    parser.add_argument("--method", required=default is None, default=default, choices=tuple(methods), help="which method")
    parser.add_argument("--threads", type=_positive, help="CPU threads (default: all)")
    parser.set_defaults(gpus=1)


def _against(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=Path, nargs="+", required=True)
    parser.add_argument("--reference", type=Path, required=True, help="JSON file of what is held to be right")


def _sampling(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder that `train` wrote")
    parser.add_argument(
        "--sampler",
        default="euler-25",
        help="NAME-STEPS (default euler-25), with NAME euler, midpoint, heun, rk4, ddim or ddpm; or rk45",
    )
    parser.add_argument("--seed", type=_whole, default=0, help="sampling seed (default 0)")
    _writing(parser, what)


def _solving(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder that `train` wrote, of semflow")
    parser.add_argument("--solver", default="euler", choices=("euler", "midpoint", "heun", "rk4", "rk45"), help="default euler")
    parser.add_argument("--steps", type=_positive, help="default 25; rk45 chooses its own")
    _writing(parser, what)


def _writing(parser: argparse.ArgumentParser, what: str) -> None:
    parser.set_defaults(gpus=1)
    size = "what the network works at, to which the picture is resized (default: the size it was trained at)"
    parser.add_argument("--size", type=_positive, nargs=2, metavar=("HEIGHT", "WIDTH"), help=size)
    parser.add_argument("--out", type=Path, required=True, help=what)


def _whole(text: str) -> int:
    return _at_least(0, text)


def _positive(text: str) -> int:
    return _at_least(1, text)


def _amplitude(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 255:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 255")
    return value


def _above_zero(text: str) -> float:
    return _up_to(float("inf"), text)


def _share(text: str) -> float:
    return _up_to(1.0, text)


def _up_to(most: float, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= most or value == float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0" + (f" and up to {most:g}" if most == 1 else ""))
    return value


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)
