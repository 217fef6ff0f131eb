"""Every mistake in a configuration is one sentence that names the key and the value."""

import re
from pathlib import Path

import pytest
import yaml

from semflow.data.scenes import NAMES
from semflow.errors import SemFlowError
from semflow.files import write_json
from semflow.suite import reading as config
from semflow.suite.runs import PRODUCTS

SUITES = sorted((Path(__file__).resolve().parents[2] / "config").glob("*.yaml"))
TOP = [
    "suite",
    "data",
    "pseudo_mask",
    "autoencoder",
    "network",
    "training",
    "run",
    "methods",
    "evaluation",
    "synthesis",
    "ablations",
]
PATCHIFY = {"kind": "patchify", "factor": 3}


def changed(raw: dict, key: str, value: object) -> dict:
    """`raw` with the value at a dotted key replaced, or the key removed where `value` is KeyError."""
    *parents, last = [int(part) if part.isdecimal() else part for part in key.split(".")]
    place = raw
    for part in parents:
        place = place[part]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return raw


def complaint(raw: object) -> str:
    with pytest.raises(SemFlowError) as error:
        config.check(raw, "some.yaml")
    text = str(error.value)
    assert "\n" not in text
    assert "some.yaml" in text
    return text


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_in_the_repository_loads(path):
    study = config.load_study(path)
    assert study.name == path.stem
    assert {suite.suite for suite in study.suites.values()} == {path.stem}


@pytest.mark.parametrize("key", TOP)
def test_no_part_of_a_suite_has_a_default(mini, key):
    assert f"{key} is missing" in complaint(changed(mini, key, KeyError))


@pytest.mark.parametrize(
    "key",
    ["data.n_train", "data.seed", "pseudo_mask.amplitude", "network.attention", "training.ema_decay", "training.precision",
     "synthesis.features", "synthesis.diversity.layouts", "ablations.determinism", "run.device", "methods.dsm",
     "methods.dsm.timestep_spacing", "evaluation.block_length", "evaluation.sweeps.1.seeds"],
)  # fmt: skip
def test_no_key_of_a_part_has_a_default(mini, key):
    assert f"{key} is missing" in complaint(changed(mini, key, KeyError))


