"""Weights that were trained elsewhere, such as those that the paper's authors released, as a checkpoint of ours.

Their file is what `torch.save` made of a state dict under the names of our networks, such as a diffusers UNet's, or under those
of a method's official code, for which `baselines/<name>/released.py` says where each belongs. It is read as tensors alone; no
code in it can run.
"""

import hashlib
import importlib.util
import pickle
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from baselines import METHODS
from semflow import files
from semflow.errors import SemFlowError
from semflow.method.unet import UNet, make_prompt
from semflow.suite import Suite
from semflow.training import checkpoints
from semflow.training.build import make_shape

Found = tuple[tuple[str, ...], dict[str, Tensor]]  # keys in a file, and the state dict under them
OF = "model|weights|params|state|u?net"
AVERAGES = re.compile(rf"ema({OF})?|({OF})ema|swa|avg|averaged?|shadow|polyak")
WRAPPERS = re.compile(r"^((module|_orig_mod)\.)+")  # what is put before names in training
RAW = ("no", "non", "not", "without", "wo", "pre", "before")  # before such a word: weights that are no averages
OPTIMIZERS = re.compile(r"\boptim(i[sz]ers?)?\b")  # of a key's words
MOMENTS = re.compile(r"\b(exp avg|grads?|gradients?|moments?|momentum)\b")
HALF = (torch.float16, torch.bfloat16)
FULL = (torch.float32, torch.float64)


def convert(source: Path | Mapping[str, Path], suite: Suite, method: str, out: Path) -> None:
    """Write the weights in `source`, a state dict of what the method samples with, as a checkpoint folder `out`.

    source: a file, or several by what their names begin with, where the official code has a file a network.
    Of several networks, each one's names begin with its key, as in `generator.conv.weight`. The card says where the weights come
    from, and takes the suite's word for how they were trained; its first training seed stands for theirs. SemFlowError if the
    file is not of these networks, or if it is not plain which of its weights are meant.
    """
    several = source if isinstance(source, Mapping) else {"": source}
    held, digest = _read(several), _digest(several.values())  # first: if it is wrong, nothing else matters
    source = Path(" and ".join(map(str, several.values())))
    model = make_shape(suite, method)  # random weights would be thrown away
    networks = {f"{key}." if len(model.sampling) > 1 else "": model.networks[key] for key in model.sampling}
    own = {prefix: network.stored.state_dict() for prefix, network in networks.items()}
    wanted = {f"{prefix}{name}": value for prefix, values in own.items() for name, value in values.items()}
    place, weights = choose(source, held, wanted, _by_official_names(method, held, model))
    _check(source, wanted, weights)
    halves = sorted({str(value.dtype).removeprefix("torch.") for value in weights.values() if value.dtype in HALF})
    for prefix, network in networks.items():
        if isinstance(network, UNet):
            network.prompt = make_prompt(suite.network)
        taken = {name: weights[f"{prefix}{name}"].to(value.dtype, copy=True) for name, value in own[prefix].items()}
        network.stored.load_state_dict(taken, assign=True)
    origin = {"file": " and ".join(path.name for path in several.values()), "sha256": digest}
    if place:
        print(f"{source}: its weights under {place} are taken")
        origin["place"] = place
    if halves:
        print(f"{source}: its weights are in half precision ({', '.join(halves)}); what rounding removed is lost")
        origin["precision"] = ", ".join(halves)
    checkpoints.export(out, suite, method, suite.training.seeds[0], model, converted=origin)


def _read(sources: Mapping[str, Path]) -> Any:
    """What files hold; of several, the largest state dict of each, its names after what the file is called by."""
    if [*sources] == [""]:
        return read_file(sources[""])
    largest = {key: max((weights for _, weights in state_dicts(read_file(path))), key=len) for key, path in sources.items()}
    return {f"{key}.{WRAPPERS.sub('', name)}": value for key, weights in largest.items() for name, value in weights.items()}


def _digest(sources: Iterable[Path]) -> str:
    """SHA-256 of a file, or of those of several."""
    digests = [files.file_hash(path) for path in sources]
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _by_official_names(method: str, held: Any, model: Any) -> list[Found]:
    """State dicts in a file that have the names of the method's official code, under ours."""
    name = f"{METHODS[method].module.rpartition('.')[0]}.released"
    if importlib.util.find_spec(name) is None:
        return []
    module: Any = importlib.import_module(name)
    found = []
    for place, weights in state_dicts(held):
        with suppress(SemFlowError):  # of another network: what is wrong is said of all weights together
            found.append((place, _renamed(module, weights, model)))
    return [(place, weights) for place, weights in found if weights]


