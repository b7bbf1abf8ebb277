"""
Draw a raster once in one way: ``python raster_ways.py WAY FILE SMALL`` prints what :mod:`map_process` tells.

``SMALL`` is another file of the same kind, drawn before the time is taken: imports, fonts and tables of projections
are the same price for everybody. Each way draws one picture of at most 1024 pixels a side in Web Mercator, as its
documentation shows it; the floors do the least that such a picture needs.
"""

from __future__ import annotations

import io
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from map_process import quiet, tell, timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIDE = 1024
WEB = "EPSG:3857"
TILE = 256
VIEW = (800, 600)
"""Of a tile server's map [pixels]."""
AT_ONCE = 6
"""Tiles that a browser asks for at once."""
COLOURS = {
    0: (0, 0, 0, 0),
    1: (230, 25, 75, 255),
    2: (60, 180, 75, 255),
    3: (255, 225, 25, 255),
    4: (0, 130, 200, 255),
    5: (245, 130, 48, 255),
    6: (145, 30, 180, 255),
    7: (70, 240, 240, 255),
}


def is_classes(path: str) -> bool:
    return "classes" in Path(path).name


def ours(path: str) -> int:
    from dissmodel_lab.maps import preview

    picture = preview(path)
    assert max(picture.size) <= SIDE
    return len(picture.png)


def ours_again(path: str) -> dict[str, float]:
    """The same file once more, and in other colours: what a notebook asks for behind a first picture."""
    from dissmodel_lab.maps import preview
    from dissmodel_lab.maps.styles import Style

    again = timed(lambda: preview(path))
    if is_classes(path):
        return {"again": again}
    return {"again": again, "restyled": timed(lambda: preview(path, style=Style(colour_map="cividis")))}


def floor(path: str) -> int:
    """The least: a decimated read, a warp of the small array, a palette PNG of level 1."""
    values, facts = _decimated(path, 1)
    return _small_png(values, facts, path)


def floor_inflate(path: str) -> int:
    """The least where tiles have to be inflated: a decimated read by two threads, with room for two rows of tiles."""
    import rasterio

    with rasterio.Env(GDAL_CACHEMAX=64 << 20):
        values, _ = _decimated(path, 2)
    return int(values.nbytes)


def rio_tiler(path: str) -> int:
    """As its documentation shows: a preview in the map's own projection."""
    from rasterio.crs import CRS
    from rio_tiler.io import Reader

    with Reader(path) as reader:
        image = reader.preview(indexes=1, max_size=SIDE, dst_crs=CRS.from_user_input(WEB))
    return len(_rendered(path, image))


def rio_tiler_small(path: str) -> int:
    """The quick way with the same library: a preview in the file's projection, warped when it is small."""
    from rasterio.crs import CRS
    from rio_tiler.io import Reader

    with Reader(path) as reader:
        image = reader.preview(indexes=1, max_size=SIDE)
    return len(_rendered(path, image.reproject(CRS.from_user_input(WEB))))


def rioxarray(path: str) -> int:
    """As its documentation shows: opened, reprojected, then every k-th pixel drawn by matplotlib."""
    import rioxarray as library

    with library.open_rasterio(path, masked=True) as data:
        warped = data.isel(band=0).rio.reproject(WEB)
    step = max(1, math.ceil(max(warped.shape) / SIDE))
    return len(_matplotlib_png(warped.values[::step, ::step], path))


def folium(path: str) -> int:
    """As users write it: all pixels read, coloured by matplotlib and laid over a map that is then rendered."""
    import folium as library
    import rasterio
    from matplotlib import colormaps
    from rasterio.warp import transform_bounds

    with rasterio.open(path) as source:
        values = source.read(1, masked=True)
        west, south, east, north = transform_bounds(source.crs, "EPSG:4326", *source.bounds)
    if is_classes(path):
        image = colormaps["tab10"](values)
    else:
        filled = values.filled(np.nan)
        low, high = np.nanpercentile(filled, (2, 98))
        image = colormaps["viridis"]((filled - low) / (high - low))
    shown = library.Map()
    bounds = [[south, west], [north, east]]
    library.raster_layers.ImageOverlay(image, bounds, mercator_project=True).add_to(shown)
    return len(shown.get_root().render().encode())


def leafmap(path: str) -> int:
    """``Map.add_raster``, then each tile that a browser asks for to fill a view: that is when the map is seen."""
    import leafmap.leafmap as library
    import rasterio
    import requests
    from rasterio.warp import transform_bounds

    with rasterio.open(path) as source:
        west, south, east, north = transform_bounds(source.crs, "EPSG:4326", *source.bounds)
    shown = library.Map()
    colours = (
        {"colormap": "tab10", "vmin": 0, "vmax": 9}
        if is_classes(path)
        else {"colormap": "viridis", "vmin": 0, "vmax": 900}
    )
    shown.add_raster(path, indexes=[1], layer_name="raster", **colours)
    address, zoom, tiles = shown.layers[-1].url, *_tiles(west, south, east, north)
    with requests.Session() as session:

        def fetched(tile: tuple[int, int]) -> bytes:
            answer = session.get(address.format(z=zoom, x=tile[0], y=tile[1]), timeout=600)
            return answer.content if answer.ok else b""

        with ThreadPoolExecutor(AT_ONCE) as browser:
            found = list(browser.map(fetched, tiles))
    if not any(found):
        raise RuntimeError("its server sent no tile")
    return sum(map(len, found))


