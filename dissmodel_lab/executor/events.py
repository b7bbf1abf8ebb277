"""What the runner tells while it works. Panel, terminal bar and journal only listen.

An observer is any callable that takes one event. The runner knows none of them by name. They are named tuples:
a dataclass takes eight times as long to define, which the first run of a session would wait for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from dissmodel_lab.executor.schemas import ExperimentRecord, PhaseUsage


class Phase(StrEnum):
    """The four phases, in their order."""

    VALIDATE = "validate"
    LOAD = "load"
    RUN = "run"
    SAVE = "save"


class RunStarted(NamedTuple):
    """The run begins; its record will change until :class:`RunFinished`."""

    record: ExperimentRecord


class PhaseStarted(NamedTuple):
    """A phase begins; the one before has ended."""

    phase: Phase
    at: datetime


class PhaseFinished(NamedTuple):
    """A phase ended well."""

    phase: Phase
    usage: PhaseUsage
    value: Any = None
    """What the phase returned: the loaded data, the result, or the record."""

    def __repr__(self) -> str:
        return f"PhaseFinished(phase={self.phase!r}, usage={self.usage!r})"  # a value may be a million cells


class PhaseFailed(NamedTuple):
    """A phase was ended by an exception, a cancel included."""

    phase: Phase
    usage: PhaseUsage
    error: BaseException
    text: str = ""
    """``Type: message`` without the secrets that the run was given; empty when nobody has looked for them."""


class StepFinished(NamedTuple):
    """A step of simulated time is complete; at most five are told a second, and always the last."""

    step: int
    """From 1 to ``n_steps``."""
    n_steps: int | None = None
    """None when the number of steps is not known ahead."""
    label: str = ""
    """The step's name, such as ``year 2030``."""
    values: Mapping[str, float] = MappingProxyType({})
    """Numbers worth showing, by name."""
    time: float | None = None
    """Simulated time at the end of the step, in the model's own unit; None when the model tells none."""
    part: int = 1
    """Which simulation of the run this step belongs to: a run may hold several, one after another."""


class Step(NamedTuple):
    """
    A step as the model tells it, of which nothing is worked out yet: a fast loop has a million of them.

    Watchers get every one, on the model's own thread, while its data stand still.
    """

    step: int
    n_steps: int | None = None
    label: str | Callable[[], str] = ""
    values: Mapping[str, float] | Callable[[], Mapping[str, float]] | None = None
    time: float | None = None
    part: int = 1
    layers: Callable[[], Mapping[str, Any]] | None = None
    """Returns the model's spatial data as they are now, by name: live objects, to be copied, never kept."""

    def current_values(self) -> Mapping[str, float]:
        """Return the numbers worth showing, worked out now."""
        return (self.values() if callable(self.values) else self.values) or {}

    def finished(self) -> StepFinished:
        """Return the event that tells of this step."""
        label = self.label if isinstance(self.label, str) else self.label()
        return StepFinished(self.step, self.n_steps, label, self.current_values(), self.time, self.part)

    def as_told(self) -> StepFinished:
        """Return the same with nothing worked out: for later, when the model's data are no longer this step's."""
        label = self.label
        if isinstance(label, functools.partial):  # of steps(): it names its own item, whenever it is asked
            try:
                label = label()
            except Exception:  # noqa: BLE001 -- the model's code, in a run that is ending already
                label = ""
        values: Mapping[str, float] = {} if callable(self.values) else self.values or {}
        named = label if isinstance(label, str) else ""
        return StepFinished(self.step, self.n_steps, named, values, self.time, self.part)


class Fetching(NamedTuple):
    """The input is on its way here; at most five are told a second, and always the last."""

    name: str
    """Of the file or folder."""
    done: int
    """How much has come [bytes]."""
    total: int | None = None
    """How much there is [bytes]; None when its server does not say."""


class LogLine(NamedTuple):
    """A line was added to the record's log."""

    text: str


class RunFinished(NamedTuple):
    """The run is over and its record is closed."""

    status: str
    error: BaseException | None = None


Event = RunStarted | PhaseStarted | PhaseFinished | PhaseFailed | StepFinished | Fetching | LogLine | RunFinished
Observer = Callable[[Event], None]
Watcher = Callable[[Step], None]
"""Is called at the end of every step, on the model's thread: it must bound its own cost."""
