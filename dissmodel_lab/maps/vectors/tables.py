"""Where the rows of a table come from: memory, a file that GDAL reads, a Parquet file.

Of a large file the geometries are read once, and a column when it is asked for.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import geopandas
import numpy as np
import pandas as pd
import pyogrio  # type: ignore[import-untyped]  # it has no stubs
import shapely

from dissmodel_lab.errors import SourceError, did_you_mean, shown
from dissmodel_lab.language import message
from dissmodel_lab.maps.grid import to_crs
from dissmodel_lab.maps.vectors.columns import ID_NAMES
from dissmodel_lab.maps.vectors.packed import Packed, shapes_of
from dissmodel_lab.maps.vectors.packed import unread as unread_of
from dissmodel_lab.maps.vectors.shapefiles import ZIP, Sidecars, siblings_of, sidecars_of, with_index
from dissmodel_lab.quiet import quiet_about

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from pyproj import CRS

#: More of a file than this isn't read: features [-], and bytes of the file or of its geometries unpacked.
MAX_FEATURES, MAX_BYTES = 2_000_000, 1 << 30
#: Files with fewer values than this are read at once, columns and all.
AT_ONCE = 200_000
#: Formats of which one column is read in less time than all: others are read at once.
COLUMN_WISE = frozenset({"GPKG", "FlatGeobuf", "ESRI Shapefile"})
#: Formats whose texts are in UTF-8.
UTF_8 = frozenset({"GPKG", "FlatGeobuf"})
#: Rows that are read to judge a column.
SAMPLE = 1_000
#: More rows of a part than this take too long to be read at each movement of the map.
MOST_NEAR = 200_000
#: Columns of a large file that are kept.
KEPT = 8
#: Names of layers or columns that are listed in a sentence.
LISTED = 8
#: Types of geometries that come as they are when they are read in columns; others are curves, or have heights.
PLAIN = frozenset({"Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"})
#: pyarrow is an extra.
HAS_ARROW = find_spec("pyarrow") is not None

Box = tuple[float, float, float, float]


class Rows(Protocol):
    """The rows of one table."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names in order, without the geometry's."""

    @property
    def numbers(self) -> frozenset[str]:
        """Columns known to hold numbers, without reading them."""

    @property
    def geometry(self) -> NDArray[Any]:
        """(n,) shapely geometries."""

    @property
    def packed(self) -> NDArray[Any] | Packed:
        """The same, or as they lie in the file."""

    @property
    def crs(self) -> CRS | None:
        """None when unknown."""

    @property
    def is_whole(self) -> bool:
        """Whether all rows are here; else :meth:`within` reads those of a part."""

    @property
    def table(self) -> geopandas.GeoDataFrame:
        """All columns; of a large file this reads them."""

    def column(self, name: str) -> pd.Series[Any]:
        """Return one column."""

    def sample(self, name: str) -> pd.Series[Any]:
        """Return the first values of a column."""

    def record(self, row: int) -> dict[Any, Any]:
        """Return the values of one row."""

    def within(self, box: Box) -> Rows | None:
        """Return the rows that touch (west, south, east, north); None when that takes too long."""


def column_of(table: pd.DataFrame, name: str) -> pd.Series[Any]:
    """
    Return a column by its name as text; the first of two that are called the same.

    Examples
    --------
    >>> column_of(pd.DataFrame({1: [5]}), "1").tolist()
    [5]
    """
    number = next(i for i, one in enumerate(table.columns) if str(one) == name)
    return table.iloc[:, number]


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryRows:
    """A GeoDataFrame."""

    table: geopandas.GeoDataFrame
    is_whole: bool = True

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names in order, without the geometry's."""
        return tuple(str(name) for name in self.table.columns if name != self.table.geometry.name)

    @property
    def numbers(self) -> frozenset[str]:
        """Columns of numbers."""
        kinds = self.table.dtypes
        return frozenset(str(n) for n, kind in kinds.items() if pd.api.types.is_numeric_dtype(kind))

    @cached_property
    def geometry(self) -> NDArray[Any]:
        """(n,) shapely geometries."""
        return np.asarray(self.table.geometry.values)

    @property
    def packed(self) -> NDArray[Any]:
        """The same."""
        return self.geometry

    @property
    def crs(self) -> CRS | None:
        """None when unknown."""
        crs: CRS | None = self.table.crs
        return crs

    def column(self, name: str) -> pd.Series[Any]:
        """Return one column."""
        return column_of(self.table, name)

    def sample(self, name: str) -> pd.Series[Any]:
        """Return the column: it is here."""
        return self.column(name)

    def record(self, row: int) -> dict[Any, Any]:
        """Return the values of one row."""
        return {name: self.column(name).iloc[row] for name in self.columns}

    def within(self, box: Box) -> Rows | None:  # noqa: ARG002 -- the protocol's
        """Return None: all is here."""
        return None


