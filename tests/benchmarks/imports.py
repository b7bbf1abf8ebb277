"""Goals 2a and 2b: what the import, the first run and the first panel cost, in a fresh process and in a kernel."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import peers
import recorded_run
from kernel import Kernel
from machine import HERE, Rounds, in_rounds, whole_process
from table import Line, Part, compared

if TYPE_CHECKING:
    from pathlib import Path

FLOOR = "json, hashlib, pathlib, sqlite3, dataclasses"
OURS = "dissmodel_lab"
HEAVY = ("numpy", "pydantic", "ipywidgets", "ipyleaflet", "rasterio", "geopandas", "shapely", "pyproj", "leafmap")
#: module -> the largest share of its import time that ours may take
GOALS_2A = {FLOOR: 1.2, "dissmodel.executor": 1 / 3.5, "mlflow": 1 / 35, "leafmap": 1 / 75}
PATH = f"import sys; sys.path.insert(0, {str(HERE)!r})"
TIMED = """
import time
_began = time.perf_counter()
{body}
print(time.perf_counter() - _began)
"""
FIRST_RUN = """
%load_ext dissmodel_lab
import dissmodel_lab, recorded_run, trivial
record = dissmodel_lab.run(trivial.Trivial, source={given!r}, parameters=recorded_run.PARAMETERS, store={store!r})
"""
FIRST_PANEL = """
%load_ext dissmodel_lab
import dissmodel_lab, recorded_run, trivial
from dissmodel_lab.views.run_panel import run_in_cell
record = run_in_cell(lambda listeners: dissmodel_lab.run(
    trivial.Trivial, source={given!r}, parameters=recorded_run.PARAMETERS, store={store!r}, **listeners._asdict()))
"""
#: what is timed in a kernel -> the cell; a fresh kernel each time
CELLS = {
    "import dissmodel_lab": f"import {OURS}",
    "import floor": f"import {FLOOR}",
    "first run": FIRST_RUN,
    "import dissmodel.executor": "import dissmodel.executor",
    "first panel": FIRST_PANEL,
    "import ipywidgets, ipyleaflet": "import ipywidgets, ipyleaflet",
}


def measure(folder: Path, answers: dict[str, str], *, quick: bool) -> Part:
    """Time the imports."""
    folder.mkdir(parents=True)
    missing = {module: peers.reason(answers, module) for module in ("mlflow", "leafmap")}
    fresh = _fresh(missing, count=3 if quick else 9)
    live = _in_kernel(folder, count=2 if quick else 5)
    lines = [*_fresh_lines(fresh, missing), _heavy_line(), *_live_lines(live)]
    return Part(lines, {"2 fresh processes": fresh, "2 live kernels": live})


def _fresh(missing: dict[str, str], *, count: int) -> Rounds:
    own = {"pass": "pass", OURS: f"import {OURS}", FLOOR: f"import {FLOOR}"}
    commands = {name: [sys.executable, "-c", code] for name, code in own.items()}
    commands["dissmodel.executor"] = [sys.executable, "-W", "ignore", "-c", "import dissmodel.executor"]
    for module, why in missing.items():
        if not why:
            commands[module] = [peers.python(), "-W", "ignore", "-c", f"import {module}"]

    def one_round() -> dict[str, float]:
        return {name: whole_process(command) for name, command in commands.items()}

    one_round()  # fills the page cache and compiles
    return in_rounds(count, one_round)


def _fresh_lines(fresh: Rounds, missing: dict[str, str]) -> list[Line]:
    # Importing nothing is taken off on both sides: what is left is the import.
    bare = statistics.median(fresh.column("pass"))
    figure = f"import {OURS}, fresh process"
    over_ours = [max(1e-4, took - bare) for took in fresh.column(OURS)]
    lines = []
    for module, goal in GOALS_2A.items():
        name = "stdlib floor" if module == FLOOR else f"import {module}"
        ours = statistics.median(over_ours) * 1e3
        if missing.get(module):
            lines.append(Line("2a", figure, ours, name, None, goal=goal, reason=missing[module]))
            continue
        over = [max(1e-4, took - bare) for took in fresh.column(module)]
        theirs, best = statistics.median(over) * 1e3, min(over_ours) / min(over)
        lines.append(Line("2a", figure, ours, name, theirs, **compared(over_ours, over), best=best, goal=goal))
    return lines


def _heavy_line() -> Line:
    code = f"import sys, {OURS}; print(sum(name in sys.modules for name in {HEAVY!r}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return Line(
        "2a", "numpy, pydantic, widgets, geo modules it loads", float(answer), "", None, unit="modules", goal=0
    )


def _in_kernel(folder: Path, *, count: int) -> Rounds:
    given = str(recorded_run.make_input(folder))

    def seconds(name: str) -> float:
        store = tempfile.mkdtemp(dir=folder)
        with Kernel(folder) as kernel:
            kernel.run(PATH)
            cell = kernel.run(TIMED.format(body=CELLS[name].format(given=given, store=store)))
        return cell.seconds_to_panel if name == "first panel" else float(cell.text.split()[-1])

    def one_round() -> dict[str, float]:
        return {name: seconds(name) for name in CELLS}

    one_round()
    return in_rounds(count, one_round)


def _live_lines(live: Rounds) -> list[Line]:
    figure = f"import {OURS}, in a live kernel"
    lines = [Line("2a", figure, statistics.median(live.column("import dissmodel_lab")) * 1e3, "", None, goal=5)]
    pairs = (
        ("2a", figure, "import dissmodel_lab", "import floor", None),
        ("2b", "%load_ext and first recorded run", "first run", "import dissmodel.executor", 1.1),
        ("2b", "first panel shown", "first panel", "import ipywidgets, ipyleaflet", 1.1),
    )
    for item, text, name, other, goal in pairs:
        ours, theirs = live.column(name), live.column(other)
        lines.append(
            Line(
                item,
                text,
                statistics.median(ours) * 1e3,
                "stdlib floor" if other == "import floor" else other,
                statistics.median(theirs) * 1e3,
                **compared(ours, theirs),
                best=min(ours) / min(theirs),
                goal=goal,
            )
        )
    return lines
