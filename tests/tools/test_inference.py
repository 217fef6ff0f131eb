"""A checkpoint used on pictures of one's own: turned, in folders, in lists, and layouts of every kind."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageOps

from semflow import cli
from semflow.data.coco_stuff import INFO as COCO
from semflow.data.scenes import NAMES, PALETTE
from semflow.errors import SemFlowError
from semflow.suite import reading
from semflow.tools import inference
from semflow.training import checkpoints
from semflow.training.build import make_model

SMOKE = Path(__file__).parents[2] / "config/smoke.yaml"
W, H = 16, 12


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """An untrained one."""
    folder, suite = tmp_path_factory.mktemp("weights") / "checkpoint", reading.load(SMOKE)
    checkpoints.export(folder, suite, "semflow", 0, make_model(suite, "semflow"))
    return folder


@pytest.fixture
def run(checkpoint, capsys):
    """Run a verb; returns (exit status, standard output, standard error)."""

    def call(verb: str, *words: object) -> tuple[int, str, str]:
        status = 0
        try:
            cli.main([verb, *map(str, words), "--checkpoint", str(checkpoint), "--sampler", "euler-1"])
        except SystemExit as end:
            status = end.code or 0
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def photo(path: Path, orientation: int = 1, seed: int = 0) -> Path:
    """Noise, turned by EXIF."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.random.RandomState(seed).randint(0, 256, (H, W, 3)).astype(np.uint8)).save(path, exif=exif)
    return path


def layout(path: Path, seed: int = 0) -> Path:
    Image.fromarray(np.random.RandomState(seed).randint(0, len(NAMES), (16, 16)).astype(np.uint8)).save(path)
    return path


def pixels(path: Path) -> list:
    with Image.open(path) as picture:
        return np.asarray(picture).tolist()


