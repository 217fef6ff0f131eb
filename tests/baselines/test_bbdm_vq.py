"""BBDM's autoencoder: diffusers' VQModel used as BBDM uses it, and a bridge in its latents."""

import json
import shutil

import pytest
import torch
from diffusers import VQModel
from noising import seeded
from safetensors.torch import load_file, save_file

from baselines.bbdm import VQ as VQSettings
from baselines.bbdm.vq import VQ
from semflow.data.scenes import Scenes
from semflow.errors import SemFlowError
from semflow.loading.batches import Batch, Batches
from semflow.method.samplers import Sampler
from semflow.suite import Suite, keys, reading
from semflow.training import checkpoints
from semflow.training.build import make_model, make_shape
from semflow.training.loop import Trainer, make_accelerator

SIZES = {"latent_channels": 3, "block_out_channels": [4, 8], "layers_per_block": 1, "norm_num_groups": 2}
NETWORK = {"block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 8, "init_std": 0.02}
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    levels = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    vq = VQModel(**SIZES, num_vq_embeddings=16, **levels)
    torch.nn.init.normal_(vq.quantize.embedding.weight, 0, 0.3)
    folder = tmp_path_factory.mktemp("vq")
    vq.save_pretrained(folder)
    return folder


@pytest.fixture
def section(folder):
    return SIZES | {"pretrained": str(folder), "codes": 16}


@pytest.fixture
def vq(section):
    return VQ(VQSettings.model_validate(section))


@pytest.fixture
def pixels():
    return 2 * torch.rand(2, 3, 12, 24) - 1


def suite_of(raw, section, **own) -> Suite:
    bbdm = {"autoencoder": section, "network": NETWORK} | own
    return reading.check(raw | {"methods": raw["methods"] | {"bbdm": bbdm}}, "small")


def test_latents_are_the_encoders_own_neither_quantised_nor_scaled(vq, pixels):
    latents = vq.encode(pixels)
    assert (vq.channels, vq.factor) == (3, 2)
    assert latents.shape == (2, 3, 6, 12)
    torch.testing.assert_close(latents, vq.vq.quant_conv(vq.vq.encoder(pixels)))
    assert torch.equal(vq.encode(pixels, seeded()), latents)


def test_decoding_takes_the_nearest_code_first(vq):
    latents = torch.randn(2, 3, 6, 12)
    codes = vq.vq.quantize.embedding.weight
    nearest = torch.cdist(latents.movedim(1, -1).reshape(-1, 3).double(), codes.double()).argmin(1)
    quantised = codes[nearest].view(2, 6, 12, 3).movedim(-1, 1)
    torch.testing.assert_close(vq.decode(latents), vq.vq.decoder(vq.vq.post_quant_conv(quantised)))
    assert vq.decode(latents).shape == (2, 3, 12, 24)


def test_it_is_frozen(vq):
    assert not any(weight.requires_grad for weight in vq.parameters())
    assert not vq.vq.training


def test_bf16_encodes_in_bf16_and_gives_float32(vq, pixels):
    exact, seen = vq.encode(pixels), []
    vq.vq.encoder.conv_in.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    vq.precision = "bf16"
    rough = vq.encode(pixels)
    assert (seen, rough.dtype) == ([torch.bfloat16], torch.float32)
    assert 0 < (rough - exact).abs().max() < 0.1 * exact.abs().max()


def test_random_weights_are_the_same_every_time_and_move_no_generator(section, pixels):
    settings = VQSettings.model_validate(section | {"pretrained": None})
    before = torch.get_rng_state()
    first = VQ(settings)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(first.encode(pixels), VQ(settings).encode(pixels))


def test_the_folder_may_hold_it_among_others(section, folder, tmp_path, vq, pixels):
    shutil.copytree(folder, tmp_path / "vqvae")
    inside = VQ(VQSettings.model_validate(section | {"pretrained": str(tmp_path)}))
    assert torch.equal(inside.encode(pixels), vq.encode(pixels))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"codes": 8192}, "num_vq_embeddings is 16, not 8192"),
        ({"block_out_channels": [4, 4]}, r"block_out_channels is \[4, 8\], not \[4, 4\]"),
        ({"pretrained": "weights/nowhere"}, "no folder weights/nowhere; put the diffusers folder of a VQModel there"),
        ({"pretrained": "owner/model"}, "pin it as owner/model@COMMIT"),
    ],
)
def test_another_autoencoder_is_refused_in_one_sentence(section, changes, words):
    with pytest.raises(SemFlowError, match=words) as error:
        VQ(VQSettings.model_validate(section | changes))
    assert str(error.value).startswith("methods.bbdm.autoencoder.pretrained: ")


