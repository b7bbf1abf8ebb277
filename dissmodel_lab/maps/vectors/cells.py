"""Tables of cells: a regular grid is recognised by arithmetic on all coordinates at once, and drawn exactly.

Upright cells, cells turned by an angle, and points that stand in the middle of such cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine

from dissmodel_lab.language import message
from dissmodel_lab.maps.grid import centres, decimated, decimation
from dissmodel_lab.maps.vectors.packed import RING, Packed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dissmodel_lab.maps.area import Window

#: How far a corner may lie off the grid, as a part of a cell.
TOLERANCE = 1e-3
#: shapely's numbers of types, and the number of points in a cell's ring.
POINT, POLYGON, MULTIPOLYGON = 0, 3, 6
#: Corners are looked at in pieces that stay in the processor's cache [features].
CHUNK = 8192
#: More rows or columns than this times the root of the number of cells: a few cells far apart, no grid.
MOST_EMPTY = 100
#: Points are drawn as cells when there are so many, on at least this part of the lattice.
FEWEST_POINTS, LEAST_FILLED = 16, 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Lattice:
    """The place of each feature in a regular grid of cells."""

    row: NDArray[np.int32]
    """(n,): counted from the top."""
    column: NDArray[np.int32]
    """(n,)"""
    size: tuple[int, int]
    """(width, height) of the grid [cells]."""
    transform: Affine
    """Cells to coordinates."""
    is_points: bool = False
    """Whether the features are points in the middle of the cells."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said with every picture."""
        if not self.is_points:
            return ()
        a, b, _, d, e, _ = self.transform[:6]
        return (
            message(
                "Points on a regular grid: each is drawn as a cell of {hypot:.6g} x {np_hypot:.6g}.",
                hypot=np.hypot(a, d),
                np_hypot=np.hypot(b, e),
            ),
        )

    def drawn(self, window: Window, max_pixels: int) -> tuple[NDArray[np.intp], Affine, int, int]:
        """
        Put features into the cells of a picture; of a large window every n-th row and column is kept.

        Returns
        -------
        features : ndarray of int
            (height, width): the feature in each cell, -1 where there is none; of several the last one.
        transform : Affine
            Of the picture's cells.
        factor : int
            One of ``factor`` rows and columns is kept.
        covered : int
            Features that lie under others.
        """
        factor = decimation(window.rows, window.columns, max_pixels)
        height, width = decimated(window.rows, factor), decimated(window.columns, factor)
        kept_rows = _kept(self.size[1], window.row, window.rows, height)
        kept_columns = _kept(self.size[0], window.column, window.columns, width)
        features = np.full(height * width, -1, np.intp)
        count = 0
        for start in range(0, len(self.row), CHUNK):
            here = slice(start, start + CHUNK)
            row, column = kept_rows[self.row[here]], kept_columns[self.column[here]]
            shown = np.flatnonzero((row >= 0) & (column >= 0))
            features[row[shown] * width + column[shown]] = start + shown
            count += len(shown)
        covered = count - int(np.count_nonzero(features >= 0))
        a, b, _, d, e, _ = self.transform[:6]
        across, down = window.columns / width, window.rows / height
        west, north = _at(self.transform, window.column, window.row)
        of_picture = Affine(a * across, b * down, west, d * across, e * down, north)
        return features.reshape(height, width), of_picture, factor, covered

    def inside(self, window: Window) -> NDArray[np.intp]:
        """Return the features in a window."""
        row, column = self.row - window.row, self.column - window.column
        is_inside = (row >= 0) & (row < window.rows) & (column >= 0) & (column < window.columns)
        return np.flatnonzero(is_inside)


def _kept(size: int, start: int, length: int, count: int) -> NDArray[np.intp]:
    """Return for each of ``size`` rows or columns its place in the picture, -1 when it isn't drawn."""
    kept = np.full(size, -1, np.intp)
    kept[start + centres(length, count)] = np.arange(count)
    return kept


def _at(transform: Affine, column: float, row: float) -> tuple[float, float]:
    """Coordinates of a corner; by hand, because affine 2 and 3 spell the product differently."""
    a, b, c, d, e, f = transform[:6]
    return a * column + b * row + c, d * column + e * row + f


def find_lattice(shapes: NDArray[Any] | Packed) -> Lattice | None:
    """
    Recognise a regular grid of cells.

    Parameters
    ----------
    shapes : ndarray of shapely geometries, or Packed
        All there, none empty.

    Returns
    -------
    Lattice or None
        None when they are anything else than equal rectangles side by side, or points in the middle of such.

    Examples
    --------
    >>> find_lattice(shapely.box([0, 10], [0, 20], [10, 20], [10, 30])).row
    array([2, 0], dtype=int32)
    >>> find_lattice(shapely.box([0, 10], 0, [10, 21], 10)) is None
    True
    """
    if not len(shapes):
        return None
    if not isinstance(shapes, Packed) and shapely.get_type_id(shapes[0]) == POINT:
        return _of_points(shapes)
    return _of_rectangles(shapes, None) or _of_turned(shapes)


