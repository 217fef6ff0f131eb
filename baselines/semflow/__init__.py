"""SemFlow, the paper's method: one velocity network between images and masks, in both directions. Its model: `semflow.method`."""

from semflow.method.contract import Card

SOLVERS = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4, "rk45": None}  # evaluations of the network a step

CARD = Card(
    title="SemFlow",
    colour="tab:blue",
    model="semflow.method.semflow:SemFlow",
    tasks={"segmentation": SOLVERS, "synthesis": SOLVERS},
    default={"segmentation": "euler-25", "synthesis": "euler-25"},
    reads=("data", "pseudo_mask", "autoencoder", "network"),
    seeded=frozenset({"synthesis"}),
    trajectory=True,
    velocities=frozenset({"euler"}),
    perturbed=True,
)
