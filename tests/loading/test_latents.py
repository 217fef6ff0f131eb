"""Latents encoded once: the same loss as encoding at every step, and what is said of a cache that is not whole."""

import json
import pickle
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from semflow import files, provenance
from semflow.data import open_dataset
from semflow.errors import Interrupted, SemFlowError
from semflow.loading import latents
from semflow.loading.latents import Cache
from semflow.suite import reading as config
from semflow.training.loop import Trainer, make_accelerator, train, training_batches
from semflow.training.training_set import masks_made_of


@pytest.fixture
def suite(tiny, kl_section, tmp_path, monkeypatch):
    """Scenes through a small KL autoencoder, in shards of five; the working folder is the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(latents, "SHARD", 5)
    monkeypatch.setattr(latents, "AT_ONCE", 2)
    tiny["autoencoder"] = kl_section
    tiny["training"] |= {"steps": 3, "batch_size": 4}
    return config.check(tiny, "tiny")


def changed(suite, **sections):
    return suite.model_copy(update={name: getattr(suite, name).model_copy(update=keys) for name, keys in sections.items()})


def losses(suite, method: str = "semflow") -> list[float]:
    """Of every step of a training."""
    trainer = Trainer(make_accelerator(suite), suite, method, 0, Path("state"))
    return [float(trainer.advance(batch)["loss"]) for batch in training_batches(open_dataset(suite.data, "train"), trainer)]


def shards(what: str) -> list[Path]:
    (folder,) = Path("results/latents").glob(f"{what}-*")
    return sorted(folder.glob("*.safetensors"))


@pytest.mark.parametrize("method", ["semflow", "dsm"])
@pytest.mark.parametrize("flip", [False, True])
def test_cached_moments_give_the_loss_of_encoding_at_every_step(suite, method, flip):
    suite = changed(suite, training={"flip": flip})
    online = losses(suite, method)
    for _ in ("made", "read"):
        assert losses(changed(suite, run={"cache_latents": True}), method) == pytest.approx(online, rel=1e-5)
    assert len(shards("moments")) == 2


def test_what_is_cached_is_the_mean_and_deviation_of_pictures_and_of_their_mirror_images(suite):
    losses(changed(suite, run={"cache_latents": True}))
    model = Trainer(make_accelerator(suite), suite, "semflow", 0, Path("other")).model
    image, _ = open_dataset(suite.data, "train")[6]
    pixels = torch.from_numpy(image)[None].float() / 127.5 - 1
    kept = load_file(shards("moments")[1])["latents"][1]
    for mirrored, picture in enumerate((pixels, pixels.flip(-1))):
        posterior = model.autoencoder.vae.encode(picture).latent_dist
        expected = 0.3 * torch.stack([posterior.mean, posterior.std], 1)[0]
        torch.testing.assert_close(kept[mirrored], expected, rtol=1e-4, atol=1e-5)
    assert kept.dtype == torch.float32


def test_a_mask_has_as_many_latents_as_perturbations(suite):
    suite = changed(suite, training={"cached_perturbations": 3})
    losses(suite)
    kept = load_file(shards("masks")[0])["latents"]
    assert kept.shape == (5, 2, 3, 5, 4, 4)
    trainer = Trainer(make_accelerator(suite), suite, "semflow", 0, Path("other"))
    labels = torch.from_numpy(open_dataset(suite.data, "train")[2].labels)[None]
    plain = trainer.model.encode_labels(labels, None, 0.0)[0]
    apart = [(kept[2, 0, number] - plain).norm() for number in range(3)]
    assert all(0 < distance < (kept[3, 0, 0] - plain).norm() for distance in apart)
    assert len({round(float(distance), 6) for distance in apart}) == 3


def test_both_may_be_cached_and_a_training_from_them_ends_in_a_checkpoint(suite, tmp_path):
    suite = changed(suite, training={"cached_perturbations": 2}, run={"cache_latents": True, "workers": 1})
    train(suite, "semflow", 0, tmp_path / "state", tmp_path / "out")
    assert (tmp_path / "out/config.json").exists()
    assert {folder.name.partition("-")[0] for folder in Path("results/latents").iterdir()} == {"moments", "masks"}


def test_other_flips_or_data_have_a_cache_of_their_own(suite):
    for other in (suite, changed(suite, training={"flip": False}), changed(suite, data={"seed": 5})):
        losses(changed(other, run={"cache_latents": True}))
    assert len(list(Path("results/latents").glob("moments-*"))) == 3


def test_a_recipe_that_changes_no_latent_shares_the_cache(suite):
    for method, lr in (("semflow", 1e-3), ("dsm", 1e-4)):
        losses(changed(suite, training={"lr": lr}, run={"cache_latents": True}), method)
    assert len(list(Path("results/latents").glob("moments-*"))) == 1


def test_only_the_shards_that_lack_are_made_again(suite):
    suite = changed(suite, run={"cache_latents": True})
    before = losses(suite)
    first, second = shards("moments")
    kept, bits = second.stat().st_mtime_ns, first.read_bytes()
    first.unlink()
    assert losses(suite) == before
    assert first.read_bytes() == bits
    assert second.stat().st_mtime_ns == kept


def test_a_shard_cut_off_is_named_with_the_mend(suite):
    suite = changed(suite, run={"cache_latents": True})
    losses(suite)
    first, _ = shards("moments")
    first.write_bytes(first.read_bytes()[:-100])
    with pytest.raises(SemFlowError, match=f"{first} is cut off or damaged .*delete it and run the same command again"):
        losses(suite)
    first.unlink()
    losses(suite)


def test_a_shard_with_a_changed_number_is_named(suite):
    suite = changed(suite, run={"cache_latents": True})
    losses(suite)
    first, _ = shards("moments")
    content = bytearray(first.read_bytes())
    content[-1] ^= 1
    first.write_bytes(content)
    with pytest.raises(SemFlowError, match="SHA-256 is not the index's"):
        losses(suite)


def test_a_shard_of_other_weights_or_flips_is_refused(suite):
    suite = changed(suite, run={"cache_latents": True})
    losses(suite)
    first, _ = shards("moments")
    save_file(load_file(first), first, {"key": "another"})
    with pytest.raises(SemFlowError, match="was made with other settings; delete the folder"):
        losses(suite)


def test_an_index_of_other_weights_says_what_differs(suite):
    suite = changed(suite, run={"cache_latents": True})
    losses(suite)
    index = shards("moments")[0].with_name("index.json")
    content = json.loads(index.read_text())
    content["made_of"] |= {"autoencoder": "another", "flip": False}
    index.write_text(json.dumps(content))
    with pytest.raises(SemFlowError, match="was made with another autoencoder, flip; delete it and run"):
        losses(suite)


def test_a_full_disk_is_one_sentence_and_loses_no_shard(suite, monkeypatch):
    suite = changed(suite, run={"cache_latents": True})
    written = []

    def full(tensors, path, metadata):
        if written:
            raise OSError(28, "No space left on device", str(path))
        written.append(path)
        save_file(tensors, path, metadata)

    monkeypatch.setattr(latents, "save_file", full)
    with pytest.raises(SemFlowError, match="No space left on device; free space"):
        losses(suite)
    assert len(shards("moments")) == 1
    monkeypatch.undo()


def test_a_cache_is_opened_anew_in_a_process_that_reads_ahead(tmp_path):
    cache = Cache(tmp_path, 4, {"what": "moments"})
    values = torch.arange(4 * 2 * 2 * 1 * 1 * 1.0).view(4, 2, 2, 1, 1, 1)
    cache.folder.mkdir()
    save_file({"latents": values}, cache.shards[0], {"key": cache.key})
    assert torch.equal(cache.read(1, False), values[1, 0])
    sent = pickle.loads(pickle.dumps(cache))  # as a process that is started afresh gets it
    assert torch.equal(sent.read(3, True), values[3, 1])


def test_a_shard_that_changed_before_the_index_was_written_is_named(suite):
    suite = changed(suite, run={"cache_latents": True})
    losses(suite)
    first, _ = shards("moments")
    first.with_name("index.json").unlink()
    content = bytearray(first.read_bytes())
    content[-1] ^= 1
    first.write_bytes(content)
    with pytest.raises(SemFlowError, match="SHA-256 is not the index's"):
        losses(suite)


def test_a_training_says_that_it_waits_for_another_that_encodes(suite, capfd):
    suite = changed(suite, run={"cache_latents": True})
    losses(suite)
    second, said = threading.Thread(target=losses, args=(suite,)), ""
    with files.held(shards("moments")[0].parent, lambda: None):
        second.start()
        while "waiting for another process that encodes into" not in said and second.is_alive():
            said += capfd.readouterr().err
            time.sleep(0.01)
        assert second.is_alive()
    second.join(timeout=60)
    assert not second.is_alive()


def test_a_process_beside_others_makes_its_share_of_what_the_first_of_them_missed(tmp_path, monkeypatch):
    """And looks for nothing itself: by then the first may have made some of it."""

    class Second:
        is_main_process, process_index, num_processes = False, 1, 2

        def wait_for_everyone(self):
            pass

    def encode(parts):
        made.append(parts[0].start)
        yield torch.zeros(sum(map(len, parts)), 1, 2, 1, 1, 1)

    made = []
    monkeypatch.setattr(latents, "SHARD", 4)
    monkeypatch.setattr(latents, "broadcast_object_list", lambda _: [[0, 1, 3]])
    encoder = latents.Encoder(None, 16, (False,), Second(), folder=tmp_path)
    cache = Cache(tmp_path, 16, {"what": "moments"})
    files.write_atomically(cache.shards[3], lambda path: save_file({"latents": torch.ones(1)}, path, {"key": cache.key}))
    encoder.complete({"what": "moments"}, encode, "encode")
    assert made == [4]
    assert [path.exists() for path in cache.shards] == [False, True, False, True]


def test_encoding_that_is_stopped_keeps_whole_shards_and_goes_on_from_them(suite, monkeypatch):
    monkeypatch.setattr(latents, "SHARD", 4)
    suite = changed(suite, run={"cache_latents": True})
    asked = iter([False, True])
    trainer = Trainer(make_accelerator(suite), suite, "semflow", 0, Path("state"))
    with pytest.raises(Interrupted, match="the same command goes on"):
        next(training_batches(open_dataset(suite.data, "train"), trainer, stop=lambda: next(asked)))
    (first,) = shards("moments")
    before = first.stat().st_mtime_ns
    losses(suite)
    assert len(shards("moments")) > 1
    assert first.stat().st_mtime_ns == before


def test_a_change_in_how_a_data_set_is_read_is_another_cache(suite, monkeypatch):
    old = masks_made_of(suite, "semflow", "no")
    written = provenance._written
    monkeypatch.setattr(provenance, "_written", lambda name: b"new" if name == "semflow.data.scenes" else written(name))
    provenance.code_hash.cache_clear()
    assert masks_made_of(suite, "semflow", "no")["code"] != old["code"]
    provenance.code_hash.cache_clear()
