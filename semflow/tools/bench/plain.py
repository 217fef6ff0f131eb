"""The training loop of public scripts, to hold ours against: the same network, data, batch, precision and optimizer.

Both encoders run in every step, pictures are normalised and masks become colours on the CPU in floats, the loss is read back at
every step, nothing is compiled, fused or laid out otherwise than PyTorch does by itself. Kernels are deterministic on both sides.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from diffusers.optimization import get_scheduler
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler

from semflow import published
from semflow.data.sample import Dataset, Sample
from semflow.loading.pixels import to_unit_range
from semflow.suite import Suite
from semflow.training.build import make_model


class Floats(torch.utils.data.Dataset):
    """Pictures and pseudo masks, float32 (3, H, W) in [-1, 1]."""

    def __init__(self, dataset: Dataset | list[Sample], encode: Callable[[Tensor], Tensor]) -> None:
        self.dataset, self.encode = dataset, encode

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, labels = self.dataset[index]
        pixels = to_unit_range(torch.from_numpy(image))
        mask = self.encode(torch.from_numpy(labels)[None])[0]
        return (pixels.flip(-1), mask.flip(-1)) if torch.rand(()) < 0.5 else (pixels, mask)


class PlainLoop:
    """Eq. 10 with perturbed masks, `micro_batch` images at a time."""

    def __init__(self, suite: Suite, dataset: Dataset | list[Sample], device: torch.device, bf16: bool, micro_batch: int) -> None:
        settings = suite.training
        self.settings, self.device, self.bf16, self.micro_batch = settings, device, bf16, micro_batch
        self.model = cast(Any, make_model(suite, published.subject()))
        self.amplitude = suite.pseudo_mask.amplitude
        self.network = self.model.network.to(device).train()
        self.autoencoder = self.model.autoencoder.to(device)
        self.autoencoder.precision = "bf16" if bf16 else "fp32"
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay
        )
        self.scheduler = get_scheduler(
            "constant_with_warmup" if settings.lr_schedule == "constant" else settings.lr_schedule,
            self.optimizer,
            num_warmup_steps=settings.warmup_steps,
            num_training_steps=settings.steps,
        )
        floats = Floats(dataset, self.model.pseudo_mask.encode)
        order = RandomSampler(floats, replacement=True, num_samples=1000 * micro_batch)  # however few images there are
        self.loader = DataLoader(floats, micro_batch, sampler=order, num_workers=suite.run.workers)
        self.batches = self._endless()

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def step(self) -> float:
        """One optimizer step; returns its loss."""
        total, parts = 0.0, self.settings.batch_size // self.micro_batch
        for _ in range(parts):
            images, masks = (part.to(self.device) for part in next(self.batches))
            with torch.no_grad():
                z0 = self.autoencoder.encode(images, torch.default_generator if self.device.type == "cpu" else None)
                noise = (2 * torch.rand_like(masks) - 1) * (self.amplitude / 127.5)
                z1 = self.autoencoder.encode(masks + noise)
            t = torch.rand(len(z0), device=self.device)
            at = t.view(-1, 1, 1, 1)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                velocity = self.network((1 - at) * z0 + at * z1, t)
            loss = torch.nn.functional.mse_loss(velocity.float(), z1 - z0) / parts
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.grad_clip or math.inf)
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad()
        return total
