"""The four phases: a table that reads by itself, and the panel that keeps it current while a run lasts."""

from __future__ import annotations

import contextvars
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as widgets

from dissmodel_lab.language import in_language, say
from dissmodel_lab.progress import DONE, NOT_REACHED, RUNNING, WAITING, Progress, phase_text, status_text
from dissmodel_lab.quantities import bytes_text, duration_text
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.markup import escape, escape_short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissmodel_lab.executor.events import Phase
    from dissmodel_lab.views.cancel_button import CancelButton

INTERVAL = 0.25
"""Shortest time between two updates [s]: at most four a second."""
_SHARE = 100
"""The next update waits this many times the last one's cost, table or picture: at most 1 % of the processor."""
_LONGEST = 1.0
"""Longest time between two updates [s]: people see that it lives, whatever the last update cost."""

# A sign, a colour of its dot and a word: the state never hangs on colour alone.
_MARKS = {
    WAITING: ("○", "#8a8a8a"),
    NOT_REACHED: ("○", "#8a8a8a"),
    RUNNING: ("●", "#1f77b4"),
    DONE: ("✓", "#2e8540"),
    "failed": ("✗", "#c62828"),
    "cancelled": ("■", "#b26a00"),
    "lost": ("✗", "#c62828"),
}
QUEUED = "queued"
"""The status of a run that waits for a worker."""
_WORDS = 300
"""Longest text of a model that stands in the panel, as HTML [bytes]."""
_PATIENCE = 1.0
"""After this time [s] a person wonders how long a phase will take."""
_VALUES = 12
"""How many values of a step are shown."""
_CELL = "padding:2px 10px 2px 0;text-align:left;border:none"
_NUMBER = "padding:2px 10px 2px 0;text-align:right;border:none;white-space:nowrap"


def phases_html(progress: Progress, *, with_values: bool = True) -> str:
    """
    Draw the phases as a table, with total, memory, step and last log line.

    Parameters
    ----------
    progress : Progress
        What is known of the run.
    with_values : bool, optional
        Whether the step's values are named too; not where charts show them.

    Returns
    -------
    str
        HTML with inline styles only.

    Examples
    --------
    >>> "validate" in phases_html(Progress())
    True
    """
    rows = "".join(_row(phase, progress) for phase in progress.phases)
    total = duration_text(progress.total_seconds())
    return (
        '<div style="font-size:13px;line-height:1.5">'
        f'<table style="border-collapse:collapse;margin:4px 0">{rows}'
        f'<tr><td style="{_CELL}"></td><td style="{_CELL}"><b>{say("total")}</b></td>'
        f'<td style="{_CELL}"><b>{_shown(status_text(progress.status))}</b></td>'
        f'<td style="{_NUMBER}"><b>{total}</b></td>'
        f'<td style="{_NUMBER}">{_memory_text(progress)}</td></tr></table>'
        f"{_bar(progress, with_values=with_values)}{_left(progress)}{_last_log(progress)}</div>"
    )


def announcement(progress: Progress) -> str:
    """
    Say in one line where the run is, for screen readers; it changes with the phase only.

    Examples
    --------
    >>> announcement(Progress())
    'run: starting'
    """
    current = [phase for phase, state in progress.phases.items() if state.state == RUNNING]
    if progress.status == QUEUED:
        return say("run: waiting for a worker")
    if progress.status != RUNNING:
        return say("run {state}", state=status_text(progress.status))
    return say("run: phase {phase}", phase=phase_text(current[0])) if current else say("run: starting")


def _row(phase: Phase, progress: Progress) -> str:
    part = progress.phases[phase]
    sign, colour = _MARKS[part.state]
    seconds = "" if part.state in (WAITING, NOT_REACHED) else duration_text(part.elapsed())
    memory = bytes_text(part.peak_memory_bytes) if part.peak_memory_bytes else ""
    return (
        f'<tr><td style="{_CELL};color:{colour};font-weight:bold">{sign}</td>'
        f'<td style="{_CELL}">{escape(in_language(phase_text(phase)))}</td>'
        f'<td style="{_CELL}">{escape(status_text(part.state))}</td>'
        f'<td style="{_NUMBER}">{seconds}</td><td style="{_NUMBER};opacity:0.75">{memory}</td></tr>'
    )


