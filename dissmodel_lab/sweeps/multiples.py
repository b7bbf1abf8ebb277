"""Some runs of a sweep whose maps, beside each other, show what the sweep shows."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, TypeVar

from dissmodel_lab.errors import SweepError, did_you_mean, shown
from dissmodel_lab.language import message
from dissmodel_lab.store.reading import try_read
from dissmodel_lab.sweeps.ranges import value_text
from dissmodel_lab.sweeps.report import COMPLETED, SweepMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissmodel_lab.sweeps.design import SweepDesign
    from dissmodel_lab.sweeps.report import SweepRow

_T = TypeVar("_T")
_SQUARE = 2
"""Parameters of a grid that is shown as rows and columns."""


def choose_maps(
    design: SweepDesign, rows: Sequence[SweepRow], metric: str | None, most: int, known: Sequence[str]
) -> list[SweepMap]:
    """
    Choose completed runs that left an output.

    Parameters
    ----------
    design : SweepDesign
        Whose rows they are.
    rows : sequence of SweepRow
        In the order of the points.
    metric : str or None
        From its smallest to its largest value; None: evenly over the design.
    most : int
        How many at most.
    known : sequence of str
        Metrics that runs told.

    Raises
    ------
    SweepError
        When no run told such a metric, or ``most`` is below 1.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis, SweepDesign
    >>> axis = Axis(name="rise", kind="number", text="", values=(0.5,), low=0.5, high=0.5)
    >>> choose_maps(SweepDesign(model_name="m", axes=(axis,), sample="grid", settings=((0.5,),)), [], None, 16, [])
    []
    """
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise SweepError(message("most must be a whole number of at least 1, got {most!r:.80}.", most=most))
    if metric is not None and metric not in known:
        raise SweepError(
            message(
                "No run of this sweep has a metric {metric!r} that is a number. {did_you_mean}",
                metric=shown(metric),
                did_you_mean=did_you_mean(metric, known),
            )
        )
    first_seed = design.seeds[0] if design.seeds else None
    done = [row for row in rows if row.status == COMPLETED and row.seed == first_seed]
    if metric is not None:
        done = sorted((row for row in done if metric in row.metrics), key=lambda row: row.metrics[metric])
        chosen = spread(done, most)
    elif design.sample == "grid" and len(design.axes) == _SQUARE and len(done) > most:
        chosen = _square(design, done, most)
    else:
        chosen = spread(done, most)
    return [one for row in chosen if (one := _map_of(row, metric)) is not None]


def spread(items: Sequence[_T], most: int) -> list[_T]:
    """
    Return at most so many items, evenly from the first to the last.

    Examples
    --------
    >>> spread(range(10), 4), spread(range(3), 9)
    ([0, 3, 6, 9], [0, 1, 2])
    """
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[len(items) // 2]]
    return [items[round(step * (len(items) - 1) / (most - 1))] for step in range(most)]


def _square(design: SweepDesign, done: Sequence[SweepRow], most: int) -> list[SweepRow]:
    """Take every so many-th value of both parameters, so that the maps stand in rows and columns."""
    n_first, n_last = (len(axis.values) for axis in design.axes)
    n_rows = min(n_first, isqrt(most))
    n_columns = min(n_last, most // n_rows)
    n_rows = min(n_first, most // n_columns)
    kept = [
        {repr(value) for value in spread(axis.values, count)}
        for axis, count in zip(design.axes, (n_rows, n_columns), strict=True)
    ]
    names = design.names
    return [row for row in done if all(repr(row.parameters[n]) in some for n, some in zip(names, kept, strict=True))]


def _map_of(row: SweepRow, metric: str | None) -> SweepMap | None:
    record = try_read(row.record_path) if row.record_path is not None else None
    path = record.artifact_path("output") if record is not None else None
    if path is None or not path.exists():
        return None
    title = ", ".join(f"{shown(name)}={value_text(value)}" for name, value in row.parameters.items())
    if metric is not None:
        title += f": {value_text(row.metrics[metric])}"
    return SweepMap(row=row, title=title, output_path=path)
