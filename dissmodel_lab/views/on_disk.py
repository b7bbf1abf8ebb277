"""A run that another process carries out, known by its folder alone: to be looked at from any notebook."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dissmodel_lab.cancelling import cancel_run
from dissmodel_lab.executor.events import RunFinished
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import LOST
from dissmodel_lab.jobs import Outcome
from dissmodel_lab.journal import CLOSED, follow
from dissmodel_lab.store import RunStore
from dissmodel_lab.store.reading import is_alive, try_read
from dissmodel_lab.views.cancel_button import WHY
from dissmodel_lab.views.phases import QUEUED

if TYPE_CHECKING:
    from dissmodel_lab.executor.events import Event, Observer
    from dissmodel_lab.executor.schemas import ExperimentRecord

_LOOK = 0.5
"""How often is looked whether the run's process is still there [s]."""
_LAST_EVENTS = 5.0
"""How long is waited for observers to be told what is on disk already, once a run has ended [s]."""


def is_going(record: ExperimentRecord) -> bool:
    """
    Tell whether a run waits or works, and its process is still there.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> is_going(ExperimentRecord(status="completed")), is_going(ExperimentRecord(status="running"))
    (False, False)
    """
    return (
        record.record_path is not None
        and record.status in (RunStatus.PENDING, RunStatus.RUNNING)
        and is_alive(record)
    )


class RunOnDisk:
    """
    A run by its folder, whoever carries it out.

    Parameters
    ----------
    record : ExperimentRecord
        As it was read from the store.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import run
    >>> record = run("game_of_life", parameters={"generations": 2}, store=tempfile.mkdtemp())
    >>> RunOnDisk(record).wait(10).status
    'completed'
    """

    def __init__(self, record: ExperimentRecord) -> None:
        self.experiment_id = record.experiment_id
        self.model_name = record.model_name
        self.engine = str(getattr(record, "engine", "") or "")
        self._path = Path(str(record.record_path))
        self.folder = self._path.parent
        self._last = record
        self._looked_at = 0.0
        self._was_over = False
        self._followers: list[threading.Thread] = []

    @property
    def record(self) -> ExperimentRecord:
        """The record as it is on disk now, or as it was when it could last be read."""
        self._last = try_read(self._path) or self._last
        return self._last

    @property
    def status(self) -> str:
        """``queued``, ``running``, or how it ended; ``lost`` when its process is gone."""
        record = self.record
        if record.status in CLOSED:
            return str(record.status)
        if not is_alive(record):
            return LOST
        return QUEUED if record.status == RunStatus.PENDING else str(record.status)

    def cancel(self, why: str = WHY) -> None:
        """
        Ask the run to end, whatever process carries it out.

        Raises
        ------
        LabError
            When its folder cannot be written.
        """
        cancel_run(RunStore(self._path.parent.parent), self.experiment_id, why)

    def done(self) -> bool:
        """Tell whether it has ended."""
        now = time.monotonic()
        if not self._was_over and now - self._looked_at >= _LOOK:
            self._looked_at = now
            self._was_over = self.status not in (QUEUED, RunStatus.RUNNING.value)
        return self._was_over

    def subscribe(self, observer: Observer) -> None:
        """
        Follow the run's journal on a thread of its own.

        Parameters
        ----------
        observer : callable
            Is called with each event, those of the past first. One that raises is told no more.
        """
        follower = threading.Thread(target=self._follow, args=(observer,), daemon=True, name="dissmodel_lab follower")
        self._followers.append(follower)
        follower.start()

    def wait(self, timeout: float | None = None) -> Outcome:
        """
        Wait for the end of the run, and until all observers were told.

        Parameters
        ----------
        timeout : float, optional
            How long [s].

        Raises
        ------
        TimeoutError
            When it has not ended by then; it goes on.
        """
        began = time.monotonic()
        while not self.done():
            if timeout is not None and time.monotonic() - began >= timeout:
                raise TimeoutError(f"Run {self.experiment_id[:8]} has not ended after {timeout:g} s. It goes on.")
            time.sleep(_LOOK / 5)
        for follower in self._followers:
            follower.join(_LAST_EVENTS)
        return Outcome(self.status, self.experiment_id, self._path, self.record.error or "")

    def _follow(self, observer: Observer) -> None:
        is_finished = False

        def tell(event: Event) -> None:
            nonlocal is_finished
            is_finished = isinstance(event, RunFinished)
            observer(event)

        with suppress(Exception):  # a broken view must not leave a traceback in somebody's notebook
            follow(self._path.parent, tell, self.done)
            if not is_finished:  # its folder is gone
                observer(RunFinished(self.status))
