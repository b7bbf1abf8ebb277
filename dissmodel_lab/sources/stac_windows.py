"""The part of remote GeoTIFFs under a bounding box -> one GeoTIFF, pixel by pixel as they are.

Nothing is resampled: the native grid, the values as stored, with nodata, scale and offset. Tiles of one day are
put together where they lie on one grid; where they overlap, the first one (by the item's id) that has a value
decides. The same pixels give the same bytes, so that the file's hash says what was used.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.sources.ranges import RangeReader, opened_raster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from dissmodel_lab.sources.addresses import Address
    from dissmodel_lab.sources.stac_search import Asset

#: One file may hold so many cells, all bands together: 20,000 x 20,000.
MOST_CELLS = 400_000_000
_SIDE = 1024
"""Cells are read and written in squares of this size, so that memory stays small."""
_BLOCK = 256
_KEPT_BYTES = 24 << 20
_ALIGNED = 0.01
"""Grids that lie so near to each other are one [pixels]."""
_SAME_SIZE = 1e-6
_EDGE_POINTS = 31
_HAIR = 1e-6


class Piece(NamedTuple):
    """One band of one item: a file, and which band in it."""

    band: str
    """What the result calls it."""
    item: str
    asset: Asset
    address: Address
    number: int = 0
    """Of the band in the file, from 1; 0 for all."""


class Used(NamedTuple):
    """What was read of one asset."""

    item: str
    asset: str
    text: str
    """Its address without secrets."""
    etag: str
    modified: str
    bytes: int
    """How much of it was fetched [bytes]."""


@dataclass
class _Tile:
    """An opened piece, and where it lies on the common grid."""

    piece: Piece
    reader: RangeReader
    dataset: Any
    index: int
    nodata: float | None
    scale: float
    offset: float
    column: int = 0
    row: int = 0

    @property
    def name(self) -> str:
        return f"{shown(self.piece.item)} ({shown(self.piece.asset.key)})"

    @property
    def dtype(self) -> str:
        return str(self.dataset.dtypes[self.index - 1])


class _Window(NamedTuple):
    column: int
    row: int
    width: int
    height: int


def write_window(
    path: Path,
    pieces: Sequence[Piece],
    bbox: tuple[float, float, float, float] | None,
    *,
    tags: dict[str, str],
    told: Callable[[int], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Used, ...]:
    """
    Read what lies under a bounding box, and write it as a tiled GeoTIFF.

    Parameters
    ----------
    path : Path
        Of the new file.
    pieces : sequence of Piece
        Of one day: for each band one or more tiles.
    bbox : (float, float, float, float) or None
        West, south, east, north [degrees]; None for everything.
    tags : dict
        What the file says of itself.
    told : callable, optional
        Is given the number of bytes fetched until now.
    cancelled : callable, optional
        Is asked before each request; True ends it with KeyboardInterrupt.

    Returns
    -------
    tuple of Used
        What was read; empty, and no file written, when no pixel lies under the bounding box.

    Raises
    ------
    SourceError
        When tiles lie on different grids, the area is too large, or an asset cannot be read.
    """
    with ExitStack() as stack:
        bands = _opened(stack, pieces, cancelled)
        first = next(iter(bands.values()))[0]
        _place(bands, first)
        window = _window(bands, first.dataset, bbox)
        if window is None:
            return ()
        cells = window.width * window.height * len(bands)
        if cells > MOST_CELLS:
            raise SourceError(
                message(
                    "The bounding box covers {width:,} x {height:,} pixels in {n_bands} band(s) of {name}; one "
                    "file may hold {most_cells:,} cells. Give a smaller bbox, or fewer bands.",
                    width=window.width,
                    height=window.height,
                    n_bands=len(bands),
                    name=first.name,
                    most_cells=MOST_CELLS,
                )
            )
        readers = list({id(tile.reader): tile for tiles in bands.values() for tile in tiles}.values())
        _write(path, bands, window, tags, lambda: _tell(readers, told, cancelled))
        return tuple(
            Used(t.piece.item, t.piece.asset.key, t.reader.name, t.reader.etag, t.reader.modified,
                 t.reader.bytes_fetched)
            for t in readers
        )  # fmt: skip


def _tell(readers: list[_Tile], told: Callable[[int], None], cancelled: Callable[[], bool]) -> None:
    told(sum(tile.reader.bytes_fetched for tile in readers))
    if cancelled():
        raise KeyboardInterrupt(message("cancelled while the input was fetched"))


def _opened(stack: ExitStack, pieces: Sequence[Piece], cancelled: Callable[[], bool]) -> dict[str, list[_Tile]]:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 -- only for what is fetched

    addresses = list(dict.fromkeys(piece.address for piece in pieces))
    with ThreadPoolExecutor(4, thread_name_prefix="assets") as pool:
        readers = dict(zip(addresses, pool.map(lambda a: _reader(a, cancelled), addresses), strict=True))
    datasets = {address: stack.enter_context(opened_raster(reader)) for address, reader in readers.items()}
    bands: dict[str, list[_Tile]] = {}
    for piece in pieces:
        dataset, reader = datasets[piece.address], readers[piece.address]
        if piece.number > dataset.count or not dataset.count:
            raise SourceError(
                message(
                    "{name} has {count} band(s), but its catalogue names more. Ask for another.",
                    name=reader.name,
                    count=dataset.count,
                )
            )
        indexes = [piece.number] if piece.number else list(range(1, dataset.count + 1))
        for index in indexes:
            name = piece.band if len(indexes) == 1 else f"{piece.band}_{index}"
            bands.setdefault(name, []).append(_tile(piece, reader, dataset, index))
    return bands


def _reader(address: Address, cancelled: Callable[[], bool]) -> RangeReader:
    return RangeReader(address, budget_bytes=1 << 62, kept_bytes=_KEPT_BYTES, cancelled=cancelled)


def _tile(piece: Piece, reader: RangeReader, dataset: Any, index: int) -> _Tile:
    asset = piece.asset
    nodata = dataset.nodatavals[index - 1]
    scale, offset = float(dataset.scales[index - 1]), float(dataset.offsets[index - 1])
    if (scale, offset) == (1.0, 0.0):  # the file does not say: the catalogue may
        scale = asset.scale if asset.scale is not None else 1.0
        offset = asset.offset if asset.offset is not None else 0.0
    tile = _Tile(piece, reader, dataset, index, asset.nodata if nodata is None else nodata, scale, offset)
    transform = dataset.transform
    if dataset.crs is None or transform.is_identity:
        raise SourceError(
            message(
                "{name} does not say where it lies on Earth, so that no bbox can be cut out of it.", name=tile.name
            )
        )
    if transform.b or transform.d:
        raise SourceError(
            message(
                "{name} lies on a rotated grid, which cannot be cut by a bbox here. {whole}",
                name=tile.name,
                whole=_WHOLE,
            )
        )
    if tile.dtype.startswith("complex"):
        raise SourceError(
            message("{name} holds complex numbers, which no model here reads. {whole}", name=tile.name, whole=_WHOLE)
        )
    return tile


_WHOLE = message("Fetch the whole file by its own address.")


def _place(bands: dict[str, list[_Tile]], first: _Tile) -> None:
    """Find each tile's first column and row on the grid of the first one; refuse tiles of another grid."""
    reference = first.dataset
    for tiles in bands.values():
        kind = tiles[0]
        for tile in tiles:
            dataset, transform = tile.dataset, tile.dataset.transform
            if dataset.crs != reference.crs:
                raise SourceError(
                    message(
                        "{name} has another CRS ({crs}) than {first_name} ({reference_crs}): put together they "
                        "would have to be resampled, which is not done. Give a bbox within one of them.",
                        name=tile.name,
                        crs=_crs(dataset),
                        first_name=first.name,
                        reference_crs=_crs(reference),
                    )
                )
            same_size = all(
                math.isclose(one, other, rel_tol=_SAME_SIZE)
                for one, other in ((transform.a, reference.transform.a), (transform.e, reference.transform.e))
            )
            column = (transform.c - reference.transform.c) / reference.transform.a
            row = (transform.f - reference.transform.f) / reference.transform.e
            is_aligned = max(abs(column - round(column)), abs(row - round(row))) <= _ALIGNED
            if not same_size or not is_aligned:
                what = (
                    message(
                        "pixels of {a:g} instead of the {reference_a:g} of {name}",
                        a=abs(transform.a),
                        reference_a=abs(reference.transform.a),
                        name=first.name,
                    )
                    if not same_size
                    else message("a grid that is shifted against that of {name}", name=first.name)
                )
                raise SourceError(
                    message(
                        "{name} has {what}: together in one file they would have to be resampled, which is not "
                        "done. Fetch them by a source each.",
                        name=tile.name,
                        what=what,
                    )
                )
            tile.column, tile.row = round(column), round(row)
            _check_alike(tile, kind)


