"""Where runs are kept: a folder each, with its record, its journal and its output.

The folders are the truth. They are made so that a run can be killed at any moment: the record is on
disk, whole, from before the first phase on, and is only ever replaced in one step.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from dissmodel_lab.errors import LabError, OutputError, RunNotFoundError
from dissmodel_lab.executor.events import (
    Event,
    LogLine,
    Phase,
    PhaseFailed,
    PhaseFinished,
    PhaseStarted,
    StepFinished,
)
from dissmodel_lab.executor.schemas import ExperimentRecord, RunStatus, can_be_read, lasting_json, mend
from dissmodel_lab.index import RunEntry, RunIndex
from dissmodel_lab.provenance import process_started
from dissmodel_lab.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD_NAME = "record.json"
JOURNAL_NAME = "journal.jsonl"
STORE_VARIABLE = "DISSMODEL_LAB_STORE"

_ROOM_NAME, _ROOM = ".room", 16 * 1024
_PLENTY = 1024**3
"""With less than this on the disk when a run begins [bytes], room for its last record is kept."""
_FULL = (errno.ENOSPC, errno.EDQUOT)

LOST = "lost"
UNREADABLE = "unreadable"


class RunFolder:
    """
    The folder of one run, while it runs.

    It listens to the run and writes its journal: one JSON line an event, so that a killed run can still
    tell how far it came.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.partial = folder / "partial"
        """Where the executor writes; only what is complete leaves it."""
        self.beside: Path | None = None
        """The second record, ``<output>.record.json``, once an output was asked for."""
        self.is_saved = False
        """True once the executor's own save() has ended: what it wrote is whole, and never removed."""
        self.process_id = os.getpid()
        """The process that runs it; a child that the model forks writes nothing here."""
        self.record_path = folder / RECORD_NAME
        """Path of the record."""
        self._has_room = False
        self._journal: int | None = None
        self._untold = ""

    def write(self, record: ExperimentRecord) -> None:
        """Write the record, and the one beside the output, each in one step; a kill they survive, not a power cut."""
        self._write_both(record, record.model_dump_json(indent=2), durable=False)

    def write_last(self, record: ExperimentRecord) -> os.stat_result:
        """
        Write the closed record, mended where an executor spoiled it; it survives a power cut.

        Returns
        -------
        os.stat_result
            Size and times of the record's file.
        """
        text = lasting_json(record)
        if not can_be_read(text):
            mend(record)
            text = record.model_dump_json(indent=2)
        return self._write_both(record, text, durable=True)

    def _write_both(self, record: ExperimentRecord, text: str, *, durable: bool) -> os.stat_result:
        content = text.encode()
        stat = write_atomic(self.record_path, content, durable=durable)
        if self.beside is None:
            return stat
        try:
            write_atomic(self.beside, content, durable=durable)
        except OSError as error:  # the store's own record tells it all; the second one is a convenience
            record.add_log(f"The record beside the output could not be written: {error.strerror or error}.")
            return write_atomic(self.record_path, record.model_dump_json(indent=2).encode(), durable=durable)
        return stat

    def reserve(self, beside: Path, record: ExperimentRecord) -> None:
        """
        Take the name of the record beside an output; this also proves that its folder can be written.

        The record of a run of this store that left no output gives its name up.

        Raises
        ------
        OutputError
            When the name is taken or the folder cannot be written.
        """
        if beside.exists() and self._is_given_up(beside):
            beside.unlink()
        try:
            beside.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("xb") as file:
                self.beside = beside
                file.write(record.model_dump_json(indent=2).encode())
        except FileExistsError as error:
            if not beside.exists():  # something else stands where its folder should be
                raise OutputError(_unwritable(beside.parent, error)) from error
            raise OutputError(
                f"{str(beside)!r} is the record of another run and is never replaced. Choose another --output."
            ) from error
        except OSError as error:
            if self.beside is not None:
                beside.unlink(missing_ok=True)
                self.beside = None
            raise OutputError(_unwritable(beside.parent, error)) from error

    def _is_given_up(self, beside: Path) -> bool:
        record = _try_read(beside)
        if record is None:
            return beside.stat().st_size == 0
        kept = list(self.folder.parent.glob(f"*-{record.experiment_id[:8]}/{RECORD_NAME}"))
        over = record.status in (RunStatus.FAILED, RunStatus.CANCELLED) or (
            record.status == RunStatus.RUNNING and not _is_alive(record)
        )
        return over and bool(kept) and "output" not in record.artifacts

    def keep_room(self) -> None:
        """Where the disk is nearly full, take a little of it, so that there is room for the last record."""
        if _free_bytes(self.folder) < _PLENTY:
            self._has_room = True
            (self.folder / _ROOM_NAME).write_bytes(bytes(_ROOM))

    def give_room(self) -> None:
        """Give back what :meth:`keep_room` took."""
        if self._has_room:
            (self.folder / _ROOM_NAME).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the journal and drop the empty folder of partial files."""
        try:
            if self._journal is not None:
                os.close(self._journal)
        except OSError:  # a full disk: the journal is a convenience, the record is not
            pass
        self._journal = None
        try:
            self.partial.rmdir()
        except OSError:  # not there, or it holds what a failed save left: that is kept
            return

    def __call__(self, event: Event) -> None:
        """
        Write an event into the journal.

        Parameters
        ----------
        event : Event
            One of :mod:`dissmodel_lab.executor.events`.
        """
        line = _journal_line(event)
        if line is None or os.getpid() != self.process_id:
            return
        line["at"] = datetime.now(UTC).isoformat()
        self._untold += f"{json.dumps(line)}\n"
        if isinstance(event, PhaseFinished) and event.phase is not Phase.SAVE:
            return  # the next phase begins at once: both are told in one write
        if self._journal is None:
            journal = f"{self.folder}{os.sep}{JOURNAL_NAME}"
            self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        told, self._untold = self._untold, ""
        _write_all(self._journal, told.encode())


class RunStore:
    """
    A folder of runs.

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
            raise OutputError(f"The store {redact_text(said)!r} is not a local folder. Give a path on this machine.")
        self.root = Path(said).expanduser() if said.startswith("~") else Path(said)
        self._index = RunIndex(self.root)

    @property
    def inputs(self) -> Path:
        """Where sample inputs are written."""
        return self.root / "inputs"

    def begin(self, record: ExperimentRecord) -> RunFolder:
        """
        Make the run's folder and write its record, before anything else happens.

        Raises
        ------
        OutputError
            When the store cannot be written.
        """
        moment = record.created_at.strftime("%Y%m%dT%H%M%S")
        run = RunFolder(self.root / f"{moment}-{safe_name(record.model_name)}-{record.experiment_id[:8]}")
        try:
            _make_folder(run.folder)
            record._record_path = run.record_path  # noqa: SLF001 -- the store alone knows where a record lies
            run.write(record)
            run.keep_room()
        except OSError as error:
            raise OutputError(
                f"The run cannot be kept in {str(self.root)!r}: {error.strerror or error}. Nothing was run. "
                f"Make the folder writable, or set {STORE_VARIABLE} to another."
            ) from error
        return run

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
            stat = self._write_even_on_a_full_disk(run, record)
        except OSError as error:
            advice = " Make room on the disk." if error.errno in _FULL else ""
            raise OutputError(
                f"The record of run {record.experiment_id[:8]} could not be brought up to date in "
                f"{str(run.folder)!r}: {error.strerror or error}. It ended as {record.status}.{advice}"
            ) from error
        finally:
            run.close()
        self._index.add(run.folder.name, stat, entry_of(record, run.folder))

    @staticmethod
    def _write_even_on_a_full_disk(run: RunFolder, record: ExperimentRecord) -> os.stat_result:
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

        Records that are new or changed since the last listing are read; the others come from the index.
        """
        found = [self._alive_or_lost(entry) for entry in self._index.refresh(self._record_files(), _read_entry)]
        return sorted(found, key=lambda entry: entry.created_at, reverse=True)

    def newest_completed(self, model_name: str, limit: int = 5) -> list[ExperimentRecord]:
        """
        Return a model's newest completed records, as far as the index knows them; a listing makes it know all.

        Examples
        --------
        >>> import tempfile
        >>> RunStore(tempfile.mkdtemp()).newest_completed("coastal_flood")
        []
        """
        folders = self._index.newest_completed(model_name, limit)
        found = (_try_read(self.root / folder / RECORD_NAME) for folder in folders)
        return [record for record in found if record is not None]

    def find(self, run_id: str) -> RunEntry:
        """
        Return the run whose id begins with ``run_id``; ``last`` is the newest.

        Raises
        ------
        RunNotFoundError
            When none or several fit.
        """
        entries = self.entries()
        if run_id == "last" and entries:
            return entries[0]
        fitting = [entry for entry in entries if run_id and entry.experiment_id.startswith(run_id)]
        # A copied folder holds the same id: its own name tells it apart.
        fitting = [entry for entry in entries if entry.folder.name == run_id] or fitting
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            ids = ", ".join(entry.experiment_id[:12] for entry in fitting[:5])
            raise RunNotFoundError(
                f"{len(fitting)} runs begin with {run_id!r}: {ids}. Give more characters, or a folder's name."
            )
        newest = ", ".join(entry.experiment_id[:8] for entry in entries[:5]) or "none yet"
        raise RunNotFoundError(
            f"No run in {str(self.root)!r} begins with {run_id!r}. Newest: {newest}. See them all with: runs."
        )

    def read(self, run_id: str) -> ExperimentRecord:
        """
        Return the record of the run whose id begins with ``run_id``.

        Raises
        ------
        RunNotFoundError
            When none or several fit, or the record cannot be read.
        """
        entry = self.find(run_id)
        if entry.status == UNREADABLE:
            raise RunNotFoundError(f"The record in {str(entry.folder)!r} cannot be read: {entry.problem}")
        return read_record(entry.folder / RECORD_NAME)

    def _record_files(self) -> Iterator[Path]:
        try:
            folders = sorted(item.path for item in os.scandir(self.root))
        except FileNotFoundError:
            return
        except OSError as error:
            raise LabError(f"The store {str(self.root)!r} cannot be read: {error.strerror or error}.") from error
        for folder in folders:
            record = Path(folder, RECORD_NAME)
            try:
                is_run = record.is_file()
            except OSError:  # a circle of links
                is_run = False
            if is_run:
                yield record

    @staticmethod
    def _alive_or_lost(entry: RunEntry) -> RunEntry:
        if entry.status != RunStatus.RUNNING:
            return entry
        record = _try_read(entry.folder / RECORD_NAME)
        lost = record is not None and not _is_alive(record)
        phase = _journal_phase(entry.folder / JOURNAL_NAME)
        if not lost:
            return entry._replace(phase=phase)
        return entry._replace(status=LOST, phase=phase, problem=f"the process ended in phase {phase or 'validate'}")


def safe_name(name: str) -> str:
    """
    Return a model's name as a part of a file's name: an untrusted text must not choose a folder.

    Examples
    --------
    >>> safe_name("../../evil <b>")
    'evil-b'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:60] or "model"


