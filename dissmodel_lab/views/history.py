"""The runs of a store as a table: static HTML that lasts, and controls to page, sort and filter it.

The controls are one output, the table another, which they change: a widget does not survive in a saved
notebook, and the table does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from dissmodel_lab.conditions import condition_text, moment_of, parse_condition
from dissmodel_lab.errors import LabError, QueryError
from dissmodel_lab.history import History, list_runs, path_of
from dissmodel_lab.index import RunQuery
from dissmodel_lab.language import in_language, mark, message, say, say_n
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.store import RunStore
from dissmodel_lab.views.map_view import data_url
from dissmodel_lab.views.markup import escape, escape_attribute, escape_short, scrolling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from dissmodel_lab.conditions import Condition
    from dissmodel_lab.history import RunRow, Thumbnail
    from dissmodel_lab.index import RunEntry

LIMIT = 300_000
"""Longest HTML of one table, pictures included [bytes]."""
_MAX_CELL = 480
"""Longest text in a cell, as HTML [bytes]."""
_SIDE = 40
"""Longest side of a thumbnail on the page [CSS pixels]."""
_BASE = "padding:3px 10px 3px 0;border:none;font-size:13px;vertical-align:top"
_HEAD = f"{_BASE};text-align:{{}};border-bottom:1px solid #8a8a8a;white-space:nowrap"
_TEXT = f"{_BASE};text-align:left;white-space:normal"
_WORD = f"{_BASE};text-align:left;white-space:nowrap;font-weight:normal"
_NUMBER = f"{_BASE};text-align:right;white-space:nowrap"
_SHORT = 24
"""Longest text that never wraps [characters]."""
_WIDE = 145
"""Width of one that does [CSS pixels]: the columns of parameters fit beside it on a laptop."""
_SIGNS = {"completed": "✓", "failed": "✗", "cancelled": "■", "running": "●"}
"""A status is a word; the sign before it makes it found faster."""
EMPTY = mark("No runs yet. Start one with: %dissmodel run MODEL")
#: What to sort by, by heading.
_SORTS = {"run": "id", "what differs": "title", "when (UTC)": "created"}
_UNSORTED = frozenset({"tags", "what happened"})
_LINE = "line-height:28px;margin:0 14px 0 2px"
_FALLBACK = mark("To page, sort and filter needs a running kernel; the table below does not.")


class RunTable(Sequence["RunEntry"]):
    """
    Runs, as :func:`runs` finds them: a sequence of entries that shows itself as a table.

    Parameters
    ----------
    store : RunStore
        Where they are kept.
    query : RunQuery
        Which of them.
    columns : sequence of str
        Parameters, metrics or fields to show in any case.
    thumbnails : bool
        Whether to draw the outputs.

    Attributes
    ----------
    history : History
        The rows that are shown; clicks on the controls of :meth:`show` change it.

    Raises
    ------
    QueryError
        When the query cannot be understood.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import RunStore, run
    >>> store = RunStore(tempfile.mkdtemp())
    >>> record = run("game_of_life", parameters={"generations": 2}, store=store)
    >>> table = RunTable(store)
    >>> len(table), table[0].experiment_id == record.experiment_id
    (1, True)
    """

    def __init__(
        self, store: RunStore, query: RunQuery | None = None, *, columns: Iterable[str] = (), thumbnails: bool = True
    ) -> None:
        self.store = store
        self._columns = columns if isinstance(columns, str) else tuple(columns)
        self._thumbnails = thumbnails
        self.history = self._list(query or RunQuery())

    @property
    def total(self) -> int:
        """How many runs fit, on all pages."""
        return self.history.total

    def __len__(self) -> int:
        return len(self.history.rows)

    @overload
    def __getitem__(self, index: int) -> RunEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[RunEntry]: ...
    def __getitem__(self, index: int | slice) -> RunEntry | list[RunEntry]:
        if isinstance(index, slice):
            return [row.entry for row in self.history.rows[index]]
        return self.history.rows[index].entry

    def __repr__(self) -> str:
        return self.history.to_text() if self.history.rows or _is_filtered(self.history.query) else say(EMPTY)

    def select(self, query: RunQuery) -> None:
        """
        Ask anew; the table then holds what was found.

        Parameters
        ----------
        query : RunQuery
            Which runs, in which order.

        Raises
        ------
        QueryError
            When it cannot be understood; the table stays as it is.
        """
        self.history = self._list(query)

    def to_frame(self) -> Any:
        """
        Return the rows as a pandas DataFrame, with values as they are and not as they are shown.

        Examples
        --------
        >>> import tempfile
        >>> from dissmodel_lab import RunStore
        >>> list(RunTable(RunStore(tempfile.mkdtemp())).to_frame().columns)[:4]
        ['experiment_id', 'title', 'model', 'status']
        """
        import pandas as pd  # noqa: PLC0415 -- only for those who calculate

        facts = [
            {
                "experiment_id": row.entry.experiment_id,
                "title": row.title,
                "model": row.entry.model_name,
                "status": row.entry.status,
                "created_at": row.entry.created_at,
                "seconds": row.entry.seconds,
                "tags": list(row.entry.tags),
                "problem": row.problem,
                "record": str(path_of(row.entry)),
            }
            for row in self.history.rows
        ]
        names = list(facts[0]) if facts else _FRAME
        frame = pd.DataFrame(facts, columns=names)
        for name in self.history.columns:
            values = [row.by_column.get(name) for row in self.history.rows]
            frame[name if name not in names else f"parameters.{name}"] = pd.Series(values, index=frame.index)
        return frame

    def show(self) -> None:
        """Show the table with controls above it; the table alone stays in a saved notebook."""
        from dissmodel_lab.views.outputs import new_output  # noqa: PLC0415 -- widgets, only when something is shown

        above, below = new_output(), new_output()
        if self.history.rows or _is_filtered(self.history.query):  # an empty store needs no controls
            above.reserve()
            above.show_widget(
                RunControls(self, lambda: below.show_static(self._repr_mimebundle_())).widget, say(_FALLBACK)
            )
        below.reserve()
        below.show_static(self._repr_mimebundle_())

    def _list(self, query: RunQuery) -> History:
        return list_runs(self.store, query, columns=self._columns, thumbnails=self._thumbnails)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002
        return {"text/plain": repr(self), "text/html": history_html(self.history)}


_FRAME = ["experiment_id", "title", "model", "status", "created_at", "seconds", "tags", "problem", "record"]


def runs(
    store: str | Path | RunStore | None = None,
    *,
    model: str = "",
    status: str = "",
    tag: str = "",
    source: str = "",
    since: str | date | None = None,
    until: str | date | None = None,
    where: str | Condition = "",
    sort: str = "-created",
    columns: Iterable[str] = (),
    limit: int = 50,
    thumbnails: bool = True,
) -> RunTable:
    """
    Find runs.

    Parameters
    ----------
    store : str, Path or RunStore, optional
        Where they are kept; ``experiments`` in the working folder when not given.
    model, status, tag : str
        Only runs of this model, with this status, with this tag.
    source : str
        Only runs whose input has this SHA-256.
    since, until : str, date or datetime, optional
        Only runs from then on, or before; ISO 8601, in UTC where it names no time zone.
    where : str or Condition
        A condition on parameters and metrics, see :func:`dissmodel_lab.conditions.parse_condition`.
    sort : str
        A field, parameter or metric; with a leading ``-`` the largest first.
    columns : iterable of str
        Parameters, metrics or fields to show in any case.
    limit : int
        How many on a page.
    thumbnails : bool
        Whether to draw the outputs.

    Returns
    -------
    RunTable
        A sequence of entries; it shows itself in a notebook. ``.show()`` adds controls, ``.to_frame()`` is a
        pandas DataFrame.

    Raises
    ------
    QueryError
        When a condition, a date or a name cannot be understood.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import run
    >>> folder = tempfile.mkdtemp()
    >>> for n in (2, 3):
    ...     _ = run("game_of_life", parameters={"generations": n}, store=folder)
    >>> found = runs(folder, where="generations > 2")
    >>> print(found.history.caption)
    1 of 1 run; generations > 2; newest first
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise QueryError(message("limit is {limit!r:.80}; a whole number from 1 on is needed.", limit=limit))
    query = RunQuery(
        model=model,
        status=status,
        tag=tag,
        source_sha256=source.lower(),
        since=_moment(since, "since"),
        until=_moment(until, "until"),
        where=_condition(where),
        sort=sort,
        limit=limit,
    )
    keep = store if isinstance(store, RunStore) else RunStore(store)
    return RunTable(keep, query, columns=columns, thumbnails=thumbnails)


