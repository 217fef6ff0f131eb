"""The toy's model: batch norm, dropout, spectral norms, and a pool of past pictures, all of which must survive a kill."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu
from torch.nn.utils.parametrizations import spectral_norm

from semflow.loading.batches import Batch
from semflow.loading.pixels import to_unit_range
from semflow.method.contract import Blueprint, Phase
from semflow.method.network import Network
from semflow.method.samplers import Sampler
from semflow.seeds import Source, normal

POOL = 4  # pictures


class Generator(Network):
    """One-hot labels (B, n_classes, H, W) and noise (B, 1, H, W) to pictures (B, 3, H, W) in [-1, 1]."""

    def __init__(self, n_classes: int, width: int) -> None:
        super().__init__()
        self.config = {"n_classes": n_classes, "width": width}
        self.first = nn.Conv2d(n_classes + 1, width, 3, padding=1)
        self.norm, self.drop = nn.BatchNorm2d(width), nn.Dropout(0.1)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, layout: Tensor, noise: Tensor) -> Tensor:
        return self.last(self.drop(relu(self.norm(self.first(torch.cat([layout, noise], 1)))))).tanh()


class Discriminator(Network):
    """A picture (B, 3, H, W) to a patch of scores; keeps some of the pictures that it was shown."""

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Conv2d(3, width, 4, stride=2, padding=1))
        self.last = spectral_norm(nn.Conv2d(width, 1, 3, padding=1))
        self.register_buffer("pool", torch.zeros(POOL, 3, *size))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.last(relu(self.first(pictures)))


class ToyGAN:
    """Least squares, the discriminator on pictures made before the generator's step and on those of the pool."""

    sampling = ("generator",)
    phases = (Phase("generator", ("generator",)), Phase("discriminator", ("discriminator",)))
    rowwise = False  # batch norm, and the pool

    def __init__(self, n_classes: int, size: tuple[int, int], width: int) -> None:
        self.n_classes = n_classes
        self.networks = nn.ModuleDict({"generator": Generator(n_classes, width), "discriminator": Discriminator(width, size)})
        self.beside = nn.ModuleList()

    @classmethod
    def build(cls, blueprint: Blueprint, settings: Any) -> "ToyGAN":
        return cls(blueprint.n_classes, blueprint.size, settings.width)

    def look(self, batch: Batch, source: Source) -> tuple[Tensor, Tensor]:
        return to_unit_range(batch.image), self._layout(batch.mask)

    def losses(self, phase: str, x: tuple[Tensor, Tensor], source: Source, carry: dict[str, Any]) -> dict[str, Tensor]:
        real, layout = x
        judge = self.networks["discriminator"]
        if phase == "generator":
            fake = self.networks["generator"](layout, self._noise(layout, source))
            carry["fake"] = fake.detach()
            return {"adversarial": (judge(fake) - 1).square().mean(), "pixels": 10 * (fake - real).abs().mean()}
        past, fake = judge.pool.clone(), carry["fake"]
        judge.pool.copy_(torch.cat([judge.pool, fake])[-POOL:])
        return {"real": (judge(real) - 1).square().mean(), "fake": judge(torch.cat([fake, past])).square().mean()}

    def synthesize(self, labels: Tensor, sampler: Sampler, generator: Source, amplitude: float | None = None) -> Tensor:
        layout = self._layout(labels)
        return self.networks["generator"](layout, self._noise(layout, generator))

    def _layout(self, labels: Tensor) -> Tensor:
        classes = labels.long().clamp(max=self.n_classes)  # ignored pixels are a class of their own, of which nothing is drawn
        return one_hot(classes, self.n_classes + 1)[..., :-1].movedim(-1, 1).float()

    def _noise(self, like: Tensor, source: Source) -> Tensor:
        return normal((len(like), 1, *like.shape[2:]), source, like.device)
