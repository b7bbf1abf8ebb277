"""Ending a run: the request, from any process and machine that sees its folder; and the last record of a dead run.

The request is a file in the run's folder. Whoever carries the run out looks for it: the runner at every step, the
engine that watches a worker several times a second. So that a run which tells no steps hears it too, its process is
woken by a signal that means nothing to anybody else: one that arrives late, when the run is over and its process
does something different, is ignored by the system itself.

A worker that hears neither is ended by its engine. Where that is gone, because the notebook's kernel is, who cancels
the run sees to it: :func:`cancel`.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import signal
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dissmodel_lab.artifacts import with_suffix
from dissmodel_lab.errors import LabError, RunNotFoundError, shown
from dissmodel_lab.executor.schemas import ExperimentRecord, PhaseUsage, RunStatus, utc_now
from dissmodel_lab.index import RECORD_NAME, UNREADABLE
from dissmodel_lab.journal import told
from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.store import RunFolder, RunStore, safe_name
from dissmodel_lab.store.files import JOURNAL_NAME, REQUEST_NAME, claim, give_up_claim
from dissmodel_lab.store.reading import is_alive, read_record, try_read
from dissmodel_lab.store.tidying import tidy_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Ignored by every process that does not ask for it; None where the system has none (Windows): steps are waited for.
WAKE_SIGNAL: signal.Signals | None = getattr(signal, "SIGURG", None)

GRACE = 1.0
"""How long a model in a worker may take to notice that it is cancelled, before its process is ended [s]."""
CLEANING = 10.0
"""How long it may take then to put away what it has [s]."""
_AFTER_ENGINE = 0.4
"""How much longer than its engine, which is to end it, somebody else waits [s]."""
_LOOK = 0.1
_DEATH = 5.0
"""How long a process that is ended may take to be gone [s]."""
_WORKERS = ("loky.backend", "dissmodel_lab.engines")
"""What stands in the command line of every worker."""
_TAIL = 64 * 1024
_PATIENCE = 10.0
"""How long another process may take to close a run [s]; one that takes longer is stuck, or its machine is."""
_LONGEST_REASON = 1_000
_LARGEST_REQUEST = 64 * 1024
"""A larger file holds no request of ours, but is one all the same [bytes]."""


class Request(NamedTuple):
    """That a run is to end."""

    why: str = ""
    who: str = ""
    """User and machine; empty when the file tells none."""
    at: datetime | None = None


def request(folder: Path, why: str = "cancelled") -> Request:
    """
    Ask a run to end; it does so at its next step, and earlier where its process can be woken from here.

    Parameters
    ----------
    folder : Path
        The run's own.
    why : str
        What its record will say; secrets in it are hidden.

    Returns
    -------
    Request
        The one that stands in the folder: the first that was made.

    Raises
    ------
    LabError
        When the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> request(folder, "too slow").why, request(folder, "again").why
    ('too slow', 'too slow')
    """
    asked = _written(folder, why)
    wake(folder)
    return asked


def _written(folder: Path, why: str) -> Request:
    """Leave a request in the folder, whole from its first moment on; return it, or the one that is there already."""
    now = datetime.now(UTC)
    asked = Request(redact_text(str(why))[:_LONGEST_REASON], _who(), now)
    content = json.dumps({"why": asked.why, "who": asked.who, "at": now.isoformat()}).encode()
    target, temporary = folder / REQUEST_NAME, folder / f".{os.getpid()}-{threading.get_ident():x}-{REQUEST_NAME}.tmp"
    try:
        if is_requested(folder):
            return requested(folder) or asked
        try:
            temporary.write_bytes(content)
            target.hardlink_to(temporary)
        except FileExistsError:  # somebody else was faster
            return requested(folder) or asked
        except OSError:  # a file system without links, or a folder that cannot be written: this tells
            with suppress(FileExistsError), target.open("xb") as file:
                file.write(content)
        finally:
            with suppress(OSError):
                temporary.unlink()
    except OSError as error:
        raise LabError(
            message(
                "The run in {folder!r} cannot be asked to end: {strerror}. Who may write that folder can cancel it.",
                folder=str(folder),
                strerror=error.strerror or error,
            )
        ) from error
    return asked


def is_requested(folder: Path) -> bool:
    """
    Tell whether a run was asked to end; cheap enough for every step that is told.

    Examples
    --------
    >>> is_requested(Path("no/such/folder"))
    False
    """
    return os.path.lexists(f"{folder}{os.sep}{REQUEST_NAME}")


def requested(folder: Path) -> Request | None:
    """
    Return the request to end a run; None when there is none. A file that cannot be understood is one, too.

    Examples
    --------
    >>> requested(Path("no/such/folder")) is None
    True
    """
    if not is_requested(folder):
        return None
    try:
        path = folder / REQUEST_NAME
        facts = json.loads(path.read_bytes()) if path.is_file() and path.stat().st_size < _LARGEST_REQUEST else {}
        why, who, at = (str(facts.get(name, "")) for name in ("why", "who", "at"))
    except (OSError, ValueError, AttributeError, RecursionError):  # being written, or written by somebody else
        return Request()
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    return Request(redact_text(why)[:_LONGEST_REASON], redact_text(who)[:_LONGEST_REASON], moment)


def wake(folder: Path) -> bool:
    """
    Make the process of a run on this machine look for a request now.

    Returns
    -------
    bool
        False when the run is not running here, or its process belongs to somebody else.

    Examples
    --------
    >>> wake(Path("no/such/folder"))
    False
    """
    record = try_read(folder / RECORD_NAME)
    if record is None or WAKE_SIGNAL is None or not _runs_here(record):
        return False
    try:
        os.kill(record.provenance.process_id, WAKE_SIGNAL)  # type: ignore[union-attr, arg-type]  # _runs_here has looked
    except OSError:  # it has just ended, or it is another user's
        return False
    return True


class Answer(NamedTuple):
    """What became of the wish to end a run."""

    experiment_id: str
    outcome: str
    """``cancelled`` (it is), ``asked`` (it will), ``over`` (it has ended before), ``lost`` (nobody runs it)."""
    text: str
    """All of it in sentences."""

    def __str__(self) -> str:
        """Return the sentences."""
        return self.text


def cancel_run(store: RunStore, run_id: str, why: str = "cancelled") -> Answer:
    """
    End a run, wherever it is: in this process or another one, running or still queued.

    Parameters
    ----------
    store : RunStore
        Where its record is.
    run_id : str
        As :meth:`RunStore.find` takes it.
    why : str
        What its record will say.

    Returns
    -------
    Answer
        What was done. The end of a running run is not waited for.

    Raises
    ------
    RunNotFoundError
        When none or several fit, or the record cannot be read.
    LabError
        When the run's folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import RunStore, run
    >>> store = RunStore(tempfile.mkdtemp())
    >>> record = run("game_of_life", parameters={"generations": 2}, store=store)
    >>> print(cancel_run(store, "last"))
    Run ... has ended as completed at ... There is nothing to cancel.
    """
    entry = store.find(run_id)
    if entry.status == UNREADABLE:
        raise RunNotFoundError(
            message(
                "The record in {folder!r} cannot be read: {problem}", folder=str(entry.folder), problem=entry.problem
            )
        )
    return cancel(read_record(entry.record_path or entry.folder / RECORD_NAME), why)


def cancel(record: ExperimentRecord, why: str = "cancelled") -> Answer:
    """
    End the run of a record that was read from its file, as :func:`cancel_run` does.

    A worker process of this machine that has not noticed after 1.4 s, as its engine is gone, is ended by a thread of
    this process. A run in a notebook's own process is only asked.

    Parameters
    ----------
    record : ExperimentRecord
        As it was read a moment ago.
    why : str
        What its last record will say.

    Raises
    ------
    LabError
        When the run's folder cannot be written.

    Examples
    --------
    >>> print(cancel(ExperimentRecord(experiment_id="2f6c1a09b7", status="running")))
    Run 2f6c1a09 is lost: the process in which it ran is gone. There is nothing left to cancel.
    """
    run_id, run = record.experiment_id, f"Run {record.experiment_id[:8]}"
    if record.status not in (RunStatus.PENDING, RunStatus.RUNNING):
        moment = (
            message(" at {ended_at:%Y-%m-%d %H:%M:%S} UTC", ended_at=record.ended_at)
            if record.ended_at is not None
            else ""
        )
        text = message(
            "{run} has ended as {status}{moment}. There is nothing to cancel.",
            run=run,
            status=shown(record.status),
            moment=moment,
        )
        return Answer(run_id, "over", text)
    if record.record_path is None or not is_alive(record):
        was = message("by which it was queued") if record.status == RunStatus.PENDING else message("in which it ran")
        return Answer(
            run_id,
            "lost",
            message("{run} is lost: the process {was} is gone. There is nothing left to cancel.", run=run, was=was),
        )
    folder = record.record_path.parent
    asked, is_woken = _written(folder, why), wake(folder)
    if record.status == RunStatus.PENDING and claim(folder):
        try:
            close_dead(record.record_path, RunStatus.CANCELLED.value, cancel_text(asked))
        except BaseException:
            give_up_claim(folder)
            raise
        return Answer(run_id, "cancelled", message("{run} was queued, and is cancelled now.", run=run))
    if _is_in_worker(record):
        # No daemon: a command that cancels a run waits for this at its end.
        threading.Thread(target=_end_worker, args=(record,), name=f"end of run {run_id[:8]}").start()
    return Answer(
        run_id,
        "asked",
        message(
            "{run} is asked to end. {how_it_hears}", run=run, how_it_hears=_how_it_hears(record, is_woken=is_woken)
        ),
    )


def _how_it_hears(record: ExperimentRecord, *, is_woken: bool) -> str:
    facts, engine = record.provenance, record.engine or "inline"
    host = facts.hostname if facts is not None else ""
    is_here = host == platform.node()
    if engine == "platform":
        return message("The process that follows it asks the server.")
    if engine != "inline":
        where = "" if is_here else message(" on {host}", host=shown(host))
        return message(
            "Its worker{where} is ended by force when it does not end by itself within a few seconds.", where=where
        )
    if is_woken:
        number = facts.process_id if facts is not None else None
        return message(
            "It hears that in process {number} between two of Python's instructions, or at its next step.",
            number=number,
        )
    where = "here" if is_here else f"on {shown(host)}"
    return message(
        "It runs in a notebook or script {where} and ends at its next step; interrupt it there when it tells none.",
        where=where,
    )


def _is_in_worker(record: ExperimentRecord) -> bool:
    """Tell whether a run is in a worker process here that may be ended by force, and is not this process's own."""
    if record.engine not in ("process", "dask") or not hasattr(os, "getsid") or not _runs_here(record):
        return False
    import psutil  # noqa: PLC0415 -- few runs are cancelled

    number = record.provenance.process_id  # type: ignore[union-attr]  # _runs_here has looked
    try:
        worker = psutil.Process(number)
        command = " ".join(worker.cmdline())
        leads = os.getsid(worker.pid) == worker.pid
        return leads and any(word in command for word in _WORKERS) and worker.ppid() != os.getpid()
    except (psutil.Error, OSError):  # it has just ended, or it is another user's
        return False


