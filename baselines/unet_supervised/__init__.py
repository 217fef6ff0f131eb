"""A plain UNet with cross-entropy: the suite's network on pixels, an upper reference and a second judge."""

from semflow.method.contract import Card, Recipe, Settings


class UNetSettings(Settings):
    """training: the recipe, where it is not the suite's."""

    training: Recipe | None = None


CARD = Card(
    title="UNet (cross-entropy)",
    colour="dimgray",
    model="baselines.unet_supervised.model:SupervisedUNet",
    tasks={"segmentation": {"direct": 1}},
    default={"segmentation": "direct"},
    Settings=UNetSettings,
    reads=("data", "network"),
)
