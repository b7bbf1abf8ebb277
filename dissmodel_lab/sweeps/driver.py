"""Hands the points of a sweep to an engine, a few at a time, and notes what they come to."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from dissmodel_lab.cancelling import close_dead, is_requested, request
from dissmodel_lab.errors import LabError, RunTakenError, SweepError
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.language import message
from dissmodel_lab.sweeps.attempts import cancel_at_work, is_at_work, look_round, result_in
from dissmodel_lab.sweeps.folder import DriverLock
from dissmodel_lab.sweeps.ledger import Result
from dissmodel_lab.sweeps.report import CANCELLED, COMPLETED, FAILED, RUNNING, WAITING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissmodel_lab.engines.engine import Engine
    from dissmodel_lab.engines.handle import RunHandle
    from dissmodel_lab.jobs import Job, Outcome
    from dissmodel_lab.sweeps.attempts import Plan
    from dissmodel_lab.sweeps.design import SweepDesign
    from dissmodel_lab.sweeps.folder import SweepFolder
    from dissmodel_lab.sweeps.ledger import Ledger
    from dissmodel_lab.sweeps.report import SweepProgress

_LOOK = 0.25
"""How often somebody's wish to end the sweep, and runs of a dead driver, are looked for [s]."""
_TELL = 0.2
"""The least time between two tellings of the progress [s]."""
_GIVE_UP = 20
"""So many runs in a row that cannot even begin: the next ones will not either."""
_GONE = message("CrashError: The process that ran it ended before the run did. The sweep ran this point again.")
_LAST_WORDS = 20.0
"""How long runs that were cancelled are waited for [s]: the engine ends them within this."""


