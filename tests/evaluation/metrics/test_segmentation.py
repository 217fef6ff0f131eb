"""Confusion matrices and mean IoU, against loops, torchmetrics and a 3 x 3 example worked by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassJaccardIndex

from semflow.evaluation.metrics import scores, segmentation
from semflow.evaluation.metrics.segmentation import confusion, confusions, miou

IGNORED = 255


def random_maps(n_classes: int, shape: tuple[int, ...], seed: int = 0, ignored: float = 0.2):
    draws = torch.Generator().manual_seed(seed)
    predicted, labels = torch.randint(n_classes, (2, *shape), generator=draws, dtype=torch.uint8)
    labels[torch.rand(shape, generator=draws) < ignored] = IGNORED
    return predicted, labels


# Class 3 is predicted but never true, class 4 is neither; the sixth pixel is ignored.
LABELS = torch.tensor([[0, 0, 1], [1, 1, IGNORED], [2, 2, 2]], dtype=torch.uint8)
PREDICTED = torch.tensor([[0, 1, 1], [1, 3, 3], [2, 2, 0]], dtype=torch.uint8)


def test_the_worked_example_has_these_counts():
    assert confusion(PREDICTED, LABELS, 5).tolist() == [
        [1, 1, 0, 0, 0],
        [0, 2, 0, 1, 0],
        [1, 0, 2, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_the_worked_example_has_these_ious():
    iou = scores.class_iou(confusion(PREDICTED, LABELS, 5).numpy())
    assert iou[:4].tolist() == pytest.approx([1 / 3, 1 / 2, 2 / 3, 0])
    assert math.isnan(iou[4])


def test_the_worked_example_has_these_means():
    matrix = confusion(PREDICTED, LABELS, 5)
    assert miou(matrix) == pytest.approx(1 / 2)
    assert scores.mean_iou(matrix.numpy(), "truth") == pytest.approx(1 / 2)
    assert scores.mean_iou(matrix.numpy(), "either") == pytest.approx(3 / 8)
    assert scores.pixel_accuracy(matrix.numpy()) == pytest.approx(5 / 8)


@settings(max_examples=40)
@given(st.integers(1, 8), st.tuples(st.integers(1, 4), st.integers(1, 6)), st.integers(0, 2**32))
def test_counts_equal_a_loop_over_pixels(n_classes, shape, seed):
    predicted, labels = random_maps(n_classes, shape, seed)
    expected = np.zeros((n_classes, n_classes), int)
    for guess, truth in zip(predicted.flatten().tolist(), labels.flatten().tolist(), strict=True):
        if truth != IGNORED:
            expected[truth, guess] += 1
    assert np.array_equal(confusion(predicted, labels, n_classes).numpy(), expected)


@pytest.mark.parametrize("n_classes", [2, 11, 171])
def test_counts_equal_torchmetrics(n_classes):
    predicted, labels = random_maps(n_classes, (3, 40, 50))
    theirs = MulticlassConfusionMatrix(n_classes, ignore_index=IGNORED)(predicted.long(), labels.long())
    assert torch.equal(confusion(predicted, labels, n_classes), theirs)


@pytest.mark.parametrize("n_classes", [2, 11, 171])
def test_scores_equal_torchmetrics(n_classes):
    predicted, labels = random_maps(n_classes, (3, 40, 50))
    matrix = confusion(predicted, labels, n_classes).numpy()
    of_each = MulticlassJaccardIndex(n_classes, average="none", ignore_index=IGNORED)(predicted.long(), labels.long())
    accuracy = MulticlassAccuracy(n_classes, average="micro", ignore_index=IGNORED)(predicted.long(), labels.long())
    np.testing.assert_allclose(scores.class_iou(matrix), of_each, rtol=1e-6)
    assert miou(matrix) == pytest.approx(of_each.mean().item(), rel=1e-6)
    assert scores.pixel_accuracy(matrix) == pytest.approx(accuracy.item(), rel=1e-6)


def test_mean_over_either_equals_torchmetrics_where_classes_are_absent():
    predicted, labels = random_maps(6, (30, 30))
    labels[labels == 4] = 0  # class 4 only predicted, classes 6 to 9 nowhere
    theirs = MulticlassJaccardIndex(10, average="macro", ignore_index=IGNORED)(predicted.long(), labels.long())
    assert scores.mean_iou(confusion(predicted, labels, 10).numpy(), "either") == pytest.approx(theirs.item(), rel=1e-6)


def test_rows_are_ground_truth():
    assert confusion(torch.tensor([2]), torch.tensor([1]), 3).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_counts_are_int64():
    predicted, labels = random_maps(5, (4, 4))
    assert confusion(predicted, labels, 5).dtype == torch.int64


def test_images_counted_one_by_one_add_up_to_the_whole():
    predicted, labels = random_maps(7, (5, 8, 9))
    each = confusions(predicted, labels, 7)
    assert each.shape == (5, 7, 7)
    assert torch.equal(each.sum(0), confusion(predicted, labels, 7))
    assert torch.equal(each[3], confusion(predicted[3], labels[3], 7))


def test_a_picture_without_labels_counts_nothing():
    labels = torch.full((4, 4), IGNORED, dtype=torch.uint8)
    matrix = confusion(torch.zeros(4, 4, dtype=torch.uint8), labels, 3)
    assert matrix.sum() == 0
    assert math.isnan(miou(matrix))


def test_what_is_predicted_on_ignored_pixels_does_not_matter():
    labels = torch.tensor([0, IGNORED], dtype=torch.uint8)
    assert confusion(torch.tensor([0, 254], dtype=torch.uint8), labels, 2).tolist() == [[1, 0], [0, 0]]


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"2, 3\).*3, 2\)"):
        confusion(torch.zeros(2, 3).long(), torch.zeros(3, 2).long(), 2)


@pytest.mark.parametrize(("guess", "truth"), [(0, 3), (3, 0), (-1, 0), (0, -1), (255, 0)])
def test_a_value_outside_the_classes_is_refused(guess, truth):
    with pytest.raises(ValueError, match=r"outside 0\.\.2"):
        confusion(torch.tensor([0, guess]), torch.tensor([0, truth]), 3)


def test_another_ignored_label_can_be_named():
    assert confusion(torch.tensor([0, 1]), torch.tensor([0, 7]), 2, ignore_index=7).tolist() == [[1, 0], [0, 0]]


def test_scores_take_any_leading_dimensions():
    matrices = np.random.default_rng(0).integers(0, 50, (4, 3, 5, 5))
    for score in scores.SCORES.values():
        many = score(matrices)
        assert many.shape == (4, 3)
        assert many[2, 1] == pytest.approx(float(score(matrices[2, 1])))


def test_an_unknown_mean_is_refused():
    with pytest.raises(ValueError, match="'all'"):
        scores.mean_iou(np.eye(2), "all")


def test_counting_a_few_images_at_a_time_gives_the_counts_of_all(monkeypatch):
    torch.manual_seed(0)
    predicted, labels = torch.randint(5, (7, 6, 4)), torch.randint(5, (7, 6, 4))
    whole = segmentation.confusions(predicted, labels, 5)
    monkeypatch.setattr(segmentation, "PIXELS_AT_ONCE", 50)  # two images of 24
    assert torch.equal(segmentation.confusions(predicted, labels, 5), whole)
    with pytest.raises(ValueError, match="outside 0..4"):
        segmentation.confusions(predicted, labels.clone().index_fill_(0, torch.tensor([6]), 9), 5)