@pytest.mark.parametrize(
    ("key", "near"),
    [("trainig", "training"), ("training.stepz", "steps"), ("pseudo_mask.amplitud", "amplitude"), ("data.n_trian", "n_train"),
     ("evaluation.sweeps.1.sampIer", "sampler")],
)  # fmt: skip
def test_an_unknown_key_is_named_with_the_nearest_known_one(mini, key, near):
    assert f"unknown key {key}; did you mean {near}?" in complaint(changed(mini, key, 1))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("training.steps", "many", "training.steps is 'many'"),
        ("training.steps", 0, "training.steps is 0"),
        ("training.steps", 2.5, "training.steps is 2.5"),
        ("training.steps", True, "training.steps is True"),
        ("training.lr", "1e-3", "training.lr is '1e-3'"),
        ("training.lr", 0, "training.lr is 0"),
        ("training.lr", float("nan"), "training.lr is nan"),
        ("training.lr_schedule", "step", "training.lr_schedule is 'step'"),
        ("training.seeds", [], "training.seeds is []"),
        ("synthesis.diversity.samples", 1, "synthesis.diversity.samples is 1"),
        ("synthesis.solver", "rk45", "synthesis.solver is 'rk45'"),
        ("ablations.determinism.seeds", 1, "ablations.determinism.seeds is 1"),
        ("training.flip", "yes", "training.flip is 'yes'"),
        ("training.seeds", [0, 0], "seeds [0, 0] name a training twice"),
        ("training.weight_decay", float("inf"), "training.weight_decay is inf"),
        ("methods.dsm.mask_scale", float("inf"), "methods.dsm.mask_scale is inf"),
        ("methods.dsm.mask_scale", 0, "methods.dsm.mask_scale is 0"),
        ("training.ema_decay", 1.0, "training.ema_decay is 1.0"),
        ("pseudo_mask.k", 6.0, "pseudo_mask.k is 6.0"),
        ("pseudo_mask.s", "50", "pseudo_mask.s is '50'"),
        ("pseudo_mask.s", float("nan"), "pseudo_mask.s is nan"),
        ("pseudo_mask.amplitude", -1, "pseudo_mask.amplitude is -1"),
        ("data.size", 32, "data.size is 32"),
        ("data.size", [32, 32, 32], "data.size is [32, 32, 32]"),
        ("data.size", [32, 8], "data.size.1 is 8"),
        ("data.name", "coco", "'coco'"),
        ("data", None, "data is None"),
        ("data.root", "somewhere", "unknown key data.root"),
        ("data.seed", -1, "data.seed is -1"),
        ("autoencoder.kind", "vae", "'vae'"),
        ("autoencoder", PATCHIFY | {"factor": 1}, "autoencoder.factor is 1"),
        ("network.block_out_channels", [32, 0, 96], "network.block_out_channels.1 is 0"),
        ("run.device", "tpu", "run.device is 'tpu'"),
        ("methods.dsm.timestep_spacing", "even", "methods.dsm.timestep_spacing is 'even'"),
        ("methods.gan", {}, "unknown key methods.gan"),
        ("evaluation.sweeps", [], "evaluation.sweeps is []"),
        ("evaluation.sweeps.0.steps", [0], "evaluation.sweeps.0.steps.0 is 0"),
        ("evaluation.sweeps.0.method", "gan", "evaluation.sweeps.0.method is 'gan'"),
        ("evaluation.bootstrap_samples", 99, "evaluation.bootstrap_samples is 99"),
        ("suite", "My Suite", "suite is 'My Suite'"),
    ],
)
def test_an_impossible_value_is_named_with_its_key(mini, key, value, named):
    assert named in complaint(changed(mini, key, value))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("pseudo_mask.s", 51, ["pseudo_mask", "s (k - 1) = 255", "Eq. 7"]),
        ("pseudo_mask.k", 7, ["pseudo_mask", "s (k - 1) = 300", "Eq. 7"]),
        ("pseudo_mask.amplitude", 25, ["pseudo_mask", "amplitude 25", "s/2 = 25", "Eq. 14"]),
        ("pseudo_mask.k", 2, ["pseudo_mask.k = 2", "8 anchors", f"{len(NAMES)} classes"]),
        ("data.size", [30, 32], ["data.size [30, 32]", "multiples of 8"]),
        ("data.size", [32, 36], ["data.size [32, 36]", "multiples of 8"]),
        ("autoencoder", PATCHIFY, ["data.size [32, 32]", "multiples of 24"]),
        ("network.attention", [True], ["network", "attention", "block_out_channels"]),
        ("network.norm_num_groups", 7, ["norm_num_groups 7", "block_out_channels"]),
        ("evaluation.sweeps.0.repeat_at", 3, ["evaluation.sweeps.0", "repeat_at 3"]),
        ("synthesis.repeat_at", 3, ["synthesis", "repeat_at 3"]),
        ("synthesis.seeds", [1, 1], ["synthesis", "must not repeat"]),
        ("ablations.solvers.3.steps", [5], ["ablations.solvers.3", "rk45 chooses its own steps"]),
        ("ablations.solvers.0.steps", [], ["ablations.solvers.0", "midpoint needs steps"]),
        ("ablations.sampling_amplitudes", [1, 1], ["ablations", "sampling_amplitudes must not repeat"]),
        ("ablations.sampling_amplitudes", [1, 5], ["an amplitude of 30", "s/2 = 25", "Eq. 14"]),
        ("ablations.training_amplitudes", [6, 25], ["an amplitude of 25", "s/2 = 25", "Eq. 14"]),
        ("ablations.training_amplitudes", [0, 2], ["training_amplitudes must include pseudo_mask.amplitude, 6"]),
    ],
)
def test_values_that_do_not_fit_together_are_named(mini, key, value, words):
    text = complaint(changed(mini, key, value))
    assert [word for word in words if word not in text] == []


