"""A checkpoint used on single pictures: what `segment`, `synthesize`, `trajectory` and `roundtrip` do.

Pictures and layouts are taken upright, as viewers show them.
"""

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from baselines import METHODS
from semflow import files
from semflow.data import DATASETS
from semflow.data.colours import to_rgb
from semflow.data.images import read_image, resize_image, resize_labels
from semflow.data.label_maps import MARK, marked, read_layout
from semflow.data.sample import IGNORE_INDEX
from semflow.errors import SemFlowError
from semflow.loading.pixels import to_bytes, to_unit_range
from semflow.method.samplers import DIRECT, Sampler
from semflow.seeds import generator
from semflow.tools.sheet import side_by_side
from semflow.training import devices
from semflow.training.build import place
from semflow.training.checkpoints import open_checkpoint

NEAREST = Image.Resampling.NEAREST
OVERLAID = ".overlay.png"  # the end of an overlay's name
OVERLAY = 0.5  # share of the class colour in an overlay
STATES_SHOWN = 10  # of a trajectory, side by side
SHOWN = 128  # pixels at least that the short side of a picture has on a sheet
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2")  # of pictures in a folder
Size = tuple[int, int] | None  # height and width that the network works at; None: those it was trained at


class Opened(NamedTuple):
    """A checkpoint ready to work. samplers: by task.  size: height and width that it works at."""

    model: Any
    card: Any
    device: torch.device
    samplers: dict[str, Sampler]
    size: tuple[int, int]

    def segment(self, pixels: torch.Tensor, seed: int) -> torch.Tensor:
        """Labels (1, h, w) of pixels (1, 3, h, w)."""
        return self.model.segment(pixels, self.samplers["segmentation"], generator(self.device, "sample", seed, 0))

    def synthesize(self, labels: torch.Tensor, seed: int, amplitude: float | None = None) -> Image.Image:
        """A picture drawn from labels (1, h, w), perturbed by `amplitude`, or as in training."""
        source, options = generator(self.device, "sample", seed, 0), {} if amplitude is None else {"amplitude": amplitude}
        return _picture(self.model.synthesize(labels.to(self.device), self.samplers["synthesis"], source, **options)[0])

    def pixels(self, picture: Image.Image) -> torch.Tensor:
        """A picture at the size it works at, float (1, 3, h, w) in [-1, 1]."""
        return to_unit_range(torch.from_numpy(resize_image(picture, self.size)))[None].to(self.device)

    def coloured(self, labels: torch.Tensor) -> Image.Image:
        """Labels (h, w) in the data set's colours, ignored pixels white."""
        return Image.fromarray(to_rgb(labels.cpu().numpy(), self.card.palette))


@torch.inference_mode()
def segment(images: Sequence[Path], checkpoint: Path, sampler: str | None, seed: int, size: Size, out: Path) -> None:
    """Write the label map of each picture (PNG of class numbers, at its own size), and an overlay beside it as
    `<stem>.overlay.png`; say which classes it found.

    images: one picture, whose label map goes to `out`; or several, or folders of them, whose label maps go into the folder `out`.
    sampler: such as euler-25; None: the method's own.
    """
    targets = _targets(images, out, lambda target: [target.with_name(target.stem + OVERLAID)])
    opened = _open(checkpoint, sampler, size, "segmentation")
    told = PngInfo()
    told.add_text(MARK, marked(opened.card.data["name"], opened.card.classes))

    def work(picture: Image.Image, image: Path, target: Path) -> None:
        labels = opened.segment(opened.pixels(picture), seed)[0].cpu().numpy()
        _say_resized(image, picture, opened.size)
        label_map = Image.fromarray(labels).resize(picture.size, NEAREST)
        colours = Image.fromarray(to_rgb(np.array(label_map), opened.card.palette))
        _save(label_map, target, pnginfo=told)
        _save(Image.blend(picture, colours, OVERLAY), target.with_name(target.stem + OVERLAID))
        print(f"{image}: {coverage(np.array(label_map), opened.card.classes)}")

    _each(targets, lambda image: read_image(image, upright=True), work)


