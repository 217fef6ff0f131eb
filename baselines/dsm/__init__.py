"""DSM: segmentation by diffusion, conditioned on the image (Eq. 1 to 6)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from semflow.method.contract import Card, Settings
from semflow.method.settings import TRAIN_TIMESTEPS


class DSMSettings(Settings):
    """timestep_spacing: diffusers' name for which N timesteps of 1000 are visited; leading is Stable Diffusion's.

    mask_scale, preconditioning: modifications for a network that was not pretrained, see model.py; the paper has 1 and none.
    """

    timestep_spacing: Literal["leading", "trailing"]
    mask_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    preconditioning: bool


def modified(settings: dict[str, Any]) -> str:
    """What settings change of Eq. 2, in one sentence."""
    scale, preconditioned = settings.get("mask_scale", 1), settings.get("preconditioning", False)
    if scale == 1 and not preconditioned:
        return ""
    network = "the network is preconditioned" if preconditioned else "the network is as published"
    return f"DSM is modified here (stronger than the paper's): masks are scaled by {scale:g}, {network}."


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
    modified=modified,
)
