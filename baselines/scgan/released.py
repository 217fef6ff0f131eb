"""Weights that SC-GAN's authors released, under our names and in our order of classes."""

import torch
from torch import Tensor

from baselines.parts import spade_names

PIECES = {
    **spade_names.PIECES,
    "pyramid_spaital_routing": "routing",  # as it is spelt there
    **{f"labelDec{level + 1}.{layer + bool(level)}": f"levels.{level}.{layer}" for level in range(6) for layer in (0, 2)},
    **{f"toRGB.{layer}": f"picture.{layer}" for layer in (0, 2)},
    "affine_params_groups": "affines",
    **{f"conv_bases.{number}": f"kernels.{number}" for number in range(3)},
}


def place(name: str) -> tuple[str, str] | None:
    """(key of `networks`, name in its state dict) of a tensor of dvlab-research/SCGAN's network G for CelebAMask-HQ.

    None for those of its networks D, which only training needs, and E, since styles are drawn from N(0, I). SemFlowError for a
    name of another network.
    """
    return spade_names.placed(name, PIECES)


def arrange(name: str, value: Tensor, classes: int) -> Tensor:
    """A tensor of theirs as ours is; a layer that a layout goes into has its classes last, after other channels.

    There the background, class 0, comes after all other classes, as pixels of no class do.
    """
    if not name.endswith((".mlp_shared.0.weight", "labelDec1.0.weight", *(f"labelDec{n}.1.weight" for n in range(2, 7)))):
        return value
    others, labels = value[:, :-classes], value[:, -classes:]
    return torch.cat([others, labels.roll(1, 1)], 1)