@torch.inference_mode()
def synthesize(
    layouts: Sequence[Path],
    checkpoint: Path,
    sampler: str | None,
    seeds: int,
    size: Size,
    out: Path,
    labels: str | None = None,
    amplitude: float | None = None,
) -> None:
    """Write a picture drawn from each layout under each of the first `seeds` seeds, at the size the network works at; say what
    the layout was read as.

    One seed: to `out`. Several: to `<stem of out>.seed<N>.png`, and a contact sheet, the layout first, to `out`.
    layouts, out: as in `segment`.  labels: what layouts hold, of `label_maps.WAYS`; None: what they can only be read as.
    amplitude: of the perturbation (Eq. 14), 0..255 units; None: that of training.
    """

    def beside(target: Path) -> list[Path]:
        return [target.with_name(f"{target.stem}.seed{seed}.png") for seed in range(seeds)] if seeds > 1 else []

    targets = _targets(layouts, out, beside)
    opened = _open(checkpoint, sampler, size, "synthesis")
    _check_amplitude(opened.card, amplitude)
    card, name = opened.card, opened.card.data["name"]
    if labels == "raw" and name not in DATASETS:
        raise SemFlowError(f"--labels raw: this version does not know the data set {name}; give a layout of classes")
    raw = DATASETS[name].raw if name in DATASETS else None

    def read(path: Path) -> Image.Image:
        layout, how = read_layout(path, name, card.classes, card.palette, card.void, raw, labels)
        if (np.array(layout) == IGNORE_INDEX).all():
            raise SemFlowError(f"{path} holds no class: every pixel is ignored; give a layout of ids or of colours")
        print(f"{path}: read as {how}: {coverage(np.array(layout), card.classes)}")
        return layout

    def work(layout: Image.Image, path: Path, target: Path) -> None:
        _say_resized(path, layout, opened.size)
        ids = torch.from_numpy(resize_labels(layout, opened.size))[None]
        drawn = [opened.synthesize(ids, seed, amplitude) for seed in range(seeds)]
        if seeds == 1:
            return _save(drawn[0], target)
        for part, picture in zip(beside(target), drawn, strict=True):
            _save(picture, part)
        return _save(_strip([opened.coloured(ids[0]), *drawn]), target)

    _each(targets, read, work)


@torch.inference_mode()
def trajectory(image: Path, checkpoint: Path, sampler: str | None, size: Size, out: Path) -> None:
    """Write the decoded states from `image` to its pseudo mask: ten of them side by side to `out`, all as GIF beside it."""
    _check_target(image, out, out.with_suffix(".gif"))
    opened, picture = _open(checkpoint, sampler, size, "segmentation", trajectory=True), read_image(image, upright=True)
    _say_resized(image, picture, opened.size)
    latents = opened.model.encode_images(opened.pixels(picture))
    path = opened.model.path(latents, opened.samplers["segmentation"])
    states = [_picture(opened.model.decode(z)[0]) for z in path]
    shown = np.linspace(0, len(states) - 1, min(len(states), STATES_SHOWN)).round().astype(int)
    _save(_strip([states[number] for number in shown]), out)
    first, *rest = map(_enlarged, states)
    _save(first, out.with_suffix(".gif"), save_all=True, append_images=rest, duration=80, loop=0)


@torch.inference_mode()
def roundtrip(image: Path, checkpoint: Path, sampler: str | None, seed: int, size: Size, out: Path) -> None:
    """Segment `image`, draw a picture from that, segment it again; write the four side by side, say how many labels agree."""
    _check_target(image, out)
    opened, picture = _open(checkpoint, sampler, size, "segmentation", "synthesis"), read_image(image, upright=True)
    _say_resized(image, picture, opened.size)
    pixels = opened.pixels(picture)
    labels = opened.segment(pixels, seed)
    drawn = opened.synthesize(labels, seed)
    again = opened.segment(opened.pixels(drawn), seed)
    _save(_strip([_picture(pixels[0]), opened.coloured(labels[0]), drawn, opened.coloured(again[0])]), out)
    print(f"{100 * (labels == again).float().mean().item():.1f} % of the labels of the drawn picture are those it was drawn from")


