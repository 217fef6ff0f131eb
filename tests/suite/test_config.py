"""Every mistake in a configuration is one sentence that names the key and the value."""

import re
from pathlib import Path

import pytest
import yaml

from semflow.data.scenes import NAMES
from semflow.errors import SemFlowError
from semflow.files import write_json
from semflow.report import check_outputs
from semflow.suite import reading as config
from semflow.suite.variants import trained_as, variant, with_amplitude

CONFIG = Path(__file__).resolve().parents[2] / "config"
SUITES = sorted(CONFIG.glob("*.yaml"))
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
    "runs",
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
    check_outputs(study)
    assert study.name == path.stem
    assert {suite.suite for suite in study.suites.values()} == {path.stem}


@pytest.mark.parametrize("key", TOP)
def test_no_part_of_a_suite_has_a_default(mini, key):
    assert f"{key} is missing" in complaint(changed(mini, key, KeyError))


@pytest.mark.parametrize(
    "key",
    ["data.n_train", "data.version", "pseudo_mask.amplitude", "network.attention", "training.ema_decay", "training.precision",
     "synthesis.features", "synthesis.diversity.layouts", "evaluation.seed_agreement", "run.device", "run.evaluations_per_job",
     "methods.dsm.timestep_spacing", "evaluation.block_length", "runs.1.method", "runs.1.task", "runs.1.sampler"],
)  # fmt: skip
def test_no_key_of_a_part_has_a_default(mini, key):
    assert f"{key} is missing" in complaint(changed(mini, key, KeyError))


@pytest.mark.parametrize(
    ("key", "near"),
    [("trainig", "training"), ("training.stepz", "steps"), ("pseudo_mask.amplitud", "amplitude"), ("data.n_trian", "n_train"),
     ("runs.1.sampIer", "sampler"), ("methods.dsm_modified.mask_scal", "mask_scale"), ("methods.semflo", "semflow"),
     ("dataset", "datasets"), ("variant", "variants"), ("runs.1.variant", "variants"), ("data.versoin", "version")],
)  # fmt: skip
def test_an_unknown_key_is_named_with_the_nearest_known_one(mini, key, near):
    assert f"unknown key {key}; did you mean {near}?" in complaint(changed(mini, key, 1))


@pytest.mark.parametrize(
    "key", ["data.lr", "evaluation.n_train", "training.block_out_channel", "methods.dsm.mask_scale", "network.micro_batch"]
)
def test_a_key_of_another_section_is_not_proposed(mini, key):
    assert complaint(changed(mini, key, 1)) == f"some.yaml: unknown key {key}; remove it"


@pytest.mark.parametrize(
    ("key", "now"),
    [
        ("training.mask_modes", "cached_perturbations"),
        ("evaluation.sweeps", "in runs, one list of method, task, sampler, steps and seeds"),
        ("synthesis.steps", "in runs, in entries of task: synthesis"),
        ("parts", "datasets"),
        ("data.swap_sides", "swap_left_right"),
    ],
)
def test_a_key_of_an_older_version_is_named_with_what_it_is_now(mini, key, now):
    assert complaint(changed(mini, key, 1)) == f"some.yaml: unknown key {key}; it is now {now}"


