"""Stable Diffusion's folder, here or on the hub: opened as it is, and whatever is wrong with it is one sentence."""

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from sd_folder import edit_json, make_unet, sd_sections

from semflow import files
from semflow.errors import SemFlowError
from semflow.method import hub, pretrained, prompt
from semflow.method.unet import make_prompt
from semflow.suite import reading as config
from semflow.training.build import make_model

WEIGHTS = "diffusion_pytorch_model.safetensors"
COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def folder(sd_folder, tmp_path, monkeypatch) -> Path:
    """A copy to be changed."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(sd_folder, tmp_path / "copy")


@pytest.fixture
def suite_of(tiny):
    def make(name, **network):
        sections = sd_sections(name)
        sections["network"] |= network
        tiny["data"]["size"] = [32, 32]
        return config.check(tiny | sections, "tiny")

    return make


@pytest.fixture
def complaint(suite_of):
    def about(name, **network) -> str:
        with pytest.raises(SemFlowError) as error:
            make_model(suite_of(name, **network), "semflow")
        assert "\n" not in str(error.value)
        return str(error.value)

    return about


def test_every_key_in_which_a_network_of_stable_diffusion_2_differs_is_named(folder, complaint):
    shutil.rmtree(folder / "unet")
    make_unet(cross_attention_dim=16, attention_head_dim=(2, 4), use_linear_projection=True).save_pretrained(folder / "unet")
    text = complaint(folder)
    assert text.startswith(f"network.pretrained: {folder / 'unet'} is not what the suite says: ")
    for words in (
        "cross_attention_dim is 16, not 12",
        "attention_head_dim is [2, 4], not 4",
        "use_linear_projection is true, not false",
    ):
        assert words in text


def test_a_network_for_other_latents_is_named(folder, complaint):
    edit_json(folder / "unet/config.json", in_channels=9)  # that of inpainting
    assert complaint(folder).count("in_channels is 9, not 4; put that model there")


def test_keys_that_an_old_file_leaves_out_are_stable_diffusions_own(folder, suite_of):
    config = json.loads((folder / "unet/config.json").read_text())
    kept = {key: config[key] for key in config if key.startswith(("block", "down_b", "up_b", "attention_h", "cross", "layers"))}
    (folder / "unet/config.json").write_text(json.dumps(kept | {"norm_num_groups": 4, "mid_block_scale_factor": 1}))
    make_model(suite_of(folder), "semflow")


def test_a_network_that_predicts_velocities_is_refused(folder, complaint):
    edit_json(folder / "scheduler/scheduler_config.json", prediction_type="v_prediction")
    assert 'prediction_type is "v_prediction", not "epsilon"' in complaint(folder)


def test_the_scheduler_is_not_needed(folder, suite_of):
    shutil.rmtree(folder / "scheduler")
    make_model(suite_of(folder), "semflow")


def test_a_network_of_another_class_is_named(folder, complaint):
    edit_json(folder / "unet/config.json", _class_name="UNet2DModel")
    assert "holds a UNet2DModel, not a UNet2DConditionModel" in complaint(folder)


@pytest.mark.parametrize("part", ["unet", "text_encoder", "tokenizer", "vae"])
def test_a_missing_part_is_named(folder, complaint, part):
    shutil.rmtree(folder / part)
    text = complaint(folder)
    assert str(folder) in text
    assert part in text or part == "vae"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, content) for name in ("unet/config.json", "text_encoder/config.json") for content in (None, "", "[]")),
        *(("tokenizer/vocab.json", content) for content in (None, "", "[]")),
        ("tokenizer/merges.txt", None),
    ],
)
def test_a_missing_or_damaged_small_file_is_named(folder, complaint, name, content):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    assert str(folder / Path(name).parent) in complaint(folder)


@pytest.mark.parametrize("weights", ["unet/" + WEIGHTS, "text_encoder/model.safetensors", "vae/" + WEIGHTS])
@pytest.mark.parametrize("share", [0, 0.001, 0.99])
def test_weights_that_are_cut_off_are_named(folder, complaint, weights, share):
    whole = (folder / weights).read_bytes()
    (folder / weights).write_bytes(whole[: int(share * len(whole))])
    assert f"{folder / weights} is cut off or damaged" in complaint(folder)


@pytest.mark.parametrize("weights", ["unet/" + WEIGHTS, "text_encoder/model.safetensors", "vae/" + WEIGHTS])
def test_weights_that_lack_a_tensor_are_named_and_never_made_up(folder, complaint, weights):
    tensors = load_file(folder / weights)
    lost = min(name for name in tensors if "position_ids" not in name)
    del tensors[lost]
    save_file(tensors, folder / weights, {"format": "pt"})
    text = complaint(folder)
    assert f"the weights in {(folder / weights).parent} lack {lost.removeprefix('text_model.')}" in text


def test_weights_with_a_tensor_too_many_are_named(folder, complaint):
    save_file(
        load_file(folder / "unet" / WEIGHTS) | {"extra.weight": torch.zeros(1)}, folder / "unet" / WEIGHTS, {"format": "pt"}
    )
    assert "of another network: it has no extra.weight" in complaint(folder)


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        (None, "has no weights; get diffusion_pytorch_model.safetensors"),
        ("diffusion_pytorch_model.bin", "a pickle, which can run code; get diffusion_pytorch_model.safetensors"),
        ("diffusion_pytorch_model.fp16.safetensors", "rounded to half precision; get diffusion_pytorch_model.safetensors"),
    ],
)
def test_weights_of_a_kind_that_is_not_read_are_named(folder, complaint, instead, words):
    whole = folder / "unet" / WEIGHTS
    whole.rename(whole.with_name(instead)) if instead else whole.unlink()
    assert words in complaint(folder)


def test_sharded_weights_are_read_and_a_missing_shard_is_named(folder, suite_of, complaint):
    whole = make_model(suite_of(folder), "semflow").network.unet
    (folder / "unet" / WEIGHTS).unlink()
    whole.save_pretrained(folder / "unet", max_shard_size="110KB")
    sharded = make_model(suite_of(folder), "semflow").network.unet
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in sharded.state_dict().items())
    lost = sorted((folder / "unet").glob("*-of-*.safetensors"))[1]
    lost.unlink()
    assert f"lacks the shard {lost.name}" in complaint(folder)
    (folder / "unet" / f"{WEIGHTS}.index.json").write_text("{}")
    assert "names no shards" in complaint(folder)


@pytest.mark.parametrize("shard", ["../other.safetensors", "/etc/passwd", "", ".", "..", "a/b.safetensors", ["a"], 5, None])
def test_an_index_whose_shards_lie_elsewhere_is_refused(folder, complaint, shard):
    (folder / "unet" / WEIGHTS).unlink()
    (folder / "unet" / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": {"conv_in.weight": shard}}))
    assert "names no shards, or none in its own folder" in complaint(folder)


@pytest.mark.parametrize(("kind", "named"), [(torch.float16, "F16"), (torch.bfloat16, "BF16")])
@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_rounded_to_half_precision_are_refused_whatever_their_file_is_called(folder, complaint, part, kind, named):
    path = next((folder / part).glob("*.safetensors"))
    save_file({name: value.to(kind) for name, value in load_file(path).items()}, path, {"format": "pt"})
    assert f"rounded to {named}, which makes other latents than float32" in complaint(folder)


def test_a_text_encoder_of_another_width_is_named(folder, complaint):
    edit_json(folder / "text_encoder/config.json", hidden_size=1024)
    assert "hidden_size is 1024, not 12" in complaint(folder)


def test_a_tokenizer_with_more_words_than_the_text_encoder_is_named(folder, complaint):
    words = [f"w{number}" for number in range(50)] + ["<|startoftext|>", "<|endoftext|>"]
    (folder / "tokenizer/vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "tokenizer/merges.txt").write_text("#version: 0.2\n")
    assert f"{folder / 'tokenizer'} is not the tokenizer of its text encoder" in complaint(folder)


def test_the_prompt_is_worked_out_once_for_the_same_files(folder, suite_of, tmp_path, monkeypatch):
    first = make_prompt(suite_of(folder).network)
    monkeypatch.setattr(prompt, "_encode", lambda place: pytest.fail("worked out again"))
    assert torch.equal(make_prompt(suite_of(folder).network), first)
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert torch.equal(make_prompt(suite_of(moved).network), first)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    weights = load_file(moved / "text_encoder/model.safetensors")
    weights["text_model.final_layer_norm.bias"] += 1
    save_file(weights, moved / "text_encoder/model.safetensors", {"format": "pt"})
    torch.testing.assert_close(make_prompt(suite_of(moved).network), first + 1)


def test_a_damaged_prompt_is_worked_out_again(folder, suite_of):
    first = make_prompt(suite_of(folder).network)
    (kept,) = prompt.MADE.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert torch.equal(make_prompt(suite_of(folder).network), first)
    assert torch.equal(load_file(kept)["prompt"], first)


def test_a_prompt_that_cannot_be_kept_is_used_all_the_same(folder, suite_of, tmp_path):
    (tmp_path / "results").write_text("no folder")
    assert make_prompt(suite_of(folder).network).shape == (1, 77, 12)


@pytest.mark.parametrize("name", ["owner/model", "owner/model@main", "owner/model@0123abc"])
def test_a_hub_id_without_a_commit_is_told_to_pin_it(tmp_path, monkeypatch, complaint, name):
    monkeypatch.chdir(tmp_path)
    assert "pin it as owner/model@COMMIT" in complaint(name)


@pytest.mark.parametrize(
    "name", ["weights/stable-diffusion-v1-5", "mine/sd15", "../weights/sd15", "./sd15", "sd15", "/nowhere/sd15"]
)
def test_a_missing_folder_is_never_taken_for_a_model_on_the_hub(tmp_path, monkeypatch, complaint, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    text = complaint(name)
    assert f"there is no folder {name}; put the diffusers folder of Stable Diffusion 1.5 there" in text
    assert text.endswith("or name OWNER/NAME@COMMIT of a model on the hub")


def test_neither_a_folder_nor_a_pinned_model_is_absent(tmp_path):
    assert pretrained.absent(str(tmp_path), "it") is pretrained.absent(f"owner/model@{COMMIT}", "it") is None


class Hub:
    """huggingface_hub's two functions over a folder, with what they were asked for."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root, self.cache, self.asked, self.online = root, cache, [], True

    def model_info(self, repository, *, revision, files_metadata):
        self._answer("model_info", repository, revision)
        assert files_metadata
        return SimpleNamespace(siblings=[self._sibling(path) for path in sorted(self.root.rglob("*")) if path.is_file()])

    def snapshot_download(self, repository, *, revision, allow_patterns, local_files_only):
        if local_files_only:
            if not self.cache.exists():
                raise LocalEntryNotFoundError("not here")
            return str(self.cache)
        self._answer("snapshot_download", repository, revision)
        for name in allow_patterns:
            (self.cache / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.root / name, self.cache / name)
        return str(self.cache)

    def _answer(self, what, repository, revision):
        assert (repository, revision) == ("owner/model", COMMIT)
        if not self.online:
            raise OSError("Network is unreachable\nand more")
        self.asked.append(what)

    def _sibling(self, path: Path):
        content, name = path.read_bytes(), str(path.relative_to(self.root))
        if name.endswith((".safetensors", ".bin")):  # what the hub keeps outside git
            return SimpleNamespace(rfilename=name, blob_id="0", lfs=SimpleNamespace(sha256=hashlib.sha256(content).hexdigest()))
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        return SimpleNamespace(rfilename=name, blob_id=blob, lfs=None)


