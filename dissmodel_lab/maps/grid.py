"""What every source becomes on its way to a picture: one band, small enough to draw, with its georeference.

In: nothing but arrays. Out: a :class:`Grid`. Does not touch disk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dissmodel_lab.errors import SourceError, did_you_mean
from dissmodel_lab.upstream import MASK_BAND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS

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


class Layer(Protocol):
    """A source that has been opened: hands out one band after the other."""

    @property
    def bands(self) -> tuple[str, ...]:
        """All names to choose from."""

    @property
    def default_band(self) -> str:
        """The band to show when nobody chose one."""

    def grid(self, band: str, max_pixels: int) -> Grid:
        """Return one band, decimated to at most ``max_pixels`` a side."""


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
        raise SourceError(f"No band or column is called {band!r}. {did_you_mean(str(band), bands)}")
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
            f"{what} holds values of type {dtype}, which a map can't show. "
            "Whole numbers, floats and truth values can be shown: convert it first."
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
    return (f"1 of {factor * factor:,} pixels shown.",) if factor > 1 else ()


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
            notes = (f"{infinite:,} infinite value{' is' if infinite == 1 else 's are'} not shown.",)
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
    return valid & exists, (f"Cells outside of the band {MASK_BAND!r} are not shown.",)


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
        return None, (f"The CRS {str(value)[:60]!r} can't be understood.",)
