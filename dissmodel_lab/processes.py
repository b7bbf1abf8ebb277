"""Tells a process from a later one that got its number, also on a machine whose clock is set meanwhile."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_IS_LINUX = sys.platform == "linux"


def process_started(process_id: int) -> float | None:
    """
    Return when a process started [s since 1970], as psutil has it; None when it cannot be seen.

    Examples
    --------
    >>> import time
    >>> process_started(os.getpid()) < time.time()
    True
    """
    if _IS_LINUX:  # psutil's own arithmetic, without its import
        ticks = _ticks(process_id)
        return None if ticks is None else _boot_time() + ticks / os.sysconf("SC_CLK_TCK")
    import psutil  # noqa: PLC0415 -- not needed on Linux

    try:
        started: float = psutil.Process(process_id).create_time()
    except psutil.Error:
        return None
    return started


def process_mark(process_id: int) -> str:
    """
    Return a text that no other process has, before or after; empty when the process cannot be seen.

    On Linux the boot's random id and the clock ticks from the boot to the start (proc(5), ``starttime``): both stay
    when the clock is set, which moves what :func:`process_started` returns. Elsewhere the system keeps the start
    time itself.

    Examples
    --------
    >>> process_mark(os.getpid()) == process_mark(os.getpid()) != process_mark(os.getppid())
    True
    """
    if _IS_LINUX:
        ticks = _ticks(process_id)
        return "" if ticks is None else f"{_boot_id()}+{ticks}"
    started = process_started(process_id)
    return "" if started is None else f"started+{started:.3f}"


def is_same_process(process_id: int, mark: float | str | None) -> bool:
    """
    Tell whether a process is there, and is the one that had that mark.

    Parameters
    ----------
    process_id : int
        Its number.
    mark : float, str or None
        What :func:`process_mark` returned; of older records, what :func:`process_started` did. None, or an empty
        text, is any process.

    Examples
    --------
    >>> is_same_process(os.getpid(), process_mark(os.getpid())), is_same_process(os.getpid(), 1.0)
    (True, False)
    """
    if isinstance(mark, str) and mark:
        return process_mark(process_id) == mark
    now = process_started(process_id)
    return now is not None and (not isinstance(mark, float | int) or abs(now - mark) < 1.0)


def _ticks(process_id: int) -> int | None:
    """Return the clock ticks from the boot to a process's start; None when it is not there or has ended."""
    try:
        facts = Path(f"/proc/{process_id}/stat").read_bytes()
    except OSError:
        return None
    fields = facts.rpartition(b")")[2].split()  # from field 3 of proc(5) on; the name in () may hold anything
    if fields[0] in (b"Z", b"X"):  # it has ended, and nobody has asked how
        return None
    return int(fields[19])


def _boot_time() -> int:
    return int(Path("/proc/stat").read_bytes().partition(b"btime ")[2].split(maxsplit=1)[0])


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # a container that hides it
        return "boot"
