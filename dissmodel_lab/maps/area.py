"""Parts of a layer: a rectangle in its coordinates, the window of source cells under it, the view of a map as one.

In: four numbers. Out: four numbers. Does not touch disk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS

#: Points along each edge at which a view is followed into another CRS.
SAMPLES = 25
#: What curved edges between those points may add, as a part of the area's size.
MARGIN = 1 / 200
#: Where Web Mercator ends [degrees].
MAX_LATITUDE = 85.06


@dataclass(frozen=True, kw_only=True)
class Area:
    """
    A rectangle in a layer's own coordinates.

    Examples
    --------
    >>> Area(west=0, south=0, east=3, north=2).width
    3
    """

    west: float
    """In units of the layer's CRS; in a plane source cells, counted from the lower left corner."""
    south: float
    east: float
    north: float
    is_cells: bool = False
    """True for source cells, counted from the lower left corner, whatever the layer's CRS."""

    def __post_init__(self) -> None:
        """Refuse what is no rectangle."""
        edges = (self.west, self.south, self.east, self.north)
        if not all(map(math.isfinite, edges)) or self.west > self.east or self.south > self.north:
            raise SourceError(
                message(
                    "An area from {west}, {south} to {east}, {north} is none: it needs finite numbers, west up to "
                    "east and south up to north.",
                    west=self.west,
                    south=self.south,
                    east=self.east,
                    north=self.north,
                )
            )

    @property
    def width(self) -> float:
        """East minus west, in units of the layer."""
        return self.east - self.west

    @property
    def height(self) -> float:
        """North minus south, in units of the layer."""
        return self.north - self.south


class Window(NamedTuple):
    """Source cells: ``rows`` x ``columns`` of them from the cell at ``row``, ``column`` on, counted from the top."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) [cells]."""
        return self.columns, self.rows

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """
        Cut the window out of an array (height, width), without a copy.

        Examples
        --------
        >>> Window(0, 1, 1, 2).of(np.array([[1, 2, 3], [4, 5, 6]]))
        array([[2, 3]])
        """
        return array[self.row : self.row + self.rows, self.column : self.column + self.columns]

    def moved(self, transform: Affine | None) -> Affine | None:
        """
        Return the transform of the window's cells, given the one of the whole grid's cells.

        Examples
        --------
        >>> from affine import Affine
        >>> Window(2, 1, 1, 1).moved(Affine(30, 0, 500, 0, -30, 900)).f
        840.0
        """
        if transform is None:
            return None
        from affine import Affine  # noqa: PLC0415 -- only for those with a georeference

        a, b, c, d, e, f = transform[:6]
        return Affine(a, b, a * self.column + b * self.row + c, d, e, d * self.column + e * self.row + f)


def window_of(area: Area | None, size: tuple[int, int], transform: Affine | None, crs: CRS | None) -> Window:
    """
    Find the whole source cells that an area touches: at least one, none outside of the grid.

    Parameters
    ----------
    area : Area or None
        None for everything.
    size : (int, int)
        (width, height) of the grid [cells].
    transform : Affine or None
        Source cells to CRS coordinates.
    crs : CRS or None
        None when the grid lies in a plane, and areas are counted in cells.

    Examples
    --------
    >>> window_of(Area(west=0.5, south=0, east=1.5, north=1), (4, 3), None, None)
    Window(row=2, column=0, rows=1, columns=2)
    >>> window_of(None, (4, 3), None, None).size
    (4, 3)
    """
    width, height = size
    if area is None:
        return Window(0, 0, height, width)
    if area.is_cells or not has_place(transform, crs):
        left, right, top, bottom = area.west, area.east, height - area.north, height - area.south
    else:
        a, b, c, d, e, f = (~_affine(transform))[:6]
        corners = [(x, y) for x in (area.west, area.east) for y in (area.south, area.north)]
        columns, rows = [a * x + b * y + c for x, y in corners], [d * x + e * y + f for x, y in corners]
        left, right, top, bottom = min(columns), max(columns), min(rows), max(rows)
    column, columns_ = _snapped(left, right, width)
    row, rows_ = _snapped(top, bottom, height)
    return Window(row, column, rows_, columns_)


