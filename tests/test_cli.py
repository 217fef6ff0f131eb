"""What a user sees: help at once, one sentence for a mistake, no traceback."""

import argparse
import json
import logging
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from record_fixtures import PERFECT

from baselines import METHODS
from semflow import cli
from semflow.data.scenes import NAMES, PALETTE, Scenes
from semflow.errors import SemFlowError
from semflow.evaluation import records
from semflow.files import write_json
from semflow.loading.batches import Batch, Batches
from semflow.method.settings import PseudoMask
from semflow.suite import reading
from semflow.training.build import make_model
from semflow.training.card import CARD
from semflow.training.loop import Trainer, checkpoints, make_accelerator


@pytest.fixture(scope="module")
def checkpoint_of(tmp_path_factory):
    """Folder of an untrained checkpoint of a method."""

    def write(suite, method="semflow") -> Path:
        folder = tmp_path_factory.mktemp(method) / "checkpoint"
        checkpoints.export(folder, suite, method, 0, make_model(suite, method))
        return folder

    return write


@pytest.fixture
def run(capsys):
    """Run the command line; returns (exit status, standard output, standard error)."""

    def call(*words: object) -> tuple[int, str, str]:
        status = 0
        try:
            cli.main([str(word) for word in words])
        except SystemExit as end:
            status = end.code or 0
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def is_one_sentence(error: str, *names: object) -> bool:
    last = error.strip().splitlines()[-1]
    return last.startswith("semflow: ") and "Traceback" not in error and all(str(name) in last for name in names)


def parsed(line: str) -> argparse.Namespace:
    words = shlex.split(line)
    return cli.parser(words).parse_args(words)


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (20, 12)) -> Path:
    shape = (size[1], size[0], len(mode)) if len(mode) > 1 else (size[1], size[0])
    pixels = np.random.RandomState(0).randint(0, len(NAMES), shape).astype(np.uint8)
    Image.fromarray(pixels, mode).save(path)
    return path


