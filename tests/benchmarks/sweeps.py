"""Goals 7a, 7b and 7c: many runs on two workers, each of them recorded, beside those that record nothing."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import sweeps_tasks
from machine import HERE, Rounds, in_rounds, last_line
from table import Growth, Line, Part, compared

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = str(HERE / "sweeps_ways.py")
FLOOR = "forked"
PEERS = {"loky": "loky", "joblib": "joblib", "dask": "Dask, client.map", "mesa": "Mesa, batch_run"}
OURS = {"process": "engine process", "our dask": "engine dask"}
#: What a task with nothing in it costs, beside what a run with nothing in it costs us.
SINGLE = {"one process": "one process", "one loky": "one loky"}
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MIB = 1024**2


class Way:
    """A process that runs tasks in one way, whenever it is asked to."""

    def __init__(self, name: str, folder: Path, loops: int) -> None:
        home = folder / name.replace(" ", "_")
        home.mkdir(parents=True)
        self._errors = (home / "stderr.txt").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", SCRIPT, name, str(home)],
            env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "LOOPS": str(loops)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._answer()

    def ask(self, what: str, count: int) -> Any:
        """Return the figures for one question."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what} {count}\n")
        self._process.stdin.flush()
        return self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)
        self._errors.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(timeout=60)
            self._errors.seek(0)
            raise RuntimeError(last_line(self._errors.read()) or "it ended without a word")
        return json.loads(line)


def measure(folder: Path, answers: dict[str, str], *, quick: bool) -> Part:
    """Time all ways."""
    loops = sweeps_tasks.loops_of(sweeps_tasks.SECONDS)
    missing: dict[str, str] = {}
    busy = _busy(folder / "busy", loops, missing, n_runs=40 if quick else 200, rounds=2 if quick else 5)
    single = _single(folder / "single", loops, n_runs=50 if quick else 200, rounds=2 if quick else 5)
    many = _many(folder / "many", loops, n_runs=300 if quick else 10_000)
    growth = _growth(folder / "sizes", loops, (10, 50, 250) if quick else (10, 100, 1000))
    lines = [*_busy_lines(busy, missing), *_single_lines(single, busy), *_many_lines(many)]
    return Part(lines, {"7a many runs": busy, "7b one run": single, "7b a large sweep": many}, growth)


def _growth(folder: Path, loops: int, counts: tuple[int, ...]) -> list[Growth]:
    """Sweep over ever more empty runs."""
    names = {"process": "engine process", "joblib": "joblib, which records nothing"}
    found = []
    for name, title in names.items():
        with Way(name, folder, loops) as way:
            way.ask("nothing", counts[0])
            points = [(count, _ms([way.ask("nothing", count) for _ in range(3)])) for count in counts]
        found.append(Growth("7b", f"a sweep of empty runs, {title}", "runs", points))
    return found


def _busy(folder: Path, loops: int, missing: dict[str, str], *, n_runs: int, rounds: int) -> Rounds:
    """Run tasks of 50 ms, and of nothing, in every way; one after the other, in every round."""
    with ExitStack() as stack:
        ways: dict[str, Way] = {}
        for name in (FLOOR, *OURS, *PEERS):
            try:
                ways[name] = stack.enter_context(Way(name, folder, loops))
                ways[name].ask("burn", 8)
            except RuntimeError as error:
                if name not in PEERS:
                    raise
                ways.pop(name, None)
                missing[name] = str(error)

        def one_round() -> dict[str, float]:
            found = {name: way.ask("burn", n_runs) for name, way in ways.items()}
            found |= {f"{name} nothing": way.ask("nothing", n_runs) / n_runs for name, way in ways.items()}
            return {**found, **{f"{name} cold": ways[name].ask("cold", n_runs) for name in ("loky", "process")}}

        return in_rounds(rounds, one_round)


def _single(folder: Path, loops: int, *, n_runs: int, rounds: int) -> Rounds:
    with ExitStack() as stack:
        ours, loky = (stack.enter_context(Way(name, folder, loops)) for name in SINGLE)

        def one_round() -> dict[str, float]:
            return {
                "ours": ours.ask("nothing", n_runs) / n_runs,
                "loky": loky.ask("nothing", n_runs) / n_runs,
                "inline": ours.ask("inline", n_runs) / n_runs,
                "start": statistics.median(ours.ask("start", 21)),
            }

        one_round()
        return in_rounds(rounds, one_round)


