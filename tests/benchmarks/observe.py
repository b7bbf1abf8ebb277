"""Goal 8: what telling the ticks of a ``dissmodel`` simulation takes from it, its own code unchanged."""

from __future__ import annotations

import contextlib
import hashlib
import io
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from dissmodel.core import Environment, Model
from machine import Rounds, in_rounds, median_ratio
from table import Line, Part

from dissmodel_lab.executor import ExperimentRecord, execute_lifecycle
from dissmodel_lab.upstream import clock, watched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Field(Model):
    """Does a fixed amount of work at each tick; has a grid and two numbers to be read."""

    def setup(self, repeats: int = 0) -> None:
        self.repeats = repeats
        self.grid = np.random.default_rng(0).random((100, 100))
        self.total = 0.0

    def execute(self) -> None:
        for _ in range(self.repeats):
            self.grid = np.sin(self.grid)
        self.total += self.env.now()


PLAIN_SET = clock._Tick.__set__


class TimedTick(clock._Tick):
    """
    The clock's own code, timed; ``spent`` is what it takes from the model [s].

    By the wall clock, but by the processor's where that is less: there the machine did something else meanwhile.
    """

    spent = 0.0

    def __set__(self, environment: Any, now: Any) -> None:
        own, began = time.thread_time(), time.perf_counter()
        PLAIN_SET(self, environment, now)
        seconds = time.perf_counter() - began
        TimedTick.spent += min(seconds, time.thread_time() - own)


class Body:
    """An executor whose run is one simulation."""

    def __init__(self, simulate: Callable[[], float]) -> None:
        self._simulate = simulate
        self.seconds = 0.0

    def validate(self, record: Any) -> None:
        pass

    def load(self, record: Any) -> None:
        pass

    def run(self, data: Any, record: Any) -> float:
        self.seconds = self._simulate()
        return self.seconds

    def save(self, result: Any, record: Any) -> Any:
        return record


def measure(folder: Path, answers: dict[str, str], *, quick: bool) -> Part:
    """Simulate with and without observation, side by side."""
    n_steps = 500 if quick else 2000
    observed(50, 0)  # the first imports what it needs

    def one_round() -> dict[str, Any]:
        repeats = calibrated()
        bare_seconds, bare_hash = simulate(n_steps, repeats)
        return {
            "bare": bare_seconds,
            "same": bare_hash == observed(n_steps, repeats)["hash"],
            "observed": observed(n_steps, repeats, timed=True),
            "unaccounted": observed(n_steps, repeats)["seconds"],
            "empty": 1e6 * (observed(20_000, 0)["seconds"] - simulate(20_000, 0)[0]) / 20_000,
        }

    rounds = in_rounds(3 if quick else 7, one_round)
    return Part(_lines(rounds), {"8, dissmodel's ticks": rounds})


def calibrated() -> int:
    """Find how much work 1 ms of the processor is, here and now."""
    began = time.thread_time()
    simulate(100, 10)
    return max(1, round(1e-3 / ((time.thread_time() - began) / 1000)))


def simulate(n_steps: int, repeats: int) -> tuple[float, str]:
    """Run one simulation; return the seconds of ``Environment.run`` and the hash of what came out."""
    environment = Environment(end_time=n_steps - 1)
    model = Field(repeats=repeats)
    with contextlib.redirect_stdout(io.StringIO()):
        began = time.perf_counter()
        environment.run()
        seconds = time.perf_counter() - began
    return seconds, hashlib.sha256(model.grid.tobytes() + repr(model.total).encode()).hexdigest()


def observed(n_steps: int, repeats: int, *, timed: bool = False) -> dict[str, Any]:
    """Run the same as the run phase of an observed run."""
    found: dict[str, Any] = {"hash": ""}
    count = 0

    def body() -> float:
        began = time.thread_time()
        seconds, found["hash"] = simulate(n_steps, repeats)
        found["processor"] = time.thread_time() - began
        return seconds

    def count_steps(step: Any) -> None:
        nonlocal count
        count += 1

    plain, TimedTick.spent = clock._Tick, 0.0
    clock._Tick = TimedTick if timed else plain
    executor = Body(body)
    try:
        with watched():
            execute_lifecycle(executor, ExperimentRecord(), observers=[lambda event: None], watchers=[count_steps])
    finally:
        clock._Tick = plain
    if count != n_steps:
        raise RuntimeError(f"{count} of {n_steps} ticks were told")
    return {**found, "seconds": executor.seconds, "spent": TimedTick.spent, "tick": 1e6 * TimedTick.spent / n_steps}


def _lines(rounds: Rounds) -> list[Line]:
    bare, found = rounds.column("bare"), rounds.column("observed")
    share = statistics.median(100 * one["spent"] / one["processor"] for one in found)
    slower = 100 * (median_ratio(rounds.column("unaccounted"), bare) - 1)
    differ = float(sum(not same for same in rounds.column("same")))
    return [
        Line("8", "share of a dissmodel run of 1 ms ticks spent in telling them", share, "", None, "%", goal=1),
        Line("8", "the same by the clock: observed longer than bare", slower, "", None, "%"),
        Line("8", "one tick told, by accounting", statistics.median(one["tick"] for one in found), "", None, "us"),
        Line(
            "8", "one tick told, empty ticks by the clock", statistics.median(rounds.column("empty")), "", None, "us"
        ),
        Line("8", "observed results that differ", differ, "", None, "runs", goal=0),
    ]
