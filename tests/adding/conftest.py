"""A method that is written here alone."""

from importlib import import_module
from pathlib import Path

import pytest

import baselines
from baselines import METHODS
from semflow import provenance
from semflow.suite import Suite
from semflow.suite import reading as config

HERE = Path(__file__).resolve().parent


@pytest.fixture
def toy_suite(tiny, monkeypatch) -> Suite:
    """The tiny suite with the toy among its methods, in this process."""
    monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, str(HERE)])
    source = provenance._source
    monkeypatch.setattr(provenance, "_source", lambda name: HERE / "toy_gan/model.py" if "toy" in name else source(name))
    card = import_module("baselines.toy_gan").CARD
    tiny["training"] |= {"steps": 6, "batch_size": 4, "warmup_steps": 2}
    recipes = {"generator": {"lr": 1.0e-3, "betas": [0.5, 0.9]}, "discriminator": {"lr": 4.0e-3}}
    methods = {"toy_gan": card.Settings.model_validate({"width": 8} | recipes)}
    suite = config.check(tiny, "tiny")  # whose schema was made when the registry had no toy
    monkeypatch.setitem(METHODS, "toy_gan", card)
    return suite.model_copy(update={"methods": methods})