def _check_alike(tile: _Tile, kind: _Tile) -> None:
    """Refuse tiles of one band whose numbers do not mean the same."""
    for what, one, other in (
        ("type", tile.dtype, kind.dtype),
        ("scale", tile.scale, kind.scale),
        ("offset", tile.offset, kind.offset),
    ):
        if one != other:
            raise SourceError(
                message(
                    "{name} has another {what} of its values ({one}) than {kind_name} ({other}): they cannot be "
                    "put together. Give a bbox or dates with one of them.",
                    name=tile.name,
                    what=what,
                    one=one,
                    kind_name=kind.name,
                    other=other,
                )
            )


def _crs(dataset: Any) -> str:
    code = dataset.crs.to_epsg()
    return f"EPSG:{code}" if code else shown(dataset.crs.to_string())


def _window(
    bands: dict[str, list[_Tile]], reference: Any, bbox: tuple[float, float, float, float] | None
) -> _Window | None:
    """Return the whole pixels that a bounding box touches, within the tiles; None when there are none."""
    tiles = [tile for tiles in bands.values() for tile in tiles]
    left, top = min(t.column for t in tiles), min(t.row for t in tiles)
    right = max(t.column + t.dataset.width for t in tiles)
    bottom = max(t.row + t.dataset.height for t in tiles)
    if bbox is not None:
        west, south, east, north = _projected(bbox, reference)
        a, _, c, _, e, f = reference.transform[:6]
        columns, rows = sorted(((west - c) / a, (east - c) / a)), sorted(((south - f) / e, (north - f) / e))
        left, right = max(left, math.floor(columns[0] + _HAIR)), min(right, math.ceil(columns[1] - _HAIR))
        top, bottom = max(top, math.floor(rows[0] + _HAIR)), min(bottom, math.ceil(rows[1] - _HAIR))
    if left >= right or top >= bottom:
        return None
    window = _Window(left, top, right - left, bottom - top)
    return window if any(_overlap(tile, window) for tile in tiles) else None


