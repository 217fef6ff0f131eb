"""A data set added to a copy of the tree: one file, one line in the registry, one suite; nothing else is touched."""

import json
from pathlib import Path

import pytest
import yaml
from copies import REPOSITORY, copy_of_the_packages, python, register

STRIPES = '''
"""Two stripes, the lower of which begins where the index says."""

import hashlib
from typing import Literal

import numpy as np

from semflow.data.info import DatasetInfo
from semflow.data.sample import Sample
from semflow.data.settings import DataSettings

NAMES, PALETTE = ("upper", "lower"), ((200, 0, 0), (0, 0, 200))


class Settings(DataSettings):
    name: Literal["stripes"]
    n: int


class Stripes:
    name, names, palette, groups = "stripes", NAMES, PALETTE, None

    def __init__(self, n, size):
        self.n, self.size = n, size

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if index >= self.n:
            raise IndexError(index)
        h, w = self.size
        labels = np.repeat(np.arange(h) > index % h, w).reshape(h, w).astype(np.uint8)
        return Sample(np.array(PALETTE, np.uint8)[labels].transpose(2, 0, 1).copy(), labels)

    def stamp(self):
        return self.fingerprint()

    def fingerprint(self):
        return hashlib.sha256(f"{self.n} {self.size}".encode()).hexdigest()


INFO = DatasetInfo(Settings, lambda data, split: Stripes(data.n, data.size), NAMES, PALETTE)
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The packages and suites, with the data set added."""
    copy = copy_of_the_packages(tmp_path_factory.mktemp("copy"))
    (copy / "semflow/data/stripes.py").write_text(STRIPES)
    register(copy / "semflow/data/__init__.py", "scenes", "stripes")
    data = {"name": "stripes", "size": [16, 16], "n": 12}
    suite = {"base": "smoke.yaml", "suite": "stripes", "data": data, "training": {"steps": 2}}
    (copy / "config/stripes.yaml").write_text(yaml.safe_dump(suite))
    return copy


@pytest.mark.slow
def test_a_suite_trains_and_is_evaluated_on_it(copy):
    method = ("--config", "config/stripes.yaml", "--method", "semflow")
    python(copy, "-m", "semflow", "train", *method, "--state", "state", "--out", "checkpoint")
    python(copy, "-m", "semflow", "evaluate", *method, "--checkpoint", "checkpoint", "--sampler", "euler-2", "--out", "r.json")
    record = json.loads((copy / "r.json").read_text())
    assert record["dataset"] == "stripes"
    assert list(record["class_iou"]) == ["upper", "lower"]


KEYS = """
from semflow.suite import keys, reading, runs
suite = reading.load("config/smoke.yaml")
for method in suite.methods:
    print(keys.weights_key(suite, method, 0))
for evaluation in runs.evaluations(suite):
    print(keys.scores_key(suite, evaluation))
"""


def test_it_makes_no_other_training_and_no_other_record_stale(copy):
    assert python(copy, "-c", KEYS) == python(REPOSITORY, "-c", KEYS)
