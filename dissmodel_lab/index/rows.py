"""Rows of the index: written, kept equal to the files, and removed."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from dissmodel_lab.index.entries import RECORD_NAME
from dissmodel_lab.index.summaries import Summary, Value

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence

    from dissmodel_lab.index.tables import Database

ROOT = 1
"""Number of the store's own folder."""
_RECORD = RECORD_NAME.encode()
_NOTES = b"annotations.jsonl"
NO_FILE = -1

_FIELDS = Summary._fields[:-1]
_COLUMNS = ("folder", "mtime", "size", "notes_mtime", "notes_size", "shown", "beside", *_FIELDS)
_READ = f"SELECT n, place, {', '.join(_COLUMNS)} FROM runs WHERE parent = ? AND place IN"  # noqa: S608 -- names of columns
_INSERT = (
    f"INSERT INTO runs (n, parent, place, read_at, {', '.join(_COLUMNS)}) "  # noqa: S608 -- as above
    f"VALUES (?, ?, ?, ?{', ?' * len(_COLUMNS)})"
)
_MANY = 250
_UPDATE = f"UPDATE runs SET read_at = ?, {', '.join(f'{name} = ?' for name in _COLUMNS)} WHERE n = ?"  # noqa: S608 -- as above
# The record beside an output is a second copy of the one in the run's folder: one of them is listed.
_HIDE_COPIES = (
    "UPDATE runs SET shown = NOT EXISTS (SELECT 1 FROM runs AS own WHERE own.id = runs.id AND own.beside = 0) "
    "WHERE id = ? AND beside = 1"
)


class Found(NamedTuple):
    """What was found in one file."""

    stamps: tuple[int, int, int, int]
    """Time of change [ns] and size [bytes] of the file, and of the annotations beside it (-1: there are none)."""
    read_at: int
    """When it was read [ns since 1970]."""
    summary: Summary | None
    """None when it is no record at all."""
    tags: tuple[str, ...] = ()


def notes_path(path: bytes) -> bytes:
    """
    Return where the annotations of a record lie, as :func:`dissmodel_lab.annotations.annotations_path` does.

    Examples
    --------
    >>> notes_path(b"experiments/out/flood.tif.record.json")
    b'experiments/out/flood.tif.record.annotations.jsonl'
    """
    folder, slash, name = path.rpartition(b"/")
    return folder + slash + (_NOTES if name == _RECORD else os.path.splitext(name)[0] + b"." + _NOTES)  # noqa: PTH122 -- bytes


def stamps_of(path: bytes, facts: os.stat_result | None = None) -> tuple[int, int, int, int] | None:
    """
    Return the stamps of a record's file, see :class:`Found`; None when there is no such file.

    Examples
    --------
    >>> stamps_of(b"no/such/record.json") is None
    True
    """
    try:
        facts = os.lstat(path) if facts is None else facts
    except OSError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    try:
        notes = os.lstat(notes_path(path))
    except OSError:
        return facts.st_mtime_ns, facts.st_size, NO_FILE, NO_FILE
    return facts.st_mtime_ns, facts.st_size, notes.st_mtime_ns, notes.st_size


def write_rows(database: Database, found: Sequence[tuple[int, bytes, Found]]) -> None:
    """
    Write what was found, inside of a transaction.

    Parameters
    ----------
    database : Database
        The index.
    found : sequence
        Number of the folder, place in it, and what was found there; a folder that is gone by now is left out.
    """
    connection = database.connection
    names = {parent: _folder_name(connection, parent) for parent in {parent for parent, _, _ in found}}
    latest = {(parent, place): one for parent, place, one in found if names[parent] is not None}
    before = _rows_before(connection, latest)
    number = connection.execute("SELECT max(n) FROM runs").fetchone()[0] or 0
    new: list[tuple[object, ...]] = []
    facts: list[tuple[int, int, object]] = []
    ids: set[str] = set()
    for (parent, place), one in latest.items():
        row = _row(place, names[parent] or "", one)
        old = before.get((parent, place))
        if old is None:
            number += 1
            n = number
            new.append((n, parent, place, one.read_at, *row))
        else:
            n = old[0]
            _update(connection, old, one.read_at, row)
            ids.add(str(old[1][_COLUMNS.index("id")] or ""))
        if one.summary is not None:
            ids.add(one.summary.id)
            numbers = database.numbers(one.summary.facts)
            facts += _new_facts(
                connection,
                n,
                {numbers[key]: value for key, value in one.summary.facts.items()},
                is_known=old is not None,
            )
        elif old is not None:
            _forget(connection, n)
        _write_tags(connection, n, one.tags, is_known=old is not None)
    connection.executemany(_INSERT, new)
    connection.executemany("INSERT INTO facts VALUES (?, ?, ?)", facts)
    if connection.execute("SELECT 1 FROM runs WHERE beside = 1 LIMIT 1").fetchone() is not None:
        connection.executemany(_HIDE_COPIES, [(one,) for one in ids if one])


