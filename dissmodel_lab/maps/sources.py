"""A source of any kind -> an opened layer.

A file is known by its content: the first bytes say what is tried first, and what GDAL makes of it decides.
Only local files are opened; nothing is unpacked to disk.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.errors import SourceError
from dissmodel_lab.executor.schemas import DataSource
from dissmodel_lab.maps import arrays
from dissmodel_lab.rasters import Raster

if TYPE_CHECKING:
    from dissmodel_lab.maps.grid import Layer

ZIP_MAGIC = b"PK\x03\x04"
#: TIFF and BigTIFF in both byte orders.
RASTER_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: What a zip may contain, in the order of preference; the other files of a shapefile come along.
ZIP_MEMBERS = (".tif", ".tiff", ".shp", ".gpkg", ".geojson", ".json")


def open_layer(source: Any) -> Layer:
    """
    Open anything that can be drawn.

    Parameters
    ----------
    source : path, DataSource, Raster, GeoDataFrame, ndarray, object with ``arrays``, or opened layer
        What :func:`~dissmodel_lab.maps.preview` takes.

    Returns
    -------
    Layer
        Hands out one band after the other; opening it once is cheaper than drawing each band anew.

    Raises
    ------
    SourceError
        When it is missing, empty, unreadable or not a map.

    Examples
    --------
    >>> open_layer(np.zeros((2, 3))).bands
    ('band_1',)
    >>> open_layer("nowhere.tif")
    Traceback (most recent call last):
        ...
    dissmodel_lab.errors.SourceError: nowhere.tif doesn't exist. Check the path.
    """
    if isinstance(source, str | Path):
        return _open_path(str(source))
    if isinstance(source, DataSource):
        return _open_path(source.uri, source.type)
    return _open_object(source)


def _open_object(source: Any) -> Layer:
    if hasattr(source, "grid") and hasattr(source, "default_band"):
        layer: Layer = source
        return layer
    if isinstance(source, Raster):
        return arrays.from_raster(source)
    if isinstance(source, np.ndarray):
        return arrays.from_array(source)
    if hasattr(type(source), "geometry") and hasattr(type(source), "total_bounds"):  # without importing geopandas
        from dissmodel_lab.maps.vector import from_table  # noqa: PLC0415 -- brings geopandas, 0.5 s

        return from_table(source)
    if hasattr(source, "arrays") and hasattr(source.arrays, "items"):
        return arrays.from_named_arrays(source)
    raise SourceError(
        f"A {type(source).__name__} can't be shown on a map. A path, a DataSource, a Raster, a GeoDataFrame, "
        "a numpy array or an object with named `arrays` can."
    )


def _open_path(uri: str, kind: str = "local") -> Layer:
    uri = uri.removeprefix("file://")
    if kind != "local" or "://" in uri:
        raise SourceError(f"{uri} is not a local file ({kind}). Fetch it first, then show the fetched file.")
    path = Path(uri)
    if not uri or not path.exists():
        raise SourceError(f"{uri or 'An empty path'} doesn't exist. Check the path.")
    if not path.is_file():
        raise SourceError(f"{uri} is a folder, not a map. Name one of the files in it.")
    try:
        with path.open("rb") as file:
            magic = file.read(16)
    except OSError as error:
        raise SourceError(f"{uri} can't be read ({error.strerror}). Check its permissions.") from error
    if not magic:
        raise SourceError(f"{uri} is empty (0 bytes). Write or fetch it again.")
    if magic.startswith(ZIP_MAGIC):
        return _open_zip(path)
    return _open_file(str(path.absolute()), uri, is_raster=magic.startswith(RASTER_MAGIC))


def _open_zip(path: Path) -> Layer:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except zipfile.BadZipFile as error:
        raise SourceError(f"{path} is a damaged zip file ({error}). Fetch it again.") from error
    found = [m for ending in ZIP_MEMBERS for m in members if m.lower().endswith(ending)]
    if not found:
        raise SourceError(f"{path} is a zip file without a map in it. Known in a zip: {', '.join(ZIP_MEMBERS)}.")
    first = found[0]
    notes = (f"{first} is shown, one of {len(found)} maps in {path.name}.",) if len(found) > 1 else ()
    # braces: GDAL's way to name an archive whatever its ending
    return _open_file(
        f"/vsizip/{{{path.absolute()}}}/{first}",
        f"{path} ({first})",
        is_raster=first.lower().endswith((".tif", ".tiff")),
        notes=notes,
    )


def _open_file(path: str, name: str, *, is_raster: bool, notes: tuple[str, ...] = ()) -> Layer:
    from pyogrio.errors import (  # type: ignore[import-untyped]  # noqa: PLC0415 -- no stubs; GDAL only for files
        DataSourceError,
    )
    from rasterio.errors import RasterioError  # noqa: PLC0415

    from dissmodel_lab.maps.raster import open_raster  # noqa: PLC0415
    from dissmodel_lab.maps.vector import open_table  # noqa: PLC0415

    reasons = []
    for opened in (open_raster, open_table) if is_raster else (open_table, open_raster):
        try:
            return opened(path, name, notes)
        except (RasterioError, DataSourceError) as error:
            reasons.append(str(error).replace(path, name))
    reason = reasons[0] if is_raster else reasons[-1]
    raise SourceError(
        f"{name} is not a map that can be read: {reason.rstrip('.')}. "
        "GeoTIFF, GeoPackage, shapefile, GeoJSON, or a zip with one of them can be."
    )