def help_of(*words: str) -> tuple[str, float, set[str]]:
    """What `--help` says in a fresh process, its CPU seconds from the start on, and the packages that were imported for it."""
    code = (
        f"import sys, time\nfrom semflow import cli\ntry: cli.main({[*words, '--help']})\n"
        "except SystemExit: print(time.process_time(), *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *said, facts = done.stdout.splitlines()
    seconds, *packages = facts.split()
    return "\n".join(said), float(seconds), set(packages)


def test_help_comes_within_half_a_second_and_without_what_verbs_need():
    said, seconds, packages = help_of()
    assert "examples:" in said
    assert seconds < 0.5
    assert not packages & {"torch", "pydantic", "yaml", "numpy", "pandas", "matplotlib", "baselines"}


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_of_a_verb_needs_no_torch(verb):
    assert "torch" not in help_of(*verb.split())[2]


# Runs a command until something imports diffusers or transformers, and says who does.
STOPPED = """
import sys, traceback
from semflow import cli

class Stop:
    def find_spec(self, name, *_):
        if name in ("diffusers", "transformers"):
            ours = [frame.filename for frame in traceback.extract_stack() if "/semflow/" in frame.filename]
            print("imported by", "/".join(ours[-1].rpartition("/semflow/")[2:]))
            sys.exit(3)

sys.meta_path.insert(0, Stop())
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_training_and_evaluation_import_diffusers_where_a_network_is_built_and_not_before(tmp_path, checkpoint_of, verb):
    suite = Path(__file__).parents[1] / "config/smoke.yaml"
    words = {
        "train": ("--state", tmp_path / "state"),
        "evaluate": ("--checkpoint", checkpoint_of(reading.load(suite)), "--sampler", "euler-1"),
    }[verb]
    command = [sys.executable, "-c", STOPPED, verb, "--config", suite, "--method", "semflow", *words, "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (3, "imported by method/unet.py"), done.stderr


def test_a_control_is_evaluated_without_diffusers(tmp_path):
    suite = Path(__file__).parents[1] / "config/smoke.yaml"
    command = [sys.executable, "-c", STOPPED, "evaluate", "--config", suite, "--method", "oracle", "--out", tmp_path / "r.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "r.json").exists()


def without_spaces(text: str) -> str:
    return "".join(text.split())  # help is broken into lines, at hyphens too


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_with_an_example(run, verb):
    status, out, _ = run(*verb.split(), "--help")
    assert status == 0
    assert without_spaces(f"example: semflow {cli.VERBS[verb].example}") in without_spaces(out)


@pytest.mark.parametrize("group", cli.GROUPS)
def test_help_on_a_group_has_an_example_of_each_of_its_verbs(run, group):
    status, out, _ = run(group, "--help")
    assert status == 0
    verbs = [verb for name, verb in cli.VERBS.items() if name.startswith(f"{group} ")]
    assert verbs
    for verb in verbs:
        assert f"semflow {verb.example}" in out


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_example_is_parsed_as_its_verb(verb):
    example = cli.VERBS[verb].example
    assert f"{example} ".startswith(f"{verb} ")
    assert callable(parsed(example).run)


@pytest.mark.parametrize(
    ("verb", "computes"), [("train", True), ("evaluate", True), ("bench", True), ("segment", True), ("convert", False)]
)
def test_gpus_are_claimed_by_what_computes_on_one(verb, computes):
    assert parsed(cli.VERBS[verb].example).computes == computes


def test_choices_are_those_of_the_registries(run):
    methods = ",".join(METHODS)
    assert f"{{{methods}}}" in without_spaces(run("train", "--help")[1])
    controls = "oracle,shuffled_labels,test_images,repainted,blurred,grey_card,white_noise,real_images,controls"
    assert f"{{{methods},{controls}}}" in without_spaces(run("evaluate", "--help")[1])
    assert "{coco_stuff,celebamask_hq,cityscapes}" in run("data", "prepare", "--help")[1]
    assert "{camvid,coco_stuff,celebamask_hq,cityscapes,folder}" in without_spaces(run("data", "check", "--help")[1])


def test_options_are_known_by_their_former_names_and_help_does_not_show_these(run):
    train = "train --method dsm --state s --out o"
    former = parsed(f"{train} --configfile=c.yaml --part cityscapes --gpus 4")
    assert (former.config, former.dataset, former.devices) == (Path("c.yaml"), "cityscapes", 4)
    plan = parsed("plan --configfile c.yaml --gpus 8")
    assert (plan.config, plan.devices) == (Path("c.yaml"), 8)
    for verb in ("train", "plan", "synthesize"):
        assert not re.search("--(configfile|gpus|part|solver|steps)", run(verb, "--help")[1])


def test_the_whole_of_a_suite_is_shown_with_where_it_comes_from(run, config_folder):
    status, said, _ = run("config", "show", config_folder / "camvid_cpu.yaml")
    assert status == 0
    assert yaml.safe_load(said)["data"]["name"] == "camvid"
    assert re.search(r"^  steps: \d+  # .*\.yaml", said, re.MULTILINE)
    status, _, error = run("config", "show", "nowhere.yaml")
    assert status == 2
    assert is_one_sentence(error, "nowhere.yaml")


@pytest.mark.parametrize(
    ("options", "sampler"),
    [
        ("", None),
        ("--sampler rk4-5", "rk4-5"),
        ("--steps 5", "euler-5"),
        ("--solver heun", "heun-25"),
        ("--solver rk45", "rk45"),
        ("--solver midpoint --steps 3", "midpoint-3"),
    ],
)
def test_a_sampler_is_named_at_once_or_by_the_former_options(options, sampler):
    assert cli._sampler_of(parsed(f"roundtrip p.png --checkpoint c --out s.png {options}")) == sampler


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "VERB"),
        ("trian", "did you mean train?"),
        ("regression chekc", "did you mean check?"),
        ("check_drift --records r.json", "did you mean regression check?"),
        ("info checkpoint extra", "unrecognized arguments: extra"),
        ("train --confg c.yaml", "there is no option --confg; did you mean --config?"),
        ("info checkpoint --gpus 2", "there is no option --gpus"),
        ("train --config c.yaml", "required: --method"),
        ("train --config c.yaml --method smeflow", "did you mean semflow?"),
        ("data check citiscapes data", "did you mean cityscapes?"),
        ("train --seed -1", "--seed"),
    ],
)
def test_a_mistyped_command_is_one_sentence(run, line, named):
    status, out, error = run(*line.split())
    assert (status, out) == (2, "")
    assert error.count("\n") == 1
    assert is_one_sentence(error, named, "--help`")


def test_segment_writes_a_label_map_of_the_pictures_size_and_an_overlay(run, tiny_suite, checkpoint_of, tmp_path):
    source, target = picture(tmp_path / "photo.png"), tmp_path / "labels.png"
    status, out, _ = run("segment", source, "--checkpoint", checkpoint_of(tiny_suite), "--sampler", "euler-2", "--out", target)
    assert status == 0
    assert "resized from 12 x 20 to 16 x 16" in out
    with Image.open(target) as labels, Image.open(tmp_path / "labels.overlay.png") as overlay:
        assert (labels.mode, labels.size) == ("L", (20, 12))
        assert np.array(labels).max() < len(NAMES)
        assert (overlay.mode, overlay.size) == ("RGB", (20, 12))


def test_synthesize_writes_a_picture_a_seed_and_a_contact_sheet(run, tiny_suite, checkpoint_of, tmp_path):
    layout, folder = picture(tmp_path / "layout.png", "L", (16, 16)), checkpoint_of(tiny_suite)
    for name in ("a", "b"):
        sampler = ("--sampler", "heun-2", "--seeds", 3)
        assert run("synthesize", layout, "--checkpoint", folder, *sampler, "--out", tmp_path / f"{name}.png")[0] == 0
    drawn = {name: [(tmp_path / f"{name}.seed{seed}.png").read_bytes() for seed in range(3)] for name in "ab"}
    assert drawn["a"] == drawn["b"]
    assert len(set(drawn["a"])) == 3
    with Image.open(tmp_path / "a.png") as sheet, Image.open(tmp_path / "a.seed1.png") as second:
        assert sheet.size == (4 * 128 + 3 * 4, 128)  # small pictures are enlarged by a whole number
        assert sheet.crop((264, 0, 392, 128)).resize((16, 16), Image.Resampling.NEAREST).tobytes() == second.tobytes()


@pytest.mark.parametrize("sampler", ["euler-1", "rk45"])
def test_one_seed_gives_one_picture_and_no_sheet(run, tiny_suite, checkpoint_of, tmp_path, sampler):
    layout = picture(tmp_path / "layout.png", "L", (16, 16))
    words = ("synthesize", layout, "--checkpoint", checkpoint_of(tiny_suite), "--sampler", sampler)
    assert run(*words, "--out", tmp_path / "new" / "p.png")[0] == 0
    with Image.open(tmp_path / "new/p.png") as drawn:
        assert (drawn.mode, drawn.size) == ("RGB", (16, 16))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["p.png"]


def test_a_layout_in_the_data_sets_colours_is_the_layout_in_ids(run, tiny_suite, checkpoint_of, tmp_path):
    ids = np.random.RandomState(0).randint(0, len(NAMES), (16, 16)).astype(np.uint8)
    ids[0, 0] = 255
    colours = np.array([*PALETTE, *[(255, 255, 255)] * (256 - len(PALETTE))], np.uint8)[ids]
    Image.fromarray(ids).save(tmp_path / "ids.png")
    Image.fromarray(colours).save(tmp_path / "colours.png")
    folder = checkpoint_of(tiny_suite)
    for name in ("ids", "colours"):
        words = ("synthesize", tmp_path / f"{name}.png", "--checkpoint", folder, "--sampler", "euler-1")
        assert run(*words, "--out", tmp_path / f"of_{name}.png")[0] == 0
    assert (tmp_path / "of_ids.png").read_bytes() == (tmp_path / "of_colours.png").read_bytes()
    colours[3, 3] = (1, 2, 3)
    Image.fromarray(colours).save(tmp_path / "colours.png")
    status, _, error = run("synthesize", tmp_path / "colours.png", "--checkpoint", folder, "--out", tmp_path / "p.png")
    assert status == 2
    assert is_one_sentence(error, "colours.png", "[1, 2, 3]", "ids")


@pytest.mark.parametrize(("sampler", "n_states"), [("euler-3", 4), ("euler-40", 41), ("rk45", 11)])
def test_trajectory_writes_ten_states_side_by_side_and_all_as_gif(run, tiny_suite, checkpoint_of, tmp_path, sampler, n_states):
    source = picture(tmp_path / "photo.png", size=(16, 16))
    words = ("trajectory", source, "--checkpoint", checkpoint_of(tiny_suite), "--sampler", sampler)
    assert run(*words, "--out", tmp_path / "states.png")[0] == 0
    shown = min(n_states, 10)
    with Image.open(tmp_path / "states.png") as strip, Image.open(tmp_path / "states.gif") as film:
        assert strip.size == (shown * 128 + (shown - 1) * 4, 128)
        assert strip.crop((0, 0, 128, 128)).resize((16, 16), Image.Resampling.NEAREST).tobytes() == Image.open(source).tobytes()
        assert (film.n_frames, film.size) == (n_states, (128, 128))


def test_roundtrip_shows_four_pictures_and_says_how_many_labels_agree(run, tiny_suite, checkpoint_of, tmp_path):
    words = ("roundtrip", picture(tmp_path / "photo.png"), "--checkpoint", checkpoint_of(tiny_suite), "--sampler", "euler-2")
    status, out, _ = run(*words, "--out", tmp_path / "sheet.png")
    assert status == 0
    assert re.search(r"^\d+\.\d % of the labels of the drawn picture", out, re.MULTILINE)
    assert "resized from 12 x 20" in out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 128 + 3 * 4, 128)


@pytest.mark.parametrize("verb", ["segment", "synthesize", "trajectory", "roundtrip"])
def test_any_size_that_the_network_takes_may_be_asked_for(run, tiny_suite, checkpoint_of, tmp_path, verb):
    source = picture(tmp_path / "photo.png", "L" if verb == "synthesize" else "RGB", (12, 20))
    words = (verb, source, "--checkpoint", checkpoint_of(tiny_suite), "--out", tmp_path / "p.png", "--size", 24)
    status, out, _ = run(*words, 40)
    assert status == 0
    assert "resized from 20 x 12 to 24 x 40" in out
    assert "working at 24 x 40; this network was trained at 16 x 16" in out
    if verb == "synthesize":
        with Image.open(tmp_path / "p.png") as drawn:
            assert drawn.size == (40, 24)
    status, _, error = run(*words, 41)
    assert status == 2
    assert is_one_sentence(error, "--size 24 41", "multiples of 2")


def test_memory_that_does_not_suffice_is_one_sentence(run, tiny_suite, checkpoint_of, tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4294967296 bytes.")

    monkeypatch.setattr("semflow.tools.inference.segment", fails)
    words = ("segment", picture(tmp_path / "p.png"), "--checkpoint", checkpoint_of(tiny_suite), "--out", tmp_path / "l.png")
    status, _, error = run(*words)
    assert status == 2
    assert is_one_sentence(error, "not enough memory", "--size")


def test_steps_of_a_solver_that_chooses_its_own_are_refused(run, tiny_suite, checkpoint_of, tmp_path):
    words = ("roundtrip", picture(tmp_path / "p.png"), "--checkpoint", checkpoint_of(tiny_suite), "--out", tmp_path / "s.png")
    for sampler in (("--sampler", "rk45-5"), ("--solver", "rk45", "--steps", 5)):
        status, _, error = run(*words, *sampler)
        assert status == 2
        assert is_one_sentence(error, "rk45 takes no number of steps")


def test_a_layout_of_ignored_pixels_alone_is_refused(run, tiny_suite, checkpoint_of, tmp_path):
    Image.new("L", (16, 16), 255).save(tmp_path / "void.png")
    words = ("synthesize", tmp_path / "void.png", "--checkpoint", checkpoint_of(tiny_suite), "--out", tmp_path / "p.png")
    status, _, error = run(*words)
    assert status == 2
    assert is_one_sentence(error, "void.png", "every pixel is ignored")


def test_no_file_beside_the_result_takes_the_place_of_the_source(run, tiny_suite, checkpoint_of, tmp_path):
    folder = checkpoint_of(tiny_suite)
    layout, photo = picture(tmp_path / "a.seed1.png", "L"), picture(tmp_path / "b.overlay.png")
    before = layout.read_bytes(), photo.read_bytes()
    for words in (
        ("synthesize", layout, "--seeds", 2, "--out", tmp_path / "a.png"),
        ("segment", photo, "--out", tmp_path / "b.png"),
    ):
        status, _, error = run(*words, "--checkpoint", folder)
        assert status == 2
        assert is_one_sentence(error, str(words[1]), "another name")
    assert (layout.read_bytes(), photo.read_bytes()) == before


@pytest.mark.parametrize("verb", ["synthesize", "trajectory", "roundtrip"])
def test_dsm_goes_one_way_only(run, tiny_suite, checkpoint_of, tmp_path, verb):
    source = picture(tmp_path / "layout.png", "L" if verb == "synthesize" else "RGB")
    status, _, error = run(verb, source, "--checkpoint", checkpoint_of(tiny_suite, "dsm"), "--out", tmp_path / "p.png")
    assert status == 2
    assert is_one_sentence(error, "DSM", "no states" if verb == "trajectory" else "cannot do synthesis; it does segmentation")


def test_info_says_what_a_checkpoint_is(run, tiny_suite, checkpoint_of):
    suite = tiny_suite.model_copy(update={"pseudo_mask": PseudoMask(k=6, s=50, amplitude=6)})
    folder = checkpoint_of(suite, "dsm")
    status, out, _ = run("info", folder)
    assert status == 0
    assert "method:          dsm" in out
    assert "k = 6, s = 50, amplitude = 6" in out


def test_a_picture_with_transparent_pixels_is_refused(run, tiny_suite, checkpoint_of, tmp_path):
    source = picture(tmp_path / "photo.png", "RGBA")
    status, _, error = run("segment", source, "--checkpoint", checkpoint_of(tiny_suite), "--out", tmp_path / "out.png")
    assert status == 2
    assert is_one_sentence(error, source, "transparent")


def test_truncated_picture_is_refused(run, tiny_suite, checkpoint_of, tmp_path):
    source = picture(tmp_path / "photo.png")
    source.write_bytes(source.read_bytes()[:200])
    status, _, error = run("segment", source, "--checkpoint", checkpoint_of(tiny_suite), "--out", tmp_path / "out.png")
    assert status == 2
    assert is_one_sentence(error, source, "damaged")


def evaluation(tiny, tmp_path, *words):
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(tiny))
    return ("evaluate", "--config", tmp_path / "suite.yaml", "--out", tmp_path / "r.json", "--cache", tmp_path / "cache", *words)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--task", "synthesis", "--sampling-amplitude", "200"), "sampling amplitude 200 must be"),
        (("--task", "synthesis", "--sampling-amplitude", "60"), "sampling amplitude 60 must be"),
        (("--sampling-amplitude", "3"), "--sampling-amplitude is for --task synthesis"),
        (("--amplitude", "60"), "amplitude 60 must be"),
        (("--amplitude", "0"), "trained with another pseudo_mask"),
    ],
    ids=str,
)
def test_perturbations_that_cannot_be_are_refused(run, tiny, tiny_suite, checkpoint_of, tmp_path, words, named):
    options = ("--method", "semflow", "--checkpoint", checkpoint_of(tiny_suite), "--sampler", "euler-1")
    status, _, error = run(*evaluation(tiny, tmp_path, *options, *words))
    assert status == 2
    assert is_one_sentence(error, named)
    assert not (tmp_path / "r.json").exists()


def test_evaluate_says_every_metric_by_its_name(run, tiny, tmp_path):
    status, said, _ = run(*evaluation(tiny, tmp_path, "--method", "real_images", "--task", "synthesis"))
    assert status == 0
    assert re.search(r"^Fréchet distance \(EfficientNet-Lite0\) [\d.]+$", said, re.MULTILINE)  # of 4 images no interval
    assert re.search(r"^MMD² \(EfficientNet-Lite0\) [\d.-]+ \[[\d.-]+, [\d.-]+\]$", said, re.MULTILINE)
    assert re.search(r"^recall \(EfficientNet-Lite0\) [\d.]+ \[[\d.]+, [\d.]+\] (%|percent)$", said, re.MULTILINE)
    assert re.search(r"^brightness [\d.]+ \[[\d.]+, [\d.]+\] grey levels$", said, re.MULTILINE)


def test_a_model_of_another_perturbation_is_trained_and_measured(run, tiny, tmp_path):
    tiny["training"]["steps"] = 1
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(tiny))
    options = ("--config", tmp_path / "suite.yaml", "--method", "semflow", "--amplitude", "12")
    assert run("train", *options, "--state", tmp_path / "state", "--out", tmp_path / "b12")[0] == 0
    assert (
        run("evaluate", *options, "--checkpoint", tmp_path / "b12", "--sampler", "euler-1", "--out", tmp_path / "r.json")[0] == 0
    )
    assert records.read(tmp_path / "r.json").amplitude == 12


@pytest.fixture
def with_variant(tiny, tmp_path, monkeypatch):
    """The options of a suite's file whose one run is of SemFlow in a variant that is perturbed otherwise."""
    monkeypatch.chdir(tmp_path)
    tiny["training"]["steps"] = 3
    variants = {"short": {"training": {"steps": 1}, "pseudo_mask": {"k": 6, "s": 50, "amplitude": 6}}}
    tiny["runs"] = [{"method": "semflow", "task": "segmentation", "sampler": "euler", "steps": [1], "variants": ["short"]}]
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(tiny | {"variants": variants}))
    return ("--config", tmp_path / "suite.yaml", "--method", "semflow")


