"""Compared cells, piece by piece -> a small picture in which no changed cell is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.changes.bands import CHUNK_CELLS
from dissmodel_lab.changes.report import CHANGED, NOTHING, ONE_SIDED, SAME, ChangePicture
from dissmodel_lab.maps.arrays import scaled
from dissmodel_lab.maps.grid import centres, decimated, decimation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dissmodel_lab.changes.grids import Place

#: The longest side of the picture [pixels], as of the maps.
MAX_SIDE = 1024


class Canvas:
    """
    Where the picture grows, a strip of whole rows of pixels at a time.

    Parameters
    ----------
    place : Place
        The compared grid.
    before, after : dtype
        Types of the values.
    with_difference : bool
        Whether the picture shows differences of values.
    """

    def __init__(
        self, place: Place, before: np.dtype[Any], after: np.dtype[Any], *, with_difference: bool = False
    ) -> None:
        self.place = place
        height, width = place.shape
        self.factor = decimation(height, width, MAX_SIDE)
        shape = decimated(height, self.factor), decimated(width, self.factor)
        self._rows, self._columns = _edges(height, shape[0]), _edges(width, shape[1])
        self._middle = centres(height, shape[0]), centres(width, shape[1])
        self.state = np.full(shape, NOTHING, np.uint8)
        self.before, self.after = np.zeros(shape, before), np.zeros(shape, after)
        self.has_before, self.has_after = np.zeros(shape, bool), np.zeros(shape, bool)
        self.difference = np.full(shape, np.nan) if with_difference else None

    def strips(self) -> Iterator[tuple[int, int, slice]]:
        """
        Cut the grid into pieces of whole pixels.

        Yields
        ------
        top, bottom : int
            The first row of cells, and the one after the last.
        pixels : slice
            The rows of pixels that they fill.
        """
        width = self.place.shape[1]
        step = max(1, CHUNK_CELLS // (width * self.factor))
        for first in range(0, len(self.state), step):
            last = min(first + step, len(self.state))
            yield int(self._rows[first]), int(self._rows[last]), slice(first, last)

    def paint(
        self,
        pixels: slice,
        before: NDArray[Any],
        after: NDArray[Any],
        valid: tuple[NDArray[np.bool_], NDArray[np.bool_]],
        differs: NDArray[np.bool_],
    ) -> None:
        """
        Fill some rows of pixels.

        Parameters
        ----------
        pixels : slice
            As :meth:`strips` gave it.
        before, after : ndarray
            Values of the strip's cells, (rows, width).
        valid : (ndarray of bool, ndarray of bool)
            Where there is a value before, and after.
        differs : ndarray of bool
            Where both have a value, and it changed.
        """
        has_before, has_after = valid
        state = np.where(has_before & has_after, np.uint8(SAME), np.uint8(NOTHING))
        state[has_before != has_after] = ONE_SIDED
        state[differs] = CHANGED
        if self.factor == 1:
            chosen: Any = slice(None)
        else:
            chosen = self._chosen(pixels, state)
        self.state[pixels] = state[chosen]
        self.before[pixels], self.after[pixels] = before[chosen], after[chosen]
        self.has_before[pixels], self.has_after[pixels] = has_before[chosen], has_after[chosen]

    def paint_difference(self, pixels: slice, difference: NDArray[np.float64]) -> None:
        """
        Keep of each pixel's cells the largest difference.

        Parameters
        ----------
        pixels : slice
            As :meth:`strips` gave it.
        difference : ndarray of float
            (rows, width), NaN where not compared.
        """
        assert self.difference is not None, "asked for when it was made"  # the caller is in this package
        if self.factor == 1:
            self.difference[pixels] = difference
            return
        is_known = ~np.isnan(difference)
        low = self._reduced(np.minimum, pixels, np.where(is_known, difference, np.inf))
        high = self._reduced(np.maximum, pixels, np.where(is_known, difference, -np.inf))
        largest = np.where(-low > high, low, high)
        self.difference[pixels] = np.where(self._reduced(np.maximum, pixels, is_known), largest, np.nan)

    def picture(self) -> ChangePicture:
        """Return what was painted."""
        height, width = self.place.shape
        rows, columns = self.state.shape
        return ChangePicture(
            state=self.state,
            before=self.before,
            after=self.after,
            has_before=self.has_before,
            has_after=self.has_after,
            difference=self.difference,
            transform=scaled(self.place.transform, width / columns, height / rows),
            crs=self.place.crs,
            source_size=(width, height),
            cells_per_pixel=self.factor**2,
        )

    def _chosen(self, pixels: slice, state: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the row and column of the cell that each pixel shows: of the highest state, the middle if it can."""
        top = self._rows[pixels.start]
        middle_row, middle_column = self._middle[0][pixels] - top, self._middle[1]
        row, column = (axis.copy() for axis in np.meshgrid(middle_row, middle_column, indexing="ij"))
        is_other = self._reduced(np.maximum, pixels, state) > state[row, column]
        if is_other.any():
            last = state.size - 1
            ranked = state.ravel().astype(np.int64) * state.size + np.arange(last, -1, -1)  # the first one of a state
            best = last - self._reduced(np.maximum, pixels, ranked.reshape(state.shape)) % state.size
            row[is_other], column[is_other] = np.divmod(best[is_other], state.shape[1])
        return row, column

    def _reduced(self, how: np.ufunc, pixels: slice, cells: NDArray[Any]) -> NDArray[Any]:
        rows = self._rows[pixels] - self._rows[pixels.start]
        across: NDArray[Any] = how.reduceat(how.reduceat(cells, rows, axis=0), self._columns[:-1], axis=1)
        return across


def _edges(size: int, count: int) -> NDArray[np.intp]:
    """
    Return where each of ``count`` even stretches begins, and where the last one ends.

    Examples
    --------
    >>> _edges(10, 4)
    array([ 0,  2,  5,  7, 10])
    """
    return np.arange(count + 1) * size // count
