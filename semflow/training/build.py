"""From a suite's settings to a model."""

from dataclasses import replace
from typing import Any

import torch

from baselines import METHODS
from semflow.data import info_of
from semflow.method.autoencoder import make_autoencoder
from semflow.method.contract import Blueprint, Method
from semflow.method.pseudo_mask import PseudoMask
from semflow.section import Section
from semflow.seeds import seed_of
from semflow.suite import Suite


def make_pseudo_mask(suite: Suite) -> PseudoMask:
    """The suite's code between labels and colours."""
    return PseudoMask(len(info_of(suite.data).names), suite.pseudo_mask.k, suite.pseudo_mask.s)


def blueprint_of(suite: Suite, method: str) -> Blueprint:
    """What the suite says of a method's model; an autoencoder that the method does not read is not opened."""
    pseudo_mask = make_pseudo_mask(suite)
    autoencoder = make_autoencoder(suite.autoencoder) if "autoencoder" in METHODS[method].reads else None
    return Blueprint(pseudo_mask.n_classes, suite.data.size, suite.pseudo_mask.amplitude, pseudo_mask, autoencoder, suite.network)


def make_model(suite: Suite, method: str, seed: int = 0) -> Method:
    """A method's model as a training from `seed` begins with it."""
    blueprint = blueprint_of(suite, method)
    torch.manual_seed(seed_of("weights", seed))
    return METHODS[method].load().build(blueprint, suite.methods[method])


def unpretrained(suite: Suite) -> Suite:
    """The suite with random weights where it has pretrained ones."""
    methods = {name: _unpretrained(settings) for name, settings in suite.methods.items()}
    return suite.model_copy(
        update={"autoencoder": _unpretrained(suite.autoencoder), "network": _unpretrained(suite.network), "methods": methods}
    )


def _unpretrained(section: Any) -> Any:
    inner = {name: _unpretrained(value) for name, value in section if isinstance(value, Section)}
    return section.model_copy(update=inner | ({"pretrained": None} if hasattr(section, "pretrained") else {}))


def make_shape(suite: Suite, method: str) -> Method:
    """A method's model without weights, on torch's meta device."""
    pseudo_mask, suite = make_pseudo_mask(suite), unpretrained(suite)  # whose colours are looked up
    with torch.device("meta"):
        blueprint = replace(blueprint_of(suite, method), pseudo_mask=pseudo_mask)
        return METHODS[method].load().build(blueprint, suite.methods[method])


def place(model: Method, device: torch.device) -> torch.device:
    """Move a model to `device`, ready to sample; returns it."""
    model.networks.to(device).eval()
    model.beside.to(device)
    return device
