"""What the page's dialog says of a record."""

from typing import Any

from semflow.claims.collect import Names, size_of, split_of, title
from semflow.claims.document import perturbed
from semflow.evaluation.metrics.catalogue import KINDS
from semflow.evaluation.records import Record
from semflow.report.page.sections import measured, speed
from semflow.report.tables import words_of
from semflow.suite.measurements import draws

Pairs = list[tuple[str, str]]


def details(record: Record, names: Names) -> list[Any]:
    """[title, [[heading, [(name, value), ...]], ...]], all of it text."""
    groups: dict[str, Pairs] = {
        "Metrics, with 95 % intervals": [_metric(record, name) for name in record.metrics],
        "What was run": _run(record, names),
        "Protocol": _protocol(record),
        "Provenance": _provenance(record),
        "IoU by class, in percent": [
            (name, "absent" if value is None else f"{value:.1f}") for name, value in record.class_iou.items()
        ],
    }
    return [name_of(record, names), [[heading, pairs] for heading, pairs in groups.items() if pairs]]


def name_of(record: Record, names: Names) -> str:
    """Synthesis by SemFlow Euler-25, b = 6, b' = 6, training 0, sampling seed 1"""
    how = title(record.method, record.sampler, record.steps)
    if perturbed(record.method):
        how += f", b = {record.amplitude:g}" + (f", b' = {record.sampling_amplitude:g}" if draws(record.task) else "")
    how += f", {record.variant}" if record.variant else ""
    what = f"{words_of(record.task).capitalize()}{names.on(record)} by {how}"
    return f"{what}, training {record.training_seed}, sampling seed {record.sampling_seed}"


def _metric(record: Record, name: str) -> tuple[str, str]:
    kind = KINDS[name]
    unit = "" if kind.unit == "none" else f" {kind.unit}"
    better = "" if kind.direction == "neither" else f"; {kind.direction} is better"
    why = f"; {record.reasons[name]}" if name in record.reasons else ""
    return kind.title, f"{measured(record, name)}{unit}{better}{why}"


def _run(record: Record, names: Names) -> Pairs:
    perturbation = f"b = {record.amplitude:g} in training, b' = {record.sampling_amplitude:g} in sampling, of 255"
    pairs = [
        ("name", names.identity(record)),
        ("suite", record.suite),
        ("data", f"{record.dataset}, {split_of(record)}"),
        ("perturbation", perturbation),
        ("seeds", f"training {record.training_seed}, sampling {record.sampling_seed}"),
        ("network evaluations an image", f"{record.evaluations:g}"),
        ("parameters", "none" if record.n_parameters is None else f"{record.n_parameters:,}"),
    ]
    return pairs + [(f"setting {name}", str(value)) for name, value in record.settings.items()]


def _protocol(record: Record) -> Pairs:
    protocol = record.protocol
    pairs = [("evaluation size", size_of(record)), ("resize", protocol.resize)]
    pairs += [(f"{_title(name)} over", words) for name, words in protocol.mean_over.items()]
    pairs += [(f"network of {role}", network) for role, network in protocol.networks.items()]
    drawn = f"{protocol.interval}; {protocol.bootstrap_samples} draws, seed {protocol.bootstrap_seed}"
    return [*pairs, ("intervals", drawn)]


def _provenance(record: Record) -> Pairs:
    source = record.provenance
    return [
        ("command", source.command),
        ("commit", source.commit + (" (modified)" if source.dirty else "")),
        ("config SHA-256", source.config_sha256),
        ("data SHA-256", source.data_sha256),
        ("weights SHA-256", source.checkpoint_sha256 or "none"),
        ("code SHA-256", source.code_sha256),
        ("outputs SHA-256", record.outputs_sha256),
        ("versions", ", ".join(f"{name} {number}" for name, number in source.versions.items()) or "unknown"),
        ("device", f"{source.device}, {source.threads} thread{'s' * (source.threads != 1)}"),
        ("wall time", f"{source.wall_s:.1f} s"),
        ("images a second", speed(record)),
    ]


def _title(metric: str) -> str:
    return KINDS[metric].title if metric in KINDS else metric
