"""Tables of numbers as static HTML: figures to the right, some cells strong, some faint; readable in any theme.

A cell with a colour of its own has both, text and background, so that it reads on a light and on a dark page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissmodel_lab.language import say
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.markup import escape_short, scrolling

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_BASE = "padding:2px 10px 2px 4px;vertical-align:top;border:none;font-size:13px"
# The widths keep long names from being broken letter by letter.
_HEAD = f"{_BASE};border-bottom:1px solid #8a8a8a;font-weight:bold;overflow-wrap:break-word;min-width:58px"
_NAME = "overflow-wrap:anywhere;max-width:340px;min-width:90px"
_LOOKS = {
    "": "",
    "faint": ";opacity:0.65",
    "strong": ";font-weight:bold;background-color:#ffe0b3;color:#1a1a1a",
    "total": ";font-weight:bold",
}
#: Longest text in a cell, as HTML [bytes].
MAX_CELL = 160


@dataclass(frozen=True)
class Cell:
    """A text in a table, and how it looks."""

    text: str
    """Untrusted; it is escaped."""
    look: str = ""
    """Nothing, ``faint``, ``strong`` or ``total``."""
    swatch: str = ""
    """HTML of a small picture before the text; trusted."""


def numbers_table(
    columns: Sequence[str | Cell],
    rows: Sequence[Sequence[str | Cell]],
    *,
    texts: Collection[int] = (0,),
    caption: str = "",
    limit: int = MAX_CELL,
) -> str:
    """
    Draw a table of names and numbers.

    Parameters
    ----------
    columns : sequence of str or Cell
        The headings.
    rows : sequence of sequence of str or Cell
        As long as ``columns``, each.
    texts : collection of int, optional
        The columns, from 0, that hold texts, which wrap; the others hold numbers, which do not.
    caption : str, optional
        What stands above; escaped.
    limit : int, optional
        Longest text in a cell, as HTML [bytes].

    Examples
    --------
    >>> "&lt;b&gt;" in numbers_table(["class", "cells"], [["<b>", "3"]])
    True
    """
    head = "".join(
        _heading(_content(cell, limit), f"{_HEAD};text-align:{_side(at, texts)}") for at, cell in enumerate(columns)
    )
    body = "".join(
        "<tr>" + "".join(_cell(cell, at, texts, limit) for at, cell in enumerate(row)) + "</tr>" for row in rows
    )
    title = f'<div style="font-weight:bold;margin:8px 0 2px 0">{escape_short(caption, 400)}</div>' if caption else ""
    table = f'<table style="border-collapse:collapse;margin:0"><tr>{head}</tr>{body}</table>'
    return title + scrolling(table, caption or say("Table"))


def _heading(content: str, style: str) -> str:
    # An empty corner is no heading: a screen reader would announce one.
    return f'<th scope="col" style="{style}">{content}</th>' if content else f'<td style="{style}"></td>'


def _side(at: int, texts: Collection[int]) -> str:
    return "left" if at in texts else "right"


def _cell(cell: str | Cell, at: int, texts: Collection[int], limit: int) -> str:
    look = _LOOKS[cell.look] if isinstance(cell, Cell) else ""
    wrap = _NAME if at in texts else "white-space:nowrap"
    return f'<td style="{_BASE};text-align:{_side(at, texts)};{wrap}{look}">{_content(cell, limit)}</td>'


def _content(cell: str | Cell, limit: int) -> str:
    if isinstance(cell, str):
        return escape_short(redact_text(cell), limit)
    picture = f"{cell.swatch} " if cell.swatch else ""
    return picture + escape_short(redact_text(cell.text), limit)
