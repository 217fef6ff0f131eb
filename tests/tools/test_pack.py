"""A suite's results packed and unpacked: the same bytes, what they say of themselves, and what is not taken from a stranger."""

import hashlib
import json
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from record_fixtures import PERFECT, changed

from semflow import cli, files
from semflow.claims.collect import read_runs
from semflow.errors import SemFlowError
from semflow.evaluation.records import arrays_path, write
from semflow.provenance import commit
from semflow.suite import runs as evaluations
from semflow.tools.pack import MANIFEST, pack, unpack
from semflow.training.build import make_model
from semflow.training.card import read_card
from semflow.training.checkpoints import export

DAY = "2026-01-31"


@pytest.fixture(scope="module")
def weights(tmp_path_factory, config_folder):
    """An untrained checkpoint of the smoke suite."""
    from semflow.suite import reading

    suite, folder = reading.load(config_folder / "smoke.yaml"), tmp_path_factory.mktemp("weights") / "seed0"
    export(folder, suite, "semflow", 0, make_model(suite, "semflow"))
    return folder


@pytest.fixture
def results(tmp_path, tiny, tiny_suite, make_run, weights):
    """results/tiny with two of its records, a checkpoint, a table, and what is not packed."""
    folder = tmp_path / "results/tiny"
    files.write_json(folder / "config.json", tiny)
    wanted = [one for one in evaluations.evaluations(tiny_suite) if one.method == "semflow" and one.task == "segmentation"]
    for one in wanted[:2]:
        run = changed(make_run("semflow", one.sampler.name, one.sampler.steps, PERFECT), suite="tiny", amplitude=one.amplitude)
        path = tmp_path / evaluations.record_path(one, tiny_suite)
        digest = run.arrays.save(arrays_path(path))
        write(path, run.record.model_copy(update={"arrays_sha256": digest, "sampling_seed": one.sampling_seed}))
    shutil.copytree(weights, folder / "checkpoints/semflow/seed0")
    (folder / "checkpoints/semflow/seed0/.snakemake_timestamp").touch()
    (folder / "table2.csv").write_text("method,value\n")
    (folder / "state/half").mkdir(parents=True)
    (folder / "state/half/state.safetensors").write_text("unfinished")
    return folder


@pytest.fixture
def packed(results, tmp_path):
    pack(results, tmp_path / "tiny.zip", DAY)
    return tmp_path / "tiny.zip"


def test_what_is_unpacked_is_what_was_packed(results, packed, tmp_path):
    unpack(packed, tmp_path / "there")
    there = {path.relative_to(tmp_path / "there").as_posix() for path in (tmp_path / "there").rglob("*") if path.is_file()}
    for path in (path for path in results.rglob("*") if path.is_file()):
        name = path.relative_to(results).as_posix()
        kept = not name.startswith("state") and not path.name.startswith(".")
        assert (name in there) == kept
        assert not kept or (tmp_path / "there" / name).read_bytes() == path.read_bytes()
    assert read_card(tmp_path / "there/checkpoints/semflow/seed0").method == "semflow"
    assert len(read_runs(sorted((tmp_path / "there/records").rglob("*.json")))) == 2
    environment = json.loads((tmp_path / "there/environment.json").read_text())
    assert environment["commits"] == ["c" * 40]


def test_the_same_results_give_the_same_bytes_wherever_and_whenever_they_are_packed(results, packed, tmp_path):
    shutil.copytree(results, tmp_path / "elsewhere")  # with other times
    (tmp_path / "elsewhere/table2.csv").chmod(0o600)
    pack(tmp_path / "elsewhere", tmp_path / "again.zip", DAY)
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()
    unpack(packed, tmp_path / "there")
    pack(tmp_path / "there", tmp_path / "third.zip", DAY)
    assert (tmp_path / "third.zip").read_bytes() == packed.read_bytes()


def test_every_file_is_in_the_manifest_in_the_form_that_sha256sum_reads(packed, tmp_path):
    with zipfile.ZipFile(packed) as zipped:
        zipped.extractall(tmp_path / "plain")
        names = set(zipped.namelist())
    lines = (tmp_path / "plain" / MANIFEST).read_text().splitlines()
    hashes = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    assert hashes.keys() == names - {MANIFEST}
    for name, digest in hashes.items():
        assert hashlib.sha256((tmp_path / "plain" / name).read_bytes()).hexdigest() == digest


