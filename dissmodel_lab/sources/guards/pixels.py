"""Rasters: which other files or hosts GDAL would open for one, and headers that claim more than the file can hold.

GDAL takes overviews and masks from files beside a raster, and from wherever the raster's own metadata say: a plain
GeoTIFF can name a host (https://gdal.org/en/stable/development/rfc/rfc30_overview_handling.html, ``OVERVIEW_FILE``).
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.quiet import quiet_about
from dissmodel_lab.sources.guards.kinds import ASCII_GRID, ENVI, TIFF_MAGIC, Kind

if TYPE_CHECKING:
    from dissmodel_lab.sources.guards.held import Held

#: A larger description beside a raster isn't read [bytes].
MAX_DESCRIPTION = 10_000_000
#: A block is held in memory whole [bytes].
MAX_BLOCK = 1 << 30
#: The lines of numbers begin behind so many words at most.
GRID_HEADER = 4096
#: Markup by which GDAL takes any file for a list of other files, however it begins.
_LISTS = re.compile(rb"<(OGR)?VRT|<GDALTileIndex|<GDAL_|<WMS_|<WMTS")
_GRID_SIZE = re.compile(rb"(?i)\b(ncols|nrows)\s+(\S+)")
_ENVI_SIZE = re.compile(
    r"(?im)^[ \t]*(samples|lines|bands|data type|header offset|file compression)[ \t]*=[ \t]*(\S+)"
)
#: Bytes of a value, by ENVI's numbers (https://www.nv5geospatialsoftware.com/docs/enviheaderfiles.html).
_ENVI_BYTES = {"1": 1, "2": 2, "3": 4, "4": 4, "5": 8, "6": 8, "9": 16, "12": 2, "13": 4, "14": 8, "15": 8}


def check_raster(held: Held, kind: Kind) -> None:
    """
    Refuse a raster for which GDAL would open what nobody named, or that can't hold what it claims.

    Raises
    ------
    SourceError
        With what to do.
    """
    if kind in {ASCII_GRID, ENVI}:  # all others begin with a byte that ends a text
        with held.open() as opened:
            if _LISTS.search(opened.read(GRID_HEADER)):
                raise SourceError(
                    message(
                        "{name} looks like numbers and names other files. It is not opened: ask who made it.",
                        name=held.name,
                    )
                )
    if kind is ASCII_GRID:
        _check_grid(held)
    if kind is ENVI:
        _check_envi(held)
    _check_neighbours(held)
    _check_own_metadata(held, kind.driver)


def _check_neighbours(held: Held) -> None:
    file = held.file.lower()
    stem = file.rpartition(".")[0] or file
    for other in held.beside():
        lower = other.lower()
        if lower.startswith(f"{file}.") and lower.endswith((".ovr", ".msk")):
            neighbour = held.neighbour(other)
            with neighbour.open() as opened:
                is_tiff = opened.read(4) in TIFF_MAGIC
            if not is_tiff:
                raise SourceError(
                    message(
                        "{name} has a file of overviews or a mask beside it, {other}, that is no TIFF and may name "
                        "other files. Move it away, or build overviews anew: gdaladdo FILE.",
                        name=held.name,
                        other=shown(other),
                    )
                )
            _check_own_metadata(neighbour, "GTiff")
        elif lower in {f"{file}.aux.xml", f"{stem}.aux.xml"} or (
            lower.startswith(f"{file}.") and lower.endswith(".aux.xml")
        ):
            _check_description(held, other)
        elif lower in {f"{file}.aux", f"{stem}.aux"}:
            with held.neighbour(other).open() as opened:
                if opened.read(15) == b"EHFA_HEADER_TAG":
                    raise SourceError(
                        message(
                            "{name} has an ERDAS file beside it, {other}, that may name other files. Move it away.",
                            name=held.name,
                            other=shown(other),
                        )
                    )


def _check_description(held: Held, other: str) -> None:
    with held.neighbour(other).open() as opened:
        text = opened.read(MAX_DESCRIPTION + 1)
    if len(text) > MAX_DESCRIPTION:
        raise SourceError(
            message(
                "{name} has a description of more than {max_description:,} bytes beside it, {other}. Move it away.",
                name=held.name,
                max_description=MAX_DESCRIPTION,
                other=shown(other),
            )
        )
    # GDAL's own reader of XML knows the five entities and numbered characters, as html.unescape does
    plain = html.unescape(text.decode("utf-8", "replace")).upper()
    if "OVERVIEW_FILE" in plain or "<!ENTITY" in plain:
        raise SourceError(
            message(
                "{name} has a description beside it, {other}, that names another file to be read in its place. "
                "Move it away.",
                name=held.name,
                other=shown(other),
            )
        )


def _check_own_metadata(held: Held, driver: str) -> None:
    import rasterio  # noqa: PLC0415 -- only for rasters
    from rasterio.errors import RasterioError  # noqa: PLC0415

    try:
        with quiet_about(Warning), rasterio.open(held.opened, driver=driver) as dataset:
            check_dataset(dataset, held.name)
            claim = _claim(dataset)
    except UnicodeDecodeError as error:
        raise SourceError(
            message(
                "{name} is damaged: its texts are no texts ({reason}). Get it again.",
                name=held.name,
                reason=error.reason,
            )
        ) from error
    except RasterioError as error:
        raise SourceError(
            message(
                "{name} can't be read: {told}. It is damaged or cut off: get it again.",
                name=held.name,
                told=_told(error, held),
            )
        ) from error
    if claim:
        raise SourceError(
            message(
                "{name} is written in {claim}, one of which must be held in memory to show a pixel. Is its header "
                "whole? If so, write it anew with tiles: rio cogeo create FILE NEW.tif.",
                name=held.name,
                claim=claim,
            )
        )


def check_dataset(dataset: Any, name: str) -> None:
    """
    Refuse an open raster, wherever it lies, whose own metadata name other files or hosts.

    To be called right after opening: GDAL follows such names when it reads, or is asked for overviews or files.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        Open, and nothing read of it yet.
    name : str
        How messages call it.

    Raises
    ------
    SourceError
        With what to do.
    """
    named = dataset.tags(ns="OVERVIEWS")
    if named:
        raise SourceError(
            message(
                "{name} names another file to be read in its place, {iter}, which nobody asked for. Have it "
                "written anew where it was made: gdal_translate -nomd FILE NEW.tif.",
                name=name,
                iter=shown(next(iter(named.values()))),
            )
        )


def _claim(dataset: Any) -> str:
    """Return what can't be read; empty when all numbers are possible."""
    if not dataset.count:
        return ""
    rows, columns = dataset.block_shapes[0]
    is_mixed = dataset.interleaving is not None and dataset.interleaving.name == "pixel"
    size = rows * columns * _bytes_of(dataset.dtypes[0]) * (dataset.count if is_mixed else 1)
    return message("blocks of {size:,.1f} GiB", size=size / 2**30) if size > MAX_BLOCK else ""