def _renamed(module: Any, weights: Mapping[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Weights of official names under ours. SemFlowError if one belongs nowhere."""
    if hasattr(module, "convert"):
        ours = module.convert(weights)
    else:
        ours = defaultdict[str, dict[str, Tensor]](dict)
        for name, value in weights.items():
            if where := module.place(name):
                ours[where[0]][where[1]] = module.arrange(name, value, model.n_classes) if hasattr(module, "arrange") else value
    several = len(model.sampling) > 1
    return {f"{key}." * several + name: value for key, of in ours.items() for name, value in of.items()}


def read_file(source: Path) -> Any:
    """What a file of tensors holds. SemFlowError if it holds code, or no names with tensors anywhere."""
    try:
        held: Any = load_file(source) if source.suffix == ".safetensors" else torch.load(source, "cpu", weights_only=True)
    except FileNotFoundError:
        raise SemFlowError(f"there is no file {source}") from None
    except OSError as error:
        raise files.unreadable(error, source) from None
    except pickle.UnpicklingError:
        raise SemFlowError(f"{source} is no file of tensors alone: it is damaged, or code would run to open it") from None
    except MemoryError:  # says nothing of the file
        raise
    except Exception as error:  # torch runs whatever bytes there are as a pickle: KeyError, IndexError, AssertionError, ...
        reason = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
        raise SemFlowError(f"{source} is no state dict or cut off ({reason}); get it again") from None
    if next(state_dicts(held), None) is None:
        raise SemFlowError(f"{source} holds no state dict: names with tensors, alone or under keys such as ema or state_dict")
    return held


def state_dicts(held: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Every mapping from names to tensors in what a file holds, with the keys and the beginnings of names that lead to it.

    The names that begin with one word are one of their own, so that what wrappers put before names (`module.`, `_orig_mod.`) is
    taken off, and raw and averaged weights side by side are told apart.
    """
    if not isinstance(held, Mapping):
        return
    tensors = {str(name): value for name, value in held.items() if isinstance(value, Tensor)}
    if tensors:
        yield place, tensors
    heads: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        head, dot, rest = name.partition(".")
        if dot:
            heads.setdefault(head, {})[rest] = value
    for key, inside in (*heads.items(), *((str(key), value) for key, value in held.items() if not isinstance(value, Tensor))):
        yield from state_dicts(inside, (*place, key))


def choose(source: Path, held: Any, wanted: Mapping[str, Tensor], renamed: Sequence[Found] = ()) -> tuple[str, dict[str, Tensor]]:
    """(place, weights) of what fits a network in a file: the averaged weights where there are such.

    renamed: state dicts in it that had other names. SemFlowError if nothing fits, several do, or there are averages that do not.
    """
    found = [(place, weights) for place, weights in (*state_dicts(held), *renamed) if not any(map(_of_optimizer, place))]
    shapes = {name: value.shape for name, value in wanted.items()}
    fit = [(place, weights) for place, weights in found if {name: value.shape for name, value in weights.items()} == shapes]
    averages = [(place, weights) for place, weights in fit if any(map(_averaged, place))]
    if not fit:
        return "", max((weights for _, weights in found), key=lambda weights: len(weights.keys() & wanted.keys()), default={})
    chosen = averages or fit
    others = [] if averages else _averages(held, [place for place, _ in fit])
    if len(chosen) > 1 or others:
        there = ", ".join(sorted({".".join(place) or "its top" for place, _ in fit} | set(others)))
        raise SemFlowError(
            f"{source} holds several weights, and which are meant is not plain: {there}; save the averaged ones (or those that "
            "are meant) alone, as a state dict"
        )
    place, weights = chosen[0]
    return ".".join(place) if len(fit) > 1 else "", weights


def _words_of(key: str) -> list[str]:
    """The words of a key, as in `model_ema` and `emaModel`, in small letters."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", key)]


def _has(kind: re.Pattern[str], key: str) -> bool:
    return kind.search(" ".join(_words_of(key))) is not None


def _of_optimizer(key: str) -> bool:
    return _has(OPTIMIZERS, key) or _has(MOMENTS, key)


def _averaged(key: str) -> bool:
    """Whether a key says that what it holds are averages: `model_ema`, `emaModel`, `swa`; not `non_ema`."""
    words = _words_of(key)
    at = next((at for at, word in enumerate(words) if AVERAGES.fullmatch(word)), None)
    return at is not None and not any(word in RAW for word in words[:at])


def _averages(held: Any, fit: list[tuple[str, ...]], place: tuple[str, ...] = ()) -> list[str]:
    """Where a file has averages beside the weights that fit: keys that say so with tensors below them, in whatever form. Some
    optimizers hold them too."""
    if place in fit or (place and _has(MOMENTS, place[-1])):
        return []
    if place and _averaged(place[-1]) and _tensors(held) > 1:
        return [".".join(place)]
    inner: dict[str, Any] = {}
    for key, value in _items(held):
        head, dot, rest = str(key).partition(".")
        if dot and isinstance(value, Tensor):
            inner.setdefault(head, {})[rest] = value
        elif not isinstance(value, Tensor):
            inner[str(key)] = value
    return [name for key, value in inner.items() for name in _averages(value, fit, (*place, key))]


def _items(held: Any) -> Iterable[tuple[Any, Any]]:
    """Of a mapping or, by their places, of a list."""
    if isinstance(held, Mapping):
        return held.items()
    return enumerate(held) if isinstance(held, list | tuple) else ()


def _tensors(held: Any) -> int:
    return int(isinstance(held, Tensor)) + sum(_tensors(value) for _, value in _items(held))


def _check(source: Path, wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """SemFlowError that says how a file's weights differ from the networks'."""
    wrong = [
        f"{name} is {tuple(weights[name].shape)}, not {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in weights and weights[name].shape != value.shape
    ]
    lacking, other = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    faults = [_first(wrong), _first([f"{name} is missing" for name in lacking]), _first([f"{name} is unknown" for name in other])]
    if any(faults):
        raise SemFlowError(f"{source} is not of the suite's network: {'; '.join(filter(None, faults))}")
    for name, value in weights.items():
        kinds = (*FULL, *HALF) if wanted[name].is_floating_point() else (wanted[name].dtype,)
        if value.dtype not in kinds or value.layout != torch.strided or value.device.type != "cpu":
            held = " ".join(str(what).removeprefix("torch.") for what in (value.layout, value.dtype))
            held += "" if value.device.type == "cpu" else f" on the device {value.device.type}"
            raise SemFlowError(f"{source}: {name} is {held}, which is not opened; save the weights as float32")
        if not value.isfinite().all():
            raise SemFlowError(f"{source} is damaged: {name} is not finite")


def _first(faults: list[str]) -> str:
    return "" if not faults else faults[0] + (f" (and {len(faults) - 1} more like it)" if len(faults) > 1 else "")
