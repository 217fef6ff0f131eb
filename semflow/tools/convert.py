"""Weights that were trained elsewhere, such as those that the paper's authors released, as a checkpoint of ours.

Their file is what `torch.save` made of a state dict under the names of our networks, such as a diffusers UNet's. It is read as
tensors alone; no code in it can run.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from semflow import files
from semflow.errors import SemFlowError
from semflow.method.unet import UNet, make_prompt
from semflow.suite import Suite
from semflow.training import checkpoints
from semflow.training.build import make_shape

NESTS = ("ema", "state_dict", "module", "model", "unet")  # keys that training scripts put a state dict under; averages first
PREFIXES = ("module.", "_orig_mod.", "unet.")  # what wrappers put before a name


def convert(source: Path, suite: Suite, method: str, out: Path) -> None:
    """Write the weights in `source`, a state dict of what the method samples with, as a checkpoint folder `out`.

    Of several networks, each one's names begin with its key, as in `generator.conv.weight`. The card says where the weights come
    from, and takes the suite's word for how they were trained; its first training seed stands for theirs. SemFlowError if the
    file is not of these networks.
    """
    weights, digest = read_weights(source), files.file_hash(source)  # first: if it is wrong, nothing else matters
    model = make_shape(suite, method)  # random weights would be thrown away
    networks = {f"{key}." if len(model.sampling) > 1 else "": model.networks[key] for key in model.sampling}
    own = {prefix: network.stored.state_dict() for prefix, network in networks.items()}
    _check(source, {f"{prefix}{name}": value for prefix, values in own.items() for name, value in values.items()}, weights)
    for prefix, network in networks.items():
        if isinstance(network, UNet):
            network.prompt = make_prompt(suite.network)
        held = {name: weights.pop(f"{prefix}{name}").to(value.dtype, copy=True) for name, value in own[prefix].items()}
        network.stored.load_state_dict(held, assign=True)
    origin = {"file": source.name, "sha256": digest}
    checkpoints.export(out, suite, method, suite.training.seeds[0], model, converted=origin)


def read_weights(source: Path) -> dict[str, Tensor]:
    """The tensors of a state dict by the names that diffusers gives them. SemFlowError if the file holds anything else."""
    try:
        held: Any = load_file(source) if source.suffix == ".safetensors" else torch.load(source, "cpu", weights_only=True)
    except FileNotFoundError:
        raise SemFlowError(f"there is no file {source}") from None
    except pickle.UnpicklingError:
        raise SemFlowError(f"{source} is no file of tensors alone: it is damaged, or code would run to open it") from None
    except MemoryError:  # says nothing of the file
        raise
    except Exception as error:  # torch runs whatever bytes there are as a pickle: KeyError, IndexError, AssertionError, ...
        reason = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
        raise SemFlowError(f"{source} is no state dict or cut off ({reason}); get it again") from None
    while isinstance(held, Mapping) and (inside := next((key for key in NESTS if isinstance(held.get(key), Mapping)), None)):
        held = held[inside]
    if not isinstance(held, Mapping) or not held or not all(isinstance(value, Tensor) for value in held.values()):
        raise SemFlowError(f"{source} holds no state dict: names with tensors, alone or under {', '.join(NESTS)}")
    weights = {str(name): value for name, value in held.items()}
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


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
        if value.is_floating_point() != wanted[name].is_floating_point() or not value.isfinite().all():
            raise SemFlowError(f"{source} is damaged: {name} is not finite")


def _first(faults: list[str]) -> str:
    return "" if not faults else faults[0] + (f" (and {len(faults) - 1} more like it)" if len(faults) > 1 else "")
