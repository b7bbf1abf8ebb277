"""Two tables with geometries -> the rows that belong together, and the change between them.

Imported lazily: geopandas takes 0.5 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import pandas as pd
import shapely

from dissmodel_lab.changes.areas import ALIKE, areas_of_shapes
from dissmodel_lab.changes.classes import MAX_CLASSES, PairCounts, TooManyClassesError
from dissmodel_lab.changes.picture import MAX_SIDE
from dissmodel_lab.changes.report import CHANGED, NOTHING, ONE_SIDED, SAME, ChangePicture
from dissmodel_lab.changes.sides import TRUTH
from dissmodel_lab.changes.values import ValueSums
from dissmodel_lab.errors import ComparisonError, did_you_mean
from dissmodel_lab.language import message
from dissmodel_lab.maps.grid import Grid
from dissmodel_lab.maps.vector import find_owners
from dissmodel_lab.maps.vectors.columns import ID_NAMES

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from pyproj import CRS

    from dissmodel_lab.changes.comparison import Comparison
    from dissmodel_lab.changes.report import Change
    from dissmodel_lab.changes.sides import Side
    from dissmodel_lab.maps.vector import TableLayer

    Column: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]
    Cells: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], tuple[str, ...]]

#: How far a corner may lie from its twin, as a part of the table's extent.
TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Matched:
    """Which rows of two tables belong together."""

    before: NDArray[np.intp]
    """(features,): row of the first table, -1 where it has none."""
    after: NDArray[np.intp]
    """(features,): row of the second table, -1 where it has none."""
    how: str
    """One sentence: by what they were matched; empty when row by row."""


def match_rows(before: geopandas.GeoDataFrame, after: geopandas.GeoDataFrame, key: str | None = None) -> Matched:
    """
    Find the rows of two tables that belong together.

    By ``key`` when it is given. Else row by row when all geometries are equal, by geometry when each of one table
    has its twin, by a column that names features in both, or by the geometries that are in both.

    Parameters
    ----------
    before, after : GeoDataFrame
        The tables.
    key : str, optional
        A column that names each feature, in both.

    Returns
    -------
    Matched
        Rows that are in one table only come last.

    Raises
    ------
    ComparisonError
        When nothing tells which rows belong together.

    Examples
    --------
    >>> import geopandas
    >>> cells = geopandas.GeoDataFrame({"id": [7, 8]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)])
    >>> match_rows(cells, cells.iloc[::-1]).after
    array([1, 0])
    """
    if key is not None:
        return _by_key(before, after, key)
    if _are_equal(before, after):
        rows = np.arange(len(before))
        return Matched(before=rows, after=rows, how="")
    by_shape = _by_shape(before, after)
    if by_shape is not None and _count(by_shape) == min(len(before), len(after)):
        return by_shape
    by_name = max((_by_key(before, after, name) for name in _id_columns(before, after)), key=_count, default=None)
    if by_name is not None and _count(by_name):
        return by_name
    if by_shape is not None and _count(by_shape):
        return by_shape
    raise ComparisonError(
        message(
            "The features of the two tables ({n_before:,} and {n_after:,}) can't be matched: their geometries "
            "differ, and no column with an id is in both. Name the column that identifies them (key=...).",
            n_before=len(before),
            n_after=len(after),
        )
    )


def _count(matched: Matched) -> int:
    return int(np.count_nonzero((matched.before >= 0) & (matched.after >= 0)))


def _is_one_crs(before: geopandas.GeoDataFrame, after: geopandas.GeoDataFrame) -> bool:
    if before.crs is None or after.crs is None or before.crs == after.crs:
        return True
    return bool(before.crs.equals(after.crs, ignore_axis_order=True))


def _are_equal(before: geopandas.GeoDataFrame, after: geopandas.GeoDataFrame) -> bool:
    if len(before) != len(after) or not _is_one_crs(before, after):
        return False
    one, other = np.asarray(before.geometry.values), np.asarray(after.geometry.values)
    extent = np.ptp(before.total_bounds) if len(before) else 0.0
    tolerance = float(np.nan_to_num(extent) * TOLERANCE)
    is_missing = shapely.is_missing(one) & shapely.is_missing(other)
    return bool((shapely.equals_exact(one, other, tolerance) | is_missing).all())


def _by_shape(before: geopandas.GeoDataFrame, after: geopandas.GeoDataFrame) -> Matched | None:
    """Match by equal geometries; None when one occurs twice, so that it names no feature."""
    if not _is_one_crs(before, after):
        return None
    return _joined(_shapes(before), _shapes(after), message("Features matched by their geometry."))


def _shapes(table: geopandas.GeoDataFrame) -> pd.Index[Any]:
    names: pd.Index[Any] = pd.Index(
        shapely.to_wkb(shapely.normalize(np.asarray(table.geometry.values))), dtype=object
    )
    return names


def _by_key(before: geopandas.GeoDataFrame, after: geopandas.GeoDataFrame, key: str) -> Matched:
    for table, which in ((before, "first"), (after, "second")):
        names = [str(name) for name in table.columns if name != table.geometry.name]
        if key not in names:
            raise ComparisonError(
                message(
                    "The {which} table has no column {key!r}. {did_you_mean}",
                    which=which,
                    key=key,
                    did_you_mean=did_you_mean(key, names),
                )
            )
    one, other = (pd.Index(column_of(table, key)) for table in (before, after))
    found = _joined(one, other, message("Features matched by the column {key!r}.", key=key))
    if found is None:
        raise ComparisonError(
            message(
                "The column {key!r} does not name each feature: a value of it occurs twice or is missing.", key=key
            )
        )
    return found


def _id_columns(before: geopandas.GeoDataFrame, after: geopandas.GeoDataFrame) -> list[str]:
    names = [str(name) for name in after.columns if name in before.columns and name != after.geometry.name]
    usable = []
    for name in names:
        columns = before[name], after[name]
        is_name = ID_NAMES.match(name) and not any(pd.api.types.is_float_dtype(column) for column in columns)
        if is_name and all(column.is_unique and column.notna().all() for column in columns):
            usable.append(name)
    return usable


def _joined(before: pd.Index[Any], after: pd.Index[Any], how: str) -> Matched | None:
    """Match equal names; None unless each names one row."""
    if not (before.is_unique and after.is_unique) or before.hasnans or after.hasnans:
        return None
    rows = before.get_indexer(after)
    lonely = np.setdiff1d(np.arange(len(before)), rows)
    order = np.argsort(np.where(rows >= 0, rows, len(before)), kind="stable")  # in the order of the first table
    return Matched(
        before=np.concatenate([rows[order], lonely]).astype(np.intp),
        after=np.concatenate([order, np.full(len(lonely), -1)]).astype(np.intp),
        how=how,
    )


def column_of(table: geopandas.GeoDataFrame, name: str) -> pd.Series[Any]:
    """
    Return a column by its name as text; of two with one name the first.

    Examples
    --------
    >>> import geopandas
    >>> cells = geopandas.GeoDataFrame({"age": [3]}, geometry=[shapely.Point(0, 0)])
    >>> column_of(cells, "age").tolist()
    [3]
    """
    column = next(column for column in table.columns if str(column) == name)
    series = table[column]
    return series.iloc[:, 0] if isinstance(series, pd.DataFrame) else series


def is_text(column: pd.Series[Any]) -> bool:
    """
    Tell whether a column holds texts (or dates, or anything else that is no number); an empty one does not.

    Examples
    --------
    >>> is_text(pd.Series(["a"])), is_text(pd.Series([1])), is_text(pd.Series([True]))
    (True, False, False)
    """
    dtype = column.dtype
    is_number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)
    return not (pd.api.types.is_bool_dtype(dtype) or is_number) and bool(column.notna().any())


def column_grid(layer: TableLayer, band: str) -> Grid:
    """
    Return a column as a grid of one row a feature, by which the map's rules tell classes from values.

    Parameters
    ----------
    layer : TableLayer
        An opened table.
    band : str
        One of its columns; a table without one has the band ``shapes``.

    Examples
    --------
    >>> import geopandas
    >>> from dissmodel_lab.maps.vector import from_table
    >>> cells = geopandas.GeoDataFrame({"use": ["b", "a"]}, geometry=geopandas.points_from_xy([0, 1], [0, 0]))
    >>> column_grid(from_table(cells), "use").names
    ('a', 'b')
    """
    names: tuple[str, ...] | None = None
    is_discrete = True
    if band not in map(str, layer.table.columns):
        values, valid = np.zeros((1, 1), np.uint8), np.zeros((1, 1), bool)
    else:
        column = column_of(layer.table, band)
        rows = np.arange(len(column))
        values, _, valid, _, texts = values_of(column, column, Matched(before=rows, after=rows, how=""))
        names = texts or (TRUTH if pd.api.types.is_bool_dtype(column.dtype) else None)
        if isinstance(column.dtype, pd.CategoricalDtype):  # its own order, as the map has it
            names = tuple(map(str, column.cat.categories))
            values = np.where(valid, column.cat.codes.to_numpy()[:, np.newaxis], 0)
        is_discrete = values.dtype.kind in "biu" or _holds_whole_numbers(column, values[valid])
    return Grid(
        values=values,
        valid=valid,
        band=band,
        bands=layer.bands,
        source_size=(1, len(values)),
        names=names,
        is_discrete=is_discrete,
    )


def _holds_whole_numbers(column: pd.Series[Any], known: NDArray[Any]) -> bool:
    """Whole numbers become floats in a column with gaps; they are classes all the same."""
    if pd.api.types.is_integer_dtype(column.dtype):
        return True
    return bool(column.isna().any()) and known.size > 0 and bool((known == np.rint(known)).all())


def values_of(before: pd.Series[Any], after: pd.Series[Any], matched: Matched) -> Cells:
    """
    Return two columns as arrays of one row a feature.

    Parameters
    ----------
    before, after : Series
        Both of numbers, or both of texts.
    matched : Matched
        Which rows belong together.

    Returns
    -------
    before, after : ndarray
        (features, 1): numbers, or positions in ``names``.
    has_before, has_after : ndarray of bool
        (features, 1).
    names : tuple of str
        The texts; empty for numbers.

    Examples
    --------
    >>> rows = Matched(before=np.array([0, 1]), after=np.array([1, -1]), how="")
    >>> before, after, has_before, has_after, names = values_of(pd.Series(["b", "a"]), pd.Series(["a", "b"]), rows)
    >>> before[:, 0], has_after[:, 0], names
    (array([1, 0], dtype=int32), array([ True, False]), ('a', 'b'))
    """
    names: tuple[str, ...] = ()
    arrays = []
    if is_text(before) or is_text(after):
        texts = [column.astype("str").where(column.notna()) for column in (before, after)]
        names = tuple(sorted({str(text) for column in texts for text in column.dropna().unique()}))
        position = {name: index for index, name in enumerate(names)}
        arrays = [column.map(position).fillna(-1).to_numpy(dtype="int32") for column in texts]
    else:
        arrays = [_numbers(column) for column in (before, after)]
    found = []
    for column, array, rows in zip((before, after), arrays, (matched.before, matched.after), strict=True):
        padded = np.append(array, array.dtype.type(0))  # -1 takes the last
        exists = np.isfinite(array) if array.dtype.kind == "f" else column.notna().to_numpy()
        known = np.append(exists, False)
        found.append((padded[rows][:, np.newaxis], known[rows][:, np.newaxis]))
    (one, has_one), (other, has_other) = found
    return one, other, has_one, has_other, names


def _numbers(column: pd.Series[Any]) -> NDArray[Any]:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        array: NDArray[Any] = column.to_numpy()
        return array.astype(np.uint8) if array.dtype.kind == "b" else array
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.fillna(False).to_numpy(dtype=np.uint8)
    if pd.api.types.is_integer_dtype(column.dtype):  # with gaps: as floats large ones would lose digits
        kind = np.uint64 if pd.api.types.is_unsigned_integer_dtype(column.dtype) else np.int64
        return column.fillna(0).to_numpy(dtype=kind)
    return column.to_numpy(dtype="float64", na_value=np.nan)


def shapes_of(before: geopandas.GeoDataFrame, after: geopandas.GeoDataFrame, matched: Matched) -> NDArray[Any]:
    """
    Return the geometry of each feature: the second table's, or the first's where only it has one.

    Parameters
    ----------
    before, after : GeoDataFrame
        The tables.
    matched : Matched
        Which rows belong together.

    Examples
    --------
    >>> import geopandas
    >>> cells = geopandas.GeoDataFrame(geometry=[shapely.Point(1, 2)])
    >>> shapes_of(cells, cells, Matched(before=np.array([0]), after=np.array([-1]), how=""))
    array([<POINT (1 2)>], dtype=object)
    """
    one, other = (np.asarray(table.geometry.values) for table in (before, after))
    shapes = np.full(len(matched.after), None, object)
    has_before, has_after = matched.before >= 0, matched.after >= 0
    shapes[has_before] = one[matched.before[has_before]]
    shapes[has_after] = other[matched.after[has_after]]
    return shapes


def picture_of(
    shapes: NDArray[Any],
    values: Column,
    differs: NDArray[np.bool_],
    difference: NDArray[np.float64] | None,
    *,
    crs: CRS | None,
    max_pixels: int,
) -> tuple[ChangePicture, tuple[str, ...]]:
    """
    Put features on a grid, as the map does.

    Parameters
    ----------
    shapes : ndarray of geometries
        (features,).
    values : tuple of ndarray
        Before, after, and where they exist, (features, 1) each.
    differs : ndarray of bool
        (features, 1): changed ones.
    difference : ndarray of float or None
        (features, 1): after minus before.
    crs : CRS or None
        Of the shapes.
    max_pixels : int
        The longest side of the picture [pixels].

    Returns
    -------
    picture : ChangePicture
        Pixels without a feature have no value in either map.
    notes : tuple of str
        What must be said with the picture.

    Examples
    --------
    >>> both, ages = np.array([[True], [True]]), np.array([[3], [4]])
    >>> squares = np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)])
    >>> cells = ages, ages + [[0], [1]], both, both
    >>> picture_of(squares, cells, np.array([[False], [True]]), None, crs=None, max_pixels=8)[0].state
    array([[1, 3]], dtype=uint8)
    """
    owners = find_owners(shapes, max_pixels)
    before, after, has_before, has_after = (np.append(part[:, 0], part.dtype.type(0)) for part in values)
    state = np.where(has_before & has_after, np.uint8(SAME), np.uint8(NOTHING))
    state[has_before != has_after] = ONE_SIDED
    state[:-1][differs[:, 0]] = CHANGED
    at = owners.features  # -1, where there is no feature, takes the appended one
    picture = ChangePicture(
        state=state[at],
        before=before[at],
        after=after[at],
        has_before=has_before[at],
        has_after=has_after[at],
        difference=None if difference is None else np.append(difference[:, 0], np.nan)[at],
        transform=owners.transform,
        crs=crs,
        source_size=owners.source_size,
    )
    return picture, owners.notes


def between_tables(comparison: Comparison, key: str | None) -> Change:
    """
    Compare one column of two tables.

    Parameters
    ----------
    comparison : Comparison
        Of two tables.
    key : str or None
        As :func:`match_rows` takes it.

    Raises
    ------
    ComparisonError
        When the rows cannot be matched, or the column holds no classes and no numbers.

    Examples
    --------
    >>> import geopandas
    >>> from dissmodel_lab.changes import change_between
    >>> cells = geopandas.GeoDataFrame({"use": ["a", "b"]}, geometry=geopandas.points_from_xy([0, 1], [0, 0]))
    >>> change_between(cells, cells.assign(use="a")).sentence
    '1 of 2 features changed (50 %)'
    """
    one, other = (_table_of(side, band) for side, band in comparison.sides)
    matched = match_rows(one, other, key)
    if matched.how:
        comparison.notes.append(matched.how)
    columns = column_of(one, comparison.before_band), column_of(other, comparison.band)
    cells = values_of(*columns, matched)
    crs = other.crs if other.crs is not None else one.crs
    shapes = shapes_of(one, other, matched)
    if comparison.kind == "classes":
        change = _count_classes(comparison, cells, shapes, crs)
        if change is not None:
            return change
        comparison.notes.append(
            message("Compared as numbers: more than {max_classes} different ones occur.", max_classes=MAX_CLASSES)
        )
    _ = comparison.unit  # two units are refused
    sums = ValueSums()
    differs, difference = sums.add(*cells[:4], 0)
    picture, notes = picture_of(shapes, cells[:4], differs, difference, crs=crs, max_pixels=MAX_SIDE)
    comparison.notes += notes
    return comparison.value_change(sums, picture, None, "feature")


def _table_of(side: Side, band: str) -> geopandas.GeoDataFrame:
    table: geopandas.GeoDataFrame = cast("TableLayer", side.layer).table
    if band not in map(str, table.columns):
        raise ComparisonError(message("{the} has no column to compare, only geometries. Add one.", the=side.The))
    return table


def _count_classes(comparison: Comparison, cells: Cells, shapes: NDArray[Any], crs: CRS | None) -> Change | None:
    """Count features by class; None when there are more different numbers than classes."""
    before, after, has_before, has_after, names = cells
    areas, method = areas_of_shapes(shapes, crs)
    alike = float(areas.mean()) if areas is not None and np.ptp(areas) <= ALIKE * areas.max() else None
    weights = areas[:, np.newaxis] if areas is not None and alike is None else None
    counts = PairCounts()
    try:
        counts.add(before, after, has_before, has_after, weights)
    except TooManyClassesError:
        if not names:
            return None
        raise ComparisonError(
            message(
                "The column {band!r} holds {n_names:,} different texts: they name features, they are no classes. "
                "Choose another column: {both_bands}.",
                band=comparison.band,
                n_names=len(names),
                both_bands=", ".join(comparison.both_bands),
            )
        ) from None
    differs = has_before & has_after & (before != after)
    picture, notes = picture_of(shapes, cells[:4], differs, None, crs=crs, max_pixels=MAX_SIDE)
    comparison.notes += notes
    return comparison.class_change(counts.named(names) if names else counts, picture, (alike, method), "feature")
