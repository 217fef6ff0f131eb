"""Solvers against differential equations with a closed form."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from semflow.errors import SemFlowError
from semflow.method import solvers

STEPS = [1, 2, 3, 5, 7, 10, 25, 30, 49, 200, 1000]


def last(velocity, z, grid):
    *_, end = solvers.euler(velocity, z, grid)
    return end


def latents(value: float = 1.0) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value, dtype=torch.float64)


@pytest.mark.parametrize("n", STEPS)
def test_grid_has_n_equal_steps_from_exactly_0_to_exactly_1(n):
    grid = solvers.time_grid(n)
    assert grid.shape == (n + 1,)
    assert grid[0] == 0
    assert grid[-1] == 1
    assert (grid.diff() > 0).all()
    torch.testing.assert_close(grid.diff(), torch.full((n,), 1 / n, dtype=torch.float64), rtol=0, atol=1e-15)


@pytest.mark.parametrize("n", STEPS)
def test_reverse_grid_is_the_grid_flipped(n):
    assert solvers.time_grid(n, reverse=True).tolist() == solvers.time_grid(n).tolist()[::-1]


@pytest.mark.parametrize("n", [0, -1])
def test_fewer_than_one_step_is_refused(n):
    with pytest.raises(ValueError, match=f"{n} steps"):
        solvers.time_grid(n)


@pytest.mark.parametrize("n", STEPS)
def test_constant_field_is_integrated_exactly(n):
    assert last(lambda z, t: torch.full_like(z, 3.0), latents(2), solvers.time_grid(n)).item() == pytest.approx(5, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7, 30])
@pytest.mark.parametrize("a", [-1.5, 0.8])
def test_linear_field_gives_the_compound_interest(n, a):
    end = last(lambda z, t: a * z, latents(2), solvers.time_grid(n))
    assert end.item() == pytest.approx(2 * (1 + a / n) ** n, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_reverse_grid_integrates_backwards(n):
    a = 0.8
    end = last(lambda z, t: a * z, latents(2), solvers.time_grid(n, reverse=True))
    assert end.item() == pytest.approx(2 * (1 - a / n) ** n, rel=1e-12)


def test_error_of_a_nonlinear_field_halves_with_the_step():
    # dz/dt = t z^2, z(0) = 1 has z(t) = 1 / (1 - t^2 / 2), so z(1) = 2.
    errors = [abs(last(lambda z, t: t * z**2, latents(), solvers.time_grid(n)).item() - 2) for n in (200, 400, 800)]
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.05)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.03)


def test_there_and_back_returns_as_the_step_shrinks():
    # dz/dt = cos(2 z) is smooth and autonomous: the exact flow undoes itself.
    def field(z, t):
        return torch.cos(2 * z)

    there = last(field, latents(0.3), solvers.time_grid(5000))
    back = last(field, there, solvers.time_grid(5000, reverse=True))
    assert back.item() == pytest.approx(0.3, abs=1e-3)
    assert there.item() == pytest.approx(math.asin(math.tanh(2 + math.atanh(math.sin(0.6)))) / 2, abs=1e-3)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_field_is_asked_at_the_start_of_every_step(reverse):
    seen, grid = [], solvers.time_grid(7, reverse)
    for _ in solvers.euler(lambda z, t: seen.append(t) or z, latents(), grid):
        pass
    assert [t.item() for t in seen] == grid[:-1].tolist()
    assert all(t.ndim == 0 for t in seen)


def test_every_state_after_the_first_is_yielded():
    states = [z.item() for z in solvers.euler(lambda z, t: torch.ones_like(z), latents(0), solvers.time_grid(4))]
    assert states == [0.25, 0.5, 0.75, 1.0]


def test_the_start_is_not_written_over():
    start = latents(2)
    last(lambda z, t: z, start, solvers.time_grid(3))
    assert start.item() == 2


def test_latents_keep_their_dtype():
    assert last(lambda z, t: z, torch.ones(1, 1, 1, 1), solvers.time_grid(3)).dtype == torch.float32


def curved(z, t):
    """dz/dt = -(1 + t) z^2 with z(0) = 1 has z(t) = 1 / (1 + t + t^2 / 2), so z(1) = 0.4."""
    return -(1 + t) * z**2


class Counted:
    """A field that counts how often it is asked."""

    def __init__(self, field):
        self.field, self.calls = field, 0

    def __call__(self, z, t):
        self.calls += 1
        return self.field(z, t)


@pytest.mark.parametrize(("name", "order", "a_step"), [("euler", 1, 1), ("midpoint", 2, 2), ("heun", 2, 2), ("rk4", 4, 4)])
def test_fixed_step_solvers_converge_at_their_order_with_their_number_of_evaluations(name, order, a_step):
    errors = []
    for n in (20, 40, 80):
        field = Counted(curved)
        *_, end = solvers.solve(name, field, latents(), solvers.time_grid(n))
        errors.append(abs(end.item() - 0.4))
        assert field.calls == a_step * n
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)


def test_rk45_reaches_its_tolerance_and_converges_at_order_5_in_evaluations():
    errors, calls = [], []
    for tolerance in (1e-5, 1e-7, 1e-9, 1e-11):
        field = Counted(curved)
        *_, end = solvers.solve("rk45", field, latents(), solvers.time_grid(1), tolerance)
        errors.append(abs(end.item() - 0.4))
        calls.append(field.calls)
        assert errors[-1] < 20 * tolerance
    slope = np.polyfit(np.log(calls), np.log(errors), 1)[0]
    assert slope < -4.5


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["euler", "midpoint", "heun", "rk4", "rk45"])
def test_no_solver_asks_the_network_beyond_the_ends(name, reverse):
    asked = []

    def field(z, t):
        asked.append(float(t))
        return curved(z, t)

    grid = solvers.time_grid(7, reverse)
    *_, end = solvers.solve(name, field, latents(0.4 if reverse else 1.0), grid)
    assert 0 <= min(asked) <= max(asked) <= 1
    if name == "rk45":
        assert end.item() == pytest.approx(1.0 if reverse else 0.4, abs=1e-5)


@pytest.mark.parametrize("name", ["euler", "midpoint", "heun", "rk4", "rk45"])
def test_forward_then_reverse_returns(name):
    def field(z, t):
        return torch.cos(2 * z) + t

    *_, there = solvers.solve(name, field, latents(0.3), solvers.time_grid(400))
    *_, back = solvers.solve(name, field, there, solvers.time_grid(400, reverse=True))
    assert back.item() == pytest.approx(0.3, abs=5e-3 if name == "euler" else 1e-4)
    assert abs(there.item() - 0.3) > 0.5


@pytest.mark.parametrize("name", ["euler", "midpoint", "heun", "rk4", "rk45"])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_solver_yields_one_state_for_every_later_time_of_the_grid(name, reverse):
    start = torch.zeros(2, 3, 4, 4)
    states = list(solvers.solve(name, lambda z, t: torch.ones_like(z), start, solvers.time_grid(4, reverse)))
    times = torch.tensor([0.25, 0.5, 0.75, 1.0]) * (-1 if reverse else 1)
    assert [tuple(state.shape) for state in states] == [(2, 3, 4, 4)] * 4
    assert all(state.dtype == torch.float32 for state in states)
    for state, value in zip(states, times, strict=True):
        torch.testing.assert_close(state, value.expand(2, 3, 4, 4))


def test_a_field_that_is_not_finite_is_one_sentence_under_rk45():
    with pytest.raises(SemFlowError, match="rk45 finds no step"):
        list(solvers.solve("rk45", lambda z, t: z * math.nan, latents(), solvers.time_grid(1)))
