"""Names of the official code of SPADE (NVlabs/SPADE), on which SC-GAN's is built, and what they are here."""

import re
from collections.abc import Mapping

from semflow.errors import SemFlowError

BLOCKS = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3")
PIECES = {
    **{block: f"blocks.{number}" for number, block in enumerate(BLOCKS)},
    "fc": "start.layer",
    "conv_img": "last",
    "conv_0": "convolutions.0",
    "conv_1": "convolutions.1",
    "conv_s": "shortcut",
    "norm_0": "norms.0",
    "norm_1": "norms.1",
    "norm_s": "shortcut_norm",
    "param_free_norm": "norm",
    "mlp_shared.0": "shared",
    "mlp_gamma": "scale",
    "mlp_beta": "shift",
    "weight_orig": "parametrizations.weight.original",  # a spectral norm's, by PyTorch's older way
    "weight_u": "parametrizations.weight.0._u",
    "weight_v": "parametrizations.weight.0._v",
    **{same: same for same in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")},
}
# The discriminators', which only training needs, and the encoder's: styles are drawn, never read off a picture.
UNUSED = re.compile(r"discriminator_\d+\..+|layer\d+\..+|fc_(mu|var)\..+")


def placed(name: str, pieces: Mapping[str, str]) -> tuple[str, str] | None:
    """(key of `networks`, name there) of a tensor of the official code; None for what sampling does not need.

    pieces: of names, what each becomes. SemFlowError for a name that is not made of these.
    """
    if UNUSED.fullmatch(name):
        return None
    piece = re.compile("|".join(rf"(?<![^.]){re.escape(one)}(?![^.])" for one in pieces))
    if piece.sub("", name).strip("."):
        raise SemFlowError(f"{name} is no name of the official code's networks; these weights are of another one")
    return "generator", piece.sub(lambda found: pieces[found[0]], name)