def _projected(bbox: tuple[float, float, float, float], dataset: Any) -> tuple[float, float, float, float]:
    from rasterio.crs import CRS  # noqa: PLC0415 -- rasterio is loaded by then
    from rasterio.errors import RasterioError  # noqa: PLC0415
    from rasterio.warp import transform_bounds  # noqa: PLC0415

    try:
        bounds = transform_bounds(CRS.from_epsg(4326), dataset.crs, *bbox, densify_pts=_EDGE_POINTS)
    except RasterioError:
        bounds = (math.inf,) * 4
    if not all(map(math.isfinite, bounds)):
        raise SourceError(
            message(
                "The bbox {bbox} has no place in the CRS of the items ({crs}). Give a bbox near them.",
                bbox=",".join(f"{edge:g}" for edge in bbox),
                crs=_crs(dataset),
            )
        )
    west, south, east, north = bounds
    return west, south, east, north


def _overlap(tile: _Tile, window: _Window) -> _Window | None:
    """Return the part of a window that a tile covers, on the common grid."""
    left, top = max(tile.column, window.column), max(tile.row, window.row)
    right = min(tile.column + tile.dataset.width, window.column + window.width)
    bottom = min(tile.row + tile.dataset.height, window.row + window.height)
    return _Window(left, top, right - left, bottom - top) if left < right and top < bottom else None


def _write(
    path: Path, bands: dict[str, list[_Tile]], window: _Window, tags: dict[str, str], tell: Callable[[], None]
) -> None:
    import numpy as np  # noqa: PLC0415 -- only for those who read rasters
    import rasterio  # noqa: PLC0415
    from affine import Affine  # noqa: PLC0415

    firsts = [tiles[0] for tiles in bands.values()]
    grid = firsts[0].dataset.transform
    dtype = np.result_type(*(np.dtype(tile.dtype) for tile in firsts))
    nodata = next((tile.nodata for tile in firsts if tile.nodata is not None), None)
    if nodata is not None and not _fits(nodata, dtype):
        nodata = None
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": dtype.name, "count": len(bands), "width": window.width, "height": window.height,
        "crs": firsts[0].dataset.crs, "nodata": nodata, "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK,
        "compress": "deflate", "zlevel": 6, "predictor": 3 if dtype.kind == "f" else 2, "interleave": "band",
        "bigtiff": "if_safer", "num_threads": 1,
        "transform": Affine(grid.a, 0, grid.c + grid.a * window.column, 0, grid.e, grid.f + grid.e * window.row),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.update_tags(**tags)
        for number, (name, tiles) in enumerate(bands.items(), 1):
            target.set_band_description(number, name)
            if tiles[0].dataset.units[tiles[0].index - 1]:
                target.set_band_unit(number, tiles[0].dataset.units[tiles[0].index - 1])
        target.scales = tuple(tile.scale for tile in firsts)
        target.offsets = tuple(tile.offset for tile in firsts)
        _copy_colours(firsts, target)
        for number, tiles in enumerate(bands.values(), 1):
            for part in _parts(window):
                values = _values(tiles, part, dtype, nodata)
                place = _Window(part.column - window.column, part.row - window.row, part.width, part.height)
                target.write(values, number, window=rasterio.windows.Window(*place))
                tell()


