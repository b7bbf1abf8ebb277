"""A grid or shapes -> the area of each cell or shape on Earth [m2], and how it was worked out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dissmodel_lab.language import message
from dissmodel_lab.maps.arrays import scaled
from dissmodel_lab.rasters import PLANAR_TOLERANCE, Raster, cell_areas

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS

    from dissmodel_lab.changes.grids import Place

#: Areas of more cells than this are worked out for blocks of cells [cells].
MAX_CELLS = 400_000
#: From how many m2 on areas are told in a unit [m2].
UNITS = ((1e8, "km2", 1e6), (1e4, "ha", 1e4), (0.0, "m2", 1.0))
#: How many shapes of a table are looked at to see whether the projection keeps areas.
SAMPLE = 81
#: Areas that differ by less than this part of them are the same: sums are rounded.
ALIKE = 1e-9
#: shapely's number of the type.
POLYGON = 3

_FORMULA = "Snyder 1987, Map Projections, USGS PP 1395, eq. 3-12"


@dataclass(frozen=True, kw_only=True, eq=False)
class CellAreas:
    """The areas of a grid's cells; ``grid`` is None when they are unknown."""

    grid: NDArray[np.float64] | None
    """[m2]: (1, 1) when all cells are alike, (height, 1) when those of a row are, else (height, width) of blocks."""
    method: str
    """One sentence: how they were worked out, or why they are unknown."""
    block: int = 1
    """Side of the blocks that one number stands for [cells]."""

    @property
    def constant(self) -> float | None:
        """The area of every cell [m2]; None when they differ or are unknown."""
        return float(self.grid[0, 0]) if self.grid is not None and self.grid.size == 1 else None

    def of_rows(self, top: int, bottom: int, width: int) -> NDArray[np.float64]:
        """
        Return the areas of some rows of cells [m2], (rows, width).

        Parameters
        ----------
        top, bottom : int
            The first row, and the one after the last.
        width : int
            Of the grid [cells].
        """
        assert self.grid is not None, "asked only where areas are known"  # the caller looks first
        rows = np.arange(top, bottom) // self.block if self.grid.shape[0] > 1 else np.zeros(bottom - top, int)
        if self.grid.shape[1] == 1:
            return np.broadcast_to(self.grid[rows], (bottom - top, width))
        cells: NDArray[np.float64] = self.grid[np.ix_(rows, np.arange(width) // self.block)]
        return cells


def areas_of_cells(place: Place) -> CellAreas:
    """
    Work out the areas of a grid's cells, as :func:`~dissmodel_lab.rasters.cell_areas` does.

    Parameters
    ----------
    place : Place
        Size, transform and CRS of the grid.

    Examples
    --------
    >>> from affine import Affine
    >>> from pyproj import CRS
    >>> from dissmodel_lab.changes.grids import Place
    >>> utm = Place(shape=(2, 3), transform=Affine(30, 0, 300_000, 0, -30, 7_400_000), crs=CRS("EPSG:31983"))
    >>> areas_of_cells(utm).constant, areas_of_cells(utm).method
    (900.0, 'Width times height of a cell in EPSG:31983, which keeps areas within 1 % here.')
    """
    crs, transform, (height, width) = place.crs, place.transform, place.shape
    if crs is None or transform is None:
        return CellAreas(
            grid=None,
            method=message(
                "Areas are unknown, the map has no {words}.", words=message("transform") if crs else message("CRS")
            ),
        )
    if crs.geodetic_crs is None or transform.determinant == 0:
        return CellAreas(grid=None, method=message("Areas are unknown: the map's CRS leads to no place on Earth."))
    name = _name(crs)
    if not crs.is_projected and transform.b == transform.d == 0:
        column = _areas(crs, transform, (height, 1))
        return CellAreas(
            grid=column, method=message("Geodesic: {ellipsoid}, row by row.", ellipsoid=_ellipsoid_text(crs))
        )
    block = math.ceil(math.sqrt(max(1.0, height * width / MAX_CELLS)))
    blocks = math.ceil(height / block), math.ceil(width / block)
    areas = _areas(crs, cast("Affine", scaled(transform, block, block)), blocks) / block**2
    planar = abs(transform.determinant) * (
        crs.axis_info[0].unit_conversion_factor ** 2 if crs.is_projected else math.nan
    )
    if crs.is_projected and (abs(areas - planar) <= ALIKE * planar).all():
        said = message(
            "Width times height of a cell in {name}, which keeps areas within {planar_tolerance:.0%} here.",
            name=name,
            planar_tolerance=PLANAR_TOLERANCE,
        )
        return CellAreas(grid=np.full((1, 1), planar), method=said.replace("%", " %"))
    said = f"{_ellipsoid_text(crs)}{'' if block == 1 else f', for blocks of {block} x {block} cells'}"
    why = message(", because {name} does not keep areas", name=name) if crs.is_projected else ""
    return CellAreas(grid=areas, method=f"Geodesic: {said}{why}.", block=block)


def areas_of_shapes(shapes: NDArray[Any], crs: CRS | None) -> tuple[NDArray[np.float64] | None, str]:
    """
    Work out the areas of polygons, and say how.

    In longitude and latitude it is the area on the CRS's ellipsoid, the integral of q (Snyder 1987, eq. 3-12) over
    longitude along the edges, which are straight in degrees: exact along parallels and meridians, as cells have
    them, by Simpson's rule along others. In a projected CRS it is the plane's area where the projection keeps
    areas within 1 %, else the corners are brought back to the ellipsoid, across the antimeridian too. Shapes beyond
    the projection's domain count as in the plane.

    Parameters
    ----------
    shapes : ndarray of shapely geometries
        One for each feature.
    crs : CRS or None
        Of the shapes.

    Returns
    -------
    areas : ndarray of float or None
        (features,) [m2]; None when unknown.
    method : str
        One sentence.

    Examples
    --------
    >>> import shapely
    >>> from pyproj import CRS
    >>> areas, method = areas_of_shapes(np.array([shapely.box(0, 0, 1, 1)]), CRS("EPSG:4326"))
    >>> print(f"{areas[0] / 1e6:.0f} km2. {method}")
    12308 km2. Geodesic: ...
    """
    import shapely  # noqa: PLC0415 -- only tables have shapes

    if not len(shapes) or (shapely.get_dimensions(shapes[~shapely.is_missing(shapes)]) < 2).any():  # noqa: PLR2004 -- areas
        return None, message("Points and lines have no area: features are counted.")
    if crs is None or crs.geodetic_crs is None:
        return None, message("Areas are unknown, the table has no CRS.")
    if not crs.is_projected:
        return _on_ellipsoid(shapes, crs), f"Geodesic: {_ellipsoid_text(crs)}."
    planar: NDArray[np.float64] = shapely.area(shapes) * crs.axis_info[0].unit_conversion_factor ** 2
    sample = np.linspace(0, len(shapes) - 1, min(SAMPLE, len(shapes))).astype(int)
    truth = _on_ellipsoid(_in_degrees(shapes[sample], crs), crs, is_cut=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        is_kept = not (np.abs(truth / planar[sample] - 1) > PLANAR_TOLERANCE).any()
    if is_kept:
        said = message(
            "The plane's area in {name}, which keeps areas within {planar_tolerance:.0%} here.",
            name=_name(crs),
            planar_tolerance=PLANAR_TOLERANCE,
        )
        return np.nan_to_num(planar), said.replace("%", " %")
    areas = _on_ellipsoid(_in_degrees(shapes, crs), crs, is_cut=True)
    areas = np.where(np.isfinite(areas), areas, np.nan_to_num(planar))
    return areas, message(
        "Geodesic: {ellipsoid}, because {name} does not keep areas.", ellipsoid=_ellipsoid_text(crs), name=_name(crs)
    )


def in_unit(square_metres: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    """
    Write areas in the unit that fits the largest class.

    Parameters
    ----------
    square_metres : ndarray of float
        (classes, classes) [m2].

    Examples
    --------
    >>> in_unit(np.array([[2e6, 0.0], [3e6, 0.0]]))
    (array([[200.,   0.],
           [300.,   0.]]), 'ha')
    """
    sums = [square_metres.sum(axis=0), square_metres.sum(axis=1)]
    largest = max((float(part.max()) for part in sums if part.size), default=0.0)
    unit, size = next((unit, size) for start, unit, size in UNITS if largest >= start)
    return square_metres / size, unit


def _areas(crs: CRS, transform: Affine, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the areas of a grid's cells [m2]; cells beyond the CRS's domain count as in the plane."""
    nothing = np.broadcast_to(np.uint8(0), (1, *shape))  # no memory: only its size matters
    areas = cell_areas(Raster(array=nothing, transform=transform, crs=crs)) * 1e6
    if not np.isfinite(areas).all():
        unit = crs.axis_info[0].unit_conversion_factor if crs.is_projected else 0.0
        areas = np.where(np.isfinite(areas), areas, abs(transform.determinant) * unit**2)
    return areas


def _on_ellipsoid(shapes: NDArray[Any], crs: CRS, *, is_cut: bool = False) -> NDArray[np.float64]:
    """
    Return the areas of shapes in degrees on the CRS's ellipsoid [m2]; what is no polygon has none.

    ``is_cut`` says that longitudes jump by 360 at the antimeridian, so that each edge goes the shorter way.
    """
    import shapely  # noqa: PLC0415
    from pyproj import Geod  # noqa: PLC0415

    ellipsoid = crs.get_geod() or Geod(ellps="WGS84")
    parts, owners = shapely.get_parts(shapes, return_index=True)
    is_polygon = shapely.get_type_id(parts) == POLYGON
    parts, owners = parts[is_polygon], owners[is_polygon]
    rings, ring_parts = shapely.get_rings(parts, return_index=True)
    points, point_rings = shapely.get_coordinates(rings, return_index=True)
    is_edge = point_rings[1:] == point_rings[:-1]
    with np.errstate(invalid="ignore"):  # corners beyond a CRS's domain are infinite
        degrees = np.diff(points[:, 0])
        degrees = (degrees + 180) % 360 - 180 if is_cut else degrees
    along = np.where(is_edge, np.radians(degrees), 0.0)
    first, last = points[:-1, 1], points[1:, 1]
    height = (_q(first, ellipsoid.es) + 4 * _q((first + last) / 2, ellipsoid.es) + _q(last, ellipsoid.es)) / 6
    rings_area = np.abs(np.bincount(point_rings[:-1], along * height, len(rings))) * ellipsoid.a**2 / 2
    is_hole = np.append(False, ring_parts[1:] == ring_parts[:-1]) if len(rings) else np.zeros(0, bool)
    signed = np.where(is_hole, -rings_area, rings_area)
    areas: NDArray[np.float64] = np.bincount(owners[ring_parts], signed, len(shapes)).astype(np.float64)
    return areas


def _q(latitude: NDArray[np.float64], es: float) -> NDArray[np.float64]:
    """Snyder (1987), eq. 3-12, for latitudes in degrees and the ellipsoid's eccentricity squared."""
    e = math.sqrt(es) or 1e-9  # on a sphere atanh(e s) / e has the limit s
    sine = np.sin(np.radians(np.clip(latitude, -90, 90)))
    q: NDArray[np.float64] = (1 - e**2) * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)
    return q


def _in_degrees(shapes: NDArray[Any], crs: CRS) -> NDArray[Any]:
    import shapely  # noqa: PLC0415
    from pyproj import Transformer  # noqa: PLC0415

    to_degrees = Transformer.from_crs(crs, cast("CRS", crs.geodetic_crs), always_xy=True)

    def mapped(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_degrees.transform(points[:, 0], points[:, 1]))

    return cast("NDArray[Any]", shapely.transform(shapes, mapped))


def _ellipsoid_text(crs: CRS) -> str:
    ellipsoid = crs.ellipsoid.name if crs.ellipsoid is not None else "WGS 84"
    return message(
        "on the ellipsoid {ellipsoid} of {name} ({formula})", ellipsoid=ellipsoid, name=_name(crs), formula=_FORMULA
    )


def _name(crs: CRS) -> str:
    authority = crs.to_authority()
    return ":".join(authority) if authority else str(crs.name)