def _end_worker(record: ExperimentRecord) -> None:
    """End a worker that does not notice that its run is to end, and close the record."""
    path = record.record_path
    assert path is not None  # for the type checker: cancel() has looked
    began = time.monotonic()
    while (waited := time.monotonic() - began) < GRACE + CLEANING + _AFTER_ENGINE:
        if not _goes_on(record):
            return
        if waited > GRACE + _AFTER_ENGINE and not has_noticed(path.parent):
            break
        time.sleep(_LOOK)
    if _is_ended(record):
        with suppress(LabError):  # a full disk, or a folder that was removed: it is listed as lost then
            close_dead(path, RunStatus.CANCELLED.value, cancel_text(requested(path.parent) or Request()))


def _is_ended(record: ExperimentRecord) -> bool:
    """End the process of a run; False when it is not there any more, or does something else."""
    number: int = record.provenance.process_id  # type: ignore[union-attr, assignment]  # as in _is_in_worker
    try:
        # Stopped, it cannot end this run and begin another one between the last look and its end.
        os.kill(number, signal.SIGSTOP)
        try:
            _has_become(number, "stopped")
            if not _goes_on(record):
                return False
            kill(number)
        finally:
            with suppress(OSError):  # it is gone already, as it should
                os.kill(number, signal.SIGCONT)
    except OSError:  # it has just ended
        return False
    return _has_become(number, "zombie")


