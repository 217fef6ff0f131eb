"""Training latents encoded once: moments of images, and perturbed modes of masks, both flips, in safetensors shards.

A cache lies in a folder named by a hash of all that made it, so that other weights, data or flips have another folder. Moments
(mean and standard deviation, float32) lose nothing: a draw from them is a draw from the encoder's posterior. A mask's modes
are `training.cached_perturbations` draws of its perturbation (Eq. 14), the same in every training.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from typing import Any as Model

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from baselines import METHODS
from semflow import files, provenance
from semflow.errors import Interrupted, SemFlowError
from semflow.loading.batches import Batch, Views, load, to_unit_range
from semflow.loading.steps import Look
from semflow.progress import Progress
from semflow.provenance import content_hash
from semflow.seeds import generator
from semflow.suite import Suite, keys, swaps_of

FOLDER = Path("results/latents")
SHARD = 256  # images in a file: 67 MB of moments at 512 x 512
AT_ONCE = 16  # images encoded together
INDEX = "index.json"
FORMAT = 1

Stop = Callable[[], bool]


class Latents:
    """Batches of latents where they are cached, of pictures where they are not; indexed by a list of looks.

    views: the same images as pictures.  n: how many.  folder: of all caches.  stop: whether to end instead of going on.
    """

    def __init__(
        self, views: Views, n: int, suite: Suite, model: Model, method: str, accelerator: Accelerator, folder: Path, stop: Stop
    ) -> None:
        self.views = views
        flips = (False, True) if suite.training.flip else (False,)
        maker = _Maker(views, n, flips, model, suite.training.cached_perturbations, accelerator, suite.run.workers, folder, stop)
        self.moments = self.masks = None
        precision = accelerator.mixed_precision
        if suite.run.cache_latents:
            self.moments = _complete(_moments_of(suite, precision), maker, maker.moments, "encode training images")
        if suite.training.cached_perturbations:
            self.masks = _complete(_masks_of(suite, method, precision), maker, maker.masks, "encode training masks")

    def __getitem__(self, looks: Sequence[Look]) -> Batch:
        if self.moments is None:
            image, mask = self.views[looks]
        else:
            image = torch.stack([self.moments.read(look.image, look.mirrored) for look in looks])
            mask = self.views.labels(looks) if self.masks is None else image
        if self.masks is not None:
            mask = torch.stack([self.masks.read(look.image, look.mirrored, look.mode) for look in looks])
        return Batch(image, mask)


class Cache:
    """One kind of latents in its folder. made_of: all that they are determined by."""

    def __init__(self, root: Path, n: int, made_of: dict[str, Any]) -> None:
        self.made_of, self.key = made_of, content_hash(made_of)
        self.folder, self.n = root / f"{made_of['what']}-{self.key[:16]}", n
        self.shards = [self.folder / f"{first // SHARD:05d}.safetensors" for first in range(0, n, SHARD)]

    def read(self, index: int, mirrored: bool, mode: int | None = None) -> Tensor:
        """Moments (2, C, h, w), mean and standard deviation; or, of masks, the latents (C, h, w) of a mode."""
        shard, row = divmod(index, SHARD)
        try:
            kept = self._open[shard]
            place = (slice(row, row + 1), slice(int(mirrored), int(mirrored) + 1))
            return kept[place][0, 0] if mode is None else kept[(*place, slice(mode, mode + 1))][0, 0, 0]
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
            try:
                with safe_open(path, framework="pt") as file:
                    metadata = file.metadata() or {}
            except FileNotFoundError:
                lacking.append(number)
                continue
            except (OSError, SafetensorError) as error:
                raise self._damaged(path, error) from None
            if metadata.get("key") != self.key:
                raise SemFlowError(f"{path} was made with {self._difference()}; delete the folder and run the same command again")
            if not path.with_suffix(".sha256").exists():
                lacking.append(number)
        return lacking

    def check(self) -> None:
        """SemFlowError if a shard is not what the index says, or the index is of another cache."""
        index = files.read_json(self.folder / INDEX, "index of cached latents")
        if not isinstance(index, dict) or index.get("made_of") != self.made_of:
            raise SemFlowError(f"{self.folder} was made with {self._difference()}; delete it and run the same command again")
        with Progress(f"check {self.folder}", self.n) as progress:
            for path in self.shards:
                if provenance.file_hash(path) != index["sha256"].get(path.name):
                    raise self._damaged(path, "its SHA-256 is not the index's")
                progress.update(min(SHARD, self.n - progress.done))

    def finish(self) -> None:
        """Write the index, of what every shard was when it was written."""
        sha256 = {path.name: path.with_suffix(".sha256").read_text(encoding="utf-8").strip() for path in self.shards}
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
        self[number] = safe_open(self.shards[number], framework="pt").get_slice("latents")
        return self[number]


class _Maker(NamedTuple):
    """What encodes training images."""

    views: Views
    n: int
    flips: tuple[bool, ...]
    model: Model
    modes: int
    accelerator: Accelerator
    workers: int
    folder: Path
    stop: Stop

    def check(self) -> None:
        """Interrupted if it is to end."""
        if self.stop():
            raise Interrupted("stopped while latents were encoded; the same command goes on from the last whole file of them")

    def moments(self, parts: list[range]) -> Iterator[Tensor]:
        """(n, flips, 2, C, h, w) of so many images at a time, each decoded once."""
        order = [[Look(index) for index in part] for part in parts]
        for images, _ in load(self.views, order, self.workers):
            pixels = to_unit_range(images.to(self.accelerator.device))
            both = [pixels.flip(-1) if mirrored else pixels for mirrored in self.flips]
            yield torch.stack([self.model.autoencoder.moments(one).cpu() for one in both], 1)

    def masks(self, parts: list[range]) -> Iterator[Tensor]:
        """(n, flips, modes, C, h, w) of so many images' masks at a time."""
        device = self.accelerator.device
        for part in parts:
            rows = []
            for mirrored in self.flips:
                labels = self.views.labels([Look(index, mirrored) for index in part]).to(device)
                draws = [generator(device, "mask mode", mode, mirrored, part.start) for mode in range(self.modes)]
                rows.append(torch.stack([self.model.encode_labels(labels, one).cpu() for one in draws], 1))
            yield torch.stack(rows, 1)