def test_the_crate_says_what_ran_what_went_in_and_what_came_out(packed, tmp_path):
    """As https://www.researchobject.org/workflow-run-crate/profiles/workflow_run_crate (0.5) asks for."""
    from rocrate.rocrate import ROCrate

    unpack(packed, tmp_path / "there")
    crate = ROCrate(tmp_path / "there")
    workflow, action = crate.mainEntity, crate.dereference("#run")
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} <= set(workflow.type)
    assert (tmp_path / "there" / workflow.id).is_file()
    assert workflow["programmingLanguage"]["name"] == "Snakemake"
    assert (action.type, action["instrument"].id) == ("CreateAction", workflow.id)
    assert [one.id for one in action["object"] if one.type == "File"] == ["config.json"]
    assert {one.id for one in action["result"]} >= {"table2.csv", "checkpoints/semflow/seed0/README.md"}
    profiles = {one.id for one in crate.root_dataset["conformsTo"]}
    assert {"https://w3id.org/ro/wfrun/process/0.5", "https://w3id.org/ro/wfrun/workflow/0.5"} <= profiles
    assert crate.root_dataset["datePublished"] == DAY and crate.root_dataset["license"]
    config = crate.dereference("config.json")
    assert config["sha256"] == files.file_hash(tmp_path / "there/config.json")


def test_the_crate_passes_the_validator_of_its_profile(packed, tmp_path):
    services = pytest.importorskip("rocrate_validator.services", reason="pip install roc-validator; it needs a network")
    unpack(packed, tmp_path / "there")
    settings = {"rocrate_uri": str(tmp_path / "there"), "profile_identifier": "workflow-run-crate-0.5"}
    try:
        result = services.validate(settings)
    except OSError as error:
        pytest.skip(f"it reads contexts from the web: {error}")
    assert not result.has_issues(), [issue.message for issue in result.get_issues()]


def test_what_an_archive_lacks_is_said(results, tmp_path):
    notes = pack(results, tmp_path / "a.zip", DAY).notes
    assert any("records of the suite are not there yet" in note for note in notes)
    assert any("with whose code no record was made" in note for note in notes)
    (record, *_) = sorted((results / "records").rglob("*.json"))
    kept = json.loads(record.read_text())
    kept["provenance"]["checkpoint_sha256"] = "f" * 64
    kept["provenance"]["dirty"] = True
    for path in (results / "records").rglob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"provenance": kept["provenance"]}))
    notes = pack(results, tmp_path / "b.zip", DAY).notes
    assert any("weights behind some records (1 of 1)" in note for note in notes)
    assert any("not committed" in note for note in notes)


def test_the_date_is_that_of_the_commit_or_is_asked_for(results, tmp_path):
    with pytest.raises(SemFlowError, match="--date YYYY-MM-DD"):
        pack(results, tmp_path / "a.zip")
    head, _ = commit()
    if head == "unknown":
        pytest.skip("not a git checkout")
    for path in (results / "records").rglob("*.json"):
        path.write_text(path.read_text().replace("c" * 40, head))
    pack(results, tmp_path / "a.zip")
    shown = subprocess.run(["git", "show", "-s", "--format=%cs", head], capture_output=True, text=True, cwd=Path(__file__).parent)
    with zipfile.ZipFile(tmp_path / "a.zip") as zipped:
        assert f'"datePublished": "{shown.stdout.strip()}"' in zipped.read("ro-crate-metadata.json").decode()


def test_what_is_no_suite_or_is_damaged_is_not_packed(results, tmp_path):
    with pytest.raises(SemFlowError, match="it is no suite's folder"):
        pack(tmp_path, tmp_path / "a.zip", DAY)
    with pytest.raises(SemFlowError, match="lies in"):
        pack(results, results / "a.zip", DAY)
    (results / "checkpoints/linked").symlink_to(tmp_path)
    with pytest.raises(SemFlowError, match="is a link to a folder"):
        pack(results, tmp_path / "a.zip", DAY)
    (results / "checkpoints/linked").unlink()
    (arrays, *_) = (results / "records").rglob("*.npz")
    arrays.write_bytes(b"other")
    with pytest.raises(SemFlowError):
        pack(results, tmp_path / "a.zip", DAY)
    assert not (tmp_path / "a.zip").exists()


