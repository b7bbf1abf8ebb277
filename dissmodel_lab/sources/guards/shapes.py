"""GeoJSON, whose CRS may be a link that GDAL follows, and shapefiles."""

from __future__ import annotations

import json
import mmap
import re
from typing import TYPE_CHECKING

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.sources.guards.held import LocalFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissmodel_lab.sources.guards.held import Held

#: GDAL parses a GeoJSON whole, 30 MB/s: longer ones take longer than anybody waits [bytes].
MAX_GEOJSON = 300_000_000
#: No CRS is described in more [bytes].
MAX_CRS = 4096
#: ``"crs"``, in each way that GDAL's reader of JSON takes: with escapes, and in single quotation marks.
_ENDS = (b's"', b'\\u0073"', b"s'", b"\\u0073'")
_KEY = re.compile(rb"""["'](?:c|\\u0063)(?:r|\\u0072)(?:s|\\u0073)["']\Z""")
#: The colon behind it, after comments, which GDAL's reader allows; a comment without an end stays for a look.
_COLON = re.compile(rb"(?:\s|/\*.*?\*/|//[^\n]*\n)*(?::\s*|(?=/))(?:/\*.*?\*/\s*)*", re.DOTALL)
#: What stands at byte 28 of every shapefile.
_SHAPEFILE_VERSION = 1000
_HEADER = 100


def check_geojson(held: Held) -> None:
    """
    Refuse a GeoJSON that is too long, or whose CRS is a link that GDAL would follow.

    The member ``crs`` is of the specification of 2008 (https://geojson.org/geojson-spec.html, section 3.2, "Linked
    CRS"); RFC 7946 knows none.

    Raises
    ------
    SourceError
        With what to do.
    """
    if held.size > MAX_GEOJSON:
        raise SourceError(
            message(
                "{name} has {size:,} bytes; GeoJSON is text, of which at most {max_geojson:,} are read. Convert "
                "it: ogr2ogr NEW.gpkg FILE.",
                name=held.name,
                size=held.size,
                max_geojson=MAX_GEOJSON,
            )
        )
    for text in _descriptions(held):
        if _may_be_link(text):
            raise SourceError(
                message(
                    '{name} names its CRS by a link ({text}), which is not followed. Write it as a name: "crs": '
                    '{{"type": "name", "properties": {{"name": "EPSG:31983"}}}}.',
                    name=held.name,
                    text=shown(" ".join(text.split())),
                )
            )


def _may_be_link(text: str) -> bool:
    """Tell whether what follows ``"crs":`` is a link, or something that only GDAL's lenient reader understands."""
    if text[:1] not in {"{", "'", "/"}:
        return False  # a text or a number: some feature's property
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return True
    return str(value.get("type", "name")).lower() not in {"name", "epsg", "ogc"}


def _descriptions(held: Held) -> Iterator[str]:
    """Find what follows each ``"crs":`` of the file, decoded."""
    if isinstance(held, LocalFile):
        with held.open() as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield from _after_keys(content)
    else:
        with held.open() as file:
            yield from _after_keys(file.read(MAX_GEOJSON))


def _after_keys(content: bytes | mmap.mmap) -> Iterator[str]:
    for end in _ENDS:
        at = content.find(end)
        while at >= 0:
            stop = at + len(end)
            colon = _COLON.match(content[stop : stop + MAX_CRS])
            if colon and _KEY.search(content[max(0, stop - 24) : stop]):
                yield content[stop + colon.end() : stop + colon.end() + MAX_CRS].decode("utf-8", "replace")
            at = content.find(end, stop)


def check_shapefile(held: Held) -> None:
    """
    Refuse what is no shapefile, or is not called so.

    ESRI Shapefile Technical Description, 1998, table 1.

    Raises
    ------
    SourceError
        With what to do.
    """
    ending = held.file.rpartition(".")[2]
    if ending.lower() == "shx":
        raise SourceError(
            message("{name} is the index of a shapefile. Name the file that ends in .shp.", name=held.name)
        )
    if ending.lower() != "shp":
        raise SourceError(
            message(
                "{name} is a shapefile, but is not called so. Let its name end in .shp, as its neighbours' in .shx "
                "and .dbf.",
                name=held.name,
            )
        )
    with held.open() as file:
        header = file.read(_HEADER)
    if len(header) < _HEADER or int.from_bytes(header[28:32], "little") != _SHAPEFILE_VERSION:
        raise SourceError(
            message(
                "{name} is no whole shapefile: its first {header} bytes are damaged. Get it again.",
                name=held.name,
                header=_HEADER,
            )
        )
