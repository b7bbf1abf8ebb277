"""What is said of two outputs that were compared: figures, places, sentences. Pure data, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dissmodel_lab.errors import ComparisonError
from dissmodel_lab.language import joined, message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class Grid(NamedTuple):
    """Where the cells of two rasters lie: that of the first."""

    shape: tuple[int, int]
    """(height, width) [pixels]."""
    transform: tuple[float, ...] | None
    """Six numbers a to f, pixel to CRS coordinates; None when the grid has no place on Earth."""
    crs_wkt: str | None
    """None when unknown."""


class Place(NamedTuple):
    """One cell or row, and the two values there."""

    row: int
    """Row of the cell from the top, or index of the table's row; from 0."""
    col: int | None
    """Column of the cell from the left, from 0; None in a table."""
    x: float | None
    """Centre of the cell or of the shape, in the CRS; None when it has no place."""
    y: float | None
    first: Any
    """The first file's value there, a number or a text; None where it has none."""
    second: Any

    @property
    def text(self) -> str:
        """
        Where it is, in words.

        Examples
        --------
        >>> Place(3, 4, None, None, 1.0, 2.0).text
        'row 3, column 4'
        """
        if self.col is None:
            where = message("row {row}", row=self.row)
        else:
            where = message("row {row}, column {column}", row=self.row, column=self.col)
        if self.x is None:
            return where
        return message("{where} (x {x}, y {y})", where=where, x=_number(self.x, 12), y=_number(self.y, 12))


@dataclass(frozen=True, kw_only=True)
class PartDifference:
    """How one band, one column, or the shapes of a layer differ."""

    name: str
    """Band or column; ``geometry`` for the shapes; with the layer's name before it where there are several."""
    compared: int
    """How many cells or rows were compared."""
    differing: int = 0
    """How many of them are not equal."""
    one_sided: int = 0
    """How many of those have a value in one file only."""
    beyond: int = 0
    """How many differ by more than the tolerance; all that differ when none was asked for."""
    largest: float | None = None
    """Largest absolute difference, in the band's unit (of shapes: of a coordinate); None where none can be told."""
    place: Place | None = None
    """Where that is; the first that differs when it cannot be told; None when all are equal."""
    unit: str = "cells"
    """What is counted: ``cells`` or ``rows``."""

    @property
    def text(self) -> str:
        """
        The whole in one sentence.

        Examples
        --------
        >>> PartDifference(name="depth", compared=6574, differing=17, beyond=17, largest=0.02).text
        'depth: 17 of 6,574 cells differ, largest difference 0.02.'
        """
        if not self.differing:
            return message(
                "{name}: all {compared:,} rows are equal."
                if self.unit == "rows"
                else "{name}: all {compared:,} cells are equal.",
                name=self.name,
                compared=self.compared,
            )
        parts = [self._counted()]
        if self.beyond != self.differing:
            parts.append(message("{beyond:,} of them by more than the tolerance", beyond=self.beyond))
        if self.one_sided:
            parts.append(message("{one_sided:,} with a value on one side only", one_sided=self.one_sided))
        if self.largest is not None:
            parts.append(message("largest difference {size}", size=_number(self.largest)))
        if self.place is not None:
            parts.append(
                message(
                    "at {place}: {first} and {second}",
                    place=self.place.text,
                    first=_shown(self.place.first),
                    second=_shown(self.place.second),
                )
            )
        return message("{said}.", said=joined(parts, ", "))

    def _counted(self) -> str:
        facts = {"name": self.name, "n": self.differing, "total": self.compared}
        if self.unit == "rows":
            if self.differing == 1:
                return message("{name}: {n:,} of {total:,} rows differs", **facts)
            return message("{name}: {n:,} of {total:,} rows differ", **facts)
        if self.differing == 1:
            return message("{name}: {n:,} of {total:,} cells differs", **facts)
        return message("{name}: {n:,} of {total:,} cells differ", **facts)


