"""From a data source to bytes that can be trusted: is it there, is it readable, what is its SHA-256.

This version reads local files and folders. Other types are passed on to executors that open them by
themselves; their checksum is then the executor's to fill.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from dissmodel_lab.errors import SourceError

if TYPE_CHECKING:
    from dissmodel_lab.executor.schemas import DataSource, ExperimentRecord

#: 64 KiB stay in the processor's cache: 1.4 times as fast as hashlib.file_digest's 256 KiB.
_BLOCK = 64 * 1024
#: Beside a busy thread each block waits for the interpreter: fewer of them.
_BLOCK_BESIDE = 1024 * 1024
_LIKE_A_FILE = re.compile(r"[/\\]|\.[A-Za-z][A-Za-z0-9]{0,9}$")
_LONGEST_PATH = 4096
_WINDOW = 16 * 1024 * 1024


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


def local_path(source: DataSource) -> Path | None:
    """
    Return where a source lies on this machine; None when it does not (remote, in memory, ``synthetic``).

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource
    >>> local_path(DataSource(uri="data/grid.tif")).as_posix()
    'data/grid.tif'
    >>> local_path(DataSource(uri="synthetic")) is None
    True
    """
    if source.type != "local" or not source.uri or source.uri == "synthetic":
        return None
    if source.uri.startswith("file://"):
        return Path(unquote(source.uri.removeprefix("file://").removeprefix("localhost")))
    return _own_path(source.uri)


def _own_path(text: str) -> Path:
    path = _as_path(text)
    if not text.startswith("~"):
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # "~somebody" who has no home here: a file may be called so
        return path


@functools.lru_cache(maxsize=64)
def _as_path(text: str) -> Path:
    return Path(text)  # a run asks for its input's several times


def source_path(record: ExperimentRecord) -> Path | None:
    """
    Return where a run's input lies on this machine, as seen from the folder that the run worked in.

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource, ExperimentRecord
    >>> source_path(ExperimentRecord(source=DataSource(uri="s3://b/x.tif", type="s3"))) is None
    True
    """
    path = local_path(record.source)
    return None if path is None else record.resolve_path(path)


def check_source(source: DataSource) -> None:
    """
    Refuse a local source that is missing, empty or unreadable.

    Raises
    ------
    SourceError
        With what is wrong and what to do.

    Examples
    --------
    >>> from dissmodel_lab.executor import DataSource
    >>> check_source(DataSource(uri="no/such.tif"))
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: The input 'no/such.tif' does not exist ...
    """
    path = local_path(source)
    if path is None:
        return
    try:
        mode = _mode(path)
        if mode is None:
            raise SourceError(
                f"The input {source.uri!r} does not exist (looked in {_looked_in(path)}). Check the path."
            )
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise SourceError(f"The input {source.uri!r} is neither a file nor a folder. Give a file's path.")
        if stat.S_ISREG(mode):
            with path.open("rb", buffering=0) as file:
                if not file.read(1):
                    raise SourceError(f"The input {source.uri!r} is empty (0 bytes). Get the file again.")
    except OSError as error:
        raise SourceError(
            f"The input {source.uri!r} cannot be read: {error.strerror or error}. Check its permissions."
        ) from error
    except ValueError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"The input {source.uri!r} is no path: {error}.") from error


def _mode(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode  # noqa: PTH116 -- as in fingerprint
    except (FileNotFoundError, NotADirectoryError):
        return None


def existing_files(values: Any, place: str = "") -> Iterator[tuple[str, Path]]:
    """
    Find the files that parameters name, in tables and lists of any depth.

    Parameters
    ----------
    values : object
        Parameters; a text counts when it looks like a path and such a file is there.
    place : str
        Where ``values`` itself stands.

    Yields
    ------
    place : str
        Such as ``demand_csv`` or ``maps[0].path``.
    path : Path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".csv") as file:
    ...     [place for place, _ in existing_files({"maps": [{"path": file.name}], "name": "a"})]
    ['maps[0].path']
    """
    for at, value in leaf_paths(values, place):
        if (path := _as_file(value)) is not None:
            yield at, path


def leaf_paths(values: Any, place: str = "") -> Iterator[tuple[str, str | Path]]:
    """
    Walk through tables and lists of any depth: each text or path in them, with its place.

    Parameters
    ----------
    values : object
        Parameters.
    place : str
        Where ``values`` itself stands.

    Examples
    --------
    >>> list(leaf_paths({"maps": [{"path": "a.csv"}], "name": "a", "years": 3}))
    [('maps[0].path', 'a.csv'), ('name', 'a')]
    """
    if isinstance(values, Mapping):
        for name, item in values.items():
            yield from leaf_paths(item, f"{place}.{name}" if place else str(name))
    elif isinstance(values, list | tuple):
        for index, item in enumerate(values):
            yield from leaf_paths(item, f"{place}[{index}]")
    elif isinstance(values, str | Path):
        yield place, values


def names_file(value: Any) -> bool:
    """
    Tell whether a parameter's value, or one in its tables and lists, looks like a file's path.

    Examples
    --------
    >>> names_file({"betas": {"slope": 0.1}, "table": "demand.csv"}), names_file(["weng", 3])
    (True, False)
    """
    if isinstance(value, Mapping):
        return any(map(names_file, value.values()))
    if isinstance(value, list | tuple):
        return any(map(names_file, value))
    is_short = isinstance(value, str) and len(value) < _LONGEST_PATH
    return isinstance(value, Path) or (is_short and _LIKE_A_FILE.search(value) is not None)


def _as_file(value: Any) -> Path | None:
    if not names_file(value):
        return None
    path = Path(value).expanduser()
    try:
        return path if path.is_file() else None
    except (OSError, ValueError):  # no path after all
        return None


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
        return "it is neither a file nor a folder"
    if stat.S_ISDIR(mode) and _is_huge(path):
        return f"it is a folder of more than {MOST_FILES:,} files"
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


def _looked_in(path: Path) -> str:
    return str(path.parent) if path.is_absolute() else str(Path.cwd() / path.parent)
