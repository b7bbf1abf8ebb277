"""Styled Layer Descriptors: colour maps of rasters, and rules of vectors that ask for a value or a range.

OGC 02-070, Styled Layer Descriptor Implementation Specification 1.0.0, and OGC 05-077r4, Symbology Encoding
1.1.0; ``type`` of a ColorMap is GeoServer's.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.maps.styles.entries import Line, as_classes, as_ranges, as_scale, checked, number_of
from dissmodel_lab.maps.styles.qml import chained
from dissmodel_lab.maps.styles.xml import found, plain_tag

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from dissmodel_lab.maps.styles.style import Style

_LOWER = frozenset({"PropertyIsGreaterThan", "PropertyIsGreaterThanOrEqualTo"})
_UPPER = frozenset({"PropertyIsLessThan", "PropertyIsLessThanOrEqualTo"})


def read_sld(root: Element, name: str) -> Style:
    """
    Read a parsed style.

    Parameters
    ----------
    root : Element
        The element ``StyledLayerDescriptor``.
    name : str
        The file's, for messages.

    Raises
    ------
    SourceError
        When it has neither a colour map nor rules that ask for values.

    Examples
    --------
    >>> from dissmodel_lab.maps.styles.xml import parsed
    >>> text = b'''<StyledLayerDescriptor><RasterSymbolizer><ColorMap type="values">
    ...     <ColorMapEntry color="#1f8d49" quantity="3" label="Forest"/>
    ... </ColorMap></RasterSymbolizer></StyledLayerDescriptor>'''
    >>> read_sld(parsed(text, "land.sld"), "land.sld").classes
    {3: ('Forest', '#1f8d49')}
    """
    colour_map = next(found(root, "ColorMap"), None)
    if colour_map is not None:
        return _of_colour_map(colour_map, name)
    rules = [line for rule in found(root, "Rule") if (line := _of_rule(rule)) is not None]
    bands = {band for band, _ in rules}
    lines = checked((line for _, line in rules), name)
    if len(bands) != 1:
        raise SourceError(
            message(
                "{name} has rules for several columns ({bands}); one can be shown.",
                name=name,
                bands=", ".join(sorted(bands)),
            )
        )
    is_ranges = any(isinstance(line.value, float) for line in lines)
    if is_ranges and not all(isinstance(line.value, float) for line in lines):
        raise SourceError(
            message("{name} mixes rules for single values and for ranges; one kind can be shown.", name=name)
        )
    return as_ranges(lines, band=bands.pop()) if is_ranges else as_classes(lines, band=bands.pop())


def _of_colour_map(colour_map: Element, name: str) -> Style:
    lines = checked(filter(None, map(_entry, found(colour_map, "ColorMapEntry"))), name)
    kind = colour_map.get("type", "ramp")
    if kind == "values":
        return as_classes(lines)
    return as_ranges(chained(lines)) if kind == "intervals" else as_scale(lines)


def _entry(entry: Element) -> Line | None:
    value, opacity = number_of(entry.get("quantity")), number_of(entry.get("opacity"))
    colour = _hex(entry.get("color"))
    if value is None or not colour:
        return None
    return Line(value=value, label=entry.get("label", ""), colour=colour, alpha=_alpha(opacity))


def _of_rule(rule: Element) -> tuple[str, Line] | None:
    """Return the column and the line of one rule; None when it asks for something else."""
    column = next((one.text or "" for one in found(rule, "PropertyName")), "")
    colour, opacity = "", None
    for parameter in (*found(rule, "CssParameter"), *found(rule, "SvgParameter")):
        if parameter.get("name") in {"fill", "stroke"} and not colour:
            colour = _hex(parameter.text)
        if parameter.get("name") == "fill-opacity":
            opacity = number_of(parameter.text)
    label = next((one.text or "" for key in ("Title", "Name") for one in found(rule, key)), "")
    if not column or not colour:
        return None
    low, high, value = -math.inf, math.inf, None
    for test in rule.iter():
        literal = next((one.text or "" for one in found(test, "Literal")), "")
        if plain_tag(test) == "PropertyIsEqualTo":
            value = literal
        elif plain_tag(test) in _LOWER:
            low = number_of(literal) or 0.0
        elif plain_tag(test) in _UPPER:
            high = number_of(literal) or 0.0
    if value is None and math.isinf(low) and math.isinf(high):
        return None
    line = Line(
        value=high if value is None else value, label=label.strip(), colour=colour, alpha=_alpha(opacity), low=low
    )
    return column.strip(), line


def _hex(text: str | None) -> str:
    match = re.fullmatch(r"#[0-9a-fA-F]{6}", (text or "").strip())
    return match[0].lower() if match else ""


def _alpha(opacity: float | None) -> int:
    return 255 if opacity is None else round(255 * min(max(opacity, 0), 1))
