"""A run that goes on after its cell has ended: its panel lives on, and gives way to what stays of the run.

Two outputs of the cell, because a notebook may be saved, closed and opened again at any moment::

    the page   static: says that the run goes on, and what tells how it ended; then the run's own page
    the panel  a widget: phases, step, Cancel; then player and map to explore

A reloaded page shows the widgets again as long as the kernel lives, but gets no new outputs: so the panel ends
by saying how the run ended, and is not taken away. Nothing here belongs to the run: it goes on whoever looks.
"""

from __future__ import annotations

import contextvars
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.index import LOST
from dissmodel_lab.language import in_language, mark, say
from dissmodel_lab.plain import printable
from dissmodel_lab.progress import status_text
from dissmodel_lab.quantities import duration_text
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.cancel_button import ELSEWHERE, WHY, WORKER, CancelButton
from dissmodel_lab.views.followed import FollowedProgress, ToldSteps
from dissmodel_lab.views.markup import escape, escape_short
from dissmodel_lab.views.on_disk import RunOnDisk
from dissmodel_lab.views.outputs import new_output
from dissmodel_lab.views.run_panel import LiveRun, offer_map
from dissmodel_lab.views.tab_title import TabTitle

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.jobs import Outcome
    from dissmodel_lab.views.followed import RunAtWork
    from dissmodel_lab.views.outputs import Output

_LOOKED_AT = 1.0
"""How long the panel stands with its last words, so that they are read aloud and the tab is marked [s]."""
_OUR_WORKERS = ("process", "dask")
"""Engines whose workers are ended by the one who started them when they do not react."""
_SMALL = "font-size:13px;line-height:1.5"
_FALLBACK = mark("The live panel of this run needs the kernel that started it.")
_SIGNS = {"completed": "&#10003;", "cancelled": "&#9632;"}


def show_background(
    run: RunAtWork,
    variable: str | None = None,
    namespace: MutableMapping[str, Any] | None = None,
    *,
    ends_with_kernel: bool = False,
    output: Output | None = None,
    map_output: Output | None = None,
) -> Background:
    """
    Show a run with a live panel that goes on when the cell has ended, and return at once.

    Parameters
    ----------
    run : RunHandle or RunOnDisk
        The run.
    variable : str, optional
        What the run is called, and its record once it is over, unless somebody has put something else there.
    namespace : mutable mapping, optional
        The notebook's variables; needed for ``variable``.
    ends_with_kernel : bool
        Whether the run is ended when the kernel is: the panel says what holds.
    output, map_output : Output, optional
        Where the page and the panel are shown; new outputs of the cell when not given.

    Returns
    -------
    Background
        What looks after the panel; nobody needs to keep it.
    """
    shown = Background(run, variable or "", namespace, output or new_output(), map_output or new_output())
    shown.begin(ends_with_kernel=ends_with_kernel)
    return shown


def show_going(record: ExperimentRecord) -> Background:
    """
    Show a run that another process carries out, as its folder tells: from any notebook, after any restart.

    Parameters
    ----------
    record : ExperimentRecord
        Of a run for which :func:`~dissmodel_lab.views.on_disk.is_going` holds.
    """
    return show_background(RunOnDisk(record))