def test_codes_of_another_width_than_the_latents_are_refused(section, tmp_path):
    levels = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    VQModel(**SIZES, num_vq_embeddings=16, vq_embed_dim=5, **levels).save_pretrained(tmp_path)
    with pytest.raises(SemFlowError, match=r"methods\.bbdm\.autoencoder\.latent_channels: .* have 5 channels"):
        VQ(VQSettings.model_validate(section | {"pretrained": str(tmp_path)}))


def test_a_plan_opens_no_weights(tiny, section):
    shape = make_shape(suite_of(tiny, section | {"pretrained": "weights/nowhere"}), "bbdm")
    assert all(weight.is_meta for weight in shape.beside.parameters())


def test_a_training_is_known_by_what_the_autoencoder_is_and_not_where_it_lies(tiny, section, folder, tmp_path):
    def key(pretrained) -> str:
        return keys.weights_key(suite_of(tiny, section | {"pretrained": str(pretrained)}), "bbdm", 0)

    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert key(copy) == key(folder)
    weights = load_file(copy / WEIGHTS)
    save_file({name: 2 * value for name, value in weights.items()}, copy / WEIGHTS)
    assert key(copy) != key(folder)
    config = json.loads((folder / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"act_fn": "gelu"}))
    assert key(copy) != key(folder)
    assert key(tmp_path / "nowhere") != key(folder)


def test_masks_and_pictures_meet_in_its_latents(tiny, section, vq):
    model = make_model(suite_of(tiny, section), "bbdm")
    batch = Batch(*Batches(Scenes(2, (16, 16), 0, "train", 2))[range(2)])
    x0, y = model.look(batch, seeded())
    torch.testing.assert_close(x0, vq.encode(batch.image / 127.5 - 1))
    torch.testing.assert_close(y, vq.encode(model.colours.encode(batch.mask)))


def test_it_trains_in_the_latents_with_a_network_of_its_own_and_opens_again(tiny, section, tmp_path):
    tiny["training"] |= {"batch_size": 4, "steps": 1}
    suite = suite_of(tiny, section, batch_size=2, bridge={"lr": 1.0e-4, "lr_schedule": "constant", "grad_clip": 0})
    trainer = Trainer(make_accelerator(suite), suite, "bbdm", 0, tmp_path / "state")
    batch = Batch(*Batches(Scenes(2, suite.data.size, 0, "train", 2))[range(2)])
    for _ in range(2):
        assert set(trainer.advance(batch)) == {"bridge", "loss", "grad_norm"}
    assert not any(weight.requires_grad or weight.grad is not None for weight in trainer.model.beside.parameters())
    trainer.save()
    trainer.export(tmp_path / "out")
    model, card = checkpoints.open_checkpoint(tmp_path / "out")
    assert card.autoencoder is None
    trainer.networks.eval()
    with torch.no_grad():
        drawn, same = (one.synthesize(batch.mask, Sampler("bbdm", 2), seeded()) for one in (model, trainer.model))
    assert drawn.shape == (2, 3, 16, 16)
    assert torch.equal(drawn, same)
