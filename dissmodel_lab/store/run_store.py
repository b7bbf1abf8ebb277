"""A folder of runs: begun, ended, found again, asked for."""

from __future__ import annotations

import errno
import os
import re
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dissmodel_lab.errors import LabError, OutputError, RunNotFoundError, RunTakenError
from dissmodel_lab.index import RECORD_NAME, UNREADABLE, Reindexed, RunEntry, RunIndex, RunQuery
from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.store.files import safe_name

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from dissmodel_lab.annotations import Annotations
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.index.rows import Found
    from dissmodel_lab.store.run_folder import RunFolder
    from dissmodel_lab.store.waiting import QueueEntry

STORE_VARIABLE = "DISSMODEL_LAB_STORE"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PLAIN_NAME = re.compile(r"[\w.\-]{1,200}", re.ASCII)
_NAMED = 5
"""Runs that a message names."""

_T = TypeVar("_T")


class RunStore:
    """
    A folder of runs.

    Many notebooks, processes and machines may write into one folder at once. Records may also be copied into it,
    alone or with their folders: they are found wherever they lie under it, see :mod:`dissmodel_lab.index.scan`
    for what is looked at when.

    Parameters
    ----------
    root : str or Path, optional
        ``experiments`` in the working folder when not given, or what ``DISSMODEL_LAB_STORE`` says.

    Examples
    --------
    >>> import tempfile
    >>> RunStore(tempfile.mkdtemp()).entries()
    []
    """

    def __init__(self, root: str | Path | None = None) -> None:
        said = str(root or os.environ.get(STORE_VARIABLE) or "experiments")
        if "://" in said:
            raise OutputError(
                message(
                    "The store {said!r} is not a local folder. Give a path on this machine.", said=redact_text(said)
                )
            )
        self.root = Path(said).expanduser() if said.startswith("~") else Path(said)
        self._index = RunIndex(self.root, _Records())

    @property
    def inputs(self) -> Path:
        """Where sample inputs are written."""
        return self.root / "inputs"

    def begin(self, record: ExperimentRecord, folder_name: str = "", *, is_queued: bool = False) -> RunFolder:
        """
        Make the run's folder and write its record, before anything else happens.

        Parameters
        ----------
        record : ExperimentRecord
            Of the run that begins now.
        folder_name : str
            Of the run's folder: who makes it owns the run. By moment, model and id when empty.
        is_queued : bool
            The folder is there already, with the record of this run as :meth:`queue` wrote it: it is taken over,
            by one process only.

        Raises
        ------
        RunTakenError
            When another process has made or taken over that folder, or the queued run was cancelled.
        OutputError
            When the store cannot be written.
        """
        from dissmodel_lab.store.run_folder import RunFolder  # noqa: PLC0415 -- loads pydantic, see dissmodel_lab.store

        run = RunFolder(self.root / (_checked(folder_name) if folder_name else folder_name_of(record)))
        try:
            if is_queued:
                run.take_over(record)
            else:
                _make_own(run.folder, is_named=bool(folder_name))
            record._record_path = run.record_path  # noqa: SLF001 -- the store alone knows where a record lies
            run.write(record)
            run.keep_room()
        except OSError as error:
            run.close()
            raise self._not_kept(error, message("Nothing was run")) from error
        return run

    def queue(self, record: ExperimentRecord, folder_name: str = "") -> RunFolder:
        """
        Write the record of a run that somebody will begin later, with the status ``pending``.

        Parameters
        ----------
        record : ExperimentRecord
            Changed in place: it is pending, and has not started.
        folder_name : str
            As :meth:`begin` takes it.

        Raises
        ------
        RunTakenError
            When that folder is there already.
        OutputError
            When the store cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from dissmodel_lab.executor import ExperimentRecord
        >>> store = RunStore(tempfile.mkdtemp())
        >>> store.queue(ExperimentRecord(model_name="flood"), "000001").folder.name
        '000001'
        """
        from dissmodel_lab.store.run_folder import RunFolder  # noqa: PLC0415 -- as above

        run = RunFolder(self.root / (_checked(folder_name) if folder_name else folder_name_of(record)))
        record.status, record.started_at = "pending", None
        try:
            _make_own(run.folder, is_named=bool(folder_name))
            record._record_path = run.record_path  # noqa: SLF001 -- as above
            run.write(record)
        except OSError as error:
            raise self._not_kept(error, message("Nothing was queued")) from error
        return run

    def _not_kept(self, error: OSError, consequence: str) -> OutputError:
        advice = message("Make room on the disk") if error.errno in _FULL else message("Make the folder writable")
        return OutputError(
            message(
                "The run cannot be kept in {root!r}: {strerror}. {consequence}. {advice}, or set {store_variable} "
                "to another.",
                root=str(self.root),
                strerror=error.strerror or error,
                consequence=consequence,
                advice=advice,
                store_variable=STORE_VARIABLE,
            )
        )

    def end(self, run: RunFolder, record: ExperimentRecord) -> None:
        """
        Write the closed record and index it.

        Raises
        ------
        OutputError
            When the record cannot be written; the one written before the run stays.
        """
        try:
            run.give_room()
            facts, written = self._write_even_on_a_full_disk(run, record)
        except OSError as error:
            advice = message(" Make room on the disk.") if error.errno in _FULL else ""
            raise OutputError(
                message(
                    "The record of run {experiment_id} could not be brought up to date in {folder!r}: {strerror}. "
                    "It ended as {status}.{advice}",
                    experiment_id=record.experiment_id[:8],
                    folder=str(run.folder),
                    strerror=error.strerror or error,
                    status=record.status,
                    advice=advice,
                )
            ) from error
        finally:
            run.close()
        if written is not None:
            from dissmodel_lab.store.reading import found_in  # noqa: PLC0415 -- as above

            self._index.add(run.folder.name, partial(found_in, run.record_path, facts, written))

    @staticmethod
    def _write_even_on_a_full_disk(
        run: RunFolder, record: ExperimentRecord
    ) -> tuple[os.stat_result, ExperimentRecord | None]:
        try:
            return run.write_last(record)
        except OSError as error:
            if error.errno not in _FULL or run.is_saved or not _has_files(run.partial):
                raise
            import shutil  # noqa: PLC0415 -- only for a full disk

            shutil.rmtree(run.partial)
            record.add_log("The disk was full: the incomplete output was removed to make room for this record.")
            return run.write_last(record)

    def entries(self) -> list[RunEntry]:
        """
        List all runs, newest first; what cannot be read is listed too, as unreadable.

        Raises
        ------
        LabError
            When the store's folder cannot be read.
        """
        return self.select(RunQuery())

    def select(self, query: RunQuery) -> list[RunEntry]:
        """
        Return the runs that fit a query, in its order.

        Raises
        ------
        LabError
            When the store's folder cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> from dissmodel_lab import run
        >>> store = RunStore(tempfile.mkdtemp())
        >>> for generations in (3, 5, 9):
        ...     _ = run("game_of_life", parameters={"generations": generations}, store=store)
        >>> from dissmodel_lab.conditions import parse_condition
        >>> query = RunQuery(where=parse_condition("generations > 4"), sort="generations", limit=50)
        >>> [entry.title for entry in store.select(query)]
        ['generations=5', 'generations=9']
        """
        return self._ask(lambda: self._index.select(query))

    def count(self, query: RunQuery) -> int:
        """
        Return how many runs fit a query; its limit and offset do not matter.

        Raises
        ------
        LabError
            When the store's folder cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> RunStore(tempfile.mkdtemp()).count(RunQuery(status="failed"))
        0
        """
        return self._ask(lambda: self._index.count(query))

    def known_names(self) -> list[str]:
        """
        Return the names of parameters and metrics that runs of this store have: flat ones, as conditions use them.

        Examples
        --------
        >>> import tempfile
        >>> RunStore(tempfile.mkdtemp()).known_names()
        []
        """
        return self._ask(self._index.known_names)

    def queue_entries(self, limit: int = 1_000) -> list[QueueEntry]:
        """
        Return what runs now, and what waits for it: in the order in which it began or will begin.

        Parameters
        ----------
        limit : int
            How many at most; of very many that wait, those that were queued first.

        Raises
        ------
        LabError
            When the store's folder cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> RunStore(tempfile.mkdtemp()).queue_entries()
        []
        """
        oldest = [
            entry
            for status in ("running", "pending")
            for entry in self.select(RunQuery(status=status, sort="created", limit=limit))
        ][:limit]
        if not oldest:
            return []
        from dissmodel_lab.store.waiting import in_order  # noqa: PLC0415 -- as above

        return in_order(oldest)

    def reindex(self) -> Reindexed:
        """
        Read every record again, whatever the index says of it, and remove what killed processes have left.

        The index is then what a new one would be. An interrupted reindexing goes on where it was, and several at
        once share the work. What is removed, and what is kept, tells :mod:`dissmodel_lab.store.tidying`.

        Raises
        ------
        LabError
            When the store's folder cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> RunStore(tempfile.mkdtemp()).reindex().n_records
        0
        """
        from dissmodel_lab.store.tidying import tidy  # noqa: PLC0415 -- loads pydantic, as above

        tidy(self.root)
        return self._ask(self._index.reindex)

    def annotate(
        self, run_id: str, tags: Iterable[str] = (), untag: Iterable[str] = (), note: str = ""
    ) -> Annotations:
        """
        Add tags and a note to a run, or take tags away; its record stays as it is.

        Raises
        ------
        RunNotFoundError
            When none or several runs fit.
        LabError
            When a tag or a note is not allowed, see :func:`dissmodel_lab.annotations.annotate`.

        Examples
        --------
        >>> import tempfile
        >>> from dissmodel_lab import run
        >>> store = RunStore(tempfile.mkdtemp())
        >>> _ = run("game_of_life", parameters={"generations": 3}, store=store)
        >>> store.annotate("last", tags=["paper"]).tags
        ('paper',)
        >>> store.count(RunQuery(tag="paper"))
        1
        """
        from dissmodel_lab.annotations import annotate  # noqa: PLC0415 -- few runs are annotated

        path = self._path(self.find(run_id))
        annotations = annotate(path, tags=tags, untag=untag, note=note)
        self._index.update(path)
        return annotations

    @property
    def notices(self) -> list[str]:
        """
        What a person should know of the last listing: an index in memory and why, folders that cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> RunStore(tempfile.mkdtemp()).notices
        []
        """
        return self._index.notices

    def newest_completed(self, model_name: str, limit: int = 5) -> list[ExperimentRecord]:
        """
        Return a model's newest completed records, as far as the index knows them; a listing makes it know all.

        Examples
        --------
        >>> import tempfile
        >>> RunStore(tempfile.mkdtemp()).newest_completed("coastal_flood")
        []
        """
        paths = self._index.newest_completed(model_name, limit)
        if not paths:
            return []
        from dissmodel_lab.store.reading import try_read  # noqa: PLC0415 -- as above

        found = (try_read(path) for path in paths)
        return [record for record in found if record is not None]

    def find(self, run_id: str) -> RunEntry:
        """
        Return the run whose id begins with ``run_id``; ``last`` is the newest.

        A folder's name, or a path in the store, finds what lies there, too.

        Raises
        ------
        RunNotFoundError
            When none or several fit.
        """
        if run_id == "last":
            fitting = self.select(RunQuery(limit=1))
        else:
            found = self._ask(lambda: self._index.starting_with(run_id)) if run_id else []
            # A copied folder holds the same id: its own name or path tells it apart.
            exact = [entry for entry in found if run_id in self._places(entry)]
            named = [entry for entry in found if entry.folder.name == run_id]
            fitting = exact or named or [entry for entry in found if entry.experiment_id.startswith(run_id)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise RunNotFoundError(self._several(run_id, fitting))
        newest = ", ".join(entry.experiment_id[:8] for entry in self.select(RunQuery(limit=_NAMED))) or "none yet"
        raise RunNotFoundError(
            message(
                "No run in {root!r} begins with {run_id!r}. Newest: {newest}. See them all with: runs.",
                root=str(self.root),
                run_id=run_id,
                newest=newest,
            )
        )

    def read(self, run_id: str) -> ExperimentRecord:
        """
        Return the record of the run whose id begins with ``run_id``.

        Raises
        ------
        RunNotFoundError
            When none or several fit, or the record cannot be read.
        """
        from dissmodel_lab.store.reading import read_record  # noqa: PLC0415 -- as above

        entry = self.find(run_id)
        if entry.status == UNREADABLE:
            raise RunNotFoundError(
                message(
                    "The record in {folder!r} cannot be read: {problem}",
                    folder=str(entry.folder),
                    problem=entry.problem,
                )
            )
        return read_record(self._path(entry))

    def _places(self, entry: RunEntry) -> tuple[str, str]:
        """Return the paths of a run's folder and of its record, seen from the store."""
        folder, record = entry.folder.relative_to(self.root), self._path(entry).relative_to(self.root)
        return folder.as_posix(), record.as_posix()

    def _several(self, run_id: str, fitting: list[RunEntry]) -> str:
        """Say that a beginning is not enough; copies of one record are told apart by their folders."""
        if len({entry.experiment_id for entry in fitting}) == 1:
            # A folder may hold several records of other names.
            places = [self._places(entry)[self._path(entry).name != RECORD_NAME] for entry in fitting[:_NAMED]]
            named = ", ".join(map(repr, places))
            return message(
                "{n_fitting} copies of one record fit {run_id!r}: {named}. Give the name of one of them.",
                n_fitting=len(fitting),
                run_id=run_id,
                named=named,
            )
        ids = ", ".join(entry.experiment_id[:12] for entry in fitting[:_NAMED])
        return message(
            "{n_fitting} runs begin with {run_id!r}: {ids}. Give more characters, or a folder's name.",
            n_fitting=len(fitting),
            run_id=run_id,
            ids=ids,
        )

    @staticmethod
    def _path(entry: RunEntry) -> Path:
        return entry.record_path or entry.folder / RECORD_NAME

    def _ask(self, question: Callable[[], _T]) -> _T:
        try:
            return question()
        except OSError as error:
            raise LabError(
                message(
                    "The store {root!r} cannot be read: {strerror}.",
                    root=str(self.root),
                    strerror=error.strerror or error,
                )
            ) from error


class _Records:
    """Reads records for the index; loaded when the first one has to be read."""

    def read(self, batches: Iterator[list[bytes]], n_files: int) -> Generator[list[Found | None]]:
        """Read batches of files; None stands for one that is gone."""
        first = next(batches, None)
        if first is not None:
            from dissmodel_lab.store.readers import read_batches  # noqa: PLC0415 -- as above

            yield from read_batches(chain([first], batches), n_files)

    def is_alive(self, host: str, process: int | None, started: float | str | None) -> bool:
        """Tell whether a run's process is still there."""
        from dissmodel_lab.store.reading import process_is_alive  # noqa: PLC0415 -- as above

        return process_is_alive(host, process, started)

    def phase(self, folder: bytes) -> str:
        """Return the phase that a run is in, or was in last."""
        from dissmodel_lab.store.reading import journal_phase  # noqa: PLC0415 -- as above

        return journal_phase(folder)


def folder_name_of(record: ExperimentRecord) -> str:
    """
    Return how the folder of a run is called where nobody says: by moment, model and id.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> record = ExperimentRecord(model_name="flood", experiment_id="2f6c1a09b7", created_at="2026-05-04T03:02:01Z")
    >>> folder_name_of(record)
    '20260504T030201-flood-2f6c1a09'
    """
    moment = record.created_at.strftime("%Y%m%dT%H%M%S")
    return f"{moment}-{safe_name(record.model_name)}-{record.experiment_id[:8]}"


def _checked(folder_name: str) -> str:
    """Refuse a name that is more than one folder in the store: it may come from another process."""
    if folder_name.startswith(".") or not _PLAIN_NAME.fullmatch(folder_name):
        raise OutputError(
            message(
                "{folder_name!r:.100} cannot be the name of a run's folder. Use letters, digits, '-', '_' and '.', "
                "and no '.' first.",
                folder_name=folder_name,
            )
        )
    return folder_name


def _make_own(folder: Path, *, is_named: bool) -> None:
    try:
        _make_folder(folder)
    except FileExistsError as error:
        if not is_named:
            raise
        raise RunTakenError(
            message(
                "The folder {folder!r} is there already: another process runs that job, or has run it.",
                folder=str(folder),
            )
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir()
    except FileNotFoundError:  # the first run of this store
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
