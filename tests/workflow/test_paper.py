"""config/paper.yaml as it stands, but for its size: Stable Diffusion's make at random weights, trees of eight pictures."""

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from sd_folder import make_sd_folder, sd_sections

from semflow.suite import reading as config
from semflow.training.checkpoints import open_checkpoint

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"coco_stuff": [64, 64], "celebamask_hq": [64, 64], "cityscapes": [64, 128]}

NARROW: dict[str, dict[str, Any]] = {  # of the other systems, what makes them small enough
    "maskformer": {
        "pretrained": None, "stem_channels": 8, "channels": [16] * 4, "blocks": [1] * 4, "width": 32, "layers": 1, "heads": 2,
        "hidden": 32, "queries": 20, "steps": 2, "batch_size": 4,
    },
    "pix2pixhd": {
        "width": 4, "residuals": 1, "discriminator_width": 4, "perceptual": 0, "vgg19": None, "steps": 2, "batch_size": 4,
    },
    "spade": {
        "widths": [8, 8, 4], "shrink": [4, 2, 1], "hidden": 4, "discriminator_width": 4, "discriminator_layers": 1,
        "perceptual": 0, "vgg19": None, "steps": 2, "batch_size": 4,
    },
    "scgan": {
        "first": 8, "widths": [8, 8, 4], "shrink": [4, 2, 1], "routing": [8, 4, 4], "hidden": 4, "discriminator_width": 4,
        "discriminator_layers": 1, "perceptual": 0, "vgg19": None, "steps": 2, "batch_size": 4,
        "style": {"z": 4, "widths": [4, 8], "side": 16, "divergence": 0.05},
    },
    "bbdm": {"steps": 2, "batch_size": 4},
    "cyclegan": {"width": 4, "residuals": 1, "discriminator_width": 4, "pool": 2, "steps": 2, "batch_size": 2},
}  # fmt: skip
VQ = {"pretrained": None, "block_out_channels": [8] * 3, "norm_num_groups": 4, "codes": 16}
RESIDUAL = {"block_out_channels": [16, 16, 32], "norm_num_groups": 8, "attention_head_dim": 16}

pytestmark = pytest.mark.timeout(2400)


def papers(name: str = "paper") -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8"))


def made_small(raw: dict[str, Any], weights: Path) -> dict[str, Any]:
    """The same suite where a laptop can run it: nothing but sizes, lengths and numbers of evaluations is changed."""
    raw |= sd_sections(weights)
    raw["run"] |= {"device": "cpu", "workers": 0, "compile": False, "log_every": 1, "checkpoint_every": 1}
    raw["synthesis"] |= {
        "features": {"network": "efficientnet-lite0"},
        "perceptual": {"network": "efficientnet-lite0"},
        "diversity": {"layouts": 2, "samples": 2},
    }
    raw["evaluation"] |= {"bootstrap_samples": 100, "examples": 2, "batch_size": 4}
    for name, narrow in NARROW.items():
        raw["methods"][name] |= narrow
    raw["methods"]["bbdm"]["autoencoder"] |= VQ
    raw["methods"]["bbdm"]["network"] |= RESIDUAL
    for name, own in raw["datasets"].items():
        own["data"]["size"] = SIZES[name]
        own["training"] |= {"steps": 2, "batch_size": 4}
        for entry in own["runs"]:
            # 25 steps stay: figures and tables show the sampler that a method is known by
            if 25 in entry.get("steps", ()) and len(entry["steps"]) > 1:
                entry["steps"] = [1, 25] if entry["method"] == "semflow" else [2, 25]
            if entry["method"] == "bbdm":
                entry["steps"] = [5]
            if len(entry.get("seeds", [])) > 3:
                entry["seeds"] = [0, 1]
    return raw


