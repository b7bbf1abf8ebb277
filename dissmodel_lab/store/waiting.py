"""What runs and what is queued, in the order in which it began or will begin."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.store.files import REQUEST_NAME
from dissmodel_lab.store.reading import try_read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.index import RunEntry

PRIORITIES = ("high", "normal", "low")
"""The first come first."""
_USUAL = "normal"
_IS_OPEN = ("running", "pending")


class QueueEntry(NamedTuple):
    """A run that runs, or waits for it."""

    entry: RunEntry
    """As a listing has it."""
    priority: str = _USUAL
    engine: str = ""
    """Empty for a run that its notebook or script carries out itself."""
    host: str = ""
    process_id: int | None = None
    """Of the worker; of the process that queued it while it waits."""
    sweep_id: str = ""
    point: str = ""
    """Which point of that sweep."""
    is_cancelled: bool = False
    """Whether it was asked to end."""


def in_order(entries: Iterable[RunEntry]) -> list[QueueEntry]:
    """
    Read more of some runs, and sort them: those that run, then those that wait, by priority and age.

    Examples
    --------
    >>> in_order([])
    []
    """
    found = (_looked_at(entry) for entry in entries)
    return sorted((one for one in found if one is not None), key=_rank)


def _rank(one: QueueEntry) -> tuple[Any, ...]:
    entry = one.entry
    waits = entry.status == "pending"
    return waits, PRIORITIES.index(one.priority) if waits else 0, entry.created_at, entry.experiment_id


def _looked_at(entry: RunEntry) -> QueueEntry | None:
    """Read a run's record; None when it has ended, or was removed, since it was listed."""
    path = entry.record_path or entry.folder / RECORD_NAME
    record = try_read(path)
    if record is None or record.status not in _IS_OPEN:
        return None
    facts = record.provenance
    return QueueEntry(
        entry._replace(status=record.status),
        _priority_of(record),
        record.engine,
        facts.hostname if facts is not None else "",
        facts.process_id if facts is not None else None,
        str(record.sweep.get("id", "")),
        str(record.sweep.get("point", "")),
        os.path.lexists(path.parent / REQUEST_NAME),
    )


def _priority_of(record: ExperimentRecord) -> str:
    said = getattr(record, "priority", _USUAL)
    return said if said in PRIORITIES else _USUAL
