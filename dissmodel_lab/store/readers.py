"""Very many records read by several processes: a large store that was copied here has its index in half the time.

A process of these gets paths and answers with plain values, both marshalled through pipes. It is started with
this package's own code alone, so that it works in a notebook and in a script without ``if __name__ == ...``.
Where no process can be started, or one ends, this process reads by itself.
"""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from collections import deque
from typing import IO, TYPE_CHECKING, Any, Self

from dissmodel_lab.index.rows import Found
from dissmodel_lab.index.summaries import Summary
from dissmodel_lab.store.reading import look_at

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

MANY = 5_000
"""From so many records on it is worth to start other processes [records]."""
_MOST = 4
_SERVE = "from dissmodel_lab.store.readers import serve; serve()"
_LENGTH = 8
"""[bytes]"""
_PATIENCE = 5.0
"""How long a process may take to end [s]."""


def read_batches(batches: Iterator[list[bytes]], n_files: int) -> Generator[list[Found | None]]:
    """
    Read batches of files, one after the other or several at once; their order stays.

    Parameters
    ----------
    batches : iterator of list of bytes
        Paths; the next batch is asked for when somebody can read it.
    n_files : int
        How many are expected in all.

    Yields
    ------
    list of Found or None
        For each path of a batch what :func:`~dissmodel_lab.store.reading.look_at` says; None: it is gone.

    Examples
    --------
    >>> list(read_batches(iter([[b"no/such/record.json"]]), 1))
    [[None]]
    """
    count = min(_MOST, _processors())
    if n_files < MANY or count == 1 or not sys.executable:
        yield from map(_read, batches)
        return
    with _Readers(count) as readers:
        yield from readers.read(batches)


def serve() -> None:
    """Answer the batches of paths that come through standard input, until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever an import prints is no answer
    while True:
        try:
            paths = _receive(sys.stdin.buffer)
        except EOFError:
            return
        _send(answers, [None if found is None else _plain(found) for found in _read(paths)])


class _Readers:
    """Some processes, each with one batch at a time."""

    def __init__(self, count: int) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._count = count

    def __enter__(self) -> Self:
        folders = os.pathsep.join(path for path in sys.path if path)
        for _ in range(self._count):
            try:
                process = subprocess.Popen(  # noqa: S603 -- this interpreter, with this module's own code
                    [sys.executable, "-P", "-W", "ignore", "-c", _SERVE],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": folders},
                )
            except OSError:  # no memory, too many processes: fewer will do
                break
            self._processes.append(process)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate(timeout=_PATIENCE)

    def read(self, batches: Iterator[list[bytes]]) -> Iterator[list[Found | None]]:
        idle, busy = deque(self._processes), deque[tuple[list[bytes], subprocess.Popen[bytes] | None]]()
        while True:
            while idle or not busy:
                paths = next(batches, None)
                if paths is None:
                    break
                process = idle.popleft() if idle else None
                busy.append((paths, process if process is not None and _asked(process, paths) else None))
            if not busy:
                return
            paths, process = busy.popleft()
            found = None if process is None else _answer(process, len(paths))
            if process is not None and found is not None:
                idle.append(process)  # one that gave no answer is asked no more
            yield _read(paths) if found is None else found


def _asked(process: subprocess.Popen[bytes], paths: list[bytes]) -> bool:
    assert process.stdin is not None  # for the type checker: it is a pipe
    try:
        _send(process.stdin, paths)
    except OSError:  # it has ended
        return False
    return True


def _answer(process: subprocess.Popen[bytes], count: int) -> list[Found | None] | None:
    assert process.stdout is not None  # for the type checker: it is a pipe
    try:
        found = [None if one is None else _found(one) for one in _receive(process.stdout)]
    except (EOFError, OSError, ValueError, TypeError):  # it was killed in the middle of it
        return None
    return found if len(found) == count else None


def _send(stream: IO[bytes], value: Any) -> None:
    content = marshal.dumps(value)
    stream.write(len(content).to_bytes(_LENGTH, "little") + content)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    length = int.from_bytes(stream.read(_LENGTH), "little")
    content = stream.read(length)
    return marshal.loads(content)  # noqa: S302 -- from this module's own code; EOFError when there is nothing


def _read(paths: list[bytes]) -> list[Found | None]:
    return [_look(path) for path in paths]


def _look(path: bytes) -> Found | None:
    try:
        return look_at(path)
    except OSError:  # removed since its folder was listed
        return None


def _plain(found: Found) -> tuple[Any, ...]:
    return (*found[:2], None if found.summary is None else tuple(found.summary), found.tags)


def _found(plain: tuple[Any, ...]) -> Found:
    stamps, read_at, summary, tags = plain
    return Found(stamps, read_at, None if summary is None else Summary(*summary), tags)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
