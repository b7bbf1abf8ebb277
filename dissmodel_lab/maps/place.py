"""Where the cells of a grid lie in the picture: a small nearest warp to Web Mercator (EPSG:3857), or a plane.

What is warped is each cell's own number, so that a pixel of the picture knows the cell it shows: classes
can't be blended, and a click can be answered with the value that is seen.

Spherical Mercator: EPSG Guidance Note 7-2 (2019), method 1024 "Popular Visualisation Pseudo Mercator".
Imported lazily: rasterio takes 0.2 s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.errors import RasterioError
from rasterio.warp import Resampling, reproject

from dissmodel_lab.errors import LabError
from dissmodel_lab.language import message
from dissmodel_lab.maps.area import Window
from dissmodel_lab.maps.arrays import scaled
from dissmodel_lab.maps.grid import to_crs
from dissmodel_lab.maps.memory import pictures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dissmodel_lab.maps.grid import Grid

#: ((south, west), (north, east)), as Leaflet wants it.
Bounds = tuple[tuple[float, float], tuple[float, float]]

#: Radius of the sphere of EPSG:3857 [m].
RADIUS = 6_378_137.0
#: Where Web Mercator ends: the world is a square [degrees].
MAX_LATITUDE = math.degrees(math.atan(math.sinh(math.pi)))
#: Points along each axis at which the grid's place on Earth is sampled.
SAMPLES = 65
#: Beyond a full turn, and rounding, longitudes mean nothing [degrees].
FULL_TURN = 360.5

#: Semi-major axes of Earth's ellipsoids and spheres lie in between [m]; those of other bodies don't.
EARTH_RADII = (6_300_000.0, 6_420_000.0)

_MERCATOR = CRS.from_epsg(3857)


class _NoPlaceError(LabError):
    """The georeference leads nowhere; the message is the note to show."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """The cell that each pixel of the picture shows, and where the picture lies."""

    cells: NDArray[np.int32]
    """(height, width) of the picture: row * width + column in the grid, -1 outside it; not to be changed."""
    bounds: Bounds
    """Degrees when georeferenced, else cells of the source, counted from the lower left corner."""
    is_georeferenced: bool
    crs: str = ""
    """Name of the CRS of the data, such as ``EPSG:31983``; empty in a plane."""
    notes: tuple[str, ...] = ()


def place(grid: Grid, max_pixels: int) -> Placement:
    """
    Find the cell that each pixel of the picture shows.

    Grids without a CRS, without a place in their CRS, or whose projection fails lie in a plane, and the
    notes say so.

    Parameters
    ----------
    grid : Grid
        One band; only its size, transform and CRS matter.
    max_pixels : int
        The longest side of the picture [pixels].

    Examples
    --------
    >>> from dissmodel_lab.maps.arrays import from_array
    >>> place(from_array(np.zeros((2, 3))).grid("band_1", 1024), 1024).bounds
    ((0.0, 0.0), (2.0, 3.0))
    """
    transform = None if grid.transform is None else tuple(map(float, grid.transform[:6]))
    where = (transform, grid.crs, grid.source_size, grid.window, grid.whole_size)
    key = ("placement", grid.values.shape, where, max_pixels)
    placement: Placement | None = pictures.get(key)
    if placement is None:
        placement = _placed(grid, max_pixels)
        pictures.keep(key, placement, placement.cells.nbytes)
    return placement


def _placed(grid: Grid, max_pixels: int) -> Placement:
    try:
        transform, crs = _georeference(grid)
        if crs == _MERCATOR and transform.b == transform.d == 0:
            return _unwarped(grid, transform)
        return _warped(grid, transform, crs, max_pixels)
    except _NoPlaceError as reason:
        return Placement(
            cells=_numbers(grid), bounds=_plane_bounds(grid), is_georeferenced=False, notes=(reason.args[0],)
        )


def _plane_bounds(grid: Grid) -> Bounds:
    """Cells of the whole source, counted from its lower left corner."""
    width, height = grid.source_size
    window = grid.window or Window(0, 0, height, width)
    _, whole = grid.whole_size or grid.source_size
    south = float(whole - window.row - window.rows)
    return (south, float(window.column)), (south + window.rows, float(window.column + window.columns))


def with_georeference(grid: Grid, georeference: tuple[Any, Any] | None) -> Grid:
    """
    Lay a grid that has lost its place where the model's memory had it, and say so.

    Parameters
    ----------
    grid : Grid
        One band; a grid that has a place keeps it.
    georeference : (crs, transform) or None
        CRS of any make, and the transform of the source's cells, not of the decimated grid.

    Examples
    --------
    >>> from dissmodel_lab.maps.arrays import from_array
    >>> grid = from_array(np.zeros((2, 3))).grid("band_1", 1024)
    >>> with_georeference(grid, ("EPSG:31983", Affine(30, 0, 300_000, 0, -30, 7_400_000))).notes
    ("Georeference taken from the model's memory: the file has none.",)
    """
    if georeference is None:
        return grid
    crs, notes = to_crs(georeference[0])
    transform = georeference[1]
    if crs is None or transform is None:
        return replace(grid, notes=(*grid.notes, *notes))
    height, width = grid.values.shape
    cells = Affine(*transform[:6]) if grid.window is None else grid.window.moved(Affine(*transform[:6]))
    full = scaled(cells, grid.source_size[0] / width, grid.source_size[1] / height)
    has_place = grid.transform is not None and not _is_pixels(grid.transform, grid)
    if has_place and (grid.crs is not None or not _is_same(cast("Affine", grid.transform), cast("Affine", full))):
        return grid
    said = message("Georeference taken from the model's memory: the file has none.")
    if has_place:
        said = message("CRS taken from the model's memory: the file has none.")
    return replace(grid, crs=crs, transform=full, notes=(*grid.notes, said))


def _is_same(one: Affine, other: Affine) -> bool:
    size = max(abs(one.a), abs(one.b))
    return all(abs(x - y) <= 1e-6 * max(size, abs(x)) for x, y in zip(one[:6], other[:6], strict=True))


def _georeference(grid: Grid) -> tuple[Affine, CRS]:
    """Return transform and CRS, or say why there is no place on Earth."""
    plane = message("shown in a plane, not on Earth.")
    if grid.crs is None:
        raise _NoPlaceError(message("No CRS: {plane}", plane=plane))
    name = crs_name(grid.crs)
    if grid.transform is None or _is_pixels(grid.transform, grid):
        raise _NoPlaceError(message("A CRS ({name}) but no place in it: {plane}", name=name, plane=plane))
    transform = Affine(*grid.transform[:6])
    if not all(map(math.isfinite, transform[:6])) or transform.determinant == 0:
        raise _NoPlaceError(message("The georeference ({name}) is degenerate: {plane}", name=name, plane=plane))
    radius = grid.crs.ellipsoid.semi_major_metre if grid.crs.ellipsoid is not None else RADIUS
    if not EARTH_RADII[0] <= radius <= EARTH_RADII[1]:
        raise _NoPlaceError(
            message(
                "The CRS ({name}) is of a body with a radius of {radius:,.0f} km: {plane}",
                name=name,
                radius=radius / 1000,
                plane=plane,
            )
        )
    return transform, grid.crs


def _is_pixels(transform: Affine, grid: Grid) -> bool:
    """Whether a transform only counts the source's pixels, as files do that were never georeferenced."""
    height, width = grid.values.shape
    across, down = grid.source_size[0] / width, grid.source_size[1] / height
    a, b, c, d, e, f = (float(x) for x in transform[:6])
    if (a, b, d) != (across, 0.0, 0.0) or abs(e) != down:
        return False
    whole = grid.whole_size or grid.source_size
    if grid.window is not None:  # where the whole grid starts
        c, f = c - grid.window.column, f - math.copysign(grid.window.row, e)
    identity = c == 0.0 and e > 0 and f == 0.0
    flipped = c == 0.0 and e < 0 and f in {0.0, float(whole[1])}
    on_globe = grid.crs is not None and grid.crs.is_geographic and max(whole) <= 180  # noqa: PLR2004
    return identity or (flipped and not on_globe)


