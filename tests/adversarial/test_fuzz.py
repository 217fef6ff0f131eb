"""Files that users hand in, mutated byte by byte and key by key: each is read as it stands, or refused in one sentence.

Eighteen hundred examples, the same on every machine. SEMFLOW_FUZZ=SEED:EXAMPLES looks at others, EXAMPLES for every kind of file.
"""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from fuzzing import EXAMPLES, SEED
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from preparing import archives_of
from record_fixtures import ABOVE, HEAD, PERFECT

from semflow.claims import document, drift
from semflow.claims.collect import read_runs
from semflow.errors import SemFlowError
from semflow.evaluation.records import arrays_path
from semflow.loading import latents
from semflow.progress import Progress
from semflow.report.products import Beside, find
from semflow.report.write import write
from semflow.suite import reading, runs
from semflow.tools.plan.rates import rates_of
from semflow.tools.prepare import MANIFEST, prepare
from semflow.training import checkpoints
from semflow.training.build import make_model
from semflow.training.card import CARD, describe, read_card


def fuzzed(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test on examples, the same everywhere for a seed."""
    unlike = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    chosen = settings(max_examples=EXAMPLES, database=None, print_blob=True, suppress_health_check=unlike)
    return seed(SEED)(chosen(test))


# Mutations.

ODD = (
    None, True, "", "x", 0, 1, -1, 2, 10**19, 1e308, -0.5, float("nan"), float("inf"), [], {}, [[]], [None], {"": None},
    {"a": {}}, "\0", "../../x", "<script>", "\ud7ff", "1e999", "2020-13-45", [0] * 50,
)  # fmt: skip
Keys = list[tuple[str, int, int]]
Bytes = list[tuple[str, float, int]]
KEYS = st.lists(
    st.tuples(st.sampled_from(["drop", "odd", "rename", "swap", "wrap"]), st.integers(0, 1 << 20), st.integers(0, 1 << 20)),
    min_size=1,
    max_size=3,
)
BYTES = st.lists(
    st.tuples(st.sampled_from(["flip", "drop", "insert", "cut", "repeat"]), st.floats(0, 1), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything within mappings and lists."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def by_key(whole: Any, changes: Keys) -> Any:
    """The same with values dropped, replaced, renamed, exchanged or wrapped."""
    whole = copy.deepcopy(whole)
    for kind, first, second in changes:
        found = list(places(whole))
        if not found:
            return whole
        container, key = found[first % len(found)]
        if kind == "drop":
            del container[key]
        elif kind == "odd":
            container[key] = copy.deepcopy(ODD[second % len(ODD)])
        elif kind == "rename" and isinstance(container, dict):
            container[str(ODD[second % len(ODD)])] = container.pop(key)
        elif kind == "swap":
            other, place = found[second % len(found)]
            container[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(container[key])
        else:
            container[key] = [container[key]]
    return whole


def by_byte(whole: bytes, changes: Bytes) -> bytes:
    """The same with bytes flipped, dropped, inserted, repeated or cut off."""
    for kind, share, number in changes:
        at = int(share * len(whole))
        before, here, after = whole[:at], whole[at : at + 1], whole[at + 1 :]
        match kind:
            case "flip":
                whole = before + bytes(byte ^ (number or 1) for byte in here) + after
            case "drop":
                whole = before + whole[at + number :]
            case "insert":
                whole = before + bytes([number]) + here + after
            case "repeat":
                whole = whole[: at + number] + here + after
            case "cut":
                whole = before
    return whole


# Kinds of files: what is whole, and all that reads it.


class Target:
    """A file at `path`, and everything that reads it."""

    def __init__(self, path: Path, read: Callable[[], object]) -> None:
        self.path, self.read, self.whole = path, read, path.read_bytes()
        self.value = json.loads(self.whole) if path.suffix == ".json" else yaml.safe_load(self.whole)

    def check(self, content: bytes) -> None:
        """Reading the content succeeds or is refused in one sentence."""
        self.path.write_bytes(content)
        try:
            self.read()
        except SemFlowError as error:
            assert str(error)
            assert "\n" not in str(error)

    def written(self, value: Any) -> bytes:
        if self.path.suffix == ".json":
            return json.dumps(value).encode("utf-8", "surrogatepass")
        return yaml.safe_dump(value, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")


@pytest.fixture
def record(make_run, store) -> Target:
    """A record: of which tables, verdicts and a page are made."""
    (path,) = store([make_run("semflow", "euler", 25, PERFECT)])
    whole = path.with_name("whole.npz")
    shutil.copy(arrays_path(path), whole)

    def read() -> None:
        found = read_runs([path])
        for name, form in (("table2", ".md"), ("claims", ".json"), ("table2_page", ".html"), ("budget", ".csv")):
            find(name).make(found, Beside(None, ()))[form](path.with_name(f"made{form}"))

    return Target(path, read)


@pytest.fixture
def reference(make_run, store, tmp_path) -> Target:
    """A reference: against which records are checked."""
    paths = store([make_run("semflow", "euler", 25, PERFECT, training_seed=seed) for seed in range(3)])
    found, path = read_runs(paths), tmp_path / "reference.json"
    drift.accept(found, path, "first")
    claims = document.load()
    return Target(path, lambda: drift.check(drift.reference_of(found), drift.read(path), claims).text())


@pytest.fixture
def card(tiny_suite, tmp_path) -> Target:
    """The card of a checkpoint, which is described and opened."""
    checkpoints.export(tmp_path / "out", tiny_suite, "semflow", 0, make_model(tiny_suite, "semflow"))

    def read() -> None:
        describe(read_card(tmp_path / "out"))
        checkpoints.open_checkpoint(tmp_path / "out")

    return Target(tmp_path / "out" / CARD, read)


@pytest.fixture
def suite(config_folder, tmp_path) -> Target:
    """A suite's file, which is read, unfolded into evaluations, and shown."""
    path = tmp_path / "suite.yaml"
    shutil.copy(config_folder / "mini.yaml", path)

    def read() -> None:
        for one in reading.load_study(path).suites.values():
            for evaluation in runs.evaluations(one)[:20]:
                runs.record_path(evaluation, one)
        reading.show(path)

    return Target(path, read)


@pytest.fixture
def claims(tmp_path) -> Target:
    """A file of claims."""
    path = tmp_path / "claims.yaml"
    path.write_text(HEAD + ABOVE)
    return Target(path, lambda: document.load.__wrapped__(path.read_bytes().decode("utf-8", "surrogateescape")))


@pytest.fixture
def judged(make_run, store, tmp_path) -> Target:
    """What was judged of records, of which a page is made."""
    paths, path = store([make_run("semflow", "euler", 25, PERFECT)]), tmp_path / "claims.json"
    write("claims", paths, [path])
    found = read_runs(paths)
    return Target(path, lambda: find("index").make(found, Beside(path, ()))[".html"](tmp_path / "page/index.html"))


@pytest.fixture
def manifest(tmp_path) -> Target:
    """What was prepared of a data set, against which its files and archives are compared."""
    root = archives_of("cityscapes", tmp_path)
    prepare("cityscapes", root)
    return Target(root / MANIFEST, lambda: prepare("cityscapes", root))


@pytest.fixture
def index(tmp_path) -> Target:
    """The index of cached latents, against which they are compared, and of which it is said what differs."""
    made_of = {"what": "moments"}
    cache = latents.Cache(tmp_path, 3, made_of)
    latents._make(cache, 0, lambda parts: (torch.zeros(len(part), 1, 2, 3) for part in parts), Progress("encode", 3, silent=True))
    cache.finish()
    return Target(cache.folder / latents.INDEX, lambda: latents.Cache(tmp_path, 3, made_of).check())


@pytest.fixture
def speed(config_folder, tmp_path) -> Target:
    """What was measured of a training's speed, by which a suite is planned."""
    study = reading.load_study(config_folder / "smoke.yaml")
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"flops_per_s": 1e9, "device": "cpu", "suite": "smoke", "size": [16, 16]}))
    return Target(path, lambda: rates_of(study, measured=path))


KINDS = ("record", "reference", "card", "suite", "claims", "judged", "manifest", "index", "speed")


@pytest.fixture(params=KINDS)
def target(request) -> Target:
    return request.getfixturevalue(request.param)


@fuzzed
@given(BYTES)
def test_a_file_with_bytes_changed_is_read_or_refused_in_a_sentence(target, changes):
    target.check(by_byte(target.whole, changes))


@fuzzed
@given(KEYS)
def test_a_file_with_keys_changed_is_read_or_refused_in_a_sentence(target, changes):
    target.check(target.written(by_key(target.value, changes)))


def test_a_whole_file_of_every_kind_is_read(target):
    target.path.write_bytes(target.whole)
    target.read()
    target.path.write_bytes(target.written(target.value))
    target.read()
