"""SPADE: a generator whose batch norms are scaled and shifted by the layout, pixel by pixel (Park et al., 2019)."""

from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from baselines.parts import gan
from baselines.parts.spade import LayoutGAN, LayoutGenerator, Spade, Start, check_size, discriminator_of, finished, up
from semflow.method.contract import Blueprint


class Block(nn.Module):
    """A residual block: norm, rectifier, convolution, twice; where widths differ the shortcut has norm and convolution too."""

    def __init__(self, inside: int, outside: int, classes: int, hidden: int) -> None:
        super().__init__()
        widths = (inside, min(inside, outside), outside)
        self.norms = nn.ModuleList(Spade(width, classes, hidden) for width in widths[:-1])
        self.convolutions = nn.ModuleList(gan.spectral_norm(nn.Conv2d(a, b, 3, padding=1)) for a, b in pairwise(widths))
        self.shortcut_norm: Spade | None = None
        if inside != outside:
            self.shortcut_norm = Spade(inside, classes, hidden)
            self.shortcut = gan.spectral_norm(nn.Conv2d(inside, outside, 1, bias=False))

    def forward(self, x: Tensor, layout: Tensor) -> Tensor:
        same = x if self.shortcut_norm is None else self.shortcut(self.shortcut_norm(x, layout))
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            x = convolution(leaky_relu(norm(x, layout), gan.SLOPE))
        return same + x


class Generator(LayoutGenerator):
    """widths, shrink: of each block its channels, and how many times smaller than the picture it works. size: of the picture."""

    def __init__(
        self, classes: int, size: tuple[int, int], widths: tuple[int, ...], shrink: tuple[int, ...], hidden: int, z: int | None
    ) -> None:
        super().__init__()
        self.config = {
            "classes": classes, "size": list(size), "widths": list(widths), "shrink": list(shrink), "hidden": hidden, "z": z,
        }  # fmt: skip
        self.classes, self.z = classes, z
        self.start = Start(z, classes, widths[0], (size[0] // shrink[0], size[1] // shrink[0]))
        self.blocks = nn.ModuleList(Block(a, b, classes, hidden) for a, b in zip((widths[0], *widths), widths, strict=False))
        self.growth = (1, *(before // after for before, after in pairwise(shrink)))
        self.last = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, layout: Tensor, z: Tensor | None) -> Tensor:
        x = self.start(layout, z)
        for times, block in zip(self.growth, self.blocks, strict=True):
            x = block(up(x, times), layout)
        return finished(x, self.last).tanh()


class SPADE(LayoutGAN):
    """Layouts have no channel for edges between instances: SemFlow's label maps tell classes alone. Ignored pixels are of no
    class, all zeros, where the official code has a class for them.
    """

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "SPADE":
        """SemFlowError if pictures are too small for either network, or cannot be halved as often as the generator does."""
        check_size("spade", settings.shrink[0], blueprint.size)
        z = settings.style.z if settings.style else None
        generator = Generator(
            blueprint.n_classes, blueprint.size, settings.widths, settings.shrink, settings.hidden, z
        )  # fmt: skip
        return cls(generator, discriminator_of("spade", blueprint, settings), settings, blueprint.size)
