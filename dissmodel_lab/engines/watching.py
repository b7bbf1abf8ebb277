"""What a slot sees of its worker while a job runs: requests to cancel, memory, time; and how it ended."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from dissmodel_lab.cancelling import (
    CLEANING,
    GRACE,
    WAKE_SIGNAL,
    Request,
    has_noticed,
    interrupt_text,
    is_requested,
    request,
    requested,
)
from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.language import message
from dissmodel_lab.quantities import bytes_text

if TYPE_CHECKING:
    from dissmodel_lab.jobs import Job, Limits

POLL = 0.1
"""How often a worker is looked at while a job runs [s]."""
#: What usually stands behind a signal, for those who do not know its name.
_SIGNALS = {
    "SIGSEGV": message("a library read or wrote memory that is not its own"),
    "SIGBUS": message("a library read or wrote memory that is not there"),
    "SIGABRT": message("a library gave up"),
    "SIGFPE": message("a library divided whole numbers by zero"),
    "SIGILL": message("a library was built for another processor"),
    "SIGKILL": message("killed from outside; systems do so when memory runs out"),
    "SIGTERM": message("it was asked to end from outside"),
    "SIGXCPU": message("the system's limit of processor time"),
}


class End(NamedTuple):
    """That a job's process must be ended, and what its record will say."""

    status: str
    error: str
    is_crash: bool = False
    """Whether the process ended by itself."""


class Watch:
    """
    Looks at one job in one worker.

    Parameters
    ----------
    job : Job
        The one that runs.
    pid : int
        The worker's process.
    """

    def __init__(self, job: Job, pid: int) -> None:
        self._job = job
        self._pid = pid
        self._folder = Path(job.store, job.folder_name)
        self._began = time.monotonic()
        self._asked = 0.0
        self._last_wake = 0.0
        self.why = ""
        """Set from any thread: the reason why the run is to end."""
        self.peak: int | None = None
        """The most memory that was seen of the worker and the processes that it started [bytes]."""

    def look(self) -> End | None:
        """Return what to do about the worker now; None when it may go on."""
        memory = memory_of(self._pid, of_children=self._job.limits.memory_bytes is not None)
        if memory:  # nothing is seen of one that has just ended
            self.peak = max(memory, self.peak or 0)
        reason = beyond_limit(self._job.limits, time.monotonic() - self._began, memory)
        if reason:
            return End(RunStatus.FAILED.value, reason)
        if self.why and self._folder.is_dir() and not is_requested(self._folder):
            with suppress(LabError):  # it cannot be written: the worker is ended all the same
                request(self._folder, self.why)
        if self.why or is_requested(self._folder):
            return self._see_to_cancel()
        return None

    def _see_to_cancel(self) -> End | None:
        now = time.monotonic()
        if not self._asked:
            self._asked = now
        if now - self._last_wake > 2 * POLL and WAKE_SIGNAL is not None:
            self._last_wake = now
            with suppress(OSError):  # it has ended meanwhile
                os.kill(self._pid, WAKE_SIGNAL)
        waited = now - self._asked
        if waited < GRACE or (waited < GRACE + CLEANING and has_noticed(self._folder)):
            return None
        return self.cancelled()

    def cancelled(self) -> End:
        """Return the end of a run that was to be cancelled, whatever ended it."""
        return End(RunStatus.CANCELLED.value, interrupt_text(requested(self._folder) or Request(self.why)))

    def out_of_time(self) -> str:
        """Say that the run has taken longer than it may; empty when it has not."""
        return beyond_limit(self._job.limits, time.monotonic() - self._began, None)

    @property
    def is_asked(self) -> bool:
        """Whether the run is to end."""
        return bool(self.why) or is_requested(self._folder)


def beyond_limit(limits: Limits, seconds: float, memory: int | None) -> str:
    """
    Say which limit a run has left behind; empty when none.

    Parameters
    ----------
    limits : Limits
        What it may take.
    seconds : float
        What it took [s].
    memory : int or None
        What it takes now [bytes]; None when that is not known.

    Examples
    --------
    >>> from dissmodel_lab.jobs import Limits
    >>> beyond_limit(Limits(memory_bytes=500 * 1024**2), 3.0, 612 * 1024**2)
    'The run went beyond its limit of 500 MiB of memory (612 MiB seen).'
    >>> beyond_limit(Limits(seconds=60), 3.0, None)
    ''
    """
    if limits.memory_bytes is not None and memory is not None and memory > limits.memory_bytes:
        limit, seen = bytes_text(limits.memory_bytes), bytes_text(memory)
        return message("The run went beyond its limit of {limit} of memory ({seen} seen).", limit=limit, seen=seen)
    if limits.seconds is not None and seconds > limits.seconds:
        return message("The run went beyond its limit of {seconds:g} s.", seconds=limits.seconds)
    return ""


def memory_of(pid: int, *, of_children: bool = True) -> int | None:
    """
    Return the resident memory of a process and of those that it started [bytes]; None when it is gone.

    Examples
    --------
    >>> memory_of(os.getpid()) > 1024**2
    True
    """
    try:
        process = psutil.Process(pid)
        total = int(process.memory_info().rss)
        family = process.children(recursive=True) if of_children and _has_children(pid) else []
    except psutil.Error:
        return None
    for child in family:
        with suppress(psutil.Error):
            total += child.memory_info().rss
    return total


def _has_children(pid: int) -> bool:
    """Tell whether a process has started others; psutil looks at every process of the machine for that."""
    tasks = f"/proc/{pid}/task"
    try:
        for task in os.listdir(tasks):  # noqa: PTH208 -- ten times a second, names alone
            with open(f"{tasks}/{task}/children", "rb") as file:  # noqa: PTH123 -- as above
                if file.read(1):
                    return True
    except OSError:  # not Linux, or a kernel without that file
        return True
    return False


def how_it_ended(exit_code: int | None, peak: int | None) -> str:
    """
    Say in a sentence how a worker's process ended that should not have.

    Parameters
    ----------
    exit_code : int or None
        Minus the signal's number for one that was killed; None when nobody knows.
    peak : int or None
        The most memory that was seen of it [bytes].

    Examples
    --------
    >>> how_it_ended(-11, 210 * 1024**2)
    'The worker process was ended by SIGSEGV (a library read or wrote memory that is not its own); 210 MiB ...'
    >>> how_it_ended(3, None)
    'The worker process ended itself with exit code 3 in the middle of the run.'
    """
    seen = message("; {peak} of memory was the most that was seen of it", peak=bytes_text(peak)) if peak else ""
    if exit_code is None:
        return message("The worker process ended in the middle of the run{seen}.", seen=seen)
    if exit_code >= 0:
        return message(
            "The worker process ended itself with exit code {exit_code} in the middle of the run{seen}.",
            exit_code=exit_code,
            seen=seen,
        )
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    meaning = f" ({_SIGNALS[name]})" if name in _SIGNALS else ""
    return message("The worker process was ended by {name}{meaning}{seen}.", name=name, meaning=meaning, seen=seen)
