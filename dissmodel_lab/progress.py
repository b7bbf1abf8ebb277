"""What can be said of a run right now: the events it told, added up. Panel and terminal bar draw this.

Numbers and texts only; how they look is decided by the views and the terminal.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

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
from dissmodel_lab.language import mark, message, say
from dissmodel_lab.quantities import bytes_text, duration_text
from dissmodel_lab.store import RunStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissmodel_lab.executor.schemas import ExperimentRecord

WAITING = "waiting"
RUNNING = "running"
DONE = "done"
NOT_REACHED = "not reached"
FAILED = "failed"
_ENDS = ("cancelled", "lost")
"""Statuses of a run that its open phase has as well."""
_PHASES: dict[str, str] = {
    Phase.VALIDATE: message("validate"),
    Phase.LOAD: message("load"),
    Phase.RUN: message("run"),
    Phase.SAVE: message("save"),
}


def phase_text(phase: str) -> str:
    """
    Return the word for a phase, which can be shown in other languages; an unknown one as it is.

    Examples
    --------
    >>> phase_text("load")
    'load'
    """
    return _PHASES.get(phase, phase)


_STATUSES = frozenset(
    (
        mark("waiting"),
        mark("queued"),
        mark("pending"),
        mark("running"),
        mark("cancelling"),
        mark("done"),
        mark("completed"),
        mark("finished"),
        mark("stopped"),
        mark("failed"),
        mark("cancelled"),
        mark("lost"),
        mark("unreadable"),
        mark("not reached"),
    )
)
"""Those that have a word in each language."""


def status_text(status: str) -> str:
    """
    Return the word for a status of a run, a phase or a sweep, for people; what is none stays as it is.

    Examples
    --------
    >>> status_text("completed"), status_text("of another program")
    ('completed', 'of another program')
    """
    return say(status) if status in _STATUSES else status


@dataclass
class PhaseProgress:
    """One phase, as far as it has come."""

    state: str = WAITING
    """``waiting``, ``running``, ``done``, ``failed``, ``cancelled``, ``lost`` or ``not reached``."""
    seconds: float = 0.0
    """Time it took [s]; meaningless while it runs."""
    peak_memory_bytes: int | None = None
    began: float = 0.0

    def elapsed(self) -> float:
        """Return the time so far [s]."""
        return time.perf_counter() - self.began if self.state == RUNNING else self.seconds


@dataclass
class Progress:
    """
    An observer that adds up the events of one run.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord, execute_lifecycle
    >>> from dissmodel_lab.executor.testing import SteppingExecutor
    >>> progress = Progress()
    >>> _ = execute_lifecycle(SteppingExecutor(), ExperimentRecord(), observers=[progress])
    >>> [progress.phases[phase].state for phase in Phase], progress.step, progress.status
    (['done', 'done', 'done', 'done'], 3, 'completed')
    """

    phases: dict[Phase, PhaseProgress] = field(default_factory=lambda: {phase: PhaseProgress() for phase in Phase})
    record: ExperimentRecord | None = None
    """The run's record, which changes while it runs."""
    step: int = 0
    n_steps: int | None = None
    label: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    simulated_time: float | None = None
    part: int = 1
    last_log: str = ""
    fetching: Fetching | None = None
    """How far the input has come, while or after it was fetched; None for one that needed not."""
    status: str = RUNNING
    error: BaseException | None = None
    loaded: Any = None
    """What ``load`` returned, until the run is over."""
    _step_times: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=50))
    """When which step of the present part was told: the latest ones, because a model may slow down."""
    _fetch_times: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=50))
    _expected: dict[Phase, float] | None = None

    def __call__(self, event: Event) -> None:
        """
        Add an event.

        Parameters
        ----------
        event : Event
            One of :mod:`dissmodel_lab.executor.events`.
        """
        match event:
            case RunStarted():
                self.record = event.record
            case PhaseStarted():
                self.phases[event.phase] = PhaseProgress(RUNNING, began=time.perf_counter())
            case PhaseFinished() | PhaseFailed():
                self._end_phase(event)
            case StepFinished():
                self._note_step(event)
            case Fetching():
                self._fetch_times.append((time.perf_counter(), event.done))
                self.fetching = event
            case LogLine():
                self.last_log = event.text
            case RunFinished():
                self._end_phases(event.status)
                self.status, self.error, self.loaded = event.status, event.error, None

    @classmethod
    def from_record(cls, record: ExperimentRecord) -> Progress:
        """
        Return the progress that a record tells of, for a run that is over.

        Parameters
        ----------
        record : ExperimentRecord
            Of this or an older version; phases without details are shown by their ``time_..._sec`` metrics.

        Examples
        --------
        >>> from dissmodel_lab.executor import ExperimentRecord
        >>> old = ExperimentRecord(status="completed", metrics={"time_load_sec": 1.5})
        >>> Progress.from_record(old).phases[Phase.LOAD].seconds
        1.5
        """
        progress = cls(record=record, status=record.status)
        for phase in Phase:
            usage = record.phases.get(phase.value)
            seconds = record.metrics.get(f"time_{phase}_sec")
            if usage is not None:
                state = DONE if usage.status == "completed" else usage.status
                progress.phases[phase] = PhaseProgress(state, usage.seconds, usage.peak_memory_bytes)
            elif isinstance(seconds, int | float) and math.isfinite(seconds):
                progress.phases[phase] = PhaseProgress(DONE, float(seconds))
            else:
                progress.phases[phase] = PhaseProgress(NOT_REACHED)
        return progress

    def _end_phase(self, event: PhaseFinished | PhaseFailed) -> None:
        usage = event.usage
        state = DONE if usage.status == "completed" else usage.status
        self.phases[event.phase] = PhaseProgress(state, usage.seconds, usage.peak_memory_bytes)
        if isinstance(event, PhaseFinished) and event.phase is Phase.LOAD:
            self.loaded = event.value

    def _end_phases(self, status: str) -> None:
        """Say of phases that told no end of their own how they ended: their process may have been killed."""
        for phase, part in self.phases.items():
            if part.state == RUNNING:
                state = status if status in _ENDS else DONE if status == "completed" else FAILED
                self.phases[phase] = PhaseProgress(state, part.elapsed(), part.peak_memory_bytes)
            elif part.state == WAITING:
                self.phases[phase] = PhaseProgress(NOT_REACHED)

    def _note_step(self, event: StepFinished) -> None:
        if event.part != self.part or event.step <= self.step:  # another simulation of the same run begins
            self._step_times.clear()
        self._step_times.append((time.perf_counter(), event.step))
        self.step, self.n_steps = event.step, event.n_steps
        self.label, self.values = event.label, event.values
        self.simulated_time, self.part = event.time, event.part

    def seconds_left(self) -> float | None:
        """
        Estimate how long the phase that is running will still take [s]; None rather than a guess.

        From the pace of this run's latest steps; before there are any, from earlier completed runs of the same
        model on the same input, with the same parameters where the phase depends on them.
        """
        phase = next((phase for phase in Phase if self.phases[phase].state == RUNNING), None)
        if phase is None:
            return None
        if phase is Phase.RUN and len(self._step_times) > 1 and self.n_steps is not None:
            (began, first), (now, last) = self._step_times[0], self._step_times[-1]
            pace = (now - began) / (last - first)
            return max(0.0, (self.n_steps - last) * pace - (time.perf_counter() - now))
        if phase is Phase.LOAD and self.is_fetching:
            return self._seconds_to_fetch()
        expected = self._expectations().get(phase)
        left = None if expected is None else expected - self.phases[phase].elapsed()
        return left if left is not None and left >= 0 else None  # it takes longer than it ever did: who knows

    @property
    def is_fetching(self) -> bool:
        """True while the input is on its way."""
        now = self.fetching
        is_loading = self.phases[Phase.LOAD].state == RUNNING
        return now is not None and is_loading and (now.total is None or now.done < now.total)

    def _seconds_to_fetch(self) -> float | None:
        now = self.fetching
        if now is None or now.total is None or len(self._fetch_times) < 2:  # noqa: PLR2004 -- a pace needs two
            return None
        (began, first), (at, last) = self._fetch_times[0], self._fetch_times[-1]
        if last <= first:
            return None
        return max(0.0, (now.total - last) * (at - began) / (last - first) - (time.perf_counter() - at))

    def fetch_text(self) -> str:
        """
        Say how far the input has come; empty when none was fetched.

        Examples
        --------
        >>> Progress(fetching=Fetching("dem.tif", 3 * 1024**2, 12 * 1024**2)).fetch_text()
        'fetched 3.0 MiB of 12 MiB of dem.tif (25 %)'
        >>> Progress(fetching=Fetching("dem.tif", 5000)).fetch_text()
        'fetched 4.9 KiB of dem.tif'
        """
        now = self.fetching
        if now is None:
            return ""
        if not now.total:
            return message("fetched {done} of {name}", done=bytes_text(now.done), name=now.name)
        return message(
            "fetched {done} of {total} of {name} ({percent} %)",
            done=bytes_text(now.done),
            total=bytes_text(now.total),
            name=now.name,
            percent=min(100, 100 * now.done // now.total),
        )

    def left_text(self) -> str:
        """
        Say how long the running phase will still take.

        Examples
        --------
        >>> Progress().left_text()
        ''
        """
        if all(phase.state != RUNNING for phase in self.phases.values()):
            return ""
        seconds = self.seconds_left()
        if seconds is None:
            return message("time left unknown")
        return message("about {time} left", time=duration_text(max(1.0, seconds)))

    def _expectations(self) -> dict[Phase, float]:
        if self._expected is None:
            self._expected = {}
            if self.record is not None and self.record.record_path is not None:
                store = RunStore(self.record.record_path.parent.parent)
                self._expected = _usual_seconds(self.record, store.newest_completed(self.record.model_name))
        return self._expected

    def total_seconds(self) -> float:
        """Return the time of all phases so far [s]."""
        return sum(phase.elapsed() for phase in self.phases.values())

    def memory_bytes(self) -> int:
        """Return the largest memory seen: the phases' peaks, and what the process holds now [bytes]."""
        peaks = [phase.peak_memory_bytes or 0 for phase in self.phases.values()]
        now = psutil.Process().memory_info().rss if self.status == RUNNING else 0
        return max(*peaks, now)

    def step_text(self) -> str:
        """
        Say how far the steps have come; empty before the first.

        Examples
        --------
        >>> Progress(step=3, n_steps=20, label="year 2030").step_text()
        'step 3 of 20 (year 2030)'
        """
        if not self.step:
            return ""
        if self.n_steps is None:
            said = message("step {step}", step=self.step)
        else:
            said = message("step {step} of {total}", step=self.step, total=self.n_steps)
        if self.part > 1:
            said = message("simulation {part}, {step}", part=self.part, step=said)
        return message("{step} ({label})", step=said, label=self.label) if self.label else said


def _usual_seconds(record: ExperimentRecord, earlier: list[ExperimentRecord]) -> dict[Phase, float]:
    """Return the median time of each phase in earlier runs that did the same."""
    same_input = [other for other in earlier if other.source.uri == record.source.uri]
    same = [other for other in same_input if other.parameters == record.parameters]
    usual = {}
    for phase in Phase:
        alike = same_input if phase is Phase.LOAD else same
        seconds = [other.phases[phase.value].seconds for other in alike if phase.value in other.phases]
        if seconds:
            usual[phase] = statistics.median(seconds)
    return usual
