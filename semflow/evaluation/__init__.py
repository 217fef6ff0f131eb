"""Model + data set + metrics -> record: one module a task. Imports no torch until something is measured."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semflow.evaluation.measuring import evaluate, evaluate_all

__all__ = ["evaluate", "evaluate_all"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from semflow.evaluation import measuring

    return getattr(measuring, name)