@dataclass(frozen=True, kw_only=True, eq=False)
class FileRows:
    """A large file: geometries are read once, columns when they are asked for."""

    name: str
    """How messages call it."""
    columns: tuple[str, ...]
    numbers: frozenset[str]
    crs: CRS | None
    is_whole: bool
    read: Callable[..., Any]
    """``read(columns=[...], geometry=bool, box=..., first=..., rows=...)`` -> (Geo)DataFrame."""
    unread: Callable[[], NDArray[Any] | Packed]
    """Reads the geometries."""
    can_find: bool = False
    """Whether the file has a spatial index."""
    kept: dict[str, pd.Series[Any]] = field(default_factory=dict)
    """The columns that were asked for last."""

    @cached_property
    def packed(self) -> NDArray[Any] | Packed:
        """The geometries, or as they lie in the file."""
        return self.unread()

    @property
    def geometry(self) -> NDArray[Any]:
        """(n,) shapely geometries."""
        return shapes_of(self.packed)

    @cached_property
    def table(self) -> geopandas.GeoDataFrame:
        """All columns."""
        table: geopandas.GeoDataFrame = self.read(columns=list(self.columns), geometry=True)
        return table

    def column(self, name: str) -> pd.Series[Any]:
        """Return one column."""
        if name not in self.kept:
            while len(self.kept) >= KEPT:
                del self.kept[next(iter(self.kept))]
            self.kept[name] = column_of(self.read(columns=[name], geometry=False), name)
        return self.kept[name]

    def sample(self, name: str) -> pd.Series[Any]:
        """Return the first values of a column."""
        return column_of(self.read(columns=[name], geometry=False, first=SAMPLE), name)

    def record(self, row: int) -> dict[Any, Any]:
        """Return the values of one row."""
        found = self.read(columns=list(self.columns), geometry=False, skip=row, first=1)
        return {name: column_of(found, name).iloc[0] for name in self.columns} if len(found) else {}

    def within(self, box: Box) -> Rows | None:
        """Return the rows that touch a box, when the file has an index to find them by."""
        if self.is_whole or not self.can_find:
            return None
        found = self.read(columns=list(self.columns), geometry=True, box=box, first=MOST_NEAR + 1)
        return MemoryRows(table=found) if len(found) <= MOST_NEAR else None


@contextmanager
def _as_source_error(name: str) -> Iterator[None]:
    """Say in a sentence what GDAL says; that GDAL knows no such format stays GDAL's error."""
    try:
        # A file is known by its content here, so its ending needs no warning; nor do its heights and measures.
        with quiet_about(RuntimeWarning), quiet_about(UserWarning, "Measured"):
            yield
    except pyogrio.errors.DataSourceError:
        raise
    except (RuntimeError, ValueError, OSError, shapely.errors.ShapelyError, MemoryError) as error:
        if isinstance(error, SourceError):
            raise
        said = shown(str(error)).strip("'\"").rstrip(".")
        raise SourceError(
            message(
                "{name} can't be read as features: {said}. Check the file, or fetch it again.", name=name, said=said
            )
        ) from error


def read_file(path: str, name: str, part: str | None) -> tuple[Rows, tuple[str, ...], tuple[str, ...], str]:
    """
    Open a file that GDAL reads.

    Parameters
    ----------
    path : str
        What GDAL opens.
    name : str
        How messages call it.
    part : str or None
        One of its layers; the first one with geometries when not given.

    Returns
    -------
    rows : Rows
        The layer's.
    notes : tuple of str
        What must be said.
    parts : tuple of str
        All layers with geometries; empty when there is one.
    part : str
        The one that this is; empty when there is one.

    Raises
    ------
    pyogrio.errors.DataSourceError
        When GDAL knows no vector format that it is.
    SourceError
        When it holds no geometries, no such layer, or is broken.
    """
    beside = sidecars_of(path)
    with _as_source_error(name):
        if beside.lacks_index:
            with with_index(path) as whole:
                return _read_layer(whole, name, part, beside)
        return _read_layer(path, name, part, beside)


