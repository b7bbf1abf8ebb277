"""A cache of the run folders in SQLite, so that a listing need not read every record again.

Losing it loses nothing: it is filled again from the folders. Where SQLite cannot work (a read-only
store, a file system without locks, a damaged file) every record is read instead.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

INDEX_NAME = ".index-v1.sqlite3"
_TABLE = """
CREATE TABLE IF NOT EXISTS runs (
    folder TEXT PRIMARY KEY, modified_ns INTEGER, size INTEGER, experiment_id TEXT, model_name TEXT,
    status TEXT, created_at TEXT, seconds REAL, phase TEXT, problem TEXT
)
"""
_INSERT = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_NEWEST = """
SELECT folder FROM runs WHERE model_name = ? AND status = 'completed' ORDER BY created_at DESC LIMIT ?
"""


class RunEntry(NamedTuple):
    """One line of a listing."""

    experiment_id: str
    model_name: str
    status: str
    """A record's status; ``lost`` when a running one's process is gone; ``unreadable`` for a broken file."""
    created_at: datetime
    folder: Path
    seconds: float | None = None
    """Time of the phases that ended [s]."""
    phase: str = ""
    """The phase in which the run failed, was cancelled or lost, or is now."""
    problem: str = ""
    """The error that ended it, or why the record cannot be read."""


class RunIndex:
    """
    The index of one store.

    Parameters
    ----------
    root : Path
        The store's folder; the index is a hidden file in it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / INDEX_NAME

    def add(self, folder: str, stat: os.stat_result, entry: RunEntry) -> None:
        """
        Note a record.

        Parameters
        ----------
        folder : str
            Name of the run's folder.
        stat : os.stat_result
            Size and times of the record's file; a listing reads a file again that has others.
        entry : RunEntry
            What it says.
        """
        try:
            with self._connected() as connection:
                connection.execute(_INSERT, (folder, stat.st_mtime_ns, stat.st_size, *_fields(entry)))
        except (sqlite3.Error, OSError, ValueError):
            return  # the next listing finds the record by itself: the index is only a cache

    def newest_completed(self, model_name: str, limit: int) -> list[str]:
        """
        Return the folders of a model's newest completed runs, as far as the index knows them.

        Parameters
        ----------
        model_name : str
            As records have it.
        limit : int
            How many at most.
        """
        if not self._path.exists():
            return []
        try:
            with self._connected() as connection:
                rows = connection.execute(_NEWEST, (model_name, limit)).fetchall()
        except (sqlite3.Error, OSError, ValueError):
            return []  # a cache that cannot be asked knows nothing
        return [str(folder) for (folder,) in rows]

    def refresh(self, records: Iterable[Path], read: Callable[[Path], RunEntry]) -> list[RunEntry]:
        """
        Bring the index up to date with the record files and return all entries.

        Parameters
        ----------
        records : iterable of Path
            The record files that are there now.
        read : callable
            Summarises a record file that is new or has changed.
        """
        files = list(records)
        if not files:
            return []
        try:
            with self._connected() as connection:
                return self._refresh(connection, files, read)
        except sqlite3.OperationalError:  # locked, read-only, or a file system without locks
            pass
        except (sqlite3.DatabaseError, ValueError, TypeError):  # damaged, or rows that nobody here wrote
            self._set_aside()
        except OSError:
            pass
        return [entry for path in files if (entry := _try(read, path)) is not None]

    def _refresh(
        self, connection: sqlite3.Connection, files: list[Path], read: Callable[[Path], RunEntry]
    ) -> list[RunEntry]:
        known = {row[0]: row for row in connection.execute("SELECT * FROM runs")}
        entries, changed = [], []
        for path in files:
            row = known.pop(path.parent.name, None)
            try:
                stamp = _stamp(path)
            except OSError:  # removed since the folder was listed
                continue
            if row is not None and tuple(row[1:3]) == stamp:
                entries.append(self._entry(row))
                continue
            entry = _try(read, path)
            if entry is None:
                continue
            entries.append(entry)
            changed.append((path.parent.name, *stamp, *_fields(entry)))
        connection.executemany(_INSERT, changed)
        connection.executemany("DELETE FROM runs WHERE folder = ?", [(folder,) for folder in known])
        return entries

    def _entry(self, row: tuple[str, int, int, str, str, str, str, float | None, str, str]) -> RunEntry:
        folder, _, _, experiment_id, model_name, status, created_at, seconds, phase, problem = row
        moment = datetime.fromisoformat(created_at)
        return RunEntry(experiment_id, model_name, status, moment, self._root / folder, seconds, phase, problem)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with _LOCK:
            connection = _connection(self._path)
            with connection:
                yield connection

    def close(self) -> None:
        """Let go of the index file; the next use opens it again."""
        with _LOCK:
            _drop(self._path)

    def _set_aside(self) -> None:
        # Renamed, not deleted: it may help to find out what damaged it.
        self.close()
        for suffix in ("", "-wal", "-shm"):
            damaged = Path(f"{self._path}{suffix}")
            if damaged.exists():
                damaged.replace(f"{damaged}.damaged")


# Opening and closing costs ten times what an insert does, so a process keeps its few newest connections.
# A connection is not carried over a fork, nor used for a file that was removed and made again.
_KEPT = 4
_LOCK = threading.RLock()
_connections: dict[tuple[Path, int], tuple[sqlite3.Connection, int]] = {}


def _connection(path: Path) -> sqlite3.Connection:
    key = (path.absolute(), os.getpid())
    kept = _connections.get(key)
    if kept is not None and _inode(path) == kept[1]:
        return kept[0]
    _drop(path)
    for oldest in list(_connections)[: max(0, len(_connections) - _KEPT + 1)]:
        _drop(oldest[0])
    connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")  # a cache need not survive a power cut
    connection.execute(_TABLE)
    _connections[key] = (connection, path.stat().st_ino)
    return connection


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _drop(path: Path) -> None:
    kept = _connections.pop((path.absolute(), os.getpid()), None)
    if kept is not None:
        kept[0].close()


def _try(read: Callable[[Path], RunEntry], path: Path) -> RunEntry | None:
    try:
        return read(path)
    except OSError:  # removed since the folder was listed
        return None


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def _fields(entry: RunEntry) -> tuple[object, ...]:
    return (
        entry.experiment_id,
        entry.model_name,
        entry.status,
        entry.created_at.isoformat(),
        entry.seconds,
        entry.phase,
        entry.problem,
    )
