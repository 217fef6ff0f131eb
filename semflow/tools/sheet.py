"""A contact sheet: images, their labels over them, and which colour stands for which class."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from semflow import files
from semflow.data.colours import to_rgb
from semflow.data.folders import PairedFiles
from semflow.data.sample import IGNORE_INDEX, Sample
from semflow.errors import SemFlowError

OVERLAY = 0.6  # share of the class's colour
GAP, LINE, COLUMN = 4, 16, 150  # pixels: between images, a line of the legend, its width


def write_sheet(splits: list[PairedFiles], out: Path, problems: list[str]) -> None:
    """A row for each split, image beside overlay, and a legend of the classes in them. What cannot be read is left out;
    that nothing can be is added to `problems`.
    """
    if out.suffix.lower() != ".png":
        raise SemFlowError(f"{out} must end in .png")
    rows = [samples for dataset in splits if (samples := _readable(dataset))]
    if not rows:
        problems.append(f"no pair can be read, so there is no contact sheet at {out}")
        return
    tiles = [[tile for sample in samples for tile in (_picture(sample.image), _overlay(sample, splits[0]))] for samples in rows]
    present = np.unique(np.concatenate([sample.labels.ravel() for samples in rows for sample in samples]))
    pictures = side_by_side(tiles)
    legend = _legend(splits[0], [int(label) for label in present if label != IGNORE_INDEX], pictures.width)
    sheet = Image.new("RGB", (pictures.width, pictures.height + GAP + legend.height), "white")
    sheet.paste(pictures)
    sheet.paste(legend, (0, pictures.height + GAP))
    files.write_atomically(out, lambda part: sheet.save(part, format="PNG"))


def side_by_side(rows: list[list[Image.Image]]) -> Image.Image:
    """Rows of pictures of one size, a few white pixels apart."""
    w, h = rows[0][0].size
    sheet = Image.new("RGB", (max(map(len, rows)) * (w + GAP) - GAP, len(rows) * (h + GAP) - GAP), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture, (x * (w + GAP), y * (h + GAP)))
    return sheet


def _readable(dataset: PairedFiles) -> list[Sample]:
    samples = []
    for index in range(len(dataset)):
        try:
            samples.append(dataset[index])
        except SemFlowError:  # the check has said so
            continue
    return samples


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image.transpose(1, 2, 0))


def _overlay(sample: Sample, dataset: PairedFiles) -> Image.Image:
    """The image under its classes' colours; ignored pixels stay as they are."""
    picture = _picture(sample.image)
    mixed = np.array(Image.blend(picture, Image.fromarray(to_rgb(sample.labels, dataset.palette)), OVERLAY))
    ignored = sample.labels == IGNORE_INDEX
    mixed[ignored] = np.asarray(picture)[ignored]
    return Image.fromarray(mixed)


def _legend(dataset: PairedFiles, labels: list[int], width: int) -> Image.Image:
    """A square of each class's colour with its id and name."""
    columns = max(1, width // COLUMN)
    legend = Image.new("RGB", (width, -(-len(labels) // columns) * LINE + GAP), "white")
    draw = ImageDraw.Draw(legend)
    for number, label in enumerate(labels):
        x, y = number % columns * COLUMN, number // columns * LINE + GAP
        draw.rectangle((x, y, x + LINE - GAP, y + LINE - GAP), fill=dataset.palette[label], outline="black")
        draw.text((x + LINE, y), f"{label} {dataset.names[label]}", fill="black")
    return legend
