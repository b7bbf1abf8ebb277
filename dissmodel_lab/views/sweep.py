"""A sweep in a cell: live while it lasts, then a static picture of what it found, with controls to look around.

The controls are outputs of their own, apart from what they change: a widget does not survive in a saved notebook,
and the tables, charts and maps do.
"""

from __future__ import annotations

import contextvars
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from dissmodel_lab.errors import LabError
from dissmodel_lab.language import in_language, mark, say, say_in, say_n
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.sweeps.report import COMPLETED, RUNNING
from dissmodel_lab.views.access import accessible
from dissmodel_lab.views.cancel_button import WHY, CancelButton, Words
from dissmodel_lab.views.markup import escape, escape_short
from dissmodel_lab.views.outputs import new_output
from dissmodel_lab.views.run_panel import interruptible
from dissmodel_lab.views.sweep_numbers import NOT_OVER, plain_text
from dissmodel_lab.views.sweep_table import SweepTable
from dissmodel_lab.views.sweep_text import (
    PAGE,
    STOPPED,
    chosen_from,
    first_metric,
    heading,
    progress_text,
    reasons,
    resume_text,
    sweep_text,
    text_bar,
)
from dissmodel_lab.views.tab_title import TabTitle

# Charts and maps load matplotlib, numpy and rasterio: they are imported when a sweep is over.
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dissmodel_lab.sweeps import Sweep
    from dissmodel_lab.sweeps.report import SweepProgress, SweepRow
    from dissmodel_lab.views.outputs import CellOutput, WidgetOutput
    from dissmodel_lab.views.sweep_text import SweepShown

#: Longest HTML of a sweep in a saved notebook, pictures and table included [bytes].
LIMIT = 300_000
#: Shortest time between two updates [s], of head and table together: at most four a second.
INTERVAL = 0.25
_SHARE = 200
"""The head, and the table, each wait this many times the last one's cost: at most 1 % of the processor together."""
_TABLE_ROOM = 72_000
_LOOK = 0.1
"""How often the end is looked for [s]."""
_COMMAND = "%dissmodel"
"""What begins a command in a notebook."""
_PATIENCE = 30.0
"""How long an interrupted cell waits for the runs that are being ended [s]; those of workers take 2 s to 11 s."""

WORDS = Words(
    mark("Cancel ends the runs that are at work and begins no more; what has ended stays."),
    mark("Cancelling: the running ones end at their next step, or their processes are ended after 1 s."),
    mark("Cancelling: some runs have reacted and clean up; their processes are ended after 10 s of that."),
)


class SweepOutputs:
    """Where a sweep is shown: two pairs of controls and what they change, one below the other."""

    def __init__(self) -> None:
        self.chooser: CellOutput | WidgetOutput = new_output()
        """The live panel, and when the sweep is over what chooses charts and maps."""
        self.result: CellOutput | WidgetOutput = new_output()
        self.pages: CellOutput | WidgetOutput = new_output()
        self.table: CellOutput | WidgetOutput = new_output()

    def reserve(self) -> None:
        """Take the places now, empty: what a click shows later would else have no cell to appear under."""
        for output in (self.chooser, self.result, self.pages, self.table):
            output.reserve()

    def clear(self) -> None:
        """Show nothing."""
        for output in (self.chooser, self.result, self.pages, self.table):
            output.show_static({"text/plain": "", "text/html": ""})


@dataclass(frozen=True)
class Choice:
    """What is drawn of a sweep."""

    metric: str = ""
    x: str = ""
    """A swept parameter."""
    y: str = ""
    """Another one, or empty."""
    band: str | None = None
    """Of the maps; None for the first."""
    unknown: str = ""
    """The metric that somebody asked for, and that the sweep has not."""


