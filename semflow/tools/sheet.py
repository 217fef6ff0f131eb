"""A contact sheet: pictures, their labels over them, and which colour stands for which class."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from semflow import files
from semflow.data.folders import Pictures
from semflow.data.sample import IGNORE_INDEX, Sample
from semflow.errors import SemFlowError

OVERLAY = 0.6  # share of the class's colour
GAP, LINE, COLUMN = 4, 16, 150  # pixels: between pictures, a line of the legend, its width


def write_sheet(splits: list[Pictures], out: Path, problems: list[str]) -> None:
    """A row for each split, picture beside overlay, and a legend of the classes in them. What cannot be read is left out;
    that nothing can be is added to `problems`.
    """
    if out.suffix.lower() != ".png":
        raise SemFlowError(f"{out} must end in .png")
    rows = [samples for pictures in splits if (samples := _readable(pictures))]
    if not rows:
        problems.append(f"no pair can be read, so there is no contact sheet at {out}")
        return
    tiles = [[tile for sample in samples for tile in (_picture(sample.image), _overlay(sample, splits[0]))] for samples in rows]
    present = np.unique(np.concatenate([sample.labels.ravel() for samples in rows for sample in samples]))
    w, h = tiles[0][0].size
    width = max(len(row) for row in tiles) * (w + GAP) - GAP
    legend = _legend(splits[0], [int(label) for label in present if label != IGNORE_INDEX], width)
    sheet = Image.new("RGB", (width, len(tiles) * (h + GAP) + legend.height), "white")
    for number, row in enumerate(tiles):
        for column, tile in enumerate(row):
            sheet.paste(tile, (column * (w + GAP), number * (h + GAP)))
    sheet.paste(legend, (0, len(tiles) * (h + GAP)))
    files.write_atomically(out, lambda part: sheet.save(part, format="PNG"))


def _readable(pictures: Pictures) -> list[Sample]:
    samples = []
    for index in range(len(pictures)):
        try:
            samples.append(pictures[index])
        except SemFlowError:  # the check has said so
            continue
    return samples


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image.transpose(1, 2, 0))


def _overlay(sample: Sample, pictures: Pictures) -> Image.Image:
    """The picture under its classes' colours; ignored pixels stay as they are."""
    colours = np.zeros((IGNORE_INDEX + 1, 3), np.uint8)
    colours[: len(pictures.palette)] = pictures.palette
    picture = _picture(sample.image)
    mixed = np.array(Image.blend(picture, Image.fromarray(colours[sample.labels]), OVERLAY))
    ignored = sample.labels == IGNORE_INDEX
    mixed[ignored] = np.asarray(picture)[ignored]
    return Image.fromarray(mixed)


def _legend(pictures: Pictures, labels: list[int], width: int) -> Image.Image:
    """A square of each class's colour with its id and name."""
    columns = max(1, width // COLUMN)
    legend = Image.new("RGB", (width, -(-len(labels) // columns) * LINE + GAP), "white")
    draw = ImageDraw.Draw(legend)
    for number, label in enumerate(labels):
        x, y = number % columns * COLUMN, number // columns * LINE + GAP
        draw.rectangle((x, y, x + LINE - GAP, y + LINE - GAP), fill=pictures.palette[label], outline="black")
        draw.text((x + LINE, y), f"{label} {pictures.names[label]}", fill="black")
    return legend
