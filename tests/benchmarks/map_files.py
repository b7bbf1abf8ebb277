"""The files that maps are measured with: made when they are wanted, always the same, as large as somebody says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CRS = "EPSG:31983"
LAYOUTS = ("striped", "tiled", "cog")
INTERLEAVES = ("pixel", "band")
NODATA = -9999.0
N_CLASSES = 7
_EAST, _NORTH = 500_000.0, 8_000_000.0
_PIXEL, _CELL = 30.0, 100.0
"""Sides of a pixel and of a cell [m]."""
_ROWS = 500
"""Rows that are written at once; of a size that is no multiple, the last time fewer."""
_N_BANDS = 5
_BLOB = 25
"""Side of a patch of one class [pixels]."""


def make_rasters(folder: Path, size: int) -> dict[str, Path]:
    """Make float32 rasters of one content, by layout: striped; tiled and deflated; a COG with overviews."""
    from rasterio.shutil import copy

    folder.mkdir(parents=True, exist_ok=True)
    found = {layout: folder / f"{layout}{size}.tif" for layout in LAYOUTS}
    _write_striped(found["striped"], size)
    packed = {"COMPRESS": "DEFLATE", "NUM_THREADS": "ALL_CPUS", "BIGTIFF": "IF_SAFER"}
    tiles = {"TILED": "YES", "BLOCKXSIZE": 512, "BLOCKYSIZE": 512}
    copy(found["striped"], found["tiled"], driver="GTiff", **tiles, **packed)
    copy(found["striped"], found["cog"], driver="COG", BLOCKSIZE=512, OVERVIEW_RESAMPLING="NEAREST", **packed)
    return found


def make_classes(folder: Path, size: int) -> dict[str, Path]:
    """Make rasters of classes in several bands, tiled and deflated, without overviews, by interleaving."""
    import rasterio

    folder.mkdir(parents=True, exist_ok=True)
    found = {interleave: folder / f"classes_{interleave}{size}.tif" for interleave in INTERLEAVES}
    rows = 80 * _BLOB
    for interleave, path in found.items():
        rng = np.random.default_rng(2)
        patches = _patches(rng, -(-size // _BLOB))
        form = {"interleave": interleave, "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "DEFLATE"}
        profile = _profile(size, count=_N_BANDS, dtype="uint8", nodata=0, num_threads="ALL_CPUS", **form)
        with rasterio.open(path, "w", **profile) as target:
            for first in range(0, size, rows):
                n_rows = min(rows, size - first)
                target.write(_classes(rng, patches, size, first, n_rows), window=_window(size, first, n_rows))
    return found


def make_cells(count: int, *, is_regular: bool = True) -> Any:
    """
    Return a layer of about ``count`` square cells with six columns, as a GeoDataFrame.

    Irregular: the corners that neighbours share are moved, so that each cell is a quadrilateral of its own.
    """
    import geopandas as gpd
    import shapely

    side = round(math.sqrt(count))
    rng = np.random.default_rng(3)
    down, across = np.divmod(np.arange(side * side), side)
    corners = np.stack(np.meshgrid(np.arange(side + 1.0), np.arange(side + 1.0)), axis=-1) * _CELL
    corners += (_EAST - side * _CELL / 2, _NORTH - side * _CELL / 2)
    if not is_regular:
        corners += rng.uniform(-0.3, 0.3, corners.shape) * _CELL
    ring = [corners[down + y, across + x] for y, x in ((0, 1), (1, 1), (1, 0), (0, 0), (0, 1))]
    cells = shapely.polygons(np.stack(ring, axis=1))
    waves = np.sin(across / side * 9) * np.cos(down / side * 7)
    columns = {
        "z": np.round(waves + rng.normal(0, 0.05, len(cells)), 4),
        "population": rng.integers(0, 5000, len(cells)),
        "use": rng.integers(1, N_CLASSES + 1, len(cells)),
        "distance": np.round(rng.random(len(cells)) * 1e4, 1),
        "name": np.char.add("C", np.arange(len(cells)).astype(str)),
        "number": np.arange(len(cells)),
    }
    return gpd.GeoDataFrame(columns, geometry=cells, crs=CRS)


def _profile(size: int, **more: Any) -> dict[str, Any]:
    from rasterio.transform import from_origin

    transform = from_origin(_EAST - size * _PIXEL / 2, _NORTH + size * _PIXEL / 2, _PIXEL, _PIXEL)
    place = {"driver": "GTiff", "width": size, "height": size, "crs": CRS, "transform": transform}
    return {**place, "BIGTIFF": "IF_SAFER", **more}


def _window(size: int, first: int, n_rows: int) -> Any:
    from rasterio.windows import Window

    return Window(0, first, size, n_rows)


def _write_striped(path: Path, size: int) -> None:
    import rasterio

    rng = np.random.default_rng(1)
    with rasterio.open(path, "w", **_profile(size, count=1, dtype="float32", nodata=NODATA)) as target:
        for first in range(0, size, _ROWS):
            n_rows = min(_ROWS, size - first)
            target.write(_heights(rng, size, first, n_rows), 1, window=_window(size, first, n_rows))


def _heights(rng: np.random.Generator, size: int, first: int, n_rows: int) -> NDArray[np.float32]:
    """Return hills in steps of 0.1 m, as measured heights come; outside an ellipse there is no data."""
    y = (np.arange(first, first + n_rows, dtype=np.float32) / size)[:, None]
    x = (np.arange(size, dtype=np.float32) / size)[None]
    z = 500 + 300 * np.sin(9 * x + 4 * y) * np.cos(7 * y - 2 * x) + 60 * np.sin(61 * x) * np.sin(53 * y)
    z += rng.standard_normal(z.shape, dtype=np.float32) * 2
    return np.where(_is_outside(x, y), np.float32(NODATA), np.round(z * 10).astype(np.float32) / np.float32(10))


def _patches(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Return a small map of classes for each year; from year to year 3 % of the patches change."""
    patches = rng.integers(1, N_CLASSES + 1, (_N_BANDS, side, side), dtype=np.uint8)
    for year in range(1, _N_BANDS):
        stays = rng.random((side, side)) > 0.03
        patches[year][stays] = patches[year - 1][stays]
    return patches


def _classes(
    rng: np.random.Generator, patches: NDArray[np.uint8], size: int, first: int, n_rows: int
) -> NDArray[np.uint8]:
    part = patches[:, first // _BLOB : -(-(first + n_rows) // _BLOB)]
    cells = np.repeat(np.repeat(part, _BLOB, 1), _BLOB, 2)[:, :n_rows, :size]
    is_speckle = rng.random(cells.shape, dtype=np.float32) < 0.01
    cells[is_speckle] = rng.integers(1, N_CLASSES + 1, int(is_speckle.sum()), dtype=np.uint8)
    y, x = (np.arange(first, first + n_rows) / size)[:, None], (np.arange(size) / size)[None]
    cells[:, _is_outside(x, y)] = 0
    return cells


def _is_outside(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
    outside: NDArray[np.bool_] = ((x - 0.5) ** 2 + (y - 0.5) ** 2) / 0.24 > 1
    return outside
