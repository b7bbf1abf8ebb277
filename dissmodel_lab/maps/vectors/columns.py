"""A column of a table -> numbers, and the texts that they stand for, on the cells that its rows own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dissmodel_lab.maps.grid import Grid, usable

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

    from dissmodel_lab.maps.area import Window

#: A text column has a colour for each of its most frequent texts, and one for the others.
MAX_TEXTS = 31
OTHER = "other"
#: Columns that name a feature instead of describing it.
ID_NAMES = re.compile(r"(?i)^(.*[_ ])?(f?id|gid|objectid|oid|index|idx|uuid|row|col|x|y)\d*$|^id[_ ].*|^unnamed.*")
#: Rows that are looked at to tell whether a text column names each row.
KEY_SAMPLE = 100_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Owners:
    """Which feature each cell of a grid shows."""

    features: NDArray[np.intp]
    """(height, width): row of the table, -1 where there is none."""
    transform: Affine
    source_size: tuple[int, int]
    """(width, height) [cells] of the grid, or of the reference picture when shapes were rasterised."""
    notes: tuple[str, ...] = ()
    shown: str = ""
    """How much of the data is shown, for a corner of the map."""
    window: Window | None = None
    """The part of the whole, of ``whole_size`` cells, that this is; None when it is all."""
    whole_size: tuple[int, int] | None = None


def column_grid(column: Any, band: str, owners: Owners) -> Grid:
    """
    Lay a column over the cells that its rows own; the grid has no CRS.

    Parameters
    ----------
    column : Series or array
        One value for each feature.
    band : str
        What to call it.
    owners : Owners
        As :func:`~dissmodel_lab.maps.vector.find_owners` found them.

    Examples
    --------
    >>> from affine import Affine
    >>> owners = Owners(features=np.array([[0, 1]]), transform=Affine.identity(), source_size=(2, 1))
    >>> column_grid([3, 4], "age", owners).values
    array([[3, 4]])
    """
    values, known, names, is_discrete = _values(pd.Series(column))
    values, known = np.append(values, values[:1] * 0), np.append(known, False)  # -1 takes the last
    if not len(column):
        values = np.zeros(1, np.uint8)
    shown = values[owners.features]
    valid, notes = usable(shown, mask=known[owners.features])
    return Grid(
        values=shown,
        valid=valid,
        band=band,
        bands=(band,),
        source_size=owners.source_size,
        transform=owners.transform,
        names=names,
        is_discrete=is_discrete,
        notes=(*owners.notes, *notes),
        shown=owners.shown,
        window=owners.window,
        whole_size=owners.whole_size,
    )


def is_key(column: pd.Series[Any]) -> bool:
    """
    Tell whether a text column names each row: it has no classes to show.

    Examples
    --------
    >>> is_key(pd.Series([f"cell {i}" for i in range(100)])), is_key(pd.Series(["a", "b"] * 50))
    (True, False)
    """
    if len(column) <= MAX_TEXTS or pd.api.types.is_numeric_dtype(column):
        return False
    return bool(column.iloc[:KEY_SAMPLE].astype("str").is_unique)


def _values(
    column: pd.Series[Any],
) -> tuple[NDArray[Any], NDArray[np.bool_], tuple[str, ...] | None, bool]:
    """Return numbers, which of them are known, the texts they stand for, and whether they are classes."""
    known = column.notna().to_numpy(bool)
    dtype = column.dtype
    if pd.api.types.is_bool_dtype(dtype):
        return np.where(known, column.to_numpy(object), 0).astype(np.uint8), known, ("False", "True"), True
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        return (*_numbers(column, known), None, _holds_whole_numbers(column, known))
    codes, names = _coded(column)
    return np.where(codes >= 0, codes, 0), codes >= 0, names, True


def _numbers(column: pd.Series[Any], known: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    if known.all() and isinstance(column.dtype, np.dtype):
        return column.to_numpy(), known
    return column.to_numpy(dtype="float64", na_value=np.nan), known


def _holds_whole_numbers(column: pd.Series[Any], known: NDArray[np.bool_]) -> bool:
    """Whole numbers become floats in a column with gaps; they are classes all the same."""
    if pd.api.types.is_integer_dtype(column.dtype):
        return True
    if known.all() or not known.any():
        return False
    values = column.to_numpy(dtype="float64", na_value=np.nan)[known]
    return bool((values == np.rint(values)).all())


def _coded(column: pd.Series[Any]) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Replace the texts of a column by numbers; rare texts become "other" when there are too many."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        found, uniques = column.cat.codes.to_numpy(), column.cat.categories
    else:
        found, uniques = pd.factorize(column.astype("str").where(column.notna()), sort=True)
    codes: NDArray[np.intp] = found.astype(np.intp)
    if len(uniques) <= MAX_TEXTS + 1:
        return codes, tuple(str(name) for name in uniques)
    counts = np.bincount(codes[codes >= 0], minlength=len(uniques))
    kept = np.sort(np.argsort(-counts, kind="stable")[:MAX_TEXTS])
    renumbered = np.full(len(uniques) + 1, MAX_TEXTS, np.intp)
    renumbered[kept], renumbered[-1] = np.arange(MAX_TEXTS), -1
    return renumbered[codes], (*(str(uniques[i]) for i in kept), OTHER)
