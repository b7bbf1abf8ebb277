"""An opened layer -> one band at full resolution, read window by window: never a large file whole.

What counts as a value is the same as on the map: nodata, masks, transparent codes, NaN and the raster's own mask
band are left out (see :mod:`dissmodel_lab.maps.grid`).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dissmodel_lab.changes.grids import Place
from dissmodel_lab.language import message
from dissmodel_lab.maps.arrays import ArrayLayer
from dissmodel_lab.maps.grid import check_drawable, to_crs, usable, within_mask
from dissmodel_lab.upstream import MASK_BAND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dissmodel_lab.maps.grid import Layer

#: Rows are read in pieces of about so many cells.
CHUNK_CELLS = 2_000_000
#: GDAL's cache for one file must hold a row of its tiles, within these bounds [bytes].
CACHE_BYTES = (16 << 20, 96 << 20)
#: Scale and offset of values that stand for themselves.
UNSCALED = (1.0, 0.0)


class Readable(Protocol):
    """Cells that can be read window by window."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""

    def read(
        self, top: int, bottom: int, left: int = 0, right: int | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return values and which of them exist of a window, (rows, columns) each."""


class Band(Readable, Protocol):
    """One band of a source, at full resolution."""

    @property
    def place(self) -> Place:
        """Where its grid lies."""

    @property
    def scaling(self) -> tuple[float, float]:
        """(scale, offset): a stored value stands for scale times itself plus offset."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrayBand:
    """A band in memory."""

    values: NDArray[Any]
    """(height, width); a masked array's mask counts."""
    place: Place
    nodata: float | None = None
    exists: NDArray[Any] | None = None
    """The raster's own mask band, (height, width): 0 where there is no cell."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.values.dtype

    @property
    def scaling(self) -> tuple[float, float]:
        """Values in memory stand for themselves."""
        return UNSCALED

    def read(
        self, top: int, bottom: int, left: int = 0, right: int | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return values and which of them exist of a window."""
        window = (slice(top, bottom), slice(left, right))
        shown = self.values[window]
        mask = ~np.ma.getmaskarray(shown) if isinstance(shown, np.ma.MaskedArray) else None
        values = np.asarray(np.ma.getdata(shown))
        valid, _ = usable(values, self.nodata, mask)
        if self.exists is not None:
            valid, _ = within_mask(valid, np.asarray(self.exists[window]))
        return values, valid


@dataclass(frozen=True, kw_only=True, eq=False)
class FileBand:
    """A band of an open raster file."""

    dataset: Any
    number: int
    place: Place
    clear: tuple[int, ...] = ()
    """Codes that the file's colour table draws transparent."""
    mask_number: int | None = None
    """Number of the raster's own mask band."""

    @property
    def scaling(self) -> tuple[float, float]:
        """(scale, offset) as the file has them."""
        return float(self.dataset.scales[self.number - 1]), float(self.dataset.offsets[self.number - 1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        dtype: np.dtype[Any] = np.dtype(self.dataset.dtypes[self.number - 1])
        return dtype

    def read(
        self, top: int, bottom: int, left: int = 0, right: int | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """
        Return values and which of them exist of a window.

        Raises
        ------
        SourceError
            When the file cannot be read there.
        """
        from rasterio.enums import MaskFlags  # noqa: PLC0415 -- open already
        from rasterio.errors import RasterioError  # noqa: PLC0415
        from rasterio.windows import Window  # noqa: PLC0415

        from dissmodel_lab.errors import SourceError  # noqa: PLC0415

        end = self.dataset.width if right is None else right
        window = Window(left, top, end - left, bottom - top)
        flags = self.dataset.mask_flag_enums[self.number - 1]
        try:
            values = self.dataset.read(self.number, window=window)
            mask = None
            if MaskFlags.all_valid not in flags and MaskFlags.nodata not in flags:
                mask = self.dataset.read_masks(self.number, window=window) > 0
            valid, _ = usable(values, self.dataset.nodatavals[self.number - 1], mask)
            if self.mask_number is not None:
                valid, _ = within_mask(valid, self.dataset.read(self.mask_number, window=window))
        except RasterioError as error:
            name = self.dataset.name
            raise SourceError(
                message(
                    "{name} can't be read whole ({error}). Fetch or write the file again.", name=name, error=error
                )
            ) from error
        if self.clear:
            valid &= ~np.isin(values, self.clear)
        return values, valid


@contextmanager
def opened_band(layer: Layer, band: str, kept: tuple[Any, Any] | None = None) -> Iterator[Band]:
    """
    Open one band of a layer at full resolution.

    Parameters
    ----------
    layer : Layer
        A raster: a file's, or in memory.
    band : str
        One of its bands.
    kept : (crs, transform), optional
        Where it lies, when the data have lost it.

    Yields
    ------
    Band
        Open as long as the block runs.

    Examples
    --------
    >>> from dissmodel_lab.maps import open_layer
    >>> with opened_band(open_layer(np.array([[1.0, np.nan]])), "band_1") as cells:
    ...     cells.read(0, 1)[1]
    array([[ True, False]])
    """
    if isinstance(layer, ArrayLayer):
        yield _array_band(layer, band, kept)
    elif hasattr(layer, "path") and hasattr(layer, "name"):
        with _file_band(layer.path, layer.bands, band, kept) as opened:
            yield opened
    else:  # somebody's own layer: it hands out grids only
        grid = layer.grid(band, 2**31)
        place = Place.of((grid.values.shape[0], grid.values.shape[1]), grid.transform, grid.crs, kept)
        yield ArrayBand(values=np.ma.masked_array(grid.values, ~grid.valid), place=place)


def _array_band(layer: ArrayLayer, band: str, kept: tuple[Any, Any] | None) -> ArrayBand:
    values = layer.arrays[band]
    check_drawable(values.dtype, f"Band {band!r}")
    exists = layer.arrays.get(MASK_BAND) if band != MASK_BAND else None
    if exists is not None and not np.isin(exists, (0, 1)).all():  # it holds something else
        exists = None
    place = Place.of((values.shape[0], values.shape[1]), layer.transform, layer.crs, kept)
    return ArrayBand(values=values, place=place, nodata=layer.nodata, exists=exists)


@contextmanager
def _file_band(path: str, bands: tuple[str, ...], band: str, kept: tuple[Any, Any] | None) -> Iterator[FileBand]:
    import rasterio  # noqa: PLC0415 -- 0.2 s, only for files

    from dissmodel_lab.rasters import band_classes, quiet_georeference  # noqa: PLC0415

    number = bands.index(band) + 1
    with quiet_georeference(), rasterio.open(path) as dataset, rasterio.Env(GDAL_CACHEMAX=_cache_bytes(dataset)):
        check_drawable(np.dtype(dataset.dtypes[number - 1]), f"Band {band!r}")
        clear = () if band_classes(dataset).get(band) else _transparent(dataset, number)
        place = Place.of((dataset.height, dataset.width), dataset.transform, to_crs(dataset.crs)[0], kept)
        mask = bands.index(MASK_BAND) + 1 if MASK_BAND in bands and band != MASK_BAND else None
        if mask is not None and not _is_mask(FileBand(dataset=dataset, number=mask, place=place)):
            mask = None
        yield FileBand(dataset=dataset, number=number, place=place, clear=clear, mask_number=mask)


def _cache_bytes(dataset: Any) -> int:
    rows, columns = dataset.block_shapes[0]
    is_mixed = dataset.interleaving is not None and dataset.interleaving.name == "pixel"
    pixel = max(np.dtype(dtype).itemsize for dtype in dataset.dtypes) * (dataset.count if is_mixed else 1)
    low, high = CACHE_BYTES
    return int(min(max(low, 1.5 * rows * (dataset.width + columns) * pixel), high))


def _transparent(dataset: Any, number: int) -> tuple[int, ...]:
    try:
        table = dataset.colormap(number)
    except ValueError:  # rasterio's way to say that there is none
        return ()
    return tuple(code for code, (*_, alpha) in table.items() if alpha == 0)


def _is_mask(band: FileBand) -> bool:
    """Whether a band holds nothing but 0 and 1."""
    return all(
        bool(np.isin(band.dataset.read(band.number, window=((top, bottom), (0, band.dataset.width))), (0, 1)).all())
        for top, bottom in chunks(band.place.shape)
    )


def chunks(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """
    Cut a grid into pieces of whole rows.

    Examples
    --------
    >>> list(chunks((5, 1_000_000)))
    [(0, 2), (2, 4), (4, 5)]
    """
    height, width = shape
    rows = max(1, CHUNK_CELLS // width)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)
