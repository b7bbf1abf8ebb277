"""THE FRONT DOOR of the maps: a source -> a picture with its bounds, its legend, and what must be said.

Knows no widget. The steps: source -> layer -> grid (:mod:`.grid`) -> colours (:mod:`.legend`) -> place
(:mod:`.place`) -> PNG (:mod:`.png`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from dissmodel_lab.errors import SourceError
from dissmodel_lab.executor.schemas import DataSource
from dissmodel_lab.language import message
from dissmodel_lab.maps import png
from dissmodel_lab.maps.area import Area, area_of, extent_of, window_of
from dissmodel_lab.maps.arrays import scaled
from dissmodel_lab.maps.classes import with_classes
from dissmodel_lab.maps.grid import centres, check_band
from dissmodel_lab.maps.legend import Legend, paint
from dissmodel_lab.maps.memory import pictures, signature
from dissmodel_lab.maps.sources import open_layer
from dissmodel_lab.maps.styles import style_for

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from dissmodel_lab.maps.grid import Grid, Layer
    from dissmodel_lab.maps.place import Bounds
    from dissmodel_lab.maps.styles import Style

#: Cells are numbered in float32 while they are warped: exact up to 2**24.
MAX_SIDE = 4096
#: What a picture may weigh as PNG [bytes], when it has at most so many pixels a side.
SCALE_BYTES, CLASSES_BYTES, PAGE_PIXELS = 500_000, 180_000, 1024
#: How often a picture is made smaller to meet that; each time by what it weighs too much.
MAX_TRIES = 6
#: A picture that is guessed to be so much too large is not encoded whole to see it; shapes are guessed too large.
SURELY = 1.1
#: Equatorial radius [m] and first eccentricity squared of WGS 84 (EPSG:7030).
WGS84_A, WGS84_E2 = 6_378_137.0, 0.00669437999014


@dataclass(frozen=True, kw_only=True, eq=False)
class Preview:
    """A picture of one band, and all that is needed to show it honestly."""

    png: bytes = field(repr=False)
    """Paletted PNG, north up; cells without a value are transparent."""
    bounds: Bounds
    """((south, west), (north, east)): degrees when georeferenced, else cells of the source in a plane."""
    legend: Legend
    """What the colours mean."""
    band: str
    """The band or column that is shown."""
    bands: tuple[str, ...]
    """All names to choose from."""
    is_georeferenced: bool
    """False when the picture lies in a plane."""
    crs: str
    """Name of the CRS of the data, such as ``EPSG:31983``; empty in a plane."""
    notes: tuple[str, ...]
    """Sentences that must be shown with the picture."""
    size: tuple[int, int]
    """(width, height) of the picture [pixels]."""
    source_size: tuple[int, int]
    """(width, height) of the data [cells]."""
    pixels: NDArray[np.uint8] = field(repr=False)
    """(height, width): 0 where transparent, else i for ``legend.colours[i - 1]``."""
    cells: NDArray[np.int32] = field(repr=False)
    """(height, width): the number of the shown cell in ``grid``, row by row; -1 outside."""
    grid: Grid = field(repr=False)
    """The cells that are shown."""
    shown: str = ""
    """How much of the data is shown, for a corner of the map: ``1 of 16 pixels shown``; empty when all is."""
    sized: dict[tuple[int, int], tuple[bytes, tuple[int, int]]] = field(init=False, default_factory=dict, repr=False)
    """Encoded pictures of other sizes, kept by those who show this one more than once."""

    def value_at(self, latitude: float, longitude: float) -> str:
        """
        Say the value of the pixel at a place.

        Parameters
        ----------
        latitude, longitude : float
            Degrees, or y and x of the plane when the picture isn't georeferenced.

        Returns
        -------
        str
            The class's label and code, a number with its unit, ``no data`` or ``outside the data``.

        Examples
        --------
        >>> preview(np.array([[1, 2], [3, 4]], "uint8")).value_at(1.5, 0.5)
        '1'
        """
        (south, west), (north, east) = self.bounds
        if self.is_georeferenced:
            longitude = west + (longitude - west) % 360  # the world repeats sideways on a web map
            if not (-90 < latitude < 90):  # noqa: PLR2004 -- [degrees]
                return message("outside the data")
            south, latitude, north = (_stretched(v) for v in (south, latitude, north))
        row = math.floor((north - latitude) / (north - south) * self.size[1])
        column = math.floor((longitude - west) / (east - west) * self.size[0])
        if not (0 <= row < self.size[1] and 0 <= column < self.size[0]):
            return message("outside the data")
        return self._value_of(int(self.cells[row, column]))

    def _value_of(self, cell: int) -> str:
        if cell < 0:
            return message("outside the data")
        if not self.grid.valid.flat[cell]:
            return "no data"
        value = self.grid.values.flat[cell]
        if self.grid.names is not None and self.legend.kind == "classes":
            return self.legend.text_of(self.grid.names[int(value)])
        return self.legend.text_of(value.item())

    @property
    def bounds_text(self) -> str:
        """
        Where the picture lies, in words.

        Examples
        --------
        >>> preview(np.zeros((2, 3))).bounds_text
        'plane, no georeference'
        """
        if not self.is_georeferenced:
            return message("plane, no georeference")
        (south, west), (north, east) = self.bounds
        spans = max(north - south, east - west)
        digits = max(2, 2 - math.floor(math.log10(spans)))
        latitudes = _span(south, north, "N", "S", digits)
        longitudes = _span(_wrapped(west), _wrapped(east), "E", "W", digits)
        return message(
            "{latitudes}, {longitudes} (data in {crs})", latitudes=latitudes, longitudes=longitudes, crs=self.crs
        )

    @property
    def width_km(self) -> float | None:
        """
        Length of the picture's middle row on the WGS 84 ellipsoid [km]; None in a plane.

        The arc of a parallel: Snyder (1987), Map Projections: A Working Manual, USGS PP 1395, eq. 4-21.
        """
        if not self.is_georeferenced:
            return None
        (south, west), (north, east) = self.bounds
        middle = math.atan(math.sinh((_stretched(south) + _stretched(north)) / 2))
        radius = WGS84_A / math.sqrt(1 - WGS84_E2 * math.sin(middle) ** 2)
        return radius * math.cos(middle) * math.radians(east - west) / 1000

    @property
    def alt_text(self) -> str:
        """What the picture shows, for those who can't see it."""
        return message(
            "Map of {band}: {summary}. {bounds_text}.",
            band=self.band,
            summary=self.legend.summary,
            bounds_text=self.bounds_text,
        )

    def png_at(self, width: int, height: int) -> bytes:
        """
        Encode the picture at another size, nearest pixel, so that no new colour appears.

        Parameters
        ----------
        width, height : int
            Size of the new picture [pixels].

        Examples
        --------
        >>> len(preview(np.zeros((2, 3))).png_at(300, 200)) < 1500
        True
        """
        rows, columns = centres(self.size[1], height), centres(self.size[0], width)
        return png.encode(self.pixels[np.ix_(rows, columns)], self.legend.colours, level=6)


