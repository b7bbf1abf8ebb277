"""Jobs on their way through an engine of threads: the line in which they wait, and the threads that serve it."""

from __future__ import annotations

import itertools
import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from dissmodel_lab.errors import EngineError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dissmodel_lab.engines.handle import RunHandle
    from dissmodel_lab.jobs import Job

_LAST = float("inf")


class Ticket:
    """A job on its way through an engine."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.handle: RunHandle | None = None

    def the_handle(self) -> RunHandle:
        """Return the run's handle."""
        assert self.handle is not None  # for the type checker: it is set before anybody has the ticket
        return self.handle


_T = TypeVar("_T", bound=Ticket)


class TicketLine(Generic[_T]):
    """
    Tickets by priority, in front of threads; open until their runs have ended.

    Parameters
    ----------
    engine : str
        Its name, for messages.
    n_threads : int
        How many threads serve it at most.

    Examples
    --------
    >>> line: TicketLine[Ticket] = TicketLine("process", 2)
    >>> line.shutdown()
    >>> line.close()
    []
    """

    def __init__(self, engine: str, n_threads: int) -> None:
        self.lock = threading.Lock()
        """Of all that is here, and of what the engine itself notes on a ticket."""
        self.threads: list[threading.Thread] = []
        self._engine, self._most = engine, n_threads
        self._waiting: queue.PriorityQueue[tuple[float, int, _T | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._open: dict[_T, None] = {}
        """In the order in which they came."""
        self._n_idle = 0
        self._is_closed = False

    def add(self, ticket: _T, priority: int, begin_thread: Callable[[], threading.Thread | None]) -> None:
        """
        Put a ticket in its place.

        Parameters
        ----------
        ticket : Ticket
            With its handle.
        priority : int
            The larger the sooner; equal ones in their order.
        begin_thread : callable
            Called when one more thread is of use; it returns that thread, started, or None when there is none to be
            had and the others must do.

        Raises
        ------
        EngineError
            When the engine is closed, or there is no thread at all; the ticket is not open then.
        """
        with self.lock:
            if self._is_closed:
                raise EngineError(message("The engine {engine} is closed. Start the run again.", engine=self._engine))
            self._open[ticket] = None
            self._waiting.put((-priority, next(self._order), ticket))
            if self._waiting.qsize() > self._n_idle and len(self.threads) < self._most:
                try:
                    thread = begin_thread()
                except EngineError:
                    del self._open[ticket]
                    raise
                self.threads += [thread] if thread is not None else []

    def served_by(self, takes: Callable[[_T], bool]) -> Iterator[_T]:
        """
        Yield the tickets that the calling thread is to carry out, until the line is shut down and empty.

        Parameters
        ----------
        takes : callable
            Is asked of each ticket, while :attr:`lock` is held: whether this thread carries it out.
        """
        while True:
            with self.lock:
                self._n_idle += 1
            ticket = self._waiting.get()[2]
            with self.lock:
                self._n_idle -= 1
                is_mine = ticket is not None and takes(ticket)
            if ticket is None:
                return
            if is_mine:
                yield ticket

    def close(self) -> list[_T]:
        """Take no more tickets, and return those that are open."""
        with self.lock:
            self._is_closed = True
            return list(self._open)

    def forget(self, ticket: _T) -> None:
        """Note that a ticket's run has ended."""
        with self.lock:
            self._open.pop(ticket, None)

    def shutdown(self, *, wait: bool = True, cancel: bool = False) -> None:
        """Close the line; its threads end after the last ticket, see :meth:`.Engine.shutdown`."""
        tickets = self.close()
        for _ in self.threads:
            self._waiting.put((_LAST, next(self._order), None))
        if cancel:
            for ticket in tickets:
                ticket.the_handle().cancel(message("The engine was closed."))
        if wait:
            for thread in list(self.threads):
                thread.join()
