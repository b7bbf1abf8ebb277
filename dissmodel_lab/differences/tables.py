"""Two vector files, layer by layer and row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.contents import moments, texts_of
from dissmodel_lab.differences.rasters import sizes_of
from dissmodel_lab.differences.report import Differences, PartDifference, Place
from dissmodel_lab.differences.wording import listed, unequal, unequal_crs
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


def vector_differences(first: Path, second: Path, tolerance: float | None) -> Differences:
    """
    Compare two vector files; single layers whatever they are called, else those of one name.

    Parameters
    ----------
    first, second : Path
        What geopandas can read.
    tolerance : float or None
        As :func:`~dissmodel_lab.differences.find_differences` takes it.

    Raises
    ------
    Exception
        Whatever the reading library raises when one of them is no vector file.
    """
    import geopandas  # noqa: PLC0415 -- 0.6 s, needed only for vectors

    layers = [[str(name) for name in geopandas.list_layers(path)["name"]] for path in (first, second)]
    structure, notes, parts, rows = [], [], [], {}
    if len(layers[0]) == len(layers[1]) == 1:
        pairs = [("", layers[0][0], layers[1][0])]
    else:
        structure += unequal("Layers", listed(layers[0]), listed(layers[1]))
        pairs = [(f"{name}: ", name, name) for name in layers[0] if name in layers[1]]
    for prefix, *names in pairs:
        one, two = (geopandas.read_file(path, layer=n) for path, n in zip((first, second), names, strict=True))
        table = _TableComparison(one, two, tolerance, prefix)
        structure += [prefix + text for text in table.structure()]
        notes += [prefix + text for text in table.notes()]
        for part, differing in table.parts():
            parts.append(part)
            if part.differing:
                rows[part.name] = differing
    return Differences(
        kind="vector", structure=tuple(structure), notes=tuple(notes), parts=tuple(parts), tolerance=tolerance,
        rows=rows,
    )  # fmt: skip


class _TableComparison:
    """Two tables with shapes, row by row."""

    def __init__(self, one: Any, two: Any, tolerance: float | None, prefix: str) -> None:
        self._one, self._two, self._tolerance, self._prefix = one, two, tolerance, prefix
        self._shapes = [getattr(frame, "geometry", None) if "geometry" in frame else None for frame in (one, two)]
        self._columns = [[str(name) for name in frame.columns if name != "geometry"] for frame in (one, two)]
        self._compared = [[name for name in names if not name.startswith("_")] for names in self._columns]

    def structure(self) -> list[str]:
        crs_one, crs_two = (
            shapes.crs.to_wkt() if shapes is not None and shapes.crs else None for shapes in self._shapes
        )
        first, second = self._compared
        found = unequal("Rows", len(self._one), len(self._two))
        found += unequal_crs(crs_one, crs_two)
        if set(first) != set(second):
            gone, new = [n for n in first if n not in second], [n for n in second if n not in first]
            found.append(
                message(
                    "Columns only in the first: {listed}; only in the second: {new_listed}.",
                    listed=listed(gone),
                    new_listed=listed(new),
                )
            )
        elif first != second:
            found.append(message("The columns stand in another order."))
        if (self._shapes[0] is None) != (self._shapes[1] is None):
            found.append(message("Only one of them has shapes."))
        return found + [
            message("The column {name} holds numbers in one and other values in the other.", name=name)
            for name in first
            if name in second and _is_numeric(self._one[name]) != _is_numeric(self._two[name])
        ]

    def notes(self) -> list[str]:
        hidden = dict.fromkeys(name for names in self._columns for name in names if name.startswith("_"))
        found = (
            [message("Columns that begin with _ were not compared: {listed}.", listed=listed(hidden))]
            if hidden
            else []
        )
        kinds = [
            f"{name} ({self._one[name].dtype}, {self._two[name].dtype})"
            for name in self._compared[0]
            if name in self._compared[1] and self._one[name].dtype != self._two[name].dtype
        ]
        return found + (
            [message("Data types differ, which is no content: {listed}.", listed=listed(kinds))] if kinds else []
        )

    def parts(self) -> Iterator[tuple[PartDifference, NDArray[np.int64]]]:
        if len(self._one) != len(self._two):
            return
        if self._shapes[0] is not None and self._shapes[1] is not None:
            yield self._part("geometry", *_compared_shapes(*self._shapes))
        for name in self._compared[0]:
            if name in self._compared[1]:
                yield self._part(name, *_compared_columns(self._one[name], self._two[name]))

    def _part(
        self, name: str, differ: NDArray[np.bool_], one_sided: NDArray[np.bool_], sizes: NDArray[np.float64]
    ) -> tuple[PartDifference, NDArray[np.int64]]:
        has_tolerance = self._tolerance is not None and name != "geometry"
        is_beyond = differ & ~(sizes <= (self._tolerance or 0.0)) if has_tolerance else differ
        known = sizes[differ & ~np.isnan(sizes)]
        differing = np.flatnonzero(differ)
        place = None
        if len(differing):
            at = int(np.nanargmax(np.where(differ, sizes, np.nan))) if len(known) else int(differing[0])
            place = self._place(at, name)
        part = PartDifference(
            name=self._prefix + name, compared=len(differ), differing=len(differing), one_sided=int(one_sided.sum()),
            beyond=int(is_beyond.sum()), largest=float(known.max()) if len(known) else None, place=place, unit="rows",
        )  # fmt: skip
        return part, differing

    def _place(self, row: int, name: str) -> Place:
        values = [_row_value(frame[name].iloc[row]) for frame in (self._one, self._two)]
        shape = self._shapes[0].iloc[row] if self._shapes[0] is not None else None
        if shape is None or shape.is_empty:
            return Place(row, None, None, None, *values)
        return Place(row, None, float(shape.centroid.x), float(shape.centroid.y), *values)


def _is_numeric(column: Any) -> bool:
    return column.dtype.kind in "biuf"


def _row_value(value: Any) -> Any:
    import pandas as pd  # noqa: PLC0415 -- loaded with geopandas already

    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    plain = value.tolist() if hasattr(value, "tolist") else value
    return plain if isinstance(plain, bool | int | float) else str(plain)


_Compared = tuple["NDArray[np.bool_]", "NDArray[np.bool_]", "NDArray[np.float64]"]
"""Which rows differ, which of them have a value on one side only, and by how much (NaN where that has no size)."""


def _compared_columns(first: Any, second: Any) -> _Compared:
    missing, others = first.isna().to_numpy(), second.isna().to_numpy()
    one_sided = missing ^ others
    if _is_numeric(first) and _is_numeric(second):
        values = [column.to_numpy().astype(_wide(column)) for column in (first, second)]
        differ = one_sided | ((values[0] != values[1]) & ~(missing & others))
        return differ, one_sided, np.where(differ & ~one_sided, sizes_of(*values), np.nan)
    read = _utc if _are_moments(first, second) else _texts
    differ = one_sided | ((read(first) != read(second)) & ~(missing & others))
    return differ, one_sided, np.full(len(first), np.nan)


def _wide(column: Any) -> str:
    return "i8" if column.dtype.kind == "i" else "u8" if column.dtype.kind == "u" else "f8"


def _texts(column: Any) -> NDArray[Any]:
    return np.array(moments(column) if column.dtype.kind == "M" else texts_of(column), dtype=object)


def _utc(column: Any) -> NDArray[Any]:
    utc = column if column.dt.tz is None else column.dt.tz_convert("UTC").dt.tz_localize(None)
    return np.asarray(utc.to_numpy())


def _are_moments(first: Any, second: Any) -> bool:
    """Tell whether both know moments, and both or neither their offset from UTC."""
    if first.dtype.kind != "M" or second.dtype.kind != "M":
        return False
    return (first.dt.tz is None) == (second.dt.tz is None)


def _compared_shapes(first: Any, second: Any) -> _Compared:
    import shapely  # noqa: PLC0415 -- loaded with geopandas already

    one, two = first.to_numpy(), second.to_numpy()
    missing, others = shapely.is_missing(one), shapely.is_missing(two)
    one_sided = missing ^ others
    same_bytes = shapely.to_wkb(one, include_srid=False) == shapely.to_wkb(two, include_srid=False)
    differ = one_sided | (~same_bytes & ~(missing & others))
    sizes = np.full(len(one), np.nan)
    for row in np.flatnonzero(differ & ~one_sided):
        a, b = (shapely.get_coordinates(shape, include_z=True) for shape in (one[row], two[row]))
        is_alike = shapely.get_type_id(one[row]) == shapely.get_type_id(two[row]) and one[row].has_z == two[row].has_z
        if is_alike and a.shape == b.shape and len(a):
            if (np.isnan(a) == np.isnan(b)).all():  # else one has a height where the other has none
                sizes[row] = np.nanmax(np.abs(a - b))
            differ[row] = not sizes[row] <= 0 or not shapely.equals_exact(one[row], two[row], 0)
    return differ, one_sided, np.where(differ, sizes, np.nan)