def _goes_on(record: ExperimentRecord) -> bool:
    """Tell whether the run is still carried out by the process that the record names."""
    assert record.record_path is not None  # for the type checker: cancel() has looked
    now = try_read(record.record_path)
    return (
        now is not None
        and now.experiment_id == record.experiment_id
        and _runs_here(now)
        and now.provenance.process_id == record.provenance.process_id  # type: ignore[union-attr]  # as above
    )


def _has_become(process: int, status: str) -> bool:
    """Wait, though not for ever, until a process is in a state as psutil names it, or gone."""
    import psutil  # noqa: PLC0415 -- as above

    end = time.monotonic() + _DEATH
    try:
        while psutil.Process(process).status() != status:
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
    except psutil.Error:
        return True
    return True


def has_noticed(folder: Path) -> bool:
    """
    Tell whether a run that was asked to end is about to, as its journal tells.

    Examples
    --------
    >>> has_noticed(Path("no/such/folder"))
    False
    """
    try:
        with (folder / JOURNAL_NAME).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            return b'"phase_cancelled"' in file.read()
    except OSError:  # it has not begun
        return False


def kill(process: int) -> None:
    """
    End a worker and everything that it started, at once.

    Parameters
    ----------
    process : int
        A worker, whose number cannot be another one's yet: this process's child that was not waited for, or one
        that was just looked at.
    """
    import psutil  # noqa: PLC0415 -- as above

    family: list[psutil.Process] = []
    with suppress(psutil.Error):
        family = psutil.Process(process).children(recursive=True)
    kill_group(process)
    with suppress(OSError):
        os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    for child in family:
        with suppress(psutil.Error):
            child.kill()


