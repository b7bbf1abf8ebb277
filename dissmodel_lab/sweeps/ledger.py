"""What each point of a sweep came to: one short line in a file, and one byte in memory, a point."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.executor.jsonvalue import decode
from dissmodel_lab.index import RECORD_NAME
from dissmodel_lab.store.files import write_all
from dissmodel_lab.sweeps.folder import RESULTS_NAME, run_id, run_name
from dissmodel_lab.sweeps.report import CANCELLED, COMPLETED, FAILED, RUNNING, WAITING, SweepProgress, SweepRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dissmodel_lab.sweeps.design import SweepDesign
    from dissmodel_lab.sweeps.folder import SweepFolder
    from dissmodel_lab.sweeps.report import SweepState

_STATUSES = (WAITING, RUNNING, COMPLETED, FAILED, CANCELLED)
_CODES = {status: code for code, status in enumerate(_STATUSES)}
_MOST_METRICS = 200
"""Of one run; more have no place in a table."""
_LONGEST_ERROR = 2_000
_LARGEST_RECORD = 64 * 1024**2
_BLOCK = 1024**2


class Result(NamedTuple):
    """What one attempt of a point came to."""

    point: int
    attempt: int
    status: str
    """``running``, ``completed``, ``failed``, ``cancelled``; ``waiting`` when it is to be run again."""
    error: str = ""
    metrics: Mapping[str, float] = {}
    seconds: float | None = None
    has_record: bool = True
    """Whether a record was begun: a run that was refused has none."""


@dataclass
class _Session:
    """One driving of a sweep."""

    began: float
    """[s since 1970], as the other moments here."""
    n_workers: int = 0
    """Runs that can be at work at once; 0 when that is not known."""
    over: float | None = None
    problem: str = ""
    ended: int = 0
    """Runs that ended in it."""
    seconds: float = 0.0
    """That those of them took for which it is known."""
    timed: int = 0
    """How many these are."""
    first_wave: list[float] = field(default_factory=list)
    """When the first run of each worker had ended, as far as they have."""

    def note_end(self, at: float, seconds: float | None) -> None:
        self.ended += 1
        if len(self.first_wave) < max(1, self.n_workers):
            self.first_wave.append(at)
        if isinstance(seconds, int | float):
            self.seconds += seconds
            self.timed += 1

    def left(self, now: float, n_left: int) -> float | None:
        """
        Return how long so many runs more will take [s].

        The pace is taken from when each worker had ended its first run: until then workers were being started. Before
        that, from how long runs take by themselves.
        """
        since = self.ended - len(self.first_wave)
        if since > 0:
            return max(0.0, now - self.first_wave[-1]) / since * n_left
        return self.seconds / self.timed * n_left / max(1, self.n_workers) if self.timed else None


class Ledger:
    """
    The lines of a sweep's results, in a file that one driver writes and everybody reads.

    Parameters
    ----------
    folder : SweepFolder
        Of the sweep.
    n_points : int
        How many points it has.
    """

    def __init__(self, folder: SweepFolder, n_points: int) -> None:
        self._folder = folder
        self._path = folder.path / RESULTS_NAME
        self._statuses = bytearray(n_points + 1)
        self._counts = [n_points, 0, 0, 0, 0]
        self._metrics: dict[str, None] = {}
        self._offset = 0
        self._session: _Session | None = None
        """The last driving."""
        self._lock = threading.Lock()
        self._file: int | None = None

    # ------------------------------------------------------------------------------------------------ write

    def open_session(self, n_workers: int = 0) -> None:
        """
        Begin to write: for who holds the lock.

        Parameters
        ----------
        n_workers : int
            How many runs can be at work at once; 0 when that is not known.

        Raises
        ------
        OSError
            When the file cannot be written.
        """
        self.refresh()
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        end = os.fstat(self._file).st_size
        if end > self._offset:  # a line that was cut off by a kill: what follows stands on a line of its own
            write_all(self._file, b"\n")
            self._offset = end + 1
        self._tell({"session": time.time(), "workers": n_workers})

    def close_session(self, problem: str = "") -> None:
        """Write nothing more; say why, when something went wrong."""
        if self._file is None:
            return
        try:
            self._tell({"session_end": time.time(), "problem": problem})
        except OSError:  # a full disk: the problem is told here at least
            with self._lock:
                self._note({"session_end": time.time(), "problem": problem})
        with suppress(OSError):
            os.close(self._file)
        self._file = None

    def add(self, result: Result, *, is_found: bool = False) -> None:
        """
        Note what became of a point.

        Parameters
        ----------
        result : Result
            Of one attempt.
        is_found : bool
            Whether it ended before this session, which found it on disk.

        Raises
        ------
        OSError
            When the file cannot be written.
        """
        line: dict[str, Any] = {"point": result.point, "attempt": result.attempt, "status": result.status}
        if result.status not in (RUNNING, WAITING):
            line["error"] = result.error[:_LONGEST_ERROR]
            line["metrics"] = dict(result.metrics)
            line["seconds"] = result.seconds
            if not is_found:
                line["at"] = round(time.time(), 3)
        if not result.has_record:
            line["has_record"] = False
        self._tell(line)

    def _tell(self, line: dict[str, Any]) -> None:
        assert self._file is not None  # for the type checker: only within a session
        content = f"{json.dumps(line)}\n".encode()
        with self._lock:
            write_all(self._file, content)
            self._offset += len(content)
            self._note(line)

    # ------------------------------------------------------------------------------------------------- read

    def refresh(self) -> None:
        """Read what another process has written since the last time."""
        if self._file is not None:
            return
        with self._lock, suppress(FileNotFoundError):
            if self._path.stat().st_size == self._offset:
                return
            for line, end in _lines(self._path, self._offset):
                self._note(line)
                self._offset = end

    def _note(self, line: dict[str, Any]) -> None:
        if "session" in line:
            self._session = _Session(float(line["session"]), int(line.get("workers", 0)))
            return
        if "session_end" in line:
            self._session = self._session or _Session(float(line["session_end"]))
            self._session.over, self._session.problem = float(line["session_end"]), str(line.get("problem", ""))
            return
        point, code = line.get("point"), _CODES.get(str(line.get("status")))
        if code is None or not isinstance(point, int) or not 1 <= point < len(self._statuses):
            return
        self._counts[self._statuses[point]] -= 1
        self._counts[code] += 1
        self._statuses[point] = code
        if self._session is not None and "at" in line:
            self._session.note_end(float(line["at"]), line.get("seconds"))
        for name in line.get("metrics", ()):
            self._metrics.setdefault(str(name))

    def status(self, point: int) -> str:
        """Return what is known of a point."""
        return _STATUSES[self._statuses[point]]

    def metric_names(self) -> list[str]:
        """Return the metrics that runs told, in the order in which they came; timings last."""
        with self._lock:
            names = list(self._metrics)
        return sorted(names, key=lambda name: name.startswith("time_"))

    def progress(self, *, is_driven: bool) -> SweepProgress:
        """
        Say how far the sweep is.

        Parameters
        ----------
        is_driven : bool
            Whether somebody drives it now.
        """
        with self._lock:
            waiting, running, done, failed, cancelled = self._counts
            session = replace(self._session) if self._session is not None else None
        n_left, now = waiting + running, time.time()
        running = _at_work(running, session) if is_driven else 0
        ended = done + failed + cancelled
        seconds, eta, problem, earlier = 0.0, None, "", 0
        if session is not None:
            problem, earlier = session.problem, max(0, ended - session.ended)
            seconds = max(0.0, (session.over if session.over is not None and not is_driven else now) - session.began)
            if is_driven:
                eta = session.left(now, n_left)
            if session.over is None and not is_driven:  # its driver was killed: nobody knows when
                seconds = max(0.0, self._last_change() - session.began)
        state: SweepState = "running" if is_driven else "stopped" if n_left else "finished"
        return SweepProgress(
            done, failed, cancelled, running, n_left - running, seconds, eta, state, problem, earlier
        )

    def _last_change(self) -> float:
        try:
            return self._path.stat().st_mtime
        except OSError:
            return 0.0

    def rows(self, design: SweepDesign, sweep_id: str, *, is_driven: bool) -> list[SweepRow]:
        """
        Return a row for each point, in their order.

        Parameters
        ----------
        design : SweepDesign
            Of the sweep.
        sweep_id : str
            Of the sweep.
        is_driven : bool
            Whether somebody drives it now; else what ran is said to wait.
        """
        last: dict[int, dict[str, Any]] = {}
        with suppress(FileNotFoundError):
            for line, _ in _lines(self._path, 0):
                if isinstance(line.get("point"), int) and str(line.get("status")) in _CODES:
                    last.pop(line["point"], None)  # the order is that of the newest lines
                    last[line["point"]] = line
        at_work = self._at_work(last) if is_driven else set()
        return [
            self._row(design, sweep_id, number, last.get(number, {}), number in at_work)
            for number in _numbers(design)
        ]

    def _at_work(self, last: Mapping[int, dict[str, Any]]) -> set[int]:
        """Return the points at work: engines take the jobs that they were handed in their order."""
        handed = [point for point, line in last.items() if str(line["status"]) == RUNNING]
        return set(handed[: _at_work(len(handed), self._session)])

    def _row(
        self,
        design: SweepDesign,
        sweep_id: str,
        number: int,
        line: dict[str, Any],
        is_at_work: bool,  # noqa: FBT001
    ) -> SweepRow:
        point = design.point(number)
        status = str(line.get("status", WAITING))
        if status == RUNNING and not is_at_work:
            status = WAITING
        attempt = int(line.get("attempt", 0))
        has_record = attempt > 0 and line.get("has_record", True) and status != WAITING
        return SweepRow(
            point=number,
            setting=point.setting,
            parameters=point.parameters,
            seed=point.seed,
            status=status,
            error=str(line.get("error", "")),
            metrics=line.get("metrics", {}),
            seconds=line.get("seconds"),
            attempt=attempt,
            experiment_id=run_id(sweep_id, number, attempt) if has_record else "",
            record_path=self._folder.path / run_name(number, attempt) / RECORD_NAME if has_record else None,
        )


def _at_work(handed: int, session: _Session | None) -> int:
    """Return how many of the runs that were handed to the engine are at work; the others wait for a worker."""
    return min(handed, session.n_workers) if session is not None and session.n_workers else handed


def _numbers(design: SweepDesign) -> range:
    return range(1, design.n_runs + 1)


def _lines(path: Path, offset: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Read whole lines from a place on, each with where it ends; what is no line of ours is passed over."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):  # it is being written
                return
            offset += len(line)
            try:
                content = json.loads(line)
            except (ValueError, RecursionError):  # cut off by a kill
                content = {}
            yield content if isinstance(content, dict) else {}, offset


# ----------------------------------------------------------------------------------------------- from records


class RecordFacts(NamedTuple):
    """What a sweep must know of a run's record."""

    status: str
    error: str
    metrics: dict[str, float]
    seconds: float | None
    host: str
    process: int | None
    started: float | str | None


