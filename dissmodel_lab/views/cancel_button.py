"""The button that cancels a run, and the truth about what a click does: when it arrives, and what it can end.

A click reaches the kernel while a cell runs only where the front end sends it over a *subshell* (JupyterLab 4.4,
Notebook 7.4 and later with ipykernel 7: Jupyter Enhancement Proposal 91). Elsewhere it waits until the cell is
over, and the notebook's stop button is what cancels. The words beside the button say which of them holds here.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets as widgets

from dissmodel_lab.errors import LabError
from dissmodel_lab.executor.events import RunFinished
from dissmodel_lab.language import mark, say
from dissmodel_lab.views.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dissmodel_lab.executor.events import Event

WHY = "cancelled in the notebook"
"""What a run's record says of a click."""
_SUBSHELL_DELAY = 1.0
"""A front end that has subshells has made one by then [s]; measured: 0.1 s after the first widget."""
_PATIENCE = 2.0
"""A run that has not ended by then is one that a person wonders about [s]."""
_LATE = mark(
    "Here a click arrives only when the cell is over: the notebook's stop button (or I, I on the keyboard) cancels."
)


class Words(NamedTuple):
    """What is said beside the button, in English."""

    before: str
    """What a click will do."""
    asked: str
    """What is happening since the click."""
    late: str
    """What is happening when the run has still not ended some seconds after it."""


INLINE = Words(
    mark("Cancel ends the run as soon as the model is back in Python."),
    mark("Cancelling: the run ends as soon as the model is back in Python."),
    mark(
        "Cancelling: the model is still busy in compiled code, which nothing can interrupt here. It ends when it is "
        "back in Python. A run with --engine process could be ended now."
    ),
)
WORKER = Words(
    mark("Cancel ends the run at its next step; if it does not react, its process is ended after 1 s."),
    mark("Cancelling: the run ends at its next step; if it does not react, its process is ended after 1 s."),
    mark("Cancelling: the model has reacted and cleans up; its process is ended after 10 s of that."),
)
ELSEWHERE = Words(
    mark("Cancel asks the run to end at its next step."),
    mark("Cancelling: the run has been asked to end at its next step."),
    mark("Cancelling: no answer yet; whoever carries out the run has been asked to end it."),
)


