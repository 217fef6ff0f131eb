"""Pixels to latents and back: lossless where it should be, diffusers' own numbers where it wraps diffusers."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from semflow.errors import SemFlowError
from semflow.method.autoencoder import KL, Autoencoder, Patchify, make_autoencoder
from semflow.method.settings import KL as KLSettings
from semflow.method.settings import Identity
from semflow.method.settings import Patchify as PatchifySettings
from semflow.seeds import Stream

SCALE = 0.3  # of the autoencoder in kl_folder


@pytest.fixture(scope="module")
def kl(kl_section):
    return KL(KLSettings(**kl_section))


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


def autoencoders(kl_section):
    return Autoencoder(), Patchify(2), KL(KLSettings(**kl_section))


def test_a_draw_from_the_moments_is_what_encoding_gives_bit_for_bit(kl_section, pixels):
    for autoencoder in autoencoders(kl_section):
        moments = autoencoder.moments(pixels)
        assert moments.shape == (2, 2, autoencoder.channels, 12 // autoencoder.factor, 24 // autoencoder.factor)
        assert moments.dtype == torch.float32
        assert torch.equal(autoencoder.sample(moments), autoencoder.encode(pixels))
        drawn, encoded = (
            autoencoder.sample(moments, torch.Generator().manual_seed(3)),
            autoencoder.encode(pixels, torch.Generator().manual_seed(3)),
        )
        assert torch.equal(drawn, encoded)


def test_moments_are_the_scaled_posteriors(kl, posterior):
    pixels, mean, deviation = posterior
    torch.testing.assert_close(kl.moments(pixels), SCALE * torch.stack([mean, deviation], 1))


def test_only_a_stochastic_encoder_moves_the_generator(kl_section, pixels):
    moved = []
    for autoencoder in autoencoders(kl_section):
        generator = torch.Generator().manual_seed(3)
        before = generator.get_state()
        autoencoder.encode(pixels, generator)
        moved.append(not torch.equal(generator.get_state(), before))
    assert moved == [False, False, True]


def test_at_scale_one_a_draw_has_the_bits_of_diffusers_own(kl_section, kl_folder, tmp_path, pixels):
    folder = shutil.copytree(kl_folder, tmp_path / "vae")
    config = json.loads((folder / "config.json").read_text()) | {"scaling_factor": 1.0}
    (folder / "config.json").write_text(json.dumps(config))
    ours = KL(KLSettings(**kl_section | {"pretrained": str(folder), "scaling_factor": 1.0}))
    theirs = ours.vae.encode(pixels).latent_dist
    assert torch.equal(ours.encode(pixels, torch.Generator().manual_seed(5)), theirs.sample(torch.Generator().manual_seed(5)))


def test_each_picture_draws_from_its_own_place_in_a_stream(kl, pixels):
    whole = kl.encode(pixels, [Stream(torch.Generator().manual_seed(7), 2, slice(0, 2))])
    second = kl.encode(pixels[1:], [Stream(torch.Generator().manual_seed(7), 2, slice(1, 2))])
    torch.testing.assert_close(second, whole[1:])


def test_bf16_encodes_in_bf16_and_gives_float32(kl_section, pixels):
    kl = KL(KLSettings(**kl_section))
    exact, seen = kl.encode(pixels), []
    kl.vae.encoder.conv_in.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    kl.precision = "bf16"
    rough = kl.encode(pixels)
    assert seen == [torch.bfloat16]
    assert kl.moments(pixels).dtype == rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


def test_random_weights_are_the_same_every_time_and_move_no_generator(kl_section, pixels):
    settings = KLSettings(**kl_section | {"pretrained": None})
    before = torch.get_rng_state()
    first = KL(settings)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(first.encode(pixels), KL(settings).encode(pixels))
    assert first.encode(pixels).shape == (2, 5, 3, 6)


def complaint(section, folder) -> str:
    with pytest.raises(SemFlowError) as error:
        KL(KLSettings(**section | {"pretrained": str(folder)}))
    assert "autoencoder.pretrained: " in str(error.value) or str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("content", [None, "", "{}", "[]", "not json"])
def test_a_folder_without_an_autoencoder_is_named_in_one_sentence(tmp_path, kl_section, content):
    folder = tmp_path / "vae"
    if content is not None:
        folder.mkdir()
        (folder / "config.json").write_text(content)
    assert str(folder) in complaint(kl_section, folder)


def test_truncated_weights_are_named_in_one_sentence(tmp_path, kl_folder, kl_section):
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (tmp_path / name).write_bytes((kl_folder / name).read_bytes()[: 20_000 if name.endswith("tensors") else None])
    assert "cut off" in complaint(kl_section, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("scaling_factor", 0.13025, "scaling_factor is 0.13025, not 0.3"),
        ("latent_channels", 16, "latent_channels is 16, not 5"),
        ("shift_factor", 0.1159, "shift_factor is 0.1159, not null"),
        ("in_channels", 4, "in_channels is 4, not 3"),
    ],
)
def test_an_autoencoder_of_another_make_is_named_by_the_keys_that_differ(tmp_path, kl_folder, kl_section, key, value, words):
    folder = shutil.copytree(kl_folder, tmp_path / "vae")
    config = json.loads((folder / "config.json").read_text()) | {key: value}
    (folder / "config.json").write_text(json.dumps(config))
    assert f"{folder} is not what the suite says: {words}; put that model there" in complaint(kl_section, folder)


def test_every_key_that_differs_is_named(kl_folder, kl_section):
    text = complaint(kl_section | {"scaling_factor": 0.18215, "block_out_channels": [4, 4]}, kl_folder)
    assert "block_out_channels is [4, 4, 8], not [4, 4]; scaling_factor is 0.3, not 0.18215" in text


def test_a_scaling_factor_left_out_is_stable_diffusions(tmp_path, kl_folder, kl_section):
    folder = shutil.copytree(kl_folder, tmp_path / "vae")
    config = json.loads((folder / "config.json").read_text())
    del config["scaling_factor"]
    (folder / "config.json").write_text(json.dumps(config))
    settings = kl_section | {"pretrained": str(folder), "scaling_factor": 0.18215}
    assert KL(KLSettings(**settings)).scale == 0.18215


def test_the_folder_may_hold_the_autoencoder_among_others(sd_folder, pixels):
    section = {"kind": "kl", "latent_channels": 4, "block_out_channels": [4, 4, 4, 8], "scaling_factor": 0.18215}
    outer, inner = (KL(KLSettings(**section, pretrained=str(folder))) for folder in (sd_folder, sd_folder / "vae"))
    pixels = torch.nn.functional.pad(pixels, (0, 0, 0, 4))
    assert torch.equal(outer.encode(pixels), inner.encode(pixels))


def test_settings_choose_the_autoencoder(kl_section):
    assert type(make_autoencoder(Identity(kind="identity"))) is Autoencoder
    assert make_autoencoder(PatchifySettings(kind="patchify", factor=4)).channels == 48
    assert make_autoencoder(KLSettings(**kl_section)).channels == 5