def read_facts(folder: Path) -> RecordFacts | None:
    """
    Read what a sweep must know of a run, without making a whole record of it: ten thousand times a sweep.

    Returns
    -------
    RecordFacts or None
        None when there is no record that can be read.
    """
    try:
        path = folder / RECORD_NAME
        if path.stat().st_size > _LARGEST_RECORD:
            return None
        document = json.loads(path.read_bytes())
        metrics = numbers_in(decode(document.get("metrics") or {}))
        facts = document.get("provenance") or {}
        seconds = metrics.get("time_total_sec")
        return RecordFacts(
            str(document["status"]),
            str(document.get("error") or ""),
            metrics,
            seconds,
            str(facts.get("hostname") or ""),
            facts.get("process_id"),
            facts.get("process_mark") or facts.get("process_started"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def numbers_in(metrics: Any) -> dict[str, float]:
    """
    Return the metrics that are finite numbers; those of a table are called ``table.name``.

    Examples
    --------
    >>> numbers_in({"area": {"forest": 3, "urban": 1.5}, "spans": True, "worst": float("nan"), "name": "a"})
    {'spans': 1.0, 'area.forest': 3.0, 'area.urban': 1.5}
    """
    found: dict[str, float] = {}
    left = deque([("", metrics)])  # single numbers first: a long table must not crowd them out
    while left and len(found) < _MOST_METRICS:
        name, value = left.popleft()
        if isinstance(value, dict):
            left += [(f"{name}.{key}" if name else str(key), item) for key, item in value.items()]
        elif isinstance(value, int | float):
            with suppress(OverflowError):
                if isfinite(value):
                    found[name] = float(value)
    return found