def preview(
    source: Any,
    band: str | None = None,
    *,
    max_pixels: int = 1024,
    area_bounds: Bounds | None = None,
    like: Preview | None = None,
    classes: type[Any] | Mapping[Any, Any] | None = None,
    georeference: tuple[Any, Any] | None = None,
    style: Style | None = None,
    part: str | None = None,
) -> Preview:
    """
    Draw one band of a source, or a part of it.

    Only what is drawn is read: a large raster is decimated while it is read, by taking single pixels, and
    the small grid is then warped to Web Mercator, by nearest cell. No value appears that isn't in the data.
    The picture of a file is kept as long as the file doesn't change and there is room.

    Parameters
    ----------
    source : path, DataSource, Raster, GeoDataFrame, ndarray, object with ``arrays``, or opened layer
        A local raster or vector file (or a zip with one), known by its content; or data in memory.
    band : str, optional
        Band or column. When not given: the first band; of a table the first column that is not an id.
    max_pixels : int, optional
        The longest side of the picture [pixels], 1 to 4096.
    area_bounds : ((south, west), (north, east)), optional
        Only what lies in this view of the map is drawn, as sharply as it fits: degrees, or cells in a plane.
        Give the picture of the whole as ``like`` then, so that colours don't jump.
    like : Preview, optional
        Another map of the same band: its colours and its scale are kept, so that the two can be compared.
    classes : type or mapping, optional
        Where the legend comes from when the data carry none: the executor's class, whose module constants are
        used when they know all values (see :func:`~dissmodel_lab.maps.classes.class_legend_of`), or a mapping
        value -> label, colour or (label, colour).
    georeference : (crs, transform), optional
        Where the data lie when they don't say it themselves; the map then says whose georeference it is.
    style : Style, optional
        The colours, when somebody chose them; else a style file beside the data says them, such as ``name.qml``.
    part : str, optional
        What is shown of a source that holds several maps.

    Returns
    -------
    Preview
        PNG, bounds, legend, notes.

    Raises
    ------
    SourceError
        When the source is missing, empty, unreadable or not a map, the band doesn't exist, or nothing of it
        lies in ``area_bounds``.

    Examples
    --------
    >>> picture = preview(np.array([[0, 1], [1, 1]], "uint8"))
    >>> picture.bounds, picture.notes
    (((0.0, 0.0), (2.0, 2.0)), ('No CRS: shown in a plane, not on Earth.',))
    >>> [entry.label for entry in picture.legend.entries]
    ['0', '1']
    >>> preview(np.array([[0, 1], [1, 1]], "uint8"), area_bounds=((1, 1), (2, 2))).bounds
    ((1.0, 1.0), (2.0, 2.0))
    """
    if not 1 <= max_pixels <= MAX_SIDE:
        raise SourceError(
            message(
                "max_pixels is {max_pixels}; it must be 1 to {max_side}.", max_pixels=max_pixels, max_side=MAX_SIDE
            )
        )
    style = style_for(source, style)
    key = None
    if classes is None and georeference is None:  # those may change without saying so
        key = _key(source, (band, max_pixels, area_bounds, like.legend if like else None, style, part))
        kept = _kept(key)
        if kept is not None:
            return kept
    layer = open_layer(source) if part is None else open_layer(source, part)
    chosen = layer.default_band if band is None else check_band(band, layer.bands)
    files: Sequence[Path] = getattr(layer, "files", ())
    before = signature(files)
    area = None
    if area_bounds is not None:
        area = area_under(layer, area_bounds, like)
        if area is None:
            raise SourceError(
                message(
                    "Nothing of the data lies in {area_bounds}. Choose bounds within {extent}.",
                    area_bounds=area_bounds,
                    extent=layer.extent,
                )
            )
    picture = draw(
        layer.grid(chosen, max_pixels) if area is None else layer.grid(chosen, max_pixels, area),
        max_pixels,
        like=like.legend if like else None,
        classes=classes,
        georeference=georeference,
        style=style,
    )
    if key is not None and before is not None and signature(files) == before:
        pictures.keep(key, (files, before, picture), len(picture.png) + picture.pixels.nbytes + picture.cells.nbytes)
    return picture


