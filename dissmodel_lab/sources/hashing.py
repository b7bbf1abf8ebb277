"""A file or folder -> its SHA-256, in constant memory; and what tells cheaply that it has changed."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Callable

#: 64 KiB stay in the processor's cache: 1.4 times as fast as hashlib.file_digest's 256 KiB.
_BLOCK = 64 * 1024
#: Beside a busy thread each block waits for the interpreter: fewer of them.
_BLOCK_BESIDE = 1024 * 1024
_WINDOW = 16 * 1024 * 1024
_REST_NS = 2 * 1000**3
"""The coarsest clock of a file system that is in use (FAT) ticks every two seconds [ns]."""
_MOST_SEEN = 4_096
_SEEN: dict[tuple[int, ...], str] = {}
"""Hashes by what tells a file from others; of this process, so that a copied or restored file is hashed anew."""


MOST_FILES = 20_000
"""A folder of more files is not hashed: a record may name any folder, ``/`` included."""
_KERNELS = re.compile(r"/(?:proc|sys|dev)(?:/(?!shm/)|$)")
"""Where files are made up as they are read, some without an end."""


class Hashed(NamedTuple):
    """The hash of what lies at a path, or why there is none."""

    sha256: str = ""
    problem: str = ""


class Fingerprint(NamedTuple):
    """What tells cheaply that a file has changed."""

    size: int
    modified_ns: int
    changed_ns: int


def fingerprint(path: Path) -> Fingerprint | None:
    """
    Return size and times of a file; None when there is no such file.

    Examples
    --------
    >>> fingerprint(Path("no/such/file")) is None
    True
    """
    try:
        facts = os.stat(path)  # noqa: PTH116 -- half the time of Path.stat, several times a run
    except OSError:
        return None
    return Fingerprint(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def sha256(path: str | Path) -> str:
    """
    Return the SHA-256 of a file, or of a folder by :func:`folder_sha256`.

    Parameters
    ----------
    path : str or Path
        A file or a folder.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    return folder_sha256(Path(path)) if os.path.isdir(path) else file_sha256(path)  # noqa: PTH112 -- as in fingerprint


def file_sha256(path: str | Path) -> str:
    """
    Return the SHA-256 of a file's bytes, as ``sha256sum`` prints it, in constant memory.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     file_sha256(file.name)[:16]
    'e3b0c44298fc1c14'
    """
    return _digest(path, _BLOCK)


def _digest(path: str | Path, block: int, is_given_up: Callable[[], bool] = lambda: False) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(block)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 -- faster than Path.open, measured per run
        while not is_given_up() and (size := file.readinto(buffer)):
            digest.update(view[:size])
    return digest.hexdigest()


def seen_sha256(path: str | Path) -> str:
    """
    Return the SHA-256 of a file that this process has hashed and nobody has touched since; empty for others.

    Device, inode, size and both times must be those of then, and the file must have been at rest for two seconds
    when it was hashed: a change within one tick of the clock would leave no trace. Costs microseconds at any size.

    Examples
    --------
    >>> seen_sha256("no/such/file")
    ''
    """
    mark = _mark(path)
    return _SEEN.get(mark, "") if mark is not None else ""


def remembered_sha256(path: str | Path) -> str:
    """
    Return the SHA-256 of a file's bytes; of one that :func:`seen_sha256` knows, without reading it.

    For inputs that are read run after run. What is verified is always hashed anew, by :func:`file_sha256`.

    Raises
    ------
    OSError
        When it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     remembered_sha256(file.name)[:16]
    'e3b0c44298fc1c14'
    """
    mark, now = _mark(path), time.time_ns()
    known = _SEEN.get(mark, "") if mark is not None else ""
    if known:
        return known
    checksum = file_sha256(path)
    remember(path, mark, checksum, now)
    return checksum


def remember(path: str | Path, mark: tuple[int, ...] | None, checksum: str, at_ns: int) -> None:
    """
    Note the SHA-256 of a file, when it was at rest and still is what it was before it was hashed.

    Parameters
    ----------
    path : str or Path
        The file.
    mark : tuple of int or None
        What told it from others before it was hashed.
    checksum : str
        Its SHA-256.
    at_ns : int
        When its first byte was read [ns since 1970].

    Examples
    --------
    >>> remember("no/such/file", None, "", 0)
    """
    if mark is None or at_ns - max(mark[3:]) < _REST_NS or _mark(path) != mark:
        return
    while len(_SEEN) >= _MOST_SEEN:
        _SEEN.pop(next(iter(_SEEN)), None)
    _SEEN[mark] = checksum


