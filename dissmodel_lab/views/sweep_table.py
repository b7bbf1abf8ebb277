"""The runs of a sweep as a table of one page: static HTML, and the controls that turn its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from dissmodel_lab.language import say, say_n
from dissmodel_lab.progress import status_text
from dissmodel_lab.sweeps.report import CANCELLED, COMPLETED, FAILED, RUNNING, WAITING
from dissmodel_lab.views.access import accessible
from dissmodel_lab.views.cancel_button import answer_during_cells
from dissmodel_lab.views.markup import escape_short, scrolling
from dissmodel_lab.views.sweep_text import PAGE, STATUSES, n_more_metrics, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dissmodel_lab.sweeps.design import SweepDesign
    from dissmodel_lab.sweeps.report import SweepRow
    from dissmodel_lab.views.sweep_text import SweepShown

#: Longest HTML of a page [bytes].
LIMIT = 70_000
_MAX_CELL, _MAX_REASON = 200, 400
"""Longest text of a cell, as HTML [bytes]."""
_BASE = "padding:2px 12px 2px 0;border:none;font-size:13px;vertical-align:top"
_HEAD = f"{_BASE};border-bottom:1px solid #8a8a8a;font-weight:bold"
# A sign, its colour and a word: the state never hangs on colour alone. The colours read on white and on black.
_SIGNS = {
    COMPLETED: ("✓", "#3a9a4e"),
    FAILED: ("✗", "#d9463e"),
    CANCELLED: ("■", "#b26a00"),
    RUNNING: ("●", "#2f86c5"),
    WAITING: ("○", "#8a8a8a"),
}


def runs_html(design: SweepDesign, rows: Sequence[SweepRow], metrics: Sequence[str], caption: str = "") -> str:
    """
    Draw runs of a sweep as a table.

    Parameters
    ----------
    design : SweepDesign
        Whose axes are columns.
    rows : sequence of SweepRow
        One page of them; everything in them is escaped.
    metrics : sequence of str
        All metrics: the first few have columns, the others are counted.
    caption : str, optional
        What stands above.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis, SweepDesign
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> design = SweepDesign(model_name="flood", axes=(), sample="grid", settings=((),))
    >>> html = runs_html(design, [SweepRow(point=1, setting=1, parameters={}, status="failed", error="<b>")], [])
    >>> "&lt;b&gt;" in html
    True
    """
    columns, cells = table_of(design, rows, metrics)
    at_status = 1 + len(design.axes) + bool(design.seeds)
    sides = [
        "left" if at in (at_status, len(columns) - 2, len(columns) - 1) else "right" for at in range(len(columns))
    ]
    sides[1 : 1 + len(design.axes)] = ["right" if axis.is_ordered else "left" for axis in design.axes]
    head = "".join(
        f'<th scope="col" style="{_HEAD};text-align:{side}">{escape_short(name, _MAX_CELL)}</th>'
        for name, side in zip(columns, sides, strict=True)
    )
    body, room = [], LIMIT
    for row, texts in zip(rows, cells, strict=True):
        line = _line(row, at_status, texts, sides)
        room -= len(line.encode())
        if room < 0:
            break
        body.append(line)
    notes, left_out = [], n_more_metrics(metrics)
    if len(body) < len(rows):
        n_more = len(rows) - len(body)
        notes.append(say_n("{n} more run does not fit here.", "{n} more runs do not fit here.", n_more))
    if left_out:
        notes.append(
            say_n("{n} more metric is in sweep.to_frame().", "{n} more metrics are in sweep.to_frame().", left_out)
        )
    said = "".join(f'<div style="font-size:12px;opacity:0.85">{note}</div>' for note in notes)
    table = f'<table style="border-collapse:collapse;margin:0"><tr>{head}</tr>{"".join(body)}</table>'
    return (
        f'<div style="line-height:1.4"><div style="font-weight:bold;font-size:13px;margin:6px 0 2px 0">'
        f"{escape_short(caption, 400)}</div>{scrolling(table, caption)}{said}</div>"
    )


def _line(row: SweepRow, at_status: int, texts: Sequence[str], sides: Sequence[str]) -> str:
    cells = []
    for at, (text, side) in enumerate(zip(texts, sides, strict=True)):
        shown = escape_short(text, _MAX_REASON if at == len(texts) - 1 else _MAX_CELL)
        style = f"{_BASE};text-align:{side}"
        if at == at_status:
            sign, colour = _SIGNS.get(row.status, ("?", "#8a8a8a"))
            shown = f'<span style="color:{colour};font-weight:bold">{sign}</span> {shown}'
        elif at == len(texts) - 2:
            style += ";font-family:monospace"
        wrap = "overflow-wrap:anywhere;min-width:180px" if at == len(texts) - 1 and text else "white-space:nowrap"
        cells.append(f'<td style="{style};{wrap}">{shown}</td>')
    return f"<tr>{''.join(cells)}</tr>"


class SweepTable:
    """
    One page of a sweep's runs, and the controls that choose it.

    It keeps no rows: a page is read when it is drawn, so that ten thousand runs need no more memory than twenty.

    Parameters
    ----------
    sweep : Sweep
        At work or over.
    on_change : callable
        Called when another page is wanted.

    Attributes
    ----------
    widget : ipywidgets.Box
        The controls.
    """

    def __init__(self, sweep: SweepShown, on_change: Callable[[], None]) -> None:
        self._sweep, self._on_change = sweep, on_change
        self._page, self._n_pages = 1, 1
        self.status = widgets.Dropdown(
            options=[(say("all runs"), ""), *((status_text(status), status) for status in STATUSES)],
            description=say("Show"),
            style={"description_width": "initial"},
            layout=widgets.Layout(width="170px"),
        )
        self.previous = _button(say("Previous"), lambda: self._go(self._page - 1))
        self.next = _button(say("Next"), lambda: self._go(self._page + 1))
        self.page = widgets.BoundedIntText(
            1,
            1,
            1,
            description=say("Page"),
            continuous_update=False,
            style={"description_width": "initial"},
            layout=widgets.Layout(width="110px"),
        )
        self._of = widgets.HTML(layout=widgets.Layout(margin="0 0 0 8px"))
        self.status.observe(lambda _change: self._go(1), "value")
        self.page.observe(self._turned, "value")
        controls = [self.status, self.previous, self.next, self.page, self._of]
        self.widget = accessible(
            widgets.Box(controls, layout=widgets.Layout(flex_flow="row wrap", align_items="center"))
        )
        self.widget.add_class("dl-sweep-pages")
        for control in (self.status, self.previous, self.next, self.page):
            answer_during_cells(control)

    def html(self, rows: Sequence[SweepRow] | None = None) -> str:
        """
        Draw the page that is chosen.

        Parameters
        ----------
        rows : sequence of SweepRow, optional
            All rows, where they have just been read.
        """
        rows = self._sweep.rows() if rows is None else rows
        wanted = [row for row in rows if row.status == self.status.value] if self.status.value else rows
        self._n_pages = max(1, -(-len(wanted) // PAGE))
        self._page = min(max(1, self._page), self._n_pages)
        self._show_place(len(wanted))
        first = (self._page - 1) * PAGE
        shown = wanted[first : first + PAGE]
        caption = _caption(self.status.value, first + 1, first + len(shown), len(wanted))
        return runs_html(self._sweep.design, shown, self._sweep.metric_names(), caption)

    def _show_place(self, n_rows: int) -> None:
        self.page.max = self._n_pages
        self.page.value = self._page
        self.previous.disabled, self.next.disabled = self._page <= 1, self._page >= self._n_pages
        text = say_n("of {pages:,} ({n} run)", "of {pages:,} ({n} runs)", n_rows, pages=self._n_pages)
        said = f'<div style="line-height:28px">{text}</div>'
        if self._of.value != said:
            self._of.value = said

    def _go(self, page: int) -> None:
        self._page = max(1, page)
        self._on_change()

    def _turned(self, change: Any) -> None:
        if change["new"] != self._page:  # else the number was set here, not by a person
            self._go(change["new"])


def _caption(status: str, first: int, last: int, total: int) -> str:
    """Say which runs a page shows."""
    if not total:
        return say("no {status} runs", status=status_text(status)) if status else say("no runs")
    if status:
        return say(
            "{first:,} to {last:,} of {total:,} {status} runs",
            first=first,
            last=last,
            total=total,
            status=status_text(status),
        )
    return say("{first:,} to {last:,} of {total:,} runs", first=first, last=last, total=total)


def _button(label: str, act: Callable[[], None]) -> Any:
    button = widgets.Button(description=label, layout=widgets.Layout(width="auto"))
    button.on_click(lambda _button: act())
    return button
