"""Jobs on a Dask cluster: one of this machine's own, or any scheduler that can be reached.

Dask decides where a job runs and what runs first; on its worker the job is carried out by a slot, as with engine
process, see :mod:`dissmodel_lab.engines.dask_worker`. A task costs Dask several milliseconds of processor time in
client, scheduler and worker, so that short runs travel several to a task, as many as make up a fraction of a second.
"""

from __future__ import annotations

import atexit
import math
import os
import pickle
import threading
import time
import uuid
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dissmodel_lab.cancelling import close_dead, request
from dissmodel_lab.engines.engine import Engine
from dissmodel_lab.engines.handle import RunHandle
from dissmodel_lab.engines.tickets import Ticket
from dissmodel_lab.engines.travel import pack, unpack_exception
from dissmodel_lab.engines.worker_side import REFUSED
from dissmodel_lab.errors import EngineError, LabError
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import LOST, RECORD_NAME
from dissmodel_lab.jobs import Outcome
from dissmodel_lab.language import message
from dissmodel_lab.provenance import Caller, package_version
from dissmodel_lab.quiet import quiet_about
from dissmodel_lab.store.files import claim
from dissmodel_lab.store.reading import try_read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dissmodel_lab.engines.dask_worker import Delivery, Parcel
    from dissmodel_lab.executor.events import Observer
    from dissmodel_lab.jobs import Job

T = TypeVar("T")

_SHORT = 0.4
"""Runs that are shorter travel several to a task, which takes about so long [s]."""
_LONG = 5.0
"""When nothing has come back for so long, runs are taken to be long ones [s]."""
_MOST_TOGETHER = 16
_LARGE = 1024**2
"""A job with more to carry travels alone [bytes]."""
_TASKS_AHEAD = 3
"""Tasks of short runs that Dask has at once, for each job that runs."""
_MOST_TASKS = 1_000
"""Tasks of long runs that Dask has at once: enough for clusters that grow with their queue."""
_LINGER = 0.01
"""How long is waited for more short runs, to send them together, while the workers are busy [s]."""
_REMEMBERED = 16
"""So many of the last runs say how long runs take."""
_PULSE = 0.5
"""How often the cluster is looked at [s]."""
_SENDINGS = 4
"""How often a job is given to the cluster: Dask gives up on a task, or forgets it, when workers come and go."""
_COUNTED = 2.0
"""How often the workers are counted [s]: the scheduler has to be asked."""
_AT_EXIT = 3.0
"""How long the end of this process waits for runs that end with it [s]."""
_CLOSING = 12.0
"""How long the client and a cluster of our own may take to close, on a machine that is busy [s]."""


