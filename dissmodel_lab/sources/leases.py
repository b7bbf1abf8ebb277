"""Who is reading what lies in the cache: as long as one of them lives, it is not removed.

A lease is an empty file whose name says which process, of which machine, holds what. Nobody need give it back: the
lease of a process that is gone counts for nothing.
"""

from __future__ import annotations

import os
import platform
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self
from uuid import uuid4

import psutil

if TYPE_CHECKING:
    from pathlib import Path

_OTHERS_SECONDS = 7 * 24 * 3600
"""How long a process of another machine, which cannot be seen from here, is believed to live [s]."""
_NAME = re.compile(r"(?P<what>[0-9a-f]{16,64})-(?P<host>[\w.]{1,80})-(?P<process>\d+)-(?P<started>\d+)-[0-9a-f]{32}")


class Lease(NamedTuple):
    """
    The promise that something in the cache stays there, until it is closed or its process ends; a context.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> with take(folder, "0123456789abcdef"):
    ...     leased(folder)
    {'0123456789abcdef'}
    >>> leased(folder)
    set()
    """

    path: Path | None
    """None where no lease can be written: a read-only cache, from which nobody removes anything either."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give it back."""
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink()


def take(folder: Path, what: str) -> Lease:
    """
    Take a lease of what has that hash.

    Examples
    --------
    >>> from pathlib import Path
    >>> take(Path("/proc/none"), "0123456789abcdef").path is None
    True
    """
    host = re.sub(r"[^\w.]", "_", platform.node())[:80] or "_"
    name = f"{what}-{host}-{os.getpid()}-{_started(os.getpid())}-{uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    except OSError:
        return Lease(None)
    return Lease(folder / name)


def leased(folder: Path) -> set[str]:
    """
    Return the hashes that somebody reads, and remove the leases of the dead.

    Examples
    --------
    >>> from pathlib import Path
    >>> leased(Path("no/such/folder"))
    set()
    """
    held: set[str] = set()
    try:
        names = os.listdir(folder)  # noqa: PTH208 -- names are all that is needed
    except OSError:
        return held
    for name in names:
        match = _NAME.fullmatch(name)
        if match is None:  # somebody else's
            continue
        if _is_held(folder / name, match):
            held.add(match["what"])
        else:
            with suppress(OSError):
                (folder / name).unlink()
    return held


def _is_held(path: Path, match: re.Match[str]) -> bool:
    if match["host"] != (re.sub(r"[^\w.]", "_", platform.node())[:80] or "_"):
        try:
            return time.time() - path.stat().st_mtime < _OTHERS_SECONDS
        except OSError:
            return False
    started = _started(int(match["process"]))
    return started > 0 and abs(started - int(match["started"])) <= 1


def _started(process: int) -> int:
    """Return when a process started [s since 1970]; 0 when there is none of that number."""
    try:
        return int(psutil.Process(process).create_time())
    except psutil.NoSuchProcess:
        return 0
    except psutil.Error:  # it is there, but nobody may ask
        return int(time.time())