@pytest.mark.parametrize("amplitude", [6, 12])
def test_a_variant_is_trained_and_its_record_says_it(run, with_variant, amplitude):
    options = (*with_variant, "--variant", "short", *(("--amplitude", amplitude) if amplitude != 6 else ()))
    assert run("train", *options, "--state", "state", "--out", "short")[0] == 0
    card = checkpoints.read_card(Path("short"))
    assert (card.training["steps"], card.pseudo_mask) == (1, {"k": 6, "s": 50, "amplitude": amplitude})
    assert run("evaluate", *options, "--checkpoint", "short", "--sampler", "euler-1", "--out", "r.json")[0] == 0
    record = records.read(Path("r.json"))
    assert (record.variant, record.amplitude) == ("short", amplitude)


def test_a_checkpoint_of_a_variant_is_not_taken_for_the_suites_own(run, with_variant):
    assert run("train", *with_variant, "--variant", "short", "--state", "state", "--out", "short")[0] == 0
    status, _, error = run("evaluate", *with_variant, "--checkpoint", "short", "--sampler", "euler-1", "--out", "r.json")
    assert status == 2
    assert is_one_sentence(error, "short was trained with another", "training.steps", "pseudo_mask.s")
    assert not Path("r.json").exists()


def test_all_runs_of_a_variant_are_evaluated_where_its_records_lie(run, with_variant):
    options = (*with_variant, "--variant", "short")
    assert run("train", *options, "--state", "state", "--out", "short")[0] == 0
    place = Path("results/tiny/records/scenes-test/semflow-short/segmentation/euler-1/train0-sample0.json")
    assert run("evaluate", *options, "--checkpoint", "short", "--all", "--out", place)[0] == 0
    assert records.read(place).variant == "short"
    status, _, error = run("evaluate", *with_variant, "--checkpoint", "short", "--all")
    assert status == 2
    assert is_one_sentence(error, "runs no semflow of training seed 0 and amplitude")
    status, _, error = run("evaluate", *options, "--amplitude", 3, "--checkpoint", "short", "--all")
    assert status == 2
    assert is_one_sentence(error, "runs no semflow of training seed 0 and amplitude 3 in variant short")


