"""A run that is at work somewhere: to be followed, cancelled, waited for."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dissmodel_lab.cancelling import request
from dissmodel_lab.errors import CrashError, EngineError
from dissmodel_lab.executor.events import RunFinished
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import LOST, RECORD_NAME
from dissmodel_lab.journal import follow
from dissmodel_lab.language import message
from dissmodel_lab.store.reading import read_record, try_read

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissmodel_lab.executor.events import Event, Observer
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.jobs import Job, Outcome

QUEUED = "queued"
"""The status of a run that no worker has taken yet."""
_LAST_EVENTS = 5.0
"""How long is waited for observers to be told what is on disk already, once a run has ended [s]."""


class RunHandle:
    """
    A run that an engine has taken.

    The engine calls :meth:`began` (when it knows) and :meth:`finish` (once, always); everything else is for those
    who want the run. All of it may be called from any thread.

    Parameters
    ----------
    job : Job
        The run.
    engine : str
        The engine's name.
    cancel : callable, optional
        How the engine ends it, with the reason as a text; by the request in the run's folder when not given.
    """

    def __init__(self, job: Job, engine: str, cancel: Callable[[str], None] | None = None) -> None:
        self.job = job
        """What was asked for."""
        self.engine = engine
        """Name of the engine."""
        self.folder = Path(job.store, job.folder_name)
        """The run's folder; it may not be there before the run has begun."""
        self._cancel = cancel
        self._has_begun = False
        self._outcome: Outcome | None = None
        self._is_over = threading.Event()
        self._lock = threading.RLock()
        self._callbacks: list[Callable[[RunHandle], None]] = []
        self._teller: _Teller | None = None

    @property
    def experiment_id(self) -> str:
        """The id in the run's record."""
        return self.job.experiment_id

    @property
    def model_name(self) -> str:
        """What the model is called: in its record, or as it was asked for while there is none."""
        record = self.record
        if record is not None:
            return record.model_name
        model = self.job.model
        return (
            model if isinstance(model, str) else str(getattr(model, "name", "") or getattr(model, "__name__", model))
        )

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``completed``, ``failed``, ``cancelled``, ``refused`` or ``lost``."""
        if self._outcome is not None:
            return self._outcome.status
        if self._has_begun:
            return RunStatus.RUNNING.value
        record = self.record
        return QUEUED if record is None or record.status == RunStatus.PENDING else str(record.status)

    @property
    def record(self) -> ExperimentRecord | None:
        """The record as it is on disk now; None while there is none."""
        outcome = self._outcome
        known = outcome.record_path if outcome is not None else None
        return try_read(known or self.folder / RECORD_NAME)

    def done(self) -> bool:
        """Tell whether the run has ended, however it did."""
        return self._is_over.is_set()

    def cancel(self, why: str = "cancelled") -> None:
        """
        Ask the run to end; this returns at once, and does nothing when it has ended.

        Parameters
        ----------
        why : str
            What its record will say.
        """
        if self.done():
            return
        if self._cancel is not None:
            self._cancel(why)
        else:
            request(self.folder, why)

    def subscribe(self, observer: Observer) -> None:
        """
        Call an observer with every event of the run, those that were told already first, in a thread of its own.

        Parameters
        ----------
        observer : callable
            It takes one event of :mod:`dissmodel_lab.executor.events`. One that raises is left out from then on.
        """
        with self._lock:
            is_first = self._teller is None
            teller = self._teller = self._teller or _Teller(self)
        teller.add(observer)  # it may call this handle: nobody must hold its lock meanwhile
        if is_first:
            teller.start()

    def wait(self, timeout: float | None = None) -> Outcome:
        """
        Wait until the run has ended and all observers were told.

        Parameters
        ----------
        timeout : float, optional
            How long [s]; for ever when not given.

        Raises
        ------
        TimeoutError
            When it has not ended by then; it goes on.
        KeyboardInterrupt
            When this process is interrupted meanwhile; the run goes on.
        """
        if not self._is_over.wait(timeout):
            raise TimeoutError(
                message(
                    "Run {experiment_id} has not ended after {timeout:g} s. It goes on.",
                    experiment_id=self.experiment_id[:8],
                    timeout=timeout,
                )
            )
        assert self._outcome is not None  # for the type checker: finish() sets it first
        with self._lock:
            teller = self._teller
        if teller is not None and teller is not threading.current_thread():
            teller.is_done.wait(_LAST_EVENTS)  # an interrupted join() leaves a thread in a state that is not true
        return self._outcome

    def result(self, timeout: float | None = None) -> ExperimentRecord:
        """
        Wait for the run's record; how the run ended is raised here as a run in this process would raise it.

        Parameters
        ----------
        timeout : float, optional
            How long [s]; for ever when not given.

        Raises
        ------
        BaseException
            The model's own exception where it can travel; KeyboardInterrupt when the run was cancelled.
        LabError
            When it was refused, when its process died (:class:`~dissmodel_lab.errors.CrashError`), and for an
            exception of the model that cannot travel, as a text.
        TimeoutError
            When it has not ended by then; it goes on.
        """
        outcome = self.wait(timeout)
        if outcome.status == RunStatus.COMPLETED and outcome.record_path is not None:
            return read_record(outcome.record_path)
        if outcome.exception is not None:
            raise outcome.exception
        if outcome.status == RunStatus.CANCELLED:
            raise KeyboardInterrupt(outcome.error)
        if outcome.status == LOST:
            raise CrashError(
                outcome.error
                or message("Run {experiment_id} is lost: its process is gone.", experiment_id=self.experiment_id[:8])
            )
        raise EngineError(
            message(
                "{error} (This exception could not travel from the worker process. The record's log has its "
                "traceback.)",
                error=outcome.error or f"Run {self.experiment_id[:8]} ended as {outcome.status}.",
            )
        )

    def add_done_callback(self, call: Callable[[RunHandle], None]) -> None:
        """
        Call a function with this handle when the run has ended; at once when it has.

        Parameters
        ----------
        call : callable
            It runs in a thread of the engine; what it raises is ignored.
        """
        with self._lock:
            if not self.done():
                self._callbacks.append(call)
                return
        with suppress(Exception):  # as concurrent.futures: whoever listens must not harm the engine
            call(self)

    def began(self) -> None:
        """Note that a worker has taken it: for engines."""
        self._has_begun = True

    def finish(self, outcome: Outcome) -> None:
        """
        Note how it ended: for engines. Only the first outcome counts.

        Parameters
        ----------
        outcome : Outcome
            How it ended.
        """
        with self._lock:
            if self._outcome is not None:
                return
            self._outcome = outcome
            self._is_over.set()
            callbacks, self._callbacks = self._callbacks, []
        for call in callbacks:
            with suppress(Exception):  # as above
                call(self)

    def __repr__(self) -> str:
        return f"<run {self.experiment_id[:8]} of {self.model_name} on {self.engine}: {self.status}>"


class _Teller(threading.Thread):
    """Follows a run's journal and tells its observers, each from the first event on."""

    def __init__(self, handle: RunHandle) -> None:
        super().__init__(name=f"events of run {handle.experiment_id[:8]}", daemon=True)
        self.is_done = threading.Event()
        self._handle = handle
        self._lock = threading.RLock()  # an observer may bring another one
        self._told: list[Event] = []
        self._observers: list[Observer] = []

    def add(self, observer: Observer) -> None:
        with self._lock:  # so that it misses nothing, and gets nothing twice
            for event in self._told:
                if not _tell(observer, event):
                    return
            self._observers.append(observer)

    def run(self) -> None:
        handle = self._handle
        try:
            follow(handle.folder, self._tell, handle.done)
            if not (self._told and isinstance(self._told[-1], RunFinished)):  # it left no record
                outcome = handle.wait()
                self._tell(RunFinished(outcome.status, outcome.exception))
        finally:
            self.is_done.set()

    def _tell(self, event: Event) -> None:
        with self._lock:
            self._told.append(event)
            for observer in list(self._observers):
                if not _tell(observer, event):
                    self._observers.remove(observer)


def _tell(observer: Observer, event: Event) -> bool:
    try:
        observer(event)
    except Exception:  # noqa: BLE001 -- a broken view must not end a run; it is left out from here on
        return False
    return True
