"""Goals 6a and 6b: 100,000 records asked, added to, listed by a fresh process, and indexed anew."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import peers
from machine import HERE, Rounds, in_rounds, last_line, whole_process
from table import Growth, Line, Part, compared

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = str(HERE / "store_records.py")
NAMES = {"json": "folder of JSON files", "mlflow": "MLflow search_runs"}
FIGURES = {
    "newest": ("newest 50", 2.0),
    "filter": ("model, status, range of a parameter", 5.0),
    "two": ("ranges of two fields", 10.0),
}
"""What is asked, and the goal [ms]."""
GOALS_6A = {"json": 1 / 1500, "mlflow": 1 / 150}
FLOOR = "import sqlite3, json"
_GRACE = 0.05
"""A fresh process may take this much [s] beside 1.3 times the floor."""


class Worker:
    """A process that asks one store."""

    def __init__(self, way: str, folder: Path, count: int) -> None:
        self._process = subprocess.Popen(
            _command(way, folder, count),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def seconds(self, question: str, times: int) -> list[float]:
        """Return how long each asking took."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{question} {times}\n")
        self._process.stdin.flush()
        found: list[float] = json.loads(self._answer())
        return found

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(last_line(self._process.communicate()[1]) or "it ended without a word")
        return line


def measure(folder: Path, answers: dict[str, str], *, quick: bool) -> Part:
    """Make the records in each way, and ask."""
    count = 5_000 if quick else 100_000
    missing = {"mlflow": peers.reason(answers, "mlflow")} if peers.reason(answers, "mlflow") else {}
    ways = [way for way in ("ours", *NAMES) if way not in missing]
    for way in ways:
        whole_process([*_command(way, folder, count), "make"])
    rebuilt = _rebuilding(folder, count, rounds=1 if quick else 3)
    time.sleep(2.5)  # the folder of runs changed just now: until then each listing looks through it
    asked = _asking(ways, folder, count, rounds=2 if quick else 3)
    fresh = _fresh([way for way in ways if way != "json"], folder, count, rounds=3 if quick else 7)
    added = _adding(ways, folder, count, rounds=2 if quick else 5)
    growth = _growth(folder, (count // 100, count // 10), asked, added, count)
    shutil.rmtree(folder)
    records = f"{count:,} records"
    lines = [
        *_asking_lines(asked, missing, records),
        *_adding_lines(added, missing, records),
        *_rebuilding_lines(rebuilt, records),
        *_fresh_lines(fresh, missing, records),
    ]
    rounds = {"6a asking": asked, "6b adding": added, "6b rebuilding": rebuilt, "6b fresh": fresh}
    return Part(lines, rounds, growth)


def _growth(folder: Path, counts: tuple[int, ...], asked: Rounds, added: Rounds, count: int) -> list[Growth]:
    """Ask smaller stores the same."""
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in (*FIGURES, "close")}
    for fewer in counts:
        home = folder / str(fewer)
        whole_process([*_command("ours", home, fewer), "make"])
        worker = Worker("ours", home, fewer)
        worker.seconds("newest", 1)  # the index is made
        time.sleep(2.5)  # as above
        for name, found in points.items():
            worker.seconds(name, 3)
            found.append((fewer, statistics.median(worker.seconds(name, 20)) * 1e3))
        worker.close()
    for name, found in points.items():
        found.append((count, _middle(added.column("close") if name == "close" else asked.column(f"ours {name}"))))
    return [
        *(Growth("6a", f"asked for {figure}", "records", points[name]) for name, (figure, _) in FIGURES.items()),
        Growth("6b", "a record written durably and indexed", "records", points["close"]),
    ]


def _command(way: str, folder: Path, count: int) -> list[str]:
    python = peers.python() if way == "mlflow" else sys.executable
    return [python, "-W", "ignore", SCRIPT, way, str(folder), str(count)]


def _asking(ways: list[str], folder: Path, count: int, *, rounds: int) -> Rounds:
    workers = {way: Worker(way, folder, count) for way in ways}
    times = {"ours": 15, "json": 1, "mlflow": 3}

    def one_round() -> dict[str, list[float]]:
        return {
            f"{way} {question}": worker.seconds(question, times[way])
            for question in FIGURES
            for way, worker in workers.items()
        }

    one_round()
    found = in_rounds(rounds, one_round)
    for worker in workers.values():
        worker.close()
    return found


def _adding(ways: list[str], folder: Path, count: int, *, rounds: int) -> Rounds:
    (folder / "empty" / "ours").mkdir(parents=True)
    workers = {way: Worker(way, folder, count) for way in ways if way != "json"}
    empty = Worker("ours", folder / "empty", count)

    def one_round() -> dict[str, list[float]]:
        return {
            "close": workers["ours"].seconds("close", 20),
            "close, empty": empty.seconds("close", 20),
            **{way: worker.seconds("insert", 20 if way == "ours" else 10) for way, worker in workers.items()},
        }

    one_round()
    found = in_rounds(rounds, one_round)
    for worker in (*workers.values(), empty):
        worker.close()
    return found


def _rebuilding(folder: Path, count: int, *, rounds: int) -> Rounds:
    worker = Worker("ours", folder, count)
    worker.seconds("parse", 1)
    worker.seconds("newest", 1)  # the first index
    found = in_rounds(rounds, lambda: {name: worker.seconds(name, 1) for name in ("parse", "rebuild")})
    worker.close()
    return found


def _fresh(ways: list[str], folder: Path, count: int, *, rounds: int) -> Rounds:
    commands = {way: [*_command(way, folder, count), "newest"] for way in ways}
    commands["floor"] = [sys.executable, "-c", FLOOR]

    def one_round() -> dict[str, list[float]]:
        return {name: [whole_process(command)] for name, command in commands.items()}

    one_round()
    return in_rounds(rounds, one_round)


def _asking_lines(asked: Rounds, missing: dict[str, str], records: str) -> list[Line]:
    lines = []
    for question, (figure, goal) in FIGURES.items():
        ours = asked.column(f"ours {question}")
        lines.append(Line("6a", f"{figure} of {records}", _middle(ours), "", None, goal=goal))
        for way, name in NAMES.items():
            wanted = GOALS_6A[way] if question == "newest" else 1 / 30
            if way in missing:
                lines.append(Line("6a", figure, _middle(ours), name, None, goal=wanted, reason=missing[way]))
            else:
                lines.append(_beside("6a", figure, ours, name, asked.column(f"{way} {question}"), goal=wanted))
    return lines


def _adding_lines(added: Rounds, missing: dict[str, str], records: str) -> list[Line]:
    closed, inserted = added.column("close"), added.column("ours")
    figure = "a record written durably and indexed"
    lines = [
        Line("6b", f"{figure}, {records}", _middle(closed), "", None, goal=1.3),
        _beside("6b", figure, closed, "in an empty store", added.column("close, empty"), goal=None),
    ]
    if "mlflow" in missing:
        return [
            *lines,
            Line("6b", "run added", _middle(inserted), "MLflow", None, goal=1 / 20, reason=missing["mlflow"]),
        ]
    return [*lines, _beside("6b", "run begun and ended", inserted, "MLflow", added.column("mlflow"), goal=1 / 20)]


def _rebuilding_lines(rebuilt: Rounds, records: str) -> list[Line]:
    ours, theirs = rebuilt.column("rebuild"), rebuilt.column("parse")
    return [_beside("6b", f"index of {records} made anew", ours, "reading and parsing", theirs, goal=2.5)]


def _fresh_lines(fresh: Rounds, missing: dict[str, str], records: str) -> list[Line]:
    figure = f"fresh process, newest 50 of {records}"
    ours, floor = fresh.column("ours"), fresh.column("floor")
    less = [[max(0.0, seconds - _GRACE) for seconds in one] for one in ours]
    lines = [_beside("6b", f"{figure}, less 50 ms", less, FLOOR, floor, goal=1.3)]
    if "mlflow" in missing:
        return [*lines, Line("6b", figure, _middle(ours), "MLflow", None, goal=1 / 25, reason=missing["mlflow"])]
    return [*lines, _beside("6b", figure, ours, "MLflow", fresh.column("mlflow"), goal=1 / 25)]


def _beside(  # noqa: PLR0917 -- the columns of a line, in their order
    item: str, figure: str, ours: list[list[float]], name: str, theirs: list[list[float]], goal: float | None
) -> Line:
    ratio = compared(*([statistics.median(one) for one in found] for found in (ours, theirs)))
    best = min(map(min, ours)) / min(map(min, theirs))
    return Line(item, figure, _middle(ours), name, _middle(theirs), **ratio, best=best, goal=goal)


def _middle(found: list[list[float]]) -> float:
    return statistics.median(statistics.median(one) for one in found) * 1e3