def _mark(path: str | Path) -> tuple[int, ...] | None:
    try:
        facts = os.stat(path)  # noqa: PTH116 -- as in fingerprint
    except OSError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


class Hashing:
    """
    The SHA-256 of a file, worked out on a thread of its own from construction on, while others load it.

    Parameters
    ----------
    path : Path
        A file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     Hashing(Path(file.name)).checksum()[:16]
    'e3b0c44298fc1c14'
    """

    def __init__(self, path: Path) -> None:
        self.mark, self.at_ns = _mark(path), time.time_ns()
        self.seen = fingerprint(path)
        """Size and times of the file before its first byte was read."""
        self._path = path
        self._checksum = ""
        self._error: OSError | None = None
        self._is_given_up = False
        self._thread = threading.Thread(target=self._work, name="hash of the input", daemon=True)
        self._thread.start()

    def checksum(self) -> str:
        """
        Wait for the hash, and return it.

        Raises
        ------
        OSError
            When the file cannot be read.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._checksum

    def give_up(self) -> None:
        """Stop reading: nobody will ask."""
        self._is_given_up = True

    def _work(self) -> None:
        try:
            self._checksum = _digest(self._path, _BLOCK_BESIDE, lambda: self._is_given_up)
        except OSError as error:
            self._error = error


def hashed(path: Path) -> Hashed:
    """
    Return the SHA-256 of a file or folder, or why it has none; both empty when nothing is there.

    Devices, pipes, the kernel's own files and huge folders are not read: a record from elsewhere may name
    ``/dev/zero``, ``/proc/kcore`` or ``/``.

    Examples
    --------
    >>> hashed(Path("/dev/zero")).problem
    'it is neither a file nor a folder'
    """
    try:
        problem = why_unreadable(path)
        return Hashed(problem=problem) if problem else Hashed(sha256(path))
    except (FileNotFoundError, NotADirectoryError):
        return Hashed()
    except (OSError, ValueError) as error:
        return Hashed(problem=str(getattr(error, "strerror", None) or error))


def why_unreadable(path: Path) -> str:
    """
    Say why a path that anybody may have named is not read; empty when it is a file or a folder of usual size.

    Raises
    ------
    OSError
        When there is nothing.

    Examples
    --------
    >>> why_unreadable(Path("/dev/zero")), why_unreadable(Path(__file__))
    ('it is neither a file nor a folder', '')
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or _KERNELS.match(os.path.realpath(path)):
        return message("it is neither a file nor a folder")
    if stat.S_ISDIR(mode) and _is_huge(path):
        return message("it is a folder of more than {most_files:,} files", most_files=MOST_FILES)
    return ""


def _is_huge(folder: Path) -> bool:
    count = 0
    for _, folders, files in os.walk(folder):
        count += len(files) + len(folders)
        if count > MOST_FILES:
            return True
    return False


def own_file_sha256(path: str | Path) -> str:
    """
    Return the SHA-256 of a file that this process has just closed and nobody else has yet.

    It maps the file in windows of 16 MiB, which saves a copy. Were somebody to truncate the file
    meanwhile, the process would die of SIGBUS: so never on a file that others may touch.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     own_file_sha256(file.name) == file_sha256(file.name)
    True
    """
    import mmap  # noqa: PLC0415 -- only for artifacts

    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        size = os.fstat(file.fileno()).st_size
        for start in range(0, size, _WINDOW):
            length = min(_WINDOW, size - start)
            with mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=start) as window:
                digest.update(window)
    return digest.hexdigest()


def folder_sha256(folder: Path) -> str:
    r"""
    Return the SHA-256 of a folder: of the lines ``<sha256 of file>  <path in it>``, sorted by path.

    It equals ``find . -type f -printf '%P\0' | sort -z | xargs -0r sha256sum | sha256sum`` run inside the
    folder with ``LC_ALL=C``, unless a name holds a backslash or a line break, which ``sha256sum`` escapes.
    Empty folders and file attributes do not count; a link to a file counts as that file.

    Examples
    --------
    >>> import tempfile
    >>> folder_sha256(Path(tempfile.mkdtemp()))[:16]
    'e3b0c44298fc1c14'
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {os.fsencode(path.relative_to(folder).as_posix()): path for path in files}
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(file_sha256(names[name]).encode() + b"  " + name + b"\n")
    return digest.hexdigest()
