"""What a listing says of a run, and what can be asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from dissmodel_lab.conditions import Condition

RECORD_NAME = "record.json"
LOST = "lost"
QUEUED = "queued"
"""The phase of a run that was lost before it began."""
UNREADABLE = "unreadable"


class RunEntry(NamedTuple):
    """One line of a listing."""

    experiment_id: str
    model_name: str
    status: str
    """A record's status; ``lost`` when it is not closed and its process gone; ``unreadable`` for a broken file."""
    created_at: datetime
    folder: Path
    seconds: float | None = None
    """Time of the phases that ended [s]."""
    phase: str = ""
    """The phase in which the run failed, was cancelled or lost, or is now; ``queued`` of one lost before it began."""
    problem: str = ""
    """The error that ended it, or why the record cannot be read."""
    title: str = ""
    """The parameters that make this run what it is."""
    tags: tuple[str, ...] = ()
    """What people added, in the order in which they did."""
    record_path: Path | None = None
    """The record's file: from elsewhere, it need not be called ``record.json``."""


class RunQuery(NamedTuple):
    """
    Which runs, and in which order; what is not given does not matter.

    Examples
    --------
    >>> from dissmodel_lab.conditions import parse_condition
    >>> RunQuery(model="coastal_flood", where=parse_condition("years >= 20"), sort="-metrics.flooded", limit=5).offset
    0
    """

    model: str = ""
    """A model's name, as records have it."""
    status: str = ""
    """completed, failed, cancelled, running, pending, lost or unreadable."""
    tag: str = ""
    """One of the run's tags."""
    source_sha256: str = ""
    """The SHA-256 of its input, or how it begins."""
    since: datetime | None = None
    """Created at this moment or later; without a time zone, in UTC."""
    until: datetime | None = None
    """Created before this moment."""
    where: Condition | None = None
    """See :mod:`dissmodel_lab.conditions`, and :mod:`dissmodel_lab.index.queries` for what each comparison means."""
    sort: str = "-created"
    """A field, a parameter or a metric; ``-`` before it: the largest first. Runs without a value come last."""
    limit: int | None = None
    """How many at most."""
    offset: int = 0
    """How many of the first are left out."""


class Reindexed(NamedTuple):
    """What a reading of all records found."""

    n_records: int
    """Records that are listed, unreadable ones included."""
    n_unreadable: int
    n_removed: int
    """Records that the index knew, and that are gone."""
    seconds: float
    """How long it took [s]."""
