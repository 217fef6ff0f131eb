"""The words of the command line: every verb with its arguments and an example."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from baselines import METHODS
from semflow import __version__
from semflow.data import OFFICIAL
from semflow.report import PRODUCTS
from semflow.suite.runs import CONTROL_TITLES, TASKS

Verb = Callable[[str, str], argparse.ArgumentParser]  # its name and what it is for
EXAMPLES = {
    "train": "train --config config/mini.yaml --method semflow --state state --out checkpoint",
    "evaluate": "evaluate --config config/mini.yaml --method semflow --checkpoint checkpoint --sampler euler-25 --out r.json",
    "convert": "convert face.pt --config config/paper.yaml --dataset celebamask_hq --out checkpoint",
    "data check": "data check cityscapes data/cityscapes --out sheet.png",
    "data prepare": "data prepare celebamask_hq data/celebamask_hq",
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

DATA_SETS = tuple(OFFICIAL)  # the paper's


def parser() -> argparse.ArgumentParser:
    """The parser of every verb; what it parses has the verb's name in `verb`."""
    examples = "examples:\n" + "\n".join(f"  semflow {line}" for line in EXAMPLES.values())
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(
        "semflow", description="Train, measure and report SemFlow and its baselines.", epilog=examples, formatter_class=raw
    )
    made.add_argument("--version", action="version", version=f"semflow {__version__}")
    verbs = made.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, words: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=words, description=words, epilog=_example(name))
        sub.set_defaults(verb=name)
        return sub

    _harness_verbs(verb)
    _data_verbs(verb)
    _report_verbs(verb)
    _picture_verbs(verb)
    return made


def _harness_verbs(verb: Verb) -> None:
    p = verb("train", "train a method, or go on with a training")
    _common(p, METHODS)
    p.add_argument("--seed", type=_whole, default=0, help="training seed (default 0)")
    p.add_argument("--amplitude", type=_amplitude, help="perturb masks by this (Eq. 14), 0..255 units, in place of the suite's")
    p.add_argument("--state", type=Path, required=True, help="folder that keeps the state of an unfinished training")
    p.add_argument("--out", type=Path, required=True, help="folder for the finished weights")
    p.add_argument("--gpus", type=_whole, default=1, help="GPUs that share the training, over all nodes of a job (default 1)")

    p = verb("evaluate", "measure a method on a split and write a record")
    _common(p, (*METHODS, *CONTROL_TITLES, "controls"))
    p.set_defaults(gpus=1)
    p.add_argument(
        "--checkpoint", type=Path, help="folder that `train` wrote; not for the controls oracle, shuffled_labels and real_images"
    )
    p.add_argument("--task", choices=TASKS, default="segmentation", help="default segmentation")
    p.add_argument("--sampler", help="NAME-STEPS, such as euler-25 or ddim-200, or rk45")
    p.add_argument("--amplitude", type=_amplitude, help="perturbation that it was trained with, if not the suite's")
    p.add_argument("--sampling-amplitude", type=_amplitude, help="perturbation to draw with, if not that of the training")
    p.add_argument("--cache", type=Path, default=Path("results/features"), help="folder for features of real images")
    p.add_argument("--training-seed", type=_whole, default=0)
    p.add_argument("--sampling-seed", type=_whole, default=0)
    p.add_argument("--all", action="store_true", help="every evaluation of the checkpoint in the suite's `runs`")
    p.add_argument(
        "--store", type=Path, help="with --all: where records are kept, to go on from (default: results/SUITE/evaluated)"
    )
    p.add_argument(
        "--out",
        type=Path,
        nargs="+",
        default=[],
        help="the record's JSON file, its arrays go beside it; with --all: the records that are wanted (default: all)",
    )

    p = verb("convert", "make a checkpoint of a UNet's state dict that was trained elsewhere")
    p.add_argument("file", type=Path, help="what torch.save made of it, or .safetensors; no code in it is run")
    _common(p, METHODS, default="semflow")
    p.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")

    p = verb("bench", "measure the speed of training, of sampling, or of what loads training images")
    p.add_argument("what", choices=("train", "sample", "load"))
    p.add_argument("--synthetic", action="store_true", help="drawn scenes of the suite's size and random weights, no files")
    p.add_argument("--out", type=Path, help="JSON file for the numbers, which `plan` reads")
    _common(p, METHODS, default="semflow")
    p.set_defaults(gpus=1)
    p.add_argument("--repeats", type=_positive, default=5, help="repeats of each side, taken in turn (default 5)")

    p = verb("plan", "say what a suite takes before anything starts: jobs, GPU-hours, disk, memory")
    p.add_argument("--configfile", "--config", dest="config", type=Path, required=True, help="the suite's YAML file")
    p.add_argument("--gpus", dest="devices", type=_positive, default=1, help="GPUs, or CPU cores of a small suite (default 1)")
    rate = p.add_mutually_exclusive_group()
    rate.add_argument("--measured", type=Path, metavar="JSON", help="how fast training goes: what `bench train --out` wrote")
    rate.add_argument("--tflops", type=_above_zero, help="TFLOP/s of a GPU in training")
    p.add_argument("--fp32-tflops", type=_above_zero, help="TFLOP/s of a GPU in float32, in which evaluations sample")
    p.add_argument("--efficiency", type=_share, default=0.9, help="of several GPUs that share a training (default 0.9)")
    p.add_argument("--json", type=Path, help="JSON file for the same")


