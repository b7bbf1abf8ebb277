"""The index's tables, and who holds them open: a file in the store, or memory where a file cannot be trusted."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from dissmodel_lab.index.mounts import network_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# A folder, because SQLite makes and removes files beside its own: that must not look like a change of the store.
INDEX_NAME = ".index-v2"
DATABASE_NAME = "runs.sqlite3"
_VERSION = 1
"""Of the tables; a file with another one is set aside and filled again."""
_PATIENCE = 10.0
"""How long a writer waits for another [s]."""
_KEPT = 4
"""Opening costs ten times what an insert does, so a process keeps its few newest connections."""
_AGAIN = 60.0
"""After this time [s] a file that was locked or full is tried again."""

_TABLES = """
CREATE TABLE folders (
    n INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER NOT NULL, path BLOB NOT NULL UNIQUE, mtime INTEGER
);
INSERT INTO folders VALUES (1, 0, x'', NULL);
CREATE INDEX folders_parent ON folders(parent);
CREATE TABLE runs (
    n INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL, place BLOB NOT NULL, folder TEXT NOT NULL,
    mtime INTEGER, size INTEGER, notes_mtime INTEGER, notes_size INTEGER, read_at INTEGER,
    shown INTEGER NOT NULL, beside INTEGER NOT NULL,
    id TEXT, model TEXT, status TEXT, created INTEGER, seconds REAL, steps INTEGER, phase TEXT, problem TEXT,
    title TEXT, source TEXT, source_sha256 TEXT, package TEXT, version TEXT,
    host TEXT, process INTEGER, started, capped INTEGER
);
CREATE UNIQUE INDEX runs_place ON runs(parent, place);
CREATE INDEX runs_id ON runs(id);
CREATE INDEX runs_beside ON runs(id) WHERE beside = 1;
CREATE INDEX runs_capped ON runs(n) WHERE capped = 1;
CREATE TABLE names (n INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (kind, name));
CREATE TABLE facts (run INTEGER NOT NULL, name INTEGER NOT NULL, value, PRIMARY KEY (run, name)) WITHOUT ROWID;
CREATE TABLE tags (run INTEGER NOT NULL, tag TEXT NOT NULL, rank INTEGER, PRIMARY KEY (run, tag)) WITHOUT ROWID;
CREATE INDEX tags_tag ON tags(tag, run);
CREATE TABLE work (name TEXT PRIMARY KEY, value INTEGER);
"""
# They are left out while very many records are added: made at once, they cost a tenth.
_LOOKUPS = {
    "runs_created": "runs(created) WHERE shown = 1",
    "runs_model": "runs(model, created, status) WHERE shown = 1",
    "runs_status": "runs(status, created) WHERE shown = 1",
    "facts_name": "facts(name, value, run)",
}


def add_lookups(connection: sqlite3.Connection) -> None:
    """Make the indexes by which runs are found fast, where they are missing."""
    for name, columns in _LOOKUPS.items():
        connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")


def drop_lookups(connection: sqlite3.Connection) -> None:
    """Do without them for a while: questions are answered all the same."""
    for name in _LOOKUPS:
        connection.execute(f"DROP INDEX IF EXISTS {name}")


class UnusableError(Exception):
    """The index's file is of another version, or none of ours."""


NOT_USABLE = (sqlite3.Error, UnusableError, ValueError, TypeError, OverflowError)
"""What a damaged index, or rows that nobody here wrote, end in."""