def _open(checkpoint: Path, sampler: str | None, size: Size, *tasks: str, trajectory: bool = False) -> Opened:
    """A checkpoint of a method that does these tasks, by the sampler asked for or its own. SemFlowError if it does not."""
    model, card = open_checkpoint(checkpoint)
    method = METHODS[card.method]
    for task in tasks:
        method.check(task, Sampler.parse(sampler or method.default.get(task, str(DIRECT))))
    if trajectory and not method.trajectory:
        raise SemFlowError(f"{method.title} has no states between image and labels to show")
    samplers = {task: Sampler.parse(sampler or method.default[task]) for task in tasks}
    return Opened(model, card, place(model, devices.pick("auto")), samplers, _size(model, card, size))


def _size(model: Any, card: Any, wanted: Size) -> tuple[int, int]:
    """The height and width asked for, if the network takes them, or those it was trained at."""
    halvings = len(card.network["block_out_channels"]) - 1 if card.network else 0
    pixels = 2**halvings * math.prod(getattr(frozen, "factor", 1) for frozen in model.beside)
    if wanted is not None and any(side % pixels for side in wanted):
        raise SemFlowError(f"--size {wanted[0]} {wanted[1]}: this network takes multiples of {pixels}")
    if wanted not in (None, card.size):
        print(f"working at {wanted[0]} x {wanted[1]}; this network was trained at {card.size[0]} x {card.size[1]}")
    return wanted or card.size


def _picture(pixels: torch.Tensor) -> Image.Image:
    """Float (3, h, w) in [-1, 1], clipped, as a picture."""
    return Image.fromarray(to_bytes(pixels.cpu()).movedim(0, -1).numpy())


def _strip(pictures: list[Image.Image]) -> Image.Image:
    return side_by_side([[_enlarged(picture) for picture in pictures]])


