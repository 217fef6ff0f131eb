"""What determines a result: hashes of a suite's settings, of its files, and of the code behind them. Imports no torch."""

from functools import cache
from typing import Any

from baselines import METHODS
from semflow.data import DATASETS, Data, info_of, open_dataset
from semflow.errors import SemFlowError
from semflow.method.pretrained import Pretrained, absent
from semflow.method.settings import TRAIN_TIMESTEPS, Autoencoder, Network
from semflow.provenance import code_hash, content_hash, file_hash
from semflow.suite import Suite
from semflow.suite.runs import Evaluation, judges

# Training reads these too, through the model's module, but never runs them.
SAMPLING = frozenset({"semflow.method.solvers"})


def weights_key(suite: Suite, method: str, seed: int) -> str:
    """Hash of everything that determines the weights of a training: settings, data, seed, and the code behind them."""
    card = METHODS[method]
    sections = {
        "pseudo_mask": suite.pseudo_mask.model_dump(),
        "autoencoder": autoencoder_key(suite.autoencoder),
        "network": network_key(suite.network),
    }
    return content_hash(
        {
            **_data(suite, "train"),
            **{name: section for name, section in sections.items() if name in card.reads},
            "method": method,
            "settings": settings_key(suite.methods[method]),
            "timesteps": TRAIN_TIMESTEPS,
            "training": suite.training.model_dump(exclude={"seeds"}),
            "seed": seed,
            "code": code_hash(("semflow.training.loop", card.module, data_module(suite)), SAMPLING | other_data(suite)),
        }
    )[:16]


def scores_key(suite: Suite, evaluation: Evaluation) -> str:
    """Hash of everything but the weights that determines an evaluation's record, and of nothing that others depend on."""
    method, task = evaluation.method, evaluation.task
    measured: dict[str, Any] = {"evaluation": suite.evaluation.model_dump(exclude={"seed_agreement"}), "of": evaluation}
    if task == "synthesis":
        networks = (suite.synthesis.features, suite.synthesis.perceptual)
        measured["networks"] = [network.model_dump(exclude={"weights"}) | _own_weights(network) for network in networks]
        measured |= {"diversity": suite.synthesis.diversity.model_dump(), "train": stamp(suite.data, "train")}
    if task == "consistency":
        measured |= {
            "judges": [weights_key(suite, of.method, of.seed) for of in judges(suite)],
            "train": stamp(suite.data, "train"),
        }
    elif task == "seed_agreement":
        measured |= suite.evaluation.seed_agreement.model_dump()
    elif method in METHODS:  # states are kept along it, or pictures read by it
        measured["main"] = dict(METHODS[method].default)
    of_method = METHODS[method].module if method in METHODS else "semflow.evaluation.controls"
    modules = (f"semflow.evaluation.{task}", of_method, data_module(suite))
    measured["code"] = code_hash(modules, other_data(suite))
    return content_hash(_common(suite, method, suite.evaluation.split) | measured)[:16]


def _own_weights(network: Any) -> dict[str, str]:
    """SHA-256 of a weights file of one's own, if there is one; the published file is the same everywhere."""
    path = getattr(network, "weights", None)
    return {"weights": file_hash(path)} if path is not None and path.is_file() else {}


def data_module(suite: Suite) -> str:
    """The module of the suite's data set."""
    return f"semflow.data.{suite.data.name}"


def other_data(suite: Suite) -> frozenset[str]:
    """Modules of the data sets that the suite does not use."""
    return frozenset(f"semflow.data.{name}" for name in DATASETS if name != suite.data.name)


def _common(suite: Suite, method: str, split: str) -> dict[str, Any]:
    return _data(suite, split) | {
        "method": method,
        "settings": settings_key(suite.methods[method]) if method in suite.methods else None,  # controls have none
        "timesteps": TRAIN_TIMESTEPS,
        "pseudo_mask": suite.pseudo_mask.model_dump(),
        "autoencoder": autoencoder_key(suite.autoencoder),
    }


def _data(suite: Suite, split: str) -> dict[str, Any]:
    return {
        "data": suite.data.model_dump(exclude={"root"}),  # where files lie on this machine is no part of what they are
        "stamp": stamp(suite.data, split),
        "classes": info_of(suite.data).names,
    }


def autoencoder_key(settings: Autoencoder, opened: bool = False) -> str:
    """Hash of an autoencoder: of its settings and files, wherever they lie.

    opened: whether the files are at hand, so that those from the hub count as the same files in a folder do.
    """
    return _key_of(settings, ("vae",), opened)


def network_key(settings: Network) -> str:
    """Hash of a network before training, wherever the files lie that it begins with."""
    return _key_of(settings, ("unet", "text_encoder", "tokenizer"))


def settings_key(settings: Any) -> dict[str, Any]:
    """A method's own settings, those that name files by what is in these, wherever they lie."""
    inner = {name: _key_of(section, section.parts) for name, section in settings if getattr(section, "pretrained", None)}
    own = settings.model_dump(exclude_none=True, exclude={*inner, "pretrained", "vgg19"})
    if name := getattr(settings, "pretrained", None):
        own["pretrained"] = Pretrained("pretrained", name, settings.parts).fingerprint(settings.parts)
    if getattr(settings, "vgg19", None):
        own["vgg19"] = True  # the published file, since no other is opened
    return own | inner


def absent_weights(suite: Suite) -> list[str]:
    """Files of weights that the suite's methods begin with and that are not here, each with what to do about it."""
    own = [suite.methods[name] for name in dict.fromkeys(entry.method for entry in suite.runs)]
    sections = [suite.autoencoder, suite.network, *own, *(value for settings in own for _, value in settings)]
    found = []
    for section in sections:
        name, file = getattr(section, "pretrained", None), getattr(section, "vgg19", None)
        if name and (mend := absent(name, getattr(section, "what", Pretrained.what))):
            found.append(f"pretrained: {name} ({mend})")
        if file and not file.is_file():
            found.append(f"vgg19: {file} (put torchvision's file there)")
    return list(dict.fromkeys(found))


def _key_of(settings: Any, parts: tuple[str, ...], opened: bool = False) -> str:
    name = getattr(settings, "pretrained", None)
    begins_with = Pretrained("pretrained", name, parts).fingerprint(parts, opened) if name else {}
    return content_hash(settings.model_dump(exclude={"pretrained"}) | begins_with)


def data_stamps(suite: Suite) -> str:
    """Stamps of the files that a suite trains on and evaluates on."""
    return "-".join(stamp(suite.data, split)[:16] for split in ("train", suite.evaluation.split))


def stamp(data: Data, split: str) -> str:
    """A cheap hash of a split's files; "missing" where they are not there."""
    return _stamp(data, split)[0]


def missing(suite: Suite) -> str:
    """Why files that a suite trains on or evaluates on cannot be opened, as a sentence; "" if they can."""
    return next(filter(None, (_stamp(suite.data, split)[1] for split in ("train", suite.evaluation.split))), "")


@cache
def _stamp(data: Data, split: str) -> tuple[str, str]:
    """A stamp, or "missing" and the reason."""
    try:
        return open_dataset(data, split).stamp(), ""
    except SemFlowError as error:  # a plan for files that are still to be prepared can be shown without them
        return "missing", str(error)
