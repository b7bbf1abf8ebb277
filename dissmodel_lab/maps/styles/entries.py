"""Lines of a legend, as files of any format give them -> a style."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dissmodel_lab.class_tables import one_line
from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.maps.styles.style import Style, StyleRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Longer lists are no legends of a map.
MAX_LINES = 20_000


@dataclass(frozen=True, kw_only=True)
class Line:
    """One class, range or stop."""

    value: Any
    """A number or a text; of ranges the upper end."""
    label: str
    colour: str
    """``#rrggbb``."""
    alpha: int = 255
    """0 (transparent) to 255."""
    low: float = -math.inf
    """Of a range: its lower end."""

    @property
    def is_drawn(self) -> bool:
        """False when it can't be seen."""
        return self.alpha > 0


def checked(lines: Iterable[Line], name: str) -> list[Line]:
    """
    Return the lines of a file, when there are any and not too many.

    Raises
    ------
    SourceError
        When there is none, or more than :data:`MAX_LINES`.

    Examples
    --------
    >>> checked([], "land.qml")
    Traceback (most recent call last):
        ...
    dissmodel_lab.errors.SourceError: land.qml names no class and no colour. Is it the style of a map?
    """
    found = list(lines)
    if not found:
        raise SourceError(message("{name} names no class and no colour. Is it the style of a map?", name=name))
    if len(found) > MAX_LINES:
        raise SourceError(
            message(
                "{name} has {n_found:,} classes; at most {max_lines:,} can be read.",
                name=name,
                n_found=len(found),
                max_lines=MAX_LINES,
            )
        )
    return found


def as_classes(lines: Sequence[Line], **more: Any) -> Style:
    """
    Make a style of single values; one that is empty stands for all other values.

    Examples
    --------
    >>> as_classes([Line(value=3, label="forest", colour="#1f8d49")]).classes
    {3: ('forest', '#1f8d49')}
    """
    own = {key_of(line.value): line for line in reversed(lines) if line.value != ""}
    ordered = {key_of(line.value): own[key_of(line.value)] for line in lines if line.value != ""}
    rest = next((line for line in lines if line.value == "" and line.is_drawn), None)
    return Style(
        classes={key: (_label(line, key), line.colour) for key, line in ordered.items()},
        hidden=frozenset(key for key, line in ordered.items() if not line.is_drawn),
        others=(one_line(rest.label), rest.colour) if rest is not None else None,
        notes=_notes(lines),
        **more,
    )


def as_ranges(lines: Sequence[Line], **more: Any) -> Style:
    """
    Make a style of ranges; empty ones and those that no number can lie in are left out.

    Examples
    --------
    >>> as_ranges([Line(value=7.0, label="low", colour="#1f8d49")]).ranges[0].high
    7.0
    """
    rising = sorted(lines, key=lambda line: (line.value, line.low))
    ranges = tuple(
        StyleRange(low=line.low, high=line.value, label=one_line(line.label), colour=line.colour * line.is_drawn)
        for line in rising
        if line.low <= line.value
    )
    return Style(ranges=ranges, notes=_notes(lines), **more)


def as_scale(lines: Sequence[Line], **more: Any) -> Style:
    """
    Make a style of a continuous scale.

    Examples
    --------
    >>> as_scale([Line(value=1.0, label="", colour="#ffffff"), Line(value=0.0, label="", colour="#000000")]).stops
    ((0.0, '#000000'), (1.0, '#ffffff'))
    """
    finite = [line for line in lines if math.isfinite(line.value)]
    rising = sorted(finite, key=lambda line: line.value)
    return Style(stops=tuple((line.value, line.colour) for line in rising), notes=_notes(lines), **more)


def number_of(text: str | None) -> float | None:
    """
    Read a number; None when it is none.

    Examples
    --------
    >>> number_of(" 1e3 "), number_of("inf"), number_of("seven"), number_of("1_000")
    (1000.0, inf, None, None)
    """
    try:
        value = float(text) if text is not None and "_" not in text else math.nan
    except ValueError:
        return None
    return None if math.isnan(value) else value


def key_of(value: Any) -> Any:
    """
    Return a class's value: a whole number where it is one, also written as text; else as it is.

    Examples
    --------
    >>> key_of("3"), key_of(3.0), key_of("2.5"), key_of("sea")
    (3, 3, 2.5, 'sea')
    """
    if isinstance(value, str) and re.fullmatch(
        r"[+-]?((?:0|[1-9]\d{0,14})(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", value.strip(), re.IGNORECASE
    ):
        value = float(value)
    if isinstance(value, str):
        return value[:200]
    return int(value) if math.isfinite(value) and float(value).is_integer() else float(value)


def hex_colour(red: float, green: float, blue: float) -> str:
    """
    Return ``#rrggbb`` of three parts, 0 to 255; an empty text when one of them lies beyond.

    Examples
    --------
    >>> hex_colour(31, 141, 73), hex_colour(300, 0, 0)
    ('#1f8d49', '')
    """
    parts = [round(part) for part in (red, green, blue) if 0 <= part <= 255]  # noqa: PLR2004 -- a byte
    return f"#{parts[0]:02x}{parts[1]:02x}{parts[2]:02x}" if len(parts) == 3 else ""  # noqa: PLR2004 -- red, green, blue


def _label(line: Line, key: Any) -> str:
    return one_line(line.label) or str(key)


def _notes(lines: Sequence[Line]) -> tuple[str, ...]:
    hidden = sum(not line.is_drawn for line in lines)
    pale = sum(0 < line.alpha < 255 for line in lines)  # noqa: PLR2004 -- opaque
    notes: tuple[str, ...] = ()
    if hidden:
        what = "class is" if hidden == 1 else "classes are"
        notes += (message("{hidden} transparent {what} not drawn.", hidden=hidden, what=what),)
    if pale:
        notes += (message("Half-transparent colours of the style are drawn opaque."),)
    return notes