def first_choice(sweep: SweepShown, rows: Sequence[SweepRow], metric: str = "") -> Choice:
    """
    Choose what is drawn when nobody has chosen: a metric that varies; of a grid over its first two parameters.

    Parameters
    ----------
    sweep : Sweep
        At work or over.
    rows : sequence of SweepRow
        Its runs.
    metric : str, optional
        The metric that somebody asked for; it is drawn where the sweep has it, and said to be missing elsewhere.
    """
    metrics = sweep.metric_names()
    chosen = metric if metric in metrics else first_metric(rows, metrics)
    axes = [axis.name for axis in sweep.design.axes if len(axis.values) != 1] or list(sweep.design.names[:1])
    is_map = sweep.design.sample == "grid" and len(axes) > 1
    unknown = metric if metrics and metric not in metrics else ""
    return Choice(metric=chosen, x=axes[0] if axes else "", y=axes[1] if is_map else "", unknown=unknown)


def show_sweep(
    sweep: Sweep, output: SweepOutputs | None = None, *, background: bool = False, metric: str = ""
) -> Sweep:
    """
    Show a sweep in a cell: live as long as somebody drives it, then what it found.

    Parameters
    ----------
    sweep : Sweep
        At work, stopped or finished.
    output : SweepOutputs, optional
        Where to show it; new outputs of the cell when not given.
    background : bool
        Return at once; the panel lives on by itself. Else this waits for the end, and the notebook's stop button
        cancels the sweep: what has ended stays.
    metric : str, optional
        What the chart shows first.

    Returns
    -------
    Sweep
        The one that was given.

    Raises
    ------
    KeyboardInterrupt
        When the notebook's stop button was pressed; the picture of the sweep is shown before.
    """
    place = output or SweepOutputs()
    if output is None:
        place.reserve()  # now, in their order: what is shown later would else stand where it comes first
    if sweep.progress().state != RUNNING:
        SweepView(sweep, place, metric).show()
        return sweep
    panel = SweepPanel(sweep, blocks=not background)
    place.chooser.show_widget(panel.widget, fallback_html(sweep))
    panel.start()
    if background:
        context = contextvars.copy_context()  # a plain thread of ipykernel 7.0 may not touch widgets
        arguments = (_finish_in_background, sweep, panel, place, metric)
        threading.Thread(target=context.run, args=arguments, daemon=True, name="dissmodel_lab sweep").start()
        return sweep
    try:
        with interruptible():
            _wait(sweep, panel)
    finally:
        _replace(sweep, panel, place, metric)
    return sweep


def fallback_html(sweep: SweepShown) -> str:
    """
    Return what a saved notebook says in place of a sweep that was not over; trusted HTML.

    Parameters
    ----------
    sweep : Sweep
        At work.
    """
    return say(
        "The {sweep} was not over when this was saved; show it again to see how far it is.",
        sweep=escape(heading(sweep.design, sweep.id)),
    )


def sweep_bundle(sweep: SweepShown) -> dict[str, str]:
    """
    Return what a notebook stores of a sweep: plain text, and HTML without scripts.

    Parameters
    ----------
    sweep : Sweep
        At work, stopped or finished.
    """
    rows = sweep.rows()
    table = SweepTable(sweep, lambda: None)
    try:
        html = result_html(sweep, SweepPictures(sweep), first_choice(sweep, rows), rows) + table.html(rows)
    finally:
        _close(table.widget)
    return {"text/plain": sweep_text(sweep, command=_COMMAND), "text/html": html}


def result_html(sweep: SweepShown, pictures: SweepPictures, choice: Choice, rows: Sequence[SweepRow]) -> str:
    """
    Draw what a sweep found, without its table: head, chart, sensitivity, maps; below a limit whatever it holds.

    Parameters
    ----------
    sweep : Sweep
        At work, stopped or finished.
    pictures : SweepPictures
        Of this sweep.
    choice : Choice
        What to draw.
    rows : sequence of SweepRow
        Its runs.

    Returns
    -------
    str
        HTML that reads without scripts and in an untrusted notebook.
    """
    parts = [head_html(sweep, sweep.progress(), reasons(rows)), *pictures.drawn(choice, rows)]
    room, kept, n_dropped = LIMIT - _TABLE_ROOM, [], 0
    for part in parts:
        size = len(part.encode())
        if size > room:
            n_dropped += 1
            continue
        room -= size
        kept.append(part)
    if n_dropped:
        said = say_n(
            "{n} of the pictures does not fit into a notebook.",
            "{n} of the pictures do not fit into a notebook.",
            n_dropped,
        )
        kept.append(f'<div style="font-size:12px">{said}</div>')
    return f'<div style="font-size:13px;line-height:1.5">{"".join(kept)}</div>'


