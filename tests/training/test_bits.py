"""The loop against that of the first version: diffusers' average and schedule, one network, one optimizer."""

import hashlib

import pytest
import torch
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file, save

from semflow.data import open_dataset
from semflow.loading.batches import Views, load
from semflow.loading.pixels import to_unit_range
from semflow.loading.steps import Steps, noise
from semflow.method.network import WEIGHTS
from semflow.suite import reading
from semflow.training.build import make_model
from semflow.training.loop import augmentation_of, train

STEPS = 12


def first_versions_loop(suite, method: str) -> dict[str, torch.Tensor]:
    """Weights after the suite's training, as the loop of version 0.1.0 had them."""
    settings = suite.training
    model = make_model(suite, method, 0)
    network = model.network.train()
    options = {"lr": settings.lr, "betas": settings.betas, "weight_decay": settings.weight_decay, "fused": True}
    optimizer = torch.optim.AdamW(network.parameters(), **options)
    average = EMAModel(network.parameters(), decay=settings.ema_decay, foreach=True)
    anything = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    shape = get_scheduler(
        settings.lr_schedule, anything, num_warmup_steps=settings.warmup_steps, num_training_steps=settings.steps
    )
    (factor,) = shape.lr_lambdas
    dataset, rows, choices = open_dataset(suite.data, "train"), range(settings.batch_size), augmentation_of(suite)
    order = Steps(len(dataset), settings.batch_size, 0, 0, settings.steps, choices)
    for step, batch in enumerate(load(Views(dataset), order, 0)):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * factor(step + 1 if step < settings.warmup_steps else step)
        draws = noise(torch.device("cpu"), 0, step, rows, settings.batch_size, choices)
        with torch.no_grad():
            image = model.autoencoder.encode(to_unit_range(batch.image), draws)
            mask = model.encode_labels(batch.mask, draws)
        (loss,) = model.losses(model.phases[0].name, (image, mask), draws, {}).values()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.step(network.parameters())
    average.copy_to(network.parameters())
    return network.unet.state_dict()


def sha256(weights: dict[str, torch.Tensor]) -> str:
    return hashlib.sha256(save({name: value.contiguous() for name, value in sorted(weights.items())})).hexdigest()


@pytest.mark.parametrize("method", ["semflow", "dsm", "dsm_modified"])
def test_smokes_weights_are_those_of_the_first_versions_loop(config_folder, tmp_path, method):
    suite = reading.load(config_folder / "smoke.yaml")
    suite = suite.model_copy(update={"training": suite.training.model_copy(update={"steps": STEPS})})
    train(suite, method, 0, tmp_path / "state", tmp_path / "out")
    assert sha256(load_file(tmp_path / "out" / WEIGHTS)) == sha256(first_versions_loop(suite, method))