@pytest.mark.parametrize(("key", "value", "now"), [("view", "squeeze", "resize"), ("masks", "painted", "rgb")])
def test_a_value_of_an_older_version_is_named_with_what_it_is_now(mini, key, value, now):
    mini["data"] = {"name": "coco_stuff", "root": "x", "size": [32, 32], "view": "resize", "masks": "labels"}
    assert complaint(changed(mini, f"data.{key}", value)) == f"some.yaml: data.{key} is {value!r}, which is now {now}"


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("methods.semflow.batch_size", 7, "methods.semflow.batch_size 7 must divide training.batch_size 16"),
        ("runs", None, "runs is None; it must be a list"),
        ("training.steps", "many", "training.steps is 'many'"),
        ("training.steps", 0, "training.steps is 0"),
        ("training.steps", 2.5, "training.steps is 2.5"),
        ("training.steps", True, "training.steps is True"),
        ("training.lr", "1e-3", "training.lr is the word '1e-3'; write a number"),
        ("synthesis.judges", {"first": "dsm", "second": "dsm", "seed": 9}, "synthesis.judges: first and second are both dsm"),
        (
            "synthesis.judges",
            {"first": "dsn", "second": "semflow", "seed": 9},
            "dsn is no method that segments; did you mean dsm",
        ),
        ("synthesis.judges", {"first": "dsm", "second": "semflow", "seed": 0}, "synthesis.judges.seed 0 is among training.seeds"),
        ("synthesis.judges", None, "runs ask for consistency, which is read by synthesis.judges; name them"),
        ("training.lr", 0, "training.lr is 0"),
        ("training.lr", float("nan"), "training.lr is nan"),
        ("training.lr_schedule", "step", "training.lr_schedule is 'step'"),
        ("training.seeds", [], "training.seeds is []"),
        ("synthesis.diversity.samples", 1, "synthesis.diversity.samples is 1"),
        ("evaluation.seed_agreement.seeds", 1, "evaluation.seed_agreement.seeds is 1"),
        ("training.flip", "yes", "training.flip is 'yes'"),
        ("training.seeds", [0, 0], "seeds [0, 0] name a training twice"),
        ("training.weight_decay", float("inf"), "training.weight_decay is inf"),
        ("methods.dsm_modified.mask_scale", float("inf"), "methods.dsm_modified.mask_scale is inf"),
        ("methods.dsm_modified.mask_scale", 0, "methods.dsm_modified.mask_scale is 0"),
        ("training.ema_decay", 1.0, "training.ema_decay is 1.0"),
        ("pseudo_mask.k", 6.0, "pseudo_mask.k is 6.0"),
        ("pseudo_mask.s", "50", "pseudo_mask.s is the word '50'"),
        ("pseudo_mask.s", float("nan"), "pseudo_mask.s is nan"),
        ("pseudo_mask.amplitude", -1, "pseudo_mask.amplitude is -1"),
        ("data.size", 32, "data.size is 32"),
        ("data.size", [32, 32, 32], "data.size is [32, 32, 32]"),
        ("data.size", [32, 8], "data.size.1 is 8"),
        ("data.name", "coco_stufff", "data.name is 'coco_stufff'; did you mean coco_stuff?"),
        ("data.name", "x", "data.name is 'x'; there are scenes, camvid, "),
        ("data", None, "data is None"),
        ("data.root", "somewhere", "unknown key data.root"),
        ("data.seed", -1, "data.seed is -1"),
        ("data.version", 3, "data.version is 3"),
        ("data.n_test", 3, "data.n_test is 3"),
        ("autoencoder.kind", "vae", "'vae'"),
        ("autoencoder", PATCHIFY | {"factor": 1}, "autoencoder.factor is 1"),
        ("network.block_out_channels", [32, 0, 96], "network.block_out_channels.1 is 0"),
        ("run.device", "tpu", "run.device is 'tpu'"),
        ("methods.dsm.timestep_spacing", "even", "methods.dsm.timestep_spacing is 'even'"),
        ("methods.gan", {}, "unknown key methods.gan"),
        ("runs", [], "some.yaml: runs is []; it must have at least 1 of what it lists"),
        ("runs.0.steps", [0], "runs.0.steps.0 is 0"),
        ("runs.0.seeds", [], "runs.0.seeds is []"),
        ("runs.0.task", "drawing", "runs.0.task.0 is 'drawing'"),
        ("runs.0.method", "vae", "runs.0: there is no method vae; there are "),
        ("runs.0.method", "semflw", "runs.0: there is no method semflw; did you mean semflow?"),
        ("evaluation.bootstrap_samples", None, "evaluation.bootstrap_samples is None"),
        ("evaluation.bootstrap_samples", 99, "evaluation.bootstrap_samples is 99"),
        ("suite", "My Suite", "suite is 'My Suite'"),
    ],
)
def test_an_impossible_value_is_named_with_its_key(mini, key, value, named):
    assert named in complaint(changed(mini, key, value))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("pseudo_mask.s", 128, ["pseudo_mask", "s (k - 1) = 256", "Eq. 7"]),
        ("pseudo_mask.k", 4, ["pseudo_mask", "s (k - 1) = 360", "Eq. 7"]),
        ("pseudo_mask.amplitude", 60, ["pseudo_mask", "amplitude 60", "s/2 = 60", "Eq. 14"]),
        ("pseudo_mask.k", 2, ["pseudo_mask.k = 2", "8 anchors", f"{len(NAMES)} classes"]),
        ("data.size", [30, 32], ["data.size [30, 32]", "multiples of 8"]),
        ("data.size", [32, 36], ["data.size [32, 36]", "multiples of 8"]),
        ("autoencoder", PATCHIFY, ["data.size [32, 32]", "multiples of 24"]),
        ("network.attention", [True], ["network", "attention", "block_out_channels"]),
        ("network.norm_num_groups", 7, ["norm_num_groups 7", "block_out_channels"]),
        ("runs.0", {"steps": [25, 25]}, ["runs.0", "steps must not repeat"]),
        ("runs.0", {"seeds": [1, 1]}, ["runs.0", "seeds must not repeat"]),
        ("runs.0", {"sampler": "rk45", "steps": [5]}, ["runs.0", "rk45", "it chooses its own steps"]),
        ("runs.0", {"steps": []}, ["runs.0", "euler needs steps"]),
        ("runs.0", {"task": ["synthesis"], "sampling_amplitudes": [1, 1]}, ["runs.0", "sampling_amplitudes must not repeat"]),
        (
            "runs.0",
            {"task": ["synthesis"], "amplitudes": [12], "sampling_amplitudes": [1, 5]},
            ["runs.0", "amplitude of 60", "s/2 = 60"],
        ),
        ("runs.0", {"sampling_amplitudes": [0, 1]}, ["runs.0", "sampling_amplitudes are for synthesis"]),
        ("runs.0", {"amplitudes": [6, 60]}, ["runs.0", "an amplitude of 60", "s/2 = 60", "Eq. 14"]),
        ("runs.2", {"amplitudes": [6]}, ["runs.2", "dsm perturbs no masks; leave amplitudes out"]),
        ("runs.2", {"task": "synthesis"}, ["runs.2", "DSM cannot do synthesis; it does segmentation"]),
        ("runs.8", {"seeds": [1]}, ["runs.8", "leave seeds out"]),
        ("runs.0", {"training_seeds": [0, 0]}, ["runs.0", "training_seeds must not repeat"]),
        ("runs.0", {"training_seeds": [0, 7]}, ["runs.0.training_seeds: 7 is not among training.seeds [0]"]),
        ("methods", {"semflow": {}}, ["runs.2", "dsm has no settings; give them under methods.dsm"]),
    ],
)
def test_values_that_do_not_fit_together_are_named(mini, key, value, words):
    own = mini["runs"][int(key.removeprefix("runs."))] if key.startswith("runs.") else {}
    text = complaint(changed(mini, key, own | value if own else value))
    assert [word for word in words if word not in text] == []


