"""A checkpoint used on single pictures: what `segment`, `synthesize`, `trajectory`, `roundtrip` and `info` do."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from baselines import METHODS
from semflow import files
from semflow.data.colours import to_rgb
from semflow.data.images import read_image, read_layout, resize_image, resize_labels
from semflow.data.sample import IGNORE_INDEX
from semflow.errors import SemFlowError
from semflow.loading.pixels import to_bytes, to_unit_range
from semflow.method.samplers import DIRECT, Sampler
from semflow.seeds import generator
from semflow.tools.sheet import side_by_side
from semflow.training import devices
from semflow.training.build import place
from semflow.training.checkpoints import open_checkpoint, read_card

NEAREST = Image.Resampling.NEAREST
OVERLAY = 0.5  # share of the class colour in an overlay
STATES_SHOWN = 10  # of a trajectory, side by side
SHOWN = 128  # pixels at least that the short side of a picture has on a sheet
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

    def synthesize(self, labels: torch.Tensor, seed: int) -> Image.Image:
        """A picture drawn from labels (1, h, w)."""
        source = generator(self.device, "sample", seed, 0)
        return _picture(self.model.synthesize(labels.to(self.device), self.samplers["synthesis"], source)[0])

    def pixels(self, picture: Image.Image) -> torch.Tensor:
        """A picture at the size it works at, float (1, 3, h, w) in [-1, 1]."""
        return to_unit_range(torch.from_numpy(resize_image(picture, self.size)))[None].to(self.device)

    def coloured(self, labels: torch.Tensor) -> Image.Image:
        """Labels (h, w) in the data set's colours, ignored pixels white."""
        return Image.fromarray(to_rgb(labels.cpu().numpy(), self.card.palette))


@torch.inference_mode()
def segment(image: Path, checkpoint: Path, sampler: str | None, seed: int, size: Size, out: Path) -> None:
    """Write the label map of `image` (PNG of ids, at its own size) to `out` and an overlay to `<stem of out>.overlay.png`.

    sampler: such as euler-25; None: the method's own.
    """
    overlaid = out.with_name(f"{out.stem}.overlay.png")
    _check_targets(image, out, overlaid)
    picture = read_image(image)
    opened = _open(checkpoint, sampler, size, "segmentation")
    labels = opened.segment(opened.pixels(picture), seed)[0].cpu().numpy()
    _say_resized(image, picture, opened.size)
    label_map = Image.fromarray(labels).resize(picture.size, NEAREST)
    colours = Image.fromarray(to_rgb(np.array(label_map), opened.card.palette))
    _save(label_map, out)
    _save(Image.blend(picture, colours, OVERLAY), overlaid)


@torch.inference_mode()
def synthesize(labels: Path, checkpoint: Path, sampler: str | None, seeds: int, size: Size, out: Path) -> None:
    """Write a picture drawn from the label map `labels` under each of the first `seeds` seeds, at the size the network works at.

    One seed: to `out`. Several: to `<stem of out>.seed<N>.png`, and a contact sheet, the layout first, to `out`.
    """
    parts = [out.with_name(f"{out.stem}.seed{seed}.png") for seed in range(seeds)] if seeds > 1 else []
    _check_targets(labels, out, *parts)
    opened = _open(checkpoint, sampler, size, "synthesis")
    layout = read_layout(labels, opened.card.palette, opened.card.void)
    if (np.array(layout) == IGNORE_INDEX).all():
        raise SemFlowError(f"{labels} holds no class: every pixel is ignored; give a layout of ids or of the data set's colours")
    _say_resized(labels, layout, opened.size)
    ids = torch.from_numpy(resize_labels(layout, opened.size))[None]
    drawn = [opened.synthesize(ids, seed) for seed in range(seeds)]
    if seeds == 1:
        _save(drawn[0], out)
        return
    for part, picture in zip(parts, drawn, strict=True):
        _save(picture, part)
    _save(_strip([opened.coloured(ids[0]), *drawn]), out)


@torch.inference_mode()
def trajectory(image: Path, checkpoint: Path, sampler: str | None, size: Size, out: Path) -> None:
    """Write the decoded states from `image` to its pseudo mask: ten of them side by side to `out`, all as GIF beside it."""
    _check_targets(image, out, out.with_suffix(".gif"))
    opened, picture = _open(checkpoint, sampler, size, "segmentation", trajectory=True), read_image(image)
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
    _check_targets(image, out)
    opened, picture = _open(checkpoint, sampler, size, "segmentation", "synthesis"), read_image(image)
    _say_resized(image, picture, opened.size)
    pixels = opened.pixels(picture)
    labels = opened.segment(pixels, seed)
    drawn = opened.synthesize(labels, seed)
    again = opened.segment(opened.pixels(drawn), seed)
    _save(_strip([_picture(pixels[0]), opened.coloured(labels[0]), drawn, opened.coloured(again[0])]), out)
    print(f"{100 * (labels == again).float().mean().item():.1f} % of the labels of the drawn picture are those it was drawn from")


def describe(checkpoint: Path) -> str:
    """What a checkpoint is, as lines of text."""
    card = read_card(checkpoint)
    code, training, (h, w) = card.pseudo_mask, card.training, card.size
    facts: dict[str, Any] = {
        "method": card.method,
        "suite": card.suite,
        "trained on": f"{card.data['name']}, {h} x {w}, {len(card.classes)} classes",
        "steps": f"{training['steps']} of {training['batch_size']} images, seed {card.seed}",
        "pseudo mask": code and f"k = {code['k']}, s = {code['s']:g}, amplitude = {code['amplitude']:g}",
        "autoencoder": card.autoencoder and card.autoencoder["kind"],
        "weights SHA-256": card.weights_sha256,
        # and its suite says how it is meant to have been trained
        "converted from": card.converted and f"{card.converted['file']}, SHA-256 {card.converted['sha256']}; not trained here",
        "commit": card.commit + (" (modified)" if card.dirty else ""),
        "versions": ", ".join(f"{name} {number}" for name, number in card.versions.items()),
    }
    return "\n".join(f"{name + ':':17}{value}" for name, value in facts.items() if value)


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


def _check_targets(source: Path, out: Path, *beside: Path) -> None:
    if out.suffix.lower() != ".png":
        raise SemFlowError(f"{out} must end in .png, since label maps and pictures are written without loss")
    for target in (out, *beside):
        if target.exists() and source.exists() and target.samefile(source):
            raise SemFlowError(f"--out {out} would write {target}, the picture that is read; give another name")


def _save(picture: Image.Image, out: Path, **options: Any) -> None:
    files.write_atomically(out, lambda part: picture.save(part, format=out.suffix[1:].upper(), **options))
    print(out)
