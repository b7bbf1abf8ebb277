"""Two bands of classes, piece by piece -> the from-to matrix, in cells and in area."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.changes.areas import in_unit
from dissmodel_lab.changes.disagreement import disagreement
from dissmodel_lab.changes.report import ClassChange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from dissmodel_lab.maps.legend import ClassValue

#: Wider ranges of codes are numbered by sorting, which is slower [-].
MAX_RANGE = 512
#: More classes than a legend can have are no classes.
MAX_CLASSES = 255


class TooManyClassesError(Exception):
    """More than :data:`MAX_CLASSES` codes occur; those who count decide what that means."""


class PairCounts:
    """
    Counts cells by their class before and after.

    Examples
    --------
    >>> counts = PairCounts()
    >>> everywhere, somewhere = np.array([[True] * 3]), np.array([[True, True, False]])
    >>> counts.add(np.array([[1, 1, 2]]), np.array([[1, 2, 9]]), everywhere, somewhere)
    >>> counts.compared, counts.changed, dict(counts.only_before)
    (2, 1, {2: 1})
    """

    def __init__(self) -> None:
        self.pairs: Counter[tuple[ClassValue, ClassValue]] = Counter()
        self.areas: Counter[tuple[ClassValue, ClassValue]] = Counter()
        """[m2]; empty when cells are counted without areas."""
        self.only_before: Counter[ClassValue] = Counter()
        self.only_after: Counter[ClassValue] = Counter()
        self.neither = 0

    def add(
        self,
        before: NDArray[Any],
        after: NDArray[Any],
        has_before: NDArray[np.bool_],
        has_after: NDArray[np.bool_],
        areas: NDArray[np.float64] | None = None,
    ) -> None:
        """
        Count a piece.

        Parameters
        ----------
        before, after : ndarray
            Codes, of one shape.
        has_before, has_after : ndarray of bool
            Where there is a class.
        areas : ndarray of float, optional
            Area of each cell [m2]; not given when all are alike or unknown.

        Raises
        ------
        TooManyClassesError
            When they are no classes.
        """
        first, codes_before = _numbered(before, has_before)
        second, codes_after = _numbered(after, has_after)
        rows, columns = len(codes_before) + 1, len(codes_after) + 1  # the last one: no class
        key = (first * np.int32(columns) + second).ravel()
        counts = np.bincount(key, minlength=rows * columns).reshape(rows, columns)
        weights = None
        if areas is not None:
            weights = np.bincount(key, areas.ravel(), minlength=rows * columns).reshape(rows, columns)
        self.neither += int(counts[-1, -1])
        for i, j in np.argwhere(counts[:-1, :-1]):
            pair = codes_before[i], codes_after[j]
            self.pairs[pair] += int(counts[i, j])
            if weights is not None:
                self.areas[pair] += weights[i, j]
        for i in np.flatnonzero(counts[:-1, -1]):
            self.only_before[codes_before[i]] += int(counts[i, -1])
        for j in np.flatnonzero(counts[-1, :-1]):
            self.only_after[codes_after[j]] += int(counts[-1, j])
        self._check()

    @property
    def compared(self) -> int:
        """Cells with a class in both maps."""
        return sum(self.pairs.values())

    @property
    def changed(self) -> int:
        """Those of them whose class is another one after."""
        return sum(count for (one, other), count in self.pairs.items() if one != other)

    @property
    def codes(self) -> list[ClassValue]:
        """All classes that occur, numbers sorted, then texts."""
        found: set[ClassValue] = {code for pair in self.pairs for code in pair}
        found |= set(self.only_before) | set(self.only_after)
        return sorted(
            found, key=lambda code: (isinstance(code, str), 0 if isinstance(code, str) else code, str(code))
        )

    def named(self, names: Sequence[str]) -> PairCounts:
        """
        Return the same counts with texts for codes.

        Parameters
        ----------
        names : sequence of str
            The text of the codes 0, 1, ...
        """
        named = PairCounts()
        named.neither = self.neither
        for counter, mine in ((named.only_before, self.only_before), (named.only_after, self.only_after)):
            counter.update({names[int(code)]: count for code, count in mine.items()})
        for pairs, my_pairs in ((named.pairs, self.pairs), (named.areas, self.areas)):
            pairs.update({(names[int(one)], names[int(other)]): value for (one, other), value in my_pairs.items()})
        return named

    def _check(self) -> None:
        if max(len(self.codes), len(self.only_before), len(self.only_after)) > MAX_CLASSES:
            raise TooManyClassesError

    def change(
        self,
        *,
        legend: Mapping[ClassValue, tuple[str, str]],
        cell_area: float | None,
        area_method: str,
        unknown_unit: str = "cells",
    ) -> ClassChange:
        """
        Return the matrix and what follows from it.

        Parameters
        ----------
        legend : mapping
            Code -> (label, colour).
        cell_area : float or None
            Area of every cell [m2], when they are alike and known.
        area_method : str
            How areas were worked out.
        unknown_unit : str, optional
            What is counted where areas are unknown.
        """
        codes = self.codes
        cells: NDArray[np.int64] = _matrix(self.pairs, codes).astype(np.int64)
        by_area = None
        if self.areas:
            areas, unit = in_unit(_matrix(self.areas, codes))
            by_area = disagreement(areas, weights="areas")
        elif cell_area is not None:
            areas, unit = in_unit(cells.astype(np.float64) * cell_area)
        else:
            areas, unit = cells.astype(np.float64), unknown_unit
        return ClassChange(
            codes=tuple(codes),
            labels=tuple(legend.get(code, (str(code), ""))[0] for code in codes),
            colours=tuple(legend.get(code, (str(code), "#999999"))[1] for code in codes),
            cells=cells,
            areas=areas,
            only_before=np.array([self.only_before[code] for code in codes], np.int64),
            only_after=np.array([self.only_after[code] for code in codes], np.int64),
            area_unit=unit,
            area_method=area_method,
            disagreement=disagreement(cells),
            area_disagreement=by_area,
        )


def _matrix(pairs: Mapping[tuple[ClassValue, ClassValue], float], codes: Sequence[ClassValue]) -> NDArray[np.float64]:
    position = {code: index for index, code in enumerate(codes)}
    matrix = np.zeros((len(codes), len(codes)))
    for (one, other), value in pairs.items():
        matrix[position[one], position[other]] = value
    return matrix


def _numbered(values: NDArray[Any], valid: NDArray[np.bool_]) -> tuple[NDArray[np.int32], list[ClassValue]]:
    """Give each code of a piece a number, (its shape), int32; no class has the number of codes."""
    if values.dtype.kind in "biu" and values.dtype.itemsize == 1:
        low = -128 if values.dtype.kind == "i" else 0
        numbers = values.astype(np.int32)
        numbers -= np.int32(low)
        return _marked(numbers, valid, 256), list(range(low, low + 256))
    if not valid.any():
        return np.zeros(values.shape, np.int32), []
    present = values[valid]
    low, high = present.min().item(), present.max().item()
    if high - low < MAX_RANGE and (values.dtype.kind in "iu" or (present == np.rint(present)).all()):
        start, count = int(low), int(high) - int(low) + 1
        numbers = (np.where(valid, values, low) - low).astype(np.int32)
        return _marked(numbers, valid, count), list(range(start, start + count))
    codes, inverse = np.unique(present, return_inverse=True)
    if len(codes) > MAX_CLASSES:
        raise TooManyClassesError
    numbers = np.full(values.shape, len(codes), np.int32)
    numbers[valid] = inverse
    return numbers, [_code(code) for code in codes.tolist()]


def _marked(numbers: NDArray[np.int32], valid: NDArray[np.bool_], missing: int) -> NDArray[np.int32]:
    if not valid.all():
        numbers[~valid] = missing
    return numbers


def _code(value: float) -> ClassValue:
    return int(value) if float(value).is_integer() else float(value)
