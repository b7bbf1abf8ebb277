"""The machine: what others do on it meanwhile, and processes timed from start to exit."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
QUIET = 0.25
"""Others may use this many processors and a moment still counts as quiet."""
ENOUGH, LONGEST = 3, 90.0
"""So many rounds are made, however long they take; after so long [s] no more than those."""


class Others:
    """
    The processors that other people's processes keep busy, measured from construction on.

    Our own are this process, its children and theirs, the finished ones included; time that the host
    took from a virtual machine counts as others'.
    """

    def __init__(self) -> None:
        self._busy, self._own, self._at = _busy_seconds(), _own_seconds(), time.monotonic()

    def cores(self) -> float:
        """Return how many processors others used, on average."""
        busy, own = _busy_seconds() - self._busy, _own_seconds() - self._own
        return round(max(0.0, busy - own) / max(1e-9, time.monotonic() - self._at), 2)


def wait_for_quiet(longest: float) -> float:
    """Wait until others leave the machine alone, at most ``longest`` seconds; return what they used last."""
    deadline = time.monotonic() + longest
    while True:
        others = Others()
        time.sleep(0.3)
        cores = others.cores()
        if cores < QUIET or time.monotonic() > deadline:
            return cores


def in_rounds(count: int, one_round: Callable[[], dict[str, Any]]) -> Rounds:
    """
    Repeat a round of figures until ``count`` of them were calm, at most twice as often, and not for too long.

    Each round takes every figure once, side by side. Rounds in which others used more than ``QUIET``
    processors are left out when at least three calm ones remain; otherwise all count, and the report says so.
    """
    found: list[tuple[dict[str, Any], float]] = []
    deadline = time.monotonic() + LONGEST
    while len(found) < 2 * count and sum(cores < QUIET for _, cores in found) < count:
        if len(found) >= min(ENOUGH, count) and time.monotonic() > deadline:
            break
        wait_for_quiet(5)
        others = Others()
        figures = one_round()
        found.append((figures, others.cores()))
    calm = [figures for figures, cores in found if cores < QUIET]
    enough = len(calm) >= min(3, count)
    used = calm if enough else [figures for figures, _ in found]
    return Rounds(used, [cores for _, cores in found], calm=enough)


@dataclass(frozen=True)
class Rounds:
    """What came out of all rounds."""

    figures: list[dict[str, Any]]
    """One dict a round that counts."""
    cores: list[float]
    """What others used in each round, the left-out ones included."""
    calm: bool
    """Whether others left the machine alone in the rounds that count."""

    def column(self, name: str) -> list[Any]:
        """Return one figure of every round."""
        return [figures[name] for figures in self.figures]

    @property
    def note(self) -> str:
        """Say how calm it was."""
        if self.calm:
            return f"{len(self.figures)} calm rounds of {len(self.cores)}"
        return f"DISTURBED: others used {statistics.median(self.cores):.2f} processors in {len(self.cores)} rounds"


def whole_process(command: list[str], environment: dict[str, str] | None = None) -> float:
    """Run a command from start to exit and return its wall-clock time [s]; raise when it fails."""
    began = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(last_line(done.stderr) or f"exit code {done.returncode}")
    return seconds


def last_line(text: str) -> str:
    """Return the last line that says anything."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:160] if lines else ""


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the rounds' ratios: a round's two figures were taken side by side."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def range_of_ratios(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """Return the least and the largest of the rounds' ratios."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return min(ratios), max(ratios)


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts the time of guests in user and nice already.
    return sum(times) - idle - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)


def _own_seconds() -> float:
    total = sum(os.times()[:4])
    for child in psutil.Process().children(recursive=True):
        try:
            total += sum(child.cpu_times()[:4])
        except psutil.Error:  # it has ended since; its parent has its time
            continue
    return total
