"""Room under a form for the runs that it starts: one that is waited for, and those that go on in the background."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from dissmodel_lab.errors import LabError
from dissmodel_lab.language import in_language, mark, say
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.texts import cancelled_text
from dissmodel_lab.views.outputs import new_output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dissmodel_lab.views.background import Background
    from dissmodel_lab.views.outputs import Output

_EMPTY = {"text/plain": "", "text/html": ""}
_FALLBACK = mark("The live panels of these runs need the kernel that started them.")


class FormResults:
    """The outputs under a form, and the way of a run onto the kernel's main thread."""

    def __init__(self) -> None:
        self._page, self._panel = new_output(), new_output()
        self._stack = Stack(self._page, self._panel)
        self._going: list[tuple[Background, list[Slot]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Make room under the form; a click's own output would have no place in the notebook."""
        self._page.reserve()
        self._panel.reserve()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:  # plain IPython, or a test: clicks come on this thread anyway
            self._loop = None

    def run(self, show: Callable[[Output, Output], object]) -> Future[None] | None:
        """
        Show a run that is waited for, on the kernel's main thread.

        Parameters
        ----------
        show : callable
            Takes two outputs, and returns when the run is over.

        Returns
        -------
        Future or None
            None when it is over already. Some kernels deliver clicks on a thread of their own, the same for all
            widgets: to wait there would keep the click on Cancel from being heard.
        """
        if threading.current_thread() is threading.main_thread() or self._loop is None:
            self._run(show)
            return None
        outcome: Future[None] = Future()

        def on_main_thread() -> None:
            try:
                self._run(show)
            except BaseException as error:  # noqa: BLE001 -- it is said in the form
                outcome.set_exception(error)
            else:
                outcome.set_result(None)

        self._loop.call_soon_threadsafe(on_main_thread)
        return outcome

    def begin(self, show: Callable[[Output, Output], Background]) -> None:
        """
        Show a run that goes on in the background, above those that go on already.

        Parameters
        ----------
        show : callable
            Takes two outputs, and returns at once.
        """
        self._forget_ended()
        slots = self._stack.slots()
        self._going.append((show(*slots), slots))

    def _run(self, show: Callable[[Output, Output], object]) -> None:
        self._forget_ended()
        slots = self._stack.slots() if self._going else [self._page, self._panel]
        try:
            show(slots[0], slots[1])
        except KeyboardInterrupt as interrupt:
            raise LabError(in_language(cancelled_text(interrupt))) from None
        except LabError as error:
            raise LabError(redact_text(error.said)) from error

    def _forget_ended(self) -> None:
        """Take away what a run before has left, unless it is still going."""
        self._going = [(run, slots) for run, slots in self._going if run.is_going]
        self._stack.keep([slot for _, slots in self._going for slot in slots])


class Stack:
    """
    Several places in two outputs: what is static stands in the first, what needs a kernel in the second.

    Parameters
    ----------
    page, panel : Output
        The two outputs.
    """

    def __init__(self, page: Output, panel: Output) -> None:
        self._page, self._panel = page, panel
        self._slots: list[Slot] = []
        self._box = widgets.VBox()
        self._shows_box = False
        self._lock = threading.RLock()

    def slots(self) -> list[Slot]:
        """Return two places above all others."""
        made = [Slot(self), Slot(self)]
        with self._lock:
            self._slots = made + self._slots
        return made

    def keep(self, slots: list[Slot]) -> None:
        """Give up all other places."""
        with self._lock:
            had = bool(self._slots)
            self._slots = [slot for slot in self._slots if slot in slots]
            if had:
                self.draw()

    def draw(self) -> None:
        """Show what stands in the places now."""
        with self._lock:
            static = [slot.bundle for slot in self._slots if any(slot.bundle.values())]
            self._page.show_static(
                {name: "\n".join(bundle.get(name, "") for bundle in static) for name in ("text/plain", "text/html")}
            )
            # Only children change: a widget that is shown already stays what a reloaded page shows.
            self._box.children = [slot.widget for slot in self._slots if slot.widget is not None]
            if bool(self._box.children) != self._shows_box:
                self._shows_box = not self._shows_box
                if self._shows_box:
                    self._panel.show_widget(self._box, say(_FALLBACK))
                else:
                    self._panel.show_static(_EMPTY)


class Slot:
    """
    A place in a stack; an :class:`~dissmodel_lab.views.outputs.Output` like any other.

    Parameters
    ----------
    stack : Stack
        Draws it.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.bundle: Mapping[str, str] = {}
        """What it shows without a kernel."""
        self.widget: Any = None
        """What it shows with one."""

    def show_widget(self, widget: Any, fallback: str = "") -> None:  # noqa: ARG002 -- the stack has one for all
        """Show a widget."""
        self.widget, self.bundle = widget, {}
        self._stack.draw()

    def show_static(self, bundle: Mapping[str, str]) -> None:
        """Show a mime bundle's HTML."""
        self.widget, self.bundle = None, bundle
        self._stack.draw()