class Driver:
    """
    Runs the points of a sweep that are missing.

    Parameters
    ----------
    folder, design, ledger
        Of the sweep.
    make_job : callable
        Point and attempt -> the job to hand to the engine.
    on_progress : callable, optional
        Is told the progress, at most five times a second, and at the end.
    """

    def __init__(
        self,
        folder: SweepFolder,
        design: SweepDesign,
        ledger: Ledger,
        make_job: Callable[[int, int], Job],
        on_progress: Callable[[SweepProgress], None] | None = None,
    ) -> None:
        self._folder = folder
        self._design = design
        self._ledger = ledger
        self._make_job = make_job
        self._on_progress = on_progress
        self._lock = DriverLock(folder)
        self._ended: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._flying: dict[int, tuple[int, RunHandle]] = {}
        self._starting: tuple[int, int] | None = None
        self._stop = threading.Event()
        self._is_left = False
        self._why = ""
        self._plan: Plan | None = None
        self._n_refused = 0
        self._told_at = self._looked_at = 0.0

    def take(self) -> None:
        """
        Take the right to drive the sweep; :meth:`run` gives it back.

        Raises
        ------
        SweepError
            When somebody else drives it.
        """
        self._lock.acquire()
        self._folder.forget_stop()

    def let_go(self) -> None:
        """Give the right back, when :meth:`run` is not called after all."""
        self._lock.release()

    def stop(self, why: str) -> None:
        """Start no more runs and cancel those at work; this returns at once."""
        self._why = why
        self._stop.set()
        for _, handle in list(self._flying.values()):
            with suppress(LabError):  # it has just ended
                handle.cancel(why)
        starting = self._starting
        if starting is not None:  # an engine that runs here gives no handle before the end
            with suppress(LabError):  # it has not begun: its handle is cancelled when it is there
                request(self._folder.run_folder(*starting), why)

    def leave(self) -> None:
        """Start no more runs, and let those at work go on without this driver: at the end of its process."""
        self._is_left = True
        self._stop.set()

    def run(self, engine: Engine, *, failed: bool) -> None:
        """
        Run what is missing, until each point has ended or somebody wants it to stop.

        Parameters
        ----------
        engine : Engine
            Where.
        failed : bool
            Whether points that failed or were cancelled before are run again.

        Raises
        ------
        SweepError
            When the sweep cannot go on: a full disk, or no run can begin. What has ended is kept.
        KeyboardInterrupt
            When this process, or a run in it, was interrupted; the runs at work were cancelled.
        """
        problem = ""
        try:
            self._ledger.open_session(1 if engine.name == "inline" else engine.n_workers)
            plan = self._plan = look_round(self._folder, self._design, self._ledger, failed=failed)
            for result in plan.found:
                self._ledger.add(result, is_found=True)
            self._drive(engine, plan)
        except KeyboardInterrupt:
            self._end_early(message("The sweep was interrupted."))
            raise
        except OSError as error:
            problem = self._told(error)
            self._end_early(problem)
            raise SweepError(problem) from error
        except SweepError as error:
            problem = str(error)
            self._end_early(problem)
            raise
        except BaseException as error:  # a mistake of ours, or no memory: no run may go on that nobody looks after
            problem = f"{type(error).__name__}: {error}"
            self._end_early(problem)
            raise
        finally:
            self._ledger.close_session(problem)
            self._lock.release()
            self._tell_progress(is_over=True)

    def _told(self, error: OSError) -> str:
        done = self._ledger.progress(is_driven=False).done
        return message(
            "The sweep's results cannot be written in {path!r}: {strerror}. {done:,} of {n_runs:,} runs are "
            "done and kept. Make room, then resume the sweep.",
            path=str(self._folder.path),
            strerror=error.strerror or error,
            done=done,
            n_runs=self._design.n_runs,
        )

    # --------------------------------------------------------------------------------------------- the loop

    def _drive(self, engine: Engine, plan: Plan) -> None:
        most = 1 if engine.name == "inline" else engine.n_workers * (1 + engine.n_ahead)
        while True:
            self._look_round()
            while plan.waiting and len(self._flying) < most and not self._stop.is_set():
                self._start(engine, *plan.waiting.popleft())
            if self._is_left:
                return
            if not self._flying and (self._stop.is_set() or not (plan.waiting or plan.orphans)):
                for point, attempt in plan.orphans.items():
                    cancel_at_work(self._folder.run_folder(point, attempt), self._why)
                return
            self._settle_next()
            self._tell_progress()

    def _look_round(self) -> None:
        """See, a few times a second, whether somebody wants the sweep to end, and what orphans came to."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK:
            return
        self._looked_at = now
        if self._folder.is_stop_asked and not self._stop.is_set():
            self.stop(message("The sweep was cancelled."))
        plan = self._plan
        for point, attempt in list(plan.orphans.items()) if plan is not None else []:
            self._look_at_orphan(point, attempt)

    def _look_at_orphan(self, point: int, attempt: int) -> None:
        assert self._plan is not None  # for the type checker: the loop has it
        folder = self._folder.run_folder(point, attempt)
        is_working = is_at_work(folder)
        result = result_in(folder, point, attempt)  # after the look at its process: its last record is there by then
        if result is None and is_working:
            return
        del self._plan.orphans[point]
        if result is not None and result.status == COMPLETED:
            self._ledger.add(result)
        else:
            self._plan.waiting.append((point, attempt + 1))

    def _start(self, engine: Engine, point: int, attempt: int) -> None:
        if attempt > 1:
            self._close_dead(point, attempt - 1)
        self._ledger.add(Result(point, attempt, RUNNING))
        self._starting = point, attempt
        try:
            handle = engine.start(self._make_job(point, attempt))
        except LabError as error:
            self._refused(point, attempt, f"{type(error).__name__}: {error}")
            return
        except KeyboardInterrupt:  # of an engine that runs here
            self._note_last(point, attempt)
            raise
        finally:
            self._starting = None
        self._flying[point] = attempt, handle
        if self._stop.is_set():  # it was set while this run was handed over
            handle.cancel(self._why)
        handle.add_done_callback(lambda _handle: self._ended.put((point, attempt)))

    def _close_dead(self, point: int, attempt: int) -> None:
        """Close the record of an earlier attempt whose process is gone: it would be listed as lost for ever."""
        folder = self._folder.run_folder(point, attempt)
        if result_in(folder, point, attempt) is None and not is_at_work(folder):
            with suppress(LabError):  # it has no record, or the disk is full: it is listed as lost then
                close_dead(folder / RECORD_NAME, FAILED, _GONE)

    def _settle_next(self) -> None:
        """Note what the runs came to that have ended; wait for one, but not for long."""
        timeout = _LOOK if self._flying or (self._plan is not None and self._plan.orphans) else 0.0
        while True:
            try:
                point, attempt = self._ended.get(timeout=timeout) if timeout else self._ended.get_nowait()
            except queue.Empty:
                return
            _, handle = self._flying.pop(point)
            self._settle(point, attempt, handle.wait())
            timeout = 0.0

    def _settle(self, point: int, attempt: int, outcome: Outcome) -> None:
        folder = self._folder.run_folder(point, attempt)
        result = result_in(folder, point, attempt)
        if result is not None:
            self._n_refused = 0
            self._ledger.add(result)
            self._see_interrupt(result, outcome)
            return
        was_taken = isinstance(outcome.exception, RunTakenError)  # a folder alone may be what a full disk left
        if was_taken and is_at_work(folder) and self._plan is not None:
            # A worker of a dead driver was faster: the run is its.
            self._plan.orphans[point] = attempt
            return
        error = outcome.error or message("The run ended as {status}, and left no record.", status=outcome.status)
        if folder.exists():
            self._ledger.add(Result(point, attempt, FAILED, error))
        elif outcome.status == RunStatus.CANCELLED:  # it was queued: nothing of it began
            self._ledger.add(Result(point, 0, WAITING, has_record=False))
        else:
            self._refused(point, attempt, error)

    def _see_interrupt(self, result: Result, outcome: Outcome) -> None:
        """Tell Ctrl-C, which ends the sweep, from the cancel of one run, which does not."""
        is_here = isinstance(outcome.exception, KeyboardInterrupt)
        folder = self._folder.run_folder(result.point, result.attempt)
        if result.status == CANCELLED and is_here and not is_requested(folder) and not self._stop.is_set():
            raise KeyboardInterrupt

    def _refused(self, point: int, attempt: int, error: str) -> None:
        """Note a run that could not begin; when none can, the sweep ends instead of refusing ten thousand."""
        self._ledger.add(Result(point, attempt, FAILED, error, has_record=False))
        self._n_refused += 1
        if self._n_refused >= _GIVE_UP:
            raise SweepError(
                message(
                    "The sweep was stopped: {n_refused} runs in a row could not begin. The last one: {error} "
                    "Resume the sweep when the cause is gone.",
                    n_refused=self._n_refused,
                    error=error,
                )
            )

    def _end_early(self, why: str) -> None:
        """Cancel what is at work and note what it came to, as far as that is possible."""
        self.stop(why)
        deadline = time.monotonic() + _LAST_WORDS
        while self._flying and time.monotonic() < deadline:
            try:
                point, attempt = self._ended.get(timeout=_LOOK)
            except queue.Empty:
                continue
            self._flying.pop(point, None)
            self._note_last(point, attempt)
        self._flying.clear()

    def _note_last(self, point: int, attempt: int) -> None:
        result = result_in(self._folder.run_folder(point, attempt), point, attempt)
        with suppress(OSError):  # the disk is full: its record tells it, should the sweep go on
            self._ledger.add(result or Result(point, 0, WAITING, has_record=False))

    def _tell_progress(self, *, is_over: bool = False) -> None:
        now = time.monotonic()
        if self._on_progress is None or (now - self._told_at < _TELL and not is_over):
            return
        self._told_at = now
        try:
            self._on_progress(self._ledger.progress(is_driven=not is_over))
        except Exception:  # noqa: BLE001 -- a broken view must not end a sweep; it is left out from here on
            self._on_progress = None
