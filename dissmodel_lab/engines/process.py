"""Jobs in worker processes: a queue by priority in front of slots, a thread a slot."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dissmodel_lab.cancelling import Request, close_dead, interrupt_text
from dissmodel_lab.engines.engine import Engine
from dissmodel_lab.engines.handle import RunHandle
from dissmodel_lab.engines.slot import Slot
from dissmodel_lab.engines.tickets import Ticket, TicketLine
from dissmodel_lab.engines.travel import pack
from dissmodel_lab.engines.worker_side import REFUSED
from dissmodel_lab.errors import EngineError, LabError
from dissmodel_lab.executor.lifecycle import error_text
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.jobs import Outcome
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissmodel_lab.executor.events import Observer
    from dissmodel_lab.jobs import Job

_MOST_WORKERS = 512


class ProcessEngine(Engine):
    """
    Runs jobs in warm worker processes of this machine.

    Parameters
    ----------
    workers : int, optional
        How many jobs run at once; as many as this process may use processors when not given. A worker is started
        when there is work for it.

    Raises
    ------
    EngineError
        When that number of workers cannot be.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab.jobs import Job
    >>> place = {"store": tempfile.mkdtemp(), "working_folder": tempfile.mkdtemp(), "folder_name": "000001"}
    >>> with ProcessEngine(workers=1) as engine:
    ...     handle = engine.start(Job(model="game_of_life", experiment_id="a1", **place))
    ...     handle.result(timeout=60).status
    'completed'
    """

    name = "process"

    def __init__(self, workers: int | None = None) -> None:
        self.n_workers = _checked(workers) if workers is not None else _processors()
        self._line: TicketLine[_Ticket] = TicketLine(self.name, self.n_workers)
        self._slots: list[Slot] = []

    def start(self, job: Job, priority: int = 0, observers: Sequence[Observer] = ()) -> RunHandle:
        """Take a job, see :meth:`Engine.start`."""
        job = self.named(job)
        packed = pack(job)
        ticket = _Ticket(job, packed)
        handle = ticket.handle = RunHandle(job, self.name, lambda why: self._cancel(ticket, why))
        self._line.add(ticket, priority, lambda: self._add_slot(ticket))
        for observer in observers:
            handle.subscribe(observer)
        return handle

    def shutdown(self, wait: bool = True, cancel: bool = False) -> None:  # noqa: FBT001, FBT002 -- as Executor.shutdown
        """Close the engine, see :meth:`Engine.shutdown`."""
        self._line.shutdown(wait=wait, cancel=cancel)

    def close_at_exit(self) -> None:
        """
        Let this process end without waiting: what is queued is cancelled, what runs goes on where it may.

        A run whose job says ``ends_with_kernel`` is cancelled; the workers of the others end after them.
        """
        tickets = self._line.close()
        running = [ticket for ticket in tickets if ticket.slot is not None]
        for ticket in tickets:
            if ticket.slot is None or ticket.job.ends_with_kernel:
                ticket.the_handle().cancel(message("The notebook's kernel has ended."))
        kept = {id(ticket.slot) for ticket in running if not ticket.job.ends_with_kernel}
        for slot in self._slots:
            if id(slot) in kept and slot.job is not None:
                slot.let_go()
        for ticket in running:
            if ticket.job.ends_with_kernel:
                with suppress(TimeoutError):
                    ticket.the_handle().wait(_AT_EXIT)
        for slot in self._slots:
            slot.close()

    def _add_slot(self, ticket: _Ticket) -> threading.Thread | None:
        is_alone = self.n_workers == 1
        slot = Slot(threads=None if is_alone else max(1, _processors() // self.n_workers))
        name = f"slot {len(self._slots) + 1}"
        thread = threading.Thread(target=self._serve, args=(slot,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if self._line.threads:  # those that are there do the work
                return None
            ticket.is_cancelled = True
            raise EngineError(
                message("The engine process cannot begin: {error}. Make room for more threads.", error=error)
            ) from error
        self._slots.append(slot)
        return thread

    def _serve(self, slot: Slot) -> None:
        def takes(ticket: _Ticket) -> bool:
            if not ticket.is_cancelled:
                ticket.slot = slot
                slot.reserve(ticket.job)
            return ticket.slot is not None

        for ticket in self._line.served_by(takes):
            self._carry_out(ticket, slot)
        slot.close()

    def _carry_out(self, ticket: _Ticket, slot: Slot) -> None:
        handle, job, packed = ticket.the_handle(), ticket.job, ticket.packed
        ticket.packed = b""
        handle.began()
        try:
            outcome = slot.run(job, packed)
        except BaseException as error:  # noqa: BLE001 -- our own mistake must not leave somebody waiting for ever
            outcome = Outcome(REFUSED, job.experiment_id, None, error_text(error), error)
        self._finish(ticket, outcome)

    def _finish(self, ticket: _Ticket, outcome: Outcome) -> None:
        self._line.forget(ticket)
        ticket.the_handle().finish(outcome)

    def _cancel(self, ticket: _Ticket, why: str) -> None:
        with self._line.lock:
            slot = ticket.slot
            if slot is None:
                ticket.is_cancelled = True
        if slot is None:
            self._finish(ticket, _cancelled_before(ticket.job, why))
        elif slot.job is ticket.job:
            slot.cancel(why)


_AT_EXIT = 3.0
"""How long the end of this process waits for a run that ends with it [s]."""


class _Ticket(Ticket):
    """A job on its way to a slot."""

    def __init__(self, job: Job, packed: bytes) -> None:
        super().__init__(job)
        self.packed = packed
        self.slot: Slot | None = None
        self.is_cancelled = False


def _cancelled_before(job: Job, why: str) -> Outcome:
    """Say that a job was cancelled while it waited; where a record waits for it, that is closed."""
    path, how = Path(job.store, job.folder_name, RECORD_NAME), interrupt_text(Request(why))
    text = f"KeyboardInterrupt: {how}"
    if job.is_queued:
        with suppress(LabError):  # gone, or a full disk: the outcome says it
            record = close_dead(path, RunStatus.CANCELLED.value, text)
            return Outcome(str(record.status), job.experiment_id, path, text, KeyboardInterrupt(how))
    return Outcome(RunStatus.CANCELLED.value, job.experiment_id, None, text, KeyboardInterrupt(how))


def _checked(workers: int) -> int:
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= _MOST_WORKERS:
        raise EngineError(
            message(
                "{workers!r} workers cannot be. Give a whole number from 1 to {most_workers}.",
                workers=workers,
                most_workers=_MOST_WORKERS,
            )
        )
    return workers


def _processors() -> int:
    from loky import cpu_count  # noqa: PLC0415 -- it knows containers; only who uses workers loads it

    return max(1, min(_MOST_WORKERS, int(cpu_count() or os.cpu_count() or 1)))
