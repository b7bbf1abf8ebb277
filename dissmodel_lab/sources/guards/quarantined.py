"""What the child of :mod:`.quarantine` does: read some of every variable, with everything else locked away.

Run as a script, so that the child starts in 0.3 s; it imports nothing of this package.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import Any

#: What is read of all variables together at most [cells], and for how long [s].
CELLS, SECONDS = 20_000_000, 4.0
#: Groups that lie deeper aren't looked at.
DEPTH = 20
#: Linux's Landlock (https://docs.kernel.org/userspace-api/landlock.html): system calls and rights.
CREATE, ADD, RESTRICT = 444, 445, 446
READ, NET_BIND, NET_CONNECT = 4, 1, 2
ALL_FILES = (1 << 13) - 1
NO_NEW_PRIVILEGES, IS_PATH = 38, 1


class _Rules(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


def lock_away(path: str) -> bool:
    """Allow this process to read one file, and nothing else; False where the system can't."""
    if sys.platform != "linux":
        return False
    system = ctypes.CDLL(None, use_errno=True)
    version = system.syscall(CREATE, None, 0, 1)
    if version < 1:
        return False
    rules = _Rules(ALL_FILES, NET_BIND | NET_CONNECT)
    has_net = version >= 4  # noqa: PLR2004 -- the version that knows networks
    number = system.syscall(CREATE, ctypes.byref(rules), 16 if has_net else 8, 0)
    rule = _Beneath(READ, os.open(path, os.O_PATH | os.O_CLOEXEC))
    is_added = number >= 0 and system.syscall(ADD, number, IS_PATH, ctypes.byref(rule), 0) == 0
    is_locked = is_added and system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    return bool(is_locked and system.syscall(RESTRICT, number, 0) == 0)


def limit_memory(size: int) -> None:
    """Bound what this process may take [bytes]."""
    try:
        import resource  # noqa: PLC0415 -- not on every system
    except ImportError:
        return
    allowed = resource.getrlimit(resource.RLIMIT_AS)[1]  # a limit that holds already can't be raised
    size = size if allowed == resource.RLIM_INFINITY else min(size, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Reading:
    """Reads until enough was read, or enough time has passed."""

    def __init__(self) -> None:
        self._until = time.monotonic() + SECONDS
        self._cells = CELLS

    def read(self, variable: Any) -> None:
        """Read a variable, or the corners of a large one."""
        size = 1
        for length in variable.shape:
            size *= int(length)
        if size <= self._cells:
            variable[...]
            self._cells -= size
        else:
            for corner in (slice(0, 64), slice(-64, None)):
                variable[tuple(corner for _ in variable.shape)]

    @property
    def is_enough(self) -> bool:
        """Whether time is up."""
        return time.monotonic() > self._until

    def read_hdf5(self, hdf5: Any, group: Any, depth: int = 0) -> None:
        """Read what lies in a group of h5py's, without following links."""
        for name in group:
            if self.is_enough or not isinstance(group.get(name, getlink=True), hdf5.HardLink):
                continue
            child = group[name]
            dict(child.attrs)
            if isinstance(child, hdf5.Group) and depth < DEPTH:
                self.read_hdf5(hdf5, child, depth + 1)
            elif isinstance(child, hdf5.Dataset) and child.shape is not None:
                self.read(child)

    def read_netcdf(self, group: Any, depth: int = 0) -> None:
        """Read what lies in a group of netCDF4's."""
        for variable in group.variables.values():
            if self.is_enough:
                return
            {key: variable.getncattr(key) for key in variable.ncattrs()}
            self.read(variable)
        for inner in group.groups.values() if depth < DEPTH else ():
            self.read_netcdf(inner, depth + 1)


def _load_all(library: Any, *, is_hdf5: bool) -> None:
    """Load what Python and the library load when they need it first: behind the lock they can't."""
    for name in ("ascii", "latin_1", "utf_8", "idna"):
        __import__(f"encodings.{name}")
    if is_hdf5:
        with library.File("in memory", "w", driver="core", backing_store=False) as file:
            file.create_dataset("a", data=["text"], dtype=library.string_dtype())
            file["a"].attrs["b"] = "text"
            Reading().read_hdf5(library, file)


def look(path: str, memory: int) -> str:
    """Read a file by the library that the kernel would take, and return the verdict."""
    with open(path, "rb") as file:  # noqa: PTH123 -- pathlib is not needed otherwise
        is_hdf5 = file.read(4) == b"\x89HDF"
    try:  # before the lock: libraries are files too
        library = __import__("h5py" if is_hdf5 else "netCDF4")
    except ImportError:
        return "unread"
    _load_all(library, is_hdf5=is_hdf5)
    limit_memory(memory)
    lock_away(path)
    try:
        if is_hdf5:
            with library.File(path, "r") as opened:
                Reading().read_hdf5(library, opened)
        else:
            with library.Dataset(path) as opened:
                opened.set_auto_maskandscale(False)
                Reading().read_netcdf(opened)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is the verdict
        text = " ".join(str(error).replace(path, "the file").split())
        return f"because {text or type(error).__name__}"
    return "sound"


if __name__ == "__main__":
    sys.stdout.write(look(sys.argv[1], int(sys.argv[2])))
