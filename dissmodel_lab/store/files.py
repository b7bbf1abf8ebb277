"""Names in a store, and files that are written in one step."""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

JOURNAL_NAME = "journal.jsonl"
REQUEST_NAME = "cancel"
"""Of the file that asks a run to end, see :mod:`dissmodel_lab.cancelling`."""
_CLAIM_NAME = ".claim"
PARTIAL_NAME, ROOM_NAME = "partial", ".room"
LIVE_NAME, WATCHED_NAME = ".live", ".watched"
AT_WORK_NAMES = (_CLAIM_NAME, ROOM_NAME, LIVE_NAME, WATCHED_NAME)
"""Of files in a run's folder that mean nothing once its process is gone."""


def record_line(content: bytes) -> bytes:
    """
    Return the journal's line on a record that is written for good: its SHA-256, by which a later edit is noticed.

    Examples
    --------
    >>> record_line(b"")[:45]
    b'{"event": "record", "sha256": "e3b0c44298fc1c'
    """
    import hashlib  # noqa: PLC0415 -- a listing does without

    return f'{{"event": "record", "sha256": "{hashlib.sha256(content).hexdigest()}"}}\n'.encode()


def safe_name(name: str) -> str:
    """
    Return a model's name as a part of a file's name: an untrusted text must not choose a folder.

    Examples
    --------
    >>> safe_name("../../evil <b>")
    'evil-b'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:60] or "model"


def claim(folder: Path) -> bool:
    """
    Take a queued run for this process: to run it, or to close it. Only one process can.

    Returns
    -------
    bool
        False when another process was faster.

    Raises
    ------
    OSError
        When the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> claim(folder), claim(folder)
    (True, False)
    """
    try:
        os.close(os.open(folder / _CLAIM_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        return False
    return True


def give_up_claim(folder: Path) -> None:
    """
    Remove what :func:`claim` left; whoever claims the run after that sees in its record that it is over.

    Examples
    --------
    >>> from pathlib import Path
    >>> give_up_claim(Path("no/such/folder"))
    """
    with suppress(OSError):  # it stays then, and does no harm
        os.unlink(folder / _CLAIM_NAME)  # noqa: PTH108 -- as below


def write_atomic(path: Path, content: bytes, *, durable: bool = True) -> os.stat_result:
    """
    Write a file so that a reader sees the old or the new content, never a part.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    content : bytes
        The whole file.
    durable : bool
        Wait until the disk has it (fsync).

    Returns
    -------
    os.stat_result
        Size and times of the new file.

    Raises
    ------
    OSError
        When it cannot be written; the old content is still there then.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> target = Path(tempfile.mkdtemp(), "a.txt")
    >>> write_atomic(target, b"whole").st_size
    5
    >>> target.read_bytes()
    b'whole'
    """
    # Bare system calls: several times a run, the layers of pathlib and io cost as much as the disk.
    folder = os.path.dirname(path) or os.curdir  # noqa: PTH120 -- as above
    temporary = f"{folder}{os.sep}.{os.getpid()}-{threading.get_ident():x}.tmp"
    try:
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            write_all(file, content)
            if durable:
                os.fsync(file)
            stat = os.fstat(file)
        finally:
            os.close(file)
        os.replace(temporary, path)  # noqa: PTH105 -- as above
        return stat  # noqa: TRY300 -- the value of the whole
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 -- as above
        raise


def write_all(file: int, content: bytes) -> None:
    """
    Write all of a content: one system call may write a part.

    Parameters
    ----------
    file : int
        A descriptor that is open for writing.
    content : bytes
        What to write.

    Examples
    --------
    >>> import tempfile
    >>> file, name = tempfile.mkstemp()
    >>> write_all(file, b"whole")
    >>> os.stat(name).st_size
    5
    >>> os.close(file)
    """
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