def _enlarged(picture: Image.Image) -> Image.Image:
    """Small pictures several times as large, pixel by pixel, to be seen on a screen."""
    times = max(1, SHOWN // min(picture.size))
    return picture.resize((times * picture.width, times * picture.height), NEAREST)


def _say_resized(path: Path, picture: Image.Image, size: tuple[int, int]) -> None:
    if (picture.height, picture.width) != tuple(size):
        print(f"{path}: resized from {picture.height} x {picture.width} to {size[0]} x {size[1]}, at which the network works")


def coverage(labels: np.ndarray, classes: Sequence[str]) -> str:
    """Which classes labels uint8 (H, W) have and how much of them each covers, the largest first."""
    shares = np.bincount(labels.ravel(), minlength=IGNORE_INDEX + 1) / labels.size
    names = {**dict(enumerate(classes)), IGNORE_INDEX: "ignored"}
    found = sorted((label for label in names if shares[label]), key=lambda label: -shares[label])
    return ", ".join(f"{names[label]} {100 * shares[label]:.1f} %" for label in found)


def _check_amplitude(card: Any, amplitude: float | None) -> None:
    """SemFlowError if masks are not perturbed by the checkpoint's method, or not by so much (Eq. 14)."""
    if amplitude is None:
        return
    if not METHODS[card.method].perturbed:
        raise SemFlowError(f"--amplitude: {METHODS[card.method].title} does not perturb masks; leave it out")
    if not 0 <= amplitude < (most := card.pseudo_mask["s"] / 2):
        raise SemFlowError(f"--amplitude {amplitude:g} must be at least 0 and below s/2 = {most:g} (Eq. 14)")


def _targets(sources: Sequence[Path], out: Path, beside: Callable[[Path], list[Path]]) -> dict[Path, Path]:
    """Where the result of each picture goes. One picture: to `out`. Several, or folders: to `<stem>.png` in the folder `out`.

    beside: what else is written for a target.  SemFlowError if a result would take the place of a picture that is read, or of
    another result; if a picture is given twice; if a folder holds none.
    """
    if len(sources) == 1 and not _is_folder(sources[0]):
        _check_target(sources[0], out, *beside(out))
        return {sources[0]: out}
    targets, written = _targets_in(sources, out, beside)
    _check_apart(targets, out, written)
    return targets


def _check_target(source: Path, out: Path, *beside: Path) -> None:
    """SemFlowError if the result of one picture is no PNG, or takes the picture's place."""
    if out.suffix.lower() != ".png":
        raise SemFlowError(f"{out} must end in .png, since label maps and pictures are written without loss")
    _check_apart([source], out, [out, *beside])


def _check_apart(sources: Iterable[Path], out: Path, written: Iterable[Path]) -> None:
    read = {_identity(source) for source in sources} - {None}
    for path in written:
        if _identity(path) in read:
            raise SemFlowError(f"--out {out} would write {path}, a picture that is read; give another name")


def _targets_in(sources: Sequence[Path], out: Path, beside: Callable[[Path], list[Path]]) -> tuple[dict[Path, Path], list[Path]]:
    """Of several pictures: the targets in the folder `out`, and everything that is written."""
    if out.suffix.lower() == ".png" or (out.exists() and not out.is_dir()):
        raise SemFlowError(f"--out {out} is one file, but there are several pictures; give a folder")
    targets, written = dict[Path, Path](), dict[Path, Path]()  # by what is written, the picture that it is made of
    for source in [picture for given in sources for picture in (_pictures_in(given) if _is_folder(given) else [given])]:
        if source in targets:
            raise SemFlowError(f"{source} is given twice; name it once")
        targets[source] = target = out / f"{source.stem}.png"
        for path in (target, *beside(target)):
            if path in written:
                raise SemFlowError(f"{written[path]} and {source} would both be written to {path}; rename one, or run them apart")
            written[path] = source
    return targets, list(written)


def _pictures_in(folder: Path) -> list[Path]:
    """Pictures of a folder by their suffixes, in order, without overlays of ours. SemFlowError if there is none."""
    try:
        names = sorted(folder.iterdir())
    except OSError as error:
        raise SemFlowError(f"{folder} cannot be read: {error.strerror}") from None
    found = [path for path in names if _may_be_a_picture(path)]
    if not found:
        held = f"of its {len(names)} entries the first is {names[0].name}" if names else "it is empty"
        raise SemFlowError(f"{folder} holds no picture ({held}); pictures end in {', '.join(SUFFIXES)}")
    if others := [path.name for path in names if path not in found]:
        said = "no pictures by their names, hidden, overlays, or folders"
        print(f"{folder}: {len(others)} of {len(names)} entries are left out ({said}), the first is {others[0]}")
    return found


def _may_be_a_picture(path: Path) -> bool:
    """By its name. A link that leads nowhere may be one: reading it says what is wrong."""
    named = path.suffix.lower() in SUFFIXES and not path.name.endswith(OVERLAID) and not path.name.startswith(".")
    return named and not _is_folder(path)


def _each(
    targets: dict[Path, Path], read: Callable[[Path], Image.Image], work: Callable[[Image.Image, Path, Path], None]
) -> None:
    """Work on every picture; of several, say which cannot be read and go on. SemFlowError at the end if there was one."""
    wrong = 0
    for source, target in targets.items():
        try:
            picture = read(source)
        except SemFlowError as error:
            if len(targets) == 1:
                raise
            print(error, file=sys.stderr)
            wrong += 1
            continue
        work(picture, source, target)
    if wrong:
        raise SemFlowError(f"{wrong} of {len(targets)} pictures cannot be read, for the reasons above; all others are done")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # it may not be looked at, which is said where it is read
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    """What is the same for two names of one file; None where there is none."""
    try:
        found = path.stat()
    except OSError:  # as above
        return None
    return found.st_dev, found.st_ino


def _save(picture: Image.Image, out: Path, **options: Any) -> None:
    files.write_atomically(out, lambda part: picture.save(part, format=out.suffix[1:].upper(), **options))
    print(out)