def head_html(sweep: SweepShown, progress: SweepProgress, failures: Sequence[str] = ()) -> str:
    """
    Say what a sweep is and how far it is: a bar that is also text, and the reasons of the runs that failed.

    Parameters
    ----------
    sweep : Sweep
        Which one.
    progress : SweepProgress
        As it told it.
    failures : sequence of str, optional
        Why runs failed.
    """
    design = sweep.design
    notes = [*map(in_language, design.notes[:_NOTES]), *failures]
    if progress.problem:
        notes.append(say("Stopped: {problem}", problem=redact_text(in_language(progress.problem))))
    if progress.state == STOPPED:
        notes.append(resume_text(sweep.id, _COMMAND))
    said = "".join(f'<div style="overflow-wrap:anywhere">{escape_short(note, _WORDS)}</div>' for note in notes)
    return (
        f'<div style="font-size:13px;line-height:1.5;max-width:860px"><div style="font-weight:bold">'
        f"{escape_short(heading(design, sweep.id), _WORDS)}</div>{bar_html(progress)}"
        f"<div>{escape(progress_text(progress))}</div>{said}</div>"
    )


def bar_html(progress: SweepProgress) -> str:
    """
    Draw progress as a bar: what completed, what ended without a result, what is at work; with its text.

    Parameters
    ----------
    progress : SweepProgress
        As the sweep told it.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.report import SweepProgress
    >>> "60 %" in bar_html(SweepProgress(5, 1, 0, 2, 2, 1.0, None))
    True
    """
    total = max(1, progress.total)
    parts = [
        (progress.done, "#2e8540"),
        (progress.failed, "#c62828"),
        (progress.cancelled, "#b26a00"),
        (progress.running, "#7fb7dd"),
    ]
    boxes = "".join(
        f'<div style="display:inline-block;vertical-align:top;width:{100 * count / total:.2f}%;height:10px;'
        f'background-color:{colour}"></div>'
        for count, colour in parts
        if count
    )
    share = text_bar(progress).rpartition("]")[2].strip()
    return (
        '<div style="margin:3px 0"><div style="display:inline-block;vertical-align:middle;width:70%;max-width:520px;'
        'height:10px;background-color:#d0d0d0;border-radius:3px;overflow:hidden;white-space:nowrap;font-size:0">'
        f'{boxes}</div> <span style="margin:0 0 0 8px">{share}</span></div>'
    )


_NOTES, _WORDS = 6, 600
_MISSING = {
    "chart": mark("No chart: {problem}"),
    "indices": mark("No indices: {problem}"),
    "maps": mark("No maps: {problem}"),
}
"""What is said in the place of a picture that failed."""
_MOST_KEPT = 40
"""Pictures that are kept, so that going back to a choice is immediate."""


