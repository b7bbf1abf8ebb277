"""What a phase costs: seconds, peak memory, bytes read and written.

*Seconds* are wall-clock time. *Peak memory* is the largest resident set of this process during the
phase: on Linux the kernel's own high-water mark, reset when the phase begins (``/proc/self/clear_refs``,
see proc(5); this resets ``ru_maxrss`` as well), so that short peaks count; elsewhere the larger of the
sizes at the phase's beginning and end, a lower bound. *Bytes* are those that the process moved through
system calls, from the page cache or the disk alike; files that are mapped into memory do not count, and
the bytes of other processes do not either. Other threads of the process are counted in.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from typing import Literal

from dissmodel_lab.executor.schemas import PhaseUsage, utc_now

#: Linux says by itself what psutil would ask it: four times as fast, and psutil need not be imported.
_IS_LINUX = sys.platform == "linux"


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
        self._has_high_water = _reset_high_water()
        self._resident = 0 if self._has_high_water else _resident()
        self._moved = _moved()
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
        before, after = self._moved, _moved()
        return PhaseUsage(
            started_at=self._started_at,
            seconds=round(seconds, 6),
            status=status,
            peak_memory_bytes=_high_water() if self._has_high_water else max(self._resident, _resident()),
            read_bytes=None if before is None or after is None else after[0] - before[0],
            written_bytes=None if before is None or after is None else after[1] - before[1],
        )


def _moved() -> tuple[int, int] | None:
    """Return the bytes read and written so far; None where nobody says (macOS, some containers)."""
    try:
        if _IS_LINUX:
            _, read, _, written, _ = _kernel_text("/proc/self/io").split(maxsplit=4)  # rchar: 12, wchar: 34, ...
            return int(read), int(written)
        import psutil  # noqa: PLC0415 -- not needed on Linux

        moved = psutil.Process().io_counters()
    except (AttributeError, OSError):
        return None
    return moved.read_bytes, moved.write_bytes


def _resident() -> int:
    import psutil  # noqa: PLC0415 -- not needed where the kernel keeps a high-water mark

    resident: int = psutil.Process().memory_info().rss
    return resident


def _reset_high_water() -> bool:
    if not _IS_LINUX:
        return False
    try:
        os.pwrite(_kernel_file("/proc/self/clear_refs", os.O_WRONLY, os.getpid()), b"5", 0)
    except OSError:  # a container that forbids it
        return False
    return True


def _high_water() -> int:
    _, _, rest = _kernel_text("/proc/self/status").partition(b"VmHWM:")
    return int(rest.split(maxsplit=1)[0]) * 1024


def _kernel_text(path: str) -> bytes:
    return os.pread(_kernel_file(path, os.O_RDONLY, os.getpid()), 4096, 0)


@functools.cache
def _kernel_file(path: str, flags: int, _process_id: int) -> int:
    """Open a file of /proc once: eight times a run, opening costs as much as reading. A fork opens its own."""
    return os.open(path, flags)