def _copy_colours(firsts: list[_Tile], target: Any) -> None:
    """Keep the colour table of a band of classes."""
    if len(firsts) != 1 or target.dtypes[0] not in ("uint8", "uint16"):
        return
    try:
        target.write_colormap(1, firsts[0].dataset.colormap(firsts[0].index))
    except ValueError:  # rasterio's way to say that there is none
        return


def _fits(value: float, dtype: Any) -> bool:
    import numpy as np  # noqa: PLC0415 -- loaded by then

    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype)
    return math.isfinite(value) and value == int(value) and limits.min <= value <= limits.max


def _parts(window: _Window) -> list[_Window]:
    """Cut a window into squares; the same ones for the same window, or the file's bytes would differ."""
    return [
        _Window(
            window.column + left,
            window.row + top,
            min(_SIDE, window.width - left),
            min(_SIDE, window.height - top),
        )
        for top in range(0, window.height, _SIDE)
        for left in range(0, window.width, _SIDE)
    ]


def _values(tiles: list[_Tile], part: _Window, dtype: Any, nodata: float | None) -> NDArray[Any]:
    """Put together what the tiles of one band have in a part of the window."""
    import numpy as np  # noqa: PLC0415 -- loaded by then

    values = np.full((part.height, part.width), 0 if nodata is None else nodata, dtype)
    is_set = np.zeros(values.shape, bool)
    for tile in tiles:
        covered = _overlap(tile, part)
        if covered is None:
            continue
        place = (
            slice(covered.row - part.row, covered.row - part.row + covered.height),
            slice(covered.column - part.column, covered.column - part.column + covered.width),
        )
        if is_set[place].all():
            continue
        read, is_value = _read(tile, covered)
        if nodata is not None and _is(read, nodata).any() and (_is(read, nodata) & is_value).any():
            raise SourceError(
                message(
                    '{name} holds the value {nodata:g}, which means "no value" in another band of the same file. '
                    "Fetch the bands by a source each.",
                    name=tile.name,
                    nodata=nodata,
                )
            )
        wanted = is_value & ~is_set[place]
        values[place][wanted] = read[wanted]
        is_set[place] |= wanted
    if nodata is None and not is_set.all():
        raise SourceError(
            message(
                "{name} and what lies beside it do not cover the whole area, and neither the files nor the "
                'catalogue say which value means "no value". Give a bbox within one item.',
                name=tiles[0].name,
            )
        )
    return values


def _read(tile: _Tile, covered: _Window) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return values, and where there is one."""
    import numpy as np  # noqa: PLC0415 -- loaded by then
    from rasterio.enums import MaskFlags  # noqa: PLC0415
    from rasterio.windows import Window  # noqa: PLC0415

    window = Window(covered.column - tile.column, covered.row - tile.row, covered.width, covered.height)
    read = tile.dataset.read(tile.index, window=window)
    is_value = np.ones(read.shape, bool)
    if tile.nodata is not None:
        is_value &= ~_is(read, tile.nodata)
    flags = tile.dataset.mask_flag_enums[tile.index - 1]
    if MaskFlags.per_dataset in flags and MaskFlags.nodata not in flags:
        is_value &= tile.dataset.read_masks(tile.index, window=window) > 0
    return read, is_value


def _is(values: NDArray[Any], nodata: float) -> NDArray[Any]:
    import numpy as np  # noqa: PLC0415 -- loaded by then

    if math.isnan(nodata):
        return np.asarray(np.isnan(values)) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    if values.dtype.kind != "f":
        return np.asarray(values == nodata)
    with np.errstate(over="ignore"):
        return np.asarray(values == values.dtype.type(nodata))
