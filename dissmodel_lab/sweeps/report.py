"""What is said of a sweep: how far it is, what each run gave, what a metric depends on. Pure data, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dissmodel_lab.sweeps.design import Sampling

SweepState = Literal["running", "stopped", "finished"]

WAITING, RUNNING, COMPLETED, FAILED, CANCELLED = "waiting", "running", "completed", "failed", "cancelled"


class SweepProgress(NamedTuple):
    """How far a sweep is; ``done + failed + cancelled + running + waiting == total``."""

    done: int
    """Runs that completed."""
    failed: int
    """Runs that failed: the table tells why of each."""
    cancelled: int
    running: int
    """Runs at work: at most one for each worker of the engine."""
    waiting: int
    """Runs that have not begun, those that were handed to the engine already among them, or must be begun again."""
    seconds: float
    """Since this driving of it began, or that the last one took [s]."""
    eta: float | None
    """How long the rest takes at the pace so far, without the start of the workers [s]; None when nothing ended yet,
    or nobody drives it."""
    state: SweepState = "stopped"
    """``running``: somebody drives it; ``stopped``: points are missing and nobody does: ``resume()`` goes on;
    ``finished``: each point has ended."""
    problem: str = ""
    """Why it was stopped, when it was not a person; empty else."""
    earlier: int = 0
    """Of the runs that have ended: those that had before this driving of it, or the last one, began."""

    @property
    def total(self) -> int:
        """
        How many runs there are.

        Examples
        --------
        >>> SweepProgress(3, 1, 0, 2, 4, 1.5, 2.0).total
        10
        """
        return self.done + self.failed + self.cancelled + self.running + self.waiting

    @property
    def ended(self) -> int:
        """How many runs have ended, whichever way."""
        return self.done + self.failed + self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """What is known of one point of a sweep."""

    point: int
    """From 1 on."""
    setting: int
    """Which combination of parameters, from 1 on: rows that differ in the seed alone share one."""
    parameters: Mapping[str, Any]
    """The value of each axis, by name."""
    seed: int | None = None
    status: str = WAITING
    """``waiting``, ``running``, ``completed``, ``failed``, ``cancelled``."""
    error: str = ""
    """Why it failed, ``Type: message``; empty else."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The metrics that are numbers, by name."""
    seconds: float | None = None
    """How long the run took [s]."""
    attempt: int = 0
    """Which try this is, from 1 on; 0 when none began."""
    experiment_id: str = ""
    """Of its record; empty when none began."""
    record_path: Path | None = None
    """Where its record lies; None when none was begun."""


@dataclass(frozen=True, kw_only=True)
class SweepMap:
    """A point of a sweep whose output can be drawn, for small multiples."""

    row: SweepRow
    title: str
    """What tells it from the others: ``rise=0.5, tide=4``."""
    output_path: Path
    """Its main output; it existed when it was asked for."""


@dataclass(frozen=True, kw_only=True)
class SensitivityIndex:
    """One index, for all parameters; its values are in the order of ``Sensitivity.names``."""

    symbol: str
    """Short: ``S1``, ``ST``, ``mu*``, ``sigma``, ``rho``."""
    title: str
    """A few words: ``share of variance, alone``."""
    values: tuple[float | None, ...]
    """None where it cannot be worked out."""
    lower: tuple[float | None, ...]
    """Lower end of the confidence interval; None where there is none."""
    upper: tuple[float | None, ...]
    """Upper end of the confidence interval; None where there is none."""
    is_share: bool = False
    """Whether it is a share of the variance: 0 to 1, but for the error of an estimate."""


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What a metric of a sweep depends on."""

    metric: str
    sample: Sampling
    """The design, which decides what can be said."""
    method: str
    """How it was worked out, a sentence with its source."""
    names: tuple[str, ...]
    """The parameters, in the order of the axes."""
    indices: tuple[SensitivityIndex, ...]
    """Empty when nothing can be said; ``notes`` tell why."""
    n_points: int
    """Runs of the sweep."""
    n_used: int
    """Runs whose metric went into it."""
    confidence: float = 0.95
    """Of the intervals [-]."""
    notes: tuple[str, ...] = ()
    """What a reader must know: what was left out, and which index this design does not allow; a sentence each."""

    def index(self, symbol: str) -> SensitivityIndex | None:
        """
        Return an index by its symbol; None when this design does not allow it.

        Examples
        --------
        >>> said = Sensitivity(
        ...     metric="area", sample="grid", method="", names=("rise",), indices=(), n_points=3, n_used=0
        ... )
        >>> said.index("ST") is None
        True
        """
        return next((index for index in self.indices if index.symbol == symbol), None)