def test_a_list_that_is_too_short_is_named(mini):
    assert "training.betas" in complaint(changed(mini, "training.betas", [0.9]))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("training.betas", [0.9, 2.0], "betas"),
        ("network.attention_head_dim", 128, "attention_head_dim"),
        ("runs.0.sampler", "eulr", "runs.0: SemFlow has no sampler 'eulr' for segmentation; did you mean euler?"),
        ("runs.2.sampler", "euler", "DSM has no sampler 'euler' for segmentation; it has ddim, ddpm"),
        ("runs.2.steps", [25, 1001], "ddim-1001"),
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


def test_pictures_too_small_for_alexnet_are_named(tiny):
    tiny["synthesis"]["perceptual"] = {"network": "alexnet", "weights": None}
    assert "alexnet takes pictures of at least 31 x 31 pixels" in complaint(tiny)


def test_amplitudes_out_of_range_are_named(tiny_suite):
    assert with_amplitude(tiny_suite, 59.5).pseudo_mask.amplitude == 59.5
    for amplitude in (60, -1, float("nan")):
        with pytest.raises(SemFlowError, match=r"below pseudo_mask\.s/2 = 60"):
            with_amplitude(tiny_suite, amplitude)


def two_data_sets(mini: dict) -> dict:
    """mini's file with two data sets, the second of which is trained on longer."""
    scenes = {"outputs": ["table1", "table2", "figure03"], "data": mini.pop("data")}
    data = {"name": "camvid", "root": "x", "size": [32, 32]}
    camvid = {"outputs": ["figure_table2", "figure05", "figure12"], "data": data, "training": {"steps": 7}}
    return mini | {"datasets": {"scenes": scenes, "camvid": camvid}}


def test_a_data_set_gives_what_is_its_own_key_by_key_over_what_stands_beside_it(mini):
    study = config.check_study(two_data_sets(dict(mini)), "here")
    scenes, camvid = study.suites["scenes"], study.suites["camvid"]
    assert study.several
    assert (scenes.training.steps, camvid.training.steps) == (mini["training"]["steps"], 7)
    assert camvid.training.lr == scenes.training.lr
    assert study.of("table2") is scenes
    assert study.of("figure12") is camvid
    check_outputs(study)


