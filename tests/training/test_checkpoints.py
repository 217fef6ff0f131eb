"""Finished checkpoints: diffusers opens them, and whatever was done to them is one sentence."""

import json
import pickle
import shutil
from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from safetensors.torch import load_file, save_file

from baselines import METHODS
from semflow.errors import SemFlowError
from semflow.evaluation import evaluate
from semflow.method import settings as sections
from semflow.method.network import WEIGHTS
from semflow.method.samplers import Sampler
from semflow.method.semflow import SemFlow
from semflow.provenance import file_hash
from semflow.suite.runs import Evaluation
from semflow.suite.variants import with_amplitude
from semflow.training import checkpoints
from semflow.training.build import make_model
from semflow.training.card import CARD
from semflow.training.loop import train


@pytest.fixture
def model(tiny_suite) -> SemFlow:
    made = make_model(tiny_suite, "semflow", seed=3)
    made.networks.eval()
    return made


@pytest.fixture
def network(model) -> UNet2DModel:
    return model.network.unet


@pytest.fixture
def folder(tmp_path, tiny_suite, model):
    folder = tmp_path / "checkpoints" / "semflow"
    checkpoints.export(folder, tiny_suite, "semflow", 3, model)
    return folder


@pytest.fixture
def other(tmp_path, tiny_suite):
    """A checkpoint of DSM, whose network takes 6 channels."""
    folder = tmp_path / "checkpoints" / "dsm"
    checkpoints.export(folder, tiny_suite, "dsm", 3, make_model(tiny_suite, "dsm"))
    return folder


@pytest.fixture
def z() -> torch.Tensor:
    return torch.randn(2, 3, 16, 16)


def complaint(folder) -> str:
    with pytest.raises(SemFlowError) as error:
        checkpoints.open_checkpoint(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def change_card(folder, **values) -> None:
    card = json.loads((folder / CARD).read_text()) | values
    (folder / CARD).write_text(json.dumps({key: value for key, value in card.items() if value is not KeyError}))


def vouch(folder) -> None:
    """Make the card agree with the weights that lie there, whatever they are."""
    names = json.loads((folder / CARD).read_text())["weights"]
    change_card(folder, weights={name: file_hash(folder / name) for name in names})


@pytest.mark.parametrize("amplitude", [0, 3, 50])  # none of them the suite's; twice the last is past s/2
def test_weights_of_any_amplitude_open_again(tmp_path, tiny_suite, model, amplitude):
    checkpoints.export(tmp_path / "b", with_amplitude(tiny_suite, amplitude), "semflow", 3, model)
    opened, card = checkpoints.open_checkpoint(tmp_path / "b")
    assert opened.amplitude == card.pseudo_mask["amplitude"] == amplitude


@torch.no_grad()
def test_diffusers_opens_the_folder_and_computes_the_same(folder, network, z):
    opened = UNet2DModel.from_pretrained(folder, use_safetensors=True).eval()
    assert torch.equal(opened(z, 7).sample, network(z, 7).sample)


@torch.no_grad()
def test_a_loaded_model_computes_the_same(folder, network, z, tiny_suite):
    model, card = checkpoints.open_checkpoint(folder)
    assert torch.equal(model.network(z, torch.tensor(0.5)), network(z, 500).sample)
    assert (card.method, card.seed, card.suite, card.size) == ("semflow", 3, tiny_suite.suite, tiny_suite.data.size)


def test_a_loaded_model_is_ready_to_sample(folder):
    assert not checkpoints.open_checkpoint(folder)[0].network.unet.training


def test_nothing_but_safetensors_and_json_is_written(folder):
    assert {path.name for path in folder.iterdir()} == {"config.json", WEIGHTS, CARD, "README.md"}


def test_exporting_again_replaces_the_folder(folder, tiny_suite, model):
    before = file_hash(folder / WEIGHTS)
    with torch.no_grad():
        model.network.unet.conv_in.weight.add_(1)
    checkpoints.export(folder, tiny_suite, "semflow", 3, model)
    assert file_hash(folder / WEIGHTS) != before
    checkpoints.open_checkpoint(folder)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.99])
def test_truncated_weights_are_named(folder, share):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: int(share * len(whole))])
    assert str(folder / WEIGHTS) in complaint(folder)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.99])
def test_truncated_weights_that_the_card_vouches_for_are_named(folder, share):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: int(share * len(whole))])
    vouch(folder)
    assert str(folder) in complaint(folder)


def test_weights_of_another_training_are_named(folder, tiny_suite):
    make_model(tiny_suite, "semflow", seed=4).network.save(folder)
    assert str(folder / WEIGHTS) in complaint(folder)