@pytest.mark.parametrize(
    "words", [("train", "--state", "s", "--out", "o"), ("evaluate", "--checkpoint", "c", "--out", "r.json")], ids=lambda w: w[0]
)
def test_an_unknown_variant_is_named_with_the_nearest(run, with_variant, words):
    verb, *rest = words
    status, _, error = run(verb, *with_variant, "--variant", "shrot", *rest)
    assert status == 2
    assert is_one_sentence(error, "suite tiny has no variant shrot; did you mean short?")


def test_without_a_sampler_a_method_is_evaluated_by_its_own(run, tiny, tiny_suite, checkpoint_of, tmp_path):
    words = evaluation(tiny, tmp_path, "--method", "semflow", "--checkpoint", checkpoint_of(tiny_suite))
    assert run(*words)[0] == 0
    record = records.read(tmp_path / "r.json")
    assert (record.sampler, record.steps) == ("euler", 25)


@pytest.mark.parametrize("text", ["euler", "euler-0", "leapfrog-5", "rk45-5", "-5"])
def test_nonsense_samplers_are_refused(run, tiny_suite, checkpoint_of, tmp_path, text):
    words = ["segment", picture(tmp_path / "photo.png"), "--checkpoint", checkpoint_of(tiny_suite), f"--sampler={text}"]
    status, _, error = run(*words, "--out", tmp_path / "out.png")
    assert status == 2
    assert is_one_sentence(error, "sampler", text.partition("-5")[0])