def _read_layer(
    path: str, name: str, part: str | None, beside: Sidecars
) -> tuple[Rows, tuple[str, ...], tuple[str, ...], str]:
    layers = [str(layer) for layer, kind in pyogrio.list_layers(path) if kind is not None]
    if not layers:
        raise pyogrio.errors.DataSourceError(message("{name} holds no layer with geometries", name=name))
    if part is not None and part not in layers:
        raise SourceError(
            message(
                "{name} holds no layer {part!r}. {did_you_mean}",
                name=name,
                part=shown(part),
                did_you_mean=did_you_mean(part, layers),
            )
        )
    layer = layers[0] if part is None else part
    notes = beside.notes
    if len(layers) > 1:
        listing = ", ".join(map(shown, layers[:LISTED])) + (", ..." if len(layers) > LISTED else "")
        notes = (
            *notes,
            message(
                "Layer {layer} is shown, one of {n_layers}: {listing}.",
                layer=shown(layer),
                n_layers=len(layers),
                listing=listing,
            ),
        )
    info = pyogrio.read_info(path, layer=layer, encoding=beside.encoding)
    budget = _budget(path, info["features"])
    rows = _open_rows(path, name, layer, info, budget, beside)
    total, have = info["features"], len(rows.packed)
    if have < total or (total < 0 and have >= budget):
        of = message(" of {total:,}", total=total) if total > 0 else ""
        where = message("; where the map is enlarged all are") if rows.within((0, 0, 0, 0)) is not None else ""
        notes = (
            *notes,
            message("{have:,}{of} features drawn: the first ones of the file{where}.", have=have, of=of, where=where),
        )
    return rows, notes, (tuple(layers) if len(layers) > 1 else ()), (layer if len(layers) > 1 else "")


def _budget(path: str, total: int) -> int:
    """Return how many features may be read, by their number and the size of the file."""
    size = max((file.stat().st_size for file in files_of(path) if file.is_file()), default=0)
    if size > MAX_BYTES and total > 0:
        return max(1, min(MAX_FEATURES, int(total * MAX_BYTES / size)))
    return MAX_FEATURES


def _open_rows(  # noqa: PLR0917 -- what is known of the layer
    path: str, name: str, layer: str, info: dict[str, Any], budget: int, beside: Sidecars
) -> Rows:
    fields, total = [str(one) for one in info["fields"]], info["features"]
    kinds = zip(fields, info["dtypes"], strict=True)
    numbers = frozenset(one for one, kind in kinds if np.dtype(str(kind)).kind in "iuf")
    # read in columns: 3 times as fast, and the same for numbers, and for texts that are sure to be UTF-8
    texts = zip(fields, info["ogr_types"], info["ogr_subtypes"], strict=True) if info["driver"] in UTF_8 else ()
    quick = numbers.union(one for one, kind, more in texts if (kind, more) == ("OFTString", "OFSTNone"))
    stamp = _stamp_of(path)

    def read(
        *, columns: list[str], geometry: bool, box: Box | None = None, first: int | None = None, skip: int = 0
    ) -> Any:
        if _stamp_of(path) != stamp:
            raise SourceError(message("{name} has changed since it was opened. Open it again.", name=name))
        with _as_source_error(name):
            table = pyogrio.read_dataframe(
                path,
                layer=layer,
                encoding=beside.encoding,
                columns=columns,
                read_geometry=geometry,
                force_2d=True,
                bbox=box,
                max_features=min(budget, first or budget),
                skip_features=skip,
                use_arrow=not geometry and bool(columns) and quick.issuperset(columns) and HAS_ARROW,
            )
        if geometry and not isinstance(table, geopandas.GeoDataFrame):
            raise SourceError(
                message("{name} is a table without geometries. A map needs a geometry for each row.", name=name)
            )
        return table

    kept: dict[str, pd.Series[Any]] = {}
    # what will be shown first comes along with the geometries: reading it alone takes as long as reading those
    early = [one for one in fields if not one.startswith("_") and not ID_NAMES.match(one)][:1]

    def unread() -> NDArray[Any] | Packed:
        if HAS_ARROW and info["geometry_type"] in PLAIN and _stamp_of(path) == stamp:
            with suppress(
                RuntimeError, ValueError, OSError, LookupError, shapely.errors.ShapelyError
            ):  # the slower way tells it
                most = budget if total < 0 or total > budget else None
                found, columns = _by_arrow(path, layer, most, [one for one in early if one in numbers])
                kept.update(columns)
                return found
        return np.asarray(read(columns=[], geometry=True).geometry.values)

    is_slow = info.get("driver") not in COLUMN_WISE
    if beside.lacks_index or is_slow or 0 <= total * max(1, len(fields)) <= AT_ONCE:
        return MemoryRows(table=read(columns=fields, geometry=True))
    crs, _ = to_crs(info["crs"])
    can_find = bool(info.get("capabilities", {}).get("fast_spatial_filter"))
    rows = FileRows(
        name=name,
        columns=tuple(fields),
        numbers=numbers,
        crs=crs,
        is_whole=0 <= total <= budget,
        read=read,
        unread=unread,
        can_find=can_find,
        kept=kept,
    )
    _ = rows.packed  # broken files are told when they are opened
    return rows


