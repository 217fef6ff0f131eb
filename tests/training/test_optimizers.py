"""What of a phase has a learning rate of its own, and what decays."""

import pytest
import torch
from torch import nn

from semflow.errors import SemFlowError
from semflow.method.contract import Phase
from semflow.training.optimizers import Recipe, Turn

PHASE = Phase("training", ("slow", "fast"))
RECIPE = Recipe(10, 0.5, "constant", 0, (0.9, 0.999), 0.1, 1.0)


def networks() -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            "slow": nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)),
            "fast": nn.ModuleList([nn.Linear(2, 2), nn.LayerNorm(2), nn.GroupNorm(1, 2), nn.InstanceNorm2d(2, affine=True),
                                   nn.Embedding(3, 2)]),
        }
    )  # fmt: skip


def decayed(recipe: Recipe) -> dict[str, float]:
    """What a step without gradient leaves of each weight, which began as 1: AdamW then does nothing but decay it."""
    turn = Turn(PHASE, networks(), recipe)
    for weight in turn.parameters.values():
        nn.init.ones_(weight)
        weight.grad = torch.zeros_like(weight)
    turn.take(0)
    return {name: weight.mean().item() for name, weight in turn.parameters.items()}


def test_all_weights_decay_alike_where_nothing_else_is_said():
    assert list(decayed(RECIPE).values()) == [pytest.approx(1 - 0.5 * 0.1)] * 13
    assert len(Turn(PHASE, networks(), RECIPE).optimizer.param_groups) == 1


def test_a_network_may_have_a_part_of_the_learning_rate_at_every_step():
    left = decayed(RECIPE._replace(lr_multipliers={"slow": 0.1}))
    for name, value in left.items():
        assert value == pytest.approx(1 - 0.5 * 0.1 * (0.1 if name.startswith("slow") else 1))
    turn = Turn(PHASE, networks(), RECIPE._replace(lr_multipliers={"slow": 0.1}, lr_schedule="linear"))
    turn.take(5)
    assert sorted(group["lr"] for group in turn.optimizer.param_groups) == [pytest.approx(0.025), pytest.approx(0.25)]


def test_norms_and_embeddings_may_be_left_alone():
    left = decayed(RECIPE._replace(decay_norms=False))
    norms = ("slow.1", "fast.1", "fast.2", "fast.3")
    alone = {"fast.4.weight", *(f"{norm}.{part}" for norm in norms for part in ("weight", "bias"))}
    assert alone < left.keys()
    for name, value in left.items():
        assert value == (1 if name in alone else pytest.approx(1 - 0.5 * 0.1))


def test_a_multiplier_of_a_network_that_is_not_moved_is_refused():
    with pytest.raises(SemFlowError, match="lr_multipliers: quick is no network that the phase moves; name fast or slow"):
        Turn(PHASE, networks(), RECIPE._replace(lr_multipliers={"quick": 0.1}))
