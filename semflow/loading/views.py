"""How a training picture is looked at: squeezed or cropped, mirrored or not, its labels bare or painted. uint8, on the CPU."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from semflow.data.folders import Pictures
from semflow.data.images import resize_image, resize_labels
from semflow.data.sample import Dataset, Sample

Place = tuple[float, float]  # of a crop, down and right, each in [0, 1)


def training_sample(
    dataset: Sequence[Sample] | Dataset,
    index: int,
    *,
    mirrored: bool,
    place: Place | None,
    swaps: Sequence[tuple[int, int]],
    colours: np.ndarray | None,
) -> Sample:
    """The training view of a sample, uint8 (3, h, w), with labels uint8 (h, w) or, painted, (3, h, w).

    place: of a crop of the data set's size after the picture's tighter side was brought to it; None: the whole, squeezed.
    swaps: classes that a mirror exchanges.  colours: uint8 (256, 3), in which labels are painted at their own size and
    brought to size as a picture, bilinearly, as the official code does; None: by nearest neighbour and not painted.
    ValueError for a crop or paint of a data set without pictures on disk.
    """
    classes = _exchange(swaps if mirrored else ())
    if place is None and colours is None:
        image, labels = dataset[index]
        labels = classes[labels]
    else:
        picture, ids = _pictured(dataset).native(index)
        size = _pictured(dataset).size
        scaled = size if place is None else _covering(picture, size)
        window = (slice(None), slice(None)) if place is None else _window(place, scaled, size)
        image = resize_image(picture, scaled)[:, *window]
        labels = _scaled(classes[np.asarray(ids)], scaled, colours)[..., *window]
    if mirrored:
        image, labels = image[..., ::-1], labels[..., ::-1]
    return Sample(np.ascontiguousarray(image), np.ascontiguousarray(labels))


def training_labels(
    dataset: Sequence[Sample] | Dataset,
    index: int,
    *,
    mirrored: bool,
    swaps: Sequence[tuple[int, int]],
    colours: np.ndarray | None,
) -> np.ndarray:
    """The labels of `training_sample` where nothing is cropped; a data set of files reads no picture for them."""
    if not isinstance(dataset, Pictures):
        return training_sample(dataset, index, mirrored=mirrored, place=None, swaps=swaps, colours=colours).labels
    ids = _exchange(swaps if mirrored else ())[np.asarray(dataset.label_map(index))]
    labels = _scaled(ids, dataset.size, colours)
    return np.ascontiguousarray(labels[..., ::-1] if mirrored else labels)


def _scaled(labels: np.ndarray, size: tuple[int, int], colours: np.ndarray | None) -> np.ndarray:
    """Labels (H, W) at another size: (h, w) by nearest neighbour, or (3, h, w) painted first and then bilinear."""
    if colours is None:
        return resize_labels(Image.fromarray(labels), size)
    h, w = size
    return np.array(Image.fromarray(colours[labels]).resize((w, h), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def _exchange(swaps: Sequence[tuple[int, int]]) -> np.ndarray:
    """Table uint8 (256,) from each label to what it is after the exchange."""
    table = np.arange(256, dtype=np.uint8)
    for one, other in swaps:
        table[one], table[other] = other, one
    return table


def _covering(picture: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    """The picture's height and width when scaled as little as covers `size`: one side is met, the other at least."""
    scale = max(size[0] / picture.height, size[1] / picture.width)
    return max(size[0], round(picture.height * scale)), max(size[1], round(picture.width * scale))


def _window(place: Place, scaled: tuple[int, int], size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the crop, each of the whole pixels that it may start at being as likely."""
    top, left = (int(at * (whole - side + 1)) for at, whole, side in zip(place, scaled, size, strict=True))
    return slice(top, top + size[0]), slice(left, left + size[1])


def _pictured(dataset: Sequence[Sample] | Dataset) -> Pictures:
    if not isinstance(dataset, Pictures):
        raise ValueError("crops and painted masks are made from pictures on disk, which this data set has none of")
    return dataset