def history_html(history: History, *, limit: int = LIMIT) -> str:
    """
    Draw a page of runs as static HTML; whatever the runs hold, it stays below a limit.

    Parameters
    ----------
    history : History
        Everything in it is untrusted text and escaped.
    limit : int
        Longest HTML [bytes]; pictures give way first, then rows, and both are said.

    Examples
    --------
    >>> history_html(History((), query=RunQuery(model="<b>")))
    '<div style="font-size:13px;line-height:1.5"><div><b>no runs</b>; model &lt;b&gt;; newest first</div></div>'
    """
    parts = [escape(part) for part in history.caption.split("; ")]
    caption = f"<div><b>{parts[0]}</b>{''.join(f'; {part}' for part in parts[1:])}</div>"
    room = limit - len(caption.encode()) - _NOTES
    table, n_rows, n_undrawn = _table(history, room) if history.rows else ("", 0, 0)
    notes = list(map(in_language, history.notes))
    if n_rows < len(history.rows):
        notes.append(
            say_n(
                "{n} more run does not fit here. Ask for fewer with limit.",
                "{n} more runs do not fit here. Ask for fewer with limit.",
                len(history.rows) - n_rows,
            )
        )
    if n_undrawn:
        notes.append(say_n("{n} picture does not fit here.", "{n} pictures do not fit here.", n_undrawn))
    if not history.rows and not _is_filtered(history.query):
        notes.append(say(EMPTY))
    said = "".join(f'<div style="opacity:0.85">{escape_short(note, 1_000)}</div>' for note in notes[:_MOST_NOTES])
    return f'<div style="font-size:13px;line-height:1.5">{caption}{table}{said}</div>'