def test_a_pickle_is_refused_without_being_opened(run, tmp_path):
    (tmp_path / "model.pt").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    status, _, error = run("info", tmp_path)
    assert status == 2
    assert is_one_sentence(error, "model.pt", "pickle")
    assert not Path("opened").exists()


def test_a_wrong_key_is_named_with_its_file(run, tiny, tmp_path):
    tiny["training"]["stepz"] = 3
    write_json(tmp_path / "suite.json", tiny)
    status, _, error = run(
        "train", "--config", tmp_path / "suite.json", "--method", "semflow", "--state", tmp_path / "s", "--out", tmp_path / "o"
    )
    assert status == 2
    assert is_one_sentence(error, "suite.json", "training.stepz", "steps")


def test_a_missing_data_root_is_named_with_the_mend(run, tiny, tmp_path, monkeypatch):
    monkeypatch.delenv("SEMFLOW_DATA", raising=False)
    tiny["data"] = {"name": "camvid", "root": str(tmp_path / "nowhere"), "size": [16, 16]}
    write_json(tmp_path / "suite.json", tiny)
    status, _, error = run(
        "train", "--config", tmp_path / "suite.json", "--method", "semflow", "--state", tmp_path / "s", "--out", tmp_path / "o"
    )
    assert status == 2
    assert is_one_sentence(error, tmp_path / "nowhere", "data.root", "SEMFLOW_DATA")