@pytest.fixture
def remote(folder, tmp_path, monkeypatch) -> Hub:
    for unwanted in ("unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.fp16.safetensors", "v1-5.safetensors"):
        (folder / unwanted).write_bytes(b"not wanted")
    remote = Hub(folder, tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: remote)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", remote.snapshot_download)
    return remote


def network_from_the_hub(suite_of):
    return make_model(suite_of(f"owner/model@{COMMIT}"), "semflow").network


def test_the_hub_is_asked_for_what_is_needed_once(remote, sd_folder, suite_of):
    network, local = network_from_the_hub(suite_of), make_model(suite_of(sd_folder), "semflow").network
    assert torch.equal(network.prompt, local.prompt)
    assert torch.equal(network.unet.conv_in.weight, local.unet.conv_in.weight)
    arrived = {str(path.relative_to(remote.cache)) for path in remote.cache.rglob("*") if path.is_file()}
    assert arrived == {str(path.relative_to(sd_folder)) for path in sd_folder.rglob("*") if path.is_file()}
    asked = list(remote.asked)
    remote.online = False
    network_from_the_hub(suite_of)
    assert remote.asked == asked


def test_a_file_that_is_not_what_the_hub_publishes_is_named(remote, suite_of):
    network_from_the_hub(suite_of)
    for name in ("unet/" + WEIGHTS, "unet/config.json"):
        before = (remote.cache / name).read_bytes()
        (remote.cache / name).write_bytes(before[:-1] + b" ")
        with pytest.raises(SemFlowError, match=f"{name} is not what the hub publishes for owner/model@{COMMIT}"):
            network_from_the_hub(suite_of)
        (remote.cache / name).write_bytes(before)
    network_from_the_hub(suite_of)


