"""Arrays in memory -> Grid: numpy arrays, :class:`~dissmodel_lab.rasters.Raster`, and named arrays.

Only the shown cells are copied. Does not touch disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.maps.area import extent_of, window_of
from dissmodel_lab.maps.grid import (
    Grid,
    LayerBase,
    centres,
    check_band,
    check_drawable,
    decimated,
    decimation,
    decimation_note,
    shown_text,
    to_crs,
    usable,
    within_mask,
)
from dissmodel_lab.upstream import MASK_BAND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS

    from dissmodel_lab.maps.area import Area
    from dissmodel_lab.rasters import Classes, Raster

PLANE, STACK = 2, 3  # numbers of axes


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrayLayer(LayerBase):
    """
    Named 2-D arrays on one grid.

    Examples
    --------
    >>> ArrayLayer(arrays={"age": np.zeros((2, 3))}).grid("age", 1024).source_size
    (3, 2)
    """

    arrays: Mapping[str, NDArray[Any]]
    """Band name -> (height, width)."""
    transform: Affine | None = None
    crs: CRS | None = None
    nodata: float | None = None
    classes: Mapping[str, Classes] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def bands(self) -> tuple[str, ...]:
        """Names starting with an underscore come last."""
        return tuple(sorted(self.arrays, key=lambda name: name.startswith("_")))

    @property
    def default_band(self) -> str:
        """The first band."""
        return self.bands[0]

    @property
    def extent(self) -> Area:
        """Everything."""
        return extent_of(self._size, self.transform, self.crs)

    @property
    def _size(self) -> tuple[int, int]:
        height, width = next(iter(self.arrays.values())).shape
        return width, height

    def grid(self, band: str, max_pixels: int, area: Area | None = None) -> Grid:
        """Return one band, or a part of it, every n-th cell when it is larger than ``max_pixels``."""
        array = self.arrays[check_band(band, self.bands)]
        check_drawable(array.dtype, f"Band {band!r}")
        window = window_of(area, self._size, self.transform, self.crs)
        factor = decimation(window.rows, window.columns, max_pixels)
        rows, columns = decimated(window.rows, factor), decimated(window.columns, factor)
        cells = np.ix_(centres(window.rows, rows), centres(window.columns, columns))
        shown = window.of(array)[cells]
        mask = ~np.ma.getmaskarray(shown) if isinstance(shown, np.ma.MaskedArray) else None
        values = np.asarray(np.ma.getdata(shown))
        valid, notes = usable(values, self.nodata, mask)
        if band != MASK_BAND and MASK_BAND in self.arrays:
            valid, more = within_mask(valid, np.asarray(window.of(self.arrays[MASK_BAND])[cells]))
            notes += more
        return Grid(
            values=values,
            valid=valid,
            band=band,
            bands=self.bands,
            source_size=window.size,
            transform=scaled(window.moved(self.transform), window.columns / columns, window.rows / rows),
            crs=self.crs,
            classes=self.classes.get(band) or None,
            names=("False", "True") if values.dtype == bool and band not in self.classes else None,
            unit=self.units.get(band, ""),
            is_discrete=values.dtype.kind in "biu",
            notes=(*self.notes, *decimation_note(factor), *notes),
            shown=shown_text(factor),
            window=None if area is None else window,
            whole_size=None if area is None else self._size,
        )


def scaled(transform: Affine | None, across: float, down: float) -> Affine | None:
    """
    Return the transform of a grid whose cells are ``across`` x ``down`` old ones.

    Examples
    --------
    >>> from affine import Affine
    >>> scaled(Affine(30, 0, 500, 0, -30, 900), 2, 4).e
    -120.0
    """
    if transform is None:
        return None
    from affine import Affine  # noqa: PLC0415 -- only for those with a georeference

    a, b, c, d, e, f = transform[:6]
    return Affine(a * across, b * down, c, d * across, e * down, f)


def from_raster(raster: Raster) -> ArrayLayer:
    """
    Open a raster in memory.

    Examples
    --------
    >>> from dissmodel_lab.rasters import Raster
    >>> from_raster(Raster(array=np.zeros((1, 2, 3)), bands=("age",))).bands
    ('age',)
    """
    arrays = {name: raster.array[i] for i, name in enumerate(raster.bands)}
    _check_shapes(arrays)
    crs, notes = to_crs(raster.crs)
    return ArrayLayer(
        arrays=arrays,
        transform=raster.transform,
        crs=crs,
        nodata=raster.nodata,
        classes=raster.classes,
        units=raster.units,
        notes=notes,
    )


def from_array(array: NDArray[Any]) -> ArrayLayer:
    """
    Open a bare array, (height, width) or (bands, height, width).

    Raises
    ------
    SourceError
        When it has another number of axes, or no cell.

    Examples
    --------
    >>> from_array(np.zeros((2, 4, 5))).bands
    ('band_1', 'band_2')
    """
    if array.ndim not in {PLANE, STACK}:
        raise SourceError(
            message(
                "An array of the shape {shape} is not a map. A map has the shape (height, width) or (bands, "
                "height, width).",
                shape=array.shape,
            )
        )
    stack = array if array.ndim == STACK else array[np.newaxis]
    arrays = {f"band_{i + 1}": band for i, band in enumerate(stack)}
    _check_shapes(arrays)
    return ArrayLayer(arrays=arrays)


def from_named_arrays(source: Any) -> ArrayLayer:
    """
    Open an object whose ``arrays`` maps names to arrays, such as PyPI dissmodel's ``RasterBackend``.

    ``transform``, ``crs``, ``nodata_value`` and ``time_coords`` are used when the object has them. An array
    over time, (time, height, width), becomes one band for each moment.

    Raises
    ------
    SourceError
        When there is no array, or they aren't on one grid.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from_named_arrays(SimpleNamespace(arrays={"uso": np.zeros((2, 3), "uint8")})).bands
    ('uso',)
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name, values in source.arrays.items():
        array = values if isinstance(values, np.ndarray) else np.asarray(values)
        if array.ndim == STACK:
            times = (getattr(source, "time_coords", None) or {}).get(name, range(1, len(array) + 1))
            arrays |= {f"{name} [{time}]": moment for time, moment in zip(times, array, strict=True)}
        else:
            arrays[str(name)] = array
    _check_shapes(arrays)
    crs, notes = to_crs(getattr(source, "crs", None))
    return ArrayLayer(
        arrays=arrays,
        transform=getattr(source, "transform", None),
        crs=crs,
        nodata=getattr(source, "nodata_value", None),
        notes=notes,
    )


def _check_shapes(arrays: Mapping[str, NDArray[Any]]) -> None:
    if not arrays:
        raise SourceError(message("There is no band to show: the source holds no array. Add at least one."))
    shapes = {name: array.shape for name, array in arrays.items()}
    first = next(iter(shapes.values()))
    for name, shape in shapes.items():
        if len(shape) != PLANE:
            raise SourceError(
                message("Array {name!r} has the shape {shape}; a band has (height, width).", name=name, shape=shape)
            )
        if 0 in shape:
            raise SourceError(
                message(
                    "Array {name!r} has the shape {shape}: it holds no cell, so nothing to show.",
                    name=name,
                    shape=shape,
                )
            )
        if shape != first:
            raise SourceError(
                message(
                    "Array {name!r} has the shape {shape}, others {first}: not one grid.",
                    name=name,
                    shape=shape,
                    first=first,
                )
            )
