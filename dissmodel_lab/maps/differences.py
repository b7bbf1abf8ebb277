"""Cells that changed, or differ, as a layer of their own: on a grey ground, drawn so that a single one is seen.

In: the state of each cell. Out: a layer as :mod:`.sources` opens others, for :func:`~dissmodel_lab.maps.preview`
and the map to explore. Does not touch disk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dissmodel_lab.language import message
from dissmodel_lab.maps.area import Area, Window, extent_of, has_place, window_of
from dissmodel_lab.maps.arrays import scaled
from dissmodel_lab.maps.grid import (
    Grid,
    LayerBase,
    centres,
    check_band,
    decimated,
    decimation,
    decimation_note,
    shown_text,
    to_crs,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS

#: States of cells: no value, the same, a value on one side only; mark ``i`` has the state ``i + FIRST_MARK``.
NOTHING, SAME, ONE_SIDED, FIRST_MARK = range(4)
#: Greys for the cells that are the same; the one farthest from the colours of the marks is taken.
GREYS = ("#d9d9d9", "#f0f0f0", "#b3b3b3", "#8c8c8c")
#: The colour of cells that differ, where all marks mean the same: Okabe and Ito's vermillion.
DIFFERS = "#d55e00"
#: Up to this share of marked cells each one is made visible; beyond, the picture shows true shares.
RARE = 0.01
#: How wide a mark must be to be seen, and how wide the picture is on the page [CSS pixels].
MARK_WIDTH, PAGE_WIDTH = 6, 440


class Mark(NamedTuple):
    """What one state of the marked cells means."""

    label: str
    colour: str
    """``#rrggbb``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _OneBand(LayerBase):
    """What the layers of this module have in common."""

    band: str
    """What the layer shows."""
    transform: Affine | None = None
    crs: Any = None
    """Of any make; None when unknown."""
    notes: tuple[str, ...] = ()

    @property
    def bands(self) -> tuple[str, ...]:
        """The one band."""
        return (self.band,)

    @property
    def _shape(self) -> tuple[int, int]:
        """(height, width) of what is here [cells]."""
        raise NotImplementedError

    @property
    def extent(self) -> Area:
        """Everything; what is here stands for all, so its cells are counted."""
        height, width = self._shape
        return extent_of((width, height), self.transform, to_crs(self.crs)[0])

    def _window(self, area: Area | None, crs: CRS | None) -> tuple[Window, dict[str, Any]]:
        """Return the cells that an area touches, and what a grid must know of them."""
        height, width = self._shape
        source: tuple[int, int] = getattr(self, "source_size", None) or (width, height)
        if area is not None and (area.is_cells or not has_place(self.transform, crs)):
            # counted in the cells that these were taken from
            across, up = width / source[0], height / source[1]
            left, right, low, high = area.west * across, area.east * across, area.south * up, area.north * up
            area = Area(west=left, south=low, east=right, north=high, is_cells=True)
        window = window_of(area, (width, height), self.transform, crs)
        if area is None:
            return window, {"source_size": source}
        across, down = source[0] / width, source[1] / height
        of_source = Window(
            round(window.row * down), round(window.column * across),
            max(1, round(window.rows * down)), max(1, round(window.columns * across)),
        )  # fmt: skip
        return window, {"source_size": of_source.size, "window": of_source, "whole_size": source}

    @property
    def default_band(self) -> str:
        """The one band."""
        return self.band


