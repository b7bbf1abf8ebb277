"""One worker process of loky, that carries out one job at a time: a crash or a kill in it touches no other run."""

from __future__ import annotations

import multiprocessing.process
import os
import platform
import re
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from dissmodel_lab.cancelling import Request, close_dead, interrupt_text, kill, kill_group
from dissmodel_lab.engines import worker_side
from dissmodel_lab.engines.travel import pack, unpack_exception
from dissmodel_lab.engines.watching import POLL, End, Watch, how_it_ended
from dissmodel_lab.engines.worker_side import REFUSED, Errand, Returned, keep_printed, raw_environment
from dissmodel_lab.errors import CrashError, EngineError, LabError, RunTakenError
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.jobs import Outcome
from dissmodel_lab.journal import CLOSED
from dissmodel_lab.language import message
from dissmodel_lab.store.reading import is_alive, try_read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.jobs import Job

_START = 120.0
"""How long a worker may take until it is ready [s]: a cold disk on a cluster has many files to read."""
_STARTS = 3
"""How often a worker is started for one job: the first may be stale, or be killed while it waits."""
_LAST_WORDS = 2.0
"""How long is waited for the system to tell how a process ended [s]."""
_LINES = 20
"""How many of the last lines that a dead process printed stand in its record's log."""
_MEMORY_NEEDED = message(" It needs a little shared memory (/dev/shm).") if sys.platform == "linux" else ""
_FATAL = "Fatal Python error"
"""What Python writes when a signal ends it, before the stack of each thread."""
_PRINTED = re.compile(r"dissmodel-lab-(\d+)-.+\.printed")
_ABANDONED = 7 * 24 * 3600.0
"""What nobody has printed into for so long, and whose process is gone, is nobody's [s]."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Slot:
    """
    A place for one job at a time, in a process of its own that is kept warm between jobs.

    Parameters
    ----------
    threads : int, optional
        How many threads libraries of linear algebra may use there; as many as they like when not given.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab.jobs import Job
    >>> place = {"store": tempfile.mkdtemp(), "working_folder": tempfile.mkdtemp(), "folder_name": "000001"}
    >>> slot = Slot()
    >>> slot.run(Job(model="game_of_life", parameters={"generations": 2}, experiment_id="a1", **place)).status
    'completed'
    >>> slot.close()
    """

    def __init__(self, *, threads: int | None = None) -> None:
        self._own: dict[str, str] = {"MPLBACKEND": "Agg"}  # a worker has no front end to draw in
        if threads is not None:
            self._own |= {name: str(threads) for name in _THREADS if name not in os.environ}
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._busy: _Worker | None = None
        self._job: Job | None = None
        self._watch: Watch | None = None
        self._why = ""
        self._is_closed = False
        self._environ: tuple[object, dict[str, str]] = (None, {})

    @property
    def job(self) -> Job | None:
        """The job that runs here now."""
        return self._job

    def run(self, job: Job, packed: bytes = b"") -> Outcome:
        """
        Carry out a job, and wait for it; however it ends, its record is closed then.

        Parameters
        ----------
        job : Job
            What to run. One with an ``environment`` gets a fresh process of its own.
        packed : bytes
            The same, as :func:`~dissmodel_lab.engines.travel.pack` packed it elsewhere; then model, data and
            parameters of ``job`` are not looked at.

        Returns
        -------
        Outcome
            Also when the process crashed, was killed, or could not start.

        Raises
        ------
        EngineError
            When a part of the job cannot travel.
        """
        if self._job is not job:
            self.reserve(job)
        try:
            packed = packed or pack(job)
            errand = Errand(packed, job.working_folder, list(sys.path), {**self._environment(), **job.environment})
            for left in reversed(range(_STARTS)):
                outcome = self._attempt(job, errand, may_try_again=left > 0)
                if outcome is not None:
                    return outcome
            return _not_run(
                job, EngineError(message("The worker process was replaced again and again. Restart the kernel."))
            )
        finally:
            with self._lock:
                self._job = self._watch = self._busy = None

    def _environment(self) -> dict[str, str]:
        """Return this process's environment, put together anew only when it has changed."""
        raw = raw_environment()
        if raw != self._environ[0]:
            self._environ = raw, dict(os.environ)
        return self._environ[1]

    def reserve(self, job: Job) -> None:
        """
        Note that a job is the next one here, so that it can be cancelled before :meth:`run` is called.

        Parameters
        ----------
        job : Job
            What :meth:`run` will be called with.
        """
        with self._lock:
            self._job, self._why = job, ""

    def warm(self) -> None:
        """
        Start the worker, so that the next job finds it ready.

        Raises
        ------
        EngineError
            When it cannot start.
        """
        self._ready({}).get_ready()

    def cancel(self, why: str = "cancelled") -> None:
        """
        Cancel the job that runs here, from any thread; this returns at once.

        Parameters
        ----------
        why : str
            What its record will say.
        """
        with self._lock:
            if self._job is None:
                return
            self._why = self._why or why
            if self._watch is not None:
                self._watch.why = self._watch.why or self._why

    def close(self) -> None:
        """End the worker at once, with what runs in it; nothing is left behind."""
        with self._lock:
            self._is_closed = True
            workers, self._worker = {self._worker, self._busy}, None
        for worker in workers:
            if worker is not None:
                worker.close()

    def let_go(self) -> None:
        """Leave the worker to itself when this process ends: it carries out its job, and ends then."""
        with self._lock:
            self._is_closed = True
            workers, self._worker, self._busy = {self._worker, self._busy}, None, None
        for worker in workers:
            if worker is not None:
                worker.let_go()

    def _attempt(self, job: Job, errand: Errand, *, may_try_again: bool) -> Outcome | None:
        """Run a job in the worker that is there; None when another one has to do it."""
        try:
            worker = self._ready(job.environment, job.python)
            with self._lock:
                self._busy = worker
            worker.get_ready(lambda: bool(self._why))
            future = worker.send(errand)
        except _GoneError:
            self._drop()
            return None
        except EngineError as error:
            self._drop()
            return _not_run(job, error)
        except _CancelledError:
            self._drop()
            return _ended(job, End(RunStatus.CANCELLED.value, interrupt_text(Request(self._why))))
        watch = Watch(job, worker.pid)
        with self._lock:
            self._watch, watch.why = watch, self._why
        returned = worker.answer(future, watch)
        if isinstance(returned, Returned):
            if job.environment or job.python:
                self._drop()
            exception = unpack_exception(returned.exception)
            if returned.outcome.status == REFUSED and not isinstance(exception, RunTakenError):
                _close_queued(job, returned.outcome.error)
            return returned.outcome._replace(
                experiment_id=job.experiment_id, exception=exception, peak_memory_bytes=watch.peak
            )
        outcome = None
        # A worker that died before the run began may have been killed while it was idle: another one gets the job.
        if returned is not None and not (returned.is_crash and may_try_again and not _has_begun(job)):
            outcome = _ended(job, returned, worker, watch.peak)
        self._drop()
        return outcome

    def _ready(self, environment: Mapping[str, str], python: str = "") -> _Worker:
        with self._lock:
            if self._is_closed:
                raise EngineError(message("The engine is closed. Start the run again."))
            if python:
                from dissmodel_lab.engines.foreign import ForeignWorker  # noqa: PLC0415 -- for requests with a package

                return ForeignWorker(python, {**self._own, **environment})
            if environment:
                return _Worker({**self._own, **environment})
            if self._worker is None or not self._worker.is_alive():
                if self._worker is not None:
                    self._worker.close()
                self._worker = _Worker(self._own)
            return self._worker

    def _drop(self) -> None:
        with self._lock:
            worker, self._busy = self._busy, None
            if worker is self._worker:
                self._worker = None
        if worker is not None:
            worker.close()