def test_a_file_of_one_data_set_makes_everything_of_it(mini):
    study = config.check_study(mini, "here")
    assert not study.several
    assert {study.of(product).data.name for product in ("table1", "table2", "figure12")} == {"scenes"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outputs": ["table2", "figure12"]}, "data set camvid: outputs names figure12, which is made of scenes already"),
        ({"outputs": ["table9"]}, "datasets.scenes.outputs names table9: there is nothing called table9 to report; there are "),
        ({"outputs": "table2"}, "data set scenes: outputs must be a list"),
        (
            {"data": {"name": "scenes", "size": [30, 30], "version": 2, "n_train": 1, "n_test": 4, "seed": 0}},
            "data set scenes: data.size",
        ),
        ({"training": {"stepz": 1}}, "data set scenes: unknown key training.stepz; did you mean steps?"),
        ({"output": ["table2"]}, "data set scenes: unknown key output; did you mean outputs?"),
        ({"outputs": ["tabel2"]}, "datasets.scenes.outputs names tabel2"),
        ({"makes": ["table2"]}, "data set scenes: unknown key makes; it is now outputs"),
        ({"runs": [{"method": "dsm", "task": "segmentation", "sampler": "ddim", "steps": [25]}]}, "runs do not hold"),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_a_mistake_in_a_data_set_names_it(mini, change, said):
    raw = two_data_sets(mini)
    raw["datasets"]["scenes"] |= change
    with pytest.raises(SemFlowError) as error:
        check_outputs(config.check_study(raw, "here"))
    assert said in str(error.value)


def test_a_section_has_its_data_sets_name(mini):
    raw = two_data_sets(mini)
    raw["datasets"]["camvid"] = raw["datasets"].pop("scenes")
    with pytest.raises(SemFlowError, match="data set camvid: data.name is scenes; the section must have the data set's name"):
        config.check_study(raw, "here")
    raw["datasets"]["camvit"] = raw["datasets"].pop("camvid")
    with pytest.raises(SemFlowError, match="datasets names camvit, a data set that there is not; did you mean camvid?"):
        config.check_study(raw, "here")


def test_a_command_names_one_of_several_data_sets(config_folder):
    assert config.load(config_folder / "paper.yaml", "cityscapes").data.name == "cityscapes"
    with pytest.raises(SemFlowError, match="has several data sets, coco_stuff, celebamask_hq, cityscapes; name one with"):
        config.load(config_folder / "paper.yaml")
    with pytest.raises(SemFlowError, match="has no data set camvid; it has coco_stuff, celebamask_hq, cityscapes"):
        config.load(config_folder / "paper.yaml", "camvid")


def test_a_long_name_for_a_key_is_traced_to_the_short_one_and_its_absence_not_reported_beside_it(mini):
    mini["training"]["learning_rate"] = mini["training"].pop("lr")
    assert complaint(mini) == "some.yaml: unknown key training.learning_rate; did you mean lr?"


def test_an_unknown_key_is_named_before_a_missing_one_that_it_does_not_explain(mini):
    del mini["data"]["seed"]
    mini["training"]["stepz"] = 1
    assert complaint(mini) == "some.yaml: unknown key training.stepz; did you mean steps? (and 1 more like it)"


FLOATS = {
    "1e-3": 1e-3,
    "1.5E-3": 1.5e-3,
    "2e5": 2e5,
    "-.5e1": -5.0,
    "1.e2": 100.0,
    "1.0e-5": 1e-5,
    "3": 3,
    "e3": "e3",
    "1e": "1e",
}


@pytest.mark.parametrize("text", FLOATS)
def test_a_number_in_yaml_is_the_number_it_means(tmp_path, text):
    (tmp_path / "a.yaml").write_text(f"a: {text}\n")
    found = config.resolve(tmp_path / "a.yaml").raw["a"]
    assert (found, type(found)) == (FLOATS[text], type(FLOATS[text]))


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        ("a.json", '{"training": {"lr": 0.001}, "training": {"lr": 0.5}}', "training"),
        ("a.json", '{"training": {"lr": 0.001, "lr": 0.5}}', "lr"),
        ("a.yaml", "a: &a {x: 1}\nb: &b {x: 2}\nc: {<<: *a, <<: *b}\n", "<<"),
    ],
)
def test_a_key_that_is_given_twice_is_refused_in_json_and_where_mappings_are_merged(tmp_path, name, text, key):
    (tmp_path / name).write_text(text)
    with pytest.raises(SemFlowError, match=f"{key} is given twice"):
        config.resolve(tmp_path / name)


