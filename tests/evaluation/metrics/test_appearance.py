"""Brightness, detail and straightness of pictures and paths that are known."""

import math

import pytest
import torch

from semflow.evaluation.metrics.appearance import Straightness, brightness, high_frequency_energy
from semflow.method import solvers


def grey(pixels: torch.Tensor) -> torch.Tensor:
    """(H, W) grey levels to uint8 (1, 3, H, W)."""
    return pixels.round().clamp(0, 255).byte().expand(1, 3, *pixels.shape)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_brightness_of_a_grey_picture_is_its_level(level):
    assert brightness(grey(torch.full((8, 12), float(level)))).item() == pytest.approx(level, rel=1e-6)


@pytest.mark.parametrize(("channel", "luma"), [(0, 76.245), (1, 149.685), (2, 29.07)])
def test_brightness_of_a_pure_colour_is_its_luma(channel, luma):
    picture = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    picture[:, channel] = 255
    assert brightness(picture).item() == pytest.approx(luma, rel=1e-6)


def test_high_frequency_energy_of_a_checkerboard_is_all_its_variance_and_of_a_slow_wave_none():
    board = 100 + 50 * (2.0 * ((torch.arange(16)[:, None] + torch.arange(24)) % 2) - 1)
    slow = 128 + 100 * torch.cos(2 * math.pi * torch.arange(24) / 24).expand(16, 24)
    assert high_frequency_energy(grey(board)).item() == pytest.approx(2500, rel=1e-5)
    assert high_frequency_energy(grey(slow)).item() < 0.1  # rounding to grey levels


def test_a_smoothed_picture_has_less_of_it():
    noise = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
    smooth = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    assert high_frequency_energy(grey(smooth[0, 0])) < 0.2 * high_frequency_energy(grey(noise[0, 0]))


def straightness(states, grid) -> torch.Tensor:
    path = Straightness(grid)
    for state in states:
        path.add(state)
    return path.value()


@pytest.mark.parametrize("reverse", [False, True])
def test_a_straight_path_has_straightness_0(reverse):
    grid = solvers.time_grid(7, reverse)
    start = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    states = [start, *solvers.euler(lambda z, t: torch.full_like(z, 2.0), start, grid)]
    torch.testing.assert_close(straightness(states, grid), torch.zeros(2, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("reverse", [False, True])
def test_straightness_of_a_known_bent_path(reverse):
    # z = t^2: v = 2 t, end - start = 1, and the integral of (1 - 2 t)^2 over [0, 1] is 1/3.
    grid = solvers.time_grid(400, reverse)
    states = [(t**2).float().expand(1, 1, 2, 2) for t in grid]
    assert straightness(states, grid).item() == pytest.approx(1 / 3, rel=1e-3)


def test_straightness_wants_a_state_for_every_time():
    with pytest.raises(AssertionError, match="every time of the grid"):
        straightness([torch.zeros(1, 1, 1, 1)], solvers.time_grid(2))
