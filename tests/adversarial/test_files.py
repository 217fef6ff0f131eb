"""Files that other users own, folders that may not be written, disks that are full, checkpoints that nobody vouches for."""

import json
import os
import resource
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from markupsafe import escape
from PIL import Image
from preparing import archives_of, zipped
from record_fixtures import PERFECT
from safetensors.torch import load_file, save_file
from users import another_user

from semflow import files
from semflow.claims import document, drift
from semflow.claims.collect import Run, read_runs
from semflow.cli import main
from semflow.data.celebamask_hq import LabelMaps
from semflow.data.cityscapes import Cityscapes
from semflow.errors import SemFlowError
from semflow.evaluation import features, records
from semflow.loading import latents
from semflow.method import prompt
from semflow.method.network import WEIGHTS
from semflow.progress import Progress
from semflow.report.drift_page import drift_page
from semflow.report.write import write
from semflow.suite import Suite
from semflow.tools import inference
from semflow.tools.init import Machine, init
from semflow.tools.prepare import _extract, prepare
from semflow.tools.publish import publish
from semflow.tools.sheet import write_sheet
from semflow.training import checkpoints
from semflow.training.build import make_model
from semflow.training.card import CARD, read_card
from semflow.training.scalars import Scalars
from semflow.training.spent import Spent