def snakemake(tree: Path, *words: str, **variables: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | variables
    command = ["snakemake", "--cores", "2", "--directory", str(tree), *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def data(tmp_path_factory, trees) -> Path:
    root = tmp_path_factory.mktemp("data")
    for make in (trees.coco_stuff_tree, trees.celebamask_hq_tree, trees.cityscapes_tree):
        make(root / make.__name__.removesuffix("_tree"), 8)
    return root


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data) -> tuple[Path, float]:
    """A folder in which the three data sets were prepared, trained on and evaluated, and the processor's seconds for it."""
    tree = tmp_path_factory.mktemp("paper")
    raw = made_small(papers(), make_sd_folder(tmp_path_factory.mktemp("sd15")))
    (tree / "paper.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    before = os.times()
    drawn = [f"results/paper/report/figures/figure{number}.png" for number in ("03", "12")]
    targets = ("reproduce_table1", "reproduce_table2", *drawn)
    done = snakemake(tree, *targets, "--configfile", str(tree / "paper.yaml"), SEMFLOW_DATA=str(data))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    after = os.times()
    return tree, (after.children_user - before.children_user) + (after.children_system - before.children_system)


@pytest.mark.slow
def test_all_of_it_takes_less_than_six_minutes_of_two_cores(finished):
    assert finished[1] < 2 * 360


@pytest.mark.slow
def test_tables_hold_each_task_on_the_papers_data_set(finished):
    tree, _ = finished
    two = pd.read_csv(tree / "results/paper/table2.csv")
    miou = two[two.metric == "miou"].set_index(["method", "sampler", "steps"])
    assert {("semflow", "euler", 1), ("dsm", "ddim", 2), ("dsm", "ddpm", 2), ("shuffled_labels", "direct", 0)} <= set(miou.index)
    assert (miou.n_images == 8).all()
    assert "CycleGAN" in (tree / "results/paper/report/figures/figure03.txt").read_text()
    assert miou.loc[("dsm", "ddpm", 25), "n_seeds"] == 3
    text = (tree / "results/paper/report/table1.md").read_text()
    assert "coco_stuff" in text
    assert "celebamask_hq" in text
    one = pd.read_csv(tree / "results/paper/table1.csv").dropna(subset="value").groupby(["method", "metric"]).value.first()
    assert 0 <= one["semflow", "miou"] <= 100
    assert one["semflow", "mmd2_efficientnet_lite0"] > one["real_images", "mmd2_efficientnet_lite0"]
    for method in ("maskformer", "pix2pixhd", "spade", "scgan", "bbdm"):
        assert method in one.index.get_level_values("method")
    records = [json.loads(path.read_text()) for path in tree.glob("results/paper/records/**/*.json")]
    assert {(record["dataset"], record["task"]) for record in records} >= {
        ("coco_stuff", "segmentation"), ("celebamask_hq", "synthesis"), ("cityscapes", "segmentation"),
    }  # fmt: skip


@pytest.mark.slow
def test_a_finished_checkpoint_needs_no_folder_of_stable_diffusion_but_its_vae(finished):
    model, card = open_checkpoint(finished[0] / "results/paper/checkpoints/coco_stuff/dsm/seed0")
    assert (card.method, card.data["name"]) == ("dsm", "coco_stuff")
    assert model.network.unet.config.in_channels == 8
    assert model.network.prompt.shape == (1, 77, 12)


@pytest.mark.slow
def test_latents_of_what_is_not_cropped_are_cached(finished):
    made = sorted(path.name.partition("-")[0] for path in (finished[0] / "results/latents").iterdir())
    assert made == ["moments", "moments"]  # of portraits and street scenes; photographs are cropped anew each time


@pytest.mark.slow
def test_a_second_run_has_nothing_to_do(finished, data):
    tree, _ = finished
    again = snakemake(tree, "-n", "reproduce_table2", "--configfile", str(tree / "paper.yaml"), SEMFLOW_DATA=str(data))
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.parametrize("name", ["paper", "released_code"])
def test_the_whole_plan_is_made_within_ten_seconds(data, tmp_path, name):
    """By the processor's time, as other work slows the clock on the wall."""
    before, started = os.times(), time.monotonic()
    path = ROOT / f"config/{name}.yaml"
    done = snakemake(tmp_path, "-n", "reproduce_all", "--quiet", "rules", "--configfile", str(path), SEMFLOW_DATA=str(data))
    after = os.times()
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert re.search(r"^train +11$", said, re.MULTILINE)
    assert re.search(r"^prepare +3$", said, re.MULTILINE)
    assert min(after.children_user - before.children_user, time.monotonic() - started) < 10


def refusal(tree: Path, data: Path, pretrained: str) -> str:
    """What is said in place of starting the paper's suite with such weights."""
    raw = papers()
    for section in ("autoencoder", "network"):
        raw[section]["pretrained"] = pretrained
    (tree / "paper.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    done = snakemake(tree, "reproduce_table2", "--configfile", str(tree / "paper.yaml"), SEMFLOW_DATA=str(data))
    assert done.returncode != 0
    assert not (tree / "results/paper/config.json").exists()
    return done.stdout + done.stderr


def test_nothing_is_started_where_files_are_not_in_place(tmp_path):
    """Weights on the hub are fetched when they are needed; they are no reason to refuse."""
    said = refusal(tmp_path, tmp_path, f"owner/model@{'0' * 40}")
    assert "the files of coco_stuff, celebamask_hq, cityscapes are not in place" in said
    assert "prepare_data" in said


def test_nothing_is_started_where_weights_are_not_in_place(data, tmp_path):
    said = refusal(tmp_path, data, "weights/stable-diffusion-v1-5")
    assert "pretrained: weights/stable-diffusion-v1-5 (put the diffusers folder of Stable Diffusion 1.5 there" in said
    assert "pretrained: weights/resnet-101 (put a transformers folder of a ResNet there" in said
    assert "pretrained: weights/vq-f4 (put the diffusers folder of a VQModel there" in said
    assert "vgg19: weights/vgg19-dcbb9e9d.pth (put torchvision's file there)" in said
    assert said.count("weights/stable-diffusion-v1-5") == 1  # though two sections name them


def test_the_public_codes_reading_differs_where_its_file_says_so():
    """Every key that differs has a comment in released_code.yaml that names a file of that code."""
    ours, theirs = config.load_study(ROOT / "config/paper.yaml"), config.load_study(ROOT / "config/released_code.yaml")
    lines = (ROOT / "config/released_code.yaml").read_text().splitlines()
    for name in ours.suites:
        mine, other = (study.suites[name].model_dump(mode="json") for study in (ours, theirs))
        for section in ("data", "pseudo_mask", "autoencoder", "network", "training", "methods", "evaluation"):
            for key in mine[section]:
                if mine[section][key] != other[section][key]:
                    said = [line for line in lines if f"{key}:" in line and ("configs/" in line or "module/" in line)]
                    assert said, f"{name}: {section}.{key}"


def test_the_papers_recipes_are_those_of_its_text():
    suites = config.load_study(ROOT / "config/paper.yaml").suites
    known = {
        "coco_stuff": (171, (512, 512), 128, 320_000, 1e-5, "constant"),
        "celebamask_hq": (19, (512, 512), 256, 80_000, 2e-5, "linear"),
        "cityscapes": (19, (512, 1024), 256, 8_000, 5e-5, "linear"),
    }
    for name, (_, size, batch, steps, lr, schedule) in known.items():
        settings = suites[name].training
        assert suites[name].data.size == size
        assert (settings.batch_size, settings.steps, settings.lr, settings.lr_schedule) == (batch, steps, lr, schedule)
        assert (suites[name].pseudo_mask.k, suites[name].pseudo_mask.s, suites[name].pseudo_mask.amplitude) == (6, 50, 6)
