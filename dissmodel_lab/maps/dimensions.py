"""Arrays with named dimensions -> Grid: variables of netCDF, HDF5 and Zarr, one plane of cells at a time.

Each variable with rows and columns is a part; its other dimensions (time, level, band) are axes. Read by
xarray, window by window. Conventions: CF 1.11, https://cfconventions.org (chapters 2.5 fill values, 3.5 flags,
5.6 grid mappings, 8.1 packed data).

What a file says is not trusted: HDF5 that leads into other files and Zarr that needs an unknown codec are
refused before anything is read.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dissmodel_lab.errors import SourceError, did_you_mean
from dissmodel_lab.language import message
from dissmodel_lab.maps.area import Area, extent_of, window_of
from dissmodel_lab.maps.arrays import scaled
from dissmodel_lab.maps.grid import (
    DRAWABLE_KINDS,
    Axis,
    Grid,
    LayerBase,
    centres,
    check_band,
    check_drawable,
    check_positions,
    decimated,
    decimation,
    shown_text,
    to_crs,
    usable,
)
from dissmodel_lab.maps.memory import pictures, signature
from dissmodel_lab.maps.stores import check_codecs, check_links, kind_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS

    from dissmodel_lab.maps.area import Window
    from dissmodel_lab.rasters import Classes

#: What must be installed, and how.
EXTRA = "dissmodel_lab[arrays]"
#: Names of the dimensions of rows and of columns, where no attribute says which they are.
ROWS = frozenset({"y", "lat", "latitude", "north", "northing", "rlat", "row", "rows", "j", "nlat", "yc"})
COLUMNS = frozenset({"x", "lon", "long", "longitude", "east", "easting", "rlon", "col", "cols", "column", "i", "nlon",
                     "xc"})  # fmt: skip
#: CF's standard names of the coordinates of rows and of columns.
LATITUDES = {"latitude", "projection_y_coordinate", "grid_latitude"}
LONGITUDES = {"longitude", "projection_x_coordinate", "grid_longitude"}
#: How far a coordinate may lie off an even spacing, as a part of a cell.
TOLERANCE = 0.1
#: More positions of an axis aren't labelled one by one.
MAX_LABELS = 100_000
#: Cells that are read in one piece.
PIECE = 4_000_000
#: A first picture may take so long [s] before rows are left out.
SECONDS = 6.0
#: Metres, by the unit that a coordinate says.
METRES = {"km": 1000.0, "kilometer": 1000.0, "kilometre": 1000.0, "kilometers": 1000.0, "kilometres": 1000.0}


class Shape(NamedTuple):
    """What is known of a variable without reading its cells."""

    rows: str
    """Name of the dimension of rows."""
    columns: str
    size: tuple[int, int]
    """(width, height) [cells]."""
    axes: tuple[Axis, ...]
    transform: Affine | None
    crs_text: str
    """WKT; empty in a plane."""
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DimensionLayer(LayerBase):
    """One variable of a file with named dimensions, at one position of each of its further axes."""

    store: str
    """Path of the file or folder."""
    title: str
    """How messages call it."""
    shape: Shape
    parts: tuple[str, ...] = ()
    """Its variables that have rows and columns."""
    part: str = ""
    """The one that is shown."""
    positions: tuple[int, ...] = ()
    """On each of the axes."""
    notes: tuple[str, ...] = ()

    @property
    def bands(self) -> tuple[str, ...]:
        """The variable."""
        return (self.part,)

    @property
    def default_band(self) -> str:
        """The variable."""
        return self.part

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Time, level, band, ...: all dimensions but rows and columns."""
        return self.shape.axes

    @property
    def files(self) -> tuple[Path, ...]:
        """What the pictures depend on; nothing that can be watched when it is a folder."""
        path = Path(self.store)
        return (path,) if path.is_file() else ()

    @cached_property
    def crs(self) -> CRS | None:
        """None when the file says none, or the cells aren't evenly spaced."""
        return to_crs(self.shape.crs_text)[0]

    @property
    def extent(self) -> Area:
        """Everything."""
        return extent_of(self.shape.size, self.shape.transform, self.crs)

    def at(self, **indices: int) -> DimensionLayer:
        """
        Return the same variable at other positions on its axes.

        Raises
        ------
        SourceError
            When there is no such axis or position.
        """
        check_positions(self.axes, indices)
        pairs = zip(self.axes, self.positions, strict=True)
        return replace(self, positions=tuple(indices.get(axis.name, position) for axis, position in pairs))

    def grid(self, band: str, max_pixels: int, area: Area | None = None) -> Grid:
        """
        Read every n-th cell of the plane, or of a part of it.

        Raises
        ------
        SourceError
            When there is no such variable, or its cells can't be read.
        """
        check_band(band, self.bands)
        files = signature(self.files)
        key: Hashable = ("plane", files, self.part, self.positions, self.notes, max_pixels, area)
        kept: Grid | None = pictures.get(key) if files is not None else None
        if kept is not None:
            return kept
        with _opened(self.store, self.title) as dataset, _blamed(self.title, self.part):
            grid = self._grid(dataset[self.part], max_pixels, area)
        if files is not None and signature(self.files) == files:
            pictures.keep(key, grid, grid.values.nbytes + grid.valid.nbytes)
        return grid

    def _grid(self, variable: Any, max_pixels: int, area: Area | None) -> Grid:
        check_drawable(variable.dtype, f"{self.title}: variable {self.part!r}")
        shape = self.shape
        window = window_of(area, shape.size, shape.transform, self.crs)
        factor = decimation(window.rows, window.columns, max_pixels)
        chosen = {axis.name: position for axis, position in zip(self.axes, self.positions, strict=True)}
        plane = variable.isel(chosen).transpose(shape.rows, shape.columns)
        stored, coarse = _read(plane, window, factor)
        values, valid, said = _values(stored, variable.attrs)
        classes = flags(variable.attrs)
        shown = shown_text(factor) if coarse == 1 else (
            message(
                "1 of {n:,} pixels shown, coarser because the file has no overviews", n=factor * factor * coarse
            )
        )  # fmt: skip
        rows, columns = values.shape
        where = tuple(
            f"{axis.name}: {axis.labels[position]}."
            for axis, position in zip(self.axes, self.positions, strict=True)
            if len(axis.labels) > 1
        )
        return Grid(
            values=values,
            valid=valid,
            band=self.part,
            bands=self.bands,
            source_size=window.size,
            transform=scaled(window.moved(shape.transform), window.columns / columns, window.rows / rows),
            crs=self.crs,
            classes=classes or None,
            unit=_unit(variable.attrs, classes),
            is_discrete=values.dtype.kind in "biu",
            notes=(*self.notes, *where, *((f"{shown}.",) if shown else ()), *shape.notes, *said),
            shown=shown,
            window=None if area is None else window,
            whole_size=None if area is None else shape.size,
        )


