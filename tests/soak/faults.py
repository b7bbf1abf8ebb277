"""The fault layer: compiled once where there is a C compiler, told from within the process under which it lies."""

from __future__ import annotations

import ctypes
import errno
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

OPEN, WRITE, SYNC, RENAME, LINK, UNLINK, MAKE = (1 << bit for bit in range(7))
EVERY = 127
#: Error -> operations that it may come from.
ERRORS = {
    "ENOSPC": (errno.ENOSPC, OPEN | WRITE | SYNC | RENAME | LINK | MAKE),
    "EDQUOT": (errno.EDQUOT, OPEN | WRITE | SYNC | RENAME | LINK | MAKE),
    "EIO": (errno.EIO, EVERY),
    "EROFS": (errno.EROFS, EVERY & ~(WRITE | SYNC)),
    "ENOENT": (errno.ENOENT, OPEN | RENAME | LINK | UNLINK | MAKE),
    "EACCES": (errno.EACCES, EVERY & ~(WRITE | SYNC)),
}


@functools.cache
def library() -> Path | None:
    """Return the compiled layer; None where it cannot be had."""
    source = Path(__file__).with_name("faults.c")
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", ""), "cc", "gcc", "clang"))), None)
    if compiler is None or os.name != "posix":
        return None
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir(), f"dissmodel-lab-soak-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    made = folder / f"{digest}.so"
    if not made.exists():
        fresh = folder / f"{digest}-{os.getpid()}.so"
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(fresh), str(source), "-ldl"]
        if subprocess.run(command, capture_output=True).returncode:
            return None
        fresh.replace(made)
    return made


class Layer:
    """The layer under this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)

    @staticmethod
    def is_there() -> bool:
        """Tell whether it lies under this process."""
        return hasattr(ctypes.CDLL(None), "soak_arm")

    def arm(
        self,
        folder: Path,
        at: int,
        *,
        kinds: int = EVERY,
        error: int = 0,
        signal: int = 0,
        again: bool = False,
        slow_us: int = 0,
    ) -> None:
        """Let something happen at the n-th operation of some kinds under a folder."""
        number = ctypes.c_long(at)
        self._library.soak_arm(os.fsencode(folder), kinds, number, error, signal, int(again), slow_us)

    def disarm(self) -> None:
        """Let nothing happen any more."""
        self._library.soak_disarm()

    def seen(self) -> int:
        """Return how many operations there were since it was armed."""
        self._library.soak_seen.restype = ctypes.c_long
        return int(self._library.soak_seen())

    def clock(self, seconds: float) -> None:
        """Let the clock on the wall be wrong by so much [s]."""
        self._library.soak_clock(ctypes.c_longlong(int(seconds * 10**9)))
