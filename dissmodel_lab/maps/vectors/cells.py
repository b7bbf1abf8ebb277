"""Tables of cells: a regular grid is recognised by arithmetic on all coordinates at once, and drawn exactly.

Upright cells, cells turned by an angle, and points that stand in the middle of such cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine

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
        return (f"Points on a regular grid: each is drawn as a cell of {np.hypot(a, d):.6g} x {np.hypot(b, e):.6g}.",)

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
        features = np.full((height, width), -1, np.intp)
        row, column = kept_rows[self.row], kept_columns[self.column]
        shown = np.flatnonzero((row >= 0) & (column >= 0))
        features[row[shown], column[shown]] = shown
        covered = len(shown) - int(np.count_nonzero(features >= 0))
        a, b, _, d, e, _ = self.transform[:6]
        across, down = window.columns / width, window.rows / height
        west, north = _at(self.transform, window.column, window.row)
        return features, Affine(a * across, b * down, west, d * across, e * down, north), factor, covered

    def inside(self, window: Window) -> NDArray[np.intp]:
        """Return the features in a window."""
        row, column = self.row - window.row, self.column - window.column
        is_inside = (row >= 0) & (row < window.rows) & (column >= 0) & (column < window.columns)
        return np.flatnonzero(is_inside)


def _kept(size: int, start: int, length: int, count: int) -> NDArray[np.int32]:
    """Return for each of ``size`` rows or columns its place in the picture, -1 when it isn't drawn."""
    kept = np.full(size, -1, np.int32)
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
    corner, along, up = ring[0, :, 0], ring[1, :, 0] - ring[0, :, 0], ring[3, :, 0] - ring[0, :, 0]
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
    exact = (low - origin) / cell
    whole = np.rint(exact)
    exact -= whole
    return whole.astype(np.int32) if max(exact.max(), -exact.min()) <= TOLERANCE else None


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
    cell = None
    for start in range(0, len(shapes), CHUNK):
        ring = _rings(shapes, start, start + CHUNK)
        if ring is None:
            return None
        if turned is not None:
            ring = np.einsum("ij,kjn->kin", turned[:, :2], ring) + turned[:, 2:]
        if cell is None:
            cell = ring[:, :, 0].max(axis=0) - ring[:, :, 0].min(axis=0)
        if not (cell > 0).all() or not _are_cells(ring, cell):
            return None
        np.minimum(ring[0], ring[2], out=low[:, start : start + CHUNK])
    return None if cell is None else (low, cell)


def _rings(everyone: NDArray[Any] | Packed, start: int, stop: int) -> NDArray[np.float64] | None:
    """Return the corners of areas with five each, (5, 2, n); None when any has another number."""
    if isinstance(everyone, Packed):
        return np.ascontiguousarray(everyone.corners(start, stop).transpose(1, 2, 0))
    shapes = everyone[start:stop]
    kinds = shapely.get_type_id(shapes)
    if not ((kinds == POLYGON) | (kinds == MULTIPOLYGON)).all():
        return None
    if (shapely.get_num_coordinates(shapes) != RING).any():
        return None
    return np.ascontiguousarray(shapely.get_coordinates(shapes).reshape(-1, RING, 2).transpose(1, 2, 0))


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
