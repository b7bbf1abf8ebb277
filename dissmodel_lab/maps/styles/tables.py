"""Colour tables as text: QGIS's colour-map files, ESRI's .clr, GDAL's color-relief and GRASS's rules."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.maps.styles.entries import Line, as_classes, as_ranges, as_scale, checked, hex_colour, number_of
from dissmodel_lab.maps.styles.qml import chained

if TYPE_CHECKING:
    from dissmodel_lab.maps.styles.style import Style

#: Colours that GDAL and GRASS know by name (gdaldem, "Color Configuration File Format"; r.colors, "rules").
_NAMES = {
    "white": "#ffffff", "black": "#000000", "red": "#ff0000", "green": "#00ff00", "blue": "#0000ff",
    "yellow": "#ffff00", "magenta": "#ff00ff", "cyan": "#00ffff", "aqua": "#00bfbf", "grey": "#bfbfbf",
    "gray": "#bfbfbf", "orange": "#ff7f00", "brown": "#bf7f3f", "purple": "#7f00ff", "violet": "#7f00ff",
    "indigo": "#007fff",
}  # fmt: skip
#: Lines that say how missing and all other values are drawn: maps draw these transparent.
_ASIDE = frozenset({"nv", "default"})
_MODE = re.compile(r"^\s*INTERPOLATION:\s*(\w+)\s*$", re.IGNORECASE)


def read_table(text: str, name: str, *, is_clr: bool = False) -> Style:
    r"""
    Read a colour table.

    Parameters
    ----------
    text : str
        The file. With a line ``INTERPOLATION:EXACT``, ``DISCRETE`` or ``INTERPOLATED`` it is QGIS's; without,
        it is a scale as GDAL and GRASS write it, or classes in ESRI's .clr.
    name : str
        The file's, for messages.
    is_clr : bool, optional
        True for ESRI's .clr: a code and its colour in each line.

    Raises
    ------
    SourceError
        When a line is neither a colour nor a comment.

    Examples
    --------
    >>> read_table("INTERPOLATION:EXACT\n3,31,141,73,255,Forest\n", "land.txt").classes
    {3: ('Forest', '#1f8d49')}
    >>> read_table("0 black\n100% 255:255:255\n", "relief.txt")
    Traceback (most recent call last):
        ...
    dissmodel_lab.errors.SourceError: relief.txt mixes values and percentages; use one of them.
    """
    mode, lines, shares = "", [], []
    for at, raw in enumerate(text.splitlines(), start=1):
        row = raw.strip()
        match = _MODE.match(row)
        if match:
            mode = match[1].upper()
        elif row and not row.startswith("#") and row.split()[0].lower() not in _ASIDE:
            line = _line(row)
            if line is None:
                raise SourceError(
                    message(
                        "{name} is not a colour table: line {at} is {row!r}. A line holds a value and its colour, "
                        "such as '3 31 141 73' or '3,31,141,73,255,Forest'.",
                        name=name,
                        at=at,
                        row=shown(row[:60]),
                    )
                )
            lines.append(line)
            shares.append(row.split()[0].rstrip(",").endswith("%"))
    if any(shares) and not all(shares):
        raise SourceError(message("{name} mixes values and percentages; use one of them.", name=name))
    checked(lines, name)
    if is_clr or mode == "EXACT":
        return as_classes(lines)
    if mode == "DISCRETE":
        return as_ranges(chained(lines))
    return replace(as_scale(lines), are_shares=any(shares))


def _line(row: str) -> Line | None:
    """Return one line; None when it is something else."""
    if row.count(",") >= 3:  # noqa: PLR2004 -- a value and three parts of a colour
        first, *rest = (part.strip() for part in row.split(",", 5))
    else:
        first, *rest = re.split(r"[\s,:]+", row, maxsplit=5)
    is_share = first.endswith("%")
    value = number_of(first.rstrip("%"))
    if value is None or (math.isinf(value) and is_share):
        return None
    if rest and rest[0].lower() in _NAMES:
        return Line(value=value / 100 if is_share else value, label="", colour=_NAMES[rest[0].lower()])
    parts = [number_of(part) for part in rest[:4]]
    numbers = [part for part in parts[:3] if part is not None]
    colour = hex_colour(*numbers) if len(numbers) == 3 else ""  # noqa: PLR2004 -- red, green, blue
    if not colour:
        return None
    alpha = parts[3] if len(parts) > 3 else None  # noqa: PLR2004 -- and alpha
    label = rest[4] if len(rest) > 4 and alpha is not None else "" if alpha is not None else " ".join(rest[3:])  # noqa: PLR2004 -- and label
    opaque = 255 if alpha is None else round(min(max(alpha, 0), 255))
    return Line(value=value / 100 if is_share else value, label=label.strip(), colour=colour, alpha=opaque)
