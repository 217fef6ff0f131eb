"""DSM: segmentation by diffusion, conditioned on the image (Eq. 1 to 6)."""

from typing import Literal

from semflow.method.contract import Card, Settings
from semflow.method.settings import TRAIN_TIMESTEPS


class DSMSettings(Settings):
    """timestep_spacing: diffusers' name for which N timesteps of 1000 are visited; leading is Stable Diffusion's."""

    timestep_spacing: Literal["leading", "trailing"]


CARD = Card(
    title="DSM",
    colour="tab:orange",
    model="baselines.dsm.model:DSM",
    tasks={"segmentation": {"ddim": 1, "ddpm": 1}},
    default={"segmentation": "ddpm-200"},
    Settings=DSMSettings,
    reads=("data", "pseudo_mask", "autoencoder", "network"),
    seeded=frozenset({"segmentation"}),
    steps_divide=TRAIN_TIMESTEPS,
)