class Database:
    """
    One open index.

    Parameters
    ----------
    connection : sqlite3.Connection
        Ready for questions.
    inode : int or None
        Which file it is; None in memory.
    reason : str
        Why it is in memory.
    until : float
        When the file is tried again, by :func:`time.monotonic`.
    """

    def __init__(
        self, connection: sqlite3.Connection, *, inode: int | None = None, reason: str = "", until: float = 0.0
    ) -> None:
        self.connection = connection
        self.inode = inode
        self.reason = reason
        self.until = until
        self._names: dict[tuple[int, str], int] = {}

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hold one transaction: all of it is written, or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            self._names.clear()  # numbers that were given in this transaction are not given
            with suppress(sqlite3.Error):  # it has ended by itself, as on a full disk
                self.connection.execute("ROLLBACK")
            raise

    def numbers(self, names: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
        """Return the number of each (kind, name); inside of a transaction, new ones are given."""
        for key in names:
            if key not in self._names:
                number = self.number(*key)
                if number is None:
                    number = self.connection.execute("INSERT INTO names (kind, name) VALUES (?, ?)", key).lastrowid
                assert number is not None  # for the type checker: an INSERT has a rowid
                self._names[key] = number
        return self._names

    def number(self, kind: int, name: str) -> int | None:
        """Return the number of a name; None when no record has it."""
        found = self.connection.execute("SELECT n FROM names WHERE kind = ? AND name = ?", (kind, name)).fetchone()
        return None if found is None else int(found[0])


_locks = [threading.RLock()]
_open: dict[str, Database] = {}
_inherited: list[Database] = []
"""What a forked child must neither use nor close."""


def _after_fork() -> None:
    _inherited.extend(_open.values())
    _open.clear()
    _locks[0] = threading.RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def database(root: Path) -> Iterator[Database]:
    """
    Hold a store's index open for a short while; threads take turns.

    What damages or locks the file is mended by opening it again, or by an index in memory: see :func:`recover`.
    """
    with _locks[0]:
        yield _database(root)


def is_there(root: Path) -> bool:
    """Tell whether a store has an index already, on disk or in this process's memory."""
    return key_of(root) in _open or _path(root).exists()


def is_open(root: Path) -> bool:
    """Tell whether this process holds the index of a store open, and its file is still the same."""
    kept = _open.get(key_of(root))
    return kept is not None and (kept.inode is None or kept.inode == _inode(_path(root)))


def recover(root: Path, error: Exception, attempt: int) -> None:
    """
    Make the index usable after an error: the first time a new file, after that memory.

    Parameters
    ----------
    root : Path
        The store's folder.
    error : Exception
        What went wrong.
    attempt : int
        How often before.
    """
    with _locks[0]:
        kept = _open.get(key_of(root))
        is_patience_over = getattr(error, "sqlite_errorcode", 0) & 0xFF in (
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
        )
        if attempt == 0 and not is_patience_over:
            if _is_damage(error) and (kept is None or kept.inode is None or kept.inode == _inode(_path(root))):
                set_aside(root)
            else:
                close(root)
            return
        close(root)
        _keep(key_of(root), _in_memory(str(error)))


def close(root: Path) -> None:
    """Let go of a store's index; the next use opens it again."""
    with _locks[0]:
        kept = _open.pop(key_of(root), None)
        if kept is not None:
            kept.connection.close()


def set_aside(root: Path) -> None:
    """Rename a damaged index, for those who want to know what damaged it; there is one such at most."""
    close(root)
    folder = root / INDEX_NAME
    damaged = folder.with_name(f"{INDEX_NAME}.damaged")
    import shutil  # noqa: PLC0415 -- only here

    with suppress(OSError):  # another process did it, or the store cannot be written: then memory helps
        shutil.rmtree(damaged, ignore_errors=True)
        folder.rename(damaged)


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return not isinstance(error, OSError) and code in (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def _database(root: Path) -> Database:
    key = key_of(root)
    kept = _open.get(key)
    if kept is not None:
        if kept.inode is None and time.monotonic() < kept.until:
            return kept
        if kept.inode is not None and kept.inode == _inode(f"{key}{os.sep}{INDEX_NAME}{os.sep}{DATABASE_NAME}"):
            return kept
    opened = _opened(root)
    if isinstance(opened, str):
        if kept is not None and kept.inode is None:  # it is still of use, and the file is not
            kept.until = time.monotonic() + _AGAIN
            return kept
        opened = _in_memory(opened)
    close(root)
    _keep(key, opened)
    return opened


def _keep(key: str, opened: Database) -> None:
    for oldest in list(_open)[: max(0, len(_open) - _KEPT + 1)]:
        _open.pop(oldest).connection.close()
    _open[key] = opened


def _opened(root: Path) -> Database | str:
    """Open the file; or say why that cannot be."""
    network = network_type(root)
    if network:
        return f"the folder lies on a network file system ({network}), where SQLite's locks cannot be trusted"
    try:
        return _on_disk(root)
    except (sqlite3.Error, UnusableError) as error:
        if not isinstance(error, UnusableError) and not _is_damage(error):
            return str(error)
        set_aside(root)
    except OSError as error:
        return error.strerror or str(error)
    try:
        return _on_disk(root)
    except (sqlite3.Error, UnusableError, OSError) as error:
        return str(error)


def _on_disk(root: Path) -> Database:
    path = _path(root)
    if path.parent.is_symlink():
        raise NotADirectoryError(20, f"{path.parent.name} is a link, which is not followed")
    path.parent.mkdir(exist_ok=True)
    if not path.exists():  # people keep their runs in git, and a cache does not belong there
        path.with_name(".gitignore").write_text("*\n", encoding="utf-8")
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        _settle(connection)
        return Database(connection, inode=path.stat().st_ino)
    except BaseException:
        connection.close()
        raise


def _settle(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:  # SQLite waits for locks, but not with this one
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode not in ("wal", "memory"):
        raise OSError(0, "SQLite cannot keep a write-ahead log in that folder")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut takes the last rows at most: a scan finds them
    connection.execute("PRAGMA cache_size = -32000")  # [KiB], as negative numbers are
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")  # [pages]; each checkpoint waits for the disk
    if _version(connection) == 0:
        _create(connection)
    if _version(connection) != _VERSION:
        raise UnusableError("the index is of another version")
    add_lookups(connection)


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) == 0:  # no other process was faster
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _in_memory(reason: str) -> Database:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _settle(connection)
    return Database(connection, reason=reason, until=time.monotonic() + _AGAIN)


def key_of(root: Path) -> str:
    """Return what a store is known by in this process."""
    return os.path.abspath(root)  # noqa: PTH100 -- several times a run; links are the caller's business


def _path(root: Path) -> Path:
    return root / INDEX_NAME / DATABASE_NAME


def _inode(path: Path | str) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 -- a text, once a run
    except OSError:
        return None
