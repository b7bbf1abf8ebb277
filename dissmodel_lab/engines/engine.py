"""What every engine can do: take jobs, and be closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissmodel_lab.engines.handle import RunHandle
    from dissmodel_lab.executor.events import Observer
    from dissmodel_lab.jobs import Job


class Engine(ABC):
    """
    A place where jobs run; each engine hands them to a :class:`concurrent.futures.Executor` of a library.

    Examples
    --------
    >>> from dissmodel_lab.engines import engine_for
    >>> engine_for("inline").name
    'inline'
    """

    name: str = ""
    """As people write it after ``--engine``."""
    n_workers: int = 1
    """How many jobs run at once."""
    n_ahead: int = 2
    """How many more jobs for each worker should wait here, so that none of them is idle."""

    @abstractmethod
    def start(self, job: Job, priority: int = 0, observers: Sequence[Observer] = ()) -> RunHandle:
        """
        Take a job, to be run as soon as a worker is free.

        Parameters
        ----------
        job : Job
            What to run.
        priority : int
            Of the jobs that wait, the one with the largest number goes first; equal ones in their order.
        observers : sequence of callable
            Each is called with every event of the run.

        Returns
        -------
        RunHandle
            To follow, cancel and wait for the run.

        Raises
        ------
        EngineError
            When the job cannot be carried out here: a model that cannot travel, an engine that is closed.
        """

    @abstractmethod
    def shutdown(self, wait: bool = True, cancel: bool = False) -> None:  # noqa: FBT001, FBT002 -- as Executor.shutdown
        """
        Take no more jobs, and let go of the workers.

        Parameters
        ----------
        wait : bool
            Return when the jobs have ended.
        cancel : bool
            Cancel the jobs that wait or run; they are carried out otherwise.
        """

    def close_at_exit(self) -> None:
        """
        Let this process end without waiting for runs that are to go on; the others are cancelled.

        Runs whose job says ``ends_with_kernel``, and those that wait for a worker, are cancelled.
        """
        self.shutdown(wait=False, cancel=False)

    def named(self, job: Job) -> Job:
        """Return a job whose record will say which engine carries it out."""
        return replace(job, fields={"engine": self.name, **job.fields})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
