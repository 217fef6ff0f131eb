"""Weights in diffusers' layout: found here or on the hub, compared with what a suite says they are, opened. Safetensors only."""

import inspect
import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from semflow import files
from semflow.errors import SemFlowError
from semflow.method import hub

STEMS = dict.fromkeys(("unet", "vae", "vqvae"), "diffusion_pytorch_model")  # of weights files
STEMS |= dict.fromkeys(("text_encoder", "backbone"), "model")
OTHERS = {
    "tokenizer": ("vocab.json", "merges.txt", "tokenizer.json", "*_config.json", "special_tokens_map.json", "added_tokens.json"),
    "scheduler": ("scheduler_config.json",),
}
HALF = re.compile(r"\.(fp16|bf16)\.")
ROUNDED = re.compile(r"BF16|F16|F8|F6|F4")  # safetensors' names of what is less than float32
SHARD = re.compile(r"[^/\\\0]+\.safetensors")  # a name beside the index, which leads nowhere else
PICKLES = {".bin", ".ckpt", ".pt", ".pth"}


@dataclass(frozen=True)
class Pretrained:
    """Where a suite says that pretrained weights lie.

    key: of the suite, for sentences.  name: what stands there, a folder or OWNER/NAME@COMMIT.  parts: folders that are
    needed of it; where that is one alone, `name` may be the part itself.  what: should lie there.
    """

    key: str
    name: str
    parts: tuple[str, ...]
    what: str = "the diffusers folder of Stable Diffusion 1.5"

    @cached_property
    def folder(self) -> Path:
        """The folder on this machine, fetched from the hub where it is not here yet. SemFlowError if there is none."""
        if mend := absent(self.name, self.what):
            raise SemFlowError(f"{self.key}: there is no folder {self.name}; {mend}")
        place, wanted = Path(self.name), hub.parse(self.name)
        return place if wanted is None or place.is_dir() else hub.snapshot(self.key, *wanted, self._wanted)

    def part(self, part: str) -> Path:
        """The folder of a part. SemFlowError if there is none."""
        inside = self.folder / part
        if inside.is_dir():
            return inside
        if self.parts == (part,):
            return self.folder
        raise SemFlowError(f"{self.key}: {self.folder} has no folder {part}; get the whole of it")

    def fingerprint(self, parts: Sequence[str], opened: bool = False) -> dict[str, str]:
        """What the files of some parts are, wherever they lie: their SHA-256 by name, or what the hub calls them all.

        opened: whether they are here, so that those of the hub go by their SHA-256 too. A plan must fetch nothing.
        """
        if not opened and not Path(self.name).is_dir():
            wanted = hub.parse(self.name)
            return {"commit": wanted[1]} if wanted else {"files": "missing"}
        found: dict[str, str] = {}
        for part in parts:
            folder = self.part(part) if opened or self.parts == (part,) else self.folder / part
            names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
            found |= {f"{part}/{name}": files.remembered_hash(folder / name) for name in _of_part(part, names)}
        return found

    def config(self, part: str, name: str = "config.json") -> dict[str, Any]:
        """What a part says of itself. SemFlowError if it says nothing."""
        config = files.read_json(self.part(part) / name, f"{part} configuration")
        if not isinstance(config, dict):
            raise SemFlowError(f"{self.key}: {self.part(part) / name} holds no keys; get it again")
        return config

    def check(self, part: str, expected: dict[str, Any], held: dict[str, Any]) -> None:
        """SemFlowError that names every key of `expected` that is another in `held`."""
        wrong = [
            f"{name} is {json.dumps(held.get(name))}, not {json.dumps(value)}"
            for name, value in expected.items()
            if _plain(held.get(name)) != _plain(value)
        ]
        if wrong:
            mend = "put that model there, or say in the suite what this one is"
            raise SemFlowError(f"{self.key}: {self.part(part)} is not what the suite says: {'; '.join(wrong)}; {mend}")

    def open(self, part: str, kind: Any, expected: dict[str, Any]) -> Any:
        """A diffusers model of class `kind`, in float32. SemFlowError if it is another one than expected, or not whole."""
        config = self.config(part)
        if (name := config.get("_class_name", kind.__name__)) != kind.__name__:
            raise SemFlowError(f"{self.key}: {self.part(part)} holds a {name}, not a {kind.__name__}")
        import torch  # a plan, which reads hashes alone, has no time for it

        self.check(part, expected, defaults(kind) | config)
        return self.load(part, kind, torch_dtype=torch.float32, low_cpu_mem_usage=False)

    def load(self, part: str, kind: Any, **options: Any) -> Any:
        """What `kind.from_pretrained` makes of a part's weights. SemFlowError if they are not whole."""
        folder = self.part(part)
        check_weights(self.key, folder, STEMS[part])
        try:
            with _quiet():
                model, info = kind.from_pretrained(
                    folder, use_safetensors=True, local_files_only=True, output_loading_info=True, **options
                )
        except Exception as error:  # a different kind for every way a folder can be wrong
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise SemFlowError(f"{self.key}: {folder} is not a {kind.__name__} folder ({reason})") from None
        if lacking := sorted(info["missing_keys"]):
            raise SemFlowError(f"{self.key}: the weights in {folder} lack {_some(lacking)}; get them again")
        if other := sorted(info["unexpected_keys"]):
            raise SemFlowError(f"{self.key}: the weights in {folder} are of another network: it has no {_some(other)}")
        return model

    def _wanted(self, names: Sequence[str]) -> list[str]:
        """Which of a repository's files are needed."""
        inside = [f"{part}/{name}" for part in self.parts for name in _of_part(part, _below(part, names))]
        return inside or (_of_part(self.parts[0], names) if len(self.parts) == 1 else [])