def read_record(path: str | Path) -> ExperimentRecord:
    """
    Read a record file, of this or an older version, or of PyPI ``dissmodel``.

    Raises
    ------
    LabError
        When the file is missing or holds no record.

    Examples
    --------
    >>> read_record("no/such.record.json")
    Traceback (most recent call last):
    dissmodel_lab.errors.LabError: The record 'no/such.record.json' cannot be read: No such file or directory.
    """
    try:
        record = ExperimentRecord.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise LabError(f"The record {str(path)!r} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise LabError(
            f"{str(path)!r} holds no record: {first['msg']}{f' (field {where})' if where else ''}."
        ) from error
    record._record_path = Path(path)  # noqa: SLF001 -- the store alone knows where a record lies
    return record


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
            _write_all(file, content)
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


def _free_bytes(folder: Path) -> int:
    if hasattr(os, "statvfs"):
        disk = os.statvfs(folder)
        return disk.f_bavail * disk.f_frsize
    import shutil  # noqa: PLC0415 -- only where the system has no statvfs

    return shutil.disk_usage(folder).free


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir()
    except FileNotFoundError:  # the first run of this store
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _write_all(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def _unwritable(folder: Path, error: OSError) -> str:
    return (
        f"The folder {str(folder)!r} cannot be written: {error.strerror or error}. "
        "Choose another --output, or leave it out for a folder of the run's own."
    )


def entry_of(record: ExperimentRecord, folder: Path) -> RunEntry:
    """Summarise a record for a listing."""
    seconds = record.metrics.get("time_total_sec")
    return RunEntry(
        experiment_id=record.experiment_id,
        model_name=record.model_name,
        status=record.status,
        created_at=record.created_at,
        folder=folder,
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        phase=record.failed_phase or "",
        problem=redact_text(str(record.error or "")).encode("utf-8", "backslashreplace").decode(),
    )


def _read_entry(path: Path) -> RunEntry:
    try:
        return entry_of(read_record(path), path.parent)
    except (LabError, OverflowError) as error:  # a date outside of the calendar overflows
        moment = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return RunEntry(path.parent.name, "", UNREADABLE, moment, path.parent, problem=str(error))


def _try_read(path: Path) -> ExperimentRecord | None:
    try:
        return read_record(path)
    except LabError:  # replaced or removed since it was listed
        return None


def _is_alive(record: ExperimentRecord) -> bool:
    facts = record.provenance
    if facts is None or facts.process_id is None or not facts.hostname:
        return False  # nothing says who runs it
    if facts.hostname != platform.node():
        return True  # another machine's process cannot be seen from here: believed, not known
    started = process_started(facts.process_id)
    if started is None:
        return False
    return facts.process_started is None or abs(started - facts.process_started) < 1.0


def _journal_phase(path: Path) -> str:
    phase = ""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if '"phase_started"' in line:
                    phase = str(json.loads(line)["phase"])
    except (OSError, ValueError, KeyError, TypeError):  # no journal yet, or a line cut off by a kill
        return phase
    return phase


def _journal_line(event: Event) -> dict[str, object] | None:
    match event:
        case PhaseStarted():
            return {"event": "phase_started", "phase": event.phase.value}
        case PhaseFinished() | PhaseFailed():
            usage = {**vars(event.usage), "started_at": event.usage.started_at.isoformat()}
            return {"event": f"phase_{event.usage.status}", "phase": event.phase.value, **usage}
        case StepFinished():
            return {"event": "step", "step": event.step, "n_steps": event.n_steps, "label": redact_text(event.label)}
        case LogLine():
            return {"event": "log", "text": redact_text(event.text)}
        case _:
            return None
