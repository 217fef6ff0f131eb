"""Fixtures that several modules share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy loads: tests run side by side, and BLAS would fight over the cores

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import trees as tree_maker
import yaml
from diffusers import AutoencoderKL
from fuzzing import EXAMPLES, SEED
from hypothesis import HealthCheck, settings
from sd_folder import make_sd_folder, sd_sections

from semflow import files
from semflow.data.scenes import NAMES
from semflow.suite import Suite
from semflow.suite import reading as config

pytest_plugins = ["record_fixtures"]
torch.set_num_threads(1)

settings.register_profile("any machine", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
CONFIG = Path(__file__).resolve().parent.parent / "config"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The workflow's tests first: they take as long as all others, and a worker that began them last would end alone."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


def pytest_report_header() -> str:
    return f"fuzzing: SEMFLOW_FUZZ={SEED}:{EXAMPLES}"


@pytest.fixture(scope="session")
def config_folder() -> Path:
    return CONFIG


@pytest.fixture(scope="session")
def trees() -> ModuleType:
    """Small trees of the paper's data sets in their official layout."""
    return tree_maker


@pytest.fixture
def mini() -> dict[str, Any]:
    """config/mini.yaml as a mapping that a test may change."""
    return yaml.safe_load((CONFIG / "mini.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def tiny(mini) -> dict[str, Any]:
    """A suite that a test can afford: a network of a few thousand weights, a few scenes of 16 x 16, SemFlow and both DSM."""
    mini["suite"] = "tiny"
    mini["methods"] = {name: mini["methods"][name] for name in ("semflow", "dsm", "dsm_modified")}
    mini["runs"] = [entry for entry in mini["runs"] if entry["method"] in mini["methods"] and entry["task"] != "consistency"]
    mini["data"] |= {"size": [16, 16], "n_train": 8, "n_test": 4}
    mini["synthesis"] |= {"diversity": {"layouts": 4, "samples": 2}, "judges": None}
    mini["network"] |= {"block_out_channels": [8, 16], "attention": [False, True], "norm_num_groups": 4, "attention_head_dim": 8}
    return mini


@pytest.fixture
def tiny_suite(tiny) -> Suite:
    return config.check(tiny, "tiny")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts a process in a session of its own; what is left of it is killed when the test ends."""
    started: list[subprocess.Popen] = []

    def run(command: list[Any], **options: Any) -> subprocess.Popen:
        started.append(subprocess.Popen(command, start_new_session=True, **options))
        return started[-1]

    yield run
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def kl_folder(tmp_path_factory) -> Path:
    """A diffusers AutoencoderKL folder: 5 latent channels at a quarter of the size."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(4, 4, 8),
        norm_num_groups=2,
        latent_channels=5,
        scaling_factor=0.3,
    )
    folder = tmp_path_factory.mktemp("kl")
    vae.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def kl_section(kl_folder) -> dict[str, Any]:
    """The suite's section for it."""
    return {
        "kind": "kl",
        "pretrained": str(kl_folder),
        "latent_channels": 5,
        "block_out_channels": [4, 4, 8],
        "scaling_factor": 0.3,
    }


@pytest.fixture(scope="session")
def sd_folder(tmp_path_factory) -> Path:
    """A folder in the layout of Stable Diffusion 1.5; not to be changed."""
    return make_sd_folder(tmp_path_factory.mktemp("sd"))


@pytest.fixture
def sd_suite(tiny, sd_folder, tmp_path, monkeypatch) -> Suite:
    """The tiny suite with that folder's network and autoencoder; what is generated goes into the test's own folder."""
    monkeypatch.chdir(tmp_path)
    tiny["data"]["size"] = [32, 32]
    return config.check(tiny | sd_sections(sd_folder), "tiny")


@pytest.fixture
def images() -> torch.Tensor:
    """Two pictures of the tiny suite's size in [-1, 1]."""
    return 2 * torch.rand(2, 3, 16, 16) - 1


@pytest.fixture
def labels() -> torch.Tensor:
    """Label maps of the same size."""
    return torch.randint(len(NAMES), (2, 16, 16), dtype=torch.uint8)


@pytest.fixture(autouse=True)
def _own_memory(tmp_path_factory, monkeypatch):
    """What is remembered of the tests' files is no part of this project's results."""
    monkeypatch.setattr(files, "REMEMBERED", tmp_path_factory.getbasetemp() / ".sha256.json")


@pytest.fixture(autouse=True)
def _same_global_stream():
    torch.manual_seed(0)
