"""Two rasters, block by block: memory for a few rows of each, whatever their size."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dissmodel_lab.contents import nodata_text
from dissmodel_lab.differences.report import Differences, Grid, PartDifference, Place
from dissmodel_lab.differences.wording import listed, unequal, unequal_crs
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_BLOCK = 2**20
"""Cells that are read at once of each file."""
_ROWS = 512


def raster_differences(first: Path, second: Path, tolerance: float | None) -> Differences:
    """
    Compare two rasters, each band of the first with that of its name in the second.

    Parameters
    ----------
    first, second : Path
        What rasterio can open.
    tolerance : float or None
        As :func:`~dissmodel_lab.differences.find_differences` takes it.

    Raises
    ------
    rasterio.errors.RasterioError
        When one of them is no raster.
    """
    import rasterio  # noqa: PLC0415 -- 0.2 s, needed only for rasters

    from dissmodel_lab.rasters import band_names, quiet_georeference  # noqa: PLC0415 -- as above

    with ExitStack() as stack:
        stack.enter_context(quiet_georeference())
        one, two = (stack.enter_context(rasterio.open(path)) for path in (first, second))
        structure = _raster_structure(one, two)
        notes = [note.replace(".", message("; that is no content."), 1) for note in _dtype_notes(one, two)]
        if one.shape != two.shape:
            return Differences(kind="raster", structure=tuple(structure), notes=tuple(notes), tolerance=tolerance)
        parts, bits = [], {}
        for name, one_index, two_index in _paired(band_names(one), band_names(two)):
            comparison = _BandComparison(name, one, tolerance)
            for top, values, others in _strips(one, one_index, two, two_index):
                comparison.add(top, values, others)
            parts.append(comparison.part())
            if comparison.bits is not None:
                bits[name] = comparison.bits
        grid = Grid(one.shape, _transform(one), one.crs.to_wkt() if one.crs else None)
    return Differences(
        kind="raster", structure=tuple(structure), notes=tuple(notes), parts=tuple(parts), tolerance=tolerance,
        grid=grid, bits=bits,
    )  # fmt: skip


def _transform(dataset: Any) -> tuple[float, ...] | None:
    return None if dataset.transform.is_identity else tuple(float(x) + 0.0 for x in list(dataset.transform)[:6])


def _raster_structure(one: Any, two: Any) -> list[str]:
    from dissmodel_lab.rasters import band_names  # noqa: PLC0415 -- needs numpy

    crs_one, crs_two = (dataset.crs.to_wkt() if dataset.crs else None for dataset in (one, two))
    names_one, names_two = band_names(one), band_names(two)
    found = unequal(message("Rows and columns"), *("{} x {}".format(*dataset.shape) for dataset in (one, two)))
    found += unequal_crs(crs_one, crs_two)
    found += unequal("Transform (a to f)", _transform(one) or "none", _transform(two) or "none")
    found += unequal("Bands", listed(names_one), listed(names_two))
    if names_one != names_two and not found:
        found.append(message("Bands: not the same names."))
    found += unequal("Nodata", nodata_text(one) or "none", nodata_text(two) or "none")
    found += unequal("Scales", one.scales, two.scales) if one.count == two.count else []
    found += unequal("Offsets", one.offsets, two.offsets) if one.count == two.count else []
    return found


def _dtype_notes(one: Any, two: Any) -> list[str]:
    return unequal("Data type", listed(dict.fromkeys(one.dtypes)), listed(dict.fromkeys(two.dtypes)))


def _paired(first: tuple[str, ...], second: tuple[str, ...]) -> list[tuple[str, int, int]]:
    """Pair bands by name; by position when not one name is in both."""
    if not set(first) & set(second):
        return [(name, i + 1, i + 1) for i, name in enumerate(first[: len(second)])]
    return [(name, i + 1, second.index(name) + 1) for i, name in enumerate(first) if name in second]


class _Values(NamedTuple):
    """Some rows of one band."""

    cells: NDArray[Any]
    is_missing: NDArray[np.bool_]


def _strips(one: Any, one_index: int, two: Any, two_index: int) -> Iterator[tuple[int, _Values, _Values]]:
    from rasterio.windows import Window  # noqa: PLC0415 -- loaded already

    height, width = one.shape
    rows = max(8, min(_ROWS, _BLOCK // width) // 8 * 8)  # so that a strip is a whole number of bytes of bits
    for top in range(0, height, rows):
        window = Window(0, top, width, min(rows, height - top))
        yield top, _read(one, one_index, window), _read(two, two_index, window)


def _read(dataset: Any, index: int, window: Any) -> _Values:
    cells = dataset.read(index, window=window)
    is_missing = np.isnan(cells) if cells.dtype.kind in "fc" else np.zeros(cells.shape, bool)
    if dataset.nodata is not None:
        with np.errstate(invalid="ignore"):
            is_missing |= cells == dataset.nodata
    return _Values(cells, is_missing)


class _BandComparison:
    """Counts over one band, strip after strip."""

    def __init__(self, name: str, dataset: Any, tolerance: float | None) -> None:
        self.bits: NDArray[np.uint8] | None = None
        self._name = name
        self._shape = dataset.shape
        self._dataset = dataset
        self._tolerance = tolerance
        self._differing = self._one_sided = self._beyond = 0
        self._largest: float | None = None
        self._place: Place | None = None

    def add(self, top: int, first: _Values, second: _Values) -> None:
        differ: NDArray[np.bool_] = (first.cells != second.cells) & ~(first.is_missing & second.is_missing)
        differ = differ | (first.is_missing ^ second.is_missing)
        if not differ.any():
            return
        one_sided = differ & (first.is_missing ^ second.is_missing)
        sizes = np.where(one_sided | ~differ, np.nan, sizes_of(first.cells, second.cells))
        is_beyond = differ if self._tolerance is None else differ & ~(sizes <= self._tolerance)
        self._differing += int(differ.sum())
        self._one_sided += int(one_sided.sum())
        self._beyond += int(is_beyond.sum())
        if self.bits is None:
            self.bits = np.zeros(-(-self._shape[0] * self._shape[1] // 8), np.uint8)
        packed = np.packbits(differ)
        start = top * self._shape[1] // 8
        self.bits[start : start + len(packed)] = packed
        self._note_place(top, first, second, sizes, differ)

    def _note_place(
        self, top: int, first: _Values, second: _Values, sizes: NDArray[Any], differ: NDArray[np.bool_]
    ) -> None:
        has_sizes = not np.isnan(sizes).all()
        largest = float(np.nanmax(sizes)) if has_sizes else None
        is_larger = largest is not None and (self._largest is None or largest > self._largest)
        if self._place is not None and not is_larger:
            return
        flat = int(np.nanargmax(sizes)) if has_sizes else int(differ.argmax())
        row, column = (int(i) for i in np.unravel_index(flat, differ.shape))
        x, y = _centre(self._dataset, top + row, column)
        self._place = Place(top + row, column, x, y, _cell(first, row, column), _cell(second, row, column))
        self._largest = largest if largest is not None else self._largest

    def part(self) -> PartDifference:
        height, width = self._shape
        return PartDifference(
            name=self._name, compared=height * width, differing=self._differing, one_sided=self._one_sided,
            beyond=self._beyond, largest=self._largest, place=self._place,
        )  # fmt: skip


def sizes_of(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """
    Return by how much numbers differ that are known not to be equal.

    Examples
    --------
    >>> sizes_of(np.array([2**60 + 1]), np.array([2**60]))
    array([1.])
    """
    kind = np.complex128 if "c" in (first.dtype.kind, second.dtype.kind) else np.float64
    with np.errstate(invalid="ignore", over="ignore"):
        sizes: NDArray[np.float64] = np.abs(first.astype(kind) - second.astype(kind))
    if first.dtype.kind in "iu" and second.dtype.kind in "iu":
        sizes = np.maximum(sizes, 1.0)  # beyond 2**53 two whole numbers may be one float
    return sizes


def _cell(values: _Values, row: int, column: int) -> Any:
    return None if values.is_missing[row, column] else values.cells[row, column].item()


def _centre(dataset: Any, row: int, column: int) -> tuple[float | None, float | None]:
    if dataset.transform.is_identity:
        return None, None
    x, y = dataset.transform * (column + 0.5, row + 0.5)
    return float(x), float(y)
