"""Files of a pinned commit on the Hugging Face hub, each checked by the hash that the hub publishes for it."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from semflow import files
from semflow.errors import SemFlowError

PUBLISHED = Path("results/hub")  # the hashes of a commit's files, kept so that they are asked for once
PINNED = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")
UNPINNED = re.compile(r"((\w[\w.-]*)/\w[\w.-]*)(@.*)?")
FOLDERS = frozenset({"checkpoints", "data", "models", "pretrained", "results", "shared", "weights"})  # hardly owners on the hub


def parse(name: str) -> tuple[str, str] | None:
    """(repository, commit) of OWNER/NAME@COMMIT; None of anything else."""
    found = PINNED.fullmatch(name)
    return (found[1], found[2]) if found else None


def unpinned(name: str) -> str | None:
    """OWNER/NAME of a model that is named without its commit; None of anything that may as well be a folder's path."""
    found = UNPINNED.fullmatch(name)
    if found is None or (not found[3] and (found[2] in FOLDERS or Path(found[2]).is_dir())):
        return None
    return found[1]


def snapshot(key: str, repository: str, commit: str, choose: Callable[[Sequence[str]], list[str]]) -> Path:
    """The folder of a commit's files that `choose` picks from all their names, fetched unless they are here.

    key: of the suite, for sentences. SemFlowError if the hub cannot be reached, or a file is not what it published.
    """
    published = _published(key, repository, commit)
    names = choose(sorted(published))
    if not names:
        raise SemFlowError(f"{key}: {repository}@{commit} has no weights in diffusers' layout as safetensors; name another")
    folder = _fetch(repository, commit, names, local_files_only=True)
    if folder is None or not all((folder / name).is_file() for name in names):
        folder = _ask(key, repository, commit, lambda: _fetch(repository, commit, names))
    for name in names:
        if not (folder / name).is_file():
            raise SemFlowError(f"{key}: {name} of {repository}@{commit} did not arrive; run the same command again")
        if _hash(folder / name, published[name]) != published[name]:
            raise SemFlowError(
                f"{key}: {folder / name} is not what the hub publishes for {repository}@{commit}; delete it and run again"
            )
    return folder


def _published(key: str, repository: str, commit: str) -> dict[str, str]:
    """The hash of every file: `sha256:...` of large ones, git's own `blob:...` of those that the hub keeps in git."""
    kept = PUBLISHED / f"{commit}.json"
    if kept.exists():
        return files.read_json(kept, "list of the hub's hashes")
    from huggingface_hub import HfApi

    info: Any = _ask(key, repository, commit, lambda: HfApi().model_info(repository, revision=commit, files_metadata=True))
    published = {
        file.rfilename: f"sha256:{file.lfs.sha256}" if file.lfs else f"blob:{file.blob_id}" for file in info.siblings or []
    }
    text = json.dumps(published, indent=2)
    files.write_atomically(kept, lambda part: part.write_text(text, encoding="utf-8"), shared=True)
    return published


def _fetch(repository: str, commit: str, names: list[str], local_files_only: bool = False) -> Path | None:
    """The snapshot's folder; None where only files that are here are asked for and there are none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=commit, allow_patterns=names, local_files_only=local_files_only))
    except LocalEntryNotFoundError:
        if local_files_only:
            return None
        raise


def _ask(key: str, repository: str, commit: str, question: Callable[[], Any]) -> Any:
    try:
        return question()
    except Exception as error:  # of the hub's client, of what carries it, or of the disk
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SemFlowError(
            f"{key}: {repository}@{commit} cannot be had from the hub ({reason}); fetch it where there is a network, or name a "
            "folder that holds it"
        ) from None


def _hash(path: Path, like: str) -> str:
    if like.startswith("sha256:"):
        return f"sha256:{files.remembered_hash(path)}"
    content = path.read_bytes()
    return f"blob:{hashlib.sha1(b'blob %d' % len(content) + bytes(1) + content).hexdigest()}"
