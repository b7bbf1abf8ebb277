"""What a file is, by its first bytes: on the list of what is opened, or why not.

A name's ending decides only where a format has no signature of its own (text), and of shapefiles, for GDAL's sake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

#: How a file is opened.
Way = Literal["raster", "vector", "parquet", "dimensions", "zip"]
#: What a person may name, in words.
ALLOWED = (
    "GeoTIFF, PNG, JPEG, ESRI ASCII grid and ENVI rasters; GeoPackage, shapefile, GeoJSON, FlatGeobuf and "
    "GeoParquet; "
    "netCDF, HDF5 and Zarr; a zip with one of the first nine"
)
#: The beginning of a file that is looked at [bytes].
HEAD = 65_536


@dataclass(frozen=True)
class Kind:
    """A format that is opened."""

    name: str
    """How messages call it."""
    way: Way
    driver: str = ""
    """GDAL's name of the one driver that may open it; empty when GDAL doesn't."""


GEOTIFF = Kind("GeoTIFF", "raster", "GTiff")
PNG = Kind("PNG", "raster", "PNG")
JPEG = Kind("JPEG", "raster", "JPEG")
ASCII_GRID = Kind("ESRI ASCII grid", "raster", "AAIGrid")
ENVI = Kind("ENVI raster", "raster", "ENVI")
GEOPACKAGE = Kind("GeoPackage", "vector", "GPKG")
SHAPEFILE = Kind("shapefile", "vector", "ESRI Shapefile")
GEOJSON = Kind("GeoJSON", "vector", "GeoJSON")
GEOJSON_LINES = Kind("GeoJSON text sequence", "vector", "GeoJSONSeq")
FLATGEOBUF = Kind("FlatGeobuf", "vector", "FlatGeobuf")
PARQUET = Kind("GeoParquet", "parquet")
NETCDF = Kind("netCDF", "dimensions")
NETCDF_5 = Kind("netCDF CDF-5", "dimensions")
HDF5 = Kind("HDF5", "dimensions")
ZIP = Kind("zip", "zip")

#: TIFF and BigTIFF in both byte orders.
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    *((magic, GEOTIFF) for magic in TIFF_MAGIC),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"SQLite format 3\0", GEOPACKAGE),
    (b"\0\0\x27\x0a", SHAPEFILE),
    (b"fgb\x03fgb", FLATGEOBUF),
    (b"PAR1", PARQUET),
    (b"CDF\x01", NETCDF),
    (b"CDF\x02", NETCDF),
    (b"CDF\x05", NETCDF_5),
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
)
#: What a file begins with that is not opened, what it is, and what to do.
_REFUSED: tuple[tuple[re.Pattern[bytes], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), what, do)
    for pattern, what, do in (
        (
            rb"^<!doctype html|^<html",
            "a web page (HTML), such as a server's login or error page",
            "Fetch the file anew",
        ),
        (rb"^version https://git-lfs", "a Git LFS pointer, and not the file itself", "Run: git lfs pull"),
        (
            rb"<(OGR)?VRT\w*",
            "a virtual dataset (VRT), which names other files",
            "Write what it shows into a file of its own: gdal_translate FILE NEW.tif, or ogr2ogr NEW.gpkg FILE",
        ),
        (
            rb"<GDAL_WM|<WM\w_|<GDAL\w*TileIndex|<(\w+:)?(capabilities|WFS|WCS)",
            "a description of a service or of other files",
            "Fetch the data themselves and name the fetched file",
        ),
        (
            rb"<kml|<(\w+:)?gml|opengis\.net/gml|<(\w+:)?featurecollection",
            "KML or GML (XML that may name other files and hosts)",
            "Convert it: ogr2ogr NEW.gpkg FILE",
        ),
        (
            rb"^<\?xml|^<!doctype|^<!entity",
            "XML, which may name other files and hosts",
            "Convert it to a GeoTIFF or GeoPackage",
        ),
        (
            rb"^EHFA_HEADER_TAG",
            "an ERDAS Imagine file, which may name other files",
            "Convert it: gdal_translate FILE NEW.tif",
        ),
        (
            rb"^!table|^version\s+\d+\s+charset",
            "a MapInfo file, which may name other files",
            "Convert it: ogr2ogr NEW.gpkg FILE",
        ),
        (
            rb"^\x1f\x8b|^BZh|^\xfd7zXZ|^7z\xbc\xaf|^Rar!|^\x28\xb5\x2f\xfd",
            "a packed file",
            "Unpack it and name the file in it",
        ),
        (rb"^%PDF", "a PDF", "Take the data that it was made from"),
        (rb"^GRIB", "a GRIB file", "Convert it: gdal_translate FILE NEW.tif"),
        (
            rb'^\{.*"(stac_version|gdal_virtual_file|gdal_streamed_alg|tile_matrix_set|tiled_assets)"',
            "a catalogue (STAC), which names other files",
            "Name the asset that is meant",
        ),
    )
)
_GEOJSON = re.compile(
    rb'"type"\s*:\s*"(FeatureCollection|Feature|GeometryCollection|(Multi)?(Point|LineString|Polygon))"'
)
_GRID = re.compile(
    rb"^(ncols|nrows|xll(corner|center)|yll(corner|center)|cellsize|dx|dy|nodata_value)\s", re.IGNORECASE
)


def recognised(head: bytes, ending: str) -> Kind | None:
    r"""
    Tell what a file is.

    Parameters
    ----------
    head : bytes
        Its first ``HEAD`` bytes, or all of it.
    ending : str
        Of its name, such as ``.json``.

    Returns
    -------
    Kind or None
        None for everything that is not on the list.

    Examples
    --------
    >>> recognised(b"II*\0", ".dat").name
    'GeoTIFF'
    >>> recognised(b"<VRTDataset/>", ".tif") is None
    True
    """
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    text = _text(head)
    if text[:1] in {b"{", b"\x1e"}:
        if ending in {".geojsonl", ".geojsons", ".ndjson", ".jsonl"} or head[:1] == b"\x1e":
            return GEOJSON_LINES
        return GEOJSON if _GEOJSON.search(head) or ending == ".geojson" else None
    return ASCII_GRID if _GRID.match(text) else None


def why_refused(head: bytes) -> tuple[str, str] | None:
    """
    Return what a file is that is known and not opened, and what to do; None when it isn't known.

    Examples
    --------
    >>> why_refused(b"%PDF-1.7")
    ('a PDF', 'Take the data that it was made from')
    """
    text = _text(head)
    is_markup = text.startswith(b"<")  # anywhere else such a word is a value like any other
    for pattern, what, do in _REFUSED:
        if pattern.search(text) if is_markup else pattern.match(text):
            return what, do
    return None


def _text(head: bytes) -> bytes:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()
