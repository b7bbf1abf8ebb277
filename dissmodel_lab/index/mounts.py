"""Is a folder on a file system that several machines share? SQLite's locks, and its log, do not reach across."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    (
        *("nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "davfs", "fuse"),
        *("ceph", "lustre", "gpfs", "beegfs", "glusterfs", "orangefs", "pvfs2", "gfs2", "ocfs2"),
        *("9p", "drvfs", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "fakeowner"),
    )
)
"""Types of file systems, as Linux calls them; shares between a virtual machine and its host are networks too."""
_LOCAL_FUSE = frozenset(
    ("fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuseblk", "fuse.exfat", "fuse.bindfs", "fuse.mergerfs")
)
_REMOTE_DRIVE = 4


def network_type(folder: Path, mounts: Path = _MOUNTS) -> str:
    """
    Name the network file system that a folder lies on; empty when it is local, or nothing tells.

    Parameters
    ----------
    folder : Path
        It need not exist.
    mounts : Path
        Where Linux lists its mounts.

    Examples
    --------
    >>> network_type(Path("/proc"))
    ''
    """
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 -- Windows alone

        drive = folder.absolute().anchor
        is_remote = drive.startswith("\\\\") or ctypes.windll.kernel32.GetDriveTypeW(drive) == _REMOTE_DRIVE
        return "Windows share" if is_remote else ""
    return _of_mount(folder, mounts)


def _of_mount(folder: Path, mounts: Path) -> str:
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""  # not Linux: locks that fail will tell
    kind = _kind(os.path.realpath(folder), lines)
    is_network = kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)
    return kind if is_network else ""


def _kind(folder: str, lines: list[str]) -> str:
    """Return the type of the mount that holds a folder: the deepest, and of those the last."""
    found = ("", "")
    for line in lines:
        facts, _, rest = line.partition(" - ")
        fields, kind = facts.split(" "), rest.split(" ")[0]
        if len(fields) < 5:  # noqa: PLR2004 -- see proc(5): the fifth field is where it is mounted
            continue
        place = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if (folder == place or folder.startswith(place.rstrip("/") + "/")) and len(place) >= len(found[0]):
            found = (place, kind)
    return found[1]
