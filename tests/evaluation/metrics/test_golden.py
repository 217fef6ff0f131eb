"""Metrics frozen: values on fixed arrays, taken once and held since.

Other tests say that the values are right; these say that they did not move. Counts are exact, all else agrees to 1e-6, but for
float32 networks, whose convolutions differ between processors (1e-5). A change that is meant goes with a new reference of every
suite (`accept_reference`).
"""

import numpy as np
import pytest
import torch
from scipy import sparse

from semflow.evaluation.features import extract, make_extractor, make_perceptual
from semflow.evaluation.metrics import appearance, distances, scores
from semflow.evaluation.metrics.fidelity import compare_sets
from semflow.evaluation.metrics.intervals import bootstrap, bootstrap_mean, interval
from semflow.evaluation.metrics.segmentation import confusions
from semflow.suite.measurements import EfficientNetLite0

RANDOM = np.random.RandomState(20260101)  # its stream is frozen for good
LABELS = torch.from_numpy(RANDOM.choice([0, 1, 2, 3, 255], (6, 8, 8), p=[0.4, 0.3, 0.15, 0.1, 0.05]).astype(np.uint8))
NOISE = torch.from_numpy(RANDOM.randint(0, 5, (6, 8, 8)).astype(np.uint8))
PREDICTED = torch.where(torch.from_numpy(RANDOM.rand(6, 8, 8) < 0.6) & (LABELS != 255), LABELS, NOISE)
IMAGES = torch.from_numpy(RANDOM.randint(0, 256, (4, 3, 32, 32)).astype(np.uint8))
OTHERS = torch.from_numpy((IMAGES.numpy() * 0.5 + RANDOM.randint(0, 128, (4, 3, 32, 32))).astype(np.uint8))
X, Y = RANDOM.randn(60, 16), 1.2 * RANDOM.randn(60, 16) + 0.3
VALUES = RANDOM.rand(40)
MATRICES = confusions(PREDICTED, LABELS, 5)
TOTAL = MATRICES.sum(0).numpy()


def close(value):
    return pytest.approx(value, rel=1e-6)


def test_confusion_matrices():
    assert TOTAL.tolist() == [
        [113, 14, 4, 10, 9],
        [3, 87, 10, 8, 3],
        [7, 3, 45, 5, 5],
        [2, 1, 1, 31, 2],
        [0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("miou", 0.61277903387884), ("miou_either", 0.49022322710307203), ("pixel_accuracy", 0.7603305785123967)],
)
def test_scores_of_confusion_matrices(name, value):
    assert float(scores.SCORES[name](TOTAL)) == close(value)


def test_iou_of_classes():
    assert scores.class_iou(TOTAL) == close([0.6975308641975309, 0.6744186046511628, 0.5625, 0.5166666666666667, 0.0])


def test_bootstrap_of_scores_and_its_percentile_interval():
    draws = bootstrap(sparse.csr_array(MATRICES.flatten(1).numpy()), np.arange(6), scores.mean_iou, 500, 0)
    assert draws[:3] == close([0.6238284703801945, 0.6246645350263771, 0.5846220549526069])
    assert interval(float(scores.mean_iou(TOTAL)), draws, True) == close((0.5615261197548771, 0.6746186212165123))


def test_bootstrap_of_means_over_blocks_and_its_normal_interval():
    draws = bootstrap_mean(VALUES, np.arange(40) // 4, 500, 0)
    assert draws[:3] == close([0.4340538413096124, 0.43330794969156416, 0.3841534912788216])
    assert interval(float(VALUES.mean()), draws, False) == close((0.33989339672570107, 0.5409286299471859))


def test_distances_between_sets():
    assert distances.frechet_distance(X, Y) == close(4.934166827170316)
    assert distances.kernel_draws(X, Y, [np.ones(len(X))]) == close([0.29107208469049217])
    known = (4.934167105946138, 0.29107213020324707, 58 / 60, 30 / 60)
    assert compare_sets(X.astype(np.float32), Y.astype(np.float32), 60) == close(known)
    assert (distances.among(X, Y, 3).sum(), distances.among(Y, X, 3).sum()) == (58, 30)


def test_brightness_and_detail_of_pictures():
    assert appearance.brightness(IMAGES).tolist() == close([128.97244262695312, 128.9375, 127.09843444824219, 127.20073699951172])
    layouts = LABELS[:4].repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert appearance.clipped(IMAGES).tolist() == close([2.44140625, 2.83203125, 2.1484375, 2.44140625])
    detail = [2280.572021484375, 2134.606689453125, 2259.79248046875, 2216.94677734375]
    gap = [1.0703527927398682, 1.0698407888412476, 0.9105948805809021, 1.064234733581543]
    assert appearance.detail(IMAGES, layouts).tolist() == close(detail)
    assert appearance.detail_gap(IMAGES, OTHERS, layouts).tolist() == close(gap)


def test_straightness_of_paths():
    bend = appearance.Straightness(torch.tensor([0, 0.3, 0.6, 1.0]))
    for state in range(4):
        bend.add(torch.from_numpy(X[state * 8 : (state + 1) * 8].reshape(2, 1, 8, 8)))
    assert bend.value().tolist() == close([17.434728430611123, 14.09335720973402])


def test_features_and_distances_of_the_offline_network():
    network = EfficientNetLite0(network="efficientnet-lite0")
    features = extract(make_extractor(network, torch.device("cpu")), IMAGES)
    sums = [165.2527618408203, 160.1503143310547, 152.03738403320312, 135.64044189453125]
    assert features.shape == (4, 1280)
    assert features.sum(1) == pytest.approx(sums, rel=1e-5)
    with torch.inference_mode():
        perceptual = make_perceptual(network, torch.device("cpu"))
        between = perceptual.between(perceptual.look(IMAGES), perceptual.look(OTHERS))
    known = [2.919750690460205, 2.9349679946899414, 2.9072036743164062, 3.1129183769226074]
    assert between.tolist() == pytest.approx(known, rel=1e-5)
