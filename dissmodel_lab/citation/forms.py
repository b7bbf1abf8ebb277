"""How a methods text is written down: as plain text, Markdown or HTML, with whatever comes from a record escaped."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dissmodel_lab.plain import cut, markdown, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 500
"""Longest text of a record in a methods text [characters]."""
_CELL = '"text-align:left;padding:2px 12px 2px 0;border-bottom:1px solid #8888;vertical-align:top"'


@dataclass(frozen=True)
class Table:
    """A table whose texts are escaped already."""

    number: str
    """``Table 1``."""
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    more: str = ""
    """How many rows are left out."""


class Form(Protocol):
    """A way to write a methods text down."""

    def escape(self, text: str) -> str:
        """Make an untrusted text harmless, on one line."""
        ...

    def document(
        self, sentences: Sequence[str], tables: Sequence[Table], title: str, references: Sequence[str]
    ) -> str:
        """Return the whole: a paragraph, tables, and references under a title."""
        ...


class _Text:
    def escape(self, text: str) -> str:
        return printable(" ".join(cut(text, LONGEST).split()))

    def document(
        self, sentences: Sequence[str], tables: Sequence[Table], title: str, references: Sequence[str]
    ) -> str:
        parts = [" ".join(sentences), *map(self._table, tables)]
        if references:
            parts.append("\n".join([title, *references]))
        return "\n\n".join(parts) + "\n"

    @staticmethod
    def _table(table: Table) -> str:
        rows = [table.columns, *table.rows]
        widths = [max(len(row[at]) for row in rows) for at in range(len(table.columns))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        more = [f"({table.more})"] if table.more else []
        return "\n".join([f"{table.number}. {table.title}", *(line.rstrip() for line in lines), *more])


class _Markdown:
    def escape(self, text: str) -> str:
        return markdown(text, LONGEST)

    def document(
        self, sentences: Sequence[str], tables: Sequence[Table], title: str, references: Sequence[str]
    ) -> str:
        parts = [" ".join(sentences), *map(self._table, tables)]
        if references:
            parts.append("\n".join([f"**{title}**", "", *(f"- {reference}" for reference in references)]))
        return "\n\n".join(parts) + "\n"

    @staticmethod
    def _table(table: Table) -> str:
        lines = [f"| {' | '.join(row)} |" for row in table.rows]
        head = [f"| {' | '.join(table.columns)} |", f"|{'---|' * len(table.columns)}"]
        more = ["", f"({table.more})"] if table.more else []
        return "\n".join([f"**{table.number}.** {table.title}", "", *head, *lines, *more])


class _Html:
    def escape(self, text: str) -> str:
        return html.escape(printable(" ".join(cut(text, LONGEST).split())))

    def document(
        self, sentences: Sequence[str], tables: Sequence[Table], title: str, references: Sequence[str]
    ) -> str:
        parts = [f"<p>{' '.join(sentences)}</p>", *map(self._table, tables)]
        if references:
            items = "".join(f"<li>{reference}</li>" for reference in references)
            parts.append(f"<p><b>{title}</b></p><ul>{items}</ul>")
        return "\n".join(parts) + "\n"

    def _table(self, table: Table) -> str:
        rows = [self._row("th", table.columns), *(self._row("td", row) for row in table.rows)]
        more = f"<p>({table.more})</p>" if table.more else ""
        caption = f"<p><b>{table.number}.</b> {table.title}</p>"
        return f'{caption}<table style="border-collapse:collapse">{"".join(rows)}</table>{more}'

    @staticmethod
    def _row(tag: str, cells: Sequence[str]) -> str:
        return f"<tr>{''.join(f'<{tag} style={_CELL}>{cell}</{tag}>' for cell in cells)}</tr>"


FORMS: dict[str, Form] = {"text": _Text(), "markdown": _Markdown(), "html": _Html()}
"""By the name that :func:`dissmodel_lab.citation.cite` takes."""
