"""Live map, live charts and kept frames: what they take from a loop of 1 ms steps, in a real kernel.

The keeper works on the model's thread and accounts for itself; the panel works on a thread of its own, and its
share is the processor time of its updates. The loop's own clock tells what the two cost together, twice:

- by the clock: the loop with everything beside the same loop bare, taking turns in changing order. On a virtual
  machine two bare loops differ by several percent, so that the figure means nothing without theirs beside it.
- by the clock, at the machine's pace: each loop is first divided by what it would have taken had every step
  taken as long as the middle one of the 25 around it. The machine's moods, which last longer, fall out;
  waiting for the panel, for copies and for being told does not.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from kernel import Kernel
from machine import HERE, Rounds, in_rounds, median_ratio
from table import Line, Part

from dissmodel_lab import ModelExecutor, report_step, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SETUP = f"""
import json, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {str(HERE)!r})
import frames, live_loop
"""
KINDS = {"raster": "1000x1000 raster", "table": "table of 100x100 cells"}


TURNS = {"bare": "bare", "again": "bare", "watched": "watched"}
PACE = 25
"""Steps of which the middle one tells the machine's pace [-]."""


def measure(folder: Path, answers: dict[str, str], *, quick: bool) -> Part:
    """Time the loop over each kind of data, bare, bare again, and with everything that watches it."""
    folder.mkdir(parents=True)
    n_steps = 2500
    rounds: dict[str, Rounds] = {}
    with Kernel(folder) as kernel:

        def call(code: str) -> dict[str, float]:
            cell = kernel.run(f"print('\\n' + json.dumps({code}))")
            figures: dict[str, float] = json.loads(cell.text.strip().splitlines()[-1])
            return figures

        def one_round(kind: str) -> dict[str, Any]:
            kernel.run("live_loop.calibrate()")
            names.rotate(1)
            found = {name: call(f"frames.{TURNS[name]}({kind!r}, {n_steps})") for name in names}
            return {**found["watched"], "bare": found["bare"], "again": found["again"]}

        names = deque(TURNS)
        kernel.run(SETUP)
        for kind in KINDS:
            call(f"frames.watched({kind!r}, 2000)")  # the first panel imports what it needs
            rounds[f"frames, {kind}"] = in_rounds(3 if quick else 12, lambda kind=kind: one_round(kind))
    return Part(
        [line for what, found in zip(KINDS.values(), rounds.values(), strict=True) for line in _lines(what, found)],
        rounds,
    )


def _lines(what: str, rounds: Rounds) -> list[Line]:
    def share(name: str) -> float:
        return statistics.median(100 * one[name] / one["loop"] for one in rounds.figures)

    slower, noise = _slower(rounds, "loop"), _differ(rounds, "loop")
    paced, paced_noise = _slower(rounds, "paced"), _differ(rounds, "paced")
    return [
        Line("F", f"{what}: keeping frames, share of 1 ms steps", share("kept_sec"), "", None, "%", goal=3),
        Line("F", f"{what}: live panel, share of 1 ms steps", share("busy_sec"), "", None, "%", goal=1),
        Line("F", f"{what}: the same with its waiting for the model", share("panel_sec"), "", None, "%"),
        Line("F", f"{what}: by the clock, loop longer than bare", slower, "", None, "%"),
        Line("F", f"{what}: by the clock, a bare loop beside another", noise, "", None, "%"),
        Line("F", f"{what}: by the clock at the machine's pace", paced, "", None, "%", goal=3),
        Line("F", f"{what}: the same, a bare loop beside another", paced_noise, "", None, "%"),
        Line("F", f"{what}: one step of which nothing is due", _middle(rounds, "check_us"), "", None, "us", goal=1),
        Line("F", f"{what}: frames kept", _middle(rounds, "frames"), "", None, "frames", goal=20, kind="at least"),
        Line("F", f"{what}: live pictures a second", _middle(rounds, "pictures"), "", None, "/s", goal=4),
        Line(
            "F",
            f"{what}: the same, not too few",
            _middle(rounds, "pictures"),
            "",
            None,
            "/s",
            goal=1,
            kind="at least",
        ),
    ]


def _slower(rounds: Rounds, name: str) -> float:
    """Return by how much the watched loop is longer than the middle of the two bare ones [%]."""
    bare = [(one[name] + other[name]) / 2 for one, other in _bare_pairs(rounds)]
    return 100 * (median_ratio(rounds.column(name), bare) - 1)


def _differ(rounds: Rounds, name: str) -> float:
    """Return by how much one of two bare loops is longer than the other, whichever it is: the noise [%]."""
    return 100 * statistics.median(abs(one[name] / other[name] - 1) for one, other in _bare_pairs(rounds))