class CancelButton:
    """
    A button and a sentence.

    Parameters
    ----------
    cancel : callable
        Asks the run to end, and returns at once: it may be called on a thread of the kernel's.
    words : Words
        What is said beside it.
    blocks : bool
        Whether the kernel's main thread is busy as long as the run lasts, so that clicks may come too late.
    name : str
        What it cancels, for lists with several such buttons.

    Examples
    --------
    >>> asked = []
    >>> button = CancelButton(lambda: asked.append(True), WORKER)
    >>> button.widget.children[0].click()
    >>> button.widget.children[0].description, asked
    ('Cancelling ...', [True])
    """

    def __init__(self, cancel: Callable[[], None], words: Words, *, blocks: bool = False, name: str = "") -> None:
        self._cancel = cancel
        self._words = words
        self._blocks = blocks
        self._label = say("Cancel {name}", name=name) if name else say("Cancel")
        self._began = time.monotonic()
        self._asked_at: float | None = None
        self._problem = ""
        self._is_over = False
        self._lock = threading.Lock()
        self.button = widgets.Button(
            description=self._label,
            tooltip=f"{self._label}: {say(words.before)}",
            icon="stop",
            layout=widgets.Layout(width="auto", min_width="110px", flex="0 0 auto"),
        )
        self.button.add_class("dl-cancel")
        self.button.on_click(self._clicked)
        answer_during_cells(self.button)
        self._said = widgets.HTML(layout=widgets.Layout(flex="1 1 300px", min_width="0", margin="2px 8px"))
        self._said.add_class("dl-cancel-said")
        self.widget = widgets.Box(
            [self.button, self._said],
            layout=widgets.Layout(flex_flow="row wrap", align_items="center", margin="2px 0"),
        )
        self.refresh()

    @property
    def is_asked(self) -> bool:
        """Whether somebody has asked for the end, here or by the notebook's stop button."""
        return self._asked_at is not None

    def note_asked(self) -> None:
        """Say that the run is being cancelled, by whatever means."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            self.button.description = say("Cancelling ...")
        self.refresh()

    def over(self) -> None:
        """Disable the button: there is nothing left to cancel. A click that comes later does nothing."""
        with self._lock:  # a click that has begun to cancel goes first
            self._is_over = True
        self.button.disabled = True
        self.button.description = self._label
        self.refresh()

    def refresh(self) -> None:
        """Say what holds now; nothing is sent when that is what is said already."""
        text = "" if self._is_over else self._text()
        shown = f'<div role="status" style="line-height:1.4;font-size:12px">{escape(text)}</div>' if text else ""
        if self._said.value != shown:
            self._said.value = shown

    def _text(self) -> str:
        if self._problem:
            return self._problem
        if self._asked_at is not None:
            is_late = time.monotonic() - self._asked_at > _PATIENCE
            return say(self._words.late if is_late else self._words.asked)
        # Before a front end has had the time to make a subshell, nobody knows.
        if self._blocks and not clicks_arrive() and time.monotonic() - self._began > _SUBSHELL_DELAY:
            return say(_LATE)
        return say(self._words.before)

    def _clicked(self, _button: Any) -> None:
        # Not disabled: the focus of who pressed it by keyboard would be lost. A second click does nothing.
        with self._lock:
            if self._is_over or self.is_asked:
                return
            self.note_asked()
            try:
                self._cancel()
            except Exception as error:  # noqa: BLE001 -- a widget would swallow it; here it is said
                why = error.said if isinstance(error, LabError) else str(error)
                self._problem = say("The run could not be cancelled: {why}", why=why)
        self.refresh()


def answer_during_cells(widget: Any) -> None:
    """
    Let a widget's clicks arrive over the front end's subshell, where there is one, while a cell runs.

    ipykernel 7.4 sends them to the shell that last wrote to the widget, which is the busy one. Harmless elsewhere.

    Parameters
    ----------
    widget : ipywidgets.Widget
        Whose callbacks return at once and are safe on any thread.

    Examples
    --------
    >>> answer_during_cells(widgets.Button())
    """
    comm: Any = getattr(widget, "comm", None)
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 -- no public way; guarded


def clicks_arrive() -> bool:
    """
    Tell whether clicks reach the kernel while a cell runs: its front end has made a subshell for them.

    Examples
    --------
    >>> clicks_arrive()
    False
    """
    kernels = sys.modules.get("ipykernel.kernelbase")
    if kernels is None or not kernels.Kernel.initialized():
        return False
    kernel = kernels.Kernel.instance()
    manager = getattr(getattr(kernel, "shell_channel_thread", None), "manager", None)
    try:
        return bool(manager.list_subshell()) if manager is not None else False
    except (AttributeError, RuntimeError):  # another version's manager
        return False


class Interruption:
    """
    The interrupt of a run in this process by a click: what the stop button does, and only as long as the run lasts.

    An observer of the run: once that is over nothing is interrupted any more, so that a late click never ends the
    next cell.

    Examples
    --------
    >>> from dissmodel_lab.executor.events import RunFinished
    >>> interruption = Interruption()
    >>> with interruption.possible():
    ...     interruption(RunFinished("completed"))
    ...     interruption.interrupt()
    """

    def __init__(self) -> None:
        self._is_going = False
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """
        Stop interrupting when the run is over.

        Parameters
        ----------
        event : Event
            One of :mod:`dissmodel_lab.executor.events`.
        """
        if isinstance(event, RunFinished):
            self._stop()

    @contextmanager
    def possible(self) -> Iterator[None]:
        """Interrupt the main thread as long as this lasts."""
        self._is_going = True
        try:
            yield
        finally:
            self._stop()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the main thread, unless the run is over."""
        with self._lock:
            if self._is_going:
                _interrupt_main_thread()

    def _stop(self) -> None:
        with self._lock:
            self._is_going = False


def _interrupt_main_thread() -> None:
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)  # a real signal also ends a sleep or a read
    else:  # Windows
        _thread.interrupt_main()
