"""SemFlow, replicated: the method, and the harness that trains, measures and reports it beside its baselines."""

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__version__ = "0.2.0"

PUBLIC = {  # modules of the public API: by the names that they are imported by, where they lie
    "semflow.flow": "semflow.method.flow",
    "semflow.solvers": "semflow.method.solvers",
    "semflow.pseudo_mask": "semflow.method.pseudo_mask",
    "semflow.metrics": "semflow.evaluation.metrics",
    "semflow.metrics.segmentation": "semflow.evaluation.metrics.segmentation",
}


class _Public(MetaPathFinder, Loader):
    """Finds the modules of `PUBLIC`; each is one object, whichever of its names it is imported by."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in PUBLIC else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(PUBLIC[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = module.__spec__ and module.__spec__.loader_state  # the import system has put the alias's there


sys.meta_path.insert(0, _Public())