def _decimated(path: str, n_threads: int) -> tuple[NDArray[Any], dict[str, Any]]:
    """Read at most 1024 pixels a side, rows shared by threads with a dataset each."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(path) as source:
        step = max(1.0, max(source.width, source.height) / SIDE)
        rows, columns = round(source.height / step), round(source.width / step)
        facts = {name: getattr(source, name) for name in ("width", "height", "transform", "crs", "nodata", "bounds")}
        if n_threads == 1:
            return source.read(1, out_shape=(rows, columns)), facts
        out = np.empty((rows, columns), source.dtypes[0])

    def read(part: int) -> None:
        first, end = (round(rows * edge / n_threads) for edge in (part, part + 1))
        top, bottom = (edge * facts["height"] / rows for edge in (first, end))
        window = Window(0, top, facts["width"], bottom - top)
        with rasterio.open(path) as mine:
            out[first:end] = mine.read(1, window=window, out_shape=(end - first, columns))

    with ThreadPoolExecutor(n_threads) as threads:
        list(threads.map(read, range(n_threads)))
    return out, facts


def _small_png(values: NDArray[Any], facts: dict[str, Any], path: str) -> int:
    from affine import Affine
    from PIL import Image
    from rasterio.warp import Resampling, calculate_default_transform, reproject

    rows, columns = values.shape
    wide, high = facts["width"] / columns, facts["height"] / rows
    target, width, height = calculate_default_transform(facts["crs"], WEB, columns, rows, *facts["bounds"])
    step = max(1.0, max(width, height) / SIDE)
    target *= Affine.scale(width / round(width / step), height / round(height / step))
    out = np.full((round(height / step), round(width / step)), facts["nodata"], values.dtype)
    reproject(
        values,
        out,
        src_transform=facts["transform"] * Affine.scale(wide, high),
        src_crs=facts["crs"],
        dst_transform=target,
        dst_crs=WEB,
        src_nodata=facts["nodata"],
        dst_nodata=facts["nodata"],
        resampling=Resampling.nearest,
    )
    image = Image.fromarray(_numbered(out, facts["nodata"], path))
    image.putpalette([channel for number in range(256) for channel in _colour(number, path)])
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1, transparency=0)
    return len(file.getvalue())


def _numbered(values: NDArray[Any], nodata: float, path: str) -> NDArray[np.uint8]:
    if is_classes(path):
        return values.astype(np.uint8)
    is_valid = values != nodata
    some = values[is_valid]
    low, high = np.percentile(some[:: max(1, some.size // 65_536)], (2, 98))
    numbers = np.where(is_valid, (np.clip(values, low, high) - low) * (254 / (high - low)) + 1, 0)
    return numbers.astype(np.uint8)


def _colour(number: int, path: str) -> tuple[int, int, int]:
    if is_classes(path):
        red, green, blue, _ = COLOURS.get(number, (0, 0, 0, 0))
        return red, green, blue
    return number, 255 - abs(128 - number), 255 - number


def _rendered(path: str, image: Any) -> Any:
    from rio_tiler.colormap import cmap

    if is_classes(path):
        return image.render(img_format="PNG", colormap=COLOURS)
    low, high = np.percentile(image.array.compressed(), (2, 98))
    image.rescale(((float(low), float(high)),))
    return image.render(img_format="PNG", colormap=cmap.get("viridis"))


def _matplotlib_png(values: NDArray[Any], path: str) -> bytes:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.colors import ListedColormap

    file = io.BytesIO()
    if is_classes(path):
        colours = ListedColormap([tuple(channel / 255 for channel in colour) for colour in COLOURS.values()])
        plt.imsave(file, np.ma.masked_invalid(values), cmap=colours, vmin=0, vmax=7, format="png")
    else:
        low, high = np.nanpercentile(values, (2, 98))
        plt.imsave(file, np.ma.masked_invalid(values), cmap="viridis", vmin=low, vmax=high, format="png")
    return file.getvalue()


def _tiles(west: float, south: float, east: float, north: float) -> tuple[int, list[tuple[int, int]]]:
    """Return the zoom at which a view holds all, and the tiles of that view, the middle one first."""

    def place(longitude: float, latitude: float, zoom: int) -> tuple[float, float]:
        up = math.asinh(math.tan(math.radians(latitude))) / math.pi
        return (longitude + 180) / 360 * 2**zoom, (1 - up) / 2 * 2**zoom

    for zoom in range(22, -1, -1):
        (left, top), (right, bottom) = place(west, north, zoom), place(east, south, zoom)
        if (right - left) * TILE <= VIEW[0] and (bottom - top) * TILE <= VIEW[1]:
            break
    x, y = (left + right) / 2, (top + bottom) / 2
    columns = range(math.floor(x - VIEW[0] / TILE / 2), math.floor(x + VIEW[0] / TILE / 2) + 1)
    rows = range(math.floor(y - VIEW[1] / TILE / 2), math.floor(y + VIEW[1] / TILE / 2) + 1)
    every = [(column, row) for row in rows for column in columns]
    return zoom, sorted(every, key=lambda tile: tile != (math.floor(x), math.floor(y)))


WAYS: dict[str, Callable[[str], int]] = {
    way.__name__: way for way in (ours, floor, floor_inflate, rio_tiler, rio_tiler_small, rioxarray, folium, leafmap)
}


def main(name: str, path: str, small: str) -> None:
    quiet()
    way = WAYS[name]
    way(small)
    tell(lambda: way(path), (lambda: ours_again(path)) if name == "ours" else None)
    sys.stdout.flush()
    os._exit(0)  # a tile server's threads would hold the process


if __name__ == "__main__":
    main(*sys.argv[1:])
