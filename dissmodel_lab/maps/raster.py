"""Raster files -> Grid: a decimated, nearest read of one band, never of the whole file.

Imported lazily: rasterio takes 0.2 s.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError

from dissmodel_lab.errors import SourceError
from dissmodel_lab.maps.arrays import scaled
from dissmodel_lab.maps.grid import (
    Grid,
    check_band,
    check_drawable,
    decimated,
    decimation,
    decimation_note,
    to_crs,
    usable,
    within_mask,
)
from dissmodel_lab.maps.legend import MAX_CLASSES
from dissmodel_lab.rasters import band_classes, band_names, quiet_georeference
from dissmodel_lab.upstream import MASK_BAND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dissmodel_lab.rasters import Classes

#: GDAL's block cache [bytes]. rasterio passes a number on as bytes, and GDAL's default is 5 % of the memory.
CACHE_BYTES = 64 << 20
#: The cache must hold a row of tiles, or every tile is inflated again for each row of the picture.
MAX_CACHE_BYTES = 256 << 20
#: Resamplings of overviews that only contain values of the data.
FAITHFUL_OVERVIEWS = frozenset({"nearest", "near", "mode"})


@dataclass(frozen=True, kw_only=True)
class RasterFileLayer:
    """A raster file, opened anew for each band."""

    path: str
    """What GDAL opens: a path, or a ``/vsizip/`` path."""
    name: str
    """How messages call the file."""
    bands: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def default_band(self) -> str:
        """The first band."""
        return self.bands[0]

    def grid(self, band: str, max_pixels: int) -> Grid:
        """
        Read every n-th pixel of one band.

        Raises
        ------
        SourceError
            When the band doesn't exist, or its pixels can't be read.
        """
        number = self.bands.index(check_band(band, self.bands)) + 1
        try:
            grid = self._read(number, max_pixels)
        except RasterioError as error:
            raise SourceError(f"{self.name}: band {band!r} can't be read ({error}). Is the file whole?") from error
        return replace(grid, notes=(*self.notes, *grid.notes))

    def _read(self, number: int, max_pixels: int) -> Grid:
        band = self.bands[number - 1]
        with _opened(self.path) as dataset:
            check_drawable(np.dtype(dataset.dtypes[number - 1]), f"{self.name}: band {band!r}")
            factor = decimation(dataset.height, dataset.width, max_pixels)
            shape = decimated(dataset.height, factor), decimated(dataset.width, factor)
            values, mask = _pixels(dataset, number, shape)
            classes, clear, more = _legend(dataset, number, band)
            if factor > 1 and _has_doubtful_overviews(dataset, number):
                if _looks_like_classes(values, classes):
                    # an average of classes is no class: from the full resolution, then
                    with _opened(self.path, overview_level="NONE") as full:
                        values, mask = _pixels(full, number, shape)
                else:
                    more += ("Shown from the file's overviews, which may hold averages.",)
            valid, notes = usable(values, dataset.nodatavals[number - 1], mask)
            if clear:
                valid &= ~np.isin(values, clear)
            if band != MASK_BAND and MASK_BAND in self.bands:
                exists, _ = _pixels(dataset, self.bands.index(MASK_BAND) + 1, shape)
                valid, left_out = within_mask(valid, exists)
                notes += left_out
            crs, crs_notes = to_crs(dataset.crs)
            return Grid(
                values=values,
                valid=valid,
                band=band,
                bands=self.bands,
                source_size=(dataset.width, dataset.height),
                transform=scaled(dataset.transform, dataset.width / shape[1], dataset.height / shape[0]),
                crs=crs,
                classes=classes,
                unit=dataset.units[number - 1] or "",
                is_discrete=values.dtype.kind in "biu",
                notes=(*decimation_note(factor), *crs_notes, *more, *notes),
            )


def open_raster(path: str, name: str, notes: tuple[str, ...] = ()) -> RasterFileLayer:
    """
    Open a raster file far enough to know its bands.

    Parameters
    ----------
    path : str
        What GDAL opens.
    name : str
        How messages call it.
    notes : tuple of str, optional
        What must be said with every band.

    Raises
    ------
    rasterio.errors.RasterioError
        When GDAL knows no raster format that it is.
    SourceError
        When it has no band.
    """
    with _opened(path) as dataset:
        if not dataset.count:
            inside = f" It contains {len(dataset.subdatasets)} datasets: choose one." if dataset.subdatasets else ""
            raise SourceError(f"{name} has no band to show.{inside}")
        return RasterFileLayer(path=path, name=name, bands=band_names(dataset), notes=notes)


@contextmanager
def _opened(path: str, **options: str) -> Iterator[Any]:
    # A missing georeference is said in the map's notes instead.
    with quiet_georeference(), rasterio.open(path, **options) as dataset:
        yield dataset


def _cache_bytes(dataset: Any) -> int:
    rows, columns = dataset.block_shapes[0]
    bands = dataset.count if dataset.interleaving and dataset.interleaving.name == "pixel" else 1
    pixel = max(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
    row_of_tiles = rows * (dataset.width + columns) * pixel * bands
    return int(min(max(CACHE_BYTES, 1.5 * row_of_tiles), MAX_CACHE_BYTES))


def _pixels(dataset: Any, number: int, shape: tuple[int, int]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    with rasterio.Env(GDAL_CACHEMAX=_cache_bytes(dataset)):
        return dataset.read(number, out_shape=shape), _mask(dataset, number, shape)


def _mask(dataset: Any, number: int, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Read a mask band or alpha band; nodata is found in the values, without a second read."""
    flags = dataset.mask_flag_enums[number - 1]
    if MaskFlags.all_valid in flags or MaskFlags.nodata in flags:
        return None
    mask: NDArray[np.bool_] = dataset.read_masks(number, out_shape=shape) > 0
    return mask


def _legend(dataset: Any, number: int, band: str) -> tuple[Classes | None, tuple[int, ...], tuple[str, ...]]:
    """Return the legend, the codes that the colour table draws transparent, and what to say."""
    declared = band_classes(dataset).get(band)
    if declared:
        return declared, (), ()
    try:
        table = dataset.colormap(number)
    except ValueError:  # rasterio's way to say that there is none
        return None, (), ()
    clear = tuple(code for code, (*_, alpha) in table.items() if alpha == 0)
    notes = ("Codes that the file's colour table makes transparent are not shown.",) if clear else ()
    colours = {
        code: (str(code), f"#{red:02x}{green:02x}{blue:02x}")
        for code, (red, green, blue, _) in table.items()
        if code not in clear
    }
    return colours or None, clear, notes


def _has_doubtful_overviews(dataset: Any, number: int) -> bool:
    if not dataset.overviews(number):
        return False
    said = (
        dataset.tags(ns="rio_overview").get("resampling")
        or dataset.tags(ns="IMAGE_STRUCTURE").get("OVERVIEW_RESAMPLING")
        or ""
    )
    return said.lower() not in FAITHFUL_OVERVIEWS


def _looks_like_classes(values: NDArray[Any], classes: Classes | None) -> bool:
    if classes:
        return True
    return values.dtype.kind in "biu" and len(np.unique(values)) <= 2 * MAX_CLASSES
