"""Training state that survives SIGKILL, and finished weights in a folder that diffusers opens. Safetensors and JSON only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from semflow import files, provenance
from semflow.errors import SemFlowError
from semflow.method import prompt
from semflow.method.settings import Autoencoder
from semflow.method.unet import UNet, open_network
from semflow.suite import Suite
from semflow.suite import reading as config
from semflow.suite.registry import METHODS, class_of
from semflow.training.build import make_model

STATE = "state.safetensors"
CARD = "semflow.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
PARTS = {CARD, WEIGHTS, "config.json", prompt.FILE}
FORMAT = 2
CARD_KEYS = {"method", "seed", "key", "autoencoder", "weights_sha256", "commit", "dirty", "versions", "suite"}


@contextmanager
def only_trainer(folder: Path) -> Iterator[None]:
    """Hold the state folder for this process. SemFlowError if another one trains there."""

    def refuse() -> None:
        raise SemFlowError(f"another process is training in {folder}; wait for it or stop it")

    with files.held(folder, refuse):
        yield


def save_state(
    folder: Path, key: str, step: int, network: nn.Module, ema: EMAModel | None, optimizer: torch.optim.Optimizer
) -> None:
    """Write everything that step `step` leaves behind; data order, noise and schedule are functions of the step.

    key: of the training (provenance.weights_key), so that no other training goes on from it.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"ema.{number}": value for number, value in enumerate(ema.shadow_params if ema else [])}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    tensors = {name: value.detach().contiguous() for name, value in tensors.items()}
    files.write_atomically(folder / STATE, lambda part: save_file(tensors, part, {"step": str(step), "key": key}))


def load_state(folder: Path, key: str, network: nn.Module, ema: EMAModel | None, optimizer: torch.optim.Optimizer) -> int:
    """Restore what `save_state` wrote and return its step; 0 where there is nothing. Holds one tensor at a time.

    SemFlowError if it is damaged, or if it belongs to another training than `key`.
    """
    path = folder / STATE
    if not path.exists():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("key") != key:
                raise SemFlowError(
                    f"{path} belongs to a training with other settings, seed, code or package versions; "
                    "give another --state or delete it"
                )
            _restore(file, network, ema, optimizer)
            step = int(metadata["step"])
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SemFlowError(f"{path} belongs to another network ({reason}); delete it to start again") from None
    except (OSError, SafetensorError) as error:
        raise SemFlowError(f"{path} is damaged or not safetensors ({error}); delete it to start this training again") from None
    if ema is not None:
        ema.optimization_step = step
    return step


def _restore(file: Any, network: nn.Module, ema: EMAModel | None, optimizer: torch.optim.Optimizer) -> None:
    """Copy an opened state's tensors to where they belong. KeyError, IndexError or RuntimeError if they do not fit."""
    into = {f"network.{name}": value for name, value in network.state_dict().items()}
    into |= {f"ema.{number}": value for number, value in enumerate(ema.shadow_params if ema else [])}
    names = set(file.keys())
    if lacking := into.keys() - names:
        raise KeyError(f"it lacks {min(lacking)}")
    weights, moments = list(network.parameters()), dict[int, dict[str, Tensor]]()
    for name in sorted(names):
        value = file.get_tensor(name)
        if name in into:
            if into[name].shape != value.shape:
                raise ValueError(f"{name} is {tuple(value.shape)}, not {tuple(into[name].shape)}")
            into[name].copy_(value)
            continue
        group, place, moment = name.split(".")
        if group != "optimizer":
            raise KeyError(f"it has {name}")
        like = weights[int(place)]  # in whose memory layout a fused optimizer wants it
        moments.setdefault(int(place), {})[moment] = torch.empty_like(like).copy_(value) if value.ndim else value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def check_target(out: Path, state: Path | None = None) -> None:
    """SemFlowError if finished weights in the folder `out` would take the place of anything but an older checkpoint."""
    place = Path(out).resolve()
    if any(held.resolve().is_relative_to(place) for held in (Path.cwd(), Path(state or Path.cwd()))):
        raise SemFlowError(f"--out {out} holds the state or this folder, and finished weights replace it; name another")
    if place.exists() and (others := {path.name for path in _files(place)} - PARTS):
        raise SemFlowError(f"--out {out} holds {min(others)}, which is no part of a checkpoint; name a new or an empty folder")


