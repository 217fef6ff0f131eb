"""The card of a finished checkpoint: what it says of itself. Imports no torch, so that a card is read at once."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from semflow import files, provenance
from semflow.errors import SemFlowError, sentence
from semflow.training.spent import TrainingBudget

CARD = "semflow.json"
FORMAT = 3
TOLD: dict[str, dict[str, Any]] = {  # of a card's sections, and what kind of value it is
    "data": {"name": str},
    "training": {"steps": int, "batch_size": int},
    "pseudo_mask": {"k": int, "s": int | float, "amplitude": int | float},
    "autoencoder": {"kind": str},
}


class Card(BaseModel):
    """What a finished checkpoint says of itself: what its method read, and nothing else.

    The sections are as the suite's file had them, so that a card opens whatever keys, methods or data sets are added later.
    autoencoder_key: of the autoencoder's settings and files.  weights: SHA-256 of every file beside the card.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[3] = 3
    method: str
    seed: int
    key: str
    suite: str
    data: dict[str, Any]
    size: tuple[int, int]
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    void: int
    pseudo_mask: dict[str, Any] | None
    autoencoder: dict[str, Any] | None
    autoencoder_key: str | None
    network: dict[str, Any] | None
    settings: dict[str, Any]
    training: dict[str, Any]
    budget: TrainingBudget | None
    weights: dict[str, str]
    commit: str
    dirty: bool
    versions: dict[str, str]
    converted: dict[str, str] | None = None

    @model_validator(mode="after")
    def _sections_say_what_is_told_of_them(self) -> "Card":
        for name, told in TOLD.items():
            section = getattr(self, name)
            for key, kind in told.items() if section is not None else ():
                if not isinstance(section.get(key), kind) or isinstance(section.get(key), bool):
                    raise ValueError(f"{name}.{key} is {section.get(key)!r}")
        return self

    @property
    def weights_sha256(self) -> str:
        """One hash of all files."""
        digests = [digest for name, digest in sorted(self.weights.items()) if name.endswith(".safetensors")]
        return digests[0] if len(digests) == 1 else provenance.content_hash(self.weights)


def read_card(folder: Path) -> Card:
    """The card of a finished checkpoint, every file checked by its SHA-256. SemFlowError if it is none, or not whole."""
    with files.reading(Path(folder)):
        return _read_card(Path(folder))


def _read_card(folder: Path) -> Card:
    if not (folder / CARD).exists():
        beside = sorted(folder.iterdir()) if folder.is_dir() else [folder]
        pickles = [path.name for path in beside if path.suffix in {".pt", ".pth", ".bin", ".ckpt", ".pkl"}]
        if pickles:
            raise SemFlowError(f"{pickles[0]} is a pickle, which can run code; only folders with {CARD} are opened")
        if folder.is_file():
            raise SemFlowError(f"{folder} is a file, not a checkpoint folder; name the folder that holds {CARD}")
        raise SemFlowError(f"{folder} is not a checkpoint folder: it has no {CARD}")
    raw = files.read_json(folder / CARD, "checkpoint card")
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        found = raw.get("format") if isinstance(raw, dict) else None
        raise SemFlowError(f"{folder / CARD} is of format {found}, not {FORMAT}; train again with this version")
    try:
        card = Card.model_validate(raw)
    except ValidationError as error:
        raise SemFlowError(f"{folder / CARD}: {sentence(error, raw)}; copy the whole folder again") from None
    for name, digest in card.weights.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise SemFlowError(f"{folder / CARD} counts {name!r} among its files, which leads out of the folder; get another")
        if not (folder / name).exists():
            raise SemFlowError(f"{folder} has no {name}; copy the whole folder again")
        if provenance.file_hash(folder / name) != digest:
            raise SemFlowError(f"{folder / name} is damaged or replaced: its SHA-256 is not the card's; copy the folder again")
    return card


def describe(card: Card) -> str:
    """What a checkpoint is, as lines of text."""
    code, training, (h, w) = card.pseudo_mask, card.training, card.size
    facts: dict[str, Any] = {
        "method": card.method,
        "suite": card.suite,
        "trained on": f"{card.data['name']}, {h} x {w}, {len(card.classes)} classes",
        "steps": f"{training['steps']} of {training['batch_size']} images, seed {card.seed}",
        "pseudo mask": code and f"k = {code['k']}, s = {code['s']:g}, amplitude = {code['amplitude']:g}",
        "autoencoder": card.autoencoder and card.autoencoder["kind"],
        "weights SHA-256": card.weights_sha256,
        # and its suite says how it is meant to have been trained
        "converted from": card.converted and _origin(card.converted),
        "commit": card.commit + (" (modified)" if card.dirty else ""),
        "versions": ", ".join(f"{name} {number}" for name, number in card.versions.items()),
    }
    return "\n".join(f"{name + ':':17}{value}" for name, value in facts.items() if value)


def _origin(converted: dict[str, str]) -> str:
    """Where converted weights come from, in words."""
    place, precision = converted.get("place"), converted.get("precision")
    words = [f"{converted['file']}, SHA-256 {converted['sha256']}", "not trained here"]
    words += [f"its weights under {place}"] if place else []
    return "; ".join(words + ([f"in half precision ({precision})"] if precision else []))