def train_command(tiny_suite, folder: Path) -> list[str]:
    write_json(folder / "suite.json", tiny_suite.model_dump(mode="json"))
    words = ["train", "--config", folder / "suite.json", "--method", "semflow", "--state", folder / "disk/state"]
    return [sys.executable, "-m", "semflow", *map(str, [*words, "--out", folder / "disk/out"])]


@pytest.mark.slow
def test_a_full_disk_stops_with_one_sentence_and_the_training_goes_on_once_there_is_room(tiny_suite, tmp_path):
    suite = tiny_suite.model_copy(
        update={
            "training": tiny_suite.training.model_copy(update={"steps": 4}),
            "run": tiny_suite.run.model_copy(update={"checkpoint_every": 2}),
        }
    )
    command, disk = train_command(suite, tmp_path), tmp_path / "disk"
    disk.mkdir()
    mounted = not subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", disk], capture_output=True).returncode
    try:
        trainer = Trainer(make_accelerator(suite), suite, "semflow", 0, disk / "state")
        trainer.advance(Batch(*Batches(Scenes(8, suite.data.size, 0, "train", 2))[range(4)]))
        trainer.save()
        state = (disk / "state/state.safetensors").stat().st_size
        used = sum(path.stat().st_blocks * 512 for path in disk.rglob("*"))
        if mounted:
            subprocess.run(["mount", "-o", f"remount,size={used + state // 2}", disk], check=True)
        small_files = ["bash", "-c", f'ulimit -f {state // 2048}; exec "$@"', "-"]  # what one can do who is not root
        done = subprocess.run(command if mounted else small_files + command, capture_output=True, text=True)
        left = [path for path in disk.rglob("*") if ".part" in path.name]
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=8M", disk], check=True)
        again = subprocess.run(command, capture_output=True, text=True)
    finally:
        if mounted:
            subprocess.run(["umount", disk], check=True)
    assert done.returncode == 2
    assert is_one_sentence(done.stderr.splitlines()[-1] + "\n", "state.safetensors", "free space")
    assert "Traceback" not in done.stderr
    assert left == []
    assert again.returncode == 0, again.stderr
    assert "goes on from step 1" in again.stderr