def test_a_hub_out_of_reach_is_one_sentence(remote, suite_of, complaint):
    remote.online = False
    text = complaint(f"owner/model@{COMMIT}")
    assert f"owner/model@{COMMIT} cannot be had from the hub (Network is unreachable)" in text
    assert "folder" in text


def test_an_unfinished_download_goes_on(remote, suite_of):
    network_from_the_hub(suite_of)
    (remote.cache / "unet" / WEIGHTS).unlink()
    network_from_the_hub(suite_of)
    assert (remote.cache / "unet" / WEIGHTS).exists()


def test_a_repository_of_nothing_but_pickles_is_named(remote, complaint):
    for path in remote.root.rglob("*"):
        if path.is_file() and path.suffix != ".bin":
            path.unlink()
    assert "has no weights in diffusers' layout as safetensors" in complaint(f"owner/model@{COMMIT}")


def test_a_repository_that_is_an_autoencoder_itself_is_fetched_whole(remote, suite_of, kl_section, sd_folder):
    remote.root = sd_folder / "vae"
    suite = suite_of(f"owner/model@{COMMIT}", pretrained=str(sd_folder))
    make_model(suite, "semflow")
    assert {path.name for path in remote.cache.iterdir()} == {"config.json", WEIGHTS}


def test_only_forty_hexadecimal_digits_pin():
    assert hub.parse(f"owner/model@{COMMIT}") == ("owner/model", COMMIT)
    assert hub.parse(f"owner/model@{COMMIT[:-1]}") is hub.parse("owner/model") is hub.parse(f"model@{COMMIT}") is None


