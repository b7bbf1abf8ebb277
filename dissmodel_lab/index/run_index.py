"""The index of one store: filled from its folders, asked for runs."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dissmodel_lab.index import arrivals
from dissmodel_lab.index.entries import LOST, QUEUED, UNREADABLE, Reindexed, RunEntry, RunQuery
from dissmodel_lab.index.queries import COLUMNS, NEWEST, counting, selection, sorted_index
from dissmodel_lab.index.rows import stamps_of
from dissmodel_lab.index.scan import File, Scan, joined
from dissmodel_lab.index.summaries import MOST_FACTS, moment
from dissmodel_lab.index.tables import NOT_USABLE, Database, close, database, is_there, recover
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from dissmodel_lab.index.rows import Found

_T = TypeVar("_T")
_ATTEMPTS = 3
_ROUNDS = 3
"""How often a selection is asked again when records that it found have changed meanwhile."""
_RUNNING, _PENDING = "running", "pending"
_REINDEX = "reindex"
_A_DAY = 86_400 * 10**9
"""A reindexing that was interrupted longer ago [ns] is begun again."""
_MANY = 500
_MOST_NAMES = 5_000


class Records(Protocol):
    """What the index must be told of records: only the store can read them."""

    def read(self, batches: Iterator[list[bytes]], n_files: int) -> Generator[list[Found | None]]:
        """Read batches of files, of which so many are expected; None stands for a file that is gone."""

    def is_alive(self, host: str, process: int | None, started: float | str | None) -> bool:
        """Tell whether a run's process is still there."""

    def phase(self, folder: bytes) -> str:
        """Return the phase that a run is in, or was in last."""