@dataclass(frozen=True, kw_only=True)
class Differences:
    """
    What differs between two outputs.

    Examples
    --------
    >>> same = Differences(kind="raster")
    >>> same.is_same, same.sentence
    (True, 'Nothing differs.')
    """

    kind: str
    """``raster``, ``vector``, ``folder`` or ``file``."""
    structure: tuple[str, ...] = ()
    """Sentences: each a difference of shape, CRS, transform, names, nodata, or a missing file. Empty: none."""
    notes: tuple[str, ...] = ()
    """Sentences on what is no content, or was left out: dtypes, ignored columns."""
    parts: tuple[PartDifference, ...] = ()
    """Each band or column that was compared, in the first file's order."""
    tolerance: float | None = None
    """What was asked for; None: only equal values are equal."""
    grid: Grid | None = None
    """Of two rasters of one shape."""
    bits: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict, repr=False, compare=False)
    """Band -> its differing cells, packed by ``numpy.packbits`` row after row; bands without any are left out."""
    rows: Mapping[str, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)
    """Column -> the indices of its differing rows; columns without any are left out."""
    files: Mapping[str, Differences] = field(default_factory=dict)
    """Of a folder: path in it -> how the two files differ; files of the same content are left out."""

    @property
    def is_same(self) -> bool:
        """True when the content is the same."""
        return not self.structure and not self.files and not any(part.differing for part in self.parts)

    @property
    def is_within(self) -> bool:
        """True when nothing differs by more than the tolerance, and nothing in structure."""
        within = not any(part.beyond for part in self.parts)
        return within and not self.structure and all(one.is_within for one in self.files.values())

    @property
    def all_parts(self) -> tuple[PartDifference, ...]:
        """Return the bands and columns, those of a folder's files included, named ``file: band``."""
        inner = [
            replace(part, name=f"{name}: {part.name}") for name, one in self.files.items() for part in one.all_parts
        ]
        return (*self.parts, *inner)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What differs: structure first, then each band, column or file that does."""
        parts = tuple(part.text for part in self.parts if part.differing)
        inner = tuple(f"{name}: {text}" for name, one in self.files.items() for text in one.sentences)
        return (*self.structure, *parts, *inner)

    @property
    def sentence(self) -> str:
        """The same as one text."""
        return " ".join(self.sentences) or "Nothing differs."

    def mask(self, band: str = "", *, step: int = 1) -> NDArray[np.bool_]:
        """
        Return which cells of a raster differ, (height, width).

        Parameters
        ----------
        band : str
            A band's name; all of them together when empty.
        step : int
            Edge of the blocks [cells] that become one: a block differs when any of its cells does, so that a
            single cell is not lost on a small map; (ceil(height / step), ceil(width / step)).

        Raises
        ------
        ComparisonError
            When these are no rasters of one shape.

        Examples
        --------
        >>> bits = {"a": np.packbits(np.array([[0, 0, 0], [0, 0, 1]], bool))}
        >>> found = Differences(kind="raster", grid=Grid((2, 3), None, None), bits=bits)
        >>> found.mask().tolist(), found.mask(step=2).tolist()
        ([[False, False, False], [False, False, True]], [[False, True]])
        """
        if self.grid is None:
            raise ComparisonError(
                message("There is no map of the differing cells: these are no two rasters of one shape.")
            )
        height, width = self.grid.shape
        found = np.zeros((-(-height // step), -(-width // step)), bool)
        rows = 8 * step  # a whole number of bytes, and of blocks
        for name, packed in self.bits.items():
            if band in ("", name):
                for top in range(0, height, rows):
                    cells = min(rows, height - top) * width
                    marked = np.unpackbits(packed[top * width // 8 :][: -(-cells // 8)], count=cells)
                    found[top // step : (top + rows) // step] |= _any_of_blocks(marked.reshape(-1, width), step)
        return found


def _number(value: Any, digits: int = 6) -> str:
    return f"{value:.{digits}g}"


def _shown(value: Any) -> str:
    if value is None:
        return "no value"
    return _number(value) if isinstance(value, int | float) else f"{str(value)!r:.80}"


def _any_of_blocks(marked: NDArray[np.uint8], step: int) -> NDArray[np.bool_]:
    padded = np.pad(marked, [(0, -size % step) for size in marked.shape])
    height, width = padded.shape
    return np.asarray(padded.reshape(height // step, step, width // step, step).any(axis=(1, 3)))