def open_dimensions(
    path: str | Path, name: str = "", part: str | None = None, notes: tuple[str, ...] = ()
) -> DimensionLayer:
    """
    Open a netCDF, HDF5 or Zarr file (or a Zarr folder) far enough to know its variables.

    Parameters
    ----------
    path : str or Path
        A local file or folder.
    name : str, optional
        How messages call it; the path when not given.
    part : str, optional
        The variable; the first one with rows and columns when not given.
    notes : tuple of str, optional
        What must be said with every picture.

    Raises
    ------
    SourceError
        When a package is missing, it can't be read, or holds no variable with rows and columns.

    Examples
    --------
    >>> import tempfile
    >>> xarray = __import__("pytest").importorskip("xarray")
    >>> file = tempfile.mkdtemp() + "/rain.nc"
    >>> cells = xarray.DataArray(np.zeros((2, 3, 4)), dims=("time", "y", "x"), name="rain")
    >>> _ = cells.to_netcdf(file, engine="scipy")
    >>> layer = open_dimensions(file)
    >>> layer.parts, layer.axes[0].name, layer.grid("rain", 1024).source_size
    (('rain',), 'time', (4, 3))
    """
    title = name or str(path)
    with _opened(str(path), title) as dataset, _blamed(title, part or "its variables"):
        parts = _variables(dataset)
        if not parts:
            raise SourceError(
                message(
                    "{title} holds no variable with rows and columns of numbers, so there is no map in it.",
                    title=title,
                )
            )
        if part is not None and part not in parts:
            raise SourceError(
                message(
                    "{title} has no variable {part!r} with rows and columns. {did_you_mean}",
                    title=title,
                    part=part,
                    did_you_mean=did_you_mean(part, parts),
                )
            )
        chosen = part or parts[0]
        shape = _shape_of(dataset, dataset[chosen])
    return DimensionLayer(
        store=str(path),
        title=title,
        parts=parts,
        part=chosen,
        shape=shape,
        positions=(0,) * len(shape.axes),
        notes=notes,
    )


