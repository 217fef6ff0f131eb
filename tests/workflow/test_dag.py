"""The workflow itself, on a copy of the tree, from data to report."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors import safe_open

from semflow import published
from semflow import report as products
from semflow.claims.verdicts import VERDICTS
from semflow.data.scenes import Scenes
from semflow.loading.batches import Batches
from semflow.loading.pixels import to_unit_range
from semflow.method.samplers import Sampler
from semflow.training.checkpoints import open_checkpoint

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "workflow", "config", "profiles", "semflow", "baselines", "environment.yml")
FIGURES = tuple(products.FIGURES)
NOTEBOOKS = ("review", "explore")
SUITES = sorted(path.stem for path in (ROOT / "config").glob("*.yaml"))

pytestmark = pytest.mark.timeout(2400)  # the whole DAG in a fixture, at a quarter of the speed where other work runs beside it


def snakemake(tree: Path, *words: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        ["snakemake", "--cores", "2", *words], cwd=tree, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def copy_of_the_tree(place: Path) -> Path:
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            half_written = shutil.ignore_patterns("*.pyc.*")
            shutil.copytree(source, place / part, ignore=half_written)  # with its bytecode, which spares jobs the compilation
        else:
            shutil.copy(source, place / part)
    return place


def step_of(state: Path) -> int:
    with safe_open(state, framework="pt") as file:
        return int(file.metadata()["step"])


def rules_to_run(tree: Path) -> set[str]:
    """Rules in a dry run's table of jobs."""
    done = snakemake(tree, "-n", "--configfile", "config/smoke.yaml", "--quiet", "rules")
    assert done.returncode == 0, done.stdout + done.stderr
    table = re.search(r"^-+ +-+\n(.*?)^total", done.stdout + done.stderr, re.MULTILINE | re.DOTALL)
    return {line.split()[0] for line in table[1].splitlines() if line.strip()} if table else set()