def settled(path: Path, content: bytes, monkeypatch) -> Path:
    """A file whose hash may be remembered at once."""
    monkeypatch.setattr(files, "SETTLED_S", -60)
    path.write_bytes(content)
    return path


def test_a_hash_is_remembered_until_the_file_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "REMEMBERED", tmp_path / "memory.json")
    path = settled(tmp_path / "weights", b"one", monkeypatch)
    assert files.remembered_hash(path) == hashlib.sha256(b"one").hexdigest()
    read, reads = files.file_hash, []
    monkeypatch.setattr(files, "file_hash", lambda place: reads.append(place) or read(place))
    files._memory.cache_clear()  # as in another process
    assert files.remembered_hash(path) == hashlib.sha256(b"one").hexdigest()
    assert not reads
    path.write_bytes(b"two")
    assert files.remembered_hash(path) == hashlib.sha256(b"two").hexdigest()
    assert len(reads) == 1


def test_a_file_that_is_still_young_is_not_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "REMEMBERED", tmp_path / "memory.json")
    (tmp_path / "weights").write_bytes(b"one")
    files.remembered_hash(tmp_path / "weights")
    assert not (tmp_path / "memory.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"NAME": 3}', '{"NAME": [[0, 0, 0], 5]}', "\udcff"])
def test_a_damaged_memory_is_ignored(tmp_path, monkeypatch, content):
    memory = tmp_path / "memory.json"
    monkeypatch.setattr(files, "REMEMBERED", memory)
    path = settled(tmp_path / "weights", b"one", monkeypatch)
    memory.write_bytes(content.replace("NAME", str(path)).encode("utf-8", "surrogateescape"))
    assert files.remembered_hash(path) == hashlib.sha256(b"one").hexdigest()
    assert str(path) in json.loads(memory.read_text())


def test_a_memory_that_cannot_be_written_is_ignored(tmp_path, monkeypatch):
    (tmp_path / "memory.json").mkdir()
    monkeypatch.setattr(files, "REMEMBERED", tmp_path / "memory.json")
    path = settled(tmp_path / "weights", b"one", monkeypatch)
    assert files.remembered_hash(path) == hashlib.sha256(b"one").hexdigest()


def test_nothing_is_remembered_where_nothing_is_generated(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "REMEMBERED", tmp_path / "results/memory.json")
    files.remembered_hash(settled(tmp_path / "weights", b"one", monkeypatch))
    assert not (tmp_path / "results").exists()
