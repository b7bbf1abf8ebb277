"""Where a map lies on Earth, from its header alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dissmodel_lab.artifacts import RASTER_SUFFIXES, VECTOR_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path


def coverage_of(path: Path) -> str:
    """
    Return a map's bounds as the text of schema.org's ``box``: south, west, north and east [degrees].

    Source: https://schema.org/box. Points are WGS 84, latitude first.

    Parameters
    ----------
    path : Path
        Any file; only rasters and vectors with a CRS lie somewhere.

    Returns
    -------
    str
        Empty when the file tells nothing, or lies across the 180th meridian, which a box cannot say.

    Examples
    --------
    >>> from pathlib import Path
    >>> coverage_of(Path("report.md"))
    ''
    """
    suffix = path.suffix.lower()
    try:
        if suffix in RASTER_SUFFIXES:
            found = _raster_bounds(path)
        elif suffix in VECTOR_SUFFIXES:
            found = _vector_bounds(path)
        else:
            return ""
    except Exception:  # noqa: BLE001 -- any reader's complaint: a crate without its place is still a crate
        return ""
    if found is None:
        return ""
    west, south, east, north = found
    is_box = all(map(math.isfinite, found)) and west <= east and south <= north
    return f"{south:.6f} {west:.6f} {north:.6f} {east:.6f}" if is_box else ""


def _raster_bounds(path: Path) -> tuple[float, float, float, float] | None:
    import rasterio  # noqa: PLC0415 -- heavy, and only for maps
    from rasterio.warp import transform_bounds  # noqa: PLC0415

    from dissmodel_lab.rasters import quiet_georeference  # noqa: PLC0415 -- needs numpy

    with quiet_georeference(), rasterio.open(path) as dataset:
        if dataset.crs is None:
            return None
        west, south, east, north = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    return float(west), float(south), float(east), float(north)


def _vector_bounds(path: Path) -> tuple[float, float, float, float] | None:
    import pyogrio  # type: ignore[import-untyped]  # noqa: PLC0415 -- no stubs; heavy, and comes with geopandas
    from pyproj import Transformer  # noqa: PLC0415

    about = pyogrio.read_info(path, force_total_bounds=True)
    if not about.get("crs") or about.get("total_bounds") is None:
        return None
    to_degrees = Transformer.from_crs(about["crs"], "EPSG:4326", always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(*about["total_bounds"])
    return float(west), float(south), float(east), float(north)
