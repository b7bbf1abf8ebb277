"""What every source becomes on its way to a picture: one band, small enough to draw, with its georeference.

In: nothing but arrays. Out: a :class:`Grid`. Does not touch disk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from dissmodel_lab.errors import SourceError, did_you_mean
from dissmodel_lab.language import message
from dissmodel_lab.upstream import MASK_BAND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS

    from dissmodel_lab.maps.area import Area, Window
    from dissmodel_lab.rasters import Classes

#: numpy's kinds of numbers that can be drawn: bool, signed, unsigned, float.
DRAWABLE_KINDS = "biuf"


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """One band on a grid of at most ``max_pixels`` x ``max_pixels`` cells."""

    values: NDArray[Any]
    """The shown cells, (height, width), any number type."""
    valid: NDArray[np.bool_]
    """True where a cell has a value, (height, width)."""
    band: str
    """Name of the band or column."""
    bands: tuple[str, ...]
    """All names to choose from."""
    source_size: tuple[int, int]
    """(width, height) of the grid that ``values`` was taken from [cells]."""
    transform: Affine | None = None
    """Cells of ``values`` to CRS coordinates; None when unknown."""
    crs: CRS | None = None
    """None when unknown."""
    classes: Classes | None = None
    """The legend that the data carry: code -> (label, ``#rrggbb`` or an empty text)."""
    names: tuple[str, ...] | None = None
    """Texts that the codes 0, 1, ... in ``values`` stand for, when the data are texts."""
    unit: str = ""
    """Unit of the values."""
    is_discrete: bool = False
    """True for whole numbers, truth values and texts."""
    reach: float | None = None
    """Set where zero means "the same": the colours then part at zero, and end at so much to both sides."""
    notes: tuple[str, ...] = ()
    """Sentences that must be shown with the picture."""
    shown: str = ""
    """How much of the data is shown, for a corner of the map: ``1 of 16 pixels shown``; empty when all is."""
    window: Window | None = None
    """The source cells that this was taken from, of ``whole_size``; None when from all of them."""
    whole_size: tuple[int, int] | None = None
    """(width, height) of the whole layer [cells]; None when ``source_size`` is the whole."""


@dataclass(frozen=True)
class Axis:
    """
    A dimension beyond the two of the map, such as time.

    Examples
    --------
    >>> Axis("time", ("2020-01-01", "2021-01-01")).name
    'time'
    """

    name: str
    """Its name in the file."""
    labels: tuple[str, ...]
    """What a person reads at each of its positions."""


class Layer(Protocol):
    """A source that has been opened: hands out one band after the other."""

    @property
    def bands(self) -> tuple[str, ...]:
        """All names to choose from."""

    @property
    def default_band(self) -> str:
        """The band to show when nobody chose one."""

    @property
    def crs(self) -> CRS | None:
        """None when unknown; cheap."""

    @property
    def extent(self) -> Area:
        """Everything, in units of the CRS, or in a plane in source cells counted from the lower left; cheap."""

    @property
    def parts(self) -> tuple[str, ...]:
        """What the source holds besides: layers, members, variables; empty when it holds one thing."""

    @property
    def part(self) -> str:
        """The one of ``parts`` that this is; empty when there is only one."""

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Dimensions beyond the two of the map; empty when there are none."""

    def at(self, **indices: int) -> Layer:
        """Return the layer at other positions on its ``axes``: axis name -> position; cheap."""

    def grid(self, band: str, max_pixels: int, area: Area | None = None) -> Grid:
        """
        Return one band, decimated to at most ``max_pixels`` a side.

        With an area only the part under it: whole source cells, at least one. ``transform`` and
        ``source_size`` are then that part's.
        """

    def refined(self, band: str, max_pixels: int, area: Area | None = None) -> Grid | None:
        """Return averages instead of single cells where they are cheap and tell more; else None."""


class LayerBase:
    """
    What most layers have in common: one part, no further axes, nothing to refine.

    Examples
    --------
    >>> LayerBase().parts, LayerBase().axes
    ((), ())
    """

    @property
    def parts(self) -> tuple[str, ...]:
        """There is one thing in the source."""
        return ()

    @property
    def part(self) -> str:
        """There is one thing in the source."""
        return ""

    @property
    def axes(self) -> tuple[Axis, ...]:
        """There are only rows and columns."""
        return ()

    def at(self, **indices: int) -> Self:
        """
        Return the layer itself.

        Raises
        ------
        SourceError
            When a position on an axis is asked for: there is none.
        """
        check_positions(self.axes, indices)
        return self

    def refined(self, band: str, max_pixels: int, area: Area | None = None) -> Grid | None:  # noqa: ARG002 -- the protocol's
        """Return None: there is nothing to refine."""
        return None


def check_positions(axes: Sequence[Axis], indices: Mapping[str, int]) -> None:
    """
    Refuse positions that aren't on the axes.

    Raises
    ------
    SourceError
        When an axis is unknown or a position outside of it.

    Examples
    --------
    >>> check_positions([Axis("time", ("2020", "2021"))], {"time": 1})
    """
    known = {axis.name: len(axis.labels) for axis in axes}
    for name, position in indices.items():
        if name not in known:
            raise SourceError(
                message(
                    "No axis is called {name!r}. {did_you_mean}",
                    name=name,
                    did_you_mean=did_you_mean(name, known) if known else message("There is none."),
                )
            )
        if not 0 <= position < known[name]:
            raise SourceError(
                message(
                    "Axis {name!r} has no position {position}: it has 0 to {known}.",
                    name=name,
                    position=position,
                    known=known[name] - 1,
                )
            )


def check_band(band: str, bands: Sequence[str]) -> str:
    """
    Return ``band`` when it exists.

    Raises
    ------
    SourceError
        When it doesn't; the message suggests the nearest.

    Examples
    --------
    >>> check_band("state", ["state", "age"])
    'state'
    """
    if band not in bands:
        raise SourceError(
            message(
                "No band or column is called {band!r}. {did_you_mean}",
                band=band,
                did_you_mean=did_you_mean(str(band), bands),
            )
        )
    return band


def check_drawable(dtype: np.dtype[Any], what: str) -> None:
    """
    Refuse values that have no place on a colour scale.

    Raises
    ------
    SourceError
        For complex numbers, dates, texts and objects.

    Examples
    --------
    >>> check_drawable(np.dtype("uint8"), "band 'state'")
    """
    if dtype.kind not in DRAWABLE_KINDS:
        raise SourceError(
            message(
                "{what} holds values of type {dtype}, which a map can't show. Whole numbers, floats and truth "
                "values can be shown: convert it first.",
                what=what,
                dtype=dtype,
            )
        )


def decimated(size: int, factor: int) -> int:
    """
    Return how many of ``size`` rows or columns remain when one of ``factor`` is kept.

    Examples
    --------
    >>> decimated(10, 4)
    3
    """
    return math.ceil(size / factor)


def decimation(height: int, width: int, max_pixels: int) -> int:
    """
    Return the factor that makes a grid fit: one of ``factor`` rows and columns is kept.

    Examples
    --------
    >>> decimation(3000, 4000, 1024), decimation(20, 30, 1024)
    (4, 1)
    """
    return max(1, math.ceil(max(height, width) / max_pixels))


def centres(size: int, count: int) -> NDArray[np.intp]:
    """
    Return the indices of ``count`` evenly spread elements, each in the middle of its stretch.

    The same rule as GDAL's nearest decimation, so that a file and its array look alike.

    Examples
    --------
    >>> centres(9, 3)
    array([1, 4, 7])
    """
    return np.minimum(((np.arange(count) + 0.5) * size / count).astype(np.intp), size - 1)


def decimation_note(factor: int) -> tuple[str, ...]:
    """
    Say how much of the data is shown.

    Examples
    --------
    >>> decimation_note(4)
    ('1 of 16 pixels shown.',)
    >>> decimation_note(1)
    ()
    """
    shown = shown_text(factor)
    return (f"{shown}.",) if shown else ()


def shown_text(factor: int) -> str:
    """
    Say how much of the data is shown, for a corner of the map.

    Examples
    --------
    >>> shown_text(4), shown_text(1)
    ('1 of 16 pixels shown', '')
    """
    return message("1 of {factor:,} pixels shown", factor=factor * factor) if factor > 1 else ""


def usable(
    values: NDArray[Any], nodata: float | None = None, mask: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """
    Find the cells that have a value.

    Parameters
    ----------
    values : ndarray
        Any shape.
    nodata : float, optional
        The value that means "no value here".
    mask : ndarray of bool, optional
        True where a mask says there is a value (GDAL's sense, the opposite of numpy.ma's).

    Returns
    -------
    valid : ndarray of bool
        False for nodata, masked, NaN and infinite cells.
    notes : tuple of str
        Says when infinite values were left out.

    Examples
    --------
    >>> valid, notes = usable(np.array([1.0, np.nan, np.inf, -9.0]), nodata=-9)
    >>> valid
    array([ True, False, False, False])
    >>> notes
    ('1 infinite value is not shown.',)
    """
    valid = np.ones(values.shape, bool) if mask is None else mask.astype(bool)
    notes: tuple[str, ...] = ()
    if nodata is not None and np.isfinite(nodata):
        valid &= values != _as_type(nodata, values.dtype)
    if values.dtype.kind == "f":
        infinite = int(np.count_nonzero(np.isinf(values) & valid))
        if infinite:
            notes = (
                message(
                    "{n:,} infinite value is not shown." if infinite == 1 else "{n:,} infinite values are not shown.",
                    n=infinite,
                ),
            )
        valid &= np.isfinite(values)
    return valid, notes


def within_mask(valid: NDArray[np.bool_], mask: NDArray[Any]) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """
    Leave out the cells that do not exist by the raster's own band :data:`MASK_BAND`.

    Parameters
    ----------
    valid : ndarray of bool
        The cells that have a value.
    mask : ndarray
        The values of that band, of the same shape; one that holds anything but 0 and 1 is no mask.

    Returns
    -------
    valid : ndarray of bool
        Fewer cells, or the same.
    notes : tuple of str
        Says so when cells were left out.

    Examples
    --------
    >>> within_mask(np.array([True, True, False]), np.array([1.0, 0.0, 0.0]))
    (array([ True, False, False]), ("Cells outside of the band 'mask' are not shown.",))
    """
    exists = mask == 1
    if not (exists | (mask == 0)).all() or not (valid & ~exists).any():
        return valid, ()
    return valid & exists, (message("Cells outside of the band {mask_band!r} are not shown.", mask_band=MASK_BAND),)


def _as_type(number: float, dtype: np.dtype[Any]) -> Any:
    """Round nodata as the file's writer did: -3.4e38 in float32 isn't -3.4e38 in float64."""
    if dtype.kind != "f":
        return number
    with np.errstate(over="ignore"):
        return dtype.type(number)


def to_crs(value: Any) -> tuple[CRS | None, tuple[str, ...]]:
    """
    Read a CRS of any make; one that can't be read is None, and said.

    Examples
    --------
    >>> to_crs("EPSG:4326")[0].to_epsg()
    4326
    >>> to_crs("EPSG:nowhere")
    (None, ("The CRS 'EPSG:nowhere' can't be understood.",))
    """
    from pyproj import CRS  # noqa: PLC0415 -- 0.1 s, only for those with a georeference
    from pyproj.exceptions import CRSError  # noqa: PLC0415

    if value is None or value == "":
        return None, ()
    try:
        # rasterio's CRS is told by its WKT: pyproj only guesses at foreign objects
        return CRS.from_user_input(value.to_wkt() if hasattr(value, "to_wkt") else value), ()
    except CRSError:
        return None, (message("The CRS {value!r} can't be understood.", value=str(value)[:60]),)
