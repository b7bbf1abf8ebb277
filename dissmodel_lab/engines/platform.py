"""Runs on a DisSModel Platform server: submitted, followed from here, and kept in the local store like any run.

The server tells ``pending`` until a job has ended: whether it waits or runs, and in which phase, nobody here knows
before its record arrives. The journal says so, and tells nothing that is not known.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from dissmodel_lab import cancelling
from dissmodel_lab.engines.engine import Engine
from dissmodel_lab.engines.handle import RunHandle
from dissmodel_lab.engines.platform_record import ENGINE, Order, new_record, order_of
from dissmodel_lab.engines.platform_run import Errand, PlatformRun
from dissmodel_lab.engines.tickets import Ticket, TicketLine
from dissmodel_lab.errors import EngineError, LabError, RunNotFoundError, shown
from dissmodel_lab.executor.lifecycle import error_text
from dissmodel_lab.executor.schemas import ExperimentRecord, RunStatus
from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.jobs import Job, Outcome
from dissmodel_lab.language import message
from dissmodel_lab.platform_client import PlatformClient
from dissmodel_lab.platform_client.submissions import refuse_package, sendable
from dissmodel_lab.provenance import Caller
from dissmodel_lab.store import RunStore
from dissmodel_lab.store.reading import is_alive, read_record, try_read
from dissmodel_lab.store.run_store import folder_name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dissmodel_lab.executor.events import Observer

_AT_ONCE = 16
"""Jobs that one engine has at the server at a time; following one costs a thread that sleeps."""
_AT_EXIT = 5.0
"""How long the end of this process waits for the cancelling of jobs that are to end with it [s]."""


class PlatformEngine(Engine):
    """
    Runs jobs on a DisSModel Platform server.

    Parameters
    ----------
    url : str, optional
        The server's address; ``DISSMODEL_PLATFORM_URL`` when not given.
    workers : int
        How many jobs are at the server at once; the others wait here, in the order of their priority.
    packages : iterable of str
        What the server's worker may install, after a person has agreed: exactly what ``package`` of a TOML says.
    client : PlatformClient, optional
        To be used instead of one for ``url``.

    Raises
    ------
    PlatformError
        When there is no address, or it cannot be one.

    Examples
    --------
    >>> PlatformEngine("https://platform.example").name
    'platform'
    """

    name = ENGINE

    def __init__(
        self,
        url: str | None = None,
        *,
        workers: int = _AT_ONCE,
        packages: Iterable[str] = (),
        client: PlatformClient | None = None,
    ) -> None:
        self.client = client or PlatformClient(url)
        self.n_workers = max(1, workers)
        self._packages = set(packages)
        self._line: TicketLine[_Ticket] = TicketLine(self.name, self.n_workers)
        self._is_leaving = threading.Event()

    def allow_package(self, package: str) -> None:
        """
        Note that a person agrees that the server's worker installs a package.

        Parameters
        ----------
        package : str
            Exactly what the TOML says; :class:`~dissmodel_lab.platform_client.PackageError` has it.
        """
        self._packages.add(package)

    def start(self, job: Job, priority: int = 0, observers: Sequence[Observer] = ()) -> RunHandle:
        """
        Take a job, see :meth:`Engine.start`; its record is on disk, pending, when this returns.

        Raises
        ------
        PackageError
            When its TOML names a package that nobody has agreed to.
        PlatformError
            When there is no API key, or a parameter cannot be sent.
        EngineError
            When a platform cannot run it: input in memory, limits, a class of a cell.
        """
        _refuse_what_stays_here(job)
        order = order_of(job)
        refuse_package(order.spec, self._packages)
        sendable({**order.spec.parameters, **job.parameters})
        self.client.check_key()
        record = new_record(job, order, self.client.url)
        return self._take(job, Errand(order, priority, frozenset(self._packages)), record, priority, observers)

    def reproduce(self, job_id: str, store: str | RunStore | None = None, caller: Caller | None = None) -> RunHandle:
        """
        Run a server's job again, from what it keeps of it, and follow the new one.

        Parameters
        ----------
        job_id : str
            The server's id.
        store : str or RunStore, optional
            Where the new run is kept; ``experiments`` in the working folder when not given.
        caller : Caller, optional
            What the door knows of the cell or command.

        Raises
        ------
        PlatformError
            When the server does not know the job, refuses or fails.
        """
        return self._follow_new(self.client.reproduce(job_id).id, store, caller)

    def fetch(self, job_id: str, store: str | RunStore | None = None, caller: Caller | None = None) -> RunHandle:
        """
        Bring a server's job into the store: its record and output, when it has ended, whoever submitted it.

        Parameters
        ----------
        job_id : str
            The server's id; or that of a run in the store: one that was lost, because its notebook ended before it,
            is followed to its end, and one that was cancelled or failed here is brought anew.
        store, caller
            As :meth:`reproduce` takes them.

        Raises
        ------
        PlatformError
            When the server does not know it, refuses or fails.
        EngineError
            When it is in the store already.
        """
        keep = store if isinstance(store, RunStore) else RunStore(store)
        known = _in_store(keep, job_id)
        if known is None:
            return self._follow_new(job_id, keep, caller)
        theirs = known.platform.get("id")
        if theirs and known.status == RunStatus.RUNNING and not is_alive(known):
            return self._resume(known)
        if theirs and known.status in (RunStatus.CANCELLED, RunStatus.FAILED):
            return self._follow_new(str(theirs), keep, caller)
        raise EngineError(
            message(
                "Run {experiment_id} is in the store already, as {status}: {record_path!r}. There is nothing to "
                "fetch.",
                experiment_id=known.experiment_id[:8],
                status=shown(known.status),
                record_path=str(known.record_path),
            )
        )

    def shutdown(self, wait: bool = True, cancel: bool = False) -> None:  # noqa: FBT001, FBT002 -- as Executor.shutdown
        """Close the engine, see :meth:`Engine.shutdown`."""
        self._line.shutdown(wait=wait, cancel=cancel)
        if wait:
            self.client.close()

    def close_at_exit(self) -> None:
        """
        Let this process end: what is at the server goes on there, and can be fetched; the rest is cancelled.

        A run whose job says ``ends_with_kernel`` is cancelled at the server too.
        """
        self.shutdown(wait=False)
        ending = [ticket for ticket in self._line.close() if not ticket.is_taken or ticket.job.ends_with_kernel]
        for ticket in ending:
            ticket.the_handle().cancel(message("The notebook's kernel has ended."))
        for ticket in ending:
            with suppress(TimeoutError):
                ticket.the_handle().wait(_AT_EXIT)
        self._is_leaving.set()

    # ---------------------------------------------------------------------------------------------- inside

    def _follow_new(self, job_id: str, store: str | RunStore | None, caller: Caller | None) -> RunHandle:
        keep = store if isinstance(store, RunStore) else RunStore(store)
        theirs = self.client.job(job_id)
        # The same id as there, so that it is the same run in every list; another one when that is taken.
        is_free = _in_store(keep, theirs.id) is None
        job = Job(
            model=theirs.model_name,
            store=str(keep.root.absolute()),
            working_folder=str(Path.cwd()),
            experiment_id=theirs.id if is_free else uuid4().hex,
            folder_name="",
            caller=caller or Caller(),
        )
        record = new_record(job, Order(theirs.model_name), self.client.url)
        record.platform["id"] = theirs.id
        job = replace(job, folder_name=folder_name_of(record))
        return self._take(job, Errand(Order(theirs.model_name), job_id=theirs.id), record, 0, ())

    def _resume(self, record: ExperimentRecord) -> RunHandle:
        folder = record.record_path.parent  # type: ignore[union-attr]  # it was found in the store
        job = Job(
            model=record.model_name,
            store=str(folder.parent.absolute()),
            working_folder=str(Path.cwd()),
            experiment_id=record.experiment_id,
            folder_name=folder.name,
            output=record.output_path,
        )
        errand = Errand(Order(record.model_name), job_id=str(record.platform["id"]), is_resumed=True)
        return self._take(job, errand, None, 0, ())

    def _take(
        self,
        job: Job,
        errand: Errand,
        record: ExperimentRecord | None,
        priority: int,
        observers: Sequence[Observer],
    ) -> RunHandle:
        if record is not None and not job.is_queued:
            RunStore(job.store).queue(record, job.folder_name)
        ticket = _Ticket(job, errand, record)
        handle = ticket.handle = RunHandle(job, self.name, lambda why: self._cancel(ticket, why))
        self._line.add(ticket, priority, self._begin_thread)
        for observer in observers:
            handle.subscribe(observer)
        return handle

    def _begin_thread(self) -> threading.Thread:
        name = f"platform {len(self._line.threads) + 1}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        thread.start()
        return thread

    def _cancel(self, ticket: _Ticket, why: str) -> None:
        handle = ticket.the_handle()
        with self._line.lock:
            is_waiting = not ticket.is_taken
            ticket.is_taken = ticket.is_taken or is_waiting
        if not is_waiting:
            cancelling.request(handle.folder, why)
            return
        record = read_record(handle.folder / RECORD_NAME)
        cancelling.cancel(record, why)
        closed = try_read(handle.folder / RECORD_NAME)
        self._close(ticket, _outcome_of(ticket.job, handle.folder / RECORD_NAME, closed))

    def _serve(self) -> None:
        def takes(ticket: _Ticket) -> bool:
            is_mine, ticket.is_taken = not ticket.is_taken, True
            return is_mine

        for ticket in self._line.served_by(takes):
            self._carry_out(ticket)

    def _carry_out(self, ticket: _Ticket) -> None:
        handle = ticket.the_handle()
        work = PlatformRun(self.client, ticket.job, ticket.errand, ticket.record, self._is_leaving.is_set)
        try:
            outcome = work.carry_out(handle.began)
        except BaseException as error:  # noqa: BLE001 -- whoever waits for the run must hear of any end
            outcome = Outcome("refused", ticket.job.experiment_id, None, error_text(error), error)
        if outcome is not None:  # None: this process ends, the job goes on at the server
            self._close(ticket, outcome)

    def _close(self, ticket: _Ticket, outcome: Outcome) -> None:
        self._line.forget(ticket)
        ticket.the_handle().finish(outcome)


class _Ticket(Ticket):
    """A job on its way to the server."""

    def __init__(self, job: Job, errand: Errand, record: ExperimentRecord | None) -> None:
        super().__init__(job)
        self.errand = errand
        self.record = record
        self.is_taken = False


def _refuse_what_stays_here(job: Job) -> None:
    if job.data:
        raise EngineError(
            message(
                "A platform takes its input as a file, and this run has one in memory. Write it to a file, and "
                "give that as source."
            )
        )
    if any(limit is not None for limit in job.limits):
        raise EngineError(
            message(
                "A platform cannot limit a run's time or memory: it does not end a job that runs. Use engine "
                "process or dask for that."
            )
        )
    if job.environment:
        raise EngineError(message("A platform's worker has its own environment. Use engine process for another one."))
    if job.output is not None and "://" in job.output:
        raise EngineError(
            message(
                "The output {output!r} is not a local path. Give a path on this machine.", output=shown(job.output)
            )
        )


def _in_store(store: RunStore, run_id: str) -> ExperimentRecord | None:
    try:
        entry = store.find(run_id)
    except (RunNotFoundError, LabError):
        return None
    return try_read(entry.record_path or entry.folder / RECORD_NAME)


def _outcome_of(job: Job, path: Path, record: ExperimentRecord | None) -> Outcome:
    if record is None:
        return Outcome(
            RunStatus.CANCELLED.value, job.experiment_id, None, message("cancelled before it was submitted")
        )
    return Outcome(record.status, job.experiment_id, path, record.error or "")