def _many(folder: Path, loops: int, *, n_runs: int) -> Rounds:
    with Way("process", folder, loops) as way:

        def one_round() -> dict[str, float]:
            found = way.ask("memory", n_runs)
            return {"each": found["seconds"] / n_runs, "grown": found["grown"], "count": n_runs}

        return in_rounds(1, one_round)


def _busy_lines(busy: Rounds, missing: dict[str, str]) -> list[Line]:
    figure, floor = "200 runs of 50 ms, recorded", busy.column(FLOOR)
    goals = {"process": 0.95, "our dask": 0.90}
    lines = [
        _faster("7a", f"{name}: {figure}", busy.column(way), "two forked children", floor, goals[way])
        for way, name in OURS.items()
    ]
    cold = busy.column("process cold")
    lines.append(_faster("7a", f"engine process, cold: {figure}", cold, "two forked children", floor, 0.85))
    lines.append(_faster("7a", "the same", cold, "loky, cold", busy.column("loky cold"), None))
    beside = {"process": {"loky": 0.97}, "our dask": {"dask": 1.4}}
    for way, name in OURS.items():
        for peer, title in PEERS.items():
            goal = beside[way].get(peer)
            ours, item = busy.column(way), "7c" if way == "our dask" else "7a"
            if peer in missing:
                reason = missing[peer]
                lines.append(Line(item, f"{name}: the same", _ms(ours), title, None, goal=goal, reason=reason))
            else:
                lines.append(_faster(item, f"{name}: the same", ours, title, busy.column(peer), goal))
    return lines


def _single_lines(single: Rounds, busy: Rounds) -> list[Line]:
    ours, loky, inline = (single.column(name) for name in ("ours", "loky", "inline"))
    both = [one + other for one, other in zip(loky, inline, strict=True)]
    dispatch = [max(1e-6, one - other) for one, other in zip(ours, inline, strict=True)]
    figure = "an empty run, recorded, one worker"
    lines = [
        _slower("7b", figure, ours, "loky's task + the run inline", both, 1.2),
        _slower("7b", "what the worker adds to it", dispatch, "an empty task of loky", loky, None),
        Line("7", "request to phase validate, warm", _ms(single.column("start")), "", None, goal=30.0),
    ]
    for way, name in OURS.items():
        ours = busy.column(f"{way} nothing")
        lines += [
            _slower("7b", f"{name}: empty run, recorded, two workers", ours, f"{title}: empty task", theirs, None)
            for title, theirs in ((PEERS[peer], busy.column(f"{peer} nothing")) for peer in ("loky", "dask"))
        ]
    return lines


def _many_lines(many: Rounds) -> list[Line]:
    figure = f"sweep of {many.column('count')[0]:,} empty runs"
    return [
        Line("7", f"{figure}, each", _ms(many.column("each")), "", None, goal=8.0),
        Line("7", f"{figure}, memory", many.column("grown")[0] / _MIB, "", None, unit="MiB", goal=50.0),
    ]


def _faster(  # noqa: PLR0917 -- the columns of a line, in their order
    item: str, figure: str, ours: list[float], name: str, theirs: list[float], goal: float | None
) -> Line:
    """Compare by how many times ours is as fast: beside the forked children, the parallel efficiency."""
    best = min(theirs) / min(ours)
    ratio = compared(theirs, ours)
    return Line(item, figure, _ms(ours), name, _ms(theirs), **ratio, best=best, goal=goal, kind="at least")


def _slower(  # noqa: PLR0917 -- as above
    item: str, figure: str, ours: list[float], name: str, theirs: list[float], goal: float | None
) -> Line:
    best = min(ours) / min(theirs)
    return Line(item, figure, _ms(ours), name, _ms(theirs), **compared(ours, theirs), best=best, goal=goal)


def _ms(found: list[float]) -> float:
    return statistics.median(found) * 1e3
