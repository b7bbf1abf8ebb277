"""Run in a kernel: a loop of steps of about 1 ms, bare, under our panel, and with widgets updated at every step."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from dissmodel_lab import ModelExecutor, report_step, run

_FIELD = np.random.default_rng(0).random(60_000)
_RESULT = np.empty_like(_FIELD)
_PIECE = 6_000
_PIECES = [(_FIELD[at : at + _PIECE], _RESULT[at : at + _PIECE]) for at in range(0, len(_FIELD), _PIECE)]
_state = {"repeats": 1}


def step() -> None:
    """Do a fixed amount of work, about 1 ms: what disturbs it makes the loop longer."""
    for count in range(_state["repeats"]):  # in pieces, so that it can be made close to 1 ms
        piece, result = _PIECES[count % len(_PIECES)]
        np.sin(piece, out=result)


def calibrate() -> None:
    """Find how much work 1 ms is, here and now."""
    _state["repeats"] = len(_PIECES)
    began = time.perf_counter()
    for _ in range(300):
        step()
    _state["repeats"] = max(1, round(len(_PIECES) * 1e-3 / ((time.perf_counter() - began) / 300)))


class Loop(ModelExecutor, register=False):
    """As many steps as the parameter says, each reported."""

    name = "loop"

    def load(self, record):
        return int(record.parameters["n_steps"])

    def run(self, data, record):
        began = time.perf_counter()
        for count in range(1, data + 1):
            step()
            report_step(count, data, "year 2030", {"area": 12.5 * count})
        record.metrics.update(loop_sec=time.perf_counter() - began, loop_ended=time.time())
        return f"{data} steps"

    def save(self, result, record):
        Path(record.output_path).write_text(result)
        return record


class Check(ModelExecutor, register=False):
    """Nothing but reports: what one costs that is not due."""

    name = "check"

    def load(self, record):
        return 200

    def run(self, data, record):
        costs = []
        for _ in range(data):
            began = time.perf_counter()
            for count in range(1000):
                report_step(count, 2000, "year 2030")
            costs.append((time.perf_counter() - began) / 1000)
        record.metrics["check_sec"] = statistics.median(costs)
        return "checked"

    def save(self, result, record):
        Path(record.output_path).write_text(result)
        return record


def bare(n_steps: int) -> dict[str, float]:
    """The loop alone."""
    began = time.perf_counter()
    for _ in range(n_steps):
        step()
    return {"loop": time.perf_counter() - began, "ended": time.time()}


def ours(n_steps: int) -> dict[str, float]:
    """The loop as a run in this cell, under the live panel."""
    from dissmodel_lab.views.run_panel import run_in_cell

    seen: list[Any] = []
    during: dict[str, float] = {}

    def call(listeners):
        seen.extend(listeners.observers)
        record = run(Loop, parameters={"n_steps": n_steps}, store=tempfile.mkdtemp(), **listeners._asdict())
        panel = seen[0].panel
        during.update(updates=panel.updates, spent=panel.seconds)
        return record

    record = run_in_cell(call)
    return {"loop": record.metrics["loop_sec"], "ended": record.metrics["loop_ended"], **during}


def every_step(n_steps: int) -> dict[str, float]:
    """The loop with three widgets that are updated at every step, as a first attempt does it."""
    import ipywidgets
    from IPython.display import display

    progress, table, label = ipywidgets.FloatProgress(min=0, max=1), ipywidgets.HTML(), ipywidgets.Label()
    display(ipywidgets.VBox([progress, table, label]))
    spent = 0.0
    began = time.perf_counter()
    for count in range(n_steps):
        step()
        at = time.perf_counter()
        progress.value = count / n_steps
        table.value = f"{count:08d}" + "x" * 192
        label.value = str(count)
        spent += time.perf_counter() - at
    return {"loop": time.perf_counter() - began, "ended": time.time(), "spent": spent, "updates": n_steps}


def check_cost() -> dict[str, float]:
    """Seconds of one ``report_step`` that is not due, inside a run."""
    record = run(Check, store=tempfile.mkdtemp())
    return {"check": record.metrics["check_sec"]}
