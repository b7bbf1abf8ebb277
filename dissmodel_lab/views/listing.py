"""Tables of runs and of models: static HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissmodel_lab.language import say
from dissmodel_lab.views.markup import escape, scrolling

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD = "padding:2px 14px 2px 0;text-align:left;border:none;border-bottom:1px solid #8a8a8a"
_CELL = "padding:2px 14px 2px 0;text-align:left;vertical-align:top;border:none"
_SHORT = 24
"""Longest text that never wraps [characters]: names, ids and dates stay whole."""


def table_html(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    """
    Draw a table of texts.

    Parameters
    ----------
    columns : sequence of str
        The headings.
    rows : sequence of sequence of str
        Untrusted text; it is escaped.
    empty : str
        What to say when there are no rows.

    Examples
    --------
    >>> "&lt;b&gt;" in table_html(["name"], [["<b>"]], "nothing")
    True
    """
    if not rows:
        return f"<div>{escape(empty)}</div>"
    head = "".join(f'<th scope="col" style="{_HEAD}">{escape(column)}</th>' for column in columns)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    table = f'<table style="border-collapse:collapse;font-size:13px"><tr>{head}</tr>{body}</table>'
    return scrolling(table, say("Table"))


def _cell(text: str) -> str:
    wrap = "white-space:nowrap" if len(text) <= _SHORT else "overflow-wrap:anywhere"
    return f'<td style="{_CELL};{wrap}">{escape(text)}</td>'