def kill_group(process: int) -> None:
    """
    End what a worker has left behind in its session; nothing when it never had one of its own.

    Parameters
    ----------
    process : int
        The worker; it may have ended.
    """
    if not hasattr(os, "killpg") or process == os.getpgid(0):
        return
    with suppress(OSError):  # nothing is left; or it had ended before it led a group
        os.killpg(process, signal.SIGKILL)


def cancel_text(asked: Request) -> str:
    """
    Say in a record's words who ended a run, and why.

    Examples
    --------
    >>> cancel_text(Request("too slow", "ana@desk")), cancel_text(Request("cancelled", "ana@desk"))
    ('KeyboardInterrupt: cancelled by ana@desk: too slow', 'KeyboardInterrupt: cancelled by ana@desk')
    """
    return f"KeyboardInterrupt: {interrupt_text(asked)}"


def interrupt_text(asked: Request) -> str:
    """
    Say the same without the name of the exception.

    Examples
    --------
    >>> interrupt_text(Request())
    'cancelled'
    """
    by = message(" by {who}", who=asked.who) if asked.who else ""
    why = f": {asked.why}" if asked.why not in ("", "cancelled") else ""
    return f"cancelled{by}{why}"


def close_dead(
    record_path: Path,
    status: str,
    error: str,
    *,
    peak_memory_bytes: int | None = None,
    log: Sequence[str] = (),
) -> ExperimentRecord:
    """
    Close the record of a run whose process is gone, with all that its journal tells; a closed one stays as it is.

    Parameters
    ----------
    record_path : Path
        The run's own record, running or pending.
    status : str
        ``failed`` or ``cancelled``.
    error : str
        ``Type: message`` of what ended it.
    peak_memory_bytes : int, optional
        The most memory that was seen of the process [bytes].
    log : sequence of str
        More lines for the record's log, such as the last that the model printed.

    Returns
    -------
    ExperimentRecord
        As it is on disk then, whoever closed it.

    Raises
    ------
    LabError
        When there is no record, or it cannot be read.
    OutputError
        When it cannot be written; the one on disk stays.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab.runner import queue_run
    >>> record = queue_run("game_of_life", store=tempfile.mkdtemp())
    >>> closed = close_dead(record.record_path, "failed", "CrashError: The worker was ended by SIGKILL.")
    >>> closed.status, closed.logs
    ('failed', ['failed before phase validate: CrashError: The worker was ended by SIGKILL.'])
    >>> close_dead(record.record_path, "cancelled", "KeyboardInterrupt").status
    'failed'
    """
    with _alone(record_path.parent):
        record = read_record(record_path)
        if record.status not in (RunStatus.PENDING, RunStatus.RUNNING):
            return record
        run = RunFolder(record_path.parent)
        run.take_from_dead(_beside(record))
        _close(record, status, error, peak_memory_bytes)
        for line in log:
            record.add_log(line)
        if run.partial.is_dir() and any(run.partial.iterdir()):
            record.add_log(f"What save() left is kept in {run.partial}.")
        RunStore(record_path.parent.parent).end(run, record)
        _sweep_up(record)
    return read_record(record_path)


