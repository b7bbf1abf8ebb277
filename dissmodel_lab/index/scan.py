"""What changed in a store since the index was filled: which files to read, which rows to drop.

A folder named as the store names them (``20261123T120000-flood-ab12cd34``) that holds a record is a run's own: the
run is listed, and what lies beside the record is not looked at. Every other folder under the store is looked
through for records: ``record.json``, ``experiment_record.json``, ``*.record.json``, and any other ``*.json`` that has
an ``experiment_id``. Hidden folders and links are left alone: a link may lead in a circle, or out of the store.

How much is looked at depends on the size of the store, so that a listing stays fast:

- up to 1,000 records, in up to 1,000 folders: everything, at each listing;
- above: folders whose time of change is another one (a record was added or removed there), each run that was
  running, and each record that is about to be shown. A record or a tag that was changed by other means than this
  store, and does not fit the question as it was before, is found by the next :meth:`RunStore.reindex`.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import stat
import time
from collections import deque
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from dissmodel_lab.index.rows import Found, drop_folder, drop_rows, note_folder, stamps_of, write_rows
from dissmodel_lab.index.tables import add_lookups, drop_lookups
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from dissmodel_lab.index.tables import Database

Reader: TypeAlias = "Callable[[Iterator[list[bytes]], int], Generator[list[Found | None]]]"
"""Reads batches of files, of which so many are expected; None stands for a file that is gone."""

_FEW = 1_000
"""Records and folders of a store that is looked at as a whole."""
_MOST_FOLDERS = 10_000
"""Folders that are looked through at all."""
_WATCHED = 1_000
"""Folders whose time of change is looked at in a large store: the first that were found, nearest to the store's."""
# As the store names them: by moment, model and id; those of a sweep by their point, and the attempt after the first.
_OWN_NAME = re.compile(rb"\d{8}T\d{6}-|\d{6,}(?:-\d+)?\Z")
_RECORD = b"record.json"
_SETTLED = 2_000_000_000
"""A folder that changed less than this time ago [ns] may change again without another time of change."""
_STAMPS = "SELECT read_at, mtime, size, notes_mtime, notes_size FROM runs WHERE parent = ? AND place = ?"
_VERY_MANY = 5_000
_BATCH = 250
"""Records that are read before they are written to the index: an interrupted scan goes on behind them."""


class File(NamedTuple):
    """Where a record lies."""

    parent: int
    """Number of the folder that was looked through."""
    place: bytes
    """Its path in that folder: ``name``, or ``run/record.json``."""
    path: bytes