class Things(NamedTuple):
    """What can be written: a suite with its model, records that lie in a folder of them, a data set, a report."""

    suite: Suite
    model: Any
    runs: list[Run]
    records: list[Path]
    claims: Path
    data: Path
    faces: LabelMaps
    own: Path
    report: Path


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own may not be."""
    folder = Path(tempfile.mkdtemp(prefix="semflow-files-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def things(tiny_suite, make_run, store, trees, tmp_path, place, monkeypatch) -> Things:
    monkeypatch.chdir(place)
    runs = [make_run("semflow", "euler", 25, PERFECT), make_run("oracle", "direct", 0, PERFECT)]
    inside = place / "results/records"
    inside.mkdir(parents=True)
    for path in store(runs):
        for one in (path, records.arrays_path(path)):
            shutil.copy(one, inside)
    report = place / "report"
    report.mkdir()
    (report / "index.html").write_text("a page of a report " * 40)
    data = trees.cityscapes_tree(place / "streets", 2)
    faces = LabelMaps(trees.celebamask_hq_tree(place / "faces", 1))
    zipped(place / "faces.zip", place / "faces")
    own = trees.own_tree(place / "own")
    model = make_model(tiny_suite, "semflow")
    written, claims = sorted(inside.glob("*.json")), place / "claims.json"
    write("claims", written, [claims])
    return Things(tiny_suite, model, runs, written, claims, data, faces, own, report)


class Blind:
    """Features of a picture that are all the same."""

    name, sha256 = "blind", "0"

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(images), 8)


def write_latents(things: Things, folder: Path) -> None:
    cache = latents.Cache(folder, 3, {"what": "moments"})
    latents._make(cache, 0, lambda parts: (torch.zeros(len(part), 1, 2, 3) for part in parts), Progress("encode", 3, silent=True))
    cache.finish()


def write_features(things: Things, folder: Path) -> None:
    features.cached_features(Blind(), torch.zeros(2, 3, 8, 8, dtype=torch.uint8), folder)


def write_scalars(things: Things, folder: Path) -> None:
    Scalars(folder / "log").write({"loss": 1.0, "lr": 0.1}, 1)


def write_member(things: Things, folder: Path) -> None:
    with zipfile.ZipFile(things.faces.folder.parent.with_suffix(".zip")) as archive:
        member = next(info for info in archive.infolist() if info.filename.endswith(".jpg"))
        _extract(archive, member, folder / "train2017/1.jpg")


def write_label_map(things: Things, folder: Path) -> None:
    things.faces.folder = folder
    things.faces.make("0")


def write_page(things: Things, folder: Path) -> None:
    write("index", things.records, [folder / "index.html"], claims=things.claims)


def unchanged(runs: list[Run]) -> drift.Check:
    return drift.check(drift.reference_of(runs), drift.reference_of(runs), document.load())


WRITERS: dict[str, Callable[[Things, Path], object]] = {
    "weights": lambda things, folder: checkpoints.export(folder / "out", things.suite, "semflow", 0, things.model),
    "state": lambda things, folder: checkpoints.save_state(folder, "key", Spent(), things.model.networks, [], None),
    "latents": write_latents,
    "prompt": lambda things, folder: prompt.write(folder / "prompt.safetensors", torch.zeros(1, prompt.TOKENS, 8)),
    "record": lambda things, folder: records.write(folder / "r.json", things.runs[0].record),
    "arrays": lambda things, folder: things.runs[0].arrays.save(folder / "r.npz"),
    "features": write_features,
    "picture": lambda things, folder: inference._save(Image.new("RGB", (64, 64)), folder / "picture.png"),
    "animation": lambda things, folder: inference._save(
        Image.new("RGB", (64, 64)), folder / "a.gif", save_all=True, append_images=[Image.effect_noise((64, 64), 9)]
    ),
    "sheet": lambda things, folder: write_sheet([Cityscapes(things.data, (64, 128), "train")], folder / "sheet.png", []),
    "drift page": lambda things, folder: files.write_text(folder / "drift.html", drift_page(unchanged(things.runs), things.runs)),
    "table": lambda things, folder: write("table2", things.records, [folder / "table2.csv", folder / "table2.md"]),
    "claims": lambda things, folder: write("claims", things.records, [folder / "claims.json"]),
    "page": write_page,
    "figure": lambda things, folder: write("figure_table2", things.records, [folder / "figure.png", folder / "figure.svg"]),
    "reference": lambda things, folder: drift.accept(read_runs(things.records), folder / "reference.json", "first"),
    "manifest": lambda things, folder: prepare("cityscapes", things.data, folder / "manifest.json"),
    "scalars": write_scalars,
    "member of an archive": write_member,
    "label map of a face": write_label_map,
    "suite of one's own": lambda things, folder: init(things.own, folder / "suite.yaml", Machine(2, 8 * 10**9, 0)),
    "published records": lambda things, folder: publish(things.records, folder),
    "published report": lambda things, folder: publish([], folder / "out", things.report, [things.report / "index.html"]),
}
every_writer = pytest.mark.parametrize("writer", WRITERS)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A disk without a free page in the folder's place; where none can be mounted, files that may have 60 bytes."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "full", folder], capture_output=True).returncode == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if mounted:
        (folder / "other").write_bytes(bytes(8192))
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, hard))
    try:
        yield
        (folder / "other").unlink(missing_ok=True)
        assert [path for path in folder.rglob("*") if path.is_file()] == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        if mounted:
            subprocess.run(["umount", folder], check=True)


def sentence_of(call: Callable[[], object]) -> str:
    with pytest.raises(SemFlowError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


# What is written.


@every_writer
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077], ids=oct)
def test_files_have_the_mode_that_the_umask_says(things, place, writer, mask):
    with umask(mask):
        WRITERS[writer](things, place / "new")
    modes = {path.stat().st_mode & 0o777 for path in (place / "new").rglob("*") if path.is_file()}
    assert modes == {0o666 & ~mask}


def test_a_file_of_an_older_umask_is_replaced_by_one_of_todays(place):
    files.write_text(place / "a.txt", "old")
    (place / "a.txt").chmod(0o600)
    with umask(0o027):
        files.write_text(place / "a.txt", "new")
    assert (place / "a.txt").stat().st_mode & 0o777 == 0o640


@every_writer
def test_a_folder_that_may_not_be_written_is_one_sentence_and_nothing_is_lost(things, place, writer):
    target = place / "results/kept"
    target.mkdir()
    (target / "before").write_text("kept")
    target.chmod(0o555)
    with another_user():
        said = sentence_of(lambda: WRITERS[writer](things, target))
    assert "Permission denied" in said
    assert str(target) in said
    target.chmod(0o755)
    assert [path.name for path in target.iterdir()] == ["before"]


@every_writer
def test_a_full_disk_is_one_sentence_and_leaves_nothing(things, place, writer):
    (place / "full").mkdir()
    with full_disk(place / "full"):
        said = sentence_of(lambda: WRITERS[writer](things, place / "full"))
    assert f"cannot write {place / 'full'}" in said
    assert "free space" in said


def test_a_report_that_cannot_be_copied_whole_leaves_the_old_one(things, place, monkeypatch):
    old = place / "published"
    (old / "records").mkdir(parents=True)
    (old / "index.html").write_text("the old page")

    def fails(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", fails)
    assert "No space left" in sentence_of(lambda: publish([], old, things.report))
    assert (old / "index.html").read_text() == "the old page"


def test_a_folder_whose_replacement_was_killed_half_way_comes_back(tmp_path):
    (tmp_path / ".model.old").mkdir()  # what a kill between the two renames leaves
    (tmp_path / ".model.old/weights").write_text("old")
    with pytest.raises(ValueError, match="no"), files.new_folder(tmp_path / "model"):
        raise ValueError("no")
    assert (tmp_path / "model/weights").read_text() == "old"


# What is read.


def the_cache(folder: Path) -> latents.Cache:
    return latents.Cache(folder, 3, {"what": "moments"})


READERS: dict[str, tuple[str, Callable[[Things, Path], object]]] = {  # the writer's name, and what reads it
    "card": ("weights", lambda things, folder: checkpoints.read_card(folder / "out")),
    "state": ("state", lambda things, folder: checkpoints.load_state(folder, "key", things.model.networks, [], None)),
    "record": ("record", lambda things, folder: records.read(folder / "r.json")),
    "arrays": ("arrays", lambda things, folder: records.Arrays.load(folder / "r.npz")),
    "reference": ("reference", lambda things, folder: drift.read(folder / "reference.json")),
    "latents' files": ("latents", lambda things, folder: the_cache(folder).missing()),
    "latents": ("latents", lambda things, folder: the_cache(folder).read(0, False)),
    "latents' hashes": ("latents", lambda things, folder: the_cache(folder).finish()),
    "latents' index": ("latents", lambda things, folder: the_cache(folder).check()),
    "prompt": ("prompt", lambda things, folder: prompt.read(folder / "prompt.safetensors", 8)),
    "manifest": ("manifest", lambda things, folder: prepare("cityscapes", things.data, folder / "manifest.json")),
    "hash": ("record", lambda things, folder: files.file_hash(folder / "r.json")),
    "remembered hash": ("record", lambda things, folder: files.remembered_hash(folder / "r.json")),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_may_not_be_read_is_one_sentence_that_blames_no_damage(things, place, reader):
    writer, read = READERS[reader]
    WRITERS[writer](things, place / "theirs")
    for path in (place / "theirs").rglob("*"):
        if path.is_file():
            path.chmod(0)
    with another_user():
        said = sentence_of(lambda: read(things, place / "theirs"))
    assert "Permission denied" in said
    assert str(place / "theirs") in said
    assert not any(word in said for word in ("damaged", "delete", "get it again"))


@pytest.mark.parametrize("verb", ["check", "prepare"])
def test_an_archive_that_may_not_be_read_is_not_called_damaged(place, verb, capsys):
    root = archives_of("cityscapes", place)
    for path in root.glob("*.zip"):
        path.chmod(0)
    with another_user(), pytest.raises(SystemExit):
        main(["data", verb, "cityscapes", str(root)])
    said = capsys.readouterr().err
    assert f"{root}/gtFine_trainvaltest.zip cannot be read (Permission denied)" in said or verb == "prepare"
    assert f"{root}/leftImg8bit_trainvaltest.zip cannot be read (Permission denied)" in said
    assert "damaged" not in said


def test_a_label_map_that_may_not_be_read_is_not_made_again(place, trees):
    root = trees.celebamask_hq_tree(place / "faces", 1, merged=True)
    path = root / "CelebAMask-HQ-labels/0.png"
    whole = path.read_bytes()
    path.chmod(0)
    path.parent.chmod(0o777)
    with another_user():
        said = sentence_of(lambda: prepare("celebamask_hq", root, root / "CelebAMask-HQ-labels/manifest.json"))
    assert f"{path} cannot be read (Permission denied)" in said
    path.chmod(0o600)
    assert path.read_bytes() == whole


COMMANDS = {
    "info": "info theirs/out",
    "segment": "segment theirs/a.png --checkpoint theirs/out --out new.png",
    "convert": "convert theirs/out/semflow.json --config suite.json --out new",
    "evaluate": "evaluate --config theirs/a.yaml --method oracle --out r.json",
    "report": "report table2 --records theirs/a.json --out t.csv",
    "data check": "data check cityscapes theirs",
    "data prepare": "data prepare cityscapes theirs",
    "drift": "regression check --records theirs/a.json --reference theirs/b.json",
    "config show": "config show theirs/a.yaml",
    "plan": "plan --config theirs/a.yaml",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_may_not_be_entered_is_one_sentence_with_status_2(things, place, command, capsys):
    WRITERS["weights"](things, place / "theirs")
    files.write_json(place / "suite.json", things.suite.model_dump(mode="json"))
    (place / "theirs").chmod(0)
    with another_user(), pytest.raises(SystemExit) as stop:
        main(COMMANDS[command].split())
    said = capsys.readouterr().err
    assert stop.value.code in (1, 2)
    assert said.startswith("semflow: ")
    assert "theirs" in said
    assert "ermission" in said
    (place / "theirs").chmod(0o755)


# Checkpoints from strangers.


@pytest.fixture
def stranger(things, place) -> Path:
    WRITERS["weights"](things, place / "new")
    return place / "new/out"


def edit(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | changes))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b"])
def test_a_card_that_counts_files_outside_its_folder_is_refused(stranger, name):
    edit(stranger, weights={name: "0" * 64})
    assert "leads out of the folder" in sentence_of(lambda: checkpoints.open_checkpoint(stranger))


def test_weights_that_the_card_does_not_count_are_refused(stranger):
    edit(stranger, weights={})
    assert "does not count" in sentence_of(lambda: checkpoints.open_checkpoint(stranger))


def test_weights_rounded_to_half_precision_are_refused(stranger):
    path = stranger / WEIGHTS
    save_file({name: value.half() for name, value in load_file(path).items()}, path)
    edit(stranger, weights={WEIGHTS: files.file_hash(path)})
    assert "rounded to F16" in sentence_of(lambda: checkpoints.open_checkpoint(stranger))


SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize("name", [SCRIPT, "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "'\"><b>"])
def test_names_with_markup_are_escaped_in_the_page(make_run, store, tmp_path, name):
    run = make_run("semflow", "euler", 25, PERFECT, dataset=name)
    record = run.record.model_copy(update={"classes": (name, "b"), "suite": name, "class_iou": {name: 1.0, "b": None}})
    paths = store([run._replace(record=record)])
    write("claims", paths, [tmp_path / "claims.json"])
    write("index", paths, [tmp_path / "index.html"], claims=tmp_path / "claims.json")
    page = (tmp_path / "index.html").read_text()
    assert name not in page
    assert str(escape(name)) in page


# YAML and JSON from strangers.

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
HOSTILE = {
    "a tag that runs code": "a: !!python/object/apply:os.system ['touch ran']",
    "a tag that makes an object": "a: !!python/name:os.system",
    "an unknown tag": "a: !secret x",
    "references that unfold without end": BOMB,
    "a list within itself": "a: &a [*a]",
    "a mapping within itself": "a: &a {b: *a}",
    "a mapping merged with itself": "a: &a\n  <<: *a\n  b: 1",
    "lists nested too deeply": "a: " + "[" * 5000 + "]" * 5000,
    "a number with too many digits": "a: " + "9" * 5000,
    "a day that there is not": "a: 2020-13-45",
    "an integer of nothing": "a: !!int ''",
    "a truth of something": "a: !!bool x",
    "a time of nothing": "a: !!timestamp x",
    "a key that is a list": "? [a, b]\n: 1",
    "bytes of another encoding": "a: \udcff",
}


@pytest.mark.parametrize("form", HOSTILE)
def test_yaml_from_a_stranger_is_refused_in_a_sentence(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "suite.yaml"
    path.write_text(HOSTILE[form], encoding="utf-8", errors="surrogateescape")
    assert str(path) in sentence_of(lambda: files.read_yaml(path, "suite"))
    assert not (tmp_path / "ran").exists()


def test_references_that_unfold_to_little_are_followed(tmp_path):
    (tmp_path / "suite.yaml").write_text("a: &a [1, 2]\nb: *a\nc: {<<: {d: *a}}\n")
    assert files.read_yaml(tmp_path / "suite.yaml", "suite")[0] == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "9" * 5000, '{"a": 1e999', '"\\ud800', ""], ids=lambda text: text[:6] or "nothing"
)
def test_json_from_a_stranger_is_refused_in_a_sentence(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    for read in (files.read_json, files.read_yaml):
        assert str(tmp_path / "a.json") in sentence_of(lambda read=read: read(tmp_path / "a.json", "record"))


UNCLEAR = ("010", "-010", "+07", "089", "1_000", "1:30", "1:30.5", "1_0.5", "0b101", "0x1_F", "-0x1F", "0o17", "00")


@pytest.mark.parametrize("text", UNCLEAR)
@pytest.mark.parametrize("form", ["a: {}", "a: [1, {}]", "{}: 1", "{{a: {{b: {}}}}}"])
def test_a_number_that_two_versions_of_yaml_read_otherwise_is_refused_with_its_line(tmp_path, text, form):
    path = tmp_path / "suite.yaml"
    path.write_text("# a suite\n" + form.format(text) + "\n")
    said = sentence_of(lambda: files.read_yaml(path, "suite"))
    assert f"{path}: {text} in line 2" in said


def test_a_number_that_two_versions_of_yaml_read_otherwise_is_refused_on_the_command_line():
    assert "010" in sentence_of(lambda: files.parse_yaml("{steps: 010}"))


CLEAR = {"0": 0, "-3": -3, "+12": 12, "0x1F": 31, "010.5": 10.5, "0.5": 0.5, "-.5": -0.5, "1e3": 1000.0, ".inf": float("inf"),
         "'010'": "010", '"1:30"': "1:30", "1.2.3": "1.2.3", "v010": "v010", "a_1": "a_1"}  # fmt: skip


@pytest.mark.parametrize("text", CLEAR)
def test_a_number_or_a_word_that_all_versions_of_yaml_read_alike_is_that(tmp_path, text):
    (tmp_path / "suite.yaml").write_text(f"a: [{text}]\n")
    found = files.read_yaml(tmp_path / "suite.yaml", "suite")[0]["a"][0]
    assert (found, type(found)) == (CLEAR[text], type(CLEAR[text]))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a:\n  b: {c: 1, c: 2}\n", "a.b.c is given twice, in line 2"),
        ("a:\n- x: 1\n- x: 1\n  y: 2\n  x: 3\n", "a.1.x is given twice, in lines 3 and 5"),
        ('{"a": {\n"b": 1,\n"c": 2,\n"b": 3}}', "a.b is given twice, in lines 2 and 4"),
    ],
)
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_key_given_twice_is_named_with_its_section_and_its_lines(tmp_path, text, named, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_text(text)
    for read in (files.read_yaml, *([files.read_json] if suffix == "json" else [])):
        if suffix == "yaml" or text.startswith("{"):
            assert named in sentence_of(lambda read=read: read(path, "record"))


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_byte_order_mark_before_a_file_changes_nothing(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_text('{"a": 1}', encoding="utf-8-sig")
    assert files.read_yaml(path, "suite")[0] == {"a": 1}
    assert files.read_json(path, "record") == {"a": 1}


def test_a_network_of_more_layers_than_its_weights_have_is_refused_before_it_is_built(stranger):
    network = json.loads((stranger / CARD).read_text())["network"]
    edit(stranger, network=network | {"layers_per_block": 10**6})
    assert "network.layers_per_block is 1000000" in sentence_of(lambda: checkpoints.open_checkpoint(stranger))


@pytest.mark.parametrize(
    ("section", "key"), [("training", "steps"), ("data", "name"), ("pseudo_mask", "k"), ("autoencoder", "kind")]
)
def test_a_card_whose_section_says_nothing_is_refused(stranger, section, key):
    edit(stranger, **{section: {}})
    assert f"{section}.{key} is None" in sentence_of(lambda: read_card(stranger))


def test_a_card_or_another_file_in_place_of_its_folder_is_called_a_file(stranger):
    for path in (stranger / CARD, stranger / WEIGHTS):
        said = sentence_of(lambda path=path: read_card(path))
        assert f"{path} is a file, not a checkpoint folder; name the folder that holds {CARD}" in said