class SweepPictures:
    """
    The chart, the indices and the maps of a sweep as static HTML, each drawn once for as long as no run ends.

    Parameters
    ----------
    sweep : Sweep
        At work, stopped or finished.

    Attributes
    ----------
    bands : tuple of str
        Of the maps that were drawn.
    """

    def __init__(self, sweep: SweepShown) -> None:
        self._sweep = sweep
        self._kept: dict[tuple[str, ...], str] = {}
        self._n_ended = 0
        self.bands: tuple[str, ...] = ()

    def drawn(self, choice: Choice, rows: Sequence[SweepRow]) -> list[str]:
        """
        Draw what was chosen; what cannot be drawn is said in its place.

        Parameters
        ----------
        choice : Choice
            What to draw.
        rows : sequence of SweepRow
            The runs.
        """
        n_ended = sum(row.status not in NOT_OVER for row in rows)
        if n_ended != self._n_ended or len(self._kept) > _MOST_KEPT:
            self._kept.clear()
            self._n_ended = n_ended
        parts = []
        if choice.unknown:
            said = say(
                "No metric of this sweep is called {wanted!r}; this is {metric}.",
                wanted=choice.unknown,
                metric=choice.metric,
            )
            parts.append(f"<div>{escape_short(redact_text(said), _WORDS)}</div>")
        n_completed = sum(row.status == COMPLETED for row in rows)
        if choice.metric and choice.x:
            key = ("chart", choice.metric, choice.x, choice.y)
            parts.append(self._once(key, lambda: self._chart(choice, rows)))
            if n_completed:
                parts.append(self._once(("indices", choice.metric), lambda: self._indices(choice.metric)))
        elif n_completed:
            parts.append(f"<div>{say('The runs reported no metrics that are numbers: there is no chart.')}</div>")
        parts.append(self._once(("maps", choice.band or ""), lambda: self._maps(choice.band, n_completed)))
        return parts

    def _once(self, key: tuple[str, ...], draw: Callable[[], str]) -> str:
        if key not in self._kept:
            try:
                self._kept[key] = draw()
            except Exception as error:  # noqa: BLE001 -- one picture that fails must not take the others away
                said = redact_text(error.said if isinstance(error, LabError) else f"{type(error).__name__}: {error}")
                missing = say(_MISSING[key[0]], problem=escape_short(said, _WORDS))
                self._kept[key] = f"<div>{missing}</div>"
        return self._kept[key]

    def _chart(self, choice: Choice, rows: Sequence[SweepRow]) -> str:
        from dissmodel_lab.views.sweep_charts import chart_html, metric_chart  # noqa: PLC0415 -- as said above

        return chart_html(metric_chart(rows, self._sweep.design, choice.metric, choice.x, choice.y))

    def _indices(self, metric: str) -> str:
        from dissmodel_lab.views.sweep_charts import chart_html, sensitivity_chart  # noqa: PLC0415 -- as above

        return chart_html(sensitivity_chart(self._sweep.sensitivity(metric)))

    def _maps(self, band: str | None, n_completed: int) -> str:
        from dissmodel_lab.views.sweep_maps import MOST, small_maps, small_maps_html  # noqa: PLC0415 -- as above

        maps = small_maps(self._sweep.maps(most=MOST), self._sweep.design, band=band)
        self.bands = maps.bands or self.bands
        return small_maps_html(maps, n_completed)


class SweepPanel:
    """
    A sweep at work: progress, Cancel, and the table of its runs.

    A ticker thread refreshes what is seen; it sends at most four messages a second and takes at most 1 % of the
    processor, so that a table over ten thousand runs is read less often than one over ten.

    Parameters
    ----------
    sweep : Sweep
        At work.
    blocks : bool
        Whether the kernel's main thread waits for it.
    """

    def __init__(self, sweep: SweepShown, *, blocks: bool = False) -> None:
        self._sweep = sweep
        self._head = widgets.HTML()
        self._voice = widgets.HTML()
        self._table = widgets.HTML()
        self.button = CancelButton(lambda: sweep.cancel(WHY), WORDS, blocks=blocks)
        self.pages = SweepTable(sweep, self._turn)
        self.widget = widgets.VBox([self._head, self._voice, self.button.widget, self.pages.widget, self._table])
        self.widget.add_class("dl-sweep")
        self._over, self._wakes = threading.Event(), threading.Event()
        self._ticker: threading.Thread | None = None
        self._is_turned = False
        self._reasons: list[str] = []
        self.updates = 0
        """Updates sent so far."""
        self.busy = 0.0
        """Processor time spent in them [s]."""
        self._refresh_table()
        self._refresh_head()

    def start(self) -> None:
        """Begin to refresh."""
        context = contextvars.copy_context()
        self._ticker = threading.Thread(
            target=context.run, args=(self._tick,), daemon=True, name="dissmodel_lab sweep panel"
        )
        self._ticker.start()

    def stop(self) -> None:
        """End refreshing."""
        self._over.set()
        self._wakes.set()
        if self._ticker is not None:
            self._ticker.join(timeout=5)
        self.button.over()

    def close(self) -> None:
        """Take the widgets away; they are replaced by what needs no kernel."""
        _close(self.widget)

    def _turn(self) -> None:
        # A click comes on a thread that other clicks wait for: the ticker does the work.
        self._is_turned = True
        self._wakes.set()

    def _tick(self) -> None:
        due_head = due_table = 0.0
        while not self._over.wait(INTERVAL):
            now = time.perf_counter()
            self._wakes.wait(max(0.0, min(due_head, due_table) - now))
            if self._over.is_set():
                return
            self._wakes.clear()
            now = time.perf_counter()
            if self._is_turned or due_table <= min(now, due_head):
                self._is_turned = False
                due_table = now + INTERVAL + _SHARE * self._measured(self._refresh_table)
            elif due_head <= now:
                due_head = now + INTERVAL + _SHARE * self._measured(self._refresh_head)

    def _measured(self, refresh: Callable[[], None]) -> float:
        began = time.thread_time()
        refresh()
        took = time.thread_time() - began
        self.busy += took
        self.updates += 1
        return took

    def _refresh_head(self) -> None:
        progress = self._sweep.progress()
        _set(self._head, head_html(self._sweep, progress, self._reasons))
        said = say(
            "sweep: {share} % ended, {failed:,} failed",
            share=100 * progress.ended // max(1, progress.total) // 10 * 10,
            failed=progress.failed,
        )
        _set(
            self._voice,  # off the screen, not hidden: screen readers pass over what is hidden
            '<div role="status" aria-live="polite" style="position:absolute;left:-9999px;width:1px;overflow:hidden">'
            f"{said}</div>",
        )
        self.button.refresh()

    def _refresh_table(self) -> None:
        rows = self._sweep.rows()
        self._reasons = reasons(rows)
        _set(self._table, self.pages.html(rows))