def test_weights_of_another_network_are_named(folder, other):
    shutil.copy(other / WEIGHTS, folder / WEIGHTS)
    assert str(folder / WEIGHTS) in complaint(folder)


def test_weights_of_another_network_that_the_card_vouches_for_are_named(folder, other):
    shutil.copy(other / WEIGHTS, folder / WEIGHTS)
    vouch(folder)
    assert str(folder) in complaint(folder)


def test_weights_and_shape_of_another_method_that_the_card_vouches_for_are_named(folder, other):
    for name in (WEIGHTS, "config.json"):
        shutil.copy(other / name, folder / name)
    vouch(folder)
    text = complaint(folder)
    assert str(folder) in text
    assert "conv_in.weight is (8, 6, 3, 3) there, (8, 3, 3, 3) here" in text


@pytest.mark.parametrize("content", [None, "", "not json", "[]"])
def test_a_folder_without_the_network_s_shape_is_named(folder, content):
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_text(content)
    assert str(folder) in complaint(folder)


def test_missing_weights_are_named(folder):
    (folder / WEIGHTS).unlink()
    text = complaint(folder)
    assert str(folder) in text
    assert WEIGHTS in text


def test_a_missing_card_is_named(folder):
    (folder / CARD).unlink()
    text = complaint(folder)
    assert str(folder) in text
    assert CARD in text


def test_a_missing_folder_is_named(tmp_path):
    assert str(tmp_path / "nowhere") in complaint(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"format": 2}'])
def test_a_damaged_card_is_named(folder, content):
    (folder / CARD).write_text(content)
    assert str(folder / CARD) in complaint(folder)


@pytest.mark.parametrize("key", ["format", "method", "weights", "suite"])
def test_a_card_without_a_key_is_named(folder, key):
    change_card(folder, **{key: KeyError})
    text = complaint(folder)
    assert str(folder) in text
    assert key in text


@pytest.mark.parametrize("method", ["gan", 3])
def test_a_card_with_an_unknown_method_is_named(folder, method):
    change_card(folder, method=method)
    assert str(folder) in complaint(folder)


def test_a_card_whose_section_is_impossible_names_the_key(folder):
    code = json.loads((folder / CARD).read_text())["pseudo_mask"]
    change_card(folder, pseudo_mask=code | {"amplitude": 70})
    text = complaint(folder)
    assert str(folder / CARD) in text
    assert "amplitude 70" in text


def test_an_older_card_is_refused_in_one_sentence(folder):
    (folder / CARD).write_text(json.dumps({"format": 2, "method": "semflow", "suite": {}}))
    assert complaint(folder) == f"{folder / CARD} is of format 2, not 3; train again with this version"


def test_a_card_holds_what_its_method_read_and_opens_after_anything_was_added(folder, monkeypatch, z):
    """A method, a data set, a key of a section, one of the method's own settings, and a key taken away."""
    card = json.loads((folder / CARD).read_text())
    assert "methods" not in card
    assert "evaluation" not in card
    before = checkpoints.open_checkpoint(folder)[0].network(z, torch.tensor(0.5))

    class PseudoMask(sections.PseudoMask):
        shape: str  # without a default, as keys of a suite have none

    class Settings(METHODS["semflow"].Settings):
        temperature: float

    monkeypatch.setattr(sections, "PseudoMask", PseudoMask)
    monkeypatch.setitem(METHODS, "semflow", replace(METHODS["semflow"], Settings=Settings))
    monkeypatch.setitem(METHODS, "another", METHODS["dsm"])
    change_card(folder, data=card["data"] | {"name": "a data set of old"}, network=card["network"] | {"gone": 1})
    assert torch.equal(checkpoints.open_checkpoint(folder)[0].network(z, torch.tensor(0.5)), before)


@pytest.fixture
def conditional(sd_suite, tmp_path):
    """A checkpoint of DSM around Stable Diffusion's network, with its model."""
    model = make_model(sd_suite, "dsm")
    model.networks.eval()
    checkpoints.export(tmp_path / "sd", sd_suite, "dsm", 0, model)
    return tmp_path / "sd", model


def test_a_conditional_checkpoint_holds_its_prompt_and_nothing_else_is_written(conditional):
    folder, model = conditional
    assert {path.name for path in folder.iterdir()} == {"config.json", WEIGHTS, CARD, "README.md", "prompt.safetensors"}
    assert torch.equal(load_file(folder / "prompt.safetensors")["prompt"], model.network.prompt)


