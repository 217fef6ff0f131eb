"""A suite's configuration: a YAML file, complete or built on another, read and checked before anything runs."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from semflow import files
from semflow.data import DATASETS
from semflow.errors import SemFlowError, did_you_mean, sentence
from semflow.provenance import content_hash
from semflow.suite import Suite

PERTURBED = ("variants", "amplitudes", "sampling_amplitudes")  # keys of an entry that a variant may not fit
PLACES = ("pretrained", "vgg19")  # keys that say where weights lie
KINDS = ("name", "kind", "network")  # keys that say which of several sections one is


class Study(NamedTuple):
    """What a configuration file holds: one suite, or one for each of its data sets.

    suites: by the name of their data set.  outputs: by table or figure, the data set whose records it is made of; empty where
    there is one data set, of which everything is made.  several: whether there are several, so that a command has to name one.
    """

    suites: dict[str, Suite]
    outputs: dict[str, str]
    several: bool

    @property
    def name(self) -> str:
        """The suite's name, the same for all data sets."""
        return next(iter(self.suites.values())).suite

    def of(self, product: str) -> Suite:
        """The suite of the data set that a product is made of."""
        return self.suites[self.outputs.get(product, next(iter(self.suites)))]


class Resolved(NamedTuple):
    """A file with all that it builds on. origins: by dotted key, the file that gives its value, and the line.  files: that were
    read, the lowest first."""

    raw: Any
    origins: dict[str, str]
    files: tuple[Path, ...] = ()


def load(path: Path | str, dataset: str | None = None) -> Suite:
    """Read and check a suite, of a file with several data sets the one asked for. SemFlowError names the key, the value and
    the mend."""
    study = load_study(path)
    if dataset is None and study.several:
        raise SemFlowError(f"{path} has several data sets, {', '.join(study.suites)}; name one with --dataset")
    if dataset is not None and dataset not in study.suites:
        otherwise = f"; it has {', '.join(study.suites)}"
        raise SemFlowError(f"{path} has no data set {dataset}{did_you_mean(dataset, study.suites, otherwise)}")
    return next(iter(study.suites.values())) if dataset is None else study.suites[dataset]


def load_study(path: Path | str) -> Study:
    """Read and check a configuration file, YAML or (by its suffix) JSON, with what it builds on and all of its data sets."""
    return check_study(resolve(path).raw, str(path))


def resolve(path: Path | str, below: tuple[Path, ...] = ()) -> Resolved:
    """Read a configuration file over the one that it builds on, unchecked. below: the files that build on it."""
    path = Path(path)
    if path.resolve() in [other.resolve() for other in below]:
        raise SemFlowError(f"base: {' -> '.join(map(str, (*below, path)))} is a circle; remove one")
    raw, lines = files.read_yaml(path, "configuration")
    return on_base(Resolved(raw, {key: f"{path}:{line}" for key, line in lines.items()}, (path,)), path, below)


def on_base(over: Resolved, path: Path, below: tuple[Path, ...] = ()) -> Resolved:
    """What stands in the file `path`, over the file that it builds on: `base`, a path relative to it."""
    if not isinstance(over.raw, dict) or "base" not in over.raw:
        return over
    base = over.raw["base"]
    if not isinstance(base, str):
        raise SemFlowError(f"{path}: base is {base!r}; it must be the path of another configuration")
    under = path.parent / base
    if not under.is_file():
        raise SemFlowError(f"{path} builds on {base} (base), but there is no {under}")
    raw = {key: value for key, value in over.raw.items() if key != "base"}
    origins = {key: at for key, at in over.origins.items() if key != "base"}
    return merged(resolve(under, (*below, path)), over._replace(raw=raw, origins=origins))


def given(paths: Sequence[Path], changes: dict[str, Any]) -> Resolved:
    """What a run is configured by: files, each over those before it, and changes to them, unchecked.

    changes: as a command line gives them, whose numbers are words.
    """
    whole = Resolved({}, {})
    for path in paths:
        whole = merged(whole, resolve(path))
    return merged(whole, Resolved(_typed(changes), {}))


