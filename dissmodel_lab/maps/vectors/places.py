"""Where the features of a table lie: which of them a pixel shows, an area touches, a click hits.

Worked out once for all columns, and each thing only when it is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine

from dissmodel_lab.language import changed, joined, message
from dissmodel_lab.maps.area import Area, Window, window_of
from dissmodel_lab.maps.vectors import coordinates
from dissmodel_lab.maps.vectors import shapes as drawing
from dissmodel_lab.maps.vectors.cells import Lattice, find_lattice
from dissmodel_lab.maps.vectors.columns import Owners
from dissmodel_lab.maps.vectors.packed import Packed, shapes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyproj import CRS

#: Shapes have no cells of their own: areas of a plane are counted in cells of a picture of this size [pixels].
WHOLE = 1024
#: More features than this are said to be an image [-]: fewer can be seen one by one.
FEW = 2_000
#: Points and lines at the edge are drawn wider than they are: the picture reaches over them, as a part of its size.
THIN_MARGIN = 5 / WHOLE
#: The smallest part of the whole that can be looked at.
SMALLEST_PART = 1e-9
#: Pictures that are kept: the whole, and the last parts.
KEPT = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sound:
    """The features of a table that can be drawn."""

    held: NDArray[Any] | Packed
    rows: NDArray[np.intp] | None = None
    """The rows that they are; None when they are all."""
    lattice: Lattice | None = None
    notes: tuple[str, ...] = ()
    is_swapped: bool = False

    @property
    def shapes(self) -> NDArray[Any]:
        """(n,) geometries: those of packed cells are made now."""
        return shapes_of(self.held)

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """(n, 4): west, south, east, north. With these a part is found: 1 million take 5 ms."""
        return np.asarray(shapely.bounds(self.shapes), float).reshape(-1, 4)


def _cells_of(raw: NDArray[Any] | Packed, crs: CRS | None) -> _Sound | None:
    """Return a table that is a grid of cells with nothing wrong in it; None when it isn't one."""
    lattice = find_lattice(raw)
    if lattice is None:
        return None
    (width, height), transform = lattice.size, lattice.transform
    extent = _bounds_of(Window(0, 0, height, width), transform)
    edges = extent.west, extent.south, extent.east, extent.north
    if max(map(abs, edges)) > coordinates.FARTHEST:
        return None
    is_swapped, notes = coordinates.axis_order(*edges, crs)
    return None if is_swapped else _Sound(held=raw, lattice=lattice, notes=notes)