def _complete(made_of: dict[str, Any], maker: _Maker, encode: Callable[[list[range]], Iterator[Tensor]], what: str) -> Cache:
    """The cache, with the shards that it lacks made by all processes together, and everything held against the index."""
    cache, accelerator = Cache(maker.folder, maker.n, made_of), maker.accelerator
    busy = f"waiting for another process that encodes into {cache.folder}"
    alone = files.held(cache.folder, lambda: print(busy, file=sys.stderr), maker.check)
    with alone if accelerator.is_main_process else nullcontext():
        # One process looks, for all: another, a little later, would not see as missing what the first had made meanwhile.
        (lacking,) = broadcast_object_list([cache.missing() if accelerator.is_main_process else None])
        mine = lacking[accelerator.process_index :: accelerator.num_processes]
        if mine:
            total = sum(len(_images(number, maker.n)) for number in mine)
            with Progress(what, total, silent=not accelerator.is_main_process) as progress, torch.no_grad():
                for number in mine:
                    maker.check()
                    _make(cache, number, maker.n, encode, progress)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            if lacking or not (cache.folder / INDEX).exists():
                cache.finish()
            cache.check()
    accelerator.wait_for_everyone()
    return cache


def _make(cache: Cache, number: int, n: int, encode: Callable[[list[range]], Iterator[Tensor]], progress: Progress) -> None:
    images, rows = _images(number, n), []
    parts = [range(first, min(first + AT_ONCE, images.stop)) for first in range(images.start, images.stop, AT_ONCE)]
    for encoded in encode(parts):
        rows.append(encoded)
        progress.update(len(encoded))
    shard = {"latents": torch.cat(rows).float().contiguous()}
    target = cache.shards[number]
    target.with_suffix(".sha256").unlink(missing_ok=True)
    files.write_atomically(target, lambda path: save_file(shard, path, {"key": cache.key}), shared=True)
    files.write_text(target.with_suffix(".sha256"), provenance.file_hash(target) + "\n")


def _images(number: int, n: int) -> range:
    """Which images a shard holds."""
    return range(number * SHARD, min((number + 1) * SHARD, n))


def _moments_of(suite: Suite, precision: str) -> dict[str, Any]:
    code = ("semflow.method.autoencoder", "semflow.loading.batches", keys.data_module(suite))
    return {
        "what": "moments",
        "format": FORMAT,
        "data": suite.data.model_dump(mode="json", exclude={"root", "masks", "swap_left_right"}),
        "files": keys.stamp(suite.data, "train"),
        "autoencoder": keys.autoencoder_key(suite.autoencoder),
        "precision": precision,
        "flip": suite.training.flip,
        "code": provenance.code_hash(code, keys.other_data(suite))[:16],
    }


def _masks_of(suite: Suite, method: str, precision: str) -> dict[str, Any]:
    return _moments_of(suite, precision) | {
        "what": "masks",
        "data": suite.data.model_dump(mode="json", exclude={"root"}),
        "pseudo mask": suite.pseudo_mask.model_dump(mode="json"),
        "method": method,
        "modes": suite.training.cached_perturbations,
        "swaps": [list(pair) for pair in swaps_of(suite)],
        "method's code": provenance.code_hash((METHODS[method].module, "semflow.method.pseudo_mask"))[:16],
    }
