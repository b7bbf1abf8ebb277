"""What a run told, as lines in its folder -> the events again, for whoever follows it.

A journal is written while it is read, by another process, on another machine even, and its writer may be killed in
the middle of a line. So a line counts once its end is there, and what is no line of ours is passed over.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from dissmodel_lab.errors import ExecutorError, LabError
from dissmodel_lab.executor.events import (
    Event,
    Fetching,
    LogLine,
    Phase,
    PhaseFailed,
    PhaseFinished,
    PhaseStarted,
    RunFinished,
    RunStarted,
    StepFinished,
)
from dissmodel_lab.executor.jsonvalue import decode
from dissmodel_lab.executor.schemas import ExperimentRecord, PhaseUsage, RunStatus, utc_now
from dissmodel_lab.index import LOST, RECORD_NAME
from dissmodel_lab.language import message
from dissmodel_lab.store.files import JOURNAL_NAME
from dissmodel_lab.store.reading import is_alive, read_record, try_read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

INTERVAL = 0.05
"""How often a follower looks for new lines [s]."""
_READING = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_BLOCK = 256 * 1024
_LONGEST_LINE = 1024**2
"""A longer line is none of ours [bytes]."""
CLOSED = frozenset((RunStatus.COMPLETED.value, RunStatus.FAILED.value, RunStatus.CANCELLED.value))
"""How a record ends."""


class JournalReader:
    r"""
    Reads a journal that grows: each line once, as soon as it is whole.

    A context: it holds the file open.

    Parameters
    ----------
    folder : Path
        The run's own; neither it nor its journal need be there yet.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> with JournalReader(folder) as reader:
    ...     _ = (folder / "journal.jsonl").write_text('{"event": "log", "text": "a"}\n{"event": "lo')
    ...     list(reader.lines())
    [{'event': 'log', 'text': 'a'}]
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL_NAME
        self._file: int | None = None
        self._rest = b""
        self._is_skipping = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def lines(self) -> Iterator[dict[str, Any]]:
        """Return the lines that became whole since the last call, one after the other; there may be millions."""
        if self._file is None:
            try:
                self._file = os.open(self._path, _READING)
            except OSError:  # not yet, or not for us
                return
        while block := self._read():
            yield from self._whole(block)

    def _read(self) -> bytes:
        assert self._file is not None  # for the type checker: lines() has opened it
        try:
            return os.read(self._file, _BLOCK)
        except OSError:  # a folder of that name, or a file system that went away: there is nothing new
            return b""

    def _whole(self, block: bytes) -> Iterator[dict[str, Any]]:
        *whole, rest = (self._rest + block).split(b"\n")
        if self._is_skipping and whole:
            whole, self._is_skipping = whole[1:], False
        if self._is_skipping or len(rest) > _LONGEST_LINE:
            rest, self._is_skipping = b"", True
        self._rest = rest
        for line in whole:
            try:
                facts = json.loads(line)
            except (ValueError, RecursionError):  # cut off by a kill, or written by somebody else
                continue
            if isinstance(facts, dict):
                yield facts


def follow(
    folder: Path,
    tell: Callable[[Event], None],
    is_over: Callable[[], bool],
    interval: float = INTERVAL,
) -> ExperimentRecord | None:
    """
    Call a function with every event of a run, those that were told before included, until it is over.

    Parameters
    ----------
    folder : Path
        The run's own; it need not be there yet.
    tell : callable
        Is called with each event; an exception of it ends the following.
    is_over : callable
        Tells that nobody will write there any more; the run's closed record ends the following, too.
    interval : float
        How long to wait between two looks [s].

    Returns
    -------
    ExperimentRecord or None
        As it is on disk in the end; None when there is none.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import run
    >>> record = run("game_of_life", parameters={"generations": 2}, store=tempfile.mkdtemp())
    >>> told = []
    >>> follow(record.record_path.parent, told.append, lambda: True).status
    'completed'
    >>> [type(event).__name__ for event in told[:2]], told[-1].status
    (['RunStarted', 'PhaseStarted'], 'completed')
    """
    story = Story(folder)
    for event in story.events(is_over, interval):
        tell(event)
    return story.record


