"""THE FRONT DOOR of the maps: a source -> a picture with its bounds, its legend, and what must be said.

Knows no widget. The steps: source -> layer -> grid (:mod:`.grid`) -> colours (:mod:`.legend`) -> place
(:mod:`.place`) -> PNG (:mod:`.png`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.errors import SourceError
from dissmodel_lab.maps import png
from dissmodel_lab.maps.classes import with_classes
from dissmodel_lab.maps.grid import centres, check_band
from dissmodel_lab.maps.legend import Legend, paint
from dissmodel_lab.maps.sources import open_layer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dissmodel_lab.maps.grid import Grid
    from dissmodel_lab.maps.place import Bounds

#: Cells are numbered in float32 while they are warped: exact up to 2**24.
MAX_SIDE = 4096
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
                return "outside the data"
            south, latitude, north = (_stretched(v) for v in (south, latitude, north))
        row = math.floor((north - latitude) / (north - south) * self.size[1])
        column = math.floor((longitude - west) / (east - west) * self.size[0])
        if not (0 <= row < self.size[1] and 0 <= column < self.size[0]):
            return "outside the data"
        return self._value_of(int(self.cells[row, column]))

    def _value_of(self, cell: int) -> str:
        if cell < 0:
            return "outside the data"
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
            return "plane, no georeference"
        (south, west), (north, east) = self.bounds
        spans = max(north - south, east - west)
        digits = max(2, 2 - math.floor(math.log10(spans)))
        latitudes = _span(south, north, "N", "S", digits)
        return f"{latitudes}, {_span(_wrapped(west), _wrapped(east), 'E', 'W', digits)} (data in {self.crs})"

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
        return f"Map of {self.band}: {self.legend.summary}. {self.bounds_text}."

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
    like: Preview | None = None,
    classes: type[Any] | Mapping[Any, Any] | None = None,
    georeference: tuple[Any, Any] | None = None,
) -> Preview:
    """
    Draw one band of a source.

    Only what is drawn is read: a large raster is decimated while it is read, by taking single pixels, and
    the small grid is then warped to Web Mercator, by nearest cell. No value appears that isn't in the data.

    Parameters
    ----------
    source : path, DataSource, Raster, GeoDataFrame, ndarray, object with ``arrays``, or opened layer
        A local raster or vector file (or a zip with one), known by its content; or data in memory.
    band : str, optional
        Band or column. When not given: the first band; of a table the first column that is not an id.
    max_pixels : int, optional
        The longest side of the picture [pixels], 1 to 4096.
    like : Preview, optional
        Another map of the same band: its colours and its scale are kept, so that the two can be compared.
    classes : type or mapping, optional
        Where the legend comes from when the data carry none: the executor's class, whose module constants are
        used when they know all values (see :func:`~dissmodel_lab.maps.classes.class_legend_of`), or a mapping
        value -> label, colour or (label, colour).
    georeference : (crs, transform), optional
        Where the data lie when they don't say it themselves; the map then says whose georeference it is.

    Returns
    -------
    Preview
        PNG, bounds, legend, notes.

    Raises
    ------
    SourceError
        When the source is missing, empty, unreadable or not a map, or the band doesn't exist.

    Examples
    --------
    >>> picture = preview(np.array([[0, 1], [1, 1]], "uint8"))
    >>> picture.bounds, picture.notes
    (((0.0, 0.0), (2.0, 2.0)), ('No CRS: shown in a plane, not on Earth.',))
    >>> [entry.label for entry in picture.legend.entries]
    ['0', '1']
    """
    if not 1 <= max_pixels <= MAX_SIDE:
        raise SourceError(f"max_pixels is {max_pixels}; it must be 1 to {MAX_SIDE}.")
    layer = open_layer(source)
    chosen = layer.default_band if band is None else check_band(band, layer.bands)
    return draw(
        layer.grid(chosen, max_pixels),
        max_pixels,
        like=like.legend if like else None,
        classes=classes,
        georeference=georeference,
    )


def draw(
    grid: Grid,
    max_pixels: int,
    *,
    like: Legend | None = None,
    classes: type[Any] | Mapping[Any, Any] | None = None,
    georeference: tuple[Any, Any] | None = None,
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
    classes, georeference : optional
        As :func:`preview` takes them.

    Examples
    --------
    >>> from dissmodel_lab.maps.arrays import from_array
    >>> draw(from_array(np.eye(2)).grid("band_1", 8), 8).size
    (2, 2)
    """
    from dissmodel_lab.maps.place import place, with_georeference  # noqa: PLC0415 -- brings rasterio and pyproj, 0.3 s

    grid = with_georeference(with_classes(grid, classes), georeference)
    legend, index, notes = paint(grid, like)
    placement = place(grid, max_pixels)
    pixels = np.append(index.ravel(), np.uint8(0))[placement.cells]  # -1 takes the appended 0
    return Preview(
        png=png.encode(pixels, legend.colours),
        bounds=placement.bounds,
        legend=legend,
        band=grid.band,
        bands=grid.bands,
        is_georeferenced=placement.is_georeferenced,
        crs=placement.crs,
        notes=(*placement.notes, *grid.notes, *notes),
        size=(pixels.shape[1], pixels.shape[0]),
        source_size=grid.source_size,
        pixels=pixels,
        cells=placement.cells,
        grid=grid,
    )


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
        return f"{first} to {last} °{letters[0]}"
    return f"{first} °{letters[0]} to {last} °{letters[1]}"
