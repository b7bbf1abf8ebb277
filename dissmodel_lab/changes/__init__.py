"""Two maps or two runs -> what changed: classes from and to, areas, values, disagreement; and what to draw.

The flow, one module a step::

    runs ─► between ─► sides ─► comparison ─┬► rasters (grids, bands) ─┬► classes, areas ─► disagreement ─┐
                                            └► tables ─────────────────┴► values ─────────────────────────┴► report
"""

from dissmodel_lab.changes.between import change_between
from dissmodel_lab.changes.facts import change_facts, comparison_facts
from dissmodel_lab.changes.report import Change, ChangePicture, ClassChange, Disagreement, RunComparison, ValueChange
from dissmodel_lab.changes.runs import change_of_run, compare_runs

__all__ = [
    "Change",
    "ChangePicture",
    "ClassChange",
    "Disagreement",
    "RunComparison",
    "ValueChange",
    "change_between",
    "change_facts",
    "change_of_run",
    "compare_runs",
    "comparison_facts",
]
