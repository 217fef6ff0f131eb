"""Files that appear whole or not at all, and their SHA-256."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import yaml

from semflow.errors import SemFlowError

REMEMBERED = Path("results/.sha256.json")  # what `remembered_hash` knows, where there is a folder for what is generated
LARGEST = 100_000  # values of a YAML file, its references followed
SETTLED_S = 2.0  # a file that is younger may change again without its time changing


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turns what a full or forbidden disk raises (OSError, safetensors' own error) into one sentence about `target`."""
    try:
        yield
    except SemFlowError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__name__ != "SafetensorError":
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise SemFlowError(
            f"cannot write {target}: {reason}; free space or permission, then run the same command again"
        ) from error


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Turns what a missing or forbidden file raises (OSError) into one sentence about `source`, or the file that it names."""
    try:
        yield
    except OSError as error:
        raise unreadable(error, source) from None


def check_readable(source: Path) -> None:
    """SemFlowError if a file cannot be opened, for readers that say of all such files that they are not there."""
    with reading(source), Path(source).open("rb"):
        pass


def unreadable(error: OSError, source: Path) -> SemFlowError:
    """One sentence on a file that the system does not give."""
    place, reason = error.filename or source, error.strerror or type(error).__name__
    mends = {FileNotFoundError: "put it there", IsADirectoryError: "name a file"}
    return SemFlowError(f"{place} cannot be read ({reason}); {mends.get(type(error), 'see to its permissions or its disk')}")


def write_atomically(target: Path, write: Callable[[Path], object], shared: bool = False, forced: bool = True) -> None:
    """Let `write` fill a new file beside `target`, then rename it over `target`. Raises SemFlowError, leaving nothing.

    Whatever mode `write` gives it, it has that of a file which is simply opened (the umask's).
    shared: whether other processes may be writing the same target.  forced: whether it is on the disk when this returns, which
    one of many thousand files that are looked at again need not be.
    """
    target = Path(target)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # One name, so that what a killed process left is overwritten, but where several may write at once; the suffix stays
        # last, as some writers go by it.
        own = f".{socket.gethostname()}-{os.getpid()}" if shared else ""
        part = target.with_name(f".{target.stem}{own}.part{target.suffix}")
        try:
            part.unlink(missing_ok=True)
            part.touch()
            mode = part.stat().st_mode
            write(part)
            _give(part, mode)
            if forced:
                with part.open("rb") as file:
                    os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def _give(path: Path, mode: int) -> None:
    """Set a file's mode; one of another user's under a second name (a hard link) keeps its own."""
    if path.stat().st_mode != mode:
        with suppress(PermissionError):
            path.chmod(mode)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text atomically; what has none, as in names of files that are not UTF-8, as an escape."""
    write_atomically(target, lambda part: part.write_text(text, encoding="utf-8", errors="backslashreplace"))


def json_text(value: Any) -> str:
    """Indented JSON; NaN is refused, since JSON has none."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def write_json(target: Path, value: Any) -> None:
    """Write `json_text` atomically."""
    write_text(target, json_text(value))


def read_json(source: Path, what: str) -> Any:
    """Read JSON; SemFlowError names `what` if the file is missing or damaged."""
    try:
        return _parsed_json(Path(source).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SemFlowError(f"there is no {what} at {source}") from None
    except OSError as error:
        raise unreadable(error, Path(source)) from None
    except (ValueError, RecursionError) as error:
        raise SemFlowError(f"{source} is not a readable {what} ({error}); delete it and make it again") from None


class GivenTwice(ValueError):
    """A key of a mapping: says which, and where."""


def _parsed_json(text: str) -> Any:
    """ValueError if it is no JSON, or an object has a key twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        known = dict(pairs)
        if len(known) < len(pairs):
            keys = [key for key, _ in pairs]
            raise GivenTwice(f"{next(key for key in keys if keys.count(key) > 1)} is given twice")
        return known

    try:
        return json.loads(text, object_pairs_hook=once)
    except GivenTwice:
        with suppress(yaml.YAMLError, SemFlowError, RecursionError):  # which knows lines; what else it minds is no fault of JSON
            _constructed(_Loader(text))
        raise


class _Loader(yaml.SafeLoader):
    """YAML with the numbers of its version 1.2, and no key given twice in a mapping. Numbers that version 1.1 reads otherwise, as
    Snakemake's reader does, are refused.
    """

    places: Mapping[int, str] = MappingProxyType({})  # of a mapping's node, the dotted keys that lead to it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            merge, line = key_node.tag == "tag:yaml.org,2002:merge", key_node.start_mark.line + 1
            key = "<<" if merge else self.construct_object(key_node, deep=True)
            if key in lines:
                lines_said = f"in lines {lines[key]} and {line}" if lines[key] != line else f"in line {line}"
                raise GivenTwice(f"{self.places.get(id(node), '')}{key} is given twice, {lines_said}")
            lines[key] = line
        return super().construct_mapping(node, deep)

    def refuse_unclear(self, node: yaml.Node) -> None:
        raise SemFlowError(
            f"{self.name}: {node.value} in line {node.start_mark.line + 1} is one number in YAML 1.1, another or a word in 1.2; "
            "write plain digits that begin with no zero, or quotes around a word"
        )


INT, FLOAT, UNCLEAR = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "!unclear"
NUMBERS = (  # of version 1.2, which PyYAML's 1.1 does not read otherwise, but for 1e-3, which it takes for a word
    (INT, re.compile(r"([-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+)$")),
    (
        FLOAT,
        re.compile(r"([-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"),
    ),
    (UNCLEAR, re.compile(r"([-+]?0[0-9]+|0o[0-7]+)$")),  # 1.1: octal or a word
)
_Loader.yaml_implicit_resolvers = {
    first: [
        *(NUMBERS if first in "-+.0123456789" else ()),
        *((UNCLEAR if tag in (INT, FLOAT) else tag, form) for tag, form in known),
    ]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}  # what 1.1 takes for a number beside those is not one in 1.2: 1_000, 1:30
_Loader.add_constructor(UNCLEAR, _Loader.refuse_unclear)


def parse_yaml(text: str) -> Any:
    """What a word means in YAML, such as a number; the word itself if it is no YAML."""
    try:
        return _parsed(text, "the command line")[0]
    except SemFlowError:
        raise
    except Exception:  # see parse_document
        return text


def read_yaml(source: Path, what: str) -> tuple[Any, dict[str, int]]:
    """Read YAML, or JSON by the suffix: what it holds, and by dotted key the line where each key stands (of YAML).

    SemFlowError names `what` if the file is missing, damaged or gives a key twice.
    """
    source = Path(source)
    try:
        text = source.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SemFlowError(f"there is no {what} at {source}") from None
    except OSError as error:
        raise unreadable(error, source) from None
    except UnicodeDecodeError as error:
        raise SemFlowError(f"{source} is not readable YAML or JSON: {error}") from None
    if source.suffix != ".json":
        return parse_document(text, str(source))
    try:
        return _parsed_json(text), {}
    except (ValueError, RecursionError) as error:
        raise SemFlowError(f"{source} is not readable YAML or JSON: {error}") from None


def parse_document(text: str, source: str) -> tuple[Any, dict[str, int]]:
    """What a YAML text holds, and by dotted key the line where each key stands. SemFlowError, naming `source`, if it is damaged,
    gives a key twice, refers to itself or unfolds to more than `LARGEST` values.
    """
    try:
        return _parsed(text, source)
    except SemFlowError:
        raise
    except Exception as error:  # PyYAML's constructors raise whatever a value that is not of its tag leads to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SemFlowError(f"{source} is not readable YAML or JSON: {reason}") from None


def _parsed(text: str, source: str) -> tuple[Any, dict[str, int]]:
    loader = _Loader(text)
    loader.name = source
    try:
        return _constructed(loader, LARGEST)
    except GivenTwice as error:
        raise SemFlowError(f"{source}: {error}; remove one") from None


def _constructed(loader: _Loader, most: float = float("inf")) -> tuple[Any, dict[str, int]]:
    """What a text holds, of at most so many values, and the lines of its keys."""
    node = loader.get_single_node()
    if node is None:
        return None, {}
    if _unfolded(node, {}) > most:
        raise SemFlowError(f"{loader.name} unfolds to more than {most:,} values, by its references (*); write it without them")
    loader.places = dict(_places(node))
    return loader.construct_document(node), dict(_lines(node))


def _unfolded(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, its references followed. ValueError if it is within itself."""
    if known.setdefault(id(node), 0) == 0:
        known[id(node)] = -1
        inner = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = [part for pair in inner for part in (pair if isinstance(pair, tuple) else (pair,))]
        known[id(node)] = 1 + sum(_unfolded(part, known) for part in parts)
    if known[id(node)] < 0:
        raise ValueError("a value refers to itself (*)")
    return known[id(node)]


def _places(node: yaml.Node, above: str = "") -> Iterator[tuple[int, str]]:
    """Of each mapping below a node, the dotted keys that lead to it, with a dot behind; entries of lists by their numbers."""
    if isinstance(node, yaml.MappingNode):
        yield id(node), above
        for key, value in node.value:
            yield from _places(value, f"{above}{key.value}.")
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _places(value, f"{above}{number}.")


def _lines(node: yaml.Node, above: str = "") -> Iterator[tuple[str, int]]:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        yield f"{above}{key.value}", key.start_mark.line + 1
        yield from _lines(value, f"{above}{key.value}.")


@contextmanager
def held(folder: Path, if_busy: Callable[[], None], waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a folder, made if need be, for this process. If another has it, `if_busy` is called; if that returns, wait, and call
    `waiting` now and then. SemFlowError if nothing can be locked there.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    with lock:
        if not _locked(folder, lock):
            if_busy()
            while not _locked(folder, lock):
                waiting()
                time.sleep(0.1)
        yield


def _locked(folder: Path, lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # some network file systems have no locks
        raise SemFlowError(f"{folder} cannot be locked ({error.strerror}); put it on a file system that has locks") from None
    return True


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A scratch folder that takes the place of `target` when the block ends well, and vanishes when it does not."""
    target = Path(target)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch, old = target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.old")
        if old.exists() and not target.exists():  # a process was killed between the two
            old.replace(target)
        for left in (scratch, old):
            shutil.rmtree(left, ignore_errors=True)
        scratch.mkdir()
        try:
            yield scratch
            for path in scratch.rglob("*"):
                if path.is_file():
                    path.chmod(scratch.stat().st_mode & 0o666)  # as the umask says, whatever its writer made of it
                    with path.open("rb") as file:
                        os.fsync(file.fileno())
            if target.exists():
                target.replace(old)
            scratch.replace(target)
        finally:
            if old.exists() and not target.exists():
                old.replace(target)
            for left in (scratch, old):
                shutil.rmtree(left, ignore_errors=True)


def file_hash(path: Path) -> str:
    """SHA-256 of a file. SemFlowError if it cannot be read."""
    with reading(path), Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_hash(path: Path) -> str:
    """SHA-256 of a file that is large and seldom changes: read again only where its place, size or times are others."""
    place = Path(path).resolve()
    with reading(place):
        found = place.stat()
    stamp = [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    memory = _memory(REMEMBERED.resolve())
    match memory.get(str(place)):
        case [known, str(digest)] if known == stamp:
            return digest
    digest = file_hash(place)
    if time.time() - max(found.st_mtime, found.st_ctime) > SETTLED_S:
        memory[str(place)] = [stamp, digest]
        if REMEMBERED.parent.is_dir():
            everything = _remembered(REMEMBERED) | memory  # other processes write there too
            with suppress(SemFlowError, OSError):  # it will be read again
                everything = {name: known for name, known in everything.items() if Path(name).exists()}
                write_atomically(REMEMBERED, lambda part: part.write_text(json.dumps(everything, indent=1)), shared=True)
    return digest


@cache
def _memory(source: Path) -> dict[str, Any]:
    """What this process knows: what was remembered when it began, and what it read itself."""
    return _remembered(source)


def _remembered(source: Path) -> dict[str, Any]:
    try:
        known = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
