"""Where an export goes: a new file that appears whole, in one step, or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from dissmodel_lab.errors import ExportError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.partial")
_ABANDONED = 24 * 3600.0
"""What nobody went on writing for so long was left by a process that was killed [s]."""


def refuse_existing(path: Path) -> None:
    """
    Refuse a path at which something is: an export never replaces anything.

    Raises
    ------
    ExportError
        When the path exists, be it as a link to nowhere.

    Examples
    --------
    >>> from pathlib import Path
    >>> refuse_existing(Path("new.json"))
    """
    if "\0" in str(path):
        raise ExportError(message("{path!r} is no path: it holds a NUL. Choose another --output.", path=str(path)))
    if os.path.lexists(path):
        raise ExportError(
            message(
                "{path!r} exists and is never replaced. Choose another --output, or move it away.", path=str(path)
            )
        )


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """
    Write a file under a temporary name beside its own; it gets its name when the block ends well.

    Parameters
    ----------
    path : Path
        Must not exist; its folder is made when it is missing.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    ExportError
        When the path exists, before or meanwhile, or the disk refuses. Nothing is left then.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> target = Path(tempfile.mkdtemp(), "deep", "run.json")
    >>> with new_file(target) as temporary:
    ...     _ = temporary.write_text("{}")
    >>> [item.name for item in target.parent.iterdir()]
    ['run.json']
    """
    refuse_existing(path)
    temporary = temporary_for(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _put(temporary, path)
    except OSError as error:
        raise ExportError(unwritable(path, error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_for(path: Path) -> Path:
    """
    Return a temporary name beside a path; what killed exports have left there under such names is removed.

    Examples
    --------
    >>> from pathlib import Path
    >>> len(temporary_for(Path("no", "such", "run.json")).name)
    41
    """
    with suppress(OSError):
        for name in os.listdir(path.parent):  # noqa: PTH208 -- names are all that is needed
            if _TEMPORARY.fullmatch(name) and _is_abandoned(path.with_name(name)):
                _remove(path.with_name(name))
    return path.with_name(f".{uuid4().hex}.partial")


def _is_abandoned(path: Path) -> bool:
    times = [item.lstat().st_mtime for item in (path, *path.rglob("*"))]
    return time.time() - max(times) > _ABANDONED


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def unwritable(path: Path | str, error: OSError) -> str:
    """
    Say why a path cannot be written, and what to do.

    Examples
    --------
    >>> print(unwritable("a.csv", OSError(errno.ENOSPC, "No space left on device")))
    'a.csv' cannot be written: No space left on device. Nothing is left of it. Make room, or choose another...
    """
    if isinstance(error, FileExistsError) and os.path.lexists(path):
        return message(
            "{path!r} exists and is never replaced. Choose another --output, or move it away.", path=str(path)
        )
    # A file where the folder should be "exists", says the system when the folder is made.
    reason = "Not a directory" if isinstance(error, FileExistsError) else error.strerror or error
    advice = (
        message("Make room, or choose another --output.")
        if error.errno in _FULL
        else message("Choose another --output.")
    )
    return f"{str(path)!r} cannot be written: {reason}. Nothing is left of it. {advice}"


def _put(temporary: Path, path: Path) -> None:
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    try:
        path.hardlink_to(temporary)  # unlike a rename, a link fails when the path exists
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with path.open("xb"):  # takes the name, or fails when it is taken
            temporary.replace(path)


def missing_library(format_name: str, library: str, error: ImportError) -> str:
    """
    Say that a library is missing, and how to get it.

    Examples
    --------
    >>> print(missing_library("prov", "prov", ImportError("No module named 'prov'")))
    An export as 'prov' needs the library 'prov': No module named 'prov'. Install it: pip install ...
    """
    advice = "Install it: pip install dissmodel_lab[export]"
    return f"An export as {format_name!r} needs the library {library!r}: {error}. {advice}"