def _memory_text(progress: Progress) -> str:
    size = progress.memory_bytes()
    return say("peak {size}", size=bytes_text(size)) if size else ""


def _bar(progress: Progress, *, with_values: bool) -> str:
    if progress.is_fetching and progress.fetching is not None:
        now = progress.fetching
        said = f"<div>{escape(in_language(progress.fetch_text()))}</div>"
        return _share_bar(100 * now.done / now.total, said) if now.total else said
    text = _shown(in_language(progress.step_text()))
    if not text:
        return ""
    told = list(progress.values.items())[:_VALUES] if with_values else []
    values = ", ".join(f"{_shown(str(name))} {_number(value)}" for name, value in told)
    shown = f"{text}{': ' if values else ''}{values}"
    if not progress.n_steps:
        return f"<div>{shown}</div>"
    return _share_bar(100 * progress.step / progress.n_steps, f"<div>{shown}</div>")


def _share_bar(percent: float, said: str) -> str:
    return (
        '<div style="width:100%;max-width:420px;height:6px;background:#d0d0d0;border-radius:3px;overflow:hidden">'
        f'<div style="width:{min(100.0, percent):.1f}%;height:6px;background:#1f77b4"></div></div>{said}'
    )


def _left(progress: Progress) -> str:
    """Say how long the running phase still takes, once it takes long enough to ask."""
    current = next((part for part in progress.phases.values() if part.state == RUNNING), None)
    if current is None or current.elapsed() < _PATIENCE:
        return ""
    return f"<div>{escape(in_language(progress.left_text()))}</div>"


def _last_log(progress: Progress) -> str:
    line = progress.last_log.strip().splitlines()
    if not line or progress.status in ("failed", "cancelled"):  # the error is said below, in full
        return ""
    return f'<div style="opacity:0.8;overflow-wrap:anywhere">{say("log: {line}", line=_shown(line[-1]))}</div>'


def _shown(text: str) -> str:
    """Return a model's own words as HTML: live texts have not passed through the record, which hides secrets."""
    return escape_short(redact_text(text[: 4 * _WORDS]), _WORDS)


def _number(value: Any) -> str:
    try:
        return escape_short(f"{value:.6g}", _WORDS)
    except (TypeError, ValueError):  # a model may report anything
        return _shown(str(value))


class Follower(Protocol):
    """What follows the model while it runs: a picture, and charts under the table."""

    @property
    def widget(self) -> Any:
        """Stands beside the table."""

    @property
    def once(self) -> float:
        """Processor time of what is worked out once for all pictures, and bounded by the follower itself [s]."""

    def draw(self) -> bool:
        """Draw what is new, when that is due; return whether something was sent."""

    def charts(self) -> str:
        """Return HTML to stand under the table."""


