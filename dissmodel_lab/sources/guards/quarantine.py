"""HDF5 files (netCDF 4 among them) are opened in a process of their own first: the libraries crash and hang.

Measured on small files with seeded damage: of 15,000 HDF5 files 3 kept h5py busy for ever, and of 3,000 classic
netCDF files 4 ended netCDF's C library with a segmentation fault. Of 99,000 damaged GeoTIFF, PNG, JPEG, GeoPackage,
shapefile, GeoJSON, FlatGeobuf and GeoParquet files none did either, so these are opened in this process; so is
classic netCDF, by a reader in Python. HDF5 can also name other files to take its values from; where the system can
forbid it (Linux), the child may open nothing but the file.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import joined, message

#: How long a look may take, with 1 s for the child to begin [s].
LONGEST = 9.0
#: What the child may take [bytes].
MEMORY = 3 << 30
#: How many verdicts are remembered.
MAX_VERDICTS = 1000

_CHILD = Path(__file__).with_name("quarantined.py")
_verdicts: dict[tuple[str, int, int, int], str] = {}


def check_in_child(path: Path, name: str) -> None:
    """
    Open and read a file in a child process, once for each state of the file.

    Parameters
    ----------
    path : Path
        A netCDF or HDF5 file.
    name : str
        How messages call it.

    Raises
    ------
    SourceError
        When the child died, took too long or too much memory, or couldn't read the file.
    """
    status = path.stat()
    state = str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino
    if state not in _verdicts:
        if len(_verdicts) >= MAX_VERDICTS:
            _verdicts.clear()
        _verdicts[state] = _verdict(path)
    if _verdicts[state]:
        raise SourceError(joined([name, _verdicts[state]]))


def _verdict(path: Path) -> str:
    """Return how the sentence about the file goes on; empty when it can be opened."""
    # -P: no module in the working folder may take the place of a library
    command = [sys.executable, "-P", str(_CHILD), str(path.absolute()), str(MEMORY)]
    try:
        done = subprocess.run(  # noqa: S603 -- our own script; the path is an argument, no part of a command line
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST, check=False,
            env={**os.environ, "HDF5_USE_FILE_LOCKING": "FALSE"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return message(
            "could not be read within {longest:.0f} s. It is damaged, or was made to harm: get it again.",
            longest=LONGEST,
        )
    said = done.stdout.decode("utf-8", "replace").strip()
    if said in {"sound", "unread"}:  # unread: the library isn't installed, which is told by whoever opens it
        return ""
    if said.startswith("because "):
        return message(
            "can't be read: {said}. It is damaged or cut off: get it again.",
            said=said.removeprefix("because ")[:300].rstrip("."),
        )
    return message(
        "ends the process that reads it (code {returncode}), so it is not opened here. It is damaged, or was "
        "made to harm: get it again.",
        returncode=done.returncode,
    )
