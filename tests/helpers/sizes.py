"""The other systems' settings, small as mini has them and as published as the paper's suite has them."""

from pathlib import Path
from typing import Any

from semflow.files import read_yaml

CONFIG = Path(__file__).resolve().parents[2] / "config"


def small(method: str) -> dict[str, Any]:
    """Of scenes of 32 x 32."""
    return read_yaml(CONFIG / "mini.yaml", "configuration")[0]["methods"][method]


def papers(method: str) -> dict[str, Any]:
    """Of the published size."""
    return read_yaml(CONFIG / "paper.yaml", "configuration")[0]["methods"][method]