def _checked(raw: NDArray[Any], crs: CRS | None) -> _Sound:
    """Leave out what has no place, and exchange x and y where they are in the wrong order."""
    bounds, has_place, notes = coordinates.finite_bounds(raw)
    if not len(raw):
        return _Sound(held=raw, notes=(message("The table has no features."),))
    rows = np.flatnonzero(has_place)
    is_broken = coordinates.broken(raw[rows])
    if is_broken.any():
        count = int(is_broken.sum())
        notes += (
            message(
                "{count:,} of {n_raw:,} features have corners that are no finite numbers: not drawn.",
                count=count,
                n_raw=len(raw),
            ),
        )
        rows = rows[~is_broken]
    shapes, extent = raw[rows], coordinates.extent_of_bounds(bounds[rows])
    is_swapped = False
    if extent is not None:
        is_swapped, said = coordinates.axis_order(extent.west, extent.south, extent.east, extent.north, crs)
        notes = (*notes, *said)
    if is_swapped:
        shapes = coordinates.swapped(shapes)
    is_other = is_swapped or len(rows) < len(raw)
    return _Sound(
        held=shapes,
        rows=rows if len(rows) < len(raw) else None,
        lattice=find_lattice(shapes) if is_other else None,
        notes=notes,
        is_swapped=is_swapped,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """
    The geometries of a table.

    Examples
    --------
    >>> squares = Places(raw=shapely.box([0, 1], 0, [1, 2], 1), crs=None)
    >>> squares.owners(1024).features, squares.row_at(1.5, 0.5, 0)
    (array([[0, 1]]), 1)
    """

    raw: NDArray[Any] | Packed
    """(n,) shapely geometries, None and empty ones among them; or as they lie in the file."""
    crs: CRS | None
    kept: dict[tuple[int, Area | None], Owners] = field(default_factory=dict)
    """Pictures that have been drawn."""

    @cached_property
    def _sound(self) -> _Sound:
        """The features that can be drawn: the way of a grid of cells first, which is the fast one."""
        found = _cells_of(self.raw, self.crs)
        return found if found is not None else _checked(shapes_of(self.raw), self.crs)

    @property
    def lattice(self) -> Lattice | None:
        """The regular grid that the features make; None when they make none."""
        return self._sound.lattice

    @property
    def is_swapped(self) -> bool:
        """Whether x and y are exchanged, because they were in the wrong order."""
        return self._sound.is_swapped

    @cached_property
    def shapes(self) -> NDArray[Any]:
        """(n,): one for each row of the table, as it is drawn; None for those that aren't."""
        shapes, rows = self._sound.shapes, self._sound.rows
        if rows is None:
            return shapes
        everyone = np.full(len(self.raw), None, object)
        everyone[rows] = shapes
        return everyone

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What must be said with every picture."""
        notes = self._sound.notes
        if self.lattice is not None:
            return (*notes, *self.lattice.notes)
        return (*notes, *coordinates.stretched_note(self._sound.bounds))

    @cached_property
    def _is_thin(self) -> bool:
        dimensions = shapely.get_dimensions(self._sound.shapes)
        return bool((dimensions < 2).any())  # noqa: PLR2004 -- areas have 2 dimensions

    @cached_property
    def _frame(self) -> Area:
        """All features, with room for what is drawn wider than it is; shapes without a size get one."""
        extent = coordinates.extent_of_bounds(self._sound.bounds)
        if extent is None:
            return Area(west=0.0, south=0.0, east=1.0, north=1.0)
        longest = max(extent.width, extent.height) or 1.0
        margin = longest * THIN_MARGIN if self._is_thin else 0.0
        wide, high = (max(margin, longest / WHOLE / 2 if not span else 0.0) for span in (extent.width, extent.height))
        return Area(
            west=extent.west - wide, south=extent.south - high, east=extent.east + wide, north=extent.north + high
        )

    @cached_property
    def whole(self) -> tuple[tuple[int, int], Affine]:
        """(width, height) of the whole and the transform of its cells; of shapes those of a picture of ``WHOLE``."""
        if self.lattice is not None:
            return self.lattice.size, self.lattice.transform
        return _fitted(self._frame, WHOLE)

    @cached_property
    def extent(self) -> Area:
        """Everything, in units of the CRS, or in cells of the plane."""
        (width, height), transform = self.whole
        if self.crs is None:
            return Area(west=0.0, south=0.0, east=float(width), north=float(height))
        return _bounds_of(Window(0, 0, height, width), transform)

    def owners(self, max_pixels: int, area: Area | None = None) -> Owners:
        """
        Find which feature each pixel shows.

        Parameters
        ----------
        max_pixels : int
            Of the longest side.
        area : Area, optional
            Only this part.
        """
        key = (max_pixels, area)
        found = self.kept.get(key)
        if found is None:
            while len(self.kept) >= KEPT:  # the first one is the whole most often
                self.kept.pop(list(self.kept)[-1], None)  # another thread may have done it
            found = self.kept[key] = self._draw(max_pixels, area)
        return found

    def _draw(self, max_pixels: int, area: Area | None) -> Owners:
        if not len(self._sound.held):
            nothing = np.full((1, 1), -1, np.intp)
            return Owners(features=nothing, transform=Affine.identity(), source_size=(1, 1), notes=self.notes)
        return (
            self._draw_shapes(max_pixels, area)
            if self.lattice is None
            else self._draw_cells(self.lattice, max_pixels, area)
        )

    def _draw_cells(self, lattice: Lattice, max_pixels: int, area: Area | None) -> Owners:
        size, transform = self.whole
        window = window_of(area, size, transform, self.crs)
        features, of_picture, factor, covered = lattice.drawn(window, max_pixels)
        shown, noun = "", message("points") if lattice.is_points else message("cells")
        if factor > 1:
            shown = message("1 of {n:,} {noun} shown", n=factor * factor, noun=noun)
        elif (count := len(lattice.row) if area is None else len(lattice.inside(window))) > FEW:
            shown = message("{count:,} {noun} drawn as an image", count=count, noun=noun)
        said = (
            (message("{covered:,} {noun} lie under others: the last one is drawn.", covered=covered, noun=noun),)
            if covered
            else ()
        )
        return Owners(
            features=self._as_rows(features),
            transform=of_picture,
            source_size=window.size,
            notes=(*self.notes, *said, *((joined([shown, "."], ""),) if shown else ())),
            shown=shown,
            window=None if area is None else window,
            whole_size=None if area is None else size,
        )

    def _draw_shapes(self, max_pixels: int, area: Area | None) -> Owners:
        size, whole = self.whole
        window = window_of(area, size, whole, self.crs)
        frame = self._frame if area is None else self._part(area, window)
        shapes, chosen = self._sound.shapes, None
        if area is not None:
            reach = max(frame.width, frame.height) * THIN_MARGIN if self._is_thin else 0.0
            chosen = _touching(self._sound.bounds, frame, reach)
            shapes = shapes[chosen]
        parts = drawing.parts_of(shapes)
        coarse = drawing.coarseness(parts.shapes[2], frame, max(frame.width, frame.height) / max_pixels)
        (width, height), transform = _fitted(frame, max(1, int(max_pixels / coarse)))
        brush = drawing.brush_of(len(parts.shapes[0]), has_lines=bool(len(parts.shapes[1])), side=max(width, height))
        features = drawing.owners_of(parts, transform, (height, width), brush)
        notes, shown = _told(parts, features, len(shapes), is_coarse=coarse > 1)
        if chosen is not None:
            features = np.append(chosen, -1)[features]
        return Owners(
            features=self._as_rows(features),
            transform=transform,
            source_size=window.size,
            notes=(*self.notes, *notes),
            shown=shown,
            window=None if area is None else window,
            whole_size=None if area is None else size,
        )

    def _as_rows(self, features: NDArray[np.intp]) -> NDArray[np.intp]:
        rows = self._sound.rows
        return features if rows is None else np.append(rows, -1)[features]

    def _part(self, area: Area, window: Window) -> Area:
        """Return an area in the layer's units, within the layer."""
        if area.is_cells or self.crs is None:
            return _bounds_of(window, self.whole[1])
        frame = self._frame
        least = max(frame.width, frame.height) * SMALLEST_PART
        west, east = _within(area.west, area.east, frame.west, frame.east, least)
        south, north = _within(area.south, area.north, frame.south, frame.north, least)
        return Area(west=west, south=south, east=east, north=north)

    def rows_in(self, area: Area | None) -> NDArray[np.intp]:
        """Return the rows that can be drawn, in order; with an area those whose bounds touch it."""
        held, rows = self._sound.held, self._sound.rows
        if area is None:
            return np.arange(len(held)) if rows is None else rows
        if not len(held):
            return np.empty(0, np.intp)
        size, whole = self.whole
        window = window_of(area, size, whole, self.crs)
        found = (
            self.lattice.inside(window)
            if self.lattice
            else _touching(self._sound.bounds, self._part(area, window), 0.0)
        )
        return found if rows is None else rows[found]

    def row_at(self, x: float, y: float, tolerance: float) -> int | None:
        """
        Return the row of the feature at a place; of several the one that is drawn last.

        Parameters
        ----------
        x, y : float
            In the layer's units.
        tolerance : float
            How far away a point or a line may lie, in the same units.
        """
        held, rows = self._sound.held, self._sound.rows
        if not len(held) or not (math.isfinite(x) and math.isfinite(y)):
            return None
        if self.lattice is not None:
            a, b, c, d, e, f = (~self.lattice.transform)[:6]
            column, row = math.floor(a * x + b * y + c), math.floor(d * x + e * y + f)
            hits = np.flatnonzero((self.lattice.row == row) & (self.lattice.column == column))
        else:
            shapes = shapes_of(held)
            near = _touching(self._sound.bounds, Area(west=x, south=y, east=x, north=y), tolerance)
            distance = shapely.distance(shapes[near], shapely.Point(x, y))
            dimension = shapely.get_dimensions(shapes[near])
            hit = distance <= np.where(dimension == 2, 0.0, tolerance)  # noqa: PLR2004 -- areas
            hits = near[hit][np.argsort(-dimension[hit], kind="stable")]
        if not len(hits):
            return None
        return int(hits[-1] if rows is None else rows[hits[-1]])

    @cached_property
    def _on_earth(self) -> tuple[float, float] | None:
        """West and east of the picture [degrees]; None in a plane. The rule is the picture's."""
        from dissmodel_lab.maps.grid import Grid  # noqa: PLC0415 -- as below
        from dissmodel_lab.maps.place import place  # noqa: PLC0415 -- brings rasterio, 0.2 s

        (width, height), transform = self.whole
        a, b, c, d, e, f = transform[:6]
        everything = Grid(
            values=np.zeros((2, 2), np.uint8),
            valid=np.ones((2, 2), bool),
            band="",
            bands=("",),
            source_size=(width, height),
            transform=Affine(a * width / 2, b * height / 2, c, d * width / 2, e * height / 2, f),
            crs=self.crs,
        )
        found = place(everything, 64)
        (_, west), (_, east) = found.bounds
        return (west, east) if found.is_georeferenced else None

    def to_map(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn (n, 2) coordinates of the layer into longitude and latitude, or into cells of the plane."""
        if self._on_earth is None:
            (_, height), transform = self.whole
            a, b, c, d, e, f = (~transform)[:6]
            x, y = points.T
            return np.column_stack((a * x + b * y + c, height - (d * x + e * y + f)))
        from pyproj import Transformer  # noqa: PLC0415 -- 0.1 s, only for those on Earth

        longitude, latitude = Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True).transform(*points.T)
        middle = sum(self._on_earth) / 2
        with np.errstate(invalid="ignore"):
            longitude -= 360 * np.round((longitude - middle) / 360)  # one turn of the world, as the picture
        return np.column_stack((longitude, latitude))

    def from_map(self, points: NDArray[np.float64], *, is_georeferenced: bool) -> NDArray[np.float64]:
        """Turn (n, 2) places of the map into coordinates of the layer."""
        x, y = points.T
        if not is_georeferenced or self.crs is None:
            (_, height), transform = self.whole
            a, b, c, d, e, f = transform[:6]
            return np.column_stack((a * x + b * (height - y) + c, d * x + e * (height - y) + f))
        from pyproj import Transformer  # noqa: PLC0415 -- 0.1 s, only for those on Earth

        longitude, latitude = Transformer.from_crs("EPSG:4326", self.crs, always_xy=True).transform(x, y)
        if self.crs.is_geographic:
            middle = (self.extent.west + self.extent.east) / 2
            longitude = longitude - 360 * np.round((longitude - middle) / 360)
        return np.column_stack((longitude, latitude))


def _fitted(frame: Area, max_pixels: int) -> tuple[tuple[int, int], Affine]:
    """Return (width, height) and the transform of pixels that fill a frame, nearly square."""
    pixel = max(frame.width, frame.height) / max_pixels
    width, height = (max(1, min(max_pixels, round(span / pixel))) for span in (frame.width, frame.height))
    transform = Affine(frame.width / width, 0, frame.west, 0, -frame.height / height, frame.north)
    return (width, height), transform


def _bounds_of(window: Window, transform: Affine) -> Area:
    a, b, c, d, e, f = transform[:6]
    ends = ((window.column, window.row), (window.column + window.columns, window.row + window.rows))
    corners = [(i, j) for i in (ends[0][0], ends[1][0]) for j in (ends[0][1], ends[1][1])]
    x, y = [a * i + b * j + c for i, j in corners], [d * i + e * j + f for i, j in corners]
    return Area(west=min(x), south=min(y), east=max(x), north=max(y))


def _within(low: float, high: float, first: float, last: float, least: float) -> tuple[float, float]:
    """Cut a stretch at both ends of another one; it keeps a size."""
    low, high = min(max(low, first), last), min(max(high, first), last)
    if high - low < least:
        low = min(max((low + high - least) / 2, first), last - least)
        high = low + least
    return low, high


def _touching(bounds: NDArray[np.float64], area: Area, reach: float) -> NDArray[np.intp]:
    west, south, east, north = bounds.T
    along = (west <= area.east + reach) & (east >= area.west - reach)
    return np.flatnonzero(along & (south <= area.north + reach) & (north >= area.south - reach))


def _told(
    parts: drawing.Parts, features: NDArray[np.intp], total: int, *, is_coarse: bool
) -> tuple[tuple[str, ...], str]:
    """Say what a picture of shapes leaves out: the notes, and the text on the map."""
    nouns = (message("points"), message("lines"), message("areas"))
    kinds = [noun for noun, some in zip(nouns, parts.shapes, strict=True) if len(some)]
    noun = kinds[0] if len(kinds) == 1 else message("features")
    height, width = features.shape
    seen = np.zeros(total + 1, bool)
    seen[features.ravel()] = True  # -1 marks the appended one
    drawn = int(seen[:-1].sum())
    wider = message(" Points and lines are wider than they are, to be seen.") if kinds != ["areas"] and kinds else ""
    notes: tuple[str, ...] = (
        message(
            "{noun} drawn as pixels on a grid of {width} x {height}.{wider}",
            noun=changed(noun, str.capitalize),
            width=width,
            height=height,
            wider=wider,
        ),
    )
    if drawn < total:
        notes += (
            message(
                "{drawn:,} of {total:,} features drawn: the others are smaller than a pixel or covered.",
                drawn=drawn,
                total=total,
            ),
        )
    shown = message("{total:,} {noun} drawn as an image", total=total, noun=noun) if total > FEW else ""
    if is_coarse:
        shown = message("{total:,} {noun} that overlap drawn coarsely", total=total, noun=noun)
    return (*notes, *((joined([shown, "."], ""),) if shown else ())), shown
