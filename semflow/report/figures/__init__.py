"""Figures from records. Each is registered in its module by `@figure(name, needs=...)`; every module of this folder is read."""

from importlib import import_module
from pkgutil import iter_modules

from semflow.report.products import FIGURES, save_figure

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["FIGURES", "save_figure"]
