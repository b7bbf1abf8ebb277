"""Rows of a sweep -> a data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from dissmodel_lab.sweeps.design import SweepDesign
    from dissmodel_lab.sweeps.report import SweepRow


def frame_of(design: SweepDesign, rows: Sequence[SweepRow], metrics: Sequence[str]) -> pd.DataFrame:
    """
    Return rows as a table, one line a run.

    Parameters
    ----------
    design : SweepDesign
        Whose rows they are.
    rows : sequence of SweepRow
        In the order of the points.
    metrics : sequence of str
        The columns of numbers.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis, SweepDesign
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> axis = Axis(name="rise", kind="number", text="", values=(0.5,), low=0.5, high=0.5)
    >>> design = SweepDesign(model_name="m", axes=(axis,), sample="grid", settings=((0.5,),))
    >>> row = SweepRow(point=1, setting=1, parameters={"rise": 0.5}, status="completed", metrics={"area": 3.0})
    >>> list(frame_of(design, [row], ["area"]).columns)
    ['point', 'setting', 'rise', 'status', 'error', 'area', 'seconds', 'attempt', 'experiment_id']
    """
    import pandas  # noqa: PLC0415, ICN001 -- only for tables; pd is the type checker's here

    columns: dict[str, list[Any]] = {
        "point": [row.point for row in rows],
        "setting": [row.setting for row in rows],
    }
    for name in design.names:
        columns[_free(columns, name, "parameter")] = [row.parameters.get(name) for row in rows]
    if design.seeds:
        columns["seed"] = [row.seed for row in rows]
    columns["status"] = [row.status for row in rows]
    columns["error"] = [row.error for row in rows]
    last: dict[str, list[Any]] = {
        "seconds": [row.seconds for row in rows],
        "attempt": [row.attempt for row in rows],
        "experiment_id": [row.experiment_id for row in rows],
    }
    for name in metrics:
        columns[_free({**columns, **last}, name, "metric")] = [row.metrics.get(name, float("nan")) for row in rows]
    return pandas.DataFrame({**columns, **last})


def _free(taken: dict[str, list[Any]], name: str, kind: str) -> str:
    while name in taken or (kind == "parameter" and name in _OURS):
        name = f"{kind}.{name}"
    return name


_OURS = frozenset({"status", "error", "seconds", "attempt", "experiment_id"})