def test_a_key_that_is_given_twice_is_named_with_its_lines(tmp_path):
    (tmp_path / "a.yaml").write_text("training:\n  lr: 1\n  steps: 2\n  lr: 3\n")
    with pytest.raises(SemFlowError) as error:
        config.load(tmp_path / "a.yaml")
    assert str(error.value) == f"{tmp_path / 'a.yaml'}: training.lr is given twice, in lines 2 and 4; remove one"


@pytest.fixture
def write(tmp_path):
    """write(name, text) -> the file, in one folder with a copy of mini.yaml."""
    (tmp_path / "mini.yaml").write_text((CONFIG / "mini.yaml").read_text())

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_a_suite_on_another_has_its_keys_but_what_differs(write):
    one = write("one.yaml", "base: mini.yaml\nsuite: one\ntraining: {lr: 1e-2, seeds: [0, 1]}\n")
    write("below/two.yaml", "base: ../one.yaml\nsuite: two\ntraining: {steps: 3}\nautoencoder: {kind: patchify, factor: 2}\n")
    mini, two = config.load(one.parent / "mini.yaml"), config.load(one.parent / "below/two.yaml")
    wanted = mini.model_dump(mode="json")
    wanted |= {"suite": "two", "autoencoder": {"kind": "patchify", "factor": 2}}
    wanted["training"] |= {"lr": 0.01, "seeds": [0, 1], "steps": 3}
    assert two.model_dump(mode="json") == wanted


def test_data_of_another_kind_do_not_keep_the_keys_of_the_base(write):
    path = write("one.yaml", "base: mini.yaml\ndata: {name: camvid, root: x, size: [32, 32]}\n")
    assert config.load(path).data.model_dump() == {"name": "camvid", "root": "x", "size": (32, 32)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: nowhere.yaml", "builds on nowhere.yaml (base), but there is no "),
        ("base: 3", "base is 3; it must be the path of another configuration"),
        ("base: one.yaml", "is a circle; remove one"),
        ("base: two.yaml", "is a circle; remove one"),
        ("base: mini.yaml\ntraining: {stepz: 1}", "one.yaml: unknown key training.stepz; did you mean steps?"),
    ],
)
def test_a_base_that_cannot_be_built_on_is_refused(write, text, said):
    write("two.yaml", "base: one.yaml")
    with pytest.raises(SemFlowError) as error:
        config.load(write("one.yaml", text))
    assert said in str(error.value)


def test_what_is_shown_is_the_whole_with_the_file_and_line_of_every_key(write):
    path = write("one.yaml", "base: mini.yaml\nsuite: one\n\ntraining:\n  steps: 12\n")
    shown = config.show(path)
    assert yaml.safe_load(shown) == yaml.safe_load((CONFIG / "mini.yaml").read_text()) | {
        "suite": "one", "training": yaml.safe_load((CONFIG / "mini.yaml").read_text())["training"] | {"steps": 12},
    }  # fmt: skip
    lines = {line.partition(":")[0].strip(): line for line in shown.splitlines()}
    assert lines["steps"].endswith(f"# {path}:5")
    number = (CONFIG / "mini.yaml").read_text().splitlines().index("  ema_decay: 0.995") + 1
    assert lines["ema_decay"].endswith(f"# {path.with_name('mini.yaml')}:{number}")


def test_changes_on_the_command_line_are_the_values_they_mean(write):
    path = write("one.yaml", "base: mini.yaml\nsuite: one\n")
    given = config.given([path], {"training": {"steps": "12", "lr": "1e-2", "flip": "false", "seeds": ["0", "3"]}})
    assert [file.name for file in given.files] == ["mini.yaml", "one.yaml"]
    training = config.check(given.raw, "here").training
    assert (training.steps, training.lr, training.flip, training.seeds) == (12, 0.01, False, (0, 3))


def test_what_cannot_be_run_is_not_shown(write):
    with pytest.raises(SemFlowError, match="training.steps is 0"):
        config.show(write("one.yaml", "base: mini.yaml\ntraining: {steps: 0}\n"))


