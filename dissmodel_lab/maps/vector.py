"""Tables with geometries -> Grid: cells of a regular grid exactly, other shapes by drawing them.

A regular grid of cells is recognised by arithmetic on all coordinates at once, without a loop over cells.
The steps are in :mod:`dissmodel_lab.maps.vectors`. Imported lazily: geopandas takes 0.5 s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pandas as pd
from affine import Affine

from dissmodel_lab.maps.area import Area
from dissmodel_lab.maps.grid import Grid, LayerBase, check_band
from dissmodel_lab.maps.vectors import known
from dissmodel_lab.maps.vectors.columns import ID_NAMES, Owners, column_grid, is_key
from dissmodel_lab.maps.vectors.places import Places
from dissmodel_lab.maps.vectors.tables import MemoryRows, Rows, files_of, read_file, read_parquet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pyproj import CRS

__all__ = ["Owners", "TableLayer", "column_grid", "find_owners", "from_table", "open_parquet", "open_table"]

#: The band of a table without a column.
SHAPES = "shapes"
#: Parts of a large file that are kept.
KEPT_PARTS = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class TableLayer(LayerBase):
    """
    A table with geometries; where its features lie is worked out once for all columns.

    Examples
    --------
    >>> from shapely import box
    >>> cells = geopandas.GeoDataFrame({"age": [1, 2]}, geometry=box([0, 1], 0, [1, 2], 1))
    >>> from_table(cells).grid("age", 1024).values
    array([[1, 2]])
    """

    rows: Rows
    notes: tuple[str, ...] = ()
    """What must be said with every column."""
    parts: tuple[str, ...] = ()
    """The layers of the file; empty when it has one."""
    part: str = ""
    """The one of them that this is."""
    files: tuple[Path, ...] = ()
    """What the rows were read from."""

    @property
    def table(self) -> geopandas.GeoDataFrame:
        """All columns; of a large file this reads them."""
        return self.rows.table

    @property
    def columns(self) -> tuple[str, ...]:
        """Names in the table's order, without the geometry's."""
        return self.rows.columns

    @property
    def has_columns(self) -> bool:
        """Whether all columns are in memory; else each is read when it is asked for."""
        return isinstance(self.rows, MemoryRows)

    @cached_property
    def bands(self) -> tuple[str, ...]:
        """Columns in order; those starting with an underscore come last."""
        return tuple(sorted(self.columns, key=lambda name: name.startswith("_"))) or (SHAPES,)

    @cached_property
    def default_band(self) -> str:
        """The first column that is not an id, numbers and classes before texts that are all different."""
        columns = [name for name in self.bands if name in self.columns and not ID_NAMES.match(name)]
        numbers = self.rows.numbers  # lazy: one look at a column is enough
        telling = (name for name in columns if name in numbers or not is_key(self.rows.sample(name)))
        return next(telling, (*columns, *self.bands)[0])

    @property
    def crs(self) -> CRS | None:
        """None when unknown."""
        return self.rows.crs

    @property
    def extent(self) -> Area:
        """Everything, in units of the CRS, or in cells of the plane."""
        return self.places.extent

    @cached_property
    def places(self) -> Places:
        """Where the features lie."""
        if isinstance(self.rows, MemoryRows):
            return known.tables.places_of(self.rows.geometry, self.rows.crs)
        return Places(raw=self.rows.packed, crs=self.rows.crs)

    def grid(self, band: str, max_pixels: int, area: Area | None = None) -> Grid:
        """Return one column on the grid of the cells, or on a grid over the shapes; with an area of that part."""
        check_band(band, self.bands)
        near = self._near(area)
        if near is None:
            grid = column_grid(self.column(band), band, self.places.owners(max_pixels, area))
        else:
            values = TableLayer(rows=near.rows).column(band)
            grid = column_grid(values, band, near.places.owners(max_pixels, area))
        return replace(grid, bands=self.bands, crs=self.crs, notes=(*self.notes, *grid.notes))

    def column(self, name: str) -> pd.Series[Any]:
        """
        Return the values of a column, one for each row.

        Examples
        --------
        >>> from shapely import Point
        >>> from_table(geopandas.GeoSeries([Point(1, 2)])).column("shapes").tolist()
        ['shapes']
        """
        if name == SHAPES and name not in self.columns:
            return pd.Series([SHAPES] * len(self.rows.packed), dtype="object")
        return self.rows.column(name)

    def values_of(self, band: str, rows: NDArray[np.intp]) -> Grid:
        """
        Return the values of some rows as a grid of one column, with the whole column's classes.

        Parameters
        ----------
        band : str
            One of ``bands``.
        rows : ndarray of int
            Of the table.

        Examples
        --------
        >>> from shapely import points
        >>> trees = geopandas.GeoDataFrame({"kind": ["oak", "fir"]}, geometry=points([[0, 0], [1, 1]]))
        >>> found = from_table(trees).values_of("kind", np.array([0]))
        >>> found.names[found.values[0, 0]]
        'oak'
        """
        check_band(band, self.bands)
        chosen = np.asarray(rows, np.intp)[:, np.newaxis]
        owners = Owners(features=chosen, transform=Affine.identity(), source_size=(1, len(chosen)))
        return replace(column_grid(self.column(band), band, owners), bands=self.bands, crs=self.crs, transform=None)

    @property
    def shapes(self) -> NDArray[Any]:
        """(n,): one geometry for each row as it is drawn, None where there is none that can be."""
        return self.places.shapes

    def rows_in(self, area: Area | None = None) -> NDArray[np.intp]:
        """
        Return the rows whose features can be drawn, in an area those that touch it.

        Examples
        --------
        >>> from shapely import box
        >>> cells = geopandas.GeoSeries(box([0, 1], 0, [1, 2], 1))
        >>> from_table(cells).rows_in(Area(west=1.2, south=0, east=1.5, north=1))
        array([1])
        """
        near = self._near(area)
        return self.places.rows_in(area) if near is None else np.arange(len(near.rows.packed))

    def row_at(self, x: float, y: float, tolerance: float = 0.0) -> dict[str, Any] | None:
        """
        Return the values of the feature at a place, in the layer's units; of several the one drawn last.

        Examples
        --------
        >>> from shapely import box
        >>> from_table(geopandas.GeoDataFrame({"n": [7]}, geometry=[box(0, 0, 1, 1)])).row_at(0.5, 0.5)["n"]
        np.int64(7)
        """
        near = None
        if self.crs is not None and np.isfinite([x, y, tolerance]).all():
            hair = tolerance or max(abs(x), abs(y), 1.0) * 1e-9
            near = self._near(Area(west=x - hair, south=y - hair, east=x + hair, north=y + hair))
        rows, places = (self.rows, self.places) if near is None else (near.rows, near.places)
        row = places.row_at(x, y, tolerance)
        return None if row is None else rows.record(row)

    def to_map(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn (n, 2) coordinates into longitude and latitude [degrees], or into cells of the plane."""
        return self.places.to_map(points)

    def from_map(self, points: NDArray[np.float64], *, is_georeferenced: bool) -> NDArray[np.float64]:
        """Turn (n, 2) places of the map into the layer's coordinates."""
        return self.places.from_map(points, is_georeferenced=is_georeferenced)

    def _near(self, area: Area | None) -> _Near | None:
        """Read the part of a file that is too large to be read; None when all is here, or the part is large too."""
        if area is None or self.rows.is_whole or self.crs is None or area.is_cells:
            return None
        if area not in self._parts:
            while len(self._parts) >= KEPT_PARTS:
                del self._parts[next(iter(self._parts))]
            box = (area.west, area.south, area.east, area.north)
            if self.places.is_swapped:
                box = (area.south, area.west, area.north, area.east)
            found = self.rows.within(box)
            self._parts[area] = None if found is None else _Near(rows=found, crs=self.crs)
        return self._parts[area]

    @cached_property
    def _parts(self) -> dict[Area, _Near | None]:
        return {}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Near:
    """The rows of a part of a file."""

    rows: Rows
    crs: CRS | None

    @cached_property
    def places(self) -> Places:
        return Places(raw=self.rows.packed, crs=self.crs)


