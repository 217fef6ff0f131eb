"""What made a number: hashes of code, configuration and files, the commit, the versions, the machine."""

import ast
import hashlib
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from semflow.data import open_dataset
from semflow.errors import SemFlowError
from semflow.files import file_hash
from semflow.method.pretrained import Place
from semflow.method.settings import TRAIN_TIMESTEPS, Autoencoder, Network
from semflow.suite import Suite
from semflow.suite import reading as configuration
from semflow.suite.datasets import CLASSES, Data
from semflow.suite.registry import module_of
from semflow.suite.runs import Task

PACKAGES = ("semflow", "baselines")
MAKES_NUMBERS = tuple(f":(top){name}" for name in ("semflow", "baselines", "workflow", "config", "Snakefile"))
VERSIONED = (
    *("accelerate", "diffusers", "efficientnet-lite-pytorch", "lpips", "numpy", "pillow", "safetensors", "scipy", "torch"),
    *("torch-fidelity", "torchdiffeq", "torchvision", "transformers"),
)

# Modules that decide how a run is told, stored, placed on a device or read from a file, but no formula of a weight or a
# score. Without this list a better error message would retrain everything. semflow.data names all data sets, and one more
# must not make every training stale; the one that is used counts by its own module. Pretrained files count by their hashes.
PLUMBING = frozenset(
    {
        *PACKAGES,
        *(
            f"semflow.{name}"
            for name in ("data", "errors", "section", "files", "progress", "provenance", "suite", "suite.reading", "suite.runs")
        ),
        *(f"semflow.suite.{name}" for name in ("datasets", "measurements")),
        *(
            f"semflow.{name}"
            for name in (
                "method.hub",
                "method.pretrained",
                "method.settings",
                "method.samplers",
                "method.contract",
                "training.checkpoints",
                "training.devices",
            )
        ),
    }
)
# Training reads these too, through the model's module, but never runs them.
SAMPLING = frozenset({"semflow.method.solvers"})


def weights_key(suite: Suite, method: str, seed: int) -> str:
    """Hash of everything that determines the weights of a training: settings, data, seed, and the code behind them."""
    return configuration.content_hash(
        _common(suite, method, "train")
        | {
            "network": network_key(suite.network),
            "training": suite.training.model_dump(exclude={"seeds"}),
            "seed": seed,
            "code": code_hash(("semflow.training.loop", module_of(method), data_module(suite)), SAMPLING | other_data(suite)),
        }
    )[:16]


def scores_key(suite: Suite, method: str, task: Task) -> str:
    """Hash of everything but the weights that determines a record of a method."""
    measured: dict[str, Any] = {"evaluation": suite.evaluation.model_dump(exclude={"sweeps"})}
    if task == "synthesis":
        networks = (suite.synthesis.features, suite.synthesis.perceptual)
        measured["networks"] = [network.model_dump(exclude={"weights"}) | _own_weights(network) for network in networks]
        measured |= {"diversity": suite.synthesis.diversity.model_dump(), "train": stamp(suite.data, "train")}
    if task == "seed_agreement":
        measured |= suite.ablations.determinism.model_dump()
    if task == "synthesis" or (task, method) == ("segmentation", "semflow"):  # keep states along it, or read pictures by it
        measured["main"] = f"{suite.synthesis.solver}-{suite.synthesis.repeat_at}"
    modules = (f"semflow.evaluation.{task}", module_of(method), data_module(suite))
    measured["code"] = code_hash(modules, other_data(suite))
    return configuration.content_hash(_common(suite, method, suite.evaluation.split) | measured)[:16]


def _own_weights(network: Any) -> dict[str, str]:
    """SHA-256 of a weights file of one's own, if there is one; the published file is the same everywhere."""
    path = getattr(network, "weights", None)
    return {"weights": file_hash(path)} if path is not None and path.is_file() else {}


def data_module(suite: Suite) -> str:
    """The module of the suite's data set."""
    return f"semflow.data.{suite.data.name}"


def other_data(suite: Suite) -> frozenset[str]:
    """Modules of the data sets that the suite does not use."""
    return frozenset(f"semflow.data.{name}" for name in CLASSES if name != suite.data.name)


def _common(suite: Suite, method: str, split: str) -> dict[str, Any]:
    settings = suite.methods.get(method)  # controls have none
    return {
        "method": method,
        "settings": settings and settings.model_dump(),
        "data": suite.data.model_dump(exclude={"root"}),  # where files lie on this machine is no part of what they are
        "stamp": stamp(suite.data, split),
        "classes": CLASSES[suite.data.name],
        "timesteps": TRAIN_TIMESTEPS,
        "pseudo_mask": suite.pseudo_mask.model_dump(),
        "autoencoder": autoencoder_key(suite.autoencoder),
    }


def autoencoder_key(settings: Autoencoder, opened: bool = False) -> str:
    """Hash of an autoencoder: of its settings and files, wherever they lie.

    opened: whether the files are at hand, so that those from the hub count as the same files in a folder do.
    """
    return _key_of(settings, ("vae",), opened)


def network_key(settings: Network) -> str:
    """Hash of a network before training, wherever the files lie that it begins with."""
    return _key_of(settings, ("unet", "text_encoder", "tokenizer"))


def _key_of(settings: Autoencoder | Network, parts: tuple[str, ...], opened: bool = False) -> str:
    name = getattr(settings, "pretrained", None)
    begins_with = Place("pretrained", name, parts).fingerprint(parts, opened) if name else {}
    return configuration.content_hash(settings.model_dump(exclude={"pretrained"}) | begins_with)


def data_stamps(suite: Suite) -> str:
    """Stamps of the files that a suite trains on and evaluates on."""
    return "-".join(stamp(suite.data, split)[:16] for split in ("train", suite.evaluation.split))


@cache
def stamp(data: Data, split: str) -> str:
    """A cheap hash of a split's files; "missing" where they are not there."""
    try:
        return open_dataset(data, split).stamp()
    except SemFlowError:  # said when the data are needed; a plan can be shown without them
        return "missing"


@cache
def code_hash(modules: tuple[str, ...], without: frozenset[str] = frozenset()) -> str:
    """SHA-256 of the syntax trees of `modules` and of all of ours that they import, comments and docstrings aside."""
    pending, seen = list(modules), set[str]()
    while pending:
        name = pending.pop()
        if name not in seen | PLUMBING | without:
            seen.add(name)
            pending += _imports(name)
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(name.encode() + _written(name))
    return digest.hexdigest()


def commit() -> tuple[str, bool]:
    """Commit of the checkout this package lies in, and whether code or config differs; ("unknown", True) outside git."""
    here = Path(__file__).resolve().parent
    try:
        head = _git(here, "rev-parse", "HEAD").strip()
        changed = _git(here, "status", "--porcelain", "--untracked-files=all", "--", *MAKES_NUMBERS)
        return head, bool(changed.strip())
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that touch a number."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in VERSIONED}


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout


@cache
def _written(name: str) -> bytes:
    """A module's syntax tree as text; most modules are part of many hashes."""
    return ast.dump(_tree(name)).encode()


@cache
def _tree(name: str) -> ast.Module:
    tree = ast.parse(_source(name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Modules of ours that a module imports, wherever in its text."""
    found = []
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(word for word in found if word.split(".")[0] in PACKAGES and _source(word).exists())


def _source(name: str) -> Path:
    """Where a module or package of ours would lie."""
    place = Path(__file__).resolve().parent.parent.joinpath(*name.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
