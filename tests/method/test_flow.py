"""Path and loss of Eq. 10, against what a pencil gives."""

import numpy as np
import pytest
import torch

from semflow.method import flow


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.randn(3, 2, 4, 5, generator=draws).double(), torch.randn(3, 2, 4, 5, generator=draws).double()


def test_the_path_starts_at_the_image_and_ends_at_the_mask(pair):
    z0, z1 = pair
    assert torch.equal(flow.interpolate(z0, z1, torch.zeros(3)), z0)
    assert torch.equal(flow.interpolate(z0, z1, torch.ones(3)), z1)


def test_half_way_lies_the_mean(pair):
    z0, z1 = pair
    torch.testing.assert_close(flow.interpolate(z0, z1, torch.full((3,), 0.5)), (z0 + z1) / 2)


def test_every_sample_has_its_own_time(pair):
    z0, z1 = pair
    z = flow.interpolate(z0, z1, torch.tensor([0.0, 0.25, 1.0]))
    torch.testing.assert_close(z, torch.stack([z0[0], 0.75 * z0[1] + 0.25 * z1[1], z1[2]]))


def test_the_true_velocity_costs_nothing(pair):
    z0, z1 = pair
    assert flow.loss(lambda z, t: z1 - z0, z0, z1, torch.rand(3)) == 0


def test_standing_still_costs_the_mean_squared_distance(pair):
    z0, z1 = pair
    cost = flow.loss(lambda z, t: torch.zeros_like(z), z0, z1, torch.rand(3))
    assert cost.item() == pytest.approx(np.mean((z1.numpy() - z0.numpy()) ** 2))


def test_loss_and_gradient_of_a_linear_velocity_are_those_on_paper(pair):
    # v = a z: L = mean (a z_t - d)^2 with d = z1 - z0, so dL/da = 2 mean z_t (a z_t - d).
    z0, z1 = pair
    t, a = torch.tensor([0.1, 0.5, 0.8]), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    cost = flow.loss(lambda z, t: a * z, z0, z1, t)
    cost.backward()
    x0, x1, time = z0.numpy(), z1.numpy(), t.numpy().reshape(3, 1, 1, 1)
    zt, d = x0 + time * (x1 - x0), x1 - x0
    assert cost.item() == pytest.approx(np.mean((0.7 * zt - d) ** 2))
    assert a.grad.item() == pytest.approx(2 * np.mean(zt * (0.7 * zt - d)))


def test_the_network_is_asked_at_the_point_and_time_of_the_path(pair):
    z0, z1 = pair
    t, seen = torch.tensor([0.2, 0.4, 0.6]), []
    flow.loss(lambda z, t: seen.append((z, t)) or z, z0, z1, t)
    ((z, asked),) = seen
    assert asked.shape == (3,)
    assert torch.equal(asked, t)
    torch.testing.assert_close(z[1], 0.6 * z0[1] + 0.4 * z1[1])
