"""Where weights that the authors released belong."""

from baselines.parts.resnet import place_of
from semflow.errors import SemFlowError

LAST = 26  # the last convolution's number among the official generator's layers
FILES = {"G_A": "to_mask", "G_B": "to_image"}


def place(name: str) -> tuple[str, str] | None:
    """From a name in the state dicts of junyanz/pytorch-CycleGAN-and-pix2pix, after the network whose it is, as in
    `G_A.model.1.weight`: the network's key, and the name there; None for what norms saved and never use.

    The two networks are two files with the same names: G_A is `latest_net_G_A.pth` or the released cityscapes_photo2label, G_B
    `latest_net_G_B.pth` or cityscapes_label2photo. Their masks have Cityscapes' own colours, not those of Eq. 7. SemFlowError for
    any other name.
    """
    file, _, rest = name.partition(".")
    if file not in FILES:
        raise SemFlowError(f"{name} does not say which generator it is of; put {' or '.join(FILES)} and a dot before it")
    found = place_of(rest, LAST)
    return None if found is None else (FILES[file], found)
