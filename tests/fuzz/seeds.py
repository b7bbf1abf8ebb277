"""Sound files of every kind that is opened, small enough that ten thousand variants of them take minutes."""

# ruff: noqa: E501 -- inputs read better in one line

from __future__ import annotations

import io
import shutil
import tempfile
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, HEIGHT = 48, 40


@dataclass(frozen=True)
class Seed:
    """One sound input: files by their path in a folder, and which of them a person names."""

    kind: str
    files: dict[str, bytes]
    named: str

    @property
    def size(self) -> int:
        """All bytes."""
        return sum(map(len, self.files.values()))


def all_seeds() -> list[Seed]:
    """Make every sound file; takes some seconds, because the writers are imported."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-seeds-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [*_rasters(folder), *_vectors(folder), *_cubes(folder), *_archives(folder), *_texts()]
    finally:
        shutil.rmtree(folder)


def _seed(kind: str, folder: Path, named: str) -> Seed:
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return Seed(kind, files, named)


def _made(kind: str, parent: Path, named: str, make: Callable[[Path], Any]) -> Seed:
    folder = parent / kind.replace(" ", "_")
    folder.mkdir()
    make(folder / named)
    return _seed(kind, folder, named)


def _pixels(dtype: str = "uint8", bands: int = 1) -> np.ndarray:
    values = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) // 9
    return np.stack([values + band for band in range(bands)]).astype(dtype)


def _rasters(parent: Path) -> list[Seed]:
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.transform import from_origin

    def write(path: Path, *, dtype: str = "uint8", bands: int = 1, overviews: bool = False, **options: Any) -> None:
        profile = {
            "driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": bands, "dtype": dtype, "crs": "EPSG:31983",
            "transform": from_origin(300_000, 7_400_000, 30, 30), "nodata": 0,
        } | options  # fmt: skip
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(_pixels(dtype, bands))
            if profile["driver"] == "GTiff":
                dataset.set_band_description(1, "uso")
                dataset.update_tags(1, classes='{"1": ["forest", "#00aa00"]}')
        if overviews:
            with rasterio.open(path, "r+") as dataset:
                dataset.build_overviews([2, 4], Resampling.nearest)

    tiled = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "tiff striped": ("a.tif", {}),
        "tiff tiled deflate": ("a.tif", {**tiled, "compress": "deflate", "predictor": 2}),
        "tiff lzw float": ("a.tif", {"compress": "lzw", "dtype": "float32", "predictor": 3}),
        "tiff packbits bands": ("a.tif", {"compress": "packbits", "bands": 3, "interleave": "band"}),
        "tiff jpeg": ("a.tif", {"compress": "jpeg", "bands": 3, "photometric": "ycbcr", "nodata": None}),
        "tiff lerc": ("a.tif", {"compress": "lerc", "dtype": "float32"}),
        "tiff zstd": ("a.tif", {"compress": "zstd", "dtype": "int16"}),
        "bigtiff overviews": ("a.tif", {"bigtiff": "yes", "compress": "deflate", "overviews": True}),
        "cog": ("a.tif", {"driver": "COG", "compress": "deflate"}),
        "png": ("a.png", {"driver": "PNG"}),
        "jpeg": ("a.jpg", {"driver": "JPEG", "nodata": None}),
        "ascii grid": ("a.asc", {"driver": "AAIGrid"}),
        "hfa": ("a.img", {"driver": "HFA", "compressed": "yes"}),
        "envi": ("a.img", {"driver": "ENVI"}),
    }
    return [
        _made(kind, parent, name, lambda path, options=options: write(path, **options))
        for kind, (name, options) in kinds.items()
    ]


def _table() -> Any:
    import geopandas
    import shapely

    shapes = [shapely.box(x, y, x + 1, y + 1) for x in range(6) for y in range(5)]
    shapes[3] = shapely.Polygon([(0, 0), (9, 0), (4, 7)], [[(3, 1), (5, 1), (4, 3)]])
    shapes[7] = shapely.MultiPolygon([shapely.box(20, 20, 21, 22), shapely.box(30, 5, 31, 7)])
    columns = {
        "uso": [i % 4 for i in range(30)],
        "nome": [f"célula {i}" for i in range(30)],
        "area": [1.5 * i for i in range(30)],
    }
    return geopandas.GeoDataFrame(columns, geometry=shapes, crs=4326)


def _vectors(parent: Path) -> list[Seed]:
    table = _table()
    kinds = {
        "geopackage": ("a.gpkg", "GPKG"),
        "shapefile": ("a.shp", "ESRI Shapefile"),
        "geojson": ("a.geojson", "GeoJSON"),
        "geojson lines": ("a.geojsonl", "GeoJSONSeq"),
        "flatgeobuf": ("a.fgb", "FlatGeobuf"),
        "kml": ("a.kml", "KML"),
        "mapinfo": ("a.tab", "MapInfo File"),
        "gml": ("a.gml", "GML"),
    }
    found = [
        _made(kind, parent, name, lambda path, driver=driver: table.to_file(path, driver=driver, engine="pyogrio"))
        for kind, (name, driver) in kinds.items()
    ]
    return [*found, _made("geoparquet", parent, "a.parquet", table.to_parquet)]


def _cubes(parent: Path) -> list[Seed]:
    import xarray

    values = np.stack([_pixels("float32")[0] + year for year in range(3)])
    cube = xarray.Dataset(
        {"uso": (("time", "y", "x"), values)},
        coords={"time": [2000, 2001, 2002], "y": 10 - np.arange(HEIGHT) / 4, "x": -50 + np.arange(WIDTH) / 4},
    )
    packed = {"uso": {"zlib": True, "chunksizes": (1, 16, 16)}}

    def netcdf(path: Path) -> None:
        cube.to_netcdf(path, engine="netcdf4", encoding=packed)

    def classic(path: Path) -> None:
        cube.astype("float32").to_netcdf(path, engine="netcdf4", format="NETCDF3_CLASSIC")

    return [
        _made("netcdf4", parent, "a.nc", netcdf),
        _made("netcdf3", parent, "a.nc", classic),
        _made("hdf5", parent, "a.h5", lambda path: cube.to_netcdf(path, engine="netcdf4")),
        _made("zarr 2", parent, "a.zarr", lambda path: cube.to_zarr(path, zarr_format=2)),
        _made("zarr 3", parent, "a.zarr", lambda path: cube.to_zarr(path, zarr_format=3)),
    ]


def _archives(parent: Path) -> list[Seed]:
    def zipped(*folders: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", method) as archive:
            for folder in folders:
                for path in sorted((parent / folder).iterdir()):
                    archive.write(path, f"{folder}/{path.name}")
        return held.getvalue()

    return [
        Seed("zip of tiff", {"a.zip": zipped("tiff_striped")}, "a.zip"),
        Seed("zip of shapefile", {"a.zip": zipped("shapefile")}, "a.zip"),
        Seed("zip of two", {"a.zip": zipped("geopackage", "geojson", method=zipfile.ZIP_STORED)}, "a.zip"),
    ]


TOML = """\
# parameters
title = "Amazônia 2030"
steps = 12
start = 2020-01-01
[demand]
forest = [1.5, 2, -3e4]
"label.with.dots" = 'literal'
[[zones]]
name = "a"
weights = { slope = 0.5, road = -0.25 }
[[zones]]
name = '''multi
line'''
"""
QML = """\
<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.34"><pipe><rasterrenderer type="paletted" band="1" opacity="1"><colorPalette>
<paletteEntry value="1" color="#1b9e77" label="floresta" alpha="255"/>
<paletteEntry value="2" color="#d95f02" label="pasto" alpha="255"/></colorPalette></rasterrenderer></pipe></qgis>
"""
CLR = "1 27 158 119 255 floresta\n2 217 95 2 255 pasto\n"
STAC = """\
{"type": "FeatureCollection", "features": [{"type": "Feature", "stac_version": "1.0.0", "id": "CB4_2020",
"collection": "CB4-16D-2", "geometry": {"type": "Polygon", "coordinates": [[[-50, -10], [-49, -10], [-49, -9], [-50, -9],
[-50, -10]]]}, "bbox": [-50, -10, -49, -9], "properties": {"datetime": "2020-01-01T00:00:00Z", "proj:epsg": 4326},
"assets": {"NDVI": {"href": "ndvi.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]}}, "links": []}],
"links": [{"rel": "next", "href": "http://127.0.0.1:9/next"}]}
"""
ADDRESSES = (
    "stac+https://host/path?collection=C&version=2&bbox=-50,-10,-49,-9&dates=2020-01-01/2020-12-31&bands=NDVI,EVI",
    "bdc_stac://CB4-16D-2?version=2&bbox=-50,-10,-49,-9&bands=NDVI",
    "s3://bucket/folder/file.tif",
    "https://user:password@example.org:8443/a%20b/c.tif?X-Amz-Signature=abc&x=1#part",
    "file:///home/someone/grid.gpkg",
    "data/grade.tif",
)


def _texts() -> list[Seed]:
    return [
        Seed("toml", {"a.toml": TOML.encode()}, "a.toml"),
        Seed("style qml", {"a.qml": QML.encode()}, "a.qml"),
        Seed("style clr", {"a.clr": CLR.encode()}, "a.clr"),
        Seed("stac answer", {"a.json": STAC.encode()}, "a.json"),
        *(Seed("address", {"a.txt": text.encode()}, "a.txt") for text in ADDRESSES),
    ]