def test_a_random_crop_is_not_cached(mini):
    mini["data"] = {"name": "coco_stuff", "root": "x", "size": [32, 32], "view": "crop", "masks": "labels"}
    mini |= {"pseudo_mask": {"k": 6, "s": 50, "amplitude": 6}, "runs": mini["runs"][:1]}  # 171 classes
    for section, key, value in (("run", "cache_latents", True), ("training", "cached_perturbations", 2)):
        assert f"{section}.{key} needs data.view: resize" in complaint({**mini, section: mini[section] | {key: value}})


VARIANTS = {"wide": {"network": {"block_out_channels": [32, 32, 64, 64]}}, "long": {"training": {"steps": 9, "lr": 0.01}}}


def with_variants(raw: dict, of_run: list, **changes) -> dict:
    """`raw` with those variants, which its first run has."""
    raw["runs"][0] |= {"variants": of_run}
    return raw | {"variants": VARIANTS | changes}


def test_a_variant_is_the_suite_but_for_the_keys_that_it_has_otherwise(mini):
    suite = config.check(with_variants(mini, ["wide", "long"]), "here")
    wanted = suite.model_dump(mode="json")
    wanted["training"] |= {"steps": 9, "lr": 0.01}
    assert variant(suite, "long").model_dump(mode="json") == wanted
    assert variant(suite, "wide").network.block_out_channels == (32, 32, 64, 64)
    assert variant(suite, "") == suite


def test_a_training_is_of_a_variant_and_an_amplitude_beside_it(mini):
    coarse = {"pseudo_mask": {"k": 6, "s": 50, "amplitude": 6}}
    suite = config.check(with_variants(mini, ["wide", "long", "coarse"], coarse=coarse), "here")
    own = suite.pseudo_mask.amplitude
    found = [trained_as(suite, *asked).pseudo_mask for asked in (("", None), ("coarse", None), ("coarse", 3.0), ("long", 3.0))]
    assert [(code.s, code.amplitude) for code in found] == [(120, own), (50, 6), (50, 3), (120, 3)]
    assert trained_as(suite, "", 30.0).pseudo_mask.amplitude == 30
    with pytest.raises(SemFlowError, match=r"amplitude 30 must be at least 0 and below pseudo_mask\.s/2 = 25"):
        trained_as(suite, "coarse", 30.0)


def test_a_variant_that_there_is_not_is_named_with_the_nearest(mini):
    suite = config.check(with_variants(mini, ["wide", "long"]), "here")
    with pytest.raises(SemFlowError, match=r"suite mini has no variant lnog; did you mean long\?"):
        variant(suite, "lnog")
    text = complaint(with_variants(mini, ["wide", "long", "wied"]))
    assert "runs.0.variants: there is no variant wied; did you mean wide?" in text
    mini["runs"][0]["variants"] = ["x"]
    assert "runs.0.variants: there is no variant x; there are none" in complaint(mini)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"long": {"training": {"stepz": 1}}}, "some.yaml, variant long: unknown key training.stepz; did you mean steps?"),
        ({"long": {"training": {"steps": 0}}}, "some.yaml, variant long: training.steps is 0"),
        ({"long": {"network": {"block_out_channels": [12, 32, 64, 64]}}}, "some.yaml, variant long: network"),
        ({"long": {"pseudo_mask": {"amplitude": 60}}}, "some.yaml, variant long: pseudo_mask"),
        ({"long": {"pseudo_mask": {"k": 2}}}, "some.yaml, variant long: pseudo_mask.k = 2 has 8 anchors"),
        ({"long": {"data": {"seed": 1}}}, "variants.long.data"),
        ({"Long": {}}, "Long"),
    ],
    ids=str,
)
def test_an_impossible_variant_is_named(mini, change, said):
    assert said in complaint(with_variants(mini, ["wide", "long"], **change))


def test_amplitudes_of_a_run_must_fit_the_variants_that_it_names(mini):
    coarse = {"pseudo_mask": {"k": 6, "s": 50, "amplitude": 6}}
    raw = with_variants(mini, ["wide", "long", "coarse"], coarse=coarse)
    raw["runs"][0]["amplitudes"] = [6, 30]
    assert "some.yaml, variant coarse: runs.0: an amplitude of 30 is not below pseudo_mask.s/2 = 25" in complaint(raw)
    raw["runs"][0]["variants"] = ["wide", "long"]
    del raw["variants"]["coarse"]
    config.check(raw, "here")


def test_a_run_that_names_a_variant_twice_is_refused(mini):
    assert "variants must not repeat" in complaint(with_variants(mini, ["wide", "wide", "long"]))