def _close(record: ExperimentRecord, status: str, error: str, peak_memory_bytes: int | None) -> None:
    """Fill the record with what the journal tells, as the runner would have."""
    said, now = told(record.record_path.parent), utc_now()  # type: ignore[union-attr]  # it was read from there
    kind = "cancelled" if status == RunStatus.CANCELLED else "failed"
    record.status, record.error, record.ended_at = kind, error, now
    record.phases, record.steps = dict(said.phases), said.steps
    if said.open_phase:
        began = said.opened_at or now
        record.phases[said.open_phase] = PhaseUsage(
            started_at=began,
            seconds=round(max(0.0, (now - began).total_seconds()), 6),
            status=kind,
            peak_memory_bytes=peak_memory_bytes,
        )
    for name, usage in record.phases.items():
        if usage.status == "completed":
            record.metrics[f"time_{name}_sec"] = usage.seconds
    record.metrics["time_total_sec"] = round(sum(usage.seconds for usage in record.phases.values()), 6)
    record.failed_phase = said.last_phase or None
    record.logs = _joined(record.logs, said.logs)
    where = (
        f"{'in' if said.open_phase else 'after'} phase {said.last_phase}"
        if said.last_phase
        else (message("before phase validate"))
    )
    record.add_log(f"{kind} {where}: {error}")
    if "output" not in record.artifacts:
        record.output_path = None


def _joined(written: list[str], told_lines: list[str]) -> list[str]:
    """Join the log as it was written and as it was told: the end of the one may be the beginning of the other."""
    known = min(len(written), len(told_lines))
    overlap = next((n for n in range(known, 0, -1) if written[-n:] == told_lines[:n]), 0)
    return [*written, *told_lines[overlap:]]


def _beside(record: ExperimentRecord) -> Path | None:
    """Return the second record that the run wrote beside its output, where it is still this run's."""
    if not record.output_path or "://" in record.output_path:
        return None
    wanted = record.resolve_path(Path(record.output_path).expanduser())
    inside = wanted / f"{safe_name(record.model_name)}-{record.experiment_id[:8]}"
    for output in (wanted, inside):
        path = with_suffix(output, ".record.json")
        found = try_read(path)
        if found is not None and found.experiment_id == record.experiment_id:
            return path
    return None


def _sweep_up(record: ExperimentRecord) -> None:
    """Remove files that the dead process was about to write, and those that say that it is at work."""
    number = record.provenance.process_id if record.provenance is not None else None
    tidy_run(record.record_path.parent, number)  # type: ignore[union-attr]  # it was read from there


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time close a run; a lock that ends with its process, where the file system has such."""
    try:
        import fcntl  # noqa: PLC0415 -- not on Windows: there, both write the same
    except ImportError:
        yield
        return
    try:
        place = os.open(folder, os.O_RDONLY)
    except OSError:  # what it means is said when the record is read
        yield
        return
    try:
        end = time.monotonic() + _PATIENCE
        with suppress(OSError):  # a file system without locks on folders
            while time.monotonic() < end:
                try:
                    fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.002)
        yield
    finally:
        os.close(place)


def _runs_here(record: ExperimentRecord) -> bool:
    facts = record.provenance
    return (
        record.status == RunStatus.RUNNING
        and facts is not None
        and facts.process_id is not None
        and facts.process_id > 0
        and facts.hostname == platform.node()
        and is_alive(record)
    )


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = ""
    return f"{user}@{platform.node()}"
