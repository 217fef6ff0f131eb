"""A method that only tests have: a generator and a discriminator of pixels and labels, with all the state there can be."""

from semflow.method.contract import Card, Recipe, Settings


class ToySettings(Settings):
    """width: channels of both networks."""

    width: int
    generator: Recipe
    discriminator: Recipe


CARD = Card(
    title="Toy GAN",
    colour="tab:green",
    model="baselines.toy_gan.model:ToyGAN",
    tasks={"synthesis": {"direct": 1}},
    default={"synthesis": "direct"},
    Settings=ToySettings,
    reads=("data",),
    seeded=frozenset({"synthesis"}),
)
