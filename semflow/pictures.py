"""A checkpoint used on single pictures: what `segment`, `synthesize` and `info` do."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from semflow import devices, files
from semflow.checkpoints import load_model, read_card
from semflow.config import CLASSES, PALETTES, VOID, check
from semflow.data.batches import to_unit_range
from semflow.data.images import read_image, read_labels, resize_image, resize_labels
from semflow.errors import SemFlowError
from semflow.model import Sampler, place
from semflow.seeds import generator

OVERLAY = 0.5  # share of the class colour in an overlay


def segment(image: Path, checkpoint: Path, sampler: str, seed: int, out: Path) -> None:
    """Write the label map of `image` (PNG of ids, at its own size) to `out` and an overlay to `<stem of out>.overlay.png`."""
    _check_target(out, image)
    picture = read_image(image)
    model, suite, _ = load_model(checkpoint)
    device = place(model, devices.pick("auto"))
    pixels = to_unit_range(torch.from_numpy(resize_image(picture, suite.data.size)).to(device))[None]
    with torch.inference_mode():
        labels = model.segment(pixels, _sampler(model, sampler), generator(device, "sample", seed, 0))[0].cpu().numpy()
    _say_resized(image, picture, suite.data.size)
    label_map = Image.fromarray(labels).resize(picture.size, Image.Resampling.NEAREST)
    colours = np.array(PALETTES[suite.data.name], np.uint8)[np.array(label_map)]
    overlay = Image.blend(picture, Image.fromarray(colours), OVERLAY)
    _save(label_map, out)
    _save(overlay, out.with_name(f"{out.stem}.overlay.png"))


def synthesize(labels: Path, checkpoint: Path, sampler: str, seed: int, out: Path) -> None:
    """Write a picture drawn from the label map `labels` to `out`, at the network's size."""
    _check_target(out, labels)
    model, suite, card = load_model(checkpoint)
    if not hasattr(model, "synthesize"):
        raise SemFlowError(f"{checkpoint} holds {card['method']}, which cannot synthesize; use a semflow checkpoint")
    layout = read_labels(labels, len(CLASSES[suite.data.name]), VOID[suite.data.name])
    _say_resized(labels, layout, suite.data.size)
    device = place(model, devices.pick("auto"))
    ids = torch.from_numpy(resize_labels(layout, suite.data.size)).to(device)[None]
    with torch.inference_mode():
        image = model.synthesize(ids, _sampler(model, sampler), generator(device, "sample", seed, 0))[0].cpu()
    pixels = ((image + 1) * 127.5).round().clamp(0, 255).byte()
    _save(Image.fromarray(pixels.movedim(0, -1).numpy()), out)


def describe(checkpoint: Path) -> str:
    """What a checkpoint is, as lines of text."""
    card = read_card(checkpoint)
    suite = check(card["suite"], str(checkpoint))
    h, w = suite.data.size
    facts: dict[str, Any] = {
        "method": card["method"],
        "suite": suite.suite,
        "trained on": f"{suite.data.name}, {h} x {w}, {len(CLASSES[suite.data.name])} classes",
        "steps": f"{suite.training.steps} of {suite.training.batch_size} images, seed {card['seed']}",
        "pseudo mask": f"k = {suite.pseudo_mask.k}, s = {suite.pseudo_mask.s:g}, amplitude = {suite.pseudo_mask.amplitude:g}",
        "autoencoder": suite.autoencoder.kind,
        "weights SHA-256": card["weights_sha256"],
        "commit": card["commit"] + (" (modified)" if card["dirty"] else ""),
        "versions": ", ".join(f"{name} {number}" for name, number in card["versions"].items()),
    }
    return "\n".join(f"{name + ':':17}{value}" for name, value in facts.items())


def _sampler(model: Any, text: str) -> Sampler:
    sampler = Sampler.parse(text)
    if sampler.name not in model.samplers:
        raise SemFlowError(f"this checkpoint has no sampler {sampler.name!r}; it has {', '.join(model.samplers)}")
    return sampler


def _say_resized(path: Path, picture: Image.Image, size: tuple[int, int]) -> None:
    if (picture.height, picture.width) != tuple(size):
        print(f"{path}: resized from {picture.height} x {picture.width} to the network's {size[0]} x {size[1]}")


def _check_target(out: Path, source: Path) -> None:
    if out.suffix.lower() != ".png":
        raise SemFlowError(f"{out} must end in .png, since label maps and pictures are written without loss")
    if out.exists() and source.exists() and out.samefile(source):
        raise SemFlowError(f"--out {out} is the picture that is read; give another name")


def _save(picture: Image.Image, out: Path) -> None:
    files.write_atomically(out, lambda part: picture.save(part, format="PNG"))
    print(out)
