"""What a Dask worker does with jobs: hand each to a slot, a worker process of its own, and say how it ended.

Nothing of a model runs in the Dask worker itself. So a run can be cancelled and limited there as anywhere, a crash
ends that one run, and the settings with which Dask starts its workers (memory that is given back after every array)
slow no model down.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import platform
import threading
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from distributed import get_worker
from distributed.diagnostics.plugin import WorkerPlugin

from dissmodel_lab.cancelling import close_dead, request
from dissmodel_lab.engines.slot import Slot
from dissmodel_lab.engines.travel import pack_exception
from dissmodel_lab.engines.worker_side import REFUSED, Returned
from dissmodel_lab.errors import CrashError, EngineError, LabError, RunTakenError
from dissmodel_lab.executor.lifecycle import error_text
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import LOST, RECORD_NAME
from dissmodel_lab.jobs import Outcome
from dissmodel_lab.language import message
from dissmodel_lab.store.reading import is_alive, try_read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from distributed import Worker

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.jobs import Job

_POLL = 0.1
"""How often is looked whether somebody wants a run to end, and after a run that goes on without us [s]."""
_BEGINNING = 10.0
"""How long the record of a run that somebody else has begun may take to be seen here [s]."""
_IDLE = 600.0
"""A slot that had nothing to do for so long is closed; the next job starts another [s]."""
_MALLOC = {"MALLOC_TRIM_THRESHOLD_": "65536"}
"""With this, Dask's nanny makes the C library give memory back after every array: a model runs at half its speed."""


class Parcel(NamedTuple):
    """A job on its way to a Dask worker."""

    job: Job
    """Without its model, parameters and data: a Dask worker need not be able to load them."""
    packed: bytes
    """All of it."""
    needs: dict[str, str]
    """Versions that must be the same here as in the notebook."""
    marker: str
    """A file that stands in the store while the engine is at work: who does not see it sees another folder."""


class Delivery(NamedTuple):
    """How a job of a parcel ended."""

    returned: Returned
    seconds: float = 0.0
    """How long it took; zero when nothing was run, or when a process was started for it."""


def versions_here(names: Sequence[str]) -> dict[str, str]:
    """
    Return the versions of packages in this process; empty for one that is not installed.

    Parameters
    ----------
    names : sequence of str
        ``python``, and names of distributions.

    Examples
    --------
    >>> versions_here(["python", "no-such-package"])
    {'python': '3...', 'no-such-package': ''}
    """
    found = {}
    for name in names:
        if name == "python":
            found[name] = platform.python_version()
        elif name == "dissmodel_lab":
            from dissmodel_lab import __version__  # noqa: PLC0415 -- known without metadata

            found[name] = __version__
        else:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = ""
    return found


def version_problem(where: str, needs: Mapping[str, str], found: Mapping[str, str]) -> str:
    """
    Say which versions differ between this notebook and a worker; empty when none does.

    Parameters
    ----------
    where : str
        What the other one is called.
    needs : mapping
        Package -> version in the notebook.
    found : mapping
        Package -> version there; empty when it is not installed.

    Examples
    --------
    >>> version_problem("The Dask worker tcp://a:1", {"python": "3.12.1"}, {"python": "3.12.9"})
    ''
    >>> version_problem("The Dask worker tcp://a:1", {"cloudpickle": "3.1.2"}, {"cloudpickle": "2.0.0"})
    'The Dask worker tcp://a:1 has cloudpickle 2.0.0, this notebook cloudpickle 3.1.2. Install the same versions ...'
    """
    differing = [
        (name, wanted, found.get(name, ""))
        for name, wanted in needs.items()
        if _significant(name, wanted) != _significant(name, found.get(name, ""))
    ]
    if not differing:
        return ""
    there = ", ".join(f"{name} {other}" if other else f"no {name}" for name, _, other in differing)
    here = ", ".join(f"{name} {wanted}" for name, wanted, _ in differing)
    return message(
        "{where} has {there}, this notebook {here}. Install the same versions on both, then run again.",
        where=where,
        there=there,
        here=here,
    )