def _by_arrow(
    path: str, layer: str, most: int | None, columns: list[str]
) -> tuple[NDArray[Any] | Packed, dict[str, pd.Series[Any]]]:
    """Read geometries and numbers in columns, which takes a fifth of the time of reading them one by one."""
    with quiet_about(RuntimeWarning):
        facts, table = pyogrio.raw.read_arrow(
            path, layer=layer, columns=columns, read_geometry=True, max_features=most
        )
    geometry = unread_of(table.column(facts["geometry_name"] or "wkb_geometry"))
    return geometry, {name: table.column(name).to_pandas() for name in columns}


def files_of(path: str) -> tuple[Path, ...]:
    """
    Return the files that a table depends on: its own, of a shapefile those beside it, or the archive.

    Examples
    --------
    >>> [file.name for file in files_of("/vsizip/{maps.zip}/trees.shp")]
    ['maps.zip']
    """
    path = path.removeprefix("GeoJSON:").removeprefix("GeoJSONSeq:")  # which driver is meant
    if path.startswith(ZIP):
        return (Path(path[len(ZIP) :].partition("}")[0]),)
    if path.startswith("/vsi"):
        return ()
    if not path.lower().endswith(".shp"):
        return (Path(path),)
    return tuple(Path(file) for _, (_, file) in sorted(siblings_of(path).items()))


def _stamp_of(path: str) -> tuple[tuple[int, int], ...] | None:
    """Sizes and times of the files; None when one has gone."""
    try:
        found = [file.stat() for file in files_of(path)]
    except OSError:
        return None
    return tuple((one.st_size, one.st_mtime_ns) for one in found)


