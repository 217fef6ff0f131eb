"""Weights that were trained elsewhere, such as those that the paper's authors released, as a checkpoint of ours.

Their file is what `torch.save` made of a diffusers UNet's state dict. It is read as tensors alone; no code in it can run.
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
from semflow.method.autoencoder import make_autoencoder
from semflow.method.unet import UNet, make_prompt, make_unet
from semflow.suite import Suite
from semflow.suite.registry import class_of
from semflow.training import checkpoints
from semflow.training.build import latent_size

NESTS = ("ema", "state_dict", "module", "model", "unet")  # keys that training scripts put a state dict under; averages first
PREFIXES = ("module.", "_orig_mod.", "unet.")  # what wrappers put before a name


def convert(source: Path, suite: Suite, method: str, out: Path) -> None:
    """Write the weights in `source`, a state dict of the suite's network, as a checkpoint folder `out`.

    The card says where they come from, and takes the suite's word for how they were trained; its first training seed
    stands for theirs. SemFlowError if the file is not of that network.
    """
    kind = class_of(method)
    weights, digest = read_weights(source), files.file_hash(source)  # first: if it is wrong, nothing else matters
    autoencoder = make_autoencoder(suite.autoencoder)
    prompt, size = make_prompt(suite.network), latent_size(suite, autoencoder)
    with torch.device("meta"):  # the shape alone; random weights would be thrown away
        unet = make_unet(suite.network, kind.image_copies * autoencoder.channels, autoencoder.channels, size)
    _check(source, {name: tuple(value.shape) for name, value in unet.state_dict().items()}, weights)
    unet.load_state_dict({name: weights.pop(name).to(torch.float32, copy=True) for name in list(weights)}, assign=True)
    network = UNet(unet.eval(), kind.time_scale, prompt)
    checkpoints.export(out, suite, method, suite.training.seeds[0], network, {"file": source.name, "sha256": digest})


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


def _check(source: Path, wanted: Mapping[str, tuple[int, ...]], weights: Mapping[str, Tensor]) -> None:
    """SemFlowError that says how a file's weights differ from the network's."""
    wrong = [
        f"{name} is {tuple(weights[name].shape)}, not {shape}"
        for name, shape in wanted.items()
        if name in weights and tuple(weights[name].shape) != shape
    ]
    lacking, other = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    faults = [_first(wrong), _first([f"{name} is missing" for name in lacking]), _first([f"{name} is unknown" for name in other])]
    if any(faults):
        raise SemFlowError(f"{source} is not of the suite's network: {'; '.join(filter(None, faults))}")
    if broken := [name for name, value in weights.items() if not value.is_floating_point() or not value.isfinite().all()]:
        raise SemFlowError(f"{source} is damaged: {broken[0]} is not finite")


def _first(faults: list[str]) -> str:
    return "" if not faults else faults[0] + (f" (and {len(faults) - 1} more like it)" if len(faults) > 1 else "")
