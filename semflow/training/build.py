"""From a suite's settings to a model."""

import torch

from baselines import METHODS
from semflow.data import DATASETS
from semflow.method.autoencoder import make_autoencoder
from semflow.method.contract import Blueprint, Method
from semflow.method.pseudo_mask import PseudoMask
from semflow.seeds import seed_of
from semflow.suite import Suite


def make_pseudo_mask(suite: Suite) -> PseudoMask:
    """The suite's code between labels and colours."""
    return PseudoMask(len(DATASETS[suite.data.name].names), suite.pseudo_mask.k, suite.pseudo_mask.s)


def blueprint_of(suite: Suite) -> Blueprint:
    """What the suite says of its models."""
    pseudo_mask = make_pseudo_mask(suite)
    autoencoder = make_autoencoder(suite.autoencoder)
    return Blueprint(pseudo_mask.n_classes, suite.data.size, suite.pseudo_mask.amplitude, pseudo_mask, autoencoder, suite.network)


def make_model(suite: Suite, method: str, seed: int = 0) -> Method:
    """A method's model as a training from `seed` begins with it."""
    blueprint = blueprint_of(suite)
    torch.manual_seed(seed_of("weights", seed))
    return METHODS[method].load().build(blueprint, suite.methods[method])


def place(model: Method, device: torch.device) -> torch.device:
    """Move a model to `device`, ready to sample; returns it."""
    model.networks.to(device).eval()
    model.beside.to(device)
    return device
