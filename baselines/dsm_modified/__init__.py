"""DSM, modified to be a stronger baseline for networks that were not pretrained; the paper has no such row."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from baselines.dsm import CARD as PUBLISHED
from baselines.dsm import DSMSettings


class ModifiedDSMSettings(DSMSettings):
    """mask_scale: what mask latents are multiplied by before Eq. 1, see model.py; the paper's is 1."""

    mask_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]


CARD = replace(
    PUBLISHED,
    title="DSM, modified",
    colour="tab:olive",
    model="baselines.dsm_modified.model:ModifiedDSM",
    Settings=ModifiedDSMSettings,
    modified="masks are scaled down and the network is preconditioned (stronger than the paper's DSM)",
)
