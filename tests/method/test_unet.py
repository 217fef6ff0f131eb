"""The UNet wrapper, against diffusers called directly."""

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from sd_folder import VOCABULARY, sd_sections
from transformers import CLIPTextModel

from semflow.method.settings import StableDiffusion
from semflow.method.unet import UNet, make_unet
from semflow.suite import reading as config
from semflow.training.build import make_model


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


def conditional(sd_suite, method: str = "semflow") -> UNet:
    return make_model(sd_suite, method).network.eval()


@torch.no_grad()
def test_stable_diffusion_starts_as_the_folders_own_network_under_the_empty_prompt(sd_suite, sd_folder):
    z, t = torch.randn(2, 4, 4, 4), torch.tensor([0.25, 0.731])
    encoder = CLIPTextModel.from_pretrained(sd_folder / "text_encoder").eval()
    start, end = VOCABULARY.index("<|startoftext|>"), VOCABULARY.index("<|endoftext|>")
    prompt = encoder(torch.tensor([[start] + [end] * 76])).last_hidden_state
    unet = UNet2DConditionModel.from_pretrained(sd_folder / "unet").eval()
    expected = unet(z, 1000 * t, encoder_hidden_states=prompt.repeat(2, 1, 1)).sample
    assert torch.equal(conditional(sd_suite)(z, t), expected)


@torch.no_grad()
def test_the_prompt_matters_and_is_no_weight(sd_suite):
    network, z = conditional(sd_suite), torch.randn(1, 4, 4, 4)
    before = network(z, torch.tensor(0.5))
    assert not any(name.startswith("prompt") for name in network.state_dict())
    network.prompt += 1
    assert not torch.equal(network(z, torch.tensor(0.5)), before)


@torch.no_grad()
def test_the_wider_network_of_dsm_computes_the_same_whatever_the_image(sd_suite):
    narrow, wide = conditional(sd_suite), conditional(sd_suite, "dsm")
    assert wide.unet.config.in_channels == wide.unet.conv_in.in_channels == 8
    x, t = torch.randn(2, 4, 4, 4), torch.tensor([3, 700])
    expected = narrow.unet(x, t, narrow.prompt.expand(2, -1, -1)).sample
    for image in (torch.zeros_like(x), torch.randn_like(x), 100 * torch.randn_like(x)):
        torch.testing.assert_close(wide(torch.cat([x, image], 1), t), expected)


def test_the_wider_network_learns_from_the_image(sd_suite):
    wide = conditional(sd_suite, "dsm")
    wide(torch.randn(1, 8, 4, 4), torch.tensor(3)).sum().backward()
    assert wide.unet.conv_in.weight.grad[:, 4:].abs().max() > 0


def test_a_network_at_random_has_stable_diffusions_shape_and_a_prompt_of_zeros(tiny, sd_folder):
    tiny["data"]["size"] = [32, 32]
    suite = config.check(tiny | sd_sections(None), "tiny")
    first, again, other = (make_model(suite, "semflow", seed).network for seed in (0, 0, 1))
    folders = UNet2DConditionModel.from_pretrained(sd_folder / "unet")
    shapes = [{name: value.shape for name, value in unet.state_dict().items()} for unet in (first.unet, folders)]
    assert shapes[0] == shapes[1]
    assert torch.equal(first.prompt, torch.zeros(1, 77, 12))
    assert torch.equal(first.unet.conv_in.weight, again.unet.conv_in.weight)
    assert not torch.equal(first.unet.conv_in.weight, other.unet.conv_in.weight)


def test_keys_of_stable_diffusion_1_5_give_its_860_million_weights():
    settings = StableDiffusion(
        kind="stable_diffusion",
        pretrained=None,
        cross_attention_dim=768,
        block_out_channels=(320, 640, 1280, 1280),
        attention=(True, True, True, False),
        layers_per_block=2,
        norm_num_groups=32,
        attention_head_dim=8,
    )
    with torch.device("meta"):
        unet = make_unet(settings, 4, 4, (64, 64))
    assert sum(weight.numel() for weight in unet.parameters()) == 859_520_964  # as the model is published
    assert len(unet.state_dict()) == 686
    assert unet.config.down_block_types == ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    assert unet.config.up_block_types == ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3


@torch.no_grad()
def test_a_saved_conditional_network_opens_in_diffusers_and_here(sd_suite, tmp_path):
    network, z, t = conditional(sd_suite, "dsm"), torch.randn(1, 8, 4, 4), torch.tensor([5])
    network.save(tmp_path / "saved")
    theirs = UNet2DConditionModel.from_pretrained(tmp_path / "saved", use_safetensors=True).eval()
    assert torch.equal(theirs(z, t, network.prompt).sample, network(z, t))
    again = conditional(sd_suite, "dsm")
    for weight in again.parameters():
        weight.zero_()
    again.load(tmp_path / "saved")
    assert torch.equal(again(z, t), network(z, t))