class Background:
    """
    Looks after the panel of one run.

    Parameters
    ----------
    run : RunHandle or RunOnDisk
        The run.
    variable : str
        What its record shall be called; empty for nothing.
    namespace : mutable mapping, optional
        Where.
    page, panel : Output
        Where the two parts are shown.
    """

    def __init__(
        self,
        run: RunAtWork,
        variable: str,
        namespace: MutableMapping[str, Any] | None,
        page: Output,
        panel: Output,
    ) -> None:
        self._run = run
        self._variable = variable
        self._namespace = namespace
        self._page, self._panel = page, panel
        words = WORKER if run.engine in _OUR_WORKERS else ELSEWHERE
        self.live = LiveRun(FollowedProgress(), ToldSteps(run.folder), CancelButton(lambda: run.cancel(WHY), words))
        self._title = TabTitle()
        which = escape(say("run {run}", run=run.experiment_id[:8]))
        name = f"<b>{escape_short(_words(run.model_name), 400)}</b> &middot; {which}"
        self._said = widgets.HTML(f'<div style="{_SMALL}">{name}</div>')
        self._said.add_class("dl-background-said")
        self.widget = widgets.VBox([self._said, self.live.panel.widget, self._title.widget])
        self.widget.add_class("dl-background")
        self._thread: threading.Thread | None = None

    def begin(self, *, ends_with_kernel: bool = False) -> None:
        """Show both parts, and look after them on a thread of its own."""
        if self._variable and self._namespace is not None:
            self._namespace[self._variable] = self._run  # so that an older record is not taken for this one
        self._page.show_static(going_bundle(self._run, self._variable, ends_with_kernel=ends_with_kernel))
        self._panel.show_widget(self.widget, say(_FALLBACK))
        self.live.panel.start()
        self._run.subscribe(self.live)
        # A plain thread of ipykernel 7.0 may not touch widgets; one that carries the cell's context may.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._watch,), daemon=True, name="dissmodel_lab background"
        )
        self._thread.start()

    @property
    def is_going(self) -> bool:
        """Whether there is still a panel to look after."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the panel has given way to what stays."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _watch(self) -> None:
        outcome = self._run.wait()
        record = self._run.record
        self.live.panel.stop()
        self._deliver(record)
        said = _ended_html(outcome, record, self._variable)
        self._say(said)
        self._title.mark(outcome.status)
        ended = time.monotonic()
        self.live.progress.record = record
        bundle, maps = self.live.static()
        time.sleep(max(0.0, _LOOKED_AT - (time.monotonic() - ended)))
        self._title.forget()
        self._page.show_static(_with_words(bundle, said))
        self._panel.show_static({"text/plain": "", "text/html": ""})
        self._rest(record)
        if record is not None:
            with suppress(Exception):  # the page shows the run; a map to explore that fails has nowhere to say so
                offer_map(record, maps, self._panel)

    def _deliver(self, record: ExperimentRecord | None) -> None:
        """Put the record where the run stands; what a person has put there since then stays."""
        names = self._namespace if self._variable and record is not None else None
        if names is not None and names.get(self._variable) is self._run:
            names[self._variable] = record

    def _say(self, html: str) -> None:
        self._said.value = f'<div role="status" aria-live="polite" style="{_SMALL}">{html}</div>'

    def _rest(self, record: ExperimentRecord | None) -> None:
        """Leave of the panel what a reloaded page shall say: little, because nobody may ever look."""
        self._deliver(record)  # `rec = %dissmodel run ...` may have put the run there after it was over
        self.live.panel.rest()
        if record is not None:
            self._said.value += f'<div style="{_SMALL}">%dissmodel show {escape(record.experiment_id[:8])}</div>'


def going_bundle(run: RunAtWork, variable: str = "", *, ends_with_kernel: bool = False) -> dict[str, str]:
    """
    Say of a run that goes on what will be true of it whenever it is read: in a saved notebook, too.

    Parameters
    ----------
    run : RunHandle or RunOnDisk
        The run.
    variable : str
        What its record will be called.
    ends_with_kernel : bool
        Whether it is ended when the kernel is.
    """
    name, run_id = _words(run.model_name), run.experiment_id[:8]
    if run.engine:
        head = say("run {run} goes on in the background (engine {engine}).", run=run_id, engine=_words(run.engine))
    else:
        head = say("run {run} goes on in the background.", run=run_id)
    if isinstance(run, RunOnDisk):
        kernel = say("Another process carries it out, whatever happens to this notebook.")
    elif ends_with_kernel:
        kernel = say("It goes on when the browser is closed, and ends when the kernel does.")
    else:
        kernel = say("It goes on when the browser is closed, and when the kernel ends.")
    arrives = say("Its record will be in {variable}.", variable=variable) if variable else ""
    said = " ".join(sentence for sentence in (head, kernel, arrives) if sentence)
    saved = say(
        "In a saved notebook: this run was still going when the notebook was saved; %dissmodel show {run} tells how "
        "it ended.",
        run=run_id,
    )
    html = (
        f'<div style="{_SMALL}"><b>{escape_short(name, 400)}</b> &middot; {escape(said)}'
        f'<div style="opacity:0.75;font-size:12px">{escape(saved)}</div></div>'
    )
    return {"text/plain": printable(f"{name}: {said}\n{saved}"), "text/html": html}


def _words(text: str) -> str:
    return redact_text(str(text))


def _ended_html(outcome: Outcome, record: ExperimentRecord | None, variable: str) -> str:
    """Say how a run ended, in one line."""
    sign = _SIGNS.get(outcome.status, "&#10007;")
    run = escape(outcome.experiment_id[:8])
    if record is None:
        why = escape_short(redact_text(in_language(outcome.error)), 4_000)
        return f"{sign} {say('Run {run} was not begun: {why}', run=run, why=why)}"
    if outcome.status == LOST:
        lost = say("Run {run} is lost: its process ended without a word. What it told until then is below.", run=run)
        return f"{sign} {lost}"
    took = duration_text(sum(usage.seconds for usage in record.phases.values()))
    if outcome.status == RunStatus.CANCELLED:
        ended = say("Run {run} was cancelled after {time}.", run=run, time=took)
    else:
        state = escape_short(status_text(outcome.status), 200)
        ended = say("Run {run} {state} after {time}.", run=run, state=state, time=took)
    arrived = say("Its record is in {variable}.", variable=f"<code>{escape(variable)}</code>") if variable else ""
    return f"{sign} {ended} {arrived}".rstrip()


def _with_words(bundle: dict[str, str], said: str) -> dict[str, str]:
    html = f'<div role="status" style="{_SMALL};border-left:4px solid #1f77b4;padding:2px 10px;margin:0 0 6px 0">'
    return {**bundle, "text/html": f"{html}{said}</div>{bundle['text/html']}"}