def _snapped(low: float, high: float, size: int) -> tuple[int, int]:
    """First element and number of elements between two edges, snapped outwards; rounding is no cell."""
    hair = 1e-6
    first = min(max(math.floor(min(max(low, -1.0), size + 1.0) + hair), 0), size - 1)
    last = min(max(math.ceil(min(max(high, -1.0), size + 1.0) - hair), first + 1), size)
    return first, last - first


def has_place(transform: Affine | None, crs: CRS | None) -> bool:
    """
    Whether areas of a grid are counted in units of its CRS; else in cells, in a plane.

    Examples
    --------
    >>> has_place(None, None)
    False
    """
    if transform is None or crs is None:
        return False
    numbers = [float(number) for number in transform[:6]]
    a, b, _, d, e, _ = numbers
    return all(map(math.isfinite, numbers)) and a * e - b * d != 0


def extent_of(size: tuple[int, int], transform: Affine | None, crs: CRS | None) -> Area:
    """
    Return the area of a whole grid.

    Parameters
    ----------
    size : (int, int)
        (width, height) of the grid [cells].
    transform, crs : optional
        As :func:`window_of` takes them.

    Examples
    --------
    >>> from affine import Affine
    >>> from pyproj import CRS
    >>> extent_of((10, 20), Affine(30, 0, 500, 0, -30, 900), CRS.from_epsg(31983))
    Area(west=500.0, south=300.0, east=800.0, north=900.0, is_cells=False)
    """
    width, height = size
    if not has_place(transform, crs):
        return Area(west=0.0, south=0.0, east=float(width), north=float(height))
    a, b, c, d, e, f = (float(number) for number in _affine(transform)[:6])
    corners = [(column, row) for column in (0, width) for row in (0, height)]
    x, y = [a * i + b * j + c for i, j in corners], [d * i + e * j + f for i, j in corners]
    return Area(west=min(x), south=min(y), east=max(x), north=max(y))


def area_of(
    bounds: tuple[tuple[float, float], tuple[float, float]],
    crs: CRS | None,
    extent: Area,
    *,
    is_georeferenced: bool = True,
) -> Area | None:
    """
    Turn a view of the map into the part of a layer that it shows.

    The view's edges are followed at many points, because a straight line of one map is curved in another.

    Parameters
    ----------
    bounds : ((south, west), (north, east))
        The view: degrees, any turn of the world; cells counted from the lower left when the picture lies in
        a plane.
    crs : CRS or None
        The layer's.
    extent : Area
        The layer's: everything.
    is_georeferenced : bool, optional
        Whether the picture lies on Earth: :attr:`~dissmodel_lab.maps.picture.Preview.is_georeferenced`.

    Returns
    -------
    Area or None
        Within ``extent``; None when the view misses the layer.

    Examples
    --------
    >>> from pyproj import CRS
    >>> whole = Area(west=0, south=-10, east=20, north=10)
    >>> area_of(((0, 5), (30, 7)), CRS.from_epsg(4326), whole).north
    10
    >>> area_of(((50, 5), (60, 7)), CRS.from_epsg(4326), whole) is None
    True
    >>> area_of(((0, 1), (2, 3)), None, Area(west=0, south=0, east=9, north=9), is_georeferenced=False).is_cells
    True
    """
    (south, west), (north, east) = bounds
    if not all(map(math.isfinite, (south, west, north, east))) or south >= north or west >= east:
        return None
    if not is_georeferenced or crs is None:
        return Area(west=west, south=south, east=east, north=north, is_cells=True)
    south, north = max(south, -MAX_LATITUDE), min(north, MAX_LATITUDE)
    if south >= north:
        return None
    if _counts_degrees(crs):
        return _of_degrees((west, south, east, north), extent)
    return _of_projected((west, south, east, north), crs, extent)


