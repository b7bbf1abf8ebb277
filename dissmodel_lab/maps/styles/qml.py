"""QGIS's styles (QML), of rasters and of vectors, versions 2 and 3.

What is read is what colours mean: classes, ranges and scales. Everything else in such a file (labels on the
map, forms, joins, pictures for symbols) is left alone; nothing that it points to is opened. The format:
QgsPalettedRasterRenderer, QgsSingleBandPseudoColorRenderer, QgsColorRampShader, QgsCategorizedSymbolRenderer
and QgsGraduatedSymbolRenderer, ``writeXml`` and ``save``, in QGIS's sources.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from dissmodel_lab.errors import SourceError, shown
from dissmodel_lab.language import message
from dissmodel_lab.maps.styles.entries import (
    Line,
    as_classes,
    as_ranges,
    as_scale,
    checked,
    hex_colour,
    number_of,
)
from dissmodel_lab.maps.styles.style import Style

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Properties of a symbol's layer that hold its colour: of areas and points, of lines, of pictures.
_COLOUR_KEYS = ("color", "line_color", "fill_color", "colour")
_COLUMN = re.compile(r'^(?:"([^"]+)"|([^\W\d]\w*))$')


def read_qml(root: Element, name: str) -> Style:
    """
    Read the parsed style of a raster or a vector layer.

    Parameters
    ----------
    root : Element
        The element ``qgis``.
    name : str
        The file's, for messages.

    Raises
    ------
    SourceError
        When its renderer is of a kind that no legend can be made of, or names no colour.

    Examples
    --------
    >>> from dissmodel_lab.maps.styles.xml import parsed
    >>> text = '''<qgis version="3.34"><pipe><rasterrenderer type="paletted" band="1"><colorPalette>
    ...     <paletteEntry value="3" color="#1f8d49" label="Forest" alpha="255"/>
    ... </colorPalette></rasterrenderer></pipe></qgis>'''
    >>> read_qml(parsed(text.encode(), "land.qml"), "land.qml").classes
    {3: ('Forest', '#1f8d49')}
    """
    raster = next(root.iter("rasterrenderer"), None)
    if raster is not None:
        return _of_raster(raster, name)
    vector = next(root.iter("renderer-v2"), None)
    if vector is not None:
        return _of_vector(vector, name)
    raise SourceError(
        message(
            "{name} holds no renderer: it is a QGIS file, but not the style of a raster or vector layer.", name=name
        )
    )


# --- rasters -----------------------------------------------------------------------------------------------


def _of_raster(renderer: Element, name: str) -> Style:
    kind = renderer.get("type", "")
    if kind == "paletted":
        lines = [_line(entry) for entry in renderer.iter("paletteEntry")]
        return as_classes(checked(filter(None, lines), name), band_number=_band(renderer, "band"))
    if kind == "singlebandpseudocolor":
        return _of_shader(renderer, name)
    if kind == "singlebandgray":
        return _of_gray(renderer)
    raise SourceError(
        message(
            "{name} colours a raster by {kind!s}; paletted, singlebandpseudocolor and singlebandgray can be used "
            "for one band.",
            name=name,
            kind=shown(kind) if kind else message("no renderer"),
        )
    )


def _of_shader(renderer: Element, name: str) -> Style:
    shader = next(renderer.iter("colorrampshader"), None)
    items = [] if shader is None else [_line(item) for item in shader.iter("item")]
    lines = checked(filter(None, items), name)
    kind = "" if shader is None else shader.get("colorRampType", "INTERPOLATED").upper()
    band = _band(renderer, "band")
    if kind == "EXACT":
        return as_classes(lines, band_number=band)
    if kind == "DISCRETE":
        return as_ranges(chained(lines), band_number=band)
    return as_scale(lines, band_number=band)


def chained(lines: list[Line]) -> list[Line]:
    """
    Return ranges of which only the upper ends are known: each begins where the one before ends.

    Examples
    --------
    >>> [line.low for line in chained([Line(value=v, label="", colour="#000000") for v in (7.0, 9.0)])]
    [-inf, 7.0]
    """
    rising = sorted(lines, key=lambda line: line.value)
    lows = [-math.inf, *(line.value for line in rising[:-1])]
    return [
        Line(value=line.value, label=line.label, colour=line.colour, alpha=line.alpha, low=low)
        for line, low in zip(rising, lows, strict=True)
    ]


def _of_gray(renderer: Element) -> Style:
    ends = [number_of(next((e.text for e in renderer.iter(key)), None)) for key in ("minValue", "maxValue")]
    low, high = ends
    limits = None
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high) and low < high:
        limits = (low, high)
    return Style(
        colour_map="gray",
        reverse=renderer.get("gradient") == "WhiteToBlack",
        limits=limits,
        band_number=_band(renderer, "grayBand"),
    )


def _line(entry: Element) -> Line | None:
    """Return one entry of a palette or a scale; None when it has no value or no colour."""
    value = number_of(entry.get("value"))
    colour, alpha = _colour(entry.get("color", ""))
    if value is None or not colour:
        return None
    said = number_of(entry.get("alpha"))
    alpha = alpha if said is None or not 0 <= said <= 255 else round(said)  # noqa: PLR2004 -- a byte
    return Line(value=value, label=entry.get("label", ""), colour=colour, alpha=alpha)


def _band(renderer: Element, key: str) -> int:
    value = number_of(renderer.get(key))
    return int(value) if value is not None and 0 < value < 1e6 else 0  # noqa: PLR2004 -- more bands than a raster has


# --- vectors -----------------------------------------------------------------------------------------------


def _of_vector(renderer: Element, name: str) -> Style:
    kind = renderer.get("type", "")
    symbols = {
        symbol.get("name", ""): _symbol_colour(symbol)
        for group in renderer.findall("symbols")
        for symbol in group.findall("symbol")
    }
    band, notes = _column(renderer.get("attr", ""))
    if kind == "categorizedSymbol":
        lines = checked((line for one in renderer.iter("category") for line in _category(one, symbols)), name)
        style = as_classes(lines, band=band)
    elif kind == "graduatedSymbol":
        lines = checked(filter(None, (_range(one, symbols) for one in renderer.iter("range"))), name)
        style = as_ranges(lines, band=band)
    elif kind == "singleSymbol":
        colour, alpha = next(iter(symbols.values()), ("", 0))
        lines = [Line(value=math.inf, label="all", colour=colour, alpha=alpha)] if colour else []
        style = as_ranges(checked(lines, name))
    else:
        raise SourceError(
            message(
                "{name} colours features by {kind!s}; categorizedSymbol, graduatedSymbol and singleSymbol can be "
                "used.",
                name=name,
                kind=shown(kind) if kind else message("no renderer"),
            )
        )
    from dataclasses import replace  # noqa: PLC0415 -- only here

    return replace(style, notes=(*style.notes, *notes))


def _column(attribute: str) -> tuple[str, tuple[str, ...]]:
    """Return the column that a renderer looks at; an expression is no column, and that is said."""
    match = _COLUMN.match(attribute.strip())
    if match:
        return match[1] or match[2], ()
    if not attribute.strip():
        return "", ()
    return "", (
        message(
            "The style is for the expression {attribute!r}, which is not worked out.", attribute=shown(attribute)[:80]
        ),
    )


def _category(one: Element, symbols: dict[str, tuple[str, int]]) -> list[Line]:
    colour, alpha = symbols.get(one.get("symbol", ""), ("", 0))
    if not colour:
        return []
    alpha *= one.get("render", "true") != "false"
    values = [value.get("value", "") for value in one.findall("val")] or [one.get("value", "")]
    return [Line(value=value, label=one.get("label", ""), colour=colour, alpha=alpha) for value in values]


def _range(one: Element, symbols: dict[str, tuple[str, int]]) -> Line | None:
    low, high = number_of(one.get("lower")), number_of(one.get("upper"))
    colour, alpha = symbols.get(one.get("symbol", ""), ("", 0))
    if low is None or high is None or not colour:
        return None
    alpha *= one.get("render", "true") != "false"
    return Line(value=high, label=one.get("label", ""), colour=colour, alpha=alpha, low=low)


def _symbol_colour(symbol: Element) -> tuple[str, int]:
    """Return the colour of the first layer of a symbol that has one, and how opaque it is (0 to 255)."""
    opacity = number_of(symbol.get("alpha"))
    opacity = 1.0 if opacity is None or not 0 <= opacity <= 1 else opacity
    for layer in symbol.findall("layer"):
        said = {one.get("k", ""): one.get("v", "") for one in layer.findall("prop")}
        said |= {one.get("name", ""): one.get("value", "") for one in layer.findall("Option/Option")}
        for key in _COLOUR_KEYS:
            colour, alpha = _colour(said.get(key, ""))
            if colour:
                return colour, round(alpha * opacity)
    return "", 0


def _colour(text: str) -> tuple[str, int]:
    """Read ``#rrggbb``, ``#aarrggbb`` (Qt) or ``r,g,b,a`` with whatever QGIS 3.40 writes after it."""
    match = re.fullmatch(r"#([0-9a-fA-F]{2})?([0-9a-fA-F]{6})", text.strip())
    if match:
        return f"#{match[2].lower()}", int(match[1], 16) if match[1] else 255
    parts = [number_of(part) for part in text.split(",")[:4]]
    numbers = [part for part in parts if part is not None]
    if len(numbers) < 3 or len(numbers) != len(parts):  # noqa: PLR2004 -- red, green, blue
        return "", 0
    alpha = numbers[3] if len(numbers) > 3 else 255.0  # noqa: PLR2004 -- and alpha
    return hex_colour(*numbers[:3]), round(min(max(alpha, 0), 255))
