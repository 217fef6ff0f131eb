"""Training state that survives SIGKILL, and finished weights in folders that `Network.load` opens. Safetensors and JSON only."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrize

from baselines import METHODS
from semflow import files, provenance
from semflow.data import info_of
from semflow.errors import SemFlowError, sentence
from semflow.method import settings as sections
from semflow.method.autoencoder import make_autoencoder
from semflow.method.contract import Blueprint, Method
from semflow.method.network import WEIGHTS
from semflow.method.pretrained import ROUNDED
from semflow.method.pseudo_mask import PseudoMask
from semflow.section import Section
from semflow.suite import Suite, keys
from semflow.training import budget, model_card, optimizers
from semflow.training.card import CARD, Card, read_card
from semflow.training.spent import Spent

STATE = "state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # that AdamW keeps of a weight
POWER_ITERATIONS = 15  # after which the spectral norm of averaged weights has settled


@contextmanager
def only_trainer(folder: Path) -> Iterator[None]:
    """Hold the state folder for this process. SemFlowError if another one trains there."""

    def refuse() -> None:
        raise SemFlowError(f"another process is training in {folder}; wait for it or stop it")

    with files.held(folder, refuse):
        yield


def save_state(
    folder: Path,
    key: str,
    spent: Spent,
    networks: nn.ModuleDict,
    turns: Sequence[optimizers.Turn],
    average: optimizers.Average | None,
) -> None:
    """Write everything that a step leaves behind; data order, noise and schedules are functions of the step.

    key: of the training (keys.weights_key), so that no other training goes on from it.
    """
    tensors = {f"networks.{name}": value for name, value in networks.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in (average.values if average else {}).items()}
    for turn in turns:
        for name, weight in turn.parameters.items():
            for moment, value in turn.optimizer.state.get(weight, {}).items():
                tensors[f"optimizers.{turn.phase.name}.{name}.{moment}"] = value
    tensors = {name: value.detach().contiguous() for name, value in tensors.items()}
    metadata = {"key": key} | {name: json.dumps(value) for name, value in spent._asdict().items()}
    files.write_atomically(folder / STATE, lambda part: save_file(tensors, part, metadata))


def load_state(
    folder: Path, key: str, networks: nn.ModuleDict, turns: Sequence[optimizers.Turn], average: optimizers.Average | None
) -> Spent:
    """Restore what `save_state` wrote; step 0 where there is nothing. Holds one tensor at a time.

    SemFlowError if it is damaged, or if it belongs to another training than `key`.
    """
    path = folder / STATE
    if not path.exists():
        return Spent()
    files.check_readable(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("key") != key:
                raise SemFlowError(
                    f"{path} belongs to a training with other settings, seed, code or package versions; "
                    "give another --state or delete it"
                )
            _restore(file, networks, turns, average)
            spent = TypeAdapter(Spent).validate_python({name: json.loads(metadata[name]) for name in Spent._fields})
    except (KeyError, ValueError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SemFlowError(f"{path} belongs to another network ({reason}); delete it to start again") from None
    except (OSError, SafetensorError) as error:
        raise SemFlowError(f"{path} is damaged or not safetensors ({error}); delete it to start this training again") from None
    if average is not None:
        average.steps = spent.step
    return spent


def _restore(file: Any, networks: nn.ModuleDict, turns: Sequence[optimizers.Turn], average: optimizers.Average | None) -> None:
    """Copy an opened state's tensors to where they belong. KeyError, ValueError or RuntimeError if they do not fit."""
    into = {f"networks.{name}": value for name, value in networks.state_dict().items()}
    into |= {f"ema.{name}": value for name, value in (average.values if average else {}).items()}
    names = set(file.keys())
    if lacking := into.keys() - names:
        raise KeyError(f"it lacks {min(lacking)}")
    for name, value in into.items():
        if value.shape != (found := file.get_tensor(name)).shape:
            raise ValueError(f"{name} is {tuple(found.shape)}, not {tuple(value.shape)}")
        value.copy_(found)
    known = set(into)
    for turn in turns:
        for name, weight in turn.parameters.items():
            start = f"optimizers.{turn.phase.name}.{name}."
            for held in (f"{start}{moment}" for moment in MOMENTS if f"{start}{moment}" in names):
                value = file.get_tensor(held)
                if value.ndim:  # in the weight's memory layout, as a fused optimizer wants it
                    value = torch.empty_like(weight).copy_(value)
                turn.optimizer.state[weight][held.removeprefix(start)] = value
                known.add(held)
    if unknown := names - known:
        raise KeyError(f"it has {min(unknown)}")


