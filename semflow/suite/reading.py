"""A suite's configuration: one complete YAML file, read and checked before anything runs."""

import difflib
import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from semflow.errors import SemFlowError
from semflow.provenance import content_hash
from semflow.suite import Suite
from semflow.suite.runs import PRODUCTS


class Study(NamedTuple):
    """What a configuration file holds: one suite, or one for each of its parts.

    suites: by the name of their part, which is their data set's.  makes: by product, the part whose records it is made of.
    parts: whether there are several, so that a command has to name one.
    """

    suites: dict[str, Suite]
    makes: dict[str, str]
    parts: bool

    @property
    def name(self) -> str:
        """The suite's name, the same in all parts."""
        return next(iter(self.suites.values())).suite

    def of(self, product: str) -> Suite:
        """The suite of the part that makes a product."""
        return self.suites[self.makes[product]]


def load(path: Path | str, part: str | None = None) -> Suite:
    """Read and check a suite, of a file with several parts the one asked for. SemFlowError names the key, the value and the
    mend."""
    study = load_study(path)
    if part is None and study.parts:
        raise SemFlowError(f"{path} has several parts, {', '.join(study.suites)}; name one with --part")
    if part is not None and part not in study.suites:
        raise SemFlowError(f"{path} has no part {part}; it has {', '.join(study.suites)}")
    return next(iter(study.suites.values())) if part is None else study.suites[part]


def load_study(path: Path | str) -> Study:
    """Read and check a configuration file, YAML or (by its suffix) JSON, with all of its parts."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        raw = json.loads(text) if Path(path).suffix == ".json" else yaml.safe_load(text)  # YAML takes JSON's 1e-05 for a word
    except FileNotFoundError:
        raise SemFlowError(f"there is no configuration at {path}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as error:
        raise SemFlowError(f"{path} is not readable YAML or JSON: {' '.join(str(error).split())}") from None
    return check_study(raw, str(path))


def check_study(raw: Any, origin: str) -> Study:
    """Turn a parsed mapping into the suites that it holds; `origin` is named in the error.

    Under `parts`, each part gives what is its own, key by key of a section, over what stands beside it; and in `makes` the
    products that are made of its records.
    """
    if not isinstance(raw, dict) or "parts" not in raw:
        suite = check(raw, origin)
        return Study({suite.data.name: suite}, dict.fromkeys(PRODUCTS, suite.data.name), False)
    parts = raw["parts"]
    if not isinstance(parts, dict) or not all(isinstance(own, dict) for own in parts.values()) or not parts:
        raise SemFlowError(f"{origin}: parts must be a mapping from the names of data sets to their sections")
    suites, makes = {}, dict[str, str]()
    for name, own in parts.items():
        where = f"{origin}, part {name}"
        suites[name] = check(_merged({key: value for key, value in raw.items() if key != "parts"}, own), where)
        if suites[name].data.name != name:
            raise SemFlowError(f"{where}: data.name is {suites[name].data.name}; a part goes by its data set's name")
        for product in own.get("makes", []):
            if product not in PRODUCTS or product in makes:
                why = f"part {makes[product]} makes it already" if product in makes else f"there are {', '.join(PRODUCTS)}"
                raise SemFlowError(f"{where}: makes names {product}; {why}")
            makes[product] = name
    if lacking := [product for product in PRODUCTS if product not in makes]:
        raise SemFlowError(f"{origin}: no part makes {lacking[0]}; name it in the `makes` of one")
    return Study(suites, makes, True)


def _merged(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    whole = dict(shared)
    for section, value in own.items():
        both = isinstance(value, dict) and isinstance(shared.get(section), dict)
        if section != "makes":
            whole[section] = shared[section] | value if both else value
    return whole


def check(raw: Any, origin: str) -> Suite:
    """Turn a parsed mapping into a Suite; `origin` is named in the error."""
    if not isinstance(raw, dict):
        raise SemFlowError(f"{origin} must hold a mapping of keys, not {type(raw).__name__}")
    try:
        return Suite.model_validate(raw)
    except ValidationError as error:
        raise SemFlowError(_sentence(error, raw, origin)) from None


def with_amplitude(suite: Suite, amplitude: float) -> Suite:
    """The suite, its masks perturbed by `amplitude` in training, and no ablation of amplitudes around it: those are
    around the suite's own. SemFlowError if it is out of range (Eq. 14).
    """
    if not 0 <= amplitude < suite.pseudo_mask.s / 2:
        raise SemFlowError(f"amplitude {amplitude:g} must be at least 0 and below pseudo_mask.s/2 = {suite.pseudo_mask.s / 2:g}")
    if amplitude == suite.pseudo_mask.amplitude:
        return suite
    raw = suite.model_dump(mode="json")
    raw["pseudo_mask"]["amplitude"] = amplitude
    raw["ablations"] |= {"training_amplitudes": [amplitude], "sampling_amplitudes": [1]}
    return check(raw, f"--amplitude {amplitude:g}")


def result_hash(suite: Suite) -> str:
    """SHA-256 of all of a suite that a result depends on: not how it is run, nor where its files lie."""
    return content_hash({name: section for name, section in without_places(suite).items() if name != "run"})


def without_places(suite: Suite) -> dict[str, Any]:
    """A suite's values, but where its files lie: of pretrained weights, whether there are any."""
    plain = suite.model_dump(mode="json", exclude={"data": {"root"}})
    for section in (plain["network"], plain["autoencoder"]):
        if "pretrained" in section:
            section["pretrained"] = section["pretrained"] is not None
    return plain


def _sentence(error: ValidationError, raw: dict[str, Any], origin: str) -> str:
    """The first of pydantic's complaints, in our words."""
    first, more = error.errors()[0], error.error_count() - 1
    key = ".".join(str(part) for part in _real_path(first["loc"], raw))
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), _keys(Suite), 1)
        text = f"unknown key {key}" + (f"; did you mean {near[0]}?" if near else "; remove it")
    elif first["type"] == "missing":
        text = f"{key} is missing; every key must be given"
    elif first["type"] == "value_error":
        text = f"{key}: {first['ctx']['error']}" if key else str(first["ctx"]["error"])
    else:
        text = f"{key} is {first['input']!r}; {first['msg'][0].lower()}{first['msg'][1:]}"
    return f"{origin}: {text}" + (f" (and {more} more like it)" if more else "")


def _real_path(location: tuple[int | str, ...], raw: Any) -> list[Any]:
    """pydantic's location without the tags that it inserts for unions."""
    path: list[Any] = []
    for number, part in enumerate(location):
        last = number == len(location) - 1
        if isinstance(raw, dict) and part not in raw and not last:
            continue
        path.append(part)
        inside = part in raw if isinstance(raw, dict) else isinstance(raw, list) and isinstance(part, int) and part < len(raw)
        raw = raw[part] if inside else None
    return path


def _keys(model: Any) -> set[str]:
    """Every key known anywhere in a suite, for suggestions."""
    schema = model.model_json_schema()
    names = set(schema["properties"])
    for definition in schema["$defs"].values():
        names |= set(definition.get("properties", {}))
    return names
