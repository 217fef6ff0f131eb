"""Training latents encoded once: moments of images, and perturbed latents of masks, both flips, in safetensors shards.

A cache lies in a folder named by a hash of all that made it, so that other weights, data or flips have another folder. Moments
(mean and standard deviation, float32) lose nothing: a sample of them is a sample of the encoder's posterior. Of a mask there are
`perturbations` latents, each with a perturbation of its own (Eq. 14), the same in every training.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from semflow import files
from semflow.errors import Interrupted, SemFlowError
from semflow.loading.batches import Batch, Views, load
from semflow.loading.pixels import to_unit_range
from semflow.loading.steps import View
from semflow.progress import Progress
from semflow.provenance import content_hash
from semflow.seeds import Source, generator

FOLDER = Path("results/latents")
SHARD = 256  # images in a file: 67 MB of moments at 512 x 512
AT_ONCE = 16  # images encoded together
INDEX = "index.json"
FORMAT = 1

Stop = Callable[[], bool]
Shards = Callable[[list[range]], Iterator[Tensor]]  # encodes so many images at a time


class Latents:
    """Batches of latents where there is a cache of them, of pixels and labels where there is none; indexed by a list of views."""

    def __init__(self, views: Views, moments: "Cache | None", masks: "Cache | None") -> None:
        self.views, self.moments, self.masks = views, moments, masks

    def __getitem__(self, views: Sequence[View]) -> Batch:
        if self.moments is None:
            image, mask = self.views[views]
        else:
            image = torch.stack([self.moments.read(view.image, view.mirrored) for view in views])
            mask = self.views.labels(views) if self.masks is None else image
        if self.masks is not None:
            mask = torch.stack([self.masks.read(view.image, view.mirrored, view.perturbation) for view in views])
        return Batch(image, mask)


class Cache:
    """One kind of latents in its folder. made_of: all that they are determined by."""

    def __init__(self, root: Path, n: int, made_of: dict[str, Any]) -> None:
        self.made_of, self.key = made_of, content_hash(made_of)
        self.folder, self.n = root / f"{made_of['what']}-{self.key[:16]}", n
        self.shards = [self.folder / f"{first // SHARD:05d}.safetensors" for first in range(0, n, SHARD)]

    def read(self, index: int, mirrored: bool, perturbation: int | None = None) -> Tensor:
        """Moments (2, C, h, w), mean and standard deviation; or, of a mask, the latents (C, h, w) of a perturbation."""
        shard, row = divmod(index, SHARD)
        at = (row, int(mirrored)) if perturbation is None else (row, int(mirrored), perturbation)
        try:
            return self._open[shard][tuple(slice(number, number + 1) for number in at)][(0,) * len(at)]
        except (OSError, SafetensorError) as error:
            raise self._damaged(self.shards[shard], error) from None

    @cached_property
    def _open(self) -> "_Slices":
        """Opened where it is read: a process that reads ahead opens its own."""
        return _Slices(self.shards)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_open"}

    def missing(self) -> list[int]:
        """Numbers of the shards that are not there. SemFlowError if one is of another cache, or cut off."""
        lacking = []
        for number, path in enumerate(self.shards):
            if not path.exists():
                lacking.append(number)
                continue
            files.check_readable(path)
            try:
                with safe_open(path, framework="pt") as file:
                    metadata = file.metadata() or {}
            except (OSError, SafetensorError) as error:
                raise self._damaged(path, error) from None
            if metadata.get("key") != self.key:
                raise SemFlowError(f"{path} was made with {self._difference()}; delete the folder and run the same command again")
            if not path.with_suffix(".sha256").exists():
                lacking.append(number)
        return lacking

    def check(self) -> None:
        """SemFlowError if a shard is not what the index says, or the index is of another cache."""
        match files.read_json(self.folder / INDEX, "index of cached latents"):
            case {"made_of": made_of, "sha256": dict(sha256)} if made_of == self.made_of:
                pass
            case _:
                raise SemFlowError(f"{self.folder} was made with {self._difference()}; delete it and run the same command again")
        with Progress(f"check {self.folder}", self.n) as progress:
            for path in self.shards:
                if files.file_hash(path) != sha256.get(path.name):
                    raise self._damaged(path, "its SHA-256 is not the index's")
                progress.update(min(SHARD, self.n - progress.done))

    def finish(self) -> None:
        """Write the index, of what every shard was when it was written."""
        sha256 = dict[str, str]()
        for path in self.shards:
            with files.reading(told := path.with_suffix(".sha256")):
                sha256[path.name] = told.read_text(encoding="utf-8").strip()
        files.write_json(self.folder / INDEX, {"format": FORMAT, "made_of": self.made_of, "n": self.n, "sha256": sha256})

    def _difference(self) -> str:
        try:
            other = files.read_json(self.folder / INDEX, "index of cached latents")["made_of"]
            differing = [key for key in self.made_of if other.get(key) != self.made_of[key]]
        except (SemFlowError, KeyError, TypeError, AttributeError):
            differing = []
        return f"another {', '.join(differing)}" if differing else "other settings"

    @staticmethod
    def _damaged(path: Path, error: object) -> SemFlowError:
        mend = "delete it and run the same command again: it alone is made anew"
        return SemFlowError(f"{path} is cut off or damaged ({error}); {mend}")


class _Slices(dict):
    """Shards opened when they are first read."""

    def __init__(self, shards: list[Path]) -> None:
        super().__init__()
        self.shards = shards

    def __missing__(self, number: int) -> Any:
        if self.shards[number].exists():
            files.check_readable(self.shards[number])
        self[number] = safe_open(self.shards[number], framework="pt").get_slice("latents")
        return self[number]


class Encoder(NamedTuple):
    """Encodes training images into caches, all processes together.

    views, n: the images, and how many they are.  flips: whether each is mirrored.  stop: whether to end instead of going on.
    folder: of all caches.
    """

    views: Views
    n: int
    flips: tuple[bool, ...]
    accelerator: Accelerator
    workers: int = 0
    folder: Path = FOLDER
    stop: Stop = lambda: False

    def moments(self, encode: Callable[[Tensor], Tensor], made_of: dict[str, Any]) -> Cache:
        """Of images. encode: pixels float (B, 3, H, W) in [-1, 1] to mean and standard deviation (B, 2, C, h, w).

        made_of: all that they are determined by, as JSON has it.
        """

        def shards(parts: list[range]) -> Iterator[Tensor]:
            """(n, flips, 2, C, h, w), each image decoded once."""
            for images, _ in load(self.views, [list(map(View, part)) for part in parts], self.workers):
                pixels = to_unit_range(images.to(self.accelerator.device))
                both = [pixels.flip(-1) if mirrored else pixels for mirrored in self.flips]
                yield torch.stack([encode(one).cpu() for one in both], 1)

        return self.complete(self._made_of("moments", made_of), shards, "encode training images")

    def masks(self, encode: Callable[[Tensor, Source], Tensor], perturbations: int, made_of: dict[str, Any]) -> Cache:
        """Of masks. encode: labels uint8 (B, H, W), or RGB (B, 3, H, W), to latents (B, C, h, w), perturbed by a source."""
        device = self.accelerator.device

        def shards(parts: list[range]) -> Iterator[Tensor]:
            """(n, flips, perturbations, C, h, w)."""
            for part in parts:
                rows = []
                for mirrored in self.flips:
                    labels = self.views.labels([View(index, mirrored) for index in part]).to(device)
                    sources = [generator(device, "mask mode", k, mirrored, part.start) for k in range(perturbations)]
                    rows.append(torch.stack([encode(labels, source).cpu() for source in sources], 1))
                yield torch.stack(rows, 1)

        whole = self._made_of("masks", made_of | {"perturbations": perturbations})
        return self.complete(whole, shards, "encode training masks")

    def _made_of(self, what: str, made_of: dict[str, Any]) -> dict[str, Any]:
        return {"what": what, "format": FORMAT, **made_of, "flip": True in self.flips}

    def complete(self, made_of: dict[str, Any], encode: Shards, what: str) -> Cache:
        """The cache, with the shards that it lacks made by all processes together, and everything compared with the index."""
        cache, accelerator = Cache(self.folder, self.n, made_of), self.accelerator
        busy = f"waiting for another process that encodes into {cache.folder}"
        alone = files.held(cache.folder, lambda: print(busy, file=sys.stderr), self._check)
        with alone if accelerator.is_main_process else nullcontext():
            # One process looks, for all: another, a little later, would not see as missing what the first had made meanwhile.
            (lacking,) = broadcast_object_list([cache.missing() if accelerator.is_main_process else None])
            mine = lacking[accelerator.process_index :: accelerator.num_processes]
            if mine:
                total = sum(len(_images(number, self.n)) for number in mine)
                with Progress(what, total, silent=not accelerator.is_main_process) as progress, torch.no_grad():
                    for number in mine:
                        self._check()
                        _make(cache, number, encode, progress)
            accelerator.wait_for_everyone()
            if accelerator.is_main_process:
                if lacking or not (cache.folder / INDEX).exists():
                    cache.finish()
                cache.check()
        accelerator.wait_for_everyone()
        return cache

    def _check(self) -> None:
        """Interrupted if it is to end."""
        if self.stop():
            raise Interrupted("stopped while latents were encoded; the same command goes on from the last whole file of them")


def _make(cache: Cache, number: int, encode: Shards, progress: Progress) -> None:
    images, rows = _images(number, cache.n), []
    parts = [range(first, min(first + AT_ONCE, images.stop)) for first in range(images.start, images.stop, AT_ONCE)]
    for encoded in encode(parts):
        rows.append(encoded)
        progress.update(len(encoded))
    shard = {"latents": torch.cat(rows).float().contiguous()}
    target = cache.shards[number]
    target.with_suffix(".sha256").unlink(missing_ok=True)
    files.write_atomically(target, lambda path: save_file(shard, path, {"key": cache.key}), shared=True)
    files.write_text(target.with_suffix(".sha256"), files.file_hash(target) + "\n")


def _images(number: int, n: int) -> range:
    """Which images a shard holds."""
    return range(number * SHARD, min((number + 1) * SHARD, n))