def export(folder: Path, suite: Suite, method: str, seed: int, network: UNet, converted: dict[str, str] | None = None) -> None:
    """Write finished weights: `config.json` and safetensors as diffusers wants them, and the prompt and our card beside them.

    converted: name and SHA-256 of the file that they were taken from, if they were not trained here.
    """
    with files.new_folder(folder) as scratch:
        network.save(scratch)
        commit, dirty = provenance.commit()
        card = {
            "format": FORMAT,
            "method": method,
            "seed": seed,
            "key": f"converted-{converted['sha256']}" if converted else provenance.weights_key(suite, method, seed),
            "autoencoder": provenance.autoencoder_key(suite.autoencoder, opened=True),
            "weights_sha256": provenance.file_hash(scratch / WEIGHTS),
            "commit": commit,
            "dirty": dirty,
            "versions": provenance.versions(),
            "suite": suite.model_dump(mode="json"),
        }
        if network.prompt is not None:
            card["prompt_sha256"] = provenance.file_hash(scratch / prompt.FILE)
        if converted:
            card["converted"] = converted
        files.write_json(scratch / CARD, card)


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a finished checkpoint, its weights held against their SHA-256."""
    folder = Path(folder)
    if not (folder / CARD).exists():
        pickles = [path.name for path in _files(folder) if path.suffix in {".pt", ".pth", ".bin", ".ckpt", ".pkl"}]
        if pickles:
            raise SemFlowError(f"{pickles[0]} is a pickle, which can run code; only folders with {CARD} and {WEIGHTS} are opened")
        raise SemFlowError(f"{folder} is not a checkpoint folder: it has no {CARD}")
    card = files.read_json(folder / CARD, "checkpoint card")
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise SemFlowError(f"{folder / CARD} is not of format {FORMAT}; train again with this version")
    if missing := CARD_KEYS - card.keys():
        raise SemFlowError(f"{folder / CARD} lacks {', '.join(sorted(missing))}; copy the whole folder again")
    for name, digest in ((WEIGHTS, card["weights_sha256"]), (prompt.FILE, card.get("prompt_sha256"))):
        if digest and not (folder / name).exists():
            raise SemFlowError(f"{folder} has no {name}; copy the whole folder again")
        if digest and provenance.file_hash(folder / name) != digest:
            raise SemFlowError(f"{folder / name} is damaged or replaced: its SHA-256 is not the card's; copy the folder again")
    return card


def load_model(folder: Path, autoencoder: Autoencoder | None = None) -> tuple[Any, Suite, dict[str, Any]]:
    """(model, suite, card) of a finished checkpoint, on the CPU and ready to sample.

    autoencoder: where the one it was trained with lies now, if not where it lay then. SemFlowError if it is another.
    """
    card = read_card(folder)
    suite = config.check(card["suite"], str(Path(folder) / CARD))
    if autoencoder is not None:
        suite = suite.model_copy(update={"autoencoder": autoencoder})
    if card["method"] not in list(METHODS):
        raise SemFlowError(f"{folder} holds the method {card['method']!r}; this version has {', '.join(METHODS)}")
    try:
        network = open_network(Path(folder), class_of(card["method"]).time_scale)
        model = make_model(suite, card["method"], network=network)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise SemFlowError(f"{folder} does not hold the network its card names ({str(error).splitlines()[0]})") from None
    if provenance.autoencoder_key(suite.autoencoder, opened=True) != card["autoencoder"]:
        where = f" at {suite.autoencoder.pretrained}" if suite.autoencoder.kind == "kl" else ""
        raise SemFlowError(
            f"{folder} was trained with another autoencoder than the {suite.autoencoder.kind}{where}; restore that or train again"
        )
    expected = model.image_copies * model.autoencoder.channels
    if (channels := network.unet.config.in_channels) != expected:
        raise SemFlowError(f"{folder}: the network takes {channels} channels, but {card['method']} needs {expected}")
    return model, suite, card


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else [folder]
