"""SPADE: synthesis by an adversarial network whose norms are steered by the layout (Park et al., 2019)."""

from baselines.parts.spade_settings import LayoutGANSettings
from semflow.method.contract import Card

CARD = Card(
    title="SPADE",
    colour="tab:cyan",
    model="baselines.spade.model:SPADE",
    tasks={"synthesis": {"direct": 1}},
    default={"synthesis": "direct"},
    Settings=LayoutGANSettings,
    reads=("data",),
    seeded=frozenset({"synthesis"}),  # with a style
)
