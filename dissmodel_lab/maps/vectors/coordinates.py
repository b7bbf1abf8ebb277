"""Are these coordinates what they should be? Missing, broken and absurd ones, swapped axes, no CRS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from dissmodel_lab.language import message
from dissmodel_lab.maps.area import Area

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyproj import CRS

#: Coordinates beyond this are no place in any unit: float64 counts no millimetres there, and areas overflow.
FARTHEST = 1e12
#: Where degrees end.
MAX_LATITUDE, MAX_LONGITUDE = 90.0, 180.0
#: What is so much larger than all but a few features was stretched by those few.
STRETCHED, MOST_FEATURES = 50.0, 0.99


def finite_bounds(shapes: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[str, ...]]:
    """
    Find the features that have a place.

    Parameters
    ----------
    shapes : ndarray of shapely geometries
        None, empty and broken ones among them.

    Returns
    -------
    bounds : ndarray
        (n, 4): west, south, east, north; NaN for those without a place.
    has_place : ndarray of bool
        (n,)
    notes : tuple of str
        What must be said about the others.

    Examples
    --------
    >>> finite_bounds(np.array([shapely.Point(1, 2), None]))[2]
    ('1 of 2 features have no place: no geometry, or no finite one.',)
    """
    bounds = np.asarray(shapely.bounds(shapes), float).reshape(-1, 4)
    has_place = np.isfinite(bounds).all(axis=1)
    notes = _missing_note(int(len(shapes) - has_place.sum()), len(shapes))
    with np.errstate(invalid="ignore"):
        far = has_place & (np.abs(bounds) > FARTHEST).any(axis=1)
    if far.any():
        has_place &= ~far
        count = int(far.sum())
        said = message(
            "{count:,} of {n_shapes:,} features lie absurdly far away (coordinates beyond {farthest:g})",
            count=count,
            n_shapes=len(shapes),
            farthest=FARTHEST,
        )
        notes += (message("{said}: not drawn.", said=said),)
    return bounds, has_place, notes


def _missing_note(missing: int, total: int) -> tuple[str, ...]:
    if not missing:
        return ()
    return (
        message(
            "{missing:,} of {total:,} features have no place: no geometry, or no finite one.",
            missing=missing,
            total=total,
        ),
    )


def broken(shapes: NDArray[Any]) -> NDArray[np.bool_]:
    """
    Find shapes some of whose corners are not finite, though their bounds are.

    Examples
    --------
    >>> with np.errstate(invalid="ignore"):
    ...     line = shapely.from_wkt("LINESTRING (0 0, NaN 1, 2 2)")
    ...     broken(np.array([shapely.Point(0, 0), line]))
    array([False,  True])
    """
    is_broken = np.zeros(len(shapes), bool)
    sizes = np.cumsum(shapely.get_num_coordinates(shapes), dtype=np.int64) >> 21
    for piece in range(int(sizes[-1]) + 1 if len(sizes) else 0):
        start, end = np.searchsorted(sizes, (piece, piece + 1))
        points, owners = shapely.get_coordinates(shapes[start:end], return_index=True)
        is_broken[start + owners[~np.isfinite(points).all(axis=1)]] = True
    return is_broken


def swapped(shapes: NDArray[Any]) -> NDArray[Any]:
    """
    Exchange x and y.

    Examples
    --------
    >>> swapped(np.array([shapely.Point(1, 2)]))[0].x
    2.0
    """
    turned: NDArray[Any] = shapely.transform(shapes, lambda points: points[:, ::-1])
    return turned


def axis_order(west: float, south: float, east: float, north: float, crs: CRS | None) -> tuple[bool, tuple[str, ...]]:
    """
    Tell whether x and y were written in the wrong order.

    What can't be right as it is, but is when swapped, is swapped. What is only improbable is left as it is.

    Parameters
    ----------
    west, south, east, north : float
        Of all features, in units of the CRS.
    crs : CRS or None
        What the data say.

    Returns
    -------
    is_swapped : bool
        Whether to exchange them.
    notes : tuple of str
        What must be said.

    Examples
    --------
    >>> from pyproj import CRS
    >>> axis_order(-15, -120, -10, -100, CRS.from_epsg(4326))[0]
    True
    >>> axis_order(-48, -16, -47, -15, CRS.from_epsg(4326))
    (False, ())
    """
    if crs is None:
        return False, _without_crs(west, south, east, north)
    as_is, turned = (west, south, east, north), (south, west, north, east)
    if crs.is_geographic and crs.axis_info and abs(crs.axis_info[0].unit_conversion_factor - np.pi / 180) < 1e-9:  # noqa: PLR2004 -- rounding
        if not _are_degrees(*as_is) and _are_degrees(*turned):
            said = message(
                "y reaches {north:.6g}, which no latitude does: x and y were swapped", north=max(north, -south)
            )
            return True, (message("{said}, and are drawn the other way round. Write longitude first.", said=said),)
        if not _are_degrees(*as_is):
            return False, ()
    if _lies_in_use(as_is, crs) is False and _lies_in_use(turned, crs):
        name = crs.name
        said = message(
            "All lies outside of the region that {name} is made for; with x and y swapped it would lie inside. "
            "Check the order of the axes: east (longitude) comes first.",
            name=name,
        )
        return False, (said,)
    return False, ()


def _are_degrees(west: float, south: float, east: float, north: float) -> bool:
    return max(abs(south), abs(north)) <= MAX_LATITUDE and max(abs(west), abs(east)) <= 2 * MAX_LONGITUDE


def _without_crs(west: float, south: float, east: float, north: float) -> tuple[str, ...]:
    """Grids without a place count from zero, too: only numbers with decimals look like degrees."""
    numbers = np.array((west, south, east, north))
    if not _are_degrees(west, south, east, north) or (numbers == np.rint(numbers)).any() or (numbers == 0).all():
        return ()
    said = message("The coordinates look like longitude and latitude, but nothing says so")
    return (message("{said}: set the CRS (EPSG:4326?) to see them on Earth.", said=said),)


def _lies_in_use(bounds: tuple[float, float, float, float], crs: CRS) -> bool | None:
    """Whether the middle lies in the CRS's area of use, with a margin; None when it has none."""
    from pyproj import Transformer  # noqa: PLC0415 -- 0.1 s, only for those with a CRS
    from pyproj.exceptions import ProjError  # noqa: PLC0415

    use = crs.area_of_use
    if use is None:
        return None
    west, south, east, north = bounds
    try:
        longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(
            (west + east) / 2, (south + north) / 2
        )
    except ProjError:
        return False
    if not (np.isfinite(longitude) and np.isfinite(latitude)):
        return False
    width = (use.east - use.west) % 360 or 360.0
    margin = 5.0  # maps reach over their region's edge [degrees]
    is_along = (longitude - use.west + margin) % 360 <= width + 2 * margin
    return bool(is_along and use.south - margin <= latitude <= use.north + margin)