def _of_rectangles(shapes: NDArray[Any] | Packed, turned: NDArray[np.float64] | None) -> Lattice | None:
    found = _rectangles(shapes, turned)
    return None if found is None else _lattice(*found, empty=MOST_EMPTY)


def _of_turned(shapes: NDArray[Any] | Packed) -> Lattice | None:
    """Look at the corners in units of the first cell's own edges: turned cells stand upright there."""
    ring = _rings(shapes, 0, 1)
    if ring is None:
        return None
    corner, along, up = ring[0, 0], ring[0, 1] - ring[0, 0], ring[0, 3] - ring[0, 0]
    if along[0] * up[1] - along[1] * up[0] < 0:  # rings may turn either way
        along, up = up, along
    along, up, corner = _upright_most(along, up, corner)
    size = float(np.hypot(*along) * np.hypot(*up))
    is_upright = abs(along[1]) <= TOLERANCE * np.hypot(*along)
    if not np.isfinite(size) or size == 0 or is_upright or abs(along @ up) > TOLERANCE * size:
        return None
    basis = np.column_stack((along, up))
    found = _of_rectangles(shapes, np.column_stack((np.linalg.inv(basis), -np.linalg.inv(basis) @ corner)))
    if found is None:
        return None
    a, _, c, _, e, f = found.transform[:6]  # cells -> units of the first cell -> coordinates
    west, north = basis @ (c, f) + corner
    (ax, bx), (ay, by) = basis * (a, e)
    return Lattice(
        row=found.row,
        column=found.column,
        size=found.size,
        transform=Affine(float(ax), float(bx), float(west), float(ay), float(by), float(north)),
    )


