"""Goals 5a to 5c: the first picture of a layer of cells, another column of it, its memory, and what is sent."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

import map_files
from machine import HERE
from map_rounds import OURS, Figure, Map, Way, draw_in_rounds, growth_of
from table import Line, Part, line_of_rounds

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = str(HERE / "vector_ways.py")
SMALL, LARGE, HUGE = 10_000, 100_000, 1_000_000
WAYS = {
    OURS: Way("ours"),
    "floor": Way("shapely.get_coordinates"),
    "lonboard": Way("lonboard PolygonLayer", "lonboard"),
    "datashader": Way("datashader Canvas.polygons", "datashader"),
    "rasterize": Way("rasterio.features.rasterize", is_slow=True),
    "geojson": Way("ipyleaflet GeoJSON", is_slow=True, most=LARGE),
}
FIRST = {
    LARGE: {"lonboard": 1 / 12, "datashader": 1 / 12, "rasterize": 1 / 80, "geojson": 1 / 300},
    HUGE: {"floor": 2.2, "lonboard": 1 / 12, "datashader": 1 / 12, "rasterize": 1 / 80},
}
"""What our first picture may take beside each way, by the number of cells."""
FIRST_MS = {HUGE: 500.0}
OTHER_MS = {LARGE: 20.0, HUGE: 110.0}
"""What another column may take [ms]."""
SENT = {LARGE: {"geojson": 1 / 350}, HUGE: {"lonboard": 1 / 30}}
SENT_KB = 1000.0
MEMORY = {HUGE: 150.0}
"""What a first picture may take beyond the start [MiB]."""
SECONDS = Figure("5a", "first picture", lambda one: one.seconds * 1e3)
OTHER = Figure("5b", "another column", lambda one: one.more["other"] * 1e3)
EXTRA = Figure("5b", "memory beyond the start", lambda one: max(one.extra, 0.1), "MiB")
PAYLOAD = Figure("5b", "sent", lambda one: one.payload / 1e3, "kB")
FIGURES, GROWING = (SECONDS, OTHER, EXTRA, PAYLOAD), (OURS, "floor", "lonboard", "datashader")
"""Of what it is told how it grows, and for which ways."""


def measure(folder: Path, answers: dict[str, str], *, quick: bool) -> Part:
    """Make layers of cells and of irregular polygons, and draw each in every way."""
    folder.mkdir(parents=True)
    ways = {
        way: replace(one, most=min(one.most, SMALL)) if quick and one.is_slow else one for way, one in WAYS.items()
    }
    lines: list[Line] = []
    rounds = {}
    maps: list[tuple[str, float, Map]] = []
    regular = (SMALL, LARGE) if quick else (SMALL, LARGE, HUGE)
    for count, is_regular in [*((size, True) for size in regular), (SMALL if quick else LARGE, False)]:
        path = folder / "cells.parquet"
        map_files.make_cells(count, is_regular=is_regular).to_parquet(path)
        name = f"{count:,} {'cells' if is_regular else 'irregular polygons'}"
        found = draw_in_rounds(
            name,
            count,
            ways if is_regular else {way: one for way, one in ways.items() if not one.is_slow},
            lambda way, path=path: [SCRIPT, way, str(path)],
            answers,
            count=2 if quick else 5,
        )
        lines += _regular_lines(found, count) if is_regular else _irregular_lines(found)
        rounds |= found.raw()
        maps += [("cells", count, found)] if is_regular else []
    shutil.rmtree(folder)
    return Part(sorted(lines, key=lambda line: line.item), rounds, growth_of(maps, FIGURES, GROWING, "cells"))


def _regular_lines(found: Map, count: int) -> list[Line]:
    first, sent = FIRST.get(count, {}), SENT.get(count, {})
    others = [one.more["other"] * 1e3 for one in found.pictures]
    firsts = [one.seconds * 1e3 for one in found.pictures]
    name = f"{OTHER.what}, {found.name}"
    return [
        found.alone(SECONDS, FIRST_MS.get(count), statistics.median),
        *(found.beside(SECONDS, way, first.get(way)) for way in WAYS if way != OURS),
        found.alone(OTHER, OTHER_MS.get(count), statistics.median),
        line_of_rounds("5b", name, (others, firsts), "its first picture", goal=1 / 3 if count > SMALL else None),
        found.alone(PAYLOAD, SENT_KB, max),
        *(found.beside(PAYLOAD, way, sent.get(way)) for way in ("lonboard", "datashader", "geojson")),
        found.alone(EXTRA, MEMORY.get(count), max),
        found.beside(EXTRA, "lonboard", 1 / 8 if count == HUGE else None),
        found.beside(EXTRA, "datashader"),
    ]


def _irregular_lines(found: Map) -> list[Line]:
    seconds, payload = SECONDS._replace(item="5c"), PAYLOAD._replace(item="5c")
    return [
        found.beside(seconds, "datashader", 1.0),
        found.beside(seconds, "lonboard"),
        found.alone(payload, SENT_KB, max),
        found.alone(EXTRA._replace(item="5c"), None, max),
    ]
