"""Two bands of values, piece by piece -> how they differ, in bounded memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.changes.report import QUANTILES, SCALE_PART, Extreme, ValueChange
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dissmodel_lab.changes.grids import Place

#: Up to so many differences quantiles are exact; of more they are told to a part in a thousand [-].
MAX_EXACT = 4_000_000
#: How many of a float's 64 bits tell its place in the histogram: sign, 11 of the exponent, 10 of the fraction.
BITS = 22


class Quantiles:
    """
    Quantiles of a stream of numbers: exact for the first millions, then from a histogram.

    The bits of a float, read as a whole number, are in the order of the floats; the leading 22 number a bin whose
    ends are a 1024th part of its value apart.

    Examples
    --------
    >>> stream = Quantiles()
    >>> stream.add(np.array([3.0, 1.0, 2.0]))
    >>> stream.at((0.0, 0.5, 1.0))
    [1.0, 2.0, 3.0]
    """

    def __init__(self) -> None:
        self.count = 0
        self._ends = math.inf, -math.inf
        self._kept: list[NDArray[np.float64]] = []
        self._bins: NDArray[np.int64] | None = None

    @property
    def is_exact(self) -> bool:
        """Whether every number was kept."""
        return self._bins is None

    def add(self, numbers: NDArray[np.float64]) -> None:
        """Take some more numbers, none of them NaN."""
        if not numbers.size:
            return
        self.count += numbers.size
        self._ends = min(self._ends[0], float(numbers.min())), max(self._ends[1], float(numbers.max()))
        if self._bins is None:
            self._kept.append(numbers)
            if self.count <= MAX_EXACT:
                return
            self._bins = np.zeros(1 << BITS, np.int64)
            for kept in self._kept:
                self._bins += np.bincount(_bins(kept), minlength=1 << BITS)
            self._kept = []
        else:
            self._bins += np.bincount(_bins(numbers), minlength=1 << BITS)

    def at(self, parts: tuple[float, ...]) -> list[float]:
        """Return the quantiles; NaN when there was no number."""
        if not self.count:
            return [math.nan] * len(parts)
        if self._bins is None:
            return _exact(np.concatenate(self._kept), parts)
        below = np.cumsum(self._bins)
        ranks = np.asarray(parts) * (self.count - 1)
        found = _values(np.searchsorted(below, ranks, side="right"))
        ends = {0.0: self._ends[0], 1.0: self._ends[1]}
        return [ends.get(part, float(value)) for part, value in zip(parts, found, strict=True)]


def _exact(numbers: NDArray[np.float64], parts: tuple[float, ...]) -> list[float]:
    with np.errstate(over="ignore", invalid="ignore"):
        between = np.quantile(numbers, parts)
    if np.isnan(between).any():  # between two numbers of which one is infinite there is none
        between = np.quantile(numbers, parts, method="lower")
    return [float(value) for value in between]


def _bins(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    bits = (numbers + 0.0).view(np.uint64)  # turns -0.0 into 0.0
    is_negative = (bits >> np.uint64(63)).astype(bool)
    ordered = np.where(is_negative, ~bits, bits | np.uint64(1 << 63))
    return (ordered >> np.uint64(64 - BITS)).astype(np.int64)


def _values(bins: NDArray[Any]) -> NDArray[np.float64]:
    """Return the end of each bin that is nearer to zero."""
    ordered = bins.astype(np.uint64) << np.uint64(64 - BITS)
    is_positive = (ordered >> np.uint64(63)).astype(bool)
    rest = np.uint64((1 << (64 - BITS)) - 1)
    bits = np.where(is_positive, ordered ^ np.uint64(1 << 63), ~(ordered | rest))
    return bits.view(np.float64)


def _difference(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float64]:
    """
    Subtract without overflow, and without losing the last digits of large whole numbers.

    Examples
    --------
    >>> _difference(np.array([200, 2], "uint8"), np.array([100, 3], "uint8"))
    array([-100.,    1.])
    >>> _difference(np.array([2**60]), np.array([2**60 + 1]))
    array([1.])
    """
    if max(before.dtype.itemsize, after.dtype.itemsize) < np.dtype(np.int64).itemsize or "f" in (
        before.dtype.kind,
        after.dtype.kind,
    ):
        return after.astype(np.float64) - before.astype(np.float64)
    # A float holds 53 bits: the upper and the lower half are each exact.
    one, other = (part if part.dtype == np.uint64 else part.astype(np.int64) for part in (before, after))
    upper = (other >> 32).astype(np.float64) - (one >> 32).astype(np.float64)
    lower = (other & 0xFFFFFFFF).astype(np.float64) - (one & 0xFFFFFFFF).astype(np.float64)
    return upper * 2.0**32 + lower


class ValueSums:
    """
    Gathers how values differ.

    Examples
    --------
    >>> sums = ValueSums()
    >>> both = np.array([[True, True]])
    >>> sums.add(np.array([[1.0, 2.0]]), np.array([[1.0, 5.0]]), both, both, 0)[1]
    array([[0., 3.]])
    >>> sums.compared, sums.changed, sums.largest
    (2, 1, (3.0, 2.0, 5.0, 0, 1))
    """

    def __init__(self) -> None:
        self.compared = self.changed = self.only_before = self.only_after = self.neither = 0
        self.largest: tuple[float, float, float, int, int] | None = None
        """Difference, before, after, row and column of the cell that differs most."""
        self._sums = np.zeros(5)  # of differences, their absolutes, their squares, before, after
        self._quantiles, self._sizes = Quantiles(), Quantiles()
        self._rounded_to = ""

    def add(
        self,
        before: NDArray[Any],
        after: NDArray[Any],
        has_before: NDArray[np.bool_],
        has_after: NDArray[np.bool_],
        top: int,
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """
        Take a piece.

        Parameters
        ----------
        before, after : ndarray
            Values, (rows, width).
        has_before, has_after : ndarray of bool
            Where there is a value.
        top : int
            The piece's first row in the grid.

        Returns
        -------
        differs : ndarray of bool
            Where both have a value, and it changed.
        difference : ndarray of float
            After minus before, NaN where not compared.
        """
        before, after = self._in_one_precision(before, after)
        both = has_before & has_after
        differs = both & (before != after)
        count = int(np.count_nonzero(both))
        self.compared += count
        self.changed += int(np.count_nonzero(differs))
        self.only_before += int(np.count_nonzero(has_before)) - count
        self.only_after += int(np.count_nonzero(has_after)) - count
        self.neither += both.size - int(np.count_nonzero(has_before | has_after))
        difference = np.full(both.shape, np.nan)
        if count:
            first, second = before[both].astype(np.float64), after[both].astype(np.float64)
            with np.errstate(over="ignore"):  # between the ends of all floats the difference is infinite
                found = _difference(before[both], after[both])
                self._sums += [found.sum(), np.abs(found).sum(), np.square(found).sum(), first.sum(), second.sum()]
            difference[both] = found
            self._quantiles.add(found)
            self._sizes.add(np.abs(found[found != 0]))
            self._keep_largest(difference, before, after, top)
        return differs, difference

    def _in_one_precision(self, before: NDArray[Any], after: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Round the finer of two types of floats: what a file could not hold has not changed."""
        types = before.dtype, after.dtype
        if before.dtype.kind != "f" or after.dtype.kind != "f" or types[0].itemsize == types[1].itemsize:
            return before, after
        coarse = min(types, key=lambda dtype: dtype.itemsize)
        self._rounded_to = coarse.name
        with np.errstate(over="ignore", invalid="ignore"):  # beyond the coarser type's range is infinite there
            return before.astype(coarse), after.astype(coarse)

    def _keep_largest(
        self, difference: NDArray[np.float64], before: NDArray[Any], after: NDArray[Any], top: int
    ) -> None:
        where = int(np.nanargmax(np.abs(difference)))
        row, column = divmod(where, difference.shape[1])
        value = float(difference[row, column])
        if abs(value) > (abs(self.largest[0]) if self.largest is not None else 0.0):
            self.largest = value, float(before[row, column]), float(after[row, column]), top + row, column

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said of the figures."""
        said = []
        if self._rounded_to:
            said.append(
                message(
                    "Compared as {rounded_to}, the coarser of the two types: finer digits are no change.",
                    rounded_to=self._rounded_to,
                )
            )
        if not self._quantiles.is_exact:
            said.append(
                message("Quantiles of {compared:,} differences: to 0.1 % of their value.", compared=self.compared)
            )
        return tuple(said)

    def change(self, unit: str, place: Place | None) -> ValueChange:
        """
        Return the figures.

        Parameters
        ----------
        unit : str
            Of the values.
        place : Place or None
            The compared grid, which tells where the largest difference lies.
        """
        count = self.compared or math.nan
        with np.errstate(over="ignore", invalid="ignore"):
            mean, absolute, square, before, after = (float(total / count) for total in self._sums)
        quantiles = self._quantiles.at(QUANTILES)
        limit = self._sizes.at((SCALE_PART,))[0] if self._sizes.count else 0.0
        return ValueChange(
            unit=unit,
            mean=mean,
            median=quantiles[QUANTILES.index(0.5)],
            rmse=math.sqrt(square) if square >= 0 else math.nan,
            mean_absolute=absolute,
            quantiles=tuple(zip(QUANTILES, quantiles, strict=True)),
            limit=limit,
            largest=self._extreme(place),
            only_before=self.only_before,
            only_after=self.only_after,
            mean_before=before,
            mean_after=after,
        )

    def _extreme(self, place: Place | None) -> Extreme | None:
        if self.largest is None:
            return None
        difference, before, after, row, column = self.largest
        x, y = (place.centre(row, column) if place is not None else None) or (None, None)
        return Extreme(difference=difference, before=before, after=after, row=row, column=column, x=x, y=y)
