"""The UNet wrapper, against diffusers called directly."""

import pytest
import torch
from diffusers import UNet2DModel

from semflow.networks import UNet, make_unet


@pytest.fixture
def unet(tiny_suite) -> UNet2DModel:
    return make_unet(tiny_suite.network, 6, 3, (16, 16)).eval()


@pytest.fixture
def z() -> torch.Tensor:
    return torch.randn(2, 6, 16, 16)


@torch.no_grad()
def test_time_reaches_diffusers_a_thousandfold(unet, z):
    t = torch.tensor([0.25, 0.731])
    torch.testing.assert_close(UNet(unet, 1000)(z, t), unet(z, torch.tensor([250.0, 731.0])).sample)
    assert not torch.allclose(UNet(unet, 1000)(z, t), unet(z, t).sample)


@torch.no_grad()
def test_whole_timesteps_reach_diffusers_unchanged(unet, z):
    assert torch.equal(UNet(unet, 1)(z, torch.tensor([3, 999])), unet(z, torch.tensor([3, 999])).sample)


@torch.no_grad()
def test_one_time_for_all_equals_the_same_time_for_each(unet, z):
    network = UNet(unet, 1000)
    assert torch.equal(network(z, torch.tensor(0.4)), network(z, torch.full((2,), 0.4)))


@torch.no_grad()
def test_a_float64_grid_point_keeps_the_latents_dtype(unet, z):
    out = UNet(unet, 1000)(z, torch.tensor(0.4, dtype=torch.float64))
    assert out.dtype == torch.float32
    assert out.shape == (2, 3, 16, 16)


@torch.no_grad()
def test_each_sample_is_computed_at_its_own_time(unet, z):
    network = UNet(unet, 1000)
    both = network(z, torch.tensor([0.1, 0.9]))
    torch.testing.assert_close(both[1:], network(z[1:], torch.tensor(0.9)))


@torch.no_grad()
def test_saved_weights_open_in_diffusers_and_compute_the_same(unet, z, tmp_path):
    UNet(unet, 1000).save(tmp_path)
    opened = UNet2DModel.from_pretrained(tmp_path, use_safetensors=True).eval()
    t = torch.tensor([0.0, 0.5])
    assert torch.equal(opened(z, 1000 * t).sample, UNet(unet, 1000)(z, t))


def test_attention_stands_where_the_settings_say(unet):
    assert unet.config.down_block_types == ("DownBlock2D", "AttnDownBlock2D")
    assert unet.config.up_block_types == ("AttnUpBlock2D", "UpBlock2D")