class SweepView:
    """
    A sweep that is over: its static picture, and controls that choose what is drawn and which runs are listed.

    Parameters
    ----------
    sweep : Sweep
        Stopped or finished.
    outputs : SweepOutputs
        Where it is shown.

    Attributes
    ----------
    metric, x, y, band : ipywidgets.Dropdown
        What is drawn.
    pages : SweepTable
        Which runs are listed.
    title : TabTitle
        Marks the browser's tab.
    """

    def __init__(self, sweep: SweepShown, outputs: SweepOutputs, metric: str = "") -> None:
        self._sweep, self._outputs = sweep, outputs
        self._pictures = SweepPictures(sweep)
        self.choice = first_choice(sweep, sweep.rows(), metric)
        names = [(plain_text(axis.label), axis.name) for axis in sweep.design.axes]
        offered, left_out = chosen_from(sweep.metric_names(), self.choice.metric)
        metrics = [(plain_text(name), name) for name in offered]
        self.metric = _dropdown(say("Metric"), metrics, self.choice.metric)
        self.x = _dropdown(say("against"), names, self.choice.x)
        self.y = _dropdown(
            say_in("a metric against one parameter and another", "and"),
            [(say("nothing else"), ""), *names],
            self.choice.y,
        )
        self.band = _dropdown(say("Maps of"), [(say("first band"), "")], "")
        for control in (self.metric, self.x, self.y, self.band):
            control.observe(lambda _change: self._chosen(), "value")
        self.pages = SweepTable(sweep, self._show_table)
        self.title = TabTitle()
        self._bar = widgets.Box(
            [self.metric, self.x, self.y, self.band, *_left_out_note(left_out), self.title.widget],
            layout=widgets.Layout(flex_flow="row wrap", align_items="center"),
        )
        self._bar.add_class("dl-sweep-choice")
        accessible(self._bar)

    def show(self) -> None:
        """Show everything: first what stays in a saved notebook, then the controls."""
        rows = self._sweep.rows()
        self._show_result(rows)
        self._show_table(rows)
        self._offer_bands()
        has_choice = len(self.metric.options) > 1 or len(self.x.options) > 1 or len(self.band.options) > 1
        if has_choice:
            self._outputs.chooser.show_widget(self._bar, say(_CHOOSING))
        else:
            self._bar.children = (self.title.widget,)
            self._outputs.chooser.show_widget(self._bar)
        if len(rows) > PAGE or len({row.status for row in rows}) > 1:
            self._outputs.pages.show_widget(self.pages.widget, say(_TURNING))
        else:
            self._outputs.pages.show_static({"text/plain": "", "text/html": ""})

    def _chosen(self) -> None:
        self.choice = Choice(self.metric.value or "", self.x.value or "", self.y.value or "", self.band.value or None)
        if self.choice.y == self.choice.x:
            self.choice = replace(self.choice, y="")
        self._show_result(self._sweep.rows())

    def _show_result(self, rows: Sequence[SweepRow]) -> None:
        html = result_html(self._sweep, self._pictures, self.choice, rows)
        self._outputs.result.show_static({"text/plain": sweep_text(self._sweep, command=_COMMAND), "text/html": html})

    def _show_table(self, rows: Sequence[SweepRow] | None = None) -> None:
        # The text stands with the result: once is enough.
        self._outputs.table.show_static({"text/plain": "", "text/html": self.pages.html(rows)})

    def _offer_bands(self) -> None:
        bands = self._pictures.bands
        self.band.layout.display = None if len(bands) > 1 else "none"
        if len(bands) > 1:
            self.band.options = [(say("first band"), ""), *((plain_text(band), band) for band in bands)]