def test_a_list_that_is_too_short_is_named(mini):
    assert "training.betas" in complaint(changed(mini, "training.betas", [0.9]))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("training.betas", [0.9, 2.0], "betas"),
        ("network.attention_head_dim", 128, "attention_head_dim"),
        ("evaluation.sweeps.0.sampler", "rk46", "rk46"),
        ("evaluation.sweeps.1.sampler", "euler", "euler"),
        ("evaluation.sweeps.2.steps", [25, 1001], "1001"),
    ],
)
def test_a_value_that_would_fail_later_is_refused_before_work_starts(mini, key, value, named):
    assert named in complaint(changed(mini, key, value))


@pytest.mark.parametrize("value", [[], None, "mini", 3])
def test_a_file_that_holds_no_mapping_is_refused(value):
    assert type(value).__name__ in complaint(value)


def test_further_mistakes_are_counted(mini):
    text = complaint(changed(changed(mini, "training.steps", 0), "training.batch_size", 0))
    assert re.search(r"training\.steps is 0.*1 more", text)


@pytest.mark.parametrize("content", [b"a: [1\nb: {", b"\xff\xfe\x00", b"a: b: c", b"\tx"])
def test_a_file_that_is_no_yaml_is_named(tmp_path, content):
    path = tmp_path / "suite.yaml"
    path.write_bytes(content)
    with pytest.raises(SemFlowError) as error:
        config.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SemFlowError, match="no configuration at .*nowhere.yaml"):
        config.load(tmp_path / "nowhere.yaml")


def reversed_keys(value: object) -> object:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def test_hash_does_not_see_the_order_of_keys(mini):
    assert config.content_hash(mini) == config.content_hash(reversed_keys(mini))
    assert config.content_hash(config.check(mini, "a")) == config.content_hash(config.check(reversed_keys(mini), "b"))


@pytest.mark.parametrize(
    ("key", "value"), [("training.lr", 2e-3), ("data.size", [32, 40]), ("network.attention", [False, False, True, True])]
)
def test_hash_sees_every_value(mini, key, value):
    before = config.content_hash(config.check(mini, "a"))
    assert config.content_hash(config.check(changed(mini, key, value), "b")) != before


def test_a_suite_survives_being_written_and_read(mini, tmp_path):
    suite = config.check(mini, "a")
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(suite.model_dump(mode="json")))
    assert config.load(path) == suite


@pytest.mark.parametrize("lr", [1e-5, 2e-4])
def test_the_json_that_the_workflow_hands_on_keeps_every_number(mini, tmp_path, lr):
    mini["training"]["lr"] = lr  # JSON writes 1e-05, which YAML takes for a word
    write_json(tmp_path / "config.json", mini)
    assert config.load(tmp_path / "config.json").training.lr == lr


def test_a_sweep_runs_each_step_once_and_one_of_them_under_every_seed(mini):
    sweep = {"method": "dsm", "sampler": "ddim", "steps": [2, 25, 50], "seeds": [7, 8, 9], "repeat_at": 25}
    suite = config.check(changed(mini, "evaluation.sweeps", [sweep]), "a")
    assert suite.evaluation.sweeps[0].runs() == [(2, 7), (25, 7), (25, 8), (25, 9), (50, 7)]


@pytest.fixture
def camvid(mini):
    data = {"name": "camvid", "root": "data/CamVid", "size": [192, 256]}
    return config.check(changed(mini, "data", data), "a").data


def test_data_lies_at_its_root_unless_the_environment_says_otherwise(camvid, monkeypatch, tmp_path):
    monkeypatch.delenv("SEMFLOW_DATA", raising=False)
    assert config.data_root(camvid) == Path("data/CamVid")
    monkeypatch.setenv("SEMFLOW_DATA", str(tmp_path))
    assert config.data_root(camvid) == tmp_path


def test_the_environment_may_name_a_folder_of_many_data_sets(camvid, monkeypatch, tmp_path):
    (tmp_path / "camvid").mkdir()
    monkeypatch.setenv("SEMFLOW_DATA", str(tmp_path))
    assert config.data_root(camvid) == tmp_path / "camvid"


