"""What a phase costs: seconds, peak memory, bytes read and written.

*Seconds* are wall-clock time. *Peak memory* is the largest resident set of this process during the
phase: on Linux the kernel's own high-water mark, reset when the phase begins (``/proc/self/clear_refs``,
see proc(5); this resets ``ru_maxrss`` as well), so that short peaks count; elsewhere the larger of the
sizes at the phase's beginning and end, a lower bound. *Bytes* are those that the process moved through
system calls, from the page cache or the disk alike; files that are mapped into memory do not count, and
the bytes of other processes do not either. Other threads of the process are counted in.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from dissmodel_lab.executor.schemas import PhaseUsage, utc_now

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class _Counters(NamedTuple):
    resident: int
    read: int | None
    written: int | None


class PhaseMeter:
    """
    Measure from construction to :meth:`stop`.

    Examples
    --------
    >>> usage = PhaseMeter().stop("completed")
    >>> usage.seconds >= 0, usage.status
    (True, 'completed')
    """

    def __init__(self) -> None:
        self._started_at = utc_now()
        self._process = psutil.Process()
        self._has_high_water = _reset_high_water()
        self._before = self._count()
        self._began = time.perf_counter()

    def stop(self, status: Literal["completed", "failed", "cancelled"]) -> PhaseUsage:
        """
        Return what was used since construction.

        Parameters
        ----------
        status : {"completed", "failed", "cancelled"}
            How the phase ended.
        """
        seconds = time.perf_counter() - self._began
        after = self._count()
        peak = max(self._before.resident, after.resident)
        if self._has_high_water:
            peak = max(peak, _high_water())
        return PhaseUsage(
            started_at=self._started_at,
            seconds=round(seconds, 6),
            status=status,
            peak_memory_bytes=peak,
            read_bytes=_difference(self._before.read, after.read),
            written_bytes=_difference(self._before.written, after.written),
        )

    def _count(self) -> _Counters:
        resident = self._process.memory_info().rss
        try:
            moved = self._process.io_counters()
        except (AttributeError, psutil.Error, OSError):  # macOS has none; some containers forbid it
            return _Counters(resident, None, None)
        return _Counters(
            resident,
            getattr(moved, "read_chars", moved.read_bytes),
            getattr(moved, "write_chars", moved.write_bytes),
        )


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _reset_high_water() -> bool:
    try:
        _CLEAR_REFS.write_bytes(b"5")
    except OSError:  # not Linux, or a container that forbids it
        return False
    return True


def _high_water() -> int:
    for line in _STATUS.read_bytes().splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
