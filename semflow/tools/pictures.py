"""A checkpoint used on single pictures: what `segment`, `synthesize`, `trajectory`, `roundtrip` and `info` do."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from semflow import files
from semflow.data import DATASETS
from semflow.data.colours import to_rgb
from semflow.data.images import read_image, read_layout, resize_image, resize_labels
from semflow.data.sample import IGNORE_INDEX
from semflow.errors import SemFlowError
from semflow.loading.pixels import to_bytes, to_unit_range
from semflow.method.samplers import Sampler
from semflow.method.semflow import place
from semflow.seeds import generator
from semflow.suite import Suite
from semflow.suite.reading import check
from semflow.training import devices
from semflow.training.checkpoints import load_model, read_card

NEAREST = Image.Resampling.NEAREST
OVERLAY = 0.5  # share of the class colour in an overlay
GAP = 4  # white pixels between the pictures of a sheet
STATES_SHOWN = 10  # of a trajectory, side by side
SHOWN = 128  # pixels at least that the short side of a picture has on a sheet
Size = tuple[int, int] | None  # height and width that the network works at; None: those it was trained at


def segment(image: Path, checkpoint: Path, sampler: str, seed: int, size: Size, out: Path) -> None:
    """Write the label map of `image` (PNG of ids, at its own size) to `out` and an overlay to `<stem of out>.overlay.png`."""
    overlaid = out.with_name(f"{out.stem}.overlay.png")
    _check_targets(image, out, overlaid)
    picture = read_image(image)
    model, suite, _ = load_model(checkpoint)
    device, size = place(model, devices.pick("auto")), _size(model, suite, size)
    pixels = _pixels(picture, size).to(device)
    with torch.inference_mode():
        labels = model.segment(pixels, _sampler(model, sampler), generator(device, "sample", seed, 0))[0].cpu().numpy()
    _say_resized(image, picture, size)
    label_map = Image.fromarray(labels).resize(picture.size, NEAREST)
    colours = to_rgb(np.array(label_map), DATASETS[suite.data.name].palette)
    overlay = Image.blend(picture, Image.fromarray(colours), OVERLAY)
    _save(label_map, out)
    _save(overlay, overlaid)


def synthesize(labels: Path, checkpoint: Path, sampler: str, seeds: int, size: Size, out: Path) -> None:
    """Write a picture drawn from the label map `labels` under each of the first `seeds` seeds, at the size the network works at.

    One seed: to `out`. Several: to `<stem of out>.seed<N>.png`, and a contact sheet, the layout first, to `out`.
    """
    parts = [out.with_name(f"{out.stem}.seed{seed}.png") for seed in range(seeds)] if seeds > 1 else []
    _check_targets(labels, out, *parts)
    model, suite, _ = _load_semflow(checkpoint)
    info = DATASETS[suite.data.name]
    layout, size = read_layout(labels, info.palette, info.void), _size(model, suite, size)
    if (np.array(layout) == IGNORE_INDEX).all():
        raise SemFlowError(f"{labels} holds no class: every pixel is ignored; give a layout of ids or of the data set's colours")
    _say_resized(labels, layout, size)
    ids = torch.from_numpy(resize_labels(layout, size))[None]
    drawn = [_draw(model, ids, _sampler(model, sampler), seed) for seed in range(seeds)]
    if seeds == 1:
        _save(drawn[0], out)
        return
    for part, picture in zip(parts, drawn, strict=True):
        _save(picture, part)
    _save(_strip([_coloured(ids[0], suite), *drawn]), out)


def trajectory(image: Path, checkpoint: Path, sampler: str, size: Size, out: Path) -> None:
    """Write the decoded states from `image` to its pseudo mask: ten of them side by side to `out`, all as GIF beside it."""
    _check_targets(image, out, out.with_suffix(".gif"))
    model, suite, _ = _load_semflow(checkpoint)
    picture, size = read_image(image), _size(model, suite, size)
    _say_resized(image, picture, size)
    pixels = _pixels(picture, size).to(place(model, devices.pick("auto")))
    with torch.inference_mode():
        latents = model.path(model.autoencoder.encode(pixels), _sampler(model, sampler))
        states = [_picture(model.autoencoder.decode(z)[0]) for z in latents]
    shown = np.linspace(0, len(states) - 1, min(len(states), STATES_SHOWN)).round().astype(int)
    _save(_strip([states[number] for number in shown]), out)
    first, *rest = map(_enlarged, states)
    _save(first, out.with_suffix(".gif"), save_all=True, append_images=rest, duration=80, loop=0)


def roundtrip(image: Path, checkpoint: Path, sampler: str, seed: int, size: Size, out: Path) -> None:
    """Segment `image`, draw a picture from that, segment it again; write the four side by side, say how many labels agree."""
    _check_targets(image, out)
    model, suite, _ = _load_semflow(checkpoint)
    picture, size = read_image(image), _size(model, suite, size)
    _say_resized(image, picture, size)
    how, device = _sampler(model, sampler), place(model, devices.pick("auto"))
    with torch.inference_mode():
        pixels = _pixels(picture, size).to(device)
        labels = model.segment(pixels, how, generator(device, "sample", seed, 0))
        drawn = _draw(model, labels, how, seed)
        again = model.segment(_pixels(drawn, size).to(device), how, generator(device, "sample", seed, 0))
    _save(_strip([_picture(pixels[0]), _coloured(labels[0], suite), drawn, _coloured(again[0], suite)]), out)
    print(f"{100 * (labels == again).float().mean().item():.1f} % of the labels of the drawn picture are those it was drawn from")


def describe(checkpoint: Path) -> str:
    """What a checkpoint is, as lines of text."""
    card = read_card(checkpoint)
    suite = check(card["suite"], str(checkpoint))
    h, w = suite.data.size
    origin = card.get("converted")  # then its suite says how it is meant to have been trained
    facts: dict[str, Any] = {
        "method": card["method"],
        "suite": suite.suite,
        "trained on": f"{suite.data.name}, {h} x {w}, {len(DATASETS[suite.data.name].names)} classes",
        "steps": f"{suite.training.steps} of {suite.training.batch_size} images, seed {card['seed']}",
        "pseudo mask": f"k = {suite.pseudo_mask.k}, s = {suite.pseudo_mask.s:g}, amplitude = {suite.pseudo_mask.amplitude:g}",
        "autoencoder": suite.autoencoder.kind,
        "weights SHA-256": card["weights_sha256"],
        **({"converted from": f"{origin['file']}, SHA-256 {origin['sha256']}; not trained here"} if origin else {}),
        "commit": card["commit"] + (" (modified)" if card["dirty"] else ""),
        "versions": ", ".join(f"{name} {number}" for name, number in card["versions"].items()),
    }
    return "\n".join(f"{name + ':':17}{value}" for name, value in facts.items())


def _load_semflow(checkpoint: Path) -> tuple[Any, Suite, dict[str, Any]]:
    model, suite, card = load_model(checkpoint)
    if not hasattr(model, "synthesize"):
        raise SemFlowError(f"{checkpoint} holds {card['method']}, which cannot synthesize; use a semflow checkpoint")
    return model, suite, card


def _draw(model: Any, labels: torch.Tensor, sampler: Sampler, seed: int) -> Image.Image:
    """A picture from labels (1, h, w) under a seed."""
    device = place(model, devices.pick("auto"))
    with torch.inference_mode():
        return _picture(model.synthesize(labels.to(device), sampler, generator(device, "sample", seed, 0))[0])


def _size(model: Any, suite: Suite, wanted: Size) -> tuple[int, int]:
    """The height and width asked for, if the network takes them, or those it was trained at."""
    pixels = suite.network.reduction * model.autoencoder.factor
    if wanted is not None and any(side % pixels for side in wanted):
        raise SemFlowError(f"--size {wanted[0]} {wanted[1]}: this network takes multiples of {pixels}")
    if wanted not in (None, suite.data.size):
        print(f"working at {wanted[0]} x {wanted[1]}; this network was trained at {suite.data.size[0]} x {suite.data.size[1]}")
    return wanted or suite.data.size


def _pixels(picture: Image.Image, size: tuple[int, int]) -> torch.Tensor:
    """A picture at the size (h, w), float (1, 3, h, w) in [-1, 1]."""
    return to_unit_range(torch.from_numpy(resize_image(picture, size)))[None]


def _picture(pixels: torch.Tensor) -> Image.Image:
    """Float (3, h, w) in [-1, 1], clipped, as a picture."""
    return Image.fromarray(to_bytes(pixels.cpu()).movedim(0, -1).numpy())


def _coloured(labels: torch.Tensor, suite: Suite) -> Image.Image:
    """Labels (h, w) in the data set's colours, ignored pixels white."""
    return Image.fromarray(to_rgb(labels.cpu().numpy(), DATASETS[suite.data.name].palette))


def _strip(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of one size side by side, a few pixels apart."""
    pictures = list(map(_enlarged, pictures))
    w, h = pictures[0].size
    sheet = Image.new("RGB", (len(pictures) * (w + GAP) - GAP, h), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number * (w + GAP), 0))
    return sheet


def _enlarged(picture: Image.Image) -> Image.Image:
    """Small pictures several times as large, pixel by pixel, to be seen on a screen."""
    times = max(1, SHOWN // min(picture.size))
    return picture.resize((times * picture.width, times * picture.height), NEAREST)


def _sampler(model: Any, text: str) -> Sampler:
    sampler = Sampler.parse(text)
    if sampler.name not in model.samplers:
        raise SemFlowError(f"this checkpoint has no sampler {sampler.name!r}; it has {', '.join(model.samplers)}")
    return sampler


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
