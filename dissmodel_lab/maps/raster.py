"""Raster files -> Grid: a decimated, nearest read of one band or of a window of it, never of the whole file.

How the pixels are read stands in :mod:`.reading`; here is what is read, from which overview, and what must be
said with it. Imported lazily: rasterio takes 0.2 s.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numpy as np
import rasterio
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.maps.area import Area, Window, extent_of, window_of
from dissmodel_lab.maps.arrays import scaled
from dissmodel_lab.maps.grid import (
    Grid,
    LayerBase,
    check_band,
    check_drawable,
    decimated,
    decimation,
    shown_text,
    to_crs,
    usable,
    within_mask,
)
from dissmodel_lab.maps.legend import MAX_CLASSES
from dissmodel_lab.maps.memory import pictures, signature
from dissmodel_lab.maps.reading import TooSlowError, Wanted, overview_of, read_average, read_nearest, unhurried
from dissmodel_lab.maps.sidecars import class_names_beside
from dissmodel_lab.rasters import band_classes, band_names, quiet_georeference
from dissmodel_lab.upstream import MASK_BAND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS

    from dissmodel_lab.rasters import Classes

_GridOrNone = TypeVar("_GridOrNone", Grid, Grid | None)

#: Resamplings of overviews that only contain values of the data.
FAITHFUL_OVERVIEWS = frozenset({"nearest", "near", "mode"})
#: Where full pixels are looked at to tell classes from quantities: places along each axis, pixels a side.
LOOKS, LOOK_SIDE = 3, 128
#: So many blocks of pixels that differ, of which an overview shows the same one each time, are no chance.
ENOUGH = 48
#: Averages of so many pixels are cheap without overviews.
CHEAP_PIXELS = 4_000_000


class Facts(NamedTuple):
    """What is known of a file without reading a pixel."""

    size: tuple[int, int]
    """(width, height) [cells]."""
    transform: Affine
    crs_text: str
    """WKT; empty when there is none."""
    notes: tuple[str, ...]
    """How it lies, when not by a grid."""


@dataclass(frozen=True, kw_only=True)
class RasterFileLayer(LayerBase):
    """A raster file, opened anew for each band."""

    path: str
    """What GDAL opens: a path, or a ``/vsizip/`` path."""
    name: str
    """How messages call the file."""
    bands: tuple[str, ...]
    notes: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    """What else there is to choose from: the maps of a zip file."""
    part: str = ""

    @property
    def default_band(self) -> str:
        """The first band."""
        return self.bands[0]

    @cached_property
    def _facts(self) -> Facts:
        with _opened(self.path) as dataset:
            return _facts_of(dataset)

    @cached_property
    def crs(self) -> CRS | None:
        """None when unknown, or not understood."""
        return to_crs(self._facts.crs_text)[0]

    @property
    def extent(self) -> Area:
        """Everything."""
        return extent_of(self._facts.size, self._facts.transform, self.crs)

    @property
    def files(self) -> tuple[Path, ...]:
        """What the pictures depend on: the file, and what GDAL finds beside it."""
        if self.path.startswith("/vsizip/{"):
            return (Path(self.path[len("/vsizip/{") :].partition("}")[0]),)
        if self.path.startswith("/vsi"):
            return ()
        beside = [Path(f"{self.path}{ending}") for ending in (".ovr", ".msk", ".aux.xml")]
        return (Path(self.path), *(path for path in beside if path.exists()))

    def grid(self, band: str, max_pixels: int, area: Area | None = None) -> Grid:
        """
        Read every n-th pixel of one band, or of a part of it.

        A file that would take longer than :func:`~dissmodel_lab.maps.reading.limited` says gives a coarser
        picture, and ``shown`` says so.

        Raises
        ------
        SourceError
            When the band doesn't exist, or its pixels can't be read.
        StoppedError
            When the reading was stopped.
        """
        return self._remembered("nearest", band, max_pixels, area, self._nearest)

    def refined(self, band: str, max_pixels: int, area: Area | None = None) -> Grid | None:
        """
        Return averages instead of single pixels of a quantity, where overviews or a small window make them cheap.

        None for classes, for what is whole already, and where every pixel of a large file must be read.
        """
        return self._remembered("average", band, max_pixels, area, self._average)

    def _remembered(
        self, how: str, band: str, max_pixels: int, area: Area | None, work: Callable[..., _GridOrNone]
    ) -> _GridOrNone:
        """Work a grid out, or return the one of the same file, band and area."""
        files = signature(self.files)
        key = ("grid", how, files, self.path, self.name, self.notes, self.parts, band, max_pixels, area)
        if files is not None and (kept := pictures.get(key)) is not None:
            return cast("_GridOrNone", kept)
        with self._blamed(band), _opened(self.path) as dataset:
            grid = work(dataset, band, max_pixels, area)
        if files is not None and grid is not None and signature(self.files) == files:
            pictures.keep(key, grid, grid.values.nbytes + grid.valid.nbytes)
        return grid

    @contextmanager
    def _blamed(self, band: str) -> Iterator[None]:
        check_band(band, self.bands)
        try:
            yield
        except RasterioError as error:
            raise SourceError(
                message(
                    "{name}: band {band!r} can't be read ({error}). Is the file whole?",
                    name=self.name,
                    band=band,
                    error=error,
                )
            ) from error

    def _view(self, dataset: Any, band: str, max_pixels: int, area: Area | None) -> _View:
        number = self.bands.index(band) + 1
        check_type(dataset.dtypes[number - 1], f"{self.name}: band {band!r}")
        window = window_of(area, (dataset.width, dataset.height), dataset.transform, self.crs if area else None)
        wanted = [Wanted(number)]
        if _has_mask(dataset, number):
            wanted.append(Wanted(number, is_mask=True))
        if band != MASK_BAND and MASK_BAND in self.bands:
            wanted.append(Wanted(self.bands.index(MASK_BAND) + 1))
        factor = decimation(window.rows, window.columns, max_pixels)
        return _View(band, number, window, factor, tuple(wanted), area is not None)

    def _nearest(self, dataset: Any, band: str, max_pixels: int, area: Area | None) -> Grid:
        view = self._view(dataset, band, max_pixels, area)
        legend = _legend(dataset, view.number, band, self.path)
        how = _overviews(dataset, view.number, view.factor)
        said: tuple[str, ...] = ()
        is_safe = True
        if how == "doubtful" and self._holds_classes(dataset, view, legend.classes):
            is_safe = _are_single_pixels(self.path, dataset, view.number, view.factor)
            how = "faithful" if is_safe else "none"
        if not is_safe:  # an average of classes is no class: from the full resolution, then
            options: dict[str, Any] = {"overview_level": "NONE"}
            with _opened(self.path, **options) as full:
                arrays, factor = self._read(full, view, options)
        else:
            arrays, factor = self._read(dataset, view, {})
        shown = shown_text(factor)
        if factor > view.factor:
            kind = message("overviews of single pixels") if dataset.overviews(view.number) else "overviews"
            shown += message(", coarser because the file has no {kind}", kind=kind)
        if how == "doubtful":
            shown += message(", from the file's overviews")
            said = (message("Shown from the file's overviews, which may hold averages."),)
        return self._grid(dataset, view, arrays, legend, shown=shown, said=said)

    def _average(self, dataset: Any, band: str, max_pixels: int, area: Area | None) -> Grid | None:
        view = self._view(dataset, band, max_pixels, area)
        legend = _legend(dataset, view.number, band, self.path)
        finest = max((o for o in dataset.overviews(view.number) if o <= view.factor), default=1)
        each = view.factor // finest
        read = view.window.rows * view.window.columns / finest**2
        if view.factor == 1 or each < 2 or read > CHEAP_PIXELS or self._holds_classes(dataset, view, legend.classes):  # noqa: PLR2004 -- an average of one is none
            return None
        arrays = read_average(dataset, view.wanted, view.window, view.shape)
        of = message(" of {factor:,}", factor=view.factor**2) if finest > 1 else ""
        shown = message("averages of {each:,}{of} pixels", each=each**2, of=of)
        return replace(self._grid(dataset, view, arrays, legend, shown=shown), is_discrete=False)

    def _read(self, dataset: Any, view: _View, options: dict[str, Any]) -> tuple[list[NDArray[Any]], int]:
        """Return the arrays, and of how many rows and columns one is in them: more than asked for when it is slow."""
        try:
            return read_nearest(self.path, dataset, view.wanted, view.window, view.shape, **options), view.factor
        except TooSlowError as slow:
            blocks = max(slow.blocks // len(view.wanted), 1)
        factor = coarser(view.window, view.factor, blocks)
        with unhurried():
            shape = view.at(factor)
            return read_nearest(self.path, dataset, view.wanted, view.window, shape, **options), factor

    def _holds_classes(self, dataset: Any, view: _View, classes: Classes | None) -> bool:
        """
        Whether a band holds classes: by its legend, or because few whole numbers occur in it.

        Pixels of the full resolution are looked at: averages of few classes are many numbers.
        """
        if classes:
            return True
        dtype = np.dtype(dataset.dtypes[view.number - 1])
        if dtype.kind not in "biu" or _scaling(dataset, view.number) is not None:
            return False
        found: set[Any] = set()
        with (
            _opened(self.path, overview_level="NONE")
            if dataset.overviews(view.number)
            else _opened(self.path) as full
        ):
            for place in _looks(view.window):
                found |= set(np.unique(full.read(view.number, window=place)).tolist())
        return len(found) <= 2 * MAX_CLASSES

    def _grid(
        self,
        dataset: Any,
        view: _View,
        arrays: list[NDArray[Any]],
        legend: _Legend,
        *,
        shown: str,
        said: tuple[str, ...] = (),
    ) -> Grid:
        values, rest = arrays[0], list(arrays[1:])
        mask = rest.pop(0) > 0 if Wanted(view.number, is_mask=True) in view.wanted else None
        valid, notes = usable(values, dataset.nodatavals[view.number - 1], mask)
        if legend.clear:
            valid &= ~np.isin(values, legend.clear)
        if rest:
            valid, left_out = within_mask(valid, rest[0])
            notes += left_out
        scaling = None if legend.classes else _scaling(dataset, view.number)
        if scaling is not None:
            values = values * scaling[0] + scaling[1]
            notes += (
                message(
                    "Values are the stored numbers times {scaling:g} plus {scaling_2:g}, as the file says.",
                    scaling=scaling[0],
                    scaling_2=scaling[1],
                ),
            )
        rows, columns = values.shape
        facts, window = _facts_of(dataset), view.window
        crs, crs_notes = to_crs(facts.crs_text)
        return Grid(
            values=values,
            valid=valid,
            band=view.band,
            bands=self.bands,
            source_size=window.size,
            transform=scaled(window.moved(facts.transform), window.columns / columns, window.rows / rows),
            crs=crs,
            classes=legend.classes,
            unit=dataset.units[view.number - 1] or "",
            is_discrete=values.dtype.kind in "biu",
            notes=(*self.notes, *((f"{shown}.",) if shown else ()), *facts.notes, *crs_notes, *legend.notes, *said,
                   *notes),
            shown=shown,
            window=window if view.is_part else None,
            whole_size=facts.size if view.is_part else None,
        )  # fmt: skip


class _View(NamedTuple):
    """What is asked for."""

    band: str
    number: int
    window: Window
    factor: int
    """One of so many rows and columns is kept."""
    wanted: tuple[Wanted, ...]
    is_part: bool

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the picture [pixels]."""
        return self.at(self.factor)

    def at(self, factor: int) -> tuple[int, int]:
        """(height, width) of a picture of another factor [pixels]."""
        return decimated(self.window.rows, factor), decimated(self.window.columns, factor)