class RunIndex:
    """
    The index of one store.

    Parameters
    ----------
    root : Path
        The store's folder; the index is a hidden folder in it.
    records : Records
        Reads records.
    """

    def __init__(self, root: Path, records: Records) -> None:
        self._root = root
        self._records = records
        self._notices: list[str] = []

    @property
    def notices(self) -> list[str]:
        """What a person should know of this index since the last listing."""
        return list(self._notices)

    def add(self, folder: str, look: Callable[[], Found]) -> None:
        """
        Note a run of this store that has ended; it is written together with others, a moment later.

        Parameters
        ----------
        folder : str
            Name of the run's folder.
        look : callable
            Returns what its record says.
        """
        arrivals.add(self._root, os.fsencode(folder) + b"/record.json", look)

    def newest_completed(self, model_name: str, limit: int) -> list[Path]:
        """
        Return the records of a model's newest completed runs, as far as the index knows them; nothing is scanned.

        Parameters
        ----------
        model_name : str
            As records have it.
        limit : int
            How many at most.
        """
        arrivals.bring_in(self._root)
        if not is_there(self._root):
            return []
        query = RunQuery(model=model_name, status="completed", limit=limit)
        try:
            with database(self._root) as opened:
                rows = _rows(opened, query)
                return [self._path_of(opened, row) for row in rows]
        except (*NOT_USABLE, OSError):
            return []  # a cache that cannot be asked knows nothing

    def select(self, query: RunQuery) -> list[RunEntry]:
        """
        Return the runs that fit a query, after a look at what changed: see :mod:`dissmodel_lab.index.scan`.

        Raises
        ------
        OSError
            When the store's folder cannot be read.
        """
        return self._attempt(lambda: self._select(query), [])

    def count(self, query: RunQuery) -> int:
        """
        Return how many runs fit a query, after the same look.

        Raises
        ------
        OSError
            When the store's folder cannot be read.
        """

        def count() -> int:
            self._refresh()
            with database(self._root) as opened:
                question = counting(opened, query)
                return int(opened.connection.execute(question.sql, question.values).fetchone()[0])

        return self._attempt(count, 0)

    def starting_with(self, begin: str) -> list[RunEntry]:
        """
        Return the runs whose id begins so, and those whose folder or file has that name, the newest first.

        Raises
        ------
        OSError
            When the store's folder cannot be read.
        """
        sql = (
            f"SELECT {COLUMNS} FROM runs AS r WHERE r.shown = 1 "  # noqa: S608 -- only this module's own texts
            "AND ((r.id >= ? AND r.id <= ? AND substr(r.id, 1, ?) = ?) OR r.folder = ? OR r.place = ?) "
            f"ORDER BY {NEWEST}"
        )
        text = begin.encode("utf-8", "backslashreplace").decode()
        name = text.rpartition("/")[2]
        values = (text, text + "\U0010ffff", len(text), text, name, name.encode())

        def find() -> list[RunEntry]:
            self._refresh()
            with database(self._root) as opened:
                return self._entries(opened, opened.connection.execute(sql, values).fetchall())

        return self._attempt(find, [])

    def known_names(self) -> list[str]:
        """Return the names of parameters and metrics that records have, as far as the index knows; sorted."""
        sql = (
            "SELECT DISTINCT name FROM names WHERE EXISTS (SELECT 1 FROM facts WHERE facts.name = names.n) "
            "ORDER BY name LIMIT ?"
        )

        def names() -> list[str]:
            with database(self._root) as opened:
                return [str(row[0]) for row in opened.connection.execute(sql, (_MOST_NAMES,))]

        return self._attempt(names, [])

    def reindex(self) -> Reindexed:
        """
        Read all records again; what was interrupted goes on, and several processes share the work.

        Raises
        ------
        OSError
            When the store's folder cannot be read.
        """
        began = time.monotonic()
        found = self._attempt(self._reindex, (0, 0, 0))
        return Reindexed(*found, seconds=time.monotonic() - began)

    def update(self, path: Path) -> None:
        """Read one listed record again, and what people added to it."""

        def update() -> None:
            with database(self._root) as opened:
                file = _file_of(opened, os.fsencode(path.relative_to(self._root).as_posix()), os.fsencode(path))
            if file is not None:
                self._scan().again([file])

        self._attempt(update, None)

    def close(self) -> None:
        """Let go of the index file; the next use opens it again."""
        arrivals.bring_in(self._root)
        close(self._root)

    # --- mending

    def _attempt(self, action: Callable[[], _T], nothing: _T) -> _T:
        """Do something with the index; when that fails, mend it and do it again."""
        arrivals.bring_in(self._root)
        if not _has_anything(self._root):
            self._notices = []
            return nothing
        for attempt in range(_ATTEMPTS):
            try:
                return action()
            except NOT_USABLE as error:
                if attempt == _ATTEMPTS - 1:
                    raise
                recover(self._root, error, attempt)
        raise AssertionError  # for the type checker: the last attempt returns or raises

    def _scan(self) -> Scan:
        return Scan(self._root, lambda: database(self._root), self._records.read)

    # --- filling

    def _refresh(self) -> bool:
        """Bring the index up to date; True when everything was looked at."""
        scan = self._scan()
        scan.quick()
        self._watch_running(scan)
        self._tell(scan)
        return scan.is_whole

    def _reindex(self) -> tuple[int, int, int]:
        now = time.time_ns()
        with database(self._root) as opened, opened.writing() as connection:
            connection.execute("DELETE FROM work WHERE value < ?", (now - _A_DAY,))
            connection.execute("INSERT OR IGNORE INTO work VALUES (?, ?)", (_REINDEX, now))
            before = connection.execute("SELECT value FROM work WHERE name = ?", (_REINDEX,)).fetchone()[0]
        scan = self._scan()
        scan.whole(before)
        self._watch_running(scan)
        self._tell(scan)
        with database(self._root) as opened:
            with opened.writing() as connection:
                connection.execute("DELETE FROM work WHERE name = ? AND value = ?", (_REINDEX, before))
            count = "SELECT count(*), coalesce(sum(status = ?), 0) FROM runs WHERE shown = 1"
            n_records, n_unreadable = opened.connection.execute(count, (UNREADABLE,)).fetchone()
        return n_records, n_unreadable, scan.n_removed

    def _watch_running(self, scan: Scan) -> None:
        """Read the records of runs that are not over again where they changed; else see whether the process lives."""
        sql = (
            "SELECT r.n, r.parent, r.place, f.path, r.mtime, r.size, r.notes_mtime, r.notes_size, "
            "r.host, r.process, r.started, r.phase, r.status FROM runs AS r JOIN folders AS f ON f.n = r.parent "
            "WHERE r.shown = 1 AND r.status IN (?, ?)"
        )
        for _ in range(2):  # what is read again may be running still
            with database(self._root) as opened:
                rows = opened.connection.execute(sql, (_RUNNING, _PENDING)).fetchall()
            changed, told = [], []
            is_alive = functools.cache(self._records.is_alive)  # one process may have queued very many
            for n, parent, place, folder, *stamps, host, process, started, phase, status in rows:
                file = File(parent, place, joined(os.fsencode(self._root), folder, place))
                has_process = is_alive(host, process, started)
                # In this order: what has ended meanwhile has written its record before.
                if list(stamps_of(file.path) or ()) != stamps:
                    changed.append(file)
                    continue
                if status == _PENDING:
                    if not has_process:
                        problem = "the process that queued it ended before it began"
                        told.append((LOST, QUEUED, problem, n, *stamps[:2], status))
                    continue
                now = self._records.phase(file.path.rpartition(b"/")[0])
                if not has_process:
                    problem = f"the process ended in phase {now or 'validate'}"
                    told.append((LOST, now, problem, n, *stamps[:2], status))
                elif now != phase:
                    told.append((_RUNNING, now, "", n, *stamps[:2], status))
            self._note(told)
            if not changed:
                return
            scan.again(changed)

    def _note(self, told: list[tuple[Any, ...]]) -> None:
        if not told:
            return
        sql = (
            "UPDATE runs SET status = ?, phase = ?, problem = ? WHERE n = ? AND mtime = ? AND size = ? AND status = ?"
        )
        with database(self._root) as opened, opened.writing() as connection:
            connection.executemany(sql, told)

    def _tell(self, scan: Scan) -> None:
        self._notices = list(dict.fromkeys(scan.notices))
        with database(self._root) as opened:
            reason = opened.reason
            n_capped = opened.connection.execute("SELECT count(*) FROM runs WHERE capped = 1").fetchone()[0]
        if reason:
            self._notices.append(
                message(
                    "The index of {root!r} is kept in memory: {reason}. Each new process reads all records again, "
                    "which takes a while where there are many; nothing is lost.",
                    root=str(self._root),
                    reason=reason,
                )
            )
        if n_capped:
            self._notices.append(
                message(
                    "{n_capped:,} records have more than {most_facts:,} parameters and metrics: only the first of "
                    "them can be asked for.",
                    n_capped=n_capped,
                    most_facts=MOST_FACTS,
                )
            )

    # --- asking

    def _select(self, query: RunQuery) -> list[RunEntry]:
        is_whole = self._refresh()
        for _ in range(_ROUNDS):
            with database(self._root) as opened:
                rows = _rows(opened, query)
                changed = [] if is_whole else self._changed(opened, rows)
                if not changed:
                    return self._entries(opened, rows)
            scan = self._scan()
            scan.again(changed)
            self._watch_running(scan)
        with database(self._root) as opened:  # they change faster than they are read: as they were a moment ago
            return self._entries(opened, _rows(opened, query))

    def _changed(self, opened: Database, rows: list[tuple[Any, ...]]) -> list[File]:
        """Return those of some rows whose files are not as they were when they were read."""
        folders = self._folders(opened, rows)
        changed = []
        for row in rows:
            parent, place = row[1:3]
            path = folders[parent] + place
            if stamps_of(path) != row[3:7]:
                changed.append(File(parent, place, path))
        return changed

    def _entries(self, opened: Database, rows: list[tuple[Any, ...]]) -> list[RunEntry]:
        folders, tags = self._folders(opened, rows), _tags(opened, rows)
        entries = []
        for row in rows:
            n, parent, place, _, _, _, _, experiment_id, model, status, created, seconds, phase, problem, title = row
            path = Path(os.fsdecode(folders[parent] + place))
            entries.append(
                RunEntry(
                    experiment_id,
                    model,
                    status,
                    moment(created),
                    path.parent,
                    seconds,
                    phase,
                    problem,
                    title,
                    tags.get(n, ()),
                    path,
                )
            )
        return entries

    def _path_of(self, opened: Database, row: tuple[Any, ...]) -> Path:
        return Path(os.fsdecode(self._folders(opened, [row])[row[1]] + row[2]))

    def _folders(self, opened: Database, rows: list[tuple[Any, ...]]) -> dict[int, bytes]:
        """Return the paths of the folders in which some rows' records lie, with a slash at their end."""
        sql, root = "SELECT path FROM folders WHERE n = ?", os.fsencode(self._root)
        return {
            parent: joined(root, opened.connection.execute(sql, (parent,)).fetchone()[0]) + b"/"
            for parent in {row[1] for row in rows}
        }