def _significant(name: str, number: str) -> str:
    """Return the part of a version that must be the same; Python's patches read each other's code."""
    return ".".join(number.split(".")[:2]) if name == "python" else number


class Post(WorkerPlugin):
    """
    What an engine keeps in each worker of a Dask cluster: as many slots as jobs run there at once.

    Parameters
    ----------
    name : str
        Of the engine's own posts: several notebooks may share a cluster.
    """

    idempotent = True

    def __init__(self, name: str) -> None:
        self.name = name

    def setup(self, worker: Worker) -> None:
        """Make ready in a worker; slots are started when there is work."""
        self._where = str(worker.address)
        self._lock = threading.Lock()
        self._idle: list[tuple[_Lane, float]] = []
        self._busy: set[_Lane] = set()
        self._running: dict[str, _Lane] = {}
        self._reasons: dict[str, str] = {}
        self._objections: dict[tuple[Any, ...], str] = {}
        self._is_closed = False
        processors = os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()
        self._threads = max(1, (processors or 1) // max(1, int(worker.state.nthreads)))
        # Dask starts its workers as daemons, which may have no children; ours end with them, see worker_side.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # noqa: SLF001 -- no other way
        for name, usual in _MALLOC.items():
            if os.environ.get(name) == usual:
                del os.environ[name]
        threading.Thread(target=self._sweep_up, name="idle slots", daemon=True).start()

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 -- as Dask calls it
        """Let go of everything: what runs goes on in its own process, what waits is not begun."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for lane in busy:
            lane.let_go()
        for lane, _ in idle:
            lane.close()

    def carry_out(self, parcels: Sequence[Parcel]) -> list[Delivery]:
        """Carry out jobs, one after the other."""
        lane = self._take()
        try:
            return [self._carry_out(lane, parcel) for parcel in parcels]
        finally:
            self._give(lane)

    def cancel(self, reasons: Mapping[str, str]) -> list[str]:
        """
        End the runs of these ids; those that have not begun never will.

        Returns
        -------
        list of str
            The ids of those that run here.
        """
        with self._lock:
            self._reasons.update(reasons)
            return [run_id for run_id in reasons if run_id in self._running]

    def _carry_out(self, lane: _Lane, parcel: Parcel) -> Delivery:
        job = parcel.job
        objection = self._objection(parcel)
        if objection:
            return _delivered(_refused(job, EngineError(objection)))
        found = _already_run(job)
        if found is not None:
            return _delivered(found)
        with self._lock:
            if self._is_closed:
                raise _closed(self._where)
            reason = self._reasons.pop(job.experiment_id, None)
            if reason is None:
                self._running[job.experiment_id] = lane
        if reason is not None:
            return _delivered(_not_begun(job, reason))
        try:
            began = time.perf_counter()
            outcome = lane.run(parcel, lambda: self._reasons.get(job.experiment_id, ""))
            seconds = time.perf_counter() - began if lane.was_warm else 0.0
        finally:
            with self._lock:
                self._running.pop(job.experiment_id, None)
                self._reasons.pop(job.experiment_id, None)
        if isinstance(outcome.exception, RunTakenError):  # another Dask worker was faster
            outcome = _already_run(job, _BEGINNING) or outcome
        return _delivered(outcome, seconds)

    def _objection(self, parcel: Parcel) -> str:
        """Say why jobs like this one cannot be carried out here; empty when they can."""
        key = (parcel.marker, parcel.job.working_folder, *parcel.needs.items())
        if key not in self._objections:
            self._objections[key] = self._look(parcel)
        return self._objections[key]

    def _look(self, parcel: Parcel) -> str:
        where = message("The Dask worker {where}", where=self._where)
        problem = version_problem(where, parcel.needs, versions_here(list(parcel.needs)))
        if problem:
            return problem
        if not os.path.exists(parcel.marker):  # noqa: PTH110 -- a text
            return unseen_store(where, parcel.job.store)
        folder = parcel.job.working_folder
        if not os.path.isdir(folder):  # noqa: PTH112 -- a text
            return message(
                "{where} does not see the working folder {folder!r}. Work in a folder that all machines share.",
                where=where,
                folder=folder,
            )
        return ""

    def _take(self) -> _Lane:
        with self._lock:
            if self._is_closed:
                raise _closed(self._where)
            lane = self._idle.pop()[0] if self._idle else _Lane(self._threads)
            self._busy.add(lane)
            return lane

    def _give(self, lane: _Lane) -> None:
        with self._lock:
            self._busy.discard(lane)
            if not self._is_closed:
                self._idle.append((lane, time.monotonic()))

    def _sweep_up(self) -> None:
        """Close slots that nobody needs: the notebook that had them started may be gone for good."""
        while not self._is_closed:
            time.sleep(min(10.0, _IDLE / 4))
            limit = time.monotonic() - _IDLE
            with self._lock:
                old = [lane for lane, since in self._idle if since < limit]
                self._idle = [entry for entry in self._idle if entry[1] >= limit]
            for lane in old:
                lane.close()


class _Lane:
    """
    A slot and the thread that waits for it.

    Dask's own thread waits for that one, and can be let go when its worker is closed: Dask would wait for it.
    """

    def __init__(self, threads: int) -> None:
        self._slot = Slot(threads=threads)
        self._errands: SimpleQueue[tuple[Parcel, _Answer] | None] = SimpleQueue()
        self._is_let_go = False
        self._at_home = ""
        self.was_warm = False
        """Whether the process for the last job was there before it."""
        threading.Thread(target=self._serve, name="slot", daemon=True).start()

    def run(self, parcel: Parcel, reason: Callable[[], str]) -> Outcome:
        """Carry out a job; ``reason`` is asked again and again, and ends it when it gives one."""
        job = parcel.job
        self.was_warm = self._at_home == job.working_folder and not job.environment
        self._at_home = job.working_folder
        answer = _Answer()
        self._errands.put((parcel, answer))
        while not answer.is_there.wait(_POLL):
            if self._is_let_go:
                raise RuntimeError(message("The Dask worker was closed. Its run goes on in a process of its own."))
            why = reason()
            if why:
                self._slot.cancel(why)
        if answer.error is not None:
            raise answer.error
        assert answer.outcome is not None  # for the type checker: one of both is there
        return answer.outcome

    def let_go(self) -> None:
        self._is_let_go = True
        self._slot.let_go()

    def close(self) -> None:
        self._errands.put(None)
        self._slot.close()

    def _serve(self) -> None:
        while (errand := self._errands.get()) is not None:
            parcel, answer = errand
            try:
                answer.outcome = self._slot.run(parcel.job, parcel.packed)
            except BaseException as error:  # noqa: BLE001 -- raised where the job is waited for
                answer.error = error
            answer.is_there.set()


class _Answer:
    """What comes back from a slot's thread."""

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None


# ------------------------------------------------------------------------------- what Dask calls, by name


def carry_out(load: bytes, name: str) -> list[Delivery]:
    """
    Carry out the jobs of a load: a task of Dask.

    Parameters
    ----------
    load : bytes
        Parcels, pickled: Dask would look for futures in them otherwise.
    name : str
        Of the post.
    """
    worker = get_worker()
    post = worker.plugins.get(name)
    if not isinstance(post, Post):
        raise _closed(str(worker.address))
    return post.carry_out(pickle.loads(load))  # noqa: S301 -- of the notebook that Dask has let in


def cancel_here(reasons: Mapping[str, str], name: str, dask_worker: Worker) -> list[str]:
    """
    End runs in one worker: called on all of them at once.

    Parameters
    ----------
    reasons : mapping
        Id of a run -> why it is to end.
    name : str
        Of the post.
    dask_worker : Worker
        Dask fills it in.
    """
    post = dask_worker.plugins.get(name)
    return post.cancel(reasons) if isinstance(post, Post) else []


def unseen_store(where: str, store: str) -> str:
    """
    Say that a worker sees another folder than this notebook does, or none.

    Examples
    --------
    >>> unseen_store("The Dask worker tcp://a:1", "/home/ana/experiments")
    "The Dask worker tcp://a:1 does not see the store '/home/ana/experiments'. Runs are kept ..."
    """
    return message(
        "{where} does not see the store {store!r}. Runs are kept in a folder that the notebook and all workers "
        "share, such as one on a network drive: set --store or DISSMODEL_LAB_STORE to one.",
        where=where,
        store=store,
    )


def _closed(where: str) -> RuntimeError:
    return RuntimeError(message("The Dask worker {where} is being closed.", where=where))


# ------------------------------------------------------------------------------- runs that others have begun


def _already_run(job: Job, patience: float = 0.0) -> Outcome | None:
    """
    Return what became of a job that another Dask worker had begun; None when nobody has.

    Dask gives a task to the next worker when one is gone. The run itself may go on in its own process: it is waited
    for where it can be seen, and its record is closed where its process is dead.
    """
    path = Path(job.store, job.folder_name, RECORD_NAME)
    deadline = time.monotonic() + patience
    while True:
        record = try_read(path)
        is_own = record is not None and record.experiment_id == job.experiment_id
        if record is not None and is_own and record.status != RunStatus.PENDING:
            return _followed(job, path, record)
        if time.monotonic() >= deadline:
            return None
        time.sleep(_POLL)


def _followed(job: Job, path: Path, record: ExperimentRecord) -> Outcome:
    while record.status == RunStatus.RUNNING:
        facts = record.provenance
        if facts is not None and facts.hostname != platform.node():
            text = message(
                "The Dask worker by which it was run, on {hostname}, is gone. Where its process {process_id} "
                "is still at work, it closes its record itself.",
                hostname=facts.hostname,
                process_id=facts.process_id,
            )
            return Outcome(LOST, job.experiment_id, path, text, CrashError(text))
        if not is_alive(record):
            record = try_read(path) or record  # it may just have ended
            if record.status == RunStatus.RUNNING:
                record = _closed_record(path, record)
            break
        time.sleep(_POLL)
        record = try_read(path) or record
    return outcome_of(job, path, record)


def _closed_record(path: Path, record: ExperimentRecord) -> ExperimentRecord:
    text = message(
        "CrashError: The Dask worker by which it was run ended in the middle of the run, and its process with it."
    )
    try:
        return close_dead(path, RunStatus.FAILED.value, text)
    except LabError as problem:  # a full disk: it is listed as lost then
        record.status, record.error = LOST, f"{text} {problem}"
        return record


def outcome_of(job: Job, path: Path, record: ExperimentRecord) -> Outcome:
    """
    Return how a run ended of which there is nothing but its record.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> from dissmodel_lab.jobs import Job
    >>> job = Job(model="a", store="/", working_folder="/", experiment_id="1", folder_name="a")
    >>> outcome_of(job, Path("a"), ExperimentRecord(status="completed")).status
    'completed'
    """
    error = str(record.error or "")
    if record.status == RunStatus.COMPLETED:
        return Outcome(str(record.status), job.experiment_id, path)
    exception = KeyboardInterrupt(error) if record.status == RunStatus.CANCELLED else CrashError(error)
    return Outcome(str(record.status), job.experiment_id, path, error, exception)


def _refused(job: Job, error: Exception) -> Outcome:
    return Outcome(REFUSED, job.experiment_id, None, error_text(error), error)


def _not_begun(job: Job, reason: str) -> Outcome:
    folder = Path(job.store, job.folder_name)
    if folder.is_dir():
        with suppress(LabError):  # nothing has begun: a request is a courtesy to who looks
            request(folder, reason)
    text = f"KeyboardInterrupt: {reason}"
    return Outcome(RunStatus.CANCELLED.value, job.experiment_id, None, text, KeyboardInterrupt(reason))


def _delivered(outcome: Outcome, seconds: float = 0.0) -> Delivery:
    packed = pack_exception(outcome.exception) if outcome.exception is not None else b""
    return Delivery(Returned(outcome._replace(exception=None), packed), seconds)