class _Legend(NamedTuple):
    classes: Classes | None
    clear: tuple[int, ...] = ()
    """Codes that the file draws transparent."""
    notes: tuple[str, ...] = ()


def coarser(window: Window, factor: int, blocks: int) -> int:
    """
    Return the factor at which a picture needs no more than ``blocks`` blocks: a power of two.

    Examples
    --------
    >>> coarser(Window(0, 0, 100_000, 100_000), 98, 2_000)
    4096
    """
    wished: int = max(window.rows, window.columns, 1)
    for power in range(1, 32):
        if 2**power <= factor:
            continue
        if decimated(window.rows, 2**power) * decimated(window.columns, 2**power) <= blocks:
            return int(2**power)
    return wished


def open_raster(
    path: str, name: str, notes: tuple[str, ...] = (), *, parts: tuple[str, ...] = (), part: str = ""
) -> RasterFileLayer:
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
    parts, part : optional
        What else there is to choose from in the same source, and which of it this is.

    Raises
    ------
    rasterio.errors.RasterioError
        When GDAL knows no raster format that it is.
    SourceError
        When it has no band.
    """
    with _opened(path) as dataset:
        if not dataset.count:
            inside = (
                message(" It contains {n_subdatasets} datasets: choose one.", n_subdatasets=len(dataset.subdatasets))
                if dataset.subdatasets
                else ""
            )
            raise SourceError(message("{name} has no band to show.{inside}", name=name, inside=inside))
        return RasterFileLayer(path=path, name=name, bands=band_names(dataset), notes=notes, parts=parts, part=part)


@contextmanager
def _opened(path: str, **options: Any) -> Iterator[Any]:
    # A missing georeference is said in the map's notes instead.
    with quiet_georeference(), rasterio.open(path, **options) as dataset:
        yield dataset


def check_type(dtype: str, what: str) -> None:
    """
    Refuse a band whose values have no place on a colour scale, by GDAL's name of their type.

    Raises
    ------
    SourceError
        For complex numbers.

    Examples
    --------
    >>> check_type("uint8", "band 'state'")
    """
    if dtype.startswith("complex"):
        check_drawable(np.dtype("complex64" if dtype == "complex_int16" else dtype), what)
    check_drawable(np.dtype(dtype), what)


def _facts_of(dataset: Any) -> Facts:
    notes: tuple[str, ...] = ()
    points, _ = dataset.gcps
    if dataset.crs is None or dataset.transform.is_identity:
        if points:
            notes = (
                message(
                    "Placed by {n_points} ground control points instead of a grid: warp it first to see it on Earth.",
                    n_points=len(points),
                ),
            )
        elif dataset.rpcs is not None:
            notes = (
                message(
                    "Placed by rational polynomials (RPCs) instead of a grid: orthorectify it first to see it on "
                    "Earth."
                ),
            )
    text = dataset.crs.to_wkt() if dataset.crs is not None else ""
    return Facts((dataset.width, dataset.height), dataset.transform, text, notes)


def _has_mask(dataset: Any, number: int) -> bool:
    """Whether a mask or alpha band must be read; one nodata value is found in the values, without a second read."""
    flags = dataset.mask_flag_enums[number - 1]
    if MaskFlags.nodata in flags:
        return MaskFlags.per_dataset in flags  # one nodata value for each band, all of which must match
    return MaskFlags.all_valid not in flags


def _scaling(dataset: Any, number: int) -> tuple[float, float] | None:
    """Scale and offset of a band, when values aren't stored as they are."""
    scale, offset = float(dataset.scales[number - 1]), float(dataset.offsets[number - 1])
    is_plain = (scale, offset) == (1.0, 0.0) or scale == 0 or not (math.isfinite(scale) and math.isfinite(offset))
    return None if is_plain else (scale, offset)


