"""Pixels to latents and back: lossless where it should be, diffusers' own numbers where it wraps diffusers."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from semflow.autoencoder import KL, Autoencoder, Patchify, make_autoencoder
from semflow.errors import SemFlowError
from semflow.suite import KL as KLSettings
from semflow.suite import Identity
from semflow.suite import Patchify as PatchifySettings

SCALE = 0.3  # of the autoencoder in kl_folder


@pytest.fixture(scope="module")
def kl(kl_folder):
    return KL(kl_folder)


@pytest.fixture(scope="module")
def posterior(kl_folder):
    """(pixels, mean, standard deviation) of the saved encoder, from its layers one by one."""
    vae = AutoencoderKL.from_pretrained(kl_folder).eval()
    pixels = 2 * torch.rand(2, 3, 16, 24) - 1
    with torch.no_grad():
        mean, logvar = vae.quant_conv(vae.encoder(pixels)).chunk(2, 1)
    return pixels, mean, torch.exp(logvar / 2)


@pytest.fixture
def pixels():
    return 2 * torch.rand(2, 3, 12, 24) - 1


def test_identity_latents_are_the_pixels(pixels):
    identity = Autoencoder()
    assert (identity.channels, identity.factor) == (3, 1)
    assert torch.equal(identity.encode(pixels), pixels)
    assert torch.equal(identity.decode(pixels), pixels)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_patchify_loses_nothing(pixels, factor):
    patchify = Patchify(factor)
    latents = patchify.encode(pixels)
    assert latents.shape == (2, 3 * factor**2, 12 // factor, 24 // factor) == (2, patchify.channels, 12 // factor, 24 // factor)
    assert torch.equal(patchify.decode(latents), pixels)


def test_a_patch_becomes_the_channels_of_one_latent(pixels):
    latent = Patchify(4).encode(pixels)[1, :, 2, 5]
    assert np.array_equal(np.sort(latent.numpy()), np.sort(pixels[1, :, 8:12, 20:24].flatten().numpy()))


def test_kl_knows_its_channels_and_its_factor(kl):
    assert (kl.channels, kl.factor) == (5, 4)
    latents = kl.encode(torch.zeros(2, 3, 16, 24))
    assert latents.shape == (2, 5, 4, 6)
    assert kl.decode(latents).shape == (2, 3, 16, 24)


def test_kl_without_a_generator_takes_the_scaled_mode(kl, posterior):
    pixels, mean, _ = posterior
    assert torch.equal(kl.encode(pixels), kl.encode(pixels))
    torch.testing.assert_close(kl.encode(pixels), SCALE * mean)


def test_kl_with_a_generator_draws_from_the_posterior(kl, posterior):
    pixels, mean, deviation = posterior
    drawn = kl.encode(pixels, torch.Generator().manual_seed(3))
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(drawn, SCALE * (mean + deviation * noise))


def test_kl_decodes_the_unscaled_latents(kl, kl_folder):
    latents = torch.randn(1, 5, 4, 4)
    vae = AutoencoderKL.from_pretrained(kl_folder).eval()
    with torch.no_grad():
        torch.testing.assert_close(kl.decode(SCALE * latents), vae.decoder(vae.post_quant_conv(latents)))


def test_kl_is_frozen(kl):
    assert not any(weight.requires_grad for weight in kl.parameters())
    assert not kl.vae.training


@pytest.mark.parametrize("content", [None, "", "{}", "not json"])
def test_a_folder_without_an_autoencoder_is_named_in_one_sentence(tmp_path, content):
    folder = tmp_path / "vae"
    if content is not None:
        folder.mkdir()
        (folder / "config.json").write_text(content)
    with pytest.raises(SemFlowError) as error:
        KL(folder)
    assert f"autoencoder.path: {folder}" in str(error.value)
    assert "\n" not in str(error.value)


def test_truncated_weights_are_named_in_one_sentence(tmp_path, kl_folder):
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (tmp_path / name).write_bytes((kl_folder / name).read_bytes()[: 20_000 if name.endswith("tensors") else None])
    with pytest.raises(SemFlowError) as error:
        KL(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_choose_the_autoencoder(kl_folder):
    assert type(make_autoencoder(Identity(kind="identity"))) is Autoencoder
    assert make_autoencoder(PatchifySettings(kind="patchify", factor=4)).channels == 48
    assert make_autoencoder(KLSettings(kind="kl", path=kl_folder)).channels == 5
