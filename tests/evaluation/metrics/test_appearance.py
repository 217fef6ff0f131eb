"""Brightness, detail and straightness of pictures and paths that are known."""

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from semflow.evaluation.metrics.appearance import (
    LUMA,
    PathLength,
    Straightness,
    box_mean,
    brightness,
    clipped,
    detail,
    detail_gap,
)
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


def test_clipped_pixels_have_a_channel_at_an_end_of_its_range():
    picture = torch.full((2, 3, 4, 5), 100, dtype=torch.uint8)
    picture[0, 0, 0, 0] = 255
    picture[0, :, 0, 1] = 0  # all three of one pixel
    picture[0, 2, 0, 2], picture[0, 1, 0, 3] = 1, 254
    assert clipped(picture).tolist() == pytest.approx([100 * 2 / 20, 0])


def test_box_means_are_those_of_scipy():
    pixels = torch.rand(2, 3, 6, 9)
    theirs = uniform_filter(pixels.double().numpy(), size=(1, 1, 3, 3), mode="nearest")
    np.testing.assert_allclose(box_mean(pixels), theirs, atol=1e-6)


def test_detail_is_worked_out_pixel_by_pixel_inside_regions():
    rng = np.random.default_rng(0)
    image, labels = rng.integers(256, size=(3, 12, 14)), rng.integers(2, size=(3, 14 // 2)).repeat(4, 0).repeat(2, 1)
    labels[8:, 10:] = 255
    y = np.tensordot(LUMA, image, 1)
    found = []
    for row in range(1, 11):
        for column in range(1, 13):
            around = np.s_[row - 1 : row + 2, column - 1 : column + 2]
            if len(set(labels[around].flat)) == 1 and labels[row, column] != 255:
                found.append((y[row, column] - y[around].mean()) ** 2)
    ours = detail(torch.from_numpy(image).byte()[None], torch.from_numpy(labels).byte()[None])
    assert len(found) > 10
    assert ours.item() == pytest.approx(np.mean(found), rel=1e-5)


ONE_REGION = torch.zeros(1, 16, 24, dtype=torch.uint8)


def test_detail_of_a_checkerboard_is_its_contrast_and_of_a_slope_none():
    board = 100 + 45 * (2.0 * ((torch.arange(16)[:, None] + torch.arange(24)) % 2) - 1)  # the mean of 9 is 5 off the level
    slope = 3.0 * torch.arange(24).expand(16, 24)
    assert detail(grey(board), ONE_REGION).item() == pytest.approx(40**2, rel=1e-5)
    assert detail(grey(slope), ONE_REGION).item() == pytest.approx(0, abs=1e-6)


def test_borders_of_regions_are_no_detail_and_a_layout_of_borders_alone_has_none():
    labels = (torch.arange(24) // 4 % 2).expand(1, 16, 24).byte()
    stripes = grey(200.0 * labels[0])
    assert detail(stripes, labels).item() == pytest.approx(0, abs=1e-6)
    assert detail(stripes, ONE_REGION).item() > 1000
    assert detail(stripes, (torch.arange(24) % 2).expand(1, 16, 24).byte()).item() == 0


def test_a_smoothed_picture_has_less_detail():
    noise = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(0)) * 255
    smooth = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    assert detail(grey(smooth[0, 0]), ONE_REGION) < 0.2 * detail(grey(noise[0, 0]), ONE_REGION)


def test_details_gap_is_in_octaves_either_way_and_finite_for_flat_pictures():
    def board(contrast):
        return grey(100 + contrast * (2.0 * ((torch.arange(16)[:, None] + torch.arange(24)) % 2) - 1))

    gap = {c: detail_gap(board(c), board(9), ONE_REGION).item() for c in (0, 9, 18, 36)}
    assert gap[9] == 0
    assert (gap[18], gap[36]) == pytest.approx((2, 4), abs=1e-4)  # the contrast squared
    assert detail_gap(board(9), board(18), ONE_REGION).item() == pytest.approx(2, abs=1e-4)
    assert gap[0] == pytest.approx(6, abs=1e-4)  # (9 - 1)^2 over the floor of 1


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


def length_excess(states) -> torch.Tensor:
    path = PathLength()
    for state in states:
        path.add(state)
    return path.value()


def test_a_path_around_a_corner_is_longer_than_its_chord_by_the_roots_of_two():
    corner = torch.zeros(3, 2, 1, 1, 2)  # of two paths: three states of one pixel with two channels
    corner[1, 0, ..., 0] = corner[2, 0] = 1.0
    corner[1, 1] = corner[2, 1] = 5.0  # straight, and then at rest
    assert length_excess(corner).tolist() == pytest.approx([100 * (2**0.5 - 1), 0], abs=1e-6)


def test_half_a_circle_is_longer_than_its_diameter_by_pi_over_two():
    angles = torch.linspace(0, torch.pi, 2001, dtype=torch.float64)
    states = torch.stack([angles.cos(), angles.sin()], 1).view(-1, 1, 2, 1, 1)
    assert length_excess(states).item() == pytest.approx(100 * (torch.pi / 2 - 1), rel=1e-5)
