"""Tables with geometries -> Grid: square cells exactly, other shapes by rasterising them.

A regular grid of cells is recognised by arithmetic on all coordinates at once, without a loop over cells.
Imported lazily: geopandas takes 0.5 s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pandas as pd
import pyogrio  # type: ignore[import-untyped]  # it has no stubs
import shapely
from affine import Affine
from rasterio.features import rasterize

from dissmodel_lab.errors import SourceError
from dissmodel_lab.maps.grid import Grid, centres, check_band, decimated, decimation, usable
from dissmodel_lab.quiet import quiet_about

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyproj import CRS

#: More features of a file than this aren't read [-].
MAX_FEATURES = 2_000_000
#: Columns that name a feature instead of describing it.
ID_NAMES = re.compile(r"(?i)^(.*[_ ])?(f?id|gid|objectid|oid|index|idx|uuid|row|col|x|y)\d*$|^id[_ ].*|^unnamed.*")
#: A text column has a colour for each of its most frequent texts, and one for the others.
MAX_TEXTS = 31
OTHER = "other"
#: The band of a table without a column.
SHAPES = "shapes"
#: Points and lines are drawn coarser than areas, to be seen: the longest side [pixels].
THIN_PIXELS = 128
#: More areas than this are looked up pixel by pixel: rasterize takes 50 us for each.
MANY_AREAS = 20_000
#: How far a corner may lie off the grid, as a part of a cell.
TOLERANCE = 1e-3
#: shapely's numbers of the types of areas, and the number of points in a cell's ring.
POLYGON, MULTIPOLYGON, RING = 3, 6, 5
#: Corners are looked at in pieces that stay in the processor's cache [features].
CHUNK = 8192


@dataclass(frozen=True, kw_only=True, eq=False)
class Owners:
    """Which feature each cell of a grid shows."""

    features: NDArray[np.intp]
    """(height, width): row of the table, -1 where there is none."""
    transform: Affine
    source_size: tuple[int, int]
    """(width, height) [cells] of the whole grid, or of the picture when shapes were rasterised."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class TableLayer:
    """
    A GeoDataFrame in memory; where its features lie is worked out once for all columns.

    Examples
    --------
    >>> cells = geopandas.GeoDataFrame({"age": [1, 2]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)])
    >>> from_table(cells).grid("age", 1024).values
    array([[1, 2]])
    """

    table: geopandas.GeoDataFrame
    notes: tuple[str, ...] = ()

    @cached_property
    def bands(self) -> tuple[str, ...]:
        """Columns in order; those starting with an underscore come last."""
        names = [str(name) for name in self.table.columns if name != self.table.geometry.name]
        return tuple(sorted(names, key=lambda name: name.startswith("_"))) or (SHAPES,)

    @property
    def default_band(self) -> str:
        """The first column that is not an id, numbers and classes before texts that are all different."""
        columns = [name for name in self.bands if name != SHAPES and not ID_NAMES.match(name)]
        telling = (name for name in columns if not _is_key(self._column(name)))  # lazy: one look is enough
        return next(telling, (*columns, *self.bands)[0])

    def grid(self, band: str, max_pixels: int) -> Grid:
        """Return one column on the grid of the cells, or on a grid over the shapes."""
        check_band(band, self.bands)
        grid = column_grid(self._column(band), band, self._owners(max_pixels))
        return replace(grid, bands=self.bands, crs=self._crs, notes=(*self.notes, *grid.notes))

    @property
    def _crs(self) -> CRS | None:
        crs: CRS | None = self.table.crs
        return crs

    def _column(self, band: str) -> pd.Series[Any]:
        if band == SHAPES and band not in self.table.columns:
            return pd.Series([SHAPES] * len(self.table), dtype="object")
        column = next(name for name in self.table.columns if str(name) == band)
        series = self.table[column]
        # two columns of one name come as a table
        return series.iloc[:, 0] if isinstance(series, pd.DataFrame) else series

    def _owners(self, max_pixels: int) -> Owners:
        return self._cache.get(max_pixels) or self._cache.setdefault(
            max_pixels, find_owners(np.asarray(self.table.geometry.values), max_pixels)
        )

    @cached_property
    def _cache(self) -> dict[int, Owners]:
        return {}


def from_table(table: Any, notes: tuple[str, ...] = ()) -> TableLayer:
    """
    Open a GeoDataFrame or GeoSeries.

    Examples
    --------
    >>> from_table(geopandas.GeoSeries([shapely.Point(1, 2)])).bands
    ('shapes',)
    """
    if isinstance(table, geopandas.GeoSeries):
        table = geopandas.GeoDataFrame(geometry=table)
    return TableLayer(table=table, notes=notes)


def open_table(path: str, name: str, notes: tuple[str, ...] = ()) -> TableLayer:
    """
    Read a vector file, at most ``MAX_FEATURES`` of it.

    Parameters
    ----------
    path : str
        What GDAL opens.
    name : str
        How messages call it.
    notes : tuple of str, optional
        What must be said with every column.

    Raises
    ------
    pyogrio.errors.DataSourceError
        When GDAL knows no vector format that it is.
    SourceError
        When it holds no geometries.
    """
    # A file is known by its content here, so its ending needs no warning.
    with quiet_about(RuntimeWarning, ".*non conformant file extension"):
        return _read_table(path, name, notes)