def _numbers(grid: Grid) -> NDArray[np.int32]:
    return np.arange(grid.values.size, dtype=np.int32).reshape(grid.values.shape)


def crs_name(crs: CRS) -> str:
    """
    Return a CRS's short name.

    Examples
    --------
    >>> crs_name(CRS.from_epsg(31983))
    'EPSG:31983'
    """
    authority = crs.to_authority()
    return ":".join(authority) if authority else str(crs.name)


def _origin_note(grid: Grid, transform: Affine) -> tuple[str, ...]:
    height, width = grid.values.shape
    corners = [_at(transform, *corner) for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    if (0.0, 0.0) not in corners:
        return ()
    return (message("A corner lies at exactly 0, 0 of the CRS: check that the georeference is real."),)


def _unwarped(grid: Grid, transform: Affine) -> Placement:
    """Web Mercator data are shown as they are, at most flipped to north-up."""
    height, width = grid.values.shape
    cells = _numbers(grid)
    (x0, y0), (x1, y1) = _at(transform, 0, 0), _at(transform, width, height)
    if transform.a < 0:
        cells, x0, x1 = cells[:, ::-1], x1, x0
    if transform.e > 0:
        cells, y0, y1 = cells[::-1], y1, y0
    if abs(y0) > 4 * RADIUS or abs(y1) > 4 * RADIUS or x1 - x0 > 2.01 * math.pi * RADIUS:
        raise _NoPlaceError(message("Coordinates outside EPSG:3857: shown in a plane, not on Earth."))
    return Placement(
        cells=np.ascontiguousarray(cells),
        bounds=((_latitude(y1), math.degrees(x0 / RADIUS)), (_latitude(y0), math.degrees(x1 / RADIUS))),
        is_georeferenced=True,
        crs="EPSG:3857",
        notes=_origin_note(grid, transform),
    )


def _warped(grid: Grid, transform: Affine, crs: CRS, max_pixels: int) -> Placement:
    name = crs_name(crs)
    west, south, east, north, notes = _extent(grid, transform, crs)
    middle = 0.0 if west >= -180.0 and east <= 180.0 else (west + east) / 2  # noqa: PLR2004 -- [degrees]
    left, top = RADIUS * math.radians(west), _mercator(north)
    wide, high = RADIUS * math.radians(east - west), top - _mercator(south)
    pixel = _pixel_size(grid, transform, wide, high, max_pixels)
    columns, rows = max(1, math.ceil(wide / pixel - 1e-6)), max(1, math.ceil(high / pixel - 1e-6))
    target = Affine(pixel, 0, left - RADIUS * math.radians(middle), 0, -pixel, top)
    try:
        cells = _nearest(grid, transform, crs, shape=(rows, columns), target=target, middle=middle)
    except (RasterioError, ProjError) as error:
        raise _NoPlaceError(
            message(
                "The projection from {name} failed ({error}): shown in a plane, not on Earth.", name=name, error=error
            )
        ) from error
    if not (cells >= 0).any():
        raise _NoPlaceError(
            message("The projection from {name} leads nowhere: shown in a plane, not on Earth.", name=name)
        )
    right, bottom = math.degrees((left + columns * pixel) / RADIUS), _latitude(top - rows * pixel)
    said = message("Warped from {name} to Web Mercator (EPSG:3857), nearest cell.", name=name)
    return Placement(
        cells=cells,
        bounds=((bottom, west), (north, right)),
        is_georeferenced=True,
        crs=name,
        notes=(said, *notes, *_origin_note(grid, transform)),
    )


def _pixel_size(grid: Grid, transform: Affine, wide: float, high: float, max_pixels: int) -> float:
    """
    Return the size of a picture's pixel [m of Web Mercator].

    A small grid gets a whole number of pixels for each cell, so that its cells keep their shape; a grid as
    large as the picture about one.
    """
    height, width = grid.values.shape
    is_rotated = transform.b != 0 or transform.d != 0
    cell = math.hypot(wide, high) / math.hypot(width, height) if is_rotated else wide / width
    longest = max(wide, high)
    times = math.floor(max_pixels * cell / longest)
    return cell / times if times >= 1 else longest / max_pixels


def _nearest(
    grid: Grid, transform: Affine, crs: CRS, *, shape: tuple[int, int], target: Affine, middle: float
) -> NDArray[np.int32]:
    """Warp the cells' numbers. float32 holds them exactly up to 2**24, and is GDAL's fast way."""
    cells = np.full(shape, -1, np.float32)
    mercator = _MERCATOR
    if middle:  # data across the date line: the same picture around another meridian
        mercator = CRS.from_proj4(
            f"+proj=merc +a={RADIUS} +b={RADIUS} +lat_ts=0 +lon_0={middle!r} +x_0=0 +y_0=0 +k=1 +units=m "
            "+nadgrids=@null +no_defs"
        )
    reproject(
        _numbers(grid).astype(np.float32),
        cells,
        src_transform=transform,
        src_crs=crs.to_wkt(),
        dst_transform=target,
        dst_crs=mercator.to_wkt(),
        src_nodata=-1,
        dst_nodata=-1,
        resampling=Resampling.nearest,
    )
    return cells.astype(np.int32)


def _extent(grid: Grid, transform: Affine, crs: CRS) -> tuple[float, float, float, float, tuple[str, ...]]:
    """Return west, south, east, north of the grid [degrees], east beyond 180 across the date line."""
    name = crs_name(crs)
    height, width = grid.values.shape
    columns, rows = np.meshgrid(np.linspace(0, width, SAMPLES), np.linspace(0, height, SAMPLES))
    x, y = _at(transform, columns, rows)
    off_globe = crs.is_geographic and np.abs(y * _degrees_per_unit(crs)).max() > 90 + 1e-6
    if crs.is_geocentric or off_globe:
        raise _NoPlaceError(message("Coordinates outside {name}: shown in a plane, not on Earth.", name=name))
    try:
        to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        longitude, latitude = to_degrees.transform(x, y)
    except ProjError as error:
        raise _NoPlaceError(
            message(
                "The projection from {name} failed ({error}): shown in a plane, not on Earth.", name=name, error=error
            )
        ) from error
    known = np.isfinite(longitude) & np.isfinite(latitude)
    if not known.any():
        raise _NoPlaceError(message("Coordinates outside {name}: shown in a plane, not on Earth.", name=name))
    longitude = _unrolled(longitude, known, is_geographic=crs.is_geographic)
    west, east = float(longitude[known].min()), float(longitude[known].max())
    south, north = float(latitude[known].min()), float(latitude[known].max())
    if not crs.is_geographic and (pole := _pole_inside(to_degrees, transform, width, height)):
        west, east = -180.0, 180.0
        south, north = (min(south, pole), max(north, pole))
    return _clipped(west, south, east, north, name)


def _clipped(
    west: float, south: float, east: float, north: float, name: str
) -> tuple[float, float, float, float, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if south >= MAX_LATITUDE or north <= -MAX_LATITUDE:
        raise _NoPlaceError(
            message(
                "All lies beyond {max_latitude:.2f}° north or south: shown in a plane, not on Earth.",
                max_latitude=MAX_LATITUDE,
            )
        )
    if north > MAX_LATITUDE or south < -MAX_LATITUDE:
        notes = (
            message(
                "Nothing beyond {max_latitude:.2f}° north or south is shown: Web Mercator ends there.",
                max_latitude=MAX_LATITUDE,
            ),
        )
        south, north = max(south, -MAX_LATITUDE), min(north, MAX_LATITUDE)
    if not (south < north and west < east <= west + FULL_TURN):
        raise _NoPlaceError(message("Coordinates outside {name}: shown in a plane, not on Earth.", name=name))
    middle = (west + east) / 2
    turns = 360.0 * round(middle / 360) if abs(middle) > 180 else 0.0  # noqa: PLR2004 -- [degrees]
    return west - turns, south, east - turns, north, notes


def _degrees_per_unit(crs: CRS) -> float:
    """Geographic CRSs may count in grads."""
    return math.degrees(float(crs.axis_info[0].unit_conversion_factor))


def _unrolled(
    longitude: NDArray[np.float64], known: NDArray[np.bool_], *, is_geographic: bool
) -> NDArray[np.float64]:
    """Make longitudes continuous where the grid crosses the date line."""
    if is_geographic and known.all():
        return np.unwrap(np.unwrap(longitude, axis=1, period=360), axis=0, period=360)
    angles = np.radians(longitude[known])
    centre = math.degrees(math.atan2(np.sin(angles).mean(), np.cos(angles).mean()))
    return (longitude - centre + 180) % 360 - 180 + centre


def _pole_inside(to_degrees: Transformer, transform: Affine, width: int, height: int) -> float:
    """Return the latitude of the pole that the grid covers; 0 when it covers none."""
    for latitude in (90.0, -90.0):
        x, y = to_degrees.transform(0.0, latitude, direction="INVERSE")
        if math.isfinite(x) and math.isfinite(y):
            column, row = _at(~transform, x, y)
            if 0 <= column <= width and 0 <= row <= height:
                return latitude
    return 0.0


def _at(transform: Affine, column: Any, row: Any) -> tuple[Any, Any]:
    """Coordinates of a corner, or of many; by hand, because affine 2 and 3 spell the product differently."""
    a, b, c, d, e, f = transform[:6]
    return a * column + b * row + c, d * column + e * row + f


def _mercator(latitude: float) -> float:
    return RADIUS * math.asinh(math.tan(math.radians(latitude)))


def _latitude(northing: float) -> float:
    return math.degrees(math.atan(math.sinh(northing / RADIUS)))