def _rows_before(
    connection: sqlite3.Connection, places: Collection[tuple[int, bytes]]
) -> dict[tuple[int, bytes], tuple[int, tuple[object, ...]]]:
    """Return the number and the columns of those rows that are there."""
    found = {}
    for parent in {parent for parent, _ in places}:
        wanted = [place for other, place in places if other == parent]
        for first in range(0, len(wanted), _MANY):
            some = wanted[first : first + _MANY]
            sql = f"{_READ} ({', '.join('?' * len(some))})"
            for n, place, *row in connection.execute(sql, (parent, *some)):
                found[parent, place] = (n, tuple(row))
    return found


def _update(
    connection: sqlite3.Connection, old: tuple[int, tuple[object, ...]], read_at: int, row: tuple[object, ...]
) -> None:
    if old[1] == row:
        connection.execute("UPDATE runs SET read_at = ? WHERE n = ?", (read_at, old[0]))
    else:
        connection.execute(_UPDATE, (read_at, *row, old[0]))


def _folder_name(connection: sqlite3.Connection, n: int) -> str | None:
    if n == ROOT:  # it is always there, and has no name
        return ""
    row = connection.execute("SELECT path FROM folders WHERE n = ?", (n,)).fetchone()
    return None if row is None else _name(row[0])


def _name(path: bytes) -> str:
    return os.fsdecode(path.rpartition(b"/")[2]).encode("utf-8", "backslashreplace").decode()


def _row(place: bytes, folder: str, found: Found) -> tuple[object, ...]:
    run, _, name = place.rpartition(b"/")
    summary = found.summary
    beside = name != _RECORD and summary is not None
    # That it is a second copy is found out when all of them are written.
    values = (None,) * len(_FIELDS) if summary is None else summary[:-1]
    return (_name(run) if run else folder, *found.stamps, int(summary is not None), int(beside), *values)


def _new_facts(
    connection: sqlite3.Connection, n: int, new: dict[int, Value], *, is_known: bool
) -> list[tuple[int, int, object]]:
    if is_known:
        old = dict(connection.execute("SELECT name, value FROM facts WHERE run = ?", (n,)).fetchall())
        if old == new and [*map(type, old.values())] == [type(new[name]) for name in old]:
            return []
        connection.execute("DELETE FROM facts WHERE run = ?", (n,))
    return [(n, name, value) for name, value in new.items()]


def _write_tags(connection: sqlite3.Connection, n: int, tags: Iterable[str], *, is_known: bool) -> None:
    if is_known:
        connection.execute("DELETE FROM tags WHERE run = ?", (n,))
    if tags:
        rows = [(n, tag, rank) for rank, tag in enumerate(dict.fromkeys(tags))]
        connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", rows)


def _forget(connection: sqlite3.Connection, n: int) -> None:
    connection.execute("DELETE FROM facts WHERE run = ?", (n,))
    connection.execute("DELETE FROM tags WHERE run = ?", (n,))


def drop_rows(database: Database, numbers: Iterable[int]) -> None:
    """Remove runs whose record is gone, inside of a transaction."""
    connection = database.connection
    for n in numbers:
        row = connection.execute("SELECT id FROM runs WHERE n = ?", (n,)).fetchone()
        if row is not None:
            connection.execute("DELETE FROM runs WHERE n = ?", (n,))
            _forget(connection, n)
            connection.execute(_HIDE_COPIES, row)


def drop_folder(database: Database, n: int) -> tuple[set[int], int]:
    """
    Remove a folder that is gone, and all that was in it, inside of a transaction.

    Returns
    -------
    set of int
        The numbers of the folders.
    int
        How many runs were in them.
    """
    connection = database.connection
    rows = connection.execute("SELECT n FROM runs WHERE parent = ?", (n,)).fetchall()
    drop_rows(database, [row[0] for row in rows])
    inner = connection.execute("SELECT n FROM folders WHERE parent = ?", (n,)).fetchall()
    connection.execute("DELETE FROM folders WHERE n = ? AND n != ?", (n, ROOT))
    dropped, n_runs = {n}, len(rows)
    for row in inner:
        folders, n_inner = drop_folder(database, row[0])
        dropped |= folders
        n_runs += n_inner
    return dropped, n_runs


def note_folder(database: Database, parent: int, path: bytes) -> int:
    """Note a folder that is looked through, inside of a transaction; return its number."""
    connection = database.connection
    connection.execute("INSERT OR IGNORE INTO folders (parent, path) VALUES (?, ?)", (parent, path))
    return int(connection.execute("SELECT n FROM folders WHERE path = ?", (path,)).fetchone()[0])