def absent(name: str, what: str = Pretrained.what) -> str | None:
    """What to do where a `pretrained` is neither a folder here nor pinned on the hub; None where it is. Fetches nothing."""
    if Path(name).is_dir() or hub.parse(name):
        return None
    if repository := hub.unpinned(name):
        return f"if that is a model on the hub, pin it as {repository}@COMMIT, with all 40 hexadecimal digits of the commit"
    return f"put {what} there, or name OWNER/NAME@COMMIT of a model on the hub"


def defaults(kind: Any) -> dict[str, Any]:
    """What a diffusers class takes a key for that its `config.json` leaves out."""
    parameters = inspect.signature(kind.__init__).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}


def check_weights(key: str, folder: Path, stem: str) -> None:
    """SemFlowError if a folder has no safetensors file `stem`, in one piece or in shards, or if one is cut off or rounded to half
    precision, which makes other latents."""
    whole, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if whole.exists():
        shards = [whole]
    elif index.exists():
        shards = _shards(index)
    else:
        raise SemFlowError(f"{key}: {folder} {_instead(folder)}; get {whole.name}")
    for shard in shards:
        if not shard.exists():
            raise SemFlowError(f"{key}: {folder} lacks the shard {shard.name}; get it again")
        files.check_readable(shard)
        try:
            with safe_open(shard, framework="pt") as file:
                kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise SemFlowError(f"{key}: {shard} is cut off or damaged ({error}); get it again") from None
        if rounded := [name for name, kind in kinds.items() if ROUNDED.match(kind)]:
            raise SemFlowError(
                f"{key}: {shard} has {_some(rounded)} rounded to {kinds[rounded[0]]}, which makes other latents than float32; "
                "get them in full precision, or save them as float32 if these are meant"
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' own reports of what is said in one sentence here."""
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _shards(index: Path) -> list[Path]:
    match files.read_json(index, "index of shards"):
        case {"weight_map": dict(places)} if all(isinstance(name, str) and SHARD.fullmatch(name) for name in places.values()):
            return [index.with_name(name) for name in sorted(set(places.values()))]
    raise SemFlowError(f"{index} names no shards, or none in its own folder; get it again")


def _instead(folder: Path) -> str:
    """What a folder has in place of weights that could be read."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for name in names:
        if HALF.search(name) and name.endswith(".safetensors"):
            return f"has its weights as {name} alone, which are rounded to half precision"
    for name in names:
        if Path(name).suffix in PICKLES:
            return f"has its weights as {name} alone, a pickle, which can run code"
    return "has no weights"


def _of_part(part: str, names: Sequence[str]) -> list[str]:
    """The files that a part is opened from, among all that lie in its folder; no pickles, no other variants."""
    stem = STEMS.get(part, "")
    shards = f"{stem}-?????-of-?????.safetensors"
    wanted = OTHERS.get(part) or ("config.json", f"{stem}.safetensors", f"{stem}.safetensors.index.json", shards)
    return sorted(name for name in names if any(fnmatch(name, pattern) for pattern in wanted))


def _below(part: str, names: Sequence[str]) -> list[str]:
    return [name.removeprefix(f"{part}/") for name in names if name.startswith(f"{part}/")]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value  # as JSON has it


def _some(names: Sequence[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
