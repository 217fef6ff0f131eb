"""The one exception a user sees, a sentence that names what is wrong and the mend; and pydantic's complaints as such."""

import difflib
from collections.abc import Collection, Iterator
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a command line that only shows its help does without
    from pydantic import BaseModel, ValidationError

# Keys of version 0.1, and values of keys, with what they are now. With its section, where another one has the key still.
FORMER = {
    "parts": "datasets", "makes": "outputs", "mask_modes": "cached_perturbations", "swap_sides": "swap_left_right",
    "view: squeeze": "resize", "masks: painted": "rgb", "autoencoder.path": "pretrained",
    "sweeps": "in runs, one list of method, task, sampler, steps and seeds",
    **{f"synthesis.{name}": "in runs, in entries of task: synthesis" for name in ("solver", "steps", "seeds", "repeat_at")},
    "ablations": "in runs (sampler, amplitudes, sampling_amplitudes) and evaluation.seed_agreement (determinism)",
    "assay": "sanity_check", "assays": "sanity_checks", "tier": "min_scale", "least": "min_samples", "points": "table_entries",
    "findings": "discrepancies",
}  # fmt: skip


class SemFlowError(Exception):
    """A mistake in a file, a key, a download or a checkpoint. The command line prints it and exits with status 2."""


class Interrupted(SemFlowError):
    """Ctrl-C or SIGTERM arrived and the state is safe. The command line exits with status 130."""


def nearest(word: str, known: Collection[str]) -> str:
    """The known word that was probably meant: the most alike, or the one of which it is the long or the short form (`lr`, of
    learning_rate); "" if there is none.
    """
    word, known = word.casefold(), {name.casefold(): name for name in known}
    alike = difflib.get_close_matches(word, known, 1)
    short = [name for name in known if _initials(word) == name or _initials(name) == word]
    return known[(alike or short)[0]] if alike or short else ""


def did_you_mean(word: str, known: Collection[str], otherwise: str = "") -> str:
    """The end of a sentence on a word that is not known."""
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else otherwise


def sentence(
    error: "ValidationError", raw: Any = None, known: "Collection[str] | type[BaseModel]" = (), above: tuple[str, ...] = ()
) -> str:
    """The most telling of pydantic's complaints in one sentence: an unknown key before a missing one, which it may explain.

    raw: what was validated; the names that pydantic gives to the members of a union are then left out of the key.
    known: candidates for an unknown key, besides those that are missing beside it: names, or what was validated by, whose
    section has them.
    above: keys of the whole that what was validated does not know.
    """
    complaints = list(_flat(error, ()))
    inner = {complaint["loc"][:n] for complaint in complaints for n in range(len(complaint["loc"]))}
    complaints = [complaint for complaint in complaints if complaint["loc"] not in inner]  # the others follow from those within
    first = min(complaints, key=lambda complaint: complaint["type"] != "extra_forbidden")
    text = _worded(first, complaints, raw, known, above)
    more = len(complaints) - 1 - _explained(first, complaints)
    return text + (f" (and {more} more like it)" if more else "")


def _flat(error: "ValidationError", place: tuple[int | str, ...]) -> Iterator[dict[str, Any]]:
    """Every complaint with its whole place, those of validations within validators too."""
    for complaint in error.errors():
        inner: Any = complaint.get("ctx", {}).get("error")
        where = (*place, *complaint["loc"])
        if hasattr(inner, "errors"):
            yield from _flat(inner, where)
        else:
            yield {**complaint, "loc": where}


