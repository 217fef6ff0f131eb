"""SC-GAN: a generator whose convolutions and norms are mixed for every pixel by semantic vectors (Wang et al., 2021).

A small network makes semantic vectors of the layout at every size; their channels in groups, each group's mean, and the softmax
of these over the groups weigh the kernels that a pixel is convolved by, and the scale and shift that it has after batch norm.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, conv2d, l1_loss, leaky_relu

from baselines.parts import gan
from baselines.parts.spade import LayoutGAN, LayoutGenerator, Seen, Spade, Start, check_size, discriminator_of, finished, up
from semflow.method.contract import Blueprint
from semflow.seeds import Source


def window(size: int, sigma: float) -> Tensor:
    """A Gaussian (size, size) whose middle is 1."""
    line = torch.exp(-((torch.arange(size) - size // 2).float() / sigma).square() / 2)
    return line[:, None] * line


def blurred(layout: Tensor, kernel: Tensor) -> Tensor:
    """Every class of a layout (B, classes, H, W) under a kernel (k, k), kept where the class is, 0 elsewhere."""
    classes = layout.shape[1]
    return conv2d(layout, kernel.expand(classes, 1, -1, -1), padding=len(kernel) // 2, groups=classes) * layout


def pyramid(layout: Tensor, levels: int, kernel: Tensor, n_blurred: int) -> list[Tensor]:
    """A layout (B, classes, H, W) at so many sizes, each half the next, the whole last; the finest `n_blurred` of them blurred.

    As in the official code a level is taken from the one above it, which but for the finest is blurred already.
    """
    found = [layout]
    for level in range(1, levels):
        half = found[0][..., ::2, ::2]
        found.insert(0, blurred(half, kernel) if level < n_blurred else half)
    return [*found[:-1], blurred(layout, kernel) if n_blurred else layout]


class Routing(nn.Module):
    """A layout (B, classes, H, W) to semantic vectors (B, widths[n], h, w) of every size, the coarsest first, and from the finest
    ones a coarse picture (B, 3, H, W).
    """

    kernel: Tensor

    def __init__(self, classes: int, widths: tuple[int, ...], blur: dict[str, Any]) -> None:
        super().__init__()
        self.n_blurred = blur["levels"]
        self.register_buffer("kernel", window(blur["window"], blur["sigma"]), persistent=False)
        self.levels = nn.ModuleList(
            nn.Sequential(convolution(a + classes, b), nn.LeakyReLU(gan.SLOPE), convolution(b, b))
            for a, b in pairwise((0, *widths))
        )
        self.picture = nn.Sequential(
            convolution(widths[-1], widths[-1] // 2), nn.LeakyReLU(gan.SLOPE), convolution(widths[-1] // 2, 3), nn.Hardtanh()
        )

    def forward(self, layout: Tensor) -> tuple[list[Tensor], Tensor]:
        vectors = list[Tensor]()
        for level, labels in zip(self.levels, pyramid(layout, len(self.levels), self.kernel, self.n_blurred), strict=True):
            below = [up(leaky_relu(vectors[-1], gan.SLOPE), 2)] if vectors else []
            vectors.append(level(torch.cat([*below, labels], 1)))
        return vectors, self.picture(vectors[-1])


def convolution(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, padding=1)


def mixture(vectors: Tensor, groups: int, temperature: float) -> Tensor:
    """Semantic vectors (B, C, h, w) to the softmax, over groups of their channels, of each group's mean: (B, groups, h, w)."""
    shares = adaptive_avg_pool1d(torch.eye(vectors.shape[1], device=vectors.device), groups).T  # (groups, C)
    return (temperature * conv2d(vectors, shares[..., None, None].to(vectors.dtype))).softmax(1)


class MixedConvolution(nn.Module):
    """Features (B, inside, h, w) by several kernels 3 x 3, weighed for every pixel by a mixture (B, kernels, h, w)."""

    def __init__(self, inside: int, outside: int, kernels: int) -> None:
        super().__init__()
        self.kernels = nn.ModuleList(
            gan.spectral_norm(nn.Conv2d(inside, outside, 3, padding=1, bias=False)) for _ in range(kernels)
        )  # fmt: skip

    def forward(self, x: Tensor, mixture: Tensor) -> Tensor:
        weighed = [mixture[:, n : n + 1] * kernel(x) for n, kernel in enumerate(self.kernels)]
        return sum(weighed[1:], weighed[0])


