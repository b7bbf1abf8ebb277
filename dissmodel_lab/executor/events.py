"""What the runner tells while it works. Panel, terminal bar and journal only listen.

An observer is any callable that takes one event. The runner knows none of them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from dissmodel_lab.executor.schemas import ExperimentRecord, PhaseUsage


class Phase(StrEnum):
    """The four phases, in their order."""

    VALIDATE = "validate"
    LOAD = "load"
    RUN = "run"
    SAVE = "save"


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run begins; its record will change until :class:`RunFinished`."""

    record: ExperimentRecord


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase begins; the one before has ended."""

    phase: Phase
    at: datetime


@dataclass(frozen=True, slots=True)
class PhaseFinished:
    """A phase ended well."""

    phase: Phase
    usage: PhaseUsage
    value: Any = field(default=None, repr=False)
    """What the phase returned: the loaded data, the result, or the record."""


@dataclass(frozen=True, slots=True)
class PhaseFailed:
    """A phase was ended by an exception, a cancel included."""

    phase: Phase
    usage: PhaseUsage
    error: BaseException


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step of simulated time is complete; at most five are told a second, and always the last."""

    step: int
    """From 1 to ``n_steps``."""
    n_steps: int | None = None
    """None when the number of steps is not known ahead."""
    label: str = ""
    """The step's name, such as ``year 2030``."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Numbers worth showing, by name."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line was added to the record's log."""

    text: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over and its record is closed."""

    status: str
    error: BaseException | None = None


Event = RunStarted | PhaseStarted | PhaseFinished | PhaseFailed | StepFinished | LogLine | RunFinished
Observer = Callable[[Event], None]
