"""
Ranges of parameters -> many runs, a table of them, and what their metrics depend on.

===============  =====================================================================================
``design``       axes and points: what a sweep runs
``report``       rows, progress, sensitivity: what is said of it
``fields``       what a parameter takes: a number, a whole number, a date, one of some
``ranges``       what a person wrote -> an axis
``samples``      axes -> combinations: grid, Latin hypercube, Sobol', Morris, Saltelli
``planning``     a model and its axes -> a design in which every value was checked
``folder``       ``sweep.json``, the lock of who drives it, a folder for each run
``ledger``       what each point came to, a line each
``attempts``     what is on disk when a sweep is taken up: done, at work, missing
``driver``       points -> an engine, a few at a time
``models``       the model, found again in another process
``tables``       rows -> a data frame
``multiples``    rows -> some whose maps show the sweep
``effects``      the arithmetic of main effects in a grid, and of intervals
``sensitivity``  rows -> what a metric depends on
``one``          one sweep, running or not
``start``        the doors: begin one, find one again, list them
===============  =====================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissmodel_lab.lazily import loaded_when_used

if TYPE_CHECKING:
    from dissmodel_lab.sweeps.design import Axis, DesignPoint, SweepDesign
    from dissmodel_lab.sweeps.one import Sweep
    from dissmodel_lab.sweeps.planning import plan_sweep
    from dissmodel_lab.sweeps.report import Sensitivity, SensitivityIndex, SweepMap, SweepProgress, SweepRow
    from dissmodel_lab.sweeps.start import SweepEntry, list_sweeps, open_sweep, sweep

__all__ = [
    "Axis",
    "DesignPoint",
    "Sensitivity",
    "SensitivityIndex",
    "Sweep",
    "SweepDesign",
    "SweepEntry",
    "SweepMap",
    "SweepProgress",
    "SweepRow",
    "list_sweeps",
    "open_sweep",
    "plan_sweep",
    "sweep",
]

# What draws a sweep needs no engine, and what lists sweeps draws none.
_HOMES = {
    **dict.fromkeys(("Axis", "DesignPoint", "SweepDesign"), "design"),
    "plan_sweep": "planning",
    **dict.fromkeys(("Sensitivity", "SensitivityIndex", "SweepMap", "SweepProgress", "SweepRow"), "report"),
    **dict.fromkeys(("SweepEntry", "list_sweeps", "open_sweep", "sweep"), "start"),
    "Sweep": "one",
}

__getattr__ = loaded_when_used(__name__, _HOMES)
