"""Figures and pictures of a page: where their files lie, how large they are, or their files as part of the page."""

import base64
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from semflow import files
from semflow.errors import SemFlowError

Captioned = list[tuple[str, str]]  # (path relative to the page, caption)
FORMS = (".svg", ".pdf", ".png")  # of a figure, as files
SAFE = " !$()*+,-./:;=?@[]^_`{|}~"  # stay as they are in an address that stands in an attribute
SENTENCE = re.compile(r"((?:Figure \d+\. )?.+?[.?!])(?= [A-Z]|$)", re.DOTALL)


def captioned(captions: Sequence[Path], page_path: Path) -> Captioned:
    """Every figure, and its caption."""
    if missing := [caption for caption in captions if not caption.exists()]:
        raise SemFlowError(f"there is no {missing[0]}; draw the figure first")
    pictures = [os.path.relpath(caption.with_suffix(".svg"), page_path.parent) for caption in captions]
    return [(path, caption.read_text(encoding="utf-8").strip()) for path, caption in zip(pictures, captions, strict=True)]


def figure(path: str, caption: str, folder: Path | None, single_file: bool = False) -> dict[str, Any]:
    """folder: where the page will lie, to find out how large a figure is, so that nothing moves when it loads; and its forms."""
    first, place = first_sentence(caption), Path(os.path.normpath(folder / path)) if folder else None
    forms = [place.with_suffix(suffix) for suffix in FORMS] if place and folder and not single_file else []
    return {
        "name": Path(path).stem, "alt": first, "rest": caption.removeprefix(first).strip(),
        "source": inlined(place) if place and single_file else path, "size": _size(place) if place else None,
        "forms": relative([(form.suffix[1:].upper(), form) for form in forms if form.exists()], folder or Path()),
    }  # fmt: skip


def first_sentence(caption: str) -> str:
    """The first sentence of a caption, the number of its figure with it."""
    found = SENTENCE.match(caption)
    return found.group(1) if found else caption


def _size(path: Path) -> tuple[float, float] | None:
    """Width and height of an SVG in its own units; None for what is missing or is no SVG."""
    try:
        box = next(ET.iterparse(path, events=["start"]))[1].get("viewBox", "")
        _, _, width, height = map(float, box.split())
    except (OSError, ET.ParseError, ValueError, StopIteration):
        return None
    return width, height


def inlined(path: Path) -> str:
    """A picture's file as an address: SVG as text, which is shorter than base64."""
    with files.reading(path):
        if path.suffix == ".svg":
            return f"data:image/svg+xml,{quote(' '.join(path.read_text(encoding='utf-8').splitlines()), safe=SAFE)}"
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def relative(paths: Iterable[tuple[str, Path]], folder: Path) -> dict[str, str]:
    """By name, the address of a file from a page in `folder`."""
    return {name: quote(os.path.relpath(path, folder)) for name, path in paths}