_CHOOSING = mark("To choose what is drawn needs a running kernel; what stands below does not.")
_TURNING = mark("To turn the pages of the table needs a running kernel; what stands below does not.")


_SERIES = 3
"""Series whose missing parts are named."""


def _left_out_note(left_out: dict[str, int]) -> list[Any]:
    """Say which parts of series cannot be chosen here."""
    if not left_out:
        return []
    named = [
        say("{n:,} of {name}", n=count, name=plain_text(name)) for name, count in list(left_out.items())[:_SERIES]
    ]
    more, names = len(left_out) - _SERIES, ", ".join(named)
    if more > 0:
        said = say_n(
            "Not listed: {names} and of {n} other series; sweep.to_frame() has all.",
            "Not listed: {names} and of {n} other series; sweep.to_frame() has all.",
            more,
            names=names,
        )
    else:
        said = say("Not listed: {names}; sweep.to_frame() has all.", names=names)
    return [widgets.HTML(f'<div style="font-size:12px;opacity:0.85">{escape(said)}</div>')]


def _dropdown(label: str, options: Sequence[tuple[str, str]], value: str) -> Any:
    known = {option for _, option in options}
    return widgets.Dropdown(
        options=options,
        value=value if value in known else None,
        description=label,
        style={"description_width": "initial"},
        layout=widgets.Layout(width="auto", max_width="320px", margin="0 12px 0 0"),
    )


def _wait(sweep: Sweep, panel: SweepPanel) -> None:
    """Wait for a sweep; an interrupt cancels it, and waits until its runs have ended, which is soon."""
    try:
        while sweep.is_running:
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        panel.button.note_asked()
        sweep.cancel(WHY)
        until = time.monotonic() + _PATIENCE
        while sweep.is_running and time.monotonic() < until:
            time.sleep(_LOOK)
        raise
    sweep.wait()  # it is over: what could not go on is raised


def _replace(sweep: SweepShown, panel: SweepPanel, place: SweepOutputs, metric: str) -> SweepView:
    """Put what needs no kernel in the place of a live panel."""
    panel.stop()
    # A front end that shows one widget after another in an output hides it when the first one is closed.
    place.clear()
    view = SweepView(sweep, place, metric)
    view.show()
    panel.close()
    return view


def _finish_in_background(sweep: Sweep, panel: SweepPanel, place: SweepOutputs, metric: str) -> None:
    with suppress(LabError):  # it says what stopped it, too
        sweep.wait()
    view = _replace(sweep, panel, place, metric)
    progress = sweep.progress()
    view.title.mark("cancelled" if progress.state != "finished" else "failed" if progress.failed else "completed")


def _set(widget: Any, html: str) -> None:
    if widget.value != html:  # the same again would be sent, and read aloud, again
        widget.value = html


def _close(widget: Any) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
