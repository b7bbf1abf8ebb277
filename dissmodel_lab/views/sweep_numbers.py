"""What a sweep's runs say of one metric: gathered along one swept parameter, or over two.

Rows in, numbers out: nothing is drawn here. A run without the metric is counted, never left out in silence.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dissmodel_lab.plain import cut, printable
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.sweeps import ranges
from dissmodel_lab.sweeps.report import COMPLETED, RUNNING, WAITING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dissmodel_lab.sweeps.design import Axis
    from dissmodel_lab.sweeps.report import SweepRow

#: A run with one of these statuses may still bring a value.
NOT_OVER = frozenset({WAITING, RUNNING})
_LONGEST = 60
"""Longest name, unit or value in a label [characters]."""


@dataclass(frozen=True)
class Gathered:
    """The runs at one place of the design: their values of a metric, and how many have none."""

    values: tuple[float, ...] = ()
    """Of the runs that have a finite one."""
    n_failed: int = 0
    """Runs that are over and have no value: they failed, were cancelled, or never reported it."""
    n_waiting: int = 0
    """Runs that are not over."""

    @property
    def mean(self) -> float:
        """The arithmetic mean; NaN without a value."""
        count = len(self.values)
        return math.fsum(value / count for value in self.values) if count else math.nan

    @property
    def low(self) -> float:
        """The smallest value; NaN without one."""
        return min(self.values, default=math.nan)

    @property
    def high(self) -> float:
        """The largest value; NaN without one."""
        return max(self.values, default=math.nan)


@dataclass(frozen=True)
class Scale:
    """A swept parameter as an axis of a chart: with the values that the runs really have."""

    axis: Axis
    values: tuple[Any, ...]
    """Each once; of a choice in the order of the design, else from small to large."""

    @property
    def label(self) -> str:
        """Name with the unit in brackets; untrusted text on one line."""
        return plain_text(self.axis.label)

    def place(self, value: Any) -> float:
        """
        Return where a value stands on an axis of numbers: a number as it is, a date as its day, a choice by order.

        Examples
        --------
        >>> from dissmodel_lab.sweeps.design import Axis
        >>> Scale(Axis(name="rule", kind="choice", text=""), ("von", "moore")).place("moore")
        1.0
        """
        if self.axis.kind == "choice":
            keys = [value_key(known) for known in self.values]
            return float(keys.index(value_key(value)))
        return day_of(value) if self.axis.kind == "date" else float(value)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a chart of a metric says, whatever its form."""

    metric: str
    x: Scale
    others: tuple[str, ...]
    """Names of the other swept parameters, whose runs are gathered too."""
    n_seeds: int
    """How many seeds there are at most for one set of parameters."""


@dataclass(frozen=True, kw_only=True)
class Line(Shown):
    """A metric along one swept parameter."""

    at: tuple[tuple[Any, Gathered], ...]
    """(value of the parameter, what the runs there say), in the order of the axis."""


@dataclass(frozen=True, kw_only=True)
class Field(Shown):
    """A metric over two swept parameters."""

    y: Scale
    cells: tuple[tuple[Gathered | None, ...], ...]
    """A row for each value of ``y``, in it a cell for each of ``x``; None where the design has no run."""


@dataclass(frozen=True, kw_only=True)
class Cloud(Shown):
    """A metric at points that lie on no grid."""

    y: Scale | None
    """None when the metric itself stands on that axis."""
    points: tuple[tuple[Any, Any, Gathered], ...]
    """(x, y, what the runs of this setting say); y is None without a second parameter."""