def _data_verbs(verb: Verb) -> None:
    what = verb("data", "look one of the paper's data sets over, or make it ready").add_subparsers(
        required=True, metavar="{check,prepare}"
    )

    p = _on_data(what, "check", "count pairs, look into some, say what is missing and where it is: exit status 1")
    p.add_argument("--size", type=_positive, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of pictures on the sheet")
    p.add_argument("--all", action="store_true", help="look into every pair, not 200 of each split")
    p.add_argument("--subset", action="store_true", help="other than the official numbers of pictures are meant")
    p.add_argument("--out", type=Path, help="contact sheet (PNG)")

    p = _on_data(what, "prepare", "unpack its archives, merge the parts of faces, count, write a manifest")
    p.add_argument("--out", type=Path, help="the manifest (default: semflow-manifest.json in ROOT)")


def _report_verbs(verb: Verb) -> None:
    p = verb("report", "make a table or a figure from records")
    p.add_argument("what", choices=PRODUCTS)
    p.add_argument("--records", type=Path, nargs="+", required=True)
    p.add_argument("--table", type=Path, help="the table's CSV, for what is made from it")
    p.add_argument("--claims", type=Path, help="claims.json, for the index")
    p.add_argument("--captions", type=Path, nargs="*", default=[], help="for the page: the .txt beside each figure")
    p.add_argument("--out", type=Path, nargs="+", required=True, help="files to write, each in the form its suffix says")

    p = verb("check_drift", "say what became worse than a reference: exit status 1; 3 where it cannot be told")
    _against(p)

    p = verb("accept_reference", "make the reference of records, and say why")
    _against(p)
    p.add_argument("--reason", required=True, help="why the numbers may change; kept in the reference's history")


def _picture_verbs(verb: Verb) -> None:
    p = verb("segment", "segment a picture: label map and overlay")
    p.add_argument("image", type=Path, help="RGB picture of any size")
    _sampling(p, "label map (PNG of ids); the overlay goes beside it as NAME.overlay.png")

    p = verb("synthesize", "draw pictures from a label map")
    p.add_argument("labels", type=Path, help="PNG of label ids, 255 where ignored, or painted in the data set's colours")
    _solving(p, "picture (PNG); with several seeds the contact sheet, the pictures beside it as NAME.seed0.png, ...")
    p.add_argument("--seeds", type=_positive, default=1, help="how many pictures, under seeds 0, 1, ... (default 1)")

    p = verb("trajectory", "show the states between a picture and its pseudo mask")
    p.add_argument("image", type=Path, help="RGB picture of any size")
    _solving(p, "ten states side by side (PNG); all of them go beside it as GIF")

    p = verb("roundtrip", "segment a picture, draw a picture from that, and segment it again")
    p.add_argument("image", type=Path, help="RGB picture of any size")
    _solving(p, "picture, labels, drawn picture, its labels, side by side (PNG)")
    p.add_argument("--seed", type=_whole, default=0, help="sampling seed (default 0)")

    p = verb("info", "say what a checkpoint is")
    p.add_argument("checkpoint", type=Path)


def _on_data(verbs: Any, name: str, words: str) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = verbs.add_parser(name, help=words, description=words, epilog=_example(f"data {name}"))
    p.set_defaults(verb=f"data {name}")
    p.add_argument("name", choices=DATA_SETS)
    p.add_argument("root", type=Path, metavar="ROOT", help="folder that holds it, or its archives as they were downloaded")
    return p


def _example(verb: str) -> str:
    """Of a verb, or of each of the verbs below it."""
    return "example: " + "; ".join(f"semflow {line}" for name, line in EXAMPLES.items() if f"{name} ".startswith(f"{verb} "))


def _common(parser: argparse.ArgumentParser, methods: Iterable[str], default: str | None = None) -> None:
    parser.add_argument("--config", type=Path, required=True, help="the suite's YAML file")
    parser.add_argument("--dataset", help="which of its data sets, where it has several")
    parser.add_argument("--method", required=default is None, default=default, choices=tuple(methods), help="which method")
    parser.add_argument("--threads", type=_positive, help="CPU threads (default: all)")


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
