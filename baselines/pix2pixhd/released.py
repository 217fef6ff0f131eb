"""Where weights that were released, or that the official code trained, belong."""

from baselines.parts.resnet import place_of

LAST = 38  # the last convolution's number among the official global generator's layers


def place(name: str) -> tuple[str, str] | None:
    """From a name in NVIDIA/pix2pixHD's `latest_net_G.pth` of `--netG global`: the network's key, and the name there; None for
    what norms saved and never use.

    The published weights (label2city_1024p) are of `--netG local`: a global generator without its last convolution, `model.*`,
    and an enhancer for 2048 x 1024, `model1_1.*` and `model1_2.*`, which is not built here. SemFlowError for such names.
    """
    found = place_of(name, LAST)
    return None if found is None else ("generator", found)
