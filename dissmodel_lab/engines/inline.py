"""Jobs in this process, in the thread that asks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dissmodel_lab.cancelling import is_requested
from dissmodel_lab.engines.engine import Engine
from dissmodel_lab.engines.handle import RunHandle
from dissmodel_lab.engines.worker_side import perform
from dissmodel_lab.errors import EngineError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from dissmodel_lab.executor.events import Observer
    from dissmodel_lab.jobs import Job


class InlineEngine(Engine):
    """
    Runs each job at once, here: :meth:`start` returns when it is over.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab.jobs import Job
    >>> place = {"store": tempfile.mkdtemp(), "working_folder": tempfile.mkdtemp(), "folder_name": "000001"}
    >>> handle = InlineEngine().start(Job(model="game_of_life", experiment_id="a1", **place))
    >>> handle.done(), handle.status
    (True, 'completed')
    """

    name = "inline"

    def __init__(self) -> None:
        self._load_cache: Any = None
        self._is_closed = False

    def start(self, job: Job, priority: int = 0, observers: Sequence[Observer] = ()) -> RunHandle:  # noqa: ARG002 -- nothing waits here
        """
        Run a job, see :meth:`Engine.start`.

        Raises
        ------
        EngineError
            When it has limits or an environment of its own: this process cannot be ended for its sake.
        KeyboardInterrupt
            When this process is interrupted, and it was not this one run that somebody asked to end.
        """
        if self._is_closed:
            raise EngineError(message("The engine inline is closed. Start the run again."))
        _refuse_what_needs_a_process(job)
        job = self.named(job)
        handle = RunHandle(job, self.name)
        handle.began()
        if job.shares_inputs and self._load_cache is None:
            from dissmodel_lab.load_cache import LoadCache  # noqa: PLC0415 -- for sweeps only

            self._load_cache = LoadCache()
        outcome = perform(job, observers, load_cache=self._load_cache if job.shares_inputs else None)
        handle.finish(outcome)
        if isinstance(outcome.exception, KeyboardInterrupt) and not is_requested(Path(job.store, job.folder_name)):
            raise outcome.exception
        return handle

    def shutdown(self, wait: bool = True, cancel: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 -- nothing runs
        """Take no more jobs."""
        self._is_closed = True
        self._load_cache = None


def _refuse_what_needs_a_process(job: Job) -> None:
    if any(limit is not None for limit in job.limits):
        raise EngineError(
            message(
                "A run in this process cannot have limits of time or memory: nobody could end it. Run with engine "
                "process."
            )
        )
    if job.environment:
        raise EngineError(
            message("A run in this process cannot have an environment of its own. Run with engine process.")
        )
