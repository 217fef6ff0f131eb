"""How much of a picture a patch discriminator's score sees."""

import torch
from torch import nn

SIDE = 160  # pixels, more than any field


def field_of(discriminator, channels: int) -> int:
    """Rows of a picture that the score in the middle depends on, instance norms left out, since they see the whole picture.

    discriminator: one scale, a PatchDiscriminator.
    """
    parts = [part for layer in discriminator.layers for part in (layer if isinstance(layer, nn.Sequential) else [layer])]
    network = nn.Sequential(*(part for part in parts if not isinstance(part, nn.InstanceNorm2d)))
    picture = torch.rand(1, channels, SIDE, SIDE, requires_grad=True)
    scores = network(picture)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    rows = picture.grad[0].abs().sum((0, 2)).nonzero()
    return int(rows.max() - rows.min()) + 1