class MixedNorm(nn.Module):
    """Batch norm, then scale and shift mixed for every pixel from a few by a mixture (B, affines, h, w)."""

    def __init__(self, channels: int, affines: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.affines = nn.Parameter(torch.zeros(affines, 2 * channels))  # scales, then shifts

    def forward(self, x: Tensor, mixture: Tensor) -> Tensor:
        scale, shift = conv2d(mixture, self.affines.T[..., None, None]).chunk(2, 1)
        return self.norm(x) * (1 + scale) + shift


class Block(nn.Module):
    """A residual block: norm, rectifier, convolution, twice, all mixed; where widths differ the shortcut is steered by the layout
    itself, as in SPADE, and not mixed.
    """

    def __init__(self, inside: int, outside: int, classes: int, hidden: int, kernels: int, affines: int) -> None:
        super().__init__()
        widths = (inside, min(inside, outside), outside)
        self.norms = nn.ModuleList(MixedNorm(width, affines) for width in widths[:-1])
        self.convolutions = nn.ModuleList(MixedConvolution(a, b, kernels) for a, b in pairwise(widths))
        self.shortcut_norm: Spade | None = None
        if inside != outside:
            self.shortcut_norm = Spade(inside, classes, hidden)
            self.shortcut = gan.spectral_norm(convolution(inside, outside))

    def forward(self, x: Tensor, of_kernels: Tensor, of_affines: Tensor, layout: Tensor) -> Tensor:
        same = x if self.shortcut_norm is None else self.shortcut(self.shortcut_norm(x, layout))
        for norm, mixed in zip(self.norms, self.convolutions, strict=True):
            x = mixed(leaky_relu(norm(x, of_affines), gan.SLOPE), of_kernels)
        return same + x


class Generator(LayoutGenerator):
    """widths, shrink: of each block its channels, and how many times smaller than the picture it works. size: of the picture.

    It gives two pictures: the finished one, and the coarse one of its semantic vectors.
    """

    def __init__(
        self,
        classes: int,
        size: tuple[int, int],
        first: int,
        widths: tuple[int, ...],
        shrink: tuple[int, ...],
        routing: tuple[int, ...],
        hidden: int,
        kernels: int,
        affines: int,
        temperature: float,
        blur: dict[str, Any],
        z: int | None,
    ) -> None:
        super().__init__()
        self.config = {
            "classes": classes, "size": list(size), "first": first, "widths": list(widths), "shrink": list(shrink),
            "routing": list(routing), "hidden": hidden, "kernels": kernels, "affines": affines, "temperature": temperature,
            "blur": blur, "z": z,
        }  # fmt: skip
        self.classes, self.z = classes, z
        self.kernels, self.affines, self.temperature = kernels, affines, temperature
        self.start = Start(z, classes, first, (size[0] // shrink[0], size[1] // shrink[0]))
        self.routing = Routing(classes, routing, blur)
        self.blocks = nn.ModuleList(
            Block(a, b, classes, hidden, kernels, affines) for a, b in zip((first, *widths), widths, strict=False)
        )
        self.growth = (1, *(before // after for before, after in pairwise(shrink)))
        self.level = [sorted(set(shrink), reverse=True).index(times) for times in shrink]  # whose vectors each block is given
        self.last = convolution(widths[-1], 3)

    def forward(self, layout: Tensor, z: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self.start(layout, z)
        vectors, coarse = self.routing(layout)
        mixtures = [[mixture(level, n, self.temperature) for n in (self.kernels, self.affines)] for level in vectors]
        for times, level, block in zip(self.growth, self.level, self.blocks, strict=True):
            x = block(up(x, times), *mixtures[level], layout)
        return finished(x, self.last).clamp(-1, 1), coarse


class SCGAN(LayoutGAN):
    """Ignored pixels are of no class, all zeros, where the official code has a class for them."""

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "SCGAN":
        """SemFlowError if pictures are too small for either network, or cannot be halved as often as the generator does."""
        check_size("scgan", settings.shrink[0], blueprint.size)
        own = {"first", "widths", "shrink", "routing", "hidden", "kernels", "affines", "temperature", "blur"}
        z = settings.style.z if settings.style else None
        generator = Generator(blueprint.n_classes, blueprint.size, **settings.model_dump(include=own), z=z)
        return cls(generator, discriminator_of("scgan", blueprint, settings), settings, blueprint.size)

    def draw(self, layout: Tensor, z: Tensor | None, carry: dict[str, Any]) -> Tensor:
        picture, carry["coarse"] = self.networks["generator"](layout, z)
        return picture

    def of_drawing(self, x: Seen, source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        """The generator's losses, and L1 of the coarse picture."""
        losses = super().of_drawing(x, source, carry)
        return losses | {"coarse": self.settings.coarse * l1_loss(carry.pop("coarse"), x.real)}
