"""Where two grids lie: are they one; if not, the second brought onto the first, by nearest cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.errors import ComparisonError
from dissmodel_lab.language import joined, message
from dissmodel_lab.rasters import is_pixel_transform

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS

    from dissmodel_lab.changes.bands import Band

#: How far the corners of one grid may lie from the other's, as a part of a cell.
TOLERANCE = 0.01
#: Most cells of a source that are read at once for a piece of the common grid.
MAX_WINDOW = 8_000_000
#: A grid of whole degrees looks as if it counted pixels, up to this size [cells].
MAX_DEGREES = 180


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Where a grid lies."""

    shape: tuple[int, int]
    """(height, width) [cells]."""
    transform: Affine | None = None
    """Cells to CRS coordinates; None when it only counts pixels, so that it has no place."""
    crs: CRS | None = None

    @classmethod
    def of(
        cls, shape: tuple[int, int], transform: Affine | None, crs: CRS | None, kept: tuple[Any, Any] | None = None
    ) -> Place:
        """
        Tell where a grid lies.

        Parameters
        ----------
        shape : (int, int)
            (height, width).
        transform, crs : optional
            As the data say them.
        kept : (crs, transform), optional
            As the model's memory had them, for data that have lost theirs.

        Examples
        --------
        >>> from affine import Affine
        >>> Place.of((2, 3), Affine.identity(), None).transform is None
        True
        """
        from affine import Affine  # noqa: PLC0415 -- comes with rasterio

        if transform is not None:
            transform = Affine(*(float(number) for number in transform[:6]))
            on_globe = crs is not None and crs.is_geographic and transform.e < 0 and max(shape) <= MAX_DEGREES
            is_broken = not all(map(math.isfinite, transform[:6])) or transform.determinant == 0
            if is_broken or (is_pixel_transform(transform, shape) and not on_globe):
                transform = None
        if kept is not None and (transform is None or crs is None):
            from dissmodel_lab.maps.grid import to_crs  # noqa: PLC0415

            crs, transform = to_crs(kept[0])[0] or crs, transform or Affine(*kept[1][:6])
        return cls(shape=shape, transform=transform, crs=crs)

    @property
    def crs_text(self) -> str:
        """Name of the CRS."""
        if self.crs is None:
            return "no CRS"
        authority = self.crs.to_authority()
        return ":".join(authority) if authority else str(self.crs.name)

    @property
    def text(self) -> str:
        """
        The grid in words.

        Examples
        --------
        >>> Place(shape=(2, 3)).text
        '3 x 2 cells'
        """
        height, width = self.shape
        return f"{width:,} x {height:,} cells"

    def centre(self, row: int, column: int) -> tuple[float, float] | None:
        """Return the centre of a cell in the CRS; None without a place."""
        if self.transform is None:
            return None
        x, y = _at(self.transform, column + 0.5, row + 0.5)
        return float(x), float(y)


def why_not_one_grid(first: Place, second: Place) -> str:
    """
    Say why two grids are not one; an empty text when they are.

    A grid without a place is taken to lie on the other one when it has the same size.

    Examples
    --------
    >>> why_not_one_grid(Place(shape=(2, 3)), Place(shape=(4, 3)))
    'their sizes are 3 x 2 cells and 3 x 4 cells'
    """
    if first.shape != second.shape:
        return message("their sizes are {text} and {second_text}", text=first.text, second_text=second.text)
    if not _is_same_crs(first.crs, second.crs):
        return message(
            "their CRS are {crs_text} and {second_crs_text}", crs_text=first.crs_text, second_crs_text=second.crs_text
        )
    if first.transform is None or second.transform is None or _is_same_transform(first, second):
        return ""
    one, other = first.transform, second.transform
    if (one.a, one.b, one.d, one.e) == (other.a, other.b, other.d, other.e):
        return message(
            "their corners lie at {point} and {other_point}",
            point=_point(one.c, one.f),
            other_point=_point(other.c, other.f),
        )
    said = (f"{_size(grid)} from {_point(grid.c, grid.f)}{_turned(grid)}" for grid in (one, other))
    return message("their cells are {said}", said=" and ".join(said))


def _turns(crs: CRS | None) -> tuple[float, ...]:
    """Return what may be added to a longitude without leaving the place, in the CRS's unit."""
    if crs is None or not crs.is_geographic:
        return ()
    turn = math.tau / (crs.axis_info[0].unit_conversion_factor if crs.axis_info else math.radians(1))
    turn = round(turn, 9)
    return turn, -turn


def _is_same_crs(one: CRS | None, other: CRS | None) -> bool:
    if one is None or other is None or one == other:
        return True
    return bool(one.equals(other, ignore_axis_order=True))


