"""Archives of unknown origin: what a damaged one raises, and names that lead elsewhere, become one sentence."""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from semflow import files
from semflow.errors import SemFlowError


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive to read. SemFlowError if it is damaged, encrypted or packed in an unknown way."""
    try:
        with files.reading(path), zipfile.ZipFile(path) as zipped:
            yield zipped
    except (NotImplementedError, RuntimeError) as error:  # another compression, a password; the first is one of the second
        raise SemFlowError(
            f"{path} cannot be unpacked here ({error}); pack its files as an ordinary zip, deflated and without a password"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SemFlowError(f"{path} is damaged or only half downloaded ({error}); fetch it again") from None


def name_inside(info: zipfile.ZipInfo, path: Path, mend: str) -> PurePosixPath:
    """Where a member belongs within a folder, whichever slash its name has. SemFlowError, which ends with `mend`, if the name
    leads out of the folder, or if it is a link.
    """
    name = PurePosixPath(info.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in info.filename:
        raise SemFlowError(f"{path} holds {info.filename!r}, which leads out of its folder; {mend}")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise SemFlowError(f"{path} holds {info.filename!r}, which is a link; {mend}")
    return name