class DaskEngine(Engine):
    """
    Runs jobs on a Dask cluster.

    Parameters
    ----------
    cluster : str, distributed.Client or a cluster, optional
        Address of a scheduler (``tcp://10.0.0.1:8786``), a client, or a cluster such as those of dask-jobqueue;
        a local one, in this process and for it alone, when not given.
    workers : int, optional
        How many jobs the local cluster runs at once; as many as this process may use processors when not given.
    timeout : float, optional
        How long a scheduler may take to answer [s]; ``distributed.comm.timeouts.connect`` of Dask's configuration
        when not given.
    patience : float
        How long a scheduler that is gone is waited for [s].

    Raises
    ------
    EngineError
        When the scheduler cannot be reached, or its workers have other versions than this notebook.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab.jobs import Job
    >>> place = {"store": tempfile.mkdtemp(), "working_folder": tempfile.mkdtemp(), "folder_name": "000001"}
    >>> with DaskEngine(workers=1) as engine:
    ...     handle = engine.start(Job(model="game_of_life", experiment_id="a1", **place))
    ...     handle.result(timeout=60).status
    'completed'
    """

    name = "dask"
    n_ahead = 3 * _MOST_TOGETHER
    """So many jobs should wait here for each one that runs: short ones travel together."""

    def __init__(
        self,
        cluster: Any = None,
        *,
        workers: int | None = None,
        timeout: float | None = None,
        patience: float = 60.0,
    ) -> None:
        if cluster is not None and workers is not None:
            raise EngineError(
                message("The workers of a cluster that is there already cannot be chosen. Leave workers out.")
            )
        self._reach = _Reach(cluster, workers, timeout, f"dissmodel_lab-{uuid.uuid4().hex[:8]}")
        self.n_workers = self._reach.n_threads()
        self._patience = patience
        self._wakes = threading.Condition()
        self._waiting: list[tuple[int, int, _Ticket]] = []
        self._sent: set[_Load] = set()
        self._ended: deque[_Load] = deque()
        self._cancelled: dict[str, _Ticket] = {}
        self._open: dict[str, _Ticket] = {}
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._n_taken = 0
        self._fresh_at = 0.0
        self._looked_at = 0.0
        self._lingers = False
        self._counted_at = time.monotonic()
        self._is_closed = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="dask engine", daemon=True)
        self._thread.start()
        _close_before_dask(self)

    def start(self, job: Job, priority: int = 0, observers: Sequence[Observer] = ()) -> RunHandle:
        """Take a job, see :meth:`Engine.start`; its priority is one among Dask's tasks, too."""
        packed = pack(job)
        if self._is_closed:
            raise EngineError(message("The engine dask is closed. Start the run again."))
        parcel = self._reach.parcel(job, packed)
        with self._wakes:
            if self._is_closed:
                raise EngineError(message("The engine dask is closed. Start the run again."))
            self._n_taken += 1
            ticket = _Ticket(job, parcel, priority, self._n_taken)
            handle = ticket.handle = RunHandle(job, self.name, lambda why: self._cancel(ticket, why))
            self._open[job.experiment_id] = ticket
            heappush(self._waiting, (-priority, ticket.order, ticket))
            self._fresh_at = time.monotonic()
            self._wakes.notify_all()
        for observer in observers:
            handle.subscribe(observer)
        return handle

    def shutdown(self, wait: bool = True, cancel: bool = False) -> None:  # noqa: FBT001, FBT002 -- as Executor.shutdown
        """Close the engine, see :meth:`Engine.shutdown`; somebody else's cluster stays."""
        self._close()
        if cancel:
            for ticket in list(self._open.values()):
                ticket.the_handle().cancel(message("The engine was closed."))
        if wait:
            self._is_over.wait()

    def close_at_exit(self) -> None:
        """Let this process end: what is queued is cancelled, what runs goes on where it may, see :class:`Engine`."""
        self._close()
        ending = []
        for ticket in list(self._open.values()):
            handle = ticket.the_handle()
            if handle.status != RunStatus.RUNNING or ticket.job.ends_with_kernel:
                handle.cancel(message("The notebook's kernel has ended."))
                ending.append(handle)
        deadline = time.monotonic() + _AT_EXIT
        for handle in ending:
            with suppress(TimeoutError):
                handle.wait(max(0.0, deadline - time.monotonic()))
        with self._wakes:
            self._open.clear()
            self._wakes.notify_all()
        self._is_over.wait(_CLOSING)

    def _close(self) -> None:
        with self._wakes:
            self._is_closed = True
            self._wakes.notify_all()

    # ------------------------------------------------------------------------------------- the thread that serves

    def _serve(self) -> None:
        lost_at = 0.0
        while True:
            with self._wakes:
                if not self._has_work():
                    self._wakes.wait(self._until_next())
                if self._is_closed and not self._open:
                    break
                ended, self._ended = list(self._ended), deque()
                cancelled, self._cancelled = self._cancelled, {}
            self._settle(ended)
            if cancelled:
                threading.Thread(target=self._cancel_there, args=(cancelled,), name="cancel", daemon=True).start()
            if self._reach.is_there():
                lost_at = 0.0
                self._count_workers()
                self._send()
            elif self._open:
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > self._patience:
                    self._give_up()
        self._reach.close()
        self._is_over.set()

    def _count_workers(self) -> None:
        now = time.monotonic()
        if now - self._counted_at > _COUNTED:
            self._counted_at = now
            self.n_workers = self._reach.n_threads()

    def _has_work(self) -> bool:
        fresh = bool(self._waiting) and self._fresh_at > self._looked_at
        return bool(fresh or self._ended or self._cancelled or (self._is_closed and not self._open))

    def _until_next(self) -> float:
        return _LINGER if self._lingers else _PULSE

    def _send(self) -> None:
        with self._wakes:
            self._looked_at = time.monotonic()
            loads = self._loads()
            self._sent.update(loads)
        by_priority: dict[int, list[_Load]] = {}
        for load in loads:
            by_priority.setdefault(load.priority, []).append(load)
        for priority, some in by_priority.items():
            try:
                futures = self._reach.submit([load.packed() for load in some], priority)
            except Exception:  # noqa: BLE001 -- the connection went meanwhile: they are sent when it is back
                self._put_back(some)
                continue
            for load, future in zip(some, futures, strict=True):
                load.future = future
                self._reach.when_done(future, partial(self._note_end, load))

    def _note_end(self, load: _Load, _future: Any) -> None:
        with self._wakes:
            self._ended.append(load)
            self._wakes.notify_all()

    def _loads(self) -> list[_Load]:
        """Take jobs from the queue, as many as the cluster should have now, in loads of a good size."""
        together, room = self._size(), self._room()
        lanes = max(1, self.n_workers)
        found: list[_Load] = []
        self._lingers = False
        while self._waiting and len(found) < room:
            is_busy = len(self._sent) + len(found) >= lanes
            if is_busy and len(self._waiting) < together and time.monotonic() - self._fresh_at < _LINGER:
                self._lingers = True
                break
            load = _Load(self._waiting[0][2].priority)
            while self._waiting and load.takes(self._waiting[0][2], together):
                load.tickets.append(heappop(self._waiting)[2])
            load.tickets = [ticket for ticket in load.tickets if not ticket.the_handle().done()]
            if load.tickets:
                found.append(load)
        return found

    def _size(self) -> int:
        """Return how many jobs go into a task now: few at the end, so that all workers end at the same time."""
        if not self._seconds:
            return 1
        n_left = len(self._waiting) + sum(len(load.tickets) for load in self._sent)
        share = math.ceil(n_left / (_TASKS_AHEAD * max(1, self.n_workers)))
        return max(1, min(_MOST_TOGETHER, share, int(_SHORT / max(self._usual(), 1e-3))))

    def _usual(self) -> float:
        """Return how long runs take at present [s]; one in four may take longer."""
        return sorted(self._seconds)[3 * (len(self._seconds) - 1) // 4]

    def _room(self) -> int:
        lanes = max(1, self.n_workers)
        is_short = self._seconds and self._usual() < _SHORT
        oldest = min((load.sent_at for load in self._sent), default=math.inf)
        if is_short:
            most = _TASKS_AHEAD * lanes
        elif self._seconds or time.monotonic() - oldest > _LONG:
            most = _MOST_TASKS
        else:  # nothing is known of these runs yet
            most = 2 * lanes
        return most - len(self._sent)

    def _settle(self, loads: list[_Load]) -> None:
        """Hand out what came back; what did not is sent again."""
        for load in loads:
            self._sent.discard(load)
        results = self._reach.results([load.future for load in loads])
        for load, (deliveries, problem) in zip(loads, results, strict=True):
            load.future = None
            if deliveries is None:
                self._again(load, problem)
                continue
            for ticket, delivery in zip(load.tickets, deliveries, strict=True):
                if delivery.seconds:
                    self._seconds.append(delivery.seconds)
                self._finish(ticket, _outcome(delivery))

    def _again(self, load: _Load, problem: str) -> None:
        for ticket in load.tickets:
            ticket.n_sent += 1
            ticket.travels_alone = True
            if ticket.n_sent >= _SENDINGS:
                self._finish(
                    ticket,
                    _without_answer(ticket.job, message("Dask has given up on the run: {problem}", problem=problem)),
                )
        self._put_back([load])

    def _put_back(self, loads: list[_Load]) -> None:
        with self._wakes:
            for load in loads:
                self._sent.discard(load)
                for ticket in load.tickets:
                    if not ticket.the_handle().done():
                        heappush(self._waiting, (-ticket.priority, ticket.order, ticket))

    def _give_up(self) -> None:
        text = message(
            "The scheduler {address} is gone, and did not come back within {patience:g} s.",
            address=self._reach.address,
            patience=self._patience,
        )
        for ticket in list(self._open.values()):
            self._finish(ticket, _without_answer(ticket.job, text))
        with self._wakes:
            self._waiting.clear()
            self._sent.clear()

    def _finish(self, ticket: _Ticket, outcome: Outcome) -> None:
        if outcome.status == REFUSED and ticket.job.is_queued:
            outcome = _close_pending(ticket.job, RunStatus.FAILED, outcome)
        with self._wakes:
            self._open.pop(ticket.job.experiment_id, None)
            self._wakes.notify_all()
        ticket.the_handle().finish(outcome)

    # ------------------------------------------------------------------------------------- cancelling

    def _cancel(self, ticket: _Ticket, why: str) -> None:
        job = ticket.job
        folder = Path(job.store, job.folder_name)
        if folder.is_dir():
            with suppress(LabError):  # it cannot be written: the worker is told as well
                request(folder, why)
        with self._wakes:
            ticket.why = ticket.why or why
            is_waiting = any(entry[2] is ticket for entry in self._waiting)
            if not is_waiting:
                self._cancelled[job.experiment_id] = ticket
            self._wakes.notify_all()
        if is_waiting:
            self._finish(ticket, _cancelled_before(job, why))

    def _cancel_there(self, tickets: dict[str, _Ticket]) -> None:
        """Tell all workers; what none of them is at work on will not begin, and is over now."""
        running = self._reach.cancel({run_id: ticket.why for run_id, ticket in tickets.items()})
        if running is None:
            return  # nobody answers: the request in the run's folder is what counts
        for run_id, ticket in tickets.items():
            job = ticket.job
            record = try_read(Path(job.store, job.folder_name, RECORD_NAME))
            has_begun = record is not None and record.status != RunStatus.PENDING
            if run_id not in running and not has_begun:
                self._finish(ticket, _cancelled_before(job, ticket.why))
        with self._wakes:
            idle = [load for load in self._sent if all(ticket.the_handle().done() for ticket in load.tickets)]
        self._reach.forget([load.future for load in idle])


class _Ticket(Ticket):
    """A job on its way to the cluster."""

    def __init__(self, job: Job, parcel: Parcel, priority: int, order: int) -> None:
        super().__init__(replace(job, model=None, parameters={}, data=(), toml=None))
        self.parcel = parcel
        self.priority = priority
        self.order = order
        self.why = ""
        self.n_sent = 0
        self.travels_alone = len(parcel.packed) > _LARGE


class _Load:
    """Jobs that travel together: one task of Dask."""

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.tickets: list[_Ticket] = []
        self.future: Any = None
        self.sent_at = time.monotonic()

    def takes(self, ticket: _Ticket, together: int) -> bool:
        if not self.tickets:
            return True
        alone = ticket.travels_alone or self.tickets[0].travels_alone
        return not alone and ticket.priority == self.priority and len(self.tickets) < together

    def packed(self) -> bytes:
        return pickle.dumps([ticket.parcel for ticket in self.tickets])


class _Reach:
    """The way to a cluster: its client, and what has been found out about its workers."""

    def __init__(self, cluster: Any, workers: int | None, timeout: float | None, post: str) -> None:
        distributed = _distributed()
        self.timeout = timeout if timeout is not None else _usual_timeout()
        self._post = post
        self._markers: dict[str, Path] = {}
        self._agreed: set[tuple[str, ...]] = set()
        self._needs: dict[Any, dict[str, str]] = {}
        self._lock = threading.Lock()
        self._own_cluster: Any = None
        self._client: Any  # distributed is typed in part only
        self._is_own_client = not isinstance(cluster, distributed.Client)
        self._is_set_up = False
        if cluster is None:
            cluster = self._own_cluster = _local_cluster(distributed, workers)
        self._cluster = cluster
        self.address = str(getattr(cluster, "scheduler_address", "") or getattr(cluster, "scheduler", cluster))
        if self._is_own_client:
            self._client = self._connect(self.timeout)
        else:
            self._client = cluster
            self.address = str(cluster.scheduler.address)
        try:
            self._within(self._set_up)
        except BaseException:
            self.close()
            raise

    def _connect(self, timeout: float) -> Any:
        distributed = _distributed()
        try:
            if isinstance(self._cluster, str):
                _knock(self._cluster, timeout)
            with quiet_about(UserWarning, r"\s*Mismatched versions"):  # ours says more, and refuses
                return distributed.Client(self._cluster, timeout=timeout, set_as_default=False)
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            raise EngineError(
                message(
                    "The Dask scheduler {address!r:.200} does not answer within {timeout:g} s: {error:.300}. Check "
                    "its address, and that it runs; where it is only slow, set "
                    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT, such as 60s.",
                    address=self.address,
                    timeout=timeout,
                    error=str(error) or type(error).__name__,
                )
            ) from error

    def _set_up(self) -> None:
        """Put our post into all workers, the coming ones too; they must have our versions."""
        from dissmodel_lab.engines.dask_worker import Post  # noqa: PLC0415 -- loads distributed

        self._compare(_needed_always())
        self._client.register_plugin(Post(self._post))
        self._is_set_up = True

    def is_there(self) -> bool:
        """Tell whether jobs can be sent; a connection that was lost is made again when the scheduler is back."""
        status = self._client.status
        if status != "running":
            self._is_set_up = False
            if status == "closed" and self._is_own_client and self._own_cluster is None:
                try:
                    self._client = self._connect(min(2.0, self.timeout))
                except EngineError:
                    return False
            else:
                return False
        if not self._is_set_up:
            try:
                self._within(self._set_up)
            except EngineError:
                return False
        return True

    def n_threads(self) -> int:
        """Return how many jobs run at once; one while there is no worker yet."""
        with suppress(Exception):  # between two connections
            return max(1, sum(int(number) for number in self._client.nthreads().values()))
        return 1

    def parcel(self, job: Job, packed: bytes) -> Parcel:
        """
        Put a job into what a worker gets, when the workers can carry it out.

        Raises
        ------
        EngineError
            When their versions differ from ours, or they do not see the store.
        """
        from dissmodel_lab.engines.dask_worker import Parcel  # noqa: PLC0415 -- loads distributed

        needs = self._needs_of(job.model)
        light = replace(job, model=None, parameters={}, data=(), toml=None, caller=Caller(), fields={})
        parcel = Parcel(light, packed, needs, str(self._marker(job.store)))
        key = (parcel.marker, *needs.values())
        if key not in self._agreed and self._is_set_up and self._client.status == "running":
            self._within(lambda: self._see_to(parcel))
            self._agreed.add(key)
        return parcel

    def _see_to(self, parcel: Parcel) -> None:
        from dissmodel_lab.engines.dask_worker import unseen_store  # noqa: PLC0415 -- as above

        self._compare(parcel.needs)
        seen = self._client.run(os.path.exists, parcel.marker, on_error="return")
        for address, is_seen in seen.items():
            if is_seen is not True:
                raise EngineError(
                    unseen_store(message("The Dask worker {address}", address=address), parcel.job.store)
                )

    def _compare(self, needs: dict[str, str]) -> None:
        from dissmodel_lab.engines.dask_worker import version_problem  # noqa: PLC0415 -- as above

        found: dict[str, dict[str, str]] = {}
        for name in needs:
            # Functions of Python itself: a worker without dissmodel_lab must be able to answer, too.
            question = _question(name)
            scheduler = message("The Dask scheduler {address}", address=self.address)
            if self._own_cluster is None:
                found.setdefault(scheduler, {})[name] = self._ask_scheduler(question)
            for address, answer in self._client.run(*question, on_error="return").items():
                found.setdefault(message("The Dask worker {address}", address=address), {})[name] = _text(answer)
        problems = [version_problem(where, needs, there) for where, there in found.items()]
        for problem in problems:
            if problem:
                raise EngineError(problem)

    def _ask_scheduler(self, question: tuple[Any, ...]) -> str:
        try:
            return _text(self._client.run_on_scheduler(*question))
        except Exception:  # noqa: BLE001 -- whatever it raised: it is not installed there
            return ""

    def _needs_of(self, model: Any) -> dict[str, str]:
        key = model if isinstance(model, str | type) else type(model)
        if key not in self._needs:
            self._needs[key] = {**_needed_always(), **_needed_by(model)}
        return self._needs[key]

    def _marker(self, store: str) -> Path:
        """Return a file in the store that workers look for; they have another folder of that name otherwise."""
        with self._lock:
            marker = self._markers.get(store)
            if marker is None or not marker.exists():
                marker = Path(store, f".{self._post}")
                try:
                    marker.parent.mkdir(parents=True, exist_ok=True)
                    marker.touch()
                except OSError as error:
                    raise EngineError(
                        message(
                            "The store {store!r} cannot be written: {strerror}. Make the folder writable, or set "
                            "--store to another.",
                            store=store,
                            strerror=error.strerror or error,
                        )
                    ) from error
                self._markers[store] = marker
            return marker

    def submit(self, loads: list[bytes], priority: int) -> list[Any]:
        """Give tasks to Dask."""
        from dissmodel_lab.engines.dask_worker import carry_out  # noqa: PLC0415 -- as above

        keys = [f"dissmodel_lab.run-{uuid.uuid4().hex}" for _ in loads]
        with quiet_about(UserWarning, "Sending large graph"):  # the input is in memory: it has to travel
            return list(self._client.map(carry_out, loads, key=keys, name=self._post, pure=False, priority=priority))

    def when_done(self, future: Any, call: Callable[[Any], None]) -> None:
        """Call a function when a task has ended, however it did; also while this process ends."""
        from distributed.client import done_callback  # noqa: PLC0415 -- as above

        self._client.loop.add_callback(done_callback, future, call)

    def results(self, futures: list[Any]) -> list[tuple[list[Delivery] | None, str]]:
        """Return what tasks came to; None, and the problem, where they came to nothing."""
        finished = [future for future in futures if future is not None and future.status == "finished"]
        found: dict[int, Any] = {}
        if finished:
            try:
                for future, value in zip(finished, self._within(lambda: self._client.gather(finished)), strict=True):
                    found[id(future)] = value
            except Exception as error:  # noqa: BLE001 -- a worker went with its results: the records are on disk
                return [(None, _words(error))] * len(futures)
        return [(found.get(id(future)), "" if id(future) in found else _problem(future)) for future in futures]

    def cancel(self, reasons: dict[str, str]) -> set[str] | None:
        """Tell all workers that runs are to end; return those that have begun, None when nobody can be asked."""
        from dissmodel_lab.engines.dask_worker import cancel_here  # noqa: PLC0415 -- as above

        if self._client.status != "running":
            return None
        try:
            answers = self._within(lambda: self._client.run(cancel_here, reasons, self._post, on_error="return"))
        except Exception:  # noqa: BLE001 -- the connection went meanwhile
            return None
        if not all(isinstance(answer, list) for answer in answers.values()):
            return None
        return {run_id for answer in answers.values() for run_id in answer}

    def forget(self, futures: list[Any]) -> None:
        """Take tasks from Dask that nobody waits for any more."""
        with suppress(Exception):  # the connection is gone, and they with it
            self._client.cancel([future for future in futures if future is not None])

    def close(self) -> None:
        """Take our posts out of the workers, and close what is our own."""
        with suppress(Exception):  # a scheduler that is gone
            if self._client.status == "running":
                self._within(lambda: self._client.unregister_worker_plugin(self._post))
        for marker in self._markers.values():
            with suppress(OSError):
                marker.unlink()
        if self._is_own_client:
            with suppress(Exception):  # as above
                self._client.close(timeout=_CLOSING / 3)
        if self._own_cluster is not None:
            with suppress(Exception):  # it was closed at the end of this process
                self._own_cluster.close(timeout=_CLOSING / 2)

    def _within(self, ask: Callable[[], T]) -> T:
        """Ask the cluster something, for as long as an answer may take."""
        answer: list[T] = []
        error: list[BaseException] = []

        def run() -> None:
            try:
                answer.append(ask())
            except BaseException as problem:  # noqa: BLE001 -- raised again below
                error.append(problem)

        thread = threading.Thread(target=run, name="question to dask", daemon=True)
        thread.start()
        thread.join(self.timeout)
        if answer:
            return answer[0]
        if error and isinstance(error[0], EngineError):
            raise error[0]
        what = (
            _words(error[0]) if error else message("there was no answer within {timeout:g} s", timeout=self.timeout)
        )
        raise EngineError(
            message(
                "The Dask cluster {address} cannot be asked: {what}. Check that its scheduler and workers run.",
                address=self.address,
                what=what,
            )
        )


def _distributed() -> Any:
    try:
        import distributed  # noqa: PLC0415 -- half a second, only for who asks for it
    except ImportError as error:
        raise EngineError(
            message("The engine dask needs the package distributed. Run: pip install 'dissmodel_lab[dask]'.")
        ) from error
    return distributed


def _local_cluster(distributed: Any, workers: int | None) -> Any:
    """Make a cluster in this process: its worker only waits, the runs are in processes of their own anyway."""
    import logging  # noqa: PLC0415 -- as above

    import dask  # noqa: PLC0415 -- as above

    from dissmodel_lab.engines.process import _checked, _processors  # noqa: PLC0415 -- as above

    n_threads = _checked(workers) if workers is not None else _processors()
    quietly = {
        "distributed.worker.profile.enabled": False,  # it would look a hundred times a second
        "distributed.admin.tick.interval": "1s",
        "distributed.admin.system-monitor.interval": "5s",
        "distributed.scheduler.work-stealing": False,  # there is one worker
        "distributed.scheduler.active-memory-manager.start": False,
        "distributed.worker.http.routes": [],  # nobody else is to reach it
        "distributed.scheduler.http.routes": [],
    }
    # Python ends its pools of threads before anybody may close the cluster: what that still wants of them is nothing.
    logging.getLogger("distributed.scheduler").addFilter(_is_not_of_the_end)
    with dask.config.set(quietly):
        return distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=n_threads,
            processes=False,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            silence_logs=logging.ERROR,
        )


