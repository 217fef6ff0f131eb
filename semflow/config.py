"""A suite's configuration: one complete YAML file, read and checked before anything runs."""

import difflib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from semflow.errors import SemFlowError
from semflow.suite import CamVidData, Suite


def load(path: Path | str) -> Suite:
    """Read and check a suite file, YAML or (by its suffix) JSON. SemFlowError names the key, the value and the mend."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        raw = json.loads(text) if Path(path).suffix == ".json" else yaml.safe_load(text)  # YAML takes JSON's 1e-05 for a word
    except FileNotFoundError:
        raise SemFlowError(f"there is no configuration at {path}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as error:
        raise SemFlowError(f"{path} is not readable YAML or JSON: {' '.join(str(error).split())}") from None
    return check(raw, str(path))


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
    plain = suite.model_dump(mode="json", exclude={"run": True, "data": {"root"}})
    return content_hash(plain)


def content_hash(value: BaseModel | dict[str, Any]) -> str:
    """SHA-256 of a section's values, independent of key order and layout."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()


def data_root(data: CamVidData) -> Path:
    """Where a data set lies: `SEMFLOW_DATA/<name>` or `SEMFLOW_DATA` itself where that is set, else the suite's root."""
    override = os.environ.get("SEMFLOW_DATA")
    if not override:
        return Path(data.root)
    named = Path(override) / data.name
    return named if named.is_dir() else Path(override)


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
