"""Controls: the perfect and the blind."""

import pytest
import torch

from semflow.evaluation.controls import Oracle, ShuffledLabels
from semflow.method.autoencoder import Autoencoder, Patchify
from semflow.method.pseudo_mask import PseudoMask
from semflow.suite.registry import CONTROLS, METHODS, class_of


@pytest.mark.parametrize("autoencoder", [Autoencoder(), Patchify(2)], ids=["identity", "patchify"])
@pytest.mark.parametrize("n_classes", [11, 171])
def test_the_ceiling_of_a_lossless_code_is_the_truth(autoencoder, n_classes):
    labels = torch.randint(n_classes, (3, 8, 8), dtype=torch.uint8)
    assert torch.equal(Oracle(PseudoMask(n_classes), autoencoder).predict(labels), labels)


def test_the_ceiling_shows_what_the_autoencoder_loses():
    class Blur(Autoencoder):
        def decode(self, latents):
            return latents.mean((2, 3), keepdim=True).expand_as(latents)

    # Classes 0 and 2 in equal parts average to the colour of class 1.
    labels = torch.tensor([[[0, 2], [2, 0]]], dtype=torch.uint8)
    assert Oracle(PseudoMask(11), Blur()).predict(labels).flatten().tolist() == [1, 1, 1, 1]


def test_the_ceiling_reads_ignored_pixels_as_some_class():
    labels = torch.full((1, 2, 2), 255, dtype=torch.uint8)
    assert Oracle(PseudoMask(171), Autoencoder()).predict(labels).max() < 171


@pytest.mark.parametrize(("n", "order"), [(2, [1, 0]), (4, [2, 3, 0, 1]), (5, [3, 4, 0, 1, 2])])
def test_the_floor_is_the_truth_of_the_image_half_the_set_away(n, order):
    labels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1).expand(n, 2, 2)
    assert ShuffledLabels().predict(labels)[:, 0, 0].tolist() == order


@pytest.mark.parametrize("n", [2, 3, 4, 5, 9])
def test_the_floor_never_sees_its_own_image(n):
    labels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1)
    assert not (ShuffledLabels().predict(labels) == labels).any()


def test_the_floor_calls_ignored_pixels_class_0():
    labels = torch.tensor([[[255, 3]], [[4, 5]]], dtype=torch.uint8)
    predicted = ShuffledLabels().predict(labels)
    assert predicted.tolist() == [[[4, 5]], [[0, 3]]]
    assert predicted.dtype == torch.uint8


@pytest.mark.parametrize("name", [*METHODS, *CONTROLS])
def test_every_name_leads_to_its_class(name):
    assert class_of(name).__name__.lower() == name
