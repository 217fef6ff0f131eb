"""Finished checkpoints: diffusers opens them, and whatever was done to them is one sentence."""

import json
import pickle
import shutil

import pytest
import torch
from diffusers import UNet2DModel

from baselines.build import make_model
from semflow import checkpoints, config
from semflow.checkpoints import CARD, WEIGHTS
from semflow.errors import SemFlowError
from semflow.provenance import file_hash


@pytest.fixture
def network(tiny_suite) -> UNet2DModel:
    return make_model(tiny_suite, "semflow", seed=3).network.unet.eval()


@pytest.fixture
def folder(tmp_path, tiny_suite, network):
    folder = tmp_path / "checkpoints" / "semflow"
    checkpoints.export(folder, tiny_suite, "semflow", 3, network)
    return folder


@pytest.fixture
def other(tmp_path, tiny_suite):
    """A checkpoint of DSM, whose network takes 6 channels."""
    folder = tmp_path / "checkpoints" / "dsm"
    checkpoints.export(folder, tiny_suite, "dsm", 3, make_model(tiny_suite, "dsm").network.unet)
    return folder


@pytest.fixture
def z() -> torch.Tensor:
    return torch.randn(2, 3, 16, 16)


def complaint(folder) -> str:
    with pytest.raises(SemFlowError) as error:
        checkpoints.load_model(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def change_card(folder, **values) -> None:
    card = json.loads((folder / CARD).read_text()) | values
    (folder / CARD).write_text(json.dumps({key: value for key, value in card.items() if value is not KeyError}))


def vouch(folder) -> None:
    """Make the card agree with the weights that lie there, whatever they are."""
    change_card(folder, weights_sha256=file_hash(folder / WEIGHTS))


@pytest.mark.parametrize("amplitude", [0, 3, 24])  # none of them the suite's; twice the last is past s/2
def test_weights_of_any_amplitude_open_again(tmp_path, tiny_suite, network, amplitude):
    checkpoints.export(tmp_path / "b", config.with_amplitude(tiny_suite, amplitude), "semflow", 3, network)
    model, suite, _ = checkpoints.load_model(tmp_path / "b")
    assert model.amplitude == suite.pseudo_mask.amplitude == amplitude


@torch.no_grad()
def test_diffusers_opens_the_folder_and_computes_the_same(folder, network, z):
    opened = UNet2DModel.from_pretrained(folder, use_safetensors=True).eval()
    assert torch.equal(opened(z, 7).sample, network(z, 7).sample)


@torch.no_grad()
def test_a_loaded_model_computes_the_same(folder, network, z, tiny_suite):
    model, suite, card = checkpoints.load_model(folder)
    assert torch.equal(model.network(z, torch.tensor(0.5)), network(z, 500).sample)
    assert suite == tiny_suite
    assert (card["method"], card["seed"]) == ("semflow", 3)


def test_a_loaded_model_is_ready_to_sample(folder):
    assert not checkpoints.load_model(folder)[0].network.unet.training


def test_nothing_but_safetensors_and_json_is_written(folder):
    assert {path.name for path in folder.iterdir()} == {"config.json", WEIGHTS, CARD}


def test_exporting_again_replaces_the_folder(folder, tiny_suite, network):
    before = file_hash(folder / WEIGHTS)
    with torch.no_grad():
        network.conv_in.weight.add_(1)
    checkpoints.export(folder, tiny_suite, "semflow", 3, network)
    assert file_hash(folder / WEIGHTS) != before
    checkpoints.load_model(folder)


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
    assert "6 channels" in text


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


@pytest.mark.parametrize("key", ["format", "method", "weights_sha256", "suite"])
def test_a_card_without_a_key_is_named(folder, key):
    change_card(folder, **{key: KeyError})
    text = complaint(folder)
    assert str(folder) in text
    assert key in text


@pytest.mark.parametrize("method", ["gan", 3])
def test_a_card_with_an_unknown_method_is_named(folder, method):
    change_card(folder, method=method)
    assert str(folder) in complaint(folder)


def test_a_card_whose_suite_does_not_hold_names_the_key(folder, tiny_suite):
    suite = config.check(tiny_suite.model_dump(mode="json"), "again").model_dump(mode="json")
    suite["pseudo_mask"]["amplitude"] = 30
    change_card(folder, suite=suite)
    text = complaint(folder)
    assert str(folder / CARD) in text
    assert "amplitude 30" in text


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