def from_table(table: Any, notes: tuple[str, ...] = ()) -> TableLayer:
    """
    Open a GeoDataFrame or GeoSeries.

    Examples
    --------
    >>> from shapely import Point
    >>> from_table(geopandas.GeoSeries([Point(1, 2)])).bands
    ('shapes',)
    """
    if isinstance(table, geopandas.GeoSeries):
        table = geopandas.GeoDataFrame(geometry=table)
    return TableLayer(rows=MemoryRows(table=table), notes=notes)


def open_table(path: str, name: str, notes: tuple[str, ...] = (), part: str | None = None) -> TableLayer:
    """
    Open a vector file that GDAL reads; of a large one the geometries now, and columns when they are shown.

    Parameters
    ----------
    path : str
        What GDAL opens.
    name : str
        How messages call it.
    notes : tuple of str, optional
        What must be said with every column.
    part : str, optional
        One of its layers; the first one with geometries when not given.

    Raises
    ------
    pyogrio.errors.DataSourceError
        When GDAL knows no vector format that it is.
    SourceError
        When it holds no geometries, no such layer, or is broken.
    """
    rows, said, parts, chosen = read_file(path, name, part)
    return TableLayer(rows=rows, notes=(*notes, *said), parts=parts, part=chosen, files=files_of(path))


def open_parquet(path: str, name: str, notes: tuple[str, ...] = ()) -> TableLayer:
    """
    Open a GeoParquet file.

    Parameters
    ----------
    path : str
        A local file.
    name : str
        How messages call it.
    notes : tuple of str, optional
        What must be said with every column.

    Raises
    ------
    SourceError
        When it is broken, has no geometries, or pyarrow isn't installed.
    """
    rows, said = read_parquet(path, name)
    return TableLayer(rows=rows, notes=(*notes, *said), files=files_of(path))


def find_owners(shapes: NDArray[Any], max_pixels: int) -> Owners:
    """
    Find which feature each cell of a grid shows.

    Parameters
    ----------
    shapes : ndarray of shapely geometries
        One for each feature; None and empty ones are left out, and said.
    max_pixels : int
        The longest side of the grid [cells].

    Examples
    --------
    >>> from shapely import box
    >>> find_owners(box([0, 1], [0, 1], [1, 2], [1, 2]), 1024).features
    array([[-1,  1],
           [ 0, -1]])
    """
    return Places(raw=shapes, crs=None).owners(max_pixels)