def forget_abandoned(folder: Path) -> None:
    """
    Remove the files for what workers print that were left by processes which were killed before their worker began.

    Parameters
    ----------
    folder : Path
        Of temporary files.

    Examples
    --------
    >>> forget_abandoned(Path("no/such/folder"))
    """
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 -- names are all that is needed
            match = _PRINTED.fullmatch(name)
            if match is None or psutil.pid_exists(int(match[1])):
                continue
            with suppress(OSError):
                path = folder / name
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()


class _GoneError(Exception):
    """The worker ended while it waited for a job: the next one will do."""


class _CancelledError(Exception):
    """The job was cancelled while its worker started."""


class _Worker:
    """A process, and the executor of loky that it belongs to."""

    def __init__(self, own: Mapping[str, str]) -> None:
        try:
            handle, name = tempfile.mkstemp(prefix=f"dissmodel-lab-{os.getpid()}-", suffix=".printed")
        except OSError as error:
            raise EngineError(
                message(
                    "No worker process could be started: no temporary file can be made: {strerror}. Make room, or "
                    "let the variable TMPDIR name a folder that can be written.",
                    strerror=error.strerror or error,
                )
            ) from error
        os.close(handle)
        self.printed = Path(name)
        forget_abandoned(self.printed.parent)
        self._own = dict(own)
        self._is_ready = False
        # A thread of its own starts it: it holds back interrupts, which the new process inherits, and loky's threads
        # are, as children of a daemon, no reason for Python to wait at its end.
        problems: list[BaseException] = []
        starter = threading.Thread(target=self._start, args=(problems,), name="start of a worker", daemon=True)
        starter.start()
        starter.join()
        if problems:
            self.printed.unlink(missing_ok=True)
            raise EngineError(
                message(
                    "No worker process could be started: {kind}: {problems}.{memory_needed} Run with engine "
                    "inline, or make room for more processes.",
                    kind=type(problems[0]).__name__,
                    problems=problems[0],
                    memory_needed=_MEMORY_NEEDED,
                )
            ) from problems[0]

    def _start(self, problems: list[BaseException]) -> None:
        try:
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            from loky.process_executor import (  # noqa: PLC0415 -- only who uses workers loads it
                ProcessPoolExecutor,
                _threads_wakeups,
            )

            self._executor = ProcessPoolExecutor(
                max_workers=1,
                timeout=None,
                initializer=worker_side.prepare,
                initargs=(os.getpid(), str(self.printed), self._own),
                env={**self._own, "PYTHONSAFEPATH": "1", "LOKY_MAX_MEMORY_LEAK_SIZE": str(2**60)},
            )
            self._hello: Future[bool] = self._executor.submit(worker_side.is_ready)
            self._process: Any = next(iter(self._executor._processes.values()))  # noqa: SLF001 -- loky tells no process
            self.pid: int = self._process.pid
            # Python would wait for it at its end; a run that goes on must not keep a kernel from being restarted.
            _threads_wakeups.pop(self._executor._executor_manager_thread, None)  # noqa: SLF001 -- as above
        except BaseException as error:  # noqa: BLE001 -- raised by who asked for the worker
            problems.append(error)

    def is_alive(self) -> bool:
        return self._process.exitcode is None

    def get_ready(self, is_cancelled: Any = lambda: False) -> None:
        """Wait until the process can take its first job."""
        deadline = time.monotonic() + _START
        while not self._is_ready:
            try:
                self._is_ready = self._hello.result(timeout=POLL)
            except TimeoutError:
                if is_cancelled():
                    raise _CancelledError from None
                if time.monotonic() > deadline:
                    raise EngineError(
                        message(
                            "The worker process was not ready after {start:g} s. Look what keeps Python from "
                            "starting.",
                            start=_START,
                        )
                    ) from None
            except Exception as error:
                raise EngineError(self._stillborn(error)) from error

    def _stillborn(self, error: Exception) -> str:
        code = self._exit_code()
        printed = keep_printed(self.printed, None).strip()
        how = how_it_ended(code, None).replace(message(" in the middle of the run"), "")
        told = f" It printed: {printed[-600:]}" if printed else ""
        return message(
            "A worker process died before it was ready. {how}{told}",
            how=how,
            told=told or f" {type(error).__name__}.",
        )

    def send(self, errand: Errand) -> Future[Returned | None]:
        from loky.process_executor import BrokenProcessPool  # noqa: PLC0415 -- as above

        try:
            future: Future[Returned | None] = self._executor.submit(worker_side.carry_out, errand)
        except (BrokenProcessPool, RuntimeError) as error:
            raise _GoneError from error
        return future

    def answer(self, future: Future[Returned | None], watch: Watch) -> Returned | End | None:
        """Wait for a job; an End when the process had to be ended, or ended by itself."""
        while True:
            try:
                return future.result(timeout=POLL)
            except TimeoutError:
                if not self.is_alive():  # what it started may keep loky's sentinel open
                    return self._crash(watch)
                end = watch.look()
                if end is not None:
                    kill(self.pid)
                    self._exit_code()
                    return end
            except Exception as error:  # noqa: BLE001 -- of loky: the process ended, or what it sent was no answer
                if self._exit_code() is None:
                    kill(self.pid)
                    return End(
                        RunStatus.FAILED.value, message("The worker's answer cannot be read: {error}.", error=error)
                    )
                return self._crash(watch)

    def _crash(self, watch: Watch) -> End:
        if watch.is_asked:
            return watch.cancelled()
        reason = watch.out_of_time()
        if reason:  # this process was held up, and the worker has ended by itself
            return End(RunStatus.FAILED.value, reason)
        return End(RunStatus.FAILED.value, how_it_ended(self._exit_code(), watch.peak), is_crash=True)

    def _exit_code(self) -> int | None:
        deadline = time.monotonic() + _LAST_WORDS
        while self._process.exitcode is None and time.monotonic() < deadline:
            time.sleep(0.005)
        code: int | None = self._process.exitcode
        return code

    def close(self) -> None:
        """End the process and what it has started, and let go of loky's queues."""
        was_alive = self.is_alive()
        if was_alive:
            kill(self.pid)
            self._exit_code()
        if was_alive or not psutil.pid_exists(self.pid):  # else its number is another process's by now
            kill_group(self.pid)
        with suppress(Exception):  # loky has seen its end, and has closed it by itself
            self._executor.shutdown(wait=False, kill_workers=True)
        self.printed.unlink(missing_ok=True)

    def let_go(self) -> None:
        """Forget the process: multiprocessing would wait for it when this one ends."""
        multiprocessing.process._children.discard(self._process)  # type: ignore[attr-defined]  # noqa: SLF001 -- no other way


