"""What a process that draws one map tells: how long it took, its memory beyond the start, what it would send."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
from machine import last_line

if TYPE_CHECKING:
    from collections.abc import Callable

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_MEBIBYTE = 1 << 20


class Drawn(NamedTuple):
    """One picture, drawn in a process of its own."""

    seconds: float
    extra: float
    """The most memory beyond what the process had before it [MiB]."""
    payload: int
    """What is sent to the browser [bytes]."""
    more: dict[str, float]
    """What else was measured behind it: seconds, or a number of pixels."""


def quiet() -> None:
    """Let libraries say nothing."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def tell(draw: Callable[[], int], afterwards: Callable[[], dict[str, float]] | None = None) -> None:
    """Draw once, timed, and print what came out."""
    gc.collect()
    before = _resident()
    with contextlib.suppress(OSError):  # not on this system: the mark of the warming-up stays
        _RESET.write_text("5")
    began = time.perf_counter()
    payload = draw()
    seconds = time.perf_counter() - began
    extra = max(0.0, _peak() - before)
    print(json.dumps(Drawn(seconds, extra, payload, afterwards() if afterwards is not None else {})))


def drawn(command: list[str], longest: float = 900.0) -> Drawn:
    """Run a process that tells; raise with its last words when it fails or takes longer than ``longest`` [s]."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=longest
    )
    if done.returncode != 0 or not done.stdout.strip():
        raise RuntimeError(last_line(done.stderr) or f"exit code {done.returncode}")
    values: list[Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return Drawn(*values)


def timed(what: Callable[[], Any]) -> float:
    """Return how long something takes [s]."""
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def _resident() -> float:
    return float(psutil.Process().memory_info().rss) / _MEBIBYTE


def _peak() -> float:
    """Return the high-water mark of this process [MiB]."""
    try:
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import resource

        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest / (_MEBIBYTE if sys.platform == "darwin" else 1024)
