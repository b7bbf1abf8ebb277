"""Small copies of a map over time -> pictures with one place, one legend and one scale for all of them.

In: what :mod:`dissmodel_lab.frames` copied while a model ran. Out: :class:`Frames`. Does not touch disk.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.maps import png
from dissmodel_lab.maps.arrays import scaled
from dissmodel_lab.maps.classes import with_classes
from dissmodel_lab.maps.grid import Grid, centres, check_drawable, to_crs, usable, within_mask
from dissmodel_lab.maps.legend import Legend, paint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from dissmodel_lab.frames import Backdrop, Moment, RawFrame, Series
    from dissmodel_lab.maps.place import Bounds, Placement
    from dissmodel_lab.maps.vector import Owners

#: Longest side of a picture [pixels]: that of the copies.
SIDE = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """The kept pictures of one run, in the order of its steps, and the series of its values."""

    pixels: NDArray[np.uint8] = field(repr=False)
    """(frames, height, width): 0 where transparent, else i for ``legend.colours[i - 1]``."""
    moments: tuple[Moment, ...]
    """When each was taken."""
    layer: str
    """The model's name of the layer that they show."""
    band: str
    """Its band or column."""
    legend: Legend
    """What the colours mean, in all of them."""
    bounds: Bounds
    """((south, west), (north, east)): degrees when georeferenced, else cells of the source in a plane."""
    is_georeferenced: bool
    crs: str
    notes: tuple[str, ...]
    """Sentences that must be shown with the pictures."""
    series: Series
    """Empty when the model reported no numbers."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the pictures [pixels]."""
        return self.pixels.shape[2], self.pixels.shape[1]

    def png(self, number: int, size: tuple[int, int] | None = None, *, level: int = 6) -> bytes:
        """
        Encode one picture.

        Parameters
        ----------
        number : int
            Of the frame, from 0.
        size : tuple of int, optional
            (width, height) of the result [pixels], by nearest pixel.
        level : int, optional
            zlib's level, 1 (fast) to 9 (small).
        """
        return png.encode(self._at(number, size or self.size), self.legend.colours, level=level)

    def animation(self, size: tuple[int, int], numbers: Sequence[int], seconds: float) -> bytes:
        """
        Encode pictures as an animated PNG that plays once and stops at the last one.

        Format: W3C, Portable Network Graphics (PNG) Specification, Third Edition, section 11.3.6 (APNG).

        Parameters
        ----------
        size : tuple of int
            (width, height) [pixels].
        numbers : sequence of int
            The frames, from 0.
        seconds : float
            How long it plays [s].
        """
        from PIL import Image  # noqa: PLC0415 -- only when a run is shown

        palette = [0, 0, 0, *(part for colour in self.legend.colours for part in bytes.fromhex(colour[1:]))]
        images = []
        for number in numbers:
            image = Image.fromarray(self._at(number, size))
            image.putpalette(palette)
            images.append(image)
        buffer = io.BytesIO()
        images[0].save(
            buffer,
            format="PNG",
            save_all=True,
            append_images=images[1:],
            duration=round(1000 * seconds / len(images)),
            loop=1,
            transparency=0,
            blend=0,
        )
        return buffer.getvalue()

    def _at(self, number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        if size == self.size:
            whole: NDArray[np.uint8] = self.pixels[number]
            return whole
        rows, columns = centres(self.size[1], size[1]), centres(self.size[0], size[0])
        resized: NDArray[np.uint8] = self.pixels[number][np.ix_(rows, columns)]
        return resized

    def spread(self, most: int) -> list[int]:
        """Return the numbers of at most so many frames, evenly spread in time, the first and the last among them."""
        counts = np.array([moment.count for moment in self.moments])
        if len(counts) <= most:
            return list(range(len(counts)))
        wished = np.linspace(counts[0], counts[-1], most)
        nearest = np.abs(counts[np.newaxis] - wished[:, np.newaxis]).argmin(axis=1)
        return [int(number) for number in np.unique(nearest)]

    def only(self, numbers: Iterable[int], *, with_last: bool) -> Frames:
        """Return the same with fewer pictures."""
        chosen = [*numbers, *([len(self.moments) - 1] if with_last else [])]
        return replace(self, pixels=self.pixels[chosen], moments=tuple(self.moments[at] for at in chosen))

    def with_colours_of(self, legend: Legend) -> Frames:
        """Return the same in the colours of another map of the same band: one class, one colour."""
        # "band_1" is what a map calls the only band of an array: its file has lost the name that the model gave it.
        if legend.title not in {self.band, "band_1"} or not legend.kind == self.legend.kind == "classes":
            return self
        known = {entry.value: entry for entry in legend.entries}
        entries = tuple(known.get(entry.value, entry) for entry in self.legend.entries)
        return replace(self, legend=replace(self.legend, entries=entries))


@dataclass(frozen=True, eq=False)
class Painted:
    """One picture."""

    pixels: NDArray[np.uint8]
    """(height, width), as those of :class:`Frames`."""
    legend: Legend


class Scene:
    """
    Where the small copies of one band lie on the page: worked out once for all of its frames.

    Parameters
    ----------
    frame : RawFrame
        Any one of them.
    classes : type or mapping, optional
        Where the legend comes from when the data carry none, as :func:`~dissmodel_lab.maps.preview` takes it.
    """

    def __init__(self, frame: RawFrame, classes: type[Any] | Mapping[Any, Any] | None = None) -> None:
        self._classes = classes
        self.shown = frame.shown
        self._backdrop: Backdrop = frame.backdrop
        self._shape = frame.values.shape
        self._placement: Placement | None = None
        self._owners: Owners | None = None
        self._crs, self._notes = to_crs(frame.backdrop.crs)

    def fits(self, frame: RawFrame) -> bool:
        """Whether a frame lies where this scene's others do."""
        if frame.shown != self.shown or frame.values.shape != self._shape:
            return False
        one, other = frame.backdrop, self._backdrop
        return (one.size, one.factor, one.transform) == (other.size, other.factor, other.transform)

    def grid(self, values: Any) -> Grid:
        """
        Return a copy as a grid.

        Raises
        ------
        SourceError
            When the values have no place on a colour scale.
        """
        return self._column_grid(values) if self._backdrop.geometry is not None else self._raster_grid(values)

    def place(self, grid: Grid) -> Placement:
        """Return where the grid's cells lie in the picture."""
        if self._placement is None:
            from dissmodel_lab.maps.place import place  # noqa: PLC0415 -- brings rasterio and pyproj

            self._placement = place(grid, SIDE)
        return self._placement

    def paint(self, values: Any, like: Legend | None = None) -> Painted:
        """
        Draw one copy; its legend is that of ``like``, widened to round numbers where the copy needs it.

        Parameters
        ----------
        values : array
            As it was copied.
        like : Legend, optional
            Of the frame before.
        """
        grid = self._with_classes(self.grid(values))
        legend, index, _ = paint(grid, _widened(like, grid, to_round=True))
        return Painted(self._put(index, grid), legend)

    def paint_all(self, copies: Sequence[Any]) -> tuple[NDArray[np.uint8], Legend, tuple[str, ...]]:
        """
        Draw all copies in one legend.

        Parameters
        ----------
        copies : sequence of arrays
            At least one.

        Returns
        -------
        pixels : ndarray of uint8
            (copies, height, width).
        legend : Legend
            The classes of all copies, or the range of all.
        notes : tuple of str
            What must be said with the pictures.
        """
        grids = [self.grid(values) for values in copies]
        first, stacked = grids[0], self._with_classes(_stacked(grids))
        legend, index, notes = paint(stacked, _widened(None, stacked))
        parts = np.split(index, len(grids))
        pixels = np.stack([self._put(part, first) for part in parts])
        unsaid = [
            note for note in notes if not note.startswith("No data")
        ]  # the share of one frame is not that of all
        return pixels, legend, (*self._notes, *self.place(first).notes, *stacked.notes, *unsaid)

    def _with_classes(self, grid: Grid) -> Grid:
        found = with_classes(grid, self._classes)
        if found.classes:  # those of one frame hold for all: looking for them again would take time
            self._classes = found.classes
        return found

    def _put(self, index: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
        return np.append(index.ravel(), np.uint8(0))[self.place(grid).cells]  # -1 takes the appended 0

    def _raster_grid(self, values: Any) -> Grid:
        backdrop, band = self._backdrop, self.shown.name
        check_drawable(values.dtype, f"Band {band!r}")
        mask = ~np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
        plain = np.asarray(np.ma.getdata(values))
        valid, notes = usable(plain, backdrop.nodata, mask)
        if backdrop.exists is not None and backdrop.exists.shape == plain.shape:
            valid, left_out = within_mask(valid, np.asarray(backdrop.exists))
            notes += left_out
        factor = backdrop.factor
        return Grid(
            values=plain,
            valid=valid,
            band=band,
            bands=(band,),
            source_size=backdrop.size,
            transform=scaled(backdrop.transform, factor, factor),
            crs=self._crs,
            classes=backdrop.classes or None,
            names=("False", "True") if plain.dtype == bool and not backdrop.classes else None,
            unit=backdrop.unit,
            is_discrete=plain.dtype.kind in "biu",
            notes=(
                *((message("1 of {factor:,} pixels shown.", factor=factor * factor),) if factor > 1 else ()),
                *notes,
            ),
        )

    def _column_grid(self, values: Any) -> Grid:
        from dissmodel_lab.maps.vector import column_grid, find_owners  # noqa: PLC0415 -- brings geopandas, rasterio

        if self._owners is None:  # only the column changes
            self._owners = find_owners(np.asarray(self._backdrop.geometry), SIDE)
        return replace(column_grid(values, self.shown.band, self._owners), crs=self._crs)


def compose(
    frames: Sequence[RawFrame],
    series: Series,
    notes: list[str],
    classes: type[Any] | Mapping[Any, Any] | None = None,
) -> Frames | None:
    """
    Draw the copies of one run.

    Parameters
    ----------
    frames : sequence of RawFrame
        All of one band and shape.
    series : Series
        The run's values.
    notes : list of str
        A sentence is added when the copies cannot be drawn.
    classes : type or mapping, optional
        As :class:`Scene` takes it.

    Returns
    -------
    Frames or None
        None when there is neither a picture nor a series to show.
    """
    empty = Frames(
        pixels=np.zeros((0, 1, 1), np.uint8),
        moments=(),
        layer="",
        band="",
        legend=Legend(title="", kind="empty"),
        bounds=((0.0, 0.0), (1.0, 1.0)),
        is_georeferenced=False,
        crs="",
        notes=(),
        series=series,
    )
    if frames:
        scene = Scene(frames[0], classes)
        try:
            pixels, legend, said = scene.paint_all([frame.values for frame in frames])
        except Exception as error:  # noqa: BLE001 -- a model's data of any kind; the run itself went well
            kind = "" if isinstance(error, SourceError) else f"{type(error).__name__}: "
            notes.append(message("The steps could not be drawn: {kind}{error}", kind=kind, error=error))
        else:
            placement = scene.place(scene.grid(frames[0].values))
            return replace(
                empty,
                pixels=pixels,
                moments=tuple(frame.moment for frame in frames),
                layer=scene.shown.layer,
                band=scene.shown.name,
                legend=legend,
                bounds=placement.bounds,
                is_georeferenced=placement.is_georeferenced,
                crs=placement.crs,
                notes=(*said, *notes),
            )
    return empty if series.values else None


def _stacked(grids: list[Grid]) -> Grid:
    """Return one grid with all frames, one under the other, so that they get one legend."""
    first = grids[0]
    names: tuple[str, ...] | None = None
    values = [grid.values for grid in grids]
    if any(grid.names is not None for grid in grids):
        names = tuple(sorted({name for grid in grids for name in grid.names or ()}))
        values = [_renamed(grid, names) for grid in grids]
    return replace(
        first,
        values=np.concatenate(values),
        valid=np.concatenate([grid.valid for grid in grids]),
        names=names,
        is_discrete=all(grid.is_discrete for grid in grids),
    )


def _renamed(grid: Grid, names: tuple[str, ...]) -> NDArray[Any]:
    """Return the codes of a grid of texts by the names of all frames."""
    codes = np.array([names.index(name) for name in grid.names or ()] or [0], np.intp)
    return codes[np.where(grid.valid, grid.values, 0).astype(np.intp)]


def _widened(like: Legend | None, grid: Grid, *, to_round: bool = False) -> Legend | None:
    """Return a legend whose scale takes in all values of a grid, from the smallest to the largest."""
    if like is not None and like.kind == "classes":
        return like
    values = grid.values[grid.valid]
    if not values.size or values.dtype.kind not in "biuf":
        return like
    low, high = float(values.min()), float(values.max())
    if like is not None and like.kind == "continuous" and like.low is not None and like.high is not None:
        if like.low <= low and high <= like.high:
            return like
        low, high = min(low, like.low), max(high, like.high)
    if to_round:
        low, high = round_range(low, high)
    return Legend(title=grid.band, kind="continuous", unit=grid.unit, low=low, high=high)


def round_range(low: float, high: float) -> tuple[float, float]:
    """
    Widen a range to round numbers, so that one that grows little by little seldom changes.

    Examples
    --------
    >>> round_range(0.3, 17.2), round_range(5, 5)
    ((0.0, 20.0), (5, 5))
    """
    span = high - low
    if not (0 < span < math.inf):
        return low, high
    unit = 10.0 ** math.floor(math.log10(span))
    wide = math.floor(low / unit) * unit, math.ceil(high / unit) * unit
    return wide if all(map(math.isfinite, wide)) else (low, high)
