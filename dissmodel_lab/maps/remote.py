"""A raster in a bucket or on a web server as a layer: only the pixels of the picture are fetched, never the file.

How the bytes come stands in :mod:`dissmodel_lab.sources.ranges`; how pixels become a grid, in :mod:`.raster`.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.maps.grid import check_band, decimated, shown_text
from dissmodel_lab.maps.legend import MAX_CLASSES
from dissmodel_lab.maps.raster import RasterFileLayer, _facts_of, _legend, _overviews
from dissmodel_lab.maps.reading import CACHE_BYTES, overview_of
from dissmodel_lab.quantities import bytes_text
from dissmodel_lab.rasters import band_names
from dissmodel_lab.sources.addresses import parse
from dissmodel_lab.sources.ranges import BUDGET_BYTES, FETCH_FIRST, RangeReader, opened_raster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from dissmodel_lab.maps.area import Area
    from dissmodel_lab.maps.grid import Grid
    from dissmodel_lab.maps.raster import Facts, _View

#: TIFF and BigTIFF in both byte orders.
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: What is a map, but cannot be read in parts here, by the ending of its name.
_WHOLE = {
    ".fgb": "a FlatGeobuf",
    ".parquet": "a GeoParquet file",
    ".geoparquet": "a GeoParquet file",
    ".gpkg": "a GeoPackage",
    ".geojson": "a GeoJSON file",
    ".json": "a GeoJSON file",
    ".shp": "a shapefile",
    ".kml": "a KML file",
    ".zip": "a zip file",
    ".nc": "a netCDF file",
    ".zarr": "a Zarr folder",
    ".h5": message("an HDF5 file"),
}
#: The same by their first bytes.
_MAGIC = {
    b"fgb\x03": "a FlatGeobuf",
    b"PAR1": "a GeoParquet file",
    b"SQLite format 3": "a GeoPackage",
    b"PK\x03\x04": "a zip file",
    b"CDF": "a netCDF file",
    b"\x89HDF": message("a netCDF or HDF5 file"),
    b"{": "a GeoJSON file",
}
#: How far around a pixel of an overview the pixels lie that it may have been taken from.
_AROUND = 1


@dataclass(frozen=True, kw_only=True)
class RemoteLayer(RasterFileLayer):
    """A GeoTIFF in a bucket or on a web server, of which each picture fetches what it shows."""

    reader: RangeReader
    """Keeps what was fetched: another band, or the same place again, costs less."""
    _is_faithful: dict[int, bool] = field(default_factory=dict, compare=False, repr=False)
    """Bands whose overviews were compared with the pixels themselves."""

    @cached_property
    def _facts(self) -> Facts:
        with opened_raster(self.reader) as dataset:
            return _facts_of(dataset)

    @property
    def files(self) -> tuple[Path, ...]:
        """None on this machine."""
        return ()

    def grid(self, band: str, max_pixels: int, area: Area | None = None) -> Grid:
        """
        Read one band, or a part of it, from the overview that shows it at once.

        Raises
        ------
        SourceError
            When the band doesn't exist, its pixels can't be fetched, or the picture would fetch too much.
        """
        check_band(band, self.bands)
        self.reader.allow(BUDGET_BYTES)
        with _bounded_cache(), opened_raster(self.reader) as dataset:
            return self._picture(dataset, band, max_pixels, area)

    def refined(self, band: str, max_pixels: int, area: Area | None = None) -> Grid | None:  # noqa: ARG002 -- the protocol's
        """Return None: averages of pixels would fetch what is not shown."""
        return None

    def _picture(self, dataset: Any, band: str, max_pixels: int, area: Area | None) -> Grid:
        view = self._view(dataset, band, max_pixels, area)
        view = view._replace(factor=thrifty(view.factor, dataset.overviews(view.number)))
        legend = _legend(dataset, view.number, band, self.path)
        self._check_cost(dataset, view, is_full=False)
        arrays = self._arrays(dataset, view)
        said: tuple[str, ...] = ()
        if _overviews(dataset, view.number, view.factor) == "doubtful" and not self._trusts(dataset, view, arrays[0]):
            if legend.classes or self._looks_like_classes(view):
                arrays = self._full(view)
            else:
                said = (message("Shown from the file's overviews, which hold averages."),)
        grid = self._grid(dataset, view, arrays, legend, shown=shown_text(view.factor), said=said)
        return replace(grid, notes=(*grid.notes, self._note()))

    def _note(self) -> str:
        fetched, size = self.reader.bytes_fetched, self.reader.size
        return message(
            "Read from afar: {fetched} of {size} were fetched until now.",
            fetched=bytes_text(fetched),
            size=bytes_text(size),
        )

    @staticmethod
    def _arrays(dataset: Any, view: _View) -> list[NDArray[Any]]:
        window, shape = _pairs(view), view.shape
        return [
            dataset.read_masks(one.number, window=window, out_shape=shape)
            if one.is_mask
            else dataset.read(one.number, window=window, out_shape=shape)
            for one in view.wanted
        ]

    def _full(self, view: _View) -> list[NDArray[Any]]:
        with opened_raster(self.reader, overview_level="NONE") as full:
            self._check_cost(full, view, is_full=True)
            return self._arrays(full, view)

    def _check_cost(self, dataset: Any, view: _View, *, is_full: bool) -> None:
        """Refuse, before it is begun, what would fetch too much."""
        cost = min(_cost(dataset, view, is_full=is_full, file_bytes=self.reader.size), self.reader.size)
        if cost <= BUDGET_BYTES:
            return
        if is_full:
            why = message(
                "its overviews hold averages of classes, which are no classes, so that all pixels are needed"
            )
        elif not dataset.overviews(view.number):
            why = message("it has no overviews (it is no COG)")
        else:
            why = message("its overviews are too large")
        raise SourceError(
            message(
                "A map of {name} would fetch about {cost} of its {size}: {why}. One picture may fetch "
                "{budget_bytes}. {fetch_first} Or zoom in.",
                name=self.name,
                cost=bytes_text(cost),
                size=bytes_text(self.reader.size),
                why=why,
                budget_bytes=bytes_text(BUDGET_BYTES),
                fetch_first=FETCH_FIRST,
            )
        )

    def _trusts(self, dataset: Any, view: _View, values: NDArray[Any]) -> bool:
        """Whether the overviews hold values of the data: compared where the picture has the most to compare."""
        if values.dtype.kind not in "biu":
            return False
        if view.number not in self._is_faithful:
            self._is_faithful[view.number] = self._compared(dataset, view, values)
        return self._is_faithful[view.number]

    def _compared(self, dataset: Any, view: _View, values: NDArray[Any]) -> bool:
        row, column = _busiest(values)
        rows, columns = dataset.block_shapes[view.number - 1]
        top = view.window.row + row * view.window.rows // values.shape[0]
        left = view.window.column + column * view.window.columns // values.shape[1]
        top, left = top // rows * rows, left // columns * columns
        bottom, right = min(top + rows, dataset.height), min(left + columns, dataset.width)
        ratio = dataset.overviews(view.number)[0]
        place = (-(-top // ratio), bottom // ratio), (-(-left // ratio), right // ratio)
        if place[0][1] <= place[0][0] or place[1][1] <= place[1][0]:
            return False
        with opened_raster(self.reader, overview_level=0) as half:
            coarse = half.read(view.number, window=place)
        with opened_raster(self.reader, overview_level="NONE") as full:
            fine = full.read(view.number, window=((top, bottom), (left, right)))
        return is_taken_from(coarse, fine, (place[0][0] * ratio - top, place[1][0] * ratio - left), ratio)

    def _looks_like_classes(self, view: _View) -> bool:
        """Few whole numbers in the pixels themselves, where they were compared with the overviews."""
        with opened_raster(self.reader, overview_level="NONE") as full:
            if full.dtypes[view.number - 1] not in ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32"):
                return False
            rows, columns = full.block_shapes[view.number - 1]
            top = (view.window.row + view.window.rows // 2) // rows * rows
            left = (view.window.column + view.window.columns // 2) // columns * columns
            place = (top, min(top + rows, full.height)), (left, min(left + columns, full.width))
            return len(np.unique(full.read(view.number, window=place))) <= 2 * MAX_CLASSES


def open_remote(uri: str, part: str | None = None) -> RemoteLayer:
    """
    Open a GeoTIFF in a bucket or on a web server far enough to know its bands, without fetching it.

    Parameters
    ----------
    uri : str
        ``s3://bucket/key.tif`` or ``https://host/file.tif``, signed and with a login or not.
    part : str, optional
        There is only one thing in a GeoTIFF.

    Returns
    -------
    RemoteLayer
        Each picture of it fetches what it shows, at most 64 MB.

    Raises
    ------
    SourceError
        When it cannot be reached or read, is no GeoTIFF, or must be fetched first.

    Examples
    --------
    >>> open_remote("https://127.0.0.1:1/roads.gpkg")
    Traceback (most recent call last):
    dissmodel_lab.errors.SourceError: https://127.0.0.1:1/roads.gpkg is a GeoPackage, which ...
    """
    address = parse(uri)
    if not address.is_remote or address.is_folder:
        _refuse(
            address.text,
            message("a folder") if address.is_remote else message("no file on a web server or in a bucket"),
        )
    if address.suffix in _WHOLE:
        _refuse(address.text, _WHOLE[address.suffix])
    if part:
        raise SourceError(
            message(
                "{text} has no part {part!r}: there is one map in a GeoTIFF. Leave the part out.",
                text=address.text,
                part=part,
            )
        )
    reader = RangeReader(address)
    with reader.connected():
        first = reader.read(0, 16)
        if not first.startswith(_TIFF):
            _refuse(
                address.text, next((what for magic, what in _MAGIC.items() if first.startswith(magic)), "no GeoTIFF")
            )
        with opened_raster(reader) as dataset:
            if not dataset.count:
                raise SourceError(message("{text} has no band to show. Check the file.", text=address.text))
            layer = RemoteLayer(
                path=f"/vsi/{address.name}", name=address.text, bands=band_names(dataset), reader=reader
            )
            layer.__dict__["_facts"] = _facts_of(dataset)  # a cached property: asked for once
    return layer


def thrifty(factor: int, overviews: list[int]) -> int:
    """
    Return the factor of the overview that shows a picture without fetching more pixels than it has.

    Examples
    --------
    >>> thrifty(5, [2, 4, 8, 16]), thrifty(5, []), thrifty(1, [2, 4]), thrifty(20, [2, 4])
    (8, 5, 1, 20)
    """
    if factor <= 1:
        return factor
    return next((overview for overview in sorted(overviews) if factor <= overview < 2 * factor), factor)


def is_taken_from(coarse: NDArray[Any], fine: NDArray[Any], offset: tuple[int, int], ratio: int) -> bool:
    """
    Tell whether each pixel of an overview is one of the pixels under it, or beside those.

    Parameters
    ----------
    coarse, fine : ndarray
        A part of the overview, and of the pixels themselves.
    offset : (int, int)
        Row and column in ``fine`` of the first pixel under ``coarse``.
    ratio : int
        Pixels under one of the overview's, along each axis.

    Examples
    --------
    >>> fine = np.array([[1, 1, 5, 5], [1, 1, 5, 5]])
    >>> is_taken_from(np.array([[1, 5]]), fine, (0, 0), 2), is_taken_from(np.array([[1, 3]]), fine, (0, 0), 2)
    (True, False)
    """
    rows = np.arange(coarse.shape[0])[:, None] * ratio + offset[0]
    columns = np.arange(coarse.shape[1])[None, :] * ratio + offset[1]
    found = np.zeros(coarse.shape, bool)
    for down in range(-_AROUND, ratio + _AROUND):
        for across in range(-_AROUND, ratio + _AROUND):
            row = np.clip(rows + down, 0, fine.shape[0] - 1)
            column = np.clip(columns + across, 0, fine.shape[1] - 1)
            found |= fine[row, column] == coarse
    return bool(found.all())


def _busiest(values: NDArray[Any]) -> tuple[int, int]:
    """Row and column around which most values differ from their neighbours."""
    differs = np.zeros(values.shape, np.int32)
    differs[:, 1:] += values[:, 1:] != values[:, :-1]
    differs[1:] += values[1:] != values[:-1]
    side = 16
    height, width = -(-values.shape[0] // side) * side, -(-values.shape[1] // side) * side
    padded = np.zeros((height, width), np.int32)
    padded[: values.shape[0], : values.shape[1]] = differs
    blocks = padded.reshape(height // side, side, width // side, side).sum(axis=(1, 3))
    row, column = np.unravel_index(int(blocks.argmax()), blocks.shape)
    return min(int(row) * side, values.shape[0] - 1), min(int(column) * side, values.shape[1] - 1)


def _pairs(view: _View) -> tuple[tuple[int, int], tuple[int, int]]:
    window = view.window
    return (window.row, window.row + window.rows), (window.column, window.column + window.columns)


def _cost(dataset: Any, view: _View, *, is_full: bool, file_bytes: int) -> float:
    """Estimate what a picture fetches [bytes]: the blocks under it, at the file's mean size of a pixel."""
    overviews = dataset.overviews(view.number)
    level = 1 if is_full else overview_of(dataset, view.number, view.factor)
    is_by_pixel = dataset.interleaving is not None and dataset.interleaving.name == "pixel"
    pixels = dataset.width * dataset.height * (1 + sum(1 / overview**2 for overview in overviews))
    pixel_bytes = file_bytes / pixels / (1 if is_by_pixel else dataset.count)
    rows, columns = dataset.block_shapes[view.number - 1]
    size = decimated(dataset.height, level), decimated(dataset.width, level)
    touched = 1
    for (start, stop), block, most in zip(_pairs(view), (rows, columns), size, strict=True):
        first, last = math.floor(start / level / block) * block, math.ceil(stop / level / block) * block
        touched *= max(min(last, most) - first, 1)
    return float(touched * pixel_bytes) * (1 if is_by_pixel else len({one.number for one in view.wanted}))


@contextmanager
def _bounded_cache() -> Iterator[None]:
    """GDAL's block cache, which is the process's, holds no more than a picture needs."""
    import rasterio  # noqa: PLC0415 -- 0.2 s

    with rasterio.Env(GDAL_CACHEMAX=4 * CACHE_BYTES):
        yield


def _refuse(name: str, what: str) -> None:
    raise SourceError(
        message(
            "{name} is {what}, which cannot be shown without fetching it. {fetch_first}",
            name=name,
            what=what,
            fetch_first=FETCH_FIRST,
        )
    )