_NOTES, _MOST_NOTES = 12_000, 10
"""Room for the notes [bytes], and how many are shown."""


def _table(history: History, room: int) -> tuple[str, int, int]:
    """Draw the table; return how many rows fit, and how many pictures do not."""
    has_pictures = any(row.thumbnail for row in history.rows)
    sides = _sides(history)
    head = _heads(history, sides, has_pictures=has_pictures)
    texts: list[str] = []
    room -= len(head) + 1_000
    for row in history.rows:
        text = _row_text(history, row, sides)
        room -= len(text.encode()) + len(_PICTURE_CELL)
        if room < 0:
            break
        texts.append(text)
    body, n_undrawn = "", 0
    for row, text in zip(history.rows, texts, strict=False):
        picture = _picture(row.thumbnail) if row.thumbnail else ""
        room -= len(picture.encode())
        if room < 0 and picture:
            picture, n_undrawn = "", n_undrawn + 1
        cell = _PICTURE_CELL.format(picture) if has_pictures else ""
        body += f"<tr>{cell}{text}</tr>"
    table = f'<table style="border-collapse:collapse;margin:4px 0"><thead>{head}</thead><tbody>{body}</tbody></table>'
    return scrolling(table, say("Runs")), len(texts), n_undrawn


_PICTURE_CELL = '<td style="padding:2px 10px 2px 0;border:none;text-align:left;vertical-align:top">{}</td>'


def _heads(history: History, sides: Sequence[str], *, has_pictures: bool) -> str:
    sort, is_largest = history.query.sort.removeprefix("-"), history.query.sort.startswith("-")
    cells = [f'<th scope="col" style="{_HEAD.format("left")}">{escape(say("output"))}</th>'] if has_pictures else []
    for head, shown, side in zip(history.heads, history.shown_heads, sides, strict=True):
        is_sorted = _SORTS.get(head, head) == sort and head not in _UNSORTED
        order = f' aria-sort="{"descending" if is_largest else "ascending"}"' if is_sorted else ""
        arrow = f" {_ARROWS[is_largest]}" if is_sorted else ""
        cells.append(f'<th scope="col"{order} style="{_HEAD.format(side)}">{escape_short(shown, 240)}{arrow}</th>')
    return f"<tr>{''.join(cells)}</tr>"


_ARROWS = {False: "▲", True: "▼"}


def _sides(history: History) -> list[str]:
    """Return where each column's texts stand: numbers to the right."""
    n_always = len(history.heads) - len(history.columns)
    sides = ["right" if head == "seconds" else "left" for head in history.heads[:n_always]]
    return sides + ["right" if _is_number(history, name) else "left" for name in history.columns]


def _is_number(history: History, name: str) -> bool:
    found = [row.by_column[name] for row in history.rows if name in row.by_column]
    return bool(found) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)


