"""
Draw a layer of cells once in one way: ``python vector_ways.py WAY FILE`` prints what :mod:`map_process` tells.

The layer is in memory, as a model's result is; a small part of it is drawn before the time is taken.
"""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from map_process import quiet, tell, timed

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 1024
COLUMN, OTHER = "z", "distance"
N_WARM = 2_500


def ours(cells: Any) -> int:
    from dissmodel_lab.maps import preview

    return len(preview(cells, COLUMN).png)


def ours_again(cells: Any) -> dict[str, float]:
    """Another column of the same layer."""
    from dissmodel_lab.maps import preview

    other = preview(cells.iloc[:4], OTHER)  # nothing of it is the first time
    assert other.band == OTHER
    pictures = []
    seconds = timed(lambda: pictures.append(preview(cells, OTHER)))
    return {"other": seconds, "other payload": float(len(pictures[0].png))}


def floor(cells: Any) -> int:
    """The least: the coordinates of all corners as one array."""
    import shapely

    shapely.get_coordinates(np.asarray(cells.geometry.values))
    return 0


def lonboard(cells: Any) -> int:
    """Sends the geometry, as Arrow."""
    from lonboard import Map, PolygonLayer
    from lonboard.colormap import apply_continuous_cmap
    from matplotlib import colormaps

    values = cells[COLUMN].to_numpy()
    values = (values - values.min()) / (values.max() - values.min())
    colours = apply_continuous_cmap(values, colormaps["viridis"])
    layer = PolygonLayer.from_geopandas(cells[[COLUMN, "geometry"]], get_fill_color=colours)
    return _sent(layer) + _sent(Map(layer))


def datashader(cells: Any) -> int:
    """Draws polygons into an image."""
    import datashader as library
    from datashader import transfer_functions
    from matplotlib import colormaps

    on_the_map = cells[[COLUMN, "geometry"]].to_crs(3857)
    canvas = library.Canvas(plot_width=SIDE, plot_height=SIDE)
    means = canvas.polygons(on_the_map, geometry="geometry", agg=library.mean(COLUMN))
    image = transfer_functions.shade(means, cmap=colormaps["viridis"], how="linear")
    return len(image.to_bytesio("png").getvalue())


def rasterize(cells: Any) -> int:
    """``rasterio.features.rasterize`` into an image of the layer's own projection, then the PNG of ours."""
    from rasterio.crs import CRS
    from rasterio.features import rasterize as burn
    from rasterio.transform import from_bounds

    from dissmodel_lab import Raster
    from dissmodel_lab.maps import preview

    west, south, east, north = cells.total_bounds
    step = max(east - west, north - south) / SIDE
    width, height = round((east - west) / step), round((north - south) / step)
    transform = from_bounds(west, south, east, north, width, height)
    shapes = zip(cells.geometry, cells[COLUMN], strict=True)
    values = burn(shapes, (height, width), fill=math.nan, transform=transform, dtype="float32")
    crs = CRS.from_user_input(cells.crs)
    raster = Raster(array=values[None], bands=(COLUMN,), transform=transform, crs=crs, nodata=math.nan)
    return len(preview(raster).png)


def geojson(cells: Any) -> int:
    """``ipyleaflet.GeoJSON``: sends the geometry as text."""
    import ipyleaflet

    text = cells[[COLUMN, "geometry"]].to_crs(4326).to_json()
    return _sent(ipyleaflet.GeoJSON(data=json.loads(text), style={"weight": 0.3}))


def _sent(widget: Any) -> int:
    """Return the size of the message that makes a widget in the browser [bytes]."""
    from ipywidgets.widgets.widget import _remove_buffers
    from jupyter_client.jsonutil import json_default

    state, _, buffers = _remove_buffers(widget.get_state())
    text = json.dumps(state, default=json_default, ensure_ascii=False)
    return len(text.encode()) + sum(memoryview(one).nbytes for one in buffers)


WAYS: dict[str, Callable[[Any], int]] = {
    way.__name__: way for way in (ours, floor, lonboard, datashader, rasterize, geojson)
}


def main(name: str, path: str) -> None:
    import geopandas as gpd

    quiet()
    way = WAYS[name]
    cells = gpd.read_parquet(path)
    side = math.isqrt(len(cells))
    corner = (np.arange(len(cells)) % side < math.isqrt(N_WARM)) & (np.arange(len(cells)) < math.isqrt(N_WARM) * side)
    way(cells[corner].copy())
    tell(lambda: way(cells), (lambda: ours_again(cells)) if name == "ours" else None)


if __name__ == "__main__":
    main(*sys.argv[1:])