def is_number(value: Any) -> bool:
    """
    Return whether a value is a finite number; truth values are none.

    Examples
    --------
    >>> [is_number(value) for value in (1, 0.5, True, float("nan"), "1")]
    [True, True, False, False, False]
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def scale_of(rows: Iterable[SweepRow], axis: Axis) -> Scale:
    """
    Return a swept parameter as an axis of a chart.

    Parameters
    ----------
    rows : iterable of SweepRow
        The runs.
    axis : Axis
        Of the design.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> rows = [SweepRow(point=n, setting=n, parameters={"rise": 3 - n}) for n in (1, 2)]
    >>> scale_of(rows, Axis(name="rise", kind="number", text="2,1")).values
    (1, 2)
    """
    found = {value_key(value): value for row in rows if (value := row.parameters.get(axis.name)) is not None}
    values = list(found.values())
    return Scale(axis, tuple(sorted(values) if axis.is_ordered else values))


def along(rows: Sequence[SweepRow], metric: str, axis: Axis, swept: Iterable[str] = ()) -> Line:
    """
    Gather a metric along one parameter.

    Parameters
    ----------
    rows : sequence of SweepRow
        The runs.
    metric : str
        Its name.
    axis : Axis
        Of the parameter.
    swept : iterable of str, optional
        Names of all swept parameters.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> rows = [
    ...     SweepRow(point=n, setting=1, parameters={"rise": 1}, seed=n, status=status, metrics=metrics)
    ...     for n, status, metrics in [(1, "completed", {"a": 2.0}), (2, "completed", {"a": 4.0}), (3, "failed", {})]
    ... ]
    >>> (value, said), = along(rows, "a", Axis(name="rise", kind="number", text="1")).at
    >>> value, said.mean, said.low, said.high, said.n_failed
    (1, 3.0, 2.0, 4.0, 1)
    """
    found = _by_place(rows, (axis.name,))
    x = scale_of(rows, axis)
    at = tuple((value, gathered(found[(value_key(value),)], metric)) for value in x.values)
    return Line(metric=metric, x=x, at=at, others=_others(swept, axis), n_seeds=_n_seeds(rows))


def over(rows: Sequence[SweepRow], metric: str, x: Axis, y: Axis, swept: Iterable[str] = ()) -> Field:
    """
    Gather a metric over two parameters of a grid.

    Parameters
    ----------
    rows : sequence of SweepRow
        The runs.
    metric : str
        Its name.
    x, y : Axis
        Of the parameters.
    swept : iterable of str, optional
        Names of all swept parameters.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> a, b = (Axis(name=name, kind="number", text="1") for name in "ab")
    >>> row = SweepRow(point=1, setting=1, parameters={"a": 1, "b": 2}, status="completed", metrics={"m": 2.0})
    >>> over([row], "m", a, b).cells[0][0].mean
    2.0
    """
    found = _by_place(rows, (x.name, y.name))
    across, up = scale_of(rows, x), scale_of(rows, y)

    def cell(column: Any, row: Any) -> Gathered | None:
        here = found.get((value_key(column), value_key(row)))
        return None if here is None else gathered(here, metric)

    cells = tuple(tuple(cell(column, row) for column in across.values) for row in up.values)
    return Field(metric=metric, x=across, y=up, cells=cells, others=_others(swept, x, y), n_seeds=_n_seeds(rows))


def cloud(rows: Sequence[SweepRow], metric: str, x: Axis, y: Axis | None = None, swept: Iterable[str] = ()) -> Cloud:
    """
    Gather a metric at each setting of a sample, over its seeds.

    Parameters
    ----------
    rows : sequence of SweepRow
        The runs.
    metric : str
        Its name.
    x : Axis
        Of the parameter across.
    y : Axis, optional
        Of the parameter upwards.
    swept : iterable of str, optional
        Names of all swept parameters.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> rows = [
    ...     SweepRow(point=n, setting=1, parameters={"a": 0.3}, seed=n, status="completed", metrics={"m": float(n)})
    ...     for n in (1, 2)
    ... ]
    >>> [(x, said.mean) for x, _, said in cloud(rows, "m", Axis(name="a", kind="number", text="0:1")).points]
    [(0.3, 1.5)]
    """
    settings: dict[int, list[SweepRow]] = {}
    for row in rows:
        settings.setdefault(row.setting, []).append(row)
    points = []
    for here in settings.values():
        values = here[0].parameters
        points.append((values.get(x.name), values.get(y.name) if y else None, gathered(here, metric)))
    return Cloud(
        metric=metric,
        x=scale_of(rows, x),
        y=scale_of(rows, y) if y else None,
        points=tuple(points),
        others=_others(swept, x, *([y] if y else [])),
        n_seeds=_n_seeds(rows),
    )


def gathered(rows: Iterable[SweepRow], metric: str) -> Gathered:
    """
    Gather what some runs say of a metric.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> gathered([SweepRow(point=1, setting=1, parameters={}, status="running")], "area")
    Gathered(values=(), n_failed=0, n_waiting=1)
    """
    values, n_failed, n_waiting = [], 0, 0
    for row in rows:
        value = row.metrics.get(metric)
        if row.status == COMPLETED and value is not None and is_number(value):
            values.append(float(value))
        elif row.status in NOT_OVER:
            n_waiting += 1
        else:
            n_failed += 1
    return Gathered(tuple(values), n_failed, n_waiting)


def value_key(value: Any) -> Any:
    """
    Return what tells values apart; lists and tables too, and a truth value from a number.

    Examples
    --------
    >>> value_key(True) == value_key(1), value_key(1) == value_key(1.0), value_key([1]) == value_key([1])
    (False, True, True)
    """
    return float(value) if is_number(value) and float(value) == value else (type(value).__name__, repr(value))


def value_text(value: Any) -> str:
    """
    Write a parameter's value shortly, on one line.

    Examples
    --------
    >>> value_text(0.1 + 0.2), value_text(True), value_text("west"), value_text(12)
    ('0.3', 'true', 'west', '12')
    """
    return plain_text(ranges.value_text(value))


def number_text(value: float) -> str:
    """
    Write a metric's value; a dash when there is none.

    Examples
    --------
    >>> number_text(1 / 3), number_text(math.nan)
    ('0.333333', '-')
    """
    return f"{value:.6g}" if math.isfinite(value) else "-"


def plain_text(text: str) -> str:
    r"""
    Put an untrusted text on one short line, without secrets and without signs that steer; it is not escaped.

    Examples
    --------
    >>> plain_text("a\nb")
    'a b'
    """
    return cut(printable(" ".join(redact_text(text).split())), _LONGEST)


def day_of(value: Any) -> float:
    """
    Return a date, or one written as a text, as a number of days; NaN when it is none.

    Examples
    --------
    >>> day_of("2020-01-02") - day_of(dt.date(2020, 1, 1))
    1.0
    """
    try:
        date = value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value)[:10])
    except ValueError:
        return math.nan
    return float(date.toordinal())


def _by_place(rows: Iterable[SweepRow], names: tuple[str, ...]) -> Mapping[tuple[Any, ...], list[SweepRow]]:
    found: dict[tuple[Any, ...], list[SweepRow]] = {}
    for row in rows:
        found.setdefault(tuple(value_key(row.parameters.get(name)) for name in names), []).append(row)
    return found


def _others(swept: Iterable[str], *shown: Axis) -> tuple[str, ...]:
    names = {axis.name for axis in shown}
    return tuple(name for name in swept if name not in names)


def _n_seeds(rows: Sequence[SweepRow]) -> int:
    return len({row.seed for row in rows})
