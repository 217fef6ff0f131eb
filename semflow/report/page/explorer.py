"""The examples of every record as strips of pictures, and what the page's explorer chooses from."""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from baselines import METHODS
from semflow.claims.collect import Names, Run, by_dataset, own_amplitudes
from semflow.claims.document import perturbed
from semflow.data.colours import Palette, to_rgb
from semflow.evaluation.records import Record
from semflow.method.samplers import Sampler
from semflow.report.page.sections import headline
from semflow.report.selection import place
from semflow.report.tables import name_of

FOLDER = "pictures"
LONGEST = 256  # pixels of a picture's long side on the page
AS_TRAINED, UNPERTURBED = "as trained (b' = b)", "none"
HEADS = {  # what is given, what is true, what was made
    "segmentation": ("Image", "Ground truth", "Predicted labels"),
    "synthesis": ("Layout", "Real image of that layout", "Drawn picture"),
}
TASKS = tuple(HEADS)


def explorer(runs: list[Run], folder: Path) -> list[dict[str, Any]]:
    """Write the strips into `folder`; returns what the explorer knows of every record, what it shows first first.

    Records of other tasks, and those that kept no examples, are left out.
    """
    shown = [run for run in runs if run.record.task in TASKS and _n_examples(run)]
    several, names = len({run.record.training_seed for run in shown}) > 1, Names.among(runs)
    return [_entry(run, several, names, folder) for of in by_dataset(shown).values() for run in _ordered(of)]


def legends(runs: list[Run]) -> list[tuple[str, list[tuple[str, str]]]]:
    """By data set: what it is of, and (class, its colour as #rrggbb)."""
    names = Names.among(runs)
    firsts = [of[0].record for of in by_dataset(runs).values()]
    return [(f"{len(record.classes)} classes{names.on(record)}", _colours(record)) for record in firsts]


def _colours(record: Record) -> list[tuple[str, str]]:
    return [(name, "#" + bytes(colour).hex()) for name, colour in zip(record.classes, record.palette, strict=True)]


def file_name(name: str) -> str:
    """A record's name, as far as a file and an address can hold it."""
    return re.sub(r"[^\w.+-]", "_", name, flags=re.ASCII)


def _n_examples(run: Run) -> int:
    return min(len(run.arrays.images), len(run.arrays.labels), len(run.arrays.outputs))


def _ordered(runs: list[Run]) -> list[Run]:
    """Those of a data set by task and method; the suite's own perturbation and the main sampler before others."""
    b = next(iter(own_amplitudes(runs).values()), 0.0)

    def key(run: Run) -> tuple:
        r = run.record
        main = METHODS[r.method].default.get(r.task) if r.method in METHODS else None
        return (
            TASKS.index(r.task), place(r.method), r.variant, r.training_seed, r.amplitude != b, r.amplitude,
            str(Sampler(r.sampler, r.steps)) != main, place(r.method, r.sampler, r.steps),
            _perturbation(r) not in (AS_TRAINED, UNPERTURBED), r.sampling_amplitude, r.sampling_seed,
        )  # fmt: skip

    return sorted(runs, key=key)


def _entry(run: Run, several: bool, names: Names, folder: Path) -> dict[str, Any]:
    """several: whether the page has models of several training seeds, to be told apart."""
    record, arrays, n = run.record, run.arrays, _n_examples(run)
    images = _shared("images", strip(arrays.images[:n]), folder)
    labels = _shared("labels", strip(arrays.labels[:n], record.palette), folder)
    given, truth = (images, labels) if record.task == "segmentation" else (labels, images)
    made = f"{file_name(names.identity(record))}.png"
    strip(arrays.outputs[:n], record.palette).save(folder / made, optimize=True)
    h, w = arrays.images.shape[2:]
    return {
        "record": names.identity(record), "task": f"{record.task}{names.on(record)}", "model": _model(record, several),
        "sampler": Sampler(record.sampler).title or "none", "steps": record.steps,
        "perturbation": _perturbation(record), "seed": record.sampling_seed, "examples": n, "ratio": w / h,
        "result": headline(record),
        "pictures": [[head, f"{FOLDER}/{name}"] for head, name in zip(HEADS[record.task], (given, truth, made), strict=True)],
    }  # fmt: skip


def _model(record: Record, several: bool) -> str:
    b = f", trained with b = {record.amplitude:g}" if perturbed(record.method) else ""
    b += f", {record.variant}" if record.variant else ""
    return (
        name_of(record.method) + b + (f", training {record.training_seed}" if several and record.n_parameters is not None else "")
    )


def _perturbation(record: Record) -> str:
    """What b' is called: segmentation has none, and most pictures are drawn with that of training."""
    if record.task == "segmentation" or not perturbed(record.method):
        return UNPERTURBED
    return AS_TRAINED if record.sampling_amplitude == record.amplitude else f"b' = {record.sampling_amplitude:g}"


def strip(pictures: np.ndarray, palette: Palette = ()) -> Image.Image:
    """Pictures side by side, none longer than LONGEST: images uint8 (k, 3, H, W), or labels uint8 (k, H, W) in their colours."""
    if pictures.ndim == 4:
        return _beside([Image.fromarray(picture.transpose(1, 2, 0)) for picture in pictures], Image.Resampling.BOX)
    row = _beside([Image.fromarray(picture) for picture in pictures], Image.Resampling.NEAREST)
    row.putpalette(to_rgb(np.arange(256), palette).tobytes())
    return row


def _beside(pictures: list[Image.Image], resample: Image.Resampling) -> Image.Image:
    scale = min(1.0, LONGEST / max(pictures[0].size))
    w, h = (max(1, round(side * scale)) for side in pictures[0].size)
    row = Image.new(pictures[0].mode, (w * len(pictures), h))
    for number, picture in enumerate(pictures):
        row.paste(picture.resize((w, h), resample), (number * w, 0))
    return row


def _shared(name: str, row: Image.Image, folder: Path) -> str:
    """The file of a strip that many records have in common, named by what it shows."""
    digest = hashlib.sha256(f"{row.size}".encode() + row.tobytes()).hexdigest()[:12]
    path = folder / f"{name}-{digest}.png"
    if not path.exists():
        row.save(path, optimize=True)
    return path.name