def _is_same_transform(first: Place, second: Place) -> bool:
    """Whether all corners of two grids of one size lie within a part of a cell."""
    assert first.transform is not None, "the caller has looked"
    assert second.transform is not None, "the caller has looked"
    height, width = first.shape
    back = ~first.transform
    for corner in ((0, 0), (width, 0), (0, height), (width, height)):
        column, row = _at(back, *_at(second.transform, *corner))
        if not (abs(column - corner[0]) <= TOLERANCE and abs(row - corner[1]) <= TOLERANCE):
            return False
    return True


def _at(transform: Affine, x: Any, y: Any) -> tuple[Any, Any]:
    """Apply a transform; its own operator has changed from one version of affine to the next."""
    a, b, c, d, e, f = transform[:6]
    return a * x + b * y + c, d * x + e * y + f


def _point(x: float, y: float) -> str:
    return f"({x:.10g}, {y:.10g})"


def _turned(transform: Affine) -> str:
    """Say how a grid lies whose rows do not run from west to east, the first one in the north."""
    angle = math.degrees(math.atan2(transform.d, transform.a))
    turned = message(" turned by {angle:.6g} degrees", angle=angle) if abs(angle) > 1e-9 else ""  # noqa: PLR2004 -- rounding [degrees]
    south = message(" with the first row in the south") if transform.determinant > 0 else ""
    return joined([turned, south], "")


def _size(transform: Affine) -> str:
    across, down = math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e)
    return f"{across:.6g} x {down:.6g}"


@dataclass(frozen=True, kw_only=True, eq=False)
class OnGrid:
    """
    A band seen on another grid: each cell has the value of the band's cell at its centre.

    Cells whose centre lies outside the band have no value. Only the needed part of the band is read.
    """

    band: Band
    place: Place

    def read(
        self, top: int, bottom: int, left: int = 0, right: int | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return values and which of them exist of a window, as :meth:`Band.read` does."""
        end = self.place.shape[1] if right is None else right
        row, column, is_inside = self._cells(np.arange(top, bottom), np.arange(left, end))
        values = np.zeros(row.shape, self.band.dtype)
        valid = np.zeros(row.shape, bool)
        self._fill(values, valid, row, column, is_inside)
        return values, valid

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.band.dtype

    def _cells(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """Return the band's row and column under each centre, and whether it lies in the band."""
        here, there = self.place, self.band.place
        if here.transform is None or there.transform is None:
            raise ComparisonError(message("A grid without a place cannot be brought onto another one."))
        x, y = _at(here.transform, columns[np.newaxis, :] + 0.5, rows[:, np.newaxis] + 0.5)
        x, y = np.broadcast_arrays(x, y)
        if not _is_same_crs(here.crs, there.crs):
            from pyproj import Transformer  # noqa: PLC0415 -- only for grids in two CRS

            x, y = Transformer.from_crs(here.crs, there.crs, always_xy=True).transform(x, y)
        height, width = there.shape
        with np.errstate(invalid="ignore"):  # centres beyond a CRS's domain are infinite
            column, row = _at(~there.transform, x, y)
            is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            for turn in _turns(there.crs):  # 190 degrees east are 170 degrees west
                turned = _at(~there.transform, x + turn, y)
                is_new = ~is_inside & (turned[1] >= 0) & (turned[1] < height) & (turned[0] >= 0) & (turned[0] < width)
                column, row = np.where(is_new, turned[0], column), np.where(is_new, turned[1], row)
                is_inside |= is_new
        return (
            np.floor(np.where(is_inside, row, 0)).astype(np.intp),
            np.floor(np.where(is_inside, column, 0)).astype(np.intp),
            is_inside,
        )

    def _fill(
        self,
        values: NDArray[Any],
        valid: NDArray[np.bool_],
        row: NDArray[np.intp],
        column: NDArray[np.intp],
        is_inside: NDArray[np.bool_],
    ) -> None:
        """Fetch a piece; one whose part of the band is too large to be read at once is cut into two."""
        if not is_inside.any():
            return
        rows, columns = row[is_inside], column[is_inside]
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        if (bottom - top) * (right - left) > MAX_WINDOW and values.size > 1:
            axis = int(values.shape[1] > values.shape[0])
            pieces = [np.array_split(array, 2, axis) for array in (values, valid, row, column, is_inside)]
            for half in zip(*pieces, strict=True):
                self._fill(*half)
            return
        found, exists = self.band.read(int(top), int(bottom), int(left), int(right))
        values[is_inside] = found[rows - top, columns - left]
        valid[is_inside] = exists[rows - top, columns - left]