def _counts_degrees(crs: CRS) -> bool:
    """Whether its coordinates are degrees from Greenwich, apart from shifts of some hundred metres."""
    if not crs.is_geographic:
        return False
    degrees = math.degrees(float(crs.axis_info[0].unit_conversion_factor))
    return abs(degrees - 1) < 1e-9 and (crs.prime_meridian is None or crs.prime_meridian.longitude == 0)  # noqa: PLR2004 -- rounding


def _of_degrees(view: tuple[float, float, float, float], extent: Area) -> Area | None:
    west, south, east, north = view
    hair = 0.01 if extent.width > 1 else extent.width / 100  # a datum's shift [degrees]
    south, north = max(south - hair, extent.south), min(north + hair, extent.north)
    pieces = []
    first = math.floor((extent.west - east) / 360)
    for turn in range(first, first + math.ceil((extent.width + east - west) / 360) + 2):
        left, right = max(west + 360 * turn - hair, extent.west), min(east + 360 * turn + hair, extent.east)
        if left < right:
            pieces.append((left, right))
    if not pieces or south >= north:
        return None
    return Area(
        west=min(left for left, _ in pieces), south=south, east=max(right for _, right in pieces), north=north
    )


def _of_projected(view: tuple[float, float, float, float], crs: CRS, extent: Area) -> Area | None:
    """
    Follow a grid of points of the view into the CRS, and one of the layer back into degrees.

    A view of the whole world is no place in a UTM zone: only what the layer covers is followed. The points
    of the layer that lie in the view belong to the answer as well, for the poles, which no edge passes.
    """
    from pyproj import Transformer  # noqa: PLC0415 -- 0.1 s, only for those with a georeference
    from pyproj.exceptions import ProjError  # noqa: PLC0415

    west, south, east, north = view
    x, y = _mesh(extent.west, extent.south, extent.east, extent.north)
    try:
        back = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        longitude, latitude = (np.asarray(values) for values in back.transform(x, y))
        known = np.isfinite(longitude) & np.isfinite(latitude)
        if not known.any():
            return None
        middle = (west + east) / 2
        longitude = (longitude - middle + 180) % 360 - 180 + middle  # on the view's turn of the world
        inside = known & (longitude >= west) & (longitude <= east) & (latitude >= south) & (latitude <= north)
        seen = _mesh(west, south, east, north)
        if inside.any():
            # what the layer's own points tell, a step wider: the view may be as large as the world
            left, low = max(west, longitude[inside].min() - 2 * _step(longitude, known)), latitude[inside].min()
            right, high = min(east, longitude[inside].max() + 2 * _step(longitude, known)), latitude[inside].max()
            step = 2 * _step(latitude, known)
            seen = _mesh(left, max(south, low - step), right, min(north, high + step))
        there_x, there_y = (np.asarray(values) for values in back.transform(*seen, direction="INVERSE"))
    except ProjError:
        return None
    near = np.isfinite(there_x) & np.isfinite(there_y)
    return _hull(np.append(there_x[near], x[inside]), np.append(there_y[near], y[inside]), extent)


def _mesh(west: float, south: float, east: float, north: float) -> tuple[NDArray[Any], NDArray[Any]]:
    x, y = np.meshgrid(np.linspace(west, east, SAMPLES), np.linspace(south, north, SAMPLES))
    return x, y


def _step(values: NDArray[Any], known: NDArray[np.bool_]) -> float:
    return float(np.ptp(values[known])) / (SAMPLES - 1)


def _hull(x: NDArray[Any], y: NDArray[Any], extent: Area) -> Area | None:
    if not x.size:
        return None
    wide, high = MARGIN * float(np.ptp(x)), MARGIN * float(np.ptp(y))
    west, east = max(float(x.min()) - wide, extent.west), min(float(x.max()) + wide, extent.east)
    south, north = max(float(y.min()) - high, extent.south), min(float(y.max()) + high, extent.north)
    if west >= east or south >= north:
        return None
    return Area(west=west, south=south, east=east, north=north)


def _affine(transform: Any) -> Affine:
    from affine import Affine  # noqa: PLC0415 -- only for those with a georeference

    return Affine(*(float(number) for number in transform[:6]))