@dataclass(frozen=True, kw_only=True, eq=False)
class MarkedLayer(_OneBand):
    """
    Cells on a grey ground, of which some are marked.

    Examples
    --------
    >>> states = np.array([[0, 1], [1, 3]])
    >>> layer = MarkedLayer(states=states, marks=(Mark("differs", DIFFERS),), band="differing cells")
    >>> layer.grid("differing cells", 64).names
    ('the same', 'a value on one side only', 'differs')
    """

    states: NDArray[Any]
    """(height, width), whole numbers: ``NOTHING``, ``SAME``, ``ONE_SIDED``, or ``FIRST_MARK`` and more."""
    marks: tuple[Mark, ...]
    ground: str = message("the same")
    """What the cells are that have no mark."""
    one_sided: str = message("a value on one side only")
    """What those are that cannot be compared."""
    source_size: tuple[int, int] | None = None
    """(width, height) of the grid that the states were taken from [cells]; None when all are here."""

    @property
    def _shape(self) -> tuple[int, int]:
        height, width = self.states.shape
        return height, width

    def grid(self, band: str, max_pixels: int, area: Area | None = None) -> Grid:
        """Return the states, or a part of them, fewer when there are more than ``max_pixels`` a side."""
        check_band(band, self.bands)
        crs, crs_notes = to_crs(self.crs)
        window, facts = self._window(area, crs)
        drawn, notes = shown_states(window.of(self.states), max_pixels)
        rows, columns = drawn.shape
        names, classes = self._legend()
        return Grid(
            values=np.maximum(drawn.astype(np.intp) - SAME, 0),
            valid=drawn != NOTHING,
            band=self.band,
            bands=self.bands,
            transform=scaled(window.moved(self.transform), window.columns / columns, window.rows / rows),
            crs=crs,
            classes=classes,
            names=names,
            is_discrete=True,
            notes=(*self.notes, *crs_notes, *notes),
            shown=notes[0].rstrip(".") if notes else "",
            **facts,
        )

    def _legend(self) -> tuple[tuple[str, ...], Any]:
        """Return a name for each state, all different, and the colours of those that are listed."""
        taken: set[str] = set()
        marks = []
        for mark in self.marks:
            marks.append(mark._replace(label=_other_than(taken, mark.label, "another")))
            taken.add(marks[-1].label)
        ground, one_sided = (_other_than(taken, name, "no class") for name in (self.ground, self.one_sided))
        grey = farthest_grey([mark.colour for mark in marks])
        dark = farthest_grey([grey, *(mark.colour for mark in marks)])
        listed = [(ground, grey), *marks]
        if (self.states == ONE_SIDED).any():
            listed.append((one_sided, dark))
        names = (ground, one_sided, *(mark.label for mark in marks))
        return names, {name: (name, colour) for name, colour in listed}