def _key(source: Any, options: tuple[Any, ...]) -> Hashable | None:
    """Name a picture of a local file; None for what can't be named."""
    uri = source.uri if isinstance(source, DataSource) else source
    if not isinstance(uri, str | Path) or "://" in str(uri):
        return None
    kind = source.type if isinstance(source, DataSource) else ""
    key = ("picture", str(Path(uri).absolute()), str(uri), kind, options)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _kept(key: Hashable | None) -> Preview | None:
    found = pictures.get(key) if key is not None else None
    if found is None:
        return None
    files, before, picture = found
    return cast("Preview", picture) if signature(files) == before else None


def area_under(layer: Layer, bounds: Bounds, whole: Preview | None = None) -> Area | None:
    """
    Return the part of a layer that a view of the map shows.

    Parameters
    ----------
    layer : Layer
        Opened.
    bounds : ((south, west), (north, east))
        The view, as the map tells it: degrees, or cells when the picture lies in a plane.
    whole : Preview, optional
        The picture of the whole layer, which knows whether, and where, it lies on Earth.

    Returns
    -------
    Area or None
        For :meth:`~dissmodel_lab.maps.grid.Layer.grid`; None when the view shows nothing of the layer.

    Examples
    --------
    >>> layer = open_layer(np.zeros((4, 4)))
    >>> area_under(layer, ((1, 1), (2, 9)), preview(layer)).north
    2
    >>> area_under(layer, ((1, 8), (2, 9)), preview(layer)) is None
    True
    """
    if whole is None:
        return area_of(bounds, layer.crs, layer.extent, is_georeferenced=layer.crs is not None)
    if not whole.is_georeferenced:
        (south, west), (north, east) = bounds
        (bottom, left), (top, right) = whole.bounds
        is_seen = west < right and east > left and south < top and north > bottom
        return area_of(bounds, None, layer.extent, is_georeferenced=False) if is_seen else None
    grid = whole.grid
    height, width = grid.values.shape
    cells = scaled(grid.transform, width / grid.source_size[0], height / grid.source_size[1])
    extent = extent_of(grid.source_size, cells, grid.crs)
    if layer.crs is not None and _is_near(layer.extent, extent):
        return area_of(bounds, layer.crs, layer.extent)
    # it lies where a run's record says: the layer itself knows its cells only
    area = area_of(bounds, grid.crs, extent)
    if area is None:
        return None
    row, column, rows, columns = window_of(area, grid.source_size, cells, grid.crs)
    south = grid.source_size[1] - row - rows
    return Area(west=column, south=south, east=column + columns, north=south + rows, is_cells=True)


