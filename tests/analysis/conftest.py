"""Records made by hand."""

import numpy as np
import pytest
from scipy import sparse

from semflow.analysis.collect import Run
from semflow.records import Arrays, Metric, Protocol, Provenance, Record


def metric(value: float) -> Metric:
    return Metric(value=value, low=value - 1, high=value + 1, unit="percent", direction="higher")


@pytest.fixture
def make_run():
    """make_run(method, sampler, steps, confusions (n_images, 2, 2), sampling_seed=0, digest="a") -> Run."""

    def make(method, sampler, steps, confusions, sampling_seed=0, digest="a", dataset="scenes <b>", training_seed=0):
        confusions = np.asarray(confusions)
        n_images = len(confusions)
        total = confusions.sum(0)
        iou = [total[c, c] / (total[c].sum() + total[:, c].sum() - total[c, c]) for c in (0, 1)]
        record = Record(
            suite="hand", dataset=dataset, split="test", method=method, task="segmentation", sampler=sampler, steps=steps,
            amplitude=6, settings={}, training_seed=training_seed, sampling_seed=sampling_seed, n_images=n_images,
            classes=("a", "b"), palette=((255, 0, 0), (0, 0, 255)),
            metrics={name: metric(100 * float(np.mean(iou))) for name in ("miou", "miou_either", "pixel_accuracy")},
            class_iou={"a": 100 * float(iou[0]), "b": 100 * float(iou[1])}, predictions_sha256=digest, arrays_sha256="0",
            protocol=Protocol(
                evaluation_size=(4, 6), resize="none", mean_over={}, interval="over frames", bootstrap_samples=400,
                bootstrap_seed=0,
            ),
            provenance=Provenance(
                command="semflow", commit="c" * 40, dirty=False, config_sha256="1", data_sha256="2", checkpoint_sha256=None,
                code_sha256="3", versions={}, device="cpu", threads=1, wall_s=1.0, images_per_s=1.0,
            ),
        )  # fmt: skip
        pictures = np.zeros((2, 3, 4, 6), np.uint8)
        labels = np.zeros((2, 4, 6), np.uint8)
        arrays = Arrays(sparse.csr_array(confusions.reshape(n_images, 4)), np.arange(n_images), pictures, labels, labels)
        return Run(record, arrays)

    return make


PERFECT = [[[4, 0], [0, 4]]] * 3
HALF = [[[4, 0], [4, 4]]] * 3  # class a: 4 / 8, class b: 4 / 8


@pytest.fixture
def runs(make_run):
    """SemFlow perfect twice with the same bits; DSM at 50 % under one seed and at 100 % under the other; controls."""
    return [
        make_run("semflow", "euler", 25, PERFECT),
        make_run("semflow", "euler", 25, PERFECT, sampling_seed=1),
        make_run("semflow", "euler", 1, HALF),
        make_run("dsm", "ddpm", 25, HALF),
        make_run("dsm", "ddpm", 25, PERFECT, sampling_seed=1, digest="b"),
        make_run("ceiling", "none", 0, PERFECT),
        make_run("floor", "none", 0, HALF),
    ]
