"""A metric added to a copy of the tree: a row in the catalogue and its function; nothing else is touched."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from copies import copy_of_the_packages, python

ROW = '    "fw_iou": Kind("frequency-weighted IoU", "percent", "higher", 1),\n'
FUNCTION = '''

def frequency_weighted_iou(confusion):
    """IoU of every class weighted by how often it occurs, (..., n, n) to (...)."""
    share = confusion.sum(-1) / confusion.sum((-2, -1))[..., None]
    return (share * np.nan_to_num(class_iou(confusion))).sum(-1)


SCORES["fw_iou"] = frequency_weighted_iou
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The packages and suites, with the metric added in two files."""
    copy = copy_of_the_packages(tmp_path_factory.mktemp("copy"))
    catalogue = copy / "semflow/evaluation/metrics/catalogue.py"
    before, row = catalogue.read_text(), '    "pixel_accuracy": Kind('
    assert before.count(row) == 1
    catalogue.write_text(before.replace(row, ROW + row))
    scores = copy / "semflow/evaluation/metrics/scores.py"
    scores.write_text(scores.read_text() + FUNCTION)
    return copy


@pytest.mark.slow
def test_it_is_in_records_with_its_interval_and_in_the_tables(copy):
    for name in ("oracle", "shuffled_labels"):
        python(copy, "-m", "semflow", "evaluate", "--config", "config/smoke.yaml", "--method", name, "--out", f"{name}.json")
    records = {name: json.loads((copy / f"{name}.json").read_text())["metrics"] for name in ("oracle", "shuffled_labels")}
    assert records["oracle"]["fw_iou"]["value"] == 100
    with np.load(copy / "shuffled_labels.npz") as arrays:
        n, counts = 16, np.zeros((16, 16))
        np.add.at(counts, divmod(arrays["cell"], n), arrays["count"])
    union = counts.sum(0) + counts.sum(1) - np.diag(counts)
    iou = np.divide(np.diag(counts), union, out=np.zeros(n), where=union > 0)
    by_hand = 100 * (counts.sum(1) / counts.sum() * iou).sum()
    metric = records["shuffled_labels"]["fw_iou"]
    assert metric["value"] == pytest.approx(by_hand)
    assert metric["low"] < metric["value"] < metric["high"]
    words = ("--records", "oracle.json", "shuffled_labels.json", "--out", "t.csv")
    python(copy, "-m", "semflow", "report", "ablations", *words)
    assert "fw_iou" in set(pd.read_csv(copy / "t.csv").metric)