def _is_near(one: Area, other: Area) -> bool:
    """Whether two areas are about the same."""
    across, up = max(one.width, other.width), max(one.height, other.height)
    far = max(abs(one.west - other.west), abs(one.east - other.east)) > across / 4
    return not far and max(abs(one.south - other.south), abs(one.north - other.north)) <= up / 4


def draw(
    grid: Grid,
    max_pixels: int,
    *,
    like: Legend | None = None,
    classes: type[Any] | Mapping[Any, Any] | None = None,
    georeference: tuple[Any, Any] | None = None,
    style: Style | None = None,
) -> Preview:
    """
    Draw a grid: give it colours and a place.

    Parameters
    ----------
    grid : Grid
        One band.
    max_pixels : int
        The longest side of the picture [pixels].
    like : Legend, optional
        Of another map of the same band.
    classes, georeference, style : optional
        As :func:`preview` takes them.

    Examples
    --------
    >>> from dissmodel_lab.maps.arrays import from_array
    >>> draw(from_array(np.eye(2)).grid("band_1", 8), 8).size
    (2, 2)
    """
    from dissmodel_lab.maps.place import place, with_georeference  # noqa: PLC0415 -- brings rasterio and pyproj, 0.3 s

    grid = with_georeference(with_classes(grid, classes), georeference)
    legend, index, notes = paint(grid, like) if style is None else paint(grid, like, style)
    placement = place(grid, max_pixels)
    fitted = _fitted(index, placement.cells, legend, max_pixels)
    shown = grid.shown
    if fitted.cells.size < placement.cells.size:
        shown = _shown_of(fitted.cells, grid)
        notes = (message("{shown}: more details would be too many bytes.", shown=shown), *notes)
    return Preview(
        png=fitted.png,
        bounds=placement.bounds,
        legend=legend,
        band=grid.band,
        bands=grid.bands,
        is_georeferenced=placement.is_georeferenced,
        crs=placement.crs,
        notes=(*placement.notes, *grid.notes, *notes),
        size=(fitted.pixels.shape[1], fitted.pixels.shape[0]),
        source_size=grid.source_size,
        pixels=fitted.pixels,
        cells=fitted.cells,
        grid=grid,
        shown=shown,
    )


