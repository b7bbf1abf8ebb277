"""Areas, lines and points of any form -> which of them each pixel shows; without a loop over features.

Areas are filled by the even-odd rule: a pixel belongs to an area when its middle lies inside, as in GDAL's
polygon fill. All edges cross all rows at once: Foley, van Dam et al. (1990), Computer Graphics, section 3.6
(scan conversion of polygons), with the list of active edges replaced by one sort.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

if TYPE_CHECKING:
    from collections.abc import Iterator

    from affine import Affine
    from numpy.typing import NDArray

    from dissmodel_lab.maps.area import Area

#: Coordinates, crossings, samples and pixels are worked on in pieces of this size: 100 MB at most.
PIECE = 1 << 21
#: More pixels than this, counted for each area alone, take seconds: the picture becomes coarser.
MOST_FILLED = 200_000_000
#: shapely's numbers of types.
LINEAR_RING, COLLECTION = 2, 7
#: Pixels across a line, and across a point when there are few, many, very many: at 1024 pixels a side.
LINE_BRUSH, POINT_BRUSHES, FULL_SIDE = 3, ((2_000, 9), (20_000, 5)), 1024
SMALLEST_BRUSH = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """Shapes taken apart: what is filled, what is drawn as lines, what as points."""

    shapes: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    """Points, lines and areas: by their dimension."""
    owners: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
    """The feature that each belongs to."""


def parts_of(shapes: NDArray[Any]) -> Parts:
    """
    Take collections apart, and sort shapes by their dimension.

    Parameters
    ----------
    shapes : ndarray of shapely geometries
        None and empty ones are left out.

    Examples
    --------
    >>> mixed = shapely.GeometryCollection([shapely.Point(0, 0), shapely.box(0, 0, 1, 1)])
    >>> [len(part) for part in parts_of(np.array([mixed, shapely.Point(1, 1)])).shapes]
    [2, 0, 1]
    """
    owners = np.flatnonzero(~(shapely.is_missing(shapes) | shapely.is_empty(shapes)))
    shapes = shapes[owners]
    while (is_collection := shapely.get_type_id(shapes) == COLLECTION).any():  # they may hold others
        inner, of = shapely.get_parts(shapes[is_collection], return_index=True)
        owners = np.append(owners[~is_collection], owners[is_collection][of])
        shapes = np.append(shapes[~is_collection], inner)
        order = np.argsort(owners, kind="stable")
        owners, shapes = owners[order], shapes[order]
        there = ~shapely.is_empty(shapes)
        owners, shapes = owners[there], shapes[there]
    dimensions = shapely.get_dimensions(shapes)
    chosen = tuple(np.flatnonzero(dimensions == number) for number in range(3))
    points, lines, areas = (shapes[one] for one in chosen)
    return Parts(shapes=(points, lines, areas), owners=(owners[chosen[0]], owners[chosen[1]], owners[chosen[2]]))


def brush_of(n_points: int, *, has_lines: bool, side: int) -> tuple[int, int]:
    """
    Return how wide lines and points are drawn, to be seen [pixels].

    Parameters
    ----------
    n_points : int
        Fewer ones are larger.
    has_lines : bool
        Without lines and points nothing is widened.
    side : int
        Longest side of the picture [pixels].

    Examples
    --------
    >>> brush_of(10, has_lines=True, side=1024)
    (3, 9)
    >>> brush_of(0, has_lines=False, side=1024)
    (1, 1)
    """
    if not n_points and not has_lines:
        return 1, 1
    point = next((width for most, width in POINT_BRUSHES if n_points <= most), SMALLEST_BRUSH)
    line, point = (max(1, round(width * min(1.0, side / FULL_SIDE)) | 1) for width in (LINE_BRUSH, point))
    return line, point


def owners_of(parts: Parts, transform: Affine, shape: tuple[int, int], brush: tuple[int, int]) -> NDArray[np.intp]:
    """
    Find the feature that each pixel shows: areas below lines below points; of several the last one.

    Parameters
    ----------
    parts : Parts
        With finite coordinates only.
    transform : Affine
        Pixels to coordinates, north up and not turned.
    shape : (int, int)
        (height, width) [pixels].
    brush : (int, int)
        How wide lines and points are drawn [pixels].

    Returns
    -------
    ndarray of int
        (height, width), -1 where nothing is drawn.

    Examples
    --------
    >>> from affine import Affine
    >>> parts = parts_of(np.array([shapely.box(0, 0, 2, 1), shapely.Point(2.5, 1.5)]))
    >>> owners_of(parts, Affine(1, 0, 0, 0, -1, 2), (2, 3), (1, 1))
    array([[-1, -1,  1],
           [ 0,  0, -1]])
    """
    owners = np.full(shape, -1, np.intp)
    (points, lines, areas), (of_points, of_lines, of_areas) = parts.shapes, parts.owners
    _fill(areas, of_areas, transform, owners)
    _dot_small(areas, of_areas, transform, owners)
    for thin, names, draw, width in (
        (lines, of_lines, _draw_lines, brush[0]),
        (points, of_points, _draw_points, brush[1]),
    ):
        if not len(thin):
            continue
        margin = width // 2  # what lies just outside reaches in
        fine = np.full((shape[0] + 2 * margin, shape[1] + 2 * margin), -1, np.intp)
        for one in _pieces(shapely.get_num_coordinates(thin)):
            draw(thin[one], names[one], _moved(transform, margin), fine)
        widened = _widened(fine, width)
        owners = np.where(widened >= 0, widened, owners)
    return owners


def coarseness(areas: NDArray[Any], frame: Area, pixel: float) -> float:
    """
    Return how many times coarser a picture must be, so that filling its areas one by one takes no minutes.

    Parameters
    ----------
    areas : ndarray of shapely geometries
        What is filled.
    frame : Area
        The picture's; what lies outside costs nothing.
    pixel : float
        Its size, in the frame's units.

    Examples
    --------
    >>> from dissmodel_lab.maps.area import Area
    >>> frame = Area(west=0, south=0, east=1000, north=1000)
    >>> coarseness(np.repeat(shapely.box(0, 0, 1000, 1000), 2000), frame, 1)
    3.16...
    """
    if not len(areas):
        return 1.0
    west, south, east, north = shapely.bounds(areas).T
    wide = np.clip(east, frame.west, frame.east) - np.clip(west, frame.west, frame.east)
    high = np.clip(north, frame.south, frame.north) - np.clip(south, frame.south, frame.north)
    filled = float(((wide / pixel + 1) * (high / pixel + 1)).sum())
    return max(1.0, float(np.sqrt(filled / MOST_FILLED)))


def _pieces(sizes: NDArray[Any]) -> Iterator[slice]:
    """Cut an array of things of these sizes into slices of about ``PIECE``."""
    if not len(sizes):
        return
    piece = np.cumsum(sizes, dtype=np.int64) // PIECE
    edges = [0, *(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(sizes)]
    for start, end in pairwise(edges):
        yield slice(start, end)


def _pixels(xy: NDArray[np.float64], transform: Affine) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Column and row of coordinates, as fractions of pixels."""
    return (xy[:, 0] - transform.c) / transform.a, (xy[:, 1] - transform.f) / transform.e


