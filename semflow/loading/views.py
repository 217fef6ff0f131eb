"""Views of training images: resized or cropped, mirrored or not, their masks as labels or as RGB. uint8, on the CPU."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from semflow.data.folders import PairedFiles
from semflow.data.images import resize_image, resize_labels
from semflow.data.sample import Dataset, Sample
from semflow.loading.steps import Crop


def training_sample(
    dataset: Sequence[Sample] | Dataset,
    index: int,
    *,
    mirrored: bool,
    crop: Crop | None,
    swaps: Sequence[tuple[int, int]],
    colours: np.ndarray | None,
) -> Sample:
    """The training view of a sample: image uint8 (3, h, w), mask uint8 (h, w) labels or (3, h, w) RGB.

    crop: of the data set's size, after the image's tighter side was resized to fit; None: the whole image, resized.
    swaps: classes that a mirror exchanges.  colours: uint8 (256, 3), RGB of each label at the mask's own size, which is then
    resized bilinearly, as in the official code; None: labels, resized by nearest neighbour.
    ValueError for a crop or an RGB mask of a data set without files.
    """
    classes = _exchange(swaps if mirrored else ())
    if crop is None and colours is None:
        image, labels = dataset[index]
        labels = classes[labels]
    else:
        if not isinstance(dataset, PairedFiles):
            raise ValueError("crops and RGB masks are made from files on disk, which this data set has none of")
        picture, ids = dataset.native(index)
        size = dataset.size
        scaled = size if crop is None else _covering(picture, size)
        window = (slice(None), slice(None)) if crop is None else _window(crop, scaled, size)
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
    """The labels of `training_sample` where nothing is cropped; a data set of files reads no image for them."""
    if not isinstance(dataset, PairedFiles):
        return training_sample(dataset, index, mirrored=mirrored, crop=None, swaps=swaps, colours=colours).labels
    ids = _exchange(swaps if mirrored else ())[np.asarray(dataset.label_map(index))]
    labels = _scaled(ids, dataset.size, colours)
    return np.ascontiguousarray(labels[..., ::-1] if mirrored else labels)


def _scaled(labels: np.ndarray, size: tuple[int, int], colours: np.ndarray | None) -> np.ndarray:
    """Labels (H, W) at another size: (h, w) by nearest neighbour, or (3, h, w) RGB, bilinearly."""
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
    """The image's height and width when scaled as little as covers `size`: one side is met, the other at least."""
    scale = max(size[0] / picture.height, size[1] / picture.width)
    return max(size[0], round(picture.height * scale)), max(size[1], round(picture.width * scale))


def _window(crop: Crop, scaled: tuple[int, int], size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the crop, each of the whole pixels that it may start at being as likely."""
    top, left = (int(at * (whole - side + 1)) for at, whole, side in zip(crop, scaled, size, strict=True))
    return slice(top, top + size[0]), slice(left, left + size[1])