def _legend(dataset: Any, number: int, band: str, path: str) -> _Legend:
    """Return the legend, the codes that the colour table draws transparent, and what to say."""
    declared = band_classes(dataset).get(band)
    if declared:
        return _Legend(declared)
    names = class_names_beside(path, number)
    try:
        table = dataset.colormap(number)
    except ValueError:  # rasterio's way to say that there is none
        return _Legend(names or None)
    clear = tuple(code for code, (*_, alpha) in table.items() if alpha == 0)
    notes = (message("Codes that the file's colour table makes transparent are not shown."),) if clear else ()
    colours = {
        code: (names.get(code, ("", ""))[0] or str(code), f"#{red:02x}{green:02x}{blue:02x}")
        for code, (red, green, blue, _) in table.items()
        if code not in clear and (not names or code in names)
    }
    return _Legend(colours or None, clear, notes)


def _overviews(dataset: Any, number: int, factor: int) -> str:
    """Tell what GDAL reads a picture from: ``none``, ``faithful`` or ``doubtful`` overviews."""
    if overview_of(dataset, number, factor) == 1:
        return "none"
    said = (
        dataset.tags(ns="rio_overview").get("resampling")
        or dataset.tags(ns="IMAGE_STRUCTURE").get("OVERVIEW_RESAMPLING")
        or ""
    )
    return "faithful" if said.lower() in FAITHFUL_OVERVIEWS else "doubtful"