def _row_text(history: History, row: RunRow, sides: Sequence[str]) -> str:
    cells: list[str] = []
    for head, side, text in zip(history.heads, sides, history.cells(row), strict=True):
        shown = escape_short(text, _MAX_CELL)
        if not cells:
            cells.append(f'<th scope="row" style="{_WORD};font-family:monospace">{shown}</th>')
            continue
        if head == "status" and row.entry.status in _SIGNS:
            shown = f"{_SIGNS[row.entry.status]} {shown}"
        if len(text) > _SHORT and side == "left":
            # A width of its own: a cell is squeezed as far as its words allow before the table is scrolled.
            shown = f'<div style="width:{min(7 * len(text), _WIDE)}px;overflow-wrap:anywhere">{shown}</div>'
        style = _NUMBER if side == "right" else _WORD if len(text) <= _SHORT else _TEXT
        cells.append(f'<td style="{style}">{shown}</td>')
    return "".join(cells)


def _picture(thumbnail: Thumbnail) -> str:
    scale = min(1.0, _SIDE / max(thumbnail.size))
    width, height = (max(1, round(side * scale)) for side in thumbnail.size)
    return (
        f'<img alt="{escape_attribute(thumbnail.text)}" width="{width}" height="{height}" '
        f'src="{data_url(thumbnail.png)}" '
        f'style="width:{width}px;height:{height}px;max-width:{width}px;margin:0;display:block;'
        'border:1px solid #888888;background-color:#ffffff">'
    )


