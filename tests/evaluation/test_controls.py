"""Controls: the perfect and the blind."""

import pytest
import torch

from semflow.evaluation.controls import OUTPUTS, Oracle, ShuffledLabels
from semflow.method.autoencoder import Autoencoder, Patchify
from semflow.method.pseudo_mask import PseudoMask
from semflow.suite.runs import CONTROL_TITLES


@pytest.mark.parametrize("autoencoder", [Autoencoder(), Patchify(2)], ids=["identity", "patchify"])
@pytest.mark.parametrize("n_classes", [11, 171])
def test_the_oracle_of_a_lossless_code_is_the_truth(autoencoder, n_classes):
    labels = torch.randint(n_classes, (3, 8, 8), dtype=torch.uint8)
    assert torch.equal(Oracle(PseudoMask(n_classes), autoencoder).predict(labels), labels)


def test_the_oracle_shows_what_the_autoencoder_loses():
    class Blur(Autoencoder):
        def decode(self, latents):
            return latents.mean((2, 3), keepdim=True).expand_as(latents)

    # Classes 0 and 2 in equal parts average to the colour of class 1.
    labels = torch.tensor([[[0, 2], [2, 0]]], dtype=torch.uint8)
    assert Oracle(PseudoMask(11), Blur()).predict(labels).flatten().tolist() == [1, 1, 1, 1]


def test_the_oracle_reads_ignored_pixels_as_some_class():
    labels = torch.full((1, 2, 2), 255, dtype=torch.uint8)
    assert Oracle(PseudoMask(171), Autoencoder()).predict(labels).max() < 171


@pytest.mark.parametrize(("n", "order"), [(2, [1, 0]), (4, [2, 3, 0, 1]), (5, [3, 4, 0, 1, 2])])
def test_shuffled_labels_are_the_truth_of_the_image_half_the_set_away(n, order):
    labels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1).expand(n, 2, 2)
    assert ShuffledLabels().predict(labels)[:, 0, 0].tolist() == order


@pytest.mark.parametrize("n", [2, 3, 4, 5, 9])
def test_shuffled_labels_never_see_its_own_image(n):
    labels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1)
    assert not (ShuffledLabels().predict(labels) == labels).any()


def test_shuffled_labels_call_ignored_pixels_class_0():
    labels = torch.tensor([[[255, 3]], [[4, 5]]], dtype=torch.uint8)
    predicted = ShuffledLabels().predict(labels)
    assert predicted.tolist() == [[[4, 5]], [[0, 3]]]
    assert predicted.dtype == torch.uint8


def test_every_control_has_its_outputs():
    assert OUTPUTS.keys() == CONTROL_TITLES.keys()
