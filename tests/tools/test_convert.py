"""Weights from elsewhere as a checkpoint: the released file's form, and whatever else a file may hold."""

import json

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from sd_folder import sd_sections

from baselines.cyclegan import released
from semflow.cli import main
from semflow.errors import SemFlowError
from semflow.evaluation import evaluate
from semflow.files import write_json
from semflow.method.samplers import Sampler
from semflow.provenance import file_hash
from semflow.suite import reading as config
from semflow.suite.runs import Evaluation
from semflow.tools.convert import convert, read_file
from semflow.training import checkpoints
from semflow.training.build import make_model
from semflow.training.card import CARD, describe, read_card


@pytest.fixture
def weights(sd_suite) -> dict[str, torch.Tensor]:
    """Of a network in Stable Diffusion's shape that was trained elsewhere."""
    return {name: value + 0.01 * torch.randn_like(value) for name, value in network_of(sd_suite).state_dict().items()}


def network_of(suite, method: str = "semflow") -> UNet2DConditionModel:
    return make_model(suite, method).network.unet


def converted(suite, held, tmp_path, name: str = "face.pt", method: str = "semflow"):
    torch.save(held, tmp_path / name)
    convert(tmp_path / name, suite, method, tmp_path / "out")
    return checkpoints.open_checkpoint(tmp_path / "out")


def complaint(suite, source, method: str = "semflow") -> str:
    with pytest.raises(SemFlowError) as error:
        convert(source, suite, method, source.parent / "out")
    assert str(source) in str(error.value)
    assert "\n" not in str(error.value)
    assert not (source.parent / "out").exists()
    return str(error.value)


@torch.no_grad()
def test_a_state_dict_becomes_a_checkpoint_that_computes_what_it_computed(sd_suite, weights, tmp_path):
    model, card = converted(sd_suite, weights, tmp_path)
    theirs = UNet2DConditionModel.from_pretrained(tmp_path / "out", use_safetensors=True).eval()
    assert card.network == sd_suite.network.model_dump(mode="json")
    assert all(torch.equal(value, weights[name]) for name, value in theirs.state_dict().items())
    z, t = torch.randn(2, 4, 4, 4), torch.tensor([0.2, 0.9])
    prompt = make_model(sd_suite, "semflow").network.prompt
    assert torch.equal(model.network(z, t), theirs(z, 1000 * t, prompt.expand(2, -1, -1)).sample)


def test_the_card_says_that_it_was_converted_and_of_what(sd_suite, weights, tmp_path):
    _, card = converted(sd_suite, weights, tmp_path)
    digest = file_hash(tmp_path / "face.pt")
    assert card.converted == {"file": "face.pt", "sha256": digest}
    assert card.key == f"converted-{digest}"
    assert f"converted from:  face.pt, SHA-256 {digest}; not trained here" in describe(read_card(tmp_path / "out"))


def test_a_converted_checkpoint_is_scored_as_a_trained_one(sd_suite, weights, tmp_path):
    converted(sd_suite, weights, tmp_path)
    evaluation = Evaluation("semflow", "segmentation", Sampler("euler", 1), sd_suite.pseudo_mask.amplitude)
    record = evaluate(sd_suite, evaluation, tmp_path / "out", tmp_path / "r.json", tmp_path)
    assert record.n_images == 4


def under(prefix: str, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in weights.items()}