def _worded(
    first: dict[str, Any],
    complaints: list[dict[str, Any]],
    raw: Any,
    known: "Collection[str] | type[BaseModel]",
    above: tuple[str, ...],
) -> str:
    key, kind, context = _key(first["loc"], raw), first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        if now := _former(key):
            return f"unknown key {key}; it is now {now}"
        beside = _missing_beside(first, complaints)
        word = str(first["loc"][-1])
        keys = _keys_at(known, first["loc"][:-1]) if isinstance(known, type) else known
        beside += above if len(first["loc"]) == 1 else ()
        near = nearest(word, beside) or nearest(word, keys) or (beside[0] if len(beside) == 1 else "")
        return f"unknown key {key}" + (f"; did you mean {near}?" if near else "; remove it")
    if kind == "missing":
        return f"{key} is missing; every key must be given"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        field = ".".join(word for word in (key, str(context["discriminator"]).strip("'")) if word)
        if kind == "union_tag_not_found":
            return f"{field} is missing; every key must be given"
        expected = str(context["expected_tags"]).replace("'", "")
        near = did_you_mean(str(context["tag"]), expected.split(", "), f"; there are {expected}")
        return f"{field} is {context['tag']!r}{near}"
    if kind in ("value_error", "assertion_error"):
        return f"{key}: {context['error']}" if key else str(context["error"])
    if kind == "too_short":
        return f"{key} is {first['input']!r}; it must have at least {context['min_length']} of what it lists"
    if kind == "tuple_type":
        return f"{key} is {first['input']!r}; it must be a list"
    if kind == "literal_error" and (now := _former(f"{key}: {first['input']}")):
        return f"{key} is {first['input']!r}, which is now {now}"
    if kind in ("float_type", "int_type") and _is_number(first["input"]):
        return f"{key} is the word {first['input']!r}; write a number without quotes, such as 1.0e-3 or 1.0e+9"
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{key} is {first['input']!r}; {message}" if key else message


def _is_number(value: Any) -> bool:
    """Whether a word reads as a number: where YAML of version 1.1 was read by another program, 1e-3 is a word."""
    try:
        return isinstance(value, str) and float(value) is not None
    except ValueError:
        return False


def _former(key: str) -> str:
    """What a key of version 0.1, or its value, is now; nothing for others."""
    return next((now for name, now in FORMER.items() if f".{key}".endswith(f".{name}")), "")


def _keys_at(model: "type[BaseModel]", place: tuple[int | str, ...]) -> list[str]:
    """The keys of a section, by its place in pydantic's location."""
    whole = model.model_json_schema()

    def followed(schema: Any) -> list[Any]:
        """A schema, or those that it is one of."""
        if "$ref" in schema:
            return followed(reduce(getitem, schema["$ref"].removeprefix("#/").split("/"), whole))
        several = schema.get("anyOf", schema.get("oneOf", ()))
        return [schema] + [inner for one in several for inner in followed(one)]

    def inside(schema: Any, part: int | str) -> list[Any]:
        """What `part` is in it: a key, an entry of a list, or the kind of section."""
        tagged = schema.get("discriminator", {}).get("mapping", {})
        other = schema.get("items") if isinstance(part, int) else schema.get("additionalProperties")
        found = {"$ref": tagged[part]} if part in tagged else schema.get("properties", {}).get(part, other)
        return followed(found) if isinstance(found, dict) else []

    sections = followed(whole)
    for part in place:
        sections = [found for section in sections for found in inside(section, part)] or sections
    return [key for section in sections for key in section.get("properties", ())]


def _explained(first: dict[str, Any], complaints: list[dict[str, Any]]) -> int:
    """How many complaints go away with the first: a key that is missing where an unknown one stands in its place."""
    unknown = [other for other in complaints if other["type"] == "extra_forbidden" and other["loc"][:-1] == first["loc"][:-1]]
    return min(1, len(_missing_beside(first, complaints))) if len(unknown) == 1 and first is unknown[0] else 0


def _missing_beside(first: dict[str, Any], complaints: list[dict[str, Any]]) -> list[str]:
    return [
        str(other["loc"][-1]) for other in complaints if other["type"] == "missing" and other["loc"][:-1] == first["loc"][:-1]
    ]


def _key(location: tuple[int | str, ...], raw: Any) -> str:
    """pydantic's location as a dotted key, without the tags that it inserts for unions where the raw value is at hand."""
    path: list[str] = []
    for number, part in enumerate(location):
        last = number == len(location) - 1
        if isinstance(raw, dict) and part not in raw and not last:
            continue
        path.append(str(part))
        inside = part in raw if isinstance(raw, dict) else isinstance(raw, list) and isinstance(part, int) and part < len(raw)
        raw = raw[part] if inside else None
    return ".".join(path)


def _initials(word: str) -> str:
    words = word.split("_")
    return "".join(part[:1] for part in words) if len(words) > 1 else ""