def check_target(out: Path, state: Path | None = None) -> None:
    """SemFlowError if finished weights in the folder `out` would take the place of anything but an older checkpoint."""
    place = Path(out).resolve()
    if any(held.resolve().is_relative_to(place) for held in (Path.cwd(), Path(state or Path.cwd()))):
        raise SemFlowError(f"--out {out} holds the state or this folder, and finished weights replace it; name another")
    names = {str(path.relative_to(place)) for path in _files(place)} if place.is_dir() else {place.name}
    if place.exists() and names and (others := names - _own_files(place)):
        raise SemFlowError(f"--out {out} holds {min(others)}, which is no part of a checkpoint; name a new or an empty folder")


def _own_files(place: Path) -> set[str]:
    """What the card in a folder counts as its own, and itself."""
    try:
        card = files.read_json(place / CARD, "checkpoint card")
        return {CARD, model_card.NAME, *card.get("weights", {}), *OLDER}
    except (SemFlowError, AttributeError, TypeError):
        return {CARD, model_card.NAME, *OLDER}


OLDER = ("config.json", "diffusion_pytorch_model.safetensors", "prompt.safetensors")  # of checkpoints before format 3


def export(
    folder: Path,
    suite: Suite,
    method: str,
    seed: int,
    model: Any,
    spent: Spent | None = None,
    device: str | None = None,
    converted: dict[str, str] | None = None,
) -> None:
    """Write finished weights: one network in the folder itself, of several each in a folder of its own, the card, and a model
    card for the Hugging Face hub.

    converted: name and SHA-256 of the file that they were taken from, if they were not trained here.
    """
    reads, info = METHODS[method].reads, info_of(suite.data)
    plain: dict[str, Any] = {name: getattr(suite, name).model_dump(mode="json") if name in reads else None for name in SECTIONS}
    with files.new_folder(folder) as scratch:
        for key in model.sampling:
            fold_spectral_norms(model.networks[key])
            model.networks[key].save(place_of(scratch, model, key))
        commit, dirty = provenance.commit()
        card = Card(
            method=method, seed=seed, suite=suite.suite, **plain,
            key=f"converted-{converted['sha256']}" if converted else keys.weights_key(suite, method, seed),
            data=suite.data.model_dump(mode="json"), size=suite.data.size, classes=info.names,
            palette=info.palette, void=info.void,
            autoencoder_key=keys.autoencoder_key(suite.autoencoder, opened=True) if "autoencoder" in reads else None,
            settings=suite.methods[method].model_dump(mode="json"),
            training=suite.training.model_dump(mode="json", exclude={"seeds"}),
            budget=None if converted else budget.of_training(suite, method, spent, device),
            weights={str(path.relative_to(scratch)): provenance.file_hash(path) for path in _files(scratch)},
            commit=commit, dirty=dirty, versions=provenance.versions(), converted=converted,
        )  # fmt: skip
        files.write_json(scratch / CARD, card.model_dump(mode="json"))
        files.write_text(scratch / model_card.NAME, model_card.text(card))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


SECTIONS = ("pseudo_mask", "autoencoder", "network")


def place_of(folder: Path, model: Method, key: str) -> Path:
    """Where a network of a checkpoint lies."""
    return Path(folder) if len(model.sampling) == 1 else Path(folder) / key


def fold_spectral_norms(network: nn.Module) -> None:
    """Put plain weights in place of those that are parametrized, such as by their spectral norm, settled for them as they are."""
    for module in network.modules():
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type, union-attr]
                module.train()
                for _ in range(POWER_ITERATIONS):
                    getattr(module, name)
                module.eval()
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)


