"""A run that is at work elsewhere, as far as its journal tells: what a live panel draws of it.

Its events arrive late, and all at once for who begins to look in the middle of a run.
"""

from __future__ import annotations

import math
import platform
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import psutil

from dissmodel_lab.executor.events import Event, Phase, PhaseStarted, RunFinished, RunStarted, StepFinished
from dissmodel_lab.executor.schemas import utc_now
from dissmodel_lab.frames import POINTS, Series
from dissmodel_lab.frames.checkpoint import TOUCH_INTERVAL, LivePicture, forget_live, say_watched
from dissmodel_lab.progress import RUNNING, Progress
from dissmodel_lab.views.phases import QUEUED

if TYPE_CHECKING:
    from pathlib import Path

    from dissmodel_lab.executor.events import Observer
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.frames import RawFrame, Shown
    from dissmodel_lab.jobs import Outcome
    from dissmodel_lab.maps.frames import Frames

_TOGETHER = 0.1
"""Steps that arrive closer than this [s] were told before somebody looked: they say nothing of the pace."""


class RunAtWork(Protocol):
    """A run that can be followed, cancelled and waited for; :class:`dissmodel_lab.engines.RunHandle` is one."""

    engine: str
    folder: Path

    @property
    def experiment_id(self) -> str:
        """The id in its record."""

    @property
    def model_name(self) -> str:
        """The model's name."""

    @property
    def status(self) -> str:
        """``queued``, ``running``, or how it ended."""

    @property
    def record(self) -> ExperimentRecord | None:
        """The record as it is on disk now."""

    def cancel(self, why: str = ...) -> None:
        """Ask it to end; return at once."""

    def subscribe(self, observer: Observer) -> None:
        """Tell every event, those of the past first, on a thread of its own."""

    def wait(self, timeout: float | None = None) -> Outcome:
        """Wait for its end, and until all observers were told."""

    def done(self) -> bool:
        """Tell whether it has ended."""


class FollowedProgress(Progress):
    """
    The progress of a run in another process.

    Examples
    --------
    >>> progress = FollowedProgress()
    >>> progress.status
    'queued'
    """

    def __init__(self) -> None:
        super().__init__(status=QUEUED)
        self._process: psutil.Process | None = None
        self._told_at = -math.inf

    def __call__(self, event: Event) -> None:
        """
        Add an event.

        Parameters
        ----------
        event : Event
            One of :mod:`dissmodel_lab.executor.events`.
        """
        if isinstance(event, StepFinished):
            now = time.perf_counter()
            if now - self._told_at < _TOGETHER:
                self._step_times.clear()
            self._told_at = now
        super().__call__(event)
        match event:
            case RunStarted():
                self._process = _process_of(event.record)
            case PhaseStarted():
                self.status = RUNNING
                # It may have begun long before somebody looked; another machine's clock may be ahead.
                self.phases[event.phase].began -= max(0.0, (utc_now() - event.at).total_seconds())
            case RunFinished():
                self._process = None

    def memory_bytes(self) -> int:
        """Return the largest memory seen: the phases' peaks, and what its process here holds now [bytes]."""
        peaks = [phase.peak_memory_bytes or 0 for phase in self.phases.values()]
        now = 0
        if self._process is not None and self.status == RUNNING:
            try:
                now = self._process.memory_info().rss
            except psutil.Error:  # it has ended, or belongs to somebody else
                self._process = None
        return max(*peaks, now)


def _process_of(record: ExperimentRecord) -> psutil.Process | None:
    facts = record.provenance
    if facts is None or facts.process_id is None or facts.hostname != platform.node():
        return None
    try:
        return psutil.Process(facts.process_id)
    except (psutil.Error, ValueError, OverflowError):
        return None


class ToldSteps:
    """
    The values that a run's steps told, for its charts, and the newest frame, for its live picture.

    It stands where a run of this process has its :class:`~dissmodel_lab.frames.FrameKeeper`: that of this run keeps
    the frames in the other process. From there they come through the run's folder, as long as somebody looks.

    Parameters
    ----------
    folder : Path, optional
        Of the run; without it there is no picture.

    Examples
    --------
    >>> told = ToldSteps()
    >>> for step in (1, 2):
    ...     told(StepFinished(step, 2, values={"area": step / 2}))
    >>> told.series().values
    {'area': [0.5, 1.0]}
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.classes: type[Any] | None = None
        self.wanted: Shown | None = None
        self._folder = folder
        self._picture = LivePicture(folder) if folder is not None else None
        self._lock = threading.Lock()
        self._is_at_work = False
        self._told_wish: Shown | None = None
        self._next_touch = 0.0
        self.frames: Frames | None = None
        self.notes: list[str] = []
        self._points: list[tuple[int, float, dict[str, float]]] = []
        self._part, self._before, self._last = 1, 0, 0

    def __call__(self, event: Event) -> None:
        """
        Keep a step's values, and look on from the run phase to the end.

        Parameters
        ----------
        event : Event
            One of :mod:`dissmodel_lab.executor.events`.
        """
        if isinstance(event, PhaseStarted) and event.phase is Phase.RUN:
            self._is_at_work = True
        elif isinstance(event, RunFinished):
            self.close()
        if not isinstance(event, StepFinished):
            return
        if event.part != self._part:
            self._part, self._before = event.part, self._before + self._last
        self._last = event.step
        values = {str(name): float(value) for name, value in event.values.items() if isinstance(value, int | float)}
        time_told = event.time if isinstance(event.time, int | float) else math.nan
        points = [*self._points, (self._before + event.step, float(time_told), values)]
        # A new list: another thread may be drawing the old one. The newest point always stays.
        self._points = points if len(points) <= 2 * POINTS else [*points[:-1:2], points[-1]]

    @property
    def newest(self) -> RawFrame | None:
        """The newest frame that there is; asking for it tells the run that somebody looks."""
        if self._picture is None:
            return None
        with self._lock:
            if self._is_at_work:
                self._say_watched()
                self._picture.look()
        return self._picture.newest

    @property
    def options(self) -> tuple[Shown, ...]:
        """What the live picture can show."""
        return self._picture.options if self._picture is not None else ()

    def _say_watched(self) -> None:
        now = time.monotonic()
        if self._folder is not None and (now >= self._next_touch or self.wanted != self._told_wish):
            self._next_touch, self._told_wish = now + TOUCH_INTERVAL, self.wanted
            with suppress(OSError):  # a folder that may only be read: there is no live picture then
                say_watched(self._folder, self.wanted)

    def close(self) -> None:
        """Look no more, and leave nothing of that behind."""
        with self._lock:
            if self._is_at_work and self._folder is not None:
                forget_live(self._folder)
            self._is_at_work = False

    def series(self) -> Series:
        """Return the values so far; from any thread."""
        points = [point for point in self._points if point[2]]
        names = list(dict.fromkeys(name for _, _, values in points for name in values))
        return Series(
            [count for count, _, _ in points],
            [moment for _, moment, _ in points],
            {name: [values.get(name, math.nan) for _, _, values in points] for name in names},
        )