def _bytes_of(dtype: str) -> int:
    digits = "".join(letter for letter in dtype if letter.isdecimal())
    return max(1, int(digits or 8) // 8)


def _told(error: Exception, held: Held) -> str:
    return str(error).replace(held.opened, held.name).strip().rstrip(".")[:300]


def _check_grid(held: Held) -> None:
    """Refuse an ASCII grid that lies of its size: GDAL would look for the lines for ever."""
    with held.open() as opened:
        head = opened.read(GRID_HEADER)
    found = {name.lower(): number for name, number in _GRID_SIZE.findall(head)}
    try:
        columns, rows = (float(found[key]) for key in (b"ncols", b"nrows"))
    except (KeyError, ValueError) as error:
        raise SourceError(
            message(
                "{name} is an ASCII grid whose first lines don't say ncols and nrows in numbers. Get it again.",
                name=held.name,
            )
        ) from error
    # a digit and a blank for each value is the least
    if not (columns >= 1 and rows >= 1 and columns * rows * 2 - 1 <= held.size):
        raise SourceError(
            message(
                "{name} is said to have {columns:,.0f} x {rows:,.0f} cells, which its {size:,} bytes can't hold. "
                "It is damaged or cut off: get it again.",
                name=held.name,
                columns=columns,
                rows=rows,
                size=held.size,
            )
        )


def _check_envi(held: Held) -> None:
    header = envi_header(held)
    with held.neighbour(header).open() as opened:
        text = opened.read(MAX_DESCRIPTION).decode("latin-1")
    said = {key.lower(): value for key, value in _ENVI_SIZE.findall(text)}
    try:
        size = _ENVI_BYTES[said["data type"]]
        for key in ("samples", "lines", "bands"):
            size *= max(int(said[key]), 1)
        size += max(int(said.get("header offset", "0")), 0)
        is_packed = int(said.get("file compression", "0")) != 0
    except (KeyError, ValueError) as error:
        raise SourceError(
            message(
                "{name}: {header} beside it doesn't say its size and type in numbers. Get both again.",
                name=held.name,
                header=shown(header),
            )
        ) from error
    if size > held.size or is_packed:
        raise SourceError(
            message(
                "{name} is said to hold {size:,} bytes and has {held_size:,}. It is cut off or packed: get it "
                "again, or unpack it.",
                name=held.name,
                size=size,
                held_size=held.size,
            )
        )


def envi_header(held: Held) -> str:
    """
    Return the name of the header beside an ENVI raster; empty when there is none.

    Parameters
    ----------
    held : Held
        What may be a raster without a signature of its own.
    """
    file = held.file
    stem = file.rpartition(".")[0] or file
    for other in held.beside():
        if other.lower() in {f"{file}.hdr".lower(), f"{stem}.hdr".lower()} and other != file:
            with held.neighbour(other).open() as opened:
                if opened.read(4) == b"ENVI":
                    return other
    return ""