def test_a_sweep_over_steps_needs_a_sampler_that_has_them(mini):
    mini["evaluation"]["sweeps"][0]["sampler"] = "rk45"
    assert "rk45 chooses its own steps" in complaint(mini)


def test_pictures_too_small_for_alexnet_are_named(tiny):
    tiny["synthesis"]["perceptual"] = {"network": "alexnet", "weights": None}
    assert "alexnet takes pictures of at least 31 x 31 pixels" in complaint(tiny)


def test_amplitudes_out_of_range_are_named(tiny_suite):
    assert config.with_amplitude(tiny_suite, 24.5).pseudo_mask.amplitude == 24.5
    for amplitude in (25, -1, float("nan")):
        with pytest.raises(SemFlowError, match=r"below pseudo_mask\.s/2 = 25"):
            config.with_amplitude(tiny_suite, amplitude)


def two_parts(mini: dict) -> dict:
    """mini's file with two parts, the second of which trains longer on photographs."""
    scenes = {"makes": list(PRODUCTS[:3]), "data": mini.pop("data")}
    camvid = {"name": "camvid", "root": "x", "size": [32, 32]}
    return mini | {"parts": {"scenes": scenes, "camvid": {"makes": list(PRODUCTS[3:]), "data": camvid, "training": {"steps": 7}}}}


def test_a_part_gives_what_is_its_own_key_by_key_over_what_stands_beside_it(mini):
    whole = config.check_study(two_parts(dict(mini)), "here")
    scenes, camvid = whole.suites["scenes"], whole.suites["camvid"]
    assert whole.parts
    assert (scenes.training.steps, camvid.training.steps) == (mini["training"]["steps"], 7)
    assert camvid.training.lr == scenes.training.lr
    assert whole.of("table2") is scenes
    assert whole.of("figure12") is camvid


def test_a_file_of_one_data_set_makes_everything_of_it(mini):
    study = config.check_study(mini, "here")
    assert not study.parts
    assert set(study.makes) == set(PRODUCTS)
    assert {study.of(product).data.name for product in PRODUCTS} == {"scenes"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"makes": []}, "no part makes table1_segmentation; name it"),
        ({"makes": ["table2", "figure12"]}, "part camvid: makes names figure12; part scenes makes it already"),
        ({"makes": ["table9"]}, "part scenes: makes names table9; there are table1_segmentation, "),
        ({"data": {"name": "scenes", "size": [30, 30], "n_train": 1, "n_test": 2, "seed": 0}}, "part scenes: data.size"),
        ({"training": {"stepz": 1}}, "part scenes: unknown key training.stepz; did you mean steps?"),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_a_mistake_in_a_part_names_the_part(mini, change, said):
    raw = two_parts(mini)
    raw["parts"]["scenes"] |= change
    with pytest.raises(SemFlowError) as error:
        config.check_study(raw, "here")
    assert said in str(error.value)


def test_a_part_goes_by_its_data_sets_name(mini):
    raw = two_parts(mini)
    raw["parts"]["other"] = raw["parts"].pop("scenes")
    with pytest.raises(SemFlowError, match="part other: data.name is scenes; a part goes by its data set's name"):
        config.check_study(raw, "here")


def test_a_command_names_one_of_several_parts(config_folder):
    assert config.load(config_folder / "paper.yaml", "cityscapes").data.name == "cityscapes"
    with pytest.raises(SemFlowError, match="has several parts, coco_stuff, celebamask_hq, cityscapes; name one with --part"):
        config.load(config_folder / "paper.yaml")
    with pytest.raises(SemFlowError, match="has no part camvid; it has coco_stuff, celebamask_hq, cityscapes"):
        config.load(config_folder / "paper.yaml", "camvid")


def test_a_random_crop_is_not_cached(mini):
    mini["data"] = {"name": "coco_stuff", "root": "x", "size": [32, 32], "view": "crop", "masks": "labels"}
    for section, key, value in (("run", "cache_latents", True), ("training", "cached_perturbations", 2)):
        assert f"{section}.{key} needs data.view: resize" in complaint({**mini, section: mini[section] | {key: value}})
