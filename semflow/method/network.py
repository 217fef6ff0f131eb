"""A network that a checkpoint holds: one folder with `config.json` and its weights as safetensors."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from semflow import files
from semflow.errors import SemFlowError

WEIGHTS = "diffusion_pytorch_model.safetensors"  # diffusers' name, so that it opens those of its own classes


class Network(nn.Module):
    """Base of all networks of a method. config: what its class is built with, written beside the weights."""

    config: dict[str, Any] = {}

    @property
    def stored(self) -> nn.Module:
        """The module whose state dict the file holds."""
        return self

    def save(self, folder: Path) -> None:
        """Write a folder that `load` of a network of the same shape reads."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.detach().contiguous() for name, value in self.stored.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        files.write_json(folder / "config.json", {"_class_name": type(self).__name__} | self.config)

    def load(self, folder: Path) -> None:
        """Take over the weights in a folder. SemFlowError if they are not of this network's names and shapes."""
        weights, own = load_file(folder / WEIGHTS), self.stored.state_dict()
        for name in sorted(own.keys() | weights.keys()):
            if name not in own or name not in weights or own[name].shape != weights[name].shape:
                held, wanted = (tuple(of[name].shape) if name in of else "missing" for of in (weights, own))
                raise SemFlowError(f"{folder / WEIGHTS} is of another network: {name} is {held} there, {wanted} here")
        self.stored.load_state_dict(weights)

    def checkpoint_activations(self) -> None:
        """Work activations out again in the backward pass, to save memory. SemFlowError where the network cannot."""
        raise SemFlowError(f"run.activation_checkpointing: {type(self).__name__} has none; set it to false")
