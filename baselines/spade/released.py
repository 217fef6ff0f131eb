"""Weights that SPADE's authors released, under our names."""

from baselines.parts.spade_names import PIECES, placed


def place(name: str) -> tuple[str, str] | None:
    """(key of `networks`, name in its state dict) of a tensor of NVlabs/SPADE's latest_net_G.pth.

    None for those of its latest_net_D.pth, which only training needs, and latest_net_E.pth, since styles are drawn from N(0, I).
    Its networks have seven blocks; layouts have the raw ids of their data sets as channels, then one for pixels of no class
    (COCO-Stuff: 182 + 1, ADE20K: 150 + 1; Cityscapes, 35, has none), then one for edges between instances (not on ADE20K).
    SemFlowError for a name of another network.
    """
    return placed(name, PIECES)