def written_again(packed, *, without=(), changed=(), and_also=()):
    """The archive with some members left out, others changed, and others added: (name, text, mode)."""
    with zipfile.ZipFile(packed) as zipped:
        members = {name: zipped.read(name) for name in zipped.namelist() if name not in without}
    members |= dict(changed)
    with zipfile.ZipFile(packed, "w") as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
        for name, text, mode in and_also:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            zipped.writestr(info, text)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("said", "change"),
    [
        ("config.json is damaged", {"changed": [("config.json", b"{}")]}),
        ("lacks config.json", {"without": ["config.json"]}),
        ("has no manifest-sha256.txt", {"without": [MANIFEST]}),
        ("holds extra.txt, which its manifest-sha256.txt does not list", {"and_also": [("extra.txt", "a", 0o644)]}),
        ("holds '../out.txt', which leads out", {"and_also": [("../out.txt", "a", 0o644)]}),
        ("holds '/tmp/out.txt', which leads out", {"and_also": [("/tmp/out.txt", "a", 0o644)]}),
        ("holds 'link', which is a link", {"and_also": [("link", "/etc/passwd", stat.S_IFLNK | 0o777)]}),
        ("holds config.json twice", {"and_also": [("config.json", "{}", 0o644)]}),
        ("holds records as a file and as a folder", {"and_also": [("records", "a", 0o644)]}),
        ("which is not a SHA-256 and a name", {"changed": [(MANIFEST, b"0 config.json\n")]}),
    ],
)
def test_an_archive_that_is_not_as_it_was_written_is_refused_and_nothing_is_written(packed, tmp_path, said, change):
    written_again(packed, **change)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SemFlowError) as error:
        unpack(packed, tmp_path / "there")
    assert said in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_cut_archive_or_another_file_is_refused(packed, tmp_path):
    whole = packed.read_bytes()
    for rest in (whole[:-200], whole[:1000]):  # the former ends with whole arrays, which are archives as well
        packed.write_bytes(rest)
        with pytest.raises(SemFlowError, match="cut off|damaged or only half downloaded"):
            unpack(packed, tmp_path / "there")
    with pytest.raises(SemFlowError, match="cannot be read"):
        unpack(tmp_path / "nothing.zip", tmp_path / "there")


def test_a_folder_that_holds_something_is_left_alone(packed, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/letter.txt").write_text("dear")
    with pytest.raises(SemFlowError, match="holds something already"):
        unpack(packed, tmp_path / "there")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["letter.txt"]


def test_the_commands_pack_and_unpack_and_say_how_to_report(results, tmp_path, capsys):
    cli.main(["pack", str(results), "--out", str(tmp_path / "a.zip"), "--date", DAY])
    said = capsys.readouterr().out
    assert "2 records, 1 checkpoints" in said and files.file_hash(tmp_path / "a.zip") in said
    cli.main(["unpack", str(tmp_path / "a.zip"), "--out", str(tmp_path / "there")])
    assert f"--config records={tmp_path}/there/records" in capsys.readouterr().out


def test_a_report_of_what_was_unpacked_is_planned_without_training(packed, tmp_path, config_folder):
    unpack(packed, tmp_path / "there")
    words = ["reproduce_table2", "--configfile", tmp_path / "there/config.json", "--config", f"records={tmp_path}/there/records"]
    where = ["--snakefile", config_folder.parent / "Snakefile", "--directory", tmp_path / "run", "--cores", "1", "--dry-run"]
    (tmp_path / "run").mkdir()
    planned = subprocess.run([sys.executable, "-m", "snakemake", *words, *where], capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr
    assert "table" in planned.stdout + planned.stderr
    assert not {"train", "evaluate"} & {line.partition(" ")[0].partition("_")[0] for line in planned.stdout.splitlines()}