def test_a_missing_evaluation_split_is_named_before_training_starts(run, tmp_path, monkeypatch, config_folder):
    for folder in ("train", "trainannot"):
        (tmp_path / folder).mkdir()
        pixels = np.zeros((36, 48, 3) if folder == "train" else (36, 48), np.uint8)
        Image.fromarray(pixels).save(tmp_path / folder / "0001TP_006690.png")
    (tmp_path / "train.txt").write_text("train/0001TP_006690.png trainannot/0001TP_006690.png\n")
    monkeypatch.setenv("SEMFLOW_DATA", str(tmp_path))
    options = ("--config", config_folder / "camvid_cpu.yaml", "--state", tmp_path / "state", "--out", tmp_path / "out")
    status, _, error = run("train", "--method", "semflow", *options)
    assert status == 2
    assert is_one_sentence(error, tmp_path, "test.txt")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("out", "state", "named"),
    [("thesis", "state", "chapter1.tex"), ("mixed", "state", "chapter1.tex"), ("run", "run/state", "the state")],
)
def test_finished_weights_never_take_the_place_of_other_files(run, tiny_suite, tmp_path, out, state, named):
    write_json(tmp_path / "suite.json", tiny_suite.model_dump(mode="json"))
    for folder in ("thesis", "mixed"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "chapter1.tex").write_text("years of work")
    (tmp_path / "mixed" / CARD).write_text("{}")
    options = ("--config", tmp_path / "suite.json", "--out", tmp_path / out, "--state", tmp_path / state)
    status, _, error = run("train", "--method", "semflow", *options)
    assert status == 2
    assert is_one_sentence(error, tmp_path / out, named)
    assert (tmp_path / "thesis/chapter1.tex").read_text() == "years of work"
    assert not (tmp_path / state).exists()


# What is written never takes the place of what is read


@pytest.fixture
def kept(make_run, store, tmp_path) -> Path:
    """A record with its arrays."""
    (path,) = store([make_run("semflow", "euler", 25, PERFECT)])
    return path


REFERENCE = Path(__file__).parents[1] / "results/reference/mini.json"
OVER = {
    "verdicts over a record": "report claims --records RECORD --out RECORD",
    "a check over a record": f"regression check --records RECORD --reference {REFERENCE} --json RECORD",
    "a page over a record": f"regression check --records RECORD --reference {REFERENCE} --page RECORD",
    "a plan over its suite": "plan --config SUITE --tflops 1 --json SUITE",
    "one file twice": "report table2 --records RECORD --out t.csv ./t.csv",
    "a record and its metrics in one file": "evaluate --config SUITE --method oracle --out r.json --json r.json",
    "a record by another name": "report claims --records RECORD --out LINK",
    "a report over itself": "publish --records RECORD --report FOLDER --out FOLDER",
    "a check into its records' folder": f"regression check --records RECORD --reference {REFERENCE} --json FOLDER",
    "a record into this folder": "evaluate --config SUITE --method oracle --out .",
    "a record where its arrays go": "evaluate --config SUITE --method oracle --out r.npz",
    "a table of another form beside one that there is": "report table2 --records RECORD --out t.csv t.pdf",
}


@pytest.mark.parametrize("kind", OVER)
def test_what_is_written_never_takes_the_place_of_what_is_read_or_written_too(run, kept, tiny, tmp_path, kind, monkeypatch):
    write_json(tmp_path / "suite.json", tiny)
    (tmp_path / "link.json").symlink_to(kept)
    monkeypatch.chdir(tmp_path)
    places = {"RECORD": kept, "FOLDER": kept.parent, "SUITE": tmp_path / "suite.json", "LINK": tmp_path / "link.json"}
    words = [str(places.get(word, word)) for word in OVER[kind].split()]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    status, _, error = run(*words)
    assert status == 2
    assert is_one_sentence(error, words[-1].removeprefix("./"))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


# What is printed, for people and for programs