class PhasePanel:
    """
    The table of phases, live.

    The model keeps the main thread; a ticker thread only refreshes what is seen.

    Parameters
    ----------
    progress : Progress
        What is drawn.
    follower : Follower, optional
        Takes turns with the table, so that together they send no more messages than the table alone.
    cancel : CancelButton, optional
        Stands under the table.
    """

    def __init__(
        self, progress: Progress, follower: Follower | None = None, cancel: CancelButton | None = None
    ) -> None:
        self._progress = progress
        self._follower = follower
        self.cancel = cancel
        """The button; None where nothing can be cancelled."""
        self._is_picture = False
        self._table = widgets.HTML(phases_html(progress), layout=widgets.Layout(flex="1 1 340px", min_width="0"))
        self._table.add_class("dl-phases")
        self._voice = widgets.HTML(self._voice_html())
        self.below = widgets.HTML()
        """Room under the table, for a map."""
        self.picture = follower.widget if follower is not None else None
        """Beside the table; None without a follower."""
        live = [self.picture] if follower is not None else []
        # The live picture stands beside the table where there is room, so that both are seen without scrolling.
        self._top = widgets.Box([self._table, *live], layout=widgets.Layout(flex_flow="row wrap", grid_gap="0 16px"))
        buttons = [cancel.widget] if cancel is not None else []
        self.widget = widgets.VBox([self._top, *buttons, self._voice, self.below])
        self.widget.add_class("dl-panel")
        self._over = threading.Event()
        self._is_urgent = threading.Event()
        self._ticker: threading.Thread | None = None
        self.updates = 0
        """Updates sent so far."""
        self.pictures = 0
        """Pictures among them."""
        self.seconds = 0.0
        """Time spent in them, by the clock [s]: with what the thread waited for the model."""
        self.busy = 0.0
        """Processor time spent in them [s]."""

    def start(self) -> None:
        """Begin to refresh."""
        # A plain thread of ipykernel 7.0 may not touch widgets; one that carries the cell's context may.
        context = contextvars.copy_context()
        self._ticker = threading.Thread(
            target=context.run, args=(self._tick,), daemon=True, name="dissmodel_lab panel"
        )
        self._ticker.start()

    def hurry(self) -> None:
        """Draw the table next, as soon as an update may be sent: a phase has begun, and it may be a short one."""
        self._is_urgent.set()

    def stop(self) -> None:
        """End refreshing; the last state is drawn."""
        self._over.set()
        self._is_urgent.set()
        if self._ticker is not None:
            self._ticker.join(timeout=5)
        if self.cancel is not None:
            self.cancel.over()
        self._refresh(is_last=True)

    def rest(self) -> None:
        """Keep the table and its last words, and take the rest away."""
        parts = [self._table, self._voice]
        others = [child for child in (self.picture, self.below, self.cancel and self.cancel.widget) if child]
        self.widget.children = parts
        for other in others:
            _close(other)

    def close(self) -> None:
        """Take the widgets away; they are replaced by what needs no kernel."""
        _close(self.widget)

    def _tick(self) -> None:
        due = 0.0
        while not self._over.wait(INTERVAL):
            is_urgent = self._is_urgent.wait(due - time.perf_counter())
            if self._over.is_set():
                return
            self._is_urgent.clear()
            cost = self._repeated_cost()
            if is_urgent or not self._refresh_picture():
                self._refresh()
            now = time.perf_counter()  # what an urgent update took too early is waited for now
            due = min(max(due, now) + _SHARE * (self._repeated_cost() - cost), now + _LONGEST)

    def _repeated_cost(self) -> float:
        return self.busy - (self._follower.once if self._follower is not None else 0.0)

    def _refresh_picture(self) -> bool:
        """Draw the follower's picture when it is its turn, and it has a new one."""
        if self._follower is None or self._is_picture:
            self._is_picture = False
            return False
        with self._measured():
            self._is_picture = self._follower.draw()
        self.updates += self._is_picture
        self.pictures += self._is_picture
        return self._is_picture

    def _refresh(self, *, is_last: bool = False) -> None:
        with self._measured():
            # The charts are up to a second old: the last word is the last step's own values.
            charts = self._follower.charts() if self._follower is not None and not is_last else ""
            self._table.value = phases_html(self._progress, with_values=not charts) + charts
            voice = self._voice_html()
            if self._voice.value != voice:
                self._voice.value = voice
            if self.cancel is not None:
                self.cancel.refresh()
        self.updates += 1

    @contextmanager
    def _measured(self) -> Iterator[None]:
        # The thread's own time decides: waiting for a model that holds the interpreter costs the model nothing.
        began, busy = time.perf_counter(), time.thread_time()
        yield
        self.seconds += time.perf_counter() - began
        self.busy += time.thread_time() - busy

    def _voice_html(self) -> str:
        # Off the screen, not hidden: screen readers pass over what is hidden.
        text = escape(announcement(self._progress))
        return (
            '<div role="status" aria-live="polite" '
            f'style="position:absolute;left:-9999px;width:1px;overflow:hidden">{text}</div>'
        )


def _close(widget: Any) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
