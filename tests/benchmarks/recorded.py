"""Goals 1a and 1b: what a recorded run costs, in a warm process and as a process from start to exit."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

import peers
from machine import HERE, Rounds, in_rounds, last_line, whole_process
from table import Growth, Line, Part, compared

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = str(HERE / "recorded_run.py")
OURS = "dissmodel_lab"
PACKAGES = {"sacred": "sacred", "mlflow_file": "mlflow", "mlflow_sqlite": "mlflow", "papermill": "papermill"}
NAMES = {
    "floor": "floor B",
    "dissmodel": "bare dissmodel",
    "sacred": "Sacred",
    "mlflow_file": "MLflow, file store",
    "mlflow_sqlite": "MLflow, sqlite",
    "papermill": "papermill",
}
GOALS_1A = {
    "floor": 1.5,
    "dissmodel": 2.0,
    "sacred": 1 / 5,
    "mlflow_file": 1 / 5,
    "mlflow_sqlite": 1 / 13,
    "papermill": 1 / 200,
}
GOALS_1B = {"dissmodel": 1.15, "sacred": 0.8, "mlflow_file": 1 / 6, "mlflow_sqlite": 1 / 10}
RUNS_A_ROUND = {"sacred": 5, "mlflow_file": 5, "mlflow_sqlite": 3, "papermill": 1}
SIZES = (100_000, 1_000_000, 10_000_000, 100_000_000)
"""Of input and output [bytes], to see how a run's cost grows with them."""
GROWING = {OURS: OURS, "floor": "floor B", "dissmodel": "bare dissmodel"}


class Worker:
    """A process that makes runs in one of the ways, whenever it is asked to."""

    def __init__(self, way: str, folder: Path, size: int = 1_000_000) -> None:
        self.runs = RUNS_A_ROUND.get(way, 20)
        self._errors = (folder / "stderr.txt").open("w+")
        self._process = subprocess.Popen(
            [_python(way), "-W", "ignore", SCRIPT, way, str(folder)],
            env={**os.environ, "BENCH_RUN_BYTES": str(size)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._answer()

    def time(self) -> list[float]:
        """Return the seconds of each run of a round."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self.runs}\n")
        self._process.stdin.flush()
        seconds: list[float] = json.loads(self._answer())
        return seconds

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._errors.close()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(timeout=30)
            self._errors.seek(0)
            raise RuntimeError(last_line(self._errors.read()) or "it ended without a word")
        return line


def measure(folder: Path, answers: dict[str, str], *, quick: bool) -> Part:
    """Time all ways."""
    missing = {way: peers.reason(answers, package) for way, package in PACKAGES.items()}
    missing = {way: why for way, why in missing.items() if why}
    ways = [way for way in (OURS, *NAMES) if way not in missing]
    warm = _in_process(ways, folder / "warm", missing, count=4 if quick else 12)
    whole = _whole([way for way in ways if way not in missing], folder / "whole", missing, count=3 if quick else 9)
    lines = [
        *_lines("1a", "recorded run, in a warm process", warm, GOALS_1A, missing),
        *_lines("1b", "recorded run, whole process", whole, GOALS_1B, missing),
    ]
    rounds = {"1a in a warm process": warm, "1b whole process": whole}
    return Part(lines, rounds, _growth(folder / "sizes", SIZES[:3] if quick else SIZES))


def _growth(folder: Path, sizes: tuple[int, ...]) -> list[Growth]:
    """Record runs with inputs and outputs of several sizes."""
    points: dict[str, list[tuple[float, float]]] = {way: [] for way in GROWING}
    for size in sizes:
        workers = {way: Worker(way, peers.folder_of_work(folder / str(size), way), size) for way in GROWING}
        for worker in workers.values():
            worker.runs = 5
            worker.time()  # warm
        rounds = in_rounds(3, lambda workers=workers: {way: worker.time() for way, worker in workers.items()})
        for way, worker in workers.items():
            worker.close()
            points[way].append((size / 1e6, _middle(rounds.column(way))))
        shutil.rmtree(folder)
    return [Growth("1a", f"recorded run, {name}", "MB in and out", points[way]) for way, name in GROWING.items()]


def _in_process(ways: list[str], folder: Path, missing: dict[str, str], *, count: int) -> Rounds:
    workers: dict[str, Worker] = {}
    for way in ways:
        try:
            workers[way] = Worker(way, peers.folder_of_work(folder, way))
        except RuntimeError as error:
            missing[way] = str(error)
    for worker in workers.values():
        worker.time()  # warm
    rounds = in_rounds(count, lambda: {way: worker.time() for way, worker in workers.items()})
    for worker in workers.values():
        worker.close()
    return rounds


def _whole(ways: list[str], folder: Path, missing: dict[str, str], *, count: int) -> Rounds:
    def seconds(way: str) -> float:
        home = peers.folder_of_work(folder, way)
        return whole_process([_python(way), "-W", "ignore", SCRIPT, way, str(home), "--once"])

    able = []
    for way in ways:  # once for the page cache and the databases
        try:
            seconds(way)
        except RuntimeError as error:
            missing[way] = str(error)
        else:
            able.append(way)
    return in_rounds(count, lambda: {way: [seconds(way)] for way in able})


def _lines(item: str, figure: str, rounds: Rounds, goals: dict[str, float], missing: dict[str, str]) -> list[Line]:
    ours = rounds.column(OURS)
    lines = []
    for way, name in NAMES.items():
        goal = goals.get(way)
        if way in missing:
            lines.append(Line(item, figure, _middle(ours), name, None, goal=goal, reason=missing[way]))
            continue
        theirs = rounds.column(way)
        ratio = compared(*([statistics.median(one) for one in found] for found in (ours, theirs)))
        best = min(map(min, ours)) / min(map(min, theirs))
        line = Line(item, figure, _middle(ours), name, _middle(theirs), **ratio, best=best, goal=goal)
        lines.append(line)
    return lines


def _middle(found: list[list[float]]) -> float:
    return statistics.median(statistics.median(one) for one in found) * 1e3


def _python(way: str) -> str:
    return peers.python() if way in PACKAGES else sys.executable
