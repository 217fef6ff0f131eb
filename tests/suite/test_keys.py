"""What makes a result stale, and what does not."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from sd_folder import sd_sections

from baselines import METHODS
from semflow import provenance
from semflow.data.camvid import Settings as CamVidSettings
from semflow.method.samplers import DIRECT, Sampler
from semflow.method.settings import Patchify
from semflow.suite import keys, reading
from semflow.suite import reading as config
from semflow.suite.measurements import InceptionV3
from semflow.suite.runs import Evaluation
from semflow.suite.variants import variant, with_amplitude

SEGMENTATION, SYNTHESIS, AGREEMENT = (
    Evaluation("semflow", task, Sampler("euler", 25), 6.0) for task in ("segmentation", "synthesis", "seed_agreement")
)
ORACLE = Evaluation("oracle", "segmentation", DIRECT)


def changed(suite, section, **values):
    return suite.model_copy(update={section: getattr(suite, section).model_copy(update=values)})


def test_weights_do_not_depend_on_how_a_training_is_run(tiny_suite):
    other = changed(tiny_suite, "run", workers=2, log_every=1, checkpoint_every=1, device="cpu", in_memory=False)
    assert keys.weights_key(other, "semflow", 0) == keys.weights_key(tiny_suite, "semflow", 0)


def test_weights_do_not_depend_on_the_evaluation(tiny_suite):
    other = changed(tiny_suite, "evaluation", batch_size=1, examples=1)
    assert keys.weights_key(other, "dsm", 0) == keys.weights_key(tiny_suite, "dsm", 0)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("training", {"steps": 7}),
        ("training", {"lr": 0.5}),
        ("pseudo_mask", {"amplitude": 0.0}),
        ("network", {"layers_per_block": 2}),
        ("data", {"seed": 5}),
    ],
)
def test_weights_depend_on_every_setting_of_the_recipe(tiny_suite, section, values):
    other = changed(tiny_suite, section, **values)
    assert keys.weights_key(other, "semflow", 0) != keys.weights_key(tiny_suite, "semflow", 0)


@pytest.mark.parametrize(("own", "values"), [("dsm_modified", {"mask_scale": 0.2}), ("dsm", {"timestep_spacing": "trailing"})])
def test_weights_depend_on_the_settings_of_their_own_method(tiny_suite, own, values):
    methods = tiny_suite.methods | {own: tiny_suite.methods[own].model_copy(update=values)}
    other = tiny_suite.model_copy(update={"methods": methods})
    assert [
        method for method in tiny_suite.methods if keys.weights_key(other, method, 0) != keys.weights_key(tiny_suite, method, 0)
    ] == [own]


def key_of(tiny, sections) -> str:
    tiny["data"]["size"] = [32, 32]
    return keys.weights_key(config.check(tiny | sections, "tiny"), "semflow", 0)


def test_pretrained_files_count_by_what_they_are_not_by_where_they_lie(tiny, sd_folder, tmp_path):
    key = key_of(tiny, sd_sections(sd_folder))
    for number, name in enumerate(
        [
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "text_encoder/model.safetensors",
            "tokenizer/vocab.json",
            "vae/diffusion_pytorch_model.safetensors",
        ]
    ):
        moved = shutil.copytree(sd_folder, tmp_path / str(number))
        assert key_of(tiny, sd_sections(moved)) == key
        (moved / name).write_bytes((moved / name).read_bytes() + b" ")
        assert key_of(tiny, sd_sections(moved)) != key, name


def test_pretrained_files_that_are_not_read_do_not_count(tiny, sd_folder, tmp_path):
    moved = shutil.copytree(sd_folder, tmp_path / "moved")
    for name in ("README.md", "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.non_ema.safetensors"):
        (moved / name).write_text("other")
    assert key_of(tiny, sd_sections(moved)) == key_of(tiny, sd_sections(sd_folder))


def test_random_weights_are_no_pretrained_ones(tiny, sd_folder):
    assert key_of(tiny, sd_sections(None)) != key_of(tiny, sd_sections(sd_folder))


def test_planning_with_a_hub_id_asks_nobody_and_goes_by_its_commit(tiny, monkeypatch):
    monkeypatch.setattr("semflow.method.hub.snapshot", lambda *_: pytest.fail("a plan fetched files"))
    one, same, other = (f"{name}@{digit * 40}" for name, digit in (("a/b", "0"), ("mirror/b", "0"), ("a/b", "1")))
    assert key_of(tiny, sd_sections(one)) == key_of(tiny, sd_sections(same)) != key_of(tiny, sd_sections(other))


def test_a_plan_can_be_shown_without_the_pretrained_files(tiny, sd_folder, tmp_path):
    assert key_of(tiny, sd_sections(tmp_path / "nowhere")) != key_of(tiny, sd_sections(sd_folder))


def test_an_opened_autoencoder_of_the_hub_is_the_one_in_a_folder(tiny, sd_folder, monkeypatch):
    monkeypatch.setattr("semflow.method.hub.snapshot", lambda *_: sd_folder)
    tiny["data"]["size"] = [32, 32]
    hub, here = (config.check(tiny | sd_sections(name), "tiny").autoencoder for name in (f"a/b@{'0' * 40}", sd_folder / "vae"))
    assert keys.autoencoder_key(hub, opened=True) == keys.autoencoder_key(here, opened=True)
    assert keys.autoencoder_key(hub) != keys.autoencoder_key(here)


def test_the_module_of_the_suites_own_data_counts_and_no_other(tiny_suite, monkeypatch):
    whole = provenance._tree

    def both(altered: str) -> tuple[str, str]:
        monkeypatch.setattr(
            provenance, "_tree", lambda name: provenance.ast.parse("CHANGED = 1") if name == altered else whole(name)
        )
        provenance._written.cache_clear()
        provenance.code_hash.cache_clear()
        task = keys.scores_key(tiny_suite, SEGMENTATION)
        return keys.weights_key(tiny_suite, "semflow", 0), task

    before = both("none")
    for altered in ("semflow.data", "semflow.data.camvid", "semflow.data.coco_stuff", "semflow.method.pretrained"):
        assert both(altered) == before
    assert all(ours != theirs for ours, theirs in zip(both("semflow.data.scenes"), before, strict=True))
    provenance._written.cache_clear()
    provenance.code_hash.cache_clear()


def test_weights_depend_on_method_and_seed(tiny_suite):
    found = {keys.weights_key(tiny_suite, method, seed) for method in ("semflow", "dsm") for seed in (0, 1)}
    assert len(found) == 4


def test_the_sampler_is_no_part_of_the_weights_but_of_the_scores(tiny_suite, monkeypatch):
    weights, scores = (
        keys.weights_key(tiny_suite, "semflow", 0),
        keys.scores_key(tiny_suite, SEGMENTATION),
    )
    whole = provenance._tree

    def with_a_change(name):
        return provenance.ast.parse("CHANGED = 1") if name == "semflow.method.solvers" else whole(name)

    monkeypatch.setattr(provenance, "_tree", with_a_change)
    provenance._written.cache_clear()
    provenance.code_hash.cache_clear()
    assert keys.weights_key(tiny_suite, "semflow", 0) == weights
    assert keys.scores_key(tiny_suite, SEGMENTATION) != scores
    provenance._written.cache_clear()
    provenance.code_hash.cache_clear()


def test_results_do_not_depend_on_whose_they_may_be(tiny_suite):
    other = tiny_suite.model_copy(update={"shares": "mini", "checkpoints": Path("weights")})
    assert config.result_hash(other) == config.result_hash(tiny_suite)
    assert keys.weights_key(other, "semflow", 0) == keys.weights_key(tiny_suite, "semflow", 0)
    assert keys.scores_key(other, SYNTHESIS) == keys.scores_key(tiny_suite, SYNTHESIS)


def test_scores_of_a_task_depend_on_what_that_task_uses(tiny_suite):
    def scores(suite):
        return {evaluation.task: keys.scores_key(suite, evaluation) for evaluation in (SEGMENTATION, SYNTHESIS, AGREEMENT)}

    def changed(**update):
        other = scores(tiny_suite.model_copy(update=update))
        return {task for task, key in scores(tiny_suite).items() if other[task] != key}

    synthesis, evaluation = tiny_suite.synthesis, tiny_suite.evaluation
    fewer = synthesis.diversity.model_copy(update={"layouts": 2})
    assert changed(synthesis=synthesis.model_copy(update={"diversity": fewer})) == {"synthesis"}
    fewer = evaluation.seed_agreement.model_copy(update={"seeds": 3})
    assert changed(evaluation=evaluation.model_copy(update={"seed_agreement": fewer})) == {"seed_agreement"}
    assert changed(runs=tiny_suite.runs[:1]) == set()


def test_a_weights_file_of_ones_own_counts_by_its_content_and_not_by_its_place(tiny_suite, tmp_path):
    def key(path):
        features = InceptionV3(network="inception-v3", weights=path)
        synthesis = tiny_suite.synthesis.model_copy(update={"features": features})
        return keys.scores_key(tiny_suite.model_copy(update={"synthesis": synthesis}), SYNTHESIS)

    for name, content in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / name).write_text(content)
    assert key(tmp_path / "a") == key(tmp_path / "b") != key(tmp_path / "c")
    assert key(None) != key(tmp_path / "a")


def test_another_perturbation_is_another_training(tiny_suite):
    found = {keys.weights_key(with_amplitude(tiny_suite, b), "semflow", 0) for b in (0, tiny_suite.pseudo_mask.amplitude, 20)}
    assert len(found) == 3
    assert keys.weights_key(tiny_suite, "semflow", 0) in found


def test_another_variant_is_another_training_unless_it_changes_nothing(tiny):
    tiny["runs"] = [tiny["runs"][0] | {"variants": ["short", "same"]}]
    steps = tiny["training"]["steps"]
    suite = config.check(
        tiny | {"variants": {"short": {"training": {"steps": 2}}, "same": {"training": {"steps": steps}}}}, "tiny"
    )
    own, short, same = (keys.weights_key(variant(suite, name), "semflow", 0) for name in ("", "short", "same"))
    assert short != own == same


def test_scores_depend_on_the_autoencoder_even_of_a_control(tiny_suite):
    other = tiny_suite.model_copy(update={"autoencoder": Patchify(kind="patchify", factor=2)})
    assert keys.scores_key(other, ORACLE) != keys.scores_key(tiny_suite, ORACLE)


def test_other_files_make_other_weights(tiny_suite, tmp_path, monkeypatch):
    monkeypatch.delenv("SEMFLOW_DATA", raising=False)
    found = set()
    for name, side in (("a", 20), ("b", 24)):
        for folder in ("train", "trainannot"):
            (tmp_path / name / folder).mkdir(parents=True)
            mode = "L" if folder.endswith("annot") else "RGB"
            Image.new(mode, (side, side)).save(tmp_path / name / folder / "x_1.png")
        (tmp_path / name / "train.txt").write_text("/x/train/x_1.png /x/trainannot/x_1.png\n")
        data = CamVidSettings(name="camvid", root=str(tmp_path / name), size=(16, 16))
        found.add(keys.weights_key(tiny_suite.model_copy(update={"data": data}), "semflow", 0))
    assert len(found) == 2


def test_a_plan_does_not_wait_for_torch():
    code = "import sys, semflow.suite.keys; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_modules_that_training_never_runs_exist():
    for name in keys.SAMPLING:
        assert provenance._source(name).exists(), name


def test_another_card_or_an_option_left_out_makes_nothing_stale(tiny_suite, monkeypatch):
    before = keys.weights_key(tiny_suite, "semflow", 0)
    monkeypatch.setitem(METHODS, "another", METHODS["dsm"])
    monkeypatch.setitem(METHODS, "semflow", replace(METHODS["semflow"], title="Flow", colour="red"))
    assert keys.weights_key(tiny_suite, "semflow", 0) == before


def of_others(mini, name, **changes):
    """mini with another setting of one of the other systems."""
    own = mini["methods"][name] | changes
    return config.check(mini | {"methods": mini["methods"] | {name: own}}, "mini")


def test_weights_of_vgg19_and_of_a_backbone_count_by_what_is_in_them_and_not_by_where_they_lie(mini, tmp_path):
    def key(name, **changes):
        return keys.weights_key(of_others(mini, name, **changes), name, 0)

    here, there = (str(tmp_path / folder / "vgg19-dcbb9e9d.pth") for folder in ("here", "there"))
    assert key("pix2pixhd", perceptual=10, vgg19=here) == key("pix2pixhd", perceptual=10, vgg19=there) != key("pix2pixhd")
    imagenet = {"stem_kernel": 7, "stem_stride": 2, "stem_pooling": True}
    folders = [tmp_path / "one", tmp_path / "two", tmp_path / "other"]
    for folder, text in zip(folders, ("{}", "{}", "{} "), strict=True):
        folder.mkdir()
        (folder / "config.json").write_text(text)
        (folder / "model.safetensors").write_bytes(b"weights")
    one, two, other = (key("maskformer", pretrained=str(folder), **imagenet) for folder in folders)
    assert one == two != other


def test_weights_that_methods_begin_with_and_are_not_here_are_named_with_the_mend(mini, tmp_path):
    assert keys.absent_weights(config.check(mini, "mini")) == []
    (found,) = keys.absent_weights(of_others(mini, "spade", perceptual=10, vgg19=str(tmp_path / "v.pth")))
    assert found == f"vgg19: {tmp_path / 'v.pth'} (put torchvision's file there)"
    assert reading.placeless({"vgg19": "a", "autoencoder": {"pretrained": None, "codes": 3}}) == {
        "vgg19": True, "autoencoder": {"pretrained": False, "codes": 3}
    }  # fmt: skip