def _read_table(path: str, name: str, notes: tuple[str, ...]) -> TableLayer:
    layers = [layer for layer, kind in pyogrio.list_layers(path) if kind is not None]
    if not layers:
        raise pyogrio.errors.DataSourceError(f"{name} holds no layer with geometries")
    if len(layers) > 1:
        notes = (*notes, f"Layer {layers[0]} is shown, one of {len(layers)}: {', '.join(layers[:8])}.")
    count = pyogrio.read_info(path, layer=layers[0])["features"]
    table = pyogrio.read_dataframe(path, layer=layers[0], max_features=MAX_FEATURES)
    if not isinstance(table, geopandas.GeoDataFrame):
        raise SourceError(f"{name} is a table without geometries. A map needs a geometry for each row.")
    if count > len(table):
        notes = (*notes, f"{len(table):,} of {count:,} features drawn: the first ones of the file.")
    return from_table(table, notes)


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
    >>> find_owners(np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 1, 2, 2)]), 1024).features
    array([[-1,  1],
           [ 0, -1]])
    """
    # empty and missing geometries have no bounds, broken ones infinite
    drawable = np.flatnonzero(np.isfinite(shapely.bounds(shapes)).all(axis=1))
    missing = len(shapes) - len(drawable)
    notes = (
        (f"{missing:,} of {len(shapes):,} features have no place: no geometry, or no finite one.",) if missing else ()
    )
    if not len(drawable):
        features = np.full((1, 1), -1, np.intp)
        said = notes if len(shapes) else ("The table has no features.",)
        return Owners(features=features, transform=Affine.identity(), source_size=(1, 1), notes=said)
    shapes = shapes[drawable]
    found = _square_cells(shapes, max_pixels) or _rasterised(shapes, max_pixels)
    features = found.features if not missing else np.append(drawable, -1)[found.features]
    return Owners(
        features=features,
        transform=found.transform,
        source_size=found.source_size,
        notes=(*notes, *found.notes),
    )


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
        As :func:`find_owners` found them.

    Examples
    --------
    >>> owners = find_owners(np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]), 1024)
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
    )


def _square_cells(shapes: NDArray[Any], max_pixels: int) -> Owners | None:
    """Return the grid that rectangles of one size make; None when they make none."""
    found = _rectangles(shapes)
    if found is None:
        return None
    low, cell = found
    origin = low.min(axis=1)
    columns, rows = (int(n) + 1 for n in np.rint((low.max(axis=1) - origin) / cell))
    if max(columns, rows) > 100 * max_pixels:  # a few cells far apart
        return None
    column, row_up = (_steps(low[axis], origin[axis], cell[axis]) for axis in (0, 1))
    if column is None or row_up is None:
        return None
    features, notes = _at_cells(rows - 1 - row_up, column, (rows, columns), max_pixels)
    height, width = features.shape
    across, down = cell[0] * columns / width, cell[1] * rows / height
    return Owners(
        features=features,
        transform=Affine(across, 0, origin[0], 0, -down, origin[1] + cell[1] * rows),
        source_size=(columns, rows),
        notes=notes,
    )


def _steps(low: NDArray[np.float64], origin: float, cell: float) -> NDArray[np.int32] | None:
    """Count cells from the origin; None when one lies off the grid."""
    exact = (low - origin) / cell
    whole = np.rint(exact)
    exact -= whole
    return whole.astype(np.int32) if max(exact.max(), -exact.min()) <= TOLERANCE else None


def _rectangles(shapes: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return lower left corners, (2, n), and the one size, (2,), of upright rectangles; else None."""
    low = np.empty((2, len(shapes)))
    cell = None
    for start in range(0, len(shapes), CHUNK):
        ring = _rings(shapes[start : start + CHUNK])
        if ring is None:
            return None
        if cell is None:
            cell = ring[:, :, 0].max(axis=0) - ring[:, :, 0].min(axis=0)
        if not (cell > 0).all() or not _are_cells(ring, cell):
            return None
        np.minimum(ring[0], ring[2], out=low[:, start : start + CHUNK])
    return None if cell is None else (low, cell)