@torch.no_grad()
def test_a_conditional_checkpoint_opens_in_diffusers(conditional):
    folder, model = conditional
    z, t = torch.randn(1, 8, 4, 4), torch.tensor([7])
    opened = UNet2DConditionModel.from_pretrained(folder, use_safetensors=True).eval()
    assert torch.equal(opened(z, t, model.network.prompt).sample, model.network(z, t))


@torch.no_grad()
def test_sampling_needs_neither_text_encoder_nor_the_folder_it_began_with(
    conditional, sd_suite, sd_folder, tmp_path, monkeypatch
):
    folder, model = conditional
    monkeypatch.setattr("semflow.method.prompt._encode", lambda place: pytest.fail("a text encoder was needed"))
    card = json.loads((folder / CARD).read_text())
    card["network"]["pretrained"] = "/gone"
    (folder / CARD).write_text(json.dumps(card))
    vae = shutil.copytree(sd_folder / "vae", tmp_path / "moved")
    opened, _ = checkpoints.open_checkpoint(folder, sd_suite.autoencoder.model_copy(update={"pretrained": str(vae)}))
    images = 2 * torch.rand(1, 3, 32, 32) - 1
    labels = [dsm.segment(images, Sampler("ddim", 2), torch.Generator().manual_seed(1)) for dsm in (opened, model)]
    assert torch.equal(*labels)


def test_a_missing_prompt_is_named(conditional):
    folder, _ = conditional
    (folder / "prompt.safetensors").unlink()
    assert complaint(folder) == f"{folder} has no prompt.safetensors; copy the whole folder again"


def test_a_missing_prompt_that_the_card_does_not_know_is_named(conditional):
    folder, _ = conditional
    (folder / "prompt.safetensors").unlink()
    names = json.loads((folder / CARD).read_text())["weights"]
    change_card(folder, weights={name: digest for name, digest in names.items() if name != "prompt.safetensors"})
    assert "prompt.safetensors, the prompt of its network" in complaint(folder)


def test_a_replaced_prompt_is_named(conditional):
    folder, _ = conditional
    save_file({"prompt": torch.zeros(1, 77, 12)}, folder / "prompt.safetensors")
    assert "prompt.safetensors is damaged or replaced" in complaint(folder)


@pytest.mark.parametrize("shape", [(1, 77, 16), (77, 12)])
def test_a_prompt_of_another_network_is_named(conditional, shape):
    folder, _ = conditional
    save_file({"prompt": torch.zeros(shape)}, folder / "prompt.safetensors")
    vouch(folder)
    assert "its network takes a prompt of float32 (1, 77, 12)" in complaint(folder)


def test_an_older_conditional_checkpoint_may_be_replaced(conditional):
    checkpoints.check_target(conditional[0])


@pytest.mark.slow
def test_stable_diffusion_trains_and_its_checkpoint_is_scored(sd_suite, tmp_path):
    training = sd_suite.training.model_copy(update={"steps": 2, "batch_size": 2})
    suite = sd_suite.model_copy(update={"training": training})
    for method, sampler in (("semflow", Sampler("euler", 1)), ("dsm", Sampler("ddim", 1))):
        train(suite, method, 0, tmp_path / f"{method}-state", tmp_path / method)
        before = make_model(suite, method).network.unet.state_dict()
        after = checkpoints.open_checkpoint(tmp_path / method)[0].network.unet.state_dict()
        assert not torch.equal(after["conv_in.weight"], before["conv_in.weight"])
        amplitude = suite.pseudo_mask.amplitude if method == "semflow" else 0.0
        evaluation = Evaluation(method, "segmentation", sampler, amplitude)
        assert evaluate(suite, evaluation, tmp_path / method, tmp_path / "r.json", tmp_path).n_images == 4


class Payload:
    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return type(self.flag).touch, (self.flag,)


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "pytorch_model.bin", "last.ckpt", "model.pkl"])
@pytest.mark.parametrize("as_folder", [True, False], ids=["folder", "file"])
def test_a_pickle_is_refused_unopened(tmp_path, name, as_folder):
    flag, path = tmp_path / "flag", tmp_path / "downloads" / name
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(Payload(flag)))
    text = complaint(path.parent if as_folder else path)
    assert name in text
    assert "pickle" in text
    assert not flag.exists()


def test_a_pickle_in_the_place_of_the_weights_is_not_run(folder, tmp_path):
    flag = tmp_path / "flag"
    for name in (WEIGHTS, "diffusion_pytorch_model.bin"):
        (folder / name).write_bytes(pickle.dumps(Payload(flag)))
    vouch(folder)
    assert str(folder) in complaint(folder)
    assert not flag.exists()


def test_the_pickles_of_these_tests_would_have_run(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "flag")))
    assert (tmp_path / "flag").exists()
