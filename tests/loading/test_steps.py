"""What each step sees and draws, however the work is shared."""

import numpy as np
import pytest
import torch

from semflow.errors import SemFlowError
from semflow.loading.steps import STREAM, Augmentation, Rank, Steps, choose, noise
from semflow.seeds import generator, integers, normal, uniform

PLAIN = Augmentation(flip=False, crop=False, perturbations=0)
ALL = Augmentation(flip=True, crop=True, perturbations=3)
CPU = torch.device("cpu")


def positions(steps: Steps) -> list[list[int]]:
    return [[view.image for view in views] for views in steps]


def test_every_epoch_shows_every_image_once_in_another_order():
    seen = np.concatenate(positions(Steps(12, 8, seed=0, start=0, stop=3, augmentation=PLAIN)))
    assert sorted(seen[:12]) == sorted(seen[12:]) == list(range(12))
    assert list(seen[:12]) != list(seen[12:])


def test_views_continue_where_they_stopped():
    whole = list(Steps(10, 4, seed=3, start=0, stop=9, augmentation=ALL))
    assert whole[5:] == list(Steps(10, 4, seed=3, start=5, stop=9, augmentation=ALL))


@pytest.mark.parametrize("ranks", [2, 3, 4, 12])
def test_processes_together_see_what_one_sees(ranks):
    """48 rows are three streams, which 12 processes cut in four and 4 processes cut across."""
    whole = list(Steps(100, 48, seed=3, start=0, stop=2, augmentation=ALL))
    parts = [list(Steps(100, 48, 3, 0, 2, ALL, Rank(rank, ranks))) for rank in range(ranks)]
    assert [sum((part[step] for part in parts), []) for step in range(2)] == whole


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(SemFlowError, match="batch_size 10 must be a multiple of the 4 processes"):
        Steps(100, 10, 0, 0, 1, PLAIN, Rank(0, 4))


def test_half_of_the_views_are_mirrored_and_crops_and_perturbations_are_spread():
    mirrored, crops, perturbations = zip(*choose(ALL, 4000, generator("cpu", "test")), strict=True)
    assert 1850 < sum(mirrored) < 2150
    assert np.array(crops).min() >= 0
    assert np.array(crops).max() < 1
    assert np.allclose(np.mean(crops, 0), 0.5, atol=0.03)
    assert min(map(perturbations.count, range(3))) > 1200
    assert set(perturbations) == {0, 1, 2}


@pytest.mark.parametrize("size", [1, 5, 8, 16, 20, 40])
def test_noise_is_the_same_however_many_images_are_taken_at_once(size):
    """A batch of 40 is two streams of 16 and one of 8."""

    def drawn(rows: range) -> list[torch.Tensor]:
        source = noise(CPU, 0, 7, rows, 40, ALL)
        n = len(rows)
        return [normal((n, 2, 3), source, CPU), uniform((n,), source, CPU), integers(1000, (n,), source, CPU)]

    whole = drawn(range(40))
    parts = [drawn(range(first, min(first + size, 40))) for first in range(0, 40, size)]
    for number, expected in enumerate(whole):
        assert torch.equal(torch.cat([part[number] for part in parts]), expected)
    assert len(torch.unique(whole[0])) == whole[0].numel()


def test_on_the_cpu_the_noise_of_a_stream_goes_on_where_the_views_stopped():
    by_hand = generator("cpu", "train", 5, 2, 1)
    torch.rand(STREAM, generator=by_hand)  # the flips
    expected = torch.rand(STREAM, generator=by_hand)
    drawn = uniform((32,), noise(CPU, 5, 2, range(32), 32, Augmentation(True, False, 0)), CPU)
    assert torch.equal(drawn[STREAM:], expected)


def test_streams_refuse_to_draw_for_another_number_of_images():
    with pytest.raises(ValueError, match="streams for 4 images were asked for numbers of 5"):
        uniform((5,), noise(CPU, 0, 0, range(4), 40, PLAIN), CPU)
