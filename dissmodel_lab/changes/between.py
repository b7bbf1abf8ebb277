"""Two maps -> what changed from the one to the other: the front door of this package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.changes.comparison import Comparison
from dissmodel_lab.changes.rasters import between_rasters
from dissmodel_lab.changes.sides import Side, choose_bands
from dissmodel_lab.errors import ComparisonError
from dissmodel_lab.language import message
from dissmodel_lab.maps.sources import open_layer

if TYPE_CHECKING:
    from dissmodel_lab.changes.report import Change


def change_between(
    before: Any,
    after: Any,
    band: str | None = None,
    *,
    before_band: str | None = None,
    common_grid: bool = False,
    classes: Any = None,
    names: tuple[str, str] | None = None,
    key: str | None = None,
) -> Change:
    """
    Say what changed from one map to another.

    Whether a band is one of classes or of values is decided as the map decides it. Cells with a value in one map
    only are counted apart and are no change. Files are read row by row: the memory does not grow with them.

    Parameters
    ----------
    before, after : path, DataSource, Raster, GeoDataFrame, ndarray, object with ``arrays``, or opened layer
        Two rasters, or two tables with geometries.
    band : str, optional
        Band or column of both. When not given: the one that the map shows of ``after``.
    before_band : str, optional
        Band or column of ``before``, when it has another name there.
    common_grid : bool, optional
        Bring ``after`` onto the grid of ``before`` when they differ: each cell gets the value of the cell at its
        centre, which the notes say. Otherwise such maps are refused.
    classes : type or mapping, optional
        Where the legend comes from when the data carry none, as :func:`~dissmodel_lab.maps.preview` takes it.
    names : (str, str), optional
        How sentences call the two maps; their file names, or ``first map`` and ``second map``.
    key : str, optional
        Column that names each feature, for tables whose geometries differ.

    Returns
    -------
    Change
        Figures, a sentence, and what to draw.

    Raises
    ------
    ComparisonError
        When they cannot be compared: other grids, no such band, classes and values, a raster and a table.
    SourceError
        When one cannot be read, or is no map.

    Examples
    --------
    >>> import numpy as np
    >>> forest = np.array([[1, 1, 2], [2, 2, 2]], "uint8")
    >>> cleared = np.array([[1, 2, 2], [2, 2, 2]], "uint8")
    >>> change = change_between(forest, cleared)
    >>> change.sentence
    '1 of 6 cells changed (16.67 %)'
    >>> change.classes.cells
    array([[1, 1],
           [0, 4]])
    """
    sides = (
        _side(before, names[0] if names else "", "first map", classes),
        _side(after, names[1] if names else "", "second map", classes),
    )
    bands = choose_bands(*sides, band=band, before_band=before_band)
    return change_of_sides(*sides, *bands, common_grid=common_grid, key=key)


def _side(source: Any, name: str, otherwise: str, classes: Any) -> Side:
    own = Path(source).name if isinstance(source, str | Path) else ""
    return Side(
        name=name or own or otherwise, layer=open_layer(source), classes=classes, has_own_name=bool(own and not name)
    )


def change_of_sides(
    before: Side,
    after: Side,
    before_band: str,
    band: str,
    *,
    common_grid: bool = False,
    key: str | None = None,
) -> Change:
    """
    Compare one band of two opened maps; see :func:`change_between`.

    Parameters
    ----------
    before, after : Side
        Both rasters, or both tables.
    before_band, band : str
        As :func:`choose_bands` chose them.
    common_grid, key : optional
        As :func:`change_between` takes them.

    Examples
    --------
    >>> import numpy as np
    >>> maps = [Side(name=f"map {i}", layer=open_layer(np.full((2, 2), i, "uint8"))) for i in (1, 2)]
    >>> change_of_sides(*maps, "band_1", "band_1").sentence
    '4 of 4 cells changed (100 %)'
    """
    if before.is_table != after.is_table:
        said = [
            message(
                "{the} is a {words}",
                the=side.the,
                words=message("table of features") if side.is_table else message("raster"),
            )
            for side in (before, after)
        ]
        raise ComparisonError(
            message(
                "Cells and features can't be compared: {said}, {said_2}. Bring one into the form of the other first.",
                said=said[0],
                said_2=said[1],
            )
        )
    comparison = Comparison(before=before, after=after, before_band=before_band, band=band)
    if before.is_table:
        from dissmodel_lab.changes.tables import between_tables  # noqa: PLC0415 -- brings geopandas, 0.5 s

        return between_tables(comparison, key)
    return between_rasters(comparison, common_grid=common_grid)