class Story:
    """
    The events of a run, told again from its journal.

    Parameters
    ----------
    folder : Path
        The run's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_begun = False
        self._seen: tuple[int, ...] = ()
        self.record: ExperimentRecord | None = None
        """One object from the first event to the last, brought up to date as events come; None before."""

    def events(self, is_over: Callable[[], bool], interval: float = INTERVAL) -> Iterator[Event]:
        """Return the events as :func:`follow` tells them."""
        with JournalReader(self._folder) as reader:
            while True:
                was_over = is_over()  # before the lines are read: what was written until then is told
                for line in reader.lines():
                    if line.get("event") == "record":
                        was_over = True
                    else:
                        yield from self._told(line)
                if was_over:
                    break
                if not self._is_begun:
                    yield from self._begun(only=RunStatus.RUNNING.value)
                time.sleep(interval)
        yield from self._ended()

    def _told(self, line: dict[str, Any]) -> Iterator[Event]:
        event = _event_or_none(line)
        if event is None:
            return
        yield from self._begun()
        record = self.record
        if not self._is_begun:  # somebody took the record away: there is no run to tell of
            return
        if record is not None and isinstance(event, PhaseFinished | PhaseFailed):
            record.phases[event.phase.value] = event.usage
            if isinstance(event, PhaseFailed):
                record.failed_phase = event.phase.value
        elif record is not None and isinstance(event, LogLine):
            record.logs.append(event.text)
        yield event

    def _begun(self, only: str = "") -> Iterator[Event]:
        if self._is_begun or (only and not self._is_rewritten()):
            return
        record = try_read(self._folder / RECORD_NAME)
        if record is None or (only and record.status != only):  # not yet
            return
        self._is_begun, self.record = True, record
        # It may be over already, or be written anew by now: all of this is told again, and not to stand there twice.
        record.phases, record.logs, record.failed_phase, record.error, record.ended_at = {}, [], None, None, None
        if record.status in CLOSED:
            record.status = RunStatus.RUNNING.value
        yield RunStarted(record)

    def _is_rewritten(self) -> bool:
        """Tell whether the record may say something new: a run that waits in a queue is not read all the time."""
        try:
            facts = (self._folder / RECORD_NAME).stat()
        except OSError:
            return False
        before, self._seen = self._seen, (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        return self._seen != before

    def _ended(self) -> Iterator[Event]:
        yield from self._begun()
        if self.record is None:
            return
        with suppress(LabError):  # removed meanwhile: what is known stays
            last = read_record(self._folder / RECORD_NAME)
            for name in (*ExperimentRecord.model_fields, *(last.model_extra or {})):
                setattr(self.record, name, getattr(last, name))
        status = self.record.status if self.record.status in CLOSED else LOST
        yield RunFinished(status, _cause(status, self.record.error or ""))


class EndOnDisk:
    """
    Tells whether a run of another process is over, from what is on disk: what :func:`follow` has to know.

    Parameters
    ----------
    folder : Path
        The run's own.
    interval : float
        How long an answer counts [s]: each costs a reading of the record.

    Examples
    --------
    >>> from pathlib import Path
    >>> EndOnDisk(Path("no/such/folder"))()
    True
    """

    def __init__(self, folder: Path, interval: float = 0.5) -> None:
        self._path = folder / RECORD_NAME
        self._interval = interval
        self._next = 0.0
        self._is_over = False

    def __call__(self) -> bool:
        """Return True once the record is closed, or its process gone."""
        if not self._is_over and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._interval
            record = try_read(self._path)
            self._is_over = record is None or record.status in CLOSED or not is_alive(record)
        return self._is_over


class Told(NamedTuple):
    """All of a journal at once, as far as a record has use for it."""

    phases: dict[str, PhaseUsage]
    """What ended."""
    logs: list[str]
    steps: int | None
    """How many steps were complete, as far as they were told."""
    open_phase: str
    """The phase that began last and did not end; empty when there is none."""
    opened_at: datetime | None
    last_phase: str
    """The phase that began last."""


def told(folder: Path) -> Told:
    """
    Sum up what a run told until now.

    Examples
    --------
    >>> from pathlib import Path
    >>> told(Path("no/such/folder")).steps is None
    True
    """
    phases: dict[str, PhaseUsage] = {}
    logs: list[str] = []
    steps: dict[int, int] = {}
    began: PhaseStarted | None = None
    with JournalReader(folder) as reader:
        for line in reader.lines():
            event = _event_or_none(line)
            if isinstance(event, PhaseStarted):
                began = event
            elif isinstance(event, PhaseFinished | PhaseFailed):
                phases[event.phase.value] = event.usage
            elif isinstance(event, StepFinished):
                steps[event.part] = max(event.step, steps.get(event.part, 0))
            elif isinstance(event, LogLine):
                logs.append(event.text)
    last = began.phase.value if began is not None else ""
    is_open = began is not None and last not in phases
    return Told(
        phases,
        logs,
        sum(steps.values()) if steps else None,
        last if is_open else "",
        began.at if is_open and began is not None else None,
        last,
    )


def _event_or_none(line: dict[str, Any]) -> Event | None:
    try:
        return event_of(line)
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError):  # none of ours
        return None


def event_of(line: dict[str, Any]) -> Event | None:
    """
    Return the event that a line of a journal tells; None for a line that tells none.

    Raises
    ------
    ValueError, TypeError, KeyError
        When nobody here wrote that line.

    Examples
    --------
    >>> event_of({"event": "log", "text": "12 cells flooded"})
    LogLine(text='12 cells flooded')
    >>> event_of({"event": "record", "sha256": ""}) is None
    True
    """
    name = line.get("event")
    if name == "phase_started":
        return PhaseStarted(Phase(line["phase"]), _moment(line))
    if name in ("phase_completed", "phase_failed", "phase_cancelled"):
        known = {key: value for key, value in line.items() if key in PhaseUsage.model_fields}
        usage = PhaseUsage.model_validate(known)
        if name == "phase_completed":
            return PhaseFinished(Phase(line["phase"]), usage)
        cause = _cause(usage.status, str(line.get("error", "")))
        return PhaseFailed(Phase(line["phase"]), usage, cause or ExecutorError(message("The phase failed.")))
    if name == "step":
        return _step(line)
    if name == "log":
        return LogLine(str(line["text"]))
    if name == "fetching":
        total = line.get("total")
        return Fetching(str(line.get("name", "")), int(line["done"]), None if total is None else int(total))
    return None


def _step(line: dict[str, Any]) -> StepFinished:
    values, n_steps, moment = decode(line.get("values") or {}), line.get("n_steps"), decode(line.get("time"))
    return StepFinished(
        int(line["step"]),
        None if n_steps is None else int(n_steps),
        str(line.get("label", "")),
        {str(key): value for key, value in values.items() if isinstance(value, int | float)},
        moment if isinstance(moment, int | float) else None,
        int(line.get("part", 1)),
    )


def _cause(status: str, error: str) -> BaseException | None:
    """Return what stands for the exception that ended a phase or a run elsewhere."""
    if status == RunStatus.COMPLETED:
        return None
    if status == RunStatus.CANCELLED:
        return KeyboardInterrupt(error.removeprefix("KeyboardInterrupt").removeprefix(": "))
    return ExecutorError(error)


def _moment(line: dict[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(line["at"])
    except (KeyError, TypeError, ValueError):
        return utc_now()