def test_a_reader_that_has_enough_ends_the_command_quietly():
    """As `semflow config show FILE | head -1` does."""
    command = [sys.executable, "-m", "semflow", "config", "show", Path(__file__).parents[1] / "config/paper.yaml"]
    for verb in (command, [*command[:3], "regression", "check", "--help"]):
        ended = subprocess.Popen(verb, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        ended.stdout.close()
        assert ended.communicate()[1] == b""
        assert ended.returncode in (0, 141)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_output_is_no_error(closed):
    command = f"{sys.executable} -m semflow plan --config config/smoke.yaml --tflops 1 {closed}"
    done = subprocess.run(["sh", "-c", command], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (done.stdout != "") == (closed == "2>&-")


def plan(suite, *words):
    return ("plan", "--config", suite, "--tflops", 1, *words)


def test_json_is_a_file_beside_the_words_or_takes_their_place(run, tmp_path):
    suite = Path(__file__).parents[1] / "config/smoke.yaml"
    in_words = run(*plan(suite))[1]
    status, out, _ = run(*plan(suite, "--json", tmp_path / "plan.json"))
    assert (status, out) == (0, in_words)
    status, out, _ = run(*plan(suite, "--json", "-"))
    assert status == 0
    assert json.loads(out) == json.loads((tmp_path / "plan.json").read_text())


def test_a_check_in_json_has_the_exit_status_of_the_check(run, tmp_path):
    root = Path(__file__).parents[1]
    record = root / "reports/study/records/scenes-test/semflow/segmentation/euler-25/train0-sample0.json"
    words = ("regression", "check", "--records", record, "--reference", root / "results/reference/mini.json")
    status, out, _ = run(*words, "--json", "-")
    assert status == json.loads(out)["status"]
    assert run(*words, "--out", tmp_path / "check.json")[0] == status  # the option's former name
    assert json.loads((tmp_path / "check.json").read_text()) == json.loads(out)


def test_a_checkpoint_is_told_in_json_and_in_words_within_a_second_and_without_torch(run, tiny_suite, checkpoint_of):
    folder = checkpoint_of(tiny_suite)
    told = json.loads(run("info", folder, "--json", "-")[1])
    assert (told["method"], told["suite"], told["size"]) == ("semflow", tiny_suite.suite, list(tiny_suite.data.size))
    words = (
        "import sys, time; from semflow.cli import main; main(sys.argv[1:]); print('torch' in sys.modules, time.process_time())"
    )
    done = subprocess.run([sys.executable, "-c", words, "info", folder], capture_output=True, text=True)
    assert done.stdout.splitlines()[0].split() == ["method:", "semflow"]
    with_torch, seconds = done.stdout.splitlines()[-1].split()
    assert with_torch == "False"
    assert float(seconds) < 1


def test_a_data_check_in_json_has_its_lines_and_problems(run, tmp_path):
    status, out, error = run("data", "check", "cityscapes", tmp_path / "nowhere", "--json", "-")
    assert status == 1
    told = json.loads(out)
    assert told["lines"][0].startswith("Cityscapes")
    assert told["problems"]
    assert all(problem in error for problem in told["problems"])


def test_an_evaluation_in_json_has_its_metrics(run, tiny, tmp_path):
    status, out, _ = run(*evaluation(tiny, tmp_path, "--method", "oracle", "--json", "-"))
    assert status == 0
    assert json.loads(out)["miou"]["value"] == 100
    status, _, error = run(*evaluation(tiny, tmp_path, "--method", "controls", "--json", "-"))
    assert status == 2
    assert is_one_sentence(error, "--json is for one evaluation")


def test_an_evaluation_says_why_a_metric_is_null_in_words_and_in_json(run, tiny, tmp_path, make_run, monkeypatch):
    record, why = make_run("oracle", "direct", 0, PERFECT).record, "it needs more than 3 images"
    null = record.metrics["miou"].model_copy(update={"value": None, "low": None, "high": None})
    record = record.model_copy(update={"metrics": record.metrics | {"miou": null}, "reasons": {"miou": why}})
    monkeypatch.setattr("semflow.evaluation.evaluate", lambda *_: record)
    assert f"({why})" in run(*evaluation(tiny, tmp_path, "--method", "oracle"))[1]
    told = json.loads(run(*evaluation(tiny, tmp_path, "--method", "oracle", "--json", "-"))[1])
    assert (told["miou"]["value"], told["miou"]["reason"]) == (None, why)
    assert [name for name, metric in told.items() if "reason" in metric] == ["miou"]


def test_what_the_library_logs_is_said_once_on_standard_error(run, monkeypatch, tmp_path):
    log = logging.getLogger("semflow.training.card")

    def waits(folder):
        log.warning("waiting for %s", folder)
        raise SemFlowError("gone")

    monkeypatch.setattr("semflow.training.card.read_card", waits)
    for _ in range(2):
        assert run("info", tmp_path) == (2, "", f"semflow: waiting for {tmp_path}\nsemflow: gone\n")