@pytest.mark.parametrize("verb", ["segment", "trajectory", "roundtrip"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_taken_as_viewers_show_it(run, tmp_path, verb, orientation):
    turned = photo(tmp_path / "turned.png", orientation)
    with Image.open(turned) as picture:
        ImageOps.exif_transpose(picture).save(tmp_path / "upright.png")
    for name in ("turned", "upright"):
        assert run(verb, tmp_path / f"{name}.png", "--out", tmp_path / f"{name}-out.png")[0] == 0
    assert pixels(tmp_path / "turned-out.png") == pixels(tmp_path / "upright-out.png")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16", "GIF"])
def test_ordinary_photographs_of_every_mode_are_segmented(run, tmp_path, mode):
    grey = np.random.RandomState(0).randint(0, 256, (H, W)).astype(np.uint8)
    picture = Image.fromarray(grey.astype(np.uint16) * 257 if mode == "I;16" else grey)
    if mode in ("RGBA", "CMYK"):  # which are made of colours
        picture = picture.convert("RGB")
    if mode not in ("I;16", "GIF"):
        picture = picture.convert(mode)
    picture.save(tmp_path / "a", format={"GIF": "GIF", "CMYK": "TIFF"}.get(mode, "PNG"))
    assert run("segment", tmp_path / "a", "--out", tmp_path / "labels.png")[0] == 0
    if mode != "1":
        overlay = np.array(pixels(tmp_path / "labels.overlay.png"))
        colours = np.array(PALETTE)[np.array(pixels(tmp_path / "labels.png"))]
        assert np.abs(overlay - (grey[..., None] / 2 + colours / 2)).max() <= 2


def test_segment_says_which_classes_cover_how_much(run, tmp_path):
    _, said, _ = run("segment", photo(tmp_path / "a.png"), "--out", tmp_path / "labels.png")
    (line,) = re.findall(r"a\.png: (.* %)$", said, re.MULTILINE)
    shares = [(name, float(share)) for name, share in re.findall(r"(\w+) ([\d.]+) %", line)]
    found = np.array(pixels(tmp_path / "labels.png"))
    assert dict(shares) == {NAMES[label]: pytest.approx(100 * (found == label).mean(), abs=0.05) for label in np.unique(found)}
    assert [share for _, share in shares] == sorted((share for _, share in shares), reverse=True)


def test_coverage_counts_ignored_pixels_by_themselves():
    assert inference.coverage(np.array([[0, 1], [1, 255]], np.uint8), ("sky", "sun")) == "sun 50.0 %, sky 25.0 %, ignored 25.0 %"


def test_a_folder_of_pictures_is_segmented_into_a_folder(run, tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(("a.png", "b.PNG", ".hidden.png")):
        photo(tmp_path / "in" / name, seed=seed)
    (tmp_path / "in/notes.txt").write_text("words")
    status, said, _ = run("segment", tmp_path / "in", "--out", tmp_path / "out")
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.overlay.png", "a.png", "b.overlay.png", "b.png"]
    assert "2 of 4 entries are left out (no pictures by their names, hidden, overlays, or folders), the first is .hidden" in said
    run("segment", tmp_path / "in/b.PNG", "--out", tmp_path / "alone.png")
    assert pixels(tmp_path / "alone.png") == pixels(tmp_path / "out/b.png")


def test_subfolders_are_counted_and_links_that_lead_nowhere_are_pictures_that_cannot_be_read(run, tmp_path):
    (tmp_path / "in/deeper.png").mkdir(parents=True)
    photo(tmp_path / "in/a.png")
    (tmp_path / "in/gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "in/loop.png").symlink_to(tmp_path / "in/loop.png")
    status, said, error = run("segment", tmp_path / "in", "--out", tmp_path / "out")
    assert status == 2
    assert "1 of 4 entries are left out" in said and "the first is deeper.png" in said
    assert "gone.png" in error and "loop.png" in error and "2 of 3 pictures cannot be read" in error
    assert (tmp_path / "out/a.png").exists()


def test_several_layouts_are_drawn_into_a_folder_with_their_seeds(run, tmp_path):
    layouts = [layout(tmp_path / f"{name}.png", seed) for seed, name in enumerate("ab")]
    assert run("synthesize", *layouts, "--seeds", 2, "--out", tmp_path / "out")[0] == 0
    names = [f"{name}{end}.png" for name in "ab" for end in ("", ".seed0", ".seed1")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_done(run, tmp_path):
    (tmp_path / "b.png").write_text("no picture")
    names = [photo(tmp_path / "a.png"), tmp_path / "b.png", tmp_path / "gone.png", photo(tmp_path / "c.png")]
    status, _, error = run("segment", *names, "--out", tmp_path / "out")
    assert status == 2
    first, second, last = error.splitlines()
    assert "b.png is text" in first
    assert "no picture at" in second and "gone.png" in second
    assert last == "semflow: 2 of 4 pictures cannot be read, for the reasons above; all others are done"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "a.overlay.png", "c.png", "c.overlay.png"}


@pytest.mark.parametrize(
    ("given", "out", "named"),
    [
        (("a.png", "b.png"), "out.png", "several pictures; give a folder"),
        (("a.png", "b.png"), "notes", "several pictures; give a folder"),
        (("a.png", "a.png"), "out", "a.png is given twice"),
        (("a.png", "in/a.png"), "out", "in/a.png would both be written to"),
        (("a.png", "a.overlay.png"), "out", "a.overlay.png would both be written to"),
        (("a.png", "b.png"), ".", "a picture that is read"),
        (("empty",), "out", "empty holds no picture (it is empty)"),
        (("words",), "out", "words holds no picture (of its 1 entries the first is a.txt)"),
    ],
)
def test_lists_that_would_lose_a_picture_are_refused_before_anything_is_written(run, tmp_path, given, out, named):
    for name in ("in", "empty", "words"):
        (tmp_path / name).mkdir()
    (tmp_path / "words/a.txt").write_text("words")
    (tmp_path / "notes").write_text("words")
    for name in ("a.png", "b.png", "in/a.png", "a.overlay.png"):
        photo(tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    status, _, error = run("segment", *(tmp_path / name for name in given), "--out", tmp_path / out)
    assert status == 2
    assert named in error
    assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_folder_that_cannot_be_written_stops_the_work_at_once(run, tmp_path):
    (tmp_path / "file").write_text("words")
    names = [photo(tmp_path / f"{name}.png") for name in "ab"]
    status, said, error = run("segment", *names, "--out", tmp_path / "file/out")
    assert status == 2
    assert error.count("\n") == 1
    assert f"cannot write {tmp_path / 'file/out/a.png'}" in error


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_the_smallest_and_the_longest_pictures_are_segmented(run, tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "a.png")
    assert run("segment", tmp_path / "a.png", "--out", tmp_path / "labels.png")[0] == 0
    with Image.open(tmp_path / "labels.png") as labels:
        assert labels.size == size


def test_synthesize_says_what_a_layout_was_read_as_and_what_is_in_it(run, tmp_path):
    Image.new("RGB", (16, 16), PALETTE[3]).save(tmp_path / "a.png")
    _, said, _ = run("synthesize", tmp_path / "a.png", "--out", tmp_path / "p.png")
    assert f"a.png: read as the colours of scenes: {NAMES[3]} 100.0 %" in said


def test_what_segment_writes_is_read_as_classes(run, tmp_path):
    run("segment", photo(tmp_path / "a.png"), "--out", tmp_path / "labels.png")
    status, said, _ = run("synthesize", tmp_path / "labels.png", "--out", tmp_path / "p.png")
    assert status == 0
    assert "read as class numbers" in said
    with Image.open(tmp_path / "labels.png") as labels:
        assert labels.text["label map"].startswith("classes of scenes (16, hash ")


def test_a_folder_that_segment_wrote_is_a_folder_of_layouts(run, tmp_path):
    run("segment", photo(tmp_path / "a.png"), photo(tmp_path / "b.png"), "--out", tmp_path / "labels")
    assert run("synthesize", tmp_path / "labels", "--out", tmp_path / "drawn")[0] == 0
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["a.png", "b.png"]


def test_what_a_layout_holds_can_be_said(run, tmp_path):
    Image.new("RGB", (16, 16), PALETTE[3]).save(tmp_path / "a.png")
    status, _, error = run("synthesize", tmp_path / "a.png", "--labels", "classes", "--out", tmp_path / "p.png")
    assert status == 2
    assert "a.png has mode RGB: it holds colours" in error


def test_an_official_label_map_is_read_by_its_data_sets_own_ids(run, tmp_path, monkeypatch):
    """On a checkpoint of COCO-Stuff, which scenes stand for here."""
    monkeypatch.setitem(inference.DATASETS, "scenes", COCO)
    Image.fromarray(np.array([[13, 0]], np.uint8).repeat(8, 0).repeat(4, 1)).save(tmp_path / "a.png")
    words = ("synthesize", tmp_path / "a.png", "--out", tmp_path / "p.png")
    status, _, error = run(*words)
    assert status == 2
    assert "--labels classes" in error and "--labels raw" in error
    _, said, _ = run(*words, "--labels", "raw")
    assert f"read as the ids of scenes's own files: {NAMES[0]} 50.0 %, {NAMES[12]} 50.0 %" in said


def test_the_amplitude_of_the_perturbation_can_be_chosen(run, tmp_path):
    drawn = {}
    for name, words in {"own": (), "same": ("--amplitude", 14.4), "none": ("--amplitude", 0)}.items():
        words = ("synthesize", layout(tmp_path / "a.png"), "--seeds", 2, *words, "--out", tmp_path / f"{name}.png")
        assert run(*words)[0] == 0
        drawn[name] = [pixels(tmp_path / f"{name}.seed{seed}.png") for seed in range(2)]
    assert drawn["same"] == drawn["own"]
    assert drawn["none"][0] == drawn["none"][1] != drawn["own"][0]


@pytest.mark.parametrize("amplitude", ["60", "200"])
def test_an_amplitude_that_would_change_labels_is_refused(run, tmp_path, amplitude):
    status, _, error = run("synthesize", layout(tmp_path / "a.png"), "--amplitude", amplitude, "--out", tmp_path / "p.png")
    assert status == 2
    assert f"--amplitude {amplitude} must be at least 0 and below s/2 = " in error


def test_a_method_that_perturbs_nothing_takes_no_amplitude():
    with pytest.raises(SemFlowError, match="--amplitude: DSM does not perturb masks"):
        inference._check_amplitude(SimpleNamespace(method="dsm"), 1.0)