class _Fitted(NamedTuple):
    png: bytes
    pixels: NDArray[np.uint8]
    cells: NDArray[np.int32]


def _fitted(index: NDArray[np.uint8], cells: NDArray[np.int32], legend: Legend, max_pixels: int) -> _Fitted:
    """
    Encode the picture; one that is too many bytes is drawn with fewer pixels, never with other colours.

    The web map shows both at the same size: what is noise to the encoder is noise to the eye.
    """
    page = CLASSES_BYTES if legend.kind == "classes" else SCALE_BYTES
    budget = page * max(1.0, (max_pixels / PAGE_PIXELS) ** 2)
    colours = np.append(index.ravel(), np.uint8(0))  # -1 takes the appended 0
    pixels = colours[cells]
    level = 1 if pixels.size > png.MANY_PIXELS else 6  # once for all tries: they are made because it was slow enough
    weight = png.guessed_bytes(pixels, legend.colours) if level == 1 else 0.0
    if weight > SURELY * budget:  # to encode the whole of it, for its size alone, costs as much as all the rest
        while weight > budget and cells.size > 1:
            cells = _fewer(cells, budget / weight)
            weight = png.guessed_bytes(colours[cells], legend.colours)
        pixels = colours[cells]
    encoded = png.encode(pixels, legend.colours, level=level)
    for _ in range(MAX_TRIES):
        if len(encoded) <= budget:
            break
        cells = _fewer(cells, budget / len(encoded))
        pixels = colours[cells]
        encoded = png.encode(pixels, legend.colours, level=level)
    return _Fitted(encoded, pixels, cells)


def _fewer(cells: NDArray[np.int32], share: float) -> NDArray[np.int32]:
    """Take about that share of the pixels, a bit less: neighbours that lie further apart differ more."""
    part = min(0.95, 0.98 * math.sqrt(share))
    rows, columns = (max(1, int(size * part)) for size in cells.shape)
    return cells[np.ix_(centres(cells.shape[0], rows), centres(cells.shape[1], columns))]


def _shown_of(cells: NDArray[np.int32], grid: Grid) -> str:
    """Say of how many source cells one is in the picture."""
    drawn = int(np.count_nonzero(np.bincount(cells[cells >= 0], minlength=1)))
    of = grid.source_size[0] * grid.source_size[1] / max(1, drawn)
    return message("1 of {of:,.0f} pixels shown", of=of) if of >= 1.5 else message("most pixels shown")  # noqa: PLR2004 -- rounds to 2


def _stretched(latitude: float) -> float:
    """Latitude [degrees] to Web Mercator's northing, in radii."""
    return math.asinh(math.tan(math.radians(latitude)))


def _wrapped(longitude: float) -> float:
    return longitude if -180 <= longitude <= 180 else (longitude + 180) % 360 - 180  # noqa: PLR2004 -- [degrees]


def _span(low: float, high: float, positive: str, negative: str, digits: int) -> str:
    """``48.02 to 49.98 °N``; with two letters when the span crosses zero."""
    letters = [positive if value >= 0 else negative for value in (low, high)]
    first, last = f"{abs(low):.{digits}f}", f"{abs(high):.{digits}f}"
    if letters[0] == letters[1]:
        return message("{first} to {last} °{side}", first=first, last=last, side=_SIDES[letters[0]])
    return message(
        "{first} °{side} to {last} °{other_side}",
        first=first,
        last=last,
        side=_SIDES[letters[0]],
        other_side=_SIDES[letters[1]],
    )


_SIDES: dict[str, str] = {"N": message("N"), "S": message("S"), "E": message("E"), "W": message("W")}