def zeros(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Raw weights, which are not meant where there are averaged ones."""
    return {name: torch.zeros_like(value) for name, value in weights.items()}


PREFIXES = (
    "module.", "_orig_mod.", "unet.", "model.", "module._orig_mod.", "_orig_mod.module.", "module.module.",
    "model.module._orig_mod.unet.", "net.", "_forward_module.module.",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_wrappers_put_before_names_is_taken_off_until_nothing_is_left(sd_suite, weights, tmp_path, prefix):
    model, _ = converted(sd_suite, under(prefix, weights), tmp_path)
    assert all(torch.equal(value, weights[name]) for name, value in model.network.unet.state_dict().items())


KEYS = ("state_dict", "unet", "model", "module", "model_state_dict", "params", "net")


@pytest.mark.parametrize("key", KEYS)
def test_weights_are_found_under_the_keys_of_training_scripts(sd_suite, weights, tmp_path, key):
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3), "step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-5}]}
    model, _ = converted(sd_suite, {key: under("module.", weights), "optimizer": optimizer, "epoch": 3}, tmp_path)
    assert all(torch.equal(value, weights[name]) for name, value in model.network.unet.state_dict().items())


AVERAGES = ("ema", "model_ema", "ema_state_dict", "state_dict_ema", "ema_model", "EMA", "params_ema", "swa_model", "emaModel")
COUNTERS = {"initted": torch.tensor(True), "step": torch.tensor(9)}
AVERAGED = {
    **{
        f"{key} beside {raw}": lambda weights, key=key, raw=raw: {raw: zeros(weights), key: weights}
        for key in AVERAGES
        for raw in ("model", "state_dict")
    },
    "wrapped": lambda weights: {"model": under("module.", zeros(weights)), "ema": {"module": under("module.", weights)}},
    "shadow": lambda weights: {"state_dict": zeros(weights), "ema": {"decay": 0.999, "shadow": weights}},
    "callback": lambda weights: {"state_dict": zeros(weights), "callbacks": {"EMA": {"ema_weights": weights}}},
    "flat": lambda weights: under("model.", zeros(weights)) | under("model_ema.", weights),
    "ema-pytorch": lambda weights: COUNTERS | under("online_model.", zeros(weights)) | under("ema_model.", weights),
    "torch's": lambda weights: {"model": zeros(weights), "ema": {"n_averaged": torch.tensor(9)} | under("module.", weights)},
}  # fmt: skip


@pytest.mark.parametrize("form", AVERAGED)
def test_averaged_weights_are_taken_before_raw_ones_and_it_is_said(sd_suite, weights, tmp_path, form, capsys):
    model, card = converted(sd_suite, AVERAGED[form](weights), tmp_path)
    assert all(torch.equal(value, weights[name]) for name, value in model.network.unet.state_dict().items())
    assert f"its weights under {card.converted['place']} are taken" in capsys.readouterr().out
    assert f"not trained here; its weights under {card.converted['place']}\n" in describe(card)


NO_AVERAGES = (
    "non_ema", "nonEMA", "NonEma", "net_without_ema", "no_ema", "model_no_ema", "not_averaged", "pre_ema", "before_ema", "wo_ema"
)  # fmt: skip


@pytest.mark.parametrize("key", NO_AVERAGES)
def test_weights_whose_key_says_that_they_are_no_averages_are_not_taken_for_some(sd_suite, weights, tmp_path, key):
    torch.save({"model": weights, key: zeros(weights)}, tmp_path / "face.pt")
    assert "not plain" in complaint(sd_suite, tmp_path / "face.pt")
    (tmp_path / "with").mkdir()
    model, _ = converted(sd_suite, {"ema": weights, key: zeros(weights)}, tmp_path / "with")
    assert torch.equal(model.network.unet.conv_in.weight.detach(), weights["conv_in.weight"])


@pytest.mark.parametrize("key", ["optimized_ema", "upgraded_ema", "ema_expanded", "graduated_ema", "exp3_ema"])
def test_a_word_that_begins_as_an_optimizers_does_hides_no_averages(sd_suite, weights, tmp_path, key):
    model, _ = converted(sd_suite, {"state_dict": zeros(weights), key: weights}, tmp_path)
    assert torch.equal(model.network.unet.conv_in.weight.detach(), weights["conv_in.weight"])


OF_OPTIMIZERS = (
    "optim", "optimizer", "optimizers", "optimiser", "optimizer_state", "optimizerStates", "exp_avg", "exp_avg_sq", "grad",
    "grads", "gradients", "first_moment", "moments", "momentum_buffer",
)  # fmt: skip


@pytest.mark.parametrize("key", OF_OPTIMIZERS)
@pytest.mark.parametrize("form", [lambda key, held: {key: held}, lambda key, held: under(f"{key}.", held)])
def test_what_an_optimizer_holds_of_each_weight_is_not_taken_for_weights(sd_suite, weights, tmp_path, key, form):
    model, _ = converted(sd_suite, {"model": weights} | form(key, zeros(weights)), tmp_path)
    assert torch.equal(model.network.unet.conv_in.weight.detach(), weights["conv_in.weight"])


PARTLY = {
    "averages that an optimizer holds": (
        lambda weights: {"state_dict": zeros(weights), "optimizer_states": [{"ema": tuple(weights.values())}]},
        ("state_dict", "optimizer_states.0.ema"),
    ),
    "two averages": (
        lambda weights: {"ema_0.999": weights, "ema_0.9999": zeros(weights), "model": zeros(weights)},
        ("ema_0.999", "ema_0.9999", "model"),
    ),
    "a list without names": (
        lambda weights: {"unet": zeros(weights), "ema": {"shadow_params": list(weights.values())}},
        ("unet", "ema"),
    ),
    "names without dots": (
        lambda weights: (
            under("model.", zeros(weights)) | under("model_ema.", {name.replace(".", ""): w for name, w in weights.items()})
        ),
        ("model", "model_ema"),
    ),
    "another network's": (
        lambda weights: {"model": zeros(weights), "model_ema": {name: torch.zeros(2, 2) for name in weights}},
        ("model", "model_ema"),
    ),
    "two without a word": (lambda weights: {"model": zeros(weights), "best": weights}, ("model", "best")),
}  # fmt: skip


@pytest.mark.parametrize("form", PARTLY)
def test_where_it_is_not_plain_which_weights_are_meant_all_are_listed(sd_suite, weights, tmp_path, form):
    make, places = PARTLY[form]
    torch.save(make(weights), tmp_path / "face.pt")
    said = complaint(sd_suite, tmp_path / "face.pt")
    assert "not plain" in said
    assert all(place in said for place in places)


def test_averages_that_are_empty_are_none(sd_suite, weights, tmp_path):
    model, _ = converted(sd_suite, {"model": weights, "ema": {}, "model_ema": None}, tmp_path)
    assert torch.equal(model.network.unet.conv_in.weight.detach(), weights["conv_in.weight"])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_are_opened_with_a_word(sd_suite, weights, tmp_path, kind, capsys):
    _, card = converted(sd_suite, {name: value.to(kind) for name, value in weights.items()}, tmp_path)
    assert f"half precision ({card.converted['precision']})" in capsys.readouterr().out
    assert f"in half precision ({str(kind).removeprefix('torch.')})\n" in describe(card)


@pytest.mark.parametrize("kind", [torch.int8, torch.float8_e4m3fn, torch.complex64, torch.bool])
def test_weights_of_a_kind_that_no_network_has_are_named(sd_suite, weights, tmp_path, kind):
    torch.save(weights | {"conv_in.bias": weights["conv_in.bias"].to(kind)}, tmp_path / "face.pt")
    assert f"conv_in.bias is strided {str(kind).removeprefix('torch.')}, which is not opened" in complaint(
        sd_suite, tmp_path / "face.pt"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [(torch.Tensor.to_sparse, "sparse_coo float32"), (lambda value: value.to("meta"), "strided float32 on the device meta")],
)
def test_tensors_whose_numbers_do_not_lie_here_one_by_one_are_named(sd_suite, weights, tmp_path, change, said):
    torch.save(weights | {"conv_in.bias": change(weights["conv_in.bias"])}, tmp_path / "face.pt")
    assert f"conv_in.bias is {said}, which is not opened" in complaint(sd_suite, tmp_path / "face.pt")


def test_slices_of_one_buffer_in_bf16_become_weights_in_float32(sd_suite, weights, tmp_path):
    flat = torch.cat([value.flatten() for value in weights.values()]).bfloat16()
    parts = flat.split([value.numel() for value in weights.values()])
    views = {name: part.view_as(weights[name]) for name, part in zip(weights, parts, strict=True)}
    model, _ = converted(sd_suite, views, tmp_path)
    for name, value in model.network.unet.state_dict().items():
        assert torch.equal(value, weights[name].bfloat16().float())


def test_safetensors_are_read_too(sd_suite, weights, tmp_path):
    save_file(weights, tmp_path / "face.safetensors")
    convert(tmp_path / "face.safetensors", sd_suite, "semflow", tmp_path / "out")
    assert torch.equal(
        checkpoints.open_checkpoint(tmp_path / "out")[0].network.unet.conv_in.weight.detach(), weights["conv_in.weight"]
    )


def test_every_way_in_which_weights_differ_is_named_once(sd_suite, weights, tmp_path):
    del weights["conv_out.bias"], weights["conv_norm_out.bias"]
    torch.save(weights | {"conv_in.weight": torch.zeros(8, 9, 3, 3), "extra": torch.zeros(1)}, tmp_path / "face.pt")
    text = complaint(sd_suite, tmp_path / "face.pt")
    assert "conv_in.weight is (8, 9, 3, 3), not (8, 4, 3, 3)" in text
    assert "conv_norm_out.bias is missing (and 1 more like it)" in text
    assert "extra is unknown" in text


def test_weights_of_the_other_method_are_named(sd_suite, weights, tmp_path):
    torch.save(weights, tmp_path / "face.pt")
    assert "conv_in.weight is (8, 4, 3, 3), not (8, 8, 3, 3)" in complaint(sd_suite, tmp_path / "face.pt", "dsm")


def test_weights_that_are_not_finite_are_named(sd_suite, weights, tmp_path):
    weights["conv_out.bias"][0] = torch.nan
    torch.save(weights, tmp_path / "face.pt")
    assert "conv_out.bias is not finite" in complaint(sd_suite, tmp_path / "face.pt")


class Payload:
    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return type(self.flag).touch, (self.flag,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(sd_suite, weights, tmp_path, legacy):
    flag, source = tmp_path / "flag", tmp_path / "face.pt"
    torch.save(weights | {"extra": Payload(flag)}, source, _use_new_zipfile_serialization=not legacy)
    assert "code would run to open it" in complaint(sd_suite, source)
    assert not flag.exists()
    torch.load(source, weights_only=False)  # it would have run
    assert flag.exists()


@pytest.mark.parametrize("name", ["face.pt", "face.safetensors"])
@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_named(sd_suite, weights, tmp_path, name, share):
    source = tmp_path / name
    save_file(weights, source) if name.endswith("safetensors") else torch.save(weights, source)
    source.write_bytes(source.read_bytes()[: int(share * source.stat().st_size)])
    complaint(sd_suite, source)


@pytest.mark.parametrize(
    "text", ["hello world", "https://drive.google.com/x", "error code: 1020", "<!DOCTYPE html>", "version https://git-lfs"]
)
def test_a_text_file_is_named(sd_suite, tmp_path, text):
    (tmp_path / "face.pt").write_text(text)
    complaint(sd_suite, tmp_path / "face.pt")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_legacy_file_with_any_byte_flipped_is_read_or_named(tmp_path):
    source = tmp_path / "face.pt"
    torch.save({"a": torch.zeros(2)}, source, _use_new_zipfile_serialization=False)
    whole = source.read_bytes()
    for place in range(len(whole)):
        source.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            read_file(source)
        except SemFlowError as error:
            assert str(source) in str(error)


def test_memory_that_does_not_suffice_is_no_fault_of_the_file(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr(torch, "load", fails)
    with pytest.raises(MemoryError):
        read_file(tmp_path / "face.pt")


@pytest.mark.parametrize("held", [torch.zeros(3), [], {}, {"a": 1}, {"state_dict": {}}, {"state_dict": [1]}, "words"])
def test_a_file_of_something_else_is_named(sd_suite, tmp_path, held):
    torch.save(held, tmp_path / "face.pt")
    assert "holds no state dict" in complaint(sd_suite, tmp_path / "face.pt")


def test_a_missing_file_is_named(sd_suite, tmp_path):
    assert "there is no file" in complaint(sd_suite, tmp_path / "face.pt")


def test_the_file_is_read_before_stable_diffusion_is_looked_for(tiny, tmp_path):
    suite = config.check(tiny | sd_sections(tmp_path / "nowhere"), "tiny")
    assert "there is no file" in complaint(suite, tmp_path / "face.pt")


def test_the_command_converts_and_spares_other_folders(tiny, sd_suite, weights, tmp_path, capsys):
    (tmp_path / "suite.json").write_text(json.dumps(sd_suite.model_dump(mode="json")))
    torch.save(weights, tmp_path / "face.pt")
    command = ["convert", str(tmp_path / "face.pt"), "--config", str(tmp_path / "suite.json"), "--out"]
    main([*command, str(tmp_path / "out")])
    assert (tmp_path / "out" / CARD).exists()
    assert str(tmp_path / "out") in capsys.readouterr().out
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter1.tex").write_text("words")
    with pytest.raises(SystemExit) as stop:
        main([*command, str(tmp_path / "thesis")])
    assert stop.value.code == 2
    assert "chapter1.tex, which is no part of a checkpoint" in capsys.readouterr().err


# Weights under the names of a method's official code


def of_two_generators(tiny):
    """A CycleGAN as deep as the official one and narrow, and the state dicts of its two generators under the official names."""
    recipe = {"lr": 1.0e-3}
    own = {
        "batch_size": 2, "width": 4, "downs": 2, "residuals": 9, "discriminator_width": 4, "discriminator_layers": 1, "cycle": 10,
        "identity": 0, "pool": 1, "generators": recipe, "discriminators": recipe,
    }  # fmt: skip
    suite = config.check(tiny | {"methods": tiny["methods"] | {"cyclegan": own}}, "tiny")
    layers = [f"model.{number}" for number in (1, 4, 7, 19, 22, 26)]
    layers += [f"model.{block}.conv_block.{at}" for block in range(10, 19) for at in (1, 5)]
    names = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    networks = make_model(suite, "cyclegan").networks

    def theirs(file):
        found = {}
        for name in names:
            key, ours = released.place(f"{file}.{name}")
            found[name] = networks[key].state_dict()[ours] + 0.01
        return found | {"model.2.running_mean": torch.zeros(4)}

    return suite, {file: theirs(file) for file in ("G_A", "G_B")}


@pytest.mark.parametrize("wrapped", [False, True])
def test_two_files_of_official_names_become_one_checkpoint(tiny, tmp_path, monkeypatch, wrapped):
    suite, theirs = of_two_generators(tiny)
    monkeypatch.chdir(tmp_path)
    for file, weights in theirs.items():
        torch.save(
            {"state_dict": {f"module.{name}": value for name, value in weights.items()}} if wrapped else weights, f"{file}.pth"
        )
    write_json(tmp_path / "suite.json", suite.model_dump(mode="json"))
    words = ["convert", "G_A=G_A.pth", "G_B=G_B.pth", "--config", "suite.json", "--method", "cyclegan", "--out", "out"]
    main(words)
    model, card = checkpoints.open_checkpoint(tmp_path / "out")
    assert torch.equal(model.networks["to_mask"].layers[0].weight, theirs["G_A"]["model.1.weight"])
    assert torch.equal(model.networks["to_image"].layers[0].weight, theirs["G_B"]["model.1.weight"])
    assert card.converted["file"] == "G_A.pth and G_B.pth"


def test_of_several_files_each_is_given_a_name(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(
            ["convert", "a.pth", "b.pth", "--config", "config/mini.yaml", "--method", "cyclegan", "--out", str(tmp_path / "out")]
        )
    assert end.value.code == 2
    assert "of several files each is given as NAME=FILE, under another name" in capsys.readouterr().err
