"""Where a run is shown: an output of a cell, or, where cells have none to update, a widget."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as widgets
from IPython.display import display

from dissmodel_lab.language import mark

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
MAP_NEEDS_KERNEL = mark("The map to explore needs a running kernel; the pictures above do not.")
"""What a saved notebook says where a live map was, in English."""


class Output(Protocol):
    """A place on the page that shows one thing at a time."""

    def show_widget(self, widget: Any, fallback: str = "") -> None:
        """Show a widget; ``fallback`` is what a saved notebook says in its place."""

    def show_static(self, bundle: Mapping[str, str]) -> None:
        """Show something that needs no kernel."""


class CellOutput:
    """
    An output of the running cell, made when it first shows something.

    It can be changed after the cell has ended, and what it shows last is what the notebook saves.
    """

    def __init__(self) -> None:
        self._handle: Any = None

    def reserve(self) -> None:
        """Take the place now, empty: what a click shows later would else have no cell to appear under."""
        self._show({"text/plain": "", "text/html": ""})

    def show_widget(self, widget: Any, fallback: str = "") -> None:
        """Show a widget, with a sentence for readers without a kernel."""
        view = widget._repr_mimebundle_()[WIDGET_VIEW]
        said = f"<small>{fallback}</small>" if fallback else ""
        self._show({"text/plain": fallback, "text/html": said, WIDGET_VIEW: view})

    def show_static(self, bundle: Mapping[str, str]) -> None:
        """Show a mime bundle."""
        self._show(dict(bundle))

    def _show(self, bundle: dict[str, Any]) -> None:
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


class WidgetOutput:
    """A box of widgets. Voila shows a page whose cells have ended, so that only widgets can change on it."""

    def __init__(self) -> None:
        self._box = widgets.VBox()

    def reserve(self) -> None:
        """Take the place now, empty."""
        display(self._box)

    def show_widget(self, widget: Any, fallback: str = "") -> None:  # noqa: ARG002 -- nothing is saved here
        """Show a widget."""
        self._box.children = (widget,)

    def show_static(self, bundle: Mapping[str, str]) -> None:
        """Show a mime bundle's HTML."""
        self._box.children = (widgets.HTML(bundle.get("text/html", "")),)


def new_output() -> CellOutput | WidgetOutput:
    """
    Return the kind of output that this front end can change after a cell has ended.

    Examples
    --------
    >>> type(new_output()).__name__
    'CellOutput'
    """
    served_by = os.environ.get("SERVER_SOFTWARE", "")
    return WidgetOutput() if served_by.lower().startswith("voila") else CellOutput()