def _fill(
    areas: NDArray[Any], owners_of_areas: NDArray[np.intp], transform: Affine, owners: NDArray[np.intp]
) -> None:
    for one in _pieces(shapely.get_num_coordinates(areas)):
        xy, ends, ring_owner = _rings(areas[one])
        is_edge = np.ones(len(xy), bool)
        is_edge[ends - 1] = False
        start = np.flatnonzero(is_edge)
        feature = np.repeat(ring_owner, np.diff(ends, prepend=0))[start]
        column, row = _pixels(xy, transform)
        _fill_edges(column, row, start, feature, owners, owners_of_areas[one])


def _rings(areas: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Return all corners, where the rings among them end, and the area that each ring belongs to."""
    _, xy, offsets = shapely.to_ragged_array(areas, include_z=False)
    rings, *above = (np.asarray(one, np.intp) for one in offsets)
    owner = np.arange(len(above[-1]) - 1)
    for level in reversed(above):  # areas -> parts -> rings
        owner = np.repeat(owner, np.diff(level))
    return xy, rings[1:], owner


def _fill_edges(  # noqa: PLR0917 -- the columns of one table of edges
    column: NDArray[np.float64],
    row: NDArray[np.float64],
    start: NDArray[np.intp],
    feature: NDArray[np.intp],
    owners: NDArray[np.intp],
    names: NDArray[np.intp],
) -> None:
    """Let edges, from the corner at ``start`` to the next, cross the middles of the rows; fill in between."""
    height = owners.shape[0]
    low = np.minimum(row[start], row[start + 1])
    high = np.maximum(row[start], row[start + 1])
    first = np.clip(np.ceil(low - 0.5), 0, height).astype(np.int32)
    count = np.clip(np.ceil(high - 0.5), 0, height).astype(np.int32) - first
    crossing = np.flatnonzero(count)
    start, first, count, feature = start[crossing], first[crossing], count[crossing], feature[crossing]
    if not len(start):
        return
    ends = np.append(np.flatnonzero(np.diff(feature)) + 1, len(feature))  # crossings of a feature stay together
    per_feature = np.add.reduceat(count, np.append(0, ends[:-1]), dtype=np.int64)
    for piece in _pieces(per_feature):
        some = slice(0 if piece.start == 0 else int(ends[piece.start - 1]), int(ends[piece.stop - 1]))
        _fill_spans(column, row, (start[some], first[some], count[some], feature[some]), owners, names)


def _fill_spans(
    column: NDArray[np.float64],
    row: NDArray[np.float64],
    edges: tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.int32], NDArray[np.intp]],
    owners: NDArray[np.intp],
    names: NDArray[np.intp],
) -> None:
    height, width = owners.shape
    start, first, count, feature = edges
    slope = (column[start + 1] - column[start]) / (row[start + 1] - row[start])
    at = first.repeat(count) + _counting(count)
    x = column[start].repeat(count) + (at + 0.5 - row[start].repeat(count)) * slope.repeat(count)
    x = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    keys = (feature.repeat(count).astype(np.int64) * height + at) * (width + 1) + x
    keys.sort()  # by feature, row and column: each pair is a span inside
    left, right = keys[0::2], keys[1::2]
    length = right - left
    spans = np.flatnonzero(length)
    left, length = left[spans], length[spans]
    line, x = np.divmod(left, width + 1)
    feature, at = np.divmod(line, height)
    flat = owners.reshape(-1)
    for piece in _pieces(length):
        pixels = (at[piece] * width + x[piece]).repeat(length[piece]) + _counting(length[piece])
        flat[pixels] = names[feature[piece]].repeat(length[piece])  # of one pixel's the last one stays


def _counting(counts: NDArray[Any]) -> NDArray[np.int64]:
    """Count 0, 1, ... for each of the counts.

    Examples
    --------
    >>> _counting(np.array([2, 3]))
    array([0, 1, 0, 1, 2])
    """
    ends = np.cumsum(counts, dtype=np.int64)
    counted: NDArray[np.int64] = np.arange(ends[-1] if len(ends) else 0) - (ends - counts).repeat(counts)
    return counted


def _dot_small(
    areas: NDArray[Any], owners_of_areas: NDArray[np.intp], transform: Affine, owners: NDArray[np.intp]
) -> None:
    """Areas smaller than a pixel get one, where nothing else is drawn: else sparse ones would vanish."""
    if not len(areas):
        return
    west, south, east, north = shapely.bounds(areas).T
    small = np.flatnonzero(((east - west) <= transform.a) & ((north - south) <= -transform.e))
    middle = np.column_stack(((west[small] + east[small]) / 2, (south[small] + north[small]) / 2))
    column, row, inside = _inside(*_pixels(middle, transform), owners.shape)
    small = small[inside]
    is_free = owners[row, column] < 0
    owners[row[is_free], column[is_free]] = owners_of_areas[small[is_free]]


def _inside(
    column: NDArray[np.float64], row: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Round to whole pixels; those on the far edges belong to the last ones."""
    height, width = shape
    column, row = (np.where(x == size, size - 1, np.floor(x)) for x, size in ((column, width), (row, height)))
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return column[inside].astype(np.intp), row[inside].astype(np.intp), inside


def _moved(transform: Affine, margin: int) -> Affine:
    """Return the transform of a picture with a margin all around."""
    a, b, c, d, e, f = transform[:6]
    return type(transform)(a, b, c - a * margin, d, e, f - e * margin)


def _widened(fine: NDArray[np.intp], brush: int) -> NDArray[np.intp]:
    """Let a round brush of so many pixels follow what is drawn, and cut the margin off; nearer pixels go first."""
    radius = brush // 2
    height, width = fine.shape[0] - 2 * radius, fine.shape[1] - 2 * radius
    steps = range(-radius, radius + 1)
    offsets = [(i * i + j * j, i, j) for i in steps for j in steps if i * i + j * j <= radius * (radius + 1)]
    wide = np.full((height, width), -1, np.intp)
    for _, i, j in sorted(offsets):
        shifted = fine[radius + i : radius + i + height, radius + j : radius + j + width]
        np.copyto(wide, shifted, where=wide < 0)
    return wide


def _draw_points(points: NDArray[Any], names: NDArray[np.intp], transform: Affine, owners: NDArray[np.intp]) -> None:
    xy, index = shapely.get_coordinates(points, return_index=True)
    column, row, inside = _inside(*_pixels(xy, transform), owners.shape)
    owners[row, column] = names[index[inside]]


def _draw_lines(lines: NDArray[Any], names: NDArray[np.intp], transform: Affine, owners: NDArray[np.intp]) -> None:
    is_ring = shapely.get_type_id(lines) == LINEAR_RING
    if is_ring.any():
        lines = lines.copy()
        lines[is_ring] = shapely.linestrings([shapely.get_coordinates(ring) for ring in lines[is_ring]])
    _, xy, offsets = shapely.to_ragged_array(lines, include_z=False)
    ends, *above = (np.asarray(one, np.intp) for one in offsets)
    owner = np.arange(len(above[-1]) - 1 if above else len(ends) - 1)
    for level in reversed(above):
        owner = np.repeat(owner, np.diff(level))
    is_start = np.ones(len(xy), bool)
    is_start[ends[1:] - 1] = False
    start = np.flatnonzero(is_start)
    feature = names[np.repeat(owner, np.diff(ends))[start]]
    column, row = _pixels(xy, transform)
    segments = np.stack((column[start], row[start], column[start + 1], row[start + 1]))
    segments, feature = _clipped(segments, feature, owners.shape)
    steps = np.ceil(np.maximum(*np.abs(segments[2:] - segments[:2]))).astype(np.int64) + 1
    for piece in _pieces(steps + 1):
        x0, y0, x1, y1 = segments[:, piece]
        number = steps[piece]
        part = _counting(number + 1) / number.repeat(number + 1)
        along_x = x0.repeat(number + 1) + (x1 - x0).repeat(number + 1) * part
        along_y = y0.repeat(number + 1) + (y1 - y0).repeat(number + 1) * part
        at_column, at_row, inside = _inside(along_x, along_y, owners.shape)
        owners[at_row, at_column] = feature[piece].repeat(number + 1)[inside]


def _clipped(
    segments: NDArray[np.float64], feature: NDArray[np.intp], shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Cut segments (x0, y0, x1, y1) at the picture's edges: Liang and Barsky (1984), ACM TOG 3(1), 1-22."""
    height, width = shape
    origin, step = segments[:2], segments[2:] - segments[:2]
    low, high = np.zeros(segments.shape[1]), np.ones(segments.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        for axis, size in ((0, width), (1, height)):
            near = -origin[axis] / step[axis]
            far = (size - origin[axis]) / step[axis]
            level = step[axis] == 0
            outside = level & ((origin[axis] < 0) | (origin[axis] > size))
            low = np.where(level, low, np.maximum(low, np.minimum(near, far)))
            high = np.where(outside, -1.0, np.where(level, high, np.minimum(high, np.maximum(near, far))))
    seen = np.flatnonzero(low <= high)
    start, step = origin[:, seen], step[:, seen]
    return np.concatenate((start + low[seen] * step, start + high[seen] * step)), feature[seen]
