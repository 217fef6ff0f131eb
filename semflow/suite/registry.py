"""Stopgap: what modules asked of baselines before a method was a card."""

from typing import Any

from baselines import METHODS
from semflow.suite.runs import CONTROLS as BY_TASK

CONTROLS = {name: "" for names in BY_TASK.values() for name in names}
TASKS = {task: tuple(names) for task, names in BY_TASK.items()}


def module_of(name: str) -> str:
    return METHODS[name].module if name in METHODS else "semflow.evaluation.controls"


def class_of(name: str) -> Any:
    return METHODS[name].load()


__all__ = ["CONTROLS", "METHODS", "TASKS", "class_of", "module_of"]
