"""Every method by name. A baseline is one module with one class; name it here and it trains, samples and is scored."""

from importlib import import_module
from typing import Any

METHODS = {
    "semflow": "semflow.method.semflow:SemFlow",
    "dsm": "baselines.dsm.model:DSM",
}
CONTROLS = {
    "ceiling": "semflow.evaluation.controls:Ceiling",
    "floor": "semflow.evaluation.controls:Floor",
    "real": "semflow.evaluation.controls:Real",
}
TASKS = {"segmentation": ("ceiling", "floor"), "synthesis": ("real",), "determinism": ()}  # and the controls of each


def module_of(name: str) -> str:
    """The module that holds a method or a control."""
    return (METHODS | CONTROLS)[name].partition(":")[0]


def class_of(name: str) -> Any:
    """The class of a method or a control."""
    module, _, cls = (METHODS | CONTROLS)[name].partition(":")
    return getattr(import_module(module), cls)