def _are_single_pixels(path: str, dataset: Any, number: int, factor: int) -> bool:
    """
    Whether overviews that don't say how they were made hold single pixels: looked at in a few places.

    Where neighbours differ, only a nearest overview equals the full resolution at one fixed position of each
    block, again and again; averages and majorities don't.
    """
    overview = overview_of(dataset, number, factor)
    level = dataset.overviews(number).index(overview)
    matches: NDArray[np.bool_] | None = None
    varied = 0
    with _opened(path, overview_level=level) as coarse, _opened(path, overview_level="NONE") as full:
        if coarse.width * overview != full.width or coarse.height * overview != full.height:
            return False  # blocks of uneven size: the position isn't fixed
        side = max(4, LOOK_SIDE * 2 // overview)
        for place in _looks(Window(0, 0, coarse.height, coarse.width), side):
            (top, bottom), (left, right) = place
            below = ((top * overview, bottom * overview), (left * overview, right * overview))
            seen = coarse.read(number, window=place)
            blocks = full.read(number, window=below).reshape(bottom - top, overview, right - left, overview)
            differ = blocks.max(axis=(1, 3)) != blocks.min(axis=(1, 3))
            varied += int(np.count_nonzero(differ))
            same = (blocks == seen[:, np.newaxis, :, np.newaxis]).all(axis=(0, 2))
            matches = same if matches is None else matches & same
    return varied >= ENOUGH and matches is not None and bool(matches.any())


def _looks(window: Window, side: int = LOOK_SIDE) -> Iterator[Any]:
    """Yield a few small windows, spread over a large one."""
    rows, columns = min(side, window.rows), min(side, window.columns)
    for down in {round(i * (window.rows - rows) / (LOOKS - 1)) for i in range(LOOKS)}:
        for across in {round(i * (window.columns - columns) / (LOOKS - 1)) for i in range(LOOKS)}:
            top, left = window.row + down, window.column + across
            yield (top, top + rows), (left, left + columns)