def _typed(value: Any) -> Any:
    """Words in mappings and lists as the values that they are in YAML."""
    if isinstance(value, dict):
        return {key: _typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    return files.parse_yaml(value) if isinstance(value, str) else value


def merged(under: Resolved, over: Resolved) -> Resolved:
    """`over` laid over `under`: mappings key by key, lists and values replaced. A section that is of another kind than the one
    below it (by its name, kind or network) replaces it, since it has other keys.
    """
    origins = dict(under.origins)
    raw = _merged(under.raw, over.raw, origins, "")
    return Resolved(raw, origins | over.origins, under.files + over.files)


def _merged(under: Any, over: Any, origins: dict[str, str], place: str) -> Any:
    both = isinstance(under, dict) and isinstance(over, dict)
    if not both or any(isinstance(over.get(key), str) and over[key] != under.get(key, over[key]) for key in KINDS):
        for key in [key for key in origins if key.startswith(place)]:
            del origins[key]
        return over
    whole = dict(under)
    for key, value in over.items():
        whole[key] = _merged(under[key], value, origins, f"{place}{key}.") if key in under else value
    return whole


def show(path: Path | str) -> str:
    """The whole of a configuration file, checked, as YAML; beside each key the file and line that it comes from."""
    whole = resolve(path)
    check_study(whole.raw, str(path))
    return "\n".join(_shown(whole.raw, whole.origins, 0, "")) + "\n"


def _shown(raw: dict[str, Any], origins: dict[str, str], depth: int, place: str) -> Iterator[str]:
    for key, value in raw.items():
        indent, origin = "  " * depth, origins.get(f"{place}{key}", "")
        comment = f"  # {origin}" if origin else ""
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _shown(value, origins, depth + 1, f"{place}{key}.")
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield f"{indent}{key}:{comment}"
            yield from (f"{indent}  - {_inline(item)}" for item in value)
        else:
            yield f"{indent}{key}: {_inline(value)}{comment}"


def _inline(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=sys.maxsize, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def check_study(raw: Any, origin: str) -> Study:
    """Turn a parsed mapping into the suites that it holds; `origin` is named in the error.

    Under `datasets`, each gives what is its own, key by key, over what stands beside it; and in `outputs` the tables and figures
    that are made of its records.
    """
    if not isinstance(raw, dict) or "datasets" not in raw:
        suite = check(raw, origin)
        return Study({suite.data.name: suite}, {}, False)
    datasets = raw["datasets"]
    if not isinstance(datasets, dict) or not all(isinstance(own, dict) for own in datasets.values()) or not datasets:
        raise SemFlowError(f"{origin}: datasets must be a mapping from the names of data sets to their sections")
    for name in datasets:
        if name not in DATASETS:
            near = did_you_mean(name, DATASETS, f"; there are {', '.join(DATASETS)}")
            raise SemFlowError(f"{origin}: datasets names {name}, a data set that there is not{near}")
    suites, outputs = {}, dict[str, str]()
    shared = {key: value for key, value in raw.items() if key != "datasets"}
    for name, own in datasets.items():
        where = f"{origin}, data set {name}"
        own = {key: value for key, value in own.items() if key != "outputs"}
        suites[name] = check(merged(Resolved(shared, {}), Resolved(own, {})).raw, where, ("outputs",))
        if suites[name].data.name != name:
            raise SemFlowError(f"{where}: data.name is {suites[name].data.name}; the section must have the data set's name")
        made = datasets[name].get("outputs", [])
        if not isinstance(made, list) or not all(isinstance(product, str) for product in made):
            raise SemFlowError(f"{where}: outputs must be a list of tables and figures")
        for product in made:
            if product in outputs:
                raise SemFlowError(f"{where}: outputs names {product}, which is made of {outputs[product]} already; remove one")
            outputs[product] = name
    return Study(suites, outputs, True)


def check(raw: Any, origin: str, above: tuple[str, ...] = ("datasets",)) -> Suite:
    """Turn a parsed mapping into a Suite; `origin` is named in the error. above: keys beside a suite's in its file."""
    if not isinstance(raw, dict):
        raise SemFlowError(f"{origin} must hold a mapping of keys, not {type(raw).__name__}")
    try:
        suite = Suite.model_validate(raw)
    except ValidationError as error:
        raise SemFlowError(f"{origin}: {sentence(error, raw, Suite, above)}") from None
    plain = {key: value for key, value in raw.items() if key not in ("variants", "runs")}
    for name, changes in suite.variants.items():
        own = [entry | {"variants": None} for entry in raw["runs"] if name in (entry.get("variants") or ())]
        if not own:  # as in a file that has other runs than the one that it builds on
            own = [{key: value for key, value in raw["runs"][0].items() if key not in PERTURBED}]
        check(merged(Resolved(plain, {}), Resolved(changes, {})).raw | {"runs": own}, f"{origin}, variant {name}", above)
    return suite


def result_hash(suite: Suite) -> str:
    """SHA-256 of all of a suite that a result depends on: not how it is run, nor where its files lie."""
    how = ("run", "shares", "checkpoints")
    return content_hash({name: section for name, section in without_places(suite).items() if name not in how})


def without_places(suite: Suite) -> dict[str, Any]:
    """A suite's values, but where its files lie: of pretrained weights, whether there are any."""
    plain = suite.model_dump(mode="json", exclude={"data": {"root"}})
    return plain | {name: placeless(plain[name]) for name in ("network", "autoencoder", "methods")}


def placeless(values: dict[str, Any]) -> dict[str, Any]:
    """A section's values, those that say where weights lie replaced by whether they do."""
    return {
        key: value is not None if key in PLACES else placeless(value) if isinstance(value, dict) else value
        for key, value in values.items()
    }