class Scan:
    """
    One look at a store.

    Parameters
    ----------
    root : Path
        The store's folder.
    opened : callable
        Gives the index, for a short while each.
    read : callable
        Reads records' files.
    """

    def __init__(self, root: Path, opened: Callable[[], AbstractContextManager[Database]], read: Reader) -> None:
        self._root = os.fsencode(root)
        self._opened = opened
        self._read = read
        self.notices: list[str] = []
        """What could not be looked at."""
        self.n_removed = 0
        self.is_whole = False
        """True when everything was looked at."""
        self._began = time.time_ns()
        self._dropped: set[int] = set()

    def quick(self) -> None:
        """Look at what a listing looks at."""
        with self._opened() as database:
            self.is_whole = not any(
                database.connection.execute(f"SELECT 1 FROM {table} LIMIT 1 OFFSET ?", (_FEW,)).fetchone()  # noqa: S608 -- names of tables
                for table in ("runs", "folders")
            )
        if self.is_whole:
            self._check_rows(before=None)
        self._look_through(every=self.is_whole)

    def whole(self, before: int) -> None:
        """Look at everything, and read each record again that was last read before a moment [ns since 1970]."""
        self.is_whole = True
        self._began = before
        self._check_rows(before)
        self._look_through(every=True)

    def again(self, files: Iterable[File]) -> None:
        """Read some records again."""
        self._take(iter(files))

    # --- records that the index knows

    def _check_rows(self, before: int | None) -> None:
        """Drop the rows of records that are gone; read those that changed, or were last read before a moment."""
        last = 0
        while True:
            with self._opened() as database:
                rows = database.connection.execute(
                    "SELECT r.n, r.parent, r.place, f.path, r.mtime, r.size, r.notes_mtime, r.notes_size, r.read_at "
                    "FROM runs AS r JOIN folders AS f ON f.n = r.parent WHERE r.n > ? ORDER BY r.n LIMIT ?",
                    (last, 4 * _BATCH),
                ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            gone, changed = [], []
            for n, parent, place, folder, *stamps, read_at in rows:
                file = File(parent, place, self._path(folder, place))
                now = stamps_of(file.path)
                if now is None:
                    gone.append(n)
                elif list(now) != stamps or (before is not None and read_at < before):
                    changed.append(file)
            if gone:
                with self._opened() as database, database.writing():
                    drop_rows(database, gone)
                self.n_removed += len(gone)
            self._take(iter(changed))

    # --- folders

    def _look_through(self, *, every: bool) -> None:
        with self._opened() as database:
            known = database.connection.execute(
                "SELECT n, path, mtime FROM folders ORDER BY n LIMIT ?", (_MOST_FOLDERS if every else _WATCHED,)
            ).fetchall()
        waiting = deque(known)
        n_seen = len(known)
        while waiting:
            n, path, mtime = waiting.popleft()
            for found in self._folder(n, path, None if every else mtime):
                if n_seen >= _MOST_FOLDERS:
                    self.notices.append(
                        message(
                            "Only the first {most_folders:,} folders were looked through. Keep runs in a folder of "
                            "their own.",
                            most_folders=_MOST_FOLDERS,
                        )
                    )
                    return
                n_seen += 1
                waiting.append((*found, None))

    def _folder(self, n: int, path: bytes, mtime: int | None) -> list[tuple[int, bytes]]:
        """Look through one folder, unless it is as it was; return the folders in it that are new."""
        if n in self._dropped:
            return []
        at = time.time_ns()
        folder = self._path(path, b"")
        try:
            facts = os.lstat(folder) if path else os.stat(folder)  # noqa: PTH116 -- bytes
            if not stat.S_ISDIR(facts.st_mode):  # a link now, or a file
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if facts.st_mtime_ns == mtime:
                return []
            if path and self._became_a_run(n, path, folder):
                return []
            with self._opened() as database:  # before the folder is listed: what is known and not there is gone
                known = _known(database, n)
            listing = _listed(folder, known)
            if path and _RECORD in listing.unknown and self._became_a_run(n, path, folder):  # just now
                return []
        except OSError as error:
            if not path:
                raise
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                self._drop(n)
                return []
            self.notices.append(
                message(
                    "{fsdecode!r} cannot be looked through: {strerror}.",
                    fsdecode=os.fsdecode(path),
                    strerror=error.strerror or error,
                )
            )
            return []
        self._take_all([File(n, place, joined(folder, place)) for place in listing.unknown])
        return self._close(n, path, listing, facts.st_mtime_ns if at - facts.st_mtime_ns > _SETTLED else None)

    def _close(self, n: int, path: bytes, listing: _Listing, mtime: int | None) -> list[tuple[int, bytes]]:
        new = []
        with self._opened() as database:
            if not (listing.folders or listing.gone or mtime is not None):
                return []
            with database.writing() as connection:
                for name in listing.folders:
                    inner = joined(path, name)
                    new.append((note_folder(database, n, inner), inner))
                gone = [number for kind, number in listing.gone if kind == "run"]
                drop_rows(database, gone)
                self.n_removed += len(gone)
                connection.execute("UPDATE folders SET mtime = ? WHERE n = ?", (mtime, n))
        for kind, number in listing.gone:
            if kind == "folder":
                self._drop(number)
        return new

    def _drop(self, n: int) -> None:
        with self._opened() as database, database.writing():
            folders, n_runs = drop_folder(database, n)
        self._dropped |= folders
        self.n_removed += n_runs

    def _became_a_run(self, n: int, path: bytes, folder: bytes) -> bool:
        """Tell whether a folder is a run's own after all: it is made before its record."""
        above, _, name = path.rpartition(b"/")
        if not _is_run(folder, name):
            return False
        self._drop(n)
        with self._opened() as database:
            row = database.connection.execute("SELECT n FROM folders WHERE path = ?", (above,)).fetchone()
        if row is not None:
            place = joined(name, _RECORD)
            self._take(iter([File(row[0], place, joined(folder, _RECORD))]))
        return True

    # --- reading

    def _take_all(self, files: list[File]) -> None:
        with self._opened() as database:
            n_runs = database.connection.execute("SELECT max(n) FROM runs").fetchone()[0] or 0
        if len(files) < _VERY_MANY or n_runs > len(files):
            self._take(iter(files))
            return
        with self._opened() as database:
            drop_lookups(database.connection)
        try:
            self._take(iter(files), len(files))
        finally:
            with self._opened() as database, suppress(sqlite3.Error):  # whoever opens it next makes it
                add_lookups(database.connection)

    def _take(self, files: Iterator[File], n_files: int = 0) -> None:
        """Read records in batches, each written to the index at once."""
        asked: deque[list[File]] = deque()

        def batches() -> Iterator[list[bytes]]:
            while batch := list(islice(files, _BATCH)):
                asked.append(self._left(batch))
                yield [file.path for file in asked[-1]]

        with closing(self._read(batches(), n_files)) as read:  # it may hold other processes
            for found in read:
                pairs = list(zip(asked.popleft(), found, strict=True))
                gone = [file for file, one in pairs if one is None]
                with self._opened() as database, database.writing():
                    write_rows(database, [(file.parent, file.place, one) for file, one in pairs if one is not None])
                    drop_rows(database, _numbers(database, gone))

    def _left(self, batch: list[File]) -> list[File]:
        """Leave out what another process has read since this look began, where two look at once."""
        with self._opened() as database:
            if not self._is_read(database, batch[-1]):
                return batch
            return [file for file in batch if not self._is_read(database, file)]

    def _is_read(self, database: Database, file: File) -> bool:
        row = database.connection.execute(_STAMPS, (file.parent, file.place)).fetchone()
        return row is not None and row[0] >= self._began and row[1:] == stamps_of(file.path)

    def _path(self, folder: bytes, place: bytes) -> bytes:
        return joined(self._root, folder, place)


class _Listing(NamedTuple):
    """What a folder holds that the index does not know, and the other way around."""

    unknown: list[bytes]
    """Places of files to read."""
    folders: list[bytes]
    """Names of folders to look through."""
    gone: list[tuple[str, int]]
    """What is no more: ``run`` or ``folder``, and its number."""


class _Known(NamedTuple):
    """What the index knows of a folder, by name."""

    runs: dict[bytes, int]
    """Folders of runs."""
    files: dict[bytes, tuple[int, tuple[int, int]]]
    """Files, with their time of change and size."""
    folders: dict[bytes, int]


def joined(*parts: bytes) -> bytes:
    """
    Join the parts of a path; empty ones are left out.

    Examples
    --------
    >>> joined(b"experiments", b"", b"a/record.json")
    b'experiments/a/record.json'
    """
    return b"/".join(part for part in parts if part)


def _numbers(database: Database, files: list[File]) -> list[int]:
    sql = "SELECT n FROM runs WHERE parent = ? AND place = ?"
    rows = [database.connection.execute(sql, (file.parent, file.place)).fetchone() for file in files]
    return [row[0] for row in rows if row is not None]


def _known(database: Database, n: int) -> _Known:
    connection = database.connection
    runs: dict[bytes, int] = {}
    for place, number in connection.execute("SELECT place, n FROM runs WHERE parent = ?", (n,)):
        run, slash, _ = place.partition(b"/")
        if slash:
            runs[run] = number
    files = "SELECT place, n, mtime, size FROM runs WHERE parent = ? AND instr(place, ?) = 0"
    folders = "SELECT path, n FROM folders WHERE parent = ?"
    return _Known(
        runs,
        {place: (number, (mtime, size)) for place, number, mtime, size in connection.execute(files, (n, b"/"))},
        {path.rpartition(b"/")[2]: number for path, number in connection.execute(folders, (n,))},
    )


def _listed(folder: bytes, known: _Known) -> _Listing:
    """List a folder; what was known and is there is taken from ``known``."""
    runs, files, folders = known
    unknown, new = [], []
    with os.scandir(folder) as items:
        for item in items:
            name = item.name
            if name.startswith(b".") or item.is_symlink():
                continue
            if runs.pop(name, None) is not None or folders.pop(name, None) is not None:
                continue
            if item.is_dir(follow_symlinks=False):
                if _is_run(joined(folder, name), name):
                    unknown.append(joined(name, _RECORD))
                else:
                    new.append(name)
            elif (
                name.endswith(b".json")
                and item.is_file(follow_symlinks=False)
                and _changed_since(item, files.pop(name, None))
            ):
                unknown.append(name)
    gone = [("run", n) for n in runs.values()] + [("run", n) for n, _ in files.values()]
    return _Listing(unknown, new, gone + [("folder", n) for n in folders.values()])


def _changed_since(item: os.DirEntry[bytes], known: tuple[int, tuple[int, int]] | None) -> bool:
    if known is None:
        return True
    try:
        facts = item.stat(follow_symlinks=False)
    except OSError:  # removed since: the next look finds that
        return False
    return (facts.st_mtime_ns, facts.st_size) != known[1]


def _is_run(folder: bytes, name: bytes) -> bool:
    """Tell whether a folder is a run's own: named as the store names them, with a record."""
    if not _OWN_NAME.match(name):
        return False
    try:
        return stat.S_ISREG(os.lstat(joined(folder, _RECORD)).st_mode)
    except OSError:
        return False