def _is_not_of_the_end(record: Any) -> bool:
    return "cannot schedule new futures after shutdown" not in record.getMessage()


def _knock(address: str, timeout: float) -> None:
    """Connect to a scheduler and leave: a client would wait for ever for one that takes calls and says nothing."""
    import asyncio  # noqa: PLC0415 -- as above

    from distributed.comm.core import connect  # noqa: PLC0415 -- as above
    from distributed.security import Security  # noqa: PLC0415 -- as above

    async def knock() -> None:
        security: Any = Security  # untyped, as connect
        arguments = security().get_connection_args("client")
        calling: Any = connect
        comm = await asyncio.wait_for(calling(address, timeout=timeout, **arguments), timeout)
        comm.abort()

    problem: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(knock())
        except BaseException as error:  # noqa: BLE001 -- raised again below
            problem.append(error)

    thread = threading.Thread(target=run, name="knock", daemon=True)  # a notebook's thread has a loop of its own
    thread.start()
    thread.join()
    if problem:
        raise problem[0]


def _usual_timeout() -> float:
    import dask  # noqa: PLC0415 -- as above
    from dask.utils import parse_timedelta  # noqa: PLC0415 -- as above

    return float(parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"), default="s"))


def _needed_always() -> dict[str, str]:
    from dissmodel_lab.engines.dask_worker import versions_here  # noqa: PLC0415 -- as above

    return versions_here(["python", "dissmodel_lab", "cloudpickle"])


def _needed_by(model: Any) -> dict[str, str]:
    """Return the package that a model comes from; nothing for one that travels as code, or cannot be found."""
    name, _, number = package_version(_module_of(model)).partition("==")
    return {name: number} if number and name != "dissmodel_lab" else {}


def _module_of(model: Any) -> str:
    """Return the module of a model, which need not be loaded here when its name tells it."""
    if isinstance(model, str):
        place, colon, _ = model.partition(":")
        if ".py" in model or colon:
            return "__main__" if ".py" in model else place
        from dissmodel_lab.resolve import resolve_model  # noqa: PLC0415 -- only for a name that is looked up

        try:
            return str(resolve_model(model).executor_class.__module__)
        except Exception:  # noqa: BLE001 -- the run itself says what is wrong with it
            return "__main__"
    return str(getattr(model, "__module__", "__main__"))


def _question(name: str) -> tuple[Any, ...]:
    import importlib.metadata  # noqa: PLC0415 -- as above
    import pkgutil  # noqa: PLC0415 -- as above
    import platform  # noqa: PLC0415 -- as above

    if name == "python":
        return (platform.python_version,)
    if name == "dissmodel_lab":
        return (pkgutil.resolve_name, "dissmodel_lab:__version__")
    return (importlib.metadata.version, name)


def _text(answer: Any) -> str:
    return answer if isinstance(answer, str) else ""


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _problem(future: Any) -> str:
    if future is None:
        return message("it was not sent")
    try:
        error = future.exception(timeout=1)
    except BaseException as problem:  # noqa: BLE001 -- it was cancelled, or is lost: Dask raises what it likes
        error = problem
    return _words(error) if error is not None else message("its task is {status}", status=future.status)


def _outcome(delivery: Delivery) -> Outcome:
    outcome = delivery.returned.outcome
    return outcome._replace(exception=unpack_exception(delivery.returned.exception))


def _without_answer(job: Job, text: str) -> Outcome:
    """Say what became of a job of which the cluster says nothing more: its record knows."""
    from dissmodel_lab.engines.dask_worker import outcome_of  # noqa: PLC0415 -- as above

    path = Path(job.store, job.folder_name, RECORD_NAME)
    record = try_read(path)
    if record is not None and record.experiment_id == job.experiment_id and record.status != RunStatus.PENDING:
        if record.status == RunStatus.RUNNING:
            return Outcome(LOST, job.experiment_id, path, f"CrashError: {text}")
        return outcome_of(job, path, record)
    error = EngineError(text)
    return Outcome(REFUSED, job.experiment_id, None, f"EngineError: {text}", error)


def _cancelled_before(job: Job, why: str) -> Outcome:
    text = f"KeyboardInterrupt: {why}"
    outcome = Outcome(RunStatus.CANCELLED.value, job.experiment_id, None, text, KeyboardInterrupt(why))
    return _close_pending(job, RunStatus.CANCELLED, outcome) if job.is_queued else outcome


def _close_pending(job: Job, status: RunStatus, outcome: Outcome) -> Outcome:
    """Close the record of a job that waits in the store, unless somebody has begun it meanwhile."""
    folder = Path(job.store, job.folder_name)
    path = folder / RECORD_NAME
    with suppress(LabError, OSError):  # gone, or a full disk: the outcome says it
        if claim(folder):
            record = close_dead(path, status.value, outcome.error)
            return outcome._replace(status=str(record.status), record_path=path)
    return outcome


def _close_before_dask(engine: DaskEngine) -> None:
    """See that an engine is closed when this process ends, before Dask's own clusters and loops are."""
    kept = weakref.ref(engine)

    def close() -> None:
        found = kept()
        if found is not None and not found._is_over.is_set():  # noqa: SLF001 -- of this module
            found.close_at_exit()

    atexit.register(close)