def stretched_note(bounds: NDArray[np.float64]) -> tuple[str, ...]:
    """
    Say when a few features far away make all others tiny.

    Parameters
    ----------
    bounds : ndarray
        (n, 4): west, south, east, north; finite.

    Examples
    --------
    >>> many = np.repeat([[500.0, 500.0, 501.0, 501.0]], 500, axis=0) + np.arange(500)[:, np.newaxis] / 100
    >>> stretched_note(np.append(many, [[0.0, 0.0, 0.0, 0.0]], axis=0))
    ('1 of 501 features lie far away from all others, which are tiny therefore: from 0, 0 to 0, 0.',)
    """
    if len(bounds) < 1 / (1 - MOST_FEATURES):
        return ()
    middle = (bounds[:, :2] + bounds[:, 2:]) / 2
    low, high = np.quantile(middle, (0.005, 0.995), axis=0)
    span = np.maximum(high - low, np.ptp(bounds, axis=0).max() * 1e-9)
    far = ((middle < low - STRETCHED * span) | (middle > high + STRETCHED * span)).any(axis=1)
    count = int(far.sum())
    if not count or count > (1 - MOST_FEATURES) * len(bounds):
        return ()
    (west, south), (east, north) = bounds[far, :2].min(axis=0), bounds[far, 2:].max(axis=0)
    said = message(
        "{count:,} of {n_bounds:,} features lie far away from all others, which are tiny therefore",
        count=count,
        n_bounds=len(bounds),
    )
    return (
        message(
            "{said}: from {west:.6g}, {south:.6g} to {east:.6g}, {north:.6g}.",
            said=said,
            west=west,
            south=south,
            east=east,
            north=north,
        ),
    )


def extent_of_bounds(bounds: NDArray[np.float64]) -> Area | None:
    """
    Return the area that holds all bounds; None when there are none.

    Examples
    --------
    >>> extent_of_bounds(np.array([[0.0, 0.0, 1.0, 1.0], [2.0, 2.0, 3.0, 4.0]])).north
    4.0
    """
    if not len(bounds):
        return None
    (west, south), (east, north) = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    return Area(west=float(west), south=float(south), east=float(east), north=float(north))