def _bare_pairs(rounds: Rounds) -> list[tuple[dict[str, float], dict[str, float]]]:
    return list(zip(rounds.column("bare"), rounds.column("again"), strict=True))


def _middle(rounds: Rounds, name: str) -> float:
    return statistics.median(rounds.column(name))


class FrameLoop(ModelExecutor, register=False):
    """Steps of about 1 ms that change a map a little."""

    name = "frame_loop"

    def __init__(self, kind: str, *, tells: bool) -> None:
        self._data, self._change = _DATA[kind]()
        self._tells = tells

    def load(self, record):
        return self._data

    def run(self, data, record):
        from live_loop import step

        n_steps = int(record.parameters["n_steps"])
        layers, values = (lambda: {"land": data}), (lambda: {"area": 12.5})
        own = np.empty(n_steps)
        ended = began = time.perf_counter()
        for count in range(1, n_steps + 1):
            step()
            self._change(count)
            own[count - 1] = time.perf_counter() - ended
            if self._tells:
                report_step(count, n_steps, "year 2030", values, time=count, layers=layers)
            ended = time.perf_counter()
        loop = ended - began
        record.metrics.update(loop_sec=loop, paced=loop / _undisturbed(own))
        return "done"

    def save(self, result, record):
        Path(record.output_path).write_text(result)
        return record


def _undisturbed(own: NDArray[np.float64]) -> float:
    """Return how long the steps would have taken had each taken as long as the middle one around it [s]."""
    parts = np.array_split(own, max(1, len(own) // PACE))
    return float(sum(len(part) * np.median(part) for part in parts))


def _raster() -> tuple[Any, Callable[[int], None]]:
    data = np.zeros((1000, 1000), "uint8")

    def change(count: int) -> None:
        data[count % 1000] = 1 + count // 1000 % 5

    return data, change


def _table() -> tuple[Any, Callable[[int], None]]:
    import geopandas
    import shapely

    row, column = (axis.ravel() for axis in np.indices((100, 100)))
    boxes = shapely.box(column, -row - 1, column + 1, -row)
    cells = geopandas.GeoDataFrame({"id": np.arange(10_000), "use": np.zeros(10_000)}, geometry=boxes)
    use = cells["use"].to_numpy(copy=True)

    def change(count: int) -> None:
        use[count % 100 :: 100] = count % 7
        if count % 50 == 0:  # pandas takes 0.1 ms and more for it, which is the model's own business
            cells["use"] = use

    return cells, change


_DATA = {"raster": _raster, "table": _table}


def bare(kind: str, n_steps: int) -> dict[str, float]:
    """The loop as a run that tells nothing."""
    record = run(FrameLoop(kind, tells=False), parameters={"n_steps": n_steps}, store=tempfile.mkdtemp())
    return {"loop": record.metrics["loop_sec"], "paced": record.metrics["paced"]}


def watched(kind: str, n_steps: int) -> dict[str, float]:
    """The loop as a run in this cell, under the live panel."""
    from dissmodel_lab.executor.events import Phase, PhaseFinished
    from dissmodel_lab.views.run_panel import run_in_cell

    during: dict[str, float] = {}
    parts: list[Any] = []

    def call(listeners):
        live, keeper, _ = listeners.observers
        parts.append(keeper)

        def note(event):
            if isinstance(event, PhaseFinished) and event.phase is Phase.RUN:
                panel = live.panel
                during["panel_sec"] = panel.seconds - during["panel_sec"]
                during["busy_sec"] = panel.busy - during["busy_sec"]
                during["pictures"] = panel.pictures
            elif isinstance(event, PhaseFinished) and event.phase is Phase.LOAD:
                during.update(panel_sec=live.panel.seconds, busy_sec=live.panel.busy)

        model = FrameLoop(kind, tells=True)
        everybody = [*listeners.observers, note]
        return run(
            model,
            parameters={"n_steps": n_steps},
            store=tempfile.mkdtemp(),
            observers=everybody,
            watchers=listeners.watchers,
        )

    record = run_in_cell(call)
    keeper, loop = parts[0], record.metrics["loop_sec"]
    return {
        "loop": loop,
        "paced": record.metrics["paced"],
        "panel_sec": during["panel_sec"],
        "busy_sec": during["busy_sec"],
        "pictures": during["pictures"] / loop,
        "kept_sec": keeper.seconds,
        "frames": len(keeper.frames.moments),
        "check_us": _check_us(),
    }


def _check_us() -> float:
    from dissmodel_lab.executor.events import Step
    from dissmodel_lab.frames import FrameKeeper

    keeper, step = FrameKeeper(), Step(1, 10_000_000, "year 2030", {"area": 1.0})
    keeper.watch(step)
    began = time.perf_counter()
    for _ in range(20_000):
        keeper.watch(step)
    return (time.perf_counter() - began) / 20_000 * 1e6