@contextmanager
def _opened(path: str, title: str) -> Iterator[Any]:
    """Open what xarray reads, after a look at what it would follow; values as they are stored."""
    import warnings  # noqa: PLC0415 -- only here

    kind = kind_of(Path(path))
    try:
        import xarray  # noqa: PLC0415 -- 0.5 s, only for such files

        options = _options(kind, path, title)
    except ImportError as error:
        raise SourceError(
            message(
                "{title} is {kind}, and {name} is not installed, which reads it. Install it with: pip install "
                "'{extra}'",
                title=title,
                kind=kind,
                name=error.name or "xarray",
                extra=EXTRA,
            )
        ) from error
    plain: dict[str, Any] = {"mask_and_scale": False, "decode_timedelta": False, "cache": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about conventions that a file breaks
        with _blamed(title, "its variables"):
            try:
                dataset = xarray.open_dataset(**options, **plain)
            except (ValueError, OverflowError):  # times that no calendar knows
                dataset = xarray.open_dataset(**options, **plain, decode_times=False)
        with dataset:
            yield dataset


def _options(kind: str, path: str, title: str) -> dict[str, Any]:
    if kind == "Zarr":
        import zarr  # noqa: PLC0415 -- 0.3 s, only for such files

        check_codecs(Path(path), title)
        store: Any = path
        if Path(path).is_file():
            store = zarr.storage.ZipStore(path, mode="r")
        return {"filename_or_obj": store, "engine": "zarr", "chunks": None}
    if kind == "HDF5":
        import h5netcdf  # type: ignore[import-untyped]  # noqa: F401, PLC0415 -- only to say that it is missing

        check_links(Path(path), title)
        return {"filename_or_obj": path, "engine": "h5netcdf", "phony_dims": "sort"}
    return {"filename_or_obj": path, "engine": "scipy" if kind == "netCDF" else "netcdf4"}


@contextmanager
def _blamed(title: str, what: str) -> Iterator[None]:
    try:
        yield
    except (SourceError, MemoryError):
        raise
    except ImportError as error:
        raise SourceError(
            message(
                "{title} needs {name}, which is not installed. Install it with: pip install '{extra}'",
                title=title,
                name=error.name or "a package",
                extra=EXTRA,
            )
        ) from error
    except Exception as error:  # the libraries below raise anything for a broken file
        if type(error).__module__.startswith("dissmodel_lab"):
            raise
        raise SourceError(
            message(
                "{title}: {what} can't be read ({kind}: {error}). Is the file whole?",
                title=title,
                what=what,
                kind=type(error).__name__,
                error=error,
            )
        ) from error


def _variables(dataset: Any) -> tuple[str, ...]:
    """Variables with rows and columns of numbers, those with the most cells first among equals in order."""
    bounds = {dataset[name].attrs.get("bounds") for name in dataset.variables}
    return tuple(
        str(name)
        for name, variable in dataset.data_vars.items()
        if variable.ndim >= 2 and variable.size and variable.dtype.kind in DRAWABLE_KINDS and name not in bounds  # noqa: PLR2004 -- rows and columns
    )


def _shape_of(dataset: Any, variable: Any) -> Shape:
    rows, columns = _plane_dims(dataset, variable)
    sizes = dict(zip(variable.dims, variable.shape, strict=True))
    axes = tuple(Axis(str(d), _labels(dataset, d, sizes[d])) for d in variable.dims if d not in {rows, columns})
    y, x = _coordinate(dataset, rows), _coordinate(dataset, columns)
    size = sizes[columns], sizes[rows]
    mapping, notes = _grid_mapping(dataset, variable)
    if y is None or x is None:
        said = _no_coordinates(variable)
        return Shape(str(rows), str(columns), size, axes, None, "", (*notes, *said))
    steps = _step(y.values), _step(x.values)
    if steps[0] is None or steps[1] is None:
        uneven = rows if steps[0] is None else columns
        said = (message("Cells are not evenly spaced along {uneven!r}.", uneven=uneven),)
        return Shape(str(rows), str(columns), size, axes, None, "", (*notes, *said))
    crs, more = _crs_of(mapping, y, x)
    factors = _factor(y, mapping), _factor(x, mapping)
    from affine import Affine  # noqa: PLC0415 -- only for those with a georeference

    down, across = steps[0] * factors[0], steps[1] * factors[1]
    top, left = float(y.values[0]) * factors[0] - down / 2, float(x.values[0]) * factors[1] - across / 2
    transform = Affine(across, 0, left, 0, down, top)
    return Shape(str(rows), str(columns), size, axes, transform, crs, (*notes, *more))


def _plane_dims(dataset: Any, variable: Any) -> tuple[Hashable, Hashable]:
    """Find the dimensions of rows and columns: by their attributes, by their names, else the last two."""
    dims = list(variable.dims)
    rows = next((d for d in dims if _is_axis(dataset, d, "Y", LATITUDES, ROWS)), None)
    columns = next((d for d in dims if _is_axis(dataset, d, "X", LONGITUDES, COLUMNS)), None)
    if rows is None or columns is None or rows == columns:
        return dims[-2], dims[-1]
    return rows, columns


def _is_axis(dataset: Any, dim: Hashable, axis: str, standard_names: set[str], names: frozenset[str]) -> bool:
    attrs = dataset[dim].attrs if dim in dataset.variables else {}
    standard = str(attrs.get("standard_name", ""))
    if standard in standard_names or attrs.get("axis") == axis:
        return True
    return str(dim).lower() in names


def _coordinate(dataset: Any, dim: Hashable) -> Any:
    """Return the numbers along a dimension, or None."""
    if dim not in dataset.variables or dataset[dim].ndim != 1 or dataset[dim].dtype.kind not in "iuf":
        return None
    return dataset[dim]


def _no_coordinates(variable: Any) -> tuple[str, ...]:
    two = [str(name) for name, c in variable.coords.items() if c.ndim == 2]  # noqa: PLR2004 -- rows and columns
    if not two:
        return ()
    return (
        message(
            "Each cell has a place of its own ({two}: a curvilinear grid), which a grid can't show.",
            two=", ".join(two[:2]),
        ),
    )


def _step(values: NDArray[Any]) -> float | None:
    """Return the distance of neighbours; None when they aren't evenly spaced."""
    numbers = np.asarray(values, np.float64)
    if len(numbers) < 2 or not np.isfinite(numbers).all():  # noqa: PLR2004 -- a distance needs two
        return None
    step = float((numbers[-1] - numbers[0]) / (len(numbers) - 1))
    even = numbers[0] + step * np.arange(len(numbers))
    return step if step and np.abs(numbers - even).max() <= TOLERANCE * abs(step) else None


def _grid_mapping(dataset: Any, variable: Any) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    name = (
        str(variable.attrs.get("grid_mapping") or variable.encoding.get("grid_mapping") or "").split(":")[0].strip()
    )
    if not name and "spatial_ref" in dataset.variables:
        name = "spatial_ref"
    if not name:
        return {}, ()
    if name not in dataset.variables:
        return {}, (
            message("The file says that {name!r} describes its CRS, but there is no such variable.", name=name),
        )
    return dict(dataset[name].attrs), ()


def _crs_of(mapping: Mapping[str, Any], y: Any, x: Any) -> tuple[str, tuple[str, ...]]:
    """Return the WKT of the CRS, and what to say."""
    from pyproj import CRS  # noqa: PLC0415 -- only for those with a georeference
    from pyproj.exceptions import CRSError  # noqa: PLC0415

    if mapping:
        text = mapping.get("crs_wkt") or mapping.get("spatial_ref")
        try:
            crs = CRS.from_wkt(str(text)) if text else CRS.from_cf(dict(mapping))
            return crs.to_wkt(), ()
        except (CRSError, KeyError, ValueError, TypeError):
            return "", (message("The CRS that the file describes can't be understood."),)
    units = str(y.attrs.get("units", "")).lower(), str(x.attrs.get("units", "")).lower()
    names = str(y.name).lower(), str(x.name).lower()
    by_unit = units[0].startswith("degree") and units[1].startswith("degree") and not names[0].startswith("r")
    by_name = names[0] in {"lat", "latitude"} and names[1] in {"lon", "long", "longitude"}
    if by_unit or by_name:
        return CRS.from_epsg(4326).to_wkt(), (
            message("No CRS is named: longitude and latitude are taken as WGS 84 (EPSG:4326)."),
        )
    return "", ()


def _factor(coordinate: Any, mapping: Mapping[str, Any]) -> float:
    """Return what a coordinate must be multiplied with to be in the CRS's units."""
    unit = str(coordinate.attrs.get("units", "")).strip().lower()
    height = mapping.get("perspective_point_height")
    if height is not None and unit in {"rad", "radian", "radians"}:
        return float(height)  # a scan angle times the height: PROJ's geos
    return METRES.get(unit, 1.0)


def _labels(dataset: Any, dim: Hashable, size: int) -> tuple[str, ...]:
    """Return what a person reads at each position of an axis: dates as dates, numbers with their unit."""
    if dim not in dataset.variables or dataset[dim].ndim != 1 or size > MAX_LABELS:
        return tuple(str(i + 1) for i in range(size))
    coordinate = dataset[dim]
    values = coordinate.values
    if values.dtype.kind == "M":
        texts = [str(value) for value in np.datetime_as_string(values, unit="s")]
        return tuple(t[:10] for t in texts) if all(t.endswith("T00:00:00") for t in texts) else tuple(texts)
    unit = str(coordinate.attrs.get("units", ""))
    if values.dtype.kind in "iuf":
        return tuple(f"{value:g} {unit}".strip() for value in values.tolist())
    return tuple(str(value).removesuffix(" 00:00:00")[:60] for value in values.tolist())


def _read(plane: Any, window: Window, factor: int) -> tuple[NDArray[Any], int]:
    """
    Read evenly spread cells, slab by slab.

    Returns
    -------
    values : ndarray
        (height, width), as stored.
    coarse : int
        1, or how many times fewer rows were read because it took too long.
    """
    from dissmodel_lab.maps.reading import check_stopped  # noqa: PLC0415 -- brings rasterio

    rows = window.row + centres(window.rows, decimated(window.rows, factor))
    columns = centres(window.columns, decimated(window.columns, factor))
    across = slice(window.column, window.column + window.columns)
    out = np.empty((len(rows), len(columns)), plane.dtype)
    chunk = _chunk_rows(plane)
    slab = max(1, PIECE // window.columns)
    start, at, done = time.perf_counter(), 0, 0
    while at < len(rows):
        check_stopped()
        spent = time.perf_counter() - start
        if at and spent > SECONDS / 4 and spent * len(rows) / at > SECONDS:
            return _coarser(plane, window, rows, columns, max(1, int(done * SECONDS / 2 / spent)))
        last = int(np.searchsorted(rows, rows[at] + slab))
        if factor > 2 * chunk:  # rows stand alone: those between needn't be read
            last = at + 1
        lines = plane[int(rows[at]) : int(rows[last - 1]) + 1, across].values
        out[at:last] = lines[np.ix_(rows[at:last] - rows[at], columns)]
        at, done = last, done + 1
    return out, 1


def _coarser(
    plane: Any, window: Window, rows: NDArray[Any], columns: NDArray[Any], affordable: int
) -> tuple[NDArray[Any], int]:
    """Read so many of the rows, each standing for those around it."""
    from dissmodel_lab.maps.reading import check_stopped  # noqa: PLC0415 -- brings rasterio

    times = max(2, math.ceil(len(rows) / affordable))
    few = rows[centres(len(rows), math.ceil(len(rows) / times))]
    out = np.empty((len(few), len(columns)), plane.dtype)
    across = slice(window.column, window.column + window.columns)
    for at, row in enumerate(few):
        check_stopped()
        out[at] = plane[int(row), across].values[columns]
    return out, times


def _chunk_rows(plane: Any) -> int:
    """How many rows are stored together."""
    chunks = plane.encoding.get("chunksizes") or plane.encoding.get("preferred_chunks") or {}
    if isinstance(chunks, dict):
        return int(chunks.get(plane.dims[0], 1))
    return int(chunks[-2]) if len(chunks) >= 2 else 1  # noqa: PLR2004 -- rows and columns


def _values(
    stored: NDArray[Any], attrs: Mapping[str, Any]
) -> tuple[NDArray[Any], NDArray[np.bool_], tuple[str, ...]]:
    """Unpack stored numbers, and find those that are values."""
    if str(attrs.get("_Unsigned", "")).lower() == "true" and stored.dtype.kind == "i":
        stored = stored.view(f"u{stored.dtype.itemsize}")
    stored = np.asarray(stored, stored.dtype.newbyteorder("="))
    valid, notes = usable(stored)
    for name in ("_FillValue", "missing_value"):
        for fill in np.atleast_1d(attrs.get(name, ())).ravel():
            if isinstance(fill, np.number | int | float) and np.isfinite(fill):
                valid &= stored != np.asarray(fill).astype(stored.dtype)
    low, high = _limits(attrs)
    if low is not None:
        valid &= stored >= low
    if high is not None:
        valid &= stored <= high
    scale, offset = (_number(attrs.get("scale_factor"), 1.0), _number(attrs.get("add_offset"), 0.0))
    if (scale, offset) != (1.0, 0.0) and scale:
        said = message(
            "Values are the stored numbers times {scale:g} plus {offset:g}, as the file says.",
            scale=scale,
            offset=offset,
        )
        return stored * np.float64(scale) + offset, valid, (*notes, said)
    return stored, valid, notes


def _limits(attrs: Mapping[str, Any]) -> tuple[float | None, float | None]:
    both = np.atleast_1d(attrs.get("valid_range", ())).ravel()
    if both.size == 2 and both.dtype.kind in "iuf":  # noqa: PLR2004 -- lowest and highest
        return both[0], both[1]
    return _number(attrs.get("valid_min"), None), _number(attrs.get("valid_max"), None)


def _number(value: Any, otherwise: Any) -> Any:
    array = np.atleast_1d(value)
    is_number = array.size == 1 and array.dtype.kind in "iuf" and np.isfinite(array[0])
    return array[0].item() if is_number else otherwise


def flags(attrs: Mapping[str, Any]) -> Classes:
    """
    Return the classes that CF's flags name: ``flag_values`` and ``flag_meanings``.

    Parameters
    ----------
    attrs : mapping
        Of the variable.

    Examples
    --------
    >>> flags({"flag_values": np.array([1, 2], "int8"), "flag_meanings": "forest open_water"})
    {1: ('forest', ''), 2: ('open water', '')}
    """
    values = np.atleast_1d(attrs.get("flag_values", ())).ravel()
    meanings = str(attrs.get("flag_meanings", "")).split()
    if not values.size or values.size != len(meanings) or values.dtype.kind not in "iu":
        return {}
    return {int(value): (meaning.replace("_", " "), "") for value, meaning in zip(values, meanings, strict=True)}


def _unit(attrs: Mapping[str, Any], classes: Classes) -> str:
    unit = str(attrs.get("units", ""))
    return "" if classes or unit in {"1", "-", "none", "unitless"} else unit[:40]
