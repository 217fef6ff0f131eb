"""The README.md of a finished checkpoint, as the Hugging Face hub reads it: what `semflow.json` says, in words, and results.

Decides no bit of a weight and is not among the files that a checkpoint is checked by. Imports no torch, and asks no network.
"""

from collections.abc import Sequence
from typing import NamedTuple

from baselines import METHODS
from semflow.data import DATASETS
from semflow.training.card import CARD, Card

NAME = "README.md"
LIBRARY = __package__.partition(".")[0]
PAPER = "https://arxiv.org/abs/2405.20282"
PIPELINES = {"segmentation": "image-segmentation", "synthesis": "image-to-image"}  # the hub's words for tasks


class Result(NamedTuple):
    """A measured number. low, high: of its 95 % interval, None where it has none.  unit: "none" of a plain number."""

    task: str
    sampler: str
    metric: str
    title: str
    value: float
    low: float | None
    high: float | None
    unit: str
    digits: int
    dataset: str
    split: str
    n_images: int
    seed: int


def text(card: Card, results: Sequence[Result] = ()) -> str:
    """A model card: YAML for the hub, then what a reader wants to know. results: of these weights."""
    from huggingface_hub import ModelCard

    return str(ModelCard(f"---\n{_head(card, results)}\n---\n\n{_body(card, results)}")).rstrip() + "\n"


def _head(card: Card, results: Sequence[Result]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    method, dataset = METHODS[card.method], str(card.data["name"])
    found = [
        EvalResult(
            task_type=PIPELINES.get(one.task, one.task), task_name=one.task.replace("_", " "), dataset_type=one.dataset,
            dataset_name=one.dataset, dataset_split=one.split, metric_type=one.metric, metric_name=one.title,
            metric_value=one.value, metric_args={"sampler": one.sampler, "seed": one.seed, "low": one.low, "high": one.high},
        )
        for one in results
    ]  # fmt: skip
    data = ModelCardData(
        library_name=LIBRARY, license=_licence(dataset)[0], pipeline_tag=next(map(PIPELINES.get, method.tasks), None),
        tags=[*method.tasks, card.method], datasets=[dataset], model_name=_name(card) if found else None,
        eval_results=found or None,
    )  # fmt: skip
    return data.to_yaml()


def _name(card: Card) -> str:
    return f"{METHODS[card.method].title} on {card.data['name']}"


def _licence(dataset: str) -> tuple[str, str]:
    """The hub's name of a licence, and a sentence: weights go by the terms of what they were trained on."""
    info = DATASETS.get(dataset)
    if info is not None and info.official is not None:
        return "other", f"Trained on {info.official.title}, whose terms hold for the weights too: {info.official.licence}."
    if info is not None and info.repaints:  # drawn by our own code
        return "mit", "MIT, as the code that drew the images."
    return "unknown", "Trained on pictures of one's own: whose they are decides."


def _body(card: Card, results: Sequence[Result]) -> str:
    method, training, (h, w) = METHODS[card.method], card.training, card.size
    spent = card.budget
    facts = {
        "Method": method.title + (f" ({method.modified})" if method.modified else ""),
        "Tasks": ", ".join(f"{task} ({method.default[task]})" for task in method.tasks if task in method.default),
        "Data": f"{card.data['name']}, {h} x {w}, {len(card.classes)} classes: {', '.join(card.classes)}",
        "Training": f"{training['steps']:,} steps of {training['batch_size']} images, seed {card.seed}, suite {card.suite}",
        "Weights": spent and f"{spent.parameters_sampling:,} for sampling, {spent.parameters_training:,} trained",
        "Compute": spent and f"{spent.training_flops:.2g} FLOPs{_took(card)}",
        "Converted from": card.converted and f"`{card.converted['file']}`, SHA-256 {card.converted['sha256']}; not trained here",
        "Code": f"commit {card.commit}{' with changes' if card.dirty else ''}",
    }
    task = next(iter(method.tasks))
    command = "segment photo.png" if task == "segmentation" else "synthesize labels.png"
    parts = [
        f"# {_name(card)}",
        f"A checkpoint of a replication of [SemFlow]({PAPER}).",
        "\n".join(f"- **{name}**: {value}" for name, value in facts.items() if value),
        f"## Use\n\n```sh\n{LIBRARY} {command} --checkpoint . --out out.png\n{LIBRARY} info .\n```",
        f"The weights are safetensors; `{CARD}` has all settings and the SHA-256 of each file, which are checked on opening.",
        _table(results) if results else f"No results yet: `{LIBRARY} card . --records ...` adds them from evaluations.",
        f"## Licence\n\n{_licence(str(card.data['name']))[1]}",
    ]
    return "\n\n".join(parts)


def _took(card: Card) -> str:
    """In words, where it is known."""
    spent = card.budget
    if spent is None or spent.training_wall_s is None:
        return ""
    return f", {spent.training_wall_s / 3600:.1f} h on {spent.training_device}"


def _table(results: Sequence[Result]) -> str:
    rows = [
        f"| {one.task.replace('_', ' ')} | {one.sampler} | {one.title} | {_number(one)} | {one.split}, {one.n_images:,} |"
        for one in results
    ]
    head = "| task | sampler | metric | value [95 % interval] | images |\n|---|---|---|---|---|"
    return "\n".join(["## Results", "", head, *rows])


def _number(one: Result) -> str:
    ends = "" if one.low is None or one.high is None else f" [{one.low:.{one.digits}f}, {one.high:.{one.digits}f}]"
    return f"{one.value:.{one.digits}f}{ends}" + ("" if one.unit == "none" else f" {one.unit}")
