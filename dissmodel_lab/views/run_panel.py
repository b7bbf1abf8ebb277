"""A run in a cell: live while it lasts, a static picture of itself when it is over, then a map to explore.

The live panel is replaced by static HTML and PNG in the same output, because a widget does not survive
in a saved notebook. The map to explore is an output of its own behind it.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.display import display

from dissmodel_lab.executor.events import Phase, PhaseFinished
from dissmodel_lab.executor.schemas import RunStatus
from dissmodel_lab.maps import preview
from dissmodel_lab.progress import DONE, Progress
from dissmodel_lab.sources import local_path
from dissmodel_lab.views.map_view import MapView, map_figure
from dissmodel_lab.views.phases import PhasePanel
from dissmodel_lab.views.record import RunMaps, is_map_file, maps_of, record_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dissmodel_lab.executor.events import Event, Observer
    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.maps import Preview

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def run_in_cell(
    call: Callable[[Sequence[Observer]], ExperimentRecord], output: Any = None, map_output: Any = None
) -> ExperimentRecord:
    """
    Run with a live panel in a cell's output.

    Parameters
    ----------
    call : callable
        Takes observers, runs, and returns the record or raises.
    output, map_output : DisplayHandle, optional
        Outputs to use for the run and for the map to explore; new ones when not given.

    Returns
    -------
    ExperimentRecord
        What ``call`` returned.

    Raises
    ------
    BaseException
        What ``call`` raised; the static picture of the run is shown before.
    """
    live = _LiveRun()
    output = output if output is not None else display(display_id=True)
    output.update(live.panel.widget)
    live.panel.start()
    try:
        with interruptible():
            record = call([live])
    finally:
        live.panel.stop()
        live.show_static(output)
    offer_map(record, map_output)
    return record


def show_record(record: ExperimentRecord) -> None:
    """
    Show a run that is over: its static picture, then a map to explore.

    Parameters
    ----------
    record : ExperimentRecord
        As it was read from the store.
    """
    display(record_bundle(record), raw=True)
    offer_map(record)


def offer_map(record: ExperimentRecord, output: Any = None) -> None:
    """
    Show the map to explore, when the run has something to put on it.

    Parameters
    ----------
    record : ExperimentRecord
        Of a run that is over.
    output : DisplayHandle, optional
        An output to use; a new one when not given.
    """
    paths = {"output": record.artifact_path(), "input": local_path(record.source)}
    layers = {name: path for name, path in paths.items() if path is not None and is_map_file(path)}
    if record.status != RunStatus.COMPLETED or not layers:
        return
    widget_view = MapView(layers).widget._repr_mimebundle_()[WIDGET_VIEW]
    fallback = "The map to explore needs a running kernel; the pictures above do not."
    bundle = {"text/plain": fallback, "text/html": f"<small>{fallback}</small>", WIDGET_VIEW: widget_view}
    if output is None:
        display(bundle, raw=True)
    else:
        output.update(bundle, raw=True)


class _LiveRun:
    """An observer that keeps a panel: the phases at once, the input's map as soon as it is loaded."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.panel = PhasePanel(self.progress, also=self._draw_input)
        self._input: Preview | None = None
        self._tried = False

    def __call__(self, event: Event) -> None:
        self.progress(event)
        if isinstance(event, PhaseFinished) and event.phase is Phase.LOAD and self._input_path() is None:
            # Data in memory are drawn here, on the model's own thread, before the model changes them.
            self._draw(event.value)

    def _input_path(self) -> Any:
        record = self.progress.record
        path = local_path(record.source) if record is not None else None
        return path if path is not None and is_map_file(path) else None

    def _draw_input(self) -> None:
        path = self._input_path()
        if path is not None and self.progress.phases[Phase.LOAD].state == DONE:
            self._draw(path)

    def _draw(self, source: Any) -> None:
        if self._tried:
            return
        self._tried = True
        try:
            self._input = preview(source)
        except Exception:  # noqa: BLE001 -- said once, with its reason, in the static picture at the end
            return
        self.panel.below.value = map_figure(self._input, "Input")

    def show_static(self, output: Any) -> None:
        record = self.progress.record
        if record is None:  # refused before there was a record: the message says it all
            output.update({"text/plain": "", "text/html": ""}, raw=True)
        else:
            output.update(record_bundle(record, self._maps(record)), raw=True)
        for widget in (*self.panel.widget.children, self.panel.widget):
            widget.close()

    def _maps(self, record: ExperimentRecord) -> RunMaps:
        return maps_of(record, before=self._input)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the notebook's stop button raise KeyboardInterrupt here; outside of cells ipykernel ignores it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