@dataclass(frozen=True, kw_only=True, eq=False)
class DifferenceLayer(_OneBand):
    """
    Differences of a quantity, on colours that part at zero.

    Examples
    --------
    >>> layer = DifferenceLayer(differences=np.array([[0.0, 0.5], [-2.0, np.nan]]), limit=2.0, band="depth")
    >>> layer.grid("depth", 64).reach
    2.0
    """

    differences: NDArray[Any]
    """(height, width), floats; NaN where one side has no value."""
    limit: float
    """Where the colours end, to both sides of zero; 0 when nothing differs."""
    unit: str = ""
    source_size: tuple[int, int] | None = None
    """(width, height) of the grid that the differences were taken from [cells]; None when all are here."""

    @property
    def _shape(self) -> tuple[int, int]:
        height, width = self.differences.shape
        return height, width

    def grid(self, band: str, max_pixels: int, area: Area | None = None) -> Grid:
        """Return the differences; of more than ``max_pixels`` a side the largest of each block stays."""
        check_band(band, self.bands)
        crs, notes = to_crs(self.crs)
        window, facts = self._window(area, crs)
        factor = decimation(window.rows, window.columns, max_pixels)
        shown = largest_of_blocks(window.of(self.differences), factor)
        said = (
            message("Drawn 1 of {factor:,} pixels: the one with the largest difference", factor=factor * factor)
            if factor > 1
            else ""
        )
        if said:
            notes += (f"{said}.",)
        rows, columns = shown.shape
        return Grid(
            values=shown,
            valid=np.isfinite(shown),
            band=self.band,
            bands=self.bands,
            transform=scaled(window.moved(self.transform), window.columns / columns, window.rows / rows),
            crs=crs,
            unit=self.unit,
            reach=self.limit,
            notes=(*self.notes, *notes),
            shown=said,
            **facts,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SmallLayer(_OneBand):
    """
    A small copy of one band, such as one side of a comparison.

    Examples
    --------
    >>> layer = SmallLayer(values=np.eye(2), valid=np.ones((2, 2), bool), band="uso", source_size=(20, 20))
    >>> layer.grid("uso", 64).source_size
    (20, 20)
    """

    values: NDArray[Any]
    """(height, width), any number type; of texts their positions in ``names``."""
    valid: NDArray[np.bool_]
    """(height, width): True where there is a value."""
    source_size: tuple[int, int]
    """(width, height) of the grid that it was taken from [cells]."""
    classes: Mapping[Any, tuple[str, str]] | None = None
    """Code, or text, -> (label, ``#rrggbb``)."""
    names: tuple[str, ...] | None = None
    unit: str = ""

    @property
    def _shape(self) -> tuple[int, int]:
        height, width = self.values.shape
        return height, width

    def grid(self, band: str, max_pixels: int, area: Area | None = None) -> Grid:
        """Return the copy, or a part of it, every n-th cell when it is larger than ``max_pixels``."""
        check_band(band, self.bands)
        crs, notes = to_crs(self.crs)
        window, facts = self._window(area, crs)
        factor = decimation(window.rows, window.columns, max_pixels)
        rows, columns = decimated(window.rows, factor), decimated(window.columns, factor)
        kept = np.ix_(centres(window.rows, rows), centres(window.columns, columns))
        classes: Any = None if self.classes is None else dict(self.classes)
        return Grid(
            values=window.of(self.values)[kept],
            valid=window.of(self.valid)[kept],
            band=self.band,
            bands=self.bands,
            transform=scaled(window.moved(self.transform), window.columns / columns, window.rows / rows),
            crs=crs,
            classes=classes,
            names=self.names,
            unit=self.unit,
            is_discrete=self.classes is not None or self.names is not None,
            notes=(*self.notes, *notes, *decimation_note(factor)),
            shown=shown_text(factor),
            **facts,
        )


def shown_states(states: NDArray[Any], max_pixels: int) -> tuple[NDArray[Any], tuple[str, ...]]:
    """
    Make states fit a picture so that rare marks are seen and frequent ones keep their share.

    Parameters
    ----------
    states : ndarray
        (height, width), whole numbers as :class:`MarkedLayer` holds them.
    max_pixels : int
        The longest side of the picture [pixels].

    Returns
    -------
    states : ndarray
        Of the picture, (height, width).
    notes : tuple of str
        What must be said with it.

    Examples
    --------
    >>> states = np.ones((8, 8), int)
    >>> states[5, 5] = 3
    >>> shown_states(states, 2)[0]
    array([[1, 1],
           [1, 3]])
    """
    height, width = states.shape
    factor = decimation(height, width, max_pixels)
    marked = int(np.count_nonzero(states >= FIRST_MARK))
    compared = int(np.count_nonzero(states != NOTHING))
    is_rare = 0 < marked <= max(1, math.ceil(RARE * compared))
    if factor > 1 and not is_rare:
        rows, columns = centres(height, decimated(height, factor)), centres(width, decimated(width, factor))
        return states[np.ix_(rows, columns)], (message("Drawn 1 of {factor:,} pixels.", factor=factor * factor),)
    notes: tuple[str, ...] = ()
    drawn = states
    if factor > 1:
        drawn = _reduced(np.maximum, states, factor)
        notes = (message("Drawn 1 of {factor:,} pixels: a marked one where there is any.", factor=factor * factor),)
    if is_rare:
        wide = max(drawn.shape) * MARK_WIDTH / PAGE_WIDTH  # a mark that can be seen on the page [pixels]
        radius = max(0, math.ceil((wide - 1) / 2))
        if radius:
            drawn = enlarged(drawn, radius)
            side = 2 * radius + 1
            notes += (
                message("Marked cells are drawn {side} x {side} pixels large, so that they can be seen.", side=side),
            )
    return drawn, notes


def enlarged(states: NDArray[Any], radius: int) -> NDArray[Any]:
    """
    Draw each marked cell larger; a marked cell is never covered by another one.

    Parameters
    ----------
    states : ndarray
        (height, width), as :class:`MarkedLayer` holds them.
    radius : int
        How far a mark reaches to each side [cells].

    Examples
    --------
    >>> enlarged(np.array([[1, 1, 1, 1], [1, 3, 1, 1]]), 1)
    array([[3, 3, 3, 1],
           [3, 3, 3, 1]])
    """
    grown = np.where(states >= FIRST_MARK, states, 0)
    for axis in (0, 1):
        found = grown.copy()
        for far in range(1, min(radius, grown.shape[axis] - 1) + 1):
            for one, other in ((slice(far, None), slice(None, -far)), (slice(None, -far), slice(far, None))):
                place, source = ([slice(None), slice(None)] for _ in range(2))
                place[axis], source[axis] = one, other
                free = found[tuple(place)]
                np.copyto(free, grown[tuple(source)], where=free == 0)
        grown = found
    return np.where(states >= FIRST_MARK, states, np.where(grown > 0, grown, states))


def largest_of_blocks(values: NDArray[Any], factor: int) -> NDArray[Any]:
    """
    Keep of each block of cells the value that is farthest from zero.

    Parameters
    ----------
    values : ndarray
        (height, width), floats; NaN where there is none.
    factor : int
        Side of a block [cells].

    Examples
    --------
    >>> largest_of_blocks(np.array([[0.0, 1.0, np.nan], [-3.0, 0.0, 2.0]]), 2)
    array([[-3.,  2.]])
    """
    if factor == 1:
        return values
    known = np.isfinite(values)
    low = _reduced(np.fmin, np.where(known, values, np.nan), factor)
    high = _reduced(np.fmax, np.where(known, values, np.nan), factor)
    return np.where(-low > high, low, high)


def table_states(shapes: NDArray[Any], states: NDArray[Any], max_pixels: int = 2048) -> tuple[NDArray[Any], Affine]:
    """
    Lay the states of a table's features on a grid: that of its cells, or one over its shapes.

    Parameters
    ----------
    shapes : ndarray of shapely geometries
        One for each feature.
    states : ndarray of int
        One for each feature, as :class:`MarkedLayer` holds them.
    max_pixels : int, optional
        The longest side of the grid [cells].

    Returns
    -------
    states : ndarray
        (height, width).
    transform : Affine
        Of the grid.

    Examples
    --------
    >>> import shapely
    >>> table_states(np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]), np.array([1, 3]))[0]
    array([[1, 3]])
    """
    from dissmodel_lab.maps.vector import find_owners  # noqa: PLC0415 -- brings geopandas, 0.5 s

    owners = find_owners(shapes, max_pixels)
    return np.append(np.asarray(states), NOTHING)[owners.features], owners.transform


def farthest_grey(colours: list[str]) -> str:
    """
    Choose the grey that is farthest from all colours.

    Parameters
    ----------
    colours : list of str
        ``#rrggbb``.

    Examples
    --------
    >>> farthest_grey(["#d55e00"]), farthest_grey(["#d9d9d9", "#efefef"])
    ('#d9d9d9', '#b3b3b3')
    """
    taken = [_parts(colour) for colour in colours if len(colour) == len("#rrggbb")]

    def room(grey: str) -> float:
        return min((math.dist(_parts(grey), other) for other in taken), default=math.inf)

    wanted = 60.0  # far enough to be told apart: the first grey that is, else the farthest one
    return next((grey for grey in GREYS if room(grey) >= wanted), max(GREYS, key=room))


def _other_than(taken: set[str], name: str, word: str) -> str:
    while name in taken:
        name = f"{name} ({word})"
    return name


def _parts(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def _reduced(operation: Any, values: NDArray[Any], factor: int) -> NDArray[Any]:
    rows = operation.reduceat(values, np.arange(0, values.shape[0], factor), axis=0)
    reduced: NDArray[Any] = operation.reduceat(rows, np.arange(0, values.shape[1], factor), axis=1)
    return reduced