def _has_anything(root: Path) -> bool:
    """Tell whether there is anything to index: an empty folder needs none."""
    try:
        with os.scandir(root) as items:
            return is_there(root) or any(not item.name.startswith(".") for item in items)
    except FileNotFoundError:
        return False


def _rows(opened: Database, query: RunQuery) -> list[tuple[Any, ...]]:
    short = sorted_index(opened, query)
    if short is not None:
        rows = opened.connection.execute(short.sql, short.values).fetchall()
        if len(rows) == query.limit:
            return rows
    question = selection(opened, query)
    return opened.connection.execute(question.sql, question.values).fetchall()


def _tags(opened: Database, rows: list[tuple[Any, ...]]) -> dict[int, tuple[str, ...]]:
    if opened.connection.execute("SELECT 1 FROM tags LIMIT 1").fetchone() is None:
        return {}
    found: dict[int, tuple[str, ...]] = {}
    for first in range(0, len(rows), _MANY):
        numbers = [row[0] for row in rows[first : first + _MANY]]
        sql = f"SELECT run, tag FROM tags WHERE run IN ({', '.join('?' * len(numbers))}) ORDER BY run, rank"  # noqa: S608 -- question marks
        for run, tag in opened.connection.execute(sql, numbers):
            found[run] = (*found.get(run, ()), tag)
    return found


def _file_of(opened: Database, place: bytes, path: bytes) -> File | None:
    """Find a record by its path in the store: in a folder that is looked through, or in a run's own."""
    folder, _, name = place.rpartition(b"/")
    above, _, run = folder.rpartition(b"/")
    sql = "SELECT r.parent FROM runs AS r JOIN folders AS f ON f.n = r.parent WHERE f.path = ? AND r.place = ?"
    for parent, inner in ((folder, name), (above, run + b"/" + name)):
        row = opened.connection.execute(sql, (parent, inner)).fetchone()
        if row is not None:
            return File(row[0], inner, path)
    return None
