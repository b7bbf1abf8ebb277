"""An executor's own classes for a band: those of its module constants that fit the data.

What the constants say is read in :mod:`dissmodel_lab.class_tables`; here it is matched with the values that
occur. A table counts only when it knows every value, and when no other table fits as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dissmodel_lab.class_tables import ClassTable, Code, class_table, class_tables
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dissmodel_lab.maps.grid import Grid
    from dissmodel_lab.rasters import Classes

#: Bands that say yes or no: their 0 and 1 are no classes of a model.
YES_NO = re.compile(r"(?i)(^|_)(mask|valid|flag|is|has|inside)(_|$)")
#: More distinct values than this are no classes.
MAX_VALUES = 255
#: Floats are classes only when they hold this many different whole numbers: 0 and 1 may be shares.
MIN_FLOATS = 3


@dataclass(frozen=True, kw_only=True)
class ClassLegend:
    """The classes of one band, ready for :class:`~dissmodel_lab.maps.grid.Grid`."""

    classes: Mapping[Code, tuple[str, str]]
    """Value -> (label, ``#rrggbb`` or an empty text); a class without a colour gets one of the palette."""
    origin: str
    """Where they were found: ``USO_COLORS and USO_LABELS in mangue.constants``."""


def class_legend_of(
    executor_class: type[Any], values: Iterable[Any], *, band: str = "", bands: Iterable[str] = ()
) -> ClassLegend | None:
    """
    Find the classes of a band among the constants of the executor that made it.

    A constant whose name speaks of another band (``SOLO_LABELS`` for the band ``uso`` of a raster that has
    ``solo``) is left out; one that speaks of this band is taken first, then the one with the fewest classes
    that don't occur. Two different tables that fit alike are no answer.

    Parameters
    ----------
    executor_class : type
        Its module, the modules of its bases, and those of its package that they import are looked at.
    values : iterable of int, float or str
        The distinct values of the data, without nodata.
    band : str, optional
        The band's name.
    bands : iterable of str, optional
        The names of all bands.

    Returns
    -------
    ClassLegend or None
        None unless every value has a class.

    Examples
    --------
    >>> class Model:
    ...     LAND_COLORS = {1: "green", 2: "blue", 3: "red"}
    ...     LAND_LABELS = {1: "forest", 2: "sea"}
    >>> class_legend_of(Model, [1, 2]).classes
    {1: ('forest', '#008000'), 2: ('sea', '#0000ff'), 3: ('3', '#ff0000')}
    >>> class_legend_of(Model, [1, 9]) is None
    True
    """
    present = _codes(values)
    if not present:
        return None
    names = list(bands)
    fitting = []
    for table in class_tables(executor_class):
        is_own = table.concerns(band, names)
        if is_own is False or (not is_own and YES_NO.search(band)):
            continue
        classes = _fitted(table, present)
        if classes is not None:
            said = bool(table.labels) + bool(table.colours)
            fitting.append(((bool(is_own), said, -len(classes)), ClassLegend(classes=classes, origin=table.origin)))
    if not fitting:
        return None
    best = max(score for score, _ in fitting)
    first, *rivals = [legend for score, legend in fitting if score == best]
    return None if any(rival.classes != first.classes for rival in rivals) else first


def with_classes(grid: Grid, classes: type[Any] | Mapping[Any, Any] | None) -> Grid:
    """
    Give a grid the legend of its executor, or one that somebody wrote; what the data carry comes first.

    Parameters
    ----------
    grid : Grid
        One band.
    classes : type, mapping or None
        An executor's class, see :func:`class_legend_of`; or value -> label, colour or (label, colour).

    Examples
    --------
    >>> from dissmodel_lab.maps.arrays import from_array
    >>> grid = from_array(np.array([[1, 2]], "uint8")).grid("band_1", 8)
    >>> with_classes(grid, {1: ("forest", "green"), 2: ("sea", "#0072b2")}).classes
    {1: ('forest', '#008000'), 2: ('sea', '#0072b2')}
    """
    if grid.classes or classes is None:
        return grid
    if not isinstance(classes, type):
        table = class_table("CLASS_COLOURS", dict(classes))
        return grid if table is None else replace(grid, classes=cast("Classes", _merged(table)))
    values = _distinct(grid)
    found = class_legend_of(classes, values, band=grid.band, bands=grid.bands) if values is not None else None
    if found is None:
        return grid
    said = message("Classes of the model: {origin}, matched by their codes.", origin=found.origin)
    return replace(grid, classes=cast("Classes", dict(found.classes)), notes=(*grid.notes, said))


def _distinct(grid: Grid) -> list[Any] | None:
    """Return the distinct values of a band that may be one of classes; else None."""
    if grid.names == ("False", "True"):
        return None
    shown = grid.values[grid.valid]
    if shown.dtype.kind == "f" and not (shown == np.rint(shown)).all():
        return None
    values = np.unique(shown)
    if len(values) > MAX_VALUES or not len(values):
        return None
    if grid.names is not None:
        return [grid.names[int(value)] for value in values]
    is_few_floats = not grid.is_discrete and len(values) < MIN_FLOATS
    return None if is_few_floats else list(values.tolist())


def _codes(values: Iterable[Any]) -> frozenset[Code]:
    """Return whole numbers and texts as codes; nothing when one is neither."""
    codes: set[Code] = set()
    for value in values:
        if isinstance(value, str):
            codes.add(value)
        elif isinstance(value, bool | np.bool_) or not float(value).is_integer():
            return frozenset()
        else:
            codes.add(int(value))
    return frozenset(codes)


def _fitted(table: ClassTable, present: frozenset[Code]) -> dict[Code, tuple[str, str]] | None:
    """Return a table's classes when it knows all values that occur."""
    if not table.by_position:
        return _merged(table) if present <= table.codes else None
    for start in (0, 1):  # a list says no codes: they are sure only when all of them occur
        codes = {position + start: position for position in table.codes if isinstance(position, int)}
        if present == set(codes):
            return {
                code: (table.labels.get(position, str(code)), table.colours.get(position, ""))
                for code, position in codes.items()
            }
    return None


def _merged(table: ClassTable) -> dict[Code, tuple[str, str]]:
    codes = [*table.labels, *(code for code in table.colours if code not in table.labels)]
    return {code: (table.labels.get(code, str(code)), table.colours.get(code, "")) for code in codes}