def _not_run(job: Job, error: EngineError) -> Outcome:
    """Say of a job that became no run why; where a record waits for it, that is closed."""
    text = f"{type(error).__name__}: {error}"
    record = _close_queued(job, text)
    if record is not None:
        return Outcome(str(record.status), job.experiment_id, record.record_path, text, error)
    return Outcome(REFUSED, job.experiment_id, None, text, error)


def _close_queued(job: Job, error: str) -> ExperimentRecord | None:
    """Close the record that waits for a job which became no run; None where there is none."""
    path = Path(job.store, job.folder_name, RECORD_NAME)
    if job.is_queued:
        with suppress(LabError):  # gone, or a full disk: the outcome says it
            return close_dead(path, RunStatus.FAILED.value, error)
    return None


def _has_begun(job: Job) -> bool:
    record = try_read(Path(job.store, job.folder_name, RECORD_NAME))
    return record is not None and record.status != RunStatus.PENDING


def _ended(job: Job, end: End, worker: _Worker | None = None, peak: int | None = None) -> Outcome:
    """Close the record of a job whose process is gone, where there is one that is open, and say how it ended."""
    path = Path(job.store, job.folder_name, RECORD_NAME)
    is_cancelled = end.status == RunStatus.CANCELLED
    text = f"KeyboardInterrupt: {end.error}" if is_cancelled else f"CrashError: {end.error}"
    error = KeyboardInterrupt(end.error) if is_cancelled else CrashError(end.error)
    record = try_read(path)
    is_there = record is not None and record.experiment_id == job.experiment_id
    printed = keep_printed(worker.printed, path.parent if is_there else None) if worker is not None else ""
    outcome = Outcome(end.status, job.experiment_id, path, text, error, printed, peak)
    if record is None or not is_there:
        return outcome._replace(status=end.status if is_cancelled else REFUSED, record_path=None)
    if _is_anothers(record, worker):  # of a worker whose notebook is gone, that was there first
        return outcome._replace(
            status=REFUSED, record_path=None, error=message("{text} Another process is at this run.", text=text)
        )
    _forget_live(path.parent)
    if record.status not in CLOSED:
        try:
            record = close_dead(path, end.status, text, peak_memory_bytes=peak, log=_last_lines(printed))
        except LabError as problem:  # a full disk: it is listed as lost then
            return outcome._replace(error=f"{text} {problem}")
        return outcome._replace(status=str(record.status))
    if record.status == RunStatus.COMPLETED:  # it had just ended
        return outcome._replace(status=str(record.status), error="", exception=None)
    return outcome._replace(status=str(record.status), error=str(record.error or text))


def _forget_live(folder: Path) -> None:
    """Remove the live picture of a run that can draw none any more: who looked at it may be gone, too."""
    from dissmodel_lab.frames.checkpoint import forget_live  # noqa: PLC0415 -- few runs end so

    forget_live(folder)


def _is_anothers(record: ExperimentRecord, worker: _Worker | None) -> bool:
    """Tell whether some other process works on a run."""
    facts = record.provenance
    if record.status != RunStatus.RUNNING or facts is None:
        return False
    is_own = worker is not None and facts.process_id == worker.pid and facts.hostname == platform.node()
    return not is_own and is_alive(record)


def _last_lines(printed: str) -> list[str]:
    """Return what a dead process printed last, as one entry of a log; of a crash, the stack in which it happened."""
    lines = printed.strip().splitlines()
    crash = next((number for number, line in enumerate(lines) if line.startswith(_FATAL)), None)
    kept = lines[-_LINES:] if crash is None else lines[crash : crash + _LINES]
    return [message("The process printed last:\n") + "\n".join(kept)] if kept else []