def _upright_most(
    along: NDArray[np.float64], up: NDArray[np.float64], corner: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Choose the edge that points to the east most, so that north stays up as far as it can."""
    for _ in range(3):
        if along[0] > abs(along[1]) or (along[0] == abs(along[1]) and along[1] > 0):
            break
        along, up, corner = -up, along, corner + up
    return along, up, corner


def _lattice(low: NDArray[np.float64], cell: NDArray[np.float64], *, empty: float) -> Lattice | None:
    """Count cells from the lower left corner; None when one lies off the grid, or most of it is empty."""
    origin, far = low.min(axis=1), low.max(axis=1)
    steps = np.rint((far - origin) / cell)
    if max(steps) > empty * np.sqrt(low.shape[1]) + 1000:
        return None
    # the whole width tells a cell's size better than one cell, whose corners are rounded
    mean = np.where(steps > 0, (far - origin) / np.maximum(steps, 1), cell)
    if (np.abs(mean - cell) > TOLERANCE * cell).any():
        return None
    cell = mean
    column, row_up = (_steps(low[axis], origin[axis], cell[axis]) for axis in (0, 1))
    if column is None or row_up is None:
        return None
    columns, rows = (int(n) + 1 for n in steps)
    across, down = (float(size) for size in cell)
    return Lattice(
        row=np.subtract(rows - 1, row_up, dtype=np.int32),
        column=column,
        size=(columns, rows),
        transform=Affine(across, 0, float(origin[0]), 0, -down, float(origin[1]) + down * rows),
    )


def _steps(low: NDArray[np.float64], origin: float, cell: float) -> NDArray[np.int32] | None:
    """Count cells from the origin; None when one lies off the grid."""
    steps = np.empty(len(low), np.int32)
    for start in range(0, len(low), CHUNK):
        exact = low[start : start + CHUNK] - origin
        exact /= cell
        whole = np.rint(exact)
        exact -= whole
        if max(exact.max(), -exact.min()) > TOLERANCE:
            return None
        steps[start : start + CHUNK] = whole
    return steps


def _of_points(shapes: NDArray[Any]) -> Lattice | None:
    """Find the lattice on which points stand, at the smallest distance between two of their rows and columns."""
    if len(shapes) < FEWEST_POINTS or (shapely.get_type_id(shapes) != POINT).any():
        return None
    points = shapely.get_coordinates(shapes).T
    if not np.isfinite(points).all():
        return None
    cell = np.array([_spacing(axis) for axis in points])
    if not (cell > 0).all():
        return None
    found = _lattice(points, cell, empty=2 / LEAST_FILLED)
    if found is None or len(shapes) < LEAST_FILLED * found.size[0] * found.size[1]:
        return None
    across, _, west, _, down, north = found.transform[:6]
    return Lattice(
        row=found.row,
        column=found.column,
        size=found.size,
        transform=Affine(across, 0, west - across / 2, 0, down, north + down / 2),
        is_points=True,
    )


def _spacing(values: NDArray[np.float64]) -> float:
    """Return the smallest distance between different values; 0 when there are too many or one."""
    sample = np.unique(values[: 4 * CHUNK])
    steps = np.diff(sample)
    steps = steps[steps > TOLERANCE * steps.max()] if steps.size else steps
    return float(steps.min()) if steps.size else 0.0


def _rectangles(
    shapes: NDArray[Any] | Packed, turned: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return lower left corners, (2, n), and the one size, (2,), of upright rectangles; else None."""
    low = np.empty((2, len(shapes)))
    cell, alike = None, None
    for start in range(0, len(shapes), CHUNK):
        rings = _rings(shapes, start, start + CHUNK)
        if rings is None:
            return None
        if turned is not None:
            rings = np.einsum("ij,nkj->nki", turned[:, :2], rings) + turned[:, 2]
        if cell is None:
            cell = rings[0].max(axis=0) - rings[0].min(axis=0)
            alike = _Alike.of(rings[0], cell)
        if not (cell > 0).all():
            return None
        if alike is not None and alike.holds(rings):
            low[:, start : start + CHUNK] = rings[:, alike.lowest].T
            continue
        ring = np.ascontiguousarray(rings.transpose(1, 2, 0))
        if not _are_cells(ring, cell):
            return None
        np.minimum(ring[0], ring[2], out=low[:, start : start + CHUNK])
    return None if cell is None else (low, cell)


def _rings(everyone: NDArray[Any] | Packed, start: int, stop: int) -> NDArray[np.float64] | None:
    """Return the corners of areas with five each, (n, 5, 2); None when any has another number."""
    if isinstance(everyone, Packed):
        return everyone.corners(start, stop)
    shapes = everyone[start:stop]
    kinds = shapely.get_type_id(shapes)
    if not ((kinds == POLYGON) | (kinds == MULTIPOLYGON)).all():
        return None
    corners, owners = shapely.get_coordinates(shapes, return_index=True)
    if len(corners) != RING * len(shapes):
        return None
    # the owners ascend: five each, when each has the first and the last of its five
    owners, expected = owners.reshape(-1, RING), np.arange(len(shapes))
    if (owners[:, 0] != expected).any() or (owners[:, -1] != expected).any():
        return None
    return np.asarray(corners, float).reshape(-1, RING, 2)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Alike:
    """
    Rings that begin at the same corner as the first one and turn the same way, as a loop writes them.

    The edge from each corner to the next is the same in all of them: one difference tells it, a sixth of the work
    that rings in any order are.
    """

    lowest: int
    """Which of the corners is the lower left one."""
    least: NDArray[np.float64]
    most: NDArray[np.float64]
    """(CHUNK * 10,): of the edges, x and y in turn; anything from the last corner of a ring to the next ring."""

    @classmethod
    def of(cls, first: NDArray[np.float64], cell: NDArray[np.float64]) -> _Alike | None:
        """Learn it from the first ring, (5, 2); None when that is no upright rectangle."""
        if not (cell > 0).all() or not _are_cells(first[:, :, np.newaxis], cell):
            return None
        edges = np.diff(first, axis=0)
        allowed = cell * TOLERANCE / 2  # two edges lead to the opposite corner
        gap = np.full((1, 2), np.inf)
        least, most = np.vstack((edges - allowed, -gap)), np.vstack((edges + allowed, gap))
        lowest = int(np.argmin((first[:-1] / cell).sum(axis=1)))
        return cls(lowest=lowest, least=np.tile(least.ravel(), CHUNK), most=np.tile(most.ravel(), CHUNK))

    def holds(self, rings: NDArray[np.float64]) -> bool:
        """Return whether all rings, (n, 5, 2), are like the first one."""
        flat = rings.reshape(-1)
        edges = flat[2:] - flat[:-2]
        return bool((edges >= self.least[: len(edges)]).all() and (edges <= self.most[: len(edges)]).all())


def _are_cells(ring: NDArray[np.float64], cell: NDArray[np.float64]) -> bool:
    """Return whether all rings, (5, 2, n), are upright rectangles of one size, whichever way they turn."""
    allowed = (cell * TOLERANCE)[:, np.newaxis]
    first, second, third, fourth, last = ring
    sizes_off = np.abs(np.abs(third - first) - cell[:, np.newaxis]) > allowed
    if sizes_off.any() or (np.abs(last - first) > allowed).any():
        return False
    (x, y), (far_x, far_y) = first, third
    along, across = np.stack((x, far_y)), np.stack((far_x, y))
    one_way = ((np.abs(second - along) <= allowed) & (np.abs(fourth - across) <= allowed)).all(axis=0)
    other_way = ((np.abs(second - across) <= allowed) & (np.abs(fourth - along) <= allowed)).all(axis=0)
    return bool((one_way | other_way).all())