def open_checkpoint(folder: Path, autoencoder: sections.Autoencoder | None = None) -> tuple[Any, Card]:
    """(model, card) of a finished checkpoint, on the CPU and ready to sample.

    autoencoder: where the one it was trained with lies now, if not where it lay then. SemFlowError if it is another.
    """
    card = read_card(folder)
    if card.method not in METHODS:
        raise SemFlowError(f"{folder} holds the method {card.method!r}; this version has {', '.join(METHODS)}")
    method = METHODS[card.method]
    try:
        blueprint = _blueprint(card, f"{Path(folder) / CARD}", autoencoder)
    except ValueError as error:
        raise SemFlowError(f"{Path(folder) / CARD}: {error}; copy the whole folder again") from None
    if autoencoder is None and card.autoencoder is not None:
        autoencoder = _section(sections.Autoencoder, card.autoencoder, str(folder))
    if autoencoder is not None and keys.autoencoder_key(autoencoder, opened=True) != card.autoencoder_key:
        where = f" at {autoencoder.pretrained}" if autoencoder.kind == "kl" else ""
        raise SemFlowError(
            f"{folder} was trained with another autoencoder than the {autoencoder.kind}{where}; restore that or train again"
        )
    settings = _section(method.Settings, card.settings | {"pretrained": None}, f"{Path(folder) / CARD}")  # all weights are here
    try:
        _check_layers(Path(folder), card)
        model = method.load().build(blueprint, settings)
        for key in model.sampling:
            fold_spectral_norms(model.networks[key])
            _check_counted(place_of(folder, model, key) / WEIGHTS, Path(folder), card)
            model.networks[key].load(place_of(folder, model, key))
    except (SemFlowError, MemoryError):
        raise
    except Exception as error:  # of whatever kind a card or a file that was changed by hand leads to
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SemFlowError(f"{folder} does not hold the network its card names ({reason})") from error
    model.networks.eval()
    return model, card


def _check_layers(folder: Path, card: Card) -> None:
    """SemFlowError if a card names a network of more layers than there are tensors beside it: it might never be built."""
    layers, tensors = (card.network or {}).get("layers_per_block", 0), 0
    for name in card.weights:
        if name.endswith(".safetensors"):
            with safe_open(folder / name, framework="pt") as file:
                tensors += len(file.keys())
    if isinstance(layers, int) and layers > tensors > 0:
        raise SemFlowError(f"{folder / CARD}: network.layers_per_block is {layers}, but its weights are {tensors} tensors")


def _check_counted(path: Path, folder: Path, card: Card) -> None:
    """SemFlowError if a card has no hash of weights that are to be opened, or they are rounded to less than float32."""
    name = str(path.relative_to(folder))
    if name not in card.weights:
        raise SemFlowError(f"{folder / CARD} does not count {name} among its files; copy the whole folder again")
    with safe_open(path, framework="pt") as file:
        for tensor in file.keys():  # noqa: SIM118
            if ROUNDED.match(kind := file.get_slice(tensor).get_dtype()):
                raise SemFlowError(f"{path} holds {tensor} rounded to {kind}; copy the whole folder again")


def _blueprint(card: Card, origin: str, autoencoder: sections.Autoencoder | None) -> Blueprint:
    """What a card says of its model; networks begin without the pretrained weights that training began with."""
    code: Any = card.pseudo_mask and _section(sections.PseudoMask, card.pseudo_mask, origin)
    network: Any = card.network and _section(sections.Network, card.network | {"pretrained": None}, origin)
    if card.autoencoder is not None and autoencoder is None:
        autoencoder = _section(sections.Autoencoder, card.autoencoder, origin)
    return Blueprint(
        len(card.classes),
        card.size,
        code.amplitude if code else 0.0,
        PseudoMask(len(card.classes), code.k, code.s) if code else None,
        make_autoencoder(autoencoder) if autoencoder else None,
        network,
    )


def _section(kind: Any, values: dict[str, Any], origin: str) -> Any:
    """A section of a card. Keys that this version no longer knows are left out; of those that are new to it, what has a default
    takes it. SemFlowError if a value is impossible.
    """
    for option in get_args(get_args(kind)[0]) if not isinstance(kind, type) else ():  # a union, told apart by its kind
        if option.model_fields["kind"].annotation.__args__[0] == values.get("kind"):
            kind = option
    if not (isinstance(kind, type) and issubclass(kind, Section)):
        raise SemFlowError(f"{origin} has a section of kind {values.get('kind')!r}, which this version does not know")
    known = {name: values[name] for name in kind.model_fields if name in values}
    try:
        if all(name in known or not field.is_required() for name, field in kind.model_fields.items()):
            return kind.model_validate(known)
        kinds: dict[str, Any] = {name: field.annotation for name, field in kind.model_fields.items()}
        checked = {name: TypeAdapter(kinds[name]).validate_python(value) for name, value in known.items()}
        return kind.model_construct(**checked)
    except ValidationError as error:
        raise SemFlowError(f"{origin}: {sentence(error, values)}; copy the whole folder again") from None