def read_parquet(path: str, name: str) -> tuple[Rows, tuple[str, ...]]:
    """
    Open a GeoParquet file.

    Parameters
    ----------
    path : str
        A local file.
    name : str
        How messages call it.

    Raises
    ------
    SourceError
        When it is broken, has no geometries, or nothing is installed that reads it.

    References
    ----------
    OGC (2024), GeoParquet 1.1: the metadata key ``geo``.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 -- an extra, and 0.1 s
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise SourceError(
            message("{name} is a Parquet file; reading it needs pyarrow: pip install pyarrow.", name=name)
        ) from error
    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(
            message(
                "{name} is no Parquet file that can be read: {first_line}.", name=name, first_line=_first_line(error)
            )
        ) from error
    column, crs, notes = _geometry_column(file, name)
    groups, count, of = _groups_within(file, column)
    if count < of:
        notes = (
            *notes,
            message("{count:,} of {of:,} features drawn: the first ones of the file.", count=count, of=of),
        )
    fields = tuple(one for one in file.schema_arrow.names if one != column and not _is_box(file, one))

    @contextmanager
    def told() -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError, shapely.errors.ShapelyError, MemoryError) as error:
            raise SourceError(
                message(
                    "{name} can't be read: {first_line}. Fetch it again.", name=name, first_line=_first_line(error)
                )
            ) from error

    def read(*, columns: list[str], geometry: bool, first: int | None = None, skip: int = 0, **_: Any) -> Any:
        wanted = [*columns, *([column] if geometry else [])]
        with told():
            table = _groups_read(file, groups, wanted, first, skip)
            frame = table.select(columns).to_pandas()
            if not geometry:
                return frame
            shapes = shapes_of(_shapes_of(table.column(column), column, path))
        return geopandas.GeoDataFrame(frame, geometry=shapes, crs=crs)

    def unread() -> NDArray[Any] | Packed:
        with told():
            return _shapes_of(_groups_read(file, groups, [column], None, 0).column(column), column, path)

    numbers = frozenset(
        one.name for one in file.schema_arrow if pa.types.is_integer(one.type) or pa.types.is_floating(one.type)
    )
    rows: Rows = FileRows(
        name=name, columns=fields, numbers=numbers, crs=crs, is_whole=count == of, read=read, unread=unread
    )
    if count * max(1, len(fields)) <= AT_ONCE:
        return MemoryRows(table=rows.table), notes
    _ = rows.packed  # broken files are told when they are opened
    return rows, notes


def _first_line(error: BaseException) -> str:
    return shown(str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__).rstrip(".")


def _geometry_column(file: Any, name: str) -> tuple[str, CRS | None, tuple[str, ...]]:
    metadata = file.schema_arrow.metadata or {}
    try:
        about = json.loads(metadata[b"geo"])
        column = str(about["primary_column"])
        own = about["columns"][column]
    except (KeyError, ValueError, TypeError):
        raise SourceError(
            message(
                "{name} is a Parquet table without geometries: the metadata of GeoParquet ('geo') is missing or "
                "broken. Write it with GeoDataFrame.to_parquet.",
                name=name,
            )
        ) from None
    if column not in file.schema_arrow.names:
        raise SourceError(
            message(
                "{name} names {column!r} as its geometry, but has no such column.", name=name, column=shown(column)
            )
        )
    # without the key the standard says OGC:CRS84; null means unknown
    crs, notes = to_crs(own.get("crs", "OGC:CRS84"))
    return column, crs, notes


def _is_box(file: Any, name: str) -> bool:
    """Bounds of features, which GeoParquet 1.1 keeps in a column of their own."""
    kind = str(file.schema_arrow.field(name).type)
    return name == "bbox" and kind.startswith("struct<xmin")


def _groups_within(file: Any, column: str) -> tuple[list[int], int, int]:
    """Return the row groups that fit the budget, their rows, and all rows."""
    number = [file.metadata.schema.column(i).path.split(".")[0] for i in range(len(file.metadata.schema))].index(
        column
    )
    chosen: list[int] = []
    rows = size = 0
    for group in range(file.metadata.num_row_groups):
        about = file.metadata.row_group(group)
        size += about.column(number).total_uncompressed_size
        if chosen and (rows + about.num_rows > MAX_FEATURES or size > MAX_BYTES):
            break
        chosen.append(group)
        rows += about.num_rows
        if size > MAX_BYTES:
            break
    return chosen, min(rows, MAX_FEATURES), file.metadata.num_rows


def _groups_read(file: Any, groups: list[int], columns: list[str], first: int | None, skip: int) -> Any:
    import pyarrow as pa  # noqa: PLC0415 -- as above

    most = MAX_FEATURES if first is None else first
    if first is None:
        return file.read_row_groups(groups, columns=columns).slice(0, most)
    batches, at = [], 0
    for batch in file.iter_batches(batch_size=65_536, row_groups=groups, columns=columns):
        if at + batch.num_rows > skip:
            batches.append(batch.slice(max(0, skip - at), most))
            most -= batches[-1].num_rows
        at += batch.num_rows
        if most <= 0:
            break
    schema = pa.schema([file.schema_arrow.field(one) for one in columns])
    return pa.Table.from_batches(batches) if batches else schema.empty_table()


def _shapes_of(column: Any, name: str, path: str) -> NDArray[Any] | Packed:
    import pyarrow as pa  # noqa: PLC0415 -- as above

    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return unread_of(column, on_invalid="ignore")
    # points and polygons as nested lists: GeoParquet 1.1's other encodings
    table = geopandas.read_parquet(path, columns=[name])
    return np.asarray(table.geometry.values)[: len(column)]
