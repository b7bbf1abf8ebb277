"""Goals 4a to 4d: the first picture of a large raster, its memory, the same file again, and what is sent."""

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

SCRIPT = str(HERE / "raster_ways.py")
WAYS = {
    OURS: Way("ours"),
    "floor": Way("decimated read, small warp, PNG"),
    "floor_inflate": Way("decimated read, two threads"),
    "rio_tiler_small": Way("rio-tiler preview, then reproject", "rio_tiler"),
    "rio_tiler": Way("rio-tiler preview in EPSG:3857", "rio_tiler", is_slow=True),
    "rioxarray": Way("rioxarray and matplotlib", "rioxarray", is_slow=True, most=10_000),
    "leafmap": Way("leafmap with localtileserver", "localtileserver", is_slow=True),
    "folium": Way("folium ImageOverlay", "folium", is_slow=True, most=10_000),
}
HAS_OVERVIEWS = ("striped", "cog")
"""A decimated read takes single rows or small copies of them, and inflates nothing else."""
MEMORY = {"striped": 64.0, "cog": 64.0, "tiled": 128.0, "pixel": 128.0, "band": 128.0}
"""What a first picture may take beyond the start [MiB]."""
SENT, SENT_CLASSES = 500.0, 180.0
"""What may be sent [kB]."""
SMALL, MIDDLE, LARGE = 1_000, 10_000, 30_000
SECONDS = Figure("4a", "first picture", lambda one: one.seconds * 1e3)
EXTRA = Figure("4a", "memory beyond the start", lambda one: max(one.extra, 0.1), "MiB")
AGAIN = Figure("4c", "the same file again", lambda one: one.more["again"] * 1e3)
PAYLOAD = Figure("4d", "sent", lambda one: one.payload / 1e3, "kB")
FIGURES, GROWING = (SECONDS, EXTRA, PAYLOAD), (OURS, "rio_tiler_small")
"""Of what it is told how it grows, and for which ways."""


def measure(folder: Path, answers: dict[str, str], *, quick: bool) -> Part:
    """Make the files of one size, draw each in every way, and make room for the next size."""
    ways = dict(WAYS)
    if quick:
        ways["folium"] = replace(ways["folium"], most=SMALL)
    small = {
        False: map_files.make_rasters(folder / "small", 500)["striped"],
        True: map_files.make_classes(folder / "small", 500)["pixel"],
    }
    lines: list[Line] = []
    rounds = {}
    maps: list[tuple[str, float, Map]] = []
    for size in (SMALL, MIDDLE) if quick else (SMALL, MIDDLE, LARGE):
        files = map_files.make_rasters(folder, size)
        if size == MIDDLE:
            files |= map_files.make_classes(folder, size)
        for layout, path in files.items():
            is_classes = layout in map_files.INTERLEAVES
            name = f"{size:,} x {size:,} {'classes, ' if is_classes else ''}{layout}"
            words = [str(path), str(small[is_classes])]
            _read(path)
            found = draw_in_rounds(
                name, size, ways, lambda way, words=words: [SCRIPT, way, *words], answers, count=2 if quick else 5
            )
            path.unlink()
            lines += _lines(found, layout, size)
            maps += [] if is_classes else [(layout, size**2, found)]
            rounds |= found.raw()
    shutil.rmtree(folder)
    return Part(sorted(lines, key=lambda line: line.item), rounds, growth_of(maps, FIGURES, GROWING, "cells"))


def _read(path: Path) -> None:
    """Bring a file into the page cache, as one that was just made is."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def _lines(found: Map, layout: str, size: int) -> list[Line]:
    item = "4a" if layout in HAS_OVERVIEWS else "4b"
    goals = _goals(layout, size)
    seconds, extra = SECONDS._replace(item=item), EXTRA._replace(item=item)
    lines = [
        found.beside(seconds, way, goals.get(way))
        for way in WAYS
        if way != OURS and (way != "floor_inflate" or layout not in HAS_OVERVIEWS)
    ]
    lines.append(found.alone(extra, MEMORY[layout], max))
    if size == MIDDLE:
        lines += [found.beside(extra, way) for way in ("rio_tiler_small", "rio_tiler", "rioxarray", "folium")]
    return [*lines, *_again_lines(found, layout), *_payload_lines(found, layout, size)]


def _goals(layout: str, size: int) -> dict[str, float]:
    """Return what our first picture may take beside each way."""
    if layout == "tiled" and size == SMALL:  # four tiles: there is nothing to be gained
        return {}
    if layout not in HAS_OVERVIEWS:
        goals = {"rio_tiler_small": 1 / 3, "floor": 0.45}
        goals |= {"floor_inflate": 1.4} if layout == "tiled" else {}
        return goals | ({"rio_tiler": 1 / 6, "leafmap": 1 / 18} if size == LARGE else {})
    goals = {"rio_tiler_small": 1 / 4, "floor": 1.3, "leafmap": 1 / 8 if layout == "cog" else 1 / 20}
    if size == MIDDLE:
        goals |= {"rioxarray": 1 / 45, "folium": 1 / 1000}
    if layout == "striped" and size > SMALL:
        goals["rio_tiler"] = 1 / 50 if size == LARGE else 1 / 8
    return goals


def _again_lines(found: Map, layout: str) -> list[Line]:
    again = found.alone(AGAIN, 5.0, statistics.median)
    if layout in map_files.INTERLEAVES:
        return [again]
    sides = [one.more["restyled"] * 1e3 for one in found.pictures], [one.seconds * 1e3 for one in found.pictures]
    goal = 0.5 if layout == "cog" else None
    return [again, line_of_rounds("4c", f"other colours, {found.name}", sides, "its first picture", goal=goal)]


def _payload_lines(found: Map, layout: str, size: int) -> list[Line]:
    if layout in map_files.INTERLEAVES:
        return [found.alone(PAYLOAD, SENT_CLASSES, max), found.beside(PAYLOAD, "rio_tiler_small")]
    goals = {"rio_tiler_small": 0.65, "folium": 1 / 190 if size == MIDDLE else None}
    beside = [found.beside(PAYLOAD, way, goals.get(way)) for way in ("rio_tiler_small", "leafmap", "folium")]
    return [found.alone(PAYLOAD, SENT, max), *beside]