def read_claims() -> list[dict]:
    """The paper's claims as they are written, the numbers of its tables aside."""
    return yaml.safe_load((ROOT / "semflow/published/claims.yaml").read_text())["claims"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """A tree in which the smoke suite ran to its end, and what that said."""
    tree = copy_of_the_tree(tmp_path_factory.mktemp("tree"))
    done = snakemake(tree, "--configfile", "config/smoke.yaml")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return tree, done


@pytest.mark.slow
def test_ends_by_printing_the_table_and_where_the_report_lies(finished):
    tree, done = finished
    said = done.stdout + done.stderr
    assert "| SemFlow Euler | measured |" in said
    assert "| DSM DDIM | measured |" in said
    assert str(tree / "results/smoke/report/table2.html") in said
    assert "| SemFlow | Euler-25 |" in said
    assert str(tree / "results/smoke/report/table1.html") in said
    counts = json.loads((tree / "results/smoke/claims.json").read_text())["counts"]
    assert f"Claims: {counts['reproduced']} reproduced, " in said
    assert str(tree / "results/smoke/report/index.html") in said


@pytest.mark.slow
def test_its_jobs_take_less_than_five_minutes_of_two_cores(finished):
    """By the processor time of each, as other work slows the clock on the wall."""
    times = [pd.read_csv(path, sep="\t").cpu_time.sum() for path in (finished[0] / "results/smoke/benchmarks").glob("*.tsv")]
    assert len(times) > 30
    assert sum(times) < 2 * 300


@pytest.mark.slow
def test_every_evaluation_of_table_2_is_in_the_long_table_with_its_interval(finished):
    frame = pd.read_csv(finished[0] / "results/smoke/table2.csv")
    assert list(frame.columns) == [
        "method", "sampler", "steps", "metric", "value", "low", "high", "published", "n_images", "n_seeds",
    ]  # fmt: skip
    miou = frame[frame.metric == "miou"].set_index(["method", "sampler", "steps"])
    wanted = {("semflow", "euler", n) for n in (1, 2, 5, 25)} | {("oracle", "direct", 0), ("shuffled_labels", "direct", 0)}
    wanted |= {("dsm_modified", name, n) for name in ("ddim", "ddpm") for n in (2, 25)}
    assert set(miou.index) == wanted | {("dsm", name, n) for name in ("ddim", "ddpm") for n in (2, 5, 25)}
    assert (miou.low <= miou.value).all()
    assert (miou.value <= miou.high).all()
    assert miou.loc[("oracle", "direct", 0), "value"] == 100
    assert miou.loc[("semflow", "euler", 5), "published"] == 36.9
    assert miou.loc[("dsm", "ddpm", 5), "published"] == 5.3
    assert miou.loc[("dsm", "ddpm", 25), "n_seeds"] == 3


@pytest.mark.slow
def test_semflow_gives_the_same_bits_under_two_seeds_and_dsm_does_not(finished):
    def digests(method, sampler):
        folder = finished[0] / f"results/smoke/records/scenes-test/{method}/segmentation/{sampler}-25"
        return [json.loads(path.read_text())["outputs_sha256"] for path in sorted(folder.glob("*.json"))]

    semflow = digests("semflow", "euler")
    assert len(semflow) == 2
    assert len(set(semflow)) == 1
    for sampler in ("ddim", "ddpm"):
        assert len(set(digests("dsm", sampler))) == 3


@pytest.mark.slow
def test_reports_and_figures_are_there_and_look_like_what_they_are(finished):
    reports = finished[0] / "results/smoke/report"
    assert "\\begin{tabular}" in (reports / "table2.tex").read_text()
    page = (reports / "table2.html").read_text()
    for source in re.findall(r'<img src="([^"]+)"', page):
        assert (reports / source).read_text().startswith("<?xml")
    for name in FIGURES:
        assert (reports / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (reports / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_table_1_and_the_ablations_hold_both_tasks_and_both_models(finished):
    frame = pd.read_csv(finished[0] / "results/smoke/table1.csv")
    semflow = frame[(frame.method == "semflow") & frame.value.notna()]
    assert {"miou", "frechet_efficientnet_lite0", "perceptual_efficientnet_lite0"} <= set(semflow.metric)
    budget = pd.read_csv(finished[0] / "results/smoke/budget.csv").set_index("method")
    assert (budget.images_seen == 320).all()
    assert budget.loc["semflow", "segmentation_evaluations"] == 25
    assert "| MaskFormer |" in (finished[0] / "results/smoke/report/table1.md").read_text()
    rows = pd.read_csv(finished[0] / "results/smoke/ablations.csv")
    diversity = rows[(rows.metric == "diversity_efficientnet_lite0") & (rows.steps == 25) & rows.variant.isna()]
    by_amplitude = diversity[diversity.amplitude == diversity.sampling_amplitude].set_index("amplitude").value
    assert by_amplitude[0] == 0 < by_amplitude[14.4]
    assert set(rows[rows.sampler == "rk45"].task) == {"segmentation", "synthesis"}
    agreement = rows[rows.metric == "seed_agreement"].set_index("sampler").value
    assert agreement["euler"] == 100 > agreement["ddpm"]


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True], ids=["segmentation", "synthesis"])
def test_rk45_agrees_with_two_thousand_euler_steps_on_the_trained_model(finished, reverse):
    model, _ = open_checkpoint(finished[0] / "results/smoke/checkpoints/semflow/seed0")
    images, labels = Batches(Scenes(4, (16, 16), 0, "test", 2))[range(4)]
    with torch.inference_mode():
        z0, z1 = model.encode_images(to_unit_range(images)), model.encode_labels(labels, torch.Generator().manual_seed(0))
        z = z1 if reverse else z0
        *_, fine = model.path(z, Sampler("euler", 2000), reverse)
        *_, adaptive = model.path(z, Sampler("rk45", 0), reverse)
        *_, coarse = model.path(z, Sampler("euler", 1), reverse)
    assert (adaptive - fine).norm() < 1e-2 * fine.norm() < (coarse - fine).norm()


@pytest.mark.slow
def test_every_claim_of_the_paper_has_a_verdict(finished):
    claims = json.loads((finished[0] / "results/smoke/claims.json").read_text())["claims"]
    assert all(claim["verdict"] in VERDICTS for claim in claims)
    judged = {claim["id"] for claim in claims}
    assert {claim["id"] for claim in read_claims()} <= judged
    numbers = sum(map(len, published.table1().values())) + len(published.table2())
    assert sum(claim["kind"] == "table_entry" for claim in claims) == numbers
    assert len(judged) == len(claims) == numbers + len(read_claims())
    main = [one for claim in claims if claim["id"] == "semflow-above-dsm" for one in claim["conditions"]]
    assert any("Euler-25" in one["what"] for one in main)


@pytest.mark.slow
def test_verdicts_are_shown_in_the_report_and_on_a_badge(finished):
    reports = finished[0] / "results/smoke/report"
    for shown in ("claims.md", "index.html"):
        text = " ".join(html.unescape((reports / shown).read_text()).split())
        assert all(" ".join(claim["words"].split()) in text for claim in read_claims()), shown
    assert (reports / "claims.svg").read_text().startswith("<svg")
    assert any((reports / "pictures").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_are_kept_with_what_they_show(finished, name):
    folder = finished[0] / "results/smoke/report/notebooks"
    text = (folder / f"{name}.ipynb").read_text()
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells)
    assert sum(len(cell["outputs"]) for cell in cells) >= 3
    page = (folder / f"{name}.html").read_text()
    assert page.count("<img") == (3 if name == "explore" else 0)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?https?:", page)
    assert "No description" not in page
    assert len(page) < 1_000_000
    for place in (finished[0], ROOT, Path.home()):
        assert f"{place}/" not in text + page


@pytest.mark.slow
def test_a_failing_cell_fails_the_rule_and_leaves_the_half_run_notebook_in_the_logs(finished):
    tree, target = finished[0], "results/smoke/report/notebooks/review.html"
    source = tree / "workflow/notebooks/review.ipynb"
    text = source.read_text()
    notebook = json.loads(text)
    broken = [cell["id"] for cell in notebook["cells"] if cell["cell_type"] == "code"][2]
    next(cell for cell in notebook["cells"] if cell["id"] == broken)["source"] = ["raise RuntimeError('this cell fails')"]
    try:
        source.write_text(json.dumps(notebook))
        done = snakemake(tree, target, "--configfile", "config/smoke.yaml")
    finally:
        source.write_text(text)
    assert done.returncode != 0
    assert "this cell fails" in done.stdout + done.stderr
    assert not (tree / target).exists()
    half_run = json.loads((tree / "results/smoke/logs/notebooks/review.ipynb").read_text())["cells"]
    outputs = {cell["id"]: cell["outputs"] for cell in half_run if cell["cell_type"] == "code"}
    assert outputs["read"][0]["output_type"] == "stream"
    assert outputs[broken][0]["evalue"] == "this cell fails"
    assert outputs[list(outputs)[-1]] == []
    assert snakemake(tree, target, "--configfile", "config/smoke.yaml").returncode == 0
    assert (tree / target).exists()


@pytest.mark.slow
def test_snakemakes_own_report_holds_every_table_and_figure_with_its_caption(finished):
    tree = finished[0]
    done = snakemake(tree, "report", "--configfile", "config/smoke.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(tree / "results/smoke/report/report.zip") as archive:
        page = archive.read("report/report.html").decode()
        names = {Path(name).name for name in archive.namelist()}
    results = json.loads(re.search(r"var results = (\{.*?\});\n", page, re.DOTALL)[1])
    categories = json.loads(re.search(r"var categories = (\{.*?\});\n", page, re.DOTALL)[1])
    held = {category: {Path(path).name for paths in parts.values() for path in paths} for category, parts in categories.items()}
    assert held == {
        "Tables": {"table1.csv", "table2.csv", "ablations.csv", "budget.csv"},
        "Figures": {f"{name}.png" for name in FIGURES},
        "Verdicts": {"claims.json", "claims.md", "claims.svg"},
        "Notebooks": {f"{name}.html" for name in NOTEBOOKS},
    }
    assert names >= set().union(*held.values())
    for result in results.values():
        assert result["labels"]
        assert "Suite smoke" in result["caption"]
        assert "{{" not in result["caption"]
    captions = [results[f"results/smoke/report/figures/{name}.png"]["caption"] for name in FIGURES]
    assert len(set(captions)) == len(FIGURES)
    assert str(tree) not in page
    assert rules_to_run(tree) == set()
    assert "Nothing to be done" in snakemake(tree, "report", "--configfile", "config/smoke.yaml").stderr


@pytest.fixture
def worse(finished) -> Iterator[None]:
    """The record of ground truth itself replaced by one of another image's ground truth."""
    folder = finished[0] / "results/smoke/records/scenes-test"
    kept = {path: (path.read_bytes(), path.stat()) for path in (folder / "oracle").rglob("*.*")}
    for path in kept:
        shutil.copy(folder / "shuffled_labels" / path.relative_to(folder / "oracle"), path)
    (record,) = (path for path in kept if path.suffix == ".json")
    record.write_text(record.read_text().replace('"method": "shuffled_labels"', '"method": "oracle"'))
    yield
    for path, (data, stat) in kept.items():
        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture
def accepted(finished) -> Path:
    """The reference, accepted from the finished tree's records."""
    done = snakemake(
        finished[0], "accept_reference", "--configfile", "config/smoke.yaml", "--config", "reason=it's the first, <b>"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return finished[0] / "results/reference/smoke.json"


@pytest.mark.slow
def test_numbers_do_not_drift_from_a_reference_just_accepted(finished, accepted):
    assert json.loads(accepted.read_text())["history"][-1]["reason"] == "it's the first, <b>"
    done = snakemake(finished[0], "check_drift", "--configfile", "config/smoke.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reason" not in json.loads((finished[0] / "results/smoke/config.json").read_text())


@pytest.mark.slow
def test_a_worse_record_is_drift_and_its_metric_is_named(finished, accepted, worse):
    done = snakemake(finished[0], "check_drift", "--configfile", "config/smoke.yaml")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert re.search(r"^DRIFT oracle: oracle segmentation: mIoU of the same weights was 100, is \d", said, re.MULTILINE)
    told = json.loads((finished[0] / "results/smoke/report/drift.json").read_text())
    assert (told["verdict"], told["status"]) == ("drift", 1)
    assert "Verdict: drift" in (finished[0] / "results/smoke/report/drift.html").read_text()


@pytest.mark.slow
def test_a_suite_that_shares_results_trains_and_measures_what_is_new_alone(finished):
    tree = finished[0]
    (tree / "config/again.yaml").write_text(
        "base: smoke.yaml\nsuite: again\nshares: smoke\ntraining: {seeds: [0, 1]}\nvariants: {long: {training: {steps: 44}}}\n"
        "runs:\n"
        "  - {method: semflow, task: [segmentation, synthesis], sampler: euler, steps: [25]}\n"
        "  - {method: semflow, task: segmentation, sampler: euler, steps: [25], variants: [long], training_seeds: [0]}\n"
    )
    done = snakemake(tree, "reproduce_table1", "results/again/ablations.csv", "--configfile", "config/again.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    digests = [
        json.loads((tree / f"results/{suite}/checkpoints/semflow/seed0/semflow.json").read_text())["weights"]
        for suite in ("smoke", "again")
    ]
    assert digests[0] == digests[1]
    assert "train semflow seed 0: goes on from step 40" in (tree / "results/again/logs/train-semflow-seed0.log").read_text()
    place = "records/scenes-test/semflow/segmentation/euler-25/train0-sample0.json"
    first, second = (json.loads((tree / f"results/{suite}/{place}").read_text()) for suite in ("smoke", "again"))
    assert first.pop("suite") == "smoke" != second.pop("suite")
    assert first == second
    ablations = pd.read_csv(tree / "results/again/ablations.csv")
    assert set(ablations.variant.dropna()) == {"long"}
    images = json.loads((tree / f"results/again/{place.replace('semflow/', 'semflow-long/', 1)}").read_text())["budget"][
        "images_seen"
    ]
    assert images == 44 * 8


@pytest.mark.slow
def test_the_references_weights_verify_table_2_without_training_until_a_number_differs(finished, accepted):
    tree = finished[0]
    (tree / "config/verify.yaml").write_text(
        "base: smoke.yaml\nsuite: verify\ncheckpoints: results/reference/weights\ndata: {n_test: 6}\nruns:\n"
        "  - {method: semflow, task: segmentation, sampler: euler, steps: [1, 25]}\n"
        "  - {method: dsm, task: segmentation, sampler: ddim, steps: [2, 25]}\n"
    )
    words = ("accept_reference", "--configfile", "config/verify.yaml", "--config", "reason=first")
    assert snakemake(tree, *words).returncode == 0
    done = snakemake(tree, "verify_table2", "--configfile", "config/smoke.yaml")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Verdict: no drift." in said
    assert not (tree / "results/verify/checkpoints").exists()
    path = tree / "results/reference/verify.json"
    reference = json.loads(path.read_text())
    name = next(name for name in reference["evaluations"] if "Euler-25" in name)
    reference["evaluations"][name]["metrics"]["miou"]["0"]["0"] += 0.02
    path.write_text(json.dumps(reference))
    done = snakemake(tree, "verify_table2", "--configfile", "config/smoke.yaml")
    assert done.returncode != 0
    assert f"DRIFT {name}: mIoU of the same weights" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_published_report_is_made_again_from_its_records_alone(finished):
    tree = finished[0]
    done = snakemake(tree, "publish_report", "--configfile", "config/smoke.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    out = tree / "reports/smoke"
    assert {"index.html", "claims.md", "table2.csv", "claims.json"} <= {path.name for path in out.iterdir()}
    before = json.loads((tree / "results/smoke/claims.json").read_text())
    again = tree.parent / "again"
    shutil.copytree(out / "records", again / "records")
    for part in PARTS:
        (again / part).symlink_to(tree / part)
    words = (
        "results/smoke/claims.json",
        "results/smoke/table2.csv",
        "--configfile",
        "config/smoke.yaml",
        "--config",
        "records=records",
    )
    done = snakemake(again, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    after = json.loads((again / "results/smoke/claims.json").read_text())
    assert {claim["id"]: claim["verdict"] for claim in after["claims"]} == {
        claim["id"]: claim["verdict"] for claim in before["claims"]
    }
    tables = [pd.read_csv(folder / "results/smoke/table2.csv") for folder in (tree, again)]
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)
    assert not (again / "results/smoke/checkpoints").exists()


@pytest.mark.slow
def test_a_second_run_has_nothing_to_do(finished):
    seconds = []
    for _ in range(3):  # other work may run beside it
        start = time.monotonic()
        done = snakemake(finished[0], "--configfile", "config/smoke.yaml")
        seconds.append(time.monotonic() - start)
        assert done.returncode == 0
        assert "Nothing to be done" in done.stdout + done.stderr
    assert min(seconds) < 10


@pytest.mark.slow
def test_a_touch_makes_nothing_stale_and_a_change_of_the_page_the_page(finished):
    tree, style = finished[0], finished[0] / "semflow/report/page/style.css"
    (tree / "semflow/method/flow.py").touch()
    text = style.read_text()
    try:
        style.write_text(f"{text}\n/* a change */\n")
        assert rules_to_run(tree) == {"page", "site", "all"}
    finally:
        style.write_text(text)


@pytest.mark.slow
def test_evaluations_take_ten_processes_at_most_and_what_is_deleted_comes_back_without_being_measured(finished):
    tree = finished[0]
    logs = [*(tree / "results/smoke/logs").glob("*-seed0-*.log"), *(tree / "results/smoke/logs").glob("controls-*.log")]
    assert 0 < len(logs) <= 10
    record = tree / "results/smoke/records/scenes-test/dsm/segmentation/ddim-2/train0-sample0.json"
    before = record.read_bytes()
    record.unlink()
    start = time.monotonic()
    done = snakemake(tree, str(record.relative_to(tree)), "--configfile", "config/smoke.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert record.read_bytes() == before
    assert "segment dsm" not in (tree / "results/smoke/logs/dsm-seed0-table2.log").read_text()
    assert time.monotonic() - start < 600


@pytest.mark.parametrize("suite", SUITES)
def test_dry_run_of_every_suite(suite, tmp_path):
    tree = copy_of_the_tree(tmp_path)
    for method in ("semflow", "dsm"):  # what is committed
        (tree / f"results/reference/weights/{method}").mkdir(parents=True)
    done = snakemake(tree, "-n", "--configfile", f"config/{suite}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("rule train:" in done.stdout + done.stderr) == (suite != "verify")


def test_a_reference_is_accepted_for_a_reason_only(tmp_path):
    tree = copy_of_the_tree(tmp_path)
    done = snakemake(tree, "-n", "accept_reference", "--configfile", "config/smoke.yaml")
    assert done.returncode != 0
    assert "accept_reference needs a reason, which the reference keeps: --config reason='...'" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_reason_alone_does_not_keep_the_default_suite_from_being_read(tmp_path):
    done = snakemake(copy_of_the_tree(tmp_path), "-n", "accept_reference", "--config", "reason=a new split")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "results/mini/records" in done.stdout + done.stderr


def test_a_suite_may_build_on_another_and_be_changed_on_the_command_line(tmp_path):
    tree = copy_of_the_tree(tmp_path)
    (tree / "own.yaml").write_text("base: config/smoke.yaml\nsuite: own\ntraining: {lr: 1e-3, steps: 10}\n")
    words = ("results/own/checkpoints/semflow/seed0", "--configfile", "own.yaml")
    done = snakemake(tree, *words, "--config", "training={steps: 12}")
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tree / "results/own/config.json").read_text())
    assert "base" not in written
    assert (written["training"]["steps"], written["training"]["lr"]) == (12, 0.001)
    assert "Nothing to be done" in snakemake(tree, *words, "--config", "training={steps: 12}").stderr
    assert snakemake(tree, *words, "-n", "--config", "training={steps: 13}").returncode == 0
    assert json.loads((tree / "results/own/config.json").read_text()) == written  # a run that is under way reads it


def having(folder: Path, config: str, prefix: str = "") -> Path:
    """Another workflow in a folder of its own, with this one as a module and its Table 2 as what it makes."""
    folder.mkdir()
    (folder / "Snakefile").write_text(
        f"module suite:\n    snakefile: '{ROOT}/workflow/Snakefile'\n    config: {config}\n{prefix}\n\n"
        "use rule * from suite as suite_*\n\n\n"
        "rule everything:\n    default_target: True\n    input: rules.suite_reproduce_table2.input\n"
    )
    return folder


def test_another_workflow_may_have_this_one_as_a_module_under_a_prefix(tmp_path):
    runs = "[{method: semflow, task: segmentation, sampler: euler, steps: [1, 25]}]"
    (tmp_path / "own.yaml").write_text(f"base: {ROOT}/config/smoke.yaml\nsuite: other\nruns: {runs}\n")
    folder = having(tmp_path / "elsewhere", f"{{'base': '{tmp_path}/own.yaml'}}", "    prefix: 'replication'\n")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (folder / "replication/results/other/report/table2.html").read_text()
    assert "SemFlow Euler-25" in page
    assert (folder / "replication/results/other/table2.csv").exists()
    (config,) = (folder / "results/other").glob("config-*.json")
    written = config.read_text()
    (tmp_path / "own.yaml").write_text((tmp_path / "own.yaml").read_text() + "training: {lr: 0.5}\n")
    assert snakemake(folder, "-np").returncode == 0
    assert [*(folder / "results/other").glob("config*.json")] == [config]
    assert config.read_text() == written


def test_two_modules_of_one_suite_are_each_trained_as_they_say(tmp_path):
    folder, steps, smoke = tmp_path / "elsewhere", {"one": 12, "two": 11}, f"{ROOT}/config/smoke.yaml"
    folder.mkdir()
    modules = [
        f"module {name}:\n    snakefile: '{ROOT}/workflow/Snakefile'\n    prefix: '{name}'\n"
        f"    config: {{'base': '{smoke}', 'training': {{'steps': {n}}}}}\n\nuse rule * from {name} as {name}_*\n"
        for name, n in steps.items()
    ]
    (folder / "Snakefile").write_text("\n".join(modules))
    targets = {name: f"{name}/results/smoke/checkpoints/semflow/seed0" for name in steps}
    planned = snakemake(folder, "-np", *targets.values())
    assert planned.returncode == 0, planned.stdout + planned.stderr
    named = dict(re.findall(r"--config (\S+) .* --out (\w+)/", planned.stdout))
    assert sorted(named.values()) == ["one", "two"]
    assert not (folder / "results/smoke").exists()
    done = snakemake(folder, *targets.values())
    assert done.returncode == 0, done.stdout + done.stderr
    for config, name in named.items():
        assert json.loads((folder / config).read_text())["training"]["steps"] == steps[name]
        assert json.loads((folder / targets[name] / "semflow.json").read_text())["training"]["steps"] == steps[name]


@pytest.mark.parametrize("own", [(), ("--configfile", "own.yaml")], ids=["alone", "beside a configuration of its own"])
def test_a_module_without_a_configuration_is_the_default_suite(tmp_path, own):
    folder = having(tmp_path / "elsewhere", "{}")
    (folder / "own.yaml").write_text("samples: [1, 2]\n")
    done = snakemake(folder, "-n", *own)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "results/mini/report/table2.html" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("suite: again", "own.yaml: suite is given twice, in lines 2 and 3; remove one"),
        ("training: {steps: 010}", "own.yaml: 010 in line 3 is one number in YAML 1.1"),
        ("training: {steps: 1:30}", "own.yaml: 1:30 in line 3 is one number in YAML 1.1"),
        ("training: {lr: 1e-3}", "training.lr is the word '1e-3'; write a number without quotes"),
    ],
)
def test_a_module_is_not_given_what_another_reader_of_yaml_would_take_otherwise(tmp_path, line, sentence):
    folder = having(tmp_path / "elsewhere", "config")
    (folder / "own.yaml").write_text(f"base: {ROOT}/config/smoke.yaml\nsuite: other\n{line}\n")
    done = snakemake(folder, "-n", "--configfile", "own.yaml")
    assert done.returncode != 0
    assert sentence in done.stdout + done.stderr


def test_a_suite_does_not_inherit_a_key_of_the_default_one(tmp_path):
    tree = copy_of_the_tree(tmp_path)
    whole = (tree / "config/mini.yaml").read_text()
    (tree / "part.yaml").write_text(re.sub(r"^pseudo_mask:.*?\n\n", "", whole, flags=re.MULTILINE | re.DOTALL))
    done = snakemake(tree, "-n", "--configfile", "part.yaml")
    assert done.returncode != 0
    assert "pseudo_mask is missing" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_a_stopped_run_goes_on_from_its_state(tmp_path, start, number):
    tree = copy_of_the_tree(tmp_path)
    smoke = tree / "config/smoke.yaml"
    smoke.write_text(smoke.read_text().replace("steps: 40\n", "steps: 250\n"))
    target = "results/smoke/checkpoints/semflow/seed0"
    command = ["snakemake", "--cores", "1", target, "--configfile", "config/smoke.yaml"]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    first = start(command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not (states := list(tree.glob("results/smoke/state/*/state.safetensors"))) and time.monotonic() < deadline:
        assert first.poll() is None, first.communicate()[0].decode()
        time.sleep(0.05)
    assert states, "no state was saved in two minutes"
    os.killpg(first.pid, number)
    first.communicate(timeout=60)
    assert first.returncode != 0
    assert not (tree / target).exists()
    assert 0 < step_of(states[0]) < 250
    if number == signal.SIGKILL:
        unlocked = snakemake(tree, "--unlock", "--configfile", "config/smoke.yaml")
        assert unlocked.returncode == 0, unlocked.stderr
    again = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert again.returncode == 0, again.stdout + again.stderr
    assert re.search(r"goes on from step [1-9]\d*", again.stdout + again.stderr)
    assert step_of(states[0]) == 250
