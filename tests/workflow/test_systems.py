"""All systems of Table 1 and Figure 3 in one DAG, tiny: trained, judged, in the table, in the figures, each with its page."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DIRECT = {"sampler": "direct"}
SYNTHESIZERS = ("pix2pixhd", "spade", "scgan", "bbdm", "cyclegan")
SUITE: dict[str, Any] = {
    "base": str(ROOT / "config/smoke.yaml"),
    "suite": "systems",
    "training": {"steps": 6},
    "methods": {
        "maskformer": {
            "stem_channels": 8, "channels": [8, 8, 16, 16], "width": 32, "layers": 1, "hidden": 32, "queries": 20,
        },
        "pix2pixhd": {"width": 4, "downs": 1, "residuals": 1, "discriminator_width": 4, "discriminator_layers": 1, "scales": 1},
        "spade": {
            "widths": [8, 4], "shrink": [2, 1], "hidden": 4, "discriminator_width": 4, "discriminator_layers": 1, "scales": 1,
            "calibration": 16,
        },
        "scgan": {
            "first": 8, "widths": [8, 4], "shrink": [2, 1], "routing": [8, 4], "hidden": 4, "discriminator_width": 4,
            "discriminator_layers": 1, "scales": 1, "calibration": 16, "style": {"z": 4, "widths": [4], "side": 16},
        },
        "cyclegan": {"width": 4, "downs": 1, "residuals": 1, "discriminator_width": 4, "discriminator_layers": 1, "pool": 2},
    },
    "runs": [
        {"method": "semflow", "task": ["segmentation", "synthesis", "consistency"], "sampler": "euler", "steps": [25]},
        {"method": "dsm", "task": "segmentation", "sampler": "ddpm", "steps": [2]},
        {"method": "maskformer", "task": "segmentation", **DIRECT},
        {"method": "unet_supervised", "task": "segmentation", **DIRECT},
        {"method": "pix2pixhd", "task": ["synthesis", "consistency"], **DIRECT},
        {"method": "spade", "task": ["synthesis", "consistency"], **DIRECT},
        {"method": "scgan", "task": ["synthesis", "consistency"], **DIRECT},
        {"method": "bbdm", "task": ["synthesis", "consistency"], "sampler": "bbdm", "steps": [200]},
        {"method": "cyclegan", "task": ["segmentation", "synthesis", "consistency"], **DIRECT},
    ],
}  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    tree = tmp_path_factory.mktemp("systems")
    (tree / "systems.yaml").write_text(yaml.safe_dump(SUITE), encoding="utf-8")
    report = "results/systems/report"
    figures = [f"{report}/figures/{name}.png" for name in ("figure03", "losses", "systems")]
    made = ("reproduce_table1", f"{report}/methods.md", "results/systems/claims.json", *figures)
    done = subprocess.run(
        ["snakemake", *made, "--cores", "2", "--snakefile", str(ROOT / "Snakefile"), "--configfile", "systems.yaml"],
        cwd=tree, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return tree / "results/systems"


def test_table_1_has_a_value_in_every_row_of_the_paper(finished):
    frame = pd.read_csv(finished / "table1.csv")
    measured = frame[frame.value.notna()].groupby("method").metric.agg(set)
    assert {"semflow", "maskformer", "unet_supervised", "dsm", *SYNTHESIZERS} <= set(measured.index)
    assert all("miou" in measured[name] for name in ("semflow", "maskformer", "unet_supervised", "cyclegan"))
    assert all("frechet_efficientnet_lite0" in measured[name] for name in SYNTHESIZERS)


def test_every_synthesiser_is_read_by_both_judges_and_so_are_real_images(finished):
    frame = pd.read_csv(finished / "table1.csv").set_index(["method", "metric"]).value
    for name in ("semflow", *SYNTHESIZERS, "test_images", "real_images"):
        assert 0 <= frame[name, "consistency_miou"] <= 100
        assert 0 <= frame[name, "consistency_miou_second"] <= 100
    record = json.loads(next(finished.glob("records/*/spade/consistency/**/*.json")).read_text())
    assert record["protocol"]["networks"]["judge"].startswith("MaskFormer, training seed 1000, SHA-256 ")
    assert (finished / "checkpoints/maskformer/seed1000").is_dir()


def test_methods_that_are_not_trained_well_enough_are_marked_and_no_claim_is_judged_on_them(finished):
    text = (finished / "report/table1.md").read_text()
    assert "| MaskFormer † |" in text
    assert "† MaskFormer is not trained well enough to be compared with: " in text
    claims = {claim["id"]: claim for claim in json.loads((finished / "claims.json").read_text())["claims"]}
    for name in ("specialist-segments-better", "ahead-of-gans", "bridge-draws-better", "lpips-ordering", "ahead-of-cyclegan"):
        assert claims[name]["verdict"] not in ("reproduced", "not reproduced")


def test_what_tells_a_starved_gan_is_in_its_record(finished):
    for method, names in {
        "pix2pixhd": {"discriminator_lead"}, "spade": {"discriminator_lead"}, "scgan": {"discriminator_lead"},
        "bbdm": {"own_mask_gain"},
        "cyclegan": {"discriminator_lead", "discriminator_lead_masks", "cycle_images", "cycle_masks"},
    }.items():  # fmt: skip
        record = json.loads(next(finished.glob(f"records/*/{method}/synthesis/**/*.json")).read_text())
        assert names <= set(record["metrics"]), method


def test_every_method_has_a_page_with_its_losses_and_the_command(finished):
    text = (finished / "report/methods.md").read_text()
    for title in ("SemFlow", "MaskFormer", "pix2pixHD", "SPADE", "SC-GAN", "BBDM", "CycleGAN"):
        page = text.partition(f"\n# {title}\n")[2].partition("<!-- baselines/")[0]
        assert "How its losses fell" in page, title
        assert "snakemake --cores all" in page, title