def _rings(shapes: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the corners of areas with five each, (5, 2, n); None when any has another number."""
    if not np.isin(shapely.get_type_id(shapes), (POLYGON, MULTIPOLYGON)).all():
        return None
    if (shapely.get_num_coordinates(shapes) != RING).any():
        return None
    return np.ascontiguousarray(shapely.get_coordinates(shapes).reshape(-1, RING, 2).transpose(1, 2, 0))


def _are_cells(ring: NDArray[np.float64], cell: NDArray[np.float64]) -> bool:
    """Return whether all rings, (5, 2, n), are upright rectangles of one size, whichever way they turn."""
    allowed = (cell * TOLERANCE)[:, np.newaxis]
    first, second, third, fourth, last = ring
    sizes_off = np.abs(np.abs(third - first) - cell[:, np.newaxis]) > allowed
    if sizes_off.any() or (np.abs(last - first) > allowed).any():
        return False
    (x, y), (far_x, far_y) = first, third
    along, across = np.stack((x, far_y)), np.stack((far_x, y))
    one_way = ((np.abs(second - along) <= allowed) & (np.abs(fourth - across) <= allowed)).all(axis=0)
    other_way = ((np.abs(second - across) <= allowed) & (np.abs(fourth - along) <= allowed)).all(axis=0)
    return bool((one_way | other_way).all())


def _at_cells(
    row: NDArray[np.int32], column: NDArray[np.int32], shape: tuple[int, int], max_pixels: int
) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Put features into cells; of a grid larger than the picture every n-th row and column is kept."""
    rows, columns = shape
    factor = decimation(rows, columns, max_pixels)
    height, width = decimated(rows, factor), decimated(columns, factor)
    kept_rows, kept_columns = np.full(rows, -1, np.intp), np.full(columns, -1, np.intp)
    kept_rows[centres(rows, height)] = np.arange(height)
    kept_columns[centres(columns, width)] = np.arange(width)
    features = np.full((height, width), -1, np.intp)
    shown_row, shown_column = kept_rows[row], kept_columns[column]
    shown = np.flatnonzero((shown_row >= 0) & (shown_column >= 0))
    features[shown_row[shown], shown_column[shown]] = shown  # of cells in one place the last one stays
    drawn = int(np.count_nonzero(features >= 0))
    notes: tuple[str, ...] = ()
    if factor > 1:
        notes += (f"{drawn:,} of {len(row):,} cells drawn: one of {factor} rows and columns.",)
    if len(shown) > drawn:
        notes += (f"{len(shown) - drawn:,} cells lie under others: the last one is drawn.",)
    return features, notes


def _rasterised(shapes: NDArray[Any], max_pixels: int) -> Owners:
    is_thin = bool((shapely.get_dimensions(shapes) < 2).any())  # noqa: PLR2004 -- areas have 2 dimensions
    longest = min(max_pixels, THIN_PIXELS) if is_thin else max_pixels
    west, south, east, north = shapely.total_bounds(shapes)
    pixel = max(east - west, north - south) / longest or 1.0
    width, height = (max(1, int(np.ceil(span / pixel - 1e-9))) for span in (east - west, north - south))
    if is_thin:  # a point on the edge is half outside
        west, north, width, height = west - pixel / 2, north + pixel / 2, width + 1, height + 1
    transform = Affine(pixel, 0, west, 0, -pixel, north)
    if len(shapes) > MANY_AREAS and not is_thin:
        features = _looked_up(shapes, transform, (height, width))
    else:
        features = _burned(shapes, transform, (height, width), all_touched=is_thin)
        if (features < 0).all():  # all are smaller than a pixel
            features = _burned(shapes, transform, (height, width), all_touched=True)
    drawn = np.unique(features[features >= 0]).size
    kind = "Points and lines" if is_thin else "Shapes"
    notes: tuple[str, ...] = (f"{kind} drawn as pixels on a grid of {width} x {height}.",)
    if drawn < len(shapes):
        notes += (f"{drawn:,} of {len(shapes):,} features drawn: the others are smaller than a pixel or covered.",)
    return Owners(features=features, transform=transform, source_size=(width, height), notes=notes)


def _burned(
    shapes: NDArray[Any], transform: Affine, shape: tuple[int, int], *, all_touched: bool
) -> NDArray[np.intp]:
    numbered = ((one, number) for number, one in enumerate(shapes, start=1))
    burned: NDArray[np.int32] = rasterize(
        numbered, shape, fill=0, transform=transform, dtype="int32", all_touched=all_touched
    )
    return burned.astype(np.intp) - 1


def _looked_up(shapes: NDArray[Any], transform: Affine, shape: tuple[int, int]) -> NDArray[np.intp]:
    """Ask for each pixel's centre which areas cover it; like rasterize, the last one stays."""
    height, width = shape
    x = transform.c + transform.a * (np.arange(width) + 0.5)
    y = transform.f + transform.e * (np.arange(height) + 0.5)
    centre = shapely.points(*np.meshgrid(x, y)).ravel()
    pixels, features = shapely.STRtree(shapes).query(centre, predicate="intersects")
    owners = np.full(centre.size, -1, np.intp)
    np.maximum.at(owners, pixels, features)
    return owners.reshape(shape)


def _is_key(column: pd.Series[Any]) -> bool:
    """Whether a text column names each row: it has no classes to show."""
    if len(column) <= MAX_TEXTS or pd.api.types.is_numeric_dtype(column):
        return False
    return bool(column.astype("str").is_unique)


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
    names = [str(name) for name in uniques]
    if len(names) <= MAX_TEXTS + 1:
        return codes, tuple(names)
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    kept = np.sort(np.argsort(-counts, kind="stable")[:MAX_TEXTS])
    renumbered = np.full(len(names) + 1, MAX_TEXTS, np.intp)
    renumbered[kept], renumbered[-1] = np.arange(MAX_TEXTS), -1
    return renumbered[codes], (*(names[i] for i in kept), OTHER)
