"""What is on disk of a sweep's points when somebody takes it up: which are done, which still run, which are next."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dissmodel_lab.cancelling import cancel
from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.store.reading import process_is_alive, try_read
from dissmodel_lab.sweeps.ledger import Result, read_facts
from dissmodel_lab.sweeps.report import CANCELLED, COMPLETED, FAILED, WAITING

if TYPE_CHECKING:
    from pathlib import Path

    from dissmodel_lab.sweeps.design import SweepDesign
    from dissmodel_lab.sweeps.folder import SweepFolder
    from dissmodel_lab.sweeps.ledger import Ledger

BORN = 5.0
"""How long a run may take from making its folder to writing its record [s]; then its process is taken for dead."""
_ENDED = {
    RunStatus.COMPLETED.value: COMPLETED,
    RunStatus.FAILED.value: FAILED,
    RunStatus.CANCELLED.value: CANCELLED,
}


@dataclass
class Plan:
    """What is left to do."""

    waiting: deque[tuple[int, int]] = field(default_factory=deque)
    """Points with the number of the attempt to make."""
    orphans: dict[int, int] = field(default_factory=dict)
    """Points with the attempt that a worker of a dead driver still carries out."""
    found: list[Result] = field(default_factory=list)
    """What the results do not know yet."""


def look_round(folder: SweepFolder, design: SweepDesign, ledger: Ledger, *, failed: bool) -> Plan:
    """
    Compare the results with what is on disk.

    Parameters
    ----------
    folder, design, ledger
        Of the sweep.
    failed : bool
        Whether points that failed or were cancelled are to be run again.

    Returns
    -------
    Plan
        Of every point that has no completed record.
    """
    plan = Plan()
    attempts = folder.attempts()
    for point in range(1, design.n_runs + 1):
        made = attempts.get(point, [])
        known = ledger.status(point)
        if known == COMPLETED and made:
            continue
        if not made:  # it never began, was refused, or its folder was removed
            if known != FAILED or failed:
                plan.found += [Result(point, 0, WAITING, has_record=False)] if known != WAITING else []
                plan.waiting.append((point, 1))
            continue
        _sort_in(plan, folder, point, made, known, failed=failed)
    return plan


def _sort_in(plan: Plan, folder: SweepFolder, point: int, made: list[int], known: str, *, failed: bool) -> None:
    results = {attempt: result_in(folder.run_folder(point, attempt), point, attempt) for attempt in made}
    done = next((result for result in results.values() if result is not None and result.status == COMPLETED), None)
    last = results[made[-1]]
    if done is not None:
        plan.found.append(done)
    elif last is None and is_at_work(folder.run_folder(point, made[-1])):
        plan.orphans[point] = made[-1]
    elif last is None or failed or last.status == CANCELLED:
        plan.waiting.append((point, made[-1] + 1))
        if known in (FAILED, CANCELLED):
            plan.found.append(Result(point, made[-1], WAITING))
    elif known != last.status:
        plan.found.append(last)


def result_in(folder: Path, point: int, attempt: int) -> Result | None:
    """
    Return what a run came to, as its record tells; None when it has not ended, or has no record.

    Parameters
    ----------
    folder : Path
        The run's own.
    point, attempt : int
        Which run it is.
    """
    facts = read_facts(folder)
    status = _ENDED.get(facts.status) if facts is not None else None
    if facts is None or status is None:
        return None
    return Result(point, attempt, status, facts.error, facts.metrics, facts.seconds)


def is_at_work(folder: Path) -> bool:
    """
    Tell whether a run that has not ended is still carried out by some process.

    Parameters
    ----------
    folder : Path
        The run's own. Of another machine's process, this is believed; without a record, for a few seconds.
    """
    facts = read_facts(folder)
    if facts is not None:
        return process_is_alive(facts.host, facts.process, facts.started)
    try:
        return time.time() - folder.stat().st_mtime < BORN
    except OSError:  # it is gone
        return False


def cancel_at_work(folder: Path, why: str) -> None:
    """
    Cancel a run that a worker of a dead driver still carries out; nothing when none does.

    Parameters
    ----------
    folder : Path
        The run's own.
    why : str
        What its record will say.
    """
    record = try_read(folder / RECORD_NAME)
    if record is not None and record.status == RunStatus.RUNNING:
        with suppress(LabError):  # its folder cannot be written: it goes on
            cancel(record, why)