class RunControls:
    """
    What turns the pages of a :class:`RunTable`, sorts and filters it.

    Parameters
    ----------
    table : RunTable
        Is changed by clicks.
    on_change : callable
        Called when the table holds other rows, to show them.

    Attributes
    ----------
    widget : ipywidgets.VBox
        To be shown above the table.
    error : Exception or None
        What the last click ran into; a widget would swallow it.

    Examples
    --------
    >>> import tempfile
    >>> from dissmodel_lab import RunStore
    >>> controls = RunControls(RunTable(RunStore(tempfile.mkdtemp())), print)
    >>> controls.filter.value = "years = 20"
    >>> print(controls.error)
    The condition has '=' at character 7. Write == to compare.
    """

    def __init__(self, table: RunTable, on_change: Callable[[], None]) -> None:
        import ipywidgets as widgets  # noqa: PLC0415 -- only when something is shown

        from dissmodel_lab.views.access import accessible  # noqa: PLC0415 -- as above

        self._table, self._on_change = table, on_change
        self._page_size = table.history.query.limit or max(1, len(table))
        self._is_refreshing = False
        self._sort_buttons: dict[str, Any] = {}
        self.error: Exception | None = None
        where = table.history.query.where
        self.filter = widgets.Text(
            description=say("Filter"),
            value="" if where is None else condition_text(where),
            placeholder="sea_level_rise > 0.4 and status == 'completed'",
            continuous_update=False,
            style={"description_width": "initial"},
            layout=widgets.Layout(width="auto", max_width="720px"),
        )
        self._message, self._status = widgets.HTML(), widgets.HTML()
        self._sorts = widgets.HBox(layout=widgets.Layout(flex_flow="row wrap", align_items="center"))
        self._sort_label = widgets.HTML(f'<div style="line-height:28px">{escape(say("Sort by"))}</div>')
        self.previous = self._button(say("Previous"), lambda: self._turn(-1))
        self.next = self._button(say("Next"), lambda: self._turn(1))
        self.page = widgets.BoundedIntText(
            1,
            1,
            1,
            description=say("Page"),
            continuous_update=False,
            style={"description_width": "initial"},
            layout=widgets.Layout(width="100px"),
        )
        self._of_pages = widgets.HTML()
        self.filter.observe(lambda _change: self._do(self._filter), "value")
        self.page.observe(lambda _change: self._do(lambda: self._go(self.page.value)), "value")
        pages = widgets.HBox([self.previous, self.next, self.page, self._of_pages, self._status])
        pages.layout.flex_flow, pages.layout.align_items = "row wrap", "center"
        self.widget = accessible(widgets.VBox([self.filter, self._message, self._sorts, pages]))
        self.widget.add_class("dl-runs")
        self._refresh()

    def sort_button(self, head: str) -> Any:
        """
        Return the button that sorts by a column.

        Parameters
        ----------
        head : str
            The column's heading.

        Raises
        ------
        KeyError
            When the table has no such column now.
        """
        return self._sort_buttons[head]

    def _button(self, label: str, act: Callable[[], None]) -> Any:
        import ipywidgets as widgets  # noqa: PLC0415 -- as above

        button = widgets.Button(description=label, layout=widgets.Layout(width="auto"))
        button.on_click(lambda _button: self._do(act))
        return button

    def _do(self, act: Callable[[], None]) -> None:
        if self._is_refreshing:
            return
        self.error = None
        try:
            act()
            self._say("")
            self._refresh()
            self._on_change()
        except LabError as error:
            self.error = error
            self._say(error.said)
        except Exception as error:  # noqa: BLE001 -- a widget would swallow it; here it is shown and kept
            self.error = error
            self._say(f"{type(error).__name__}: {error}")

    def _filter(self) -> None:
        self._select(where=_condition(self.filter.value), offset=0)

    def _sort(self, head: str) -> None:
        name, query = _SORTS.get(head, head), self._table.history.query
        first = f"-{name}" if name == "created" else name
        other = name if first.startswith("-") else f"-{name}"
        self._select(sort=other if query.sort == first else first, offset=0)

    def _turn(self, pages: int) -> None:
        self._go(self._table.history.query.offset // self._page_size + 1 + pages)

    def _go(self, page: int) -> None:
        self._select(offset=(max(1, page) - 1) * self._page_size)

    def _select(self, **changes: Any) -> None:
        self._table.select(self._table.history.query._replace(limit=self._page_size, **changes))

    def _say(self, text: str) -> None:
        said = f'<div role="alert" style="line-height:1.4">&#9888; {escape(redact_text(text))}</div>'
        self._message.value = said if text else ""

    def _refresh(self) -> None:
        history = self._table.history
        n_pages = max(1, -(-history.total // self._page_size))
        page = history.query.offset // self._page_size + 1
        self._is_refreshing = True
        try:
            self.page.max = max(n_pages, page)
            self.page.value = page
        finally:
            self._is_refreshing = False
        self.previous.disabled, self.next.disabled = page <= 1, page >= n_pages
        self._of_pages.value = f'<div style="{_LINE}">{escape(say("of {n:,}", n=n_pages))}</div>'
        said = f'<div role="status" aria-live="polite" style="{_LINE}">{escape(history.range_text)}</div>'
        if self._status.value != said:  # the same text again would be read aloud again
            self._status.value = said
        self._refresh_sorts(history)

    def _refresh_sorts(self, history: History) -> None:
        texts = dict(zip(history.heads, history.shown_heads, strict=True))
        heads = [head for head in history.heads if head not in _UNSORTED]
        # A button that stays keeps the keyboard's place.
        self._sort_buttons = {
            head: self._sort_buttons.get(head) or self._button(texts[head], partial(self._sort, head))
            for head in heads
        }
        sort, is_largest = history.query.sort.removeprefix("-"), history.query.sort.startswith("-")
        for head, button in self._sort_buttons.items():
            is_sorted = _SORTS.get(head, head) == sort
            button.description = f"{texts[head]} {_ARROWS[is_largest]}" if is_sorted else texts[head]
            button.tooltip = _sort_text(texts[head], is_sorted=is_sorted, is_largest=is_largest)
        children = (self._sort_label, *self._sort_buttons.values())
        if self._sorts.children != children:
            self._sorts.children = children


def _sort_text(head: str, *, is_sorted: bool, is_largest: bool) -> str:
    if not is_sorted:
        return say("Sort by {column}", column=head)
    if is_largest:
        return say("Sort by {column}, now the largest first", column=head)
    return say("Sort by {column}, now the smallest first", column=head)


def _condition(where: str | Condition | None) -> Condition | None:
    if isinstance(where, str):
        return parse_condition(where) if where.strip() else None
    return where


def _moment(said: str | date | None, name: str) -> datetime | None:
    if said is None or said == "":
        return None
    text = said if isinstance(said, str) else said.isoformat() if isinstance(said, date) else ""
    try:
        return moment_of(text)
    except ValueError as error:
        raise QueryError(
            message(
                "{name} is {said!r:.80}, which is no moment. Write '2026-11-01', or '2026-11-01T12:00' (in UTC).",
                name=name,
                said=said,
            )
        ) from error


def _is_filtered(query: RunQuery) -> bool:
    return query._replace(sort="", limit=None, offset=0) != RunQuery(sort="")
